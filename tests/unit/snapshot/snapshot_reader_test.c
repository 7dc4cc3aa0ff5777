/* Files that no writer makes, under right checksums. */
#include "base/bytes.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"
#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/unit.h"

#define NAME "file"
#define BEGIN 1000
#define END 5000
#define CHUNKS 3
#define SLOT_ROWS 3

/* A right file of three chunks, of which a test changes some numbers. */
struct forgery {
    struct memory_disk disk;
    struct buffer report;
    uint64_t index_offset; /* where the chunks end */
    size_t places[CHUNKS]; /* where their headers are */
    struct snapshot_header header;
    struct snapshot_chunk chunks[CHUNKS];
    struct snapshot_slot slots[SLOT_ROWS];
    uint64_t chunk_rows; /* what the index says */
    uint64_t slot_rows;
    struct snapshot_end end;
    int64_t size_added; /* to the true size, in the end; likewise the next */
    int64_t sum_added;
};

static const char repeated[] =
    "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc";

static void write_file(struct forgery *forgery) {
    struct snapshot_writer_plan plan = {
        .disk = forgery->disk.disk,
        .name = "temporary",
        .header = {.history = {.epoch = 7}, .begin = BEGIN, .databases = 16},
        .is_compressed = true,
        .report = &forgery->report,
    };
    int error;
    struct snapshot_writer *writer = snapshot_writer_new(&plan, &error);
    struct snapshot_content content = {
        .kind = SNAPSHOT_IMAGE, .slot_first = 3, .slot_last = 5, .raw = span_of_string(repeated)};
    snapshot_writer_add(writer, &content);
    content.slot_first = 5;
    content.slot_last = 9;
    content.raw = span_of_string("second");
    snapshot_writer_add(writer, &content);
    content = (struct snapshot_content){.kind = SNAPSHOT_TAIL, .raw = span_of_string("tail")};
    snapshot_writer_add(writer, &content);
    snapshot_writer_slot(writer, 3, BEGIN, 10);
    snapshot_writer_slot(writer, 5, END, 20);
    snapshot_writer_slot(writer, 9, 2000, 30);
    struct snapshot_finish finish = {.name = NAME, .end = END};
    ck_assert_int_eq(snapshot_writer_finish(writer, &finish), 0);
}

static void forgery_open(struct forgery *forgery) {
    *forgery = (struct forgery){.report = BUFFER_EMPTY};
    memory_disk_init(&forgery->disk);
    write_file(forgery);
    struct snapshot_reader *reader;
    ck_assert_int_eq(snapshot_reader_open(&forgery->disk.disk, NAME, &reader, &forgery->report),
                     SNAPSHOT_READ_DONE);
    ck_assert_uint_eq(reader->chunks_count, CHUNKS);
    ck_assert_uint_eq(reader->slots_count, SLOT_ROWS);
    forgery->header = reader->header;
    forgery->end = reader->end;
    forgery->index_offset = reader->end.index_offset;
    memcpy(forgery->chunks, reader->chunks, sizeof(forgery->chunks));
    memcpy(forgery->slots, reader->slots, sizeof(forgery->slots));
    forgery->chunk_rows = CHUNKS;
    forgery->slot_rows = SLOT_ROWS;
    for (size_t i = 0; i < CHUNKS; i++) {
        forgery->places[i] = (size_t)forgery->chunks[i].offset;
    }
    snapshot_reader_close(reader);
}

static void forgery_close(struct forgery *forgery) {
    memory_disk_free(&forgery->disk);
    buffer_free(&forgery->report);
}

/* The headers of chunks that are as long as before. */
static void forge_chunks(struct forgery *forgery, char *file) {
    for (size_t i = 0; i < CHUNKS; i++) {
        struct snapshot_chunk *chunk = &forgery->chunks[i];
        size_t behind = i + 1 < CHUNKS ? forgery->places[i + 1] : (size_t)forgery->index_offset;
        char *stored = file + forgery->places[i] + SNAPSHOT_CHUNK_HEADER_BYTES;
        size_t length = behind - forgery->places[i] - SNAPSHOT_CHUNK_HEADER_BYTES;
        if (chunk->stored_bytes == length) {
            snapshot_chunk_write(file + forgery->places[i], chunk, span_of(stored, length));
        }
    }
}

static void forge_index(const struct forgery *forgery, struct buffer *index) {
    char bytes[SNAPSHOT_CHUNK_ROW_BYTES];
    bytes_store_u64(bytes, forgery->chunk_rows);
    bytes_store_u64(bytes + 8, forgery->slot_rows);
    buffer_append(index, bytes, SNAPSHOT_INDEX_HEAD_BYTES);
    for (size_t i = 0; i < CHUNKS; i++) {
        snapshot_chunk_row_write(bytes, &forgery->chunks[i]);
        buffer_append(index, bytes, SNAPSHOT_CHUNK_ROW_BYTES);
    }
    for (size_t i = 0; i < SLOT_ROWS; i++) {
        snapshot_slot_row_write(bytes, &forgery->slots[i]);
        buffer_append(index, bytes, SNAPSHOT_SLOT_ROW_BYTES);
    }
}

