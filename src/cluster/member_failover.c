#include "base/memory.h"
#include "cluster/member_core.h"

/* How an election goes:
 *
 *   the leader misses a shard's primary (silent, or it has started and waits)
 *     -> its pulses ask the shard's nodes to report
 *   a replica that does not hear its primary either, and whose promise to it is over,
 *     -> refuses the epoch for good: it grants no lease, and follows nobody
 *     -> reports, once what it holds does not grow any more
 *   the leader, when enough have reported
 *     -> one entry: the one that holds most succeeds, who holds less leaves the in-sync set
 */

/* ---- a node of the shard ---- */

void member_refuse_epoch(struct member *member, uint64_t map_index) {
    if (member->refused_epoch != member->epoch) {
        member->refused_epoch = member->epoch;
        member->refused_index = map_index;
    }
}

void member_reports_asked(struct member *member, const struct member_pulse *pulse) {
    const struct map_shard *shard = member_shard(member);
    if (shard == NULL || pulse->asked_epoch == 0 || pulse->asked_epoch != shard->epoch ||
        shard->primary == member_me(member)) {
        return;
    }
    const struct member_node *primary = member_node_at(member, shard->primary);
    bool is_gone = member_is_silent(member, primary, member->timing.silent_ms) ||
                   (primary->pulse.flags & MEMBER_PULSE_WAITS) != 0;
    if (is_gone && member->now_ms >= member->promised_until_ms) {
        member_refuse_epoch(member, pulse->asked_index);
    }
}

/* ---- the leader ---- */

struct election {
    const struct map *map;
    uint16_t shard;
    uint64_t epoch;
    uint32_t members; /* of the in-sync set */
    uint32_t reports;
    uint32_t above;   /* of these, hold more than the best: they take over by hand only */
    uint32_t awaited; /* could report, and have not */
    bool is_contradicted;
    uint16_t best;
};

static bool is_of_epoch(const struct election *election, const struct member_node *node) {
    return node->is_heard && node->pulse.epoch == election->epoch;
}

static bool has_reported(struct member *member, const struct election *election,
                         const struct member_node *node) {
    return is_of_epoch(election, node) && (node->pulse.flags & MEMBER_PULSE_REPORTS) != 0 &&
           !member_is_silent(member, node, member->timing.silent_ms);
}

/* Whom the leader misses: silent, or waiting. */
static bool is_missing(struct member *member, const struct election *election) {
    const struct member_node *primary =
        member_node_at(member, election->map->shards[election->shard].primary);
    return member_is_silent(member, primary, member->timing.silent_ms) ||
           (is_of_epoch(election, primary) && (primary->pulse.flags & MEMBER_PULSE_WAITS) != 0);
}

static int compare(const struct member_node *a, const struct member_node *b) {
    if (a->pulse.history_epoch != b->pulse.history_epoch) {
        return a->pulse.history_epoch < b->pulse.history_epoch ? -1 : 1;
    }
    return a->pulse.position == b->pulse.position  ? 0
           : a->pulse.position < b->pulse.position ? -1
                                                   : 1;
}

/* Of two that hold the same the primary goes on. */
static void look_at(struct member *member, struct election *election, uint16_t i) {
    const struct member_node *node = member_node_at(member, i);
    bool is_primary = election->map->shards[election->shard].primary == i;
    election->members++;
    if (has_reported(member, election, node)) {
        election->reports++;
        if (election->map->nodes[i].no_failover && !is_primary) {
            return;
        }
        int order = election->best == MAP_NOBODY
                        ? 1
                        : compare(node, member_node_at(member, election->best));
        if (order > 0 || (order == 0 && is_primary)) {
            election->best = i;
        }
    } else if (is_of_epoch(election, node) &&
               !member_is_silent(member, node, member->timing.silent_ms) &&
               (node->pulse.flags & MEMBER_PULSE_LOADING) == 0) {
        election->awaited++;
        election->is_contradicted |= (node->pulse.flags & MEMBER_PULSE_HEARS_PRIMARY) != 0;
    }
}

static bool is_of_set(const struct election *election, uint16_t i) {
    return election->map->nodes[i].shard == election->shard && election->map->nodes[i].is_in_sync;
}

static void election_hold(struct member *member, struct election *election) {
    const struct map *map = election->map;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (is_of_set(election, i)) {
            look_at(member, election, i);
        }
    }
    for (uint16_t i = 0; election->best != MAP_NOBODY && i < map->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        election->above += is_of_set(election, i) && has_reported(member, election, node) &&
                           compare(node, member_node_at(member, election->best)) > 0;
    }
}

