/* Effects: the only ways in which data changes. A command decides; what it decided is a few
 * effects, applied at once by effect_apply() and recorded for the log. A primary, a replica,
 * recovery and the target of a migration all change data through effect_apply() and nothing else.
 *
 * An effect says what becomes, never how to compute it: applying the same effects in the same order
 * gives the same data. It reads no other slot, no clock and no randomness. Numbers are permanent:
 * they stand in the log.
 *
 *   NUMBER  KIND            KEY  FIELD    VALUE  NUMBER    EXPIRY  REMARK
 *   1       value_put       key  -        bytes  -         new
 *   2       key_delete      key  -        -      -         -
 *   3       key_expire_at   key  -        -      -         new
 *   4       string_patch    key  -        bytes  offset    -
 *   5       integer_put     key  -        -      value     -       keeps the expiry
 *   6       hash_put        key  field    bytes  -         -
 *   7       hash_delete     key  field    -      -         -       the last field: the key too
 *   8       key_move        key  new key  -      database  -       same slot; replaces
 *   9       database_flush  -    -        -      database  -       node scope
 *   10      database_swap   -    -        -      both      -       node scope: first << 32, second
 *   11      value_restore   key  -        bytes  access    new     a payload of
 *                                                                  store/value_codec.h; replaces;
 *                                                                  -1: access is now
 *   12      slot_digest     -    -        -      seed      -       changes nothing: every node that
 *                                                                  comes here computes the digest
 *                                                                  of the slot
 *                                                                  (store/slot_digest.h)
 */
#ifndef TARN_COMMANDS_EFFECT_H
#define TARN_COMMANDS_EFFECT_H

#include "commands/event.h"
#include "store/place.h"

#include <stdint.h>

enum effect_kind {
    EFFECT_VALUE_PUT = 1,
    EFFECT_KEY_DELETE = 2,
    EFFECT_KEY_EXPIRE_AT = 3,
    EFFECT_STRING_PATCH = 4,
    EFFECT_INTEGER_PUT = 5,
    EFFECT_HASH_PUT = 6,
    EFFECT_HASH_DELETE = 7,
    EFFECT_KEY_MOVE = 8,
    EFFECT_DATABASE_FLUSH = 9,
    EFFECT_DATABASE_SWAP = 10,
    EFFECT_VALUE_RESTORE = 11,
    EFFECT_SLOT_DIGEST = 12,
    EFFECT_KINDS,
};

struct effect {
    enum effect_kind kind;
    enum event event;  /* told to subscribers once applied, or EVENT_NONE */
    bool is_raw;       /* value_put: the string was changed in place (OBJECT ENCODING) */
    bool is_text;      /* value_put: text, even when it is that of a number (OBJECT ENCODING) */
    bool is_table;     /* hash_put: no list pack, even when it is small (OBJECT ENCODING) */
    bool has_keys;     /* slot_digest: of each key, too */
    struct span field; /* field of a hash, or the new key of key_move */
    struct span value;
    struct block *block; /* value as a block, or NULL */
    /* value_restore: value, decoded for the store of the place and taken over when applied; NULL or
     * empty: it is decoded then. */
    struct value_content *content;
    int64_t number;
    int64_t expiry_ms; /* ENTRY_NO_EXPIRY: none */
};

/* Applies an effect on a key to the key at place, which afterwards tells where the key is now.
 * Answers what the reply needs of the state before:
 *   value_put, integer_put, value_restore  1 if the key is new, else 0
 *   key_delete, key_move      1 if there was such a key, else 0
 *   key_expire_at             1 if there is such a key, else 0
 *   string_patch              the string's length in bytes
 *   hash_put                  1 if the field is new, else 0
 *   hash_delete               1 if there was such a field, else 0; the key goes with the last field
 * The key's type fits the effect, and a value to restore is sound: a command has checked that. */
int64_t effect_apply(struct place *place, const struct effect *effect);

/* Flips a bit of the value at place, as bad memory would: no effect tells of it. The bit is counted
 * from the value's start, of a hash from the start of its first field's value, and again from there
 * when it is beyond the end. False: there is no value, or it has no bytes. For tests. */
bool effect_flip_bit(struct place *place, uint64_t bit);

/* Applies an effect of node scope to one store. Answers the keys that it removed. */
uint64_t effect_apply_to_database(struct store *store, const struct effect *effect);

#endif
