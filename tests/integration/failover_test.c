/* FAILOVER with real processes: roles change, and no acknowledged write is lost. */
#include "tests/integration/process.h"

#include "tests/integration/server.h"

#include <pthread.h>
#include <stdatomic.h>

#define WRITERS 3

static const char options[] = "--enable-debug-command yes --save";

struct pair {
    struct server primary;
    struct server second;
    redisContext *client;
    redisContext *replica;
};

/* ---- INFO ---- */

static bool info_has(redisContext *client, const char *line) {
    redisReply *reply = redisCommand(client, "INFO replication");
    ck_assert_ptr_nonnull(reply);
    bool has = reply->type == REDIS_REPLY_STRING && strstr(reply->str, line) != NULL;
    freeReplyObject(reply);
    return has;
}

static void wait_for(redisContext *client, const char *line) {
    for (int i = 0; !info_has(client, line); i++) {
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 100, "INFO never has %s", line);
        server_sleep_ms(10);
    }
}

static void expect_same(redisContext *one, redisContext *other) {
    for (int i = 0;; i++) {
        struct reply_text wanted = client_ask(one, "DEBUG DIGEST");
        if (strcmp(client_ask(other, "DEBUG DIGEST").bytes, wanted.bytes) == 0) {
            return;
        }
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 100, "they differ");
        server_sleep_ms(10);
    }
}

/* ---- a primary and its replica ---- */

static void follow(redisContext *replica, int port) {
    char command[64];
    snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %d", port);
    EXPECT(replica, "+OK", command);
}

static struct pair pair_start(const char *primary, const char *replica) {
    struct pair pair = {.primary = server_start(primary, options, NULL),
                        .second = server_start(replica, options, NULL)};
    pair.client = server_connect(&pair.primary);
    pair.replica = server_connect(&pair.second);
    EXPECT(pair.client, "+OK", "DEBUG POPULATE 2000 key 100");
    follow(pair.replica, pair.primary.port);
    wait_for(pair.replica, "master_link_status:up");
    wait_for(pair.client, "state=online");
    expect_same(pair.client, pair.replica);
    return pair;
}

static void pair_stop(struct pair *pair) {
    redisFree(pair->client);
    redisFree(pair->replica);
    server_stop(&pair->second);
    server_stop(&pair->primary);
}

static const char *failover_to(const struct server *server, const char *more) {
    static char command[128];
    snprintf(command, sizeof(command), "FAILOVER TO 127.0.0.1 %d %s", server->port, more);
    return command;
}

/* The replica is the primary now, and neither took a copy of the other. */
static void expect_swapped(struct pair *pair) {
    wait_for(pair->client, "master_failover_state:no-failover");
    wait_for(pair->client, "master_link_status:up");
    ck_assert(info_has(pair->client, "role:slave"));
    ck_assert(info_has(pair->replica, "role:master"));
    ck_assert(info_has(pair->client, "tarn_syncs_of_all_slots:0"));
    EXPECT(pair->client, "-READONLY You can't write against a read only replica.", "SET key 1");
    EXPECT(pair->replica, "+OK", "SET behind 1");
    expect_same(pair->replica, pair->client);
    struct reply_text words = client_ask(pair->client, "CONFIG GET replicaof");
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "127.0.0.1 %d", pair->second.port);
    ck_assert_msg(strstr(words.bytes, wanted) != NULL, "replicaof is %s", words.bytes);
    EXPECT(pair->replica, "[replicaof ]", "CONFIG GET replicaof");
}

/* ---- writers ---- */

struct writers {
    const struct server *server;
    pthread_t threads[WRITERS];
    atomic_int begun;
    long long acknowledged[WRITERS];
};

/* Until it is told that this is no primary. */
static void *write_main(void *context) {
    struct writers *writers = context;
    redisContext *client = server_connect(writers->server);
    int number = atomic_fetch_add(&writers->begun, 1);
    for (;;) {
        redisReply *reply = redisCommand(client, "INCR counter:%d", number);
        ck_assert_ptr_nonnull(reply);
        bool is_over = reply->type == REDIS_REPLY_ERROR;
        if (is_over) {
            ck_assert_msg(strncmp(reply->str, "READONLY", 8) == 0, "%s", reply->str);
        } else {
            writers->acknowledged[number] = reply->integer;
        }
        freeReplyObject(reply);
        if (is_over) {
            redisFree(client);
            return NULL;
        }
    }
}

static void writers_begin(struct writers *writers, const struct server *server) {
    *writers = (struct writers){.server = server};
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(pthread_create(&writers->threads[i], NULL, write_main, writers), 0);
    }
}

/* ---- tests ---- */

static const struct pairing {
    const char *primary;
    const char *replica;
} pairings[] = {
    {"--workers 1", "--workers 3"},
    {"--workers 3", "--workers 1 --appendonly no"},
    {"--workers 3 --appendonly no", "--workers 3"},
};

