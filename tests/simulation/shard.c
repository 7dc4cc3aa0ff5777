#include "tests/simulation/shard.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "commands/effect_codec.h"
#include "oplog/divergence.h"
#include "oplog/recovery.h"
#include "store/value.h"

#include <stdio.h>
#include <string.h>

#define KEY_BYTES 32
#define LINK_SEED 99
#define FILL_BYTES 3000
#define SILENCE_STEPS 300 /* a link whose bytes do not come ends after so many, more or less */

static const struct history root = {.epoch = 1, .id = {1}};

bool shard_check(struct shard *shard, bool fact, const char *sentence) {
    if (!fact && shard->broken == NULL) {
        shard->broken = sentence;
    }
    return fact;
}

uint64_t shard_below(struct shard *shard, uint64_t bound) {
    return random_below(&shard->random, bound);
}

static int64_t clock_of(const struct shard_node *node) {
    return node->clock_base + node->shard->now_ms * node->clock_rate / 1000;
}

bool shard_node_runs(const struct shard_node *node) {
    return node->is_up && node->paused_until <= node->shard->steps;
}

/* ---- data ---- */

static const struct store_options store_options = {0};

static struct store *store_make(void) {
    return store_new(&(struct store_plan){.options = &store_options,
                                          .secret = 1,
                                          .seed = 1,
                                          .slot_count = SLOTS,
                                          .database_count = 1});
}

static struct place place_of(const struct shard_node *node, const char *key) {
    struct place place = {.store = node->store, .key = span_of_string(key)};
    place.slot = slot_of_key(place.key);
    place.hash = store_hash(node->store, place.key);
    place_find(&place);
    return place;
}

struct span shard_value(const struct shard_node *node, const char *key, char *scratch) {
    struct place place = place_of(node, key);
    const struct entry *entry = place_entry(&place);
    return entry == NULL ? span_of("", 0) : value_string(entry, scratch);
}

static void emit(struct shard_node *node, const char *key, struct effect effect, bool is_joined) {
    struct place place = place_of(node, key);
    struct effect_record record = {
        .effect = effect, .key = place.key, .slot = place.slot, .is_joined = is_joined};
    effect_write(&node->shard->batch.bytes, &record);
    effect_apply(&place, &effect);
}

static void put(struct shard_node *node, const char *key, struct span value, bool is_joined) {
    emit(node, key,
         (struct effect){.kind = EFFECT_VALUE_PUT, .value = value, .expiry_ms = ENTRY_NO_EXPIRY},
         is_joined);
}

/* ---- the log ---- */

static void no_progress(void *context) {
    (void)context;
}

static struct shard_frame frame_of(uint64_t position, struct span content) {
    return (struct shard_frame){
        .position = position,
        .end = position + OPLOG_FRAME_HEADER_BYTES + content.length,
        .sum = checksum_bytes(content),
    };
}

struct replay {
    struct shard_node *node;
    struct buffer frames; /* struct shard_frame */
};

static bool replay_frame(void *context, const struct oplog_frame *frame) {
    struct replay *replay = context;
    struct buffer report = BUFFER_EMPTY;
    struct shard_frame seen = frame_of(frame->position, frame->content);
    bool fits = applier_frame(replay->node->applier, frame->position, frame->content, &report);
    shard_check(replay->node->shard, fits, "what is recovered fits the data");
    buffer_append(&replay->frames, (const char *)&seen, sizeof(seen));
    buffer_free(&report);
    return true;
}

static void lineage_recover(struct shard_node *node, const struct oplog_recovery *recovery) {
    node->lineage.count = 0;
    lineage_add(&node->lineage, &root, 0);
    for (size_t i = 0; i < recovery->histories_count; i++) {
        if (!history_equal(&recovery->histories[i].history, &root)) {
            lineage_add(&node->lineage, &recovery->histories[i].history,
                        recovery->histories[i].begin);
        }
    }
}

