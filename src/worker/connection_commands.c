#include "worker/connection_commands.h"

static void ping_command(struct session *session) {
    if (session->args_count > 2) {
        reply_error(session->reply, "ERR wrong number of arguments for 'ping' command");
    } else if (session->args_count == 2) {
        reply_bulk(session->reply, session->args[1]);
    } else {
        reply_status(session->reply, "PONG");
    }
}

static void echo_command(struct session *session) {
    reply_bulk(session->reply, session->args[1]);
}

static void quit_command(struct session *session) {
    reply_ok(session->reply);
    session->connection->flags |= CONNECTION_CLOSE_AFTER_REPLY;
}

static void select_command(struct session *session) {
    int64_t database = 0;
    if (!session_integer(session, 1, &database, NULL)) {
        return;
    }
    if (database < 0 || database >= session_node(session)->keyspace->database_count) {
        reply_error(session->reply, "ERR DB index is out of range");
        return;
    }
    session->connection->database = (uint32_t)database;
    reply_ok(session->reply);
}

const struct command connection_commands[] = {
    {
        .name = "ping",
        .arity = -1,
        .flags = COMMAND_FAST,
        .categories = CATEGORY_CONNECTION,
        .session = ping_command,
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers PONG, or the message.",
        .syntax = "[message]",
    },
    {
        .name = "echo",
        .arity = 2,
        .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
        .categories = CATEGORY_CONNECTION,
        .session = echo_command,
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers the message.",
        .syntax = "message",
    },
    {
        .name = "quit",
        .arity = -1,
        .flags = COMMAND_ALLOW_BUSY | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE |
                 COMMAND_FAST | COMMAND_NO_AUTH,
        .categories = CATEGORY_CONNECTION,
        .session = quit_command,
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Closes the connection.",
        .syntax = "",
    },
    {
        .name = "select",
        .arity = 2,
        .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
        .categories = CATEGORY_CONNECTION,
        .session = select_command,
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Changes the database that the connection's commands work on.",
        .syntax = "index",
    },
    {0},
};
