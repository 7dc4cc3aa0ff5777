/* Snapshots: taking, sending, installing; where they meet the log and the configuration. */
#include "cluster/raft_snapshot.h"

#include "tests/unit/cluster/raft_group.h"
#include "tests/unit/unit.h"

#define SNAPSHOT_ENTRIES 5

static void propose_many(struct group *group, size_t leader, int count) {
    for (int i = 0; i < count; i++) {
        group_propose(group, leader, "entry");
        group_settle(group);
    }
}

START_TEST(a_snapshot_is_wished_after_so_many_entries_and_some_stay) {
    struct group *group = group_new_with(1, 0, SNAPSHOT_ENTRIES);
    group_tick(group, 0, 0);
    propose_many(group, 0, 3 * SNAPSHOT_ENTRIES);
    ck_assert_uint_ge(group->nodes[0].snapshot_wishes, 2);
    const struct raft_log *log = raft_log_of(group->nodes[0].raft);
    ck_assert_uint_eq(log->base_index, group_status(group, 0).snapshot_index - 2);
    ck_assert_uint_lt(log->count, SNAPSHOT_ENTRIES + 3);
    group_free(group);
}
END_TEST

START_TEST(who_lacks_what_is_in_no_log_gets_the_snapshot_in_pieces) {
    struct group *group = group_new_with(3, 0, SNAPSHOT_ENTRIES);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    propose_many(group, 0, 3 * SNAPSHOT_ENTRIES);
    group->nodes[2].is_isolated = false;
    group_pass(group, 5 * GROUP_ELECTION_MS);
    ck_assert_uint_gt(group->nodes[2].restored, 1);
    ck_assert_uint_eq(group->nodes[2].applied, group_status(group, 0).commit);
    ck_assert(group_leads(group, 0));
    group_restart(group, 2);
    ck_assert_uint_eq(group->nodes[2].applied, group_status(group, 0).commit);
    group_free(group);
}
END_TEST

START_TEST(a_new_member_begins_with_a_snapshot_and_its_configuration) {
    struct group *group = group_new_with(3, 1, SNAPSHOT_ENTRIES);
    group_elect(group, 0);
    propose_many(group, 0, 2 * SNAPSHOT_ENTRIES);
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 3), RAFT_ACCEPTED);
    group_pass(group, 5 * GROUP_ELECTION_MS);
    ck_assert_uint_gt(group->nodes[3].restored, 0);
    ck_assert_uint_eq(group_status(group, 3).config->count, 4);
    ck_assert_uint_eq(group_status(group, 3).config_index, group_status(group, 0).config_index);
    group_free(group);
}
END_TEST

/* An install that meets a log that has more, and other, entries: all of it goes. */
START_TEST(a_snapshot_replaces_a_log_that_conflicts) {
    struct group *group = group_new_with(3, 0, SNAPSHOT_ENTRIES);
    group_elect(group, 0);
    group->nodes[0].is_isolated = true;
    for (int i = 0; i < 5 * SNAPSHOT_ENTRIES; i++) {
        group_propose(group, 0, "never committed");
    }
    group_change(group, 0, RAFT_CHANGE_REMOVE, 2);
    group_elect(group, 1);
    propose_many(group, 1, 3 * SNAPSHOT_ENTRIES);
    ck_assert_uint_lt(group_status(group, 1).last_index, group_status(group, 0).last_index);
    group->nodes[0].is_isolated = false;
    group_pass(group, 10 * GROUP_ELECTION_MS);
    ck_assert_uint_gt(group->nodes[0].restored, 1);
    ck_assert_str_ne(group->nodes[0].last, "never committed");
    ck_assert_uint_eq(group_status(group, 0).last_index, group_status(group, 1).last_index);
    ck_assert_uint_eq(raft_log_last_index(&group->nodes[0].saved.log),
                      group_status(group, 0).last_index);
    ck_assert(group_has_voter(group, 0, 2));
    group_free(group);
}
END_TEST

static struct raft_message piece_message(const struct raft_snapshot *snapshot, uint64_t offset,
                                         size_t length) {
    struct raft_message message = group_message(RAFT_PIECE, 0, 1, 2);
    message.piece = (struct raft_piece){.snapshot = snapshot->name,
                                        .offset = offset,
                                        .bytes = span_of(snapshot->content + offset, length)};
    return message;
}

