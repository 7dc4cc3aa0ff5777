#include "server/server.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/readiness.h"
#include "io/signals.h"
#include "server/cluster.h"
#include "server/link_clients.h"
#include "server/migrate.h"
#include "server/option_changes.h"
#include "server/persistence.h"
#include "server/replicator.h"
#include "server/server_commands.h"
#include "server/shutdown.h"
#include "worker/applying.h"
#include "worker/cutting.h"
#include "worker/listeners.h"
#include "worker/quorum_gate.h"
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

/* While data is loaded, signals are looked for so often. */
#define LOADING_LOOK_MS 50

/* Descriptors beyond the clients' that the process may need. */
#define RESERVED_DESCRIPTORS 32

/* ---- new and free ---- */

void server_draw_id(char text[SERVER_ID_LENGTH + 1]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[SERVER_ID_LENGTH];
    random_seed_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < SERVER_ID_LENGTH; i++) {
        text[i] = digits[bytes[i] & 15];
    }
    text[SERVER_ID_LENGTH] = '\0';
}

static void cron(struct node *node) {
    struct saving *saving = atomic_load(&node->server->saving);
    if (saving != NULL) {
        saving_cron(saving);
    }
    figures_sample(&node->server->samples, node, clock_monotonic_us());
}

static void note_latency(struct node *node, const char *event, int64_t duration_ms) {
    latency_note(&node->server->latency, event, clock_wall_ms() / 1000, duration_ms);
}

static void log_grew(struct node *node) {
    loop_wake(node->server->replicator->loop);
}

static void node_init(struct server *server) {
    struct node *node = &server->node;
    const struct options *options = server->options;
    uint64_t seeds[2];
    random_seed_bytes(seeds, sizeof(seeds));
    node->worker_count = (uint32_t)options->server.workers;
    node->keyspace = keyspace_new(&options->store, node->worker_count,
                                  (uint32_t)options->server.databases, seeds);
    node->commands = config_command_table(server->config);
    node->options = &options->worker;
    node->store_options = &options->store;
    node->server = server;
    node->password = options->server.requirepass;
    node->protected_mode = options->server.protected_mode;
    node->cron = cron;
    node->latency_event = note_latency;
    node->protected_refusal = debug_refusal;
    node->log_grew = log_grew;
    node->links = link_clients(server);
    cutting_turn_init(&node->cutting_turn);
    stop_init(&node->stop);
    quorum_init(&node->quorum, quorum_gate_progress, node);
    slow_log_init(&node->slow_log);
}

struct server *server_new(struct config *config, struct options *options,
                          const struct process_title *title) {
    struct server *server = memory_alloc_zeroed(sizeof(*server));
    server->options = options;
    server->config = config;
    server->title = title;
    server->started_ms = clock_wall_ms();
    server->started_us = clock_monotonic_us();
    server_draw_id(server->run_id);
    server_draw_id(server->replication_id);
    ssize_t length = readlink("/proc/self/exe", server->executable, sizeof(server->executable) - 1);
    server->executable[length > 0 ? length : 0] = '\0';
    latency_init(&server->latency);
    replication_init(&server->replication);
    replica_init(&server->replica, server);
    failover_init(&server->failover);
    server->write_pause.node = &server->node;
    node_init(server);
    server->migrate = migrate_new(&server->node);
    option_changes_register(server);
    replication_configure(server);
    replica_configure(&server->replica);
    return server;
}

void server_free(struct server *server) {
    latency_free(&server->latency);
    migrate_free(server->migrate);
    failover_destroy(&server->failover);
    replica_destroy(&server->replica);
    replication_destroy(&server->replication);
    applying_free(server->node.applying);
    slow_log_free(&server->node.slow_log);
    stop_destroy(&server->node.stop);
    cutting_turn_destroy(&server->node.cutting_turn);
    keyspace_free(server->node.keyspace);
    memory_free(server);
}

void server_log_lines(int level, const struct buffer *text) {
    const char *at = text->bytes;
    const char *end = at == NULL ? NULL : at + text->length;
    while (at != end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end == NULL ? end : line_end) - at);
        log_write((enum log_level)level, "%.*s", (int)length, at);
        at = line_end == NULL ? end : line_end + 1;
    }
}

/* ---- start ---- */

bool server_configure_logger(const struct server_options *options) {
    return logger_configure(&(struct logger_options){
        .level = (enum log_level)options->loglevel,
        .file = options->logfile,
        .syslog_enabled = options->syslog_enabled,
        .syslog_ident = options->syslog_ident,
        .syslog_facility = options->syslog_facility,
    });
}

int64_t server_reserve_descriptors(const struct server *server) {
    int64_t wanted = server->options->worker.maxclients;
    uint64_t limit = network_raise_descriptor_limit((uint64_t)wanted + RESERVED_DESCRIPTORS);
    if (limit >= (uint64_t)wanted + RESERVED_DESCRIPTORS) {
        return wanted;
    }
    return limit > RESERVED_DESCRIPTORS ? (int64_t)limit - RESERVED_DESCRIPTORS : 1;
}

