#include "execute/import.h"

#include "commands/bitmap.h"
#include "commands/dump.h"
#include "commands/expire.h"
#include "commands/generic.h"
#include "commands/hash.h"
#include "commands/keyspace_commands.h"
#include "commands/string.h"

#include "tests/unit/commands/call_harness.h"
#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/unit.h"

static const struct command *const families[] = {
    dump_commands,   string_commands, string_number_commands, hash_commands,     object_commands,
    expire_commands, bitmap_commands, generic_commands,       keyspace_commands, NULL};

/* A keyspace whose twin is given the effects alone: what is imported is in them. */
struct fixture {
    struct call_harness harness;
    struct memory_disk memory;
    struct command_table *commands;
    struct import_result result;
    struct buffer report;
};

static void open_fixture(struct fixture *fixture) {
    *fixture = (struct fixture){.report = BUFFER_EMPTY};
    call_harness_open(&fixture->harness, families, 3);
    memory_disk_init(&fixture->memory);
    fixture->commands = command_table_new(families, UNIT_COUNT(families) - 1);
}

static void close_fixture(struct fixture *fixture) {
    command_table_free(fixture->commands);
    memory_disk_free(&fixture->memory);
    buffer_free(&fixture->report);
    call_harness_close(&fixture->harness);
}

static void put_file(struct fixture *fixture, const char *name, struct span bytes) {
    memory_disk_remove(&fixture->memory, name);
    struct memory_file *file = memory_disk_find(&fixture->memory, "");
    memory_disk_name(file, name);
    buffer_append_span(&file->content, bytes);
}

static struct import_plan plan_of(struct fixture *fixture) {
    buffer_clear(&fixture->report);
    return (struct import_plan){
        .environment = &fixture->harness.environment,
        .commands = fixture->commands,
        .disk = &fixture->memory.disk,
        .now_ms = fixture->harness.now_ms,
        .takes_truncated = true,
    };
}

static enum import_status import_rdb_of(struct fixture *fixture, struct span bytes) {
    put_file(fixture, "dump.rdb", bytes);
    struct import_plan plan = plan_of(fixture);
    return import_rdb(&plan, "dump.rdb", &fixture->result, &fixture->report);
}

static enum import_status import_aof_of(struct fixture *fixture, struct span bytes) {
    put_file(fixture, "appendonly.aof", bytes);
    struct import_plan plan = plan_of(fixture);
    return import_aof(&plan, "appendonly.aof", &fixture->result, &fixture->report);
}

static void expect(struct fixture *fixture, const char *line, const char *reply) {
    ck_assert_str_eq(call_harness_line(&fixture->harness, line), reply);
}

static void expect_report(struct fixture *fixture, const char *part) {
    buffer_append_byte(&fixture->report, '\0');
    ck_assert_msg(strstr(fixture->report.bytes, part) != NULL, "%s", fixture->report.bytes);
}

#define BYTES(text) span_of(text, sizeof(text) - 1)
#define RDB_START "REDIS0010"
#define RDB_END "\xff\x00\x00\x00\x00\x00\x00\x00\x00"
#define SET_A "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define INCR_A "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"

START_TEST(import_takes_the_keys_of_an_rdb_file) {
    struct fixture fixture;
    open_fixture(&fixture);
    /* 0x0000020000000000 ms are far in the future */
    ck_assert_int_eq(
        import_rdb_of(&fixture, BYTES(RDB_START "\xfe\x00\x00\x01s\x05hello"
                                                "\xfc\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01t\x01v"
                                                "\xf8\x40\x80\x04\x01h\x01\x01\x66\x01v"
                                                "\xf5\x04"
                                                "code"
                                                "\xfe\x03\x00\x01s\x05world" RDB_END)),
        IMPORT_DONE);
    ck_assert_uint_eq(fixture.result.keys, 4);
    ck_assert_uint_eq(fixture.result.libraries, 1);
    expect(&fixture, "GET s", "$5\r\nhello\r\n");
    expect(&fixture, "HGET h f", "$1\r\nv\r\n");
    expect(&fixture, "PEXPIRETIME t", ":2199023255552\r\n");
    fixture.harness.database = 3;
    expect(&fixture, "GET s", "$5\r\nworld\r\n");
    fixture.harness.database = 0;
    close_fixture(&fixture);
}
END_TEST