/* Every acknowledged write is held by `quorum` members, or by all; so of this many one holds it,
 * and if none of them holds more than the best, that does. */
static uint32_t reports_needed(const struct election *election) {
    uint32_t quorum = election->map->shards[election->shard].quorum;
    if (election->map->shards[election->shard].lacks_member) {
        return election->members;
    }
    return quorum <= 1 || quorum > election->members ? 1 : election->members - quorum + 1;
}

static void put_change(const struct election *election, struct map_change *change, uint16_t node,
                       struct buffer *changes) {
    memcpy(change->node, election->map->nodes[node].id, MAP_ID_BYTES);
    change->epoch = election->epoch;
    map_change_write(change, changes);
}

static void put_leavers(struct member *member, const struct election *election,
                        struct map_change *change, struct buffer *changes) {
    const struct member_node *best = member_node_at(member, election->best);
    for (uint16_t i = 0; i < election->map->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        if (election->map->nodes[i].shard == election->shard &&
            election->map->nodes[i].is_in_sync &&
            election->map->shards[election->shard].primary != i && i != election->best &&
            !(has_reported(member, election, node) && compare(node, best) == 0)) {
            change->kind = MAP_IN_SYNC;
            change->flag = false;
            put_change(election, change, i, changes);
        }
    }
}

static void decide(struct member *member, const struct election *election) {
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    struct buffer changes = BUFFER_EMPTY;
    uint16_t was = election->map->shards[election->shard].primary;
    struct member_node *primary = member_node_at(member, was);
    const struct member_node *best = member_node_at(member, election->best);
    put_leavers(member, election, change, &changes);
    if (member_is_silent(member, primary, member->timing.silent_ms)) {
        change->kind = MAP_NODE_HEALTH;
        change->flag = true;
        put_change(election, change, was, &changes);
    }
    change->kind = MAP_SUCCEED;
    memcpy(change->peer, best->pulse.start.bytes, MAP_ID_BYTES);
    change->flag = has_reported(member, election, primary) && compare(primary, best) == 0;
    put_change(election, change, election->best, &changes);
    memory_free(change);
    primary->proposed_ms = member->now_ms;
    char text[MAP_ID_TEXT_BYTES];
    member_say(member, MEMBER_NOTICE, "Node %s becomes the primary of its shard: %u of %u reports.",
               map_id_format(text, best->id.bytes), election->reports, election->members);
    member_lead_changes(member, &changes);
}

static void lead_shard(struct member *member, uint16_t shard) {
    struct election election = {.map = member->state.map,
                                .shard = shard,
                                .epoch = member->state.map->shards[shard].epoch,
                                .best = MAP_NOBODY};
    struct member_node *primary = member_node_at(member, election.map->shards[shard].primary);
    if (!is_missing(member, &election)) {
        primary->missing_epoch = 0;
        return;
    }
    if (primary->missing_epoch != election.epoch) {
        primary->missing_epoch = election.epoch;
        primary->missing_ms = member->now_ms;
        primary->proposed_ms = 0;
        member->is_beating = true;
    }
    election_hold(member, &election);
    bool waits =
        election.awaited > 0 && member->now_ms - primary->missing_ms < 2 * member->timing.lease_ms;
    bool was_proposed = primary->proposed_ms != 0 &&
                        member->now_ms - primary->proposed_ms < member->timing.election_ms;
    if (election.best != MAP_NOBODY &&
        election.reports - election.above >= reports_needed(&election) && !waits &&
        !election.is_contradicted && !was_proposed) {
        decide(member, &election);
    }
}

uint64_t member_epoch_asked(struct member *member, const struct member_node *node) {
    uint16_t place = map_find(member->state.map, node->id.bytes);
    if (member->leads_since_ms == 0 || place == MAP_NOBODY) {
        return 0;
    }
    const struct map_shard *shard =
        &member->state.map->shards[member->state.map->nodes[place].shard];
    const struct member_node *primary = member_node_at(member, shard->primary);
    return primary->missing_epoch == shard->epoch ? shard->epoch : 0;
}

void member_failover_lead(struct member *member) {
    if (member->leads_since_ms == 0 || member->state.merge.number != 0) {
        return;
    }
    member_pulse_own(member);
    const struct map *map = map_borrow(member->state.map);
    for (uint16_t shard = 0; shard < map->nodes_count && member->state.map == map; shard++) {
        if (map->shards[shard].epoch != 0) {
            lead_shard(member, shard);
        }
    }
    /* The leader may be one of those that are asked. */
    struct member_pulse own = {.asked_epoch = member_epoch_asked(member, member_self(member)),
                               .asked_index = map->index};
    member_reports_asked(member, &own);
    map_return((struct map *)map);
}
