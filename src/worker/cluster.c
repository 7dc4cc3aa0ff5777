#include "worker/cluster.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/route.h"
#include "worker/transactions.h"

#define KEYS_AT_ONCE 64

void cluster_set_map(struct cluster *cluster, struct map *map, uint16_t myself) {
    struct map *before = cluster->map;
    cluster->map = map_borrow(map);
    cluster->myself = myself;
    cluster->is_primary = map_primary_of(map, myself) == myself;
    slot_set_clear(&cluster->plain);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (map_slot_owner(map, (uint16_t)slot) == myself &&
            map->slots[slot].migrating_to == MAP_NOBODY) {
            slot_set_add(&cluster->plain, (uint16_t)slot);
        }
    }
    map_return(before);
}

/* ---- the lease ---- */

void cluster_read_lease(struct worker *worker) {
    const struct cluster *cluster = worker->node->cluster;
    worker->boot_ms = (uint64_t)clock_boot_ms();
    atomic_store_explicit(&worker->seen_ms, worker->boot_ms, memory_order_relaxed);
    worker->lease_until_ms = atomic_load(&cluster->lease_until_ms);
    worker->lease_holds = !cluster->is_primary || worker->boot_ms < worker->lease_until_ms;
    worker->lacks_lease = !worker->lease_holds;
}

void cluster_check_lease(struct worker *worker) {
    worker->lease_holds =
        worker->lease_until_ms == UINT64_MAX || (uint64_t)clock_boot_ms() < worker->lease_until_ms;
}

/* ---- what a request asks for ---- */

/* The arguments that name slots, of one command or of all that EXEC runs. */
struct inquiry {
    const struct worker *worker;
    const struct connection *connection;
    const struct request *request;
    uint32_t names; /* keys and sharded channels */
    uint16_t slot;  /* of the first, and of all unless it crosses slots */
    bool crosses_slots;
    bool is_counting;
    struct redirect_keys keys; /* if is_counting */
};

static void count_key(struct inquiry *inquiry, struct span key) {
    const struct store *store = inquiry->worker->store;
    const uint64_t *cell = store_find(store, inquiry->connection->database, inquiry->slot,
                                      store_hash(store, key), key);
    int64_t expiry_ms = cell == NULL ? 0 : entry_expiry(table_cell_element(*cell));
    bool is_here =
        cell != NULL && (expiry_ms == ENTRY_NO_EXPIRY || expiry_ms > inquiry->worker->now_ms);
    inquiry->keys.here += is_here;
    inquiry->keys.missing += !is_here;
}

static void look_at_name(struct inquiry *inquiry, struct span name) {
    if (inquiry->is_counting) {
        count_key(inquiry, name);
        return;
    }
    uint16_t slot = slot_of_key(name);
    if (inquiry->names++ == 0) {
        inquiry->slot = slot;
    }
    inquiry->crosses_slots |= slot != inquiry->slot;
}

/* Channels of sharded publish/subscribe have slots, too. */
static void look_at_channels(struct inquiry *inquiry, const struct key_spec *spec,
                             const struct span *args, uint32_t args_count) {
    uint32_t last = spec->last < 0 ? args_count - 1 : (uint32_t)(spec->begin + spec->last);
    for (uint32_t i = (uint32_t)spec->begin; i <= last && i < args_count; i++) {
        look_at_name(inquiry, args[i]);
    }
}

static void look_at_command(struct inquiry *inquiry, const struct command *command,
                            const struct span *args, uint32_t args_count) {
    if ((command->keys[0].flags & KEY_NOT_KEY) != 0) {
        look_at_channels(inquiry, &command->keys[0], args, args_count);
        return;
    }
    uint32_t at_once[KEYS_AT_ONCE];
    uint32_t *indexes = at_once;
    int count = command_keys(command, args, args_count, indexes, KEYS_AT_ONCE);
    if (UNLIKELY(count > KEYS_AT_ONCE)) {
        indexes = memory_alloc((size_t)count * sizeof(*indexes));
        command_keys(command, args, args_count, indexes, count);
    }
    for (int i = 0; i < count; i++) {
        look_at_name(inquiry, args[indexes[i]]);
    }
    if (UNLIKELY(indexes != at_once)) {
        memory_free(indexes);
    }
}

