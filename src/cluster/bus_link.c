#include "cluster/bus_link.h"

#include "base/hmac.h"
#include "base/memory.h"
#include "cluster/fields.h"

#define FRAME_HEAD_BYTES 5
/* What is left of a large frame's room is given back. */
#define INPUT_KEPT_BYTES ((size_t)64 * 1024)

static const char magic[8] = {'T', 'A', 'R', 'N', ' ', 'B', 'U', 'S'};
static const char no_secret[] = "a cluster without a secret";

enum end { CONNECTOR, ACCEPTOR, ENDS };

static const char *const proof_labels[ENDS] = {"connector proves", "acceptor proves"};
static const char *const frame_labels[ENDS] = {"connector sends", "acceptor sends"};

enum stage { NEW, GREETED, PROVED, REFUSED };

/* One way of the link. */
struct way {
    struct hmac *key;
    uint64_t frames; /* so far */
};

struct bus_link {
    enum end end; /* this one */
    enum stage stage;
    struct raft_id wanted;
    struct raft_id peer;
    struct hmac *secret; /* NULL once it is proved */
    char hellos[ENDS][BUS_HELLO_BYTES];
    struct way ways[ENDS]; /* by who sends */
    struct buffer input;
    size_t taken; /* of input */
    const char *refusal;
};

static enum end other(enum end end) {
    return end == CONNECTOR ? ACCEPTOR : CONNECTOR;
}

/* ---- hello and proof ---- */

static void hello_write(const struct bus_link_plan *plan, char hello[BUS_HELLO_BYTES]) {
    struct buffer bytes = BUFFER_EMPTY;
    buffer_append(&bytes, magic, sizeof(magic));
    fields_put_u16(&bytes, BUS_VERSION_LOWEST);
    fields_put_u16(&bytes, BUS_VERSION);
    fields_put_id(&bytes, &plan->self);
    buffer_append(&bytes, plan->nonce, BUS_NONCE_BYTES);
    ASSERT(bytes.length == BUS_HELLO_BYTES);
    memcpy(hello, bytes.bytes, BUS_HELLO_BYTES);
    buffer_free(&bytes);
}

static void code_of(const struct bus_link *link, const char *label,
                    unsigned char code[HMAC_BYTES]) {
    const struct span parts[] = {
        span_of_string(label),
        span_of(link->hellos[CONNECTOR], BUS_HELLO_BYTES),
        span_of(link->hellos[ACCEPTOR], BUS_HELLO_BYTES),
    };
    hmac_code(link->secret, parts, sizeof(parts) / sizeof(parts[0]), code);
}

static void proof_send(const struct bus_link *link, struct buffer *out) {
    unsigned char proof[HMAC_BYTES];
    code_of(link, proof_labels[link->end], proof);
    buffer_append(out, proof, sizeof(proof));
}

static void keys_make(struct bus_link *link) {
    for (int end = 0; end < ENDS; end++) {
        unsigned char key[HMAC_BYTES];
        code_of(link, frame_labels[end], key);
        link->ways[end].key = hmac_new(span_of(key, sizeof(key)));
    }
    hmac_free(link->secret);
    link->secret = NULL;
}

static enum bus_event refuse(struct bus_link *link, const char *why) {
    link->stage = REFUSED;
    link->refusal = why;
    return BUS_REFUSED;
}

/* NULL: not all of it is there. */
static const char *take(struct bus_link *link, size_t length) {
    if (link->input.length - link->taken < length) {
        return NULL;
    }
    const char *front = link->input.bytes + link->taken;
    link->taken += length;
    return front;
}

static bool begins_well(const struct bus_link *link) {
    size_t length = link->input.length - link->taken;
    length = length < sizeof(magic) ? length : sizeof(magic);
    return length == 0 || memcmp(link->input.bytes + link->taken, magic, length) == 0;
}

static enum bus_event hello_next(struct bus_link *link, struct buffer *out) {
    if (!begins_well(link)) {
        return refuse(link, "it does not speak as a node of a cluster");
    }
    const char *hello = take(link, BUS_HELLO_BYTES);
    if (hello == NULL) {
        return BUS_NOTHING;
    }
    struct fields fields = {.rest = span_of(hello, BUS_HELLO_BYTES)};
    fields_take(&fields, sizeof(magic));
    uint16_t lowest = fields_take_u16(&fields);
    uint16_t highest = fields_take_u16(&fields);
    link->peer = fields_take_id(&fields);
    memcpy(link->hellos[other(link->end)], hello, BUS_HELLO_BYTES);
    if (lowest > BUS_VERSION || highest < BUS_VERSION_LOWEST || lowest > highest) {
        return refuse(link, "its version and this one do not speak to each other");
    }
    if (raft_id_is_none(&link->peer)) {
        return refuse(link, "it has no name");
    }
    if (!raft_id_is_none(&link->wanted) && !raft_id_equal(&link->wanted, &link->peer)) {
        return refuse(link, "another node is there");
    }
    link->stage = GREETED;
    if (link->end == ACCEPTOR) {
        buffer_append(out, link->hellos[ACCEPTOR], BUS_HELLO_BYTES);
    } else {
        proof_send(link, out);
    }
    return BUS_NOTHING;
}

