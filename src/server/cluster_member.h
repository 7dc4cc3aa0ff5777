/* The part of a node in its group (struct cluster_part): cluster/member.h, driven by the cluster's
 * thread. It gives the member its time, what the links bring, what the options say and how the
 * local replication stands; it takes what the member decides to the workers, to the replication
 * (cluster_role.h) and to whoever asked.
 *
 *   event ----> member ----> map, answers ----> after the event: workers first, then who asked
 *                 ^  \-----> role, lease -----> cluster_role
 *                 \--------- read ------------- cluster_role, with each heartbeat and each new role
 *
 * Thread: the cluster's, but for the opening and closing.
 */
#ifndef TARN_SERVER_CLUSTER_MEMBER_H
#define TARN_SERVER_CLUSTER_MEMBER_H

#include "server/cluster.h"

/* Opens the folder's log, or founds a group; sets seat->part and seat->id, and publishes the map. 0
 * or an exit code of sysexits(3), the log says why. */
int cluster_member_open(struct cluster_seat *seat);

/* The local replication is another than when it was read last: it is read, and the member told, at
 * once. */
void cluster_member_replication_changed(struct cluster_seat *seat);

#endif
