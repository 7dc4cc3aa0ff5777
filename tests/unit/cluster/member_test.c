/* One behaviour of a node's part in the cluster each, in a cluster without faults but those that a
 * test makes (tests/simulation/cluster_world.h). */
#include "cluster/member_bus.h"
#include "cluster/member_file.h"
#include "tests/simulation/cluster_world.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define NODES 4
#define TICKET 1
#define LIMIT_MS 30000

static struct world *world;

static void begin(size_t count, uint16_t quorum) {
    world = world_new(7, count);
    world->network.keeps_order = true; /* as links do */
    world->quorum = quorum;
    world->voters = 3;
    for (size_t i = 0; i < count; i++) {
        world_start(&world->nodes[i]);
    }
}

static void end(void) {
    ck_assert_msg(world->broken == NULL, "%s", world->broken);
    world_free(world);
}

static void pass_ms(uint64_t ms) {
    for (uint64_t until = world->now_ms + ms; world->now_ms < until;) {
        world_turn(world);
    }
}

/* "": it was done. */
static const char *await(void) {
    uint64_t until = world->now_ms + LIMIT_MS;
    while (!world->answers[TICKET].is_there && world->now_ms < until) {
        world_turn(world);
    }
    ck_assert(world->answers[TICKET].is_there);
    world->answers[TICKET].is_there = false;
    return world->answers[TICKET].error;
}

#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t await_until = world->now_ms + LIMIT_MS;                                           \
        while (!(condition) && world->now_ms < await_until) {                                      \
            world_turn(world);                                                                     \
        }                                                                                          \
        ck_assert(condition);                                                                      \
    } while (0)

static const char *give_slot(struct node *node, uint16_t slot) {
    struct map_change change = {.kind = MAP_SLOTS_ADD};
    memcpy(change.node, node->id.bytes, MAP_ID_BYTES);
    slot_set_add(&change.slots, slot);
    world_propose(node, &change, 1, TICKET);
    return await();
}

static void replicate(struct node *node, const struct node *primary) {
    struct map_change change = {.kind = MAP_REPLICATE};
    memcpy(change.node, node->id.bytes, MAP_ID_BYTES);
    memcpy(change.peer, primary->id.bytes, MAP_ID_BYTES);
    world_propose(node, &change, 1, TICKET);
    ck_assert_str_eq(await(), "");
}

static bool in_sync(const struct node *at, const struct node *node) {
    uint16_t place = at->map == NULL ? MAP_NOBODY : map_find(at->map, node->id.bytes);
    return place != MAP_NOBODY && at->map->nodes[place].is_in_sync;
}

static size_t nodes_of(const struct node *node) {
    return node->map == NULL ? 0 : node->map->nodes_count;
}

static bool all_know(size_t count) {
    for (size_t i = 0; i < world->count; i++) {
        if (nodes_of(&world->nodes[i]) != count) {
            return false;
        }
    }
    return true;
}

static void meet_all(void) {
    for (size_t i = 1; i < world->count; i++) {
        world_meet(&world->nodes[i], &world->nodes[0], TICKET);
        ck_assert_str_eq(await(), "");
    }
    AWAIT(all_know(world->count));
}

/* As CONFIG SET would. */
static void configure(struct node *node, uint64_t node_timeout_ms, bool no_failover) {
    struct member_plan plan = {.node_timeout_ms = node_timeout_ms,
                               .voters = world->voters,
                               .quorum = world->quorum,
                               .no_failover = no_failover,
                               .migration_barrier = 1};
    member_set_settings(node->member, &plan, world_clock(node));
}

/* Node 0 with the next ones as its replicas, in sync; other nodes are alone. */
static void form_shard_of(size_t count, size_t members, uint16_t quorum) {
    begin(count, quorum);
    meet_all();
    ck_assert_str_eq(give_slot(&world->nodes[0], 0), "");
    for (size_t i = 1; i < members; i++) {
        replicate(&world->nodes[i], &world->nodes[0]);
    }
    for (size_t i = 1; i < members; i++) {
        AWAIT(in_sync(&world->nodes[i], &world->nodes[i]));
    }
    AWAIT(world_may_serve(&world->nodes[0]));
}

static void form_shard(size_t count, uint16_t quorum) {
    form_shard_of(count, count, quorum);
}

