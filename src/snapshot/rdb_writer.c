#include "snapshot/rdb_writer.h"

#include "base/bytes.h"
#include "base/crc64.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "snapshot/rdb_format.h"
#include "store/value_codec.h"

struct rdb_writer {
    struct rdb_writer_plan plan;
    struct buffer piece;   /* what is not given to the target yet */
    struct buffer payload; /* of one value */
    uint64_t crc;
    int error;
};

static void begin_file(struct rdb_writer *writer) {
    _Static_assert(RDB_WRITER_VERSION >= 10 && RDB_WRITER_VERSION <= 99, "two digits follow 00");
    buffer_format(&writer->piece, "%s00%d", RDB_MAGIC, RDB_WRITER_VERSION);
    ASSERT(writer->piece.length == RDB_HEADER_BYTES);
}

struct rdb_writer *rdb_writer_new(const struct rdb_writer_plan *plan) {
    struct rdb_writer *writer = memory_alloc(sizeof(*writer));
    *writer = (struct rdb_writer){
        .plan = *plan, .piece = BUFFER_EMPTY, .payload = BUFFER_EMPTY, .crc = CRC64_EMPTY};
    begin_file(writer);
    return writer;
}

void rdb_writer_free(struct rdb_writer *writer) {
    buffer_free(&writer->piece);
    buffer_free(&writer->payload);
    memory_free(writer);
}

/* ---- to the target ---- */

static void flush(struct rdb_writer *writer) {
    struct span bytes = buffer_span(&writer->piece);
    if (writer->error == 0 && bytes.length != 0) {
        if (writer->plan.has_checksum) {
            writer->crc = crc64_add(writer->crc, bytes);
        }
        writer->error = writer->plan.target.write(writer->plan.target.context, bytes);
    }
    buffer_clear(&writer->piece);
}

static void flush_if_full(struct rdb_writer *writer) {
    if (writer->piece.length >= RDB_WRITER_PIECE_BYTES) {
        flush(writer);
    }
}

/* A large run goes as it is, without a copy. */
static void put(struct rdb_writer *writer, struct span bytes) {
    if (bytes.length < RDB_WRITER_PIECE_BYTES) {
        buffer_append_span(&writer->piece, bytes);
        flush_if_full(writer);
        return;
    }
    flush(writer);
    struct buffer piece = writer->piece;
    writer->piece = (struct buffer){.bytes = (char *)bytes.bytes, .length = bytes.length};
    flush(writer);
    writer->piece = piece;
}

static void put_opcode(struct rdb_writer *writer, enum rdb_opcode opcode) {
    buffer_append_byte(&writer->piece, (char)opcode);
}

/* ---- items ---- */

void rdb_writer_field(struct rdb_writer *writer, const char *name, struct span value) {
    put_opcode(writer, RDB_OPCODE_FIELD);
    rdb_string_append(&writer->piece, span_of_string(name), false);
    rdb_string_append(&writer->piece, value, false);
    flush_if_full(writer);
}

static void put_number_field(struct rdb_writer *writer, const char *name, int64_t number) {
    char text[NUMBER_TEXT_BYTES_MAX];
    rdb_writer_field(writer, name, span_of(text, number_format(text, number)));
}

void rdb_writer_head(struct rdb_writer *writer, const struct rdb_head *head) {
    rdb_writer_field(writer, "redis-ver", span_of_string(head->redis_version));
    put_number_field(writer, "redis-bits", (int64_t)sizeof(void *) * 8);
    put_number_field(writer, "ctime", head->time_ms / 1000);
    put_number_field(writer, "used-mem", (int64_t)head->used_memory);
    put_number_field(writer, "aof-base", head->is_aof_base);
}

void rdb_writer_database(struct rdb_writer *writer, const struct rdb_database *database) {
    put_opcode(writer, RDB_OPCODE_DATABASE);
    rdb_length_append(&writer->piece, database->number);
    put_opcode(writer, RDB_OPCODE_SIZES);
    rdb_length_append(&writer->piece, database->keys);
    rdb_length_append(&writer->piece, database->volatile_keys);
}

static void put_expiry(struct rdb_writer *writer, const struct entry *entry) {
    int64_t expiry_ms = entry_expiry(entry);
    if (expiry_ms == ENTRY_NO_EXPIRY) {
        return;
    }
    put_opcode(writer, RDB_OPCODE_EXPIRY_MS);
    bytes_store_u64(buffer_reserve(&writer->piece, sizeof(uint64_t)), (uint64_t)expiry_ms);
    buffer_commit(&writer->piece, sizeof(uint64_t));
}

static void put_access(struct rdb_writer *writer, const struct store *store,
                       const struct entry *entry) {
    enum maxmemory_policy policy = store->options->maxmemory_policy;
    if (maxmemory_policy_is_lru(policy)) {
        put_opcode(writer, RDB_OPCODE_IDLE);
        rdb_length_append(&writer->piece, store_idle_seconds(store, entry));
    } else if (maxmemory_policy_is_lfu(policy)) {
        put_opcode(writer, RDB_OPCODE_FREQUENCY);
        buffer_append_byte(&writer->piece, (char)store_frequency(store, entry));
    }
}

/* The payload is type and body; in a file the key stands between them. */
void rdb_writer_entry(struct rdb_writer *writer, const struct store *store,
                      const struct entry *entry) {
    put_expiry(writer, entry);
    put_access(writer, store, entry);
    value_encode(entry, writer->plan.compresses, &writer->payload);
    struct span payload = buffer_span(&writer->payload);
    buffer_append_byte(&writer->piece, payload.bytes[0]);
    rdb_string_append(&writer->piece, entry_key(entry), writer->plan.compresses);
    put(writer, span_of(payload.bytes + 1, payload.length - 1));
    buffer_clear(&writer->payload);
    if (writer->payload.capacity > RDB_WRITER_PIECE_BYTES) {
        buffer_free(&writer->payload);
        writer->payload = BUFFER_EMPTY;
    }
}

int rdb_writer_finish(struct rdb_writer *writer) {
    put_opcode(writer, RDB_OPCODE_END);
    flush(writer);
    uint64_t crc = writer->plan.has_checksum ? writer->crc : 0;
    /* No part of what it is the checksum of. */
    char checksum[RDB_CHECKSUM_BYTES];
    bytes_store_u64(checksum, crc);
    buffer_append(&writer->piece, checksum, sizeof(checksum));
    flush(writer);
    return writer->error;
}
