#define _GNU_SOURCE 1

#include "oplog/engine.h"

#include "base/assertion.h"
#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define FEW_PARTS 16

/* ---- frames ---- */

int writer_write_frames(const struct oplog *oplog, struct disk_file *file, uint64_t file_first,
                        struct list *first_link, size_t count) {
    size_t parts_max = 0;
    struct list *link = NULL;
    for (size_t i = 0; i < count; i++) {
        /* What follows the last one is not ours to look at: it may be appended just now. */
        link = i == 0 ? first_link : link->next;
        parts_max += 1 + oplog_batch_parts_max(&LIST_ENTRY(link, struct held_frame, link)->content);
    }
    struct iovec few[FEW_PARTS] = {{0}};
    struct iovec *parts =
        parts_max <= FEW_PARTS ? few : memory_alloc(parts_max * sizeof(struct iovec));
    size_t parts_count = 0;
    for (size_t i = 0; i < count; i++) {
        link = i == 0 ? first_link : link->next;
        struct held_frame *frame = LIST_ENTRY(link, struct held_frame, link);
        parts[parts_count++] =
            (struct iovec){.iov_base = frame->header, .iov_len = OPLOG_FRAME_HEADER_BYTES};
        parts_count += oplog_batch_parts(&frame->content, parts + parts_count);
    }
    uint64_t position = LIST_ENTRY(first_link, struct held_frame, link)->position;
    int status =
        oplog->plan.disk->write(file, parts, parts_count, segment_offset(file_first, position));
    if (parts != few) {
        memory_free(parts);
    }
    return status;
}

static void written_failed(struct oplog *oplog, int status) {
    oplog->failures++;
    oplog->last_error = -status;
    oplog->write_error = -status;
    oplog->retry_at_us = clock_monotonic_us() + (int64_t)OPLOG_RETRY_MS * 1000;
    if (atomic_load(&oplog->error) == 0) {
        log_warning("Error writing to the log: %s. Writes are refused until it can be written.",
                    strerror(-status));
    }
}

static bool wants_next(const struct oplog *oplog) {
    uint64_t written = atomic_load_explicit(&oplog->written, memory_order_relaxed);
    return oplog->next_file == NULL && !oplog->next_was_tried && oplog->file != NULL &&
           written - oplog->file_first >=
               atomic_load_explicit(&oplog->segment_bytes, memory_order_relaxed) / 2;
}

static bool wants_sync(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->sync, memory_order_relaxed) == OPLOG_SYNC_ALWAYS ||
           oplog->unsynced_bytes >= OPLOG_SYNC_BYTES || oplog->sync_error != 0 ||
           oplog->sync_wanted > atomic_load_explicit(&oplog->synced, memory_order_relaxed);
}

void writer_written(struct oplog *oplog, size_t count, int status) {
    if (status != 0) {
        written_failed(oplog, status);
        pthread_cond_signal(&oplog->writer_wake);
        return;
    }
    oplog->write_error = 0;
    struct segment_record *last = LIST_ENTRY(oplog->segments.previous, struct segment_record, link);
    if (last->time_ms == 0 && count > 0) {
        last->time_ms = LIST_ENTRY(oplog->pending.next, struct held_frame, link)->time_ms;
    }
    for (size_t i = 0; i < count; i++) {
        struct list *link = list_pop_front(&oplog->pending);
        struct held_frame *frame = LIST_ENTRY(link, struct held_frame, link);
        atomic_fetch_sub_explicit(&oplog->pending_bytes, frame->held_bytes, memory_order_relaxed);
        oplog->unsynced_bytes += frame->held_bytes;
        list_push_back(&oplog->unsynced, link);
        atomic_store_explicit(&oplog->written, held_frame_end(frame), memory_order_release);
    }
    if (!list_is_empty(&oplog->pending) || oplog->must_rebuild || wants_next(oplog)) {
        pthread_cond_signal(&oplog->writer_wake);
    }
    if (wants_sync(oplog)) {
        pthread_cond_signal(&oplog->syncer_wake);
    }
}

/* As many of the list's frames, from `link` on, as fit into one write and, if it is not 0, before
 * a position. */
