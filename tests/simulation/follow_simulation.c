/* Two logs on simulated disks, one of which follows the other: random appends, turns, failing
 * calls, ends of processes, losses of power, and changes of roles, all from one seed. The logs are
 * the production code; what carries frames from one to the other is this file.
 *
 *   - after each recovery a log holds a prefix of what it was given, frame by frame, in the
 *     histories that it was given, and no less than was promised;
 *   - a follower whose log holds what the primary's does not can cut it off, wherever it crashes
 *     meanwhile, and then its log is a prefix of the primary's;
 *   - everything that was cut off stands in the divergence files;
 *   - a reader of a log that goes on sees each frame in its history;
 *   - when the faults stop, both logs hold the same.
 *
 * follow_simulation [--seed N] [--seeds COUNT]: seeds N to N + COUNT - 1. Prints the seed that
 * failed and how to repeat it. The last line is one that tests/run-programs adds up.
 */
#include "base/assertion.h"
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "oplog/divergence.h"
#include "oplog/oplog.h"
#include "oplog/recovery.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/seeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT (1500 / SEEDS_PART)
#define STEPS_MAX 400
#define ITEMS_MAX (2 * STEPS_MAX + 2)
#define CONTENT_BYTES_MAX 700
#define ATTEMPTS_MAX 100

/* What stands in a log: a frame, or the beginning of a history. A frame's content follows from its
 * number. */
struct item {
    bool is_turn;
    struct history_origin origin; /* of the history that holds; a turn's own */
    uint64_t number;
    uint64_t position;
    uint64_t end;
};

struct lost {
    struct history history;
    uint64_t number;
    uint64_t position;
    bool is_found;
};

struct node {
    struct world *world;
    struct simulated_disk *simulated;
    struct disk disk;
    struct simulated_disk *simulated_kept;
    struct disk kept; /* divergence files */
    struct oplog *oplog;
    struct item items[ITEMS_MAX];
    size_t count;
    uint64_t written; /* promises */
    uint64_t synced;
    bool was_power_lost;
    size_t recovered; /* the item to be recovered next */
    struct lost lost[4 * ITEMS_MAX];
    size_t lost_count;
};

struct world {
    uint64_t seed;
    struct random random;
    struct node nodes[2];
    size_t primary;
    bool is_attached; /* the follower's log is a prefix of the primary's */
    uint64_t base;    /* where both logs begin */
    uint64_t next_number;
    uint64_t cuts;
    uint64_t crashes_in_cuts;
    struct oplog_batch batch;
    const char *broken;
};

static bool check(struct world *world, bool fact, const char *sentence) {
    if (!fact && world->broken == NULL) {
        world->broken = sentence;
    }
    return fact;
}

static uint64_t below(struct world *world, uint64_t bound) {
    return random_below(&world->random, bound);
}

static struct node *primary_of(struct world *world) {
    return &world->nodes[world->primary];
}

static struct node *follower_of(struct world *world) {
    return &world->nodes[1 - world->primary];
}

/* ---- items ---- */

static size_t content_make(uint64_t seed, uint64_t number, char content[CONTENT_BYTES_MAX]) {
    struct random random;
    random_seed(&random, seed ^ (number * 0x9e3779b97f4a7c15u));
    bool is_large = random_below(&random, 8) == 0;
    size_t length = 1 + random_below(&random, is_large ? CONTENT_BYTES_MAX - 1 : 60);
    for (size_t i = 0; i < length; i++) {
        content[i] = (char)(random_below(&random, 3) == 0 ? 0 : random_next(&random));
    }
    return length;
}

static bool content_is(const struct world *world, const struct oplog_frame *frame) {
    char content[CONTENT_BYTES_MAX];
    size_t length = content_make(world->seed, (uint64_t)frame->time_ms, content);
    return span_equal(frame->content, span_of(content, length));
}

static void item_add(struct node *node, const struct item *item) {
    ASSERT(node->count < ITEMS_MAX);
    node->items[node->count++] = *item;
}

static const struct history_origin *origin_of(const struct node *node) {
    return &node->items[node->count - 1].origin;
}

static uint64_t end_of(const struct node *node) {
    return node->items[node->count - 1].end;
}

static void turn_add(struct node *node, const struct history_origin *origin) {
    item_add(node, &(struct item){.is_turn = true,
                                  .origin = *origin,
                                  .position = origin->begin,
                                  .end = origin->begin});
}

static bool item_equal(const struct item *a, const struct item *b) {
    return a->is_turn == b->is_turn && a->number == b->number && a->position == b->position &&
           history_equal(&a->origin.history, &b->origin.history);
}

