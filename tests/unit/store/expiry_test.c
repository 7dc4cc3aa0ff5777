#include "store/expiry.h"

#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#define UNITS_MAX 512
/* Long enough for a rate to rise from the least to the most. */
#define PERIOD_MS 400
/* Far more steps than any of these tests needs: the end of a loop that would not end. */
#define STEPS_MAX 100000

static void expire(void *context, uint32_t database, uint16_t slot, const struct entry *entry) {
    struct store_fixture *fixture = context;
    ck_assert_uint_eq(slot, slot_of_key(entry_key(entry)));
    ck_assert_int_le(entry_expiry(entry), fixture->now_ms);
    store_fixture_remove(fixture, database, entry_key(entry));
}

static struct expiry_work step(struct store_fixture *fixture) {
    return expiry_step(fixture->store, fixture->now_ms, UNITS_MAX, expire, fixture);
}

/* Steps, a ms after the other, until nothing is due; answers the ms. */
static unsigned settle(struct store_fixture *fixture) {
    for (unsigned i = 1; i <= STEPS_MAX; i++) {
        step(fixture);
        if (!expiry_is_due(fixture->store, fixture->now_ms)) {
            return i;
        }
        store_fixture_advance(fixture, 1);
    }
    ck_abort_msg("something stays due");
    return 0;
}

/* Asserts what store.h promises of the bounds. */
static void check_bounds(const struct store *store) {
    for (uint32_t i = 0; i < store->database_count; i++) {
        const struct database *database = store->databases[i];
        if (database == NULL || database->expiries == NULL) {
            continue;
        }
        ck_assert_int_le(store->expiry_earliest_ms, database->earliest_ms);
        for (uint32_t slot = 0; slot < store->slot_count; slot++) {
            int64_t group_ms = database->group_earliest_ms[slot / STORE_GROUP_SLOTS];
            ck_assert_int_le(database->earliest_ms, group_ms);
            ck_assert_int_le(group_ms, database->expiries[slot].earliest_ms);
        }
    }
}

static void check_slot_bound(const struct store_fixture *fixture, uint32_t database,
                             const char *key) {
    const struct entry *entry = store_fixture_entry(fixture, database, key);
    if (entry != NULL && entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        uint16_t slot = slot_of_key(span_of_string(key));
        ck_assert_int_le(fixture->store->databases[database]->expiries[slot].earliest_ms,
                         entry_expiry(entry));
    }
}

/* ---- what goes ---- */

START_TEST(no_work_is_done_while_nothing_is_due) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 1000; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, fixture.now_ms + 1000);
        store_fixture_put(&fixture, 0, fixture_key("kept", i).text, ENTRY_NO_EXPIRY);
    }
    store_fixture_advance(&fixture, 999);
    ck_assert_uint_eq(step(&fixture).units, 0);
    store_fixture_advance(&fixture, 1);
    ck_assert_uint_gt(step(&fixture).units, 0);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(every_expired_key_goes_and_no_other_one) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 30000; i++) {
        store_fixture_put(&fixture, i % 2, fixture_key("gone", i).text,
                          fixture.now_ms + 1 + i % 50);
        store_fixture_put(&fixture, i % 3, fixture_key("later", i).text, INT64_MAX);
        store_fixture_put(&fixture, 3, fixture_key("kept", i).text, ENTRY_NO_EXPIRY);
    }
    store_fixture_advance(&fixture, 50);
    settle(&fixture);
    ck_assert_uint_eq(fixture.store->statistics.expired_keys, 30000);
    ck_assert_uint_eq(store_keys(fixture.store, 0) + store_keys(fixture.store, 1) +
                          store_keys(fixture.store, 2),
                      30000);
    ck_assert_uint_eq(store_keys(fixture.store, 3), 30000);
    check_bounds(fixture.store);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_pass_makes_the_bounds_exact) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    int64_t start_ms = fixture.now_ms;
    store_fixture_put(&fixture, 0, "{a}1", start_ms + 10);
    store_fixture_put(&fixture, 0, "{a}2", start_ms + 500);
    store_fixture_put(&fixture, 0, "{a}3", start_ms + 700);
    store_fixture_put(&fixture, 2, "{b}1", start_ms + 900);
    ck_assert_int_eq(fixture.store->expiry_earliest_ms, start_ms + 10);
    store_fixture_advance(&fixture, 10);
    settle(&fixture);
    ck_assert_int_eq(fixture.store->expiry_earliest_ms, start_ms + 500);
    store_fixture_put(&fixture, 0, "{a}2", ENTRY_NO_EXPIRY);
    store_fixture_advance(&fixture, 490);
    settle(&fixture);
    ck_assert_int_eq(fixture.store->expiry_earliest_ms, start_ms + 700);
    store_fixture_advance(&fixture, 200);
    settle(&fixture);
    ck_assert_int_eq(fixture.store->expiry_earliest_ms, start_ms + 900);
    store_fixture_advance(&fixture, 200);
    settle(&fixture);
    ck_assert_int_eq(fixture.store->expiry_earliest_ms, STORE_NO_EARLIEST);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 1);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- how much at a time ---- */

