/* Each kind of effect: what it answers of the state before, and what it leaves. */
#include "commands/effect.h"

#include "store/hash_value.h"
#include "store/value_codec.h"
#include "tests/unit/store/store_fixture.h"

#include "tests/unit/unit.h"

#define LATER_MS (FIXTURE_NOW_MS + 1000)

static void open_fixture(struct store_fixture *fixture) {
    store_fixture_open(fixture);
    fixture->options.hash_max_listpack_entries = 128;
    fixture->options.hash_max_listpack_value = 64;
}

/* Applies the effect to a key of database 0. */
static int64_t apply(struct store_fixture *fixture, const char *key, const struct effect *effect) {
    struct place place = store_fixture_place(fixture, 0, span_of_string(key));
    return effect_apply(&place, effect);
}

static int64_t put(struct store_fixture *fixture, const char *key, const char *value) {
    return apply(fixture, key,
                 &(struct effect){
                     .kind = EFFECT_VALUE_PUT,
                     .value = span_of_string(value),
                     .expiry_ms = ENTRY_NO_EXPIRY,
                 });
}

static int64_t put_field(struct store_fixture *fixture, const char *key, const char *field,
                         const char *value) {
    return apply(fixture, key,
                 &(struct effect){
                     .kind = EFFECT_HASH_PUT,
                     .field = span_of_string(field),
                     .value = span_of_string(value),
                 });
}

static int64_t delete_field(struct store_fixture *fixture, const char *key, const char *field) {
    return apply(fixture, key,
                 &(struct effect){.kind = EFFECT_HASH_DELETE, .field = span_of_string(field)});
}

static struct entry *entry_at(const struct store_fixture *fixture, const char *key) {
    return store_fixture_entry(fixture, 0, key);
}

static bool holds(const struct store_fixture *fixture, uint32_t database, const char *key,
                  const char *value) {
    char scratch[NUMBER_TEXT_BYTES_MAX];
    const struct entry *entry = store_fixture_entry(fixture, database, key);
    return entry != NULL && span_equal(value_string(entry, scratch), span_of_string(value));
}

/* ---- value_put ---- */

START_TEST(value_put_tells_whether_the_key_is_new_and_replaces_value_and_expiry) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(apply(&fixture, "k",
                           &(struct effect){
                               .kind = EFFECT_VALUE_PUT,
                               .value = span_of_string("one"),
                               .expiry_ms = LATER_MS,
                           }),
                     1);
    ck_assert(holds(&fixture, 0, "k", "one"));
    ck_assert_int_eq(entry_expiry(entry_at(&fixture, "k")), LATER_MS);
    ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys, 1);
    ck_assert_int_eq(put(&fixture, "k", "two"), 0);
    ck_assert(holds(&fixture, 0, "k", "two"));
    ck_assert_int_eq(entry_expiry(entry_at(&fixture, "k")), ENTRY_NO_EXPIRY);
    ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys, 0);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(value_put_replaces_a_value_of_another_type) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put_field(&fixture, "k", "field", "value");
    ck_assert_int_eq(put(&fixture, "k", "text"), 0);
    ck_assert(holds(&fixture, 0, "k", "text"));
    ck_assert_int_eq(value_type_of(entry_at(&fixture, "k")), VALUE_STRING);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(value_put_keeps_numbers_as_numbers_unless_they_are_raw_or_text) {
    static const struct {
        bool is_raw;
        bool is_text;
        const char *encoding;
    } cases[] = {{false, false, "int"}, {true, false, "raw"}, {false, true, "embstr"}};
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        apply(&fixture, "k",
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .is_raw = cases[i].is_raw,
                  .is_text = cases[i].is_text,
                  .value = span_of_string("12"),
                  .expiry_ms = ENTRY_NO_EXPIRY,
              });
        ck_assert_str_eq(value_encoding(entry_at(&fixture, "k")), cases[i].encoding);
        ck_assert(holds(&fixture, 0, "k", "12"));
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(value_put_of_a_block_takes_a_reference_and_a_delete_gives_it_back) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct block *block = block_try_new(BLOCK_BYTES_MIN);
    memset(block->bytes, 'x', BLOCK_BYTES_MIN);
    block->length = BLOCK_BYTES_MIN;
    apply(&fixture, "k",
          &(struct effect){
              .kind = EFFECT_VALUE_PUT,
              .value = block_span(block),
              .block = block,
              .expiry_ms = ENTRY_NO_EXPIRY,
          });
    ck_assert(block_is_shared(block));
    ck_assert_ptr_eq(entry_block(entry_at(&fixture, "k")), block);
    apply(&fixture, "k", &(struct effect){.kind = EFFECT_KEY_DELETE});
    ck_assert(!block_is_shared(block));
    block_release(block);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- key_delete, key_expire_at ---- */

