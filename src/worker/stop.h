/* The short stop: how a call over slots of several workers runs without locks around data. The
 * other workers concerned append all that they hold, then stand still; one worker, the executor,
 * runs the calls; then all go on. One stop at a time, and it serves every call that waits for one.
 *
 * A worker that wants a stop queues its connection with stop_wait(); at the end of its tick's
 * stages it calls stop_serve(), which either becomes the executor or stands still for the one there
 * is. With one worker nothing ever stops: calls run where they are.
 */
#ifndef TARN_WORKER_STOP_H
#define TARN_WORKER_STOP_H

#include "base/list.h"
#include "store/keyspace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct node;
struct worker;
struct connection;

/* A function that waits for a stop of all workers. */
struct visit {
    struct list link;
    void (*run)(void *context);
    void *context;
    bool waits; /* the stop's own */
    bool is_done;
};

struct stop {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    atomic_bool is_wanted;    /* a look at it per tick is all that a stop costs who has none */
    struct list waiting;      /* connections, by run_link; with the mutex */
    struct list visits;       /* likewise */
    uint64_t waiting_workers; /* bits of the workers whose slots they need */
    struct worker *executor;  /* NULL: no stop is on */
    uint64_t stopped_workers; /* bits of those that must stand still */
    uint64_t parked_workers;  /* bits of those that do */
    uint64_t gone_workers;    /* bits of those whose thread has ended: they stand still for good */
    uint64_t stops;           /* so far */
};

#define STOP_ALL_WORKERS UINT64_MAX
_Static_assert(KEYSPACE_STORES_MAX <= 64, "sets of workers are 64 bits");

void stop_init(struct stop *stop);
void stop_destroy(struct stop *stop);

/* The connection's next request runs at the next stop that holds `workers` (bits). From here on the
 * connection belongs to the stop, until it comes home. */
void stop_wait(struct node *node, struct connection *connection, uint64_t workers);

/* Runs the function while all workers stand still, on one of their threads, and waits for its end.
 * For threads that are no workers, while the workers run. */
void stop_visit(struct node *node, void (*run)(void *context), void *context);

/* The same without waiting, from any thread: the visit is the stop's until its function is called,
 * which may post it again. */
void stop_post(struct node *node, struct visit *visit);

/* To be called by each worker when it holds nothing that is not appended. Runs the waiting calls as
 * executor, or stands still while another does. */
void stop_serve(struct worker *worker);

/* The worker's thread ends: no stop waits for it any more. */
void stop_leave(struct worker *worker);

#endif
