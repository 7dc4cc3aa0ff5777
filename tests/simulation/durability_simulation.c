/* The whole way of the data to the disk and back, as the server goes it, on a simulated disk from
 * one seed: random commands on a node of some workers, whose effects go through the gate into the
 * log; snapshots that are cut meanwhile, written with the log's tail, and trim the log; calls of
 * the disk that fail; ends of the process and losses of power at any moment; recovery, loading by
 * another number of workers; life after life. The digest of all data is noted at each append, and
 *
 *   - what a start loads is the data as it was at the log's recovered end, which is not before what
 *     had been written, or synced if power was lost;
 *   - a finished snapshot alone is the data at its end, and a bit of it that flips is noticed;
 *   - from there on, frame by frame of the log, the data is what it was at the frame's end.
 *
 * durability_simulation [--seed N] [--seeds COUNT]: seeds N to N + COUNT - 1. Prints the seed that
 * failed and how to repeat it. The last line is one that tests/run-programs adds up.
 */
#include "base/assertion.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "execute/snapshot_load.h"
#include "oplog/recovery.h"
#include "snapshot/snapshot_store.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/random_commands.h"
#include "tests/simulation/seeds.h"
#include "worker/cutting.h"
#include "worker/gate.h"
#include "worker/loading.h"
#include "worker/removal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT (150 / SEEDS_PART)
#define LIVES_MAX 3
#define STEPS_MAX 500
#define WORKERS_MAX 4
#define FLIPS 1 /* of each snapshot */
#define SNAPSHOT_NAME "dump.snapshot"
#define SNAPSHOT_TEMPORARY_NAME "temp.snapshot"

/* The data at a position of the log. */
struct moment {
    uint64_t position;
    uint64_t digest;
};

/* A snapshot that is being taken. */
struct taking {
    struct snapshot_writer *writer; /* NULL: none is */
    struct cutting *cutting;
    struct buffer room;
    uint64_t begin;
    int error;
};

struct simulation {
    uint64_t seed;
    struct random random;
    struct simulated_disk *simulated;
    struct disk disk;
    struct oplog *oplog;
    struct dataset *dataset;
    struct worker *pending; /* the one with a batch that is not appended */
    int64_t now_ms;
    struct moment *moments; /* in their order; the first is the beginning of all */
    size_t moments_count;
    size_t moments_capacity;
    struct taking taking;
    uint64_t snapshot_end; /* of the last one that was finished */
    uint64_t snapshots;
    uint64_t written; /* promises of this life */
    uint64_t synced;
    bool was_power_lost;
    struct buffer report;
    const char *broken;
};

static bool check(struct simulation *simulation, bool fact, const char *sentence) {
    if (!fact && simulation->broken == NULL) {
        simulation->broken = sentence;
    }
    return fact;
}

static uint64_t below(struct simulation *simulation, uint64_t bound) {
    return random_below(&simulation->random, bound);
}

/* ---- moments ---- */

static void moment_add(struct simulation *simulation, uint64_t position, uint64_t digest) {
    if (simulation->moments_count == simulation->moments_capacity) {
        simulation->moments_capacity = simulation->moments_capacity * 2 + 64;
        simulation->moments = memory_realloc(simulation->moments,
                                             simulation->moments_capacity * sizeof(struct moment));
    }
    simulation->moments[simulation->moments_count++] =
        (struct moment){.position = position, .digest = digest};
}

static const struct moment *moment_at(const struct simulation *simulation, uint64_t position) {
    for (size_t i = simulation->moments_count; i > 0; i--) {
        if (simulation->moments[i - 1].position == position) {
            return &simulation->moments[i - 1];
        }
    }
    return NULL;
}

static void check_moment(struct simulation *simulation, struct dataset *dataset, uint64_t position,
                         const char *sentence) {
    const struct moment *moment = moment_at(simulation, position);
    if (check(simulation, moment != NULL, "a position that is found is the end of an append")) {
        check(simulation, dataset_digest(dataset) == moment->digest, sentence);
    }
}

/* ---- commands ---- */

/* The worker's batch goes into the log; the data is noted. By way of the cut's step, which must
 * append before it looks at anything, or directly. */
