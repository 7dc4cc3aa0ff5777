/* A primary and its replicas, in one process from one seed: random effects, a link that delays,
 * breaks and flips bits, a primary that stops at any moment and begins again in a new history,
 * without what its log had not written. The code is the product's; only the network, the clock and
 * the disk are not.
 *
 *   - A replica that applied what stands before a position holds what the primary held there, slot
 *     by slot (digests), through every fork of the histories.
 *   - A broken or lying link is noticed and never changes data wrongly.
 *   - When faults stop, every replica has what the primary has, within a bounded number of steps.
 *   - A replica whose place is still in the log is never sent an image that it has not asked for.
 *   - A bit that flips in a replica's memory is found by the digests that the log asks for, and
 *     healed; a slot in which none did is never said to differ.
 *
 * replication_simulation [--seed N] [--seeds COUNT]: seeds N to N + COUNT - 1. Prints the seed that
 * failed and how to repeat it. The last line is one that tests/run-programs adds up.
 */
#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "commands/effect_codec.h"
#include "oplog/oplog.h"
#include "oplog/recovery.h"
#include "replication/applier.h"
#include "replication/digest_rounds.h"
#include "replication/feed.h"
#include "replication/follower.h"
#include "store/cut.h"
#include "store/digest.h"
#include "store/slot_digest.h"
#include "store/value.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT (800 / SEEDS_PART)
#define STEPS 700
#define DATABASES 2
#define SECRET UINT64_C(0x7461726e)
#define DIGEST_SEED 7
#define REPLICAS_MAX 3
#define TAGS 8     /* slots that are used */
#define KEYS 40    /* of each */
#define MARKS 4096 /* positions whose digests are known */
#define QUEUE_PARTS 256
#define ROOM 2000
#define TEXT_BYTES 512
#define CATCH_UP_STEPS 200000
#define LINK_SEED 99
#define DIGEST_STEP_BYTES 700
#define HEAL_STEPS 200000

/* Which slots are asked for is drawn. */
static const struct digest_pace no_rounds = {.period_ms = 0};

/* What a link carries in one direction. */
struct pipe {
    struct buffer bytes;
};

/* Chunks and rows of a cut, in the order in which they are to be sent. */
struct part {
    struct image_chunk *chunk;
    struct message_slot *rows;
    size_t count;
};

struct world;

/* A digest that a node is computing. */
struct digesting {
    struct slot_digest *digest; /* NULL: none */
    struct message_digest message;
};

struct replica {
    struct world *world;
    struct store *store;
    struct applier *applier;
    struct replica_slots slots;
    struct follower_log log; /* without a disk: lost with the process */
    struct feed *feed;       /* the primary's side; NULL: the link is down */
    struct follower *follower;
    struct pipe to_replica;
    struct pipe to_primary;
    int64_t back_ms;  /* no link comes up before */
    bool is_tainted;  /* a bit was flipped on its link */
    bool is_changing; /* the log has changed, and the follower is to be told */
    struct slot_set touched;
    struct digesting digesting;
    bool was_flipped[TAGS]; /* a bit of the tag's slot, in this process */
    bool is_flipped[TAGS];  /* and its image has not come since */
    bool can_go_on; /* when the link came up its place was in the log, and no slot was missing */

    /* Of its feed's images. */
    struct slot_set wanted;
    struct cut *cut;
    uint32_t next_slot; /* behind the run of slots that is cut */
    struct part parts[QUEUE_PARTS];
    size_t parts_first;
    size_t parts_count;
    struct message_slot *rows; /* done, and in a chunk that has not been given yet */
    size_t rows_count;
};

/* What the primary held before a position. */
struct mark {
    uint64_t position;
    uint64_t digests[TAGS];
};

struct world {
    struct random random;
    struct store_options options;
    struct simulated_disk *simulated;
    struct disk disk;
    struct store *store;
    struct oplog *oplog;
    struct lineage lineage;
    struct oplog_batch batch;
    uint16_t slots[TAGS]; /* of the tags */
    struct mark marks[MARKS];
    size_t marks_count;
    struct replica replicas[REPLICAS_MAX];
    size_t replicas_count;
    struct replica *cutter; /* whose cut is under way */
    bool flushes;           /* databases are changed as a whole, too */
    bool has_favourite;     /* most writes go to one tag, for a while */
    unsigned favourite;
    bool trims;                   /* the log's beginning goes; then the primary never starts over */
    uint64_t slot_changed[SLOTS]; /* behind the last change of each */
    uint64_t all_changed;         /* what was before is not known any more */
    struct digest_rounds *rounds;
    struct digesting digesting;
    int64_t now_ms;
    const char *broken;

