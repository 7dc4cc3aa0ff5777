/* The workers' options: connections and their limits, what is measured, what is published. Plain
 * fields, read by any worker, written only under a stop of all workers; see base/option.h. The rows
 * are in worker_options.c. proto-max-bulk-len stands in store/store_options.h, since commands need
 * it.
 */
#ifndef TARN_WORKER_WORKER_OPTIONS_H
#define TARN_WORKER_WORKER_OPTIONS_H

#include "base/option.h"
#include "commands/event.h"

/* The classes that have output limits of their own, as in client-output-buffer-limit. */
enum client_class { CLIENT_CLASS_NORMAL, CLIENT_CLASS_REPLICA, CLIENT_CLASS_PUBSUB };
#define CLIENT_CLASS_COUNT 3

struct client_output_limit {
    int64_t hard_bytes; /* 0 is no limit */
    int64_t soft_bytes; /* 0 is no limit */
    int64_t soft_seconds;
};

#define LATENCY_PERCENTILES_MAX 32

struct latency_percentiles {
    double values[LATENCY_PERCENTILES_MAX]; /* 0 to 100 */
    size_t count;
};

struct worker_options {
    int64_t maxclients;
    int64_t timeout;                   /* seconds of idleness; 0 is never */
    int64_t tcp_keepalive;             /* seconds; 0 is off */
    int64_t client_query_buffer_limit; /* bytes */
    struct client_output_limit client_output_buffer_limit[CLIENT_CLASS_COUNT];
    int64_t maxmemory_clients; /* bytes; 0 is no limit; -5 is 5 % of maxmemory */
    int64_t hz;                /* 1 to 500 */

    int notify_keyspace_events; /* of enum event_class; 0 is off */

    int64_t slowlog_log_slower_than;   /* microseconds; 0 is every command, -1 is none */
    int64_t slowlog_max_len;           /* entries */
    int64_t latency_monitor_threshold; /* milliseconds; 0 is off */
    bool latency_tracking;
    struct latency_percentiles latency_tracking_info_percentiles;

    int64_t write_quorum;          /* members, the node itself counted, that hold a reply's data */
    int64_t write_quorum_timeout;  /* milliseconds; 0 is never */
    int64_t min_replicas_to_write; /* 0 is off */
    int64_t min_replicas_max_lag;  /* seconds; 0 is off */

    int64_t busy_reply_threshold;    /* milliseconds */
    int64_t tracking_table_max_keys; /* 0 is no limit */
    int64_t acllog_max_len;          /* entries */

    bool replica_read_only;
    bool replica_serve_stale_data;
    bool replica_ignore_maxmemory;
};

extern const struct option_table worker_option_table;

static inline void worker_options_init(struct worker_options *options) {
    option_table_init(&worker_option_table, options);
}

static inline void worker_options_clear(struct worker_options *options) {
    option_table_clear(&worker_option_table, options);
}

#endif
