#include "commands/effect_codec.h"

#include "store/value.h"
#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#define LARGE_BYTES (BLOCK_BYTES_MIN + 17)

static struct effect_record record_of(enum effect_kind kind, const char *key) {
    bool is_node = kind == EFFECT_DATABASE_FLUSH || kind == EFFECT_DATABASE_SWAP;
    bool has_key = !is_node && kind != EFFECT_SLOT_DIGEST;
    struct span name = has_key ? span_of_string(key) : span_of("", 0);
    return (struct effect_record){
        .effect = {.kind = kind, .expiry_ms = ENTRY_NO_EXPIRY},
        .key = name,
        .slot = is_node ? EFFECT_NODE_SLOT : slot_of_key(name),
    };
}

/* Records of every kind, the parts of some at their edges. */
#define SAMPLES_MAX 32
static size_t samples_make(struct effect_record *samples) {
    size_t count = 0;
    for (unsigned kind = 1; kind < EFFECT_KINDS; kind++) {
        const struct effect_kind_row *row = effect_kind_find(kind);
        ck_assert_ptr_nonnull(row);
        for (int variant = 0; variant < 2; variant++) {
            struct effect_record record = record_of((enum effect_kind)kind, variant ? "k" : "");
            struct effect *effect = &record.effect;
            if (variant && (row->parts & EFFECT_PART_KEY) != 0) {
                record.database = 300;
            }
            if ((row->parts & EFFECT_PART_FIELD) != 0) {
                effect->field = span_of_string(variant ? "field" : "");
            }
            if ((row->parts & EFFECT_PART_VALUE) != 0) {
                effect->value = span_of_string(variant ? "a value" : "");
            }
            if ((row->parts & EFFECT_PART_NUMBER) != 0) {
                effect->number = variant ? INT64_MIN : 77;
            }
            if ((row->parts & EFFECT_PART_EXPIRY) != 0 && variant) {
                effect->expiry_ms = FIXTURE_NOW_MS;
            }
            effect->event = variant ? EVENT_SET_ID : EVENT_NONE;
            effect->is_raw = variant && (row->flags & EFFECT_FLAG_RAW) != 0;
            effect->is_text = variant && (row->flags & EFFECT_FLAG_TEXT) != 0;
            effect->has_keys = variant && (row->flags & EFFECT_FLAG_KEYS) != 0;
            effect->is_table = variant && (row->flags & EFFECT_FLAG_TABLE) != 0;
            record.is_joined = variant;
            ck_assert_uint_lt(count, SAMPLES_MAX);
            samples[count++] = record;
        }
    }
    return count;
}

static void assert_same(const struct effect_record *a, const struct effect_record *b) {
    ck_assert_int_eq(a->effect.kind, b->effect.kind);
    ck_assert_int_eq(a->effect.event, b->effect.event);
    ck_assert_int_eq(a->effect.is_raw, b->effect.is_raw);
    ck_assert_int_eq(a->effect.is_text, b->effect.is_text);
    ck_assert_int_eq(a->effect.is_table, b->effect.is_table);
    ck_assert_int_eq(a->effect.has_keys, b->effect.has_keys);
    ck_assert(span_equal(a->effect.field, b->effect.field));
    ck_assert(span_equal(a->effect.value, b->effect.value));
    ck_assert_int_eq(a->effect.number, b->effect.number);
    ck_assert_int_eq(a->effect.expiry_ms, b->effect.expiry_ms);
    ck_assert(span_equal(a->key, b->key));
    ck_assert_uint_eq(a->database, b->database);
    ck_assert_uint_eq(a->slot, b->slot);
    ck_assert_int_eq(a->is_joined, b->is_joined);
}

static enum effect_read_status read_bytes(const void *bytes, size_t length) {
    struct effect_record record;
    struct span content = span_of(bytes, length);
    enum effect_read_status status = effect_read(&content, &record);
    if (status == EFFECT_READ_DAMAGED) {
        ck_assert_ptr_eq(content.bytes, bytes);
        ck_assert_uint_eq(content.length, length);
    }
    return status;
}

/* ---- the bytes ---- */

