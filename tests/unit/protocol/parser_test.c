#include "protocol/parser.h"

#include "base/block.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "tests/unit/protocol/parser_feed.h"
#include "tests/unit/unit.h"

#define LINE_MAX_BYTES PARSER_LINE_BYTES_MAX

static const struct parser_limits limits_open = {
    .bulk_bytes_max = (size_t)512 * 1024 * 1024, .authenticated = true, .take_large = true};

/* A stream, and the transcript of what redis-server 7 makes of it. */
struct example {
    struct span stream;
    const char *transcript;
};
#define EXAMPLE(literal, text)                                                                     \
    { .stream = SPAN_LITERAL(literal), .transcript = (text) }

static const struct example multibulk_examples[] = {
    EXAMPLE("*1\r\n$4\r\nPING\r\n", "[PING]\n"),
    EXAMPLE("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000012345\r\n", "[GET][key:000000012345]\n"),
    EXAMPLE("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
            "[SET][k][]\n[GET][k]\n"),
    EXAMPLE("*12\r\n$3\r\nDEL\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6\r\n"
            "$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n$2\r\n10\r\n$2\r\n11\r\n",
            "[DEL][1][2][3][4][5][6][7][8][9][10][11]\n"),
    EXAMPLE("*2\r\n$4\r\nECHO\r\n$100\r\n"
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
            "234567890123456789\r\n",
            "[ECHO][0123456789012345678901234567890123456789012345678901234567890123456789012345678"
            "901234567890123456789]\n"),
    EXAMPLE("*2\r\n$4\r\nECHO\r\n$8\r\n\r\n*1\r\n$4\r\n", "[ECHO][\r\n*1\r\n$4]\n"),
    /* Nothing to do. */
    EXAMPLE("*0\r\n*-1\r\n*-9223372036854775808\r\n*1\r\n$4\r\nPING\r\n", "\n\n\n[PING]\n"),
    /* The byte behind a CR, and the two behind a value, are not looked at. */
    EXAMPLE("*1\rx$4\ryPING\r\n*1\r\n$4\r\nPINGzz*10\r\r", "[PING]\n[PING]\n"),
    EXAMPLE("*1\r\n$4\r\nPING\n\rPING\r\n", "[PING]\n[PING]\n"),
};

static const struct example inline_examples[] = {
    EXAMPLE("PING\r\nPING\n", "[PING]\n[PING]\n"),
    EXAMPLE("\r\n\n   \r\n \t\v\f\rPING\t a\x0b b \r\r\n", "\n\n\n[PING][a\x0b][b]\n"),
    EXAMPLE("ECHO\ra\tb\n", "[ECHO][a][b]\n"),
    EXAMPLE("  *1\r\n$4\r\n", "[*1]\n[$4]\n"),
    EXAMPLE("SET \"\" ''\n", "[SET][][]\n"),
    EXAMPLE("\"PING\" 'a' b\n", "[PING][a][b]\n"),
    EXAMPLE("ECHO \"a b\"\v\"c'd\" 'e\"f'\n", "[ECHO][a b][c'd][e\"f]\n"),
    EXAMPLE("ECHO a\"b c\" d'e f' g\"\"\n", "[ECHO][ab c][de f][g]\n"),
    EXAMPLE("ECHO \"\\x41\\n\\r\\t\\a\\b\\q\\\"\\\\\"\n", "[ECHO][A\n\r\t\a\bq\"\\]\n"),
    EXAMPLE("ECHO \"\\x4\" \"\\xzz\" \"\\xaF\\XAF\"\n", "[ECHO][x4][xzz][\xafXAF]\n"),
    EXAMPLE("ECHO 'a\\'b\\n' a\\nb\n", "[ECHO][a'b\\n][a\\nb]\n"),
    EXAMPLE("ECHO 'one of several long quoted arguments' 'one of several long quoted arguments' "
            "'one of several long quoted arguments' 'one of several long quoted arguments'\n",
            "[ECHO][one of several long quoted arguments][one of several long quoted arguments]"
            "[one of several long quoted arguments][one of several long quoted arguments]\n"),
    EXAMPLE("ECHO \"a\rb\xff\" \xff\xa0\n", "[ECHO][a\rb\xff][\xff\xa0]\n"),
};

#define ERROR_MULTIBULK "!ERR Protocol error: invalid multibulk length\n"
#define ERROR_BULK "!ERR Protocol error: invalid bulk length\n"
#define ERROR_QUOTES "!ERR Protocol error: unbalanced quotes in request\n"
#define ERROR_EXPECTED(got) "!ERR Protocol error: expected '$', got '" got "'\n"

