#include "tests/history/history.h"

#include "tests/unit/unit.h"

#include "base/random.h"

#define WRITE(v, from, to)                                                                         \
    { .value = (v), .began = (from), .ended = (to), .is_write = true }
#define READ(v, from, to)                                                                          \
    { .value = (v), .began = (from), .ended = (to) }
#define UNKNOWN(v, from)                                                                           \
    { .value = (v), .began = (from), .is_write = true, .is_unknown = true }

#define OPERATIONS_MAX 6

static const char *problem(struct history_operation *operations, size_t count) {
    const char *text = history_check(operations, count).problem;
    return text == NULL ? "" : text;
}

#define PROBLEM(...)                                                                               \
    problem((struct history_operation[]){__VA_ARGS__},                                             \
            sizeof((struct history_operation[]){__VA_ARGS__}) / sizeof(struct history_operation))

START_TEST(one_after_the_other_is_fine) {
    ck_assert_str_eq(PROBLEM(READ(HISTORY_NOTHING, 0, 1), WRITE(1, 2, 3), READ(1, 4, 5),
                             WRITE(2, 6, 7), READ(2, 8, 9)),
                     "");
}
END_TEST

START_TEST(what_runs_at_once_may_be_seen_or_not) {
    ck_assert_str_eq(PROBLEM(WRITE(1, 0, 1), WRITE(2, 2, 9), READ(1, 3, 4), READ(2, 5, 6)), "");
    ck_assert_str_ne(PROBLEM(WRITE(1, 0, 1), WRITE(2, 2, 9), READ(2, 3, 4), READ(1, 5, 6)), "");
}
END_TEST

START_TEST(an_acknowledged_write_that_is_not_seen_is_lost) {
    ck_assert_str_ne(PROBLEM(WRITE(1, 0, 1), READ(HISTORY_NOTHING, 2, 3)), "");
    ck_assert_str_ne(PROBLEM(WRITE(1, 0, 1), WRITE(2, 2, 3), READ(1, 4, 5)), "");
}
END_TEST

START_TEST(what_may_have_been_written_may_be_seen_late_or_never_but_does_not_go_again) {
    ck_assert_str_eq(PROBLEM(WRITE(1, 0, 1), UNKNOWN(2, 2), READ(1, 8, 9)), "");
    ck_assert_str_eq(PROBLEM(WRITE(1, 0, 1), UNKNOWN(2, 2), READ(1, 3, 4), READ(2, 8, 9)), "");
    ck_assert_str_ne(PROBLEM(WRITE(1, 0, 1), UNKNOWN(2, 2), READ(2, 3, 4), READ(1, 8, 9)), "");
}
END_TEST

START_TEST(nothing_comes_from_nowhere) {
    ck_assert_str_eq(PROBLEM(READ(1, 0, 1)), "was read, but nobody has written it");
    ck_assert_str_eq(PROBLEM(READ(1, 0, 1), WRITE(1, 2, 3)), "was read before it was written");
    ck_assert_str_eq(PROBLEM(WRITE(1, 0, 1), WRITE(1, 2, 3)), "was written twice");
}
END_TEST

/* ---- against all orders there are ---- */

struct search {
    const struct history_operation *operations;
    size_t count;
};

/* Whether the operations that are left can be put in an order behind those that are not. */
static bool can_be_ordered(const struct search *search, unsigned left, uint64_t value) {
    bool needs_more = false;
    for (size_t i = 0; i < search->count; i++) {
        needs_more = needs_more || ((left >> i & 1) != 0 && !search->operations[i].is_unknown);
    }
    if (!needs_more) {
        return true;
    }
    for (size_t i = 0; i < search->count; i++) {
        const struct history_operation *next = &search->operations[i];
        bool is_first = (left >> i & 1) != 0 && (next->is_write || next->value == value);
        for (size_t j = 0; is_first && j < search->count; j++) {
            const struct history_operation *other = &search->operations[j];
            is_first = (left >> j & 1) == 0 || other->is_unknown || other->ended >= next->began;
        }
        if (is_first && can_be_ordered(search, left & ~(1U << i), next->value)) {
            return true;
        }
    }
    return false;
}

static size_t random_history(struct random *random, struct history_operation *operations) {
    size_t count = 1 + random_below(random, OPERATIONS_MAX);
    uint64_t values = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_write = random_below(random, 2) == 0;
        uint64_t value = is_write ? values++ : random_below(random, 3);
        int64_t began = (int64_t)random_below(random, 12);
        operations[i] = (struct history_operation){
            .value = !is_write && value == 2 ? HISTORY_NOTHING : value,
            .began = began,
            .ended = began + (int64_t)random_below(random, 6),
            .is_write = is_write,
            .is_unknown = is_write && random_below(random, 4) == 0,
        };
    }
    return count;
}

START_TEST(the_verdict_is_that_of_trying_all_orders) {
    struct random random;
    random_seed(&random, 1);
    size_t fine = 0;
    for (int i = 0; i < 200000; i++) {
        struct history_operation operations[OPERATIONS_MAX];
        size_t count = random_history(&random, operations);
        struct search search = {.operations = operations, .count = count};
        bool expected = can_be_ordered(&search, (1U << count) - 1, HISTORY_NOTHING);
        fine += expected;
        ck_assert_int_eq(history_check(operations, count).problem == NULL, expected);
    }
    ck_assert_uint_gt(fine, 20000);
    ck_assert_uint_lt(fine, 180000);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        one_after_the_other_is_fine,
        what_runs_at_once_may_be_seen_or_not,
        an_acknowledged_write_that_is_not_seen_is_lost,
        what_may_have_been_written_may_be_seen_late_or_never_but_does_not_go_again,
        nothing_comes_from_nowhere,
        the_verdict_is_that_of_trying_all_orders,
    };
    return unit_run(unit_suite("history", tests, UNIT_COUNT(tests)));
}
