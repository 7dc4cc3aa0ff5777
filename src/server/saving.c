#include "server/saving.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/files.h"
#include "io/signals.h"
#include "oplog/reader.h"
#include "snapshot/snapshot_section.h"
#include "snapshot/snapshot_writer.h"
#include "worker/cutting.h"
#include "worker/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Jobs that wait. More are not asked for: each kind waits once. */
#define QUEUE_MAX 8
/* Jobs whose outcome is remembered. */
#define OUTCOMES 64
/* Raw bytes of a chunk of the tail. */
#define TAIL_CHUNK_BYTES ((size_t)512 * 1024)

struct saving {
    struct server *server;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;

    /* With the mutex. */
    enum saving_job queue[QUEUE_MAX];
    uint32_t queued;
    uint64_t begun; /* number of the job that runs, or that ran last */
    uint64_t ended;
    bool is_stopping;
    uint64_t failures;       /* a bit for each of the last OUTCOMES jobs, by number */
    bool has_failed;         /* the last snapshot */
    enum saving_job running; /* SAVING_JOBS: none */
    int64_t started_ms;
    int64_t tried_ms;
    int64_t last_saved_s;
    struct saving_tally snapshots;
    struct saving_tally rewrites;
    uint64_t changes_base; /* the node's changes when the last good one began */
    uint64_t base_bytes;
    uint64_t raw_bytes; /* of the data in it, not compressed */
    uint64_t last_end;  /* the log up to here is in the last good one */
    uint64_t early_buckets;
    uint64_t writes_held;
    uint64_t keys_total;
    atomic_bool gives_up; /* the snapshot under way is to end where it is */

    /* The thread's. */
    struct oplog *log;       /* open for appendonly, or for the snapshot under way */
    struct disk *log_folder; /* the log's, while it is open */
    bool is_log_temporary;
    uint64_t changes_at_begin;
    struct history history; /* where the log stands, or would go on from */
    uint64_t end;
    unsigned char node_id[OPLOG_NODE_ID_BYTES];
    struct cutting *cutting;
    uint64_t begin;                 /* where the log stood when the image was begun */
    char name[DISK_NAME_BYTES_MAX]; /* of the file, as the options said then */
    char *dir;                      /* likewise */
    uint64_t new_end;               /* the moment of the snapshot */
    /* Where the next start looks for a snapshot: only one that stands there lets the log go. */
    char start_name[DISK_NAME_BYTES_MAX];
    char *start_dir;
    bool is_compressed;
    uint64_t new_base_bytes;
    uint64_t new_raw_bytes;
};

void saving_file_name(const char *dbfilename, char *name) {
    size_t length = strlen(dbfilename);
    const char *suffix = ".rdb";
    if (length > strlen(suffix) && strcmp(dbfilename + length - strlen(suffix), suffix) == 0) {
        length -= strlen(suffix);
    }
    snprintf(name, DISK_NAME_BYTES_MAX, "%.*s" SAVING_FILE_SUFFIX, (int)length, dbfilename);
}

enum oplog_sync saving_sync(const struct server_options *options) {
    switch (options->appendfsync) {
    case APPEND_FSYNC_ALWAYS:
        return OPLOG_SYNC_ALWAYS;
    case APPEND_FSYNC_NO:
        return OPLOG_SYNC_NO;
    case APPEND_FSYNC_EVERYSEC:
        break;
    }
    return OPLOG_SYNC_EVERYSEC;
}

static uint64_t node_changes(const struct node *node) {
    uint64_t changes = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        changes += node->workers[i]->executor.changes;
    }
    return changes;
}

static uint64_t node_keys(const struct node *node) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < node->keyspace->database_count; i++) {
        keys += keyspace_keys(node->keyspace, i);
    }
    return keys;
}

static const struct server_options *options_of(const struct saving *saving) {
    return &saving->server->options->server;
}

/* ---- the log, on and off ---- */

