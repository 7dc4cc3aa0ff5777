#include "base/hmac.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static void check(struct hmac *hmac, const char *first, const char *second, const char *expected) {
    unsigned char code[HMAC_BYTES];
    char text[2 * HMAC_BYTES + 1];
    const struct span parts[] = {span_of_string(first), span_of_string(second)};
    hmac_code(hmac, parts, 2, code);
    for (size_t i = 0; i < HMAC_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", code[i]);
    }
    ck_assert_str_eq(text, expected);
}

/* RFC 4231, test case 2. */
START_TEST(hmac_is_that_of_the_rfc_whatever_the_parts) {
    static const char expected[] =
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    struct hmac *hmac = hmac_new(span_of_string("Jefe"));
    check(hmac, "what do ya want ", "for nothing?", expected);
    check(hmac, "", "what do ya want for nothing?", expected);
    check(hmac, "what do ya want for nothing?", "", expected);
    hmac_free(hmac);
}
END_TEST

START_TEST(hmac_equal_looks_at_every_byte) {
    ck_assert(hmac_equal("abcd", "abcd", 4));
    ck_assert(!hmac_equal("abcd", "abce", 4));
    ck_assert(!hmac_equal("abcd", "bbcd", 4));
    ck_assert(hmac_equal("abcd", "abce", 3));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        hmac_is_that_of_the_rfc_whatever_the_parts,
        hmac_equal_looks_at_every_byte,
    };
    return unit_run(unit_suite("hmac", tests, UNIT_COUNT(tests)));
}