START_TEST(entries_of_every_kind_come_back_in_their_order) {
    struct effect_record samples[SAMPLES_MAX];
    size_t count = samples_make(samples);
    struct buffer log = BUFFER_EMPTY;
    for (size_t i = 0; i < count; i++) {
        ck_assert(!effect_write(&log, &samples[i]));
    }
    struct span content = buffer_span(&log);
    for (size_t i = 0; i < count; i++) {
        struct effect_record record;
        ck_assert_int_eq(effect_read(&content, &record), EFFECT_READ_DONE);
        assert_same(&record, &samples[i]);
        ck_assert_ptr_null(record.effect.block);
    }
    struct effect_record record;
    ck_assert_int_eq(effect_read(&content, &record), EFFECT_READ_END);
    buffer_free(&log);
}
END_TEST

START_TEST(numbers_come_back_from_both_edges) {
    static const int64_t numbers[] = {0,
                                      -1,
                                      1,
                                      63,
                                      64,
                                      -64,
                                      -65,
                                      INT32_MAX,
                                      INT64_MAX,
                                      INT64_MIN,
                                      INT64_C(1) << 62,
                                      -12345,
                                      INT64_MIN + 1};
    for (size_t i = 0; i < UNIT_COUNT(numbers); i++) {
        struct buffer log = BUFFER_EMPTY;
        struct effect_record record = record_of(EFFECT_INTEGER_PUT, "key");
        record.effect.number = numbers[i];
        effect_write(&log, &record);
        struct span content = buffer_span(&log);
        struct effect_record again;
        ck_assert_int_eq(effect_read(&content, &again), EFFECT_READ_DONE);
        ck_assert_int_eq(again.effect.number, numbers[i]);
        buffer_free(&log);
    }
}
END_TEST

START_TEST(a_small_set_costs_eight_bytes_or_fewer_beyond_key_and_value) {
    struct buffer log = BUFFER_EMPTY;
    char value[64] = {0};
    struct effect_record record = record_of(EFFECT_VALUE_PUT, "a key of 16 byte");
    record.effect.value = span_of(value, sizeof(value));
    effect_write(&log, &record);
    ck_assert_uint_le(log.length, 16 + sizeof(value) + 8);
    buffer_free(&log);
}
END_TEST

START_TEST(no_entry_needs_more_room_than_is_reserved) {
    struct effect_record record = record_of(EFFECT_STRING_PATCH, "key");
    record.database = STORE_DATABASES_MAX - 1;
    record.effect.number = INT64_MIN;
    record.effect.value = span_of_string("value");
    struct buffer log = BUFFER_EMPTY;
    effect_write(&log, &record);
    ck_assert_uint_le(log.length, 3 + 5 + EFFECT_OVERHEAD_BYTES_MAX);
    buffer_free(&log);
}
END_TEST

START_TEST(a_block_is_left_out_and_the_entry_whole_with_its_bytes_behind) {
    struct block *block = block_try_new(LARGE_BYTES);
    memset(block->bytes, 'x', LARGE_BYTES);
    block->length = LARGE_BYTES;
    struct effect_record record = record_of(EFFECT_VALUE_PUT, "key");
    record.effect.value = block_span(block);
    struct buffer copied = BUFFER_EMPTY;
    ck_assert(!effect_write(&copied, &record));
    record.effect.block = block;
    struct buffer log = BUFFER_EMPTY;
    ck_assert(effect_write(&log, &record));
    ck_assert_uint_lt(log.length, 64);
    buffer_append_span(&log, block_span(block));
    ck_assert(span_equal(buffer_span(&log), buffer_span(&copied)));
    buffer_free(&log);
    buffer_free(&copied);
    block_release(block);
}
END_TEST

START_TEST(a_value_that_is_a_part_of_its_block_is_copied) {
    struct block *block = block_try_new(LARGE_BYTES);
    memset(block->bytes, 'x', LARGE_BYTES);
    block->length = LARGE_BYTES;
    struct effect_record record = record_of(EFFECT_STRING_PATCH, "key");
    record.effect.value = span_of(block->bytes, LARGE_BYTES - 1);
    record.effect.block = block;
    struct buffer log = BUFFER_EMPTY;
    ck_assert(!effect_write(&log, &record));
    ck_assert_uint_gt(log.length, LARGE_BYTES - 1);
    buffer_free(&log);
    block_release(block);
}
END_TEST

START_TEST(parts_that_the_kind_has_not_take_no_bytes) {
    struct effect_record record = record_of(EFFECT_KEY_DELETE, "key");
    struct buffer plain = BUFFER_EMPTY;
    effect_write(&plain, &record);
    record.effect.value = span_of_string("value");
    record.effect.field = span_of_string("field");
    record.effect.number = 5;
    record.effect.expiry_ms = 5;
    record.effect.is_raw = true;
    struct buffer full = BUFFER_EMPTY;
    effect_write(&full, &record);
    ck_assert(span_equal(buffer_span(&plain), buffer_span(&full)));
    buffer_free(&plain);
    buffer_free(&full);
}
END_TEST

