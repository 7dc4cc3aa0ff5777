#include "io/clock.h"

#include "base/assertion.h"

static struct timespec read_clock(clockid_t clock) {
    struct timespec time;
    /* Fails only for a clock that the kernel does not know, and it knows all of these. */
    int result = clock_gettime(clock, &time);
    ASSERT(result == 0);
    return time;
}

static int64_t read_us(clockid_t clock) {
    struct timespec time = read_clock(clock);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int64_t read_ms(clockid_t clock) {
    struct timespec time = read_clock(clock);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void) {
    return read_ms(CLOCK_REALTIME);
}

int64_t clock_wall_us(void) {
    return read_us(CLOCK_REALTIME);
}

struct timespec clock_wall_in(int64_t timeout_ms) {
    struct timespec time = read_clock(CLOCK_REALTIME);
    time.tv_nsec += timeout_ms % 1000 * 1000000;
    time.tv_sec += timeout_ms / 1000 + time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

int64_t clock_monotonic_us(void) {
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void) {
    return read_ms(CLOCK_BOOTTIME);
}

int64_t clock_process_cpu_us(void) {
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_thread_cpu_us(void) {
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_thread_cpu_ns(void) {
    struct timespec time = read_clock(CLOCK_THREAD_CPUTIME_ID);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
