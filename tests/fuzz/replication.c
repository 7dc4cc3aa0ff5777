/* Both ends of a replication link, given what a broken or hostile peer may send: they go on, or say
 * why not; what they are told to do with data and log stays within what follower.h promises.
 *
 * The first byte of the input: bit 0 for the primary's side. Then messages: kind (1), length of the
 * body (2), body; they are framed with the right checksum, which few changed bytes would have.
 * With bit 1 of the first byte the rest goes in as it is. */
#include "replication/applier.h"
#include "replication/digest_rounds.h"
#include "replication/feed.h"
#include "replication/follower.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "oplog/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define SEED 5
#define BASE 1000
#define HEAD_BYTES 3
/* No input asks for much memory. */
#define IMAGE_BYTES_MAX ((uint64_t)1024 * 1024)

struct node {
    struct store *store;
    struct applier *applier;
    struct follower_log log;
    struct replica_slots slots;
    struct digest_rounds *rounds; /* of the primary */
};

/* ---- a replica ---- */

static void target_log(void *context, struct follower_log *log) {
    *log = ((struct node *)context)->log;
}

static enum follower_change target_cut(void *context, const struct message_plan *plan,
                                       struct slot_set *touched, struct buffer *report) {
    struct node *node = context;
    struct history current = lineage_current(&node->log.lineage);
    if (!history_equal(&current, &plan->history) || plan->position > node->log.end ||
        plan->position < node->log.lineage.parts[0].position) {
        buffer_append_string(report, "there is no such place");
        return FOLLOWER_CHANGE_FAILED;
    }
    slot_set_add(touched, 7);
    node->log.end = plan->position;
    return FOLLOWER_CHANGE_DONE;
}

static enum follower_change target_reset(void *context, const struct message_plan *plan,
                                         struct buffer *report) {
    (void)report;
    struct node *node = context;
    node->log.lineage.count = 0;
    lineage_add(&node->log.lineage, &plan->history, plan->position);
    node->log.end = plan->position;
    return FOLLOWER_CHANGE_DONE;
}

static void target_clear(void *context, const struct slot_set *slots) {
    applier_clear(((struct node *)context)->applier, slots);
}

static bool target_image(void *context, struct span chunk, struct buffer *report) {
    return applier_image(((struct node *)context)->applier, chunk, report);
}

static bool target_slot(void *context, const struct message_slot *slot, struct buffer *report) {
    (void)report;
    struct node *node = context;
    ASSERT(slot->slot < SLOTS && slot_set_has(&node->slots.missing, slot->slot));
    ASSERT(slot->position >= node->log.end);
    applier_slot(node->applier, slot->slot, slot->position);
    return true;
}

static bool target_complete(void *context, struct buffer *report) {
    (void)report;
    ASSERT(slot_set_is_empty(&((struct node *)context)->slots.missing));
    return true;
}

static bool target_turn(void *context, const struct message_turn *turn, struct buffer *report) {
    (void)report;
    struct node *node = context;
    ASSERT(turn->position == node->log.end);
    lineage_add(&node->log.lineage, &turn->history, turn->position);
    return true;
}

static bool target_frame(void *context, const struct message_frame *frame, struct buffer *report) {
    struct node *node = context;
    ASSERT(frame->position == node->log.end && frame->part.length == frame->length);
    node->log.end += OPLOG_FRAME_HEADER_BYTES + frame->length;
    return applier_frame(node->applier, frame->position, frame->part, report);
}

/* ---- a primary ---- */

static const struct lineage *source_lineage(void *context) {
    return &((struct node *)context)->log.lineage;
}

static uint64_t source_place(void *context) {
    (void)context;
    return BASE;
}

static bool source_changed(void *context, uint64_t since, struct slot_set *slots) {
    (void)context;
    slot_set_add(slots, 3);
    return since % 2 == 0;
}

static bool source_images_begin(void *context, const struct slot_set *slots) {
    (void)context;
    return !slot_set_is_empty(slots);
}

static enum feed_image source_images_next(void *context, struct buffer *chunk,
                                          struct message_slot *slots, size_t *count) {
    (void)context;
    (void)chunk;
    (void)slots;
    (void)count;
    return FEED_IMAGE_END;
}

static void source_images_end(void *context) {
    (void)context;
}

