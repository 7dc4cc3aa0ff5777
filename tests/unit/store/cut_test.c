/* Cuts under change: random effects between the steps of a cut, and the images hold what each slot
 * held when its cut began. */
#include "store/cut.h"

#include "base/memory.h"
#include "commands/effect.h"
#include "store/digest.h"
#include "store/digest_keys.h"
#include "store/hash_value.h"
#include "store/slot_digest.h"
#include "store/value.h"

#include "tests/simulation/seeds.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define DATABASES 3
#define SECRET UINT64_C(0x7461726e)
#define SEED 7
#define TAGS 6 /* slots that are used */
#define STEP_BYTES 600
/* More than names need: the compiler looks into the checksum of a fixed array. */
#define TEXT_BYTES 512
#define LARGE_FIELD_BYTES 9000

struct fixture {
    struct store_options options;
    struct store *source;
    struct store *target;
    struct random random;
    uint64_t begun_digests[SLOTS]; /* of the source's slot when its cut began */
    uint64_t keys;
    uint32_t slots_done;
    uint32_t chunks;
    uint32_t next_slot; /* whose cut begins next */
    bool has_huge_values;
};

static struct store *store_of(const struct fixture *fixture) {
    return store_new(&(struct store_plan){
        .options = &fixture->options,
        .secret = SECRET,
        .seed = SEED,
        .slot_count = SLOTS,
        .database_count = DATABASES,
    });
}

static struct fixture *fixture_open(uint64_t seed) {
    struct fixture *fixture = memory_alloc_zeroed(sizeof(*fixture));
    fixture->options.hash_max_listpack_entries = 8;
    fixture->options.hash_max_listpack_value = 64;
    random_seed(&fixture->random, seed);
    fixture->source = store_of(fixture);
    fixture->target = store_of(fixture);
    return fixture;
}

static void fixture_close(struct fixture *fixture) {
    store_free(fixture->source);
    store_free(fixture->target);
    memory_free(fixture);
}

static uint64_t below(struct fixture *fixture, uint64_t bound) {
    return random_below(&fixture->random, bound);
}

/* ---- changes ---- */

static struct span key_write(struct fixture *fixture, char *text, size_t size, uint64_t tag) {
    int length = snprintf(text, size, "{%u}:%u", (unsigned)tag, (unsigned)below(fixture, 150));
    return span_of(text, (size_t)length);
}

static struct place place_of(struct fixture *fixture, struct span key) {
    struct place place = {
        .store = fixture->source,
        .key = key,
        .slot = slot_of_key(key),
        .hash = store_hash(fixture->source, key),
        .database = (uint32_t)below(fixture, DATABASES),
    };
    place_find(&place);
    return place;
}

static void put_string(struct fixture *fixture, struct place *place) {
    static const size_t lengths[] = {0, 3, 40, 500, 20000, 70000, 300000};
    size_t length = lengths[below(fixture, fixture->has_huge_values ? 7 : 4)];
    char *bytes = memory_alloc(length + 1);
    memset(bytes, (int)('a' + below(fixture, 26)), length);
    struct effect effect = {
        .kind = EFFECT_VALUE_PUT,
        .value = span_of(bytes, length),
        .expiry_ms = below(fixture, 3) == 0 ? (int64_t)below(fixture, 1000) : ENTRY_NO_EXPIRY,
    };
    effect_apply(place, &effect);
    memory_free(bytes);
}

static void change_hash(struct fixture *fixture, struct place *place) {
    uint64_t count = below(fixture, 20) == 0 ? 3000 : below(fixture, 30);
    char large[LARGE_FIELD_BYTES];
    memset(large, (int)('a' + below(fixture, 26)), sizeof(large));
    bool is_large = fixture->has_huge_values && count < 30;
    for (uint64_t i = 0; i < count; i++) {
        char field[TEXT_BYTES];
        int length = snprintf(field, sizeof(field), "field%u", (unsigned)below(fixture, 4000));
        struct effect effect = {
            .kind = below(fixture, 4) == 0 ? EFFECT_HASH_DELETE : EFFECT_HASH_PUT,
            .field = span_of(field, (size_t)length),
            .value = span_of(field, below(fixture, (uint64_t)length)),
        };
        if (is_large) {
            effect.value = span_of(large, below(fixture, sizeof(large)));
        }
        effect_apply(place, &effect);
    }
}

