#include "protocol/reply.h"

#include "base/block.h"
#include "base/buffer.h"
#include "tests/unit/unit.h"

#include <math.h>

static struct reply reply_in(int protocol) {
    struct reply reply;
    reply_init(&reply, protocol);
    return reply;
}

/* The bytes to send, with the blocks in their places. */
static struct buffer sent(const struct reply *reply) {
    struct buffer bytes = BUFFER_EMPTY;
    size_t from = 0;
    for (uint32_t i = 0; i < reply->blocks_count; i++) {
        const struct reply_block *item = &reply->blocks[i];
        ck_assert_uint_ge(item->at, from);
        buffer_append(&bytes, reply->buffer.bytes + from, item->at - from);
        buffer_append(&bytes, item->block->bytes + item->offset, item->length);
        from = item->at;
    }
    buffer_append(&bytes, reply->buffer.bytes + from, reply->buffer.length - from);
    return bytes;
}

static void expect_bytes(const struct reply *reply, struct span expected) {
    struct buffer got = sent(reply);
    ck_assert_msg(span_equal(buffer_span(&got), expected), "got\n%.*s\ninstead of\n%.*s",
                  (int)got.length, got.bytes == NULL ? "" : got.bytes, (int)expected.length,
                  expected.bytes);
    ck_assert_uint_eq(reply_bytes(reply), expected.length);
    buffer_free(&got);
}

/* The reply holds exactly this; it is cleared for the next. */
static void expect(struct reply *reply, const char *expected) {
    expect_bytes(reply, span_of_string(expected));
    reply_clear(reply);
}

static struct block *block_of(const char *content) {
    size_t length = strlen(content);
    struct block *block = block_try_new(length);
    memcpy(block->bytes, content, length);
    block->length = length;
    return block;
}

START_TEST(reply_writes_status_lines) {
    struct reply reply = reply_in(2);
    reply_status(&reply, "QUEUED");
    reply_ok(&reply);
    expect(&reply, "+QUEUED\r\n+OK\r\n");
    reply_free(&reply);
}
END_TEST

START_TEST(reply_writes_errors_on_one_line) {
    struct reply reply = reply_in(2);
    reply_error(&reply, "ERR syntax error");
    expect(&reply, "-ERR syntax error\r\n");
    reply_error(&reply, "ERR a\r\nb\nc");
    expect(&reply, "-ERR a  b c\r\n");
    reply_error(&reply, "\nERR the ends\r\n\n");
    expect(&reply, "-ERR the ends\r\n");
    reply_error(&reply, "\r\n");
    expect(&reply, "-\r\n");
    reply_error_format(&reply, "ERR unknown command '%s', %d", "a\nb", 12);
    expect(&reply, "-ERR unknown command 'a b', 12\r\n");
    reply_ok(&reply);
    reply_error_format(&reply, "%s", "ERR behind another reply\n");
    expect(&reply, "+OK\r\n-ERR behind another reply\r\n");
    reply_free(&reply);
}
END_TEST

START_TEST(reply_writes_integers_of_every_length) {
    static const struct {
        int64_t number;
        const char *text;
    } examples[] = {
        {0, ":0\r\n"},
        {9, ":9\r\n"},
        {10, ":10\r\n"},
        {99, ":99\r\n"},
        {100, ":100\r\n"},
        {12345, ":12345\r\n"},
        {-1, ":-1\r\n"},
        {-10, ":-10\r\n"},
        {INT64_MAX, ":9223372036854775807\r\n"},
        {INT64_MIN, ":-9223372036854775808\r\n"},
    };
    struct reply reply = reply_in(3);
    for (size_t i = 0; i < UNIT_COUNT(examples); i++) {
        reply_integer(&reply, examples[i].number);
        expect(&reply, examples[i].text);
    }
    reply_free(&reply);
}
END_TEST

START_TEST(reply_writes_bulk_strings_of_every_length) {
    static const size_t lengths[] = {0, 1, 9, 10, 64, 99, 100, 999, 1000, 16383, 123456};
    for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
        struct reply reply = reply_in(2);
        struct buffer expected = BUFFER_EMPTY;
        buffer_format(&expected, "$%zu\r\n%*s\r\n", lengths[i], (int)lengths[i], "");
        struct span content =
            span_of(expected.bytes + expected.length - lengths[i] - 2, lengths[i]);
        reply_bulk(&reply, content);
        expect_bytes(&reply, buffer_span(&expected));
        buffer_free(&expected);
        reply_free(&reply);
    }
}
END_TEST