static enum bus_event proof_next(struct bus_link *link, struct buffer *out) {
    const char *proof = take(link, HMAC_BYTES);
    if (proof == NULL) {
        return BUS_NOTHING;
    }
    unsigned char expected[HMAC_BYTES];
    code_of(link, proof_labels[other(link->end)], expected);
    if (!hmac_equal(proof, expected, HMAC_BYTES)) {
        return refuse(link, "it does not know this node's cluster-secret");
    }
    if (link->end == ACCEPTOR) {
        proof_send(link, out);
    }
    keys_make(link);
    link->stage = PROVED;
    return BUS_PROVED;
}

/* ---- frames ---- */

static void frame_code(struct way *way, struct span frame, unsigned char code[HMAC_BYTES]) {
    char number[8];
    bytes_store_u64(number, way->frames++);
    const struct span parts[] = {span_of(number, sizeof(number)), frame};
    hmac_code(way->key, parts, sizeof(parts) / sizeof(parts[0]), code);
}

static enum bus_event frame_next(struct bus_link *link, struct bus_frame *frame) {
    size_t there = link->input.length - link->taken;
    if (there < FRAME_HEAD_BYTES) {
        return BUS_NOTHING;
    }
    const char *head = link->input.bytes + link->taken;
    size_t length = bytes_load_u32(head);
    if (length > BUS_BODY_BYTES_MAX) {
        return refuse(link, "it sends frames that are too long");
    }
    if (there < length + BUS_FRAME_BYTES) {
        return BUS_NOTHING;
    }
    unsigned char code[HMAC_BYTES];
    const char *whole = take(link, length + BUS_FRAME_BYTES);
    frame_code(&link->ways[other(link->end)], span_of(whole, length + FRAME_HEAD_BYTES), code);
    if (!hmac_equal(whole + FRAME_HEAD_BYTES + length, code, BUS_CODE_BYTES)) {
        return refuse(link, "its frames are damaged");
    }
    *frame = (struct bus_frame){
        .kind = (unsigned char)whole[4],
        .body = span_of(whole + FRAME_HEAD_BYTES, length),
    };
    return BUS_FRAME;
}

void bus_link_send(struct bus_link *link, enum bus_kind kind, struct span body,
                   struct buffer *out) {
    unsigned char code[HMAC_BYTES];
    ASSERT(link->stage == PROVED && body.length <= BUS_BODY_BYTES_MAX);
    size_t start = out->length;
    fields_put_u32(out, (uint32_t)body.length);
    fields_put_u8(out, kind);
    buffer_append_span(out, body);
    frame_code(&link->ways[link->end], span_of(out->bytes + start, out->length - start), code);
    buffer_append(out, code, BUS_CODE_BYTES);
}

/* ---- the link ---- */

struct bus_link *bus_link_new(const struct bus_link_plan *plan, struct buffer *out) {
    struct bus_link *link = memory_alloc_zeroed(sizeof(*link));
    link->end = plan->is_connector ? CONNECTOR : ACCEPTOR;
    link->wanted = plan->wanted;
    link->secret = hmac_new(plan->secret.length == 0 ? span_of_string(no_secret) : plan->secret);
    hello_write(plan, link->hellos[link->end]);
    if (link->end == CONNECTOR) {
        buffer_append(out, link->hellos[CONNECTOR], BUS_HELLO_BYTES);
    }
    return link;
}

void bus_link_free(struct bus_link *link) {
    if (link == NULL) {
        return;
    }
    hmac_free(link->secret);
    hmac_free(link->ways[CONNECTOR].key);
    hmac_free(link->ways[ACCEPTOR].key);
    buffer_free(&link->input);
    memory_free(link);
}

void bus_link_receive(struct bus_link *link, struct span bytes) {
    if (link->stage != REFUSED) {
        buffer_append_span(&link->input, bytes);
    }
}

/* What was taken goes, once nothing points to it any more. */
static void input_settle(struct bus_link *link) {
    buffer_consume(&link->input, link->taken);
    link->taken = 0;
    if (link->input.length == 0 && link->input.capacity > INPUT_KEPT_BYTES) {
        buffer_free(&link->input);
    }
}

enum bus_event bus_link_next(struct bus_link *link, struct bus_frame *frame, struct buffer *out) {
    enum bus_event event = BUS_NOTHING;
    enum stage before;
    do {
        before = link->stage;
        switch (link->stage) {
        case NEW:
            event = hello_next(link, out);
            break;
        case GREETED:
            event = proof_next(link, out);
            break;
        case PROVED:
            event = frame_next(link, frame);
            break;
        case REFUSED:
            event = BUS_REFUSED;
            break;
        }
    } while (event == BUS_NOTHING && link->stage != before);
    if (event == BUS_NOTHING) {
        input_settle(link);
    }
    return event;
}

bool bus_link_is_proved(const struct bus_link *link) {
    return link->stage == PROVED;
}

const struct raft_id *bus_link_peer(const struct bus_link *link) {
    return &link->peer;
}

const char *bus_link_refusal(const struct bus_link *link) {
    return link->refusal;
}

size_t bus_link_bytes(const struct bus_link *link) {
    return link->input.capacity;
}