/* The log holds the snapshot's last entry: what is behind it stays, and the state as it is. */
START_TEST(a_snapshot_of_what_is_here_only_commits) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_entry entries[3] = {
        {.term = 2, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("a")},
        {.term = 2, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("b")},
        {.term = 2, .kind = RAFT_ENTRY_NORMAL, .bytes = span_of_string("c")},
    };
    struct raft_message append = group_message(RAFT_APPEND, 0, 1, 2);
    append.append = (struct raft_append){
        .previous_index = 2, .previous_term = 2, .commit = 2, .entries = entries, .count = 3};
    group_receive(group, 1, &append);
    struct raft_status status = group_status(group, 1);
    struct raft_snapshot *snapshot =
        raft_snapshot_new(4, 2, status.config, span_of_string("state"));
    struct raft_message piece = piece_message(snapshot, 0, snapshot->name.size);
    group_mail_clear(group);
    group_receive(group, 1, &piece);
    ck_assert_uint_eq(group->nodes[1].restored, 0);
    ck_assert_uint_eq(group->nodes[1].applied, 4);
    ck_assert_uint_eq(group_status(group, 1).last_index, 5);
    struct raft_message answer;
    ck_assert(group_sent(group, 1, RAFT_APPEND_ANSWER, &answer));
    ck_assert_uint_eq(answer.append_answer.index, 4);
    /* An older one changes nothing at all. */
    raft_snapshot_release(snapshot);
    snapshot = raft_snapshot_new(2, 2, status.config, span_of_string("older"));
    piece = piece_message(snapshot, 0, snapshot->name.size);
    group_receive(group, 1, &piece);
    ck_assert_uint_eq(group->nodes[1].applied, 4);
    ck_assert_uint_eq(group_status(group, 1).last_index, 5);
    raft_snapshot_release(snapshot);
    group_free(group);
}
END_TEST

START_TEST(pieces_of_two_snapshots_are_not_mixed) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_status status = group_status(group, 1);
    struct raft_snapshot *one = raft_snapshot_new(9, 2, status.config, span_of_string("one one"));
    struct raft_snapshot *two = raft_snapshot_new(9, 2, status.config, span_of_string("two two"));
    size_t half = one->name.size - 4;
    struct raft_message piece = piece_message(one, 0, half);
    group_receive(group, 1, &piece);
    piece = piece_message(two, half, 4);
    group_mail_clear(group);
    group_receive(group, 1, &piece);
    struct raft_message answer;
    ck_assert(group_sent(group, 1, RAFT_PIECE_ANSWER, &answer));
    ck_assert_msg(answer.piece_answer.offset == 0, "of the second one nothing is here");
    ck_assert_uint_eq(group->nodes[1].restored, 0);
    /* A piece that comes twice, or too early, is no harm. */
    piece = piece_message(two, 0, half);
    group_receive(group, 1, &piece);
    group_receive(group, 1, &piece);
    piece = piece_message(two, half + 2, 2);
    group_receive(group, 1, &piece);
    ck_assert_uint_eq(group->nodes[1].restored, 0);
    piece = piece_message(two, half, 4);
    group_receive(group, 1, &piece);
    ck_assert_uint_eq(group->nodes[1].restored, 9);
    raft_snapshot_release(one);
    raft_snapshot_release(two);
    group_free(group);
}
END_TEST

START_TEST(a_snapshot_whose_checksum_is_wrong_is_asked_for_again) {
    struct group *group = group_new(3);
    group_elect(group, 0);
    struct raft_snapshot *snapshot =
        raft_snapshot_new(9, 2, group_status(group, 1).config, span_of_string("state"));
    snapshot->content[snapshot->name.size - 1] ^= 1;
    struct raft_message piece = piece_message(snapshot, 0, snapshot->name.size);
    group_mail_clear(group);
    group_receive(group, 1, &piece);
    struct raft_message answer;
    ck_assert(group_sent(group, 1, RAFT_PIECE_ANSWER, &answer));
    ck_assert_uint_eq(answer.piece_answer.offset, 0);
    ck_assert_uint_eq(group->nodes[1].restored, 0);
    raft_snapshot_release(snapshot);
    group_free(group);
}
END_TEST

START_TEST(the_configuration_of_a_snapshot_is_the_one_at_its_index) {
    struct group *group = group_new_with(3, 1, SNAPSHOT_ENTRIES);
    group_elect(group, 0);
    propose_many(group, 0, SNAPSHOT_ENTRIES - 1);
    uint64_t before = group_status(group, 0).snapshot_index;
    /* The entry that adds a member is in the log, not committed, when the snapshot is taken. */
    group->nodes[1].is_isolated = group->nodes[2].is_isolated = true;
    ck_assert_int_eq(group_change(group, 0, RAFT_CHANGE_ADD, 3), RAFT_ACCEPTED);
    if (group_status(group, 0).applied > before) {
        raft_snapshot_taken(group->nodes[0].raft, span_of_string("state"));
        group_carry_out(group, 0);
    }
    ck_assert_uint_gt(group_status(group, 0).snapshot_index, 1);
    ck_assert_uint_gt(group_status(group, 0).config_index, group_status(group, 0).snapshot_index);
    ck_assert_uint_eq(group->nodes[0].saved.snapshot->config.count, 3);
    ck_assert_uint_eq(group_status(group, 0).config->count, 4);
    group_free(group);
}
END_TEST

