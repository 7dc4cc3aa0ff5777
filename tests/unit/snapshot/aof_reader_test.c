#include "snapshot/aof_reader.h"

#include "base/memory.h"
#include "snapshot/aof_manifest.h"

#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/snapshot/rdb_collector.h"
#include "tests/unit/unit.h"

#define MANIFEST "appendonly.aof.manifest"
#define BASE "appendonly.aof.2.base.rdb"
#define INCREMENT "appendonly.aof.2.incr.aof"

/* Keys as rdb_collector writes them, commands as "<database> <words>", those of a transaction with
 * a "+" before them. */
struct fixture {
    struct memory_disk memory;
    struct rdb_collector collector;
    size_t commands;
    size_t commands_max; /* then it stops; 0: never */
    bool takes_truncated;
};

static bool command_seen(void *context, const struct aof_command *command) {
    struct rdb_collector *collector = context;
    struct fixture *fixture =
        (struct fixture *)((char *)collector - offsetof(struct fixture, collector));
    buffer_format(&collector->lines, "%s%u", command->is_in_transaction ? "+" : "",
                  command->database);
    for (uint32_t i = 0; i < command->args_count; i++) {
        buffer_append_byte(&collector->lines, ' ');
        buffer_append_span(&collector->lines, command->args[i]);
    }
    buffer_append_byte(&collector->lines, '\n');
    fixture->commands++;
    return fixture->commands != fixture->commands_max;
}

static void open_fixture(struct fixture *fixture) {
    *fixture = (struct fixture){.takes_truncated = true};
    memory_disk_init(&fixture->memory);
}

static void close_fixture(struct fixture *fixture) {
    rdb_collector_free(&fixture->collector);
    memory_disk_free(&fixture->memory);
}

static void put_file(struct fixture *fixture, const char *name, struct span bytes) {
    memory_disk_remove(&fixture->memory, name);
    struct memory_file *file = memory_disk_find(&fixture->memory, "");
    memory_disk_name(file, name);
    buffer_append_span(&file->content, bytes);
}

static struct aof_source source_of(struct fixture *fixture) {
    rdb_collector_clear(&fixture->collector);
    fixture->commands = 0;
    return (struct aof_source){
        .disk = &fixture->memory.disk,
        .takes_truncated = fixture->takes_truncated,
        .observer = rdb_collector_observer(&fixture->collector),
        .command = command_seen,
    };
}

static void expect_file(struct fixture *fixture, struct span bytes, enum aof_read_status status,
                        const char *lines) {
    put_file(fixture, INCREMENT, bytes);
    struct aof_source source = source_of(fixture);
    ck_assert_int_eq(aof_read_file(&source, INCREMENT, &fixture->collector.report), status);
    ck_assert_str_eq(rdb_collector_text(&fixture->collector.lines), lines);
    ck_assert((status == AOF_READ_DONE) == (fixture->collector.report.length == 0) ||
              status == AOF_READ_STOPPED);
}

static void expect_report(struct fixture *fixture, const char *part) {
    const char *report = rdb_collector_text(&fixture->collector.report);
    ck_assert_msg(strstr(report, part) != NULL, "%s", report);
}

#define BYTES(text) span_of(text, sizeof(text) - 1)
#define SELECT_3 "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
#define SET_A "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define SET_B "*3\r\n$3\r\nset\r\n$1\r\nb\r\n$0\r\n\r\n"
#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC "*1\r\n$4\r\nEXEC\r\n"
/* The file of a redis-server with one key, without a checksum. */
#define RDB "REDIS0010\xfe\x00\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00"
#define RDB_LINE "0 k: type 0, 3 bytes, expiry -1, idle -1, frequency -1\n"

