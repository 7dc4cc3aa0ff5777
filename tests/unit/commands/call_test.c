#include "commands/call.h"

#include "commands/command.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#define DATABASES 4
#define STORES 3
#define NOW_MS INT64_C(1700000000000)
#define ARGS_MAX 4
#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

static const struct command row = {.name = "test", .arity = -1, .flags = COMMAND_WRITE};

struct fixture {
    struct store_options options;
    struct random random;
    struct call_environment environment;
    struct reply reply;
    struct span args[ARGS_MAX];
    struct call call;
    char seen[256]; /* what the observer was told: "effect 1 key;event set key;" */
};

static void see(struct fixture *fixture, const char *what, const char *name, struct span key) {
    size_t length = strlen(fixture->seen);
    snprintf(fixture->seen + length, sizeof(fixture->seen) - length, "%s %s %.*s;", what, name,
             (int)key.length, key.length == 0 ? "" : key.bytes);
}

static void effect_seen(void *context, const struct call *call, const struct place *place,
                        const struct effect *effect) {
    struct fixture *fixture = context;
    ck_assert_ptr_eq(call, &fixture->call);
    char number[16];
    snprintf(number, sizeof(number), "%d", (int)effect->kind);
    see(fixture, "effect", number, place == NULL ? span_of("", 0) : place->key);
    if (effect->kind == EFFECT_KEY_DELETE) {
        ck_assert_ptr_null(place->cell);
    }
}

static void event_seen(void *context, const struct call *call, enum event event, struct span key) {
    (void)call;
    see(context, "event", event_name(event), key);
}

/* The arguments are "test" and these. */
static void open_fixture(struct fixture *fixture, const char *first, const char *second) {
    static const uint64_t seeds[2] = {1, 2};
    *fixture = (struct fixture){
        .options = {.proto_max_bulk_len = 1 << 29,
                    .hash_max_listpack_entries = 128,
                    .hash_max_listpack_value = 64,
                    .lfu_log_factor = 10,
                    .lfu_decay_time = 1},
        .args = {span_of_string("test"), span_of_string(first), span_of_string(second)},
    };
    random_seed(&fixture->random, 1);
    fixture->environment = (struct call_environment){
        .keyspace = keyspace_new(&fixture->options, STORES, DATABASES, seeds),
        .options = &fixture->options,
        .random = &fixture->random,
        .observer = {.context = fixture,
                     .effect = effect_seen,
                     .event = event_seen,
                     .event_classes = EVENT_ALL | EVENT_KEY_MISS | EVENT_NEW},
    };
    for (uint32_t i = 0; i < STORES; i++) {
        store_tick(fixture->environment.keyspace->stores[i], NOW_MS);
    }
    reply_init(&fixture->reply, 2);
    fixture->call = (struct call){
        .environment = &fixture->environment,
        .command = &row,
        .args = fixture->args,
        .args_count = 3,
        .reply = &fixture->reply,
        .now_ms = NOW_MS,
    };
}

static void close_fixture(struct fixture *fixture) {
    keyspace_free(fixture->environment.keyspace);
    reply_free(&fixture->reply);
}

static void forget(struct fixture *fixture) {
    fixture->seen[0] = '\0';
    fixture->call.changes = 0;
    reply_clear(&fixture->reply);
}

/* Puts a string that expires then, unseen. */
static void put(struct fixture *fixture, const char *key, int64_t expiry_ms) {
    struct place place = call_place(&fixture->call, span_of_string(key));
    effect_apply(&place, &(struct effect){
                             .kind = EFFECT_VALUE_PUT,
                             .value = span_of_string("v"),
                             .expiry_ms = expiry_ms,
                         });
    forget(fixture);
}

static void put_hash(struct fixture *fixture, const char *key) {
    struct place place = call_place(&fixture->call, span_of_string(key));
    effect_apply(&place, &(struct effect){
                             .kind = EFFECT_HASH_PUT,
                             .field = span_of_string("f"),
                             .value = span_of_string("v"),
                         });
    forget(fixture);
}

static bool answers(const struct fixture *fixture, const char *text) {
    return span_equal(buffer_span(&fixture->reply.buffer), span_of_string(text));
}

static struct store_statistics *statistics_of(struct fixture *fixture, const char *key) {
    return &call_store(&fixture->call, slot_of_key(span_of_string(key)))->statistics;
}

/* ---- looking up ---- */

START_TEST(call_place_finds_keys_of_all_stores_in_the_calls_database) {
    struct fixture fixture;
    open_fixture(&fixture, "a", "b");
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        put(&fixture, key, ENTRY_NO_EXPIRY);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        struct place place = call_place(&fixture.call, span_of_string(key));
        ck_assert_ptr_nonnull(place.cell);
        ck_assert_uint_eq(place.slot, slot_of_key(span_of_string(key)));
        ck_assert_ptr_eq(place.store, call_store(&fixture.call, place.slot));
        ck_assert(span_equal(entry_key(place_entry(&place)), span_of_string(key)));
    }
    fixture.call.database = 1;
    ck_assert_ptr_null(call_place(&fixture.call, span_of_string(key)).cell);
    close_fixture(&fixture);
}
END_TEST

