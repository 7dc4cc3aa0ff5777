#include "base/buffer.h"

#include "base/memory.h"

#include <stdio.h>

#define BUFFER_CAPACITY_MIN ((size_t)64)

void buffer_grow(struct buffer *buffer, size_t room_bytes) {
    size_t needed = buffer->length + room_bytes;
    ASSERT(needed >= room_bytes);
    size_t capacity = needed + (needed < BUFFER_DOUBLING_BYTES_MAX ? needed : needed / 4);
    if (buffer->capacity == 0 && capacity < BUFFER_CAPACITY_MIN) {
        capacity = BUFFER_CAPACITY_MIN;
    }
    capacity = memory_class_bytes(capacity);
    buffer->bytes = memory_realloc(buffer->bytes, capacity);
    buffer->capacity = capacity;
}

void buffer_append_string(struct buffer *buffer, const char *string) {
    buffer_append(buffer, string, strlen(string));
}

void buffer_format_arguments(struct buffer *buffer, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    ASSERT(length >= 0);
    char *place = buffer_reserve(buffer, (size_t)length + 1);
    vsnprintf(place, (size_t)length + 1, format, again);
    va_end(again);
    buffer_commit(buffer, (size_t)length);
}

void buffer_format(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(buffer, format, arguments);
    va_end(arguments);
}

void buffer_consume(struct buffer *buffer, size_t count) {
    ASSERT(count <= buffer->length);
    buffer->length -= count;
    if (buffer->length != 0 && count != 0) {
        memmove(buffer->bytes, buffer->bytes + count, buffer->length);
    }
}

void buffer_shrink(struct buffer *buffer) {
    if (buffer->length == 0) {
        buffer_free(buffer);
        return;
    }
    buffer->bytes = memory_realloc(buffer->bytes, buffer->length);
    buffer->capacity = buffer->length;
}

void buffer_free(struct buffer *buffer) {
    memory_free(buffer->bytes);
    *buffer = BUFFER_EMPTY;
}
