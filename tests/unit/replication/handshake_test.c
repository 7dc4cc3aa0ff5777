#include "replication/handshake.h"

#include "tests/unit/unit.h"

#define ONE "00112233445566778899aabbccddeeff"
#define OTHER "ffeeddccbbaa99887766554433221100"

START_TEST(an_answer_is_read_as_it_was_written) {
    char nonce[HANDSHAKE_NONCE_BYTES];
    handshake_nonce_draw(nonce);
    ck_assert(handshake_nonce_is_valid(span_of_string(nonce)));
    struct buffer text = BUFFER_EMPTY;
    handshake_write_answer(&text, nonce);
    struct span read;
    ck_assert(handshake_read_answer(buffer_span(&text), &read));
    ck_assert(span_equal(read, span_of_string(nonce)));
    buffer_free(&text);
}
END_TEST

START_TEST(what_is_no_answer_is_refused) {
    static const char *const texts[] = {
        "",
        "TARN",
        "TARN 1 ",
        "TARN 0 " ONE,
        "TARN 1 " ONE "0",
        "TARN 1 00112233445566778899AABBCCDDEEFF",
        "tarn 1 " ONE,
    };
    struct span nonce;
    ck_assert(handshake_read_answer(span_of_string("TARN 1 " ONE), &nonce));
    for (size_t i = 0; i < UNIT_COUNT(texts); i++) {
        ck_assert_msg(!handshake_read_answer(span_of_string(texts[i]), &nonce), "%s", texts[i]);
    }
    ck_assert(!handshake_nonce_is_valid(span_of(ONE, HANDSHAKE_NONCE_DIGITS - 1)));
    ck_assert(!handshake_nonce_is_valid(span_of("\0" ONE, HANDSHAKE_NONCE_DIGITS)));
}
END_TEST

START_TEST(the_seed_depends_on_both_nonces_and_whose_they_are) {
    struct span one = span_of_string(ONE);
    struct span other = span_of_string(OTHER);
    uint64_t seed = handshake_seed(one, other);
    ck_assert_uint_eq(seed, handshake_seed(one, other));
    ck_assert_uint_ne(seed, handshake_seed(other, one));
    ck_assert_uint_ne(seed, handshake_seed(one, one));
    ck_assert_uint_ne(seed, handshake_seed(other, other));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        an_answer_is_read_as_it_was_written,
        what_is_no_answer_is_refused,
        the_seed_depends_on_both_nonces_and_whose_they_are,
    };
    return unit_run(unit_suite("handshake", tests, UNIT_COUNT(tests)));
}
