#include "base/sha1.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static void expect_digest(const char *text, size_t length, const char *wanted) {
    unsigned char digest[SHA1_BYTES];
    char hex[2 * SHA1_BYTES + 1];
    sha1_bytes(span_of(text, length), digest);
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    ck_assert_str_eq(hex, wanted);
}

START_TEST(sha1_has_the_values_of_the_standard) {
    expect_digest(NULL, 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect_digest("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    expect_digest(two, strlen(two), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
}
END_TEST

/* Where the length fits into the last block, and where it just does not. */
START_TEST(sha1_pads_at_every_length_around_a_block) {
    char text[128];
    memset(text, 'a', sizeof(text));
    expect_digest(text, 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    expect_digest(text, 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    expect_digest(text, 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
    expect_digest(text, 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    expect_digest(text, 119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56");
    expect_digest(text, 128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0");
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        sha1_has_the_values_of_the_standard,
        sha1_pads_at_every_length_around_a_block,
    };
    return unit_run(unit_suite("sha1", tests, UNIT_COUNT(tests)));
}
