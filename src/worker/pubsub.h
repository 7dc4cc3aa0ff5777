/* Publish and subscribe: channels, patterns and shard channels, and who listens to them.
 *
 * Each worker keeps the subscriptions of the connections that are at home there; a message goes to every
 * worker that has any. Memory: a subscription is one allocation, in the worker's registry and in
 * the connection's own list. Thread: the worker's.
 */
#ifndef TARN_WORKER_PUBSUB_H
#define TARN_WORKER_PUBSUB_H

#include "worker/session.h"

struct pubsub;

struct pubsub *pubsub_new(struct worker *worker);
void pubsub_free(struct pubsub *pubsub);

/* The connection is being freed: it leaves all channels, without replies. */
void pubsub_forget(struct connection *connection);
/* Channels, patterns and shard channels that it listens to. */
size_t pubsub_subscriptions(const struct connection *connection);

#endif
