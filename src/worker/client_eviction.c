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

struct victim {
    struct connection *connection;
    size_t bytes;
};

/* The largest connections that may go, largest first. */
struct victims {
    struct victim items[CLIENT_EVICTIONS_MAX];
    uint32_t count;
};

static void victims_offer(struct victims *victims, const struct victim *offered) {
    struct victim *items = victims->items;
    bool is_full = victims->count == CLIENT_EVICTIONS_MAX;
    if (is_full && items[victims->count - 1].bytes >= offered->bytes) {
        return;
    }
    uint32_t place = is_full ? victims->count - 1 : victims->count++;
    for (; place > 0 && items[place - 1].bytes < offered->bytes; place--) {
        items[place] = items[place - 1];
    }
    items[place] = *offered;
}

/* Looks at each connection that is at home, once. Answers the bytes that all of them take. */
static uint64_t measure(const struct worker *worker, struct victims *victims) {
    uint64_t sum = 0;
    LIST_FOR_EACH(link, &worker->connections) {
        struct connection *connection = LIST_ENTRY(link, struct connection, link);
        if (connection->is_away) {
            continue;
        }
        struct victim victim = {.connection = connection,
                                .bytes = connection_memory_bytes(connection)};
        sum += victim.bytes;
        if ((connection->flags & CONNECTION_NO_EVICT) == 0) {
            victims_offer(victims, &victim);
        }
    }
    return sum;
}

static void publish(struct worker *worker, uint64_t sum, size_t largest) {
    atomic_store_explicit(&worker->connections_bytes, sum, memory_order_relaxed);
    atomic_store_explicit(&worker->evictable_bytes, largest, memory_order_relaxed);
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
    struct victims victims = {.count = 0};
    uint64_t sum = measure(worker, &victims);
    for (uint32_t i = 0; i < victims.count; i++) {
        const struct victim *largest = &victims.items[i];
        publish(worker, sum, largest->bytes);
        if (!is_my_turn(worker, limit)) {
            return;
        }
        client_info_log(LOG_NOTICE, "Evicting client: ", largest->connection, "");
        connection_close(largest->connection);
        atomic_fetch_add(&node->evicted_clients, 1);
        sum -= largest->bytes;
    }
    publish(worker, sum, 0); /* What else there is, the next period measures. */
}