START_TEST(reply_writes_bulk_strings_of_any_bytes) {
    struct reply reply = reply_in(2);
    reply_bulk(&reply, span_of("\0\r\n\xff", 4));
    expect_bytes(&reply, span_of("$4\r\n\0\r\n\xff\r\n", 10));
    reply_clear(&reply);
    reply_bulk(&reply, span_of(NULL, 0));
    reply_bulk_string(&reply, "text");
    reply_bulk_integer(&reply, -42);
    reply_bulk_integer(&reply, 7);
    expect(&reply, "$0\r\n\r\n$4\r\ntext\r\n$3\r\n-42\r\n$1\r\n7\r\n");
    reply_free(&reply);
}
END_TEST

/* One of each type that differs between the protocols. */
static void write_each_type(struct reply *reply) {
    reply_null(reply);
    reply_null_array(reply);
    reply_boolean(reply, true);
    reply_boolean(reply, false);
    reply_big_number(reply, span_of_string("1234567999999999999999999999999999999"));
    reply_verbatim(reply, "txt", span_of_string("This is a verbatim\nstring"));
    reply_verbatim(reply, "txt", span_of_string(""));
    reply_array(reply, 3);
    reply_map(reply, 3);
    reply_set(reply, 3);
    reply_push(reply, 3);
    reply_array(reply, 0);
    reply_map(reply, 0);
    reply_map(reply, 1000);
    reply_double_text(reply, span_of_string("13.36138933897018433"));
}

START_TEST(reply_writes_resp2_as_redis_does) {
    struct reply reply = reply_in(2);
    write_each_type(&reply);
    expect(&reply, "$-1\r\n"
                   "*-1\r\n"
                   ":1\r\n"
                   ":0\r\n"
                   "$37\r\n1234567999999999999999999999999999999\r\n"
                   "$25\r\nThis is a verbatim\nstring\r\n"
                   "$0\r\n\r\n"
                   "*3\r\n"
                   "*6\r\n"
                   "*3\r\n"
                   "*3\r\n"
                   "*0\r\n"
                   "*0\r\n"
                   "*2000\r\n"
                   "$20\r\n13.36138933897018433\r\n");
    reply_free(&reply);
}
END_TEST

START_TEST(reply_writes_resp3_as_redis_does) {
    struct reply reply = reply_in(3);
    write_each_type(&reply);
    reply_attribute(&reply, 1);
    expect(&reply, "_\r\n"
                   "_\r\n"
                   "#t\r\n"
                   "#f\r\n"
                   "(1234567999999999999999999999999999999\r\n"
                   "=29\r\ntxt:This is a verbatim\nstring\r\n"
                   "=4\r\ntxt:\r\n"
                   "*3\r\n"
                   "%3\r\n"
                   "~3\r\n"
                   ">3\r\n"
                   "*0\r\n"
                   "%0\r\n"
                   "%1000\r\n"
                   ",13.36138933897018433\r\n"
                   "|1\r\n");
    reply_free(&reply);
}
END_TEST

START_TEST(reply_writes_doubles_as_bulk_strings_in_resp2_only) {
    struct reply reply = reply_in(2);
    reply_double(&reply, 3);
    reply_double(&reply, 2.5);
    reply_double(&reply, (double)INFINITY);
    reply_double(&reply, -(double)INFINITY);
    expect(&reply, "$1\r\n3\r\n$3\r\n2.5\r\n$3\r\ninf\r\n$4\r\n-inf\r\n");
    reply.protocol = 3;
    reply_double(&reply, 3);
    reply_double(&reply, 2.5);
    reply_double(&reply, (double)INFINITY);
    reply_double(&reply, -(double)INFINITY);
    expect(&reply, ",3\r\n,2.5\r\n,inf\r\n,-inf\r\n");
    reply_free(&reply);
}
END_TEST

START_TEST(reply_sends_parts_of_blocks_in_their_places) {
    struct block *block = block_of("0123456789");
    struct reply reply = reply_in(2);
    reply_array(&reply, 3);
    reply_bulk_block(&reply, block, 0, 10);
    reply_bulk_block(&reply, block, 3, 4);
    reply_bulk_block(&reply, block, 10, 0);
    ck_assert_uint_eq(reply.blocks_bytes, 14);
    ck_assert_uint_eq(reply.blocks_count, 2);
    ck_assert_uint_eq(reply.buffer.length, strlen("*3\r\n$10\r\n\r\n$4\r\n\r\n$0\r\n\r\n"));
    expect(&reply, "*3\r\n$10\r\n0123456789\r\n$4\r\n3456\r\n$0\r\n\r\n");
    reply_free(&reply);
    block_release(block);
}
END_TEST

