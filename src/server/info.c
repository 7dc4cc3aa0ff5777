/* INFO: what the server tells of itself. Sections, fields and their order are Redis'; of our own are
 * tarn_version and the section "workers".
 *
 * The figures are collected into a struct first; a row per field says how it is written. Sections whose lines
 * depend on what there is (databases, commands, errors, workers) have a function instead.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RUSAGE_THREAD */
#endif

#include "server/info.h"

#include "base/memory.h"
#include "io/clock.h"
#include "server/memory_figures.h"
#include "worker/pubsub.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SECONDS_PER_DAY (24 * 3600)
#define US_PER_SECOND 1000000
#define KEYS_SAMPLED_FOR_TTL 32
#define KIB 1024.0

static const char no_id[] = "0000000000000000000000000000000000000000";

/* ---- what there is to tell ---- */

struct figures {
    char os[256];
    uint64_t process_id;
    const char *supervised;
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

    struct memory_figures memory;
    double peak_percent;
    int64_t maxmemory;
    const char *maxmemory_policy;
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

    uint64_t changes;
    int64_t started_seconds;

    uint64_t connections_received;
    uint64_t connections_rejected;
    uint64_t commands;
    uint64_t commands_per_second;
    uint64_t read_bytes;
    uint64_t written_bytes;
    double read_kib_per_second;
    double written_kib_per_second;
    uint64_t expired_keys;
    double expired_stale_percent;
    uint64_t expired_time_cap_reached;
    uint64_t evicted_keys;
    uint64_t evicted_clients;
    uint64_t hits;
    uint64_t misses;
    uint64_t channels;
    uint64_t patterns;
    uint64_t shard_channels;
    uint64_t error_replies;
    uint64_t reads;
    uint64_t writes;
    uint64_t ticks;
    uint64_t command_duration_us;

    const char *replication_id;

    double cpu_system;
    double cpu_user;
    double cpu_children_system;
    double cpu_children_user;
    double cpu_thread_system;
    double cpu_thread_user;
};

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / US_PER_SECOND;
}

static void collect_cpu(struct figures *figures) {
    struct rusage own;
    struct rusage children;
    struct rusage thread;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    getrusage(RUSAGE_THREAD, &thread);
    figures->cpu_system = seconds_of(own.ru_stime);
    figures->cpu_user = seconds_of(own.ru_utime);
    figures->cpu_children_system = seconds_of(children.ru_stime);
    figures->cpu_children_user = seconds_of(children.ru_utime);
    figures->cpu_thread_system = seconds_of(thread.ru_stime);
    figures->cpu_thread_user = seconds_of(thread.ru_utime);
}

static const char *supervised_name(const struct server_options *options) {
    if (!process_is_supervised(options->supervised)) {
        return "no";
    }
    return getenv("NOTIFY_SOCKET") != NULL ? "systemd" : "upstart";
}

static void collect_server(struct server *server, struct figures *figures) {
    struct utsname name;
    if (uname(&name) == 0) {
        snprintf(figures->os, sizeof(figures->os), "%s %s %s", name.sysname, name.release,
                 name.machine);
    }
    figures->process_id = (uint64_t)getpid();
    figures->supervised = supervised_name(&server->options->server);
    figures->run_id = server->run_id;
    figures->tcp_port = (uint64_t)server->options->server.port;
    figures->server_time_us = clock_wall_us();
    figures->uptime_seconds = (clock_monotonic_us() - server->started_us) / US_PER_SECOND;
    figures->uptime_days = figures->uptime_seconds / SECONDS_PER_DAY;
    figures->hz = server->options->worker.hz;
    figures->lru_clock = server->node.keyspace->stores[0]->lru_clock;
    figures->executable = server->executable;
    figures->config_file = config_file(server->config);
    figures->workers = server->node.worker_count;
    figures->clients = atomic_load(&server->node.clients);
    figures->maxclients = server->options->worker.maxclients;
    figures->started_seconds = server->started_ms / 1000;
    figures->replication_id = server->replication_id;
    figures->connections_received = atomic_load(&server->node.connections_received);
    figures->connections_rejected = atomic_load(&server->node.connections_rejected);
    figures->evicted_clients = atomic_load(&server->node.evicted_clients);
}

