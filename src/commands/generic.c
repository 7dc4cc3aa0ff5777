#include "commands/generic.h"

#include "commands/arguments.h"
#include "commands/keys.h"
#include "store/hash_value.h"

/* ---- deleting and asking ---- */

static void del(struct call *call) {
    int64_t deleted = 0;
    for (uint32_t i = 1; i < call->args_count; i++) {
        struct place place = call_place(call, call->args[i]);
        if (place.cell != NULL) {
            deleted += call_emit(
                call, &place, &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_DEL_ID});
        }
    }
    reply_integer(call->reply, deleted);
}

static void exists(struct call *call) {
    int64_t count = 0;
    for (uint32_t i = 1; i < call->args_count; i++) {
        count += keys_peek(call, call->args[i]) != NULL;
    }
    reply_integer(call->reply, count);
}

/* Touches even for a client that set NO-TOUCH: it asks for it. */
static void touch(struct call *call) {
    int64_t count = 0;
    call->no_touch = false;
    for (uint32_t i = 1; i < call->args_count; i++) {
        count += call_read(call, call->args[i]) != NULL;
    }
    reply_integer(call->reply, count);
}

static void type(struct call *call) {
    const struct entry *entry = keys_peek(call, call->args[1]);
    reply_status(call->reply, entry == NULL ? "none" : value_type_name(value_type_of(entry)));
}

/* ---- carrying a value to another key ---- */

/* The call looks at another database; answers the one before. */
static uint32_t enter_database(struct call *call, uint32_t database) {
    uint32_t before = call->database;
    call->database = database;
    return before;
}

static void notify_in(struct call *call, uint32_t database, enum event event, struct span key) {
    uint32_t before = enter_database(call, database);
    call_notify(call, event, key);
    call->database = before;
}

static void carry_string(struct call *call, const struct entry *source, struct place *target,
                         enum event event) {
    char scratch[NUMBER_TEXT_BYTES_MAX];
    enum entry_kind kind = entry_kind(source);
    call_emit(call, target,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .event = event,
                  .value = value_string(source, scratch),
                  .block = kind == ENTRY_BLOCK ? entry_block(source) : NULL,
                  .is_raw = entry_has(source, ENTRY_FLAG_RAW),
                  .is_text = kind != ENTRY_INTEGER,
                  .expiry_ms = entry_expiry(source),
              });
}

struct field_carrier {
    struct call *call;
    struct place *target;
    enum event last_event; /* of the last field */
    size_t left;
    bool is_table;
};

static void carry_field(struct span field, struct span value, void *context) {
    struct field_carrier *carrier = context;
    carrier->left--;
    call_emit(carrier->call, carrier->target,
              &(struct effect){
                  .kind = EFFECT_HASH_PUT,
                  .event = carrier->left == 0 ? carrier->last_event : EVENT_NONE,
                  .is_table = carrier->is_table,
                  .field = field,
                  .value = value,
              });
}

/* The event comes with the last effect, when all is there. */
static void carry_hash(struct call *call, const struct entry *source, struct place *target,
                       enum event event) {
    int64_t expiry_ms = entry_expiry(source);
    struct field_carrier carrier = {
        .call = call,
        .target = target,
        .last_event = expiry_ms == ENTRY_NO_EXPIRY ? event : EVENT_NONE,
        .left = hash_value_length(source),
        .is_table = entry_kind(source) == ENTRY_HASH_TABLE,
    };
    hash_value_each(source, carry_field, &carrier);
    if (expiry_ms != ENTRY_NO_EXPIRY) {
        call_emit(
            call, target,
            &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .event = event, .expiry_ms = expiry_ms});
    }
}

/* Gives the target the value and expiry of the source, in place of what is there. The source stays
 * as it is meanwhile: an effect changes the target alone. */
static void carry(struct call *call, const struct entry *source, struct place *target,
                  enum event event) {
    if (target->cell != NULL) {
        call_emit(call, target, &(struct effect){.kind = EFFECT_KEY_DELETE});
    }
    call_notify(call, EVENT_NEW_ID, target->key);
    if (value_type_of(source) == VALUE_STRING) {
        carry_string(call, source, target, event);
    } else {
        carry_hash(call, source, target, event);
    }
}

/* ---- RENAME ---- */