/* Each in the history that held there. */
static void replay_check(struct shard_node *node, const struct replay *replay) {
    size_t part = 0;
    size_t count = replay->frames.length / sizeof(struct shard_frame);
    for (size_t i = 0; i < count; i++) {
        struct shard_frame frame;
        memcpy(&frame, replay->frames.bytes + i * sizeof(frame), sizeof(frame));
        while (part + 1 < node->lineage.count &&
               node->lineage.parts[part + 1].position <= frame.position) {
            part++;
        }
        shard_histories_check(node->shard, &node->lineage.parts[part].history, &frame);
    }
}

static void log_open(struct shard_node *node, uint64_t end) {
    const struct lineage *lineage = &node->lineage;
    const struct lineage_part *last = &lineage->parts[lineage->count - 1];
    struct oplog_plan plan = {
        .disk = &node->disk,
        .history = last->history,
        .history_begin = last->position,
        .begin = end,
        .is_continued = true,
        .sync = node->shard->syncs_always ? OPLOG_SYNC_ALWAYS : OPLOG_SYNC_EVERYSEC,
        .segment_bytes = 500 + shard_below(node->shard, 5000),
        .progress = no_progress,
        .is_stepwise = true,
    };
    if (lineage->count > 1) {
        plan.parent = lineage->parts[lineage->count - 2].history;
    }
    int error = 0;
    node->oplog = oplog_open(&plan, &error);
    shard_check(node->shard, node->oplog != NULL, "a log opens");
}

/* Log and data, as the disk has them. */
static void load(struct shard_node *node) {
    struct replay replay = {.node = node, .frames = BUFFER_EMPTY};
    if (node->store != NULL) {
        applier_free(node->applier);
        store_free(node->store);
    }
    node->store = store_make();
    node->applier = applier_new(node->store);
    struct oplog_recovery recovery;
    struct oplog_recovery_plan plan = {
        .disk = &node->disk, .history = &root, .apply = replay_frame, .context = &replay};
    if (shard_check(node->shard, oplog_recover(&plan, &recovery) == OPLOG_DONE,
                    "a log is recovered")) {
        lineage_recover(node, &recovery);
        replay_check(node, &replay);
        log_open(node, recovery.end);
    }
    oplog_recovery_free(&recovery);
    buffer_free(&replay.frames);
}

/* ---- nodes ---- */

static void primary_links_close(struct shard_node *primary) {
    for (size_t i = 0; i < primary->shard->count; i++) {
        if (primary->shard->nodes[i].link.primary == primary->number) {
            shard_link_close(&primary->shard->nodes[i]);
        }
    }
}

void shard_node_start(struct shard_node *node) {
    if (!node->is_up) {
        simulated_disk_heal(node->simulated);
        load(node);
        node->is_up = node->oplog != NULL;
        node->is_primary = false;
        node->follows = SHARD_NOBODY;
        node->starts++;
        node->crash_at = 0;
        quorum_init(&node->quorum, NULL, NULL);
    }
}

/* What it alone had, and had not synced, may be nowhere. */
static void power_lose(struct shard_node *node, uint64_t synced) {
    struct shard *shard = node->shard;
    simulated_disk_lose_power(node->simulated);
    simulated_disk_lose_power(node->simulated_kept);
    for (size_t i = 0; i < shard->ops_count; i++) {
        struct shard_op *op = &shard->ops[i];
        op->may_be_gone |=
            op->node == node->number && op->start == node->starts && op->end > synced;
    }
}

void shard_node_stop(struct shard_node *node, bool loses_power) {
    if (!node->is_up) {
        return;
    }
    primary_links_close(node);
    shard_link_close(node);
    uint64_t synced = oplog_synced_position(node->oplog);
    simulated_disk_stop(node->simulated);
    oplog_close(node->oplog);
    node->oplog = NULL;
    simulated_disk_start(node->simulated);
    if (loses_power) {
        power_lose(node, synced);
    }
    node->is_up = false;
    node->shard->crashes++;
}

