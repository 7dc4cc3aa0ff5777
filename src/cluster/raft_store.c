#include "cluster/raft_store.h"

#include "base/memory.h"
#include "cluster/raft_store_file.h"

#include <errno.h>
#include <sys/uio.h>

#define SCRATCH_BYTES_MAX ((size_t)1024 * 1024) /* kept between calls */

/* ---- writing ---- */

static int room_make(struct raft_store *store, struct disk_file *file, uint64_t size) {
    if (size <= store->allocated) {
        return 0;
    }
    uint64_t steps = size / store->allocate_bytes + 1;
    store->allocated = steps * store->allocate_bytes;
    return store->disk->allocate(file, store->allocated);
}

static int bytes_write(const struct raft_store *store, struct disk_file *file, struct span bytes,
                       uint64_t offset) {
    struct iovec part = {.iov_base = (void *)bytes.bytes, .iov_len = bytes.length};
    return store->disk->write(file, &part, 1, offset);
}

/* The body, as a record at the end. */
static int record_write(struct raft_store *store, struct disk_file *file,
                        enum raft_record_kind kind) {
    struct raft_record record = {.offset = store->end, .durable = store->durable, .kind = kind};
    buffer_clear(&store->scratch);
    raft_record_write(&record, store->seed, buffer_span(&store->body), &store->scratch);
    buffer_clear(&store->body);
    uint64_t end = raft_record_next(&record);
    int status = room_make(store, file, end);
    status = status != 0 ? status
                         : bytes_write(store, file, buffer_span(&store->scratch), record.offset);
    store->end = end;
    return status;
}

static int step_write(struct raft_store *store, struct disk_file *file,
                      const struct raft_record_step *step, const struct raft_log *log) {
    raft_record_write_step(step, log, &store->body);
    return record_write(store, file, RAFT_RECORD_STEP);
}

static int file_sync(struct raft_store *store, struct disk_file *file) {
    store->syncs++;
    int status = store->disk->sync(file);
    if (status == 0) {
        store->durable = store->end;
    }
    return status;
}

static void scratch_shrink(struct raft_store *store) {
    if (store->scratch.capacity > SCRATCH_BYTES_MAX) {
        buffer_free(&store->scratch);
    }
    if (store->body.capacity > SCRATCH_BYTES_MAX) {
        buffer_free(&store->body);
    }
}

/* ---- a new file ---- */

/* The entries of the log, in records of some size. Term, vote and commit are only true of all. */
static int log_write(struct raft_store *store, struct disk_file *file,
                     const struct raft_record_step *last, const struct raft_log *log) {
    uint64_t index = log->base_index + 1;
    int status = 0;
    while (status == 0 && index <= raft_log_last_index(log)) {
        struct raft_record_step step = {.term = last->term, .vote = last->vote, .first = index};
        step.count =
            (uint32_t)raft_log_batch(log, index, RAFT_APPEND_ENTRIES_MAX, RAFT_APPEND_BYTES_MAX);
        status = step_write(store, file, &step, log);
        index += step.count;
    }
    return status != 0 ? status : step_write(store, file, last, log);
}

static int content_write(struct raft_store *store, struct disk_file *file,
                         const struct raft_record_step *last, const struct raft_snapshot *snapshot,
                         const struct raft_log *log) {
    int status = 0;
    if (snapshot != NULL) {
        raft_record_write_snapshot(snapshot, log, &store->body);
        status = record_write(store, file, RAFT_RECORD_SNAPSHOT);
    }
    return status != 0 ? status : log_write(store, file, last, log);
}

/* The header comes last, for it says where the base ends. */
static int header_write(struct raft_store *store, struct disk_file *file) {
    char bytes[RAFT_FILE_HEADER_BYTES];
    store->header.base = store->end;
    raft_file_header_write(bytes, &store->header);
    return bytes_write(store, file, span_of(bytes, sizeof(bytes)), 0);
}

static int file_name(const struct raft_store *store) {
    const struct disk *disk = store->disk;
    int status = disk->rename(disk->context, RAFT_STORE_TEMPORARY_NAME, RAFT_STORE_NAME);
    return status != 0 ? status : disk->sync_names(disk->context);
}

static struct disk_file *temporary_open(const struct raft_store *store, int *status) {
    const struct disk *disk = store->disk;
    *status = disk->remove(disk->context, RAFT_STORE_TEMPORARY_NAME);
    if (*status != 0 && *status != -ENOENT) {
        return NULL;
    }
    *status = 0;
    return disk->open(disk->context, RAFT_STORE_TEMPORARY_NAME, true, status);
}

/* A file with just this takes the place of the one that there may be. */
static int replace(struct raft_store *store, const struct raft_record_step *last,
                   struct raft_snapshot *snapshot, const struct raft_log *log) {
    int status = 0;
    struct disk_file *file = temporary_open(store, &status);
    if (file == NULL) {
        return status;
    }
    store->header.generation++;
    store->seed = raft_file_seed(&store->header);
    store->end = RAFT_FILE_HEADER_BYTES;
    store->durable = 0;
    store->allocated = 0;
    status = content_write(store, file, last, snapshot, log);
    status = status != 0 ? status : header_write(store, file);
    status = status != 0 ? status : file_sync(store, file);
    status = status != 0 ? status : file_name(store);
    if (status != 0) {
        store->disk->close(file);
        return status;
    }
    if (store->file != NULL) {
        store->disk->close(store->file);
    }
    store->file = file;
    store->files++;
    struct raft_snapshot *before = store->snapshot;
    store->snapshot = snapshot != NULL ? raft_snapshot_hold(snapshot) : NULL;
    raft_snapshot_release(before);
    return 0;
}