    uint64_t fulls; /* what happened, for the totals */
    uint64_t partials;
    uint64_t completes;
    uint64_t cuts;
    uint64_t restarts;
    uint64_t flips;
    uint64_t heals;
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

/* ---- the primary's data ---- */

static struct store *store_make(struct world *world) {
    return store_new(&(struct store_plan){
        .options = &world->options,
        .secret = SECRET,
        .seed = 1,
        .slot_count = SLOTS,
        .database_count = DATABASES,
    });
}

static void mark_add(struct world *world, uint64_t position) {
    struct mark *mark = &world->marks[world->marks_count++ % MARKS];
    mark->position = position;
    for (int i = 0; i < TAGS; i++) {
        mark->digests[i] = digest_slot(world->store, world->slots[i], DIGEST_SEED);
    }
}

/* The last one that was made of it. */
static const struct mark *mark_find(const struct world *world, uint64_t position) {
    for (size_t i = world->marks_count; i > 0 && i + MARKS > world->marks_count; i--) {
        const struct mark *mark = &world->marks[(i - 1) % MARKS];
        if (mark->position == position) {
            return mark;
        }
    }
    return NULL;
}

/* What was before these positions is not any more. */
static void marks_drop(struct world *world, uint64_t position) {
    for (size_t i = 0; i < MARKS; i++) {
        if (world->marks[i].position > position) {
            world->marks[i].position = UINT64_MAX;
        }
    }
}

static struct span key_write(struct world *world, char *text, size_t size) {
    unsigned tag = world->has_favourite && below(world, 50) != 0 ? world->favourite
                                                                 : (unsigned)below(world, TAGS);
    int length = snprintf(text, size, "{%u}:%u", tag, (unsigned)below(world, KEYS));
    return span_of(text, (size_t)length);
}

/* What is changed is known by its place behind the append: until then it is the largest. */
static void note_change(struct world *world, const struct place *place) {
    if (place == NULL) {
        world->all_changed = UINT64_MAX;
    } else {
        world->slot_changed[place->slot] = UINT64_MAX;
    }
}

static void note_append(struct world *world, uint64_t end) {
    world->all_changed = world->all_changed == UINT64_MAX ? end : world->all_changed;
    for (int i = 0; i < TAGS; i++) {
        uint64_t *changed = &world->slot_changed[world->slots[i]];
        *changed = *changed == UINT64_MAX ? end : *changed;
    }
}

static void emit(struct world *world, struct place *place, const struct effect *effect) {
    struct effect_record record = {.effect = *effect, .slot = EFFECT_NODE_SLOT};
    if (place != NULL) {
        record.key = place->key;
        record.database = place->database;
        record.slot = place->slot;
    }
    bool is_apart = effect_write(&world->batch.bytes, &record);
    ASSERT(!is_apart);
    note_change(world, place);
    if (place != NULL) {
        effect_apply(place, effect);
    } else {
        effect_apply_to_database(world->store, effect);
    }
}

static void change_database(struct world *world) {
    struct effect effect = {.kind = EFFECT_DATABASE_FLUSH,
                            .number = (int64_t)below(world, DATABASES)};
    if (below(world, 2) == 0) {
        effect.kind = EFFECT_DATABASE_SWAP;
        effect.number = 1;
    }
    emit(world, NULL, &effect);
}

static void change_hash(struct world *world, struct place *place) {
    uint64_t count = below(world, 20) == 0 ? 600 : 1 + below(world, 10);
    for (uint64_t i = 0; i < count; i++) {
        char field[TEXT_BYTES];
        int length = snprintf(field, sizeof(field), "field%u", (unsigned)below(world, 900));
        struct effect effect = {
            .kind = below(world, 4) == 0 ? EFFECT_HASH_DELETE : EFFECT_HASH_PUT,
            .field = span_of(field, (size_t)length),
            .value = span_of(field, below(world, (uint64_t)length)),
        };
        emit(world, place, &effect);
    }
}

static void change_string(struct world *world, struct place *place) {
    static const size_t lengths[] = {0, 3, 40, 500, 5000};
    char bytes[5000];
    size_t length = lengths[below(world, 5)];
    memset(bytes, (int)('a' + below(world, 26)), sizeof(bytes));
    struct effect effect = {
        .kind = EFFECT_VALUE_PUT,
        .value = span_of(bytes, length),
        .expiry_ms = below(world, 3) == 0 ? (int64_t)below(world, 1000) : ENTRY_NO_EXPIRY,
    };
    emit(world, place, &effect);
}

static void change(struct world *world) {
    char text[TEXT_BYTES];
    struct place place = {.store = world->store, .key = key_write(world, text, sizeof(text))};
    place.slot = slot_of_key(place.key);
    place.hash = store_hash(world->store, place.key);
    place.database = (uint32_t)below(world, DATABASES);
    place_find(&place);
    const struct entry *entry = place_entry(&place);
    uint64_t dice = below(world, 100);
    if (dice < 2 && world->flushes) {
        change_database(world);
    } else if (dice < 50) {
        change_string(world, &place);
    } else if (dice < 60) {
        emit(world, &place, &(struct effect){.kind = EFFECT_KEY_DELETE});
    } else if (entry == NULL || value_type_of(entry) == VALUE_HASH) {
        change_hash(world, &place);
    } else {
        struct effect effect = {
            .kind = EFFECT_STRING_PATCH, .value = place.key, .number = (int64_t)below(world, 60)};
        emit(world, &place, &effect);
    }
}

/* ---- digests ---- */

static void digesting_end(struct digesting *digesting) {
    slot_digest_free(digesting->digest);
    digesting->digest = NULL;
}

/* The message is there, with the rows of the digest that is still held. */
static bool digesting_is_done(struct digesting *digesting) {
    if (digesting->digest == NULL) {
        digesting->message.flags = MESSAGE_DIGEST_SKIPPED;
        return true;
    }
    if (!slot_digest_is_done(digesting->digest)) {
        return false;
    }
    struct slot_digest_result result;
    slot_digest_result(digesting->digest, &result);
    digesting->message.sum = result.sum;
    digesting->message.keys = result.keys;
    digesting->message.rows = result.rows;
    return true;
}

static void digesting_begin(struct digesting *digesting, struct store *store,
                            const struct digest_request *request) {
    digesting->message = (struct message_digest){
        .slot = request->slot,
        .flags = request->has_keys ? MESSAGE_DIGEST_KEYS : 0,
        .seed = request->seed,
    };
    digesting->digest = slot_digest_new(&(struct slot_digest_plan){
        .store = store,
        .seed = request->seed,
        .step_bytes = DIGEST_STEP_BYTES,
        .slot = request->slot,
        .has_keys = request->has_keys,
    });
}

static void digesting_step(struct digesting *digesting) {
    struct cut_work work = {0};
    if (digesting->digest != NULL) {
        slot_digest_step(digesting->digest, &work);
    }
}

/* The primary's own. */
static void own_digest_tell(struct world *world) {
    if (digesting_is_done(&world->digesting)) {
        digest_rounds_own(world->rounds, &world->digesting.message, true);
        digesting_end(&world->digesting);
    }
}

static void own_digest_step(struct world *world) {
    if (world->digesting.digest != NULL) {
        digesting_step(&world->digesting);
        own_digest_tell(world);
    }
}

/* Behind the effects so far. */
static void digest_ask(struct world *world, const struct digest_request *request) {
    struct effect_record record = {
        .effect = {.kind = EFFECT_SLOT_DIGEST,
                   .number = (int64_t)request->seed,
                   .has_keys = request->has_keys},
        .slot = request->slot,
    };
    effect_write(&world->batch.bytes, &record);
    digesting_begin(&world->digesting, world->store, request);
    own_digest_tell(world);
}

static void digest_next(struct world *world) {
    struct digest_request request = {.slot = world->slots[below(world, TAGS)]};
    if (world->digesting.digest != NULL) {
        return;
    }
    if (!digest_rounds_next(world->rounds, &no_rounds, world->now_ms, &request)) {
        request.seed = random_next(&world->random);
    }
    digest_ask(world, &request);
}

static int tag_of(const struct world *world, uint16_t slot) {
    int tag = 0;
    while (tag < TAGS && world->slots[tag] != slot) {
        tag++;
    }
    return tag;
}

static void replica_differs(void *context, const struct digest_verdict *verdict) {
    struct world *world = context;
    struct replica *replica = &world->replicas[verdict->node_id[0]];
    int tag = tag_of(world, verdict->slot);
    struct slot_set slots = {{0}};
    slot_set_add(&slots, verdict->slot);
    check(world, tag < TAGS && replica->was_flipped[tag],
          "a slot in which no bit was flipped is never said to differ");
    check(world, verdict->keys_are_known && verdict->keys > 0, "the keys that differ are named");
    if (replica->feed != NULL) {
        feed_heal(replica->feed, &slots);
    }
}

static void source_digest(void *context, const struct message_digest *digest) {
    struct replica *replica = context;
    struct feed_figures figures;
    feed_figures_read(replica->feed, &figures);
    digest_rounds_report(replica->world->rounds, figures.node_id, digest);
}

static void replica_digest_tell(struct replica *replica) {
    if (digesting_is_done(&replica->digesting)) {
        if (replica->follower != NULL) {
            follower_digest(replica->follower, &replica->digesting.message);
        }
        digesting_end(&replica->digesting);
    }
}

static void replica_digest_step(struct replica *replica) {
    if (replica->digesting.digest != NULL) {
        digesting_step(&replica->digesting);
        replica_digest_tell(replica);
    }
}

/* The log asks for one. While another is under way it cannot be computed. */
static void replica_applied(void *context, const struct effect_record *record) {
    struct replica *replica = context;
    struct digest_request request = {
        .slot = record->slot,
        .has_keys = record->effect.has_keys,
        .seed = (uint64_t)record->effect.number,
    };
    if (record->effect.kind == EFFECT_SLOT_DIGEST && replica->digesting.digest == NULL) {
        digesting_begin(&replica->digesting, replica->store, &request);
        replica_digest_tell(replica);
    }
}

/* A bit of a value in a replica's memory. */
static void replica_flip(struct replica *replica) {
    struct world *world = replica->world;
    char text[TEXT_BYTES];
    struct place place = {.store = replica->store, .key = key_write(world, text, sizeof(text))};
    place.slot = slot_of_key(place.key);
    place.hash = store_hash(place.store, place.key);
    place.database = (uint32_t)below(world, DATABASES);
    place_find(&place);
    const struct entry *entry = place_entry(&place);
    if (entry == NULL || slot_set_has(&replica->slots.missing, place.slot) ||
        !effect_flip_bit(&place, below(world, 100000))) {
        return;
    }
    int tag = tag_of(world, place.slot);
    replica->was_flipped[tag] = true;
    replica->is_flipped[tag] = true;
    world->flips++;
}

static void tick(struct world *world) {
    if (below(world, 100) == 0) {
        world->favourite = (unsigned)below(world, TAGS);
    }
    uint64_t digest_at = below(world, 12);
    for (uint64_t count = 1 + below(world, 5); count > 0; count--) {
        change(world);
        if (count == digest_at) {
            digest_next(world);
        }
    }
    uint64_t end = oplog_append(world->oplog, &world->batch, world->now_ms);
    note_append(world, end);
    /* Digests are most of the work. */
    if (below(world, 4) == 0) {
        mark_add(world, end);
    }
}

/* ---- the primary's log ---- */

static void no_progress(void *context) {
    (void)context;
}

static void log_open(struct world *world, const struct history *parent, uint64_t begin) {
    struct oplog_plan plan = {
        .disk = &world->disk,
        .history = {.epoch = parent->epoch + 1},
        .parent = *parent,
        .begin = begin,
        .sync = OPLOG_SYNC_NO,
        .segment_bytes = 2000 + below(world, 20000),
        .progress = no_progress,
        .is_stepwise = true,
    };
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        plan.history.id[i] = (unsigned char)below(world, 256);
    }
    int error = 0;
    world->oplog = oplog_open(&plan, &error);
    ASSERT(world->oplog != NULL);
    lineage_add(&world->lineage, &plan.history, begin);
}