/* Items that both logs hold: at least the first. */
static size_t common_count(const struct node *a, const struct node *b) {
    size_t count = 0;
    while (count < a->count && count < b->count && item_equal(&a->items[count], &b->items[count])) {
        count++;
    }
    return count;
}

static struct history_origin child_make(struct world *world, const struct node *node) {
    struct history_origin child = {
        .history = {.epoch = origin_of(node)->history.epoch + 1},
        .parent = origin_of(node)->history,
        .begin = end_of(node),
    };
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        child.history.id[i] = (unsigned char)below(world, 256);
    }
    return child;
}

/* ---- misfortunes ---- */

static void disk_break(struct world *world, struct simulated_disk *disk) {
    uint64_t count = below(world, 3) == 0 ? UINT64_MAX : 1 + below(world, 4);
    simulated_disk_fail(disk, below(world, 16), count, below(world, 2) == 0 ? ENOSPC : EIO);
}

static void disks_heal(struct node *node) {
    simulated_disk_heal(node->simulated);
    simulated_disk_heal(node->simulated_kept);
}

static void power_lose(struct node *node) {
    simulated_disk_lose_power(node->simulated);
    simulated_disk_lose_power(node->simulated_kept);
    node->was_power_lost = true;
}

/* A clean end, the end of the process, or of power. */
static void node_end(struct node *node) {
    struct world *world = node->world;
    node->was_power_lost = false;
    if (below(world, 4) == 0) {
        disks_heal(node);
        check(world, oplog_close(node->oplog) == 0, "a log on a working disk closes");
        node->written = end_of(node);
        node->synced = end_of(node);
    } else {
        simulated_disk_stop(node->simulated);
        oplog_close(node->oplog);
        simulated_disk_start(node->simulated);
        disks_heal(node);
    }
    node->oplog = NULL;
    if (below(world, 2) == 0) {
        power_lose(node);
    }
}

/* ---- recovery ---- */

static bool apply(void *context, const struct oplog_frame *frame) {
    struct node *node = context;
    while (node->recovered < node->count && node->items[node->recovered].is_turn) {
        node->recovered++;
    }
    check(node->world,
          node->recovered < node->count &&
              node->items[node->recovered].position == frame->position &&
              node->items[node->recovered].end == frame->end &&
              node->items[node->recovered].number == (uint64_t)frame->time_ms &&
              content_is(node->world, frame),
          "a recovered frame is the one that was given");
    node->recovered++;
    return true;
}

static void recovery_check(struct node *node, const struct oplog_recovery *recovery) {
    struct world *world = node->world;
    uint64_t promised = node->was_power_lost ? node->synced : node->written;
    check(world, recovery->end >= promised, "nothing that was promised is lost");
    size_t count = node->recovered;
    while (count < node->count && node->items[count].is_turn &&
           node->items[count].origin.history.epoch <= recovery->history.epoch) {
        count++;
    }
    node->count = count;
    check(world, count > 0 && end_of(node) == recovery->end, "the end is the last frame's");
    check(world, count > 0 && history_equal(&origin_of(node)->history, &recovery->history),
          "the history is the last one that was given up to there");
    /* What was found is durable now. */
    node->written = recovery->end;
    node->synced = recovery->end;
}

/* However often the disk fails. */
static void recover(struct node *node) {
    struct world *world = node->world;
    if (below(world, 3) == 0) {
        disk_break(world, node->simulated);
    }
    for (int attempt = 0; world->broken == NULL; attempt++) {
        node->recovered = 0;
        struct oplog_recovery_plan plan = {
            .disk = &node->disk,
            .from = world->base,
            .history = &node->items[0].origin.history,
            .apply = apply,
            .context = node,
        };
        struct oplog_recovery recovery;
        enum oplog_status status = oplog_recover(&plan, &recovery);
        buffer_append_byte(&recovery.report, '\0');
        if (status == OPLOG_DONE) {
            recovery_check(node, &recovery);
        } else if (!check(world, status == OPLOG_FAILED && attempt < ATTEMPTS_MAX,
                          "no damage is found where there is none")) {
            printf("  %s\n", recovery.report.bytes);
        }
        oplog_recovery_free(&recovery);
        if (status == OPLOG_DONE) {
            return;
        }
        if (below(world, 4) == 0) {
            power_lose(node);
        }
        disks_heal(node);
    }
}

/* ---- opening ---- */

static void no_progress(void *context) {
    (void)context;
}

static struct oplog_plan plan_make(struct node *node) {
    return (struct oplog_plan){
        .disk = &node->disk,
        .begin = end_of(node),
        .sync = (enum oplog_sync)below(node->world, 3),
        .segment_bytes = 200 + below(node->world, 4000),
        .progress = no_progress,
        .is_stepwise = true,
    };
}

