#define _GNU_SOURCE 1

#include "oplog/oplog.h"

#include "base/assertion.h"
#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "oplog/engine.h"
#include "oplog/segments.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* ---- what the steps share ---- */

bool oplog_error_update(struct oplog *oplog) {
    int error = oplog->write_error != 0 ? oplog->write_error : oplog->sync_error;
    int before = atomic_exchange(&oplog->error, error);
    if (before != 0 && error == 0) {
        log_warning("The log can be written and synced again.");
    }
    if (before == 0 && error != 0) {
        pthread_cond_broadcast(&oplog->settled);
    }
    return (before == 0) != (error == 0);
}

void oplog_wait_until(struct oplog *oplog, pthread_cond_t *condition, int64_t until_us) {
    if (until_us == INT64_MAX) {
        pthread_cond_wait(condition, &oplog->mutex);
        return;
    }
    struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    pthread_cond_timedwait(condition, &oplog->mutex, &until);
}

void oplog_tell_progress(struct oplog *oplog) {
    pthread_mutex_unlock(&oplog->mutex);
    oplog->plan.progress(oplog->plan.context);
    pthread_mutex_lock(&oplog->mutex);
}

/* ---- appending ---- */

/* Whether the file is idle, and the frame that was appended just now may go there at once. */
static bool may_write_directly(const struct oplog *oplog, const struct held_frame *frame) {
    return oplog->pending.next == &frame->link && list_is_empty(&oplog->turns) &&
           !oplog->is_writing && !oplog->is_syncing && !oplog->must_rebuild &&
           !segment_is_full(oplog, frame->position) &&
           oplog->unsynced_bytes < OPLOG_UNSYNCED_BYTES_MAX &&
           atomic_load_explicit(&oplog->error, memory_order_relaxed) == 0;
}

/* With the mutex: gives the frame its place in the order. */
static struct held_frame *append_pending(struct oplog *oplog, struct oplog_batch *batch,
                                         struct frame_header *header) {
    struct held_frame *frame = held_frame_take(oplog);
    struct oplog_batch room = frame->content;
    frame->content = *batch;
    *batch = room;
    frame->bytes = OPLOG_FRAME_HEADER_BYTES + header->length;
    frame->held_bytes = sizeof(*frame) + oplog_batch_held_bytes(&frame->content);
    frame->position = atomic_load_explicit(&oplog->end, memory_order_relaxed);
    frame->time_ms = header->time_ms;
    header->position = frame->position;
    header->synced = atomic_load_explicit(&oplog->synced, memory_order_relaxed);
    frame_header_write(frame->header, header, &oplog->origin.history);
    list_push_back(&oplog->pending, &frame->link);
    atomic_fetch_add_explicit(&oplog->pending_bytes, frame->held_bytes, memory_order_relaxed);
    atomic_store_explicit(&oplog->end, held_frame_end(frame), memory_order_release);
    oplog->appends++;
    return frame;
}

/* With the mutex, which it lets go: appends, and writes at once if it may. Answers the position
 * behind it. */
static uint64_t append_unlock(struct oplog *oplog, struct oplog_batch *batch,
                              struct frame_header *header) {
    bool is_news = false;
    struct held_frame *frame = append_pending(oplog, batch, header);
    uint64_t end = held_frame_end(frame);
    if (may_write_directly(oplog, frame)) {
        oplog->is_writing = true;
        pthread_mutex_unlock(&oplog->mutex);
        int status = writer_write_frames(oplog, oplog->file, oplog->file_first, &frame->link, 1);
        pthread_mutex_lock(&oplog->mutex);
        oplog->is_writing = false;
        writer_written(oplog, 1, status);
        is_news = oplog_error_update(oplog);
    } else {
        oplog->appends_handed_over++;
        pthread_cond_signal(&oplog->writer_wake);
    }
    pthread_mutex_unlock(&oplog->mutex);
    if (is_news) {
        oplog->plan.progress(oplog->plan.context);
    }
    return end;
}

static struct frame_header header_of(const struct oplog_batch *batch, int64_t time_ms) {
    return (struct frame_header){
        .length = oplog_batch_bytes(batch),
        .time_ms = time_ms,
        .checksum = oplog_batch_checksum(batch),
    };
}

uint64_t oplog_append(struct oplog *oplog, struct oplog_batch *batch, int64_t time_ms) {
    struct frame_header header = header_of(batch, time_ms);
    ASSERT(header.length > 0);
    pthread_mutex_lock(&oplog->mutex);
    return append_unlock(oplog, batch, &header);
}

