/* Logs that follow another node's: given histories, given positions, turns. */
#include "oplog/oplog.h"

#include "base/hash.h"
#include "base/logger.h"
#include "oplog/segments.h"
#include "tests/simulation/disk.h"
#include "tests/unit/oplog/place.h"

#include <errno.h>
#include <pthread.h>

/* On a simulated disk; stepwise. */
struct follow {
    struct simulated_disk *simulated;
    struct disk disk;
    struct oplog_batch batch;
    struct history_origin origin; /* the first one */
    struct oplog *oplog;
};

static struct oplog *follow_open(struct follow *follow, uint64_t begin, int *error) {
    struct oplog_plan plan = {
        .disk = &follow->disk,
        .history = follow->origin.history,
        .parent = follow->origin.parent,
        .history_begin = follow->origin.begin,
        .begin = begin,
        .is_continued = true,
        .sync = OPLOG_SYNC_NO,
        .segment_bytes = 600,
        .progress = place_no_progress,
        .is_stepwise = true,
    };
    return oplog_open(&plan, error);
}

/* Of epoch 3, which began at 100; from `begin` on. */
static void follow_begin(struct follow *follow, uint64_t begin) {
    follow->simulated = simulated_disk_new(1);
    follow->disk = simulated_disk_interface(follow->simulated);
    follow->batch = OPLOG_BATCH_EMPTY;
    follow->origin = (struct history_origin){
        .history = {.epoch = 3, .id = "three"}, .parent = {.epoch = 2, .id = "two"}, .begin = 100};
    int error = 0;
    follow->oplog = follow_open(follow, begin, &error);
    ck_assert_int_eq(error, 0);
}

static void follow_end(struct follow *follow) {
    ck_assert_int_eq(oplog_close(follow->oplog), 0);
    oplog_batch_free(&follow->batch);
    simulated_disk_free(follow->simulated);
}

static enum oplog_received receive(struct follow *follow, uint64_t position, const char *text) {
    buffer_clear(&follow->batch.bytes);
    buffer_append_string(&follow->batch.bytes, text);
    struct oplog_received_frame received = {.position = position, .time_ms = 77};
    return oplog_append_frame(follow->oplog, &received, &follow->batch);
}

static uint64_t receive_next(struct follow *follow, const char *text) {
    uint64_t position = oplog_end_position(follow->oplog);
    ck_assert_int_eq(receive(follow, position, text), OPLOG_RECEIVED);
    return oplog_end_position(follow->oplog);
}

static struct history_origin child_of(const struct history_origin *parent, uint64_t begin) {
    struct history_origin child = {.history = parent->history, .parent = parent->history};
    child.history.epoch++;
    child.history.id[10]++;
    child.begin = begin;
    return child;
}

static void turn_next(struct follow *follow) {
    struct history_origin now = oplog_origin(follow->oplog);
    struct history_origin next = child_of(&now, oplog_end_position(follow->oplog));
    ck_assert_int_eq(oplog_turn(follow->oplog, &next), OPLOG_RECEIVED);
}

static void settle(struct follow *follow) {
    while (oplog_step_write(follow->oplog) || oplog_step_sync(follow->oplog)) {
    }
}

struct expected {
    uint64_t from;
    struct history history; /* which `from` is of */
    const char *contents;
};

/* Recovers; a history's first letters stand before its frames. */
static struct oplog_recovery recover(struct follow *follow, const struct expected *expected) {
    struct buffer lines = BUFFER_EMPTY;
    struct oplog_recovery_plan plan = {
        .disk = &follow->disk,
        .from = expected->from,
        .history = &expected->history,
        .apply = place_collect,
        .context = &lines,
    };
    struct oplog_recovery recovery;
    enum oplog_status status = oplog_recover(&plan, &recovery);
    buffer_append_byte(&recovery.report, '\0');
    ck_assert_msg(status == OPLOG_DONE, "status %d: %s", status, recovery.report.bytes);
    buffer_append_byte(&lines, '\0');
    ck_assert_str_eq(lines.bytes, expected->contents);
    buffer_free(&lines);
    return recovery;
}

