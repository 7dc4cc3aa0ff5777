/* What people ask of a cluster while it fails: slots go from shard to shard the classic way, nodes
 * are reset or forgotten and meet the others again, and become replicas of other primaries.
 *
 * What is checked
 *   - whoever is told that a change is done has a map that is newer than any that was acknowledged
 *     before the change was asked for
 *   - a slot belongs to the shard that it was given to last, as far as anybody was told: else to
 *     one of those whose asker does not know what has become of it
 * One thread.
 */
#ifndef TARN_TESTS_SIMULATION_CLUSTER_WISHES_H
#define TARN_TESTS_SIMULATION_CLUSTER_WISHES_H

#include "tests/simulation/cluster_world.h"

struct wishes;

/* Of a cluster whose shards have formed: the first so many nodes are primaries with slots. */
struct wishes *wishes_new(struct world *world, size_t primaries);
void wishes_free(struct wishes *wishes);

/* One more wish, at random. */
void wishes_add(struct wishes *wishes);
/* Behind each turn: looks at what was answered. */
void wishes_turn(struct wishes *wishes);
/* Once the faults have stopped: who is in no cluster or another one meets the largest again.
 * Nothing is wished then but this. */
void wishes_gather(struct wishes *wishes);
bool wishes_are_over(const struct wishes *wishes);
/* They are, and all nodes agree: is each slot where it may be? */
void wishes_end(struct wishes *wishes);

#endif
