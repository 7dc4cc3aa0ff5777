#include "base/bytes.h"

#include "tests/unit/unit.h"

static const unsigned char counted[] = {0x00, 0x81, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88};

START_TEST(bytes_load_reads_the_low_byte_first_at_any_alignment) {
    ck_assert_uint_eq(bytes_load_u16(counted + 1), 0x0281);
    ck_assert_uint_eq(bytes_load_u32(counted + 1), 0x04030281);
    ck_assert_uint_eq(bytes_load_u64(counted + 1), 0x8807060504030281u);
}
END_TEST

START_TEST(bytes_store_writes_what_load_reads_and_nothing_beside) {
    unsigned char place[10];
    memset(place, 0xee, sizeof(place));
    bytes_store_u64(place + 1, 0x8807060504030281u);
    ck_assert_mem_eq(place + 1, counted + 1, 8);
    ck_assert_uint_eq(place[0], 0xee);
    ck_assert_uint_eq(place[9], 0xee);
    memset(place, 0xee, sizeof(place));
    bytes_store_u32(place + 1, 0x04030281);
    ck_assert_mem_eq(place + 1, counted + 1, 4);
    ck_assert_uint_eq(place[5], 0xee);
    memset(place, 0xee, sizeof(place));
    bytes_store_u16(place + 1, 0x0281);
    ck_assert_mem_eq(place + 1, counted + 1, 2);
    ck_assert_uint_eq(place[3], 0xee);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        bytes_load_reads_the_low_byte_first_at_any_alignment,
        bytes_store_writes_what_load_reads_and_nothing_beside,
    };
    return unit_run(unit_suite("bytes", tests, UNIT_COUNT(tests)));
}
