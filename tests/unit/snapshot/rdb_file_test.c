#include "snapshot/rdb_file.h"

#include "base/memory.h"
#include "snapshot/rdb_format.h"
#include "store/hash_value.h"

#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/snapshot/rdb_collector.h"
#include "tests/unit/unit.h"

#define KEYS 2000
#define EXPIRY_MS (FIXTURE_NOW_MS + 60000)

static void open_fixture(struct store_fixture *fixture) {
    store_fixture_open(fixture);
    fixture->options.hash_max_listpack_entries = 8;
    fixture->options.hash_max_listpack_value = 64;
}

static void put_string(struct store_fixture *fixture, uint32_t database, const char *key,
                       struct span value, int64_t expiry_ms) {
    struct place place = store_fixture_place(fixture, database, span_of_string(key));
    struct string_put put = {.bytes = value, .expiry_ms = expiry_ms};
    value_string_put(place.store, database, place.slot, place.hash, place.key, place.cell, &put);
}

static void put_hash(struct store_fixture *fixture, const char *key, unsigned fields) {
    struct place place = store_fixture_place(fixture, 0, span_of_string(key));
    uint64_t *cell = hash_value_new(place.store, 0, place.slot, place.hash, place.key);
    for (unsigned i = 0; i < fields; i++) {
        struct fixture_key field = fixture_key("field:", i);
        struct fixture_key value = fixture_key("", i);
        hash_value_put(place.store, cell, span_of_string(field.text), span_of_string(value.text));
    }
}

/* Strings of all lengths, some that expire, hashes of both kinds; a few keys in database 3. */
static void fill(struct store_fixture *fixture) {
    char *bytes = memory_alloc(KEYS * 30);
    for (unsigned i = 0; i < KEYS * 30; i++) {
        bytes[i] = (char)(i * 7 % 251);
    }
    for (unsigned i = 0; i < KEYS; i++) {
        struct fixture_key key = fixture_key("key:", i);
        struct fixture_key number = fixture_key("", i);
        size_t length = i % 100 == 0 ? (size_t)i * 30 : i % 60;
        struct span value = i % 3 == 0 ? span_of_string(number.text) : span_of(bytes, length);
        put_string(fixture, i % 50 == 0 ? 3 : 0, key.text, value,
                   i % 5 == 0 ? EXPIRY_MS + i : ENTRY_NO_EXPIRY);
        if (i % 10 == 0) {
            struct fixture_key hash = fixture_key("hash:", i);
            put_hash(fixture, hash.text, i % 12 + 1);
        }
    }
    memory_free(bytes);
}

struct walk {
    struct rdb_writer *writer;
    const struct store *store;
};

static void write_entry(void *element, void *context) {
    struct walk *walk = context;
    rdb_writer_entry(walk->writer, walk->store, element);
}

static void write_database(struct walk *walk, uint32_t database) {
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
            position = table_scan(table, position, write_entry, walk);
        } while (position != 0);
    }
}

/* Writes the store to the file "dump.rdb". 0, or the error of the disk. */
static int save(const struct store *store, const struct disk *disk,
                const struct rdb_writer_plan *plan) {
    struct rdb_file file;
    int error = rdb_file_open(&file, disk, "temporary.rdb");
    if (error != 0) {
        return error;
    }
    struct rdb_writer_plan with_target = *plan;
    with_target.target = rdb_file_target(&file);
    struct walk walk = {.writer = rdb_writer_new(&with_target), .store = store};
    rdb_writer_head(walk.writer, &(struct rdb_head){.redis_version = "7.2.4",
                                                    .time_ms = FIXTURE_NOW_MS,
                                                    .used_memory = 12345});
    for (uint32_t database = 0; database < FIXTURE_DATABASES; database++) {
        write_database(&walk, database);
    }
    error = rdb_writer_finish(walk.writer);
    rdb_writer_free(walk.writer);
    if (error != 0) {
        rdb_file_abandon(&file);
        return error;
    }
    return rdb_file_finish(&file, "dump.rdb");
}

