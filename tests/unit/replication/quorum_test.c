#include "replication/quorum.h"

#include "tests/unit/unit.h"

static void count_progress(void *context) {
    int *count = context;
    (*count)++;
}

static void report(struct quorum *quorum, uint32_t member, uint64_t written, uint64_t synced) {
    struct quorum_member state = {.is_connected = true, .written = written, .synced = synced};
    quorum_report(quorum, member, &state);
}

static void leave(struct quorum *quorum, uint32_t member) {
    quorum_report(quorum, member, &(struct quorum_member){0});
}

START_TEST(nobody_holds_anything_at_first_and_no_replica_is_asked_for_nothing) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    ck_assert(quorum_is_primary(&quorum));
    ck_assert_uint_eq(quorum_position(&quorum, 0, false), UINT64_MAX);
    ck_assert_uint_eq(quorum_position(&quorum, 1, false), 0);
    ck_assert_uint_eq(quorum_position(&quorum, QUORUM_MEMBERS_MAX, true), 0);
    ck_assert_uint_eq(quorum_position(&quorum, QUORUM_MEMBERS_MAX + 1, true), 0);
    ck_assert_uint_eq(quorum_count(&quorum, 0, false), 0);
    ck_assert_int_eq(quorum_heard_ms(&quorum, 1), QUORUM_NEVER_HEARD);
    ck_assert_int_eq(quorum_heard_ms(&quorum, QUORUM_MEMBERS_MAX + 1), QUORUM_NEVER_HEARD);
    ck_assert_int_eq(quorum_heard_ms(&quorum, 0), INT64_MAX);
}
END_TEST

START_TEST(n_replicas_hold_the_nth_position_from_above) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    report(&quorum, 4, 100, 90);
    report(&quorum, 0, 300, 0);
    report(&quorum, 9, 200, 150);
    ck_assert_uint_eq(quorum_position(&quorum, 1, false), 300);
    ck_assert_uint_eq(quorum_position(&quorum, 2, false), 200);
    ck_assert_uint_eq(quorum_position(&quorum, 3, false), 100);
    ck_assert_uint_eq(quorum_position(&quorum, 4, false), 0);
    ck_assert_uint_eq(quorum_position(&quorum, 1, true), 150);
    ck_assert_uint_eq(quorum_position(&quorum, 2, true), 90);
    ck_assert_uint_eq(quorum_position(&quorum, 3, true), 0);
    ck_assert_uint_eq(quorum_count(&quorum, 0, true), 3);
    ck_assert_uint_eq(quorum_count(&quorum, 200, false), 2);
    ck_assert_uint_eq(quorum_count(&quorum, 201, false), 1);
    ck_assert_uint_eq(quorum_count(&quorum, 301, false), 0);
}
END_TEST

START_TEST(only_peers_count_for_replies_that_wait) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    const unsigned char peers[1][QUORUM_NODE_ID_BYTES] = {{7}};
    report(&quorum, 0, 300, 300);
    struct quorum_member peer = {.is_connected = true, .written = 200, .node_id = {7}};
    quorum_report(&quorum, 1, &peer);
    ck_assert_uint_eq(quorum_position(&quorum, 1, false), 300);
    quorum_set_peers(&quorum, peers, 1);
    ck_assert_uint_eq(quorum_position(&quorum, 1, false), 200);
    ck_assert_uint_eq(quorum_position(&quorum, 2, false), 0);
    ck_assert_uint_eq(quorum_count(&quorum, 200, false), 2);
    ck_assert_uint_eq(quorum_connected(&quorum), 2);
    quorum_set_peers(&quorum, NULL, 0);
    ck_assert_uint_eq(quorum_position(&quorum, 1, false), 0);
    ck_assert_uint_eq(quorum_position(&quorum, 0, false), UINT64_MAX);
}
END_TEST