static size_t frames_at_once(const struct list *frames, const struct list *link,
                             uint64_t position_max) {
    size_t count = 0;
    size_t parts = 0;
    for (; link != frames; link = link->next) {
        const struct held_frame *frame = LIST_ENTRY(link, const struct held_frame, link);
        parts += 1 + oplog_batch_parts_max(&frame->content);
        if (count > 0 &&
            (parts > WRITE_PARTS_MAX || (position_max != 0 && frame->position >= position_max))) {
            break;
        }
        count++;
    }
    return count;
}

/* ---- segments ---- */

/* A file with room, under the name that a segment has before it counts. Without the mutex. */
static int next_make(const struct oplog *oplog, struct disk_file **made, uint64_t *room) {
    const struct disk *disk = oplog->plan.disk;
    int error = 0;
    struct disk_file *file = disk->open(disk->context, NEXT_SEGMENT_NAME, true, &error);
    if (file == NULL && error == -EEXIST) {
        error = disk->remove(disk->context, NEXT_SEGMENT_NAME);
        file = error == 0 ? disk->open(disk->context, NEXT_SEGMENT_NAME, true, &error) : NULL;
    }
    if (file == NULL) {
        return error;
    }
    *room = OPLOG_SEGMENT_HEADER_BYTES +
            atomic_load_explicit(&oplog->segment_bytes, memory_order_relaxed);
    if (disk->allocate(file, *room) != 0) {
        /* Less room than a whole segment: writes tell when it is used up. */
        disk->truncate(file, 0);
        *room = 0;
    }
    *made = file;
    return 0;
}

static void next_drop(struct oplog *oplog) {
    oplog->plan.disk->close(oplog->next_file);
    oplog->next_file = NULL;
    atomic_store(&oplog->next_room, 0);
}

/* Without the mutex, by who has set is_writing. */
static int next_ensure(struct oplog *oplog) {
    uint64_t room = 0;
    if (oplog->next_file != NULL) {
        return 0;
    }
    int status = next_make(oplog, &oplog->next_file, &room);
    atomic_store(&oplog->next_room, room);
    return status;
}

static int next_write_header(struct oplog *oplog, const struct history_origin *origin,
                             uint64_t first) {
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES];
    struct segment_header header = {
        .history = origin->history,
        .parent = origin->parent,
        .begin = origin->begin,
        .first = first,
    };
    memcpy(header.node_id, oplog->plan.node_id, OPLOG_NODE_ID_BYTES);
    segment_header_write(bytes, &header);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    return oplog->plan.disk->write(oplog->next_file, &part, 1, 0);
}

static int next_rename(const struct oplog *oplog, const struct history_origin *origin,
                       uint64_t first) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, (struct segment_name){
                                 .first = first,
                                 .epoch = origin->history.epoch,
                             });
    const struct disk *disk = oplog->plan.disk;
    return disk->rename(disk->context, NEXT_SEGMENT_NAME, name);
}

/* With the mutex: the next file, which has its name now, is the one to write to. */
static void next_enter(struct oplog *oplog, uint64_t first) {
    oplog->file = oplog->next_file;
    oplog->file_first = first;
    oplog->file_room = atomic_exchange(&oplog->next_room, 0);
    oplog->next_file = NULL;
    oplog->next_was_tried = false;
    oplog->names_changed = true;
    oplog->must_renew = false;
    const struct segment_record *last =
        LIST_ENTRY(oplog->segments.previous, struct segment_record, link);
    uint64_t epoch = oplog->writing.history.epoch;
    /* After a failed sync, or an opening where nothing was behind it, it may have taken the place
     * of one with that name. */
    if (list_is_empty(&oplog->segments) || last->name.first != first || last->name.epoch != epoch) {
        struct segment_record *record = memory_alloc(sizeof(*record));
        *record = (struct segment_record){.name = {.first = first, .epoch = epoch}};
        list_push_back(&oplog->segments, &record->link);
        oplog->segments_count++;
    }
}

/* Without the mutex, by who has set is_writing. */
static int next_begin(struct oplog *oplog, uint64_t first) {
    int status = next_ensure(oplog);
    status = status != 0 ? status : next_write_header(oplog, &oplog->writing, first);
    return status != 0 ? status : next_rename(oplog, &oplog->writing, first);
}

