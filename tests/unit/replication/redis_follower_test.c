#include "replication/redis_follower.h"

#include "base/bytes.h"
#include "base/crc64.h"
#include "base/memory.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#define ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER_ID "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MARK "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"
#define SET_A "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define SELECT_3 "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC "*1\r\n$4\r\nEXEC\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
#define GETACK "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"

struct fixture {
    struct redis_stand stand;
    struct redis_follower *follower;
    struct buffer lines; /* what the target was told */
    struct buffer file;
    bool refuses;
};

static bool target_file_begin(void *context, struct buffer *report) {
    struct fixture *fixture = context;
    (void)report;
    buffer_clear(&fixture->file);
    buffer_append_string(&fixture->lines, "file ");
    return true;
}

static bool target_file_bytes(void *context, struct span bytes, struct buffer *report) {
    (void)report;
    buffer_append_span(&((struct fixture *)context)->file, bytes);
    return true;
}

static bool target_file_end(void *context, struct buffer *report) {
    (void)report;
    buffer_append_string(&((struct fixture *)context)->lines, "end ");
    return true;
}

/* "3:SET a 1 ", with a plus if it is joined; a bar behind what takes effect together. */
static bool target_commands(void *context, const struct redis_command *commands, size_t count,
                            struct buffer *report) {
    struct fixture *fixture = context;
    if (fixture->refuses) {
        buffer_append_string(report, "this is refused");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        buffer_format(&fixture->lines, "%s%u:", commands[i].is_joined ? "+" : "",
                      commands[i].database);
        for (uint32_t k = 0; k < commands[i].args_count; k++) {
            buffer_append_span(&fixture->lines, commands[i].args[k]);
            buffer_append_byte(&fixture->lines, ' ');
        }
    }
    buffer_append_string(&fixture->lines, "| ");
    return true;
}

static void link_begin(struct fixture *fixture) {
    fixture->follower =
        redis_follower_new(&(struct redis_follower_plan){.target = {.context = fixture,
                                                                    .file_begin = target_file_begin,
                                                                    .file_bytes = target_file_bytes,
                                                                    .file_end = target_file_end,
                                                                    .commands = target_commands},
                                                         .stand = &fixture->stand});
}

static void fixture_begin(struct fixture *fixture) {
    *fixture = (struct fixture){.lines = BUFFER_EMPTY, .file = BUFFER_EMPTY};
    link_begin(fixture);
}

/* A link that goes on at 100 in database 3. */
static void fixture_begin_known(struct fixture *fixture) {
    *fixture = (struct fixture){.stand = {.id = ID, .offset = 100, .database = 3}};
    link_begin(fixture);
}

static void fixture_end(struct fixture *fixture) {
    redis_follower_free(fixture->follower);
    buffer_free(&fixture->lines);
    buffer_free(&fixture->file);
}

static bool give(struct fixture *fixture, struct span bytes) {
    return redis_follower_receive(fixture->follower, bytes, 5);
}

static bool say(struct fixture *fixture, const char *text) {
    return give(fixture, span_of_string(text));
}

static void expect_lines(struct fixture *fixture, const char *text) {
    buffer_append_byte(&fixture->lines, '\0');
    ck_assert_str_eq(fixture->lines.bytes, text);
    buffer_clear(&fixture->lines);
}

static void expect_sent(struct fixture *fixture, int64_t now_ms, const char *text) {
    struct buffer out = BUFFER_EMPTY;
    redis_follower_fill(fixture->follower, &out, now_ms);
    buffer_append_byte(&out, '\0');
    ck_assert_str_eq(out.bytes, text);
    buffer_free(&out);
}

static void expect_reason(struct fixture *fixture, const char *part) {
    ck_assert_int_eq(redis_follower_stage(fixture->follower), REDIS_FOLLOWER_ENDED);
    const char *reason = redis_follower_reason(fixture->follower);
    ck_assert_msg(strstr(reason, part) != NULL, "the reason is: %s", reason);
    ck_assert(!say(fixture, PING));
}

