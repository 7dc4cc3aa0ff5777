#include "base/random.h"

#include "base/assertion.h"

#include <errno.h>
#include <sys/random.h>

static uint64_t rotate_left(uint64_t number, int count) {
    return number << count | number >> (64 - count);
}

void random_seed(struct random *random, uint64_t seed) {
    /* splitmix64 spreads any seed, 0 included, so that the state is never all zero. */
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        random->state[i] = mixed ^ mixed >> 31;
    }
}

uint64_t random_next(struct random *random) {
    uint64_t *state = random->state;
    uint64_t number = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return number;
}

/* Lemire, "Fast random integer generation in an interval": the high half of a product is the
 * number; low halves below 2^64 mod bound are the surplus, and drawn again. */
uint64_t random_below(struct random *random, uint64_t bound) {
    ASSERT(bound != 0);
    unsigned __int128 product = (unsigned __int128)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t surplus = -bound % bound;
        while ((uint64_t)product < surplus) {
            product = (unsigned __int128)random_next(random) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

double random_fraction(struct random *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

void random_seed_bytes(void *bytes, size_t length) {
    char *place = bytes;
    while (length != 0) {
        ssize_t drawn = getrandom(place, length, 0);
        if (drawn < 0) {
            ASSERT(errno == EINTR);
            continue;
        }
        place += drawn;
        length -= (size_t)drawn;
    }
}

uint64_t random_seed_draw(void) {
    uint64_t seed;
    random_seed_bytes(&seed, sizeof(seed));
    return seed;
}
