#include "commands/string.h"

#include "base/memory.h"
#include "commands/lcs.h"
#include "store/value.h"
#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct command *const families[] = {string_commands, string_part_commands,
                                                 string_number_commands, string_lcs_commands, NULL};

#define SAYS(harness, line, reply) ck_assert_str_eq(call_harness_line((harness), (line)), (reply))
#define TELLS(harness, text) ck_assert_str_eq((harness)->events.bytes, (text))
#define OK "+OK\r\n"
#define NIL "$-1\r\n"
#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX "-ERR syntax error\r\n"

static const char *encoding(const struct call_harness *harness, const char *key) {
    return value_encoding(call_harness_entry(harness, key));
}

static int64_t expiry(const struct call_harness *harness, const char *key) {
    return entry_expiry(call_harness_entry(harness, key));
}

/* A call whose last argument is `length` bytes of this letter. */
static const char *run_with_bytes(struct call_harness *harness, const char *name, const char *key,
                                  size_t length, char letter) {
    char *bytes = memory_alloc(length);
    memset(bytes, letter, length);
    struct span args[] = {span_of_string(name), span_of_string(key), span_of(bytes, length)};
    const char *reply = call_harness_run(harness, args, 3);
    memory_free(bytes);
    return reply;
}

/* ---- SET and GET ---- */

START_TEST(get_answers_what_set_was_given) {
    for (uint32_t stores = 1; stores <= 3; stores += 2) {
        struct call_harness harness;
        call_harness_open(&harness, families, stores);
        SAYS(&harness, "SET key \"a\\x00\\r\\n\"", OK);
        TELLS(&harness, "new key\nset key\n");
        SAYS(&harness, "GET key", "$4\r\na");
        ck_assert_int_eq(memcmp(harness.reply.bytes, "$4\r\na\0\r\n\r\n", 10), 0);
        SAYS(&harness, "SET key 2", OK);
        TELLS(&harness, "set key\n");
        SAYS(&harness, "GET key", "$1\r\n2\r\n");
        SAYS(&harness, "SET \"\" \"\"", OK);
        SAYS(&harness, "GET \"\"", "$0\r\n\r\n");
        SAYS(&harness, "GET none", NIL);
        TELLS(&harness, "keymiss none\n");
        call_harness_close(&harness);
    }
}
END_TEST

START_TEST(set_chooses_redis_encodings) {
    static const struct {
        const char *text;
        const char *encoding;
    } cases[] = {
        {"0", "int"},
        {"-9223372036854775808", "int"},
        {"9223372036854775807", "int"},
        {"9223372036854775808", "embstr"},
        {"-0", "embstr"},
        {"007", "embstr"},
        {"+1", "embstr"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "embstr"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "raw"},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct span args[] = {span_of_string("set"), span_of_string("k"),
                              span_of_string(cases[i].text)};
        ck_assert_str_eq(call_harness_run(&harness, args, 3), OK);
        ck_assert_str_eq(encoding(&harness, "k"), cases[i].encoding);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(set_obeys_nx_xx_and_get) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k 1 XX", NIL);
    SAYS(&harness, "SET k 1 NX", OK);
    SAYS(&harness, "SET k 2 nx", NIL);
    ck_assert_uint_eq(harness.effects_count, 0);
    SAYS(&harness, "SET k 3 xx", OK);
    SAYS(&harness, "SET k 4 GET", "$1\r\n3\r\n");
    SAYS(&harness, "SET k 5 NX GET", "$1\r\n4\r\n");
    SAYS(&harness, "SET none 5 XX GET", NIL);
    SAYS(&harness, "SET none 5 NX GET", NIL);
    TELLS(&harness, "keymiss none\nnew none\nset none\n");
    SAYS(&harness, "GET k", "$1\r\n4\r\n");
    harness.protocol = 3;
    SAYS(&harness, "SET k 5 NX", "_\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(set_refuses_options_that_exclude_each_other) {
    static const char *const lines[] = {
        "SET k v NX XX",
        "SET k v XX NX",
        "SET k v EX 1 PX 1",
        "SET k v EX 1 KEEPTTL",
        "SET k v KEEPTTL EX 1",
        "SET k v EXAT 1 PXAT 1",
        "SET k v PXAT 1 KEEPTTL",
        "SET k v PERSIST",
        "SET k v EX",
        "SET k v FOO",
        "SET k v \"\"",
        "GETEX k EX 1 PERSIST",
        "GETEX k PERSIST PXAT 1",
        "GETEX k KEEPTTL",
        "GETEX k NX",
        "GETEX k GET",
        "GETEX k EX",
        "GETEX k EX 1 PX 1",
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        SAYS(&harness, lines[i], SYNTAX);
    }
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    SAYS(&harness, "SET k v NX NX EX 9 ex 10", OK);
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 10000);
    call_harness_close(&harness);
}
END_TEST

START_TEST(set_keeps_replaces_or_drops_the_expiry) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k v EX 10", OK);
    TELLS(&harness, "new k\nset k\nexpire k\n");
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 10000);
    SAYS(&harness, "SET k w KEEPTTL", OK);
    TELLS(&harness, "set k\n");
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 10000);
    SAYS(&harness, "SET k v PX 5", OK);
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 5);
    SAYS(&harness, "SET k v EXAT 1900000000", OK);
    ck_assert_int_eq(expiry(&harness, "k"), INT64_C(1900000000000));
    SAYS(&harness, "SET k v PXAT 1900000000001", OK);
    ck_assert_int_eq(expiry(&harness, "k"), INT64_C(1900000000001));
    SAYS(&harness, "SET k v", OK);
    ck_assert_int_eq(expiry(&harness, "k"), ENTRY_NO_EXPIRY);
    SAYS(&harness, "SETEX k 10 v", OK);
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 10000);
    SAYS(&harness, "PSETEX k 10 v", OK);
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 10);
    SAYS(&harness, "GETSET k w", "$1\r\nv\r\n");
    ck_assert_int_eq(expiry(&harness, "k"), ENTRY_NO_EXPIRY);
    call_harness_close(&harness);
}
END_TEST

