/* Primaries and replicas as processes, for integration tests: what all tests of them ask and wait
 * for. */
#ifndef TARN_TESTS_INTEGRATION_REPLICAS_H
#define TARN_TESTS_INTEGRATION_REPLICAS_H

#include "tests/integration/server.h"

static inline void follow(redisContext *replica, int port) {
    char command[64];
    snprintf(command, sizeof(command), "REPLICAOF 127.0.0.1 %d", port);
    EXPECT(replica, "+OK", command);
}

/* The number behind name: in INFO. */
static inline long long info(redisContext *client, const char *name) {
    redisReply *reply = redisCommand(client, "INFO everything");
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
    char line[64];
    snprintf(line, sizeof(line), "\r\n%s:", name);
    const char *found = strstr(reply->str, line);
    ck_assert_msg(found != NULL, "INFO has no %s", name);
    long long number = strtoll(found + strlen(line), NULL, 10);
    freeReplyObject(reply);
    return number;
}

static inline bool link_is_up(redisContext *replica) {
    redisReply *reply = redisCommand(replica, "INFO replication");
    ck_assert_ptr_nonnull(reply);
    bool is_up = strstr(reply->str, "master_link_status:up") != NULL;
    freeReplyObject(reply);
    return is_up;
}

static inline void wait_for_link(redisContext *replica, bool is_up) {
    for (int i = 0; link_is_up(replica) != is_up; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
}

/* Nobody writes, but keys may still expire: the replica comes to hold what the primary holds. */
static inline void expect_same(redisContext *primary, redisContext *replica) {
    for (int i = 0;; i++) {
        long long offset = info(primary, "master_repl_offset");
        if (link_is_up(replica) && info(replica, "master_repl_offset") == offset) {
            struct reply_text wanted = client_ask(primary, "DEBUG DIGEST");
            if (strcmp(client_ask(replica, "DEBUG DIGEST").bytes, wanted.bytes) == 0) {
                return;
            }
        }
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 20, "the replica differs");
        server_sleep_ms(20);
    }
}

#endif