/* An RDB file of one key. Freed by the caller. */
static struct buffer make_file(void) {
    static const char items[] = "\xfe\x00\x00\x01k\x05hello\xff";
    struct buffer file = BUFFER_EMPTY;
    buffer_append_string(&file, "REDIS0010");
    buffer_append(&file, items, sizeof(items) - 1);
    uint64_t crc = crc64_add(CRC64_EMPTY, buffer_span(&file));
    bytes_store_u64(buffer_reserve(&file, sizeof(crc)), crc);
    buffer_commit(&file, sizeof(crc));
    return file;
}

/* What a primary sends in a whole sync, and behind it; text is the length's line. */
static struct buffer make_sync(const char *length, const char *mark, const char *behind) {
    struct buffer sync = BUFFER_EMPTY;
    struct buffer file = make_file();
    buffer_append_string(&sync, "\n\n+FULLRESYNC " ID " 500\r\n\n");
    buffer_append_string(&sync, length);
    buffer_append_span(&sync, buffer_span(&file));
    buffer_append_string(&sync, mark);
    buffer_append_string(&sync, behind);
    buffer_free(&file);
    return sync;
}

/* In pieces; loads when it is time to. */
static void give_sync(struct fixture *fixture, struct span sync, size_t piece) {
    for (size_t at = 0; at < sync.length;) {
        if (redis_follower_stage(fixture->follower) == REDIS_FOLLOWER_LOAD) {
            ck_assert_str_eq(fixture->stand.id, "");
            ck_assert(redis_follower_loaded(fixture->follower, 5));
        }
        size_t length = sync.length - at < piece ? sync.length - at : piece;
        ck_assert_msg(give(fixture, span_of(sync.bytes + at, length)), "%s",
                      redis_follower_reason(fixture->follower));
        at += length;
    }
    if (redis_follower_stage(fixture->follower) == REDIS_FOLLOWER_LOAD) {
        ck_assert(redis_follower_loaded(fixture->follower, 5));
    }
}

