/* The log of a replica is changed as its primary's plan says: cut where the two part, or begun anew
 * elsewhere. What it held beyond is kept in files before that.
 *
 *   the log is synced and let go -> what is to be cut is saved -> a snapshot that holds any of it
 *   goes -> the log is cut, or removed -> it is opened again, in the primary's history
 *
 * A crash in between is one of two things at the next start: a base with its log, shorter or not,
 * or a log without its base, which is put away, and all is copied again.
 */
#include "server/saving_parts.h"

#include "base/hash.h"
#include "base/logger.h"
#include "base/memory.h"
#include "commands/effect_codec.h"
#include "io/files.h"
#include "io/memory_disk.h"
#include "oplog/divergence.h"
#include "oplog/segments.h"
#include "server/replica.h"
#include "server/replicator.h"
#include "snapshot/snapshot_reader.h"
#include "worker/gate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void saving_change_clear(struct saving_change *change) {
    memory_free(change->plan);
    buffer_free(&change->report);
    *change = (struct saving_change){.report = BUFFER_EMPTY};
}

void saving_change_set(struct saving_change *change, const struct message_plan *plan) {
    saving_change_clear(change);
    change->plan = memory_copy(plan, sizeof(*plan));
}

/* ---- what is cut off ---- */

/* Of what is kept: how much it is, and of which keys. */
struct loss {
    struct saving_change *change;
    uint64_t *keys; /* hashes */
    size_t count;
    size_t capacity;
};

static void loss_add_key(struct loss *loss, const struct effect_record *record) {
    if (loss->count == loss->capacity) {
        loss->capacity = loss->capacity * 2 + 1024;
        loss->keys = memory_realloc(loss->keys, loss->capacity * sizeof(loss->keys[0]));
    }
    loss->keys[loss->count++] =
        XXH3_64bits_withSeed(record->key.bytes, record->key.length, record->database);
}

static bool frame_is_lost(void *context, const struct history *history,
                          const struct oplog_frame *frame) {
    struct loss *loss = context;
    struct saving_change *change = loss->change;
    struct span content = frame->content;
    struct effect_record record;
    (void)history;
    while (effect_read(&content, &record) == EFFECT_READ_DONE) {
        change->effects++;
        if (record.slot == EFFECT_NODE_SLOT) {
            slot_set_fill(&change->touched);
        } else {
            slot_set_add(&change->touched, record.slot);
            loss_add_key(loss, &record);
        }
    }
    return true;
}

static int compare_keys(const void *a, const void *b) {
    uint64_t one;
    uint64_t other;
    memcpy(&one, a, sizeof(one));
    memcpy(&other, b, sizeof(other));
    return (one > other) - (one < other);
}

/* Different ones; as good as never does one hide another behind its hash. */
static uint64_t count_keys(struct loss *loss) {
    uint64_t keys = 0;
    if (loss->count > 0) {
        qsort(loss->keys, loss->count, sizeof(loss->keys[0]), compare_keys);
    }
    for (size_t i = 0; i < loss->count; i++) {
        keys += i == 0 || loss->keys[i] != loss->keys[i - 1];
    }
    return keys;
}

static void tell_loss(const struct saving_change *change, const struct divergence_saved *saved) {
    if (saved->report.length > 0) {
        log_warning("Divergence: %.*s", (int)saved->report.length, saved->report.bytes);
    }
    if (change->effects > 0) {
        log_warning("Divergence: the log held %llu effects of %llu keys in %u slots (%llu bytes, "
                    "from position %llu on) that the primary's does not: they are kept "
                    "in " SAVING_DIVERGENCE,
                    (unsigned long long)change->effects, (unsigned long long)change->keys,
                    slot_set_count(&change->touched), (unsigned long long)change->bytes,
                    (unsigned long long)saved->from);
    }
    if (change->is_unlisted) {
        log_warning("Divergence: the log does not reach back to where it parts from the primary's: "
                    "what it held before cannot be listed, and all slots are copied.");
    }
}

/* Keeps what stands from the position on. */
static bool save_loss(const struct saving *saving, struct saving_change *change,
                      uint64_t position) {
    struct disk kept;
    int error = disk_open(&kept, SAVING_DIVERGENCE);
    if (error != 0) {
        buffer_format(&change->report, "cannot open the folder " SAVING_DIVERGENCE ": %s",
                      strerror(-error));
        return false;
    }
    struct loss loss = {.change = change};
    struct divergence_plan plan = {
        .log = saving->log_folder,
        .kept = &kept,
        .position = position,
        .bytes_max = (uint64_t)saving_options(saving)->divergence_size_max,
        .frame = frame_is_lost,
        .context = &loss,
    };
    struct divergence_saved saved;
    bool is_done = divergence_save(&plan, &saved) == OPLOG_DONE;
    if (is_done) {
        change->bytes = saved.bytes;
        change->keys = count_keys(&loss);
        change->is_unlisted = saved.from > position && saving->end > position;
        tell_loss(change, &saved);
    } else {
        buffer_append_span(&change->report, buffer_span(&saved.report));
    }
    memory_free(loss.keys);
    divergence_saved_free(&saved);
    disk_close(&kept);
    return is_done;
}

