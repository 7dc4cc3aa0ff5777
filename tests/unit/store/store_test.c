#include "store/store.h"

#include "base/memory.h"
#include "store/hash_value.h"
#include "store/value.h"

#include "tests/unit/unit.h"

#include <stdio.h>

/* Check makes a note of every ck_assert(): too slow for what runs a million times. */
#define REQUIRE(fact)                                                                              \
    do {                                                                                           \
        if (!(fact)) {                                                                             \
            ck_abort_msg("not so: %s", #fact);                                                     \
        }                                                                                          \
    } while (0)

#define SLOT_FIRST 5000
#define SLOT_COUNT 3001
#define DATABASES 3
#define NOW_MS INT64_C(1700000000000)

/* On both sides of words of the bitmap and of groups, and at both ends. */
static const uint16_t slots[] = {
    SLOT_FIRST,
    SLOT_FIRST + 63,
    SLOT_FIRST + 64,
    SLOT_FIRST + STORE_GROUP_SLOTS - 1,
    SLOT_FIRST + STORE_GROUP_SLOTS,
    SLOT_FIRST + 960, /* the first of its word, behind empty ones */
    SLOT_FIRST + 1000,
    SLOT_FIRST + SLOT_COUNT - 1,
};

/* ---- a store with a list of all keys that could be in it ---- */

enum { KEYS = 2000 };

struct key {
    char name[24];
    size_t length;
    uint16_t slot;
    uint32_t database;
    int64_t expiry_ms;
    bool is_there;
};

struct fixture {
    struct store_options options;
    struct store *store;
    struct key keys[KEYS];
    struct random random;
};

static struct fixture *fixture_open(uint64_t seed) {
    struct fixture *fixture = memory_alloc_zeroed(sizeof(*fixture));
    random_seed(&fixture->random, seed);
    fixture->options.hash_max_listpack_entries = 128;
    fixture->options.hash_max_listpack_value = 64;
    fixture->options.lfu_log_factor = 10;
    fixture->options.lfu_decay_time = 1;
    fixture->store = store_new(&(struct store_plan){
        .options = &fixture->options,
        .secret = 99,
        .seed = seed,
        .slot_first = SLOT_FIRST,
        .slot_count = SLOT_COUNT,
        .database_count = DATABASES,
    });
    store_tick(fixture->store, NOW_MS);
    for (int i = 0; i < KEYS; i++) {
        struct key *key = &fixture->keys[i];
        key->length = (size_t)snprintf(key->name, sizeof(key->name), "key:%d", i);
        key->slot = slots[(size_t)i % UNIT_COUNT(slots)];
        key->database = (uint32_t)i / (int)UNIT_COUNT(slots) % DATABASES;
    }
    return fixture;
}

static void fixture_close(struct fixture *fixture) {
    store_free(fixture->store);
    memory_free(fixture);
}

static struct span span_of_key(const struct key *key) {
    return span_of(key->name, key->length);
}

static uint64_t *find(const struct fixture *fixture, const struct key *key) {
    const struct store *store = fixture->store;
    struct span name = span_of_key(key);
    return store_find(store, key->database, key->slot, store_hash(store, name), name);
}

static void add(struct fixture *fixture, struct key *key, int64_t expiry_ms) {
    struct store *store = fixture->store;
    struct entry_plan plan = {
        .kind = ENTRY_BYTES,
        .expiry_ms = expiry_ms,
        .access = store_access_new(store),
        .key = span_of_key(key),
        .value = span_of_string("value"),
    };
    struct entry *entry = entry_new(&store->heap, &plan);
    uint32_t changes = store->change_count;
    uint64_t *cell = store_add(store, key->database, key->slot, store_hash(store, plan.key), entry);
    REQUIRE(store->change_count != changes);
    REQUIRE(table_cell_element(*cell) == entry);
    REQUIRE(find(fixture, key) == cell);
    key->expiry_ms = expiry_ms;
    key->is_there = true;
}

static void drop(struct fixture *fixture, struct key *key) {
    struct store *store = fixture->store;
    uint32_t changes = store->change_count;
    store_remove(store, key->database, key->slot, store_hash(store, span_of_key(key)),
                 find(fixture, key));
    REQUIRE(store->change_count != changes);
    key->is_there = false;
}

static void set_expiry(struct fixture *fixture, struct key *key, int64_t expiry_ms) {
    struct store *store = fixture->store;
    uint64_t *cell = find(fixture, key);
    table_cell_move(cell, entry_with_expiry(&store->heap, table_cell_element(*cell), expiry_ms));
    store_expiry_changed(store, key->database, key->slot, key->expiry_ms, expiry_ms);
    key->expiry_ms = expiry_ms;
}

static int64_t expiry_draw(struct fixture *fixture) {
    return random_below(&fixture->random, 2) == 0
               ? ENTRY_NO_EXPIRY
               : NOW_MS + (int64_t)random_below(&fixture->random, 1000000);
}

/* The invariants of store.h, counted anew. */
static void check_database(const struct fixture *fixture, uint32_t index) {
    const struct store *store = fixture->store;
    uint32_t counts[SLOT_COUNT] = {0};
    uint32_t volatile_counts[SLOT_COUNT] = {0};
    int64_t earliest[SLOT_COUNT];
    uint64_t keys = 0;
    uint64_t volatile_keys = 0;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        earliest[i] = STORE_NO_EARLIEST;
    }
    for (int i = 0; i < KEYS; i++) {
        const struct key *key = &fixture->keys[i];
        if (key->database != index) {
            continue;
        }
        REQUIRE((find(fixture, key) != NULL) == key->is_there);
        if (key->is_there) {
            uint32_t slot = key->slot - (uint32_t)SLOT_FIRST;
            keys++;
            counts[slot]++;
            if (key->expiry_ms != ENTRY_NO_EXPIRY) {
                volatile_keys++;
                volatile_counts[slot]++;
                earliest[slot] = key->expiry_ms < earliest[slot] ? key->expiry_ms : earliest[slot];
            }
        }
    }
    ck_assert_uint_eq(store_keys(store, index), keys);
    const struct database *database = store->databases[index];
    if (database == NULL) {
        return;
    }
    ck_assert_uint_eq(database->volatile_keys, volatile_keys);
    uint32_t group_keys = 0;
    for (uint32_t i = 0; i < SLOT_COUNT; i++) {
        REQUIRE(database->slots[i].element_count == counts[i]);
        REQUIRE((database->non_empty[i / 64] >> i % 64 & 1) == (counts[i] != 0));
        if (database->expiries != NULL) {
            REQUIRE(database->expiries[i].volatile_count == volatile_counts[i]);
            REQUIRE(database->expiries[i].earliest_ms <= earliest[i]);
            REQUIRE(volatile_counts[i] != 0 ||
                    database->expiries[i].earliest_ms == STORE_NO_EARLIEST);
        } else {
            REQUIRE(volatile_counts[i] == 0);
        }
        group_keys += counts[i];
        if (i % STORE_GROUP_SLOTS == STORE_GROUP_SLOTS - 1 || i == SLOT_COUNT - 1) {
            REQUIRE(database->group_keys[i / STORE_GROUP_SLOTS] == group_keys);
            group_keys = 0;
        }
    }
}

