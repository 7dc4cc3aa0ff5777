#include "base/numbers.h"

#include "base/random.h"

#include "tests/unit/unit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static bool parses(const char *text, int64_t expected) {
    int64_t number = ~expected;
    return number_parse(span_of_string(text), &number) && number == expected;
}

static bool parses_not(const char *text) {
    int64_t number = 77;
    return !number_parse(span_of_string(text), &number) && number == 77;
}

START_TEST(number_parse_takes_canonical_decimals) {
    ck_assert(parses("0", 0));
    ck_assert(parses("7", 7));
    ck_assert(parses("-1", -1));
    ck_assert(parses("1234567890", 1234567890));
    ck_assert(parses("9223372036854775807", INT64_MAX));
    ck_assert(parses("-9223372036854775808", INT64_MIN));
    ck_assert(parses("-9223372036854775807", -INT64_MAX));
}
END_TEST

START_TEST(number_parse_refuses_what_redis_refuses) {
    static const char *const texts[] = {
        "",
        "-",
        "+1",
        "-0",
        "00",
        "01",
        "-01",
        " 1",
        "1 ",
        "1\n",
        "1.0",
        "1e3",
        "0x1",
        "--1",
        "1-",
        "a",
        "12a4",
        "9223372036854775808",
        "-9223372036854775809",
        "10000000000000000000",
        "18446744073709551615",
        "99999999999999999999",
        "-10000000000000000000",
        "100000000000000000000",
        "000000000000000000001",
        "/",
        ":",
        "1/",
        "1:",
    };
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        ck_assert_msg(parses_not(texts[i]), "%s", texts[i]);
    }
    int64_t number;
    ck_assert(!number_parse(span_of(NULL, 0), &number));
    ck_assert(!number_parse(span_of("1\0", 2), &number));
}
END_TEST

START_TEST(number_parse_unsigned_reaches_the_highest_of_64_bits) {
    uint64_t number;
    ck_assert(number_parse_unsigned(span_of_string("18446744073709551615"), &number));
    ck_assert_uint_eq(number, UINT64_MAX);
    ck_assert(number_parse_unsigned(span_of_string("0"), &number));
    ck_assert_uint_eq(number, 0);
    static const char *const texts[] = {
        "18446744073709551616",
        "18446744073709551620",
        "20000000000000000000",
        "-1",
        "-0",
        "01",
        "",
        "99999999999999999999",
        "184467440737095516150",
        "1844674407370955161x",
    };
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        ck_assert_msg(!number_parse_unsigned(span_of_string(texts[i]), &number), "%s", texts[i]);
    }
}
END_TEST

START_TEST(number_format_and_parse_are_each_other_backwards) {
    struct random random;
    random_seed(&random, 4);
    for (int i = 0; i < 200000; i++) {
        int64_t number = (int64_t)random_next(&random) >> random_below(&random, 64);
        char text[NUMBER_TEXT_BYTES_MAX];
        char expected[NUMBER_TEXT_BYTES_MAX];
        size_t length = number_format(text, number);
        int expected_length = snprintf(expected, sizeof(expected), "%" PRId64, number);
        ck_assert_int_eq((int)length, expected_length);
        ck_assert_mem_eq(text, expected, length);
        ck_assert_uint_eq(number_decimal_length(number), length);
        int64_t again;
        ck_assert(number_parse(span_of(text, length), &again));
        ck_assert_int_eq(again, number);
    }
}
END_TEST

START_TEST(number_format_writes_every_length_up_to_its_limits) {
    char text[NUMBER_TEXT_BYTES_MAX];
    ck_assert(span_equal(span_of(text, number_format(text, INT64_MIN)),
                         span_of_string("-9223372036854775808")));
    ck_assert(span_equal(span_of(text, number_format_unsigned(text, UINT64_MAX)),
                         span_of_string("18446744073709551615")));
    uint64_t number = 1;
    for (size_t length = 1; length <= 20; length++, number *= 10) {
        ck_assert_uint_eq(number_format_unsigned(text, number), length);
        ck_assert_int_eq(text[0], '1');
        if (length > 1) {
            ck_assert_uint_eq(number_format_unsigned(text, number - 1), length - 1);
            ck_assert_int_eq(text[0], '9');
        }
    }
}
END_TEST

