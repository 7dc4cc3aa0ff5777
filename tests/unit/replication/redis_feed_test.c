#include "replication/redis_feed.h"

#include "base/memory.h"

#include "tests/unit/replication/redis_log.h"

#include <stdio.h>

#define BEGIN 700
#define FILE_TEXT "REDIS0010 and what follows"
#define DEL_A "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n"
#define ROOM ((size_t)64 * 1024)

/* A primary: its log, and a file that is made when a test says so. */
struct fixture {
    struct redis_log log;
    struct redis_stream *stream;
    enum redis_feed_file file;
    uint64_t position; /* the file's */
    uint32_t asked;
    uint32_t ended;
    bool is_unreadable;
    struct redis_feed *feed;
    struct buffer out;
};

static uint64_t source_end(void *context) {
    return redis_log_end(&((struct fixture *)context)->log);
}

static enum redis_feed_file source_file(void *context, uint64_t *position, uint64_t *length) {
    struct fixture *fixture = context;
    fixture->asked++;
    *position = fixture->position;
    *length = strlen(FILE_TEXT);
    return fixture->file;
}

static bool source_file_read(void *context, uint64_t offset, size_t most, struct buffer *out) {
    struct fixture *fixture = context;
    buffer_append(out, FILE_TEXT + offset, most < 7 ? most : 7);
    return !fixture->is_unreadable;
}

static void source_file_end(void *context) {
    ((struct fixture *)context)->ended++;
}

static struct redis_stream *source_stream(void *context, uint64_t position) {
    struct fixture *fixture = context;
    if (fixture->stream == NULL) {
        fixture->stream = redis_stream_new(position);
    }
    return fixture->stream;
}

static void fixture_begin(struct fixture *fixture) {
    *fixture = (struct fixture){.file = REDIS_FILE_NOT_YET, .out = BUFFER_EMPTY};
    redis_log_open(&fixture->log, BEGIN);
    fixture->position = BEGIN;
}

static struct redis_feed *feed_open(struct fixture *fixture, struct redis_feed_plan plan) {
    plan.source = (struct redis_feed_source){
        .context = fixture,
        .log = &fixture->log.disk,
        .end = source_end,
        .file = source_file,
        .file_read = source_file_read,
        .file_end = source_file_end,
        .stream = source_stream,
    };
    return redis_feed_new(&plan);
}

static void fixture_end(struct fixture *fixture) {
    redis_feed_free(fixture->feed);
    redis_stream_free(fixture->stream);
    buffer_free(&fixture->out);
    redis_log_close(&fixture->log);
}

static uint64_t append_delete(struct fixture *fixture) {
    redis_log_effect(&fixture->log, 0, "a", (struct effect){.kind = EFFECT_KEY_DELETE});
    return redis_log_frame(&fixture->log);
}

static bool fill(struct fixture *fixture, int64_t now_ms) {
    return redis_feed_fill(fixture->feed, &fixture->out, ROOM, now_ms);
}

static void expect(struct fixture *fixture, const char *text) {
    buffer_append_byte(&fixture->out, '\0');
    ck_assert_str_eq(fixture->out.bytes, text);
    buffer_clear(&fixture->out);
}

static bool say(struct fixture *fixture, const char *text) {
    return redis_feed_receive(fixture->feed, span_of_string(text), 1);
}

static struct redis_feed_figures figures_of(const struct fixture *fixture) {
    struct redis_feed_figures figures;
    redis_feed_figures_read(fixture->feed, &figures);
    return figures;
}

/* As far as the stream, with what was sent on the way. */
static void sync_whole(struct fixture *fixture) {
    char text[200];
    fixture->feed = feed_open(fixture, (struct redis_feed_plan){.now_ms = 0});
    fixture->file = REDIS_FILE_READY;
    ck_assert(fill(fixture, 0));
    snprintf(text, sizeof(text), "+FULLRESYNC %s %d\r\n$%zu\r\n" FILE_TEXT,
             redis_stream_id(fixture->stream), BEGIN, strlen(FILE_TEXT));
    expect(fixture, text);
    ck_assert_int_eq(redis_feed_stage(fixture->feed), REDIS_FEED_STREAM);
}

