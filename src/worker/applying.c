#include "worker/applying.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "commands/effect_codec.h"
#include "oplog/segment.h"
#include "store/image.h"
#include "worker/digesting.h"

/* Before each frame of a part: position and length. */
#define FRAME_HEAD_BYTES 16
#define LANE_PARTS (APPLYING_PARTS_MAX + APPLYING_RESERVE_PARTS)

enum part_kind { PART_FRAMES, PART_IMAGE, PART_SLOTS, PART_CLEAR, PART_REPLACE };

struct part {
    struct list link;
    enum part_kind kind;
    bool is_joint;
    atomic_uint remaining; /* workers that have not taken it yet */
    uint64_t workers;      /* bits: whom it concerns */
    uint64_t end;          /* position behind its frames */
    struct buffer bytes;   /* frames, an image chunk, a set of slots, message_slots, or one
                            * and its image */
};

/* One worker's parts, oldest first: the link's thread puts, the worker takes, or who executes a
 * stop in its place. */
struct lane {
    struct applier *applier;
    atomic_size_t taken;
    atomic_size_t put;
    struct part *parts[LANE_PARTS];
    uint64_t position; /* of the data, the worker's */
    uint64_t end;      /* of the frame that is being applied */
    struct worker *worker;
};

struct applying {
    struct node *node;
    void (*progress)(void *context);
    void *context;
    struct lane *lanes;
    struct visit visit; /* for joint parts */
    atomic_bool is_visiting;
    pthread_mutex_t handing_over; /* a part goes into all its lanes, or into none */

    /* The link's thread. */
    struct list parts; /* handed over, oldest first */
    size_t parts_count;
    uint64_t parts_handed_over; /* so far */
    size_t bytes;
    struct part *open;    /* frames are joined to it */
    uint64_t position;    /* up to which all is applied */
    uint64_t handed_over; /* position behind the last frame in a lane; with handing_over */

    pthread_mutex_t mutex; /* of what failed */
    struct slot_set suspects;
    struct buffer report;
    atomic_bool has_failed;
};

static uint64_t all_workers(const struct node *node) {
    return node->worker_count == 64 ? UINT64_MAX : (UINT64_C(1) << node->worker_count) - 1;
}

static uint64_t bit_of(const struct node *node, uint16_t slot) {
    return UINT64_C(1) << node->keyspace->owners[slot];
}

/* ---- lifecycle ---- */

/* Told by a worker's applier, or in a worker's place under a stop. */
static void effect_applied(void *context, const struct effect_record *record) {
    struct lane *lane = context;
    struct worker *worker = lane->worker;
    struct node *node = worker->node;
    if (record->effect.kind == EFFECT_SLOT_DIGEST) {
        digesting_begin(worker, &(struct digest_request){
                                    .slot = record->slot,
                                    .has_keys = record->effect.has_keys,
                                    .seed = (uint64_t)record->effect.number,
                                });
        return;
    }
    if (record->slot == EFFECT_NODE_SLOT) {
        node->all_changed = lane->end;
        worker->executor.changes += worker->index == 0;
        return;
    }
    node->slot_changed[record->slot] = lane->end;
    worker->executor.changes++;
    struct call_environment *environment = &worker->executor.environment;
    if (UNLIKELY(environment->observer.event_classes != 0)) {
        struct call call = {.environment = environment, .database = record->database};
        call_notify(&call, record->effect.event, record->key);
    }
}

static void run_joint(void *context);

struct applying *applying_new(struct node *node, void (*progress)(void *context), void *context) {
    struct applying *applying = memory_alloc_zeroed(sizeof(*applying));
    applying->node = node;
    applying->progress = progress;
    applying->context = context;
    applying->visit.run = run_joint;
    applying->visit.context = applying;
    list_init(&applying->parts);
    pthread_mutex_init(&applying->handing_over, NULL);
    pthread_mutex_init(&applying->mutex, NULL);
    applying->lanes = memory_alloc_zeroed(node->worker_count * sizeof(struct lane));
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct lane *lane = &applying->lanes[i];
        lane->worker = node->workers[i];
        lane->applier = applier_new(lane->worker->store);
        applier_observe(lane->applier, effect_applied, lane);
    }
    return applying;
}

