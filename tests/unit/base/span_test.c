#include "base/span.h"

#include "tests/unit/unit.h"

START_TEST(span_equal_compares_content_and_not_places) {
    char here[] = "abc";
    char there[] = "abcd";
    ck_assert(span_equal(span_of(here, 3), span_of(there, 3)));
    ck_assert(!span_equal(span_of(here, 3), span_of(there, 4)));
    ck_assert(!span_equal(span_of(here, 3), span_of(there + 1, 3)));
}
END_TEST

START_TEST(span_without_bytes_equals_every_empty_span) {
    ck_assert(span_equal(span_of(NULL, 0), span_of("x", 0)));
    ck_assert(span_equal_nocase(span_of(NULL, 0), span_of("x", 0)));
    ck_assert_int_eq(span_compare(span_of(NULL, 0), span_of("x", 0)), 0);
}
END_TEST

START_TEST(span_compare_puts_a_prefix_first_and_bytes_unsigned) {
    ck_assert_int_lt(span_compare(span_of_string("ab"), span_of_string("abc")), 0);
    ck_assert_int_gt(span_compare(span_of_string("abc"), span_of_string("ab")), 0);
    ck_assert_int_lt(span_compare(span_of_string("a"), span_of_string("\xff")), 0);
    ck_assert_int_gt(span_compare(span_of_string("b"), span_of_string("abc")), 0);
}
END_TEST

START_TEST(span_equal_nocase_looks_behind_zero_bytes) {
    ck_assert(span_equal_nocase(span_of("A\0b", 3), span_of("a\0B", 3)));
    ck_assert(!span_equal_nocase(span_of("A\0b", 3), span_of("a\0c", 3)));
}
END_TEST

START_TEST(span_equal_nocase_folds_ascii_letters_only) {
    ck_assert(span_equal_nocase(span_of_string("GeT-09"), span_of_string("gEt-09")));
    ck_assert(!span_equal_nocase(span_of_string("@"), span_of_string("`")));
    ck_assert(!span_equal_nocase(span_of_string("["), span_of_string("{")));
    ck_assert(!span_equal_nocase(span_of_string("\xc4"), span_of_string("\xe4")));
}
END_TEST

START_TEST(span_is_compares_with_a_whole_word) {
    ck_assert(span_is(span_of_string("maxmemory"), "MAXMEMORY"));
    ck_assert(!span_is(span_of_string("max"), "maxmemory"));
    ck_assert(!span_is(span_of_string("maxmemory"), "max"));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        span_equal_compares_content_and_not_places,
        span_without_bytes_equals_every_empty_span,
        span_compare_puts_a_prefix_first_and_bytes_unsigned,
        span_equal_nocase_looks_behind_zero_bytes,
        span_equal_nocase_folds_ascii_letters_only,
        span_is_compares_with_a_whole_word,
    };
    return unit_run(unit_suite("span", tests, UNIT_COUNT(tests)));
}
