#include "tests/simulation/cluster_history.h"

#include "base/hash.h"
#include "base/memory.h"

static struct history_map seen(const struct map *map) {
    struct history_map one = {.index = map->index};
    struct buffer bytes = BUFFER_EMPTY;
    map_write(map, &bytes);
    memcpy(&one.group, map->group, sizeof(one.group));
    one.hash = XXH3_64bits(bytes.bytes, bytes.length);
    buffer_free(&bytes);
    return one;
}

void map_history_free(struct map_history *history) {
    memory_free(history->maps);
}

bool map_history_add(struct map_history *history, const struct map *map) {
    struct history_map one = seen(map);
    for (size_t i = history->count; i > 0; i--) {
        const struct history_map *other = &history->maps[i - 1];
        if (other->index == one.index && other->group == one.group) {
            return other->hash == one.hash;
        }
    }
    if (history->count == history->capacity) {
        history->capacity = 2 * history->capacity + 64;
        history->maps = memory_realloc(history->maps, history->capacity * sizeof(*history->maps));
    }
    history->maps[history->count++] = one;
    return true;
}

bool map_history_follows(const struct map *before, const struct map *after) {
    return before == NULL || memcmp(before->group, after->group, MAP_ID_BYTES) != 0 ||
           before->index <= after->index;
}
