#include "commands/hash.h"

#include "base/memory.h"
#include "commands/string.h"
#include "store/hash_value.h"

#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX_ERROR "-ERR syntax error\r\n"

static const struct command *const families[] = {
    hash_commands,        hash_walk_commands,     hash_random_commands, string_commands,
    string_part_commands, string_number_commands, string_lcs_commands,  NULL};

/* A call and its reply. */
struct line {
    const char *call;
    const char *reply;
};

static void expect(struct call_harness *harness, const struct line *lines, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *reply = call_harness_line(harness, lines[i].call);
        ck_assert_msg(strcmp(reply, lines[i].reply) == 0, "%s answers %s instead of %s",
                      lines[i].call, reply, lines[i].reply);
    }
}

/* Lines on an empty keyspace of three stores. */
static void expect_alone(int protocol, const struct line *lines, size_t count) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    harness.protocol = protocol;
    expect(&harness, lines, count);
    call_harness_close(&harness);
}

static const char *encoding(const struct call_harness *harness, const char *key) {
    return value_encoding(call_harness_entry(harness, key));
}

/* ---- setting and getting ---- */

START_TEST(hset_counts_new_fields_only_and_the_last_of_equal_ones_wins) {
    static const struct line lines[] = {
        {"HSET h a 1 b 2", ":2\r\n"},
        {"HSET h b 3 c 4", ":1\r\n"},
        {"HSET h d 5 d 6", ":1\r\n"},
        {"HGETALL h", "*8\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n3\r\n"
                      "$1\r\nc\r\n$1\r\n4\r\n$1\r\nd\r\n$1\r\n6\r\n"},
        {"HMSET h a 9 e 8", "+OK\r\n"},
        {"HMGET h a e zz a", "*4\r\n$1\r\n9\r\n$1\r\n8\r\n$-1\r\n$1\r\n9\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hset_with_a_field_without_value_changes_nothing) {
    static const struct line lines[] = {
        {"HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"},
        {"HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command\r\n"},
        {"HLEN h", ":0\r\n"},
        {"SET s x", "+OK\r\n"},
        {"HSET s a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"},
        {"HSET s a", "<arity>"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hsetnx_leaves_a_field_that_is_there) {
    static const struct line lines[] = {
        {"HSETNX h a 1", ":1\r\n"},
        {"HSETNX h a 2", ":0\r\n"},
        {"HGET h a", "$1\r\n1\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hash_reads_of_a_missing_key_answer_emptiness_in_each_protocol) {
    static const struct line lines_2[] = {
        {"HGET no a", "$-1\r\n"},     {"HMGET no a b", "*2\r\n$-1\r\n$-1\r\n"},
        {"HGETALL no", "*0\r\n"},     {"HKEYS no", "*0\r\n"},
        {"HVALS no", "*0\r\n"},       {"HLEN no", ":0\r\n"},
        {"HSTRLEN no a", ":0\r\n"},   {"HEXISTS no a", ":0\r\n"},
        {"HRANDFIELD no", "$-1\r\n"}, {"HRANDFIELD no 2", "*0\r\n"},
        {"HDEL no a", ":0\r\n"},      {"HSCAN no 0", "*2\r\n$1\r\n0\r\n*0\r\n"},
    };
    expect_alone(2, lines_2, UNIT_COUNT(lines_2));
    static const struct line lines_3[] = {
        {"HGET no a", "_\r\n"},     {"HMGET no a b", "*2\r\n_\r\n_\r\n"},
        {"HGETALL no", "%0\r\n"},   {"HKEYS no", "*0\r\n"},
        {"HRANDFIELD no", "_\r\n"}, {"HRANDFIELD no 2 WITHVALUES", "*0\r\n"},
    };
    expect_alone(3, lines_3, UNIT_COUNT(lines_3));
}
END_TEST

START_TEST(hgetall_hkeys_and_hvals_keep_the_order_of_insertion) {
    static const struct line lines[] = {
        {"HSET h z 1 a 2 m 3", ":3\r\n"},
        {"HSET h a 4", ":0\r\n"},
        {"HGETALL h", "%3\r\n$1\r\nz\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n4\r\n$1\r\nm\r\n$1\r\n3\r\n"},
        {"HKEYS h", "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\nm\r\n"},
        {"HVALS h", "*3\r\n$1\r\n1\r\n$1\r\n4\r\n$1\r\n3\r\n"},
    };
    expect_alone(3, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hexists_hlen_and_hstrlen_tell_of_fields) {
    static const struct line lines[] = {
        {"HSET h a hello b -12 c \"\"", ":3\r\n"},
        {"HEXISTS h c", ":1\r\n"},
        {"HEXISTS h d", ":0\r\n"},
        {"HLEN h", ":3\r\n"},
        {"HSTRLEN h a", ":5\r\n"},
        {"HSTRLEN h b", ":3\r\n"},
        {"HSTRLEN h c", ":0\r\n"},
        {"HSTRLEN h d", ":0\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hash_commands_refuse_a_key_of_another_type) {
    static const char *const calls[] = {
        "HSET s a 1",     "HMSET s a 1",   "HSETNX s a 1",  "HGET s a",           "HMGET s a",
        "HDEL s a",       "HLEN s",        "HSTRLEN s a",   "HEXISTS s a",        "HKEYS s",
        "HVALS s",        "HGETALL s",     "HINCRBY s a 1", "HINCRBYFLOAT s a 1", "HRANDFIELD s",
        "HRANDFIELD s 1", "HSCAN s 0 BAD",
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    call_harness_line(&harness, "SET s x");
    for (size_t i = 0; i < UNIT_COUNT(calls); i++) {
        ck_assert_str_eq(call_harness_line(&harness, calls[i]), WRONG_TYPE);
        ck_assert_uint_eq(harness.effects_count, 0);
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- deleting ---- */

START_TEST(hdel_counts_each_field_once_and_takes_the_key_with_the_last) {
    static const struct line lines[] = {
        {"HSET h a 1 b 2 c 3", ":3\r\n"}, {"HDEL h a a zz b a", ":2\r\n"},
        {"HKEYS h", "*1\r\n$1\r\nc\r\n"}, {"HDEL h c c", ":1\r\n"},
        {"HGETALL h", "*0\r\n"},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    expect(&harness, lines, UNIT_COUNT(lines));
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(hdel_of_nothing_has_no_effect) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    call_harness_line(&harness, "HSET h a 1");
    ck_assert_str_eq(call_harness_line(&harness, "HDEL h b"), ":0\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    ck_assert_str_eq(harness.events.bytes, "");
    call_harness_close(&harness);
}
END_TEST

/* ---- events ---- */

START_TEST(hash_events_are_one_per_command_and_those_of_redis) {
    static const struct line calls[] = {
        {"HSET h a 1 b 2 c 3", "new h\nhset h\n"},
        {"HSET h a 1", "hset h\n"},
        {"HMSET g a 1 b 2", "new g\nhset g\n"},
        {"HSETNX h a 5", ""},
        {"HSETNX h d 5", "hset h\n"},
        {"HINCRBY h a 1", "hincrby h\n"},
        {"HINCRBY i a 1", "new i\nhincrby i\n"},
        {"HINCRBYFLOAT h a 1", "hincrbyfloat h\n"},
        {"HINCRBYFLOAT j a 1", "new j\nhincrbyfloat j\n"},
        {"HDEL h a zz", "hdel h\n"},
        {"HDEL h b c d", "hdel h\ndel h\n"},
        {"HGET h a", "keymiss h\n"},
    };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (size_t i = 0; i < UNIT_COUNT(calls); i++) {
        call_harness_line(&harness, calls[i].call);
        ck_assert_str_eq(harness.events.bytes, calls[i].reply);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(hash_effects_are_one_per_field_and_the_last_carries_the_event) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    call_harness_line(&harness, "HSET h a 1 b 2 c 3");
    ck_assert_uint_eq(harness.effects_count, 3);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(harness.effects[i].kind, EFFECT_HASH_PUT);
        ck_assert_int_eq(harness.effects[i].event, i == 2 ? EVENT_HSET_ID : EVENT_NONE);
    }
    call_harness_line(&harness, "HDEL h a zz b b");
    ck_assert_uint_eq(harness.effects_count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(harness.effects[i].kind, EFFECT_HASH_DELETE);
        ck_assert_int_eq(harness.effects[i].event, i == 1 ? EVENT_HDEL_ID : EVENT_NONE);
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- numbers ---- */

START_TEST(hincrby_adds_and_refuses_what_is_no_integer_or_overflows) {
    static const struct line lines[] = {
        {"HINCRBY h n 5", ":5\r\n"},
        {"HINCRBY h n -7", ":-2\r\n"},
        {"HGET h n", "$2\r\n-2\r\n"},
        {"HINCRBY h n x", NOT_INTEGER},
        {"HINCRBY h n \" 5\"", NOT_INTEGER},
        {"HSET h t x e \"\" s \" 1\" max 9223372036854775807 min -9223372036854775808", ":5\r\n"},
        {"HINCRBY h t 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBY h e 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBY h s 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBY h max 1", "-ERR increment or decrement would overflow\r\n"},
        {"HINCRBY h min -1", "-ERR increment or decrement would overflow\r\n"},
        {"HINCRBY h max -1", ":9223372036854775806\r\n"},
        {"HINCRBY h min 1", ":-9223372036854775807\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hincrbyfloat_adds_and_refuses_what_is_no_number_or_infinite) {
    static const struct line lines[] = {
        {"HINCRBYFLOAT h n 10.5", "$4\r\n10.5\r\n"},
        {"HINCRBYFLOAT h n 0.1", "$4\r\n10.6\r\n"},
        {"HINCRBYFLOAT h n -5.6", "$1\r\n5\r\n"},
        {"HINCRBY h n 1", ":6\r\n"},
        {"HINCRBYFLOAT h n 5.0e3", "$4\r\n5006\r\n"},
        {"HINCRBYFLOAT h n -5006", "$1\r\n0\r\n"},
        {"HINCRBYFLOAT h n x", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h n nan", "-ERR value is not a valid float\r\n"},
        {"HINCRBYFLOAT h n inf", "-ERR value is NaN or Infinity\r\n"},
        {"HSET h t x e \"\" s \" 1\" i inf", ":4\r\n"},
        {"HINCRBYFLOAT h t 1", "-ERR hash value is not a float\r\n"},
        {"HINCRBYFLOAT h e 1", "-ERR hash value is not a float\r\n"},
        {"HINCRBYFLOAT h s 1", "-ERR hash value is not a float\r\n"},
        {"HINCRBYFLOAT h i 1", "-ERR increment would produce NaN or Infinity\r\n"},
        {"HINCRBYFLOAT none n -inf", "-ERR value is NaN or Infinity\r\n"},
        {"HLEN none", ":0\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hincrbyfloat_converts_a_hash_whose_number_became_too_long_a_text) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    call_harness_line(&harness, "HSET h f 1");
    call_harness_line(&harness, "HINCRBYFLOAT h f 1e300");
    ck_assert_str_eq(encoding(&harness, "h"), "hashtable");
    ck_assert_str_eq(call_harness_line(&harness, "HSTRLEN h f"), ":301\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- large hashes ---- */

static void fill(struct call_harness *harness, const char *key, int fields) {
    for (int i = 0; i < fields; i++) {
        char line[100];
        snprintf(line, sizeof(line), "HSET %s field:%d value:%d", key, i, i);
        ck_assert_str_eq(call_harness_line(harness, line), ":1\r\n");
    }
}

START_TEST(hash_of_many_fields_is_a_table_with_the_same_replies) {
    struct call_harness harness;
    call_harness_open(&harness, families, 2);
    fill(&harness, "h", 1000);
    ck_assert_str_eq(encoding(&harness, "h"), "hashtable");
    static const struct line lines[] = {
        {"HLEN h", ":1000\r\n"},
        {"HGET h field:777", "$9\r\nvalue:777\r\n"},
        {"HMGET h field:0 zz field:999", "*3\r\n$7\r\nvalue:0\r\n$-1\r\n$9\r\nvalue:999\r\n"},
        {"HDEL h field:0 field:0 zz field:1", ":2\r\n"},
        {"HSET h field:5 x field:0 y", ":1\r\n"},
        {"HINCRBY h number 3", ":3\r\n"},
        {"HINCRBY h number 4", ":7\r\n"},
        {"HLEN h", ":1000\r\n"},
    };
    expect(&harness, lines, UNIT_COUNT(lines));
    ck_assert(strncmp(call_harness_line(&harness, "HGETALL h"), "*2000\r\n", 7) == 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(hash_holds_values_that_came_as_blocks) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    size_t length = BLOCK_BYTES_MIN * 2;
    char *bytes = memory_alloc(length);
    memset(bytes, 'v', length);
    struct span args[] = {SPAN_LITERAL("HSET"),
                          SPAN_LITERAL("h"),
                          SPAN_LITERAL("f"),
                          {.bytes = bytes, .length = length}};
    ck_assert_str_eq(call_harness_run(&harness, args, 4), ":1\r\n");
    call_harness_line(&harness, "HGET h f");
    ck_assert_uint_gt(harness.reply.length, length);
    ck_assert_int_eq(memcmp(harness.reply.bytes + strlen("$32768\r\n"), bytes, length), 0);
    memory_free(bytes);
    call_harness_close(&harness);
}
END_TEST

START_TEST(hash_that_expired_is_new_when_it_is_set) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    call_harness_line(&harness, "HSET h a 1");
    uint16_t slot = slot_of_key(span_of_string("h"));
    for (int i = 0; i < 2; i++) {
        struct keyspace *keyspace = i == 0 ? harness.keyspace : harness.twin;
        struct place place = {
            .store = keyspace_store(keyspace, slot), .key = span_of_string("h"), .slot = slot};
        place.hash = store_hash(place.store, place.key);
        place_find(&place);
        effect_apply(&place, &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT,
                                              .expiry_ms = CALL_HARNESS_NOW_MS + 10});
    }
    call_harness_line(&harness, "HSET h b 1");
    ck_assert_str_eq(call_harness_line(&harness, "HLEN h"), ":2\r\n");
    harness.now_ms += 10;
    ck_assert_str_eq(call_harness_line(&harness, "HSET h c 1"), ":1\r\n");
    ck_assert_str_eq(harness.events.bytes, "expired h\nnew h\nhset h\n");
    ck_assert_str_eq(call_harness_line(&harness, "HKEYS h"), "*1\r\n$1\r\nc\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- HRANDFIELD ---- */

START_TEST(hrandfield_checks_its_arguments_as_redis_does) {
    static const struct line lines[] = {
        {"SET s x", "+OK\r\n"},
        {"HSET h a 1", ":1\r\n"},
        {"HRANDFIELD s x", NOT_INTEGER},
        {"HRANDFIELD s 1 foo", SYNTAX_ERROR},
        {"HRANDFIELD h 1 WITHVALUES x", SYNTAX_ERROR},
        {"HRANDFIELD h -9223372036854775808",
         "-ERR value is out of range, value must between -9223372036854775807 and "
         "9223372036854775807\r\n"},
        {"HRANDFIELD h -4611686018427387904 WITHVALUES", "-ERR value is out of range\r\n"},
        {"HRANDFIELD h 4611686018427387904 withvalues", "-ERR value is out of range\r\n"},
        {"HRANDFIELD h 4611686018427387903 withvalues", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HRANDFIELD h 9223372036854775807", "*1\r\n$1\r\na\r\n"},
        {"HRANDFIELD h 0", "*0\r\n"},
        {"HRANDFIELD h", "$1\r\na\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hrandfield_pairs_are_flat_in_resp2_and_nested_in_resp3) {
    static const struct line lines_2[] = {
        {"HSET h a 1", ":1\r\n"},
        {"HRANDFIELD h 5 WITHVALUES", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HRANDFIELD h -2 WITHVALUES", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HRANDFIELD h -2", "*2\r\n$1\r\na\r\n$1\r\na\r\n"},
    };
    expect_alone(2, lines_2, UNIT_COUNT(lines_2));
    static const struct line lines_3[] = {
        {"HSET h a 1", ":1\r\n"},
        {"HRANDFIELD h 5 WITHVALUES", "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HRANDFIELD h -2 WITHVALUES",
         "*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
    };
    expect_alone(3, lines_3, UNIT_COUNT(lines_3));
}
END_TEST

/* Reads "$n\r\nfield:<number>\r\n"; answers what is behind it. */
static const char *field_read(const char *reply, int *number) {
    int length;
    int header;
    ck_assert_int_eq(sscanf(reply, "$%d\r\nfield:%d%n", &length, number, &header), 2);
    return reply + header + 2;
}

START_TEST(hrandfield_with_a_count_draws_different_fields_and_any_of_them) {
    enum { FIELDS_MAX = 1000 };
    static const int sizes[] = {10, 100, FIELDS_MAX};
    for (size_t k = 0; k < UNIT_COUNT(sizes); k++) {
        int size = sizes[k];
        struct call_harness harness;
        call_harness_open(&harness, families, 1);
        fill(&harness, "h", size);
        uint8_t ever[FIELDS_MAX] = {0};
        for (int round = 0; round < 200; round++) {
            /* Few of many and many of many are drawn in different ways. */
            int count = 1 + (size - 1) * (round % 10) / 9;
            char line[50];
            snprintf(line, sizeof(line), "HRANDFIELD h %d", count);
            const char *reply = call_harness_line(&harness, line);
            char header[20];
            snprintf(header, sizeof(header), "*%d\r\n", count);
            ck_assert_int_eq(strncmp(reply, header, strlen(header)), 0);
            reply += strlen(header);
            uint8_t drawn[FIELDS_MAX] = {0};
            for (int i = 0; i < count; i++) {
                int number;
                reply = field_read(reply, &number);
                ck_assert_int_lt(number, size);
                ck_assert_uint_eq(drawn[number], 0);
                drawn[number] = 1;
                if (count < size) {
                    ever[number] = 1;
                }
            }
            ck_assert_str_eq(reply, "");
        }
        for (int i = 0; i < size; i++) {
            ck_assert_uint_gt(ever[i], 0);
        }
        call_harness_close(&harness);
    }
}
END_TEST

/* ---- HSCAN ---- */

START_TEST(hscan_reads_its_cursor_as_redis_does) {
    static const struct line lines[] = {
        {"HSCAN no abc", "-ERR invalid cursor\r\n"},
        {"HSCAN no \" 1\"", "-ERR invalid cursor\r\n"},
        {"HSCAN no \"1 \"", "-ERR invalid cursor\r\n"},
        {"HSCAN no +", "-ERR invalid cursor\r\n"},
        {"HSCAN no 18446744073709551616", "-ERR invalid cursor\r\n"},
        {"HSCAN no 18446744073709551615", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"HSCAN no \"\"", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"HSCAN no -1", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"HSCAN no +007", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"SET s x", "+OK\r\n"},
        {"HSCAN s abc", "-ERR invalid cursor\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hscan_of_a_small_hash_gives_all_that_match_at_once) {
    static const struct line lines[] = {
        {"HSET h a 1 b 2 ab 3", ":3\r\n"},
        {"HSCAN h 0 COUNT 1", "*2\r\n$1\r\n0\r\n*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"
                              "$2\r\nab\r\n$1\r\n3\r\n"},
        {"HSCAN h 5 MATCH a*",
         "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$2\r\nab\r\n$1\r\n3\r\n"},
        {"HSCAN h 0 MATCH a MATCH zz", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"HSCAN h 0 COUNT 0", SYNTAX_ERROR},
        {"HSCAN h 0 COUNT -3", SYNTAX_ERROR},
        {"HSCAN h 0 COUNT x", NOT_INTEGER},
        {"HSCAN h 0 COUNT", SYNTAX_ERROR},
        {"HSCAN h 0 NOVALUES", SYNTAX_ERROR},
        {"HSCAN h 0 COUNT 1 FOO", SYNTAX_ERROR},
        {"HSCAN no 0 FOO", "*2\r\n$1\r\n0\r\n*0\r\n"},
    };
    expect_alone(2, lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(hscan_walks_a_large_hash_in_pieces_about_as_large_as_the_count) {
    enum { FIELDS = 1000, COUNT = 50 };
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    fill(&harness, "h", FIELDS);
    uint8_t seen[FIELDS] = {0};
    uint64_t cursor = 0;
    int calls = 0;
    do {
        char line[60];
        snprintf(line, sizeof(line), "HSCAN h %llu COUNT %d", (unsigned long long)cursor, COUNT);
        const char *reply = call_harness_line(&harness, line);
        unsigned long long next;
        int elements;
        int header;
        ck_assert_int_eq(
            sscanf(reply, "*2\r\n$%*d\r\n%llu\r\n*%d\r\n%n", &next, &elements, &header), 2);
        ck_assert_int_lt(elements, COUNT * 2 * 2);
        ck_assert(elements >= COUNT * 2 || next == 0);
        reply += header;
        for (int i = 0; i < elements; i += 2) {
            int number;
            reply = field_read(reply, &number);
            seen[number]++;
            int length;
            int value;
            ck_assert_int_eq(sscanf(reply, "$%d\r\nvalue:%d%n", &length, &value, &header), 2);
            ck_assert_int_eq(value, number);
            reply += header + 2;
        }
        ck_assert_str_eq(reply, "");
        cursor = next;
        calls++;
    } while (cursor != 0);
    ck_assert_int_gt(calls, FIELDS / COUNT / 2);
    for (int i = 0; i < FIELDS; i++) {
        ck_assert_uint_eq(seen[i], 1);
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- against a map, with the twin keyspace that sees effects only ---- */

START_TEST(hash_effects_make_the_same_hashes_elsewhere_whatever_the_calls) {
    struct call_harness harness;
    call_harness_open(&harness, families, 2);
    harness.options.hash_max_listpack_entries = 20;
    struct random random;
    random_seed(&random, 7);
    static const char *const formats[] = {
        "HSET %s %s 1 x%s y",  "HSET %s %s abc",
        "HMSET %s %s 1 a%s 2", "HSETNX %s %s 5",
        "HDEL %s %s x%s a%s",  "HDEL %s %s",
        "HINCRBY %s %s 3",     "HINCRBYFLOAT %s %s 0.25",
        "HRANDFIELD %s 3",     "HSCAN %s 0 MATCH %s COUNT 5",
        "HGETALL %s",          "HMGET %s %s a",
    };
    for (int i = 0; i < 20000; i++) {
        char key[10];
        char field[16];
        char line[200];
        snprintf(key, sizeof(key), "h%d", (int)random_below(&random, 5));
        snprintf(field, sizeof(field), "%d", (int)random_below(&random, 30));
        const char *format = formats[random_below(&random, UNIT_COUNT(formats))];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof(line), format, key, field, field, field);
#pragma GCC diagnostic pop
        call_harness_line(&harness, line);
        if (i % 500 == 0) {
            ck_assert_ptr_null(call_harness_difference(&harness));
        }
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(hash_rows_have_what_command_docs_tells) {
    size_t count = 0;
    static const struct command *const own[] = {hash_commands, hash_walk_commands,
                                                hash_random_commands};
    for (size_t i = 0; i < UNIT_COUNT(own); i++) {
        for (const struct command *row = own[i]; row->name != NULL; row++, count++) {
            ck_assert_ptr_nonnull(row->run);
            ck_assert_str_eq(row->group, "hash");
            ck_assert_ptr_nonnull(row->since);
            ck_assert_ptr_nonnull(row->complexity);
            ck_assert_ptr_nonnull(row->summary);
            ck_assert_ptr_nonnull(row->syntax);
            ck_assert_uint_ne(row->keys[0].flags, 0);
            ck_assert(((row->flags & COMMAND_WRITE) != 0) !=
                      ((row->flags & COMMAND_READONLY) != 0));
        }
    }
    ck_assert_uint_eq(count, 16);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        hset_counts_new_fields_only_and_the_last_of_equal_ones_wins,
        hset_with_a_field_without_value_changes_nothing,
        hsetnx_leaves_a_field_that_is_there,
        hash_reads_of_a_missing_key_answer_emptiness_in_each_protocol,
        hgetall_hkeys_and_hvals_keep_the_order_of_insertion,
        hexists_hlen_and_hstrlen_tell_of_fields,
        hash_commands_refuse_a_key_of_another_type,
        hdel_counts_each_field_once_and_takes_the_key_with_the_last,
        hdel_of_nothing_has_no_effect,
        hash_events_are_one_per_command_and_those_of_redis,
        hash_effects_are_one_per_field_and_the_last_carries_the_event,
        hincrby_adds_and_refuses_what_is_no_integer_or_overflows,
        hincrbyfloat_adds_and_refuses_what_is_no_number_or_infinite,
        hincrbyfloat_converts_a_hash_whose_number_became_too_long_a_text,
        hash_of_many_fields_is_a_table_with_the_same_replies,
        hash_holds_values_that_came_as_blocks,
        hash_that_expired_is_new_when_it_is_set,
        hrandfield_checks_its_arguments_as_redis_does,
        hrandfield_pairs_are_flat_in_resp2_and_nested_in_resp3,
        hrandfield_with_a_count_draws_different_fields_and_any_of_them,
        hscan_reads_its_cursor_as_redis_does,
        hscan_of_a_small_hash_gives_all_that_match_at_once,
        hscan_walks_a_large_hash_in_pieces_about_as_large_as_the_count,
        hash_effects_make_the_same_hashes_elsewhere_whatever_the_calls,
        hash_rows_have_what_command_docs_tells,
    };
    return unit_run(unit_suite("hash", tests, UNIT_COUNT(tests)));
}
