#include "replication/follower.h"

#include "base/memory.h"
#include "oplog/segment.h"

#include <inttypes.h>
#include <lz4.h>
#include <string.h>

struct follower {
    struct follower_plan plan;
    enum follower_stage stage;
    bool has_greeted;    /* hello has been said */
    bool has_wanted;     /* and what is missing */
    struct buffer input; /* what came and is no whole message yet */
    struct buffer reason;
    struct buffer digests; /* messages that are to be sent */

    /* A frame or image of which more is to come. */
    enum message_kind gathers; /* 0: none */
    struct buffer gathered;
    uint64_t gathered_length; /* that it will have */
    struct message_frame frame;
    uint64_t image_length;
    struct buffer chunk;

    struct message_plan *change; /* the plan, while it is carried out elsewhere */
    uint64_t end;                /* of the log, as the stream tells */
    struct history primary;      /* in which the images are taken */
    struct slot_set healing;     /* whose images the target keeps until they are whole */
    bool must_report;
    int64_t reported_ms;
    int64_t beat_ms; /* of the primary's clock */
    struct follower_progress reported;
    struct follower_figures figures;
};

struct follower *follower_new(const struct follower_plan *plan) {
    struct follower *follower = memory_alloc_zeroed(sizeof(*follower));
    follower->plan = *plan;
    follower->figures.heard_ms = plan->now_ms;
    return follower;
}

void follower_free(struct follower *follower) {
    if (follower == NULL) {
        return;
    }
    buffer_free(&follower->input);
    buffer_free(&follower->reason);
    buffer_free(&follower->digests);
    buffer_free(&follower->gathered);
    buffer_free(&follower->chunk);
    memory_free(follower->change);
    memory_free(follower);
}

__attribute__((format(printf, 2, 3))) static bool fail(struct follower *follower,
                                                       const char *format, ...) {
    if (follower->stage != FOLLOWER_ENDED) {
        follower->stage = FOLLOWER_ENDED;
        va_list arguments;
        va_start(arguments, format);
        buffer_format_arguments(&follower->reason, format, arguments);
        va_end(arguments);
        buffer_append_byte(&follower->reason, '\0');
    }
    return false;
}

/* What the target says, or what became of it. */
static bool target_done(struct follower *follower, bool is_done, struct buffer *report) {
    if (!is_done) {
        fail(follower, "%.*s", (int)report->length, report->bytes);
    }
    buffer_free(report);
    return is_done;
}

/* ---- the plan ---- */

static void slots_reset(struct replica_slots *slots) {
    slot_set_fill(&slots->missing);
    memset(slots->images, 0, sizeof(slots->images));
}

/* Images may hold what the primary's log never will: they were taken in a history that has ended
 * before. */
static void slots_check(struct replica_slots *slots, const struct message_plan *plan) {
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        struct lineage_part *image = &slots->images[slot];
        if (image->position > plan->position && !lineage_holds(&plan->lineage, image)) {
            slot_set_add(&slots->missing, (uint16_t)slot);
            image->position = 0;
        }
    }
}

static enum follower_change plan_follow(struct follower *follower, const struct message_plan *plan,
                                        struct buffer *report) {
    const struct follower_target *target = &follower->plan.target;
    struct replica_slots *slots = follower->plan.slots;
    switch (plan->mode) {
    case PLAN_GO_ON:
        break;
    case PLAN_CUT:
        return target->cut(target->context, plan, &slots->missing, report);
    case PLAN_RESET:
        slots_reset(slots);
        return target->reset(target->context, plan, report);
    case PLAN_CHANGED:
        slot_set_add_all(&slots->missing, &plan->changed);
        return target->reset(target->context, plan, report);
    }
    return FOLLOWER_CHANGE_DONE;
}

/* The log that the target has is the one that the plan goes on with. */
static bool plan_fits(struct follower *follower, const struct message_plan *plan) {
    const struct follower_target *target = &follower->plan.target;
    struct follower_log *log = memory_alloc_zeroed(sizeof(*log));
    target->log(target->context, log);
    struct history current = lineage_current(&log->lineage);
    bool fits = log->end == plan->position && history_equal(&current, &plan->history);
    memory_free(log);
    return fits || fail(follower, "the primary's plan does not fit the log that ends here");
}

