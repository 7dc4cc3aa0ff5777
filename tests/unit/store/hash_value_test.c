#include "store/hash_value.h"

#include "base/memory.h"
#include "store/value.h"
#include "structures/listpack.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#define SECRET UINT64_C(0x1234567890abcdef)
#define NAME_BYTES_MAX 128
#define VALUE_BYTES_MAX 400

/* ---- a store with one hash ---- */

struct fixture {
    struct store_options options;
    struct store *store;
    struct span key;
    uint16_t slot;
    uint64_t hash;
};

static void fixture_open(struct fixture *fixture, int64_t entries_max, int64_t value_max) {
    *fixture = (struct fixture){
        .options = {.hash_max_listpack_entries = entries_max, .hash_max_listpack_value = value_max},
        .key = SPAN_LITERAL("hash"),
    };
    fixture->store = store_new(&(struct store_plan){
        .options = &fixture->options,
        .secret = SECRET,
        .seed = 1,
        .slot_count = SLOTS,
        .database_count = 1,
    });
    fixture->slot = slot_of_key(fixture->key);
    fixture->hash = store_hash(fixture->store, fixture->key);
}

static uint64_t *cell_of(const struct fixture *fixture) {
    return store_find(fixture->store, 0, fixture->slot, fixture->hash, fixture->key);
}

static struct entry *entry_of(const struct fixture *fixture) {
    uint64_t *cell = cell_of(fixture);
    return cell == NULL ? NULL : table_cell_element(*cell);
}

static bool put(struct fixture *fixture, struct span field, struct span value) {
    uint64_t *cell = cell_of(fixture);
    if (cell == NULL) {
        cell = hash_value_new(fixture->store, 0, fixture->slot, fixture->hash, fixture->key);
    }
    return hash_value_put(fixture->store, cell, field, value);
}

static bool put_strings(struct fixture *fixture, const char *field, const char *value) {
    return put(fixture, span_of_string(field), span_of_string(value));
}

/* As effects do: the key goes with its last field. */
static bool delete_field(struct fixture *fixture, struct span field) {
    uint64_t *cell = cell_of(fixture);
    if (cell == NULL || !hash_value_delete(fixture->store, cell, field)) {
        return false;
    }
    if (hash_value_length(entry_of(fixture)) == 0) {
        store_remove(fixture->store, 0, fixture->slot, fixture->hash, cell);
    }
    return true;
}

static bool holds(const struct fixture *fixture, const char *field, struct span expected) {
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    return hash_value_get(fixture->store, entry_of(fixture), span_of_string(field), scratch,
                          &value) &&
           span_equal(value, expected);
}

/* Everything goes, and no byte of it stays counted. */
static void fixture_close(struct fixture *fixture) {
    uint64_t *cell = cell_of(fixture);
    if (cell != NULL) {
        store_remove(fixture->store, 0, fixture->slot, fixture->hash, cell);
    }
    while (!store_bury_step(fixture->store, 10)) {
    }
    ck_assert_uint_eq(fixture->store->heap.used_bytes, 0);
    store_free(fixture->store);
}

static const char *encoding(const struct fixture *fixture) {
    return value_encoding(entry_of(fixture));
}

/* ---- the model: a map from a number, which stands in the field's name, to bytes ---- */

struct slot_of_model {
    char *value; /* NULL: no such field */
    size_t length;
    uint64_t order; /* of insertion */
    bool is_seen;
};

struct model {
    struct slot_of_model *slots;
    uint32_t size;
    uint32_t count;
    uint64_t last_order;
    uint64_t order_seen;
    bool is_ordered;
};

static struct model model_new(uint32_t size) {
    return (struct model){.slots = memory_alloc_zeroed(size * sizeof(struct slot_of_model)),
                          .size = size};
}

static void model_free(struct model *model) {
    for (uint32_t i = 0; i < model->size; i++) {
        memory_free(model->slots[i].value);
    }
    memory_free(model->slots);
}

