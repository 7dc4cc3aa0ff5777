#include "oplog/divergence.h"

#include "base/logger.h"
#include "oplog/segments.h"
#include "tests/unit/oplog/place.h"

#include <errno.h>
#include <sys/uio.h>

/* A log with a folder for what is cut. */
struct diverged {
    struct log_place log;
    struct log_place kept;
    struct history histories[3];
    uint64_t ends[6]; /* of frames "0" to "5": two in each history */
};

static void diverged_open(struct diverged *diverged) {
    place_open(&diverged->log);
    place_open(&diverged->kept);
    struct oplog *oplog = place_log_open(&diverged->log, (struct place_log){0});
    for (size_t i = 0; i < 6; i++) {
        if (i == 2 || i == 4) {
            oplog_fork(oplog);
        }
        diverged->histories[i / 2] = oplog_origin(oplog).history;
        char text[] = {(char)('0' + i), '\0'};
        diverged->ends[i] = place_append(&diverged->log, oplog, text);
        ck_assert_int_eq(oplog_sync_wait(oplog), 0);
    }
    ck_assert_int_eq(oplog_close(oplog), 0);
}

static void diverged_close(struct diverged *diverged) {
    place_close(&diverged->log);
    place_close(&diverged->kept);
}

/* "epoch:content " per frame. */
static bool collect(void *context, const struct history *history, const struct oplog_frame *frame) {
    buffer_format(context, "%llu:%.*s ", (unsigned long long)history->epoch,
                  (int)frame->content.length, frame->content.bytes);
    return true;
}

static bool refuse(void *context, const struct history *history, const struct oplog_frame *frame) {
    (void)context;
    (void)history;
    (void)frame;
    return false;
}

static struct divergence_saved save(struct diverged *diverged, uint64_t position,
                                    const char *expected) {
    struct buffer seen = BUFFER_EMPTY;
    struct divergence_plan plan = {
        .log = &diverged->log.disk,
        .kept = &diverged->kept.disk,
        .position = position,
        .frame = collect,
        .context = &seen,
    };
    struct divergence_saved saved;
    enum oplog_status status = divergence_save(&plan, &saved);
    buffer_append_byte(&saved.report, '\0');
    buffer_append_byte(&seen, '\0');
    ck_assert_msg(status == OPLOG_DONE, "status %d: %s", status, saved.report.bytes);
    ck_assert_str_eq(seen.bytes, expected);
    buffer_free(&seen);
    return saved;
}

/* All files' frames, "name first end", then the frames. */
static void expect_kept(struct diverged *diverged, size_t count, const char *expected) {
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    ck_assert_int_eq(divergence_files_read(&files, &diverged->kept.disk), 0);
    ck_assert_uint_eq(files.count, count);
    struct buffer seen = BUFFER_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    struct divergence_reading reading = {
        .kept = &diverged->kept.disk, .frame = collect, .context = &seen, .report = &report};
    for (size_t i = 0; i < files.count; i++) {
        ck_assert_int_eq(divergence_file_read(&reading, &files.found[i]), OPLOG_DONE);
    }
    buffer_append_byte(&seen, '\0');
    ck_assert_str_eq(seen.bytes, expected);
    buffer_free(&seen);
    buffer_free(&report);
    divergence_files_free(&files);
}

static void expect_log(struct diverged *diverged, const char *expected,
                       const struct history *history) {
    struct buffer lines = BUFFER_EMPTY;
    struct oplog_recovery_plan plan = {
        .disk = &diverged->log.disk, .apply = place_collect, .context = &lines};
    struct oplog_recovery recovery;
    ck_assert_int_eq(oplog_recover(&plan, &recovery), OPLOG_DONE);
    buffer_append_byte(&lines, '\0');
    ck_assert_str_eq(lines.bytes, expected);
    ck_assert(history_equal(&recovery.history, history));
    ck_assert(!recovery.is_torn);
    oplog_recovery_free(&recovery);
    buffer_free(&lines);
}

START_TEST(all_behind_the_position_is_kept_a_file_for_each_history_and_then_cut) {
    struct diverged diverged;
    diverged_open(&diverged);
    struct divergence_saved saved = save(&diverged, diverged.ends[0], "1:1 2:2 2:3 3:4 3:5 ");
    ck_assert_uint_eq(saved.from, diverged.ends[0]);
    ck_assert_uint_eq(saved.end, diverged.ends[5]);
    ck_assert_uint_eq(saved.frames, 5);
    ck_assert_uint_eq(saved.bytes, 5);
    ck_assert_uint_eq(saved.files, 3);
    divergence_saved_free(&saved);
    expect_kept(&diverged, 3, "1:1 2:2 2:3 3:4 3:5 ");
    expect_log(&diverged, "0\n1\n2\n3\n4\n5\n", &diverged.histories[2]);

    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[0], diverged.ends[0]),
                     0);
    expect_log(&diverged, "0\n", &diverged.histories[0]);
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[0], diverged.ends[0]),
                     0);
    expect_log(&diverged, "0\n", &diverged.histories[0]);
    expect_kept(&diverged, 3, "1:1 2:2 2:3 3:4 3:5 ");
    diverged_close(&diverged);
}
END_TEST

