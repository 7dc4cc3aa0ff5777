#include "base/random.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"
#include "tests/unit/snapshot/memory_disk.h"
#include "tests/unit/unit.h"

#define TEMPORARY "temporary"
#define FINAL "final"
#define BEGIN 1000
#define END 5000

struct fixture {
    struct memory_disk disk;
    struct buffer report;
    struct snapshot_writer *writer;
};

static struct snapshot_writer *writer_new(struct fixture *fixture, int *error) {
    struct snapshot_writer_plan plan = {
        .disk = fixture->disk.disk,
        .name = TEMPORARY,
        .header = {.history = {.epoch = 7},
                   .begin = BEGIN,
                   .begin_ms = 1700000000000,
                   .databases = 16},
        .is_compressed = true,
        .report = &fixture->report,
    };
    memset(plan.header.history.id, 'h', sizeof(plan.header.history.id));
    memset(plan.header.node_id, 'n', sizeof(plan.header.node_id));
    return snapshot_writer_new(&plan, error);
}

static void fixture_open(struct fixture *fixture) {
    *fixture = (struct fixture){.report = BUFFER_EMPTY};
    memory_disk_init(&fixture->disk);
    int error;
    fixture->writer = writer_new(fixture, &error);
    ck_assert_ptr_nonnull(fixture->writer);
}

static void fixture_close(struct fixture *fixture) {
    memory_disk_free(&fixture->disk);
    buffer_free(&fixture->report);
}

static int add_image(struct snapshot_writer *writer, uint16_t first, uint16_t last,
                     struct span raw) {
    return snapshot_writer_add(
        writer, &(struct snapshot_content){
                    .kind = SNAPSHOT_IMAGE, .slot_first = first, .slot_last = last, .raw = raw});
}

static int add_other(struct snapshot_writer *writer, enum snapshot_kind kind, const char *raw) {
    return snapshot_writer_add(
        writer, &(struct snapshot_content){.kind = kind, .raw = span_of_string(raw)});
}

static int finish(struct fixture *fixture) {
    return snapshot_writer_finish(
        fixture->writer,
        &(struct snapshot_finish){.name = FINAL, .end = END, .end_ms = 1700000001000});
}

static const char repeated[] =
    "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc";

/* A file with a chunk of every kind, one of them compressed. */
static int write_small(struct fixture *fixture) {
    add_image(fixture->writer, 3, 5, span_of_string(repeated));
    add_image(fixture->writer, 5, 9, span_of_string("second"));
    add_other(fixture->writer, SNAPSHOT_TAIL, "tail");
    add_other(fixture->writer, SNAPSHOT_NODE, "node");
    snapshot_writer_slot(fixture->writer, 3, BEGIN, 10);
    snapshot_writer_slot(fixture->writer, 5, END, 20);
    snapshot_writer_slot(fixture->writer, 9, 2000, 30);
    snapshot_writer_slot(fixture->writer, 100, 3000, 0);
    return finish(fixture);
}

static enum snapshot_read_status open_file(struct fixture *fixture,
                                           struct snapshot_reader **reader) {
    buffer_clear(&fixture->report);
    return snapshot_reader_open(&fixture->disk.disk, FINAL, reader, &fixture->report);
}

/* Opens the file and reads all its chunks. */
static enum snapshot_read_status read_file(struct fixture *fixture) {
    struct snapshot_reader *reader;
    enum snapshot_read_status status = open_file(fixture, &reader);
    if (status != SNAPSHOT_READ_DONE) {
        ck_assert_ptr_null(reader);
        ck_assert_uint_ne(fixture->report.length, 0);
        return status;
    }
    struct buffer content = BUFFER_EMPTY;
    for (uint32_t i = 0; status == SNAPSHOT_READ_DONE && i < reader->chunks_count; i++) {
        status = snapshot_reader_chunk(reader, i, &content, &fixture->report);
        ck_assert(status == SNAPSHOT_READ_DONE || content.length == 0);
    }
    buffer_free(&content);
    snapshot_reader_close(reader);
    return status;
}

static void assert_chunk(struct fixture *fixture, const struct snapshot_reader *reader,
                         uint32_t index, struct span expected) {
    struct buffer content = BUFFER_EMPTY;
    ck_assert_int_eq(snapshot_reader_chunk(reader, index, &content, &fixture->report),
                     SNAPSHOT_READ_DONE);
    ck_assert(span_equal(buffer_span(&content), expected));
    buffer_free(&content);
}