START_TEST(replica_gets_the_file_and_then_what_the_log_holds_behind_it) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    ck_assert_uint_eq(fixture.ended, 1);
    append_delete(&fixture);
    append_delete(&fixture);
    ck_assert(fill(&fixture, 0));
    expect(&fixture, DEL_A DEL_A);
    ck_assert(fill(&fixture, 0));
    expect(&fixture, "");
    fixture_end(&fixture);
}
END_TEST

START_TEST(link_is_kept_alive_while_the_file_is_made) {
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.feed = feed_open(&fixture, (struct redis_feed_plan){.now_ms = 0});
    ck_assert_uint_eq(redis_feed_needs(fixture.feed), UINT64_MAX);
    ck_assert(fill(&fixture, REDIS_FEED_KEEPALIVE_MS - 1));
    expect(&fixture, "");
    ck_assert(fill(&fixture, REDIS_FEED_KEEPALIVE_MS));
    ck_assert(fill(&fixture, REDIS_FEED_KEEPALIVE_MS + 1));
    expect(&fixture, "\n");
    fixture.file = REDIS_FILE_FAILED;
    ck_assert(!fill(&fixture, REDIS_FEED_KEEPALIVE_MS + 2));
    ck_assert_str_ne(redis_feed_reason(fixture.feed), "");
    ck_assert_uint_eq(fixture.ended, 1);
    fixture_end(&fixture);
    ck_assert_uint_eq(fixture.ended, 1);
}
END_TEST

START_TEST(offset_of_a_later_file_is_counted_in_the_stream_there_is) {
    struct fixture fixture;
    fixture_begin(&fixture);
    source_stream(&fixture, BEGIN);
    append_delete(&fixture);
    fixture.position = append_delete(&fixture);
    append_delete(&fixture);
    fixture.file = REDIS_FILE_READY;
    fixture.feed = feed_open(&fixture, (struct redis_feed_plan){.now_ms = 0});
    ck_assert(fill(&fixture, 0));
    char text[200];
    snprintf(text, sizeof(text), "+FULLRESYNC %s %zu\r\n$%zu\r\n" FILE_TEXT DEL_A,
             redis_stream_id(fixture.stream), BEGIN + 2 * strlen(DEL_A), strlen(FILE_TEXT));
    expect(&fixture, text);
    fixture_end(&fixture);
}
END_TEST

START_TEST(replica_that_was_there_goes_on_at_its_byte) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    append_delete(&fixture);
    append_delete(&fixture);
    ck_assert(fill(&fixture, 0));
    redis_feed_free(fixture.feed);
    buffer_clear(&fixture.out);
    fixture.feed = feed_open(
        &fixture, (struct redis_feed_plan){.stream = fixture.stream, .offset = BEGIN + 5});
    ck_assert(fill(&fixture, 0));
    char text[200];
    snprintf(text, sizeof(text), "+CONTINUE %s\r\n%s" DEL_A, redis_stream_id(fixture.stream),
             DEL_A + 5);
    expect(&fixture, text);
    ck_assert(say(&fixture, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n705\r\n"));
    ck_assert_uint_eq(fixture.asked, 1);
    fixture_end(&fixture);
}
END_TEST

START_TEST(replica_that_claims_more_than_there_was_gets_a_file) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    redis_feed_free(fixture.feed);
    fixture.feed = feed_open(
        &fixture, (struct redis_feed_plan){.stream = fixture.stream, .offset = BEGIN + 1});
    ck_assert_int_eq(redis_feed_stage(fixture.feed), REDIS_FEED_FILE);
    ck_assert(figures_of(&fixture).is_whole);
    fixture_end(&fixture);
}
END_TEST

START_TEST(tool_that_says_sync_gets_no_line_and_one_that_wants_the_file_no_more_than_that) {
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.file = REDIS_FILE_READY;
    fixture.feed =
        feed_open(&fixture, (struct redis_feed_plan){.is_old = true, .wants_file = true});
    append_delete(&fixture);
    ck_assert(!fill(&fixture, 0));
    char text[200];
    snprintf(text, sizeof(text), "$%zu\r\n" FILE_TEXT, strlen(FILE_TEXT));
    expect(&fixture, text);
    ck_assert_str_eq(redis_feed_reason(fixture.feed), "");
    ck_assert_uint_eq(fixture.ended, 1);
    fixture_end(&fixture);
}
END_TEST

