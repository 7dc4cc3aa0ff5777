#include "replication/feed.h"

#include "base/memory.h"
#include "oplog/reader.h"
#include "replication/lag.h"

#include <inttypes.h>
#include <lz4.h>
#include <string.h>

/* Speed of lz4 for images: links are faster than its best. */
#define COMPRESSION_SPEED 8

struct feed {
    struct feed_plan plan;
    enum feed_stage stage;
    struct buffer input; /* what came and is no whole message yet */
    struct buffer reason;

    uint64_t base;       /* position from which the log goes on */
    struct history told; /* that the replica is in */
    struct slot_set wanted;
    struct slot_set differing; /* to be imaged, too, when has_differing */
    bool has_differing;
    uint64_t images_end;   /* no image is of a later position */
    bool heals;            /* what is wanted differs, and the replica has not been told */
    bool has_images;       /* images_begin() said yes, images_end() is due */
    struct buffer message; /* the plan, until it is sent */
    struct buffer chunk;
    struct buffer compressed;
    struct span pending; /* what is left of a frame or image whose first part has been sent */

    struct oplog_reader *reader;
    struct buffer report; /* the reader's */
    int64_t spoke_ms;
    struct lag lag;
    int64_t log_beat_ms; /* of the first beat behind the images, 0: none yet */
    struct feed_figures figures;
};

struct feed *feed_new(const struct feed_plan *plan) {
    struct feed *feed = memory_alloc_zeroed(sizeof(*feed));
    feed->plan = *plan;
    feed->base = UINT64_MAX;
    feed->spoke_ms = plan->now_ms;
    feed->figures.heard_ms = plan->now_ms;
    return feed;
}

static void images_end(struct feed *feed) {
    if (feed->has_images) {
        feed->has_images = false;
        feed->plan.source.images_end(feed->plan.source.context);
    }
}

void feed_free(struct feed *feed) {
    if (feed == NULL) {
        return;
    }
    images_end(feed);
    oplog_reader_close(feed->reader);
    buffer_free(&feed->input);
    buffer_free(&feed->reason);
    buffer_free(&feed->message);
    buffer_free(&feed->chunk);
    buffer_free(&feed->compressed);
    buffer_free(&feed->report);
    memory_free(feed);
}

__attribute__((format(printf, 2, 3))) static bool fail(struct feed *feed, const char *format, ...) {
    if (feed->stage != FEED_ENDED) {
        feed->stage = FEED_ENDED;
        va_list arguments;
        va_start(arguments, format);
        buffer_format_arguments(&feed->reason, format, arguments);
        va_end(arguments);
        buffer_append_byte(&feed->reason, '\0');
        images_end(feed);
    }
    return false;
}

/* ---- what the replica says ---- */

static const struct lineage *lineage_of(struct feed *feed) {
    return feed->plan.source.lineage(feed->plan.source.context);
}

/* The replica's log cannot go on: it begins anew at this one's end. */
static void plan_reset(struct feed *feed, const struct message_hello *hello,
                       const struct lineage_part *common, struct message_plan *plan) {
    const struct feed_source *source = &feed->plan.source;
    plan->mode = PLAN_RESET;
    /* Before the question: writes go on, and what comes between both is in an image or the log. */
    plan->position = source->end(source->context);
    plan->history = lineage_current(lineage_of(feed));
    if (common != NULL && common->position == hello->position &&
        source->changed(source->context, common->position, &plan->changed)) {
        plan->mode = PLAN_CHANGED;
    }
}

static void plan_make(struct feed *feed, const struct message_hello *hello,
                      struct message_plan *plan) {
    const struct feed_source *source = &feed->plan.source;
    struct lineage_log own = {
        .lineage = lineage_of(feed),
        .end = source->end(source->context),
    };
    struct lineage_log other = {.lineage = &hello->lineage, .end = hello->position};
    struct lineage_part common;
    bool has_common = lineage_common(&own, &other, &common);
    if (!has_common || common.position < source->start(source->context)) {
        plan_reset(feed, hello, has_common ? &common : NULL, plan);
        return;
    }
    struct history theirs = lineage_current(&hello->lineage);
    bool is_whole = common.position == hello->position && history_equal(&common.history, &theirs);
    plan->mode = is_whole ? PLAN_GO_ON : PLAN_CUT;
    plan->position = common.position;
    plan->history = common.history;
}

