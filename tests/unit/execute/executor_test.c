#include "execute/executor.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#define RUN_US 7

/* Each look at the clock is RUN_US later than the one before; looks are counted. */
static int64_t clock_looks;

static int64_t clock_us(void) {
    clock_looks++;
    return 1000 + clock_looks * RUN_US;
}

static void answer_ok(struct call *call) {
    call->changes += 2;
    reply_ok(call->reply);
}

static void answer_error(struct call *call) {
    reply_error(call->reply, "WRONGTYPE of a value");
}

static void answer_word(struct call *call) {
    reply_error(call->reply, "WORD");
}

static const struct command rows[] = {
    {.name = "fast", .arity = 1, .flags = COMMAND_FAST, .run = answer_ok},
    {.name = "sampled", .arity = 1, .flags = COMMAND_SAMPLED, .run = answer_ok},
    {.name = "slow", .arity = 1, .run = answer_ok},
    {.name = "wrong", .arity = 1, .run = answer_error},
    {.name = "word", .arity = 1, .run = answer_word},
    {.name = NULL},
};

struct fixture {
    struct command_table *table;
    struct executor executor;
    struct reply reply;
};

static void open_fixture(struct fixture *fixture) {
    static const struct command *const families[] = {rows};
    *fixture = (struct fixture){.table = command_table_new(families, 1)};
    clock_looks = 0;
    executor_init(&fixture->executor, fixture->table, clock_us);
    reply_init(&fixture->reply, 2);
}

static void close_fixture(struct fixture *fixture) {
    executor_free(&fixture->executor);
    command_table_free(fixture->table);
    reply_free(&fixture->reply);
}

static const struct command_slot *slot_named(const struct fixture *fixture, const char *name) {
    return command_table_find(fixture->table, span_of_string(name));
}

static const struct command_statistics *statistics_of(const struct fixture *fixture,
                                                      const char *name) {
    return &fixture->executor.statistics[slot_named(fixture, name)->number];
}

/* Answers what executor_end() does. */
static int64_t run(struct fixture *fixture, const char *name) {
    const struct command_slot *slot = slot_named(fixture, name);
    struct call call = {
        .environment = &fixture->executor.environment,
        .command = slot->command,
        .reply = &fixture->reply,
    };
    struct execution_timer timer = executor_begin(&fixture->executor, slot, &fixture->reply);
    executor_run(&fixture->executor, &call);
    return executor_end(&fixture->executor, slot, &fixture->reply, &timer);
}

