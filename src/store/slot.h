/* Slots: which of the 16384 a key lives in. CRC16 of the key, or of what stands between the first
 * "{" and the first "}" behind it, if that is not empty. Source: the Redis Cluster
 * specification. */
#ifndef TARN_STORE_SLOT_H
#define TARN_STORE_SLOT_H

#include "base/assertion.h"
#include "base/crc16.h"
#include "base/span.h"

#include <stdint.h>

#define SLOTS 16384

static inline uint16_t slot_of_key(struct span key) {
    const char *open = memchr(key.bytes, '{', key.length);
    if (UNLIKELY(open != NULL)) {
        size_t behind = key.length - (size_t)(open - key.bytes) - 1;
        const char *close = memchr(open + 1, '}', behind);
        if (close != NULL && close != open + 1) {
            key = span_of(open + 1, (size_t)(close - open) - 1);
        }
    }
    return crc16(key) & (SLOTS - 1);
}

#endif
