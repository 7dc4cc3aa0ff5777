#include "oplog/segment.h"

#include "tests/unit/unit.h"

#include <string.h>

static struct segment_header sample_header(void) {
    struct segment_header header = {
        .history = {.epoch = 7},
        .parent = {.epoch = 5},
        .begin = 1000,
        .first = 123456789012,
    };
    memset(header.history.id, 'h', sizeof(header.history.id));
    memset(header.parent.id, 'p', sizeof(header.parent.id));
    memset(header.node_id, 'n', sizeof(header.node_id));
    return header;
}

START_TEST(segment_header_reads_back) {
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES];
    struct segment_header header = sample_header();
    segment_header_write(bytes, &header);
    struct segment_header read;
    ck_assert_ptr_null(segment_header_read(bytes, &read));
    ck_assert(history_equal(&read.history, &header.history));
    ck_assert(history_equal(&read.parent, &header.parent));
    ck_assert_uint_eq(read.begin, header.begin);
    ck_assert_uint_eq(read.first, header.first);
    ck_assert_mem_eq(read.node_id, header.node_id, OPLOG_NODE_ID_BYTES);
}
END_TEST

START_TEST(segment_header_with_any_flipped_bit_is_refused) {
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES];
    struct segment_header header = sample_header();
    segment_header_write(bytes, &header);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ (1 << bit % 8));
        struct segment_header read;
        ck_assert_ptr_nonnull(segment_header_read(bytes, &read));
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}
END_TEST

/* The layout is for ever: a log of this version must be read by every later one. */
START_TEST(segment_header_stands_where_the_table_says) {
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES];
    struct segment_header header = sample_header();
    segment_header_write(bytes, &header);
    ck_assert_mem_eq(bytes,
                     "TARNLOG\0\1\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0hhhhhhhhhhhhhhhhhhhh"
                     "nnnnnnnnnnnnnnnnnnnn\x14\x1a\x99\xbe\x1c\0\0\0\xe8\3\0\0\0\0\0\0"
                     "\5\0\0\0\0\0\0\0pppppppppppppppppppp\0\0\0\0\0\0\0\0\0\0\0\0",
                     120);
}
END_TEST

static const struct frame_header sample_frame = {
    .length = 100, .position = 5000, .time_ms = 1700000000000, .synced = 4000, .checksum = 42};

START_TEST(frame_header_reads_back_in_its_own_history_only) {
    unsigned char bytes[OPLOG_FRAME_HEADER_BYTES];
    struct history history = sample_header().history;
    frame_header_write(bytes, &sample_frame, &history);
    struct frame_header read;
    ck_assert(frame_header_read(bytes, &history, &read));
    ck_assert_uint_eq(read.length, sample_frame.length);
    ck_assert_uint_eq(read.position, sample_frame.position);
    ck_assert_int_eq(read.time_ms, sample_frame.time_ms);
    ck_assert_uint_eq(read.synced, sample_frame.synced);
    ck_assert_uint_eq(read.checksum, sample_frame.checksum);
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        struct history other = history;
        other.id[i]++;
        ck_assert(!frame_header_read(bytes, &other, &read));
    }
    history.epoch++;
    ck_assert(!frame_header_read(bytes, &history, &read));
}
END_TEST

START_TEST(frame_header_with_any_flipped_bit_is_refused) {
    unsigned char bytes[OPLOG_FRAME_HEADER_BYTES];
    struct history history = sample_header().history;
    frame_header_write(bytes, &sample_frame, &history);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ (1 << bit % 8));
        struct frame_header read;
        ck_assert(!frame_header_read(bytes, &history, &read));
        bytes[bit / 8] = (unsigned char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
}
END_TEST

START_TEST(zeros_are_no_frame) {
    unsigned char bytes[OPLOG_FRAME_HEADER_BYTES] = {0};
    struct history history = sample_header().history;
    struct frame_header read;
    ck_assert(!frame_header_read(bytes, &history, &read));
}
END_TEST

START_TEST(history_forks_to_the_next_epoch_and_another_id) {
    struct history none = {0};
    ck_assert(history_is_none(&none));
    struct history first = history_fork(&none);
    struct history second = history_fork(&first);
    ck_assert_uint_eq(first.epoch, 1);
    ck_assert_uint_eq(second.epoch, 2);
    ck_assert(!history_is_none(&first));
    ck_assert_mem_ne(first.id, second.id, HISTORY_ID_BYTES);
    char text[HISTORY_TEXT_BYTES];
    struct history history = sample_header().history;
    ck_assert_str_eq(history_format(text, &history), "7:6868686868686868686868686868686868686868");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        segment_header_reads_back,
        segment_header_with_any_flipped_bit_is_refused,
        segment_header_stands_where_the_table_says,
        frame_header_reads_back_in_its_own_history_only,
        frame_header_with_any_flipped_bit_is_refused,
        zeros_are_no_frame,
        history_forks_to_the_next_epoch_and_another_id,
    };
    return unit_run(unit_suite("segment", tests, UNIT_COUNT(tests)));
}