static void collect_memory(struct server *server, struct figures *figures) {
    struct memory_figures *memory = &figures->memory;
    const struct memory_totals *allocator = &memory->allocator;
    memory_figures_read(server, memory);
    figures->peak_percent = 100 * memory_figures_ratio(memory->used, memory->peak);
    figures->maxmemory = server->options->store.maxmemory;
    figures->allocator_frag_ratio = memory_figures_ratio(allocator->active, allocator->allocated);
    figures->allocator_frag_bytes = (int64_t)allocator->active - (int64_t)allocator->allocated;
    figures->allocator_rss_ratio = memory_figures_ratio(allocator->resident, allocator->active);
    figures->allocator_rss_bytes = (int64_t)allocator->resident - (int64_t)allocator->active;
    figures->rss_overhead_ratio = memory_figures_ratio(memory->resident, allocator->resident);
    figures->rss_overhead_bytes = (int64_t)memory->resident - (int64_t)allocator->resident;
    figures->fragmentation_ratio = memory_figures_ratio(memory->resident, memory->used);
    figures->fragmentation_bytes = (int64_t)memory->resident - (int64_t)memory->used;
    figures->allocator_name = memory_allocator_name();
    figures->lazyfree_pending = background_pending(server->node.background);
}

static void collect_store(const struct store *store, struct figures *figures) {
    const struct store_statistics *statistics = &store->statistics;
    figures->expired_keys += statistics->expired_keys;
    figures->evicted_keys += statistics->evicted_keys;
    figures->hits += statistics->hits;
    figures->misses += statistics->misses;
    figures->lazyfreed += statistics->lazyfreed_objects;
    figures->lazyfree_pending += store->graveyard_count;
    figures->expired_time_cap_reached += statistics->expired_time_cap_reached;
    if (statistics->expired_stale_percent > figures->expired_stale_percent) {
        figures->expired_stale_percent = statistics->expired_stale_percent;
    }
}

static uint64_t command_duration_us(const struct command_statistics *statistics) {
    return statistics->timed_calls == 0
               ? 0
               : (uint64_t)((double)statistics->duration_us * (double)statistics->calls /
                            (double)statistics->timed_calls);
}

static void collect_worker(const struct worker *worker, struct figures *figures) {
    const struct executor *executor = &worker->executor;
    figures->commands += executor->commands_processed;
    figures->changes += executor->changes;
    figures->error_replies += executor->error_replies;
    figures->read_bytes += worker->read_bytes + worker->work.read_bytes;
    figures->written_bytes += worker->written_bytes + worker->work.written_bytes;
    figures->reads += worker->reads;
    figures->writes += worker->writes;
    figures->ticks += worker->ticks;
    for (size_t i = 0; i < executor->statistics_count; i++) {
        figures->command_duration_us += command_duration_us(&executor->statistics[i]);
    }
    collect_store(worker->store, figures);
}

/* The word of an option that has words. */
static void option_text(void *context, struct span name, struct span value) {
    char *text = context;
    (void)name;
    snprintf(text, 32, "%.*s", (int)value.length, value.bytes);
}

static void collect(struct server *server, struct figures *figures, char policy[32]) {
    const struct node *node = &server->node;
    memset(figures, 0, sizeof(*figures));
    collect_server(server, figures);
    collect_memory(server, figures);
    collect_cpu(figures);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        collect_worker(node->workers[i], figures);
    }
    struct span name = span_of_string("maxmemory-policy");
    config_get(server->config, &name, 1, option_text, policy);
    figures->maxmemory_policy = policy;
    figures->commands_per_second = figures_rate(&server->samples.commands);
    figures->read_kib_per_second = (double)figures_rate(&server->samples.read_bytes) / KIB;
    figures->written_kib_per_second = (double)figures_rate(&server->samples.written_bytes) / KIB;
    figures->channels = pubsub_topics(node, PUBSUB_CHANNEL);
    figures->patterns = pubsub_topics(node, PUBSUB_PATTERN);
    figures->shard_channels = pubsub_topics(node, PUBSUB_SHARD_CHANNEL);
}

/* ---- rows ---- */

enum field_form {
    FORM_TEXT,     /* const char * */
    FORM_ARRAY,    /* char[] */
    FORM_UNSIGNED, /* uint64_t */
    FORM_SIGNED,   /* int64_t */
    FORM_SIZE,     /* uint64_t or int64_t, as 1.50M */
    FORM_RATIO,    /* double, 1.50 */
    FORM_PERCENT,  /* double, 1.50% */
    FORM_SECONDS,  /* double, 1.500000 */
    FORM_FIXED,    /* the row's own text */
};