enum oplog_received oplog_append_frame(struct oplog *oplog,
                                       const struct oplog_received_frame *received,
                                       struct oplog_batch *batch) {
    struct frame_header header = header_of(batch, received->time_ms);
    if (header.length == 0 ||
        header.length > UINT64_MAX - OPLOG_FRAME_HEADER_BYTES - received->position ||
        (received->has_checksum && received->checksum != header.checksum)) {
        return OPLOG_NOT_CONTENT;
    }
    pthread_mutex_lock(&oplog->mutex);
    if (received->position != atomic_load_explicit(&oplog->end, memory_order_relaxed)) {
        pthread_mutex_unlock(&oplog->mutex);
        return OPLOG_NOT_AT_END;
    }
    append_unlock(oplog, batch, &header);
    return OPLOG_RECEIVED;
}

/* ---- histories ---- */

/* With the mutex. */
static void turn_push(struct oplog *oplog, const struct history_origin *origin) {
    struct pending_turn *turn = memory_alloc(sizeof(*turn));
    turn->origin = *origin;
    list_push_back(&oplog->turns, &turn->link);
    oplog->origin = *origin;
    if (oplog->sync_wanted < origin->begin) {
        oplog->sync_wanted = origin->begin;
    }
    pthread_cond_signal(&oplog->writer_wake);
    pthread_cond_signal(&oplog->syncer_wake);
}

enum oplog_received oplog_turn(struct oplog *oplog, const struct history_origin *origin) {
    enum oplog_received answer = OPLOG_RECEIVED;
    pthread_mutex_lock(&oplog->mutex);
    if (!history_equal(&origin->parent, &oplog->origin.history) ||
        origin->history.epoch <= oplog->origin.history.epoch ||
        origin->history.epoch == UINT64_MAX) {
        answer = OPLOG_NOT_A_CHILD;
    } else if (origin->begin != atomic_load_explicit(&oplog->end, memory_order_relaxed)) {
        answer = OPLOG_NOT_AT_END;
    } else {
        turn_push(oplog, origin);
    }
    pthread_mutex_unlock(&oplog->mutex);
    return answer;
}

struct history_origin oplog_fork(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    struct history_origin origin = {
        .history = history_fork(&oplog->origin.history),
        .parent = oplog->origin.history,
        .begin = atomic_load_explicit(&oplog->end, memory_order_relaxed),
    };
    turn_push(oplog, &origin);
    pthread_mutex_unlock(&oplog->mutex);
    return origin;
}

struct history_origin oplog_origin(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    struct history_origin origin = oplog->origin;
    pthread_mutex_unlock(&oplog->mutex);
    return origin;
}

/* ---- opening ---- */

/* Whether the log that was found may be gone on from. */
static bool may_go_on(const struct oplog_plan *plan, const struct segments *segments) {
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment_name *name = &segments->found[i].name;
        if (name->first > plan->begin || name->epoch > plan->history.epoch ||
            (name->epoch == plan->history.epoch && !plan->is_continued)) {
            return false;
        }
    }
    if (!plan->is_continued || segments->count == 0) {
        return true;
    }
    const struct segment_found *last = &segments->found[segments->count - 1];
    return last->problem == NULL && history_equal(&last->header.history, &plan->history);
}

static void segments_keep(struct oplog *oplog, const struct segments *segments) {
    for (size_t i = 0; i < segments->count; i++) {
        struct segment_record *record = memory_alloc(sizeof(*record));
        record->name = segments->found[i].name;
        record->time_ms = segments->found[i].time_ms;
        list_push_back(&oplog->segments, &record->link);
        oplog->segments_count++;
    }
}

static int segments_begin(struct oplog *oplog) {
    const struct disk *disk = oplog->plan.disk;
    struct segments segments = SEGMENTS_EMPTY;
    int status = disk->lock(disk->context);
    status = status != 0 ? status : segments_read(&segments, disk);
    if (status == 0 && !may_go_on(&oplog->plan, &segments)) {
        status = -EEXIST;
    }
    if (status == 0) {
        segments_keep(oplog, &segments);
        status = writer_begin(oplog);
    }
    segments_free(&segments);
    return status;
}

static void segments_forget(struct oplog *oplog) {
    for (struct list *link; (link = list_pop_front(&oplog->segments)) != NULL;) {
        memory_free(LIST_ENTRY(link, struct segment_record, link));
    }
}

