/* CLIENT: what connections know and do about themselves and others, with one worker and with
 * three. */
#include "tests/integration/server.h"

#define OTHERS 6

static long client_id(redisContext *client) {
    struct reply_text text = client_ask(client, "CLIENT ID");
    return strtol(text.bytes + 1, NULL, 10);
}

static void expect_lines(const char *text, const char *word, int wanted) {
    int count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    ck_assert_msg(count == wanted, "'%s' stands %d times, not %d, in: %s", word, count, wanted,
                  text);
}

START_TEST(client_list_shows_the_connections_of_all_workers_by_id) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *others[OTHERS];
    char text[64];
    for (int i = 0; i < OTHERS; i++) {
        others[i] = server_connect(&server);
        snprintf(text, sizeof(text), "CLIENT SETNAME other%d", i);
        EXPECT(others[i], "+OK", text);
    }
    EXPECT(others[1], "[subscribe news :1]", "SUBSCRIBE news");
    EXPECT(others[2], "+OK", "SELECT 5");
    EXPECT(others[2], "+OK", "MULTI");
    EXPECT(others[2], "+QUEUED", "GET a");
    EXPECT(others[3], "+OK", "CLIENT NO-EVICT ON");
    EXPECT(others[4], "+OK", "CLIENT SETINFO LIB-NAME tester");
    struct reply_text list = client_ask(others[0], "CLIENT LIST");
    expect_lines(list.bytes, "id=", OTHERS);
    const char *at = list.bytes;
    for (int i = 0; i < OTHERS; i++) {
        snprintf(text, sizeof(text), " name=other%d ", i);
        at = strstr(at, text);
        ck_assert_msg(at != NULL, "%s out of order in: %s", text, list.bytes);
    }
    expect_lines(list.bytes, " flags=P db=0 sub=1 psub=0 ssub=0 multi=-1 ", 1);
    expect_lines(list.bytes, " flags=x db=5 sub=0 psub=0 ssub=0 multi=1 ", 1);
    expect_lines(list.bytes, " flags=e ", 1);
    expect_lines(list.bytes, " lib-name=tester lib-ver=\n", 1);
    list = client_ask(others[0], "CLIENT LIST TYPE pubsub");
    expect_lines(list.bytes, "id=", 1);
    snprintf(text, sizeof(text), "CLIENT LIST ID %ld %ld", client_id(others[4]),
             client_id(others[0]));
    list = client_ask(others[0], text);
    expect_lines(list.bytes, "id=", 2);
    ck_assert(strstr(list.bytes, "name=other4") < strstr(list.bytes, "name=other0"));
    for (int i = 0; i < OTHERS; i++) {
        redisFree(others[i]);
    }
    server_stop(&server);
}
END_TEST

