/* Gate: what a tick changed goes into the log, and no reply leaves before the log holds what it
 * shows.
 *
 *   execute -> effects -> batch -> append -> [position is safe?] -> write
 *                                             \-> gated: waits for the log's progress
 *
 * A reply waits for what it looked at, its own and others' changes alike: so a read shows nothing
 * that a crash could take back. For a command of one key that is the last change of the key's slot;
 * all other output waits for the last append of the workers that had a part in it
 * (CONNECTION_FOLLOWS). While its output waits for the log, a connection runs no further requests,
 * and pushes for it are deferred. Output that waits for other members of a quorum, too, goes
 * through the quorum gate instead, behind which requests run on (quorum_gate.h).
 *
 * While the log cannot be written or synced, only answers to changes wait: new changes are refused,
 * and reads go on, with what they would show had the disk not failed.
 *
 * node->log is NULL while nothing reads a log. It is set and cleared under a stop of all workers.
 */
#ifndef TARN_WORKER_GATE_H
#define TARN_WORKER_GATE_H

#include "worker/quorum_gate.h"

/* Has this worker's effects recorded, or not, as node->log says, whose positions may be of another
 * log than before. Under a stop, for each worker. */
void gate_configure(struct worker *worker);

/* The effects to come are not of the group of those before: another request, another key that
 * goes. */
static inline void gate_begin_group(struct worker *worker) {
    worker->group_is_open = false;
}

/* Appends what was recorded. */
void gate_append(struct worker *worker);
/* Somebody may wait for what replicas report, until gate_await_end(). Their links listen at once
 * from now on. */
void gate_await_begin(struct node *node);
void gate_await_end(struct node *node);

/* Others may have appended what this worker's replies show from here on. */
static inline void gate_follow(struct worker *worker) {
    if (worker->node->log != NULL) {
        worker->appended = oplog_end_position(worker->node->log);
    }
}

/* In node.slot_changed: by the tick that is under way, so its append is to come. */
#define GATE_SLOT_OPEN UINT64_MAX

static inline void gate_raise(struct connection *connection, uint64_t position) {
    if (connection->gate < position) {
        connection->gate = position;
    }
}

/* A command of one key has run, and may have changed its slot. */
static inline void gate_look(const struct worker *worker, struct connection *connection,
                             uint16_t slot) {
    const struct node *node = worker->node;
    uint64_t changed = node->slot_changed[slot];
    if (changed == GATE_SLOT_OPEN || worker->has_changed_all) {
        connection->flags |= CONNECTION_FOLLOWS;
    } else {
        gate_raise(connection, changed > node->all_changed ? changed : node->all_changed);
    }
}

/* What the connection has changed has been appended. */
static inline void gate_note_change(const struct worker *worker, struct connection *connection) {
    if ((connection->flags & CONNECTION_WROTE) != 0) {
        connection->flags &= ~(unsigned)CONNECTION_WROTE;
        connection->last_change = worker->appended;
    }
}

/* The connection leaves for another worker, or its output is to leave: the tick has been
 * appended. */
static inline void gate_carry(const struct worker *worker, struct connection *connection) {
    gate_note_change(worker, connection);
    if ((connection->flags & CONNECTION_FOLLOWS) != 0) {
        connection->flags &= ~(unsigned)CONNECTION_FOLLOWS;
        gate_raise(connection, worker->appended);
    }
    if (UNLIKELY((connection->flags & CONNECTION_QUORUM) != 0)) {
        quorum_gate_settle(worker, connection);
    }
}

/* True: the connection's output must wait; it has been put among those that do. */
bool gate_holds(struct worker *worker, struct connection *connection);
/* Lets go of what is safe now: it is written. */
void gate_open_step(struct worker *worker);

/* The log made progress: wakes the workers that wait for it. Any thread. */
void gate_progress(void *node);

#endif
