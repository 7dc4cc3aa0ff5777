/* A member's order: durable, sent, applied. */
#include "cluster/raft_member.h"

#include "base/memory.h"
#include "tests/simulation/disk.h"

#include "tests/unit/unit.h"

#include <errno.h>

struct fixture {
    struct simulated_disk *simulated;
    struct disk disk;
    struct raft_member *member;
    struct buffer report;
    uint64_t applied;
    uint64_t sent;
    uint64_t calls_when_sent;    /* of the disk, at the last message */
    uint64_t calls_when_applied; /* and at the last entry */
    uint64_t restored;
    bool is_unreadable; /* no state can be restored */
    uint64_t reads;
};

static void apply(void *context, const struct raft_committed *entry) {
    struct fixture *fixture = context;
    ck_assert_uint_eq(entry->position.index, fixture->applied + 1);
    fixture->applied = entry->position.index;
    fixture->calls_when_applied = simulated_disk_calls(fixture->simulated);
}

static void save(void *context, struct buffer *state) {
    (void)context;
    buffer_append_string(state, "state");
}

static bool restore(void *context, uint64_t index, struct span state) {
    struct fixture *fixture = context;
    ck_assert(span_equal(state, span_of_string("state")));
    fixture->applied = index;
    fixture->restored = index;
    return !fixture->is_unreadable;
}

static void message_sent(void *context, const struct raft_message *message) {
    (void)message;
    struct fixture *fixture = context;
    fixture->sent++;
    fixture->calls_when_sent = simulated_disk_calls(fixture->simulated);
}

static void read_answered(void *context, uint64_t id, bool is_confirmed) {
    struct fixture *fixture = context;
    ck_assert(is_confirmed);
    fixture->reads += id;
}

static struct raft_member_plan plan_of(struct fixture *fixture) {
    return (struct raft_member_plan){
        .raft = {.seed = 1,
                 .election_ms = 100,
                 .heartbeat_ms = 10,
                 .snapshot_entries = 10,
                 .snapshot_bytes = 100000,
                 .entries_kept = 3},
        .store = {.disk = &fixture->disk, .self = {.bytes = "a"}, .allocate_bytes = 4096},
        .machine = {.context = fixture,
                    .apply = apply,
                    .save = save,
                    .restore = restore,
                    .send = message_sent,
                    .read = read_answered},
    };
}

static enum raft_store_status member_open(struct fixture *fixture) {
    struct raft_member_plan plan = plan_of(fixture);
    fixture->applied = 0;
    return raft_member_open(&plan, 1000, &fixture->member, &fixture->report);
}

/* A group of this node and so many more, who are silent. */
static void fixture_begin(struct fixture *fixture, size_t others) {
    *fixture = (struct fixture){.report = BUFFER_EMPTY};
    fixture->simulated = simulated_disk_new(1);
    fixture->disk = simulated_disk_interface(fixture->simulated);
    struct raft_config config = RAFT_CONFIG_EMPTY;
    struct raft_member_plan plan = plan_of(fixture);
    raft_config_found(&config, &plan.store.self);
    for (size_t i = 0; i < others; i++) {
        struct raft_id id = {.bytes = {(unsigned char)('b' + i)}};
        raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_ADD, id});
        raft_config_change(&config, &(struct raft_change){RAFT_CHANGE_PROMOTE, id});
    }
    struct raft_saved saved;
    raft_found(&saved, &config, span_of_string("state"));
    struct raft_id group = {.bytes = "group"};
    ck_assert_int_eq(raft_store_create(&plan.store, &group, &saved, &fixture->report),
                     RAFT_STORE_DONE);
    raft_saved_free(&saved);
    raft_config_free(&config);
    ck_assert_int_eq(member_open(fixture), RAFT_STORE_DONE);
}

static void fixture_end(struct fixture *fixture) {
    if (fixture->member != NULL) {
        raft_member_close(fixture->member);
    }
    buffer_free(&fixture->report);
    simulated_disk_free(fixture->simulated);
}

static enum raft_answer propose(struct fixture *fixture) {
    struct span content = span_of_string("content");
    struct raft_position position;
    return raft_member_propose(fixture->member, &content, 1, &position);
}

static struct raft_message vote_of(unsigned char source, uint64_t term) {
    return (struct raft_message){.kind = RAFT_VOTE,
                                 .group = {.bytes = "group"},
                                 .source = {.bytes = {source}},
                                 .target = {.bytes = "a"},
                                 .term = term,
                                 .vote = {.last_index = 1, .last_term = 1}};
}

