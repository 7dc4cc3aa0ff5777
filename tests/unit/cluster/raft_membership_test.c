/* Who belongs to the group, and how that changes. */
#include "tests/unit/cluster/raft_group.h"
#include "tests/unit/unit.h"

START_TEST(a_learner_gets_entries_and_does_not_count) {
    struct group *group = group_new_with(1, 1, 1000);
    group_elect(group, 0);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 1), RAFT_ACCEPTED);
    group->nodes[1].is_isolated = true;
    group_propose(group, 0, "alone");
    ck_assert_str_eq(group->nodes[0].last, "alone");
    group->nodes[1].is_isolated = false;
    group_pass(group, 3 * GROUP_ELECTION_MS);
    ck_assert_str_eq(group->nodes[1].last, "alone");
    ck_assert_int_eq(group_status(group, 1).role, RAFT_FOLLOWER);
    group_free(group);
}
END_TEST

START_TEST(a_learner_stands_for_no_election) {
    struct group *group = group_new_with(1, 1, 1000);
    group_elect(group, 0);
    group_change(group, 0, RAFT_CHANGE_ADD, 1);
    group_settle(group);
    group->nodes[0].is_isolated = true;
    group_pass(group, 10 * GROUP_ELECTION_MS);
    ck_assert_int_eq(group_status(group, 1).role, RAFT_FOLLOWER);
    ck_assert_uint_eq(group_status(group, 1).term, 2);
    group_free(group);
}
END_TEST

START_TEST(a_learner_votes_when_it_has_caught_up) {
    struct group *group = group_new_with(1, 1, 1000);
    group_elect(group, 0);
    group->nodes[1].is_isolated = true;
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 1), RAFT_ACCEPTED);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_PROMOTE, 1), RAFT_NOT_CAUGHT_UP);
    group->nodes[1].is_isolated = false;
    group_pass(group, GROUP_ELECTION_MS);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_PROMOTE, 1), RAFT_ACCEPTED);
    uint64_t commit = group_status(group, 0).commit;
    ck_assert_msg(commit < group_status(group, 0).config_index, "two of two are needed for it");
    group_settle(group);
    ck_assert_uint_ge(group_status(group, 0).commit, group_status(group, 0).config_index);
    group_pass(group, GROUP_ELECTION_MS);
    ck_assert(group_has_voter(group, 1, 1));
    group_free(group);
}
END_TEST

START_TEST(a_configuration_holds_from_when_it_is_appended) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[1].is_isolated = group->nodes[2].is_isolated = true;
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 2), RAFT_ACCEPTED);
    ck_assert(!group_has_voter(group, 0, 2));
    ck_assert_uint_lt(group_status(group, 0).commit, group_status(group, 0).config_index);
    group_free(group);
}
END_TEST

START_TEST(one_change_at_a_time) {
    struct group *group = group_new_with(3, 2, 1000);
    group_elect(group, 0);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 3), RAFT_ACCEPTED);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 4), RAFT_NOT_YET);
    group_settle(group);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 4), RAFT_ACCEPTED);
    ck_assert_int_eq(group_change(group, 1, RAFT_CHANGE_ADD, 4), RAFT_NOT_LEADER);
    group_free(group);
}
END_TEST

/* Ongaro's bug of single-server changes (raft-dev, 2015): without an entry of its own term being
 * committed, a leader's change and that of the one before it can each win a majority of its own. */
START_TEST(no_change_before_an_entry_of_the_term_is_committed) {
    struct group *group = group_new_with(4, 1, 1000);
    group_campaign(group, 0);
    while (!group_leads(group, 0)) {
        group_deliver_at(group, group->mail_first++);
    }
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 3), RAFT_NOT_YET);
    group_settle(group);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 3), RAFT_ACCEPTED);
    group_free(group);
}
END_TEST

START_TEST(a_configuration_that_is_truncated_holds_no_more) {
    struct group *group = group_new_with(3, 1, 1000);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 2), RAFT_ACCEPTED);
    ck_assert(!group_has_voter(group, 0, 2));
    group_elect(group, 1);
    group->nodes[0].is_isolated = false;
    group_pass(group, 5 * GROUP_ELECTION_MS);
    ck_assert(group_has_voter(group, 0, 2));
    ck_assert_uint_eq(group_status(group, 0).config_index, 1);
    group_restart(group, 0);
    ck_assert(group_has_voter(group, 0, 2));
    group_free(group);
}
END_TEST

START_TEST(a_configuration_in_the_log_holds_after_a_restart) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    group_change(group, 0, RAFT_CHANGE_DEMOTE, 2);
    group_restart(group, 0);
    ck_assert(!group_has_voter(group, 0, 2));
    ck_assert_uint_gt(group_status(group, 0).config_index, group_status(group, 0).commit);
    group_free(group);
}
END_TEST

START_TEST(a_leader_that_is_removed_leads_until_that_is_committed) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 0), RAFT_ACCEPTED);
    ck_assert(group_leads(group, 0));
    /* Its own disk does not count: one answer of two is not enough. */
    uint64_t index = group_status(group, 0).config_index;
    struct raft_message answer = group_message(RAFT_APPEND_ANSWER, 1, 0, 2);
    answer.append_answer = (struct raft_append_answer){.is_accepted = true, .index = index};
    group_receive(group, 0, &answer);
    ck_assert(group_leads(group, 0));
    group_settle(group);
    ck_assert(!group_leads(group, 0));
    ck_assert_msg(group_leads(group, 1) || group_leads(group, 2), "it calls a successor");
    for (int i = 0; i < 10; i++) {
        group_pass(group, GROUP_ELECTION_MS);
    }
    ck_assert_int_eq(group_status(group, 0).role, RAFT_FOLLOWER);
    ck_assert_uint_eq(group_status(group, 1).term, 3);
    group_free(group);
}
END_TEST

