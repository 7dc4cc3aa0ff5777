/* Rates and peaks. */
#include "server/figures.h"
#include "tests/unit/unit.h"
#include "worker/worker.h"

#define PERIOD_US 100000

/* A node with one worker, of which only the published counters count. */
struct fixture {
    struct node *node;
    struct store_options *store_options;
    struct worker *worker;
};

static struct fixture make(void) {
    struct fixture fixture = {
        .node = calloc(1, sizeof(struct node)),
        .store_options = calloc(1, sizeof(struct store_options)),
        .worker = aligned_alloc(MAILBOX_ALIGNMENT, sizeof(struct worker)),
    };
    memset(fixture.worker, 0, sizeof(struct worker));
    fixture.node->worker_count = 1;
    fixture.node->store_options = fixture.store_options;
    fixture.node->workers[0] = fixture.worker;
    return fixture;
}

static void drop(struct fixture *fixture) {
    free(fixture->node);
    free(fixture->store_options);
    free(fixture->worker);
}

START_TEST(a_rate_is_the_mean_of_the_last_samples) {
    struct fixture fixture = make();
    struct figures_samples samples = {.last_us = 0};
    int64_t now_us = 1;
    figures_sample(&samples, fixture.node, now_us);
    for (uint64_t i = 1; i <= 2 * FIGURES_RATE_SAMPLES; i++) {
        now_us += PERIOD_US;
        atomic_store(&fixture.worker->commands_seen, 50 * i);
        figures_sample(&samples, fixture.node, now_us);
    }
    ck_assert_uint_eq(figures_rate(&samples.commands), 500);
    for (uint64_t i = 1; i <= FIGURES_RATE_SAMPLES; i++) {
        now_us += PERIOD_US;
        figures_sample(&samples, fixture.node, now_us);
    }
    ck_assert_uint_eq(figures_rate(&samples.commands), 0);
    drop(&fixture);
}
END_TEST

START_TEST(a_counter_that_was_reset_gives_no_rate) {
    struct fixture fixture = make();
    struct figures_samples samples = {.last_us = 0};
    figures_sample(&samples, fixture.node, 1);
    atomic_store(&fixture.worker->commands_seen, 1600);
    figures_sample(&samples, fixture.node, 1 + PERIOD_US);
    uint64_t before = figures_rate(&samples.commands);
    ck_assert_uint_eq(before, 1000);
    atomic_store(&fixture.worker->commands_seen, 3);
    figures_sample(&samples, fixture.node, 1 + 2 * PERIOD_US);
    ck_assert_uint_eq(figures_rate(&samples.commands), before);
    drop(&fixture);
}
END_TEST

START_TEST(the_peak_outlives_a_reset) {
    struct figures_samples samples = {.last_us = 0};
    figures_note_memory(&samples, 1000);
    figures_note_memory(&samples, 10);
    figures_reset(&samples);
    ck_assert_uint_eq(samples.memory_peak_bytes, 1000);
}
END_TEST

START_TEST(the_time_over_maxmemory_is_summed) {
    struct fixture fixture = make();
    struct figures_samples samples = {.last_us = 0};
    fixture.store_options->maxmemory = 100;
    static const uint64_t used[] = {50, 101, 200, 100, 150, 1, 300};
    for (size_t i = 0; i < UNIT_COUNT(used); i++) {
        atomic_store(&fixture.node->memory_other_bytes, used[i]);
        figures_sample(&samples, fixture.node, (int64_t)(i + 1) * PERIOD_US);
    }
    ck_assert_uint_eq(samples.over_us, 3 * PERIOD_US);
    ck_assert_int_eq(samples.over_since_us, UNIT_COUNT(used) * PERIOD_US);
    atomic_store(&fixture.node->memory_log_bytes, 200); /* Which goes by itself. */
    figures_sample(&samples, fixture.node, (UNIT_COUNT(used) + 1) * PERIOD_US);
    ck_assert_uint_eq(samples.over_us, 4 * PERIOD_US);
    fixture.store_options->maxmemory = 0;
    figures_sample(&samples, fixture.node, (UNIT_COUNT(used) + 2) * PERIOD_US);
    ck_assert_uint_eq(samples.over_us, 4 * PERIOD_US);
    ck_assert_int_eq(samples.over_since_us, 0);
    drop(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_rate_is_the_mean_of_the_last_samples,
        a_counter_that_was_reset_gives_no_rate,
        the_peak_outlives_a_reset,
        the_time_over_maxmemory_is_summed,
    };
    return unit_run(unit_suite("figures", tests, UNIT_COUNT(tests)));
}
