#include "commands/hash.h"

#include "base/glob.h"
#include "base/memory.h"
#include "commands/arguments.h"
#include "commands/keyspace_commands.h"
#include "store/hash_value.h"

#include <math.h>

/* Finds the hash at the first argument for a command that reads. False: it has another type, and
 * the reply says so. *entry is NULL when there is no such key. */
static bool read_hash(struct call *call, struct entry **entry) {
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
    if (read_hash(call, &entry)) {
        reply_field(call, entry, call->args[2]);
    }
}

static void hmget(struct call *call) {
    struct entry *entry;
    if (!read_hash(call, &entry)) {
        return;
    }
    reply_array(call->reply, call->args_count - 2);
    for (uint32_t i = 2; i < call->args_count; i++) {
        reply_field(call, entry, call->args[i]);
    }
}

static void hexists(struct call *call) {
    struct entry *entry;
    if (read_hash(call, &entry)) {
        char scratch[HASH_SCRATCH_BYTES];
        struct span value;
        reply_integer(call->reply, read_field(call, entry, call->args[2], scratch, &value));
    }
}

static void hlen(struct call *call) {
    struct entry *entry;
    if (read_hash(call, &entry)) {
        reply_integer(call->reply, entry == NULL ? 0 : (int64_t)hash_value_length(entry));
    }
}

static void hstrlen(struct call *call) {
    struct entry *entry;
    if (read_hash(call, &entry)) {
        char scratch[HASH_SCRATCH_BYTES];
        struct span value;
        bool is_there = read_field(call, entry, call->args[2], scratch, &value);
        reply_integer(call->reply, is_there ? (int64_t)value.length : 0);
    }
}

/* ---- HGETALL, HKEYS, HVALS ---- */

static void reply_pair(struct span field, struct span value, void *reply) {
    reply_bulk(reply, field);
    reply_bulk(reply, value);
}

static void reply_field_only(struct span field, struct span value, void *reply) {
    (void)value;
    reply_bulk(reply, field);
}

static void reply_value_only(struct span field, struct span value, void *reply) {
    (void)field;
    reply_bulk(reply, value);
}

static void hgetall(struct call *call) {
    struct entry *entry;
    if (!read_hash(call, &entry)) {
        return;
    }
    reply_map(call->reply, entry == NULL ? 0 : hash_value_length(entry));
    if (entry != NULL) {
        hash_value_each(entry, reply_pair, call->reply);
    }
}

static void reply_each(struct call *call, hash_visit *visit) {
    struct entry *entry;
    if (!read_hash(call, &entry)) {
        return;
    }
    reply_array(call->reply, entry == NULL ? 0 : hash_value_length(entry));
    if (entry != NULL) {
        hash_value_each(entry, visit, call->reply);
    }
}

static void hkeys(struct call *call) {
    reply_each(call, reply_field_only);
}

