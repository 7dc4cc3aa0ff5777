/* A primary and its replicas, which the test plays itself: see link.h. */
#include "tests/integration/link.h"

#define KEYS "5000"
#define WRITER_KEYS 5000
#define DEBUGGABLE "--enable-debug-command yes"

/* ---- write load ---- */

/* Sends so many SETs in one go, and reads their answers. */
static void write_some(redisContext *client, int first, int count, size_t length) {
    char *value = memory_alloc(length + 1);
    memset(value, 'a' + first % 26, length);
    value[length] = '\0';
    for (int i = 0; i < count; i++) {
        redisAppendCommand(client, "SET key:%d %s", (first + i) % WRITER_KEYS, value);
    }
    memory_free(value);
    for (int i = 0; i < count; i++) {
        redisReply *reply = NULL;
        ck_assert_int_eq(redisGetReply(client, (void **)&reply), REDIS_OK);
        ck_assert_msg(reply->type == REDIS_REPLY_STATUS, "%s", reply->str);
        freeReplyObject(reply);
    }
}

/* A process that writes until it is stopped. */
static pid_t writer_start(const struct server *server) {
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        redisContext *client = server_connect(server);
        for (int i = 0;; i += 16) {
            write_some(client, i, 16, 100);
        }
    }
    return pid;
}

static void writer_stop(pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- figures ---- */

static uint64_t info_number(redisContext *client, const char *section, const char *field) {
    redisReply *reply = redisCommand(client, "INFO %s", section);
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "\n%s:", field);
    const char *found = strstr(reply->str, wanted);
    ck_assert_msg(found != NULL, "INFO %s has no %s", section, field);
    uint64_t number = strtoull(found + strlen(wanted), NULL, 10);
    freeReplyObject(reply);
    return number;
}

static uint64_t memory_used(redisContext *client) {
    return info_number(client, "memory", "used_memory");
}

static void listen_for(struct replica *replica, int64_t ms) {
    for (int64_t until_ms = replica_now_ms() + ms; replica_now_ms() < until_ms;) {
        ck_assert_msg(replica_listen(replica, 10, SIZE_MAX), "the primary ended the link");
    }
}

/* ---- full and partial syncs ---- */

