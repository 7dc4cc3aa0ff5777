#include "server/node_proof.h"

#include <stdio.h>

static const char *const labels[] = {
    [NODE_PROOF_OF_REPLICA] = "replica proves",
    [NODE_PROOF_OF_PRIMARY] = "primary proves",
};

void node_proof_make(const struct node_proof *proof, enum node_proof_side side, struct span secret,
                     char digits[NODE_PROOF_DIGITS + 1]) {
    unsigned char code[HMAC_BYTES];
    const struct span parts[] = {
        span_of_string(labels[side]),
        span_of(proof->primary.bytes, RAFT_ID_BYTES),
        proof->of_replica,
        proof->of_primary,
    };
    struct hmac *hmac = hmac_new(secret);
    hmac_code(hmac, parts, sizeof(parts) / sizeof(parts[0]), code);
    hmac_free(hmac);
    for (size_t i = 0; i < HMAC_BYTES; i++) {
        snprintf(digits + 2 * i, 3, "%02x", code[i]);
    }
}

bool node_proof_holds(const struct node_proof *proof, enum node_proof_side side, struct span secret,
                      struct span digits) {
    char expected[NODE_PROOF_DIGITS + 1];
    node_proof_make(proof, side, secret, expected);
    return digits.length == NODE_PROOF_DIGITS &&
           hmac_equal(digits.bytes, expected, NODE_PROOF_DIGITS);
}