static void rename_in_slot(struct call *call, struct place *source, struct place *target) {
    call_notify(call, EVENT_NEW_ID, target->key);
    call_emit(call, source,
              &(struct effect){
                  .kind = EFFECT_KEY_MOVE,
                  .event = EVENT_RENAME_FROM_ID,
                  .field = target->key,
                  .number = call->database,
              });
}

static void rename_over_slots(struct call *call, struct place *source, struct place *target) {
    const struct entry *entry = place_entry(source);
    uint32_t access = entry_access(entry);
    carry(call, entry, target, EVENT_NONE);
    entry_set_access(place_entry(target), access);
    call_emit(call, source,
              &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_RENAME_FROM_ID});
}

/* False: the new name is taken, and must not be. */
static bool rename_key(struct call *call, struct place *source, bool must_be_new) {
    struct place target;
    if (keys_write(call, call->args[2], &target) != NULL && must_be_new) {
        return false;
    }
    if (source->slot == target.slot) {
        rename_in_slot(call, source, &target);
    } else {
        rename_over_slots(call, source, &target);
    }
    call_notify(call, EVENT_RENAME_TO_ID, target.key);
    return true;
}

/* Answers whether the key has the new name now; the reply is written when there is no such key. */
static bool rename_or_refuse(struct call *call, bool must_be_new, bool *is_renamed) {
    struct place source;
    if (keys_write(call, call->args[1], &source) == NULL) {
        reply_error(call->reply, "ERR no such key");
        return false;
    }
    if (span_equal(call->args[1], call->args[2])) {
        *is_renamed = !must_be_new;
    } else {
        *is_renamed = rename_key(call, &source, must_be_new);
    }
    return true;
}

static void rename_command(struct call *call) {
    bool is_renamed;
    if (rename_or_refuse(call, false, &is_renamed)) {
        reply_ok(call->reply);
    }
}

static void renamenx(struct call *call) {
    bool is_renamed;
    if (rename_or_refuse(call, true, &is_renamed)) {
        reply_integer(call->reply, is_renamed);
    }
}

/* ---- COPY and MOVE ---- */

/* Parses argument i as the number of a database. False: the reply says why it is none. */
static bool parse_database(struct call *call, uint32_t i, uint32_t *database) {
    int64_t number;
    if (!call_integer(call, i, &number, NULL)) {
        return false;
    }
    if (number < INT32_MIN || number > INT32_MAX) {
        reply_error_format(call->reply, "ERR value is out of range, value must between %d and %d",
                           INT32_MIN, INT32_MAX);
        return false;
    }
    if (number < 0 || number >= call->environment->keyspace->database_count) {
        reply_error(call->reply, "ERR DB index is out of range");
        return false;
    }
    *database = (uint32_t)number;
    return true;
}

struct copy_options {
    uint32_t database;
    bool replaces;
};

