/* Node: what the workers of one process share. Constant after startup, but for atomics and what is
 * written under a stop of all workers.
 */
#ifndef TARN_WORKER_NODE_H
#define TARN_WORKER_NODE_H

#include "commands/command.h"
#include "io/background.h"
#include "oplog/oplog.h"
#include "replication/quorum.h"
#include "store/keyspace.h"
#include "worker/client_links.h"
#include "worker/slow_log.h"
#include "worker/stop.h"
#include "worker/worker_options.h"

#include <stdatomic.h>

struct command;
struct connection;
struct server;
struct worker;
struct disk;
struct oplog;
struct cluster;
struct cutting;
struct loading;
struct applying;
struct digesting;
struct key_holds;

/* CLIENT PAUSE. */
enum pause_mode { PAUSE_NONE, PAUSE_WRITE, PAUSE_ALL };

/* One image at a time: whose turn it is; cutting.h. */
struct cutting_turn {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_taken;
    uint32_t waiting;
};

struct node {
    struct keyspace *keyspace;
    const struct command_table *commands;
    const struct worker_options *options;
    const struct store_options *store_options;
    struct background *background;
    uint32_t worker_count;
    struct worker *workers[KEYSPACE_STORES_MAX];
    struct stop stop;
    struct server *server;   /* for the server layer's session commands */
    struct cluster *cluster; /* NULL: the node is in none: cluster.h */
    /* With a cluster: a queue has commands with RULE_CHANGES_MAP. False: what they want is not
     * settled yet, the worker is woken when it is. The server layer's. */
    bool (*queue_is_ready)(struct worker *worker, struct connection *connection);
    /* With a cluster: PUBLISH, or SPUBLISH, tells the other nodes. On any worker. The server
     * layer's. */
    void (*publish)(struct worker *worker, bool is_sharded, struct span channel, struct span text);
    const char *password; /* requirepass; "" is none; written under a stop */
    bool protected_mode;  /* written under a stop */
    struct slow_log slow_log;
    struct oplog *log;             /* NULL: nothing reads a log; written under a stop */
    const struct disk *log_memory; /* where the log is if it is in memory, or NULL; likewise */
    atomic_bool log_gates; /* replies wait for the log: appendonly is on; written under a stop */
    /* Log positions behind the last change of each slot, the owner's, and behind the last one of
     * node scope, written under a stop: gate.h. */
    uint64_t slot_changed[SLOTS];
    uint64_t all_changed;
    struct quorum quorum;    /* what the replicas hold of the log; wakes those whose replies wait */
    struct loading *loading; /* what the node begins with, while it is loaded, or NULL */
    int64_t loading_refuses_from_ms; /* wall clock: requests wait until then */
    struct cutting *cutting;         /* of the snapshot being taken, or NULL; under a stop */
    struct cutting_turn cutting_turn;
    struct applying *applying;   /* NULL: it has not been a replica; written under a stop */
    struct digesting *digesting; /* NULL: nobody compares; set before the workers run */
    struct key_holds *key_holds; /* keys whose writes wait; NULL: none ever do */
    atomic_bool is_replica;      /* the log is another node's; written under a stop */
    /* The data is that of a redis-server, the log its own; written under a stop, never together
     * with is_replica. */
    atomic_bool follows_redis;
    /* A command or another event took long enough for latency-monitor-threshold: for the server
     * layer's LATENCY; or NULL. Called by any worker, at any time. */
    void (*latency_event)(struct node *node, const char *event, int64_t duration_ms);
    /* Why the connection may not run this COMMAND_PROTECTED command, or NULL: the server layer's
     * answer; NULL allows all. Called by any worker, at any time. */
    const char *(*protected_refusal)(const struct node *node, const struct connection *connection,
                                     const struct command *command);
    /* The log has grown, or more of it is written, and log_is_awaited was set: for who reads it; or
     * somebody begins to wait for what replicas report. By
     * any worker or thread of the log, must not wait; NULL: nobody does. Written before the workers
     * start. */
    void (*log_grew)(struct node *node);
    atomic_bool log_is_awaited;
    struct client_links links; /* without read: there are none; written before the workers start */
    /* Called by worker 0 each HOUSEKEEPING_PERIOD_MS, for the server layer; or NULL. */
    void (*cron)(struct node *node);

    atomic_uint_least64_t next_client_id;
    atomic_uint_least32_t clients; /* connected */
    atomic_uint_least64_t connections_received;
    atomic_uint_least64_t connections_rejected;
    atomic_uint_least32_t monitors;             /* connections in MONITOR mode */
    atomic_uint_least64_t monitor_workers;      /* bits of the workers that are their home */
    atomic_uint_least64_t subscriber_workers;   /* bits of the workers with any topic: pubsub.h */
    atomic_uint_least64_t logins_refused;       /* wrong names or passwords */
    atomic_uint_least64_t evicted_clients;      /* closed for maxmemory-clients */
    atomic_uint_least64_t clients_over_output;  /* closed for client-output-buffer-limit */
    atomic_uint_least64_t clients_over_query;   /* and for client-query-buffer-limit */
    atomic_uint_least32_t blocked_clients;      /* blocking.h */
    atomic_uint_least32_t blocked_with_timeout; /* those of them that do not wait without end */
    atomic_uint_least64_t quorum_timeouts;      /* replies whose outcome was unknown */
    atomic_uint_least64_t quorum_messages_lost; /* pushes left out for want of a quorum */
    atomic_uint_least64_t link_read_bytes;      /* from the primary, and ... */
    atomic_uint_least64_t link_written_bytes;   /* ... to replicas */
    atomic_int pause_mode;                      /* enum pause_mode */
    atomic_int_least64_t pause_until_ms;
    atomic_uint_least64_t memory_other_bytes; /* in use and not held by stores: set by the cron */
    atomic_uint_least64_t memory_log_bytes;   /* part of that, for the log: no reason to evict */
    atomic_uint_least64_t cutting_bytes;      /* of chunks that wait: cutting.h */
    atomic_bool active_expire_is_off;         /* DEBUG SET-ACTIVE-EXPIRE 0 */
    atomic_bool is_loading;                   /* the data is not whole yet: LOADING */
    atomic_uint_least64_t log_end_max;        /* log-size-max: then MISCONF; 0: none */
    atomic_bool is_cut_off;                   /* a replica whose link is down: perhaps MASTERDOWN */
    atomic_bool is_incomplete;                /* a replica that waits for images: LOADING */
    atomic_bool refuses_writes;               /* the last snapshot failed: MISCONF */
};

/* What happens to the data is another node's business: clients may not change it, nothing expires
 * by itself. */
static inline bool node_is_led(const struct node *node) {
    return node->is_replica || node->follows_redis;
}

/* The log must not grow now: what wants to write to it is refused, or waits. */
static inline bool node_log_is_at_max(const struct node *node) {
    uint64_t max = atomic_load_explicit(&node->log_end_max, memory_order_relaxed);
    return max != 0 && node->log != NULL && oplog_end_position(node->log) >= max;
}

/* The version of Redis whose behaviour this node has. */
#define NODE_REDIS_VERSION "7.2.4"

/* Bytes in use: what INFO calls used_memory and maxmemory limits. */
uint64_t node_used_memory(const struct node *node);
/* maxmemory is exceeded: as in Redis, what goes by itself (the log's memory) does not count. */
bool node_is_over_memory(const struct node *node);
/* Bytes in use by the log and by an image that is being taken: they go by themselves. */
uint64_t node_log_memory(const struct node *node);

#endif
