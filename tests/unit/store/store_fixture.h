/* One store for a test, and string keys in it. Needs no Check. */
#ifndef TARN_TESTS_UNIT_STORE_STORE_FIXTURE_H
#define TARN_TESTS_UNIT_STORE_STORE_FIXTURE_H

#include "store/place.h"
#include "store/value.h"

#include <stdio.h>

#define FIXTURE_DATABASES 4
#define FIXTURE_NOW_MS INT64_C(1700000000000)
#define FIXTURE_KEY_BYTES_MAX 64

struct store_fixture {
    struct store_options options;
    struct store *store;
    int64_t now_ms;
};

static inline void store_fixture_open(struct store_fixture *fixture) {
    *fixture = (struct store_fixture){
        .options = {.maxmemory_samples = 5,
                    .maxmemory_eviction_tenacity = 10,
                    .lfu_log_factor = 10,
                    .lfu_decay_time = 1,
                    .active_expire_effort = 1},
        .now_ms = FIXTURE_NOW_MS,
    };
    fixture->store = store_new(&(struct store_plan){
        .options = &fixture->options,
        .secret = UINT64_C(0x1234567890abcdef),
        .seed = 1,
        .slot_count = SLOTS,
        .database_count = FIXTURE_DATABASES,
    });
    store_tick(fixture->store, fixture->now_ms);
}

static inline void store_fixture_close(struct store_fixture *fixture) {
    store_free(fixture->store);
}

static inline void store_fixture_advance(struct store_fixture *fixture, int64_t ms) {
    fixture->now_ms += ms;
    store_tick(fixture->store, fixture->now_ms);
}

static inline struct place store_fixture_place(const struct store_fixture *fixture,
                                               uint32_t database, struct span key) {
    struct place place = {
        .store = fixture->store,
        .key = key,
        .hash = store_hash(fixture->store, key),
        .database = database,
        .slot = slot_of_key(key),
    };
    place_find(&place);
    return place;
}

/* Sets the key to a small string; expiry_ms as in entries. */
static inline void store_fixture_put(struct store_fixture *fixture, uint32_t database,
                                     const char *key, int64_t expiry_ms) {
    struct place place = store_fixture_place(fixture, database, span_of_string(key));
    struct string_put put = {.bytes = span_of_string("value"), .expiry_ms = expiry_ms};
    value_string_put(place.store, database, place.slot, place.hash, place.key, place.cell, &put);
}

static inline struct entry *store_fixture_entry(const struct store_fixture *fixture,
                                                uint32_t database, const char *key) {
    struct place place = store_fixture_place(fixture, database, span_of_string(key));
    return place_entry(&place);
}

static inline void store_fixture_remove(struct store_fixture *fixture, uint32_t database,
                                        struct span key) {
    struct place place = store_fixture_place(fixture, database, key);
    store_remove(place.store, database, place.slot, place.hash, place.cell);
}

/* "<prefix><number>" */
struct fixture_key {
    char text[FIXTURE_KEY_BYTES_MAX];
};

static inline struct fixture_key fixture_key(const char *prefix, unsigned number) {
    struct fixture_key key;
    snprintf(key.text, sizeof(key.text), "%s%u", prefix, number);
    return key;
}

#endif
