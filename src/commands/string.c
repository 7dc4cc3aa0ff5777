#include "commands/string.h"

#include "commands/arguments.h"

/* ---- writing a whole value ---- */

void string_put(struct call *call, struct place *place, uint32_t i, enum event event,
                int64_t expiry_ms) {
    if (place->cell == NULL) {
        arguments_notify_new(call, place);
    } else if (UNLIKELY(maxmemory_policy_is_lfu(call->environment->options->maxmemory_policy)) &&
               !call->no_touch) {
        store_touch(place->store, table_cell_element(*place->cell));
    }
    call_emit(call, place,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .event = event,
                  .value = call->args[i],
                  .block = call_block(call, i),
                  .expiry_ms = expiry_ms,
              });
}

struct span string_at(struct call *call, struct span key, char *scratch) {
    struct place place = call_place(call, key);
    const struct entry *entry = place_entry(&place);
    return entry == NULL ? span_of("", 0) : value_string(entry, scratch);
}

/* Replies with the value of the key, the first argument. False: it has another type, and the reply
 * says so. *entry is NULL when there is no such key. */
static bool reply_value(struct call *call, struct entry **entry) {
    bool is_wrong;
    *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (*entry != NULL) {
        call_reply_string(call, *entry);
    } else if (!is_wrong) {
        reply_null(call->reply);
    }
    return !is_wrong;
}

/* ---- options of SET and GETEX ---- */

enum set_option {
    SET_NX = 1 << 0,
    SET_XX = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEPTTL = 1 << 3,
    SET_PERSIST = 1 << 4,
    SET_EX = 1 << 5,
    SET_PX = 1 << 6,
    SET_EXAT = 1 << 7,
    SET_PXAT = 1 << 8,
};

#define SET_EXPIRIES (SET_EX | SET_PX | SET_EXAT | SET_PXAT)
#define SET_ALLOWED (SET_NX | SET_XX | SET_GET | SET_KEEPTTL | SET_EXPIRIES)
#define GETEX_ALLOWED (SET_PERSIST | SET_EXPIRIES)

struct set_options {
    unsigned given;  /* enum set_option */
    uint32_t expiry; /* the argument that says when; 0: none */
};

/* An option may stand twice, but not beside one that it excludes. */
static const struct {
    const char *word;
    unsigned option;
    unsigned excluded;
} set_option_rows[] = {
    {"nx", SET_NX, SET_XX},
    {"xx", SET_XX, SET_NX},
    {"get", SET_GET, 0},
    {"keepttl", SET_KEEPTTL, SET_PERSIST | SET_EXPIRIES},
    {"persist", SET_PERSIST, SET_KEEPTTL | SET_EXPIRIES},
    {"ex", SET_EX, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_EX)},
    {"px", SET_PX, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_PX)},
    {"exat", SET_EXAT, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_EXAT)},
    {"pxat", SET_PXAT, SET_KEEPTTL | SET_PERSIST | (SET_EXPIRIES & ~SET_PXAT)},
};

/* The option at argument i, or 0 when it is none that may stand there. */
static unsigned option_at(const struct call *call, uint32_t i, unsigned given) {
    for (size_t k = 0; k < sizeof(set_option_rows) / sizeof(set_option_rows[0]); k++) {
        if (span_is(call->args[i], set_option_rows[k].word)) {
            return (given & set_option_rows[k].excluded) != 0 ? 0 : set_option_rows[k].option;
        }
    }
    return 0;
}

/* Reads the arguments from i on. False: the reply is a syntax error. */
static bool set_options_parse(struct call *call, uint32_t i, unsigned allowed,
                              struct set_options *options) {
    *options = (struct set_options){.given = 0};
    for (; i < call->args_count; i++) {
        unsigned option = option_at(call, i, options->given) & allowed;
        bool has_argument = (option & SET_EXPIRIES) != 0;
        if (option == 0 || (has_argument && i + 1 == call->args_count)) {
            call_reply_syntax_error(call);
            return false;
        }
        options->given |= option;
        if (has_argument) {
            options->expiry = ++i;
        }
    }
    return true;
}

/* The moment that the expiry argument means. False: the reply says why it is none. */
static bool set_options_expiry(struct call *call, const struct set_options *options,
                               int64_t *expiry_ms) {
    int64_t time;
    if (!call_integer(call, options->expiry, &time, NULL)) {
        return false;
    }
    bool is_valid = time > 0;
    if ((options->given & (SET_EX | SET_EXAT)) != 0) {
        is_valid = is_valid && !__builtin_mul_overflow(time, (int64_t)1000, &time);
    }
    if ((options->given & (SET_EX | SET_PX)) != 0) {
        is_valid = is_valid && !__builtin_add_overflow(time, call->now_ms, &time);
    }
    if (!is_valid) {
        reply_error_format(call->reply, "ERR invalid expire time in '%s' command",
                           call->command->name);
        return false;
    }
    *expiry_ms = time;
    return true;
}

/* ---- SET ---- */