START_TEST(an_expiry_must_be_a_moment_that_fits) {
    static const struct {
        const char *line;
        const char *name; /* of the command in the error; NULL: no integer */
    } cases[] = {
        {"SET k v EX 0", "set"},
        {"SET k v PX -1", "set"},
        {"SET k v PXAT 0", "set"},
        {"SET k v EXAT 9223372036854776", "set"},
        {"SET k v EX 9223372036854775", "set"},
        {"SET k v PX 9223372036854775807", "set"},
        {"SETEX k 0 v", "setex"},
        {"SETEX k 9223372036854775807 v", "setex"},
        {"PSETEX k -5 v", "psetex"},
        {"GETEX old EX 0", "getex"},
        {"GETEX old PX 9223372036854775807", "getex"},
        {"SET k v EX abc", NULL},
        {"SET k v EX 1.5", NULL},
        {"SETEX k 9223372036854775808 v", NULL},
        {"GETEX old EX abc", NULL},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET old v", OK);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        char error[128];
        snprintf(error, sizeof(error), "-ERR invalid expire time in '%s' command\r\n",
                 cases[i].name == NULL ? "" : cases[i].name);
        SAYS(&harness, cases[i].line, cases[i].name == NULL ? NOT_INTEGER : error);
        ck_assert_uint_eq(harness.effects_count, 0);
    }
    SAYS(&harness, "GETEX none EX abc", NIL);
    SAYS(&harness, "SET k v PXAT 9223372036854775807", OK);
    call_harness_close(&harness);
}
END_TEST

START_TEST(an_expired_key_is_gone_by_an_effect) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k v PX 10", OK);
    harness.now_ms += 9;
    SAYS(&harness, "GET k", "$1\r\nv\r\n");
    harness.now_ms += 1;
    SAYS(&harness, "GET k", NIL);
    TELLS(&harness, "expired k\nkeymiss k\n");
    ck_assert_uint_eq(harness.effects_count, 1);
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_KEY_DELETE);
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    SAYS(&harness, "SET k v PX 10", OK);
    harness.now_ms += 10;
    SAYS(&harness, "APPEND k w", ":1\r\n");
    TELLS(&harness, "expired k\nnew k\nappend k\n");
    ck_assert_int_eq(expiry(&harness, "k"), ENTRY_NO_EXPIRY);
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_set_is_one_effect) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k v EX 10", OK);
    ck_assert_uint_eq(harness.effects_count, 1);
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_VALUE_PUT);
    ck_assert_int_eq(harness.effects[0].event, EVENT_SET_ID);
    call_harness_close(&harness);
}
END_TEST

