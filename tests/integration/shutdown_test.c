/* SHUTDOWN: what ends the server, and what does not. */
#include "tests/integration/server.h"

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

int main(void) {
    const TTest *tests[] = {
        shutdown_closes_all_connections_without_a_reply,
        every_way_to_ask_for_the_end_is_understood,
        what_follows_a_shutdown_in_the_pipeline_does_not_run,
        a_wrong_shutdown_changes_nothing,
    };
    return unit_run(server_suite("shutdown", tests, UNIT_COUNT(tests)));
}
