#include "server/latency.h"

#include "base/assertion.h"
#include "base/memory.h"

#include <stdio.h>

void latency_init(struct latency *latency) {
    int failed = pthread_mutex_init(&latency->mutex, NULL);
    ASSERT(failed == 0);
    latency->count = 0;
}

void latency_free(struct latency *latency) {
    latency_reset_all(latency);
    pthread_mutex_destroy(&latency->mutex);
}

/* The place of the event in the list, or its count. */
static uint32_t find(const struct latency *latency, struct span name) {
    uint32_t i = 0;
    while (i < latency->count && !span_equal(span_of_string(latency->events[i]->name), name)) {
        i++;
    }
    return i;
}

static struct latency_event *event_named(struct latency *latency, const char *name) {
    uint32_t i = find(latency, span_of_string(name));
    if (i < latency->count) {
        return latency->events[i];
    }
    if (latency->count == LATENCY_EVENTS_MAX) {
        return NULL;
    }
    struct latency_event *event = memory_alloc_zeroed(sizeof(*event));
    snprintf(event->name, sizeof(event->name), "%s", name);
    latency->events[latency->count++] = event;
    return event;
}

static void add_sample(struct latency_event *event, int64_t second, int64_t duration_ms) {
    if (event->count > 0) {
        uint32_t last = (event->first + event->count - 1) % LATENCY_SAMPLES_MAX;
        if (event->samples[last].second == second) {
            if (duration_ms > event->samples[last].duration_ms) {
                event->samples[last].duration_ms = duration_ms;
            }
            return;
        }
    }
    if (event->count == LATENCY_SAMPLES_MAX) {
        event->first = (event->first + 1) % LATENCY_SAMPLES_MAX;
        event->count--;
    }
    uint32_t place = (event->first + event->count) % LATENCY_SAMPLES_MAX;
    event->samples[place] = (struct latency_sample){.second = second, .duration_ms = duration_ms};
    event->count++;
}

void latency_note(struct latency *latency, const char *event_name, int64_t second,
                  int64_t duration_ms) {
    pthread_mutex_lock(&latency->mutex);
    struct latency_event *event = event_named(latency, event_name);
    if (event != NULL) {
        add_sample(event, second, duration_ms);
        event->max_ms = duration_ms > event->max_ms ? duration_ms : event->max_ms;
    }
    pthread_mutex_unlock(&latency->mutex);
}

bool latency_read_at(struct latency *latency, uint32_t number, struct latency_event *event) {
    pthread_mutex_lock(&latency->mutex);
    bool is_there = number < latency->count;
    if (is_there) {
        *event = *latency->events[number];
    }
    pthread_mutex_unlock(&latency->mutex);
    return is_there;
}

bool latency_read(struct latency *latency, struct span name, struct latency_event *event) {
    pthread_mutex_lock(&latency->mutex);
    uint32_t i = find(latency, name);
    bool is_there = i < latency->count;
    if (is_there) {
        *event = *latency->events[i];
    }
    pthread_mutex_unlock(&latency->mutex);
    return is_there;
}

bool latency_reset(struct latency *latency, struct span name) {
    pthread_mutex_lock(&latency->mutex);
    uint32_t i = find(latency, name);
    bool is_there = i < latency->count;
    if (is_there) {
        memory_free(latency->events[i]);
        latency->events[i] = latency->events[--latency->count];
    }
    pthread_mutex_unlock(&latency->mutex);
    return is_there;
}

uint32_t latency_reset_all(struct latency *latency) {
    pthread_mutex_lock(&latency->mutex);
    uint32_t count = latency->count;
    while (latency->count > 0) {
        memory_free(latency->events[--latency->count]);
    }
    pthread_mutex_unlock(&latency->mutex);
    return count;
}
