/* CLUSTER SLOT-STATS: keys of the slots that the node's shard owns, by range or by count. Replies
 * and errors are those of Redis 8.2 and Valkey 8 with the statistics that cost nothing.
 */
#ifndef TARN_SERVER_CLUSTER_SLOT_STATS_H
#define TARN_SERVER_CLUSTER_SLOT_STATS_H

#include "server/cluster.h"
#include "worker/session.h"

/* Under a stop of all workers. */
void cluster_slot_stats_reply(struct session *session, const struct cluster_seat *seat);

#endif
