#include "store/eviction.h"

#include "base/memory.h"

/* ---- which keys ---- */

static enum maxmemory_policy policy_of(const struct store *store) {
    return store->options->maxmemory_policy;
}

/* Keys of a database that may be evicted. */
static uint64_t evictable_keys(const struct store *store, uint32_t database) {
    const struct database *found = store->databases[database];
    if (found == NULL || policy_of(store) == MAXMEMORY_NO_EVICTION) {
        return 0;
    }
    return maxmemory_policy_is_volatile(policy_of(store)) ? found->volatile_keys : found->keys;
}

bool eviction_is_possible(const struct store *store) {
    for (uint32_t i = 0; i < store->database_count; i++) {
        if (evictable_keys(store, i) > 0) {
            return true;
        }
    }
    return false;
}

static uint64_t score_of(const struct store *store, const struct entry *entry) {
    enum maxmemory_policy policy = policy_of(store);
    if (maxmemory_policy_is_lru(policy)) {
        return store_idle_seconds(store, entry);
    }
    if (maxmemory_policy_is_lfu(policy)) {
        return UINT8_MAX - (uint64_t)store_frequency(store, entry);
    }
    return UINT64_MAX - (uint64_t)entry_expiry(entry);
}

/* ---- samples ---- */

/* The first slot with volatile entries from `from` on, round the end, or slot_count. */
static uint32_t next_volatile_slot(const struct store *store, const struct database *database,
                                   uint32_t from) {
    uint32_t index = from;
    for (uint32_t seen = 0; seen < store->slot_count;) {
        uint32_t step = 1;
        if (database->group_earliest_ms[index / STORE_GROUP_SLOTS] == STORE_NO_EARLIEST) {
            step = STORE_GROUP_SLOTS - index % STORE_GROUP_SLOTS;
        } else if (database->expiries[index].volatile_count > 0) {
            return index;
        }
        uint32_t left = store->slot_count - index;
        seen += step < left ? step : left;
        index = step < left ? index + step : 0;
    }
    return store->slot_count;
}

struct search {
    struct random *random;
    struct entry *found;
    uint32_t seen;
};

/* Each volatile entry of a bucket with equal chance. */
static void look_at(void *element, void *context) {
    struct search *search = context;
    if (entry_has(element, ENTRY_FLAG_EXPIRY) &&
        random_below(search->random, ++search->seen) == 0) {
        search->found = element;
    }
}

/* A volatile entry of a table that has some, or NULL. */
static struct entry *volatile_entry(struct store *store, const struct table *table) {
    for (int i = 0; i < EVICTION_TRIES_MAX; i++) {
        struct entry *entry = table_random(table, &store->random);
        store->eviction_pool->buckets++;
        if (entry_has(entry, ENTRY_FLAG_EXPIRY)) {
            return entry;
        }
    }
    struct eviction_pool *pool = store->eviction_pool;
    struct search search = {.random = &store->random};
    for (int i = 0; i < EVICTION_BUCKETS_MAX && search.found == NULL; i++) {
        pool->position = table_scan(table, pool->position, look_at, &search);
        pool->buckets++;
    }
    return search.found;
}

/* An entry of the database that may be evicted, by chance; NULL: none was found. */
static struct entry *sample(struct store *store, uint32_t database_index, uint16_t *slot) {
    if (!maxmemory_policy_is_volatile(policy_of(store))) {
        store->eviction_pool->buckets++;
        return store_random(store, database_index, &store->random, slot);
    }
    const struct database *database = store->databases[database_index];
    uint32_t from = (uint32_t)random_below(&store->random, store->slot_count);
    uint32_t index = next_volatile_slot(store, database, from);
    if (index == store->slot_count) {
        return NULL;
    }
    *slot = (uint16_t)(store->slot_first + index);
    return volatile_entry(store, &database->slots[index]);
}

/* ---- the pool ---- */

static bool pool_has(const struct eviction_pool *pool, const struct entry *entry) {
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->candidates[i].entry == entry) {
            return true;
        }
    }
    return false;
}

