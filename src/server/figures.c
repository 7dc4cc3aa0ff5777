#include "server/figures.h"

#include "worker/worker.h"

#define US_PER_SECOND 1000000

static void rate_add(struct figures_rate *rate, uint64_t count, int64_t elapsed_us) {
    uint64_t more = count < rate->last_count ? 0 : count - rate->last_count; /* reset meanwhile */
    rate->samples[rate->next] = more * US_PER_SECOND / (uint64_t)elapsed_us;
    rate->next = (rate->next + 1) % FIGURES_RATE_SAMPLES;
    rate->last_count = count;
}

/* Whether memory is over its limit now. */
static void note_limit(struct figures_samples *samples, bool is_over, int64_t now_us) {
    if (is_over && samples->over_since_us == 0) {
        samples->over_since_us = now_us;
    } else if (!is_over && samples->over_since_us != 0) {
        samples->over_us += (uint64_t)(now_us - samples->over_since_us);
        samples->over_since_us = 0;
    }
}

void figures_sample(struct figures_samples *samples, const struct node *node, int64_t now_us) {
    uint64_t commands = 0;
    uint64_t read_bytes = 0;
    uint64_t written_bytes = 0;
    uint64_t ticks = 0;
    uint64_t busy_us = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        commands += atomic_load_explicit(&worker->commands_seen, memory_order_relaxed);
        read_bytes += atomic_load_explicit(&worker->read_bytes_seen, memory_order_relaxed);
        written_bytes += atomic_load_explicit(&worker->written_bytes_seen, memory_order_relaxed);
        ticks += atomic_load_explicit(&worker->ticks_seen, memory_order_relaxed);
        busy_us += atomic_load_explicit(&worker->busy_us_seen, memory_order_relaxed);
    }
    int64_t elapsed_us = now_us - samples->last_us;
    if (samples->last_us != 0 && elapsed_us > 0) {
        rate_add(&samples->commands, commands, elapsed_us);
        rate_add(&samples->read_bytes, read_bytes, elapsed_us);
        rate_add(&samples->written_bytes, written_bytes, elapsed_us);
        rate_add(&samples->link_read_bytes, atomic_load(&node->link_read_bytes), elapsed_us);
        rate_add(&samples->link_written_bytes, atomic_load(&node->link_written_bytes), elapsed_us);
        rate_add(&samples->ticks, ticks, elapsed_us);
        rate_add(&samples->busy_us, busy_us, elapsed_us);
    }
    samples->last_us = now_us;
    note_limit(samples, node_is_over_memory(node), now_us);
    figures_note_memory(samples, node_used_memory(node));
}

void figures_note_memory(struct figures_samples *samples, uint64_t used_bytes) {
    if (used_bytes > samples->memory_peak_bytes) {
        samples->memory_peak_bytes = used_bytes;
    }
}

uint64_t figures_rate(const struct figures_rate *rate) {
    uint64_t sum = 0;
    for (size_t i = 0; i < FIGURES_RATE_SAMPLES; i++) {
        sum += rate->samples[i];
    }
    return sum / FIGURES_RATE_SAMPLES;
}

void figures_reset(struct figures_samples *samples) {
    *samples = (struct figures_samples){.memory_peak_bytes = samples->memory_peak_bytes};
}