static void sync_under_load(const char *workers, const char *appendonly) {
    struct server server = server_start(DEBUGGABLE, workers, appendonly, NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 100");
    pid_t writer = writer_start(&server);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_listen_until(replica, FOLLOWER_LOG);
    ck_assert_int_eq(replica_figures(replica).mode, PLAN_RESET);
    ck_assert_uint_eq(replica_figures(replica).images, SLOTS);
    listen_for(replica, 100);
    writer_stop(writer);
    replica_catch_up(replica, client);
    /* One that comes back goes on where it was. */
    replica_disconnect(replica);
    write_some(client, 7, 100, 10);
    EXPECT(client, "+OK", "SWAPDB 0 3");
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    ck_assert_int_eq(replica_figures(replica).mode, PLAN_GO_ON);
    ck_assert_uint_eq(replica_figures(replica).images, 0);
    ck_assert_uint_eq(replica->resets, 1);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}

START_TEST(replica_is_synced_under_write_load_with_one_worker) {
    sync_under_load("--workers 1", "--appendonly yes");
}
END_TEST

START_TEST(replica_is_synced_under_write_load_with_three_workers) {
    sync_under_load("--workers 3", "--appendonly yes");
}
END_TEST

START_TEST(replica_is_synced_without_a_disk) {
    sync_under_load("--workers 3", "--appendonly no");
}
END_TEST

START_TEST(several_replicas_are_synced_at_once) {
    struct server server = server_start(DEBUGGABLE, "--workers 2", "--appendonly yes", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 100");
    struct replica *replicas[3];
    for (unsigned char i = 0; i < 3; i++) {
        replicas[i] = replica_new(i);
        replica_connect(replicas[i], &server);
    }
    bool is_done = false;
    while (!is_done) {
        is_done = true;
        for (int i = 0; i < 3; i++) {
            ck_assert(replica_listen(replicas[i], 10, SIZE_MAX));
            is_done = is_done && follower_stage(replicas[i]->follower) == FOLLOWER_LOG;
        }
    }
    write_some(client, 0, 100, 10);
    for (int i = 0; i < 3; i++) {
        replica_catch_up(replicas[i], client);
        ck_assert_uint_eq(replica_figures(replicas[i]).images, SLOTS);
        replica_free(replicas[i]);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

static void break_in_images(const char *appendonly) {
    struct server server = server_start(DEBUGGABLE, "--workers 2", appendonly, NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 2000");
    struct replica *replica = replica_new(1);
    uint64_t images = 0;
    for (int breaks = 0; breaks < 3; breaks++) {
        replica_connect(replica, &server);
        while (replica_figures(replica).images == 0) {
            ck_assert(replica_listen(replica, 50, (size_t)16 * 1024));
        }
        ck_assert_int_eq(replica_figures(replica).mode, breaks == 0 ? PLAN_RESET : PLAN_GO_ON);
        images += replica_figures(replica).images;
        write_some(client, breaks, 1000, 10);
        replica_disconnect(replica);
    }
    ck_assert_uint_lt(images, SLOTS);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    ck_assert_uint_eq(images + replica_figures(replica).images, SLOTS);
    ck_assert_uint_eq(replica->resets, 1);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}

START_TEST(sync_that_breaks_goes_on_at_the_slots_that_are_missing) {
    break_in_images("--appendonly yes");
}
END_TEST

START_TEST(sync_that_breaks_goes_on_without_a_disk_too) {
    break_in_images("--appendonly no");
}
END_TEST

START_TEST(replica_that_is_too_far_behind_takes_the_slots_that_have_changed) {
    struct server server = server_start(DEBUGGABLE, "--appendonly yes", "--log-segment-size 1mb",
                                        "--repl-absent-log-size 0", "--repl-backlog-size 1", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 100");
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    replica_disconnect(replica);
    for (int i = 0; i < 2; i++) {
        EXPECT(client, "+OK", "DEBUG POPULATE 10 {same}few 150000");
        EXPECT(client, "+OK", "DEBUG POPULATE 10 {other}few 150000");
        EXPECT(client, ":20",
               "DEL {same}few:0 {same}few:1 {same}few:2 {same}few:3 {same}few:4 "
               "{same}few:5 {same}few:6 {same}few:7 {same}few:8 {same}few:9 "
               "{other}few:0 {other}few:1 {other}few:2 {other}few:3 {other}few:4 "
               "{other}few:5 {other}few:6 {other}few:7 {other}few:8 {other}few:9");
    }
    EXPECT(client, "+OK", "SAVE");
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    ck_assert_int_eq(replica_figures(replica).mode, PLAN_CHANGED);
    ck_assert_uint_eq(replica_figures(replica).images, 2);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(log_is_kept_for_a_replica_that_is_away) {
    struct server server =
        server_start(DEBUGGABLE, "--appendonly yes", "--log-segment-size 1mb", NULL);
    redisContext *client = server_connect(&server);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    replica_disconnect(replica);
    for (int i = 0; i < 8; i++) {
        write_some(client, i, 1000, 1000);
    }
    EXPECT(client, "+OK", "SAVE");
    ck_assert_uint_gt(info_number(client, "persistence", "tarn_log_segments"), 4);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    ck_assert_int_eq(replica_figures(replica).mode, PLAN_GO_ON);
    /* It has all: the log goes without a snapshot's help. */
    while (info_number(client, "persistence", "tarn_log_segments") > 3) {
        ck_assert(replica_listen(replica, 50, SIZE_MAX));
    }
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* A start forgets who was there, not what was kept for it. */
START_TEST(log_is_kept_for_a_replica_that_is_away_while_the_primary_begins_anew) {
    static const char *const options[] = {DEBUGGABLE, "--appendonly yes", "--log-segment-size 1mb"};
    struct server server = server_start(options[0], options[1], options[2], NULL);
    redisContext *client = server_connect(&server);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    replica_disconnect(replica);
    for (int i = 0; i < 8; i++) {
        write_some(client, i, 1000, 1000);
    }
    EXPECT(client, "+OK", "SAVE");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, options[0], options[1], options[2], NULL);
    client = server_connect(&server);
    write_some(client, 8, 1000, 1000);
    EXPECT(client, "+OK", "SAVE");
    ck_assert_uint_gt(info_number(client, "persistence", "tarn_log_segments"), 4);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    ck_assert_int_eq(replica_figures(replica).mode, PLAN_GO_ON);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(log_is_not_kept_for_a_tool_that_read_it) {
    struct server server =
        server_start(DEBUGGABLE, "--appendonly yes", "--log-segment-size 1mb", NULL);
    redisContext *client = server_connect(&server);
    struct replica *tool = replica_new(0);
    replica_connect(tool, &server);
    replica_catch_up(tool, client);
    replica_disconnect(tool);
    for (int i = 0; i < 8; i++) {
        write_some(client, i, 1000, 1000);
    }
    EXPECT(client, "+OK", "SAVE");
    for (int i = 0; info_number(client, "persistence", "tarn_log_segments") > 3; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 20);
        server_sleep_ms(50);
    }
    replica_free(tool);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* ---- memory ---- */

START_TEST(replica_that_reads_nothing_takes_no_memory) {
    struct server server = server_start(DEBUGGABLE, "--workers 2", "--appendonly yes", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 4000");
    write_some(client, 0, 1000, 4000);
    uint64_t before = memory_used(client);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_say(replica);
    while (replica_figures(replica).images == 0) {
        ck_assert(replica_listen(replica, 50, (size_t)16 * 1024));
    }
    for (int i = 0; i < 15; i++) {
        write_some(client, 0, 1000, 4000);
    }
    ck_assert_uint_lt(memory_used(client), before + (uint64_t)32 * 1024 * 1024);
    replica_catch_up(replica, client);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(log_in_memory_has_a_bound) {
    struct server server = server_start(DEBUGGABLE, "--appendonly no",
                                        "--client-output-buffer-limit replica 8mb 0 0", NULL);
    redisContext *client = server_connect(&server);
    write_some(client, 0, WRITER_KEYS, 1000);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    uint64_t before = memory_used(client);
    for (int i = 0; i < 40; i++) {
        write_some(client, i, 1000, 1000);
    }
    /* What is too old goes once a tenth of a second. */
    for (int i = 0; memory_used(client) > before + (uint64_t)24 * 1024 * 1024; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    replica_expect_end(replica);
    server_expect_log(&server, "further behind than the log in memory may reach back");
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    ck_assert_int_eq(replica_figures(replica).mode, PLAN_CHANGED);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* ---- beside snapshots, and while the log is switched ---- */

START_TEST(snapshot_and_sync_are_taken_at_the_same_time) {
    struct server server = server_start(DEBUGGABLE, "--workers 2", "--appendonly yes", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 4000");
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    while (replica_figures(replica).images == 0) {
        ck_assert(replica_listen(replica, 50, (size_t)16 * 1024));
    }
    /* The replica's turn is over between rounds, whether it reads or not. */
    EXPECT(client, "+OK", "SAVE");
    EXPECT(client, "+Background saving started", "BGSAVE");
    replica_catch_up(replica, client);
    ck_assert_uint_eq(replica_figures(replica).images, SLOTS);
    while (info_number(client, "persistence", "rdb_bgsave_in_progress") != 0) {
        server_sleep_ms(10);
    }
    ck_assert_uint_eq(info_number(client, "persistence", "rdb_saves"), 2);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(snapshot_without_appendonly_uses_the_log_of_the_replicas) {
    struct server server = server_start(DEBUGGABLE, "--appendonly no", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 100");
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    pid_t writer = writer_start(&server);
    EXPECT(client, "+OK", "SAVE");
    listen_for(replica, 50);
    writer_stop(writer);
    replica_catch_up(replica, client);
    ck_assert_uint_eq(replica->resets, 1);
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* The link ends with the log, and the replica goes on in the next one. */
START_TEST(replica_goes_on_when_the_log_is_switched_on_and_off) {
    struct server server = server_start(DEBUGGABLE, "--appendonly no", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE " KEYS " filled 100");
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    static const char *const switches[] = {"CONFIG SET appendonly yes", "CONFIG SET appendonly no"};
    for (size_t i = 0; i < UNIT_COUNT(switches); i++) {
        EXPECT(client, "+OK", switches[i]);
        replica_expect_end(replica);
        write_some(client, 3, 10, 10);
        replica_connect(replica, &server);
        replica_catch_up(replica, client);
        ck_assert_int_ne(replica_figures(replica).mode, PLAN_RESET);
        ck_assert_uint_le(replica_figures(replica).images, 10);
    }
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* ---- the link ---- */

START_TEST(link_of_a_silent_replica_ends) {
    struct server server = server_start(DEBUGGABLE, "--appendonly yes", "--repl-timeout 1", NULL);
    redisContext *client = server_connect(&server);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    replica_catch_up(replica, client);
    char bytes[4096];
    while (recv(replica->fd, bytes, sizeof(bytes), 0) > 0) {
    }
    server_expect_log(&server, "nothing was heard of the replica");
    replica_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(bytes_that_are_no_message_end_the_link) {
    struct server server = server_start("--appendonly yes", NULL);
    struct replica *replica = replica_new(1);
    replica_connect(replica, &server);
    static const char noise[] = "*1\r\n$4\r\nPING\r\n and what else there may be";
    ck_assert_int_gt(send(replica->fd, noise, sizeof(noise), MSG_NOSIGNAL), 0);
    char bytes[4096];
    while (recv(replica->fd, bytes, sizeof(bytes), 0) > 0) {
    }
    server_expect_log(&server, "bytes that are no message");
    replica_free(replica);
    server_stop(&server);
}
END_TEST

START_TEST(handshake_is_refused_unless_it_is_as_it_should_be) {
    struct server server = server_start("--requirepass secret", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "-NOAUTH Authentication required.",
           "REPLCONF tarn-link 1 00112233445566778899aabbccddeeff");
    EXPECT(client, "+OK", "AUTH secret");
    EXPECT(client, "-ERR REPLCONF tarn-link is not of version 1",
           "REPLCONF tarn-link 2 00112233445566778899aabbccddeeff");
    EXPECT(client, "-ERR REPLCONF tarn-link is not of version 1", "REPLCONF tarn-link 1 0011");
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "+QUEUED", "REPLCONF tarn-link 1 00112233445566778899aabbccddeeff");
    EXPECT(client, "[-ERR REPLCONF tarn-link must be the last request]", "EXEC");
    EXPECT(client, "-ERR syntax error", "REPLCONF listening-port");
    EXPECT(client, "-ERR value is not an integer or out of range", "REPLCONF listening-port x");
    EXPECT(client, "-ERR Unrecognized REPLCONF option: other", "REPLCONF other 1");
    EXPECT(client, "+OK", "REPLCONF ip-address 10.0.0.1 listening-port 7000");
    EXPECT(client, "+PONG", "PING");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Whether more are let in is told by what was published last: one or two may be. */
START_TEST(replicas_that_are_too_many_are_told_so) {
    enum { CLIENTS_MAX = 64 };
    struct server server = server_start("--appendonly no", NULL);
    redisContext *clients[CLIENTS_MAX];
    int count = 0;
    struct reply_text answer;
    do {
        ck_assert_int_lt(count, CLIENTS_MAX);
        clients[count] = server_connect(&server);
        answer = client_ask(clients[count++],
                            "REPLCONF " HANDSHAKE_WORD " 1 00112233445566778899aabbccddeeff");
        server_sleep_ms(1);
    } while (answer.bytes[0] == '+');
    ck_assert_str_eq(answer.bytes, "-ERR all 32 links to replicas are taken");
    ck_assert_int_gt(count, 32);
    EXPECT(clients[count - 1], "+PONG", "PING");
    while (count > 0) {
        redisFree(clients[--count]);
    }
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        replica_is_synced_under_write_load_with_one_worker,
        replica_is_synced_under_write_load_with_three_workers,
        replica_is_synced_without_a_disk,
        several_replicas_are_synced_at_once,
        sync_that_breaks_goes_on_at_the_slots_that_are_missing,
        sync_that_breaks_goes_on_without_a_disk_too,
        replica_that_is_too_far_behind_takes_the_slots_that_have_changed,
        log_is_kept_for_a_replica_that_is_away,
        log_is_kept_for_a_replica_that_is_away_while_the_primary_begins_anew,
        log_is_not_kept_for_a_tool_that_read_it,
        replica_that_reads_nothing_takes_no_memory,
        log_in_memory_has_a_bound,
        snapshot_and_sync_are_taken_at_the_same_time,
        snapshot_without_appendonly_uses_the_log_of_the_replicas,
        replica_goes_on_when_the_log_is_switched_on_and_off,
        link_of_a_silent_replica_ends,
        bytes_that_are_no_message_end_the_link,
        handshake_is_refused_unless_it_is_as_it_should_be,
        replicas_that_are_too_many_are_told_so,
    };
    return unit_run(unit_suite("primary", tests, UNIT_COUNT(tests)));
}