struct field {
    const char *name;
    const char *text; /* FORM_FIXED */
    enum field_form form;
    size_t offset;
};

#define FIELD(field_name, field_form, member)                                                      \
    { .name = (field_name), .form = (field_form), .offset = offsetof(struct figures, member) }
#define FIXED(field_name, field_text)                                                              \
    { .name = (field_name), .form = FORM_FIXED, .text = (field_text) }

static const struct field server_fields[] = {
    FIXED("redis_version", SERVER_REDIS_VERSION),
    FIXED("tarn_version", SERVER_VERSION),
    FIXED("redis_git_sha1", "00000000"),
    FIXED("redis_git_dirty", "0"),
    FIXED("redis_build_id", "0"),
    FIXED("redis_mode", "standalone"),
    FIELD("os", FORM_ARRAY, os),
    FIXED("arch_bits", "64"),
    FIXED("monotonic_clock", "POSIX clock_gettime"),
    FIXED("multiplexing_api", "epoll"),
    FIXED("atomicvar_api", "c11-builtin"),
    FIXED("gcc_version", __VERSION__),
    FIELD("process_id", FORM_UNSIGNED, process_id),
    FIELD("process_supervised", FORM_TEXT, supervised),
    FIELD("run_id", FORM_TEXT, run_id),
    FIELD("tcp_port", FORM_UNSIGNED, tcp_port),
    FIELD("server_time_usec", FORM_SIGNED, server_time_us),
    FIELD("uptime_in_seconds", FORM_SIGNED, uptime_seconds),
    FIELD("uptime_in_days", FORM_SIGNED, uptime_days),
    FIELD("hz", FORM_SIGNED, hz),
    FIELD("configured_hz", FORM_SIGNED, hz),
    FIELD("lru_clock", FORM_UNSIGNED, lru_clock),
    FIELD("executable", FORM_TEXT, executable),
    FIELD("config_file", FORM_TEXT, config_file),
    FIXED("io_threads_active", "0"),
    FIELD("workers", FORM_UNSIGNED, workers),
    {0},
};

static const struct field client_fields[] = {
    FIELD("connected_clients", FORM_UNSIGNED, clients),
    FIXED("cluster_connections", "0"),
    FIELD("maxclients", FORM_SIGNED, maxclients),
    FIELD("client_recent_max_input_buffer", FORM_UNSIGNED, memory.input_max),
    FIELD("client_recent_max_output_buffer", FORM_UNSIGNED, memory.output_max),
    FIXED("blocked_clients", "0"),
    FIXED("tracking_clients", "0"),
    FIXED("clients_in_timeout_table", "0"),
    FIXED("total_blocking_keys", "0"),
    FIXED("total_blocking_keys_on_nokey", "0"),
    {0},
};