START_TEST(failover_under_load_loses_no_write_and_copies_nothing) {
    struct pair pair = pair_start(pairings[_i].primary, pairings[_i].replica);
    struct writers writers;
    writers_begin(&writers, &pair.primary);
    server_sleep_ms(200);
    EXPECT(pair.client, "+OK", _i == 0 ? "FAILOVER" : failover_to(&pair.second, ""));
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers.threads[i], NULL);
    }
    for (int i = 0; i < WRITERS; i++) {
        char command[32];
        char wanted[32];
        snprintf(command, sizeof(command), "GET counter:%d", i);
        snprintf(wanted, sizeof(wanted), "%lld", writers.acknowledged[i]);
        ck_assert_int_gt(writers.acknowledged[i], 0);
        EXPECT(pair.replica, wanted, command);
    }
    expect_swapped(&pair);
    /* And back. */
    wait_for(pair.replica, "state=online");
    EXPECT(pair.replica, "+OK", "FAILOVER TIMEOUT 60000");
    wait_for(pair.client, "role:master");
    wait_for(pair.replica, "master_link_status:up");
    EXPECT(pair.client, "+OK", "SET again 1");
    expect_same(pair.client, pair.replica);
    ck_assert(info_has(pair.replica, "tarn_syncs_of_all_slots:1"));
    ck_assert(info_has(pair.client, "tarn_divergences:0"));
    ck_assert(info_has(pair.replica, "tarn_divergences:0"));
    pair_stop(&pair);
}
END_TEST

START_TEST(failover_holds_writes_until_it_is_aborted_or_the_time_is_over) {
    struct pair pair = pair_start(server_worker_options[_i], "--workers 1");
    redisContext *writer = server_connect(&pair.primary);
    ck_assert_int_eq(kill(pair.second.pid, SIGSTOP), 0);
    EXPECT(pair.client, "+OK", "SET key 1");
    EXPECT(pair.client, "+OK", failover_to(&pair.second, ""));
    ck_assert(info_has(pair.client, "master_failover_state:waiting-for-sync"));
    client_send(writer, "SET key 2");
    expect_quiet(writer);
    EXPECT(pair.client, "1", "GET key");
    EXPECT(pair.client, "-ERR FAILOVER already in progress.", "FAILOVER");
    EXPECT(pair.client, "-ERR REPLICAOF not allowed while failing over.", "REPLICAOF NO ONE");
    EXPECT(pair.client, "+OK", "FAILOVER ABORT");
    ck_assert_str_eq(client_read(writer).bytes, "+OK");
    EXPECT(pair.client, "-ERR No failover in progress.", "FAILOVER ABORT");
    EXPECT(pair.client, "+OK", "FAILOVER TIMEOUT 50");
    client_send(writer, "SET key 3");
    ck_assert_str_eq(client_read(writer).bytes, "+OK");
    ck_assert(info_has(pair.client, "role:master"));
    ck_assert(info_has(pair.client, "master_failover_state:no-failover"));
    server_expect_log(&pair.primary, "Replica never caught up before timeout");
    ck_assert_int_eq(kill(pair.second.pid, SIGCONT), 0);
    expect_same(pair.client, pair.replica);
    ck_assert(info_has(pair.replica, "role:slave"));
    redisFree(writer);
    pair_stop(&pair);
}
END_TEST

START_TEST(forced_failover_goes_on_with_a_target_that_answers_late) {
    struct pair pair = pair_start(server_worker_options[_i], "--workers 1");
    ck_assert_int_eq(kill(pair.second.pid, SIGSTOP), 0);
    EXPECT(pair.client, "+OK", "SET key 1");
    EXPECT(pair.client, "+OK", failover_to(&pair.second, "FORCE TIMEOUT 10"));
    wait_for(pair.client, "master_failover_state:failover-in-progress");
    ck_assert(info_has(pair.client, "role:slave"));
    /* First it is thought better of: what was there is there, and goes on. */
    EXPECT(pair.client, "+OK", "FAILOVER ABORT");
    ck_assert(info_has(pair.client, "role:master"));
    EXPECT(pair.client, "+OK", "SET key 2");
    ck_assert_int_eq(kill(pair.second.pid, SIGCONT), 0);
    wait_for(pair.client, "state=online");
    expect_same(pair.client, pair.replica);
    ck_assert(info_has(pair.replica, "tarn_syncs_of_all_slots:1"));
    ck_assert_int_eq(kill(pair.second.pid, SIGSTOP), 0);
    EXPECT(pair.client, "+OK", "SET key 3");
    EXPECT(pair.client, "+OK", failover_to(&pair.second, "FORCE TIMEOUT 10"));
    wait_for(pair.client, "master_failover_state:failover-in-progress");
    ck_assert_int_eq(kill(pair.second.pid, SIGCONT), 0);
    expect_swapped(&pair);
    pair_stop(&pair);
}
END_TEST

