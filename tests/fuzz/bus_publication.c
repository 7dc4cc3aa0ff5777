/* Messages of PUBLISH that come from other nodes, in pieces: what arrives is within what came, and
 * is written and read again as the same.
 *
 * The input: frames, each: source 1, length of the body 2, body. */
#include "cluster/bus_publication.h"
#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check(const struct bus_publication *publication) {
    struct buffer again = BUFFER_EMPTY;
    bus_publication_write(&again, publication->channel, publication->text);
    ASSERT(span_equal(buffer_span(&again), publication->whole));
    buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct bus_parts *parts = bus_parts_new();
    struct span rest = span_of(bytes, length);
    while (rest.length >= 3) {
        struct raft_id source = {.bytes = {1, (unsigned char)rest.bytes[0]}};
        size_t wanted = bytes_load_u16(rest.bytes + 1);
        size_t taken = wanted < rest.length - 3 ? wanted : rest.length - 3;
        struct bus_publication publication;
        switch (bus_parts_receive(parts, &source, span_of(rest.bytes + 3, taken), &publication)) {
        case BUS_ARRIVED:
            check(&publication);
            break;
        case BUS_NO_SENSE:
            bus_parts_forget(parts, &source); /* Its link is closed. */
            break;
        case BUS_AWAITED:
            break;
        }
        rest = span_of(rest.bytes + 3 + taken, rest.length - 3 - taken);
    }
    bus_parts_free(parts);
    return 0;
}