static void append(struct simulation *simulation, struct worker *worker, bool cuts) {
    uint64_t digest = dataset_digest_changed(simulation->dataset, worker);
    uint64_t before = oplog_end_position(simulation->oplog);
    if (cuts) {
        cutting_step(worker);
    }
    gate_append(worker);
    simulation->pending = simulation->pending == worker ? NULL : simulation->pending;
    uint64_t end = oplog_end_position(simulation->oplog);
    if (end != before) {
        moment_add(simulation, end, digest);
    }
}

static void append_pending(struct simulation *simulation) {
    if (simulation->pending != NULL) {
        append(simulation, simulation->pending, false);
    }
}

/* Another worker than the one that ran before appends first: then each append is of one moment. */
static void run_on(struct simulation *simulation, struct worker *worker,
                   const struct dataset_command *command) {
    if (simulation->pending != worker) {
        append_pending(simulation);
    }
    simulation->pending = worker;
    dataset_run(worker, command);
}

static void run_command(struct simulation *simulation) {
    struct dataset_command command = {0};
    random_command_make(&command, &simulation->random, simulation->now_ms);
    struct worker *worker = dataset_worker_of(simulation->dataset, &command);
    if (worker != NULL) {
        run_on(simulation, worker, &command);
    } else {
        /* A stop: all have appended what they held, one runs it. */
        const struct node *node = &simulation->dataset->node;
        append_pending(simulation);
        run_on(simulation, node->workers[below(simulation, node->worker_count)], &command);
        append_pending(simulation);
    }
    dataset_command_clear(&command);
}

/* Commands over any slots that one worker runs, and that count together. */
static void run_transaction(struct simulation *simulation) {
    const struct node *node = &simulation->dataset->node;
    struct worker *worker = node->workers[below(simulation, node->worker_count)];
    append_pending(simulation);
    for (uint64_t i = 2 + below(simulation, 6); i > 0; i--) {
        struct dataset_command command = {0};
        random_command_make(&command, &simulation->random, simulation->now_ms);
        run_on(simulation, worker, &command);
        dataset_command_clear(&command);
    }
    append_pending(simulation);
}

static struct worker *any_worker(struct simulation *simulation) {
    const struct node *node = &simulation->dataset->node;
    return node->workers[below(simulation, node->worker_count)];
}

static void expire(struct simulation *simulation) {
    struct worker *worker = any_worker(simulation);
    if (simulation->pending != worker) {
        append_pending(simulation);
    }
    simulation->pending = worker;
    removal_expire_step(worker);
    store_bury_step(worker->store, TICK_BURIED_ELEMENTS_MAX);
}

/* ---- snapshots ---- */

static void taking_begin(struct simulation *simulation) {
    struct node *node = &simulation->dataset->node;
    struct taking *taking = &simulation->taking;
    append_pending(simulation);
    taking->begin = oplog_end_position(simulation->oplog);
    struct snapshot_writer_plan plan = {
        .disk = simulation->disk,
        .name = SNAPSHOT_TEMPORARY_NAME,
        .header =
            {
                .history = oplog_origin(simulation->oplog).history,
                .begin = taking->begin,
                .databases = RANDOM_COMMANDS_DATABASES,
            },
        .is_compressed = below(simulation, 2) == 0,
        .report = &simulation->report,
    };
    taking->writer = snapshot_writer_new(&plan, &taking->error);
    if (taking->writer != NULL) {
        taking->cutting = cutting_begin(node, below(simulation, 2) == 0);
        taking->error = 0;
    }
}

static void taking_end(struct simulation *simulation) {
    struct taking *taking = &simulation->taking;
    if (taking->cutting != NULL) {
        cutting_end(taking->cutting);
        taking->cutting = NULL;
    }
    if (taking->writer != NULL) {
        snapshot_writer_abandon(taking->writer);
        taking->writer = NULL;
    }
    buffer_free(&taking->room);
}

static void taking_store(struct taking *taking) {
    while (!list_is_empty(&taking->cutting->chunks)) {
        struct image_chunk *chunk = cutting_take(taking->cutting);
        if (taking->error == 0) {
            taking->error = snapshot_write_chunk(taking->writer, chunk, &taking->room);
        }
        cutting_stored(taking->cutting, image_chunk_bytes(chunk));
        image_chunk_free(chunk);
    }
}

static bool write_all(struct simulation *simulation) {
    while (oplog_error(simulation->oplog) == 0 && oplog_step_write(simulation->oplog)) {
    }
    return oplog_written_position(simulation->oplog) == oplog_end_position(simulation->oplog);
}