static const struct field memory_fields[] = {
    FIELD("used_memory", FORM_UNSIGNED, memory.used),
    FIELD("used_memory_human", FORM_SIZE, memory.used),
    FIELD("used_memory_rss", FORM_UNSIGNED, memory.resident),
    FIELD("used_memory_rss_human", FORM_SIZE, memory.resident),
    FIELD("used_memory_peak", FORM_UNSIGNED, memory.peak),
    FIELD("used_memory_peak_human", FORM_SIZE, memory.peak),
    FIELD("used_memory_peak_perc", FORM_PERCENT, peak_percent),
    FIELD("used_memory_overhead", FORM_UNSIGNED, memory.overhead),
    FIELD("used_memory_startup", FORM_UNSIGNED, memory.startup),
    FIELD("used_memory_dataset", FORM_UNSIGNED, memory.dataset),
    FIELD("used_memory_dataset_perc", FORM_PERCENT, memory.dataset_share),
    FIELD("allocator_allocated", FORM_UNSIGNED, memory.allocator.allocated),
    FIELD("allocator_active", FORM_UNSIGNED, memory.allocator.active),
    FIELD("allocator_resident", FORM_UNSIGNED, memory.allocator.resident),
    FIELD("total_system_memory", FORM_UNSIGNED, memory.system),
    FIELD("total_system_memory_human", FORM_SIZE, memory.system),
    FIXED("used_memory_lua", "0"),
    FIXED("used_memory_vm_eval", "0"),
    FIXED("used_memory_lua_human", "0B"),
    FIXED("used_memory_scripts_eval", "0"),
    FIXED("number_of_cached_scripts", "0"),
    FIXED("number_of_functions", "0"),
    FIXED("number_of_libraries", "0"),
    FIXED("used_memory_vm_functions", "0"),
    FIXED("used_memory_vm_total", "0"),
    FIXED("used_memory_vm_total_human", "0B"),
    FIXED("used_memory_functions", "0"),
    FIXED("used_memory_scripts", "0"),
    FIXED("used_memory_scripts_human", "0B"),
    FIELD("maxmemory", FORM_SIGNED, maxmemory),
    FIELD("maxmemory_human", FORM_SIZE, maxmemory),
    FIELD("maxmemory_policy", FORM_TEXT, maxmemory_policy),
    FIELD("allocator_frag_ratio", FORM_RATIO, allocator_frag_ratio),
    FIELD("allocator_frag_bytes", FORM_SIGNED, allocator_frag_bytes),
    FIELD("allocator_rss_ratio", FORM_RATIO, allocator_rss_ratio),
    FIELD("allocator_rss_bytes", FORM_SIGNED, allocator_rss_bytes),
    FIELD("rss_overhead_ratio", FORM_RATIO, rss_overhead_ratio),
    FIELD("rss_overhead_bytes", FORM_SIGNED, rss_overhead_bytes),
    FIELD("mem_fragmentation_ratio", FORM_RATIO, fragmentation_ratio),
    FIELD("mem_fragmentation_bytes", FORM_SIGNED, fragmentation_bytes),
    FIXED("mem_not_counted_for_evict", "0"),
    FIXED("mem_replication_backlog", "0"),
    FIXED("mem_total_replication_buffers", "0"),
    FIXED("mem_clients_slaves", "0"),
    FIELD("mem_clients_normal", FORM_UNSIGNED, memory.clients),
    FIXED("mem_cluster_links", "0"),
    FIXED("mem_aof_buffer", "0"),
    FIELD("mem_allocator", FORM_TEXT, allocator_name),
    FIXED("active_defrag_running", "0"),
    FIELD("lazyfree_pending_objects", FORM_UNSIGNED, lazyfree_pending),
    FIELD("lazyfreed_objects", FORM_UNSIGNED, lazyfreed),
    {0},
};

static const struct field persistence_fields[] = {
    FIXED("loading", "0"),
    FIXED("async_loading", "0"),
    FIXED("current_cow_peak", "0"),
    FIXED("current_cow_size", "0"),
    FIXED("current_cow_size_age", "0"),
    FIXED("current_fork_perc", "0.00"),
    FIXED("current_save_keys_processed", "0"),
    FIXED("current_save_keys_total", "0"),
    FIELD("rdb_changes_since_last_save", FORM_UNSIGNED, changes),
    FIXED("rdb_bgsave_in_progress", "0"),
    FIELD("rdb_last_save_time", FORM_SIGNED, started_seconds),
    FIXED("rdb_last_bgsave_status", "ok"),
    FIXED("rdb_last_bgsave_time_sec", "-1"),
    FIXED("rdb_current_bgsave_time_sec", "-1"),
    FIXED("rdb_saves", "0"),
    FIXED("rdb_last_cow_size", "0"),
    FIXED("rdb_last_load_keys_expired", "0"),
    FIXED("rdb_last_load_keys_loaded", "0"),
    FIXED("aof_enabled", "0"),
    FIXED("aof_rewrite_in_progress", "0"),
    FIXED("aof_rewrite_scheduled", "0"),
    FIXED("aof_last_rewrite_time_sec", "-1"),
    FIXED("aof_current_rewrite_time_sec", "-1"),
    FIXED("aof_last_bgrewrite_status", "ok"),
    FIXED("aof_rewrites", "0"),
    FIXED("aof_rewrites_consecutive_failures", "0"),
    FIXED("aof_last_write_status", "ok"),
    FIXED("aof_last_cow_size", "0"),
    FIXED("module_fork_in_progress", "0"),
    FIXED("module_fork_last_cow_size", "0"),
    {0},
};

