#include "base/varint.h"

#include "tests/unit/unit.h"

START_TEST(varint_gives_back_what_was_written) {
    static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < UNIT_COUNT(numbers); i++) {
        char bytes[VARINT_BYTES_MAX];
        size_t length = (size_t)(varint_write(bytes, numbers[i]) - bytes);
        struct span rest = span_of(bytes, length);
        uint64_t number;
        ck_assert(varint_read(&rest, &number));
        ck_assert_uint_eq(number, numbers[i]);
        ck_assert_uint_eq(rest.length, 0);
        rest = span_of(bytes, length - 1);
        ck_assert(!varint_read(&rest, &number));
    }
}
END_TEST

START_TEST(varint_refuses_what_passes_64_bits) {
    struct span rest = SPAN_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    uint64_t number;
    ck_assert(!varint_read(&rest, &number));
    rest = (struct span)SPAN_LITERAL("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    ck_assert(!varint_read(&rest, &number));
}
END_TEST

START_TEST(varint_takes_no_span_beyond_the_end) {
    struct span rest = SPAN_LITERAL("\x03"
                                    "abcd");
    struct span found;
    ck_assert(varint_read_span(&rest, &found));
    ck_assert(span_equal(found, span_of_string("abc")));
    ck_assert_uint_eq(rest.length, 1);
    rest = (struct span)SPAN_LITERAL("\x05"
                                     "abcd");
    ck_assert(!varint_read_span(&rest, &found));
    ck_assert_uint_eq(rest.length, 5);
}
END_TEST

START_TEST(varint_folds_signs) {
    static const int64_t numbers[] = {0, -1, 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < UNIT_COUNT(numbers); i++) {
        ck_assert_int_eq(varint_unzigzag(varint_zigzag(numbers[i])), numbers[i]);
    }
    ck_assert_uint_eq(varint_zigzag(-1), 1);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        varint_gives_back_what_was_written,
        varint_refuses_what_passes_64_bits,
        varint_takes_no_span_beyond_the_end,
        varint_folds_signs,
    };
    return unit_run(unit_suite("varint", tests, UNIT_COUNT(tests)));
}
