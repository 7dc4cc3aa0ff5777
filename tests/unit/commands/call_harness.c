#include "tests/unit/commands/call_harness.h"

#include "base/memory.h"
#include "commands/effect_codec.h"
#include "store/hash_value.h"
#include "store/value.h"

#define DATABASES 16
#define LINE_BYTES_MAX 4096

/* ---- what the calls do ---- */

static void terminate(struct buffer *buffer) {
    *buffer_reserve(buffer, 1) = '\0';
}

/* By way of the bytes that would stand in the log. */
static void apply_to_twin(struct keyspace *twin, const struct place *place,
                          const struct effect *effect) {
    struct effect_record record = {.effect = *effect, .slot = EFFECT_NODE_SLOT};
    if (place != NULL) {
        record.key = place->key;
        record.database = place->database;
        record.slot = place->slot;
    }
    struct buffer log = BUFFER_EMPTY;
    if (effect_write(&log, &record)) {
        buffer_append_span(&log, block_span(effect->block));
    }
    struct span content = buffer_span(&log);
    ASSERT(effect_read(&content, &record) == EFFECT_READ_DONE);
    ASSERT(effect_read(&content, &record) == EFFECT_READ_END);
    ASSERT(effect_replay(twin, &record) == EFFECT_REPLAY_DONE);
    buffer_free(&log);
}

static void effect_seen(void *context, const struct call *call, const struct place *place,
                        const struct effect *effect) {
    struct call_harness *harness = context;
    ASSERT((call->command->flags & COMMAND_WRITE) != 0 || effect->event == EVENT_EXPIRED_ID);
    if (harness->effects_count < CALL_HARNESS_EFFECTS_MAX) {
        harness->effects[harness->effects_count] = (struct call_harness_effect){
            .kind = effect->kind,
            .event = effect->event,
            .value_length = effect->value.length,
            .has_block = effect->block != NULL,
            .is_raw = effect->is_raw,
            .number = effect->number,
            .expiry_ms = effect->expiry_ms,
        };
    }
    harness->effects_count++;
    apply_to_twin(harness->twin, place, effect);
}

static void event_seen(void *context, const struct call *call, enum event event, struct span key) {
    struct call_harness *harness = context;
    (void)call;
    buffer_append_string(&harness->events, event_name(event));
    buffer_append_byte(&harness->events, ' ');
    buffer_append_span(&harness->events, key);
    buffer_append_byte(&harness->events, '\n');
    terminate(&harness->events);
}

/* ---- lifecycle ---- */

/* redis-server's defaults. */
static const struct store_options options_default = {
    .maxmemory_samples = 5,
    .maxmemory_eviction_tenacity = 10,
    .lfu_log_factor = 10,
    .lfu_decay_time = 1,
    .active_expire_effort = 1,
    .proto_max_bulk_len = INT64_C(512) * 1024 * 1024,
    .hash_max_listpack_entries = 128,
    .hash_max_listpack_value = 64,
};

void call_harness_open(struct call_harness *harness, const struct command *const *families,
                       uint32_t stores) {
    static const uint64_t seeds[2] = {UINT64_C(0x9e3779b97f4a7c15), 1};
    *harness = (struct call_harness){
        .options = options_default,
        .now_ms = CALL_HARNESS_NOW_MS,
        .protocol = 2,
        .families = families,
    };
    random_seed(&harness->random, 1);
    harness->keyspace = keyspace_new(&harness->options, stores, DATABASES, seeds);
    harness->twin = keyspace_new(&harness->options, stores, DATABASES, seeds);
    harness->environment = (struct call_environment){
        .keyspace = harness->keyspace,
        .options = &harness->options,
        .random = &harness->random,
        .observer = {.context = harness,
                     .effect = effect_seen,
                     .event = event_seen,
                     .event_classes = EVENT_ALL | EVENT_KEY_MISS | EVENT_NEW},
    };
    terminate(&harness->reply);
    terminate(&harness->events);
}

void call_harness_close(struct call_harness *harness) {
    ASSERT(call_harness_difference(harness) == NULL);
    keyspace_free(harness->keyspace);
    keyspace_free(harness->twin);
    buffer_free(&harness->reply);
    buffer_free(&harness->events);
}

/* ---- calls ---- */

static const struct command *row_named(const struct command *rows, struct span name) {
    for (const struct command *row = rows; row->name != NULL; row++) {
        if (span_is(name, row->name)) {
            return row;
        }
    }
    return NULL;
}

const struct command *call_harness_row(const struct call_harness *harness, struct span name) {
    const struct command *row = NULL;
    for (size_t i = 0; row == NULL && harness->families[i] != NULL; i++) {
        row = row_named(harness->families[i], name);
    }
    return row;
}

/* The row that the arguments call, which may be a subcommand's; or NULL. */
static const struct command *row_called(const struct call_harness *harness, const struct span *args,
                                        uint32_t args_count) {
    const struct command *row = call_harness_row(harness, args[0]);
    if (row != NULL && row->subcommands != NULL) {
        row = args_count < 2 ? NULL : row_named(row->subcommands, args[1]);
    }
    return row == NULL || row->run == NULL ? NULL : row;
}

