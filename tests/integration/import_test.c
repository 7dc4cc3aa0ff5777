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

int main(void) {
    const TTest *tests[] = {
        append_only_file_with_an_rdb_file_for_its_base_is_imported,
        append_only_file_of_commands_alone_is_imported,
    };
    return unit_run(unit_suite("import", tests, UNIT_COUNT(tests)));
}