START_TEST(client_kill_closes_connections_of_other_workers) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *others[OTHERS];
    char text[64];
    for (int i = 0; i < OTHERS; i++) {
        others[i] = server_connect(&server);
        EXPECT(others[i], "+PONG", "PING");
    }
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), "CLIENT KILL ID %ld", client_id(others[i]));
        EXPECT(client, ":1", text);
        expect_closed(others[i]);
        EXPECT(client, ":0", text);
    }
    EXPECT(others[2], "[subscribe news :1]", "SUBSCRIBE news");
    EXPECT(client, ":1", "CLIENT KILL TYPE pubsub");
    expect_closed(others[2]);
    EXPECT(client, ":0", "PUBLISH news x");
    EXPECT(client, ":3", "CLIENT KILL TYPE normal USER default");
    for (int i = 3; i < OTHERS; i++) {
        expect_closed(others[i]);
    }
    EXPECT(client, ":1", "CLIENT KILL TYPE normal SKIPME no");
    expect_closed(client);
    for (int i = 0; i < OTHERS; i++) {
        redisFree(others[i]);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Connections in the middle of pipelines, so that with several workers they are often away. */
START_TEST(client_kill_closes_connections_that_travel) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *others[OTHERS];
    char text[64];
    for (int i = 0; i < OTHERS; i++) {
        others[i] = server_connect(&server);
    }
    for (int j = 0; j < 300; j++) {
        for (int i = 0; i < OTHERS; i++) {
            snprintf(text, sizeof(text), "SET key:%d v", i * 1000 + j);
            client_send(others[i], text);
        }
    }
    EXPECT(client, ":6", "CLIENT KILL TYPE normal");
    for (int i = 0; i < OTHERS; i++) {
        expect_closed(others[i]);
        redisFree(others[i]);
    }
    struct reply_text list = client_ask(client, "CLIENT LIST");
    expect_lines(list.bytes, "id=", 1);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_write_pause_holds_writes_on_all_workers_until_unpause) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *others[OTHERS];
    char text[64];
    EXPECT(client, "+OK", "CLIENT PAUSE 1000000 WRITE");
    for (int i = 0; i < OTHERS; i++) {
        others[i] = server_connect(&server);
        EXPECT(others[i], "nil", "GET k");
        snprintf(text, sizeof(text), "SET key:%d v", i);
        client_send(others[i], text);
        client_send(others[i], "ECHO after");
    }
    EXPECT(client, ":0", "DBSIZE");
    for (int i = 0; i < OTHERS; i++) {
        expect_quiet(others[i]);
    }
    EXPECT(client, "+OK", "CLIENT UNPAUSE");
    for (int i = 0; i < OTHERS; i++) {
        EXPECT_NEXT(others[i], "+OK");
        EXPECT_NEXT(others[i], "after");
        redisFree(others[i]);
    }
    EXPECT(client, ":6", "DBSIZE");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_pause_of_all_commands_ends_by_itself) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *other = server_connect(&server);
    EXPECT(client, "+OK", "CLIENT PAUSE 200");
    EXPECT(other, "+PONG", "PING");
    EXPECT(client, "+PONG", "PING");
    redisFree(client);
    redisFree(other);
    server_stop(&server);
}
END_TEST

/* With several workers, one stop serves the pause and calls that came after it. */
START_TEST(calls_that_wait_for_the_stop_of_a_pause_are_held_too) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *others[OTHERS];
    for (int i = 0; i < OTHERS; i++) {
        others[i] = server_connect(&server);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < OTHERS; i++) {
            client_send(others[i], i % 2 == 0 ? "CLIENT PAUSE 1" : "FLUSHALL");
        }
    }
    for (int i = 0; i < OTHERS; i++) {
        for (int round = 0; round < 10; round++) {
            EXPECT_NEXT(others[i], "+OK");
        }
        redisFree(others[i]);
    }
    server_stop(&server);
}
END_TEST

START_TEST(a_killed_connection_may_be_paused) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *other = server_connect(&server);
    long id = client_id(other);
    EXPECT(client, "+OK", "CLIENT PAUSE 1000000 WRITE");
    client_send(other, "SET k v");
    expect_quiet(other);
    char text[64];
    snprintf(text, sizeof(text), "CLIENT KILL ID %ld", id);
    EXPECT(client, ":1", text);
    expect_closed(other);
    EXPECT(client, "+OK", "CLIENT UNPAUSE");
    EXPECT(client, "nil", "GET k");
    redisFree(client);
    redisFree(other);
    server_stop(&server);
}
END_TEST

START_TEST(client_reply_silences_pipelines_but_no_pushes) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *publisher = server_connect(&server);
    static const char *const silent[] = {
        "CLIENT REPLY OFF", "SET a 1", "INCR a", "NOSUCH", "GET",          "MULTI",
        "INCR a",           "EXEC",    "KEYS *", "DBSIZE", "MGET a b c d", "CLIENT REPLY SKIP",
    };
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
        client_send(client, silent[i]);
    }
    EXPECT(client, "+OK", "CLIENT REPLY ON");
    EXPECT(client, "3", "GET a");
    client_send(client, "CLIENT REPLY SKIP");
    client_send(client, "KEYS *");
    EXPECT(client, "3", "GET a");
    client_send(client, "CLIENT REPLY OFF");
    EXPECT(client, "[subscribe news :1]", "SUBSCRIBE news");
    EXPECT(publisher, ":1", "PUBLISH news x");
    EXPECT_NEXT(client, "[message news x]");
    redisFree(client);
    redisFree(publisher);
    server_stop(&server);
}
END_TEST

