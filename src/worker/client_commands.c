#include "worker/client_commands.h"

#include "base/memory.h"
#include "worker/client_info.h"

/* ---- CLIENT PAUSE and UNPAUSE ---- */

static void pause_command(struct session *session) {
    struct node *node = session_node(session);
    int64_t now_ms = session->worker->now_ms;
    int64_t duration_ms = 0;
    int mode = PAUSE_ALL;
    if (session->args_count > 4) {
        session_reply_usage_error(session);
        return;
    }
    if (session->args_count == 4) {
        if (span_is(session->args[3], "write")) {
            mode = PAUSE_WRITE;
        } else if (!span_is(session->args[3], "all")) {
            reply_error(session->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    if (!session_integer(session, 2, &duration_ms,
                         "ERR timeout is not an integer or out of range")) {
        return;
    }
    int64_t until_ms = 0;
    if (duration_ms < 0) {
        reply_error(session->reply, "ERR timeout is negative");
        return;
    }
    if (__builtin_add_overflow(now_ms, duration_ms, &until_ms)) {
        reply_error(session->reply, "ERR timeout is out of range");
        return;
    }
    /* A pause that is on may become longer and stricter, not the opposite. */
    if (atomic_load(&node->pause_mode) != PAUSE_NONE &&
        atomic_load(&node->pause_until_ms) > now_ms) {
        int old_mode = atomic_load(&node->pause_mode);
        int64_t old_until_ms = atomic_load(&node->pause_until_ms);
        mode = old_mode > mode ? old_mode : mode;
        until_ms = old_until_ms > until_ms ? old_until_ms : until_ms;
    }
    atomic_store(&node->pause_mode, mode);
    atomic_store(&node->pause_until_ms, until_ms);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i]->is_paused = true;
    }
    reply_ok(session->reply);
}

static void unpause_command(struct session *session) {
    struct node *node = session_node(session);
    atomic_store(&node->pause_mode, PAUSE_NONE);
    atomic_store(&node->pause_until_ms, 0);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_end_pause(node->workers[i]);
    }
    reply_ok(session->reply);
}

/* ---- of the connection itself ---- */