START_TEST(two_clusters_that_own_one_slot_do_not_merge) {
    begin(2, 1);
    ck_assert_str_eq(give_slot(&world->nodes[0], 7), "");
    ck_assert_str_eq(give_slot(&world->nodes[1], 7), "");
    for (size_t i = 0; i < 2; i++) {
        world_meet(&world->nodes[i], &world->nodes[1 - i], TICKET);
        ck_assert_str_eq(await(), "ERR Slot 7 is already busy: the two clusters cannot be merged");
    }
    ck_assert_uint_eq(nodes_of(&world->nodes[0]), 1);
    ck_assert_str_eq(give_slot(&world->nodes[0], 8), ""); /* neither stands still */
    ck_assert_str_eq(give_slot(&world->nodes[1], 9), "");
    end();
}
END_TEST

/* Its group of one is merged with the other one's, whatever their sizes. */
static void stand_still(struct node *node, const struct node *other) {
    struct member_entry entry = {.kind = MEMBER_ENTRY_MERGE_BEGIN,
                                 .asker = {.bytes = "anybody"},
                                 .session = 1,
                                 .number = 1,
                                 .group = other->group,
                                 .contact = {.id = other->id}};
    struct buffer bytes = BUFFER_EMPTY;
    struct buffer packet = BUFFER_EMPTY;
    snprintf(entry.contact.ip, sizeof(entry.contact.ip), "10.0.0.%zu", other->number);
    entry.contact.bus_port = (uint16_t)(other->port + 10000);
    member_entry_write(&entry, &bytes);
    struct member_message message = {
        .kind = MEMBER_FORWARD, .group = node->group, .bytes = buffer_span(&bytes)};
    member_message_write(&message, &packet);
    member_link_up(node->member, &other->id, entry.contact.ip, entry.contact.bus_port,
                   world_clock(node));
    member_receive(node->member, &other->id, buffer_span(&packet), world_clock(node));
    buffer_free(&bytes);
    buffer_free(&packet);
}

START_TEST(three_clusters_that_wait_for_each_other_in_a_ring_become_one) {
    begin(3, 1);
    pass_ms(1000);
    for (size_t i = 0; i < 3; i++) {
        struct node *next = &world->nodes[(i + 1) % 3];
        stand_still(&world->nodes[i], next);
        world_meet(&world->nodes[i], next, TICKET + i);
    }
    pass_ms(3000); /* and do not wait until they give up */
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(nodes_of(&world->nodes[i]), 3);
    }
    end();
}
END_TEST

START_TEST(a_primary_that_dies_is_replaced_by_a_replica_in_sync) {
    form_shard(3, 2);
    uint64_t epoch = world->nodes[0].epoch;
    world_stop(&world->nodes[0], false);
    AWAIT(world_may_serve(&world->nodes[1]) || world_may_serve(&world->nodes[2]));
    world_start(&world->nodes[0]);
    AWAIT(world->nodes[0].role == MEMBER_REPLICA && world->nodes[0].epoch > epoch);
    end();
}
END_TEST

START_TEST(a_replica_that_is_told_to_takes_over_and_the_primary_follows) {
    form_shard(3, 1);
    member_fail_over(world->nodes[2].member, TICKET, MEMBER_HAND_OVER,
                     world_clock(&world->nodes[2]));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(&world->nodes[2]) && world->nodes[0].role == MEMBER_REPLICA);
    ck_assert(in_sync(&world->nodes[2], &world->nodes[0]));
    member_fail_over(world->nodes[2].member, TICKET, MEMBER_HAND_OVER,
                     world_clock(&world->nodes[2]));
    ck_assert_str_eq(await(), "ERR You should send CLUSTER FAILOVER to a replica");
    end();
}
END_TEST

START_TEST(a_node_that_is_to_stop_gives_its_shard_and_its_leadership_away) {
    form_shard(3, 1);
    member_leave(world->nodes[0].member, TICKET, 5000, world_clock(&world->nodes[0]));
    ck_assert_str_eq(await(), "");
    ck_assert_int_eq(world->nodes[0].role, MEMBER_REPLICA);
    struct member_status status;
    member_status_read(world->nodes[0].member, &status);
    ck_assert(!status.is_leader);
    end();
}
END_TEST

