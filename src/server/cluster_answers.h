/* Answers: what CLUSTER NODES, SLOTS and SHARDS reply, kept as bytes by each worker until the map
 * or what is known of a node changes. A storm of clients that look for the map costs copies.
 */
#ifndef TARN_SERVER_CLUSTER_ANSWERS_H
#define TARN_SERVER_CLUSTER_ANSWERS_H

#include "server/cluster.h"
#include "worker/session.h"

enum cluster_answer_kind {
    CLUSTER_ANSWER_NODES,
    CLUSTER_ANSWER_SLOTS,
    CLUSTER_ANSWER_SHARDS,
    CLUSTER_ANSWER_KINDS,
};

/* Appends it to the session's reply. */
void cluster_answers_reply(struct session *session, enum cluster_answer_kind kind);
void cluster_answers_free(struct cluster_seat *seat);

/* Calls the function with a view of the map, and the peers. On a worker. */
typedef void (*cluster_look)(const struct map_view *view, void *context);
void cluster_answers_look(struct cluster_seat *seat, cluster_look look, void *context);

#endif
