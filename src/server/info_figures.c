#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RUSAGE_THREAD */
#endif

#include "server/info_figures.h"

#include "io/clock.h"
#include "server/info.h"
#include "server/link_clients.h"
#include "server/migrate.h"
#include "worker/pubsub.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SECONDS_PER_DAY (24 * 3600)
#define US_PER_SECOND 1000000
#define US_PER_MS 1000
#define KIB 1024.0

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / US_PER_SECOND;
}

static void collect_cpu(struct info_figures *figures) {
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

static void collect_server(struct server *server, struct info_figures *figures) {
    struct utsname name;
    if (uname(&name) == 0) {
        snprintf(figures->os, sizeof(figures->os), "%s %s %s", name.sysname, name.release,
                 name.machine);
    }
    figures->process_id = (uint64_t)getpid();
    figures->cluster_enabled = server->seat != NULL;
    cluster_figures_read(server->seat, &figures->cluster);
    figures->mode = figures->cluster_enabled ? "cluster" : "standalone";
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
    figures->clients = atomic_load(&server->node.clients) + link_clients_counted(server);
    figures->maxclients = server->options->worker.maxclients;
    figures->blocked_clients = atomic_load(&server->node.blocked_clients);
    figures->blocked_with_timeout = atomic_load(&server->node.blocked_with_timeout);
    figures->quorum_timeouts = atomic_load(&server->node.quorum_timeouts);
    figures->quorum_messages_lost = atomic_load(&server->node.quorum_messages_lost);
    figures->connections_received = atomic_load(&server->node.connections_received);
    figures->connections_rejected = atomic_load(&server->node.connections_rejected);
    figures->evicted_clients = atomic_load(&server->node.evicted_clients);
    figures->clients_over_output = atomic_load(&server->node.clients_over_output);
    figures->logins_refused = atomic_load(&server->node.logins_refused);
    figures->clients_over_query = atomic_load(&server->node.clients_over_query);
}

static void collect_memory(struct server *server, struct info_figures *figures) {
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

static void collect_store(const struct store *store, struct info_figures *figures) {
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

static void collect_worker(const struct worker *worker, struct info_figures *figures) {
    const struct executor *executor = &worker->executor;
    figures->commands += executor->commands_processed;
    figures->error_replies += executor->error_replies;
    figures->read_bytes += worker->read_bytes + worker->work.read_bytes;
    figures->written_bytes += worker->written_bytes + worker->work.written_bytes;
    figures->reads += worker->reads;
    figures->writes += worker->writes;
    figures->ticks += worker->ticks;
    figures->busy_us += worker->busy_ns / 1000;
    figures->expire_ms += worker->expire_us; /* The sum is rounded, not its parts. */
    for (size_t i = 0; i < executor->statistics_count; i++) {
        figures->command_duration_us += info_command_duration_us(&executor->statistics[i]);
    }
    collect_store(worker->store, figures);
}

static void collect_samples(const struct figures_samples *samples, struct info_figures *figures) {
    figures->commands_per_second = figures_rate(&samples->commands);
    figures->read_kib_per_second = (double)figures_rate(&samples->read_bytes) / KIB;
    figures->written_kib_per_second = (double)figures_rate(&samples->written_bytes) / KIB;
    figures->link_read_kib_per_second = (double)figures_rate(&samples->link_read_bytes) / KIB;
    figures->link_written_kib_per_second = (double)figures_rate(&samples->link_written_bytes) / KIB;
    figures->ticks_per_second = figures_rate(&samples->ticks);
    if (figures->ticks_per_second > 0) {
        figures->busy_us_per_tick = figures_rate(&samples->busy_us) / figures->ticks_per_second;
    }
    if (samples->over_since_us != 0) {
        int64_t over_us = clock_monotonic_us() - samples->over_since_us;
        figures->over_memory_now_ms = (uint64_t)over_us / US_PER_MS;
    }
    figures->over_memory_ms = samples->over_us / US_PER_MS + figures->over_memory_now_ms;
}

static void policy_found(void *context, struct span name, struct span value) {
    struct info_figures *figures = context;
    (void)name;
    snprintf(figures->maxmemory_policy, sizeof(figures->maxmemory_policy), "%.*s",
             (int)value.length, value.bytes);
}

void info_figures_read(struct server *server, struct info_figures *figures) {
    const struct node *node = &server->node;
    memset(figures, 0, sizeof(*figures));
    collect_server(server, figures);
    collect_memory(server, figures);
    collect_cpu(figures);
    persistence_figures_read(server, &figures->persistence);
    replication_figures_read(server, &figures->replication);
    figures->digests = replication_digests(&server->replication);
    figures->link_read_bytes = atomic_load(&node->link_read_bytes);
    figures->link_written_bytes = atomic_load(&node->link_written_bytes);
    figures->read_bytes = figures->link_read_bytes;
    figures->written_bytes = figures->link_written_bytes;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        collect_worker(node->workers[i], figures);
    }
    struct span name = span_of_string("maxmemory-policy");
    config_get(server->config, &name, 1, policy_found, figures);
    collect_samples(&server->samples, figures);
    figures->expire_ms /= US_PER_MS;
    figures->channels = pubsub_topics(node, PUBSUB_CHANNEL);
    figures->patterns = pubsub_topics(node, PUBSUB_PATTERN);
    figures->migrate_connections = atomic_load(&server->migrate->targets.count);
    figures->shard_channels = pubsub_topics(node, PUBSUB_SHARD_CHANNEL);
}