static void assert_no_files(struct fixture *fixture) {
    ck_assert_ptr_null(memory_disk_find(&fixture->disk, TEMPORARY));
    ck_assert_ptr_null(memory_disk_find(&fixture->disk, FINAL));
}

static void fill_random(char *bytes, size_t length, uint64_t seed) {
    struct random random;
    random_seed(&random, seed);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)random_next(&random);
    }
}

/* ---- round trips ---- */

START_TEST(what_was_written_is_read) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_file(&fixture, &reader), SNAPSHOT_READ_DONE);
    ck_assert_uint_eq(reader->header.history.epoch, 7);
    ck_assert_int_eq(reader->header.history.id[HISTORY_ID_BYTES - 1], 'h');
    ck_assert_int_eq(reader->header.node_id[HISTORY_ID_BYTES - 1], 'n');
    ck_assert_uint_eq(reader->header.begin, BEGIN);
    ck_assert_int_eq(reader->header.begin_ms, 1700000000000);
    ck_assert_uint_eq(reader->header.databases, 16);
    ck_assert_uint_eq(reader->end.end, END);
    ck_assert_int_eq(reader->end.end_ms, 1700000001000);
    ck_assert_uint_eq(reader->end.keys, 60);
    ck_assert_uint_eq(reader->chunks_count, 4);
    ck_assert_int_eq(reader->chunks[0].codec, SNAPSHOT_LZ4);
    ck_assert_int_eq(reader->chunks[2].kind, SNAPSHOT_TAIL);
    ck_assert_int_eq(reader->chunks[3].kind, SNAPSHOT_NODE);
    assert_chunk(&fixture, reader, 0, span_of_string(repeated));
    assert_chunk(&fixture, reader, 1, span_of_string("second"));
    assert_chunk(&fixture, reader, 2, span_of_string("tail"));
    assert_chunk(&fixture, reader, 3, span_of_string("node"));
    snapshot_reader_close(reader);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_slot_knows_its_position_keys_and_chunks) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_file(&fixture, &reader), SNAPSHOT_READ_DONE);
    static const struct snapshot_slot expected[] = {
        {.slot = 3, .position = BEGIN, .keys = 10, .chunk_first = 0, .chunk_end = 1},
        {.slot = 5, .position = END, .keys = 20, .chunk_first = 0, .chunk_end = 2},
        {.slot = 9, .position = 2000, .keys = 30, .chunk_first = 1, .chunk_end = 2},
        {.slot = 100, .position = 3000},
    };
    ck_assert_uint_eq(reader->slots_count, UNIT_COUNT(expected));
    for (size_t i = 0; i < UNIT_COUNT(expected); i++) {
        const struct snapshot_slot *slot = snapshot_reader_slot(reader, expected[i].slot);
        ck_assert_ptr_nonnull(slot);
        ck_assert_uint_eq(slot->position, expected[i].position);
        ck_assert_uint_eq(slot->keys, expected[i].keys);
        ck_assert_uint_eq(slot->chunk_first, expected[i].chunk_first);
        ck_assert_uint_eq(slot->chunk_end, expected[i].chunk_end);
    }
    static const uint16_t missing[] = {0, 4, 8, SLOTS - 1};
    for (size_t i = 0; i < UNIT_COUNT(missing); i++) {
        ck_assert_ptr_null(snapshot_reader_slot(reader, missing[i]));
    }
    snapshot_reader_close(reader);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_file_without_chunks_is_whole) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(finish(&fixture), 0);
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_file(&fixture, &reader), SNAPSHOT_READ_DONE);
    ck_assert_uint_eq(reader->chunks_count, 0);
    ck_assert_uint_eq(reader->slots_count, 0);
    snapshot_reader_close(reader);
    fixture_close(&fixture);
}
END_TEST

