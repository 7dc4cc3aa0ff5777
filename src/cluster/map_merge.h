/* Merging of maps: all nodes, shards and slots of one cluster come into another's map. As it is
 * told by changes (map_change.h), a merge holds what they hold, and refuses what they refuse.
 */
#ifndef TARN_CLUSTER_MAP_MERGE_H
#define TARN_CLUSTER_MAP_MERGE_H

#include "cluster/map_change.h"

/* The map of that index which has the other's nodes as well; those that it had already are taken
 * out first. NULL: both own a slot, or there are too many nodes; the report has the error. */
struct map *map_merge(const struct map *map, uint64_t index, const struct map *other,
                      struct buffer *report);

#endif
