/* The options that Redis knows and that change nothing here, so that a redis.conf loads and tools
 * that read an option back find what was set. Their values are checked as Redis checks them. A few
 * would be dangerous to ignore (OPTION_UNSUPPORTED): those may only have their default.
 */
#include "base/numbers.h"
#include "server/options.h"

static const struct option_word oom_words[] = {
    {"no", 0}, {"yes", 1}, {"relative", 2}, {"absolute", 3}, {NULL, 0},
};

static const struct option_word acl_words[] = {
    {"allchannels", 0},
    {"resetchannels", 1},
    {NULL, 0},
};

static const struct option_word sanitize_words[] = {
    {"no", 0},
    {"yes", 1},
    {"clients", 2},
    {NULL, 0},
};

static const struct option_word diskless_words[] = {
    {"disabled", 0},
    {"on-empty-db", 1},
    {"swapdb", 2},
    {NULL, 0},
};

static const struct option_word propagation_words[] = {
    {"ignore", 0},
    {"panic", 1},
    {"panic-on-replicas", 2},
    {NULL, 0},
};

static const struct option_word tls_auth_words[] = {
    {"no", 0},
    {"yes", 1},
    {"optional", 2},
    {NULL, 0},
};

#define OOM_VALUES 3
#define OOM_VALUE_MAX 2000

static bool settle_oom_values(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    const struct option_list *values = place;
    if (values->count != OOM_VALUES) {
        buffer_append_string(error, "wrong number of arguments");
        return false;
    }
    for (size_t i = 0; i < values->count; i++) {
        int64_t value;
        if (!number_parse(span_of_string(values->items[i]), &value) || value < -OOM_VALUE_MAX ||
            value > OOM_VALUE_MAX) {
            buffer_format(error,
                          "Invalid oom-score-adj-values, elements must be between %d and %d.",
                          -OOM_VALUE_MAX, OOM_VALUE_MAX);
            return false;
        }
    }
    return true;
}

/* Rows of one kind, without a field. */
#define ROW(row_name, row_alias, row_flags, row_default, row_help)                                 \
    .name = (row_name), .alias = (row_alias), .flags = (row_flags), .offset = OPTION_NO_FIELD,     \
    .default_text = (row_default), .help = (row_help)
#define BOOL(name, alias, flags, normal, help)                                                     \
    { ROW(name, alias, flags, normal, help), .type = OPTION_BOOL }
#define INTEGER(name, alias, flags, normal, least, most, help)                                     \
    { ROW(name, alias, flags, normal, help), .type = OPTION_INTEGER, .min = (least), .max = (most) }
#define MEMORY(name, alias, flags, normal, least, most, help)                                      \
    { ROW(name, alias, flags, normal, help), .type = OPTION_MEMORY, .min = (least), .max = (most) }
#define ENUM(name, alias, flags, normal, known, help)                                              \
    { ROW(name, alias, flags, normal, help), .type = OPTION_ENUM, .words = (known) }
#define STRING(name, alias, flags, normal, settler, help)                                          \
    { ROW(name, alias, flags, normal, help), .type = OPTION_STRING, .settle = (settler) }
#define LIST(name, alias, flags, normal, settler, help)                                            \
    { ROW(name, alias, flags, normal, help), .type = OPTION_LIST, .settle = (settler) }