static void part_free(struct part *part) {
    buffer_free(&part->bytes);
    memory_free(part);
}

void applying_free(struct applying *applying) {
    if (applying == NULL) {
        return;
    }
    for (uint32_t i = 0; i < applying->node->worker_count; i++) {
        applier_free(applying->lanes[i].applier);
    }
    memory_free(applying->lanes);
    for (struct list *link; (link = list_pop_front(&applying->parts)) != NULL;) {
        part_free(LIST_ENTRY(link, struct part, link));
    }
    if (applying->open != NULL) {
        part_free(applying->open);
    }
    buffer_free(&applying->report);
    pthread_mutex_destroy(&applying->handing_over);
    pthread_mutex_destroy(&applying->mutex);
    memory_free(applying);
}

/* ---- handing over ---- */

static struct part *part_new(enum part_kind kind, uint64_t workers) {
    struct part *part = memory_alloc_zeroed(sizeof(*part));
    part->kind = kind;
    part->workers = workers;
    return part;
}

static void lane_put(struct applying *applying, uint32_t i, struct part *part) {
    struct lane *lane = &applying->lanes[i];
    size_t put = atomic_load_explicit(&lane->put, memory_order_relaxed);
    size_t taken = atomic_load_explicit(&lane->taken, memory_order_acquire);
    ASSERT(put - taken < LANE_PARTS);
    lane->parts[put % LANE_PARTS] = part;
    atomic_store_explicit(&lane->put, put + 1, memory_order_release);
    loop_wake(applying->node->workers[i]->loop);
}

static void hand_over(struct applying *applying, struct part *part) {
    if (part->is_joint) {
        part->workers = all_workers(applying->node);
    }
    uint32_t concerned = (uint32_t)__builtin_popcountll(part->workers);
    atomic_init(&part->remaining, concerned);
    list_push_back(&applying->parts, &part->link);
    applying->parts_count++;
    applying->parts_handed_over++;
    applying->bytes += part->bytes.length;
    uint64_t workers = part->workers;
    pthread_mutex_lock(&applying->handing_over);
    if (part->kind == PART_FRAMES) {
        applying->handed_over = part->end;
    }
    for (uint32_t i = 0; i < applying->node->worker_count; i++) {
        if ((workers >> i & 1) != 0) {
            lane_put(applying, i, part);
        }
    }
    pthread_mutex_unlock(&applying->handing_over);
}

void applying_begin(struct applying *applying, uint64_t position) {
    ASSERT(applying_is_idle(applying));
    applying->position = position;
    applying->handed_over = position;
    for (uint32_t i = 0; i < applying->node->worker_count; i++) {
        applying->lanes[i].position = position;
    }
}

void applying_forget_images(struct applying *applying) {
    for (uint32_t i = 0; i < applying->node->worker_count; i++) {
        applier_forget_images(applying->lanes[i].applier);
    }
}

bool applying_has_room(const struct applying *applying) {
    return applying->bytes < APPLYING_BYTES_MAX && applying->parts_count < APPLYING_PARTS_MAX;
}

bool applying_is_idle(const struct applying *applying) {
    return list_is_empty(&applying->parts) && applying->open == NULL;
}

void applying_flush(struct applying *applying) {
    struct part *part = applying->open;
    if (part != NULL) {
        applying->open = NULL;
        hand_over(applying, part);
    }
}

void applying_clear(struct applying *applying, const struct slot_set *slots) {
    applying_flush(applying);
    struct part *part = part_new(PART_CLEAR, all_workers(applying->node));
    buffer_append(&part->bytes, slots, sizeof(*slots));
    hand_over(applying, part);
}

/* Whom the records of a chunk concern; those behind damage are left out. */
static uint64_t chunk_workers(const struct node *node, struct span chunk) {
    if (node->worker_count == 1) {
        return 1;
    }
    struct image_reader reader;
    struct image_record record;
    uint64_t workers = 0;
    image_reader_init(&reader, chunk);
    enum image_status status;
    while ((status = image_read(&reader, &record)) == IMAGE_DONE) {
        workers |= bit_of(node, record.slot);
    }
    return status == IMAGE_END ? workers : all_workers(node);
}

