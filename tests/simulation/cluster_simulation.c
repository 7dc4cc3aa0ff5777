/* Whole clusters of 3 to 9 nodes (and one of 100), each node with the production code of its part
 * in the cluster (cluster_world.h): they meet in any order and in rings, some with slots; then
 * nodes crash, pause, come back with another address, clocks drift, messages are lost, late and
 * doubled, networks are cut, and primaries hand over; then the faults stop.
 *
 *   - cluster_world.h says what holds all the time;
 *   - when the faults stop, all nodes are in one cluster, hold one map, and each shard serves.
 *
 * cluster_simulation [--seed N] [--seeds COUNT]
 */
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "tests/simulation/cluster_world.h"
#include "tests/simulation/seeds.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT (10 / SEEDS_PART)
#define NODES_MAX 9
#define MEET_MS_MAX 60000
#define FAULTY_MS 6000
#define CALM_MS_MAX 30000
#define LARGE_NODES 100
#define TICKET 1

struct figures {
    uint64_t failovers;
    uint64_t acknowledged;
    uint64_t promised;
    uint64_t refused_ms; /* of all shards without a primary that serves */
    uint64_t shard_ms;
};

static struct node *any_node(struct world *world) {
    return &world->nodes[world_below(world, world->count)];
}

static bool is_agreed(struct world *world, size_t nodes) {
    const struct map *first = world->nodes[0].map;
    for (size_t i = 0; i < world->count; i++) {
        const struct node *node = &world->nodes[i];
        if (node->member == NULL || node->map == NULL || first == NULL ||
            node->map->index != first->index || node->map->nodes_count != nodes ||
            memcmp(node->map->group, first->group, MAP_ID_BYTES) != 0) {
            return false;
        }
    }
    return true;
}

static bool all_serve(struct world *world) {
    const struct map *map = world->nodes[0].map;
    size_t serving = 0;
    for (size_t i = 0; i < world->count; i++) {
        serving += world_may_serve(&world->nodes[i]);
    }
    return serving == map->shards_count;
}

static bool turns_until_agreed(struct world *world, uint64_t limit_ms, bool serves,
                               const char *what) {
    uint64_t until = world->now_ms + limit_ms;
    while (world->broken == NULL &&
           (!is_agreed(world, world->count) || (serves && !all_serve(world)))) {
        world_turn(world);
        world_that(world, world->now_ms < until, what);
    }
    return world->broken == NULL;
}

static bool await(struct world *world, uint64_t ticket) {
    uint64_t until = world->now_ms + MEET_MS_MAX;
    while (world->broken == NULL && !world->answers[ticket].is_there) {
        world_turn(world);
        world_that(world, world->now_ms < until, "a wish is answered");
    }
    return world->broken == NULL && world->answers[ticket].error[0] == '\0';
}

/* ---- the beginning: nodes meet, and form shards ---- */

static void give_slots(struct world *world, struct node *node) {
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    change->kind = MAP_SLOTS_ADD;
    memcpy(change->node, node->id.bytes, MAP_ID_BYTES);
    size_t part = SLOTS / world->count;
    for (size_t slot = node->number * part; slot < (node->number + 1) * part; slot++) {
        slot_set_add(&change->slots, (uint16_t)slot);
    }
    world_propose(node, change, 1, TICKET);
    memory_free(change);
    world_that(world, await(world, TICKET), "slots that nobody owns are given");
}

static void meet_all(struct world *world, size_t primaries) {
    for (size_t i = 0; i < world->count; i++) {
        world_start(&world->nodes[i]);
    }
    for (int i = 0; i < 200; i++) {
        world_turn(world);
    }
    for (size_t i = 0; i < primaries && world->broken == NULL; i++) {
        give_slots(world, &world->nodes[i]);
    }
    bool is_ring = world_below(world, 2) == 0;
    bool is_at_once = world_below(world, 2) == 0;
    for (size_t i = 0; i < world->count && world->broken == NULL; i++) {
        struct node *other = is_ring ? &world->nodes[(i + 1) % world->count] : &world->nodes[0];
        world_meet(&world->nodes[i], other, TICKET + 1 + i % 32);
        if (!is_at_once) {
            world_that(world, await(world, TICKET + 1 + i % 32), "nodes meet");
        }
    }
    turns_until_agreed(world, MEET_MS_MAX, false, "nodes that have met agree on one map");
}

static void form_shards(struct world *world, size_t primaries) {
    for (size_t i = primaries; i < world->count && world->broken == NULL; i++) {
        struct map_change change = {.kind = MAP_REPLICATE};
        memcpy(change.node, world->nodes[i].id.bytes, MAP_ID_BYTES);
        memcpy(change.peer, world->nodes[i % primaries].id.bytes, MAP_ID_BYTES);
        world_propose(any_node(world), &change, 1, TICKET);
        world_that(world, await(world, TICKET), "a node without slots becomes a replica");
    }
    turns_until_agreed(world, CALM_MS_MAX, true, "each shard of a new cluster serves");
}

/* ---- faults ---- */

