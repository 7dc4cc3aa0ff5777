#include "server/options.h"

#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define SAVE_WORDS 2 /* seconds, changes */

_Static_assert(sizeof(struct save_points) <= OPTION_CUSTOM_BYTES_MAX, "fits a place");

/* In redis-server's order, which its errors show. */

static const struct option_word supervisors[] = {
    {"upstart", SUPERVISED_UPSTART},
    {"systemd", SUPERVISED_SYSTEMD},
    {"auto", SUPERVISED_AUTO},
    {"no", SUPERVISED_NO},
    {NULL, 0},
};

static const struct option_word scopes[] = {
    {"no", ACCESS_NOBODY},
    {"yes", ACCESS_ANYBODY},
    {"local", ACCESS_LOCAL},
    {NULL, 0},
};

static const struct option_word shutdown_words[] = {
    {"default", 0},
    {"save", SHUTDOWN_FLAG_SAVE},
    {"nosave", SHUTDOWN_FLAG_NOSAVE},
    {"now", SHUTDOWN_FLAG_NOW},
    {"force", SHUTDOWN_FLAG_FORCE},
    {NULL, 0},
};

static const struct option_word log_levels[] = {
    {"debug", LOG_DEBUG},     {"verbose", LOG_VERBOSE}, {"notice", LOG_NOTICE},
    {"warning", LOG_WARNING}, {"nothing", LOG_NOTHING}, {NULL, 0},
};

/* The numbers of <syslog.h>, whose names clash with the logger's. */
#define FACILITY(number) ((number) << 3)
static const struct option_word facilities[] = {
    {"user", FACILITY(1)},    {"local0", FACILITY(16)},
    {"local1", FACILITY(17)}, {"local2", FACILITY(18)},
    {"local3", FACILITY(19)}, {"local4", FACILITY(20)},
    {"local5", FACILITY(21)}, {"local6", FACILITY(22)},
    {"local7", FACILITY(23)}, {NULL, 0},
};

static const struct option_word fsync_policies[] = {
    {"everysec", APPEND_FSYNC_EVERYSEC},
    {"always", APPEND_FSYNC_ALWAYS},
    {"no", APPEND_FSYNC_NO},
    {NULL, 0},
};

static bool settle_bind(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    const struct option_list *addresses = place;
    if (addresses->count > OPTIONS_BIND_ADDRESSES_MAX) {
        buffer_append_string(error, "Too many bind addresses specified.");
        return false;
    }
    return true;
}

/* Absolute, so that it still means the same after the server has gone there. */
static bool settle_dir(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    char **dir = place;
    char *absolute = realpath(*dir, NULL);
    if (absolute == NULL) {
        int reason = errno;
        /* Where the server was started may be gone or closed to it: that is no reason to fail
         * before anybody has named a directory. */
        bool is_default = strcmp(*dir, ".") == 0;
        buffer_append_string(error, is_default ? "" : strerror(reason));
        return is_default;
    }
    memory_free(*dir);
    *dir = memory_copy_string(absolute);
    free(absolute);
    return true;
}

/* Each {word} of a title must be one that the server fills in. */
static bool settle_title(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    static const char *const words[] = {
        "{title}",    "{listen-addr}", "{server-mode}", "{port}",
        "{tls-port}", "{unixsocket}",  "{config-file}",
    };
    char *const *title = place;
    const char *open = strchr(*title, '{');
    while (open != NULL) {
        size_t i = 0;
        size_t count = sizeof(words) / sizeof(words[0]);
        while (i < count && strncmp(open, words[i], strlen(words[i])) != 0) {
            i++;
        }
        if (i == count) {
            buffer_append_string(error, "template format is invalid or contains unknown variables");
            return false;
        }
        open = strchr(open + 1, '{');
    }
    return true;
}

