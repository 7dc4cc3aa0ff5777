/* RDB files to and from the real redis-server. */
#include "tests/unit/snapshot/rdb_fixture.h"

#include "tests/integration/redis.h"

/* The store's keys, through a file of ours, redis-server, and a file of its. */
static void go_round(bool compresses, const char *compression) {
    struct store_fixture fixture;
    struct store_fixture copy;
    rdb_fixture_open(&fixture);
    rdb_fixture_open(&copy);
    rdb_fixture_fill(&fixture);
    struct redis redis;
    redis_make_folder(&redis);
    struct disk disk;
    ck_assert_int_eq(disk_open(&disk, redis.folder), 0);
    const struct rdb_writer_plan plan = {.compresses = compresses, .has_checksum = true};
    ck_assert_int_eq(rdb_fixture_save(fixture.store, &disk, &plan), 0);
    redis_start(&redis, "--hash-max-listpack-entries 8", compression, "--appendonly no", NULL);
    redis_expect_number(&redis, (long long)store_keys(fixture.store, 0), "DBSIZE");
    redis_expect(&redis, "7", "HGET hash:10 field:7");
    redis_expect(&redis, "listpack", "OBJECT ENCODING hash:0");
    redis_expect(&redis, "hashtable", "OBJECT ENCODING hash:10");
    redis_expect(&redis, "1002", "GET key:1002");
    redis_expect_number(&redis, RDB_FIXTURE_EXPIRY_MS + 1005, "PEXPIRETIME key:1005");
    redis_expect(&redis, "OK", "SELECT 3");
    redis_expect_number(&redis, (long long)store_keys(fixture.store, 3), "DBSIZE");
    redis_expect_number(&redis, 1100 * 30, "STRLEN key:1100");
    redis_expect(&redis, "OK", "SAVE");
    struct rdb_collector collector = {.fixture = &copy};
    enum rdb_read_status status = rdb_fixture_load(&collector, &disk, NULL);
    ck_assert_msg(status == RDB_READ_DONE, "%s", rdb_collector_text(&collector.report));
    rdb_fixture_expect_same(fixture.store, &copy);
    rdb_collector_free(&collector);
    redis_stop(&redis);
    disk_close(&disk);
    redis_remove_folder(&redis);
    store_fixture_close(&fixture);
    store_fixture_close(&copy);
}

START_TEST(redis_server_loads_a_file_of_ours_and_we_load_its) {
    go_round(true, "--rdbcompression yes");
}
END_TEST

START_TEST(redis_server_loads_a_file_of_ours_and_we_load_its_without_compression) {
    go_round(false, "--rdbcompression no");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        redis_server_loads_a_file_of_ours_and_we_load_its,
        redis_server_loads_a_file_of_ours_and_we_load_its_without_compression,
    };
    return unit_run(unit_suite("rdb", tests, UNIT_COUNT(tests)));
}
