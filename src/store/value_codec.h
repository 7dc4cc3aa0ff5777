/* Value codec: one value in the form that Redis' DUMP and RDB files give it: a type byte, and a
 * body of lengths and strings (store/rdb_form.h). Both together are a payload.
 *
 *   TYPE  VALUE               BODY                                           WRITTEN
 *   0     string              string                                         yes
 *   4     hash                count, then field and value, a string each     for tables
 *   9     hash                string: a zipmap (Redis 2.4)                   no
 *   13    hash                string: a ziplist of fields and values         no
 *   16    hash                string: a list pack of fields and values       for list packs
 *
 * A new type of value is a row of the table in value_codec.c, and the functions that it names.
 *
 * Decoding takes hostile payloads: all lengths are checked, packs are walked whole, fields that
 * come twice and bytes behind the value are refused. It makes a value_content, which no key
 * has yet, and changes nothing: a command decodes first, then emits. As in redis-server the limits
 * of the configuration decide whether a hash becomes a pack or a table.
 *
 * Thread: that of the store.
 */
#ifndef TARN_STORE_VALUE_CODEC_H
#define TARN_STORE_VALUE_CODEC_H

#include "store/place.h"
#include "store/rdb_form.h"

/* The version of RDB files and DUMP payloads that Redis 7.2 writes; later ones are refused. */
#define RDB_VERSION 11
#define RDB_TYPES 22

/* ---- types ---- */

/* "hash as a ziplist", also for types that are not decoded; NULL: there is no such type. */
const char *rdb_type_name(uint8_t type);
bool rdb_type_is_decoded(uint8_t type);

/* How far a body reaches, for who reads a file piece by piece. Where a search stands. */
struct value_extent {
    const char *items; /* of the type: see value_codec.c */
    size_t item;
    uint64_t rounds_left;
    size_t length; /* bytes of the body that were seen whole */
    size_t needed; /* INCOMPLETE: at least so many bytes are to be there */
    bool is_begun;
};

/* The type is decoded. */
void value_extent_begin(struct value_extent *extent, uint8_t type);
/* bytes: the body's first ones, more than in the call before. DONE: length is that of the body.
 * What was seen is not looked at again. */
enum rdb_status value_extent_find(struct value_extent *extent, struct span bytes);

/* ---- writing ---- */

/* No payload of this entry is longer. Walks over a hash. */
size_t value_encoded_bytes_max(const struct entry *entry);
/* Appends the payload; compresses: strings of more than 20 bytes by LZF where that gains. */
void value_encode(const struct entry *entry, bool compresses, struct buffer *payload);

/* ---- reading ---- */

enum value_decode_status {
    VALUE_DECODED,
    VALUE_DAMAGED,
    VALUE_EMPTY,       /* a collection without elements: no such value exists */
    VALUE_UNSUPPORTED, /* a type that is not decoded */
    VALUE_NO_MEMORY,
};

/* A value without a key. `bytes` may point into the payload. */
struct value_content {
    enum entry_kind kind; /* ENTRY_KINDS: nothing, or put already */
    struct span bytes;    /* ENTRY_BYTES, ENTRY_HASH_PACK */
    char *owned;          /* where bytes stand, if not in the payload; or NULL */
    uint64_t fixed;       /* the other kinds: number, block or table */
};

#define VALUE_CONTENT_EMPTY ((struct value_content){.kind = ENTRY_KINDS})

/* Decodes a payload for this store. Only if DECODED there is something in content, to be put or
 * freed while the payload still stands. */
enum value_decode_status value_decode(struct store *store, struct span payload,
                                      struct value_content *content);
void value_content_free(struct store *store, struct value_content *content);

/* Puts the content in the place of what the key has, if anything; content is empty afterwards.
 * access: the entry's access data, or VALUE_ACCESS_NEW. The place's cell is true afterwards. */
#define VALUE_ACCESS_NEW ((int64_t)-1)
struct value_content_put {
    struct value_content *content;
    int64_t expiry_ms;
    int64_t access;
};
void value_content_put(struct place *place, const struct value_content_put *put);

#endif
