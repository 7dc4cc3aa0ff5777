#include "server/write_pause.h"

#include "worker/gate.h"
#include "worker/worker.h"

void write_pause_begin(struct write_pause *pause) {
    struct node *node = pause->node;
    if (pause->holders++ > 0) {
        return;
    }
    gate_await_begin(node);
    pause->mode = atomic_load(&node->pause_mode);
    pause->until_ms = atomic_load(&node->pause_until_ms);
    if (pause->mode == PAUSE_NONE) {
        atomic_store(&node->pause_mode, PAUSE_WRITE);
    }
    atomic_store(&node->pause_until_ms, INT64_MAX);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i]->is_paused = true;
    }
}

/* A CLIENT PAUSE goes on, if it was on: each worker sees when its time is over. */
void write_pause_end(struct write_pause *pause) {
    struct node *node = pause->node;
    ASSERT(pause->holders > 0);
    if (--pause->holders > 0) {
        return;
    }
    gate_await_end(node);
    atomic_store(&node->pause_mode, pause->mode);
    atomic_store(&node->pause_until_ms, pause->until_ms);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        worker_end_pause(node->workers[i]);
        node->workers[i]->is_paused = pause->mode != PAUSE_NONE;
        loop_wake(node->workers[i]->loop);
    }
}