static void plan_send(struct feed *feed, const struct message_hello *hello) {
    struct message_plan *plan = memory_alloc_zeroed(sizeof(*plan));
    plan->version = MESSAGE_VERSION;
    memcpy(plan->node_id, feed->plan.node_id, MESSAGE_NODE_ID_BYTES);
    plan->lineage = *lineage_of(feed);
    plan_make(feed, hello, plan);
    feed->base = plan->position;
    feed->told = plan->history;
    feed->figures.mode = plan->mode;
    feed->figures.sent = plan->position;
    message_write_plan(&feed->message, feed->plan.seed, plan);
    memory_free(plan);
}

static bool hello_came(struct feed *feed, struct span body) {
    struct message_hello *hello = memory_alloc(sizeof(*hello));
    bool is_read = message_read_hello(body, hello) && hello->version == MESSAGE_VERSION;
    if (is_read) {
        memcpy(feed->figures.node_id, hello->node_id, MESSAGE_NODE_ID_BYTES);
        plan_send(feed, hello);
        feed->stage = FEED_WANT;
    }
    memory_free(hello);
    return is_read ||
           fail(feed, "the replica's first message is not one of version %d", MESSAGE_VERSION);
}

static bool report_came(struct feed *feed, struct span body, int64_t now_ms) {
    struct message_report report;
    struct feed_figures *figures = &feed->figures;
    if (!message_read_report(body, &report)) {
        return fail(feed, "the replica sent a report that is none");
    }
    if (report.written > figures->sent || report.synced > report.written ||
        report.applied > figures->sent) {
        return fail(feed, "the replica reports position %" PRIu64 ", and was sent %" PRIu64,
                    report.written, figures->sent);
    }
    figures->written = report.written;
    figures->synced = report.synced;
    figures->applied = report.applied;
    figures->behind_ms = lag_since(&feed->lag, report.applied);
    if (report.beat_ms != 0) {
        figures->round_trip_ms = now_ms - report.beat_ms;
    }
    figures->follows = figures->follows || report.written > feed->base ||
                       (feed->log_beat_ms != 0 && report.beat_ms >= feed->log_beat_ms);
    return true;
}

static bool digest_came(struct feed *feed, struct span body) {
    const struct feed_source *source = &feed->plan.source;
    struct message_digest digest;
    if (!message_read_digest(body, &digest)) {
        return fail(feed, "the replica sent a digest that is none");
    }
    if (source->digest != NULL) {
        source->digest(source->context, &digest);
    }
    return true;
}

static bool want_came(struct feed *feed, struct span body) {
    if (!message_read_want(body, &feed->wanted)) {
        return fail(feed, "the replica sent a set of slots that is none");
    }
    feed->stage = FEED_IMAGES;
    return true;
}

static bool message_came(struct feed *feed, enum message_kind kind, struct span body,
                         int64_t now_ms) {
    if (kind == MESSAGE_REFUSAL) {
        return fail(feed, "the replica says: %.*s", (int)body.length, body.bytes);
    }
    if (kind == MESSAGE_HELLO && feed->stage == FEED_HELLO) {
        return hello_came(feed, body);
    }
    if (kind == MESSAGE_WANT && feed->stage == FEED_WANT) {
        return want_came(feed, body);
    }
    if (kind == MESSAGE_REPORT && feed->stage >= FEED_IMAGES) {
        return report_came(feed, body, now_ms);
    }
    if (kind == MESSAGE_DIGEST && feed->stage >= FEED_IMAGES) {
        return digest_came(feed, body);
    }
    return fail(feed, "the replica sent a message of kind %d out of its turn", (int)kind);
}

bool feed_receive(struct feed *feed, struct span bytes, int64_t now_ms) {
    if (feed->stage == FEED_ENDED) {
        return false;
    }
    buffer_append_span(&feed->input, bytes);
    feed->figures.heard_ms = now_ms;
    struct span rest = buffer_span(&feed->input);
    enum message_kind kind;
    struct span body;
    enum message_status status;
    bool goes_on = true;
    while (goes_on &&
           (status = message_read(&rest, feed->plan.seed, &kind, &body)) != MESSAGE_PARTIAL) {
        goes_on = status == MESSAGE_DONE ? message_came(feed, kind, body, now_ms)
                                         : fail(feed, "the replica sent bytes that are no message");
    }
    buffer_consume(&feed->input, feed->input.length - rest.length);
    return goes_on;
}

/* ---- what it is sent ---- */

