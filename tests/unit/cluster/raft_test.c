/* Entries: appending, counting, committing, reading. */
#include "cluster/raft.h"

#include "tests/unit/cluster/raft_group.h"
#include "tests/unit/unit.h"

START_TEST(what_is_proposed_is_applied_by_all) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_position position = group_propose(group, 0, "entry");
    ck_assert_uint_eq(position.term, 2);
    group_settle(group);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(group->nodes[i].last, "entry");
        ck_assert_uint_eq(group->nodes[i].applied, position.index);
    }
    group_free(group);
}
END_TEST

START_TEST(a_leader_counts_itself_only_when_its_disk_has_it) {
    struct group *group = group_new(1);
    group_tick(group, 0, 0);
    struct span span = span_of_string("x");
    struct raft_position position;
    raft_propose(group->nodes[0].raft, &span, 1, &position);
    const struct raft_output *output = raft_output(group->nodes[0].raft);
    ck_assert_uint_eq(output->entries_from, position.index);
    ck_assert_uint_lt(output->apply_to, position.index);
    raft_output_done(group->nodes[0].raft);
    output = raft_output(group->nodes[0].raft);
    ck_assert_uint_eq(output->apply_to, position.index);
    raft_output_done(group->nodes[0].raft);
    group_free(group);
}
END_TEST

/* Figure 8 of Ongaro and Ousterhout: an entry of an older term on a majority may still give way. */
START_TEST(entries_of_older_terms_are_not_committed_by_counting) {
    struct group *group = group_new(5);
    group_elect(group, 0);
    uint64_t committed = group_status(group, 0).commit;
    /* Term 2: an entry comes to nodes 0 and 1 alone. */
    group->nodes[2].is_isolated = group->nodes[3].is_isolated = true;
    group->nodes[4].is_isolated = true;
    uint64_t index = group_propose(group, 0, "old").index;
    group_settle(group);
    /* Term 3: node 4 leads, and appends something else there, which nobody gets. */
    group->nodes[2].is_isolated = group->nodes[3].is_isolated = false;
    group->nodes[4].is_isolated = false;
    group->nodes[0].is_isolated = group->nodes[1].is_isolated = true;
    group_campaign(group, 4);
    while (!group_leads(group, 4)) {
        group_deliver_at(group, group->mail_first++);
    }
    group_mail_clear(group);
    ck_assert_uint_eq(group_status(group, 4).last_index, index);
    /* Term 4: node 0 leads again, and gives the old entry to node 2: a majority has it. Its own
     * entry of the term is lost on the way. */
    group->nodes[4].is_isolated = true;
    group->nodes[0].is_isolated = group->nodes[1].is_isolated = false;
    group_pass(group, GROUP_HEARTBEAT_MS);
    group_campaign(group, 0);
    while (!group_leads(group, 0)) {
        group_deliver_at(group, group->mail_first++);
    }
    group_mail_clear(group);
    uint64_t term = group_status(group, 0).term;
    for (size_t i = 1; i < 3; i++) {
        struct raft_message answer = group_message(RAFT_APPEND_ANSWER, i, 0, term);
        answer.append_answer = (struct raft_append_answer){.is_accepted = true, .index = index};
        group_receive(group, 0, &answer);
    }
    ck_assert_uint_eq(group_status(group, 0).commit, committed);
    /* With an entry of its own term on a majority, both are. */
    for (size_t i = 1; i < 3; i++) {
        struct raft_message answer = group_message(RAFT_APPEND_ANSWER, i, 0, term);
        answer.append_answer = (struct raft_append_answer){.is_accepted = true, .index = index + 1};
        group_receive(group, 0, &answer);
    }
    ck_assert_uint_eq(group_status(group, 0).commit, index + 1);
    group_free(group);
}
END_TEST

START_TEST(a_conflicting_tail_gives_way) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    for (int i = 0; i < 5; i++) {
        group_propose(group, 0, "never committed");
    }
    group_elect(group, 1);
    uint64_t index = group_propose(group, 1, "committed").index;
    group_settle(group);
    group->nodes[0].is_isolated = false;
    group_pass(group, 5 * GROUP_ELECTION_MS);
    ck_assert_str_eq(group->nodes[0].last, "committed");
    ck_assert_uint_ge(group->nodes[0].applied, index);
    ck_assert_uint_eq(raft_log_last_index(&group->nodes[0].saved.log),
                      group_status(group, 0).last_index);
    group_free(group);
}
END_TEST