START_TEST(reply_holds_a_reference_of_each_block_until_it_is_cleared) {
    struct block *block = block_of("content");
    struct reply reply = reply_in(2);
    for (int i = 0; i < 100; i++) {
        reply_bulk_block(&reply, block, 0, 7);
    }
    ck_assert(block_is_shared(block));
    ck_assert_uint_eq(reply.blocks_bytes, 700);
    reply_clear(&reply);
    ck_assert(!block_is_shared(block));
    ck_assert_uint_eq(reply_bytes(&reply), 0);
    reply_bulk_block(&reply, block, 0, 7);
    reply_free(&reply);
    ck_assert(!block_is_shared(block));
    block_release(block);
}
END_TEST

START_TEST(reply_puts_headers_before_what_was_written_since_the_mark) {
    struct block *block = block_of("block");
    struct reply reply = reply_in(3);
    reply_bulk_block(&reply, block, 0, 5);
    struct reply_mark outer = reply_mark_here(&reply);
    reply_bulk_block(&reply, block, 0, 5);
    struct reply_mark map = reply_mark_here(&reply);
    reply_bulk_string(&reply, "a");
    reply_bulk_block(&reply, block, 0, 5);
    reply_map_at(&reply, map, 1);
    struct reply_mark set = reply_mark_here(&reply);
    reply_set_at(&reply, set, 0);
    reply_array_at(&reply, outer, 1003);
    reply_ok(&reply);
    expect(&reply, "$5\r\nblock\r\n*1003\r\n$5\r\nblock\r\n%1\r\n$1\r\na\r\n$5\r\nblock\r\n~0\r\n"
                   "+OK\r\n");
    reply.protocol = 2;
    map = reply_mark_here(&reply);
    reply_integer(&reply, 1);
    set = reply_mark_here(&reply);
    reply_integer(&reply, 2);
    reply_set_at(&reply, set, 1);
    reply_map_at(&reply, map, 1);
    expect(&reply, "*2\r\n:1\r\n*1\r\n:2\r\n");
    reply_free(&reply);
    block_release(block);
}
END_TEST

START_TEST(reply_rewinds_to_a_mark) {
    struct block *block = block_of("block");
    struct reply reply = reply_in(2);
    reply_bulk_block(&reply, block, 0, 3);
    struct reply_mark mark = reply_mark_here(&reply);
    reply_bulk_block(&reply, block, 1, 4);
    reply_integer(&reply, 5);
    reply_rewind(&reply, mark);
    reply_error(&reply, "ERR instead");
    expect(&reply, "$3\r\nblo\r\n-ERR instead\r\n");
    ck_assert(!block_is_shared(block));
    reply_free(&reply);
    block_release(block);
}
END_TEST

START_TEST(reply_appends_another_reply_with_its_blocks) {
    struct block *block = block_of("block");
    struct reply from = reply_in(2);
    reply_integer(&from, 1);
    reply_bulk_block(&from, block, 2, 3);
    struct reply to = reply_in(2);
    reply_append(&to, &from);
    reply_bulk_block(&to, block, 0, 1);
    reply_append(&to, &from);
    reply_free(&from);
    reply_append(&to, &(struct reply){.protocol = 2});
    expect(&to, ":1\r\n$3\r\nock\r\n$1\r\nb\r\n:1\r\n$3\r\nock\r\n");
    reply_free(&to);
    ck_assert(!block_is_shared(block));
    block_release(block);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        reply_writes_status_lines,
        reply_writes_errors_on_one_line,
        reply_writes_integers_of_every_length,
        reply_writes_bulk_strings_of_every_length,
        reply_writes_bulk_strings_of_any_bytes,
        reply_writes_resp2_as_redis_does,
        reply_writes_resp3_as_redis_does,
        reply_writes_doubles_as_bulk_strings_in_resp2_only,
        reply_sends_parts_of_blocks_in_their_places,
        reply_holds_a_reference_of_each_block_until_it_is_cleared,
        reply_puts_headers_before_what_was_written_since_the_mark,
        reply_rewinds_to_a_mark,
        reply_appends_another_reply_with_its_blocks,
    };
    return unit_run(unit_suite("reply", tests, UNIT_COUNT(tests)));
}
