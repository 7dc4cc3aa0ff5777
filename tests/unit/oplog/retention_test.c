#include "oplog/retention.h"

#include "base/memory.h"
#include "tests/unit/oplog/place.h"

/* A segment each 1000 bytes and second, up to 10000 and 10 s; nobody needs anything. */
static const struct oplog_segment segments[] = {
    {0, 500},     {1000, 1000}, {2000, 2000}, {3000, 3000}, {4000, 4000},
    {5000, 5000}, {6000, 6000}, {7000, 7000}, {8000, 8000}, {9000, 9000},
};

static struct retention nobody(void) {
    return (struct retention){
        .end = 10000,
        .snapshot = RETENTION_NOBODY,
        .connected = RETENTION_NOBODY,
        .absent = RETENTION_NOBODY,
        .absent_bytes_max = UINT64_MAX,
        .absent_ms_max = RETENTION_NO_LIMIT,
        .now_ms = 10000,
        .segments = segments,
        .segments_count = UNIT_COUNT(segments),
    };
}

START_TEST(log_that_nobody_needs_goes_up_to_its_end) {
    struct retention retention = nobody();
    ck_assert_uint_eq(retention_position(&retention), 10000);
}
END_TEST

START_TEST(snapshot_and_connected_replicas_are_waited_for_whatever_the_limits_are) {
    struct retention retention = nobody();
    retention.absent_bytes_max = 10;
    retention.absent_ms_max = 10;
    retention.snapshot = 4200;
    ck_assert_uint_eq(retention_position(&retention), 4200);
    retention.connected = 1100;
    ck_assert_uint_eq(retention_position(&retention), 1100);
    retention.snapshot = 0;
    ck_assert_uint_eq(retention_position(&retention), 0);
}
END_TEST

START_TEST(backlog_is_kept_for_whoever_comes) {
    struct retention retention = nobody();
    retention.backlog_bytes = 3000;
    ck_assert_uint_eq(retention_position(&retention), 7000);
    retention.backlog_bytes = 20000;
    ck_assert_uint_eq(retention_position(&retention), 0);
}
END_TEST

START_TEST(where_room_is_short_only_snapshot_and_connected_replicas_are_waited_for) {
    struct retention retention = nobody();
    retention.is_short = true;
    retention.absent = 1500;
    retention.backlog_bytes = 3000;
    ck_assert_uint_eq(retention_position(&retention), 10000);
    retention.connected = 5500;
    ck_assert_uint_eq(retention_position(&retention), 5500);
    retention.snapshot = 4200;
    ck_assert_uint_eq(retention_position(&retention), 4200);
}
END_TEST

START_TEST(absent_replicas_are_waited_for_up_to_the_limit_of_bytes) {
    struct retention retention = nobody();
    retention.absent = 1500;
    ck_assert_uint_eq(retention_position(&retention), 1500);
    retention.absent_bytes_max = 6000;
    ck_assert_uint_eq(retention_position(&retention), 4000);
    retention.absent = 5500;
    ck_assert_uint_eq(retention_position(&retention), 5500);
    retention.backlog_bytes = 9000;
    ck_assert_uint_eq(retention_position(&retention), 1000);
}
END_TEST

START_TEST(absent_replicas_are_waited_for_up_to_the_limit_of_time) {
    struct retention retention = nobody();
    retention.absent = 500;
    retention.absent_ms_max = 4500;
    /* The segment at 5000 has frames from 5 s to 6 s, and 5.5 s is young enough. */
    ck_assert_uint_eq(retention_position(&retention), 5000);
    retention.absent_ms_max = 4000;
    ck_assert_uint_eq(retention_position(&retention), 5000);
    retention.absent_ms_max = 3999;
    ck_assert_uint_eq(retention_position(&retention), 6000);
    retention.absent_ms_max = 0;
    ck_assert_uint_eq(retention_position(&retention), 9000);
    retention.now_ms = 0;
    ck_assert_uint_eq(retention_position(&retention), 500);
}
END_TEST

START_TEST(segment_whose_time_is_not_known_is_young) {
    struct oplog_segment unknown[] = {{0, 500}, {1000, 0}};
    struct retention retention = nobody();
    retention.absent = 10;
    retention.absent_ms_max = 1;
    retention.segments = unknown;
    retention.segments_count = 2;
    ck_assert_uint_eq(retention_position(&retention), 10);
}
END_TEST

START_TEST(log_tells_the_times_of_its_segments_those_that_it_found_too) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){0});
    uint64_t end = place_append(&place, oplog, "one");
    struct history parent = oplog_origin(oplog).history;
    ck_assert_int_eq(oplog_close(oplog), 0);
    oplog = place_log_open(&place, (struct place_log){.parent = parent, .begin = end});
    size_t count = 0;
    struct oplog_segment *found = oplog_segments(oplog, &count);
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(found[0].time_ms, 1234);
    ck_assert_uint_eq(found[1].first, end);
    ck_assert_int_eq(found[1].time_ms, 0);
    memory_free(found);
    place_append(&place, oplog, "two");
    found = oplog_segments(oplog, &count);
    ck_assert_int_eq(found[1].time_ms, 1234);
    memory_free(found);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        log_that_nobody_needs_goes_up_to_its_end,
        snapshot_and_connected_replicas_are_waited_for_whatever_the_limits_are,
        backlog_is_kept_for_whoever_comes,
        where_room_is_short_only_snapshot_and_connected_replicas_are_waited_for,
        absent_replicas_are_waited_for_up_to_the_limit_of_bytes,
        absent_replicas_are_waited_for_up_to_the_limit_of_time,
        segment_whose_time_is_not_known_is_young,
        log_tells_the_times_of_its_segments_those_that_it_found_too,
    };
    return unit_run(unit_suite("retention", tests, UNIT_COUNT(tests)));
}
