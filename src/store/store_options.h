/* The store's options: memory limit and eviction, expiry, lazy freeing, and the sizes up to which a
 * collection keeps its compact encoding. Plain fields, read by any worker, written only under a
 * stop of all workers; see base/option.h. The rows are in store_options.c. Numbers from 0 up unless
 * said.
 */
#ifndef TARN_STORE_STORE_OPTIONS_H
#define TARN_STORE_STORE_OPTIONS_H

#include "base/option.h"

enum maxmemory_policy {
    MAXMEMORY_NO_EVICTION,
    MAXMEMORY_VOLATILE_LRU,
    MAXMEMORY_VOLATILE_LFU,
    MAXMEMORY_VOLATILE_RANDOM,
    MAXMEMORY_VOLATILE_TTL,
    MAXMEMORY_ALLKEYS_LRU,
    MAXMEMORY_ALLKEYS_LFU,
    MAXMEMORY_ALLKEYS_RANDOM,
};

static inline bool maxmemory_policy_is_lfu(enum maxmemory_policy policy) {
    return policy == MAXMEMORY_VOLATILE_LFU || policy == MAXMEMORY_ALLKEYS_LFU;
}

static inline bool maxmemory_policy_is_lru(enum maxmemory_policy policy) {
    return policy == MAXMEMORY_VOLATILE_LRU || policy == MAXMEMORY_ALLKEYS_LRU;
}

/* Only keys with an expiry may be evicted. */
static inline bool maxmemory_policy_is_volatile(enum maxmemory_policy policy) {
    return policy >= MAXMEMORY_VOLATILE_LRU && policy <= MAXMEMORY_VOLATILE_TTL;
}

struct store_options {
    int64_t maxmemory; /* bytes; 0 is no limit */
    enum maxmemory_policy maxmemory_policy;
    int64_t maxmemory_samples;           /* 1 to 64 */
    int64_t maxmemory_eviction_tenacity; /* 0 to 100 */
    int64_t lfu_log_factor;
    int64_t lfu_decay_time; /* minutes */

    int64_t active_expire_effort; /* 1 to 10 */

    int64_t proto_max_bulk_len; /* bytes of the longest string value, and of one argument */

    int64_t hash_max_listpack_entries;
    int64_t hash_max_listpack_value; /* bytes */
    int64_t list_max_listpack_size;  /* entries, or -1 to -5: 4, 8, 16, 32, 64 KiB */
    int64_t list_compress_depth;
    int64_t set_max_intset_entries;
    int64_t set_max_listpack_entries;
    int64_t set_max_listpack_value; /* bytes */
    int64_t zset_max_listpack_entries;
    int64_t zset_max_listpack_value; /* bytes */
    int64_t hll_sparse_max_bytes;
    int64_t stream_node_max_bytes;
    int64_t stream_node_max_entries;
};

extern const struct option_table store_option_table;

static inline void store_options_init(struct store_options *options) {
    option_table_init(&store_option_table, options);
}

static inline void store_options_clear(struct store_options *options) {
    option_table_clear(&store_option_table, options);
}

#endif