/* ---- the base ---- */

/* path[PATH_MAX] of the snapshot that a start would find. Answers path. */
static const char *base_path(const struct saving *saving, char *path) {
    snprintf(path, PATH_MAX, "%s/%s", saving->start_dir, saving->start_name);
    return path;
}

/* That snapshot. NULL: there is none that can be read. */
static struct snapshot_reader *open_base(const struct saving *saving) {
    char path[PATH_MAX];
    struct disk folder;
    struct snapshot_reader *reader = NULL;
    struct buffer report = BUFFER_EMPTY;
    if (access(base_path(saving, path), F_OK) == 0 && disk_open(&folder, saving->start_dir) == 0) {
        if (snapshot_reader_open(&folder, saving->start_name, &reader, &report) !=
            SNAPSHOT_READ_DONE) {
            log_warning("The snapshot: %.*s", (int)report.length, report.bytes);
        }
        disk_close(&folder);
    }
    buffer_free(&report);
    return reader;
}

/* A snapshot that holds what the primary never will goes. Answers where it ends; UINT64_MAX: there
 * is none any more. */
static uint64_t check_base(const struct saving *saving, const struct message_plan *plan) {
    struct snapshot_reader *reader = open_base(saving);
    if (reader == NULL) {
        return UINT64_MAX;
    }
    struct lineage_part end = {.history = reader->header.history, .position = reader->end.end};
    snapshot_reader_close(reader);
    if (end.position <= plan->position && lineage_holds(&plan->lineage, &end)) {
        return end.position;
    }
    log_warning("The snapshot %s holds changes that the primary's log does not: it is removed.",
                saving->start_name);
    char path[PATH_MAX];
    unlink(base_path(saving, path));
    file_sync_directory(saving->start_dir);
    return UINT64_MAX;
}

/* ---- the log ---- */

/* Under a stop, with the replica's mutex: workers look at another log, or none. */
static void attach(struct saving *saving, struct oplog *log) {
    struct server *server = saving->server;
    struct node *node = &server->node;
    pthread_mutex_lock(&server->replica.mutex);
    node->log = log;
    replication_set_log(&server->replication, log);
    node->log_memory =
        log != NULL && saving->log_kind == SAVING_LOG_MEMORY ? saving->log_folder : NULL;
    node->log_gates = log != NULL && saving->log_kind == SAVING_LOG_KEPT;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        node->workers[i]->appended = 0;
        gate_configure(node->workers[i]);
        loop_wake(node->workers[i]->loop);
    }
    pthread_mutex_unlock(&server->replica.mutex);
}

static void detach_log(void *context) {
    attach(context, NULL);
}

static void attach_log(void *context) {
    struct saving *saving = context;
    attach(saving, saving->log);
}

/* What replies wait for is on disk before they are let go. */
static void let_go_of_log(struct saving *saving) {
    if (saving->log == NULL) {
        return;
    }
    if (saving->log_kind == SAVING_LOG_KEPT) {
        oplog_sync_wait(saving->log);
    }
    replicator_set_log(saving->server->replicator, &(struct replicator_log){.log = NULL});
    struct cutting_turn *turn = &saving->server->node.cutting_turn;
    cutting_turn_take(turn);
    stop_visit(&saving->server->node, detach_log, saving);
    cutting_turn_give(turn);
    saving->end = oplog_end_position(saving->log);
    int error = oplog_close(saving->log);
    saving->log = NULL;
    if (error != 0) {
        log_warning("The log was not whole on disk when it was changed: %s", strerror(-error));
    }
}

/* A replica that begins: its log is in memory where no disk is wanted. */
static bool open_folder(struct saving *saving, struct buffer *report) {
    if (saving->log_folder != NULL) {
        return true;
    }
    struct disk *folder = memory_alloc_zeroed(sizeof(*folder));
    if (!saving_options(saving)->appendonly) {
        memory_disk_open(folder);
        saving->log_kind = SAVING_LOG_MEMORY;
    } else {
        int error = saving_log_put_away(report) ? disk_open(folder, SAVING_LOG) : -EIO;
        if (error != 0) {
            buffer_format(report, "cannot open the folder " SAVING_LOG ": %s", strerror(-error));
            memory_free(folder);
            return false;
        }
        saving->log_kind = SAVING_LOG_KEPT;
    }
    saving->log_folder = folder;
    return true;
}

/* Of the history in which the log goes on, what its segments tell. False: the plan makes no
 * sense. */
static bool find_origin(const struct message_plan *plan, struct history_origin *origin) {
    const struct lineage *lineage = &plan->lineage;
    size_t i = 0;
    while (i < lineage->count && !history_equal(&lineage->parts[i].history, &plan->history)) {
        i++;
    }
    if (i == lineage->count || lineage->parts[i].position > plan->position) {
        return false;
    }
    *origin =
        (struct history_origin){.history = plan->history, .begin = lineage->parts[i].position};
    if (i > 0) {
        origin->parent = lineage->parts[i - 1].history;
    }
    return !history_is_none(&origin->history) && origin->history.epoch > origin->parent.epoch;
}

