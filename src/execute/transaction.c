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

/* Copies arguments into one allocation: the spans, then the bytes of those that are no blocks. */
static struct span *args_copy(const struct span *args, struct block *const *blocks, uint32_t count,
                              size_t *size_bytes) {
    size_t bytes = count * sizeof(struct span);
    for (uint32_t i = 0; i < count; i++) {
        bytes += blocks == NULL || blocks[i] == NULL ? args[i].length : 0;
    }
    struct span *copy = memory_alloc(bytes);
    char *place = (char *)(copy + count);
    for (uint32_t i = 0; i < count; i++) {
        if (blocks != NULL && blocks[i] != NULL) {
            copy[i] = args[i];
            continue;
        }
        copy[i] = span_of(place, args[i].length);
        if (args[i].length != 0) {
            memcpy(place, args[i].bytes, args[i].length);
        }
        place += args[i].length;
    }
    *size_bytes = bytes;
    return copy;
}

void transaction_queue(struct transaction *transaction, const struct command_slot *command,
                       const struct span *args, struct block *const *blocks, uint32_t args_count) {
    if (transaction->commands_count == transaction->commands_capacity) {
        uint32_t capacity = transaction->commands_capacity * 2 + 4;
        transaction->commands =
            memory_realloc(transaction->commands, capacity * sizeof(struct queued_command));
        transaction->commands_capacity = capacity;
    }
    size_t size_bytes = 0;
    struct queued_command *queued = &transaction->commands[transaction->commands_count++];
    *queued = (struct queued_command){.command = command, .args_count = args_count};
    queued->args = args_copy(args, blocks, args_count, &size_bytes);
    if (blocks != NULL) {
        queued->blocks = memory_alloc(args_count * sizeof(struct block *));
        for (uint32_t i = 0; i < args_count; i++) {
            queued->blocks[i] = blocks[i] == NULL ? NULL : block_hold(blocks[i]);
            size_bytes += blocks[i] == NULL ? 0 : blocks[i]->length;
        }
    }
    transaction->queued_bytes += size_bytes;
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

void transaction_watch(struct transaction *transaction, const struct watched_key *watched) {
    if (transaction->watched_count == transaction->watched_capacity) {
        uint32_t capacity = transaction->watched_capacity * 2 + 4;
        transaction->watched =
            memory_realloc(transaction->watched, capacity * sizeof(struct watched_key));
        transaction->watched_capacity = capacity;
    }
    struct watched_key *added = &transaction->watched[transaction->watched_count++];
    *added = *watched;
    added->key = span_of(memory_copy(watched->key.bytes, watched->key.length), watched->key.length);
}