static void trim(struct simulation *simulation, uint64_t position) {
    while (oplog_error(simulation->oplog) == 0 &&
           (oplog_step_write(simulation->oplog) || oplog_step_sync(simulation->oplog))) {
    }
    oplog_trim(simulation->oplog, position);
}

static void check_snapshot(struct simulation *simulation);

/* The images are whole: the tail, which still grows while it is written, and the end. */
static void taking_finish(struct simulation *simulation) {
    struct taking *taking = &simulation->taking;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct cutting_slot *done = &taking->cutting->slots[slot];
        snapshot_writer_slot(taking->writer, (uint16_t)slot, done->position, done->keys);
    }
    append_pending(simulation);
    struct snapshot_finish finish = {.name = SNAPSHOT_NAME,
                                     .end = oplog_end_position(simulation->oplog)};
    for (uint64_t i = below(simulation, 4); i > 0; i--) {
        run_command(simulation);
    }
    append_pending(simulation);
    if (!write_all(simulation)) {
        taking->error = -EIO;
    }
    if (taking->error == 0) {
        taking->error = snapshot_write_tail(taking->writer, &(struct snapshot_tail){
                                                                .log = &simulation->disk,
                                                                .begin = taking->begin,
                                                                .end = finish.end,
                                                                .report = &simulation->report,
                                                            });
    }
    if (taking->error == 0) {
        taking->error = snapshot_writer_finish(taking->writer, &finish);
        taking->writer = NULL;
    }
    bool is_done = taking->error == 0;
    taking_end(simulation);
    if (is_done) {
        simulation->snapshot_end = finish.end;
        simulation->snapshots++;
        check_snapshot(simulation);
        trim(simulation, finish.end);
    }
}

static void taking_step(struct simulation *simulation) {
    struct taking *taking = &simulation->taking;
    struct worker *worker = any_worker(simulation);
    if (simulation->pending != worker) {
        append_pending(simulation);
    }
    append(simulation, worker, true);
    taking_store(taking);
    if (taking->error != 0) {
        taking_end(simulation);
    } else if (taking->cutting->working == 0) {
        taking_finish(simulation);
    }
}

/* ---- loading ---- */

static struct dataset *dataset_of(struct simulation *simulation, uint32_t workers) {
    return dataset_new(&(struct dataset_plan){
        .workers = workers,
        .databases = RANDOM_COMMANDS_DATABASES,
        .seed = simulation->seed,
        .now_ms = simulation->now_ms,
    });
}

static void name_found(void *context, const char *name) {
    bool *is_there = context;
    *is_there = *is_there || strcmp(name, SNAPSHOT_NAME) == 0;
}

/* NULL: there is none, or it cannot be read. */
static struct snapshot_reader *snapshot_open(struct simulation *simulation) {
    bool is_there = false;
    simulation->disk.list(simulation->disk.context, name_found, &is_there);
    struct snapshot_reader *reader = NULL;
    if (is_there) {
        enum snapshot_read_status status =
            snapshot_reader_open(&simulation->disk, SNAPSHOT_NAME, &reader, &simulation->report);
        check(simulation, status == SNAPSHOT_READ_DONE, "a snapshot under its name can be read");
    }
    return reader;
}

/* As a start does it: each worker for itself, step by step. */
static void load(struct simulation *simulation, struct dataset *dataset,
                 const struct snapshot_reader *snapshot, uint64_t end) {
    struct node *node = &dataset->node;
    struct loading *loading = loading_begin(&(struct loading_plan){
        .node = node,
        .snapshot = snapshot,
        .log = &simulation->disk,
        .log_from = snapshot == NULL ? 0 : snapshot->end.end,
        .log_to = end,
    });
    while (loading->working > 0) {
        struct worker *worker = node->workers[below(simulation, node->worker_count)];
        loading_step(worker);
    }
    buffer_append_span(&simulation->report, buffer_span(&loading->report));
    check(simulation, !atomic_load(&loading->has_failed), "what was found can be loaded");
    loading_end(loading);
    atomic_store(&node->is_loading, false);
}

static bool is_whole(const struct snapshot_reader *snapshot, struct buffer *report) {
    struct buffer content = BUFFER_EMPTY;
    enum snapshot_read_status status = SNAPSHOT_READ_DONE;
    for (uint32_t i = 0; status == SNAPSHOT_READ_DONE && i < snapshot->chunks_count; i++) {
        status = snapshot_reader_chunk(snapshot, i, &content, report);
    }
    buffer_free(&content);
    return status == SNAPSHOT_READ_DONE;
}