START_TEST(a_step_does_no_more_than_its_budget_but_the_end_of_what_it_began) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 50000; i++) {
        store_fixture_put(&fixture, i % 2, fixture_key("{tag}", i).text, fixture.now_ms + 1);
        store_fixture_put(&fixture, i % 2, fixture_key("k", i).text, fixture.now_ms + 1);
    }
    uint32_t units_most = 0;
    do {
        store_fixture_advance(&fixture, 1000);
        uint64_t keys = store_keys(fixture.store, 0) + store_keys(fixture.store, 1);
        struct expiry_work work = step(&fixture);
        uint64_t left = store_keys(fixture.store, 0) + store_keys(fixture.store, 1);
        ck_assert_uint_eq(keys - left, work.expired);
        ck_assert_uint_le(work.units, UNITS_MAX + EXPIRY_OVERSHOOT_UNITS);
        units_most = work.units > units_most ? work.units : units_most;
    } while (expiry_is_due(fixture.store, fixture.now_ms));
    ck_assert_uint_ge(units_most, UNITS_MAX);
    ck_assert_uint_eq(fixture.store->statistics.expired_keys, 100000);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_large_slot_keeps_small_ones_waiting_for_a_step_at_most) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 100000; i++) {
        store_fixture_put(&fixture, 0, fixture_key("{tag}", i).text, fixture.now_ms + 1);
    }
    store_fixture_advance(&fixture, 1);
    step(&fixture);
    ck_assert_uint_gt(store_keys(fixture.store, 0), 90000);
    store_fixture_put(&fixture, 0, "small", fixture.now_ms + 1);
    store_fixture_advance(&fixture, 100);
    step(&fixture);
    ck_assert_ptr_null(store_fixture_entry(&fixture, 0, "small"));
    ck_assert_uint_gt(store_keys(fixture.store, 0), 80000);
    settle(&fixture);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(no_more_is_done_in_a_time_than_the_rate_allows) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 400000; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, fixture.now_ms + 1);
    }
    store_fixture_advance(&fixture, 1);
    uint64_t units = 0;
    for (int i = 0; i < PERIOD_MS; i++) {
        for (int j = 0; j < 10; j++) { /* Ticks are shorter than a ms when there is much to do. */
            units += step(&fixture).units;
        }
        store_fixture_advance(&fixture, 1);
    }
    ck_assert_uint_le(units, UNITS_MAX + PERIOD_MS * (EXPIRY_RATE_MAX + EXPIRY_OVERSHOOT_UNITS));
    ck_assert_uint_gt(units, PERIOD_MS / 2 * EXPIRY_RATE_MAX);
    ck_assert_uint_gt(fixture.store->statistics.expired_time_cap_reached, 0);
    ck_assert(fixture.store->statistics.expired_stale_percent > 90);
    store_fixture_close(&fixture);
}
END_TEST

/* In 16384 slots of about 30 volatile keys, one key per slot is due: less than any accepted
 * share. */
static uint32_t rate_when_little_is_due(int64_t effort, unsigned due_of_30) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    fixture.options.active_expire_effort = effort;
    for (unsigned i = 0; i < 30000; i++) {
        char key[FIXTURE_KEY_BYTES_MAX];
        snprintf(key, sizeof(key), "{%u}%u", i / 30, i);
        store_fixture_put(&fixture, 0, key, i % 30 < due_of_30 ? fixture.now_ms + 1 : INT64_MAX);
    }
    store_fixture_advance(&fixture, 1);
    for (int i = 0; i < 60; i++) {
        step(&fixture);
        store_fixture_advance(&fixture, 10);
    }
    uint32_t rate = fixture.store->paces[EXPIRY_SMALL].rate;
    store_fixture_close(&fixture);
    return rate;
}

