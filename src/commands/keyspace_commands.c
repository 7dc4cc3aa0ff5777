#include "commands/keyspace_commands.h"

#include "base/glob.h"
#include "base/memory.h"
#include "commands/keys.h"

/* On a replica, whose expired keys stay, RANDOMKEY gives up after so many of them: as in Redis. */
#define RANDOM_TRIES_MAX 100

/* ---- walking the keys of one store ---- */

/* Entries that a walk met; they belong to the store. */
struct found {
    struct entry **entries;
    size_t count;
    size_t capacity;
};

static void found_add(void *element, void *context) {
    struct found *found = context;
    if (found->count == found->capacity) {
        found->capacity = found->capacity == 0 ? SCAN_COUNT_DEFAULT * 4 : found->capacity * 2;
        found->entries = memory_realloc(found->entries, found->capacity * sizeof(struct entry *));
    }
    found->entries[found->count++] = element;
}

static bool is_any(struct span pattern) {
    return pattern.length == 1 && pattern.bytes[0] == '*';
}

/* ---- KEYS ---- */

struct listing {
    struct call *call;
    struct span pattern;
    bool takes_any;
};

static void list_key(void *element, void *context) {
    const struct listing *listing = context;
    struct call *call = listing->call;
    struct span key = entry_key(element);
    if ((listing->takes_any || glob_match(listing->pattern, key)) &&
        !keys_is_expired(call, element)) {
        reply_bulk(call->reply, key);
        call->gather->count++;
    }
}

static void keys(struct call *call) {
    struct gather *gather = call->gather;
    const struct store *store = call->environment->keyspace->stores[gather->store_index];
    struct listing listing = {
        .call = call,
        .pattern = call->args[1],
        .takes_any = is_any(call->args[1]),
    };
    if (gather_is_first(gather)) {
        gather->mark = reply_mark_here(call->reply);
    }
    for (uint32_t slot = store_next_slot(store, call->database, 0); slot < SLOTS;
         slot = store_next_slot(store, call->database, slot + 1)) {
        const struct table *table = store_table(store, call->database, (uint16_t)slot);
        uint64_t position = 0;
        do {
            position = table_scan(table, position, list_key, &listing);
        } while (position != 0);
    }
    if (gather_is_last(gather)) {
        reply_array_at(call->reply, gather->mark, gather->count);
    }
}

/* ---- SCAN ---- */

struct scan_options {
    struct span pattern;
    struct span type; /* bytes NULL: any */
    uint64_t count;
};

/* As the C library reads a number: a sign may stand before it, and nothing is 0. */
bool scan_cursor_parse(struct span text, uint64_t *cursor) {
    bool is_negative = text.length > 0 && text.bytes[0] == '-';
    if (text.length > 0 && (text.bytes[0] == '-' || text.bytes[0] == '+')) {
        text = span_of(text.bytes + 1, text.length - 1);
        if (text.length == 0) {
            return false;
        }
    }
    uint64_t number = 0;
    for (size_t i = 0; i < text.length; i++) {
        char digit = text.bytes[i];
        if (digit < '0' || digit > '9' || __builtin_mul_overflow(number, UINT64_C(10), &number) ||
            __builtin_add_overflow(number, (uint64_t)(digit - '0'), &number)) {
            return false;
        }
    }
    *cursor = is_negative ? 0 - number : number;
    return true;
}

