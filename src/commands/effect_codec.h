/* Effect codec: effects as the bytes that stand in the log, and back into a store.
 *
 * An entry is one effect with the place that it applies to. Entries follow each other without gaps;
 * what frames and checks them is the log's business. Which parts an entry has stands in
 * effect_kind_row, by its kind; parts that it has not take no byte.
 *
 *   OFFSET  SIZE    MEANING
 *   0       1       kind: enum effect_kind, permanent
 *   1       1       event: enum event, permanent; 0: none
 *   2       1       flags: EFFECT_FLAG_*
 *   3       2       slot, or EFFECT_NODE_SLOT for an effect of node scope
 *   5       0 - 5   varint: database; only with EFFECT_FLAG_DATABASE, else it is 0
 *   ...     0 - 10  zigzag varint: number
 *   ...     0 | 8   expiry: ms since the epoch; only with EFFECT_FLAG_EXPIRY, else there is none
 *   ...     1 - 10  varint: length of the key, which follows it
 *   ...     1 - 10  varint: length of the field, which follows it
 *   ...     1 - 10  varint: length of the value, which follows it and ends the entry
 *
 * A varint has seven bits a byte, the low ones first, the top bit set in all bytes but the last,
 * and no byte more than it needs. A zigzag varint holds 2 * n for n >= 0, else -2 * n - 1. An
 * effect has one encoding: whatever effect_read() takes, effect_write() makes again.
 *
 * No state, any thread. What is read is hostile until the last check: effect_read() checks all that
 * the bytes alone can tell, effect_replay() what the data tells.
 */
#ifndef TARN_COMMANDS_EFFECT_CODEC_H
#define TARN_COMMANDS_EFFECT_CODEC_H

#include "base/buffer.h"
#include "commands/effect.h"
#include "store/keyspace.h"

#define EFFECT_NODE_SLOT UINT16_MAX
/* Bytes of an entry beyond those of key, field and value. */
#define EFFECT_OVERHEAD_BYTES_MAX 58
/* The longest string that a replay makes, unless proto-max-bulk-len allows a longer one. */
#define EFFECT_STRING_BYTES_MAX ((uint64_t)4 * 1024 * 1024 * 1024)

/* Permanent. */
enum {
    EFFECT_FLAG_RAW = 1 << 0,      /* effect.is_raw */
    EFFECT_FLAG_TEXT = 1 << 1,     /* effect.is_text */
    EFFECT_FLAG_TABLE = 1 << 2,    /* effect.is_table */
    EFFECT_FLAG_EXPIRY = 1 << 3,   /* an expiry follows */
    EFFECT_FLAG_DATABASE = 1 << 4, /* a database other than 0 follows */
    EFFECT_FLAG_JOINED = 1 << 5,   /* takes place together with the effect before it */
    EFFECT_FLAG_KEYS = 1 << 6,     /* effect.has_keys */
};

/* Parts of an entry that its kind may have. An expiry is there only when the flag says so. */
enum {
    EFFECT_PART_KEY = 1 << 0, /* and with it a slot and a database: no node scope */
    EFFECT_PART_FIELD = 1 << 1,
    EFFECT_PART_VALUE = 1 << 2,
    EFFECT_PART_NUMBER = 1 << 3,
    EFFECT_PART_EXPIRY = 1 << 4,
    EFFECT_PART_SLOT = 1 << 5, /* a slot without a key: no node scope either */
};

/* What a kind of effect has: the rows stand in effect_codec.c. */
struct effect_kind_row {
    const char *name;
    uint8_t parts; /* EFFECT_PART_* */
    uint8_t flags; /* EFFECT_FLAG_* of its own that it may have */
};

/* The row of a kind, or NULL when there is no such kind. */
const struct effect_kind_row *effect_kind_find(unsigned kind);

/* An effect and the place that it applies to. Without EFFECT_PART_KEY key is empty and database 0;
 * for node scope slot is EFFECT_NODE_SLOT. */
struct effect_record {
    struct effect effect;
    struct span key;
    uint32_t database;
    uint16_t slot;
    /* Of the same group as the effect before it in the frame: one command, transaction or script
     * made both, and nobody sees the one without the other. */
    bool is_joined;
};

/* Appends the entry. True: effect.block is the value, and was left out, since it is large; the
 * entry is whole once the caller has its bytes follow. Parts that the kind has not are ignored. */
bool effect_write(struct buffer *out, const struct effect_record *record);

enum effect_read_status {
    EFFECT_READ_DONE,    /* record is the entry; content is what follows it */
    EFFECT_READ_END,     /* content is empty */
    EFFECT_READ_DAMAGED, /* content starts with no entry; it is unchanged */
};

/* Takes the first entry off content. The record's spans point into it; its block is NULL, parts
 * that the kind has not are empty, 0, or ENTRY_NO_EXPIRY. */
enum effect_read_status effect_read(struct span *content, struct effect_record *record);

enum effect_replay_status {
    EFFECT_REPLAY_DONE,
    EFFECT_REPLAY_WRONG_DATABASE, /* there are not so many */
    EFFECT_REPLAY_WRONG_SLOT,     /* the key, or the new one, does not live there */
    EFFECT_REPLAY_WRONG_TYPE,     /* the key holds a value that the effect does not fit */
    /* A key or string would be too long, or the patch is before its start. */
    EFFECT_REPLAY_OUT_OF_RANGE,
    EFFECT_REPLAY_DAMAGED_VALUE, /* value_restore: no payload of a type that is known */
    EFFECT_REPLAY_OUT_OF_MEMORY,
};

/* Applies the effect to this store: the one that owns record->slot, or any for node scope, which
 * wants all of them in turn. Unless DONE, nothing has changed. Caller: the store's owner. */
enum effect_replay_status effect_replay_to_store(struct store *store,
                                                 const struct effect_record *record);
/* Applies it to the store or stores that it concerns. Caller: one for whom all owners stand
 * still. */
enum effect_replay_status effect_replay(const struct keyspace *keyspace,
                                        const struct effect_record *record);
/* What was wrong, in words: "key is in another slot". */
const char *effect_replay_reason(enum effect_replay_status status);

#endif
