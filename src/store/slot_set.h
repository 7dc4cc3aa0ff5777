/* A set of slots: one bit each. */
#ifndef TARN_STORE_SLOT_SET_H
#define TARN_STORE_SLOT_SET_H

#include "store/slot.h"

#include <stdbool.h>

#define SLOT_SET_BYTES (SLOTS / 8)

/* Slot s is bit s % 8 of byte s / 8: also as it travels. */
struct slot_set {
    unsigned char bits[SLOT_SET_BYTES];
};

static inline void slot_set_add(struct slot_set *set, uint16_t slot) {
    set->bits[slot / 8] |= (unsigned char)(1U << slot % 8);
}

static inline void slot_set_remove(struct slot_set *set, uint16_t slot) {
    set->bits[slot / 8] &= (unsigned char)~(1U << slot % 8);
}

static inline bool slot_set_has(const struct slot_set *set, uint16_t slot) {
    return (set->bits[slot / 8] >> slot % 8 & 1) != 0;
}

static inline void slot_set_fill(struct slot_set *set) {
    memset(set->bits, 0xff, SLOT_SET_BYTES);
}

static inline void slot_set_clear(struct slot_set *set) {
    memset(set->bits, 0, SLOT_SET_BYTES);
}

static inline void slot_set_add_all(struct slot_set *set, const struct slot_set *more) {
    for (size_t i = 0; i < SLOT_SET_BYTES; i++) {
        set->bits[i] |= more->bits[i];
    }
}

static inline uint32_t slot_set_count(const struct slot_set *set) {
    uint32_t count = 0;
    for (size_t i = 0; i < SLOT_SET_BYTES; i++) {
        count += (uint32_t)__builtin_popcount(set->bits[i]);
    }
    return count;
}

static inline bool slot_set_is_empty(const struct slot_set *set) {
    return slot_set_count(set) == 0;
}

#endif
