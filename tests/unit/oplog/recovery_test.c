#include "oplog/recovery.h"

#include "tests/unit/oplog/place.h"

#include <sys/uio.h>

/* Recovers, and compares the contents, a line each. */
static struct oplog_recovery recover(struct log_place *place, const struct oplog_recovery_plan *how,
                                     enum oplog_status wanted, const char *contents) {
    struct buffer lines = BUFFER_EMPTY;
    struct oplog_recovery_plan plan = *how;
    plan.disk = &place->disk;
    plan.apply = place_collect;
    plan.context = &lines;
    struct oplog_recovery recovery;
    enum oplog_status status = oplog_recover(&plan, &recovery);
    buffer_append_byte(&recovery.report, '\0');
    ck_assert_msg(status == wanted, "status %d: %s", status, recovery.report.bytes);
    buffer_append_byte(&lines, '\0');
    if (contents != NULL) {
        ck_assert_str_eq(lines.bytes, contents);
    }
    buffer_free(&lines);
    return recovery;
}

static const struct oplog_recovery_plan from_the_beginning = {.from = 0};

/* A closed log of epoch 1 with a frame for each of the contents. Answers its end. */
static uint64_t write_log(struct log_place *place, struct history *history, size_t count,
                          const char *content) {
    struct oplog *oplog = place_log_open(place, (struct place_log){0});
    for (size_t i = 0; i < count; i++) {
        place_append(place, oplog, content);
        oplog_step_write(oplog);
        oplog_step_sync(oplog);
    }
    *history = oplog_origin(oplog).history;
    uint64_t end = oplog_end_position(oplog);
    ck_assert_int_eq(oplog_close(oplog), 0);
    return end;
}

/* The only segment's file, or the one that begins at `first`. */
static struct disk_file *open_segment(struct log_place *place, uint64_t first) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, (struct segment_name){.first = first, .epoch = 1});
    int error = 0;
    struct disk_file *file = place->disk.open(place->disk.context, name, false, &error);
    ck_assert_int_eq(error, 0);
    return file;
}

static void overwrite(struct log_place *place, uint64_t offset, const char *text) {
    struct disk_file *file = open_segment(place, 0);
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    ck_assert_int_eq(place->disk.write(file, &part, 1, offset), 0);
    place->disk.close(file);
}

