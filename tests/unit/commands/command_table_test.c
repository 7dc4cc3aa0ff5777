#include "commands/command.h"

#include "base/memory.h"

#include "tests/unit/unit.h"

#include <stdio.h>

/* ---- names ---- */

static const struct command config_rows[] = {
    {.name = "get", .arity = -3},
    {.name = "set", .arity = -4},
    {.name = NULL},
};

static const struct command first_rows[] = {
    {.name = "get", .arity = 2},
    {.name = "config", .arity = -2, .subcommands = config_rows},
    {.name = "incrbyfloat", .arity = 3},
    {.name = NULL},
};

static const struct command second_rows[] = {
    {.name = "set", .arity = -3},
    {.name = "incrbyfloaT2", .arity = 3}, /* No name has capitals; this one is never found. */
    {.name = NULL},
};

static struct command_table *table_new(void) {
    static const struct command *const families[] = {first_rows, second_rows};
    return command_table_new(families, 2);
}

static const struct command_slot *find(const struct command_table *table, const char *name) {
    return command_table_find(table, span_of_string(name));
}

START_TEST(command_table_finds_names_in_any_case_and_nothing_else) {
    struct command_table *table = table_new();
    static const char *const there[] = {"get", "GET", "gEt", "incrbyfloat", "INCRBYFLOAT", "Set"};
    for (size_t i = 0; i < UNIT_COUNT(there); i++) {
        ck_assert_msg(find(table, there[i]) != NULL, "%s", there[i]);
    }
    static const char *const missing[] = {"",     "g",          "ge",           "gets",
                                          "g@t",  "g%t",        "incrbyfloa",   "incrbyfloats",
                                          "get ", "config|get", "incrbyfloat2", "INCRBYFLOAT\x01"};
    for (size_t i = 0; i < UNIT_COUNT(missing); i++) {
        ck_assert_msg(find(table, missing[i]) == NULL, "%s", missing[i]);
    }
    ck_assert_ptr_null(command_table_find(table, span_of("get\0", 4)));
    ck_assert_ptr_null(command_table_find(table, span_of("ge\0", 3)));
    command_table_free(table);
}
END_TEST

static bool is_same_letter(int byte, char letter) {
    return byte == letter || (letter >= 'a' && letter <= 'z' && byte == letter - ('a' - 'A'));
}

START_TEST(command_table_finds_no_name_that_differs_in_one_byte) {
    static const struct command rows[] = {
        {.name = "a"},        {.name = "of"},   {.name = "get"},       {.name = "hset"},
        {.name = "getrange"}, {.name = "hget"}, {.name = "getranges"}, {.name = "z_1"},
        {.name = "bit-set"},  {.name = NULL},
    };
    static const struct command *const families[] = {rows};
    struct command_table *table = command_table_new(families, 1);
    for (const struct command *row = rows; row->name != NULL; row++) {
        char text[16];
        size_t length = strlen(row->name);
        for (size_t at = 0; at < length; at++) {
            memcpy(text, row->name, length);
            for (int byte = 0; byte <= UINT8_MAX; byte++) {
                text[at] = (char)byte;
                const struct command_slot *slot = command_table_find(table, span_of(text, length));
                bool is_found = slot != NULL && slot->command == row;
                ck_assert_msg(is_found == is_same_letter(byte, row->name[at]),
                              "%s with byte %d at %zu", row->name, byte, at);
            }
        }
    }
    command_table_free(table);
}
END_TEST

START_TEST(command_table_finds_each_of_many_names_of_every_length) {
    enum { NAMES = 500, NAME_BYTES_MAX = 32 };
    static char names[NAMES][NAME_BYTES_MAX];
    static struct command rows[NAMES + 1];
    for (int i = 0; i < NAMES; i++) {
        /* Names that are alike at both ends, where the hash looks. */
        snprintf(names[i], sizeof(names[i]), "%.*s%d%.*s", i % 12, "prefixprefix", i, i % 9,
                 "suffixsuf");
        rows[i].name = names[i];
    }
    const struct command *families[] = {rows};
    struct command_table *table = command_table_new(families, 1);
    ck_assert_uint_eq(command_table_count(table), NAMES);
    for (int i = 0; i < NAMES; i++) {
        const struct command_slot *slot = find(table, names[i]);
        ck_assert_ptr_nonnull(slot);
        ck_assert_ptr_eq(slot->command, &rows[i]);
    }
    command_table_free(table);
}
END_TEST

START_TEST(command_table_numbers_rows_in_order_with_subcommands_behind_their_container) {
    struct command_table *table = table_new();
    static const char *const names[] = {"get",         "config", "config|get",  "config|set",
                                        "incrbyfloat", "set",    "incrbyfloaT2"};
    ck_assert_uint_eq(command_table_count(table), UNIT_COUNT(names));
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        const struct command_slot *slot = command_table_at(table, i);
        ck_assert_uint_eq(slot->number, i);
        ck_assert_str_eq(slot->full_name, names[i]);
    }
    ck_assert_ptr_eq(command_table_at(table, 2)->parent, command_table_at(table, 1));
    ck_assert_ptr_null(command_table_at(table, 4)->parent);
    command_table_free(table);
}
END_TEST