/* The log is what the plan wants. */
static bool plan_done(struct follower *follower, const struct message_plan *plan) {
    slots_check(follower->plan.slots, plan);
    if (!plan_fits(follower, plan)) {
        return false;
    }
    const struct slot_set *missing = &follower->plan.slots->missing;
    if (!slot_set_is_empty(missing)) {
        follower->plan.target.clear(follower->plan.target.context, missing);
    }
    follower->end = plan->position;
    follower->primary = lineage_current(&plan->lineage);
    follower->stage = FOLLOWER_IMAGES;
    return true;
}

static bool plan_start(struct follower *follower) {
    struct message_plan *plan = follower->change;
    memcpy(follower->figures.node_id, plan->node_id, MESSAGE_NODE_ID_BYTES);
    follower->figures.mode = plan->mode;
    follower->stage = FOLLOWER_CHANGE;
    struct buffer report = BUFFER_EMPTY;
    enum follower_change change = plan_follow(follower, plan, &report);
    bool goes_on = target_done(follower, change != FOLLOWER_CHANGE_FAILED, &report);
    if (change == FOLLOWER_CHANGE_DONE) {
        goes_on = plan_done(follower, plan);
    }
    if (change != FOLLOWER_CHANGE_LATER) {
        memory_free(plan);
        follower->change = NULL;
    }
    return goes_on;
}

static bool plan_came(struct follower *follower, struct span body) {
    follower->change = memory_alloc_zeroed(sizeof(*follower->change));
    if (message_read_plan(body, follower->change) && follower->change->version == MESSAGE_VERSION) {
        return plan_start(follower);
    }
    return fail(follower, "the primary's first message is not one of version %d", MESSAGE_VERSION);
}

bool follower_changed(struct follower *follower, bool is_done, const struct slot_set *touched,
                      struct span report) {
    if (follower->stage != FOLLOWER_CHANGE) {
        return follower->stage != FOLLOWER_ENDED;
    }
    struct message_plan *plan = follower->change;
    follower->change = NULL;
    slot_set_add_all(&follower->plan.slots->missing, touched);
    bool goes_on = is_done ? plan_done(follower, plan)
                           : fail(follower, "%.*s", (int)report.length, report.bytes);
    memory_free(plan);
    return goes_on;
}

/* ---- images ---- */

static bool image_whole(struct follower *follower, struct span stored) {
    struct span chunk = stored;
    uint64_t length = follower->image_length;
    if (stored.length != length) {
        buffer_clear(&follower->chunk);
        int written = length > LZ4_MAX_INPUT_SIZE || length / 255 > stored.length
                          ? -1
                          : LZ4_decompress_safe(stored.bytes,
                                                buffer_reserve(&follower->chunk, (size_t)length),
                                                (int)stored.length, (int)length);
        if (written < 0 || (uint64_t)written != length) {
            return fail(follower, "the primary sent an image that cannot be decompressed");
        }
        chunk = span_of(follower->chunk.bytes, (size_t)length);
    }
    const struct follower_target *target = &follower->plan.target;
    struct buffer report = BUFFER_EMPTY;
    return target_done(follower, target->image(target->context, chunk, &report), &report);
}

static bool slots_came(struct follower *follower, struct span body) {
    const struct follower_target *target = &follower->plan.target;
    struct replica_slots *slots = follower->plan.slots;
    struct message_slot slot;
    while (message_read_slot(&body, &slot)) {
        bool is_missing = slot_set_has(&slots->missing, slot.slot);
        if ((!is_missing && !slot_set_has(&follower->healing, slot.slot)) ||
            slot.position < follower->end) {
            return fail(follower, "the primary sent slot %u, which was not wanted", slot.slot);
        }
        if (is_missing) {
            slots->images[slot.slot] =
                (struct lineage_part){.history = follower->primary, .position = slot.position};
        }
        struct buffer report = BUFFER_EMPTY;
        if (!target_done(follower, target->slot(target->context, &slot, &report), &report)) {
            return false;
        }
        slot_set_remove(&slots->missing, slot.slot);
        slot_set_remove(&follower->healing, slot.slot);
        follower->figures.images++;
    }
    return body.length == 0 || fail(follower, "the primary sent a list of slots that is none");
}

static bool complete_came(struct follower *follower) {
    const struct follower_target *target = &follower->plan.target;
    uint32_t missing =
        slot_set_count(&follower->plan.slots->missing) + slot_set_count(&follower->healing);
    if (missing > 0) {
        return fail(follower, "the primary says that all images were sent, %u are missing",
                    missing);
    }
    follower->stage = FOLLOWER_LOG;
    follower->must_report = true;
    struct buffer report = BUFFER_EMPTY;
    return target_done(follower, target->complete(target->context, &report), &report);
}

