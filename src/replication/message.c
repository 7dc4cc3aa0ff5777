#include "replication/message.h"

#include "base/bytes.h"
#include "base/hash.h"

#define HISTORY_BYTES (8 + HISTORY_ID_BYTES)
#define HELLO_BYTES (4 + MESSAGE_NODE_ID_BYTES + 8)
#define PLAN_BYTES (4 + MESSAGE_NODE_ID_BYTES + 1 + HISTORY_BYTES + 8)
#define LINEAGE_PART_BYTES (HISTORY_BYTES + 8)
#define SLOT_BYTES 18
#define TURN_BYTES (2 * HISTORY_BYTES + 8)
#define IMAGE_HEAD_BYTES 16
#define FRAME_HEAD_BYTES 24
#define BEAT_BYTES 16
#define REPORT_BYTES 32
#define DIGEST_HEAD_BYTES 27
#define DIGEST_FLAGS (MESSAGE_DIGEST_KEYS | MESSAGE_DIGEST_INCOMPLETE | MESSAGE_DIGEST_SKIPPED)

static uint64_t checksum(const char *header, struct span body, uint64_t seed) {
    return XXH3_64bits_withSeed(body.bytes, body.length, seed ^ bytes_load_u64(header));
}

/* Begins a message with room for its body; answers where that starts. */
static char *begin(struct buffer *out, enum message_kind kind, size_t length) {
    ASSERT(length <= MESSAGE_BODY_BYTES_MAX);
    char *header = buffer_reserve(out, MESSAGE_HEADER_BYTES + length);
    bytes_store_u32(header, (uint32_t)length);
    bytes_store_u32(header + 4, (uint32_t)kind);
    return header + MESSAGE_HEADER_BYTES;
}

/* The body is there. */
static void end(struct buffer *out, uint64_t seed) {
    char *header = out->bytes + out->length;
    size_t length = bytes_load_u32(header);
    struct span body = span_of(header + MESSAGE_HEADER_BYTES, length);
    bytes_store_u64(header + 8, checksum(header, body, seed));
    buffer_commit(out, MESSAGE_HEADER_BYTES + length);
}

static char *put(char *place, const void *bytes, size_t length) {
    if (length != 0) { /* bytes may be NULL then. */
        memcpy(place, bytes, length);
    }
    return place + length;
}

static char *put_u64(char *place, uint64_t number) {
    bytes_store_u64(place, number);
    return place + 8;
}

static char *put_history(char *place, const struct history *history) {
    return put(put_u64(place, history->epoch), history->id, HISTORY_ID_BYTES);
}

static const char *take(const char *place, void *bytes, size_t length) {
    memcpy(bytes, place, length);
    return place + length;
}

static const char *take_u64(const char *place, uint64_t *number) {
    *number = bytes_load_u64(place);
    return place + 8;
}

static const char *take_time(const char *place, int64_t *time_ms) {
    *time_ms = (int64_t)bytes_load_u64(place);
    return place + 8;
}

static const char *take_history(const char *place, struct history *history) {
    return take(take_u64(place, &history->epoch), history->id, HISTORY_ID_BYTES);
}

/* ---- writing ---- */

void message_write(struct buffer *out, uint64_t seed, enum message_kind kind, struct span body) {
    put(begin(out, kind, body.length), body.bytes, body.length);
    end(out, seed);
}

static size_t lineage_bytes(const struct lineage *lineage) {
    return lineage->count * LINEAGE_PART_BYTES;
}

static void put_lineage(char *place, const struct lineage *lineage) {
    for (size_t i = 0; i < lineage->count; i++) {
        place = put_u64(put_history(place, &lineage->parts[i].history), lineage->parts[i].position);
    }
}

void message_write_hello(struct buffer *out, uint64_t seed, const struct message_hello *hello) {
    char *place = begin(out, MESSAGE_HELLO, HELLO_BYTES + lineage_bytes(&hello->lineage));
    bytes_store_u32(place, hello->version);
    place = put(place + 4, hello->node_id, MESSAGE_NODE_ID_BYTES);
    put_lineage(put_u64(place, hello->position), &hello->lineage);
    end(out, seed);
}

void message_write_plan(struct buffer *out, uint64_t seed, const struct message_plan *plan) {
    size_t slots = plan->mode == PLAN_CHANGED ? SLOT_SET_BYTES : 0;
    char *place = begin(out, MESSAGE_PLAN, PLAN_BYTES + slots + lineage_bytes(&plan->lineage));
    bytes_store_u32(place, plan->version);
    place = put(place + 4, plan->node_id, MESSAGE_NODE_ID_BYTES);
    *place++ = (char)plan->mode;
    place = put_u64(put_history(place, &plan->history), plan->position);
    put_lineage(put(place, plan->changed.bits, slots), &plan->lineage);
    end(out, seed);
}

