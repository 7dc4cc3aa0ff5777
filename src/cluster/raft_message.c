#include "cluster/raft_message.h"

#include "base/bytes.h"
#include "base/hash.h"

#define ENVELOPE_BYTES (3 * RAFT_ID_BYTES + 8)
#define ENTRY_HEAD_BYTES 13
#define APPEND_HEAD_BYTES 32
#define PIECE_HEAD_BYTES 48

#define FLAG_PRE 1
#define FLAG_TRANSFER 2
#define FLAG_GRANTED 2
#define FLAG_ACCEPTED 1

_Static_assert(ENVELOPE_BYTES + APPEND_HEAD_BYTES + RAFT_APPEND_ENTRIES_MAX * ENTRY_HEAD_BYTES +
                       RAFT_APPEND_BYTES_MAX + RAFT_ENTRY_BYTES_MAX <=
                   RAFT_MESSAGE_BODY_BYTES_MAX,
               "an append fits into a body");
_Static_assert(ENVELOPE_BYTES + PIECE_HEAD_BYTES + RAFT_PIECE_BYTES_MAX <=
                   RAFT_MESSAGE_BODY_BYTES_MAX,
               "a piece fits into a body");

/* ---- writing ---- */

static void put_u64(struct buffer *out, uint64_t number) {
    bytes_store_u64(buffer_reserve(out, 8), number);
    buffer_commit(out, 8);
}

static void put_id(struct buffer *out, const struct raft_id *id) {
    buffer_append(out, id->bytes, RAFT_ID_BYTES);
}

static void put_flags(struct buffer *out, bool first, bool second) {
    buffer_append_byte(out, (char)((first ? 1 : 0) | (second ? 2 : 0)));
}

static void put_entries(struct buffer *out, const struct raft_append *append) {
    ASSERT(append->count <= RAFT_APPEND_ENTRIES_MAX);
    for (size_t i = 0; i < append->count; i++) {
        const struct raft_entry *entry = &append->entries[i];
        put_u64(out, entry->term);
        buffer_append_byte(out, (char)entry->kind);
        bytes_store_u32(buffer_reserve(out, 4), (uint32_t)entry->bytes.length);
        buffer_commit(out, 4);
        buffer_append_span(out, entry->bytes);
    }
}

static void put_snapshot_name(struct buffer *out, const struct raft_snapshot_name *name) {
    put_u64(out, name->index);
    put_u64(out, name->term);
    put_u64(out, name->size);
    put_u64(out, name->checksum);
}

static void put_append(struct buffer *out, const struct raft_append *append) {
    put_u64(out, append->previous_index);
    put_u64(out, append->previous_term);
    put_u64(out, append->commit);
    put_u64(out, append->round);
    put_entries(out, append);
}

static void put_append_answer(struct buffer *out, const struct raft_append_answer *answer) {
    put_flags(out, answer->is_accepted, false);
    put_u64(out, answer->index);
    put_u64(out, answer->hint_index);
    put_u64(out, answer->hint_term);
    put_u64(out, answer->round);
}

static void put_piece(struct buffer *out, const struct raft_piece *piece) {
    put_snapshot_name(out, &piece->snapshot);
    put_u64(out, piece->offset);
    put_u64(out, piece->round);
    buffer_append_span(out, piece->bytes);
}

static void put_content(struct buffer *out, const struct raft_message *message) {
    switch (message->kind) {
    case RAFT_VOTE:
        put_flags(out, message->vote.is_pre, message->vote.is_transfer);
        put_u64(out, message->vote.last_index);
        put_u64(out, message->vote.last_term);
        break;
    case RAFT_VOTE_ANSWER:
        put_flags(out, message->vote_answer.is_pre, message->vote_answer.is_granted);
        break;
    case RAFT_APPEND:
        put_append(out, &message->append);
        break;
    case RAFT_APPEND_ANSWER:
        put_append_answer(out, &message->append_answer);
        break;
    case RAFT_PIECE:
        put_piece(out, &message->piece);
        break;
    case RAFT_PIECE_ANSWER:
        put_snapshot_name(out, &message->piece_answer.snapshot);
        put_u64(out, message->piece_answer.offset);
        put_u64(out, message->piece_answer.round);
        break;
    case RAFT_TAKE_OVER:
        break;
    case RAFT_READ:
        put_u64(out, message->read.nonce);
        put_u64(out, message->read.number);
        break;
    case RAFT_READ_ANSWER:
        put_u64(out, message->read_answer.nonce);
        put_u64(out, message->read_answer.number);
        put_u64(out, message->read_answer.index);
        break;
    }
}

static uint64_t checksum(const char *header, struct span body, uint64_t seed) {
    return XXH3_64bits_withSeed(body.bytes, body.length, seed ^ bytes_load_u64(header));
}