START_TEST(call_place_takes_slot_and_hash_of_the_first_key_from_the_look_ahead) {
    struct fixture fixture;
    open_fixture(&fixture, "first", "second");
    put(&fixture, "first", ENTRY_NO_EXPIRY);
    put(&fixture, "second", ENTRY_NO_EXPIRY);
    struct place first = call_place(&fixture.call, fixture.args[1]);
    struct place second = call_place(&fixture.call, fixture.args[2]);
    fixture.call.first_key = 1;
    fixture.call.first_slot = first.slot;
    fixture.call.first_hash = first.hash;
    ck_assert_ptr_eq(call_place(&fixture.call, fixture.args[1]).cell, first.cell);
    ck_assert_ptr_eq(call_place(&fixture.call, fixture.args[2]).cell, second.cell);
    /* It is believed: what it says wrong is not found. */
    fixture.call.first_hash = ~first.hash;
    ck_assert_ptr_null(call_place(&fixture.call, fixture.args[1]).cell);
    ck_assert_ptr_eq(call_place(&fixture.call, fixture.args[2]).cell, second.cell);
    close_fixture(&fixture);
}
END_TEST

START_TEST(an_expired_key_goes_by_an_effect_at_its_very_millisecond) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    put(&fixture, "k", NOW_MS + 10);
    fixture.call.now_ms = NOW_MS + 9;
    ck_assert_ptr_nonnull(call_place(&fixture.call, fixture.args[1]).cell);
    ck_assert_str_eq(fixture.seen, "");
    fixture.call.now_ms = NOW_MS + 10;
    ck_assert_ptr_null(call_place(&fixture.call, fixture.args[1]).cell);
    ck_assert_str_eq(fixture.seen, "effect 2 k;event expired k;");
    ck_assert_uint_eq(statistics_of(&fixture, "k")->expired_keys, 1);
    ck_assert_uint_eq(keyspace_keys(fixture.environment.keyspace, 0), 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_replica_hides_an_expired_key_and_leaves_it) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    put(&fixture, "k", NOW_MS);
    fixture.call.keeps_expired = true;
    ck_assert_ptr_null(call_place(&fixture.call, fixture.args[1]).cell);
    ck_assert_ptr_null(call_read(&fixture.call, fixture.args[1]));
    ck_assert_str_eq(fixture.seen, "event keymiss k;");
    ck_assert_uint_eq(fixture.call.changes, 0);
    ck_assert_uint_eq(statistics_of(&fixture, "k")->expired_keys, 0);
    ck_assert_uint_eq(keyspace_keys(fixture.environment.keyspace, 0), 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(call_read_counts_hits_and_misses_and_tells_keymiss) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "none");
    put(&fixture, "k", ENTRY_NO_EXPIRY);
    ck_assert_ptr_nonnull(call_read(&fixture.call, fixture.args[1]));
    ck_assert_str_eq(fixture.seen, "");
    ck_assert_ptr_null(call_read(&fixture.call, fixture.args[2]));
    ck_assert_str_eq(fixture.seen, "event keymiss none;");
    ck_assert_uint_eq(statistics_of(&fixture, "k")->hits, 1);
    ck_assert_uint_eq(statistics_of(&fixture, "none")->misses, 1);
    ck_assert_uint_eq(fixture.reply.buffer.length, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(reads_and_writes_touch_a_key_unless_the_client_wants_none_of_it) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    put(&fixture, "k", ENTRY_NO_EXPIRY);
    struct store *store = call_store(&fixture.call, slot_of_key(fixture.args[1]));
    struct place place = call_place(&fixture.call, fixture.args[1]);
    struct entry *entry = place_entry(&place);
    for (int i = 0; i < 2; i++) {
        store_tick(store, store->now_ms + 100000);
        fixture.call.no_touch = true;
        call_read(&fixture.call, fixture.args[1]);
        call_write_typed(&fixture.call, fixture.args[1], VALUE_STRING, &place);
        call_place(&fixture.call, fixture.args[1]);
        ck_assert_uint_eq(store_idle_seconds(store, entry), 100);
        fixture.call.no_touch = false;
        call_place(&fixture.call, fixture.args[1]);
        ck_assert_uint_eq(store_idle_seconds(store, entry), 100);
        if (i == 0) {
            call_read(&fixture.call, fixture.args[1]);
        } else {
            call_write_typed(&fixture.call, fixture.args[1], VALUE_STRING, &place);
        }
        ck_assert_uint_eq(store_idle_seconds(store, entry), 0);
    }
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_read_of_another_type_answers_wrongtype_and_counts_as_a_hit) {
    struct fixture fixture;
    open_fixture(&fixture, "h", "none");
    put_hash(&fixture, "h");
    bool is_wrong = false;
    ck_assert_ptr_null(call_read_typed(&fixture.call, fixture.args[1], VALUE_STRING, &is_wrong));
    ck_assert(is_wrong);
    ck_assert(answers(&fixture, WRONG_TYPE));
    ck_assert_uint_eq(statistics_of(&fixture, "h")->hits, 1);
    forget(&fixture);
    ck_assert_ptr_nonnull(call_read_typed(&fixture.call, fixture.args[1], VALUE_HASH, &is_wrong));
    ck_assert(!is_wrong);
    is_wrong = true;
    ck_assert_ptr_null(call_read_typed(&fixture.call, fixture.args[2], VALUE_HASH, &is_wrong));
    ck_assert(!is_wrong);
    ck_assert_uint_eq(fixture.reply.buffer.length, 0);
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_write_finds_the_place_or_answers_wrongtype_and_counts_nothing) {
    struct fixture fixture;
    open_fixture(&fixture, "h", "none");
    put_hash(&fixture, "h");
    struct place place;
    ck_assert(!call_write_typed(&fixture.call, fixture.args[1], VALUE_STRING, &place));
    ck_assert(answers(&fixture, WRONG_TYPE));
    forget(&fixture);
    ck_assert(call_write_typed(&fixture.call, fixture.args[1], VALUE_HASH, &place));
    ck_assert_ptr_nonnull(place.cell);
    ck_assert(call_write_typed(&fixture.call, fixture.args[2], VALUE_HASH, &place));
    ck_assert_ptr_null(place.cell);
    ck_assert_uint_eq(fixture.reply.buffer.length, 0);
    ck_assert_str_eq(fixture.seen, "");
    ck_assert_uint_eq(statistics_of(&fixture, "h")->hits, 0);
    ck_assert_uint_eq(statistics_of(&fixture, "none")->misses, 0);
    close_fixture(&fixture);
}
END_TEST

