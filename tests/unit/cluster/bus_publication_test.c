#include "cluster/bus_publication.h"

#include "tests/unit/unit.h"

static const struct raft_id source = {.bytes = {1}};
static const struct raft_id another = {.bytes = {2}};

static struct buffer filled(size_t length) {
    struct buffer bytes = BUFFER_EMPTY;
    memset(buffer_reserve(&bytes, length + 1), 'x', length);
    buffer_commit(&bytes, length);
    return bytes;
}

/* Sends a text of that length; answers how many frames it took. */
static size_t send_and_receive(struct bus_parts *parts, size_t length, bool is_sharded) {
    struct buffer text = filled(length);
    struct buffer whole = BUFFER_EMPTY;
    struct buffer body = BUFFER_EMPTY;
    struct bus_publication publication;
    enum bus_arrival arrival = BUS_AWAITED;
    size_t frames = 0;
    bus_publication_write(&whole, span_of_string("channel"), buffer_span(&text));
    ck_assert_uint_eq(whole.length,
                      bus_publication_bytes(span_of_string("channel"), buffer_span(&text)));
    struct span rest = buffer_span(&whole);
    while (bus_publication_next(&rest, is_sharded, &body)) {
        ck_assert_int_eq(arrival, BUS_AWAITED);
        ck_assert_uint_le(body.length, BUS_BODY_BYTES_MAX);
        arrival = bus_parts_receive(parts, &source, buffer_span(&body), &publication);
        frames++;
    }
    ck_assert_int_eq(arrival, BUS_ARRIVED);
    ck_assert(span_is(publication.channel, "channel"));
    ck_assert(span_equal(publication.text, buffer_span(&text)));
    ck_assert(publication.is_sharded == is_sharded);
    buffer_free(&text);
    buffer_free(&whole);
    buffer_free(&body);
    return frames;
}

START_TEST(messages_come_back_whole_in_as_many_frames_as_they_need) {
    const size_t in_one = BUS_BODY_BYTES_MAX - 1 - 4 - 7;
    struct bus_parts *parts = bus_parts_new();
    ck_assert_uint_eq(send_and_receive(parts, 0, true), 1);
    ck_assert_uint_eq(send_and_receive(parts, in_one, false), 1);
    ck_assert_uint_eq(send_and_receive(parts, in_one + 1, true), 2);
    ck_assert_uint_eq(send_and_receive(parts, 5, false), 1);
    ck_assert_uint_eq(send_and_receive(parts, BUS_PUBLICATION_BYTES_MAX - 4 - 7, false), 33);
    bus_parts_free(parts);
}
END_TEST

static enum bus_arrival receive(struct bus_parts *parts, const struct raft_id *id,
                                const char *bytes, size_t length) {
    struct bus_publication publication;
    return bus_parts_receive(parts, id, span_of(bytes, length), &publication);
}

START_TEST(pieces_of_two_nodes_are_not_mixed_and_what_a_link_left_is_dropped) {
    struct bus_parts *parts = bus_parts_new();
    struct bus_publication publication;
    ck_assert_int_eq(receive(parts, &source, "\2\1\0\0", 4), BUS_AWAITED);
    ck_assert_int_eq(receive(parts, &another, "\2\2\0\0\0", 5), BUS_AWAITED);
    ck_assert_int_eq(bus_parts_receive(parts, &source, span_of("\0\0c!", 4), &publication),
                     BUS_ARRIVED);
    ck_assert(span_is(publication.channel, "c"));
    ck_assert(span_is(publication.text, "!"));
    bus_parts_forget(parts, &another);
    ck_assert_int_eq(receive(parts, &another, "\0\2\0\0\0ab", 7), BUS_ARRIVED);
    bus_parts_free(parts);
}
END_TEST

START_TEST(what_makes_no_sense_is_told) {
    struct bus_parts *parts = bus_parts_new();
    ck_assert_int_eq(receive(parts, &source, "", 0), BUS_NO_SENSE);
    ck_assert_int_eq(receive(parts, &source, "\4\0\0\0\0", 5), BUS_NO_SENSE);
    ck_assert_int_eq(receive(parts, &source, "\0\0\0", 3), BUS_NO_SENSE);
    ck_assert_int_eq(receive(parts, &source, "\0\3\0\0\0ab", 7), BUS_NO_SENSE);
    bus_parts_free(parts);
}
END_TEST

START_TEST(parts_are_bounded_in_bytes_and_in_nodes) {
    struct bus_parts *parts = bus_parts_new();
    struct buffer body = filled(BUS_BODY_BYTES_MAX);
    body.bytes[0] = 2;
    size_t frames = 0;
    while (receive(parts, &source, body.bytes, body.length) == BUS_AWAITED) {
        frames++;
    }
    ck_assert_uint_eq(frames, BUS_PUBLICATION_BYTES_MAX / (BUS_BODY_BYTES_MAX - 1));
    bus_parts_forget(parts, &source);
    for (size_t i = 0; i < BUS_PARTS_MAX; i++) {
        struct raft_id id = {.bytes = {9, (unsigned char)i}};
        ck_assert_int_eq(receive(parts, &id, "\2x", 2), BUS_AWAITED);
    }
    ck_assert_int_eq(receive(parts, &source, "\2x", 2), BUS_NO_SENSE);
    buffer_free(&body);
    bus_parts_free(parts);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        messages_come_back_whole_in_as_many_frames_as_they_need,
        pieces_of_two_nodes_are_not_mixed_and_what_a_link_left_is_dropped,
        what_makes_no_sense_is_told,
        parts_are_bounded_in_bytes_and_in_nodes,
    };
    return unit_run(unit_suite("bus_publication", tests, UNIT_COUNT(tests)));
}