static bool replay_one(void *context, const struct oplog_frame *frame) {
    struct applier *applier = context;
    struct buffer report = BUFFER_EMPTY;
    bool is_done = applier_frame(applier, frame->position, frame->content, &report);
    buffer_free(&report);
    return is_done;
}

static void link_close(struct replica *replica);

/* The process ends at once, and begins again with what the disk holds. */
static void primary_restart(struct world *world) {
    for (size_t i = 0; i < world->replicas_count; i++) {
        link_close(&world->replicas[i]);
    }
    simulated_disk_stop(world->simulated);
    oplog_close(world->oplog);
    oplog_batch_clear(&world->batch);
    digesting_end(&world->digesting);
    store_free(world->store);
    simulated_disk_start(world->simulated);
    if (below(world, 2) == 0) {
        simulated_disk_lose_power(world->simulated);
    }
    world->store = store_make(world);
    struct applier *applier = applier_new(world->store);
    struct oplog_recovery recovery;
    struct oplog_recovery_plan plan = {
        .disk = &world->disk, .apply = replay_one, .context = applier};
    check(world, oplog_recover(&plan, &recovery) == OPLOG_DONE, "the primary's log is recovered");
    applier_free(applier);
    lineage_cut(&world->lineage, &recovery.history);
    marks_drop(world, recovery.end);
    log_open(world, &recovery.history, recovery.end);
    world->all_changed = recovery.end;
    mark_add(world, recovery.end);
    oplog_recovery_free(&recovery);
    world->restarts++;
}

