/* An RDB file from outside: it ends in the same way however its bytes arrive, its keys go into a
 * store, and what it refuses is reported. What was stored can be written, and then reads whole.
 *
 * The first byte says in which pieces the bytes arrive; the file follows. Its checksum is set to
 * right first where it ends with the end mark, so that changes get beyond it.
 */
#include "snapshot/rdb_writer.h"

#include "base/assertion.h"
#include "base/bytes.h"
#include "base/crc64.h"
#include "base/memory.h"

#include "tests/unit/snapshot/rdb_collector.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void empty(struct store_fixture *fixture) {
    for (uint32_t i = 0; i < FIXTURE_DATABASES; i++) {
        store_flush(fixture->store, i);
    }
    while (!store_bury_step(fixture->store, 1000)) {
    }
    ASSERT(fixture->store->heap.used_bytes == 0);
}

/* How it ended, and all that was told: the collector's lines. */
static enum rdb_read_status read_file(struct rdb_collector *collector, struct span file,
                                      size_t step) {
    size_t behind;
    enum rdb_read_status status = rdb_collector_read(collector, file, step, &behind);
    ASSERT(status != RDB_READ_MORE && status != RDB_READ_STOPPED);
    ASSERT((status == RDB_READ_DONE) == (collector->report.length == 0));
    return status;
}

static int append(void *context, struct span bytes) {
    buffer_append_span(context, bytes);
    return 0;
}

struct walk {
    struct rdb_writer *writer;
    const struct store *store;
};

static void write_entry(void *element, void *context) {
    struct walk *walk = context;
    rdb_writer_entry(walk->writer, walk->store, element);
}

static struct buffer write_file(const struct store *store) {
    struct buffer file = BUFFER_EMPTY;
    struct rdb_writer_plan plan = {
        .target = {.context = &file, .write = append}, .compresses = true, .has_checksum = true};
    struct walk walk = {.writer = rdb_writer_new(&plan), .store = store};
    for (uint32_t database = 0; database < FIXTURE_DATABASES; database++) {
        rdb_writer_database(walk.writer, &(struct rdb_database){.number = database});
        for (uint32_t slot = store_next_slot(store, database, 0); slot < SLOTS;
             slot = store_next_slot(store, database, slot + 1)) {
            uint64_t position = 0;
            do {
                position = table_scan(store_table(store, database, (uint16_t)slot), position,
                                      write_entry, &walk);
            } while (position != 0);
        }
    }
    int error = rdb_writer_finish(walk.writer);
    ASSERT(error == 0);
    rdb_writer_free(walk.writer);
    return file;
}

static size_t keys_of(const struct store *store) {
    size_t keys = 0;
    for (uint32_t i = 0; i < FIXTURE_DATABASES; i++) {
        keys += store_keys(store, i);
    }
    return keys;
}

static void go_round(struct store_fixture *fixture) {
    struct buffer file = write_file(fixture->store);
    size_t keys = keys_of(fixture->store);
    empty(fixture);
    struct rdb_collector collector = {.fixture = fixture};
    ASSERT(read_file(&collector, buffer_span(&file), 1000) == RDB_READ_DONE);
    ASSERT(collector.keys == keys);
    ASSERT(keys_of(fixture->store) == keys);
    rdb_collector_free(&collector);
    buffer_free(&file);
}

static void set_checksum(char *file, size_t length) {
    if (length > 8 && (unsigned char)file[length - 9] == 0xff) {
        bytes_store_u64(file + length - 8, crc64_add(CRC64_EMPTY, span_of(file, length - 8)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    fixture.options.hash_max_listpack_entries = 8;
    fixture.options.hash_max_listpack_value = 64;
    char *copy = memory_copy(bytes + 1, length - 1);
    struct span file = span_of(copy, length - 1);
    set_checksum(copy, file.length);
    struct rdb_collector whole = {.fixture = &fixture};
    struct rdb_collector pieces = {0};
    enum rdb_read_status status = read_file(&whole, file, file.length + 1);
    ASSERT(read_file(&pieces, file, (size_t)bytes[0] + 1) == status);
    ASSERT(span_equal(buffer_span(&whole.lines), buffer_span(&pieces.lines)));
    go_round(&fixture);
    rdb_collector_free(&whole);
    rdb_collector_free(&pieces);
    memory_free(copy);
    empty(&fixture);
    store_fixture_close(&fixture);
    return 0;
}
