#include "worker/loading.h"

#include "base/memory.h"
#include "execute/snapshot_load.h"
#include "io/clock.h"

/* Frames of the log that one step applies: so many bytes, and the frame that passes them. */
#define LOADING_STEP_BYTES ((size_t)256 * 1024)

enum stage { STAGE_CHUNKS, STAGE_LOG };

/* A worker's part. */
struct loader {
    struct loading *loading;
    enum stage stage;
    uint32_t chunk_next;
    struct snapshot_load load;
    struct oplog_reader *reader;
    struct buffer report;
};

void loading_announce(struct node *node) {
    if (!atomic_load(&node->is_loading)) {
        node->loading_refuses_from_ms = clock_wall_ms() + LOADING_PATIENCE_MS;
        atomic_store(&node->is_loading, true);
    }
}

struct loading *loading_begin(const struct loading_plan *plan) {
    struct loading *loading = memory_alloc_zeroed(sizeof(*loading));
    struct node *node = plan->node;
    loading->plan = *plan;
    loading->working = node->worker_count;
    loading->started_us = clock_monotonic_us();
    pthread_mutex_init(&loading->mutex, NULL);
    pthread_cond_init(&loading->changed, NULL);
    node->loading = loading;
    loading_announce(node);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct loader *loader = memory_alloc_zeroed(sizeof(*loader));
        loader->loading = loading;
        loader->load = (struct snapshot_load){.reader = plan->snapshot,
                                              .store = node->workers[i]->store,
                                              .replaces = plan->replaces,
                                              .content = BUFFER_EMPTY};
        node->workers[i]->loader = loader;
    }
    return loading;
}

bool loading_wait(struct loading *loading, int64_t timeout_ms) {
    struct timespec until = clock_wall_in(timeout_ms);
    pthread_mutex_lock(&loading->mutex);
    int status = 0;
    while (loading->working > 0 && !atomic_load(&loading->has_failed) && status == 0) {
        status = pthread_cond_timedwait(&loading->changed, &loading->mutex, &until);
    }
    bool is_done = loading->working == 0 || atomic_load(&loading->has_failed);
    pthread_mutex_unlock(&loading->mutex);
    return is_done;
}

void loading_end(struct loading *loading) {
    loading->plan.node->loading = NULL;
    buffer_free(&loading->report);
    pthread_mutex_destroy(&loading->mutex);
    pthread_cond_destroy(&loading->changed);
    memory_free(loading);
}

/* ---- a worker's part ---- */

void loading_forget(struct worker *worker) {
    struct loader *loader = worker->loader;
    if (loader != NULL) {
        oplog_reader_close(loader->reader);
        buffer_free(&loader->load.content);
        buffer_free(&loader->report);
        memory_free(loader);
        worker->loader = NULL;
    }
}

static void finish(struct worker *worker, bool has_failed) {
    struct loader *loader = worker->loader;
    struct loading *loading = loader->loading;
    pthread_mutex_lock(&loading->mutex);
    if (has_failed && !atomic_exchange(&loading->has_failed, true)) {
        buffer_append_span(&loading->report, buffer_span(&loader->report));
        loading->is_unreadable = loader->load.is_unreadable;
    }
    loading->working--;
    pthread_cond_broadcast(&loading->changed);
    pthread_mutex_unlock(&loading->mutex);
    loading_forget(worker);
}

/* ---- steps ---- */

static bool concerns(const struct worker *worker, const struct snapshot_chunk *chunk) {
    const struct store *store = worker->store;
    if (chunk->kind == SNAPSHOT_TAIL) {
        return true;
    }
    return chunk->kind == SNAPSHOT_IMAGE && chunk->slot_last >= store->slot_first &&
           chunk->slot_first < store->slot_first + store->slot_count;
}

static void note_progress(const struct worker *worker, uint64_t bytes) {
    if (worker->index == 0) {
        atomic_fetch_add_explicit(&worker->loader->loading->bytes_done, bytes,
                                  memory_order_relaxed);
    }
}

/* One chunk. */
static bool chunk_step(struct worker *worker) {
    struct loader *loader = worker->loader;
    const struct snapshot_reader *snapshot = loader->loading->plan.snapshot;
    while (snapshot != NULL && loader->chunk_next < snapshot->chunks_count) {
        const struct snapshot_chunk *chunk = &snapshot->chunks[loader->chunk_next];
        note_progress(worker, chunk->stored_bytes);
        if (concerns(worker, chunk)) {
            return snapshot_load_chunk(&loader->load, loader->chunk_next++, &loader->report);
        }
        loader->chunk_next++;
    }
    loader->stage = STAGE_LOG;
    return true;
}

static bool log_open(struct loader *loader) {
    const struct loading_plan *plan = &loader->loading->plan;
    struct oplog_reader_plan reader = {
        .disk = plan->log,
        .from = plan->log_from,
        .to = plan->log_to,
        .report = &loader->report,
    };
    return oplog_reader_open(&reader, &loader->reader) == OPLOG_READ_END;
}

/* Some frames of the log; *is_done: there are no more. */
static bool log_step(struct worker *worker, bool *is_done) {
    struct loader *loader = worker->loader;
    const struct loading_plan *plan = &loader->loading->plan;
    if (plan->log == NULL || plan->log_from == plan->log_to) {
        *is_done = true;
        return true;
    }
    if (loader->reader == NULL && !log_open(loader)) {
        return false;
    }
    for (size_t bytes = 0; bytes < LOADING_STEP_BYTES;) {
        struct oplog_frame frame;
        enum oplog_read status = oplog_reader_next(loader->reader, &frame);
        if (status != OPLOG_READ_FRAME) {
            *is_done = status == OPLOG_READ_END;
            loader->load.is_unreadable = status == OPLOG_READ_FAILED;
            return *is_done;
        }
        if (!snapshot_load_frame(&loader->load, frame.position, frame.content, &loader->report)) {
            return false;
        }
        bytes += frame.content.length;
        note_progress(worker, frame.content.length);
    }
    return true;
}

void loading_step(struct worker *worker) {
    struct loader *loader = worker->loader;
    if (LIKELY(loader == NULL)) {
        return;
    }
    if (atomic_load(&loader->loading->has_failed)) {
        finish(worker, false);
        return;
    }
    bool is_done = false;
    uint64_t keys = loader->load.keys;
    uint64_t effects = loader->load.effects;
    bool is_loaded =
        loader->stage == STAGE_CHUNKS ? chunk_step(worker) : log_step(worker, &is_done);
    atomic_fetch_add(&loader->loading->keys, loader->load.keys - keys);
    atomic_fetch_add(&loader->loading->effects, loader->load.effects - effects);
    if (!is_loaded || is_done) {
        finish(worker, !is_loaded);
    }
}