/* ---- what a feed asks of the primary ---- */

static const struct lineage *source_lineage(void *context) {
    return &((struct replica *)context)->world->lineage;
}

static uint64_t source_start(void *context) {
    struct oplog_figures figures;
    oplog_figures_read(((struct replica *)context)->world->oplog, &figures);
    return figures.start;
}

static uint64_t source_end(void *context) {
    return oplog_written_position(((struct replica *)context)->world->oplog);
}

/* Writes go on while the feed asks, of other slots perhaps. */
static bool source_changed(void *context, uint64_t since, struct slot_set *slots) {
    struct world *world = ((struct replica *)context)->world;
    bool is_known = world->all_changed <= since;
    for (int i = 0; is_known && i < TAGS; i++) {
        if (world->slot_changed[world->slots[i]] > since) {
            slot_set_add(slots, world->slots[i]);
        }
    }
    if (below(world, 2) == 0) {
        world->favourite = (unsigned)below(world, TAGS);
        tick(world);
        oplog_step_write(world->oplog);
    }
    return is_known;
}

static void part_add(struct replica *replica, struct part part) {
    ASSERT(replica->parts_count < QUEUE_PARTS);
    replica->parts[(replica->parts_first + replica->parts_count++) % QUEUE_PARTS] = part;
}

static void rows_flush(struct replica *replica) {
    if (replica->rows_count > 0) {
        part_add(replica, (struct part){.rows = replica->rows, .count = replica->rows_count});
        replica->rows = NULL;
        replica->rows_count = 0;
    }
}

static uint64_t cut_position(void *context) {
    return oplog_end_position(((struct replica *)context)->world->oplog);
}

static void cut_chunk(void *context, struct image_chunk *chunk) {
    struct replica *replica = context;
    part_add(replica, (struct part){.chunk = chunk});
    rows_flush(replica);
}

static void cut_slot_done(void *context, uint16_t slot, uint64_t position, uint64_t keys) {
    struct replica *replica = context;
    if (replica->rows == NULL) {
        replica->rows = memory_alloc(MESSAGE_SLOTS_MAX * sizeof(replica->rows[0]));
    }
    replica->rows[replica->rows_count++] =
        (struct message_slot){.slot = slot, .position = position, .keys = keys};
}

