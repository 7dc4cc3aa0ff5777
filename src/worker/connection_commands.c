#include "worker/connection_commands.h"

#include "access/users.h"
#include "base/memory.h"
#include "worker/client_commands.h"
#include "worker/client_info.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/quorum_gate.h"
#include "worker/transactions.h"

static void ping_command(struct session *session) {
    if (session->args_count > 2) {
        reply_error(session->reply, "ERR wrong number of arguments for 'ping' command");
    } else if (session->reply->protocol == 2 && pubsub_subscriptions(session->connection) > 0) {
        /* Among messages the answer has the shape of one. */
        reply_array(session->reply, 2);
        reply_bulk_string(session->reply, "pong");
        reply_bulk(session->reply, session->args_count == 2 ? session->args[1] : span_of(NULL, 0));
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
    if (database < INT32_MIN || database > INT32_MAX) {
        reply_error(session->reply, "ERR value is out of range, value must between -2147483648 and "
                                    "2147483647");
        return;
    }
    if (session_node(session)->keyspace->has_one_database && database != 0) {
        reply_error(session->reply, "ERR SELECT is not allowed in cluster mode");
        return;
    }
    if (database < 0 || database >= session_node(session)->keyspace->database_count) {
        reply_error(session->reply, "ERR DB index is out of range");
        return;
    }
    session->connection->database = (uint32_t)database;
    reply_ok(session->reply);
}

/* ---- who it is ---- */

/* The user named default, as requirepass has it. */
static struct user default_user(const struct session *session) {
    return (struct user){.name = USER_DEFAULT_NAME, .password = session_node(session)->password};
}

/* False: the reply says that name and password do not fit. */
static bool authenticate(struct session *session, struct span name, struct span password) {
    const struct user item = default_user(session);
    const struct users users = {.items = &item, .count = 1};
    const struct user *user = users_authenticate(&users, name, password);
    if (user == NULL) {
        atomic_fetch_add(&session_node(session)->logins_refused, 1);
        reply_error(session->reply,
                    "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    struct connection *connection = session->connection;
    client_text_set(&connection->user, span_of_string(user->name));
    connection->flags |= CONNECTION_AUTHENTICATED;
    return true;
}

static void auth_command(struct session *session) {
    if (session->args_count > 3) {
        session_reply_syntax_error(session);
        return;
    }
    for (uint32_t i = 1; i < session->args_count; i++) {
        session_redact(session, i);
    }
    struct span name = session->args[1];
    if (session->args_count == 2) {
        const struct user user = default_user(session);
        if (!user_needs_password(&user)) {
            reply_error(session->reply,
                        "ERR AUTH <password> called without any password configured for the "
                        "default user. Are you sure your configuration is correct?");
            return;
        }
        name = span_of_string(USER_DEFAULT_NAME);
    }
    if (authenticate(session, name, session->args[session->args_count - 1])) {
        reply_ok(session->reply);
    }
}

/* ---- HELLO ---- */

struct hello {
    int64_t protocol; /* 0: as it is */
    struct span user; /* without bytes: no AUTH */
    struct span password;
    struct span name; /* without bytes: no SETNAME */
};

/* False: the reply says what is wrong. */
static bool hello_parse(struct session *session, struct hello *hello) {
    if (session->args_count > 1) {
        if (!session_integer(session, 1, &hello->protocol,
                             "ERR Protocol version is not an integer or out of range")) {
            return false;
        }
        if (hello->protocol < 2 || hello->protocol > 3) {
            reply_error(session->reply, "NOPROTO unsupported protocol version");
            return false;
        }
    }
    for (uint32_t i = 2; i < session->args_count; i++) {
        struct span option = session->args[i];
        uint32_t more = session->args_count - 1 - i;
        if (span_is(option, "auth") && more >= 2) {
            session_redact(session, i + 1);
            session_redact(session, i + 2);
            hello->user = session->args[i + 1];
            hello->password = session->args[i + 2];
            i += 2;
        } else if (span_is(option, "setname") && more >= 1) {
            hello->name = session->args[i + 1];
            if (!client_name_is_valid(hello->name)) {
                reply_error(
                    session->reply,
                    "ERR Client names cannot contain spaces, newlines or special characters.");
                return false;
            }
            i++;
        } else {
            reply_error_format(session->reply, "ERR Syntax error in HELLO option '%.*s'",
                               (int)option.length, option.bytes);
            return false;
        }
    }
    return true;
}

static void hello_reply(struct session *session) {
    struct reply *reply = session->reply;
    reply_map(reply, 7);
    reply_bulk_string(reply, "server");
    reply_bulk_string(reply, "redis");
    reply_bulk_string(reply, "version");
    reply_bulk_string(reply, NODE_REDIS_VERSION);
    reply_bulk_string(reply, "proto");
    reply_integer(reply, reply->protocol);
    reply_bulk_string(reply, "id");
    reply_integer(reply, (int64_t)session->connection->id);
    reply_bulk_string(reply, "mode");
    bool is_clustered = session_node(session)->cluster != NULL;
    reply_bulk_string(reply, is_clustered ? "cluster" : "standalone");
    reply_bulk_string(reply, "role");
    reply_bulk_string(reply, node_is_led(session_node(session)) ? "replica" : "master");
    reply_bulk_string(reply, "modules");
    reply_array(reply, 0);
}

static void hello_command(struct session *session) {
    struct hello hello = {.protocol = 0};
    if (!hello_parse(session, &hello)) {
        return;
    }
    if (hello.user.bytes != NULL && !authenticate(session, hello.user, hello.password)) {
        return;
    }
    struct connection *connection = session->connection;
    if ((connection->flags & CONNECTION_AUTHENTICATED) == 0) {
        reply_error(session->reply,
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise "
                    "the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the "
                    "client and select the RESP protocol version at the same time");
        return;
    }
    if (hello.name.bytes != NULL) {
        client_text_set(&connection->name, hello.name);
    }
    if (hello.protocol != 0) {
        session->reply->protocol = (int)hello.protocol;
    }
    hello_reply(session);
}

/* ---- RESET ---- */

static void reset_command(struct session *session) {
    struct connection *connection = session->connection;
    monitor_leave(connection);
    pubsub_forget(connection);
    if (connection->transaction != NULL) {
        transaction_drop(session->worker, connection);
    }
    if (connection->quorum != NULL) {
        quorum_gate_choose(connection, 0, -1);
    }
    connection->database = 0;
    client_text_set(&connection->name, span_of(NULL, 0));
    client_text_set(&connection->user, span_of_string(USER_DEFAULT_NAME));
    connection->flags &=
        ~(unsigned)(CONNECTION_AUTHENTICATED | CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP |
                    CONNECTION_REPLY_SKIP_NEXT | CONNECTION_NO_TOUCH | CONNECTION_NO_EVICT |
                    CONNECTION_ASKING | CONNECTION_READONLY);
    const struct user user = default_user(session);
    if (!user_needs_password(&user)) {
        connection->flags |= CONNECTION_AUTHENTICATED;
    }
    session->reply->protocol = 2;
    reply_status(session->reply, "RESET");
}

/* ---- rows ---- */

#define HANDSHAKE_FLAGS                                                                            \
    (COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_NO_AUTH |        \
     COMMAND_ALLOW_BUSY)

const struct command connection_commands[] = {
    {
        .name = "auth",
        .arity = -2,
        .flags = HANDSHAKE_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = auth_command,
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(N) where N is the number of passwords defined for the user",
        .summary = "Logs the connection in.",
        .syntax = "[username]@6.0.0 password",
    },
    {
        .name = "hello",
        .arity = -1,
        .flags = HANDSHAKE_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = hello_command,
        .group = "connection",
        .since = "6.0.0",
        .complexity = "O(1)",
        .summary = "Agrees on the protocol, and may log in and name the connection.",
        .syntax = "[arguments=protover [AUTH username password] [SETNAME clientname]]",
    },
    {
        .name = "reset",
        .arity = 1,
        .flags = HANDSHAKE_FLAGS,
        .rules = RULE_NEVER_QUEUED | RULE_WHILE_SUBSCRIBED,
        .categories = CATEGORY_CONNECTION,
        .session = reset_command,
        .group = "connection",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Makes the connection as it was when it was new.",
        .syntax = "",
    },
    {
        .name = "ping",
        .arity = -1,
        .flags = COMMAND_FAST,
        .rules = RULE_WHILE_SUBSCRIBED | RULE_TELLS_HEALTH,
        .categories = CATEGORY_CONNECTION,
        .session = ping_command,
        .group = "connection",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers PONG, or the message.",
        .syntax = "[message]",
        .tips = COMMAND_TIPS("request_policy:all_shards", "response_policy:all_succeeded"),
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
        .rules = RULE_NEVER_QUEUED | RULE_WHILE_SUBSCRIBED,
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
