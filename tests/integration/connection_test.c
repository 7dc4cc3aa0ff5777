/* Connections: logging in, the handshake, and every limit of a connection, with one worker and with
 * three. */
#include "tests/integration/server.h"

START_TEST(a_password_must_be_given_before_anything_else) {
    struct server server = server_start(server_worker_options[_i], "--requirepass secret", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "-NOAUTH Authentication required.", "PING");
    EXPECT(client, "-WRONGPASS invalid username-password pair or user is disabled.", "AUTH wrong");
    EXPECT(client, "-WRONGPASS invalid username-password pair or user is disabled.",
           "AUTH default secretsecret");
    EXPECT(client, "-NOAUTH Authentication required.", "SET k v");
    EXPECT(client, "+OK", "AUTH secret");
    EXPECT(client, "+OK", "SET k v");
    EXPECT(client, "+RESET", "RESET");
    EXPECT(client, "-NOAUTH Authentication required.", "GET k");
    EXPECT_PART(client, "proto :3", "HELLO 3 AUTH default secret SETNAME me");
    EXPECT(client, "me", "CLIENT GETNAME");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(hello_that_fails_changes_nothing) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "-NOPROTO unsupported protocol version", "HELLO 4");
    EXPECT(client, "-ERR Syntax error in HELLO option 'FOO'", "HELLO 3 SETNAME me FOO");
    EXPECT(client, "-WRONGPASS invalid username-password pair or user is disabled.",
           "HELLO 3 AUTH nobody x SETNAME me");
    EXPECT(client, "nil", "CLIENT GETNAME");
    EXPECT_PART(client, "[server redis version 7.", "HELLO");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(reset_makes_the_connection_new) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT_PART(client, "{server redis", "HELLO 3 SETNAME me");
    EXPECT(client, "+OK", "SELECT 3");
    EXPECT(client, "+OK", "CLIENT NO-TOUCH ON");
    EXPECT(client, "+OK", "WATCH a b c d e");
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "+QUEUED", "GET a");
    EXPECT(client, "+RESET", "RESET");
    EXPECT_PART(client, " name= ", "CLIENT INFO");
    EXPECT_PART(client, " flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 ", "CLIENT INFO");
    EXPECT_PART(client, " resp=2 ", "CLIENT INFO");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Who left may just be going: the server counts it until it has looked. */
static redisContext *connect_when_there_is_room(const struct server *server) {
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        redisContext *client = server_connect(server);
        struct reply_text text = client_ask(client, "PING");
        if (strcmp(text.bytes, "+PONG") == 0) {
            return client;
        }
        ck_assert_str_eq(text.bytes, "-ERR max number of clients reached");
        redisFree(client);
        server_sleep_ms(10);
    }
    ck_abort_msg("there is no room for a client");
}

START_TEST(one_connection_more_than_maxclients_is_refused) {
    struct server server = server_start(server_worker_options[_i], "--maxclients 3", NULL);
    redisContext *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_when_there_is_room(&server);
    }
    redisContext *refused = server_connect(&server);
    EXPECT_NEXT(refused, "-ERR max number of clients reached");
    expect_closed(refused);
    redisFree(refused);
    EXPECT(clients[2], "+OK", "QUIT");
    expect_closed(clients[2]);
    redisFree(clients[2]);
    clients[2] = connect_when_there_is_room(&server);
    for (int i = 0; i < 3; i++) {
        redisFree(clients[i]);
    }
    server_stop(&server);
}
END_TEST