/* The next run of slots that are wanted. False: there are no more. */
static bool cut_begin(struct replica *replica) {
    uint32_t first = replica->next_slot;
    while (first < SLOTS && !slot_set_has(&replica->wanted, (uint16_t)first)) {
        first++;
    }
    uint32_t end = first;
    while (end < SLOTS && end - first < MESSAGE_SLOTS_MAX &&
           slot_set_has(&replica->wanted, (uint16_t)end)) {
        end++;
    }
    replica->next_slot = end;
    if (first == end) {
        return false;
    }
    replica->cut = cut_new(&(struct cut_plan){
        .store = replica->world->store,
        .target = {.context = replica,
                   .position = cut_position,
                   .chunk = cut_chunk,
                   .slot_done = cut_slot_done},
        .slot_first = first,
        .slot_count = end - first,
        .step_bytes = 500,
    });
    return true;
}

static bool source_images_begin(void *context, const struct slot_set *slots) {
    struct replica *replica = context;
    if (replica->world->cutter != NULL) {
        return false;
    }
    replica->world->cutter = replica;
    replica->wanted = *slots;
    replica->next_slot = 0;
    return true;
}

static enum feed_image part_take(struct replica *replica, struct buffer *chunk,
                                 struct message_slot *slots, size_t *count) {
    struct part part = replica->parts[replica->parts_first];
    replica->parts_first = (replica->parts_first + 1) % QUEUE_PARTS;
    replica->parts_count--;
    if (part.chunk != NULL) {
        image_chunk_join(part.chunk, chunk);
        image_chunk_free(part.chunk);
        return FEED_IMAGE_CHUNK;
    }
    memcpy(slots, part.rows, part.count * sizeof(slots[0]));
    *count = part.count;
    memory_free(part.rows);
    return FEED_IMAGE_SLOTS;
}

static enum feed_image source_images_next(void *context, struct buffer *chunk,
                                          struct message_slot *slots, size_t *count) {
    struct replica *replica = context;
    if (replica->parts_count > 0) {
        return part_take(replica, chunk, slots, count);
    }
    if (replica->world->digesting.digest != NULL) {
        return FEED_IMAGE_NOT_YET;
    }
    if (replica->cut == NULL && !cut_begin(replica)) {
        return FEED_IMAGE_END;
    }
    struct cut_work work = {0};
    if (cut_step(replica->cut, &work)) {
        cut_free(replica->cut);
        replica->cut = NULL;
        rows_flush(replica);
    }
    return FEED_IMAGE_NOT_YET;
}

static void source_images_end(void *context) {
    struct replica *replica = context;
    if (replica->cut != NULL) {
        cut_free(replica->cut);
        replica->cut = NULL;
    }
    while (replica->parts_count > 0) {
        struct part part = replica->parts[replica->parts_first];
        replica->parts_first = (replica->parts_first + 1) % QUEUE_PARTS;
        replica->parts_count--;
        if (part.chunk != NULL) {
            image_chunk_free(part.chunk);
        }
        memory_free(part.rows);
    }
    memory_free(replica->rows);
    replica->rows = NULL;
    replica->rows_count = 0;
    replica->world->cutter = NULL;
}

/* ---- what a follower asks of the replica ---- */

static void target_log(void *context, struct follower_log *log) {
    *log = ((struct replica *)context)->log;
}

/* The slots that the lost frames touched are not known here: all are. */
static enum follower_change target_cut(void *context, const struct message_plan *plan,
                                       struct slot_set *touched, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    replica->is_changing = below(replica->world, 2) == 0;
    slot_set_clear(&replica->touched);
    if (replica->log.end > plan->position) {
        slot_set_fill(replica->is_changing ? &replica->touched : touched);
    }
    lineage_cut(&replica->log.lineage, &plan->history);
    replica->log.end = plan->position;
    replica->world->cuts++;
    return replica->is_changing ? FOLLOWER_CHANGE_LATER : FOLLOWER_CHANGE_DONE;
}

static enum follower_change target_reset(void *context, const struct message_plan *plan,
                                         struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    replica->is_changing = below(replica->world, 2) == 0;
    slot_set_clear(&replica->touched);
    replica->log.lineage.count = 0;
    lineage_add(&replica->log.lineage, &plan->history, plan->position);
    replica->log.end = plan->position;
    replica->world->fulls += plan->mode == PLAN_RESET;
    replica->world->partials += plan->mode == PLAN_CHANGED;
    check(replica->world, !replica->can_go_on, "who can go on is not reset");
    return replica->is_changing ? FOLLOWER_CHANGE_LATER : FOLLOWER_CHANGE_DONE;
}

static void target_clear(void *context, const struct slot_set *slots) {
    applier_clear(((struct replica *)context)->applier, slots);
}

static bool target_image(void *context, struct span chunk, struct buffer *report) {
    return applier_image(((struct replica *)context)->applier, chunk, report);
}

static bool target_slot(void *context, const struct message_slot *slot, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    applier_slot(replica->applier, slot->slot, slot->position);
    int tag = tag_of(replica->world, slot->slot);
    if (tag < TAGS && replica->is_flipped[tag]) {
        replica->is_flipped[tag] = false;
        replica->world->heals++;
    }
    return true;
}

