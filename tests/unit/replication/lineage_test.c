#include "replication/lineage.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

static struct history history_of(unsigned char name) {
    return (struct history){.epoch = name, .id = {name}};
}

static void add(struct lineage *lineage, unsigned char name, uint64_t position) {
    struct history history = history_of(name);
    lineage_add(lineage, &history, position);
}

static void expect_common(struct lineage_log one, struct lineage_log other, unsigned char name,
                          uint64_t position) {
    struct history wanted = history_of(name);
    struct lineage_part common;
    ck_assert(lineage_common(&one, &other, &common));
    ck_assert(history_equal(&common.history, &wanted));
    ck_assert_uint_eq(common.position, position);
    ck_assert(lineage_common(&other, &one, &common));
    ck_assert(history_equal(&common.history, &wanted));
    ck_assert_uint_eq(common.position, position);
}

START_TEST(logs_agree_up_to_the_fork) {
    struct lineage one = {0};
    add(&one, 1, 0);
    add(&one, 2, 700);
    struct lineage other = {0};
    add(&other, 1, 0);
    struct lineage_log log = {.lineage = &one, .end = 1000};
    expect_common(log, (struct lineage_log){.lineage = &other, .end = 900}, 1, 700);
    expect_common(log, (struct lineage_log){.lineage = &other, .end = 700}, 1, 700);
    expect_common(log, (struct lineage_log){.lineage = &other, .end = 300}, 1, 300);
    add(&other, 3, 800);
    expect_common(log, (struct lineage_log){.lineage = &other, .end = 900}, 1, 700);
}
END_TEST

START_TEST(logs_of_one_history_agree_up_to_the_shorter_end) {
    struct lineage one = {0};
    add(&one, 1, 0);
    add(&one, 2, 700);
    struct lineage other = {0};
    add(&other, 2, 700);
    expect_common((struct lineage_log){.lineage = &one, .end = 1000},
                  (struct lineage_log){.lineage = &other, .end = 800}, 2, 800);
}
END_TEST

START_TEST(strangers_have_nothing_in_common) {
    struct lineage one = {0};
    add(&one, 1, 0);
    struct lineage other = {0};
    struct lineage_part common;
    struct lineage_log log = {.lineage = &one, .end = 10};
    struct lineage_log stranger = {.lineage = &other, .end = 10};
    ck_assert(!lineage_common(&log, &stranger, &common));
    add(&other, 2, 0);
    ck_assert(!lineage_common(&log, &stranger, &common));
}
END_TEST

START_TEST(log_that_began_behind_the_end_of_another_has_nothing_in_common_with_it) {
    struct lineage one = {0};
    add(&one, 1, 0);
    add(&one, 2, 700);
    struct lineage other = {0};
    add(&other, 1, 900);
    struct lineage_part common;
    struct lineage_log log = {.lineage = &one, .end = 1000};
    struct lineage_log later = {.lineage = &other, .end = 950};
    ck_assert(!lineage_common(&log, &later, &common));
    ck_assert(!lineage_common(&later, &log, &common));
}
END_TEST

START_TEST(next_history_is_told_where_it_begins) {
    struct lineage lineage = {0};
    add(&lineage, 1, 0);
    add(&lineage, 2, 50);
    add(&lineage, 3, 50);
    struct history first = history_of(1);
    struct history second = history_of(2);
    struct history third = history_of(3);
    ck_assert_ptr_null(lineage_next(&lineage, &first, 49));
    ck_assert(history_equal(&lineage_next(&lineage, &first, 50)->history, &second));
    ck_assert(history_equal(&lineage_next(&lineage, &second, 50)->history, &third));
    ck_assert_ptr_null(lineage_next(&lineage, &third, 99));
    lineage_cut(&lineage, &second);
    struct history current = lineage_current(&lineage);
    ck_assert(history_equal(&current, &second));
}
END_TEST

START_TEST(oldest_histories_are_forgotten_first) {
    struct lineage *lineage = memory_alloc_zeroed(sizeof(*lineage));
    for (uint64_t i = 0; i < LINEAGE_PARTS_MAX + 3; i++) {
        lineage_add(lineage, &(struct history){.epoch = i}, i);
    }
    ck_assert_uint_eq(lineage->count, LINEAGE_PARTS_MAX);
    ck_assert_uint_eq(lineage->parts[0].position, 3);
    ck_assert_uint_eq(lineage_current(lineage).epoch, LINEAGE_PARTS_MAX + 2);
    memory_free(lineage);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        log_that_began_behind_the_end_of_another_has_nothing_in_common_with_it,
        logs_agree_up_to_the_fork,
        logs_of_one_history_agree_up_to_the_shorter_end,
        strangers_have_nothing_in_common,
        next_history_is_told_where_it_begins,
        oldest_histories_are_forgotten_first,
    };
    return unit_run(unit_suite("lineage", tests, UNIT_COUNT(tests)));
}