START_TEST(a_replica_that_leaves_takes_its_position_with_it) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    report(&quorum, 0, 300, 300);
    report(&quorum, 1, 200, 200);
    leave(&quorum, 0);
    ck_assert_uint_eq(quorum_connected(&quorum), 1);
    ck_assert_uint_eq(quorum_position(&quorum, 1, false), 200);
    ck_assert_uint_eq(quorum_position(&quorum, 2, false), 0);
    leave(&quorum, 1);
    ck_assert_uint_eq(quorum_connected(&quorum), 0);
    ck_assert_uint_eq(quorum_position(&quorum, 1, true), 0);
}
END_TEST

START_TEST(all_members_that_there_may_be_are_counted) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    for (uint32_t i = 0; i < QUORUM_MEMBERS_MAX; i++) {
        report(&quorum, i, 1000 + i * 7 % QUORUM_MEMBERS_MAX, 0);
    }
    ck_assert_uint_eq(quorum_connected(&quorum), QUORUM_MEMBERS_MAX);
    for (uint32_t n = 1; n <= QUORUM_MEMBERS_MAX; n++) {
        ck_assert_uint_eq(quorum_position(&quorum, n, false), 1000 + QUORUM_MEMBERS_MAX - n);
    }
    ck_assert_uint_eq(quorum_count(&quorum, 1000, false), QUORUM_MEMBERS_MAX);
}
END_TEST

START_TEST(those_who_wait_are_woken_when_something_has_changed) {
    struct quorum quorum;
    int count = 0;
    quorum_init(&quorum, count_progress, &count);
    report(&quorum, 0, 10, 5);
    ck_assert_int_eq(count, 1);
    report(&quorum, 0, 10, 5);
    ck_assert_int_eq(count, 1);
    report(&quorum, 0, 10, 6);
    ck_assert_int_eq(count, 2);
    report(&quorum, 1, 0, 0); /* Only their number. */
    ck_assert_int_eq(count, 3);
    quorum_set_primary(&quorum, false);
    ck_assert_int_eq(count, 4);
    ck_assert(!quorum_is_primary(&quorum));
}
END_TEST

START_TEST(who_was_heard_lately_is_counted_by_time) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    const int64_t heard_ms[] = {500, 900, 700};
    for (uint32_t i = 0; i < UNIT_COUNT(heard_ms); i++) {
        struct quorum_member state = {.is_connected = true, .heard_ms = heard_ms[i]};
        quorum_report(&quorum, i, &state);
    }
    ck_assert_int_eq(quorum_heard_ms(&quorum, 1), 900);
    ck_assert_int_eq(quorum_heard_ms(&quorum, 2), 700);
    ck_assert_int_eq(quorum_heard_ms(&quorum, 3), 500);
    ck_assert_int_eq(quorum_heard_ms(&quorum, 4), QUORUM_NEVER_HEARD);
    ck_assert_uint_eq(quorum_heard_since(&quorum, 700), 2);
    ck_assert_uint_eq(quorum_heard_since(&quorum, 701), 1);
    ck_assert_uint_eq(quorum_heard_since(&quorum, INT64_MIN), 3);
}
END_TEST

START_TEST(it_is_awaited_while_anybody_waits) {
    struct quorum quorum;
    quorum_init(&quorum, NULL, NULL);
    quorum_await_begin(&quorum);
    quorum_await_begin(&quorum);
    quorum_await_end(&quorum);
    ck_assert(quorum_is_awaited(&quorum));
    quorum_await_end(&quorum);
    ck_assert(!quorum_is_awaited(&quorum));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        nobody_holds_anything_at_first_and_no_replica_is_asked_for_nothing,
        n_replicas_hold_the_nth_position_from_above,
        only_peers_count_for_replies_that_wait,
        a_replica_that_leaves_takes_its_position_with_it,
        all_members_that_there_may_be_are_counted,
        those_who_wait_are_woken_when_something_has_changed,
        who_was_heard_lately_is_counted_by_time,
        it_is_awaited_while_anybody_waits,
    };
    return unit_run(unit_suite("quorum", tests, UNIT_COUNT(tests)));
}
