/* Table: a hash table of elements (entries, fields, members) that grows and shrinks by one bucket
 * at a time: linear hashing. No step moves more than the elements of one bucket, nothing ever
 * doubles, and tables of the same load do not grow at the same moment.
 *
 *   bucket: one cache line of TABLE_BUCKET_CELLS cells
 *   cell:   0 (empty) or 16 bits of hash tag | 48 bits of element address.
 *           In the last cell, the tag TABLE_CHILD_TAG marks the address of an overflow bucket.
 *
 *   bucket_count <= TABLE_FLAT_BUCKETS     root -> array of buckets, grown along size classes
 *   beyond                                 root -> directory -> groups -> segments of buckets
 *
 * With n buckets and L = floor(log2(n)), an element stands in bucket hash mod 2^(L+1) if that is
 * below n, else in bucket hash mod 2^L. Growth splits bucket n - 2^L into itself and the new bucket
 * n; shrinking merges the last bucket back.
 *
 * The table does not own its elements. It asks the caller for their hash when it splits a bucket.
 * Cells are found by table_find() and stay valid until the next insertion, removal or step.
 *
 * Scanning goes through the hash space in bit-reversed order (the bits that a split adds become the
 * low ones), so a position means the same whatever the table's size: an element that is there from
 * the first to the last call is visited at least once.
 *
 * One thread at a time. All memory comes from the heap that is passed in; the same one always.
 * Source: W. Litwin, Linear hashing: a new tool for file and table addressing, 1980.
 */
#ifndef TARN_STRUCTURES_TABLE_H
#define TARN_STRUCTURES_TABLE_H

#include "base/assertion.h"
#include "base/heap.h"
#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_BUCKET_CELLS 8
#define TABLE_CHILD_TAG UINT64_C(0xffff)
#define TABLE_TAG_SHIFT 48
#define TABLE_ADDRESS_MASK ((UINT64_C(1) << TABLE_TAG_SHIFT) - 1)
#define TABLE_SEGMENT_BITS 8 /* buckets of a segment, as a power of two */
#define TABLE_GROUP_BITS 9   /* segments of a group, as a power of two */
#define TABLE_FLAT_BUCKETS (UINT32_C(1) << TABLE_SEGMENT_BITS)
/* Elements per bucket, as fractions of two, above which a step grows and below which it shrinks. */
#define TABLE_GROW_HALVES 13
#define TABLE_SHRINK_HALVES 5
#define TABLE_SCAN_BITS 48
/* Buckets that a draw by chance tries before it walks to the next one with an element. */
#define TABLE_RANDOM_TRIES_MAX 128
/* Splits and merges that one insertion or removal may have to do. */
#define TABLE_STEPS_MAX 2

struct table_bucket {
    uint64_t cells[TABLE_BUCKET_CELLS];
};

struct table {
    void *root;
    uint32_t bucket_count; /* primary buckets; 0 only while empty and unallocated */
    uint32_t element_count;
};

/* What a table must know of its elements. context is passed through. */
struct table_elements {
    uint64_t (*hash)(const void *element, const void *context);
    const void *context;
};

#define TABLE_EMPTY ((struct table){.root = NULL, .bucket_count = 0, .element_count = 0})

static inline uint64_t table_tag(uint64_t hash) {
    uint64_t tag = hash >> TABLE_TAG_SHIFT;
    return tag == TABLE_CHILD_TAG ? 0 : tag;
}

static inline void *table_cell_element(uint64_t cell) {
    return (void *)(uintptr_t)(cell & TABLE_ADDRESS_MASK); // NOLINT
}

/* Points the cell at the element's new address. The hash is unchanged. */
static inline void table_cell_move(uint64_t *cell, const void *element) {
    uint64_t address = (uint64_t)(uintptr_t)element;
    ASSERT((address & ~TABLE_ADDRESS_MASK) == 0);
    *cell = (*cell & ~TABLE_ADDRESS_MASK) | address;
}

/* The slow half of table_bucket(): for tables with a directory. */
struct table_bucket *table_directory_bucket(const struct table *table, uint32_t index);

static inline uint32_t table_bucket_index(const struct table *table, uint64_t hash) {
    uint32_t count = table->bucket_count;
    uint32_t mask = (UINT32_C(2) << (31 - __builtin_clz(count))) - 1;
    uint32_t index = (uint32_t)hash & mask;
    return index < count ? index : index & (mask >> 1);
}

static inline struct table_bucket *table_bucket(const struct table *table, uint32_t index) {
    if (LIKELY(table->bucket_count <= TABLE_FLAT_BUCKETS)) {
        return (struct table_bucket *)table->root + index;
    }
    return table_directory_bucket(table, index);
}

/* The bucket in which an element of that hash stands, or NULL in an empty table: for
 * prefetching. */
