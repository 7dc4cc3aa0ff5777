#include "server/reload.h"

#include "base/memory.h"
#include "commands/effect.h"
#include "io/clock.h"
#include "server/saving.h"
#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_writer.h"
#include "store/value_codec.h"
#include "worker/cutting.h"
#include "worker/digesting.h"
#include "worker/gate.h"
#include "worker/loading.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void pause_a_moment(void) {
    const struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
}

/* The saving thread takes the chunks meanwhile, or gives the image up. */
static void finish_image(struct node *node) {
    digesting_give_up(node);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        while (node->workers[i]->cut != NULL) {
            cutting_step(node->workers[i]);
            if (node->workers[i]->cut_waits) {
                pause_a_moment();
            }
        }
    }
}

/* ---- out ---- */

struct output {
    struct snapshot_writer *writer;
    struct buffer content;
    int error;
};

static uint64_t position_of(void *context) {
    (void)context;
    return 0;
}

static void chunk_is_full(void *context, struct image_chunk *chunk) {
    struct output *output = context;
    buffer_clear(&output->content);
    image_chunk_join(chunk, &output->content);
    if (output->error == 0) {
        output->error =
            snapshot_writer_add(output->writer, &(struct snapshot_content){
                                                    .kind = SNAPSHOT_IMAGE,
                                                    .slot_first = chunk->slot_first,
                                                    .slot_last = chunk->slot_last,
                                                    .raw = buffer_span(&output->content),
                                                });
    }
    image_chunk_free(chunk);
}

static void slot_is_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    struct output *output = context;
    snapshot_writer_slot(output->writer, slot, position, keys);
}

static void cut_store(struct store *store, bool has_access, struct output *output) {
    struct cut *cut = cut_new(&(struct cut_plan){
        .store = store,
        .target = {.context = output,
                   .position = position_of,
                   .chunk = chunk_is_full,
                   .slot_done = slot_is_done},
        .slot_first = store->slot_first,
        .slot_count = store->slot_count,
        .step_bytes = CUT_STEP_BYTES,
        .has_access = has_access,
    });
    struct cut_work work = {0};
    while (!cut_step(cut, &work)) {
    }
    cut_free(cut);
}

/* Images of all slots, in a file of this name. 0 or a negative errno. */
static int write_file(const struct server *server, const struct disk *folder, const char *name,
                      struct buffer *report) {
    const struct node *node = &server->node;
    const struct history none = {0};
    char temporary[DISK_NAME_BYTES_MAX];
    saving_temporary_name(server, SAVING_TEMPORARY_RELOAD_PART, temporary);
    struct snapshot_writer_plan plan = {
        .disk = *folder,
        .name = temporary,
        .header = {.history = history_fork(&none),
                   .begin_ms = clock_wall_ms(),
                   .databases = node->keyspace->database_count},
        .is_compressed = server->options->server.rdbcompression,
        .report = report,
    };
    struct output output = {.content = BUFFER_EMPTY};
    int error = 0;
    output.writer = snapshot_writer_new(&plan, &error);
    if (output.writer == NULL) {
        return error;
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        cut_store(node->workers[i]->store, server->options->store.maxmemory != 0, &output);
    }
    buffer_free(&output.content);
    if (output.error != 0) {
        snapshot_writer_abandon(output.writer);
        return output.error;
    }
    return snapshot_writer_finish(
        output.writer, &(struct snapshot_finish){.name = name, .end_ms = clock_wall_ms()});
}

/* ---- in ---- */

static void flush_all(const struct keyspace *keyspace) {
    for (uint32_t database = 0; database < keyspace->database_count; database++) {
        const struct effect flush = {.kind = EFFECT_DATABASE_FLUSH, .number = database};
        for (uint32_t i = 0; i < keyspace->store_count; i++) {
            effect_apply_to_database(keyspace->stores[i], &flush);
        }
    }
}

static bool load(const struct loading_plan *plan, struct buffer *report) {
    struct node *node = plan->node;
    struct loading *loading = loading_begin(plan);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        while (loading_has_work(node->workers[i])) {
            loading_step(node->workers[i]);
        }
    }
    bool has_failed = atomic_load(&loading->has_failed);
    buffer_append_span(report, buffer_span(&loading->report));
    loading_end(loading);
    atomic_store(&node->is_loading, false);
    return !has_failed;
}