START_TEST(a_run_counts_the_call_and_its_changes) {
    struct fixture fixture;
    open_fixture(&fixture);
    run(&fixture, "slow");
    run(&fixture, "slow");
    run(&fixture, "fast");
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->calls, 2);
    ck_assert_uint_eq(statistics_of(&fixture, "fast")->calls, 1);
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->failed, 0);
    ck_assert_uint_eq(fixture.executor.commands_processed, 3);
    ck_assert_uint_eq(fixture.executor.changes, 6);
    ck_assert_uint_eq(fixture.executor.error_replies, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(an_error_is_counted_for_its_command_and_by_its_first_word) {
    struct fixture fixture;
    open_fixture(&fixture);
    run(&fixture, "wrong");
    run(&fixture, "slow"); /* Its reply stands behind an error, and is none. */
    run(&fixture, "wrong");
    run(&fixture, "word");
    ck_assert_uint_eq(statistics_of(&fixture, "wrong")->failed, 2);
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->failed, 0);
    const struct executor *executor = &fixture.executor;
    ck_assert_uint_eq(executor->error_replies, 3);
    ck_assert_uint_eq(executor->errors_count, 2);
    ck_assert_str_eq(executor->errors[0].code, "WRONGTYPE");
    ck_assert_uint_eq(executor->errors[0].count, 2);
    ck_assert_str_eq(executor->errors[1].code, "ERR"); /* A text without a blank has no code. */
    ck_assert_uint_eq(executor->errors[1].count, 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(what_looks_like_an_error_and_is_none_is_not_counted) {
    struct fixture fixture;
    open_fixture(&fixture);
    const struct command_slot *slot = slot_named(&fixture, "wrong");
    struct execution_timer timer = executor_begin(&fixture.executor, slot, &fixture.reply);
    reply_error(&fixture.reply, "ERR an example");
    timer.ignores_error = true;
    executor_end(&fixture.executor, slot, &fixture.reply, &timer);
    ck_assert_uint_eq(statistics_of(&fixture, "wrong")->calls, 1);
    ck_assert_uint_eq(statistics_of(&fixture, "wrong")->failed, 0);
    ck_assert_uint_eq(fixture.executor.error_replies, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_text_without_a_code_that_the_table_can_hold_counts_as_ERR) {
    struct fixture fixture;
    open_fixture(&fixture);
    const size_t longest = EXECUTOR_ERROR_CODE_BYTES_MAX - 2;
    char text[EXECUTOR_ERROR_CODE_BYTES_MAX];
    memset(text, 'X', sizeof(text));
    text[longest] = ' ';
    executor_count_error(&fixture.executor, span_of(text, sizeof(text)));
    text[longest] = 'X';
    text[longest + 1] = ' ';
    executor_count_error(&fixture.executor, span_of(text, sizeof(text)));
    executor_count_error(&fixture.executor, span_of(text, longest));
    executor_count_error(&fixture.executor, span_of_string(""));
    executor_count_error(&fixture.executor, span_of_string("ERR with a code"));
    executor_count_error(&fixture.executor, span_of_string(" with an empty one"));
    const struct executor *executor = &fixture.executor;
    ck_assert_uint_eq(executor->errors_count, 3);
    ck_assert_uint_eq(strlen(executor->errors[0].code), longest);
    ck_assert_uint_eq(executor->errors[0].count, 1);
    ck_assert_str_eq(executor->errors[1].code, "ERR");
    ck_assert_uint_eq(executor->errors[1].count, 4);
    ck_assert_str_eq(executor->errors[2].code, "");
    close_fixture(&fixture);
}
END_TEST

START_TEST(words_beyond_the_tables_room_are_counted_in_the_sum_only) {
    struct fixture fixture;
    open_fixture(&fixture);
    for (int i = 0; i < EXECUTOR_ERROR_CODES_MAX + 10; i++) {
        char text[32];
        snprintf(text, sizeof(text), "CODE%d of many", i);
        executor_count_error(&fixture.executor, span_of_string(text));
    }
    const struct executor *executor = &fixture.executor;
    ck_assert_uint_eq(executor->errors_count, EXECUTOR_ERROR_CODES_MAX);
    ck_assert_uint_eq(executor->error_replies, EXECUTOR_ERROR_CODES_MAX + 10);
    executor_count_error(&fixture.executor, span_of_string("CODE0 again"));
    ck_assert_uint_eq(executor->errors[0].count, 2);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_command_that_may_be_slow_is_timed_each_time) {
    struct fixture fixture;
    open_fixture(&fixture);
    for (uint64_t i = 1; i <= 2 * EXECUTOR_SAMPLE; i++) {
        ck_assert_int_eq(run(&fixture, "slow"), RUN_US);
        ck_assert_uint_eq(statistics_of(&fixture, "slow")->timed_calls, i);
    }
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->duration_us, 2 * EXECUTOR_SAMPLE * RUN_US);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_fast_command_is_timed_first_and_then_once_in_a_sample_with_its_weight) {
    static const char *const names[] = {"fast", "sampled"};
    for (size_t k = 0; k < UNIT_COUNT(names); k++) {
        struct fixture fixture;
        open_fixture(&fixture);
        ck_assert_int_eq(run(&fixture, names[k]), RUN_US);
        const struct command_statistics *statistics = statistics_of(&fixture, names[k]);
        ck_assert_uint_eq(statistics->timed_calls, 1);
        int timed = 0;
        for (int i = 0; i < 10 * EXECUTOR_SAMPLE; i++) {
            timed += run(&fixture, names[k]) != 0;
        }
        ck_assert_int_eq(timed, 10);
        ck_assert_uint_eq(statistics->timed_calls, 1 + 10 * EXECUTOR_SAMPLE);
        ck_assert_uint_eq(statistics->duration_us, RUN_US * statistics->timed_calls);
        ck_assert_int_eq(clock_looks, 2 * 11);
        close_fixture(&fixture);
    }
}
END_TEST

START_TEST(everything_is_timed_when_the_server_asks_for_it) {
    struct fixture fixture;
    open_fixture(&fixture);
    fixture.executor.times_all = true;
    for (int i = 0; i < 2 * EXECUTOR_SAMPLE; i++) {
        ck_assert_int_eq(run(&fixture, "fast"), RUN_US);
    }
    ck_assert_uint_eq(statistics_of(&fixture, "fast")->timed_calls, 2 * EXECUTOR_SAMPLE);
    close_fixture(&fixture);
}
END_TEST

START_TEST(durations_have_a_histogram_while_latency_is_tracked) {
    struct fixture fixture;
    open_fixture(&fixture);
    fixture.executor.tracks_latency = false;
    run(&fixture, "slow");
    ck_assert_ptr_null(statistics_of(&fixture, "slow")->durations_ns);
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->duration_us, RUN_US);
    fixture.executor.tracks_latency = true;
    run(&fixture, "slow");
    const struct histogram *durations = statistics_of(&fixture, "slow")->durations_ns;
    ck_assert_uint_eq(durations->total, 1);
    ck_assert_uint_eq(durations->max, RUN_US * 1000);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_session_command_is_counted_and_timed_like_a_call) {
    struct fixture fixture;
    open_fixture(&fixture);
    const struct command_slot *slot = slot_named(&fixture, "slow");
    reply_ok(&fixture.reply);
    struct execution_timer timer = executor_begin(&fixture.executor, slot, &fixture.reply);
    reply_error(&fixture.reply, "ERR of a session");
    ck_assert_int_eq(executor_end(&fixture.executor, slot, &fixture.reply, &timer), RUN_US);
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->calls, 1);
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->failed, 1);
    ck_assert_str_eq(fixture.executor.errors[0].code, "ERR");
    /* One that answers nothing has not failed. */
    timer = executor_begin(&fixture.executor, slot, &fixture.reply);
    executor_end(&fixture.executor, slot, &fixture.reply, &timer);
    ck_assert_uint_eq(statistics_of(&fixture, "slow")->failed, 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_reset_forgets_all_but_the_changes) {
    struct fixture fixture;
    open_fixture(&fixture);
    run(&fixture, "slow");
    run(&fixture, "wrong");
    executor_reset_statistics(&fixture.executor);
    const struct command_statistics *statistics = statistics_of(&fixture, "slow");
    ck_assert_uint_eq(statistics->calls + statistics->timed_calls + statistics->duration_us, 0);
    ck_assert_ptr_null(statistics->durations_ns);
    ck_assert_uint_eq(statistics_of(&fixture, "wrong")->failed, 0);
    ck_assert_uint_eq(fixture.executor.commands_processed, 0);
    ck_assert_uint_eq(fixture.executor.error_replies, 0);
    ck_assert_uint_eq(fixture.executor.errors_count, 0);
    ck_assert_uint_eq(fixture.executor.changes, 2);
    run(&fixture, "word");
    ck_assert_str_eq(fixture.executor.errors[0].code, "ERR");
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_run_counts_the_call_and_its_changes,
        an_error_is_counted_for_its_command_and_by_its_first_word,
        what_looks_like_an_error_and_is_none_is_not_counted,
        a_text_without_a_code_that_the_table_can_hold_counts_as_ERR,
        words_beyond_the_tables_room_are_counted_in_the_sum_only,
        a_command_that_may_be_slow_is_timed_each_time,
        a_fast_command_is_timed_first_and_then_once_in_a_sample_with_its_weight,
        everything_is_timed_when_the_server_asks_for_it,
        durations_have_a_histogram_while_latency_is_tracked,
        a_session_command_is_counted_and_timed_like_a_call,
        a_reset_forgets_all_but_the_changes,
    };
    return unit_run(unit_suite("executor", tests, UNIT_COUNT(tests)));
}