static const struct field stats_fields[] = {
    FIELD("total_connections_received", FORM_UNSIGNED, connections_received),
    FIELD("total_commands_processed", FORM_UNSIGNED, commands),
    FIELD("instantaneous_ops_per_sec", FORM_UNSIGNED, commands_per_second),
    FIELD("total_net_input_bytes", FORM_UNSIGNED, read_bytes),
    FIELD("total_net_output_bytes", FORM_UNSIGNED, written_bytes),
    FIXED("total_net_repl_input_bytes", "0"),
    FIXED("total_net_repl_output_bytes", "0"),
    FIELD("instantaneous_input_kbps", FORM_RATIO, read_kib_per_second),
    FIELD("instantaneous_output_kbps", FORM_RATIO, written_kib_per_second),
    FIXED("instantaneous_input_repl_kbps", "0.00"),
    FIXED("instantaneous_output_repl_kbps", "0.00"),
    FIELD("rejected_connections", FORM_UNSIGNED, connections_rejected),
    FIXED("sync_full", "0"),
    FIXED("sync_partial_ok", "0"),
    FIXED("sync_partial_err", "0"),
    FIELD("expired_keys", FORM_UNSIGNED, expired_keys),
    FIELD("expired_stale_perc", FORM_RATIO, expired_stale_percent),
    FIELD("expired_time_cap_reached_count", FORM_UNSIGNED, expired_time_cap_reached),
    FIXED("expire_cycle_cpu_milliseconds", "0"),
    FIELD("evicted_keys", FORM_UNSIGNED, evicted_keys),
    FIELD("evicted_clients", FORM_UNSIGNED, evicted_clients),
    FIXED("total_eviction_exceeded_time", "0"),
    FIXED("current_eviction_exceeded_time", "0"),
    FIELD("keyspace_hits", FORM_UNSIGNED, hits),
    FIELD("keyspace_misses", FORM_UNSIGNED, misses),
    FIELD("pubsub_channels", FORM_UNSIGNED, channels),
    FIELD("pubsub_patterns", FORM_UNSIGNED, patterns),
    FIELD("pubsubshard_channels", FORM_UNSIGNED, shard_channels),
    FIXED("latest_fork_usec", "0"),
    FIXED("total_forks", "0"),
    FIXED("migrate_cached_sockets", "0"),
    FIXED("slave_expires_tracked_keys", "0"),
    FIXED("active_defrag_hits", "0"),
    FIXED("active_defrag_misses", "0"),
    FIXED("active_defrag_key_hits", "0"),
    FIXED("active_defrag_key_misses", "0"),
    FIXED("total_active_defrag_time", "0"),
    FIXED("current_active_defrag_time", "0"),
    FIXED("tracking_total_keys", "0"),
    FIXED("tracking_total_items", "0"),
    FIXED("tracking_total_prefixes", "0"),
    FIXED("unexpected_error_replies", "0"),
    FIELD("total_error_replies", FORM_UNSIGNED, error_replies),
    FIXED("dump_payload_sanitizations", "0"),
    FIELD("total_reads_processed", FORM_UNSIGNED, reads),
    FIELD("total_writes_processed", FORM_UNSIGNED, writes),
    FIXED("io_threaded_reads_processed", "0"),
    FIXED("io_threaded_writes_processed", "0"),
    FIXED("reply_buffer_shrinks", "0"),
    FIXED("reply_buffer_expands", "0"),
    FIELD("eventloop_cycles", FORM_UNSIGNED, ticks),
    FIELD("eventloop_duration_cmd_sum", FORM_UNSIGNED, command_duration_us),
    FIXED("acl_access_denied_auth", "0"),
    FIXED("acl_access_denied_cmd", "0"),
    FIXED("acl_access_denied_key", "0"),
    FIXED("acl_access_denied_channel", "0"),
    {0},
};

static const struct field replication_fields[] = {
    FIXED("role", "master"),
    FIXED("connected_slaves", "0"),
    FIXED("master_failover_state", "no-failover"),
    FIELD("master_replid", FORM_TEXT, replication_id),
    FIXED("master_replid2", no_id),
    FIXED("master_repl_offset", "0"),
    FIXED("second_repl_offset", "-1"),
    FIXED("repl_backlog_active", "0"),
    FIXED("repl_backlog_size", "1048576"),
    FIXED("repl_backlog_first_byte_offset", "0"),
    FIXED("repl_backlog_histlen", "0"),
    {0},
};