/* ---- clients ---- */

static void request_apply(struct shard_node *node, const struct shard_op *op, uint64_t number) {
    char key[KEY_BYTES];
    char scratch[KEY_BYTES];
    char text[KEY_BYTES];
    int length = snprintf(text, sizeof(text), ";%llu;", (unsigned long long)number);
    struct span mark = span_of(text, (size_t)length);
    int64_t count = 0;
    switch (op->kind) {
    case SHARD_APPEND: {
        struct buffer value = BUFFER_EMPTY;
        snprintf(key, sizeof(key), "{%zu}:tags", op->tag);
        buffer_append_span(&value, shard_value(node, key, scratch));
        buffer_append_span(&value, mark);
        put(node, key, buffer_span(&value), false);
        buffer_free(&value);
        break;
    }
    case SHARD_COUNT:
        snprintf(key, sizeof(key), "{%zu}:count", op->tag);
        number_parse(shard_value(node, key, scratch), &count);
        length = snprintf(text, sizeof(text), "%lld", (long long)count + 1);
        put(node, key, span_of(text, (size_t)length), false);
        break;
    case SHARD_PAIR:
        put(node, "{0}:pair", mark, false);
        put(node, "{1}:pair", mark, true);
        break;
    default:
        snprintf(key, sizeof(key), "{%zu}:short", op->tag);
        emit(node, key,
             (struct effect){.kind = EFFECT_VALUE_PUT,
                             .value = mark,
                             .expiry_ms = clock_of(node) + (int64_t)shard_below(node->shard, 200)},
             false);
    }
}

/* By effects of the primary's, and nowhere else. */
static void expire(struct shard_node *node) {
    for (size_t tag = 0; tag < SHARD_TAGS; tag++) {
        char key[KEY_BYTES];
        snprintf(key, sizeof(key), "{%zu}:short", tag);
        struct place place = place_of(node, key);
        const struct entry *entry = place_entry(&place);
        if (entry != NULL && entry_expiry(entry) < clock_of(node)) {
            emit(node, key, (struct effect){.kind = EFFECT_KEY_DELETE}, false);
        }
    }
}

void shard_request(struct shard_node *node) {
    struct shard *shard = node->shard;
    if (shard->ops_count == SHARD_OPS_MAX) {
        return;
    }
    struct shard_op *op = &shard->ops[shard->ops_count];
    *op = (struct shard_op){
        .kind = (enum shard_kind)shard_below(shard, SHARD_KINDS),
        .tag = shard_below(shard, SHARD_TAGS),
        .node = node->number,
        .start = node->starts,
        .history = lineage_current(&node->lineage),
        .position = oplog_end_position(node->oplog),
        .members = shard_below(shard, 3) == 0 ? 1 : shard->members,
    };
    request_apply(node, op, shard->ops_count++);
    expire(node);
    struct shard_frame frame = frame_of(op->position, buffer_span(&shard->batch.bytes));
    op->end = oplog_append(node->oplog, &shard->batch, clock_of(node));
    shard_check(shard, op->end == frame.end, "an append moves the end by its frame's size");
    shard_histories_made(shard, &op->history, &frame);
    shard_positions_check(node, &op->history, op->position);
}

static bool may_be_acknowledged(const struct shard *shard, const struct shard_op *op) {
    const struct shard_node *node = &shard->nodes[op->node];
    struct history history = lineage_current(&node->lineage);
    return node->is_up && node->is_primary && node->starts == op->start &&
           history_equal(&history, &op->history) && oplog_safe_position(node->oplog) >= op->end &&
           quorum_position(&node->quorum, op->members - 1, shard->syncs_always) >= op->end;
}

