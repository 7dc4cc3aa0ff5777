/* Publish and subscribe: channels, patterns and shard channels, and who listens to them.
 *
 * Each worker keeps the subscriptions of the connections that are at home there:
 *
 *   topic (a channel, pattern or shard channel that somebody listens to)
 *     -> its subscriptions, in the order in which they began -> connection
 *   connection -> its subscriptions per kind, in the order in which they began
 *
 * node->subscriber_workers has a bit for each worker with any topic, so that a message nobody
 * listens for costs one load, and goes only to the workers that have listeners. PUBLISH asks these
 * in turn and sums the receivers; keyspace events are told by notices and do not wait.
 *
 * A push that meets its connection in the middle of a command of its own, or away, goes behind that
 * command's reply (connection_push_reply()).
 *
 * Memory: topics and subscriptions stand in a heap per worker; they are freed with the last
 * subscriber. Messages of PUBSUB_SHARED_BYTES_MIN bytes and more are shared between their
 * receivers. Thread: functions with a connection or worker run on the (home) worker's thread, or
 * while it stands still.
 */
#ifndef TARN_WORKER_PUBSUB_H
#define TARN_WORKER_PUBSUB_H

#include "base/block.h"
#include "worker/session.h"

#define PUBSUB_SHARED_BYTES_MIN BLOCK_BYTES_MIN

struct pubsub;

enum pubsub_kind { PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD_CHANNEL };
#define PUBSUB_KINDS 3

struct pubsub *pubsub_new(struct worker *worker);
/* All connections are gone. */
void pubsub_free(struct pubsub *pubsub);

enum pubsub_outcome { PUBSUB_CHANGED, PUBSUB_UNCHANGED, PUBSUB_NO_MEMORY };

enum pubsub_outcome pubsub_subscribe(struct connection *connection, enum pubsub_kind kind,
                                     struct span name);
/* False: it did not listen to it. The name may be the one of pubsub_first(). */
bool pubsub_unsubscribe(struct connection *connection, enum pubsub_kind kind, struct span name);
/* Leaves all channels, without replies. */
void pubsub_forget(struct connection *connection);
/* The first name that the connection still listens to; false: none. Good until it leaves. */
bool pubsub_first(const struct connection *connection, enum pubsub_kind kind, struct span *name);

/* How many it listens to, of one kind and in all. Whoever holds the connection. */
uint32_t pubsub_count(const struct connection *connection, enum pubsub_kind kind);
size_t pubsub_subscriptions(const struct connection *connection);

/* Pushes a message to this worker's subscribers; answers how many got it. PUBSUB_CHANNEL also
 * reaches those of patterns; PUBSUB_SHARD_CHANNEL does not. */
size_t pubsub_deliver(struct worker *worker, enum pubsub_kind kind, struct span channel,
                      struct span text);
/* Sends a message to the subscribers of all workers, without waiting. Run on `worker`. */
void pubsub_publish(struct worker *worker, struct span channel, struct span text);
/* Shard channels of slots that are not ours any more: this worker's subscribers are told that they
 * listen to them no longer. As redis-server does. */
void pubsub_leave_slots(struct worker *worker, bool (*is_ours)(const void *context, uint16_t slot),
                        const void *context);
/* A keyspace event was lost: closes this worker's connections that may listen to such. */
void pubsub_close_event_listeners(struct worker *worker);
/* The first worker from `from` on that has subscribers, or worker_count. */
uint32_t pubsub_next_worker(const struct node *node, uint32_t from);

/* Over all workers: while all stand still, or there is only one. */

/* Subscriptions to one name. */
size_t pubsub_topic_subscribers(const struct node *node, enum pubsub_kind kind, struct span name);
/* Calls `found` for each name that somebody listens to, once. */
void pubsub_each_topic(const struct node *node, enum pubsub_kind kind,
                       void (*found)(void *context, struct span name), void *context);
/* How many names these are. */
size_t pubsub_topics(const struct node *node, enum pubsub_kind kind);

/* Keyspace events: has this worker's calls tell the classes that notify-keyspace-events names.
 * Before the worker starts, and under a stop when the option has changed. */
void pubsub_notify_configure(struct worker *worker);

/* SUBSCRIBE and its kin, PUBLISH, SPUBLISH, PUBSUB. */
extern const struct command pubsub_commands[];

#endif