/* Takes off what goes into the next message. */
static struct span pending_take(struct feed *feed) {
    size_t length =
        feed->pending.length < MESSAGE_PART_BYTES ? feed->pending.length : MESSAGE_PART_BYTES;
    struct span part = span_of(feed->pending.bytes, length);
    feed->pending = span_of(part.bytes + length, feed->pending.length - length);
    return part;
}

static struct span compress(struct feed *feed, struct span chunk) {
    if (!feed->plan.compresses || chunk.length > LZ4_MAX_INPUT_SIZE) {
        return chunk;
    }
    buffer_clear(&feed->compressed);
    /* With no room for more than is worth it, lz4 gives up early. */
    int room = (int)(chunk.length - chunk.length / 8);
    int length = LZ4_compress_fast(chunk.bytes, buffer_reserve(&feed->compressed, (size_t)room),
                                   (int)chunk.length, room, COMPRESSION_SPEED);
    return length > 0 ? span_of(feed->compressed.bytes, (size_t)length) : chunk;
}

static void send_chunk(struct feed *feed, struct buffer *out) {
    struct span chunk = buffer_span(&feed->chunk);
    feed->pending = compress(feed, chunk);
    feed->figures.image_bytes += feed->pending.length;
    struct message_image image = {.length = chunk.length, .stored = feed->pending.length};
    image.part = pending_take(feed);
    message_write_image(out, feed->plan.seed, &image);
}

/* What the replica holds goes no sooner than its images are there. */
static void send_heal(struct feed *feed, struct buffer *out) {
    struct message_heal heal = {
        .history = lineage_current(lineage_of(feed)),
        .slots = feed->wanted,
    };
    message_write_heal(out, feed->plan.seed, &heal);
    feed->figures.healed += slot_set_count(&feed->wanted);
    feed->heals = false;
}

/* True: something was sent, or the stage is over. */
static bool images_step(struct feed *feed, struct buffer *out) {
    const struct feed_source *source = &feed->plan.source;
    enum feed_image next = FEED_IMAGE_END;
    struct message_slot slots[MESSAGE_SLOTS_MAX];
    size_t count = 0;
    if (!slot_set_is_empty(&feed->wanted)) {
        if (!feed->has_images) {
            feed->has_images = source->images_begin(source->context, &feed->wanted);
        }
        buffer_clear(&feed->chunk);
        next = feed->has_images ? source->images_next(source->context, &feed->chunk, slots, &count)
                                : FEED_IMAGE_NOT_YET;
    }
    if (feed->heals && next != FEED_IMAGE_NOT_YET && next != FEED_IMAGE_FAILED) {
        send_heal(feed, out);
    }
    switch (next) {
    case FEED_IMAGE_NOT_YET:
        return false;
    case FEED_IMAGE_CHUNK:
        send_chunk(feed, out);
        return true;
    case FEED_IMAGE_SLOTS:
        message_write_slots(out, feed->plan.seed, slots, count);
        feed->figures.images += count;
        for (size_t i = 0; i < count; i++) {
            feed->images_end =
                slots[i].position > feed->images_end ? slots[i].position : feed->images_end;
        }
        return true;
    case FEED_IMAGE_END:
        images_end(feed);
        buffer_free(&feed->chunk);
        buffer_free(&feed->compressed);
        message_write(out, feed->plan.seed, MESSAGE_COMPLETE, span_of("", 0));
        feed->stage = FEED_LOG;
        return true;
    case FEED_IMAGE_FAILED:
        break;
    }
    return fail(feed, "the images could not be taken");
}

static bool log_open(struct feed *feed, uint64_t end) {
    struct oplog_reader_plan plan = {
        .disk = feed->plan.source.log,
        .from = feed->base,
        .to = end,
        .report = &feed->report,
    };
    return oplog_reader_open(&plan, &feed->reader) == OPLOG_READ_END;
}

/* The history in which the log goes on, if the replica is not in it yet. */
static bool send_turn(struct feed *feed, struct buffer *out) {
    const struct lineage_part *next =
        lineage_next(lineage_of(feed), &feed->told, feed->figures.sent);
    if (next == NULL) {
        return false;
    }
    struct message_turn turn = {
        .history = next->history,
        .parent = feed->told,
        .position = next->position,
    };
    message_write_turn(out, feed->plan.seed, &turn);
    feed->told = next->history;
    return true;
}

static uint16_t first_differing(const struct feed *feed) {
    uint16_t slot = 0;
    while (!slot_set_has(&feed->differing, slot)) {
        slot++;
    }
    return slot;
}

/* The log waits: images are of its end or later, so all that was sent before is before them. One
 * slot at a time, and the next when the log has come to where the last one was taken: a replica
 * keeps one image until then. */