static enum rdb_read_status load(struct rdb_collector *collector, const struct disk *disk,
                                 uint64_t *length) {
    struct rdb_file_source source = {
        .disk = disk, .name = "dump.rdb", .observer = rdb_collector_observer(collector)};
    return rdb_file_read(&source, length, &collector->report);
}

/* ---- the same ---- */

struct comparison {
    struct store_fixture *other;
    uint32_t database;
    const struct entry *entry;
    size_t compared;
};

static void compare_field(struct span field, struct span value, void *context) {
    const struct comparison *comparison = context;
    char scratch[HASH_SCRATCH_BYTES];
    struct span found;
    ck_assert(hash_value_get(comparison->other->store, comparison->entry, field, scratch, &found));
    ck_assert(span_equal(found, value));
}

static void compare_entry(void *element, void *context) {
    struct comparison *comparison = context;
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
        hash_value_each(entry, compare_field, comparison);
    }
    comparison->compared++;
}

static void expect_same(const struct store *store, struct store_fixture *other) {
    for (uint32_t database = 0; database < FIXTURE_DATABASES; database++) {
        struct comparison comparison = {.other = other, .database = database};
        for (uint32_t slot = store_next_slot(store, database, 0); slot < SLOTS;
             slot = store_next_slot(store, database, slot + 1)) {
            uint64_t position = 0;
            do {
                position = table_scan(store_table(store, database, (uint16_t)slot), position,
                                      compare_entry, &comparison);
            } while (position != 0);
        }
        ck_assert_uint_eq(comparison.compared, store_keys(other->store, database));
        ck_assert_uint_eq(store_keys(store, database), store_keys(other->store, database));
    }
}

START_TEST(rdb_file_that_was_saved_loads_the_same) {
    static const struct rdb_writer_plan plans[] = {
        {.compresses = true, .has_checksum = true},
        {.compresses = false, .has_checksum = false},
    };
    struct store_fixture fixture;
    open_fixture(&fixture);
    fill(&fixture);
    for (size_t i = 0; i < UNIT_COUNT(plans); i++) {
        struct memory_disk memory;
        memory_disk_init(&memory);
        ck_assert_int_eq(save(fixture.store, &memory.disk, &plans[i]), 0);
        struct store_fixture copy;
        open_fixture(&copy);
        struct rdb_collector collector = {.fixture = &copy};
        ck_assert_int_eq(load(&collector, &memory.disk, NULL), RDB_READ_DONE);
        ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.lines), "redis-ver = 7.2.4\n"
                                                                           "redis-bits = 64\n"
                                                                           "ctime = 1700000000\n"
                                                                           "used-mem = 12345\n"
                                                                           "aof-base = 0\n"));
        expect_same(fixture.store, &copy);
        rdb_collector_free(&collector);
        store_fixture_close(&copy);
        memory_disk_free(&memory);
    }
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(rdb_file_keeps_the_access_data_that_the_policy_looks_at) {
    static const struct {
        enum maxmemory_policy policy;
        const char *line;
    } policies[] = {
        {MAXMEMORY_NO_EVICTION, "0 key: type 0, 7 bytes, expiry -1, idle -1, frequency -1\n"},
        {MAXMEMORY_ALLKEYS_LRU, "0 key: type 0, 7 bytes, expiry -1, idle 100, frequency -1\n"},
        {MAXMEMORY_ALLKEYS_LFU, "0 key: type 0, 7 bytes, expiry -1, idle -1, frequency 77\n"},
    };
    for (size_t i = 0; i < UNIT_COUNT(policies); i++) {
        struct store_fixture fixture;
        struct memory_disk memory;
        open_fixture(&fixture);
        memory_disk_init(&memory);
        fixture.options.maxmemory_policy = policies[i].policy;
        store_fixture_put(&fixture, 0, "key", ENTRY_NO_EXPIRY);
        entry_set_access(store_fixture_entry(&fixture, 0, "key"),
                         policies[i].policy == MAXMEMORY_ALLKEYS_LFU
                             ? store_access_frequency(fixture.store, 77)
                             : store_access_idle(fixture.store, 100));
        ck_assert_int_eq(save(fixture.store, &memory.disk, &(struct rdb_writer_plan){0}), 0);
        struct rdb_collector collector = {0};
        ck_assert_int_eq(load(&collector, &memory.disk, NULL), RDB_READ_DONE);
        ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.lines), policies[i].line));
        rdb_collector_free(&collector);
        store_fixture_close(&fixture);
        memory_disk_free(&memory);
    }
}
END_TEST