static const struct example error_examples[] = {
    EXAMPLE("*a\r\n", ERROR_MULTIBULK),
    EXAMPLE("*\r\n", ERROR_MULTIBULK),
    EXAMPLE("*+1\r\n$4\r\nPING\r\n", ERROR_MULTIBULK),
    EXAMPLE("*01\r\n$4\r\nPING\r\n", ERROR_MULTIBULK),
    EXAMPLE("* 1\r\n$4\r\nPING\r\n", ERROR_MULTIBULK),
    EXAMPLE("*-0\r\n", ERROR_MULTIBULK),
    EXAMPLE("*:\r\n", ERROR_MULTIBULK),
    EXAMPLE("*/\r\n", ERROR_MULTIBULK),
    EXAMPLE("*1\n\r\n$4\r\nPING\r\n", ERROR_MULTIBULK),
    EXAMPLE("*2147483648\r\n", ERROR_MULTIBULK),
    EXAMPLE("*9223372036854775808\r\n", ERROR_MULTIBULK),
    EXAMPLE("*-9223372036854775809\r\n", ERROR_MULTIBULK),
    EXAMPLE("*99999999999999999999\r\n", ERROR_MULTIBULK),
    EXAMPLE("*1\r\nPING\r\n", ERROR_EXPECTED("P")),
    EXAMPLE("*2\r\n$4\r\nECHO\r\n:1\r\nx\r\n", ERROR_EXPECTED(":")),
    EXAMPLE("*1\r\n\r\n", ERROR_EXPECTED(" ")),
    EXAMPLE("*1\r\n\n\r\n", ERROR_EXPECTED(" ")),
    EXAMPLE("*1\r\n\xff\r\n", ERROR_EXPECTED("\xff")),
    EXAMPLE("*1\r\n$\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$a\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$4a\r\nPING\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$-1\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$-0\r\n\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$04\r\nPING\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$+4\r\nPING\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$4\n\r\nPING\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$536870913\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$18446744073709551617\r\nx\r\n", ERROR_BULK),
    EXAMPLE("*1\r\n$:\r\n0123456789\r\n", ERROR_BULK),
    EXAMPLE("ECHO \"a\r\n", ERROR_QUOTES),
    EXAMPLE("ECHO 'a\r\n", ERROR_QUOTES),
    EXAMPLE("ECHO \"a\"b\r\n", ERROR_QUOTES),
    EXAMPLE("ECHO 'a'b\r\n", ERROR_QUOTES),
    EXAMPLE("ECHO \"\"\"\"\r\n", ERROR_QUOTES),
    EXAMPLE("ECHO \"\\\"\r\n", ERROR_QUOTES),
    EXAMPLE("ECHO \"\\\n", ERROR_QUOTES),
    EXAMPLE("ECHO '\\'\n", ERROR_QUOTES),
    EXAMPLE("ECHO a \"b\"\xa0\n", ERROR_QUOTES),
    EXAMPLE("PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n", "[PING]\n[PING]\n" ERROR_MULTIBULK),
};

/* Fails unless the stream, cut like that, gives the transcript. */
static void expect_cut(struct span stream, struct parser_limits limits, struct feed_pieces pieces,
                       struct span expected) {
    struct buffer got = feed_run(stream, limits, pieces);
    ck_assert_msg(span_equal(buffer_span(&got), expected),
                  "\"%.*s\" in pieces of %zu and %zu gives\n%.*s\ninstead of\n%.*s",
                  (int)stream.length, stream.bytes, pieces.first, pieces.later, (int)got.length,
                  got.bytes == NULL ? "" : got.bytes, (int)expected.length, expected.bytes);
    buffer_free(&got);
}

static void expect(struct span stream, struct parser_limits limits, const char *transcript) {
    expect_cut(stream, limits, (struct feed_pieces){0}, span_of_string(transcript));
}

static void expect_examples(const struct example *examples, size_t count) {
    for (size_t i = 0; i < count; i++) {
        expect(examples[i].stream, limits_open, examples[i].transcript);
    }
}

/* Every cut in two, byte by byte, and by twos and threes. */
static void expect_the_same_in_pieces(const struct example *examples, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct span expected = span_of_string(examples[i].transcript);
        for (size_t at = 1; at < examples[i].stream.length; at++) {
            expect_cut(examples[i].stream, limits_open, (struct feed_pieces){.first = at},
                       expected);
        }
        for (size_t length = 1; length <= 3; length++) {
            expect_cut(examples[i].stream, limits_open,
                       (struct feed_pieces){.first = length, .later = length}, expected);
        }
    }
}