void applying_image(struct applying *applying, struct span chunk) {
    applying_flush(applying);
    uint64_t workers = chunk_workers(applying->node, chunk);
    if (workers == 0) {
        return;
    }
    struct part *part = part_new(PART_IMAGE, workers);
    buffer_append_span(&part->bytes, chunk);
    hand_over(applying, part);
}

void applying_slot(struct applying *applying, uint16_t slot, uint64_t position) {
    const struct message_slot row = {.slot = slot, .position = position};
    if (applying->open == NULL || applying->open->kind != PART_SLOTS) {
        applying_flush(applying);
        applying->open = part_new(PART_SLOTS, 0);
    }
    applying->open->workers |= bit_of(applying->node, slot);
    buffer_append(&applying->open->bytes, &row, sizeof(row));
}

void applying_replace(struct applying *applying, const struct message_slot *slot,
                      struct span image) {
    applying_flush(applying);
    struct part *part = part_new(PART_REPLACE, bit_of(applying->node, slot->slot));
    buffer_append(&part->bytes, slot, sizeof(*slot));
    buffer_append_span(&part->bytes, image);
    hand_over(applying, part);
}

struct concern {
    uint64_t workers; /* bits */
    bool is_joint;    /* a group concerns several */
};

/* Whom a frame concerns. False: it is damaged. */
static bool frame_concerns(const struct node *node, struct span content, struct concern *concern) {
    struct effect_record record;
    enum effect_read_status status;
    uint64_t group = 0;
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
        bool is_of_all = record.slot == EFFECT_NODE_SLOT;
        uint64_t bits = is_of_all ? all_workers(node) : bit_of(node, record.slot);
        group = record.is_joined ? group | bits : bits;
        concern->workers |= bits;
        concern->is_joint = concern->is_joint || (group & (group - 1)) != 0;
    }
    return status == EFFECT_READ_END;
}

bool applying_frame(struct applying *applying, const struct message_frame *frame,
                    struct buffer *report) {
    struct concern concern = {0};
    if (!frame_concerns(applying->node, frame->part, &concern)) {
        buffer_format(report, "the frame at position %llu holds bytes that are no effects",
                      (unsigned long long)frame->position);
        return false;
    }
    struct part *part = applying->open;
    if (part == NULL || part->kind != PART_FRAMES || part->bytes.length >= APPLYING_JOINED_BYTES) {
        applying_flush(applying);
        part = part_new(PART_FRAMES, 0);
        applying->open = part;
    }
    part->workers |= concern.workers;
    part->is_joint = part->is_joint || concern.is_joint;
    char *head = buffer_reserve(&part->bytes, FRAME_HEAD_BYTES);
    bytes_store_u64(head, frame->position);
    bytes_store_u64(head + 8, frame->part.length);
    buffer_commit(&part->bytes, FRAME_HEAD_BYTES);
    buffer_append_span(&part->bytes, frame->part);
    part->end = frame->position + OPLOG_FRAME_HEADER_BYTES + frame->part.length;
    return true;
}

uint64_t applying_reap(struct applying *applying) {
    while (!list_is_empty(&applying->parts)) {
        struct part *part = LIST_ENTRY(applying->parts.next, struct part, link);
        if (atomic_load_explicit(&part->remaining, memory_order_acquire) > 0) {
            break;
        }
        list_remove(&part->link);
        applying->parts_count--;
        applying->bytes -= part->bytes.length;
        if (part->kind == PART_FRAMES) {
            applying->position = part->end;
        }
        part_free(part);
    }
    return applying->position;
}

/* ---- what does not fit ---- */

static void suspect(struct applying *applying, const struct slot_set *slots,
                    const struct buffer *report) {
    pthread_mutex_lock(&applying->mutex);
    slot_set_add_all(&applying->suspects, slots);
    if (applying->report.length == 0) {
        buffer_append_span(&applying->report, buffer_span(report));
    }
    atomic_store(&applying->has_failed, true);
    pthread_mutex_unlock(&applying->mutex);
}

static void suspect_frame(const struct lane *lane, struct span content, struct slot_set *slots) {
    struct effect_record record;
    while (effect_read(&content, &record) == EFFECT_READ_DONE) {
        for (uint16_t slot = 0; record.slot == EFFECT_NODE_SLOT && slot < SLOTS; slot++) {
            if (store_owns(lane->worker->store, slot)) {
                slot_set_add(slots, slot);
            }
        }
        if (record.slot < SLOTS && store_owns(lane->worker->store, record.slot)) {
            slot_set_add(slots, record.slot);
        }
    }
}

