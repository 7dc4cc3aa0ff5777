#include "oplog/oplog.h"

#include "io/disk.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct place {
    char path[64];
    struct disk disk;
};

static void place_open(struct place *place) {
    snprintf(place->path, sizeof(place->path), "/tmp/tarn-oplog-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place->path));
    ck_assert_int_eq(disk_open(&place->disk, place->path), 0);
}

static void remove_file(void *context, const char *name) {
    const struct disk *disk = context;
    disk->remove(disk->context, name);
}

static void place_close(struct place *place) {
    place->disk.list(place->disk.context, remove_file, &place->disk);
    disk_close(&place->disk);
    ck_assert_int_eq(rmdir(place->path), 0);
}

static void no_progress(void *context) {
    (void)context;
}

static struct oplog *open_log(struct place *place, enum oplog_sync sync, bool is_stepwise) {
    struct oplog_plan plan = {
        .disk = &place->disk,
        .sync = sync,
        .segment_bytes = 4096,
        .progress = no_progress,
        .is_stepwise = is_stepwise,
    };
    plan.history = history_fork(&plan.parent);
    int error = 0;
    struct oplog *oplog = oplog_open(&plan, &error);
    ck_assert_int_eq(error, 0);
    return oplog;
}

static uint64_t append(struct oplog *oplog, struct oplog_batch *batch, const char *text) {
    buffer_append_string(&batch->bytes, text);
    return oplog_append(oplog, batch, 1234);
}

START_TEST(append_to_an_idle_log_is_written_at_once_and_not_synced) {
    struct place place;
    place_open(&place);
    struct oplog *oplog = open_log(&place, OPLOG_SYNC_EVERYSEC, true);
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    uint64_t end = append(oplog, &batch, "abc");
    ck_assert_uint_eq(end, OPLOG_FRAME_HEADER_BYTES + 3);
    ck_assert_uint_eq(oplog_batch_bytes(&batch), 0);
    ck_assert_uint_eq(oplog_end_position(oplog), end);
    ck_assert_uint_eq(oplog_safe_position(oplog), end);
    ck_assert_uint_eq(oplog_synced_position(oplog), 0);
    ck_assert(oplog_step_sync(oplog));
    ck_assert_uint_eq(oplog_synced_position(oplog), end);
    oplog_batch_free(&batch);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(always_is_safe_only_once_synced) {
    struct place place;
    place_open(&place);
    struct oplog *oplog = open_log(&place, OPLOG_SYNC_ALWAYS, true);
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    uint64_t end = append(oplog, &batch, "abc");
    ck_assert_uint_eq(oplog_safe_position(oplog), 0);
    ck_assert(oplog_step_sync(oplog));
    ck_assert_uint_eq(oplog_safe_position(oplog), end);
    oplog_batch_free(&batch);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(threads_sync_what_many_frames_over_many_segments_hold) {
    struct place place;
    place_open(&place);
    struct oplog *oplog = open_log(&place, OPLOG_SYNC_ALWAYS, false);
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    uint64_t end = 0;
    for (int i = 0; i < 1000; i++) {
        end = append(oplog, &batch, "some content of a frame");
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
    oplog_batch_free(&batch);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(folder_of_another_is_refused) {
    struct place place;
    place_open(&place);
    struct oplog *oplog = open_log(&place, OPLOG_SYNC_NO, true);
    struct disk other;
    ck_assert_int_eq(disk_open(&other, place.path), 0);
    ck_assert_int_eq(other.lock(other.context), -EBUSY);
    struct oplog_plan plan = {.disk = &other, .progress = no_progress};
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
