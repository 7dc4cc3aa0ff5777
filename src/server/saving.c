#include "server/saving_parts.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "io/files.h"
#include "io/signals.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

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

uint64_t saving_changes(const struct node *node) {
    uint64_t changes = 0;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        changes += node->workers[i]->executor.changes;
    }
    return changes;
}

static const char *const temporary_ends[SAVING_TEMPORARIES] = {
    [SAVING_TEMPORARY_SNAPSHOT] = SAVING_FILE_SUFFIX,
    [SAVING_TEMPORARY_RELOAD] = "-reload" SAVING_FILE_SUFFIX,
    [SAVING_TEMPORARY_RELOAD_PART] = "-reload.part",
    [SAVING_TEMPORARY_REPLICAS] = "-replicas.rdb",
    [SAVING_TEMPORARY_PRIMARY] = "-primary.rdb",
};

void saving_temporary_name(const struct server *server, enum saving_temporary kind, char *name) {
    snprintf(name, DISK_NAME_BYTES_MAX, "temp-%d-%lld%s", (int)getpid(),
             (long long)server->started_ms, temporary_ends[kind]);
}

static bool is_temporary(const char *name) {
    long long started_ms;
    int pid;
    int length = 0;
    if (sscanf(name, "temp-%d-%lld%n", &pid, &started_ms, &length) != 2 &&
        sscanf(name, "temp-%d%n", &pid, &length) != 1) {
        return false;
    }
    for (size_t i = 0; i < SAVING_TEMPORARIES; i++) {
        if (strcmp(name + length, temporary_ends[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void remove_unfinished(void *context, const char *name) {
    const struct disk *folder = context;
    if (is_temporary(name) && !file_is_in_use(name)) {
        log_notice("Removing %s, which a server did not finish", name);
        folder->remove(folder->context, name);
    }
}

void saving_remove_unfinished(const struct disk *folder) {
    folder->list(folder->context, remove_unfinished, (void *)(uintptr_t)folder);
    saving_log_remove_unfinished();
}

/* ---- jobs ---- */

/* A snapshot, with a log of its own if there is none. */
static bool take_snapshot(struct saving *saving, bool keeps_log, struct buffer *report) {
    if (!replica_is_whole(&saving->server->replica)) {
        buffer_append_string(report, "the data is not whole: it is being copied");
        return false;
    }
    bool needs_log = saving->log == NULL || (keeps_log && saving->log_kind == SAVING_LOG_MEMORY);
    if (needs_log && !saving_log_begin(saving, SAVING_LOG_OF_SNAPSHOT, NULL, report)) {
        return false;
    }
    struct disk folder;
    int error = disk_open(&folder, saving->is_for_log ? saving->start_dir : ".");
    if (error == 0) {
        error = saving_write_snapshot(saving, &folder, report);
        disk_close(&folder);
    }
    if (error != 0) {
        buffer_format(report, "%s%s", report->length == 0 ? "" : ": ", strerror(-error));
    }
    bool is_done = error == 0;
    if (is_done && saving->log_kind == SAVING_LOG_OF_SNAPSHOT && keeps_log) {
        is_done = saving_log_keep(saving, report);
    }
    if (saving->log_kind == SAVING_LOG_OF_SNAPSHOT) {
        saving_log_end(saving);
    }
    return is_done;
}

static bool switch_log_off(struct saving *saving, struct buffer *report) {
    if (saving->log_kind != SAVING_LOG_KEPT) {
        return true;
    }
    /* What the log holds is in the snapshot before it goes. */
    if (!take_snapshot(saving, false, report)) {
        return false;
    }
    int error = saving_log_end(saving);
    if (error != 0) {
        log_warning("The log was not whole on disk when it was switched off: %s", strerror(-error));
    }
    return saving_log_put_away(report);
}

static bool switch_log_on(struct saving *saving, struct buffer *report) {
    return saving->log_kind == SAVING_LOG_KEPT || take_snapshot(saving, true, report);
}

static bool run_job(struct saving *saving, enum saving_job job, struct buffer *report) {
    saving->is_for_log = job == SAVING_REWRITE;
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
    atomic_store(&saving->gives_up, saving->is_stopping);
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
        saving->is_missing = saving->is_missing || tally == &saving->snapshots;
        return;
    }
    saving->is_missing = false;
    tally->failures_in_a_row = 0;
    tally->count++;
    saving->last_saved_s = now_ms / 1000;
    saving->changes_base = saving->changes_at_begin;
    if (saving->new_is_for_start) { /* A copy lets nothing of the log go. */
        saving->raw_bytes = saving->new_raw_bytes;
        saving->last_end = saving->new_end;
    }
    log_notice("DB saved on disk");
    log_notice("Background saving terminated with success");
}

/* With the mutex. */
static void job_ends(struct saving *saving, enum saving_job job, bool is_done) {
    struct saving_tally *tally = tally_of(saving, job);
    uint64_t bit = UINT64_C(1) << saving->begun % SAVING_OUTCOMES;
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

/* With the mutex, which is let go meanwhile. False: there was nothing to do. */
static bool serve_replicas(struct saving *saving) {
    /* A replica's log begins where its primary says, and goes on. */
    bool is_replica = saving->server->node.is_replica;
    bool is_wanted = saving->is_log_wanted || is_replica;
    if (is_replica && saving->log_kind == SAVING_LOG_NONE) {
        return false;
    }
    bool is_served = saving->log_kind == SAVING_LOG_MEMORY
                         ? is_wanted
                         : saving->log_kind != SAVING_LOG_NONE || !is_wanted;
    if (is_served && !saving->trim_is_due) {
        return false;
    }
    bool looks = saving->trim_is_due;
    saving->trim_is_due = false;
    pthread_mutex_unlock(&saving->mutex);
    saving_log_serve(saving, is_wanted);
    if (looks) {
        saving_disk_fit(saving);
    }
    pthread_mutex_lock(&saving->mutex);
    return true;
}

/* With the mutex, which is let go meanwhile. False: there was nothing to do. */
static bool change_log(struct saving *saving) {
    struct saving_change *change = saving->change;
    if (change == NULL) {
        return false;
    }
    saving->change = NULL;
    pthread_mutex_unlock(&saving->mutex);
    saving_change_log(saving, change);
    pthread_mutex_lock(&saving->mutex);
    return true;
}

static void *thread_main(void *context) {
    struct saving *saving = context;
    prctl(PR_SET_NAME, "saving");
    signals_block_all();
    pthread_mutex_lock(&saving->mutex);
    for (;;) {
        bool has_served = !saving->is_stopping && (change_log(saving) || serve_replicas(saving));
        if (saving->queued == 0 && saving->is_stopping) {
            break;
        }
        if (saving->queued == 0) {
            if (!has_served) {
                pthread_cond_wait(&saving->changed, &saving->mutex);
            }
            continue;
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
        at = saving->queued < SAVING_QUEUE_MAX ? saving->queued++ : SAVING_QUEUE_MAX - 1;
        saving->queue[at] = job;
        pthread_cond_broadcast(&saving->changed);
    }
    uint64_t number = saving->begun + at + 1;
    pthread_mutex_unlock(&saving->mutex);
    return number;
}

void saving_give_up(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    atomic_store(&saving->gives_up, true);
    pthread_mutex_unlock(&saving->mutex);
}

void saving_request_change(struct saving *saving, struct saving_change *change) {
    pthread_mutex_lock(&saving->mutex);
    ASSERT(saving->change == NULL);
    saving->change = change;
    atomic_store(&saving->gives_up, true);
    pthread_cond_broadcast(&saving->changed);
    pthread_mutex_unlock(&saving->mutex);
}

void saving_want_log(struct saving *saving, bool is_wanted) {
    pthread_mutex_lock(&saving->mutex);
    if (saving->is_log_wanted != is_wanted) {
        saving->is_log_wanted = is_wanted;
        pthread_cond_broadcast(&saving->changed);
    }
    pthread_mutex_unlock(&saving->mutex);
}

void saving_want_trim(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    if (!saving->trim_is_due) {
        saving->trim_is_due = true;
        pthread_cond_broadcast(&saving->changed);
    }
    pthread_mutex_unlock(&saving->mutex);
}

bool saving_is_done(struct saving *saving, uint64_t number, bool *has_failed) {
    pthread_mutex_lock(&saving->mutex);
    bool is_done = saving->ended >= number;
    *has_failed = (saving->failures >> number % SAVING_OUTCOMES & 1) != 0;
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

void saving_start_read(struct saving *saving, struct saving_start *start) {
    *start = (struct saving_start){
        .log = saving->log_folder, .dir = saving->start_dir, .name = saving->start_name};
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
    bool has_failed = (saving->failures >> number % SAVING_OUTCOMES & 1) != 0;
    pthread_mutex_unlock(&saving->mutex);
    return !has_failed;
}

/* As redis-server, which does not mind a failed rewrite. With the mutex. */
static bool refuses_writes(const struct saving *saving) {
    const struct server_options *options = saving_options(saving);
    return saving->is_missing && options->save.count > 0 && options->stop_writes_on_bgsave_error;
}

/* Refused writes make no changes that a rule could count: they come back by a snapshot. */
static bool rules_ask(const struct saving *saving, uint64_t changes, int64_t now_ms) {
    if (saving->has_failed && now_ms - saving->tried_ms < SAVING_RETRY_MS) {
        return false;
    }
    if (refuses_writes(saving)) {
        return true;
    }
    const struct save_points *save = &saving_options(saving)->save;
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
    if (node->is_replica && node->log == NULL) {
        return SAVING_JOBS; /* It begins where the primary says. */
    }
    bool is_on = node->log != NULL && node->log_gates;
    bool is_wanted = saving_options(saving)->appendonly;
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
    const struct server_options *options = saving_options(saving);
    uint64_t grown = log_grown(saving);
    if (saving->has_failed && now_ms - saving->tried_ms < SAVING_RETRY_MS) {
        return false;
    }
    if (saving_disk_asks(saving, grown, now_ms)) {
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
    saving_disk_cron(saving, now_ms);
    bool is_idle = saving->ended == saving->begun && saving->queued == 0;
    bool rules_want = is_idle && rules_ask(saving, changes, now_ms);
    bool growth_wants = is_idle && growth_asks(saving, now_ms);
    enum saving_job log_switch = is_idle ? switch_asked(saving, now_ms) : SAVING_JOBS;
    atomic_store(&node->refuses_writes, refuses_writes(saving));
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
        .changes = saving_changes(node) - saving->changes_base,
        .keys_total = snapshots.is_running || rewrites.is_running ? saving->keys_total : 0,
        .early_buckets = saving->early_buckets,
        .writes_held = saving->writes_held,
        .growth_base_bytes = saving->raw_bytes,
        .grown_bytes = log_grown(saving),
        .disk_log_bytes = saving->disk.log_bytes,
        .disk_old_bytes = saving->disk.old_bytes,
        .disk_divergence_bytes = saving->disk.divergence_bytes,
        .disk_max = saving->disk.max,
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

/* A start finds more of the log than it needs only if that was kept for a replica, which may come
 * back although its name is forgotten: kept as long as if it had left now. */
static void keep_for_absent(struct saving *saving) {
    size_t count;
    struct oplog_segment *segments = oplog_segments(saving->log, &count);
    if (count > 1 && segments[1].first <= saving->kept_from) {
        struct replication_absent absent = {.position = segments[0].first,
                                            .since_ms = clock_wall_ms()};
        replication_absent_add(&saving->server->replication, &absent);
    }
    memory_free(segments);
}

struct saving *saving_new(const struct saving_plan *plan) {
    struct saving *saving = memory_alloc_zeroed(sizeof(*saving));
    saving->server = plan->server;
    saving->log = plan->log;
    saving->log_folder = plan->log_folder;
    saving->log_kind = plan->log == NULL     ? SAVING_LOG_NONE
                       : plan->log_is_memory ? SAVING_LOG_MEMORY
                                             : SAVING_LOG_KEPT;
    saving->kept_from = plan->base_end;
    saving->history = plan->history;
    saving->end = plan->end;
    saving->raw_bytes = plan->raw_bytes;
    saving->last_end = plan->base_end;
    saving_file_name(saving_options(saving)->dbfilename, saving->start_name);
    saving->start_dir = memory_copy_string(saving_options(saving)->dir);
    memcpy(saving->node_id, plan->node_id, sizeof(saving->node_id));
    saving->last_saved_s = clock_wall_ms() / 1000;
    saving->running = SAVING_JOBS;
    saving->disk.max = SAVING_DISK_NO_MAX;
    saving->trim_is_due = true;
    saving->snapshots = (struct saving_tally){.last_duration_s = -1, .current_duration_s = -1};
    saving->rewrites = saving->snapshots;
    int failed = pthread_mutex_init(&saving->mutex, NULL);
    failed |= pthread_cond_init(&saving->changed, NULL);
    ASSERT(failed == 0);
    saving_disk_begin(saving);
    if (saving->log_kind == SAVING_LOG_KEPT) {
        keep_for_absent(saving);
    }
    failed = pthread_create(&saving->thread, NULL, thread_main, saving);
    ASSERT(failed == 0);
    return saving;
}

void saving_end(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    atomic_store(&saving->gives_up, true);
    saving->queued = 0;
    saving->is_stopping = true;
    pthread_cond_broadcast(&saving->changed);
    pthread_mutex_unlock(&saving->mutex);
    pthread_join(saving->thread, NULL);
}

int saving_free(struct saving *saving) {
    int error = saving->log == NULL ? 0 : saving_log_close(saving);
    pthread_mutex_destroy(&saving->mutex);
    pthread_cond_destroy(&saving->changed);
    memory_free(saving->dir);
    memory_free(saving->start_dir);
    memory_free(saving);
    return error;
}
