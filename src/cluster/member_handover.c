#include "base/memory.h"
#include "cluster/member_core.h"

#define ASK_MS 100

/* CLUSTER FAILOVER and SIGTERM: a primary makes way
 *
 *   replica -- make way --> primary: its writes wait (role.is_paused)
 *                           the replica holds all of its log
 *                           its lease ends, and it proposes the replica
 *   the entry is applied: the replica serves, the primary follows it and its clients are sent there
 *
 * Until it has proposed, the primary may go on as if nothing had been.
 */

/* ---- the primary ---- */

static const struct map *map_of(const struct member *member) {
    return member->state.map;
}

static uint16_t place_of(const struct member *member, const struct raft_id *id) {
    return map_of(member) == NULL ? (uint16_t)MAP_NOBODY : map_find(map_of(member), id->bytes);
}

static void hand_begin(struct member *member, const struct raft_id *to) {
    member->hand = (struct member_wish){.is_active = true,
                                        .deadline_ms = member->now_ms + member_wish_ms(member)};
    member->hand_to = *to;
}

static void make_way_answer(struct member *member, const struct raft_id *to, uint64_t epoch,
                            const char *error) {
    struct member_message answer = {.kind = MEMBER_MAKE_WAY_ANSWER};
    answer.make_way.epoch = epoch;
    memcpy(answer.make_way.error, error, strnlen(error, MEMBER_ERROR_MAX));
    member_send(member, to, &answer);
}

static void hand_end(struct member *member, const char *error) {
    member->hand.is_active = false;
    make_way_answer(member, &member->hand_to, member->epoch, error);
}

static void hand_done(struct member *member, uint64_t ticket, const char *error) {
    if (error != NULL && member->hand.is_active && ticket == member->epoch) {
        hand_end(member, error);
    }
}

/* Serves no more, and gives its place away. */
static void give_place(struct member *member, const struct member_node *to) {
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    struct buffer changes = BUFFER_EMPTY;
    change->kind = MAP_SUCCEED;
    memcpy(change->node, to->id.bytes, MAP_ID_BYTES);
    memcpy(change->peer, to->pulse.start.bytes, MAP_ID_BYTES);
    change->epoch = member->epoch;
    change->flag = true;
    map_change_write(change, &changes);
    memory_free(change);
    member->hand.is_done = true;
    member_lease_settle(member); /* before anybody hears of it */
    member_propose_changes(member, &changes, hand_done, member->epoch);
}

static bool hand_settle(struct member *member) {
    if (!member->hand.is_active || member->hand.is_done) {
        return false;
    }
    uint16_t place = place_of(member, &member->hand_to);
    const struct member_node *to = member_node_find(member, &member->hand_to);
    const struct member_replication *replication = &member->replication;
    if (place != MAP_NOBODY && to != NULL && map_of(member)->nodes[place].is_in_sync &&
        replication->is_paused && to->is_follower && to->position == replication->position &&
        to->is_heard && to->pulse.epoch == member->epoch && !member->is_sync_proposed) {
        give_place(member, to);
        return true;
    }
    if (member->now_ms >= member->hand.deadline_ms) {
        hand_end(member, "ERR The replica did not come to hold all that its primary holds in time");
        return true;
    }
    return false;
}

void member_make_way_received(struct member *member, struct member_node *node,
                              const struct member_message *message) {
    uint64_t epoch = message->make_way.epoch;
    if (message->kind == MEMBER_MAKE_WAY_ANSWER) {
        if (member->fail_over.is_active && epoch == member->fail_over_epoch &&
            message->make_way.error[0] != '\0') {
            member_answer(member, &member->fail_over, message->make_way.error);
        }
        return;
    }
    uint16_t place = place_of(member, &node->id);
    if (member->role != MEMBER_PRIMARY || epoch != member->epoch || place == MAP_NOBODY ||
        !member_is_mate(member, place)) {
        make_way_answer(member, &node->id, epoch, "ERR The node is not the primary any more");
    } else if (!member->hand.is_active) {
        hand_begin(member, &node->id);
    } else if (!raft_id_equal(&member->hand_to, &node->id)) {
        make_way_answer(member, &node->id, epoch, "ERR Another replica takes over just now");
    }
}

/* ---- the replica ---- */

static void put_leavers(const struct member *member, struct map_change *change,
                        struct buffer *changes) {
    const struct map_shard *shard = member_shard(member);
    for (uint16_t i = 0; i < map_of(member)->nodes_count; i++) {
        if (member_is_mate(member, i) && i != shard->primary &&
            map_of(member)->nodes[i].is_in_sync) {
            change->kind = MAP_IN_SYNC;
            memcpy(change->node, map_of(member)->nodes[i].id, MAP_ID_BYTES);
            map_change_write(change, changes);
        }
    }
}

static void force_done(struct member *member, uint64_t ticket, const char *error) {
    if (error != NULL && member->fail_over.is_active && member->fail_over.ticket == ticket) {
        member_answer(member, &member->fail_over, error);
    }
}

/* Nobody is asked but the voters. Others of the set may hold less: they join again. */
static void force(struct member *member) {
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    struct buffer changes = BUFFER_EMPTY;
    change->epoch = member->epoch;
    put_leavers(member, change, &changes);
    memcpy(change->node, member->file.id.bytes, MAP_ID_BYTES);
    if (member->fail_over_how == MEMBER_TAKEOVER) {
        change->kind = MAP_IN_SYNC;
        change->flag = true;
        map_change_write(change, &changes);
    }
    change->kind = MAP_SUCCEED;
    change->flag = false;
    memcpy(change->peer, member->start.bytes, MAP_ID_BYTES);
    map_change_write(change, &changes);
    memory_free(change);
    member->fail_over.is_done = true;
    member_propose_changes(member, &changes, force_done, member->fail_over.ticket);
}