static void conditions_init(struct oplog *oplog) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&oplog->writer_wake, &attributes);
    pthread_cond_init(&oplog->syncer_wake, &attributes);
    pthread_cond_init(&oplog->settled, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&oplog->mutex, NULL);
}

static void threads_start(struct oplog *oplog) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&oplog->writer, NULL, writer_main, oplog);
    error = error != 0 ? error : pthread_create(&oplog->syncer, NULL, syncer_main, oplog);
    ASSERT(error == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(oplog->writer, "log-writer");
    pthread_setname_np(oplog->syncer, "log-syncer");
}

static void state_init(struct oplog *oplog) {
    const struct oplog_plan *plan = &oplog->plan;
    list_init(&oplog->turns);
    list_init(&oplog->pending);
    list_init(&oplog->unsynced);
    list_init(&oplog->spare);
    list_init(&oplog->full);
    list_init(&oplog->segments);
    atomic_init(&oplog->end, plan->begin);
    atomic_init(&oplog->written, plan->begin);
    atomic_init(&oplog->synced, plan->begin);
    atomic_init(&oplog->sync, (int)plan->sync);
    atomic_init(&oplog->segment_bytes, plan->segment_bytes);
}

struct oplog *oplog_open(const struct oplog_plan *plan, int *error) {
    ASSERT(!history_is_none(&plan->history) && plan->history.epoch > plan->parent.epoch);
    ASSERT(!plan->is_continued || plan->history_begin <= plan->begin);
    struct oplog *oplog = memory_alloc_zeroed(sizeof(*oplog));
    oplog->plan = *plan;
    if (oplog->plan.segment_bytes == 0) {
        oplog->plan.segment_bytes = OPLOG_SEGMENT_BYTES;
    }
    oplog->origin = (struct history_origin){
        .history = plan->history,
        .parent = plan->parent,
        .begin = plan->is_continued ? plan->history_begin : plan->begin,
    };
    oplog->writing = oplog->origin;
    state_init(oplog);
    *error = segments_begin(oplog);
    if (*error != 0) {
        segments_forget(oplog);
        memory_free(oplog);
        return NULL;
    }
    oplog->sync_began_us = clock_monotonic_us();
    conditions_init(oplog);
    if (!plan->is_stepwise) {
        threads_start(oplog);
    }
    return oplog;
}

/* ---- closing ---- */

static void threads_stop(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    oplog->is_stopping = true;
    pthread_cond_signal(&oplog->writer_wake);
    pthread_cond_signal(&oplog->syncer_wake);
    pthread_mutex_unlock(&oplog->mutex);
    if (!oplog->plan.is_stepwise) {
        pthread_join(oplog->writer, NULL);
        pthread_join(oplog->syncer, NULL);
    }
}

/* Writes and syncs what is left, until all is done or something fails. */
static int finish(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    uint64_t failures_max = oplog->failures + 1;
    while (oplog->failures < failures_max && (writer_step(oplog) || syncer_step(oplog))) {
    }
    bool is_done =
        atomic_load(&oplog->synced) == atomic_load(&oplog->end) && list_is_empty(&oplog->turns);
    int status = is_done ? 0 : -(oplog->last_error != 0 ? oplog->last_error : EIO);
    pthread_mutex_unlock(&oplog->mutex);
    return status;
}

static void turns_forget(struct oplog *oplog) {
    for (struct list *link; (link = list_pop_front(&oplog->turns)) != NULL;) {
        memory_free(LIST_ENTRY(link, struct pending_turn, link));
    }
}

static void files_close(struct oplog *oplog) {
    const struct disk *disk = oplog->plan.disk;
    for (struct list *link; (link = list_pop_front(&oplog->full)) != NULL;) {
        struct full_segment *full = LIST_ENTRY(link, struct full_segment, link);
        disk->close(full->file);
        memory_free(full);
    }
    if (oplog->file != NULL) {
        disk->truncate(oplog->file,
                       segment_offset(oplog->file_first, atomic_load(&oplog->written)));
        disk->close(oplog->file);
    }
    if (oplog->next_file != NULL) {
        disk->close(oplog->next_file);
        disk->remove(disk->context, NEXT_SEGMENT_NAME);
    }
}

int oplog_close(struct oplog *oplog) {
    threads_stop(oplog);
    int status = finish(oplog);
    files_close(oplog);
    segments_forget(oplog);
    turns_forget(oplog);
    held_frames_free(&oplog->pending);
    held_frames_free(&oplog->unsynced);
    held_frames_free(&oplog->spare);
    pthread_mutex_destroy(&oplog->mutex);
    pthread_cond_destroy(&oplog->writer_wake);
    pthread_cond_destroy(&oplog->syncer_wake);
    pthread_cond_destroy(&oplog->settled);
    memory_free(oplog);
    return status;
}