static void info_command(struct session *session) {
    struct buffer text = BUFFER_EMPTY;
    client_info_append_line(&text, session->connection);
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

static void id_command(struct session *session) {
    reply_integer(session->reply, (int64_t)session->connection->id);
}

void client_text_set(char **place, struct span text) {
    memory_free(*place);
    *place = NULL;
    if (text.length > 0) {
        *place = memory_alloc(text.length + 1);
        memcpy(*place, text.bytes, text.length);
        (*place)[text.length] = '\0';
    }
}

static void setname_command(struct session *session) {
    if (!client_name_is_valid(session->args[2])) {
        reply_error(session->reply,
                    "ERR Client names cannot contain spaces, newlines or special characters.");
        return;
    }
    client_text_set(&session->connection->name, session->args[2]);
    reply_ok(session->reply);
}

static void getname_command(struct session *session) {
    if (session->connection->name == NULL) {
        reply_null(session->reply);
    } else {
        reply_bulk_string(session->reply, session->connection->name);
    }
}

static void setinfo_command(struct session *session) {
    struct span option = session->args[2];
    char **place = NULL;
    if (span_is(option, "lib-name")) {
        place = &session->connection->library_name;
    } else if (span_is(option, "lib-ver")) {
        place = &session->connection->library_version;
    } else {
        reply_error_format(session->reply, "ERR Unrecognized option '%.*s'", (int)option.length,
                           option.bytes);
        return;
    }
    if (!client_name_is_valid(session->args[3])) {
        reply_error_format(session->reply,
                           "ERR %.*s cannot contain spaces, newlines or special characters.",
                           (int)option.length, option.bytes);
        return;
    }
    client_text_set(place, session->args[3]);
    reply_ok(session->reply);
}

static void reply_command(struct session *session) {
    unsigned *flags = &session->connection->flags;
    if (span_is(session->args[2], "on")) {
        *flags &= ~(unsigned)(CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP);
        reply_ok(session->reply);
    } else if (span_is(session->args[2], "off")) {
        *flags |= CONNECTION_REPLY_OFF;
    } else if (!span_is(session->args[2], "skip")) {
        session_reply_syntax_error(session);
    } else if ((*flags & CONNECTION_REPLY_OFF) == 0) {
        *flags |= CONNECTION_REPLY_SKIP_NEXT;
    }
}

static void set_flag(struct session *session, unsigned flag) {
    if (span_is(session->args[2], "on")) {
        session->connection->flags |= flag;
    } else if (span_is(session->args[2], "off")) {
        session->connection->flags &= ~flag;
    } else {
        session_reply_syntax_error(session);
        return;
    }
    reply_ok(session->reply);
}

static void no_evict_command(struct session *session) {
    set_flag(session, CONNECTION_NO_EVICT);
}

static void no_touch_command(struct session *session) {
    set_flag(session, CONNECTION_NO_TOUCH);
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GETNAME",
        "    Name of this connection.",
        "ID",
        "    Id of this connection.",
        "INFO",
        "    What CLIENT LIST tells of this connection.",
        "KILL <ip:port>",
        "    Close the connection from this address.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Close the connections that all options fit:",
        "    * ID <client-id>",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Their side of the connection.",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Our side of the connection.",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "    * USER <username>",
        "    * SKIPME (YES|NO)",
        "      Leave out this connection (default: yes).",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [<client-id> ...]]",
        "    A line for each connection, or for those of a type or with these ids.",
        "NO-EVICT (ON|OFF)",
        "    Keep this connection when maxmemory-clients is exceeded.",
        "NO-TOUCH (ON|OFF)",
        "    Reads of this connection do not count as accesses to keys.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Hold back all commands, or those that write, for so many milliseconds.",
        "QUORUM WRITE <members> [READ <members>] [TIMEOUT <milliseconds>]",
        "    Hold replies until so many servers, this one counted, have what they show.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether commands of this connection are answered.",
        "SETINFO <option> <value>",
        "    Describe the client: LIB-NAME, LIB-VER.",
        "SETNAME <name>",
        "    Name this connection.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    End the wait of a blocked connection.",
        "UNPAUSE",
        "    End CLIENT PAUSE.",
        "HELP",
        "    Print this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

/* ---- rows ---- */

#define OWN_FLAGS (COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE)
#define ALL_FLAGS (OWN_FLAGS | COMMAND_ADMIN | COMMAND_ALL_WORKERS)

static const char *const varies_tips[] = {"nondeterministic_output", NULL};

static const struct command client_subcommands[] = {
    {
        .name = "getname",
        .arity = 2,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = getname_command,
        .group = "connection",
        .since = "2.6.9",
        .complexity = "O(1)",
        .summary = "Answers the connection's name.",
        .syntax = "",
    },
    {
        COMMAND_HELP,
        .categories = CATEGORY_CONNECTION,
        .session = help_command,
        .group = "connection",
        .since = "5.0.0",
    },
    {
        .name = "id",
        .arity = 2,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = id_command,
        .group = "connection",
        .since = "5.0.0",
        .complexity = "O(1)",
        .summary = "Answers the connection's id.",
        .syntax = "",
    },
    {
        .name = "info",
        .arity = 2,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = info_command,
        .group = "connection",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Answers what CLIENT LIST tells of this connection.",
        .syntax = "",
        .tips = varies_tips,
    },
    {
        .name = "kill",
        .arity = -3,
        .flags = ALL_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = client_kill_command,
        .group = "connection",
        .since = "2.4.0",
        .complexity = "O(N) where N is the number of client connections",
        .summary = "Closes connections.",
        .syntax = "<filter=ip:port~2.8.12|<new-format=[ID client-id]@2.8.12|[TYPE "
                  "<client-type=NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB>]@2.8.12|"
                  "[USER username]|[ADDR ip:port]|[LADDR ip:port]@6.2.0|[SKIPME <skipme=YES|"
                  "NO>] ...>>",
    },
    {
        .name = "list",
        .arity = -2,
        .flags = ALL_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = client_list_command,
        .group = "connection",
        .since = "2.4.0",
        .complexity = "O(N) where N is the number of client connections",
        .summary = "Lists the connections.",
        .syntax = "[TYPE <client-type=NORMAL|MASTER|REPLICA|PUBSUB>]@5.0.0 [ID client-id "
                  "[client-id ...]]@6.2.0",
        .tips = varies_tips,
    },
    {
        .name = "no-evict",
        .arity = 3,
        .flags = OWN_FLAGS | COMMAND_ADMIN,
        .categories = CATEGORY_CONNECTION,
        .session = no_evict_command,
        .group = "connection",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Keeps the connection when clients take too much memory.",
        .syntax = "<enabled=ON|OFF>",
    },
    {
        .name = "no-touch",
        .arity = 3,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = no_touch_command,
        .group = "connection",
        .since = "7.2.0",
        .complexity = "O(1)",
        .summary = "Keeps the connection's reads from counting as accesses to keys.",
        .syntax = "<enabled=ON|OFF>",
    },
    {
        .name = "pause",
        .arity = -3,
        .flags = ALL_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = pause_command,
        .group = "connection",
        .since = "2.9.50",
        .complexity = "O(1)",
        .summary = "Holds commands back for some time.",
        .syntax = "timeout [mode=WRITE|ALL]@6.2.0",
    },
    {
        .name = "quorum",
        .arity = -4,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = client_quorum_command,
        .group = "connection",
        .since = "7.2.4",
        .complexity = "O(1)",
        .summary = "Says how many servers must hold what the connection is answered.",
        .syntax = "<quorum=WRITE members|READ members|TIMEOUT milliseconds> ...",
    },
    {
        .name = "reply",
        .arity = 3,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = reply_command,
        .group = "connection",
        .since = "3.2.0",
        .complexity = "O(1)",
        .summary = "Says whether the connection's commands are answered.",
        .syntax = "<action=ON|OFF|SKIP>",
    },
    {
        .name = "setinfo",
        .arity = 4,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = setinfo_command,
        .group = "connection",
        .since = "7.2.0",
        .complexity = "O(1)",
        .summary = "Notes the client library's name or version.",
        .syntax = "<attr=LIB-NAME libname|LIB-VER libver>",
    },
    {
        .name = "setname",
        .arity = 3,
        .flags = OWN_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = setname_command,
        .group = "connection",
        .since = "2.6.9",
        .complexity = "O(1)",
        .summary = "Names the connection.",
        .syntax = "connection-name",
    },
    {
        .name = "unblock",
        .arity = -3,
        .flags = ALL_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = client_unblock_command,
        .group = "connection",
        .since = "5.0.0",
        .complexity = "O(log N) where N is the number of client connections",
        .summary = "Ends the wait of a connection in a blocking command.",
        .syntax = "client-id [unblock-type=TIMEOUT|ERROR]",
    },
    {
        .name = "unpause",
        .arity = 2,
        .flags = ALL_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = unpause_command,
        .group = "connection",
        .since = "6.2.0",
        .complexity = "O(N) where N is the number of paused clients",
        .summary = "Ends CLIENT PAUSE.",
        .syntax = "",
    },
    {0},
};

const struct command client_commands[] = {
    {
        .name = "client",
        .arity = -2,
        .subcommands = client_subcommands,
        .group = "connection",
        .since = "2.4.0",
        .complexity = "Depends on subcommand.",
        .summary = "A container for client connection commands.",
        .syntax = "",
    },
    {0},
};