void shard_acknowledge(struct shard *shard) {
    for (size_t i = 0; i < shard->ops_count; i++) {
        struct shard_op *op = &shard->ops[i];
        if (!op->is_acknowledged && may_be_acknowledged(shard, op)) {
            op->is_acknowledged = true;
            shard->acknowledged += op->members > 1;
        }
    }
}

/* ---- the operator ---- */

static void follow(struct shard_node *node, size_t primary) {
    if (node->is_primary) {
        node->is_primary = false;
        primary_links_close(node);
    }
    if (node->follows != primary) {
        shard_link_close(node);
        node->follows = primary;
    }
}

static void promote(struct shard_node *node) {
    struct shard *shard = node->shard;
    struct history_origin origin = {
        .history = {.epoch = ++shard->epoch},
        .parent = lineage_current(&node->lineage),
        .begin = oplog_end_position(node->oplog),
    };
    for (size_t i = 0; i < HISTORY_ID_BYTES; i++) {
        origin.history.id[i] = (unsigned char)shard_below(shard, 256);
    }
    shard_check(shard, oplog_turn(node->oplog, &origin) == OPLOG_RECEIVED,
                "the log of who is promoted turns");
    lineage_add(&node->lineage, &origin.history, origin.begin);
    node->is_primary = true;
    shard->primary = node->number;
    shard->promotions++;
    shard_acknowledged_check(shard, node);
}

static bool has_more(const struct shard_node *node, const struct shard_node *other) {
    uint64_t epoch = lineage_current(&node->lineage).epoch;
    uint64_t other_epoch = lineage_current(&other->lineage).epoch;
    return epoch != other_epoch
               ? epoch > other_epoch
               : oplog_end_position(node->oplog) > oplog_end_position(other->oplog);
}

static bool is_answering(const struct shard *shard, size_t i) {
    return shard->is_seen[i] && shard_node_runs(&shard->nodes[i]);
}

/* Who answers follows nobody from then on. */
static void elect(struct shard *shard) {
    struct shard_node *best = NULL;
    size_t answers = 0;
    for (size_t i = 0; i < shard->count; i++) {
        answers += is_answering(shard, i);
    }
    if (answers < shard->count - shard->members + 1) {
        return;
    }
    for (size_t i = 0; i < shard->count; i++) {
        struct shard_node *node = &shard->nodes[i];
        if (is_answering(shard, i)) {
            follow(node, SHARD_NOBODY);
            best = best == NULL || has_more(node, best) ? node : best;
        }
    }
    promote(best);
}

void shard_operate(struct shard *shard) {
    size_t primary = shard->primary;
    bool is_there =
        primary != SHARD_NOBODY && is_answering(shard, primary) && shard->nodes[primary].is_primary;
    if (!is_there) {
        elect(shard);
        return;
    }
    for (size_t i = 0; i < shard->count; i++) {
        if (i != primary && is_answering(shard, i)) {
            follow(&shard->nodes[i], primary);
        }
    }
}

/* ---- the whole ---- */

struct shard *shard_new(uint64_t seed) {
    struct shard *shard = memory_alloc_zeroed(sizeof(*shard));
    random_seed(&shard->random, seed);
    shard->now_ms = 1;
    shard->count = 2 + shard_below(shard, SHARD_NODES_MAX - 1);
    shard->members = 2 + (uint32_t)shard_below(shard, shard->count - 1);
    shard->syncs_always = shard_below(shard, 2) == 0;
    shard->primary = SHARD_NOBODY;
    shard->epoch = root.epoch;
    for (size_t i = 0; i < shard->count; i++) {
        struct shard_node *node = &shard->nodes[i];
        node->shard = shard;
        node->number = i;
        node->link.primary = SHARD_NOBODY;
        node->clock_base = (int64_t)shard_below(shard, 100000);
        node->clock_rate = 900 + (int64_t)shard_below(shard, 200);
        node->simulated = simulated_disk_new(random_next(&shard->random));
        node->simulated_kept = simulated_disk_new(random_next(&shard->random));
        node->disk = simulated_disk_interface(node->simulated);
        node->kept = simulated_disk_interface(node->simulated_kept);
        shard->is_seen[i] = true;
        shard_node_start(node);
    }
    return shard;
}

