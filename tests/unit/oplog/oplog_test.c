#include "oplog/oplog.h"

#include "base/logger.h"
#include "tests/simulation/disk.h"
#include "tests/unit/oplog/place.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

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

#define APPENDERS 4
#define APPENDS 2000

struct appender {
    struct oplog *oplog;
    int number;
    pthread_t thread;
};

static void *appender_main(void *context) {
    const struct appender *appender = context;
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    uint64_t last = 0;
    for (int i = 0; i < APPENDS; i++) {
        buffer_format(&batch.bytes, "%d:%d", appender->number, i);
        uint64_t end = oplog_append(appender->oplog, &batch, i);
        ck_assert_uint_gt(end, last);
        last = end;
    }
    oplog_batch_free(&batch);
    return NULL;
}

struct order {
    int next[APPENDERS];
};

static bool check_order(void *context, const struct oplog_frame *frame) {
    struct order *order = context;
    char text[32] = {0};
    ck_assert_uint_lt(frame->content.length, sizeof(text));
    memcpy(text, frame->content.bytes, frame->content.length);
    char *colon = strchr(text, ':');
    long number = strtol(text, NULL, 10);
    ck_assert_int_lt(number, APPENDERS);
    ck_assert_int_eq(strtol(colon + 1, NULL, 10), order->next[number]);
    order->next[number]++;
    return true;
}

START_TEST(appends_of_many_threads_come_back_in_the_order_of_each) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(
        &place, (struct place_log){.sync = (enum oplog_sync)_i, .has_threads = true});
    struct appender appenders[APPENDERS];
    for (int i = 0; i < APPENDERS; i++) {
        appenders[i] = (struct appender){.oplog = oplog, .number = i};
        ck_assert_int_eq(pthread_create(&appenders[i].thread, NULL, appender_main, &appenders[i]),
                         0);
    }
    for (int i = 0; i < 20; i++) {
        struct oplog_figures figures;
        oplog_figures_read(oplog, &figures);
        ck_assert_uint_le(figures.synced, figures.written);
        ck_assert_int_eq(oplog_sync_wait(oplog), 0);
        oplog_set_sync(oplog, (enum oplog_sync)((_i + i) % 3));
    }
    for (int i = 0; i < APPENDERS; i++) {
        pthread_join(appenders[i].thread, NULL);
    }
    ck_assert_int_eq(oplog_close(oplog), 0);
    struct order order = {{0}};
    struct oplog_recovery_plan plan = {
        .disk = &place.disk, .apply = check_order, .context = &order};
    struct oplog_recovery recovery;
    ck_assert_int_eq(oplog_recover(&plan, &recovery), OPLOG_DONE);
    ck_assert_uint_eq(recovery.frames, APPENDERS * APPENDS);
    oplog_recovery_free(&recovery);
    place_close(&place);
}
END_TEST

/* ---- a disk that fails ---- */

struct failing {
    struct simulated_disk *simulated;
    struct disk disk;
    struct oplog_batch batch;
    struct history history;
};

static struct oplog *failing_open(struct failing *failing, enum oplog_sync sync) {
    failing->simulated = simulated_disk_new(1);
    failing->disk = simulated_disk_interface(failing->simulated);
    failing->batch = OPLOG_BATCH_EMPTY;
    failing->history = history_fork(&(struct history){0});
    struct oplog_plan plan = {
        .disk = &failing->disk,
        .history = failing->history,
        .sync = sync,
        .segment_bytes = 600,
        .progress = place_no_progress,
        .is_stepwise = true,
    };
    int error = 0;
    struct oplog *oplog = oplog_open(&plan, &error);
    ck_assert_int_eq(error, 0);
    return oplog;
}

static void failing_close(struct failing *failing) {
    oplog_batch_free(&failing->batch);
    simulated_disk_free(failing->simulated);
}

/* What a server does: appends while there is no error, and writes and syncs. */
static int append_some(struct failing *failing, struct oplog *oplog) {
    int count = 0;
    for (int i = 0; i < 40; i++) {
        if (oplog_error(oplog) == 0) {
            buffer_format(&failing->batch.bytes, "content number %d", count++);
            oplog_append(oplog, &failing->batch, 1);
        }
        oplog_step_write(oplog);
        if (i % 3 == 0) {
            oplog_step_sync(oplog);
        }
    }
    return count;
}

