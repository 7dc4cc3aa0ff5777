#include "commands/keyspace_commands.h"

#include "commands/expire.h"
#include "commands/hash.h"
#include "commands/string.h"

#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX_ERROR "-ERR syntax error\r\n"
#define NAME_BYTES_MAX 64
/* The largest number that a client's double holds exactly. */
#define DOUBLE_EXACT_MAX (UINT64_C(1) << 53)

static const struct command *const families[] = {keyspace_commands,      expire_commands,
                                                 string_commands,        string_part_commands,
                                                 string_number_commands, string_lcs_commands,
                                                 hash_commands,          hash_walk_commands,
                                                 hash_random_commands,   NULL};

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

static void put(struct call_harness *harness, const char *format, unsigned i) {
    char call[NAME_BYTES_MAX * 2];
    char key[NAME_BYTES_MAX];
    snprintf(key, sizeof(key), format, i);
    snprintf(call, sizeof(call), "SET %s v", key);
    ck_assert_str_eq(call_harness_line(harness, call), "+OK\r\n");
}

/* ---- reading replies ---- */

/* Reads a line's number behind its type; moves *at behind the line. */
static uint64_t number_of(const char **at, char type) {
    ck_assert_int_eq(**at, type);
    char *end;
    uint64_t number = strtoull(*at + 1, &end, 10);
    ck_assert_int_eq(*end, '\r');
    *at = end + 2;
    return number;
}

/* A callback per key of an array of bulk strings; answers how many there were. */
static uint64_t each_key(const char **at, void (*visit)(struct span key, void *context),
                         void *context) {
    uint64_t count = number_of(at, '*');
    for (uint64_t i = 0; i < count; i++) {
        uint64_t length = number_of(at, '$');
        visit(span_of(*at, length), context);
        *at += length + 2;
    }
    return count;
}

/* Counts keys "k<number>" or "{tag}<number>". */
#define NUMBERS_MAX 60000
struct tally {
    unsigned seen[NUMBERS_MAX];
    uint64_t keys;
};

static void tally_key(struct span key, void *context) {
    struct tally *tally = context;
    char text[NAME_BYTES_MAX];
    snprintf(text, sizeof(text), "%.*s", (int)key.length, key.bytes);
    size_t digits = strcspn(text, "0123456789");
    unsigned number = (unsigned)strtoul(text + digits, NULL, 10);
    ck_assert_uint_lt(number, NUMBERS_MAX);
    tally->seen[number]++;
    tally->keys++;
}

static uint64_t scan(struct call_harness *harness, uint64_t cursor, const char *options,
                     struct tally *tally) {
    char call[NAME_BYTES_MAX * 2];
    snprintf(call, sizeof(call), "SCAN %llu %s", (unsigned long long)cursor, options);
    const char *at = call_harness_line(harness, call);
    ck_assert_uint_eq(number_of(&at, '*'), 2);
    number_of(&at, '$');
    char *end;
    uint64_t next = strtoull(at, &end, 10);
    at = end + 2;
    each_key(&at, tally_key, tally);
    ck_assert_uint_lt(next, DOUBLE_EXACT_MAX);
    return next;
}

/* Scans to the end; answers the calls that it took. */
static unsigned scan_all(struct call_harness *harness, const char *options, struct tally *tally) {
    memset(tally, 0, sizeof(*tally));
    uint64_t cursor = 0;
    unsigned calls = 0;
    do {
        cursor = scan(harness, cursor, options, tally);
        calls++;
        ck_assert_uint_lt(calls, 200000);
    } while (cursor != 0);
    return calls;
}

/* ---- KEYS and DBSIZE ---- */

START_TEST(keys_and_dbsize_gather_over_all_stores) {
    static struct tally tally;
    for (uint32_t stores = 1; stores <= 3; stores += 2) {
        struct call_harness harness;
        call_harness_open(&harness, families, stores);
        ck_assert_str_eq(call_harness_line(&harness, "KEYS *"), "*0\r\n");
        ck_assert_str_eq(call_harness_line(&harness, "DBSIZE"), ":0\r\n");
        for (unsigned i = 0; i < 300; i++) {
            put(&harness, i < 200 ? "k%u" : "{tag}%u", i);
        }
        ck_assert_str_eq(call_harness_line(&harness, "DBSIZE"), ":300\r\n");
        memset(&tally, 0, sizeof(tally));
        const char *at = call_harness_line(&harness, "KEYS *");
        ck_assert_uint_eq(each_key(&at, tally_key, &tally), 300);
        for (unsigned i = 0; i < 300; i++) {
            ck_assert_uint_eq(tally.seen[i], 1);
        }
        at = call_harness_line(&harness, "KEYS k1?");
        ck_assert_uint_eq(each_key(&at, tally_key, &tally), 10);
        harness.database = 1;
        ck_assert_str_eq(call_harness_line(&harness, "KEYS *"), "*0\r\n");
        ck_assert_str_eq(call_harness_line(&harness, "DBSIZE"), ":0\r\n");
        call_harness_close(&harness);
    }
}
END_TEST