/* ---- asking ---- */

uint64_t oplog_end_position(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->end, memory_order_acquire);
}

uint64_t oplog_written_position(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->written, memory_order_acquire);
}

uint64_t oplog_synced_position(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->synced, memory_order_acquire);
}

bool oplog_syncs_always(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->sync, memory_order_relaxed) == OPLOG_SYNC_ALWAYS;
}

uint64_t oplog_safe_position(const struct oplog *oplog) {
    return oplog_syncs_always(oplog) ? oplog_synced_position(oplog) : oplog_written_position(oplog);
}

int oplog_error(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->error, memory_order_relaxed);
}

bool oplog_is_full(const struct oplog *oplog) {
    return atomic_load_explicit(&oplog->pending_bytes, memory_order_relaxed) >=
           OPLOG_PENDING_BYTES_MAX;
}

static uint64_t list_count(const struct list *list) {
    uint64_t count = 0;
    LIST_FOR_EACH(link, list) {
        count++;
    }
    return count;
}

static uint64_t first_position(const struct oplog *oplog) {
    return LIST_ENTRY(oplog->segments.next, struct segment_record, link)->name.first;
}

uint64_t oplog_disk_bytes(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    uint64_t written = atomic_load(&oplog->written);
    uint64_t bytes =
        written - first_position(oplog) + oplog->segments_count * OPLOG_SEGMENT_HEADER_BYTES;
    if (oplog->file != NULL) {
        uint64_t used = segment_offset(oplog->file_first, written);
        bytes += oplog->file_room > used ? oplog->file_room - used : 0;
    }
    bytes += atomic_load(&oplog->next_room);
    pthread_mutex_unlock(&oplog->mutex);
    return bytes;
}

void oplog_figures_read(struct oplog *oplog, struct oplog_figures *figures) {
    pthread_mutex_lock(&oplog->mutex);
    uint64_t segments = oplog->segments_count;
    *figures = (struct oplog_figures){
        .start = first_position(oplog),
        .end = atomic_load(&oplog->end),
        .written = atomic_load(&oplog->written),
        .synced = atomic_load(&oplog->synced),
        .pending_bytes = atomic_load(&oplog->pending_bytes),
        .unsynced_bytes = oplog->unsynced_bytes,
        .spare_bytes = oplog->spare_bytes,
        .segments = segments,
        .turns_pending = list_count(&oplog->turns),
        .appends = oplog->appends,
        .appends_handed_over = oplog->appends_handed_over,
        .syncs = oplog->syncs,
        .syncs_delayed = oplog->syncs_delayed,
        .failures = oplog->failures,
        .last_sync_ms = oplog->last_sync_ms,
        .last_error = oplog->last_error,
    };
    figures->size_bytes = figures->written - figures->start + segments * OPLOG_SEGMENT_HEADER_BYTES;
    pthread_mutex_unlock(&oplog->mutex);
}

/* ---- asking for more ---- */

void oplog_set_sync(struct oplog *oplog, enum oplog_sync sync) {
    pthread_mutex_lock(&oplog->mutex);
    atomic_store(&oplog->sync, (int)sync);
    pthread_cond_signal(&oplog->syncer_wake);
    pthread_mutex_unlock(&oplog->mutex);
    oplog->plan.progress(oplog->plan.context);
}

bool oplog_set_segment_bytes(struct oplog *oplog, uint64_t bytes) {
    pthread_mutex_lock(&oplog->mutex);
    bool is_new = atomic_exchange(&oplog->segment_bytes, bytes) != bytes;
    if (is_new) {
        oplog->must_fit = true;
        pthread_cond_signal(&oplog->writer_wake);
    }
    pthread_mutex_unlock(&oplog->mutex);
    return is_new;
}

void oplog_renew(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    oplog->must_renew = segment_is_full(oplog, atomic_load(&oplog->written));
    pthread_cond_signal(&oplog->writer_wake);
    pthread_mutex_unlock(&oplog->mutex);
}

/* With the mutex: all frames before the position, and all turns up to it. */
static bool is_durable(const struct oplog *oplog, uint64_t position) {
    return atomic_load(&oplog->synced) >= position &&
           (list_is_empty(&oplog->turns) ||
            LIST_ENTRY(oplog->turns.next, struct pending_turn, link)->origin.begin > position);
}