/* All slots are of the position at which the log is, or later: then they are not compared. */
static void replica_compare(struct replica *replica) {
    struct world *world = replica->world;
    const struct mark *mark = mark_find(world, replica->log.end);
    if (mark == NULL) {
        return;
    }
    for (int i = 0; i < TAGS; i++) {
        uint16_t slot = world->slots[i];
        check(world,
              replica->is_flipped[i] || replica->slots.images[slot].position > replica->log.end ||
                  digest_slot(replica->store, slot, DIGEST_SEED) == mark->digests[i],
              "a replica holds what the primary held at that position");
    }
}

static bool target_complete(void *context, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    replica->world->completes++;
    return true;
}

static bool target_turn(void *context, const struct message_turn *turn, struct buffer *report) {
    struct replica *replica = context;
    struct history current = lineage_current(&replica->log.lineage);
    if (!history_equal(&current, &turn->parent)) {
        buffer_append_string(report, "a turn from another history");
        return check(replica->world, false, "a turn's parent is the history before it");
    }
    lineage_add(&replica->log.lineage, &turn->history, turn->position);
    return true;
}

static bool target_frame(void *context, const struct message_frame *frame, struct buffer *report) {
    struct replica *replica = context;
    check(replica->world, frame->position == replica->log.end, "frames come without a gap");
    if (!applier_frame(replica->applier, frame->position, frame->part, report)) {
        return check(replica->world, false, "a frame that came fits the data");
    }
    replica->log.end = frame->position + OPLOG_FRAME_HEADER_BYTES + frame->length;
    return true;
}

/* ---- links ---- */

static void link_close(struct replica *replica) {
    if (replica->feed == NULL) {
        return;
    }
    feed_free(replica->feed);
    replica->feed = NULL;
    follower_free(replica->follower);
    replica->follower = NULL;
    buffer_clear(&replica->to_replica.bytes);
    buffer_clear(&replica->to_primary.bytes);
    replica->is_tainted = false;
    if (replica->is_changing) {
        replica->is_changing = false;
        slot_set_add_all(&replica->slots.missing, &replica->touched);
    }
}

static void link_open(struct replica *replica) {
    struct world *world = replica->world;
    struct lineage_log own = {.lineage = &world->lineage, .end = source_end(replica)};
    struct lineage_log other = {.lineage = &replica->log.lineage, .end = replica->log.end};
    struct lineage_part common;
    replica->can_go_on =
        lineage_common(&own, &other, &common) && common.position >= source_start(replica);
    replica->feed = feed_new(&(struct feed_plan){
        .source = {.context = replica,
                   .log = &world->disk,
                   .lineage = source_lineage,
                   .start = source_start,
                   .end = source_end,
                   .changed = source_changed,
                   .images_begin = source_images_begin,
                   .images_next = source_images_next,
                   .images_end = source_images_end,
                   .digest = source_digest},
        .seed = LINK_SEED,
        .now_ms = world->now_ms,
        .compresses = below(world, 2) == 0,
    });
    replica->follower = follower_new(&(struct follower_plan){
        .target = {.context = replica,
                   .log = target_log,
                   .cut = target_cut,
                   .reset = target_reset,
                   .clear = target_clear,
                   .image = target_image,
                   .slot = target_slot,
                   .complete = target_complete,
                   .turn = target_turn,
                   .frame = target_frame},
        .slots = &replica->slots,
        .node_id = {(unsigned char)(replica - world->replicas)},
        .seed = LINK_SEED,
        .now_ms = world->now_ms,
    });
}

static void pipe_flip(struct world *world, struct replica *replica, struct pipe *pipe) {
    if (pipe->bytes.length > 0) {
        size_t at = below(world, pipe->bytes.length);
        pipe->bytes.bytes[at] ^= (char)(1 << below(world, 8));
        replica->is_tainted = true;
    }
}

static size_t pipe_some(struct world *world, const struct pipe *pipe) {
    size_t length = pipe->bytes.length;
    return length == 0 || below(world, 3) == 0 ? length : 1 + below(world, length);
}

/* Some of what is under way arrives. */
static void link_deliver(struct replica *replica) {
    struct world *world = replica->world;
    struct pipe *down = &replica->to_replica;
    size_t length = pipe_some(world, down);
    uint64_t position = replica->log.end;
    bool is_up = length == 0 || follower_receive(replica->follower,
                                                 span_of(down->bytes.bytes, length), world->now_ms);
    buffer_consume(&down->bytes, length);
    if (replica->log.end != position && !replica->is_changing &&
        slot_set_is_empty(&replica->slots.missing)) {
        replica_compare(replica);
    }
    if (is_up && replica->is_changing) {
        replica->is_changing = false;
        is_up = follower_changed(replica->follower, true, &replica->touched, span_of("", 0));
    }
    struct pipe *up = &replica->to_primary;
    length = pipe_some(world, up);
    is_up = is_up && (length == 0 ||
                      feed_receive(replica->feed, span_of(up->bytes.bytes, length), world->now_ms));
    buffer_consume(&up->bytes, length);
    if (!is_up) {
        if (!check(world, replica->is_tainted, "a link of honest peers does not end")) {
            printf("  %s / %s\n", follower_reason(replica->follower), feed_reason(replica->feed));
        }
        link_close(replica);
    }
}