static bool follower_open(struct node *node) {
    struct oplog_plan plan = plan_make(node);
    plan.history = origin_of(node)->history;
    plan.parent = origin_of(node)->parent;
    plan.history_begin = origin_of(node)->begin;
    plan.is_continued = true;
    int error = 0;
    node->oplog = oplog_open(&plan, &error);
    check(node->world, error != -EEXIST, "a follower's log goes on in its history");
    return node->oplog != NULL;
}

static bool primary_open(struct node *node) {
    struct history_origin child = child_make(node->world, node);
    struct oplog_plan plan = plan_make(node);
    plan.history = child.history;
    plan.parent = child.parent;
    int error = 0;
    node->oplog = oplog_open(&plan, &error);
    check(node->world, error != -EEXIST, "a primary's log forks from what was recovered");
    /* It may be there although the opening failed. */
    turn_add(node, &child);
    return node->oplog != NULL;
}

static void node_begin(struct node *node, bool (*open)(struct node *node)) {
    for (int attempt = 0; check(node->world, attempt < ATTEMPTS_MAX, "a log opens"); attempt++) {
        recover(node);
        if (node->world->broken != NULL || open(node)) {
            return;
        }
        disks_heal(node);
    }
}

/* ---- what the follower's log holds alone ---- */

static bool lost_find(void *context, const struct history *history,
                      const struct oplog_frame *frame) {
    struct node *node = context;
    check(node->world, content_is(node->world, frame), "a kept frame has the content that it had");
    for (size_t i = 0; i < node->lost_count; i++) {
        struct lost *lost = &node->lost[i];
        if (lost->number == (uint64_t)frame->time_ms && lost->position == frame->position &&
            history_equal(&lost->history, history)) {
            lost->is_found = true;
        }
    }
    return true;
}

static void lost_add(struct node *node, size_t common) {
    for (size_t i = common; i < node->count; i++) {
        const struct item *item = &node->items[i];
        if (!item->is_turn) {
            ASSERT(node->lost_count < UINT64_C(4) * ITEMS_MAX);
            node->lost[node->lost_count++] = (struct lost){.history = item->origin.history,
                                                           .number = item->number,
                                                           .position = item->position};
        }
    }
}

/* False: it crashed. */
static bool save_and_cut(struct node *node, size_t common) {
    const struct item *last = &node->items[common - 1];
    struct divergence_plan plan = {
        .log = &node->disk,
        .kept = &node->kept,
        .position = last->end,
    };
    struct divergence_saved saved;
    enum oplog_status status = divergence_save(&plan, &saved);
    check(node->world, status == OPLOG_DONE || status == OPLOG_FAILED,
          "no damage is found where there is none");
    check(node->world, status != OPLOG_DONE || saved.end == end_of(node),
          "all is kept up to the log's end");
    divergence_saved_free(&saved);
    if (status != OPLOG_DONE) {
        return false;
    }
    int error = divergence_cut(&node->disk, &last->origin.history, last->end);
    check(node->world, error != -ENOENT, "the log has the place at which it is cut");
    return error == 0;
}

/* The follower's log becomes a prefix of the primary's. */
static void cut_to_common(struct world *world) {
    struct node *node = follower_of(world);
    for (int attempt = 0; check(world, attempt < ATTEMPTS_MAX, "a log can be cut"); attempt++) {
        size_t common = common_count(primary_of(world), node);
        if (world->broken != NULL || !check(world, common > 0, "both began the same")) {
            return;
        }
        lost_add(node, common);
        if (below(world, 2) == 0) {
            disk_break(world, below(world, 2) == 0 ? node->simulated : node->simulated_kept);
        }
        bool is_cut = save_and_cut(node, common);
        disks_heal(node);
        world->cuts += is_cut;
        world->crashes_in_cuts += !is_cut;
        if (is_cut) {
            node->count = common;
        }
        /* How much of the cut is there after a crash is open; what was to stay must. */
        node->written = node->items[common - 1].end;
        node->synced = node->written;
        if (below(world, 2) == 0) {
            power_lose(node);
        }
        recover(node);
        if (is_cut) {
            check(world, node->count == common, "a cut is durable, and takes nothing else");
            return;
        }
    }
}

static void attach(struct world *world) {
    struct node *node = follower_of(world);
    if (common_count(primary_of(world), node) < node->count) {
        if (node->oplog != NULL) {
            node_end(node);
            recover(node);
        }
        cut_to_common(world);
    }
    if (node->oplog == NULL && world->broken == NULL) {
        node_begin(node, follower_open);
    }
    world->is_attached = true;
}

