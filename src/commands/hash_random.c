#include "commands/hash.h"

#include "base/memory.h"

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
    hash_reply_pair(field, value, fields->reply);
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
    if (!hash_read(call, &entry)) {
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
    if (!hrandfield_arguments(call, &wanted, &fields.with_values) || !hash_read(call, &entry)) {
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

/* ---- rows ---- */

const struct command hash_random_commands[] = {
    {
        .name = "hrandfield",
        .arity = -2,
        .flags = COMMAND_READONLY,
        .keys = COMMAND_FIRST_KEY(KEY_RO | KEY_ACCESS),
        .run = hrandfield,
        .group = "hash",
        .since = "6.2.0",
        .complexity = "O(N) with N the number of fields answered.",
        .summary = "Answers one field of a hash by chance, or several.",
        .syntax = "key [options=count [WITHVALUES]]",
        .tips = COMMAND_TIPS("nondeterministic_output"),
    },
    {.name = NULL},
};