static const struct field cpu_fields[] = {
    FIELD("used_cpu_sys", FORM_SECONDS, cpu_system),
    FIELD("used_cpu_user", FORM_SECONDS, cpu_user),
    FIELD("used_cpu_sys_children", FORM_SECONDS, cpu_children_system),
    FIELD("used_cpu_user_children", FORM_SECONDS, cpu_children_user),
    FIELD("used_cpu_sys_main_thread", FORM_SECONDS, cpu_thread_system),
    FIELD("used_cpu_user_main_thread", FORM_SECONDS, cpu_thread_user),
    {0},
};

static const struct field cluster_fields[] = {
    FIXED("cluster_enabled", "0"),
    {0},
};

/* As Redis writes sizes for people. */
void info_append_size(struct buffer *text, uint64_t bytes) {
    static const char units[] = "KMGTP";
    if (bytes < 1024) {
        buffer_format(text, "%lluB", (unsigned long long)bytes);
        return;
    }
    double size = (double)bytes / KIB;
    size_t unit = 0;
    while (size >= KIB && unit + 2 < sizeof(units)) {
        size /= KIB;
        unit++;
    }
    buffer_format(text, "%.2f%c", size, units[unit]);
}

static void append_value(struct buffer *text, const struct field *field,
                         const struct figures *figures) {
    const void *place = (const char *)figures + field->offset;
    switch (field->form) {
    case FORM_TEXT:
        buffer_append_string(text, *(const char *const *)place);
        break;
    case FORM_ARRAY:
        buffer_append_string(text, place);
        break;
    case FORM_UNSIGNED:
        buffer_format(text, "%llu", (unsigned long long)*(const uint64_t *)place);
        break;
    case FORM_SIGNED:
        buffer_format(text, "%lld", (long long)*(const int64_t *)place);
        break;
    case FORM_SIZE:
        info_append_size(text, *(const uint64_t *)place);
        break;
    case FORM_RATIO:
        buffer_format(text, "%.2f", *(const double *)place);
        break;
    case FORM_PERCENT:
        buffer_format(text, "%.2f%%", *(const double *)place);
        break;
    case FORM_SECONDS:
        buffer_format(text, "%.6f", *(const double *)place);
        break;
    case FORM_FIXED:
        buffer_append_string(text, field->text);
        break;
    }
}

static void append_fields(struct buffer *text, const struct field *fields,
                          const struct figures *figures) {
    for (; fields->name != NULL; fields++) {
        buffer_append_string(text, fields->name);
        buffer_append_byte(text, ':');
        append_value(text, fields, figures);
        buffer_append(text, "\r\n", 2);
    }
}

/* ---- sections with lines of their own ---- */

static void append_listener(struct buffer *text, const struct server *server) {
    const struct server_options *options = &server->options->server;
    uint32_t number = 0;
    if (options->port != 0) {
        buffer_format(text, "listener%u:name=tcp", number++);
        for (size_t i = 0; i < options->bind.count; i++) {
            buffer_format(text, ",bind=%s", options->bind.items[i]);
        }
        buffer_format(text, ",port=%lld\r\n", (long long)options->port);
    }
    if (options->unixsocket[0] != '\0') {
        buffer_format(text, "listener%u:name=unix,bind=%s\r\n", number, options->unixsocket);
    }
}

void info_command_statistics(const struct node *node, size_t number, struct command_statistics *sum,
                             struct histogram *durations) {
    *sum = (struct command_statistics){0};
    *durations = (struct histogram){0};
    for (uint32_t i = 0; i < node->worker_count; i++) {
        const struct command_statistics *one = &node->workers[i]->executor.statistics[number];
        sum->calls += one->calls;
        sum->duration_us += one->duration_us;
        sum->timed_calls += one->timed_calls;
        sum->rejected += one->rejected;
        sum->failed += one->failed;
        if (one->durations_ns != NULL) {
            histogram_merge(durations, one->durations_ns);
        }
    }
}

