/* A small fast generator of pseudo-random numbers, passed by pointer: one owner, one thread at a
 * time.
 *
 * The same seed gives the same numbers on every machine, which is what simulations, samples and
 * tests want. It guards no secret: ids, salts and hash seeds come from random_seed_bytes().
 *
 * Source: xoshiro256** by Blackman and Vigna, seeded by splitmix64.
 */
#ifndef TARN_BASE_RANDOM_H
#define TARN_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound), without bias; bound is not 0. */
uint64_t random_below(struct random *random, uint64_t bound);
/* Uniform in [0, 1). */
double random_fraction(struct random *random);

/* Fills the bytes with the system's entropy, good enough for secrets. Any thread. Ends the process
 * when the system gives none. */
void random_seed_bytes(void *bytes, size_t length);
/* Eight such bytes, for random_seed(). */
uint64_t random_seed_draw(void);

#endif
