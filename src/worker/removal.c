#include "worker/removal.h"

#include "base/memory.h"
#include "store/eviction.h"
#include "store/expiry.h"
#include "worker/gate.h"

#define TENACITY_MAX 100
#define TENACITY_LINEAR_MAX 10
/* Keys up to this length are copied without an allocation. */
#define SHORT_KEY_BYTES 256

/* ---- latency ---- */

/* Something ended that took so long: for LATENCY. */
static void note_latency(const struct worker *worker, const char *event, int64_t duration_us) {
    struct node *node = worker->node;
    int64_t threshold_ms = node->options->latency_monitor_threshold;
    if (threshold_ms > 0 && duration_us / 1000 >= threshold_ms && node->latency_event != NULL) {
        node->latency_event(node, event, duration_us / 1000);
    }
}

/* ---- one key ---- */

struct departure {
    const struct entry *entry;
    uint32_t database;
    uint16_t slot;
    enum event event;
    const char *latency_event;
};

static void delete_entry(struct worker *worker, const struct departure *departure,
                         struct span key) {
    struct call call = {
        .environment = &worker->executor.environment,
        .database = departure->database,
        .now_ms = worker->now_ms,
    };
    if (worker->running == NULL) {
        gate_begin_group(worker);
    }
    struct place place = {
        .store = worker->store,
        .key = key,
        .database = departure->database,
        .slot = departure->slot,
    };
    place.hash = store_hash(place.store, place.key);
    place_find(&place);
    ASSERT(place.cell != NULL && table_cell_element(*place.cell) == departure->entry);
    call_emit(&call, &place,
              &(struct effect){.kind = EFFECT_KEY_DELETE, .event = departure->event});
}

/* Deletes an entry of this worker's store. The key is copied: observers are told of it when it is
 * gone. If there is no memory for that, it stays for the next time. */
static void let_go(struct worker *worker, const struct departure *departure) {
    char bytes[SHORT_KEY_BYTES];
    struct span key = entry_key(departure->entry);
    char *copy = key.length <= sizeof(bytes) ? bytes : memory_try_alloc(key.length);
    if (copy == NULL) {
        return;
    }
    memcpy(copy, key.bytes, key.length);
    key.bytes = copy;
    if (LIKELY(worker->node->options->latency_monitor_threshold == 0)) {
        delete_entry(worker, departure, key);
    } else {
        int64_t began_us = worker->executor.clock_us();
        delete_entry(worker, departure, key);
        note_latency(worker, departure->latency_event, worker->executor.clock_us() - began_us);
    }
    if (copy != bytes) {
        memory_free(copy);
    }
}

/* ---- the next piece ---- */

static void wake(void *context) {
    (void)context; /* The tick that it begins does the work. */
}

static void wake_in(struct worker *worker, uint64_t wait_ms) {
    if (!loop_timer_is_running(&worker->removal_timer)) {
        loop_timer_start(worker->loop, &worker->removal_timer, wait_ms, 0, wake, worker);
    }
}

/* A cycle began at that moment and is over. Answers the time that it took. */
static int64_t end_cycle(const struct worker *worker, const char *event, int64_t began_us) {
    int64_t duration_us = worker->executor.clock_us() - began_us;
    note_latency(worker, event, duration_us);
    return duration_us;
}

/* ---- expiry ---- */

static void expire_one(void *context, uint32_t database, uint16_t slot, const struct entry *entry) {
    let_go(context, &(struct departure){
                        .entry = entry,
                        .database = database,
                        .slot = slot,
                        .event = EVENT_EXPIRED_ID,
                        .latency_event = "expire-del",
                    });
}

void removal_expire_step(struct worker *worker) {
    struct store *store = worker->store;
    if (LIKELY(!expiry_is_due(store, worker->now_ms)) || worker->is_paused ||
        node_is_led(worker->node) ||
        atomic_load_explicit(&worker->node->active_expire_is_off, memory_order_relaxed)) {
        return;
    }
    int64_t began_us = worker->executor.clock_us();
    struct expiry_work work =
        expiry_step(store, worker->now_ms, TICK_EXPIRE_BUCKETS_MAX, expire_one, worker);
    worker->work.buckets += work.units;
    worker->expire_us += (uint64_t)end_cycle(worker, "expire-cycle", began_us);
    if (expiry_is_due(store, worker->now_ms)) {
        wake_in(worker, expiry_wait_ms(store, TICK_EXPIRE_BUCKETS_MAX));
    }
}

