#include "worker/node.h"

#include "worker/cutting.h"
#include "worker/worker.h"

uint64_t node_log_memory(const struct node *node) {
    uint64_t bytes = 0;
    if (node->log != NULL) {
        struct oplog_figures figures;
        oplog_figures_read(node->log, &figures);
        bytes = figures.pending_bytes + figures.unsynced_bytes + figures.spare_bytes;
    }
    if (node->cutting != NULL) {
        bytes += atomic_load_explicit(&node->cutting->queued, memory_order_relaxed);
    }
    return bytes;
}

uint64_t node_used_memory(const struct node *node) {
    uint64_t used = atomic_load_explicit(&node->memory_other_bytes, memory_order_relaxed);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        used += atomic_load_explicit(&node->workers[i]->heap_bytes, memory_order_relaxed);
    }
    return used;
}
