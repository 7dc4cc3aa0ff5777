/* The log on a simulated disk: random appends, syncs, failing calls, ends of the process and losses
 * of power, life after life, all from one seed. After each recovery
 *
 *   - what is there is a prefix of what was appended, frame by frame, and nothing else;
 *   - it holds all that had been written, if only the process ended;
 *   - it holds all that had been synced, if power was lost;
 *   - damage is never reported, except after a bit was flipped.
 *
 * When a disk that failed works again, the log goes on by itself and has lost nothing.
 *
 * oplog_simulation [--seed N] [--seeds COUNT]: seeds N to N + COUNT - 1. Prints the seed that
 * failed and how to repeat it. The last line is one that tests/run-programs adds up.
 */
#include "base/assertion.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "oplog/oplog.h"
#include "oplog/recovery.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/seeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT (3000 / SEEDS_PART)
#define LIVES_MAX 6
#define STEPS_MAX 120
#define FRAMES_MAX (2 * LIVES_MAX * STEPS_MAX + 1)
#define CONTENT_BYTES_MAX 1500

/* What a frame's content must be follows from its number here: see content_make(). */
struct appended {
    uint64_t number;
    uint64_t position;
    uint64_t end;
    uint64_t synced; /* what its header says */
};

struct simulation {
    uint64_t seed;
    struct random random;
    struct simulated_disk *simulated;
    struct disk disk;
    struct oplog *oplog;
    struct oplog_batch batch;
    struct appended appended[FRAMES_MAX];
    size_t count;
    uint64_t next_number;
    uint64_t life_begin;
    uint64_t appends_meanwhile; /* that this life may still have */
    uint64_t written;           /* promises of this life */
    uint64_t synced;
    bool was_power_lost;
    bool was_bit_flipped;

    /* A snapshot: what the log needs not have any more. */
    uint64_t snapshot_position;
    struct history snapshot_history;