START_TEST(command_table_keeps_subcommands_apart_from_commands_of_the_same_name) {
    struct command_table *table = table_new();
    const struct command_slot *config = find(table, "config");
    const struct command_slot *get = command_table_subcommand(table, config, span_of_string("GET"));
    ck_assert_ptr_eq(get->command, &config_rows[0]);
    ck_assert_ptr_eq(find(table, "get")->command, &first_rows[0]);
    ck_assert_ptr_null(command_table_subcommand(table, config, span_of_string("incrbyfloat")));
    ck_assert_ptr_null(command_table_subcommand(table, config, span_of_string("ge")));
    ck_assert_ptr_null(command_table_subcommand(table, config, span_of_string("")));
    ck_assert_ptr_null(command_table_subcommand(table, find(table, "get"), span_of_string("set")));
    command_table_free(table);
}
END_TEST

START_TEST(command_table_resolves_arguments_to_the_row_that_they_call) {
    struct command_table *table = table_new();
    const struct command_slot *container;
    struct span args[3] = {span_of_string("Config"), span_of_string("sEt"), span_of_string("x")};
    const struct command_slot *slot = command_table_resolve(table, args, 3, &container);
    ck_assert_str_eq(slot->full_name, "config|set");
    ck_assert_ptr_null(container);
    slot = command_table_resolve(table, args, 1, &container);
    ck_assert_str_eq(slot->full_name, "config");
    args[1] = span_of_string("none");
    ck_assert_ptr_null(command_table_resolve(table, args, 3, &container));
    ck_assert_ptr_eq(container, find(table, "config"));
    args[0] = span_of_string("none");
    ck_assert_ptr_null(command_table_resolve(table, args, 3, &container));
    ck_assert_ptr_null(container);
    args[0] = span_of_string("get");
    slot = command_table_resolve(table, args, 2, &container);
    ck_assert_ptr_eq(slot->command, &first_rows[0]);
    command_table_free(table);
}
END_TEST

START_TEST(command_arity_is_exact_or_a_minimum) {
    const struct command exact = {.arity = 3};
    const struct command minimum = {.arity = -3};
    for (uint32_t count = 1; count < 6; count++) {
        ck_assert_int_eq(command_arity_fits(&exact, count), count == 3);
        ck_assert_int_eq(command_arity_fits(&minimum, count), count >= 3);
    }
}
END_TEST

/* ---- keys ---- */

#define INDEXES_MAX 16
#define TEXT_BYTES ((size_t)128)

/* The indexes of the keys among these words, "1 3", or "invalid". */
static const char *keys_of(const struct command *command, const char *line, char *text) {
    struct span args[INDEXES_MAX];
    uint32_t args_count = 0;
    for (const char *at = line; *at != '\0';) {
        size_t length = strcspn(at, " ");
        args[args_count++] = span_of(at, length);
        at += length + (at[length] == ' ' ? 1 : 0);
    }
    uint32_t indexes[INDEXES_MAX];
    int count = command_keys(command, args, args_count, indexes, INDEXES_MAX);
    if (count < 0) {
        return "invalid";
    }
    text[0] = '\0';
    for (int i = 0, at = 0; i < count; i++) {
        at += snprintf(text + at, TEXT_BYTES - (size_t)at, "%s%u", i == 0 ? "" : " ", indexes[i]);
    }
    return text;
}

struct keys_case {
    const char *line;
    const char *keys;
};

static void expect_keys(const struct command *command, const struct keys_case *cases,
                        size_t count) {
    char text[TEXT_BYTES];
    for (size_t i = 0; i < count; i++) {
        const char *keys = keys_of(command, cases[i].line, text);
        ck_assert_msg(strcmp(keys, cases[i].keys) == 0, "%s: %s, not %s", cases[i].line, keys,
                      cases[i].keys);
    }
}

START_TEST(keys_of_a_range_go_by_steps_to_its_last_argument) {
    const struct command one = {.keys = {{.flags = KEY_RO, .begin = 1, .step = 1}}};
    expect_keys(
        &one, (const struct keys_case[]){{"get k", "1"}, {"get k x", "1"}, {"get", "invalid"}}, 3);
    const struct command all = {.keys = {{.flags = KEY_RO, .begin = 1, .last = -1, .step = 1}}};
    expect_keys(&all, (const struct keys_case[]){{"del a b c", "1 2 3"}, {"del a", "1"}}, 2);
    const struct command pairs = {.keys = {{.flags = KEY_OW, .begin = 1, .last = -1, .step = 2}}};
    expect_keys(&pairs, (const struct keys_case[]){{"mset a 1 b 2", "1 3"}}, 1);
    const struct command but_last = {
        .keys = {{.flags = KEY_RW, .begin = 1, .last = -2, .step = 1}}};
    expect_keys(&but_last,
                (const struct keys_case[]){{"blpop a b 0", "1 2"}, {"blpop 0", "invalid"}}, 2);
    const struct command two = {.keys = {{.flags = KEY_RW, .begin = 1, .last = 1, .step = 1}}};
    expect_keys(&two, (const struct keys_case[]){{"lcs a b LEN", "1 2"}, {"lcs a", "invalid"}}, 2);
}
END_TEST

