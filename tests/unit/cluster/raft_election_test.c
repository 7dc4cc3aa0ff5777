/* Elections, terms, votes, hand-over of leadership. */
#include "tests/unit/cluster/raft_group.h"
#include "tests/unit/unit.h"

START_TEST(a_majority_elects_a_leader_whom_all_follow) {
    struct group *group = group_new(3);
    group_elect(group, 1);
    ck_assert_uint_eq(group_status(group, 1).term, 2);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(group_follows(group, i, 1));
    }
    group_free(group);
}
END_TEST

START_TEST(who_votes_alone_leads_at_once) {
    struct group *group = group_new(1);
    group_tick(group, 0, 0);
    ck_assert(group_leads(group, 0));
    group_propose(group, 0, "alone");
    ck_assert_str_eq(group->nodes[0].last, "alone");
    group_free(group);
}
END_TEST

START_TEST(a_vote_is_kept_over_a_restart) {
    struct group *group = group_new(3);
    struct raft_message vote = group_message(RAFT_VOTE, 0, 2, 5);
    vote.vote = (struct raft_vote){.last_index = 1, .last_term = 1};
    group_receive(group, 2, &vote);
    struct raft_message answer;
    ck_assert(group_sent(group, 2, RAFT_VOTE_ANSWER, &answer));
    ck_assert(answer.vote_answer.is_granted);
    group_mail_clear(group);
    group_restart(group, 2);
    ck_assert_uint_eq(group_status(group, 2).term, 5);
    vote.source = group_id(1);
    group_receive(group, 2, &vote);
    ck_assert(group_sent(group, 2, RAFT_VOTE_ANSWER, &answer));
    ck_assert(!answer.vote_answer.is_granted);
    group_mail_clear(group);
    vote.source = group_id(0);
    group_receive(group, 2, &vote);
    ck_assert(group_sent(group, 2, RAFT_VOTE_ANSWER, &answer));
    ck_assert_msg(answer.vote_answer.is_granted, "the same candidate hears the same again");
    group_free(group);
}
END_TEST

START_TEST(term_and_vote_are_in_the_output_with_the_answer) {
    struct group *group = group_new(3);
    struct raft_message vote = group_message(RAFT_VOTE, 0, 2, 5);
    vote.vote = (struct raft_vote){.last_index = 1, .last_term = 1};
    raft_receive(group->nodes[2].raft, &vote, group->now_ms);
    const struct raft_output *output = raft_output(group->nodes[2].raft);
    ck_assert_ptr_nonnull(output);
    ck_assert(output->is_sync_needed);
    ck_assert_uint_eq(output->term, 5);
    ck_assert(raft_id_equal(&output->vote, &vote.source));
    ck_assert_uint_eq(output->message_count, 1);
    raft_output_done(group->nodes[2].raft);
    group_free(group);
}
END_TEST

START_TEST(who_lacks_entries_gets_no_vote) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    group_propose(group, 0, "more");
    group_settle(group);
    group->nodes[2].is_isolated = false;
    group_campaign(group, 2);
    group_settle(group);
    ck_assert(!group_leads(group, 2));
    ck_assert_uint_eq(group_status(group, 1).term, 2);
    group_free(group);
}
END_TEST

START_TEST(who_was_cut_off_comes_back_without_a_new_election) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    for (int i = 0; i < 20; i++) {
        group_pass(group, GROUP_ELECTION_MS);
    }
    ck_assert_msg(group_status(group, 2).term == 2, "a pre-vote raises no term");
    group->nodes[2].is_isolated = false;
    group_pass(group, 3 * GROUP_ELECTION_MS);
    ck_assert(group_leads(group, 0));
    ck_assert_uint_eq(group_status(group, 0).term, 2);
    group_free(group);
}
END_TEST

START_TEST(who_hears_the_leader_ignores_a_candidate) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_message vote = group_message(RAFT_VOTE, 2, 1, 9);
    vote.vote = (struct raft_vote){.last_index = 100, .last_term = 8};
    group_receive(group, 1, &vote);
    ck_assert_uint_eq(group_status(group, 1).term, 2);
    vote.target = group_id(0);
    group_receive(group, 0, &vote);
    ck_assert(group_leads(group, 0));
    group_free(group);
}
END_TEST