static void append_command_stats(struct buffer *text, const struct server *server) {
    const struct node *node = &server->node;
    struct command_statistics sum;
    struct histogram durations;
    for (size_t i = 0; i < command_table_count(node->commands); i++) {
        info_command_statistics(node, i, &sum, &durations);
        if (sum.calls == 0 && sum.rejected == 0 && sum.failed == 0) {
            continue;
        }
        uint64_t duration_us = command_duration_us(&sum);
        buffer_format(text,
                      "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,"
                      "failed_calls=%llu\r\n",
                      command_table_at(node->commands, i)->full_name, (unsigned long long)sum.calls,
                      (unsigned long long)duration_us, memory_figures_ratio(duration_us, sum.calls),
                      (unsigned long long)sum.rejected, (unsigned long long)sum.failed);
    }
}

/* 99.9: without zeros at the end. */
static void append_percentile(struct buffer *text, const char *before, double percentile) {
    buffer_format(text, "%s%f", before, percentile);
    while (text->bytes[text->length - 1] == '0') {
        text->length--;
    }
    if (text->bytes[text->length - 1] == '.') {
        text->length--;
    }
}

static void append_latency_stats(struct buffer *text, const struct server *server) {
    const struct node *node = &server->node;
    const struct latency_percentiles *percentiles =
        &node->options->latency_tracking_info_percentiles;
    struct command_statistics sum;
    struct histogram durations;
    for (size_t i = 0; i < command_table_count(node->commands); i++) {
        info_command_statistics(node, i, &sum, &durations);
        if (durations.total == 0) {
            continue;
        }
        buffer_format(
            text, "latency_percentiles_usec_%s:", command_table_at(node->commands, i)->full_name);
        for (size_t j = 0; j < percentiles->count; j++) {
            uint64_t ns = histogram_quantile(&durations, percentiles->values[j] / 100);
            append_percentile(text, j == 0 ? "p" : ",p", percentiles->values[j]);
            buffer_format(text, "=%.3f", (double)ns / 1000);
        }
        buffer_append(text, "\r\n", 2);
    }
}

static int compare_errors(const void *a, const void *b) {
    return strcmp(((const struct error_statistics *)a)->code,
                  ((const struct error_statistics *)b)->code);
}

static void append_error_stats(struct buffer *text, const struct server *server) {
    const struct node *node = &server->node;
    struct error_statistics *all =
        memory_alloc(node->worker_count * sizeof(node->workers[0]->executor.errors));
    size_t count = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        const struct executor *executor = &node->workers[i]->executor;
        memcpy(all + count, executor->errors, executor->errors_count * sizeof(*all));
        count += executor->errors_count;
    }
    qsort(all, count, sizeof(*all), compare_errors);
    for (size_t i = 0; i < count;) {
        uint64_t sum = 0;
        const char *code = all[i].code;
        for (; i < count && strcmp(all[i].code, code) == 0; i++) {
            sum += all[i].count;
        }
        buffer_format(text, "errorstat_%s:count=%llu\r\n", code, (unsigned long long)sum);
    }
    memory_free(all);
}

/* The mean time that volatile keys have left, from some of them; 0: none was met. */
static int64_t average_ttl_ms(const struct server *server, uint32_t database) {
    const struct keyspace *keyspace = server->node.keyspace;
    struct random *random = &server->node.workers[0]->random;
    int64_t sum = 0;
    int64_t count = 0;
    for (uint32_t i = 0; i < KEYS_SAMPLED_FOR_TTL; i++) {
        const struct store *store = keyspace->stores[i % keyspace->store_count];
        uint16_t slot = 0;
        const struct entry *entry = store_random(store, database, random, &slot);
        int64_t expiry = entry == NULL ? ENTRY_NO_EXPIRY : entry_expiry(entry);
        if (expiry > store->now_ms) {
            sum += expiry - store->now_ms;
            count++;
        }
    }
    return count == 0 ? 0 : sum / count;
}

static void append_keyspace(struct buffer *text, const struct server *server) {
    const struct keyspace *keyspace = server->node.keyspace;
    for (uint32_t database = 0; database < keyspace->database_count; database++) {
        uint64_t keys = keyspace_keys(keyspace, database);
        uint64_t volatile_keys = keyspace_volatile_keys(keyspace, database);
        if (keys != 0) {
            buffer_format(text, "db%u:keys=%llu,expires=%llu,avg_ttl=%lld\r\n", database,
                          (unsigned long long)keys, (unsigned long long)volatile_keys,
                          volatile_keys == 0 ? 0LL : (long long)average_ttl_ms(server, database));
        }
    }
}

