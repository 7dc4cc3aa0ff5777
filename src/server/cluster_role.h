/* Role: what the cluster decides about a node's replication, carried out; and what it is told of
 * it.
 *
 *   member --role--> wanted ==[a stop of the workers]==> reached --read--> member
 *         \--lease------------------------------------> struct cluster: the workers look
 *
 *  1. A role is reached when it is true of all workers: a primary's history has begun, a replica
 *     follows, who waits changes nothing any more. Only then its epoch is read.
 *  2. Writes are held (is_paused) from a stop on, and read as such when no answer to an earlier one
 *     waits at a gate: so nobody who was acknowledged before the hand-over is told otherwise.
 *  3. A lease counts only in the role that it was given for, once that is reached. It ends at once;
 *     in a hand-over what was answered before the end has left before the call returns.
 *  4. Of the replicas only the in-sync set counts for replies that wait for a quorum. Who leaves it
 *     does not count any more when the call returns.
 *
 * In a cluster a node begins as one that waits (persistence.c), whatever it was before.
 *
 * Lifecycle: cluster_role_new() before the part is opened, which may call all but read at once;
 * cluster_role_loaded() once the data is there; cluster_role_free() when the workers have ended.
 * Thread: the cluster's, unless a function says otherwise.
 */
#ifndef TARN_SERVER_CLUSTER_ROLE_H
#define TARN_SERVER_CLUSTER_ROLE_H

#include "cluster/member.h"
#include "server/cluster.h"

struct cluster_role;

/* How long a request waits for a lease that has ended, or has not begun. */
#define CLUSTER_ROLE_PATIENCE_MS 250

struct cluster_role *cluster_role_new(struct cluster_seat *seat);
void cluster_role_free(struct cluster_role *role);
/* The data is loaded, and the workers run. */
void cluster_role_loaded(struct cluster_seat *seat);

/* For the member's outlet. */
void cluster_role_take(struct cluster_seat *seat, const struct member_role *role);
void cluster_role_lease(struct cluster_seat *seat, uint64_t until_ms);
/* The arrays stay valid until the next call. */
void cluster_role_read(struct cluster_seat *seat, struct member_replication *state);

/* Links, positions or the log may be others than before: the part is told if it waits for that.
 * With each iteration of the replicator's loop. */
void cluster_role_step(struct cluster_seat *seat);

#endif
