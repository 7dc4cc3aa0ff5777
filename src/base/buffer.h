/* A growable run of bytes that owns its memory.
 *
 * Lifecycle: BUFFER_EMPTY, then appends, then buffer_free(). Growth doubles
 * up to BUFFER_DOUBLING_BYTES_MAX, and adds a quarter from there. One owner, one thread at a time.
 * bytes[0..length) is content; capacity - length bytes behind it may be written to before
 * buffer_commit().
 */
#ifndef TARN_BASE_BUFFER_H
#define TARN_BASE_BUFFER_H

#include "base/assertion.h"
#include "base/span.h"

#include <stdarg.h>
#include <stdint.h>

#define BUFFER_DOUBLING_BYTES_MAX ((size_t)1024 * 1024)

struct buffer {
    char *bytes;
    size_t length;
    size_t capacity;
};

#define BUFFER_EMPTY ((struct buffer){.bytes = NULL, .length = 0, .capacity = 0})

/* The slow half of buffer_reserve(). */
void buffer_grow(struct buffer *buffer, size_t room_bytes);

/* Makes room for room_bytes more; answers where they start. */
static inline char *buffer_reserve(struct buffer *buffer, size_t room_bytes) {
    if (UNLIKELY(buffer->capacity - buffer->length < room_bytes)) {
        buffer_grow(buffer, room_bytes);
    }
    return buffer->bytes + buffer->length;
}

/* The bytes written behind buffer_reserve() become content. */
static inline void buffer_commit(struct buffer *buffer, size_t written_bytes) {
    buffer->length += written_bytes;
}

static inline void buffer_append(struct buffer *buffer, const void *bytes, size_t length) {
    if (length != 0) {
        memcpy(buffer_reserve(buffer, length), bytes, length);
        buffer->length += length;
    }
}

static inline void buffer_append_span(struct buffer *buffer, struct span span) {
    buffer_append(buffer, span.bytes, span.length);
}

static inline void buffer_append_byte(struct buffer *buffer, char byte) {
    *buffer_reserve(buffer, 1) = byte;
    buffer->length++;
}

static inline struct span buffer_span(const struct buffer *buffer) {
    return span_of(buffer->bytes, buffer->length);
}

static inline void buffer_clear(struct buffer *buffer) {
    buffer->length = 0;
}

void buffer_append_string(struct buffer *buffer, const char *string);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_format_arguments(struct buffer *buffer, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
/* Drops the first `count` bytes, moving the rest down. */
void buffer_consume(struct buffer *buffer, size_t count);
/* Gives back capacity beyond the content. */
void buffer_shrink(struct buffer *buffer);
void buffer_free(struct buffer *buffer);

#endif