static void move_key(struct fixture *fixture, struct place *place, uint64_t tag) {
    char name[TEXT_BYTES];
    struct effect effect = {
        .kind = EFFECT_KEY_MOVE,
        .field = key_write(fixture, name, sizeof(name), tag),
        .number = (int64_t)below(fixture, DATABASES),
    };
    effect_apply(place, &effect);
}

static bool is_string(struct place *place) {
    const struct entry *entry = place_entry(place);
    return entry == NULL || value_type_of(entry) == VALUE_STRING;
}

static bool is_hash(struct place *place) {
    const struct entry *entry = place_entry(place);
    return entry == NULL || value_type_of(entry) == VALUE_HASH;
}

/* As a replay does it, slot by slot. */
static void change_slot(struct fixture *fixture) {
    char text[TEXT_BYTES];
    struct span key = key_write(fixture, text, sizeof(text), below(fixture, TAGS));
    uint32_t database = (uint32_t)below(fixture, DATABASES);
    if (below(fixture, 2) == 0) {
        store_flush_slot(fixture->source, database, slot_of_key(key));
    } else {
        store_swap_slot(fixture->source, database, (uint32_t)below(fixture, DATABASES),
                        slot_of_key(key));
    }
}

static void change_database(struct fixture *fixture) {
    struct effect effect = {.kind = EFFECT_DATABASE_FLUSH,
                            .number = (int64_t)below(fixture, DATABASES)};
    if (below(fixture, 2) == 0) {
        effect.kind = EFFECT_DATABASE_SWAP;
        effect.number = effect.number << 32 | (int64_t)below(fixture, DATABASES);
    }
    effect_apply_to_database(fixture->source, &effect);
}

static void change(struct fixture *fixture) {
    char text[TEXT_BYTES];
    uint64_t tag = below(fixture, TAGS);
    struct span key = key_write(fixture, text, sizeof(text), tag);
    struct place place = place_of(fixture, key);
    uint64_t dice = below(fixture, 200);
    if (dice < 3) {
        change_database(fixture);
    } else if (dice < 6) {
        change_slot(fixture);
    } else if (dice < 60) {
        put_string(fixture, &place);
    } else if (dice < 120) {
        if (is_hash(&place)) {
            change_hash(fixture, &place);
        }
    } else if (dice < 150) {
        effect_apply(&place, &(struct effect){.kind = EFFECT_KEY_DELETE});
    } else if (dice < 170) {
        move_key(fixture, &place, tag);
    } else if (dice < 185) {
        effect_apply(&place, &(struct effect){.kind = EFFECT_KEY_EXPIRE_AT,
                                              .expiry_ms = (int64_t)below(fixture, 9999)});
    } else if (is_string(&place)) {
        effect_apply(&place, &(struct effect){.kind = EFFECT_STRING_PATCH,
                                              .value = key,
                                              .number = (int64_t)below(fixture, 60)});
    }
}

/* ---- the target of a cut ---- */

static uint64_t position_of(void *context) {
    struct fixture *fixture = context;
    uint16_t slot = (uint16_t)fixture->next_slot++;
    fixture->begun_digests[slot] = digest_slot(fixture->source, slot, SEED);
    return slot;
}

static void load(void *context, struct image_chunk *chunk) {
    struct fixture *fixture = context;
    struct buffer content = BUFFER_EMPTY;
    image_chunk_join(chunk, &content);
    ck_assert_uint_eq(content.length, image_chunk_bytes(chunk));
    ck_assert_uint_le(chunk->slot_first, chunk->slot_last);
    struct image_reader reader;
    image_reader_init(&reader, buffer_span(&content));
    struct image_record record;
    enum image_status status;
    while ((status = image_read(&reader, &record)) == IMAGE_DONE) {
        ck_assert_uint_ge(record.slot, chunk->slot_first);
        ck_assert_uint_le(record.slot, chunk->slot_last);
        ck_assert_int_eq(image_load(fixture->target, &record), IMAGE_DONE);
    }
    ck_assert_int_eq(status, IMAGE_END);
    buffer_free(&content);
    image_chunk_free(chunk);
    fixture->chunks++;
}