/* ---- changing ---- */

START_TEST(call_emit_applies_counts_and_tells_the_effect_before_its_event) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    struct place place = call_place(&fixture.call, fixture.args[1]);
    struct effect effect = {.kind = EFFECT_INTEGER_PUT, .event = EVENT_INCRBY_ID, .number = 5};
    ck_assert_int_eq(call_emit(&fixture.call, &place, &effect), 1);
    ck_assert_int_eq(call_emit(&fixture.call, &place, &effect), 0);
    effect = (struct effect){.kind = EFFECT_KEY_DELETE};
    ck_assert_int_eq(call_emit(&fixture.call, &place, &effect), 1);
    ck_assert_uint_eq(fixture.call.changes, 3);
    ck_assert_str_eq(fixture.seen,
                     "effect 5 k;event incrby k;effect 5 k;event incrby k;effect 2 k;");
    close_fixture(&fixture);
}
END_TEST

START_TEST(call_emit_needs_no_observer) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    fixture.environment.observer = (struct call_observer){.context = NULL};
    struct place place = call_place(&fixture.call, fixture.args[1]);
    const struct effect effect = {
        .kind = EFFECT_INTEGER_PUT, .event = EVENT_INCRBY_ID, .number = 5};
    ck_assert_int_eq(call_emit(&fixture.call, &place, &effect), 1);
    ck_assert_uint_eq(fixture.call.changes, 1);
    const struct effect flush = {.kind = EFFECT_DATABASE_FLUSH};
    ck_assert_uint_eq(call_emit_to_database(&fixture.call, &flush), 1);
    close_fixture(&fixture);
}
END_TEST

START_TEST(an_effect_of_node_scope_reaches_all_stores_and_is_told_once) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    char key[16];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "key:%d", i);
        put(&fixture, key, ENTRY_NO_EXPIRY);
    }
    const struct effect effect = {.kind = EFFECT_DATABASE_FLUSH, .number = 0};
    ck_assert_uint_eq(call_emit_to_database(&fixture.call, &effect), 100);
    ck_assert_uint_eq(keyspace_keys(fixture.environment.keyspace, 0), 0);
    ck_assert_uint_eq(fixture.call.changes, 1);
    ck_assert_str_eq(fixture.seen, "effect 9 ;");
    close_fixture(&fixture);
}
END_TEST

