#include "worker/route.h"

#include "base/memory.h"
#include "commands/keyspace_commands.h"
#include "worker/pubsub.h"
#include "worker/transactions.h"

#define KEYS_AT_ONCE 64

static uint64_t owners_of(const struct node *node, const struct span *args, const uint32_t *indexes,
                          int count) {
    uint64_t owners = 0;
    for (int i = 0; i < count; i++) {
        owners |= UINT64_C(1) << node->keyspace->owners[slot_of_key(args[indexes[i]])];
    }
    return owners;
}

uint64_t route_key_owners(const struct node *node, const struct command *command,
                          const struct span *args, uint32_t args_count) {
    uint32_t indexes[KEYS_AT_ONCE];
    int count = command_keys(command, args, args_count, indexes, KEYS_AT_ONCE);
    if (LIKELY(count <= KEYS_AT_ONCE)) {
        return owners_of(node, args, indexes, count);
    }
    uint32_t *all = memory_try_alloc((size_t)count * sizeof(*all));
    if (all == NULL) {
        return STOP_ALL_WORKERS; /* Which is always enough. */
    }
    command_keys(command, args, args_count, all, count);
    uint64_t owners = owners_of(node, args, all, count);
    memory_free(all);
    return owners;
}

static bool is_one_bit(uint64_t bits) {
    return (bits & (bits - 1)) == 0;
}

/* Where the bits say that a command must run. */
static enum route_kind to_owners(const struct worker *worker, uint64_t owners,
                                 struct route *route) {
    if (owners == 0 || owners == UINT64_C(1) << worker->index) {
        return ROUTE_HERE;
    }
    if (is_one_bit(owners)) {
        route->target = (uint32_t)__builtin_ctzll(owners);
        return ROUTE_TRAVEL;
    }
    route->stopped = owners;
    return ROUTE_STOP;
}

static enum route_kind to_home(const struct worker *worker, const struct connection *connection,
                               struct route *route) {
    if (connection->home == worker) {
        return ROUTE_HERE;
    }
    route->target = connection->home->index;
    return ROUTE_TRAVEL;
}

static enum route_kind to_exec(const struct worker *worker, const struct connection *connection,
                               struct route *route) {
    bool needs_home = false;
    uint64_t owners = transaction_workers(worker->node, connection, &needs_home);
    if (needs_home && owners != 0) {
        owners |= UINT64_C(1) << connection->home->index;
        if (!is_one_bit(owners)) {
            route->stopped = owners;
            return ROUTE_STOP;
        }
    }
    return owners == 0 ? to_home(worker, connection, route) : to_owners(worker, owners, route);
}

uint32_t route_next_part(const struct node *node, const struct command *command, uint32_t from) {
    return (command->flags & COMMAND_PUBSUB) != 0 ? pubsub_next_worker(node, from) : from;
}

enum route_kind route_find(const struct worker *worker, const struct connection *connection,
                           const struct request *request, struct route *route) {
    const struct node *node = worker->node;
    const struct command *command = request->command->command;
    if ((command->flags & COMMAND_ALL_WORKERS) != 0) {
        route->stopped = STOP_ALL_WORKERS;
        return ROUTE_STOP;
    }
    if ((command->flags & COMMAND_GATHERS) != 0) {
        uint32_t next = connection->gather.store_count == 0 ? route_next_part(node, command, 0)
                                                            : connection->gather.store_index;
        /* Nobody is to be asked: the only part is here. */
        return next == node->worker_count ? ROUTE_HERE
                                          : to_owners(worker, UINT64_C(1) << next, route);
    }
    if (command->session != NULL && (command->flags & COMMAND_BY_KEYS) == 0) {
        return (command->rules & RULE_RUNS_QUEUE) != 0 ? to_exec(worker, connection, route)
                                                       : to_home(worker, connection, route);
    }
    const struct span *args = request_args(connection, request);
    if ((command->flags & COMMAND_BY_CURSOR) != 0) {
        uint64_t cursor = 0;
        bool is_cursor = scan_cursor_parse(args[1], &cursor);
        uint16_t slot = is_cursor ? scan_cursor_slot(cursor) : 0;
        return to_owners(worker, UINT64_C(1) << node->keyspace->owners[slot], route);
    }
    uint64_t owners = request_has_one_key(request)
                          ? UINT64_C(1) << node->keyspace->owners[request->first_slot]
                          : route_key_owners(node, command, args, request->args_count);
    return to_owners(worker, owners, route);
}