START_TEST(key_delete_tells_whether_there_was_such_a_key) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "k", "v");
    put_field(&fixture, "h", "f", "v");
    const struct effect effect = {.kind = EFFECT_KEY_DELETE};
    ck_assert_int_eq(apply(&fixture, "k", &effect), 1);
    ck_assert_int_eq(apply(&fixture, "h", &effect), 1);
    ck_assert_int_eq(apply(&fixture, "k", &effect), 0);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(key_expire_at_sets_and_takes_the_expiry_and_nothing_else) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "k", "v");
    put_field(&fixture, "h", "f", "v");
    static const char *const keys[] = {"k", "h"};
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        struct effect effect = {.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = LATER_MS};
        ck_assert_int_eq(apply(&fixture, keys[i], &effect), 1);
        ck_assert_int_eq(entry_expiry(entry_at(&fixture, keys[i])), LATER_MS);
        ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys, 1);
        effect.expiry_ms = ENTRY_NO_EXPIRY;
        ck_assert_int_eq(apply(&fixture, keys[i], &effect), 1);
        ck_assert_int_eq(entry_expiry(entry_at(&fixture, keys[i])), ENTRY_NO_EXPIRY);
        ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys, 0);
    }
    ck_assert(holds(&fixture, 0, "k", "v"));
    ck_assert_uint_eq(hash_value_length(entry_at(&fixture, "h")), 1);
    ck_assert_int_eq(apply(&fixture, "none",
                           &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = LATER_MS}),
                     0);
    ck_assert_ptr_null(entry_at(&fixture, "none"));
    store_fixture_close(&fixture);
}
END_TEST

/* ---- string_patch, integer_put ---- */

static int64_t patch(struct store_fixture *fixture, const char *key, int64_t offset,
                     const char *bytes) {
    return apply(fixture, key,
                 &(struct effect){
                     .kind = EFFECT_STRING_PATCH,
                     .value = span_of_string(bytes),
                     .number = offset,
                 });
}

START_TEST(string_patch_answers_the_length_and_fills_with_zeros) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(patch(&fixture, "k", 2, "abc"), 5);
    char scratch[NUMBER_TEXT_BYTES_MAX];
    ck_assert(span_equal(value_string(entry_at(&fixture, "k"), scratch), span_of("\0\0abc", 5)));
    ck_assert_int_eq(patch(&fixture, "k", 1, "xy"), 5);
    ck_assert(span_equal(value_string(entry_at(&fixture, "k"), scratch), span_of("\0xybc", 5)));
    ck_assert_int_eq(patch(&fixture, "k", 5, ""), 5);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(string_patch_makes_raw_text_of_a_number_and_keeps_the_expiry) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "k", "100");
    apply(&fixture, "k", &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = LATER_MS});
    ck_assert_int_eq(patch(&fixture, "k", 3, "5"), 4);
    ck_assert(holds(&fixture, 0, "k", "1005"));
    ck_assert_str_eq(value_encoding(entry_at(&fixture, "k")), "raw");
    ck_assert_int_eq(entry_expiry(entry_at(&fixture, "k")), LATER_MS);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(integer_put_tells_whether_the_key_is_new_and_keeps_the_expiry) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct effect effect = {.kind = EFFECT_INTEGER_PUT, .number = INT64_MIN};
    ck_assert_int_eq(apply(&fixture, "k", &effect), 1);
    ck_assert(holds(&fixture, 0, "k", "-9223372036854775808"));
    apply(&fixture, "k", &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = LATER_MS});
    effect.number = 7;
    ck_assert_int_eq(apply(&fixture, "k", &effect), 0);
    ck_assert(holds(&fixture, 0, "k", "7"));
    ck_assert_int_eq(entry_expiry(entry_at(&fixture, "k")), LATER_MS);
    patch(&fixture, "k", 0, "8");
    ck_assert_int_eq(apply(&fixture, "k", &effect), 0);
    ck_assert_str_eq(value_encoding(entry_at(&fixture, "k")), "int");
    ck_assert_int_eq(entry_expiry(entry_at(&fixture, "k")), LATER_MS);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- hash_put, hash_delete ---- */

