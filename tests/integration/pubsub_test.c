/* Publish and subscribe, keyspace events and MONITOR, with one worker and with three. */
#include "tests/integration/server.h"

#define SUBSCRIBERS 7 /* more than workers, so that several share one */
#define MESSAGES 200

START_TEST(publish_counts_and_reaches_the_subscribers_of_all_workers) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *publisher = server_connect(&server);
    redisContext *subscribers[SUBSCRIBERS];
    EXPECT(publisher, ":0", "PUBLISH news nobody");
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i] = server_connect(&server);
        EXPECT(subscribers[i], "[subscribe news :1]", "SUBSCRIBE news");
    }
    EXPECT(subscribers[0], "[psubscribe n?ws :2]", "PSUBSCRIBE n?ws");
    EXPECT(publisher, ":8", "PUBLISH news hello");
    for (int i = 0; i < SUBSCRIBERS; i++) {
        EXPECT_NEXT(subscribers[i], "[message news hello]");
    }
    EXPECT_NEXT(subscribers[0], "[pmessage n?ws news hello]");
    EXPECT(publisher, "[news :7 none :0]", "PUBSUB NUMSUB news none");
    EXPECT(publisher, "[news]", "PUBSUB CHANNELS");
    EXPECT(publisher, ":1", "PUBSUB NUMPAT");
    EXPECT(subscribers[0], "[unsubscribe news :1]", "UNSUBSCRIBE news");
    EXPECT(publisher, ":7", "PUBLISH news again");
    EXPECT_NEXT(subscribers[0], "[pmessage n?ws news again]");
    for (int i = 0; i < SUBSCRIBERS; i++) {
        redisFree(subscribers[i]);
    }
    expect_soon(publisher, "[]", "PUBSUB CHANNELS");
    expect_soon(publisher, ":0", "PUBSUB NUMPAT");
    redisFree(publisher);
    server_stop(&server);
}
END_TEST

START_TEST(messages_of_one_publisher_arrive_in_order) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *publisher = server_connect(&server);
    redisContext *subscribers[SUBSCRIBERS];
    char text[64];
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i] = server_connect(&server);
        EXPECT(subscribers[i], "[subscribe news :1]", "SUBSCRIBE news");
    }
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof(text), "PUBLISH news %d", i);
        client_send(publisher, text);
    }
    for (int i = 0; i < MESSAGES; i++) {
        EXPECT_NEXT(publisher, ":7");
    }
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof(text), "[message news %d]", i);
        for (int j = 0; j < SUBSCRIBERS; j++) {
            EXPECT_NEXT(subscribers[j], text);
        }
    }
    for (int i = 0; i < SUBSCRIBERS; i++) {
        redisFree(subscribers[i]);
    }
    redisFree(publisher);
    server_stop(&server);
}
END_TEST

START_TEST(shard_channels_are_apart_from_channels) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *publisher = server_connect(&server);
    redisContext *subscriber = server_connect(&server);
    EXPECT(subscriber, "[ssubscribe a :1]", "SSUBSCRIBE a");
    EXPECT(subscriber, "[psubscribe * :1]", "PSUBSCRIBE *");
    EXPECT(publisher, ":1", "SPUBLISH a shard");
    EXPECT(publisher, ":1", "PUBLISH a plain");
    EXPECT_NEXT(subscriber, "[smessage a shard]");
    EXPECT_NEXT(subscriber, "[pmessage * a plain]");
    EXPECT(publisher, "[a]", "PUBSUB SHARDCHANNELS");
    EXPECT(publisher, "[a :1 b :0]", "PUBSUB SHARDNUMSUB a b");
    EXPECT(subscriber, "[sunsubscribe a :0]", "SUNSUBSCRIBE");
    EXPECT(subscriber, "[sunsubscribe nil :0]", "SUNSUBSCRIBE");
    redisFree(publisher);
    redisFree(subscriber);
    server_stop(&server);
}
END_TEST