START_TEST(log_that_follows_begins_anywhere_in_a_given_history) {
    struct follow follow;
    follow_begin(&follow, 5000);
    struct history_origin origin = oplog_origin(follow.oplog);
    ck_assert(history_equal(&origin.history, &follow.origin.history));
    ck_assert_uint_eq(origin.begin, 100);
    ck_assert_uint_eq(oplog_safe_position(follow.oplog), 5000);
    receive_next(&follow, "one");
    uint64_t end = receive_next(&follow, "two");
    ck_assert_int_eq(oplog_close(follow.oplog), 0);

    struct expected expected = {5000, follow.origin.history, "one\ntwo\n"};
    struct oplog_recovery recovery = recover(&follow, &expected);
    ck_assert_uint_eq(recovery.end, end);
    ck_assert(history_equal(&recovery.history, &follow.origin.history));
    ck_assert_uint_eq(recovery.histories_count, 2);
    ck_assert(history_equal(&recovery.histories[0].history, &follow.origin.parent));
    ck_assert_uint_eq(recovery.histories[1].begin, 100);
    oplog_recovery_free(&recovery);

    /* It goes on in that history, opening after opening, one of them without a frame. */
    int error = 0;
    follow.oplog = follow_open(&follow, end, &error);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(oplog_close(follow.oplog), 0);
    follow.oplog = follow_open(&follow, end, &error);
    ck_assert_int_eq(error, 0);
    receive_next(&follow, "three");
    ck_assert_int_eq(oplog_close(follow.oplog), 0);
    expected.contents = "one\ntwo\nthree\n";
    recovery = recover(&follow, &expected);
    ck_assert(history_equal(&recovery.history, &follow.origin.history));
    end = recovery.end;
    oplog_recovery_free(&recovery);
    follow.oplog = follow_open(&follow, end, &error);
    follow_end(&follow);
}
END_TEST

START_TEST(log_is_not_continued_in_a_history_that_is_not_its_last) {
    struct follow follow;
    follow_begin(&follow, 5000);
    uint64_t end = receive_next(&follow, "one");
    turn_next(&follow);
    struct history_origin last = oplog_origin(follow.oplog);
    ck_assert_int_eq(oplog_close(follow.oplog), 0);
    int error = 0;
    ck_assert_ptr_null(follow_open(&follow, end, &error));
    ck_assert_int_eq(error, -EEXIST);
    follow.origin = last;
    follow.origin.history.id[0] ^= 1;
    ck_assert_ptr_null(follow_open(&follow, end, &error));
    ck_assert_int_eq(error, -EEXIST);
    follow.origin = last;
    follow.oplog = follow_open(&follow, end, &error);
    ck_assert_int_eq(error, 0);
    follow_end(&follow);
}
END_TEST

START_TEST(frame_is_refused_unless_it_stands_at_the_end_and_is_what_was_sent) {
    struct follow follow;
    follow_begin(&follow, 5000);
    ck_assert_int_eq(receive(&follow, 4999, "text"), OPLOG_NOT_AT_END);
    ck_assert_int_eq(receive(&follow, 5001, "text"), OPLOG_NOT_AT_END);
    ck_assert_uint_eq(oplog_batch_bytes(&follow.batch), 4);
    ck_assert_int_eq(receive(&follow, 5000, ""), OPLOG_NOT_CONTENT);
    ck_assert_int_eq(receive(&follow, UINT64_MAX - 50, "text"), OPLOG_NOT_CONTENT);
    struct oplog_received_frame received = {
        .position = 5000, .checksum = checksum_bytes(span_of("text", 4)), .has_checksum = true};
    buffer_append_string(&follow.batch.bytes, "text");
    ck_assert_int_eq(oplog_append_frame(follow.oplog, &received, &follow.batch), OPLOG_NOT_CONTENT);
    ck_assert_uint_eq(oplog_end_position(follow.oplog), 5000);
    buffer_clear(&follow.batch.bytes);
    buffer_append_string(&follow.batch.bytes, "text");
    ck_assert_int_eq(oplog_append_frame(follow.oplog, &received, &follow.batch), OPLOG_RECEIVED);
    ck_assert_uint_eq(oplog_batch_bytes(&follow.batch), 0);
    ck_assert_uint_eq(oplog_end_position(follow.oplog), 5000 + OPLOG_FRAME_HEADER_BYTES + 4);
    follow_end(&follow);
}
END_TEST

