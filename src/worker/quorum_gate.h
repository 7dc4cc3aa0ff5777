/* Quorum gate: replies of connections with write-quorum W wait until W members, the node itself
 * counted, hold what they show.
 *
 *   run -> mark per reply -> [tick's append] -> taken -> held -> passed -> written
 *                                                          \-> due: an error in its place
 *
 *  1. A reply waits for the position that gate.h gives it, in this node's log (as there) and in W -
 *     1 replicas' (written; synced where appendfsync is always). Reads wait like writes.
 *  2. What shows no data (errors before a command runs, MULTI, PING, INFO, CONFIG ...) waits for
 *     this node's log only, so that a node without its quorum can still be looked at and mended.
 *  3. Replies leave in order. Meanwhile the connection's later requests run; they wait only when
 *     QUORUM_GATE_REPLIES_MAX of its replies are held. What is held counts for its output limit.
 *  4. A reply that is due is replaced by an error: the outcome is unknown, since what it answers
 *     has happened here, and may have happened or yet happen elsewhere. Messages that are due are
 *     left out; they promise nothing.
 *  5. Other connections are never held.
 *
 * A connection has CONNECTION_QUORUM while its W is above 1 or any of its output is held. Its marks
 * travel with it and belong to whoever runs its requests; the rest is home's.
 */
#ifndef TARN_WORKER_QUORUM_GATE_H
#define TARN_WORKER_QUORUM_GATE_H

#include "worker/worker.h"

#define QUORUM_GATE_REPLIES_MAX 65536
/* The largest W: all replicas, and the node itself. */
#define QUORUM_GATE_MEMBERS_MAX (QUORUM_MEMBERS_MAX + 1)

struct quorum_gate;

/* Sets what the connection asks for; members 0: what the node's options say, timeout_ms likewise
 * when negative. At home. */
void quorum_gate_choose(struct connection *connection, uint32_t members, int64_t timeout_ms);
/* The options may have changed, or the connection is new. At home, or under a stop of all. */
void quorum_gate_configure(struct connection *connection);
void quorum_gate_free(struct connection *connection);

/* For connections with CONNECTION_QUORUM. */

/* What was written to the reply since the last mark is one reply, or pushes. */
void quorum_gate_mark(const struct worker *worker, struct connection *connection, bool is_push);
/* The tick has been appended: the marks get their positions. */
void quorum_gate_settle(const struct worker *worker, struct connection *connection);
/* Takes what is new, lets go of what may pass. True: there is nothing to write for now. At home. */
bool quorum_gate_holds(struct worker *worker, struct connection *connection);
/* All output was written. */
void quorum_gate_written(struct connection *connection);

/* Nothing of the connection's output is held. */
bool quorum_gate_is_empty(const struct connection *connection);
/* Too much is held for more requests to run. */
bool quorum_gate_is_full(const struct connection *connection);
/* Bytes that are held, with what is noted of them. */
size_t quorum_gate_bytes(const struct connection *connection);

/* With each tick: connections whose first held reply may pass or is due are to be written. */
void quorum_gate_open_step(struct worker *worker);
/* When the first of them will be due, by clock_monotonic_us(), or INT64_MAX. */
int64_t quorum_gate_next_due_us(const struct worker *worker);
/* The log is another one: positions of the old one mean nothing, and what is held has an unknown
 * outcome. Under a stop. */
void quorum_gate_void(struct worker *worker);

/* Quorum or log advanced: wakes the workers that wait for it. Any thread. */
void quorum_gate_progress(void *node);

#endif