START_TEST(the_rate_rises_when_many_are_expired_and_the_effort_says_what_many_is) {
    ck_assert_uint_eq(rate_when_little_is_due(1, 1), EXPIRY_RATE_MIN);
    ck_assert_uint_gt(rate_when_little_is_due(10, 1), EXPIRY_RATE_MIN);
    ck_assert_uint_eq(rate_when_little_is_due(1, 2), EXPIRY_RATE_MIN);
    ck_assert_uint_gt(rate_when_little_is_due(1, 10), EXPIRY_RATE_MIN);
    ck_assert_uint_gt(rate_when_little_is_due(10, 30), EXPIRY_RATE_MAX);
}
END_TEST

START_TEST(the_wait_is_as_long_as_tokens_take_to_come) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    ck_assert_uint_eq(expiry_wait_ms(fixture.store, UNITS_MAX), UNITS_MAX / EXPIRY_RATE_MIN);
    fixture.store->paces[EXPIRY_LARGE].rate = EXPIRY_RATE_MAX;
    ck_assert_uint_eq(expiry_wait_ms(fixture.store, UNITS_MAX), 1);
    ck_assert_uint_eq(expiry_wait_ms(fixture.store, 1), 1);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- what changes meanwhile ---- */

static void keep_key(void *element, void *context) {
    struct fixture_key *key = context;
    struct span text = entry_key(element);
    if (!entry_has(element, ENTRY_FLAG_EXPIRY)) {
        snprintf(key->text, sizeof(key->text), "%.*s", (int)text.length, text.bytes);
    }
}

/* Some key without expiry in the part of its slot that the walk over large ones has done. */
static struct fixture_key key_in_done_part(const struct store_fixture *fixture) {
    const struct database *database = fixture->store->databases[0];
    const struct expiry_walk *walk = &database->walks[EXPIRY_LARGE];
    struct fixture_key key = {.text = ""};
    ck_assert(walk->is_inside);
    for (uint64_t position = 0; position != walk->position;) {
        position = table_scan(&database->slots[walk->slot], position, keep_key, &key);
    }
    ck_assert_str_ne(key.text, "");
    return key;
}

START_TEST(an_expiry_set_in_the_part_of_a_slot_that_is_done_is_not_forgotten) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    const unsigned count = 20000;
    for (unsigned i = 0; i < count; i++) {
        store_fixture_put(&fixture, 0, fixture_key("{tag}", i).text, fixture.now_ms + 1);
        store_fixture_put(&fixture, 0, fixture_key("{tag}kept", i).text, ENTRY_NO_EXPIRY);
    }
    store_fixture_advance(&fixture, 1);
    for (int i = 0; i < 20; i++) {
        step(&fixture);
        store_fixture_advance(&fixture, 1);
    }
    store_fixture_put(&fixture, 0, key_in_done_part(&fixture).text, fixture.now_ms + 100000);
    settle(&fixture);
    ck_assert_uint_eq(store_keys(fixture.store, 0), count);
    store_fixture_advance(&fixture, 100000);
    settle(&fixture);
    ck_assert_uint_eq(store_keys(fixture.store, 0), count - 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(databases_may_be_flushed_and_swapped_in_the_middle_of_a_pass) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 20000; i++) {
        store_fixture_put(&fixture, 0, fixture_key("{tag}", i).text, fixture.now_ms + 1);
        store_fixture_put(&fixture, 1, fixture_key("{tag}", i).text, fixture.now_ms + 1);
    }
    store_fixture_advance(&fixture, 1);
    step(&fixture);
    store_swap(fixture.store, 0, 2);
    step(&fixture);
    store_flush(fixture.store, 1);
    store_fixture_put(&fixture, 1, "new", fixture.now_ms + 1);
    settle(&fixture);
    for (uint32_t i = 0; i < FIXTURE_DATABASES; i++) {
        ck_assert_uint_eq(store_keys(fixture.store, i), 0);
    }
    ck_assert_int_eq(fixture.store->expiry_earliest_ms, STORE_NO_EARLIEST);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_clock_that_jumps_back_stops_nothing) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (unsigned i = 0; i < 1000; i++) {
        store_fixture_put(&fixture, 0, fixture_key("k", i).text, fixture.now_ms + 1);
    }
    store_fixture_advance(&fixture, 1000000);
    step(&fixture);
    store_fixture_advance(&fixture, -999000);
    settle(&fixture);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    store_fixture_close(&fixture);
}
END_TEST

