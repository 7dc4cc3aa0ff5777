/* Whole clusters of 3 to 9 nodes (and one of 100, with sanitizers of 20), each node with the
 * production code of its part in the cluster (cluster_world.h): they meet in any order and in
 * rings, some with slots; then nodes crash, pause, come back with another address, clocks drift,
 * messages are lost, late and doubled, networks are cut, and primaries hand over; then the faults
 * stop.
 *
 *   - cluster_world.h says what holds all the time, cluster_wishes.h what of changes;
 *   - where nothing fails, a change is seen by all nodes within a heartbeat after it was
 *     acknowledged; in the large cluster within two;
 *   - when the faults stop, all nodes are in one cluster, hold one map, and each shard serves;
 *   - so they do behind an override, as far as enough of a shard is left (cluster_override.h).
 *
 * cluster_simulation [--seed N] [--seeds COUNT]
 */
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "tests/simulation/cluster_override.h"
#include "tests/simulation/cluster_wishes.h"
#include "tests/simulation/cluster_world.h"
#include "tests/simulation/seeds.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT (10 / SEEDS_PART)
#define NODES_MAX 9
#define MEET_MS_MAX 60000
#define FAULTY_MS 6000
#define CALM_MS_MAX 30000
#define LARGE_NODES (SEEDS_PART == 1 ? 100 : 20)
#define LARGE_SHARDS 10
#define LARGE_SEEDS_EACH 100 /* one large cluster for so many seeds */
#define BEAT_MS 50
#define TICKET 1

