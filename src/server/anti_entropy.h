/* Anti-entropy: compares the copies of this node's slots on its replicas with its own, slot after
 * slot, a round in digest-check-period seconds, and has healed what differs
 * (replication/digest_rounds.h, worker/digesting.h).
 *
 * Lifecycle: the replicator's; workers digest from the first link on. Thread: the replicator's.
 */
#ifndef TARN_SERVER_ANTI_ENTROPY_H
#define TARN_SERVER_ANTI_ENTROPY_H

#include "server/replicator.h"

/* Digests that are asked for in one step. */
#define ANTI_ENTROPY_ASKED_MAX 64

struct anti_entropy;

struct anti_entropy *anti_entropy_new(struct replicator *replicator);
/* While the workers run, if there was a link. */
void anti_entropy_free(struct anti_entropy *entropy);

/* In each iteration, with the number of replicas that follow the log. */
void anti_entropy_step(struct anti_entropy *entropy, uint32_t replicas);
/* This node's slots are digested from now on, where the log asks for it. */
void anti_entropy_attach(struct anti_entropy *entropy);
/* A replica's digest came. */
void anti_entropy_report(struct anti_entropy *entropy, const unsigned char *node_id,
                         const struct message_digest *digest);

#endif
