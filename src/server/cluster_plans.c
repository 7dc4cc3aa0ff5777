/* Plans about nodes, and what all plans share. */
#include "server/cluster_plans.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "server/server.h"

#include <arpa/inet.h>
#include <stdarg.h>

/* ---- shared ---- */

void plan_refuse(struct cluster_plan *plan, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buffer_append_string(plan->error, "ERR ");
    buffer_format_arguments(plan->error, format, arguments);
    va_end(arguments);
}

struct map_change *plan_change_new(const struct cluster_plan *plan, enum map_change_kind kind) {
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    change->kind = kind;
    memcpy(change->node, plan->map->nodes[plan->myself].id, MAP_ID_BYTES);
    return change;
}

void plan_change(struct cluster_plan *plan, struct map_change *change) {
    map_change_write(change, plan->entry);
    memory_free(change);
}

void plan_peer(const struct cluster_plan *plan, struct map_change *change, uint16_t node) {
    memcpy(change->peer, plan->map->nodes[node].id, MAP_ID_BYTES);
}

bool plan_slot(struct cluster_plan *plan, struct span text, uint16_t *slot) {
    int64_t number;
    if (!number_parse(text, &number) || number < 0 || number >= SLOTS) {
        plan_refuse(plan, "Invalid or out of range slot");
        return false;
    }
    *slot = (uint16_t)number;
    return true;
}

uint64_t plan_keys(const struct cluster_plan *plan) {
    const struct keyspace *keyspace = plan->server->node.keyspace;
    uint64_t keys = 0;
    for (uint32_t i = 0; i < keyspace->database_count; i++) {
        keys += keyspace_keys(keyspace, i);
    }
    return keys;
}

static void refuse_unknown(struct cluster_plan *plan, struct span id) {
    plan_refuse(plan, "Unknown node %.*s", (int)id.length, id.bytes);
}

static bool is_primary(const struct cluster_plan *plan) {
    return map_is_primary(plan->map, plan->myself);
}

/* ---- MEET ---- */

static bool is_port(int64_t port) {
    return port > 0 && port <= UINT16_MAX;
}