START_TEST(a_takeover_needs_no_replica_in_sync) {
    form_shard(3, 1);
    struct node *late = &world->nodes[2];
    for (size_t i = 0; i < 2; i++) {
        world->network.is_cut[i][2] = true;
        world->network.is_cut[2][i] = true;
    }
    AWAIT(!in_sync(&world->nodes[0], late));
    AWAIT(!in_sync(&world->nodes[1], late));
    member_fail_over(world->nodes[1].member, TICKET, MEMBER_FORCE, world_clock(&world->nodes[1]));
    ck_assert_str_eq(await(), "");
    network_heal(&world->network);
    AWAIT(late->epoch == world->nodes[1].epoch);
    member_fail_over(late->member, TICKET, MEMBER_TAKEOVER, world_clock(late));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(late));
    end();
}
END_TEST

START_TEST(who_is_forgotten_is_alone_and_may_come_back) {
    begin(NODES, 1);
    meet_all();
    struct map_change change = {.kind = MAP_NODE_REMOVE};
    memcpy(change.node, world->nodes[3].id.bytes, MAP_ID_BYTES);
    world_propose(&world->nodes[1], &change, 1, TICKET);
    ck_assert_str_eq(await(), "");
    AWAIT(nodes_of(&world->nodes[3]) == 1 && nodes_of(&world->nodes[0]) == NODES - 1);
    world_meet(&world->nodes[0], &world->nodes[3], TICKET);
    ck_assert_str_eq(await(), "");
    AWAIT(all_know(NODES));
    end();
}
END_TEST

START_TEST(a_reset_leaves_the_cluster_and_a_hard_one_the_name) {
    begin(NODES, 1);
    meet_all();
    struct raft_id id = world->nodes[2].id;
    member_reset(world->nodes[2].member, TICKET, false, world_clock(&world->nodes[2]));
    ck_assert_str_eq(await(), "");
    ck_assert_uint_eq(nodes_of(&world->nodes[2]), 1);
    pass_ms(100);
    ck_assert(raft_id_equal(&world->nodes[2].id, &id));
    member_reset(world->nodes[2].member, TICKET, true, world_clock(&world->nodes[2]));
    ck_assert_str_eq(await(), "");
    pass_ms(100);
    ck_assert(!raft_id_equal(&world->nodes[2].id, &id));
    AWAIT(nodes_of(&world->nodes[0]) == NODES - 1);
    end();
}
END_TEST

/* The group's log begins with the first life: there it is the primary that it is no more, and the
 * only voter. */
START_TEST(who_comes_back_to_the_cluster_that_it_founded_serves_nothing_that_it_had) {
    form_shard(NODES, 1);
    struct node *founder = &world->nodes[0];
    struct node *replica = &world->nodes[1];
    AWAIT(in_sync(replica, replica));
    member_fail_over(replica->member, TICKET, MEMBER_HAND_OVER, world_clock(replica));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(replica) && in_sync(replica, founder));
    member_reset(founder->member, TICKET, false, world_clock(founder));
    ck_assert_str_eq(await(), "");
    AWAIT(nodes_of(replica) == NODES - 1);
    world_meet(replica, founder, TICKET);
    ck_assert_str_eq(await(), "");
    AWAIT(all_know(NODES)); /* and at no time two primaries of one shard: end() */
    end();
}
END_TEST

static struct node *leader(void) {
    for (size_t i = 0; i < world->count; i++) {
        struct member_status status = {.is_leader = false};
        if (world->nodes[i].member != NULL) {
            member_status_read(world->nodes[i].member, &status);
        }
        if (status.is_leader) {
            return &world->nodes[i];
        }
    }
    ck_abort_msg("nobody leads");
    return NULL;
}

static void forget(struct node *at, const struct node *node) {
    struct map_change change = {.kind = MAP_NODE_REMOVE};
    memcpy(change.node, node->id.bytes, MAP_ID_BYTES);
    world_propose(at, &change, 1, TICKET);
    ck_assert_str_eq(await(), "");
}

/* Of two nodes one votes. */
START_TEST(who_alone_votes_gives_its_vote_away_before_it_is_forgotten) {
    begin(2, 1);
    meet_all();
    struct node *voter = leader();
    struct node *other = &world->nodes[voter == &world->nodes[0]];
    forget(other, voter);
    AWAIT(nodes_of(voter) == 1 && nodes_of(other) == 1);
    ck_assert_str_eq(give_slot(other, 2), "");
    ck_assert_str_eq(give_slot(voter, 2), "");
    end();
}
END_TEST

