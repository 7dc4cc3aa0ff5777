/* log-size-max: what the log and what is kept beside it may take on disk. */
#include "tests/integration/replicas.h"

#include <errno.h>
#include <sys/stat.h>

static void wait_for(redisContext *client, const char *name, long long least, long long most) {
    for (int i = 0; info(client, name) < least || info(client, name) > most; i++) {
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 100, "%s does not come to %lld to %lld", name,
                      least, most);
        server_sleep_ms(10);
    }
}

static void make_file(const struct server *server, const char *name, size_t length) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < length; i++) {
        fputc('x', file);
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void make_folder(const struct server *server, const char *name) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

/* No snapshot can be taken while there is a folder of its name. */
static void hinder_snapshots(const struct server *server) {
    char path[256];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server->folder);
    while (mkdir(path, 0700) != 0) {
        ck_assert_int_eq(errno, EEXIST);
        unlink(path);
    }
}

static void let_snapshots(const struct server *server) {
    char path[256];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server->folder);
    ck_assert_int_eq(rmdir(path), 0);
}

static void write_until_refused(redisContext *client) {
    struct reply_text text;
    do {
        text = client_ask_with(client, "SET key", 100000);
    } while (strcmp(text.bytes, "+OK") == 0);
    ck_assert_str_eq(text.bytes,
                     "-MISCONF The log and what is kept beside it have grown to log-size-max. "
                     "Writes are refused until a snapshot has made room.");
}

