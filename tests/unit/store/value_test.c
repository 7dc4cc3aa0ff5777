#include "store/value.h"

#include "store/hash_value.h"
#include "tests/unit/store/store_fixture.h"

#include "tests/unit/unit.h"

#define LARGE_BYTES (2 * BLOCK_BYTES_MIN)
#define LATER_MS (FIXTURE_NOW_MS + 1000)

static uint64_t *put(struct store_fixture *fixture, const char *key, const struct string_put *put) {
    struct place place = store_fixture_place(fixture, 0, span_of_string(key));
    return value_string_put(place.store, 0, place.slot, place.hash, place.key, place.cell, put);
}

static uint64_t *put_text(struct store_fixture *fixture, const char *key, struct span bytes) {
    return put(fixture, key, &(struct string_put){.bytes = bytes, .expiry_ms = ENTRY_NO_EXPIRY});
}

static struct block *block_of(char byte, size_t length) {
    struct block *block = block_try_new(length);
    memset(block->bytes, byte, length);
    block->length = length;
    return block;
}

static bool holds(const uint64_t *cell, struct span bytes) {
    char scratch[NUMBER_TEXT_BYTES_MAX];
    const struct entry *entry = table_cell_element(*cell);
    return span_equal(value_string(entry, scratch), bytes) &&
           value_string_length(entry) == bytes.length;
}

static const char *encoding(const uint64_t *cell) {
    return value_encoding(table_cell_element(*cell));
}

/* ---- putting ---- */

START_TEST(a_string_has_the_encoding_that_redis_gives_it) {
    static char text[VALUE_EMBSTR_BYTES_MAX + 1];
    memset(text, 'x', sizeof(text));
    const struct {
        struct span bytes;
        const char *encoding;
    } cases[] = {
        {span_of_string("0"), "int"},
        {span_of_string("-9223372036854775808"), "int"},
        {span_of_string("9223372036854775807"), "int"},
        {span_of_string("9223372036854775808"), "embstr"},
        {span_of_string("01"), "embstr"},
        {span_of_string("+1"), "embstr"},
        {span_of_string("1 "), "embstr"},
        {span_of_string("-0"), "embstr"},
        {span_of("", 0), "embstr"},
        {span_of(text, VALUE_EMBSTR_BYTES_MAX), "embstr"},
        {span_of(text, VALUE_EMBSTR_BYTES_MAX + 1), "raw"},
    };
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        const uint64_t *cell = put_text(&fixture, "k", cases[i].bytes);
        ck_assert_msg(strcmp(encoding(cell), cases[i].encoding) == 0, "%.*s is %s",
                      (int)cases[i].bytes.length, cases[i].bytes.bytes, encoding(cell));
        ck_assert(holds(cell, cases[i].bytes));
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_large_string_is_a_block_its_own_when_it_did_not_come_as_one) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of('x', BLOCK_BYTES_MIN);
    uint64_t *cell = put_text(&fixture, "k", block_span(block));
    const struct entry *entry = table_cell_element(*cell);
    ck_assert_int_eq(entry_kind(entry), ENTRY_BLOCK);
    ck_assert_ptr_ne(entry_block(entry), block);
    ck_assert(!block_is_shared(block));
    ck_assert(holds(cell, block_span(block)));
    ck_assert_str_eq(encoding(cell), "raw");
    cell = put_text(&fixture, "k", span_of(block->bytes, BLOCK_BYTES_MIN - 1));
    ck_assert_int_eq(entry_kind(table_cell_element(*cell)), ENTRY_BYTES);
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