START_TEST(a_member_alone_applies_what_it_is_proposed_over_restarts) {
    struct fixture fixture;
    fixture_begin(&fixture, 0);
    ck_assert_uint_eq(fixture.restored, 1);
    raft_member_tick(fixture.member, 1000);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(propose(&fixture), RAFT_ACCEPTED);
    }
    ck_assert_int_eq(raft_member_read(fixture.member, 7), RAFT_ACCEPTED);
    ck_assert_uint_eq(fixture.reads, 7);
    uint64_t applied = fixture.applied;
    ck_assert_uint_eq(applied, 52);
    raft_member_close(fixture.member);
    simulated_disk_lose_power(fixture.simulated);
    ck_assert_int_eq(member_open(&fixture), RAFT_STORE_DONE);
    ck_assert_msg(fixture.restored > 40, "a snapshot was taken");
    raft_member_tick(fixture.member, 2000);
    ck_assert_uint_eq(fixture.applied, applied + 1);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_vote_is_on_disk_before_it_is_sent) {
    struct fixture fixture;
    fixture_begin(&fixture, 2);
    uint64_t calls = simulated_disk_calls(fixture.simulated);
    struct raft_message vote = vote_of('b', 5);
    raft_member_receive(fixture.member, &vote, 1001);
    ck_assert_uint_eq(fixture.sent, 1);
    ck_assert_uint_ge(fixture.calls_when_sent, calls + 2);
    ck_assert_uint_eq(fixture.calls_when_sent, simulated_disk_calls(fixture.simulated));
    fixture_end(&fixture);
}
END_TEST

START_TEST(an_entry_is_on_disk_before_it_is_applied) {
    struct fixture fixture;
    fixture_begin(&fixture, 0);
    raft_member_tick(fixture.member, 1000);
    uint64_t calls = simulated_disk_calls(fixture.simulated);
    ck_assert_int_eq(propose(&fixture), RAFT_ACCEPTED);
    ck_assert_uint_ge(fixture.calls_when_applied, calls + 2);
    fixture_end(&fixture);
}
END_TEST

START_TEST(whose_disk_fails_promises_nothing_more) {
    struct fixture fixture;
    fixture_begin(&fixture, 2);
    simulated_disk_fail(fixture.simulated, 1, UINT64_MAX, EIO);
    struct raft_message vote = vote_of('b', 5);
    raft_member_receive(fixture.member, &vote, 1001);
    ck_assert_uint_eq(fixture.sent, 0);
    ck_assert_ptr_nonnull(strstr(raft_member_problem(fixture.member), "Input/output error"));
    simulated_disk_heal(fixture.simulated);
    vote = vote_of('c', 5);
    raft_member_receive(fixture.member, &vote, 1002);
    raft_member_tick(fixture.member, 5000);
    ck_assert_uint_eq(fixture.sent, 0);
    ck_assert_int_eq(propose(&fixture), RAFT_NOT_LEADER);
    ck_assert_int_eq(raft_member_read(fixture.member, 1), RAFT_NOT_LEADER);
    raft_member_close(fixture.member);
    ck_assert_int_eq(member_open(&fixture), RAFT_STORE_DONE);
    ck_assert_ptr_null(raft_member_problem(fixture.member));
    fixture_end(&fixture);
}
END_TEST

START_TEST(an_entry_is_not_applied_if_the_disk_fails) {
    struct fixture fixture;
    fixture_begin(&fixture, 0);
    raft_member_tick(fixture.member, 1000);
    uint64_t applied = fixture.applied;
    simulated_disk_fail(fixture.simulated, 1, UINT64_MAX, ENOSPC);
    propose(&fixture);
    ck_assert_uint_eq(fixture.applied, applied);
    ck_assert_ptr_nonnull(raft_member_problem(fixture.member));
    simulated_disk_heal(fixture.simulated);
    fixture_end(&fixture);
}
END_TEST

START_TEST(a_state_that_cannot_be_read_is_said) {
    struct fixture fixture;
    fixture_begin(&fixture, 0);
    raft_member_close(fixture.member);
    fixture.is_unreadable = true;
    ck_assert_int_eq(member_open(&fixture), RAFT_STORE_FAILED);
    ck_assert_ptr_null(fixture.member);
    buffer_append_byte(&fixture.report, '\0');
    ck_assert_ptr_nonnull(strstr(fixture.report.bytes, "state cannot be read"));
    fixture_end(&fixture);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_member_alone_applies_what_it_is_proposed_over_restarts,
        a_vote_is_on_disk_before_it_is_sent,
        an_entry_is_on_disk_before_it_is_applied,
        whose_disk_fails_promises_nothing_more,
        an_entry_is_not_applied_if_the_disk_fails,
        a_state_that_cannot_be_read_is_said,
    };
    return unit_run(unit_suite("raft_member", tests, UNIT_COUNT(tests)));
}