static void check(const struct fixture *fixture) {
    for (uint32_t i = 0; i < DATABASES; i++) {
        check_database(fixture, i);
    }
}

static void forget_database(struct fixture *fixture, uint32_t database) {
    for (int i = 0; i < KEYS; i++) {
        if (fixture->keys[i].database == database) {
            fixture->keys[i].is_there = false;
        }
    }
}

static void fill(struct fixture *fixture) {
    for (int i = 0; i < KEYS; i++) {
        add(fixture, &fixture->keys[i], expiry_draw(fixture));
    }
}

START_TEST(store_counts_stay_true_whatever_comes_and_goes) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct fixture *fixture = fixture_open(seed);
        for (int i = 0; i < 20000; i++) {
            struct key *key = &fixture->keys[random_below(&fixture->random, KEYS)];
            /* Waves: growing for a while, then shrinking. */
            uint64_t fate = random_below(&fixture->random, 10);
            bool is_growing = i / 4000 % 2 == 0;
            if (!key->is_there && fate < (is_growing ? 8 : 2)) {
                add(fixture, key, expiry_draw(fixture));
            } else if (key->is_there && fate < (is_growing ? 2 : 8)) {
                drop(fixture, key);
            } else if (key->is_there) {
                set_expiry(fixture, key, expiry_draw(fixture));
            }
            if (i % 500 == 0) {
                check(fixture);
            }
            if (i % 7000 == 6999) {
                store_flush(fixture->store, 1);
                forget_database(fixture, 1);
            }
        }
        check(fixture);
        fixture_close(fixture);
    }
}
END_TEST