/* ---- steps ---- */

static void append(struct world *world) {
    struct node *node = primary_of(world);
    char content[CONTENT_BYTES_MAX];
    struct item item = {
        .origin = *origin_of(node), .number = world->next_number++, .position = end_of(node)};
    size_t length = content_make(world->seed, item.number, content);
    buffer_append(&world->batch.bytes, content, length);
    item.end = oplog_append(node->oplog, &world->batch, (int64_t)item.number);
    check(world, item.end == item.position + OPLOG_FRAME_HEADER_BYTES + length,
          "an append moves the end by its frame's size");
    item_add(node, &item);
}

static void turn(struct world *world, struct node *node) {
    struct history_origin child = child_make(world, node);
    check(world, oplog_turn(node->oplog, &child) == OPLOG_RECEIVED, "a log turns at its end");
    turn_add(node, &child);
}

/* The next item of the primary's log comes to the follower. */
static void deliver(struct world *world) {
    struct node *node = follower_of(world);
    if (!world->is_attached || node->count == primary_of(world)->count) {
        return;
    }
    const struct item *item = &primary_of(world)->items[node->count];
    enum oplog_received received = OPLOG_RECEIVED;
    if (item->is_turn) {
        received = oplog_turn(node->oplog, &item->origin);
    } else {
        char content[CONTENT_BYTES_MAX];
        size_t length = content_make(world->seed, item->number, content);
        buffer_append(&world->batch.bytes, content, length);
        struct oplog_received_frame frame = {.position = item->position,
                                             .time_ms = (int64_t)item->number};
        received = oplog_append_frame(node->oplog, &frame, &world->batch);
    }
    check(world, received == OPLOG_RECEIVED, "what follows is received");
    item_add(node, item);
    check(world, oplog_end_position(node->oplog) == item->end,
          "the follower's positions are the primary's");
}

static void promises_note(struct node *node) {
    uint64_t written = oplog_written_position(node->oplog);
    uint64_t synced = oplog_synced_position(node->oplog);
    check(node->world, synced >= node->synced && written >= node->written,
          "what was promised stays promised");
    node->written = written;
    node->synced = synced;
}

static void read_along(struct world *world, struct node *node) {
    size_t index = below(world, node->count);
    uint64_t written = oplog_written_position(node->oplog);
    uint64_t from = node->items[index].position;
    if (from > written) {
        return;
    }
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {
        .disk = &node->disk, .from = from, .to = written, .report = &report};
    struct oplog_reader *reader = NULL;
    oplog_reader_open(&plan, &reader);
    struct oplog_frame frame;
    while (reader != NULL && oplog_reader_next(reader, &frame) == OPLOG_READ_FRAME) {
        while (index < node->count && node->items[index].is_turn) {
            index++;
        }
        check(world,
              index < node->count && node->items[index].position == frame.position &&
                  content_is(world, &frame) &&
                  history_equal(&node->items[index].origin.history, oplog_reader_history(reader)),
              "a reader sees each frame in its history");
        index++;
    }
    check(world, reader != NULL && oplog_reader_position(reader) == written,
          "a reader comes to what was written");
    oplog_reader_close(reader);
    buffer_free(&report);
}

/* The follower becomes the primary; what was one must attach. */
static void roles_change(struct world *world) {
    if (follower_of(world)->oplog == NULL) {
        return;
    }
    world->primary = 1 - world->primary;
    turn(world, primary_of(world));
    world->is_attached = false;
}

static void restart(struct world *world, struct node *node) {
    if (node->oplog == NULL) {
        return;
    }
    node_end(node);
    bool is_primary = node == primary_of(world);
    node_begin(node, is_primary ? primary_open : follower_open);
    world->is_attached = false;
}

static void step_log(struct world *world, struct node *node) {
    if (node->oplog == NULL) {
        return;
    }
    if (below(world, 3) == 0) {
        oplog_step_sync(node->oplog);
    } else {
        oplog_step_write(node->oplog);
    }
    promises_note(node);
}

static void step(struct world *world) {
    struct node *node = &world->nodes[below(world, 2)];
    switch (below(world, 40)) {
    case 0:
        disk_break(world, node->simulated);
        break;
    case 1:
        disks_heal(node);
        break;
    case 2:
        turn(world, primary_of(world));
        break;
    case 3:
        if (below(world, 4) == 0) {
            roles_change(world);
        }
        break;
    case 4:
        if (below(world, 3) == 0) {
            restart(world, node);
        }
        break;
    case 5:
    case 6:
        if (!world->is_attached) {
            attach(world);
        }
        break;
    case 7:
        if (node->oplog != NULL) {
            read_along(world, node);
        }
        break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
        append(world);
        break;
    case 16:
    case 17:
    case 18:
    case 19:
    case 20:
    case 21:
    case 22:
    case 23:
    case 24:
        deliver(world);
        break;
    default:
        step_log(world, node);
        break;
    }
}

