#include "server/saving_parts.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/files.h"
#include "io/memory_disk.h"
#include "oplog/retention.h"
#include "server/replicator.h"
#include "worker/gate.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* Of a log in memory: so many to the backlog, of sizes between these. */
#define SAVING_MEMORY_SEGMENTS 4
#define SAVING_MEMORY_SEGMENT_MIN ((uint64_t)256 * 1024)
#define SAVING_MEMORY_SEGMENT_MAX ((uint64_t)16 * 1024 * 1024)

struct removal {
    const struct disk *folder;
};

static void remove_found(void *context, const char *name) {
    const struct removal *removal = context;
    removal->folder->remove(removal->folder->context, name);
}

static void remove_all(const struct disk *folder) {
    struct removal removal = {.folder = folder};
    folder->list(folder->context, remove_found, &removal);
}

void saving_folder_remove(const char *path) {
    if (access(path, F_OK) != 0) {
        return;
    }
    struct disk folder;
    if (disk_open(&folder, path) == 0) {
        remove_all(&folder);
        disk_close(&folder);
    }
    rmdir(path);
}

void saving_log_remove_unfinished(void) {
    struct disk folder;
    if (access(SAVING_LOG_TEMPORARY, F_OK) != 0 || disk_open(&folder, SAVING_LOG_TEMPORARY) != 0) {
        return;
    }
    bool is_ours = folder.lock(folder.context) == 0;
    if (is_ours) {
        log_notice("Removing " SAVING_LOG_TEMPORARY ", which a server did not finish");
        remove_all(&folder);
    }
    disk_close(&folder);
    if (is_ours) {
        rmdir(SAVING_LOG_TEMPORARY);
    }
}

/* ---- a log's folder ---- */

static void remove_but_lock(void *context, const char *name) {
    if (strcmp(name, DISK_LOCK_NAME) != 0) {
        remove_found(context, name);
    }
}

/* The temporary log's folder, empty. It is locked before anything in it is removed: since CONFIG
 * SET dir, it may be that of another server. 0, or a negative errno. */
static int temporary_open(struct disk *folder) {
    int error = disk_open(folder, SAVING_LOG_TEMPORARY);
    if (error != 0) {
        return error;
    }
    error = folder->lock(folder->context);
    if (error != 0) {
        disk_close(folder);
        return error;
    }
    struct removal removal = {.folder = folder};
    folder->list(folder->context, remove_but_lock, &removal);
    return 0;
}

static struct disk *folder_open(enum saving_log_kind kind, struct buffer *report) {
    struct disk *folder = memory_alloc_zeroed(sizeof(*folder));
    if (kind == SAVING_LOG_MEMORY) {
        memory_disk_open(folder);
        return folder;
    }
    int error = temporary_open(folder);
    if (error != 0) {
        memory_free(folder);
        buffer_format(report, "cannot make the folder " SAVING_LOG_TEMPORARY ": %s",
                      error == -EBUSY ? "another server has it" : strerror(-error));
        return NULL;
    }
    return folder;
}

static void folder_close(struct disk *folder, enum saving_log_kind kind) {
    if (kind == SAVING_LOG_MEMORY) {
        memory_disk_close(folder);
    } else {
        if (kind == SAVING_LOG_OF_SNAPSHOT) {
            remove_all(folder);
        }
        disk_close(folder);
    }
    memory_free(folder);
    if (kind == SAVING_LOG_OF_SNAPSHOT) {
        rmdir(SAVING_LOG_TEMPORARY);
    }
}

/* ---- on and off ---- */

/* From one log to another, or none. */
struct log_switch {
    struct saving *saving;
    struct disk *folder; /* of the new one */
    enum saving_log_kind kind;
    struct oplog *old;
    struct disk *old_folder;
    enum saving_log_kind old_kind;
    int error;
};

/* A log in memory keeps few bytes, and lets go of whole segments. */
uint64_t saving_log_segment_bytes(struct saving *saving, enum saving_log_kind kind) {
    const struct server_options *options = saving_options(saving);
    if (kind != SAVING_LOG_MEMORY) {
        return saving_disk_segment_bytes(saving);
    }
    uint64_t bytes = (uint64_t)options->repl_backlog_size / SAVING_MEMORY_SEGMENTS;
    bytes = bytes > SAVING_MEMORY_SEGMENT_MIN ? bytes : SAVING_MEMORY_SEGMENT_MIN;
    return bytes < SAVING_MEMORY_SEGMENT_MAX ? bytes : SAVING_MEMORY_SEGMENT_MAX;
}

/* Where no log was on, changes may have been lost to it: its history has no parent. A replica's
 * history goes on. */
