#include "snapshot/rdb_file.h"

#include "base/bytes.h"
#include "base/crc64.h"

#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/snapshot/rdb_fixture.h"
#include "tests/unit/unit.h"

START_TEST(rdb_file_that_was_saved_loads_the_same) {
    static const struct rdb_writer_plan plans[] = {
        {.compresses = true, .has_checksum = true},
        {.compresses = false, .has_checksum = false},
    };
    struct store_fixture fixture;
    rdb_fixture_open(&fixture);
    rdb_fixture_fill(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(plans); i++) {
        struct memory_disk memory;
        memory_disk_init(&memory);
        ck_assert_int_eq(rdb_fixture_save(fixture.store, &memory.disk, &plans[i]), 0);
        struct store_fixture copy;
        rdb_fixture_open(&copy);
        struct rdb_collector collector = {.fixture = &copy};
        ck_assert_int_eq(rdb_fixture_load(&collector, &memory.disk, NULL), RDB_READ_DONE);
        ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.lines), "redis-ver = 7.2.4\n"
                                                                           "redis-bits = 64\n"
                                                                           "ctime = 1700000000\n"
                                                                           "used-mem = 12345\n"
                                                                           "aof-base = 0\n"));
        rdb_fixture_expect_same(fixture.store, &copy);
        rdb_collector_free(&collector);
        store_fixture_close(&copy);
        memory_disk_free(&memory);
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(rdb_file_ends_with_the_checksum_of_all_before) {
    struct store_fixture fixture;
    struct memory_disk memory;
    rdb_fixture_open(&fixture);
    rdb_fixture_fill(&fixture);
    memory_disk_init(&memory);
    const struct rdb_writer_plan plan = {.has_checksum = true};
    ck_assert_int_eq(rdb_fixture_save(fixture.store, &memory.disk, &plan), 0);
    struct span file = buffer_span(memory_disk_content(&memory, "dump.rdb"));
    size_t length = file.length - sizeof(uint64_t);
    ck_assert_uint_eq(bytes_load_u64(file.bytes + length),
                      crc64_add(CRC64_EMPTY, span_of(file.bytes, length)));
    store_fixture_close(&fixture);
    memory_disk_free(&memory);
}
END_TEST

START_TEST(rdb_file_keeps_the_access_data_that_the_policy_looks_at) {
    static const struct {
        enum maxmemory_policy policy;
        const char *line;
    } policies[] = {
        {MAXMEMORY_NO_EVICTION, "0 key: type 0, 7 bytes, expiry -1, idle -1, frequency -1\n"},
        {MAXMEMORY_ALLKEYS_LRU, "0 key: type 0, 7 bytes, expiry -1, idle 100, frequency -1\n"},
        {MAXMEMORY_ALLKEYS_LFU, "0 key: type 0, 7 bytes, expiry -1, idle -1, frequency 77\n"},
    };
    for (size_t i = 0; i < UNIT_COUNT(policies); i++) {
        struct store_fixture fixture;
        struct memory_disk memory;
        rdb_fixture_open(&fixture);
        memory_disk_init(&memory);
        fixture.options.maxmemory_policy = policies[i].policy;
        store_fixture_put(&fixture, 0, "key", ENTRY_NO_EXPIRY);
        entry_set_access(store_fixture_entry(&fixture, 0, "key"),
                         policies[i].policy == MAXMEMORY_ALLKEYS_LFU
                             ? store_access_frequency(fixture.store, 77)
                             : store_access_idle(fixture.store, 100));
        ck_assert_int_eq(
            rdb_fixture_save(fixture.store, &memory.disk, &(struct rdb_writer_plan){0}), 0);
        struct rdb_collector collector = {0};
        ck_assert_int_eq(rdb_fixture_load(&collector, &memory.disk, NULL), RDB_READ_DONE);
        ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.lines), policies[i].line));
        rdb_collector_free(&collector);
        store_fixture_close(&fixture);
        memory_disk_free(&memory);
    }
}
END_TEST

