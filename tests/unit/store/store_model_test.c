/* A store under everything at once, against a plain array: keys come and go while tables grow and
 * shrink, expire by themselves and with time, and are scanned meanwhile.
 */
#include "store/expiry.h"
#include "tests/unit/store/store_fixture.h"
#include "tests/unit/unit.h"

#define KEYS 12000
#define ROUNDS 3000
#define CHANGES_PER_ROUND 40
/* Rounds for which there is more coming than going, or the other way round. */
#define PHASE_ROUNDS 500
#define UNITS_MAX 512
#define STEPS_MAX 100000

/* Slots that are scanned: one with most of the keys, so that its table gets a directory and loses
 * it, a small one, and one with a few. */
static const char *const tags[] = {"{large}", "{small}", "{few}"};
#define TAGS (sizeof(tags) / sizeof(tags[0]))

/* Check's own assertions write to a pipe each time: too slow for millions. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("%s", #condition);                                                        \
        }                                                                                          \
    } while (0)

struct model_key {
    char text[FIXTURE_KEY_BYTES_MAX];
    bool is_there;
    int64_t expiry_ms;
    uint64_t since;   /* number of the change since which it has been there */
    uint64_t scanned; /* and of that before which it was seen last */
};

struct scan {
    uint16_t slot;
    uint64_t position;
    uint64_t began; /* number of the change before which it did */
    unsigned finished;
};

struct model {
    struct store_fixture fixture;
    struct random random;
    struct model_key keys[KEYS];
    struct scan scans[TAGS];
    uint64_t changes;
    uint64_t expired;
    uint32_t buckets_most;
};

static size_t tag_of(unsigned i) {
    return i % 16 == 0 ? 1 : i % 500 == 1 ? 2 : 0;
}

static struct model *model_new(uint64_t seed) {
    struct model *model = calloc(1, sizeof(*model));
    store_fixture_open(&model->fixture);
    random_seed(&model->random, seed);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(model->keys[i].text, sizeof(model->keys[i].text), "%s%u", tags[tag_of(i)], i);
    }
    for (size_t i = 0; i < TAGS; i++) {
        model->scans[i].slot = slot_of_key(span_of_string(tags[i]));
    }
    return model;
}

static void model_free(struct model *model) {
    store_fixture_close(&model->fixture);
    free(model);
}

/* It is there, and its time has not come. */
static bool is_alive(const struct model *model, const struct model_key *key) {
    return key->is_there &&
           (key->expiry_ms == ENTRY_NO_EXPIRY || key->expiry_ms > model->fixture.now_ms);
}

static struct model_key *key_of_entry(struct model *model, const struct entry *entry) {
    struct span text = entry_key(entry);
    const char *number = memchr(text.bytes, '}', text.length);
    REQUIRE(number != NULL);
    unsigned long i = strtoul(number + 1, NULL, 10);
    REQUIRE(i < KEYS);
    REQUIRE(span_equal(text, span_of_string(model->keys[i].text)));
    return &model->keys[i];
}

/* ---- what happens ---- */

static int64_t any_expiry(struct model *model) {
    return random_below(&model->random, 3) == 0
               ? model->fixture.now_ms + 1 + (int64_t)random_below(&model->random, 400)
               : ENTRY_NO_EXPIRY;
}

static void change(struct model *model, bool is_growing) {
    struct model_key *key = &model->keys[random_below(&model->random, KEYS)];
    bool is_put = random_below(&model->random, 10) < (is_growing ? 8 : 2);
    model->changes++;
    if (is_put) {
        if (!is_alive(model, key)) {
            key->since = model->changes;
        }
        key->is_there = true;
        key->expiry_ms = any_expiry(model);
        store_fixture_put(&model->fixture, 0, key->text, key->expiry_ms);
    } else if (store_fixture_entry(&model->fixture, 0, key->text) != NULL) {
        REQUIRE(key->is_there);
        key->is_there = false;
        store_fixture_remove(&model->fixture, 0, span_of_string(key->text));
    } else {
        REQUIRE(!key->is_there);
    }
}