static struct oplog *open_next(const struct log_switch *change, struct history_origin *origin,
                               int *error) {
    struct saving *saving = change->saving;
    bool goes_on = change->old != NULL;
    bool follows = goes_on && saving->server->node.is_replica;
    /* Not 0: a log that has a base must not look whole without it. */
    uint64_t first = saving->end != 0 ? saving->end : 1;
    uint64_t begin = goes_on ? oplog_end_position(change->old) : first;
    if (follows) {
        *origin = oplog_origin(change->old);
    } else if (goes_on) {
        origin->parent = oplog_origin(change->old).history;
        origin->history = history_fork(&origin->parent);
        origin->begin = begin;
    } else {
        *origin =
            (struct history_origin){.history = history_fork(&saving->history), .begin = begin};
    }
    struct oplog_plan plan = {
        .disk = change->folder,
        .history = origin->history,
        .parent = origin->parent,
        .begin = begin,
        .is_continued = follows,
        .history_begin = origin->begin,
        .sync = OPLOG_SYNC_NO,
        .segment_bytes = saving_log_segment_bytes(saving, change->kind),
        .progress = gate_progress,
        .context = &saving->server->node,
    };
    memcpy(plan.node_id, saving->node_id, sizeof(plan.node_id));
    return oplog_open(&plan, error);
}

/* Under a stop. Positions go on where a log follows a log: what is known of slots stays. */
static void attach(const struct log_switch *change, struct oplog *log) {
    struct node *node = &change->saving->server->node;
    bool goes_on = change->old != NULL && log != NULL;
    node->log = log;
    replication_set_log(&change->saving->server->replication, log);
    node->log_memory = change->kind == SAVING_LOG_MEMORY ? change->folder : NULL;
    node->log_gates = false;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if (!goes_on) {
            node->workers[i]->appended = 0;
            gate_configure(node->workers[i]);
        }
        loop_wake(node->workers[i]->loop);
    }
}

