/* The maps that anybody has seen, by group and index: of one index there is one, whoever sees it
 * and whenever, so the changes of a group are one line; and nobody's map goes back while it runs.
 */
#ifndef TARN_TESTS_SIMULATION_CLUSTER_HISTORY_H
#define TARN_TESTS_SIMULATION_CLUSTER_HISTORY_H

#include "cluster/map.h"

struct history_map {
    uint64_t group; /* the beginning of its id */
    uint64_t index;
    uint64_t hash;
};

struct map_history {
    struct history_map *maps;
    size_t count;
    size_t capacity;
};

void map_history_free(struct map_history *history);
/* Somebody sees this map. False: of that index another one was seen. */
bool map_history_add(struct map_history *history, const struct map *map);
/* Somebody has gone from one map to the other, in one life. False: that was back. */
bool map_history_follows(const struct map *before, const struct map *after);

#endif