static bool settle_shutdown(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    const int both = SHUTDOWN_FLAG_SAVE | SHUTDOWN_FLAG_NOSAVE;
    int flags;
    memcpy(&flags, place, sizeof(flags));
    if ((flags & both) == both) {
        buffer_append_string(error,
                             "shutdown options SAVE and NOSAVE can't be used simultaneously");
        return false;
    }
    return true;
}

static bool settle_file_name(const struct option *row, void *place, struct buffer *error) {
    char *const *name = place;
    if (strchr(*name, '/') != NULL) {
        buffer_format(error, "%s can't be a path, just a filename", row->name);
        return false;
    }
    return true;
}

static bool save_parse(const struct option *row, void *place, const struct span *arguments,
                       size_t count, struct buffer *error) {
    (void)row;
    struct save_points parsed = {.count = 0};
    bool is_empty = count == 1 && arguments[0].length == 0;
    bool valid = is_empty || count % SAVE_WORDS == 0;
    for (size_t i = 0; valid && !is_empty && i < count; i += SAVE_WORDS) {
        if (parsed.count == OPTIONS_SAVE_POINTS_MAX) {
            valid = false;
            break;
        }
        struct save_point *point = &parsed.points[parsed.count];
        parsed.count++;
        valid = number_parse(arguments[i], &point->seconds) &&
                number_parse(arguments[i + 1], &point->changes) && point->seconds >= 1 &&
                point->seconds <= INT32_MAX && point->changes >= 0 && point->changes <= INT32_MAX;
    }
    if (!valid) {
        buffer_append_string(error, "Invalid save parameters");
        return false;
    }
    memcpy(place, &parsed, sizeof(parsed));
    return true;
}

static void save_format(const struct option *row, const void *place, struct buffer *text) {
    (void)row;
    const struct save_points *points = place;
    for (size_t i = 0; i < points->count; i++) {
        buffer_format(text, "%s%" PRId64 " %" PRId64, i == 0 ? "" : " ", points->points[i].seconds,
                      points->points[i].changes);
    }
}

static const struct option_custom save_points = {
    .size_bytes = sizeof(struct save_points),
    .shape = "pairs of seconds and changes",
    .parse = save_parse,
    .format = save_format,
};

