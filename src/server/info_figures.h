/* The figures that INFO's fields show, collected over the node while all workers stand still.
 */
#ifndef TARN_SERVER_INFO_FIGURES_H
#define TARN_SERVER_INFO_FIGURES_H

#include "server/cluster.h"
#include "server/memory_figures.h"
#include "server/persistence_figures.h"
#include "server/replication_figures.h"
#include "server/server_commands.h"

struct info_figures {
    char os[256];
    uint64_t process_id;
    const char *supervised;
    struct digest_figures digests;
    const char *run_id;
    uint64_t tcp_port;
    int64_t server_time_us;
    int64_t uptime_seconds;
    int64_t uptime_days;
    int64_t hz;
    uint64_t lru_clock;
    const char *executable;
    const char *config_file;
    uint64_t workers;

    uint64_t clients;
    int64_t maxclients;
    uint64_t blocked_clients;
    uint64_t blocked_with_timeout;
    uint64_t quorum_timeouts;
    uint64_t quorum_messages_lost;

    struct memory_figures memory;
    double peak_percent;
    int64_t maxmemory;
    char maxmemory_policy[32];
    const char *allocator_name;
    double allocator_frag_ratio;
    int64_t allocator_frag_bytes;
    double allocator_rss_ratio;
    int64_t allocator_rss_bytes;
    double rss_overhead_ratio;
    int64_t rss_overhead_bytes;
    double fragmentation_ratio;
    int64_t fragmentation_bytes;
    uint64_t lazyfree_pending;
    uint64_t lazyfreed;

    struct persistence_figures persistence;

    uint64_t connections_received;
    uint64_t connections_rejected;
    uint64_t commands;
    uint64_t commands_per_second;
    uint64_t read_bytes;
    uint64_t written_bytes;
    double read_kib_per_second;
    double written_kib_per_second;
    uint64_t link_read_bytes;
    uint64_t link_written_bytes;
    double link_read_kib_per_second;
    double link_written_kib_per_second;
    uint64_t expired_keys;
    double expired_stale_percent;
    uint64_t expired_time_cap_reached;
    uint64_t expire_ms;
    uint64_t evicted_keys;
    uint64_t evicted_clients;
    uint64_t over_memory_now_ms;
    uint64_t over_memory_ms;
    uint64_t clients_over_output;
    uint64_t clients_over_query;
    uint64_t hits;
    uint64_t misses;
    uint64_t channels;
    uint64_t patterns;
    uint64_t shard_channels;
    uint64_t migrate_connections;
    uint64_t error_replies;
    uint64_t reads;
    uint64_t writes;
    uint64_t ticks;
    uint64_t ticks_per_second;
    uint64_t busy_us;
    uint64_t busy_us_per_tick;
    uint64_t logins_refused;
    uint64_t command_duration_us;

    struct replication_figures replication;

    double cpu_system;
    double cpu_user;
    double cpu_children_system;
    double cpu_children_user;
    double cpu_thread_system;
    double cpu_thread_user;

    const char *mode; /* standalone, cluster */
    bool cluster_enabled;
    struct cluster_figures cluster;
};

/* Costs what memory_figures_read() costs. Texts point into the server. */
void info_figures_read(struct server *server, struct info_figures *figures);

#endif
