#include "base/decimal.h"

#include "base/numbers.h"
#include "base/random.h"

#include "tests/unit/unit.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

START_TEST(decimal_of_edges_and_of_plain_numbers_is_what_people_write) {
    static const struct {
        double number;
        const char *digits;
        int exponent;
    } cases[] = {
        {1, "1", 0},
        {0.1, "1", -1},
        {100, "1", 2},
        {123456789, "123456789", 0},
        {0.3, "3", -1},
        {0.1 + 0.2, "30000000000000004", -17},
        {1.0 / 3, "3333333333333333", -16},
        {2.0 / 3, "6666666666666666", -16},
        {9007199254740991, "9007199254740991", 0},
        {DBL_MAX, "17976931348623157", 292},
        {DBL_MIN, "22250738585072014", -324},
        {5e-324, "5", -324},
        {1e22, "1", 22},
        {1.5, "15", -1},
    };
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct decimal decimal;
        decimal_from_double(&decimal, cases[i].number);
        ck_assert_msg((size_t)decimal.count == strlen(cases[i].digits) &&
                          memcmp(decimal.digits, cases[i].digits, (size_t)decimal.count) == 0 &&
                          decimal.exponent == cases[i].exponent,
                      "%.17g is %.*se%d", cases[i].number, decimal.count, decimal.digits,
                      decimal.exponent);
    }
}
END_TEST

static void expect_same(double number) {
    struct decimal decimal;
    decimal_from_double(&decimal, number);
    ck_assert_int_ge(decimal.count, 1);
    ck_assert_int_le(decimal.count, DECIMAL_DIGITS_MAX);
    ck_assert_int_ne(decimal.digits[0], '0');
    char text[64];
    snprintf(text, sizeof(text), "%.*se%d", decimal.count, decimal.digits, decimal.exponent);
    ck_assert_msg(strtod(text, NULL) == number, "%.17g is not %s", number, text);
}

START_TEST(decimal_reads_back_as_the_same_number_whatever_its_bits) {
    struct random random;
    random_seed(&random, 10);
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = random_next(&random) >> 1;
        double number;
        memcpy(&number, &bits, sizeof(number));
        if (isfinite(number) && number != 0) {
            expect_same(number);
        }
    }
}
END_TEST

/* Below a power of two the next number is half as far as above it. */
START_TEST(decimal_reads_back_around_every_power_of_two) {
    for (int power = -1074; power < 1024; power++) {
        double number = ldexp(1, power);
        expect_same(number);
        expect_same(nextafter(number, INFINITY));
        if (power > -1074) {
            expect_same(nextafter(number, 0));
        }
    }
}
END_TEST

START_TEST(decimal_of_a_number_with_few_digits_has_nearly_always_just_these) {
    enum { NUMBERS = 100000 };
    int longer = 0;
    struct random random;
    random_seed(&random, 9);
    for (int i = 0; i < NUMBERS; i++) {
        uint64_t digits = 1 + random_below(&random, 1000000000000);
        while (digits % 10 == 0) {
            digits /= 10;
        }
        int exponent = (int)random_below(&random, 580) - 300;
        char text[64];
        snprintf(text, sizeof(text), "%" PRIu64 "e%d", digits, exponent);
        struct decimal decimal;
        decimal_from_double(&decimal, strtod(text, NULL));
        char expected[NUMBER_TEXT_BYTES_MAX];
        size_t count = number_format_unsigned(expected, digits);
        if ((size_t)decimal.count > count) {
            longer++;
            continue;
        }
        ck_assert_uint_eq((size_t)decimal.count, count);
        ck_assert_mem_eq(decimal.digits, expected, count);
        ck_assert_int_eq(decimal.exponent, exponent);
    }
    ck_assert_int_lt(longer, NUMBERS / 200);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        decimal_of_edges_and_of_plain_numbers_is_what_people_write,
        decimal_reads_back_as_the_same_number_whatever_its_bits,
        decimal_reads_back_around_every_power_of_two,
        decimal_of_a_number_with_few_digits_has_nearly_always_just_these,
    };
    return unit_run(unit_suite("decimal", tests, UNIT_COUNT(tests)));
}