START_TEST(parser_reads_multibulk_commands) {
    expect_examples(multibulk_examples, UNIT_COUNT(multibulk_examples));
}
END_TEST

START_TEST(parser_reads_inline_commands_with_quotes_and_escapes) {
    expect_examples(inline_examples, UNIT_COUNT(inline_examples));
}
END_TEST

START_TEST(parser_refuses_malformed_input_with_the_texts_of_redis) {
    expect_examples(error_examples, UNIT_COUNT(error_examples));
}
END_TEST

START_TEST(parser_gives_the_same_however_the_stream_is_cut) {
    expect_the_same_in_pieces(multibulk_examples, UNIT_COUNT(multibulk_examples));
    expect_the_same_in_pieces(inline_examples, UNIT_COUNT(inline_examples));
    expect_the_same_in_pieces(error_examples, UNIT_COUNT(error_examples));
}
END_TEST

START_TEST(parser_waits_for_the_rest_of_a_command) {
    static const char *const parts[] = {
        "",
        "*",
        "*1",
        "*1\r",
        "*1\r\n",
        "*1\r\n$",
        "*1\r\n$0",
        "*1\r\n$0\r",
        "*1\r\n$0\r\n",
        "*1\r\n$0\r\n\r",
        "*1\r\n$4\r\nPING",
        "*1\r\n$4\r\nPING\r",
        "*1\r\n$16383\r\nx",
        "PING",
        "PING\r",
        " ",
    };
    for (size_t i = 0; i < UNIT_COUNT(parts); i++) {
        expect(span_of_string(parts[i]), limits_open, "");
    }
}
END_TEST

/* `count` times `byte` between two texts. */
static struct buffer repeated(const char *before, char byte, size_t count, const char *after) {
    struct buffer text = BUFFER_EMPTY;
    buffer_append_string(&text, before);
    memset(buffer_reserve(&text, count + 1), byte, count);
    buffer_commit(&text, count);
    buffer_append_string(&text, after);
    return text;
}

/* A line of `count` bytes that goes on is waited for up to the limit, and one more is an error. */
static void expect_line_limit(const char *before, char byte, size_t count, const char *error) {
    struct buffer text = repeated(before, byte, count, "");
    expect(buffer_span(&text), limits_open, "");
    buffer_append_byte(&text, byte);
    expect(buffer_span(&text), limits_open, error);
    expect_cut(buffer_span(&text), limits_open, (struct feed_pieces){.first = 7, .later = 1000},
               span_of_string(error));
    buffer_append_string(&text, "\r\n");
    expect(buffer_span(&text), limits_open, error);
    buffer_free(&text);
}

START_TEST(parser_limits_the_length_of_lines) {
    expect_line_limit("", 'x', LINE_MAX_BYTES, "!ERR Protocol error: too big inline request\n");
    expect_line_limit("*", '1', LINE_MAX_BYTES - 1,
                      "!ERR Protocol error: too big mbulk count string\n");
    expect_line_limit("*1\r\n$", '1', LINE_MAX_BYTES - 1,
                      "!ERR Protocol error: too big bulk count string\n");
    expect_line_limit("*1\r\n", 'x', LINE_MAX_BYTES,
                      "!ERR Protocol error: too big bulk count string\n");
}
END_TEST

START_TEST(parser_takes_lines_of_the_longest_length) {
    struct buffer text = repeated("", 'x', LINE_MAX_BYTES - 1, "\r\nPING\r\n");
    struct buffer expected = repeated("[", 'x', LINE_MAX_BYTES - 1, "]\n[PING]\n");
    expect_cut(buffer_span(&text), limits_open, (struct feed_pieces){0}, buffer_span(&expected));
    expect_cut(buffer_span(&text), limits_open, (struct feed_pieces){.first = LINE_MAX_BYTES},
               buffer_span(&expected));
    buffer_free(&text);
    buffer_free(&expected);
    text = repeated("*", '1', LINE_MAX_BYTES - 1, "\r\n");
    expect(buffer_span(&text), limits_open, ERROR_MULTIBULK);
    expect_cut(buffer_span(&text), limits_open, (struct feed_pieces){.first = LINE_MAX_BYTES + 1},
               span_of_string(ERROR_MULTIBULK));
    buffer_free(&text);
}
END_TEST

