/* COMMAND: what the rows of the command table say, in Redis' form. DOCS is in command_docs.c. */
#include "base/glob.h"
#include "base/memory.h"
#include "server/command_docs.h"
#include "server/server_commands.h"

#define KEYS_SHOWN_MAX 65536

struct flag_word {
    unsigned flag;
    const char *word;
};

static const struct flag_word flag_words[] = {
    {COMMAND_WRITE, "write"},
    {COMMAND_READONLY, "readonly"},
    {COMMAND_DENY_OOM, "denyoom"},
    {COMMAND_ADMIN, "admin"},
    {COMMAND_PUBSUB, "pubsub"},
    {COMMAND_NO_SCRIPT, "noscript"},
    {COMMAND_BLOCKING, "blocking"},
    {COMMAND_LOADING, "loading"},
    {COMMAND_STALE, "stale"},
    {COMMAND_SKIP_MONITOR, "skip_monitor"},
    {COMMAND_SKIP_SLOWLOG, "skip_slowlog"},
    {COMMAND_ASKING, "asking"},
    {COMMAND_FAST, "fast"},
    {COMMAND_NO_AUTH, "no_auth"},
    {COMMAND_NO_MANDATORY_KEYS, "no_mandatory_keys"},
    {COMMAND_NO_ASYNC_LOADING, "no_async_loading"},
    {COMMAND_NO_MULTI, "no_multi"},
    {COMMAND_MOVABLE_KEYS, "movablekeys"},
    {COMMAND_ALLOW_BUSY, "allow_busy"},
};

static const struct flag_word category_words[] = {
    {CATEGORY_KEYSPACE, "@keyspace"},
    {CATEGORY_READ, "@read"},
    {CATEGORY_WRITE, "@write"},
    {CATEGORY_SET, "@set"},
    {CATEGORY_SORTED_SET, "@sortedset"},
    {CATEGORY_LIST, "@list"},
    {CATEGORY_HASH, "@hash"},
    {CATEGORY_STRING, "@string"},
    {CATEGORY_BITMAP, "@bitmap"},
    {CATEGORY_HYPERLOGLOG, "@hyperloglog"},
    {CATEGORY_GEO, "@geo"},
    {CATEGORY_STREAM, "@stream"},
    {CATEGORY_PUBSUB, "@pubsub"},
    {CATEGORY_ADMIN, "@admin"},
    {CATEGORY_FAST, "@fast"},
    {CATEGORY_SLOW, "@slow"},
    {CATEGORY_BLOCKING, "@blocking"},
    {CATEGORY_DANGEROUS, "@dangerous"},
    {CATEGORY_CONNECTION, "@connection"},
    {CATEGORY_TRANSACTION, "@transaction"},
    {CATEGORY_SCRIPTING, "@scripting"},
};

static const struct flag_word key_words[] = {
    {KEY_RO, "RO"},
    {KEY_RW, "RW"},
    {KEY_OW, "OW"},
    {KEY_RM, "RM"},
    {KEY_ACCESS, "access"},
    {KEY_UPDATE, "update"},
    {KEY_INSERT, "insert"},
    {KEY_DELETE, "delete"},
    {KEY_NOT_KEY, "not_key"},
    {KEY_INCOMPLETE, "incomplete"},
    {KEY_VARIABLE_FLAGS, "variable_flags"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void reply_words(struct reply *reply, unsigned flags, const struct flag_word *words,
                        size_t count) {
    struct reply_mark mark = reply_mark_here(reply);
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if ((flags & words[i].flag) != 0) {
            reply_status(reply, words[i].word);
            found++;
        }
    }
    reply_set_at(reply, mark, found);
}

/* The categories of the row, and those that follow from its group and flags. */
static unsigned categories_of(const struct command *command) {
    static const struct {
        unsigned flag;
        unsigned categories;
    } implied[] = {
        {COMMAND_WRITE, CATEGORY_WRITE},       {COMMAND_ADMIN, CATEGORY_ADMIN | CATEGORY_DANGEROUS},
        {COMMAND_PUBSUB, CATEGORY_PUBSUB},     {COMMAND_FAST, CATEGORY_FAST},
        {COMMAND_BLOCKING, CATEGORY_BLOCKING},
    };
    static const struct {
        const char *group;
        unsigned category;
    } groups[] = {
        {"string", CATEGORY_STRING}, {"bitmap", CATEGORY_BITMAP},
        {"hash", CATEGORY_HASH},     {"list", CATEGORY_LIST},
        {"set", CATEGORY_SET},       {"sorted-set", CATEGORY_SORTED_SET},
        {"stream", CATEGORY_STREAM}, {"hyperloglog", CATEGORY_HYPERLOGLOG},
        {"geo", CATEGORY_GEO},
    };
    unsigned categories = command->categories;
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        if (strcmp(command->group, groups[i].group) == 0) {
            categories |= groups[i].category;
        }
    }
    for (size_t i = 0; i < COUNT_OF(implied); i++) {
        if ((command->flags & implied[i].flag) != 0) {
            categories |= implied[i].categories;
        }
    }
    if ((command->flags & COMMAND_READONLY) != 0 && (categories & CATEGORY_SCRIPTING) == 0) {
        categories |= CATEGORY_READ;
    }
    if ((categories & CATEGORY_FAST) == 0) {
        categories |= CATEGORY_SLOW;
    }
    return categories;
}