/* ---- the end ---- */

static void settle(struct node *node) {
    size_t steps = 0;
    while (oplog_step_write(node->oplog) || oplog_step_sync(node->oplog)) {
        if (!check(node->world, ++steps < UINT64_C(20) * STEPS_MAX,
                   "a log on a working disk comes to rest")) {
            return;
        }
    }
    promises_note(node);
    check(node->world, node->synced == end_of(node), "all is synced in the end");
}

static void lost_check(struct node *node) {
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    struct divergence_reading reading = {
        .kept = &node->kept, .frame = lost_find, .context = node, .report = &report};
    check(node->world, divergence_files_read(&files, &node->kept) == 0,
          "divergence files can be listed");
    for (size_t i = 0; i < files.count; i++) {
        check(node->world, divergence_file_read(&reading, &files.found[i]) == OPLOG_DONE,
              "divergence files can be read");
    }
    for (size_t i = 0; i < node->lost_count; i++) {
        check(node->world, node->lost[i].is_found, "all that was cut is in a divergence file");
    }
    divergence_files_free(&files);
    buffer_free(&report);
}

static void end(struct world *world) {
    disks_heal(&world->nodes[0]);
    disks_heal(&world->nodes[1]);
    attach(world);
    while (world->broken == NULL && follower_of(world)->count < primary_of(world)->count) {
        deliver(world);
    }
    for (size_t i = 0; i < 2 && world->broken == NULL; i++) {
        disks_heal(&world->nodes[i]);
        settle(&world->nodes[i]);
        node_end(&world->nodes[i]);
        recover(&world->nodes[i]);
        lost_check(&world->nodes[i]);
    }
    check(world, common_count(&world->nodes[0], &world->nodes[1]) == primary_of(world)->count,
          "both logs hold the same in the end");
}

static void node_make(struct world *world, struct node *node, uint64_t seed) {
    node->world = world;
    node->simulated = simulated_disk_new(seed);
    node->disk = simulated_disk_interface(node->simulated);
    node->simulated_kept = simulated_disk_new(seed + 1);
    node->kept = simulated_disk_interface(node->simulated_kept);
    struct history_origin origin = {.history = {.epoch = 5, .id = "five"},
                                    .parent = {.epoch = 4, .id = "four"}};
    origin.begin = world->base / 2;
    turn_add(node, &origin);
    node->items[0].position = world->base;
    node->items[0].end = world->base;
    node->written = world->base;
    node->synced = world->base;
    check(world, follower_open(node), "a log opens on a working disk");
}

static void node_free(struct node *node) {
    if (node->oplog != NULL) {
        simulated_disk_stop(node->simulated);
        oplog_close(node->oplog);
    }
    simulated_disk_free(node->simulated);
    simulated_disk_free(node->simulated_kept);
}

static bool run(uint64_t seed, uint64_t *cuts, uint64_t *crashes) {
    struct world *world = memory_alloc_zeroed(sizeof(*world));
    world->seed = seed;
    world->batch = OPLOG_BATCH_EMPTY;
    random_seed(&world->random, seed);
    world->base = below(world, 2) * below(world, 100000);
    node_make(world, &world->nodes[0], seed * 4);
    node_make(world, &world->nodes[1], seed * 4 + 2);
    world->is_attached = true;
    uint64_t steps = below(world, STEPS_MAX);
    for (uint64_t i = 0; i < steps && world->broken == NULL; i++) {
        step(world);
    }
    if (world->broken == NULL) {
        end(world);
    }
    *cuts += world->cuts;
    *crashes += world->crashes_in_cuts;
    bool is_whole = world->broken == NULL;
    if (!is_whole) {
        printf("FAILED: %s\n", world->broken);
    }
    node_free(&world->nodes[0]);
    node_free(&world->nodes[1]);
    oplog_batch_free(&world->batch);
    memory_free(world);
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
    uint64_t cuts = 0;
    uint64_t crashes = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        if (!run(seed + i, &cuts, &crashes)) {
            failures++;
            printf("seed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   (unsigned long long)(seed + i), arguments[0], (unsigned long long)(seed + i));
        }
    }
    printf("%llu logs were cut, after %llu failures on the way\n", (unsigned long long)cuts,
           (unsigned long long)crashes);
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