START_TEST(who_hears_the_leader_promises_no_vote) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    for (size_t i = 0; i < 2; i++) {
        struct raft_message vote = group_message(RAFT_VOTE, 2, i, 3);
        vote.vote = (struct raft_vote){.is_pre = true, .last_index = 100, .last_term = 2};
        group_receive(group, i, &vote);
        struct raft_message answer;
        ck_assert(group_sent(group, i, RAFT_VOTE_ANSWER, &answer));
        ck_assert(!answer.vote_answer.is_granted);
        ck_assert_uint_eq(answer.term, 2);
    }
    group_free(group);
}
END_TEST

START_TEST(a_removed_server_disturbs_nobody) {
    struct group *group = group_new(4);
    group_elect(group, 0);
    /* It never hears of it. */
    group->nodes[3].is_isolated = true;
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_REMOVE, 3), RAFT_ACCEPTED);
    group_settle(group);
    ck_assert(group_has_voter(group, 3, 3));
    group->nodes[3].is_isolated = false;
    for (int i = 0; i < 20; i++) {
        group_pass(group, GROUP_ELECTION_MS);
    }
    ck_assert(group_leads(group, 0));
    ck_assert_uint_eq(group_status(group, 0).term, 2);
    /* Nor if its term is higher than the group's. */
    struct raft_message answer = group_message(RAFT_APPEND_ANSWER, 3, 0, 50);
    group_receive(group, 0, &answer);
    ck_assert_uint_eq(group_status(group, 0).term, 2);
    group_free(group);
}
END_TEST

START_TEST(a_leader_without_a_majority_steps_down) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    group_pass(group, 3 * GROUP_ELECTION_MS);
    ck_assert(!group_leads(group, 0));
    ck_assert(group_leads(group, 1) || group_leads(group, 2));
    group_free(group);
}
END_TEST

START_TEST(a_member_in_a_higher_term_is_taken_in_again) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    /* Its disk says that it once was in term 7. */
    group->nodes[2].saved.term = 7;
    group_restart(group, 2);
    group_pass(group, 5 * GROUP_ELECTION_MS);
    uint64_t term = group_status(group, 2).term;
    ck_assert_uint_ge(term, 7);
    ck_assert_uint_eq(group_status(group, 0).term, term);
    ck_assert_uint_eq(group_status(group, 2).commit, group_status(group, 0).commit);
    group_free(group);
}
END_TEST

START_TEST(old_and_repeated_votes_elect_nobody) {
    struct group *group = group_new(5);
    group_campaign(group, 0);
    group_mail_clear(group);
    struct raft_message promise = group_message(RAFT_VOTE_ANSWER, 1, 0, 2);
    promise.vote_answer = (struct raft_vote_answer){.is_pre = true, .is_granted = true};
    for (int i = 0; i < 5; i++) {
        group_receive(group, 0, &promise);
    }
    ck_assert_int_eq(group_status(group, 0).role, RAFT_PRE_CANDIDATE);
    promise.source = group_id(2);
    group_receive(group, 0, &promise);
    ck_assert_int_eq(group_status(group, 0).role, RAFT_CANDIDATE);
    ck_assert_uint_eq(group_status(group, 0).term, 2);
    /* Promises are no votes, nor are votes of an older term, nor those of who has none. */
    promise.source = group_id(3);
    group_receive(group, 0, &promise);
    struct raft_message vote = group_message(RAFT_VOTE_ANSWER, 3, 0, 1);
    vote.vote_answer = (struct raft_vote_answer){.is_granted = true};
    group_receive(group, 0, &vote);
    vote = group_message(RAFT_VOTE_ANSWER, 7, 0, 2);
    vote.vote_answer = (struct raft_vote_answer){.is_granted = true};
    group_receive(group, 0, &vote);
    vote.source = group_id(8);
    group_receive(group, 0, &vote);
    ck_assert_int_eq(group_status(group, 0).role, RAFT_CANDIDATE);
    group_free(group);
}
END_TEST

START_TEST(messages_of_other_groups_and_for_other_nodes_are_ignored) {
    struct group *group = group_new(3);
    struct raft_message append = group_message(RAFT_APPEND, 0, 1, 9);
    append.append = (struct raft_append){.previous_index = 1, .previous_term = 1};
    append.group.bytes[0] = 'x';
    group_receive(group, 1, &append);
    append.group.bytes[0] = 'g';
    append.target = group_id(2);
    group_receive(group, 1, &append);
    ck_assert_uint_eq(group_status(group, 1).term, 1);
    append.target = group_id(1);
    group_receive(group, 1, &append);
    ck_assert_uint_eq(group_status(group, 1).term, 9);
    group_free(group);
}
END_TEST

