/* INFO: what the server tells of itself. Sections, fields and their order are Redis'; of our own
 * are tarn_version and the section "workers".
 *
 * The figures are collected into a struct first; a row per field says how it is written. Sections
 * whose lines depend on what there is (databases, commands, errors, workers) have a function
 * instead.
 */
#include "server/info.h"

#include "server/info_figures.h"
#include "server/info_lines.h"

#include <stddef.h>

#define KIB 1024.0

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
    FORM_BOOL,     /* bool, 0 or 1 */
    FORM_FIXED,    /* the row's own text */
    FORM_LINES,    /* char *: whole lines, without the row's name */
};

struct field {
    const char *name;
    const char *text; /* FORM_FIXED */
    enum field_form form;
    size_t offset;
    bool is_conditional;
    size_t condition; /* where the bool is that says whether there is such a field now */
};

#define FIELD(field_name, field_form, member)                                                      \
    { .name = (field_name), .form = (field_form), .offset = offsetof(struct info_figures, member) }
#define FIELD_IF(field_name, field_form, member, member_condition)                                 \
    {                                                                                              \
        .name = (field_name), .form = (field_form), .is_conditional = true,                        \
        .offset = offsetof(struct info_figures, member),                                           \
        .condition = offsetof(struct info_figures, member_condition)                               \
    }
#define FIXED(field_name, field_text)                                                              \
    { .name = (field_name), .form = FORM_FIXED, .text = (field_text) }

static const struct field server_fields[] = {
    FIXED("redis_version", NODE_REDIS_VERSION),
    FIXED("tarn_version", SERVER_VERSION),
    FIXED("redis_git_sha1", "00000000"),
    FIXED("redis_git_dirty", "0"),
    FIXED("redis_build_id", "0"),
    FIELD("redis_mode", FORM_TEXT, mode),
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
    FIELD("cluster_connections", FORM_UNSIGNED, cluster.links),
    FIELD("maxclients", FORM_SIGNED, maxclients),
    FIELD("client_recent_max_input_buffer", FORM_UNSIGNED, memory.input_max),
    FIELD("client_recent_max_output_buffer", FORM_UNSIGNED, memory.output_max),
    FIELD("blocked_clients", FORM_UNSIGNED, blocked_clients),
    FIXED("tracking_clients", "0"),
    FIELD("clients_in_timeout_table", FORM_UNSIGNED, blocked_with_timeout),
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
    FIELD("maxmemory_policy", FORM_ARRAY, maxmemory_policy),
    FIELD("allocator_frag_ratio", FORM_RATIO, allocator_frag_ratio),
    FIELD("allocator_frag_bytes", FORM_SIGNED, allocator_frag_bytes),
    FIELD("allocator_rss_ratio", FORM_RATIO, allocator_rss_ratio),
    FIELD("allocator_rss_bytes", FORM_SIGNED, allocator_rss_bytes),
    FIELD("rss_overhead_ratio", FORM_RATIO, rss_overhead_ratio),
    FIELD("rss_overhead_bytes", FORM_SIGNED, rss_overhead_bytes),
    FIELD("mem_fragmentation_ratio", FORM_RATIO, fragmentation_ratio),
    FIELD("mem_fragmentation_bytes", FORM_SIGNED, fragmentation_bytes),
    FIELD("mem_not_counted_for_evict", FORM_UNSIGNED, memory.log),
    FIELD("mem_replication_backlog", FORM_UNSIGNED, memory.backlog),
    FIELD("mem_total_replication_buffers", FORM_UNSIGNED, memory.replication),
    FIELD("mem_clients_slaves", FORM_UNSIGNED, memory.links),
    FIELD("mem_clients_normal", FORM_UNSIGNED, memory.clients),
    FIELD("mem_cluster_links", FORM_UNSIGNED, cluster.links_bytes),
    FIELD("mem_aof_buffer", FORM_UNSIGNED, memory.log),
    FIELD("mem_allocator", FORM_TEXT, allocator_name),
    FIXED("active_defrag_running", "0"),
    FIELD("lazyfree_pending_objects", FORM_UNSIGNED, lazyfree_pending),
    FIELD("lazyfreed_objects", FORM_UNSIGNED, lazyfreed),
    {0},
};

