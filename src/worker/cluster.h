/* Cluster: what the workers of a node know of the cluster that it is in, and which requests they
 * send elsewhere because of it: cluster/redirect.h decides.
 *
 * node->cluster is NULL on a node that is in none. What it holds changes under a stop of all
 * workers, so it is read without a lock and is one state for everybody.
 */
#ifndef TARN_WORKER_CLUSTER_H
#define TARN_WORKER_CLUSTER_H

#include "cluster/redirect.h"
#include "worker/route.h"
#include "worker/worker.h"

struct cluster {
    struct map *map;       /* borrowed */
    uint16_t myself;       /* in it */
    struct slot_set plain; /* slots that it serves to anybody while state.is_ok: see
                              cluster_serves() */
    struct redirect_state state;
    enum map_endpoint endpoint; /* cluster-preferred-endpoint-type */
};

/* Takes the place of the map that was there. Under a stop of all workers. */
void cluster_set_map(struct cluster *cluster, struct map *map, uint16_t myself);

/* What an error or a reply tells of the map. */
static inline struct map_view cluster_view(const struct cluster *cluster,
                                           const struct map_peer *peers) {
    return (struct map_view){
        .map = cluster->map,
        .myself = cluster->myself,
        .peers = peers,
        .endpoint = cluster->endpoint,
    };
}

/* The common case, at little cost: one key, in a slot that is this node's and stays here. False:
 * cluster_admit() tells. */
static inline bool cluster_serves(const struct cluster *cluster, const struct request *request) {
    return request_has_one_key(request) && cluster->state.is_ok &&
           slot_set_has(&cluster->plain, request->first_slot);
}

enum cluster_admission {
    CLUSTER_SERVED,  /* here, or it has no keys */
    CLUSTER_REFUSED, /* the error is appended */
};

/* The request of a connection, whose arguments fit. Where only the owner of the slot can tell, the
 * answer is SERVED elsewhere: it is asked again there. On the connection's worker. */
enum cluster_admission cluster_admit(struct worker *worker, const struct connection *connection,
                                     const struct request *request, struct buffer *error);

#endif