START_TEST(events_are_told_to_those_who_listen_for_their_class) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "x");
    fixture.environment.observer.event_classes = EVENT_GENERIC | EVENT_KEY_MISS;
    call_notify(&fixture.call, EVENT_SET_ID, fixture.args[1]);
    call_notify(&fixture.call, EVENT_NONE, fixture.args[1]);
    ck_assert_str_eq(fixture.seen, "");
    call_notify(&fixture.call, EVENT_DEL_ID, fixture.args[1]);
    call_notify(&fixture.call, EVENT_KEY_MISS_ID, fixture.args[2]);
    ck_assert_str_eq(fixture.seen, "event del k;event keymiss x;");
    close_fixture(&fixture);
}
END_TEST

/* ---- replies ---- */

START_TEST(a_large_string_is_replied_by_reference_and_others_as_text) {
    struct fixture fixture;
    open_fixture(&fixture, "k", "number");
    put(&fixture, "k", ENTRY_NO_EXPIRY);
    call_reply_string(&fixture.call, call_read(&fixture.call, fixture.args[1]));
    ck_assert(answers(&fixture, "$1\r\nv\r\n"));
    struct place place = call_place(&fixture.call, fixture.args[2]);
    effect_apply(&place, &(struct effect){.kind = EFFECT_INTEGER_PUT, .number = -42});
    forget(&fixture);
    call_reply_string(&fixture.call, place_entry(&place));
    ck_assert(answers(&fixture, "$3\r\n-42\r\n"));
    ck_assert_uint_eq(fixture.reply.blocks_count, 0);
    struct block *block = block_try_new(BLOCK_BYTES_MIN);
    memset(block->bytes, 'x', BLOCK_BYTES_MIN);
    block->length = BLOCK_BYTES_MIN;
    effect_apply(&place, &(struct effect){
                             .kind = EFFECT_VALUE_PUT,
                             .value = block_span(block),
                             .block = block,
                             .expiry_ms = ENTRY_NO_EXPIRY,
                         });
    forget(&fixture);
    call_reply_string(&fixture.call, place_entry(&place));
    ck_assert(answers(&fixture, "$16384\r\n\r\n"));
    ck_assert_uint_eq(fixture.reply.blocks_count, 1);
    ck_assert_ptr_eq(fixture.reply.blocks[0].block, block);
    ck_assert_uint_eq(fixture.reply.blocks[0].length, BLOCK_BYTES_MIN);
    block_release(block);
    close_fixture(&fixture);
}
END_TEST

START_TEST(call_integer_reads_an_argument_or_says_what_it_is_not) {
    struct fixture fixture;
    open_fixture(&fixture, "-9223372036854775808", "1x");
    int64_t number = 0;
    ck_assert(call_integer(&fixture.call, 1, &number, NULL));
    ck_assert_int_eq(number, INT64_MIN);
    ck_assert_uint_eq(fixture.reply.buffer.length, 0);
    ck_assert(!call_integer(&fixture.call, 2, &number, NULL));
    ck_assert(answers(&fixture, "-ERR value is not an integer or out of range\r\n"));
    forget(&fixture);
    ck_assert(!call_integer(&fixture.call, 2, &number, "ERR no number"));
    ck_assert(answers(&fixture, "-ERR no number\r\n"));
    forget(&fixture);
    call_reply_syntax_error(&fixture.call);
    ck_assert(answers(&fixture, "-ERR syntax error\r\n"));
    close_fixture(&fixture);
}
END_TEST

START_TEST(a_gather_knows_its_first_and_its_last_store) {
    struct gather gather = {.store_count = 3};
    ck_assert(gather_is_first(&gather) && !gather_is_last(&gather));
    gather.store_index = 1;
    ck_assert(!gather_is_first(&gather) && !gather_is_last(&gather));
    gather.store_index = 2;
    ck_assert(!gather_is_first(&gather) && gather_is_last(&gather));
    gather = (struct gather){.store_count = 1};
    ck_assert(gather_is_first(&gather) && gather_is_last(&gather));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        call_place_finds_keys_of_all_stores_in_the_calls_database,
        call_place_takes_slot_and_hash_of_the_first_key_from_the_look_ahead,
        an_expired_key_goes_by_an_effect_at_its_very_millisecond,
        a_replica_hides_an_expired_key_and_leaves_it,
        call_read_counts_hits_and_misses_and_tells_keymiss,
        reads_and_writes_touch_a_key_unless_the_client_wants_none_of_it,
        a_read_of_another_type_answers_wrongtype_and_counts_as_a_hit,
        a_write_finds_the_place_or_answers_wrongtype_and_counts_nothing,
        call_emit_applies_counts_and_tells_the_effect_before_its_event,
        call_emit_needs_no_observer,
        an_effect_of_node_scope_reaches_all_stores_and_is_told_once,
        events_are_told_to_those_who_listen_for_their_class,
        a_large_string_is_replied_by_reference_and_others_as_text,
        call_integer_reads_an_argument_or_says_what_it_is_not,
        a_gather_knows_its_first_and_its_last_store,
    };
    return unit_run(unit_suite("call", tests, UNIT_COUNT(tests)));
}
