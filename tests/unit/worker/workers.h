/* A node with workers that have no threads: a test ticks them by hand, and talks to them through
 * socket pairs. Commands that need a stop work with one worker only, since nobody else would stand
 * still.
 */
#ifndef TARN_TESTS_UNIT_WORKER_WORKERS_H
#define TARN_TESTS_UNIT_WORKER_WORKERS_H

#include "base/memory.h"
#include "commands/keyspace_commands.h"
#include "commands/string.h"
#include "tests/unit/unit.h"
#include "worker/client_commands.h"
#include "worker/client_info.h"
#include "worker/connection_commands.h"
#include "worker/monitor.h"
#include "worker/notices.h"
#include "worker/pubsub.h"
#include "worker/quorum_gate.h"
#include "worker/wait_commands.h"
#include "worker/worker.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS_SOCKET_BYTES (8 * 1024 * 1024)

struct workers {
    struct node node;
    struct worker_options options;
    struct store_options store_options;
};

/* The other end of a connection. */
struct peer {
    int fd;
    struct connection *connection;
};

static const struct command *const workers_families[] = {
    string_commands,     string_part_commands, string_number_commands, string_lcs_commands,
    connection_commands, transaction_commands, client_commands,        pubsub_commands,
    monitor_commands,    slow_log_commands,    keyspace_commands,      wait_commands,
};

static inline struct workers *workers_new(uint32_t count) {
    static const uint64_t seeds[2] = {1, 2};
    struct workers *workers = memory_alloc_zeroed(sizeof(*workers));
    struct node *node = &workers->node;
    store_options_init(&workers->store_options);
    worker_options_init(&workers->options);
    node->worker_count = count;
    node->keyspace = keyspace_new(&workers->store_options, count, 16, seeds);
    node->commands = command_table_new(workers_families, UNIT_COUNT(workers_families));
    node->options = &workers->options;
    node->store_options = &workers->store_options;
    node->password = "";
    stop_init(&node->stop);
    quorum_init(&node->quorum, quorum_gate_progress, node);
    slow_log_init(&node->slow_log);
    for (uint32_t i = 0; i < count; i++) {
        node->workers[i] = worker_new(node, i);
        ck_assert_ptr_nonnull(node->workers[i]);
    }
    return workers;
}

/* Peers are closed before or after. */
static inline void workers_free(struct workers *workers) {
    struct node *node = &workers->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_free(node->workers[i]);
    }
    slow_log_free(&node->slow_log);
    stop_destroy(&node->stop);
    keyspace_free(node->keyspace);
    command_table_free((struct command_table *)(uintptr_t)node->commands);
    store_options_clear(&workers->store_options);
    worker_options_clear(&workers->options);
    memory_free(workers);
}

static inline struct worker *workers_at(struct workers *workers, uint32_t i) {
    return workers->node.workers[i];
}

/* One tick of one worker, which waits for nothing. */
static inline void workers_tick(struct workers *workers, uint32_t i) {
    loop_wake(workers_at(workers, i)->loop);
    worker_tick(workers_at(workers, i));
}

/* Ticks all workers until what is on its way must have arrived. */
static inline void workers_settle(struct workers *workers) {
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < workers->node.worker_count; i++) {
            workers_tick(workers, i);
        }
    }
}

static inline struct peer peer_new(struct workers *workers, uint32_t home) {
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    int size = WORKERS_SOCKET_BYTES;
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    struct worker *worker = workers_at(workers, home);
    atomic_fetch_add(&workers->node.clients, 1);
    worker_adopt(worker, fds[0], true);
    return (struct peer){
        .fd = fds[1],
        .connection = LIST_ENTRY(worker->connections.previous, struct connection, link),
    };
}

/* Sends as much as the socket takes; answers how much. */
static inline size_t peer_send(const struct peer *peer, const char *bytes, size_t length) {
    ssize_t sent = send(peer->fd, bytes, length, MSG_NOSIGNAL);
    ck_assert(sent >= 0 || errno == EAGAIN);
    return sent < 0 ? 0 : (size_t)sent;
}

static inline void peer_say(const struct peer *peer, const char *text) {
    ck_assert_uint_eq(peer_send(peer, text, strlen(text)), strlen(text));
}

/* What is there to be read. */
static inline void peer_expect(const struct peer *peer, const char *wanted) {
    char got[4096];
    ssize_t length = recv(peer->fd, got, sizeof(got) - 1, 0);
    ck_assert(length >= 0 || errno == EAGAIN);
    got[length < 0 ? 0 : length] = '\0';
    ck_assert_str_eq(got, wanted);
}

#endif