static const struct field persistence_fields[] = {
    FIELD("loading", FORM_BOOL, persistence.is_loading),
    FIXED("async_loading", "0"),
    FIXED("current_cow_peak", "0"),
    FIXED("current_cow_size", "0"),
    FIXED("current_cow_size_age", "0"),
    FIELD("current_fork_perc", FORM_RATIO, persistence.save_percent),
    FIELD("current_save_keys_processed", FORM_UNSIGNED, persistence.keys_done),
    FIELD("current_save_keys_total", FORM_UNSIGNED, persistence.keys_total),
    FIELD("rdb_changes_since_last_save", FORM_UNSIGNED, persistence.changes),
    FIELD("rdb_bgsave_in_progress", FORM_UNSIGNED, persistence.is_saving),
    FIELD("rdb_last_save_time", FORM_SIGNED, persistence.last_saved_s),
    FIELD("rdb_last_bgsave_status", FORM_TEXT, persistence.snapshot_status),
    FIELD("rdb_last_bgsave_time_sec", FORM_SIGNED, persistence.snapshot_last_s),
    FIELD("rdb_current_bgsave_time_sec", FORM_SIGNED, persistence.snapshot_current_s),
    FIELD("rdb_saves", FORM_UNSIGNED, persistence.snapshots),
    FIXED("rdb_last_cow_size", "0"),
    FIELD("rdb_last_load_keys_expired", FORM_UNSIGNED, persistence.loaded_keys_expired),
    FIELD("rdb_last_load_keys_loaded", FORM_UNSIGNED, persistence.loaded_keys),
    FIELD("aof_enabled", FORM_BOOL, persistence.has_log),
    FIELD("aof_rewrite_in_progress", FORM_UNSIGNED, persistence.is_rewriting),
    FIELD("aof_rewrite_scheduled", FORM_UNSIGNED, persistence.rewrite_is_scheduled),
    FIELD("aof_last_rewrite_time_sec", FORM_SIGNED, persistence.rewrite_last_s),
    FIELD("aof_current_rewrite_time_sec", FORM_SIGNED, persistence.rewrite_current_s),
    FIELD("aof_last_bgrewrite_status", FORM_TEXT, persistence.rewrite_status),
    FIELD("aof_rewrites", FORM_UNSIGNED, persistence.rewrites),
    FIELD("aof_rewrites_consecutive_failures", FORM_UNSIGNED, persistence.rewrite_failures),
    FIELD("aof_last_write_status", FORM_TEXT, persistence.write_status),
    FIXED("aof_last_cow_size", "0"),
    FIXED("module_fork_in_progress", "0"),
    FIXED("module_fork_last_cow_size", "0"),
    FIELD_IF("aof_current_size", FORM_UNSIGNED, persistence.current_bytes, persistence.has_log),
    FIELD_IF("aof_base_size", FORM_UNSIGNED, persistence.base_bytes, persistence.has_log),
    FIELD_IF("aof_pending_rewrite", FORM_UNSIGNED, persistence.rewrite_is_scheduled,
             persistence.has_log),
    FIELD_IF("aof_buffer_length", FORM_UNSIGNED, persistence.buffer_bytes, persistence.has_log),
    FIELD_IF("aof_pending_bio_fsync", FORM_UNSIGNED, persistence.pending_sync, persistence.has_log),
    FIELD_IF("aof_delayed_fsync", FORM_UNSIGNED, persistence.delayed_syncs, persistence.has_log),
    FIELD_IF("tarn_log_history", FORM_ARRAY, persistence.history, persistence.has_log),
    FIELD_IF("tarn_log_start", FORM_UNSIGNED, persistence.start, persistence.has_log),
    FIELD_IF("tarn_log_position", FORM_UNSIGNED, persistence.position, persistence.has_log),
    FIELD_IF("tarn_log_written", FORM_UNSIGNED, persistence.written, persistence.has_log),
    FIELD_IF("tarn_log_synced", FORM_UNSIGNED, persistence.synced, persistence.has_log),
    FIELD_IF("tarn_log_size", FORM_UNSIGNED, persistence.log_bytes, persistence.has_log),
    FIELD_IF("tarn_log_segments", FORM_UNSIGNED, persistence.segments, persistence.has_log),
    FIELD_IF("tarn_log_unsynced_bytes", FORM_UNSIGNED, persistence.unsynced_bytes,
             persistence.has_log),
    FIELD_IF("tarn_log_appends", FORM_UNSIGNED, persistence.appends, persistence.has_log),
    FIELD_IF("tarn_log_appends_handed_over", FORM_UNSIGNED, persistence.appends_handed_over,
             persistence.has_log),
    FIELD_IF("tarn_log_syncs", FORM_UNSIGNED, persistence.syncs, persistence.has_log),
    FIELD_IF("tarn_log_failures", FORM_UNSIGNED, persistence.failures, persistence.has_log),
    FIELD("tarn_log_is_at_max", FORM_BOOL, persistence.is_at_max),
    FIELD("tarn_disk_log_bytes", FORM_UNSIGNED, persistence.disk_log_bytes),
    FIELD("tarn_disk_old_log_bytes", FORM_UNSIGNED, persistence.disk_old_bytes),
    FIELD("tarn_disk_divergence_bytes", FORM_UNSIGNED, persistence.disk_divergence_bytes),
    FIELD("tarn_disk_max_bytes", FORM_UNSIGNED, persistence.disk_max),
    FIELD("tarn_cut_early_buckets", FORM_UNSIGNED, persistence.early_buckets),
    FIELD("tarn_cut_writes_held", FORM_UNSIGNED, persistence.writes_held),
    FIELD_IF("loading_start_time", FORM_SIGNED, persistence.loading_start_s,
             persistence.is_loading),
    FIELD_IF("loading_total_bytes", FORM_UNSIGNED, persistence.loading_total_bytes,
             persistence.is_loading),
    FIELD_IF("loading_loaded_bytes", FORM_UNSIGNED, persistence.loading_loaded_bytes,
             persistence.is_loading),
    FIELD_IF("loading_loaded_perc", FORM_PERCENT, persistence.loading_percent,
             persistence.is_loading),
    FIELD_IF("loading_eta_seconds", FORM_SIGNED, persistence.loading_eta_s, persistence.is_loading),
    {0},
};

