#include "execute/conversion.h"

#include "execute/snapshot_load.h"
#include "snapshot/rdb_file.h"
#include "snapshot/rdb_format.h"
#include "snapshot/snapshot_writer.h"
#include "store/cut.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of a snapshot, so many are in memory at a time. */
#define CONVERSION_SLOTS (SLOTS / 16)
_Static_assert(SLOTS % CONVERSION_SLOTS == 0, "all ranges have the same size");

static struct keyspace *keyspace_open(const struct conversion_plan *plan, uint32_t databases) {
    uint64_t seeds[2];
    random_seed_bytes(seeds, sizeof(seeds));
    struct keyspace *keyspace = keyspace_new(plan->options, 1, databases, seeds);
    store_tick(keyspace->stores[0], plan->now_ms);
    return keyspace;
}

static void temporary_name(char *name, const char *suffix) {
    snprintf(name, DISK_NAME_BYTES_MAX, "temp-%d%s", (int)getpid(), suffix);
}

/* ---- to a snapshot ---- */

/* The keyspace on its way into the file. */
struct output {
    struct snapshot_writer *writer;
    struct buffer content;
};

static uint64_t position_of(void *context) {
    (void)context;
    return 0;
}

/* An error of the writer is told by its end. */
static void chunk_is_full(void *context, struct image_chunk *chunk) {
    struct output *output = context;
    struct span raw = buffer_span(&chunk->bytes);
    if (chunk->blocks_count != 0) {
        buffer_clear(&output->content);
        image_chunk_join(chunk, &output->content);
        raw = buffer_span(&output->content);
    }
    snapshot_writer_add(output->writer, &(struct snapshot_content){.kind = SNAPSHOT_IMAGE,
                                                                   .slot_first = chunk->slot_first,
                                                                   .slot_last = chunk->slot_last,
                                                                   .raw = raw});
    image_chunk_free(chunk);
}

static void slot_is_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    struct output *output = context;
    snapshot_writer_slot(output->writer, slot, position, keys);
}

