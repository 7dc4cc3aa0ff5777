#include "worker/worker_options.h"

#include "base/numbers.h"
#include "replication/quorum.h"

#include <inttypes.h>

/* class, hard limit, soft limit, seconds */
#define OUTPUT_LIMIT_WORDS 4
#define HZ_MIN 1
#define HZ_MAX 500

_Static_assert(sizeof(struct latency_percentiles) <= OPTION_CUSTOM_BYTES_MAX, "fits a place");
_Static_assert(sizeof(struct client_output_limit) * CLIENT_CLASS_COUNT <= OPTION_CUSTOM_BYTES_MAX,
               "fits a place");

static bool settle_hz(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    (void)error;
    int64_t *hz = place;
    *hz = *hz < HZ_MIN ? HZ_MIN : *hz > HZ_MAX ? HZ_MAX : *hz;
    return true;
}

/* client-output-buffer-limit */

static const char *const class_names[CLIENT_CLASS_COUNT] = {
    [CLIENT_CLASS_NORMAL] = "normal",
    [CLIENT_CLASS_REPLICA] = "slave",
    [CLIENT_CLASS_PUBSUB] = "pubsub",
};

/* CLIENT_CLASS_COUNT when no class has this name. */
static size_t class_find(struct span name) {
    if (span_is(name, "replica")) {
        return CLIENT_CLASS_REPLICA;
    }
    size_t class = 0;
    while (class < CLIENT_CLASS_COUNT && !span_is(name, class_names[class])) {
        class ++;
    }
    return class;
}

/* The classes that are not named keep their limits. */
static bool output_limits_parse(const struct option *row, void *place, const struct span *arguments,
                                size_t count, struct buffer *error) {
    (void)row;
    struct client_output_limit *target = place;
    struct client_output_limit limits[CLIENT_CLASS_COUNT];
    memcpy(limits, target, sizeof(limits));
    if (count % OUTPUT_LIMIT_WORDS != 0) {
        buffer_append_string(error, "Wrong number of arguments in buffer limit configuration.");
        return false;
    }
    for (size_t i = 0; i < count; i += OUTPUT_LIMIT_WORDS) {
        size_t class = class_find(arguments[i]);
        if (class == CLIENT_CLASS_COUNT) {
            buffer_append_string(error,
                                 "Invalid client class specified in buffer limit configuration.");
            return false;
        }
        struct client_output_limit *limit = &limits[class];
        if (!number_parse_memory(arguments[i + 1], &limit->hard_bytes) ||
            !number_parse_memory(arguments[i + 2], &limit->soft_bytes) ||
            !number_parse(arguments[i + 3], &limit->soft_seconds) || limit->soft_seconds < 0) {
            buffer_append_string(error, "Error in hard, soft or soft_seconds setting in buffer "
                                        "limit configuration.");
            return false;
        }
    }
    memcpy(target, limits, sizeof(limits));
    return true;
}

static void output_limits_format(const struct option *row, const void *place, struct buffer *text) {
    (void)row;
    const struct client_output_limit *limits = place;
    for (size_t class = 0; class < CLIENT_CLASS_COUNT; class ++) {
        buffer_format(text, "%s%s %" PRId64 " %" PRId64 " %" PRId64, class == 0 ? "" : " ",
                      class_names[class], limits[class].hard_bytes, limits[class].soft_bytes,
                      limits[class].soft_seconds);
    }
}

static const struct option_custom output_limits = {
    .size_bytes = sizeof(struct client_output_limit[CLIENT_CLASS_COUNT]),
    .shape = "class, hard limit, soft limit, seconds; for each class",
    .parse = output_limits_parse,
    .format = output_limits_format,
};

/* notify-keyspace-events */

static const struct {
    char letter;
    int classes;
} notify_letters[] = {
    /* In the order of CONFIG GET; A stands for its members where all of them are set. */
    {'A', EVENT_ALL},      {'g', EVENT_GENERIC},  {'$', EVENT_STRING},     {'l', EVENT_LIST},
    {'s', EVENT_SET},      {'h', EVENT_HASH},     {'z', EVENT_SORTED_SET}, {'x', EVENT_EXPIRED},
    {'e', EVENT_EVICTED},  {'t', EVENT_STREAM},   {'d', EVENT_MODULE},     {'n', EVENT_NEW},
    {'K', EVENT_KEYSPACE}, {'E', EVENT_KEYEVENT}, {'m', EVENT_KEY_MISS},
};
#define NOTIFY_LETTERS (sizeof(notify_letters) / sizeof(notify_letters[0]))

