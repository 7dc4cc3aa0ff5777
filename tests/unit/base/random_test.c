#include "base/random.h"

#include "tests/unit/unit.h"

#include <string.h>

START_TEST(random_repeats_its_numbers_for_the_same_seed_only) {
    struct random first;
    struct random second;
    struct random other;
    random_seed(&first, 42);
    random_seed(&second, 42);
    random_seed(&other, 43);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = random_next(&first);
        ck_assert_uint_eq(number, random_next(&second));
        same += number == random_next(&other);
    }
    ck_assert_int_eq(same, 0);
}
END_TEST

START_TEST(random_is_xoshiro256_starstar) {
    /* The authors' own program gives these from the state 1, 2, 3, 4. */
    struct random random = {{1, 2, 3, 4}};
    ck_assert_uint_eq(random_next(&random), 11520u);
    ck_assert_uint_eq(random_next(&random), 0u);
    ck_assert_uint_eq(random_next(&random), 1509978240u);
    ck_assert_uint_eq(random_next(&random), 1215971899390074240u);
}
END_TEST

START_TEST(random_below_stays_below_and_reaches_every_number_evenly) {
    enum { BOUND = 7, DRAWS = 70000 };
    int counts[BOUND] = {0};
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t number = random_below(&random, BOUND);
        ck_assert_uint_lt(number, BOUND);
        counts[number]++;
    }
    for (int i = 0; i < BOUND; i++) {
        ck_assert_int_gt(counts[i], 9500);
        ck_assert_int_lt(counts[i], 10500);
    }
    ck_assert_uint_eq(random_below(&random, 1), 0);
}
END_TEST

START_TEST(random_below_has_no_bias_for_a_bound_near_the_whole_range) {
    /* With 3/4 of 2^64, taking the product's high half without drawing again would hit every third
     * number twice as often: a third of the draws would be of them. */
    enum { DRAWS = 30000 };
    const uint64_t bound = (uint64_t)3 << 62;
    int thirds[3] = {0};
    struct random random;
    random_seed(&random, 2);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t number = random_below(&random, bound);
        ck_assert_uint_lt(number, bound);
        thirds[number % 3]++;
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_gt(thirds[i], DRAWS / 3 - 500);
        ck_assert_int_lt(thirds[i], DRAWS / 3 + 500);
    }
}
END_TEST

START_TEST(random_fraction_lies_between_zero_and_one) {
    struct random random;
    random_seed(&random, 3);
    double sum = 0;
    for (int i = 0; i < 10000; i++) {
        double fraction = random_fraction(&random);
        ck_assert(fraction >= 0);
        ck_assert(fraction < 1);
        sum += fraction;
    }
    ck_assert_double_gt(sum, 4700);
    ck_assert_double_lt(sum, 5300);
}
END_TEST

START_TEST(random_seed_bytes_fills_all_that_it_was_given_and_no_more) {
    unsigned char bytes[1002] = {0};
    random_seed_bytes(bytes + 1, 1000);
    ck_assert_uint_eq(bytes[0], 0);
    ck_assert_uint_eq(bytes[1001], 0);
    size_t zeros = 0;
    for (size_t i = 1; i <= 1000; i++) {
        zeros += bytes[i] == 0;
    }
    ck_assert_uint_lt(zeros, 50);
    ck_assert_uint_ne(random_seed_draw(), random_seed_draw());
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        random_repeats_its_numbers_for_the_same_seed_only,
        random_is_xoshiro256_starstar,
        random_below_stays_below_and_reaches_every_number_evenly,
        random_below_has_no_bias_for_a_bound_near_the_whole_range,
        random_fraction_lies_between_zero_and_one,
        random_seed_bytes_fills_all_that_it_was_given_and_no_more,
    };
    return unit_run(unit_suite("random", tests, UNIT_COUNT(tests)));
}
