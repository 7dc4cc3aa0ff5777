/* The process' own options, and the options of all layers together.
 *
 * Plain fields; strings are owned by the struct and never NULL. Written before the workers start,
 * and afterwards only under a stop of all workers; see base/option.h. The rows are in options.c;
 * the rows that Redis knows and that have no meaning here are in unused_options.c, without fields.
 */
#ifndef TARN_SERVER_OPTIONS_H
#define TARN_SERVER_OPTIONS_H

#include "server/cluster_options.h"
#include "store/keyspace.h"
#include "store/store_options.h"
#include "worker/worker_options.h"

#define OPTIONS_WORKERS_MAX 64
_Static_assert(OPTIONS_WORKERS_MAX <= KEYSPACE_STORES_MAX, "each worker has a store");
#define OPTIONS_DATABASES_MAX 65536
#define OPTIONS_BIND_ADDRESSES_MAX 16
#define OPTIONS_SAVE_POINTS_MAX 64

enum supervised { SUPERVISED_NO, SUPERVISED_AUTO, SUPERVISED_SYSTEMD, SUPERVISED_UPSTART };

/* Who may use what can harm the server: enable-debug-command and its like. */
enum access_scope { ACCESS_NOBODY, ACCESS_LOCAL, ACCESS_ANYBODY };

enum append_fsync { APPEND_FSYNC_NO, APPEND_FSYNC_EVERYSEC, APPEND_FSYNC_ALWAYS };

/* shutdown-on-sigint, shutdown-on-sigterm */
enum shutdown_flag {
    SHUTDOWN_FLAG_SAVE = 1 << 0,
    SHUTDOWN_FLAG_NOSAVE = 1 << 1,
    SHUTDOWN_FLAG_NOW = 1 << 2,
    SHUTDOWN_FLAG_FORCE = 1 << 3,
};

struct save_points {
    struct save_point {
        int64_t seconds;
        int64_t changes;
    } points[OPTIONS_SAVE_POINTS_MAX];
    size_t count;
};

struct server_options {
    /* Network */
    int64_t port;            /* 0 is none */
    struct option_list bind; /* "-" before an address: not being able to bind it is no error */
    int64_t tcp_backlog;
    char *unixsocket;       /* "" is none */
    int64_t unixsocketperm; /* file mode; 0 leaves it to umask */
    bool protected_mode;
    int64_t socket_mark_id; /* SO_MARK of listening sockets; 0 is none */
    char *requirepass;      /* "" is none */

    /* Process */
    int64_t workers; /* 1 to OPTIONS_WORKERS_MAX */
    int64_t databases;
    char *dir;     /* absolute */
    char *pidfile; /* "" is none */
    bool daemonize;
    enum supervised supervised;
    bool set_proc_title;
    char *proc_title_template;
    int64_t shutdown_timeout; /* seconds */
    int shutdown_on_sigint;   /* of enum shutdown_flag; 0 is the default behaviour */
    int shutdown_on_sigterm;

    /* Log */
    int loglevel;  /* enum log_level of base/logger.h */
    char *logfile; /* "" is standard error */
    bool syslog_enabled;
    char *syslog_ident;
    int syslog_facility; /* of <syslog.h> */

    /* What may be done from outside */
    enum access_scope enable_protected_configs;
    enum access_scope enable_debug_command;

    /* Persistence */
    bool appendonly;
    enum append_fsync appendfsync;
    struct save_points save;
    char *dbfilename;
    bool stop_writes_on_bgsave_error;
    char *appendfilename; /* what a redis-server left behind */
    char *appenddirname;
    bool rdbcompression;
    bool aof_load_truncated;
    int64_t auto_aof_rewrite_percentage;
    int64_t auto_aof_rewrite_min_size; /* bytes */
    int64_t log_size_max;              /* bytes, or minus a percentage; 0 is none */
    int64_t log_segment_size;          /* bytes */

    /* Replication */
    struct option_list replicaof; /* host and port; none: a primary */
    char *masterauth;             /* "" is none */
    char *masteruser;             /* "" is the default user */
    char *bind_source_addr;       /* "" is any */
    int64_t replica_priority;
    bool replica_announced;
    char *replica_announce_ip;     /* "" is that of the connection */
    int64_t replica_announce_port; /* 0 is that of the server */
    int64_t divergence_size_max;   /* bytes; 0 is none */

    /* What a primary does for its replicas */
    int64_t repl_backlog_size;    /* bytes */
    int64_t repl_backlog_ttl;     /* seconds; 0: for ever */
    int64_t repl_absent_log_size; /* bytes */
    int64_t repl_absent_log_seconds;
    int64_t digest_check_period; /* seconds; 0: off */
    int64_t repl_timeout;        /* seconds */
    int64_t repl_ping_period;    /* seconds */
    bool repl_disable_tcp_nodelay;
};

extern const struct option_table server_option_table;
extern const struct option_table replication_option_table; /* likewise of server_options */
extern const struct option_table unused_option_table;

/* The options of all layers. */
struct options {
    struct store_options store;
    struct worker_options worker;
    struct server_options server;
    struct cluster_options cluster;
};

#endif
