/* Snapshot files from outside: what the reader takes can be read to the last item, what it does not
 * take is reported, and neither reads beyond the file or takes much memory.
 *
 * The first byte of the input: bit 0 to make the checksums of header, index and end right again,
 * without which hardly a change would come past them. The others are the file. */
#include "base/bytes.h"
#include "commands/effect_codec.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_section.h"
#include "tests/unit/snapshot/memory_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define NAME "file"

/* ---- checksums ---- */

/* The index, when it is there and raw, signed; its rows added to the sum. */
static uint64_t sign_index(char *file, const struct snapshot_end *end, uint64_t sum) {
    struct snapshot_chunk chunk = {.offset = end->index_offset};
    char *place = file + end->index_offset;
    snapshot_chunk_read(place, &chunk);
    uint64_t left =
        end->size_bytes - SNAPSHOT_END_BYTES - SNAPSHOT_CHUNK_HEADER_BYTES - end->index_offset;
    if (chunk.stored_bytes != left) {
        return sum;
    }
    struct span stored = span_of(place + SNAPSHOT_CHUNK_HEADER_BYTES, (size_t)left);
    snapshot_chunk_write(place, &chunk, stored);
    uint64_t rows = left < SNAPSHOT_INDEX_HEAD_BYTES ? 0 : bytes_load_u64(stored.bytes);
    const char *row = stored.bytes + SNAPSHOT_INDEX_HEAD_BYTES;
    for (uint64_t i = 0;
         i < rows && (size_t)(stored.bytes + left - row) >= SNAPSHOT_CHUNK_ROW_BYTES; i++) {
        struct snapshot_chunk in_row;
        snapshot_chunk_row_read(row, &in_row);
        sum = snapshot_sum(sum, in_row.checksum);
        row += SNAPSHOT_CHUNK_ROW_BYTES;
    }
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

static void read_tail(struct span content) {
    struct snapshot_frame frame;
    while (snapshot_frame_read(&content, &frame) == SNAPSHOT_SECTION_DONE) {
        struct effect_record record;
        while (effect_read(&frame.content, &record) == EFFECT_READ_DONE) {
        }
    }
}

static void read_node(struct span content) {
    struct buffer copy = BUFFER_EMPTY;
    struct snapshot_pair pair;
    while (snapshot_pair_read(&content, &pair) == SNAPSHOT_SECTION_DONE) {
        buffer_append_span(&copy, pair.name);
        buffer_append_span(&copy, pair.value);
    }
    buffer_free(&copy);
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
    if (reader->chunks[index].kind == SNAPSHOT_TAIL) {
        read_tail(buffer_span(content));
    } else if (reader->chunks[index].kind == SNAPSHOT_NODE) {
        read_node(buffer_span(content));
    }
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
        snapshot_reader_close(reader);
    }
    buffer_free(&content);
    buffer_free(&report);
    memory_disk_free(&disk);
    return 0;
}