/* Takes a candidate in, in place of the worst one when the pool is full. */
static void pool_offer(struct eviction_pool *pool, const struct eviction_candidate *candidate) {
    struct eviction_candidate *candidates = pool->candidates;
    uint32_t place = 0;
    while (place < pool->count && candidates[place].score < candidate->score) {
        place++;
    }
    if (pool->count < EVICTION_POOL_SIZE) {
        memmove(&candidates[place + 1], &candidates[place],
                (pool->count - place) * sizeof(*candidates));
        pool->count++;
    } else if (place > 0) {
        place--;
        memmove(&candidates[0], &candidates[1], place * sizeof(*candidates));
    } else {
        return;
    }
    candidates[place] = *candidate;
}

static void fill_from(struct store *store, uint32_t database) {
    for (int64_t i = 0; i < store->options->maxmemory_samples; i++) {
        uint16_t slot = 0;
        const struct entry *entry = sample(store, database, &slot);
        if (entry != NULL && !pool_has(store->eviction_pool, entry)) {
            pool_offer(store->eviction_pool, &(struct eviction_candidate){
                                                 .entry = entry,
                                                 .score = score_of(store, entry),
                                                 .hash = store_hash(store, entry_key(entry)),
                                                 .database = database,
                                                 .slot = slot,
                                             });
        }
    }
}

static bool is_same_address(const void *element, const void *sought) {
    return element == sought;
}

/* The candidate's entry if it is what it was, else NULL. */
static struct entry *candidate_entry(const struct store *store,
                                     const struct eviction_candidate *candidate) {
    const struct table *table = store_table(store, candidate->database, candidate->slot);
    const uint64_t *cell =
        table == NULL ? NULL
                      : table_find(table, candidate->hash, is_same_address, candidate->entry);
    if (cell == NULL) {
        return NULL;
    }
    struct entry *entry = table_cell_element(*cell);
    bool is_allowed =
        !maxmemory_policy_is_volatile(policy_of(store)) || entry_has(entry, ENTRY_FLAG_EXPIRY);
    return is_allowed && score_of(store, entry) >= candidate->score ? entry : NULL;
}

/* Takes the best candidate out that is still one. */
static bool pool_take(struct store *store, struct eviction_victim *victim) {
    struct eviction_pool *pool = store->eviction_pool;
    while (pool->count > 0) {
        const struct eviction_candidate *best = &pool->candidates[--pool->count];
        victim->entry = candidate_entry(store, best);
        victim->database = best->database;
        victim->slot = best->slot;
        if (victim->entry != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- picking ---- */

static bool pick_random(struct store *store, struct eviction_victim *victim) {
    struct eviction_pool *pool = store->eviction_pool;
    for (uint32_t i = 0; i < store->database_count; i++) {
        pool->database = pool->database + 1 < store->database_count ? pool->database + 1 : 0;
        if (evictable_keys(store, pool->database) > 0) {
            victim->database = pool->database;
            victim->entry = sample(store, pool->database, &victim->slot);
            if (victim->entry != NULL) {
                return true;
            }
        }
    }
    return false;
}

static struct eviction_pool *pool_of(struct store *store) {
    if (store->eviction_pool == NULL) {
        store->eviction_pool = memory_alloc_zeroed(sizeof(struct eviction_pool));
    }
    if (store->eviction_pool->policy != policy_of(store)) {
        store->eviction_pool->policy = policy_of(store);
        store->eviction_pool->count = 0;
    }
    return store->eviction_pool;
}

bool eviction_pick(struct store *store, struct eviction_victim *victim) {
    enum maxmemory_policy policy = policy_of(store);
    pool_of(store);
    if (policy == MAXMEMORY_NO_EVICTION) {
        return false;
    }
    if (policy == MAXMEMORY_ALLKEYS_RANDOM || policy == MAXMEMORY_VOLATILE_RANDOM) {
        return pick_random(store, victim);
    }
    for (uint32_t i = 0; i < store->database_count; i++) {
        if (evictable_keys(store, i) > 0) {
            fill_from(store, i);
        }
    }
    return pool_take(store, victim);
}
