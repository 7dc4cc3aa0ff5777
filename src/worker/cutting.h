/* Cutting: one image of the whole node. Each worker cuts its own slots in the housekeeping of its
 * ticks; a thread that is no worker takes the chunks and stores them.
 *
 *   worker 0 -- cut_step() --\
 *   worker 1 -- cut_step() ---> queue (bounded) -> cutting_take() -> a file
 *
 * Memory: while CUTTING_QUEUE_BYTES_MAX wait in the queue no worker takes a step. Only writes to
 * the one slot that a worker has half done can add to it then, since what they change is serialised
 * first; they are held back from CUTTING_HOLD_BYTES on, and counted.
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
};

struct cutting {
    struct node *node;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list chunks;   /* with the mutex */
    uint32_t working;     /* workers that have slots left; with the mutex */
    bool is_waiting;      /* who takes waits; with the mutex */
    atomic_size_t queued; /* bytes of chunks that wait or are being stored */
    atomic_bool is_given_up;
    atomic_uint_least64_t keys_done;
    atomic_uint_least64_t early_buckets; /* serialised before their turn */
    atomic_uint_least64_t writes_held;
    struct cutting_slot slots[SLOTS]; /* written by the slot's worker, read when all are done */
};

/* Begins: under a stop of all workers, with node->log on. */
struct cutting *cutting_begin(struct node *node, bool has_access);
/* The next chunk, the caller's to free; NULL: all workers are done, or it was given up. Waits. */
struct image_chunk *cutting_take(struct cutting *cutting);
/* A chunk of so many bytes has been stored. */
void cutting_stored(struct cutting *cutting, size_t bytes);
/* The image is not wanted any more: the workers end their cuts. */
void cutting_give_up(struct cutting *cutting);
/* Under a stop of all workers: nothing of it is left in them. */
void cutting_end(struct cutting *cutting);

/* A worker's part. */
void cutting_step(struct worker *worker);
static inline bool cutting_has_work(const struct worker *worker) {
    return worker->cut != NULL && !worker->cut_waits;
}
/* True if the write to this slot must wait for room (slot SLOTS: it is not known). */
bool cutting_holds(struct worker *worker, uint32_t slot);

#endif
