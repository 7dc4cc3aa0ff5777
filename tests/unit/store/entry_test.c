#include "store/entry.h"

#include "base/memory.h"
#include "base/random.h"

#include "tests/unit/unit.h"

/* Both sides of each length that changes the layout. */
static const size_t key_lengths[] = {0, 1, 20, 255, 256, 70000};
static const size_t value_lengths[] = {0, 1, 30, 65535, 65536, 100000};
static const int64_t expiries[] = {ENTRY_NO_EXPIRY, 0, INT64_C(1700000000000), INT64_MAX};
static const enum entry_kind kinds[] = {ENTRY_BYTES, ENTRY_INTEGER, ENTRY_BLOCK, ENTRY_HASH_PACK,
                                        ENTRY_HASH_TABLE};

#define LENGTH_MAX 100000
#define ACCESS 0xabcdef

/* ---- entries and what they should hold ---- */

struct fixture {
    struct heap heap;
    struct random random;
    char *key;
    char *value;
};

static void fixture_open(struct fixture *fixture) {
    heap_init(&fixture->heap);
    random_seed(&fixture->random, 1);
    fixture->key = memory_alloc(LENGTH_MAX);
    fixture->value = memory_alloc(LENGTH_MAX);
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        fixture->key[i] = (char)random_next(&fixture->random);
        fixture->value[i] = (char)random_next(&fixture->random);
    }
}

static void fixture_close(struct fixture *fixture) {
    ck_assert_uint_eq(fixture->heap.used_bytes, 0);
    heap_free_all(&fixture->heap);
    memory_free(fixture->key);
    memory_free(fixture->value);
}

static struct entry_plan plan_of(const struct fixture *fixture, enum entry_kind kind,
                                 size_t key_length, size_t value_length, int64_t expiry_ms) {
    struct entry_plan plan = {
        .kind = kind,
        .is_raw = value_length % 2 == 1,
        .expiry_ms = expiry_ms,
        .access = ACCESS,
        .key = span_of(fixture->key, key_length),
    };
    if (entry_kind_is_sized(kind)) {
        plan.value = span_of(fixture->value, value_length);
    } else {
        plan.fixed = UINT64_C(0x123456789abcdef0) + value_length;
    }
    return plan;
}

static struct entry_plan plan_draw(struct fixture *fixture, size_t key_length) {
    struct random *random = &fixture->random;
    size_t value_length = value_lengths[random_below(random, UNIT_COUNT(value_lengths))];
    if (random_below(random, 2) == 0) {
        value_length = random_below(random, 300);
    }
    return plan_of(fixture, kinds[random_below(random, UNIT_COUNT(kinds))], key_length,
                   value_length, expiries[random_below(random, UNIT_COUNT(expiries))]);
}

static void check(const struct entry *entry, const struct entry_plan *plan) {
    ck_assert_int_eq(entry_kind(entry), plan->kind);
    ck_assert(entry_has(entry, ENTRY_FLAG_RAW) == plan->is_raw);
    ck_assert_int_eq(entry_expiry(entry), plan->expiry_ms);
    ck_assert_uint_eq(entry_access(entry), plan->access);
    ck_assert(span_equal(entry_key(entry), plan->key));
    struct span key = plan->key;
    ck_assert(entry_equals_key(entry, &key));
    if (entry_kind_is_sized(plan->kind)) {
        struct span content = entry_content(entry);
        ck_assert_uint_eq(content.length, plan->value.length + plan->value_end.length);
        ck_assert(span_equal(span_of(content.bytes, plan->value.length), plan->value));
        ck_assert(span_equal(span_of(content.bytes + plan->value.length, plan->value_end.length),
                             plan->value_end));
    } else {
        ck_assert_uint_eq(entry_fixed(entry), plan->fixed);
        ck_assert_uint_eq(entry_content(entry).length, sizeof(uint64_t));
    }
}

