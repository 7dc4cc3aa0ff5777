#include "oplog/recovery.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "oplog/segments.h"

#include <errno.h>
#include <sys/uio.h>

/* ---- cutting ---- */

static int segment_remove(const struct disk *disk, const struct segment_found *found) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, found->name);
    return disk->remove(disk->context, name);
}

static int segment_cut(const struct disk *disk, const struct segment_found *found,
                       uint64_t position) {
    uint64_t size = segment_offset(found->name.first, position);
    if (found->size <= size) {
        return 0;
    }
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, found->name);
    int error = 0;
    struct disk_file *file = disk->open(disk->context, name, false, &error);
    if (file == NULL) {
        return error;
    }
    int status = disk->truncate(file, size);
    status = status != 0 ? status : disk->sync(file);
    disk->close(file);
    return status;
}

/* The newest go first, each for good before the next: if power fails meanwhile, the log has no
 * hole. */
static int segments_remove_from(const struct disk *disk, const struct segments *segments,
                                size_t index) {
    for (size_t i = segments->count; i > index; i--) {
        int status = segment_remove(disk, &segments->found[i - 1]);
        status = status != 0 ? status : disk->sync_names(disk->context);
        if (status != 0) {
            return status;
        }
    }
    return 0;
}

/* An empty segment that begins at the position stays: it is what is known of its history. */
static bool stands_behind(const struct segment_found *found, uint64_t position) {
    return found->name.first > position ||
           (found->name.first == position && found->problem != NULL);
}

int oplog_cut(const struct disk *disk, uint64_t position) {
    struct segments segments = SEGMENTS_EMPTY;
    int status = segments_read(&segments, disk);
    if (status != 0) {
        return status;
    }
    size_t kept = segments.count;
    while (kept > 0 && stands_behind(&segments.found[kept - 1], position)) {
        kept--;
    }
    status = segments_remove_from(disk, &segments, kept);
    if (status == 0 && kept > 0) {
        status = segment_cut(disk, &segments.found[kept - 1], position);
    }
    segments_free(&segments);
    return status;
}

/* The oldest go first: what is left after a loss of power still knows the last history. */
int oplog_remove(const struct disk *disk) {
    struct segments segments = SEGMENTS_EMPTY;
    int status = segments_read(&segments, disk);
    for (size_t i = 0; status == 0 && i < segments.count; i++) {
        status = segment_remove(disk, &segments.found[i]);
        status = status != 0 ? status : disk->sync_names(disk->context);
    }
    segments_free(&segments);
    return status;
}

/* ---- histories ---- */

static void history_add(struct oplog_recovery *recovery, const struct history *history,
                        uint64_t begin) {
    if (recovery->histories_count > 0 &&
        history_equal(&recovery->histories[recovery->histories_count - 1].history, history)) {
        return;
    }
    recovery->histories[recovery->histories_count++] =
        (struct oplog_recovery_history){.history = *history, .begin = begin};
}

static void histories_list(struct oplog_recovery *recovery, const struct segments *segments) {
    recovery->histories =
        memory_alloc((segments->count + 1) * sizeof(struct oplog_recovery_history));
    for (size_t i = 0; i < segments->count; i++) {
        const struct segment_found *found = &segments->found[i];
        if (found->problem == NULL) {
            if (i == 0 && !history_is_none(&found->header.parent)) {
                history_add(recovery, &found->header.parent, 0);
            }
            history_add(recovery, &found->header.history, found->header.begin);
            memcpy(recovery->node_id, found->header.node_id, sizeof(recovery->node_id));
        }
    }
}

/* Whether the snapshot's end is a place of this log, or one that it had. */
static bool has_place(const struct oplog_recovery *recovery, const struct history *history,
                      uint64_t position) {
    for (size_t i = 0; i < recovery->histories_count; i++) {
        bool is_last = i + 1 == recovery->histories_count;
        if (history_equal(&recovery->histories[i].history, history)) {
            return position >= recovery->histories[i].begin &&
                   (is_last || position <= recovery->histories[i + 1].begin);
        }
    }
    return false;
}