START_TEST(aof_reader_gives_the_commands_with_their_databases) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_file(&fixture, BYTES(SET_A SELECT_3 "#TS:1700000000\r\n" SET_B SET_A), AOF_READ_DONE,
                "0 SET a 1\n3 set b \n3 SET a 1\n");
    expect_file(&fixture, BYTES(""), AOF_READ_DONE, "");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_gives_a_transaction_when_it_is_whole) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_file(&fixture, BYTES(SET_A MULTI SET_B SELECT_3 SET_A EXEC SET_B MULTI EXEC SET_B),
                AOF_READ_DONE, "0 SET a 1\n+0 set b \n+3 SET a 1\n3 set b \n3 set b \n");
    expect_file(&fixture, BYTES(SET_A MULTI SET_B SET_A), AOF_READ_TRUNCATED, "0 SET a 1\n");
    expect_report(&fixture, "at byte 27: expected a transaction whole");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_takes_a_file_that_is_cut_off_up_to_there) {
    static const char whole[] = SET_A MULTI SET_B SET_A EXEC SET_B;
    const size_t first = sizeof(SET_A) - 1;
    const size_t second = first + sizeof(MULTI SET_B SET_A EXEC) - 1;
    struct fixture fixture;
    open_fixture(&fixture);
    for (size_t length = 0; length < sizeof(whole); length++) {
        const char *lines = length < first               ? ""
                            : length < second            ? "0 SET a 1\n"
                            : length < sizeof(whole) - 1 ? "0 SET a 1\n+0 set b \n+0 SET a 1\n"
                                                         : "0 SET a 1\n+0 set b \n+0 SET a 1\n"
                                                           "0 set b \n";
        bool is_whole =
            length == 0 || length == first || length == second || length == sizeof(whole) - 1;
        expect_file(&fixture, span_of(whole, length), is_whole ? AOF_READ_DONE : AOF_READ_TRUNCATED,
                    lines);
    }
    fixture.takes_truncated = false;
    expect_file(&fixture, span_of(whole, first + 3), AOF_READ_DAMAGED, "0 SET a 1\n");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_refuses_what_is_no_command) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_file(&fixture, BYTES(SET_A "SET b 1\r\n"), AOF_READ_DAMAGED, "0 SET a 1\n");
    expect_report(&fixture, "\"" INCREMENT "\" at byte 27: expected a command or a comment");
    expect_file(&fixture, BYTES("*x\r\n"), AOF_READ_DAMAGED, "");
    expect_report(&fixture, "invalid multibulk length");
    expect_file(&fixture, BYTES("*0\r\n"), AOF_READ_DAMAGED, "");
    expect_file(&fixture, BYTES("*1\r\n+x\r\n"), AOF_READ_DAMAGED, "");
    expect_file(&fixture, BYTES("*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n"), AOF_READ_DAMAGED, "");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_takes_a_file_that_begins_with_an_rdb_file) {
    struct fixture fixture;
    open_fixture(&fixture);
    expect_file(&fixture, BYTES(RDB SET_A MULTI SET_B EXEC), AOF_READ_DONE,
                RDB_LINE "0 SET a 1\n+0 set b \n");
    expect_file(&fixture, span_of(RDB, sizeof(RDB) - 12), AOF_READ_DAMAGED, "");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_takes_arguments_larger_than_what_it_reads_at_once) {
    enum { BYTES_COUNT = 3000000, COMMANDS = 20000 };
    struct buffer file = BUFFER_EMPTY;
    struct buffer lines = BUFFER_EMPTY;
    struct fixture fixture;
    open_fixture(&fixture);
    buffer_append_string(&file, MULTI);
    for (int i = 0; i < COMMANDS; i++) {
        buffer_append_string(&file, SET_A);
        buffer_append_string(&lines, "+0 SET a 1\n");
    }
    buffer_format(&file, "*2\r\n$3\r\nBIG\r\n$%d\r\n", BYTES_COUNT);
    buffer_append_string(&lines, "+0 BIG ");
    memset(buffer_reserve(&file, BYTES_COUNT), 'b', BYTES_COUNT);
    buffer_commit(&file, BYTES_COUNT);
    memset(buffer_reserve(&lines, BYTES_COUNT), 'b', BYTES_COUNT);
    buffer_commit(&lines, BYTES_COUNT);
    buffer_append_string(&file, "\r\n" EXEC SET_A);
    buffer_append_string(&lines, "\n0 SET a 1\n");
    expect_file(&fixture, buffer_span(&file), AOF_READ_DONE, rdb_collector_text(&lines));
    buffer_free(&file);
    buffer_free(&lines);
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_stops_when_it_is_told_to) {
    struct fixture fixture;
    open_fixture(&fixture);
    fixture.commands_max = 2;
    expect_file(&fixture, BYTES(SET_A SET_B SET_A), AOF_READ_STOPPED, "0 SET a 1\n0 set b \n");
    close_fixture(&fixture);
}
END_TEST

/* ---- manifests ---- */

static enum aof_read_status read_manifest(struct fixture *fixture, const char *text) {
    put_file(fixture, MANIFEST, span_of_string(text));
    struct aof_source source = source_of(fixture);
    return aof_read(&source, MANIFEST, &fixture->collector.report);
}

#define ROWS                                                                                       \
    "file " BASE " seq 2 type b\n"                                                                 \
    "file \"with blank.aof\" seq 1 type i\n"                                                       \
    "file gone.aof seq 1 type h\n"                                                                 \
    "# a comment\n"                                                                                \
    "file " INCREMENT " seq 2 type i later unknown\n"