/* ---- key specs ---- */

static int count_specs(const struct command *command) {
    int count = 0;
    while (count < COMMAND_KEY_SPECS_MAX && command->keys[count].flags != 0) {
        count++;
    }
    return count;
}

static void reply_begin_search(struct reply *reply, const struct key_spec *spec) {
    reply_bulk_string(reply, "begin_search");
    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    if (spec->keyword == NULL) {
        reply_bulk_string(reply, "index");
        reply_bulk_string(reply, "spec");
        reply_map(reply, 1);
        reply_bulk_string(reply, "index");
    } else {
        reply_bulk_string(reply, "keyword");
        reply_bulk_string(reply, "spec");
        reply_map(reply, 2);
        reply_bulk_string(reply, "keyword");
        reply_bulk_string(reply, spec->keyword);
        reply_bulk_string(reply, "startfrom");
    }
    reply_integer(reply, spec->begin);
}

static void reply_named_integer(struct reply *reply, const char *name, int64_t number) {
    reply_bulk_string(reply, name);
    reply_integer(reply, number);
}

static void reply_find_keys(struct reply *reply, const struct key_spec *spec) {
    bool is_range = spec->step != 0;
    reply_bulk_string(reply, "find_keys");
    reply_map(reply, 2);
    reply_bulk_string(reply, "type");
    reply_bulk_string(reply, is_range ? "range" : "keynum");
    reply_bulk_string(reply, "spec");
    reply_map(reply, 3);
    if (is_range) {
        reply_named_integer(reply, "lastkey", spec->last);
        reply_named_integer(reply, "keystep", spec->step);
        reply_named_integer(reply, "limit", spec->limit);
    } else {
        reply_named_integer(reply, "keynumidx", spec->keynum_index);
        reply_named_integer(reply, "firstkey", spec->keynum_first);
        reply_named_integer(reply, "keystep", spec->keynum_step);
    }
}

static void reply_specs(struct reply *reply, const struct command *command) {
    int count = count_specs(command);
    reply_set(reply, (size_t)count);
    for (int i = 0; i < count; i++) {
        const struct key_spec *spec = &command->keys[i];
        reply_map(reply, spec->notes == NULL ? 3 : 4);
        if (spec->notes != NULL) {
            reply_bulk_string(reply, "notes");
            reply_bulk_string(reply, spec->notes);
        }
        reply_bulk_string(reply, "flags");
        reply_words(reply, spec->flags, key_words, COUNT_OF(key_words));
        reply_begin_search(reply, spec);
        reply_find_keys(reply, spec);
    }
}

/* Where keys stood before there were specs: first, last, step. */
struct key_range {
    int64_t first;
    int64_t last;
    int64_t step;
    bool is_movable; /* not all specs fit into it */
};

/* True when the spec can go on a range that ends at previous_last. */
static bool fits_range(const struct key_spec *spec, int previous_last) {
    return spec->keyword == NULL && spec->step == 1 && (spec->flags & KEY_INCOMPLETE) == 0 &&
           (previous_last == 0 || previous_last == spec->begin - 1);
}

static struct key_range range_of(const struct command *command) {
    int count = count_specs(command);
    struct key_range range = {.first = 0};
    const struct key_spec *only = &command->keys[0];
    if (count == 1 && only->keyword == NULL && only->step != 0) {
        range.first = only->begin;
        range.last = only->last >= 0 ? only->begin + only->last : only->last;
        range.step = only->step;
        range.is_movable = (only->flags & KEY_INCOMPLETE) != 0;
        return range;
    }
    int previous_last = 0;
    for (int i = 0; i < count; i++) {
        const struct key_spec *spec = &command->keys[i];
        if (!fits_range(spec, previous_last)) {
            range.is_movable = true;
            continue;
        }
        int last = spec->last >= 0 ? spec->begin + spec->last : spec->last;
        range.first = range.first == 0 || spec->begin < range.first ? spec->begin : range.first;
        /* As Redis compares them: a negative one counts from the end, so it is the larger. */
        range.last = (uint64_t)last > (uint64_t)range.last ? last : range.last;
        range.step = 1;
        previous_last = last;
    }
    return range;
}

