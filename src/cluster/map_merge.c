#include "cluster/map_merge.h"

#include "base/memory.h"

struct merge {
    const struct map *map;
    const struct map *other;
    uint64_t index;
    struct map_change *change;
    struct buffer entry;
};

/* The next change, about that node of the other map. */
static struct map_change *begin(struct merge *merge, enum map_change_kind kind, uint16_t node) {
    memset(merge->change, 0, sizeof(*merge->change));
    merge->change->kind = kind;
    memcpy(merge->change->node, merge->other->nodes[node].id, MAP_ID_BYTES);
    return merge->change;
}

static void end(struct merge *merge) {
    map_change_write(merge->change, &merge->entry);
}

/* From a merge that the other cluster does not know of: replicas first, then whom they follow. */
static void take_out(struct merge *merge, bool primaries) {
    for (uint16_t node = 0; node < merge->other->nodes_count; node++) {
        uint16_t known = map_find(merge->map, merge->other->nodes[node].id);
        if (known != MAP_NOBODY && map_is_primary(merge->map, known) == primaries) {
            begin(merge, MAP_NODE_REMOVE, node);
            end(merge);
        }
    }
}

static void add_node(struct merge *merge, uint16_t node, const unsigned char shard[MAP_ID_BYTES]) {
    struct map_change *change = begin(merge, MAP_NODE_ADD, node);
    memcpy(change->peer, shard, MAP_ID_BYTES);
    change->facts = merge->other->nodes[node].facts;
    end(merge);
    if (merge->other->nodes[node].has_failed) {
        begin(merge, MAP_NODE_HEALTH, node)->flag = true;
        end(merge);
    }
}

static void add_replicas(struct merge *merge, uint16_t shard) {
    const struct map *other = merge->other;
    for (uint16_t node = 0; node < other->nodes_count; node++) {
        if (other->nodes[node].shard != shard || map_is_primary(other, node)) {
            continue;
        }
        add_node(merge, node, other->nodes[node].id); /* a shard that is gone at once */
        struct map_change *change = begin(merge, MAP_REPLICATE, node);
        memcpy(change->peer, other->nodes[other->shards[shard].primary].id, MAP_ID_BYTES);
        change->flag = other->nodes[node].is_in_sync;
        end(merge);
    }
}

static void add_shard(struct merge *merge, uint16_t number) {
    const struct map_shard *shard = &merge->other->shards[number];
    add_node(merge, shard->primary, shard->id);
    struct map_change *change = begin(merge, MAP_SUCCEED, shard->primary);
    memcpy(change->peer, shard->granted, MAP_ID_BYTES);
    change->epoch = merge->index;
    end(merge);
    change = begin(merge, MAP_QUORUM, shard->primary);
    change->slot = shard->quorum;
    change->epoch = merge->index;
    end(merge);
    change = begin(merge, MAP_CONFIG_EPOCH, shard->primary);
    change->epoch = shard->config_epoch;
    change->flag = true;
    end(merge);
    change = begin(merge, MAP_SLOTS_ADD, shard->primary);
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        if (merge->other->slots[slot].owner == number) {
            slot_set_add(&change->slots, slot);
        }
    }
    end(merge);
    add_replicas(merge, number);
}

/* Those of the classic way of moving slots. */
static void add_marks(struct merge *merge) {
    const struct map *other = merge->other;
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        const struct map_slot *place = &other->slots[slot];
        if (place->migrating_to != MAP_NOBODY && map_is_primary(other, place->migrating_to)) {
            struct map_change *change =
                begin(merge, MAP_MIGRATING, other->shards[place->owner].primary);
            memcpy(change->peer, other->nodes[place->migrating_to].id, MAP_ID_BYTES);
            change->slot = slot;
            end(merge);
        }
        if (place->importer != MAP_NOBODY && map_is_primary(other, place->importing_from)) {
            struct map_change *change = begin(merge, MAP_IMPORTING, place->importer);
            memcpy(change->peer, other->nodes[place->importing_from].id, MAP_ID_BYTES);
            change->slot = slot;
            end(merge);
        }
    }
}

struct map *map_merge(const struct map *map, uint64_t index, const struct map *other,
                      struct buffer *report) {
    struct merge merge = {.map = map,
                          .other = other,
                          .index = index,
                          .change = memory_alloc(sizeof(*merge.change)),
                          .entry = BUFFER_EMPTY};
    take_out(&merge, false);
    take_out(&merge, true);
    for (uint16_t shard = 0; shard < other->nodes_count; shard++) {
        if (other->shards[shard].epoch != 0) {
            add_shard(&merge, shard);
        }
    }
    add_marks(&merge);
    struct map *merged = map_change_apply(map, index, buffer_span(&merge.entry), report);
    memory_free(merge.change);
    buffer_free(&merge.entry);
    return merged;
}
