#include "store/rdb_form.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

#include <inttypes.h>

static const uint64_t lengths[] = {
    0, 1, 63, 64, 65, 16383, 16384, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, RDB_LENGTH_MAX,
};

START_TEST(rdb_form_reads_the_lengths_that_it_wrote) {
    for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
        struct buffer buffer = BUFFER_EMPTY;
        rdb_length_append(&buffer, lengths[i]);
        for (size_t cut = 0; cut < buffer.length; cut++) {
            struct span torn = span_of(buffer.bytes, cut);
            uint64_t length;
            ck_assert_int_eq(rdb_length_read(&torn, &length), RDB_INCOMPLETE);
            ck_assert_uint_eq(torn.length, cut);
        }
        struct span left = buffer_span(&buffer);
        uint64_t length;
        ck_assert_int_eq(rdb_length_read(&left, &length), RDB_DONE);
        ck_assert_uint_eq(length, lengths[i]);
        ck_assert_uint_eq(left.length, 0);
        buffer_free(&buffer);
    }
}
END_TEST

START_TEST(rdb_form_refuses_lengths_that_cannot_be) {
    static const struct span damaged[] = {
        SPAN_LITERAL("\x82\x00\x00\x00\x00\x00\x00\x00\x00"), /* no such form */
        SPAN_LITERAL("\xbf\x00\x00\x00\x00\x00\x00\x00\x00"),
        SPAN_LITERAL("\x81\x7f\xff\xff\xff\xff\xff\xff\xff"), /* beyond any memory */
        SPAN_LITERAL("\xc0\x01"),                             /* a string's head */
    };
    for (size_t i = 0; i < UNIT_COUNT(damaged); i++) {
        struct span left = damaged[i];
        uint64_t length;
        ck_assert_int_eq(rdb_length_read(&left, &length), RDB_DAMAGED);
        ck_assert_uint_eq(left.length, damaged[i].length);
    }
}
END_TEST

/* What redis-server 7.0 answers to DUMP, behind the type byte. */
static const struct {
    struct span form;
    struct span text;
} strings[] = {
    {SPAN_LITERAL("\xc0\xfb"), SPAN_LITERAL("-5")},
    {SPAN_LITERAL("\xc1,\x01"), SPAN_LITERAL("300")},
    {SPAN_LITERAL("\xc2\x90\xee\xfe\xff"), SPAN_LITERAL("-70000")},
    {SPAN_LITERAL("\x0f"
                  "123456789012345"),
     SPAN_LITERAL("123456789012345")},
    {SPAN_LITERAL("\x00"), SPAN_LITERAL("")},
    {SPAN_LITERAL("\x05hello"), SPAN_LITERAL("hello")},
    {SPAN_LITERAL("\x03"
                  "007"),
     SPAN_LITERAL("007")},
    {SPAN_LITERAL("\xc3\x09@A\x01yy\xe0\x34\x00\x01yy"),
     SPAN_LITERAL("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")},
};

/* The last is compressed. */
#define STRINGS_PLAIN (UNIT_COUNT(strings) - 1)

START_TEST(rdb_form_writes_uncompressed_strings_in_the_bytes_of_redis) {
    for (size_t i = 0; i < STRINGS_PLAIN; i++) {
        struct buffer buffer = BUFFER_EMPTY;
        rdb_string_append(&buffer, strings[i].text, true);
        ck_assert_msg(span_equal(buffer_span(&buffer), strings[i].form), "string %zu", i);
        buffer_free(&buffer);
    }
}
END_TEST

START_TEST(rdb_form_reads_the_strings_of_redis_and_waits_for_their_rest) {
    for (size_t i = 0; i < UNIT_COUNT(strings); i++) {
        struct rdb_scratch scratch = RDB_SCRATCH_EMPTY;
        struct span form = strings[i].form;
        struct span text;
        for (size_t cut = 0; cut < form.length; cut++) {
            char *bytes = memory_copy(form.bytes, cut);
            struct span torn = span_of(bytes, cut);
            struct rdb_string string;
            ck_assert_int_eq(rdb_string_read(&torn, &string), RDB_INCOMPLETE);
            ck_assert(string.stored_bytes == 0 || string.stored_bytes == form.length);
            ck_assert_uint_eq(torn.length, cut);
            memory_free(bytes);
        }
        ck_assert_int_eq(rdb_text_read(&form, &scratch, &text), RDB_DONE);
        ck_assert(span_equal(text, strings[i].text));
        ck_assert_uint_eq(form.length, 0);
        rdb_scratch_free(&scratch);
    }
}
END_TEST

START_TEST(rdb_form_compresses_only_what_gains_and_only_if_asked) {
    struct buffer buffer = BUFFER_EMPTY;
    struct span alike = SPAN_LITERAL("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    rdb_string_append(&buffer, alike, false);
    ck_assert_uint_eq(buffer.length, alike.length + 1);
    buffer_clear(&buffer);
    rdb_string_append(&buffer, span_of(alike.bytes, 20), true);
    ck_assert_uint_eq(buffer.length, 21);
    buffer_clear(&buffer);
    struct span different = SPAN_LITERAL("abcdefghijklmnopqrstuvwxyz0123456789");
    rdb_string_append(&buffer, different, true);
    ck_assert_uint_eq(buffer.length, different.length + 1);
    buffer_free(&buffer);
}
END_TEST

START_TEST(rdb_form_refuses_compressed_strings_that_are_too_long_for_their_bytes) {
    static const struct span damaged[] = {
        SPAN_LITERAL("\xc3\x03\x80\xff\xff\xff\xff\x00zz"), /* more than any three bytes say */
        SPAN_LITERAL("\xc3\x03\x00\x01zz"),                 /* an empty text is never compressed */
        SPAN_LITERAL("\xc4\x01zz"),                         /* no such form */
    };
    for (size_t i = 0; i < UNIT_COUNT(damaged); i++) {
        struct span left = damaged[i];
        struct rdb_string string;
        /* Before anybody takes memory for it. */
        ck_assert_int_eq(rdb_string_read(&left, &string), RDB_DAMAGED);
    }
    struct rdb_scratch scratch = RDB_SCRATCH_EMPTY;
    struct span left = SPAN_LITERAL("\xc3\x03\x03\x01zz"); /* two bytes where three are said */
    struct span text;
    ck_assert_int_eq(rdb_text_read(&left, &scratch, &text), RDB_DAMAGED);
    rdb_scratch_free(&scratch);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        rdb_form_reads_the_lengths_that_it_wrote,
        rdb_form_refuses_lengths_that_cannot_be,
        rdb_form_writes_uncompressed_strings_in_the_bytes_of_redis,
        rdb_form_reads_the_strings_of_redis_and_waits_for_their_rest,
        rdb_form_compresses_only_what_gains_and_only_if_asked,
        rdb_form_refuses_compressed_strings_that_are_too_long_for_their_bytes,
    };
    return unit_run(unit_suite("rdb_form", tests, UNIT_COUNT(tests)));
}
