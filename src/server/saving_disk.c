/* What the log, and what is kept beside it, take on disk, and how that is kept below log-size-max.
 *
 *   counted     segments and room set aside for them, a log that a snapshot needs, the old log, the
 *               divergence files
 *   a half      a snapshot is taken, if it lets an eighth go
 *   3 quarters  what is kept for others gives way: the log for replicas that are away, then the old
 *               log, then the oldest divergence files
 *   7 eighths   writes are refused, a replica reads no more of its primary's log
 *
 * The last eighth is for the segment that is made ahead: none is larger. Where writes begin to be
 * refused is a position of the log, so a worker looks at no clock and no file; worker 0 sets it
 * anew with each cron.
 */
#include "server/saving_parts.h"

#include "base/logger.h"
#include "io/clock.h"
#include "io/files.h"
#include "oplog/divergence.h"
#include "server/replicator.h"

#include <stdio.h>
#include <unistd.h>

/* How often what takes room is looked for, while there is too little. */
#define DISK_LOOK_MS 1000
/* And else: others may put files there, and take them away. */
#define DISK_LOOK_IDLE_MS 10000
/* A maximum below it counts as this one. */
#define DISK_MAX_LEAST ((uint64_t)1024 * 1024)
#define DISK_SEGMENT_LEAST ((uint64_t)4096)
#define DISK_PARTS 8 /* of the maximum: the bounds above */
#define PARTS_SNAPSHOT 4
#define PARTS_SHORT 6
#define PARTS_REFUSED 7

static uint64_t part(uint64_t max, uint64_t parts) {
    return max / DISK_PARTS * parts;
}

/* What the option says. */
static uint64_t max_of(const struct server_options *options, uint64_t file_system_bytes) {
    int64_t size = options->log_size_max;
    if (size == 0 || (size < 0 && file_system_bytes == 0)) {
        return SAVING_DISK_NO_MAX;
    }
    uint64_t max = size > 0 ? (uint64_t)size : file_system_bytes / 100 * (uint64_t)-size;
    return max > DISK_MAX_LEAST ? max : DISK_MAX_LEAST;
}

static uint64_t segment_bytes_for(const struct server_options *options, uint64_t max) {
    uint64_t wanted = (uint64_t)options->log_segment_size;
    uint64_t most = part(max, 1) > DISK_SEGMENT_LEAST ? part(max, 1) : DISK_SEGMENT_LEAST;
    return max == SAVING_DISK_NO_MAX || wanted < most ? wanted : most;
}

uint64_t saving_segment_bytes(const struct server_options *options) {
    return segment_bytes_for(options, max_of(options, file_system_size(".")));
}

static bool is_on_disk(enum saving_log_kind kind) {
    return kind == SAVING_LOG_KEPT || kind == SAVING_LOG_OF_SNAPSHOT;
}

static uint64_t sum_of(const struct saving_disk *disk, uint64_t log_bytes) {
    return log_bytes + disk->old_bytes + disk->divergence_bytes;
}

/* ---- by worker 0 ---- */

/* Where writes begin to be refused, 0: nowhere. With the mutex. */
static uint64_t log_end_max(const struct saving *saving, const struct oplog *log) {
    const struct saving_disk *disk = &saving->disk;
    uint64_t most = part(disk->max, PARTS_REFUSED);
    uint64_t used = sum_of(disk, disk->log_bytes);
    /* Until it is whole a replica must go on: nothing else would let its log go. */
    if (disk->max == SAVING_DISK_NO_MAX || atomic_load(&saving->server->node.is_incomplete)) {
        return 0;
    }
    return oplog_end_position(log) + (most > used ? most - used : 0);
}

static void log_bytes_read(struct saving_disk *disk, struct oplog *log) {
    disk->log_bytes = 0;
    if (log != NULL) {
        uint64_t written = oplog_written_position(log);
        uint64_t end = oplog_end_position(log);
        disk->log_bytes = oplog_disk_bytes(log) + (end > written ? end - written : 0);
    }
}

/* Whether the saving thread is to look for what takes room. */
static bool wants_look(struct saving *saving, int64_t now_ms) {
    struct saving_disk *disk = &saving->disk;
    bool is_new = disk->max != disk->fitted_max;
    bool is_short = disk->max != SAVING_DISK_NO_MAX &&
                    sum_of(disk, disk->log_bytes) >= part(disk->max, PARTS_SHORT);
    bool is_over = disk->divergence_max != 0 && disk->divergence_bytes > disk->divergence_max;
    int64_t pause_ms = is_new || is_short || is_over ? DISK_LOOK_MS : DISK_LOOK_IDLE_MS;
    if (now_ms - disk->looked_ms < pause_ms) {
        return false;
    }
    disk->looked_ms = now_ms;
    return true;
}

void saving_disk_cron(struct saving *saving, int64_t now_ms) {
    struct node *node = &saving->server->node;
    struct saving_disk *disk = &saving->disk;
    const struct server_options *options = saving_options(saving);
    struct oplog *log = node->log_memory == NULL ? node->log : NULL;
    bool was_at_max = node_log_is_at_max(node);
    disk->max = max_of(options, disk->file_system_bytes);
    disk->divergence_max = (uint64_t)options->divergence_size_max;
    log_bytes_read(disk, log);
    atomic_store(&node->log_end_max, log == NULL ? 0 : log_end_max(saving, log));
    if (was_at_max && !node_log_is_at_max(node)) {
        loop_wake(saving->server->replicator->loop);
    }
    if (wants_look(saving, now_ms)) {
        saving->trim_is_due = true;
        pthread_cond_broadcast(&saving->changed);
    }
}