/* Puts an index and an end behind the chunks, all checksums as they should be. */
static void forge_rest(struct forgery *forgery, struct span index) {
    struct buffer *file = memory_disk_content(&forgery->disk, NAME);
    file->length = (size_t)forgery->index_offset;
    uint64_t header_checksum = snapshot_header_write(file->bytes, &forgery->header);
    struct snapshot_chunk chunk = {.offset = forgery->index_offset,
                                   .kind = SNAPSHOT_INDEX,
                                   .raw_bytes = index.length,
                                   .stored_bytes = index.length};
    char bytes[SNAPSHOT_END_BYTES];
    snapshot_chunk_write(bytes, &chunk, index);
    buffer_append(file, bytes, SNAPSHOT_CHUNK_HEADER_BYTES);
    buffer_append_span(file, index);
    struct snapshot_end end = forgery->end;
    end.size_bytes = file->length + SNAPSHOT_END_BYTES + (uint64_t)forgery->size_added;
    end.sum = header_checksum;
    for (size_t i = 0; i < CHUNKS; i++) {
        end.sum = snapshot_sum(end.sum, forgery->chunks[i].checksum);
    }
    end.sum = snapshot_sum(end.sum, chunk.checksum) + (uint64_t)forgery->sum_added;
    snapshot_end_write(bytes, &end, header_checksum);
    buffer_append(file, bytes, SNAPSHOT_END_BYTES);
}

static enum snapshot_read_status open_forged(struct forgery *forgery,
                                             struct snapshot_reader **reader) {
    struct buffer *file = memory_disk_content(&forgery->disk, NAME);
    forge_chunks(forgery, file->bytes);
    struct buffer index = BUFFER_EMPTY;
    forge_index(forgery, &index);
    forge_rest(forgery, buffer_span(&index));
    buffer_free(&index);
    return snapshot_reader_open(&forgery->disk.disk, NAME, reader, &forgery->report);
}

static void assert_refused(struct forgery *forgery) {
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_forged(forgery, &reader), SNAPSHOT_READ_DAMAGED);
    ck_assert_ptr_null(reader);
    ck_assert_uint_ne(forgery->report.length, 0);
    forgery_close(forgery);
}

START_TEST(a_forgery_that_changes_nothing_is_taken) {
    struct forgery forgery;
    forgery_open(&forgery);
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_forged(&forgery, &reader), SNAPSHOT_READ_DONE);
    snapshot_reader_close(reader);
    forgery_close(&forgery);
}
END_TEST

START_TEST(a_header_without_a_possible_number_of_databases_is_refused) {
    static const uint32_t databases[] = {0, STORE_DATABASES_MAX + 1};
    for (size_t i = 0; i < UNIT_COUNT(databases); i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        forgery.header.databases = databases[i];
        assert_refused(&forgery);
    }
}
END_TEST

START_TEST(an_end_of_other_sums_is_refused) {
    for (int i = 0; i < 5; i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        forgery.size_added = i == 0;
        forgery.end.index_offset += i == 1;
        forgery.end.keys += i == 2;
        forgery.end.raw_bytes += i == 3;
        forgery.sum_added = i == 4;
        assert_refused(&forgery);
    }
}
END_TEST

START_TEST(an_index_beyond_the_file_is_refused) {
    static const uint64_t offsets[] = {0, SNAPSHOT_HEADER_BYTES - 1, UINT64_MAX,
                                       UINT64_MAX - SNAPSHOT_CHUNK_HEADER_BYTES};
    for (size_t i = 0; i < UNIT_COUNT(offsets); i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        forgery.end.index_offset = offsets[i];
        assert_refused(&forgery);
    }
}
END_TEST

START_TEST(an_end_before_the_begin_is_refused) {
    struct forgery forgery;
    forgery_open(&forgery);
    forgery.end.end = BEGIN - 1;
    assert_refused(&forgery);
}
END_TEST

START_TEST(counts_of_rows_that_the_index_does_not_hold_are_refused) {
    static const uint64_t added[] = {1, UINT64_MAX, UINT32_MAX, UINT64_C(1) << 61};
    for (size_t i = 0; i < 2 * UNIT_COUNT(added); i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        *(i % 2 == 0 ? &forgery.chunk_rows : &forgery.slot_rows) += added[i / 2];
        assert_refused(&forgery);
    }
}
END_TEST

START_TEST(an_index_of_any_other_length_is_refused) {
    struct forgery forgery;
    forgery_open(&forgery);
    struct buffer index = BUFFER_EMPTY;
    forge_index(&forgery, &index);
    buffer_append_byte(&index, 0);
    for (size_t length = 0; length <= index.length; length++) {
        struct snapshot_reader *reader;
        forge_rest(&forgery, span_of(index.bytes, length));
        ck_assert_int_eq(snapshot_reader_open(&forgery.disk.disk, NAME, &reader, &forgery.report),
                         length == index.length - 1 ? SNAPSHOT_READ_DONE : SNAPSHOT_READ_DAMAGED);
        if (reader != NULL) {
            snapshot_reader_close(reader);
        }
    }
    buffer_free(&index);
    forgery_close(&forgery);
}
END_TEST