/* As next_begin(), durable, and in that history. */
static int next_begin_durably(struct oplog *oplog, const struct history_origin *origin,
                              uint64_t first) {
    const struct disk *disk = oplog->plan.disk;
    int status = next_ensure(oplog);
    status = status != 0 ? status : next_write_header(oplog, origin, first);
    status = status != 0 ? status : disk->sync(oplog->next_file);
    status = status != 0 ? status : next_rename(oplog, origin, first);
    return status != 0 ? status : disk->sync_names(disk->context);
}

int writer_begin(struct oplog *oplog) {
    uint64_t first = oplog->plan.begin;
    int status = next_begin_durably(oplog, &oplog->writing, first);
    if (status != 0) {
        if (oplog->next_file != NULL) {
            next_drop(oplog);
        }
        return status;
    }
    next_enter(oplog, first);
    oplog->names_changed = false;
    return 0;
}

static void segment_leave(struct oplog *oplog) {
    struct full_segment *full = memory_alloc(sizeof(*full));
    full->file = oplog->file;
    full->size = segment_offset(oplog->file_first,
                                atomic_load_explicit(&oplog->written, memory_order_relaxed));
    list_push_back(&oplog->full, &full->link);
    oplog->file = NULL;
}

/* ---- after a failed sync ---- */

/* The oldest segment that begins behind `first`. The newer ones go on where the new one is left,
 * until it is their turn: whenever the process ends, all is there. With the mutex. */
static struct segment_record *superseded_find(const struct oplog *oplog, uint64_t first) {
    LIST_FOR_EACH(link, &oplog->segments) {
        struct segment_record *record = LIST_ENTRY(link, struct segment_record, link);
        if (record->name.first > first) {
            return record;
        }
    }
    return NULL;
}

/* Removes what the segment that begins at `first` takes the place of. Without the mutex. */
static int superseded_remove(struct oplog *oplog, uint64_t first) {
    const struct disk *disk = oplog->plan.disk;
    int status = 0;
    pthread_mutex_lock(&oplog->mutex);
    for (struct segment_record *record;
         status == 0 && (record = superseded_find(oplog, first)) != NULL;) {
        char name[SEGMENT_NAME_BYTES];
        segment_name_write(name, record->name);
        pthread_mutex_unlock(&oplog->mutex);
        status = disk->remove(disk->context, name);
        pthread_mutex_lock(&oplog->mutex);
        if (status == 0 || status == -ENOENT) {
            status = 0;
            list_remove(&record->link);
            oplog->segments_count--;
            memory_free(record);
        }
    }
    pthread_mutex_unlock(&oplog->mutex);
    return status;
}

static int rewrite_unsynced(struct oplog *oplog, uint64_t first) {
    int status = next_ensure(oplog);
    status = status != 0 ? status : next_write_header(oplog, &oplog->writing, first);
    struct list *link = oplog->unsynced.next;
    while (status == 0 && link != &oplog->unsynced) {
        size_t count = frames_at_once(&oplog->unsynced, link, 0);
        status = writer_write_frames(oplog, oplog->next_file, first, link, count);
        for (size_t i = 0; i < count; i++) {
            link = link->next;
        }
    }
    /* It may take the place of the history's first segment, which is always durable. */
    status = status != 0 ? status : oplog->plan.disk->sync(oplog->next_file);
    /* The old segments go last: until then they may be all that outlives the process. */
    status = status != 0 ? status : next_rename(oplog, &oplog->writing, first);
    return status != 0 ? status : superseded_remove(oplog, first);
}

static void files_drop(struct oplog *oplog) {
    for (struct list *link; (link = list_pop_front(&oplog->full)) != NULL;) {
        struct full_segment *full = LIST_ENTRY(link, struct full_segment, link);
        oplog->plan.disk->close(full->file);
        memory_free(full);
    }
    if (oplog->file != NULL) {
        oplog->plan.disk->close(oplog->file);
        oplog->file = NULL;
    }
}

