#include "worker/loading.h"

#include "base/memory.h"
#include "commands/effect_codec.h"
#include "io/clock.h"
#include "snapshot/snapshot_section.h"
#include "store/image.h"

#include <time.h>

/* Frames of the log that one step applies: so many bytes, and the frame that passes them. */
#define LOADING_STEP_BYTES ((size_t)256 * 1024)

enum stage { STAGE_CHUNKS, STAGE_LOG };

/* A worker's part. */
struct loader {
    struct loading *loading;
    enum stage stage;
    uint32_t chunk_next;
    bool is_tail; /* what is replayed may be in images already */
    struct buffer content;
    struct oplog_reader *reader;
    struct buffer report;
};

struct loading *loading_begin(const struct loading_plan *plan) {
    struct loading *loading = memory_alloc_zeroed(sizeof(*loading));
    struct node *node = plan->node;
    loading->plan = *plan;
    loading->working = node->worker_count;
    loading->started_us = clock_monotonic_us();
    pthread_mutex_init(&loading->mutex, NULL);
    pthread_cond_init(&loading->changed, NULL);
    node->loading = loading;
    node->loading_refuses_from_ms = clock_wall_ms() + LOADING_PATIENCE_MS;
    atomic_store(&node->is_loading, true);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct loader *loader = memory_alloc_zeroed(sizeof(*loader));
        loader->loading = loading;
        node->workers[i]->loader = loader;
    }
    return loading;
}

bool loading_wait(struct loading *loading, int64_t timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
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
        buffer_free(&loader->content);
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
    }
    loading->working--;
    pthread_cond_broadcast(&loading->changed);
    pthread_mutex_unlock(&loading->mutex);
    loading_forget(worker);
}

/* ---- images ---- */

static bool fail_record(struct loader *loader, const struct snapshot_reader *snapshot,
                        enum image_status status, size_t at) {
    if (status == IMAGE_NO_MEMORY) {
        buffer_append_string(&loader->report, "there is no memory for a value of the snapshot");
    } else {
        buffer_format(&loader->report,
                      "%s: the chunk at offset %llu: byte %zu of its content: expected a record "
                      "of an image that fits what was before, found something else",
                      snapshot->name,
                      (unsigned long long)snapshot->chunks[loader->chunk_next].offset, at);
    }
    return false;
}

static bool load_image(struct worker *worker, const struct snapshot_reader *snapshot) {
    struct loader *loader = worker->loader;
    struct image_reader reader;
    image_reader_init(&reader, buffer_span(&loader->content));
    struct image_record record;
    uint64_t keys = 0;
    enum image_status status;
    const char *at = reader.rest.bytes;
    while ((status = image_read(&reader, &record)) == IMAGE_DONE) {
        if (store_owns(worker->store, record.slot)) {
            status = image_load(worker->store, &record);
            if (status != IMAGE_DONE) {
                break;
            }
            keys++;
        }
        at = reader.rest.bytes;
    }
    atomic_fetch_add_explicit(&loader->loading->keys, keys, memory_order_relaxed);
    return status == IMAGE_END ||
           fail_record(loader, snapshot, status, (size_t)(at - loader->content.bytes));
}

/* ---- frames ---- */

/* True if the image of this slot is from after the frame: it holds what the frame does. */
static bool is_in_image(const struct loader *loader, uint16_t slot, uint64_t position) {
    if (!loader->is_tail) {
        return false;
    }
    const struct snapshot_slot *row = snapshot_reader_slot(loader->loading->plan.snapshot, slot);
    return row != NULL && position < row->position;
}

