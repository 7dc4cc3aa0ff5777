#include "store/eviction.h"

#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#define KEYS 1000
/* Picks until a rare volatile key must have been found: the table has no more buckets than
 * elements. */
#define RARE_KEYS 20000
#define PICKS_MAX (RARE_KEYS / (5 * EVICTION_BUCKETS_MAX))

static void open_with(struct store_fixture *fixture, enum maxmemory_policy policy) {
    store_fixture_open(fixture);
    fixture->options.maxmemory_policy = policy;
}

/* Picks and removes; answers the number behind the key's prefix. */
static unsigned evict(struct store_fixture *fixture, struct fixture_key *key, uint32_t *database) {
    struct eviction_victim victim;
    ck_assert(eviction_pick(fixture->store, &victim));
    struct span text = entry_key(victim.entry);
    ck_assert_uint_eq(victim.slot, slot_of_key(text));
    snprintf(key->text, sizeof(key->text), "%.*s", (int)text.length, text.bytes);
    *database = victim.database;
    store_fixture_remove(fixture, victim.database, span_of_string(key->text));
    return (unsigned)atoi(key->text + strcspn(key->text, "0123456789"));
}

static void touch(struct store_fixture *fixture, const char *key) {
    store_touch(fixture->store, store_fixture_entry(fixture, 0, key));
}

/* How many of the first KEYS / 4 evicted keys belong to the quarter that should go first. */
static unsigned quarter_hits(struct store_fixture *fixture) {
    unsigned hits = 0;
    for (unsigned i = 0; i < KEYS / 4; i++) {
        struct fixture_key key;
        uint32_t database;
        hits += evict(fixture, &key, &database) < KEYS / 4;
    }
    return hits;
}

/* ---- who goes first ---- */

START_TEST(lru_evicts_what_was_not_used_for_the_longest_time) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_LRU);
    for (unsigned i = 0; i < KEYS; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
        store_fixture_advance(&fixture, 1000);
    }
    ck_assert_uint_gt(quarter_hits(&fixture), KEYS / 4 * 6 / 10);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(more_samples_evict_more_exactly) {
    unsigned hits[2];
    for (int k = 0; k < 2; k++) {
        struct store_fixture fixture;
        open_with(&fixture, MAXMEMORY_ALLKEYS_LRU);
        fixture.options.maxmemory_samples = k == 0 ? 1 : 20;
        for (unsigned i = 0; i < KEYS; i++) {
            store_fixture_put(&fixture, 0, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
            store_fixture_advance(&fixture, 1000);
        }
        hits[k] = quarter_hits(&fixture);
        store_fixture_close(&fixture);
    }
    ck_assert_uint_gt(hits[1], hits[0]);
}
END_TEST

START_TEST(lfu_evicts_what_was_used_least) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_LFU);
    for (unsigned i = 0; i < KEYS; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
        for (int j = 0; i >= KEYS / 4 && j < 200; j++) {
            touch(&fixture, fixture_key("k", i).text);
        }
    }
    ck_assert_uint_gt(quarter_hits(&fixture), KEYS / 4 * 6 / 10);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(volatile_ttl_evicts_what_expires_first) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_VOLATILE_TTL);
    for (unsigned i = 0; i < KEYS; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, fixture.now_ms + 1000 + i);
    }
    ck_assert_uint_gt(quarter_hits(&fixture), KEYS / 4 * 6 / 10);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(volatile_policies_evict_every_volatile_key_and_no_other_one) {
    static const enum maxmemory_policy policies[] = {
        MAXMEMORY_VOLATILE_LRU,
        MAXMEMORY_VOLATILE_LFU,
        MAXMEMORY_VOLATILE_RANDOM,
        MAXMEMORY_VOLATILE_TTL,
    };
    for (size_t k = 0; k < UNIT_COUNT(policies); k++) {
        struct store_fixture fixture;
        open_with(&fixture, policies[k]);
        for (unsigned i = 0; i < KEYS; i++) {
            store_fixture_put(&fixture, i % 3, fixture_key("volatile", i).text,
                              fixture.now_ms + 1000);
            store_fixture_put(&fixture, i % 3, fixture_key("kept", i).text, ENTRY_NO_EXPIRY);
        }
        for (unsigned i = 0; i < KEYS; i++) {
            struct fixture_key key;
            uint32_t database;
            ck_assert(eviction_is_possible(fixture.store));
            ck_assert_uint_eq(evict(&fixture, &key, &database) % 3, database);
            ck_assert_int_eq(key.text[0], 'v');
        }
        struct eviction_victim victim;
        ck_assert(!eviction_is_possible(fixture.store));
        ck_assert(!eviction_pick(fixture.store, &victim));
        store_fixture_close(&fixture);
    }
}
END_TEST