    size_t recovered; /* frames, during a recovery */
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

/* ---- content ---- */

static size_t content_make(uint64_t seed, uint64_t number, char content[CONTENT_BYTES_MAX]) {
    struct random random;
    random_seed(&random, seed ^ (number * 0x9e3779b97f4a7c15u));
    bool is_large = random_below(&random, 8) == 0;
    size_t length = 1 + random_below(&random, is_large ? CONTENT_BYTES_MAX - 1 : 90);
    for (size_t i = 0; i < length; i++) {
        /* Zeros are what room set aside looks like. */
        content[i] = (char)(random_below(&random, 3) == 0 ? 0 : random_next(&random));
    }
    return length;
}

static void append(struct simulation *simulation) {
    char content[CONTENT_BYTES_MAX];
    uint64_t number = simulation->next_number++;
    size_t length = content_make(simulation->seed, number, content);
    struct oplog_batch *batch = &simulation->batch;
    size_t split = below(simulation, 4) == 0 ? below(simulation, length) : length;
    buffer_append(&batch->bytes, content, split);
    if (split < length) {
        struct block *block = block_try_new(length - split);
        ASSERT(block != NULL);
        memcpy(block->bytes, content + split, length - split);
        block->length = length - split;
        oplog_batch_add_block(batch, block);
        block_release(block);
    }
    uint64_t position = oplog_end_position(simulation->oplog);
    uint64_t synced = oplog_synced_position(simulation->oplog);
    uint64_t end = oplog_append(simulation->oplog, batch, (int64_t)number);
    ASSERT(simulation->count < FRAMES_MAX);
    simulation->appended[simulation->count++] =
        (struct appended){.number = number, .position = position, .end = end, .synced = synced};
    check(simulation, end == position + OPLOG_FRAME_HEADER_BYTES + length,
          "an append moves the end by its frame's size");
}

static bool frame_is(const struct simulation *simulation, const struct oplog_frame *frame,
                     size_t index) {
    if (index >= simulation->count) {
        return false;
    }
    const struct appended *wanted = &simulation->appended[index];
    char content[CONTENT_BYTES_MAX];
    size_t length = content_make(simulation->seed, wanted->number, content);
    return frame->position == wanted->position && frame->end == wanted->end &&
           frame->time_ms == (int64_t)wanted->number &&
           span_equal(frame->content, span_of(content, length));
}

static size_t index_at(const struct simulation *simulation, uint64_t position) {
    size_t index = 0;
    while (index < simulation->count && simulation->appended[index].position < position) {
        index++;
    }
    return index;
}

/* ---- recovery ---- */

static bool apply(void *context, const struct oplog_frame *frame) {
    struct simulation *simulation = context;
    check(simulation, frame_is(simulation, frame, simulation->recovered),
          "a recovered frame is the one that was appended there");
    simulation->recovered++;
    return true;
}

/* Whether a frame that must be on the disk says that the place had been synced. The bit that was
 * flipped stands at that place, so it is not in that frame. */
static bool is_proven(const struct simulation *simulation, size_t place, uint64_t promised) {
    for (size_t i = place + 1; i < simulation->count; i++) {
        if (simulation->appended[i].end <= promised &&
            simulation->appended[i].synced > simulation->appended[place].position) {
            return true;
        }
    }
    return false;
}

static void check_recovery(struct simulation *simulation, const struct oplog_recovery *recovery) {
    uint64_t promised = simulation->was_power_lost ? simulation->synced : simulation->written;
    if (!simulation->was_bit_flipped) {
        check(simulation, recovery->end >= promised, "nothing that was promised is lost");
        check(simulation, !recovery->is_behind || simulation->was_power_lost,
              "a log ends before its snapshot only after a loss of power");
    } else {
        check(simulation, !is_proven(simulation, simulation->recovered, promised),
              "what a later frame says to be synced is not cut off as torn");
    }
    uint64_t end = simulation->recovered == 0 ? simulation->snapshot_position
                                              : simulation->appended[simulation->recovered - 1].end;
    if (simulation->recovered == 0) {
        end = recovery->is_behind ? simulation->snapshot_position : recovery->end;
    }
    check(simulation, recovery->end == end, "the end is the last frame's");
}

/* Recovers, however often the disk fails. False: the seed ends here. */
static bool recover(struct simulation *simulation, struct history *parent, uint64_t *begin) {
    for (;;) {
        simulation->recovered = index_at(simulation, simulation->snapshot_position);
        size_t before = simulation->recovered;
        struct oplog_recovery_plan plan = {
            .disk = &simulation->disk,
            .from = simulation->snapshot_position,
            .history = &simulation->snapshot_history,
            .apply = apply,
            .context = simulation,
        };
        struct oplog_recovery recovery;
        enum oplog_status status = oplog_recover(&plan, &recovery);
        buffer_append_byte(&recovery.report, '\0');
        bool is_done = status == OPLOG_DONE;
        if (is_done) {
            check_recovery(simulation, &recovery);
            *parent = recovery.history;
            *begin = recovery.end;
            simulation->count = simulation->recovered > before ? simulation->recovered : before;
        } else if (status != OPLOG_FAILED && !simulation->was_bit_flipped) {
            printf("  %s\n", recovery.report.bytes);
            check(simulation, false, "no damage is found where there is none");
        }
        oplog_recovery_free(&recovery);
        if (is_done || simulation->broken != NULL || simulation->was_bit_flipped) {
            return is_done;
        }
        if (below(simulation, 4) == 0) {
            simulated_disk_lose_power(simulation->simulated);
            simulation->was_power_lost = true;
        }
        simulated_disk_heal(simulation->simulated);
    }
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
        .segment_bytes = 200 + below(simulation, 4000),
        .progress = no_progress,
        .is_stepwise = true,
    };
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        plan.history.id[i] = (unsigned char)below(simulation, 256);
    }
    int error = 0;
    return oplog_open(&plan, &error);
}

/* ---- a life ---- */