#define CHAIN_KEYS (2 * EXPIRY_BUCKET_ENTRIES_MAX + 10)
/* Buckets are taken by the lowest bits of the hash: far more than so many keys have of them. */
#define CHAIN_HASH_MASK 1023

START_TEST(a_bucket_hands_over_its_expired_entries_a_bounded_number_at_a_time) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    unsigned put = 0;
    for (unsigned i = 0; put < CHAIN_KEYS; i++) {
        struct fixture_key key = fixture_key("{tag}", i);
        if ((store_hash(fixture.store, span_of_string(key.text)) & CHAIN_HASH_MASK) == 0) {
            store_fixture_put(&fixture, 0, key.text, fixture.now_ms + 1);
            put++;
        }
    }
    uint32_t expired_most = 0;
    while (store_keys(fixture.store, 0) > 0) {
        store_fixture_advance(&fixture, 1);
        uint64_t before = store_keys(fixture.store, 0);
        struct expiry_work work = expiry_step(fixture.store, fixture.now_ms, 1, expire, &fixture);
        ck_assert_uint_eq(before - store_keys(fixture.store, 0), work.expired);
        expired_most = work.expired > expired_most ? work.expired : expired_most;
        ck_assert_int_lt(fixture.now_ms, FIXTURE_NOW_MS + STEPS_MAX);
    }
    ck_assert_uint_eq(expired_most, EXPIRY_BUCKET_ENTRIES_MAX);
    settle(&fixture);
    store_fixture_close(&fixture);
}
END_TEST

/* Against a table that says when each key expires. */
#define MODEL_KEYS 3000
#define MODEL_GONE INT64_C(-2)

static void change_key(struct store_fixture *fixture, struct random *random, int64_t *model,
                       unsigned i) {
    char key[FIXTURE_KEY_BYTES_MAX];
    snprintf(key, sizeof(key), i % 3 == 0 ? "{tag}%u" : "%u", i);
    uint32_t database = i % 2;
    if (random_below(random, 4) == 0 && store_fixture_entry(fixture, database, key) != NULL) {
        store_fixture_remove(fixture, database, span_of_string(key));
        model[i] = MODEL_GONE;
        return;
    }
    bool is_volatile = random_below(random, 3) != 0;
    model[i] =
        is_volatile ? fixture->now_ms + 1 + (int64_t)random_below(random, 300) : ENTRY_NO_EXPIRY;
    store_fixture_put(fixture, database, key, model[i]);
    check_slot_bound(fixture, database, key);
}

START_TEST(expiry_agrees_with_a_model_under_random_changes) {
    struct store_fixture fixture;
    struct random random;
    static int64_t model[MODEL_KEYS];
    store_fixture_open(&fixture);
    random_seed(&random, 7);
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        model[i] = MODEL_GONE;
    }
    for (int round = 0; round < 2000; round++) {
        for (int i = 0; i < 40; i++) {
            change_key(&fixture, &random, model, (unsigned)random_below(&random, MODEL_KEYS));
        }
        store_fixture_advance(&fixture, (int64_t)random_below(&random, 4));
        step(&fixture);
    }
    check_bounds(fixture.store);
    settle(&fixture);
    uint64_t kept = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        kept += model[i] == ENTRY_NO_EXPIRY || model[i] > fixture.now_ms;
    }
    ck_assert_uint_gt(kept, 0);
    ck_assert_uint_eq(store_keys(fixture.store, 0) + store_keys(fixture.store, 1), kept);
    check_bounds(fixture.store);
    store_fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        no_work_is_done_while_nothing_is_due,
        every_expired_key_goes_and_no_other_one,
        a_pass_makes_the_bounds_exact,
        a_step_does_no_more_than_its_budget_but_the_end_of_what_it_began,
        a_large_slot_keeps_small_ones_waiting_for_a_step_at_most,
        no_more_is_done_in_a_time_than_the_rate_allows,
        the_rate_rises_when_many_are_expired_and_the_effort_says_what_many_is,
        the_wait_is_as_long_as_tokens_take_to_come,
        an_expiry_set_in_the_part_of_a_slot_that_is_done_is_not_forgotten,
        databases_may_be_flushed_and_swapped_in_the_middle_of_a_pass,
        a_clock_that_jumps_back_stops_nothing,
        a_bucket_hands_over_its_expired_entries_a_bounded_number_at_a_time,
        expiry_agrees_with_a_model_under_random_changes,
    };
    return unit_run(unit_suite("expiry", tests, UNIT_COUNT(tests)));
}
