/* Transaction: what MULTI queued and WATCH remembers, of one connection. Pure data: who runs it
 * (EXEC) is the worker.
 *
 * Commands are copied: their arguments outlive the query buffer. Large arguments are kept by
 * reference.
 */
#ifndef TARN_EXECUTE_TRANSACTION_H
#define TARN_EXECUTE_TRANSACTION_H

#include "commands/command.h"

#include <stdint.h>

struct queued_command {
    const struct command_slot *command;
    struct span *args;     /* in a queue: one allocation with the bytes behind */
    struct block **blocks; /* NULL, or as many as args */
    uint32_t args_count;
};

struct watched_key {
    struct span key; /* owned */
    uint32_t database;
    uint16_t slot;
    uint64_t version;
    bool was_there; /* at WATCH, and not expired: then its time may come before EXEC */
};

struct transaction {
    bool is_open;    /* between MULTI and EXEC */
    bool is_aborted; /* a command was refused when it was queued */
    struct queued_command *commands;
    uint32_t commands_count;
    uint32_t commands_capacity;
    size_t queued_bytes; /* memory that the queue takes */
    struct watched_key *watched;
    uint32_t watched_count;
    uint32_t watched_capacity;
};

void transaction_init(struct transaction *transaction);
void transaction_free(struct transaction *transaction);

/* Copies a command to the queue's end. False: there is no memory for it. */
bool transaction_queue(struct transaction *transaction, const struct queued_command *command);
/* Forgets the queue and closes; watched keys stay for the caller to drop. */
void transaction_close(struct transaction *transaction);

/* The remembered key, or NULL. */
struct watched_key *transaction_watched(struct transaction *transaction, uint32_t database,
                                        struct span key);
/* Remembers a key and its version. False: there is no memory for it. */
bool transaction_watch(struct transaction *transaction, const struct watched_key *watched);
/* Forgets all watched keys (the store's watch table is told by the caller before). */
void transaction_unwatch(struct transaction *transaction);

#endif
