#include "snapshot/snapshot_section.h"

#include "base/bytes.h"

#define PAIR_HEAD_BYTES 12

void snapshot_frame_write(struct buffer *out, const struct snapshot_frame *frame) {
    char *place = buffer_reserve(out, SNAPSHOT_FRAME_HEAD_BYTES + frame->content.length);
    bytes_store_u64(place, frame->position);
    bytes_store_u64(place + 8, (uint64_t)frame->time_ms);
    bytes_store_u64(place + 16, frame->content.length);
    buffer_commit(out, SNAPSHOT_FRAME_HEAD_BYTES);
    buffer_append_span(out, frame->content);
}

enum snapshot_section_status snapshot_frame_read(struct span *content,
                                                 struct snapshot_frame *frame) {
    if (content->length == 0) {
        return SNAPSHOT_SECTION_END;
    }
    if (content->length < SNAPSHOT_FRAME_HEAD_BYTES) {
        return SNAPSHOT_SECTION_DAMAGED;
    }
    const char *place = content->bytes;
    size_t left = content->length - SNAPSHOT_FRAME_HEAD_BYTES;
    uint64_t length = bytes_load_u64(place + 16);
    if (length > left) {
        return SNAPSHOT_SECTION_DAMAGED;
    }
    frame->position = bytes_load_u64(place);
    frame->time_ms = (int64_t)bytes_load_u64(place + 8);
    frame->content = span_of(place + SNAPSHOT_FRAME_HEAD_BYTES, (size_t)length);
    *content = span_of(frame->content.bytes + length, left - (size_t)length);
    return SNAPSHOT_SECTION_DONE;
}

void snapshot_pair_write(struct buffer *out, const struct snapshot_pair *pair) {
    ASSERT(pair->name.length <= UINT32_MAX);
    char *place = buffer_reserve(out, PAIR_HEAD_BYTES + pair->name.length + pair->value.length);
    bytes_store_u32(place, (uint32_t)pair->name.length);
    bytes_store_u64(place + 4, pair->value.length);
    buffer_commit(out, PAIR_HEAD_BYTES);
    buffer_append_span(out, pair->name);
    buffer_append_span(out, pair->value);
}

enum snapshot_section_status snapshot_pair_read(struct span *content, struct snapshot_pair *pair) {
    if (content->length == 0) {
        return SNAPSHOT_SECTION_END;
    }
    if (content->length < PAIR_HEAD_BYTES) {
        return SNAPSHOT_SECTION_DAMAGED;
    }
    const char *place = content->bytes;
    size_t left = content->length - PAIR_HEAD_BYTES;
    uint32_t name_length = bytes_load_u32(place);
    uint64_t value_length = bytes_load_u64(place + 4);
    if (name_length > left || value_length > left - name_length) {
        return SNAPSHOT_SECTION_DAMAGED;
    }
    pair->name = span_of(place + PAIR_HEAD_BYTES, name_length);
    pair->value = span_of(place + PAIR_HEAD_BYTES + name_length, (size_t)value_length);
    left -= name_length + (size_t)value_length;
    *content = span_of(pair->value.bytes + value_length, left);
    return SNAPSHOT_SECTION_DONE;
}