START_TEST(turn_is_refused_unless_it_is_a_child_at_the_end) {
    struct follow follow;
    follow_begin(&follow, 5000);
    uint64_t end = receive_next(&follow, "one");
    struct history_origin turn = child_of(&follow.origin, end - 1);
    ck_assert_int_eq(oplog_turn(follow.oplog, &turn), OPLOG_NOT_AT_END);
    turn.begin = end;
    turn.parent.id[0] ^= 1;
    ck_assert_int_eq(oplog_turn(follow.oplog, &turn), OPLOG_NOT_A_CHILD);
    turn = child_of(&follow.origin, end);
    turn.history.epoch = 3;
    ck_assert_int_eq(oplog_turn(follow.oplog, &turn), OPLOG_NOT_A_CHILD);
    turn.history.epoch = UINT64_MAX;
    ck_assert_int_eq(oplog_turn(follow.oplog, &turn), OPLOG_NOT_A_CHILD);
    turn.history.epoch = 9;
    ck_assert_int_eq(oplog_turn(follow.oplog, &turn), OPLOG_RECEIVED);
    ck_assert_int_eq(oplog_turn(follow.oplog, &turn), OPLOG_NOT_A_CHILD);
    ck_assert_uint_eq(oplog_origin(follow.oplog).history.epoch, 9);
    follow_end(&follow);
}
END_TEST

START_TEST(nothing_of_a_history_is_written_before_all_of_the_one_before_is_synced) {
    struct follow follow;
    follow_begin(&follow, 5000);
    uint64_t first = receive_next(&follow, "one");
    turn_next(&follow);
    uint64_t end = receive_next(&follow, "two");
    struct oplog_figures figures;
    oplog_figures_read(follow.oplog, &figures);
    ck_assert_uint_eq(figures.turns_pending, 1);
    ck_assert(!oplog_step_write(follow.oplog));
    ck_assert_uint_eq(oplog_written_position(follow.oplog), first);
    ck_assert(oplog_step_sync(follow.oplog));
    ck_assert(oplog_step_write(follow.oplog));
    ck_assert(oplog_step_write(follow.oplog));
    ck_assert_uint_eq(oplog_written_position(follow.oplog), end);
    oplog_figures_read(follow.oplog, &figures);
    ck_assert_uint_eq(figures.turns_pending, 0);
    struct history_origin last = oplog_origin(follow.oplog);
    ck_assert_int_eq(oplog_close(follow.oplog), 0);
    struct expected expected = {5000, follow.origin.history, "one\ntwo\n"};
    struct oplog_recovery recovery = recover(&follow, &expected);
    ck_assert(history_equal(&recovery.history, &last.history));
    ck_assert_uint_eq(recovery.histories[2].begin, first);
    oplog_recovery_free(&recovery);
    int error = 0;
    follow.origin = last;
    follow.oplog = follow_open(&follow, end, &error);
    follow_end(&follow);
}
END_TEST

START_TEST(several_histories_may_turn_at_one_position_and_stand_in_the_log_each) {
    struct follow follow;
    follow_begin(&follow, 5000);
    turn_next(&follow);
    uint64_t first = receive_next(&follow, "one");
    turn_next(&follow);
    turn_next(&follow);
    turn_next(&follow);
    ck_assert_int_eq(oplog_sync_wait(follow.oplog), 0);
    struct oplog_figures figures;
    oplog_figures_read(follow.oplog, &figures);
    ck_assert_uint_eq(figures.turns_pending, 0);
    ck_assert_uint_eq(figures.segments, 5);
    receive_next(&follow, "two");
    ck_assert_int_eq(oplog_close(follow.oplog), 0);
    struct expected expected = {5000, follow.origin.history, "one\ntwo\n"};
    struct oplog_recovery recovery = recover(&follow, &expected);
    ck_assert_uint_eq(recovery.histories_count, 6);
    for (size_t i = 3; i < 6; i++) {
        ck_assert_uint_eq(recovery.histories[i].begin, first);
        ck_assert_uint_eq(recovery.histories[i].history.epoch, 2 + i);
    }
    oplog_recovery_free(&recovery);
    oplog_batch_free(&follow.batch);
    simulated_disk_free(follow.simulated);
}
END_TEST

START_TEST(trim_leaves_a_turned_log_that_knows_its_history) {
    struct follow follow;
    follow_begin(&follow, 5000);
    receive_next(&follow, "one");
    turn_next(&follow);
    uint64_t turned = oplog_end_position(follow.oplog);
    settle(&follow);
    ck_assert_int_eq(oplog_trim(follow.oplog, turned), 1);
    struct oplog_figures figures;
    oplog_figures_read(follow.oplog, &figures);
    ck_assert_uint_eq(figures.start, turned);
    struct history_origin last = oplog_origin(follow.oplog);
    ck_assert_int_eq(oplog_close(follow.oplog), 0);
    simulated_disk_lose_power(follow.simulated);
    struct expected expected = {turned, last.history, ""};
    struct oplog_recovery recovery = recover(&follow, &expected);
    ck_assert(recovery.is_found);
    ck_assert(history_equal(&recovery.history, &last.history));
    oplog_recovery_free(&recovery);
    oplog_batch_free(&follow.batch);
    simulated_disk_free(follow.simulated);
}
END_TEST