static bool open_snapshot(const struct server *server, const struct disk *folder, const char *name,
                          struct snapshot_reader **snapshot, struct buffer *report) {
    if (snapshot_reader_open(folder, name, snapshot, report) != SNAPSHOT_READ_DONE) {
        return false;
    }
    if ((*snapshot)->header.databases > server->node.keyspace->database_count) {
        buffer_format(report, "%s was taken with %u databases", name,
                      (*snapshot)->header.databases);
        snapshot_reader_close(*snapshot);
        return false;
    }
    return true;
}

/* Whether all of it can be read, before what is there goes. */
static bool check_snapshot(const struct snapshot_reader *snapshot, struct buffer *report) {
    struct buffer content = BUFFER_EMPTY;
    enum snapshot_read_status status = SNAPSHOT_READ_DONE;
    for (uint32_t i = 0; status == SNAPSHOT_READ_DONE && i < snapshot->chunks_count; i++) {
        status = snapshot_reader_chunk(snapshot, i, &content, report);
    }
    buffer_free(&content);
    return status == SNAPSHOT_READ_DONE;
}

static bool check_log(const struct loading_plan *plan, struct buffer *report) {
    if (plan->log_from == plan->log_to) {
        return true;
    }
    struct oplog_reader_plan reading = {
        .disk = plan->log,
        .from = plan->log_from,
        .to = plan->log_to,
        .report = report,
    };
    struct oplog_reader *reader = NULL;
    enum oplog_read status = oplog_reader_open(&reading, &reader);
    struct oplog_frame frame;
    if (reader != NULL) {
        do {
            status = oplog_reader_next(reader, &frame);
        } while (status == OPLOG_READ_FRAME);
        oplog_reader_close(reader);
    }
    return status == OPLOG_READ_END;
}

static bool load_file(struct server *server, const struct disk *folder, const char *name,
                      const struct reload_options *options, struct buffer *report) {
    struct snapshot_reader *snapshot = NULL;
    if (!open_snapshot(server, folder, name, &snapshot, report)) {
        return false;
    }
    if (!check_snapshot(snapshot, report)) {
        snapshot_reader_close(snapshot);
        return false;
    }
    if (!options->no_flush) {
        flush_all(server->node.keyspace);
    }
    struct loading_plan plan = {
        .node = &server->node,
        .snapshot = snapshot,
        .bytes = snapshot->end.size_bytes,
        .replaces = options->merges,
    };
    bool is_loaded = load(&plan, report);
    snapshot_reader_close(snapshot);
    return is_loaded;
}

/* ---- what came from elsewhere goes into the log ---- */

/* Bytes of effects that one frame takes, and the effect that passes them. */
#define RECORD_FRAME_BYTES ((size_t)1024 * 1024)

struct recording {
    struct worker *worker; /* records for all */
    const struct oplog *log;
    struct place place; /* database and slot of what is visited */
    struct buffer payload;
};

static void record(const struct recording *recording, const struct place *place,
                   const struct effect *effect) {
    struct call_environment *environment = &recording->worker->executor.environment;
    const struct call call = {.environment = environment}; /* of no command */
    gate_begin_group(recording->worker);
    environment->observer.effect(environment->observer.context, &call, place, effect);
    if (oplog_batch_bytes(&recording->worker->batch) >= RECORD_FRAME_BYTES) {
        gate_append(recording->worker);
        while (oplog_is_full(recording->log) && oplog_error(recording->log) == 0) {
            pause_a_moment();
        }
    }
}

static void record_visit(void *element, void *context) {
    const struct entry *entry = element;
    struct recording *recording = context;
    buffer_clear(&recording->payload);
    value_encode(entry, false, &recording->payload);
    recording->place.key = entry_key(entry);
    const struct effect effect = {
        .kind = EFFECT_VALUE_RESTORE,
        .value = buffer_span(&recording->payload),
        .number = VALUE_ACCESS_NEW,
        .expiry_ms = entry_expiry(entry),
    };
    record(recording, &recording->place, &effect);
}

static void record_store(struct recording *recording, const struct store *store) {
    uint32_t database = recording->place.database;
    for (uint32_t slot = store_next_slot(store, database, store->slot_first); slot < SLOTS;
         slot = store_next_slot(store, database, slot + 1)) {
        const struct table *table = store_table(store, database, (uint16_t)slot);
        recording->place.slot = (uint16_t)slot;
        for (uint32_t i = 0; i < table->bucket_count; i++) {
            table_visit_bucket(table, i, record_visit, recording);
        }
    }
}

/* All data, in place of what the log has told so far. Several frames: a crash meanwhile leaves a
 * part of it. */