START_TEST(chunks_of_any_length_come_back) {
    static const size_t lengths[] = {0,
                                     1,
                                     2,
                                     31,
                                     4096,
                                     SNAPSHOT_WRITE_BYTES - SNAPSHOT_CHUNK_HEADER_BYTES,
                                     SNAPSHOT_WRITE_BYTES,
                                     SNAPSHOT_COMPRESSED_BYTES_MAX,
                                     SNAPSHOT_COMPRESSED_BYTES_MAX + 1};
    char *bytes = malloc(SNAPSHOT_COMPRESSED_BYTES_MAX + 1);
    for (int kind = 0; kind < 2; kind++) {
        struct fixture fixture;
        fixture_open(&fixture);
        memset(bytes, 'x', SNAPSHOT_COMPRESSED_BYTES_MAX + 1);
        if (kind == 1) {
            fill_random(bytes, SNAPSHOT_COMPRESSED_BYTES_MAX + 1, 1);
        }
        for (size_t i = 0; i < UNIT_COUNT(lengths); i++) {
            ck_assert_int_eq(add_image(fixture.writer, 0, 0, span_of(bytes, lengths[i])), 0);
        }
        ck_assert_int_eq(finish(&fixture), 0);
        struct snapshot_reader *reader;
        ck_assert_int_eq(open_file(&fixture, &reader), SNAPSHOT_READ_DONE);
        for (uint32_t i = 0; i < UNIT_COUNT(lengths); i++) {
            assert_chunk(&fixture, reader, i, span_of(bytes, lengths[i]));
        }
        snapshot_reader_close(reader);
        fixture_close(&fixture);
    }
    free(bytes);
}
END_TEST

START_TEST(what_does_not_shrink_is_stored_raw_and_tried_again_later) {
    struct fixture fixture;
    fixture_open(&fixture);
    char noise[4096];
    fill_random(noise, sizeof(noise), 1);
    const uint32_t noisy = 200;
    for (uint32_t i = 0; i < noisy; i++) {
        ck_assert_int_eq(add_image(fixture.writer, 0, 0, span_of(noise, sizeof(noise))), 0);
    }
    for (uint32_t i = 0; i <= SNAPSHOT_UNTRIED_MAX; i++) {
        ck_assert_int_eq(add_image(fixture.writer, 0, 0, span_of_string(repeated)), 0);
    }
    ck_assert_int_eq(finish(&fixture), 0);
    struct snapshot_reader *reader;
    ck_assert_int_eq(open_file(&fixture, &reader), SNAPSHOT_READ_DONE);
    for (uint32_t i = 0; i < noisy; i++) {
        ck_assert_int_eq(reader->chunks[i].codec, SNAPSHOT_RAW);
    }
    ck_assert_int_eq(reader->chunks[reader->chunks_count - 1].codec, SNAPSHOT_LZ4);
    snapshot_reader_close(reader);
    fixture_close(&fixture);
}
END_TEST

START_TEST(no_sync_has_to_write_more_than_the_period) {
    struct fixture fixture;
    fixture_open(&fixture);
    char *noise = malloc(SNAPSHOT_WRITE_BYTES);
    fill_random(noise, SNAPSHOT_WRITE_BYTES, 1);
    for (uint64_t sum = 0; sum < 3 * SNAPSHOT_SYNC_BYTES; sum += SNAPSHOT_WRITE_BYTES) {
        add_image(fixture.writer, 0, 0, span_of(noise, SNAPSHOT_WRITE_BYTES));
        struct memory_file *file = memory_disk_find(&fixture.disk, TEMPORARY);
        ck_assert_uint_le(file->content.length - file->synced,
                          SNAPSHOT_SYNC_BYTES + 2 * SNAPSHOT_WRITE_BYTES);
    }
    ck_assert_int_ge(fixture.disk.syncs, 2);
    ck_assert_int_eq(finish(&fixture), 0);
    struct memory_file *file = memory_disk_find(&fixture.disk, FINAL);
    ck_assert_uint_eq(file->synced, file->content.length);
    free(noise);
    fixture_close(&fixture);
}
END_TEST

/* ---- names ---- */

START_TEST(the_final_name_is_there_once_the_file_is_whole) {
    struct fixture fixture;
    fixture_open(&fixture);
    add_image(fixture.writer, 0, 0, span_of_string("image"));
    ck_assert_ptr_null(memory_disk_find(&fixture.disk, FINAL));
    ck_assert_int_eq(finish(&fixture), 0);
    ck_assert_ptr_null(memory_disk_find(&fixture.disk, TEMPORARY));
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_DONE);
    fixture_close(&fixture);
}
END_TEST

