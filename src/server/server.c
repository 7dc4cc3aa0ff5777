#include "server/server.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/files.h"
#include "io/readiness.h"
#include "io/signals.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Descriptors beyond the clients' that the process may need. */
#define RESERVED_DESCRIPTORS 32

/* ---- new and free ---- */

static void draw_id(char *text) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[SERVER_RUN_ID_LENGTH];
    random_seed_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < SERVER_RUN_ID_LENGTH; i++) {
        text[i] = digits[bytes[i] & 15];
    }
    text[SERVER_RUN_ID_LENGTH] = '\0';
}

static void node_init(struct server *server) {
    struct node *node = &server->node;
    const struct options *options = server->options;
    uint64_t seeds[2];
    random_seed_bytes(seeds, sizeof(seeds));
    node->worker_count = (uint32_t)options->server.workers;
    node->keyspace = keyspace_new(&options->store, node->worker_count,
                                  (uint32_t)options->server.databases, seeds);
    node->commands = command_table_new(server_command_families, server_command_families_count);
    node->options = &options->worker;
    node->store_options = &options->store;
    node->server = server;
    node->password = options->server.requirepass;
    node->protected_mode = options->server.protected_mode;
    stop_init(&node->stop);
}

struct server *server_new(struct config *config, struct options *options) {
    struct server *server = memory_alloc_zeroed(sizeof(*server));
    server->options = options;
    server->config = config;
    server->started_ms = clock_wall_ms();
    server->started_us = clock_monotonic_us();
    draw_id(server->run_id);
    draw_id(server->replication_id);
    ssize_t length = readlink("/proc/self/exe", server->executable, sizeof(server->executable) - 1);
    server->executable[length > 0 ? length : 0] = '\0';
    node_init(server);
    return server;
}

void server_free(struct server *server) {
    stop_destroy(&server->node.stop);
    keyspace_free(server->node.keyspace);
    command_table_free((struct command_table *)(uintptr_t)server->node.commands);
    memory_free(server);
}

/* ---- start ---- */

static void raise_descriptor_limit(struct server *server) {
    struct worker_options *worker_options = &server->options->worker;
    uint64_t wanted = (uint64_t)worker_options->maxclients + RESERVED_DESCRIPTORS;
    uint64_t limit = network_raise_descriptor_limit(wanted);
    if (limit < wanted) {
        int64_t clients = limit > RESERVED_DESCRIPTORS ? (int64_t)limit - RESERVED_DESCRIPTORS : 1;
        log_warning("The system allows %llu open files: maxclients is lowered from %lld to %lld.",
                    (unsigned long long)limit, (long long)worker_options->maxclients,
                    (long long)clients);
        worker_options->maxclients = clients;
    }
}

static int listen_tcp(struct server *server, int fds[NETWORK_LISTENERS_MAX]) {
    const struct server_options *options = &server->options->server;
    if (options->port == 0) {
        return 0;
    }
    struct buffer bind = BUFFER_EMPTY;
    for (size_t i = 0; i < options->bind.count; i++) {
        buffer_format(&bind, "%s%s", i == 0 ? "" : " ", options->bind.items[i]);
    }
    buffer_append_byte(&bind, '\0');
    int count = network_listen_tcp(
        &(struct network_listen_options){
            .bind = bind.bytes,
            .port = (uint16_t)options->port,
            .backlog = (int)options->tcp_backlog,
        },
        fds);
    buffer_free(&bind);
    return count;
}