static const struct option rows[] = {
    {.name = NULL, .help = "Options of Redis that have no meaning here"},
    BOOL("always-show-logo", NULL, OPTION_NO_MEANING | OPTION_IMMUTABLE, "no",
         "A drawing at the start of the log."),
    BOOL("dynamic-hz", NULL, OPTION_NO_MEANING, "yes",
         "Housekeeping adapts to the work that there is, always."),
    BOOL("crash-log-enabled", NULL, OPTION_NO_MEANING, "yes", "A report in the log after a crash."),
    BOOL("crash-memcheck-enabled", NULL, OPTION_NO_MEANING, "yes", "A memory test after a crash."),
    BOOL("use-exit-on-panic", NULL, OPTION_NO_MEANING | OPTION_HIDDEN, "no",
         "For tests of the server itself."),
    INTEGER("watchdog-period", NULL, OPTION_NO_MEANING | OPTION_HIDDEN, "0", 0, INT32_MAX,
            "For tests of the server itself."),
    BOOL("jemalloc-bg-thread", NULL, OPTION_NO_MEANING, "yes",
         "A thread of the allocator that returns memory."),
    BOOL("activerehashing", NULL, OPTION_NO_MEANING, "yes", "Tables grow by single steps, always."),
    BOOL("lazyfree-lazy-eviction", NULL, OPTION_NO_MEANING, "no",
         "What is large is freed by bounded pieces, or off the worker, always."),
    BOOL("lazyfree-lazy-expire", NULL, OPTION_NO_MEANING, "no", "See lazyfree-lazy-eviction."),
    BOOL("lazyfree-lazy-server-del", NULL, OPTION_NO_MEANING, "no", "See lazyfree-lazy-eviction."),
    BOOL("lazyfree-lazy-user-del", NULL, OPTION_NO_MEANING, "no", "See lazyfree-lazy-eviction."),
    BOOL("lazyfree-lazy-user-flush", NULL, OPTION_NO_MEANING, "no", "See lazyfree-lazy-eviction."),
    BOOL("activedefrag", NULL, OPTION_NO_MEANING, "no", "Moving values to fill holes in memory."),
    MEMORY("active-defrag-ignore-bytes", NULL, OPTION_NO_MEANING, "100mb", 1, INT64_MAX,
           "Of activedefrag."),
    INTEGER("active-defrag-threshold-lower", NULL, OPTION_NO_MEANING, "10", 0, 1000,
            "Of activedefrag."),
    INTEGER("active-defrag-threshold-upper", NULL, OPTION_NO_MEANING, "100", 0, 1000,
            "Of activedefrag."),
    INTEGER("active-defrag-cycle-min", NULL, OPTION_NO_MEANING, "1", 1, 99, "Of activedefrag."),
    INTEGER("active-defrag-cycle-max", NULL, OPTION_NO_MEANING, "25", 1, 99, "Of activedefrag."),
    INTEGER("active-defrag-max-scan-fields", NULL, OPTION_NO_MEANING, "1000", 1, INT64_MAX,
            "Of activedefrag."),
    INTEGER("io-threads", NULL, OPTION_NO_MEANING | OPTION_IMMUTABLE, "1", 1, 128,
            "Helper threads for sockets; see workers."),
    BOOL("io-threads-do-reads", NULL, OPTION_NO_MEANING | OPTION_IMMUTABLE, "no",
         "Helper threads for sockets; see workers."),
    ENUM("oom-score-adj", NULL, OPTION_NO_MEANING, "no", oom_words,
         "Who the kernel ends first when memory is short."),
    LIST("oom-score-adj-values", NULL, OPTION_NO_MEANING | OPTION_MULTI, "0 200 800",
         settle_oom_values, "Of oom-score-adj."),
    STRING("server-cpulist", "server_cpulist", OPTION_NO_MEANING | OPTION_IMMUTABLE, "", NULL,
           "Processors for workers."),
    STRING("bio-cpulist", "bio_cpulist", OPTION_NO_MEANING | OPTION_IMMUTABLE, "", NULL,
           "Processors for background threads."),
    STRING("aof-rewrite-cpulist", "aof_rewrite_cpulist", OPTION_NO_MEANING | OPTION_IMMUTABLE, "",
           NULL, "Processors for log rewriting."),
    STRING("bgsave-cpulist", "bgsave_cpulist", OPTION_NO_MEANING | OPTION_IMMUTABLE, "", NULL,
           "Processors for snapshots."),
    STRING("ignore-warnings", NULL, OPTION_NO_MEANING, "", NULL,
           "Warnings that do not keep the server from starting."),
    STRING("locale-collate", NULL, OPTION_NO_MEANING, "", NULL,
           "Locale that SORT ALPHA compares with."),
    ENUM("acl-pubsub-default", NULL, OPTION_NO_MEANING, "resetchannels", acl_words,
         "Channels that a new user may use."),
    STRING("aclfile", NULL, OPTION_IMMUTABLE | OPTION_UNSUPPORTED, "", NULL,
           "File with users and what they may do."),
    ENUM("sanitize-dump-payload", NULL, OPTION_NO_MEANING, "no", sanitize_words,
         "How carefully RESTORE checks what it is given; here always fully."),
    BOOL("no-appendfsync-on-rewrite", NULL, OPTION_NO_MEANING, "no",
         "Leaves out syncs while the log is rewritten."),
    BOOL("aof-use-rdb-preamble", NULL, OPTION_NO_MEANING, "yes",
         "A rewritten log begins with a snapshot."),
    BOOL("aof-timestamp-enabled", NULL, OPTION_NO_MEANING, "no", "Times in the log."),
    BOOL("aof-rewrite-incremental-fsync", NULL, OPTION_NO_MEANING, "yes",
         "Syncs in pieces while the log is rewritten."),
    BOOL("aof-disable-auto-gc", NULL, OPTION_NO_MEANING, "no",
         "Keeps log files that are no longer needed."),
    BOOL("rdbchecksum", NULL, OPTION_NO_MEANING | OPTION_IMMUTABLE, "yes",
         "A checksum at the end of snapshots."),
    BOOL("rdb-del-sync-files", NULL, OPTION_NO_MEANING, "no",
         "Removes the files of a sync afterwards."),
    BOOL("rdb-save-incremental-fsync", NULL, OPTION_NO_MEANING, "yes",
         "Syncs in pieces while a snapshot is written."),
    INTEGER("rdb-key-save-delay", NULL, OPTION_NO_MEANING | OPTION_HIDDEN, "0", INT32_MIN,
            INT32_MAX, "For tests of the server itself."),
    INTEGER("key-load-delay", NULL, OPTION_NO_MEANING | OPTION_HIDDEN, "0", INT32_MIN, INT32_MAX,
            "For tests of the server itself."),
    BOOL("replica-lazy-flush", "slave-lazy-flush", OPTION_NO_MEANING, "no",
         "A replica frees old data off the worker before a sync."),
    BOOL("replica-ignore-disk-write-errors", NULL, OPTION_NO_MEANING, "no",
         "A replica goes on when its disk fails."),
    BOOL("repl-diskless-sync", NULL, OPTION_NO_MEANING, "yes", "Syncs replicas without a file."),
    INTEGER("repl-diskless-sync-delay", NULL, OPTION_NO_MEANING, "5", 0, INT32_MAX,
            "Seconds to wait for more replicas."),
    INTEGER("repl-diskless-sync-max-replicas", NULL, OPTION_NO_MEANING, "0", 0, INT32_MAX,
            "Replicas not to wait beyond."),
    ENUM("repl-diskless-load", NULL, OPTION_NO_MEANING, "disabled", diskless_words,
         "A replica loads from the socket."),
    ENUM("propagation-error-behavior", NULL, OPTION_NO_MEANING, "ignore", propagation_words,
         "What to do when a replica cannot apply a change."),
    STRING("cluster-config-file", NULL, OPTION_NO_MEANING | OPTION_IMMUTABLE, "nodes.conf", NULL,
           "File that the node keeps about its cluster; here it is the folder cluster."),
    INTEGER("cluster-replica-validity-factor", "cluster-slave-validity-factor", OPTION_NO_MEANING,
            "10", 0, INT32_MAX, "How far behind a replica may be to take over."),
    INTEGER("tls-port", NULL, OPTION_UNSUPPORTED, "0", 0, 65535, "Port for TLS connections."),
    STRING("tls-cert-file", NULL, OPTION_NO_MEANING, "", NULL, "Certificate."),
    STRING("tls-key-file", NULL, OPTION_NO_MEANING, "", NULL, "Key of the certificate."),
    STRING("tls-key-file-pass", NULL, OPTION_NO_MEANING | OPTION_SENSITIVE, "", NULL,
           "Password of the key."),
    STRING("tls-client-cert-file", NULL, OPTION_NO_MEANING, "", NULL, "Certificate as a client."),
    STRING("tls-client-key-file", NULL, OPTION_NO_MEANING, "", NULL, "Key as a client."),
    STRING("tls-client-key-file-pass", NULL, OPTION_NO_MEANING | OPTION_SENSITIVE, "", NULL,
           "Password of that key."),
    STRING("tls-dh-params-file", NULL, OPTION_NO_MEANING, "", NULL, "Parameters of key exchange."),
    STRING("tls-ca-cert-file", NULL, OPTION_NO_MEANING, "", NULL, "Certificates to trust."),
    STRING("tls-ca-cert-dir", NULL, OPTION_NO_MEANING, "", NULL,
           "Directory of certificates to trust."),
    STRING("tls-protocols", NULL, OPTION_NO_MEANING, "", NULL, "Versions of TLS."),
    STRING("tls-ciphers", NULL, OPTION_NO_MEANING, "", NULL, "Ciphers up to TLS 1.2."),
    STRING("tls-ciphersuites", NULL, OPTION_NO_MEANING, "", NULL, "Ciphers of TLS 1.3."),
    ENUM("tls-auth-clients", NULL, OPTION_NO_MEANING, "yes", tls_auth_words,
         "Whether clients must show a certificate."),
    BOOL("tls-replication", NULL, OPTION_NO_MEANING, "no", "TLS to the server to copy."),
    BOOL("tls-cluster", NULL, OPTION_NO_MEANING, "no", "TLS between nodes."),
    BOOL("tls-prefer-server-ciphers", NULL, OPTION_NO_MEANING, "no",
         "The server's order of ciphers counts."),
    BOOL("tls-session-caching", NULL, OPTION_NO_MEANING, "yes", "Clients may resume sessions."),
    INTEGER("tls-session-cache-size", NULL, OPTION_NO_MEANING, "20480", 0, INT32_MAX,
            "Sessions that are remembered."),
    INTEGER("tls-session-cache-timeout", NULL, OPTION_NO_MEANING, "300", 0, INT32_MAX,
            "Seconds for which they are."),
};

const struct option_table unused_option_table = {
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