static const struct option rows[] = {
    {.name = NULL, .help = "Network"},
    {
        .name = "port",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, port),
        .min = 0,
        .max = 65535,
        .default_text = "6379",
        .help = "TCP port to listen on; 0 listens on none.",
    },
    {
        .name = "bind",
        .type = OPTION_LIST,
        .flags = OPTION_MULTI,
        .offset = offsetof(struct server_options, bind),
        .settle = settle_bind,
        .default_text = "* -::*",
        .help = "Addresses to listen on. With a - in front, an address that this machine does "
                "not have is skipped. * is every IPv4 and ::* every IPv6 address.",
    },
    {
        .name = "unixsocket",
        .type = OPTION_STRING,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, unixsocket),
        .default_text = "",
        .help = "Path of a Unix socket to listen on; empty for none.",
    },
    {
        .name = "unixsocketperm",
        .type = OPTION_OCTAL,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, unixsocketperm),
        .min = 0,
        .max = 0777,
        .default_text = "0",
        .help = "Permissions of the Unix socket; 0 leaves them to the umask.",
    },
    {
        .name = "tcp-backlog",
        .type = OPTION_INTEGER,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, tcp_backlog),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "511",
        .help = "Connections that the system keeps waiting until they are accepted.",
    },
    {
        .name = "socket-mark-id",
        .type = OPTION_INTEGER,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, socket_mark_id),
        .min = 0,
        .max = UINT32_MAX,
        .default_text = "0",
        .help = "Mark that the packets of listening sockets carry, for firewalls and routing; 0 "
                "for none.",
    },
    {
        .name = "protected-mode",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, protected_mode),
        .default_text = "yes",
        .help = "Without a password and an explicit bind, only clients on this machine are "
                "served.",
    },
    {
        .name = "requirepass",
        .type = OPTION_STRING,
        .flags = OPTION_SENSITIVE,
        .offset = offsetof(struct server_options, requirepass),
        .default_text = "",
        .help = "Password that clients must give with AUTH or HELLO; empty for none.",
    },
    {.name = NULL, .help = "Process"},
    {
        .name = "workers",
        .type = OPTION_INTEGER,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, workers),
        .min = 1,
        .max = OPTIONS_WORKERS_MAX,
        .default_text = "1",
        .help = "Threads that serve clients; each owns a part of the keys.",
    },
    {
        .name = "databases",
        .type = OPTION_INTEGER,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, databases),
        .min = 1,
        .max = OPTIONS_DATABASES_MAX,
        .default_text = "16",
        .help = "Databases to choose from with SELECT.",
    },
    {
        .name = "dir",
        .type = OPTION_STRING,
        .flags = OPTION_PROTECTED | OPTION_REWRITE_ALWAYS | OPTION_PATH,
        .offset = offsetof(struct server_options, dir),
        .settle = settle_dir,
        .default_text = ".",
        .help = "Working directory: files of the server are created there.",
    },
    {
        .name = "pidfile",
        .type = OPTION_STRING,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, pidfile),
        .default_text = "",
        .help = "File that holds the process id while the server runs; empty for none, unless "
                "daemonize asks for one.",
    },
    {
        .name = "daemonize",
        .type = OPTION_BOOL,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, daemonize),
        .default_text = "no",
        .help = "Leaves the terminal and goes on in the background.",
    },
    {
        .name = "supervised",
        .type = OPTION_ENUM,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, supervised),
        .words = supervisors,
        .default_text = "no",
        .help = "Who started the server and waits to hear that it is ready: systemd, or auto to "
                "find out.",
    },
    {
        .name = "set-proc-title",
        .type = OPTION_BOOL,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, set_proc_title),
        .default_text = "yes",
        .help = "Shows in the process list what the server is and where it listens.",
    },
    {
        .name = "proc-title-template",
        .type = OPTION_STRING,
        .offset = offsetof(struct server_options, proc_title_template),
        .settle = settle_title,
        .default_text = "{title} {listen-addr} {server-mode}",
        .help = "What the process list shows. Known: {title} {listen-addr} {server-mode} {port} "
                "{tls-port} {unixsocket} {config-file}.",
    },
    {
        .name = "disable-thp",
        .type = OPTION_BOOL,
        .flags = OPTION_IMMUTABLE | OPTION_NO_MEANING,
        .offset = OPTION_NO_FIELD,
        .default_text = "yes",
        .help = "Huge pages cost latency after a fork. There is none here, so they do good.",
    },
    {
        .name = "shutdown-timeout",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, shutdown_timeout),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "10",
        .help = "Seconds that a shutdown waits for replicas that are behind.",
    },
    {
        .name = "shutdown-on-sigint",
        .type = OPTION_FLAGS,
        .flags = OPTION_MULTI,
        .offset = offsetof(struct server_options, shutdown_on_sigint),
        .words = shutdown_words,
        .settle = settle_shutdown,
        .default_text = "default",
        .help = "How the server stops on SIGINT.",
    },
    {
        .name = "shutdown-on-sigterm",
        .type = OPTION_FLAGS,
        .flags = OPTION_MULTI,
        .offset = offsetof(struct server_options, shutdown_on_sigterm),
        .words = shutdown_words,
        .settle = settle_shutdown,
        .default_text = "default",
        .help = "How the server stops on SIGTERM.",
    },
    {.name = NULL, .help = "Log"},
    {
        .name = "loglevel",
        .type = OPTION_ENUM,
        .offset = offsetof(struct server_options, loglevel),
        .words = log_levels,
        .default_text = "notice",
        .help = "The least important lines that are still logged.",
    },
    {
        .name = "logfile",
        .type = OPTION_STRING,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, logfile),
        .default_text = "",
        .help = "File to log to; empty for standard error.",
    },
    {
        .name = "syslog-enabled",
        .type = OPTION_BOOL,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, syslog_enabled),
        .default_text = "no",
        .help = "Logs to the system log too.",
    },
    {
        .name = "syslog-ident",
        .type = OPTION_STRING,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, syslog_ident),
        .default_text = "redis",
        .help = "Name of the server in the system log.",
    },
    {
        .name = "syslog-facility",
        .type = OPTION_ENUM,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, syslog_facility),
        .words = facilities,
        .default_text = "local0",
        .help = "Facility of the lines in the system log.",
    },
    {.name = NULL, .help = "What clients may do to the server"},
    {
        .name = "enable-protected-configs",
        .type = OPTION_ENUM,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, enable_protected_configs),
        .words = scopes,
        .default_text = "no",
        .help = "Who may change dir and dbfilename with CONFIG SET: nobody, everybody, or "
                "clients on this machine.",
    },
    {
        .name = "enable-debug-command",
        .type = OPTION_ENUM,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, enable_debug_command),
        .words = scopes,
        .default_text = "no",
        .help = "Who may use DEBUG: nobody, everybody, or clients on this machine.",
    },
    {
        .name = "enable-module-command",
        .type = OPTION_ENUM,
        .flags = OPTION_IMMUTABLE | OPTION_NO_MEANING,
        .offset = OPTION_NO_FIELD,
        .words = scopes,
        .default_text = "no",
        .help = "Who may load modules; there are none.",
    },
    {.name = NULL, .help = "Persistence"},
    {
        .name = "appendonly",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, appendonly),
        .default_text = "yes",
        .help = "Keeps a log of all changes on disk. CONFIG SET switches it behind the snapshot "
                "under way, with another one; aof_rewrite_in_progress tells until when.",
    },
    {
        .name = "appendfsync",
        .type = OPTION_ENUM,
        .offset = offsetof(struct server_options, appendfsync),
        .words = fsync_policies,
        .default_text = "everysec",
        .help = "When that log is forced to disk: with each write, every second, or when the "
                "system likes.",
    },
    {
        .name = "save",
        .type = OPTION_CUSTOM,
        .flags = OPTION_MULTI | OPTION_ADDITIVE,
        .offset = offsetof(struct server_options, save),
        .custom = &save_points,
        .words_per_line = SAVE_WORDS,
        .default_text = "3600 1 300 100 60 10000",
        .help = "Takes a snapshot after so many seconds if there were at least so many changes. "
                "Several pairs may be given; empty takes none by itself.",
    },
    {
        .name = "dbfilename",
        .type = OPTION_STRING,
        .flags = OPTION_PROTECTED,
        .offset = offsetof(struct server_options, dbfilename),
        .settle = settle_file_name,
        .default_text = "dump.rdb",
        .help = "File name of the snapshot in dir, with .snapshot in place of .rdb. Only snapshots "
                "under the name and in the folder of the server's start let the log be trimmed: "
                "others are copies, and a start would not find them.",
    },
    {
        .name = "appendfilename",
        .type = OPTION_STRING,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, appendfilename),
        .settle = settle_file_name,
        .default_text = "appendonly.aof",
        .help = "Name of redis-server's append only file, which is imported at the first start.",
    },
    {
        .name = "appenddirname",
        .type = OPTION_STRING,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, appenddirname),
        .settle = settle_file_name,
        .default_text = "appendonlydir",
        .help = "Folder of redis-server's append only files.",
    },
    {
        .name = "stop-writes-on-bgsave-error",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, stop_writes_on_bgsave_error),
        .default_text = "yes",
        .help = "Refuses writes after a snapshot has failed.",
    },
    {
        .name = "rdbcompression",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, rdbcompression),
        .default_text = "yes",
        .help = "Compresses snapshots.",
    },
    {
        .name = "aof-load-truncated",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, aof_load_truncated),
        .default_text = "yes",
        .help = "Cuts off a log's torn tail at the start; no refuses to start with one.",
    },
    {
        .name = "auto-aof-rewrite-percentage",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, auto_aof_rewrite_percentage),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "100",
        .help = "Takes a snapshot, behind which old segments go, when the log has grown by so "
                "much of the last snapshot's data, not compressed; 0 never does.",
    },
    {
        .name = "auto-aof-rewrite-min-size",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct server_options, auto_aof_rewrite_min_size),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "64mb",
        .help = "But not before the log has grown by so much since then.",
    },
    {
        .name = "log-segment-size",
        .type = OPTION_MEMORY,
        .flags = OPTION_IMMUTABLE,
        .offset = offsetof(struct server_options, log_segment_size),
        .min = 4096,
        .max = INT64_C(1) << 40,
        .default_text = "64mb",
        .help = "Size from which on the log goes on in a new file; old files go one by one.",
    },
    {
        .name = "log-size-max",
        .type = OPTION_MEMORY_OR_PERCENT,
        .offset = offsetof(struct server_options, log_size_max),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "50%",
        .help = "What the log, log.old and the divergence files may take on disk, in bytes or as "
                "a part of the file system that dir is on. At half of it a snapshot is taken, so "
                "that the log can go; at three quarters what is kept for replicas that are away, "
                "log.old and the oldest divergence files go; at seven eighths writes are refused "
                "until there is room. 0 is no maximum; no maximum is less than 1mb.",
    },
    {.name = NULL, .help = "What a primary does for its replicas"},
    {
        .name = "repl-backlog-size",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct server_options, repl_backlog_size),
        .min = 1,
        .max = INT64_MAX,
        .default_text = "1mb",
        .help = "Bytes of the log that are kept for replicas that come, once there has been one.",
    },
    {
        .name = "repl-backlog-ttl",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, repl_backlog_ttl),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "3600",
        .help = "Seconds for which they are kept, and without appendonly a log at all, when no "
                "replica is connected; 0 is for ever.",
    },
    {
        .name = "repl-absent-log-size",
        .type = OPTION_MEMORY,
        .offset = offsetof(struct server_options, repl_absent_log_size),
        .min = 0,
        .max = INT64_MAX,
        .default_text = "1gb",
        .help = "Bytes of the log on disk that are kept for replicas that were here and are away, "
                "so that they can go on where they were.",
    },
    {
        .name = "repl-absent-log-seconds",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, repl_absent_log_seconds),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "86400",
        .help = "How old what is kept for them may be.",
    },
    {
        .name = "digest-check-period",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, digest_check_period),
        .min = 0,
        .max = INT32_MAX,
        .default_text = "86400",
        .help = "Seconds in which all slots of replicas are compared with the primary's, by "
                "digests; what differs is told in the log and healed. 0 compares nothing.",
    },
    {
        .name = "repl-timeout",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, repl_timeout),
        .min = 1,
        .max = INT32_MAX,
        .default_text = "60",
        .help = "Seconds of silence that end a replication link.",
    },
    {
        .name = "repl-ping-replica-period",
        .alias = "repl-ping-slave-period",
        .type = OPTION_INTEGER,
        .offset = offsetof(struct server_options, repl_ping_period),
        .min = 1,
        .max = INT32_MAX,
        .default_text = "10",
        .help = "Seconds between pings to replicas that are redis-servers.",
    },
    {
        .name = "repl-disable-tcp-nodelay",
        .type = OPTION_BOOL,
        .offset = offsetof(struct server_options, repl_disable_tcp_nodelay),
        .default_text = "no",
        .help = "Fewer and larger packets to replicas, which come later.",
    },
};

const struct option_table server_option_table = {
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
