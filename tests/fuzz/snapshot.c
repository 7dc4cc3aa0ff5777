/* Snapshot files from outside: what the reader takes can be read to the last item, what it does not
 * take is reported, and neither reads beyond the file or takes much memory.
 *
 * The first byte of the input: bit 0 to make the checksums of header, chunks, index and end right
 * again, without which hardly a change would come past them. The others are the file. */
#include "base/bytes.h"
#include "commands/effect_codec.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_walk.h"
#include "tests/unit/snapshot/memory_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define NAME "file"

/* ---- checksums ---- */

/* A chunk that the row says is there, and its row. */
static void sign_chunk(char *file, uint64_t index_offset, char *row) {
    struct snapshot_chunk chunk;
    snapshot_chunk_row_read(row, &chunk);
    if (chunk.offset > index_offset || index_offset - chunk.offset < SNAPSHOT_CHUNK_HEADER_BYTES ||
        chunk.stored_bytes > index_offset - chunk.offset - SNAPSHOT_CHUNK_HEADER_BYTES) {
        return;
    }
    char *place = file + chunk.offset;
    snapshot_chunk_write(place, &chunk,
                         span_of(place + SNAPSHOT_CHUNK_HEADER_BYTES, (size_t)chunk.stored_bytes));
    snapshot_chunk_row_write(row, &chunk);
}

/* The chunks, when the index is there and raw, and it itself; their checksums are added to the
 * sum. */
static uint64_t sign_index(char *file, const struct snapshot_end *end, uint64_t sum) {
    struct snapshot_chunk chunk = {.offset = end->index_offset};
    char *place = file + end->index_offset;
    snapshot_chunk_read(place, &chunk);
    uint64_t left =
        end->size_bytes - SNAPSHOT_END_BYTES - SNAPSHOT_CHUNK_HEADER_BYTES - end->index_offset;
    if (chunk.stored_bytes != left) {
        return sum;
    }
    char *stored = place + SNAPSHOT_CHUNK_HEADER_BYTES;
    bool has_rows = left >= SNAPSHOT_INDEX_HEAD_BYTES && chunk.codec == SNAPSHOT_RAW;
    uint64_t rows = has_rows ? bytes_load_u64(stored) : 0;
    size_t at = SNAPSHOT_INDEX_HEAD_BYTES;
    for (uint64_t i = 0; i < rows && left - at >= SNAPSHOT_CHUNK_ROW_BYTES; i++) {
        struct snapshot_chunk in_row;
        sign_chunk(file, end->index_offset, stored + at);
        snapshot_chunk_row_read(stored + at, &in_row);
        sum = snapshot_sum(sum, in_row.checksum);
        at += SNAPSHOT_CHUNK_ROW_BYTES;
    }
    snapshot_chunk_write(place, &chunk, span_of(stored, (size_t)left));
    return snapshot_sum(sum, chunk.checksum);
}

static void sign(char *file, size_t length) {
    if (length < SNAPSHOT_HEADER_BYTES + SNAPSHOT_CHUNK_HEADER_BYTES + SNAPSHOT_END_BYTES) {
        return;
    }
    const size_t checksum_at = SNAPSHOT_HEADER_BYTES - sizeof(uint64_t);
    uint64_t header_checksum = checksum_bytes(span_of(file, checksum_at));
    bytes_store_u64(file + checksum_at, header_checksum);
    char *place = file + length - SNAPSHOT_END_BYTES;
    struct snapshot_end end = {
        .size_bytes = length,
        .index_offset = bytes_load_u64(place + 16),
        .end = bytes_load_u64(place + 24),
        .end_ms = (int64_t)bytes_load_u64(place + 32),
        .keys = bytes_load_u64(place + 40),
        .raw_bytes = bytes_load_u64(place + 48),
    };
    uint64_t index_max = length - SNAPSHOT_END_BYTES - SNAPSHOT_CHUNK_HEADER_BYTES;
    if (end.index_offset >= SNAPSHOT_HEADER_BYTES && end.index_offset <= index_max) {
        end.sum = sign_index(file, &end, header_checksum);
    }
    snapshot_end_write(place, &end, header_checksum);
}

/* ---- content ---- */

static void see_key(void *context, const struct snapshot_key *key) {
    uint64_t *keys = context;
    ASSERT(slot_of_key(entry_key(key->entry)) == key->slot);
    (*keys)++;
}

static bool see_frame(void *context, const struct snapshot_frame *frame) {
    (void)context;
    struct span content = frame->content;
    struct effect_record record;
    enum effect_read_status status;
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
    }
    return status == EFFECT_READ_END;
}

static void walk(const struct snapshot_reader *reader, struct buffer *report) {
    uint64_t keys = 0;
    struct snapshot_visitor visitor = {.context = &keys, .key = see_key, .frame = see_frame};
    buffer_clear(report);
    enum snapshot_read_status status = snapshot_walk(reader, &visitor, report);
    ASSERT((status == SNAPSHOT_READ_DONE) == (report->length == 0));
    ASSERT(status != SNAPSHOT_READ_DONE || keys == reader->end.keys);
}

static void read_chunk(const struct snapshot_reader *reader, uint32_t index, struct buffer *content,
                       struct buffer *report) {
    buffer_clear(report);
    if (snapshot_reader_chunk(reader, index, content, report) != SNAPSHOT_READ_DONE) {
        ASSERT(content->length == 0);
        ASSERT(report->length != 0);
        return;
    }
    ASSERT(content->length == reader->chunks[index].raw_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct memory_disk disk;
    memory_disk_init(&disk);
    memory_disk_name(&disk.files[0], NAME);
    buffer_append(&disk.files[0].content, bytes + 1, length - 1);
    if ((bytes[0] & 1) != 0) {
        sign(disk.files[0].content.bytes, length - 1);
    }
    struct buffer report = BUFFER_EMPTY;
    struct buffer content = BUFFER_EMPTY;
    struct snapshot_reader *reader;
    enum snapshot_read_status status = snapshot_reader_open(&disk.disk, NAME, &reader, &report);
    ASSERT((status == SNAPSHOT_READ_DONE) == (reader != NULL));
    ASSERT((status == SNAPSHOT_READ_DONE) == (report.length == 0));
    if (reader != NULL) {
        for (uint32_t i = 0; i < reader->chunks_count; i++) {
            read_chunk(reader, i, &content, &report);
        }
        for (uint32_t i = 0; i < reader->slots_count; i++) {
            const struct snapshot_slot *slot = &reader->slots[i];
            ASSERT(snapshot_reader_slot(reader, slot->slot) == slot);
            ASSERT(slot->chunk_end <= reader->chunks_count || slot->keys == 0);
        }
        walk(reader, &report);
        snapshot_reader_close(reader);
    }
    buffer_free(&content);
    buffer_free(&report);
    memory_disk_free(&disk);
    return 0;
}