void raft_message_write(const struct raft_message *message, uint64_t seed, struct buffer *out) {
    size_t start = out->length;
    memset(buffer_reserve(out, RAFT_MESSAGE_HEADER_BYTES), 0, RAFT_MESSAGE_HEADER_BYTES);
    buffer_commit(out, RAFT_MESSAGE_HEADER_BYTES);
    put_id(out, &message->group);
    put_id(out, &message->source);
    put_id(out, &message->target);
    put_u64(out, message->term);
    put_content(out, message);
    char *header = out->bytes + start;
    struct span body = span_of(header + RAFT_MESSAGE_HEADER_BYTES,
                               out->length - start - RAFT_MESSAGE_HEADER_BYTES);
    ASSERT(body.length <= RAFT_MESSAGE_BODY_BYTES_MAX);
    bytes_store_u32(header, (uint32_t)body.length);
    header[4] = (char)message->kind;
    header[5] = RAFT_MESSAGE_VERSION;
    bytes_store_u64(header + 8, checksum(header, body, seed));
}

/* ---- reading ---- */

/* Takes bytes off the front; each is preceded by a check that they are there. */
static uint64_t take_u64(struct span *body) {
    uint64_t number = bytes_load_u64(body->bytes);
    *body = span_of(body->bytes + 8, body->length - 8);
    return number;
}

static unsigned char take_byte(struct span *body) {
    unsigned char byte = (unsigned char)body->bytes[0];
    *body = span_of(body->bytes + 1, body->length - 1);
    return byte;
}

static void take_id(struct span *body, struct raft_id *id) {
    memcpy(id->bytes, body->bytes, RAFT_ID_BYTES);
    *body = span_of(body->bytes + RAFT_ID_BYTES, body->length - RAFT_ID_BYTES);
}

static void take_snapshot_name(struct span *body, struct raft_snapshot_name *name) {
    name->index = take_u64(body);
    name->term = take_u64(body);
    name->size = take_u64(body);
    name->checksum = take_u64(body);
}

static bool snapshot_name_is_sound(const struct raft_message *message,
                                   const struct raft_snapshot_name *name) {
    return name->index > 0 && name->index < RAFT_NUMBER_MAX && name->term > 0 &&
           name->term <= message->term && name->size > 0 && name->size <= RAFT_SNAPSHOT_BYTES_MAX;
}

static bool read_vote(struct span body, struct raft_message *message) {
    if (body.length != 17) {
        return false;
    }
    unsigned char flags = take_byte(&body);
    message->vote.is_pre = (flags & FLAG_PRE) != 0;
    message->vote.is_transfer = (flags & FLAG_TRANSFER) != 0;
    message->vote.last_index = take_u64(&body);
    message->vote.last_term = take_u64(&body);
    return flags < FLAG_PRE + FLAG_TRANSFER && message->vote.last_term < message->term;
}

static bool read_vote_answer(struct span body, struct raft_message *message) {
    if (body.length != 1) {
        return false;
    }
    unsigned char flags = take_byte(&body);
    message->vote_answer.is_pre = (flags & FLAG_PRE) != 0;
    message->vote_answer.is_granted = (flags & FLAG_GRANTED) != 0;
    return flags <= FLAG_PRE + FLAG_GRANTED;
}

/* An entry that holds a configuration holds nothing else. */
static bool is_content(const struct raft_entry *entry) {
    if (entry->kind == RAFT_ENTRY_NO_OP) {
        return entry->bytes.length == 0;
    }
    if (entry->kind != RAFT_ENTRY_CONFIG) {
        return entry->kind == RAFT_ENTRY_NORMAL;
    }
    struct raft_config config = RAFT_CONFIG_EMPTY;
    struct span rest = entry->bytes;
    bool is_whole = raft_config_read(&config, &rest) && rest.length == 0;
    raft_config_free(&config);
    return is_whole;
}

static bool read_entry(struct span *body, struct raft_entry *entry) {
    if (body->length < ENTRY_HEAD_BYTES) {
        return false;
    }
    entry->term = take_u64(body);
    entry->kind = (enum raft_entry_kind)take_byte(body);
    size_t length = bytes_load_u32(body->bytes);
    *body = span_of(body->bytes + 4, body->length - 4);
    if (length > RAFT_ENTRY_BYTES_MAX || length > body->length) {
        return false;
    }
    entry->bytes = span_of(body->bytes, length);
    *body = span_of(body->bytes + length, body->length - length);
    return is_content(entry);
}

static bool read_append(struct span body, struct raft_message *message,
                        struct raft_message_entries *entries) {
    if (body.length < APPEND_HEAD_BYTES) {
        return false;
    }
    struct raft_append *append = &message->append;
    append->previous_index = take_u64(&body);
    append->previous_term = take_u64(&body);
    append->commit = take_u64(&body);
    append->round = take_u64(&body);
    append->entries = entries->entries;
    append->count = 0;
    uint64_t term = append->previous_term;
    while (body.length > 0) {
        if (append->count == RAFT_APPEND_ENTRIES_MAX) {
            return false;
        }
        struct raft_entry *entry = &entries->entries[append->count];
        if (!read_entry(&body, entry) || entry->term < term || entry->term == 0) {
            return false;
        }
        term = entry->term;
        append->count++;
    }
    return term <= message->term && append->previous_index <= UINT64_MAX - append->count &&
           (append->previous_index == 0) == (append->previous_term == 0);
}

