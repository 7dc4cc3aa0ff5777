/* REPLICAOF, SLAVEOF, ROLE. */
#include "base/logger.h"
#include "base/memory.h"
#include "server/server_commands.h"

/* ---- REPLICAOF ---- */

static const struct option *find_option(const char *name) {
    for (size_t i = 0; i < replication_option_table.count; i++) {
        const struct option *row = &replication_option_table.rows[i];
        if (!option_is_title(row) && option_is_named(row, span_of_string(name))) {
            return row;
        }
    }
    return NULL;
}

void replica_set_option(struct server *server, const struct span words[2]) {
    const struct option *row = find_option("replicaof");
    struct buffer error = BUFFER_EMPTY;
    bool is_set = option_parse(row, option_place(row, &server->options->server), words, 2, &error);
    ASSERT(is_set);
    buffer_free(&error);
}

static bool is_no_one(const struct span *words) {
    return span_is(words[0], "no") && span_is(words[1], "one");
}

static void become_primary(struct session *session) {
    struct server *server = session_server(session);
    if (replica_is_on(&server->replica)) {
        log_notice("MASTER MODE enabled (user request from '%s')", session->connection->peer);
        replica_set_option(server, session->args + 1);
        replica_promote(&server->replica);
    }
    reply_ok(session->reply);
}

static void become_replica(struct session *session) {
    struct server *server = session_server(session);
    const struct span *words = session->args + 1;
    int64_t port = 0;
    if (!session_integer(session, 2, &port, "ERR Invalid master port")) {
        return;
    }
    if (port < 0 || port > UINT16_MAX || words[0].length >= REPLICA_HOST_BYTES) {
        reply_error(session->reply, "ERR Invalid master port");
        return;
    }
    const struct option_list *current = &server->options->server.replicaof;
    if (current->count == 2 && span_equal(span_of_string(current->items[0]), words[0]) &&
        span_equal(span_of_string(current->items[1]), words[1])) {
        log_notice("REPLICAOF would result into synchronization with the master we are already "
                   "connected with. No operation performed.");
        reply_status(session->reply, "OK Already connected to specified master");
        return;
    }
    replica_set_option(server, words);
    log_notice("REPLICAOF %s:%lld enabled (user request from '%s')", current->items[0],
               (long long)port, session->connection->peer);
    replica_follow(&server->replica, current->items[0], (uint16_t)port);
    reply_ok(session->reply);
}

static void replicaof_command(struct session *session) {
    if (session_node(session)->cluster != NULL) {
        reply_error(session->reply, "ERR REPLICAOF not allowed in cluster mode.");
        return;
    }
    if (failover_state(&session_server(session)->failover) != FAILOVER_NONE) {
        reply_error(session->reply, "ERR REPLICAOF not allowed while failing over.");
    } else if (is_no_one(session->args + 1)) {
        become_primary(session);
    } else {
        become_replica(session);
    }
}

/* ---- ROLE ---- */

static void reply_as_replica(struct reply *reply, struct replica *replica) {
    static const char *const states[] = {
        [REPLICA_OFF] = "none",
        [REPLICA_WAITING] = "connect",
        [REPLICA_CONNECTING] = "connecting",
        [REPLICA_SYNCING] = "sync",
        [REPLICA_CONNECTED] = "connected",
    };
    const struct node *node = &replica->server->node;
    pthread_mutex_lock(&replica->mutex);
    int64_t position = node->log == NULL ? -1 : (int64_t)oplog_end_position(node->log);
    if (node->follows_redis) {
        position = (int64_t)replica->redis_stand.offset;
    }
    reply_array(reply, 5);
    reply_bulk_string(reply, "slave");
    reply_bulk_string(reply, replica->host);
    reply_integer(reply, replica->port);
    reply_bulk_string(reply, states[replica->state]);
    reply_integer(reply, position);
    pthread_mutex_unlock(&replica->mutex);
}

static void reply_as_primary(struct reply *reply, struct server *server) {
    struct replication_link *links = memory_alloc(REPLICATION_LINKS_MAX * sizeof(*links));
    const struct oplog *log = server->node.log;
    uint32_t count = replication_links_read(&server->replication, links);
    uint32_t online = 0;
    for (uint32_t i = 0; i < count; i++) {
        online += links[i].stage == FEED_LOG;
    }
    reply_array(reply, 3);
    reply_bulk_string(reply, "master");
    reply_integer(reply, log == NULL ? 0 : (int64_t)oplog_end_position(log));
    reply_array(reply, online);
    for (uint32_t i = 0; i < count; i++) {
        if (links[i].stage == FEED_LOG) {
            reply_array(reply, 3);
            reply_bulk_string(reply, links[i].address);
            reply_bulk_integer(reply, links[i].port);
            reply_bulk_integer(reply, (int64_t)links[i].figures.applied);
        }
    }
    memory_free(links);
}

static void role_command(struct session *session) {
    struct server *server = session_server(session);
    if (node_is_led(session_node(session))) {
        reply_as_replica(session->reply, &server->replica);
    } else {
        reply_as_primary(session->reply, server);
    }
}

#define REPLICAOF_ROW                                                                              \
    .arity = 3,                                                                                    \
    .flags = COMMAND_ADMIN | COMMAND_NO_ASYNC_LOADING | COMMAND_NO_SCRIPT | COMMAND_STALE |        \
             COMMAND_ALL_WORKERS,                                                                  \
    .rules = RULE_WHILE_INCOMPLETE, .session = replicaof_command, .group = "server",               \
    .complexity = "O(1)", .summary = "Makes the server a replica of another one, or a primary.",   \
    .syntax = "<args=<host-port=host port>|<no-one=NO ONE>>"

const struct command replica_commands[] = {
    {
        .name = "replicaof",
        REPLICAOF_ROW,
        .since = "5.0.0",
    },
    {
        .name = "role",
        .arity = 1,
        .flags = COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST |
                 COMMAND_ALL_WORKERS,
        .categories = CATEGORY_ADMIN | CATEGORY_DANGEROUS,
        .session = role_command,
        .group = "server",
        .since = "2.8.12",
        .complexity = "O(1)",
        .summary = "Answers what the server is in replication.",
        .syntax = "",
    },
    {
        .name = "slaveof",
        REPLICAOF_ROW,
        .since = "1.0.0",
        .deprecated_since = "5.0.0",
        .replaced_by = "`REPLICAOF`",
    },
    {0},
};