static void fit_maxclients(struct server *server) {
    int64_t *maxclients = &server->options->worker.maxclients;
    int64_t fitting = server_reserve_descriptors(server);
    if (fitting < *maxclients) {
        log_warning("The system does not allow files enough for %lld clients: maxclients is now "
                    "%lld.",
                    (long long)*maxclients, (long long)fitting);
        *maxclients = fitting;
    }
}

static void mark_socket(int fd, uint32_t mark) {
    if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) {
        log_warning("Cannot set the mark %u of a listening socket: %s", mark, strerror(errno));
    }
}

void server_bind_addresses(const struct server_options *options, struct buffer *text) {
    for (size_t i = 0; i < options->bind.count; i++) {
        buffer_format(text, "%s%s", i == 0 ? "" : " ", options->bind.items[i]);
    }
    buffer_append_byte(text, '\0');
}

bool server_listen_tcp(struct server *server) {
    const struct server_options *options = &server->options->server;
    if (options->port == 0) {
        return true;
    }
    struct buffer bind = BUFFER_EMPTY;
    server_bind_addresses(options, &bind);
    int fds[NETWORK_LISTENERS_MAX];
    int count = network_listen_tcp(
        &(struct network_listen_options){
            .bind = bind.bytes,
            .port = (uint16_t)options->port,
            .backlog = (int)options->tcp_backlog,
        },
        fds);
    buffer_free(&bind);
    if (count < 0) {
        log_warning("Failed listening on port %lld (tcp)", (long long)options->port);
        return false;
    }
    for (int i = 0; options->socket_mark_id != 0 && i < count; i++) {
        mark_socket(fds[i], (uint32_t)options->socket_mark_id);
    }
    worker_listen(server->node.workers[0], fds, (size_t)count, -1);
    return true;
}

static bool listen_unix(struct server *server) {
    const struct server_options *options = &server->options->server;
    if (options->unixsocket[0] == '\0') {
        return true;
    }
    int fd = network_listen_unix(options->unixsocket, (mode_t)options->unixsocketperm,
                                 (int)options->tcp_backlog);
    if (fd < 0) {
        log_warning("Failed opening Unix socket: bind: %s", strerror(errno));
        return false;
    }
    worker_listen(server->node.workers[0], NULL, 0, fd);
    return true;
}

static int listen_all(struct server *server) {
    if (!server_listen_tcp(server) || !listen_unix(server)) {
        return EX_UNAVAILABLE;
    }
    const struct listeners *listeners = server->node.workers[0]->listeners;
    if (listeners == NULL || listeners->count == 0) {
        log_warning("Configured to not listen anywhere, exiting.");
        return EX_CONFIG;
    }
    return 0;
}

static void forget_unix_socket(const struct server *server) {
    if (server->options->server.unixsocket[0] != '\0') {
        unlink(server->options->server.unixsocket);
    }
}

/* The first `count` workers. */
static void free_workers(struct node *node, uint32_t count) {
    while (count-- > 0) {
        worker_free(node->workers[count]);
        node->workers[count] = NULL;
    }
}

static void join_workers(struct node *node, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        worker_join(node->workers[i]);
    }
}

/* Makes them all, or none. */
static int make_workers(struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i] = worker_new(node, i);
        if (node->workers[i] == NULL) {
            log_warning("Cannot make the event loop of worker %u: %s", i, strerror(errno));
            free_workers(node, i);
            return EX_OSERR;
        }
    }
    return 0;
}

/* Starts them all, or none. */
static int start_workers(struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        int error = worker_start(node->workers[i]);
        if (error != 0) {
            log_warning("Cannot start worker %u: %s", i, strerror(error));
            join_workers(node, i);
            return EX_OSERR;
        }
    }
    return 0;
}

static int start_replicator(struct server *server) {
    server->replicator = replicator_new(server);
    if (server->replicator == NULL) {
        log_warning("Cannot start the replication thread: %s", strerror(errno));
        return EX_OSERR;
    }
    return 0;
}

/* Workers offer links until they end, and the log tells of its growth until it is closed. */
static void free_replicator(struct server *server) {
    if (server->replicator != NULL) {
        replicator_free(server->replicator);
        server->replicator = NULL;
    }
}

/* What is in use before there is data. maxmemory counts it from the first command on. */
static void measure_memory(struct server *server) {
    struct memory_totals totals;
    memory_totals_read(&totals);
    server->memory_at_start_bytes = totals.allocated;
    atomic_store(&server->node.memory_other_bytes, totals.allocated);
}

/* Under a stop: the workers run, and options are theirs to change. */
static void announce(void *context) {
    const struct server *server = context;
    const struct server_options *options = &server->options->server;
    if (options->port != 0) {
        log_notice("Ready to accept connections tcp");
    }
    if (options->unixsocket[0] != '\0') {
        log_notice("Ready to accept connections unix");
    }
}

