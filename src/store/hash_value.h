/* Hashes: a list pack in the entry while small (hash-max-listpack-entries, -value), then a table of
 * fields of its own. Once a table, always a table, as in Redis.
 *
 * The functions that change take the cell, since the entry may move; they keep the heap's count and
 * the cell true. A hash without fields does not exist: whoever removes the last one removes the
 * key. One thread: the store's.
 */
#ifndef TARN_STORE_HASH_VALUE_H
#define TARN_STORE_HASH_VALUE_H

#include "store/store.h"

#define HASH_SCRATCH_BYTES 32
/* A list pack stays well below what its 32 bits of length can say: the limit that Redis has. */
#define HASH_PACK_BYTES_MAX ((size_t)1 << 30)

size_t hash_value_length(const struct entry *entry);
/* The value of a field; false when there is none. *value points into the hash, or to
 * scratch[HASH_SCRATCH_BYTES] for numbers. Valid until the next change. */
bool hash_value_get(const struct store *store, const struct entry *entry, struct span field,
                    char *scratch, struct span *value);

/* A new entry that holds an empty hash. The next call must be hash_value_put(). */
uint64_t *hash_value_new(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                         struct span key);
/* Sets a field; true when it is new. field and value must not point into the hash. */
bool hash_value_put(struct store *store, uint64_t *cell, struct span field, struct span value);
/* Makes a table of a list pack. The hash may be empty; then the next call must be
 * hash_value_put(). */
void hash_value_make_table(struct store *store, uint64_t *cell);
/* Removes a field; false when there is none. The hash may be empty afterwards. */
bool hash_value_delete(struct store *store, uint64_t *cell, struct span field);

/* Walks all fields, in the order of HGETALL. visit must not change the hash. */
typedef void hash_visit(struct span field, struct span value, void *context);
void hash_value_each(const struct entry *entry, hash_visit *visit, void *context);
/* A step of HSCAN: visits the fields at the position, answers the next one, 0 at the end. A list
 * pack is visited whole. */
uint64_t hash_value_scan(const struct entry *entry, uint64_t position, hash_visit *visit,
                         void *context);
/* A field by chance, each with about the same; the hash is not empty. Spans point into the hash or
 * to the scratches. */
struct hash_pair {
    struct span field;
    struct span value;
    char field_scratch[HASH_SCRATCH_BYTES];
    char value_scratch[HASH_SCRATCH_BYTES];
};
void hash_value_random(const struct entry *entry, struct random *random, struct hash_pair *pair);

/* For a cut: the table of fields, or NULL for a list pack, and the fields of one bucket of it. */
struct table *hash_value_table(const struct entry *entry);
void hash_value_visit_bucket(const struct table *table, uint32_t index, hash_visit *visit,
                             void *context);
/* Frees a table of fields by and by; takes it over. */
void hash_value_bury_table(struct store *store, struct table *table);

/* A table of fields that no entry holds yet: what decodes a hash fills one, and makes it the fixed
 * part of an ENTRY_HASH_TABLE, or frees it. */
struct table *hash_fields_new(struct store *store);
/* False: the field is there already, and stays as it is. */
bool hash_fields_add(struct store *store, struct table *table, struct span field,
                     struct span value);
void hash_fields_free(struct store *store, struct table *table);

/* Frees what the entry points at, not the entry. */
void hash_value_free_content(struct store *store, struct entry *entry);
/* Bytes beyond the entry itself, for MEMORY USAGE. */
size_t hash_value_memory_bytes(const struct store *store, const struct entry *entry,
                               size_t samples);
/* The table's statistics for DEBUG HTSTATS-KEY; false for a list pack. */
bool hash_value_table_statistics(const struct entry *entry, struct table_statistics *statistics);

#endif