/* Another thread's work during a sync. */
static void append_meanwhile(void *context) {
    struct simulation *simulation = context;
    if (simulation->oplog != NULL && simulation->appends_meanwhile > 0 &&
        below(simulation, 3) == 0) {
        simulation->appends_meanwhile--;
        append(simulation);
        oplog_step_write(simulation->oplog);
    }
}

static void promises_note(struct simulation *simulation) {
    uint64_t written = oplog_written_position(simulation->oplog);
    uint64_t synced = oplog_synced_position(simulation->oplog);
    check(simulation, synced <= written && written <= oplog_end_position(simulation->oplog),
          "synced <= written <= end");
    check(simulation, synced >= simulation->synced && written >= simulation->written,
          "what was promised stays promised");
    simulation->written = written;
    simulation->synced = synced;
}

static void read_along(struct simulation *simulation) {
    uint64_t written = oplog_written_position(simulation->oplog);
    size_t index = index_at(simulation, simulation->snapshot_position);
    size_t count = index_at(simulation, written) - index;
    index += count == 0 ? 0 : below(simulation, count);
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {
        .disk = &simulation->disk,
        .from = count == 0 ? written : simulation->appended[index].position,
        .to = written,
        .report = &report,
    };
    struct oplog_reader *reader = NULL;
    oplog_reader_open(&plan, &reader);
    struct oplog_frame frame;
    while (reader != NULL && oplog_reader_next(reader, &frame) == OPLOG_READ_FRAME) {
        check(simulation, frame_is(simulation, &frame, index), "a reader sees what was appended");
        index++;
    }
    check(simulation, reader != NULL && (count == 0 || oplog_reader_position(reader) == written),
          "a reader comes to what was written");
    if (simulation->broken != NULL) {
        printf("  %.*s\n", (int)report.length, report.bytes);
    }
    oplog_reader_close(reader);
    buffer_free(&report);
}

static void disk_break(struct simulation *simulation) {
    uint64_t count = below(simulation, 3) == 0 ? UINT64_MAX : 1 + below(simulation, 4);
    simulated_disk_fail(simulation->simulated, below(simulation, 12), count,
                        below(simulation, 2) == 0 ? ENOSPC : EIO);
}

/* The disk works: the log must come to rest with all that was appended durable. */
static void settle(struct simulation *simulation) {
    simulated_disk_heal(simulation->simulated);
    size_t steps = 0;
    while (oplog_step_write(simulation->oplog) || oplog_step_sync(simulation->oplog)) {
        if (!check(simulation, ++steps < 10 * STEPS_MAX, "a log on a working disk comes to rest")) {
            return;
        }
    }
    check(simulation, oplog_error(simulation->oplog) == 0, "the error goes when the disk works");
    check(simulation,
          oplog_synced_position(simulation->oplog) == oplog_end_position(simulation->oplog),
          "all is synced in the end");
}

static void snapshot_take(struct simulation *simulation) {
    uint64_t written = oplog_written_position(simulation->oplog);
    size_t index = index_at(simulation, simulation->life_begin);
    size_t count = index_at(simulation, written) - index;
    if (count == 0 || simulation->snapshot_position > simulation->life_begin) {
        return;
    }
    simulation->snapshot_position = simulation->appended[index + below(simulation, count)].end;
    simulation->snapshot_history = oplog_origin(simulation->oplog).history;
    oplog_trim(simulation->oplog, simulation->snapshot_position);
}

/* Bytes of frames since the snapshot, which no trim may take. */
static uint64_t disk_bytes_least(const struct simulation *simulation) {
    uint64_t written = oplog_written_position(simulation->oplog);
    uint64_t begin = simulation->snapshot_position;
    return written > begin ? written - begin : 0;
}