START_TEST(log_at_its_maximum_refuses_writes_until_a_snapshot_makes_room) {
    struct server server =
        server_start(server_worker_options[_i], "--log-size-max 2mb --save", NULL);
    redisContext *client = server_connect(&server);
    hinder_snapshots(&server);
    write_until_refused(client);
    ck_assert_int_le(info(client, "tarn_disk_log_bytes"), 2 << 20);
    ck_assert_int_eq(info(client, "tarn_disk_max_bytes"), 2 << 20);
    ck_assert_int_eq(info(client, "tarn_log_is_at_max"), 1);
    EXPECT(client, ":100000", "STRLEN key");
    EXPECT_PART(client, "errorstat_MISCONF:count=", "INFO errorstats");
    let_snapshots(&server);
    wait_for(client, "tarn_log_is_at_max", 0, 0);
    EXPECT(client, "+OK", "SET key value");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Nothing that was written behind it makes the segment that it stands in go. */
START_TEST(value_that_is_larger_than_the_maximum_is_let_go_by_itself) {
    struct server server =
        server_start(server_worker_options[_i], "--log-size-max 1mb --save", NULL);
    redisContext *client = server_connect(&server);
    ck_assert_str_eq(client_ask_with(client, "SET key", 3000000).bytes, "+OK");
    wait_for(client, "tarn_disk_log_bytes", 1, 1 << 20);
    wait_for(client, "tarn_log_is_at_max", 0, 0);
    EXPECT(client, "+OK", "SET another value");
    EXPECT(client, ":3000000", "STRLEN key");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--log-size-max 1mb --save", NULL);
    client = server_connect(&server);
    EXPECT(client, ":3000000", "STRLEN key");
    EXPECT(client, "value", "GET another");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(maximum_that_is_set_later_takes_room_back_that_was_set_aside) {
    struct server server = server_start(server_worker_options[_i], "--log-size-max 0", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET key value");
    wait_for(client, "tarn_disk_log_bytes", 64 << 20, 130 << 20);
    ck_assert_int_eq(info(client, "tarn_disk_max_bytes"), 0);
    EXPECT(client, "+OK", "CONFIG SET log-size-max 8mb");
    wait_for(client, "tarn_disk_log_bytes", 1, 2 << 20);
    wait_for(client, "tarn_log_is_at_max", 0, 0);
    EXPECT(client, "+OK", "SET key another");
    EXPECT(client, "+OK", "CONFIG SET log-size-max 1%");
    wait_for(client, "tarn_disk_max_bytes", 9 << 20, INT64_MAX);
    redisFree(client);
    server_stop(&server);
}
END_TEST

#define OLDEST "divergence/0000000001-0123456789abcdef-00000000000000000100.log"
#define OLDER "divergence/0000000002-0123456789abcdef-00000000000000000100.log"
#define YOUNGEST "divergence/0000000002-0123456789abcdef-00000000000000000200.log"

START_TEST(old_log_goes_first_and_then_the_oldest_divergence_files) {
    struct server server =
        server_start(server_worker_options[_i], "--log-size-max 4mb --save", NULL);
    redisContext *client = server_connect(&server);
    make_folder(&server, "divergence");
    make_folder(&server, "log.old");
    make_file(&server, "log.old/00000000000000000000-0000000001.log", 2 << 20);
    make_file(&server, OLDEST, 1 << 20);
    make_file(&server, OLDER, 1 << 20);
    make_file(&server, YOUNGEST, 100);
    /* What was put there by others is found with the next look. */
    EXPECT(client, "+OK", "CONFIG SET log-size-max 5mb");
    wait_for(client, "tarn_disk_divergence_bytes", (2 << 20) + 100, (2 << 20) + 100);
    wait_for(client, "tarn_disk_old_log_bytes", 0, 0);
    ck_assert(!server_has(&server, "log.old"));
    EXPECT(client, "+OK", "CONFIG SET log-size-max 2mb");
    wait_for(client, "tarn_disk_divergence_bytes", (1 << 20) + 100, (1 << 20) + 100);
    ck_assert(!server_has(&server, OLDEST));
    ck_assert(server_has(&server, OLDER));
    server_expect_log(&server, "Removed 0000000001-0123456789abcdef-00000000000000000100.log");
    EXPECT(client, "+OK", "SET key value");
    EXPECT(client, "+OK", "CONFIG SET divergence-size-max 1000");
    wait_for(client, "tarn_disk_divergence_bytes", 100, 100);
    ck_assert(server_has(&server, YOUNGEST));
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(replica_at_its_maximum_waits_and_goes_on_when_there_is_room) {
    struct server primary = server_start("--save", NULL);
    struct server replica = server_start(server_worker_options[_i],
                                         "--log-size-max 1mb --enable-debug-command yes", NULL);
    redisContext *to_primary = server_connect(&primary);
    redisContext *to_replica = server_connect(&replica);
    follow(to_replica, primary.port);
    wait_for_link(to_replica, true);
    hinder_snapshots(&replica);
    for (int i = 0; i < 30; i++) {
        ck_assert_str_eq(client_ask_with(to_primary, "SET key", 100000).bytes, "+OK");
    }
    EXPECT(to_primary, "+OK", "SET last 1");
    wait_for(to_replica, "tarn_log_is_at_max", 1, 1);
    ck_assert_int_le(info(to_replica, "tarn_disk_log_bytes"), 3 << 20);
    let_snapshots(&replica);
    EXPECT(to_replica, "+OK", "SAVE");
    expect_soon(to_replica, "1", "GET last");
    wait_for(to_replica, "tarn_disk_log_bytes", 1, 1 << 20);
    redisFree(to_primary);
    redisFree(to_replica);
    server_stop(&replica);
    server_stop(&primary);
}
END_TEST

/* A snapshot without appendonly has a log of its own for as long as it takes: the maximum holds for
 * it too, and what was put away is not the log's. */
START_TEST(without_appendonly_nothing_is_refused_once_there_is_no_log) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no --log-size-max 1mb", NULL);
    redisContext *client = server_connect(&server);
    ck_assert_str_eq(client_ask_with(client, "SET key", 3000000).bytes, "+OK");
    EXPECT(client, "+OK", "SAVE");
    wait_for(client, "tarn_disk_log_bytes", 0, 0);
    EXPECT(client, "+OK", "SET key value");
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        log_at_its_maximum_refuses_writes_until_a_snapshot_makes_room,
        value_that_is_larger_than_the_maximum_is_let_go_by_itself,
        maximum_that_is_set_later_takes_room_back_that_was_set_aside,
        old_log_goes_first_and_then_the_oldest_divergence_files,
        replica_at_its_maximum_waits_and_goes_on_when_there_is_room,
        without_appendonly_nothing_is_refused_once_there_is_no_log,
    };
    return unit_run(server_suite("disk", tests, UNIT_COUNT(tests)));
}