bool saving_disk_asks(const struct saving *saving, uint64_t grown, int64_t now_ms) {
    const struct saving_disk *disk = &saving->disk;
    uint64_t used = sum_of(disk, disk->log_bytes);
    if (disk->max == SAVING_DISK_NO_MAX || used < part(disk->max, PARTS_SNAPSHOT)) {
        return false;
    }
    /* However little it lets go, it is all that can be done. */
    bool is_last_resort = used >= part(disk->max, PARTS_REFUSED) && grown > 0 &&
                          now_ms - saving->tried_ms >= SAVING_RETRY_MS;
    return grown >= part(disk->max, 1) || is_last_resort;
}

/* ---- by the saving thread ---- */

static uint64_t used_now(struct saving *saving) {
    uint64_t log_bytes = is_on_disk(saving->log_kind) ? oplog_disk_bytes(saving->log) : 0;
    pthread_mutex_lock(&saving->mutex);
    uint64_t used = sum_of(&saving->disk, log_bytes);
    pthread_mutex_unlock(&saving->mutex);
    return used;
}

static uint64_t max_now(struct saving *saving) {
    pthread_mutex_lock(&saving->mutex);
    uint64_t max = saving->disk.max;
    pthread_mutex_unlock(&saving->mutex);
    return max;
}

uint64_t saving_disk_segment_bytes(struct saving *saving) {
    return segment_bytes_for(saving_options(saving), max_now(saving));
}

bool saving_disk_is_short(struct saving *saving) {
    uint64_t max = max_now(saving);
    return max != SAVING_DISK_NO_MAX && used_now(saving) >= part(max, PARTS_SHORT);
}

/* The old log's, and that of the divergence files. */
static void others_measure(struct saving *saving) {
    uint64_t file_system_bytes = file_system_size(".");
    uint64_t old_bytes = folder_size(SAVING_LOG_OLD);
    uint64_t divergence_bytes = folder_size(SAVING_DIVERGENCE);
    pthread_mutex_lock(&saving->mutex);
    saving->disk.file_system_bytes = file_system_bytes;
    saving->disk.old_bytes = old_bytes;
    saving->disk.divergence_bytes = divergence_bytes;
    saving->disk.fitted_max = saving->disk.max;
    pthread_mutex_unlock(&saving->mutex);
}

static void old_log_remove(struct saving *saving) {
    if (saving->disk.old_bytes == 0) {
        return;
    }
    log_warning("The folder " SAVING_LOG_OLD " (%llu bytes) is removed: the log and what is kept "
                "beside it come near log-size-max.",
                (unsigned long long)saving->disk.old_bytes);
    saving_folder_remove(SAVING_LOG_OLD);
    others_measure(saving);
}

/* The oldest go until the files take no more than so much. */
static void divergence_fit(struct saving *saving, uint64_t bytes_max) {
    struct disk kept;
    if (saving->disk.divergence_bytes <= bytes_max || disk_open(&kept, SAVING_DIVERGENCE) != 0) {
        return;
    }
    struct divergence_trimmed trimmed = {.report = BUFFER_EMPTY};
    int error = divergence_trim(&kept, bytes_max, &trimmed);
    if (error != 0) {
        log_warning("Divergence files cannot be removed: %s", strerror(-error));
    }
    if (trimmed.files_removed > 0) {
        log_warning("Divergence: %.*s", (int)trimmed.report.length, trimmed.report.bytes);
    }
    buffer_free(&trimmed.report);
    disk_close(&kept);
    others_measure(saving);
}

void saving_disk_fit(struct saving *saving) {
    others_measure(saving);
    uint64_t max = max_now(saving);
    bool is_fitting = is_on_disk(saving->log_kind) &&
                      oplog_set_segment_bytes(saving->log, saving_disk_segment_bytes(saving));
    pthread_mutex_lock(&saving->mutex);
    uint64_t divergence_max = saving->disk.divergence_max;
    pthread_mutex_unlock(&saving->mutex);
    if (divergence_max != 0) {
        divergence_fit(saving, divergence_max);
    }
    if (max == SAVING_DISK_NO_MAX || is_fitting) {
        return; /* That alone may be enough. */
    }
    uint64_t most = part(max, PARTS_SHORT);
    if (used_now(saving) >= most) {
        old_log_remove(saving);
    }
    uint64_t used = used_now(saving);
    if (used >= most) {
        uint64_t kept = saving->disk.divergence_bytes;
        uint64_t excess = used - most + 1;
        divergence_fit(saving, kept > excess ? kept - excess : 0);
    }
}

void saving_disk_begin(struct saving *saving) {
    others_measure(saving);
    pthread_mutex_lock(&saving->mutex);
    saving_disk_cron(saving, clock_wall_ms());
    pthread_mutex_unlock(&saving->mutex);
}