START_TEST(own_messages_follow_the_reply_of_the_command_and_of_exec) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT_PART(client, "proto :3", "HELLO 3");
    EXPECT(client, ">[subscribe a :1]", "SUBSCRIBE a");
    EXPECT(client, ":1", "PUBLISH a one");
    EXPECT_NEXT(client, ">[message a one]");
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "+QUEUED", "PUBLISH a two");
    EXPECT(client, "+QUEUED", "PING");
    EXPECT(client, "[:1 +PONG]", "EXEC");
    EXPECT_NEXT(client, ">[message a two]");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(pushes_do_not_get_between_the_parts_of_a_gathered_reply) {
    struct server server =
        server_start(server_worker_options[_i], "--notify-keyspace-events KEA", NULL);
    redisContext *client = server_connect(&server);
    redisContext *writer = server_connect(&server);
    EXPECT_PART(client, "proto :3", "HELLO 3");
    EXPECT(client, ">[psubscribe * :1]", "PSUBSCRIBE *");
    char text[64];
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof(text), "SET key:%d v", i);
        client_send(writer, text);
        client_send(client, "KEYS none*");
        client_send(client, "DBSIZE");
    }
    int replies = 0;
    int pushes = 0;
    while (replies < 2 * MESSAGES || pushes < 2 * MESSAGES) {
        struct reply_text got = client_read(client);
        bool is_push = got.bytes[0] == '>';
        ck_assert_msg(is_push || strcmp(got.bytes, "[]") == 0 || got.bytes[0] == ':', "got '%s'",
                      got.bytes);
        pushes += is_push ? 1 : 0;
        replies += is_push ? 0 : 1;
    }
    for (int i = 0; i < MESSAGES; i++) {
        EXPECT_NEXT(writer, "+OK");
    }
    redisFree(client);
    redisFree(writer);
    server_stop(&server);
}
END_TEST