/* ---- eviction ---- */

static bool is_short_of_memory(struct worker *worker) {
    atomic_store_explicit(&worker->heap_bytes, worker->store->heap.used_bytes,
                          memory_order_relaxed);
    return node_is_over_memory(worker->node);
}

/* As in Redis, where it is a time: linear, then exponential. */
static uint32_t evictions_max(const struct store_options *options) {
    int64_t tenacity = options->maxmemory_eviction_tenacity;
    if (tenacity >= TENACITY_MAX) {
        return UINT32_MAX;
    }
    int64_t linear = tenacity < TENACITY_LINEAR_MAX ? tenacity : TENACITY_LINEAR_MAX;
    double max = REMOVAL_EVICTIONS_MIN + (double)linear * REMOVAL_EVICTIONS_PER_TENACITY;
    for (int64_t i = TENACITY_LINEAR_MAX; i < tenacity; i++) {
        max *= 1.15;
    }
    return (uint32_t)max;
}

/* Asks the other workers that may have something to evict. False: there are none. */
static bool ask_others(struct worker *worker) {
    bool is_asked = false;
    for (uint32_t i = 0; i < worker->node->worker_count; i++) {
        struct worker *other = worker->node->workers[i];
        if (other == worker ||
            atomic_load_explicit(&other->has_nothing_to_evict, memory_order_relaxed)) {
            continue;
        }
        is_asked = true;
        if (!atomic_exchange(&other->is_asked_for_room, true)) {
            loop_wake(other->loop);
        }
    }
    return is_asked;
}

static bool evict_one(struct worker *worker) {
    struct eviction_victim victim;
    if (!eviction_pick(worker->store, &victim)) {
        return false;
    }
    worker->store->statistics.evicted_keys++;
    worker->work.evictions++;
    let_go(worker, &(struct departure){
                       .entry = victim.entry,
                       .database = victim.database,
                       .slot = victim.slot,
                       .event = EVENT_EVICTED_ID,
                       .latency_event = "eviction-del",
                   });
    return true;
}

/* False: memory is short, and nobody has anything to evict. */
static bool evict_some(struct worker *worker, uint32_t steps_max) {
    struct store *store = worker->store;
    for (uint32_t i = 0; is_short_of_memory(worker); i++) {
        if (i >= steps_max) {
            wake_in(worker, 1);
            return true;
        }
        if (!list_is_empty(&store->graveyard)) {
            /* What is on its way out goes before what is not. */
            store_bury_step(store, REMOVAL_BURIED_ELEMENTS);
        } else if (!evict_one(worker) && !eviction_is_possible(store)) {
            atomic_store_explicit(&worker->has_nothing_to_evict, true, memory_order_relaxed);
            return ask_others(worker);
        }
    }
    return true;
}

static bool evict(struct worker *worker, uint32_t steps_max) {
    int64_t began_us = worker->executor.clock_us();
    bool is_done = evict_some(worker, steps_max);
    end_cycle(worker, "eviction-cycle", began_us);
    return is_done;
}

/* A replica's primary evicts for both. */
static bool leaves_eviction(const struct worker *worker) {
    return node_is_led(worker->node) && worker->node->options->replica_ignore_maxmemory;
}

bool removal_make_room(struct worker *worker) {
    const struct store_options *options = worker->node->store_options;
    if (LIKELY(!is_short_of_memory(worker)) || worker->is_paused || leaves_eviction(worker)) {
        return true;
    }
    if (options->maxmemory_policy == MAXMEMORY_NO_EVICTION) {
        return false;
    }
    return evict(worker, evictions_max(options));
}

void removal_evict_step(struct worker *worker) {
    const struct store_options *options = worker->node->store_options;
    if (LIKELY(options->maxmemory == 0) || worker->is_paused || leaves_eviction(worker) ||
        options->maxmemory_policy == MAXMEMORY_NO_EVICTION) {
        return;
    }
    atomic_store_explicit(&worker->is_asked_for_room, false, memory_order_relaxed);
    if (is_short_of_memory(worker)) {
        evict(worker, TICK_EVICTIONS_MAX);
    }
}

void removal_publish(struct worker *worker) {
    if (worker->node->store_options->maxmemory != 0) {
        atomic_store_explicit(&worker->has_nothing_to_evict, !eviction_is_possible(worker->store),
                              memory_order_relaxed);
    }
}
