#include "store/image.h"

#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#define TOTAL ((size_t)1024 * 1024)
#define PART ((size_t)100 * 1000)

static struct image_record part_of(const struct block *block, size_t offset, uint64_t total) {
    size_t left = block->length - offset;
    struct span key = span_of_string("key");
    return (struct image_record){
        .kind = IMAGE_STRING_PART,
        .key = {.key = key, .expiry_ms = ENTRY_NO_EXPIRY},
        .slot = slot_of_key(key),
        .value = span_of(block->bytes + offset, left < PART ? left : PART),
        .total = total,
        .offset = offset,
    };
}

static struct block *block_of(size_t length) {
    struct block *block = block_try_new(length);
    for (size_t i = 0; i < length; i++) {
        block->bytes[i] = (char)(i * 7 / 3);
    }
    block->length = length;
    return block;
}

START_TEST(a_large_string_is_made_of_its_parts) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of(TOTAL);
    for (size_t at = 0; at < TOTAL; at += PART) {
        struct image_record record = part_of(block, at, TOTAL);
        ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DONE);
    }
    struct entry *entry = store_fixture_entry(&fixture, 0, "key");
    ck_assert_int_eq(entry_kind(entry), ENTRY_BLOCK);
    ck_assert(span_equal(block_span(entry_block(entry)), block_span(block)));
    ck_assert_uint_eq(block_occupied_bytes(entry_block(entry)), block_occupied_bytes(block));
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(parts_in_another_order_are_refused) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of(TOTAL);
    struct image_record record = part_of(block, PART, TOTAL);
    ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DAMAGED);
    record = part_of(block, 0, TOTAL);
    ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DONE);
    ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DAMAGED);
    record = part_of(block, 2 * PART, TOTAL);
    ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DAMAGED);
    record = part_of(block, PART, TOTAL);
    ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DONE);
    ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DAMAGED);
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(an_announced_length_takes_no_memory) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct block *block = block_of(TOTAL);
    for (size_t at = 0; at < 2 * PART; at += PART) {
        struct image_record record = part_of(block, at, UINT64_C(1) << 40);
        ck_assert_int_eq(image_load(fixture.store, &record), IMAGE_DONE);
    }
    const struct entry *entry = store_fixture_entry(&fixture, 0, "key");
    ck_assert_uint_le(block_occupied_bytes(entry_block(entry)), 10 * PART);
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_large_string_is_made_of_its_parts,
        parts_in_another_order_are_refused,
        an_announced_length_takes_no_memory,
    };
    return unit_run(unit_suite("image", tests, UNIT_COUNT(tests)));
}