START_TEST(keyspace_events_reach_subscribers_whichever_worker_the_key_is_on) {
    struct server server =
        server_start(server_worker_options[_i], "--notify-keyspace-events KEg$", NULL);
    redisContext *client = server_connect(&server);
    redisContext *subscribers[SUBSCRIBERS];
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i] = server_connect(&server);
        EXPECT(subscribers[i], "[psubscribe __key*__:* :1]", "PSUBSCRIBE __key*__:*");
    }
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f"};
    EXPECT(client, "+OK", "SELECT 3");
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        char text[128];
        snprintf(text, sizeof(text), "SET %s v", keys[k]);
        EXPECT(client, "+OK", text);
        for (int i = 0; i < SUBSCRIBERS; i++) {
            snprintf(text, sizeof(text), "[pmessage __key*__:* __keyspace@3__:%s set]", keys[k]);
            EXPECT_NEXT(subscribers[i], text);
            snprintf(text, sizeof(text), "[pmessage __key*__:* __keyevent@3__:set %s]", keys[k]);
            EXPECT_NEXT(subscribers[i], text);
        }
    }
    EXPECT(client, ":1", "HSET h f v");
    EXPECT(client, ":1", "DEL a");
    EXPECT_NEXT(subscribers[0], "[pmessage __key*__:* __keyspace@3__:a del]");
    for (int i = 0; i < SUBSCRIBERS; i++) {
        redisFree(subscribers[i]);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(subscribers_that_do_not_read_are_closed_at_the_hard_limit) {
    struct server server = server_start(server_worker_options[_i],
                                        "--client-output-buffer-limit pubsub 4000000 0 0", NULL);
    redisContext *publisher = server_connect(&server);
    redisContext *subscriber = server_connect(&server);
    redisContext *reader = server_connect(&server);
    EXPECT(subscriber, "[subscribe news :1]", "SUBSCRIBE news");
    EXPECT(reader, "[subscribe other :1]", "SUBSCRIBE other");
    bool is_closed = false;
    for (int i = 0; i < 1000 && !is_closed; i++) {
        is_closed = strcmp(client_ask_with(publisher, "PUBLISH news", 1000000).bytes, ":0") == 0;
    }
    ck_assert(is_closed);
    expect_closed(subscriber);
    server_expect_log(&server, SERVER_LOG_OF_OUTPUT_LIMIT);
    server_expect_log(&server, " flags=P ");
    EXPECT(publisher, ":1", "PUBLISH other x");
    EXPECT_NEXT(reader, "[message other x]");
    redisFree(publisher);
    redisFree(subscriber);
    redisFree(reader);
    server_stop(&server);
}
END_TEST

START_TEST(subscribers_above_the_soft_limit_are_closed_after_its_seconds) {
    struct server server = server_start(server_worker_options[_i],
                                        "--client-output-buffer-limit pubsub 0 100000 3", NULL);
    redisContext *publisher = server_connect(&server);
    redisContext *subscriber = server_connect(&server);
    EXPECT(subscriber, "[subscribe news :1]", "SUBSCRIBE news");
    /* More than the sockets' buffers take. */
    ck_assert_str_eq(client_ask_with(publisher, "PUBLISH news", 20000000).bytes, ":1");
    EXPECT(publisher, "[news :1]", "PUBSUB NUMSUB news");
    expect_soon(publisher, "[news :0]", "PUBSUB NUMSUB news");
    server_expect_log(&server, SERVER_LOG_OF_OUTPUT_LIMIT);
    redisFree(publisher);
    redisFree(subscriber);
    server_stop(&server);
}
END_TEST

START_TEST(monitors_are_told_of_commands_on_all_workers_in_the_order_of_a_connection) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *monitors[3];
    for (int i = 0; i < 3; i++) {
        monitors[i] = server_connect(&server);
        EXPECT(monitors[i], "+OK", "MONITOR");
    }
    char text[64];
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof(text), "SET key:%d v", i);
        client_send(client, text);
    }
    client_send(client, "AUTH default secret");
    client_send(client, "CONFIG GET port"); /* An administrator's: not told. */
    client_send(client, "ECHO end");
    for (int m = 0; m < 3; m++) {
        for (int i = 0; i < MESSAGES; i++) {
            struct reply_text got = client_read(monitors[m]);
            snprintf(text, sizeof(text), "] \"SET\" \"key:%d\" \"v\"", i);
            ck_assert_msg(strstr(got.bytes, text) != NULL, "got '%s', not '%s'", got.bytes, text);
        }
        struct reply_text got = client_read(monitors[m]);
        ck_assert_ptr_nonnull(strstr(got.bytes, "] \"AUTH\" \"(redacted)\" \"(redacted)\""));
        got = client_read(monitors[m]);
        ck_assert_ptr_nonnull(strstr(got.bytes, "] \"ECHO\" \"end\""));
    }
    EXPECT(monitors[0], "-ERR Replica can't interact with the keyspace", "GET k");
    EXPECT(monitors[0], "+RESET", "RESET");
    EXPECT(monitors[0], "nil", "GET k");
    for (int i = 0; i < 3; i++) {
        redisFree(monitors[i]);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        publish_counts_and_reaches_the_subscribers_of_all_workers,
        messages_of_one_publisher_arrive_in_order,
        shard_channels_are_apart_from_channels,
        own_messages_follow_the_reply_of_the_command_and_of_exec,
        pushes_do_not_get_between_the_parts_of_a_gathered_reply,
        keyspace_events_reach_subscribers_whichever_worker_the_key_is_on,
        subscribers_that_do_not_read_are_closed_at_the_hard_limit,
        subscribers_above_the_soft_limit_are_closed_after_its_seconds,
        monitors_are_told_of_commands_on_all_workers_in_the_order_of_a_connection,
    };
    return unit_run(server_suite("pubsub", tests, UNIT_COUNT(tests)));
}
