#include "commands/bits.h"

#include "base/assertion.h"

#define WORD_BYTES sizeof(uint64_t)
/* So many words may be counted before the eight byte-wide counters are full: each grows by 8 at
 * most. */
#define COUNTED_WORDS_MAX 31

static uint64_t word_at(const void *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* ---- counting ---- */

/* Each byte of the answer is the number of ones in that byte. */
static uint64_t byte_counts(uint64_t word) {
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    return (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
}

static uint64_t sum_of_bytes(uint64_t word) {
    word = (word & UINT64_C(0x00ff00ff00ff00ff)) + (word >> 8 & UINT64_C(0x00ff00ff00ff00ff));
    return word * UINT64_C(0x0001000100010001) >> 48;
}

static uint64_t count_bytes(const char *bytes, size_t length) {
    uint64_t count = 0;
    size_t at = 0;
    while (length - at >= WORD_BYTES) {
        size_t words = (length - at) / WORD_BYTES;
        words = words < COUNTED_WORDS_MAX ? words : COUNTED_WORDS_MAX;
        uint64_t counts = 0;
        for (size_t i = 0; i < words; i++) {
            counts += byte_counts(word_at(bytes + at + i * WORD_BYTES));
        }
        count += sum_of_bytes(counts);
        at += words * WORD_BYTES;
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes + at, length - at);
    return count + sum_of_bytes(byte_counts(rest));
}

static uint64_t count_byte(unsigned byte) {
    return sum_of_bytes(byte_counts(byte));
}

uint64_t bits_count(struct span bytes, uint64_t first, uint64_t last) {
    ASSERT(first <= last && last / 8 < bytes.length);
    size_t first_byte = first / 8;
    size_t last_byte = last / 8;
    uint64_t whole = count_bytes(bytes.bytes + first_byte, last_byte - first_byte + 1);
    unsigned before = (unsigned char)bytes.bytes[first_byte] & ~(0xffU >> first % 8);
    unsigned behind = (unsigned char)bytes.bytes[last_byte] & (0x7fU >> last % 8);
    return whole - count_byte(before) - count_byte(behind);
}

/* ---- finding ---- */

uint64_t bits_find(struct span bytes, bool value, uint64_t first, uint64_t last) {
    ASSERT(first <= last && last / 8 < bytes.length);
    uint64_t other_word = value ? 0 : UINT64_MAX;
    unsigned other_byte = (unsigned char)other_word;
    size_t last_byte = last / 8;
    size_t at = first / 8;
    unsigned found = ((unsigned char)bytes.bytes[at] ^ other_byte) & (0xffU >> first % 8);
    while (found == 0) {
        if (at == last_byte) {
            return BITS_NONE;
        }
        at++;
        while (last_byte - at >= WORD_BYTES && word_at(bytes.bytes + at) == other_word) {
            at += WORD_BYTES;
        }
        found = (unsigned char)bytes.bytes[at] ^ other_byte;
    }
    uint64_t place = at * 8 + (unsigned)__builtin_clz(found << 24);
    return place <= last ? place : BITS_NONE;
}

/* ---- fields ---- */

size_t bits_field_bytes(unsigned shift, unsigned bits) {
    return (shift + bits + 7) / 8;
}

/* The bytes of a field as one number, and how far its lowest bit is from that number's. */
struct window {
    unsigned __int128 number;
    unsigned bytes;
    unsigned below;
};

static struct window window_read(const unsigned char *bytes, unsigned shift, unsigned bits) {
    ASSERT(shift < 8 && bits >= 1 && bits <= 64);
    struct window window = {.bytes = (unsigned)bits_field_bytes(shift, bits)};
    for (unsigned i = 0; i < window.bytes; i++) {
        window.number = window.number << 8 | bytes[i];
    }
    window.below = window.bytes * 8 - shift - bits;
    return window;
}

static uint64_t field_mask(unsigned bits) {
    return UINT64_MAX >> (64 - bits);
}

uint64_t bits_field_read(const unsigned char *bytes, unsigned shift, unsigned bits) {
    struct window window = window_read(bytes, shift, bits);
    return (uint64_t)(window.number >> window.below) & field_mask(bits);
}

void bits_field_write(unsigned char *bytes, unsigned shift, unsigned bits, uint64_t value) {
    struct window window = window_read(bytes, shift, bits);
    window.number &= ~((unsigned __int128)field_mask(bits) << window.below);
    window.number |= (unsigned __int128)(value & field_mask(bits)) << window.below;
    for (unsigned i = window.bytes; i-- > 0;) {
        bytes[i] = (unsigned char)window.number;
        window.number >>= 8;
    }
}

/* ---- combining ---- */

static uint64_t combined(enum bits_operation operation, uint64_t a, uint64_t b) {
    switch (operation) {
    case BITS_AND:
        return a & b;
    case BITS_OR:
        return a | b;
    case BITS_XOR:
        return a ^ b;
    case BITS_NOT:
        return ~b;
    }
    ASSERT(false);
}

/* Inlined once per operation, so that no loop asks which it is. */
static inline __attribute__((always_inline)) void
combine(enum bits_operation operation, unsigned char *result, const char *source, size_t length) {
    size_t at = 0;
    for (; length - at >= WORD_BYTES; at += WORD_BYTES) {
        uint64_t word = combined(operation, word_at(result + at), word_at(source + at));
        memcpy(result + at, &word, sizeof(word));
    }
    for (; at < length; at++) {
        result[at] = (unsigned char)combined(operation, result[at], (unsigned char)source[at]);
    }
}

void bits_combine(enum bits_operation operation, unsigned char *result, size_t length,
                  struct span source) {
    ASSERT(source.length <= length);
    switch (operation) {
    case BITS_AND:
        combine(BITS_AND, result, source.bytes, source.length);
        memset(result + source.length, 0, length - source.length);
        return;
    case BITS_OR:
        combine(BITS_OR, result, source.bytes, source.length);
        return;
    case BITS_XOR:
        combine(BITS_XOR, result, source.bytes, source.length);
        return;
    case BITS_NOT:
        combine(BITS_NOT, result, source.bytes, source.length);
        memset(result + source.length, 0xff, length - source.length);
        return;
    }
    ASSERT(false);
}