START_TEST(an_abandoned_file_is_removed) {
    struct fixture fixture;
    fixture_open(&fixture);
    add_image(fixture.writer, 0, 0, span_of_string("image"));
    snapshot_writer_abandon(fixture.writer);
    assert_no_files(&fixture);
    fixture_close(&fixture);
}
END_TEST

START_TEST(what_an_earlier_try_left_is_replaced) {
    struct fixture fixture;
    fixture_open(&fixture);
    int error = 0;
    struct disk_file *file =
        fixture.disk.disk.open(fixture.disk.disk.context, "other", true, &error);
    ck_assert_ptr_nonnull(file);
    fixture.disk.disk.close(file);
    snapshot_writer_abandon(fixture.writer);
    memory_disk_name(memory_disk_find(&fixture.disk, "other"), TEMPORARY);
    fixture.writer = writer_new(&fixture, &error);
    ck_assert_ptr_nonnull(fixture.writer);
    ck_assert_int_eq(write_small(&fixture), 0);
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_DONE);
    fixture_close(&fixture);
}
END_TEST

START_TEST(an_error_of_any_call_is_answered_reported_and_leaves_no_file) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    int calls = fixture.disk.calls;
    fixture_close(&fixture);
    ck_assert_int_ge(calls, 5);
    for (int i = 2; i <= calls; i++) {
        fixture_open(&fixture);
        fixture.disk.fail_at = i;
        fixture.disk.fail_error = ENOSPC;
        ck_assert_int_eq(write_small(&fixture), -ENOSPC);
        ck_assert_uint_ne(fixture.report.length, 0);
        if (i < calls) {
            assert_no_files(&fixture);
        } else {
            /* Only the folder's sync failed: what stood there before is gone, so this must stay. */
            ck_assert_ptr_null(memory_disk_find(&fixture.disk, TEMPORARY));
            ck_assert_ptr_nonnull(memory_disk_find(&fixture.disk, FINAL));
        }
        fixture_close(&fixture);
    }
}
END_TEST

START_TEST(an_error_is_answered_ever_after) {
    struct fixture fixture;
    fixture_open(&fixture);
    char *noise = malloc(2 * SNAPSHOT_WRITE_BYTES);
    fill_random(noise, 2 * SNAPSHOT_WRITE_BYTES, 1);
    fixture.disk.fail_at = fixture.disk.calls + 1;
    fixture.disk.fail_error = EIO;
    struct span large = span_of(noise, 2 * SNAPSHOT_WRITE_BYTES);
    ck_assert_int_eq(add_image(fixture.writer, 0, 0, large), -EIO);
    size_t reported = fixture.report.length;
    ck_assert_int_eq(add_image(fixture.writer, 0, 0, large), -EIO);
    snapshot_writer_slot(fixture.writer, 0, BEGIN, 1);
    ck_assert_int_eq(finish(&fixture), -EIO);
    ck_assert_uint_eq(fixture.report.length, reported);
    assert_no_files(&fixture);
    free(noise);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_file_that_cannot_be_made_is_reported) {
    struct fixture fixture;
    fixture_open(&fixture);
    snapshot_writer_abandon(fixture.writer);
    fixture.disk.fail_at = fixture.disk.calls + 1;
    fixture.disk.fail_error = EACCES;
    int error = 0;
    ck_assert_ptr_null(writer_new(&fixture, &error));
    ck_assert_int_eq(error, -EACCES);
    ck_assert_uint_ne(fixture.report.length, 0);
    fixture_close(&fixture);
}
END_TEST

/* ---- damage ---- */

START_TEST(a_file_that_is_not_there_is_no_damage) {
    struct fixture fixture;
    fixture_open(&fixture);
    snapshot_writer_abandon(fixture.writer);
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_FAILED);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_truncated_file_is_incomplete) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    struct buffer *content = memory_disk_content(&fixture.disk, FINAL);
    while (content->length > 0) {
        content->length--;
        ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_INCOMPLETE);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    buffer_append_byte(memory_disk_content(&fixture.disk, FINAL), 0);
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_INCOMPLETE);
    fixture_close(&fixture);
}
END_TEST