START_TEST(hash_put_tells_whether_the_field_is_new) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    ck_assert_int_eq(put_field(&fixture, "h", "f", "one"), 1);
    ck_assert_int_eq(put_field(&fixture, "h", "g", "two"), 1);
    ck_assert_int_eq(put_field(&fixture, "h", "f", "three"), 0);
    const struct entry *entry = entry_at(&fixture, "h");
    ck_assert_uint_eq(hash_value_length(entry), 2);
    char scratch[HASH_SCRATCH_BYTES];
    struct span value;
    ck_assert(hash_value_get(fixture.store, entry, span_of_string("f"), scratch, &value));
    ck_assert(span_equal(value, span_of_string("three")));
    ck_assert_str_eq(value_encoding(entry), "listpack");
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(hash_put_of_a_table_makes_one_however_small) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put_field(&fixture, "old", "f", "v");
    static const char *const keys[] = {"old", "new"};
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        apply(&fixture, keys[i],
              &(struct effect){
                  .kind = EFFECT_HASH_PUT,
                  .is_table = true,
                  .field = span_of_string("g"),
                  .value = span_of_string("v"),
              });
        ck_assert_str_eq(value_encoding(entry_at(&fixture, keys[i])), "hashtable");
    }
    ck_assert_uint_eq(hash_value_length(entry_at(&fixture, "old")), 2);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(hash_delete_of_the_last_field_takes_the_key) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put_field(&fixture, "h", "f", "v");
    put_field(&fixture, "h", "g", "v");
    ck_assert_int_eq(delete_field(&fixture, "h", "none"), 0);
    ck_assert_int_eq(delete_field(&fixture, "h", "f"), 1);
    ck_assert_int_eq(delete_field(&fixture, "h", "f"), 0);
    ck_assert_uint_eq(hash_value_length(entry_at(&fixture, "h")), 1);
    ck_assert_int_eq(delete_field(&fixture, "h", "g"), 1);
    ck_assert_ptr_null(entry_at(&fixture, "h"));
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    ck_assert_int_eq(delete_field(&fixture, "h", "g"), 0);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- key_move ---- */

static int64_t move(struct store_fixture *fixture, const char *source, const char *target,
                    uint32_t database) {
    return apply(fixture, source,
                 &(struct effect){
                     .kind = EFFECT_KEY_MOVE,
                     .field = span_of_string(target),
                     .number = database,
                 });
}

START_TEST(key_move_carries_value_expiry_and_access_to_the_new_key) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put_field(&fixture, "{s}a", "f", "v");
    apply(&fixture, "{s}a", &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = LATER_MS});
    entry_set_access(entry_at(&fixture, "{s}a"), 12345);
    ck_assert_int_eq(move(&fixture, "{s}a", "{s}longer name", 0), 1);
    ck_assert_ptr_null(entry_at(&fixture, "{s}a"));
    const struct entry *entry = entry_at(&fixture, "{s}longer name");
    ck_assert_uint_eq(hash_value_length(entry), 1);
    ck_assert_int_eq(entry_expiry(entry), LATER_MS);
    ck_assert_uint_eq(entry_access(entry), 12345);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 1);
    ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys, 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(key_move_replaces_what_is_at_the_new_key) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "{s}a", "new");
    put_field(&fixture, "{s}b", "f", "v");
    ck_assert_int_eq(move(&fixture, "{s}a", "{s}b", 0), 1);
    ck_assert(holds(&fixture, 0, "{s}b", "new"));
    ck_assert_uint_eq(store_keys(fixture.store, 0), 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(key_move_to_another_database_may_keep_the_name) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "k", "v");
    ck_assert_int_eq(move(&fixture, "k", "k", 2), 1);
    ck_assert_ptr_null(entry_at(&fixture, "k"));
    ck_assert(holds(&fixture, 2, "k", "v"));
    ck_assert_uint_eq(store_keys(fixture.store, 0), 0);
    ck_assert_uint_eq(store_keys(fixture.store, 2), 1);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(key_move_of_a_key_to_itself_leaves_it_and_of_none_does_nothing) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "{s}k", "v");
    ck_assert_int_eq(move(&fixture, "{s}k", "{s}k", 0), 1);
    ck_assert(holds(&fixture, 0, "{s}k", "v"));
    ck_assert_int_eq(move(&fixture, "{s}none", "{s}k", 0), 0);
    ck_assert(holds(&fixture, 0, "{s}k", "v"));
    store_fixture_close(&fixture);
}
END_TEST

