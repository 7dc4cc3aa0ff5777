#include "worker/wait_commands.h"

#include "worker/blocking.h"
#include "worker/deadlines.h"
#include "worker/gate.h"

#define ROLE_CHANGED                                                                               \
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
#define NO_LOCAL_LOG "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."

/* ---- what is held ---- */

static bool has_local_log(const struct node *node) {
    return node->log != NULL && node->log_gates;
}

static int64_t local_count(const struct node *node, uint64_t position) {
    return has_local_log(node) && oplog_synced_position(node->log) >= position;
}

static int64_t replicas_count(const struct node *node, uint64_t position, bool is_synced) {
    return quorum_count(&node->quorum, position, is_synced);
}

/* The position behind the client's last change, which is appended for it if it was of this tick.
 * Inside EXEC it is the last one before, as in Redis. */
static uint64_t last_change(struct session *session) {
    struct connection *connection = session->connection;
    if ((connection->flags & CONNECTION_WROTE) != 0 && blocking_is_possible(session)) {
        gate_append(session->worker);
        gate_note_change(session->worker, connection);
    }
    return connection->last_change;
}

/* False: the node has become a replica, whose position nobody confirms; the client is to ask the
 * new primary. */
static bool check_role(struct connection *connection) {
    if (quorum_is_primary(&connection->home->node->quorum)) {
        return true;
    }
    reply_error(&connection->reply, ROLE_CHANGED);
    connection->flags |= CONNECTION_CLOSE_AFTER_REPLY;
    return false;
}

/* ---- WAIT ---- */

static bool wait_is_there(const struct connection *connection, const struct blocked *blocked) {
    const struct node *node = connection->home->node;
    return replicas_count(node, blocked->position, false) >= blocked->replicas ||
           !quorum_is_primary(&node->quorum);
}

static void wait_answer(struct connection *connection, const struct blocked *blocked) {
    if (check_role(connection)) {
        reply_integer(&connection->reply,
                      replicas_count(connection->home->node, blocked->position, false));
    }
}

static const struct blocking_kind wait_kind = {
    .is_there = wait_is_there,
    .answer = wait_answer,
};

/* Milliseconds, as commands take them: false, and the reply says why. */
static bool parse_timeout(struct session *session, uint32_t i, int64_t *timeout_ms) {
    if (!session_integer(session, i, timeout_ms, "ERR timeout is not an integer or out of range")) {
        return false;
    }
    if (*timeout_ms < 0) {
        reply_error(session->reply, "ERR timeout is negative");
        return false;
    }
    if (*timeout_ms > INT64_MAX - session->worker->now_ms) {
        reply_error(session->reply, "ERR timeout is out of range");
        return false;
    }
    return true;
}

static void begin(struct session *session, struct blocked *blocked, int64_t timeout_ms) {
    blocked->position = last_change(session);
    if (!blocking_is_possible(session) || blocked->kind->is_there(session->connection, blocked)) {
        blocked->kind->answer(session->connection, blocked);
        return;
    }
    blocked->due_us = deadline_us_in(timeout_ms);
    blocking_begin(session, blocked);
}

static void wait_command(struct session *session) {
    struct blocked blocked = {.kind = &wait_kind};
    int64_t timeout_ms = 0;
    if (!quorum_is_primary(&session_node(session)->quorum)) {
        reply_error(session->reply,
                    "ERR WAIT cannot be used with replica instances. Please also note that since "
                    "Redis 4.0 if a replica is configured to be writable (which is not the "
                    "default) writes to replicas are just local and are not propagated.");
        return;
    }
    if (session_integer(session, 1, &blocked.replicas, NULL) &&
        parse_timeout(session, 2, &timeout_ms)) {
        begin(session, &blocked, timeout_ms);
    }
}

/* ---- WAITAOF ---- */

static bool waitaof_is_there(const struct connection *connection, const struct blocked *blocked) {
    const struct node *node = connection->home->node;
    return (local_count(node, blocked->position) >= blocked->local &&
            replicas_count(node, blocked->position, true) >= blocked->replicas) ||
           (blocked->local > 0 && !has_local_log(node)) || !quorum_is_primary(&node->quorum);
}

static void waitaof_answer(struct connection *connection, const struct blocked *blocked) {
    const struct node *node = connection->home->node;
    if (!check_role(connection)) {
        return;
    }
    if (blocked->local > 0 && !has_local_log(node)) {
        reply_error(&connection->reply, NO_LOCAL_LOG);
        return;
    }
    reply_array(&connection->reply, 2);
    reply_integer(&connection->reply, local_count(node, blocked->position));
    reply_integer(&connection->reply, replicas_count(node, blocked->position, true));
}

static const struct blocking_kind waitaof_kind = {
    .is_there = waitaof_is_there,
    .answer = waitaof_answer,
};

static bool parse_counts(struct session *session, struct blocked *blocked) {
    if (!session_integer(session, 1, &blocked->local, NULL)) {
        return false;
    }
    if (blocked->local < 0 || blocked->local > 1) {
        reply_error(session->reply, "ERR value is out of range, value must between 0 and 1");
        return false;
    }
    if (!session_integer(session, 2, &blocked->replicas, NULL)) {
        return false;
    }
    if (blocked->replicas < 0) {
        reply_error(session->reply, "ERR value is out of range, must be positive");
        return false;
    }
    return true;
}

static void waitaof_command(struct session *session) {
    const struct node *node = session_node(session);
    struct blocked blocked = {.kind = &waitaof_kind};
    int64_t timeout_ms = 0;
    if (!parse_counts(session, &blocked) || !parse_timeout(session, 3, &timeout_ms)) {
        return;
    }
    if (!quorum_is_primary(&node->quorum)) {
        reply_error(session->reply,
                    "ERR WAITAOF cannot be used with replica instances. Please also note that "
                    "writes to replicas are just local and are not propagated.");
        return;
    }
    if (blocked.local > 0 && !has_local_log(node)) {
        reply_error(session->reply, NO_LOCAL_LOG);
        return;
    }
    begin(session, &blocked, timeout_ms);
}

/* ---- rows ---- */

static const char *const min_of_shards[] = {"request_policy:all_shards", "response_policy:agg_min",
                                            NULL};

const struct command wait_commands[] = {
    {
        .name = "wait",
        .arity = 3,
        .flags = COMMAND_BLOCKING,
        .categories = CATEGORY_CONNECTION,
        .session = wait_command,
        .group = "generic",
        .since = "3.0.0",
        .complexity = "O(1)",
        .summary = "Waits until so many replicas hold all that the connection has changed.",
        .syntax = "numreplicas timeout",
        .tips = min_of_shards,
    },
    {
        .name = "waitaof",
        .arity = 4,
        .flags = COMMAND_BLOCKING,
        .categories = CATEGORY_CONNECTION,
        .session = waitaof_command,
        .group = "generic",
        .since = "7.2.0",
        .complexity = "O(1)",
        .summary = "Waits until logs on this node and on replicas have synced all that the "
                   "connection has changed.",
        .syntax = "numlocal numreplicas timeout",
        .tips = min_of_shards,
    },
    {0},
};