START_TEST(a_change_of_any_bit_is_refused) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    struct buffer *content = memory_disk_content(&fixture.disk, FINAL);
    for (size_t i = 0; i < content->length * 8; i++) {
        content->bytes[i / 8] ^= (char)(1 << i % 8);
        enum snapshot_read_status status = read_file(&fixture);
        ck_assert_msg(status == SNAPSHOT_READ_DAMAGED || status == SNAPSHOT_READ_INCOMPLETE,
                      "bit %zu", i);
        content->bytes[i / 8] ^= (char)(1 << i % 8);
    }
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_DONE);
    fixture_close(&fixture);
}
END_TEST

START_TEST(chunks_in_each_others_places_are_refused) {
    struct fixture fixture;
    fixture_open(&fixture);
    add_image(fixture.writer, 0, 0, span_of_string("first."));
    add_image(fixture.writer, 0, 0, span_of_string("second"));
    ck_assert_int_eq(finish(&fixture), 0);
    struct buffer *content = memory_disk_content(&fixture.disk, FINAL);
    char *chunks = content->bytes + SNAPSHOT_HEADER_BYTES;
    const size_t length = SNAPSHOT_CHUNK_HEADER_BYTES + 6;
    char kept[SNAPSHOT_CHUNK_HEADER_BYTES + 6];
    memcpy(kept, chunks, length);
    memmove(chunks, chunks + length, length);
    memcpy(chunks + length, kept, length);
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_DAMAGED);
    fixture_close(&fixture);
}
END_TEST

START_TEST(damage_is_reported_with_file_offset_expected_and_found) {
    struct fixture fixture;
    fixture_open(&fixture);
    ck_assert_int_eq(write_small(&fixture), 0);
    struct buffer *content = memory_disk_content(&fixture.disk, FINAL);
    content->bytes[SNAPSHOT_HEADER_BYTES + SNAPSHOT_CHUNK_HEADER_BYTES] ^= 1;
    ck_assert_int_eq(read_file(&fixture), SNAPSHOT_READ_DAMAGED);
    buffer_append_byte(&fixture.report, '\0');
    ck_assert_ptr_nonnull(strstr(fixture.report.bytes, FINAL));
    ck_assert_ptr_nonnull(strstr(fixture.report.bytes, "offset 128: "));
    ck_assert_ptr_nonnull(strstr(fixture.report.bytes, "expected "));
    ck_assert_ptr_nonnull(strstr(fixture.report.bytes, "found "));
    fixture_close(&fixture);
}
END_TEST

START_TEST(lengths_beyond_what_the_codec_can_hold_are_refused) {
    struct snapshot_chunk chunk = {
        .kind = SNAPSHOT_IMAGE, .codec = SNAPSHOT_LZ4, .stored_bytes = 100, .raw_bytes = 25500};
    char bytes[SNAPSHOT_CHUNK_ROW_BYTES];
    struct snapshot_chunk found;
    snapshot_chunk_row_write(bytes, &chunk);
    ck_assert(snapshot_chunk_row_read(bytes, &found));
    chunk.raw_bytes++;
    snapshot_chunk_row_write(bytes, &chunk);
    ck_assert(!snapshot_chunk_row_read(bytes, &found));
    chunk.stored_bytes = SNAPSHOT_COMPRESSED_BYTES_MAX;
    chunk.raw_bytes = SNAPSHOT_COMPRESSED_BYTES_MAX + 1;
    snapshot_chunk_row_write(bytes, &chunk);
    ck_assert(!snapshot_chunk_row_read(bytes, &found));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_was_written_is_read,
        a_slot_knows_its_position_keys_and_chunks,
        a_file_without_chunks_is_whole,
        chunks_of_any_length_come_back,
        what_does_not_shrink_is_stored_raw_and_tried_again_later,
        no_sync_has_to_write_more_than_the_period,
        the_final_name_is_there_once_the_file_is_whole,
        an_abandoned_file_is_removed,
        what_an_earlier_try_left_is_replaced,
        an_error_of_any_call_is_answered_reported_and_leaves_no_file,
        an_error_is_answered_ever_after,
        a_file_that_cannot_be_made_is_reported,
        a_file_that_is_not_there_is_no_damage,
        a_truncated_file_is_incomplete,
        bytes_behind_the_end_are_refused,
        a_change_of_any_bit_is_refused,
        chunks_in_each_others_places_are_refused,
        damage_is_reported_with_file_offset_expected_and_found,
        lengths_beyond_what_the_codec_can_hold_are_refused,
    };
    return unit_run(unit_suite("snapshot_file", tests, UNIT_COUNT(tests)));
}