START_TEST(keys_hides_expired_keys_and_leaves_them) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    call_harness_line(&harness, "SET gone v PX 10");
    call_harness_line(&harness, "SET kept v");
    harness.now_ms += 10;
    ck_assert_str_eq(call_harness_line(&harness, "KEYS *"), "*1\r\n$4\r\nkept\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    ck_assert_str_eq(call_harness_line(&harness, "DBSIZE"), ":2\r\n");
    call_harness_close(&harness);
}
END_TEST

/* ---- SCAN ---- */

START_TEST(scan_meets_every_key_once_while_nothing_changes) {
    static const char *const options[] = {"", "COUNT 1", "COUNT 7", "COUNT 1000"};
    static struct tally tally;
    for (uint32_t stores = 1; stores <= 3; stores += 2) {
        struct call_harness harness;
        call_harness_open(&harness, families, stores);
        for (unsigned i = 0; i < 2000; i++) {
            put(&harness, i < 1000 ? "k%u" : "{tag}%u", i);
        }
        for (size_t k = 0; k < UNIT_COUNT(options); k++) {
            scan_all(&harness, options[k], &tally);
            for (unsigned i = 0; i < 2000; i++) {
                ck_assert_uint_eq(tally.seen[i], 1);
            }
            ck_assert_uint_eq(tally.keys, 2000);
        }
        call_harness_close(&harness);
    }
}
END_TEST

START_TEST(scan_fills_its_count_over_slots_that_are_nearly_empty) {
    static struct tally tally;
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (unsigned i = 0; i < 1000; i++) {
        put(&harness, "k%u", i);
    }
    ck_assert_uint_le(scan_all(&harness, "COUNT 100", &tally), 10);
    ck_assert_uint_eq(scan_all(&harness, "COUNT 2000", &tally), 1);
    ck_assert_uint_eq(scan_all(&harness, "COUNT 9223372036854775807", &tally), 1);
    ck_assert_uint_eq(tally.keys, 1000);
    call_harness_close(&harness);
}
END_TEST

START_TEST(scan_answers_little_more_than_its_count_from_a_large_slot) {
    static struct tally tally;
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    for (unsigned i = 0; i < 20000; i++) {
        put(&harness, "{tag}%u", i);
    }
    uint64_t cursor = 0;
    memset(&tally, 0, sizeof(tally));
    do {
        uint64_t before = tally.keys;
        cursor = scan(&harness, cursor, "COUNT 10", &tally);
        ck_assert_uint_le(tally.keys - before, 10 + TABLE_BUCKET_CELLS * 4);
    } while (cursor != 0);
    ck_assert_uint_eq(tally.keys, 20000);
    call_harness_close(&harness);
}
END_TEST

/* Keys below KEPT are there all the time; others come and go, so that tables grow and shrink. */
#define KEPT 2000
#define PASSING 50000

static void scan_while(unsigned from, unsigned to, int step) {
    static struct tally tally;
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    for (unsigned i = 0; i < KEPT; i++) {
        put(&harness, i % 2 == 0 ? "{tag}%u" : "k%u", i);
    }
    for (unsigned i = KEPT; i < from; i++) {
        put(&harness, "{tag}%u", i);
    }
    memset(&tally, 0, sizeof(tally));
    uint64_t cursor = 0;
    unsigned at = from;
    do {
        cursor = scan(&harness, cursor, "COUNT 20", &tally);
        for (int i = 0; i < 400 && at != to; i++) {
            char call[NAME_BYTES_MAX];
            snprintf(call, sizeof(call), step > 0 ? "SET {tag}%u v" : "GETDEL {tag}%u",
                     step > 0 ? at : at - 1);
            call_harness_line(&harness, call);
            at = step > 0 ? at + 1 : at - 1;
        }
    } while (cursor != 0);
    for (unsigned i = 0; i < KEPT; i++) {
        ck_assert_msg(tally.seen[i] >= 1, "key %u was not met", i);
    }
    call_harness_close(&harness);
}