/* Brings what the reply holds into one run of bytes, as a socket would see it. */
static void flatten(const struct reply *reply, struct buffer *bytes) {
    size_t at = 0;
    for (uint32_t i = 0; i < reply->blocks_count; i++) {
        const struct reply_block *part = &reply->blocks[i];
        ASSERT(part->at >= at && part->at <= reply->buffer.length);
        ASSERT(part->offset + part->length <= part->block->length);
        buffer_append(bytes, reply->buffer.bytes + at, part->at - at);
        buffer_append(bytes, part->block->bytes + part->offset, part->length);
        at = part->at;
    }
    buffer_append(bytes, reply->buffer.bytes + at, reply->buffer.length - at);
}

/* The look-ahead that a worker does for the first key. */
static void look_ahead(struct call *call) {
    const struct key_spec *spec = &call->command->keys[0];
    if (spec->flags == 0 || spec->keyword != NULL || spec->step == 0 ||
        (uint32_t)spec->begin >= call->args_count) {
        return;
    }
    struct span key = call->args[spec->begin];
    call->first_key = (uint32_t)spec->begin;
    call->first_slot = slot_of_key(key);
    call->first_hash = store_hash(call_store(call, call->first_slot), key);
}

static void run_on_each_store(struct call *call) {
    struct gather gather = {.store_count = call->environment->keyspace->store_count};
    call->gather = &gather;
    for (; gather.store_index < gather.store_count; gather.store_index++) {
        call->command->run(call);
    }
    call->gather = NULL;
}

static void run_call(struct call_harness *harness, struct call *call) {
    for (uint32_t i = 0; i < harness->keyspace->store_count; i++) {
        store_tick(harness->keyspace->stores[i], harness->now_ms);
        store_tick(harness->twin->stores[i], harness->now_ms);
    }
    struct reply reply;
    reply_init(&reply, harness->protocol);
    call->reply = &reply;
    look_ahead(call);
    if ((call->command->flags & COMMAND_GATHERS) != 0) {
        run_on_each_store(call);
    } else {
        call->command->run(call);
    }
    ASSERT(reply_bytes(&reply) != 0);
    flatten(&reply, &harness->reply);
    reply_free(&reply);
}

/* Large arguments become blocks of their own; the others move to memory of their exact size, so
 * that a sanitizer sees who reads behind them. */
struct arrival {
    struct span args[CALL_HARNESS_ARGS_MAX];
    struct block *blocks[CALL_HARNESS_ARGS_MAX];
    void *copies[CALL_HARNESS_ARGS_MAX];
};

static void arrive(struct arrival *arrival, const struct span *args, uint32_t args_count) {
    for (uint32_t i = 0; i < args_count; i++) {
        arrival->blocks[i] = NULL;
        arrival->copies[i] = NULL;
        if (args[i].length < BLOCK_BYTES_MIN) {
            arrival->copies[i] = memory_copy(args[i].bytes, args[i].length);
            arrival->args[i] = span_of(arrival->copies[i], args[i].length);
            continue;
        }
        struct block *block = block_try_new(args[i].length);
        ASSERT(block != NULL);
        memcpy(block->bytes, args[i].bytes, args[i].length);
        block->length = args[i].length;
        arrival->blocks[i] = block;
        arrival->args[i] = block_span(block);
    }
}

static void depart(struct arrival *arrival, uint32_t args_count) {
    for (uint32_t i = 0; i < args_count; i++) {
        block_release(arrival->blocks[i]);
        memory_free(arrival->copies[i]);
    }
}

const char *call_harness_run(struct call_harness *harness, const struct span *args,
                             uint32_t args_count) {
    ASSERT(args_count >= 1 && args_count <= CALL_HARNESS_ARGS_MAX);
    const struct command *row = row_called(harness, args, args_count);
    if (row == NULL) {
        return "<unknown command>";
    }
    if (!command_arity_fits(row, args_count)) {
        return "<arity>";
    }
    buffer_clear(&harness->reply);
    buffer_clear(&harness->events);
    terminate(&harness->events);
    harness->effects_count = 0;
    struct arrival *arrival = memory_alloc(sizeof(*arrival));
    arrive(arrival, args, args_count);
    struct call call = {
        .environment = &harness->environment,
        .command = row,
        .args = arrival->args,
        .blocks = arrival->blocks,
        .args_count = args_count,
        .database = harness->database,
        .now_ms = harness->now_ms,
        .no_touch = harness->no_touch,
        .keeps_expired = harness->keeps_expired,
    };
    run_call(harness, &call);
    ASSERT(call.changes == harness->effects_count);
    depart(arrival, args_count);
    memory_free(arrival);
    terminate(&harness->reply);
    return harness->reply.bytes;
}

