/* A store full of keys of all kinds, saved to an RDB file of a disk, loaded and compared. */
#ifndef TARN_TESTS_UNIT_SNAPSHOT_RDB_FIXTURE_H
#define TARN_TESTS_UNIT_SNAPSHOT_RDB_FIXTURE_H

#include "snapshot/rdb_file.h"
#include "store/hash_value.h"

#include "tests/unit/snapshot/rdb_collector.h"
#include "tests/unit/unit.h"

#define RDB_FIXTURE_KEYS 2000
/* Not yet, for a real server too. */
#define RDB_FIXTURE_EXPIRY_MS INT64_C(4000000000000)

static inline void rdb_fixture_open(struct store_fixture *fixture) {
    store_fixture_open(fixture);
    fixture->options.hash_max_listpack_entries = 8;
    fixture->options.hash_max_listpack_value = 64;
}

static inline void rdb_fixture_put_string(struct store_fixture *fixture, uint32_t database,
                                          const char *key, struct span value, int64_t expiry_ms) {
    struct place place = store_fixture_place(fixture, database, span_of_string(key));
    struct string_put put = {.bytes = value, .expiry_ms = expiry_ms};
    value_string_put(place.store, database, place.slot, place.hash, place.key, place.cell, &put);
}

static inline void rdb_fixture_put_hash(struct store_fixture *fixture, const char *key,
                                        unsigned fields) {
    struct place place = store_fixture_place(fixture, 0, span_of_string(key));
    uint64_t *cell = hash_value_new(place.store, 0, place.slot, place.hash, place.key);
    for (unsigned i = 0; i < fields; i++) {
        struct fixture_key field = fixture_key("field:", i);
        struct fixture_key value = fixture_key("", i);
        hash_value_put(place.store, cell, span_of_string(field.text), span_of_string(value.text));
    }
}

/* Strings of all lengths, some that expire, hashes of both kinds; a few keys in database 3. */
static inline void rdb_fixture_fill(struct store_fixture *fixture) {
    char *bytes = memory_alloc(RDB_FIXTURE_KEYS * 30);
    for (unsigned i = 0; i < RDB_FIXTURE_KEYS * 30; i++) {
        bytes[i] = (char)(i * 7 % 251);
    }
    for (unsigned i = 0; i < RDB_FIXTURE_KEYS; i++) {
        struct fixture_key key = fixture_key("key:", i);
        struct fixture_key number = fixture_key("", i);
        size_t length = i % 100 == 0 ? (size_t)i * 30 : i % 60;
        struct span value = i % 3 == 0 ? span_of_string(number.text) : span_of(bytes, length);
        rdb_fixture_put_string(fixture, i % 50 == 0 ? 3 : 0, key.text, value,
                               i % 5 == 0 ? RDB_FIXTURE_EXPIRY_MS + i : ENTRY_NO_EXPIRY);
        if (i % 10 == 0) {
            struct fixture_key hash = fixture_key("hash:", i);
            rdb_fixture_put_hash(fixture, hash.text, i % 12 + 1);
        }
    }
    memory_free(bytes);
}

struct rdb_fixture_walk {
    struct rdb_writer *writer;
    const struct store *store;
};

static inline void rdb_fixture_write_entry(void *element, void *context) {
    struct rdb_fixture_walk *walk = context;
    rdb_writer_entry(walk->writer, walk->store, element);
}

static inline void rdb_fixture_write_database(struct rdb_fixture_walk *walk, uint32_t database) {
    uint64_t keys = store_keys(walk->store, database);
    if (keys == 0) {
        return;
    }
    rdb_writer_database(walk->writer, &(struct rdb_database){.number = database, .keys = keys});
    for (uint32_t slot = store_next_slot(walk->store, database, 0); slot < SLOTS;
         slot = store_next_slot(walk->store, database, slot + 1)) {
        const struct table *table = store_table(walk->store, database, (uint16_t)slot);
        uint64_t position = 0;
        do {
            position = table_scan(table, position, rdb_fixture_write_entry, walk);
        } while (position != 0);
    }
}