START_TEST(parser_never_ends_a_line_that_holds_a_zero_byte) {
    static const struct example streams[] = {
        EXAMPLE("\0PING\r\nPING\r\n", ""), EXAMPLE("ECHO \"\0\"\nPING\n", ""),
        EXAMPLE("*1\0\r\n$4\r\nPING\r\n", ""), EXAMPLE("*1\r\n$4\0\r\nPING\r\n", "")};
    expect_examples(streams, UNIT_COUNT(streams));
    expect_the_same_in_pieces(streams, UNIT_COUNT(streams));
    struct buffer text = repeated("", '\0', 1, "");
    for (size_t i = 0; i < LINE_MAX_BYTES / 8; i++) {
        buffer_append(&text, "AAAAAA\r\n", 8);
    }
    expect(buffer_span(&text), limits_open, "!ERR Protocol error: too big inline request\n");
    buffer_free(&text);
}
END_TEST

START_TEST(parser_takes_zero_bytes_in_bulk_strings) {
    struct parser parser;
    parser_init(&parser);
    static const char command[] = "*2\r\n$4\r\nECHO\r\n$3\r\na\0b\r\n";
    ck_assert(parser_next(&parser, command, sizeof(command) - 1, &limits_open) == PARSER_READY);
    ck_assert_uint_eq(parser.arguments.count, 2);
    ck_assert(span_equal(parser.arguments.items[1], span_of("a\0b", 3)));
    ck_assert_uint_eq(parser.consumed, sizeof(command) - 1);
    parser_free(&parser);
}
END_TEST

START_TEST(parser_limits_lengths_before_authentication) {
    struct parser_limits limits = limits_open;
    limits.authenticated = false;
    expect(span_of_string("*10\r\n"), limits, "");
    expect(span_of_string("*11\r\n"), limits,
           "!ERR Protocol error: unauthenticated multibulk length\n");
    expect(span_of_string("*1\r\n$16384\r\n"), limits, "");
    expect(span_of_string("*1\r\n$16385\r\n"), limits,
           "!ERR Protocol error: unauthenticated bulk length\n");
    expect(span_of_string("*2147483648\r\n"), limits, ERROR_MULTIBULK);
    expect(span_of_string("*1\r\n$536870913\r\n"), limits, ERROR_BULK);
    expect(span_of_string("*-1\r\n*9\r\n"), limits, "\n");
}
END_TEST

START_TEST(parser_limits_bulk_strings_to_the_configured_length) {
    struct parser_limits limits = limits_open;
    limits.bulk_bytes_max = (size_t)1024 * 1024;
    expect(span_of_string("*1\r\n$1048576\r\n"), limits, "");
    expect(span_of_string("*1\r\n$1048577\r\n"), limits, ERROR_BULK);
}
END_TEST

START_TEST(parser_allocates_nothing_for_an_announced_count) {
    struct parser parser;
    parser_init(&parser);
    static const char command[] = "*2147483647\r\n$4\r\nMGET\r\n";
    ck_assert(parser_next(&parser, command, 13, &limits_open) == PARSER_INCOMPLETE);
    ck_assert_uint_eq(parser.arguments.capacity, 0);
    ck_assert(parser_next(&parser, command, sizeof(command) - 1, &limits_open) ==
              PARSER_INCOMPLETE);
    ck_assert_uint_eq(parser.arguments.count, 1);
    ck_assert_uint_le(parser.arguments.capacity, 8);
    parser_free(&parser);
}
END_TEST

#define MANY_ARGUMENTS (ARGUMENTS_KEPT_MAX * 3)

START_TEST(parser_gives_back_a_long_argument_list) {
    struct buffer text = BUFFER_EMPTY;
    buffer_format(&text, "*%d\r\n", MANY_ARGUMENTS);
    for (int i = 0; i < MANY_ARGUMENTS; i++) {
        buffer_append_string(&text, "$0\r\n\r\n");
    }
    struct parser parser;
    parser_init(&parser);
    ck_assert(parser_next(&parser, text.bytes, text.length, &limits_open) == PARSER_READY);
    ck_assert_uint_eq(parser.arguments.count, MANY_ARGUMENTS);
    ck_assert_uint_eq(parser.consumed, text.length);
    ck_assert(parser_next(&parser, text.bytes, 0, &limits_open) == PARSER_INCOMPLETE);
    ck_assert_uint_eq(parser.arguments.count, 0);
    ck_assert_uint_eq(parser.arguments.capacity, 0);
    parser_free(&parser);
    buffer_free(&text);
}
END_TEST

