#include "snapshot/snapshot_section.h"

#include "base/bytes.h"
#include "tests/unit/unit.h"

START_TEST(frames_come_back_in_their_order) {
    static const struct snapshot_frame frames[] = {
        {.position = 0, .time_ms = 1700000000000, .content = SPAN_LITERAL("first")},
        {.position = UINT64_MAX, .time_ms = -1, .content = SPAN_LITERAL("")},
        {.position = 77, .time_ms = 5, .content = SPAN_LITERAL("third frame")},
    };
    struct buffer out = BUFFER_EMPTY;
    for (size_t i = 0; i < UNIT_COUNT(frames); i++) {
        snapshot_frame_write(&out, &frames[i]);
    }
    struct span content = buffer_span(&out);
    struct snapshot_frame frame;
    for (size_t i = 0; i < UNIT_COUNT(frames); i++) {
        ck_assert_int_eq(snapshot_frame_read(&content, &frame), SNAPSHOT_SECTION_DONE);
        ck_assert_uint_eq(frame.position, frames[i].position);
        ck_assert_int_eq(frame.time_ms, frames[i].time_ms);
        ck_assert(span_equal(frame.content, frames[i].content));
    }
    ck_assert_int_eq(snapshot_frame_read(&content, &frame), SNAPSHOT_SECTION_END);
    buffer_free(&out);
}
END_TEST

START_TEST(pairs_come_back_in_their_order) {
    static const struct snapshot_pair pairs[] = {
        {.name = SPAN_LITERAL("name"), .value = SPAN_LITERAL("value")},
        {.name = SPAN_LITERAL(""), .value = SPAN_LITERAL("")},
        {.name = SPAN_LITERAL("functions"), .value = SPAN_LITERAL("none")},
    };
    struct buffer out = BUFFER_EMPTY;
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        snapshot_pair_write(&out, &pairs[i]);
    }
    struct span content = buffer_span(&out);
    struct snapshot_pair pair;
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        ck_assert_int_eq(snapshot_pair_read(&content, &pair), SNAPSHOT_SECTION_DONE);
        ck_assert(span_equal(pair.name, pairs[i].name));
        ck_assert(span_equal(pair.value, pairs[i].value));
    }
    ck_assert_int_eq(snapshot_pair_read(&content, &pair), SNAPSHOT_SECTION_END);
    buffer_free(&out);
}
END_TEST

START_TEST(truncated_items_are_damaged) {
    struct buffer out = BUFFER_EMPTY;
    snapshot_frame_write(&out, &(struct snapshot_frame){.content = SPAN_LITERAL("content")});
    for (size_t length = 1; length < out.length; length++) {
        struct span content = span_of(out.bytes, length);
        struct snapshot_frame frame;
        ck_assert_int_eq(snapshot_frame_read(&content, &frame), SNAPSHOT_SECTION_DAMAGED);
        ck_assert_uint_eq(content.length, length);
    }
    buffer_clear(&out);
    snapshot_pair_write(&out, &(struct snapshot_pair){.name = SPAN_LITERAL("name"),
                                                      .value = SPAN_LITERAL("value")});
    for (size_t length = 1; length < out.length; length++) {
        struct span content = span_of(out.bytes, length);
        struct snapshot_pair pair;
        ck_assert_int_eq(snapshot_pair_read(&content, &pair), SNAPSHOT_SECTION_DAMAGED);
        ck_assert_uint_eq(content.length, length);
    }
    buffer_free(&out);
}
END_TEST

START_TEST(huge_lengths_are_damaged) {
    struct buffer out = BUFFER_EMPTY;
    snapshot_frame_write(&out, &(struct snapshot_frame){.content = SPAN_LITERAL("content")});
    bytes_store_u64(out.bytes + 16, UINT64_MAX);
    struct span content = buffer_span(&out);
    struct snapshot_frame frame;
    ck_assert_int_eq(snapshot_frame_read(&content, &frame), SNAPSHOT_SECTION_DAMAGED);
    buffer_clear(&out);
    snapshot_pair_write(&out, &(struct snapshot_pair){.name = SPAN_LITERAL("name"),
                                                      .value = SPAN_LITERAL("value")});
    /* The sum of both passes 64 bits. */
    bytes_store_u64(out.bytes + 4, UINT64_MAX - 3);
    content = buffer_span(&out);
    struct snapshot_pair pair;
    ck_assert_int_eq(snapshot_pair_read(&content, &pair), SNAPSHOT_SECTION_DAMAGED);
    buffer_free(&out);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        frames_come_back_in_their_order,
        pairs_come_back_in_their_order,
        truncated_items_are_damaged,
        huge_lengths_are_damaged,
    };
    return unit_run(unit_suite("snapshot_section", tests, UNIT_COUNT(tests)));
}
