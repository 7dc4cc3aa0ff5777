#include "base/option.h"

#include "tests/unit/unit.h"

enum colour { COLOUR_RED, COLOUR_BLUE = 7 };

struct paint {
    bool glossy;
    int64_t layers;
    int64_t bucket_bytes;
    int64_t share;
    int64_t mode;
    enum colour colour;
    int tools;
    char *maker;
    struct option_list shops;
    int64_t even;
};

static const struct option_word colours[] = {
    {"red", COLOUR_RED},
    {"blue", COLOUR_BLUE},
    {NULL, 0},
};

static const struct option_word tools[] = {
    {"none", 0},
    {"brush", 1},
    {"roll", 2},
    {NULL, 0},
};

/* Rounds up to an even number, and refuses 13. */
static bool settle_even(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    int64_t *number = place;
    if (*number == 13) {
        buffer_append_string(error, "13 is unlucky");
        return false;
    }
    *number += *number % 2;
    return true;
}

enum {
    ROW_GLOSSY = 1,
    ROW_LAYERS,
    ROW_BUCKET,
    ROW_SHARE,
    ROW_MODE,
    ROW_COLOUR,
    ROW_TOOLS,
    ROW_MAKER,
    ROW_SHOPS,
    ROW_EVEN,
};

#define FIELD(field) .offset = offsetof(struct paint, field)

static const struct option rows[] = {
    {.name = NULL, .help = "Paint"},
    [ROW_GLOSSY] = {.name = "glossy", .type = OPTION_BOOL, FIELD(glossy), .default_text = "no"},
    [ROW_LAYERS] = {.name = "layers",
                    .alias = "coats",
                    .type = OPTION_INTEGER,
                    FIELD(layers),
                    .min = 1,
                    .max = 9,
                    .default_text = "2"},
    [ROW_BUCKET] = {.name = "bucket",
                    .type = OPTION_MEMORY,
                    FIELD(bucket_bytes),
                    .min = 10,
                    .max = INT64_MAX,
                    .default_text = "1kb"},
    [ROW_SHARE] = {.name = "share",
                   .type = OPTION_MEMORY_OR_PERCENT,
                   FIELD(share),
                   .max = INT64_MAX,
                   .default_text = "0"},
    [ROW_MODE] =
        {.name = "mode", .type = OPTION_OCTAL, FIELD(mode), .max = 0777, .default_text = "640"},
    [ROW_COLOUR] = {.name = "colour",
                    .type = OPTION_ENUM,
                    FIELD(colour),
                    .words = colours,
                    .default_text = "blue"},
    [ROW_TOOLS] = {.name = "tools",
                   .type = OPTION_FLAGS,
                   .flags = OPTION_MULTI,
                   FIELD(tools),
                   .words = tools,
                   .default_text = "none"},
    [ROW_MAKER] = {.name = "maker", .type = OPTION_STRING, FIELD(maker), .default_text = ""},
    [ROW_SHOPS] = {.name = "shops",
                   .type = OPTION_LIST,
                   .flags = OPTION_MULTI,
                   FIELD(shops),
                   .max = 3,
                   .default_text = "here there"},
    [ROW_EVEN] = {.name = "even",
                  .type = OPTION_INTEGER,
                  FIELD(even),
                  .max = 100,
                  .settle = settle_even,
                  .default_text = "3"},
};

static const struct option_table table = {.rows = rows, .count = sizeof(rows) / sizeof(rows[0])};

static struct paint paint;

static void setup(void) {
    memset(&paint, 0xff, sizeof(paint));
    option_table_init(&table, &paint);
}

static void teardown(void) {
    option_table_clear(&table, &paint);
}

static void check_text(struct buffer *text, const char *expected) {
    buffer_append_byte(text, '\0');
    ck_assert_str_eq(text->bytes, expected);
    buffer_free(text);
}

static void check_format(int row, const char *expected) {
    struct buffer text = BUFFER_EMPTY;
    option_format(&rows[row], option_place(&rows[row], &paint), &text);
    check_text(&text, expected);
}

static void check_quoted(int row, const char *expected) {
    struct buffer text = BUFFER_EMPTY;
    option_format_quoted(&rows[row], option_place(&rows[row], &paint), &text);
    check_text(&text, expected);
}