/* Each kind in place of each, so that what the old one pointed at goes. */
START_TEST(any_kind_of_string_takes_the_place_of_any_and_no_memory_stays) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    put_text(&fixture, "other", span_of_string("v"));
    size_t before = fixture.store->heap.used_bytes;
    struct block *block = block_of('x', LARGE_BYTES);
    const struct string_put puts[] = {
        {.bytes = span_of_string("12"), .expiry_ms = ENTRY_NO_EXPIRY},
        {.bytes = span_of_string("text"), .expiry_ms = LATER_MS},
        {.bytes = span_of_string("12"), .expiry_ms = LATER_MS, .is_raw = true},
        {.bytes = block_span(block), .block = block, .expiry_ms = ENTRY_NO_EXPIRY},
        {.bytes = span_of(block->bytes, BLOCK_BYTES_MIN), .expiry_ms = LATER_MS},
    };
    for (size_t i = 0; i < UNIT_COUNT(puts); i++) {
        for (size_t k = 0; k < UNIT_COUNT(puts); k++) {
            put(&fixture, "k", &puts[i]);
            const uint64_t *cell = put(&fixture, "k", &puts[k]);
            ck_assert(holds(cell, puts[k].bytes));
            ck_assert_int_eq(entry_expiry(table_cell_element(*cell)), puts[k].expiry_ms);
            ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys,
                              puts[k].expiry_ms != ENTRY_NO_EXPIRY);
        }
    }
    store_fixture_remove(&fixture, 0, span_of_string("k"));
    ck_assert(!block_is_shared(block));
    ck_assert_uint_eq(fixture.store->heap.used_bytes, before);
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_string_takes_the_place_of_a_hash) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    put_text(&fixture, "other", span_of_string("v"));
    size_t before = fixture.store->heap.used_bytes;
    struct place place = store_fixture_place(&fixture, 0, span_of_string("h"));
    uint64_t *cell = hash_value_new(place.store, 0, place.slot, place.hash, place.key);
    hash_value_make_table(place.store, cell);
    hash_value_put(place.store, cell, span_of_string("f"), span_of_string("v"));
    ck_assert_int_eq(value_type_of(table_cell_element(*cell)), VALUE_HASH);
    ck_assert_uint_eq(value_elements(table_cell_element(*cell)), 1);
    cell = put_text(&fixture, "h", span_of_string("text"));
    ck_assert_int_eq(value_type_of(table_cell_element(*cell)), VALUE_STRING);
    ck_assert(holds(cell, span_of_string("text")));
    store_fixture_remove(&fixture, 0, span_of_string("h"));
    ck_assert_uint_eq(fixture.store->heap.used_bytes, before);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_new_value_counts_as_an_access_but_keeps_a_counter_of_frequency) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    uint64_t *cell = put_text(&fixture, "k", span_of_string("v"));
    entry_set_access(table_cell_element(*cell), 12345);
    cell = put_text(&fixture, "k", span_of_string("w"));
    ck_assert_uint_eq(entry_access(table_cell_element(*cell)), fixture.store->lru_clock);
    fixture.options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    entry_set_access(table_cell_element(*cell), 12345);
    cell = put_text(&fixture, "k", span_of_string("x"));
    ck_assert_uint_eq(entry_access(table_cell_element(*cell)), 12345);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- patching ---- */

