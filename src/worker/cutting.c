#include "worker/cutting.h"

#include "base/memory.h"
#include "worker/applying.h"
#include "worker/gate.h"

/* ---- the worker's side ---- */

static uint64_t position_of(void *context) {
    const struct worker *worker = context;
    return worker->node->is_replica ? applying_position(worker)
                                    : oplog_end_position(worker->node->log);
}

static void chunk_is_full(void *context, struct image_chunk *chunk) {
    const struct worker *worker = context;
    struct cutting *cutting = worker->node->cutting;
    size_t bytes = image_chunk_bytes(chunk);
    pthread_mutex_lock(&cutting->mutex);
    atomic_fetch_add(&cutting->queued, bytes);
    list_push_back(&cutting->chunks, &chunk->link);
    if (cutting->is_waiting) {
        pthread_cond_signal(&cutting->changed);
    }
    pthread_mutex_unlock(&cutting->mutex);
}

static void slot_is_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    const struct worker *worker = context;
    struct cutting *cutting = worker->node->cutting;
    cutting->slots[slot] = (struct cutting_slot){.position = position, .keys = keys};
    atomic_fetch_add_explicit(&cutting->keys_done, keys, memory_order_relaxed);
}

static void end_part(struct worker *worker) {
    struct cutting *cutting = worker->node->cutting;
    atomic_fetch_add(&cutting->early_buckets, cut_early_buckets(worker->cut));
    cut_free(worker->cut);
    worker->cut = NULL;
    pthread_mutex_lock(&cutting->mutex);
    cutting->working--;
    pthread_cond_signal(&cutting->changed);
    pthread_mutex_unlock(&cutting->mutex);
}

static size_t step_bytes(struct worker *worker) {
    bool was_idle = worker->cut_is_idle;
    worker->cut_is_idle = worker->work.requests == 0;
    if (was_idle && worker->cut_is_idle) {
        return CUT_STEP_BYTES;
    }
    size_t bytes = worker->work.requests * CUTTING_BYTES_PER_REQUEST;
    if (bytes > CUT_STEP_BYTES) {
        return CUT_STEP_BYTES;
    }
    return bytes < CUTTING_STEP_BYTES_MIN ? CUTTING_STEP_BYTES_MIN : bytes;
}

void cutting_step(struct worker *worker) {
    if (LIKELY(worker->cut == NULL)) {
        return;
    }
    struct cutting *cutting = worker->node->cutting;
    if (atomic_load_explicit(&cutting->is_given_up, memory_order_relaxed)) {
        end_part(worker);
        return;
    }
    worker->cut_waits = false;
    if (atomic_load(&cutting->queued) >= CUTTING_QUEUE_BYTES_MAX) {
        worker->cut_waits = true;
        atomic_store(&worker->awaits_room, true);
        /* Room may have come in between. */
        if (atomic_load(&cutting->queued) >= CUTTING_QUEUE_BYTES_MAX) {
            return;
        }
        worker->cut_waits = false;
    }
    /* An image holds what has been applied: all of that must stand before its position. */
    gate_append(worker);
    struct cut_work work = {0};
    cut_set_step(worker->cut, step_bytes(worker));
    bool is_done = cut_step(worker->cut, &work);
    worker->work.buckets += work.buckets;
    worker->work.cut_bytes += work.bytes;
    if (is_done) {
        end_part(worker);
    }
}

bool cutting_holds(struct worker *worker, uint32_t slot) {
    struct cutting *cutting = worker->node->cutting;
    uint16_t inside;
    if (atomic_load_explicit(&cutting->queued, memory_order_relaxed) < CUTTING_HOLD_BYTES ||
        !cut_is_inside(worker->cut, &inside) || (slot != SLOTS && slot != inside)) {
        return false;
    }
    atomic_fetch_add_explicit(&cutting->writes_held, 1, memory_order_relaxed);
    atomic_store(&worker->awaits_room, true);
    return atomic_load(&cutting->queued) >= CUTTING_HOLD_BYTES;
}

/* ---- the other side ---- */

struct cutting *cutting_begin(struct node *node, bool has_access) {
    ASSERT(node->log != NULL && node->cutting == NULL);
    struct cutting *cutting = memory_alloc_zeroed(sizeof(*cutting));
    cutting->node = node;
    cutting->working = node->worker_count;
    list_init(&cutting->chunks);
    pthread_mutex_init(&cutting->mutex, NULL);
    pthread_cond_init(&cutting->changed, NULL);
    node->cutting = cutting;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        worker->cut_waits = false;
        worker->cut = cut_new(&(struct cut_plan){
            .store = worker->store,
            .target = {.context = worker,
                       .position = position_of,
                       .chunk = chunk_is_full,
                       .slot_done = slot_is_done},
            .slot_first = worker->store->slot_first,
            .slot_count = worker->store->slot_count,
            .step_bytes = CUT_STEP_BYTES,
            .has_access = has_access,
        });
        loop_wake(worker->loop);
    }
    return cutting;
}

struct image_chunk *cutting_take(struct cutting *cutting) {
    pthread_mutex_lock(&cutting->mutex);
    cutting->is_waiting = true;
    while (list_is_empty(&cutting->chunks) && cutting->working > 0) {
        pthread_cond_wait(&cutting->changed, &cutting->mutex);
    }
    cutting->is_waiting = false;
    struct list *link = list_pop_front(&cutting->chunks);
    pthread_mutex_unlock(&cutting->mutex);
    return link == NULL ? NULL : LIST_ENTRY(link, struct image_chunk, link);
}

static void wake_workers(const struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        if (atomic_load(&worker->awaits_room) && atomic_exchange(&worker->awaits_room, false)) {
            loop_wake(worker->loop);
        }
    }
}

void cutting_stored(struct cutting *cutting, size_t bytes) {
    size_t before = atomic_fetch_sub(&cutting->queued, bytes);
    ASSERT(before >= bytes);
    if (before - bytes < CUTTING_QUEUE_BYTES_MAX / 2) {
        wake_workers(cutting->node);
    }
}

void cutting_give_up(struct cutting *cutting) {
    atomic_store(&cutting->is_given_up, true);
    for (uint32_t i = 0; i < cutting->node->worker_count; i++) {
        loop_wake(cutting->node->workers[i]->loop);
    }
}

void cutting_end(struct cutting *cutting) {
    struct node *node = cutting->node;
    ASSERT(node->cutting == cutting);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if (node->workers[i]->cut != NULL) {
            cut_free(node->workers[i]->cut);
            node->workers[i]->cut = NULL;
        }
    }
    node->cutting = NULL;
    for (struct list *link; (link = list_pop_front(&cutting->chunks)) != NULL;) {
        image_chunk_free(LIST_ENTRY(link, struct image_chunk, link));
    }
    pthread_mutex_destroy(&cutting->mutex);
    pthread_cond_destroy(&cutting->changed);
    memory_free(cutting);
}