/* Each was asked of redis-server (ZADD). */
START_TEST(number_parse_double_takes_what_a_score_may_be) {
    static const struct {
        const char *text;
        double number;
    } good[] = {
        {"1", 1},
        {"+5", 5},
        {"-2.5", -2.5},
        {".5", 0.5},
        {"5.", 5},
        {"1e5", 1e5},
        {"0x10", 16},
        {"0x1p3", 8},
        {"inf", INFINITY},
        {"+inf", INFINITY},
        {"-Infinity", -INFINITY},
        {"1e-320", 1e-320},
        {"-0", -0.0},
    };
    static const char *const bad[] = {
        "",       "nan",    "-nan", "nan(1)", " 1", "1 ",  "\t1", "1e400",
        "-1e400", "1e-400", "a",    "1a",     "1e", "1,5", "--1",
    };
    double number;
    for (size_t i = 0; i < UNIT_COUNT(good); i++) {
        ck_assert_msg(number_parse_double(span_of_string(good[i].text), &number), "%s",
                      good[i].text);
        ck_assert(number == good[i].number);
        ck_assert_int_eq(signbit(number) != 0, signbit(good[i].number) != 0);
    }
    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        ck_assert_msg(!number_parse_double(span_of_string(bad[i]), &number), "%s", bad[i]);
    }
    ck_assert(!number_parse_double(span_of("1\0", 2), &number));
    ck_assert(!number_parse_double(span_of(NULL, 0), &number));
}
END_TEST

START_TEST(number_parse_double_reads_texts_of_any_length) {
    static char text[100000];
    memset(text, '0', sizeof(text));
    text[sizeof(text) - 1] = '7';
    double number;
    ck_assert(number_parse_double(span_of(text, sizeof(text)), &number));
    ck_assert(number == 7);
    ck_assert(number_parse_double(span_of(text, 127), &number));
    ck_assert(number_parse_double(span_of(text, 128), &number));
    ck_assert(number == 0);
}
END_TEST

/* Each was asked of redis-server (INCRBYFLOAT). */
START_TEST(number_parse_long_double_takes_what_incrbyfloat_takes) {
    static const char *const good[] = {"1",   "+5",   ".5",    "5.",    "0x10",
                                       "inf", "-inf", "1e400", "1e-400"};
    static const char *const bad[] = {"", "nan", " 1", "1 ", "\v1", "1e5000", "1e-5000", "1x", "-"};
    long double number;
    for (size_t i = 0; i < UNIT_COUNT(good); i++) {
        ck_assert_msg(number_parse_long_double(span_of_string(good[i]), &number), "%s", good[i]);
    }
    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        ck_assert_msg(!number_parse_long_double(span_of_string(bad[i]), &number), "%s", bad[i]);
    }
    static char text[NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX];
    memset(text, '0', sizeof(text));
    ck_assert(number_parse_long_double(span_of(text, sizeof(text) - 1), &number));
    ck_assert(!number_parse_long_double(span_of(text, sizeof(text)), &number));
    ck_assert(!number_parse_long_double(span_of("1\0", 2), &number));
}
END_TEST

START_TEST(number_parse_memory_knows_the_units_of_redis_conf) {
    static const struct {
        const char *text;
        int64_t size_bytes;
    } good[] = {
        {"0", 0},
        {"100", 100},
        {"100b", 100},
        {"1k", 1000},
        {"10KB", 10240},
        {"2m", 2000000},
        {"2mB", 2097152},
        {"3g", 3000000000},
        {"3Gb", 3221225472},
        {"mb", 0},
        {"", 0},
        {"007", 7},
        {"9223372036854775807", INT64_MAX},
        {"8589934591gb", (int64_t)8589934591 << 30},
    };
    static const char *const bad[] = {
        "-1",
        "+1",
        "1.5mb",
        "1kbb",
        "1 mb",
        " 1",
        "0x10",
        "1t",
        "9223372036854775808",
        "8589934592gb",
        "99999999999999999999",
    };
    int64_t size_bytes;
    for (size_t i = 0; i < UNIT_COUNT(good); i++) {
        ck_assert_msg(number_parse_memory(span_of_string(good[i].text), &size_bytes), "%s",
                      good[i].text);
        ck_assert_int_eq(size_bytes, good[i].size_bytes);
    }
    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        ck_assert_msg(!number_parse_memory(span_of_string(bad[i]), &size_bytes), "%s", bad[i]);
    }
}
END_TEST

