/* Kills under load: each test is a storm of some rounds, see tests/crash/storm.h. TARN_CRASH_SEED
 * says which; a failure names its own, and utils/crash --seed repeats it. Together they kill the
 * server more than a hundred times, at moments that nobody chose: a round, which is a kill in most
 * cases and now and then more, takes about a quarter of a second. TARN_CRASH_ROUNDS: the rounds of
 * each, for builds that are slow. */
#include "tests/crash/storm.h"
#include "tests/unit/unit.h"

#include <signal.h>

#define ROUNDS 25
#define BALLAST_KEYS 100000

static void expect_storm_survived(const char *sync, uint32_t workers, uint32_t ballast) {
    signal(SIGPIPE, SIG_IGN);
    const char *seed = getenv("TARN_CRASH_SEED");
    const char *rounds = getenv("TARN_CRASH_ROUNDS");
    struct storm_plan plan = {
        .program = getenv("TARN_SERVER"),
        .seed = seed == NULL ? 1 : strtoull(seed, NULL, 10),
        .rounds = rounds == NULL ? ROUNDS : (uint32_t)strtoul(rounds, NULL, 10),
        .workers = workers,
        .sync = sync,
        .ballast = ballast,
    };
    ck_assert_msg(plan.program != NULL, "TARN_SERVER does not name a server");
    struct storm_result result;
    bool is_good = storm_run(&plan, &result);
    ck_assert_msg(is_good, "%s", result.report);
    ck_assert_uint_eq(result.rounds, plan.rounds);
    ck_assert_uint_ge(result.kills, plan.rounds * 3 / 4);
    ck_assert_uint_gt(result.acknowledged, plan.rounds);
    /* By chance, so for the seed that is always the same. */
    ck_assert(seed != NULL || rounds != NULL || (result.switches > 0 && result.reloads > 0));
}

START_TEST(one_worker_with_everysec_loses_nothing_acknowledged_when_killed) {
    expect_storm_survived("everysec", 1, 0);
}
END_TEST

START_TEST(one_worker_with_always_loses_nothing_acknowledged_when_killed) {
    expect_storm_survived("always", 1, 0);
}
END_TEST

START_TEST(three_workers_with_everysec_lose_nothing_acknowledged_when_killed) {
    expect_storm_survived("everysec", 3, 0);
}
END_TEST

START_TEST(what_one_number_of_workers_logged_another_one_loads) {
    expect_storm_survived(NULL, 0, 0);
}
END_TEST

START_TEST(a_kill_while_much_is_saved_or_loaded_loses_nothing) {
    expect_storm_survived(NULL, 0, BALLAST_KEYS);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        one_worker_with_everysec_loses_nothing_acknowledged_when_killed,
        one_worker_with_always_loses_nothing_acknowledged_when_killed,
        three_workers_with_everysec_lose_nothing_acknowledged_when_killed,
        what_one_number_of_workers_logged_another_one_loads,
        a_kill_while_much_is_saved_or_loaded_loses_nothing,
    };
    return unit_run(unit_suite("crash", tests, UNIT_COUNT(tests)));
}
