/* Fields: numbers, names and texts one behind the other, as messages, entries and files hold them.
 * Numbers are little endian; a short text has its length in a byte before it, a long one in four.
 *
 * Reading: fields_take_...() from the front; what is not there, or is wrong, makes is_bad true for
 * good and gives zeros, so one look at the end is enough.
 */
#ifndef TARN_CLUSTER_FIELDS_H
#define TARN_CLUSTER_FIELDS_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "cluster/raft_id.h"

struct fields {
    struct span rest;
    bool is_bad;
};

static inline void fields_put_u8(struct buffer *out, unsigned number) {
    buffer_append_byte(out, (char)number);
}

static inline void fields_put_u16(struct buffer *out, uint16_t number) {
    bytes_store_u16(buffer_reserve(out, 2), number);
    buffer_commit(out, 2);
}

static inline void fields_put_u32(struct buffer *out, uint32_t number) {
    bytes_store_u32(buffer_reserve(out, 4), number);
    buffer_commit(out, 4);
}

static inline void fields_put_u64(struct buffer *out, uint64_t number) {
    bytes_store_u64(buffer_reserve(out, 8), number);
    buffer_commit(out, 8);
}

static inline void fields_put_id(struct buffer *out, const struct raft_id *id) {
    buffer_append(out, id->bytes, RAFT_ID_BYTES);
}

/* At most 255 bytes of it. */
static inline void fields_put_text(struct buffer *out, const char *text) {
    size_t length = strlen(text);
    length = length < 255 ? length : 255;
    fields_put_u8(out, (unsigned)length);
    buffer_append(out, text, length);
}

static inline void fields_put_span(struct buffer *out, struct span bytes) {
    fields_put_u32(out, (uint32_t)bytes.length);
    buffer_append_span(out, bytes);
}

/* NULL: they are not there. */
static inline const char *fields_take(struct fields *fields, size_t length) {
    if (fields->is_bad || fields->rest.length < length) {
        fields->is_bad = true;
        return NULL;
    }
    const char *front = fields->rest.bytes;
    fields->rest = span_of(front + length, fields->rest.length - length);
    return front;
}

static inline unsigned fields_take_u8(struct fields *fields) {
    const char *front = fields_take(fields, 1);
    return front == NULL ? 0 : (unsigned char)*front;
}

static inline uint16_t fields_take_u16(struct fields *fields) {
    const char *front = fields_take(fields, 2);
    return front == NULL ? 0 : bytes_load_u16(front);
}

static inline uint32_t fields_take_u32(struct fields *fields) {
    const char *front = fields_take(fields, 4);
    return front == NULL ? 0 : bytes_load_u32(front);
}

static inline uint64_t fields_take_u64(struct fields *fields) {
    const char *front = fields_take(fields, 8);
    return front == NULL ? 0 : bytes_load_u64(front);
}

static inline struct raft_id fields_take_id(struct fields *fields) {
    struct raft_id id = RAFT_ID_NONE;
    const char *front = fields_take(fields, RAFT_ID_BYTES);
    if (front != NULL) {
        memcpy(id.bytes, front, RAFT_ID_BYTES);
    }
    return id;
}

/* text[capacity] becomes a C string. */
static inline void fields_take_text(struct fields *fields, char *text, size_t capacity) {
    size_t length = fields_take_u8(fields);
    const char *front = fields_take(fields, length);
    text[0] = '\0';
    if (front == NULL || length >= capacity || memchr(front, '\0', length) != NULL) {
        fields->is_bad = true;
        return;
    }
    memcpy(text, front, length);
    text[length] = '\0';
}

static inline struct span fields_take_span(struct fields *fields) {
    size_t length = fields_take_u32(fields);
    const char *front = fields_take(fields, length);
    return front == NULL ? span_of(NULL, 0) : span_of(front, length);
}

/* All was there, and nothing is left. */
static inline bool fields_end(const struct fields *fields) {
    return !fields->is_bad && fields->rest.length == 0;
}

#endif