START_TEST(cut_where_a_history_began_takes_that_history_back) {
    struct diverged diverged;
    diverged_open(&diverged);
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[1], diverged.ends[3]),
                     0);
    expect_log(&diverged, "0\n1\n2\n3\n", &diverged.histories[1]);
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[1], diverged.ends[1]),
                     0);
    expect_log(&diverged, "0\n1\n", &diverged.histories[1]);
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[0], diverged.ends[1]),
                     0);
    expect_log(&diverged, "0\n1\n", &diverged.histories[0]);
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[2], diverged.ends[1]),
                     -ENOENT);
    expect_log(&diverged, "0\n1\n", &diverged.histories[0]);
    diverged_close(&diverged);
}
END_TEST

START_TEST(cut_log_goes_on_in_its_history) {
    struct diverged diverged;
    diverged_open(&diverged);
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[1], diverged.ends[2]),
                     0);
    struct oplog_plan plan = {
        .disk = &diverged.log.disk,
        .history = diverged.histories[1],
        .parent = diverged.histories[0],
        .history_begin = diverged.ends[1],
        .begin = diverged.ends[2],
        .is_continued = true,
        .progress = place_no_progress,
        .is_stepwise = true,
    };
    int error = 0;
    struct oplog *oplog = oplog_open(&plan, &error);
    ck_assert_int_eq(error, 0);
    place_append(&diverged.log, oplog, "the primary's");
    ck_assert_int_eq(oplog_close(oplog), 0);
    expect_log(&diverged, "0\n1\n2\nthe primary's\n", &diverged.histories[1]);
    diverged_close(&diverged);
}
END_TEST

START_TEST(file_that_holds_more_than_the_log_still_does_stays) {
    struct diverged diverged;
    diverged_open(&diverged);
    struct divergence_saved saved = save(&diverged, diverged.ends[1], "2:2 2:3 3:4 3:5 ");
    divergence_saved_free(&saved);
    /* A crash in the middle of the cut. */
    ck_assert_int_eq(divergence_cut(&diverged.log.disk, &diverged.histories[1], diverged.ends[2]),
                     0);
    saved = save(&diverged, diverged.ends[1], "2:2 2:3 ");
    ck_assert_uint_eq(saved.files, 1);
    divergence_saved_free(&saved);
    expect_kept(&diverged, 2, "2:2 2:3 3:4 3:5 ");
    diverged_close(&diverged);
}
END_TEST

START_TEST(file_that_holds_less_is_replaced) {
    struct diverged diverged;
    diverged_open(&diverged);
    struct divergence_saved saved = save(&diverged, diverged.ends[1], "2:2 2:3 3:4 3:5 ");
    divergence_saved_free(&saved);
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    ck_assert_int_eq(divergence_files_read(&files, &diverged.kept.disk), 0);
    int error = 0;
    struct disk *kept = &diverged.kept.disk;
    struct disk_file *file = kept->open(kept->context, files.found[0].name, false, &error);
    kept->truncate(file, files.found[0].size - 1);
    kept->close(file);
    struct buffer report = BUFFER_EMPTY;
    struct divergence_reading reading = {.kept = kept, .report = &report};
    ck_assert_int_eq(divergence_files_read(&files, kept), 0);
    ck_assert_int_eq(divergence_file_read(&reading, &files.found[0]), OPLOG_DAMAGED);
    ck_assert_uint_gt(report.length, 0);
    buffer_free(&report);
    divergence_files_free(&files);
    saved = save(&diverged, diverged.ends[1], "2:2 2:3 3:4 3:5 ");
    divergence_saved_free(&saved);
    expect_kept(&diverged, 2, "2:2 2:3 3:4 3:5 ");
    diverged_close(&diverged);
}
END_TEST

START_TEST(what_the_log_did_not_hold_any_more_is_told) {
    struct diverged diverged;
    diverged_open(&diverged);
    struct divergence_saved saved = save(&diverged, diverged.ends[5], "");
    ck_assert_uint_eq(saved.files, 0);
    divergence_saved_free(&saved);
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, (struct segment_name){.first = 0, .epoch = 1});
    ck_assert_int_eq(diverged.log.disk.remove(diverged.log.disk.context, name), 0);
    saved = save(&diverged, diverged.ends[0], "2:2 2:3 3:4 3:5 ");
    ck_assert_uint_eq(saved.from, diverged.ends[1]);
    divergence_saved_free(&saved);
    diverged_close(&diverged);
}
END_TEST

START_TEST(position_inside_a_frame_is_refused) {
    struct diverged diverged;
    diverged_open(&diverged);
    struct divergence_plan plan = {
        .log = &diverged.log.disk, .kept = &diverged.kept.disk, .position = diverged.ends[0] + 1};
    struct divergence_saved saved;
    ck_assert_int_eq(divergence_save(&plan, &saved), OPLOG_DAMAGED);
    ck_assert_uint_gt(saved.report.length, 0);
    divergence_saved_free(&saved);
    plan.position = diverged.ends[0];
    plan.frame = refuse;
    ck_assert_int_eq(divergence_save(&plan, &saved), OPLOG_STOPPED);
    divergence_saved_free(&saved);
    diverged_close(&diverged);
}
END_TEST