static void check_accepts(int row, const char *input) {
    struct buffer error = BUFFER_EMPTY;
    bool done = option_parse_text(&rows[row], option_place(&rows[row], &paint),
                                  span_of_string(input), &error);
    ck_assert_msg(done, "refused %s: %.*s", input, (int)error.length, error.bytes);
    ck_assert_uint_eq(error.length, 0);
    buffer_free(&error);
}

/* Refused with this text, and the value is what it was. */
static void check_refuses(int row, const char *input, const char *expected) {
    const void *place = option_place(&rows[row], &paint);
    struct buffer before = BUFFER_EMPTY;
    option_format(&rows[row], place, &before);
    struct buffer error = BUFFER_EMPTY;
    ck_assert_msg(!option_parse_text(&rows[row], option_place(&rows[row], &paint),
                                     span_of_string(input), &error),
                  "accepted %s", input);
    check_text(&error, expected);
    buffer_append_byte(&before, '\0');
    check_format(row, before.bytes);
    buffer_free(&before);
}

START_TEST(defaults_are_what_the_rows_say) {
    ck_assert(!paint.glossy);
    ck_assert_int_eq(paint.layers, 2);
    ck_assert_int_eq(paint.bucket_bytes, 1024);
    ck_assert_int_eq(paint.mode, 0640);
    ck_assert_int_eq((int)paint.colour, COLOUR_BLUE);
    ck_assert_int_eq(paint.tools, 0);
    ck_assert_str_eq(paint.maker, "");
    ck_assert_uint_eq(paint.shops.count, 2);
    ck_assert_str_eq(paint.shops.items[1], "there");
    for (int row = ROW_GLOSSY; row <= ROW_EVEN; row++) {
        ck_assert(option_is_default(&rows[row], option_place(&rows[row], &paint)));
    }
}
END_TEST

START_TEST(a_changed_value_is_no_default_and_the_same_value_written_otherwise_is) {
    check_accepts(ROW_BUCKET, "1024");
    ck_assert(option_is_default(&rows[ROW_BUCKET], &paint.bucket_bytes));
    check_accepts(ROW_BUCKET, "1025");
    ck_assert(!option_is_default(&rows[ROW_BUCKET], &paint.bucket_bytes));
}
END_TEST

START_TEST(booleans_are_yes_or_no_in_any_case) {
    check_accepts(ROW_GLOSSY, "YES");
    ck_assert(paint.glossy);
    check_format(ROW_GLOSSY, "yes");
    check_refuses(ROW_GLOSSY, "true", "argument must be 'yes' or 'no'");
    check_refuses(ROW_GLOSSY, "", "argument must be 'yes' or 'no'");
}
END_TEST

START_TEST(integers_keep_to_their_range) {
    check_accepts(ROW_LAYERS, "1");
    check_accepts(ROW_LAYERS, "9");
    ck_assert_int_eq(paint.layers, 9);
    check_refuses(ROW_LAYERS, "0", "argument must be between 1 and 9 inclusive");
    check_refuses(ROW_LAYERS, "10", "argument must be between 1 and 9 inclusive");
    check_refuses(ROW_LAYERS, "3x", "argument couldn't be parsed into an integer");
    check_refuses(ROW_LAYERS, "", "argument couldn't be parsed into an integer");
}
END_TEST

START_TEST(sizes_have_units_and_are_shown_in_bytes) {
    check_accepts(ROW_BUCKET, "2MB");
    ck_assert_int_eq(paint.bucket_bytes, 2 * 1024 * 1024);
    check_format(ROW_BUCKET, "2097152");
    check_quoted(ROW_BUCKET, "2mb");
    check_accepts(ROW_BUCKET, "1500");
    check_quoted(ROW_BUCKET, "1500");
    check_refuses(ROW_BUCKET, "2 mb", "argument must be a memory value");
    check_refuses(ROW_BUCKET, "-1", "argument must be a memory value");
    check_refuses(ROW_BUCKET, "9", "argument must be between 10 and 9223372036854775807 inclusive");
}
END_TEST

START_TEST(a_size_or_percentage_keeps_a_percentage_as_a_negative_number) {
    check_accepts(ROW_SHARE, "5%");
    ck_assert_int_eq(paint.share, -5);
    check_format(ROW_SHARE, "5%");
    check_accepts(ROW_SHARE, "1kb");
    ck_assert_int_eq(paint.share, 1024);
    check_refuses(ROW_SHARE, "101%", "percentage argument must be less or equal to 100");
    check_refuses(ROW_SHARE, "-5%", "argument must be a memory or percent value");
    check_refuses(ROW_SHARE, "%", "argument must be a memory or percent value");
}
END_TEST

