/* Values: what the kinds of entries have in common, and strings. Collections have a file each
 * (hash_value.h).
 */
#ifndef TARN_STORE_VALUE_H
#define TARN_STORE_VALUE_H

#include "base/numbers.h"
#include "store/store.h"

/* Types as Redis counts them: the order is that of TYPE's numbers in RDB files' terms. */
enum value_type { VALUE_STRING, VALUE_LIST, VALUE_SET, VALUE_SORTED_SET, VALUE_HASH, VALUE_STREAM };

/* A string longer than this is "raw" in OBJECT ENCODING, as in Redis. */
#define VALUE_EMBSTR_BYTES_MAX ((size_t)44)

static inline enum value_type value_type_of(const struct entry *entry) {
    return entry_kind(entry) <= ENTRY_BLOCK ? VALUE_STRING : VALUE_HASH;
}

const char *value_type_name(enum value_type type);     /* "string", "hash", ... */
const char *value_encoding(const struct entry *entry); /* "int", "embstr", "raw", "listpack", ... */

/* The string's bytes; numbers are written to scratch[NUMBER_TEXT_BYTES_MAX]. */
struct span value_string(const struct entry *entry, char *scratch);
size_t value_string_length(const struct entry *entry);
/* True if the string is an integer in Redis' sense; *number is it. */
bool value_string_is_integer(const struct entry *entry, int64_t *number);

/* Elements of a collection; 1 for a string. */
size_t value_elements(const struct entry *entry);

/* Frees what the entry points at and the entry; large ones by and by. */
void value_free(struct store *store, struct entry *entry);

/* Bytes that the entry, its value and its share of the table take. samples elements of a
 * collection are looked at and scaled up; 0: all of them. Source: our own allocations. */
size_t value_memory_bytes(const struct store *store, const struct entry *entry, size_t samples);

/* What a string becomes: see value_string_put(). */
struct string_put {
    struct span bytes;
    struct block *block; /* the bytes as a block, or NULL; a reference is taken when it is kept */
    int64_t expiry_ms;   /* or ENTRY_NO_EXPIRY */
    bool is_raw;         /* changed in place: no number, no embstr */
    bool is_text;        /* kept as text, even when it is that of a number */
};

/* Puts a string in the place of the cell's entry (whatever its type), or adds an entry when cell is
 * NULL. The expiry becomes expiry_ms. Answers the cell. Text that is an integer is kept as one. */
uint64_t *value_string_put(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                           struct span key, uint64_t *cell, const struct string_put *put);

/* Overwrites bytes from offset on, growing the string with zeros as needed. The cell holds a
 * string. False: no memory, unchanged. */
bool value_string_patch(struct store *store, uint64_t *cell, size_t offset, struct span bytes);

/* Makes sure that the next patch, which brings the string to length bytes, will find its memory: a
 * large one gets its room now. cell is NULL for a string that is yet to come; then memory is tried,
 * not kept. False: no memory, unchanged. */
bool value_string_reserve(struct store *store, uint64_t *cell, size_t length);

/* Puts a number in the place of the cell's string, keeping its expiry. */
void value_string_set_integer(struct store *store, uint64_t *cell, int64_t number);

#endif
