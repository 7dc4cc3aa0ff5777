#include "replication/handshake.h"

#include "base/hash.h"
#include "base/random.h"

#include <stdio.h>

#define DIGITS "0123456789abcdef"

void handshake_nonce_draw(char nonce[HANDSHAKE_NONCE_BYTES]) {
    unsigned char bytes[HANDSHAKE_NONCE_DIGITS];
    random_seed_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < HANDSHAKE_NONCE_DIGITS; i++) {
        nonce[i] = DIGITS[bytes[i] & 15];
    }
    nonce[HANDSHAKE_NONCE_DIGITS] = '\0';
}

bool handshake_nonce_is_valid(struct span nonce) {
    for (size_t i = 0; i < nonce.length; i++) {
        if (nonce.bytes[i] == '\0' || strchr(DIGITS, nonce.bytes[i]) == NULL) {
            return false;
        }
    }
    return nonce.length == HANDSHAKE_NONCE_DIGITS;
}

uint64_t handshake_seed(struct span of_replica, struct span of_primary) {
    char both[2 * HANDSHAKE_NONCE_DIGITS];
    ASSERT(of_replica.length == HANDSHAKE_NONCE_DIGITS);
    ASSERT(of_primary.length == HANDSHAKE_NONCE_DIGITS);
    memcpy(both, of_replica.bytes, HANDSHAKE_NONCE_DIGITS);
    memcpy(both + HANDSHAKE_NONCE_DIGITS, of_primary.bytes, HANDSHAKE_NONCE_DIGITS);
    return checksum_bytes(span_of(both, sizeof(both)));
}

static int write_head(char *place, size_t size) {
    return snprintf(place, size, "TARN %d ", MESSAGE_VERSION);
}

void handshake_write_answer(struct buffer *out, const char nonce[HANDSHAKE_NONCE_BYTES]) {
    char head[32];
    buffer_append(out, head, (size_t)write_head(head, sizeof(head)));
    buffer_append(out, nonce, HANDSHAKE_NONCE_DIGITS);
}

bool handshake_read_answer(struct span text, struct span *nonce) {
    char head[32];
    size_t length = (size_t)write_head(head, sizeof(head));
    if (text.length < length || memcmp(text.bytes, head, length) != 0) {
        return false;
    }
    *nonce = span_of(text.bytes + length, text.length - length);
    return handshake_nonce_is_valid(*nonce);
}