static enum oplog_status check_place(const struct oplog_recovery_plan *plan,
                                     struct oplog_recovery *recovery) {
    bool is_whole = plan->history == NULL || history_is_none(plan->history);
    if (is_whole || has_place(recovery, plan->history, plan->from)) {
        return OPLOG_DONE;
    }
    char wanted[HISTORY_TEXT_BYTES];
    char last[HISTORY_TEXT_BYTES];
    history_format(last, &recovery->history);
    buffer_format(&recovery->report,
                  "The log does not belong to the snapshot: position %llu of history %s is none of "
                  "the log's, which has come to history %s. ",
                  (unsigned long long)plan->from, history_format(wanted, plan->history), last);
    return OPLOG_DAMAGED;
}

/* ---- reading ---- */

static enum oplog_status report_errno(struct oplog_recovery *recovery, const char *what,
                                      int status) {
    buffer_format(&recovery->report, "Cannot %s: %s. ", what, strerror(-status));
    return OPLOG_FAILED;
}

static enum oplog_status status_of(enum oplog_read read) {
    switch (read) {
    case OPLOG_READ_TORN:
        return OPLOG_TORN;
    case OPLOG_READ_DAMAGED:
        return OPLOG_DAMAGED;
    case OPLOG_READ_FAILED:
        return OPLOG_FAILED;
    default:
        return OPLOG_DONE;
    }
}

/* Gives all frames to apply(). *synced: up to which their headers say that the log was synced. */
static enum oplog_status read_all(const struct oplog_recovery_plan *plan,
                                  struct oplog_recovery *recovery, uint64_t *synced) {
    struct oplog_reader_plan reader_plan = {
        .disk = plan->disk,
        .from = plan->from,
        .to = OPLOG_READ_ALL,
        .report = &recovery->report,
    };
    struct oplog_reader *reader = NULL;
    enum oplog_read read = oplog_reader_open(&reader_plan, &reader);
    if (reader == NULL) {
        return status_of(read);
    }
    struct oplog_frame frame;
    while ((read = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        recovery->frames++;
        recovery->bytes += frame.content.length;
        if (!plan->apply(plan->context, &frame)) {
            oplog_reader_close(reader);
            return OPLOG_STOPPED;
        }
    }
    *synced = oplog_reader_synced(reader);
    recovery->end = oplog_reader_position(reader);
    recovery->bytes_cut = oplog_reader_torn_bytes(reader);
    oplog_reader_close(reader);
    return status_of(read);
}

static enum oplog_status cut_torn(const struct oplog_recovery_plan *plan,
                                  struct oplog_recovery *recovery) {
    recovery->is_torn = true;
    if (plan->is_torn_refused) {
        return OPLOG_TORN;
    }
    int status = oplog_cut(plan->disk, recovery->end);
    return status != 0 ? report_errno(recovery, "cut the torn tail", status) : OPLOG_DONE;
}

/* Writes what the file holds from the offset on anew, and syncs it. After a failed sync the kernel
 * may hold bytes that it takes for written although they are not: only a new write makes it try
 * again. */
static int file_rewrite(const struct disk *disk, struct disk_file *file, uint64_t offset) {
    char *bytes = memory_alloc(OPLOG_READ_BYTES_MIN);
    int64_t count;
    int status = 0;
    while (status == 0 && (count = disk->read(file, bytes, OPLOG_READ_BYTES_MIN, offset)) != 0) {
        if (count < 0) {
            status = (int)count;
        } else {
            struct iovec part = {.iov_base = bytes, .iov_len = (size_t)count};
            status = disk->write(file, &part, 1, offset);
            offset += (uint64_t)count;
        }
    }
    memory_free(bytes);
    return status != 0 ? status : disk->sync(file);
}

static int segment_rewrite(const struct disk *disk, const struct segment_found *found,
                           uint64_t synced) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, found->name);
    int error = 0;
    struct disk_file *file = disk->open(disk->context, name, false, &error);
    if (file == NULL) {
        return error;
    }
    uint64_t first = found->name.first;
    int status = file_rewrite(disk, file, synced > first ? segment_offset(first, synced) : 0);
    disk->close(file);
    return status;
}

