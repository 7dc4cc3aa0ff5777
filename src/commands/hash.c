#include "commands/hash.h"

#include "commands/arguments.h"

#include <math.h>

bool hash_read(struct call *call, struct entry **entry) {
    bool is_wrong;
    *entry = call_read_typed(call, call->args[1], VALUE_HASH, &is_wrong);
    return !is_wrong;
}

/* The value of a field of a hash that may not be there. */
static bool read_field(struct call *call, const struct entry *entry, struct span field,
                       char *scratch, struct span *value) {
    if (entry == NULL) {
        return false;
    }
    uint16_t slot = call->first_key == 1 ? call->first_slot : slot_of_key(call->args[1]);
    return hash_value_get(call_store(call, slot), entry, field, scratch, value);
}

static bool read_place(struct place *place, struct span field, char *scratch, struct span *value) {
    const struct entry *entry = place_entry(place);
    return entry != NULL && hash_value_get(place->store, entry, field, scratch, value);
}

/* Answers 1 if the field is new. */
static int64_t put(struct call *call, struct place *place, struct span field, struct span value,
                   enum event event) {
    arguments_notify_new(call, place);
    return call_emit(call, place,
                     &(struct effect){
                         .kind = EFFECT_HASH_PUT,
                         .event = event,
                         .field = field,
                         .value = value,
                     });
}

/* ---- HSET, HSETNX, HMSET ---- */

/* Sets the pairs behind the key; answers how many fields are new, or -1 when the reply says why
 * not. */
static int64_t put_pairs(struct call *call) {
    if (call->args_count % 2 != 0) {
        reply_error_format(call->reply, "ERR wrong number of arguments for '%s' command",
                           call->command->name);
        return -1;
    }
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_HASH, &place)) {
        return -1;
    }
    int64_t added = 0;
    for (uint32_t i = 2; i < call->args_count; i += 2) {
        bool is_last = i + 2 == call->args_count;
        added += put(call, &place, call->args[i], call->args[i + 1],
                     is_last ? EVENT_HSET_ID : EVENT_NONE);
    }
    return added;
}

static void hset(struct call *call) {
    int64_t added = put_pairs(call);
    if (added >= 0) {
        reply_integer(call->reply, added);
    }
}

static void hmset(struct call *call) {
    if (put_pairs(call) >= 0) {
        reply_ok(call->reply);
    }
}

static void hsetnx(struct call *call) {
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_HASH, &place)) {
        return;
    }
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    bool is_there = read_place(&place, call->args[2], scratch, &value);
    if (!is_there) {
        put(call, &place, call->args[2], call->args[3], EVENT_HSET_ID);
    }
    reply_integer(call->reply, !is_there);
}

/* ---- HDEL ---- */

static void delete_field(struct call *call, struct place *place, uint32_t i, enum event event) {
    call_emit(call, place,
              &(struct effect){.kind = EFFECT_HASH_DELETE, .event = event, .field = call->args[i]});
}

/* A field is deleted when the next one to go is found: the last one carries the event. */
static void hdel(struct call *call) {
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_HASH, &place)) {
        return;
    }
    int64_t deleted = 0;
    uint32_t waiting = 0;
    for (uint32_t i = 2; i < call->args_count; i++) {
        char scratch[HASH_SCRATCH_BYTES];
        struct span value;
        if (!read_place(&place, call->args[i], scratch, &value) ||
            (waiting != 0 && span_equal(call->args[waiting], call->args[i]))) {
            continue;
        }
        if (waiting != 0) {
            delete_field(call, &place, waiting, EVENT_NONE);
        }
        waiting = i;
        deleted++;
    }
    if (waiting != 0) {
        delete_field(call, &place, waiting, EVENT_HDEL_ID);
        if (place.cell == NULL) {
            call_notify(call, EVENT_DEL_ID, place.key);
        }
    }
    reply_integer(call->reply, deleted);
}

/* ---- HGET, HMGET, HEXISTS, HLEN, HSTRLEN ---- */

static void reply_field(struct call *call, const struct entry *entry, struct span field) {
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    if (read_field(call, entry, field, scratch, &value)) {
        reply_bulk(call->reply, value);
    } else {
        reply_null(call->reply);
    }
}

static void hget(struct call *call) {
    struct entry *entry;
    if (hash_read(call, &entry)) {
        reply_field(call, entry, call->args[2]);
    }
}

static void hmget(struct call *call) {
    struct entry *entry;
    if (!hash_read(call, &entry)) {
        return;
    }
    reply_array(call->reply, call->args_count - 2);
    for (uint32_t i = 2; i < call->args_count; i++) {
        reply_field(call, entry, call->args[i]);
    }
}

static void hexists(struct call *call) {
    struct entry *entry;
    if (hash_read(call, &entry)) {
        char scratch[HASH_SCRATCH_BYTES];
        struct span value;
        reply_integer(call->reply, read_field(call, entry, call->args[2], scratch, &value));
    }
}