/* Numbers, short texts, and long ones. */
static struct span name_of(uint32_t number, char *place) {
    int length;
    if (number % 3 == 0) {
        length = snprintf(place, NAME_BYTES_MAX, "%u", number);
    } else if (number % 3 == 1) {
        length = snprintf(place, NAME_BYTES_MAX, "field:%u", number);
    } else {
        length = snprintf(place, NAME_BYTES_MAX, "a longer field:%u:%030d", number, 0);
    }
    return span_of(place, (size_t)length);
}

static uint32_t number_of(struct span name) {
    uint32_t number = 0;
    size_t i = 0;
    while (name.bytes[i] < '0' || name.bytes[i] > '9') {
        i++;
    }
    for (; i < name.length && name.bytes[i] >= '0' && name.bytes[i] <= '9'; i++) {
        number = number * 10 + (uint32_t)(name.bytes[i] - '0');
    }
    return number;
}

static struct span value_draw(struct random *random, size_t length_max, char *place) {
    switch (random_below(random, 4)) {
    case 0:
        return span_of(place, number_format(place, (int64_t)random_next(random)));
    case 1:
        return span_of(place, number_format(place, (int64_t)random_below(random, 200) - 100));
    case 2:
        return span_of(place, 0);
    default:
        break;
    }
    size_t length = random_below(random, length_max + 1);
    for (size_t i = 0; i < length; i++) {
        place[i] = (char)random_next(random);
    }
    return span_of(place, length);
}

static void model_put(struct model *model, uint32_t number, struct span value) {
    struct slot_of_model *slot = &model->slots[number];
    if (slot->value == NULL) {
        model->count++;
        slot->order = ++model->last_order;
    }
    memory_free(slot->value);
    slot->value = memory_alloc(value.length + 1);
    memcpy(slot->value, value.bytes, value.length);
    slot->length = value.length;
}

static void model_delete(struct model *model, uint32_t number) {
    struct slot_of_model *slot = &model->slots[number];
    if (slot->value != NULL) {
        model->count--;
    }
    memory_free(slot->value);
    slot->value = NULL;
}

static void compare_visit(struct span field, struct span value, void *context) {
    struct model *model = context;
    uint32_t number = number_of(field);
    ck_assert_uint_lt(number, model->size);
    struct slot_of_model *slot = &model->slots[number];
    char name[NAME_BYTES_MAX];
    ck_assert(span_equal(field, name_of(number, name)));
    ck_assert_ptr_nonnull(slot->value);
    ck_assert(!slot->is_seen);
    ck_assert(span_equal(value, span_of(slot->value, slot->length)));
    slot->is_seen = true;
    model->is_ordered = model->is_ordered && slot->order > model->order_seen;
    model->order_seen = slot->order;
}

static void compare(const struct fixture *fixture, struct model *model) {
    const struct entry *entry = entry_of(fixture);
    ck_assert_uint_eq(entry == NULL ? 0 : hash_value_length(entry), model->count);
    for (uint32_t i = 0; i < model->size; i++) {
        model->slots[i].is_seen = false;
    }
    model->order_seen = 0;
    model->is_ordered = true;
    if (entry == NULL) {
        return;
    }
    hash_value_each(entry, compare_visit, model);
    for (uint32_t i = 0; i < model->size; i++) {
        ck_assert(model->slots[i].is_seen == (model->slots[i].value != NULL));
    }
    if (entry_kind(entry) == ENTRY_HASH_PACK) {
        ck_assert(model->is_ordered);
        struct span pack = entry_content(entry);
        ck_assert_uint_eq(pack.length, listpack_bytes((const unsigned char *)pack.bytes));
        ck_assert(listpack_is_valid((const unsigned char *)pack.bytes, pack.length));
    }
}

static void compare_one(const struct fixture *fixture, const struct model *model, uint32_t number) {
    const struct entry *entry = entry_of(fixture);
    char name[NAME_BYTES_MAX];
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    bool is_there = entry != NULL &&
                    hash_value_get(fixture->store, entry, name_of(number, name), scratch, &value);
    const struct slot_of_model *slot = &model->slots[number];
    ck_assert(is_there == (slot->value != NULL));
    if (is_there) {
        ck_assert(span_equal(value, span_of(slot->value, slot->length)));
    }
}