/* Ongaro, 4.2.2: the entry may be nowhere else, and who has not got it still needs this node. */
START_TEST(who_removed_itself_leads_again_if_nobody_else_knows) {
    struct group *group = group_new(2);
    group_elect(group, 0);
    group->nodes[1].is_isolated = true;
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 0), RAFT_ACCEPTED);
    group_mail_clear(group);
    group_restart(group, 0);
    group->nodes[1].is_isolated = false;
    group_pass(group, 20 * GROUP_ELECTION_MS);
    ck_assert(group_leads(group, 1));
    ck_assert_uint_eq(group_status(group, 1).config->count, 1);
    group_free(group);
}
END_TEST

START_TEST(a_group_shrinks_to_one_and_grows_again) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    for (size_t i = 1; i < 3; i++) {
        ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, i), RAFT_ACCEPTED);
        group_settle(group);
    }
    group->nodes[1].is_isolated = group->nodes[2].is_isolated = true;
    group_propose(group, 0, "alone");
    ck_assert_str_eq(group->nodes[0].last, "alone");
    group->nodes[1].is_isolated = group->nodes[2].is_isolated = false;
    for (size_t i = 1; i < 3; i++) {
        ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, i), RAFT_ACCEPTED);
        group_pass(group, GROUP_ELECTION_MS);
        ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_PROMOTE, i), RAFT_ACCEPTED);
        group_pass(group, GROUP_ELECTION_MS);
    }
    ck_assert_str_eq(group->nodes[2].last, "alone");
    ck_assert(group_has_voter(group, 1, 2));
    group_free(group);
}
END_TEST

START_TEST(changes_without_sense_are_refused) {
    struct group *group = group_new(1);
    group_tick(group, 0, 0);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 0), RAFT_SENSELESS);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_DEMOTE, 0), RAFT_SENSELESS);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 0), RAFT_SENSELESS);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_PROMOTE, 0), RAFT_SENSELESS);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_PROMOTE, 1), RAFT_SENSELESS);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 1), RAFT_SENSELESS);
    group_free(group);
}
END_TEST

/* ---- configurations ---- */

START_TEST(configurations_have_limits) {
    struct raft_config config = RAFT_CONFIG_EMPTY;
    struct raft_change change = {.kind = RAFT_CHANGE_ADD};
    ck_assert_msg(!raft_config_change(&config, &change), "no id");
    for (unsigned i = 1; i <= RAFT_MEMBERS_MAX; i++) {
        change.id.bytes[0] = (unsigned char)(i & 255);
        change.id.bytes[1] = (unsigned char)(i >> 8);
        ck_assert(raft_config_change(&config, &change));
    }
    change.id.bytes[5] = 1;
    ck_assert(!raft_config_change(&config, &change));
    change.kind = RAFT_CHANGE_PROMOTE;
    for (size_t i = 0; i < RAFT_VOTERS_MAX; i++) {
        change.id = config.members[i].id;
        ck_assert(raft_config_change(&config, &change));
    }
    change.id = config.members[RAFT_VOTERS_MAX].id;
    ck_assert(!raft_config_change(&config, &change));
    ck_assert_uint_eq(raft_config_majority(&config), RAFT_VOTERS_MAX / 2 + 1);
    struct buffer bytes = BUFFER_EMPTY;
    raft_config_write(&config, &bytes);
    struct raft_config again = RAFT_CONFIG_EMPTY;
    struct span rest = buffer_span(&bytes);
    ck_assert(raft_config_read(&again, &rest));
    ck_assert_uint_eq(again.count, RAFT_MEMBERS_MAX);
    ck_assert_uint_eq(raft_config_voters(&again), RAFT_VOTERS_MAX);
    raft_config_free(&again);
    raft_config_free(&config);
    buffer_free(&bytes);
}
END_TEST

START_TEST(bytes_that_are_no_configuration_are_refused) {
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_found(&config, &(struct raft_id){.bytes = {5}});
    raft_config_change(&config,
                       &(struct raft_change){RAFT_CHANGE_ADD, (struct raft_id){.bytes = {7}}});
    struct buffer bytes = BUFFER_EMPTY;
    raft_config_write(&config, &bytes);
    for (size_t length = 0; length < bytes.length; length++) {
        struct span rest = span_of(bytes.bytes, length);
        ck_assert(!raft_config_read(&config, &rest));
    }
    bytes.bytes[2 + RAFT_ID_BYTES] = 2; /* a role that nobody has */
    struct span rest = buffer_span(&bytes);
    ck_assert(!raft_config_read(&config, &rest));
    bytes.bytes[2 + RAFT_ID_BYTES] = 1;
    bytes.bytes[2] = 7; /* the same member twice */
    rest = buffer_span(&bytes);
    ck_assert(!raft_config_read(&config, &rest));
    ck_assert_uint_eq(config.count, 2);
    buffer_free(&bytes);
    raft_config_free(&config);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_learner_gets_entries_and_does_not_count,
        a_learner_stands_for_no_election,
        a_learner_votes_when_it_has_caught_up,
        a_configuration_holds_from_when_it_is_appended,
        one_change_at_a_time,
        no_change_before_an_entry_of_the_term_is_committed,
        a_configuration_that_is_truncated_holds_no_more,
        a_configuration_in_the_log_holds_after_a_restart,
        a_leader_that_is_removed_leads_until_that_is_committed,
        who_removed_itself_leads_again_if_nobody_else_knows,
        a_group_shrinks_to_one_and_grows_again,
        changes_without_sense_are_refused,
        configurations_have_limits,
        bytes_that_are_no_configuration_are_refused,
    };
    return unit_run(unit_suite("raft_membership", tests, UNIT_COUNT(tests)));
}
