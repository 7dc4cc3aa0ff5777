/* Hashes and checksums: XXH3 of the xxHash library.
 *
 * Table hashes are seeded with a secret drawn at start, so that a client cannot choose keys that
 * collide. Checksums are unseeded: they mean the same on every node, for ever.
 */
#ifndef TARN_BASE_HASH_H
#define TARN_BASE_HASH_H

#include "base/span.h"

#include <stdint.h>

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <xxhash.h>
#pragma GCC diagnostic pop

/* The 64-bit hash of a key or field under the node's secret. */
static inline uint64_t hash_bytes(struct span bytes, uint64_t secret) {
    return XXH3_64bits_withSeed(bytes.bytes, bytes.length, secret);
}

/* The 64-bit checksum of stored or sent bytes. */
static inline uint64_t checksum_bytes(struct span bytes) {
    return XXH3_64bits(bytes.bytes, bytes.length);
}

#endif