struct figures {
    uint64_t failovers;
    uint64_t acknowledged;
    uint64_t promised;
    uint64_t refused_ms; /* of all shards without a primary that serves */
    uint64_t shard_ms;
    uint64_t views_ms;       /* the longest until all saw a change that was acknowledged */
    uint64_t large_views_ms; /* in a large cluster */
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

/* ---- views: what a change has led to is seen by all ---- */

/* Who is there and has not failed. */
static bool is_live(const struct node *node, const struct map *map) {
    uint16_t place = map_find(map, node->id.bytes);
    return node->member != NULL && place != MAP_NOBODY && !map->nodes[place].has_failed;
}

/* Maps of one index are the same: cluster_world.h. */
static bool is_seen(struct world *world, const struct map *map) {
    for (size_t i = 0; i < world->count; i++) {
        const struct node *node = &world->nodes[i];
        if (is_live(node, map) && (node->map == NULL || node->map->index < map->index ||
                                   memcmp(node->map->group, map->group, MAP_ID_BYTES) != 0)) {
            return false;
        }
    }
    return true;
}

/* What this node has seen now, all see within so many heartbeats. No fault is under way. */
static void views_follow(struct world *world, const struct node *node, uint64_t beats,
                         uint64_t *longest_ms) {
    if (world->broken != NULL) {
        return;
    }
    struct map *map = map_borrow(node->map);
    uint64_t began = world->now_ms;
    while (world->broken == NULL && !is_seen(world, map)) {
        world_turn(world);
        world_that(world, world->now_ms - began <= beats * BEAT_MS,
                   "all see a change within its heartbeats");
    }
    uint64_t took = world->now_ms - began;
    *longest_ms = took > *longest_ms ? took : *longest_ms;
    map_return(map);
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
    bool is_at_once = world->count > NODES_MAX || world_below(world, 2) == 0;
    for (size_t i = 0; i < world->count && world->broken == NULL; i++) {
        struct node *other = is_ring ? &world->nodes[(i + 1) % world->count] : &world->nodes[0];
        world_meet(&world->nodes[i], other, TICKET + 1 + i % 32);
        if (!is_at_once) {
            world_that(world, await(world, TICKET + 1 + i % 32), "nodes meet");
        }
    }
    turns_until_agreed(world, MEET_MS_MAX, false, "nodes that have met agree on one map");
}

/* By one entry. */
static void form_shards(struct world *world, size_t primaries) {
    size_t replicas = world->count - primaries;
    struct map_change *changes = memory_alloc_zeroed((replicas + 1) * sizeof(*changes));
    for (size_t i = 0; i < replicas; i++) {
        changes[i].kind = MAP_REPLICATE;
        memcpy(changes[i].node, world->nodes[primaries + i].id.bytes, MAP_ID_BYTES);
        memcpy(changes[i].peer, world->nodes[i % primaries].id.bytes, MAP_ID_BYTES);
    }
    if (world->broken == NULL && replicas > 0) {
        world_propose(any_node(world), changes, replicas, TICKET);
        world_that(world, await(world, TICKET), "nodes without slots become replicas");
    }
    memory_free(changes);
    turns_until_agreed(world, CALM_MS_MAX, true, "each shard of a new cluster serves");
}

/* ---- changes, one of each kind ---- */

static struct map_change *change_new(enum map_change_kind kind, const struct node *node,
                                     const struct node *peer) {
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    change->kind = kind;
    memcpy(change->node, node->id.bytes, MAP_ID_BYTES);
    if (peer != NULL) {
        memcpy(change->peer, peer->id.bytes, MAP_ID_BYTES);
    }
    return change;
}

/* A node asks; once it is told that this is done, all see it within so many heartbeats. */
static void change_follows(struct world *world, struct node *asked, struct map_change *change,
                           uint64_t beats, uint64_t *longest_ms) {
    if (world->broken == NULL) {
        world_propose(asked, change, 1, TICKET);
        bool is_done = await(world, TICKET);
        world_that(world, is_done, "a change is agreed on where nothing fails");
        views_follow(world, asked, beats, longest_ms);
    }
    memory_free(change);
}

static uint16_t slot_of(const struct node *node) {
    const struct map *map = node->map;
    uint16_t shard = map->nodes[map_find(map, node->id.bytes)].shard;
    struct map_range range = {.first = 0};
    map_next_range(map, shard, 0, &range);
    return range.first;
}

/* A slot goes from one primary to another the classic way. */
static void move_slot(struct world *world, struct node *source, struct node *target, uint64_t beats,
                      uint64_t *longest_ms) {
    uint16_t slot = slot_of(source);
    struct map_change *change = change_new(MAP_IMPORTING, target, source);
    change->slot = slot;
    change_follows(world, target, change, beats, longest_ms);
    change = change_new(MAP_MIGRATING, source, target);
    change->slot = slot;
    change_follows(world, source, change, beats, longest_ms);
    change = change_new(MAP_SLOT_OWNER, target, NULL);
    change->slot = slot;
    change_follows(world, any_node(world), change, beats, longest_ms);
}

static void hand_over(struct world *world, struct node *replica, uint64_t beats,
                      uint64_t *longest_ms) {
    if (world->broken != NULL) {
        return;
    }
    world->answers[TICKET].is_there = false;
    member_fail_over(replica->member, TICKET, MEMBER_HAND_OVER, world_clock(replica));
    world_that(world, await(world, TICKET), "a replica takes over where nothing fails");
    views_follow(world, replica, beats, longest_ms);
}

static struct node *node_of_role(struct world *world, enum member_role_kind role, bool has_slots,
                                 const struct node *but) {
    size_t from = world_below(world, world->count);
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[(from + i) % world->count];
        const struct map *map = node->map;
        if (node->member != NULL && map != NULL && node->role == role && node != but &&
            (!has_slots ||
             map->shards[map->nodes[map_find(map, node->id.bytes)].shard].slots > 0)) {
            return node;
        }
    }
    return NULL;
}

static bool all_in_sync(const struct world *world) {
    const struct map *map = world->nodes[0].map;
    bool is_all = map != NULL;
    for (uint16_t i = 0; is_all && i < map->nodes_count; i++) {
        is_all = map->nodes[i].is_in_sync;
    }
    return is_all;
}