START_TEST(octal_numbers_are_read_and_shown_as_octal) {
    check_accepts(ROW_MODE, "755");
    ck_assert_int_eq(paint.mode, 0755);
    check_format(ROW_MODE, "755");
    check_refuses(ROW_MODE, "1000", "argument must be between 0 and 777 inclusive");
    check_refuses(ROW_MODE, "8", "argument couldn't be parsed as an octal number");
    check_refuses(ROW_MODE, "777777777777777777777777777",
                  "argument couldn't be parsed as an octal number");
}
END_TEST

START_TEST(enums_list_their_words_when_refused) {
    check_accepts(ROW_COLOUR, "RED");
    ck_assert_int_eq((int)paint.colour, COLOUR_RED);
    check_format(ROW_COLOUR, "red");
    check_refuses(ROW_COLOUR, "pink", "argument(s) must be one of the following: red, blue");
}
END_TEST

START_TEST(flags_take_several_words_and_drop_the_empty_one) {
    check_accepts(ROW_TOOLS, "roll brush");
    ck_assert_int_eq(paint.tools, 3);
    check_format(ROW_TOOLS, "brush roll");
    check_accepts(ROW_TOOLS, "none roll");
    check_format(ROW_TOOLS, "roll");
    check_accepts(ROW_TOOLS, "none");
    check_format(ROW_TOOLS, "none");
    check_refuses(ROW_TOOLS, "", "argument(s) must be one of the following: none, brush, roll");
    check_refuses(ROW_TOOLS, "roll  brush",
                  "argument(s) must be one of the following: none, brush, roll");
}
END_TEST

START_TEST(strings_are_quoted_for_a_file_and_refuse_zero_bytes) {
    check_accepts(ROW_MAKER, "a \"b\"\n\x01");
    check_format(ROW_MAKER, "a \"b\"\n\x01");
    check_quoted(ROW_MAKER, "\"a \\\"b\\\"\\n\\x01\"");
    check_accepts(ROW_MAKER, "~\x7f\xff");
    check_quoted(ROW_MAKER, "\"~\\x7f\\xff\"");
    struct buffer error = BUFFER_EMPTY;
    ck_assert(!option_parse_text(&rows[ROW_MAKER], &paint.maker, span_of("a\0b", 3), &error));
    check_text(&error, "argument must not contain a zero byte");
}
END_TEST

START_TEST(lists_take_words_up_to_their_maximum) {
    check_accepts(ROW_SHOPS, "a b c");
    ck_assert_uint_eq(paint.shops.count, 3);
    check_format(ROW_SHOPS, "a b c");
    check_refuses(ROW_SHOPS, "a b c d", "at most 3 arguments are allowed");
    check_accepts(ROW_SHOPS, "");
    ck_assert_uint_eq(paint.shops.count, 0);
    check_quoted(ROW_SHOPS, "\"\"");
    struct span words[] = {SPAN_LITERAL("a b"), SPAN_LITERAL("c")};
    struct buffer error = BUFFER_EMPTY;
    ck_assert(!option_parse(&rows[ROW_SHOPS], &paint.shops, words, 2, &error));
    check_text(&error, "argument must not contain a space");
}
END_TEST

START_TEST(a_text_that_splits_into_too_many_arguments_is_refused) {
    char many[2 * OPTION_ARGUMENTS_MAX + 2];
    for (size_t i = 0; i + 1 < sizeof(many); i++) {
        many[i] = i % 2 == 0 ? 'x' : ' ';
    }
    many[sizeof(many) - 1] = '\0';
    check_refuses(ROW_SHOPS, many, "wrong number of arguments");
}
END_TEST

START_TEST(options_of_one_argument_refuse_none_and_two) {
    struct span words[] = {SPAN_LITERAL("1"), SPAN_LITERAL("2")};
    struct buffer error = BUFFER_EMPTY;
    ck_assert(!option_parse(&rows[ROW_LAYERS], &paint.layers, words, 2, &error));
    check_text(&error, "wrong number of arguments");
    ck_assert(!option_parse(&rows[ROW_LAYERS], &paint.layers, words, 0, &error));
    check_text(&error, "wrong number of arguments");
}
END_TEST