/* Records behind damage cannot be told: all of the store's slots are. */
static void suspect_chunk(const struct lane *lane, struct span chunk, struct slot_set *slots) {
    struct image_reader reader;
    struct image_record record;
    enum image_status status;
    image_reader_init(&reader, chunk);
    while ((status = image_read(&reader, &record)) == IMAGE_DONE) {
        slot_set_add(slots, record.slot);
    }
    const struct store *store = lane->worker->store;
    for (uint32_t i = 0; status != IMAGE_END && i < store->slot_count; i++) {
        slot_set_add(slots, (uint16_t)(store->slot_first + i));
    }
}

uint64_t applying_mark(struct applying *applying) {
    applying_flush(applying);
    return applying->parts_handed_over;
}

bool applying_has_passed(const struct applying *applying, uint64_t mark) {
    return applying->parts_handed_over - applying->parts_count >= mark;
}

bool applying_take_failure(struct applying *applying, struct slot_set *suspects,
                           struct buffer *report) {
    if (!atomic_load(&applying->has_failed)) {
        return false;
    }
    pthread_mutex_lock(&applying->mutex);
    slot_set_add_all(suspects, &applying->suspects);
    slot_set_clear(&applying->suspects);
    buffer_append_span(report, buffer_span(&applying->report));
    buffer_clear(&applying->report);
    atomic_store(&applying->has_failed, false);
    pthread_mutex_unlock(&applying->mutex);
    return true;
}

/* ---- taking ---- */

static void take_frames(struct applying *applying, struct lane *lane, const struct part *part) {
    struct span rest = buffer_span(&part->bytes);
    while (rest.length > 0) {
        uint64_t position = bytes_load_u64(rest.bytes);
        size_t length = (size_t)bytes_load_u64(rest.bytes + 8);
        struct span content = span_of(rest.bytes + FRAME_HEAD_BYTES, length);
        rest = span_of(content.bytes + length, rest.length - FRAME_HEAD_BYTES - length);
        struct buffer report = BUFFER_EMPTY;
        lane->end = position + OPLOG_FRAME_HEADER_BYTES + length;
        if (UNLIKELY(!applier_frame(lane->applier, position, content, &report))) {
            struct slot_set slots = {{0}};
            suspect_frame(lane, content, &slots);
            suspect(applying, &slots, &report);
        }
        buffer_free(&report);
    }
    lane->position = part->end;
}

static void take_image(struct applying *applying, struct lane *lane, const struct part *part) {
    struct buffer report = BUFFER_EMPTY;
    if (UNLIKELY(!applier_image(lane->applier, buffer_span(&part->bytes), &report))) {
        struct slot_set slots = {{0}};
        suspect_chunk(lane, buffer_span(&part->bytes), &slots);
        suspect(applying, &slots, &report);
    }
    buffer_free(&report);
}

static void take_slots(struct lane *lane, const struct part *part) {
    for (size_t at = 0; at < part->bytes.length; at += sizeof(struct message_slot)) {
        struct message_slot row;
        memcpy(&row, part->bytes.bytes + at, sizeof(row));
        applier_slot(lane->applier, row.slot, row.position);
    }
}

static void take_replace(struct applying *applying, struct lane *lane, const struct part *part) {
    struct node *node = lane->worker->node;
    struct buffer report = BUFFER_EMPTY;
    struct message_slot row;
    struct slot_set slots = {{0}};
    memcpy(&row, part->bytes.bytes, sizeof(row));
    struct span image = span_of(part->bytes.bytes + sizeof(row), part->bytes.length - sizeof(row));
    slot_set_add(&slots, row.slot);
    applier_clear(lane->applier, &slots);
    if (UNLIKELY(!applier_image(lane->applier, image, &report))) {
        suspect(applying, &slots, &report);
    }
    /* Who copies this node's changed slots is to have this one. */
    node->slot_changed[row.slot] = row.position;
    lane->worker->executor.changes++;
    buffer_free(&report);
}

