/* SHUTDOWN: what ends the server, and what does not. */
#include "tests/integration/server.h"

#include <sys/stat.h>

/* The server has ended by itself, with code 0. */
static void expect_ended(struct server *server) {
    int status = -1;
    ck_assert_int_eq(waitpid(server->pid, &status, 0), server->pid);
    ck_assert_int_eq(status, 0);
    server_remove_folder(server->folder);
}

START_TEST(shutdown_closes_all_connections_without_a_reply) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *other = server_connect(&server);
    EXPECT(other, "+OK", "SET k v");
    client_send(client, "SHUTDOWN");
    expect_closed(client);
    expect_closed(other);
    redisFree(client);
    redisFree(other);
    expect_ended(&server);
}
END_TEST

START_TEST(every_way_to_ask_for_the_end_is_understood) {
    static const char *const commands[] = {"SHUTDOWN NOSAVE", "shutdown now force nosave",
                                           "SHUTDOWN SAVE FORCE"};
    for (size_t i = 0; i < UNIT_COUNT(commands); i++) {
        struct server server = server_start(server_worker_options[_i], NULL);
        redisContext *client = server_connect(&server);
        client_send(client, commands[i]);
        expect_closed(client);
        redisFree(client);
        expect_ended(&server);
    }
}
END_TEST

START_TEST(what_follows_a_shutdown_in_the_pipeline_does_not_run) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *listener = server_connect(&server);
    EXPECT(listener, "[subscribe c :1]", "SUBSCRIBE c");
    const char pipeline[] = "SHUTDOWN NOSAVE\r\nPUBLISH c late\r\n";
    ck_assert_int_eq(write(client->fd, pipeline, sizeof(pipeline) - 1), sizeof(pipeline) - 1);
    char bytes[16];
    ck_assert_int_le(recv(listener->fd, bytes, sizeof(bytes), 0), 0);
    redisFree(client);
    redisFree(listener);
    expect_ended(&server);
}
END_TEST

START_TEST(a_wrong_shutdown_changes_nothing) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "-ERR syntax error", "SHUTDOWN NOSAVE SAVE");
    EXPECT(client, "-ERR syntax error", "SHUTDOWN ABORT NOW");
    EXPECT(client, "-ERR syntax error", "SHUTDOWN later");
    EXPECT(client, "-ERR No shutdown in progress.", "SHUTDOWN ABORT");
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "-ERR Command not allowed inside a transaction", "SHUTDOWN NOSAVE");
    EXPECT(client, "-EXECABORT Transaction discarded because of previous errors.", "EXEC");
    EXPECT(client, "+PONG", "PING");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* A folder of this name stands where the snapshot's file would be renamed to. */
static void block_snapshot(const struct server *server, bool is_blocked) {
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server->folder);
    ck_assert_int_eq(is_blocked ? mkdir(path, 0700) : rmdir(path), 0);
}

START_TEST(a_shutdown_that_cannot_save_is_refused_unless_it_is_forced) {
    struct server server = server_start(server_worker_options[_i], "--save 3600 1", NULL);
    redisContext *client = server_connect(&server);
    block_snapshot(&server, true);
    EXPECT(client, "-ERR Errors trying to SHUTDOWN. Check logs.", "SHUTDOWN");
    EXPECT(client, "-ERR Errors trying to SHUTDOWN. Check logs.", "SHUTDOWN SAVE");
    server_expect_log(&server, "can't exit");
    client_send(client, "SHUTDOWN FORCE");
    expect_closed(client);
    redisFree(client);
    block_snapshot(&server, false);
    expect_ended(&server);
}
END_TEST

START_TEST(a_shutdown_without_a_snapshot_needs_none) {
    struct server server = server_start(server_worker_options[_i], "--save 3600 1", NULL);
    redisContext *client = server_connect(&server);
    block_snapshot(&server, true);
    client_send(client, "SHUTDOWN NOSAVE");
    expect_closed(client);
    redisFree(client);
    block_snapshot(&server, false);
    expect_ended(&server);
}
END_TEST

/* Writes go on afterwards, also those that a CLIENT PAUSE of before still holds for a while. */
START_TEST(a_signal_that_cannot_save_does_not_end_the_server) {
    struct server server = server_start(server_worker_options[_i],
                                        "--save 3600 1 --stop-writes-on-bgsave-error no", NULL);
    redisContext *client = server_connect(&server);
    redisContext *writer = server_connect(&server);
    block_snapshot(&server, true);
    EXPECT(client, "+OK", "CLIENT PAUSE 400 WRITE");
    kill(server.pid, SIGTERM);
    client_send(writer, "SET key value");
    for (int i = 0;
         strstr(client_ask(client, "INFO persistence").bytes, "rdb_last_bgsave_status:err") == NULL;
         i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    EXPECT_NEXT(writer, "+OK");
    EXPECT(client, "value", "GET key");
    server_expect_log(&server, "can't exit");
    block_snapshot(&server, false);
    redisFree(writer);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* What was acknowledged before the end is in the last snapshot, though there is no log. */
START_TEST(no_write_is_acknowledged_behind_the_last_snapshot) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no --save 3600 1000",
                     "--enable-debug-command yes", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "DEBUG POPULATE 100000 key 200");
    long acknowledged = 0;
    kill(server.pid, SIGTERM);
    for (;;) {
        redisReply *reply = redisCommand(client, "INCR counter");
        if (reply == NULL) {
            break;
        }
        ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
        acknowledged = (long)reply->integer;
        freeReplyObject(reply);
    }
    redisFree(client);
    int status = -1;
    ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
    ck_assert_int_eq(status, 0);
    server_restart(&server, server_worker_options[_i], "--appendonly no --save", NULL);
    client = server_connect(&server);
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%ld", acknowledged);
    EXPECT(client, acknowledged == 0 ? "nil" : wanted, "GET counter");
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        shutdown_closes_all_connections_without_a_reply,
        every_way_to_ask_for_the_end_is_understood,
        what_follows_a_shutdown_in_the_pipeline_does_not_run,
        a_wrong_shutdown_changes_nothing,
        a_shutdown_that_cannot_save_is_refused_unless_it_is_forced,
        a_shutdown_without_a_snapshot_needs_none,
        a_signal_that_cannot_save_does_not_end_the_server,
        no_write_is_acknowledged_behind_the_last_snapshot,
    };
    return unit_run(server_suite("shutdown", tests, UNIT_COUNT(tests)));
}
