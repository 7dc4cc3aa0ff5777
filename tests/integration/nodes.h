/* Nodes of a cluster for integration tests: real servers that meet.
 *
 *     struct server nodes[3];
 *     nodes_start(nodes, 3);
 *     nodes_meet(nodes, 3);
 *     nodes_stop(nodes, 3);
 */
#ifndef TARN_TESTS_INTEGRATION_NODES_H
#define TARN_TESTS_INTEGRATION_NODES_H

#include "tests/integration/server.h"

#define NODES_MAX 8

static inline struct reply_text node_ask(const struct server *node, const char *command) {
    redisContext *client = server_connect(node);
    struct reply_text text = client_ask(client, command);
    redisFree(client);
    return text;
}

/* Asks until the answer has the part. */
static inline void node_expect_soon(const struct server *node, const char *part,
                                    const char *command) {
    redisContext *client = server_connect(node);
    struct reply_text got = {.length = 0};
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        got = client_ask(client, command);
        if (strstr(got.bytes, part) != NULL) {
            redisFree(client);
            return;
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("port %d, %s: got '%s', without '%s'", node->port, command, got.bytes, part);
}

static inline struct server node_start(const char *option) {
    return server_start("--cluster-enabled yes", "--cluster-node-timeout 1000", option, NULL);
}

static inline void node_restart(struct server *node, const char *option) {
    server_restart(node, "--cluster-enabled yes", "--cluster-node-timeout 1000", option, NULL);
}

static inline void nodes_start(struct server *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        nodes[i] = node_start(NULL);
    }
}

static inline void nodes_stop(struct server *nodes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        server_stop(&nodes[i]);
    }
}

/* The first node's CLUSTER MEET of another. */
static inline void node_meet(const struct server *node, const struct server *other) {
    char command[64];
    snprintf(command, sizeof(command), "CLUSTER MEET 127.0.0.1 %d", other->port);
    struct reply_text got = node_ask(node, command);
    ck_assert_msg(strcmp(got.bytes, "+OK") == 0, "%s: %s", command, got.bytes);
}

/* Each of them knows so many. */
static inline void nodes_expect_count(const struct server *nodes, size_t count, size_t known) {
    char part[64];
    snprintf(part, sizeof(part), "cluster_known_nodes:%zu\r\n", known);
    for (size_t i = 0; i < count; i++) {
        node_expect_soon(&nodes[i], part, "CLUSTER INFO");
    }
}

static inline void nodes_meet(const struct server *nodes, size_t count) {
    for (size_t i = 1; i < count; i++) {
        node_meet(&nodes[0], &nodes[i]);
    }
    nodes_expect_count(nodes, count, count);
}

/* Its id, which is a text without a "+". */
static inline struct reply_text node_id(const struct server *node) {
    return node_ask(node, "CLUSTER MYID");
}

#endif