static void changes_follow(struct world *world, uint64_t beats, uint64_t *longest_ms) {
    uint64_t until = world->now_ms + CALM_MS_MAX;
    while (world->broken == NULL && !all_in_sync(world)) {
        world_turn(world);
        world_that(world, world->now_ms < until, "where nothing fails, all replicas are in sync");
    }
    struct node *source = node_of_role(world, MEMBER_PRIMARY, true, NULL);
    struct node *target = node_of_role(world, MEMBER_PRIMARY, false, source);
    struct node *replica = node_of_role(world, MEMBER_REPLICA, false, NULL);
    if (source != NULL && target != NULL) {
        move_slot(world, source, target, beats, longest_ms);
    }
    if (source != NULL) {
        struct map_change *change = change_new(MAP_EPOCH_BUMP, source, NULL);
        change_follows(world, any_node(world), change, beats, longest_ms);
    }
    if (replica != NULL) {
        hand_over(world, replica, beats, longest_ms);
    }
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

static bool serves_slots(const struct node *node) {
    const struct map *map = node->map;
    return world_may_serve(node) &&
           map->shards[map->nodes[map_find(map, node->id.bytes)].shard].slots > 0;
}

static void count_refused(struct world *world, size_t primaries, struct figures *figures) {
    for (size_t i = 0; i < world->count; i++) {
        figures->refused_ms -= serves_slots(&world->nodes[i]) ? WORLD_TURN_MS : 0;
    }
    figures->refused_ms += primaries * WORLD_TURN_MS;
    figures->shard_ms += primaries * WORLD_TURN_MS;
}

static void faulty_time(struct world *world, size_t primaries, struct wishes *wishes,
                        struct figures *figures) {
    uint64_t until = world->now_ms + FAULTY_MS;
    uint64_t faults = 1 + world_below(world, 20);
    uint64_t changes = world_below(world, 2) * world_below(world, 30);
    world->network.keeps_order = false;
    while (world->broken == NULL && world->now_ms < until) {
        if (world_below(world, 1000) < faults) {
            fault(world);
        }
        if (world_below(world, 1000) < changes) {
            wishes_add(wishes);
        }
        world_turn(world);
        wishes_turn(wishes);
        count_refused(world, primaries, figures);
    }
}

static void heal(struct world *world) {
    network_heal(&world->network);
    world->network.keeps_order = true;
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[i];
        node->paused_until = 0;
        if (node->member == NULL) {
            node->down_until = world->now_ms + 1;
        }
    }
}

static void calm_down(struct world *world, struct wishes *wishes) {
    uint64_t until = world->now_ms + CALM_MS_MAX;
    heal(world);
    while (world->broken == NULL && (!wishes_are_over(wishes) || !is_agreed(world, world->count))) {
        wishes_gather(wishes);
        world_turn(world);
        wishes_turn(wishes);
        world_that(world, world->now_ms < until, "when the faults stop, all agree");
    }
    turns_until_agreed(world, CALM_MS_MAX, true, "when the faults stop, each shard serves");
    for (int i = 0; i < 400 && world->broken == NULL; i++) {
        world_turn(world); /* what was late has come */
    }
    wishes_end(wishes);
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
    world->network.keeps_order = true; /* as links do */
    world->quorum = (uint16_t)(1 + world_below(world, 2));
    world->voters = (uint16_t)(3 + 2 * world_below(world, 2));
    meet_all(world, primaries);
    form_shards(world, primaries);
    changes_follow(world, 1, &figures->views_ms);
    struct wishes *wishes = wishes_new(world, primaries);
    faulty_time(world, primaries, wishes, figures);
    calm_down(world, wishes);
    wishes_free(wishes);
    changes_follow(world, 1, &figures->views_ms);
    override_cluster(world, CALM_MS_MAX);
    return end(world, figures);
}

/* ---- a large cluster ---- */

/* The last node joins when all others are there. */
static void large_form(struct world *world) {
    world->count--;
    meet_all(world, LARGE_SHARDS);
    form_shards(world, LARGE_SHARDS);
}

