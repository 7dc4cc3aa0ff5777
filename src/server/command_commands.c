/* COMMAND: what the rows of the command table say, in Redis' form. INFO is in command_info.c, DOCS
 * in command_docs.c. */
#include "base/glob.h"
#include "base/memory.h"
#include "server/command_docs.h"
#include "server/command_info.h"
#include "server/server_commands.h"

#define KEYS_SHOWN_MAX 65536

const struct command_slot *command_named(const struct command_table *table, struct span name) {
    const char *bar = memchr(name.bytes, '|', name.length);
    if (bar == NULL) {
        return command_table_find(table, name);
    }
    size_t length = (size_t)(bar - name.bytes);
    const struct command_slot *container = command_table_find(table, span_of(name.bytes, length));
    return container == NULL ? NULL
                             : command_table_subcommand(table, container,
                                                        span_of(bar + 1, name.length - length - 1));
}

bool command_is_shown(const struct command_slot *slot) {
    return slot->parent == NULL && !slot->is_off;
}

size_t command_top_count(const struct command_table *table) {
    size_t count = 0;
    for (size_t i = 0; i < command_table_count(table); i++) {
        count += command_is_shown(command_table_at(table, i)) ? 1 : 0;
    }
    return count;
}

static void reply_all(struct session *session) {
    const struct command_table *table = session_node(session)->commands;
    reply_array(session->reply, command_top_count(table));
    for (size_t i = 0; i < command_table_count(table); i++) {
        const struct command_slot *slot = command_table_at(table, i);
        if (command_is_shown(slot)) {
            command_reply_info(session, slot);
        }
    }
}

static void command_command(struct session *session) {
    reply_all(session);
}

static void info_command(struct session *session) {
    if (session->args_count == 2) {
        reply_all(session);
        return;
    }
    reply_array(session->reply, session->args_count - 2);
    for (uint32_t i = 2; i < session->args_count; i++) {
        const struct command_slot *slot =
            command_named(session_node(session)->commands, session->args[i]);
        if (slot == NULL) {
            reply_null(session->reply);
        } else {
            command_reply_info(session, slot);
        }
    }
}

static void count_command(struct session *session) {
    reply_integer(session->reply, (int64_t)command_top_count(session_node(session)->commands));
}

/* ---- COMMAND LIST ---- */

enum list_filter { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN };

static bool passes(const struct command_slot *slot, enum list_filter filter, struct span argument) {
    switch (filter) {
    case FILTER_NONE:
        return true;
    case FILTER_MODULE:
        return false; /* There are no modules. */
    case FILTER_CATEGORY:
        return (command_categories(slot->command) & command_category_named(argument)) != 0;
    case FILTER_PATTERN:
        return glob_match_nocase(argument, span_of_string(slot->full_name));
    }
    return false;
}

static bool filter_named(struct span name, enum list_filter *filter) {
    static const char *const words[] = {"", "module", "aclcat", "pattern"};
    for (size_t i = 1; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_is(name, words[i])) {
            *filter = (enum list_filter)i;
            return true;
        }
    }
    return false;
}

static void list_command(struct session *session) {
    enum list_filter filter = FILTER_NONE;
    struct span argument = span_of_string("");
    if (session->args_count != 2) {
        if (session->args_count != 5 || !span_is(session->args[2], "filterby") ||
            !filter_named(session->args[3], &filter)) {
            session_reply_syntax_error(session);
            return;
        }
        argument = session->args[4];
    }
    const struct command_table *table = session_node(session)->commands;
    struct reply_mark mark = reply_mark_here(session->reply);
    size_t found = 0;
    for (size_t i = 0; i < command_table_count(table); i++) {
        const struct command_slot *slot = command_table_at(table, i);
        if (!slot->is_off && passes(slot, filter, argument)) {
            reply_bulk_string(session->reply, slot->full_name);
            found++;
        }
    }
    reply_array_at(session->reply, mark, found);
}

/* ---- COMMAND GETKEYS ---- */

/* The flags of the key at args[index]. */
static unsigned flags_of_key(const struct command *command, const struct span *args,
                             uint32_t args_count, uint32_t index) {
    if (command->find_key_flags != NULL) {
        return command->find_key_flags(args, args_count);
    }
    unsigned flags = 0;
    for (int i = 0; i < command_specs_count(command); i++) {
        const struct key_spec *spec = &command->keys[i];
        if (spec->keyword == NULL && (uint32_t)spec->begin > index) {
            break;
        }
        flags = spec->flags;
    }
    return flags & ~(unsigned)KEY_VARIABLE_FLAGS;
}

