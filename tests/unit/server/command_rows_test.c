/* The rows of all commands: what COMMAND and COMMAND DOCS say must be sayable. */
#include "server/server.h"
#include "server/syntax.h"
#include "tests/unit/unit.h"

#include <string.h>

static void each_row(void (*check)(const struct command_slot *slot)) {
    struct command_table *table =
        command_table_new(server_command_families, server_command_families_count);
    for (size_t i = 0; i < command_table_count(table); i++) {
        check(command_table_at(table, i));
    }
    command_table_free(table);
}

static void expect_syntax(const struct command_slot *slot) {
    static struct syntax syntax;
    if (slot->command->subcommands != NULL && slot->command->syntax == NULL) {
        return; /* A container that does nothing by itself. */
    }
    ck_assert_msg(slot->command->syntax != NULL, "%s has no syntax", slot->full_name);
    /* What does not fit the grammar ends the process. */
    syntax_parse(&syntax, slot->command->syntax, COMMAND_KEY_SPECS_MAX);
}

START_TEST(every_syntax_is_a_tree) {
    each_row(expect_syntax);
}
END_TEST

static void expect_texts(const struct command_slot *slot) {
    const struct command *command = slot->command;
    ck_assert_msg(command->summary != NULL && command->summary[0] != '\0', "%s has no summary",
                  slot->full_name);
    ck_assert_msg(command->group != NULL, "%s has no group", slot->full_name);
    ck_assert_msg(command->since != NULL, "%s has no version", slot->full_name);
}

START_TEST(every_row_says_what_it_is) {
    each_row(expect_texts);
}
END_TEST

static void expect_one_way_to_run(const struct command_slot *slot) {
    const struct command *command = slot->command;
    bool runs = command->run != NULL || command->session != NULL;
    ck_assert_msg(runs || command->subcommands != NULL, "%s does nothing", slot->full_name);
    ck_assert_msg(command->run == NULL || command->session == NULL, "%s runs in two ways",
                  slot->full_name);
    ck_assert_msg(command->arity != 0, "%s has no arity", slot->full_name);
}

START_TEST(every_row_runs_in_one_way) {
    each_row(expect_one_way_to_run);
}
END_TEST

static void expect_keys_for_syntax_keys(const struct command_slot *slot) {
    static struct syntax syntax;
    const struct command *command = slot->command;
    if (command->syntax == NULL) {
        return;
    }
    syntax_parse(&syntax, command->syntax, COMMAND_KEY_SPECS_MAX);
    for (uint32_t i = 0; i < syntax.count; i++) {
        ck_assert_msg(syntax.nodes[i].type != SYNTAX_KEY || command->keys[0].flags != 0,
                      "%s has a key in its syntax and none in its specs", slot->full_name);
    }
}

START_TEST(a_key_in_a_syntax_is_a_key_of_the_row) {
    each_row(expect_keys_for_syntax_keys);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        every_syntax_is_a_tree,
        every_row_says_what_it_is,
        every_row_runs_in_one_way,
        a_key_in_a_syntax_is_a_key_of_the_row,
    };
    return unit_run(unit_suite("command rows", tests, UNIT_COUNT(tests)));
}
