#include "replication/redis_stream.h"

#include "base/memory.h"

#include "tests/unit/replication/redis_log.h"

#define BEGIN 700
#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC "*1\r\n$4\r\nEXEC\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
#define SET_A "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define DEL_A "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"

struct fixture {
    struct redis_log log;
    struct redis_stream *stream;
    struct buffer out;
};

static void fixture_begin(struct fixture *fixture) {
    redis_log_open(&fixture->log, BEGIN);
    fixture->stream = redis_stream_new(BEGIN);
    fixture->out = BUFFER_EMPTY;
}

static void fixture_end(struct fixture *fixture) {
    redis_stream_free(fixture->stream);
    buffer_free(&fixture->out);
    redis_log_close(&fixture->log);
}

static enum redis_read next(struct fixture *fixture, struct redis_cursor *cursor) {
    return redis_cursor_next(cursor, &fixture->log.disk, redis_log_end(&fixture->log),
                             &fixture->out);
}

/* All that there is for the cursor, behind what was read before. */
static void read_all(struct fixture *fixture, struct redis_cursor *cursor) {
    enum redis_read status;
    while ((status = next(fixture, cursor)) == REDIS_READ_DONE) {
    }
    ck_assert_int_eq(status, REDIS_READ_END);
}

static void expect(struct fixture *fixture, const char *text) {
    buffer_append_byte(&fixture->out, '\0');
    ck_assert_str_eq(fixture->out.bytes, text);
    buffer_clear(&fixture->out);
}

static void append_delete(struct fixture *fixture, uint32_t database, const char *key) {
    redis_log_effect(&fixture->log, database, key, (struct effect){.kind = EFFECT_KEY_DELETE});
}

START_TEST(effects_are_commands_and_those_of_one_group_are_a_transaction) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor cursor;
    ck_assert(redis_cursor_at_position(&cursor, fixture.stream, BEGIN));
    redis_log_set(&fixture.log, 0, "a", "1");
    redis_log_frame(&fixture.log);
    read_all(&fixture, &cursor);
    expect(&fixture, SET_A);
    /* Two groups, of two effects and of one. */
    redis_log_set(&fixture.log, 0, "a", "1");
    fixture.log.is_joined = true;
    append_delete(&fixture, 0, "a");
    fixture.log.is_joined = false;
    append_delete(&fixture, 0, "a");
    redis_log_frame(&fixture.log);
    read_all(&fixture, &cursor);
    expect(&fixture, MULTI SET_A DEL_A EXEC DEL_A);
    /* A key that goes to another database takes two commands. */
    redis_log_effect(
        &fixture.log, 0, "a",
        (struct effect){.kind = EFFECT_KEY_MOVE, .field = span_of("a", 1), .number = 1});
    redis_log_frame(&fixture.log);
    read_all(&fixture, &cursor);
    expect(&fixture, MULTI "*6\r\n$4\r\nCOPY\r\n$1\r\na\r\n$1\r\na\r\n$2\r\nDB\r\n$1\r\n1\r\n"
                           "$7\r\nREPLACE\r\n" DEL_A EXEC);
    redis_cursor_close(&cursor);
    fixture_end(&fixture);
}
END_TEST

START_TEST(stream_is_in_database_0_between_frames) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor cursor;
    ck_assert(redis_cursor_at_position(&cursor, fixture.stream, BEGIN));
    append_delete(&fixture, 11, "a");
    redis_log_frame(&fixture.log);
    redis_log_effect(&fixture.log, 0, "",
                     (struct effect){.kind = EFFECT_DATABASE_FLUSH, .number = 2});
    redis_log_frame(&fixture.log);
    append_delete(&fixture, 0, "a");
    redis_log_frame(&fixture.log);
    read_all(&fixture, &cursor);
    expect(&fixture, "*2\r\n$6\r\nSELECT\r\n$2\r\n11\r\n" DEL_A "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"
                     "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n*1\r\n$7\r\nFLUSHDB\r\n"
                     "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n" DEL_A);
    redis_cursor_close(&cursor);
    fixture_end(&fixture);
}
END_TEST