START_TEST(whole_sync_is_taken_in_pieces_of_any_size) {
    struct buffer file = make_file();
    char length[32];
    snprintf(length, sizeof(length), "$%zu\r\n", file.length);
    for (size_t form = 0; form < 2; form++) {
        struct buffer sync = form == 0 ? make_sync(length, "", SELECT_3 SET_A PING)
                                       : make_sync("$EOF:" MARK "\r\n", MARK, SELECT_3 SET_A PING);
        for (size_t piece = 1; piece <= sync.length; piece++) {
            struct fixture fixture;
            fixture_begin(&fixture);
            expect_sent(&fixture, 0, "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
            give_sync(&fixture, buffer_span(&sync), piece);
            expect_lines(&fixture, "file end 3:SET a 1 | ");
            ck_assert(span_equal(buffer_span(&fixture.file), buffer_span(&file)));
            ck_assert_str_eq(fixture.stand.id, ID);
            ck_assert_uint_eq(fixture.stand.offset, 500 + strlen(SELECT_3 SET_A PING));
            ck_assert_uint_eq(fixture.stand.database, 3);
            fixture_end(&fixture);
        }
        buffer_free(&sync);
    }
    buffer_free(&file);
}
END_TEST

START_TEST(link_that_goes_on_asks_for_the_next_byte_and_keeps_the_database) {
    struct fixture fixture;
    fixture_begin_known(&fixture);
    expect_sent(&fixture, 0, "*3\r\n$5\r\nPSYNC\r\n$40\r\n" ID "\r\n$3\r\n101\r\n");
    ck_assert(say(&fixture, "+CONTINUE " OTHER_ID "\r\n" SET_A));
    expect_lines(&fixture, "3:SET a 1 | ");
    ck_assert_str_eq(fixture.stand.id, OTHER_ID);
    ck_assert_uint_eq(fixture.stand.offset, 100 + strlen(SET_A));
    expect_sent(&fixture, 0, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n127\r\n");
    fixture_end(&fixture);
}
END_TEST

START_TEST(primary_is_told_each_second_and_when_it_asks) {
    struct fixture fixture;
    fixture_begin_known(&fixture);
    expect_sent(&fixture, 0, "*3\r\n$5\r\nPSYNC\r\n$40\r\n" ID "\r\n$3\r\n101\r\n");
    ck_assert(say(&fixture, "+CONTINUE\r\n"));
    const char *ack = "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n100\r\n";
    expect_sent(&fixture, 0, ack);
    expect_sent(&fixture, REDIS_FOLLOWER_ACK_MS - 1, "");
    expect_sent(&fixture, REDIS_FOLLOWER_ACK_MS, ack);
    ck_assert(say(&fixture, GETACK));
    expect_sent(&fixture, REDIS_FOLLOWER_ACK_MS + 1,
                "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n137\r\n");
    expect_lines(&fixture, "");
    fixture_end(&fixture);
}
END_TEST

START_TEST(primary_hears_of_us_while_the_file_is_loaded) {
    struct fixture fixture;
    fixture_begin(&fixture);
    struct buffer sync = make_sync("$EOF:" MARK "\r\n", MARK, "");
    ck_assert(give(&fixture, buffer_span(&sync)));
    ck_assert_int_eq(redis_follower_stage(fixture.follower), REDIS_FOLLOWER_LOAD);
    expect_sent(&fixture, 0, "*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
    expect_sent(&fixture, REDIS_FOLLOWER_ACK_MS, "\n");
    expect_sent(&fixture, REDIS_FOLLOWER_ACK_MS + 1, "");
    ck_assert(redis_follower_loaded(fixture.follower, 2000));
    expect_sent(&fixture, 2000, "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$3\r\n500\r\n");
    /* It was not listened to meanwhile: that is no silence of the primary's. */
    struct redis_follower_figures figures;
    redis_follower_figures_read(fixture.follower, &figures);
    ck_assert_int_eq(figures.heard_ms, 2000);
    buffer_free(&sync);
    fixture_end(&fixture);
}
END_TEST

START_TEST(transaction_takes_effect_whole_however_its_bytes_arrive) {
    const char *text = SET_A MULTI SET_A SELECT_3 PING SET_A EXEC "\n" SET_A;
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct fixture fixture;
        fixture_begin_known(&fixture);
        fixture.stand.database = 0;
        ck_assert(say(&fixture, "+CONTINUE\r\n"));
        for (size_t at = 0; at < strlen(text); at += piece) {
            size_t length = strlen(text) - at < piece ? strlen(text) - at : piece;
            ck_assert(give(&fixture, span_of(text + at, length)));
            /* Never stands inside of it. */
            uint64_t inside = fixture.stand.offset - 100;
            ck_assert(inside <= strlen(SET_A) ||
                      inside >= strlen(SET_A MULTI SET_A SELECT_3 PING SET_A EXEC));
        }
        ck_assert_uint_eq(fixture.stand.offset, 100 + strlen(text));
        ck_assert_uint_eq(fixture.stand.database, 3);
        buffer_append_byte(&fixture.lines, '\0');
        ck_assert_ptr_nonnull(strstr(fixture.lines.bytes, "0:SET a 1 +3:SET a 1 "));
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(broken_link_leaves_where_the_stream_stands) {
    struct fixture fixture;
    fixture_begin_known(&fixture);
    ck_assert(say(&fixture, "+CONTINUE\r\n" SET_A MULTI SET_A));
    expect_lines(&fixture, "3:SET a 1 | ");
    redis_follower_free(fixture.follower);
    link_begin(&fixture);
    expect_sent(&fixture, 0, "*3\r\n$5\r\nPSYNC\r\n$40\r\n" ID "\r\n$3\r\n128\r\n");
    ck_assert(say(&fixture, "+CONTINUE\r\n" MULTI SET_A EXEC));
    expect_lines(&fixture, "3:SET a 1 | ");
    fixture_end(&fixture);
}
END_TEST

START_TEST(answer_that_is_no_sync_ends_the_link_with_the_primarys_words) {
    const char *answers[] = {
        "-NOMASTERLINK Can't SYNC while not connected with my master\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "+FULLRESYNC " ID "\r\n",
        "+FULLRESYNC " ID " x\r\n",
        "+FULLRESYNC zz 5\r\n",
        "+FULLRESYNC 000000000000000000000000000000000000000g 5\r\n",
        "+FULLRESYNC 000000000000000000000000000000000000000F 5\r\n",
        "+FULLRESYNC 000000000000000000000000000000000000000: 5\r\n",
        "+CONTINUE " ID "\r\n", /* of nothing */
    };
    for (size_t i = 0; i < UNIT_COUNT(answers); i++) {
        struct fixture fixture;
        fixture_begin(&fixture);
        ck_assert(!say(&fixture, answers[i]));
        char begin[11];
        snprintf(begin, sizeof(begin), "%s", answers[i]);
        expect_reason(&fixture, begin);
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(file_that_is_not_as_it_was_announced_ends_the_link) {
    struct buffer file = make_file();
    const struct {
        const char *length;
        const char *mark;
        const char *reason;
    } rows[] = {
        {"$12\r\n", "", "end of the file"},
        {"$4000\r\n", "", "4000"},
        {"$EOF:" MARK "\r\n", OTHER_ID, "mark"},
        {"$0\r\n", "", "length"},
        {"$EOF:\r\n", "", "length"},
        {"?\r\n", "", "length"},
    };
    for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
        struct fixture fixture;
        fixture_begin(&fixture);
        struct buffer sync = make_sync(rows[i].length, rows[i].mark, "");
        ck_assert(!give(&fixture, buffer_span(&sync)));
        expect_reason(&fixture, rows[i].reason);
        ck_assert_str_eq(fixture.stand.id, "");
        buffer_free(&sync);
        fixture_end(&fixture);
    }
    buffer_free(&file);
}
END_TEST

START_TEST(stream_that_makes_no_sense_ends_the_link) {
    const char *streams[] = {
        "SET a 1\r\n", EXEC, MULTI MULTI, "*1\r\n!1\r\n", "*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n",
    };
    for (size_t i = 0; i < UNIT_COUNT(streams); i++) {
        struct fixture fixture;
        fixture_begin_known(&fixture);
        ck_assert(say(&fixture, "+CONTINUE\r\n"));
        ck_assert(!say(&fixture, streams[i]));
        expect_reason(&fixture, "the primary");
        ck_assert_uint_eq(fixture.stand.offset, 100);
        fixture_end(&fixture);
    }
}
END_TEST

START_TEST(command_that_is_refused_ends_the_link_before_it) {
    struct fixture fixture;
    fixture_begin_known(&fixture);
    ck_assert(say(&fixture, "+CONTINUE\r\n"));
    fixture.refuses = true;
    ck_assert(!say(&fixture, SET_A));
    expect_reason(&fixture, "this is refused");
    ck_assert_uint_eq(fixture.stand.offset, 100);
    fixture_end(&fixture);
}
END_TEST

START_TEST(line_without_end_ends_the_link) {
    struct fixture fixture;
    fixture_begin(&fixture);
    bool goes_on = true;
    for (size_t i = 0; goes_on && i <= REDIS_FOLLOWER_LINE_BYTES_MAX; i++) {
        goes_on = say(&fixture, "x");
    }
    ck_assert(!goes_on);
    expect_reason(&fixture, "line");
    fixture_end(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        whole_sync_is_taken_in_pieces_of_any_size,
        link_that_goes_on_asks_for_the_next_byte_and_keeps_the_database,
        primary_is_told_each_second_and_when_it_asks,
        primary_hears_of_us_while_the_file_is_loaded,
        transaction_takes_effect_whole_however_its_bytes_arrive,
        broken_link_leaves_where_the_stream_stands,
        answer_that_is_no_sync_ends_the_link_with_the_primarys_words,
        file_that_is_not_as_it_was_announced_ends_the_link,
        stream_that_makes_no_sense_ends_the_link,
        command_that_is_refused_ends_the_link_before_it,
        line_without_end_ends_the_link,
    };
    return unit_run(unit_suite("redis_follower", tests, UNIT_COUNT(tests)));
}