/* Sets the key to argument i under the options. */
static void set_under(struct call *call, uint32_t i, const struct set_options *options) {
    bool replies_old = (options->given & SET_GET) != 0;
    int64_t expiry_ms = ENTRY_NO_EXPIRY;
    if (options->expiry != 0 && !set_options_expiry(call, options, &expiry_ms)) {
        return;
    }
    struct entry *old;
    if (replies_old && !reply_value(call, &old)) {
        return;
    }
    struct place place = call_place(call, call->args[1]);
    unsigned forbidding = place.cell == NULL ? SET_XX : SET_NX;
    if ((options->given & forbidding) != 0) {
        if (!replies_old) {
            reply_null(call->reply);
        }
        return;
    }
    if ((options->given & SET_KEEPTTL) != 0 && place.cell != NULL) {
        expiry_ms = entry_expiry(table_cell_element(*place.cell));
    }
    string_put(call, &place, i, EVENT_SET_ID, expiry_ms);
    if (options->expiry != 0) {
        call_notify(call, EVENT_EXPIRE_ID, place.key);
    }
    if (!replies_old) {
        reply_ok(call->reply);
    }
}

static void set(struct call *call) {
    if (LIKELY(call->args_count == 3)) {
        struct place place = call_place(call, call->args[1]);
        string_put(call, &place, 2, EVENT_SET_ID, ENTRY_NO_EXPIRY);
        reply_ok(call->reply);
        return;
    }
    struct set_options options;
    if (set_options_parse(call, 3, SET_ALLOWED, &options)) {
        set_under(call, 2, &options);
    }
}

static void setex(struct call *call) {
    set_under(call, 3, &(struct set_options){.given = SET_EX, .expiry = 2});
}

static void psetex(struct call *call) {
    set_under(call, 3, &(struct set_options){.given = SET_PX, .expiry = 2});
}

static void setnx(struct call *call) {
    struct place place = call_place(call, call->args[1]);
    bool is_new = place.cell == NULL;
    if (is_new) {
        string_put(call, &place, 2, EVENT_SET_ID, ENTRY_NO_EXPIRY);
    }
    reply_integer(call->reply, is_new);
}

/* ---- GET ---- */

static void get(struct call *call) {
    struct entry *entry;
    reply_value(call, &entry);
}

static void getset(struct call *call) {
    struct entry *entry;
    if (reply_value(call, &entry)) {
        struct place place = call_place(call, call->args[1]);
        string_put(call, &place, 2, EVENT_SET_ID, ENTRY_NO_EXPIRY);
    }
}