START_TEST(folder_without_segments_has_no_log) {
    struct log_place place;
    place_open(&place);
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DONE, "");
    ck_assert(!recovery.is_found);
    ck_assert_uint_eq(recovery.end, 0);
    ck_assert(history_is_none(&recovery.history));
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(what_was_appended_comes_back_in_order_over_histories) {
    struct log_place place;
    place_open(&place);
    struct history first_history;
    uint64_t end = write_log(&place, &first_history, 1, "one");
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DONE, "one\n");
    ck_assert(recovery.is_found);
    ck_assert_uint_eq(recovery.end, end);
    ck_assert(history_equal(&recovery.history, &first_history));

    /* One opening without a frame, one with two. */
    struct place_log how = {.parent = recovery.history, .begin = recovery.end};
    struct oplog *oplog = place_log_open(&place, how);
    how.parent = oplog_origin(oplog).history;
    ck_assert_int_eq(oplog_close(oplog), 0);
    oplog_recovery_free(&recovery);
    oplog = place_log_open(&place, how);
    place_append(&place, oplog, "two");
    place_append(&place, oplog, "three");
    ck_assert_int_eq(oplog_close(oplog), 0);

    recovery = recover(&place, &from_the_beginning, OPLOG_DONE, "one\ntwo\nthree\n");
    ck_assert_uint_eq(recovery.histories_count, 3);
    ck_assert_uint_eq(recovery.histories[2].begin, end);
    ck_assert_uint_eq(recovery.frames, 3);
    oplog_recovery_free(&recovery);

    /* A snapshot taken in the history without frames, at its only position. */
    struct oplog_recovery_plan plan = {.from = end, .history = &how.parent};
    recovery = recover(&place, &plan, OPLOG_DONE, "two\nthree\n");
    oplog_recovery_free(&recovery);
    plan.history = &first_history;
    recovery = recover(&place, &plan, OPLOG_DONE, "two\nthree\n");
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(blocks_are_written_where_they_were_hung_in) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){0});
    struct block *block = block_try_new(10);
    memcpy(block->bytes, "middle", 6);
    block->length = 6;
    buffer_append_string(&place.batch.bytes, "before ");
    oplog_batch_add_block(&place.batch, block);
    buffer_append_string(&place.batch.bytes, " after");
    oplog_append(oplog, &place.batch, 1);
    ck_assert(block_is_shared(block));
    ck_assert_int_eq(oplog_close(oplog), 0);
    ck_assert(!block_is_shared(block));
    block_release(block);
    struct oplog_recovery recovery =
        recover(&place, &from_the_beginning, OPLOG_DONE, "before middle after\n");
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(torn_tail_is_cut_unless_that_is_refused) {
    struct log_place place;
    place_open(&place);
    struct history history;
    uint64_t end = write_log(&place, &history, 2, "content");
    overwrite(&place, OPLOG_SEGMENT_HEADER_BYTES + end, "half a frame");
    struct oplog_recovery_plan plan = {.is_torn_refused = true};
    struct oplog_recovery recovery = recover(&place, &plan, OPLOG_TORN, "content\ncontent\n");
    ck_assert_ptr_nonnull(strstr(recovery.report.bytes, "offset 238"));
    oplog_recovery_free(&recovery);

    plan.is_torn_refused = false;
    recovery = recover(&place, &plan, OPLOG_DONE, "content\ncontent\n");
    ck_assert(recovery.is_torn);
    ck_assert_uint_eq(recovery.bytes_cut, 12);
    ck_assert_uint_eq(recovery.end, end);
    oplog_recovery_free(&recovery);

    recovery = recover(&place, &plan, OPLOG_DONE, "content\ncontent\n");
    ck_assert(!recovery.is_torn);
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(damage_before_what_is_known_to_be_synced_is_refused) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){0});
    place_append(&place, oplog, "first");
    uint64_t second = place_append(&place, oplog, "second");
    oplog_step_sync(oplog);
    place_append(&place, oplog, "third");
    ck_assert_int_eq(oplog_close(oplog), 0);
    overwrite(&place, OPLOG_SEGMENT_HEADER_BYTES + second - 2, "X");
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DAMAGED, "first\n");
    ck_assert_ptr_nonnull(strstr(recovery.report.bytes, "-0000000001.log, offset 181: expected"));
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(damage_in_an_older_history_is_refused) {
    struct log_place place;
    place_open(&place);
    struct place_log how = {0};
    how.begin = write_log(&place, &how.parent, 1, "content");
    ck_assert_int_eq(oplog_close(place_log_open(&place, how)), 0);
    overwrite(&place, OPLOG_SEGMENT_HEADER_BYTES + how.begin - 1, "X");
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DAMAGED, "");
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(damaged_header_of_the_first_segment_is_refused) {
    struct log_place place;
    place_open(&place);
    struct history history;
    write_log(&place, &history, 1, "content");
    overwrite(&place, 30, "X");
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DAMAGED, "");
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(missing_segment_is_refused) {
    struct log_place place;
    place_open(&place);
    struct history history;
    write_log(&place, &history, 300, "some content of a frame");
    struct disk *disk = &place.disk;
    char name[SEGMENT_NAME_BYTES];
    uint64_t frame_bytes = OPLOG_FRAME_HEADER_BYTES + 23;
    uint64_t frames = (PLACE_SEGMENT_BYTES + frame_bytes - 1) / frame_bytes;
    segment_name_write(name, (struct segment_name){.first = frames * frame_bytes, .epoch = 1});
    ck_assert_int_eq(disk->remove(disk->context, name), 0);
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DAMAGED, NULL);
    ck_assert_uint_eq(recovery.frames, frames);
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(snapshot_of_another_history_is_refused) {
    struct log_place place;
    place_open(&place);
    struct history history;
    uint64_t end = write_log(&place, &history, 1, "content");
    struct history other = history_fork(&history);
    struct oplog_recovery_plan plan = {.from = end, .history = &other};
    struct oplog_recovery recovery = recover(&place, &plan, OPLOG_DAMAGED, "");
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(snapshot_newer_than_the_log_replaces_it) {
    struct log_place place;
    place_open(&place);
    struct history history;
    uint64_t end = write_log(&place, &history, 1, "content");
    struct oplog_recovery_plan plan = {.from = end + 1000, .history = &history};
    struct oplog_recovery recovery = recover(&place, &plan, OPLOG_DONE, "");
    ck_assert(recovery.is_behind);
    ck_assert_uint_eq(recovery.end, end + 1000);
    ck_assert(history_equal(&recovery.history, &history));
    struct place_log how = {.parent = recovery.history, .begin = recovery.end};
    oplog_recovery_free(&recovery);

    struct oplog *oplog = place_log_open(&place, how);
    place_append(&place, oplog, "more");
    ck_assert_int_eq(oplog_close(oplog), 0);
    recovery = recover(&place, &plan, OPLOG_DONE, "more\n");
    oplog_recovery_free(&recovery);
    /* Without the snapshot the log's beginning is missing. */
    recovery = recover(&place, &from_the_beginning, OPLOG_DAMAGED, "");
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

START_TEST(reader_follows_a_log_that_is_appended_to) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){0});
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {.disk = &place.disk, .report = &report};
    struct oplog_reader *reader = NULL;
    ck_assert_int_eq(oplog_reader_open(&plan, &reader), OPLOG_READ_END);
    struct oplog_frame frame;
    for (int i = 0; i < 500; i++) {
        ck_assert_int_eq(oplog_reader_next(reader, &frame), OPLOG_READ_END);
        uint64_t end = place_append(&place, oplog, "some content of a frame");
        oplog_step_write(oplog);
        oplog_step_sync(oplog);
        oplog_reader_set_end(reader, end);
        ck_assert_int_eq(oplog_reader_next(reader, &frame), OPLOG_READ_FRAME);
        ck_assert_uint_eq(frame.end, end);
        ck_assert(span_equal(frame.content, span_of_string("some content of a frame")));
        ck_assert_int_eq(frame.time_ms, 1234);
    }
    ck_assert_uint_eq(report.length, 0);
    buffer_free(&report);
    oplog_reader_close(reader);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