START_TEST(who_alone_votes_gives_its_vote_away_before_it_is_reset) {
    begin(2, 1);
    meet_all();
    struct node *voter = leader();
    struct node *other = &world->nodes[voter == &world->nodes[0]];
    member_reset(voter->member, TICKET, false, world_clock(voter));
    ck_assert_str_eq(await(), "");
    AWAIT(nodes_of(voter) == 1 && nodes_of(other) == 1);
    ck_assert_str_eq(give_slot(other, 2), "");
    world_meet(voter, other, TICKET);
    ck_assert_str_eq(await(), "");
    AWAIT(all_know(2));
    end();
}
END_TEST

START_TEST(who_alone_votes_is_not_reset_while_nobody_can_vote_instead) {
    begin(2, 1);
    meet_all();
    struct node *voter = leader();
    struct node *other = &world->nodes[voter == &world->nodes[0]];
    world_stop(other, false);
    pass_ms(2000);
    member_reset(voter->member, TICKET, false, world_clock(voter));
    ck_assert_str_eq(await(), "ERR This node alone decides on the map, and no other is there that "
                              "could: CLUSTER FORGET those that are gone first");
    forget(voter, other);
    member_reset(voter->member, TICKET, false, world_clock(voter));
    ck_assert_str_eq(await(), "");
    end();
}
END_TEST

START_TEST(who_stays_can_decide_when_all_voters_but_it_are_reset_at_once) {
    begin(NODES, 1);
    meet_all();
    pass_ms(2000);
    for (size_t i = 0; i + 1 < NODES; i++) {
        world->answers[TICKET + i].is_there = false;
        member_reset(world->nodes[i].member, TICKET + i, false, world_clock(&world->nodes[i]));
    }
    struct node *last = &world->nodes[NODES - 1];
    AWAIT(nodes_of(last) == 1);
    for (size_t i = 0; i + 1 < NODES; i++) {
        AWAIT(world->answers[TICKET + i].is_there);
        ck_assert_str_eq(world->answers[TICKET + i].error, "");
    }
    ck_assert_str_eq(give_slot(last, 2), "");
    end();
}
END_TEST

START_TEST(of_two_nodes_the_one_that_stops_leaves_the_other_able_to_go_on) {
    form_shard(2, 1);
    struct node *voter = leader();
    struct node *other = &world->nodes[voter == &world->nodes[0]];
    member_leave(voter->member, TICKET, 5000, world_clock(voter));
    ck_assert_str_eq(await(), "");
    world_stop(voter, false);
    AWAIT(world_may_serve(other) && !in_sync(other, voter));
    world_start(voter);
    AWAIT(in_sync(other, voter));
    end();
}
END_TEST

/* ---- leases ---- */

START_TEST(a_promise_outlives_the_process_that_gave_it) {
    form_shard(3, 1);
    configure(&world->nodes[0], 10000, false); /* its lease is ten times that of the others */
    pass_ms(1500);
    world->nodes[0].paused_until = world->now_ms + LIMIT_MS;
    for (size_t i = 1; i < 3; i++) {
        world_stop(&world->nodes[i], false);
        world_start(&world->nodes[i]);
    }
    AWAIT(world_may_serve(&world->nodes[1]) || world_may_serve(&world->nodes[2]));
    end();
}
END_TEST

static bool knows_addresses(const struct node *at) {
    for (uint16_t i = 0; i < nodes_of(at); i++) {
        if (at->map->nodes[i].facts.ip[0] == '\0') {
            return false;
        }
    }
    return true;
}

/* Nothing tells nodes their own addresses but others, which see where links come from. */
START_TEST(an_address_that_others_saw_outlives_the_process) {
    begin(3, 1);
    world->hides_addresses = true;
    for (size_t i = 0; i < 3; i++) {
        world_stop(&world->nodes[i], false);
        world_start(&world->nodes[i]);
    }
    pass_ms(1000);
    meet_all();
    AWAIT(knows_addresses(&world->nodes[0]) && knows_addresses(&world->nodes[1]) &&
          knows_addresses(&world->nodes[2]));
    for (size_t i = 1; i < 3; i++) {
        world_stop(&world->nodes[i], false);
        world_start(&world->nodes[i]);
    }
    for (uint64_t until = world->now_ms + 5000; world->now_ms < until;) {
        world_turn(world);
        ck_assert(knows_addresses(&world->nodes[0]));
    }
    end();
}
END_TEST