START_TEST(a_second_leader_of_a_term_is_not_believed) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_message append = group_message(RAFT_APPEND, 2, 1, 2);
    append.append = (struct raft_append){.previous_index = 1, .previous_term = 1, .commit = 1};
    group_receive(group, 1, &append);
    append.target = group_id(0);
    group_receive(group, 0, &append);
    ck_assert(group_leads(group, 0));
    ck_assert(group_follows(group, 1, 0));
    group_free(group);
}
END_TEST

/* ---- transfer ---- */

START_TEST(leadership_goes_to_whom_it_is_handed) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    ck_assert_int_eq(group_transfer(group, 0, 2), RAFT_ACCEPTED);
    group_settle(group);
    ck_assert(group_leads(group, 2));
    ck_assert(!group_leads(group, 0));
    ck_assert_uint_eq(group_status(group, 2).term, 3);
    group_free(group);
}
END_TEST

START_TEST(leadership_is_handed_to_a_lagging_node_once_it_has_all) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    group_propose(group, 0, "missed");
    group_settle(group);
    group->nodes[2].is_isolated = false;
    ck_assert_int_eq(group_transfer(group, 0, 2), RAFT_ACCEPTED);
    struct raft_message message;
    ck_assert_msg(!group_sent(group, 0, RAFT_TAKE_OVER, &message), "it lacks an entry");
    struct span span = span_of_string("held");
    struct raft_position position;
    ck_assert_int_eq(raft_propose(group->nodes[0].raft, &span, 1, &position), RAFT_BUSY);
    group_settle(group);
    group_tick(group, 0, GROUP_HEARTBEAT_MS);
    group_settle(group);
    ck_assert(group_leads(group, 2));
    ck_assert_str_eq(group->nodes[2].last, "missed");
    group_free(group);
}
END_TEST

START_TEST(a_transfer_that_does_not_come_about_is_given_up) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    ck_assert_int_eq(group_transfer(group, 0, 2), RAFT_ACCEPTED);
    ck_assert_int_eq(group_transfer(group, 0, 1), RAFT_BUSY);
    group_pass(group, GROUP_ELECTION_MS);
    group_propose(group, 0, "goes on");
    group_settle(group);
    ck_assert_str_eq(group->nodes[1].last, "goes on");
    group_free(group);
}
END_TEST

START_TEST(leadership_is_not_handed_to_who_does_not_vote) {
    struct group *group = group_new_with(3, 1, 1000);
    group_elect(group, 0);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 3), RAFT_ACCEPTED);
    group_settle(group);
    ck_assert_int_eq(group_transfer(group, 0, 3), RAFT_SENSELESS);
    ck_assert_int_eq(group_transfer(group, 0, 0), RAFT_SENSELESS);
    ck_assert_int_eq(group_transfer(group, 1, 0), RAFT_NOT_LEADER);
    group_free(group);
}
END_TEST

START_TEST(only_the_leader_is_obeyed_when_it_says_take_over) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_message message = group_message(RAFT_TAKE_OVER, 2, 1, 2);
    group_receive(group, 1, &message);
    message = group_message(RAFT_TAKE_OVER, 0, 1, 1);
    group_receive(group, 1, &message);
    ck_assert_int_eq(group_status(group, 1).role, RAFT_FOLLOWER);
    group_free(group);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_majority_elects_a_leader_whom_all_follow,
        who_votes_alone_leads_at_once,
        a_vote_is_kept_over_a_restart,
        term_and_vote_are_in_the_output_with_the_answer,
        who_lacks_entries_gets_no_vote,
        who_was_cut_off_comes_back_without_a_new_election,
        who_hears_the_leader_ignores_a_candidate,
        who_hears_the_leader_promises_no_vote,
        a_removed_server_disturbs_nobody,
        a_leader_without_a_majority_steps_down,
        a_member_in_a_higher_term_is_taken_in_again,
        old_and_repeated_votes_elect_nobody,
        messages_of_other_groups_and_for_other_nodes_are_ignored,
        a_second_leader_of_a_term_is_not_believed,
        leadership_goes_to_whom_it_is_handed,
        leadership_is_handed_to_a_lagging_node_once_it_has_all,
        a_transfer_that_does_not_come_about_is_given_up,
        leadership_is_not_handed_to_who_does_not_vote,
        only_the_leader_is_obeyed_when_it_says_take_over,
    };
    return unit_run(unit_suite("raft_election", tests, UNIT_COUNT(tests)));
}