/* Any bit of the snapshot, wherever it is, and back. */
static void check_flipped(struct simulation *simulation, uint64_t size_bytes) {
    uint64_t bit = below(simulation, 8 * size_bytes);
    struct snapshot_reader *snapshot = NULL;
    struct buffer report = BUFFER_EMPTY;
    simulated_disk_flip_bit_at(simulation->simulated, SNAPSHOT_NAME, bit);
    enum snapshot_read_status status =
        snapshot_reader_open(&simulation->disk, SNAPSHOT_NAME, &snapshot, &report);
    check(simulation, status != SNAPSHOT_READ_DONE || !is_whole(snapshot, &report),
          "a bit of a snapshot that flips is noticed");
    check(simulation, report.length > 0 || simulation->broken != NULL, "damage is told");
    if (snapshot != NULL) {
        snapshot_reader_close(snapshot);
    }
    buffer_free(&report);
    simulated_disk_flip_bit_at(simulation->simulated, SNAPSHOT_NAME, bit);
}

/* The last snapshot, and nothing else. */
static void check_snapshot(struct simulation *simulation) {
    struct snapshot_reader *snapshot = snapshot_open(simulation);
    if (!check(simulation, snapshot != NULL, "a snapshot that was finished is there")) {
        return;
    }
    struct dataset *dataset = dataset_of(simulation, 1 + (uint32_t)below(simulation, WORKERS_MAX));
    load(simulation, dataset, snapshot, snapshot->end.end);
    check_moment(simulation, dataset, snapshot->end.end, "a snapshot is the data at its end");
    dataset_free(dataset);
    uint64_t size_bytes = snapshot->end.size_bytes;
    snapshot_reader_close(snapshot);
    for (int i = 0; i < FLIPS && simulation->broken == NULL; i++) {
        check_flipped(simulation, size_bytes);
    }
}

static void load_snapshot(struct simulation *simulation, struct snapshot_load *load) {
    for (uint32_t i = 0; load->reader != NULL && i < load->reader->chunks_count; i++) {
        check(simulation, snapshot_load_chunk(load, i, &simulation->report),
              "a snapshot's chunks can be loaded");
    }
}

/* The snapshot, then the log one frame at a time. */
static void check_frames(struct simulation *simulation) {
    struct snapshot_reader *snapshot = snapshot_open(simulation);
    struct dataset *dataset = dataset_of(simulation, 1);
    struct snapshot_load load = {.reader = snapshot, .store = dataset->node.keyspace->stores[0]};
    load_snapshot(simulation, &load);
    struct oplog_reader_plan plan = {
        .disk = &simulation->disk,
        .from = snapshot == NULL ? 0 : snapshot->end.end,
        .to = oplog_written_position(simulation->oplog),
        .report = &simulation->report,
    };
    struct oplog_reader *reader = NULL;
    oplog_reader_open(&plan, &reader);
    check(simulation, reader != NULL, "the log has the snapshot's end");
    struct oplog_frame frame;
    enum oplog_read read = OPLOG_READ_END;
    while (simulation->broken == NULL &&
           (read = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        check(simulation,
              snapshot_load_frame(&load, frame.position, frame.content, &simulation->report),
              "a frame of the log can be applied");
        check_moment(simulation, dataset, frame.end, "each frame leads to the next moment");
    }
    check(simulation, read == OPLOG_READ_END, "the log can be read up to what was written");
    oplog_reader_close(reader);
    buffer_free(&load.content);
    dataset_free(dataset);
    if (snapshot != NULL) {
        snapshot_reader_close(snapshot);
    }
}

/* ---- the beginning of a life ---- */

static bool take_frame(void *context, const struct oplog_frame *frame) {
    (void)context;
    (void)frame;
    return true;
}

static void no_progress(void *context) {
    (void)context;
}

static struct oplog *open_log(struct simulation *simulation, const struct history *parent,
                              uint64_t begin) {
    struct oplog_plan plan = {
        .disk = &simulation->disk,
        .history = {.epoch = parent->epoch + 1},
        .parent = *parent,
        .begin = begin,
        .sync = (enum oplog_sync)below(simulation, 3),
        .segment_bytes = 2000 + below(simulation, 60000),
        .progress = no_progress,
        .is_stepwise = true,
    };
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        plan.history.id[i] = (unsigned char)below(simulation, 256);
    }
    int error = 0;
    return oplog_open(&plan, &error);
}

