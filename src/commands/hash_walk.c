#include "commands/hash.h"

#include "base/glob.h"
#include "commands/keyspace_commands.h"

/* ---- HGETALL, HKEYS, HVALS ---- */

void hash_reply_pair(struct span field, struct span value, void *reply) {
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
    if (!hash_read(call, &entry)) {
        return;
    }
    reply_map(call->reply, entry == NULL ? 0 : hash_value_length(entry));
    if (entry != NULL) {
        hash_value_each(entry, hash_reply_pair, call->reply);
    }
}

static void reply_each(struct call *call, hash_visit *visit) {
    struct entry *entry;
    if (!hash_read(call, &entry)) {
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
        hash_reply_pair(field, value, scan->reply);
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
    if (!hash_read(call, &entry)) {
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

static const char *const tips_of_any_order[] = {"nondeterministic_output_order", NULL};

const struct command hash_walk_commands[] = {
    {
        .name = "hgetall",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hgetall,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields in the hash.",
        .summary = "Answers all fields of a hash with their values.",
        .syntax = "key",
        .tips = tips_of_any_order,
    },
    {
        .name = "hkeys",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hkeys,
        .group = "hash",
        .since = "2.0.0",
        .complexity = "O(N) with N the number of fields in the hash.",
        .summary = "Answers all fields of a hash.",
        .syntax = "key",
        .tips = tips_of_any_order,
    },
    {
        .name = "hscan",
        .arity = -3,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hscan,
        .group = "hash",
        .since = "2.8.0",
        .complexity = "O(1) for a call, O(N) for the whole walk with N the number of fields.",
        .summary = "Walks over the fields of a hash, some of them with every call.",
        .syntax = "key cursor [MATCH pattern] [COUNT count]",
        .tips = COMMAND_TIPS("nondeterministic_output"),
    },
    {
        .name = "hvals",
        .arity = 2,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
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