START_TEST(failover_refuses_what_cannot_be) {
    struct pair pair = {.primary = server_start("--workers 1", options, NULL)};
    pair.client = server_connect(&pair.primary);
    EXPECT(pair.client, "-ERR FAILOVER requires connected replicas.", "FAILOVER FORCE");
    EXPECT(pair.client, "-ERR syntax error", "FAILOVER ABORT FORCE");
    EXPECT(pair.client, "-ERR syntax error", "FAILOVER TO 127.0.0.1");
    EXPECT(pair.client, "-ERR syntax error", "FAILOVER TIMEOUT 10 TIMEOUT 20");
    EXPECT(pair.client, "-ERR FAILOVER timeout must be greater than 0", "FAILOVER TIMEOUT 0");
    EXPECT(pair.client, "-ERR value is not an integer or out of range", "FAILOVER TO a b");
    EXPECT(pair.client, "-ERR This node is a primary of another history",
           "REPLCONF tarn-link 1 00112233445566778899aabbccddeeff FAILOVER 1:00");
    redisFree(pair.client);
    server_stop(&pair.primary);
    pair = pair_start("--workers 1", "--workers 1");
    EXPECT(pair.client,
           "-ERR FAILOVER with force option requires both a timeout and target HOST and IP.",
           "FAILOVER FORCE TIMEOUT 10");
    EXPECT(pair.client, "-ERR FAILOVER target HOST and PORT is not a replica.",
           "FAILOVER TO 127.0.0.1 1");
    EXPECT(pair.replica, "-ERR FAILOVER is not valid when server is a replica.", "FAILOVER");
    EXPECT(pair.replica, "-ERR This node follows another history",
           "REPLCONF tarn-link 1 00112233445566778899aabbccddeeff FAILOVER 1:00");
    pair_stop(&pair);
}
END_TEST

/* ---- the end of a primary, and what is known of its replica ---- */

START_TEST(shutdown_waits_for_replicas_unless_told_otherwise) {
    struct pair pair = pair_start(server_worker_options[_i], "--workers 1");
    redisContext *other = server_connect(&pair.primary);
    ck_assert_int_eq(kill(pair.second.pid, SIGSTOP), 0);
    EXPECT(pair.client, "+OK", "SET key 1");
    client_send(other, "SHUTDOWN");
    server_expect_log(&pair.primary, "Waiting for replicas before shutting down.");
    EXPECT(pair.client, "+OK", "SHUTDOWN ABORT");
    ck_assert_str_eq(client_read(other).bytes, "-ERR Errors trying to SHUTDOWN. Check logs.");
    EXPECT(pair.client, "-ERR No shutdown in progress.", "SHUTDOWN ABORT");
    EXPECT(pair.client, "+OK", "SET key 2");
    client_send(other, "SHUTDOWN");
    ck_assert_int_eq(kill(pair.second.pid, SIGCONT), 0);
    expect_closed(other);
    EXPECT(pair.replica, "2", "GET key");
    redisFree(other);
    redisFree(pair.client);
    redisFree(pair.replica);
    server_stop(&pair.second);
    ck_assert_int_eq(waitpid(pair.primary.pid, NULL, 0), pair.primary.pid);
    server_remove_folder(pair.primary.folder);
}
END_TEST

static void read_id(redisContext *client, char id[41]) {
    redisReply *reply = redisCommand(client, "INFO replication");
    const char *found = strstr(reply->str, "tarn_node_id:");
    ck_assert_ptr_nonnull(found);
    memcpy(id, found + strlen("tarn_node_id:"), 40);
    id[40] = '\0';
    freeReplyObject(reply);
}

START_TEST(nodes_keep_their_id_over_restarts) {
    static const char *const kept[] = {"--appendonly yes", "--appendonly no"};
    struct server server = server_start(kept[_i], options, NULL);
    redisContext *client = server_connect(&server);
    char id[41];
    char later[41];
    read_id(client, id);
    EXPECT(client, "+OK", "SET key 1");
    if (_i == 1) {
        EXPECT(client, "+OK", "SAVE");
    }
    redisFree(client);
    server_kill(&server);
    server_restart(&server, kept[_i], options, NULL);
    client = server_connect(&server);
    read_id(client, later);
    ck_assert_str_eq(id, later);
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        failover_holds_writes_until_it_is_aborted_or_the_time_is_over,
        forced_failover_goes_on_with_a_target_that_answers_late,
        shutdown_waits_for_replicas_unless_told_otherwise,
        nodes_keep_their_id_over_restarts,
    };
    Suite *suite = server_suite("failover", tests, UNIT_COUNT(tests));
    TCase *others = tcase_create("others");
    tcase_set_timeout(others, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(others, failover_under_load_loses_no_write_and_copies_nothing, 0,
                        (int)UNIT_COUNT(pairings));
    tcase_add_test(others, failover_refuses_what_cannot_be);
    suite_add_tcase(suite, others);
    return unit_run(suite);
}
