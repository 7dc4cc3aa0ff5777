/* Store: the slots that one worker owns, in all databases, with everything that lives in them.
 *
 *   store -> database (made at first use) -> slot header -> table -> entries
 *
 * Invariants
 *  1. Only the owning worker touches a store, or a worker for which the owner stands still.
 *  2. database.keys is the sum of its tables' element counts; a bit in non_empty is set exactly for
 *     slots with elements; volatile_keys is the sum of the slots' volatile counts.
 *  3. A slot's earliest is never later than the earliest expiry in it (it may be too early). A
 *     group's is never later than those of its slots, a database's than those of its groups, the
 *     store's than those of its databases.
 *  4. change_count grows with every insertion and removal: what was found before is to be found
 *     anew.
 *
 * Data is changed only by effects (commands/effect.h), which call the functions below.
 * Memory that a change sets free is freed at once when that is little, else it goes to the
 * graveyard, which store_bury_step() empties a bounded piece at a time.
 */
#ifndef TARN_STORE_STORE_H
#define TARN_STORE_STORE_H

#include "base/hash.h"
#include "base/heap.h"
#include "base/random.h"
#include "store/entry.h"
#include "store/slot.h"
#include "store/store_options.h"
#include "store/watch.h"
#include "structures/table.h"

#include <stdint.h>

#define STORE_DATABASES_MAX 65536
/* A value with more elements than this is freed by the graveyard. */
#define STORE_FREE_AT_ONCE_MAX 64
#define STORE_GROUP_SLOTS 128
#define STORE_NO_EARLIEST INT64_MAX
#define STORE_ALIGNMENT 128
/* A block from this size on is freed by the background thread: the allocator gives its pages back
 * at once, which takes time. Smaller ones it keeps for a while, which takes less than a message. */
#define STORE_FREE_AWAY_BYTES ((size_t)8 * 1024 * 1024)

/* The bound that an entry sets which expires then: even the last moment is not the same as
 * never. */
static inline int64_t store_earliest_of(int64_t expiry_ms) {
    return expiry_ms == STORE_NO_EARLIEST ? STORE_NO_EARLIEST - 1 : expiry_ms;
}

/* Expiry of one slot, beside the hot headers. */
struct slot_expiry {
    int64_t earliest_ms; /* no entry expires before; STORE_NO_EARLIEST when none does */
    uint32_t volatile_count;
};

/* Active expiry walks over small slots and over large ones apart, so that a large one holds up
 * nobody. */
enum { EXPIRY_SMALL, EXPIRY_LARGE, EXPIRY_WALKS };

/* Where a walk is in one database. */
struct expiry_walk {
    uint32_t slot;       /* index of the slot that it is at, or goes on with */
    bool is_inside;      /* a part of that slot is done */
    uint64_t position;   /* where that part ends: table_scan()'s */
    int64_t earliest_ms; /* of what stays in that part */
};

/* How fast a walk may be: see expiry.h. */
struct expiry_pace {
    uint32_t database; /* that it is in */
    uint32_t rate;     /* units of work per ms */
    uint32_t tokens;   /* units that it may do */
    int64_t filled_ms; /* when tokens were last added */
    uint32_t seen;     /* volatile entries looked at since the rate was last set ... */
    uint32_t expired;  /* ... and how many of them had expired */
};

struct database {
    struct table *slots;          /* [store.slot_count], by slot - store.slot_first */
    struct slot_expiry *expiries; /* likewise; NULL until the first expiry */
    uint64_t *non_empty;          /* a bit per slot */
    uint32_t *group_keys;         /* keys of STORE_GROUP_SLOTS slots each, for a fair random key */
    uint64_t keys;
    uint64_t volatile_keys;
    /* For active expiry: see expiry.h. */
    int64_t *group_earliest_ms; /* of STORE_GROUP_SLOTS slots each; NULL until the first expiry */
    int64_t earliest_ms;        /* of the database */
    struct expiry_walk walks[EXPIRY_WALKS];
};

struct store_statistics {
    uint64_t expired_keys;
    uint64_t evicted_keys;
    uint64_t hits;
    uint64_t misses;
    uint64_t lazyfreed_objects;
    uint64_t expired_time_cap_reached;
    double expired_stale_percent;
};

struct store {
    struct heap heap;
    const struct store_options *options;
    uint64_t secret;
    uint32_t slot_first;
    uint32_t slot_count;
    uint32_t database_count;
    struct database **databases; /* NULL: nothing was ever stored there */
    uint32_t change_count;
    uint32_t lru_clock;         /* seconds, 24 bits; set by store_tick() */
    int64_t now_ms;             /* of the tick */
    uint64_t table_steps;       /* buckets split or merged so far: work, counted */
    struct random random;       /* for eviction and LFU, not for replies */
    int64_t expiry_earliest_ms; /* of all databases: no entry expires before */
    struct expiry_pace paces[EXPIRY_WALKS];
    struct eviction_pool *eviction_pool; /* NULL until the first eviction */
    struct watch_table watches;
    struct list graveyard;
    struct cut *open_cut;          /* that is inside a slot of this store, or NULL: see cut.h */
    struct background *background; /* frees large blocks; NULL: the worker itself does */
    uint64_t buried_elements;      /* freed by burials so far */
    uint64_t graveyard_count;
    struct store_statistics statistics;
};

