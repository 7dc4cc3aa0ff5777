/* TIME, LOLWUT, SHUTDOWN, MODULE. */
#include "base/logger.h"
#include "io/clock.h"
#include "server/server_commands.h"
#include "server/shutdown.h"

#define US_PER_SECOND 1000000

static void time_command(struct session *session) {
    int64_t now_us = clock_wall_us();
    reply_array(session->reply, 2);
    reply_bulk_integer(session->reply, now_us / US_PER_SECOND);
    reply_bulk_integer(session->reply, now_us % US_PER_SECOND);
}

/* ---- LOLWUT ---- */

#define ART_COLUMNS 40
#define ART_ROWS 12

/* A wicker of diagonals, each leaning one way or the other by chance, the more so the lower it
 * stands. */
static void append_art(struct buffer *text, struct random *random, int64_t columns, int64_t rows) {
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t column = 0; column < columns; column++) {
            bool leans = (row + column) % 2 == 0;
            bool is_turned = (int64_t)random_below(random, (uint64_t)rows * 2) < row;
            buffer_append_string(text, leans != is_turned ? "\xe2\x95\xb1" : "\xe2\x95\xb2");
        }
        buffer_append_byte(text, '\n');
    }
}

static int64_t within(int64_t number, int64_t min, int64_t max) {
    return number < min ? min : number > max ? max : number;
}

/* LOLWUT [VERSION version] [columns] [rows]; a version changes nothing here. */
static void lolwut_command(struct session *session) {
    int64_t size[2] = {ART_COLUMNS, ART_ROWS};
    uint32_t at = 1;
    if (session->args_count > 1 && span_is(session->args[1], "version")) {
        int64_t version = 0;
        if (session->args_count > 2 && !session_integer(session, 2, &version, NULL)) {
            return;
        }
        at = 3;
    }
    for (uint32_t i = 0; i < 2 && at + i < session->args_count; i++) {
        if (!session_integer(session, at + i, &size[i], NULL)) {
            return;
        }
    }
    struct buffer text = BUFFER_EMPTY;
    append_art(&text, &session->worker->random, within(size[0], 1, 200), within(size[1], 1, 100));
    buffer_append_string(&text, "\nWickerwork, undone by chance. Tarn " SERVER_VERSION
                                ", Redis ver. " NODE_REDIS_VERSION "\n");
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

/* ---- SHUTDOWN ---- */

#define SHUTDOWN_FLAG_ABORT (1 << 4)

static bool shutdown_flags(const struct session *session, int *flags) {
    static const struct {
        const char *word;
        int flag;
    } words[] = {
        {"nosave", SHUTDOWN_FLAG_NOSAVE}, {"save", SHUTDOWN_FLAG_SAVE},
        {"now", SHUTDOWN_FLAG_NOW},       {"force", SHUTDOWN_FLAG_FORCE},
        {"abort", SHUTDOWN_FLAG_ABORT},
    };
    for (uint32_t i = 1; i < session->args_count; i++) {
        size_t j = 0;
        while (j < sizeof(words) / sizeof(words[0]) && !span_is(session->args[i], words[j].word)) {
            j++;
        }
        if (j == sizeof(words) / sizeof(words[0])) {
            return false;
        }
        *flags |= words[j].flag;
    }
    bool aborts = (*flags & SHUTDOWN_FLAG_ABORT) != 0;
    bool saves_and_not = (*flags & SHUTDOWN_FLAG_SAVE) != 0 && (*flags & SHUTDOWN_FLAG_NOSAVE) != 0;
    return !saves_and_not && !(aborts && *flags != SHUTDOWN_FLAG_ABORT);
}

/* Nothing is replied but a refusal: the connection ends with the server. */
static void shutdown_command(struct session *session) {
    struct server *server = session_server(session);
    struct connection *connection = session->connection;
    if (connection->ticket != 0) {
        session->waits = !shutdown_is_refused(server, connection->ticket);
        if (!session->waits) {
            reply_error(session->reply, "ERR Errors trying to SHUTDOWN. Check logs.");
        }
        return;
    }
    int flags = 0;
    if (!shutdown_flags(session, &flags)) {
        session_reply_syntax_error(session);
        return;
    }
    if ((flags & SHUTDOWN_FLAG_ABORT) != 0) {
        if (shutdown_abort(server)) {
            reply_ok(session->reply);
        } else {
            reply_error(session->reply, "ERR No shutdown in progress.");
        }
        return;
    }
    connection->ticket = shutdown_request(server, flags);
    session->waits = true;
}

/* ---- MODULE ---- */

static void module_list_command(struct session *session) {
    reply_array(session->reply, 0);
}

static void module_help_command(struct session *session) {
    static const char *const lines[] = {
        "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST",
        "    Return a list of loaded modules.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

static const char *const nondeterministic_tips[] = {"nondeterministic_output", NULL};

static const struct command module_subcommands[] = {
    {
        COMMAND_HELP,
        .session = module_help_command,
        .group = "server",
        .since = "5.0.0",
    },
    {
        .name = "list",
        .arity = 2,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT,
        .session = module_list_command,
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Lists the modules: there are none.",
        .syntax = "",
        .tips = COMMAND_TIPS("nondeterministic_output_order"),
    },
    {0},
};

const struct command admin_commands[] = {
    {
        .name = "lolwut",
        .arity = -1,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .session = lolwut_command,
        .group = "server",
        .since = "5.0.0",
        .summary = "Draws something, and tells the version.",
        .syntax = "[VERSION version]",
    },
    {
        .name = "module",
        .arity = -2,
        .subcommands = module_subcommands,
        .group = "server",
        .since = "4.0.0",
        .complexity = "That of the subcommand.",
        .summary = "Tells of modules.",
        .syntax = "",
    },
    {
        .name = "shutdown",
        .arity = -1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE |
                 COMMAND_NO_MULTI | COMMAND_ALLOW_BUSY | COMMAND_WAITS,
        .session = shutdown_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N) with N the keys, which are freed",
        .summary = "Ends the server.",
        .syntax = "[save-selector=NOSAVE|SAVE] [NOW]@7.0.0 [FORCE]@7.0.0 [ABORT]@7.0.0",
    },
    {
        .name = "time",
        .arity = 1,
        .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
        .session = time_command,
        .group = "server",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Answers the server's clock: seconds since 1970 and microseconds.",
        .syntax = "",
        .tips = nondeterministic_tips,
    },
    {0},
};