START_TEST(store_takes_an_entry_out_without_freeing_it) {
    struct fixture *fixture = fixture_open(1);
    struct store *store = fixture->store;
    struct key *key = &fixture->keys[0];
    add(fixture, key, NOW_MS + 5);
    struct entry *entry = store_take(store, key->database, key->slot,
                                     store_hash(store, span_of_key(key)), find(fixture, key));
    key->is_there = false;
    check(fixture);
    ck_assert(span_equal(entry_key(entry), span_of_key(key)));
    ck_assert_int_eq(entry_expiry(entry), NOW_MS + 5);
    value_free(store, entry);
    ck_assert_uint_eq(store->heap.used_bytes, 0);
    fixture_close(fixture);
}
END_TEST

START_TEST(store_gives_a_database_its_memory_at_the_first_key) {
    struct fixture *fixture = fixture_open(1);
    ck_assert_ptr_null(store_table(fixture->store, 0, SLOT_FIRST));
    ck_assert_ptr_null(find(fixture, &fixture->keys[0]));
    ck_assert_uint_eq(store_flush(fixture->store, 0), 0);
    ck_assert_uint_eq(store_next_slot(fixture->store, 0, 0), SLOTS);
    uint16_t slot;
    ck_assert_ptr_null(store_random(fixture->store, 0, &fixture->random, &slot));
    add(fixture, &fixture->keys[0], ENTRY_NO_EXPIRY);
    ck_assert_ptr_nonnull(store_table(fixture->store, 0, SLOT_FIRST));
    ck_assert_ptr_null(fixture->store->databases[1]);
    fixture_close(fixture);
}
END_TEST

START_TEST(store_owns_its_slots_and_no_others) {
    struct fixture *fixture = fixture_open(1);
    ck_assert(!store_owns(fixture->store, SLOT_FIRST - 1));
    ck_assert(store_owns(fixture->store, SLOT_FIRST));
    ck_assert(store_owns(fixture->store, SLOT_FIRST + SLOT_COUNT - 1));
    ck_assert(!store_owns(fixture->store, SLOT_FIRST + SLOT_COUNT));
    ck_assert(!store_owns(fixture->store, 0));
    fixture_close(fixture);
}
END_TEST

/* ---- whole databases ---- */

START_TEST(store_flush_leaves_nothing_to_be_found_and_the_other_databases_alone) {
    struct fixture *fixture = fixture_open(1);
    fill(fixture);
    uint64_t keys = store_keys(fixture->store, 1);
    uint32_t changes = fixture->store->change_count;
    ck_assert_uint_eq(store_flush(fixture->store, 1), keys);
    ck_assert_uint_ne(fixture->store->change_count, changes);
    ck_assert_uint_eq(fixture->store->graveyard_count, keys);
    forget_database(fixture, 1);
    check(fixture);
    for (int i = 0; i < KEYS; i++) {
        if (fixture->keys[i].database == 1) {
            add(fixture, &fixture->keys[i], ENTRY_NO_EXPIRY);
        }
    }
    check(fixture);
    ck_assert_uint_eq(fixture->store->graveyard_count, keys);
    fixture_close(fixture);
}
END_TEST

START_TEST(store_buries_a_flushed_database_a_bounded_piece_at_a_time) {
    struct fixture *fixture = fixture_open(1);
    struct store *store = fixture->store;
    fill(fixture);
    uint64_t left = store_keys(store, 0) + store_keys(store, 2);
    store_flush(store, 0);
    store_flush(store, 2);
    forget_database(fixture, 0);
    forget_database(fixture, 2);
    size_t used = store->heap.used_bytes;
    uint64_t buried = 0;
    bool is_done;
    do {
        is_done = store_bury_step(store, 10);
        uint64_t step = left - store->graveyard_count;
        ck_assert_uint_le(step, 10);
        ck_assert(step == 10 || is_done);
        left -= step;
        buried += step;
        ck_assert(store->heap.used_bytes < used);
        used = store->heap.used_bytes;
    } while (!is_done && left != 0);
    while (!store_bury_step(store, 10)) {
    }
    ck_assert_uint_eq(store->graveyard_count, 0);
    ck_assert_uint_eq(store->statistics.lazyfreed_objects, buried);
    check(fixture);
    ck_assert(store_bury_step(store, 10));
    fixture_close(fixture);
}
END_TEST