START_TEST(rdb_file_is_the_old_one_until_the_new_one_is_safe) {
    const struct rdb_writer_plan plan = {.has_checksum = true};
    struct store_fixture fixture;
    rdb_fixture_open(&fixture);
    store_fixture_put(&fixture, 0, "key", ENTRY_NO_EXPIRY);
    int failures = 0;
    for (int fail_at = 1;; fail_at++) {
        struct memory_disk memory;
        memory_disk_init(&memory);
        ck_assert_int_eq(rdb_fixture_save(fixture.store, &memory.disk, &plan), 0);
        memory.calls = 0;
        memory.fail_at = fail_at;
        memory.fail_error = ENOSPC;
        int error = rdb_fixture_save(fixture.store, &memory.disk, &plan);
        ck_assert(error == 0 || error == -ENOSPC);
        memory.fail_at = 0;
        struct rdb_collector collector = {0};
        ck_assert_int_eq(rdb_fixture_load(&collector, &memory.disk, NULL), RDB_READ_DONE);
        ck_assert_uint_eq(collector.keys, 1);
        rdb_collector_free(&collector);
        memory_disk_free(&memory);
        if (error == 0) {
            break;
        }
        failures++;
    }
    ck_assert_int_ge(failures, 4);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(rdb_file_with_more_behind_its_end_is_damaged_unless_that_is_asked_for) {
    struct store_fixture fixture;
    struct memory_disk memory;
    rdb_fixture_open(&fixture);
    memory_disk_init(&memory);
    store_fixture_put(&fixture, 0, "key", ENTRY_NO_EXPIRY);
    ck_assert_int_eq(rdb_fixture_save(fixture.store, &memory.disk, &(struct rdb_writer_plan){0}),
                     0);
    struct memory_file *file = memory_disk_find(&memory, "dump.rdb");
    uint64_t whole = file->content.length;
    buffer_append_string(&file->content, "*1\r\n");
    struct rdb_collector collector = {0};
    uint64_t length;
    ck_assert_int_eq(rdb_fixture_load(&collector, &memory.disk, &length), RDB_READ_DONE);
    ck_assert_uint_eq(length, whole);
    ck_assert_int_eq(rdb_fixture_load(&collector, &memory.disk, NULL), RDB_READ_DAMAGED);
    ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.report), "found 4 bytes"));
    rdb_collector_free(&collector);
    store_fixture_close(&fixture);
    memory_disk_free(&memory);
}
END_TEST

START_TEST(rdb_file_is_synced_on_the_way_so_that_no_sync_is_long) {
    enum { PIECE_BYTES = 1024 * 1024, PIECES = 70, SYNCS_EXPECTED = 2 };
    struct memory_disk memory;
    struct rdb_file file;
    memory_disk_init(&memory);
    ck_assert_int_eq(rdb_file_open(&file, &memory.disk, "temporary.rdb"), 0);
    struct rdb_target target = rdb_file_target(&file);
    char *piece = memory_alloc_zeroed(PIECE_BYTES);
    for (int i = 0; i < PIECES; i++) {
        ck_assert_int_eq(target.write(target.context, span_of(piece, PIECE_BYTES)), 0);
    }
    ck_assert_int_eq(memory.syncs, SYNCS_EXPECTED);
    memory_free(piece);
    rdb_file_abandon(&file);
    memory_disk_free(&memory);
}
END_TEST

START_TEST(rdb_file_that_is_not_there_is_reported) {
    struct memory_disk memory;
    memory_disk_init(&memory);
    struct rdb_collector collector = {0};
    ck_assert_int_eq(rdb_fixture_load(&collector, &memory.disk, NULL), RDB_READ_FAILED);
    ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.report), "cannot open"));
    rdb_collector_free(&collector);
    memory_disk_free(&memory);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        rdb_file_that_was_saved_loads_the_same,
        rdb_file_ends_with_the_checksum_of_all_before,
        rdb_file_keeps_the_access_data_that_the_policy_looks_at,
        rdb_file_is_the_old_one_until_the_new_one_is_safe,
        rdb_file_with_more_behind_its_end_is_damaged_unless_that_is_asked_for,
        rdb_file_is_synced_on_the_way_so_that_no_sync_is_long,
        rdb_file_that_is_not_there_is_reported,
    };
    return unit_run(unit_suite("rdb_file", tests, UNIT_COUNT(tests)));
}