static const struct field stats_fields[] = {
    FIELD("total_connections_received", FORM_UNSIGNED, connections_received),
    FIELD("total_commands_processed", FORM_UNSIGNED, commands),
    FIELD("instantaneous_ops_per_sec", FORM_UNSIGNED, commands_per_second),
    FIELD("total_net_input_bytes", FORM_UNSIGNED, read_bytes),
    FIELD("total_net_output_bytes", FORM_UNSIGNED, written_bytes),
    FIELD("total_net_repl_input_bytes", FORM_UNSIGNED, link_read_bytes),
    FIELD("total_net_repl_output_bytes", FORM_UNSIGNED, link_written_bytes),
    FIELD("instantaneous_input_kbps", FORM_RATIO, read_kib_per_second),
    FIELD("instantaneous_output_kbps", FORM_RATIO, written_kib_per_second),
    FIELD("instantaneous_input_repl_kbps", FORM_RATIO, link_read_kib_per_second),
    FIELD("instantaneous_output_repl_kbps", FORM_RATIO, link_written_kib_per_second),
    FIELD("rejected_connections", FORM_UNSIGNED, connections_rejected),
    FIELD("sync_full", FORM_UNSIGNED, replication.syncs_full),
    FIELD("sync_partial_ok", FORM_UNSIGNED, replication.syncs_partial),
    FIELD("sync_partial_err", FORM_UNSIGNED, replication.syncs_refused),
    FIELD("expired_keys", FORM_UNSIGNED, expired_keys),
    FIELD("expired_stale_perc", FORM_RATIO, expired_stale_percent),
    FIELD("expired_time_cap_reached_count", FORM_UNSIGNED, expired_time_cap_reached),
    FIELD("expire_cycle_cpu_milliseconds", FORM_UNSIGNED, expire_ms),
    FIELD("evicted_keys", FORM_UNSIGNED, evicted_keys),
    FIELD("evicted_clients", FORM_UNSIGNED, evicted_clients),
    FIELD("total_eviction_exceeded_time", FORM_UNSIGNED, over_memory_ms),
    FIELD("current_eviction_exceeded_time", FORM_UNSIGNED, over_memory_now_ms),
    FIELD("keyspace_hits", FORM_UNSIGNED, hits),
    FIELD("keyspace_misses", FORM_UNSIGNED, misses),
    FIELD("pubsub_channels", FORM_UNSIGNED, channels),
    FIELD("pubsub_patterns", FORM_UNSIGNED, patterns),
    FIELD("pubsubshard_channels", FORM_UNSIGNED, shard_channels),
    FIXED("latest_fork_usec", "0"),
    FIXED("total_forks", "0"),
    FIELD("migrate_cached_sockets", FORM_UNSIGNED, migrate_connections),
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
    FIELD("client_query_buffer_limit_disconnections", FORM_UNSIGNED, clients_over_query),
    FIELD("client_output_buffer_limit_disconnections", FORM_UNSIGNED, clients_over_output),
    FIXED("reply_buffer_shrinks", "0"),
    FIXED("reply_buffer_expands", "0"),
    FIELD("eventloop_cycles", FORM_UNSIGNED, ticks),
    FIELD("eventloop_duration_sum", FORM_UNSIGNED, busy_us),
    FIELD("eventloop_duration_cmd_sum", FORM_UNSIGNED, command_duration_us),
    FIELD("instantaneous_eventloop_cycles_per_sec", FORM_UNSIGNED, ticks_per_second),
    FIELD("instantaneous_eventloop_duration_usec", FORM_UNSIGNED, busy_us_per_tick),
    FIELD("acl_access_denied_auth", FORM_UNSIGNED, logins_refused),
    FIXED("acl_access_denied_cmd", "0"),
    FIXED("acl_access_denied_key", "0"),
    FIXED("acl_access_denied_channel", "0"),
    FIELD("quorum_timeouts", FORM_UNSIGNED, quorum_timeouts),
    FIELD("quorum_messages_lost", FORM_UNSIGNED, quorum_messages_lost),
    {0},
};

