#include "tests/simulation/cluster_override.h"

#define AGAIN_MS 500
#define TICKET 34

static struct member_status status_of(const struct node *node) {
    struct member_status status;
    member_status_read(node->member, &status);
    return status;
}

static size_t voters_alive(struct world *world) {
    size_t count = 0;
    for (size_t i = 0; i < world->count; i++) {
        count += world->nodes[i].member != NULL && status_of(&world->nodes[i]).is_voter;
    }
    return count;
}

/* Voters go until they are no majority any more. */
static void lose_voters(struct world *world) {
    size_t voters = voters_alive(world);
    while (2 * voters_alive(world) > voters) {
        struct node *node = &world->nodes[world_below(world, world->count)];
        if (node->member != NULL && status_of(node).is_voter) {
            world_stop(node, world_below(world, 2) == 0);
        }
    }
}

static struct node *survivor(struct world *world) {
    size_t from = world_below(world, world->count);
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[(from + i) % world->count];
        if (node->member != NULL) {
            return node;
        }
    }
    return NULL;
}

/* It is refused while the leader that has gone is still believed in. */
static bool override_at(struct world *world, struct node *node, uint64_t until) {
    const struct answer *answer = &world->answers[TICKET];
    world->answers[TICKET] = (struct answer){.is_there = false};
    member_override(node->member, TICKET, world_clock(node));
    while (world->broken == NULL && (!answer->is_there || answer->error[0] != '\0')) {
        world_turn(world);
        if (answer->is_there && answer->error[0] != '\0' && world->now_ms % AGAIN_MS == 0) {
            world->answers[TICKET] = (struct answer){.is_there = false};
            member_override(node->member, TICKET, world_clock(node));
        }
        world_that(world, world->now_ms < until, "an override founds a cluster");
    }
    return world->broken == NULL;
}

static bool agree(const struct world *world, const struct node *with) {
    bool do_agree = with->map != NULL;
    for (size_t i = 0; i < world->count && do_agree; i++) {
        const struct node *node = &world->nodes[i];
        do_agree =
            node->member == NULL || (node->map != NULL && node->map->index == with->map->index &&
                                     memcmp(node->map->group, with->map->group, MAP_ID_BYTES) == 0);
    }
    return do_agree;
}

struct shard_left {
    uint16_t members; /* of the in-sync set */
    uint16_t left;
    bool serves;
};

static struct shard_left look_at(const struct world *world, const struct map *map, uint16_t shard) {
    struct shard_left found = {.members = 0};
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i].shard != shard || !map->nodes[i].is_in_sync) {
            continue;
        }
        found.members++;
        for (size_t j = 0; j < world->count; j++) {
            const struct node *node = &world->nodes[j];
            if (node->member != NULL && map_find(map, node->id.bytes) == i) {
                found.left++;
                found.serves |= world_may_serve(node);
            }
        }
    }
    return found;
}

static bool all_serve_that_can(const struct world *world, const struct map *map) {
    bool do_serve = true;
    for (uint16_t shard = 0; shard < map->nodes_count; shard++) {
        if (map->shards[shard].epoch == 0) {
            continue;
        }
        struct shard_left found = look_at(world, map, shard);
        int needed = found.members - map->shards[shard].quorum + 1;
        do_serve &= found.serves || found.left < 1 || found.left < needed;
    }
    return do_serve;
}

void override_cluster(struct world *world, uint64_t limit_ms) {
    if (world->broken != NULL) {
        return;
    }
    uint64_t until = world->now_ms + limit_ms;
    unsigned char group[MAP_ID_BYTES];
    memcpy(group, world->nodes[0].map->group, MAP_ID_BYTES);
    lose_voters(world);
    struct node *node = survivor(world);
    if (node == NULL || !override_at(world, node, until)) {
        return;
    }
    world_that(world, memcmp(group, node->map->group, MAP_ID_BYTES) != 0,
               "a cluster founded anew is another group");
    while (world->broken == NULL &&
           (!agree(world, node) || !all_serve_that_can(world, node->map))) {
        world_turn(world);
        world_that(world, world->now_ms < until,
                   "behind an override all that are left agree, and each shard serves that can");
    }
}
