/* RDB files to and from the real redis-server, which the compatibility checks need too. */
#include "tests/unit/snapshot/rdb_fixture.h"

#include "tests/integration/server.h"

#define DUMP_NAME "dump.rdb"

struct redis {
    pid_t pid;
    char folder[64];
    redisContext *client;
};

static void connect_to(struct redis *redis) {
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", redis->folder);
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        redis->client = redisConnectUnix(path);
        redisReply *reply = redis->client->err == 0 ? redisCommand(redis->client, "PING") : NULL;
        bool is_ready = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        if (is_ready) {
            return;
        }
        redisFree(redis->client);
        ck_assert_msg(waitpid(redis->pid, NULL, WNOHANG) == 0,
                      "redis-server ended at its start: does it refuse the file?");
        server_sleep_ms(10);
    }
    ck_abort_msg("redis-server does not answer");
}

/* Starts redis-server on what is in the folder. compression: "yes" or "no". */
static void start(struct redis *redis, const char *compression) {
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", redis->folder);
    redis->pid = fork();
    ck_assert_int_ge(redis->pid, 0);
    if (redis->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--dir",
               redis->folder, "--save", "", "--hash-max-listpack-entries", "8", "--rdbcompression",
               compression, "--logfile", "log", (char *)NULL);
        _exit(127);
    }
    connect_to(redis);
}

static void stop(struct redis *redis) {
    static const char *const names[] = {DUMP_NAME, "log", "socket"};
    redisFree(redis->client);
    kill(redis->pid, SIGKILL);
    ck_assert_int_eq(waitpid(redis->pid, NULL, 0), redis->pid);
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", redis->folder, names[i]);
        unlink(path);
    }
    ck_assert_int_eq(rmdir(redis->folder), 0);
}

static void expect(const struct redis *redis, const char *text, const char *command) {
    redisReply *reply = redisCommand(redis->client, command);
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->str != NULL && strcmp(reply->str, text) == 0, "%s answers %s", command,
                  reply->str == NULL ? "no text" : reply->str);
    freeReplyObject(reply);
}

static void expect_number(const struct redis *redis, long long number, const char *command) {
    redisReply *reply = redisCommand(redis->client, command);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->integer, number);
    freeReplyObject(reply);
}

/* The store's keys, through a file of ours, redis-server, and a file of its. */
static void go_round(bool compresses, const char *compression) {
    struct store_fixture fixture;
    struct store_fixture copy;
    rdb_fixture_open(&fixture);
    rdb_fixture_open(&copy);
    rdb_fixture_fill(&fixture);
    struct redis redis = {.folder = "/tmp/tarn-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(redis.folder));
    struct disk disk;
    ck_assert_int_eq(disk_open(&disk, redis.folder), 0);
    const struct rdb_writer_plan plan = {.compresses = compresses, .has_checksum = true};
    ck_assert_int_eq(rdb_fixture_save(fixture.store, &disk, &plan), 0);
    start(&redis, compression);
    expect_number(&redis, (long long)store_keys(fixture.store, 0), "DBSIZE");
    expect(&redis, "7", "HGET hash:10 field:7");
    expect(&redis, "listpack", "OBJECT ENCODING hash:0");
    expect(&redis, "hashtable", "OBJECT ENCODING hash:10");
    expect(&redis, "1002", "GET key:1002");
    expect_number(&redis, RDB_FIXTURE_EXPIRY_MS + 1005, "PEXPIRETIME key:1005");
    expect(&redis, "OK", "SELECT 3");
    expect_number(&redis, (long long)store_keys(fixture.store, 3), "DBSIZE");
    expect_number(&redis, 1100 * 30, "STRLEN key:1100");
    expect(&redis, "OK", "SAVE");
    struct rdb_collector collector = {.fixture = &copy};
    enum rdb_read_status status = rdb_fixture_load(&collector, &disk, NULL);
    ck_assert_msg(status == RDB_READ_DONE, "%s", rdb_collector_text(&collector.report));
    rdb_fixture_expect_same(fixture.store, &copy);
    rdb_collector_free(&collector);
    stop(&redis);
    disk_close(&disk);
    store_fixture_close(&fixture);
    store_fixture_close(&copy);
}

START_TEST(redis_server_loads_a_file_of_ours_and_we_load_its) {
    go_round(true, "yes");
}
END_TEST

START_TEST(redis_server_loads_a_file_of_ours_and_we_load_its_without_compression) {
    go_round(false, "no");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        redis_server_loads_a_file_of_ours_and_we_load_its,
        redis_server_loads_a_file_of_ours_and_we_load_its_without_compression,
    };
    return unit_run(unit_suite("rdb", tests, UNIT_COUNT(tests)));
}