static bool is_address(const char *text) {
    struct in6_addr address;
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

void plan_meet(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    int64_t port;
    int64_t bus_port;
    if (!number_parse(args[3], &port)) {
        plan_refuse(plan, "Invalid TCP base port specified: %.*s", (int)args[3].length,
                    args[3].bytes);
        return;
    }
    if (args_count == 5 && !number_parse(args[4], &bus_port)) {
        plan_refuse(plan, "Invalid TCP bus port specified: %.*s", (int)args[4].length,
                    args[4].bytes);
        return;
    }
    if (args_count != 5) {
        bus_port = is_port(port) ? port + CLUSTER_BUS_PORT_DISTANCE : 0;
    }
    struct cluster_wish wish = {.kind = CLUSTER_WISH_MEET};
    if (args[2].length < sizeof(wish.ip)) {
        memcpy(wish.ip, args[2].bytes, args[2].length);
    }
    if (!is_address(wish.ip) || !is_port(port) || !is_port(bus_port)) {
        plan_refuse(plan, "Invalid node address specified: %.*s:%.*s", (int)args[2].length,
                    args[2].bytes, (int)args[3].length, args[3].bytes);
        return;
    }
    wish.port = (uint16_t)port;
    wish.bus_port = (uint16_t)bus_port;
    *plan->wish = wish;
}

/* ---- FORGET, REPLICATE ---- */

/* redis-cli tells each node to forget, and the first has done it for all. */
void plan_forget(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    (void)args_count;
    uint16_t node = map_find_text(plan->map, args[2]);
    if (node == MAP_NOBODY) {
        if (!cluster_was_forgotten(plan->server->seat, args[2])) {
            refuse_unknown(plan, args[2]);
        }
    } else if (node == plan->myself) {
        plan_refuse(plan, "I tried hard but I can't forget myself...");
    } else if (node == map_primary_of(plan->map, plan->myself)) {
        plan_refuse(plan, "Can't forget my master!");
    } else {
        struct map_change *change = plan_change_new(plan, MAP_NODE_REMOVE);
        memcpy(change->node, plan->map->nodes[node].id, MAP_ID_BYTES);
        plan_change(plan, change);
    }
}

void plan_replicate(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    (void)args_count;
    uint16_t node = map_find_text(plan->map, args[2]);
    if (node == MAP_NOBODY) {
        refuse_unknown(plan, args[2]);
        return;
    }
    if (node == plan->myself) {
        plan_refuse(plan, "Can't replicate myself");
        return;
    }
    if (!map_is_primary(plan->map, node)) {
        plan_refuse(plan, "I can only replicate a master, not a replica.");
        return;
    }
    uint16_t shard = plan->map->nodes[plan->myself].shard;
    if (is_primary(plan) && (plan->map->shards[shard].slots > 0 || plan_keys(plan) > 0)) {
        plan_refuse(plan, "To set a master the node must be empty and without assigned slots.");
        return;
    }
    struct map_change *change = plan_change_new(plan, MAP_REPLICATE);
    plan_peer(plan, change, node);
    plan_change(plan, change);
}

/* ---- FAILOVER, RESET ---- */

static void refuse_syntax(struct cluster_plan *plan) {
    plan_refuse(plan, "syntax error");
}

void plan_failover(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    enum cluster_failover kind = CLUSTER_FAILOVER_ORDERLY;
    if (args_count > 2) {
        bool is_force = span_is(args[2], "force");
        if (args_count > 3 || (!is_force && !span_is(args[2], "takeover"))) {
            refuse_syntax(plan);
            return;
        }
        kind = is_force ? CLUSTER_FAILOVER_FORCE : CLUSTER_FAILOVER_TAKEOVER;
    }
    if (is_primary(plan)) {
        plan_refuse(plan, "You should send CLUSTER FAILOVER to a replica");
        return;
    }
    const struct map_node *primary = &plan->map->nodes[map_primary_of(plan->map, plan->myself)];
    if (kind == CLUSTER_FAILOVER_ORDERLY && primary->has_failed) {
        plan_refuse(plan, "Master is down or failed, please use CLUSTER FAILOVER FORCE");
        return;
    }
    *plan->wish = (struct cluster_wish){.kind = CLUSTER_WISH_FAILOVER, .failover = kind};
}

void plan_reset(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    bool is_hard = args_count > 2 && span_is(args[2], "hard");
    if (args_count > 3 || (args_count > 2 && !is_hard && !span_is(args[2], "soft"))) {
        refuse_syntax(plan);
        return;
    }
    struct cluster_seat *seat = plan->server->seat;
    if (is_primary(plan) && plan_keys(plan) > 0 && !seat->has_copy) {
        plan_refuse(plan, "CLUSTER RESET can't be called with master nodes containing keys");
        return;
    }
    seat->drops_copy = true;
    cluster_drop_copy(seat); /* at once where it was forgotten already */
    *plan->wish = (struct cluster_wish){.kind = CLUSTER_WISH_RESET, .is_hard = is_hard};
}

/* ---- epochs ---- */

static uint64_t config_epoch(const struct map *map, uint16_t node) {
    return map->shards[map->nodes[node].shard].config_epoch;
}

void plan_override(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    (void)args;
    (void)args_count;
    *plan->wish = (struct cluster_wish){.kind = CLUSTER_WISH_OVERRIDE};
}

void plan_bump_epoch(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    (void)args;
    (void)args_count;
    size_t from = plan->entry->length;
    plan_change(plan, plan_change_new(plan, MAP_EPOCH_BUMP));
    struct span change = span_of(plan->entry->bytes + from, plan->entry->length - from);
    struct map *bumped = map_change_apply(plan->map, plan->map->index, change, plan->error);
    if (bumped == NULL) {
        return;
    }
    uint64_t epoch = config_epoch(bumped, plan->myself);
    bool is_still = epoch == config_epoch(plan->map, plan->myself);
    map_return(bumped);
    buffer_format(plan->status, "%s %llu", is_still ? "STILL" : "BUMPED",
                  (unsigned long long)epoch);
    buffer_append_byte(plan->status, '\0');
    if (is_still) {
        plan->entry->length = from;
    }
}

void plan_set_epoch(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    (void)args_count;
    int64_t epoch;
    if (!number_parse(args[2], &epoch)) {
        plan_refuse(plan, "value is not an integer or out of range");
        return;
    }
    if (epoch < 0) {
        plan_refuse(plan, "Invalid config epoch specified: %lld", (long long)epoch);
        return;
    }
    struct map_change *change = plan_change_new(plan, MAP_CONFIG_EPOCH);
    change->epoch = (uint64_t)epoch;
    plan_change(plan, change);
}