static uint64_t promise_kept(const struct node *node) {
    struct member_file file = MEMBER_FILE_EMPTY;
    ck_assert_int_eq(member_file_load(&node->disk, &file), 0);
    uint64_t promise_ms = file.promise_ms;
    member_file_free(&file);
    return promise_ms;
}

START_TEST(what_a_promise_may_last_is_kept_until_no_such_promise_stands) {
    form_shard(2, 1);
    uint64_t usual = promise_kept(&world->nodes[1]);
    ck_assert_uint_ge(usual, member_timing_of(0).lease_ms);
    configure(&world->nodes[0], 10000, false);
    AWAIT(promise_kept(&world->nodes[1]) >= member_timing_of(10000).lease_ms);
    configure(&world->nodes[0], 0, false);
    pass_ms(1000);
    ck_assert_uint_ge(promise_kept(&world->nodes[1]), member_timing_of(10000).lease_ms);
    AWAIT(promise_kept(&world->nodes[1]) == usual);
    end();
}
END_TEST

START_TEST(a_lease_lasts_as_long_as_was_asked_for) {
    form_shard(3, 1);
    struct node *primary = &world->nodes[0];
    uint64_t before = primary->lease_until;
    AWAIT(primary->lease_until != before);
    pass_ms(45);
    before = primary->lease_until;
    while (primary->lease_until == before) {
        configure(primary, 10000, false);
        world_turn(world);
    }
    ck_assert_uint_le(primary->lease_until, world_clock(primary) + member_timing_of(0).lease_ms);
    end();
}
END_TEST

/* ---- cluster-replica-no-failover ---- */

static bool is_known_never_to_fail_over(const struct node *at, const struct node *node) {
    return at->map->nodes[map_find(at->map, node->id.bytes)].no_failover;
}

START_TEST(a_replica_without_failover_takes_over_by_hand_only) {
    begin(3, 1);
    meet_all();
    ck_assert_str_eq(give_slot(&world->nodes[0], 0), "");
    struct node *replica = &world->nodes[1];
    replicate(replica, &world->nodes[0]);
    AWAIT(in_sync(replica, replica) && in_sync(&world->nodes[2], replica));
    configure(replica, 0, true);
    AWAIT(is_known_never_to_fail_over(&world->nodes[2], replica));
    pass_ms(1000);
    world_stop(&world->nodes[0], false);
    pass_ms(5000);
    ck_assert_int_ne(replica->role, MEMBER_PRIMARY);
    member_fail_over(replica->member, TICKET, MEMBER_FORCE, world_clock(replica));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(replica));
    end();
}
END_TEST

START_TEST(a_primary_that_stops_gives_nothing_to_a_replica_without_failover) {
    form_shard(3, 1);
    configure(&world->nodes[1], 0, true);
    AWAIT(is_known_never_to_fail_over(&world->nodes[0], &world->nodes[1]));
    member_leave(world->nodes[0].member, TICKET, 5000, world_clock(&world->nodes[0]));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(&world->nodes[2]));
    member_fail_over(world->nodes[1].member, TICKET, MEMBER_HAND_OVER,
                     world_clock(&world->nodes[1]));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(&world->nodes[1]));
    end();
}
END_TEST

/* The replica's copy stays short, so what the quorum acknowledges is held by the others. */
static void pass_while_late_ms(struct node *late, uint64_t ms) {
    for (uint64_t until = world->now_ms + ms; world->now_ms < until;) {
        late->copy.count = 0;
        world_turn(world);
    }
}

START_TEST(nobody_succeeds_who_may_lack_what_a_replica_without_failover_holds) {
    form_shard(3, 2);
    configure(&world->nodes[1], 0, true);
    AWAIT(is_known_never_to_fail_over(&world->nodes[2], &world->nodes[1]));
    pass_while_late_ms(&world->nodes[2], 2000);
    ck_assert(in_sync(&world->nodes[0], &world->nodes[2]));
    world_stop(&world->nodes[0], false);
    for (int i = 0; i < 1000; i++) {
        world_turn(world);
        ck_assert(!world_may_serve(&world->nodes[1]) && !world_may_serve(&world->nodes[2]));
    }
    world_start(&world->nodes[0]);
    AWAIT(world_may_serve(&world->nodes[0]));
    end();
}
END_TEST

