/* Latency events: what took at least latency-monitor-threshold milliseconds, by kind of event, for
 * LATENCY.
 *
 * Per kind the last LATENCY_SAMPLES_MAX seconds in which it happened, each with the longest of that
 * second.
 * Thread: any; a mutex guards all. Nobody comes here but for a slow event.
 */
#ifndef TARN_SERVER_LATENCY_H
#define TARN_SERVER_LATENCY_H

#include "base/span.h"

#include <pthread.h>
#include <stdint.h>

#define LATENCY_SAMPLES_MAX 160
#define LATENCY_EVENTS_MAX 32
#define LATENCY_NAME_BYTES_MAX 32

struct latency_sample {
    int64_t second; /* since 1970 */
    int64_t duration_ms;
};

struct latency_event {
    char name[LATENCY_NAME_BYTES_MAX];
    struct latency_sample samples[LATENCY_SAMPLES_MAX]; /* a ring */
    uint32_t first;
    uint32_t count;
    int64_t max_ms; /* of all times */
};

struct latency {
    pthread_mutex_t mutex;
    struct latency_event *events[LATENCY_EVENTS_MAX];
    uint32_t count;
};

void latency_init(struct latency *latency);
void latency_free(struct latency *latency);

void latency_note(struct latency *latency, const char *event, int64_t second, int64_t duration_ms);
/* Copies the event of this name; false: there is none. */
bool latency_read(struct latency *latency, struct span name, struct latency_event *event);
/* Copies the event of this number, 0 first; false: there is none. */
bool latency_read_at(struct latency *latency, uint32_t number, struct latency_event *event);
/* Forgets the event; true if there was one. */
bool latency_reset(struct latency *latency, struct span name);
/* Forgets all; answers how many. */
uint32_t latency_reset_all(struct latency *latency);

/* Sample i, oldest first. */
static inline const struct latency_sample *latency_sample_at(const struct latency_event *event,
                                                             uint32_t i) {
    return &event->samples[(event->first + i) % LATENCY_SAMPLES_MAX];
}

#endif
