/* Call: the run of one data command. A data command is a function of (slot, arguments, time): it
 * reads the keyspace through the call, writes a reply, and changes data only by call_emit(). It
 * knows no socket, no log, no thread and no clock.
 *
 * Rules for a command
 *  1. All that can fail is checked before the first call_emit().
 *  2. Spans into an entry are good until the next call_emit().
 *  3. A key is looked up by call_read() or call_write(), which also let an expired key go.
 *
 * A call lives for the time of its command, on the worker that runs it. If its keys belong to
 * several workers, the others stand still meanwhile.
 */
#ifndef TARN_COMMANDS_CALL_H
#define TARN_COMMANDS_CALL_H

#include "base/random.h"
#include "commands/effect.h"
#include "protocol/reply.h"
#include "store/keyspace.h"
#include "store/value.h"

struct call;
struct command;

/* Who is told of what calls do; the functions may be NULL. */
struct call_observer {
    void *context;
    /* After an effect took place: the log. */
    void (*effect)(void *context, const struct call *call, const struct place *place,
                   const struct effect *effect);
    /* An event of one of the classes in event_classes: pub/sub. */
    void (*event)(void *context, const struct call *call, enum event event, struct span key);
    unsigned event_classes; /* enum event_class; 0: nobody listens */
};

/* What the calls of one worker share. Lives as long as the worker. */
struct call_environment {
    struct keyspace *keyspace;
    const struct store_options *options;
    struct random *random; /* for RANDOMKEY, HRANDFIELD and the like */
    struct call_observer observer;
};

/* State of a command that asks worker by worker (COMMAND_GATHERS): it runs once on each, in the
 * order of the stores, looks only at stores[store_index], and completes its reply on the last
 * one. */
struct gather {
    uint32_t store_index;
    uint32_t store_count;
    uint64_t count;         /* the command's own; 0 at first */
    struct reply_mark mark; /* where the reply began */
};

static inline bool gather_is_first(const struct gather *gather) {
    return gather->store_index == 0;
}

static inline bool gather_is_last(const struct gather *gather) {
    return gather->store_index + 1 == gather->store_count;
}

struct call {
    struct call_environment *environment;
    const struct command *command;
    const struct span *args;     /* args[0] is the command's name */
    struct block *const *blocks; /* NULL, or the blocks of arguments that came as such */
    uint32_t args_count;
    uint32_t database;
    struct reply *reply;
    int64_t now_ms;     /* since the epoch: the same for all commands of a tick or transaction */
    uint64_t changes;   /* effects so far */
    bool no_touch;      /* CLIENT NO-TOUCH: reads do not count as accesses */
    bool keeps_expired; /* a replica: expired keys are hidden, not deleted */
    bool is_of_primary; /* of a redis-server: nothing has expired until its DEL comes */
    /* Look-ahead: slot and hash of args[first_key], when first_key is not 0. */
    uint32_t first_key;
    uint16_t first_slot;
    uint64_t first_hash;
    struct gather *gather; /* of a COMMAND_GATHERS command, else NULL */
};

/* That time has come, for this call. */
static inline bool call_is_past(const struct call *call, int64_t expiry_ms) {
    return expiry_ms <= (call->is_of_primary ? 0 : call->now_ms);
}

/* Where a key is. An expired one is deleted and not found. Neither counts nor touches. */
struct place call_place(struct call *call, struct span key);
/* For commands that read: counts a hit or miss, touches the access data, tells keymiss. */
struct entry *call_read(struct call *call, struct span key);
/* The same, but a key of another type answers WRONGTYPE: then *is_wrong is true, NULL is answered
 * and the reply is written. */
struct entry *call_read_typed(struct call *call, struct span key, enum value_type type,
                              bool *is_wrong);
/* For commands that write: finds the place, touches the access data. False, and the reply is
 * written, when the key is there with another type. */
bool call_write_typed(struct call *call, struct span key, enum value_type type,
                      struct place *place);

/* Applies the effect, counts it, tells the observer; answers effect_apply()'s outcome. */
int64_t call_emit(struct call *call, struct place *place, const struct effect *effect);
/* The same for an effect of node scope: applied to all stores. Answers the keys removed. */
uint64_t call_emit_to_database(struct call *call, const struct effect *effect);
/* An event that no effect carries (keymiss, a second one of the same effect). */
void call_notify(struct call *call, enum event event, struct span key);

/* The block that argument i came as, or NULL. */
static inline struct block *call_block(const struct call *call, uint32_t i) {
    return call->blocks == NULL ? NULL : call->blocks[i];
}

/* The database's store of a slot. */
static inline struct store *call_store(const struct call *call, uint16_t slot) {
    return keyspace_store(call->environment->keyspace, slot);
}

/* A string value as a bulk reply; large ones by reference. */
void call_reply_string(struct call *call, const struct entry *entry);

/* Errors that many commands share. */
void call_reply_wrong_type(struct call *call);
void call_reply_syntax_error(struct call *call);
/* Parses argument i as an integer of 64 bits, or within a range. False: the reply says
 * "ERR value is not an integer or out of range" (or error, when not NULL). */
bool call_integer(struct call *call, uint32_t i, int64_t *number, const char *error);

#endif
