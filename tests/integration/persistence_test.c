/* What clients see of persistence: INFO, CONFIG SET of the log's options, SAVE and its like. */
#include "tests/integration/server.h"

#include <sys/stat.h>

static void expect_field(redisContext *client, const char *field) {
    char line[128];
    snprintf(line, sizeof(line), "\r\n%s\r\n", field);
    EXPECT_PART(client, line, "INFO persistence");
}

static void wait_for_field(redisContext *client, const char *field) {
    char line[128];
    snprintf(line, sizeof(line), "\r\n%s\r\n", field);
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        struct reply_text text = client_ask(client, "INFO persistence");
        if (strstr(text.bytes, line) != NULL) {
            return;
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("INFO never says %s", field);
}

START_TEST(a_log_that_is_switched_on_keeps_what_was_there_and_what_comes) {
    struct server server = server_start(server_worker_options[_i], "--appendonly no --save", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET before 1");
    expect_field(client, "aof_enabled:0");
    EXPECT(client, "+OK", "CONFIG SET appendonly yes");
    wait_for_field(client, "aof_rewrites:1");
    expect_field(client, "aof_enabled:1");
    EXPECT(client, "+OK", "SET behind 2");
    expect_field(client, "tarn_log_appends:1");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    client = server_connect(&server);
    EXPECT(client, "[1 2]", "MGET before behind");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_log_that_is_switched_off_is_put_away) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET key 1");
    EXPECT(client, "+OK", "CONFIG SET appendonly no");
    for (int i = 0; server_has(&server, "log"); i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    expect_field(client, "aof_enabled:0");
    EXPECT(client, "1", "GET key");
    EXPECT(client, "+OK", "SET key 2");
    ck_assert(server_has(&server, "log.old"));
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* What the log holds would be in no snapshot: it stays until one is taken. */
START_TEST(a_log_that_cannot_be_switched_off_stays_and_goes_later) {
    struct server server = server_start(server_worker_options[_i], "--save", NULL);
    redisContext *client = server_connect(&server);
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server.folder);
    EXPECT(client, "+OK", "SET key 1");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    EXPECT(client, "+OK", "CONFIG SET appendonly no");
    server_sleep_ms(300);
    ck_assert(server_has(&server, "log"));
    ck_assert_int_eq(rmdir(path), 0);
    for (int i = 0; server_has(&server, "log"); i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly no --save", NULL);
    client = server_connect(&server);
    EXPECT(client, "1", "GET key");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* With always, each write waits for its sync; with no, none is done. */
START_TEST(appendfsync_changes_how_the_log_syncs_from_then_on) {
    struct server server = server_start("--appendfsync no", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET key 1");
    expect_field(client, "tarn_log_syncs:0");
    EXPECT(client, "+OK", "CONFIG SET appendfsync always");
    EXPECT(client, "+OK", "SET key 2");
    expect_field(client, "tarn_log_unsynced_bytes:0");
    EXPECT(client, "+OK", "CONFIG SET appendfsync no");
    EXPECT(client, "+OK", "SET key 3");
    struct reply_text text = client_ask(client, "INFO persistence");
    ck_assert_ptr_null(strstr(text.bytes, "tarn_log_unsynced_bytes:0"));
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(changes_are_counted_since_the_last_save) {
    struct server server = server_start(server_worker_options[_i], "--save", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET a 1");
    EXPECT(client, "+OK", "SET b 1 PX 1");
    EXPECT(client, ":2", "HSET h f 1 g 2");
    server_sleep_ms(5);
    EXPECT(client, "nil", "GET b");
    struct reply_text text = client_ask(client, "INFO persistence");
    const char *found = strstr(text.bytes, "rdb_changes_since_last_save:");
    ck_assert_ptr_nonnull(found);
    /* The expiry counts too, once it took place. */
    ck_assert_int_ge(atoi(found + strlen("rdb_changes_since_last_save:")), 4);
    EXPECT(client, "+OK", "SAVE");
    expect_field(client, "rdb_changes_since_last_save:0");
    expect_field(client, "rdb_saves:1");
    expect_field(client, "aof_rewrites:0");
    expect_field(client, "rdb_last_bgsave_status:ok");
    EXPECT(client, "+OK", "SET a 2");
    expect_field(client, "rdb_changes_since_last_save:1");
    EXPECT(client, "+Background append only file rewriting started", "BGREWRITEAOF");
    wait_for_field(client, "aof_rewrites:1");
    expect_field(client, "rdb_saves:1");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    client = server_connect(&server);
    expect_field(client, "rdb_last_load_keys_loaded:2");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* A folder stands where the file would be renamed to. */
START_TEST(a_save_that_fails_is_told_and_refuses_writes_until_one_succeeds) {
    struct server server = server_start("--save 3600 1000", NULL);
    redisContext *client = server_connect(&server);
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server.folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    EXPECT(client, "+OK", "SET key 1");
    EXPECT(client, "-ERR", "SAVE");
    expect_field(client, "rdb_last_bgsave_status:err");
    for (int i = 0; strncmp(client_ask(client, "SET key 2").bytes, "-MISCONF Redis", 14) != 0;
         i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    EXPECT(client, ":1", "EXISTS key");
    ck_assert_int_eq(rmdir(path), 0);
    EXPECT(client, "+OK", "SAVE");
    expect_field(client, "rdb_last_bgsave_status:ok");
    for (int i = 0; strcmp(client_ask(client, "SET key 2").bytes, "+OK") != 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* A copy lets nothing of the log go, so it does not end its growth; what the growth asks for does,
 * whatever copies are called. */
START_TEST(a_copy_of_the_data_does_not_end_the_growth_of_the_log) {
    struct server server = server_start(server_worker_options[_i],
                                        "--auto-aof-rewrite-min-size 1mb --save "
                                        "--enable-protected-configs yes",
                                        NULL);
    redisContext *client = server_connect(&server);
    ck_assert_str_eq(client_ask_with(client, "SET key", 900000).bytes, "+OK");
    EXPECT(client, "+OK", "CONFIG SET dbfilename copy.rdb");
    EXPECT(client, "+Background saving started", "BGSAVE");
    wait_for_field(client, "rdb_saves:1");
    expect_field(client, "aof_rewrites:0");
    ck_assert_str_eq(client_ask_with(client, "SET key", 200000).bytes, "+OK");
    wait_for_field(client, "aof_rewrites:1");
    wait_for_field(client, "aof_rewrite_in_progress:0");
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server.folder);
    ck_assert_int_eq(access(path, F_OK), 0);
    snprintf(path, sizeof(path), "%s/copy.snapshot", server.folder);
    ck_assert_int_eq(unlink(path), 0);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* A data set that needs several chunks, with all that values may be. */
static void fill(redisContext *client) {
    EXPECT(client, "+OK", "DEBUG POPULATE 5000 key 300");
    EXPECT(client, ":5", "APPEND raw 12345");
    EXPECT(client, "+OK", "SET number 12345 PX 10000000");
    EXPECT(client, ":3", "HSET small a 1 b 2 c 3");
    ck_assert_str_eq(client_ask_with(client, "HSET wide field", 5000).bytes, ":1");
    ck_assert_str_eq(client_ask_with(client, "SET large", 300000).bytes, "+OK");
    for (int i = 0; i < 1000; i++) {
        char command[64];
        snprintf(command, sizeof(command), "HSET wide field%d %d", i, i);
        EXPECT(client, ":1", command);
    }
    EXPECT(client, "+OK", "SELECT 5");
    EXPECT(client, "+OK", "SET elsewhere 1");
    EXPECT(client, "+OK", "SELECT 0");
}

#define DEBUG_OPTIONS "--enable-debug-command yes --databases 8"

START_TEST(a_reload_changes_nothing_and_neither_does_a_restart) {
    struct server server = server_start(server_worker_options[_i], DEBUG_OPTIONS, NULL);
    redisContext *client = server_connect(&server);
    fill(client);
    struct reply_text digest = client_ask(client, "DEBUG DIGEST");
    EXPECT(client, "+OK", "DEBUG RELOAD");
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    EXPECT(client, ":5005", "DBSIZE");
    EXPECT(client, "+OK", "DEBUG LOADAOF");
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    EXPECT(client, "+Background saving started", "BGSAVE");
    EXPECT(client, "+OK", "DEBUG RELOAD");
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    EXPECT(client, ":4", "HSET small d 4 e 5 f 6 g 7");
    wait_for_field(client, "rdb_saves:1");
    digest = client_ask(client, "DEBUG DIGEST");
    EXPECT(client, "+OK", "DEBUG LOADAOF");
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], DEBUG_OPTIONS, NULL);
    client = server_connect(&server);
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* The log is where it was, whatever dir has become; and damage is found before anything goes. */
START_TEST(a_reload_of_the_log_checks_it_before_the_data_goes) {
    struct server server = server_start(server_worker_options[_i],
                                        DEBUG_OPTIONS " --enable-protected-configs yes", NULL);
    redisContext *client = server_connect(&server);
    fill(client);
    EXPECT(client, "+OK", "SAVE");
    EXPECT(client, "+OK", "SET behind 1");
    struct reply_text digest = client_ask(client, "DEBUG DIGEST");
    EXPECT(client, "+OK", "CONFIG SET dir /tmp");
    EXPECT(client, "+OK", "DEBUG LOADAOF");
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server.folder);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 20000, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite("damaged", 7, 1, file), 1);
    ck_assert_int_eq(fclose(file), 0);
    EXPECT(client, "-ERR Error trying to load the log, check server logs.", "DEBUG LOADAOF");
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    redisFree(client);
    server_kill(&server);
    server_remove_folder(server.folder);
}
END_TEST

START_TEST(a_reload_of_the_last_snapshot_is_what_a_restart_finds) {
    struct server server = server_start(server_worker_options[_i], DEBUG_OPTIONS, NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET key saved");
    EXPECT(client, "+OK", "SAVE");
    EXPECT(client, "+OK", "SET key lost");
    EXPECT(client, ":1", "HSET lost f v");
    EXPECT(client, "+OK", "DEBUG RELOAD NOSAVE");
    EXPECT(client, "saved", "GET key");
    EXPECT(client, ":0", "EXISTS lost");
    EXPECT(client, "-ERR Error trying to load the RDB dump, check server logs.",
           "DEBUG RELOAD NOSAVE NOFLUSH");
    EXPECT(client, "+OK", "SET mine 1");
    EXPECT(client, "+OK", "DEBUG RELOAD NOSAVE NOFLUSH MERGE");
    EXPECT(client, "[saved 1]", "MGET key mine");
    EXPECT(client, ":1", "HSET lost g w");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], DEBUG_OPTIONS, NULL);
    client = server_connect(&server);
    EXPECT(client, "[saved 1]", "MGET key mine");
    EXPECT(client, "[g w]", "HGETALL lost");
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_log_that_is_switched_on_keeps_what_was_there_and_what_comes,
        a_log_that_is_switched_off_is_put_away,
        a_log_that_cannot_be_switched_off_stays_and_goes_later,
        appendfsync_changes_how_the_log_syncs_from_then_on,
        changes_are_counted_since_the_last_save,
        a_save_that_fails_is_told_and_refuses_writes_until_one_succeeds,
        a_copy_of_the_data_does_not_end_the_growth_of_the_log,
        a_reload_changes_nothing_and_neither_does_a_restart,
        a_reload_of_the_log_checks_it_before_the_data_goes,
        a_reload_of_the_last_snapshot_is_what_a_restart_finds,
    };
    return unit_run(server_suite("persistence", tests, UNIT_COUNT(tests)));
}