void shard_free(struct shard *shard) {
    for (size_t i = 0; i < shard->count; i++) {
        struct shard_node *node = &shard->nodes[i];
        shard_link_close(node);
        buffer_free(&node->link.down);
        buffer_free(&node->link.up);
    }
    for (size_t i = 0; i < shard->count; i++) {
        struct shard_node *node = &shard->nodes[i];
        if (node->oplog != NULL) {
            oplog_close(node->oplog);
        }
        applier_free(node->applier);
        store_free(node->store);
        simulated_disk_free(node->simulated);
        simulated_disk_free(node->simulated_kept);
    }
    oplog_batch_free(&shard->batch);
    memory_free(shard);
}

/* ---- what a feed asks of the primary, and a follower of the replica ---- */

static struct shard_node *primary_of(struct shard_node *replica) {
    return &replica->shard->nodes[replica->link.primary];
}

static const struct lineage *source_lineage(void *context) {
    return &primary_of(context)->lineage;
}

static uint64_t source_start(void *context) {
    struct oplog_figures figures;
    oplog_figures_read(primary_of(context)->oplog, &figures);
    return figures.start;
}

static uint64_t source_end(void *context) {
    return oplog_written_position(primary_of(context)->oplog);
}

static bool source_changed(void *context, uint64_t since, struct slot_set *slots) {
    (void)context;
    (void)since;
    (void)slots;
    return false;
}

static bool source_images_begin(void *context, const struct slot_set *slots) {
    struct shard_node *replica = context;
    (void)slots;
    return shard_check(replica->shard, false, "nobody asks for images");
}

static void target_log(void *context, struct follower_log *log) {
    const struct shard_node *node = context;
    log->lineage = node->lineage;
    log->end = oplog_end_position(node->oplog);
}

/* The data is taken from what is left of the log, so no slot is touched. */
static enum follower_change target_cut(void *context, const struct message_plan *plan,
                                       struct slot_set *touched, struct buffer *report) {
    struct shard_node *node = context;
    struct shard *shard = node->shard;
    (void)touched;
    (void)report;
    simulated_disk_heal(node->simulated);
    shard_check(shard, oplog_close(node->oplog) == 0, "a log on a working disk closes");
    node->oplog = NULL;
    struct divergence_plan kept = {
        .log = &node->disk, .kept = &node->kept, .position = plan->position};
    struct divergence_saved saved;
    shard_check(shard, divergence_save(&kept, &saved) == OPLOG_DONE, "what is cut is kept");
    divergence_saved_free(&saved);
    shard_check(shard, divergence_cut(&node->disk, &plan->history, plan->position) == 0,
                "the log has the place at which it is cut");
    load(node);
    shard_check(shard, node->oplog != NULL && oplog_end_position(node->oplog) == plan->position,
                "a log is cut where the plan says");
    shard->cuts++;
    return FOLLOWER_CHANGE_DONE;
}

static enum follower_change target_reset(void *context, const struct message_plan *plan,
                                         struct buffer *report) {
    struct shard_node *node = context;
    (void)plan;
    (void)report;
    shard_check(node->shard, false, "nobody begins anew where all logs are whole");
    return FOLLOWER_CHANGE_FAILED;
}

static void target_clear(void *context, const struct slot_set *slots) {
    struct shard_node *node = context;
    (void)slots;
    shard_check(node->shard, false, "no slot is cleared");
}

static bool target_image(void *context, struct span chunk, struct buffer *report) {
    (void)context;
    (void)chunk;
    (void)report;
    return false;
}

