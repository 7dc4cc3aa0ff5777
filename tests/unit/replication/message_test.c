#include "replication/message.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

#define SEED 42

static struct span read_one(const struct buffer *bytes, enum message_kind wanted) {
    struct span rest = buffer_span(bytes);
    enum message_kind kind;
    struct span body;
    ck_assert_int_eq(message_read(&rest, SEED, &kind, &body), MESSAGE_DONE);
    ck_assert_int_eq(kind, wanted);
    ck_assert_uint_eq(rest.length, 0);
    return body;
}

START_TEST(messages_come_back_as_they_were_written) {
    struct buffer out = BUFFER_EMPTY;
    struct message_hello *hello = memory_alloc_zeroed(2 * sizeof(*hello));
    hello->version = MESSAGE_VERSION;
    hello->position = 900;
    hello->node_id[3] = 9;
    lineage_add(&hello->lineage, &(struct history){.epoch = 5, .id = {1, 2}}, 700);
    message_write_hello(&out, SEED, hello);
    ck_assert(message_read_hello(read_one(&out, MESSAGE_HELLO), &hello[1]));
    ck_assert_uint_eq(hello[1].position, 900);
    ck_assert_uint_eq(hello[1].node_id[3], 9);
    ck_assert_uint_eq(hello[1].lineage.count, 1);
    ck_assert_uint_eq(hello[1].lineage.parts[0].position, 700);
    ck_assert(
        history_equal(&hello[0].lineage.parts[0].history, &hello[1].lineage.parts[0].history));
    memory_free(hello);

    buffer_clear(&out);
    struct message_plan *plan = memory_alloc_zeroed(2 * sizeof(*plan));
    plan->mode = PLAN_CHANGED;
    slot_set_add(&plan->changed, SLOTS - 1);
    lineage_add(&plan->lineage, &(struct history){.epoch = 8}, 9);
    message_write_plan(&out, SEED, plan);
    ck_assert(message_read_plan(read_one(&out, MESSAGE_PLAN), &plan[1]));
    ck_assert_int_eq(plan[1].mode, PLAN_CHANGED);
    ck_assert_uint_eq(slot_set_count(&plan[1].changed), 1);
    ck_assert(slot_set_has(&plan[1].changed, SLOTS - 1));
    ck_assert_uint_eq(plan[1].lineage.count, 1);
    ck_assert_uint_eq(lineage_current(&plan[1].lineage).epoch, 8);
    memory_free(plan);

    buffer_clear(&out);
    struct message_slot slots[2] = {{.slot = 1, .position = 2, .keys = 3}, {.slot = SLOTS - 1}};
    message_write_slots(&out, SEED, slots, 2);
    struct span body = read_one(&out, MESSAGE_SLOTS);
    struct message_slot slot;
    ck_assert(message_read_slot(&body, &slot));
    ck_assert_uint_eq(slot.keys, 3);
    ck_assert(message_read_slot(&body, &slot));
    ck_assert_uint_eq(slot.slot, SLOTS - 1);
    ck_assert(!message_read_slot(&body, &slot));

    buffer_clear(&out);
    struct message_frame frame = {
        .position = 1, .time_ms = -2, .length = 9, .part = span_of("abc", 3)};
    message_write_frame(&out, SEED, &frame);
    struct message_frame read_frame;
    ck_assert(message_read_frame(read_one(&out, MESSAGE_FRAME), &read_frame));
    ck_assert_int_eq(read_frame.time_ms, -2);
    ck_assert_uint_eq(read_frame.length, 9);
    ck_assert(span_equal(read_frame.part, frame.part));

    buffer_clear(&out);
    struct message_digest digest = {
        .slot = SLOTS - 1,
        .flags = MESSAGE_DIGEST_KEYS,
        .seed = 5,
        .sum = UINT64_MAX,
        .keys = 7,
        .rows = span_of("rows", 4),
    };
    message_write_digest(&out, SEED, &digest);
    struct message_digest read_digest;
    ck_assert(message_read_digest(read_one(&out, MESSAGE_DIGEST), &read_digest));
    ck_assert_uint_eq(read_digest.slot, SLOTS - 1);
    ck_assert_uint_eq(read_digest.flags, MESSAGE_DIGEST_KEYS);
    ck_assert_uint_eq(read_digest.seed, 5);
    ck_assert_uint_eq(read_digest.sum, UINT64_MAX);
    ck_assert_uint_eq(read_digest.keys, 7);
    ck_assert(span_equal(read_digest.rows, digest.rows));

    buffer_clear(&out);
    struct message_heal heal = {.history = {.epoch = 6, .id = {9}}};
    slot_set_add(&heal.slots, 77);
    message_write_heal(&out, SEED, &heal);
    struct message_heal read_heal;
    ck_assert(message_read_heal(read_one(&out, MESSAGE_HEAL), &read_heal));
    ck_assert(history_equal(&read_heal.history, &heal.history));
    ck_assert_uint_eq(slot_set_count(&read_heal.slots), 1);
    ck_assert(slot_set_has(&read_heal.slots, 77));
    buffer_free(&out);
}
END_TEST