struct exercise {
    uint32_t size; /* of the model */
    uint32_t changes;
    size_t length_max; /* of values */
    int64_t entries_max;
    int64_t value_max;
    uint64_t seed;
};

/* Waves of growth and of shrinking. */
static void exercise(const struct exercise *exercise) {
    struct fixture fixture;
    fixture_open(&fixture, exercise->entries_max, exercise->value_max);
    struct model model = model_new(exercise->size);
    struct random random;
    random_seed(&random, exercise->seed);
    for (uint32_t i = 0; i < exercise->changes; i++) {
        bool is_growing = i / (exercise->size * 2) % 2 == 0;
        uint32_t number = (uint32_t)random_below(&random, exercise->size);
        char name[NAME_BYTES_MAX];
        struct span field = name_of(number, name);
        bool is_there = model.slots[number].value != NULL;
        if (random_below(&random, 10) < (is_growing ? 8 : 2)) {
            char bytes[VALUE_BYTES_MAX];
            struct span value = value_draw(&random, exercise->length_max, bytes);
            ck_assert(put(&fixture, field, value) == !is_there);
            model_put(&model, number, value);
        } else {
            ck_assert(delete_field(&fixture, field) == is_there);
            model_delete(&model, number);
        }
        compare_one(&fixture, &model, number);
        compare_one(&fixture, &model, (uint32_t)random_below(&random, exercise->size));
        if (i % (exercise->size / 4) == 0) {
            compare(&fixture, &model);
        }
    }
    compare(&fixture, &model);
    model_free(&model);
    fixture_close(&fixture);
}

START_TEST(hash_value_agrees_with_a_map_while_it_stays_a_pack) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        exercise(&(struct exercise){.size = 40,
                                    .changes = 4000,
                                    .length_max = 30,
                                    .entries_max = 128,
                                    .value_max = 64,
                                    .seed = seed});
    }
}
END_TEST

START_TEST(hash_value_agrees_with_a_map_as_a_pack_beyond_64_kib) {
    exercise(&(struct exercise){.size = 700,
                                .changes = 6000,
                                .length_max = VALUE_BYTES_MAX,
                                .entries_max = 10000,
                                .value_max = 10000,
                                .seed = 1});
}
END_TEST

START_TEST(hash_value_agrees_with_a_map_while_it_becomes_a_table_and_empty_again) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        exercise(&(struct exercise){.size = 200,
                                    .changes = 4000,
                                    .length_max = 30,
                                    .entries_max = 64,
                                    .value_max = 64,
                                    .seed = seed});
        exercise(&(struct exercise){.size = 200,
                                    .changes = 4000,
                                    .length_max = 70,
                                    .entries_max = 128,
                                    .value_max = 64,
                                    .seed = seed});
    }
}
END_TEST

START_TEST(hash_value_agrees_with_a_map_as_a_table_from_nothing_to_thousands_of_fields) {
    exercise(&(struct exercise){.size = 4000,
                                .changes = 40000,
                                .length_max = VALUE_BYTES_MAX,
                                .entries_max = 0,
                                .value_max = 64,
                                .seed = 1});
}
END_TEST

/* ---- encodings ---- */

static struct span text_of(char *place, size_t length) {
    memset(place, 'x', length);
    return span_of(place, length);
}