/* A flush or swap in the tail: slot by slot, for those whose image is older. */
static enum effect_replay_status replay_to_slots(const struct worker *worker,
                                                 const struct effect_record *record,
                                                 uint64_t position) {
    struct store *store = worker->store;
    uint64_t number = (uint64_t)record->effect.number;
    bool is_flush = record->effect.kind == EFFECT_DATABASE_FLUSH;
    uint64_t first = is_flush ? number : number >> 32;
    uint64_t second = is_flush ? 0 : number & UINT32_MAX;
    if (first >= store->database_count || second >= store->database_count) {
        return EFFECT_REPLAY_WRONG_DATABASE;
    }
    for (uint32_t i = 0; i < store->slot_count; i++) {
        uint16_t slot = (uint16_t)(store->slot_first + i);
        if (is_in_image(worker->loader, slot, position)) {
            continue;
        }
        if (is_flush) {
            store_flush_slot(store, (uint32_t)first, slot);
        } else {
            store_swap_slot(store, (uint32_t)first, (uint32_t)second, slot);
        }
    }
    return EFFECT_REPLAY_DONE;
}

static enum effect_replay_status replay(struct worker *worker, const struct effect_record *record,
                                        uint64_t position) {
    if (record->slot == EFFECT_NODE_SLOT) {
        return worker->loader->is_tail ? replay_to_slots(worker, record, position)
                                       : effect_replay_to_store(worker->store, record);
    }
    if (!store_owns(worker->store, record->slot) ||
        is_in_image(worker->loader, record->slot, position)) {
        return EFFECT_REPLAY_DONE;
    }
    return effect_replay_to_store(worker->store, record);
}

/* Applies the effects of one frame that concern this worker. */
static bool load_frame(struct worker *worker, struct span content, uint64_t position) {
    struct loader *loader = worker->loader;
    const char *start = content.bytes;
    struct effect_record record;
    enum effect_read_status status;
    uint64_t effects = 0;
    const char *reason = "bytes that are no effect";
    const char *at = content.bytes;
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
        enum effect_replay_status replayed = replay(worker, &record, position);
        if (replayed != EFFECT_REPLAY_DONE) {
            reason = effect_replay_reason(replayed);
            break;
        }
        effects++;
        at = content.bytes;
    }
    atomic_fetch_add_explicit(&loader->loading->effects, effects, memory_order_relaxed);
    if (status == EFFECT_READ_END) {
        return true;
    }
    buffer_format(&loader->report,
                  "the log's frame at position %llu: byte %zu of its content: expected an effect "
                  "that fits the data, found: %s",
                  (unsigned long long)position, (size_t)(at - start), reason);
    return false;
}

static bool load_tail(struct worker *worker, const struct snapshot_reader *snapshot) {
    struct loader *loader = worker->loader;
    struct span rest = buffer_span(&loader->content);
    struct snapshot_frame frame;
    enum snapshot_section_status status;
    while ((status = snapshot_frame_read(&rest, &frame)) == SNAPSHOT_SECTION_DONE) {
        if (!load_frame(worker, frame.content, frame.position)) {
            return false;
        }
    }
    if (status == SNAPSHOT_SECTION_END) {
        return true;
    }
    buffer_format(&loader->report,
                  "%s: the chunk at offset %llu: expected frames of the log, found lengths that do "
                  "not fit",
                  snapshot->name, (unsigned long long)snapshot->chunks[loader->chunk_next].offset);
    return false;
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
            if (snapshot_reader_chunk(snapshot, loader->chunk_next, &loader->content,
                                      &loader->report) != SNAPSHOT_READ_DONE) {
                return false;
            }
            loader->is_tail = true;
            bool is_loaded = chunk->kind == SNAPSHOT_TAIL ? load_tail(worker, snapshot)
                                                          : load_image(worker, snapshot);
            loader->chunk_next++;
            return is_loaded;
        }
        loader->chunk_next++;
    }
    loader->is_tail = false;
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
            return *is_done;
        }
        if (!load_frame(worker, frame.content, frame.position)) {
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
    bool is_loaded =
        loader->stage == STAGE_CHUNKS ? chunk_step(worker) : log_step(worker, &is_done);
    if (!is_loaded || is_done) {
        finish(worker, !is_loaded);
    }
}
