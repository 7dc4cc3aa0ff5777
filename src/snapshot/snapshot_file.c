#include "snapshot/snapshot_file.h"

#include "base/assertion.h"
#include "base/bytes.h"

#define CHECKSUM_AT 120
#define CHUNK_CHECKED_BYTES 24

_Static_assert(SNAPSHOT_HEADER_BYTES == CHECKSUM_AT + 8, "the checksum ends the header");
_Static_assert(SNAPSHOT_END_BYTES == CHECKSUM_AT + 8, "the checksum ends the end");
_Static_assert(SNAPSHOT_CHUNK_HEADER_BYTES == CHUNK_CHECKED_BYTES + 8, "likewise a chunk's header");
_Static_assert(SNAPSHOT_CHUNK_ROW_BYTES == 8 + SNAPSHOT_CHUNK_HEADER_BYTES, "a row is a header");

static const char header_magic[8] = {'T', 'A', 'R', 'N', 'S', 'N', 'A', 'P'};
static const char end_magic[8] = {'T', 'A', 'R', 'N', 'S', 'E', 'N', 'D'};

static bool is_zero(const char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

/* ---- header ---- */

uint64_t snapshot_header_write(char *place, const struct snapshot_header *header) {
    memset(place, 0, SNAPSHOT_HEADER_BYTES);
    memcpy(place, header_magic, sizeof(header_magic));
    bytes_store_u32(place + 8, SNAPSHOT_FORMAT);
    bytes_store_u32(place + 12, header->databases);
    bytes_store_u64(place + 16, header->history.epoch);
    memcpy(place + 24, header->history.id, HISTORY_ID_BYTES);
    memcpy(place + 44, header->node_id, HISTORY_ID_BYTES);
    bytes_store_u64(place + 64, header->begin);
    bytes_store_u64(place + 72, (uint64_t)header->begin_ms);
    uint64_t checksum = checksum_bytes(span_of(place, CHECKSUM_AT));
    bytes_store_u64(place + CHECKSUM_AT, checksum);
    return checksum;
}

bool snapshot_header_read(const char *place, struct snapshot_header *header, uint64_t *checksum) {
    *checksum = checksum_bytes(span_of(place, CHECKSUM_AT));
    if (memcmp(place, header_magic, sizeof(header_magic)) != 0 ||
        bytes_load_u32(place + 8) != SNAPSHOT_FORMAT || !is_zero(place + 80, 40) ||
        bytes_load_u64(place + CHECKSUM_AT) != *checksum) {
        return false;
    }
    header->databases = bytes_load_u32(place + 12);
    header->history.epoch = bytes_load_u64(place + 16);
    memcpy(header->history.id, place + 24, HISTORY_ID_BYTES);
    memcpy(header->node_id, place + 44, HISTORY_ID_BYTES);
    header->begin = bytes_load_u64(place + 64);
    header->begin_ms = (int64_t)bytes_load_u64(place + 72);
    return header->databases >= 1 && header->databases <= STORE_DATABASES_MAX;
}

/* ---- chunks ---- */

static void chunk_head_write(char *place, const struct snapshot_chunk *chunk) {
    place[0] = (char)chunk->kind;
    place[1] = (char)chunk->codec;
    bytes_store_u16(place + 2, chunk->slot_first);
    bytes_store_u16(place + 4, chunk->slot_last);
    bytes_store_u16(place + 6, 0);
    bytes_store_u64(place + 8, chunk->stored_bytes);
    bytes_store_u64(place + 16, chunk->raw_bytes);
}

uint64_t snapshot_chunk_checksum(const struct snapshot_chunk *chunk, struct span stored) {
    char head[CHUNK_CHECKED_BYTES];
    chunk_head_write(head, chunk);
    return hash_bytes(stored, hash_bytes(span_of(head, sizeof(head)), chunk->offset));
}

void snapshot_chunk_write(char *place, struct snapshot_chunk *chunk, struct span stored) {
    ASSERT(stored.length == chunk->stored_bytes);
    chunk->checksum = snapshot_chunk_checksum(chunk, stored);
    chunk_head_write(place, chunk);
    bytes_store_u64(place + CHUNK_CHECKED_BYTES, chunk->checksum);
}

static bool chunk_is_sound(const struct snapshot_chunk *chunk) {
    bool is_image = chunk->kind == SNAPSHOT_IMAGE;
    bool slots_fit = is_image ? chunk->slot_first <= chunk->slot_last && chunk->slot_last < SLOTS
                              : chunk->slot_first == 0 && chunk->slot_last == 0;
    if (!slots_fit || chunk->kind == 0 || chunk->kind >= SNAPSHOT_KINDS) {
        return false;
    }
    if (chunk->codec == SNAPSHOT_RAW) {
        return chunk->raw_bytes == chunk->stored_bytes;
    }
    return chunk->codec == SNAPSHOT_LZ4 && chunk->raw_bytes != 0 && chunk->stored_bytes != 0 &&
           chunk->stored_bytes < chunk->raw_bytes &&
           chunk->raw_bytes <= snapshot_raw_bytes_max(SNAPSHOT_LZ4, chunk->stored_bytes);
}

bool snapshot_chunk_read(const char *place, struct snapshot_chunk *chunk) {
    chunk->kind = (enum snapshot_kind)(unsigned char)place[0];
    chunk->codec = (enum snapshot_codec)(unsigned char)place[1];
    chunk->slot_first = bytes_load_u16(place + 2);
    chunk->slot_last = bytes_load_u16(place + 4);
    chunk->stored_bytes = bytes_load_u64(place + 8);
    chunk->raw_bytes = bytes_load_u64(place + 16);
    chunk->checksum = bytes_load_u64(place + CHUNK_CHECKED_BYTES);
    return bytes_load_u16(place + 6) == 0 && chunk_is_sound(chunk);
}

const char *snapshot_kind_name(enum snapshot_kind kind) {
    switch (kind) {
    case SNAPSHOT_IMAGE:
        return "image";
    case SNAPSHOT_TAIL:
        return "tail";
    case SNAPSHOT_NODE:
        return "node";
    case SNAPSHOT_INDEX:
        return "index";
    case SNAPSHOT_KINDS:
        break;
    }
    ASSERT(false);
}

uint64_t snapshot_sum(uint64_t sum, uint64_t checksum) {
    char bytes[sizeof(checksum)];
    bytes_store_u64(bytes, checksum);
    return hash_bytes(span_of(bytes, sizeof(bytes)), sum);
}

/* ---- rows of the index ---- */

void snapshot_chunk_row_write(char *place, const struct snapshot_chunk *chunk) {
    bytes_store_u64(place, chunk->offset);
    chunk_head_write(place + 8, chunk);
    bytes_store_u64(place + 8 + CHUNK_CHECKED_BYTES, chunk->checksum);
}

bool snapshot_chunk_row_read(const char *place, struct snapshot_chunk *chunk) {
    chunk->offset = bytes_load_u64(place);
    return snapshot_chunk_read(place + 8, chunk);
}

void snapshot_slot_row_write(char *place, const struct snapshot_slot *slot) {
    bytes_store_u16(place, slot->slot);
    bytes_store_u16(place + 2, 0);
    bytes_store_u32(place + 4, slot->chunk_first);
    bytes_store_u32(place + 8, slot->chunk_end);
    bytes_store_u32(place + 12, 0);
    bytes_store_u64(place + 16, slot->position);
    bytes_store_u64(place + 24, slot->keys);
}

bool snapshot_slot_row_read(const char *place, struct snapshot_slot *slot) {
    slot->slot = bytes_load_u16(place);
    slot->chunk_first = bytes_load_u32(place + 4);
    slot->chunk_end = bytes_load_u32(place + 8);
    slot->position = bytes_load_u64(place + 16);
    slot->keys = bytes_load_u64(place + 24);
    return slot->slot < SLOTS && slot->chunk_first <= slot->chunk_end && is_zero(place + 2, 2) &&
           is_zero(place + 12, 4);
}

/* ---- end ---- */

void snapshot_end_write(char *place, const struct snapshot_end *end, uint64_t header_checksum) {
    memset(place, 0, SNAPSHOT_END_BYTES);
    memcpy(place, end_magic, sizeof(end_magic));
    bytes_store_u64(place + 8, end->size_bytes);
    bytes_store_u64(place + 16, end->index_offset);
    bytes_store_u64(place + 24, end->end);
    bytes_store_u64(place + 32, (uint64_t)end->end_ms);
    bytes_store_u64(place + 40, end->keys);
    bytes_store_u64(place + 48, end->raw_bytes);
    bytes_store_u64(place + 56, end->sum);
    bytes_store_u64(place + CHECKSUM_AT, hash_bytes(span_of(place, CHECKSUM_AT), header_checksum));
}

bool snapshot_end_read(const char *place, struct snapshot_end *end, uint64_t header_checksum) {
    if (memcmp(place, end_magic, sizeof(end_magic)) != 0 || !is_zero(place + 64, 56) ||
        bytes_load_u64(place + CHECKSUM_AT) !=
            hash_bytes(span_of(place, CHECKSUM_AT), header_checksum)) {
        return false;
    }
    end->size_bytes = bytes_load_u64(place + 8);
    end->index_offset = bytes_load_u64(place + 16);
    end->end = bytes_load_u64(place + 24);
    end->end_ms = (int64_t)bytes_load_u64(place + 32);
    end->keys = bytes_load_u64(place + 40);
    end->raw_bytes = bytes_load_u64(place + 48);
    end->sum = bytes_load_u64(place + 56);
    return true;
}
