/* Image cutter: the images of slots that feeds send. They are taken in rounds: a round is a cut of
 * as many wanted slots as make IMAGE_ROUND_BYTES, by all workers, for one feed. Between rounds the
 * node's turn to cut goes to whoever waits for it: another feed, or a snapshot.
 *
 *   feed's slots -> round -> workers cut -> queue of the feed -> its socket
 *
 * Memory: a round begins while less than half of IMAGE_QUEUE_BYTES_MAX waits for the feed's socket,
 * and its chunks are taken from the workers up to that maximum; so a slow replica holds what a
 * round and the cutting's own queue may hold, and, unless a slot is larger than that, no worker and
 * no other feed waits for it.
 *
 * Thread: the replicator's.
 */
#ifndef TARN_SERVER_IMAGE_CUTTER_H
#define TARN_SERVER_IMAGE_CUTTER_H

#include "replication/feed.h"
#include "worker/cutting.h"

#define IMAGE_ROUND_BYTES ((size_t)4 * 1024 * 1024)
#define IMAGE_QUEUE_BYTES_MAX ((size_t)8 * 1024 * 1024)

struct image_cutter {
    struct node *node;
    void (*ready)(void *context); /* there is something to do: by any worker */
    void *context;
    struct cutting *cutting;   /* the round under way, or NULL */
    struct image_queue *owner; /* whose round it is; NULL: nobody wants it any more */
    struct list waiting;       /* queues that want a round, by link */
    uint64_t rounds;           /* so far */
};

/* One feed's images. */
struct image_queue {
    struct list link;
    struct image_cutter *cutter;
    bool is_on;             /* between begin and end */
    struct slot_set wanted; /* and not done */
    struct list items;      /* chunks, and which slots are whole with those before */
    size_t bytes;           /* of the chunks */
};

void image_cutter_init(struct image_cutter *cutter, struct node *node, void (*ready)(void *context),
                       void *context);
/* Moves what was cut to the queues, and begins the next round if it can. */
void image_cutter_step(struct image_cutter *cutter);
/* Ends the round under way; waits for the workers. No queue is on. */
void image_cutter_stop(struct image_cutter *cutter);

void image_queue_init(struct image_queue *queue, struct image_cutter *cutter);
/* What struct feed_source asks. */
void image_queue_begin(struct image_queue *queue, const struct slot_set *slots);
enum feed_image image_queue_next(struct image_queue *queue, struct buffer *chunk,
                                 struct message_slot *slots, size_t *count);
void image_queue_end(struct image_queue *queue);
/* Workers may wait for the feed: a round of it is under way, and has no room. */
bool image_queue_holds_up(const struct image_queue *queue);

#endif