START_TEST(a_snapshot_is_sent_on_although_the_leader_took_another) {
    struct group *group = group_new_with(3, 0, SNAPSHOT_ENTRIES);
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    propose_many(group, 0, 2 * SNAPSHOT_ENTRIES);
    group->nodes[2].is_isolated = false;
    /* Entries come faster than pieces: each settles one round only. */
    for (int i = 0; i < 200 && group->nodes[2].restored == 0; i++) {
        group_propose(group, 0, "faster");
        group_pass(group, GROUP_HEARTBEAT_MS);
    }
    ck_assert_uint_gt(group->nodes[2].restored, 0);
    group_pass(group, 5 * GROUP_ELECTION_MS);
    ck_assert_uint_eq(group->nodes[2].applied, group_status(group, 0).commit);
    group_free(group);
}
END_TEST

static size_t sent_count(const struct group *group, enum raft_message_kind kind) {
    size_t count = 0;
    for (size_t i = group->mail_first; i < group->mail_count; i++) {
        struct raft_message message;
        struct raft_message_entries entries;
        group_read_mail(group, i, &message, &entries);
        count += message.kind == kind;
    }
    return count;
}

/* Each would else be answered, and so be more the longer a snapshot takes. */
START_TEST(an_answer_to_a_piece_that_is_repeated_brings_one_more_piece) {
    struct group *group = group_new_with(3, 0, SNAPSHOT_ENTRIES);
    struct raft_message answer;
    group_elect(group, 0);
    group->nodes[2].is_isolated = true;
    propose_many(group, 0, 2 * SNAPSHOT_ENTRIES);
    group->nodes[2].is_isolated = false;
    for (int i = 0; i < 1000 && !group_sent(group, 2, RAFT_PIECE_ANSWER, &answer); i++) {
        if (group->mail_first < group->mail_count) {
            group_deliver_at(group, group->mail_first++);
        } else {
            group_mail_clear(group);
            group_tick(group, 0, GROUP_HEARTBEAT_MS);
        }
    }
    ck_assert(group_sent(group, 2, RAFT_PIECE_ANSWER, &answer));
    group_mail_clear(group);
    for (int i = 0; i < 5; i++) {
        group_receive(group, 0, &answer);
    }
    ck_assert_uint_eq(sent_count(group, RAFT_PIECE), 1);
    group_pass(group, 5 * GROUP_ELECTION_MS);
    ck_assert_uint_eq(group->nodes[2].applied, group_status(group, 0).commit);
    group_free(group);
}
END_TEST

START_TEST(contents_that_hold_no_configuration_are_no_snapshot) {
    ck_assert_ptr_null(raft_snapshot_read(1, 1, span_of_string("")));
    ck_assert_ptr_null(raft_snapshot_read(1, 1, span_of("\5\0abc", 5)));
    struct raft_snapshot *snapshot = raft_snapshot_read(1, 1, span_of("\0\0abc", 5));
    ck_assert_ptr_nonnull(snapshot);
    ck_assert(span_equal(raft_snapshot_state(snapshot), span_of_string("abc")));
    raft_snapshot_release(snapshot);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_snapshot_is_wished_after_so_many_entries_and_some_stay,
        who_lacks_what_is_in_no_log_gets_the_snapshot_in_pieces,
        a_new_member_begins_with_a_snapshot_and_its_configuration,
        a_snapshot_replaces_a_log_that_conflicts,
        a_snapshot_of_what_is_here_only_commits,
        pieces_of_two_snapshots_are_not_mixed,
        a_snapshot_whose_checksum_is_wrong_is_asked_for_again,
        the_configuration_of_a_snapshot_is_the_one_at_its_index,
        a_snapshot_is_sent_on_although_the_leader_took_another,
        an_answer_to_a_piece_that_is_repeated_brings_one_more_piece,
        contents_that_hold_no_configuration_are_no_snapshot,
    };
    return unit_run(unit_suite("raft_snapshot", tests, UNIT_COUNT(tests)));
}