START_TEST(a_patched_string_is_raw_wherever_the_patch_falls) {
    static const struct {
        const char *old;
        size_t offset;
        const char *patch;
        struct span result;
    } cases[] = {
        {"hello", 0, "J", SPAN_LITERAL("Jello")},
        {"hello", 4, "p", SPAN_LITERAL("hellp")},
        {"hello", 5, "!", SPAN_LITERAL("hello!")},
        {"hello", 3, "ping", SPAN_LITERAL("helping")},
        {"hello", 7, "x", SPAN_LITERAL("hello\0\0x")},
        {"123", 1, "9", SPAN_LITERAL("193")},
        {"123", 0, "", SPAN_LITERAL("123")},
        {"", 2, "x", SPAN_LITERAL("\0\0x")},
    };
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        uint64_t *cell =
            put(&fixture, "k",
                &(struct string_put){.bytes = span_of_string(cases[i].old), .expiry_ms = LATER_MS});
        ck_assert(value_string_patch(fixture.store, cell, cases[i].offset,
                                     span_of_string(cases[i].patch)));
        ck_assert_msg(holds(cell, cases[i].result), "case %zu", i);
        ck_assert_str_eq(encoding(cell), "raw");
        ck_assert_int_eq(entry_expiry(table_cell_element(*cell)), LATER_MS);
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_string_that_grows_large_becomes_a_block_that_is_written_in_place) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    uint64_t *cell = put_text(&fixture, "k", span_of_string("12"));
    ck_assert(value_string_patch(fixture.store, cell, LARGE_BYTES - 1, span_of_string("x")));
    const struct block *block = entry_block(table_cell_element(*cell));
    ck_assert_uint_eq(block->length, LARGE_BYTES);
    ck_assert_mem_eq(block->bytes, "12\0", 3);
    for (size_t i = 2; i < LARGE_BYTES - 1; i++) {
        ck_assert_int_eq(block->bytes[i], 0);
    }
    ck_assert(value_string_patch(fixture.store, cell, 5, span_of_string("inside")));
    ck_assert_ptr_eq(entry_block(table_cell_element(*cell)), block);
    ck_assert_mem_eq(block->bytes + 5, "inside", 6);
    ck_assert_uint_eq(block->length, LARGE_BYTES);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_patch_leaves_a_shared_block_to_those_who_read_it) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of('x', LARGE_BYTES);
    uint64_t *cell =
        put(&fixture, "k",
            &(struct string_put){
                .bytes = block_span(block), .block = block, .expiry_ms = ENTRY_NO_EXPIRY});
    ck_assert(value_string_patch(fixture.store, cell, LARGE_BYTES, span_of_string("yy")));
    ck_assert(!block_is_shared(block));
    ck_assert_uint_eq(block->length, LARGE_BYTES);
    const struct block *own = entry_block(table_cell_element(*cell));
    ck_assert_ptr_ne(own, block);
    ck_assert_uint_eq(own->length, LARGE_BYTES + 2);
    ck_assert_mem_eq(own->bytes + LARGE_BYTES - 1, "xyy", 3);
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(appends_copy_a_large_string_ever_more_rarely) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of('x', LARGE_BYTES);
    uint64_t *cell = put_text(&fixture, "k", block_span(block));
    block_release(block);
    size_t grown = 0;
    size_t capacity = 0;
    for (size_t length = LARGE_BYTES; length < 8 * LARGE_BYTES; length += 64) {
        ck_assert(value_string_patch(fixture.store, cell, length, span_of_string("y")));
        size_t now = entry_block(table_cell_element(*cell))->capacity;
        grown += now != capacity;
        capacity = now;
    }
    /* Eight is less than the tenth power of one and a quarter. */
    ck_assert_uint_le(grown, 1 + 10);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_patch_without_memory_changes_nothing) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of('x', LARGE_BYTES);
    uint64_t *cells[2] = {put_text(&fixture, "small", span_of_string("12")), NULL};
    cells[1] = put_text(&fixture, "large", block_span(block));
    const struct span olds[2] = {span_of_string("12"), block_span(block)};
    size_t before = fixture.store->heap.used_bytes;
    for (size_t i = 0; i < 2; i++) {
        ck_assert(!value_string_reserve(fixture.store, cells[i], SIZE_MAX / 4));
        ck_assert(!value_string_patch(fixture.store, cells[i], SIZE_MAX / 4, span_of_string("x")));
        ck_assert(holds(cells[i], olds[i]));
    }
    ck_assert(!value_string_reserve(fixture.store, NULL, SIZE_MAX / 4));
    ck_assert_str_eq(encoding(cells[0]), "int");
    ck_assert_uint_eq(fixture.store->heap.used_bytes, before);
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_reserve_gives_a_large_string_its_room_and_leaves_the_text) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    uint64_t *cell = put_text(&fixture, "k", span_of_string("text"));
    ck_assert(value_string_reserve(fixture.store, cell, BLOCK_BYTES_MIN - 1));
    ck_assert_str_eq(encoding(cell), "embstr");
    ck_assert(value_string_reserve(fixture.store, NULL, LARGE_BYTES));
    ck_assert(value_string_reserve(fixture.store, cell, LARGE_BYTES));
    ck_assert(holds(cell, span_of_string("text")));
    const struct block *block = entry_block(table_cell_element(*cell));
    ck_assert_uint_ge(block->capacity, LARGE_BYTES);
    ck_assert(value_string_patch(fixture.store, cell, LARGE_BYTES - 1, span_of_string("x")));
    ck_assert_ptr_eq(entry_block(table_cell_element(*cell)), block);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- numbers ---- */