static bool heal_begin(struct feed *feed) {
    const struct feed_source *source = &feed->plan.source;
    if (!feed->has_differing || feed->figures.sent < feed->images_end) {
        return false;
    }
    struct slot_set wanted = {{0}};
    uint16_t slot = first_differing(feed);
    slot_set_add(&wanted, slot);
    if (!source->images_begin(source->context, &wanted)) {
        return false;
    }
    feed->has_images = true;
    feed->wanted = wanted;
    feed->heals = true;
    slot_set_remove(&feed->differing, slot);
    feed->has_differing = !slot_set_is_empty(&feed->differing);
    feed->stage = FEED_IMAGES;
    return true;
}

static bool log_step(struct feed *feed, struct buffer *out) {
    const struct feed_source *source = &feed->plan.source;
    struct feed_figures *figures = &feed->figures;
    if (send_turn(feed, out) || heal_begin(feed)) {
        return true;
    }
    uint64_t end = source->end(source->context);
    if (figures->sent == end) {
        return false;
    }
    if (feed->reader != NULL) {
        oplog_reader_set_end(feed->reader, end);
    } else if (!log_open(feed, end)) {
        return fail(feed, "%.*s", (int)feed->report.length, feed->report.bytes);
    }
    struct oplog_frame read;
    enum oplog_read status = oplog_reader_next(feed->reader, &read);
    if (status != OPLOG_READ_FRAME) {
        return status != OPLOG_READ_END &&
               fail(feed, "%.*s", (int)feed->report.length, feed->report.bytes);
    }
    feed->pending = read.content;
    struct message_frame frame = {
        .position = read.position,
        .time_ms = read.time_ms,
        .length = read.content.length,
    };
    frame.part = pending_take(feed);
    message_write_frame(out, feed->plan.seed, &frame);
    figures->sent = read.end;
    return true;
}

static bool send_step(struct feed *feed, struct buffer *out) {
    if (feed->pending.length > 0) {
        message_write(out, feed->plan.seed, MESSAGE_MORE, pending_take(feed));
        return true;
    }
    switch (feed->stage) {
    case FEED_WANT: {
        bool has_plan = feed->message.length > 0;
        buffer_append_span(out, buffer_span(&feed->message));
        buffer_free(&feed->message);
        return has_plan;
    }
    case FEED_IMAGES:
        return images_step(feed, out);
    case FEED_LOG:
        return log_step(feed, out);
    default:
        return false;
    }
}

static void note_end(struct feed *feed, int64_t now_ms) {
    if (feed->stage >= FEED_IMAGES && feed->stage <= FEED_LOG) {
        lag_note(&feed->lag, feed->plan.source.end(feed->plan.source.context), now_ms);
        feed->figures.behind_ms = lag_since(&feed->lag, feed->figures.applied);
    }
}

bool feed_fill(struct feed *feed, struct buffer *out, size_t room, int64_t now_ms) {
    size_t before = out->length;
    note_end(feed, now_ms);
    while (out->length - before < room && send_step(feed, out)) {
    }
    if (out->length > before) {
        feed->spoke_ms = now_ms;
    }
    if (feed->pending.length == 0 && feed->stage >= FEED_IMAGES && feed->stage <= FEED_LOG &&
        now_ms - feed->spoke_ms >= FEED_BEAT_MS) {
        struct message_beat beat = {
            .position = feed->plan.source.end(feed->plan.source.context),
            .time_ms = now_ms,
        };
        message_write_beat(out, feed->plan.seed, &beat);
        if (feed->stage == FEED_LOG && feed->log_beat_ms == 0) {
            feed->log_beat_ms = now_ms;
        }
        feed->spoke_ms = now_ms;
    }
    return feed->stage != FEED_ENDED;
}

void feed_heal(struct feed *feed, const struct slot_set *slots) {
    slot_set_add_all(&feed->differing, slots);
    feed->has_differing = !slot_set_is_empty(&feed->differing);
}

/* ---- questions ---- */

enum feed_stage feed_stage(const struct feed *feed) {
    return feed->stage;
}

const char *feed_reason(const struct feed *feed) {
    return feed->reason.length == 0 ? "" : feed->reason.bytes;
}

uint64_t feed_needs(const struct feed *feed) {
    return feed->figures.written > feed->base ? feed->figures.written : feed->base;
}

void feed_figures_read(const struct feed *feed, struct feed_figures *figures) {
    *figures = feed->figures;
}