START_TEST(parser_answers_an_error_again) {
    static const char *const streams[] = {"*x\r\n", "*1\r\nx\r\n", "ECHO a 'b\r\n"};
    for (size_t i = 0; i < UNIT_COUNT(streams); i++) {
        struct parser parser;
        parser_init(&parser);
        size_t length = strlen(streams[i]);
        ck_assert(parser_next(&parser, streams[i], length, &limits_open) == PARSER_ERROR);
        const char *error = parser.error;
        ck_assert(parser_next(&parser, streams[i], length, &limits_open) == PARSER_ERROR);
        ck_assert_str_eq(parser.error, error);
        parser_free(&parser);
    }
}
END_TEST

START_TEST(parser_keeps_quoted_arguments_when_the_buffer_moves) {
    struct parser parser;
    parser_init(&parser);
    char line[] = "SET key \"a b\"\n";
    ck_assert(parser_next(&parser, line, sizeof(line) - 1, &limits_open) == PARSER_READY);
    char elsewhere[sizeof(line)];
    memcpy(elsewhere, line, sizeof(line));
    memset(line, 'x', sizeof(line));
    parser_rebase(&parser, line, elsewhere);
    ck_assert(span_equal(parser.arguments.items[0], span_of_string("SET")));
    ck_assert(span_equal(parser.arguments.items[1], span_of_string("key")));
    ck_assert(span_equal(parser.arguments.items[2], span_of_string("a b")));
    /* The next command gives their memory back. */
    ck_assert(parser_next(&parser, "", 0, &limits_open) == PARSER_INCOMPLETE);
    ck_assert_ptr_null(parser.unquoted.bytes);
    parser_free(&parser);
}
END_TEST

/* "*4 SET k <length bytes> <tail>" and PING. */
static struct buffer large_stream(size_t length) {
    struct buffer text = BUFFER_EMPTY;
    buffer_format(&text, "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", length);
    memset(buffer_reserve(&text, length), 'v', length);
    buffer_commit(&text, length);
    buffer_append_string(&text, "\r\n$4\r\ntail\r\n*1\r\n$4\r\nPING\r\n");
    return text;
}

static struct buffer large_transcript(size_t length, const char *mark) {
    struct buffer before = BUFFER_EMPTY;
    buffer_format(&before, "[SET][k][%s", mark);
    buffer_append_byte(&before, '\0');
    struct buffer text = repeated(before.bytes, 'v', length, "][tail]\n[PING]\n");
    buffer_free(&before);
    return text;
}

/* Cuts near the header and near the end of the value, and some between. */
static void expect_large(size_t length, struct parser_limits limits, const char *mark) {
    struct buffer stream = large_stream(length);
    struct buffer expected = large_transcript(length, mark);
    for (size_t at = 1; at<stream.length; at += at> 64 && at + 1100 < stream.length ? 997 : 1) {
        expect_cut(buffer_span(&stream), limits, (struct feed_pieces){.first = at},
                   buffer_span(&expected));
    }
    for (size_t piece = 1; piece <= 5000; piece = piece * 3 + 1) {
        expect_cut(buffer_span(&stream), limits,
                   (struct feed_pieces){.first = piece, .later = piece}, buffer_span(&expected));
    }
    buffer_free(&stream);
    buffer_free(&expected);
}

START_TEST(parser_hands_large_arguments_to_the_caller_however_the_stream_is_cut) {
    expect_large(BLOCK_BYTES_MIN, limits_open, "&");
    expect_large(BLOCK_BYTES_MIN + 3617, limits_open, "&");
}
END_TEST

START_TEST(parser_keeps_arguments_below_the_size_of_a_block_in_the_buffer) {
    expect_large(BLOCK_BYTES_MIN - 1, limits_open, "");
}
END_TEST

START_TEST(parser_keeps_large_arguments_in_the_buffer_when_told_so) {
    struct parser_limits limits = limits_open;
    limits.take_large = false;
    expect_large(BLOCK_BYTES_MIN, limits, "");
}
END_TEST