/* ---- a disk that fails ---- */

/* Frames and turns while the disk fails at call `skip`, `count` times. Then it works, the log comes
 * to rest, and all must be there after a loss of power. Answers whether the call was reached. */
static bool fail_and_heal(uint64_t skip, uint64_t count, int error) {
    struct follow follow;
    follow_begin(&follow, 5000);
    uint64_t calls = simulated_disk_calls(follow.simulated);
    simulated_disk_fail(follow.simulated, skip, count, error);
    struct buffer wanted = BUFFER_EMPTY;
    uint64_t turns = 0;
    for (int i = 0; i < 40; i++) {
        char text[32];
        snprintf(text, sizeof(text), "content number %d", i);
        receive_next(&follow, text);
        buffer_format(&wanted, "%s\n", text);
        if (i % 7 == 3) {
            turn_next(&follow);
            turns++;
        }
        oplog_step_write(follow.oplog);
        if (i % 3 == 0) {
            oplog_step_sync(follow.oplog);
        }
    }
    buffer_append_byte(&wanted, '\0');
    bool is_reached = simulated_disk_calls(follow.simulated) > calls + skip;
    simulated_disk_heal(follow.simulated);
    settle(&follow);
    ck_assert_int_eq(oplog_error(follow.oplog), 0);
    ck_assert_uint_eq(oplog_synced_position(follow.oplog), oplog_end_position(follow.oplog));
    struct history_origin last = oplog_origin(follow.oplog);
    simulated_disk_stop(follow.simulated);
    oplog_close(follow.oplog);
    simulated_disk_start(follow.simulated);
    simulated_disk_lose_power(follow.simulated);
    struct expected expected = {5000, follow.origin.history, wanted.bytes};
    struct oplog_recovery recovery = recover(&follow, &expected);
    ck_assert(history_equal(&recovery.history, &last.history));
    ck_assert_uint_eq(recovery.histories_count, turns + 2);
    oplog_recovery_free(&recovery);
    buffer_free(&wanted);
    oplog_batch_free(&follow.batch);
    simulated_disk_free(follow.simulated);
    return is_reached;
}

START_TEST(failure_of_any_call_around_turns_loses_nothing_once_the_disk_works_again) {
    static const int errors[] = {ENOSPC, EIO};
    static const uint64_t counts[] = {1, 2, 5, UINT64_MAX};
    for (size_t e = 0; e < UNIT_COUNT(errors); e++) {
        for (size_t c = 0; c < UNIT_COUNT(counts); c++) {
            uint64_t skip = 0;
            while (fail_and_heal(skip, counts[c], errors[e])) {
                skip++;
            }
            ck_assert_uint_gt(skip, 60);
        }
    }
}
END_TEST

START_TEST(close_tells_of_a_turn_that_could_not_be_written) {
    struct follow follow;
    follow_begin(&follow, 5000);
    simulated_disk_fail(follow.simulated, 0, UINT64_MAX, EIO);
    turn_next(&follow);
    ck_assert_int_eq(oplog_close(follow.oplog), -EIO);
    oplog_batch_free(&follow.batch);
    simulated_disk_free(follow.simulated);
}
END_TEST

/* ---- threads, and a reader that follows ---- */

