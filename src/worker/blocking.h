/* Blocking: connections whose command waits for something that others do, for as long as the client
 * said: WAIT, WAITAOF.
 *
 *   run -> blocked -> [there | due | CLIENT UNBLOCK] -> reply, on with the next request
 *             \-> the client leaves: closed
 *
 *  1. A blocked connection is at home, in its worker's list of the blocked ones, and its request is
 *     the next of its list: it is done when its reply is written.
 *  2. It runs nothing and holds nobody. What was answered before it leaves as usual.
 *  3. Only home ends the wait, or whoever runs while all workers stand still.
 *
 * A command that may block looks first whether it has to. If so, it calls blocking_begin() instead
 * of writing a reply; inside EXEC it must not (blocking_is_possible()).
 */
#ifndef TARN_WORKER_BLOCKING_H
#define TARN_WORKER_BLOCKING_H

#include "worker/session.h"

struct blocked;

struct blocking_kind {
    /* What it waits for is there. Asked with each tick in which quorum or log may have advanced; or
     * NULL, and whoever brings it calls blocking_end(). */
    bool (*is_there)(const struct connection *connection, const struct blocked *blocked);
    /* Writes the reply, when it is there or the time is over. */
    void (*answer)(struct connection *connection, const struct blocked *blocked);
};

struct blocked {
    const struct blocking_kind *kind;
    int64_t due_us;    /* DEADLINE_NEVER: it waits without end */
    uint64_t position; /* WAIT, WAITAOF: of the log */
    int64_t local;     /* logs on this node that are to have synced it: 0 or 1 */
    int64_t replicas;  /* replicas that are to hold it */
};

enum blocking_end { BLOCKING_OVER, BLOCKING_UNBLOCKED };

/* False: the command runs inside EXEC, and answers what there is. */
bool blocking_is_possible(const struct session *session);
void blocking_begin(struct session *session, const struct blocked *wanted);
/* Ends the wait with its answer, or with the error of CLIENT UNBLOCK. */
void blocking_end(struct connection *connection, enum blocking_end end);
/* The connection goes: it waits no more. */
void blocking_forget(struct connection *connection);

/* With each tick: ends the waits whose time is over, or for which something came. */
void blocking_step(struct worker *worker);
/* When the first is due, or DEADLINE_NEVER. */
int64_t blocking_next_due_us(const struct worker *worker);

#endif