START_TEST(entry_holds_what_was_planned_in_every_layout) {
    struct fixture fixture;
    fixture_open(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(key_lengths); i++) {
        for (size_t k = 0; k < UNIT_COUNT(value_lengths); k++) {
            for (size_t m = 0; m < UNIT_COUNT(expiries) * UNIT_COUNT(kinds); m++) {
                struct entry_plan plan =
                    plan_of(&fixture, kinds[m / UNIT_COUNT(expiries)], key_lengths[i],
                            value_lengths[k], expiries[m % UNIT_COUNT(expiries)]);
                struct entry *entry = entry_new(&fixture.heap, &plan);
                check(entry, &plan);
                ck_assert_uint_ge(fixture.heap.used_bytes, entry_bytes(entry));
                entry_free(&fixture.heap, entry);
                ck_assert_uint_eq(fixture.heap.used_bytes, 0);
            }
        }
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_of_a_short_key_and_value_adds_seven_bytes_to_them) {
    struct fixture fixture;
    fixture_open(&fixture);
    struct entry_plan plan = plan_of(&fixture, ENTRY_BYTES, 16, 32, ENTRY_NO_EXPIRY);
    struct entry *entry = entry_new(&fixture.heap, &plan);
    ck_assert_uint_eq(entry_bytes(entry), 7 + 16 + 32);
    entry_free(&fixture.heap, entry);
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_value_may_come_in_two_pieces) {
    struct fixture fixture;
    fixture_open(&fixture);
    static const size_t lengths[] = {1, 65530, 70000};
    for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
        struct entry_plan plan = plan_of(&fixture, ENTRY_BYTES, 5, lengths[i], 77);
        plan.value_end = span_of("the end", 7);
        struct entry *entry = entry_new(&fixture.heap, &plan);
        check(entry, &plan);
        entry_free(&fixture.heap, entry);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_is_told_from_one_with_another_key_of_the_same_beginning) {
    struct fixture fixture;
    fixture_open(&fixture);
    struct entry_plan plan = plan_of(&fixture, ENTRY_BYTES, 10, 10, ENTRY_NO_EXPIRY);
    struct entry *entry = entry_new(&fixture.heap, &plan);
    struct span shorter = span_of(fixture.key, 9);
    struct span longer = span_of(fixture.key, 11);
    ck_assert(!entry_equals_key(entry, &shorter));
    ck_assert(!entry_equals_key(entry, &longer));
    entry_free(&fixture.heap, entry);
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_becomes_any_other_by_a_rewrite) {
    struct fixture fixture;
    fixture_open(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(key_lengths); i++) {
        struct entry_plan plan = plan_draw(&fixture, key_lengths[i]);
        struct entry *entry = entry_new(&fixture.heap, &plan);
        for (int k = 0; k < 1000; k++) {
            plan = plan_draw(&fixture, key_lengths[i]);
            struct entry_plan own_key = plan;
            own_key.key = entry_key(entry);
            entry = entry_rewrite(&fixture.heap, entry, &own_key);
            check(entry, &plan);
        }
        entry_free(&fixture.heap, entry);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_stays_in_its_place_when_it_is_rewritten_within_its_size_class) {
    struct fixture fixture;
    fixture_open(&fixture);
    struct entry_plan plan = plan_of(&fixture, ENTRY_BYTES, 16, 20, ENTRY_NO_EXPIRY);
    struct entry *entry = entry_new(&fixture.heap, &plan);
    plan.value = span_of(fixture.value + 50, 20);
    struct entry_plan own_key = plan;
    own_key.key = entry_key(entry);
    ck_assert_ptr_eq(entry_rewrite(&fixture.heap, entry, &own_key), entry);
    check(entry, &plan);
    entry_free(&fixture.heap, entry);
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_gets_and_loses_its_expiry_and_keeps_the_rest) {
    struct fixture fixture;
    fixture_open(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(key_lengths); i++) {
        for (int k = 0; k < 200; k++) {
            struct entry_plan plan = plan_draw(&fixture, key_lengths[i]);
            struct entry *entry = entry_new(&fixture.heap, &plan);
            for (int m = 0; m < 5; m++) {
                plan.expiry_ms = expiries[random_below(&fixture.random, UNIT_COUNT(expiries))];
                entry = entry_with_expiry(&fixture.heap, entry, plan.expiry_ms);
                check(entry, &plan);
            }
            entry_free(&fixture.heap, entry);
        }
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_is_made_again_by_its_own_plan) {
    struct fixture fixture;
    fixture_open(&fixture);
    for (int i = 0; i < 1000; i++) {
        struct entry_plan plan = plan_draw(&fixture, key_lengths[(size_t)i % 6]);
        struct entry *entry = entry_new(&fixture.heap, &plan);
        struct entry_plan own = entry_plan_of(entry);
        struct entry *copy = entry_new(&fixture.heap, &own);
        check(copy, &plan);
        ck_assert_uint_eq(entry_bytes(copy), entry_bytes(entry));
        entry_free(&fixture.heap, entry);
        entry_free(&fixture.heap, copy);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_keeps_what_fits_of_its_content_when_it_is_resized) {
    struct fixture fixture;
    fixture_open(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(key_lengths); i++) {
        struct entry_plan plan = plan_of(&fixture, ENTRY_HASH_PACK, key_lengths[i], 10, 1234);
        struct entry *entry = entry_new(&fixture.heap, &plan);
        for (int k = 0; k < 500; k++) {
            size_t before = plan.value.length;
            size_t after = value_lengths[random_below(&fixture.random, UNIT_COUNT(value_lengths))];
            if (k % 3 != 0) {
                after = before + 20 - random_below(&fixture.random, before < 20 ? 20 : 40);
                after = after > LENGTH_MAX ? LENGTH_MAX : after;
            }
            entry = entry_resize(&fixture.heap, entry, after);
            if (after > before) {
                memcpy(entry_content_bytes(entry) + before, fixture.value + before, after - before);
            }
            plan.value = span_of(fixture.value, after);
            check(entry, &plan);
        }
        entry_free(&fixture.heap, entry);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(entry_fields_of_fixed_size_are_set_in_place) {
    struct fixture fixture;
    fixture_open(&fixture);
    struct entry_plan plan = plan_of(&fixture, ENTRY_INTEGER, 3, 0, 5);
    struct entry *entry = entry_new(&fixture.heap, &plan);
    plan.fixed = (uint64_t)-7;
    entry_set_fixed(entry, plan.fixed);
    ck_assert_int_eq(entry_integer(entry), -7);
    for (uint32_t access = 1; access < 1U << 24; access <<= 1) {
        plan.access = access;
        entry_set_access(entry, access);
        check(entry, &plan);
    }
    entry_free(&fixture.heap, entry);
    fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        entry_holds_what_was_planned_in_every_layout,
        entry_of_a_short_key_and_value_adds_seven_bytes_to_them,
        entry_value_may_come_in_two_pieces,
        entry_is_told_from_one_with_another_key_of_the_same_beginning,
        entry_becomes_any_other_by_a_rewrite,
        entry_stays_in_its_place_when_it_is_rewritten_within_its_size_class,
        entry_gets_and_loses_its_expiry_and_keeps_the_rest,
        entry_is_made_again_by_its_own_plan,
        entry_keeps_what_fits_of_its_content_when_it_is_resized,
        entry_fields_of_fixed_size_are_set_in_place,
    };
    return unit_run(unit_suite("entry", tests, UNIT_COUNT(tests)));
}