START_TEST(acknowledged_offset_is_a_position_that_the_replica_holds) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    uint64_t first = append_delete(&fixture);
    uint64_t second = append_delete(&fixture);
    ck_assert(fill(&fixture, 0));
    ck_assert_uint_eq(figures_of(&fixture).sent.position, second);
    ck_assert_uint_eq(figures_of(&fixture).heard.position, BEGIN);
    char text[100];
    snprintf(text, sizeof(text), "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n%zu\r\n\n",
             BEGIN + strlen(DEL_A) + 1);
    /* However its bytes arrive. */
    for (size_t i = 0; i < strlen(text); i++) {
        ck_assert(redis_feed_receive(fixture.feed, span_of(text + i, 1), 9));
    }
    ck_assert_uint_eq(figures_of(&fixture).heard.position, first);
    ck_assert_int_eq(figures_of(&fixture).heard_ms, 9);
    snprintf(text, sizeof(text),
             "*5\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n%zu\r\n$4\r\nFACK\r\n$3\r\n%zu\r\n",
             BEGIN + 2 * strlen(DEL_A), BEGIN + strlen(DEL_A));
    ck_assert(say(&fixture, text));
    ck_assert_uint_eq(figures_of(&fixture).heard.position, second);
    ck_assert_uint_eq(figures_of(&fixture).synced.position, first);
    ck_assert(!say(&fixture, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n999\r\n"));
    ck_assert_int_eq(redis_feed_stage(fixture.feed), REDIS_FEED_ENDED);
    fixture_end(&fixture);
}
END_TEST

START_TEST(places_that_a_replica_never_acknowledges_take_no_more_than_their_room) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    uint64_t last = 0;
    for (int i = 0; i < 3 * REDIS_FEED_PLACES_MAX; i++) {
        last = append_delete(&fixture);
    }
    ck_assert(fill(&fixture, 0));
    char text[100];
    snprintf(text, sizeof(text), "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$5\r\n%zu\r\n",
             BEGIN + 3 * REDIS_FEED_PLACES_MAX * strlen(DEL_A));
    ck_assert(say(&fixture, text));
    ck_assert_uint_eq(figures_of(&fixture).heard.position, last);
    fixture_end(&fixture);
}
END_TEST

START_TEST(replica_that_sends_what_is_no_command_is_left) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    ck_assert(say(&fixture, "PING\r\n\r\n\n*1\r\n$4\r\nECHO\r\n"));
    ck_assert(!say(&fixture, "*1\r\n!4\r\n"));
    ck_assert(!say(&fixture, "PING\r\n"));
    fixture_end(&fixture);
}
END_TEST

START_TEST(replica_that_sends_a_command_without_end_is_left) {
    struct fixture fixture;
    fixture_begin(&fixture);
    sync_whole(&fixture);
    char bytes[1024];
    memset(bytes, 'x', sizeof(bytes));
    bool goes_on = true;
    size_t said = 0;
    for (; goes_on && said <= 2 * REDIS_FEED_INPUT_BYTES_MAX; said += sizeof(bytes)) {
        goes_on = redis_feed_receive(fixture.feed, span_of(bytes, sizeof(bytes)), 1);
    }
    ck_assert(!goes_on);
    fixture_end(&fixture);
}
END_TEST

START_TEST(file_that_cannot_be_read_ends_the_link) {
    struct fixture fixture;
    fixture_begin(&fixture);
    fixture.file = REDIS_FILE_READY;
    fixture.is_unreadable = true;
    fixture.feed = feed_open(&fixture, (struct redis_feed_plan){.is_old = true});
    ck_assert(!fill(&fixture, 0));
    ck_assert_str_ne(redis_feed_reason(fixture.feed), "");
    fixture_end(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        replica_gets_the_file_and_then_what_the_log_holds_behind_it,
        link_is_kept_alive_while_the_file_is_made,
        offset_of_a_later_file_is_counted_in_the_stream_there_is,
        replica_that_was_there_goes_on_at_its_byte,
        replica_that_claims_more_than_there_was_gets_a_file,
        tool_that_says_sync_gets_no_line_and_one_that_wants_the_file_no_more_than_that,
        acknowledged_offset_is_a_position_that_the_replica_holds,
        places_that_a_replica_never_acknowledges_take_no_more_than_their_room,
        replica_that_sends_what_is_no_command_is_left,
        replica_that_sends_a_command_without_end_is_left,
        file_that_cannot_be_read_ends_the_link,
    };
    return unit_run(unit_suite("redis_feed", tests, UNIT_COUNT(tests)));
}
