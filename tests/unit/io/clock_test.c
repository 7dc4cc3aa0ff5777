#include "io/clock.h"

#include "tests/unit/unit.h"

#include <time.h>

START_TEST(wall_clock_tells_the_time_of_day_in_both_units) {
    int64_t before = (int64_t)time(NULL);
    int64_t ms = clock_wall_ms();
    int64_t us = clock_wall_us();
    int64_t after = (int64_t)time(NULL);
    ck_assert_int_ge(ms / 1000, before);
    ck_assert_int_le(ms, us / 1000);
    /* time() is coarse: it may lag behind the clock by a tick of the kernel. */
    ck_assert_int_le(us / 1000000, after + 1);
}
END_TEST

START_TEST(monotonic_and_boot_clock_never_go_backwards) {
    int64_t monotonic = clock_monotonic_us();
    int64_t boot = clock_boot_ms();
    for (int i = 0; i < 1000; i++) {
        int64_t monotonic_next = clock_monotonic_us();
        int64_t boot_next = clock_boot_ms();
        ck_assert_int_ge(monotonic_next, monotonic);
        ck_assert_int_ge(boot_next, boot);
        monotonic = monotonic_next;
        boot = boot_next;
    }
}
END_TEST

START_TEST(boot_clock_includes_all_that_monotonic_counts) {
    int64_t monotonic_ms = clock_monotonic_us() / 1000;
    ck_assert_int_ge(clock_boot_ms(), monotonic_ms);
}
END_TEST

START_TEST(cpu_clocks_grow_by_work_and_the_thread_is_part_of_the_process) {
    int64_t thread_start = clock_thread_cpu_us();
    while (clock_thread_cpu_us() == thread_start) {
    }
    int64_t thread = clock_thread_cpu_us();
    ck_assert_int_gt(thread, thread_start);
    ck_assert_int_ge(clock_process_cpu_us(), thread);
    int64_t finer_us = clock_thread_cpu_ns() / 1000;
    ck_assert_int_ge(finer_us, thread);
    ck_assert_int_le(finer_us, clock_thread_cpu_us());
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        wall_clock_tells_the_time_of_day_in_both_units,
        monotonic_and_boot_clock_never_go_backwards,
        boot_clock_includes_all_that_monotonic_counts,
        cpu_clocks_grow_by_work_and_the_thread_is_part_of_the_process,
    };
    return unit_run(unit_suite("clock", tests, UNIT_COUNT(tests)));
}
