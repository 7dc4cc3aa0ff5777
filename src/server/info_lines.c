#include "server/info_lines.h"

#include "base/memory.h"
#include "server/info.h"
#include "server/memory_figures.h"

#include <stdlib.h>

#define KEYS_SAMPLED_FOR_TTL 32

uint64_t info_command_duration_us(const struct command_statistics *statistics) {
    return statistics->timed_calls == 0
               ? 0
               : (uint64_t)((double)statistics->duration_us * (double)statistics->calls /
                            (double)statistics->timed_calls);
}

void info_append_listeners(struct buffer *text, const struct server *server) {
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

void info_append_command_stats(struct buffer *text, const struct server *server) {
    const struct node *node = &server->node;
    struct command_statistics sum;
    struct histogram durations;
    for (size_t i = 0; i < command_table_count(node->commands); i++) {
        info_command_statistics(node, i, &sum, &durations);
        if (sum.calls == 0 && sum.rejected == 0 && sum.failed == 0) {
            continue;
        }
        uint64_t duration_us = info_command_duration_us(&sum);
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

void info_append_latency_stats(struct buffer *text, const struct server *server) {
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

void info_append_error_stats(struct buffer *text, const struct server *server) {
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

void info_append_keyspace(struct buffer *text, const struct server *server) {
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

void info_append_workers(struct buffer *text, const struct server *server) {
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
                      ",tick_requests_max=%llu,tick_reads_max=%llu,tick_read_bytes_max=%llu"
                      ",tick_writes_max=%llu,tick_written_bytes_max=%llu,tick_buckets_max=%llu,"
                      "tick_buried_max=%llu"
                      ",tick_evictions_max=%llu,tick_accepts_max=%llu,tick_cut_bytes_max=%llu\r\n",
                      (unsigned long long)max->requests, (unsigned long long)max->reads,
                      (unsigned long long)max->read_bytes, (unsigned long long)max->writes,
                      (unsigned long long)max->written_bytes, (unsigned long long)max->buckets,
                      (unsigned long long)max->buried, (unsigned long long)max->evictions,
                      (unsigned long long)max->accepts, (unsigned long long)max->cut_bytes);
    }
}
