#include "commands/dump.h"

#include "base/bytes.h"
#include "base/crc64.h"
#include "base/memory.h"
#include "commands/expire.h"
#include "commands/generic.h"
#include "commands/hash.h"
#include "commands/string.h"
#include "store/value_codec.h"

#include "tests/unit/commands/call_harness.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>

static const struct command *const families[] = {
    dump_commands,   string_commands,  hash_commands, object_commands,
    expire_commands, generic_commands, NULL};

#define BUSY "-BUSYKEY Target key name already exists.\r\n"
#define WRONG_FOOTER "-ERR DUMP payload version or checksum are wrong\r\n"
#define BAD_FORMAT "-ERR Bad data format\r\n"
#define SYNTAX_ERROR "-ERR syntax error\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"

static struct call_harness harness;

static void open_harness(void) {
    call_harness_open(&harness, families, 3);
}

static void close_harness(void) {
    call_harness_close(&harness);
}

/* A payload with its footer; freed by the caller. */
static struct buffer footed(struct span payload, uint16_t version) {
    struct buffer bytes = BUFFER_EMPTY;
    buffer_append_span(&bytes, payload);
    bytes_store_u16(buffer_reserve(&bytes, 2), version);
    buffer_commit(&bytes, 2);
    uint64_t crc = crc64_add(CRC64_EMPTY, buffer_span(&bytes));
    bytes_store_u64(buffer_reserve(&bytes, 8), crc);
    buffer_commit(&bytes, 8);
    return bytes;
}

/* "RESTORE key ttl <bytes> options", the options being words. */
static const char *restore_bytes(const char *head, struct span bytes, const char *options) {
    struct span args[16];
    uint32_t count = 0;
    const char *parts[2] = {head, options};
    for (int part = 0; part < 2; part++) {
        for (const char *at = parts[part]; *at != '\0';) {
            size_t length = strcspn(at, " ");
            args[count++] = span_of(at, length);
            at += length + (at[length] == ' ');
        }
        if (part == 0) {
            args[count++] = bytes;
        }
    }
    return call_harness_run(&harness, args, count);
}

static const char *restore_payload(const char *head, struct span payload, const char *options) {
    struct buffer bytes = footed(payload, RDB_VERSION);
    const char *reply = restore_bytes(head, buffer_span(&bytes), options);
    buffer_free(&bytes);
    return reply;
}

static const struct span hello = SPAN_LITERAL("\x00\x05hello");

/* The bytes that DUMP answers; freed by the caller. */
static struct buffer dumped(const char *key) {
    struct span args[2] = {SPAN_LITERAL("DUMP"), span_of_string(key)};
    const char *reply = call_harness_run(&harness, args, 2);
    ck_assert_int_eq(reply[0], '$');
    size_t length = strtoul(reply + 1, NULL, 10);
    const char *bytes = strstr(reply, "\r\n") + 2;
    ck_assert_uint_eq(harness.reply.length, (size_t)(bytes - reply) + length + 2);
    struct buffer copy = BUFFER_EMPTY;
    buffer_append(&copy, bytes, length);
    return copy;
}

START_TEST(dump_answers_the_payload_with_version_and_checksum) {
    open_harness();
    call_harness_line(&harness, "SET key hello");
    struct buffer bytes = dumped("key");
    struct buffer expected = footed(hello, RDB_VERSION);
    ck_assert(span_equal(buffer_span(&bytes), buffer_span(&expected)));
    buffer_free(&bytes);
    buffer_free(&expected);
    close_harness();
}
END_TEST

START_TEST(dump_of_a_missing_key_answers_null) {
    open_harness();
    ck_assert_str_eq(call_harness_line(&harness, "DUMP key"), "$-1\r\n");
    ck_assert_str_eq(harness.events.bytes, "keymiss key\n");
    close_harness();
}
END_TEST