/* ---- value_restore ---- */

START_TEST(value_restore_replaces_value_expiry_and_access_of_any_key) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put_field(&fixture, "h", "f", "v");
    struct buffer payload = BUFFER_EMPTY;
    value_encode(entry_at(&fixture, "h"), true, &payload);
    const struct effect effect = {
        .kind = EFFECT_VALUE_RESTORE,
        .value = buffer_span(&payload),
        .number = 12345,
        .expiry_ms = LATER_MS,
    };
    put(&fixture, "old", "text");
    ck_assert_int_eq(apply(&fixture, "new", &effect), 1);
    ck_assert_int_eq(apply(&fixture, "old", &effect), 0);
    static const char *const keys[] = {"new", "old"};
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        const struct entry *entry = entry_at(&fixture, keys[i]);
        char scratch[HASH_SCRATCH_BYTES];
        struct span value;
        ck_assert(hash_value_get(fixture.store, entry, span_of_string("f"), scratch, &value));
        ck_assert(span_equal(value, span_of_string("v")));
        ck_assert_int_eq(entry_expiry(entry), LATER_MS);
        ck_assert_uint_eq(entry_access(entry), 12345);
    }
    ck_assert_uint_eq(fixture.store->databases[0]->volatile_keys, 2);
    buffer_free(&payload);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(value_restore_takes_what_the_command_decoded_and_leaves_nothing_of_it) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "k", "a text");
    struct buffer payload = BUFFER_EMPTY;
    value_encode(entry_at(&fixture, "k"), true, &payload);
    struct value_content content;
    ck_assert_int_eq(value_decode(fixture.store, buffer_span(&payload), &content), VALUE_DECODED);
    apply(&fixture, "new",
          &(struct effect){
              .kind = EFFECT_VALUE_RESTORE,
              .value = buffer_span(&payload),
              .content = &content,
              .number = VALUE_ACCESS_NEW,
              .expiry_ms = ENTRY_NO_EXPIRY,
          });
    ck_assert_int_eq(content.kind, ENTRY_KINDS);
    ck_assert(holds(&fixture, 0, "new", "a text"));
    ck_assert_uint_eq(entry_access(entry_at(&fixture, "new")), fixture.store->lru_clock);
    buffer_free(&payload);
    store_fixture_close(&fixture);
}
END_TEST

/* ---- node scope ---- */

START_TEST(database_flush_answers_the_keys_of_that_database_alone) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    for (unsigned i = 0; i < 10; i++) {
        store_fixture_put(&fixture, i % 3 == 0 ? 1 : 0, fixture_key("k", i).text, ENTRY_NO_EXPIRY);
    }
    const struct effect effect = {.kind = EFFECT_DATABASE_FLUSH, .number = 1};
    ck_assert_uint_eq(effect_apply_to_database(fixture.store, &effect), 4);
    ck_assert_uint_eq(store_keys(fixture.store, 0), 6);
    ck_assert_uint_eq(store_keys(fixture.store, 1), 0);
    ck_assert_uint_eq(effect_apply_to_database(fixture.store, &effect), 0);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(database_swap_exchanges_two_databases_and_removes_nothing) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    put(&fixture, "a", "v");
    store_fixture_put(&fixture, 3, "b", LATER_MS);
    const struct effect effect = {.kind = EFFECT_DATABASE_SWAP, .number = INT64_C(0) << 32 | 3};
    ck_assert_uint_eq(effect_apply_to_database(fixture.store, &effect), 0);
    ck_assert_ptr_nonnull(store_fixture_entry(&fixture, 3, "a"));
    ck_assert_ptr_nonnull(store_fixture_entry(&fixture, 0, "b"));
    ck_assert_ptr_null(store_fixture_entry(&fixture, 0, "a"));
    ck_assert_ptr_null(store_fixture_entry(&fixture, 3, "b"));
    store_fixture_close(&fixture);
}
END_TEST

