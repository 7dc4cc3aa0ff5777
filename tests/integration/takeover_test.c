/* From redis-server to ours, and back: what one leaves behind the other begins with. */
#include "tests/integration/redis.h"

#include <sysexits.h>

#define OUTPUT_BYTES 4096

static const char *const lines[] = {
    "SET string hello",        "SET number 12345",   "SET expires v PXAT 4000000000000",
    "SETRANGE large 100000 x", "HSET hash f v n 12", "SELECT 3",
    "SET string world",        "SELECT 0",
};

static void fill(const struct redis *redis) {
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        redisReply *reply = redisCommand(redis->client, lines[i]);
        ck_assert_ptr_nonnull(reply);
        ck_assert_msg(reply->type != REDIS_REPLY_ERROR, "%s answers %s", lines[i], reply->str);
        freeReplyObject(reply);
    }
}

static void expect_data(const struct redis *redis) {
    redis_expect_number(redis, 5, "DBSIZE");
    redis_expect(redis, "hello", "GET string");
    redis_expect(redis, "int", "OBJECT ENCODING number");
    redis_expect_number(redis, 4000000000000, "PEXPIRETIME expires");
    redis_expect_number(redis, 100001, "STRLEN large");
    redis_expect(redis, "12", "HGET hash n");
    redis_expect(redis, "OK", "SELECT 3");
    redis_expect(redis, "world", "GET string");
    redis_expect(redis, "OK", "SELECT 0");
}

/* The same questions to a server of ours in redis-server's folder, which it leaves then. */
static void expect_data_of_ours(const struct redis *redis, const char *options) {
    char folder[128];
    snprintf(folder, sizeof(folder), "--dir %s", redis->folder);
    struct server server = server_start(folder, options, NULL);
    struct redis ours = {.client = server_connect(&server)};
    expect_data(&ours);
    redisFree(ours.client);
    server_stop(&server);
}

/* Runs tarn-snapshot in the folder; answers its exit code. */
static int run_tool(const struct redis *redis, const char *arguments, char *output) {
    const char *server = getenv("TARN_SERVER");
    ck_assert_msg(server != NULL, "TARN_SERVER names no program");
    const char *slash = strrchr(server, '/');
    ck_assert_ptr_nonnull(slash);
    char command[1024];
    snprintf(command, sizeof(command), "cd %s && %.*s/tarn-snapshot %s 2>&1", redis->folder,
             (int)(slash - server), server, arguments);
    FILE *pipe = popen(command, "r"); // NOLINT
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, OUTPUT_BYTES - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_tool(const struct redis *redis, const char *arguments, const char *says) {
    char output[OUTPUT_BYTES];
    int code = run_tool(redis, arguments, output);
    ck_assert_msg(code == EX_OK && strstr(output, says) != NULL, "%s: %d, %s", arguments, code,
                  output);
}

static void leave_behind(struct redis *redis, const char *options) {
    redis_make_folder(redis);
    redis_start(redis, options, NULL);
    fill(redis);
    redis_expect(redis, "OK", "SAVE");
    redis_stop(redis);
}

START_TEST(our_first_start_takes_over_an_rdb_file_and_the_second_what_we_saved) {
    struct redis redis;
    leave_behind(&redis, "--appendonly no");
    expect_data_of_ours(&redis, "--appendonly yes");
    expect_data_of_ours(&redis, "--appendonly yes");
    redis_remove_folder(&redis);
}
END_TEST

START_TEST(our_first_start_takes_over_an_append_only_file) {
    struct redis redis;
    leave_behind(&redis, "--appendonly yes --appendfsync always");
    /* The append only file is what counts then. */
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.rdb", redis.folder);
    ck_assert_int_eq(unlink(path), 0);
    expect_data_of_ours(&redis, "--appendonly yes");
    expect_data_of_ours(&redis, "--appendonly yes");
    redis_remove_folder(&redis);
}
END_TEST

START_TEST(tool_makes_a_snapshot_of_an_rdb_file_and_an_rdb_file_of_it) {
    struct redis redis;
    leave_behind(&redis, "--appendonly no");
    expect_tool(&redis, "import dump.rdb made.snapshot", "6 keys");
    expect_tool(&redis, "verify made.snapshot", "");
    expect_tool(&redis, "export made.snapshot made.rdb", "6 keys");
    redis_start(&redis, "--dbfilename made.rdb", NULL);
    expect_data(&redis);
    redis_stop(&redis);
    redis_remove_folder(&redis);
}
END_TEST

START_TEST(tool_makes_a_snapshot_of_an_append_only_file_with_which_we_start) {
    struct redis redis;
    leave_behind(&redis, "--appendonly yes --appendfsync always");
    expect_tool(&redis, "import appendonlydir/appendonly.aof.manifest mine.snapshot", "commands");
    expect_data_of_ours(&redis, "--appendonly no --dbfilename mine.rdb");
    redis_remove_folder(&redis);
}
END_TEST

START_TEST(tool_says_what_it_cannot_convert) {
    static const struct {
        const char *arguments;
        int code;
        const char *says;
    } runs[] = {
        {"import", EX_USAGE, "usage"},
        {"import dump.rdb", EX_USAGE, "usage"},
        {"import dump.rdb made.snapshot --databases 0", EX_USAGE, "usage"},
        {"export dump.rdb made.rdb --databases 5", EX_USAGE, "usage"},
        {"import missing.rdb made.snapshot", EX_NOINPUT, "missing.rdb"},
        {"import dump.rdb missing/made.snapshot", EX_CANTCREAT, "missing"},
        {"import dump.rdb made.snapshot --databases 3", EX_DATAERR, "not so many databases"},
        {"export dump.rdb made.rdb", EX_DATAERR, "dump.rdb"},
        {"import dump.rdb dump.rdb", EX_CANTCREAT, "there already"},
    };
    struct redis redis;
    leave_behind(&redis, "--appendonly no");
    for (size_t i = 0; i < UNIT_COUNT(runs); i++) {
        char output[OUTPUT_BYTES];
        int code = run_tool(&redis, runs[i].arguments, output);
        ck_assert_msg(code == runs[i].code && strstr(output, runs[i].says) != NULL, "%s: %d, %s",
                      runs[i].arguments, code, output);
    }
    redis_remove_folder(&redis);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        our_first_start_takes_over_an_rdb_file_and_the_second_what_we_saved,
        our_first_start_takes_over_an_append_only_file,
        tool_makes_a_snapshot_of_an_rdb_file_and_an_rdb_file_of_it,
        tool_makes_a_snapshot_of_an_append_only_file_with_which_we_start,
        tool_says_what_it_cannot_convert,
    };
    return unit_run(unit_suite("takeover", tests, UNIT_COUNT(tests)));
}
