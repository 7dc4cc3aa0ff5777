#include "tests/simulation/cluster_world.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

#define ALLOCATE_BYTES 16384
#define COPY_WRITES 8 /* that a replica takes in a turn */

uint64_t world_below(struct world *world, uint64_t bound) {
    return random_below(&world->random, bound);
}

bool world_that(struct world *world, bool holds, const char *what) {
    if (!holds && world->broken == NULL) {
        world->broken = what;
    }
    return holds;
}

uint64_t world_clock(const struct node *node) {
    return node->clock_base + node->world->now_ms * node->clock_rate / 1000;
}

static struct node *node_of(struct world *world, const struct raft_id *id) {
    for (size_t i = 0; i < world->count; i++) {
        if (raft_id_equal(&world->nodes[i].id, id)) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

/* ---- the outlet ---- */

static void outlet_send(void *context, const struct raft_id *target, struct span bytes) {
    struct node *node = context;
    const struct node *to = node_of(node->world, target);
    if (to != NULL && to->member != NULL && node->is_linked[to->number]) {
        network_send(&node->world->network, node->number, to->number, bytes, node->world->now_ms);
    }
}

static void outlet_map(void *context, struct map *map) {
    struct node *node = context;
    struct world *world = node->world;
    world_that(world, map_history_add(&world->history, map), "maps of one index are the same");
    world_that(world, map_history_follows(node->map, map), "a node's map does not go back");
    map_return(node->map);
    node->map = map_borrow(map);
}

static void outlet_answer(void *context, uint64_t ticket, const char *error) {
    struct node *node = context;
    if (ticket < WORLD_ANSWERS_MAX) {
        struct answer *answer = &node->world->answers[ticket];
        answer->is_there = true;
        snprintf(answer->error, sizeof(answer->error), "%s", error == NULL ? "" : error);
    }
}

static void outlet_role(void *context, const struct member_role *role) {
    struct node *node = context;
    bool is_new = role->kind != node->role || role->epoch != node->epoch;
    node->role = role->kind;
    node->epoch = role->epoch;
    node->primary = role->primary;
    node->is_paused = role->is_paused;
    node->quorum = role->quorum;
    node->peer_count = role->peer_count;
    memcpy(node->peers, role->peers, role->peer_count * sizeof(role->peers[0]));
    if (is_new) {
        node->is_stopped = false;
        node->lease_until = 0;
        node->acknowledged = 0;
        memset(node->follower_heard, 0, sizeof(node->follower_heard));
        if (role->kind == MEMBER_PRIMARY) {
            node->copy.history = role->epoch;
            node->world->failovers++;
        }
    }
}

static void outlet_lease(void *context, uint64_t until_ms) {
    struct node *node = context;
    node->lease_until = until_ms;
}

static void outlet_targets(void *context) {
    (void)context; /* they are looked at in each turn */
}

static void outlet_say(void *context, enum member_weight weight, const char *text) {
    struct node *node = context;
    (void)weight;
    if (getenv("CLUSTER_SIMULATION_LOG") != NULL) {
        printf("%8llu node %zu: %s\n", (unsigned long long)node->world->now_ms, node->number, text);
    }
}

static void outlet_draw(void *context, void *bytes, size_t length) {
    struct node *node = context;
    for (size_t i = 0; i < length; i++) {
        ((unsigned char *)bytes)[i] = (unsigned char)world_below(node->world, 256);
    }
}

/* ---- nodes ---- */

static void address_of(const struct node *node, char ip[MAP_IP_BYTES]) {
    snprintf(ip, MAP_IP_BYTES, "10.0.0.%zu", node->number);
}

static struct member_plan plan_of(struct node *node) {
    struct world *world = node->world;
    struct member_plan plan = {
        .disk = &node->disk,
        .seed = world->seed * 100000 + node->number * 1000 + node->starts,
        .allocate_bytes = ALLOCATE_BYTES,
        .voters = world->voters,
        .quorum = world->quorum,
        .migrates_replicas = world->migrates_replicas,
        .migration_barrier = 1,
        .outlet = {.context = node,
                   .send = outlet_send,
                   .map = outlet_map,
                   .answer = outlet_answer,
                   .role = outlet_role,
                   .lease = outlet_lease,
                   .targets = outlet_targets,
                   .say = outlet_say,
                   .draw = outlet_draw},
    };
    snprintf(plan.facts.zone, sizeof(plan.facts.zone), "zone%zu", node->number % 3);
    if (!world->hides_addresses) {
        address_of(node, plan.facts.ip);
    }
    plan.facts.port = node->port;
    plan.facts.bus_port = (uint16_t)(node->port + 10000);
    return plan;
}

void world_start(struct node *node) {
    struct world *world = node->world;
    node->starts++;
    struct member_plan plan = plan_of(node);
    node->role = MEMBER_WAITS;
    node->epoch = 0;
    node->lease_until = 0;
    node->is_stopped = false;
    struct buffer report = BUFFER_EMPTY;
    enum raft_store_status status = member_open(&plan, world_clock(node), &node->member, &report);
    world_that(world, status == RAFT_STORE_DONE, "a node starts from what its disk holds");
    if (status == RAFT_STORE_DONE) {
        struct member_status told;
        member_status_read(node->member, &told);
        node->id = told.id;
    } else {
        printf("%.*s\n", (int)report.length, report.bytes);
    }
    buffer_free(&report);
}

void world_settings(struct node *node) {
    struct member_plan plan = plan_of(node);
    member_set_settings(node->member, &plan, world_clock(node));
}

/* Its links to others are gone; it, too, is told so while it is there. */
static void unlink_node(struct node *node, bool is_dead) {
    struct world *world = node->world;
    for (size_t i = 0; i < world->count; i++) {
        struct node *other = &world->nodes[i];
        if (!other->is_linked[node->number] && !node->is_linked[i]) {
            continue;
        }
        other->is_linked[node->number] = false;
        node->is_linked[i] = false;
        if (other->member != NULL) {
            member_link_down(other->member, &node->id, is_dead, world_clock(other));
        }
        if (node->member != NULL) {
            member_link_down(node->member, &other->id, false, world_clock(node));
        }
    }
}

/* A hard reset: links are made anew under the new name. */
static void rename_node(struct node *node, const struct raft_id *id) {
    unlink_node(node, false);
    node->id = *id;
}

void world_stop(struct node *node, bool loses_power) {
    if (node->member == NULL) {
        return;
    }
    simulated_disk_stop(node->simulated);
    member_close(node->member);
    node->member = NULL;
    node->role = MEMBER_WAITS;
    map_return(node->map);
    node->map = NULL;
    simulated_disk_start(node->simulated);
    if (loses_power) {
        simulated_disk_lose_power(node->simulated);
    }
    unlink_node(node, world_below(node->world, 2) == 0);
}

struct world *world_new(uint64_t seed, size_t count) {
    struct world *world = memory_alloc_zeroed(sizeof(*world));
    world->seed = seed;
    world->count = count;
    world->now_ms = 1000;
    world->made = count;
    world->nodes = memory_alloc_zeroed(count * sizeof(*world->nodes));
    random_seed(&world->random, seed);
    network_init(&world->network, seed);
    for (size_t i = 0; i < count; i++) {
        struct node *node = &world->nodes[i];
        node->world = world;
        node->number = i;
        node->port = (uint16_t)(7000 + i);
        node->clock_base = world_below(world, 100000);
        node->clock_rate = 985 + world_below(world, 31);
        node->simulated = simulated_disk_new(seed + i);
        node->disk = simulated_disk_interface(node->simulated);
    }
    return world;
}

void world_free(struct world *world) {
    for (size_t i = 0; i < world->made; i++) {
        world_stop(&world->nodes[i], false);
        simulated_disk_free(world->nodes[i].simulated);
        memory_free(world->nodes[i].copy.writes);
    }
    network_free(&world->network);
    memory_free(world->promised);
    map_history_free(&world->history);
    memory_free(world->nodes);
    memory_free(world);
}

/* ---- links ---- */

static bool is_cut(const struct world *world, size_t a, size_t b) {
    return world->network.is_cut[a][b] || world->network.is_cut[b][a];
}

static void link_make(struct node *a, struct node *b) {
    char ip[MAP_IP_BYTES];
    a->is_linked[b->number] = true;
    b->is_linked[a->number] = true;
    address_of(a, ip);
    member_link_up(b->member, &a->id, ip, (uint16_t)(a->port + 10000), world_clock(b));
    address_of(b, ip);
    member_link_up(a->member, &b->id, ip, (uint16_t)(b->port + 10000), world_clock(a));
}

static void links_make(struct node *node) {
    struct world *world = node->world;
    struct member_target targets[2 * WORLD_NODES_MAX];
    size_t count = member_targets(node->member, targets, 2 * WORLD_NODES_MAX);
    for (size_t i = 0; i < count && i < 2 * WORLD_NODES_MAX; i++) {
        size_t number = (size_t)(targets[i].bus_port - 17000) % 1000;
        struct node *other = number < world->count ? &world->nodes[number] : NULL;
        if (other != NULL && other != node && other->member != NULL &&
            other->port + 10000 == targets[i].bus_port && !node->is_linked[number] &&
            !is_cut(world, node->number, number) && other->paused_until <= world->now_ms) {
            link_make(node, other);
        }
    }
}

/* ---- the server: replication, gate ---- */

static void copy_push(struct copy *copy, uint64_t write) {
    if (copy->count == copy->capacity) {
        copy->capacity = copy->capacity == 0 ? 64 : 2 * copy->capacity;
        copy->writes = memory_realloc(copy->writes, copy->capacity * sizeof(*copy->writes));
    }
    copy->writes[copy->count++] = write;
}

static void follow(struct node *node) {
    struct world *world = node->world;
    struct node *primary = node_of(world, &node->primary);
    if (primary == NULL || primary->member == NULL || primary->role != MEMBER_PRIMARY ||
        primary->epoch != node->epoch || is_cut(world, node->number, primary->number) ||
        primary->paused_until > world->now_ms || world_below(world, 8) == 0) {
        return;
    }
    const struct copy *from = &primary->copy;
    struct copy *copy = &node->copy;
    size_t same = 0;
    size_t limit = copy->count < from->count ? copy->count : from->count;
    same = limit;
    while (same > 0 && copy->writes[same - 1] != from->writes[same - 1]) {
        same--;
    }
    copy->count = same;
    copy->history = from->history;
    for (size_t i = 0; i < COPY_WRITES && copy->count < from->count; i++) {
        copy_push(copy, from->writes[copy->count]);
    }
    primary->follower_position[node->number] = copy->count;
    primary->follower_heard[node->number] = world->now_ms;
}

static uint64_t shard_name(const struct node *node) {
    uint16_t me = map_find(node->map, node->id.bytes);
    uint64_t name = 0;
    memcpy(&name, node->map->shards[node->map->nodes[me].shard].id, sizeof(name));
    return name | 1;
}

static void promise(struct world *world, uint64_t write, uint64_t shard) {
    if (write >= world->promised_capacity) {
        size_t capacity = 2 * (size_t)write + 64;
        world->promised = memory_realloc(world->promised, capacity * sizeof(uint64_t));
        memset(world->promised + world->promised_capacity, 0,
               (capacity - world->promised_capacity) * sizeof(uint64_t));
        world->promised_capacity = capacity;
    }
    world->promised[write] = shard;
    world->promised_count++;
}

bool world_may_serve(const struct node *node) {
    return node->member != NULL && node->role == MEMBER_PRIMARY &&
           world_clock(node) < node->lease_until;
}

/* What the quorum holds is acknowledged: members of the in-sync set alone count. */
static void acknowledge(struct node *node) {
    struct world *world = node->world;
    uint16_t quorum = node->quorum > world->quorum ? node->quorum : world->quorum;
    while (node->acknowledged < node->copy.count && world_may_serve(node)) {
        uint16_t holders = 1;
        for (size_t i = 0; i < node->peer_count; i++) {
            const struct node *peer = node_of(world, &node->peers[i]);
            holders =
                (uint16_t)(holders + (peer != NULL && node->follower_heard[peer->number] != 0 &&
                                      node->follower_position[peer->number] > node->acknowledged));
        }
        if (holders < quorum) {
            break;
        }
        uint64_t write = node->copy.writes[node->acknowledged++];
        world->acknowledged++;
        if (quorum >= 2) {
            promise(world, write, shard_name(node));
        }
    }
}

static void replication_tell(struct node *node) {
    struct member_follower followers[WORLD_NODES_MAX];
    struct member_replication state = {
        .is_loaded = true,
        .is_whole = true,
        .is_paused = node->is_paused,
        .is_stopped = node->is_stopped,
        .role_epoch = node->epoch,
        .history = {.epoch = node->copy.history},
        .position = node->copy.count,
        .workers_ms = world_clock(node),
        .followers = followers,
    };
    for (size_t i = 0; node->role == MEMBER_PRIMARY && i < node->world->count; i++) {
        if (node->follower_heard[i] != 0 && node->world->now_ms - node->follower_heard[i] < 200) {
            followers[state.follower_count++] =
                (struct member_follower){.id = node->world->nodes[i].id,
                                         .position = node->follower_position[i],
                                         .heard_ms = world_clock(node)};
        }
    }
    member_replication_set(node->member, &state, world_clock(node));
}

static void serve(struct node *node) {
    struct world *world = node->world;
    if (node->role == MEMBER_WAITS) {
        node->is_stopped = node->is_stopped || world_below(world, 2) == 0;
    } else if (node->role == MEMBER_REPLICA) {
        follow(node);
    } else if (world_may_serve(node) && !node->is_paused && world_below(world, 4) == 0) {
        copy_push(&node->copy, ++world->writes);
    }
    if (node->role == MEMBER_PRIMARY) {
        acknowledge(node);
    }
    if (world_below(world, 4) == 0) {
        replication_tell(node);
    }
}

/* ---- checks ---- */

static bool holds_promised(const struct world *world, const struct node *node, uint64_t shard) {
    size_t count = 0;
    size_t held = 0;
    for (uint64_t write = 1; write <= world->writes && write < world->promised_capacity; write++) {
        count += world->promised[write] == shard;
    }
    for (size_t i = 0; i < node->copy.count; i++) {
        uint64_t write = node->copy.writes[i];
        held += write < world->promised_capacity && world->promised[write] == shard;
    }
    return held == count;
}

static void check_node(struct world *world, struct node *node) {
    if (!world_may_serve(node)) {
        return;
    }
    uint64_t shard = shard_name(node);
    if (world->quorum >= 2 && world_below(world, 16) == 0) {
        world_that(world, holds_promised(world, node, shard),
                   "a primary holds what a quorum acknowledged");
    }
    for (size_t i = node->number + 1; i < world->count; i++) {
        const struct node *other = &world->nodes[i];
        world_that(world, !world_may_serve(other) || shard_name(other) != shard,
                   "of a shard, one node serves at a time");
    }
}

/* ---- turns ---- */

static void deliver(struct world *world, const struct packet *packet) {
    struct node *node = &world->nodes[packet->target];
    const struct node *source = &world->nodes[packet->source];
    if (node->member != NULL && node->is_linked[source->number]) {
        bool is_known = member_receive(node->member, &source->id,
                                       span_of(packet->bytes, packet->length), world_clock(node));
        world_that(world, is_known, "what a node sends is a message");
    }
}

static void receive_all(struct world *world) {
    struct packet packet;
    while (network_take(&world->network, world->now_ms, &packet)) {
        struct node *node = &world->nodes[packet.target];
        if (node->member != NULL && node->paused_until > world->now_ms) {
            network_put_back(&world->network, &packet, node->paused_until);
            continue;
        }
        deliver(world, &packet);
        memory_free(packet.bytes);
    }
}

static void learn_name(struct node *node) {
    struct member_status status;
    member_status_read(node->member, &status);
    if (!raft_id_equal(&status.id, &node->id)) {
        rename_node(node, &status.id);
    }
    node->group = status.group;
}

static void node_turn(struct node *node) {
    struct world *world = node->world;
    if (node->member == NULL || node->paused_until > world->now_ms) {
        return;
    }
    learn_name(node);
    if (world->now_ms % 50 == 0) {
        links_make(node);
    }
    if (world_clock(node) >= member_tick_ms(node->member)) {
        member_tick(node->member, world_clock(node));
    }
    learn_name(node);
    serve(node);
}

void world_turn(struct world *world) {
    world->now_ms += WORLD_TURN_MS;
    for (size_t i = 0; i < world->count; i++) {
        struct node *node = &world->nodes[i];
        if (node->member == NULL && node->down_until != 0 && node->down_until <= world->now_ms) {
            node->down_until = 0;
            world_start(node);
        }
    }
    receive_all(world);
    for (size_t i = 0; i < world->count; i++) {
        node_turn(&world->nodes[i]);
    }
    for (size_t i = 0; i < world->count; i++) {
        check_node(world, &world->nodes[i]);
    }
}

/* ---- wishes ---- */

void world_meet(struct node *node, const struct node *other, uint64_t ticket) {
    char ip[MAP_IP_BYTES];
    address_of(other, ip);
    node->world->answers[ticket].is_there = false;
    member_meet(node->member, ticket, ip, (uint16_t)(other->port + 10000), world_clock(node));
}

void world_propose(struct node *node, const struct map_change *changes, size_t count,
                   uint64_t ticket) {
    struct buffer bytes = BUFFER_EMPTY;
    for (size_t i = 0; i < count; i++) {
        map_change_write(&changes[i], &bytes);
    }
    node->world->answers[ticket].is_there = false;
    member_propose(node->member, ticket, buffer_span(&bytes), world_clock(node));
    buffer_free(&bytes);
}

void world_print(struct world *world) {
    static const char *const roles[] = {"waits", "primary", "replica"};
    for (size_t i = 0; i < WORLD_ANSWERS_MAX; i++) {
        if (world->answers[i].error[0] != '\0') {
            printf("  answer %zu: %s\n", i, world->answers[i].error);
        }
    }
    for (size_t i = 0; i < world->count; i++) {
        const struct node *node = &world->nodes[i];
        if (node->member == NULL) {
            printf("  node %zu is down\n", i);
            continue;
        }
        char id[MAP_ID_TEXT_BYTES];
        char group[MAP_ID_TEXT_BYTES];
        struct member_status status;
        member_status_read(node->member, &status);
        printf("  node %zu %.8s group %.8s %s%s %s epoch %llu lease %lld position %zu index %llu "
               "nodes %u paused %d problem %s\n",
               i, map_id_format(id, status.id.bytes), map_id_format(group, status.group.bytes),
               status.is_leader ? "leader" : "", status.is_voter ? " voter" : "", roles[node->role],
               (unsigned long long)node->epoch,
               node->lease_until == UINT64_MAX
                   ? -1LL
                   : (long long)node->lease_until - (long long)world_clock(node),
               node->copy.count, node->map == NULL ? 0ULL : (unsigned long long)node->map->index,
               node->map == NULL ? 0u : node->map->nodes_count, node->is_paused,
               status.problem == NULL ? "-" : status.problem);
    }
}
