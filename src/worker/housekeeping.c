#include "worker/housekeeping.h"

#include "base/logger.h"
#include "base/memory.h"
#include "worker/client_eviction.h"
#include "worker/cutting.h"
#include "worker/digesting.h"
#include "worker/listeners.h"
#include "worker/loading.h"
#include "worker/notices.h"
#include "worker/removal.h"
#include "worker/worker.h"

#include <stdio.h>
#include <sys/prctl.h>

void housekeeping_start(struct worker *worker) {
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", worker->index);
    prctl(PR_SET_NAME, name);
}

/* An idle connection gives back what it keeps for speed. */
static void trim(struct connection *connection) {
    struct reply *reply = &connection->reply;
    if (reply_bytes(reply) == 0 && reply->buffer.capacity > REPLY_KEPT_BYTES) {
        reply_free(reply);
    }
}

static void sweep_one(struct worker *worker, struct connection *connection) {
    int64_t timeout_ms = worker->node->options->timeout * 1000;
    if (connection->is_away) {
        return;
    }
    /* What it sent behind the held request waits unread, so the loop does not tell of its end. */
    if (connection_is_kept(connection) && network_peer_has_left(connection->fd)) {
        connection_close(connection);
        return;
    }
    connection_check_output_limit(connection, worker->now_ms);
    if (timeout_ms != 0 && worker->now_ms - connection->last_active_ms > timeout_ms &&
        connection_class(connection) == CLIENT_CLASS_NORMAL &&
        (connection->flags & CONNECTION_MONITOR) == 0 && !connection_is_kept(connection)) {
        log_verbose("Closing idle client");
        connection_close(connection);
        return;
    }
    trim(connection);
}

/* Looks at a tenth of the connections per period: one timer instead of one per connection. */
static void sweep(struct worker *worker) {
    uint32_t count = worker->connections_count / (1000 / HOUSEKEEPING_PERIOD_MS);
    count = count < HOUSEKEEPING_SWEEP_MIN ? HOUSEKEEPING_SWEEP_MIN : count;
    for (uint32_t i = 0; i < count && !list_is_empty(&worker->connections); i++) {
        /* The first goes to the end: the list itself remembers where the sweep is. */
        struct list *link = list_pop_front(&worker->connections);
        list_push_back(&worker->connections, link);
        sweep_one(worker, LIST_ENTRY(link, struct connection, link));
    }
}

static void publish_figures(struct worker *worker) {
    atomic_store_explicit(&worker->heap_bytes, worker->store->heap.used_bytes,
                          memory_order_relaxed);
}

static void publish_counters(struct worker *worker) {
    atomic_store_explicit(&worker->commands_seen, worker->executor.commands_processed,
                          memory_order_relaxed);
    atomic_store_explicit(&worker->changes_seen, worker->executor.changes, memory_order_relaxed);
    atomic_store_explicit(&worker->read_bytes_seen, worker->read_bytes, memory_order_relaxed);
    atomic_store_explicit(&worker->written_bytes_seen, worker->written_bytes, memory_order_relaxed);
    atomic_store_explicit(&worker->ticks_seen, worker->ticks, memory_order_relaxed);
    atomic_store_explicit(&worker->busy_us_seen, worker->busy_ns / 1000, memory_order_relaxed);
    atomic_store_explicit(&worker->heap_held_bytes, worker->store->heap.held_bytes,
                          memory_order_relaxed);
}

/* What the process uses beside the stores' heaps. */
static void measure_memory(struct node *node) {
    struct memory_totals totals;
    memory_totals_read(&totals);
    uint64_t held = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        held += atomic_load_explicit(&node->workers[i]->heap_held_bytes, memory_order_relaxed);
    }
    uint64_t other = totals.allocated > held ? totals.allocated - held : 0;
    uint64_t log = node_log_memory(node);
    atomic_store_explicit(&node->memory_other_bytes, other, memory_order_relaxed);
    atomic_store_explicit(&node->memory_log_bytes, log < other ? log : other, memory_order_relaxed);
}

void housekeeping_tick(struct worker *worker) {
    if (!list_is_empty(&worker->store->graveyard)) {
        store_bury_step(worker->store, TICK_BURIED_ELEMENTS_MAX);
    }
    if (UNLIKELY(atomic_load_explicit(&worker->node->is_loading, memory_order_relaxed))) {
        loading_step(worker);
    } else if (LIKELY(!worker->log_has_failed)) {
        removal_expire_step(worker);
        removal_evict_step(worker);
    }
    if (!digesting_step(worker)) {
        cutting_step(worker);
    }
    publish_figures(worker);
    if (!worker->cron_is_due) {
        return;
    }
    worker->cron_is_due = false;
    worker->cron_runs++;
    sweep(worker);
    if (worker->listeners != NULL) {
        listeners_resume(worker->listeners);
    }
    notices_settle_losses(worker);
    client_eviction_step(worker);
    publish_counters(worker);
    removal_publish(worker);
    if (worker->index == 0) {
        measure_memory(worker->node);
        if (worker->node->cron != NULL) {
            worker->node->cron(worker->node);
        }
    }
}
