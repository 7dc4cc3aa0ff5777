#include "snapshot/rdb_reader.h"

#include "base/bytes.h"
#include "base/crc64.h"
#include "base/memory.h"

#include "tests/unit/snapshot/rdb_collector.h"
#include "tests/unit/unit.h"

/* A file: header, these items, the end mark and a checksum. Freed by the caller. */
static struct buffer file_of(const char *header, struct span items) {
    struct buffer file = BUFFER_EMPTY;
    buffer_append_string(&file, header);
    buffer_append_span(&file, items);
    buffer_append_byte(&file, (char)0xff);
    uint64_t crc = crc64_add(CRC64_EMPTY, buffer_span(&file));
    bytes_store_u64(buffer_reserve(&file, sizeof(crc)), crc);
    buffer_commit(&file, sizeof(crc));
    return file;
}

#define ITEMS(literal) span_of(literal, sizeof(literal) - 1)

static const char all_items[] = "\xfa\x09redis-ver\x06"
                                "7.0.15"
                                "\xfa\x0aredis-bits\xc0\x40"
                                "\xf5\x04"
                                "code"
                                "\xfe\x00\xfb\x04\x02"
                                "\x00\x01s\x05hello"
                                "\xfc\x10\x27\x00\x00\x00\x00\x00\x00\x00\xc0\x7b\xc1\x2c\x01"
                                "\xfd\x05\x00\x00\x00\x00\x02s2\x00"
                                "\xf8\x40\x80\x04\x01h\x01\x01\x66\x01v"
                                "\xfe\x09"
                                "\xf9\xc8\x04\x00\x00"
                                "\x00\x00\x01x";

static const char all_lines[] = "redis-ver = 7.0.15\n"
                                "redis-bits = 64\n"
                                "functions code\n"
                                "0 has 4 keys, 2 expire\n"
                                "0 s: type 0, 7 bytes, expiry -1, idle -1, frequency -1\n"
                                "0 123: type 0, 4 bytes, expiry 10000, idle -1, frequency -1\n"
                                "0 s2: type 0, 2 bytes, expiry 5000, idle -1, frequency -1\n"
                                "0 h: type 4, 6 bytes, expiry -1, idle 128, frequency -1\n"
                                "9 : type 4, 2 bytes, expiry -1, idle -1, frequency 200\n"
                                "9 : type 0, 3 bytes, expiry -1, idle -1, frequency -1\n";

START_TEST(rdb_reader_tells_all_items_however_the_bytes_arrive) {
    struct buffer file = file_of("REDIS0010", ITEMS(all_items));
    for (size_t step = 1; step <= file.length; step++) {
        struct rdb_collector collector = {0};
        size_t behind;
        ck_assert_int_eq(rdb_collector_read(&collector, buffer_span(&file), step, &behind),
                         RDB_READ_DONE);
        ck_assert_uint_eq(behind, 0);
        ck_assert_str_eq(rdb_collector_text(&collector.lines), all_lines);
        rdb_collector_free(&collector);
    }
    buffer_free(&file);
}
END_TEST

START_TEST(rdb_reader_leaves_what_follows_the_file) {
    struct buffer file = file_of("REDIS0010", ITEMS(all_items));
    size_t length = file.length;
    buffer_append_string(&file, "what follows");
    for (size_t step = 1; step <= file.length; step++) {
        struct rdb_collector collector = {0};
        size_t behind;
        ck_assert_int_eq(rdb_collector_read(&collector, buffer_span(&file), step, &behind),
                         RDB_READ_DONE);
        ck_assert_uint_eq(behind, file.length - length);
        rdb_collector_free(&collector);
    }
    buffer_free(&file);
}
END_TEST