START_TEST(allkeys_policies_evict_every_key_of_every_database) {
    static const enum maxmemory_policy policies[] = {
        MAXMEMORY_ALLKEYS_LRU,
        MAXMEMORY_ALLKEYS_LFU,
        MAXMEMORY_ALLKEYS_RANDOM,
    };
    for (size_t k = 0; k < UNIT_COUNT(policies); k++) {
        struct store_fixture fixture;
        open_with(&fixture, policies[k]);
        for (unsigned i = 0; i < KEYS; i++) {
            store_fixture_put(&fixture, i % 2 * 3, fixture_key("k", i).text,
                              i % 5 == 0 ? fixture.now_ms + 1000 : ENTRY_NO_EXPIRY);
        }
        for (unsigned i = 0; i < KEYS; i++) {
            struct fixture_key key;
            uint32_t database;
            evict(&fixture, &key, &database);
        }
        ck_assert(!eviction_is_possible(fixture.store));
        store_fixture_close(&fixture);
    }
}
END_TEST

START_TEST(noeviction_evicts_nothing) {
    struct store_fixture fixture;
    struct eviction_victim victim;
    open_with(&fixture, MAXMEMORY_NO_EVICTION);
    store_fixture_put(&fixture, 0, "k", fixture.now_ms + 1);
    ck_assert(!eviction_is_possible(fixture.store));
    ck_assert(!eviction_pick(fixture.store, &victim));
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(random_policies_reach_every_used_database) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_RANDOM);
    for (unsigned i = 0; i < 100; i++) {
        store_fixture_put(&fixture, i % 2 * 2, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
    }
    unsigned seen[FIXTURE_DATABASES] = {0};
    for (unsigned i = 0; i < 20; i++) {
        struct fixture_key key;
        uint32_t database;
        evict(&fixture, &key, &database);
        seen[database]++;
    }
    ck_assert_uint_eq(seen[0], 10);
    ck_assert_uint_eq(seen[2], 10);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- the pool ---- */

START_TEST(the_pool_remembers_good_candidates_over_picks) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_LRU);
    for (unsigned i = 0; i < KEYS; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
    }
    struct eviction_victim victim;
    for (int i = 0; i < 10; i++) {
        ck_assert(eviction_pick(fixture.store, &victim));
        ck_assert_uint_le(fixture.store->eviction_pool->count, EVICTION_POOL_SIZE);
    }
    ck_assert_uint_eq(fixture.store->eviction_pool->count, EVICTION_POOL_SIZE - 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_candidate_that_was_used_since_is_passed_over) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_LRU);
    fixture.options.maxmemory_samples = 64;
    store_fixture_put(&fixture, 0, "oldest", ENTRY_NO_EXPIRY);
    store_fixture_advance(&fixture, 50000);
    store_fixture_put(&fixture, 0, "older", ENTRY_NO_EXPIRY);
    store_fixture_advance(&fixture, 50000);
    store_fixture_put(&fixture, 0, "old", ENTRY_NO_EXPIRY);
    store_fixture_advance(&fixture, 10000);
    struct fixture_key key;
    uint32_t database;
    evict(&fixture, &key, &database);
    ck_assert_str_eq(key.text, "oldest");
    touch(&fixture, "older");
    evict(&fixture, &key, &database);
    ck_assert_str_eq(key.text, "old");
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(candidates_that_are_gone_are_passed_over) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_LRU);
    struct random random;
    random_seed(&random, 3);
    for (int round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 100; i++) {
            store_fixture_put(&fixture, 0, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
        }
        struct eviction_victim victim;
        ck_assert(eviction_pick(fixture.store, &victim));
        if (round % 10 == 0) {
            store_flush(fixture.store, 0);
        }
        for (unsigned i = 0; i < 100; i++) {
            struct fixture_key key = fixture_key("k", i);
            if (store_fixture_entry(&fixture, 0, key.text) != NULL &&
                random_below(&random, 2) == 0) {
                store_fixture_remove(&fixture, 0, span_of_string(key.text));
            }
        }
        store_bury_step(fixture.store, SIZE_MAX);
        if (eviction_pick(fixture.store, &victim)) {
            struct span key = entry_key(victim.entry);
            struct place place = store_fixture_place(&fixture, victim.database, key);
            ck_assert_ptr_eq(place_entry(&place), victim.entry);
        }
        store_fixture_advance(&fixture, 1000);
    }
    store_fixture_close(&fixture);
}
END_TEST

/* Long enough for the entry to stay where it is when it loses its expiry. */
static void put_long(struct store_fixture *fixture, const char *key, int64_t expiry_ms) {
    static const char bytes[600] = "long";
    struct place place = store_fixture_place(fixture, 0, span_of_string(key));
    struct string_put put = {.bytes = span_of(bytes, sizeof(bytes)), .expiry_ms = expiry_ms};
    value_string_put(place.store, 0, place.slot, place.hash, place.key, place.cell, &put);
}