#define REPLICA_FIELD(field_name, field_form, member)                                              \
    FIELD_IF(field_name, field_form, replication.member, replication.is_replica)

static const struct field replication_fields[] = {
    FIELD("role", FORM_TEXT, replication.role),
    REPLICA_FIELD("master_host", FORM_ARRAY, host),
    REPLICA_FIELD("master_port", FORM_UNSIGNED, port),
    REPLICA_FIELD("master_link_status", FORM_TEXT, link_status),
    REPLICA_FIELD("master_last_io_seconds_ago", FORM_SIGNED, heard_seconds),
    REPLICA_FIELD("master_sync_in_progress", FORM_BOOL, is_syncing),
    REPLICA_FIELD("slave_read_repl_offset", FORM_SIGNED, offset),
    REPLICA_FIELD("slave_repl_offset", FORM_SIGNED, offset),
    FIELD_IF("master_sync_read_bytes", FORM_UNSIGNED, replication.image_bytes,
             replication.is_syncing),
    FIELD_IF("master_sync_slots_left", FORM_UNSIGNED, replication.slots_missing,
             replication.is_syncing),
    FIELD_IF("master_link_down_since_seconds", FORM_SIGNED, replication.down_seconds,
             replication.is_down),
    REPLICA_FIELD("slave_priority", FORM_SIGNED, priority),
    REPLICA_FIELD("slave_read_only", FORM_BOOL, is_read_only),
    REPLICA_FIELD("replica_announced", FORM_BOOL, is_announced),
    REPLICA_FIELD("master_last_io_ms_ago", FORM_SIGNED, heard_ms),
    REPLICA_FIELD("master_lag_bytes", FORM_UNSIGNED, lag_bytes),
    FIELD("connected_slaves", FORM_UNSIGNED, replication.replicas),
    FIELD_IF("min_slaves_good_slaves", FORM_UNSIGNED, replication.good_replicas,
             replication.asks_for_replicas),
    {.name = "slave",
     .form = FORM_LINES,
     .offset = offsetof(struct info_figures, replication.replica_lines.bytes)},
    FIELD("master_failover_state", FORM_TEXT, replication.failover_state),
    FIELD("master_replid", FORM_ARRAY, replication.id),
    FIELD("master_replid2", FORM_ARRAY, replication.second_id),
    FIELD("master_repl_offset", FORM_SIGNED, replication.offset),
    FIELD("second_repl_offset", FORM_SIGNED, replication.second_offset),
    FIELD("repl_backlog_active", FORM_BOOL, replication.has_backlog),
    FIELD("repl_backlog_size", FORM_UNSIGNED, replication.backlog_size),
    FIELD("repl_backlog_first_byte_offset", FORM_UNSIGNED, replication.backlog_first),
    FIELD("repl_backlog_histlen", FORM_UNSIGNED, replication.backlog_length),
    FIELD("tarn_node_id", FORM_ARRAY, replication.node_id),
    FIELD("tarn_syncs_of_all_slots", FORM_UNSIGNED, replication.full_syncs),
    FIELD("tarn_syncs_by_log", FORM_UNSIGNED, replication.partial_syncs),
    FIELD("tarn_divergences", FORM_UNSIGNED, replication.divergence.count),
    FIELD("tarn_divergence_effects", FORM_UNSIGNED, replication.divergence.effects),
    FIELD("tarn_divergence_keys", FORM_UNSIGNED, replication.divergence.keys),
    FIELD("tarn_divergence_bytes", FORM_UNSIGNED, replication.divergence.bytes),
    FIELD("tarn_divergence_slots", FORM_UNSIGNED, replication.divergence.slots),
    FIELD("tarn_divergences_unlisted", FORM_UNSIGNED, replication.divergence.unlisted),
    FIELD("tarn_digest_rounds", FORM_UNSIGNED, digests.rounds),
    FIELD("tarn_digests_compared", FORM_UNSIGNED, digests.compared),
    FIELD("tarn_digests_skipped", FORM_UNSIGNED, digests.skipped),
    FIELD("tarn_digest_differences", FORM_UNSIGNED, digests.differences),
    FIELD("tarn_digest_keys", FORM_UNSIGNED, digests.keys),
    FIELD("tarn_digest_slots_healed", FORM_UNSIGNED, replication.healed),
    REPLICA_FIELD("tarn_slots_healed", FORM_UNSIGNED, slots_healed),
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
    FIELD("cluster_enabled", FORM_BOOL, cluster_enabled),
    FIELD_IF("tarn_cluster_leader", FORM_ARRAY, cluster.leader, cluster_enabled),
    FIELD_IF("tarn_cluster_is_leader", FORM_BOOL, cluster.is_leader, cluster_enabled),
    FIELD_IF("tarn_cluster_is_voter", FORM_BOOL, cluster.is_voter, cluster_enabled),
    FIELD_IF("tarn_cluster_voters", FORM_UNSIGNED, cluster.voters, cluster_enabled),
    FIELD_IF("tarn_cluster_links", FORM_UNSIGNED, cluster.links, cluster_enabled),
    FIELD_IF("tarn_cluster_messages_unknown", FORM_UNSIGNED, cluster.unknown_messages,
             cluster_enabled),
    FIELD_IF("tarn_cluster_weakness", FORM_ARRAY, cluster.weakness, cluster.has_weakness),
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
                         const struct info_figures *figures) {
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
    case FORM_BOOL:
        buffer_append_byte(text, *(const bool *)place ? '1' : '0');
        break;
    case FORM_FIXED:
        buffer_append_string(text, field->text);
        break;
    case FORM_LINES:
        break;
    }
}