/* False: the reply says what is wrong. */
static bool parse_copy_options(struct call *call, struct copy_options *options) {
    *options = (struct copy_options){.database = call->database};
    for (uint32_t i = 3; i < call->args_count; i++) {
        if (span_is(call->args[i], "replace")) {
            options->replaces = true;
        } else if (span_is(call->args[i], "db") && i + 1 < call->args_count) {
            if (!parse_database(call, ++i, &options->database)) {
                return false;
            }
        } else {
            call_reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void reply_same_object(struct call *call) {
    reply_error(call->reply, "ERR source and destination objects are the same");
}

/* Answers whether there is a copy now. */
static bool copy_key(struct call *call, const struct copy_options *options) {
    struct entry *source = call_read(call, call->args[1]);
    if (source == NULL) {
        return false;
    }
    uint32_t before = enter_database(call, options->database);
    struct place target;
    bool is_free = keys_write(call, call->args[2], &target) == NULL;
    /* An expired target has been let go: that moves no entry. */
    if (is_free || options->replaces) {
        carry(call, source, &target, EVENT_COPY_TO_ID);
    }
    call->database = before;
    return is_free || options->replaces;
}

static void copy(struct call *call) {
    struct copy_options options;
    if (!parse_copy_options(call, &options)) {
        return;
    }
    if (call->environment->keyspace->has_one_database && options.database != 0) {
        reply_error(call->reply, "ERR Copying to another database is not allowed in cluster mode");
        return;
    }
    if (options.database == call->database && span_equal(call->args[1], call->args[2])) {
        reply_same_object(call);
        return;
    }
    reply_integer(call->reply, copy_key(call, &options));
}

/* Answers whether the key is in the other database now. */
static bool move_key(struct call *call, uint32_t database) {
    struct place source;
    if (keys_write(call, call->args[1], &source) == NULL) {
        return false;
    }
    struct place target;
    uint32_t before = enter_database(call, database);
    bool is_free = keys_write(call, call->args[1], &target) == NULL;
    call->database = before;
    if (!is_free) {
        return false;
    }
    notify_in(call, database, EVENT_NEW_ID, call->args[1]);
    call_emit(call, &source,
              &(struct effect){
                  .kind = EFFECT_KEY_MOVE,
                  .event = EVENT_MOVE_FROM_ID,
                  .field = call->args[1],
                  .number = database,
              });
    notify_in(call, database, EVENT_MOVE_TO_ID, call->args[1]);
    return true;
}

static void move(struct call *call) {
    uint32_t database;
    if (call->environment->keyspace->has_one_database) {
        reply_error(call->reply, "ERR MOVE is not allowed in cluster mode");
        return;
    }
    if (!parse_database(call, 2, &database)) {
        return;
    }
    if (database == call->database) {
        reply_same_object(call);
        return;
    }
    reply_integer(call->reply, move_key(call, database));
}

/* ---- rows ---- */

static const char *const tips_of_sums[] = {"request_policy:multi_shard", "response_policy:agg_sum",
                                           NULL};

const struct command generic_commands[] = {
    {
        .name = "copy",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO | KEY_ACCESS, .begin = 1, .step = 1},
                 {.flags = KEY_OW | KEY_UPDATE, .begin = 2, .step = 1}},
        .run = copy,
        .group = "generic",
        .since = "6.2.0",
        .complexity = "O(N) with N the elements of a collection; O(1) for strings",
        .summary = "Gives another key the value and expiry of a key.",
        .syntax = "source destination [DB destination-db] [REPLACE]",
    },
    {
        .name = "del",
        .arity = -2,
        .flags = COMMAND_WRITE,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RM | KEY_DELETE, .begin = 1, .last = -1, .step = 1}},
        .run = del,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N) with N the number of keys; large values are freed by and by",
        .summary = "Deletes keys.",
        .syntax = "key [key ...]",
        .tips = tips_of_sums,
    },
    {
        .name = "exists",
        .arity = -2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO, .begin = 1, .last = -1, .step = 1}},
        .run = exists,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N) with N the number of keys",
        .summary = "Answers how many of the keys exist.",
        .syntax = "key [key ...]",
        .tips = tips_of_sums,
    },
    {
        .name = "move",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_UPDATE, .begin = 1, .step = 1}},
        .run = move,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Moves a key to another database.",
        .syntax = "key db",
    },
    {
        .name = "rename",
        .arity = 3,
        .flags = COMMAND_WRITE,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE, .begin = 1, .step = 1},
                 {.flags = KEY_OW | KEY_UPDATE, .begin = 2, .step = 1}},
        .run = rename_command,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1); O(N) with N the elements of a collection that changes its slot",
        .summary = "Gives a key another name, in place of the key that has it.",
        .syntax = "key newkey",
    },
    {
        .name = "renamenx",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE, .begin = 1, .step = 1},
                 {.flags = KEY_OW | KEY_INSERT, .begin = 2, .step = 1}},
        .run = renamenx,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1); O(N) with N the elements of a collection that changes its slot",
        .summary = "Gives a key another name if no key has it yet.",
        .syntax = "key newkey",
    },
    {
        .name = "touch",
        .arity = -2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO, .begin = 1, .last = -1, .step = 1}},
        .run = touch,
        .group = "generic",
        .since = "3.2.1",
        .complexity = "O(N) with N the number of keys",
        .summary = "Counts as an access to the keys; answers how many of them exist.",
        .syntax = "key [key ...]",
        .tips = tips_of_sums,
    },
    {
        .name = "type",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RO, .begin = 1, .step = 1}},
        .run = type,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers the type of the value at a key.",
        .syntax = "key",
    },
    {
        .name = "unlink",
        .arity = -2,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .categories = CATEGORY_KEYSPACE,
        .keys = {{.flags = KEY_RM | KEY_DELETE, .begin = 1, .last = -1, .step = 1}},
        .run = del,
        .group = "generic",
        .since = "4.0.0",
        .complexity = "O(N) with N the number of keys; large values are freed by and by",
        .summary = "Deletes keys and frees large values by and by, as DEL does here.",
        .syntax = "key [key ...]",
        .tips = tips_of_sums,
    },
    {.name = NULL},
};