/* What was read may still be in the kernel's memory only, and the header of the next history will
 * say that all before it is durable. */
static enum oplog_status make_durable(const struct oplog_recovery_plan *plan,
                                      struct oplog_recovery *recovery, uint64_t synced) {
    /* First the room behind the last frame goes: there is no use in writing zeros. */
    int status = oplog_cut(plan->disk, recovery->end);
    struct segments segments = SEGMENTS_EMPTY;
    status = status != 0 ? status : segments_read(&segments, plan->disk);
    for (size_t i = 0; status == 0 && i < segments.count; i++) {
        uint64_t end =
            i + 1 < segments.count ? segments.found[i + 1].name.first : recovery->end + 1;
        if (end > synced && end > plan->from) {
            status = segment_rewrite(plan->disk, &segments.found[i], synced);
        }
    }
    status = status != 0 ? status : plan->disk->sync_names(plan->disk->context);
    segments_free(&segments);
    return status != 0 ? report_errno(recovery, "make the log durable", status) : OPLOG_DONE;
}

/* The snapshot holds more than the log does: it had been synced before the log was. */
static enum oplog_status replace_by_snapshot(const struct oplog_recovery_plan *plan,
                                             struct oplog_recovery *recovery) {
    int status = oplog_remove(plan->disk);
    if (status != 0) {
        return report_errno(recovery, "remove a log that the snapshot covers", status);
    }
    recovery->is_behind = true;
    recovery->end = plan->from;
    recovery->history = *plan->history;
    return OPLOG_DONE;
}

static enum oplog_status look_around(const struct oplog_recovery_plan *plan,
                                     struct oplog_recovery *recovery) {
    int status = plan->disk->lock(plan->disk->context);
    if (status != 0) {
        return report_errno(recovery,
                            status == -EBUSY ? "use the log's folder, another process has it"
                                             : "lock the log's folder",
                            status);
    }
    struct segments segments = SEGMENTS_EMPTY;
    status = segments_read(&segments, plan->disk);
    if (status != 0) {
        return report_errno(recovery, "list the log's segments", status);
    }
    histories_list(recovery, &segments);
    recovery->is_found = segments.count > 0;
    recovery->first = recovery->is_found ? segments.found[0].name.first : plan->from;
    if (recovery->histories_count > 0) {
        recovery->history = recovery->histories[recovery->histories_count - 1].history;
    } else if (plan->history != NULL) {
        recovery->history = *plan->history;
    }
    segments_free(&segments);
    return OPLOG_DONE;
}

enum oplog_status oplog_recover(const struct oplog_recovery_plan *plan,
                                struct oplog_recovery *recovery) {
    ASSERT(plan->from == 0 || (plan->history != NULL && !history_is_none(plan->history)));
    *recovery = (struct oplog_recovery){.end = plan->from, .report = BUFFER_EMPTY};
    enum oplog_status status = look_around(plan, recovery);
    if (status != OPLOG_DONE || !recovery->is_found) {
        return status;
    }
    status = check_place(plan, recovery);
    if (status != OPLOG_DONE) {
        return status;
    }
    uint64_t synced = 0;
    status = read_all(plan, recovery, &synced);
    if (status == OPLOG_TORN) {
        status = cut_torn(plan, recovery);
    }
    if (status == OPLOG_DONE && recovery->end < plan->from) {
        return replace_by_snapshot(plan, recovery);
    }
    return status == OPLOG_DONE ? make_durable(plan, recovery, synced) : status;
}

void oplog_recovery_free(struct oplog_recovery *recovery) {
    buffer_free(&recovery->report);
    memory_free(recovery->histories);
    recovery->histories = NULL;
    recovery->histories_count = 0;
}
