/* Most voters are lost for good, and somebody overrides at a node that is left. */
#ifndef TARN_TESTS_SIMULATION_CLUSTER_OVERRIDE_H
#define TARN_TESTS_SIMULATION_CLUSTER_OVERRIDE_H

#include "tests/simulation/cluster_world.h"

/* In a cluster that agrees on its map. Checked is that the nodes that are left agree on one again,
 * of another group, within the limit, and each shard serves of whose set so many are left that
 * nothing that was acknowledged may be missing. The last thing in a world. */
void override_cluster(struct world *world, uint64_t limit_ms);

#endif
