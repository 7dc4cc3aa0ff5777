#include "worker/deadlines.h"

#include "io/clock.h"
#include "worker/blocking.h"
#include "worker/quorum_gate.h"

#define US_PER_MS 1000

int64_t deadline_us_in(int64_t timeout_ms) {
    int64_t timeout_us = 0;
    int64_t due_us = 0;
    if (timeout_ms == 0 || __builtin_mul_overflow(timeout_ms, US_PER_MS, &timeout_us) ||
        __builtin_add_overflow(clock_monotonic_us(), timeout_us, &due_us)) {
        return DEADLINE_NEVER;
    }
    return due_us;
}

static void is_over(void *context) {
    struct worker *worker = context;
    worker->deadline_is_over = true;
}

static void start(struct worker *worker, int64_t due_us) {
    int64_t wait_us = due_us - clock_monotonic_us();
    int64_t wait_ms = wait_us <= 0 ? 0 : (wait_us + US_PER_MS - 1) / US_PER_MS;
    worker->deadline_us = due_us;
    loop_timer_start(worker->loop, &worker->deadline_timer,
                     (uint64_t)(wait_ms < DEADLINES_PERIOD_MS ? DEADLINES_PERIOD_MS : wait_ms), 0,
                     is_over, worker);
}

void deadlines_add(struct worker *worker, int64_t due_us) {
    if (due_us != DEADLINE_NEVER &&
        (!loop_timer_is_running(&worker->deadline_timer) || due_us < worker->deadline_us)) {
        start(worker, due_us);
    }
}

void deadlines_step(struct worker *worker) {
    if (UNLIKELY(worker->deadline_is_over)) {
        worker->deadline_is_over = false;
        deadlines_add(worker, quorum_gate_next_due_us(worker));
        deadlines_add(worker, blocking_next_due_us(worker));
    }
}
