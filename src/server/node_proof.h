/* Proof: how a node of a cluster that begins a replication link shows that it knows cluster-secret,
 * so that it needs no password, and that the other side does.
 *
 *   replica   REPLCONF tarn-nonce NONCE
 *   primary   +NONCE2
 *   replica   REPLCONF tarn-proof PROOF      the connection is logged in
 *   primary   +PROOF2                        the replica goes on with its handshake
 *
 * A proof is of both nonces, the primary's name in the cluster and which side it comes from, by the
 * secret: it is good for this connection alone, and who knows no secret is told nothing that is
 * made of it. Then all that the default user may is allowed, as with masterauth.
 */
#ifndef TARN_SERVER_NODE_PROOF_H
#define TARN_SERVER_NODE_PROOF_H

#include "base/hmac.h"
#include "cluster/raft_id.h"
#include "replication/handshake.h"

#define NODE_NONCE_WORD "tarn-nonce" /* of REPLCONF */
#define NODE_PROOF_WORD "tarn-proof"
#define NODE_PROOF_DIGITS (2 * HMAC_BYTES)

enum node_proof_side { NODE_PROOF_OF_REPLICA, NODE_PROOF_OF_PRIMARY };

struct node_proof {
    struct raft_id primary;
    struct span of_replica; /* nonces */
    struct span of_primary;
};

/* Writes the digits, and a zero. The secret has a byte at least. */
void node_proof_make(const struct node_proof *proof, enum node_proof_side side, struct span secret,
                     char digits[NODE_PROOF_DIGITS + 1]);
bool node_proof_holds(const struct node_proof *proof, enum node_proof_side side, struct span secret,
                      struct span digits);

#endif
