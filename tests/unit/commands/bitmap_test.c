#include "commands/bitmap.h"

#include "base/memory.h"
#include "commands/string.h"
#include "store/value.h"
#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct command *const families[] = {bitmap_commands,
                                                 bitfield_commands,
                                                 string_commands,
                                                 string_part_commands,
                                                 string_number_commands,
                                                 string_lcs_commands,
                                                 NULL};

#define SAYS(harness, line, reply) ck_assert_str_eq(call_harness_line((harness), (line)), (reply))
#define TELLS(harness, text) ck_assert_str_eq((harness)->events.bytes, (text))
#define OK "+OK\r\n"
#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define NOT_OFFSET "-ERR bit offset is not an integer or out of range\r\n"
#define NOT_BIT "-ERR bit is not an integer or out of range\r\n"
#define SYNTAX "-ERR syntax error\r\n"

struct line_case {
    const char *line;
    const char *reply;
};

static void say_all(struct call_harness *harness, const struct line_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(strcmp(call_harness_line(harness, cases[i].line), cases[i].reply) == 0,
                      "%s answers %s", cases[i].line, harness->reply.bytes);
    }
}

/* ---- one bit ---- */

START_TEST(setbit_answers_the_old_bit_and_grows_the_string) {
    for (uint32_t stores = 1; stores <= 3; stores += 2) {
        struct call_harness harness;
        call_harness_open(&harness, families, stores);
        SAYS(&harness, "SETBIT k 7 1", ":0\r\n");
        TELLS(&harness, "new k\nsetbit k\n");
        SAYS(&harness, "GET k", "$1\r\n\x01\r\n");
        SAYS(&harness, "SETBIT k 7 0", ":1\r\n");
        TELLS(&harness, "setbit k\n");
        SAYS(&harness, "SETBIT k 23 0", ":0\r\n");
        SAYS(&harness, "STRLEN k", ":3\r\n");
        SAYS(&harness, "SET n 1", OK);
        SAYS(&harness, "SETBIT n 6 1", ":0\r\n");
        SAYS(&harness, "GET n", "$1\r\n3\r\n");
        ck_assert_str_eq(value_encoding(call_harness_entry(&harness, "n")), "raw");
        call_harness_close(&harness);
    }
}
END_TEST