/* What a reader sees: "epoch:content " per frame. */
static void read_on(struct oplog_reader *reader, uint64_t to, struct buffer *seen) {
    struct oplog_frame frame;
    oplog_reader_set_end(reader, to);
    enum oplog_read status;
    while ((status = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        buffer_format(seen, "%llu:%.*s ", (unsigned long long)oplog_reader_history(reader)->epoch,
                      (int)frame.content.length, frame.content.bytes);
    }
    ck_assert_int_eq(status, OPLOG_READ_END);
    ck_assert_uint_eq(oplog_reader_position(reader), to);
}

START_TEST(reader_follows_a_log_over_segments_and_turns_and_tells_each_frames_history) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog =
        place_log_open(&place, (struct place_log){.sync = OPLOG_SYNC_ALWAYS, .has_threads = true});
    struct buffer report = BUFFER_EMPTY;
    struct buffer seen = BUFFER_EMPTY;
    struct buffer wanted = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {.disk = &place.disk, .to = 0, .report = &report};
    struct oplog_reader *reader = NULL;
    ck_assert_int_eq(oplog_reader_open(&plan, &reader), OPLOG_READ_END);
    for (int i = 0; i < 1200; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%d", i);
        place_append(&place, oplog, text);
        buffer_format(&wanted, "%llu:%d ", (unsigned long long)oplog_origin(oplog).history.epoch,
                      i);
        if (i % 61 == 60) {
            oplog_fork(oplog);
            if (i % 2 == 0) {
                oplog_fork(oplog);
            }
        }
        if (i % 5 == 0) {
            read_on(reader, oplog_written_position(oplog), &seen);
        }
    }
    ck_assert_int_eq(oplog_sync_wait(oplog), 0);
    read_on(reader, oplog_written_position(oplog), &seen);
    ck_assert_uint_eq(seen.length, wanted.length);
    ck_assert(memcmp(seen.bytes, wanted.bytes, seen.length) == 0);
    oplog_reader_close(reader);
    ck_assert_int_eq(oplog_close(oplog), 0);
    buffer_free(&report);
    buffer_free(&seen);
    buffer_free(&wanted);
    place_close(&place);
}
END_TEST

#define APPENDERS 3
#define APPENDS 1500

static void *appender_main(void *context) {
    struct oplog *oplog = context;
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    for (int i = 0; i < APPENDS; i++) {
        buffer_format(&batch.bytes, "%d", i);
        oplog_append(oplog, &batch, i);
    }
    oplog_batch_free(&batch);
    return NULL;
}

START_TEST(forks_while_others_append_keep_every_frame) {
    struct log_place place;
    place_open(&place);
    struct oplog *oplog = place_log_open(
        &place, (struct place_log){.sync = (enum oplog_sync)_i, .has_threads = true});
    pthread_t threads[APPENDERS];
    for (int i = 0; i < APPENDERS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, appender_main, oplog), 0);
    }
    struct history before = oplog_origin(oplog).history;
    for (int i = 0; i < 25; i++) {
        struct history_origin origin = oplog_fork(oplog);
        ck_assert(history_equal(&origin.parent, &before));
        before = origin.history;
        ck_assert_int_eq(oplog_sync_wait(oplog), 0);
    }
    for (int i = 0; i < APPENDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(oplog_close(oplog), 0);
    struct buffer lines = BUFFER_EMPTY;
    struct oplog_recovery_plan plan = {
        .disk = &place.disk, .apply = place_collect, .context = &lines};
    struct oplog_recovery recovery;
    ck_assert_int_eq(oplog_recover(&plan, &recovery), OPLOG_DONE);
    ck_assert_uint_eq(recovery.frames, APPENDERS * APPENDS);
    ck_assert_uint_eq(recovery.histories_count, 26);
    oplog_recovery_free(&recovery);
    buffer_free(&lines);
    place_close(&place);
}
END_TEST

START_TEST(segments_know_the_time_of_their_first_frame) {
    struct follow follow;
    follow_begin(&follow, 5000);
    receive_next(&follow, "one");
    turn_next(&follow);
    settle(&follow);
    struct segments segments = SEGMENTS_EMPTY;
    ck_assert_int_eq(segments_read(&segments, &follow.disk), 0);
    ck_assert_uint_eq(segments.count, 2);
    ck_assert_int_eq(segments.found[0].time_ms, 77);
    ck_assert_int_eq(segments.found[1].time_ms, 0);
    segments_free(&segments);
    follow_end(&follow);
}
END_TEST

int main(void) {
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    const TTest *tests[] = {
        log_that_follows_begins_anywhere_in_a_given_history,
        log_is_not_continued_in_a_history_that_is_not_its_last,
        frame_is_refused_unless_it_stands_at_the_end_and_is_what_was_sent,
        turn_is_refused_unless_it_is_a_child_at_the_end,
        nothing_of_a_history_is_written_before_all_of_the_one_before_is_synced,
        several_histories_may_turn_at_one_position_and_stand_in_the_log_each,
        trim_leaves_a_turned_log_that_knows_its_history,
        failure_of_any_call_around_turns_loses_nothing_once_the_disk_works_again,
        close_tells_of_a_turn_that_could_not_be_written,
        reader_follows_a_log_over_segments_and_turns_and_tells_each_frames_history,
        segments_know_the_time_of_their_first_frame,
    };
    Suite *suite = unit_suite("follow", tests, UNIT_COUNT(tests));
    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(threads, forks_while_others_append_keep_every_frame, 0, 3);
    suite_add_tcase(suite, threads);
    return unit_run(suite);
}