START_TEST(rdb_reader_takes_values_larger_than_a_piece) {
    enum { BYTES = 3000000 };
    struct buffer items = BUFFER_EMPTY;
    buffer_append(&items,
                  "\x00\x03"
                  "big",
                  5);
    rdb_length_append(&items, BYTES);
    memset(buffer_reserve(&items, BYTES), 'b', BYTES);
    buffer_commit(&items, BYTES);
    struct buffer file = file_of("REDIS0010", buffer_span(&items));
    static const size_t steps[] = {1000, 65536, BYTES * 2};
    for (size_t i = 0; i < UNIT_COUNT(steps); i++) {
        struct store_fixture fixture;
        store_fixture_open(&fixture);
        struct rdb_collector collector = {.fixture = &fixture};
        size_t behind;
        ck_assert_int_eq(rdb_collector_read(&collector, buffer_span(&file), steps[i], &behind),
                         RDB_READ_DONE);
        struct span value = block_span(entry_block(store_fixture_entry(&fixture, 0, "big")));
        ck_assert_uint_eq(value.length, BYTES);
        ck_assert_int_eq(memcmp(value.bytes, items.bytes + items.length - BYTES, BYTES), 0);
        rdb_collector_free(&collector);
        store_fixture_close(&fixture);
    }
    buffer_free(&items);
    buffer_free(&file);
}
END_TEST

START_TEST(rdb_reader_takes_files_without_a_checksum) {
    struct rdb_collector collector = {0};
    size_t behind;
    struct buffer file = file_of("REDIS0010", ITEMS("\x00\x01s\x05hello"));
    memset(file.bytes + file.length - 8, 0, 8);
    ck_assert_int_eq(rdb_collector_read(&collector, buffer_span(&file), 5, &behind), RDB_READ_DONE);
    buffer_free(&file);
    /* Old versions end with the mark. */
    struct span old = ITEMS("REDIS0004\x00\x01s\x05hello\xff");
    ck_assert_int_eq(rdb_collector_read(&collector, old, 5, &behind), RDB_READ_DONE);
    ck_assert_uint_eq(collector.keys, 2);
    rdb_collector_free(&collector);
}
END_TEST

START_TEST(rdb_reader_stops_when_it_is_told_to) {
    struct buffer file = file_of("REDIS0010", ITEMS(all_items));
    struct rdb_collector collector = {.keys_max = 2};
    size_t behind;
    ck_assert_int_eq(rdb_collector_read(&collector, buffer_span(&file), 1000, &behind),
                     RDB_READ_STOPPED);
    ck_assert_uint_eq(collector.keys, 2);
    rdb_collector_free(&collector);
    buffer_free(&file);
}
END_TEST

