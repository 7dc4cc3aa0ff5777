/* Kills under load: each test is a storm of some rounds, see tests/crash/storm.h. TARN_CRASH_SEED
 * says which; a failure names its own, and utils/crash --seed repeats it. */
#include "tests/crash/storm.h"
#include "tests/unit/unit.h"

#include <signal.h>

#define ROUNDS 10

static void expect_storm_survived(const char *sync, uint32_t workers) {
    signal(SIGPIPE, SIG_IGN);
    const char *seed = getenv("TARN_CRASH_SEED");
    struct storm_plan plan = {
        .program = getenv("TARN_SERVER"),
        .seed = seed == NULL ? 1 : strtoull(seed, NULL, 10),
        .rounds = ROUNDS,
        .workers = workers,
        .sync = sync,
    };
    ck_assert_msg(plan.program != NULL, "TARN_SERVER does not name a server");
    struct storm_result result;
    bool is_good = storm_run(&plan, &result);
    ck_assert_msg(is_good, "%s", result.report);
    ck_assert_uint_eq(result.rounds, ROUNDS);
    ck_assert_uint_gt(result.acknowledged, ROUNDS);
}

START_TEST(one_worker_with_everysec_loses_nothing_acknowledged_when_killed) {
    expect_storm_survived("everysec", 1);
}
END_TEST

START_TEST(one_worker_with_always_loses_nothing_acknowledged_when_killed) {
    expect_storm_survived("always", 1);
}
END_TEST

START_TEST(three_workers_with_everysec_lose_nothing_acknowledged_when_killed) {
    expect_storm_survived("everysec", 3);
}
END_TEST

START_TEST(what_one_number_of_workers_logged_another_one_loads) {
    expect_storm_survived(NULL, 0);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        one_worker_with_everysec_loses_nothing_acknowledged_when_killed,
        one_worker_with_always_loses_nothing_acknowledged_when_killed,
        three_workers_with_everysec_lose_nothing_acknowledged_when_killed,
        what_one_number_of_workers_logged_another_one_loads,
    };
    return unit_run(unit_suite("crash", tests, UNIT_COUNT(tests)));
}