START_TEST(old_and_repeated_appends_take_nothing_away) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    uint64_t first = group_propose(group, 0, "one").index;
    group->nodes[2].is_isolated = false;
    group_settle(group);
    /* To node 1 an append with one entry comes again when it has three, not committed. */
    struct raft_entry entries[3];
    for (size_t i = 0; i < 3; i++) {
        entries[i] = (struct raft_entry){
            .term = 2, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("later")};
    }
    struct raft_message append = group_message(RAFT_APPEND, 0, 1, 2);
    append.append = (struct raft_append){.previous_index = first,
                                         .previous_term = 2,
                                         .commit = first,
                                         .entries = entries,
                                         .count = 3};
    group_receive(group, 1, &append);
    ck_assert_uint_eq(group_status(group, 1).last_index, first + 3);
    append.append.count = 1;
    group_receive(group, 1, &append);
    append.append.count = 0;
    append.append.previous_index = first - 1;
    group_receive(group, 1, &append);
    ck_assert_uint_eq(group_status(group, 1).last_index, first + 3);
    /* Nor do entries that are committed give way to others. */
    struct raft_entry other = {
        .term = 1, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("other")};
    append.append = (struct raft_append){
        .previous_index = 1, .previous_term = 1, .commit = 1, .entries = &other, .count = 1};
    group_receive(group, 1, &append);
    ck_assert_uint_eq(raft_entry(group->nodes[1].raft, 2)->term, 2);
    group_free(group);
}
END_TEST

START_TEST(a_leader_that_contradicts_what_is_committed_is_not_obeyed) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group_propose(group, 0, "committed");
    group_settle(group);
    group_pass(group, GROUP_HEARTBEAT_MS);
    uint64_t last = group_status(group, 1).commit;
    struct raft_entry entries[2] = {
        {.term = 1, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("never")},
        {.term = 1, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("was")},
    };
    struct raft_message append = group_message(RAFT_APPEND, 0, 1, 2);
    append.append = (struct raft_append){.previous_index = last - 1,
                                         .previous_term = 1,
                                         .commit = last + 1,
                                         .entries = entries,
                                         .count = 2};
    group_receive(group, 1, &append);
    ck_assert_uint_eq(group_status(group, 1).last_index, last);
    ck_assert_str_eq(group->nodes[1].last, "committed");
    group_free(group);
}
END_TEST

START_TEST(a_follower_commits_no_further_than_it_was_told_entries) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    uint64_t last = group_status(group, 1).last_index;
    struct raft_entry entry = {
        .term = 2, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("unchecked")};
    struct raft_message append = group_message(RAFT_APPEND, 0, 1, 2);
    append.append = (struct raft_append){
        .previous_index = last, .previous_term = 2, .commit = last, .entries = &entry, .count = 1};
    group_receive(group, 1, &append);
    /* A beat that has seen only up to `last`, of a leader that has committed more. */
    append.append.count = 0;
    append.append.commit = last + 1;
    group_receive(group, 1, &append);
    ck_assert_uint_eq(group_status(group, 1).commit, last);
    group_free(group);
}
END_TEST

START_TEST(answers_that_no_member_can_give_change_nothing) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    uint64_t commit = group_status(group, 0).commit;
    group->nodes[1].is_isolated = group->nodes[2].is_isolated = true;
    uint64_t index = group_propose(group, 0, "x").index;
    for (size_t i = 1; i < 9; i++) {
        struct raft_message answer = group_message(RAFT_APPEND_ANSWER, i, 0, 2);
        answer.append_answer =
            (struct raft_append_answer){.is_accepted = true, .index = index + 1, .round = 1};
        group_receive(group, 0, &answer);
        answer.append_answer = (struct raft_append_answer){
            .index = 0, .hint_index = UINT64_MAX, .hint_term = UINT64_MAX, .round = UINT64_MAX};
        group_receive(group, 0, &answer);
        answer = group_message(RAFT_APPEND_ANSWER, i, 0, 1);
        answer.append_answer = (struct raft_append_answer){.is_accepted = true, .index = index};
        group_receive(group, 0, &answer);
    }
    ck_assert_uint_eq(group_status(group, 0).commit, commit);
    group_free(group);
}
END_TEST