START_TEST(hash_value_becomes_a_table_with_the_first_field_or_value_beyond_the_limit) {
    char text[65];
    for (int is_value = 0; is_value < 2; is_value++) {
        struct fixture fixture;
        fixture_open(&fixture, 128, 64);
        struct span fits = text_of(text, 64);
        put(&fixture, is_value ? span_of_string("f") : fits, is_value ? fits : span_of("v", 1));
        ck_assert_str_eq(encoding(&fixture), "listpack");
        struct span exceeds = text_of(text, 65);
        put(&fixture, is_value ? span_of_string("f") : exceeds,
            is_value ? exceeds : span_of("v", 1));
        ck_assert_str_eq(encoding(&fixture), "hashtable");
        ck_assert_uint_eq(hash_value_length(entry_of(&fixture)), is_value ? 1 : 2);
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(hash_value_becomes_a_table_with_one_field_more_than_the_limit_and_stays_one) {
    struct fixture fixture;
    fixture_open(&fixture, 2, 64);
    put_strings(&fixture, "a", "1");
    put_strings(&fixture, "b", "2");
    put_strings(&fixture, "b", "3");
    ck_assert_str_eq(encoding(&fixture), "listpack");
    put_strings(&fixture, "c", "4");
    ck_assert_str_eq(encoding(&fixture), "hashtable");
    ck_assert(delete_field(&fixture, span_of_string("a")));
    ck_assert(delete_field(&fixture, span_of_string("c")));
    ck_assert_str_eq(encoding(&fixture), "hashtable");
    ck_assert(holds(&fixture, "b", span_of_string("3")));
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_becomes_a_table_by_an_update_after_the_limit_was_lowered) {
    struct fixture fixture;
    fixture_open(&fixture, 3, 64);
    put_strings(&fixture, "a", "1");
    put_strings(&fixture, "b", "2");
    put_strings(&fixture, "c", "3");
    fixture.options.hash_max_listpack_entries = 2;
    ck_assert(!put_strings(&fixture, "b", "4"));
    ck_assert_str_eq(encoding(&fixture), "hashtable");
    ck_assert(holds(&fixture, "b", span_of_string("4")));
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_keeps_expiry_access_and_long_key_through_all_changes) {
    char key[300];
    struct fixture fixture;
    fixture_open(&fixture, 20, 64);
    fixture.key = text_of(key, sizeof(key));
    fixture.slot = slot_of_key(fixture.key);
    fixture.hash = store_hash(fixture.store, fixture.key);
    put_strings(&fixture, "first", "1");
    uint64_t *cell = cell_of(&fixture);
    table_cell_move(cell, entry_with_expiry(&fixture.store->heap, entry_of(&fixture), 123456));
    store_expiry_changed(fixture.store, 0, fixture.slot, ENTRY_NO_EXPIRY, 123456);
    entry_set_access(entry_of(&fixture), 0xabcdef);
    for (uint32_t i = 0; i < 40; i++) {
        char name[NAME_BYTES_MAX];
        put(&fixture, name_of(i, name), span_of_string("value"));
        ck_assert_int_eq(entry_expiry(entry_of(&fixture)), 123456);
        ck_assert_uint_eq(entry_access(entry_of(&fixture)), 0xabcdef);
        ck_assert(span_equal(entry_key(entry_of(&fixture)), fixture.key));
        ck_assert(holds(&fixture, "first", span_of_string("1")));
    }
    ck_assert_str_eq(encoding(&fixture), "hashtable");
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_tells_a_number_from_a_text_that_only_looks_like_one) {
    struct fixture fixture;
    fixture_open(&fixture, 128, 64);
    static const char *const alike[] = {"7", "07", "+7", " 7", "7.0", "-0", "0", ""};
    for (size_t i = 0; i < UNIT_COUNT(alike); i++) {
        ck_assert(put_strings(&fixture, alike[i], alike[UNIT_COUNT(alike) - 1 - i]));
    }
    ck_assert_uint_eq(hash_value_length(entry_of(&fixture)), UNIT_COUNT(alike));
    for (size_t i = 0; i < UNIT_COUNT(alike); i++) {
        ck_assert(holds(&fixture, alike[i], span_of_string(alike[UNIT_COUNT(alike) - 1 - i])));
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_holds_a_large_value_and_puts_one_of_its_size_in_its_place) {
    struct fixture fixture;
    fixture_open(&fixture, 128, 64);
    size_t length = (size_t)1 << 20;
    char *bytes = memory_alloc(length);
    put(&fixture, span_of_string("large"), text_of(bytes, length));
    size_t used = fixture.store->heap.used_bytes;
    ck_assert_uint_ge(used, length);
    bytes[length / 2] = 'y';
    ck_assert(!put(&fixture, span_of_string("large"), span_of(bytes, length)));
    ck_assert(holds(&fixture, "large", span_of(bytes, length)));
    ck_assert_uint_eq(fixture.store->heap.used_bytes, used);
    ck_assert(!put_strings(&fixture, "large", "small"));
    ck_assert(holds(&fixture, "large", span_of_string("small")));
    ck_assert_uint_lt(fixture.store->heap.used_bytes, 1000);
    memory_free(bytes);
    fixture_close(&fixture);
}
END_TEST

/* ---- walking ---- */

enum { ALWAYS_THERE = 500, PASSING = 5000 };

static void mark_visit(struct span field, struct span value, void *context) {
    (void)value;
    uint8_t *seen = context;
    uint32_t number = number_of(field);
    if (number < ALWAYS_THERE) {
        seen[number] = 1;
    }
}

START_TEST(hash_value_scan_meets_every_field_that_stays_while_others_come_and_go) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fixture fixture;
        fixture_open(&fixture, 0, 64);
        struct random random;
        random_seed(&random, seed);
        char name[NAME_BYTES_MAX];
        for (uint32_t i = 0; i < ALWAYS_THERE; i++) {
            put(&fixture, name_of(i, name), span_of_string("stays"));
        }
        uint8_t seen[ALWAYS_THERE] = {0};
        uint64_t position = 0;
        uint32_t passing = 0;
        bool is_growing = seed % 2 == 0;
        do {
            position = hash_value_scan(entry_of(&fixture), position, mark_visit, seen);
            for (uint64_t i = random_below(&random, 200); i != 0; i--) {
                if (is_growing && passing < PASSING) {
                    put(&fixture, name_of(ALWAYS_THERE + passing++, name), span_of_string("goes"));
                } else if (!is_growing && passing > 0) {
                    delete_field(&fixture, name_of(ALWAYS_THERE + --passing, name));
                } else {
                    is_growing = !is_growing;
                }
            }
        } while (position != 0);
        for (uint32_t i = 0; i < ALWAYS_THERE; i++) {
            ck_assert_uint_eq(seen[i], 1);
        }
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(hash_value_scan_of_a_pack_gives_all_from_any_position) {
    struct fixture fixture;
    fixture_open(&fixture, 128, 64);
    struct model model = model_new(10);
    char name[NAME_BYTES_MAX];
    for (uint32_t i = 0; i < 10; i++) {
        put(&fixture, name_of(i, name), span_of_string("v"));
        model_put(&model, i, span_of_string("v"));
    }
    ck_assert_uint_eq(hash_value_scan(entry_of(&fixture), 77, compare_visit, &model), 0);
    for (uint32_t i = 0; i < 10; i++) {
        ck_assert(model.slots[i].is_seen);
    }
    model_free(&model);
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_random_draws_every_field_about_as_often) {
    enum { FIELDS = 100, DRAWS = 100000 };
    for (int is_table = 0; is_table < 2; is_table++) {
        struct fixture fixture;
        fixture_open(&fixture, is_table ? 0 : 128, 64);
        char name[NAME_BYTES_MAX];
        for (uint32_t i = 0; i < FIELDS; i++) {
            char value[NUMBER_TEXT_BYTES_MAX];
            put(&fixture, name_of(i, name), span_of(value, number_format(value, i)));
        }
        struct random random;
        random_seed(&random, 1);
        uint32_t drawn[FIELDS] = {0};
        for (int i = 0; i < DRAWS; i++) {
            struct hash_pair pair;
            hash_value_random(entry_of(&fixture), &random, &pair);
            uint32_t number = number_of(pair.field);
            ck_assert(span_equal(pair.field, name_of(number, name)));
            ck_assert_uint_eq(number_of(pair.value), number);
            drawn[number]++;
        }
        for (uint32_t i = 0; i < FIELDS; i++) {
            ck_assert_uint_gt(drawn[i], DRAWS / FIELDS / 2);
            ck_assert_uint_lt(drawn[i], DRAWS / FIELDS * 3 / 2);
        }
        fixture_close(&fixture);
    }
}
END_TEST

/* ---- memory ---- */

START_TEST(hash_value_of_many_fields_is_freed_by_and_by_and_one_of_few_at_once) {
    for (uint32_t fields = STORE_FREE_AT_ONCE_MAX; fields <= STORE_FREE_AT_ONCE_MAX + 1; fields++) {
        struct fixture fixture;
        fixture_open(&fixture, 0, 64);
        char name[NAME_BYTES_MAX];
        for (uint32_t i = 0; i < fields; i++) {
            put(&fixture, name_of(i, name), span_of_string("v"));
        }
        store_remove(fixture.store, 0, fixture.slot, fixture.hash, cell_of(&fixture));
        bool is_large = fields > STORE_FREE_AT_ONCE_MAX;
        ck_assert((fixture.store->heap.used_bytes != 0) == is_large);
        ck_assert(store_bury_step(fixture.store, 1) == !is_large);
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(hash_value_memory_bytes_are_what_the_heap_gave) {
    struct fixture fixture;
    fixture_open(&fixture, 128, 64);
    put_strings(&fixture, "a", "1");
    ck_assert_uint_eq(hash_value_memory_bytes(fixture.store, entry_of(&fixture), 0), 0);
    char name[NAME_BYTES_MAX];
    for (uint32_t i = 0; i < 1000; i++) {
        put(&fixture, name_of(i, name), span_of_string("value"));
    }
    size_t used = fixture.store->heap.used_bytes;
    size_t told = hash_value_memory_bytes(fixture.store, entry_of(&fixture), 0);
    size_t sampled = hash_value_memory_bytes(fixture.store, entry_of(&fixture), 20);
    ck_assert_uint_gt(told, used * 4 / 5);
    ck_assert_uint_lt(told, used * 6 / 5);
    ck_assert_uint_gt(sampled, used / 2);
    ck_assert_uint_lt(sampled, used * 2);
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_table_statistics_count_the_fields_of_a_table_only) {
    struct fixture fixture;
    fixture_open(&fixture, 1, 64);
    struct table_statistics statistics;
    put_strings(&fixture, "a", "1");
    ck_assert(!hash_value_table_statistics(entry_of(&fixture), &statistics));
    put_strings(&fixture, "b", "1");
    ck_assert(hash_value_table_statistics(entry_of(&fixture), &statistics));
    ck_assert_uint_eq(statistics.chain_max, 2);
    fixture_close(&fixture);
}
END_TEST

START_TEST(hash_value_counts_the_steps_of_its_table) {
    struct fixture fixture;
    fixture_open(&fixture, 0, 64);
    char name[NAME_BYTES_MAX];
    for (uint32_t i = 0; i < 1000; i++) {
        put(&fixture, name_of(i, name), span_of_string("v"));
    }
    struct table_statistics statistics;
    ck_assert(hash_value_table_statistics(entry_of(&fixture), &statistics));
    ck_assert_uint_eq(fixture.store->table_steps, statistics.buckets - 1);
    fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        hash_value_agrees_with_a_map_while_it_stays_a_pack,
        hash_value_agrees_with_a_map_as_a_pack_beyond_64_kib,
        hash_value_agrees_with_a_map_while_it_becomes_a_table_and_empty_again,
        hash_value_agrees_with_a_map_as_a_table_from_nothing_to_thousands_of_fields,
        hash_value_becomes_a_table_with_the_first_field_or_value_beyond_the_limit,
        hash_value_becomes_a_table_with_one_field_more_than_the_limit_and_stays_one,
        hash_value_becomes_a_table_by_an_update_after_the_limit_was_lowered,
        hash_value_keeps_expiry_access_and_long_key_through_all_changes,
        hash_value_tells_a_number_from_a_text_that_only_looks_like_one,
        hash_value_holds_a_large_value_and_puts_one_of_its_size_in_its_place,
        hash_value_scan_meets_every_field_that_stays_while_others_come_and_go,
        hash_value_scan_of_a_pack_gives_all_from_any_position,
        hash_value_random_draws_every_field_about_as_often,
        hash_value_of_many_fields_is_freed_by_and_by_and_one_of_few_at_once,
        hash_value_memory_bytes_are_what_the_heap_gave,
        hash_value_table_statistics_count_the_fields_of_a_table_only,
        hash_value_counts_the_steps_of_its_table,
    };
    return unit_run(unit_suite("hash_value", tests, UNIT_COUNT(tests)));
}