START_TEST(a_key_that_lost_its_expiry_is_no_candidate_of_a_volatile_policy) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_VOLATILE_LRU);
    fixture.options.maxmemory_samples = 64;
    put_long(&fixture, "a", fixture.now_ms + 1000);
    put_long(&fixture, "b", fixture.now_ms + 1000);
    struct eviction_victim victim;
    ck_assert(eviction_pick(fixture.store, &victim));
    const struct entry *before[2] = {store_fixture_entry(&fixture, 0, "a"),
                                     store_fixture_entry(&fixture, 0, "b")};
    put_long(&fixture, "a", ENTRY_NO_EXPIRY);
    put_long(&fixture, "b", ENTRY_NO_EXPIRY);
#ifndef TARN_SANITIZED /* There nothing stays where it is when its size changes. */
    ck_assert_ptr_eq(store_fixture_entry(&fixture, 0, "a"), before[0]);
    ck_assert_ptr_eq(store_fixture_entry(&fixture, 0, "b"), before[1]);
#endif
    (void)before;
    ck_assert(!eviction_pick(fixture.store, &victim));
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_change_of_policy_empties_the_pool) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_ALLKEYS_LRU);
    for (unsigned i = 0; i < 100; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, fixture.now_ms + 1000);
    }
    struct eviction_victim victim;
    for (int i = 0; i < 10; i++) {
        ck_assert(eviction_pick(fixture.store, &victim));
    }
    fixture.options.maxmemory_policy = MAXMEMORY_VOLATILE_TTL;
    ck_assert(eviction_pick(fixture.store, &victim));
    ck_assert_uint_lt(fixture.store->eviction_pool->count,
                      (uint32_t)fixture.options.maxmemory_samples);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- how much at a time ---- */

START_TEST(a_pick_does_a_bounded_work_and_finds_the_only_volatile_key_in_the_end) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_VOLATILE_LRU);
    for (unsigned i = 0; i < RARE_KEYS; i++) {
        store_fixture_put(&fixture, 0, fixture_key("{tag}", i).text, ENTRY_NO_EXPIRY);
    }
    store_fixture_put(&fixture, 0, "{tag}volatile", INT64_MAX);
    struct eviction_victim victim;
    bool is_found = false;
    const uint64_t most =
        (uint64_t)fixture.options.maxmemory_samples * (EVICTION_TRIES_MAX + EVICTION_BUCKETS_MAX);
    uint64_t before = 0;
    for (int i = 0; i < PICKS_MAX && !is_found; i++) {
        is_found = eviction_pick(fixture.store, &victim);
        ck_assert_uint_le(fixture.store->eviction_pool->buckets - before, most);
        before = fixture.store->eviction_pool->buckets;
    }
    ck_assert(is_found);
    ck_assert(span_is(entry_key(victim.entry), "{tag}volatile"));
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(volatile_keys_of_all_slots_are_found_whatever_the_number_of_slots) {
    struct store_fixture fixture;
    open_with(&fixture, MAXMEMORY_VOLATILE_RANDOM);
    store_free(fixture.store);
    fixture.store = store_new(&(struct store_plan){
        .options = &fixture.options,
        .seed = 5,
        .slot_first = 1000,
        .slot_count = 5461,
        .database_count = 1,
    });
    unsigned count = 0;
    for (unsigned i = 0; i < 300; i++) {
        struct fixture_key key = fixture_key("k", i);
        if (store_owns(fixture.store, slot_of_key(span_of_string(key.text)))) {
            store_fixture_put(&fixture, 0, key.text, INT64_MAX);
            count++;
        }
    }
    ck_assert_uint_gt(count, 50);
    for (unsigned i = 0; i < count; i++) {
        struct fixture_key key;
        uint32_t database;
        evict(&fixture, &key, &database);
    }
    ck_assert(!eviction_is_possible(fixture.store));
    store_fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        lru_evicts_what_was_not_used_for_the_longest_time,
        more_samples_evict_more_exactly,
        lfu_evicts_what_was_used_least,
        volatile_ttl_evicts_what_expires_first,
        volatile_policies_evict_every_volatile_key_and_no_other_one,
        allkeys_policies_evict_every_key_of_every_database,
        noeviction_evicts_nothing,
        random_policies_reach_every_used_database,
        the_pool_remembers_good_candidates_over_picks,
        a_candidate_that_was_used_since_is_passed_over,
        candidates_that_are_gone_are_passed_over,
        a_key_that_lost_its_expiry_is_no_candidate_of_a_volatile_policy,
        a_change_of_policy_empties_the_pool,
        a_pick_does_a_bounded_work_and_finds_the_only_volatile_key_in_the_end,
        volatile_keys_of_all_slots_are_found_whatever_the_number_of_slots,
    };
    return unit_run(unit_suite("eviction", tests, UNIT_COUNT(tests)));
}