static bool target_slot(void *context, const struct message_slot *slot, struct buffer *report) {
    (void)context;
    (void)slot;
    (void)report;
    return false;
}

static bool target_complete(void *context, struct buffer *report) {
    (void)context;
    (void)report;
    return true;
}

static bool target_turn(void *context, const struct message_turn *turn, struct buffer *report) {
    struct shard_node *node = context;
    struct history_origin origin = {
        .history = turn->history, .parent = turn->parent, .begin = turn->position};
    if (oplog_turn(node->oplog, &origin) != OPLOG_RECEIVED) {
        buffer_append_string(report, "a turn from elsewhere");
        return shard_check(node->shard, node->link.is_tainted, "a primary's turns follow");
    }
    lineage_add(&node->lineage, &origin.history, origin.begin);
    return true;
}

static bool target_frame(void *context, const struct message_frame *frame, struct buffer *report) {
    struct shard_node *node = context;
    struct shard *shard = node->shard;
    if (oplog_end_position(node->oplog) != frame->position) {
        buffer_append_string(report, "a frame from elsewhere");
        return shard_check(shard, node->link.is_tainted, "a primary's frames follow one another");
    }
    struct shard_frame seen = frame_of(frame->position, frame->part);
    struct history history = lineage_current(&node->lineage);
    shard_histories_check(shard, &history, &seen);
    if (!applier_frame(node->applier, frame->position, frame->part, report)) {
        return shard_check(shard, false, "a frame fits the data");
    }
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    buffer_append_span(&batch.bytes, frame->part);
    struct oplog_received_frame received = {.position = frame->position, .time_ms = frame->time_ms};
    shard_check(shard, oplog_append_frame(node->oplog, &received, &batch) == OPLOG_RECEIVED,
                "a frame is received");
    oplog_batch_free(&batch);
    shard_positions_check(node, &history, frame->position);
    return true;
}

/* ---- links ---- */

static void report(struct shard_node *replica) {
    struct shard_node *primary = primary_of(replica);
    struct feed_figures figures;
    feed_figures_read(replica->link.feed, &figures);
    quorum_report(&primary->quorum, (uint32_t)replica->number,
                  &(struct quorum_member){.is_connected = figures.follows,
                                          .written = figures.written,
                                          .synced = figures.synced,
                                          .heard_ms = figures.heard_ms});
}

void shard_link_close(struct shard_node *replica) {
    struct shard_link *link = &replica->link;
    if (link->primary == SHARD_NOBODY) {
        return;
    }
    quorum_report(&primary_of(replica)->quorum, (uint32_t)replica->number,
                  &(struct quorum_member){.is_connected = false});
    feed_free(link->feed);
    follower_free(link->follower);
    link->feed = NULL;
    link->follower = NULL;
    link->primary = SHARD_NOBODY;
    link->is_tainted = false;
    buffer_clear(&link->down);
    buffer_clear(&link->up);
}

static void link_open(struct shard_node *replica) {
    struct shard_link *link = &replica->link;
    link->primary = replica->follows;
    replica->shard->links++;
    link->feed = feed_new(&(struct feed_plan){
        .source = {.context = replica,
                   .log = &primary_of(replica)->disk,
                   .lineage = source_lineage,
                   .start = source_start,
                   .end = source_end,
                   .changed = source_changed,
                   .images_begin = source_images_begin},
        .seed = LINK_SEED,
        .now_ms = clock_of(primary_of(replica)),
    });
    link->follower = follower_new(&(struct follower_plan){
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
        .seed = LINK_SEED,
        .now_ms = clock_of(replica),
    });
}