START_TEST(each_missing_byte_is_waited_for_and_each_flipped_bit_is_found) {
    struct buffer out = BUFFER_EMPTY;
    message_write_beat(&out, SEED, &(struct message_beat){.position = 77, .time_ms = 5});
    enum message_kind kind;
    struct span body;
    for (size_t length = 0; length < out.length; length++) {
        struct span rest = span_of(out.bytes, length);
        ck_assert_int_eq(message_read(&rest, SEED, &kind, &body), MESSAGE_PARTIAL);
        ck_assert_uint_eq(rest.length, length);
    }
    for (size_t bit = 0; bit < 8 * out.length; bit++) {
        out.bytes[bit / 8] ^= (char)(1 << bit % 8);
        struct span rest = buffer_span(&out);
        /* A length that grew waits for bytes that will not check. */
        ck_assert_int_ne(message_read(&rest, SEED, &kind, &body), MESSAGE_DONE);
        out.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    struct span rest = buffer_span(&out);
    ck_assert_int_eq(message_read(&rest, SEED + 1, &kind, &body), MESSAGE_DAMAGED);
    buffer_free(&out);
}
END_TEST

START_TEST(bodies_of_any_other_length_are_refused) {
    char bytes[SLOT_SET_BYTES + 100] = {0};
    struct message_hello *hello = memory_alloc(sizeof(*hello));
    struct message_plan *plan = memory_alloc(sizeof(*plan));
    size_t accepted = 0;
    for (size_t length = 0; length < sizeof(bytes); length++) {
        struct span body = span_of(bytes, length);
        struct message_turn turn;
        struct message_beat beat;
        struct message_report report;
        struct message_frame frame;
        struct slot_set slots;
        struct message_digest digest;
        struct message_heal heal;
        accepted += message_read_plan(body, plan) || message_read_frame(body, &frame);
        ck_assert(!message_read_turn(body, &turn) || length == 64);
        ck_assert(!message_read_beat(body, &beat) || length == 16);
        ck_assert(!message_read_report(body, &report) || length == 32);
        ck_assert(message_read_digest(body, &digest) == (length >= 27));
        ck_assert(!message_read_heal(body, &heal) || length == 28 + SLOT_SET_BYTES);
        ck_assert(!message_read_want(body, &slots) || length == 0 || length == SLOT_SET_BYTES);
        ck_assert(!message_read_hello(body, hello) || length % 36 == 32);
    }
    ck_assert_uint_eq(accepted, 0);
    memory_free(hello);
    memory_free(plan);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        messages_come_back_as_they_were_written,
        each_missing_byte_is_waited_for_and_each_flipped_bit_is_found,
        bodies_of_any_other_length_are_refused,
    };
    return unit_run(unit_suite("message", tests, UNIT_COUNT(tests)));
}