static int hexadecimal(char digit) {
    return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* One byte of a quoted word; moves *text behind it. */
static char unquoted(const char **text) {
    const char *at = *text;
    if (at[0] != '\\') {
        *text = at + 1;
        return at[0];
    }
    if (at[1] == 'x') {
        *text = at + 4;
        return (char)(hexadecimal(at[2]) * 16 + hexadecimal(at[3]));
    }
    *text = at + 2;
    return (char)(at[1] == 'n' ? '\n' : at[1] == 'r' ? '\r' : at[1]);
}

const char *call_harness_line(struct call_harness *harness, const char *line) {
    ASSERT(strlen(line) <= LINE_BYTES_MAX);
    char bytes[LINE_BYTES_MAX];
    char *end = bytes;
    struct span args[CALL_HARNESS_ARGS_MAX];
    uint32_t args_count = 0;
    while (*line != '\0') {
        if (*line == ' ') {
            line++;
            continue;
        }
        ASSERT(args_count < CALL_HARNESS_ARGS_MAX);
        char *start = end;
        if (*line == '"') {
            line++;
            while (*line != '"') {
                ASSERT(*line != '\0');
                *end++ = unquoted(&line);
            }
            line++;
        } else {
            while (*line != ' ' && *line != '\0') {
                *end++ = *line++;
            }
        }
        args[args_count++] = span_of(start, (size_t)(end - start));
    }
    return call_harness_run(harness, args, args_count);
}

/* ---- what is there ---- */

struct comparison {
    struct keyspace *twin;
    uint32_t database;
    const char *difference;
    const struct store *other_store;
    const struct entry *other;
};

static void compare_field(struct span field, struct span value, void *context) {
    struct comparison *comparison = context;
    char scratch[HASH_SCRATCH_BYTES];
    struct span other;
    if (!hash_value_get(comparison->other_store, comparison->other, field, scratch, &other) ||
        !span_equal(value, other)) {
        comparison->difference = "a field of a hash differs";
    }
}

static void compare_values(struct comparison *comparison, const struct entry *entry) {
    char scratch[NUMBER_TEXT_BYTES_MAX];
    char other_scratch[NUMBER_TEXT_BYTES_MAX];
    if (value_type_of(entry) == VALUE_STRING) {
        if (!span_equal(value_string(entry, scratch),
                        value_string(comparison->other, other_scratch))) {
            comparison->difference = "a string differs";
        }
        return;
    }
    if (hash_value_length(entry) != hash_value_length(comparison->other)) {
        comparison->difference = "a hash has more or fewer fields";
    } else {
        hash_value_each(entry, compare_field, comparison);
    }
}

static void compare_entry(void *element, void *context) {
    struct comparison *comparison = context;
    const struct entry *entry = element;
    struct span key = entry_key(entry);
    uint16_t slot = slot_of_key(key);
    comparison->other_store = keyspace_store(comparison->twin, slot);
    uint64_t *cell = store_find(comparison->other_store, comparison->database, slot,
                                store_hash(comparison->other_store, key), key);
    if (cell == NULL) {
        comparison->difference = "a key is missing";
        return;
    }
    comparison->other = table_cell_element(*cell);
    if (value_type_of(entry) != value_type_of(comparison->other)) {
        comparison->difference = "a type differs";
    } else if (strcmp(value_encoding(entry), value_encoding(comparison->other)) != 0) {
        comparison->difference = "an encoding differs";
    } else if (entry_expiry(entry) != entry_expiry(comparison->other)) {
        comparison->difference = "an expiry differs";
    } else {
        compare_values(comparison, entry);
    }
}

static void compare_store(struct comparison *comparison, const struct store *store) {
    uint32_t database = comparison->database;
    for (uint32_t slot = store_next_slot(store, database, store->slot_first); slot < SLOTS;
         slot = store_next_slot(store, database, slot + 1)) {
        const struct table *table = store_table(store, database, (uint16_t)slot);
        uint64_t position = 0;
        do {
            position = table_scan(table, position, compare_entry, comparison);
        } while (position != 0);
    }
}

const char *call_harness_difference(const struct call_harness *harness) {
    struct comparison comparison = {.twin = harness->twin};
    for (uint32_t i = 0; i < DATABASES; i++) {
        comparison.database = i;
        if (keyspace_keys(harness->keyspace, i) != keyspace_keys(harness->twin, i)) {
            return "the number of keys differs";
        }
        for (uint32_t k = 0; k < harness->keyspace->store_count; k++) {
            compare_store(&comparison, harness->keyspace->stores[k]);
        }
    }
    return comparison.difference;
}

uint64_t call_harness_keys(const struct call_harness *harness) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < DATABASES; i++) {
        keys += keyspace_keys(harness->keyspace, i);
    }
    return keys;
}

struct entry *call_harness_entry(const struct call_harness *harness, const char *key) {
    struct span name = span_of_string(key);
    uint16_t slot = slot_of_key(name);
    const struct store *store = keyspace_store(harness->keyspace, slot);
    uint64_t *cell = store_find(store, harness->database, slot, store_hash(store, name), name);
    return cell == NULL ? NULL : table_cell_element(*cell);
}