void message_write_want(struct buffer *out, uint64_t seed, const struct slot_set *slots) {
    bool has_any = !slot_set_is_empty(slots);
    message_write(out, seed, MESSAGE_WANT,
                  span_of((const char *)slots->bits, has_any ? SLOT_SET_BYTES : 0));
}

void message_write_image(struct buffer *out, uint64_t seed, const struct message_image *image) {
    char *place = begin(out, MESSAGE_IMAGE, IMAGE_HEAD_BYTES + image->part.length);
    place = put_u64(put_u64(place, image->length), image->stored);
    put(place, image->part.bytes, image->part.length);
    end(out, seed);
}

void message_write_slots(struct buffer *out, uint64_t seed, const struct message_slot *slots,
                         size_t count) {
    ASSERT(count <= MESSAGE_SLOTS_MAX);
    char *place = begin(out, MESSAGE_SLOTS, count * SLOT_BYTES);
    for (size_t i = 0; i < count; i++) {
        bytes_store_u16(place, slots[i].slot);
        place = put_u64(put_u64(place + 2, slots[i].position), slots[i].keys);
    }
    end(out, seed);
}

void message_write_turn(struct buffer *out, uint64_t seed, const struct message_turn *turn) {
    char *place = begin(out, MESSAGE_TURN, TURN_BYTES);
    place = put_history(put_history(place, &turn->history), &turn->parent);
    put_u64(place, turn->position);
    end(out, seed);
}

void message_write_frame(struct buffer *out, uint64_t seed, const struct message_frame *frame) {
    char *place = begin(out, MESSAGE_FRAME, FRAME_HEAD_BYTES + frame->part.length);
    place = put_u64(put_u64(place, frame->position), (uint64_t)frame->time_ms);
    put(put_u64(place, frame->length), frame->part.bytes, frame->part.length);
    end(out, seed);
}

void message_write_beat(struct buffer *out, uint64_t seed, const struct message_beat *beat) {
    char *place = begin(out, MESSAGE_BEAT, BEAT_BYTES);
    put_u64(put_u64(place, beat->position), (uint64_t)beat->time_ms);
    end(out, seed);
}

void message_write_report(struct buffer *out, uint64_t seed, const struct message_report *report) {
    char *place = begin(out, MESSAGE_REPORT, REPORT_BYTES);
    place = put_u64(put_u64(place, report->written), report->synced);
    put_u64(put_u64(place, report->applied), (uint64_t)report->beat_ms);
    end(out, seed);
}

void message_write_digest(struct buffer *out, uint64_t seed, const struct message_digest *digest) {
    char *place = begin(out, MESSAGE_DIGEST, DIGEST_HEAD_BYTES + digest->rows.length);
    bytes_store_u16(place, digest->slot);
    place[2] = (char)digest->flags;
    place = put_u64(put_u64(place + 3, digest->seed), digest->sum);
    put(put_u64(place, digest->keys), digest->rows.bytes, digest->rows.length);
    end(out, seed);
}

void message_write_heal(struct buffer *out, uint64_t seed, const struct message_heal *heal) {
    char *place = begin(out, MESSAGE_HEAL, HISTORY_BYTES + SLOT_SET_BYTES);
    put(put_history(place, &heal->history), heal->slots.bits, SLOT_SET_BYTES);
    end(out, seed);
}

/* ---- reading ---- */

enum message_status message_read(struct span *bytes, uint64_t seed, enum message_kind *kind,
                                 struct span *body) {
    if (bytes->length < MESSAGE_HEADER_BYTES) {
        return MESSAGE_PARTIAL;
    }
    const char *header = bytes->bytes;
    uint32_t length = bytes_load_u32(header);
    uint32_t number = bytes_load_u32(header + 4);
    if (length > MESSAGE_BODY_BYTES_MAX || number < MESSAGE_HELLO || number >= MESSAGE_KINDS) {
        return MESSAGE_DAMAGED;
    }
    if (bytes->length - MESSAGE_HEADER_BYTES < length) {
        return MESSAGE_PARTIAL;
    }
    *body = span_of(header + MESSAGE_HEADER_BYTES, length);
    if (bytes_load_u64(header + 8) != checksum(header, *body, seed)) {
        return MESSAGE_DAMAGED;
    }
    *kind = (enum message_kind)number;
    size_t whole = MESSAGE_HEADER_BYTES + (size_t)length;
    *bytes = span_of(header + whole, bytes->length - whole);
    return MESSAGE_DONE;
}

/* All of the bytes; false: they are none. */
static bool take_lineage(struct span bytes, struct lineage *lineage) {
    size_t count = bytes.length / LINEAGE_PART_BYTES;
    if (bytes.length % LINEAGE_PART_BYTES != 0 || count > LINEAGE_PARTS_MAX) {
        return false;
    }
    lineage->count = 0;
    uint64_t before = 0;
    for (const char *place = bytes.bytes; place < bytes.bytes + bytes.length;) {
        struct lineage_part part;
        place = take_u64(take_history(place, &part.history), &part.position);
        if (part.position < before) {
            return false;
        }
        before = part.position;
        lineage_add(lineage, &part.history, part.position);
    }
    return true;
}