START_TEST(idle_connections_are_closed_after_the_timeout_but_no_subscribers) {
    struct server server = server_start(server_worker_options[_i], "--timeout 1", NULL);
    redisContext *idle = server_connect(&server);
    redisContext *subscriber = server_connect(&server);
    redisContext *monitor = server_connect(&server);
    EXPECT(idle, "+PONG", "PING");
    EXPECT(subscriber, "[subscribe news :1]", "SUBSCRIBE news");
    EXPECT(monitor, "+OK", "MONITOR");
    expect_closed(idle);
    redisContext *client = server_connect(&server);
    EXPECT(client, ":1", "PUBLISH news x");
    EXPECT_NEXT(subscriber, "[message news x]");
    ck_assert_ptr_nonnull(strstr(client_read(monitor).bytes, "\"PUBLISH\""));
    redisFree(idle);
    redisFree(subscriber);
    redisFree(monitor);
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Sends until the server closes; at most `count` times. */
static void send_until_closed(redisContext *client, const char *bytes, size_t length, int count) {
    for (int i = 0; i < count; i++) {
        for (size_t at = 0; at < length;) {
            ssize_t sent = send(client->fd, bytes + at, length - at, MSG_NOSIGNAL);
            if (sent < 0) {
                ck_assert(errno == EPIPE || errno == ECONNRESET);
                return;
            }
            at += (size_t)sent;
        }
    }
    expect_closed(client);
}

START_TEST(a_request_larger_than_the_query_buffer_limit_closes_the_connection) {
    struct server server =
        server_start(server_worker_options[_i], "--client-query-buffer-limit 1mb", NULL);
    redisContext *client = server_connect(&server);
    static char part[100000];
    memset(part, 'x', sizeof(part));
    /* One large argument, and many that are large enough to be taken out of the input. */
    static const char *const headers[] = {"*2\r\n$3\r\nGET\r\n$3000000\r\n",
                                          "*1000\r\n$3\r\nDEL\r\n"};
    static char many[20000 + 16];
    int length = snprintf(many, sizeof(many), "$20000\r\n");
    memset(many + length, 'x', 20000);
    memcpy(many + length + 20000, "\r\n", 2);
    for (int i = 0; i < 2; i++) {
        redisContext *large = server_connect(&server);
        ck_assert_int_eq(send(large->fd, headers[i], strlen(headers[i]), 0),
                         (ssize_t)strlen(headers[i]));
        if (i == 0) {
            send_until_closed(large, part, sizeof(part), 20);
        } else {
            send_until_closed(large, many, (size_t)length + 20002, 200);
        }
        redisFree(large);
    }
    server_expect_log(&server, "Closing client that reached max query buffer length: id=");
    EXPECT(client, "+PONG", "PING");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(replies_beyond_the_hard_limit_close_the_connection) {
    struct server server = server_start(server_worker_options[_i],
                                        "--client-output-buffer-limit normal 1000000 0 0", NULL);
    redisContext *client = server_connect(&server);
    redisContext *reader = server_connect(&server);
    ck_assert_str_eq(client_ask_with(client, "SET k", 600000).bytes, "+OK");
    EXPECT(client, ":600000", "STRLEN k");
    /* Written to the socket as it comes, one such reply is below the limit, two at once are not. */
    client_send(reader, "GET k");
    EXPECT_PART(reader, "xxx", "PING");
    EXPECT_NEXT(reader, "+PONG");
    client_send(reader, "MGET k k");
    expect_closed(reader);
    server_expect_log(&server, SERVER_LOG_OF_OUTPUT_LIMIT);
    redisFree(client);
    redisFree(reader);
    server_stop(&server);
}
END_TEST

START_TEST(a_unix_socket_shows_its_path) {
    struct server server = server_start(server_worker_options[_i], NULL);
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", server.folder);
    redisContext *client = redisConnectUnix(path);
    ck_assert_int_eq(client->err, 0);
    redisContext *monitor = server_connect(&server);
    EXPECT(monitor, "+OK", "MONITOR");
    char wanted[320];
    snprintf(wanted, sizeof(wanted), " addr=%s:0 laddr=%s:0 ", path, path);
    EXPECT_PART(client, wanted, "CLIENT INFO");
    EXPECT_PART(client, " flags=U ", "CLIENT INFO");
    snprintf(wanted, sizeof(wanted), " [0 unix:%s] \"CLIENT\" \"INFO\"", path);
    ck_assert_ptr_nonnull(strstr(client_read(monitor).bytes, wanted));
    redisFree(client);
    redisFree(monitor);
    server_stop(&server);
}
END_TEST

START_TEST(a_web_request_is_cut_off) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    client_send(client, "POST / HTTP/1.1");
    client_send(client, "SET k v");
    expect_closed(client);
    redisFree(client);
    client = server_connect(&server);
    EXPECT(client, "nil", "GET k");
    server_expect_log(&server, "Possible SECURITY ATTACK detected");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(pipelines_keep_their_order_over_workers) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    char text[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "SET key:%d %d", i, i);
        client_send(client, text);
        snprintf(text, sizeof(text), "GET key:%d", i);
        client_send(client, text);
        client_send(client, i % 100 == 0 ? "DBSIZE" : "ECHO here");
    }
    for (int i = 0; i < 1000; i++) {
        EXPECT_NEXT(client, "+OK");
        snprintf(text, sizeof(text), "%d", i);
        EXPECT_NEXT(client, text);
        snprintf(text, sizeof(text), ":%d", i + 1);
        EXPECT_NEXT(client, i % 100 == 0 ? text : "here");
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_password_must_be_given_before_anything_else,
        hello_that_fails_changes_nothing,
        reset_makes_the_connection_new,
        one_connection_more_than_maxclients_is_refused,
        idle_connections_are_closed_after_the_timeout_but_no_subscribers,
        a_request_larger_than_the_query_buffer_limit_closes_the_connection,
        replies_beyond_the_hard_limit_close_the_connection,
        a_unix_socket_shows_its_path,
        a_web_request_is_cut_off,
        pipelines_keep_their_order_over_workers,
    };
    return unit_run(server_suite("connection", tests, UNIT_COUNT(tests)));
}