static void link_fill(struct replica *replica) {
    struct world *world = replica->world;
    uint64_t end = replica->log.end;
    struct follower_progress progress = {.written = end, .synced = end, .applied = end};
    follower_fill(replica->follower, &replica->to_primary.bytes, &progress, world->now_ms);
    if (replica->to_replica.bytes.length < ROOM &&
        !feed_fill(replica->feed, &replica->to_replica.bytes, ROOM, world->now_ms)) {
        check(world, replica->is_tainted, "a feed does not fail");
        link_close(replica);
    }
}

static void link_step(struct replica *replica, bool has_faults) {
    struct world *world = replica->world;
    if (replica->feed == NULL) {
        if (!has_faults || world->now_ms >= replica->back_ms) {
            link_open(replica);
        }
        return;
    }
    uint64_t dice = below(world, has_faults ? 400 : 100);
    if (dice < 50) {
        link_fill(replica);
    } else if (dice < 396) {
        link_fill(replica);
        link_deliver(replica);
    } else if (dice == 396) {
        pipe_flip(world, replica,
                  below(world, 2) == 0 ? &replica->to_replica : &replica->to_primary);
    } else {
        link_close(replica);
        replica->back_ms = world->now_ms + (below(world, 2) == 0 ? 0 : (int64_t)below(world, 2000));
    }
}

/* ---- the whole ---- */

static void replica_restart(struct replica *replica) {
    struct world *world = replica->world;
    link_close(replica);
    digesting_end(&replica->digesting);
    if (replica->store != NULL) {
        applier_free(replica->applier);
        store_free(replica->store);
    }
    replica->store = store_make(world);
    replica->applier = applier_new(replica->store);
    applier_observe(replica->applier, replica_applied, replica);
    memset(replica->was_flipped, 0, sizeof(replica->was_flipped));
    memset(replica->is_flipped, 0, sizeof(replica->is_flipped));
    replica->slots = (struct replica_slots){0};
    slot_set_fill(&replica->slots.missing);
    replica->log = (struct follower_log){0};
}

static struct world *world_open(uint64_t seed) {
    struct world *world = memory_alloc_zeroed(sizeof(*world));
    random_seed(&world->random, seed);
    world->options.hash_max_listpack_entries = 8;
    world->options.hash_max_listpack_value = 64;
    world->simulated = simulated_disk_new(seed);
    world->disk = simulated_disk_interface(world->simulated);
    world->store = store_make(world);
    world->now_ms = 1;
    world->trims = below(world, 2) == 0;
    world->flushes = below(world, 2) == 0;
    world->has_favourite = below(world, 2) == 0;
    for (unsigned i = 0; i < TAGS; i++) {
        char text[TEXT_BYTES];
        int length = snprintf(text, sizeof(text), "{%u}", i);
        world->slots[i] = slot_of_key(span_of(text, (size_t)length));
    }
    world->rounds = digest_rounds_new(&(struct digest_rounds_plan){
        .context = world, .differs = replica_differs, .seed = random_next(&world->random)});
    log_open(world, &(struct history){0}, 0);
    mark_add(world, 0);
    world->replicas_count = 1 + below(world, REPLICAS_MAX);
    for (size_t i = 0; i < world->replicas_count; i++) {
        world->replicas[i].world = world;
        replica_restart(&world->replicas[i]);
    }
    return world;
}

static void world_close(struct world *world) {
    for (size_t i = 0; i < world->replicas_count; i++) {
        struct replica *replica = &world->replicas[i];
        link_close(replica);
        buffer_free(&replica->to_replica.bytes);
        buffer_free(&replica->to_primary.bytes);
        digesting_end(&replica->digesting);
        applier_free(replica->applier);
        store_free(replica->store);
    }
    digesting_end(&world->digesting);
    digest_rounds_free(world->rounds);
    oplog_close(world->oplog);
    oplog_batch_free(&world->batch);
    store_free(world->store);
    simulated_disk_free(world->simulated);
    memory_free(world);
}

/* Some of the log's beginning goes: at most what links that are up do not need. */
static void log_trim(struct world *world) {
    uint64_t position = oplog_synced_position(world->oplog);
    for (size_t i = 0; i < world->replicas_count; i++) {
        const struct feed *feed = world->replicas[i].feed;
        if (feed != NULL && feed_stage(feed) == FEED_HELLO) {
            world->replicas[i].can_go_on = false;
        }
        if (feed != NULL && feed_needs(feed) < position) {
            position = feed_needs(feed);
        }
    }
    oplog_trim(world->oplog, position);
}

static void step(struct world *world) {
    world->now_ms += (int64_t)below(world, 20);
    uint64_t dice = below(world, 1000);
    own_digest_step(world);
    struct replica *replica = &world->replicas[below(world, world->replicas_count)];
    if (dice < 250) {
        tick(world);
    } else if (dice < 350) {
        oplog_step_write(world->oplog);
    } else if (dice < 400) {
        oplog_step_sync(world->oplog);
    } else if (dice < 410 && world->trims) {
        log_trim(world);
    } else if (dice < 403 && !world->trims) {
        primary_restart(world);
    } else if (dice == 410) {
        replica_restart(replica);
    } else if (dice < 414) {
        replica_flip(replica);
    } else {
        replica_digest_step(replica);
        link_step(replica, true);
    }
}

