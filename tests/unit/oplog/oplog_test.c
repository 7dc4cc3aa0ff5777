#include "oplog/oplog.h"

#include "tests/unit/oplog/place.h"

#include <errno.h>

START_TEST(append_to_an_idle_log_is_written_at_once_and_not_synced) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_EVERYSEC});
    uint64_t end = place_append(&place, oplog, "abc");
    ck_assert_uint_eq(end, OPLOG_FRAME_HEADER_BYTES + 3);
    ck_assert_uint_eq(oplog_batch_bytes(&place.batch), 0);
    ck_assert_uint_eq(oplog_end_position(oplog), end);
    ck_assert_uint_eq(oplog_safe_position(oplog), end);
    ck_assert_uint_eq(oplog_synced_position(oplog), 0);
    ck_assert(oplog_step_sync(oplog));
    ck_assert_uint_eq(oplog_synced_position(oplog), end);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(always_is_safe_only_once_synced) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_ALWAYS});
    uint64_t end = place_append(&place, oplog, "abc");
    ck_assert_uint_eq(oplog_safe_position(oplog), 0);
    ck_assert(oplog_step_sync(oplog));
    ck_assert_uint_eq(oplog_safe_position(oplog), end);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(threads_sync_what_many_frames_over_many_segments_hold) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog =
        place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_ALWAYS, .has_threads = true});
    uint64_t end = 0;
    for (int i = 0; i < 1000; i++) {
        end = place_append(&place, oplog, "some content of a frame");
    }
    ck_assert_int_eq(oplog_sync_wait(oplog), 0);
    ck_assert_uint_eq(oplog_safe_position(oplog), end);
    struct oplog_figures figures;
    oplog_figures_read(oplog, &figures);
    ck_assert_uint_eq(figures.start, 0);
    ck_assert_uint_ge(figures.segments, end / 8192);
    ck_assert_uint_eq(figures.pending_bytes, 0);
    ck_assert_uint_eq(figures.unsynced_bytes, 0);

    int removed = oplog_trim(oplog, end / 2);
    ck_assert_int_gt(removed, 0);
    uint64_t before = figures.segments;
    oplog_figures_read(oplog, &figures);
    ck_assert_uint_eq(figures.segments, before - (uint64_t)removed);
    ck_assert_uint_gt(figures.start, 0);
    ck_assert_uint_le(figures.start, end / 2);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(folder_of_another_is_refused) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_NO});
    struct disk other;
    ck_assert_int_eq(disk_open(&other, place.path), 0);
    ck_assert_int_eq(other.lock(other.context), -EBUSY);
    struct oplog_plan plan = {.disk = &other, .progress = place_no_progress};
    plan.history = history_fork(&plan.parent);
    int error = 0;
    ck_assert_ptr_null(oplog_open(&plan, &error));
    ck_assert_int_eq(error, -EBUSY);
    disk_close(&other);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(segment_names_read_back_and_others_do_not) {
    char text[SEGMENT_NAME_BYTES];
    struct segment_name name = {.first = 123456789, .epoch = 42};
    struct segment_name read;
    segment_name_write(text, name);
    ck_assert_str_eq(text, "00000000000123456789-0000000042.log");
    ck_assert(segment_name_read(text, &read));
    ck_assert_uint_eq(read.first, name.first);
    ck_assert_uint_eq(read.epoch, name.epoch);
    name = (struct segment_name){.first = UINT64_MAX, .epoch = UINT64_MAX};
    segment_name_write(text, name);
    ck_assert(segment_name_read(text, &read));
    ck_assert_uint_eq(read.epoch, UINT64_MAX);
    ck_assert(!segment_name_read("00000000000123456789-42.log", &read));
    ck_assert(!segment_name_read("00000000000123456789.log", &read));
    ck_assert(!segment_name_read("99999999999999999999-0000000042.log", &read));
    ck_assert(!segment_name_read("00000000000123456789-0000000042.log2", &read));
    ck_assert(!segment_name_read("next", &read));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        append_to_an_idle_log_is_written_at_once_and_not_synced,
        always_is_safe_only_once_synced,
        threads_sync_what_many_frames_over_many_segments_hold,
        folder_of_another_is_refused,
        segment_names_read_back_and_others_do_not,
    };
    return unit_run(unit_suite("oplog", tests, UNIT_COUNT(tests)));
}
