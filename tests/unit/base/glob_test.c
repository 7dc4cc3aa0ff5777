#include "base/glob.h"

#include "base/random.h"

#include "tests/unit/unit.h"

#include <stdio.h>

struct example {
    const char *pattern;
    const char *text;
    bool matches;
};

static void examples_check(const struct example *examples, size_t count,
                           bool (*match)(struct span, struct span)) {
    for (size_t i = 0; i < count; i++) {
        const struct example *example = &examples[i];
        bool matches = match(span_of_string(example->pattern), span_of_string(example->text));
        ck_assert_msg(matches == example->matches, "pattern %s, text %s: %d", example->pattern,
                      example->text, matches);
    }
}

START_TEST(glob_matches_literals_marks_stars_and_classes) {
    static const struct example examples[] = {
        {"", "", true},
        {"a", "", false},
        {"", "a", false},
        {"abc", "abc", true},
        {"abc", "abd", false},
        {"abc", "abcd", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"a?c", "abc", true},
        {"*", "abc", true},
        {"a*", "a", true},
        {"a*", "abc", true},
        {"*c", "abc", true},
        {"*c", "ab", false},
        {"a*c", "ac", true},
        {"a*b*c", "axxbxxc", true},
        {"a*b*c", "axxcxxb", false},
        {"a**c", "abc", true},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true},
        {"h[b-a]llo", "hallo", true},
        {"h[a-b]llo", "hcllo", false},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"[\\]]", "]", true},
        {"[a\\-c]", "-", true},
        {"[a\\-c]", "b", false},
        {"*aab", "aaaaab", true},
        {"Abc", "abc", false},
        {"[A-Z]", "m", false},
    };
    examples_check(examples, UNIT_COUNT(examples), glob_match);
}
END_TEST

/* Each answer is what redis-server's KEYS said. */
START_TEST(glob_answers_as_redis_for_patterns_that_are_odd) {
    static const struct example examples[] = {
        {"*", "", false},        {"**", "", false},           {"[", "[", false},
        {"[", "a", false},       {"[^", "a", true},           {"[^", "ab", false},
        {"[]", "]", false},      {"[]", "a", false},          {"[^]", "a", true},
        {"[^]", "]", true},      {"a[", "a[", false},         {"a[b", "ab", true},
        {"[a-", "a", true},      {"[a-", "-", true},          {"[a-", "b", false},
        {"[a-]", "a", true},     {"[a-]", "-", false},        {"[a-]", "]", true},
        {"[a-]", "`", true},     {"[a-]]", "^", true},        {"\\", "\\", true},
        {"a\\", "a\\", true},    {"\\\\", "\\", true},        {"\\a", "a", true},
        {"*[z", "az", true},     {"*[z", "zb", false},        {"[\\", "\\", true},
        {"[\\]", "]", true},     {"[\\]", "\\", false},       {"[a]]", "a]", true},
        {"[*]", "*", true},      {"[*]", "a", false},         {"[z-\xff]", "z", true},
        {"[\x80-a]", "A", true}, {"[\x80-\xff]", "A", false}, {"[a-\xff]", "b", false},
        {"[a-\xff]", "A", true},
    };
    examples_check(examples, UNIT_COUNT(examples), glob_match);
}
END_TEST

/* Each answer is what redis-server's CONFIG GET would say. */
START_TEST(glob_nocase_folds_letters_but_no_escaped_member_of_a_class) {
    static const struct example examples[] = {
        {"ABC*", "abcd", true},  {"maxMEMORY", "MAXmemory", true},
        {"[A-C]", "b", true},    {"[a-c]", "B", true},
        {"[\\B]", "b", false},   {"[\\b]", "b", true},
        {"\\B", "b", true},      {"[XYZ]", "y", true},
        {"[^B]", "b", false},    {"@", "`", false},
        {"[Z-^]", "a", false},   {"[\x80-e]", "a", false},
        {"\xc4", "\xe4", false}, {"[\xff]", "\xff", true},
    };
    examples_check(examples, UNIT_COUNT(examples), glob_match_nocase);
}
END_TEST

START_TEST(glob_takes_zero_bytes_as_any_other) {
    ck_assert(glob_match(span_of("a\0*", 3), span_of("a\0bc", 4)));
    ck_assert(!glob_match(span_of("a\0b", 3), span_of("a\0c", 3)));
    ck_assert(glob_match(span_of("[\0]", 3), span_of("\0", 1)));
}
END_TEST

START_TEST(glob_reads_nothing_behind_the_pattern_or_the_text) {
    /* Allocations of the exact size, for a sanitizer to guard. */
    static const char bytes[] = "[]^-\\*?ab";
    struct random random;
    random_seed(&random, 11);
    for (int round = 0; round < 50000; round++) {
        size_t pattern_length = random_below(&random, 7);
        size_t text_length = random_below(&random, 7);
        char *pattern = malloc(pattern_length + (pattern_length == 0));
        char *text = malloc(text_length + (text_length == 0));
        for (size_t i = 0; i < pattern_length; i++) {
            pattern[i] = bytes[random_below(&random, sizeof(bytes) - 1)];
        }
        for (size_t i = 0; i < text_length; i++) {
            text[i] = bytes[random_below(&random, sizeof(bytes) - 1)];
        }
        struct span whole = span_of(pattern, pattern_length);
        bool exact = glob_match(whole, span_of(text, text_length));
        /* No letter here has another case, so folding may add matches but for \a and \b. */
        if (exact) {
            ck_assert(glob_match_nocase(whole, span_of(text, text_length)));
        }
        free(pattern);
        free(text);
    }
}
END_TEST

START_TEST(glob_of_many_stars_ends_soon) {
    /* A matcher that tries every star again for every byte would not end in this life. */
    enum { STARS = 2000, BYTES = 20000 };
    static char pattern[2 * STARS + 1];
    static char text[BYTES];
    for (size_t i = 0; i < STARS; i++) {
        memcpy(pattern + 2 * i, "*a", 2);
    }
    pattern[2 * STARS] = 'b';
    memset(text, 'a', sizeof(text));
    ck_assert(!glob_match(span_of(pattern, sizeof(pattern)), span_of(text, sizeof(text))));
    ck_assert(glob_match(span_of(pattern, sizeof(pattern) - 1), span_of(text, sizeof(text))));
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        glob_matches_literals_marks_stars_and_classes,
        glob_answers_as_redis_for_patterns_that_are_odd,
        glob_nocase_folds_letters_but_no_escaped_member_of_a_class,
        glob_takes_zero_bytes_as_any_other,
        glob_reads_nothing_behind_the_pattern_or_the_text,
        glob_of_many_stars_ends_soon,
    };
    return unit_run(unit_suite("glob", tests, UNIT_COUNT(tests)));
}