static bool is_shown(const struct field *field, const struct info_figures *figures) {
    return !field->is_conditional || *(const bool *)((const char *)figures + field->condition);
}

static void append_fields(struct buffer *text, const struct field *fields,
                          const struct info_figures *figures) {
    for (; fields->name != NULL; fields++) {
        if (!is_shown(fields, figures)) {
            continue;
        }
        if (fields->form == FORM_LINES) {
            const char *const *lines = (const void *)((const char *)figures + fields->offset);
            buffer_append_string(text, *lines);
            continue;
        }
        buffer_append_string(text, fields->name);
        buffer_append_byte(text, ':');
        append_value(text, fields, figures);
        buffer_append(text, "\r\n", 2);
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
    {"server", "Server", server_fields, info_append_listeners, true},
    {"clients", "Clients", client_fields, NULL, true},
    {"memory", "Memory", memory_fields, NULL, true},
    {"persistence", "Persistence", persistence_fields, NULL, true},
    {"stats", "Stats", stats_fields, NULL, true},
    {"replication", "Replication", replication_fields, NULL, true},
    {"cpu", "CPU", cpu_fields, NULL, true},
    {"modules", "Modules", NULL, NULL, true},
    {"commandstats", "Commandstats", NULL, info_append_command_stats, false},
    {"errorstats", "Errorstats", NULL, info_append_error_stats, true},
    {"latencystats", "Latencystats", NULL, info_append_latency_stats, false},
    {"cluster", "Cluster", cluster_fields, NULL, true},
    {"workers", "Workers", NULL, info_append_workers, false},
    {"keyspace", "Keyspace", NULL, info_append_keyspace, true},
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
    struct info_figures figures;
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
            info_figures_read(server, &figures);
            is_collected = true;
        }
        if (section->fields != NULL) {
            append_fields(text, section->fields, &figures);
        }
        if (section->append != NULL) {
            section->append(text, server);
        }
    }
    if (is_collected) {
        replication_figures_free(&figures.replication);
    }
}

static void info_command(struct session *session) {
    struct buffer text = BUFFER_EMPTY;
    info_append(&text, session_server(session), session->args + 1, session->args_count - 1);
    reply_verbatim(session->reply, "txt", buffer_span(&text));
    buffer_free(&text);
}

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
        .tips = COMMAND_TIPS("nondeterministic_output", "request_policy:all_shards",
                             "response_policy:special"),
    },
    {0},
};