/* ---- places and watched keys ---- */

START_TEST(a_place_tells_where_the_key_is_after_each_effect) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct place place = store_fixture_place(&fixture, 0, span_of_string("k"));
    const struct effect put_one = {.kind = EFFECT_INTEGER_PUT, .number = 1};
    effect_apply(&place, &put_one);
    ck_assert_ptr_nonnull(place.cell);
    ck_assert_uint_eq(place.change_count, fixture.store->change_count);
    ck_assert_ptr_eq(table_cell_element(*place.cell), entry_at(&fixture, "k"));
    /* Others come meanwhile: the place is stale, and the effect looks again. */
    for (unsigned i = 0; i < 100; i++) {
        put(&fixture, fixture_key("{k}", i).text, "v");
    }
    struct effect effect = {.kind = EFFECT_KEY_DELETE};
    ck_assert_int_eq(effect_apply(&place, &effect), 1);
    ck_assert_ptr_null(place.cell);
    ck_assert_ptr_null(entry_at(&fixture, "k"));
    ck_assert_uint_eq(store_keys(fixture.store, 0), 100);
    store_fixture_close(&fixture);
}
END_TEST

static uint64_t watched_version(struct store_fixture *fixture, uint32_t database, const char *key) {
    return watch_version(&fixture->store->watches, database, span_of_string(key));
}