START_TEST(what_was_committed_is_applied_after_a_restart_without_a_leader) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group_propose(group, 0, "kept");
    group_settle(group);
    uint64_t applied = group->nodes[1].applied;
    group->nodes[1].is_isolated = true;
    group->nodes[1].last[0] = '\0';
    group_restart(group, 1);
    ck_assert_uint_eq(group->nodes[1].applied, applied);
    ck_assert_str_eq(group->nodes[1].last, "kept");
    group_free(group);
}
END_TEST

/* ---- limits ---- */

START_TEST(what_is_not_committed_has_a_limit) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    struct span span = span_of_string("x");
    struct raft_position position;
    enum raft_answer answer = RAFT_ACCEPTED;
    size_t count = 0;
    while (answer == RAFT_ACCEPTED && count <= RAFT_UNCOMMITTED_ENTRIES_MAX) {
        answer = raft_propose(group->nodes[0].raft, &span, 1, &position);
        group_carry_out(group, 0);
        count++;
    }
    ck_assert_int_eq(answer, RAFT_BUSY);
    ck_assert_uint_eq(count, RAFT_UNCOMMITTED_ENTRIES_MAX + 1);
    group_free(group);
}
END_TEST

START_TEST(bytes_that_are_not_committed_have_a_limit) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    char *bytes = memory_alloc_zeroed(RAFT_ENTRY_BYTES_MAX + 1);
    struct span span = span_of(bytes, RAFT_ENTRY_BYTES_MAX + 1);
    struct raft_position position;
    ck_assert_int_eq(raft_propose(group->nodes[0].raft, &span, 1, &position), RAFT_TOO_LARGE);
    span.length = RAFT_ENTRY_BYTES_MAX;
    for (uint64_t i = 0; i < RAFT_UNCOMMITTED_BYTES_MAX / RAFT_ENTRY_BYTES_MAX; i++) {
        ck_assert_int_eq(raft_propose(group->nodes[0].raft, &span, 1, &position), RAFT_ACCEPTED);
        group_carry_out(group, 0);
    }
    ck_assert_int_eq(raft_propose(group->nodes[0].raft, &span, 1, &position), RAFT_BUSY);
    memory_free(bytes);
    group_free(group);
}
END_TEST

START_TEST(appends_under_way_have_a_limit) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group_propose(group, 0, "first");
    group_settle(group);
    size_t before = group->mail_count;
    for (int i = 0; i < 3 * RAFT_INFLIGHT_MAX; i++) {
        group_propose(group, 0, "more");
    }
    ck_assert_uint_eq(group->mail_count - before, 2 * RAFT_INFLIGHT_MAX);
    group_settle(group);
    ck_assert_uint_eq(group->nodes[2].applied, group_status(group, 0).last_index);
    group_free(group);
}
END_TEST

START_TEST(an_append_has_a_limit) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    char *bytes = memory_alloc_zeroed(RAFT_APPEND_BYTES_MAX / 2);
    struct span large = span_of(bytes, RAFT_APPEND_BYTES_MAX / 2);
    struct raft_position position;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(raft_propose(group->nodes[0].raft, &large, 1, &position), RAFT_ACCEPTED);
        group_carry_out(group, 0);
        group_settle(group);
    }
    for (int i = 0; i < 2 * RAFT_APPEND_ENTRIES_MAX; i++) {
        group_propose(group, 0, "small");
        group_settle(group);
    }
    group->nodes[2].is_isolated = false;
    group_pass(group, 10 * GROUP_HEARTBEAT_MS);
    ck_assert_uint_eq(group->nodes[2].applied, group_status(group, 0).last_index);
    memory_free(bytes);
    group_free(group);
}
END_TEST

/* ---- reads ---- */

START_TEST(a_leader_reads_when_a_majority_confirms_it) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    ck_assert_int_eq(group_read(group, 0, 5), RAFT_ACCEPTED);
    ck_assert_uint_eq(group->nodes[0].reads, 0);
    group_settle(group);
    ck_assert_uint_eq(group->nodes[0].reads, 1);
    group_free(group);
}
END_TEST

START_TEST(a_leader_that_is_cut_off_reads_nothing) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    group_elect(group, 1);
    group_propose(group, 1, "newer");
    group_settle(group);
    ck_assert(group_leads(group, 0));
    ck_assert_int_eq(group_read(group, 0, 5), RAFT_ACCEPTED);
    /* Answers to an earlier round do not count. */
    struct raft_message answer = group_message(RAFT_APPEND_ANSWER, 1, 0, 2);
    answer.append_answer = (struct raft_append_answer){.is_accepted = true, .index = 2, .round = 1};
    group_receive(group, 0, &answer);
    ck_assert_uint_eq(group->nodes[0].reads, 0);
    group_pass(group, 3 * GROUP_ELECTION_MS);
    ck_assert_uint_eq(group->nodes[0].reads, 0);
    ck_assert_uint_eq(group->nodes[0].reads_failed, 1);
    group_free(group);
}
END_TEST

