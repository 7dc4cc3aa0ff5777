/* Digest rounds: the primary's side of anti-entropy. Slot after slot, once in a period, a digest is
 * asked for by an effect in the log (EFFECT_SLOT_DIGEST); this node and each replica compute it
 * when they come there, of exactly the same content, and what they found is compared here.
 *
 *   COMPARE  digests of all slots, in rotation
 *            [a replica's digest is not this node's] -> SUSPECT
 *   SUSPECT  a digest of the slot with those of its single keys is asked for, and again each
 *            DIGEST_SUSPECT_MS until it was compared [keys are compared] -> the verdict
 *
 * The verdict says which keys differ, and that the replica's slot is to be healed by an image.
 *
 * Invariants
 *  1. A seed is used once: it names a digest, whoever reports it.
 *  2. Only two digests under one seed are compared, so of one place in the log.
 *  3. What a node could not compute, or reports when it is forgotten here, is no difference.
 *  4. No more is asked for than replicas keep up with, however short the period: reports that came
 *     too late would all be forgotten, and nothing be compared any more.
 *
 * A replica that has replicas of its own asks for nothing: it sees the seeds of its primary's log.
 * It compares as well, and heals at once, without the keys.
 *
 * Memory: DIGEST_ROUNDS_OPEN_MAX places, of which DIGEST_ROUNDS_KEYS_MAX may hold keys. A pure
 * step: time is an argument. One owner, one thread at a time.
 */
#ifndef TARN_REPLICATION_DIGEST_ROUNDS_H
#define TARN_REPLICATION_DIGEST_ROUNDS_H

#include "replication/message.h"

/* Digests whose reports are awaited: older ones are forgotten. */
#define DIGEST_ROUNDS_OPEN_MAX 1024
/* Of those that were asked for, so many may lack reports before a round waits; for as long as a
 * replica may be in coming with one. */
#define DIGEST_ROUNDS_AWAITED_MAX 256
#define DIGEST_ROUNDS_PATIENCE_MS 10000
/* Reports that are kept until this node's own digest is there, per digest. */
#define DIGEST_ROUNDS_EARLY_MAX 16
/* Digests with keys that are open at a time, and bytes of them in all. */
#define DIGEST_ROUNDS_KEYS_MAX 4
/* Keys that a verdict names. */
#define DIGEST_ROUNDS_NAMED_MAX 20
#define DIGEST_SUSPECT_MS 1000

struct digest_request {
    uint16_t slot;
    bool has_keys;
    uint64_t seed;
};

struct digest_pace {
    int64_t period_ms; /* for a whole round; 0: none */
    uint32_t replicas; /* that are to report */
};

struct digest_verdict {
    const unsigned char *node_id; /* the replica's */
    uint16_t slot;
    uint64_t keys;          /* that differ */
    bool keys_are_known;    /* else `keys` is 0 */
    struct span keys_named; /* some of them, as text */
};

struct digest_rounds_plan {
    void *context;
    /* Called from within digest_rounds_own() and digest_rounds_report(). */
    void (*differs)(void *context, const struct digest_verdict *verdict);
    uint64_t seed; /* random */
};

struct digest_rounds;

struct digest_rounds *digest_rounds_new(const struct digest_rounds_plan *plan);
void digest_rounds_free(struct digest_rounds *rounds);

/* A digest is to be asked for now: again until false. */
bool digest_rounds_next(struct digest_rounds *rounds, const struct digest_pace *pace,
                        int64_t now_ms, struct digest_request *request);
/* The last request could not be made: the round will come to it again. */
void digest_rounds_put_off(struct digest_rounds *rounds, const struct digest_request *request);
/* This node's own digest. asks: this node may ask for digests, it is no replica. */
void digest_rounds_own(struct digest_rounds *rounds, const struct message_digest *digest,
                       bool asks);
/* A replica's. */
void digest_rounds_report(struct digest_rounds *rounds,
                          const unsigned char node_id[MESSAGE_NODE_ID_BYTES],
                          const struct message_digest *digest);

struct digest_figures {
    uint64_t rounds;      /* that came to their end */
    uint64_t asked;       /* digests */
    uint64_t compared;    /* a replica's with this node's */
    uint64_t skipped;     /* could not be computed, here or there */
    uint64_t differences; /* verdicts */
    uint64_t keys;        /* that they found to differ */
};
void digest_rounds_figures(const struct digest_rounds *rounds, struct digest_figures *figures);

#endif