START_TEST(getex_changes_nothing_but_the_expiry) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k v", OK);
    SAYS(&harness, "GETEX k", "$1\r\nv\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    SAYS(&harness, "GETEX k PERSIST", "$1\r\nv\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    SAYS(&harness, "GETEX k EX 100", "$1\r\nv\r\n");
    TELLS(&harness, "expire k\n");
    ck_assert_int_eq(expiry(&harness, "k"), CALL_HARNESS_NOW_MS + 100000);
    SAYS(&harness, "GETEX k PERSIST", "$1\r\nv\r\n");
    TELLS(&harness, "persist k\n");
    ck_assert_int_eq(expiry(&harness, "k"), ENTRY_NO_EXPIRY);
    SAYS(&harness, "GETEX k PXAT 1", "$1\r\nv\r\n");
    TELLS(&harness, "del k\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(getdel_and_getset_answer_the_old_value) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "GETSET k 1", NIL);
    TELLS(&harness, "keymiss k\nnew k\nset k\n");
    SAYS(&harness, "GETSET k 2", "$1\r\n1\r\n");
    SAYS(&harness, "GETDEL k", "$1\r\n2\r\n");
    TELLS(&harness, "del k\n");
    SAYS(&harness, "GETDEL k", NIL);
    ck_assert_uint_eq(harness.effects_count, 0);
    call_harness_close(&harness);
}
END_TEST

/* ---- many keys ---- */

START_TEST(mset_and_mget_reach_all_stores) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    SAYS(&harness, "MSET a 1 b 2 c 3 d 4 a 5", OK);
    TELLS(&harness, "new a\nset a\nnew b\nset b\nnew c\nset c\nnew d\nset d\nset a\n");
    SAYS(&harness, "MGET a b none c d",
         "*5\r\n$1\r\n5\r\n$1\r\n2\r\n$-1\r\n$1\r\n3\r\n$1\r\n4\r\n");
    ck_assert_uint_gt(store_keys(harness.keyspace->stores[0], 0), 0);
    ck_assert_uint_gt(store_keys(harness.keyspace->stores[2], 0), 0);
    SAYS(&harness, "MSETNX e 1 b 2", ":0\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    SAYS(&harness, "MSETNX e 1 f 2 e 3", ":1\r\n");
    SAYS(&harness, "GET e", "$1\r\n3\r\n");
    SAYS(&harness, "MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n");
    SAYS(&harness, "MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- parts ---- */

START_TEST(getrange_cuts_as_redis_does) {
    static const struct {
        const char *range;
        const char *part;
    } cases[] = {
        {"0 4", "$5\r\nHello\r\n"},
        {"-5 -1", "$5\r\nWorld\r\n"},
        {"0 -1", "$11\r\nHello World\r\n"},
        {"5 2", "$0\r\n\r\n"},
        {"11 20", "$0\r\n\r\n"},
        {"10 20", "$1\r\nd\r\n"},
        {"-100 3", "$4\r\nHell\r\n"},
        {"-100 -200", "$0\r\n\r\n"},
        {"-200 -100", "$1\r\nH\r\n"},
        {"0 -100", "$1\r\nH\r\n"},
        {"-9223372036854775808 9223372036854775807", "$11\r\nHello World\r\n"},
        {"9223372036854775807 9223372036854775807", "$0\r\n\r\n"},
        {"a 1", NOT_INTEGER},
        {"0 1.0", NOT_INTEGER},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET k \"Hello World\"", OK);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        char line[128];
        snprintf(line, sizeof(line), "GETRANGE k %s", cases[i].range);
        SAYS(&harness, line, cases[i].part);
    }
    SAYS(&harness, "GETRANGE none 0 -1", "$0\r\n\r\n");
    SAYS(&harness, "SET n 123456", OK);
    SAYS(&harness, "SUBSTR n -2 -1", "$2\r\n56\r\n");
    SAYS(&harness, "SET e \"\"", OK);
    SAYS(&harness, "GETRANGE e 0 -1", "$0\r\n\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(append_makes_raw_strings_of_what_was_there) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "APPEND k 12", ":2\r\n");
    TELLS(&harness, "new k\nappend k\n");
    ck_assert_str_eq(encoding(&harness, "k"), "int");
    SAYS(&harness, "APPEND k \"\"", ":2\r\n");
    ck_assert_str_eq(encoding(&harness, "k"), "raw");
    SAYS(&harness, "APPEND k 3", ":3\r\n");
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_STRING_PATCH);
    ck_assert_uint_eq(harness.effects[0].value_length, 1);
    SAYS(&harness, "STRLEN k", ":3\r\n");
    SAYS(&harness, "INCR k", ":124\r\n");
    ck_assert_str_eq(encoding(&harness, "k"), "int");
    SAYS(&harness, "APPEND e \"\"", ":0\r\n");
    SAYS(&harness, "GET e", "$0\r\n\r\n");
    SAYS(&harness, "SET v a EX 100", OK);
    SAYS(&harness, "APPEND v b", ":2\r\n");
    ck_assert_int_eq(expiry(&harness, "v"), CALL_HARNESS_NOW_MS + 100000);
    call_harness_close(&harness);
}
END_TEST

START_TEST(setrange_fills_gaps_with_zeros) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SETRANGE k 0 \"\"", ":0\r\n");
    SAYS(&harness, "SETRANGE k 5 \"\"", ":0\r\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    SAYS(&harness, "SETRANGE k 2 abc", ":5\r\n");
    TELLS(&harness, "new k\nsetrange k\n");
    SAYS(&harness, "GET k", "$5\r\n");
    ck_assert_int_eq(memcmp(harness.reply.bytes, "$5\r\n\0\0abc\r\n", 11), 0);
    SAYS(&harness, "SETRANGE k 0 xy", ":5\r\n");
    SAYS(&harness, "GET k", "$5\r\nxyabc\r\n");
    SAYS(&harness, "SETRANGE k 100 \"\"", ":5\r\n");
    SAYS(&harness, "SET n 12345", OK);
    SAYS(&harness, "SETRANGE n 1 99", ":5\r\n");
    SAYS(&harness, "GET n", "$5\r\n19945\r\n");
    ck_assert_str_eq(encoding(&harness, "n"), "raw");
    SAYS(&harness, "SETRANGE k -1 x", "-ERR offset is out of range\r\n");
    SAYS(&harness, "SETRANGE k abc x", NOT_INTEGER);
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_string_does_not_grow_beyond_proto_max_bulk_len) {
    static const char error[] = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    harness.options.proto_max_bulk_len = 100;
    SAYS(&harness, "SETRANGE k 99 x", ":100\r\n");
    SAYS(&harness, "SETRANGE k 99 xy", error);
    SAYS(&harness, "SETRANGE k 9223372036854775807 x", error);
    SAYS(&harness, "SETRANGE none 100 x", error);
    SAYS(&harness, "APPEND k x", error);
    SAYS(&harness, "APPEND k \"\"", ":100\r\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 1);
    call_harness_close(&harness);
}
END_TEST

START_TEST(large_strings_grow_by_patches) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    ck_assert_str_eq(run_with_bytes(&harness, "set", "k", BLOCK_BYTES_MIN, 'a'), OK);
    ck_assert(harness.effects[0].has_block);
    ck_assert_str_eq(run_with_bytes(&harness, "append", "k", 10, 'b'), ":16394\r\n");
    ck_assert_uint_eq(harness.effects[0].value_length, 10);
    SAYS(&harness, "SETRANGE k 20000 c", ":20001\r\n");
    SAYS(&harness, "GETRANGE k 16383 16384", "$2\r\nab\r\n");
    SAYS(&harness, "GETRANGE k 19999 -1", "$2\r\n");
    ck_assert_int_eq(harness.reply.bytes[5], 'c');
    call_harness_line(&harness, "GETRANGE k 0 -1");
    ck_assert_uint_eq(harness.reply.length, strlen("$20001\r\n") + 20001 + 2);
    /* One that was small, and one that was not there. */
    SAYS(&harness, "SET n 7", OK);
    SAYS(&harness, "SETRANGE n 30000 x", ":30001\r\n");
    SAYS(&harness, "GETRANGE n 0 0", "$1\r\n7\r\n");
    SAYS(&harness, "SETRANGE m 30000 x", ":30001\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- numbers ---- */

START_TEST(integers_count_up_to_the_edge) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "INCR n", ":1\r\n");
    TELLS(&harness, "new n\nincrby n\n");
    SAYS(&harness, "DECR n", ":0\r\n");
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_INTEGER_PUT);
    SAYS(&harness, "INCRBY n 9223372036854775807", ":9223372036854775807\r\n");
    SAYS(&harness, "INCR n", "-ERR increment or decrement would overflow\r\n");
    SAYS(&harness, "SET n -9223372036854775808", OK);
    SAYS(&harness, "DECRBY n 1", "-ERR increment or decrement would overflow\r\n");
    SAYS(&harness, "DECRBY n -9223372036854775808", "-ERR decrement would overflow\r\n");
    SAYS(&harness, "INCRBY n 1.5", NOT_INTEGER);
    SAYS(&harness, "INCRBY n \" 1\"", NOT_INTEGER);
    SAYS(&harness, "GET n", "$20\r\n-9223372036854775808\r\n");
    SAYS(&harness, "SET v 5 EX 100", OK);
    SAYS(&harness, "INCRBY v 5", ":10\r\n");
    ck_assert_int_eq(expiry(&harness, "v"), CALL_HARNESS_NOW_MS + 100000);
    call_harness_close(&harness);
}
END_TEST