START_TEST(a_step_of_a_burial_frees_a_bounded_number_of_bytes) {
    struct fixture *fixture = fixture_open(1);
    struct store *store = fixture->store;
    char value[8192];
    memset(value, 'x', sizeof(value));
    const struct key *key = &fixture->keys[0];
    uint64_t hash = store_hash(store, span_of_key(key));
    uint64_t *cell = hash_value_new(store, key->database, key->slot, hash, span_of_key(key));
    for (int i = 0; i < 1000; i++) {
        char field[16];
        int length = snprintf(field, sizeof(field), "f%d", i);
        hash_value_put(store, cell, span_of(field, (size_t)length), span_of(value, sizeof(value)));
    }
    store_flush(store, key->database);
    uint32_t steps = 0;
    for (bool is_done = false; !is_done; steps++) {
        size_t used = store->heap.used_bytes;
        is_done = store_bury_step(store, 100000);
        ck_assert_uint_le(used - store->heap.used_bytes,
                          STORE_BURY_STEP_BYTES + 20 * sizeof(value));
    }
    ck_assert_uint_ge(steps, 1000 * sizeof(value) / (STORE_BURY_STEP_BYTES + 20 * sizeof(value)));
    ck_assert_uint_eq(store->buried_elements, 1001);
    fixture_close(fixture);
}
END_TEST

START_TEST(store_flush_frees_large_hashes_too) {
    struct fixture *fixture = fixture_open(1);
    struct store *store = fixture->store;
    const struct key *key = &fixture->keys[0];
    uint64_t hash = store_hash(store, span_of_key(key));
    uint64_t *cell = hash_value_new(store, key->database, key->slot, hash, span_of_key(key));
    for (int i = 0; i < 1000; i++) {
        char field[16];
        int length = snprintf(field, sizeof(field), "f%d", i);
        hash_value_put(store, cell, span_of(field, (size_t)length), span_of_string("v"));
    }
    store_flush(store, key->database);
    uint32_t steps = 0;
    while (!store_bury_step(store, 10)) {
        steps++;
    }
    ck_assert_uint_ge(steps, 1000 / 10);
    ck_assert_uint_eq(store->heap.used_bytes, 0);
    ck_assert_uint_eq(store->graveyard_count, 0);
    fixture_close(fixture);
}
END_TEST

START_TEST(store_swap_exchanges_two_databases_and_their_counts) {
    struct fixture *fixture = fixture_open(1);
    for (int i = 0; i < KEYS; i++) {
        if (fixture->keys[i].database == 0) {
            add(fixture, &fixture->keys[i], expiry_draw(fixture));
        }
    }
    uint32_t changes = fixture->store->change_count;
    store_swap(fixture->store, 0, 2);
    ck_assert_uint_ne(fixture->store->change_count, changes);
    for (int i = 0; i < KEYS; i++) {
        struct key *key = &fixture->keys[i];
        key->database = key->database == 0 ? 2 : key->database == 2 ? 0 : 1;
    }
    check(fixture);
    store_swap(fixture->store, 1, 1);
    check(fixture);
    fixture_close(fixture);
}
END_TEST

/* ---- walking and drawing ---- */

START_TEST(store_next_slot_meets_each_slot_with_keys_in_order) {
    struct fixture *fixture = fixture_open(1);
    for (int i = 0; i < KEYS; i++) {
        if (fixture->keys[i].database == 0) {
            add(fixture, &fixture->keys[i], ENTRY_NO_EXPIRY);
        }
    }
    uint32_t slot = 0;
    for (size_t i = 0; i < UNIT_COUNT(slots); i++) {
        slot = store_next_slot(fixture->store, 0, slot);
        ck_assert_uint_eq(slot, slots[i]);
        slot++;
    }
    ck_assert_uint_eq(store_next_slot(fixture->store, 0, slot), SLOTS);
    ck_assert_uint_eq(store_next_slot(fixture->store, 0, SLOTS - 1), SLOTS);
    size_t next = 0;
    for (uint32_t from = 0; from < SLOTS; from++) {
        next += next < UNIT_COUNT(slots) && from > slots[next];
        uint32_t expected = next < UNIT_COUNT(slots) ? slots[next] : SLOTS;
        ck_assert_uint_eq(store_next_slot(fixture->store, 0, from), expected);
    }
    fixture_close(fixture);
}
END_TEST

START_TEST(store_random_draws_every_key_about_as_often_whatever_the_sizes_of_slots) {
    enum { DRAWS_PER_KEY = 400, USED = 200 };
    struct fixture *fixture = fixture_open(1);
    for (int i = 0; i < USED; i++) {
        struct key *key = &fixture->keys[i];
        key->database = 0;
        key->slot = slots[i < 3 ? i : i % 20 == 0 ? 3 : 6];
        add(fixture, key, ENTRY_NO_EXPIRY);
    }
    uint32_t drawn[USED] = {0};
    for (int i = 0; i < USED * DRAWS_PER_KEY; i++) {
        uint16_t slot = 0;
        const struct entry *entry = store_random(fixture->store, 0, &fixture->random, &slot);
        struct span name = entry_key(entry);
        int64_t number;
        REQUIRE(number_parse(span_of(name.bytes + 4, name.length - 4), &number));
        REQUIRE(number < USED);
        REQUIRE(fixture->keys[number].slot == slot);
        drawn[number]++;
    }
    for (int i = 0; i < USED; i++) {
        ck_assert_uint_gt(drawn[i], DRAWS_PER_KEY / 2);
        ck_assert_uint_lt(drawn[i], DRAWS_PER_KEY * 3 / 2);
    }
    fixture_close(fixture);
}
END_TEST

