#include "worker/client_eviction.h"

#include "store/store_options.h"
#include "worker/client_info.h"

uint64_t client_memory_limit(const struct node *node) {
    int64_t limit = node->options->maxmemory_clients;
    if (limit >= 0) {
        return (uint64_t)limit;
    }
    /* Percent of maxmemory; without that there is nothing to take a part of. */
    return (uint64_t)node->store_options->maxmemory / 100 * (uint64_t)-limit;
}

/* Publishes what the connections take that are at home; answers the largest of those that may go,
 * or NULL. */
static struct connection *measure(struct worker *worker) {
    size_t sum = 0;
    size_t most = 0;
    struct connection *largest = NULL;
    LIST_FOR_EACH(link, &worker->connections) {
        struct connection *connection = LIST_ENTRY(link, struct connection, link);
        if (connection->is_away) {
            continue;
        }
        size_t bytes = connection_memory_bytes(connection);
        sum += bytes;
        if (bytes > most && (connection->flags & CONNECTION_NO_EVICT) == 0) {
            most = bytes;
            largest = connection;
        }
    }
    atomic_store_explicit(&worker->connections_bytes, sum, memory_order_relaxed);
    atomic_store_explicit(&worker->evictable_bytes, most, memory_order_relaxed);
    return largest;
}

/* Over the limit, and nobody else has a larger connection to close. */
static bool is_my_turn(const struct worker *worker, uint64_t limit) {
    const struct node *node = worker->node;
    uint64_t own = atomic_load_explicit(&worker->evictable_bytes, memory_order_relaxed);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *other = node->workers[i];
        sum += atomic_load_explicit(&other->connections_bytes, memory_order_relaxed);
        if (atomic_load_explicit(&other->evictable_bytes, memory_order_relaxed) > own) {
            return false;
        }
    }
    return sum > limit;
}

void client_eviction_step(struct worker *worker) {
    struct node *node = worker->node;
    uint64_t limit = client_memory_limit(node);
    if (limit == 0) {
        return;
    }
    for (;;) {
        struct connection *largest = measure(worker);
        if (largest == NULL || !is_my_turn(worker, limit)) {
            return;
        }
        client_info_log(LOG_NOTICE, "Evicting client: ", largest, "");
        connection_close(largest);
        atomic_fetch_add(&node->evicted_clients, 1);
    }
}