/* ---- the quorum ---- */

static uint16_t quorum_of(const struct node *at) {
    return at->map->shards[at->map->nodes[map_find(at->map, at->id.bytes)].shard].quorum;
}

START_TEST(a_smaller_quorum_counts_once_all_hold_what_the_larger_one_acknowledged) {
    form_shard(3, 2);
    AWAIT(quorum_of(&world->nodes[0]) == 2);
    pass_while_late_ms(&world->nodes[2], 1000);
    world->quorum = 1;
    configure(&world->nodes[0], 0, false);
    pass_while_late_ms(&world->nodes[2], 3000);
    ck_assert_uint_eq(quorum_of(&world->nodes[0]), 2);
    AWAIT(quorum_of(&world->nodes[0]) == 1);
    end();
}
END_TEST

START_TEST(nobody_succeeds_who_may_lack_what_a_replica_held_that_was_given_away) {
    form_shard_of(4, 3, 2);
    struct node *primary = &world->nodes[0];
    struct node *left = &world->nodes[2];
    AWAIT(quorum_of(primary) == 2);
    world->network.is_cut[2][0] = true; /* what it misses from now on, the other one has */
    pass_ms(100);
    replicate(&world->nodes[1], &world->nodes[3]);
    world_stop(primary, false);
    world->network.is_cut[2][0] = false;
    pass_ms(3000);
    ck_assert(!world_may_serve(left));
    world_start(primary);
    AWAIT(world_may_serve(primary) || world_may_serve(left));
    AWAIT(!left->map->shards[left->map->nodes[map_find(left->map, left->id.bytes)].shard]
               .lacks_member);
    end();
}
END_TEST

/* ---- messages ---- */

START_TEST(messages_of_kinds_that_a_later_version_has_are_skipped_and_counted) {
    form_shard(2, 1);
    struct node *node = &world->nodes[0];
    char bytes[64] = {1, 100};
    memcpy(bytes + 2, node->group.bytes, RAFT_ID_BYTES);
    struct span message = span_of(bytes, sizeof(bytes));
    struct raft_id source = world->nodes[1].id;
    ck_assert(member_receive(node->member, &source, message, world_clock(node)));
    bytes[0] = 2;
    ck_assert(member_receive(node->member, &source, message, world_clock(node)));
    struct member_status status;
    member_status_read(node->member, &status);
    ck_assert_uint_eq(status.unknown_messages, 2);
    bytes[0] = 3; /* with that version there is nothing in common */
    ck_assert(!member_receive(node->member, &source, message, world_clock(node)));
    bytes[0] = 1;
    bytes[1] = 0;
    ck_assert(!member_receive(node->member, &source, message, world_clock(node)));
    end();
}
END_TEST

/* Its time for asking the same leader again is 18 s. */
START_TEST(a_wish_that_was_lost_with_the_leader_is_told_to_the_next_one) {
    begin(NODES, 1);
    meet_all();
    pass_ms(1000);
    struct node *old = leader();
    struct node *node = &world->nodes[old == &world->nodes[3] ? 2 : 3];
    configure(node, 60000, false);
    struct map_change change = {.kind = MAP_SLOTS_ADD};
    memcpy(change.node, node->id.bytes, MAP_ID_BYTES);
    slot_set_add(&change.slots, 1);
    world_propose(node, &change, 1, TICKET);
    world_stop(old, false);
    for (int i = 0; i < 1000 && !world->answers[TICKET].is_there; i++) {
        world_turn(world);
    }
    ck_assert(world->answers[TICKET].is_there);
    ck_assert_str_eq(world->answers[TICKET].error, "");
    end();
}
END_TEST

START_TEST(survivors_form_a_new_cluster_when_the_voters_are_lost) {
    form_shard(3, 1);
    member_override(world->nodes[1].member, TICKET, world_clock(&world->nodes[1]));
    ck_assert_str_eq(await(), "ERR The cluster has a leader: nothing is to be overridden");
    world_stop(&world->nodes[0], false);
    world_stop(&world->nodes[2], false);
    pass_ms(3000);
    member_override(world->nodes[1].member, TICKET, world_clock(&world->nodes[1]));
    ck_assert_str_eq(await(), "");
    AWAIT(world_may_serve(&world->nodes[1]));
    world_start(&world->nodes[2]);
    AWAIT(world->nodes[2].role == MEMBER_REPLICA && in_sync(&world->nodes[2], &world->nodes[2]));
    end();
}
END_TEST