/* What a replica says of its keys is compared with what this node says: nothing. */
static void source_digest(void *context, const struct message_digest *digest) {
    struct node *node = context;
    struct message_digest own = {
        .slot = digest->slot,
        .flags = MESSAGE_DIGEST_KEYS,
        .seed = digest->seed,
        .keys = digest->keys + 1,
    };
    digest_rounds_own(node->rounds, &own, digest->seed % 2 == 0);
    digest_rounds_report(node->rounds, node->log.lineage.parts[0].history.id, digest);
}

static void differs(void *context, const struct digest_verdict *verdict) {
    (void)context;
    ASSERT(verdict->slot < SLOTS);
    ASSERT(verdict->keys_are_known || (verdict->keys == 0 && verdict->keys_named.length == 0));
}

/* ---- what is sent to them ---- */

/* An image says how much memory it will take. */
static bool is_too_large(enum message_kind kind, struct span body) {
    struct message_image image;
    return kind == MESSAGE_IMAGE && message_read_image(body, &image) &&
           image.length > IMAGE_BYTES_MAX;
}

static void frame_messages(struct span input, struct buffer *out) {
    while (input.length >= HEAD_BYTES) {
        enum message_kind kind = (enum message_kind)((unsigned char)input.bytes[0] % 16);
        size_t length = bytes_load_u16(input.bytes + 1);
        size_t room = input.length - HEAD_BYTES;
        length = length < room ? length : room;
        struct span body = span_of(input.bytes + HEAD_BYTES, length);
        if (!is_too_large(kind, body)) {
            message_write(out, SEED, kind, body);
        }
        input = span_of(body.bytes + length, room - length);
    }
}

static void give_to_follower(struct node *node, struct span bytes) {
    struct follower *follower = follower_new(&(struct follower_plan){
        .target = {.context = node,
                   .log = target_log,
                   .cut = target_cut,
                   .reset = target_reset,
                   .clear = target_clear,
                   .image = target_image,
                   .slot = target_slot,
                   .complete = target_complete,
                   .turn = target_turn,
                   .frame = target_frame},
        .slots = &node->slots,
        .seed = SEED,
    });
    bool goes_on = follower_receive(follower, bytes, 1);
    ASSERT(goes_on == (follower_stage(follower) != FOLLOWER_ENDED));
    ASSERT(goes_on == (follower_reason(follower)[0] == '\0'));
    struct buffer out = BUFFER_EMPTY;
    follower_fill(follower, &out, &(struct follower_progress){0}, 2);
    buffer_free(&out);
    follower_free(follower);
}

static void give_to_feed(struct node *node, struct span bytes) {
    struct feed *feed = feed_new(&(struct feed_plan){
        .source = {.context = node,
                   .lineage = source_lineage,
                   .start = source_place,
                   .end = source_place,
                   .changed = source_changed,
                   .images_begin = source_images_begin,
                   .images_next = source_images_next,
                   .images_end = source_images_end,
                   .digest = source_digest},
        .seed = SEED,
    });
    feed_heal(feed, &node->slots.missing);
    bool goes_on = feed_receive(feed, bytes, 1);
    ASSERT(goes_on == (feed_stage(feed) != FEED_ENDED));
    ASSERT(goes_on == (feed_reason(feed)[0] == '\0'));
    struct feed_figures figures;
    feed_figures_read(feed, &figures);
    ASSERT(figures.written <= figures.sent && figures.synced <= figures.written);
    feed_free(feed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct store_options options = {.hash_max_listpack_entries = 4, .hash_max_listpack_value = 16};
    struct node *node = memory_alloc_zeroed(sizeof(*node));
    node->store = store_new(
        &(struct store_plan){.options = &options, .slot_count = SLOTS, .database_count = 2});
    node->applier = applier_new(node->store);
    node->rounds = digest_rounds_new(&(struct digest_rounds_plan){.differs = differs});
    lineage_add(&node->log.lineage, &(struct history){.epoch = 1}, 10);
    node->log.end = BASE;
    struct span input = span_of((const char *)bytes + 1, length - 1);
    struct buffer framed = BUFFER_EMPTY;
    if ((bytes[0] & 2) == 0) {
        frame_messages(input, &framed);
        input = buffer_span(&framed);
    }
    if ((bytes[0] & 1) != 0) {
        give_to_feed(node, input);
    } else {
        give_to_follower(node, input);
    }
    buffer_free(&framed);
    applier_free(node->applier);
    digest_rounds_free(node->rounds);
    store_free(node->store);
    memory_free(node);
    return 0;
}