START_TEST(a_bit_that_stays_the_same_is_no_change) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SETBIT k 0 1", ":0\r\n");
    SAYS(&harness, "SETBIT k 0 1", ":1\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    TELLS(&harness, "");
    SAYS(&harness, "BITFIELD k SET u8 0 128", "*1\r\n:128\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(setbit_patches_one_byte_of_a_large_string) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SETBIT k 8000000 1", ":0\r\n");
    SAYS(&harness, "SETBIT k 4000003 1", ":0\r\n");
    ck_assert_uint_eq(harness.effects_count, 1);
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_STRING_PATCH);
    ck_assert_uint_eq(harness.effects[0].value_length, 1);
    ck_assert_int_eq(harness.effects[0].number, 500000);
    SAYS(&harness, "BITCOUNT k", ":2\r\n");
    SAYS(&harness, "BITPOS k 1", ":4000003\r\n");
    SAYS(&harness, "GETBIT k 8000000", ":1\r\n");
    SAYS(&harness, "STRLEN k", ":1000001\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(bits_behind_the_end_are_zero) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k \"\\xff\"", OK);
    SAYS(&harness, "GETBIT k 7", ":1\r\n");
    SAYS(&harness, "GETBIT k 8", ":0\r\n");
    SAYS(&harness, "GETBIT k 4294967295", ":0\r\n");
    SAYS(&harness, "GETBIT none 0", ":0\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(offsets_and_bits_out_of_range_are_refused) {
    static const struct line_case cases[] = {
        {"SETBIT k -1 1", NOT_OFFSET},
        {"SETBIT k x 2", NOT_OFFSET},
        {"SETBIT k 4294967296 1", NOT_OFFSET},
        {"SETBIT k #1 1", NOT_OFFSET},
        {"SETBIT k 0 2", NOT_BIT},
        {"SETBIT k 0 -1", NOT_BIT},
        {"SETBIT k 0 x", NOT_BIT},
        {"GETBIT k 4294967296", NOT_OFFSET},
        {"GETBIT k -1", NOT_OFFSET},
        {"BITFIELD k GET u8 4294967296", NOT_OFFSET},
        {"BITFIELD k GET u8 #4611686018427387904", NOT_OFFSET},
        {"BITFIELD k GET u8 #", NOT_OFFSET},
        {"BITFIELD k GET u8 -1", NOT_OFFSET},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    say_all(&harness, cases, UNIT_COUNT(cases));
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    call_harness_close(&harness);
}
END_TEST

/* ---- ranges ---- */

START_TEST(bitcount_counts_bytes_or_bits) {
    static const struct line_case cases[] = {
        {"BITCOUNT k", ":26\r\n"},
        {"BITCOUNT k 0 0", ":4\r\n"},
        {"BITCOUNT k 1 1", ":6\r\n"},
        {"BITCOUNT k 1 1 BYTE", ":6\r\n"},
        {"BITCOUNT k 5 30 bit", ":17\r\n"},
        {"BITCOUNT k 1 1 BIT", ":1\r\n"},
        {"BITCOUNT k 0 -1 BIT", ":26\r\n"},
        {"BITCOUNT k -8 -1 BIT", ":4\r\n"},
        {"BITCOUNT k -100 100", ":26\r\n"},
        {"BITCOUNT k 6 100", ":0\r\n"},
        {"BITCOUNT k 2 1", ":0\r\n"},
        {"BITCOUNT k -1 -2 FOO", ":0\r\n"},
        {"BITCOUNT k 9223372036854775807 9223372036854775807", ":0\r\n"},
        {"BITCOUNT e", ":0\r\n"},
        {"BITCOUNT none 1 x y z", ":0\r\n"},
        {"BITCOUNT k 0", SYNTAX},
        {"BITCOUNT k 0 1 FOO", SYNTAX},
        {"BITCOUNT k 0 1 BIT x", SYNTAX},
        {"BITCOUNT k x 1 FOO", NOT_INTEGER},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "MSET k foobar e \"\"", OK);
    say_all(&harness, cases, UNIT_COUNT(cases));
    call_harness_close(&harness);
}
END_TEST

START_TEST(bitpos_takes_what_follows_for_zeros_unless_an_end_is_given) {
    static const struct line_case cases[] = {
        {"BITPOS ones 0", ":24\r\n"},
        {"BITPOS ones 0 1", ":24\r\n"},
        {"BITPOS ones 0 0 -1", ":-1\r\n"},
        {"BITPOS ones 0 0 -1 BIT", ":-1\r\n"},
        {"BITPOS ones 0 3", ":-1\r\n"},
        {"BITPOS ones 1 2", ":16\r\n"},
        {"BITPOS zeros 1", ":-1\r\n"},
        {"BITPOS zeros 0 1", ":8\r\n"},
        {"BITPOS mixed 0", ":12\r\n"},
        {"BITPOS mixed 1 12 23 BIT", ":-1\r\n"},
        {"BITPOS mixed 1 7 15 BIT", ":7\r\n"},
        {"BITPOS mixed 0 0 11 BIT", ":-1\r\n"},
        {"BITPOS mixed 0 -12 -1 BIT", ":12\r\n"},
        {"BITPOS mixed 1 -1 -5", ":-1\r\n"},
        {"BITPOS mixed 1 9223372036854775807 9223372036854775807", ":-1\r\n"},
        {"BITPOS none 0 5 6", ":0\r\n"},
        {"BITPOS none 1", ":-1\r\n"},
        {"BITPOS none 1 x 1 2 3 4", ":-1\r\n"},
        {"BITPOS e 0", ":-1\r\n"},
        {"BITPOS e 1", ":-1\r\n"},
        {"BITPOS ones 2", "-ERR The bit argument must be 1 or 0.\r\n"},
        {"BITPOS ones x", NOT_INTEGER},
        {"BITPOS ones 1 x y FOO", NOT_INTEGER},
        {"BITPOS ones 1 0 y FOO", SYNTAX},
        {"BITPOS ones 1 0 1 BIT x", SYNTAX},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness,
         "MSET ones \"\\xff\\xff\\xff\" zeros \"\\x00\\x00\" mixed \"\\xff\\xf0\\x00\" e \"\"", OK);
    say_all(&harness, cases, UNIT_COUNT(cases));
    call_harness_close(&harness);
}
END_TEST

/* Bits one by one, against which the word-wise ways are held. */
static bool plain_bit(struct span bytes, uint64_t at) {
    return (bytes.bytes[at / 8] >> (7 - at % 8) & 1) != 0;
}

START_TEST(counting_and_finding_agree_with_bits_one_by_one) {
    struct random random;
    random_seed(&random, 7);
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (int round = 0; round < 300; round++) {
        char bytes[200];
        struct span span = span_of(bytes, 1 + random_below(&random, sizeof(bytes)));
        memset(bytes, random_below(&random, 2) == 0 ? 0 : 0xff, sizeof(bytes));
        for (uint64_t changes = random_below(&random, 3); changes != 0; changes--) {
            bytes[random_below(&random, span.length)] = (char)random_next(&random);
        }
        struct span args[] = {span_of_string("SET"), span_of_string("k"), span};
        call_harness_run(&harness, args, 3);
        uint64_t first = random_below(&random, span.length * 8);
        uint64_t last = first + random_below(&random, span.length * 8 - first);
        uint64_t ones = 0;
        int64_t found[2] = {-1, -1};
        for (uint64_t i = last + 1; i-- > first;) {
            ones += plain_bit(span, i);
            found[plain_bit(span, i)] = (int64_t)i;
        }
        char line[96];
        char reply[32];
        snprintf(line, sizeof(line), "BITCOUNT k %d %d BIT", (int)first, (int)last);
        snprintf(reply, sizeof(reply), ":%d\r\n", (int)ones);
        SAYS(&harness, line, reply);
        for (int bit = 0; bit < 2; bit++) {
            snprintf(line, sizeof(line), "BITPOS k %d %d %d BIT", bit, (int)first, (int)last);
            snprintf(reply, sizeof(reply), ":%d\r\n", (int)found[bit]);
            SAYS(&harness, line, reply);
        }
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- BITOP ---- */

START_TEST(bitop_pads_short_sources_with_zeros) {
    static const struct line_case cases[] = {
        {"MSET a \"\\xff\\xf0\" b \"\\x0f\" none2 x", OK},
        {"BITOP AND t a b", ":2\r\n"},
        {"BITFIELD_RO t GET u16 0", "*1\r\n:3840\r\n"},
        {"BITOP or t a b", ":2\r\n"},
        {"BITFIELD_RO t GET u16 0", "*1\r\n:65520\r\n"},
        {"BITOP XOR t a b a b b", ":2\r\n"},
        {"BITFIELD_RO t GET u16 0", "*1\r\n:3840\r\n"},
        {"BITOP NOT t a", ":2\r\n"},
        {"BITFIELD_RO t GET u16 0", "*1\r\n:15\r\n"},
        {"BITOP AND t a none", ":2\r\n"},
        {"BITFIELD_RO t GET u16 0", "*1\r\n:0\r\n"},
        {"BITOP NOT t a b", "-ERR BITOP NOT must be called with a single source key.\r\n"},
        {"BITOP NAND t a b", SYNTAX},
        {"BITOP OR a a b", ":2\r\n"},
        {"GET a", "$2\r\n\xff\xf0\r\n"},
    };
    for (uint32_t stores = 1; stores <= 3; stores += 2) {
        struct call_harness harness;
        call_harness_open(&harness, families, stores);
        say_all(&harness, cases, UNIT_COUNT(cases));
        call_harness_close(&harness);
    }
}
END_TEST

START_TEST(bitop_of_nothing_deletes_the_target) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET t v", OK);
    SAYS(&harness, "BITOP OR t none1 none2", ":0\r\n");
    TELLS(&harness, "keymiss none1\nkeymiss none2\ndel t\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    SAYS(&harness, "BITOP OR t none1 none2", ":0\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(bitop_puts_a_raw_string_without_expiry) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET a 12", OK);
    SAYS(&harness, "SET t v EX 100", OK);
    SAYS(&harness, "BITOP AND t a a", ":2\r\n");
    TELLS(&harness, "set t\n");
    SAYS(&harness, "GET t", "$2\r\n12\r\n");
    ck_assert_str_eq(value_encoding(call_harness_entry(&harness, "t")), "raw");
    ck_assert_int_eq(entry_expiry(call_harness_entry(&harness, "t")), ENTRY_NO_EXPIRY);
    call_harness_close(&harness);
}
END_TEST

START_TEST(bitop_of_large_strings_gives_a_block) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    SAYS(&harness, "SETBIT a 200000 1", ":0\r\n");
    SAYS(&harness, "SETBIT b 300007 1", ":0\r\n");
    SAYS(&harness, "BITOP OR t a b", ":37501\r\n");
    ck_assert(harness.effects[0].has_block);
    SAYS(&harness, "BITCOUNT t", ":2\r\n");
    SAYS(&harness, "BITOP NOT t t", ":37501\r\n");
    SAYS(&harness, "BITCOUNT t", ":300006\r\n");
    SAYS(&harness, "BITPOS t 0", ":200000\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- BITFIELD ---- */

START_TEST(bitfield_reads_and_writes_any_width_anywhere) {
    static const struct line_case cases[] = {
        {"BITFIELD k SET u8 0 255 GET u8 0 GET i8 0 GET u4 2",
         "*4\r\n:0\r\n:255\r\n:-1\r\n:15\r\n"},
        {"BITFIELD k SET i5 3 -16 GET i5 3 GET u5 3", "*3\r\n:-1\r\n:-16\r\n:16\r\n"},
        {"BITFIELD k SET i64 7 -9223372036854775808 GET i64 7",
         "*2\r\n:0\r\n:-9223372036854775808\r\n"},
        {"BITFIELD k SET u63 9 9223372036854775807 GET u63 9",
         "*2\r\n:0\r\n:9223372036854775807\r\n"},
        {"BITFIELD k SET u8 #2 7 GET u8 16", "*2\r\n:255\r\n:7\r\n"},
        {"BITFIELD k INCRBY i5 100 1 GET u4 0", "*2\r\n:1\r\n:15\r\n"},
        {"BITFIELD k", "*0\r\n"},
        {"BITFIELD none GET u8 0 GET i64 100", "*2\r\n:0\r\n:0\r\n"},
        {"BITFIELD_RO k GET u4 0", "*1\r\n:15\r\n"},
        {"BITFIELD_RO k GET u4 0 SET u4 0 1",
         "-ERR BITFIELD_RO only supports the GET subcommand\r\n"},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    say_all(&harness, cases, UNIT_COUNT(cases));
    ck_assert_uint_eq(call_harness_keys(&harness), 1);
    call_harness_close(&harness);
}
END_TEST

START_TEST(overflow_wraps_saturates_or_fails) {
    static const struct line_case cases[] = {
        {"BITFIELD k SET u2 0 3 INCRBY u2 0 1", "*2\r\n:0\r\n:0\r\n"},
        {"BITFIELD k SET u2 0 3 OVERFLOW SAT INCRBY u2 0 1", "*2\r\n:0\r\n:3\r\n"},
        {"BITFIELD k OVERFLOW FAIL INCRBY u2 0 1", "*1\r\n$-1\r\n"},
        {"BITFIELD k OVERFLOW SAT INCRBY u2 0 -9", "*1\r\n:0\r\n"},
        {"BITFIELD k INCRBY u2 0 -1", "*1\r\n:3\r\n"},
        {"BITFIELD k OVERFLOW sat SET i8 0 200 GET i8 0", "*2\r\n:-64\r\n:127\r\n"},
        {"BITFIELD k OVERFLOW SAT SET i8 0 -200 GET i8 0", "*2\r\n:127\r\n:-128\r\n"},
        {"BITFIELD k OVERFLOW SAT SET i8 0 -9223372036854775808 GET i8 0",
         "*2\r\n:-128\r\n:127\r\n"},
        {"BITFIELD k INCRBY i8 0 1", "*1\r\n:-128\r\n"},
        {"BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0", "*2\r\n:128\r\n:255\r\n"},
        {"BITFIELD k OVERFLOW FAIL SET u8 0 256 SET u8 0 1", "*2\r\n$-1\r\n:255\r\n"},
        {"BITFIELD k SET i64 0 9223372036854775807 INCRBY i64 0 1",
         "*2\r\n:72057594037927936\r\n:-9223372036854775808\r\n"},
        {"BITFIELD k OVERFLOW SAT INCRBY i64 0 -1", "*1\r\n:-9223372036854775808\r\n"},
        {"BITFIELD k OVERFLOW FOO", "-ERR Invalid OVERFLOW type specified\r\n"},
        {"BITFIELD k OVERFLOW", SYNTAX},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    say_all(&harness, cases, UNIT_COUNT(cases));
    call_harness_close(&harness);
}
END_TEST

START_TEST(bitfield_checks_all_operations_before_the_first) {
    static const char type_error[] = "-ERR Invalid bitfield type. Use something like i16 u8. Note "
                                     "that u64 is not supported but i64 is.\r\n";
    static const struct line_case cases[] = {
        {"BITFIELD k SET u8 0 1 GET u64 0", type_error},
        {"BITFIELD k SET u8 0 1 GET i65 0", type_error},
        {"BITFIELD k SET u8 0 1 GET u0 0", type_error},
        {"BITFIELD k SET u8 0 1 GET \"\" 0", type_error},
        {"BITFIELD k SET u8 0 1 GET U8 0", type_error},
        {"BITFIELD k SET u8 0 1 SET u8 0 x", NOT_INTEGER},
        {"BITFIELD k SET u8 0 1 GET u8", SYNTAX},
        {"BITFIELD k SET u8 0 1 SET u8 0", SYNTAX},
        {"BITFIELD k SET u8 0 1 FOO u8 0 1", SYNTAX},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    say_all(&harness, cases, UNIT_COUNT(cases));
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(bitfield_emits_a_patch_per_run_and_tells_once) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SETBIT k 8000000 1", ":0\r\n");
    SAYS(&harness, "BITFIELD k SET u8 0 1 SET u8 16 3 SET u8 8 2 GET u24 0",
         "*4\r\n:0\r\n:0\r\n:0\r\n:66051\r\n");
    ck_assert_uint_eq(harness.effects_count, 2);
    TELLS(&harness, "setbit k\n");
    SAYS(&harness, "BITFIELD k SET u8 8 4 SET u8 0 3 SET u8 16 5 SET u8 160000 6 GET u8 8 GET u8 0",
         "*6\r\n:2\r\n:1\r\n:3\r\n:0\r\n:4\r\n:3\r\n");
    ck_assert_uint_eq(harness.effects_count, 2);
    ck_assert_uint_eq(harness.effects[0].value_length, 3);
    ck_assert_int_eq(harness.effects[0].number, 0);
    ck_assert_uint_eq(harness.effects[1].value_length, 1);
    ck_assert_int_eq(harness.effects[1].number, 20000);
    SAYS(&harness, "BITFIELD_RO k GET u24 0 GET u8 160000", "*2\r\n:197637\r\n:6\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(bitfield_that_fails_to_write_still_grows_the_string) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "BITFIELD k OVERFLOW FAIL INCRBY u2 100 5", "*1\r\n$-1\r\n");
    TELLS(&harness, "new k\n");
    SAYS(&harness, "STRLEN k", ":13\r\n");
    SAYS(&harness, "BITFIELD k SET u8 200 0", "*1\r\n:0\r\n");
    TELLS(&harness, "setbit k\n");
    SAYS(&harness, "STRLEN k", ":26\r\n");
    call_harness_close(&harness);
}
END_TEST

/* Fields that overlap in every way, against a plain array of bits. */
START_TEST(bitfield_agrees_with_an_array_of_bits) {
    enum { BITS = 2048 };
    static bool model[BITS];
    struct random random;
    random_seed(&random, 11);
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (int round = 0; round < 500; round++) {
        char line[1024] = "BITFIELD k";
        char expected[1024];
        size_t line_end = strlen(line);
        uint64_t count = 1 + random_below(&random, 6);
        size_t end = (size_t)snprintf(expected, sizeof(expected), "*%d\r\n", (int)count);
        for (uint64_t i = 0; i < count; i++) {
            unsigned bits = 1 + (unsigned)random_below(&random, 63);
            unsigned offset = (unsigned)random_below(&random, BITS - 63);
            uint64_t new = random_next(&random) >> (64 - bits);
            uint64_t old = 0;
            for (unsigned k = 0; k < bits; k++) {
                old = old << 1 | model[offset + k];
            }
            bool sets = random_below(&random, 3) != 0;
            for (unsigned k = 0; sets && k < bits; k++) {
                model[offset + k] = (new >> (bits - 1 - k) & 1) != 0;
            }
            line_end +=
                (size_t)(sets ? snprintf(line + line_end, sizeof(line) - line_end,
                                         " SET u%u %u %llu", bits, offset, (unsigned long long)new)
                              : snprintf(line + line_end, sizeof(line) - line_end, " GET u%u %u",
                                         bits, offset));
            end += (size_t)snprintf(expected + end, sizeof(expected) - end, ":%llu\r\n",
                                    (unsigned long long)old);
        }
        SAYS(&harness, line, expected);
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- what they have in common ---- */

static void make_hash(struct call *call) {
    struct place place = call_place(call, call->args[1]);
    call_emit(
        call, &place,
        &(struct effect){.kind = EFFECT_HASH_PUT, .field = call->args[1], .value = call->args[1]});
    reply_ok(call->reply);
}

static const struct command hash_rows[] = {
    {.name = "hash", .arity = 2, .flags = COMMAND_WRITE, .run = make_hash},
    {.name = NULL},
};

START_TEST(a_key_of_another_type_is_refused) {
    static const struct line_case cases[] = {
        {"HASH h", OK},
        {"SET k v", OK},
        {"GETBIT h 0", WRONG_TYPE},
        {"GETBIT h x", NOT_OFFSET},
        {"SETBIT h 0 1", WRONG_TYPE},
        {"BITCOUNT h", WRONG_TYPE},
        {"BITCOUNT h x", WRONG_TYPE},
        {"BITPOS h 1", WRONG_TYPE},
        {"BITOP AND t k h", WRONG_TYPE},
        {"BITOP NOT t h", WRONG_TYPE},
        {"BITFIELD h GET u8 0", WRONG_TYPE},
        {"BITFIELD h SET u8 0 1", WRONG_TYPE},
        {"BITFIELD_RO h SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\r\n"},
        {"BITOP NOT h k", ":1\r\n"},
        {"STRLEN h", ":1\r\n"},
    };
    static const struct command *const all[] = {
        bitmap_commands, bitfield_commands, string_commands, string_part_commands, hash_rows, NULL};
    struct call_harness harness;
    call_harness_open(&harness, all, 1);
    say_all(&harness, cases, UNIT_COUNT(cases));
    call_harness_close(&harness);
}
END_TEST

START_TEST(rows_are_in_order_and_complete) {
    size_t count = 0;
    static const struct command *const own[] = {bitmap_commands, bitfield_commands};
    for (size_t i = 0; i < UNIT_COUNT(own); i++) {
        for (const struct command *row = own[i]; row->name != NULL; row++) {
            ck_assert(row == own[i] || strcmp(row[-1].name, row->name) < 0);
            ck_assert_str_eq(row->group, "bitmap");
            ck_assert(row->run != NULL && row->since != NULL && row->complexity != NULL);
            ck_assert(row->summary != NULL && row->syntax != NULL && row->keys[0].flags != 0);
            count++;
        }
    }
    ck_assert_uint_eq(count, 7);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        setbit_answers_the_old_bit_and_grows_the_string,
        a_bit_that_stays_the_same_is_no_change,
        setbit_patches_one_byte_of_a_large_string,
        bits_behind_the_end_are_zero,
        offsets_and_bits_out_of_range_are_refused,
        bitcount_counts_bytes_or_bits,
        bitpos_takes_what_follows_for_zeros_unless_an_end_is_given,
        counting_and_finding_agree_with_bits_one_by_one,
        bitop_pads_short_sources_with_zeros,
        bitop_of_nothing_deletes_the_target,
        bitop_puts_a_raw_string_without_expiry,
        bitop_of_large_strings_gives_a_block,
        bitfield_reads_and_writes_any_width_anywhere,
        overflow_wraps_saturates_or_fails,
        bitfield_checks_all_operations_before_the_first,
        bitfield_emits_a_patch_per_run_and_tells_once,
        bitfield_that_fails_to_write_still_grows_the_string,
        bitfield_agrees_with_an_array_of_bits,
        a_key_of_another_type_is_refused,
        rows_are_in_order_and_complete,
    };
    return unit_run(unit_suite("bitmap", tests, UNIT_COUNT(tests)));
}