START_TEST(ping_stands_at_one_place_for_all_readers) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor first;
    struct redis_cursor second;
    ck_assert(redis_cursor_at_position(&first, fixture.stream, BEGIN));
    ck_assert(redis_cursor_at_position(&second, fixture.stream, BEGIN));
    append_delete(&fixture, 0, "a");
    redis_log_frame(&fixture.log);
    read_all(&fixture, &first);
    expect(&fixture, DEL_A);
    redis_stream_add(fixture.stream, REDIS_EXTRA_PING);
    redis_stream_add(fixture.stream, REDIS_EXTRA_PING);
    append_delete(&fixture, 0, "a");
    redis_log_frame(&fixture.log);
    read_all(&fixture, &first);
    expect(&fixture, PING PING DEL_A);
    read_all(&fixture, &second);
    expect(&fixture, DEL_A PING PING DEL_A);
    ck_assert_uint_eq(first.at.offset, second.at.offset);
    ck_assert_uint_eq(first.at.offset, BEGIN + strlen(DEL_A PING PING DEL_A));
    ck_assert_uint_eq(redis_stream_end(fixture.stream).offset, first.at.offset);
    redis_cursor_close(&first);
    redis_cursor_close(&second);
    fixture_end(&fixture);
}
END_TEST

static void append_many(struct fixture *fixture, size_t bytes) {
    char *value = memory_alloc(1001);
    memset(value, 'v', 1000);
    value[1000] = '\0';
    for (size_t i = 0; i < bytes / 1000; i++) {
        if (i % 10 == 3) {
            redis_stream_add(fixture->stream, REDIS_EXTRA_GETACK);
        }
        redis_log_set(&fixture->log, (uint32_t)(i % 3), "key", value);
        redis_log_frame(&fixture->log);
    }
    memory_free(value);
}

START_TEST(from_each_offset_the_same_bytes_follow) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor cursor;
    ck_assert(redis_cursor_at_position(&cursor, fixture.stream, BEGIN));
    append_many(&fixture, 3 * REDIS_STREAM_MARK_BYTES);
    read_all(&fixture, &cursor);
    struct buffer whole = fixture.out;
    fixture.out = BUFFER_EMPTY;
    redis_cursor_close(&cursor);
    uint64_t end = redis_stream_end(fixture.stream).offset;
    ck_assert_uint_eq(end, BEGIN + whole.length);
    for (uint64_t offset = BEGIN; offset <= end; offset += 997) {
        struct redis_cursor again;
        ck_assert(redis_cursor_at_offset(&again, fixture.stream, offset));
        ck_assert_uint_le(again.at.offset, offset);
        /* What has to be made again to begin anywhere is bounded. */
        ck_assert_uint_lt(offset - again.at.offset, 2 * REDIS_STREAM_MARK_BYTES);
        size_t skipped = (size_t)(again.at.offset - BEGIN);
        read_all(&fixture, &again);
        ck_assert(span_equal(buffer_span(&fixture.out),
                             span_of(whole.bytes + skipped, whole.length - skipped)));
        buffer_clear(&fixture.out);
        redis_cursor_close(&again);
    }
    ck_assert(!redis_cursor_at_offset(&cursor, fixture.stream, end + 1));
    ck_assert(!redis_cursor_at_offset(&cursor, fixture.stream, BEGIN - 1));
    ck_assert(!redis_cursor_at_position(&cursor, fixture.stream, BEGIN - 1));
    buffer_free(&whole);
    fixture_end(&fixture);
}
END_TEST

