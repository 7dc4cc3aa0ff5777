#include "snapshot/snapshot_reader.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <errno.h>
#include <lz4.h>
#include <stdio.h>

/* ---- reports ---- */

/* What did not hold, and where. */
struct damage {
    uint64_t offset;
    const char *what;
    uint64_t expected;
    uint64_t found;
};

static enum snapshot_read_status damaged(const struct snapshot_reader *reader,
                                         const struct damage *damage, struct buffer *report) {
    buffer_format(report,
                  "snapshot file \"%s\": offset %llu: %s: expected %llu (0x%llx), found %llu "
                  "(0x%llx)",
                  reader->name, (unsigned long long)damage->offset, damage->what,
                  (unsigned long long)damage->expected, (unsigned long long)damage->expected,
                  (unsigned long long)damage->found, (unsigned long long)damage->found);
    return SNAPSHOT_READ_DAMAGED;
}

static enum snapshot_read_status failed(const struct snapshot_reader *reader, const char *what,
                                        int error, struct buffer *report) {
    buffer_format(report, "snapshot file \"%s\": %s: %s", reader->name, what, strerror(-error));
    return SNAPSHOT_READ_FAILED;
}

/* ---- bytes ---- */

static enum snapshot_read_status read_bytes(const struct snapshot_reader *reader, char *place,
                                            size_t length, uint64_t offset, struct buffer *report) {
    int64_t found = reader->disk.read(reader->file, place, length, offset);
    if (found < 0) {
        return failed(reader, "cannot read", (int)found, report);
    }
    if ((uint64_t)found != length) {
        struct damage damage = {offset, "bytes before the file's end", length, (uint64_t)found};
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

/* An empty buffer with room for so many bytes. False: no memory. */
static bool make_room(struct buffer *buffer, uint64_t bytes) {
    buffer_clear(buffer);
    if (bytes <= buffer->capacity) {
        return true;
    }
    buffer_free(buffer);
    buffer->bytes = bytes > SIZE_MAX ? NULL : memory_try_alloc((size_t)bytes);
    buffer->capacity = buffer->bytes == NULL ? 0 : (size_t)bytes;
    return buffer->bytes != NULL;
}

/* Reads the content as it is stored, and checks it. */
static enum snapshot_read_status read_stored(const struct snapshot_reader *reader,
                                             const struct snapshot_chunk *chunk, char *place,
                                             struct buffer *report) {
    enum snapshot_read_status status =
        read_bytes(reader, place, (size_t)chunk->stored_bytes,
                   chunk->offset + SNAPSHOT_CHUNK_HEADER_BYTES, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    uint64_t found = snapshot_chunk_checksum(chunk, span_of(place, (size_t)chunk->stored_bytes));
    if (found != chunk->checksum) {
        struct damage damage = {chunk->offset, "checksum of a chunk", chunk->checksum, found};
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

/* The content of a chunk of which the header is known. Compressed bytes are read behind the room
 * of what they become. */
static enum snapshot_read_status read_content(const struct snapshot_reader *reader,
                                              const struct snapshot_chunk *chunk,
                                              struct buffer *content, struct buffer *report) {
    bool is_raw = chunk->codec == SNAPSHOT_RAW;
    ASSERT(chunk->stored_bytes <= reader->end.size_bytes);
    ASSERT(chunk->raw_bytes <= snapshot_raw_bytes_max(chunk->codec, chunk->stored_bytes));
    if (!make_room(content, chunk->raw_bytes + (is_raw ? 0 : chunk->stored_bytes))) {
        return failed(reader, "no memory for a chunk", -ENOMEM, report);
    }
    char *stored = is_raw ? content->bytes : content->bytes + chunk->raw_bytes;
    enum snapshot_read_status status = read_stored(reader, chunk, stored, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    if (!is_raw) {
        int length = LZ4_decompress_safe(stored, content->bytes, (int)chunk->stored_bytes,
                                         (int)chunk->raw_bytes);
        if (length < 0 || (uint64_t)length != chunk->raw_bytes) {
            struct damage damage = {chunk->offset, "bytes that a chunk decompresses to",
                                    chunk->raw_bytes, length < 0 ? 0 : (uint64_t)length};
            return damaged(reader, &damage, report);
        }
    }
    buffer_commit(content, (size_t)chunk->raw_bytes);
    return SNAPSHOT_READ_DONE;
}

enum snapshot_read_status snapshot_reader_chunk(const struct snapshot_reader *reader,
                                                uint32_t index, struct buffer *content,
                                                struct buffer *report) {
    ASSERT(index < reader->chunks_count);
    const struct snapshot_chunk *chunk = &reader->chunks[index];
    char header[SNAPSHOT_CHUNK_HEADER_BYTES];
    char row[SNAPSHOT_CHUNK_ROW_BYTES];
    buffer_clear(content);
    enum snapshot_read_status status =
        read_bytes(reader, header, sizeof(header), chunk->offset, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    snapshot_chunk_row_write(row, chunk);
    for (size_t i = 0; i < sizeof(header); i += sizeof(uint64_t)) {
        uint64_t expected = bytes_load_u64(row + sizeof(uint64_t) + i);
        uint64_t found = bytes_load_u64(header + i);
        if (expected != found) {
            struct damage damage = {chunk->offset + i, "header of a chunk", expected, found};
            return damaged(reader, &damage, report);
        }
    }
    return read_content(reader, chunk, content, report);
}

/* ---- opening ---- */

/* What a header that cannot be read has first that it should not. */
static struct damage header_damage(const char *bytes, uint64_t checksum) {
    char expected[SNAPSHOT_HEADER_BYTES];
    snapshot_header_write(expected, &(struct snapshot_header){.databases = 1});
    const struct damage damages[] = {
        {0, "what a snapshot begins with", bytes_load_u64(expected), bytes_load_u64(bytes)},
        {8, "version of the format", bytes_load_u32(expected + 8), bytes_load_u32(bytes + 8)},
        {SNAPSHOT_HEADER_BYTES - 8, "checksum of the header", checksum,
         bytes_load_u64(bytes + SNAPSHOT_HEADER_BYTES - 8)},
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        if (damages[i].expected != damages[i].found) {
            return damages[i];
        }
    }
    return (struct damage){12, "databases, at most", STORE_DATABASES_MAX,
                           bytes_load_u32(bytes + 12)};
}

static enum snapshot_read_status read_header(struct snapshot_reader *reader, uint64_t *checksum,
                                             struct buffer *report) {
    char bytes[SNAPSHOT_HEADER_BYTES];
    enum snapshot_read_status status = read_bytes(reader, bytes, sizeof(bytes), 0, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    if (!snapshot_header_read(bytes, &reader->header, checksum)) {
        struct damage damage = header_damage(bytes, *checksum);
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

static enum snapshot_read_status incomplete(const struct snapshot_reader *reader, uint64_t size,
                                            struct buffer *report) {
    buffer_format(report, "snapshot file \"%s\": offset %llu: expected its end, found none",
                  reader->name, (unsigned long long)size);
    return SNAPSHOT_READ_INCOMPLETE;
}

static enum snapshot_read_status read_end(struct snapshot_reader *reader, uint64_t size,
                                          uint64_t header_checksum, struct buffer *report) {
    char bytes[SNAPSHOT_END_BYTES];
    uint64_t offset = size - SNAPSHOT_END_BYTES;
    enum snapshot_read_status status = read_bytes(reader, bytes, sizeof(bytes), offset, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    struct snapshot_end *end = &reader->end;
    if (!snapshot_end_read(bytes, end, header_checksum)) {
        return incomplete(reader, size, report);
    }
    if (end->size_bytes != size) {
        struct damage damage = {offset, "size of the file", end->size_bytes, size};
        return damaged(reader, &damage, report);
    }
    uint64_t index_max = offset - SNAPSHOT_CHUNK_HEADER_BYTES;
    if (end->index_offset < SNAPSHOT_HEADER_BYTES || end->index_offset > index_max) {
        struct damage damage = {offset, "offset of the index, at most", index_max,
                                end->index_offset};
        return damaged(reader, &damage, report);
    }
    if (end->end < reader->header.begin) {
        struct damage damage = {offset, "end position, at least", reader->header.begin, end->end};
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

/* Reads the content of the index, and its checksum. */
static enum snapshot_read_status read_index(struct snapshot_reader *reader, struct buffer *index,
                                            uint64_t *checksum, struct buffer *report) {
    struct snapshot_chunk chunk = {.offset = reader->end.index_offset};
    char header[SNAPSHOT_CHUNK_HEADER_BYTES];
    enum snapshot_read_status status =
        read_bytes(reader, header, sizeof(header), chunk.offset, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    uint64_t length =
        reader->end.size_bytes - SNAPSHOT_END_BYTES - chunk.offset - SNAPSHOT_CHUNK_HEADER_BYTES;
    if (!snapshot_chunk_read(header, &chunk) || chunk.kind != SNAPSHOT_INDEX ||
        chunk.stored_bytes != length) {
        struct damage damage = {chunk.offset, "length of the index", length, chunk.stored_bytes};
        return damaged(reader, &damage, report);
    }
    *checksum = chunk.checksum;
    return read_content(reader, &chunk, index, report);
}

/* Checks the counts of rows against the length of the index, and makes room for them. */
static enum snapshot_read_status count_rows(struct snapshot_reader *reader, struct span index,
                                            struct buffer *report) {
    uint64_t left = index.length - SNAPSHOT_INDEX_HEAD_BYTES;
    uint64_t chunks = bytes_load_u64(index.bytes);
    uint64_t slots = bytes_load_u64(index.bytes + 8);
    if (chunks >= UINT32_MAX || slots > SLOTS ||
        chunks * SNAPSHOT_CHUNK_ROW_BYTES + slots * SNAPSHOT_SLOT_ROW_BYTES != left) {
        struct damage damage = {reader->end.index_offset, "bytes of rows in the index", left,
                                chunks};
        return damaged(reader, &damage, report);
    }
    reader->chunks_count = (uint32_t)chunks;
    reader->slots_count = (uint32_t)slots;
    reader->chunks = memory_try_alloc((chunks + 1) * sizeof(*reader->chunks));
    reader->slots = memory_try_alloc((slots + 1) * sizeof(*reader->slots));
    return reader->chunks == NULL || reader->slots == NULL
               ? failed(reader, "no memory for the index", -ENOMEM, report)
               : SNAPSHOT_READ_DONE;
}

/* The chunks follow each other from the header to the index, and add up to the end's sums. */
static enum snapshot_read_status read_chunk_rows(struct snapshot_reader *reader, const char *place,
                                                 uint64_t *sum, struct buffer *report) {
    uint64_t offset = SNAPSHOT_HEADER_BYTES;
    uint64_t raw_bytes = 0;
    for (uint32_t i = 0; i < reader->chunks_count; i++, place += SNAPSHOT_CHUNK_ROW_BYTES) {
        struct snapshot_chunk *chunk = &reader->chunks[i];
        uint64_t left = reader->end.index_offset - offset;
        bool is_sound = snapshot_chunk_row_read(place, chunk) && chunk->kind != SNAPSHOT_INDEX &&
                        left >= SNAPSHOT_CHUNK_HEADER_BYTES &&
                        chunk->stored_bytes <= left - SNAPSHOT_CHUNK_HEADER_BYTES;
        if (!is_sound || chunk->offset != offset) {
            struct damage damage = {reader->end.index_offset, "offset of a sound chunk", offset,
                                    chunk->offset};
            return damaged(reader, &damage, report);
        }
        offset += SNAPSHOT_CHUNK_HEADER_BYTES + chunk->stored_bytes;
        raw_bytes += chunk->raw_bytes;
        *sum = snapshot_sum(*sum, chunk->checksum);
    }
    if (offset != reader->end.index_offset) {
        struct damage damage = {offset, "offset behind the last chunk", reader->end.index_offset,
                                offset};
        return damaged(reader, &damage, report);
    }
    if (raw_bytes != reader->end.raw_bytes) {
        struct damage damage = {offset, "raw bytes of all chunks", reader->end.raw_bytes,
                                raw_bytes};
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

/* Chunks of a slot's row exist, and the first and the last one cover it. */
static bool slot_is_sound(const struct snapshot_reader *reader, const struct snapshot_slot *slot) {
    if (slot->chunk_first == slot->chunk_end) {
        return slot->keys == 0;
    }
    if (slot->chunk_end > reader->chunks_count) {
        return false;
    }
    const struct snapshot_chunk *ends[] = {&reader->chunks[slot->chunk_first],
                                           &reader->chunks[slot->chunk_end - 1]};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->kind != SNAPSHOT_IMAGE || slot->slot < ends[i]->slot_first ||
            slot->slot > ends[i]->slot_last) {
            return false;
        }
    }
    return true;
}

static enum snapshot_read_status read_slot_rows(struct snapshot_reader *reader, const char *place,
                                                struct buffer *report) {
    uint32_t least = 0;
    uint64_t keys = 0;
    for (uint32_t i = 0; i < reader->slots_count; i++, place += SNAPSHOT_SLOT_ROW_BYTES) {
        struct snapshot_slot *slot = &reader->slots[i];
        if (!snapshot_slot_row_read(place, slot) || slot->slot < least ||
            !slot_is_sound(reader, slot)) {
            struct damage damage = {reader->end.index_offset, "a sound slot, at least", least,
                                    slot->slot};
            return damaged(reader, &damage, report);
        }
        if (slot->position < reader->header.begin || slot->position > reader->end.end) {
            struct damage damage = {reader->end.index_offset, "position of a slot, at most",
                                    reader->end.end, slot->position};
            return damaged(reader, &damage, report);
        }
        least = (uint32_t)slot->slot + 1;
        keys += slot->keys;
    }
    if (keys != reader->end.keys) {
        struct damage damage = {reader->end.index_offset, "keys of all slots", reader->end.keys,
                                keys};
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

static enum snapshot_read_status parse_index(struct snapshot_reader *reader, struct span index,
                                             uint64_t *sum, struct buffer *report) {
    if (index.length < SNAPSHOT_INDEX_HEAD_BYTES) {
        struct damage damage = {reader->end.index_offset, "bytes of the index, at least",
                                SNAPSHOT_INDEX_HEAD_BYTES, index.length};
        return damaged(reader, &damage, report);
    }
    enum snapshot_read_status status = count_rows(reader, index, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    const char *rows = index.bytes + SNAPSHOT_INDEX_HEAD_BYTES;
    status = read_chunk_rows(reader, rows, sum, report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    return read_slot_rows(reader, rows + (size_t)reader->chunks_count * SNAPSHOT_CHUNK_ROW_BYTES,
                          report);
}

static enum snapshot_read_status read_and_parse_index(struct snapshot_reader *reader,
                                                      uint64_t header_checksum,
                                                      struct buffer *report) {
    struct buffer index = BUFFER_EMPTY;
    uint64_t checksum = 0;
    uint64_t sum = header_checksum;
    enum snapshot_read_status status = read_index(reader, &index, &checksum, report);
    if (status == SNAPSHOT_READ_DONE) {
        status = parse_index(reader, buffer_span(&index), &sum, report);
    }
    buffer_free(&index);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    sum = snapshot_sum(sum, checksum);
    if (sum != reader->end.sum) {
        struct damage damage = {reader->end.size_bytes - SNAPSHOT_END_BYTES, "sum of the checksums",
                                reader->end.sum, sum};
        return damaged(reader, &damage, report);
    }
    return SNAPSHOT_READ_DONE;
}

static enum snapshot_read_status read_all(struct snapshot_reader *reader, struct buffer *report) {
    int64_t size = reader->disk.size(reader->file);
    if (size < 0) {
        return failed(reader, "cannot tell its size", (int)size, report);
    }
    if (size < SNAPSHOT_HEADER_BYTES + SNAPSHOT_CHUNK_HEADER_BYTES + SNAPSHOT_END_BYTES) {
        return incomplete(reader, (uint64_t)size, report);
    }
    uint64_t header_checksum;
    enum snapshot_read_status status = read_header(reader, &header_checksum, report);
    if (status == SNAPSHOT_READ_DONE) {
        status = read_end(reader, (uint64_t)size, header_checksum, report);
    }
    return status == SNAPSHOT_READ_DONE ? read_and_parse_index(reader, header_checksum, report)
                                        : status;
}

enum snapshot_read_status snapshot_reader_open(const struct disk *disk, const char *name,
                                               struct snapshot_reader **reader,
                                               struct buffer *report) {
    struct snapshot_reader *opened = memory_alloc_zeroed(sizeof(*opened));
    opened->disk = *disk;
    ASSERT(strlen(name) < sizeof(opened->name));
    snprintf(opened->name, sizeof(opened->name), "%s", name);
    *reader = NULL;
    int error = 0;
    opened->file = disk->open(disk->context, name, false, &error);
    enum snapshot_read_status status = opened->file == NULL
                                           ? failed(opened, "cannot open", error, report)
                                           : read_all(opened, report);
    if (status != SNAPSHOT_READ_DONE) {
        snapshot_reader_close(opened);
        return status;
    }
    *reader = opened;
    return SNAPSHOT_READ_DONE;
}

void snapshot_reader_close(struct snapshot_reader *reader) {
    if (reader->file != NULL) {
        reader->disk.close(reader->file);
    }
    memory_free(reader->chunks);
    memory_free(reader->slots);
    memory_free(reader);
}

const struct snapshot_slot *snapshot_reader_slot(const struct snapshot_reader *reader,
                                                 uint16_t slot) {
    uint32_t first = 0;
    uint32_t end = reader->slots_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (reader->slots[middle].slot == slot) {
            return &reader->slots[middle];
        }
        if (reader->slots[middle].slot < slot) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return NULL;
}
