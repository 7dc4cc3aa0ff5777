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

/* What the connections take that are at home, and the largest of those that may go. */
static size_t measure(const struct worker *worker, struct connection **largest) {
    size_t sum = 0;
    size_t most = 0;
    *largest = NULL;
    LIST_FOR_EACH(link, &worker->connections) {
        struct connection *connection = LIST_ENTRY(link, struct connection, link);
        if (connection->is_away) {
            continue;
        }
        size_t bytes = connection_memory_bytes(connection);
        sum += bytes;
        if (bytes > most && (connection->flags & CONNECTION_NO_EVICT) == 0) {
            most = bytes;
            *largest = connection;
        }
    }
    return sum;
}

void client_eviction_step(struct worker *worker) {
    struct node *node = worker->node;
    uint64_t limit = client_memory_limit(node);
    if (limit == 0) {
        return;
    }
    struct connection *largest = NULL;
    size_t own = measure(worker, &largest);
    atomic_store_explicit(&worker->connections_bytes, own, memory_order_relaxed);
    uint64_t total = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        total += atomic_load_explicit(&node->workers[i]->connections_bytes, memory_order_relaxed);
    }
    if (total <= limit) {
        return;
    }
    uint64_t share = (uint64_t)((double)own / (double)total * (double)limit);
    while (own > share && largest != NULL) {
        client_info_log(LOG_NOTICE, "Evicting client: ", largest, "");
        connection_close(largest);
        atomic_fetch_add(&node->evicted_clients, 1);
        own = measure(worker, &largest);
    }
}
