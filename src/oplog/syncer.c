#include "oplog/engine.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/signals.h"

#include <string.h>

#define WAIT_FOR_EVER INT64_MAX

/* What one sync covers. */
struct sync_work {
    uint64_t target;
    struct disk_file *file;
    uint64_t file_first; /* if there is a file */
    struct list full;
    bool has_names;
};

static void list_move(struct list *from, struct list *to) {
    for (struct list *link; (link = list_pop_front(from)) != NULL;) {
        list_push_back(to, link);
    }
}

/* Without the mutex. Full segments are closed whatever happens: after a failure nobody syncs them
 * again. */
static int sync_files(struct oplog *oplog, struct sync_work *work) {
    const struct disk *disk = oplog->plan.disk;
    int status = 0;
    for (struct list *link; (link = list_pop_front(&work->full)) != NULL;) {
        struct full_segment *full = LIST_ENTRY(link, struct full_segment, link);
        if (status == 0) {
            /* Room set aside that was not needed: no harm if it stays. */
            disk->truncate(full->file, full->size);
            status = disk->sync(full->file);
        }
        disk->close(full->file);
        memory_free(full);
    }
    if (status == 0 && work->file != NULL) {
        status = disk->sync(work->file);
    }
    if (status == 0 && work->has_names) {
        status = disk->sync_names(disk->context);
    }
    return status;
}

/* With the mutex, which is let go meanwhile. */
static void sync_succeeded(struct oplog *oplog, const struct sync_work *work) {
    uint64_t target = work->target;
    struct list frames;
    list_init(&frames);
    uint64_t bytes = 0;
    while (!list_is_empty(&oplog->unsynced)) {
        struct held_frame *frame = LIST_ENTRY(oplog->unsynced.next, struct held_frame, link);
        if (held_frame_end(frame) > target) {
            break;
        }
        list_remove(&frame->link);
        list_push_back(&frames, &frame->link);
        bytes += frame->held_bytes;
    }
    oplog->unsynced_bytes -= bytes;
    oplog->syncs++;
    oplog->last_sync_ms = clock_wall_ms();
    oplog->sync_error = 0;
    atomic_store_explicit(&oplog->synced, target, memory_order_release);
    if (work->file != NULL) {
        oplog->durable_first = work->file_first;
    }
    pthread_mutex_unlock(&oplog->mutex);
    held_frames_clear(&frames);
    pthread_mutex_lock(&oplog->mutex);
    held_frames_keep(oplog, &frames, bytes);
    pthread_mutex_unlock(&oplog->mutex);
    held_frames_free(&frames);
    pthread_mutex_lock(&oplog->mutex);
}

static void sync_failed(struct oplog *oplog, int status) {
    oplog->failures++;
    oplog->last_error = -status;
    oplog->must_rebuild = true;
    if (oplog->sync_error == 0) {
        log_warning("Error syncing the log: %s. Writes are refused until what was not synced "
                    "stands in a new segment.",
                    strerror(-status));
    }
    oplog->sync_error = -status;
    oplog->retry_at_us = clock_monotonic_us() + (int64_t)OPLOG_RETRY_MS * 1000;
    oplog->write_error = -status;
}

bool syncer_step(struct oplog *oplog) {
    struct sync_work work = {
        .target = atomic_load_explicit(&oplog->written, memory_order_relaxed),
        .file = oplog->file,
        .file_first = oplog->file_first,
        .has_names = oplog->names_changed,
    };
    bool has_work = work.target != atomic_load(&oplog->synced) || !list_is_empty(&oplog->full) ||
                    work.has_names || oplog->sync_error != 0;
    if (oplog->must_rebuild || oplog->is_syncing || !has_work) {
        return false;
    }
    list_init(&work.full);
    list_move(&oplog->full, &work.full);
    oplog->names_changed = false;
    oplog->is_syncing = true;
    oplog->sync_began_us = clock_monotonic_us();
    pthread_mutex_unlock(&oplog->mutex);
    int status = sync_files(oplog, &work);
    int64_t took_us = clock_monotonic_us() - oplog->sync_began_us;
    pthread_mutex_lock(&oplog->mutex);
    oplog->is_syncing = false;
    oplog->syncs_delayed += took_us > (int64_t)OPLOG_SYNC_PERIOD_MS * 1000;
    if (status == 0) {
        sync_succeeded(oplog, &work);
    } else {
        sync_failed(oplog, status);
    }
    oplog_error_update(oplog);
    pthread_cond_broadcast(&oplog->settled);
    if (oplog->must_rebuild || !list_is_empty(&oplog->pending) || !list_is_empty(&oplog->turns)) {
        pthread_cond_signal(&oplog->writer_wake);
    }
    oplog_tell_progress(oplog);
    return true;
}

/* When the next sync is due. With the mutex. */
static int64_t due_us(const struct oplog *oplog, int64_t now_us) {
    uint64_t synced = atomic_load_explicit(&oplog->synced, memory_order_relaxed);
    bool is_all_synced = atomic_load_explicit(&oplog->written, memory_order_relaxed) == synced;
    if (oplog->must_rebuild) {
        return WAIT_FOR_EVER;
    }
    if (oplog->sync_error != 0 || oplog->names_changed || !list_is_empty(&oplog->full)) {
        return now_us;
    }
    enum oplog_sync sync =
        (enum oplog_sync)atomic_load_explicit(&oplog->sync, memory_order_relaxed);
    if (!is_all_synced && (sync == OPLOG_SYNC_ALWAYS || oplog->sync_wanted > synced ||
                           oplog->unsynced_bytes >= OPLOG_SYNC_BYTES)) {
        return now_us;
    }
    if (sync != OPLOG_SYNC_EVERYSEC) {
        return WAIT_FOR_EVER;
    }
    /* Looked for each period, so that an append need not wake anybody. */
    int64_t next_us = oplog->sync_began_us + (int64_t)OPLOG_SYNC_PERIOD_MS * 1000;
    if (!is_all_synced) {
        return next_us;
    }
    return next_us > now_us ? next_us : now_us + (int64_t)OPLOG_SYNC_PERIOD_MS * 1000;
}

void *syncer_main(void *context) {
    struct oplog *oplog = context;
    signals_block_all();
    pthread_mutex_lock(&oplog->mutex);
    while (!oplog->is_stopping) {
        int64_t now_us = clock_monotonic_us();
        int64_t until_us = due_us(oplog, now_us);
        if (until_us <= now_us) {
            syncer_step(oplog);
        } else {
            oplog_wait_until(oplog, &oplog->syncer_wake, until_us);
        }
    }
    pthread_mutex_unlock(&oplog->mutex);
    return NULL;
}
