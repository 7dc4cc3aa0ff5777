#include "cluster/bus_publication.h"

#include "base/memory.h"
#include "cluster/fields.h"

#define FLAG_SHARDED 1U
#define FLAG_MORE 2U
#define FLAGS 3U
#define PIECE_BYTES_MAX (BUS_BODY_BYTES_MAX - 1)

/* The begin of a message whose rest is still to come. */
struct part {
    struct raft_id source;
    struct buffer bytes;
};

struct bus_parts {
    struct part parts[BUS_PARTS_MAX];
    size_t count;
    struct buffer joined; /* the last message that came in pieces */
};

/* ---- sending ---- */

void bus_publication_write(struct buffer *out, struct span channel, struct span text) {
    fields_put_span(out, channel);
    buffer_append_span(out, text);
}

bool bus_publication_next(struct span *whole, bool is_sharded, struct buffer *body) {
    if (whole->length == 0) {
        return false;
    }
    size_t piece = whole->length < PIECE_BYTES_MAX ? whole->length : PIECE_BYTES_MAX;
    buffer_clear(body);
    fields_put_u8(body,
                  (is_sharded ? FLAG_SHARDED : 0U) | (piece < whole->length ? FLAG_MORE : 0U));
    buffer_append(body, whole->bytes, piece);
    *whole = span_of(whole->bytes + piece, whole->length - piece);
    return true;
}

/* ---- receiving ---- */

bool bus_publication_read(struct span whole, struct bus_publication *publication) {
    struct fields fields = {.rest = whole};
    publication->whole = whole;
    publication->channel = fields_take_span(&fields);
    publication->text = fields.rest;
    return !fields.is_bad;
}

struct bus_parts *bus_parts_new(void) {
    return memory_alloc_zeroed(sizeof(struct bus_parts));
}

void bus_parts_free(struct bus_parts *parts) {
    for (size_t i = 0; i < parts->count; i++) {
        buffer_free(&parts->parts[i].bytes);
    }
    buffer_free(&parts->joined);
    memory_free(parts);
}

static struct part *find(struct bus_parts *parts, const struct raft_id *source) {
    for (size_t i = 0; i < parts->count; i++) {
        if (raft_id_equal(&parts->parts[i].source, source)) {
            return &parts->parts[i];
        }
    }
    return NULL;
}

static void drop(struct bus_parts *parts, struct part *part) {
    buffer_free(&part->bytes);
    *part = parts->parts[--parts->count];
}

void bus_parts_forget(struct bus_parts *parts, const struct raft_id *source) {
    struct part *part = find(parts, source);
    if (part != NULL) {
        drop(parts, part);
    }
}

/* NULL: too many nodes have one. */
static struct part *find_or_add(struct bus_parts *parts, const struct raft_id *source) {
    struct part *part = find(parts, source);
    if (part == NULL && parts->count < BUS_PARTS_MAX) {
        part = &parts->parts[parts->count++];
        *part = (struct part){.source = *source};
    }
    return part;
}

static enum bus_arrival arrived(struct span whole, struct bus_publication *publication) {
    return bus_publication_read(whole, publication) ? BUS_ARRIVED : BUS_NO_SENSE;
}

enum bus_arrival bus_parts_receive(struct bus_parts *parts, const struct raft_id *source,
                                   struct span body, struct bus_publication *publication) {
    unsigned flags = body.length == 0 ? FLAGS + 1 : (unsigned char)body.bytes[0];
    buffer_free(&parts->joined);
    if (flags > FLAGS) {
        return BUS_NO_SENSE;
    }
    struct span piece = span_of(body.bytes + 1, body.length - 1);
    publication->is_sharded = (flags & FLAG_SHARDED) != 0;
    bool has_more = (flags & FLAG_MORE) != 0;
    if (!has_more && find(parts, source) == NULL) {
        return arrived(piece, publication);
    }
    struct part *part = find_or_add(parts, source);
    if (part == NULL || part->bytes.length + piece.length > BUS_PUBLICATION_BYTES_MAX) {
        return BUS_NO_SENSE;
    }
    buffer_append_span(&part->bytes, piece);
    if (has_more) {
        return BUS_AWAITED;
    }
    parts->joined = part->bytes;
    part->bytes = BUFFER_EMPTY;
    drop(parts, part);
    return arrived(buffer_span(&parts->joined), publication);
}