static bool check_numbers(void *context, const struct oplog_frame *frame) {
    int *next = context;
    char text[32];
    snprintf(text, sizeof(text), "content number %d", (*next)++);
    ck_assert(span_equal(frame->content, span_of_string(text)));
    return true;
}

/* The disk fails at call `skip`, `count` times, and works again then. Answers whether the call was
 * reached. */
static bool fail_and_heal(uint64_t skip, uint64_t count, int error) {
    struct failing failing;
    struct oplog *oplog = failing_open(&failing, OPLOG_SYNC_EVERYSEC);
    uint64_t calls = simulated_disk_calls(failing.simulated);
    simulated_disk_fail(failing.simulated, skip, count, error);
    int appended = append_some(&failing, oplog);
    bool is_reached = simulated_disk_calls(failing.simulated) > calls + skip;
    simulated_disk_heal(failing.simulated);
    while (oplog_step_write(oplog) || oplog_step_sync(oplog)) {
    }
    ck_assert_int_eq(oplog_error(oplog), 0);
    ck_assert_uint_eq(oplog_synced_position(oplog), oplog_end_position(oplog));

    simulated_disk_stop(failing.simulated);
    oplog_close(oplog);
    simulated_disk_start(failing.simulated);
    simulated_disk_lose_power(failing.simulated);
    int recovered = 0;
    struct oplog_recovery_plan plan = {
        .disk = &failing.disk, .apply = check_numbers, .context = &recovered};
    struct oplog_recovery recovery;
    ck_assert_int_eq(oplog_recover(&plan, &recovery), OPLOG_DONE);
    ck_assert_int_eq(recovered, appended);
    oplog_recovery_free(&recovery);
    failing_close(&failing);
    return is_reached;
}

START_TEST(failure_of_any_call_loses_nothing_once_the_disk_works_again) {
    static const int errors[] = {ENOSPC, EIO};
    static const uint64_t counts[] = {1, 2, 5, UINT64_MAX};
    for (size_t e = 0; e < UNIT_COUNT(errors); e++) {
        for (size_t c = 0; c < UNIT_COUNT(counts); c++) {
            uint64_t skip = 0;
            while (fail_and_heal(skip, counts[c], errors[e])) {
                skip++;
            }
            ck_assert_uint_gt(skip, 40);
        }
    }
}
END_TEST

START_TEST(error_is_there_from_the_failed_write_to_the_next_that_succeeds) {
    struct failing failing;
    struct oplog *oplog = failing_open(&failing, OPLOG_SYNC_EVERYSEC);
    simulated_disk_fail(failing.simulated, 0, UINT64_MAX, ENOSPC);
    buffer_append_string(&failing.batch.bytes, "content");
    uint64_t end = oplog_append(oplog, &failing.batch, 1);
    ck_assert_int_eq(oplog_error(oplog), ENOSPC);
    ck_assert_uint_eq(oplog_safe_position(oplog), 0);
    ck_assert(oplog_step_write(oplog));
    ck_assert_int_eq(oplog_error(oplog), ENOSPC);
    simulated_disk_heal(failing.simulated);
    ck_assert(oplog_step_write(oplog));
    ck_assert_int_eq(oplog_error(oplog), 0);
    ck_assert_uint_eq(oplog_safe_position(oplog), end);
    ck_assert_int_eq(oplog_close(oplog), 0);
    failing_close(&failing);
}
END_TEST

START_TEST(close_of_a_log_that_cannot_be_written_tells_what_is_lost) {
    struct failing failing;
    struct oplog *oplog = failing_open(&failing, OPLOG_SYNC_EVERYSEC);
    simulated_disk_fail(failing.simulated, 0, UINT64_MAX, EIO);
    buffer_append_string(&failing.batch.bytes, "content");
    oplog_append(oplog, &failing.batch, 1);
    ck_assert_int_eq(oplog_close(oplog), -EIO);
    failing_close(&failing);
}
END_TEST

/* A value of this length as a block, appended again and again: one copy in memory. */
#define LARGE_BYTES ((size_t)8 * 1024 * 1024)