START_TEST(scan_meets_every_key_that_stays_while_tables_grow) {
    scan_while(KEPT, PASSING, 1);
}
END_TEST

START_TEST(scan_meets_every_key_that_stays_while_tables_shrink) {
    scan_while(PASSING, KEPT, -1);
}
END_TEST

START_TEST(scan_filters_by_pattern_and_type) {
    static struct tally tally;
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    for (unsigned i = 0; i < 100; i++) {
        put(&harness, "k%u", i);
    }
    call_harness_line(&harness, "HSET h100 f v");
    scan_all(&harness, "MATCH k1*", &tally);
    ck_assert_uint_eq(tally.keys, 11);
    scan_all(&harness, "type HASH", &tally);
    ck_assert_uint_eq(tally.keys, 1);
    ck_assert_uint_eq(tally.seen[100], 1);
    scan_all(&harness, "TYPE string MATCH * COUNT 3", &tally);
    ck_assert_uint_eq(tally.keys, 100);
    scan_all(&harness, "TYPE nosuch", &tally);
    ck_assert_uint_eq(tally.keys, 0);
    call_harness_close(&harness);
}
END_TEST

START_TEST(scan_lets_expired_keys_go) {
    static struct tally tally;
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    call_harness_line(&harness, "SET k1 v PX 10");
    call_harness_line(&harness, "SET k2 v");
    call_harness_line(&harness, "HSET h3 f v");
    call_harness_line(&harness, "PEXPIRE h3 10");
    harness.now_ms += 10;
    scan_all(&harness, "TYPE string", &tally);
    ck_assert_uint_eq(tally.keys, 1);
    ck_assert_uint_eq(tally.seen[2], 1);
    ck_assert_str_eq(harness.events.bytes, "expired k1\n");
    ck_assert_str_eq(call_harness_line(&harness, "DBSIZE"), ":2\r\n");
    harness.keeps_expired = true;
    scan_all(&harness, "", &tally);
    ck_assert_uint_eq(tally.keys, 1);
    ck_assert_str_eq(harness.events.bytes, "");
    ck_assert_str_eq(call_harness_line(&harness, "DBSIZE"), ":2\r\n");
    call_harness_close(&harness);
}
END_TEST

