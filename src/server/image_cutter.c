#include "server/image_cutter.h"

#include "base/memory.h"

#include <time.h>

/* Of a worker's part of a round. */
#define PART_BYTES_MIN ((size_t)256 * 1024)

/* A chunk, or the slots that are whole with what stands before it. */
struct item {
    struct list link;
    struct image_chunk *chunk;
    struct message_slot *slots;
    size_t count;
};

void image_cutter_init(struct image_cutter *cutter, struct node *node, void (*ready)(void *context),
                       void *context) {
    *cutter = (struct image_cutter){.node = node, .ready = ready, .context = context};
    list_init(&cutter->waiting);
}

/* ---- a round ---- */

static void round_begin(struct image_cutter *cutter, struct image_queue *queue) {
    size_t bytes = IMAGE_ROUND_BYTES / cutter->node->worker_count;
    list_remove(&queue->link);
    cutter->owner = queue;
    cutter->rounds++;
    cutter->cutting = cutting_start(&(struct cutting_plan){
        .node = cutter->node,
        .slots = &queue->wanted,
        .bytes_max = bytes > PART_BYTES_MIN ? bytes : PART_BYTES_MIN,
        .has_access = cutter->node->store_options->maxmemory != 0,
        .ready = cutter->ready,
        .context = cutter->context,
    });
}

static void add_chunk(struct image_queue *queue, struct image_chunk *chunk) {
    struct item *item = memory_alloc_zeroed(sizeof(*item));
    item->chunk = chunk;
    queue->bytes += image_chunk_bytes(chunk);
    list_push_back(&queue->items, &item->link);
}

static void add_slots(struct image_queue *queue, const struct message_slot *slots, size_t count) {
    struct item *item = memory_alloc_zeroed(sizeof(*item));
    item->slots = memory_alloc(count * sizeof(slots[0]));
    item->count = count;
    memcpy(item->slots, slots, count * sizeof(slots[0]));
    list_push_back(&queue->items, &item->link);
}

/* All chunks of the round are in the queue: its slots are whole. */
static void tell_slots(struct image_queue *queue, const struct cutting *cutting) {
    struct message_slot slots[MESSAGE_SLOTS_MAX];
    size_t count = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct cutting_slot *done = &cutting->slots[slot];
        if (!done->is_done) {
            continue;
        }
        slot_set_remove(&queue->wanted, (uint16_t)slot);
        slots[count++] = (struct message_slot){
            .slot = (uint16_t)slot, .position = done->position, .keys = done->keys};
        if (count == MESSAGE_SLOTS_MAX) {
            add_slots(queue, slots, count);
            count = 0;
        }
    }
    if (count > 0) {
        add_slots(queue, slots, count);
    }
}

static void want_round(struct image_queue *queue) {
    if (!slot_set_is_empty(&queue->wanted)) {
        list_push_back(&queue->cutter->waiting, &queue->link);
    }
}

static void round_end(struct image_cutter *cutter) {
    struct image_queue *queue = cutter->owner;
    if (queue != NULL) {
        tell_slots(queue, cutter->cutting);
        want_round(queue);
    }
    cutting_free(cutter->cutting);
    cutter->cutting = NULL;
    cutter->owner = NULL;
    cutting_turn_give(&cutter->node->cutting_turn);
}

/* Takes what the workers have cut. */
static void round_step(struct image_cutter *cutter) {
    bool is_done = false;
    while (!is_done && (cutter->owner == NULL || cutter->owner->bytes < IMAGE_QUEUE_BYTES_MAX)) {
        struct image_chunk *chunk = cutting_try_take(cutter->cutting, &is_done);
        if (chunk == NULL) {
            break;
        }
        cutting_stored(cutter->cutting, image_chunk_bytes(chunk));
        if (cutter->owner != NULL) {
            add_chunk(cutter->owner, chunk);
        } else {
            image_chunk_free(chunk);
        }
    }
    if (is_done) {
        round_end(cutter);
    }
}

/* The first in turn that has room for a round. */
static struct image_queue *next_queue(const struct image_cutter *cutter) {
    LIST_FOR_EACH(link, &cutter->waiting) {
        struct image_queue *queue = LIST_ENTRY(link, struct image_queue, link);
        if (queue->bytes < IMAGE_QUEUE_BYTES_MAX / 2) {
            return queue;
        }
    }
    return NULL;
}

void image_cutter_step(struct image_cutter *cutter) {
    if (cutter->cutting != NULL) {
        round_step(cutter);
    }
    struct image_queue *queue = cutter->cutting != NULL ? NULL : next_queue(cutter);
    if (queue != NULL && cutting_turn_try(&cutter->node->cutting_turn)) {
        round_begin(cutter, queue);
    }
}

void image_cutter_stop(struct image_cutter *cutter) {
    const struct timespec moment = {.tv_nsec = 1000000};
    while (cutter->cutting != NULL) {
        ASSERT(cutter->owner == NULL);
        round_step(cutter);
        nanosleep(&moment, NULL);
    }
}

/* ---- a queue ---- */

void image_queue_init(struct image_queue *queue, struct image_cutter *cutter) {
    memset(queue, 0, sizeof(*queue));
    queue->cutter = cutter;
    list_init(&queue->link);
    list_init(&queue->items);
}

void image_queue_begin(struct image_queue *queue, const struct slot_set *slots) {
    ASSERT(!queue->is_on);
    queue->is_on = true;
    queue->wanted = *slots;
    want_round(queue);
}

static void item_free(struct image_queue *queue, struct item *item) {
    if (item->chunk != NULL) {
        queue->bytes -= image_chunk_bytes(item->chunk);
        image_chunk_free(item->chunk);
    }
    memory_free(item->slots);
    memory_free(item);
}

enum feed_image image_queue_next(struct image_queue *queue, struct buffer *chunk,
                                 struct message_slot *slots, size_t *count) {
    struct list *link = list_pop_front(&queue->items);
    if (link == NULL) {
        return slot_set_is_empty(&queue->wanted) ? FEED_IMAGE_END : FEED_IMAGE_NOT_YET;
    }
    struct item *item = LIST_ENTRY(link, struct item, link);
    enum feed_image kind = FEED_IMAGE_CHUNK;
    if (item->chunk != NULL) {
        image_chunk_join(item->chunk, chunk);
    } else {
        kind = FEED_IMAGE_SLOTS;
        memcpy(slots, item->slots, item->count * sizeof(slots[0]));
        *count = item->count;
    }
    item_free(queue, item);
    return kind;
}

void image_queue_end(struct image_queue *queue) {
    struct image_cutter *cutter = queue->cutter;
    list_remove(&queue->link);
    if (cutter->owner == queue) {
        cutter->owner = NULL;
        cutting_give_up(cutter->cutting);
    }
    for (struct list *link; (link = list_pop_front(&queue->items)) != NULL;) {
        item_free(queue, LIST_ENTRY(link, struct item, link));
    }
    queue->is_on = false;
}

bool image_queue_holds_up(const struct image_queue *queue) {
    return queue->cutter->owner == queue && queue->bytes >= IMAGE_QUEUE_BYTES_MAX;
}