/* Has all workers append to this log, or to none. Under a stop. */
static void log_attach(struct saving *saving, struct oplog *log, bool gates) {
    struct node *node = &saving->server->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if (node->log != NULL) {
            gate_append(node->workers[i]);
        }
    }
    node->log = log;
    node->log_gates = gates;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i]->appended = 0;
        gate_configure(node->workers[i]);
        loop_wake(node->workers[i]->loop);
    }
}

struct removal {
    const struct disk *folder;
};

static void remove_found(void *context, const char *name) {
    const struct removal *removal = context;
    removal->folder->remove(removal->folder->context, name);
}

/* Removes a folder of log files, if it is there. */
static void folder_remove(const char *path) {
    if (access(path, F_OK) != 0) {
        return;
    }
    struct disk folder;
    if (disk_open(&folder, path) == 0) {
        struct removal removal = {.folder = &folder};
        folder.list(folder.context, remove_found, &removal);
        disk_close(&folder);
    }
    rmdir(path);
}

static void remove_unfinished(void *context, const char *name) {
    const struct disk *folder = context;
    int pid = 0;
    int length = 0;
    if (sscanf(name, SAVING_TEMPORARY "%n", &pid, &length) != 1 || (size_t)length != strlen(name) ||
        (pid != getpid() && kill(pid, 0) == 0)) {
        return;
    }
    log_notice("Removing %s, which a server did not finish", name);
    folder->remove(folder->context, name);
}

void saving_remove_unfinished(const struct disk *folder) {
    folder->list(folder->context, remove_unfinished, (void *)(uintptr_t)folder);
}

static void folder_close(struct saving *saving) {
    disk_close(saving->log_folder);
    memory_free(saving->log_folder);
    saving->log_folder = NULL;
}

/* Opens a log in a fresh temporary folder. */
static bool log_open_temporary(struct saving *saving, struct buffer *report) {
    folder_remove(SAVING_LOG_TEMPORARY);
    saving->log_folder = memory_alloc_zeroed(sizeof(struct disk));
    int error = disk_open(saving->log_folder, SAVING_LOG_TEMPORARY);
    if (error != 0) {
        memory_free(saving->log_folder);
        buffer_format(report, "cannot make the folder " SAVING_LOG_TEMPORARY ": %s",
                      strerror(-error));
        return false;
    }
    struct oplog_plan plan = {
        .disk = saving->log_folder,
        .history = history_fork(&saving->history),
        .parent = saving->history,
        .begin = saving->end,
        .sync = OPLOG_SYNC_NO,
        .segment_bytes = (uint64_t)options_of(saving)->log_segment_size,
        .progress = gate_progress,
        .context = &saving->server->node,
    };
    memcpy(plan.node_id, saving->node_id, sizeof(plan.node_id));
    saving->log = oplog_open(&plan, &error);
    if (saving->log == NULL) {
        buffer_format(report, "cannot open a log in " SAVING_LOG_TEMPORARY ": %s",
                      strerror(-error));
        folder_close(saving);
        folder_remove(SAVING_LOG_TEMPORARY);
        return false;
    }
    saving->is_log_temporary = true;
    saving->history = plan.history;
    return true;
}

static void log_detach(void *context) {
    log_attach(context, NULL, false);
}

static int log_close(struct saving *saving) {
    saving->end = oplog_end_position(saving->log);
    int error = oplog_close(saving->log);
    saving->log = NULL;
    folder_close(saving);
    return error;
}

static void log_remove_temporary(struct saving *saving) {
    stop_visit(&saving->server->node, log_detach, saving);
    log_close(saving);
    folder_remove(SAVING_LOG_TEMPORARY);
    saving->is_log_temporary = false;
}

/* ---- a snapshot ---- */