/* With the mutex, which is let go meanwhile: a new segment for all that no sync has covered. */
static void rebuild(struct oplog *oplog) {
    oplog->is_writing = true;
    files_drop(oplog);
    uint64_t first = atomic_load(&oplog->synced);
    pthread_mutex_unlock(&oplog->mutex);
    int status = rewrite_unsynced(oplog, first);
    pthread_mutex_lock(&oplog->mutex);
    oplog->is_writing = false;
    if (status != 0) {
        if (oplog->next_file != NULL) {
            next_drop(oplog);
        }
        written_failed(oplog, status);
        return;
    }
    next_enter(oplog, first);
    oplog->must_rebuild = false;
    oplog->write_error = 0;
    pthread_cond_signal(&oplog->syncer_wake);
}

/* ---- turns ---- */

static const struct history_origin *first_turn(const struct oplog *oplog) {
    return list_is_empty(&oplog->turns)
               ? NULL
               : &LIST_ENTRY(oplog->turns.next, struct pending_turn, link)->origin;
}

/* All before the next history is written. */
static bool turn_is_next(const struct oplog *oplog) {
    const struct history_origin *origin = first_turn(oplog);
    return origin != NULL &&
           origin->begin == atomic_load_explicit(&oplog->written, memory_order_relaxed);
}

/* And synced, names included. */
static bool turn_is_due(const struct oplog *oplog) {
    return turn_is_next(oplog) && !oplog->is_syncing && !oplog->names_changed &&
           list_is_empty(&oplog->full) && list_is_empty(&oplog->unsynced);
}

/* With the mutex, which is let go meanwhile. */
static void turn_enter(struct oplog *oplog) {
    struct pending_turn *turn = LIST_ENTRY(oplog->turns.next, struct pending_turn, link);
    const struct history_origin *origin = &turn->origin;
    oplog->is_writing = true;
    pthread_mutex_unlock(&oplog->mutex);
    int status = next_begin_durably(oplog, origin, origin->begin);
    pthread_mutex_lock(&oplog->mutex);
    oplog->is_writing = false;
    if (status != 0) {
        if (oplog->next_file != NULL) {
            next_drop(oplog);
        }
        written_failed(oplog, status);
        return;
    }
    if (oplog->file != NULL) {
        segment_leave(oplog);
    }
    oplog->writing = *origin;
    next_enter(oplog, origin->begin);
    oplog->names_changed = false;
    oplog->write_error = 0;
    list_remove(&turn->link);
    memory_free(turn);
    pthread_cond_broadcast(&oplog->settled);
    pthread_cond_signal(&oplog->syncer_wake);
}

/* ---- the thread ---- */

static bool may_write(const struct oplog *oplog) {
    return !list_is_empty(&oplog->pending) && !turn_is_next(oplog) &&
           oplog->unsynced_bytes < OPLOG_UNSYNCED_BYTES_MAX;
}

/* Where the segment that is written to ends at the latest. */
static uint64_t position_max(const struct oplog *oplog) {
    uint64_t full =
        oplog->file_first + atomic_load_explicit(&oplog->segment_bytes, memory_order_relaxed);
    const struct history_origin *origin = first_turn(oplog);
    return origin != NULL && origin->begin < full ? origin->begin : full;
}

/* With the mutex, which is let go meanwhile: one write of what is pending. */
static void write_pending(struct oplog *oplog) {
    oplog->is_writing = true;
    uint64_t first = LIST_ENTRY(oplog->pending.next, struct held_frame, link)->position;
    if (oplog->file != NULL && segment_is_full(oplog, first)) {
        segment_leave(oplog);
    }
    int status = 0;
    if (oplog->file == NULL) {
        pthread_mutex_unlock(&oplog->mutex);
        status = next_begin(oplog, first);
        pthread_mutex_lock(&oplog->mutex);
        if (status == 0) {
            next_enter(oplog, first);
        }
    }
    size_t count = 0;
    if (status == 0) {
        struct list *link = oplog->pending.next;
        count = frames_at_once(&oplog->pending, link, position_max(oplog));
        pthread_mutex_unlock(&oplog->mutex);
        status = writer_write_frames(oplog, oplog->file, oplog->file_first, link, count);
        pthread_mutex_lock(&oplog->mutex);
    }
    oplog->is_writing = false;
    writer_written(oplog, count, status);
}

