/* Loading: the data that a node begins with, each worker its own slots, in bounded steps of its
 * ticks, while clients are told LOADING: the images of a snapshot, what the log received while they
 * were taken, then the log.
 *
 *   begin (under a stop) -> [each worker: images -> tail -> log -> done] -> end (main thread)
 *
 * A frame counts for a slot only if it is not in the slot's image already: from the image's
 * position on. All workers read the same files, each for itself.
 */
#ifndef TARN_WORKER_LOADING_H
#define TARN_WORKER_LOADING_H

#include "oplog/reader.h"
#include "snapshot/snapshot_reader.h"
#include "worker/worker.h"

/* Requests wait so long for the end before they are refused. */
#define LOADING_PATIENCE_MS 500

struct loading_plan {
    struct node *node;
    const struct snapshot_reader *snapshot; /* NULL: there is none */
    const struct disk *log;                 /* NULL: there is none, or it is not to be read */
    uint64_t log_from;                      /* position from which on the log is read ... */
    uint64_t log_to;                        /* ... and up to which */
    uint64_t bytes;                         /* of all that will be read, for progress */
    bool replaces; /* a key of an image takes the place of one that is there */
};

struct loading {
    struct loading_plan plan;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t working;     /* workers that are not done; with the mutex */
    struct buffer report; /* why it failed, of the first that did; with the mutex */
    atomic_bool has_failed;
    bool is_unreadable;               /* because of the disk or the memory; with the mutex */
    atomic_uint_least64_t bytes_done; /* of worker 0, which reads all there is to read */
    atomic_uint_least64_t keys;       /* from images */
    atomic_uint_least64_t effects;
    int64_t started_us;
};

/* The node's data is not there yet: clients are told so. Under a stop, or before the workers
 * start, as loading_begin(), which does it too. */
void loading_announce(struct node *node);
struct loading *loading_begin(const struct loading_plan *plan);
/* Waits up to so long; true when all workers are done, or one failed. */
bool loading_wait(struct loading *loading, int64_t timeout_ms);
/* Once it is done, under a stop; or when all workers' threads have ended. */
void loading_end(struct loading *loading);

/* A worker's step. */
void loading_step(struct worker *worker);
static inline bool loading_has_work(const struct worker *worker) {
    return worker->loader != NULL;
}
void loading_forget(struct worker *worker);

#endif