static void begin_image(void *context) {
    struct saving *saving = context;
    struct node *node = &saving->server->node;
    if (saving->is_log_temporary && node->log == NULL) {
        log_attach(saving, saving->log, false);
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    saving->begin = oplog_end_position(saving->log);
    saving_file_name(options_of(saving)->dbfilename, saving->name);
    memory_free(saving->dir);
    saving->dir = memory_copy_string(options_of(saving)->dir);
    saving->is_compressed = options_of(saving)->rdbcompression;
    saving->changes_at_begin = node_changes(node);
    saving->keys_total = node_keys(node);
    saving->cutting = cutting_begin(node, saving->server->options->store.maxmemory != 0);
}

static void end_image(void *context) {
    struct saving *saving = context;
    saving->early_buckets = atomic_load(&saving->cutting->early_buckets);
    saving->writes_held = atomic_load(&saving->cutting->writes_held);
    cutting_end(saving->cutting);
    saving->cutting = NULL;
}

static int write_images(struct saving *saving, struct snapshot_writer *writer) {
    struct buffer content = BUFFER_EMPTY;
    struct image_chunk *chunk;
    int error = 0;
    saving->new_raw_bytes = 0;
    while ((chunk = cutting_take(saving->cutting)) != NULL) {
        size_t bytes = image_chunk_bytes(chunk);
        saving->new_raw_bytes += bytes;
        if (error == 0 && atomic_load(&saving->gives_up)) {
            error = -ECANCELED;
            cutting_give_up(saving->cutting);
        }
        if (error == 0) {
            struct span raw = buffer_span(&chunk->bytes);
            if (chunk->blocks_count > 0) {
                buffer_clear(&content);
                image_chunk_join(chunk, &content);
                raw = buffer_span(&content);
            }
            error = snapshot_writer_add(writer, &(struct snapshot_content){
                                                    .kind = SNAPSHOT_IMAGE,
                                                    .slot_first = chunk->slot_first,
                                                    .slot_last = chunk->slot_last,
                                                    .raw = raw,
                                                });
            if (error != 0) {
                cutting_give_up(saving->cutting);
            }
        }
        image_chunk_free(chunk);
        cutting_stored(saving->cutting, bytes);
    }
    buffer_free(&content);
    for (uint32_t slot = 0; error == 0 && slot < SLOTS; slot++) {
        const struct cutting_slot *done = &saving->cutting->slots[slot];
        snapshot_writer_slot(writer, (uint16_t)slot, done->position, done->keys);
    }
    return error;
}

/* What a tick appended must be in the file before it is read from there. */
static int wait_until_written(const struct saving *saving, uint64_t position) {
    const struct timespec pause = {.tv_nsec = 1000000};
    while (oplog_written_position(saving->log) < position) {
        int error = oplog_error(saving->log);
        if (error != 0) {
            return -error;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int flush_tail(struct snapshot_writer *writer, struct buffer *content) {
    if (content->length == 0) {
        return 0;
    }
    int error = snapshot_writer_add(
        writer, &(struct snapshot_content){.kind = SNAPSHOT_TAIL, .raw = buffer_span(content)});
    buffer_clear(content);
    return error;
}

/* The frames from begin up to end. */
static int write_tail(struct saving *saving, struct snapshot_writer *writer, uint64_t begin,
                      uint64_t end, struct buffer *report) {
    int error = wait_until_written(saving, end);
    if (error != 0 || begin == end) {
        return error;
    }
    struct oplog_reader_plan plan = {
        .disk = saving->log_folder, .from = begin, .to = end, .report = report};
    struct oplog_reader *reader = NULL;
    enum oplog_read status = oplog_reader_open(&plan, &reader);
    if (reader == NULL) {
        return -EIO;
    }
    struct buffer content = BUFFER_EMPTY;
    struct oplog_frame frame;
    while ((status = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        snapshot_frame_write(&content, &(struct snapshot_frame){.position = frame.position,
                                                                .time_ms = frame.time_ms,
                                                                .content = frame.content});
        if (content.length >= TAIL_CHUNK_BYTES) {
            error = flush_tail(writer, &content);
            if (error != 0) {
                break;
            }
        }
    }
    if (error == 0 && status == OPLOG_READ_END) {
        error = flush_tail(writer, &content);
    } else if (error == 0) {
        error = -EIO;
    }
    oplog_reader_close(reader);
    buffer_free(&content);
    return error;
}

static struct snapshot_writer *writer_new(const struct saving *saving, const struct disk *folder,
                                          struct buffer *report, int *error) {
    char name[DISK_NAME_BYTES_MAX];
    snprintf(name, sizeof(name), SAVING_TEMPORARY, (int)getpid());
    struct snapshot_writer_plan plan = {
        .disk = *folder,
        .name = name,
        .header =
            {
                .history = saving->history,
                .begin = saving->begin,
                .begin_ms = clock_wall_ms(),
                .databases = saving->server->node.keyspace->database_count,
            },
        .is_compressed = saving->is_compressed,
        .report = report,
    };
    memcpy(plan.header.node_id, saving->node_id, sizeof(plan.header.node_id));
    return snapshot_writer_new(&plan, error);
}

/* The chunks, the tail, the end. */
static int write_file(struct saving *saving, struct snapshot_writer *writer,
                      struct buffer *report) {
    int error = write_images(saving, writer);
    uint64_t end = oplog_end_position(saving->log);
    if (error == 0) {
        error = write_tail(saving, writer, saving->begin, end, report);
    }
    if (error != 0) {
        snapshot_writer_abandon(writer);
        return error;
    }
    saving->new_base_bytes = snapshot_writer_bytes(writer);
    struct snapshot_finish finish = {.name = saving->name, .end = end, .end_ms = clock_wall_ms()};
    saving->new_end = end;
    error = snapshot_writer_finish(writer, &finish);
    bool is_for_start = strcmp(saving->name, saving->start_name) == 0 &&
                        strcmp(saving->dir, saving->start_dir) == 0;
    if (error == 0 && !saving->is_log_temporary && is_for_start) {
        /* A segment may go once the next one is durable. */
        oplog_sync_wait(saving->log);
        oplog_trim(saving->log, end);
    }
    return error;
}

/* Nobody wants the chunks. */
static void drop_images(struct saving *saving) {
    cutting_give_up(saving->cutting);
    for (struct image_chunk *chunk; (chunk = cutting_take(saving->cutting)) != NULL;) {
        cutting_stored(saving->cutting, image_chunk_bytes(chunk));
        image_chunk_free(chunk);
    }
}

/* Takes a snapshot into the folder; a log is open. */
static int write_snapshot(struct saving *saving, const struct disk *folder, struct buffer *report) {
    stop_visit(&saving->server->node, begin_image, saving);
    int error = 0;
    struct snapshot_writer *writer = writer_new(saving, folder, report, &error);
    if (writer != NULL) {
        error = write_file(saving, writer, report);
    } else {
        drop_images(saving);
    }
    stop_visit(&saving->server->node, end_image, saving);
    return error;
}

static bool log_keep(struct saving *saving, struct buffer *report);

/* A snapshot, with a log of its own if there is none. */
static bool take_snapshot(struct saving *saving, bool keeps_log, struct buffer *report) {
    if (saving->log == NULL && !log_open_temporary(saving, report)) {
        return false;
    }
    struct disk folder;
    int error = disk_open(&folder, ".");
    if (error == 0) {
        error = write_snapshot(saving, &folder, report);
        disk_close(&folder);
    }
    if (error != 0) {
        buffer_format(report, "%s%s", report->length == 0 ? "" : ": ", strerror(-error));
    }
    bool is_done = error == 0;
    if (is_done && saving->is_log_temporary && keeps_log) {
        is_done = log_keep(saving, report);
    }
    if (saving->is_log_temporary) {
        log_remove_temporary(saving);
    }
    return is_done;
}

/* ---- jobs ---- */

/* CONFIG SET appendfsync changes a log that gates. */
static void let_log_gate(void *context) {
    struct saving *saving = context;
    oplog_set_sync(saving->log, saving_sync(options_of(saving)));
    saving->server->node.log_gates = true;
    for (uint32_t i = 0; i < saving->server->node.worker_count; i++) {
        gate_follow(saving->server->node.workers[i]);
    }
}

static bool names_sync(struct buffer *report) {
    int error = file_sync_directory(".");
    if (error != 0) {
        buffer_format(report, "cannot sync the folder: %s", strerror(error));
    }
    return error == 0;
}

/* A log that is not gone on with is kept under another name, in place of an older such one. */
static bool log_put_away(struct buffer *report) {
    if (access(SAVING_LOG, F_OK) != 0) {
        return true;
    }
    folder_remove(SAVING_LOG_OLD);
    if (rename(SAVING_LOG, SAVING_LOG_OLD) != 0) {
        buffer_format(report, "cannot rename " SAVING_LOG ": %s", strerror(errno));
        return false;
    }
    return names_sync(report);
}

/* The temporary log becomes the log. */
static bool log_keep(struct saving *saving, struct buffer *report) {
    if (!log_put_away(report)) {
        return false;
    }
    if (rename(SAVING_LOG_TEMPORARY, SAVING_LOG) != 0) {
        buffer_format(report, "cannot rename " SAVING_LOG_TEMPORARY ": %s", strerror(errno));
        return false;
    }
    saving->is_log_temporary = false;
    if (!names_sync(report)) {
        log_warning("Power loss may take the log that was just switched on with it.");
    }
    stop_visit(&saving->server->node, let_log_gate, saving);
    return true;
}

static bool switch_log_off(struct saving *saving, struct buffer *report) {
    if (saving->log == NULL) {
        return true;
    }
    /* What the log holds is in the snapshot before it goes. */
    if (!take_snapshot(saving, false, report)) {
        return false;
    }
    stop_visit(&saving->server->node, log_detach, saving);
    int error = log_close(saving);
    if (error != 0) {
        log_warning("The log was not whole on disk when it was switched off: %s", strerror(-error));
    }
    return log_put_away(report);
}

static bool switch_log_on(struct saving *saving, struct buffer *report) {
    return saving->log != NULL || take_snapshot(saving, true, report);
}

static bool run_job(struct saving *saving, enum saving_job job, struct buffer *report) {
    switch (job) {
    case SAVING_SNAPSHOT:
    case SAVING_REWRITE:
        return take_snapshot(saving, false, report);
    case SAVING_LOG_ON:
        return switch_log_on(saving, report);
    case SAVING_LOG_OFF:
        return switch_log_off(saving, report);
    case SAVING_JOBS:
        break;
    }
    return true;
}

/* NULL: this job takes no snapshot. */
static struct saving_tally *tally_of(struct saving *saving, enum saving_job job) {
    switch (job) {
    case SAVING_SNAPSHOT:
        return &saving->snapshots;
    case SAVING_REWRITE:
    case SAVING_LOG_ON:
        return &saving->rewrites;
    case SAVING_LOG_OFF:
    case SAVING_JOBS:
        break;
    }
    return NULL;
}

/* With the mutex. */
static void job_begins(struct saving *saving, enum saving_job job) {
    struct saving_tally *tally = tally_of(saving, job);
    saving->begun++;
    saving->running = job;
    saving->started_ms = clock_wall_ms();
    saving->tried_ms = saving->started_ms;
    if (tally != NULL) {
        tally->is_running = true;
        log_notice("Background saving started");
    }
}

static void snapshot_ends(struct saving *saving, struct saving_tally *tally, bool is_done) {
    int64_t now_ms = clock_wall_ms();
    saving->has_failed = !is_done;
    tally->is_running = false;
    tally->has_failed = !is_done;
    tally->last_duration_s = (now_ms - saving->started_ms) / 1000;
    if (!is_done) {
        tally->failures_in_a_row++;
        return;
    }
    tally->failures_in_a_row = 0;
    tally->count++;
    saving->last_saved_s = now_ms / 1000;
    saving->changes_base = saving->changes_at_begin;
    saving->base_bytes = saving->new_base_bytes;
    saving->raw_bytes = saving->new_raw_bytes;
    saving->last_end = saving->new_end;
    log_notice("DB saved on disk");
    log_notice("Background saving terminated with success");
}

/* With the mutex. */
static void job_ends(struct saving *saving, enum saving_job job, bool is_done) {
    struct saving_tally *tally = tally_of(saving, job);
    uint64_t bit = UINT64_C(1) << saving->begun % OUTCOMES;
    saving->failures = is_done ? saving->failures & ~bit : saving->failures | bit;
    saving->ended = saving->begun;
    saving->running = SAVING_JOBS;
    if (tally != NULL) {
        snapshot_ends(saving, tally, is_done);
    }
    pthread_cond_broadcast(&saving->changed);
}

static void wake_workers(const struct node *node) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        loop_wake(node->workers[i]->loop);
    }
}

static void *thread_main(void *context) {
    struct saving *saving = context;
    prctl(PR_SET_NAME, "saving");
    signals_block_all();
    pthread_mutex_lock(&saving->mutex);
    for (;;) {
        while (saving->queued == 0 && !saving->is_stopping) {
            pthread_cond_wait(&saving->changed, &saving->mutex);
        }
        if (saving->queued == 0) {
            break;
        }
        enum saving_job job = saving->queue[0];
        saving->queued--;
        memmove(saving->queue, saving->queue + 1, saving->queued * sizeof(saving->queue[0]));
        job_begins(saving, job);
        pthread_mutex_unlock(&saving->mutex);
        struct buffer report = BUFFER_EMPTY;
        bool is_done = run_job(saving, job, &report);
        if (!is_done) {
            log_warning("Background saving error: %.*s", (int)report.length, report.bytes);
        }
        buffer_free(&report);
        pthread_mutex_lock(&saving->mutex);
        job_ends(saving, job, is_done);
        wake_workers(&saving->server->node);
    }
    pthread_mutex_unlock(&saving->mutex);
    return NULL;
}

/* ---- what others ask ---- */

uint64_t saving_request(struct saving *saving, enum saving_job job) {
    pthread_mutex_lock(&saving->mutex);
    uint32_t at = 0;
    while (at < saving->queued && saving->queue[at] != job) {
        at++;
    }
    /* What waits is what is asked for: it will show all that is there now. A switch of the log goes
     * behind the last one. */
    bool is_switch = job == SAVING_LOG_ON || job == SAVING_LOG_OFF;
    if (at == saving->queued || (is_switch && at + 1 != saving->queued)) {
        at = saving->queued < QUEUE_MAX ? saving->queued++ : QUEUE_MAX - 1;
        saving->queue[at] = job;
        pthread_cond_broadcast(&saving->changed);
    }
    uint64_t number = saving->begun + at + 1;
    pthread_mutex_unlock(&saving->mutex);
    return number;
}

bool saving_is_done(struct saving *saving, uint64_t number, bool *has_failed) {
    pthread_mutex_lock(&saving->mutex);
    bool is_done = saving->ended >= number;
    *has_failed = (saving->failures >> number % OUTCOMES & 1) != 0;
    pthread_mutex_unlock(&saving->mutex);
    return is_done;
}

bool saving_is_running(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    bool is_running = saving->ended != saving->begun || saving->queued > 0;
    pthread_mutex_unlock(&saving->mutex);
    return is_running;
}

enum saving_job saving_running_job(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    enum saving_job job = saving->running;
    if (job == SAVING_JOBS && saving->queued > 0) {
        job = saving->queue[0];
    }
    pthread_mutex_unlock(&saving->mutex);
    return job;
}

int64_t saving_last_saved_s(struct saving *saving) {
    if (saving == NULL) {
        return 0;
    }
    pthread_mutex_lock(&saving->mutex);
    int64_t last_saved_s = saving->last_saved_s;
    pthread_mutex_unlock(&saving->mutex);
    return last_saved_s;
}

bool saving_wait(struct saving *saving, uint64_t number) {
    pthread_mutex_lock(&saving->mutex);
    while (saving->ended < number) {
        pthread_cond_wait(&saving->changed, &saving->mutex);
    }
    bool has_failed = (saving->failures >> number % OUTCOMES & 1) != 0;
    pthread_mutex_unlock(&saving->mutex);
    return !has_failed;
}

static bool rules_ask(const struct saving *saving, uint64_t changes, int64_t now_ms) {
    if (saving->has_failed && now_ms - saving->tried_ms < SAVING_RETRY_MS) {
        return false;
    }
    const struct save_points *save = &options_of(saving)->save;
    for (size_t i = 0; i < save->count; i++) {
        if (changes >= (uint64_t)save->points[i].changes &&
            now_ms / 1000 - saving->last_saved_s > save->points[i].seconds) {
            return true;
        }
    }
    return false;
}

/* Switching the log failed: it is tried again. SAVING_JOBS: it is as it should be. */
static enum saving_job switch_asked(const struct saving *saving, int64_t now_ms) {
    const struct node *node = &saving->server->node;
    bool is_on = node->log != NULL && node->log_gates;
    bool is_wanted = options_of(saving)->appendonly;
    if (is_on == is_wanted || now_ms - saving->tried_ms < SAVING_RETRY_MS) {
        return SAVING_JOBS;
    }
    return is_wanted ? SAVING_LOG_ON : SAVING_LOG_OFF;
}

/* Bytes of the log that the last snapshot does not hold. */
static uint64_t log_grown(const struct saving *saving) {
    const struct oplog *log = saving->server->node.log;
    if (log == NULL || !saving->server->node.log_gates) {
        return 0;
    }
    uint64_t end = oplog_end_position(log);
    return end > saving->last_end ? end - saving->last_end : 0;
}

/* True when the log has grown beyond what the options allow over the last snapshot. */
static bool growth_asks(const struct saving *saving, int64_t now_ms) {
    const struct server_options *options = options_of(saving);
    uint64_t grown = log_grown(saving);
    if (saving->has_failed && now_ms - saving->tried_ms < SAVING_RETRY_MS) {
        return false;
    }
    if (options->log_size_max > 0 && grown >= (uint64_t)options->log_size_max / 2) {
        return true;
    }
    /* A log of data that compresses well is no larger than it has to be. */
    uint64_t base = saving->raw_bytes;
    return options->auto_aof_rewrite_percentage > 0 &&
           grown >= (uint64_t)options->auto_aof_rewrite_min_size &&
           (double)grown >= (double)base * (double)options->auto_aof_rewrite_percentage / 100.0;
}

void saving_cron(struct saving *saving) {
    struct node *node = &saving->server->node;
    uint64_t changes = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        changes += atomic_load_explicit(&node->workers[i]->changes_seen, memory_order_relaxed);
    }
    int64_t now_ms = clock_wall_ms();
    pthread_mutex_lock(&saving->mutex);
    /* What is published may be older than the base. */
    changes = changes > saving->changes_base ? changes - saving->changes_base : 0;
    bool is_idle = saving->ended == saving->begun && saving->queued == 0;
    bool rules_want = is_idle && rules_ask(saving, changes, now_ms);
    bool growth_wants = is_idle && growth_asks(saving, now_ms);
    enum saving_job log_switch = is_idle ? switch_asked(saving, now_ms) : SAVING_JOBS;
    atomic_store(&node->refuses_writes, saving->has_failed && options_of(saving)->save.count > 0 &&
                                            options_of(saving)->stop_writes_on_bgsave_error);
    int64_t log_max = options_of(saving)->log_size_max;
    atomic_store(&node->log_is_at_max, log_max > 0 && log_grown(saving) >= (uint64_t)log_max);
    pthread_mutex_unlock(&saving->mutex);
    if (log_switch != SAVING_JOBS) {
        saving_request(saving, log_switch);
    } else if (rules_want || growth_wants) {
        saving_request(saving, rules_want ? SAVING_SNAPSHOT : SAVING_REWRITE);
    }
}

static struct saving_tally tally_now(struct saving *saving, enum saving_job one,
                                     enum saving_job other) {
    struct saving_tally tally = *tally_of(saving, one);
    bool is_idle = saving->ended == saving->begun;
    for (uint32_t i = 0; i < saving->queued; i++) {
        bool is_asked = saving->queue[i] == one || saving->queue[i] == other;
        /* Who was told that it has started is not to see that none is running. */
        tally.is_running |= is_asked && is_idle && i == 0;
        tally.is_scheduled |= is_asked && !(is_idle && i == 0);
    }
    if (tally.is_running) {
        tally.current_duration_s = is_idle ? 0 : (clock_wall_ms() - saving->started_ms) / 1000;
    }
    return tally;
}

void saving_status_read(struct saving *saving, struct saving_status *status) {
    const struct node *node = &saving->server->node;
    pthread_mutex_lock(&saving->mutex);
    struct saving_tally snapshots = tally_now(saving, SAVING_SNAPSHOT, SAVING_SNAPSHOT);
    struct saving_tally rewrites = tally_now(saving, SAVING_REWRITE, SAVING_LOG_ON);
    *status = (struct saving_status){
        .snapshots = snapshots,
        .rewrites = rewrites,
        .has_failed = saving->has_failed,
        .last_saved_s = saving->last_saved_s,
        .changes = node_changes(node) - saving->changes_base,
        .keys_total = snapshots.is_running || rewrites.is_running ? saving->keys_total : 0,
        .early_buckets = saving->early_buckets,
        .writes_held = saving->writes_held,
        .base_bytes = saving->base_bytes,
        .has_log = node->log != NULL && node->log_gates,
    };
    pthread_mutex_unlock(&saving->mutex);
    if (node->cutting != NULL) {
        status->keys_done = atomic_load(&node->cutting->keys_done);
        status->writes_held = atomic_load(&node->cutting->writes_held);
    }
    if (status->has_log) {
        oplog_figures_read(node->log, &status->log);
    }
}

/* ---- lifecycle ---- */

struct saving *saving_new(const struct saving_plan *plan) {
    struct saving *saving = memory_alloc_zeroed(sizeof(*saving));
    saving->server = plan->server;
    saving->log = plan->log;
    saving->log_folder = plan->log_folder;
    saving->history = plan->history;
    saving->end = plan->end;
    saving->base_bytes = plan->base_bytes;
    saving->raw_bytes = plan->raw_bytes;
    saving->last_end = plan->base_end;
    saving_file_name(options_of(saving)->dbfilename, saving->start_name);
    saving->start_dir = memory_copy_string(options_of(saving)->dir);
    memcpy(saving->node_id, plan->node_id, sizeof(saving->node_id));
    saving->last_saved_s = clock_wall_ms() / 1000;
    saving->running = SAVING_JOBS;
    saving->snapshots = (struct saving_tally){.last_duration_s = -1, .current_duration_s = -1};
    saving->rewrites = saving->snapshots;
    int failed = pthread_mutex_init(&saving->mutex, NULL);
    failed |= pthread_cond_init(&saving->changed, NULL);
    failed |= pthread_create(&saving->thread, NULL, thread_main, saving);
    ASSERT(failed == 0);
    return saving;
}

void saving_end(struct saving *saving) {
    atomic_store(&saving->gives_up, true);
    pthread_mutex_lock(&saving->mutex);
    saving->queued = 0;
    saving->is_stopping = true;
    pthread_cond_broadcast(&saving->changed);
    pthread_mutex_unlock(&saving->mutex);
    pthread_join(saving->thread, NULL);
}

int saving_free(struct saving *saving) {
    int error = saving->log == NULL ? 0 : log_close(saving);
    pthread_mutex_destroy(&saving->mutex);
    pthread_cond_destroy(&saving->changed);
    memory_free(saving->dir);
    memory_free(saving->start_dir);
    memory_free(saving);
    return error;
}