/* For its worker, which is this thread's or stands still. */
static void take(struct applying *applying, struct lane *lane, struct part *part) {
    switch (part->kind) {
    case PART_FRAMES:
        take_frames(applying, lane, part);
        break;
    case PART_IMAGE:
        take_image(applying, lane, part);
        break;
    case PART_SLOTS:
        take_slots(lane, part);
        break;
    case PART_REPLACE:
        take_replace(applying, lane, part);
        break;
    case PART_CLEAR: {
        struct slot_set slots;
        memcpy(&slots, part->bytes.bytes, sizeof(slots));
        applier_clear(lane->applier, &slots);
        break;
    }
    }
    atomic_fetch_add_explicit(&lane->taken, 1, memory_order_release);
    if (atomic_fetch_sub_explicit(&part->remaining, 1, memory_order_acq_rel) == 1) {
        applying->progress(applying->context);
    }
}

/* NULL: the lane is empty. */
static struct part *lane_next(const struct lane *lane) {
    size_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed);
    size_t put = atomic_load_explicit(&lane->put, memory_order_acquire);
    return taken == put ? NULL : lane->parts[taken % LANE_PARTS];
}

void applying_step(struct worker *worker) {
    struct applying *applying = worker->node->applying;
    if (LIKELY(applying == NULL)) {
        return;
    }
    struct lane *lane = &applying->lanes[worker->index];
    struct part *part;
    size_t bytes = 0;
    while (bytes < TICK_APPLY_BYTES_MAX && (part = lane_next(lane)) != NULL && !part->is_joint) {
        bytes += part->bytes.length;
        take(applying, lane, part);
    }
    part = lane_next(lane);
    if (part != NULL && part->is_joint && !atomic_exchange(&applying->is_visiting, true)) {
        stop_post(worker->node, &applying->visit);
    }
}

bool applying_has_work(const struct worker *worker) {
    const struct applying *applying = worker->node->applying;
    if (LIKELY(applying == NULL)) {
        return false;
    }
    const struct part *part = lane_next(&applying->lanes[worker->index]);
    return part != NULL && (!part->is_joint || !atomic_load(&applying->is_visiting));
}

/* ---- under a stop of all workers ---- */

/* Up to a joint part, or all there is. Answers the bytes. */
static size_t drain_lane(struct applying *applying, struct lane *lane) {
    size_t bytes = 0;
    struct part *part;
    while ((part = lane_next(lane)) != NULL && !part->is_joint) {
        bytes += part->bytes.length;
        take(applying, lane, part);
    }
    return bytes;
}

/* All have come to it. */
static size_t take_joint(struct applying *applying, const struct part *joint) {
    size_t bytes = joint->bytes.length;
    for (uint32_t i = 0; i < applying->node->worker_count; i++) {
        struct part *part = lane_next(&applying->lanes[i]);
        ASSERT(part == joint);
        take(applying, &applying->lanes[i], part);
    }
    return bytes;
}

/* What stands in the lanes, in the order of the stream as far as it matters: so many bytes, and the
 * part that passes them. */
static void drain(struct applying *applying, size_t bytes_max) {
    const struct part *joint = NULL;
    size_t bytes = 0;
    do {
        bytes += joint == NULL ? 0 : take_joint(applying, joint);
        for (uint32_t i = 0; i < applying->node->worker_count; i++) {
            bytes += drain_lane(applying, &applying->lanes[i]);
        }
        joint = lane_next(&applying->lanes[0]);
    } while (joint != NULL && bytes < bytes_max);
}

static void run_joint(void *context) {
    struct applying *applying = context;
    pthread_mutex_lock(&applying->handing_over);
    drain(applying, TICK_APPLY_BYTES_MAX);
    pthread_mutex_unlock(&applying->handing_over);
    atomic_store(&applying->is_visiting, false);
}

uint64_t applying_drain(struct node *node) {
    struct applying *applying = node->applying;
    pthread_mutex_lock(&applying->handing_over);
    drain(applying, SIZE_MAX);
    uint64_t position = applying->handed_over;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        applying->lanes[i].position = position;
    }
    pthread_mutex_unlock(&applying->handing_over);
    return position;
}

uint64_t applying_position(const struct worker *worker) {
    return worker->node->applying->lanes[worker->index].position;
}