static void check_end(struct simulation *simulation, uint64_t end) {
    uint64_t promised = simulation->was_power_lost ? simulation->synced : simulation->written;
    check(simulation, end >= promised, "nothing that was promised is lost");
    check(simulation, end >= simulation->snapshot_end, "nothing that a snapshot holds is lost");
    while (simulation->moments_count > 0 &&
           simulation->moments[simulation->moments_count - 1].position > end) {
        simulation->moments_count--;
    }
}

/* Finds what there is, loads it, opens the log. False: the disk failed. */
static bool start(struct simulation *simulation) {
    struct snapshot_reader *snapshot = snapshot_open(simulation);
    struct oplog_recovery_plan plan = {
        .disk = &simulation->disk,
        .from = snapshot == NULL ? 0 : snapshot->end.end,
        .history = snapshot == NULL ? NULL : &snapshot->header.history,
        .apply = take_frame,
    };
    struct oplog_recovery recovery;
    enum oplog_status status = oplog_recover(&plan, &recovery);
    buffer_append_span(&simulation->report, buffer_span(&recovery.report));
    check(simulation, status == OPLOG_DONE || status == OPLOG_FAILED,
          "no damage is found where there is none");
    if (status == OPLOG_DONE) {
        check_end(simulation, recovery.end);
        simulation->dataset = dataset_of(simulation, 1 + (uint32_t)below(simulation, WORKERS_MAX));
        load(simulation, simulation->dataset, snapshot, recovery.end);
        check_moment(simulation, simulation->dataset, recovery.end,
                     "what is loaded is the data at the log's end");
        simulation->oplog = open_log(simulation, &recovery.history, recovery.end);
        /* What was found is durable now, so it is promised, whatever comes. */
        simulation->written = recovery.end;
        simulation->synced = recovery.end;
    }
    oplog_recovery_free(&recovery);
    if (snapshot != NULL) {
        snapshot_reader_close(snapshot);
    }
    return simulation->oplog != NULL;
}

static void attach_log(struct simulation *simulation) {
    struct node *node = &simulation->dataset->node;
    node->log = simulation->oplog;
    node->log_gates = node->log != NULL;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_configure(node->workers[i]);
    }
}

static void begin_life(struct simulation *simulation) {
    while (simulation->broken == NULL && !start(simulation)) {
        if (simulation->dataset != NULL) {
            dataset_free(simulation->dataset);
            simulation->dataset = NULL;
        }
        if (below(simulation, 4) == 0) {
            simulated_disk_lose_power(simulation->simulated);
            simulation->was_power_lost = true;
        }
        simulated_disk_heal(simulation->simulated);
    }
    if (simulation->broken == NULL) {
        attach_log(simulation);
    }
}

/* ---- a life ---- */

static void disk_break(struct simulation *simulation) {
    uint64_t count = below(simulation, 3) == 0 ? UINT64_MAX : 1 + below(simulation, 4);
    simulated_disk_fail(simulation->simulated, below(simulation, 12), count,
                        below(simulation, 2) == 0 ? ENOSPC : EIO);
}

/* While the log has an error, commands that change something are refused, and nothing expires. */
static void change(struct simulation *simulation) {
    if (oplog_error(simulation->oplog) != 0 || oplog_is_full(simulation->oplog)) {
        simulated_disk_heal(simulation->simulated);
        oplog_step_write(simulation->oplog);
        return;
    }
    simulation->now_ms += (int64_t)below(simulation, below(simulation, 10) == 0 ? 500 : 20);
    dataset_set_time(simulation->dataset, simulation->now_ms);
    uint64_t kind = below(simulation, 12);
    if (kind == 0) {
        run_transaction(simulation);
    } else if (kind == 1) {
        expire(simulation);
    } else {
        run_command(simulation);
    }
}