static void getdel(struct call *call) {
    struct entry *entry;
    if (reply_value(call, &entry) && entry != NULL) {
        struct place place = call_place(call, call->args[1]);
        call_emit(call, &place, &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
    }
}

/* What GETEX makes of the expiry; false: nothing changes. */
static bool getex_effect(const struct call *call, const struct entry *entry,
                         const struct set_options *options, int64_t expiry_ms,
                         struct effect *effect) {
    *effect = (struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = expiry_ms};
    if ((options->given & (SET_EXAT | SET_PXAT)) != 0 && call_is_past(call, expiry_ms)) {
        effect->kind = EFFECT_KEY_DELETE;
        effect->event = EVENT_DEL_ID;
        return true;
    }
    if (options->expiry != 0) {
        effect->event = EVENT_EXPIRE_ID;
        return true;
    }
    effect->event = EVENT_PERSIST_ID;
    return (options->given & SET_PERSIST) != 0 && entry_has(entry, ENTRY_FLAG_EXPIRY);
}

static void getex(struct call *call) {
    struct set_options options;
    if (!set_options_parse(call, 2, GETEX_ALLOWED, &options)) {
        return;
    }
    bool is_wrong;
    struct entry *entry = call_read_typed(call, call->args[1], VALUE_STRING, &is_wrong);
    if (entry == NULL) {
        if (!is_wrong) {
            reply_null(call->reply);
        }
        return;
    }
    int64_t expiry_ms = ENTRY_NO_EXPIRY;
    if (options.expiry != 0 && !set_options_expiry(call, &options, &expiry_ms)) {
        return;
    }
    call_reply_string(call, entry);
    struct effect effect;
    if (getex_effect(call, entry, &options, expiry_ms, &effect)) {
        struct place place = call_place(call, call->args[1]);
        call_emit(call, &place, &effect);
    }
}

/* ---- many keys ---- */

static void mget(struct call *call) {
    reply_array(call->reply, call->args_count - 1);
    for (uint32_t i = 1; i < call->args_count; i++) {
        struct entry *entry = call_read(call, call->args[i]);
        if (entry == NULL || value_type_of(entry) != VALUE_STRING) {
            reply_null(call->reply);
        } else {
            call_reply_string(call, entry);
        }
    }
}

/* False: a key has no value, and the reply says so. */
static bool pairs_are_whole(struct call *call) {
    if (call->args_count % 2 == 0) {
        reply_error_format(call->reply, "ERR wrong number of arguments for '%s' command",
                           call->command->name);
        return false;
    }
    return true;
}

static void put_pairs(struct call *call) {
    for (uint32_t i = 1; i < call->args_count; i += 2) {
        struct place place = call_place(call, call->args[i]);
        string_put(call, &place, i + 1, EVENT_SET_ID, ENTRY_NO_EXPIRY);
    }
}

static void mset(struct call *call) {
    if (pairs_are_whole(call)) {
        put_pairs(call);
        reply_ok(call->reply);
    }
}

static void msetnx(struct call *call) {
    if (!pairs_are_whole(call)) {
        return;
    }
    for (uint32_t i = 1; i < call->args_count; i += 2) {
        if (call_place(call, call->args[i]).cell != NULL) {
            reply_integer(call->reply, 0);
            return;
        }
    }
    put_pairs(call);
    reply_integer(call->reply, 1);
}

/* ---- rows ---- */

static unsigned set_key_flags(const struct span *args, uint32_t args_count) {
    for (uint32_t i = 3; i < args_count; i++) {
        if (span_is(args[i], "get")) {
            return KEY_RW | KEY_ACCESS | KEY_UPDATE;
        }
    }
    return KEY_OW | KEY_UPDATE;
}

const struct command string_commands[] = {
    {
        .name = "get",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = get,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers the string at a key.",
        .syntax = "key",
    },
    {
        .name = "getdel",
        .arity = 2,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_DELETE),
        .run = getdel,
        .group = "string",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Answers the string at a key and deletes the key.",
        .syntax = "key",
    },
    {
        .name = "getex",
        .arity = -2,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_UPDATE,
                  .begin = 1,
                  .step = 1,
                  .notes = "RW and UPDATE because it changes the TTL"}},
        .run = getex,
        .group = "string",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Answers the string at a key and sets or removes the key's expiry.",
        .syntax = "key [expiration=EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT "
                  "unix-time-milliseconds|PERSIST]",
    },
    {
        .name = "getset",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = getset,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string and answers the one that it held before.",
        .syntax = "key value",
        .deprecated_since = "6.2.0",
        .replaced_by = "`SET` with the `!GET` argument",
    },
    {
        .name = "mget",
        .arity = -2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .last = -1, .step = 1}},
        .run = mget,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(N) with N the number of keys",
        .summary = "Answers the strings at several keys.",
        .syntax = "key [key ...]",
        .tips = COMMAND_TIPS("request_policy:multi_shard"),
    },
    {
        .name = "mset",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = {{.flags = KEY_OW | KEY_UPDATE, .begin = 1, .last = -1, .step = 2}},
        .run = mset,
        .group = "string",
        .since = "1.0.1",
        .complexity = "O(N) with N the number of keys",
        .summary = "Sets several keys to strings, all at once.",
        .syntax = "key value [key value ...]",
        .tips = COMMAND_TIPS("request_policy:multi_shard", "response_policy:all_succeeded"),
    },
    {
        .name = "msetnx",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .keys = {{.flags = KEY_OW | KEY_INSERT, .begin = 1, .last = -1, .step = 2}},
        .run = msetnx,
        .group = "string",
        .since = "1.0.1",
        .complexity = "O(N) with N the number of keys",
        .summary = "Sets several keys to strings, all at once, if none of them exists.",
        .syntax = "key value [key value ...]",
        .tips = COMMAND_TIPS("request_policy:multi_shard", "response_policy:agg_min"),
    },
    {
        .name = "psetex",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_SAMPLED,
        .keys = COMMAND_FIRST_KEY(KEY_OW | KEY_UPDATE),
        .run = psetex,
        .group = "string",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string that expires after so many milliseconds.",
        .syntax = "key milliseconds value",
        .deprecated_since = "2.6.12",
        .replaced_by = "`SET` with the `PX` argument",
    },
    {
        .name = "set",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_SAMPLED,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE_FLAGS,
                  .begin = 1,
                  .step = 1,
                  .notes = "RW and ACCESS due to the optional `GET` argument"}},
        .run = set,
        .find_key_flags = set_key_flags,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string, whatever it held before.",
        .syntax = "key value [condition=NX|XX]@2.6.12 [GET]@6.2.0 [expiration=EX "
                  "seconds@2.6.12|PX milliseconds@2.6.12|EXAT unix-time-seconds@6.2.0|PXAT "
                  "unix-time-milliseconds@6.2.0|KEEPTTL@6.0.0]",
    },
    {
        .name = "setex",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_SAMPLED,
        .keys = COMMAND_FIRST_KEY(KEY_OW | KEY_UPDATE),
        .run = setex,
        .group = "string",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string that expires after so many seconds.",
        .syntax = "key seconds value",
        .deprecated_since = "2.6.12",
        .replaced_by = "`SET` with the `EX` argument",
    },
    {
        .name = "setnx",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_OW | KEY_INSERT),
        .run = setnx,
        .group = "string",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Sets a key to a string if the key does not exist.",
        .syntax = "key value",
        .deprecated_since = "2.6.12",
        .replaced_by = "`SET` with the `NX` argument",
    },
    {.name = NULL},
};
