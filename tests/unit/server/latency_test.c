/* Latency events: samples per second, and their bounds. */
#include "server/latency.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct latency_event read_event(struct latency *latency, const char *name) {
    struct latency_event event;
    ck_assert(latency_read(latency, span_of_string(name), &event));
    return event;
}

START_TEST(a_second_keeps_its_longest_event) {
    struct latency latency;
    latency_init(&latency);
    latency_note(&latency, "command", 100, 20);
    latency_note(&latency, "command", 100, 50);
    latency_note(&latency, "command", 100, 30);
    latency_note(&latency, "command", 101, 25);
    struct latency_event event = read_event(&latency, "command");
    ck_assert_uint_eq(event.count, 2);
    ck_assert_int_eq(latency_sample_at(&event, 0)->duration_ms, 50);
    ck_assert_int_eq(latency_sample_at(&event, 1)->duration_ms, 25);
    ck_assert_int_eq(event.max_ms, 50);
    latency_free(&latency);
}
END_TEST

START_TEST(only_the_last_samples_are_kept) {
    struct latency latency;
    latency_init(&latency);
    latency_note(&latency, "command", 0, 1000);
    for (int64_t second = 1; second <= LATENCY_SAMPLES_MAX; second++) {
        latency_note(&latency, "command", second, second);
    }
    struct latency_event event = read_event(&latency, "command");
    ck_assert_uint_eq(event.count, LATENCY_SAMPLES_MAX);
    ck_assert_int_eq(latency_sample_at(&event, 0)->second, 1);
    ck_assert_int_eq(latency_sample_at(&event, event.count - 1)->second, LATENCY_SAMPLES_MAX);
    ck_assert_int_eq(event.max_ms, 1000);
    latency_free(&latency);
}
END_TEST

START_TEST(events_beyond_the_bound_are_left_out) {
    struct latency latency;
    struct latency_event event;
    latency_init(&latency);
    for (int i = 0; i <= LATENCY_EVENTS_MAX; i++) {
        char name[LATENCY_NAME_BYTES_MAX];
        snprintf(name, sizeof(name), "event-%d", i);
        latency_note(&latency, name, 1, 1);
    }
    ck_assert(latency_read_at(&latency, LATENCY_EVENTS_MAX - 1, &event));
    ck_assert(!latency_read_at(&latency, LATENCY_EVENTS_MAX, &event));
    latency_free(&latency);
}
END_TEST

START_TEST(what_was_reset_is_gone) {
    struct latency latency;
    struct latency_event event;
    latency_init(&latency);
    latency_note(&latency, "a", 1, 1);
    latency_note(&latency, "b", 1, 1);
    latency_note(&latency, "c", 1, 1);
    ck_assert(latency_reset(&latency, span_of_string("a")));
    ck_assert(!latency_reset(&latency, span_of_string("a")));
    ck_assert(!latency_read(&latency, span_of_string("a"), &event));
    ck_assert(latency_read(&latency, span_of_string("c"), &event));
    ck_assert_uint_eq(latency_reset_all(&latency), 2);
    ck_assert(!latency_read_at(&latency, 0, &event));
    latency_free(&latency);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_second_keeps_its_longest_event,
        only_the_last_samples_are_kept,
        events_beyond_the_bound_are_left_out,
        what_was_reset_is_gone,
    };
    return unit_run(unit_suite("latency", tests, UNIT_COUNT(tests)));
}