static void make_next_ahead(struct oplog *oplog) {
    oplog->next_was_tried = true;
    pthread_mutex_unlock(&oplog->mutex);
    struct disk_file *file = NULL;
    uint64_t room = 0;
    int status = next_make(oplog, &file, &room);
    pthread_mutex_lock(&oplog->mutex);
    oplog->next_file = file;
    atomic_store(&oplog->next_room, room);
    if (status != 0) {
        log_verbose("The log's next segment cannot be made yet: %s", strerror(-status));
    }
}

/* ---- room ---- */

/* Without the mutex, by who has set is_writing. Room that cannot be let go stays. */
static void room_cut(const struct oplog *oplog, struct disk_file *file, uint64_t *room,
                     uint64_t size) {
    if (file != NULL && *room > size && oplog->plan.disk->truncate(file, size) == 0) {
        *room = size;
    }
}

/* With the mutex, which is let go meanwhile. */
static void room_fit(struct oplog *oplog) {
    uint64_t size = OPLOG_SEGMENT_HEADER_BYTES +
                    atomic_load_explicit(&oplog->segment_bytes, memory_order_relaxed);
    uint64_t used = segment_offset(oplog->file_first,
                                   atomic_load_explicit(&oplog->written, memory_order_relaxed));
    uint64_t file_room = oplog->file_room;
    uint64_t next_room = atomic_load(&oplog->next_room);
    oplog->must_fit = false;
    oplog->is_writing = true;
    pthread_mutex_unlock(&oplog->mutex);
    room_cut(oplog, oplog->file, &file_room, used > size ? used : size);
    room_cut(oplog, oplog->next_file, &next_room, size);
    pthread_mutex_lock(&oplog->mutex);
    oplog->is_writing = false;
    oplog->file_room = file_room;
    atomic_store(&oplog->next_room, next_room);
}

static bool renew_is_due(const struct oplog *oplog) {
    uint64_t written = atomic_load_explicit(&oplog->written, memory_order_relaxed);
    return oplog->must_renew && list_is_empty(&oplog->turns) && oplog->file != NULL &&
           written > oplog->file_first && segment_is_full(oplog, written);
}

/* With the mutex, which is let go meanwhile. */
static void renew(struct oplog *oplog) {
    uint64_t first = atomic_load_explicit(&oplog->written, memory_order_relaxed);
    oplog->must_renew = false;
    oplog->is_writing = true;
    segment_leave(oplog);
    pthread_mutex_unlock(&oplog->mutex);
    int status = next_begin(oplog, first);
    pthread_mutex_lock(&oplog->mutex);
    oplog->is_writing = false;
    if (status == 0) {
        next_enter(oplog, first);
    } else {
        log_verbose("The log's next segment cannot be begun yet: %s", strerror(-status));
    }
    pthread_cond_signal(&oplog->syncer_wake);
}

bool writer_step(struct oplog *oplog) {
    if (oplog->is_writing) {
        return false;
    }
    if (oplog->must_rebuild) {
        if (oplog->is_syncing) {
            return false;
        }
        rebuild(oplog);
    } else if (turn_is_due(oplog)) {
        turn_enter(oplog);
    } else if (may_write(oplog)) {
        write_pending(oplog);
    } else if (oplog->must_fit) {
        room_fit(oplog);
        return true;
    } else if (renew_is_due(oplog)) {
        renew(oplog);
        return true;
    } else if (wants_next(oplog)) {
        make_next_ahead(oplog);
        return true;
    } else {
        return false;
    }
    oplog_error_update(oplog);
    oplog_tell_progress(oplog);
    return true;
}

void *writer_main(void *context) {
    struct oplog *oplog = context;
    signals_block_all();
    pthread_mutex_lock(&oplog->mutex);
    while (!oplog->is_stopping) {
        if (oplog->write_error != 0 && clock_monotonic_us() < oplog->retry_at_us) {
            oplog_wait_until(oplog, &oplog->writer_wake, oplog->retry_at_us);
        } else if (!writer_step(oplog)) {
            pthread_cond_wait(&oplog->writer_wake, &oplog->mutex);
        }
    }
    pthread_mutex_unlock(&oplog->mutex);
    return NULL;
}