static void force_settle(struct member *member) {
    if (!member->fail_over.is_done && member->now_ms >= member->promised_until_ms) {
        member_refuse_epoch(member, map_of(member)->index);
        const struct member_replication *replication = &member->replication;
        if (member->role == MEMBER_WAITS && replication->is_stopped && replication->is_loaded) {
            force(member);
        }
    }
}

static bool fail_over_settle(struct member *member) {
    if (!member->fail_over.is_active) {
        return false;
    }
    if (member->role == MEMBER_PRIMARY) {
        member_answer(member, &member->fail_over, NULL);
        return true;
    }
    if (member->epoch != member->fail_over_epoch) {
        member_answer(member, &member->fail_over, "ERR Another node has become the primary");
        return true;
    }
    if (member->now_ms >= member->fail_over.deadline_ms) {
        member_answer(member, &member->fail_over, "ERR The fail-over did not end in time");
        return true;
    }
    if (member->fail_over_how != MEMBER_HAND_OVER) {
        force_settle(member);
    } else if (member->make_way_ms == 0 || member->now_ms - member->make_way_ms >= ASK_MS) {
        member->make_way_ms = member->now_ms;
        struct member_message message = {.kind = MEMBER_MAKE_WAY};
        message.make_way.epoch = member->epoch;
        struct raft_id primary;
        memcpy(primary.bytes, map_of(member)->nodes[member_shard(member)->primary].id,
               MAP_ID_BYTES);
        member_send(member, &primary, &message);
    }
    return false;
}

void member_fail_over(struct member *member, uint64_t ticket, enum member_failover how,
                      uint64_t now_ms) {
    member->now_ms = now_ms > member->now_ms ? now_ms : member->now_ms;
    const struct map_shard *shard = member_shard(member);
    if (shard == NULL || shard->primary == member_me(member)) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR You should send CLUSTER FAILOVER to a replica");
    } else if (member->fail_over.is_active) {
        member->plan.outlet.answer(member->plan.outlet.context, ticket,
                                   "ERR A fail-over is under way already");
    } else {
        member_wish_begin(member, &member->fail_over, ticket, 0);
        member->fail_over_how = how;
        member->fail_over_epoch = shard->epoch;
        member->make_way_ms = 0;
    }
    member_settle(member);
}

/* ---- before the node stops ---- */

/* The one in sync that holds most. */
static const struct member_node *successor(struct member *member) {
    const struct member_node *best = NULL;
    for (uint16_t i = 0; map_of(member) != NULL && i < map_of(member)->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        if (member_is_mate(member, i) && map_of(member)->nodes[i].is_in_sync &&
            !map_of(member)->nodes[i].no_failover && node->is_follower &&
            !member_is_silent(member, node, member->timing.silent_ms) &&
            (best == NULL || node->position > best->position)) {
            best = node;
        }
    }
    return best;
}

/* Of two voters neither can decide without the other: in a cluster of two nodes the one that stays
 * is to vote alone. True: that, or another leader, is to be waited for. */
static bool leave_vote(struct member *member) {
    if (!member_leads(member)) {
        return member->leave.is_done && member_votes_with(member) == 2;
    }
    if (member_votes_with(member) > 2) {
        member->leave.is_done = member->leave.is_done || member_transfer(member);
    } else if (member_can_retire(member, &member->file.id)) {
        member_retire(member, &member->file.id);
        member->leave.is_done = true;
    }
    return member->leave.is_done;
}

/* Most of the voters are gone, perhaps all are told to end: nothing can be handed over. */
static bool nobody_leads(struct member *member) {
    struct raft_id leader = member_leader(member);
    if (!raft_id_is_none(&leader)) {
        member->leave_lost_ms = 0;
    } else if (member->leave_lost_ms == 0) {
        member->leave_lost_ms = member->now_ms;
    }
    return member->leave_lost_ms != 0 &&
           member->now_ms - member->leave_lost_ms >= 2 * member->timing.election_ms;
}

static bool leave_settle(struct member *member) {
    if (!member->leave.is_active) {
        return false;
    }
    if (nobody_leads(member)) {
        member_answer(member, &member->leave, "ERR Nobody leads the cluster any more");
        return true;
    }
    if (member->now_ms >= member->leave.deadline_ms) {
        member_answer(member, &member->leave, "ERR The hand-over did not end in time");
        return true;
    }
    if (member->hand.is_active) {
        return false;
    }
    const struct member_node *to = member->role == MEMBER_PRIMARY ? successor(member) : NULL;
    if (to != NULL) {
        hand_begin(member, &to->id);
        return true;
    }
    if (leave_vote(member)) {
        return false;
    }
    member_answer(member, &member->leave, NULL);
    return true;
}

void member_leave(struct member *member, uint64_t ticket, uint64_t timeout_ms, uint64_t now_ms) {
    member->now_ms = now_ms > member->now_ms ? now_ms : member->now_ms;
    member->leave_lost_ms = 0;
    member_wish_begin(member, &member->leave, ticket, timeout_ms);
    member_settle(member);
}

bool member_handover_settle(struct member *member) {
    if (member->state.map == NULL || member_me(member) == MAP_NOBODY) {
        return false;
    }
    bool has_fail_over = fail_over_settle(member);
    bool has_leave = leave_settle(member);
    return hand_settle(member) || has_fail_over || has_leave;
}