START_TEST(log_is_full_from_its_maximum_of_pending_bytes_on) {
    struct failing failing;
    struct oplog *oplog = failing_open(&failing, OPLOG_SYNC_EVERYSEC);
    simulated_disk_fail(failing.simulated, 0, UINT64_MAX, ENOSPC);
    struct block *block = block_try_new(LARGE_BYTES);
    ck_assert_ptr_nonnull(block);
    memset(block->bytes, 'x', LARGE_BYTES);
    block->length = LARGE_BYTES;
    /* Refused at the first byte. */
    buffer_append_string(&failing.batch.bytes, "x");
    oplog_append(oplog, &failing.batch, 1);
    for (uint64_t pending = 0; pending + LARGE_BYTES < OPLOG_PENDING_BYTES_MAX;
         pending += LARGE_BYTES) {
        oplog_batch_add_block(&failing.batch, block);
        oplog_append(oplog, &failing.batch, 1);
        ck_assert(!oplog_is_full(oplog));
    }
    oplog_batch_add_block(&failing.batch, block);
    oplog_append(oplog, &failing.batch, 1);
    ck_assert(oplog_is_full(oplog));
    block_release(block);
    simulated_disk_stop(failing.simulated);
    ck_assert_int_ne(oplog_close(oplog), 0);
    failing_close(&failing);
}
END_TEST

START_TEST(no_more_is_written_than_may_be_unsynced) {
    struct failing failing;
    struct oplog *oplog = failing_open(&failing, OPLOG_SYNC_NO);
    struct block *block = block_try_new(LARGE_BYTES);
    ck_assert_ptr_nonnull(block);
    memset(block->bytes, 'x', LARGE_BYTES);
    block->length = LARGE_BYTES;
    uint64_t end = 0;
    for (uint64_t appended = 0; appended <= OPLOG_UNSYNCED_BYTES_MAX + LARGE_BYTES;
         appended += LARGE_BYTES) {
        oplog_batch_add_block(&failing.batch, block);
        end = oplog_append(oplog, &failing.batch, 1);
        while (oplog_step_write(oplog)) {
        }
    }
    ck_assert_uint_lt(oplog_written_position(oplog), end);
    ck_assert(oplog_step_sync(oplog));
    while (oplog_step_write(oplog)) {
    }
    ck_assert_uint_eq(oplog_written_position(oplog), end);
    block_release(block);
    ck_assert_int_eq(oplog_close(oplog), 0);
    failing_close(&failing);
}
END_TEST

struct sizes {
    const struct disk *disk;
    uint64_t bytes;
};

static void add_size(void *context, const char *name) {
    struct sizes *sizes = context;
    int error = 0;
    struct disk_file *file = sizes->disk->open(sizes->disk->context, name, false, &error);
    ck_assert_ptr_nonnull(file);
    sizes->bytes += (uint64_t)sizes->disk->size(file);
    sizes->disk->close(file);
}

static uint64_t bytes_on_disk(const struct disk *disk) {
    struct sizes sizes = {.disk = disk};
    ck_assert_int_eq(disk->list(disk->context, add_size, &sizes), 0);
    return sizes.bytes;
}

static void rest(struct oplog *oplog) {
    while (oplog_step_write(oplog) || oplog_step_sync(oplog)) {
    }
}

START_TEST(bytes_on_disk_are_those_of_the_files_with_room_set_aside) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_EVERYSEC});
    ck_assert_uint_ge(oplog_disk_bytes(oplog), PLACE_SEGMENT_BYTES);
    for (int i = 0; i < 300; i++) {
        place_append(&place, oplog, "some content of a frame");
        rest(oplog);
        ck_assert_uint_eq(oplog_disk_bytes(oplog), bytes_on_disk(&place.disk));
    }
    oplog_trim(oplog, oplog_end_position(oplog));
    ck_assert_uint_eq(oplog_disk_bytes(oplog), bytes_on_disk(&place.disk));
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(room_set_aside_goes_where_segments_become_smaller) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_EVERYSEC});
    while (oplog_disk_bytes(oplog) < 2 * PLACE_SEGMENT_BYTES) {
        place_append(&place, oplog, "some content of a frame");
        rest(oplog);
    }
    oplog_set_segment_bytes(oplog, 1000);
    rest(oplog);
    ck_assert_uint_lt(oplog_disk_bytes(oplog), PLACE_SEGMENT_BYTES);
    ck_assert_uint_eq(oplog_disk_bytes(oplog), bytes_on_disk(&place.disk));
    ck_assert_int_eq(oplog_close(oplog), 0);
    place_close(&place);
}
END_TEST