/* ---- COMMAND INFO ---- */

static size_t count_subcommands(const struct command *command) {
    size_t count = 0;
    while (command->subcommands != NULL && command->subcommands[count].name != NULL) {
        count++;
    }
    return count;
}

static void reply_info(struct session *session, const struct command_slot *slot) {
    const struct command_table *table = session_node(session)->commands;
    const struct command *command = slot->command;
    struct reply *reply = session->reply;
    struct key_range range = range_of(command);
    size_t tips = 0;
    while (command->tips != NULL && command->tips[tips] != NULL) {
        tips++;
    }
    reply_array(reply, 10);
    reply_bulk_string(reply, slot->full_name);
    reply_integer(reply, command->arity);
    reply_words(reply, command->flags | (range.is_movable ? (unsigned)COMMAND_MOVABLE_KEYS : 0),
                flag_words, COUNT_OF(flag_words));
    reply_integer(reply, range.first);
    reply_integer(reply, range.last);
    reply_integer(reply, range.step);
    reply_words(reply, categories_of(command), category_words, COUNT_OF(category_words));
    reply_set(reply, tips);
    for (size_t i = 0; i < tips; i++) {
        reply_bulk_string(reply, command->tips[i]);
    }
    reply_specs(reply, command);
    size_t subcommands = count_subcommands(command);
    if (subcommands == 0) {
        reply_set(reply, 0);
        return;
    }
    reply_array(reply, subcommands);
    for (size_t i = 0; i < subcommands; i++) {
        reply_info(session, command_table_subcommand(table, slot,
                                                     span_of_string(command->subcommands[i].name)));
    }
}

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

size_t command_top_count(const struct command_table *table) {
    size_t count = 0;
    for (size_t i = 0; i < command_table_count(table); i++) {
        count += command_table_at(table, i)->parent == NULL ? 1 : 0;
    }
    return count;
}

static void reply_all(struct session *session) {
    const struct command_table *table = session_node(session)->commands;
    reply_array(session->reply, command_top_count(table));
    for (size_t i = 0; i < command_table_count(table); i++) {
        const struct command_slot *slot = command_table_at(table, i);
        if (slot->parent == NULL) {
            reply_info(session, slot);
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
            reply_info(session, slot);
        }
    }
}

static void count_command(struct session *session) {
    reply_integer(session->reply, (int64_t)command_top_count(session_node(session)->commands));
}

/* ---- COMMAND LIST ---- */

enum list_filter { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN };

/* The category of this name, without '@'; 0: there is none. */
static unsigned category_named(struct span name) {
    for (size_t i = 0; i < COUNT_OF(category_words); i++) {
        if (span_is(name, category_words[i].word + 1)) {
            return category_words[i].flag;
        }
    }
    return 0;
}

static bool passes(const struct command_slot *slot, enum list_filter filter, struct span argument) {
    switch (filter) {
    case FILTER_NONE:
        return true;
    case FILTER_MODULE:
        return false; /* There are no modules. */
    case FILTER_CATEGORY:
        return (categories_of(slot->command) & category_named(argument)) != 0;
    case FILTER_PATTERN:
        return glob_match_nocase(argument, span_of_string(slot->full_name));
    }
    return false;
}

static bool filter_named(struct span name, enum list_filter *filter) {
    static const char *const words[] = {"", "module", "aclcat", "pattern"};
    for (size_t i = 1; i < COUNT_OF(words); i++) {
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
        if (passes(slot, filter, argument)) {
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
    for (int i = 0; i < count_specs(command); i++) {
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
        (count_specs(command) == 0 || (command->keys[0].flags & KEY_NOT_KEY) != 0)) {
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
            reply_words(reply, flags_of_key(command, args, args_count, indexes[i]), key_words,
                        COUNT_OF(key_words));
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
        .name = "help",
        .arity = 2,
        .flags = COMMAND_ROW_FLAGS,
        .categories = CATEGORY_CONNECTION,
        .session = help_command,
        .group = "server",
        .since = "5.0.0",
        .complexity = "O(1)",
        .summary = "Lists the subcommands.",
        .syntax = "",
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
