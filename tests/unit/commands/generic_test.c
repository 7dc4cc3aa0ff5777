#include "commands/generic.h"

#include "commands/bitmap.h"
#include "commands/expire.h"
#include "commands/hash.h"
#include "commands/string.h"

#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX_ERROR "-ERR syntax error\r\n"
#define SAME_OBJECT "-ERR source and destination objects are the same\r\n"
#define NO_SUCH_KEY "-ERR no such key\r\n"

static const struct command *const families[] = {generic_commands,
                                                 object_commands,
                                                 expire_commands,
                                                 string_commands,
                                                 string_part_commands,
                                                 string_number_commands,
                                                 string_lcs_commands,
                                                 hash_commands,
                                                 hash_walk_commands,
                                                 hash_random_commands,
                                                 bitmap_commands,
                                                 bitfield_commands,
                                                 NULL};

/* A call and its reply; events NULL: whatever they are. */
struct line {
    const char *call;
    const char *reply;
    const char *events;
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

/* Lines on an empty keyspace, of one store and of three. */
static void expect_alone(const struct line *lines, size_t count) {
    static const uint32_t stores[] = {1, 3};
    for (size_t i = 0; i < UNIT_COUNT(stores); i++) {
        struct call_harness harness;
        call_harness_open(&harness, families, stores[i]);
        expect(&harness, lines, count);
        call_harness_close(&harness);
    }
}

static const char *encoding(const struct call_harness *harness, const char *key) {
    const struct entry *entry = call_harness_entry(harness, key);
    return entry == NULL ? "none" : value_encoding(entry);
}

/* ---- DEL, UNLINK, EXISTS, TOUCH, TYPE ---- */

START_TEST(del_and_unlink_count_what_was_there_and_tell_of_each) {
    static const struct line lines[] = {
        {"SET a 1", "+OK\r\n", NULL},
        {"HSET h f v", ":1\r\n", NULL},
        {"DEL a zz h a", ":2\r\n", "del a\ndel h\n"},
        {"DEL a", ":0\r\n", ""},
        {"SET a 1", "+OK\r\n", NULL},
        {"UNLINK a b", ":1\r\n", "del a\n"},
        {"DEL", "<arity>", NULL},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(exists_and_touch_count_a_key_as_often_as_it_is_named) {
    static const struct line lines[] = {
        {"SET a 1", "+OK\r\n", NULL},
        {"EXISTS a a b", ":2\r\n", "keymiss b\n"},
        {"TOUCH a b a", ":2\r\n", "keymiss b\n"},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(type_names_what_is_there) {
    static const struct line lines[] = {
        {"SET a 1", "+OK\r\n", NULL},           {"HSET h f v", ":1\r\n", NULL},
        {"TYPE a", "+string\r\n", ""},          {"TYPE h", "+hash\r\n", ""},
        {"TYPE b", "+none\r\n", "keymiss b\n"},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

static uint64_t idle_seconds(struct call_harness *harness, const char *key) {
    const struct entry *entry = call_harness_entry(harness, key);
    struct store *store = keyspace_store(harness->keyspace, slot_of_key(span_of_string(key)));
    store_tick(store, harness->now_ms);
    return store_idle_seconds(store, entry);
}

START_TEST(looks_are_no_accesses_and_touch_is_one_even_with_no_touch) {
    static const char *const looks[] = {"EXISTS k", "TYPE k", "TTL k", "PEXPIRETIME k"};
    static const char *const accesses[] = {"TOUCH k", "EXPIRE k 1000", "PERSIST k", "COPY k k2"};
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    call_harness_line(&harness, "SET k v");
    harness.now_ms += 100000;
    for (size_t i = 0; i < UNIT_COUNT(looks); i++) {
        call_harness_line(&harness, looks[i]);
        ck_assert_uint_eq(idle_seconds(&harness, "k"), 100);
    }
    for (size_t i = 0; i < UNIT_COUNT(accesses); i++) {
        call_harness_line(&harness, accesses[i]);
        ck_assert_msg(idle_seconds(&harness, "k") == 0, "%s", accesses[i]);
        harness.now_ms += 100000;
    }
    harness.no_touch = true;
    call_harness_line(&harness, "EXPIRE k 1000");
    ck_assert_uint_eq(idle_seconds(&harness, "k"), 100);
    call_harness_line(&harness, "TOUCH k");
    ck_assert_uint_eq(idle_seconds(&harness, "k"), 0);
    call_harness_close(&harness);
}
END_TEST

/* ---- RENAME ---- */

START_TEST(rename_moves_over_what_is_there_inside_a_slot_and_over_slots) {
    static const struct line lines[] = {
        {"SET a 1 PX 5000", "+OK\r\n", NULL},
        {"RENAME a b", "+OK\r\n", "new b\nrename_from a\nrename_to b\n"},
        {"GET b", "$1\r\n1\r\n", NULL},
        {"PTTL b", ":5000\r\n", NULL},
        {"EXISTS a", ":0\r\n", NULL},
        {"RENAME b {b}2", "+OK\r\n", "new {b}2\nrename_from b\nrename_to {b}2\n"},
        {"PTTL {b}2", ":5000\r\n", NULL},
        {"HSET h f v g w", ":2\r\n", NULL},
        {"RENAME h {b}2", "+OK\r\n", "new {b}2\nrename_from h\nrename_to {b}2\n"},
        {"HGETALL {b}2", "*4\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n$1\r\nw\r\n", NULL},
        {"PTTL {b}2", ":-1\r\n", NULL},
        {"PEXPIRE {b}2 7000", ":1\r\n", NULL},
        {"SET c x", "+OK\r\n", NULL},
        {"RENAME {b}2 c", "+OK\r\n", NULL},
        {"PTTL c", ":7000\r\n", NULL},
        {"HLEN c", ":2\r\n", NULL},
        {"RENAME zz a", NO_SUCH_KEY, ""},
        {"RENAME zz zz", NO_SUCH_KEY, ""},
        {"RENAME c c", "+OK\r\n", ""},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(renamenx_leaves_a_taken_name_alone) {
    static const struct line lines[] = {
        {"SET a 1", "+OK\r\n", NULL},
        {"SET b 2", "+OK\r\n", NULL},
        {"RENAMENX a b", ":0\r\n", ""},
        {"RENAMENX a a", ":0\r\n", ""},
        {"GET b", "$1\r\n2\r\n", NULL},
        {"RENAMENX a c", ":1\r\n", "new c\nrename_from a\nrename_to c\n"},
        {"RENAMENX a d", NO_SUCH_KEY, ""},
        {"SET {c}old v PX 10", "+OK\r\n", NULL},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(an_expired_name_is_free) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    call_harness_line(&harness, "SET a 1");
    call_harness_line(&harness, "SET {a}b 2 PX 10");
    call_harness_line(&harness, "SET c 3 PX 10");
    harness.now_ms += 10;
    static const struct line lines[] = {
        {"RENAMENX a {a}b", ":1\r\n", "expired {a}b\nnew {a}b\nrename_from a\nrename_to {a}b\n"},
        {"COPY {a}b c", ":1\r\n", "expired c\nnew c\ncopy_to c\n"},
        {"PTTL c", ":-1\r\n", NULL},
    };
    expect(&harness, lines, UNIT_COUNT(lines));
    call_harness_close(&harness);
}
END_TEST

START_TEST(rename_is_one_effect_inside_a_slot_and_carries_the_value_over_slots) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    call_harness_line(&harness, "HSET {a}1 f v g w");
    call_harness_line(&harness, "RENAME {a}1 {a}2");
    ck_assert_uint_eq(harness.effects_count, 1);
    ck_assert_int_eq(harness.effects[0].kind, EFFECT_KEY_MOVE);
    call_harness_line(&harness, "PEXPIRE {a}2 1000");
    call_harness_line(&harness, "RENAME {a}2 b");
    static const enum effect_kind kinds[] = {EFFECT_HASH_PUT, EFFECT_HASH_PUT, EFFECT_KEY_EXPIRE_AT,
                                             EFFECT_KEY_DELETE};
    ck_assert_uint_eq(harness.effects_count, UNIT_COUNT(kinds));
    for (size_t i = 0; i < UNIT_COUNT(kinds); i++) {
        ck_assert_int_eq(harness.effects[i].kind, kinds[i]);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_renamed_key_keeps_its_access_data_and_a_copy_has_its_own) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    harness.options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    call_harness_line(&harness, "SET a v");
    entry_set_access(call_harness_entry(&harness, "a"),
                     ((uint32_t)(harness.now_ms / 60000) & 0xffff) << 8 | 200);
    uint32_t access = entry_access(call_harness_entry(&harness, "a"));
    harness.no_touch = true;
    call_harness_line(&harness, "RENAME a b");
    ck_assert_uint_eq(entry_access(call_harness_entry(&harness, "b")), access);
    call_harness_line(&harness, "RENAME b {b}2");
    ck_assert_uint_eq(entry_access(call_harness_entry(&harness, "{b}2")), access);
    call_harness_line(&harness, "COPY {b}2 c");
    ck_assert_uint_eq(entry_access(call_harness_entry(&harness, "c")) & 0xff, 5);
    call_harness_close(&harness);
}
END_TEST

/* ---- COPY ---- */

START_TEST(copy_gives_value_and_expiry_and_needs_replace_for_a_taken_name) {
    static const struct line lines[] = {
        {"SET a 1 PX 5000", "+OK\r\n", NULL},
        {"COPY a b", ":1\r\n", "new b\ncopy_to b\n"},
        {"PTTL b", ":5000\r\n", NULL},
        {"GET a", "$1\r\n1\r\n", NULL},
        {"COPY a b", ":0\r\n", ""},
        {"HSET h f v", ":1\r\n", NULL},
        {"COPY h b replace", ":1\r\n", "new b\ncopy_to b\n"},
        {"HGET b f", "$1\r\nv\r\n", NULL},
        {"PTTL b", ":-1\r\n", NULL},
        {"COPY a {a}2 REPLACE REPLACE", ":1\r\n", "new {a}2\ncopy_to {a}2\n"},
        {"COPY zz b", ":0\r\n", "keymiss zz\n"},
        {"COPY zz b REPLACE", ":0\r\n", "keymiss zz\n"},
        {"COPY a a", SAME_OBJECT, ""},
        {"COPY a a DB 0", SAME_OBJECT, ""},
        {"COPY a b DB", SYNTAX_ERROR, ""},
        {"COPY a b DB x", NOT_INTEGER, ""},
        {"COPY a b DB 16", "-ERR DB index is out of range\r\n", ""},
        {"COPY a b DB -1", "-ERR DB index is out of range\r\n", ""},
        {"COPY a b DB 3000000000",
         "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n", ""},
        {"COPY a b FOO", SYNTAX_ERROR, ""},
        {"COPY a a DB 3", ":1\r\n", "new a\ncopy_to a\n"},
    };
    expect_alone(lines, UNIT_COUNT(lines));
}
END_TEST

START_TEST(copies_keep_their_encoding) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    static const struct line lines[] = {
        {"SET int 12", "+OK\r\n", NULL},        {"SET raw 12", "+OK\r\n", NULL},
        {"APPEND raw 3", ":3\r\n", NULL},       {"SET short abc", "+OK\r\n", NULL},
        {"SETBIT bits 7 1", ":0\r\n", NULL},    {"HSET pack f v", ":1\r\n", NULL},
        {"HSET table f v g v", ":2\r\n", NULL},
    };
    static const char *const keys[] = {"int", "raw", "short", "bits", "pack", "table"};
    expect(&harness, lines, UNIT_COUNT(lines));
    /* Small again, but a table once and for all. */
    harness.options.hash_max_listpack_entries = 1;
    call_harness_line(&harness, "HSET table f w");
    harness.options.hash_max_listpack_entries = 128;
    call_harness_line(&harness, "HDEL table g");
    ck_assert_str_eq(encoding(&harness, "table"), "hashtable");
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        char call[64];
        char key[64];
        const char *expected = encoding(&harness, keys[i]);
        snprintf(call, sizeof(call), "COPY %s %s2", keys[i], keys[i]);
        ck_assert_str_eq(call_harness_line(&harness, call), ":1\r\n");
        snprintf(key, sizeof(key), "%s2", keys[i]);
        ck_assert_str_eq(encoding(&harness, key), expected);
        snprintf(call, sizeof(call), "RENAME %s2 %s3", keys[i], keys[i]);
        ck_assert_str_eq(call_harness_line(&harness, call), "+OK\r\n");
        snprintf(key, sizeof(key), "%s3", keys[i]);
        ck_assert_str_eq(encoding(&harness, key), expected);
    }
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_large_value_is_copied_by_reference) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    char *large = malloc(BLOCK_BYTES_MIN);
    memset(large, 'x', BLOCK_BYTES_MIN);
    const struct span args[] = {SPAN_LITERAL("SET"), SPAN_LITERAL("a"),
                                span_of(large, BLOCK_BYTES_MIN)};
    call_harness_run(&harness, args, 3);
    call_harness_line(&harness, "COPY a b");
    ck_assert(harness.effects[0].has_block);
    ck_assert_ptr_eq(entry_block(call_harness_entry(&harness, "a")),
                     entry_block(call_harness_entry(&harness, "b")));
    call_harness_line(&harness, "SETRANGE b 0 y");
    ck_assert_int_eq(entry_block(call_harness_entry(&harness, "a"))->bytes[0], 'x');
    ck_assert_int_eq(entry_block(call_harness_entry(&harness, "b"))->bytes[0], 'y');
    call_harness_line(&harness, "RENAME b c");
    ck_assert_int_eq(entry_block(call_harness_entry(&harness, "c"))->bytes[0], 'y');
    free(large);
    call_harness_close(&harness);
}
END_TEST

START_TEST(a_large_hash_is_copied_whole) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    for (int i = 0; i < 1000; i++) {
        char call[64];
        snprintf(call, sizeof(call), "HSET h field%d value%d", i, i);
        call_harness_line(&harness, call);
    }
    ck_assert_str_eq(call_harness_line(&harness, "COPY h other"), ":1\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "COPY h {h}"), ":1\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "RENAME h last"), "+OK\r\n");
    static const char *const keys[] = {"other", "{h}", "last"};
    for (size_t k = 0; k < UNIT_COUNT(keys); k++) {
        char call[64];
        snprintf(call, sizeof(call), "HLEN %s", keys[k]);
        ck_assert_str_eq(call_harness_line(&harness, call), ":1000\r\n");
        snprintf(call, sizeof(call), "HGET %s field999", keys[k]);
        ck_assert_str_eq(call_harness_line(&harness, call), "$8\r\nvalue999\r\n");
        ck_assert_str_eq(encoding(&harness, keys[k]), "hashtable");
    }
    call_harness_close(&harness);
}
END_TEST

/* ---- MOVE ---- */

START_TEST(move_takes_a_key_to_a_database_where_it_is_not) {
    struct call_harness harness;
    call_harness_open(&harness, families, 3);
    static const struct line here[] = {
        {"SET a 1 PX 5000", "+OK\r\n", NULL},
        {"MOVE a 0", SAME_OBJECT, ""},
        {"MOVE a x", NOT_INTEGER, ""},
        {"MOVE a 16", "-ERR DB index is out of range\r\n", ""},
        {"MOVE zz 1", ":0\r\n", ""},
        {"MOVE a 1", ":1\r\n", "new a\nmove_from a\nmove_to a\n"},
        {"EXISTS a", ":0\r\n", NULL},
        {"SET a 2", "+OK\r\n", NULL},
        {"MOVE a 1", ":0\r\n", ""},
        {"GET a", "$1\r\n2\r\n", NULL},
    };
    static const struct line there[] = {
        {"GET a", "$1\r\n1\r\n", NULL},
        {"PTTL a", ":5000\r\n", NULL},
    };
    expect(&harness, here, UNIT_COUNT(here));
    harness.database = 1;
    expect(&harness, there, UNIT_COUNT(there));
    call_harness_close(&harness);
}
END_TEST

/* ---- OBJECT: its subcommands are a family of their own here, with a word in front ---- */

static void open_object(struct call_harness *harness) {
    static const struct command *families_of_object[] = {string_commands, string_part_commands,
                                                         NULL, NULL};
    call_harness_open(harness, families, 3);
    const struct command *row = call_harness_row(harness, span_of_string("object"));
    families_of_object[2] = row->subcommands;
    harness->families = families_of_object;
}

START_TEST(object_tells_what_redis_tells) {
    struct call_harness harness;
    open_object(&harness);
    static const struct line lines[] = {
        {"SET n 12", "+OK\r\n", NULL},
        {"SET m 10000", "+OK\r\n", NULL},
        {"SET s abc", "+OK\r\n", NULL},
        {"ENCODING - n", "$3\r\nint\r\n", ""},
        {"ENCODING - s", "$6\r\nembstr\r\n", ""},
        {"ENCODING - zz", "$-1\r\n", ""},
        {"REFCOUNT - n", ":2147483647\r\n", ""},
        {"REFCOUNT - m", ":1\r\n", ""},
        {"REFCOUNT - s", ":1\r\n", ""},
        {"FREQ - zz", "$-1\r\n", ""},
        {"FREQ - s",
         "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note "
         "that when switching between policies at runtime LRU and LFU data will take some time to "
         "adjust.\r\n",
         ""},
    };
    expect(&harness, lines, UNIT_COUNT(lines));
    harness.now_ms += 77000;
    ck_assert_str_eq(call_harness_line(&harness, "IDLETIME - s"), ":77\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "IDLETIME - s"), ":77\r\n");
    harness.options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    call_harness_line(&harness, "SET f x");
    ck_assert_str_eq(call_harness_line(&harness, "FREQ - f"), ":5\r\n");
    ck_assert_int_eq(call_harness_line(&harness, "IDLETIME - f")[0], '-');
    harness.options.maxmemory = 1;
    ck_assert_str_eq(call_harness_line(&harness, "REFCOUNT - n"), ":1\r\n");
    call_harness_close(&harness);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        del_and_unlink_count_what_was_there_and_tell_of_each,
        exists_and_touch_count_a_key_as_often_as_it_is_named,
        type_names_what_is_there,
        looks_are_no_accesses_and_touch_is_one_even_with_no_touch,
        rename_moves_over_what_is_there_inside_a_slot_and_over_slots,
        renamenx_leaves_a_taken_name_alone,
        an_expired_name_is_free,
        rename_is_one_effect_inside_a_slot_and_carries_the_value_over_slots,
        a_renamed_key_keeps_its_access_data_and_a_copy_has_its_own,
        copy_gives_value_and_expiry_and_needs_replace_for_a_taken_name,
        copies_keep_their_encoding,
        a_large_value_is_copied_by_reference,
        a_large_hash_is_copied_whole,
        move_takes_a_key_to_a_database_where_it_is_not,
        object_tells_what_redis_tells,
    };
    return unit_run(unit_suite("generic", tests, UNIT_COUNT(tests)));
}
