#include "server/option_changes.h"

#include "server/cluster.h"
#include "server/saving.h"
#include "worker/worker.h"

#include <errno.h>
#include <unistd.h>

static bool change_access(void *context, struct buffer *error) {
    struct server *server = context;
    (void)error;
    server->node.password = server->options->server.requirepass;
    server->node.protected_mode = server->options->server.protected_mode;
    return true;
}

static bool change_maxclients(void *context, struct buffer *error) {
    const struct server *server = context;
    int64_t fitting = server_reserve_descriptors(server);
    if (fitting < server->options->worker.maxclients) {
        buffer_format(error,
                      "The operating system is not able to handle the specified number of "
                      "clients, try with %lld",
                      (long long)fitting);
        return false;
    }
    return true;
}

static bool change_log(void *context, struct buffer *error) {
    const struct server *server = context;
    if (!server_configure_logger(&server->options->server)) {
        buffer_append_string(error, strerror(errno));
        return false;
    }
    return true;
}

static bool change_dir(void *context, struct buffer *error) {
    const struct server *server = context;
    if (chdir(server->options->server.dir) != 0) {
        buffer_append_string(error, strerror(errno));
        return false;
    }
    return true;
}

/* The log is switched behind the reply, as redis-server does, which rewrites first. */
static bool change_appendonly(void *context, struct buffer *error) {
    const struct server *server = context;
    struct saving *saving = atomic_load(&server->saving);
    if (saving == NULL || atomic_load(&server->node.is_loading)) {
        buffer_append_string(error, "The data set is being loaded.");
        return false;
    }
    saving_request(saving, server->options->server.appendonly ? SAVING_LOG_ON : SAVING_LOG_OFF);
    return true;
}

static bool change_appendfsync(void *context, struct buffer *error) {
    const struct server *server = context;
    (void)error;
    if (server->node.log != NULL && server->node.log_gates) {
        oplog_set_sync(server->node.log, saving_sync(&server->options->server));
    }
    return true;
}

void replication_configure(struct server *server) {
    const struct server_options *options = &server->options->server;
    const struct client_output_limit *limit =
        &server->options->worker.client_output_buffer_limit[CLIENT_CLASS_REPLICA];
    struct replication_settings settings = {
        .backlog_bytes = (uint64_t)options->repl_backlog_size,
        .backlog_ms = options->repl_backlog_ttl * 1000,
        .absent_bytes = (uint64_t)options->repl_absent_log_size,
        .absent_ms = options->repl_absent_log_seconds * 1000,
        .memory_bytes_max = limit->hard_bytes == 0 ? UINT64_MAX : (uint64_t)limit->hard_bytes,
        .timeout_ms = options->repl_timeout * 1000,
        .ping_ms = options->repl_ping_period * 1000,
        .digest_period_ms = options->digest_check_period * 1000,
        .is_delayed = options->repl_disable_tcp_nodelay,
    };
    replication_settings_set(&server->replication, &settings);
}

static bool change_identity(void *context, struct buffer *error) {
    struct server *server = context;
    (void)error;
    replica_configure(&server->replica);
    return true;
}

static bool change_replication(void *context, struct buffer *error) {
    (void)error;
    replication_configure(context);
    return true;
}

static bool change_title(void *context, struct buffer *error) {
    const struct server *server = context;
    (void)error;
    process_title_set(server->title, &server->options->server, config_file(server->config));
    return true;
}

/* The old sockets are closed first: the new ones may be at the same addresses. */
static bool change_listeners(void *context, struct buffer *error) {
    struct server *server = context;
    worker_listen_stop_tcp(server->node.workers[0]);
    if (!server_listen_tcp(server)) {
        buffer_append_string(error, "Failed to bind to specified addresses.");
        return false;
    }
    process_title_set(server->title, &server->options->server, config_file(server->config));
    replica_configure(&server->replica);
    cluster_options_changed(server);
    return true;
}

static bool change_cluster(void *context, struct buffer *error) {
    (void)error;
    cluster_options_changed(context);
    return true;
}

static bool change_workers(void *context, struct buffer *error) {
    struct server *server = context;
    (void)error;
    for (uint32_t i = 0; i < server->node.worker_count; i++) {
        worker_configure(server->node.workers[i]);
    }
    cluster_options_changed(server); /* write-quorum */
    return true;
}

void option_changes_register(struct server *server) {
    static const struct {
        const char *name;
        config_change function;
    } changes[] = {
        {"requirepass", change_access},
        {"protected-mode", change_access},
        {"maxclients", change_maxclients},
        {"loglevel", change_log},
        {"dir", change_dir},
        {"appendonly", change_appendonly},
        {"appendfsync", change_appendfsync},
        {"repl-backlog-size", change_replication},
        {"repl-backlog-ttl", change_replication},
        {"repl-absent-log-size", change_replication},
        {"repl-absent-log-seconds", change_replication},
        {"repl-timeout", change_replication},
        {"repl-ping-replica-period", change_replication},
        {"digest-check-period", change_replication},
        {"repl-disable-tcp-nodelay", change_replication},
        {"client-output-buffer-limit", change_replication},
        {"proc-title-template", change_title},
        {"port", change_listeners},
        {"bind", change_listeners},
        {"masteruser", change_identity},
        {"masterauth", change_identity},
        {"bind-source-addr", change_identity},
        {"replica-announce-ip", change_identity},
        {"replica-announce-port", change_identity},
        {"notify-keyspace-events", change_workers},
        {"slowlog-log-slower-than", change_workers},
        {"slowlog-max-len", change_workers},
        {"latency-monitor-threshold", change_workers},
        {"latency-tracking", change_workers},
        {"write-quorum", change_workers},
        {"cluster-node-timeout", change_cluster},
        {"cluster-voters", change_cluster},
        {"cluster-secret", change_cluster},
        {"cluster-allow-unauthenticated-nodes", change_cluster},
        {"cluster-link-sendbuf-limit", change_cluster},
        {"cluster-announce-ip", change_cluster},
        {"cluster-announce-port", change_cluster},
        {"cluster-announce-tls-port", change_cluster},
        {"cluster-announce-bus-port", change_cluster},
        {"cluster-announce-hostname", change_cluster},
        {"cluster-announce-human-nodename", change_cluster},
        {"availability-zone", change_cluster},
        {"cluster-preferred-endpoint-type", change_cluster},
        {"cluster-migration-barrier", change_cluster},
        {"cluster-allow-replica-migration", change_cluster},
        {"cluster-require-full-coverage", change_cluster},
        {"cluster-replica-no-failover", change_cluster},
        {"cluster-allow-reads-when-down", change_cluster},
        {"cluster-allow-pubsubshard-when-down", change_cluster},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        config_on_change(server->config, changes[i].name, changes[i].function, server);
    }
}
