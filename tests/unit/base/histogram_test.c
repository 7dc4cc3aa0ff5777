#include "base/histogram.h"

#include "base/random.h"

#include "tests/unit/unit.h"

START_TEST(histogram_buckets_follow_each_other_without_gaps_up_to_the_largest_value) {
    /* Of a power of two there are as many buckets as its sub-bits tell; the top ones are unused. */
    uint32_t last = histogram_bucket(UINT64_MAX);
    ck_assert_uint_lt(last, HISTOGRAM_BUCKETS);
    ck_assert_uint_eq(histogram_bucket(0), 0);
    for (uint32_t i = 0; i < last; i++) {
        uint64_t max = histogram_bucket_max(i);
        ck_assert_uint_eq(histogram_bucket(max), i);
        ck_assert_uint_eq(histogram_bucket(max + 1), i + 1);
    }
    ck_assert_uint_eq(histogram_bucket_max(last), UINT64_MAX);
}
END_TEST

START_TEST(histogram_bucket_is_at_most_a_quarter_of_its_values_wide) {
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = random_next(&random) >> random_below(&random, 64);
        uint64_t max = histogram_bucket_max(histogram_bucket(value));
        ck_assert_uint_ge(max, value);
        ck_assert_uint_le(max - value, value / 4);
    }
}
END_TEST

START_TEST(histogram_quantile_is_the_end_of_the_bucket_with_that_share) {
    struct histogram histogram = {.total = 0};
    for (uint64_t value = 1; value <= 1000; value++) {
        histogram_add(&histogram, value, 1);
    }
    static const struct {
        double share;
        uint64_t value;
    } cases[] = {{0.001, 1}, {0.5, 500}, {0.9, 900}, {0.99, 990}};
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        uint64_t found = histogram_quantile(&histogram, cases[i].share);
        uint64_t max = histogram_bucket_max(histogram_bucket(cases[i].value));
        ck_assert_uint_eq(found, max < 1000 ? max : 1000);
    }
}
END_TEST

START_TEST(histogram_quantile_is_never_above_the_largest_value) {
    struct histogram histogram = {.total = 0};
    histogram_add(&histogram, 1025, 1);
    ck_assert_uint_gt(histogram_bucket_max(histogram_bucket(1025)), 1025);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0), 1025);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 1025);
    ck_assert_uint_eq(histogram_quantile(&histogram, 1), 1025);
}
END_TEST

START_TEST(histogram_of_nothing_has_quantiles_of_zero) {
    struct histogram histogram = {.total = 0};
    ck_assert_uint_eq(histogram_quantile(&histogram, 0), 0);
    ck_assert_uint_eq(histogram_quantile(&histogram, 1), 0);
}
END_TEST

START_TEST(histogram_counts_a_value_with_its_weight) {
    struct histogram histogram = {.total = 0};
    histogram_add(&histogram, 10, 99);
    histogram_add(&histogram, 1000, 1);
    ck_assert_uint_eq(histogram.total, 100);
    ck_assert_uint_eq(histogram.max, 1000);
    ck_assert_uint_eq(histogram.counts[histogram_bucket(10)], 99);
    ck_assert_uint_lt(histogram_quantile(&histogram, 0.99), 20);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.999), 1000);
}
END_TEST

START_TEST(histogram_merged_is_as_if_all_had_come_to_it) {
    struct histogram parts[2] = {{.total = 0}, {.total = 0}};
    struct histogram whole = {.total = 0};
    struct random random;
    random_seed(&random, 2);
    for (int i = 0; i < 1000; i++) {
        uint64_t value = random_next(&random) >> random_below(&random, 64);
        histogram_add(&parts[i % 2], value, (uint64_t)i);
        histogram_add(&whole, value, (uint64_t)i);
    }
    histogram_merge(&parts[0], &parts[1]);
    ck_assert_mem_eq(&parts[0], &whole, sizeof(whole));
    struct histogram empty = {.total = 0};
    histogram_merge(&parts[0], &empty);
    ck_assert_mem_eq(&parts[0], &whole, sizeof(whole));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        histogram_buckets_follow_each_other_without_gaps_up_to_the_largest_value,
        histogram_bucket_is_at_most_a_quarter_of_its_values_wide,
        histogram_quantile_is_the_end_of_the_bucket_with_that_share,
        histogram_quantile_is_never_above_the_largest_value,
        histogram_of_nothing_has_quantiles_of_zero,
        histogram_counts_a_value_with_its_weight,
        histogram_merged_is_as_if_all_had_come_to_it,
    };
    return unit_run(unit_suite("histogram", tests, UNIT_COUNT(tests)));
}
