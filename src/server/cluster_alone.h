/* The part of a node that is its group's only one: what it proposes is written, committed and
 * applied at once. A new node founds such a group; the log's file says what became of it.
 */
#ifndef TARN_SERVER_CLUSTER_ALONE_H
#define TARN_SERVER_CLUSTER_ALONE_H

#include "server/cluster.h"

/* Opens the group's log, or founds a group; sets seat->part and publishes the map. 0 or an exit
 * code of sysexits(3), the log says why. */
int cluster_alone_open(struct cluster_seat *seat);

#endif