/* Writes the store to the file "dump.rdb". 0, or the error of the disk. */
static inline int rdb_fixture_save(const struct store *store, const struct disk *disk,
                                   const struct rdb_writer_plan *plan) {
    struct rdb_file file;
    int error = rdb_file_open(&file, disk, "temporary.rdb");
    if (error != 0) {
        return error;
    }
    struct rdb_writer_plan with_target = *plan;
    with_target.target = rdb_file_target(&file);
    struct rdb_fixture_walk walk = {.writer = rdb_writer_new(&with_target), .store = store};
    rdb_writer_head(walk.writer, &(struct rdb_head){.redis_version = "7.2.4",
                                                    .time_ms = FIXTURE_NOW_MS,
                                                    .used_memory = 12345});
    for (uint32_t database = 0; database < FIXTURE_DATABASES; database++) {
        rdb_fixture_write_database(&walk, database);
    }
    error = rdb_writer_finish(walk.writer);
    rdb_writer_free(walk.writer);
    if (error != 0) {
        rdb_file_abandon(&file);
        return error;
    }
    return rdb_file_finish(&file, "dump.rdb");
}

static inline enum rdb_read_status rdb_fixture_load(struct rdb_collector *collector,
                                                    const struct disk *disk, uint64_t *length) {
    struct rdb_file_source source = {
        .disk = disk, .name = "dump.rdb", .observer = rdb_collector_observer(collector)};
    return rdb_file_read(&source, length, &collector->report);
}

/* ---- the same ---- */

struct rdb_fixture_comparison {
    struct store_fixture *other;
    uint32_t database;
    const struct entry *entry;
    size_t compared;
};

static inline void rdb_fixture_compare_field(struct span field, struct span value, void *context) {
    const struct rdb_fixture_comparison *comparison = context;
    char scratch[HASH_SCRATCH_BYTES];
    struct span found;
    ck_assert(hash_value_get(comparison->other->store, comparison->entry, field, scratch, &found));
    ck_assert(span_equal(found, value));
}

static inline void rdb_fixture_compare_entry(void *element, void *context) {
    struct rdb_fixture_comparison *comparison = context;
    const struct entry *entry = element;
    struct place place =
        store_fixture_place(comparison->other, comparison->database, entry_key(entry));
    comparison->entry = place_entry(&place);
    ck_assert_ptr_nonnull(comparison->entry);
    ck_assert_int_eq(entry_expiry(entry), entry_expiry(comparison->entry));
    ck_assert_str_eq(value_encoding(entry), value_encoding(comparison->entry));
    if (value_type_of(entry) == VALUE_STRING) {
        char scratches[2][NUMBER_TEXT_BYTES_MAX];
        ck_assert(span_equal(value_string(entry, scratches[0]),
                             value_string(comparison->entry, scratches[1])));
    } else {
        ck_assert_uint_eq(hash_value_length(entry), hash_value_length(comparison->entry));
        hash_value_each(entry, rdb_fixture_compare_field, comparison);
    }
    comparison->compared++;
}

static inline void rdb_fixture_expect_same(const struct store *store, struct store_fixture *other) {
    for (uint32_t database = 0; database < FIXTURE_DATABASES; database++) {
        struct rdb_fixture_comparison comparison = {.other = other, .database = database};
        for (uint32_t slot = store_next_slot(store, database, 0); slot < SLOTS;
             slot = store_next_slot(store, database, slot + 1)) {
            uint64_t position = 0;
            do {
                position = table_scan(store_table(store, database, (uint16_t)slot), position,
                                      rdb_fixture_compare_entry, &comparison);
            } while (position != 0);
        }
        ck_assert_uint_eq(comparison.compared, store_keys(other->store, database));
        ck_assert_uint_eq(store_keys(store, database), store_keys(other->store, database));
    }
}

#endif