/* The options stay the caller's and must outlive the store. */
struct store_plan {
    const struct store_options *options;
    uint64_t secret; /* the node's: the same in all its stores */
    uint64_t seed;
    uint32_t slot_first;
    uint32_t slot_count;
    uint32_t database_count;
};
struct store *store_new(const struct store_plan *plan);
void store_free(struct store *store);

/* Sets the tick's clock. */
void store_tick(struct store *store, int64_t now_ms);

static inline uint64_t store_hash(const struct store *store, struct span key) {
    return hash_bytes(key, store->secret);
}

static inline bool store_owns(const struct store *store, uint16_t slot) {
    return slot - store->slot_first < store->slot_count;
}

/* The slot's table, or NULL when the database was never used. */
static inline struct table *store_table(const struct store *store, uint32_t database,
                                        uint16_t slot) {
    struct database *found = store->databases[database];
    return found == NULL ? NULL : &found->slots[slot - store->slot_first];
}

static inline uint64_t *store_find(const struct store *store, uint32_t database, uint16_t slot,
                                   uint64_t hash, struct span key) {
    const struct table *table = store_table(store, database, slot);
    return table == NULL ? NULL : table_find(table, hash, entry_equals_key, &key);
}

/* Takes in an entry whose key is not there yet; answers its cell. The table takes its steps of
 * growth after the insertion. */
uint64_t *store_add(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                    struct entry *entry);
/* Takes the entry of this cell out and frees it with its value. */
void store_remove(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                  uint64_t *cell);
/* Takes it out without freeing: it is the caller's. */
struct entry *store_take(struct store *store, uint32_t database, uint16_t slot, uint64_t hash,
                         uint64_t *cell);
/* The entry's expiry changed from one to the other (ENTRY_NO_EXPIRY: none): keeps the counts
 * true. */
void store_expiry_changed(struct store *store, uint32_t database, uint16_t slot, int64_t old_ms,
                          int64_t new_ms);

/* Drops all keys of a database; they go to the graveyard. Answers how many there were. */
uint64_t store_flush(struct store *store, uint32_t database);
void store_swap(struct store *store, uint32_t first, uint32_t second);

/* The same for one slot of a database: for a load, in which slots are of different moments. Answers
 * the keys. */
uint64_t store_flush_slot(struct store *store, uint32_t database, uint16_t slot);
void store_swap_slot(struct store *store, uint32_t first, uint32_t second, uint16_t slot);

/* Keys of a database in this store. */
static inline uint64_t store_keys(const struct store *store, uint32_t database) {
    return store->databases[database] == NULL ? 0 : store->databases[database]->keys;
}

/* The first non-empty slot at or behind `slot`, or SLOTS. */
uint32_t store_next_slot(const struct store *store, uint32_t database, uint32_t slot);
/* Any entry with equal chance, or NULL; *slot_found is its slot. */
struct entry *store_random(const struct store *store, uint32_t database, struct random *random,
                           uint16_t *slot_found);

/* The hash of entries, for table_step(). */
struct table_elements store_elements(const struct store *store);

/* Bytes that one step of a burial frees: it ends with the few elements that reach that. */
#define STORE_BURY_STEP_BYTES ((size_t)1024 * 1024)

/* Frees up to `elements` of what was dropped, and about STORE_BURY_STEP_BYTES bytes; SIZE_MAX: all.
 * True when nothing is left. buried_elements tells how many went. */
bool store_bury_step(struct store *store, size_t elements);
/* A table of elements to be freed by and by; `drop` frees one. Takes the table over. */
void store_bury_table(struct store *store, struct table *table,
                      void (*drop)(void *element, void *store));

/* The same for a slot's table that was dropped, with its entries. */
void store_bury_dropped(struct store *store, struct table *table);

/* Access data of a new entry, and its update by a read. */
uint32_t store_access_new(const struct store *store);
/* Access data of an entry that was last used so long ago (LRU policies), or is used that often (LFU
 * policies). */
uint32_t store_access_idle(const struct store *store, uint64_t idle_seconds);
uint32_t store_access_frequency(const struct store *store, uint8_t frequency);
void store_touch(struct store *store, struct entry *entry);
/* Seconds since the last access (LRU policies), and the decayed counter (LFU policies). */
uint64_t store_idle_seconds(const struct store *store, const struct entry *entry);
uint8_t store_frequency(const struct store *store, const struct entry *entry);

#endif