START_TEST(each_position_has_one_offset_however_it_is_counted) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor cursor;
    ck_assert(redis_cursor_at_position(&cursor, fixture.stream, BEGIN));
    append_many(&fixture, 2 * REDIS_STREAM_MARK_BYTES);
    struct redis_place places[200];
    size_t count = 0;
    while (next(&fixture, &cursor) == REDIS_READ_DONE && count < UNIT_COUNT(places)) {
        places[count++] = cursor.at;
    }
    for (size_t i = 0; i < count; i++) {
        struct redis_cursor other;
        ck_assert(redis_cursor_at_position(&other, fixture.stream, places[i].position));
        /* What has to be made again to begin anywhere is bounded. */
        ck_assert_uint_lt(places[i].offset - other.at.offset, 2 * REDIS_STREAM_MARK_BYTES);
        while (other.at.position < places[i].position) {
            ck_assert_int_eq(next(&fixture, &other), REDIS_READ_DONE);
        }
        ck_assert_uint_eq(other.at.position, places[i].position);
        /* A mark's own bytes stand behind the place. */
        ck_assert_uint_le(other.at.offset, places[i].offset);
        redis_cursor_close(&other);
    }
    redis_cursor_close(&cursor);
    fixture_end(&fixture);
}
END_TEST

/* Frames are larger than the commands that they stand for. */
START_TEST(small_changes_take_few_marks_and_are_found_by_position_too) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor cursor;
    ck_assert(redis_cursor_at_position(&cursor, fixture.stream, BEGIN));
    for (size_t i = 0; i < 2 * REDIS_STREAM_MARKS_MAX; i++) {
        append_delete(&fixture, 0, "a");
        redis_log_frame(&fixture.log);
    }
    read_all(&fixture, &cursor);
    buffer_clear(&fixture.out);
    uint64_t positions = cursor.at.position - BEGIN;
    uint64_t offsets = cursor.at.offset - BEGIN;
    ck_assert_uint_gt(positions, 2 * offsets);
    ck_assert_uint_gt(offsets, 2 * REDIS_STREAM_MARK_BYTES);
    struct redis_cursor other;
    ck_assert(redis_cursor_at_offset(&other, fixture.stream, BEGIN));
    redis_cursor_close(&other);
    ck_assert(redis_cursor_at_position(&other, fixture.stream, BEGIN + positions / 2));
    ck_assert_uint_le(other.at.position, BEGIN + positions / 2);
    redis_cursor_close(&other);
    redis_cursor_close(&cursor);
    fixture_end(&fixture);
}
END_TEST

START_TEST(each_stream_has_an_id_of_its_own) {
    struct redis_stream *one = redis_stream_new(BEGIN);
    struct redis_stream *other = redis_stream_new(BEGIN);
    ck_assert_uint_eq(strspn(redis_stream_id(one), "0123456789abcdef"), REDIS_ID_BYTES);
    ck_assert_uint_eq(strlen(redis_stream_id(one)), REDIS_ID_BYTES);
    ck_assert_str_ne(redis_stream_id(one), redis_stream_id(other));
    redis_stream_free(one);
    redis_stream_free(other);
}
END_TEST

START_TEST(reader_behind_all_marks_is_told_so) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct redis_cursor slow;
    ck_assert(redis_cursor_at_position(&slow, fixture.stream, BEGIN));
    for (size_t i = 0; i <= REDIS_STREAM_MARKS_MAX; i++) {
        redis_stream_add(fixture.stream, REDIS_EXTRA_PING);
    }
    ck_assert_int_eq(next(&fixture, &slow), REDIS_READ_FAILED);
    ck_assert_uint_gt(slow.report.length, 0);
    redis_cursor_close(&slow);
    ck_assert(!redis_cursor_at_offset(&slow, fixture.stream, BEGIN));
    fixture_end(&fixture);
}
END_TEST

START_TEST(damaged_content_is_refused) {
    struct buffer out = BUFFER_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    ck_assert(!redis_stream_commands(span_of("\xff\xff\xff", 3), &out, &report));
    ck_assert_uint_gt(report.length, 0);
    buffer_free(&out);
    buffer_free(&report);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        effects_are_commands_and_those_of_one_group_are_a_transaction,
        stream_is_in_database_0_between_frames,
        ping_stands_at_one_place_for_all_readers,
        from_each_offset_the_same_bytes_follow,
        each_position_has_one_offset_however_it_is_counted,
        small_changes_take_few_marks_and_are_found_by_position_too,
        each_stream_has_an_id_of_its_own,
        reader_behind_all_marks_is_told_so,
        damaged_content_is_refused,
    };
    return unit_run(unit_suite("redis_stream", tests, UNIT_COUNT(tests)));
}
