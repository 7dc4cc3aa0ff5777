#include "oplog/segment.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/numbers.h"

#include <stdio.h>

#define MAGIC "TARNLOG"
#define POSITION_DIGITS 20
#define EPOCH_DIGITS 10
#define FRAME_CHECKSUM_AT (OPLOG_FRAME_HEADER_BYTES - 8)
#define SEGMENT_CHECKSUM_AT (OPLOG_SEGMENT_HEADER_BYTES - 8)

_Static_assert(sizeof(MAGIC) == 8, "the magic has eight bytes, the zero included");

void segment_header_write(unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES],
                          const struct segment_header *header) {
    memset(bytes, 0, OPLOG_SEGMENT_HEADER_BYTES);
    memcpy(bytes, MAGIC, sizeof(MAGIC));
    bytes_store_u32(bytes + 8, OPLOG_FORMAT);
    bytes_store_u64(bytes + 16, header->history.epoch);
    memcpy(bytes + 24, header->history.id, HISTORY_ID_BYTES);
    memcpy(bytes + 44, header->node_id, OPLOG_NODE_ID_BYTES);
    bytes_store_u64(bytes + 64, header->first);
    bytes_store_u64(bytes + 72, header->begin);
    bytes_store_u64(bytes + 80, header->parent.epoch);
    memcpy(bytes + 88, header->parent.id, HISTORY_ID_BYTES);
    bytes_store_u64(bytes + SEGMENT_CHECKSUM_AT,
                    checksum_bytes(span_of(bytes, SEGMENT_CHECKSUM_AT)));
}

const char *segment_header_read(const unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES],
                                struct segment_header *header) {
    if (memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0) {
        return "the magic number of a log segment is missing";
    }
    if (bytes_load_u64(bytes + SEGMENT_CHECKSUM_AT) !=
        checksum_bytes(span_of(bytes, SEGMENT_CHECKSUM_AT))) {
        return "the checksum of the segment's header does not fit";
    }
    if (bytes_load_u32(bytes + 8) != OPLOG_FORMAT) {
        return "the format version is not one that this program knows";
    }
    header->history.epoch = bytes_load_u64(bytes + 16);
    memcpy(header->history.id, bytes + 24, HISTORY_ID_BYTES);
    memcpy(header->node_id, bytes + 44, OPLOG_NODE_ID_BYTES);
    header->first = bytes_load_u64(bytes + 64);
    header->begin = bytes_load_u64(bytes + 72);
    header->parent.epoch = bytes_load_u64(bytes + 80);
    memcpy(header->parent.id, bytes + 88, HISTORY_ID_BYTES);
    return NULL;
}

/* Frames of another history that a file once held must not pass for ours. */
static uint64_t frame_checksum(const unsigned char *bytes, const struct history *history) {
    uint64_t seed = bytes_load_u64(history->id) ^ bytes_load_u64(history->id + 8) ^
                    ((uint64_t)bytes_load_u32(history->id + 16) << 32) ^ history->epoch;
    return XXH3_64bits_withSeed(bytes, FRAME_CHECKSUM_AT, seed);
}

void frame_header_write(unsigned char bytes[OPLOG_FRAME_HEADER_BYTES],
                        const struct frame_header *header, const struct history *history) {
    bytes_store_u64(bytes, header->length);
    bytes_store_u64(bytes + 8, header->position);
    bytes_store_u64(bytes + 16, (uint64_t)header->time_ms);
    bytes_store_u64(bytes + 24, header->synced);
    bytes_store_u64(bytes + 32, header->checksum);
    bytes_store_u64(bytes + FRAME_CHECKSUM_AT, frame_checksum(bytes, history));
}

bool frame_header_read(const unsigned char bytes[OPLOG_FRAME_HEADER_BYTES],
                       const struct history *history, struct frame_header *header) {
    *header = (struct frame_header){
        .length = bytes_load_u64(bytes),
        .position = bytes_load_u64(bytes + 8),
        .time_ms = (int64_t)bytes_load_u64(bytes + 16),
        .synced = bytes_load_u64(bytes + 24),
        .checksum = bytes_load_u64(bytes + 32),
    };
    return header->length > 0 &&
           bytes_load_u64(bytes + FRAME_CHECKSUM_AT) == frame_checksum(bytes, history);
}

void segment_name_write(char text[SEGMENT_NAME_BYTES], struct segment_name name) {
    snprintf(text, SEGMENT_NAME_BYTES, "%0*llu-%0*llu.log", POSITION_DIGITS,
             (unsigned long long)name.first, EPOCH_DIGITS, (unsigned long long)name.epoch);
}

/* The only text of a number that counts is the one that we would write. */
bool segment_name_read(const char *text, struct segment_name *name) {
    static const char digits[] = "0123456789";
    size_t first_length = strspn(text, digits);
    if (first_length != POSITION_DIGITS || text[first_length] != '-') {
        return false;
    }
    const char *epoch = text + first_length + 1;
    size_t epoch_length = strspn(epoch, digits);
    const char *first = text;
    while (first_length > 1 && *first == '0') {
        first++;
        first_length--;
    }
    while (epoch_length > 1 && *epoch == '0') {
        epoch++;
        epoch_length--;
    }
    if (!number_parse_unsigned(span_of(first, first_length), &name->first) ||
        !number_parse_unsigned(span_of(epoch, epoch_length), &name->epoch)) {
        return false;
    }
    char written[SEGMENT_NAME_BYTES];
    segment_name_write(written, *name);
    return strcmp(text, written) == 0;
}
