#include "server/saving_parts.h"

#include "base/memory.h"
#include "io/clock.h"
#include "snapshot/snapshot_store.h"
#include "worker/applying.h"
#include "worker/gate.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static uint64_t node_keys(const struct node *node) {
    uint64_t keys = 0;
    for (uint32_t i = 0; i < node->keyspace->database_count; i++) {
        keys += keyspace_keys(node->keyspace, i);
    }
    return keys;
}

static void begin_image(void *context) {
    struct saving *saving = context;
    struct node *node = &saving->server->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    saving->begin_history = oplog_origin(saving->log).history;
    saving->begin = node->is_replica ? applying_drain(node) : oplog_end_position(saving->log);
    const char *dir = saving_options(saving)->dir;
    saving_file_name(saving_options(saving)->dbfilename, saving->name);
    if (saving->is_for_log) {
        memcpy(saving->name, saving->start_name, sizeof(saving->name));
        dir = saving->start_dir;
    }
    memory_free(saving->dir);
    saving->dir = memory_copy_string(dir);
    saving->is_compressed = saving_options(saving)->rdbcompression;
    saving->changes_at_begin = saving_changes(node);
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

/* A log that is there for this snapshot alone: when it fails, no snapshot comes of it, and what
 * waits in it would hold writes. The log that is kept gets over an error by itself. */
static int own_log_error(const struct saving *saving) {
    return saving->log_kind == SAVING_LOG_OF_SNAPSHOT ? -oplog_error(saving->log) : 0;
}

static int write_images(struct saving *saving, struct snapshot_writer *writer) {
    struct buffer room = BUFFER_EMPTY;
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
            error = own_log_error(saving);
            error = error != 0 ? error : snapshot_write_chunk(writer, chunk, &room);
            if (error != 0) {
                cutting_give_up(saving->cutting);
            }
        }
        image_chunk_free(chunk);
        cutting_stored(saving->cutting, bytes);
    }
    cutting_turn_give(&saving->server->node.cutting_turn);
    buffer_free(&room);
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

/* The frames from where the image was begun up to end. */
static int write_tail(const struct saving *saving, struct snapshot_writer *writer, uint64_t end,
                      struct buffer *report) {
    int error = wait_until_written(saving, end);
    return error != 0 ? error
                      : snapshot_write_tail(writer, &(struct snapshot_tail){
                                                        .log = saving->log_folder,
                                                        .begin = saving->begin,
                                                        .end = end,
                                                        .report = report,
                                                    });
}

static struct snapshot_writer *writer_new(const struct saving *saving, const struct disk *folder,
                                          struct buffer *report, int *error) {
    char name[DISK_NAME_BYTES_MAX];
    saving_temporary_name(saving->server, SAVING_TEMPORARY_SNAPSHOT, name);
    struct snapshot_writer_plan plan = {
        .disk = *folder,
        .name = name,
        .header =
            {
                .history = saving->begin_history,
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

/* All positions of a file are of one history. */
static bool has_turned(const struct saving *saving) {
    struct history history = oplog_origin(saving->log).history;
    return !history_equal(&history, &saving->begin_history);
}

/* The chunks, the tail, the end. */
static int write_file(struct saving *saving, struct snapshot_writer *writer,
                      struct buffer *report) {
    int error = write_images(saving, writer);
    uint64_t end = oplog_end_position(saving->log);
    if (error == 0 && has_turned(saving)) {
        buffer_append_string(report, "a new history began meanwhile");
        error = -EAGAIN;
    }
    if (error == 0) {
        error = write_tail(saving, writer, end, report);
    }
    if (error != 0) {
        snapshot_writer_abandon(writer);
        return error;
    }
    struct snapshot_finish finish = {.name = saving->name, .end = end, .end_ms = clock_wall_ms()};
    saving->new_end = end;
    error = snapshot_writer_finish(writer, &finish);
    saving->new_is_for_start = strcmp(saving->name, saving->start_name) == 0 &&
                               strcmp(saving->dir, saving->start_dir) == 0;
    if (error == 0 && saving->new_is_for_start) {
        saving->kept_from = end;
        if (saving->log_kind == SAVING_LOG_KEPT) {
            /* A segment may go once the next one is durable. */
            oplog_sync_wait(saving->log);
        }
        saving_log_trim(saving);
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
    cutting_turn_give(&saving->server->node.cutting_turn);
}

int saving_write_snapshot(struct saving *saving, const struct disk *folder, struct buffer *report) {
    cutting_turn_take(&saving->server->node.cutting_turn);
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