static void record_all(const struct server *server) {
    const struct node *node = &server->node;
    const struct keyspace *keyspace = node->keyspace;
    struct recording recording = {
        .worker = node->workers[0], .log = node->log, .payload = BUFFER_EMPTY};
    for (uint32_t database = 0; database < keyspace->database_count; database++) {
        const struct effect flush = {.kind = EFFECT_DATABASE_FLUSH, .number = database};
        record(&recording, NULL, &flush);
        recording.place.database = database;
        for (uint32_t i = 0; i < keyspace->store_count; i++) {
            record_store(&recording, keyspace->stores[i]);
        }
    }
    gate_append(recording.worker);
    buffer_free(&recording.payload);
}

enum reload_status reload_snapshot(struct server *server, const struct reload_options *options,
                                   struct buffer *report) {
    struct node *node = &server->node;
    struct disk folder;
    int error = disk_open(&folder, ".");
    if (error != 0) {
        buffer_append_string(report, strerror(-error));
        return RELOAD_NOT_SAVED;
    }
    finish_image(node);
    char name[DISK_NAME_BYTES_MAX];
    if (options->no_save) {
        saving_file_name(server->options->server.dbfilename, name);
    } else {
        saving_temporary_name(server, SAVING_TEMPORARY_RELOAD, name);
        error = write_file(server, &folder, name, report);
    }
    enum reload_status status = RELOAD_NOT_SAVED;
    if (error == 0) {
        status =
            load_file(server, &folder, name, options, report) ? RELOAD_DONE : RELOAD_NOT_LOADED;
    }
    if (error == 0 && !options->no_save) {
        folder.remove(folder.context, name);
    } else if (error == 0 && node->log != NULL) {
        record_all(server);
    }
    disk_close(&folder);
    return status;
}

/* ---- the log ---- */

/* What was appended must be in the files before it is read from there. */
static int wait_until_written(const struct oplog *oplog) {
    while (oplog_written_position(oplog) < oplog_end_position(oplog)) {
        if (oplog_error(oplog) != 0) {
            return oplog_error(oplog);
        }
        pause_a_moment();
    }
    return 0;
}

/* The snapshot must be of what the log goes on from. */
static bool belongs(struct server *server, const struct snapshot_reader *snapshot,
                    struct buffer *report) {
    struct lineage *own = memory_alloc_zeroed(sizeof(*own));
    uint64_t changes = 0;
    replication_lineage_read(&server->replication, own, &changes);
    const struct lineage_part end = {.history = snapshot->header.history,
                                     .position = snapshot->end.end};
    bool answer = lineage_holds(own, &end);
    memory_free(own);
    if (!answer) {
        buffer_format(report, "the snapshot %s is not one that the log goes on from",
                      snapshot->name);
    }
    return answer;
}

static bool load_log(struct server *server, const struct disk *folder,
                     const struct saving_start *start, struct buffer *report) {
    struct snapshot_reader *snapshot = NULL;
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", start->dir, start->name);
    if (access(path, F_OK) == 0 && !open_snapshot(server, folder, start->name, &snapshot, report)) {
        return false;
    }
    struct loading_plan plan = {
        .node = &server->node,
        .snapshot = snapshot,
        .log = start->log,
        .log_from = snapshot == NULL ? 0 : snapshot->end.end,
        .log_to = oplog_end_position(server->node.log),
    };
    bool is_loaded = (snapshot == NULL ||
                      (belongs(server, snapshot, report) && check_snapshot(snapshot, report))) &&
                     check_log(&plan, report);
    if (is_loaded) {
        flush_all(server->node.keyspace);
        is_loaded = load(&plan, report);
    }
    if (snapshot != NULL) {
        snapshot_reader_close(snapshot);
    }
    return is_loaded;
}

enum reload_status reload_log(struct server *server, struct buffer *report) {
    struct node *node = &server->node;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_append(node->workers[i]);
    }
    int error = wait_until_written(node->log);
    if (error != 0) {
        buffer_append_string(report, strerror(error));
        return RELOAD_NOT_SAVED;
    }
    struct saving_start start;
    saving_start_read(atomic_load(&server->saving), &start);
    struct disk folder;
    error = disk_open(&folder, start.dir);
    if (error != 0) {
        buffer_append_string(report, strerror(-error));
        return RELOAD_NOT_SAVED;
    }
    bool is_loaded = load_log(server, &folder, &start, report);
    disk_close(&folder);
    return is_loaded ? RELOAD_DONE : RELOAD_NOT_LOADED;
}
