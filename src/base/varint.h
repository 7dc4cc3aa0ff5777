/* Numbers of variable length: seven bits a byte, the low ones first, the top bit set in all bytes
 * but the last. What files and links hold of lengths and other numbers that are mostly small.
 */
#ifndef TARN_BASE_VARINT_H
#define TARN_BASE_VARINT_H

#include "base/span.h"

#include <stdint.h>

#define VARINT_BYTES_MAX 10
#define VARINT_BITS 7
#define VARINT_MORE 0x80

/* Writes the number to place[VARINT_BYTES_MAX]; answers where it ends. */
static inline char *varint_write(char *place, uint64_t number) {
    for (; number >= VARINT_MORE; number >>= VARINT_BITS) {
        *place++ = (char)(number | VARINT_MORE);
    }
    *place++ = (char)number;
    return place;
}

/* Takes a number from the front of rest. False: there is no whole one, or it passes 64 bits. */
static inline bool varint_read(struct span *rest, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < rest->length && i < VARINT_BYTES_MAX; i++) {
        uint64_t byte = (unsigned char)rest->bytes[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            return false;
        }
        *number |= (byte & (VARINT_MORE - 1)) << (VARINT_BITS * i);
        if ((byte & VARINT_MORE) == 0) {
            *rest = span_of(rest->bytes + i + 1, rest->length - i - 1);
            return true;
        }
    }
    return false;
}

/* Takes a length and so many bytes from the front of rest. False: they are not there. */
static inline bool varint_read_span(struct span *rest, struct span *found) {
    struct span behind = *rest;
    uint64_t length;
    if (!varint_read(&behind, &length) || length > behind.length) {
        return false;
    }
    *found = span_of(behind.bytes, (size_t)length);
    *rest = span_of(behind.bytes + length, behind.length - (size_t)length);
    return true;
}

/* Signed numbers near zero become small ones. */
static inline uint64_t varint_zigzag(int64_t number) {
    return ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
}

static inline int64_t varint_unzigzag(uint64_t number) {
    return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

#endif