START_TEST(every_effect_on_a_watched_key_raises_its_version_but_that_of_its_expiry) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct watch_table *watches = &fixture.store->watches;
    static const char *const keys[] = {"{s}k", "{s}other"};
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        watch_add(watches, &fixture.store->heap, 0, span_of_string(keys[i]));
    }
    static const struct effect effects[] = {
        {.kind = EFFECT_VALUE_PUT, .value = SPAN_LITERAL("1"), .expiry_ms = ENTRY_NO_EXPIRY},
        {.kind = EFFECT_KEY_EXPIRE_AT, .expiry_ms = LATER_MS},
        {.kind = EFFECT_STRING_PATCH, .value = SPAN_LITERAL("2")},
        {.kind = EFFECT_INTEGER_PUT, .number = 3},
        {.kind = EFFECT_KEY_DELETE},
        {.kind = EFFECT_HASH_PUT, .field = SPAN_LITERAL("f"), .value = SPAN_LITERAL("v")},
        {.kind = EFFECT_HASH_DELETE, .field = SPAN_LITERAL("f")},
    };
    uint64_t other = watched_version(&fixture, 0, "{s}other");
    for (size_t i = 0; i < UNIT_COUNT(effects); i++) {
        uint64_t before = watched_version(&fixture, 0, "{s}k");
        apply(&fixture, "{s}k", &effects[i]);
        ck_assert_uint_ne(watched_version(&fixture, 0, "{s}k"), before);
    }
    ck_assert_uint_eq(watched_version(&fixture, 0, "{s}other"), other);
    put(&fixture, "{s}k", "v");
    uint64_t before = watched_version(&fixture, 0, "{s}k");
    move(&fixture, "{s}k", "{s}other", 0);
    ck_assert_uint_ne(watched_version(&fixture, 0, "{s}k"), before);
    ck_assert_uint_ne(watched_version(&fixture, 0, "{s}other"), other);
    put(&fixture, "{s}k", "v");
    before = watched_version(&fixture, 0, "{s}k");
    apply(&fixture, "{s}k", &(struct effect){.kind = EFFECT_KEY_DELETE, .event = EVENT_EXPIRED_ID});
    ck_assert_uint_eq(watched_version(&fixture, 0, "{s}k"), before);
    for (size_t i = 0; i < UNIT_COUNT(keys); i++) {
        watch_drop(watches, &fixture.store->heap, 0, span_of_string(keys[i]));
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_flush_raises_the_versions_of_watched_keys_that_exist) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct watch_table *watches = &fixture.store->watches;
    struct heap *heap = &fixture.store->heap;
    put(&fixture, "there", "v");
    uint64_t there = watch_add(watches, heap, 0, span_of_string("there"));
    uint64_t missing = watch_add(watches, heap, 0, span_of_string("missing"));
    const struct effect effect = {.kind = EFFECT_DATABASE_FLUSH, .number = 0};
    effect_apply_to_database(fixture.store, &effect);
    ck_assert_uint_ne(watched_version(&fixture, 0, "there"), there);
    ck_assert_uint_eq(watched_version(&fixture, 0, "missing"), missing);
    watch_drop(watches, heap, 0, span_of_string("there"));
    watch_drop(watches, heap, 0, span_of_string("missing"));
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(a_swap_raises_the_versions_of_watched_keys_that_exist_on_either_side) {
    struct store_fixture fixture;
    open_fixture(&fixture);
    struct watch_table *watches = &fixture.store->watches;
    struct heap *heap = &fixture.store->heap;
    put(&fixture, "k", "v");
    uint64_t here = watch_add(watches, heap, 0, span_of_string("k"));
    uint64_t there = watch_add(watches, heap, 1, span_of_string("k"));
    uint64_t elsewhere = watch_add(watches, heap, 2, span_of_string("k"));
    uint64_t missing = watch_add(watches, heap, 1, span_of_string("missing"));
    const struct effect effect = {.kind = EFFECT_DATABASE_SWAP, .number = INT64_C(1) << 32};
    effect_apply_to_database(fixture.store, &effect);
    ck_assert_uint_ne(watched_version(&fixture, 0, "k"), here);
    ck_assert_uint_ne(watched_version(&fixture, 1, "k"), there);
    ck_assert_uint_eq(watched_version(&fixture, 2, "k"), elsewhere);
    ck_assert_uint_eq(watched_version(&fixture, 1, "missing"), missing);
    for (uint32_t database = 0; database < 3; database++) {
        watch_drop(watches, heap, database, span_of_string("k"));
    }
    watch_drop(watches, heap, 1, span_of_string("missing"));
    store_fixture_close(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        value_put_tells_whether_the_key_is_new_and_replaces_value_and_expiry,
        value_put_replaces_a_value_of_another_type,
        value_put_keeps_numbers_as_numbers_unless_they_are_raw_or_text,
        value_put_of_a_block_takes_a_reference_and_a_delete_gives_it_back,
        key_delete_tells_whether_there_was_such_a_key,
        key_expire_at_sets_and_takes_the_expiry_and_nothing_else,
        string_patch_answers_the_length_and_fills_with_zeros,
        string_patch_makes_raw_text_of_a_number_and_keeps_the_expiry,
        integer_put_tells_whether_the_key_is_new_and_keeps_the_expiry,
        hash_put_tells_whether_the_field_is_new,
        hash_put_of_a_table_makes_one_however_small,
        hash_delete_of_the_last_field_takes_the_key,
        key_move_carries_value_expiry_and_access_to_the_new_key,
        key_move_replaces_what_is_at_the_new_key,
        key_move_to_another_database_may_keep_the_name,
        key_move_of_a_key_to_itself_leaves_it_and_of_none_does_nothing,
        value_restore_replaces_value_expiry_and_access_of_any_key,
        value_restore_takes_what_the_command_decoded_and_leaves_nothing_of_it,
        database_flush_answers_the_keys_of_that_database_alone,
        database_swap_exchanges_two_databases_and_removes_nothing,
        a_place_tells_where_the_key_is_after_each_effect,
        every_effect_on_a_watched_key_raises_its_version_but_that_of_its_expiry,
        a_flush_raises_the_versions_of_watched_keys_that_exist,
        a_swap_raises_the_versions_of_watched_keys_that_exist_on_either_side,
    };
    return unit_run(unit_suite("effect", tests, UNIT_COUNT(tests)));
}
