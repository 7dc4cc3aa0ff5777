#include "base/histogram.h"

uint64_t histogram_bucket_max(uint32_t bucket) {
    if (bucket < UINT32_C(1) << HISTOGRAM_SUB_BITS) {
        return bucket;
    }
    uint32_t power = (bucket >> HISTOGRAM_SUB_BITS) + HISTOGRAM_SUB_BITS - 1;
    uint64_t sub = bucket & ((1 << HISTOGRAM_SUB_BITS) - 1);
    uint64_t width = UINT64_C(1) << (power - HISTOGRAM_SUB_BITS);
    return (UINT64_C(1) << power) + (sub + 1) * width - 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share) {
    double wanted = share * (double)histogram->total;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (histogram->counts[i] != 0 && (double)seen >= wanted) {
            uint64_t max = histogram_bucket_max(i);
            return max < histogram->max ? max : histogram->max;
        }
    }
    return histogram->max;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->total += from->total;
    if (from->max > into->max) {
        into->max = from->max;
    }
}