static void large_join(struct world *world, uint64_t *longest_ms) {
    struct node *node = &world->nodes[LARGE_NODES];
    if (world->broken != NULL) {
        return;
    }
    world->count++;
    world_start(node);
    world_meet(node, &world->nodes[1], TICKET);
    world_that(world, await(world, TICKET), "a node joins a large cluster");
    views_follow(world, node, 2, longest_ms);
    turns_until_agreed(world, CALM_MS_MAX, false, "all know who has joined");
    const struct node *primary = node_of_role(world, MEMBER_PRIMARY, true, node);
    struct map_change *change = change_new(MAP_REPLICATE, node, primary);
    change_follows(world, any_node(world), change, 2, longest_ms);
    change = change_new(MAP_NODE_REMOVE, node, NULL);
    change_follows(world, &world->nodes[3], change, 2, longest_ms);
    world_stop(node, false);
    world->count--;
}

/* Nobody acknowledges this: it counts from when the successor is one. */
static void large_fail(struct world *world, uint64_t *longest_ms) {
    struct node *primary = node_of_role(world, MEMBER_PRIMARY, true, NULL);
    if (world->broken != NULL) {
        return;
    }
    uint64_t begun = world->failovers;
    uint64_t until = world->now_ms + CALM_MS_MAX;
    world_stop(primary, true);
    while (world->broken == NULL && world->failovers == begun) {
        world_turn(world);
        world_that(world, world->now_ms < until, "a primary of a large cluster is replaced");
    }
    const struct node *successor = NULL;
    for (size_t i = 0; i < world->count; i++) {
        const struct node *node = &world->nodes[i];
        if (node->member != NULL && node->role == MEMBER_PRIMARY &&
            (successor == NULL || node->map->index > successor->map->index)) {
            successor = node;
        }
    }
    views_follow(world, successor, 2, longest_ms);
    world_start(primary);
    turns_until_agreed(world, CALM_MS_MAX, true, "who was replaced comes back");
}

static size_t voters_known(const struct node *node) {
    struct member_status status;
    member_status_read(node->member, &status);
    return status.voters;
}

/* From when the leader has five voters, all know five. */
static void large_voters(struct world *world, uint64_t *longest_ms) {
    uint64_t until = world->now_ms + CALM_MS_MAX;
    uint64_t most_ms = 0;
    size_t known = 0;
    world->voters = 5;
    for (size_t i = 0; i < world->count && world->broken == NULL; i++) {
        world_settings(&world->nodes[i]);
    }
    while (world->broken == NULL && known < world->count) {
        world_turn(world);
        size_t knew = known;
        known = 0;
        for (size_t i = 0; i < world->count; i++) {
            known += voters_known(&world->nodes[i]) == 5;
        }
        most_ms += knew > 0 ? WORLD_TURN_MS : 0;
        world_that(world, world->now_ms < until, "voters are chosen");
    }
    world_that(world, most_ms <= UINT64_C(2) * BEAT_MS, "all know the voters in two heartbeats");
    *longest_ms = most_ms > *longest_ms ? most_ms : *longest_ms;
}

static bool run_large(uint64_t seed, struct figures *figures) {
    struct world *world = world_new(seed, LARGE_NODES + 1);
    world->network.keeps_order = true;
    world->quorum = 1;
    world->voters = 3;
    large_form(world);
    changes_follow(world, 2, &figures->large_views_ms);
    large_join(world, &figures->large_views_ms);
    large_voters(world, &figures->large_views_ms);
    large_fail(world, &figures->large_views_ms);
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
        bool is_whole = (i % LARGE_SEEDS_EACH != 0 || run_large(seed + i, &figures));
        if (!run(seed + i, &figures) || !is_whole) {
            failures++;
            printf("seed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   (unsigned long long)(seed + i), arguments[0], (unsigned long long)(seed + i));
        }
    }
    printf("%llu times a primary began, %llu writes acknowledged, %llu of them by a quorum; "
           "without a primary %llu of %llu ms under faults; a change was seen by all within %llu "
           "ms, by %d nodes within %llu ms\n",
           (unsigned long long)figures.failovers, (unsigned long long)figures.acknowledged,
           (unsigned long long)figures.promised, (unsigned long long)figures.refused_ms,
           (unsigned long long)figures.shard_ms, (unsigned long long)figures.views_ms, LARGE_NODES,
           (unsigned long long)figures.large_views_ms);
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