/* Until the workers have loaded what there is, and the log is open. SIGTERM ends it. */
static int load(struct server *server) {
    while (!persistence_is_loaded(server, LOADING_LOOK_MS)) {
        int signal_number = signals_wait(0);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            log_warning("Asked to end while the data is loaded.");
            return SERVER_ENDED;
        }
    }
    return persistence_start(server);
}

int server_start(struct server *server) {
    struct node *node = &server->node;
    const struct server_options *options = &server->options->server;
    if (chdir(options->dir) != 0) {
        log_warning("Can't chdir to '%s': %s", options->dir, strerror(errno));
        return EX_CONFIG;
    }
    fit_maxclients(server);
    process_title_set(server->title, options, config_file(server->config));
    memory_give_back();
    node->background = background_new("background");
    if (node->background == NULL) {
        log_warning("Cannot start the background thread: %s", strerror(errno));
        return EX_OSERR;
    }
    int code = make_workers(node);
    if (code != 0) {
        goto fail_after_background;
    }
    code = listen_all(server);
    if (code != 0) {
        goto fail_after_workers;
    }
    process_write_pid_file(options);
    logger_set_role('M');
    log_notice("Running mode=%s, port=%lld, workers=%u, PID: %d",
               server->options->cluster.enabled ? "cluster" : "standalone",
               (long long)options->port, node->worker_count, (int)getpid());
    log_notice("Server initialized");
    measure_memory(server);
    code = persistence_prepare(server);
    if (code != 0) {
        goto fail_after_persistence;
    }
    code = start_replicator(server);
    if (code != 0) {
        goto fail_after_persistence;
    }
    code = cluster_open(server);
    if (code != 0) {
        goto fail_after_replicator;
    }
    code = start_workers(node);
    if (code != 0) {
        goto fail_after_cluster;
    }
    code = cluster_start(server);
    if (code != 0) {
        goto fail_after_start;
    }
    code = load(server);
    if (code != 0) {
        goto fail_after_start;
    }
    cluster_loaded(server);
    stop_visit(node, announce, server);
    readiness_notify(getenv("NOTIFY_SOCKET"),
                     READINESS_STATUS("Ready to accept connections") READINESS_READY);
    return 0;

fail_after_start:
    migrate_end(server->migrate);
    cluster_end(server);
    persistence_end_saving(server);
    replicator_end(server->replicator);
    join_workers(node, node->worker_count);
    cluster_close(server);
    goto fail_after_persistence;
fail_after_cluster:
    cluster_close(server);
fail_after_replicator:
    replicator_end(server->replicator);
fail_after_persistence:
    persistence_stop(server);
    free_replicator(server);
    process_remove_pid_file(options);
    forget_unix_socket(server);
fail_after_workers:
    free_workers(node, node->worker_count);
fail_after_background:
    background_free(node->background);
    return code;
}

/* ---- until the end ---- */

struct reload {
    struct server *server;
    struct buffer notes;
    struct buffer error;
    bool is_done;
};

/* Under a stop: the options are read here too. */
static void reload_run(void *context) {
    struct reload *reload = context;
    const struct server_options *options = &reload->server->options->server;
    if (!server_configure_logger(options)) {
        log_warning("Can't open the log file %s: %s", options->logfile, strerror(errno));
    }
    log_notice("Received SIGHUP: the log is reopened, the configuration read again.");
    reload->is_done = config_reload(reload->server->config, &reload->notes, &reload->error);
}

static void reload(struct server *server) {
    const char *manager = getenv("NOTIFY_SOCKET");
    readiness_notify(manager, READINESS_RELOADING);
    struct reload reload = {.server = server, .notes = BUFFER_EMPTY, .error = BUFFER_EMPTY};
    stop_visit(&server->node, reload_run, &reload);
    server_log_lines(LOG_WARNING, &reload.notes);
    server_log_lines(LOG_WARNING, &reload.error);
    if (!reload.is_done) {
        log_warning("The configuration stays as it was.");
    }
    buffer_free(&reload.notes);
    buffer_free(&reload.error);
    readiness_notify(manager, READINESS_READY);
}

void server_wait(struct server *server) {
    for (;;) {
        int signal_number = signals_wait(UINT64_MAX);
        if (signal_number == SIGHUP) {
            reload(server);
        } else if ((signal_number == SIGTERM || signal_number == SIGINT) &&
                   shutdown_prepare(server, signal_number)) {
            return;
        }
    }
}

int server_stop(struct server *server) {
    struct node *node = &server->node;
    readiness_notify(getenv("NOTIFY_SOCKET"), READINESS_STOPPING);
    migrate_end(server->migrate);
    cluster_end(server);
    persistence_end_saving(server);
    replicator_end(server->replicator);
    join_workers(node, node->worker_count);
    cluster_close(server);
    persistence_stop(server);
    free_replicator(server);
    process_remove_pid_file(&server->options->server);
    forget_unix_socket(server);
    free_workers(node, node->worker_count);
    background_free(node->background);
    log_warning("Tarn is now ready to exit, bye bye...");
    return EX_OK;
}
