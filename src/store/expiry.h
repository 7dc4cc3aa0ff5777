/* Active expiry: finds the keys of one store whose time has come, though nobody asks for them.
 *
 * Bounds say where to look: no entry of a slot expires before the slot's earliest_ms, and so on for
 * groups of slots, databases and the store (store.h, invariant 3). A pass over all buckets of a due
 * slot hands over the expired entries, and makes the slot's bound exact. While nothing is due, a
 * step is one compare.
 *
 *   expiry_step:  walk of small slots, walk of large slots
 *   walk:         due database -> due group -> due slot -> its buckets, as far as the tokens go;
 *                 the next step goes on from there
 *
 * Two walks share the work, so that a slot of millions of keys does not keep the others waiting.
 *
 * The work is counted in units: a bucket, an expired entry, or EXPIRY_GROUP_UNITS for the headers
 * of a group. Each walk earns tokens with time, and pays for its units with them. How many it earns
 * per ms depends on what it finds: of the volatile entries that it looks at, at most a few percent
 * (10 at an active-expire-effort of 1, 1 at 10) should have expired. Above that the rate doubles,
 * below it halves, between EXPIRY_RATE_MIN and a maximum that grows with the effort, from about a
 * tenth of a worker to a fifth. So expired keys never take more than that share of the volatile
 * ones for long, and little is spent on looking for the last of them.
 *
 * Called by the store's owner only.
 */
#ifndef TARN_STORE_EXPIRY_H
#define TARN_STORE_EXPIRY_H

#include "store/store.h"

#define EXPIRY_RATE_MIN 4
#define EXPIRY_RATE_MAX 500
#define EXPIRY_RATE_PER_EFFORT 50
/* A step waits for so many tokens, or its overhead would be larger than itself. */
#define EXPIRY_BATCH_UNITS 64
#define EXPIRY_GROUP_UNITS 4
/* Slots with more buckets are large. */
#define EXPIRY_LARGE_BUCKETS 256
/* The rate is set anew after so many entries. */
#define EXPIRY_WINDOW_ENTRIES 256
/* Expired entries that one bucket hands over at a time. */
#define EXPIRY_BUCKET_ENTRIES_MAX 64
/* A step may do more than its budget by the end of what it began last. */
#define EXPIRY_OVERSHOOT_UNITS (EXPIRY_BUCKET_ENTRIES_MAX + 2 * EXPIRY_GROUP_UNITS)

/* Must delete the entry, by an effect. */
typedef void expiry_function(void *context, uint32_t database, uint16_t slot,
                             const struct entry *entry);

/* What a step did. */
struct expiry_work {
    uint32_t units;
    uint32_t expired;
};

/* Does up to units_max units of work, or what the rates allow. now_ms may jump. */
struct expiry_work expiry_step(struct store *store, int64_t now_ms, uint32_t units_max,
                               expiry_function *expire, void *context);

static inline bool expiry_is_due(const struct store *store, int64_t now_ms) {
    return store->expiry_earliest_ms <= now_ms;
}

/* When work is due: ms until a whole step is worth its while, at least 1. */
uint32_t expiry_wait_ms(const struct store *store, uint32_t units_max);

#endif