static void slot_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    struct fixture *fixture = context;
    ck_assert_uint_eq(position, slot);
    ck_assert_uint_eq(slot + 1U, fixture->next_slot);
    fixture->keys += keys;
    fixture->slots_done++;
}

static struct cut *cut_of(struct fixture *fixture) {
    return cut_new(&(struct cut_plan){
        .store = fixture->source,
        .target =
            {.context = fixture, .position = position_of, .chunk = load, .slot_done = slot_done},
        .slot_count = SLOTS,
        .step_bytes = STEP_BYTES,
        .has_access = true,
    });
}

static uint64_t keys_of(const struct store *store) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < DATABASES; i++) {
        keys += store_keys(store, i);
    }
    return keys;
}

static void run_under_change(uint64_t seed, bool has_huge_values) {
    struct fixture *fixture = fixture_open(seed);
    fixture->has_huge_values = has_huge_values;
    for (int i = 0; i < 1500; i++) {
        change(fixture);
    }
    struct cut *cut = cut_of(fixture);
    bool is_done = false;
    while (!is_done) {
        struct cut_work work = {0};
        is_done = cut_step(cut, &work);
        for (uint64_t i = below(fixture, 8); i > 0; i--) {
            change(fixture);
        }
        if (below(fixture, 4) == 0) {
            store_bury_step(fixture->source, 1000);
        }
    }
    ck_assert_uint_gt(cut_early_buckets(cut), 0);
    cut_free(cut);
    ck_assert_ptr_null(fixture->source->open_cut);
    ck_assert_uint_eq(fixture->slots_done, SLOTS);
    ck_assert_uint_eq(fixture->keys, keys_of(fixture->target));
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        ck_assert_msg(digest_slot(fixture->target, (uint16_t)slot, SEED) ==
                          fixture->begun_digests[slot],
                      "seed %u: slot %u differs", (unsigned)seed, slot);
    }
    fixture_close(fixture);
}

START_TEST(cut_holds_what_each_slot_held_when_its_cut_began) {
    for (uint64_t seed = 1; seed <= SEEDS_OF(40); seed++) {
        run_under_change(seed, false);
    }
}
END_TEST

START_TEST(cut_holds_large_strings_too) {
    for (uint64_t seed = 1; seed <= SEEDS_OF(5); seed++) {
        run_under_change(seed, true);
    }
}
END_TEST

START_TEST(cut_that_ends_early_leaves_the_data_as_it_is) {
    for (uint64_t seed = 1; seed <= SEEDS_OF(20); seed++) {
        struct fixture *fixture = fixture_open(seed);
        for (int i = 0; i < 1500; i++) {
            change(fixture);
        }
        struct cut *cut = cut_of(fixture);
        for (uint64_t steps = below(fixture, 400); steps > 0; steps--) {
            struct cut_work work = {0};
            cut_step(cut, &work);
            change(fixture);
        }
        uint64_t keys = keys_of(fixture->source);
        cut_free(cut);
        ck_assert_ptr_null(fixture->source->open_cut);
        ck_assert_uint_eq(keys_of(fixture->source), keys);
        for (int i = 0; i < 200; i++) {
            change(fixture);
        }
        fixture_close(fixture);
    }
}
END_TEST

/* ---- a bucket without fields ---- */

static void apply_to_field(struct fixture *fixture, enum effect_kind kind, uint32_t number) {
    char name[TEXT_BYTES];
    int length = snprintf(name, sizeof(name), "field%u", number);
    struct span key = span_of_string("{1}:long");
    struct place place = {.store = fixture->source, .key = key, .slot = slot_of_key(key)};
    place.hash = store_hash(fixture->source, key);
    place_find(&place);
    effect_apply(&place, &(struct effect){.kind = kind,
                                          .field = span_of(name, (size_t)length),
                                          .value = span_of(name, (size_t)length)});
}

static const struct table *long_hash(const struct fixture *fixture) {
    struct span key = span_of_string("{1}:long");
    uint64_t *cell =
        store_find(fixture->source, 0, slot_of_key(key), store_hash(fixture->source, key), key);
    return hash_value_table(table_cell_element(*cell));
}

