#include "cluster/member_core.h"

/* Clocks that run apart by less than a part in so many do no harm: a promise lasts longer. */
#define DRIFT_PART 16

static bool is_required(struct member *member, uint16_t node) {
    return member_is_mate(member, node) &&
           (member->state.map->nodes[node].is_in_sync || member_node_at(member, node)->is_joining);
}

/* ---- who promises ----
 *
 * A promise outlives the process that gave it. So what one may last is on disk before it is given:
 * a start keeps still for so long. Once no promise of that length stands, a shorter one may take
 * its place there.
 */

void member_lease_open(struct member *member) {
    member->promised_until_ms = member->now_ms + member->file.promise_ms;
    member->longest_until_ms = member->promised_until_ms;
}

/* False: it must not be given. A disk that fails is the consensus log's, too, which tells of it. */
static bool promise_keep(struct member *member, uint64_t promise_ms) {
    uint64_t kept_ms = member->file.promise_ms;
    bool is_longer = promise_ms > kept_ms;
    if (promise_ms > MEMBER_PROMISE_MS_MAX) {
        return false;
    }
    if (is_longer || (promise_ms < kept_ms && member->now_ms >= member->longest_until_ms)) {
        member->file.promise_ms = promise_ms;
        if (member_file_save(member->plan.disk, &member->file) != 0) {
            member->file.promise_ms = kept_ms;
            return !is_longer;
        }
    }
    if (promise_ms == member->file.promise_ms) {
        member->longest_until_ms = member->now_ms + promise_ms;
    }
    return true;
}

/* A primary asks this replica to follow no successor for a while. The time counts from now on: the
 * primary counts from when it asked. */
void member_lease_asked(struct member *member, struct member_node *node,
                        const struct member_pulse *pulse) {
    const struct map_shard *shard = member_shard(member);
    if (pulse->lease_sent_ms == 0 || shard == NULL || pulse->epoch != shard->epoch ||
        member_node_at(member, shard->primary) != node) {
        return;
    }
    struct member_message message = {.kind = MEMBER_PULSE};
    /* Who is to take over by force promises nothing more, so that its promise ends. */
    bool is_forcing = member->fail_over.is_active && member->fail_over_how != MEMBER_HAND_OVER;
    uint64_t promise_ms = (uint64_t)pulse->lease_ms + pulse->lease_ms / DRIFT_PART;
    member_pulse_own(member);
    message.pulse = member_self(member)->pulse;
    if (member->refused_epoch != shard->epoch && !is_forcing && promise_keep(member, promise_ms)) {
        uint64_t until = member->now_ms + promise_ms;
        member->promised_until_ms =
            until > member->promised_until_ms ? until : member->promised_until_ms;
        member->promised_epoch = shard->epoch;
        message.pulse.granted_ms = pulse->lease_sent_ms;
        message.pulse.lease_ms = pulse->lease_ms;
    }
    member_send(member, &node->id, &message);
}

/* ---- who serves ---- */

/* A node whose workers hang is to be replaced. */
static bool is_alive(const struct member *member) {
    return member->now_ms <= member->replication.workers_ms + member->timing.lease_ms / 2;
}

static bool may_lease(const struct member *member) {
    return member->role == MEMBER_PRIMARY && !(member->hand.is_active && member->hand.is_done);
}

void member_lease_ask(const struct member *member, const struct member_node *node,
                      struct member_pulse *pulse) {
    uint16_t place = map_find(member->state.map, node->id.bytes);
    if (place != MAP_NOBODY && member_is_mate(member, place) && may_lease(member) &&
        is_alive(member)) {
        pulse->lease_sent_ms = member->now_ms;
        pulse->lease_ms = (uint32_t)member->timing.lease_ms;
    }
}

void member_lease_granted(struct member *member, struct member_node *node,
                          const struct member_pulse *pulse) {
    if (member->role != MEMBER_PRIMARY || pulse->epoch != member->epoch) {
        return;
    }
    uint16_t place = map_find(member->state.map, node->id.bytes);
    if (place == MAP_NOBODY || !is_required(member, place)) {
        return;
    }
    if ((pulse->flags & MEMBER_PULSE_REFUSES) != 0) {
        member_refuse_epoch(member, member->state.map->index);
    } else if (pulse->granted_ms != 0 && pulse->granted_ms <= member->now_ms) {
        uint64_t until = pulse->granted_ms + pulse->lease_ms;
        node->granted_until_ms = until > node->granted_until_ms ? until : node->granted_until_ms;
    }
}

static uint64_t lease_until(struct member *member) {
    if (!may_lease(member)) {
        return 0;
    }
    uint64_t until = UINT64_MAX;
    const struct map *map = member->state.map;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (is_required(member, i)) {
            uint64_t granted = member_node_at(member, i)->granted_until_ms;
            until = granted < until ? granted : until;
        }
    }
    return until;
}

void member_lease_settle(struct member *member) {
    /* On its way into another group, what it was promised in the old one still counts. */
    uint64_t until = member_me(member) == MAP_NOBODY ? member->lease_until_ms : lease_until(member);
    if (until != member->lease_until_ms) {
        member->lease_until_ms = until;
        member->plan.outlet.lease(member->plan.outlet.context, until);
    }
}