static double tick_us(const struct worker *worker, double share) {
    return (double)histogram_quantile(&worker->tick_cpu_ns, share) / 1000;
}

static void append_workers(struct buffer *text, const struct server *server) {
    for (uint32_t i = 0; i < server->node.worker_count; i++) {
        const struct worker *worker = server->node.workers[i];
        const struct tick_work *max = &worker->work_max;
        buffer_format(text, "worker%u:ticks=%llu,requests=%llu,clients=%u", i,
                      (unsigned long long)worker->ticks,
                      (unsigned long long)worker->executor.commands_processed,
                      worker->connections_count);
        buffer_format(text,
                      ",tick_cpu_p50_us=%.3f,tick_cpu_p99_us=%.3f,tick_cpu_p999_us=%.3f"
                      ",tick_cpu_p9999_us=%.3f,tick_cpu_max_us=%.3f",
                      tick_us(worker, 0.5), tick_us(worker, 0.99), tick_us(worker, 0.999),
                      tick_us(worker, 0.9999), (double)worker->tick_cpu_ns.max / 1000);
        buffer_format(text,
                      ",tick_requests_max=%llu,tick_read_bytes_max=%llu"
                      ",tick_written_bytes_max=%llu,tick_buckets_max=%llu,tick_buried_max=%llu\r\n",
                      (unsigned long long)max->requests, (unsigned long long)max->read_bytes,
                      (unsigned long long)max->written_bytes, (unsigned long long)max->buckets,
                      (unsigned long long)max->buried);
    }
}

/* ---- sections ---- */

struct section {
    const char *name;
    const char *title;
    const struct field *fields;
    void (*append)(struct buffer *text, const struct server *server); /* behind the fields */
    bool is_default;
};

static const struct section sections[] = {
    {"server", "Server", server_fields, append_listener, true},
    {"clients", "Clients", client_fields, NULL, true},
    {"memory", "Memory", memory_fields, NULL, true},
    {"persistence", "Persistence", persistence_fields, NULL, true},
    {"stats", "Stats", stats_fields, NULL, true},
    {"replication", "Replication", replication_fields, NULL, true},
    {"cpu", "CPU", cpu_fields, NULL, true},
    {"modules", "Modules", NULL, NULL, true},
    {"commandstats", "Commandstats", NULL, append_command_stats, false},
    {"errorstats", "Errorstats", NULL, append_error_stats, true},
    {"latencystats", "Latencystats", NULL, append_latency_stats, false},
    {"cluster", "Cluster", cluster_fields, NULL, true},
    {"workers", "Workers", NULL, append_workers, false},
    {"keyspace", "Keyspace", NULL, append_keyspace, true},
};

static bool is_wanted(const struct section *section, const struct span *names, uint32_t count) {
    if (count == 0) {
        return section->is_default;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (span_is(names[i], section->name) || span_is(names[i], "all") ||
            span_is(names[i], "everything") ||
            (section->is_default && span_is(names[i], "default"))) {
            return true;
        }
    }
    return false;
}

void info_append(struct buffer *text, struct server *server, const struct span *names,
                 uint32_t count) {
    struct figures figures;
    char policy[32] = "";
    bool is_collected = false;
    bool is_first = true;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        const struct section *section = &sections[i];
        if (!is_wanted(section, names, count)) {
            continue;
        }
        buffer_format(text, "%s# %s\r\n", is_first ? "" : "\r\n", section->title);
        is_first = false;
        if (section->fields != NULL && !is_collected) {
            collect(server, &figures, policy);
            is_collected = true;
        }
        if (section->fields != NULL) {
            append_fields(text, section->fields, &figures);
        }
        if (section->append != NULL) {
            section->append(text, server);
        }
    }
}

static void info_command(struct session *session) {
    struct buffer text = BUFFER_EMPTY;
    info_append(&text, session_server(session), session->args + 1, session->args_count - 1);
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

static const char *const info_tips[] = {
    "nondeterministic_output",
    "request_policy:all_shards",
    "response_policy:special",
    NULL,
};

const struct command info_commands[] = {
    {
        .name = "info",
        .arity = -1,
        .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_ALL_WORKERS,
        .categories = CATEGORY_DANGEROUS,
        .session = info_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Tells the server's state and counters.",
        .syntax = "[section ...]",
        .tips = info_tips,
    },
    {0},
};