START_TEST(the_largest_connections_are_closed_beyond_maxmemory_clients) {
    struct server server = server_start(server_worker_options[_i], "--maxmemory-clients 2mb", NULL);
    redisContext *client = server_connect(&server);
    redisContext *large = server_connect(&server);
    redisContext *kept = server_connect(&server);
    EXPECT(kept, "+OK", "CLIENT NO-EVICT ON");
    static char bytes[3 * 1024 * 1024];
    memset(bytes, 'x', sizeof(bytes));
    /* Arguments of a transaction stay. */
    EXPECT(large, "+OK", "MULTI");
    EXPECT(kept, "+OK", "MULTI");
    redisReply *reply = redisCommand(kept, "ECHO %b", bytes, sizeof(bytes) / 3);
    ck_assert_ptr_nonnull(reply);
    freeReplyObject(reply);
    redisAppendCommand(large, "ECHO %b", bytes, sizeof(bytes));
    int done = 0;
    while (done == 0 && redisBufferWrite(large, &done) == REDIS_OK) {
    }
    expect_closed(large);
    server_expect_log(&server, "Evicting client: id=");
    EXPECT(client, "+PONG", "PING");
    EXPECT_PART(kept, "[", "EXEC");
    redisFree(client);
    redisFree(large);
    redisFree(kept);
    server_stop(&server);
}
END_TEST

START_TEST(the_slow_log_keeps_commands_of_all_workers) {
    struct server server =
        server_start(server_worker_options[_i], "--slowlog-log-slower-than 0", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CLIENT SETNAME tester");
    EXPECT(client, "+OK", "SLOWLOG RESET");
    static const char *const keys[] = {"a", "b", "c", "d"};
    char text[64];
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(text, sizeof(text), "SET %s v", keys[i]);
        EXPECT(client, "+OK", text);
    }
    EXPECT(client, ":5", "SLOWLOG LEN"); /* With SLOWLOG RESET. */
    struct reply_text log = client_ask(client, "SLOWLOG GET 5");
    const char *at = log.bytes;
    for (size_t i = sizeof(keys) / sizeof(keys[0]); i-- > 0;) {
        snprintf(text, sizeof(text), "[SET %s v] 127.0.0.1:", keys[i]);
        at = strstr(at, text);
        ck_assert_msg(at != NULL, "%s is out of order in %s", text, log.bytes);
    }
    expect_lines(log.bytes, " tester]", 5);
    EXPECT(client, "-WRONGPASS invalid username-password pair or user is disabled.",
           "AUTH nobody secret");
    EXPECT_PART(client, "[AUTH (redacted) (redacted)]", "SLOWLOG GET 1");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(the_slow_log_forgets_the_oldest_beyond_its_length) {
    struct server server = server_start(server_worker_options[_i], "--slowlog-log-slower-than 0",
                                        "--slowlog-max-len 3", NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; i < 10; i++) {
        EXPECT(client, "+PONG", "PING");
    }
    EXPECT(client, ":3", "SLOWLOG LEN");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* With the thread sanitizer: what a command that is noted touches of connections that travel. */
START_TEST(commands_are_noted_while_connections_travel) {
    struct server server =
        server_start(server_worker_options[_i], "--slowlog-log-slower-than 0", NULL);
    redisContext *others[OTHERS];
    char text[64];
    for (int i = 0; i < OTHERS; i++) {
        others[i] = server_connect(&server);
    }
    for (int j = 0; j < 100; j++) {
        for (int i = 0; i < OTHERS; i++) {
            snprintf(text, sizeof(text), "SET key:%d v", i * 1000 + j);
            client_send(others[i], text);
        }
    }
    for (int i = 0; i < OTHERS; i++) {
        for (int j = 0; j < 100; j++) {
            EXPECT_NEXT(others[i], "+OK");
        }
        redisFree(others[i]);
    }
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        client_list_shows_the_connections_of_all_workers_by_id,
        client_kill_closes_connections_of_other_workers,
        client_kill_closes_connections_that_travel,
        a_write_pause_holds_writes_on_all_workers_until_unpause,
        a_pause_of_all_commands_ends_by_itself,
        calls_that_wait_for_the_stop_of_a_pause_are_held_too,
        a_killed_connection_may_be_paused,
        client_reply_silences_pipelines_but_no_pushes,
        the_largest_connections_are_closed_beyond_maxmemory_clients,
        the_slow_log_keeps_commands_of_all_workers,
        the_slow_log_forgets_the_oldest_beyond_its_length,
        commands_are_noted_while_connections_travel,
    };
    return unit_run(server_suite("client", tests, UNIT_COUNT(tests)));
}