START_TEST(text_that_is_no_integer_does_not_count) {
    static const char *const texts[] = {"abc", "\"\"", "\" 1\"", "1.0",
                                        "01",  "-0",   "+1",     "99999999999999999999"};
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET s %s", texts[i]);
        SAYS(&harness, line, OK);
        SAYS(&harness, "INCR s", NOT_INTEGER);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(incrbyfloat_writes_text_and_keeps_the_expiry) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    SAYS(&harness, "SET f 10.50 EX 100", OK);
    SAYS(&harness, "INCRBYFLOAT f 0.1", "$4\r\n10.6\r\n");
    TELLS(&harness, "incrbyfloat f\n");
    SAYS(&harness, "INCRBYFLOAT f -5e0", "$3\r\n5.6\r\n");
    SAYS(&harness, "INCRBYFLOAT f 0.4", "$1\r\n6\r\n");
    ck_assert_str_eq(encoding(&harness, "f"), "embstr");
    ck_assert_int_eq(expiry(&harness, "f"), CALL_HARNESS_NOW_MS + 100000);
    SAYS(&harness, "INCR f", ":7\r\n");
    SAYS(&harness, "INCRBYFLOAT new -1", "$2\r\n-1\r\n");
    TELLS(&harness, "new new\nincrbyfloat new\n");
    SAYS(&harness, "INCRBYFLOAT f abc", "-ERR value is not a valid float\r\n");
    SAYS(&harness, "INCRBYFLOAT f \" 1\"", "-ERR value is not a valid float\r\n");
    SAYS(&harness, "INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity\r\n");
    SAYS(&harness, "SET s abc", OK);
    SAYS(&harness, "INCRBYFLOAT s 1", "-ERR value is not a valid float\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- LCS ---- */

START_TEST(lcs_answers_text_length_or_matches) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    SAYS(&harness, "MSET a ohmytext b mynewtext", OK);
    SAYS(&harness, "LCS a b", "$6\r\nmytext\r\n");
    SAYS(&harness, "LCS a b LEN", ":6\r\n");
    SAYS(&harness, "LCS a b IDX",
         "*4\r\n$7\r\nmatches\r\n*2\r\n"
         "*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n"
         "*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n"
         "$3\r\nlen\r\n:6\r\n");
    SAYS(&harness, "LCS a b idx minmatchlen 4 withmatchlen",
         "*4\r\n$7\r\nmatches\r\n*1\r\n"
         "*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n"
         "$3\r\nlen\r\n:6\r\n");
    SAYS(&harness, "MSET {x}1 ab {x}2 ba", OK);
    SAYS(&harness, "LCS {x}1 {x}2", "$1\r\nb\r\n");
    SAYS(&harness, "LCS a none", "$0\r\n\r\n");
    SAYS(&harness, "LCS none none IDX", "*4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n");
    SAYS(&harness, "LCS a b IDX LEN",
         "-ERR If you want both the length and indexes, please just use IDX.\r\n");
    SAYS(&harness, "LCS a b MINMATCHLEN", SYNTAX);
    SAYS(&harness, "LCS a b MINMATCHLEN x", NOT_INTEGER);
    harness.options.proto_max_bulk_len = 4 * 9 * 10 - 1;
    SAYS(&harness, "LCS a b",
         "-ERR Insufficient memory, transient memory for LCS exceeds "
         "proto-max-bulk-len\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- what they have in common ---- */

/* A hash, as another family would make it. */
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

/* The bytes behind the block are not there: the lengths alone must be enough to refuse. */
START_TEST(lcs_refuses_strings_too_long_for_its_numbers_or_its_table) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    char *large = malloc(BLOCK_BYTES_MIN);
    memset(large, 'x', BLOCK_BYTES_MIN);
    const struct span args[] = {span_of_string("SET"), span_of_string("large"),
                                span_of(large, BLOCK_BYTES_MIN)};
    call_harness_run(&harness, args, 3);
    free(large);
    SAYS(&harness, "SET small v", OK);
    struct block *block = entry_block(call_harness_entry(&harness, "large"));
    block->length = LCS_BYTES_MAX + 1;
    SAYS(&harness, "LCS large small", "-ERR String too long for LCS\r\n");
    SAYS(&harness, "LCS small large", "-ERR String too long for LCS\r\n");
    block->length = LCS_BYTES_MAX;
    SAYS(&harness, "LCS large small",
         "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n");
    harness.options.proto_max_bulk_len = INT64_MAX;
    SAYS(&harness, "LCS large large",
         "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n");
    block->length = BLOCK_BYTES_MIN;
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_key_of_another_type_is_refused_but_overwritten_by_set) {
    static const char *const lines[] = {
        "GET h",          "GETDEL h",       "GETEX h",           "GETEX h EX 0",
        "GETSET h v",     "SET h v GET",    "SET h v NX GET",    "GETRANGE h 0 1",
        "SUBSTR h 0 1",   "SETRANGE h 0 x", "SETRANGE h 0 \"\"", "APPEND h x",
        "STRLEN h",       "INCR h",         "DECRBY h 1",        "INCRBYFLOAT h 1",
        "INCRBYFLOAT h x"};
    static const struct command *const both[] = {string_commands,
                                                 string_part_commands,
                                                 string_number_commands,
                                                 string_lcs_commands,
                                                 hash_rows,
                                                 NULL};
    struct call_harness harness;
    call_harness_open(&harness, both, 1);
    SAYS(&harness, "HASH h", OK);
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        SAYS(&harness, lines[i], WRONG_TYPE);
        ck_assert_uint_eq(harness.effects_count, 0);
    }
    SAYS(&harness, "LCS h h", "-ERR The specified keys must contain string values\r\n");
    SAYS(&harness, "MGET h", "*1\r\n$-1\r\n");
    SAYS(&harness, "SETNX h v", ":0\r\n");
    SAYS(&harness, "SET h v NX", NIL);
    SAYS(&harness, "SET h v", OK);
    TELLS(&harness, "set h\n");
    SAYS(&harness, "GET h", "$1\r\nv\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(rows_are_in_order_and_complete) {
    size_t count = 0;
    for (size_t i = 0; families[i] != NULL; i++) {
        for (const struct command *row = families[i]; row->name != NULL; row++) {
            ck_assert(row == families[i] || strcmp(row[-1].name, row->name) < 0);
            ck_assert_str_eq(row->group, "string");
            ck_assert(row->run != NULL && row->since != NULL && row->complexity != NULL);
            ck_assert(row->summary != NULL && row->syntax != NULL && row->keys[0].flags != 0);
            count++;
        }
    }
    ck_assert_uint_eq(count, 22);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        get_answers_what_set_was_given,
        set_chooses_redis_encodings,
        set_obeys_nx_xx_and_get,
        set_refuses_options_that_exclude_each_other,
        set_keeps_replaces_or_drops_the_expiry,
        an_expiry_must_be_a_moment_that_fits,
        an_expired_key_is_gone_by_an_effect,
        a_set_is_one_effect,
        getex_changes_nothing_but_the_expiry,
        getdel_and_getset_answer_the_old_value,
        mset_and_mget_reach_all_stores,
        getrange_cuts_as_redis_does,
        append_makes_raw_strings_of_what_was_there,
        setrange_fills_gaps_with_zeros,
        a_string_does_not_grow_beyond_proto_max_bulk_len,
        large_strings_grow_by_patches,
        integers_count_up_to_the_edge,
        text_that_is_no_integer_does_not_count,
        incrbyfloat_writes_text_and_keeps_the_expiry,
        lcs_answers_text_length_or_matches,
        lcs_refuses_strings_too_long_for_its_numbers_or_its_table,
        a_key_of_another_type_is_refused_but_overwritten_by_set,
        rows_are_in_order_and_complete,
    };
    return unit_run(unit_suite("string", tests, UNIT_COUNT(tests)));
}