/* ---- damage ---- */

START_TEST(a_truncated_entry_is_damaged) {
    struct effect_record samples[SAMPLES_MAX];
    size_t count = samples_make(samples);
    for (size_t i = 0; i < count; i++) {
        struct buffer log = BUFFER_EMPTY;
        effect_write(&log, &samples[i]);
        for (size_t length = 1; length < log.length; length++) {
            ck_assert_int_eq(read_bytes(log.bytes, length), EFFECT_READ_DAMAGED);
        }
        buffer_free(&log);
    }
}
END_TEST

/* Whatever single byte changes: what is read is written again as the same bytes. */
START_TEST(an_effect_has_one_encoding) {
    struct effect_record samples[SAMPLES_MAX];
    size_t count = samples_make(samples);
    for (size_t i = 0; i < count; i++) {
        struct buffer log = BUFFER_EMPTY;
        effect_write(&log, &samples[i]);
        for (size_t at = 0; at < log.length * 256; at++) {
            char kept = log.bytes[at / 256];
            log.bytes[at / 256] = (char)(at % 256);
            struct span content = buffer_span(&log);
            struct effect_record record;
            if (effect_read(&content, &record) == EFFECT_READ_DONE) {
                struct buffer again = BUFFER_EMPTY;
                effect_write(&again, &record);
                ck_assert(span_equal(buffer_span(&again),
                                     span_of(log.bytes, log.length - content.length)));
                buffer_free(&again);
            }
            log.bytes[at / 256] = kept;
        }
        buffer_free(&log);
    }
}
END_TEST

START_TEST(what_no_writer_makes_is_damaged) {
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {"\x00\x00\x00\x00\x00\x01k", 7}, /* kind 0 */
        {"\xff\x00\x00\x00\x00\x01k", 7}, /* kind 255 */
        {"\x02\xff\x00\x00\x00\x01k", 7}, /* event 255 */
        {"\x02\x00\x01\x00\x00\x01k", 7}, /* a flag of another kind */
        {"\x02\x00\x80\x00\x00\x01k", 7}, /* a flag of none */
        {"\x02\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01k", 15}, /* an expiry too many */
        {"\x02\x00\x00\x00\x40\x01k", 7},                                  /* slot 16384 */
        {"\x02\x00\x00\xff\xff\x01k", 7},                                  /* node scope */
        {"\x02\x00\x10\x00\x00\x00\x01k", 8},                              /* database 0 in full */
        {"\x02\x00\x10\x00\x00\x80\x80\x04\x01k", 10},                     /* database 65536 */
        {"\x02\x00\x00\x00\x00\x81\x00k", 8}, /* a byte too many in a length */
        {"\x02\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k", 16}, /* a huge length */
        {"\x02\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02k", 16}, /* 65 bits */
        {"\x02\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k", 17}, /* 11 bytes */
        {"\x01\x00\x08\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01k\x01v", 17},    /* expiry -1 */
        {"\x09\x00\x00\x00\x00\x00", 6},     /* a slot of a node's effect */
        {"\x09\x00\x10\xff\xff\x01\x00", 7}, /* a database of a node's effect */
    };
    ck_assert_int_eq(read_bytes("\x02\x00\x00\x00\x00\x01k", 7), EFFECT_READ_DONE);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        ck_assert_msg(read_bytes(cases[i].bytes, cases[i].length) == EFFECT_READ_DAMAGED,
                      "case %zu", i);
    }
}
END_TEST

START_TEST(kinds_have_names_of_their_own) {
    ck_assert_str_eq(effect_kind_find(EFFECT_VALUE_PUT)->name, "value_put");
    ck_assert_ptr_null(effect_kind_find(0));
    ck_assert_ptr_null(effect_kind_find(EFFECT_KINDS));
    for (unsigned a = 1; a < EFFECT_KINDS; a++) {
        for (unsigned b = 1; b < a; b++) {
            ck_assert_str_ne(effect_kind_find(a)->name, effect_kind_find(b)->name);
        }
    }
}
END_TEST

/* ---- replaying ---- */

static void put(struct store_fixture *fixture, const char *key, struct span value) {
    struct effect_record record = record_of(EFFECT_VALUE_PUT, key);
    record.effect.value = value;
    ck_assert_int_eq(effect_replay_to_store(fixture->store, &record), EFFECT_REPLAY_DONE);
}

