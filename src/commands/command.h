/* Command: a row of the command table. The row is the only place to edit: dispatch, COMMAND,
 * COMMAND DOCS, ACL categories, key positions and the compatibility table come from it.
 *
 * Two types: a data command runs on a struct call; a session command runs on a connection or the
 * node (struct session, which the worker layer defines). Each family's file ends with its rows and
 * exports them (`extern const struct command string_commands[];`, ended by a row without name); the
 * server puts them together in a struct command_table.
 */
#ifndef TARN_COMMANDS_COMMAND_H
#define TARN_COMMANDS_COMMAND_H

#include "base/span.h"
#include "commands/call.h"

#include <stdint.h>

struct session;

enum command_flag {
    COMMAND_WRITE = 1 << 0,
    COMMAND_READONLY = 1 << 1,
    COMMAND_DENY_OOM = 1 << 2,
    COMMAND_ADMIN = 1 << 3,
    COMMAND_PUBSUB = 1 << 4,
    COMMAND_NO_SCRIPT = 1 << 5,
    COMMAND_BLOCKING = 1 << 6,
    COMMAND_LOADING = 1 << 7,
    COMMAND_STALE = 1 << 8,
    COMMAND_SKIP_MONITOR = 1 << 9,
    COMMAND_SKIP_SLOWLOG = 1 << 10,
    COMMAND_ASKING = 1 << 11,
    COMMAND_FAST = 1 << 12,
    COMMAND_NO_AUTH = 1 << 13,
    COMMAND_MAY_REPLICATE = 1 << 14,
    COMMAND_NO_MULTI = 1 << 15,
    COMMAND_MOVABLE_KEYS = 1 << 16,
    COMMAND_ALLOW_BUSY = 1 << 17,
    COMMAND_NO_ASYNC_LOADING = 1 << 18,
    COMMAND_NO_MANDATORY_KEYS = 1 << 19,
    COMMAND_PROTECTED = 1 << 20,
    /* Ours, not shown: where the command runs when there are several workers. */
    COMMAND_ALL_WORKERS = 1 << 24, /* on the connection's worker while all others stand still */
    COMMAND_GATHERS = 1 << 25,     /* on each worker in turn: struct gather */
    COMMAND_BY_CURSOR = 1 << 26,   /* on the worker that owns the slot in the SCAN cursor args[1] */
    COMMAND_BY_KEYS = 1 << 28,     /* a session command that runs where its keys are: WATCH */
    COMMAND_SYSTEM = 1 << 29,      /* for the server's own use: COMMAND DOCS says syscmd */
    COMMAND_WAITS = 1 << 30,       /* a session command that may wait: session.waits */
    COMMAND_SAMPLED = 1 << 27,     /* as fast as a COMMAND_FAST one: timed by sample */
};

/* What admission to a run depends on, beyond flags: ours, not shown. */
enum command_rule {
    RULE_NEVER_QUEUED = 1 << 0,     /* runs at once inside MULTI */
    RULE_RUNS_QUEUE = 1 << 1,       /* EXEC: needs what the queued commands need */
    RULE_WHILE_SUBSCRIBED = 1 << 2, /* for RESP2 clients that listen, too */
    RULE_TELLS_HEALTH = 1 << 3,     /* refused when writes are: who watches the node sees it */
    RULE_WHILE_INCOMPLETE = 1 << 5, /* asks for no data: while a replica lacks slots, too */
    RULE_ASKS = 1 << 6,             /* ASKING: for the command behind it */
    RULE_CHANGES_MAP = 1 << 7,      /* of the cluster: EXEC asks for it before it runs its queue */
    RULE_MOVES_KEYS = 1 << 8,       /* MIGRATE: runs at both ends of a slot that is moved */
    RULE_LOGS_IN = 1 << 9,          /* REPLCONF: itself refuses who is not logged in */
};

/* ACL categories beyond those that follow from flags and group. */
enum command_category {
    CATEGORY_KEYSPACE = 1 << 0,
    CATEGORY_READ = 1 << 1,
    CATEGORY_WRITE = 1 << 2,
    CATEGORY_SET = 1 << 3,
    CATEGORY_SORTED_SET = 1 << 4,
    CATEGORY_LIST = 1 << 5,
    CATEGORY_HASH = 1 << 6,
    CATEGORY_STRING = 1 << 7,
    CATEGORY_BITMAP = 1 << 8,
    CATEGORY_HYPERLOGLOG = 1 << 9,
    CATEGORY_GEO = 1 << 10,
    CATEGORY_STREAM = 1 << 11,
    CATEGORY_PUBSUB = 1 << 12,
    CATEGORY_ADMIN = 1 << 13,
    CATEGORY_FAST = 1 << 14,
    CATEGORY_SLOW = 1 << 15,
    CATEGORY_BLOCKING = 1 << 16,
    CATEGORY_DANGEROUS = 1 << 17,
    CATEGORY_CONNECTION = 1 << 18,
    CATEGORY_TRANSACTION = 1 << 19,
    CATEGORY_SCRIPTING = 1 << 20,
};

enum key_flag {
    KEY_RO = 1 << 0,
    KEY_RW = 1 << 1,
    KEY_OW = 1 << 2,
    KEY_RM = 1 << 3,
    KEY_ACCESS = 1 << 4,
    KEY_UPDATE = 1 << 5,
    KEY_INSERT = 1 << 6,
    KEY_DELETE = 1 << 7,
    KEY_NOT_KEY = 1 << 8,
    KEY_INCOMPLETE = 1 << 9,
    KEY_VARIABLE_FLAGS = 1 << 10,
};

