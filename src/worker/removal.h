/* Removal: keys that go without a command. Expired ones, found by store/expiry.h, and those that
 * memory has no room for, picked by store/eviction.h. All go by an effect, from the worker's own
 * store.
 *
 * Each piece of work is bounded. When one was not enough, the worker is woken for the next.
 *
 * With several workers, one may be short of memory while others hold the keys that could go: it
 * asks them, and goes on for as long as one of them may have any.
 */
#ifndef TARN_WORKER_REMOVAL_H
#define TARN_WORKER_REMOVAL_H

#include "worker/worker.h"

/* Keys that one command may evict at a maxmemory-eviction-tenacity of 0, and how many more per step
 * up to
 * 10. From there on it grows by 15 percent per step, and 100 has no limit. */
#define REMOVAL_EVICTIONS_MIN 16
#define REMOVAL_EVICTIONS_PER_TENACITY 16

/* Elements of what was dropped that go in place of one eviction. */
#define REMOVAL_BURIED_ELEMENTS 16

/* A bounded piece of active expiry; nearly free while nothing is due. */
void removal_expire_step(struct worker *worker);
/* A bounded piece of eviction, when memory is short and nobody runs commands here. */
void removal_evict_step(struct worker *worker);
/* In each housekeeping period: what other workers are told. */
void removal_publish(struct worker *worker);

/* Evicts until memory is below maxmemory, within the effort that maxmemory-eviction-tenacity sets.
 * False: memory is short, and there is nothing to evict. */
bool removal_make_room(struct worker *worker);

/* Before a command: one compare while there is no limit. */
static inline bool worker_make_room(struct worker *worker) {
    return LIKELY(worker->node->store_options->maxmemory == 0) || removal_make_room(worker);
}

#endif