START_TEST(rdb_file_is_the_old_one_until_the_new_one_is_safe) {
    const struct rdb_writer_plan plan = {.has_checksum = true};
    struct store_fixture fixture;
    open_fixture(&fixture);
    store_fixture_put(&fixture, 0, "key", ENTRY_NO_EXPIRY);
    int failures = 0;
    for (int fail_at = 1;; fail_at++) {
        struct memory_disk memory;
        memory_disk_init(&memory);
        ck_assert_int_eq(save(fixture.store, &memory.disk, &plan), 0);
        memory.calls = 0;
        memory.fail_at = fail_at;
        memory.fail_error = ENOSPC;
        int error = save(fixture.store, &memory.disk, &plan);
        ck_assert(error == 0 || error == -ENOSPC);
        memory.fail_at = 0;
        struct rdb_collector collector = {0};
        ck_assert_int_eq(load(&collector, &memory.disk, NULL), RDB_READ_DONE);
        ck_assert_uint_eq(collector.keys, 1);
        rdb_collector_free(&collector);
        memory_disk_free(&memory);
        if (error == 0) {
            break;
        }
        failures++;
    }
    ck_assert_int_ge(failures, 4);
    store_fixture_close(&fixture);
}
END_TEST

START_TEST(rdb_file_with_more_behind_its_end_is_damaged_unless_that_is_asked_for) {
    struct store_fixture fixture;
    struct memory_disk memory;
    open_fixture(&fixture);
    memory_disk_init(&memory);
    store_fixture_put(&fixture, 0, "key", ENTRY_NO_EXPIRY);
    ck_assert_int_eq(save(fixture.store, &memory.disk, &(struct rdb_writer_plan){0}), 0);
    struct memory_file *file = memory_disk_find(&memory, "dump.rdb");
    uint64_t whole = file->content.length;
    buffer_append_string(&file->content, "*1\r\n");
    struct rdb_collector collector = {0};
    uint64_t length;
    ck_assert_int_eq(load(&collector, &memory.disk, &length), RDB_READ_DONE);
    ck_assert_uint_eq(length, whole);
    ck_assert_int_eq(load(&collector, &memory.disk, NULL), RDB_READ_DAMAGED);
    ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.report), "found 4 bytes"));
    rdb_collector_free(&collector);
    store_fixture_close(&fixture);
    memory_disk_free(&memory);
}
END_TEST

START_TEST(rdb_file_that_is_not_there_is_reported) {
    struct memory_disk memory;
    memory_disk_init(&memory);
    struct rdb_collector collector = {0};
    ck_assert_int_eq(load(&collector, &memory.disk, NULL), RDB_READ_FAILED);
    ck_assert_ptr_nonnull(strstr(rdb_collector_text(&collector.report), "cannot open"));
    rdb_collector_free(&collector);
    memory_disk_free(&memory);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        rdb_file_that_was_saved_loads_the_same,
        rdb_file_keeps_the_access_data_that_the_policy_looks_at,
        rdb_file_is_the_old_one_until_the_new_one_is_safe,
        rdb_file_with_more_behind_its_end_is_damaged_unless_that_is_asked_for,
        rdb_file_that_is_not_there_is_reported,
    };
    return unit_run(unit_suite("rdb_file", tests, UNIT_COUNT(tests)));
}