/* The command that the arguments behind COMMAND GETKEYS call, if it has keys. NULL: the reply says
 * why not. */
static const struct command *called_command(struct session *session, const struct span *args,
                                            uint32_t args_count) {
    const struct command_slot *container = NULL;
    const struct command_slot *slot =
        command_table_resolve(session_node(session)->commands, args, args_count, &container);
    if (slot == NULL) {
        reply_error(session->reply, "ERR Invalid command specified");
        return NULL;
    }
    const struct command *command = slot->command;
    if (command->find_keys == NULL &&
        (command_specs_count(command) == 0 || (command->keys[0].flags & KEY_NOT_KEY) != 0)) {
        reply_error(session->reply, "ERR The command has no key arguments");
        return NULL;
    }
    if (!command_arity_fits(command, args_count)) {
        reply_error(session->reply, "ERR Invalid number of arguments specified for command");
        return NULL;
    }
    return command;
}

static void reply_keys(struct session *session, bool with_flags) {
    const struct span *args = session->args + 2;
    uint32_t args_count = session->args_count - 2;
    struct reply *reply = session->reply;
    const struct command *command = called_command(session, args, args_count);
    if (command == NULL) {
        return;
    }
    int max = args_count < KEYS_SHOWN_MAX ? (int)args_count : KEYS_SHOWN_MAX;
    uint32_t *indexes = memory_alloc((size_t)max * sizeof(*indexes));
    int count = command_keys(command, args, args_count, indexes, max);
    if (count < 0 || (count == 0 && (command->flags & COMMAND_NO_MANDATORY_KEYS) == 0)) {
        reply_error(reply, "ERR Invalid arguments specified for command");
        memory_free(indexes);
        return;
    }
    count = count < max ? count : max;
    reply_array(reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        if (with_flags) {
            reply_array(reply, 2);
        }
        reply_bulk(reply, args[indexes[i]]);
        if (with_flags) {
            command_reply_key_flags(reply, flags_of_key(command, args, args_count, indexes[i]));
        }
    }
    memory_free(indexes);
}

static void getkeys_command(struct session *session) {
    reply_keys(session, false);
}

static void getkeysandflags_command(struct session *session) {
    reply_keys(session, true);
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

#define COMMAND_ROW_FLAGS (COMMAND_LOADING | COMMAND_STALE)

static const char *const list_tips[] = {"nondeterministic_output_order", NULL};

static const struct command command_subcommands[] = {
    {
        .name = "count",
        .arity = 2,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = count_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(1)",
        .summary = "Counts the commands.",
        .syntax = "",
    },
    {
        .name = "docs",
        .arity = -2,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = command_docs,
        .group = "server",
        .since = "7.0.0",
        .complexity = "O(N) with N the commands",
        .summary = "Documents commands, or all.",
        .syntax = "[command-name ...]",
        .tips = list_tips,
    },
    {
        .name = "getkeys",
        .arity = -3,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = getkeys_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(N) with N the arguments",
        .summary = "Answers which arguments of a command are keys.",
        .syntax = "command [arg ...]",
    },
    {
        .name = "getkeysandflags",
        .arity = -3,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = getkeysandflags_command,
        .group = "server",
        .since = "7.0.0",
        .complexity = "O(N) with N the arguments",
        .summary = "Answers which arguments of a command are keys, and what it does with them.",
        .syntax = "command [arg ...]",
    },
    {
        COMMAND_HELP,
        .categories = CATEGORY_CONNECTION,
        .session = help_command,
        .group = "server",
        .since = "5.0.0",
    },
    {
        .name = "info",
        .arity = -2,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = info_command,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(N) with N the commands",
        .summary = "Describes commands, or all, for programs.",
        .syntax = "[command-name ...]",
        .tips = list_tips,
    },
    {
        .name = "list",
        .arity = -2,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = list_command,
        .group = "server",
        .since = "7.0.0",
        .complexity = "O(N) with N the commands",
        .summary = "Lists the names of commands.",
        .syntax = "[FILTERBY <filterby=MODULE module-name|ACLCAT category|PATTERN pattern>]",
        .tips = list_tips,
    },
    {0},
};

const struct command command_commands[] = {
    {
        .name = "command",
        .arity = -1,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = command_command,
        .subcommands = command_subcommands,
        .group = "server",
        .since = "2.8.13",
        .complexity = "O(N) with N the commands",
        .summary = "Describes all commands for programs.",
        .syntax = "",
        .tips = list_tips,
    },
    {0},
};
