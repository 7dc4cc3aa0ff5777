/* An observer of RDB files that writes down all it is told, a line each; and keys into a store. */
#ifndef TARN_TESTS_UNIT_SNAPSHOT_RDB_COLLECTOR_H
#define TARN_TESTS_UNIT_SNAPSHOT_RDB_COLLECTOR_H

#include "snapshot/rdb_reader.h"

#include "base/memory.h"

#include "tests/unit/store/store_fixture.h"

struct rdb_collector {
    struct buffer lines;
    struct buffer report;
    struct store_fixture *fixture; /* keys of database 0 go there, or NULL */
    size_t keys;
    size_t keys_max; /* then the collector stops; 0: never */
};

static inline bool rdb_collector_key(void *context, const struct rdb_key *key) {
    struct rdb_collector *collector = context;
    buffer_format(&collector->lines, "%u ", key->database);
    buffer_append_span(&collector->lines, key->key);
    buffer_format(&collector->lines,
                  ": type %d, %zu bytes, expiry %lld, idle %lld, frequency %lld\n",
                  key->payload.bytes[0], key->payload.length, (long long)key->expiry_ms,
                  (long long)key->idle_seconds, (long long)key->frequency);
    struct value_content content;
    if (collector->fixture != NULL && key->database < FIXTURE_DATABASES &&
        value_decode(collector->fixture->store, key->payload, &content) == VALUE_DECODED) {
        struct place place = store_fixture_place(collector->fixture, key->database, key->key);
        value_content_put(&place, &(struct value_content_put){.content = &content,
                                                              .expiry_ms = key->expiry_ms,
                                                              .access = VALUE_ACCESS_NEW});
    }
    collector->keys++;
    return collector->keys != collector->keys_max;
}

static inline void rdb_collector_field(void *context, struct span name, struct span value) {
    struct rdb_collector *collector = context;
    buffer_append_span(&collector->lines, name);
    buffer_append_string(&collector->lines, " = ");
    buffer_append_span(&collector->lines, value);
    buffer_append_byte(&collector->lines, '\n');
}

static inline void rdb_collector_sizes(void *context, uint32_t database, uint64_t keys,
                                       uint64_t volatile_keys) {
    struct rdb_collector *collector = context;
    buffer_format(&collector->lines, "%u has %llu keys, %llu expire\n", database,
                  (unsigned long long)keys, (unsigned long long)volatile_keys);
}

static inline void rdb_collector_functions(void *context, struct span code) {
    struct rdb_collector *collector = context;
    buffer_append_string(&collector->lines, "functions ");
    buffer_append_span(&collector->lines, code);
    buffer_append_byte(&collector->lines, '\n');
}

static inline struct rdb_observer rdb_collector_observer(struct rdb_collector *collector) {
    return (struct rdb_observer){
        .context = collector,
        .key = rdb_collector_key,
        .field = rdb_collector_field,
        .sizes = rdb_collector_sizes,
        .functions = rdb_collector_functions,
    };
}

static inline const char *rdb_collector_text(struct buffer *buffer) {
    *buffer_reserve(buffer, 1) = '\0';
    return buffer->bytes;
}

static inline void rdb_collector_clear(struct rdb_collector *collector) {
    buffer_clear(&collector->lines);
    buffer_clear(&collector->report);
    collector->keys = 0;
}

static inline void rdb_collector_free(struct rdb_collector *collector) {
    buffer_free(&collector->lines);
    buffer_free(&collector->report);
}

/* Reads the bytes, `step` at a time, each piece in memory of its exact size; answers how it ended,
 * and in *behind the bytes that were not taken. */
static inline enum rdb_read_status rdb_collector_read(struct rdb_collector *collector,
                                                      struct span bytes, size_t step,
                                                      size_t *behind) {
    struct rdb_observer observer = rdb_collector_observer(collector);
    struct rdb_reader *reader = rdb_reader_new("test.rdb", &observer, &collector->report);
    enum rdb_read_status status = RDB_READ_MORE;
    while (status == RDB_READ_MORE && bytes.length != 0) {
        size_t length = bytes.length < step ? bytes.length : step;
        char *copy = memory_copy(bytes.bytes, length);
        struct span piece = span_of(copy, length);
        status = rdb_reader_feed(reader, &piece);
        size_t taken = length - piece.length;
        bytes = span_of(bytes.bytes + taken, bytes.length - taken);
        memory_free(copy);
    }
    if (status == RDB_READ_MORE) {
        status = rdb_reader_end(reader);
    }
    *behind = bytes.length;
    rdb_reader_free(reader);
    return status;
}

#endif
