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
    bool is_primary;       /* of its shard, as the map has it */
    uint32_t quorum;       /* of the cluster's promise: replies wait for so many members at least */
    struct slot_set plain; /* slots that it serves to anybody while state.is_ok: see
                              cluster_serves() */
    struct redirect_state state;
    enum map_endpoint endpoint; /* cluster-preferred-endpoint-type */
    /* By the boot clock. Written by any thread. */
    atomic_uint_least64_t lease_until_ms;  /* a primary serves before it */
    atomic_uint_least64_t refuses_from_ms; /* without a lease: requests wait until then */
};

/* The lease of a primary (cluster/member.h). A worker reads it once per tick, before it runs
 * anything: without it, requests for data wait for a while, then they are refused. When the tick
 * has run, the lease that was read must still hold: else what was answered does not leave, and its
 * connection ends, since a successor may serve already. Behind that it may wait at the gates
 * without end: what it answers took place under the lease. */

/* Whether the command needs the lease where the node is a primary. */
static inline bool cluster_needs_lease(const struct command *command) {
    return (command->flags & COMMAND_WRITE) != 0 || command->keys[0].flags != 0 ||
           (command->rules & RULE_RUNS_QUEUE) != 0;
}

/* At the tick's begin. */
void cluster_read_lease(struct worker *worker);
/* When it has run: sets worker->lease_holds. */
void cluster_check_lease(struct worker *worker);

/* Output that was written by then may leave, and is marked so. */
static inline bool cluster_may_leave(const struct worker *worker, struct connection *connection) {
    if (LIKELY((connection->flags & CONNECTION_SERVED) == 0)) {
        return true;
    }
    if (LIKELY(worker->lease_holds)) {
        connection->flags &= ~(unsigned)CONNECTION_SERVED;
    }
    return worker->lease_holds;
}

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
