/* A histogram of durations with a relative error below 1 part in 64: each power of two is divided
 * into 64 equal buckets. Adding is a few instructions and never allocates. */

#ifndef BENCHMARK_HISTOGRAM_H
#define BENCHMARK_HISTOGRAM_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HISTOGRAM_STEPS_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEPS_BITS + 1) << 6 };

struct histogram {
    uint64_t count;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Returns NULL when there is no memory; free() ends its life. */
static inline struct histogram *histogram_new(void) {
    return calloc(1, sizeof(struct histogram));
}

static inline void histogram_reset(struct histogram *histogram) {
    memset(histogram, 0, sizeof *histogram);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times) {
    unsigned shift = 0;
    if (value >= UINT64_C(1) << HISTOGRAM_STEPS_BITS) {
        shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEPS_BITS;
        shift++;
        value = (value >> (shift - 1)) - (UINT64_C(1) << HISTOGRAM_STEPS_BITS);
    }
    histogram->buckets[(shift << HISTOGRAM_STEPS_BITS) + value] += times;
    histogram->count += times;
}

/* The smallest value of the bucket in which the given share (0 .. 1) of all values is reached. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, double share) {
    double wanted = share * (double)histogram->count;
    double seen = 0;
    uint64_t value = 0;
    for (uint64_t i = 0; i < HISTOGRAM_BUCKETS && (seen < wanted || seen == 0); i++) {
        if (histogram->buckets[i] == 0) {
            continue;
        }
        seen += (double)histogram->buckets[i];
        uint64_t shift = i >> HISTOGRAM_STEPS_BITS;
        uint64_t step = i & ((UINT64_C(1) << HISTOGRAM_STEPS_BITS) - 1);
        value = shift == 0 ? step : (step + (UINT64_C(1) << HISTOGRAM_STEPS_BITS)) << (shift - 1);
    }
    return value;
}

#endif
