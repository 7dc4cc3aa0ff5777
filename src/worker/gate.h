/* Gate: what a tick changed goes into the log, and no reply leaves before the log holds what it
 * shows.
 *
 *   execute -> effects -> batch -> append -> [position is safe?] -> write
 *                                             \-> gated: waits for the log's progress
 *
 * A reply waits for the last append of the workers that had a part in it, its own and others'
 * changes alike: so a read shows nothing that a crash could take back. While its output waits, a
 * connection runs no further requests, and pushes for it are deferred.
 *
 * While the log cannot be written or synced, only answers to changes wait: new changes are refused,
 * and reads go on, with what they would show had the disk not failed.
 *
 * node->log is NULL while nothing reads a log. It is set and cleared under a stop of all workers.
 */
#ifndef TARN_WORKER_GATE_H
#define TARN_WORKER_GATE_H

#include "worker/worker.h"

/* Has this worker's effects recorded, or not, as node->log says. While the worker stands still. */
void gate_configure(struct worker *worker);

/* Appends what was recorded. */
void gate_append(struct worker *worker);

/* Others may have appended what this worker's replies show from here on. */
static inline void gate_follow(struct worker *worker) {
    if (worker->node->log != NULL) {
        worker->appended = oplog_end_position(worker->node->log);
    }
}

/* The connection leaves for another worker, or comes home: what it carries waits for this worker's
 * appends. */
static inline void gate_carry(const struct worker *worker, struct connection *connection) {
    if (connection->gate < worker->appended) {
        connection->gate = worker->appended;
    }
}

/* True: the connection's output must wait; it has been put among those that do. */
bool gate_holds(struct worker *worker, struct connection *connection);
/* Lets go of what is safe now: it is written. */
void gate_open_step(struct worker *worker);

/* The log made progress: wakes the workers that wait for it. Any thread. */
void gate_progress(void *node);

#endif
