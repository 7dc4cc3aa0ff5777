#include "commands/expire.h"

#include "commands/hash.h"
#include "commands/string.h"

#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"

static const struct command *const families[] = {
    expire_commands,        string_commands,      string_part_commands,
    string_number_commands, string_lcs_commands,  hash_commands,
    hash_walk_commands,     hash_random_commands, NULL};

struct line {
    const char *call;
    const char *reply;
    const char *events; /* NULL: whatever they are */
};

static void expect(struct call_harness *harness, const struct line *lines, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *reply = call_harness_line(harness, lines[i].call);
        ck_assert_msg(strcmp(reply, lines[i].reply) == 0, "%s answers %s instead of %s",
                      lines[i].call, reply, lines[i].reply);
        ck_assert_msg(
            lines[i].events == NULL || strcmp(harness->events.bytes, lines[i].events) == 0,
            "%s tells %s instead of %s", lines[i].call, harness->events.bytes, lines[i].events);
    }
}

static void expect_alone(const struct line *lines, size_t count) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    expect(&harness, lines, count);
    call_harness_close(&harness);
}

START_TEST(each_command_sets_the_moment_in_its_unit_and_from_its_start) {
    static const struct line lines[] = {
        {"SET a v", "+OK\r\n", NULL},
        {"EXPIRE a 10", ":1\r\n", "expire a\n"},
        {"PTTL a", ":10000\r\n", ""},
        {"PEXPIRE a 1501", ":1\r\n", "expire a\n"},
        {"PTTL a", ":1501\r\n", ""},
        {"EXPIREAT a 1700000100", ":1\r\n", "expire a\n"},
        {"TTL a", ":100\r\n", ""},
        {"PEXPIREAT a 1700000200499", ":1\r\n", "expire a\n"},
        {"PEXPIRETIME a", ":1700000200499\r\n", ""},
        {"EXPIRETIME a", ":1700000200\r\n", ""},
        {"PEXPIREAT a 1700000200500", ":1\r\n", "expire a\n"},
        {"EXPIRETIME a", ":1700000201\r\n", ""},
        {"EXPIRE zz 10", ":0\r\n", ""},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(ttl_rounds_to_the_nearest_second) {
    static const struct line lines[] = {
        {"SET a v PX 1499", "+OK\r\n", NULL},
        {"TTL a", ":1\r\n", ""},
        {"SET a v PX 1500", "+OK\r\n", NULL},
        {"TTL a", ":2\r\n", ""},
        {"SET a v PX 499", "+OK\r\n", NULL},
        {"TTL a", ":0\r\n", ""},
        {"SET a v", "+OK\r\n", NULL},
        {"TTL a", ":-1\r\n", ""},
        {"PTTL a", ":-1\r\n", ""},
        {"EXPIRETIME a", ":-1\r\n", ""},
        {"TTL zz", ":-2\r\n", "keymiss zz\n"},
        {"PEXPIRETIME zz", ":-2\r\n", "keymiss zz\n"},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(a_moment_in_the_past_deletes) {
    static const struct line lines[] = {
        {"SET a v", "+OK\r\n", NULL},
        {"EXPIRE a 0", ":1\r\n", "del a\n"},
        {"GET a", "$-1\r\n", NULL},
        {"SET a v", "+OK\r\n", NULL},
        {"PEXPIRE a -1", ":1\r\n", "del a\n"},
        {"SET a v", "+OK\r\n", NULL},
        {"EXPIREAT a 1", ":1\r\n", "del a\n"},
        {"SET a v", "+OK\r\n", NULL},
        {"PEXPIREAT a -9223372036854775808", ":1\r\n", "del a\n"},
        {"SET a v", "+OK\r\n", NULL},
        {"EXPIRE a -9223372036854775", ":1\r\n", "del a\n"},
        {"SET a v PX 50", "+OK\r\n", NULL},
        {"PEXPIRE a 0 GT", ":0\r\n", ""},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(conditions_decide_and_no_expiry_counts_as_one_that_never_comes) {
    static const struct line lines[] = {
        {"SET a v", "+OK\r\n", NULL},
        {"EXPIRE a 10 XX", ":0\r\n", ""},
        {"EXPIRE a 10 GT", ":0\r\n", ""},
        {"EXPIRE a 10 lt", ":1\r\n", "expire a\n"},
        {"EXPIRE a 20 NX", ":0\r\n", ""},
        {"EXPIRE a 10 GT", ":0\r\n", ""},
        {"EXPIRE a 10 LT", ":0\r\n", ""},
        {"EXPIRE a 9 LT XX", ":1\r\n", "expire a\n"},
        {"EXPIRE a 11 GT XX", ":1\r\n", "expire a\n"},
        {"EXPIRE a 12 XX", ":1\r\n", "expire a\n"},
        {"PERSIST a", ":1\r\n", "persist a\n"},
        {"EXPIRE a 10 NX", ":1\r\n", "expire a\n"},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(errors_are_those_of_redis_in_its_order) {
    static const struct line lines[] = {
        {"EXPIRE zz x", NOT_INTEGER, ""},
        {"EXPIRE zz 1.5", NOT_INTEGER, ""},
        {"EXPIRE zz 9223372036854776", "-ERR invalid expire time in 'expire' command\r\n", ""},
        {"EXPIRE zz -9223372036854776", "-ERR invalid expire time in 'expire' command\r\n", ""},
        {"PEXPIRE zz 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n", ""},
        {"EXPIREAT zz 9223372036854776", "-ERR invalid expire time in 'expireat' command\r\n", ""},
        {"EXPIRE zz x FOO", "-ERR Unsupported option FOO\r\n", ""},
        {"EXPIRE zz x NX XX",
         "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n", ""},
        {"EXPIRE zz x GT LT", "-ERR GT and LT options at the same time are not compatible\r\n", ""},
        {"EXPIRE zz", "<arity>", NULL},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(the_last_moment_of_all_is_one) {
    static const struct line lines[] = {
        {"SET a v", "+OK\r\n", NULL},
        {"PEXPIREAT a 9223372036854775807", ":1\r\n", "expire a\n"},
        {"PEXPIRETIME a", ":9223372036854775807\r\n", ""},
        {"EXPIRETIME a", ":9223372036854776\r\n", ""},
        {"PERSIST a", ":1\r\n", "persist a\n"},
        {"PTTL a", ":-1\r\n", ""},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(persist_takes_the_expiry_away_and_says_whether_there_was_one) {
    static const struct line lines[] = {
        {"HSET h f v", ":1\r\n", NULL},    {"PERSIST h", ":0\r\n", ""},
        {"EXPIRE h 10", ":1\r\n", NULL},   {"PERSIST h", ":1\r\n", "persist h\n"},
        {"PERSIST h", ":0\r\n", ""},       {"TTL h", ":-1\r\n", ""},
        {"HGET h f", "$1\r\nv\r\n", NULL}, {"PERSIST zz", ":0\r\n", ""},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(an_expired_key_is_gone_for_every_command_and_goes_with_its_event) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    static const struct line before[] = {
        {"SET a v PX 10", "+OK\r\n", NULL},
        {"SET b v PX 10", "+OK\r\n", NULL},
        {"SET c v PX 10", "+OK\r\n", NULL},
    };
    static const struct line after[] = {
        {"TTL a", ":-2\r\n", "expired a\nkeymiss a\n"},
        {"EXPIRE b 10", ":0\r\n", "expired b\n"},
        {"PERSIST c", ":0\r\n", "expired c\n"},
    };
    expect(&harness, before, UNIT_COUNT(before));
    harness.now_ms += 10;
    expect(&harness, after, UNIT_COUNT(after));
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    call_harness_close(&harness);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        each_command_sets_the_moment_in_its_unit_and_from_its_start,
        ttl_rounds_to_the_nearest_second,
        a_moment_in_the_past_deletes,
        conditions_decide_and_no_expiry_counts_as_one_that_never_comes,
        errors_are_those_of_redis_in_its_order,
        the_last_moment_of_all_is_one,
        persist_takes_the_expiry_away_and_says_whether_there_was_one,
        an_expired_key_is_gone_for_every_command_and_goes_with_its_event,
    };
    return unit_run(unit_suite("expire", tests, UNIT_COUNT(tests)));
}