/* Under a stop, with the replica's mutex: its link appends to node.log, too. */
static void switch_locked(struct log_switch *change) {
    struct saving *saving = change->saving;
    struct node *node = &saving->server->node;
    for (uint32_t i = 0; node->log != NULL && i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    struct oplog *next = NULL;
    if (change->kind != SAVING_LOG_NONE) {
        struct history_origin origin;
        next = open_next(change, &origin, &change->error);
        if (next == NULL) {
            return;
        }
        saving->history = origin.history;
        if (node->is_replica) {
            ASSERT(change->old != NULL);
        } else if (change->old != NULL) {
            replication_lineage_turn(&saving->server->replication, &origin.history, origin.begin);
        } else {
            replication_lineage_begin(&saving->server->replication, &origin.history, origin.begin);
        }
    }
    attach(change, next);
    saving->log = next;
    saving->log_folder = change->folder;
    saving->log_kind = change->kind;
}

/* Under a stop. */
static void switch_log(void *context) {
    struct log_switch *change = context;
    pthread_mutex_t *mutex = &change->saving->server->replica.mutex;
    pthread_mutex_lock(mutex);
    switch_locked(change);
    pthread_mutex_unlock(mutex);
}

/* No image is being taken meanwhile: its positions are the log's. */
static void switch_in_turn(struct log_switch *change) {
    struct node *node = &change->saving->server->node;
    cutting_turn_take(&node->cutting_turn);
    stop_visit(node, switch_log, change);
    cutting_turn_give(&node->cutting_turn);
}

static void tell_replicator(const struct saving *saving) {
    replicator_set_log(saving->server->replicator,
                       &(struct replicator_log){
                           .log = saving->log,
                           .folder = saving->log_folder,
                           .is_memory = saving->log_kind == SAVING_LOG_MEMORY,
                       });
}

/* Nobody uses the old log any more. */
static int close_old(const struct log_switch *change) {
    change->saving->end = oplog_end_position(change->old);
    change->saving->history = oplog_origin(change->old).history;
    int error = oplog_close(change->old);
    folder_close(change->old_folder, change->old_kind);
    return error;
}

static struct log_switch switch_of(struct saving *saving, enum saving_log_kind kind) {
    return (struct log_switch){
        .saving = saving,
        .kind = kind,
        .old = saving->log,
        .old_folder = saving->log_folder,
        .old_kind = saving->log_kind,
    };
}

bool saving_log_begin(struct saving *saving, enum saving_log_kind kind, int *closing,
                      struct buffer *report) {
    struct log_switch change = switch_of(saving, kind);
    change.folder = folder_open(kind, report);
    if (change.folder == NULL) {
        return false;
    }
    switch_in_turn(&change);
    if (change.error != 0) {
        buffer_format(report, "cannot open a log%s: %s",
                      kind == SAVING_LOG_MEMORY ? "" : " in " SAVING_LOG_TEMPORARY,
                      strerror(-change.error));
        folder_close(change.folder, kind);
        return false;
    }
    tell_replicator(saving);
    int error = change.old == NULL ? 0 : close_old(&change);
    if (closing != NULL) {
        *closing = error;
    }
    return true;
}

static bool is_wanted(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    bool is_wanted =
        (saving->is_log_wanted || saving->server->node.is_replica) && !saving->is_stopping;
    pthread_mutex_unlock(&saving->mutex);
    return is_wanted;
}

int saving_log_end(struct saving *saving) {
    struct buffer report = BUFFER_EMPTY;
    int error = 0;
    if (saving->log_kind != SAVING_LOG_MEMORY && is_wanted(saving) &&
        saving_log_begin(saving, SAVING_LOG_MEMORY, &error, &report)) {
        return error;
    }
    buffer_free(&report);
    struct log_switch change = switch_of(saving, SAVING_LOG_NONE);
    switch_in_turn(&change);
    tell_replicator(saving);
    return close_old(&change);
}

int saving_log_close(struct saving *saving) {
    struct log_switch change = switch_of(saving, SAVING_LOG_NONE);
    saving->log = NULL;
    return close_old(&change);
}

/* ---- for replicas ---- */

void saving_log_trim(struct saving *saving) {
    if (saving->log_kind != SAVING_LOG_KEPT && saving->log_kind != SAVING_LOG_MEMORY) {
        return;
    }
    bool is_memory = saving->log_kind == SAVING_LOG_MEMORY;
    struct retention retention = {
        .end = oplog_end_position(saving->log),
        .snapshot = is_memory ? RETENTION_NOBODY : saving->kept_from,
    };
    struct oplog_segment *segments = oplog_segments(saving->log, &retention.segments_count);
    retention.segments = segments;
    retention.is_short = saving_disk_is_short(saving);
    if (retention.is_short) {
        oplog_renew(saving->log);
    }
    uint64_t position = replication_trim(&saving->server->replication, &retention, is_memory);
    memory_free(segments);
    oplog_trim(saving->log, position);
}

void saving_log_serve(struct saving *saving, bool is_wanted) {
    struct buffer report = BUFFER_EMPTY;
    if (is_wanted && saving->log_kind == SAVING_LOG_NONE) {
        if (!saving_log_begin(saving, SAVING_LOG_MEMORY, NULL, &report)) {
            log_warning("No log for replicas: %.*s", (int)report.length, report.bytes);
        }
    } else if (!is_wanted && saving->log_kind == SAVING_LOG_MEMORY) {
        saving_log_end(saving);
    } else {
        saving_log_trim(saving);
    }
    buffer_free(&report);
}

/* ---- the log that is kept ---- */

/* CONFIG SET appendfsync changes a log that gates. */
static void let_log_gate(void *context) {
    struct saving *saving = context;
    oplog_set_sync(saving->log, saving_sync(saving_options(saving)));
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

/* Since CONFIG SET dir, it may be that of another server. */
static bool claim_log(struct buffer *report) {
    struct disk folder;
    int error = disk_open(&folder, SAVING_LOG);
    if (error == 0) {
        error = folder.lock(folder.context);
        disk_close(&folder);
    }
    if (error != 0) {
        buffer_format(report, "cannot put the folder " SAVING_LOG " away: %s",
                      error == -EBUSY ? "another server has it" : strerror(-error));
    }
    return error == 0;
}

bool saving_log_put_away(struct buffer *report) {
    if (access(SAVING_LOG, F_OK) != 0) {
        return true;
    }
    if (!claim_log(report)) {
        return false;
    }
    saving_folder_remove(SAVING_LOG_OLD);
    if (rename(SAVING_LOG, SAVING_LOG_OLD) != 0) {
        buffer_format(report, "cannot rename " SAVING_LOG ": %s", strerror(errno));
        return false;
    }
    return names_sync(report);
}

bool saving_log_keep(struct saving *saving, struct buffer *report) {
    if (!saving_log_put_away(report)) {
        return false;
    }
    if (rename(SAVING_LOG_TEMPORARY, SAVING_LOG) != 0) {
        buffer_format(report, "cannot rename " SAVING_LOG_TEMPORARY ": %s", strerror(errno));
        return false;
    }
    saving->log_kind = SAVING_LOG_KEPT;
    saving->kept_from = saving->new_end;
    /* The log is where its base is: a start looks for both there. */
    memory_free(saving->start_dir);
    saving->start_dir = memory_copy_string(saving->dir);
    memcpy(saving->start_name, saving->name, sizeof(saving->start_name));
    saving->new_is_for_start = true;
    if (!names_sync(report)) {
        log_warning("Power loss may take the log that was just switched on with it.");
    }
    stop_visit(&saving->server->node, let_log_gate, saving);
    return true;
}
