#include "commands/expire.h"

#include "commands/keys.h"

/* ---- EXPIRE and its kin ---- */

enum expire_condition {
    EXPIRE_NX = 1 << 0,
    EXPIRE_XX = 1 << 1,
    EXPIRE_GT = 1 << 2,
    EXPIRE_LT = 1 << 3,
};

static const struct {
    const char *word;
    unsigned condition;
} expire_condition_rows[] = {
    {"nx", EXPIRE_NX},
    {"xx", EXPIRE_XX},
    {"gt", EXPIRE_GT},
    {"lt", EXPIRE_LT},
};

static unsigned condition_of(struct span word) {
    for (size_t i = 0; i < sizeof(expire_condition_rows) / sizeof(expire_condition_rows[0]); i++) {
        if (span_is(word, expire_condition_rows[i].word)) {
            return expire_condition_rows[i].condition;
        }
    }
    return 0;
}

/* Reads the conditions behind key and time. False: the reply says what is wrong. */
static bool parse_conditions(struct call *call, unsigned *conditions) {
    *conditions = 0;
    for (uint32_t i = 3; i < call->args_count; i++) {
        unsigned condition = condition_of(call->args[i]);
        if (condition == 0) {
            reply_error_format(call->reply, "ERR Unsupported option %.*s",
                               (int)call->args[i].length, call->args[i].bytes);
            return false;
        }
        *conditions |= condition;
    }
    if ((*conditions & EXPIRE_NX) != 0 && *conditions != EXPIRE_NX) {
        reply_error(call->reply,
                    "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*conditions & EXPIRE_GT) != 0 && (*conditions & EXPIRE_LT) != 0) {
        reply_error(call->reply, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* No expiry counts as one that never comes. */
static bool conditions_hold(unsigned conditions, int64_t old_ms, int64_t new_ms) {
    bool is_volatile = old_ms != ENTRY_NO_EXPIRY;
    if ((conditions & EXPIRE_NX) != 0 && is_volatile) {
        return false;
    }
    if ((conditions & EXPIRE_XX) != 0 && !is_volatile) {
        return false;
    }
    if ((conditions & EXPIRE_GT) != 0 && (!is_volatile || new_ms <= old_ms)) {
        return false;
    }
    return (conditions & EXPIRE_LT) == 0 || !is_volatile || new_ms < old_ms;
}

/* The moment that argument 2 means: so many units after base_ms. False: the reply says why it is
 * none. */
static bool parse_moment(struct call *call, int64_t base_ms, int64_t unit_ms, int64_t *expiry_ms) {
    int64_t time;
    if (!call_integer(call, 2, &time, NULL)) {
        return false;
    }
    if (__builtin_mul_overflow(time, unit_ms, &time) ||
        __builtin_add_overflow(time, base_ms, expiry_ms)) {
        reply_error_format(call->reply, "ERR invalid expire time in '%s' command",
                           call->command->name);
        return false;
    }
    return true;
}

static void set_expiry(struct call *call, int64_t base_ms, int64_t unit_ms) {
    unsigned conditions;
    int64_t expiry_ms;
    if (!parse_conditions(call, &conditions) || !parse_moment(call, base_ms, unit_ms, &expiry_ms)) {
        return;
    }
    struct place place;
    struct entry *entry = keys_write(call, call->args[1], &place);
    if (entry == NULL || !conditions_hold(conditions, entry_expiry(entry), expiry_ms)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (call_is_past(call, expiry_ms)) {
        call_emit(call, &place, &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
    } else {
        call_emit(call, &place,
                  &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT,
                                   .event = EVENT_EXPIRE_ID,
                                   .expiry_ms = expiry_ms});
    }
    reply_integer(call->reply, 1);
}

static void expire(struct call *call) {
    set_expiry(call, call->now_ms, 1000);
}

static void pexpire(struct call *call) {
    set_expiry(call, call->now_ms, 1);
}

static void expireat(struct call *call) {
    set_expiry(call, 0, 1000);
}

static void pexpireat(struct call *call) {
    set_expiry(call, 0, 1);
}

static void persist(struct call *call) {
    struct place place;
    struct entry *entry = keys_write(call, call->args[1], &place);
    bool is_volatile = entry != NULL && entry_has(entry, ENTRY_FLAG_EXPIRY);
    if (is_volatile) {
        call_emit(call, &place,
                  &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT,
                                   .event = EVENT_PERSIST_ID,
                                   .expiry_ms = ENTRY_NO_EXPIRY});
    }
    reply_integer(call->reply, is_volatile);
}

/* ---- TTL and its kin ---- */

#define NO_SUCH_KEY (-2)
#define NEVER (-1)

/* Replies with the expiry, less base_ms, in units, rounded to the nearest. */
static void reply_expiry(struct call *call, int64_t base_ms, int64_t unit_ms) {
    const struct entry *entry = keys_peek(call, call->args[1]);
    if (entry == NULL || !entry_has(entry, ENTRY_FLAG_EXPIRY)) {
        reply_integer(call->reply, entry == NULL ? NO_SUCH_KEY : NEVER);
        return;
    }
    int64_t left_ms = entry_expiry(entry) - base_ms;
    left_ms = left_ms < 0 ? 0 : left_ms;
    /* The last moments of time itself must not overflow when they are rounded. */
    int64_t units = left_ms / unit_ms;
    reply_integer(call->reply, left_ms % unit_ms >= (unit_ms + 1) / 2 ? units + 1 : units);
}

static void ttl(struct call *call) {
    reply_expiry(call, call->now_ms, 1000);
}

static void pttl(struct call *call) {
    reply_expiry(call, call->now_ms, 1);
}

static void expiretime(struct call *call) {
    reply_expiry(call, 0, 1000);
}

static void pexpiretime(struct call *call) {
    reply_expiry(call, 0, 1);
}

/* ---- rows ---- */

static const char *const tips_of_ttl[] = {"nondeterministic_output", NULL};

const struct command expire_commands[] = {
    {
        .name = "expire",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_UPDATE, .begin = 1, .step = 1}},
        .run = expire,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Lets a key expire after so many seconds.",
        .syntax = "key seconds [condition=NX|XX|GT|LT]@7.0.0",
    },
    {
        .name = "expireat",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_UPDATE, .begin = 1, .step = 1}},
        .run = expireat,
        .group = "generic",
        .since = "1.2.0",
        .complexity = "O(1)",
        .summary = "Lets a key expire at a moment, in seconds since 1970.",
        .syntax = "key unix-time-seconds [condition=NX|XX|GT|LT]@7.0.0",
    },
    {
        .name = "expiretime",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .step = 1}},
        .run = expiretime,
        .group = "generic",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Answers the moment at which a key expires, in seconds since 1970.",
        .syntax = "key",
    },
    {
        .name = "persist",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_UPDATE, .begin = 1, .step = 1}},
        .run = persist,
        .group = "generic",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Takes the expiry away from a key.",
        .syntax = "key",
    },
    {
        .name = "pexpire",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_UPDATE, .begin = 1, .step = 1}},
        .run = pexpire,
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Lets a key expire after so many milliseconds.",
        .syntax = "key milliseconds [condition=NX|XX|GT|LT]@7.0.0",
    },
    {
        .name = "pexpireat",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_UPDATE, .begin = 1, .step = 1}},
        .run = pexpireat,
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Lets a key expire at a moment, in milliseconds since 1970.",
        .syntax = "key unix-time-milliseconds [condition=NX|XX|GT|LT]@7.0.0",
    },
    {
        .name = "pexpiretime",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .step = 1}},
        .run = pexpiretime,
        .group = "generic",
        .since = "7.0.0",
        .complexity = "O(1)",
        .summary = "Answers the moment at which a key expires, in milliseconds since 1970.",
        .syntax = "key",
    },
    {
        .name = "pttl",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .step = 1}},
        .run = pttl,
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Answers how long a key has until it expires, in milliseconds.",
        .syntax = "key",
        .tips = tips_of_ttl,
    },
    {
        .name = "ttl",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .step = 1}},
        .run = ttl,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers how long a key has until it expires, in seconds.",
        .syntax = "key",
        .tips = tips_of_ttl,
    },
    {.name = NULL},
};