static void field_count(struct span field, struct span value, void *context) {
    (void)field;
    (void)value;
    ++*(uint32_t *)context;
}

static bool is_empty(const struct table *table, uint32_t index) {
    uint32_t count = 0;
    hash_value_visit_bucket(table, index, field_count, &count);
    return count == 0;
}

/* Small enough that some bucket far behind the first ones has no field. */
#define LONG_FIELDS (2 * CUT_FIELDS_AT_ONCE)

/* A field that belongs into an empty bucket, behind those of the first piece. */
static uint32_t field_of_empty_bucket(const struct fixture *fixture) {
    const struct table *table = long_hash(fixture);
    for (uint32_t number = LONG_FIELDS;; number++) {
        char name[TEXT_BYTES];
        int length = snprintf(name, sizeof(name), "field%u", number);
        struct span field = span_of(name, (size_t)length);
        uint32_t index = table_bucket_index(table, store_hash(fixture->source, field));
        if (index > CUT_FIELD_BUCKETS && is_empty(table, index)) {
            return number;
        }
    }
}

static bool has_empty_bucket(const struct table *table) {
    for (uint32_t i = CUT_FIELD_BUCKETS + 1; i < table->bucket_count; i++) {
        if (is_empty(table, i)) {
            return true;
        }
    }
    return false;
}

START_TEST(empty_bucket_of_a_large_hash_is_no_record) {
    struct fixture *fixture = fixture_open(1);
    uint32_t fields = 0;
    while (fields < LONG_FIELDS || !has_empty_bucket(long_hash(fixture))) {
        apply_to_field(fixture, EFFECT_HASH_PUT, fields++);
        ck_assert_uint_lt(fields, 100 * LONG_FIELDS);
    }
    uint32_t added = field_of_empty_bucket(fixture);
    struct cut *cut = cut_of(fixture);
    bool is_done = false;
    while (fixture->source->open_cut == NULL) {
        struct cut_work work = {0};
        ck_assert(!cut_step(cut, &work));
    }
    apply_to_field(fixture, EFFECT_HASH_PUT, added);
    ck_assert_uint_gt(cut_early_buckets(cut), 0);
    while (!is_done) {
        struct cut_work work = {0};
        is_done = cut_step(cut, &work);
    }
    cut_free(cut);
    uint16_t slot = slot_of_key(span_of_string("{1}:long"));
    ck_assert_uint_eq(digest_slot(fixture->target, slot, SEED), fixture->begun_digests[slot]);
    fixture_close(fixture);
}
END_TEST

static void expect_bounded_steps(bool has_huge_values) {
    struct fixture *fixture = fixture_open(1);
    fixture->has_huge_values = has_huge_values;
    for (int i = 0; i < 3000; i++) {
        change(fixture);
    }
    struct cut *cut = cut_of(fixture);
    for (bool is_done = false; !is_done;) {
        struct cut_work work = {0};
        is_done = cut_step(cut, &work);
        ck_assert_uint_le(work.buckets, CUT_STEP_BUCKETS + CUT_FIELD_BUCKETS);
        /* A piece, what it ends behind, and small ones that are cut at once. */
        ck_assert_uint_le(work.bytes, STEP_BYTES + 2 * CUT_BYTES_AT_ONCE +
                                          TABLE_BUCKET_CELLS * LARGE_FIELD_BYTES);
    }
    cut_free(cut);
    fixture_close(fixture);
}

START_TEST(cut_step_ends_within_its_bounds) {
    expect_bounded_steps(false);
    expect_bounded_steps(true);
}
END_TEST

START_TEST(slot_without_keys_counts_a_bucket_for_each_database) {
    struct fixture *fixture = fixture_open(1);
    struct cut *cut = cut_of(fixture);
    uint64_t buckets = 0;
    for (bool is_done = false; !is_done;) {
        struct cut_work work = {0};
        is_done = cut_step(cut, &work);
        ck_assert_uint_lt(work.buckets, CUT_STEP_BUCKETS + DATABASES);
        buckets += work.buckets;
    }
    ck_assert_uint_eq(buckets, (uint64_t)SLOTS * DATABASES);
    cut_free(cut);
    fixture_close(fixture);
}
END_TEST

