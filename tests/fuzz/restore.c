/* A payload of RESTORE from outside: what value_decode() takes can be stored, written and read
 * again, and is the same value then; what it refuses leaves nothing behind.
 *
 * The first byte is hash-max-listpack-entries; the payload follows, without a footer.
 */
#include "store/value_codec.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "store/hash_value.h"

#include "tests/unit/store/store_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define VALUE_BYTES_MAX 64

static enum value_decode_status restore(struct store_fixture *fixture, const char *key,
                                        struct span payload) {
    struct value_content content;
    enum value_decode_status status = value_decode(fixture->store, payload, &content);
    ASSERT((status == VALUE_DECODED) == (content.kind != ENTRY_KINDS));
    if (status == VALUE_DECODED) {
        struct place place = store_fixture_place(fixture, 0, span_of_string(key));
        value_content_put(&place, &(struct value_content_put){.content = &content,
                                                              .expiry_ms = ENTRY_NO_EXPIRY,
                                                              .access = VALUE_ACCESS_NEW});
    }
    return status;
}

struct comparison {
    const struct store *store;
    const struct entry *other;
};

static void compare_field(struct span field, struct span value, void *context) {
    const struct comparison *comparison = context;
    char scratch[HASH_SCRATCH_BYTES];
    struct span found;
    bool is_there = hash_value_get(comparison->store, comparison->other, field, scratch, &found);
    ASSERT(is_there);
    ASSERT(span_equal(found, value));
}

static void compare(const struct store *store, const struct entry *entry,
                    const struct entry *other) {
    ASSERT(value_type_of(entry) == value_type_of(other));
    if (value_type_of(entry) == VALUE_STRING) {
        char scratches[2][NUMBER_TEXT_BYTES_MAX];
        ASSERT(span_equal(value_string(entry, scratches[0]), value_string(other, scratches[1])));
        return;
    }
    struct comparison comparison = {.store = store, .other = other};
    ASSERT(hash_value_length(entry) == hash_value_length(other));
    ASSERT(hash_value_length(entry) != 0);
    hash_value_each(entry, compare_field, &comparison);
}

/* Writes the value and reads it back, compressed and not. */
static void go_round(struct store_fixture *fixture) {
    for (int compresses = 0; compresses < 2; compresses++) {
        const struct entry *entry = store_fixture_entry(fixture, 0, "key");
        size_t bytes_max = value_encoded_bytes_max(entry);
        struct buffer payload = BUFFER_EMPTY;
        char *room = buffer_reserve(&payload, bytes_max);
        value_encode(entry, compresses == 1, &payload);
        /* Where a fixed room is given it is enough. */
        ASSERT(payload.bytes == room && payload.length <= bytes_max);
        enum value_decode_status status = restore(fixture, "copy", buffer_span(&payload));
        ASSERT(status == VALUE_DECODED);
        compare(fixture->store, store_fixture_entry(fixture, 0, "key"),
                store_fixture_entry(fixture, 0, "copy"));
        buffer_free(&payload);
    }
}

/* A value that was taken ends where the bytes end, however they arrive. */
static void find_extent(struct span payload) {
    struct value_extent extent;
    struct span body = span_of(payload.bytes + 1, payload.length - 1);
    value_extent_begin(&extent, (uint8_t)payload.bytes[0]);
    for (size_t there = 0;; there = extent.needed) {
        ASSERT(there <= body.length);
        enum rdb_status status = value_extent_find(&extent, span_of(body.bytes, there));
        ASSERT(status == RDB_DONE || status == RDB_INCOMPLETE);
        if (status == RDB_DONE) {
            ASSERT(extent.length == body.length);
            return;
        }
        ASSERT(extent.needed > there);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct store_fixture fixture;
    store_fixture_open(&fixture);
    fixture.options.hash_max_listpack_entries = bytes[0];
    fixture.options.hash_max_listpack_value = VALUE_BYTES_MAX;
    char *copy = memory_copy(bytes + 1, length - 1);
    struct span payload = span_of(copy, length - 1);
    if (restore(&fixture, "key", payload) == VALUE_DECODED) {
        find_extent(payload);
        go_round(&fixture);
    }
    memory_free(copy);
    store_flush(fixture.store, 0);
    while (!store_bury_step(fixture.store, 1000)) {
    }
    ASSERT(fixture.store->heap.used_bytes == 0);
    store_fixture_close(&fixture);
    return 0;
}