static void hlen(struct call *call) {
    struct entry *entry;
    if (hash_read(call, &entry)) {
        reply_integer(call->reply, entry == NULL ? 0 : (int64_t)hash_value_length(entry));
    }
}

static void hstrlen(struct call *call) {
    struct entry *entry;
    if (hash_read(call, &entry)) {
        char scratch[HASH_SCRATCH_BYTES];
        struct span value;
        bool is_there = read_field(call, entry, call->args[2], scratch, &value);
        reply_integer(call->reply, is_there ? (int64_t)value.length : 0);
    }
}

/* ---- HINCRBY, HINCRBYFLOAT ---- */

static void hincrby(struct call *call) {
    int64_t increment;
    struct place place;
    if (!call_integer(call, 3, &increment, NULL) ||
        !call_write_typed(call, call->args[1], VALUE_HASH, &place)) {
        return;
    }
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    int64_t number = 0;
    if (read_place(&place, call->args[2], scratch, &value) && !number_parse(value, &number)) {
        reply_error(call->reply, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(number, increment, &number)) {
        reply_error(call->reply, "ERR increment or decrement would overflow");
        return;
    }
    char text[NUMBER_TEXT_BYTES_MAX];
    put(call, &place, call->args[2], span_of(text, number_format(text, number)), EVENT_HINCRBY_ID);
    reply_integer(call->reply, number);
}

static void hincrbyfloat(struct call *call) {
    long double increment;
    if (!number_parse_long_double(call->args[3], &increment)) {
        reply_error(call->reply, "ERR value is not a valid float");
        return;
    }
    if (!isfinite(increment)) {
        reply_error(call->reply, "ERR value is NaN or Infinity");
        return;
    }
    struct place place;
    if (!call_write_typed(call, call->args[1], VALUE_HASH, &place)) {
        return;
    }
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    long double number = 0;
    if (read_place(&place, call->args[2], scratch, &value) &&
        !number_parse_long_double(value, &number)) {
        reply_error(call->reply, "ERR hash value is not a float");
        return;
    }
    number += increment;
    if (!isfinite(number)) {
        reply_error(call->reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    char text[NUMBER_LONG_DOUBLE_TEXT_BYTES_MAX];
    value = span_of(text, number_format_long_double(text, number));
    put(call, &place, call->args[2], value, EVENT_HINCRBYFLOAT_ID);
    reply_bulk(call->reply, value);
}

/* ---- rows ---- */

const struct command hash_commands[] = {
    {
        .name = "hdel",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_DELETE),
        .run = hdel,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields given.",
        .summary = "Deletes fields of a hash, and the hash with its last one.",
        .syntax = "key field [field ...]",
    },
    {
        .name = "hexists",
        .arity = 3,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO),
        .run = hexists,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Tells whether a hash has a field.",
        .syntax = "key field",
    },
    {
        .name = "hget",
        .arity = 3,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hget,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Answers the value of a field of a hash.",
        .syntax = "key field",
    },
    {
        .name = "hincrby",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = hincrby,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Adds an integer to the value of a field, which is 0 if it was not there.",
        .syntax = "key field increment",
    },
    {
        .name = "hincrbyfloat",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = hincrbyfloat,
        .group = "hash",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Adds a decimal number to the value of a field, which is 0 if it was not there.",
        .syntax = "key field increment(double)",
    },
    {
        .name = "hlen",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO),
        .run = hlen,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Answers how many fields a hash has.",
        .syntax = "key",
    },
    {
        .name = "hmget",
        .arity = -3,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hmget,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields asked for.",
        .summary = "Answers the values of some fields of a hash.",
        .syntax = "key field [field ...]",
    },
    {
        .name = "hmset",
        .arity = -4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_UPDATE),
        .run = hmset,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields given.",
        .summary = "Sets some fields of a hash to values.",
        .syntax = "key field value [field value ...]",
        .deprecated_since = "4.0.0",
        .replaced_by = "`HSET` with multiple field-value pairs",
    },
    {
        .name = "hset",
        .arity = -4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_UPDATE),
        .run = hset,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields given.",
        .summary = "Sets fields of a hash to values; the hash is made if it was not there.",
        .syntax = "key field value [field value ...]",
    },
    {
        .name = "hsetnx",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RW | KEY_INSERT),
        .run = hsetnx,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Sets a field of a hash if it does not exist.",
        .syntax = "key field value",
    },
    {
        .name = "hstrlen",
        .arity = 3,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = COMMAND_FIRST_KEY(KEY_RO),
        .run = hstrlen,
        .group = "hash",
        .since = "3.2.0",
        .complexity = "O(1)",
        .summary = "Answers how many bytes the value of a field has.",
        .syntax = "key field",
    },
    {.name = NULL},
};