START_TEST(scan_refuses_what_redis_refuses) {
    struct call_harness harness;
    call_harness_open(&harness, families, 1);
    static const struct line lines[] = {
        {"SCAN x", "-ERR invalid cursor\r\n"},
        {"SCAN 1x", "-ERR invalid cursor\r\n"},
        {"SCAN \" 1\"", "-ERR invalid cursor\r\n"},
        {"SCAN 18446744073709551616", "-ERR invalid cursor\r\n"},
        {"SCAN x COUNT y", "-ERR invalid cursor\r\n"},
        {"SCAN 0 COUNT y", NOT_INTEGER},
        {"SCAN 0 COUNT 0", SYNTAX_ERROR},
        {"SCAN 0 COUNT", SYNTAX_ERROR},
        {"SCAN 0 FOO 1", SYNTAX_ERROR},
        {"SCAN 0 MATCH", SYNTAX_ERROR},
        {"SCAN \"\"", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"SCAN 18446744073709551615", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"SCAN -1", "*2\r\n$1\r\n0\r\n*0\r\n"},
    };
    expect(&harness, lines, UNIT_COUNT(lines));
    for (unsigned i = 0; i < 100; i++) {
        put(&harness, "{tag}%u", i);
    }
    /* Any number is a place: what comes is none of Redis' promises, but it ends. */
    static struct tally tally;
    for (uint64_t cursor = 1; cursor < UINT64_MAX / 3; cursor *= 3) {
        scan(&harness, cursor, "COUNT 1000", &tally);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_cursor_names_the_slot_that_a_scan_goes_on_with) {
    static struct tally tally;
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    put(&harness, "{tag}%u", 1);
    uint64_t cursor = 0;
    uint32_t slots[4];
    uint32_t count = 0;
    do {
        slots[count++] = scan_cursor_slot(cursor);
        cursor = scan(&harness, cursor, "", &tally);
    } while (cursor != 0 && count < UNIT_COUNT(slots));
    ck_assert_uint_eq(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(slots[i], harness.keyspace->stores[i]->slot_first);
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- RANDOMKEY ---- */

START_TEST(randomkey_answers_each_key_of_all_stores_in_turn) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    ck_assert_str_eq(call_harness_line(&harness, "RANDOMKEY"), "$-1\r\n");
    static struct tally tally;
    for (unsigned i = 0; i < 30; i++) {
        put(&harness, i % 3 == 0 ? "{tag}%u" : "k%u", i);
    }
    for (int i = 0; i < 3000; i++) {
        const char *at = call_harness_line(&harness, "RANDOMKEY");
        uint64_t length = number_of(&at, '$');
        tally_key(span_of(at, length), &tally);
    }
    for (unsigned i = 0; i < 30; i++) {
        ck_assert_uint_gt(tally.seen[i], 30);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(randomkey_lets_expired_keys_go_and_a_replica_gives_up_on_them) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    for (unsigned i = 0; i < 10; i++) {
        char call[NAME_BYTES_MAX];
        snprintf(call, sizeof(call), "SET k%u v PX 10", i);
        call_harness_line(&harness, call);
    }
    harness.now_ms += 10;
    harness.keeps_expired = true;
    ck_assert_int_eq(call_harness_line(&harness, "RANDOMKEY")[1], '2');
    harness.keeps_expired = false;
    ck_assert_str_eq(call_harness_line(&harness, "RANDOMKEY"), "$-1\r\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    call_harness_close(&harness);
}
END_TEST

/* ---- databases ---- */

START_TEST(flushes_empty_what_they_say_and_tell_of_used_databases_only) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    for (harness.database = 0; harness.database < 3; harness.database++) {
        put(&harness, "k%u", harness.database);
    }
    harness.database = 1;
    ck_assert_str_eq(call_harness_line(&harness, "FLUSHDB"), "+OK\r\n");
    ck_assert_uint_eq(harness.effects_count, 1);
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_DATABASE_FLUSH);
    ck_assert_int_eq(harness.effects[0].number, 1);
    ck_assert_uint_eq(call_harness_keys(&harness), 2);
    ck_assert_str_eq(call_harness_line(&harness, "FLUSHALL async"), "+OK\r\n");
    ck_assert_uint_eq(harness.effects_count, 2);
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    static const struct line lines[] = {
        {"FLUSHALL SYNC", "+OK\r\n"},          {"FLUSHDB ASYNC", "+OK\r\n"},
        {"FLUSHALL x", SYNTAX_ERROR},          {"FLUSHDB ASYNC SYNC", SYNTAX_ERROR},
        {"FLUSHDB ASYNC ASYNC", SYNTAX_ERROR},
    };
    expect(&harness, lines, UNIT_COUNT(lines));
    call_harness_close(&harness);
}
END_TEST

START_TEST(swapdb_lets_two_databases_change_places) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    for (unsigned i = 0; i < 10; i++) {
        put(&harness, "k%u", i);
    }
    static const struct line lines[] = {
        {"SWAPDB 0 1", "+OK\r\n"},
        {"DBSIZE", ":0\r\n"},
        {"SWAPDB 1 0", "+OK\r\n"},
        {"DBSIZE", ":10\r\n"},
        {"SWAPDB 3 3", "+OK\r\n"},
        {"SWAPDB x 99", "-ERR invalid first DB index\r\n"},
        {"SWAPDB 99 x", "-ERR invalid second DB index\r\n"},
        {"SWAPDB 0 3000000000", "-ERR invalid second DB index\r\n"},
        {"SWAPDB 0 99", "-ERR DB index is out of range\r\n"},
        {"SWAPDB -1 0", "-ERR DB index is out of range\r\n"},
        {"SWAPDB 0", "<arity>"},
    };
    expect(&harness, lines, UNIT_COUNT(lines));
    call_harness_close(&harness);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        keys_and_dbsize_gather_over_all_stores,
        keys_hides_expired_keys_and_leaves_them,
        scan_meets_every_key_once_while_nothing_changes,
        scan_fills_its_count_over_slots_that_are_nearly_empty,
        scan_answers_little_more_than_its_count_from_a_large_slot,
        scan_meets_every_key_that_stays_while_tables_grow,
        scan_meets_every_key_that_stays_while_tables_shrink,
        scan_filters_by_pattern_and_type,
        scan_lets_expired_keys_go,
        scan_refuses_what_redis_refuses,
        a_cursor_names_the_slot_that_a_scan_goes_on_with,
        randomkey_answers_each_key_of_all_stores_in_turn,
        randomkey_lets_expired_keys_go_and_a_replica_gives_up_on_them,
        flushes_empty_what_they_say_and_tell_of_used_databases_only,
        swapdb_lets_two_databases_change_places,
    };
    return unit_run(unit_suite("keyspace_commands", tests, UNIT_COUNT(tests)));
}
