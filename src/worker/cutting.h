/* Cutting: one image of the node, or of a set of its slots. Each worker cuts its own slots in the
 * housekeeping of its ticks; a thread that is no worker takes the chunks and stores or sends them.
 *
 * A worker cuts for one image at a time: who begins one has the node's turn (struct cutting_turn)
 * until all workers are done.
 *
 *   worker 0 -- cut_step() --\
 *   worker 1 -- cut_step() ---> queue (bounded) -> cutting_take() -> a file, a replica
 *
 * Memory: while CUTTING_QUEUE_BYTES_MAX wait in the queue no worker begins a slot, and from
 * CUTTING_HOLD_BYTES on none takes a step. Only writes to the one slot that a worker has half done
 * can add to it then, since what they change is serialised first, or kept: a large string that was
 * changed, a table that was dropped (cut_held_bytes()). They are held back from there on, and
 * before they would make the cut keep a string beyond it; each that is held counts once. So a
 * taker that does not go on holds nobody up but who writes to a slot that is larger than the room
 * in between. Who drops a table is not held, since that adds no memory at that time; who then fills
 * the slot again is.
 *
 * Time: a tick that served requests takes a step in proportion to them, so that a busy worker gives
 * an eighth of its time or so. Whole steps are for who is idle: from the second tick in a row that
 * found none. The first one may be a gap between requests and the answers that they wait for.
 */
#ifndef TARN_WORKER_CUTTING_H
#define TARN_WORKER_CUTTING_H

#include "store/cut.h"
#include "worker/worker.h"

#define CUTTING_QUEUE_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define CUTTING_HOLD_BYTES (CUTTING_QUEUE_BYTES_MAX + CUTTING_QUEUE_BYTES_MAX / 2)

/* Bytes of a step beside requests: so many for each, and never fewer in all. */
#define CUTTING_BYTES_PER_REQUEST ((size_t)96)
#define CUTTING_STEP_BYTES_MIN ((size_t)16 * 1024)

/* What the image of a slot is. */
struct cutting_slot {
    uint64_t position;
    uint64_t keys;
    bool is_done;
};

struct cutting_plan {
    struct node *node;
    const struct slot_set *slots; /* copied; NULL: all */
    size_t bytes_max;             /* of a worker, as cut_plan says; 0: no limit */
    bool has_access;
    /* A chunk came, or a worker is done: tells who does not wait in cutting_take(). By any worker,
     * must not wait; or NULL. */
    void (*ready)(void *context);
    void *context;
};

struct cutting {
    struct cutting_plan plan;
    struct node *node;
    struct slot_set slots_wanted; /* what the plan's slots are */
    struct cutting_post *posts;   /* of cutting_start() */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list chunks;   /* with the mutex */
    uint32_t working;     /* workers that have slots left; with the mutex */
    bool is_waiting;      /* who takes waits; with the mutex */
    atomic_size_t queued; /* bytes of chunks that wait or are being stored */
    atomic_size_t kept;   /* bytes that only cuts still have */
    atomic_bool is_given_up;
    atomic_uint_least64_t keys_done;
    atomic_uint_least64_t early_buckets; /* serialised before their turn */
    atomic_uint_least64_t writes_held;
    struct cutting_slot slots[SLOTS]; /* written by the slot's worker, read when all are done */
};

/* The node's turn to cut. */
void cutting_turn_init(struct cutting_turn *turn);
void cutting_turn_destroy(struct cutting_turn *turn);
void cutting_turn_take(struct cutting_turn *turn); /* waits */
/* False: somebody has it, or waits for it. */
bool cutting_turn_try(struct cutting_turn *turn);
void cutting_turn_give(struct cutting_turn *turn);

/* Begins an image of the whole node: under a stop of all workers, with node->log on. */
struct cutting *cutting_begin(struct node *node, bool has_access);
/* Begins an image with each worker's next tick, by a thread that is no worker; node->log is on
 * until all workers are done. */
struct cutting *cutting_start(const struct cutting_plan *plan);
/* The next chunk, the caller's to free; NULL: all workers are done, or it was given up. Waits. */
struct image_chunk *cutting_take(struct cutting *cutting);
/* The same without waiting; NULL: none is there. *is_done: and none will come, each worker is
 * done; of cutting_start(): then cutting_free(). */
struct image_chunk *cutting_try_take(struct cutting *cutting, bool *is_done);
/* A chunk of so many bytes has been stored. */
void cutting_stored(struct cutting *cutting, size_t bytes);
/* The image is not wanted any more: the workers end their cuts. */
void cutting_give_up(struct cutting *cutting);
/* Of cutting_begin(): under a stop of all workers: nothing of it is left in them. */
void cutting_end(struct cutting *cutting);
/* All workers are done. */
void cutting_free(struct cutting *cutting);

/* A worker's part. */
void cutting_step(struct worker *worker);
static inline bool cutting_has_work(const struct worker *worker) {
    return worker->cut != NULL && !worker->cut_waits;
}
/* True if the connection's next request, which writes, must wait for room in the worker's cut. */
bool cutting_holds(struct worker *worker, const struct connection *connection,
                   struct request *request);
/* The same of the cuts of all workers that stand still, under a stop for this request. It is to
 * come back to its home, where cutting_holds_back() says how long it waits there. */
bool cutting_holds_stopped(const struct connection *connection, struct request *request);
static inline bool cutting_holds_back(struct worker *home, const struct request *request) {
    return request->is_held && atomic_load(&home->awaits_chunk);
}

#endif