/* ---- the log ---- */

static bool frame_whole(struct follower *follower, struct span content) {
    const struct follower_target *target = &follower->plan.target;
    follower->frame.part = content;
    struct buffer report = BUFFER_EMPTY;
    bool is_done = target->frame(target->context, &follower->frame, &report);
    follower->figures.frames++;
    return target_done(follower, is_done, &report);
}

static bool turn_came(struct follower *follower, struct span body) {
    const struct follower_target *target = &follower->plan.target;
    struct message_turn turn;
    if (!message_read_turn(body, &turn) || turn.position != follower->end) {
        return fail(follower, "the primary sent a history that does not begin where the log ends");
    }
    struct buffer report = BUFFER_EMPTY;
    return target_done(follower, target->turn(target->context, &turn, &report), &report);
}

/* What these slots hold is not what the primary's do: their images come next. */
static bool heal_came(struct follower *follower, struct span body) {
    const struct follower_target *target = &follower->plan.target;
    struct message_heal heal;
    if (!message_read_heal(body, &heal)) {
        return fail(follower, "the primary sent a set of slots to be healed that is none");
    }
    if (target->heal != NULL && target->heal(target->context, &heal.slots)) {
        slot_set_add_all(&follower->healing, &heal.slots);
    } else {
        slot_set_add_all(&follower->plan.slots->missing, &heal.slots);
        target->clear(target->context, &heal.slots);
    }
    follower->primary = heal.history;
    follower->figures.healed += slot_set_count(&heal.slots);
    follower->stage = FOLLOWER_IMAGES;
    return true;
}

static bool beat_came(struct follower *follower, struct span body) {
    struct message_beat beat;
    if (!message_read_beat(body, &beat)) {
        return fail(follower, "the primary sent a beat that is none");
    }
    follower->figures.primary_end = beat.position;
    follower->beat_ms = beat.time_ms;
    follower->must_report = true;
    return true;
}

/* ---- what may come in several messages ---- */

static bool gather_whole(struct follower *follower, struct span content) {
    return follower->gathers == MESSAGE_FRAME ? frame_whole(follower, content)
                                              : image_whole(follower, content);
}

static bool gather_begin(struct follower *follower, enum message_kind kind, struct span part,
                         uint64_t length) {
    follower->gathers = kind;
    follower->gathered_length = length;
    if (part.length < length) {
        buffer_append_span(&follower->gathered, part);
        return true;
    }
    bool is_done = gather_whole(follower, part);
    follower->gathers = 0;
    return is_done;
}

static bool more_came(struct follower *follower, struct span part) {
    if (part.length > follower->gathered_length - follower->gathered.length) {
        return fail(follower, "the primary sent more than it had said");
    }
    buffer_append_span(&follower->gathered, part);
    if (follower->gathered.length < follower->gathered_length) {
        return true;
    }
    bool is_done = gather_whole(follower, buffer_span(&follower->gathered));
    follower->gathers = 0;
    buffer_free(&follower->gathered);
    return is_done;
}

static bool image_came(struct follower *follower, struct span body) {
    struct message_image image;
    if (!message_read_image(body, &image)) {
        return fail(follower, "the primary sent an image that is none");
    }
    follower->image_length = image.length;
    follower->figures.image_bytes += image.stored;
    return gather_begin(follower, MESSAGE_IMAGE, image.part, image.stored);
}

static bool frame_came(struct follower *follower, struct span body) {
    if (!message_read_frame(body, &follower->frame) || follower->frame.position != follower->end) {
        return fail(follower, "the primary sent a frame that does not begin where the log ends");
    }
    follower->end += OPLOG_FRAME_HEADER_BYTES + follower->frame.length;
    return gather_begin(follower, MESSAGE_FRAME, follower->frame.part, follower->frame.length);
}

/* ---- messages ---- */

static bool comes_in_turn(const struct follower *follower, enum message_kind kind) {
    if (follower->gathers != 0) {
        return kind == MESSAGE_MORE;
    }
    switch (kind) {
    case MESSAGE_PLAN:
        return follower->stage == FOLLOWER_PLAN;
    case MESSAGE_IMAGE:
    case MESSAGE_SLOTS:
    case MESSAGE_COMPLETE:
        return follower->stage == FOLLOWER_IMAGES;
    case MESSAGE_TURN:
    case MESSAGE_FRAME:
    case MESSAGE_HEAL:
        return follower->stage == FOLLOWER_LOG;
    case MESSAGE_BEAT:
        return follower->stage == FOLLOWER_IMAGES || follower->stage == FOLLOWER_LOG;
    default:
        return kind == MESSAGE_REFUSAL;
    }
}

