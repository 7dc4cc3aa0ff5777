#include "execute/transaction.h"

#include "base/memory.h"

void transaction_init(struct transaction *transaction) {
    *transaction = (struct transaction){0};
}

static void queued_free(struct queued_command *queued) {
    for (uint32_t i = 0; queued->blocks != NULL && i < queued->args_count; i++) {
        block_release(queued->blocks[i]);
    }
    memory_free(queued->blocks);
    memory_free(queued->args);
}

void transaction_close(struct transaction *transaction) {
    for (uint32_t i = 0; i < transaction->commands_count; i++) {
        queued_free(&transaction->commands[i]);
    }
    memory_free(transaction->commands);
    transaction->commands = NULL;
    transaction->commands_count = 0;
    transaction->commands_capacity = 0;
    transaction->queued_bytes = 0;
    transaction->is_open = false;
    transaction->is_aborted = false;
}

void transaction_unwatch(struct transaction *transaction) {
    for (uint32_t i = 0; i < transaction->watched_count; i++) {
        memory_free((void *)(uintptr_t)transaction->watched[i].key.bytes);
    }
    memory_free(transaction->watched);
    transaction->watched = NULL;
    transaction->watched_count = 0;
    transaction->watched_capacity = 0;
}

void transaction_free(struct transaction *transaction) {
    transaction_close(transaction);
    transaction_unwatch(transaction);
}

static size_t copied_bytes(const struct queued_command *queued) {
    size_t bytes = queued->args_count * sizeof(struct span);
    for (uint32_t i = 0; i < queued->args_count; i++) {
        bool is_block = queued->blocks != NULL && queued->blocks[i] != NULL;
        bytes += is_block ? 0 : queued->args[i].length;
    }
    return bytes;
}

/* Copies arguments into one allocation: the spans, then the bytes of those that are no blocks.
 * NULL: there is no memory for them. */
static struct span *args_copy(const struct queued_command *queued) {
    struct span *copy = memory_try_alloc(copied_bytes(queued));
    if (copy == NULL) {
        return NULL;
    }
    char *place = (char *)(copy + queued->args_count);
    for (uint32_t i = 0; i < queued->args_count; i++) {
        struct span argument = queued->args[i];
        if (queued->blocks != NULL && queued->blocks[i] != NULL) {
            copy[i] = argument;
            continue;
        }
        copy[i] = span_of(place, argument.length);
        if (argument.length != 0) {
            memcpy(place, argument.bytes, argument.length);
        }
        place += argument.length;
    }
    return copy;
}

/* Holds the blocks once more, and answers the bytes in them. */
static size_t blocks_hold(struct queued_command *copy, struct block *const *blocks) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < copy->args_count; i++) {
        copy->blocks[i] = blocks[i] == NULL ? NULL : block_hold(blocks[i]);
        bytes += blocks[i] == NULL ? 0 : blocks[i]->length;
    }
    return bytes;
}

static bool commands_grow(struct transaction *transaction) {
    size_t capacity = (size_t)transaction->commands_capacity * 2 + 4;
    struct queued_command *commands =
        capacity > UINT32_MAX
            ? NULL
            : memory_try_realloc(transaction->commands, capacity * sizeof(struct queued_command));
    if (commands == NULL) {
        return false;
    }
    transaction->commands = commands;
    transaction->commands_capacity = (uint32_t)capacity;
    return true;
}

bool transaction_queue(struct transaction *transaction, const struct queued_command *command) {
    if (transaction->commands_count == transaction->commands_capacity &&
        !commands_grow(transaction)) {
        return false;
    }
    struct queued_command copy = {.command = command->command, .args_count = command->args_count};
    size_t size_bytes = copied_bytes(command);
    copy.args = args_copy(command);
    if (copy.args == NULL) {
        return false;
    }
    if (command->blocks != NULL) {
        copy.blocks = memory_try_alloc(copy.args_count * sizeof(struct block *));
        if (copy.blocks == NULL) {
            memory_free(copy.args);
            return false;
        }
        size_bytes += blocks_hold(&copy, command->blocks);
    }
    transaction->commands[transaction->commands_count++] = copy;
    transaction->queued_bytes += size_bytes;
    return true;
}

struct watched_key *transaction_watched(struct transaction *transaction, uint32_t database,
                                        struct span key) {
    for (uint32_t i = 0; i < transaction->watched_count; i++) {
        struct watched_key *watched = &transaction->watched[i];
        if (watched->database == database && span_equal(watched->key, key)) {
            return watched;
        }
    }
    return NULL;
}

static bool watched_grow(struct transaction *transaction) {
    size_t capacity = (size_t)transaction->watched_capacity * 2 + 4;
    struct watched_key *watched =
        capacity > UINT32_MAX
            ? NULL
            : memory_try_realloc(transaction->watched, capacity * sizeof(struct watched_key));
    if (watched == NULL) {
        return false;
    }
    transaction->watched = watched;
    transaction->watched_capacity = (uint32_t)capacity;
    return true;
}

bool transaction_watch(struct transaction *transaction, const struct watched_key *watched) {
    if (transaction->watched_count == transaction->watched_capacity && !watched_grow(transaction)) {
        return false;
    }
    char *key = memory_try_alloc(watched->key.length);
    if (key == NULL) {
        return false;
    }
    if (watched->key.length != 0) {
        memcpy(key, watched->key.bytes, watched->key.length);
    }
    struct watched_key *added = &transaction->watched[transaction->watched_count++];
    *added = *watched;
    added->key = span_of(key, watched->key.length);
    return true;
}
