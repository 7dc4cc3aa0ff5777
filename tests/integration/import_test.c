/* The append only file of a real redis-server, imported: the same data as its RDB file. */
#include "execute/import.h"

#include "commands/bitmap.h"
#include "commands/dump.h"
#include "commands/expire.h"
#include "commands/generic.h"
#include "commands/hash.h"
#include "commands/keyspace_commands.h"
#include "commands/string.h"

#include "tests/integration/redis.h"
#include "tests/unit/commands/call_harness.h"

static const struct command *const families[] = {
    string_commands,  string_part_commands, string_number_commands, bitmap_commands, hash_commands,
    generic_commands, expire_commands,      keyspace_commands,      dump_commands,   NULL};

#define NO_EXPIRY "4000000000000"

static void run_lines(const struct redis *redis, const char *const *lines, size_t count) {
    for (size_t i = 0; i < count; i++) {
        redisReply *reply = redisCommand(redis->client, lines[i]);
        ck_assert_ptr_nonnull(reply);
        ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s answers %s", lines[i], reply->str);
        freeReplyObject(reply);
    }
}

/* Everything that a redis-server rewrites on its way into the file is here. */
static void fill(const struct redis *redis) {
    static const char *const before[] = {
        "SET a 1",
        "SET expires v EX 100000",
        "SETEX other 100000 v",
        "HSET h f v g 12",
        "SET gone v PX 1",
        "SETRANGE range 100000 x",
        "SELECT 3",
        "SET c 3",
        "SELECT 0",
    };
    static const char *const after[] = {
        "INCRBYFLOAT float 1.5",
        "HINCRBYFLOAT h x 0.25",
        "GETEX a PXAT " NO_EXPIRY,
        "MULTI",
        "SET b 2",
        "SELECT 3",
        "INCR c",
        "SELECT 0",
        "HDEL h f",
        "EXEC",
        "SETBIT bits 777 1",
        "APPEND s a-text-so-long-that-it-is-raw-for-whoever-reads-it",
        "RENAME s renamed",
        "COPY renamed copy",
        "MOVE copy 3",
        "GETDEL other",
        "EXPIRE b 100000",
        "PERSIST expires",
        "SET tmp 1",
        "UNLINK tmp",
        "SELECT 5",
        "SET d 5",
        "SWAPDB 5 6",
        "SET e 5",
        "FLUSHDB",
        "SELECT 0",
    };
    run_lines(redis, before, UNIT_COUNT(before));
    redis_expect(redis, "Background append only file rewriting started", "BGREWRITEAOF");
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        redisReply *reply = redisCommand(redis->client, "INFO persistence");
        bool is_done = strstr(reply->str, "aof_rewrite_in_progress:0") != NULL &&
                       strstr(reply->str, "aof_rewrite_scheduled:0") != NULL;
        freeReplyObject(reply);
        if (is_done) {
            break;
        }
        server_sleep_ms(10);
    }
    run_lines(redis, after, UNIT_COUNT(after));
}

struct imported {
    struct call_harness harness;
    struct import_result result;
};

static void import(struct imported *imported, const char *folder, const char *name) {
    struct command_table *commands = command_table_new(families, UNIT_COUNT(families) - 1);
    struct buffer report = BUFFER_EMPTY;
    struct disk disk;
    ck_assert_int_eq(disk_open(&disk, folder), 0);
    call_harness_open(&imported->harness, families, 3);
    struct import_plan plan = {
        .environment = &imported->harness.environment,
        .commands = commands,
        .disk = &disk,
    };
    enum import_status status = strstr(name, ".rdb") != NULL
                                    ? import_rdb(&plan, name, &imported->result, &report)
                                    : import_aof(&plan, name, &imported->result, &report);
    ck_assert_msg(status == IMPORT_DONE, "%.*s", (int)report.length, report.bytes);
    ck_assert_uint_eq(imported->result.failed_commands, 0);
    disk_close(&disk);
    buffer_free(&report);
    command_table_free(commands);
}

/* The harness compares its keyspace with its twin: one of each import becomes the other's twin. */
static void expect_same(struct imported *one, struct imported *other) {
    struct keyspace *twin = one->harness.twin;
    one->harness.twin = other->harness.keyspace;
    const char *difference = call_harness_difference(&one->harness);
    one->harness.twin = twin;
    ck_assert_msg(difference == NULL, "%s", difference);
}

static void go_round(const char *preamble) {
    struct redis redis;
    redis_make_folder(&redis);
    redis_start(&redis, "--appendonly yes --appendfsync always --save 3600 1000", preamble, NULL);
    fill(&redis);
    redis_expect_number(&redis, 0, "EXISTS gone");
    redis_expect(&redis, "OK", "SAVE");
    redis_stop(&redis);
    char path[128];
    snprintf(path, sizeof(path), "%s/appendonlydir", redis.folder);
    struct imported from_rdb;
    struct imported from_aof;
    import(&from_rdb, redis.folder, "dump.rdb");
    import(&from_aof, path, "appendonly.aof.manifest");
    ck_assert_uint_gt(from_aof.result.commands, 10);
    ck_assert_uint_gt(call_harness_keys(&from_aof.harness), 8);
    expect_same(&from_rdb, &from_aof);
    call_harness_close(&from_rdb.harness);
    call_harness_close(&from_aof.harness);
    redis_remove_folder(&redis);
}