START_TEST(restore_makes_the_key_that_was_dumped) {
    open_harness();
    call_harness_line(&harness, "HSET hash f v n 12");
    call_harness_line(&harness, "SET number 12345");
    struct buffer hash = dumped("hash");
    struct buffer number = dumped("number");
    ck_assert_str_eq(restore_bytes("RESTORE copy 0", buffer_span(&hash), ""), "+OK\r\n");
    ck_assert_str_eq(harness.events.bytes, "new copy\nrestore copy\n");
    ck_assert_uint_eq(harness.effects_count, 1);
    ck_assert_str_eq(call_harness_line(&harness, "HGET copy n"), "$2\r\n12\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "PTTL copy"), ":-1\r\n");
    ck_assert_str_eq(restore_bytes("RESTORE copy 0", buffer_span(&number), "replace"), "+OK\r\n");
    ck_assert_str_eq(harness.events.bytes, "new copy\nrestore copy\n");
    ck_assert_str_eq(call_harness_line(&harness, "GET copy"), "$5\r\n12345\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "OBJECT ENCODING copy"), "$3\r\nint\r\n");
    buffer_free(&hash);
    buffer_free(&number);
    close_harness();
}
END_TEST

START_TEST(large_values_are_dumped_and_restored_as_blocks) {
    open_harness();
    char *bytes = memory_alloc(100000);
    struct random random;
    random_seed(&random, 5);
    for (size_t i = 0; i < 100000; i++) {
        bytes[i] = (char)random_next(&random);
    }
    struct span args[3] = {SPAN_LITERAL("SET"), SPAN_LITERAL("key"), span_of(bytes, 100000)};
    call_harness_run(&harness, args, 3);
    struct buffer string = dumped("key");
    ck_assert_str_eq(restore_bytes("RESTORE copy 0", buffer_span(&string), ""), "+OK\r\n");
    const struct entry *copy = call_harness_entry(&harness, "copy");
    ck_assert_int_eq(entry_kind(copy), ENTRY_BLOCK);
    ck_assert(span_equal(block_span(entry_block(copy)), args[2]));
    buffer_free(&string);
    memory_free(bytes);
    close_harness();
}
END_TEST

START_TEST(large_hashes_are_dumped_and_restored) {
    open_harness();
    for (int i = 0; i < 3000; i++) {
        char line[100];
        snprintf(line, sizeof(line), "HSET hash field:%d value:%d", i, i);
        call_harness_line(&harness, line);
    }
    struct buffer bytes = dumped("hash");
    ck_assert_str_eq(restore_bytes("RESTORE copy 0", buffer_span(&bytes), ""), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "HLEN copy"), ":3000\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "HGET copy field:2718"), "$10\r\nvalue:2718\r\n");
    buffer_free(&bytes);
    close_harness();
}
END_TEST

START_TEST(restore_does_not_touch_a_key_that_is_there_unless_told) {
    open_harness();
    call_harness_line(&harness, "SET key old");
    ck_assert_str_eq(restore_payload("RESTORE key 0", hello, ""), BUSY);
    /* Before the other arguments are looked at. */
    ck_assert_str_eq(restore_payload("RESTORE key x", hello, ""), BUSY);
    ck_assert_uint_eq(harness.effects_count, 0);
    ck_assert_str_eq(call_harness_line(&harness, "GET key"), "$3\r\nold\r\n");
    ck_assert_str_eq(restore_payload("RESTORE key 0", hello, "REPLACE"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "GET key"), "$5\r\nhello\r\n");
    close_harness();
}
END_TEST

START_TEST(restore_sets_the_expiry_in_place_of_an_old_one) {
    open_harness();
    call_harness_line(&harness, "SET key old PX 5000");
    ck_assert_str_eq(restore_payload("RESTORE key 0", hello, "REPLACE"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "PTTL key"), ":-1\r\n");
    ck_assert_str_eq(restore_payload("RESTORE key 7000", hello, "REPLACE"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "PTTL key"), ":7000\r\n");
    char head[100];
    snprintf(head, sizeof(head), "RESTORE key %" PRId64, harness.now_ms + 9000);
    ck_assert_str_eq(restore_payload(head, hello, "ABSTTL REPLACE"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "PTTL key"), ":9000\r\n");
    close_harness();
}
END_TEST

START_TEST(restore_of_what_has_expired_only_deletes_what_was_there) {
    open_harness();
    ck_assert_str_eq(restore_payload("RESTORE key 1", hello, "ABSTTL"), "+OK\r\n");
    ck_assert_uint_eq(harness.effects_count, 0);
    call_harness_line(&harness, "SET key old");
    ck_assert_str_eq(restore_payload("RESTORE key 1", hello, "ABSTTL REPLACE"), "+OK\r\n");
    ck_assert_str_eq(harness.events.bytes, "del key\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    /* A sum that wraps round is long ago. */
    ck_assert_str_eq(restore_payload("RESTORE key 9223372036854775807", hello, ""), "+OK\r\n");
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    close_harness();
}
END_TEST

START_TEST(restore_takes_the_access_data_that_fit_the_policy) {
    open_harness();
    ck_assert_str_eq(restore_payload("RESTORE key 0", hello, "IDLETIME 1000"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "OBJECT IDLETIME key"), ":1000\r\n");
    ck_assert_str_eq(restore_payload("RESTORE other 0", hello, "FREQ 100"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "OBJECT IDLETIME other"), ":0\r\n");
    harness.options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    ck_assert_str_eq(restore_payload("RESTORE third 0", hello, "FREQ 100"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "OBJECT FREQ third"), ":100\r\n");
    ck_assert_str_eq(restore_payload("RESTORE fourth 0", hello, "IDLETIME 1000"), "+OK\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "OBJECT FREQ fourth"), ":5\r\n");
    close_harness();
}
END_TEST

START_TEST(restore_refuses_arguments_with_the_errors_of_redis) {
    static const struct {
        const char *head;
        const char *options;
        const char *reply;
    } lines[] = {
        {"RESTORE key x", "", NOT_INTEGER},
        {"RESTORE key -1", "", "-ERR Invalid TTL value, must be >= 0\r\n"},
        {"RESTORE key 0", "x", SYNTAX_ERROR},
        {"RESTORE key 0", "IDLETIME", SYNTAX_ERROR},
        {"RESTORE key 0", "FREQ", SYNTAX_ERROR},
        {"RESTORE key 0", "IDLETIME x", NOT_INTEGER},
        {"RESTORE key 0", "FREQ x", NOT_INTEGER},
        {"RESTORE key 0", "IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0\r\n"},
        {"RESTORE key 0", "FREQ -1", "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n"},
        {"RESTORE key 0", "FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255\r\n"},
        {"RESTORE key 0", "FREQ 1 IDLETIME 1", SYNTAX_ERROR},
        {"RESTORE key 0", "IDLETIME 1 FREQ 1", SYNTAX_ERROR},
        {"RESTORE key", "", "<arity>"},
    };
    open_harness();
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        ck_assert_str_eq(restore_payload(lines[i].head, hello, lines[i].options), lines[i].reply);
    }
    ck_assert_uint_eq(call_harness_keys(&harness), 0);
    close_harness();
}
END_TEST

START_TEST(restore_refuses_what_has_no_right_footer) {
    open_harness();
    struct buffer newer = footed(hello, RDB_VERSION + 1);
    ck_assert_str_eq(restore_bytes("RESTORE key 0", buffer_span(&newer), ""), WRONG_FOOTER);
    struct buffer older = footed(hello, 6);
    ck_assert_str_eq(restore_bytes("RESTORE key 0", buffer_span(&older), ""), "+OK\r\n");
    for (size_t length = 0; length < older.length; length++) {
        ck_assert_str_eq(restore_bytes("RESTORE key 0", span_of(older.bytes, length), "REPLACE"),
                         WRONG_FOOTER);
    }
    for (size_t place = 0; place < older.length; place++) {
        older.bytes[place] ^= 1;
        ck_assert_str_eq(restore_bytes("RESTORE key 0", buffer_span(&older), "REPLACE"),
                         WRONG_FOOTER);
        older.bytes[place] ^= 1;
    }
    buffer_free(&newer);
    buffer_free(&older);
    close_harness();
}
END_TEST

START_TEST(restore_refuses_what_is_no_value_and_leaves_the_old_one) {
    static const struct span payloads[] = {
        SPAN_LITERAL(""),
        SPAN_LITERAL("\x00\x05hell"),
        SPAN_LITERAL("\x01\x01\x01x"), /* a list: not yet */
        SPAN_LITERAL("\x04\x00"),
        SPAN_LITERAL("\x63\x00"),
    };
    open_harness();
    call_harness_line(&harness, "SET key old PX 5000");
    for (size_t i = 0; i < UNIT_COUNT(payloads); i++) {
        ck_assert_str_eq(restore_payload("RESTORE key 0", payloads[i], "REPLACE"), BAD_FORMAT);
    }
    ck_assert_str_eq(call_harness_line(&harness, "GET key"), "$3\r\nold\r\n");
    ck_assert_str_eq(call_harness_line(&harness, "PTTL key"), ":5000\r\n");
    close_harness();
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        dump_answers_the_payload_with_version_and_checksum,
        dump_of_a_missing_key_answers_null,
        restore_makes_the_key_that_was_dumped,
        large_values_are_dumped_and_restored_as_blocks,
        large_hashes_are_dumped_and_restored,
        restore_does_not_touch_a_key_that_is_there_unless_told,
        restore_sets_the_expiry_in_place_of_an_old_one,
        restore_of_what_has_expired_only_deletes_what_was_there,
        restore_takes_the_access_data_that_fit_the_policy,
        restore_refuses_arguments_with_the_errors_of_redis,
        restore_refuses_what_has_no_right_footer,
        restore_refuses_what_is_no_value_and_leaves_the_old_one,
    };
    return unit_run(unit_suite("dump", tests, UNIT_COUNT(tests)));
}