static void look_at_all(struct inquiry *inquiry) {
    const struct request *request = inquiry->request;
    const struct command *command = request->command->command;
    if ((command->rules & RULE_RUNS_QUEUE) == 0) {
        look_at_command(inquiry, command, request_args(inquiry->connection, request),
                        request->args_count);
        return;
    }
    const struct transaction *transaction = inquiry->connection->transaction;
    for (uint32_t i = 0; transaction != NULL && i < transaction->commands_count; i++) {
        const struct queued_command *queued = &transaction->commands[i];
        look_at_command(inquiry, queued->command->command, queued->args, queued->args_count);
    }
}

static void count_keys(void *context, struct redirect_keys *keys) {
    struct inquiry *inquiry = context;
    inquiry->is_counting = true;
    look_at_all(inquiry);
    *keys = inquiry->keys;
}

/* ---- the decision ---- */

/* Only the owner's worker knows which keys are here. */
static bool is_for_owner(const struct inquiry *inquiry, const struct cluster *cluster) {
    const struct map_slot *slot = &cluster->map->slots[inquiry->slot];
    bool is_moving = slot->migrating_to != MAP_NOBODY || slot->importer != MAP_NOBODY;
    return is_moving && !store_owns(inquiry->worker->store, inquiry->slot);
}

/* Inside MULTI a command is queued where the connection is. */
static bool is_queued(const struct inquiry *inquiry) {
    return connection_in_multi(inquiry->connection) &&
           (inquiry->request->command->command->rules & RULE_NEVER_QUEUED) == 0;
}

static void count_none(void *context, struct redirect_keys *keys) {
    (void)context;
    *keys = (struct redirect_keys){.here = 0};
}

static enum redirect_kind decide(struct inquiry *inquiry, const struct cluster *cluster,
                                 uint16_t *target) {
    const struct command_slot *command = inquiry->request->command;
    unsigned flags = command->command->flags;
    const unsigned writes = COMMAND_WRITE | COMMAND_MAY_REPLICATE;
    struct redirect_plan plan = {
        .map = cluster->map,
        .myself = cluster->myself,
        .state = cluster->state,
        .count = is_queued(inquiry) ? count_none : count_keys,
        .context = inquiry,
    };
    struct redirect_request request = {
        .slot = inquiry->slot,
        .writes = (flags & writes) != 0 || ((command->command->rules & RULE_RUNS_QUEUE) != 0 &&
                                            transaction_has_flag(inquiry->connection, writes)),
        .is_sharded_pubsub = (command->command->keys[0].flags & KEY_NOT_KEY) != 0,
        .is_migrate = (command->command->rules & RULE_MOVES_KEYS) != 0,
        .is_asking =
            (inquiry->connection->flags & CONNECTION_ASKING) != 0 || (flags & COMMAND_ASKING) != 0,
        .client_is_readonly = (inquiry->connection->flags & CONNECTION_READONLY) != 0,
        .has_many_keys = inquiry->names > 1,
    };
    return redirect_decide(&plan, &request, target);
}

enum cluster_admission cluster_admit(struct worker *worker, const struct connection *connection,
                                     const struct request *request, struct buffer *error) {
    const struct cluster *cluster = worker->node->cluster;
    struct inquiry inquiry = {.worker = worker, .connection = connection, .request = request};
    if (LIKELY(request->first_key != 0) && request_has_one_key(request)) {
        inquiry.names = 1;
        inquiry.slot = request->first_slot;
    } else {
        look_at_all(&inquiry);
    }
    if (inquiry.names == 0) {
        return CLUSTER_SERVED;
    }
    /* As in Redis, that nobody serves the first key comes before what the others are. */
    if (inquiry.crosses_slots && map_slot_owner(cluster->map, inquiry.slot) != MAP_NOBODY) {
        buffer_append_string(error, REDIRECT_CROSSSLOT);
        return CLUSTER_REFUSED;
    }
    if (UNLIKELY(is_for_owner(&inquiry, cluster)) && !is_queued(&inquiry)) {
        return CLUSTER_SERVED;
    }
    uint16_t target = MAP_NOBODY;
    enum redirect_kind kind = decide(&inquiry, cluster, &target);
    if (LIKELY(kind == REDIRECT_NONE)) {
        return CLUSTER_SERVED;
    }
    struct map_view view = cluster_view(cluster, NULL);
    redirect_format(&view, kind, inquiry.slot, target, error);
    return CLUSTER_REFUSED;
}
