#include "worker/node.h"

#include "worker/worker.h"

uint64_t node_used_memory(const struct node *node) {
    uint64_t used = atomic_load_explicit(&node->memory_other_bytes, memory_order_relaxed);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        used += atomic_load_explicit(&node->workers[i]->heap_bytes, memory_order_relaxed);
    }
    return used;
}
