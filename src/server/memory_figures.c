#include "server/memory_figures.h"

#include "io/memory_disk.h"
#include "server/server.h"
#include "worker/worker.h"

#include <unistd.h>

uint64_t memory_figures_tables(const struct store *store, uint32_t database) {
    if (store->databases[database] == NULL) {
        return 0;
    }
    uint64_t bytes = sizeof(struct database) + store->slot_count * sizeof(struct table);
    for (uint32_t slot = store_next_slot(store, database, store->slot_first); slot < SLOTS;
         slot = store_next_slot(store, database, slot + 1)) {
        bytes += table_bytes(store_table(store, database, (uint16_t)slot));
    }
    return bytes;
}

static void read_connections(const struct worker *worker, struct memory_figures *figures) {
    LIST_FOR_EACH(link, &worker->connections) {
        const struct connection *connection = LIST_ENTRY(link, struct connection, link);
        uint64_t input = connection->input_capacity;
        uint64_t output = reply_bytes(&connection->reply);
        figures->clients += connection_memory_bytes(connection);
        figures->input_max = input > figures->input_max ? input : figures->input_max;
        figures->output_max = output > figures->output_max ? output : figures->output_max;
    }
}

static void read_replication(struct server *server, struct memory_figures *figures) {
    struct replication_link links[REPLICATION_LINKS_MAX];
    uint32_t count = replication_links_read(&server->replication, links);
    for (uint32_t i = 0; i < count; i++) {
        figures->links += links[i].held_bytes;
    }
    if (server->node.log_memory != NULL) {
        figures->backlog = memory_disk_bytes(server->node.log_memory);
    }
    figures->replication = figures->links + figures->backlog;
}

static void read_stores(const struct keyspace *keyspace, struct memory_figures *figures) {
    for (uint32_t i = 0; i < keyspace->store_count; i++) {
        for (uint32_t database = 0; database < keyspace->database_count; database++) {
            figures->tables += memory_figures_tables(keyspace->stores[i], database);
        }
    }
    for (uint32_t database = 0; database < keyspace->database_count; database++) {
        figures->keys += keyspace_keys(keyspace, database);
    }
}

/* All that the process has allocated, but of the stores' heaps only what is used. */
static uint64_t measure_used(struct node *node, const struct memory_totals *allocator) {
    uint64_t held = 0;
    uint64_t used = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        const struct heap *heap = &node->workers[i]->store->heap;
        held += heap->held_bytes;
        used += heap->used_bytes;
        atomic_store_explicit(&node->workers[i]->heap_bytes, heap->used_bytes,
                              memory_order_relaxed);
    }
    uint64_t other = allocator->allocated > held ? allocator->allocated - held : 0;
    atomic_store_explicit(&node->memory_other_bytes, other, memory_order_relaxed);
    return used + other;
}

void memory_figures_read(struct server *server, struct memory_figures *figures) {
    struct node *node = &server->node;
    *figures = (struct memory_figures){
        .resident = memory_resident_bytes(),
        .startup = server->memory_at_start_bytes,
        .system = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
    };
    memory_totals_read(&figures->allocator);
    figures->used = measure_used(node, &figures->allocator);
    figures_note_memory(&server->samples, figures->used);
    figures->log = node_log_memory(node);
    figures->peak = server->samples.memory_peak_bytes;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        read_connections(node->workers[i], figures);
    }
    read_replication(server, figures);
    read_stores(node->keyspace, figures);
    figures->overhead =
        figures->startup + figures->clients + figures->replication + figures->tables;
    figures->dataset = figures->used > figures->overhead ? figures->used - figures->overhead : 0;
    uint64_t beyond_startup =
        figures->used > figures->startup ? figures->used - figures->startup : 0;
    figures->dataset_share = 100 * memory_figures_ratio(figures->dataset, beyond_startup);
}
