/* Digesting: digests of slots, computed by the workers that own them, at the place of the log that
 * asks for them (EFFECT_SLOT_DIGEST).
 *
 *   primary  digesting_ask() -> the slot's worker: effect into the log -> the digest of what it
 *            holds then
 *   replica  the effect comes, among those that are applied         -> the same
 *
 * A digest begins at its place and is computed in the ticks from then on, DIGESTING_STEP_BYTES in
 * each; a worker has one under way. What comes meanwhile, or while an image of the store is half
 * done that does not let it begin, is told as skipped: whoever compares asks again, some other
 * time.
 *
 * Lifecycle: made before the node has a log, freed when the workers' threads have ended. Threads:
 * any for digesting_ask(), the worker's for all else, or who stands in for it under a stop.
 */
#ifndef TARN_WORKER_DIGESTING_H
#define TARN_WORKER_DIGESTING_H

#include "replication/digest_rounds.h"
#include "worker/worker.h"

#define DIGESTING_STEP_BYTES ((size_t)32 * 1024)
/* Asked for, and not in the log yet, per worker. */
#define DIGESTING_REQUESTS_MAX 64

struct digesting;

/* done: by any worker, at any time; must not wait. The message's rows are valid until it
 * returns. */
typedef void digesting_done(void *context, const struct message_digest *digest);

struct digesting *digesting_new(struct node *node, digesting_done *done, void *context);
void digesting_free(struct digesting *digesting); /* NULL is allowed */

/* False: too many are waiting. What a replica is asked for, and a node without a log, comes to
 * nothing. */
bool digesting_ask(struct digesting *digesting, const struct digest_request *request);

/* The log is here: what the worker's slot holds is what the digest is of. Without digesting
 * nothing. */
void digesting_begin(struct worker *worker, const struct digest_request *request);
/* The worker's part of a tick. True: a digest is half done, and no other cut of the store may take
 * a step. */
bool digesting_step(struct worker *worker);
bool digesting_has_work(const struct worker *worker);
/* Under a stop of all workers: nothing of it is left in the stores; what was half done is
 * skipped. */
void digesting_give_up(struct node *node);

#endif