START_TEST(import_keeps_the_access_data_of_keys) {
    struct fixture fixture;
    open_fixture(&fixture);
    struct span file =
        BYTES(RDB_START "\xf8\x40\x80\x00\x01i\x01v\xf9\x64\x00\x01\x66\x01v" RDB_END);
    for (uint32_t i = 0; i < fixture.harness.keyspace->store_count; i++) {
        store_tick(fixture.harness.keyspace->stores[i], fixture.harness.now_ms);
    }
    ck_assert_int_eq(import_rdb_of(&fixture, file), IMPORT_DONE);
    expect(&fixture, "OBJECT IDLETIME i", ":128\r\n");
    expect(&fixture, "FLUSHALL", "+OK\r\n");
    fixture.harness.options.maxmemory_policy = MAXMEMORY_ALLKEYS_LFU;
    ck_assert_int_eq(import_rdb_of(&fixture, file), IMPORT_DONE);
    expect(&fixture, "OBJECT FREQ f", ":100\r\n");
    close_fixture(&fixture);
}
END_TEST

START_TEST(import_leaves_out_what_has_expired_or_has_no_elements) {
    struct fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(import_rdb_of(&fixture, BYTES(RDB_START "\xfd\x01\x00\x00\x00\x00\x01s\x01v"
                                                             "\x04\x01h\x00" RDB_END)),
                     IMPORT_DONE);
    ck_assert_uint_eq(fixture.result.keys, 0);
    ck_assert_uint_eq(fixture.result.expired_keys, 1);
    ck_assert_uint_eq(fixture.result.empty_keys, 1);
    ck_assert_uint_eq(call_harness_keys(&fixture.harness), 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(import_refuses_what_this_version_does_not_have) {
    static const struct {
        struct span file;
        enum import_status status;
        const char *report;
    } files[] = {
        {SPAN_LITERAL(RDB_START "\x01\x01l\x01\x01x" RDB_END), IMPORT_REFUSED, "key \"l\""},
        {SPAN_LITERAL(RDB_START "\xfe\x10\x00\x01s\x01v" RDB_END), IMPORT_REFUSED,
         "key \"s\" of database 16: there are not so many databases (RDB file \"dump.rdb\", before "
         "byte 16)"},
        {SPAN_LITERAL(RDB_START "\x00\x01s\x01v\x00\x01s\x01w" RDB_END), IMPORT_DAMAGED,
         "expected it once, found it twice"},
        {SPAN_LITERAL(RDB_START "\x10\x01h\x07\x08\x00\x00\x00\x00\x00\xff" RDB_END),
         IMPORT_DAMAGED, "expected a value, found a damaged one"},
        {SPAN_LITERAL("REDIS0099"), IMPORT_REFUSED, "version"},
        {SPAN_LITERAL("what"), IMPORT_DAMAGED, "REDIS"},
    };
    for (size_t i = 0; i < UNIT_COUNT(files); i++) {
        struct fixture fixture;
        open_fixture(&fixture);
        ck_assert_int_eq(import_rdb_of(&fixture, files[i].file), files[i].status);
        expect_report(&fixture, files[i].report);
        close_fixture(&fixture);
    }
}
END_TEST

START_TEST(import_runs_the_commands_of_an_append_only_file) {
    struct fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(
        import_aof_of(&fixture,
                      BYTES(RDB_START "\x00\x01s\x05hello" RDB_END SET_A INCR_A
                                      "*1\r\n$5\r\nMULTI\r\n" INCR_A
                                      "*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\nv\r\n"
                                      "*1\r\n$4\r\nEXEC\r\n"
                                      "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n" SET_A
                                      "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$1\r\nx\r\n$1\r\ny\r\n"
                                      "*2\r\n$4\r\nINCR\r\n$1\r\nh\r\n")),
        IMPORT_DONE);
    ck_assert_uint_eq(fixture.result.keys, 1);
    ck_assert_uint_eq(fixture.result.commands, 6);
    ck_assert_uint_eq(fixture.result.failed_commands, 0);
    ck_assert_uint_eq(fixture.result.libraries, 1);
    expect(&fixture, "GET s", "$5\r\nhello\r\n");
    expect(&fixture, "GET a", "$1\r\n3\r\n");
    expect(&fixture, "HGET h f", "$1\r\nv\r\n");
    fixture.harness.database = 3;
    expect(&fixture, "GET a", "$1\r\n1\r\n");
    expect(&fixture, "GET h", "$1\r\n1\r\n");
    fixture.harness.database = 0;
    close_fixture(&fixture);
}
END_TEST

START_TEST(import_lets_nothing_expire_between_commands) {
    struct fixture fixture;
    open_fixture(&fixture);
    /* Expired long ago when the file is read, not so when it was written. */
    ck_assert_int_eq(
        import_aof_of(&fixture,
                      BYTES(SET_A "*3\r\n$9\r\nPEXPIREAT\r\n$1\r\na\r\n$4\r\n1000\r\n" INCR_A
                                  "*2\r\n$7\r\nPERSIST\r\n$1\r\na\r\n")),
        IMPORT_DONE);
    expect(&fixture, "GET a", "$1\r\n2\r\n");
    expect(&fixture, "FLUSHALL", "+OK\r\n");
    /* Nor what the file begins with. */
    ck_assert_int_eq(
        import_aof_of(&fixture, BYTES(RDB_START "\xfd\x01\x00\x00\x00\x00\x01s\x01v" RDB_END
                                                "*2\r\n$7\r\nPERSIST\r\n$1\r\ns\r\n")),
        IMPORT_DONE);
    expect(&fixture, "GET s", "$1\r\nv\r\n");
    close_fixture(&fixture);
}
END_TEST

START_TEST(import_counts_commands_that_fail) {
    struct fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(
        import_aof_of(&fixture,
                      BYTES("*4\r\n$4\r\nHSET\r\n$1\r\na\r\n$1\r\nf\r\n$1\r\nv\r\n" INCR_A)),
        IMPORT_DONE);
    ck_assert_uint_eq(fixture.result.commands, 2);
    ck_assert_uint_eq(fixture.result.failed_commands, 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(import_refuses_commands_that_it_cannot_run) {
    static const struct {
        struct span file;
        const char *report;
    } files[] = {
        {SPAN_LITERAL(SET_A "*3\r\n$5\r\nLPUSH\r\n$1\r\nl\r\n$1\r\nx\r\n"),
         "command \"LPUSH\" in database 0: expected a command that writes data, which this version "
         "has (AOF file \"appendonly.aof\" at byte 27)"},
        {SPAN_LITERAL("*2\r\n$3\r\nGET\r\n$1\r\nl\r\n"), "expected a command that writes"},
        {SPAN_LITERAL("*1\r\n$4\r\nINCR\r\n"), "found the wrong number of arguments"},
        {SPAN_LITERAL("*2\r\n$6\r\nSELECT\r\n$2\r\n16\r\n" SET_A), "not so many databases"},
    };
    for (size_t i = 0; i < UNIT_COUNT(files); i++) {
        struct fixture fixture;
        open_fixture(&fixture);
        ck_assert_int_eq(import_aof_of(&fixture, files[i].file), IMPORT_REFUSED);
        expect_report(&fixture, files[i].report);
        close_fixture(&fixture);
    }
}
END_TEST

START_TEST(import_follows_a_manifest_and_tells_of_a_cut_off_end) {
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, "base.rdb", BYTES(RDB_START "\x00\x01s\x05hello" RDB_END));
    put_file(&fixture, "1.aof", BYTES(SET_A INCR_A "*2\r\n$4"));
    put_file(&fixture, "appendonly.aof.manifest",
             BYTES("file base.rdb seq 1 type b\nfile 1.aof seq 1 type i\n"));
    struct import_plan plan = plan_of(&fixture);
    ck_assert_int_eq(import_aof(&plan, "appendonly.aof.manifest", &fixture.result, &fixture.report),
                     IMPORT_TRUNCATED);
    expect_report(&fixture, "AOF file \"1.aof\" at byte 48");
    expect(&fixture, "GET s", "$5\r\nhello\r\n");
    expect(&fixture, "GET a", "$1\r\n2\r\n");
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        import_takes_the_keys_of_an_rdb_file,
        import_keeps_the_access_data_of_keys,
        import_leaves_out_what_has_expired_or_has_no_elements,
        import_refuses_what_this_version_does_not_have,
        import_runs_the_commands_of_an_append_only_file,
        import_lets_nothing_expire_between_commands,
        import_counts_commands_that_fail,
        import_refuses_commands_that_it_cannot_run,
        import_follows_a_manifest_and_tells_of_a_cut_off_end,
    };
    return unit_run(unit_suite("import", tests, UNIT_COUNT(tests)));
}