START_TEST(aof_reader_reads_base_and_increments_in_their_order) {
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, BASE, BYTES(RDB));
    put_file(&fixture, "with blank.aof", BYTES(SELECT_3 SET_A));
    put_file(&fixture, INCREMENT, BYTES(SET_B));
    ck_assert_int_eq(read_manifest(&fixture, ROWS), AOF_READ_DONE);
    /* Each file begins in database 0. */
    ck_assert_str_eq(rdb_collector_text(&fixture.collector.lines),
                     RDB_LINE "3 SET a 1\n0 set b \n");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_takes_only_the_last_file_cut_off) {
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, BASE, BYTES(RDB));
    put_file(&fixture, "with blank.aof", BYTES(SET_A));
    put_file(&fixture, INCREMENT, BYTES(SET_B "*3\r\n"));
    ck_assert_int_eq(read_manifest(&fixture, ROWS), AOF_READ_TRUNCATED);
    ck_assert_str_eq(rdb_collector_text(&fixture.collector.lines),
                     RDB_LINE "0 SET a 1\n0 set b \n");
    put_file(&fixture, "with blank.aof", BYTES(SET_A "*3\r\n"));
    ck_assert_int_eq(read_manifest(&fixture, ROWS), AOF_READ_DAMAGED);
    ck_assert_str_eq(rdb_collector_text(&fixture.collector.lines), RDB_LINE "0 SET a 1\n");
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_reports_a_file_that_is_not_there) {
    struct fixture fixture;
    open_fixture(&fixture);
    put_file(&fixture, BASE, BYTES(RDB));
    ck_assert_int_eq(read_manifest(&fixture, ROWS), AOF_READ_FAILED);
    expect_report(&fixture, "AOF file \"with blank.aof\": cannot open");
    struct aof_source source = source_of(&fixture);
    ck_assert_int_eq(aof_read(&source, "no manifest", &fixture.collector.report), AOF_READ_FAILED);
    close_fixture(&fixture);
}
END_TEST

START_TEST(aof_reader_refuses_a_manifest_that_says_nothing_sound) {
    static const struct {
        const char *text;
        const char *report;
    } manifests[] = {
        {"", "line 0: expected the name of a file"},
        {"# nothing\n", "line 1: expected the name of a file"},
        {"file a.aof seq 1 type i", "line 1: expected the end of the line"},
        {"\n", "line 1: expected file <name>"},
        {"*1\r\n$1\r\nx\r\n", "line 1: expected file <name>"},
        {"file \"a.aof seq 1 type i\n", "line 1: expected file <name>"},
        {"file a.aof seq 1 type\n", "line 1: expected pairs of words"},
        {"file a.aof seq x type i\n", "line 1: expected a number behind \"seq\""},
        {"file a.aof type i\n", "line 1: expected a number behind \"seq\""},
        {"file a.aof seq 1 type x\n", "line 1: expected b, h or i"},
        {"file a.aof seq 1\n", "line 1: expected b, h or i"},
        {"seq 1 type i\n", "line 1: expected the name of a file in the same folder"},
        {"file folder/a.aof seq 1 type i\n",
         "line 1: expected the name of a file in the same folder"},
        {"file ../a.aof seq 1 type i\n", "line 1: expected the name of a file in the same folder"},
        {"file a.aof seq 1 type i\nfile b.aof seq 1 type i\n", "line 2: expected a larger number"},
        {"file a.rdb seq 1 type b\nfile b.rdb seq 2 type b\n", "line 2: expected no second file"},
    };
    struct fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(manifests); i++) {
        ck_assert_int_eq(read_manifest(&fixture, manifests[i].text), AOF_READ_DAMAGED);
        expect_report(&fixture, manifests[i].report);
    }
    close_fixture(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        aof_reader_gives_the_commands_with_their_databases,
        aof_reader_gives_a_transaction_when_it_is_whole,
        aof_reader_takes_a_file_that_is_cut_off_up_to_there,
        aof_reader_refuses_what_is_no_command,
        aof_reader_takes_a_file_that_begins_with_an_rdb_file,
        aof_reader_takes_arguments_larger_than_what_it_reads_at_once,
        aof_reader_stops_when_it_is_told_to,
        aof_reader_reads_base_and_increments_in_their_order,
        aof_reader_takes_only_the_last_file_cut_off,
        aof_reader_reports_a_file_that_is_not_there,
        aof_reader_refuses_a_manifest_that_says_nothing_sound,
    };
    return unit_run(unit_suite("aof_reader", tests, UNIT_COUNT(tests)));
}
