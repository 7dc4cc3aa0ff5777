#include "commands/lcs.h"

#include "base/random.h"

#include "tests/unit/unit.h"

#include <string.h>

#define TEXT_BYTES_MAX 10

/* By trying: the longest of all subsequences of a that b has too. */
static uint32_t length_by_trying(struct span a, struct span b) {
    uint32_t longest = 0;
    for (unsigned chosen = 0; chosen < 1U << a.length; chosen++) {
        size_t at = 0;
        uint32_t length = 0;
        bool fits = true;
        for (size_t i = 0; i < a.length && fits; i++) {
            if ((chosen >> i & 1) == 0) {
                continue;
            }
            while (at < b.length && b.bytes[at] != a.bytes[i]) {
                at++;
            }
            fits = at++ < b.length;
            length++;
        }
        longest = fits && length > longest ? length : longest;
    }
    return longest;
}

static bool is_subsequence(const char *text, size_t length, struct span of) {
    size_t at = 0;
    for (size_t i = 0; i < length; i++, at++) {
        while (at < of.length && of.bytes[at] != text[i]) {
            at++;
        }
        if (at >= of.length) {
            return false;
        }
    }
    return true;
}

static struct span draw(struct random *random, char *bytes) {
    size_t length = random_below(random, TEXT_BYTES_MAX + 1);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (char)('a' + random_below(random, 3));
    }
    return span_of(bytes, length);
}

START_TEST(lcs_is_as_long_as_any_common_subsequence_and_is_one) {
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 2000; i++) {
        char bytes[2][TEXT_BYTES_MAX];
        struct span a = draw(&random, bytes[0]);
        struct span b = draw(&random, bytes[1]);
        struct lcs lcs;
        ck_assert(lcs_init(&lcs, a, b));
        ck_assert_uint_eq(lcs.length, length_by_trying(a, b));
        char text[TEXT_BYTES_MAX];
        lcs_text(&lcs, text);
        ck_assert(is_subsequence(text, lcs.length, a));
        ck_assert(is_subsequence(text, lcs.length, b));
        lcs_free(&lcs);
    }
}
END_TEST

struct joined {
    const struct lcs *lcs;
    char text[TEXT_BYTES_MAX];
    uint32_t start; /* of what the runs so far make, from the end of text */
    struct lcs_match last;
};

static void join(const struct lcs_match *match, void *context) {
    struct joined *joined = context;
    ck_assert_uint_gt(match->length, 0);
    ck_assert_uint_le(match->a + match->length, joined->last.a);
    ck_assert_uint_le(match->b + match->length, joined->last.b);
    ck_assert_mem_eq(joined->lcs->a.bytes + match->a, joined->lcs->b.bytes + match->b,
                     match->length);
    joined->start -= match->length;
    memcpy(joined->text + joined->start, joined->lcs->a.bytes + match->a, match->length);
    joined->last = *match;
}

START_TEST(lcs_matches_are_runs_of_both_from_the_last_to_the_first_that_make_the_text) {
    struct random random;
    random_seed(&random, 2);
    for (int i = 0; i < 2000; i++) {
        char bytes[2][TEXT_BYTES_MAX];
        struct lcs lcs;
        struct span a = draw(&random, bytes[0]);
        ck_assert(lcs_init(&lcs, a, draw(&random, bytes[1])));
        struct joined joined = {
            .lcs = &lcs, .start = lcs.length, .last = {.a = UINT32_MAX, .b = UINT32_MAX}};
        lcs_matches(&lcs, join, &joined);
        char text[TEXT_BYTES_MAX];
        lcs_text(&lcs, text);
        ck_assert_uint_eq(joined.start, 0);
        if (lcs.length != 0) {
            ck_assert_mem_eq(joined.text, text, lcs.length);
        }
        lcs_free(&lcs);
    }
}
END_TEST

START_TEST(lcs_table_bytes_are_a_cell_per_pair_of_prefixes_and_never_overflow) {
    ck_assert_uint_eq(lcs_table_bytes(span_of("", 0), span_of("", 0)), sizeof(uint32_t));
    ck_assert_uint_eq(lcs_table_bytes(span_of("abc", 3), span_of("ab", 2)),
                      4 * 3 * sizeof(uint32_t));
    /* Bytes that are not looked at. */
    struct span longest = span_of("", LCS_BYTES_MAX);
    ck_assert_uint_eq(lcs_table_bytes(longest, longest), SIZE_MAX);
    ck_assert_uint_eq(lcs_table_bytes(longest, span_of("", 0)),
                      (LCS_BYTES_MAX + 1) * sizeof(uint32_t));
}
END_TEST

START_TEST(lcs_without_memory_for_its_table_is_refused) {
    /* No byte is looked at before there is a table. */
    struct span longest = span_of("", LCS_BYTES_MAX);
    struct lcs lcs;
    ck_assert(!lcs_init(&lcs, longest, longest));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        lcs_is_as_long_as_any_common_subsequence_and_is_one,
        lcs_matches_are_runs_of_both_from_the_last_to_the_first_that_make_the_text,
        lcs_table_bytes_are_a_cell_per_pair_of_prefixes_and_never_overflow,
        lcs_without_memory_for_its_table_is_refused,
    };
    return unit_run(unit_suite("lcs", tests, UNIT_COUNT(tests)));
}
