/* Histogram of durations: buckets whose width grows with the value, four to each power of two, so
 * that a percentile is right within a quarter. One writer at a time; a reader elsewhere gets a
 * moment's view.
 */
#ifndef TARN_BASE_HISTOGRAM_H
#define TARN_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 2
#define HISTOGRAM_BUCKETS (64 << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
};

static inline uint32_t histogram_bucket(uint64_t value) {
    if (value < UINT64_C(1) << HISTOGRAM_SUB_BITS) {
        return (uint32_t)value;
    }
    uint32_t power = 63 - (uint32_t)__builtin_clzll(value);
    uint64_t sub = value >> (power - HISTOGRAM_SUB_BITS) & ((1 << HISTOGRAM_SUB_BITS) - 1);
    return ((power - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS) + (uint32_t)sub;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value, uint64_t weight) {
    histogram->counts[histogram_bucket(value)] += weight;
    histogram->total += weight;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

/* The largest value that falls into the bucket. */
uint64_t histogram_bucket_max(uint32_t bucket);
/* The value below or at which that share (0 to 1) of all values is, rounded up to its bucket's
 * end. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
void histogram_merge(struct histogram *into, const struct histogram *from);

#endif