static int listen_all(struct server *server) {
    const struct server_options *options = &server->options->server;
    int fds[NETWORK_LISTENERS_MAX];
    int count = listen_tcp(server, fds);
    if (count < 0) {
        log_warning("Failed listening on port %lld (tcp), aborting.", (long long)options->port);
        return EX_UNAVAILABLE;
    }
    int unix_fd = -1;
    if (options->unixsocket[0] != '\0') {
        unix_fd = network_listen_unix(options->unixsocket, (mode_t)options->unixsocketperm,
                                      (int)options->tcp_backlog);
        if (unix_fd < 0) {
            log_warning("Failed opening Unix socket: bind: %s", strerror(errno));
            return EX_UNAVAILABLE;
        }
    }
    if (count == 0 && unix_fd < 0) {
        log_warning("Configured to not listen anywhere, exiting.");
        return EX_CONFIG;
    }
    server->port = (uint16_t)options->port;
    worker_listen(server->node.workers[0], fds, (size_t)count, unix_fd);
    return 0;
}

static int start_workers(struct server *server) {
    struct node *node = &server->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i] = worker_new(node, i);
        if (node->workers[i] == NULL) {
            log_warning("Cannot make the event loop of worker %u: %s", i, strerror(errno));
            return EX_OSERR;
        }
    }
    int code = listen_all(server);
    if (code != 0) {
        return code;
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        int error = worker_start(node->workers[i]);
        if (error != 0) {
            log_warning("Cannot start worker %u: %s", i, strerror(error));
            return EX_OSERR;
        }
    }
    return 0;
}

static void write_pidfile(const struct server *server) {
    const char *path = server->options->server.pidfile;
    if (path[0] == '\0') {
        return;
    }
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        log_warning("Failed to write PID file: %s", strerror(errno));
        return;
    }
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
}

int server_start(struct server *server) {
    const struct server_options *options = &server->options->server;
    if (chdir(options->dir) != 0) {
        log_warning("Can't chdir to '%s': %s", options->dir, strerror(errno));
        return EX_CONFIG;
    }
    if (options->disable_thp) {
        prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
    raise_descriptor_limit(server);
    server->node.background = background_new("background");
    if (server->node.background == NULL) {
        log_warning("Cannot start the background thread: %s", strerror(errno));
        return EX_OSERR;
    }
    write_pidfile(server);
    log_notice("Server initialized");
    int code = start_workers(server);
    if (code != 0) {
        return code;
    }
    if (options->unixsocket[0] != '\0') {
        log_notice("Ready to accept connections unix");
    }
    if (options->port != 0) {
        log_notice("Ready to accept connections tcp");
    }
    readiness_notify(getenv("NOTIFY_SOCKET"),
                     READINESS_STATUS("Ready to accept connections") READINESS_READY);
    return 0;
}

/* ---- until the end ---- */

void server_request_shutdown(struct server *server, int exit_code) {
    atomic_store(&server->exit_code, exit_code);
    atomic_store(&server->is_shutting_down, true);
    kill(getpid(), SIGTERM); /* Wakes the main thread from its wait. */
}

static void reload(struct server *server) {
    (void)server;
    log_notice("Received SIGHUP.");
}

void server_wait(struct server *server) {
    for (;;) {
        int signal_number = signals_wait(UINT64_MAX);
        if (signal_number == SIGHUP) {
            reload(server);
        } else if (signal_number == SIGTERM || signal_number == SIGINT) {
            if (!atomic_load(&server->is_shutting_down)) {
                log_warning("Received %s scheduling shutdown...",
                            signal_number == SIGTERM ? "SIGTERM" : "SIGINT");
            }
            return;
        }
    }
}

int server_stop(struct server *server) {
    struct node *node = &server->node;
    const struct server_options *options = &server->options->server;
    log_notice("User requested shutdown...");
    readiness_notify(getenv("NOTIFY_SOCKET"), READINESS_STOPPING);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_join(node->workers[i]);
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_free(node->workers[i]);
    }
    background_free(node->background);
    if (options->unixsocket[0] != '\0') {
        unlink(options->unixsocket);
    }
    if (options->pidfile[0] != '\0') {
        log_notice("Removing the pid file.");
        unlink(options->pidfile);
    }
    log_warning("Tarn is now ready to exit, bye bye...");
    return atomic_load(&server->exit_code);
}