START_TEST(full_segment_goes_without_waiting_for_the_next_frame) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_EVERYSEC});
    place_append(&place, oplog, "small");
    oplog_renew(oplog);
    rest(oplog);
    struct oplog_figures figures;
    oplog_figures_read(oplog, &figures);
    ck_assert_uint_eq(figures.segments, 1);
    memset(buffer_reserve(&place.batch.bytes, 2 * PLACE_SEGMENT_BYTES), 0, 2 * PLACE_SEGMENT_BYTES);
    buffer_commit(&place.batch.bytes, 2 * PLACE_SEGMENT_BYTES);
    uint64_t end = oplog_append(oplog, &place.batch, 1234);
    rest(oplog);
    ck_assert_int_eq(oplog_trim(oplog, end), 0);
    oplog_renew(oplog);
    rest(oplog);
    ck_assert_int_eq(oplog_trim(oplog, end), 1);
    oplog_figures_read(oplog, &figures);
    ck_assert_uint_eq(figures.segments, 1);
    ck_assert_uint_eq(figures.start, end);
    struct history history = oplog_origin(oplog).history;
    ck_assert_int_eq(oplog_close(oplog), 0);
    struct buffer content = BUFFER_EMPTY;
    struct oplog_recovery_plan plan = {
        .disk = &place.disk, .from = end, .history = &history, .apply = place_collect};
    plan.context = &content;
    struct oplog_recovery recovery;
    ck_assert_int_eq(oplog_recover(&plan, &recovery), OPLOG_DONE);
    ck_assert_uint_eq(recovery.end, end);
    ck_assert(!recovery.is_behind);
    oplog_recovery_free(&recovery);
    buffer_free(&content);
    place_close(&place);
}
END_TEST

/* Starts in a row, none of which wrote anything: the snapshot is of the history before them. */
START_TEST(trim_keeps_what_tells_of_the_snapshots_history_where_several_begin_at_its_end) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_EVERYSEC});
    uint64_t end = place_append(&place, oplog, "all that there is");
    struct history of_snapshot = oplog_origin(oplog).history;
    ck_assert_int_eq(oplog_close(oplog), 0);
    for (int i = 0; i < 3; i++) {
        struct buffer content = BUFFER_EMPTY;
        struct oplog_recovery_plan plan = {
            .disk = &place.disk, .from = end, .history = &of_snapshot, .apply = place_collect};
        plan.context = &content;
        struct oplog_recovery recovery;
        ck_assert_int_eq(oplog_recover(&plan, &recovery), OPLOG_DONE);
        struct place_log how = {.parent = recovery.history, .begin = recovery.end};
        oplog = place_log_open(&place, how);
        oplog_trim(oplog, end);
        ck_assert_int_eq(oplog_close(oplog), 0);
        oplog_recovery_free(&recovery);
        buffer_free(&content);
    }
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
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    const TTest *tests[] = {
        append_to_an_idle_log_is_written_at_once_and_not_synced,
        always_is_safe_only_once_synced,
        threads_sync_what_many_frames_over_many_segments_hold,
        failure_of_any_call_loses_nothing_once_the_disk_works_again,
        error_is_there_from_the_failed_write_to_the_next_that_succeeds,
        close_of_a_log_that_cannot_be_written_tells_what_is_lost,
        log_is_full_from_its_maximum_of_pending_bytes_on,
        no_more_is_written_than_may_be_unsynced,
        bytes_on_disk_are_those_of_the_files_with_room_set_aside,
        room_set_aside_goes_where_segments_become_smaller,
        full_segment_goes_without_waiting_for_the_next_frame,
        trim_keeps_what_tells_of_the_snapshots_history_where_several_begin_at_its_end,
        folder_of_another_is_refused,
        segment_names_read_back_and_others_do_not,
    };
    Suite *suite = unit_suite("oplog", tests, UNIT_COUNT(tests));
    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(threads, appends_of_many_threads_come_back_in_the_order_of_each, 0, 3);
    suite_add_tcase(suite, threads);
    return unit_run(suite);
}