static void step(struct simulation *simulation) {
    struct oplog *oplog = simulation->oplog;
    switch (below(simulation, 26)) {
    case 0:
        disk_break(simulation);
        break;
    case 1:
        simulated_disk_heal(simulation->simulated);
        break;
    case 2:
        oplog_set_sync(oplog, (enum oplog_sync)below(simulation, 3));
        break;
    case 3:
        read_along(simulation);
        break;
    case 4:
        if (below(simulation, 4) == 0) {
            settle(simulation);
        }
        break;
    case 5:
        if (below(simulation, 4) == 0) {
            snapshot_take(simulation);
        }
        break;
    case 6:
        oplog_renew(oplog);
        oplog_trim(oplog, simulation->snapshot_position);
        break;
    case 7:
        if (below(simulation, 4) == 0) {
            oplog_set_segment_bytes(oplog, 200 + below(simulation, 4000));
        }
        break;
    case 8:
    case 9:
    case 10:
        oplog_step_sync(oplog);
        break;
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
        oplog_step_write(oplog);
        break;
    default:
        append(simulation);
        break;
    }
    promises_note(simulation);
    check(simulation, oplog_disk_bytes(oplog) >= disk_bytes_least(simulation),
          "the log counts at least what it holds");
}

/* A clean end, the end of the process, or of power. */
static void end_life(struct simulation *simulation) {
    simulation->was_power_lost = false;
    uint64_t end = oplog_end_position(simulation->oplog);
    if (below(simulation, 4) == 0) {
        simulated_disk_heal(simulation->simulated);
        check(simulation, oplog_close(simulation->oplog) == 0, "a log on a working disk closes");
        simulation->written = end;
        simulation->synced = end;
    } else {
        simulated_disk_stop(simulation->simulated);
        bool is_all = simulation->synced == end;
        check(simulation, (oplog_close(simulation->oplog) == 0) == is_all,
              "a close tells whether something is lost");
        simulated_disk_start(simulation->simulated);
        simulated_disk_heal(simulation->simulated);
    }
    simulation->oplog = NULL;
    if (below(simulation, 2) == 0) {
        simulated_disk_lose_power(simulation->simulated);
        simulation->was_power_lost = true;
    }
}

static void live(struct simulation *simulation) {
    struct history parent = {0};
    uint64_t begin = 0;
    if (below(simulation, 3) == 0) {
        disk_break(simulation);
    }
    do {
        if (!recover(simulation, &parent, &begin)) {
            return;
        }
        if (simulation->broken != NULL) {
            return;
        }
        /* What was found is durable now, so it is promised, whatever comes. */
        simulation->life_begin = begin;
        simulation->written = begin;
        simulation->synced = begin;
        simulation->oplog = open_log(simulation, &parent, begin);
        if (simulation->oplog == NULL) {
            simulated_disk_heal(simulation->simulated);
        }
    } while (simulation->oplog == NULL);
    uint64_t steps = below(simulation, STEPS_MAX);
    simulation->appends_meanwhile = STEPS_MAX - 1;
    for (uint64_t i = 0; i < steps && simulation->broken == NULL; i++) {
        step(simulation);
    }
    simulation->appends_meanwhile = 0;
    end_life(simulation);
}

static bool run(uint64_t seed) {
    struct simulation *simulation = memory_alloc_zeroed(sizeof(*simulation));
    simulation->seed = seed;
    simulation->batch = OPLOG_BATCH_EMPTY;
    random_seed(&simulation->random, seed);
    simulation->simulated = simulated_disk_new(seed);
    simulation->disk = simulated_disk_interface(simulation->simulated);
    simulated_disk_set_meanwhile(simulation->simulated, append_meanwhile, simulation);
    uint64_t lives = 1 + below(simulation, LIVES_MAX);
    for (uint64_t i = 0; i < lives && simulation->broken == NULL; i++) {
        live(simulation);
    }
    if (simulation->broken == NULL && below(simulation, 2) == 0) {
        simulation->was_bit_flipped = simulated_disk_flip_bit(simulation->simulated);
    }
    struct history parent = {0};
    uint64_t begin = 0;
    if (simulation->broken == NULL) {
        recover(simulation, &parent, &begin);
    }
    bool is_whole = simulation->broken == NULL;
    if (!is_whole) {
        printf("FAILED: %s\n", simulation->broken);
    }
    oplog_batch_free(&simulation->batch);
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
