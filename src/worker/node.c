#include "worker/node.h"

#include "io/memory_disk.h"
#include "worker/worker.h"

uint64_t node_log_memory(const struct node *node) {
    uint64_t bytes = 0;
    if (node->log != NULL) {
        struct oplog_figures figures;
        oplog_figures_read(node->log, &figures);
        bytes = figures.pending_bytes + figures.unsynced_bytes + figures.spare_bytes;
    }
    if (node->log_memory != NULL) {
        bytes += memory_disk_bytes(node->log_memory);
    }
    return bytes + atomic_load_explicit(&node->cutting_bytes, memory_order_relaxed);
}

uint64_t node_used_memory(const struct node *node) {
    uint64_t used = atomic_load_explicit(&node->memory_other_bytes, memory_order_relaxed);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        used += atomic_load_explicit(&node->workers[i]->heap_bytes, memory_order_relaxed);
    }
    return used;
}

bool node_is_over_memory(const struct node *node) {
    uint64_t log = atomic_load_explicit(&node->memory_log_bytes, memory_order_relaxed);
    uint64_t used = node_used_memory(node);
    uint64_t limit = (uint64_t)node->store_options->maxmemory;
    return limit != 0 && used > log && used - log > limit;
}