static bool open_log(struct saving *saving, const struct history_origin *origin, uint64_t position,
                     struct buffer *report) {
    bool is_memory = saving->log_kind == SAVING_LOG_MEMORY;
    struct oplog_plan plan = {
        .disk = saving->log_folder,
        .history = origin->history,
        .parent = origin->parent,
        .begin = position,
        .is_continued = true,
        .history_begin = origin->begin,
        .sync = is_memory ? OPLOG_SYNC_NO : saving_sync(saving_options(saving)),
        .segment_bytes = saving_log_segment_bytes(saving, saving->log_kind),
        .progress = gate_progress,
        .context = &saving->server->node,
    };
    memcpy(plan.node_id, saving->node_id, sizeof(plan.node_id));
    int error = 0;
    saving->log = oplog_open(&plan, &error);
    if (saving->log == NULL) {
        buffer_format(report, "cannot open the log: %s", strerror(-error));
        return false;
    }
    saving->history = origin->history;
    saving->end = position;
    stop_visit(&saving->server->node, attach_log, saving);
    replicator_set_log(saving->server->replicator,
                       &(struct replicator_log){.log = saving->log,
                                                .folder = saving->log_folder,
                                                .is_memory = is_memory});
    return true;
}

/* ---- the change ---- */

/* From where on this log is not the primary's. */
static uint64_t part_from(const struct saving *saving, const struct lineage *own,
                          const struct message_plan *plan) {
    struct lineage_log one = {.lineage = own, .end = saving->end};
    struct lineage_log other = {.lineage = &plan->lineage, .end = plan->position};
    struct lineage_part common;
    return lineage_common(&one, &other, &common) ? common.position : 0;
}

static uint64_t log_start(const struct saving *saving) {
    struct segments segments = SEGMENTS_EMPTY;
    uint64_t start = UINT64_MAX;
    if (segments_read(&segments, saving->log_folder) == 0 && segments.count > 0) {
        start = segments.found[0].name.first;
    }
    segments_free(&segments);
    return start;
}

/* Makes the folder a log that ends at the plan's position, empty perhaps. Says whether it has a
 * base to go on from. */
static int cut_folder(struct saving *saving, struct saving_change *change) {
    const struct message_plan *plan = change->plan;
    uint64_t base = check_base(saving, plan);
    uint64_t start = log_start(saving);
    bool has_base = start <= (base == UINT64_MAX ? 0 : base);
    int status = -ENOENT;
    if (plan->mode == PLAN_CUT && (has_base || saving->log_kind == SAVING_LOG_MEMORY)) {
        status = divergence_cut(saving->log_folder, &plan->history, plan->position);
    }
    if (status == -ENOENT) {
        status = oplog_remove(saving->log_folder);
        has_base = base == plan->position;
    }
    change->needs_base = !has_base && saving->log_kind == SAVING_LOG_KEPT;
    saving->kept_from = has_base && base != UINT64_MAX ? base : 0;
    saving->last_end = plan->position;
    return status;
}

static void take_lineage(struct saving *saving, const struct lineage *own,
                         const struct message_plan *plan) {
    struct replication *replication = &saving->server->replication;
    bool is_known = false;
    for (size_t i = 0; i < own->count; i++) {
        is_known = is_known || history_equal(&own->parts[i].history, &plan->history);
    }
    if (plan->mode == PLAN_CUT && is_known) {
        replication_lineage_cut(replication, &plan->history);
    } else {
        replication_lineage_begin(replication, &plan->history, plan->position);
    }
}

static bool carry_out(struct saving *saving, struct saving_change *change,
                      const struct lineage *own) {
    const struct message_plan *plan = change->plan;
    struct history_origin origin;
    if (!find_origin(plan, &origin)) {
        buffer_append_string(&change->report, "the primary's plan makes no sense");
        return false;
    }
    struct history_origin old = {.history = saving->history};
    bool had_log = saving->log != NULL;
    if (had_log) {
        old = oplog_origin(saving->log);
    }
    let_go_of_log(saving);
    bool is_ready = open_folder(saving, &change->report) &&
                    save_loss(saving, change, part_from(saving, own, plan));
    int status = is_ready ? cut_folder(saving, change) : 0;
    if (status != 0) {
        buffer_format(&change->report, "cannot cut the log: %s", strerror(-status));
    }
    if (status == 0 && is_ready) {
        take_lineage(saving, own, plan);
        return open_log(saving, &origin, plan->position, &change->report);
    }
    /* As it was: the link begins again. */
    if (had_log && !is_ready) {
        open_log(saving, &old, saving->end, &change->report);
    }
    return false;
}

void saving_change_log(struct saving *saving, struct saving_change *change) {
    struct lineage *own = memory_alloc_zeroed(sizeof(*own));
    uint64_t changes = 0;
    if (saving->log != NULL) {
        replication_lineage_read(&saving->server->replication, own, &changes);
    }
    change->is_done = carry_out(saving, change, own);
    if (change->is_done && change->is_unlisted) {
        slot_set_fill(&change->touched);
    }
    memory_free(own);
    replica_log_changed(&saving->server->replica);
}
