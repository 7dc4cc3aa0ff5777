/* What nodes of a cluster say to each other, and what a node keeps of itself: a message, a state,
 * an entry or a file that is read is written again as the same bytes, and an entry changes a state
 * or is refused with a sentence.
 *
 * The input: kind 1 (0: a message, 1: a state, length 4 of it, and an entry, 2: a file), bytes. */
#include "base/bytes.h"
#include "cluster/member_bus.h"
#include "cluster/member_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_message(struct span bytes) {
    struct member_message message;
    if (!member_message_read(bytes, &message)) {
        return;
    }
    struct buffer once = BUFFER_EMPTY;
    struct buffer twice = BUFFER_EMPTY;
    member_message_write(&message, &once);
    ASSERT(member_message_read(buffer_span(&once), &message));
    member_message_write(&message, &twice);
    ASSERT(span_equal(buffer_span(&once), buffer_span(&twice)));
    if (message.kind == MEMBER_CENSUS && message.bytes.length > 0) {
        member_count_at(message.bytes, message.bytes.length / MEMBER_COUNT_BYTES - 1);
    }
    buffer_free(&once);
    buffer_free(&twice);
}

static void check_state(const struct member_state *state) {
    struct member_state again = MEMBER_STATE_EMPTY;
    struct buffer once = BUFFER_EMPTY;
    struct buffer twice = BUFFER_EMPTY;
    member_state_write(state, &once);
    ASSERT(member_state_read(&again, buffer_span(&once)));
    member_state_write(&again, &twice);
    ASSERT(span_equal(buffer_span(&once), buffer_span(&twice)));
    member_state_free(&again);
    buffer_free(&once);
    buffer_free(&twice);
}

static void check_entry(struct span bytes) {
    if (bytes.length < 4) {
        return;
    }
    static const unsigned char group[MAP_ID_BYTES] = {1};
    size_t head = bytes_load_u32(bytes.bytes);
    struct span rest = span_of(bytes.bytes + 4, bytes.length - 4);
    head = head < rest.length ? head : rest.length;
    struct member_state state = MEMBER_STATE_EMPTY;
    if (member_state_read(&state, span_of(rest.bytes, head))) {
        check_state(&state);
    } else {
        state.map = map_new(group);
    }
    struct buffer report = BUFFER_EMPTY;
    enum member_outcome outcome = member_state_apply(
        &state, state.map->index + 1, span_of(rest.bytes + head, rest.length - head), &report);
    ASSERT((outcome == MEMBER_REFUSED) == (report.length > 0));
    check_state(&state);
    member_state_free(&state);
    buffer_free(&report);
}

static void check_file(struct span bytes) {
    struct member_file file = MEMBER_FILE_EMPTY;
    if (member_file_read(&file, bytes)) {
        struct buffer once = BUFFER_EMPTY;
        member_file_write(&file, &once);
        ASSERT(span_equal(buffer_span(&once), bytes));
        buffer_free(&once);
    }
    member_file_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct span rest = span_of(bytes + 1, length - 1);
    switch (bytes[0]) {
    case 0:
        check_message(rest);
        break;
    case 1:
        check_entry(rest);
        break;
    case 2:
        check_file(rest);
        break;
    default:
        break;
    }
    return 0;
}