START_TEST(a_leader_reads_only_when_an_entry_of_its_term_is_committed) {
    struct group *group = group_new(3);
    group_campaign(group, 0);
    while (!group_leads(group, 0)) {
        group_deliver_at(group, group->mail_first++);
    }
    group_mail_clear(group);
    ck_assert_int_eq(group_read(group, 0, 5), RAFT_ACCEPTED);
    for (size_t i = 1; i < 3; i++) {
        struct raft_message answer = group_message(RAFT_APPEND_ANSWER, i, 0, 2);
        answer.append_answer =
            (struct raft_append_answer){.is_accepted = true, .index = 1, .round = 2};
        group_receive(group, 0, &answer);
    }
    ck_assert_uint_eq(group->nodes[0].reads, 0);
    group_settle(group);
    ck_assert_uint_eq(group->nodes[0].reads, 1);
    group_free(group);
}
END_TEST

START_TEST(a_follower_reads_what_the_leader_has_committed) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group_propose(group, 0, "seen");
    ck_assert_int_eq(group_read(group, 2, 5), RAFT_ACCEPTED);
    group_settle(group);
    group_tick(group, 0, GROUP_HEARTBEAT_MS);
    group_settle(group);
    ck_assert_uint_eq(group->nodes[2].reads, 1);
    ck_assert_str_eq(group->nodes[2].last, "seen");
    group_free(group);
}
END_TEST

START_TEST(an_answer_to_an_earlier_start_answers_no_read) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group_read(group, 2, 5);
    struct raft_message asked;
    ck_assert(group_sent(group, 2, RAFT_READ, &asked));
    group_mail_clear(group);
    struct raft_message answer = group_message(RAFT_READ_ANSWER, 0, 2, 2);
    answer.read_answer = (struct raft_read_answer){
        .nonce = asked.read.nonce, .number = asked.read.number, .index = 1};
    group->now_ms++;
    group_restart(group, 2);
    struct raft_message beat = group_message(RAFT_APPEND, 0, 2, 2);
    beat.append = (struct raft_append){.previous_index = 1, .previous_term = 1, .commit = 1};
    group_receive(group, 2, &beat);
    group_read(group, 2, 5);
    group_receive(group, 2, &answer);
    ck_assert_uint_eq(group->nodes[2].reads, 0);
    group_free(group);
}
END_TEST

START_TEST(reads_that_wait_have_a_limit_and_end) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    for (uint64_t i = 0; i < RAFT_READS_MAX; i++) {
        ck_assert_int_eq(group_read(group, 2, i), RAFT_ACCEPTED);
    }
    ck_assert_int_eq(group_read(group, 2, 0), RAFT_BUSY);
    group_tick(group, 2, GROUP_ELECTION_MS);
    ck_assert_uint_eq(group->nodes[2].reads_failed, RAFT_READS_MAX);
    ck_assert_uint_eq(group->nodes[2].reads, 0);
    group_free(group);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_is_proposed_is_applied_by_all,
        a_leader_counts_itself_only_when_its_disk_has_it,
        entries_of_older_terms_are_not_committed_by_counting,
        a_conflicting_tail_gives_way,
        old_and_repeated_appends_take_nothing_away,
        a_leader_that_contradicts_what_is_committed_is_not_obeyed,
        a_follower_commits_no_further_than_it_was_told_entries,
        answers_that_no_member_can_give_change_nothing,
        what_was_committed_is_applied_after_a_restart_without_a_leader,
        what_is_not_committed_has_a_limit,
        bytes_that_are_not_committed_have_a_limit,
        appends_under_way_have_a_limit,
        an_append_has_a_limit,
        a_leader_reads_when_a_majority_confirms_it,
        a_leader_that_is_cut_off_reads_nothing,
        a_leader_reads_only_when_an_entry_of_its_term_is_committed,
        a_follower_reads_what_the_leader_has_committed,
        an_answer_to_an_earlier_start_answers_no_read,
        reads_that_wait_have_a_limit_and_end,
    };
    return unit_run(unit_suite("raft", tests, UNIT_COUNT(tests)));
}