/* ---- digests by a cut ---- */

static uint64_t rows_sum(struct span rows) {
    struct digest_key key;
    uint64_t sum = 0;
    while (digest_keys_read(&rows, &key)) {
        sum += key.digest;
    }
    ck_assert_uint_eq(rows.length, 0);
    return sum;
}

static void digest_under_change(struct fixture *fixture, uint16_t slot, bool has_keys) {
    uint64_t seed = below(fixture, 1000);
    uint64_t begun = digest_slot(fixture->source, slot, seed);
    struct slot_digest *digest = slot_digest_new(&(struct slot_digest_plan){
        .store = fixture->source,
        .seed = seed,
        .step_bytes = STEP_BYTES,
        .slot = slot,
        .has_keys = has_keys,
    });
    ck_assert_ptr_nonnull(digest);
    struct cut_work work = {0};
    do {
        for (uint64_t i = below(fixture, 8); i > 0; i--) {
            change(fixture);
        }
    } while (!slot_digest_step(digest, &work));
    struct slot_digest_result result;
    slot_digest_result(digest, &result);
    ck_assert_uint_eq(result.sum, begun);
    ck_assert_uint_eq(result.rows.length > 0, has_keys && result.keys > 0);
    ck_assert(!has_keys || result.is_incomplete || rows_sum(result.rows) == begun);
    slot_digest_free(digest);
    ck_assert_ptr_null(fixture->source->open_cut);
}

START_TEST(digest_by_a_cut_is_that_of_the_moment_when_it_began) {
    for (uint64_t seed = 1; seed <= SEEDS_OF(12); seed++) {
        struct fixture *fixture = fixture_open(seed);
        fixture->has_huge_values = seed % 4 == 0;
        for (int i = 0; i < 1500; i++) {
            change(fixture);
        }
        for (int i = 0; i < 20; i++) {
            char text[TEXT_BYTES];
            struct span key = key_write(fixture, text, sizeof(text), below(fixture, TAGS));
            digest_under_change(fixture, slot_of_key(key), i % 2 == 0);
        }
        fixture_close(fixture);
    }
}
END_TEST

START_TEST(digest_beside_another_cut_is_whole_or_refused) {
    struct fixture *fixture = fixture_open(3);
    for (int i = 0; i < 1500; i++) {
        change(fixture);
    }
    struct cut *cut = cut_of(fixture);
    while (fixture->source->open_cut == NULL) {
        struct cut_work work = {0};
        cut_step(cut, &work);
    }
    struct slot_digest_plan plan = {.store = fixture->source, .seed = SEED, .step_bytes = 1};
    for (unsigned tag = 0; tag < TAGS; tag++) {
        char text[TEXT_BYTES];
        plan.slot = slot_of_key(key_write(fixture, text, sizeof(text), tag));
        plan.step_bytes = 1;
        struct slot_digest *digest = slot_digest_new(&plan);
        ck_assert_ptr_null(digest);
        ck_assert_ptr_eq(fixture->source->open_cut, cut);
        plan.step_bytes = SIZE_MAX / 2;
        digest = slot_digest_new(&plan);
        ck_assert_ptr_eq(fixture->source->open_cut, cut);
        ck_assert(slot_digest_is_done(digest));
        struct slot_digest_result result;
        slot_digest_result(digest, &result);
        ck_assert_uint_eq(result.sum, digest_slot(fixture->source, plan.slot, SEED));
        slot_digest_free(digest);
    }
    cut_free(cut);
    fixture_close(fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        cut_holds_what_each_slot_held_when_its_cut_began,
        cut_holds_large_strings_too,
        cut_that_ends_early_leaves_the_data_as_it_is,
        cut_step_ends_within_its_bounds,
        slot_without_keys_counts_a_bucket_for_each_database,
        empty_bucket_of_a_large_hash_is_no_record,
        digest_by_a_cut_is_that_of_the_moment_when_it_began,
        digest_beside_another_cut_is_whole_or_refused,
    };
    return unit_run(unit_suite("cut", tests, UNIT_COUNT(tests)));
}