int oplog_sync_wait(struct oplog *oplog) {
    pthread_mutex_lock(&oplog->mutex);
    uint64_t wanted = atomic_load(&oplog->end);
    if (oplog->sync_wanted < wanted) {
        oplog->sync_wanted = wanted;
    }
    while (!is_durable(oplog, wanted) && atomic_load(&oplog->error) == 0) {
        if (oplog->plan.is_stepwise) {
            writer_step(oplog);
            syncer_step(oplog);
        } else {
            pthread_cond_signal(&oplog->writer_wake);
            pthread_cond_signal(&oplog->syncer_wake);
            pthread_cond_wait(&oplog->settled, &oplog->mutex);
        }
    }
    int status = is_durable(oplog, wanted) ? 0 : -atomic_load(&oplog->error);
    pthread_mutex_unlock(&oplog->mutex);
    return status;
}

/* Whether the segment before this one is of no use to anybody. A segment that is not durable needs
 * the one before: if power fails, nothing else tells the history that it belonged to. */
static bool is_enough(const struct oplog *oplog, const struct segment_record *record,
                      uint64_t position) {
    uint64_t first = record->name.first;
    bool is_known = first <= oplog->durable_first || first == oplog->plan.begin ||
                    first == oplog->writing.begin ||
                    record->name.epoch < oplog->writing.history.epoch;
    return first <= position && is_known;
}

/* A segment that begins at the position stays: where histories without a frame follow one another,
 * it may be all that tells of the one that the position is of. */
static bool is_before(const struct segment_record *record, uint64_t position) {
    return record->name.first < position;
}

/* Takes the oldest record, if it may go. */
static struct segment_record *trim_take(struct oplog *oplog, uint64_t position) {
    struct segment_record *oldest = NULL;
    pthread_mutex_lock(&oplog->mutex);
    struct list *first = oplog->segments.next;
    if (first->next != &oplog->segments &&
        is_before(LIST_ENTRY(first, struct segment_record, link), position) &&
        is_enough(oplog, LIST_ENTRY(first->next, struct segment_record, link), position)) {
        oldest = LIST_ENTRY(first, struct segment_record, link);
        list_remove(first);
        oplog->segments_count--;
    }
    pthread_mutex_unlock(&oplog->mutex);
    return oldest;
}

/* The names are synced one by one: if only some of the removals outlived a loss of power, the log
 * would have a hole. */
int oplog_trim(struct oplog *oplog, uint64_t position) {
    const struct disk *disk = oplog->plan.disk;
    int removed = 0;
    for (struct segment_record *record; (record = trim_take(oplog, position)) != NULL;) {
        char name[SEGMENT_NAME_BYTES];
        segment_name_write(name, record->name);
        int status = disk->remove(disk->context, name);
        status = status == -ENOENT ? 0 : status;
        bool is_removed = status == 0;
        status = status != 0 ? status : disk->sync_names(disk->context);
        if (!is_removed) {
            pthread_mutex_lock(&oplog->mutex);
            list_push_front(&oplog->segments, &record->link);
            oplog->segments_count++;
            pthread_mutex_unlock(&oplog->mutex);
        } else {
            memory_free(record);
            removed++;
        }
        if (status != 0) {
            break;
        }
    }
    return removed;
}

struct oplog_segment *oplog_segments(struct oplog *oplog, size_t *count) {
    pthread_mutex_lock(&oplog->mutex);
    struct oplog_segment *segments =
        memory_alloc(oplog->segments_count * sizeof(struct oplog_segment));
    *count = 0;
    LIST_FOR_EACH(link, &oplog->segments) {
        const struct segment_record *record = LIST_ENTRY(link, struct segment_record, link);
        segments[(*count)++] =
            (struct oplog_segment){.first = record->name.first, .time_ms = record->time_ms};
    }
    pthread_mutex_unlock(&oplog->mutex);
    return segments;
}

/* ---- steps ---- */

bool oplog_step_write(struct oplog *oplog) {
    ASSERT(oplog->plan.is_stepwise);
    pthread_mutex_lock(&oplog->mutex);
    bool has_done = writer_step(oplog);
    pthread_mutex_unlock(&oplog->mutex);
    return has_done;
}

bool oplog_step_sync(struct oplog *oplog) {
    ASSERT(oplog->plan.is_stepwise);
    pthread_mutex_lock(&oplog->mutex);
    bool has_done = syncer_step(oplog);
    pthread_mutex_unlock(&oplog->mutex);
    return has_done;
}