/* Flips a bit, or has some bytes come twice, or in another order. */
static void bytes_change(struct shard *shard, struct shard_link *link, struct buffer *bytes) {
    if (bytes->length < 2) {
        return;
    }
    size_t at = shard_below(shard, bytes->length);
    size_t length = 1 + shard_below(shard, bytes->length - at);
    struct buffer part = BUFFER_EMPTY;
    buffer_append(&part, bytes->bytes + at, length);
    link->is_tainted = true;
    switch (shard_below(shard, 3)) {
    case 0:
        bytes->bytes[at] ^= (char)(1 << shard_below(shard, 8));
        break;
    case 1:
        buffer_append_span(bytes, buffer_span(&part));
        break;
    default:
        memmove(bytes->bytes + at, bytes->bytes + at + length, bytes->length - at - length);
        memcpy(bytes->bytes + bytes->length - length, part.bytes, length);
    }
    buffer_free(&part);
}

static void link_fill(struct shard_node *replica) {
    struct shard_link *link = &replica->link;
    struct shard_node *primary = primary_of(replica);
    if (shard_node_runs(replica)) {
        struct follower_progress progress = {
            .written = oplog_written_position(replica->oplog),
            .synced = oplog_synced_position(replica->oplog),
            .applied = oplog_end_position(replica->oplog),
        };
        follower_fill(link->follower, &link->up, &progress, clock_of(replica));
    }
    if (shard_node_runs(primary) && link->down.length < FILL_BYTES) {
        bool goes_on = feed_fill(link->feed, &link->down, FILL_BYTES, clock_of(primary));
        shard_check(replica->shard, goes_on || link->is_tainted, "a feed does not fail");
    }
}

static struct span bytes_some(struct shard *shard, const struct buffer *bytes) {
    size_t length = bytes->length;
    return span_of(bytes->bytes, length == 0 || shard_below(shard, 3) == 0
                                     ? length
                                     : 1 + shard_below(shard, length));
}

/* False: one of the two ends the link. */
static bool link_deliver(struct shard_node *replica) {
    struct shard *shard = replica->shard;
    struct shard_link *link = &replica->link;
    struct shard_node *primary = primary_of(replica);
    bool is_up = true;
    if (!shard->is_cut[primary->number][replica->number] && shard_node_runs(replica)) {
        struct span some = bytes_some(shard, &link->down);
        is_up = some.length == 0 || follower_receive(link->follower, some, clock_of(replica));
        buffer_consume(&link->down, some.length);
    }
    if (is_up && !shard->is_cut[replica->number][primary->number] && shard_node_runs(primary)) {
        struct span some = bytes_some(shard, &link->up);
        is_up = some.length == 0 || feed_receive(link->feed, some, clock_of(primary));
        buffer_consume(&link->up, some.length);
        report(replica);
    }
    if (!is_up && !shard_check(shard, link->is_tainted, "a link of honest peers does not end")) {
        printf("  %s / %s\n", follower_reason(link->follower), feed_reason(link->feed));
    }
    return is_up;
}

static bool may_link(const struct shard_node *replica) {
    const struct shard *shard = replica->shard;
    size_t primary = replica->follows;
    return primary != SHARD_NOBODY && shard_node_runs(replica) &&
           shard_node_runs(&shard->nodes[primary]) && shard->nodes[primary].is_primary &&
           !shard->is_cut[primary][replica->number] && !shard->is_cut[replica->number][primary];
}

void shard_link_step(struct shard_node *replica, bool has_faults) {
    struct shard *shard = replica->shard;
    struct shard_link *link = &replica->link;
    if (link->primary == SHARD_NOBODY) {
        if (may_link(replica)) {
            link_open(replica);
        }
        return;
    }
    uint64_t dice = shard_below(shard, SILENCE_STEPS);
    if (dice == 0 && (has_faults || !may_link(replica))) {
        shard_link_close(replica);
        return;
    }
    if (dice == 1 && has_faults) {
        bytes_change(shard, link, shard_below(shard, 2) == 0 ? &link->down : &link->up);
    }
    link_fill(replica);
    if (dice % 4 != 2 && !link_deliver(replica)) {
        shard_link_close(replica);
    }
}