START_TEST(older_files_go_first_when_there_are_too_many_bytes_and_new_ones_never) {
    struct diverged diverged;
    diverged_open(&diverged);
    struct divergence_saved saved = save(&diverged, 0, "1:0 1:1 2:2 2:3 3:4 3:5 ");
    divergence_saved_free(&saved);
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    ck_assert_int_eq(divergence_files_read(&files, &diverged.kept.disk), 0);
    uint64_t size = files.found[0].size;
    divergence_files_free(&files);
    struct divergence_plan plan = {
        .log = &diverged.log.disk,
        .kept = &diverged.kept.disk,
        .position = diverged.ends[3],
        .bytes_max = 2 * size,
    };
    ck_assert_int_eq(divergence_save(&plan, &saved), OPLOG_DONE);
    ck_assert_uint_eq(saved.files_removed, 1);
    ck_assert_uint_eq(saved.bytes_removed, size);
    ck_assert_uint_gt(saved.report.length, 0);
    divergence_saved_free(&saved);
    expect_kept(&diverged, 2, "2:2 2:3 3:4 3:5 ");
    plan.bytes_max = 1;
    ck_assert_int_eq(divergence_save(&plan, &saved), OPLOG_DONE);
    divergence_saved_free(&saved);
    expect_kept(&diverged, 1, "3:4 3:5 ");
    diverged_close(&diverged);
}
END_TEST

#define LARGE_BYTES ((size_t)3 * 1024 * 1024)

START_TEST(large_frames_and_many_small_ones_are_kept_whole) {
    struct diverged diverged;
    place_open(&diverged.log);
    place_open(&diverged.kept);
    struct oplog *oplog = place_log_open(&diverged.log, (struct place_log){0});
    struct block *block = block_try_new(LARGE_BYTES);
    ck_assert_ptr_nonnull(block);
    memset(block->bytes, 'x', LARGE_BYTES);
    block->length = LARGE_BYTES;
    for (int i = 0; i < 30000; i++) {
        if (i % 10000 == 5000) {
            oplog_batch_add_block(&diverged.log.batch, block);
        }
        place_append(&diverged.log, oplog, "some content that is not much");
    }
    block_release(block);
    ck_assert_int_eq(oplog_close(oplog), 0);
    struct divergence_plan plan = {.log = &diverged.log.disk, .kept = &diverged.kept.disk};
    struct divergence_saved saved;
    ck_assert_int_eq(divergence_save(&plan, &saved), OPLOG_DONE);
    ck_assert_uint_eq(saved.frames, 30000);
    ck_assert_uint_eq(saved.bytes,
                      3 * LARGE_BYTES + 30000 * strlen("some content that is not much"));
    divergence_saved_free(&saved);
    diverged_close(&diverged);
}
END_TEST

START_TEST(other_names_are_no_divergence_files) {
    static const char *const names[] = {"next",
                                        "0000000001-00112233445566-00000000000000000000.log",
                                        "0000000001-0011223344556677-00000000000000000000.log2",
                                        "0000000001-0011223344556677-0000000000000000000.log",
                                        "000000001-0011223344556677-00000000000000000000.log",
                                        "0000000001",
                                        "0000000001-",
                                        "0000000001-0011223344556677",
                                        "0000000001-0011223344556677-"};
    struct diverged diverged;
    diverged_open(&diverged);
    struct disk *kept = &diverged.kept.disk;
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        int error = 0;
        struct disk_file *file = kept->open(kept->context, names[i], true, &error);
        ck_assert_int_eq(error, 0);
        kept->close(file);
    }
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    ck_assert_int_eq(divergence_files_read(&files, kept), 0);
    ck_assert_uint_eq(files.count, 0);
    int error = 0;
    struct disk_file *file = kept->open(
        kept->context, "0000000001-0011223344556677-00000000000000000000.log", true, &error);
    kept->close(file);
    ck_assert_int_eq(divergence_files_read(&files, kept), 0);
    ck_assert_uint_eq(files.count, 1);
    ck_assert_ptr_nonnull(files.found[0].problem);
    divergence_files_free(&files);
    diverged_close(&diverged);
}
END_TEST

int main(void) {
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    const TTest *tests[] = {
        all_behind_the_position_is_kept_a_file_for_each_history_and_then_cut,
        cut_where_a_history_began_takes_that_history_back,
        cut_log_goes_on_in_its_history,
        file_that_holds_more_than_the_log_still_does_stays,
        file_that_holds_less_is_replaced,
        what_the_log_did_not_hold_any_more_is_told,
        position_inside_a_frame_is_refused,
        older_files_go_first_when_there_are_too_many_bytes_and_new_ones_never,
        large_frames_and_many_small_ones_are_kept_whole,
        other_names_are_no_divergence_files,
    };
    return unit_run(unit_suite("divergence", tests, UNIT_COUNT(tests)));
}
