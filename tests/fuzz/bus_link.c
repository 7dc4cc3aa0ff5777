/* What comes over a link between nodes of a cluster: an end of it takes any bytes, in pieces of any
 * size, holds no more of them than it says, and who was refused once stays so.
 *
 * The input: which end and how the bytes are cut 1 (1: the connector; the rest: bytes in a piece,
 * 0: all at once), bytes. The nonces are fixed, so that the corpus can hold links that are
 * proved. */
#include "cluster/bus_link.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static struct bus_link *link_of(bool is_connector, struct buffer *out) {
    struct bus_link_plan plan = {
        .is_connector = is_connector,
        .self = {.bytes = {is_connector ? 1 : 2}},
        .secret = span_of_string("secret"),
    };
    memset(plan.nonce, is_connector ? 'c' : 'a', sizeof(plan.nonce));
    return bus_link_new(&plan, out);
}

/* False: it is refused. */
static bool take(struct bus_link *link, struct span piece, struct buffer *out) {
    struct bus_frame frame;
    enum bus_event event;
    bus_link_receive(link, piece);
    while ((event = bus_link_next(link, &frame, out)) == BUS_FRAME || event == BUS_PROVED) {
        ASSERT(bus_link_is_proved(link));
        if (event == BUS_PROVED) {
            ASSERT(!raft_id_is_none(bus_link_peer(link)));
            bus_link_send(link, BUS_PING, span_of(NULL, 0), out);
        } else {
            ASSERT(frame.body.length <= BUS_BODY_BYTES_MAX);
            bus_link_send(link, BUS_MEMBER, frame.body, out);
        }
    }
    if (event == BUS_REFUSED) {
        ASSERT(bus_link_refusal(link) != NULL);
        ASSERT(bus_link_next(link, &frame, out) == BUS_REFUSED);
    }
    return event != BUS_REFUSED;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct buffer out = BUFFER_EMPTY;
    struct bus_link *link = link_of((bytes[0] & 1) != 0, &out);
    size_t piece = bytes[0] >> 1;
    struct span rest = span_of(bytes + 1, length - 1);
    bool is_refused = false;
    while (rest.length > 0 && !is_refused) {
        size_t taken = piece == 0 || piece > rest.length ? rest.length : piece;
        is_refused = !take(link, span_of(rest.bytes, taken), &out);
        rest = span_of(rest.bytes + taken, rest.length - taken);
    }
    bus_link_free(link);
    buffer_free(&out);
    return 0;
}