static struct {
    const struct disk *disk;
    uint64_t bytes;
} counted;

static int64_t counted_read(struct disk_file *file, void *bytes, size_t length, uint64_t offset) {
    int64_t got = counted.disk->read(file, bytes, length, offset);
    counted.bytes += got < 0 ? 0 : (uint64_t)got;
    return got;
}

/* A link looks for the end before each frame: what it has read remains. */
START_TEST(reader_reads_a_log_once_however_often_its_end_is_set) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){0});
    counted.disk = &place.disk;
    struct disk disk = place.disk;
    disk.read = counted_read;
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {.disk = &disk, .report = &report};
    struct oplog_reader *reader = NULL;
    ck_assert_int_eq(oplog_reader_open(&plan, &reader), OPLOG_READ_END);
    counted.bytes = 0;
    uint64_t end = 0;
    struct oplog_frame frame;
    for (int i = 0; i < 200; i++) {
        int frames = i % 2 == 0 ? 1 : 20;
        for (int k = 0; k < frames; k++) {
            end = place_append(&place, oplog, "some content of a frame");
        }
        oplog_step_write(oplog);
        for (int k = 0; k < frames; k++) {
            oplog_reader_set_end(reader, end);
            ck_assert_int_eq(oplog_reader_next(reader, &frame), OPLOG_READ_FRAME);
            ck_assert(span_equal(frame.content, span_of_string("some content of a frame")));
        }
        ck_assert_int_eq(oplog_reader_next(reader, &frame), OPLOG_READ_END);
    }
    ck_assert_uint_eq(frame.end, end);
    /* Some of it are headers of segments. */
    ck_assert_uint_lt(counted.bytes, end * 2);
    oplog_reader_close(reader);
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(log_that_ends_before_what_was_wanted_is_damaged) {
    struct log_place place;
    place_open(&place);
    struct history history;
    uint64_t end = write_log(&place, &history, 1, "content");
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {.disk = &place.disk, .to = end + 100, .report = &report};
    struct oplog_reader *reader = NULL;
    ck_assert_int_eq(oplog_reader_open(&plan, &reader), OPLOG_READ_END);
    struct oplog_frame frame;
    ck_assert_int_eq(oplog_reader_next(reader, &frame), OPLOG_READ_FRAME);
    ck_assert_int_eq(oplog_reader_next(reader, &frame), OPLOG_READ_DAMAGED);
    ck_assert_uint_gt(report.length, 0);
    oplog_reader_close(reader);
    buffer_free(&report);
    place_close(&place);
}
END_TEST

START_TEST(frame_larger_than_the_read_buffer_is_read) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){0});
    size_t large = OPLOG_READ_BYTES * 2 + 7;
    memset(buffer_reserve(&place.batch.bytes, large), 'x', large);
    buffer_commit(&place.batch.bytes, large);
    oplog_append(oplog, &place.batch, 1);
    place_append(&place, oplog, "small");
    oplog_step_write(oplog);
    ck_assert_int_eq(oplog_close(oplog), 0);
    struct oplog_recovery recovery = recover(&place, &from_the_beginning, OPLOG_DONE, NULL);
    ck_assert_uint_eq(recovery.frames, 2);
    ck_assert_uint_eq(recovery.bytes, large + 5);
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        folder_without_segments_has_no_log,
        what_was_appended_comes_back_in_order_over_histories,
        blocks_are_written_where_they_were_hung_in,
        torn_tail_is_cut_unless_that_is_refused,
        damage_before_what_is_known_to_be_synced_is_refused,
        damage_in_an_older_history_is_refused,
        damaged_header_of_the_first_segment_is_refused,
        missing_segment_is_refused,
        snapshot_of_another_history_is_refused,
        snapshot_newer_than_the_log_replaces_it,
        reader_follows_a_log_that_is_appended_to,
        reader_reads_a_log_once_however_often_its_end_is_set,
        log_that_ends_before_what_was_wanted_is_damaged,
        frame_larger_than_the_read_buffer_is_read,
    };
    return unit_run(unit_suite("recovery", tests, UNIT_COUNT(tests)));
}
