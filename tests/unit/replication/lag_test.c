#include "replication/lag.h"
#include "tests/unit/unit.h"

#include <string.h>

START_TEST(a_reader_is_behind_since_what_it_lacks_first_came) {
    struct lag lag = {.count = 0};
    lag_note(&lag, 100, 1000);
    lag_note(&lag, 300, 1010);
    lag_note(&lag, 700, 1020);
    ck_assert_int_eq(lag_since(&lag, 0), 1000);
    ck_assert_int_eq(lag_since(&lag, 100), 1010);
    ck_assert_int_eq(lag_since(&lag, 150), 1010);
    ck_assert_int_eq(lag_since(&lag, 699), 1020);
    ck_assert_int_eq(lag_since(&lag, 700), 0);
}
END_TEST

/* Each look but the first brings no mark while the end stands still. */
START_TEST(a_log_that_stands_still_makes_nobody_wait_less) {
    struct lag lag = {.count = 0};
    for (int64_t now_ms = 1; now_ms < 10000; now_ms += 100) {
        lag_note(&lag, 100, now_ms);
    }
    ck_assert_int_eq(lag_since(&lag, 99), 1);
    ck_assert_int_eq(lag_since(&lag, 100), 0);
}
END_TEST

START_TEST(a_reader_that_is_far_behind_is_never_told_too_little) {
    struct lag lag = {.count = 0};
    const uint64_t ends = 100 * (uint64_t)LAG_MARKS_MAX;
    for (uint64_t end = 1; end <= ends; end++) {
        lag_note(&lag, end, (int64_t)end * LAG_MARK_MS);
    }
    ck_assert_uint_le(lag.count, LAG_MARKS_MAX);
    ck_assert_int_eq(lag_since(&lag, 0), LAG_MARK_MS);
    for (uint64_t at = 0; at < ends - 1000; at += 100) {
        int64_t since = lag_since(&lag, at);
        ck_assert_int_gt(since, 0);
        ck_assert_int_le(since, (int64_t)(at + 1) * LAG_MARK_MS);
        ck_assert_int_ge(since, (int64_t)at * LAG_MARK_MS - 1000 * LAG_MARK_MS);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_reader_is_behind_since_what_it_lacks_first_came,
        a_log_that_stands_still_makes_nobody_wait_less,
        a_reader_that_is_far_behind_is_never_told_too_little,
    };
    return unit_run(unit_suite("lag", tests, UNIT_COUNT(tests)));
}