START_TEST(keys_of_several_specs_stand_in_the_order_of_the_specs) {
    const struct command bitop = {
        .keys = {{.flags = KEY_OW, .begin = 2, .step = 1},
                 {.flags = KEY_RO, .begin = 3, .last = -1, .step = 1}},
    };
    expect_keys(&bitop, (const struct keys_case[]){{"bitop and t a b", "2 3 4"}}, 1);
}
END_TEST

START_TEST(keys_behind_a_keyword_are_found_from_either_end) {
    const struct command streams = {
        .keys = {{.flags = KEY_RO,
                  .keyword = "STREAMS",
                  .begin = 1,
                  .last = -1,
                  .step = 1,
                  .limit = 2}},
    };
    expect_keys(&streams,
                (const struct keys_case[]){{"xread COUNT 2 streams a b 0 0", "4 5"},
                                           {"xread streams a 0", "2"},
                                           {"xread a 0", ""},
                                           {"xread a streams", ""}},
                4);
    const struct command store = {
        .keys = {{.flags = KEY_OW, .keyword = "STORE", .begin = -2, .step = 1}},
    };
    expect_keys(&store,
                (const struct keys_case[]){{"sort k BY x store t", "5"},
                                           {"sort store store t", "3"},
                                           {"sort k BY x", ""},
                                           {"sort k BY x store", ""}},
                4);
}
END_TEST

START_TEST(keys_that_an_argument_counts_must_all_be_there) {
    const struct command eval = {
        .keys = {{.flags = KEY_RW, .begin = 2, .keynum_first = 1, .keynum_step = 1}},
    };
    static const struct keys_case cases[] = {
        {"eval s 2 a b x", "3 4"},
        {"eval s 0", ""},
        {"eval s 0 x", ""},
        {"eval s 3 a b", "invalid"},
        {"eval s -1 a", "invalid"},
        {"eval s x a", "invalid"},
        {"eval s 9223372036854775807 a", "invalid"},
        {"eval s", "invalid"},
    };
    expect_keys(&eval, cases, UNIT_COUNT(cases));
}
END_TEST

START_TEST(a_spec_of_what_is_no_key_gives_none) {
    const struct command publish = {.keys = {{.flags = KEY_NOT_KEY, .begin = 1, .step = 1}}};
    expect_keys(&publish, (const struct keys_case[]){{"spublish c m", ""}}, 1);
}
END_TEST

static int find_second(const struct span *args, uint32_t args_count, uint32_t *indexes, int max) {
    (void)args;
    ck_assert_int_gt(max, 0);
    indexes[0] = 2;
    return args_count > 2 ? 1 : -1;
}

START_TEST(a_row_may_find_its_keys_itself) {
    const struct command own = {
        .find_keys = find_second,
        .keys = {{.flags = KEY_RO, .begin = 1, .step = 1}},
    };
    expect_keys(&own, (const struct keys_case[]){{"x a b", "2"}, {"x a", "invalid"}}, 2);
}
END_TEST

START_TEST(keys_beyond_the_callers_room_are_counted_not_written) {
    const struct command all = {.keys = {{.flags = KEY_RO, .begin = 1, .last = -1, .step = 1}}};
    struct span args[5] = {span_of_string("del"), span_of_string("a"), span_of_string("b"),
                           span_of_string("c"), span_of_string("d")};
    uint32_t indexes[3] = {0, 0, 77};
    ck_assert_int_eq(command_keys(&all, args, 5, indexes, 2), 4);
    ck_assert_uint_eq(indexes[0], 1);
    ck_assert_uint_eq(indexes[1], 2);
    ck_assert_uint_eq(indexes[2], 77);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        command_table_finds_names_in_any_case_and_nothing_else,
        command_table_finds_no_name_that_differs_in_one_byte,
        command_table_finds_each_of_many_names_of_every_length,
        command_table_numbers_rows_in_order_with_subcommands_behind_their_container,
        command_table_keeps_subcommands_apart_from_commands_of_the_same_name,
        command_table_resolves_arguments_to_the_row_that_they_call,
        command_arity_is_exact_or_a_minimum,
        keys_of_a_range_go_by_steps_to_its_last_argument,
        keys_of_several_specs_stand_in_the_order_of_the_specs,
        keys_behind_a_keyword_are_found_from_either_end,
        keys_that_an_argument_counts_must_all_be_there,
        a_spec_of_what_is_no_key_gives_none,
        a_row_may_find_its_keys_itself,
        keys_beyond_the_callers_room_are_counted_not_written,
    };
    return unit_run(unit_suite("command_table", tests, UNIT_COUNT(tests)));
}
