/* Slot digest: the digest of one slot at one moment, taken a bounded piece at a time: a cut
 * (store/cut.h) whose image is hashed instead of kept. What it answers is what digest_slot() would
 * have answered when it began.
 *
 * A store has one open cut at most. While another one is half done, a slot that takes more than one
 * step cannot be begun.
 *
 * Lifecycle: slot_digest_new(), slot_digest_step() until it is true, the result,
 * slot_digest_free(), which is allowed at any time. Thread: the store's.
 */
#ifndef TARN_STORE_SLOT_DIGEST_H
#define TARN_STORE_SLOT_DIGEST_H

#include "store/cut.h"

/* Digests of single keys are kept up to so many bytes of their rows (digest_keys.h). */
#define SLOT_DIGEST_KEYS_BYTES_MAX ((size_t)768 * 1024)

struct slot_digest;

struct slot_digest_plan {
    struct store *store;
    uint64_t seed;
    size_t step_bytes; /* CUT_STEP_BYTES, less in tests */
    uint16_t slot;
    bool has_keys; /* of each key, too */
};

struct slot_digest_result {
    uint64_t sum;
    uint64_t keys;
    struct span rows;   /* digest_keys.h, sorted; valid until it is freed */
    bool is_incomplete; /* rows: there were more than fit */
};

/* Takes the first step. NULL: not now. */
struct slot_digest *slot_digest_new(const struct slot_digest_plan *plan);
void slot_digest_free(struct slot_digest *digest); /* NULL is allowed */

/* Adds what it did to work. True: the result is there. */
bool slot_digest_step(struct slot_digest *digest, struct cut_work *work);
bool slot_digest_is_done(const struct slot_digest *digest);
void slot_digest_result(struct slot_digest *digest, struct slot_digest_result *result);

#endif