START_TEST(parser_takes_several_large_arguments_of_a_command) {
    struct buffer stream = BUFFER_EMPTY;
    struct buffer expected = BUFFER_EMPTY;
    buffer_append_string(&stream, "*13\r\n");
    for (int i = 0; i < 13; i++) {
        size_t length = i % 2 == 1 ? BLOCK_BYTES_MIN + (size_t)i : (size_t)i;
        buffer_format(&stream, "$%zu\r\n%*s\r\n", length, (int)length, "");
        buffer_format(&expected, "[%s%*s]", i % 2 == 1 ? "&" : "", (int)length, "");
    }
    buffer_append_string(&stream, "PING\r\n");
    buffer_append_string(&expected, "\n[PING]\n");
    for (size_t first = 0; first < 40; first++) {
        expect_cut(buffer_span(&stream), limits_open,
                   (struct feed_pieces){.first = first, .later = 5003}, buffer_span(&expected));
    }
    buffer_free(&stream);
    buffer_free(&expected);
}
END_TEST

START_TEST(parser_names_the_place_of_a_large_argument_until_it_is_done) {
    struct parser parser;
    parser_init(&parser);
    static const char command[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\nxyz";
    for (int i = 0; i < 2; i++) {
        ck_assert(parser_next(&parser, command, sizeof(command) - 1, &limits_open) == PARSER_LARGE);
        ck_assert_uint_eq(parser.large_length, 20000);
        ck_assert_uint_eq(parser.consumed, sizeof(command) - 1 - 3);
    }
    struct block *block = block_try_new(20000);
    memset(block->bytes, 'x', 20000);
    block->length = 20000;
    block_hold(block);
    parser_large_done(&parser, block);
    char rest[sizeof(command)];
    memcpy(rest, command, parser.consumed);
    memcpy(rest + parser.consumed, "\r\n", 2);
    parser_rebase(&parser, command, rest);
    ck_assert(parser_next(&parser, rest, parser.consumed + 1, &limits_open) == PARSER_INCOMPLETE);
    ck_assert(parser_next(&parser, rest, parser.consumed + 2, &limits_open) == PARSER_READY);
    ck_assert_uint_eq(parser.consumed, sizeof(command) - 1 - 3 + 2);
    ck_assert_uint_eq(parser.arguments.count, 3);
    ck_assert_ptr_eq(parser.arguments.blocks[2], block);
    ck_assert_ptr_null(parser.arguments.blocks[0]);
    ck_assert_ptr_eq(parser.arguments.items[2].bytes, block->bytes);
    ck_assert(block_is_shared(block));
    /* The next command drops the list's reference. */
    ck_assert(parser_next(&parser, "", 0, &limits_open) == PARSER_INCOMPLETE);
    ck_assert(!block_is_shared(block));
    ck_assert_ptr_null(parser.arguments.blocks);
    block_release(block);
    parser_free(&parser);
}
END_TEST

START_TEST(parser_releases_what_it_holds_of_an_unfinished_command) {
    struct parser parser;
    parser_init(&parser);
    static const char command[] = "*2\r\n$16384\r\n";
    ck_assert(parser_next(&parser, command, sizeof(command) - 1, &limits_open) == PARSER_LARGE);
    struct block *block = block_try_new(BLOCK_BYTES_MIN);
    memset(block->bytes, 'x', BLOCK_BYTES_MIN);
    block->length = BLOCK_BYTES_MIN;
    block_hold(block);
    parser_large_done(&parser, block);
    parser_free(&parser);
    ck_assert(!block_is_shared(block));
    block_release(block);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        parser_reads_multibulk_commands,
        parser_reads_inline_commands_with_quotes_and_escapes,
        parser_refuses_malformed_input_with_the_texts_of_redis,
        parser_gives_the_same_however_the_stream_is_cut,
        parser_waits_for_the_rest_of_a_command,
        parser_limits_the_length_of_lines,
        parser_takes_lines_of_the_longest_length,
        parser_never_ends_a_line_that_holds_a_zero_byte,
        parser_takes_zero_bytes_in_bulk_strings,
        parser_limits_lengths_before_authentication,
        parser_limits_bulk_strings_to_the_configured_length,
        parser_allocates_nothing_for_an_announced_count,
        parser_gives_back_a_long_argument_list,
        parser_answers_an_error_again,
        parser_keeps_quoted_arguments_when_the_buffer_moves,
        parser_hands_large_arguments_to_the_caller_however_the_stream_is_cut,
        parser_keeps_arguments_below_the_size_of_a_block_in_the_buffer,
        parser_keeps_large_arguments_in_the_buffer_when_told_so,
        parser_takes_several_large_arguments_of_a_command,
        parser_names_the_place_of_a_large_argument_until_it_is_done,
        parser_releases_what_it_holds_of_an_unfinished_command,
    };
    return unit_run(unit_suite("parser", tests, UNIT_COUNT(tests)));
}
