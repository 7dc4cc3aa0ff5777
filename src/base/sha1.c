#include "base/sha1.h"

#include <stdint.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)64)
#define STATE_WORDS 5
#define ROUNDS 80

static uint32_t rotate(uint32_t word, unsigned bits) {
    return word << bits | word >> (32 - bits);
}

static uint32_t load_big_endian(const unsigned char *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The standard's f and K, by quarters of the rounds. */
static uint32_t mix(const uint32_t v[STATE_WORDS], unsigned round) {
    switch (round / 20) {
    case 0:
        return ((v[1] & v[2]) | (~v[1] & v[3])) + UINT32_C(0x5a827999);
    case 1:
        return (v[1] ^ v[2] ^ v[3]) + UINT32_C(0x6ed9eba1);
    case 2:
        return ((v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])) + UINT32_C(0x8f1bbcdc);
    default:
        return (v[1] ^ v[2] ^ v[3]) + UINT32_C(0xca62c1d6);
    }
}

static void take_block(uint32_t state[STATE_WORDS], const unsigned char *block) {
    uint32_t words[ROUNDS];
    for (unsigned i = 0; i < 16; i++) {
        words[i] = load_big_endian(block + (size_t)i * 4);
    }
    for (unsigned i = 16; i < ROUNDS; i++) {
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    uint32_t v[STATE_WORDS];
    memcpy(v, state, sizeof(v));
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t first = rotate(v[0], 5) + mix(v, i) + v[4] + words[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotate(v[1], 30);
        v[1] = v[0];
        v[0] = first;
    }
    for (unsigned i = 0; i < STATE_WORDS; i++) {
        state[i] += v[i];
    }
}

void sha1_bytes(struct span bytes, unsigned char digest[SHA1_BYTES]) {
    uint32_t state[STATE_WORDS] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const unsigned char *at = (const unsigned char *)bytes.bytes;
    size_t left = bytes.length;
    for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES, at += BLOCK_BYTES) {
        take_block(state, at);
    }
    /* The rest, a one bit, zeros, the length in bits: in one block, or two if it does not fit. */
    unsigned char tail[2 * BLOCK_BYTES] = {0};
    if (left > 0) {
        memcpy(tail, at, left);
    }
    tail[left] = 0x80;
    size_t end = left + 1 + sizeof(uint64_t) <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    uint64_t bits = (uint64_t)bytes.length * 8;
    for (size_t i = 0; i < sizeof(bits); i++) {
        tail[end - 1 - i] = (unsigned char)(bits >> (8 * i));
    }
    for (size_t i = 0; i < end; i += BLOCK_BYTES) {
        take_block(state, tail + i);
    }
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