START_TEST(number_format_double_lays_digits_out_as_redis_7_2) {
    static const struct {
        double number;
        const char *text;
    } examples[] = {
        {0, "0"},
        {-0.0, "-0"},
        {3, "3"},
        {-3, "-3"},
        {0.1, "0.1"},
        {-0.1, "-0.1"},
        {1.5, "1.5"},
        {100000000, "100000000"},
        {1e18, "1000000000000000000"},
        {1e19, "1e+19"},
        {1e20, "1e+20"},
        {4611686018427387904.0, "4611686018427387904"},
        {-1e20, "-1e+20"},
        {1e21, "1e+21"},
        {12345678901234567890.0, "12345678901234567000"},
        {12345678901230000000.0, "12345678901230000000"},
        {23456789012300000000.0, "2.34567890123e+19"},
        {1.5e300, "1.5e+300"},
        {1e100, "1e+100"},
        {1e-5, "0.00001"},
        {1e-6, "0.000001"},
        {1e-7, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {0.0001234567, "1.234567e-4"},
        {0.001234567, "0.001234567"},
        {1234.5678901, "1234.5678901"},
        {12345.678901, "12345.678901"},
        {12345.6789012, "1.23456789012e+4"},
        {3.141592653589793, "3.141592653589793"},
        {0.30000000000000004, "0.30000000000000004"},
        {5e-324, "5e-324"},
        /* Grisu2 misses the five digits. */
        {0.63377, "0.6337699999999999"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {-2.5e-9, "-2.5e-9"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
    };
    for (size_t i = 0; i < UNIT_COUNT(examples); i++) {
        char text[NUMBER_DOUBLE_TEXT_BYTES_MAX];
        size_t length = number_format_double(text, examples[i].number);
        ck_assert_msg(span_equal(span_of(text, length), span_of_string(examples[i].text)),
                      "%s and not %.*s", examples[i].text, (int)length, text);
    }
}
END_TEST

/* One of every bit pattern's kinds: any double, decimals as people write them, powers of two. */
static double double_draw(struct random *random) {
    uint64_t bits = random_next(random);
    double number;
    switch (random_below(random, 3)) {
    case 0:
        memcpy(&number, &bits, sizeof(number));
        return number;
    case 1:
        return (double)((int64_t)bits >> random_below(random, 64)) /
               pow(10, (double)random_below(random, 20));
    default:
        return ldexp(1, (int)random_below(random, 2098) - 1074);
    }
}

START_TEST(number_format_double_reads_back_the_same_and_fits) {
    struct random random;
    random_seed(&random, 8);
    for (int i = 0; i < 300000; i++) {
        double number = double_draw(&random);
        if (!isfinite(number)) {
            continue;
        }
        char text[NUMBER_DOUBLE_TEXT_BYTES_MAX];
        size_t length = number_format_double(text, number);
        ck_assert_uint_lt(length, sizeof(text));
        text[length] = '\0';
        ck_assert_msg(strtod(text, NULL) == number, "%.17g as %s", number, text);
    }
}
END_TEST

/* Each was asked of redis-server (INCRBYFLOAT on a missing key). */
START_TEST(number_format_long_double_strips_zeros_and_the_sign_of_zero) {
    static const struct {
        const char *number;
        const char *text;
    } examples[] = {
        {"0", "0"},
        {"-0", "0"},
        {"-1e-30", "0"},
        {"3", "3"},
        {"-3.0", "-3"},
        {"10.50", "10.5"},
        {"0.1", "0.1"},
        {"5.0e3", "5000"},
        {"-2.5", "-2.5"},
        {"100", "100"},
        {"1e20", "100000000000000000000"},
        {"0.00000000000000001", "0.00000000000000001"},
        {"3.14159265358979323846", "3.14159265358979324"},
        {"inf", "inf"},
        {"-inf", "-inf"},
    };
    static char text[NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX];
    for (size_t i = 0; i < UNIT_COUNT(examples); i++) {
        long double number;
        ck_assert(number_parse_long_double(span_of_string(examples[i].number), &number));
        size_t length = number_format_long_double(text, number);
        ck_assert_msg(span_equal(span_of(text, length), span_of_string(examples[i].text)),
                      "%s and not %.*s", examples[i].text, (int)length, text);
    }
    long double largest;
    ck_assert(number_parse_long_double(span_of_string("1.18e4932"), &largest));
    ck_assert_uint_eq(number_format_long_double(text, largest), 4933);
}
END_TEST

START_TEST(number_format_human_bytes_picks_the_unit_below) {
    static const struct {
        uint64_t size_bytes;
        const char *text;
    } examples[] = {
        {0, "0B"},
        {1023, "1023B"},
        {1024, "1.00K"},
        {1572864, "1.50M"},
        {1048575, "1024.00K"},
        {(uint64_t)1 << 30, "1.00G"},
        {(uint64_t)5 << 40, "5.00T"},
        {(uint64_t)3 << 50, "3.00P"},
        {UINT64_MAX, "16384.00P"},
    };
    for (size_t i = 0; i < UNIT_COUNT(examples); i++) {
        char text[NUMBER_TEXT_BYTES_MAX];
        size_t length = number_format_human_bytes(text, examples[i].size_bytes);
        ck_assert_msg(span_equal(span_of(text, length), span_of_string(examples[i].text)),
                      "%s and not %.*s", examples[i].text, (int)length, text);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        number_parse_takes_canonical_decimals,
        number_parse_refuses_what_redis_refuses,
        number_parse_unsigned_reaches_the_highest_of_64_bits,
        number_format_and_parse_are_each_other_backwards,
        number_format_writes_every_length_up_to_its_limits,
        number_parse_double_takes_what_a_score_may_be,
        number_parse_double_reads_texts_of_any_length,
        number_parse_long_double_takes_what_incrbyfloat_takes,
        number_parse_memory_knows_the_units_of_redis_conf,
        number_format_double_lays_digits_out_as_redis_7_2,
        number_format_double_reads_back_the_same_and_fits,
        number_format_long_double_strips_zeros_and_the_sign_of_zero,
        number_format_human_bytes_picks_the_unit_below,
    };
    return unit_run(unit_suite("numbers", tests, UNIT_COUNT(tests)));
}
