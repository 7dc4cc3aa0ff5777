/* FUNCTION LIST, DUMP and RESTORE, of a server without libraries: redis-cli --cluster add-node
 * copies those that there are. */
#include "commands/dump.h"
#include "server/server_commands.h"
#include "store/value_codec.h"

/* FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE] */
static void list_command(struct session *session) {
    bool has_name = false;
    bool has_code = false;
    for (uint32_t i = 2; i < session->args_count; i++) {
        struct span word = session->args[i];
        if (!has_code && span_is(word, "withcode")) {
            has_code = true;
        } else if (!has_name && span_is(word, "libraryname")) {
            has_name = true;
            if (++i == session->args_count) {
                reply_error(session->reply, "ERR library name argument was not given");
                return;
            }
        } else {
            reply_error_format(session->reply, "ERR Unknown argument %.*s", (int)word.length,
                               word.bytes);
            return;
        }
    }
    reply_array(session->reply, 0);
}

static void dump_command(struct session *session) {
    struct buffer bytes = BUFFER_EMPTY;
    dump_append_footer(&bytes, RDB_VERSION);
    reply_bulk(session->reply, buffer_span(&bytes));
    buffer_free(&bytes);
}

/* FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE] */
static void restore_command(struct session *session) {
    struct span payload = session->args[2];
    if (session->args_count > 4) {
        session_reply_usage_error(session);
        return;
    }
    if (session->args_count == 4 && !span_is(session->args[3], "flush") &&
        !span_is(session->args[3], "append") && !span_is(session->args[3], "replace")) {
        reply_error(session->reply, "ERR Wrong restore policy given, value should be either FLUSH, "
                                    "APPEND or REPLACE.");
        return;
    }
    if (!dump_take_footer(&payload)) {
        reply_error(session->reply, "ERR DUMP payload version or checksum are wrong");
    } else if (payload.length > 0) {
        reply_error(session->reply, "ERR This server runs no functions: libraries cannot be "
                                    "restored");
    } else {
        reply_ok(session->reply);
    }
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries: there are none.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored using "
        "FUNCTION RESTORE command",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Restore the libraries represented by the given payload, which must hold none.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

static const struct command function_subcommands[] = {
    {
        .name = "dump",
        .arity = 2,
        .flags = COMMAND_NO_SCRIPT,
        .categories = CATEGORY_SCRIPTING,
        .session = dump_command,
        .group = "scripting",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Answers the libraries as bytes: there are none.",
        .syntax = "",
    },
    {
        COMMAND_HELP,
        .categories = CATEGORY_SCRIPTING,
        .session = help_command,
        .group = "scripting",
        .since = "7.0.0",
    },
    {
        .name = "list",
        .arity = -2,
        .flags = COMMAND_NO_SCRIPT,
        .categories = CATEGORY_SCRIPTING,
        .session = list_command,
        .group = "scripting",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Lists the libraries: there are none.",
        .syntax = "[LIBRARYNAME library-name-pattern(string)] [WITHCODE]",
        .tips = COMMAND_TIPS("nondeterministic_output_order"),
    },
    {
        .name = "restore",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_NO_SCRIPT,
        .categories = CATEGORY_SCRIPTING,
        .session = restore_command,
        .group = "scripting",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Restores libraries from bytes, which must hold none.",
        .syntax = "serialized-value [FLUSH|APPEND|REPLACE]",
        .tips = COMMAND_TIPS("request_policy:all_shards", "response_policy:all_succeeded"),
    },
    {0},
};

const struct command function_commands[] = {
    {
        .name = "function",
        .arity = -2,
        .subcommands = function_subcommands,
        .group = "scripting",
        .since = "7.0.0",
        .complexity = "That of the subcommand.",
        .summary = "Tells of function libraries.",
        .syntax = "",
    },
    {0},
};