static bool message_came(struct follower *follower, enum message_kind kind, struct span body) {
    if (!comes_in_turn(follower, kind)) {
        return fail(follower, "the primary sent a message of kind %d out of its turn", (int)kind);
    }
    switch (kind) {
    case MESSAGE_PLAN:
        return plan_came(follower, body);
    case MESSAGE_IMAGE:
        return image_came(follower, body);
    case MESSAGE_SLOTS:
        return slots_came(follower, body);
    case MESSAGE_COMPLETE:
        return complete_came(follower);
    case MESSAGE_TURN:
        return turn_came(follower, body);
    case MESSAGE_FRAME:
        return frame_came(follower, body);
    case MESSAGE_MORE:
        return more_came(follower, body);
    case MESSAGE_BEAT:
        return beat_came(follower, body);
    case MESSAGE_HEAL:
        return heal_came(follower, body);
    default:
        return fail(follower, "the primary says: %.*s", (int)body.length, body.bytes);
    }
}

bool follower_receive(struct follower *follower, struct span bytes, int64_t now_ms) {
    if (follower->stage == FOLLOWER_ENDED) {
        return false;
    }
    follower->figures.heard_ms = now_ms;
    buffer_append_span(&follower->input, bytes);
    struct span rest = buffer_span(&follower->input);
    enum message_kind kind;
    struct span body;
    enum message_status status;
    bool goes_on = true;
    while (goes_on &&
           (status = message_read(&rest, follower->plan.seed, &kind, &body)) != MESSAGE_PARTIAL) {
        goes_on = status == MESSAGE_DONE
                      ? message_came(follower, kind, body)
                      : fail(follower, "the primary sent bytes that are no message");
    }
    buffer_consume(&follower->input, follower->input.length - rest.length);
    return goes_on;
}

/* ---- what it sends ---- */

static void send_hello(struct follower *follower, struct buffer *out) {
    const struct follower_target *target = &follower->plan.target;
    struct follower_log *log = memory_alloc_zeroed(sizeof(*log));
    struct message_hello *hello = memory_alloc_zeroed(sizeof(*hello));
    target->log(target->context, log);
    hello->version = MESSAGE_VERSION;
    memcpy(hello->node_id, follower->plan.node_id, MESSAGE_NODE_ID_BYTES);
    hello->position = log->end;
    hello->lineage = log->lineage;
    message_write_hello(out, follower->plan.seed, hello);
    memory_free(hello);
    memory_free(log);
}

static bool is_further(const struct follower_progress *a, const struct follower_progress *b) {
    return a->written > b->written || a->synced > b->synced || a->applied > b->applied;
}

void follower_fill(struct follower *follower, struct buffer *out,
                   const struct follower_progress *progress, int64_t now_ms) {
    if (!follower->has_greeted) {
        follower->has_greeted = true;
        send_hello(follower, out);
    }
    if (follower->stage == FOLLOWER_IMAGES && !follower->has_wanted) {
        follower->has_wanted = true;
        message_write_want(out, follower->plan.seed, &follower->plan.slots->missing);
    }
    if (!follower->has_wanted) {
        return;
    }
    buffer_append_span(out, buffer_span(&follower->digests));
    buffer_clear(&follower->digests);
    if ((!follower->must_report && !is_further(progress, &follower->reported) &&
         now_ms - follower->reported_ms < FOLLOWER_REPORT_MS)) {
        return;
    }
    struct message_report report = {
        .written = progress->written,
        .synced = progress->synced,
        .applied = progress->applied,
        .beat_ms = follower->beat_ms,
    };
    message_write_report(out, follower->plan.seed, &report);
    follower->beat_ms = 0;
    follower->must_report = false;
    follower->reported = *progress;
    follower->reported_ms = now_ms;
}

void follower_digest(struct follower *follower, const struct message_digest *digest) {
    if (follower->digests.length < FOLLOWER_DIGESTS_BYTES_MAX) {
        message_write_digest(&follower->digests, follower->plan.seed, digest);
    }
}

/* ---- questions ---- */

enum follower_stage follower_stage(const struct follower *follower) {
    return follower->stage;
}

const char *follower_reason(const struct follower *follower) {
    return follower->reason.length == 0 ? "" : follower->reason.bytes;
}

void follower_figures_read(const struct follower *follower, struct follower_figures *figures) {
    *figures = follower->figures;
}
