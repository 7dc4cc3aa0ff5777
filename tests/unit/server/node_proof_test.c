#include "server/node_proof.h"

#include "tests/unit/unit.h"

static const struct node_proof whole = {
    .primary = {{1, 2, 3}},
    .of_replica = {"0123456789abcdef0123456789abcdef", HANDSHAKE_NONCE_DIGITS},
    .of_primary = {"fedcba9876543210fedcba9876543210", HANDSHAKE_NONCE_DIGITS},
};

static bool holds(const struct node_proof *proof, enum node_proof_side side, const char *secret,
                  const char *digits) {
    return node_proof_holds(proof, side, span_of_string(secret), span_of_string(digits));
}

START_TEST(a_proof_holds_for_its_secret_side_names_and_nonces_alone) {
    char digits[NODE_PROOF_DIGITS + 1];
    node_proof_make(&whole, NODE_PROOF_OF_REPLICA, span_of_string("secret"), digits);
    ck_assert_uint_eq(strlen(digits), NODE_PROOF_DIGITS);
    ck_assert(holds(&whole, NODE_PROOF_OF_REPLICA, "secret", digits));
    ck_assert(!holds(&whole, NODE_PROOF_OF_PRIMARY, "secret", digits));
    ck_assert(!holds(&whole, NODE_PROOF_OF_REPLICA, "secrets", digits));
    struct node_proof other = whole;
    other.primary.bytes[19] = 1;
    ck_assert(!holds(&other, NODE_PROOF_OF_REPLICA, "secret", digits));
    other = whole;
    other.of_primary = whole.of_replica;
    ck_assert(!holds(&other, NODE_PROOF_OF_REPLICA, "secret", digits));
    other = whole;
    other.of_replica = whole.of_primary;
    ck_assert(!holds(&other, NODE_PROOF_OF_REPLICA, "secret", digits));
}
END_TEST

START_TEST(what_is_no_proof_does_not_hold) {
    char digits[NODE_PROOF_DIGITS + 1];
    node_proof_make(&whole, NODE_PROOF_OF_REPLICA, span_of_string("secret"), digits);
    digits[NODE_PROOF_DIGITS - 1] = digits[NODE_PROOF_DIGITS - 1] == '0' ? '1' : '0';
    ck_assert(!holds(&whole, NODE_PROOF_OF_REPLICA, "secret", digits));
    digits[NODE_PROOF_DIGITS - 1] = '\0';
    ck_assert(!holds(&whole, NODE_PROOF_OF_REPLICA, "secret", digits));
    ck_assert(!holds(&whole, NODE_PROOF_OF_REPLICA, "secret", ""));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_proof_holds_for_its_secret_side_names_and_nonces_alone,
        what_is_no_proof_does_not_hold,
    };
    return unit_run(unit_suite("node_proof", tests, UNIT_COUNT(tests)));
}