static void expire(void *context, uint32_t database, uint16_t slot, const struct entry *entry) {
    struct model *model = context;
    struct model_key *key = key_of_entry(model, entry);
    REQUIRE(slot == slot_of_key(entry_key(entry)));
    REQUIRE(key->is_there && !is_alive(model, key));
    REQUIRE(entry_expiry(entry) == key->expiry_ms);
    key->is_there = false;
    model->expired++;
    store_fixture_remove(&model->fixture, database, entry_key(entry));
}

static void step_expiry(struct model *model) {
    expiry_step(model->fixture.store, model->fixture.now_ms, UNITS_MAX, expire, model);
}

static void see(void *element, void *context) {
    struct model *model = context;
    struct model_key *key = key_of_entry(model, element);
    REQUIRE(key->is_there);
    key->scanned = model->changes + 1;
}

/* Whatever has been there from the scan's begin to its end was seen. */
static void finish_scan(struct model *model, size_t tag) {
    struct scan *scan = &model->scans[tag];
    for (unsigned i = 0; i < KEYS; i++) {
        const struct model_key *key = &model->keys[i];
        if (tag_of(i) == tag && is_alive(model, key) && key->since < scan->began) {
            REQUIRE(key->scanned >= scan->began);
        }
    }
    scan->finished++;
    scan->began = model->changes + 1;
}

static void step_scan(struct model *model, size_t tag) {
    struct scan *scan = &model->scans[tag];
    const struct table *table = store_table(model->fixture.store, 0, scan->slot);
    uint64_t pieces = 1 + random_below(&model->random, 8);
    for (uint64_t i = 0; i < pieces; i++) {
        scan->position = table == NULL ? 0 : table_scan(table, scan->position, see, model);
        if (scan->position == 0) {
            finish_scan(model, tag);
        }
    }
    if (table != NULL && table->bucket_count > model->buckets_most) {
        model->buckets_most = table->bucket_count;
    }
}

static void check_all(const struct model *model) {
    uint64_t there = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        const struct model_key *key = &model->keys[i];
        const struct entry *entry = store_fixture_entry(&model->fixture, 0, key->text);
        REQUIRE((entry != NULL) == key->is_there);
        there += key->is_there;
        if (entry != NULL && key->expiry_ms != ENTRY_NO_EXPIRY) {
            REQUIRE(entry_expiry(entry) == key->expiry_ms);
        }
        REQUIRE(entry == NULL ||
                entry_has(entry, ENTRY_FLAG_EXPIRY) == (key->expiry_ms != ENTRY_NO_EXPIRY));
    }
    ck_assert_uint_eq(store_keys(model->fixture.store, 0), there);
}

static void settle(struct model *model) {
    for (unsigned i = 0; expiry_is_due(model->fixture.store, model->fixture.now_ms); i++) {
        REQUIRE(i < STEPS_MAX);
        store_fixture_advance(&model->fixture, 1);
        step_expiry(model);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        REQUIRE(!model->keys[i].is_there || is_alive(model, &model->keys[i]));
    }
}

START_TEST(a_store_agrees_with_an_array_while_it_grows_shrinks_expires_and_is_scanned) {
    struct model *model = model_new((uint64_t)_i + 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool is_growing = round / PHASE_ROUNDS % 2 == 0;
        for (unsigned i = 0; i < CHANGES_PER_ROUND; i++) {
            change(model, is_growing);
            if (i % 10 == 0) {
                step_scan(model, random_below(&model->random, TAGS));
            }
        }
        store_fixture_advance(&model->fixture, (int64_t)random_below(&model->random, 4));
        step_expiry(model);
        if (round % 100 == 99) {
            check_all(model);
        }
        if (round % PHASE_ROUNDS == PHASE_ROUNDS - 1) {
            settle(model);
            check_all(model);
        }
    }
    /* All of it happened. */
    ck_assert_uint_gt(model->expired, 1000);
    ck_assert_uint_gt(model->buckets_most, TABLE_FLAT_BUCKETS);
    for (size_t i = 0; i < TAGS; i++) {
        ck_assert_uint_gt(model->scans[i].finished, 10);
    }
    model_free(model);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("store_model");
    TCase *cases = tcase_create("store_model");
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(
        cases, a_store_agrees_with_an_array_while_it_grows_shrinks_expires_and_is_scanned, 0, 3);
    suite_add_tcase(suite, cases);
    return unit_run(suite);
}