/* ---- saving ---- */

static bool is_overgrown(const struct raft_store *store) {
    return store->end - store->header.base > RAFT_STORE_GROWTH_STEPS * store->allocate_bytes;
}

/* A sync is followed by a record that says so; see the header. */
static int append(struct raft_store *store, const struct raft_record_step *step,
                  const struct raft_log *log, bool is_sync_needed) {
    int status = step_write(store, store->file, step, log);
    if (status != 0 || !is_sync_needed) {
        return status;
    }
    status = file_sync(store, store->file);
    struct raft_record_step mark = *step;
    mark.count = 0;
    return status != 0 ? status : step_write(store, store->file, &mark, log);
}

int raft_store_save(struct raft_store *store, const struct raft_output *output,
                    const struct raft_log *log) {
    if (store->is_failed) {
        return -EIO;
    }
    struct raft_record_step step = {
        .term = output->term, .vote = output->vote, .commit = output->commit};
    int status;
    if (output->snapshot != NULL) {
        status = replace(store, &step, output->snapshot, log);
    } else if (is_overgrown(store)) {
        status = replace(store, &step, store->snapshot, log);
    } else {
        if (output->entries_from != 0) {
            step.first = output->entries_from;
            step.count = (uint32_t)(raft_log_last_index(log) + 1 - step.first);
        }
        status = append(store, &step, log, output->is_sync_needed);
    }
    store->is_failed = status != 0;
    scratch_shrink(store);
    return status;
}

/* ---- lifecycle ---- */

static struct raft_store *store_new(const struct raft_store_plan *plan,
                                    const struct raft_file_header *header) {
    struct raft_store *store = memory_alloc_zeroed(sizeof(*store));
    store->disk = plan->disk;
    store->allocate_bytes =
        plan->allocate_bytes != 0 ? plan->allocate_bytes : RAFT_STORE_ALLOCATE_BYTES;
    store->header = *header;
    return store;
}

void raft_store_close(struct raft_store *store) {
    if (store->file != NULL) {
        store->disk->close(store->file);
    }
    raft_snapshot_release(store->snapshot);
    buffer_free(&store->scratch);
    buffer_free(&store->body);
    memory_free(store);
}

static int saved_write(struct raft_store *store, const struct raft_saved *saved) {
    struct raft_record_step last = {
        .term = saved->term, .vote = saved->vote, .commit = saved->commit};
    int status = replace(store, &last, saved->snapshot, &saved->log);
    scratch_shrink(store);
    return status;
}

static enum raft_store_status failed(struct buffer *report, int status) {
    buffer_format(report, "Cannot write " RAFT_STORE_NAME ": %s. ", strerror(-status));
    return RAFT_STORE_FAILED;
}

enum raft_store_status raft_store_create(const struct raft_store_plan *plan,
                                         const struct raft_id *group,
                                         const struct raft_saved *saved, struct buffer *report) {
    int status = 0;
    struct disk_file *there =
        plan->disk->open(plan->disk->context, RAFT_STORE_NAME, false, &status);
    if (there != NULL) {
        plan->disk->close(there);
        return RAFT_STORE_NONE;
    }
    if (status != -ENOENT) {
        return failed(report, status);
    }
    struct raft_store *store =
        store_new(plan, &(struct raft_file_header){.self = plan->self, .group = *group});
    status = saved_write(store, saved);
    raft_store_close(store);
    return status == 0 ? RAFT_STORE_DONE : failed(report, status);
}

enum raft_store_status raft_store_open(const struct raft_store_plan *plan,
                                       struct raft_store_opened *opened) {
    *opened = (struct raft_store_opened){.report = BUFFER_EMPTY};
    struct raft_file_header header;
    enum raft_store_status recovered = raft_store_recover(plan, opened, &header);
    if (recovered != RAFT_STORE_DONE) {
        return recovered;
    }
    opened->group = header.group;
    struct raft_store *store = store_new(plan, &header);
    int status = saved_write(store, &opened->saved);
    if (status != 0) {
        raft_store_close(store);
        return failed(&opened->report, status);
    }
    opened->store = store;
    return RAFT_STORE_DONE;
}

void raft_store_opened_free(struct raft_store_opened *opened) {
    if (opened->store != NULL) {
        raft_store_close(opened->store);
    }
    raft_saved_free(&opened->saved);
    buffer_free(&opened->report);
    *opened = (struct raft_store_opened){.report = BUFFER_EMPTY};
}

void raft_store_figures_read(const struct raft_store *store, struct raft_store_figures *figures) {
    *figures = (struct raft_store_figures){
        .size_bytes = store->end, .files = store->files, .syncs = store->syncs};
}

int raft_store_remove(const struct disk *disk) {
    int status = disk->remove(disk->context, RAFT_STORE_NAME);
    return status != 0 && status != -ENOENT ? status : disk->sync_names(disk->context);
}