START_TEST(append_only_file_with_an_rdb_file_for_its_base_is_imported) {
    go_round("--aof-use-rdb-preamble yes");
}
END_TEST

START_TEST(append_only_file_of_commands_alone_is_imported) {
    go_round("--aof-use-rdb-preamble no");
}
END_TEST

#define IMPORTED_KEYS 200000

/* Starts ours in the folder of a redis-server that has ended; does not wait. */
static struct server spawn_in(const struct redis *redis, const char *option, ...) {
    struct server server = {.port = server_free_port()};
    snprintf(server.folder, sizeof(server.folder), "%s", redis->folder);
    va_list more;
    va_start(more, option);
    server_spawn(&server, option, more);
    va_end(more);
    return server;
}

static redisContext *connect_early(const struct server *server) {
    redisContext *client = server_try_connect(server);
    for (int i = 0; client->err != 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 1000);
        redisFree(client);
        server_sleep_ms(1);
        client = server_try_connect(server);
    }
    return client;
}

/* Of INFO's reply; -1: without that field. */
static long long field_in(const redisReply *info, const char *name) {
    ck_assert_ptr_nonnull(info);
    const char *at = strstr(info->str, name);
    return at == NULL ? -1 : strtoll(at + strlen(name), NULL, 10);
}

static long long field_of(redisContext *client, const char *name) {
    redisReply *info = redisCommand(client, "INFO persistence");
    long long number = field_in(info, name);
    freeReplyObject(info);
    return number;
}

static void make_many(struct redis *redis, const char *how) {
    redis_make_folder(redis);
    redis_start(redis, "--save 3600 1000 --enable-debug-command yes", how, NULL);
    redis_expect(redis, "OK", "DEBUG SET-ACTIVE-EXPIRE 0");
    redis_expect(redis, "OK", "SET gone v PX 1");
    redis_expect(redis, "OK", "DEBUG POPULATE 200000 key 100");
}

/* As any loading: with progress, in steps between which clients are answered. */
START_TEST(clients_see_the_import_of_a_file_as_they_see_any_loading) {
    struct redis redis;
    make_many(&redis, "--appendonly no");
    redis_expect(&redis, "OK", "SAVE");
    redis_stop(&redis);
    struct server server = spawn_in(&redis, server_worker_options[_i], "--appendonly yes", NULL);
    redisContext *client = connect_early(&server);
    long long answers = 0;
    long long done = 0;
    while (field_of(client, "\nloading:") == 1) {
        redisReply *info = redisCommand(client, "INFO persistence");
        long long total = field_in(info, "\nloading_total_bytes:");
        long long loaded = field_in(info, "\nloading_loaded_bytes:");
        freeReplyObject(info);
        ck_assert_int_le(loaded, total);
        ck_assert(loaded >= done || loaded == -1);
        answers += loaded > 0 && loaded < total;
        done = loaded;
    }
    ck_assert_int_gt(answers, 0);
    ck_assert_int_eq(field_of(client, "\nrdb_last_load_keys_loaded:"), IMPORTED_KEYS);
    ck_assert_int_eq(field_of(client, "\nrdb_last_load_keys_expired:"), 1);
    EXPECT(client, ":200000", "DBSIZE");
    redisFree(client);
    server_kill(&server);
    redis_remove_folder(&redis);
}
END_TEST

START_TEST(server_that_is_asked_to_end_does_not_wait_for_an_import) {
    struct redis redis;
    make_many(&redis, "--appendonly no");
    redis_expect(&redis, "OK", "SAVE");
    redis_stop(&redis);
    struct server server = spawn_in(&redis, server_worker_options[_i], "--appendonly yes", NULL);
    redisContext *client = connect_early(&server);
    while (field_of(client, "\nloading_loaded_bytes:") <= 0) {
        ck_assert_int_eq(field_of(client, "\nloading:"), 1);
    }
    redisFree(client);
    kill(server.pid, SIGTERM);
    int status = 0;
    ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    server_expect_log(&server, "Asked to end while the data is loaded.");
    ck_assert(server_has(&server, "dump.rdb"));
    ck_assert(!server_has(&server, "dump.snapshot"));
    redis_remove_folder(&redis);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        append_only_file_with_an_rdb_file_for_its_base_is_imported,
        append_only_file_of_commands_alone_is_imported,
    };
    const TTest *starts[] = {
        clients_see_the_import_of_a_file_as_they_see_any_loading,
        server_that_is_asked_to_end_does_not_wait_for_an_import,
    };
    Suite *suite = unit_suite("import", tests, UNIT_COUNT(tests));
    TCase *of_starts = tcase_create("starts");
    tcase_set_timeout(of_starts, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < UNIT_COUNT(starts); i++) {
        tcase_add_loop_test(of_starts, starts[i], SERVER_WORKER_OPTIONS_FROM,
                            (int)UNIT_COUNT(server_worker_options));
    }
    suite_add_tcase(suite, of_starts);
    return unit_run(suite);
}