static struct span behind(struct span body, size_t head) {
    return span_of(body.bytes + head, body.length - head);
}

bool message_read_hello(struct span body, struct message_hello *hello) {
    if (body.length < HELLO_BYTES) {
        return false;
    }
    hello->version = bytes_load_u32(body.bytes);
    const char *place = take(body.bytes + 4, hello->node_id, MESSAGE_NODE_ID_BYTES);
    take_u64(place, &hello->position);
    const struct lineage *lineage = &hello->lineage;
    return take_lineage(behind(body, HELLO_BYTES), &hello->lineage) &&
           (lineage->count == 0 || lineage->parts[lineage->count - 1].position <= hello->position);
}

bool message_read_plan(struct span body, struct message_plan *plan) {
    if (body.length < PLAN_BYTES) {
        return false;
    }
    plan->version = bytes_load_u32(body.bytes);
    const char *place = take(body.bytes + 4, plan->node_id, MESSAGE_NODE_ID_BYTES);
    unsigned char mode = (unsigned char)*place;
    take_u64(take_history(place + 1, &plan->history), &plan->position);
    if (mode < PLAN_GO_ON || mode > PLAN_CHANGED) {
        return false;
    }
    plan->mode = (enum plan_mode)mode;
    struct span rest = behind(body, PLAN_BYTES);
    if (plan->mode == PLAN_CHANGED) {
        if (rest.length < SLOT_SET_BYTES) {
            return false;
        }
        take(rest.bytes, plan->changed.bits, SLOT_SET_BYTES);
        rest = behind(rest, SLOT_SET_BYTES);
    }
    return take_lineage(rest, &plan->lineage);
}

bool message_read_want(struct span body, struct slot_set *slots) {
    slot_set_clear(slots);
    if (body.length == SLOT_SET_BYTES) {
        memcpy(slots->bits, body.bytes, SLOT_SET_BYTES);
    }
    return body.length == SLOT_SET_BYTES || body.length == 0;
}

bool message_read_image(struct span body, struct message_image *image) {
    if (body.length < IMAGE_HEAD_BYTES) {
        return false;
    }
    take_u64(take_u64(body.bytes, &image->length), &image->stored);
    image->part = behind(body, IMAGE_HEAD_BYTES);
    return image->stored <= image->length && image->part.length <= image->stored;
}

bool message_read_slot(struct span *body, struct message_slot *slot) {
    if (body->length < SLOT_BYTES) {
        return false;
    }
    slot->slot = bytes_load_u16(body->bytes);
    take_u64(take_u64(body->bytes + 2, &slot->position), &slot->keys);
    *body = behind(*body, SLOT_BYTES);
    return slot->slot < SLOTS;
}

bool message_read_turn(struct span body, struct message_turn *turn) {
    if (body.length != TURN_BYTES) {
        return false;
    }
    const char *place = take_history(take_history(body.bytes, &turn->history), &turn->parent);
    take_u64(place, &turn->position);
    return true;
}

bool message_read_frame(struct span body, struct message_frame *frame) {
    if (body.length < FRAME_HEAD_BYTES) {
        return false;
    }
    const char *place = take_time(take_u64(body.bytes, &frame->position), &frame->time_ms);
    take_u64(place, &frame->length);
    frame->part = behind(body, FRAME_HEAD_BYTES);
    return frame->length > 0 && frame->part.length <= frame->length;
}

bool message_read_beat(struct span body, struct message_beat *beat) {
    if (body.length != BEAT_BYTES) {
        return false;
    }
    take_time(take_u64(body.bytes, &beat->position), &beat->time_ms);
    return true;
}

bool message_read_report(struct span body, struct message_report *report) {
    if (body.length != REPORT_BYTES) {
        return false;
    }
    const char *place = take_u64(take_u64(body.bytes, &report->written), &report->synced);
    take_time(take_u64(place, &report->applied), &report->beat_ms);
    return true;
}

bool message_read_digest(struct span body, struct message_digest *digest) {
    if (body.length < DIGEST_HEAD_BYTES) {
        return false;
    }
    digest->slot = bytes_load_u16(body.bytes);
    digest->flags = (unsigned char)body.bytes[2];
    const char *place = take_u64(take_u64(body.bytes + 3, &digest->seed), &digest->sum);
    take_u64(place, &digest->keys);
    digest->rows = behind(body, DIGEST_HEAD_BYTES);
    return digest->slot < SLOTS && (digest->flags & ~DIGEST_FLAGS) == 0;
}

bool message_read_heal(struct span body, struct message_heal *heal) {
    if (body.length != HISTORY_BYTES + SLOT_SET_BYTES) {
        return false;
    }
    const char *place = take_history(body.bytes, &heal->history);
    take(place, heal->slots.bits, SLOT_SET_BYTES);
    return true;
}