static void step(struct simulation *simulation) {
    uint64_t kind = below(simulation, 100);
    if (kind < 60) {
        change(simulation);
    } else if (kind < 70) {
        append_pending(simulation);
    } else if (kind < 78) {
        oplog_step_write(simulation->oplog);
    } else if (kind < 82) {
        oplog_step_sync(simulation->oplog);
    } else if (kind < 98) {
        if (simulation->taking.writer != NULL) {
            taking_step(simulation);
        } else if (below(simulation, 6) == 0) {
            taking_begin(simulation);
        }
    } else if (below(simulation, 8) == 0) {
        disk_break(simulation);
    } else {
        simulated_disk_heal(simulation->simulated);
    }
    simulation->written = oplog_written_position(simulation->oplog);
    simulation->synced = oplog_synced_position(simulation->oplog);
}

/* A clean end, the end of the process, or of power. */
static void end_life(struct simulation *simulation) {
    simulation->was_power_lost = false;
    bool is_clean = below(simulation, 4) == 0;
    if (is_clean) {
        append_pending(simulation);
        simulated_disk_heal(simulation->simulated);
    } else {
        simulated_disk_stop(simulation->simulated);
    }
    simulation->pending = NULL;
    taking_end(simulation);
    uint64_t end = oplog_end_position(simulation->oplog);
    bool is_closed = oplog_close(simulation->oplog) == 0;
    simulation->oplog = NULL;
    if (is_clean && check(simulation, is_closed, "a log on a working disk closes")) {
        simulation->written = end;
        simulation->synced = end;
    }
    simulation->dataset->node.log = NULL;
    dataset_free(simulation->dataset);
    simulation->dataset = NULL;
    simulated_disk_start(simulation->simulated);
    simulated_disk_heal(simulation->simulated);
    if (below(simulation, 2) == 0) {
        simulated_disk_lose_power(simulation->simulated);
        simulation->was_power_lost = true;
    }
}

static void live(struct simulation *simulation) {
    begin_life(simulation);
    uint64_t steps = below(simulation, STEPS_MAX);
    for (uint64_t i = 0; i < steps && simulation->broken == NULL; i++) {
        step(simulation);
    }
    if (simulation->broken == NULL) {
        append_pending(simulation);
        uint64_t digest = simulation->dataset->digest;
        check(simulation, dataset_digest(simulation->dataset) == digest,
              "the gate knows the slots that changed");
        check_frames(simulation);
    }
    if (simulation->oplog != NULL) {
        end_life(simulation);
    }
}

static bool run(uint64_t seed) {
    struct simulation *simulation = memory_alloc_zeroed(sizeof(*simulation));
    simulation->seed = seed;
    simulation->now_ms = INT64_C(1700000000000);
    random_seed(&simulation->random, seed);
    simulation->simulated = simulated_disk_new(seed);
    simulation->disk = simulated_disk_interface(simulation->simulated);
    moment_add(simulation, 0, 0);
    uint64_t lives = 1 + below(simulation, LIVES_MAX);
    for (uint64_t i = 0; i < lives && simulation->broken == NULL; i++) {
        live(simulation);
    }
    if (simulation->broken == NULL) {
        begin_life(simulation);
        end_life(simulation);
    }
    bool is_whole = simulation->broken == NULL;
    if (!is_whole) {
        printf("FAILED: %s\n  %.*s\n", simulation->broken, (int)simulation->report.length,
               simulation->report.length == 0 ? "" : simulation->report.bytes);
    }
    buffer_free(&simulation->report);
    memory_free(simulation->moments);
    simulated_disk_free(simulation->simulated);
    memory_free(simulation);
    return is_whole;
}

/* ---- the program ---- */

static bool number_argument(const char *text, uint64_t *number) {
    return text != NULL && number_parse_unsigned(span_of_string(text), number);
}

int main(int count, char **arguments) {
    uint64_t seed = 1;
    uint64_t seeds = SEEDS_DEFAULT;
    for (int i = 1; i < count; i += 2) {
        bool is_seed = strcmp(arguments[i], "--seed") == 0;
        bool is_known = is_seed || strcmp(arguments[i], "--seeds") == 0;
        if (!is_known || !number_argument(arguments[i + 1], is_seed ? &seed : &seeds)) {
            fprintf(stderr, "usage: %s [--seed N] [--seeds COUNT]\n", arguments[0]);
            return 64;
        }
    }
    logger_configure(&(struct logger_options){.level = LOG_NOTHING, .file = ""});
    uint64_t failures = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        if (!run(seed + i)) {
            failures++;
            printf("seed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   (unsigned long long)(seed + i), arguments[0], (unsigned long long)(seed + i));
        }
    }
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
