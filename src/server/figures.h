/* Figures that must be sampled over time, since INFO cannot tell them from one look: rates and
 * peaks.
 *
 * Worker 0 adds a sample each HOUSEKEEPING_PERIOD_MS; who reads them does so under a stop.
 */
#ifndef TARN_SERVER_FIGURES_H
#define TARN_SERVER_FIGURES_H

#include <stddef.h>
#include <stdint.h>

struct node;

/* A rate is the mean over the last samples. */
#define FIGURES_RATE_SAMPLES 16

struct figures_rate {
    uint64_t samples[FIGURES_RATE_SAMPLES]; /* per second */
    uint32_t next;
    uint64_t last_count;
};

struct figures_samples {
    struct figures_rate commands;
    struct figures_rate read_bytes;
    struct figures_rate written_bytes;
    struct figures_rate link_read_bytes;
    struct figures_rate link_written_bytes;
    struct figures_rate ticks;
    struct figures_rate busy_us;
    int64_t last_us;       /* monotonic; 0: there is no sample yet */
    int64_t over_since_us; /* memory is over maxmemory since then; 0: it is not */
    uint64_t over_us;      /* how long it has been, before that */
    uint64_t memory_peak_bytes;
};

/* Takes a sample of all workers' published counters. */
void figures_sample(struct figures_samples *samples, const struct node *node, int64_t now_us);
/* The memory in use is now known to be that much. */
void figures_note_memory(struct figures_samples *samples, uint64_t used_bytes);
/* The mean of the last samples, per second. */
uint64_t figures_rate(const struct figures_rate *rate);
/* Forgets the rates; the peak stays. */
void figures_reset(struct figures_samples *samples);

#endif
