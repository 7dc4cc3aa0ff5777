/* Cut: the taking of images. Slot after slot, a bounded piece per step, without fork and without
 * copies of the data: what is about to change is serialised first. A slot's image is its content at
 * the moment when its cut began, whatever happens to it meanwhile.
 *
 *   slot -> its tables (one per database) -> buckets
 *                                              -> large values: strings in parts,
 *                                                 hashes with buckets of their own
 *
 * Invariants
 *  1. A table's buckets below `next`, those marked `early`, and those that did not exist when the
 *     slot's cut began, are done: what they hold is in the image, or came later. All others hold
 *     exactly what they held then.
 *  2. Before an element of a bucket that is not done changes, comes or goes, the bucket is
 *     serialised (cut_before_change()); a split or merge is a change of its buckets.
 *  3. A large value's fields are walked in the same way; the value is remembered apart from its
 *     key, so that the key may change, move or go.
 *  4. A cut holds tables, not places: a table that is dropped while it is cut becomes the cut's,
 *     which has it freed when it is done.
 *
 * store.open_cut is set only while a slot is half done: small slots are cut whole in one step, and
 * then changes cost nothing. One thread: the store's owner's.
 */
#ifndef TARN_STORE_CUT_H
#define TARN_STORE_CUT_H

#include "store/image.h"
#include "store/slot_set.h"

/* A step ends once it has serialised so many bytes or looked at so many buckets, of which a slot's
 * begin is one per database; what it overshoots by is one bucket without its large values, or one
 * begin. */
#define CUT_STEP_BYTES ((size_t)64 * 1024)
#define CUT_STEP_BUCKETS 4096
/* Strings and hashes beyond these are cut in pieces of their own; a piece ends once it has so many
 * bytes. What no piece ends within is the value of a field. */
#define CUT_BYTES_AT_ONCE ((size_t)64 * 1024)
#define CUT_FIELDS_AT_ONCE 512
/* A record of fields holds the fields of so many buckets at most. */
#define CUT_FIELD_BUCKETS 32

struct cut;

/* Where the pieces go; all functions are called on the store's thread. */
struct cut_target {
    void *context;
    /* The log position that the slot's image stands for, asked when its cut begins. */
    uint64_t (*position)(void *context);
    /* A full chunk, and the last one of the cut; the target's from here on. */
    void (*chunk)(void *context, struct image_chunk *chunk);
    /* A slot is in its last chunk. Told for every slot of the cut, empty ones too. */
    void (*slot_done)(void *context, uint16_t slot, uint64_t position, uint64_t keys);
};

struct cut_plan {
    struct store *store;
    struct cut_target target;
    uint32_t slot_first; /* of the store's */
    uint32_t slot_count;
    const struct slot_set *slots; /* only these of them; NULL: all. Outlives the cut */
    /* Ends behind the slot with which it has so many bytes, as if there were no more; 0: no
     * limit. */
    size_t bytes_max;
    size_t step_bytes; /* CUT_STEP_BYTES, less in tests; cut_set_step() changes it */
    bool has_access;   /* keep access data: maxmemory-policy looks at them */
};

struct cut *cut_new(const struct cut_plan *plan);
/* Ends the cut where it is. */
void cut_free(struct cut *cut);

struct cut_work {
    size_t bytes;
    uint32_t buckets;
};

/* A step; adds what it did to work. True when all slots are done and the last chunk is given. */
bool cut_step(struct cut *cut, struct cut_work *work);

/* How many bytes the next steps may serialise. */
void cut_set_step(struct cut *cut, size_t bytes);

/* Whether the next steps end where a slot does, at the latest. */
void cut_set_end(struct cut *cut, bool is_slot_end);

/* The slot that is half done, if there is one. */
bool cut_is_inside(const struct cut *cut, uint16_t *slot);
/* Bytes that only the cut still has: large strings that were changed since, and tables that were
 * dropped, which are estimated by a sample. */
size_t cut_held_bytes(const struct cut *cut);
/* What a change of this key may add to them: a large string's bytes, if the key has one, in any
 * database. */
size_t cut_change_bytes(const struct cut *cut, uint16_t slot, uint64_t hash);
/* Buckets that were serialised before their turn, so far. */
uint64_t cut_early_buckets(const struct cut *cut);

/* ---- what the store tells: each asks for store->open_cut first ---- */

void cut_change(struct cut *cut, uint32_t database, uint16_t slot, uint64_t hash);
void cut_table_step(struct cut *cut, const struct table *table);
void cut_fields_change(struct cut *cut, const struct table *fields, uint64_t hash);
bool cut_take_fields(struct cut *cut, const struct table *fields);
uint64_t cut_take_database(struct cut *cut, const struct database *database);
void cut_take_table(struct cut *cut, const struct table *place, struct table *content);
struct cut_place {
    const struct database *database;
    struct table *table;
};
void cut_swap_tables(struct cut *cut, const struct cut_place *one, const struct cut_place *other);

/* An element of this hash is about to change, come or go. */
static inline void cut_before_change(const struct store *store, uint32_t database, uint16_t slot,
                                     uint64_t hash) {
    if (UNLIKELY(store->open_cut != NULL)) {
        cut_change(store->open_cut, database, slot, hash);
    }
}

/* table_step() follows: on a slot's table or on a hash's. */
static inline void cut_before_step(const struct store *store, const struct table *table) {
    if (UNLIKELY(store->open_cut != NULL)) {
        cut_table_step(store->open_cut, table);
    }
}

/* A field of this hash is about to change, come or go. */
static inline void cut_before_field_change(const struct store *store, const struct table *fields,
                                           uint64_t hash) {
    if (UNLIKELY(store->open_cut != NULL)) {
        cut_fields_change(store->open_cut, fields, hash);
    }
}

/* A table of fields is dropped. True: the cut has taken its content, only the header is left. */
static inline bool cut_takes_fields(const struct store *store, const struct table *fields) {
    return UNLIKELY(store->open_cut != NULL) && cut_take_fields(store->open_cut, fields);
}

/* A database is dropped: the cut takes the tables that it has not done. Answers the elements in
 * them. */
static inline uint64_t cut_takes_database(const struct store *store,
                                          const struct database *database) {
    return UNLIKELY(store->open_cut != NULL) ? cut_take_database(store->open_cut, database) : 0;
}

/* A slot's table, which stood at that place, is dropped: if the cut has not done it, it takes the
 * content, and leaves an empty table. */
static inline void cut_takes_table(const struct store *store, const struct table *place,
                                   struct table *content) {
    if (UNLIKELY(store->open_cut != NULL)) {
        cut_take_table(store->open_cut, place, content);
    }
}

/* The tables of a slot have gone from either place to the other. */
static inline void cut_after_swap(const struct store *store, const struct cut_place *one,
                                  const struct cut_place *other) {
    if (UNLIKELY(store->open_cut != NULL)) {
        cut_swap_tables(store->open_cut, one, other);
    }
}

#endif
