#include "store/store_options.h"

/* In the order in which redis-server names them in its error. */
static const struct option_word policies[] = {
    {"volatile-lru", MAXMEMORY_VOLATILE_LRU},
    {"volatile-lfu", MAXMEMORY_VOLATILE_LFU},
    {"volatile-random", MAXMEMORY_VOLATILE_RANDOM},
    {"volatile-ttl", MAXMEMORY_VOLATILE_TTL},
    {"allkeys-lru", MAXMEMORY_ALLKEYS_LRU},
    {"allkeys-lfu", MAXMEMORY_ALLKEYS_LFU},
    {"allkeys-random", MAXMEMORY_ALLKEYS_RANDOM},
    {"noeviction", MAXMEMORY_NO_EVICTION},
    {NULL, 0},
};

static const struct option rows[] = {
    {.name = NULL, .help = "Memory and eviction"},
    {
        .name = "maxmemory",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct store_options, maxmemory),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "0",
        .help = "Memory that the server may use. When a write would need more, keys are evicted "
                "as maxmemory-policy says, or the write is refused. 0 sets no limit.",
    },
    {
        .name = "maxmemory-policy",
        .type = OPTION_ENUM,
        .offset = offsetof(struct store_options, maxmemory_policy),
        .words = policies,
        .default_text = "noeviction",
        .help = "Which keys go when memory is full: the least recently used (lru), the least "
                "frequently used (lfu), random ones, or those that expire soonest (ttl), among "
                "all keys or among those with an expiry (volatile). noeviction refuses writes "
                "instead.",
    },
    {
        .name = "maxmemory-samples",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct store_options, maxmemory_samples),
        .min = 1,
        .max = 64,
        .default_text = "5",
        .help = "Keys looked at for each key that lru, lfu and ttl evict. More are nearer to the "
                "exact choice and cost more.",
    },
    {
        .name = "maxmemory-eviction-tenacity",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct store_options, maxmemory_eviction_tenacity),
        .min = 0,
        .max = 100,
        .default_text = "10",
        .help = "How long one command may be held up by eviction before the rest is left to "
                "later ticks: 0 is shortest, 100 evicts until memory fits.",
    },
    {
        .name = "lfu-log-factor",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct store_options, lfu_log_factor),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "10",
        .help = "How slowly the counter of a frequently used key grows: the larger, the more "
                "accesses it takes to saturate.",
    },
    {
        .name = "lfu-decay-time",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct store_options, lfu_decay_time),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "1",
        .help = "Minutes after which the counter of an unused key is lowered by one. 0 never "
                "lowers it.",
    },
    {.name = NULL, .help = "Expiry and freeing"},
    {
        .name = "active-expire-effort",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct store_options, active_expire_effort),
        .min = 1,
        .max = 10,
        .default_text = "1",
        .help = "How hard the server looks for expired keys that nobody asks for: 10 keeps fewer "
                "of them in memory and costs more processor time.",
    },
    {.name = NULL, .help = "Values"},
    {
        .name = "proto-max-bulk-len",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct store_options, proto_max_bulk_len),
        .min = 1024 * 1024,
        .max = INT64_MAX,
        .default_text = "512mb",
        .help = "Longest string value, and longest single argument of a command.",
    },
    {
        .name = "hash-max-listpack-entries",
        .alias = "hash-max-ziplist-entries",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct store_options, hash_max_listpack_entries),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "512",
        .help = "A hash with more fields than this is kept as a table instead of a compact list.",
    },
    {
        .name = "hash-max-listpack-value",
        .alias = "hash-max-ziplist-value",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct store_options, hash_max_listpack_value),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "64",
        .help = "A hash with a field or value longer than this is kept as a table instead of a "
                "compact list.",
    },
    {
        .name = "list-max-listpack-size",
        .alias = "list-max-ziplist-size",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, list_max_listpack_size),
        .min = INT32_MIN,
        .max = INT32_MAX,
        .default_text = "-2",
        .help = "Size of one node of a list: a number of elements, or -1 to -5 for 4, 8, 16, 32 "
                "or 64 KiB.",
    },
    {
        .name = "list-compress-depth",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, list_compress_depth),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "0",
        .help = "Nodes at each end of a list that are left uncompressed; 0 compresses none.",
    },
    {
        .name = "set-max-intset-entries",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, set_max_intset_entries),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "512",
        .help = "A set of integers with more members than this is not kept as a sorted array any "
                "more.",
    },
    {
        .name = "set-max-listpack-entries",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, set_max_listpack_entries),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "128",
        .help = "A set with more members than this is kept as a table instead of a compact list.",
    },
    {
        .name = "set-max-listpack-value",
        .type = OPTION_MEMORY,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, set_max_listpack_value),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "64",
        .help = "A set with a member longer than this is kept as a table instead of a compact "
                "list.",
    },
    {
        .name = "zset-max-listpack-entries",
        .alias = "zset-max-ziplist-entries",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, zset_max_listpack_entries),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "128",
        .help = "A sorted set with more members than this is kept as a skip list instead of a "
                "compact list.",
    },
    {
        .name = "zset-max-listpack-value",
        .alias = "zset-max-ziplist-value",
        .type = OPTION_MEMORY,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, zset_max_listpack_value),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "64",
        .help = "A sorted set with a member longer than this is kept as a skip list instead of a "
                "compact list.",
    },
    {
        .name = "hll-sparse-max-bytes",
        .type = OPTION_MEMORY,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, hll_sparse_max_bytes),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "3000",
        .help = "A HyperLogLog larger than this changes from its sparse to its dense form.",
    },
    {
        .name = "stream-node-max-bytes",
        .type = OPTION_MEMORY,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, stream_node_max_bytes),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "4kb",
        .help = "Size at which one node of a stream is full; 0 is no limit.",
    },
    {
        .name = "stream-node-max-entries",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct store_options, stream_node_max_entries),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "100",
        .help = "Entries at which one node of a stream is full; 0 is no limit.",
    },
};

const struct option_table store_option_table = {
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