static bool read_append_answer(struct span body, struct raft_message *message) {
    if (body.length != 33) {
        return false;
    }
    struct raft_append_answer *answer = &message->append_answer;
    unsigned char flags = take_byte(&body);
    answer->is_accepted = flags == FLAG_ACCEPTED;
    answer->index = take_u64(&body);
    answer->hint_index = take_u64(&body);
    answer->hint_term = take_u64(&body);
    answer->round = take_u64(&body);
    return flags <= FLAG_ACCEPTED;
}

static bool read_piece(struct span body, struct raft_message *message) {
    if (body.length < PIECE_HEAD_BYTES) {
        return false;
    }
    struct raft_piece *piece = &message->piece;
    take_snapshot_name(&body, &piece->snapshot);
    piece->offset = take_u64(&body);
    piece->round = take_u64(&body);
    piece->bytes = body;
    return snapshot_name_is_sound(message, &piece->snapshot) &&
           body.length <= RAFT_PIECE_BYTES_MAX && piece->offset <= piece->snapshot.size &&
           body.length <= piece->snapshot.size - piece->offset;
}

static bool read_piece_answer(struct span body, struct raft_message *message) {
    if (body.length != PIECE_HEAD_BYTES) {
        return false;
    }
    struct raft_piece_answer *answer = &message->piece_answer;
    take_snapshot_name(&body, &answer->snapshot);
    answer->offset = take_u64(&body);
    answer->round = take_u64(&body);
    return snapshot_name_is_sound(message, &answer->snapshot) &&
           answer->offset <= answer->snapshot.size;
}

static bool read_read(struct span body, struct raft_message *message) {
    if (body.length != 16) {
        return false;
    }
    message->read.nonce = take_u64(&body);
    message->read.number = take_u64(&body);
    return true;
}

static bool read_read_answer(struct span body, struct raft_message *message) {
    if (body.length != 24) {
        return false;
    }
    message->read_answer.nonce = take_u64(&body);
    message->read_answer.number = take_u64(&body);
    message->read_answer.index = take_u64(&body);
    return true;
}

static bool read_content(struct span body, struct raft_message *message,
                         struct raft_message_entries *entries) {
    switch (message->kind) {
    case RAFT_VOTE:
        return read_vote(body, message);
    case RAFT_VOTE_ANSWER:
        return read_vote_answer(body, message);
    case RAFT_APPEND:
        return read_append(body, message, entries);
    case RAFT_APPEND_ANSWER:
        return read_append_answer(body, message);
    case RAFT_PIECE:
        return read_piece(body, message);
    case RAFT_PIECE_ANSWER:
        return read_piece_answer(body, message);
    case RAFT_TAKE_OVER:
        return body.length == 0;
    case RAFT_READ:
        return read_read(body, message);
    case RAFT_READ_ANSWER:
        return read_read_answer(body, message);
    }
    return false;
}

static bool read_body(struct span body, struct raft_message *message,
                      struct raft_message_entries *entries) {
    if (body.length < ENVELOPE_BYTES) {
        return false;
    }
    take_id(&body, &message->group);
    take_id(&body, &message->source);
    take_id(&body, &message->target);
    message->term = take_u64(&body);
    return message->term < RAFT_NUMBER_MAX && read_content(body, message, entries);
}

enum raft_message_status raft_message_read(struct span *bytes, uint64_t seed,
                                           struct raft_message *message,
                                           struct raft_message_entries *entries) {
    if (bytes->length < RAFT_MESSAGE_HEADER_BYTES) {
        return RAFT_MESSAGE_PARTIAL;
    }
    const char *header = bytes->bytes;
    uint32_t length = bytes_load_u32(header);
    if (length > RAFT_MESSAGE_BODY_BYTES_MAX) {
        return RAFT_MESSAGE_DAMAGED;
    }
    if (bytes->length - RAFT_MESSAGE_HEADER_BYTES < length) {
        return RAFT_MESSAGE_PARTIAL;
    }
    struct span body = span_of(header + RAFT_MESSAGE_HEADER_BYTES, length);
    if (bytes_load_u64(header + 8) != checksum(header, body, seed)) {
        return RAFT_MESSAGE_DAMAGED;
    }
    if (header[5] != RAFT_MESSAGE_VERSION) {
        return RAFT_MESSAGE_FOREIGN;
    }
    *message = (struct raft_message){.kind = (enum raft_message_kind)(unsigned char)header[4]};
    if (bytes_load_u16(header + 6) != 0 || !read_body(body, message, entries)) {
        return RAFT_MESSAGE_DAMAGED;
    }
    size_t whole = RAFT_MESSAGE_HEADER_BYTES + (size_t)length;
    *bytes = span_of(header + whole, bytes->length - whole);
    return RAFT_MESSAGE_DONE;
}