/* Where keys stand, in Redis' terms: begin_search and find_keys. */
struct key_spec {
    unsigned flags; /* enum key_flag; 0: no spec, ends the list */
    const char
        *keyword;     /* begin search at the argument behind this word, from `begin` on; or NULL */
    int begin;        /* index of the first key (or where the keyword search starts) */
    int last;         /* range: last key relative to begin; -1: last argument, -2: one before it */
    int step;         /* range: distance between keys; 0: a keynum spec */
    int limit;        /* range: 0 or 1: all, 2: the first half ... */
    int keynum_index; /* keynum: where the number of keys stands, relative to begin */
    int keynum_first; /* keynum: the first key, relative to begin */
    int keynum_step;
    const char *notes;
};

#define COMMAND_KEY_SPECS_MAX 4

/* The specs of a command whose only key is its first argument. */
#define COMMAND_FIRST_KEY(flags_of_key)                                                            \
    {                                                                                              \
        { .flags = (flags_of_key), .begin = 1, .step = 1 }                                         \
    }

struct command {
    const char *name; /* lower case; for a subcommand only its own word */
    int arity;        /* arguments with the name; negative: at least */
    unsigned flags;
    unsigned rules;
    unsigned categories;
    struct key_spec keys[COMMAND_KEY_SPECS_MAX];
    void (*run)(struct call *call);           /* a data command */
    void (*session)(struct session *session); /* or a session command */
    const struct command *subcommands;        /* ends with a row without name; or NULL */
    /* Which arguments are keys when specs cannot say (COMMAND_MOVABLE_KEYS); NULL: the specs do.
     * Pushes indexes and answers how many; at most max. -1: the arguments are invalid. */
    int (*find_keys)(const struct span *args, uint32_t args_count, uint32_t *indexes, int max);
    /* What happens to the keys when that depends on other arguments (KEY_VARIABLE_FLAGS): enum
     * key_flag; or NULL. */
    unsigned (*find_key_flags)(const struct span *args, uint32_t args_count);
    const char *group; /* COMMAND DOCS: "string", "generic", ... */
    const char *since; /* Redis' version */
    const char *complexity;
    const char *summary; /* our words */
    const char *syntax;  /* e.g. "key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]" */
    const char *const *tips;      /* ends with NULL; or NULL */
    const char *deprecated_since; /* or NULL */
    const char *replaced_by;      /* or NULL */
};

/* What all rows of HELP have in common; the row adds who runs it, its group and since when. */
#define COMMAND_HELP                                                                               \
    .name = "help", .arity = 2, .flags = COMMAND_LOADING | COMMAND_STALE, .complexity = "O(1)",    \
    .summary = "Lists the subcommands.", .syntax = ""

/* Tips of one row, which stand in it. */
#define COMMAND_TIPS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- the table: name -> row ---- */

/* A row in the table, with its number: statistics are arrays indexed by it. */
struct command_slot {
    const struct command *command;
    const struct command_slot *parent; /* or NULL */
    uint32_t number;
    bool has_one_key;   /* and never another */
    bool is_off;        /* nobody can call it, nor see it in lists: command_table_rename() */
    char *new_name;     /* by which alone it is called, or NULL: as the row says; owned */
    char full_name[48]; /* "config|get", whatever it is called by */
};

static inline const char *command_slot_name(const struct command_slot *slot) {
    return slot->new_name != NULL ? slot->new_name : slot->command->name;
}

struct command_table;

/* Longest new name of a command. */
#define COMMAND_NAME_BYTES_MAX 128

/* families: arrays of rows, each ended by a row without name; they must outlive the table. */
struct command_table *command_table_new(const struct command *const *families, size_t count);
void command_table_free(struct command_table *table);

/* From now on the command `name` is called by new_name alone (any case), or if that is empty by
 * none; so are its subcommands. NULL, or an error as redis-server says it. Before anybody looks up
 * names. */
const char *command_table_rename(struct command_table *table, struct span name,
                                 struct span new_name);
/* The row that has this name in its family, whatever it is called by. */
const struct command *command_table_row(const struct command_table *table, const char *name);
/* The row of this name (any case), or NULL. */
const struct command_slot *command_table_find(const struct command_table *table, struct span name);
/* The row that these arguments call: a subcommand's where there is one. NULL: no such command, or
 * its container has no such subcommand (then *container is set). */
const struct command_slot *command_table_resolve(const struct command_table *table,
                                                 const struct span *args, uint32_t args_count,
                                                 const struct command_slot **container);
/* All rows, subcommands included, in the order of their numbers. */
size_t command_table_count(const struct command_table *table);
const struct command_slot *command_table_at(const struct command_table *table, size_t number);
/* The subcommand `word` of a container, or NULL. */
const struct command_slot *command_table_subcommand(const struct command_table *table,
                                                    const struct command_slot *container,
                                                    struct span word);

/* Indexes of the key arguments. At most max are written to indexes; answers how many there are
 * (which may be more than max), or -1 when the arguments do not fit the specs. */
int command_keys(const struct command *command, const struct span *args, uint32_t args_count,
                 uint32_t *indexes, int max);

static inline bool command_arity_fits(const struct command *command, uint32_t args_count) {
    return command->arity >= 0 ? args_count == (uint32_t)command->arity
                               : args_count >= (uint32_t)-command->arity;
}

#endif