static void write_store(struct output *output, struct store *store, bool has_access) {
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

static bool write_snapshot(const struct conversion_plan *plan, struct keyspace *keyspace,
                           struct buffer *report) {
    char temporary[DISK_NAME_BYTES_MAX];
    temporary_name(temporary, ".snapshot");
    const struct history none = {0};
    struct snapshot_writer_plan writer = {
        .disk = *plan->target,
        .name = temporary,
        .header = {.history = history_fork(&none),
                   .begin_ms = plan->now_ms,
                   .databases = plan->databases},
        .is_compressed = plan->compresses,
        .report = report,
    };
    random_seed_bytes(writer.header.node_id, sizeof(writer.header.node_id));
    int error;
    struct output output = {.writer = snapshot_writer_new(&writer, &error)};
    if (output.writer == NULL) {
        return false;
    }
    write_store(&output, keyspace->stores[0], plan->options->maxmemory != 0);
    buffer_free(&output.content);
    return snapshot_writer_finish(
               output.writer,
               &(struct snapshot_finish){.name = plan->target_name, .end_ms = plan->now_ms}) == 0;
}

/* An append only file of before 7.0 may begin as an RDB file does: its name decides. */
static bool is_rdb(const struct conversion_plan *plan) {
    const char *ending = strrchr(plan->source_name, '.');
    if (ending != NULL && (strcmp(ending, ".aof") == 0 || strcmp(ending, ".manifest") == 0)) {
        return false;
    }
    int error;
    char start[sizeof(RDB_MAGIC) - 1];
    struct disk_file *file =
        plan->source->open(plan->source->context, plan->source_name, false, &error);
    if (file == NULL) {
        return true;
    }
    int64_t count = plan->source->read(file, start, sizeof(start), 0);
    plan->source->close(file);
    /* What is empty, or no RDB file, is to be refused as one. */
    return count <= 0 || start[0] != '*';
}

enum import_status conversion_to_snapshot(const struct conversion_plan *plan,
                                          const struct command_table *commands,
                                          struct import_result *result, struct buffer *report) {
    struct keyspace *keyspace = keyspace_open(plan, plan->databases);
    struct random random;
    random_seed(&random, 0);
    struct call_environment environment = {
        .keyspace = keyspace, .options = plan->options, .random = &random};
    const struct import_plan import = {
        .environment = &environment,
        .commands = commands,
        .disk = plan->source,
        .now_ms = plan->now_ms,
        .takes_truncated = plan->takes_truncated,
    };
    enum import_status status = is_rdb(plan)
                                    ? import_rdb(&import, plan->source_name, result, report)
                                    : import_aof(&import, plan->source_name, result, report);
    if ((status == IMPORT_DONE || status == IMPORT_TRUNCATED) &&
        !write_snapshot(plan, keyspace, report)) {
        status = IMPORT_FAILED;
    }
    keyspace_free(keyspace);
    return status;
}

/* ---- to an RDB file ---- */

/* What chunk `index` may hold for the store; the tail may hold changes of any slot. */
static bool concerns(const struct snapshot_reader *reader, uint32_t index,
                     const struct store *store) {
    const struct snapshot_chunk *chunk = &reader->chunks[index];
    return chunk->kind != SNAPSHOT_IMAGE ||
           (chunk->slot_first < store->slot_first + store->slot_count &&
            chunk->slot_last >= store->slot_first);
}

static bool load_snapshot(const struct snapshot_reader *reader, struct store *store,
                          struct buffer *report) {
    struct snapshot_load load = {.reader = reader, .store = store, .content = BUFFER_EMPTY};
    bool is_loaded = true;
    for (uint32_t i = 0; is_loaded && i < reader->chunks_count; i++) {
        is_loaded = !concerns(reader, i, store) || snapshot_load_chunk(&load, i, report);
    }
    buffer_free(&load.content);
    return is_loaded;
}

struct walk {
    struct rdb_writer *writer;
    const struct store *store;
};

static void write_entry(void *element, void *context) {
    const struct walk *walk = context;
    rdb_writer_entry(walk->writer, walk->store, element);
}

static void write_database(struct walk *walk, uint32_t database) {
    const struct store *store = walk->store;
    uint64_t keys = store_keys(store, database);
    if (keys == 0) {
        return;
    }
    rdb_writer_database(walk->writer,
                        &(struct rdb_database){
                            .number = database,
                            .keys = keys,
                            .volatile_keys = store->databases[database]->volatile_keys,
                        });
    for (uint32_t slot = store_next_slot(store, database, 0); slot < SLOTS;
         slot = store_next_slot(store, database, slot + 1)) {
        uint64_t position = 0;
        do {
            position = table_scan(store_table(store, database, (uint16_t)slot), position,
                                  write_entry, walk);
        } while (position != 0);
    }
}

/* A range of slots at a time: what stands in memory is that part of the data. */
static bool write_keys(const struct conversion_plan *plan, const struct snapshot_reader *reader,
                       struct rdb_writer *writer, uint64_t *keys, struct buffer *report) {
    uint64_t seeds[2];
    random_seed_bytes(seeds, sizeof(seeds));
    bool is_loaded = true;
    for (uint32_t first = 0; is_loaded && first < SLOTS; first += CONVERSION_SLOTS) {
        if (plan->gives_up != NULL && atomic_load(plan->gives_up)) {
            buffer_append_string(report, "it is given up");
            return false;
        }
        struct store *store = store_new(&(struct store_plan){
            .options = plan->options,
            .secret = seeds[0],
            .seed = seeds[1],
            .slot_first = first,
            .slot_count = CONVERSION_SLOTS,
            .database_count = reader->header.databases,
        });
        store_tick(store, plan->now_ms);
        is_loaded = load_snapshot(reader, store, report);
        struct walk walk = {.writer = writer, .store = store};
        for (uint32_t i = 0; is_loaded && i < reader->header.databases; i++) {
            write_database(&walk, i);
            *keys += store_keys(store, i);
        }
        store_free(store);
    }
    return is_loaded;
}

/* Of no snapshot: a file without keys. */
static enum import_status write_rdb(const struct conversion_plan *plan,
                                    const struct snapshot_reader *reader, uint64_t *keys,
                                    struct buffer *report) {
    char temporary[DISK_NAME_BYTES_MAX];
    struct rdb_file file;
    temporary_name(temporary, ".rdb");
    int error = rdb_file_open(&file, plan->target, temporary);
    bool is_loaded = true;
    if (error == 0) {
        struct rdb_writer *writer =
            rdb_writer_new(&(struct rdb_writer_plan){.target = rdb_file_target(&file),
                                                     .compresses = plan->compresses,
                                                     .has_checksum = true});
        rdb_writer_head(
            writer, &(struct rdb_head){.redis_version = plan->redis_version,
                                       .time_ms = plan->now_ms,
                                       .used_memory = reader == NULL ? 0 : reader->end.raw_bytes});
        is_loaded = reader == NULL || write_keys(plan, reader, writer, keys, report);
        error = rdb_writer_finish(writer);
        rdb_writer_free(writer);
        if (error != 0 || !is_loaded) {
            rdb_file_abandon(&file);
        } else {
            error = rdb_file_finish(&file, plan->target_name);
        }
    }
    if (!is_loaded) {
        return IMPORT_DAMAGED;
    }
    if (error != 0) {
        buffer_format(report, "RDB file \"%s\": cannot write: %s", plan->target_name,
                      strerror(-error));
    }
    return error == 0 ? IMPORT_DONE : IMPORT_FAILED;
}

static enum import_status status_of_reader(enum snapshot_read_status status) {
    switch (status) {
    case SNAPSHOT_READ_DONE:
        return IMPORT_DONE;
    case SNAPSHOT_READ_FAILED:
        return IMPORT_FAILED;
    default:
        return IMPORT_DAMAGED;
    }
}

enum import_status conversion_to_rdb(const struct conversion_plan *plan, uint64_t *position,
                                     uint64_t *keys, struct buffer *report) {
    struct snapshot_reader *reader;
    enum import_status status =
        status_of_reader(snapshot_reader_open(plan->source, plan->source_name, &reader, report));
    *keys = 0;
    if (status != IMPORT_DONE) {
        return status;
    }
    *position = reader->end.end;
    status = write_rdb(plan, reader, keys, report);
    snapshot_reader_close(reader);
    return status;
}

enum import_status conversion_to_empty_rdb(const struct conversion_plan *plan,
                                           struct buffer *report) {
    uint64_t keys = 0;
    return write_rdb(plan, NULL, &keys, report);
}