static bool has_caught_up(const struct world *world, const struct replica *replica) {
    struct history own = lineage_current(&world->lineage);
    struct history theirs = lineage_current(&replica->log.lineage);
    return replica->log.end == oplog_end_position(world->oplog) && history_equal(&own, &theirs) &&
           slot_set_is_empty(&replica->slots.missing);
}

static bool has_flips(const struct world *world) {
    for (size_t i = 0; i < world->replicas_count; i++) {
        for (int tag = 0; tag < TAGS; tag++) {
            struct replica *replica = (struct replica *)&world->replicas[i];
            if (replica->is_flipped[tag] &&
                digest_slot(replica->store, world->slots[tag], DIGEST_SEED) !=
                    digest_slot(world->store, world->slots[tag], DIGEST_SEED)) {
                return true;
            }
        }
    }
    return false;
}

static void replicas_step(struct world *world) {
    world->now_ms += 10;
    own_digest_step(world);
    for (size_t i = 0; i < world->replicas_count; i++) {
        replica_digest_step(&world->replicas[i]);
        link_step(&world->replicas[i], false);
    }
}

static bool have_caught_up(const struct world *world) {
    for (size_t i = 0; i < world->replicas_count; i++) {
        if (!has_caught_up(world, &world->replicas[i])) {
            return false;
        }
    }
    return true;
}

static void catch_up(struct world *world) {
    uint32_t steps = 0;
    while (world->broken == NULL && !have_caught_up(world) &&
           check(world, steps++ < CATCH_UP_STEPS, "replicas catch up")) {
        replicas_step(world);
    }
}

/* Rounds over all slots, and what they lead to. */
static void heal(struct world *world) {
    uint32_t steps = 0;
    while (world->broken == NULL && has_flips(world) &&
           check(world, steps++ < HEAL_STEPS, "what was flipped is healed")) {
        struct digest_request request = {.seed = random_next(&world->random)};
        if (world->digesting.digest == NULL && steps % 64 == 0) {
            request.slot = world->slots[steps / 64 % TAGS];
            digest_rounds_next(world->rounds, &no_rounds, world->now_ms, &request);
            digest_ask(world, &request);
            oplog_append(world->oplog, &world->batch, world->now_ms);
            oplog_step_write(world->oplog);
        }
        replicas_step(world);
    }
}

/* Without faults and writes, all replicas come to the primary's end, and hold what it holds. */
static void world_settle(struct world *world) {
    while (oplog_step_write(world->oplog) || oplog_step_sync(world->oplog)) {
    }
    /* What was flipped before may still be under way. */
    for (size_t i = 0; i < world->replicas_count; i++) {
        link_close(&world->replicas[i]);
    }
    catch_up(world);
    heal(world);
    catch_up(world);
    for (size_t i = 0; i < world->replicas_count; i++) {
        struct replica *replica = &world->replicas[i];
        link_close(replica);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            check(world,
                  digest_slot(world->store, (uint16_t)slot, DIGEST_SEED) ==
                      digest_slot(replica->store, (uint16_t)slot, DIGEST_SEED),
                  "in the end a replica holds what the primary holds");
        }
    }
}

struct totals {
    uint64_t fulls;
    uint64_t partials;
    uint64_t completes;
    uint64_t cuts;
    uint64_t restarts;
    uint64_t flips;
    uint64_t heals;
};

static const char *run(uint64_t seed, struct totals *totals) {
    struct world *world = world_open(seed);
    for (int i = 0; i < STEPS && world->broken == NULL; i++) {
        step(world);
    }
    if (world->broken == NULL) {
        world_settle(world);
    }
    const char *broken = world->broken;
    totals->fulls += world->fulls;
    totals->partials += world->partials;
    totals->completes += world->completes;
    totals->cuts += world->cuts;
    totals->restarts += world->restarts;
    totals->flips += world->flips;
    totals->heals += world->heals;
    world_close(world);
    return broken;
}

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
    struct totals totals = {0};
    uint64_t failures = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        const char *broken = run(seed + i, &totals);
        if (broken != NULL) {
            failures++;
            printf("FAILED: %s\nseed %llu failed; repeat it with: %s --seed %llu --seeds 1\n",
                   broken, (unsigned long long)(seed + i), arguments[0],
                   (unsigned long long)(seed + i));
        }
    }
    printf("%llu times all slots were imaged, %llu times what had changed, %llu syncs were "
           "complete, %llu logs cut, the primary "
           "began %llu times again, %llu bits were flipped, %llu slots with some imaged\n",
           (unsigned long long)totals.fulls, (unsigned long long)totals.partials,
           (unsigned long long)totals.completes, (unsigned long long)totals.cuts,
           (unsigned long long)totals.restarts, (unsigned long long)totals.flips,
           (unsigned long long)totals.heals);
    printf("%d%%: Checks: %llu, Failures: %llu, Errors: 0\n",
           seeds == 0 ? 100 : (int)(100 * (seeds - failures) / seeds), (unsigned long long)seeds,
           (unsigned long long)failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