static void hash_put(struct store_fixture *fixture, const char *key) {
    struct effect_record record = record_of(EFFECT_HASH_PUT, key);
    record.effect.field = span_of_string("field");
    record.effect.value = span_of_string("value");
    ck_assert_int_eq(effect_replay_to_store(fixture->store, &record), EFFECT_REPLAY_DONE);
}

START_TEST(a_replay_changes_the_store_as_the_effect_says) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    char scratch[NUMBER_TEXT_BYTES_MAX];
    put(&fixture, "key", span_of_string("value"));
    struct effect_record record = record_of(EFFECT_STRING_PATCH, "key");
    record.effect.number = 5;
    record.effect.value = span_of_string("s!");
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_DONE);
    record = record_of(EFFECT_KEY_EXPIRE_AT, "key");
    record.effect.expiry_ms = FIXTURE_NOW_MS + 1;
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_DONE);
    struct entry *entry = store_fixture_entry(&fixture, 0, "key");
    ck_assert(span_equal(value_string(entry, scratch), span_of_string("values!")));
    ck_assert_int_eq(entry_expiry(entry), FIXTURE_NOW_MS + 1);
    record = record_of(EFFECT_KEY_DELETE, "key");
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_DONE);
    ck_assert_ptr_null(store_fixture_entry(&fixture, 0, "key"));
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_replayed_large_value_is_the_stores_own) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    char *bytes = malloc(LARGE_BYTES);
    memset(bytes, 'x', LARGE_BYTES);
    put(&fixture, "key", span_of(bytes, LARGE_BYTES));
    memset(bytes, 'y', LARGE_BYTES);
    struct entry *entry = store_fixture_entry(&fixture, 0, "key");
    ck_assert_int_eq(entry_kind(entry), ENTRY_BLOCK);
    ck_assert_uint_eq(entry_block(entry)->length, LARGE_BYTES);
    ck_assert_int_eq(entry_block(entry)->bytes[LARGE_BYTES - 1], 'x');
    ck_assert(!block_is_shared(entry_block(entry)));
    free(bytes);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_replay_refuses_a_slot_that_is_not_the_keys) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct effect_record record = record_of(EFFECT_VALUE_PUT, "key");
    record.slot ^= 1;
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_WRONG_SLOT);
    put(&fixture, "key", span_of_string("value"));
    record = record_of(EFFECT_KEY_MOVE, "key");
    record.effect.field = span_of_string("other");
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_WRONG_SLOT);
    record.effect.field = span_of_string("other{key}");
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_DONE);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_replay_refuses_databases_that_are_not_there) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct effect_record record = record_of(EFFECT_VALUE_PUT, "key");
    record.database = FIXTURE_DATABASES;
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_WRONG_DATABASE);
    static const int64_t flushed[] = {FIXTURE_DATABASES, -1, INT64_C(1) << 32};
    for (size_t i = 0; i < UNIT_COUNT(flushed); i++) {
        record = record_of(EFFECT_DATABASE_FLUSH, "");
        record.effect.number = flushed[i];
        ck_assert_int_eq(effect_replay_to_store(fixture.store, &record),
                         EFFECT_REPLAY_WRONG_DATABASE);
    }
    static const int64_t swapped[] = {FIXTURE_DATABASES, (int64_t)FIXTURE_DATABASES << 32, -1};
    for (size_t i = 0; i < UNIT_COUNT(swapped); i++) {
        record = record_of(EFFECT_DATABASE_SWAP, "");
        record.effect.number = swapped[i];
        ck_assert_int_eq(effect_replay_to_store(fixture.store, &record),
                         EFFECT_REPLAY_WRONG_DATABASE);
    }
    record = record_of(EFFECT_KEY_MOVE, "key");
    record.effect.field = record.key;
    record.effect.number = -1;
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_WRONG_DATABASE);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_replay_refuses_a_value_of_another_type) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    put(&fixture, "string", span_of_string("value"));
    hash_put(&fixture, "hash");
    static const struct {
        enum effect_kind kind;
        const char *key;
    } cases[] = {{EFFECT_STRING_PATCH, "hash"},
                 {EFFECT_INTEGER_PUT, "hash"},
                 {EFFECT_HASH_PUT, "string"},
                 {EFFECT_HASH_DELETE, "string"}};
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        struct effect_record record = record_of(cases[i].kind, cases[i].key);
        ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_WRONG_TYPE);
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_replay_refuses_a_patch_out_of_range) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct effect_record record = record_of(EFFECT_STRING_PATCH, "key");
    record.effect.value = span_of_string("v");
    static const int64_t offsets[] = {-1, INT64_MIN, INT64_MAX, (int64_t)EFFECT_STRING_BYTES_MAX};
    for (size_t i = 0; i < UNIT_COUNT(offsets); i++) {
        record.effect.number = offsets[i];
        ck_assert_int_eq(effect_replay_to_store(fixture.store, &record),
                         EFFECT_REPLAY_OUT_OF_RANGE);
    }
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_replay_restores_a_value_and_refuses_a_damaged_one) {
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    struct effect_record record = record_of(EFFECT_VALUE_RESTORE, "key");
    record.effect.number = -1;
    static const struct span damaged[] = {SPAN_LITERAL(""), SPAN_LITERAL("\x00\x05hell"),
                                          SPAN_LITERAL("\x01\x01\x01x")};
    for (size_t i = 0; i < UNIT_COUNT(damaged); i++) {
        record.effect.value = damaged[i];
        ck_assert_int_eq(effect_replay_to_store(fixture.store, &record),
                         EFFECT_REPLAY_DAMAGED_VALUE);
    }
    record.effect.value = (struct span)SPAN_LITERAL("\x00\x05hello");
    static const int64_t accesses[] = {-2, ENTRY_ACCESS_MAX + 1};
    for (size_t i = 0; i < UNIT_COUNT(accesses); i++) {
        record.effect.number = accesses[i];
        ck_assert_int_eq(effect_replay_to_store(fixture.store, &record),
                         EFFECT_REPLAY_OUT_OF_RANGE);
    }
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    record.effect.number = 1234;
    record.effect.expiry_ms = FIXTURE_NOW_MS + 5;
    ck_assert_int_eq(effect_replay_to_store(fixture.store, &record), EFFECT_REPLAY_DONE);
    const struct entry *entry = store_fixture_entry(&fixture, 0, "key");
    ck_assert(span_equal(entry_content(entry), span_of_string("hello")));
    ck_assert_int_eq(entry_expiry(entry), FIXTURE_NOW_MS + 5);
    ck_assert_uint_eq(entry_access(entry), 1234);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_flush_reaches_all_stores) {
    static const uint64_t seeds[2] = {1, 2};
    struct store_options options = {0};
    struct keyspace *keyspace = keyspace_new(&options, 3, 4, seeds);
    for (unsigned i = 0; i < 100; i++) {
        struct fixture_key key = fixture_key("key", i);
        struct effect_record record = record_of(EFFECT_INTEGER_PUT, key.text);
        record.database = 3;
        ck_assert_int_eq(effect_replay(keyspace, &record), EFFECT_REPLAY_DONE);
    }
    ck_assert_uint_eq(keyspace_keys(keyspace, 3), 100);
    struct effect_record record = record_of(EFFECT_DATABASE_FLUSH, "");
    record.effect.number = 3;
    ck_assert_int_eq(effect_replay(keyspace, &record), EFFECT_REPLAY_DONE);
    ck_assert_uint_eq(keyspace_keys(keyspace, 3), 0);
    keyspace_free(keyspace);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        entries_of_every_kind_come_back_in_their_order,
        numbers_come_back_from_both_edges,
        a_small_set_costs_eight_bytes_or_fewer_beyond_key_and_value,
        no_entry_needs_more_room_than_is_reserved,
        a_block_is_left_out_and_the_entry_whole_with_its_bytes_behind,
        a_value_that_is_a_part_of_its_block_is_copied,
        parts_that_the_kind_has_not_take_no_bytes,
        a_truncated_entry_is_damaged,
        an_effect_has_one_encoding,
        what_no_writer_makes_is_damaged,
        kinds_have_names_of_their_own,
        a_replay_changes_the_store_as_the_effect_says,
        a_replayed_large_value_is_the_stores_own,
        a_replay_refuses_a_slot_that_is_not_the_keys,
        a_replay_refuses_databases_that_are_not_there,
        a_replay_refuses_a_value_of_another_type,
        a_replay_refuses_a_patch_out_of_range,
        a_replay_restores_a_value_and_refuses_a_damaged_one,
        a_flush_reaches_all_stores,
    };
    return unit_run(unit_suite("effect_codec", tests, UNIT_COUNT(tests)));
}
