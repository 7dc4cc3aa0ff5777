#include "commands/generic.h"

/* Redis keeps one object for each of these numbers, and says so. */
#define SHARED_INTEGERS 10000

/* The entry of argument 2; NULL, and the reply says so, when there is none. */
static struct entry *object_of(struct call *call) {
    struct place place = call_place(call, call->args[2]);
    if (place.cell == NULL) {
        place.store->statistics.misses++;
        reply_null(call->reply);
        return NULL;
    }
    place.store->statistics.hits++;
    return table_cell_element(*place.cell);
}

static void object_encoding(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry != NULL) {
        reply_bulk_string(call->reply, value_encoding(entry));
    }
}

static bool counts_frequency(const struct call *call) {
    return maxmemory_policy_is_lfu(call->environment->options->maxmemory_policy);
}

static void object_freq(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry == NULL) {
        return;
    }
    if (!counts_frequency(call)) {
        reply_error(call->reply,
                    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                    "Please note that when switching between policies at runtime LRU and LFU data "
                    "will take some time to adjust.");
        return;
    }
    uint16_t slot = slot_of_key(call->args[2]);
    reply_integer(call->reply, store_frequency(call_store(call, slot), entry));
}

static void object_idletime(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry == NULL) {
        return;
    }
    if (counts_frequency(call)) {
        reply_error(call->reply,
                    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note "
                    "that when switching between policies at runtime LRU and LFU data will take "
                    "some time to adjust.");
        return;
    }
    uint16_t slot = slot_of_key(call->args[2]);
    reply_integer(call->reply, (int64_t)store_idle_seconds(call_store(call, slot), entry));
}

/* Redis shares no numbers while each must have an access time of its own. */
static bool shares_integers(const struct store_options *options) {
    return options->maxmemory == 0 || (!maxmemory_policy_is_lru(options->maxmemory_policy) &&
                                       !maxmemory_policy_is_lfu(options->maxmemory_policy));
}

static void object_refcount(struct call *call) {
    const struct entry *entry = object_of(call);
    if (entry == NULL) {
        return;
    }
    bool is_shared = entry_kind(entry) == ENTRY_INTEGER && entry_integer(entry) >= 0 &&
                     entry_integer(entry) < SHARED_INTEGERS &&
                     shares_integers(call->environment->options);
    reply_integer(call->reply, is_shared ? INT32_MAX : 1);
}

static void object_help(struct call *call) {
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How the value of the key is kept in memory.",
        "FREQ <key>",
        "    How often the key was used lately: a counter that grows with the logarithm.",
        "IDLETIME <key>",
        "    Seconds since the key was last used.",
        "REFCOUNT <key>",
        "    References to the value of the key.",
        "HELP",
        "    Print this help.",
    };
    const size_t count = sizeof(lines) / sizeof(lines[0]);
    reply_array(call->reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_status(call->reply, lines[i]);
    }
}

/* ---- rows ---- */

static const char *const tips_of_object[] = {"nondeterministic_output", NULL};

#define OBJECT_KEY                                                                                 \
    {                                                                                              \
        { .flags = KEY_RO, .begin = 2, .step = 1 }                                                 \
    }

static const struct command object_subcommands[] = {
    {
        .name = "encoding",
        .arity = 3,
        .flags = COMMAND_READONLY,
        .categories = CATEGORY_KEYSPACE,
        .keys = OBJECT_KEY,
        .run = object_encoding,
        .group = "generic",
        .since = "2.2.3",
        .complexity = "O(1)",
        .summary = "Answers how the value of a key is kept in memory.",
        .syntax = "key",
        .tips = tips_of_object,
    },
    {
        .name = "freq",
        .arity = 3,
        .flags = COMMAND_READONLY,
        .categories = CATEGORY_KEYSPACE,
        .keys = OBJECT_KEY,
        .run = object_freq,
        .group = "generic",
        .since = "4.0.0",
        .complexity = "O(1)",
        .summary = "Answers a logarithmic count of how often a key was used lately.",
        .syntax = "key",
        .tips = tips_of_object,
    },
    {
        COMMAND_HELP,
        .categories = CATEGORY_KEYSPACE,
        .run = object_help,
        .group = "generic",
        .since = "6.2.0",
    },
    {
        .name = "idletime",
        .arity = 3,
        .flags = COMMAND_READONLY,
        .categories = CATEGORY_KEYSPACE,
        .keys = OBJECT_KEY,
        .run = object_idletime,
        .group = "generic",
        .since = "2.2.3",
        .complexity = "O(1)",
        .summary = "Answers the seconds since a key was last used.",
        .syntax = "key",
        .tips = tips_of_object,
    },
    {
        .name = "refcount",
        .arity = 3,
        .flags = COMMAND_READONLY,
        .categories = CATEGORY_KEYSPACE,
        .keys = OBJECT_KEY,
        .run = object_refcount,
        .group = "generic",
        .since = "2.2.3",
        .complexity = "O(1)",
        .summary = "Answers how many references there are to the value of a key.",
        .syntax = "key",
        .tips = tips_of_object,
    },
    {.name = NULL},
};

const struct command object_commands[] = {
    {
        .name = "object",
        .arity = -2,
        .subcommands = object_subcommands,
        .group = "generic",
        .since = "2.2.3",
        .complexity = "Depends on subcommand.",
        .summary = "Says how a key is kept.",
    },
    {.name = NULL},
};