START_TEST(a_number_takes_the_place_of_any_string_and_keeps_its_expiry) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of('x', LARGE_BYTES);
    const struct span olds[] = {span_of_string("1"), span_of_string("text"), block_span(block),
                                span_of_string("2")};
    for (size_t i = 0; i < UNIT_COUNT(olds); i++) {
        uint64_t *cell = put(&fixture, "k",
                             &(struct string_put){.bytes = olds[i],
                                                  .block = i == 2 ? block : NULL,
                                                  .is_raw = i == 3,
                                                  .expiry_ms = LATER_MS});
        value_string_set_integer(fixture.store, cell, -77);
        ck_assert(!entry_has(table_cell_element(*cell), ENTRY_FLAG_RAW));
        ck_assert_str_eq(encoding(cell), "int");
        ck_assert(holds(cell, span_of_string("-77")));
        ck_assert_int_eq(entry_expiry(table_cell_element(*cell)), LATER_MS);
    }
    ck_assert(!block_is_shared(block));
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(text_that_is_canonical_is_an_integer_even_when_it_is_raw) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    int64_t number = 0;
    uint64_t *cell =
        put(&fixture, "k",
            &(struct string_put){
                .bytes = span_of_string("42"), .expiry_ms = ENTRY_NO_EXPIRY, .is_raw = true});
    ck_assert_str_eq(encoding(cell), "raw");
    ck_assert(value_string_is_integer(table_cell_element(*cell), &number));
    ck_assert_int_eq(number, 42);
    cell = put_text(&fixture, "k", span_of_string("43"));
    ck_assert(value_string_is_integer(table_cell_element(*cell), &number));
    ck_assert_int_eq(number, 43);
    cell = put_text(&fixture, "k", span_of_string("4.5"));
    ck_assert(!value_string_is_integer(table_cell_element(*cell), &number));
    struct block *block = block_of('1', BLOCK_BYTES_MIN);
    cell = put_text(&fixture, "k", block_span(block));
    ck_assert(!value_string_is_integer(table_cell_element(*cell), &number));
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- figures ---- */

START_TEST(types_have_the_names_that_redis_gives_them) {
    static const char *const names[] = {"string", "list", "set", "zset", "hash", "stream"};
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        ck_assert_str_eq(value_type_name((enum value_type)i), names[i]);
    }
}
END_TEST

START_TEST(memory_bytes_are_those_of_entry_and_block_with_a_share_of_the_table) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    uint64_t *cell = put_text(&fixture, "k", span_of_string("value"));
    const struct entry *entry = table_cell_element(*cell);
    size_t own = heap_class_bytes(entry_bytes(entry));
    size_t told = value_memory_bytes(fixture.store, entry, 0);
    ck_assert_uint_gt(told, own);
    ck_assert_uint_le(told, own + sizeof(struct table_bucket));
    struct block *block = block_of('x', LARGE_BYTES);
    cell = put(&fixture, "k",
               &(struct string_put){
                   .bytes = block_span(block), .block = block, .expiry_ms = ENTRY_NO_EXPIRY});
    entry = table_cell_element(*cell);
    own = heap_class_bytes(entry_bytes(entry)) + block_occupied_bytes(block);
    told = value_memory_bytes(fixture.store, entry, 0);
    ck_assert_uint_gt(told, own);
    ck_assert_uint_le(told, own + sizeof(struct table_bucket));
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_string_has_the_encoding_that_redis_gives_it,
        a_large_string_is_a_block_its_own_when_it_did_not_come_as_one,
        any_kind_of_string_takes_the_place_of_any_and_no_memory_stays,
        a_string_takes_the_place_of_a_hash,
        a_new_value_counts_as_an_access_but_keeps_a_counter_of_frequency,
        a_patched_string_is_raw_wherever_the_patch_falls,
        a_string_that_grows_large_becomes_a_block_that_is_written_in_place,
        a_patch_leaves_a_shared_block_to_those_who_read_it,
        appends_copy_a_large_string_ever_more_rarely,
        a_patch_without_memory_changes_nothing,
        a_reserve_gives_a_large_string_its_room_and_leaves_the_text,
        a_number_takes_the_place_of_any_string_and_keeps_its_expiry,
        text_that_is_canonical_is_an_integer_even_when_it_is_raw,
        types_have_the_names_that_redis_gives_them,
        memory_bytes_are_those_of_entry_and_block_with_a_share_of_the_table,
    };
    return unit_run(unit_suite("value", tests, UNIT_COUNT(tests)));
}