START_TEST(store_counts_the_steps_of_its_tables) {
    struct fixture *fixture = fixture_open(1);
    uint64_t buckets = 0;
    fill(fixture);
    for (uint32_t i = 0; i < DATABASES; i++) {
        for (size_t k = 0; k < UNIT_COUNT(slots); k++) {
            buckets += store_table(fixture->store, i, slots[k])->bucket_count;
        }
    }
    ck_assert_uint_eq(fixture->store->table_steps, buckets - DATABASES * UNIT_COUNT(slots));
    fixture_close(fixture);
}
END_TEST

/* ---- access ---- */

START_TEST(store_lru_access_tells_the_seconds_since_the_last_touch) {
    struct fixture *fixture = fixture_open(1);
    struct store *store = fixture->store;
    fixture->options.maxmemory_policy = MAXMEMORY_ALLKEYS_LRU;
    add(fixture, &fixture->keys[0], ENTRY_NO_EXPIRY);
    struct entry *entry = table_cell_element(*find(fixture, &fixture->keys[0]));
    ck_assert_uint_eq(store_idle_seconds(store, entry), 0);
    store_tick(store, NOW_MS + 5999);
    ck_assert_uint_eq(store_idle_seconds(store, entry), 5);
    store_touch(store, entry);
    ck_assert_uint_eq(store_idle_seconds(store, entry), 0);
    /* The clock of 24 bits goes round. */
    store_tick(store, ((INT64_C(1) << 24) - 1) * 1000);
    store_touch(store, entry);
    store_tick(store, ((INT64_C(1) << 24) + 9) * 1000);
    ck_assert_uint_eq(store_idle_seconds(store, entry), 10);
    fixture_close(fixture);
}
END_TEST

START_TEST(store_lfu_counter_rises_with_touches_and_falls_with_minutes) {
    struct fixture *fixture = fixture_open(1);
    struct store *store = fixture->store;
    fixture->options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    add(fixture, &fixture->keys[0], ENTRY_NO_EXPIRY);
    struct entry *entry = table_cell_element(*find(fixture, &fixture->keys[0]));
    uint8_t fresh = store_frequency(store, entry);
    ck_assert_uint_eq(fresh, 5);
    for (int i = 0; i < 1000; i++) {
        store_touch(store, entry);
    }
    uint8_t hot = store_frequency(store, entry);
    /* Logarithmic: a thousand touches at factor 10 make about 18. */
    ck_assert_uint_gt(hot, 12);
    ck_assert_uint_lt(hot, 30);
    store_tick(store, NOW_MS + 3 * 60000);
    ck_assert_uint_eq(store_frequency(store, entry), hot - 3);
    store_tick(store, NOW_MS + INT64_C(1000) * 60000);
    ck_assert_uint_eq(store_frequency(store, entry), 0);
    fixture->options.lfu_decay_time = 0;
    ck_assert_uint_eq(store_frequency(store, entry), hot);
    fixture->options.lfu_log_factor = 0;
    for (int i = 0; i < 300; i++) {
        store_touch(store, entry);
    }
    ck_assert_uint_eq(store_frequency(store, entry), UINT8_MAX);
    fixture_close(fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        store_counts_stay_true_whatever_comes_and_goes,
        store_takes_an_entry_out_without_freeing_it,
        store_gives_a_database_its_memory_at_the_first_key,
        store_owns_its_slots_and_no_others,
        store_flush_leaves_nothing_to_be_found_and_the_other_databases_alone,
        store_buries_a_flushed_database_a_bounded_piece_at_a_time,
        a_step_of_a_burial_frees_a_bounded_number_of_bytes,
        store_flush_frees_large_hashes_too,
        store_swap_exchanges_two_databases_and_their_counts,
        store_next_slot_meets_each_slot_with_keys_in_order,
        store_random_draws_every_key_about_as_often_whatever_the_sizes_of_slots,
        store_counts_the_steps_of_its_tables,
        store_lru_access_tells_the_seconds_since_the_last_touch,
        store_lfu_counter_rises_with_touches_and_falls_with_minutes,
    };
    return unit_run(unit_suite("store", tests, UNIT_COUNT(tests)));
}