static bool notify_parse(const struct option *row, void *place, const struct span *arguments,
                         size_t count, struct buffer *error) {
    (void)row;
    ASSERT(count == 1);
    int classes = 0;
    for (size_t i = 0; i < arguments[0].length; i++) {
        size_t letter = 0;
        while (letter < NOTIFY_LETTERS && notify_letters[letter].letter != arguments[0].bytes[i]) {
            letter++;
        }
        if (letter == NOTIFY_LETTERS) {
            buffer_append_string(error, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
            return false;
        }
        classes |= notify_letters[letter].classes;
    }
    memcpy(place, &classes, sizeof(classes));
    return true;
}

static void notify_format(const struct option *row, const void *place, struct buffer *text) {
    (void)row;
    int classes;
    memcpy(&classes, place, sizeof(classes));
    int left = classes;
    for (size_t i = 0; i < NOTIFY_LETTERS; i++) {
        int members = notify_letters[i].classes;
        if ((left & members) == members) {
            buffer_append_byte(text, notify_letters[i].letter);
            /* Beside A, Redis does not show n. */
            left &= members == EVENT_ALL ? ~(members | EVENT_NEW) : ~members;
        }
    }
}

static const struct option_custom notify_classes = {
    .size_bytes = sizeof(int),
    .shape = "letters",
    .parse = notify_parse,
    .format = notify_format,
};

/* latency-tracking-info-percentiles */

static bool percentiles_parse(const struct option *row, void *place, const struct span *arguments,
                              size_t count, struct buffer *error) {
    (void)row;
    struct latency_percentiles parsed = {.count = 0};
    bool is_empty = count == 1 && arguments[0].length == 0;
    for (size_t i = 0; !is_empty && i < count; i++) {
        double value;
        if (parsed.count == LATENCY_PERCENTILES_MAX || !number_parse_double(arguments[i], &value)) {
            buffer_append_string(error, "Invalid latency-tracking-info-percentiles parameters");
            return false;
        }
        if (value < 0.0 || value > 100.0) {
            buffer_append_string(error, "latency-tracking-info-percentiles parameters should sit "
                                        "between [0.0,100.0]");
            return false;
        }
        parsed.values[parsed.count] = value;
        parsed.count++;
    }
    memcpy(place, &parsed, sizeof(parsed));
    return true;
}

static void percentiles_format(const struct option *row, const void *place, struct buffer *text) {
    (void)row;
    const struct latency_percentiles *percentiles = place;
    for (size_t i = 0; i < percentiles->count; i++) {
        char number[NUMBER_DOUBLE_TEXT_BYTES_MAX];
        size_t length = number_format_double(number, percentiles->values[i]);
        buffer_append_string(text, i == 0 ? "" : " ");
        buffer_append(text, number, length);
    }
}

static const struct option_custom percentiles = {
    .size_bytes = sizeof(struct latency_percentiles),
    .shape = "numbers from 0 to 100",
    .parse = percentiles_parse,
    .format = percentiles_format,
};

static const struct option rows[] = {
    {.name = NULL, .help = "Connections"},
    {
        .name = "maxclients",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, maxclients),
        .min = 1,
        .max = UINT32_MAX,
        .default_text = "10000",
        .help = "Connections that may be open at once; one more is told so and closed.",
    },
    {
        .name = "timeout",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, timeout),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "0",
        .help = "Seconds after which an idle connection is closed. 0 never closes one.",
    },
    {
        .name = "tcp-keepalive",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, tcp_keepalive),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "300",
        .help = "Seconds of silence after which the system probes whether the other side is "
                "still there. 0 does not probe.",
    },
    {
        .name = "client-query-buffer-limit",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct worker_options, client_query_buffer_limit),
        .min = 1024 * 1024,
        .max = INT64_MAX,
        .default_text = "1gb",
        .help = "Bytes of one unfinished request that a connection may pile up before it is "
                "closed.",
    },
    {
        .name = "client-output-buffer-limit",
        .type = OPTION_CUSTOM,
        .flags = OPTION_MULTI,
        .offset = offsetof(struct worker_options, client_output_buffer_limit),
        .custom = &output_limits,
        .words_per_line = OUTPUT_LIMIT_WORDS,
        .default_text = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        .help = "Bytes of replies that a connection may leave unread. Per class (normal, "
                "replica, pubsub): a hard limit that closes it at once, and a soft limit that "
                "closes it after so many seconds above it. 0 sets no limit.",
    },
    {
        .name = "maxmemory-clients",
        .type = OPTION_MEMORY_OR_PERCENT,
        .offset = offsetof(struct worker_options, maxmemory_clients),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "0",
        .help = "Memory that the buffers of all connections may take together, in bytes or in "
                "percent of maxmemory; beyond it those that hold most are closed. 0 sets no "
                "limit.",
    },
    {
        .name = "hz",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct worker_options, hz),
        .min = 0,
        .max = INT32_MAX,
        .settle = settle_hz,
        .default_text = "10",
        .help =
            "Read back by tools: housekeeping runs ten times a second whatever it says. Between "
            "1 and 500.",
    },
    {
        .name = "tracking-table-max-keys",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct worker_options, tracking_table_max_keys),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "1000000",
        .help = "Keys remembered for clients that cache on their side; beyond it they are told "
                "to forget some. 0 sets no limit.",
    },
    {.name = NULL, .help = "Quorums"},
    {
        .name = "write-quorum",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, write_quorum),
        .min = 1,
        .max = QUORUM_MEMBERS_MAX + 1,
        .default_text = "1",
        .help = "Servers, this one counted, that must hold a change before it is acknowledged or "
                "shown to others (where appendfsync is always: hold it on disk). 1 waits for no "
                "replica. CLIENT QUORUM sets it for one connection.",
    },
    {
        .name = "write-quorum-timeout",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, write_quorum_timeout),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "5000",
        .help = "Milliseconds after which a reply that waits for write-quorum is replaced by an "
                "error, which says that the outcome is unknown. 0 waits without end.",
    },
    {
        .name = "min-replicas-to-write",
        .alias = "min-slaves-to-write",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, min_replicas_to_write),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "0",
        .help = "Replicas that must be there for writes to be begun, with at most "
                "min-replicas-max-lag. 0 asks for none.",
    },
    {
        .name = "min-replicas-max-lag",
        .alias = "min-slaves-max-lag",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, min_replicas_max_lag),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "10",
        .help = "Seconds of silence after which a replica does not count for "
                "min-replicas-to-write. 0 switches both off.",
    },
    {.name = NULL, .help = "Notifications"},
    {
        .name = "notify-keyspace-events",
        .type = OPTION_CUSTOM,
        .offset = offsetof(struct worker_options, notify_keyspace_events),
        .custom = &notify_classes,
        .default_text = "",
        .help = "Changes of keys that are published: K (by key) and E (by event) say how, and g "
                "$ l s h z x e t d m n, or A for nearly all, say which. Empty publishes nothing.",
    },
    {.name = NULL, .help = "Measurements"},
    {
        .name = "slowlog-log-slower-than",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, slowlog_log_slower_than),
        .min = -1,
        .max = INT64_MAX,
        .default_text = "10000",
        .help = "Microseconds from which a command is remembered in the slow log; 0 remembers "
                "all, -1 none.",
    },
    {
        .name = "slowlog-max-len",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, slowlog_max_len),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "128",
        .help = "Entries of the slow log; the oldest goes first.",
    },
    {
        .name = "latency-monitor-threshold",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct worker_options, latency_monitor_threshold),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "0",
        .help = "Milliseconds from which a delay is remembered for LATENCY; 0 is off.",
    },
    {
        .name = "latency-tracking",
        .type = OPTION_BOOL,
        .offset = offsetof(struct worker_options, latency_tracking),
        .default_text = "yes",
        .help = "Keeps a histogram of the time that each command takes.",
    },
    {
        .name = "latency-tracking-info-percentiles",
        .type = OPTION_CUSTOM,
        .flags = OPTION_MULTI,
        .offset = offsetof(struct worker_options, latency_tracking_info_percentiles),
        .custom = &percentiles,
        .default_text = "50 99 99.9",
        .help = "Percentiles of those histograms that INFO shows.",
    },
    {
        .name = "busy-reply-threshold",
        .alias = "lua-time-limit",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct worker_options, busy_reply_threshold),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "5000",
        .help = "Milliseconds after which a running script lets other clients be answered, with "
                "BUSY.",
    },
    {
        .name = "acllog-max-len",
        .type = OPTION_INTEGER,
        .flags = OPTION_NO_MEANING,
        .offset = offsetof(struct worker_options, acllog_max_len),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "128",
        .help = "Entries of the log of refused commands and logins.",
    },
    {.name = NULL, .help = "What a replica does for its clients"},
    {
        .name = "replica-read-only",
        .alias = "slave-read-only",
        .type = OPTION_BOOL,
        .offset = offsetof(struct worker_options, replica_read_only),
        .default_text = "yes",
        .help = "A replica refuses writes. Where it does not, what is written there stays in its "
                "memory only, and goes with the next change from the primary.",
    },
    {
        .name = "replica-serve-stale-data",
        .alias = "slave-serve-stale-data",
        .type = OPTION_BOOL,
        .offset = offsetof(struct worker_options, replica_serve_stale_data),
        .default_text = "yes",
        .help = "A replica answers while the link to its primary is down; no answers MASTERDOWN.",
    },
    {
        .name = "replica-ignore-maxmemory",
        .alias = "slave-ignore-maxmemory",
        .type = OPTION_BOOL,
        .offset = offsetof(struct worker_options, replica_ignore_maxmemory),
        .default_text = "yes",
        .help = "A replica evicts nothing by itself: its primary does, for both.",
    },
};

const struct option_table worker_option_table = {
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