static void hvals(struct call *call) {
    reply_each(call, reply_value_only);
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

/* ---- HRANDFIELD ---- */

struct fields_reply {
    struct reply *reply;
    bool with_values;
};

/* Pairs are nested in RESP3 and flat in RESP2. */
static void reply_fields_header(const struct fields_reply *fields, size_t count) {
    bool is_flat = fields->with_values && fields->reply->protocol == 2;
    reply_array(fields->reply, is_flat ? count * 2 : count);
}

static void reply_one(struct span field, struct span value, void *context) {
    const struct fields_reply *fields = context;
    if (!fields->with_values) {
        reply_bulk(fields->reply, field);
        return;
    }
    if (fields->reply->protocol != 2) {
        reply_array(fields->reply, 2);
    }
    reply_pair(field, value, fields->reply);
}

/* Any, each time anew. */
static void reply_any(struct call *call, const struct entry *entry, uint64_t count,
                      struct fields_reply *fields) {
    for (; count != 0; count--) {
        struct hash_pair pair;
        hash_value_random(entry, call->environment->random, &pair);
        reply_one(pair.field, pair.value, fields);
    }
}

struct selection {
    struct random *random;
    struct fields_reply *fields;
    uint64_t wanted;
    uint64_t left; /* fields to be visited yet */
};

/* Each with the chance wanted / left: that makes exactly as many as wanted, all sets alike.
 * Source: D. E. Knuth, The Art of Computer Programming, volume 2, algorithm S. */
static void select_visit(struct span field, struct span value, void *context) {
    struct selection *selection = context;
    if (random_below(selection->random, selection->left) < selection->wanted) {
        reply_one(field, value, selection->fields);
        selection->wanted--;
    }
    selection->left--;
}

/* True if the address was not in the set, which has a power of two of places and keeps some
 * free. */
static bool address_add(const void **set, uint64_t places, const void *address) {
    uint64_t place = ((uintptr_t)address >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 16;
    for (;; place++) {
        const void **found = &set[place & (places - 1)];
        if (*found == NULL) {
            *found = address;
            return true;
        }
        if (*found == address) {
            return false;
        }
    }
}

/* A few of many: drawn until enough are different. */
static void reply_drawn(struct call *call, const struct entry *entry, uint64_t count,
                        struct fields_reply *fields) {
    uint64_t places = 2;
    while (places < count * 2) {
        places *= 2;
    }
    const void **drawn = memory_alloc_zeroed(places * sizeof(*drawn));
    while (count != 0) {
        struct hash_pair pair;
        hash_value_random(entry, call->environment->random, &pair);
        if (address_add(drawn, places, pair.field.bytes)) {
            reply_one(pair.field, pair.value, fields);
            count--;
        }
    }
    memory_free(drawn);
}

static void reply_different(struct call *call, const struct entry *entry, uint64_t count,
                            struct fields_reply *fields) {
    uint64_t length = hash_value_length(entry);
    if (entry_kind(entry) == ENTRY_HASH_TABLE && count < length / 4) {
        reply_drawn(call, entry, count, fields);
        return;
    }
    struct selection selection = {
        .random = call->environment->random, .fields = fields, .wanted = count, .left = length};
    hash_value_each(entry, select_visit, &selection);
}

/* Reads the count and WITHVALUES. False: the reply says what is wrong. */
static bool hrandfield_arguments(struct call *call, int64_t *count, bool *with_values) {
    if (!call_integer(call, 2, count, NULL)) {
        return false;
    }
    if (*count < -INT64_MAX) {
        reply_error_format(call->reply,
                           "ERR value is out of range, value must between %lld and %lld",
                           -(long long)INT64_MAX, (long long)INT64_MAX);
        return false;
    }
    *with_values = call->args_count == 4 && span_is(call->args[3], "withvalues");
    if (call->args_count > 3 && !*with_values) {
        call_reply_syntax_error(call);
        return false;
    }
    if (*with_values && (*count < -INT64_MAX / 2 || *count > INT64_MAX / 2)) {
        reply_error(call->reply, "ERR value is out of range");
        return false;
    }
    return true;
}

static void hrandfield_one(struct call *call) {
    struct entry *entry;
    if (!read_hash(call, &entry)) {
        return;
    }
    if (entry == NULL) {
        reply_null(call->reply);
        return;
    }
    struct hash_pair pair;
    hash_value_random(entry, call->environment->random, &pair);
    reply_bulk(call->reply, pair.field);
}

static void hrandfield(struct call *call) {
    if (call->args_count == 2) {
        hrandfield_one(call);
        return;
    }
    struct fields_reply fields = {.reply = call->reply};
    int64_t wanted;
    struct entry *entry;
    if (!hrandfield_arguments(call, &wanted, &fields.with_values) || !read_hash(call, &entry)) {
        return;
    }
    if (entry == NULL || wanted == 0) {
        reply_array(call->reply, 0);
        return;
    }
    if (wanted < 0) {
        uint64_t count = (uint64_t)-wanted;
        reply_fields_header(&fields, count);
        reply_any(call, entry, count, &fields);
        return;
    }
    uint64_t length = hash_value_length(entry);
    uint64_t count = (uint64_t)wanted < length ? (uint64_t)wanted : length;
    reply_fields_header(&fields, count);
    if (count == length) {
        hash_value_each(entry, reply_one, &fields);
    } else {
        reply_different(call, entry, count, &fields);
    }
}

/* ---- HSCAN ---- */

struct scan {
    struct reply *reply;
    bool has_pattern;
    struct span pattern;
    int64_t count;
    size_t seen;
    size_t elements; /* in the reply */
};

/* False: the reply says what is wrong. */
static bool scan_arguments(struct call *call, struct scan *scan) {
    for (uint32_t i = 3; i < call->args_count; i += 2) {
        bool has_next = i + 1 < call->args_count;
        if (has_next && span_is(call->args[i], "count")) {
            if (!call_integer(call, i + 1, &scan->count, NULL)) {
                return false;
            }
            if (scan->count < 1) {
                call_reply_syntax_error(call);
                return false;
            }
        } else if (has_next && span_is(call->args[i], "match")) {
            scan->pattern = call->args[i + 1];
            scan->has_pattern = !span_equal(scan->pattern, span_of("*", 1));
        } else {
            call_reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void scan_count_visit(struct span field, struct span value, void *context) {
    struct scan *scan = context;
    (void)field;
    (void)value;
    scan->seen++;
}

static void scan_reply_visit(struct span field, struct span value, void *context) {
    struct scan *scan = context;
    if (!scan->has_pattern || glob_match(scan->pattern, field)) {
        reply_pair(field, value, scan->reply);
        scan->elements += 2;
    }
}

/* Tables stay dense as they shrink: a few buckets hold what was asked for.
 * The cursor stands before the fields in the reply: so the way is walked twice, first for its
 * end. */
static void scan_reply(struct scan *scan, const struct entry *entry, uint64_t cursor) {
    uint64_t count = (uint64_t)scan->count;
    uint64_t steps = 0;
    uint64_t end = cursor;
    do {
        end = hash_value_scan(entry, end, scan_count_visit, scan);
        steps++;
    } while (end != 0 && scan->seen < count);
    reply_array(scan->reply, 2);
    char text[NUMBER_TEXT_BYTES_MAX];
    reply_bulk(scan->reply, span_of(text, number_format_unsigned(text, end)));
    struct reply_mark mark = reply_mark_here(scan->reply);
    for (; steps != 0; steps--) {
        cursor = hash_value_scan(entry, cursor, scan_reply_visit, scan);
    }
    reply_array_at(scan->reply, mark, scan->elements);
}

static void hscan(struct call *call) {
    uint64_t cursor;
    if (!scan_cursor_parse(call->args[2], &cursor)) {
        reply_error(call->reply, "ERR invalid cursor");
        return;
    }
    struct entry *entry;
    if (!read_hash(call, &entry)) {
        return;
    }
    if (entry == NULL) {
        reply_array(call->reply, 2);
        reply_bulk(call->reply, span_of("0", 1));
        reply_array(call->reply, 0);
        return;
    }
    struct scan scan = {.reply = call->reply, .count = SCAN_COUNT_DEFAULT};
    if (scan_arguments(call, &scan)) {
        scan_reply(&scan, entry, cursor);
    }
}

/* ---- rows ---- */

#define FIRST_KEY(flags_of_key)                                                                    \
    {                                                                                              \
        { .flags = (flags_of_key), .begin = 1, .step = 1 }                                         \
    }

static const char *const tips_of_any_order[] = {"nondeterministic_output_order", NULL};
static const char *const tips_of_any_output[] = {"nondeterministic_output", NULL};

const struct command hash_commands[] = {
    {
        .name = "hdel",
        .arity = -3,
        .flags = COMMAND_WRITE | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_DELETE),
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
        .keys = FIRST_KEY(KEY_RO),
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
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hget,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Answers the value of a field of a hash.",
        .syntax = "key field",
    },
    {
        .name = "hgetall",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hgetall,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields in the hash.",
        .summary = "Answers all fields of a hash with their values.",
        .syntax = "key",
        .tips = tips_of_any_order,
    },
    {
        .name = "hincrby",
        .arity = 4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
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
        .keys = FIRST_KEY(KEY_RW | KEY_ACCESS | KEY_UPDATE),
        .run = hincrbyfloat,
        .group = "hash",
        .since = "2.6.0",
        .complexity = "O(1)",
        .summary = "Adds a decimal number to the value of a field, which is 0 if it was not there.",
        .syntax = "key field increment(double)",
    },
    {
        .name = "hkeys",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hkeys,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields in the hash.",
        .summary = "Answers all fields of a hash.",
        .syntax = "key",
        .tips = tips_of_any_order,
    },
    {
        .name = "hlen",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RO),
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
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
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
        .keys = FIRST_KEY(KEY_RW | KEY_UPDATE),
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
        .name = "hrandfield",
        .arity = -2,
        .flags = COMMAND_READONLY,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hrandfield,
        .group = "hash",
        .since = "6.2.0",
        .complexity = "O(N) with N the number of fields answered.",
        .summary = "Answers one field of a hash by chance, or several.",
        .syntax = "key [options=count [WITHVALUES]]",
        .tips = tips_of_any_output,
    },
    {
        .name = "hscan",
        .arity = -3,
        .flags = COMMAND_READONLY,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hscan,
        .group = "hash",
        .since = "2.8.0",
        .complexity = "O(1) for a call, O(N) for the whole walk with N the number of fields.",
        .summary = "Walks over the fields of a hash, some of them with every call.",
        .syntax = "key cursor [MATCH pattern] [COUNT count]",
        .tips = tips_of_any_output,
    },
    {
        .name = "hset",
        .arity = -4,
        .flags = COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_FAST,
        .keys = FIRST_KEY(KEY_RW | KEY_UPDATE),
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
        .keys = FIRST_KEY(KEY_RW | KEY_INSERT),
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
        .keys = FIRST_KEY(KEY_RO),
        .run = hstrlen,
        .group = "hash",
        .since = "3.2.0",
        .complexity = "O(1)",
        .summary = "Answers how many bytes the value of a field has.",
        .syntax = "key field",
    },
    {
        .name = "hvals",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .keys = FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hvals,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields in the hash.",
        .summary = "Answers all values of a hash.",
        .syntax = "key",
        .tips = tips_of_any_order,
    },
    {.name = NULL},
};