START_TEST(a_chunk_row_that_does_not_fit_is_refused) {
    for (int i = 0; i < 12; i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        struct snapshot_chunk *second = &forgery.chunks[1];
        second->offset += i == 0;
        second->offset -= i == 1;
        second->stored_bytes += i == 2 || i == 3;
        second->raw_bytes += i == 3 || i == 4;
        second->stored_bytes = i == 5 ? UINT64_MAX : second->stored_bytes;
        second->raw_bytes = i == 5 ? UINT64_MAX : second->raw_bytes;
        second->kind = i == 6 ? SNAPSHOT_INDEX : second->kind;
        forgery.chunks[2].kind = i == 7 ? 0 : forgery.chunks[2].kind;
        second->codec = i == 8 ? SNAPSHOT_CODECS : second->codec;
        second->slot_last = i == 9 ? SLOTS : second->slot_last;
        second->slot_first = i == 10 ? 10 : second->slot_first;
        forgery.chunks[2].slot_last = i == 11;
        assert_refused(&forgery);
    }
}
END_TEST

START_TEST(a_slot_row_that_does_not_fit_is_refused) {
    for (int i = 0; i < 9; i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        struct snapshot_slot *second = &forgery.slots[1];
        second->position = i == 0 ? BEGIN - 1 : i == 1 ? END + 1 : second->position;
        second->slot = i == 2 ? 3 : i == 3 ? SLOTS : second->slot;
        second->chunk_end = i == 4 ? CHUNKS : i == 5 ? UINT32_MAX : second->chunk_end;
        second->chunk_first = i == 6 ? 2 : i == 7 ? UINT32_MAX : second->chunk_first;
        forgery.slots[0].slot = i == 8 ? 2 : forgery.slots[0].slot;
        assert_refused(&forgery);
    }
}
END_TEST

START_TEST(a_slot_twice_is_refused) {
    struct forgery forgery;
    forgery_open(&forgery);
    forgery.slots[0] = forgery.slots[1];
    forgery.end.keys += forgery.slots[1].keys - 10;
    assert_refused(&forgery);
}
END_TEST

START_TEST(keys_in_no_chunk_are_refused) {
    struct forgery forgery;
    forgery_open(&forgery);
    forgery.slots[1].chunk_end = forgery.slots[1].chunk_first;
    assert_refused(&forgery);
}
END_TEST

/* Opening reads no content: these are seen when the chunk is read. */
START_TEST(content_of_another_length_than_its_header_says_is_refused) {
    static const int64_t added[] = {-1, 1, 100};
    for (size_t i = 0; i < UNIT_COUNT(added); i++) {
        struct forgery forgery;
        forgery_open(&forgery);
        ck_assert_int_eq(forgery.chunks[0].codec, SNAPSHOT_LZ4);
        forgery.chunks[0].raw_bytes += (uint64_t)added[i];
        forgery.end.raw_bytes += (uint64_t)added[i];
        struct snapshot_reader *reader;
        ck_assert_int_eq(open_forged(&forgery, &reader), SNAPSHOT_READ_DONE);
        struct buffer content = BUFFER_EMPTY;
        ck_assert_int_eq(snapshot_reader_chunk(reader, 0, &content, &forgery.report),
                         SNAPSHOT_READ_DAMAGED);
        ck_assert_uint_eq(content.length, 0);
        buffer_free(&content);
        snapshot_reader_close(reader);
        forgery_close(&forgery);
    }
}
END_TEST

START_TEST(a_header_that_is_not_what_the_index_says_is_refused) {
    struct forgery forgery;
    forgery_open(&forgery);
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_forged(&forgery, &reader), SNAPSHOT_READ_DONE);
    struct snapshot_chunk other = forgery.chunks[1];
    other.slot_last++;
    char *place = memory_disk_content(&forgery.disk, NAME)->bytes + forgery.places[1];
    snapshot_chunk_write(place, &other, span_of_string("second"));
    struct buffer content = BUFFER_EMPTY;
    ck_assert_int_eq(snapshot_reader_chunk(reader, 1, &content, &forgery.report),
                     SNAPSHOT_READ_DAMAGED);
    buffer_free(&content);
    snapshot_reader_close(reader);
    forgery_close(&forgery);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_forgery_that_changes_nothing_is_taken,
        a_header_without_a_possible_number_of_databases_is_refused,
        an_end_of_other_sums_is_refused,
        an_index_beyond_the_file_is_refused,
        an_end_before_the_begin_is_refused,
        counts_of_rows_that_the_index_does_not_hold_are_refused,
        an_index_of_any_other_length_is_refused,
        a_chunk_row_that_does_not_fit_is_refused,
        a_slot_row_that_does_not_fit_is_refused,
        a_slot_twice_is_refused,
        keys_in_no_chunk_are_refused,
        content_of_another_length_than_its_header_says_is_refused,
        a_header_that_is_not_what_the_index_says_is_refused,
    };
    return unit_run(unit_suite("snapshot_reader", tests, UNIT_COUNT(tests)));
}