/* False: the reply says what is wrong. */
static bool parse_scan_options(struct call *call, struct scan_options *options) {
    *options = (struct scan_options){
        .pattern = span_of_string("*"),
        .count = SCAN_COUNT_DEFAULT,
    };
    for (uint32_t i = 2; i < call->args_count; i += 2) {
        bool has_value = i + 1 < call->args_count;
        if (has_value && span_is(call->args[i], "count")) {
            int64_t count;
            if (!call_integer(call, i + 1, &count, NULL)) {
                return false;
            }
            if (count < 1) {
                call_reply_syntax_error(call);
                return false;
            }
            options->count = (uint64_t)count;
        } else if (has_value && span_is(call->args[i], "match")) {
            options->pattern = call->args[i + 1];
        } else if (has_value && span_is(call->args[i], "type")) {
            options->type = call->args[i + 1];
        } else {
            call_reply_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Exchanges a place in a table's scan order, whose low bits are zeros but in huge tables, and a
 * small number. */
static uint64_t reverse_place(uint64_t place) {
    uint64_t reversed = 0;
    for (int i = 0; i < TABLE_SCAN_BITS; i++) {
        reversed = reversed << 1 | (place >> i & 1);
    }
    return reversed;
}

_Static_assert(1 << SCAN_SLOT_BITS == SLOTS, "a cursor holds any slot");
_Static_assert(SCAN_SLOT_BITS + TABLE_SCAN_BITS < 64, "a cursor holds any place");

/* Walks on from the cursor until count entries are found, or the store ends, or too many buckets
 * were nearly empty. Answers the next cursor. */
static uint64_t scan(const struct call *call, uint64_t cursor, uint64_t count,
                     struct found *found) {
    const struct store *store = call_store(call, scan_cursor_slot(cursor));
    uint64_t position = reverse_place(cursor >> SCAN_SLOT_BITS);
    uint32_t slot = scan_cursor_slot(cursor);
    uint64_t buckets_left;
    if (__builtin_mul_overflow(count, (uint64_t)SCAN_BUCKETS_PER_COUNT, &buckets_left)) {
        buckets_left = UINT64_MAX;
    }
    if (position == 0) {
        slot = store_next_slot(store, call->database, slot);
    }
    while (slot < SLOTS && found->count < count && buckets_left > 0) {
        const struct table *table = store_table(store, call->database, (uint16_t)slot);
        if (table != NULL) {
            position = table_scan(table, position, found_add, found);
        } else {
            position = 0; /* The database was flushed since. */
        }
        buckets_left--;
        if (position == 0) {
            slot = store_next_slot(store, call->database, slot + 1);
        }
    }
    if (slot >= SLOTS) {
        slot = store->slot_first + store->slot_count;
        return slot == SLOTS ? 0 : slot;
    }
    return reverse_place(position) << SCAN_SLOT_BITS | slot;
}

static bool scan_takes(const struct scan_options *options, const struct entry *entry) {
    if (options->type.bytes != NULL &&
        !span_is(options->type, value_type_name(value_type_of(entry)))) {
        return false;
    }
    return is_any(options->pattern) || glob_match(options->pattern, entry_key(entry));
}

/* Lets an expired entry go. Its key is copied: it is freed with the entry, before observers are
 * told. */
static void let_go(struct call *call, const struct entry *entry) {
    struct span key = entry_key(entry);
    char *copy = memory_copy(key.bytes, key.length);
    call_place(call, span_of(copy, key.length));
    memory_free(copy);
}

static void scan_keys(struct call *call) {
    struct scan_options options;
    uint64_t cursor;
    if (!scan_cursor_parse(call->args[1], &cursor)) {
        reply_error(call->reply, "ERR invalid cursor");
        return;
    }
    if (!parse_scan_options(call, &options)) {
        return;
    }
    struct found found = {.entries = NULL};
    cursor = scan(call, cursor, options.count, &found);
    char text[NUMBER_TEXT_BYTES_MAX];
    reply_array(call->reply, 2);
    reply_bulk(call->reply, span_of(text, number_format_unsigned(text, cursor)));
    struct reply_mark mark = reply_mark_here(call->reply);
    size_t taken = 0;
    for (size_t i = 0; i < found.count; i++) {
        struct entry *entry = found.entries[i];
        if (!scan_takes(&options, entry)) {
            continue;
        }
        if (keys_is_expired(call, entry)) {
            let_go(call, entry);
            continue;
        }
        reply_bulk(call->reply, entry_key(entry));
        taken++;
    }
    reply_array_at(call->reply, mark, taken);
    memory_free(found.entries);
}

/* ---- RANDOMKEY ---- */

/* Any entry of the database in all stores with equal chance, or NULL. */
static struct entry *random_entry(const struct call *call) {
    const struct keyspace *keyspace = call->environment->keyspace;
    struct random *random = call->environment->random;
    uint64_t count = keyspace_keys(keyspace, call->database);
    if (count == 0) {
        return NULL;
    }
    uint64_t place = random_below(random, count);
    uint32_t i = 0;
    while (place >= store_keys(keyspace->stores[i], call->database)) {
        place -= store_keys(keyspace->stores[i], call->database);
        i++;
    }
    uint16_t slot;
    return store_random(keyspace->stores[i], call->database, random, &slot);
}

static void randomkey(struct call *call) {
    for (int tries = 1;; tries++) {
        const struct entry *entry = random_entry(call);
        if (entry == NULL) {
            reply_null(call->reply);
            return;
        }
        bool is_last = call->keeps_expired && tries == RANDOM_TRIES_MAX;
        if (is_last || !keys_is_expired(call, entry)) {
            reply_bulk(call->reply, entry_key(entry));
            return;
        }
        let_go(call, entry);
    }
}

/* ---- databases ---- */

static void dbsize(struct call *call) {
    struct gather *gather = call->gather;
    const struct store *store = call->environment->keyspace->stores[gather->store_index];
    gather->count += store_keys(store, call->database);
    if (gather_is_last(gather)) {
        reply_integer(call->reply, (int64_t)gather->count);
    }
}

/* ASYNC and SYNC mean the same here: a flush takes the tables away at once, and what they held is
 * freed by and by without holding up anyone. False: the reply is a syntax error. */
static bool parse_flush_options(struct call *call) {
    if (call->args_count == 1 || (call->args_count == 2 && (span_is(call->args[1], "async") ||
                                                            span_is(call->args[1], "sync")))) {
        return true;
    }
    call_reply_syntax_error(call);
    return false;
}

static bool is_used(const struct keyspace *keyspace, uint32_t database) {
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        if (keyspace->stores[i]->databases[database] != NULL) {
            return true;
        }
    }
    return false;
}

static void flush(struct call *call, uint32_t database) {
    if (is_used(call->environment->keyspace, database)) {
        call_emit_to_database(call,
                              &(struct effect){.kind = EFFECT_DATABASE_FLUSH, .number = database});
    }
}

static void flushdb(struct call *call) {
    if (parse_flush_options(call)) {
        flush(call, call->database);
        reply_ok(call->reply);
    }
}

static void flushall(struct call *call) {
    if (parse_flush_options(call)) {
        for (uint32_t i = 0; i < call->environment->keyspace->database_count; i++) {
            flush(call, i);
        }
        reply_ok(call->reply);
    }
}

/* Both numbers are read before either is looked at: Redis' order of errors. */
static void swapdb(struct call *call) {
    if (call->environment->keyspace->has_one_database) {
        reply_error(call->reply, "ERR SWAPDB is not allowed in cluster mode");
        return;
    }
    static const char *const errors[2] = {"ERR invalid first DB index",
                                          "ERR invalid second DB index"};
    int64_t numbers[2];
    for (uint32_t i = 0; i < 2; i++) {
        if (!call_integer(call, i + 1, &numbers[i], errors[i])) {
            return;
        }
        if (numbers[i] < INT32_MIN || numbers[i] > INT32_MAX) {
            reply_error(call->reply, errors[i]);
            return;
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (numbers[i] < 0 || numbers[i] >= call->environment->keyspace->database_count) {
            reply_error(call->reply, "ERR DB index is out of range");
            return;
        }
    }
    if (numbers[0] != numbers[1]) {
        call_emit_to_database(call, &(struct effect){.kind = EFFECT_DATABASE_SWAP,
                                                     .number = numbers[0] << 32 | numbers[1]});
    }
    reply_ok(call->reply);
}

/* ---- rows ---- */

static const char *const tips_of_flush[] = {"request_policy:all_shards",
                                            "response_policy:all_succeeded", NULL};

const struct command keyspace_commands[] = {
    {
        .name = "dbsize",
        .arity = 1,
        .flags = COMMAND_READONLY | COMMAND_FAST | COMMAND_GATHERS,
        .categories = CATEGORY_KEYSPACE,
        .run = dbsize,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers how many keys the database has.",
        .syntax = "",
        .tips = COMMAND_TIPS("request_policy:all_shards", "response_policy:agg_sum"),
    },
    {
        .name = "flushall",
        .arity = -1,
        .flags = COMMAND_WRITE | COMMAND_ALL_WORKERS,
        .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
        .run = flushall,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1); memory is freed by and by",
        .summary = "Removes all keys of all databases.",
        .syntax = "[flush-type=ASYNC@4.0.0|SYNC@6.2.0]",
        .tips = tips_of_flush,
    },
    {
        .name = "flushdb",
        .arity = -1,
        .flags = COMMAND_WRITE | COMMAND_ALL_WORKERS,
        .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
        .run = flushdb,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1); memory is freed by and by",
        .summary = "Removes all keys of the database.",
        .syntax = "[flush-type=ASYNC@4.0.0|SYNC@6.2.0]",
        .tips = tips_of_flush,
    },
    {
        .name = "keys",
        .arity = 2,
        .flags = COMMAND_READONLY | COMMAND_GATHERS,
        .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
        .run = keys,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(N) with N the number of keys in the database",
        .summary = "Answers all keys that match a pattern.",
        .syntax = "pattern",
        .tips = COMMAND_TIPS("request_policy:all_shards", "nondeterministic_output_order"),
    },
    {
        .name = "randomkey",
        .arity = 1,
        .flags = COMMAND_READONLY | COMMAND_ALL_WORKERS,
        .categories = CATEGORY_KEYSPACE,
        .run = randomkey,
        .group = "generic",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers any key of the database.",
        .syntax = "",
        .tips = COMMAND_TIPS("request_policy:all_shards", "response_policy:special",
                             "nondeterministic_output"),
    },
    {
        .name = "scan",
        .arity = -2,
        .flags = COMMAND_READONLY | COMMAND_BY_CURSOR,
        .categories = CATEGORY_KEYSPACE,
        .run = scan_keys,
        .group = "generic",
        .since = "2.8.0",
        .complexity = "O(1) per call. O(N) for all calls until the cursor is 0 again, with N the "
                      "number of keys in the database.",
        .summary = "Walks over the keys of the database, some per call.",
        .syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type]@6.0.0",
        .tips = COMMAND_TIPS("nondeterministic_output", "request_policy:special",
                             "response_policy:special"),
    },
    {
        .name = "swapdb",
        .arity = 3,
        .flags = COMMAND_WRITE | COMMAND_FAST | COMMAND_ALL_WORKERS,
        .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
        .run = swapdb,
        .group = "server",
        .since = "4.0.0",
        .complexity = "O(N) with N the number of watched keys in both databases",
        .summary = "Lets two databases change places.",
        .syntax = "index1 index2",
    },
    {.name = NULL},
};