static inline struct table_bucket *table_home(const struct table *table, uint64_t hash) {
    return table->bucket_count == 0 ? NULL : table_bucket(table, table_bucket_index(table, hash));
}

/* The overflow bucket behind this one, or NULL. */
static inline struct table_bucket *table_child(const struct table_bucket *bucket) {
    uint64_t last = bucket->cells[TABLE_BUCKET_CELLS - 1];
    return last >> TABLE_TAG_SHIFT == TABLE_CHILD_TAG ? table_cell_element(last) : NULL;
}

/* The first element of the home bucket whose tag fits, or NULL: a guess for prefetching. */
static inline void *table_guess(const struct table_bucket *bucket, uint64_t hash) {
    uint64_t tag = table_tag(hash);
    for (int i = 0; i < TABLE_BUCKET_CELLS; i++) {
        if (bucket->cells[i] != 0 && bucket->cells[i] >> TABLE_TAG_SHIFT == tag) {
            return table_cell_element(bucket->cells[i]);
        }
    }
    return NULL;
}

/* The cell of the element for which equal(element, sought) holds, or NULL. */
static inline uint64_t *table_find(const struct table *table, uint64_t hash,
                                   bool (*equal)(const void *element, const void *sought),
                                   const void *sought) {
    struct table_bucket *bucket = table_home(table, hash);
    uint64_t tag = table_tag(hash);
    while (bucket != NULL) {
        for (int i = 0; i < TABLE_BUCKET_CELLS; i++) {
            uint64_t cell = bucket->cells[i];
            if (cell >> TABLE_TAG_SHIFT == tag && cell != 0 &&
                equal(table_cell_element(cell), sought)) {
                return &bucket->cells[i];
            }
        }
        bucket = table_child(bucket);
    }
    return NULL;
}

/* Adds an element that is not in the table yet; answers its cell. Does not grow the table. */
uint64_t *table_insert(struct table *table, struct heap *heap, uint64_t hash, void *element);
/* Takes the element of this cell out. `hash` is its hash. Does not shrink the table. */
void table_remove(struct table *table, struct heap *heap, uint64_t hash, uint64_t *cell);

/* True when the load calls for table_step(). */
static inline bool table_wants_step(const struct table *table) {
    uint64_t halves = (uint64_t)table->element_count * 2;
    return halves > (uint64_t)table->bucket_count * TABLE_GROW_HALVES ||
           (halves < (uint64_t)table->bucket_count * TABLE_SHRINK_HALVES &&
            table->bucket_count > 1) ||
           (halves == 0 && table->bucket_count == 1);
}

/* Splits or merges one bucket. Call it after table_insert() or table_remove() while
 * table_wants_step(), TABLE_STEPS_MAX times at most. */
void table_step(struct table *table, struct heap *heap, const struct table_elements *elements);

/* The buckets that the next step changes: [0] and [1] (equal when only one). For a cut. */
void table_step_buckets(const struct table *table, uint32_t buckets[2]);

/* Calls visit for each element of the bucket that holds the position (0 first); answers the
 * next position, or 0 after the last. visit must not change the table. */
uint64_t table_scan(const struct table *table, uint64_t position,
                    void (*visit)(void *element, void *context), void *context);

/* Calls visit for each element of the bucket of that number, below bucket_count. visit must not
 * change the table. */
void table_visit_bucket(const struct table *table, uint32_t index,
                        void (*visit)(void *element, void *context), void *context);

/* Has the elements of that bucket fetched into the cache: so many bytes of each. */
void table_prefetch_bucket(const struct table *table, uint32_t index, size_t element_bytes);

/* Any element with about equal chance, or NULL in an empty table. */
void *table_random(const struct table *table, struct random *random);

/* Frees the buckets, not the elements: what comes after is TABLE_EMPTY. */
void table_free(struct table *table, struct heap *heap);
/* Removes up to count elements, giving each to `drop`, and the buckets they stood in with them: the
 * bounded way to empty a table that nobody looks into any more. True when it is empty and freed. */
bool table_drain(struct table *table, struct heap *heap, size_t count,
                 void (*drop)(void *element, void *context), void *context);

/* Bytes of the buckets and directories, and what HTSTATS tells. */
struct table_statistics {
    size_t size_bytes;
    uint32_t buckets;
    uint32_t children;
    uint32_t used_buckets;
    uint32_t chain_max; /* elements in the fullest bucket and its children */
    uint32_t chains[TABLE_BUCKET_CELLS * 4 + 1]; /* buckets by elements, the last: that or more */
};
void table_statistics_read(const struct table *table, struct table_statistics *statistics);
/* The bytes alone, without the walk over all buckets. Children are estimated. */
size_t table_bytes(const struct table *table);

#endif