START_TEST(rdb_reader_names_what_it_cannot_take) {
    static const struct {
        const char *header;
        struct span items;
        enum rdb_read_status status;
        const char *report;
    } files[] = {
        {"REDIS0012", SPAN_LITERAL(""), RDB_READ_REFUSED,
         "RDB file \"test.rdb\" at byte 0: expected a version from 1 to 11, found 12"},
        {"REDIS00x0", SPAN_LITERAL(""), RDB_READ_DAMAGED,
         "RDB file \"test.rdb\" at byte 0: expected \"REDIS\" and a version of four digits, found "
         "52 45 44 49 53 30 30 78"},
        {"REDIS0010", SPAN_LITERAL("\xfe\x03\x01\x05queue\x01\x01x"), RDB_READ_REFUSED,
         "RDB file \"test.rdb\" at byte 11: key \"queue\" of database 3 is a list, and this "
         "version "
         "has no such values"},
        {"REDIS0010", SPAN_LITERAL("\x08\x01k\x01x"), RDB_READ_DAMAGED,
         "RDB file \"test.rdb\" at byte 9: expected an opcode or a type of value, found 08 01 6b "
         "01 78 ff "},
        {"REDIS0010", SPAN_LITERAL("\xf7\x81\x00\x10\x83\x10\x51\x87\x20\x92\x03\x02\x00"),
         RDB_READ_REFUSED, "RDB file \"test.rdb\" at byte 9: data of the module \"ABCDEFGHI\""},
        {"REDIS0010", SPAN_LITERAL("\xf6"), RDB_READ_REFUSED,
         "RDB file \"test.rdb\" at byte 9: functions in the form of a release candidate"},
        {"REDIS0010", SPAN_LITERAL("\x00\x01k\xc4\x01x"), RDB_READ_DAMAGED,
         "RDB file \"test.rdb\" at byte 12: expected string, found c4 01 78 ff"},
        {"REDIS0010", SPAN_LITERAL("\x00\x82k"), RDB_READ_DAMAGED,
         "RDB file \"test.rdb\" at byte 9: expected a key, found 00 82 6b ff"},
        {"REDIS0010", SPAN_LITERAL("\xfe\x81\x00\x00\x00\x01\x00\x00\x00\x00"), RDB_READ_DAMAGED,
         "RDB file \"test.rdb\" at byte 9: expected the number of a database, found fe 81"},
    };
    for (size_t i = 0; i < UNIT_COUNT(files); i++) {
        struct buffer file = file_of(files[i].header, files[i].items);
        struct rdb_collector collector = {0};
        size_t behind;
        enum rdb_read_status status =
            rdb_collector_read(&collector, buffer_span(&file), 1000, &behind);
        ck_assert_msg(status == files[i].status, "file %zu: %d", i, (int)status);
        const char *report = rdb_collector_text(&collector.report);
        ck_assert_msg(strncmp(report, files[i].report, strlen(files[i].report)) == 0,
                      "file %zu: %s", i, report);
        rdb_collector_free(&collector);
        buffer_free(&file);
    }
}
END_TEST

START_TEST(rdb_reader_reports_a_file_that_is_cut_off) {
    struct buffer file = file_of("REDIS0010", ITEMS(all_items));
    for (size_t length = 0; length < file.length; length++) {
        struct rdb_collector collector = {0};
        size_t behind;
        ck_assert_int_eq(rdb_collector_read(&collector, span_of(file.bytes, length), 7, &behind),
                         RDB_READ_DAMAGED);
        const char *report = rdb_collector_text(&collector.report);
        ck_assert_msg(strstr(report, "to the end of the file") != NULL, "%s", report);
        rdb_collector_free(&collector);
    }
    buffer_free(&file);
}
END_TEST

START_TEST(rdb_reader_finds_every_changed_byte) {
    struct buffer file = file_of("REDIS0010", ITEMS(all_items));
    /* The version says which form the file has; other ones may do. */
    for (size_t place = 9; place < file.length; place++) {
        for (unsigned change = 1; change < 256; change++) {
            unsigned char old = (unsigned char)file.bytes[place];
            file.bytes[place] = (char)(old ^ change);
            struct rdb_collector collector = {0};
            size_t behind;
            enum rdb_read_status status =
                rdb_collector_read(&collector, buffer_span(&file), 16, &behind);
            ck_assert_int_ne(status, RDB_READ_MORE);
            ck_assert_msg(status != RDB_READ_DONE || behind != 0, "byte %zu with %u", place,
                          change);
            ck_assert_uint_gt(collector.report.length, 0);
            rdb_collector_free(&collector);
            file.bytes[place] = (char)old;
        }
    }
    buffer_free(&file);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        rdb_reader_tells_all_items_however_the_bytes_arrive,
        rdb_reader_leaves_what_follows_the_file,
        rdb_reader_takes_values_larger_than_a_piece,
        rdb_reader_takes_files_without_a_checksum,
        rdb_reader_stops_when_it_is_told_to,
        rdb_reader_names_what_it_cannot_take,
        rdb_reader_reports_a_file_that_is_cut_off,
        rdb_reader_finds_every_changed_byte,
    };
    return unit_run(unit_suite("rdb_reader", tests, UNIT_COUNT(tests)));
}
