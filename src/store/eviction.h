/* Eviction: which key of one store goes first when memory is short, by maxmemory-policy.
 *
 *   allkeys-lru, volatile-lru        the longest without access, in seconds
 *   allkeys-lfu, volatile-lfu        the lowest access counter, decayed
 *   volatile-ttl                     the first to expire
 *   allkeys-random, volatile-random  any, of the used databases in turn
 *
 * The best is found as in Redis: not exactly, but among samples. Each pick takes maxmemory-samples
 * entries of each database by chance, and keeps the best that it ever met in a pool of
 * EVICTION_POOL_SIZE.
 *
 * The pool holds addresses, not keys: an entry that is gone, or was used since, is not what it was
 * when it came in, and is passed over. An address is never followed before the table says that it
 * is still an entry's.
 *
 * Volatile keys have no index of their own. A sample of them is a slot with any, and in it some by
 * chance, or, where they are few among many, the next ones behind a position that goes round: so a
 * pick does a bounded work, may find none, and finds one after some more picks.
 *
 * Called by the store's owner only.
 */
#ifndef TARN_STORE_EVICTION_H
#define TARN_STORE_EVICTION_H

#include "store/store.h"

#define EVICTION_POOL_SIZE 16
/* Tries by chance, then buckets that are searched, for one volatile entry. */
#define EVICTION_TRIES_MAX 8
#define EVICTION_BUCKETS_MAX 32

struct eviction_candidate {
    const struct entry *entry; /* maybe gone */
    uint64_t score;            /* the higher, the better to evict */
    uint64_t hash;
    uint32_t database;
    uint16_t slot;
};

struct eviction_pool {
    struct eviction_candidate candidates[EVICTION_POOL_SIZE]; /* by ascending score */
    uint32_t count;
    enum maxmemory_policy policy; /* that the scores are of */
    uint32_t database;            /* where the last random victim was */
    uint64_t position;            /* of the search for volatile entries: table_scan()'s */
    uint64_t buckets;             /* searched so far: work, counted */
};

struct eviction_victim {
    struct entry *entry;
    uint32_t database;
    uint16_t slot;
};

/* False: none was found. Changes no data. */
bool eviction_pick(struct store *store, struct eviction_victim *victim);

/* There are keys that the policy allows to evict, though a pick may not have found them yet. */
bool eviction_is_possible(const struct store *store);

#endif
