#include "worker/key_holds.h"

#include "base/memory.h"
#include "worker/transactions.h"
#include "worker/worker.h"

#define KEYS_AT_ONCE 64

struct key_holds *key_holds_new(void) {
    struct key_holds *holds = memory_alloc_zeroed(sizeof(*holds));
    int failed = pthread_mutex_init(&holds->mutex, NULL);
    ASSERT(failed == 0);
    for (size_t i = 0; i < KEY_HOLDS_BUCKETS; i++) {
        list_init(&holds->buckets[i]);
    }
    return holds;
}

void key_holds_free(struct key_holds *holds) {
    ASSERT(atomic_load(&holds->count) == 0);
    pthread_mutex_destroy(&holds->mutex);
    memory_free(holds);
}

/* With the mutex. */
static struct key_hold *find(struct key_holds *holds, uint64_t hash, struct span key) {
    LIST_FOR_EACH(link, &holds->buckets[hash % KEY_HOLDS_BUCKETS]) {
        struct key_hold *hold = LIST_ENTRY(link, struct key_hold, link);
        if (hold->hash == hash && span_equal(hold->key, key)) {
            return hold;
        }
    }
    return NULL;
}

static uint64_t hash_of(const struct node *node, struct span key) {
    return store_hash(node->keyspace->stores[0], key);
}

/* ---- holders ---- */

bool key_holds_add(struct node *node, struct key_hold *hold) {
    struct key_holds *holds = node->key_holds;
    list_init(&hold->link);
    hold->hash = hash_of(node, hold->key);
    pthread_mutex_lock(&holds->mutex);
    const struct key_hold *found = find(holds, hold->hash, hold->key);
    bool is_ours = found == NULL || found->owner == hold->owner;
    if (found == NULL) {
        list_push_back(&holds->buckets[hold->hash % KEY_HOLDS_BUCKETS], &hold->link);
        atomic_fetch_add(&holds->count, 1);
    }
    pthread_mutex_unlock(&holds->mutex);
    return is_ours;
}

void key_holds_remove(struct node *node, struct key_hold *hold) {
    struct key_holds *holds = node->key_holds;
    pthread_mutex_lock(&holds->mutex);
    if (list_is_linked(&hold->link)) {
        list_remove(&hold->link);
        atomic_fetch_sub(&holds->count, 1);
    }
    pthread_mutex_unlock(&holds->mutex);
}

void key_holds_wake(struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        loop_wake(node->workers[i]->loop);
    }
}

/* ---- who has to wait ---- */

static bool has_any(const struct node *node, const struct span *args, const uint32_t *indexes,
                    int count) {
    struct key_holds *holds = node->key_holds;
    bool is_held = false;
    pthread_mutex_lock(&holds->mutex);
    for (int i = 0; i < count && !is_held; i++) {
        struct span key = args[indexes[i]];
        is_held = find(holds, hash_of(node, key), key) != NULL;
    }
    pthread_mutex_unlock(&holds->mutex);
    return is_held;
}

static bool command_waits(const struct node *node, const struct command *command,
                          const struct span *args, uint32_t args_count) {
    if ((command->flags & COMMAND_WRITE) == 0) {
        return false;
    }
    uint32_t at_once[KEYS_AT_ONCE];
    int count = command_keys(command, args, args_count, at_once, KEYS_AT_ONCE);
    if (count == 0) {
        return command->keys[0].flags == 0;
    }
    if (LIKELY(count <= KEYS_AT_ONCE)) {
        return has_any(node, args, at_once, count);
    }
    uint32_t *indexes = memory_alloc((size_t)count * sizeof(*indexes));
    command_keys(command, args, args_count, indexes, count);
    bool waits = has_any(node, args, indexes, count);
    memory_free(indexes);
    return waits;
}

bool key_holds_wait(const struct node *node, const struct connection *connection,
                    const struct request *request) {
    const struct command *command = request->command->command;
    if (!key_holds_any(node)) {
        return false;
    }
    if ((command->rules & RULE_RUNS_QUEUE) == 0) {
        bool is_queued =
            connection_in_multi(connection) && (command->rules & RULE_NEVER_QUEUED) == 0;
        return !is_queued &&
               command_waits(node, command, request_args(connection, request), request->args_count);
    }
    const struct transaction *transaction = connection->transaction;
    for (uint32_t i = 0; transaction != NULL && i < transaction->commands_count; i++) {
        const struct queued_command *queued = &transaction->commands[i];
        if (command_waits(node, queued->command->command, queued->args, queued->args_count)) {
            return true;
        }
    }
    return false;
}