START_TEST(settling_may_change_a_value_or_refuse_it) {
    ck_assert_int_eq(paint.even, 4);
    check_accepts(ROW_EVEN, "7");
    check_format(ROW_EVEN, "8");
    check_refuses(ROW_EVEN, "13", "13 is unlucky");
}
END_TEST

START_TEST(an_option_is_found_by_name_and_alias_in_any_case) {
    ck_assert(option_is_named(&rows[ROW_LAYERS], span_of_string("LAYERS")));
    ck_assert(option_is_named(&rows[ROW_LAYERS], span_of_string("Coats")));
    ck_assert(!option_is_named(&rows[ROW_LAYERS], span_of_string("layer")));
    ck_assert(!option_is_named(&rows[ROW_GLOSSY], span_of_string("")));
}
END_TEST

#define WORDS_MAX 4

/* Joins the words of a line with bars. */
static void check_split(const char *line, const char *expected) {
    struct buffer bytes = BUFFER_EMPTY;
    struct span words[WORDS_MAX];
    size_t count;
    ck_assert_msg(option_split_line(span_of_string(line), &bytes, words, WORDS_MAX, &count), "%s",
                  line);
    struct buffer joined = BUFFER_EMPTY;
    for (size_t i = 0; i < count; i++) {
        buffer_append_span(&joined, words[i]);
        buffer_append_byte(&joined, '|');
    }
    check_text(&joined, expected);
    buffer_free(&bytes);
}

static void check_does_not_split(const char *line) {
    struct buffer bytes = BUFFER_EMPTY;
    struct span words[WORDS_MAX];
    size_t count;
    ck_assert_msg(!option_split_line(span_of_string(line), &bytes, words, WORDS_MAX, &count), "%s",
                  line);
    buffer_free(&bytes);
}

START_TEST(lines_split_by_the_rules_of_redis_conf) {
    check_split("", "");
    check_split(" \t ", "");
    check_split("  save\t900 1 ", "save|900|1|");
    check_split("a \"\" ''", "a|||");
    check_split("a \"b c\" 'd e'", "a|b c|d e|");
    check_split("\"\\x41\\n\\t\\\"\\\\\\q\"", "A\n\t\"\\q|");
    check_split("\"\\x4g\"", "x4g|");
    check_split("'\\'\\n'", "'\\n|");
    check_split("a\"b c\"", "ab c|");
    check_does_not_split("a \"b");
    check_does_not_split("a 'b");
    check_does_not_split("\"a\"b");
    check_does_not_split("'a\\'");
    check_does_not_split("\"a\\");
    check_split("a b c d", "a|b|c|d|");
    check_does_not_split("a b c d e");
}
END_TEST

START_TEST(what_is_quoted_splits_into_the_same_word_for_all_bytes) {
    char all[255];
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (char)(i + 1);
    }
    struct buffer line = BUFFER_EMPTY;
    struct buffer bytes = BUFFER_EMPTY;
    struct span word;
    size_t count;
    option_quote(span_of(all, sizeof(all)), &line);
    ck_assert(option_split_line(buffer_span(&line), &bytes, &word, 1, &count));
    ck_assert_uint_eq(count, 1);
    ck_assert(span_equal(word, span_of(all, sizeof(all))));
    buffer_free(&line);
    buffer_free(&bytes);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        defaults_are_what_the_rows_say,
        a_changed_value_is_no_default_and_the_same_value_written_otherwise_is,
        booleans_are_yes_or_no_in_any_case,
        integers_keep_to_their_range,
        sizes_have_units_and_are_shown_in_bytes,
        a_size_or_percentage_keeps_a_percentage_as_a_negative_number,
        octal_numbers_are_read_and_shown_as_octal,
        enums_list_their_words_when_refused,
        flags_take_several_words_and_drop_the_empty_one,
        strings_are_quoted_for_a_file_and_refuse_zero_bytes,
        lists_take_words_up_to_their_maximum,
        a_text_that_splits_into_too_many_arguments_is_refused,
        options_of_one_argument_refuse_none_and_two,
        settling_may_change_a_value_or_refuse_it,
        an_option_is_found_by_name_and_alias_in_any_case,
        lines_split_by_the_rules_of_redis_conf,
        what_is_quoted_splits_into_the_same_word_for_all_bytes,
    };
    Suite *suite = suite_create("option");
    TCase *tcase = tcase_create("option");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_checked_fixture(tcase, setup, teardown);
    for (size_t i = 0; i < UNIT_COUNT(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