static void cut_some(struct world *world) {
    uint64_t kind = world_below(world, 3);
    size_t one = world_below(world, world->count);
    for (size_t i = 0; i < world->count; i++) {
        for (size_t j = 0; j < world->count; j++) {
            bool is_cut = kind == 0   ? (i == one) != (j == one)
                          : kind == 1 ? (i < world->count / 2) != (j < world->count / 2)
                                      : i == one && world_below(world, 2) == 0;
            world->network.is_cut[i][j] = is_cut;
        }
    }
}

static void fault(struct world *world) {
    struct node *node = any_node(world);
    switch (world_below(world, 8)) {
    case 0:
    case 1:
        if (node->member != NULL) {
            world_stop(node, world_below(world, 2) == 0);
            node->down_until = world->now_ms + 1 + world_below(world, 2000);
            /* If all came back elsewhere, none would find another: CLUSTER MEET tells them. */
            bool is_elsewhere = node->number < world->count / 2 && world_below(world, 4) == 0;
            node->port = (uint16_t)(node->port + (is_elsewhere ? 1000 : 0));
        }
        break;
    case 2:
        node->paused_until = world->now_ms + world_below(world, 1500);
        break;
    case 3:
        cut_some(world);
        break;
    case 4:
        memset(world->network.is_cut, 0, sizeof(world->network.is_cut));
        break;
    case 5:
        world->network.loss = world_below(world, 2) * world_below(world, 200);
        world->network.repeat = world_below(world, 50);
        break;
    case 6:
        world->network.slow = world_below(world, 2) * world_below(world, 100);
        world->network.slow_ms = 1 + world_below(world, 300);
        break;
    default:
        if (node->member != NULL && node->role == MEMBER_REPLICA) {
            member_fail_over(node->member, WORLD_ANSWERS_MAX,
                             world_below(world, 4) == 0 ? MEMBER_FORCE : MEMBER_HAND_OVER,
                             world_clock(node));
        }
    }
}

static void count_refused(struct world *world, size_t primaries, struct figures *figures) {
    for (size_t i = 0; i < world->count; i++) {
        figures->refused_ms -= world_may_serve(&world->nodes[i]) ? WORLD_TURN_MS : 0;
    }
    figures->refused_ms += primaries * WORLD_TURN_MS;
    figures->shard_ms += primaries * WORLD_TURN_MS;
}

static void faulty_time(struct world *world, size_t primaries, struct figures *figures) {
    uint64_t until = world->now_ms + FAULTY_MS;
    uint64_t faults = 1 + world_below(world, 20);
    while (world->broken == NULL && world->now_ms < until) {
        if (world_below(world, 1000) < faults) {
            fault(world);
        }
        world_turn(world);
        count_refused(world, primaries, figures);
    }
}

static void heal(struct world *world) {
    network_heal(&world->network);
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[i];
        node->paused_until = 0;
        if (node->member == NULL) {
            node->down_until = world->now_ms + 1;
        }
    }
}

/* ---- runs ---- */

static void figures_add(const struct world *world, struct figures *figures) {
    figures->failovers += world->failovers;
    figures->acknowledged += world->acknowledged;
    figures->promised += world->promised_count;
}

static bool end(struct world *world, struct figures *figures) {
    bool was_whole = world->broken == NULL;
    if (!was_whole) {
        printf("FAILED: %s\n", world->broken);
        world_print(world);
    }
    figures_add(world, figures);
    world_free(world);
    return was_whole;
}

static bool run(uint64_t seed, struct figures *figures) {
    struct random random;
    random_seed(&random, seed);
    struct world *world = world_new(seed, 3 + random_below(&random, NODES_MAX - 2));
    size_t primaries = 1 + world_below(world, world->count / 2);
    world->quorum = (uint16_t)(1 + world_below(world, 2));
    world->voters = (uint16_t)(3 + 2 * world_below(world, 2));
    meet_all(world, primaries);
    form_shards(world, primaries);
    faulty_time(world, primaries, figures);
    heal(world);
    turns_until_agreed(world, CALM_MS_MAX, true,
                       "when the faults stop, all agree, and each shard serves");
    return end(world, figures);
}

int main(int count, char **arguments) {
    uint64_t seed = 1;
    uint64_t seeds = SEEDS_DEFAULT;
    for (int i = 1; i + 1 < count; i += 2) {
        uint64_t *number = strcmp(arguments[i], "--seed") == 0 ? &seed : &seeds;
        if (!number_parse_unsigned(span_of_string(arguments[i + 1]), number)) {
            fprintf(stderr, "usage: %s [--seed N] [--seeds COUNT]\n", arguments[0]);
            return 64;
        }
    }
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    struct figures figures = {.failovers = 0};
    uint64_t failures = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        if (!run(seed + i, &figures)) {
            failures++;
            printf("seed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   (unsigned long long)(seed + i), arguments[0], (unsigned long long)(seed + i));
        }
    }
    printf("%llu times a primary began, %llu writes acknowledged, %llu of them by a quorum; "
           "without a primary %llu of %llu ms under faults\n",
           (unsigned long long)figures.failovers, (unsigned long long)figures.acknowledged,
           (unsigned long long)figures.promised, (unsigned long long)figures.refused_ms,
           (unsigned long long)figures.shard_ms);
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