START_TEST(one_that_did_not_vote_forms_a_new_cluster_when_all_voters_are_lost) {
    begin(NODES, 1);
    meet_all();
    pass_ms(2000);
    struct node *learner = NULL;
    for (size_t i = 0; i < NODES; i++) {
        struct member_status status;
        member_status_read(world->nodes[i].member, &status);
        learner = status.is_voter ? learner : &world->nodes[i];
    }
    ck_assert_ptr_nonnull(learner);
    for (size_t i = 0; i < NODES; i++) {
        if (&world->nodes[i] != learner) {
            world_stop(&world->nodes[i], false);
        }
    }
    pass_ms(3000);
    member_override(learner->member, TICKET, world_clock(learner));
    ck_assert_str_eq(await(), "");
    ck_assert_str_eq(give_slot(learner, 1), "");
    end();
}
END_TEST

START_TEST(a_primary_without_replicas_is_given_a_spare_one) {
    begin(5, 1);
    world->migrates_replicas = true;
    for (size_t i = 0; i < 5; i++) {
        world_stop(&world->nodes[i], false);
        world_start(&world->nodes[i]);
    }
    AWAIT(world_may_serve(&world->nodes[0]));
    meet_all();
    ck_assert_str_eq(give_slot(&world->nodes[0], 0), "");
    ck_assert_str_eq(give_slot(&world->nodes[1], 1), "");
    replicate(&world->nodes[2], &world->nodes[0]);
    replicate(&world->nodes[3], &world->nodes[0]);
    replicate(&world->nodes[4], &world->nodes[1]);
    AWAIT(in_sync(&world->nodes[1], &world->nodes[4]));
    world_stop(&world->nodes[4], false);
    uint16_t to = MAP_NOBODY;
    AWAIT((to = map_find(world->nodes[1].map, world->nodes[1].id.bytes)) != MAP_NOBODY &&
          map_shard_nodes(world->nodes[1].map, world->nodes[1].map->nodes[to].shard) == 3);
    end();
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        two_clusters_that_own_one_slot_do_not_merge,
        three_clusters_that_wait_for_each_other_in_a_ring_become_one,
        a_primary_that_dies_is_replaced_by_a_replica_in_sync,
        a_replica_that_is_told_to_takes_over_and_the_primary_follows,
        a_node_that_is_to_stop_gives_its_shard_and_its_leadership_away,
        a_takeover_needs_no_replica_in_sync,
        who_is_forgotten_is_alone_and_may_come_back,
        who_comes_back_to_the_cluster_that_it_founded_serves_nothing_that_it_had,
        a_reset_leaves_the_cluster_and_a_hard_one_the_name,
        who_alone_votes_gives_its_vote_away_before_it_is_forgotten,
        who_alone_votes_gives_its_vote_away_before_it_is_reset,
        who_alone_votes_is_not_reset_while_nobody_can_vote_instead,
        who_stays_can_decide_when_all_voters_but_it_are_reset_at_once,
        of_two_nodes_the_one_that_stops_leaves_the_other_able_to_go_on,
        a_promise_outlives_the_process_that_gave_it,
        an_address_that_others_saw_outlives_the_process,
        what_a_promise_may_last_is_kept_until_no_such_promise_stands,
        a_lease_lasts_as_long_as_was_asked_for,
        a_replica_without_failover_takes_over_by_hand_only,
        a_primary_that_stops_gives_nothing_to_a_replica_without_failover,
        nobody_succeeds_who_may_lack_what_a_replica_without_failover_holds,
        a_smaller_quorum_counts_once_all_hold_what_the_larger_one_acknowledged,
        nobody_succeeds_who_may_lack_what_a_replica_held_that_was_given_away,
        messages_of_kinds_that_a_later_version_has_are_skipped_and_counted,
        a_wish_that_was_lost_with_the_leader_is_told_to_the_next_one,
        survivors_form_a_new_cluster_when_the_voters_are_lost,
        one_that_did_not_vote_forms_a_new_cluster_when_all_voters_are_lost,
        a_primary_without_replicas_is_given_a_spare_one,
    };
    return unit_run(unit_suite("member", tests, UNIT_COUNT(tests)));
}
