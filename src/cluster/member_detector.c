#include "base/memory.h"
#include "cluster/member_core.h"

/* A new leader gives those that it has not heard so many heartbeats. */
#define GRACE_BEATS 4
#define CENSUS_BEATS 10

/* ---- nodes ---- */

struct member_node *member_node_find(const struct member *member, const struct raft_id *id) {
    for (size_t i = 0; i < member->node_count; i++) {
        if (raft_id_equal(&member->nodes[i].id, id)) {
            return &member->nodes[i];
        }
    }
    return NULL;
}

/* Nodes that are gone make room. The first place is this node's. */
void member_nodes_trim(struct member *member) {
    if (member->node_count <= MEMBER_PEERS_MAX - MAP_NODES_MAX) {
        return;
    }
    size_t kept = 1;
    for (size_t i = 1; i < member->node_count; i++) {
        const struct member_node *node = &member->nodes[i];
        if (node->is_linked || (member->state.map != NULL &&
                                map_find(member->state.map, node->id.bytes) != MAP_NOBODY)) {
            member->nodes[kept++] = *node;
        }
    }
    member->node_count = kept;
}

struct member_node *member_node_get(struct member *member, const struct raft_id *id) {
    struct member_node *known = member_node_find(member, id);
    if (known != NULL) {
        return known;
    }
    ASSERT(member->node_count < MEMBER_PEERS_MAX);
    member->nodes[member->node_count] = (struct member_node){.id = *id};
    return &member->nodes[member->node_count++];
}

struct member_node *member_node_at(struct member *member, uint16_t node) {
    struct raft_id id;
    memcpy(id.bytes, member->state.map->nodes[node].id, MAP_ID_BYTES);
    struct member_node *found = member_node_get(member, &id);
    if (found->known_ms == 0) {
        found->known_ms = member->now_ms;
    }
    return found;
}

/* Nothing was heard for so long; what was before this node led, or before the other one was in the
 * map, does not count. */
bool member_is_silent(const struct member *member, const struct member_node *node,
                      uint64_t limit_ms) {
    if (node == member_self(member)) {
        return false;
    }
    uint64_t grace_ms = GRACE_BEATS * member->timing.heartbeat_ms;
    uint64_t since = member->leads_since_ms + grace_ms;
    since = since > limit_ms ? since - limit_ms : 0;
    if (!node->is_heard && node->known_ms > since) {
        since = node->known_ms;
    }
    if (node->is_heard && node->heard_ms > since) {
        since = node->heard_ms;
    }
    if (node->is_dead && member->now_ms - since >= 2 * member->timing.heartbeat_ms) {
        return true;
    }
    return member->now_ms > since && member->now_ms - since >= limit_ms;
}

/* ---- pulses ---- */

static bool primary_is_heard(struct member *member) {
    const struct map_shard *shard = member_shard(member);
    if (shard == NULL || shard->primary == member_me(member)) {
        return false;
    }
    const struct member_node *primary = member_node_at(member, shard->primary);
    return primary->is_heard && !primary->is_dead &&
           member->now_ms - primary->heard_ms < member->timing.silent_ms &&
           (primary->pulse.flags & MEMBER_PULSE_WAITS) == 0;
}

static unsigned flags_of(struct member *member) {
    bool waits = member->role == MEMBER_WAITS;
    bool refuses = member->epoch != 0 && member->refused_epoch == member->epoch;
    const struct member_replication *replication = &member->replication;
    bool reports = waits && member->epoch != 0 && replication->is_loaded && replication->is_whole &&
                   replication->is_stopped && replication->role_epoch == member->epoch;
    return (waits ? (unsigned)MEMBER_PULSE_WAITS : 0) |
           (refuses ? (unsigned)MEMBER_PULSE_REFUSES : 0) |
           (reports ? (unsigned)MEMBER_PULSE_REPORTS : 0) |
           (replication->is_loaded ? 0 : (unsigned)MEMBER_PULSE_LOADING) |
           (primary_is_heard(member) ? (unsigned)MEMBER_PULSE_HEARS_PRIMARY : 0) |
           (member->leads_since_ms != 0 ? (unsigned)MEMBER_PULSE_LEADS : 0);
}

static void pulse_fill(struct member *member, struct member_pulse *pulse) {
    *pulse = (struct member_pulse){
        .flags = flags_of(member),
        .start = member->start,
        .map_index = member->state.map->index,
        .epoch = member->epoch,
        .history_epoch = member->replication.history.epoch,
        .position = member->replication.position,
    };
}

/* What others would hear of this node. */
void member_pulse_own(struct member *member) {
    struct member_node *self = member_self(member);
    self->is_heard = true;
    self->heard_ms = member->now_ms;
    if (member->state.map != NULL) {
        pulse_fill(member, &self->pulse);
    }
}

void member_pulse_send(struct member *member, const struct member_node *node) {
    if (member->state.map == NULL || !node->is_linked) {
        return;
    }
    struct member_message message = {.kind = MEMBER_PULSE};
    pulse_fill(member, &message.pulse);
    member_lease_ask(member, node, &message.pulse);
    message.pulse.asked_epoch = member_epoch_asked(member, node);
    message.pulse.asked_index = member->state.map->index;
    member_send(member, &node->id, &message);
}

void member_pulse_received(struct member *member, struct member_node *node,
                           const struct member_pulse *pulse) {
    node->is_heard = true;
    node->is_dead = false;
    node->heard_ms = member->now_ms;
    node->pulse = *pulse;
    member_lease_granted(member, node, pulse);
    member_lease_asked(member, node, pulse);
    if ((pulse->flags & MEMBER_PULSE_LEADS) != 0) {
        member_reports_asked(member, pulse);
    }
}

/* ---- the leader tells what it hears ---- */

static void census_send(struct member *member) {
    struct buffer list = BUFFER_EMPTY;
    const struct map *map = member->state.map;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        member_count_write(
            &(struct member_count){
                .position = node->pulse.position,
                .is_heard =
                    node->is_heard && !member_is_silent(member, node, member->timing.silent_ms),
                .is_loading = (node->pulse.flags & MEMBER_PULSE_LOADING) != 0,
            },
            &list);
    }
    struct member_message message = {
        .kind = MEMBER_CENSUS, .bytes = buffer_span(&list), .census_index = map->index};
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        if (node != member_self(member) && node->is_linked) {
            member_send(member, &node->id, &message);
        }
    }
    buffer_free(&list);
}

void member_census_received(struct member *member, const struct member_message *message) {
    const struct map *map = member->state.map;
    if (map == NULL || message->census_index != map->index ||
        message->bytes.length != map->nodes_count * (size_t)MEMBER_COUNT_BYTES) {
        return; /* of another map than this one: the next will do */
    }
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct member_node *node = member_node_at(member, i);
        node->census = member_count_at(message->bytes, i);
        if (node->census.is_heard) {
            node->census_ms = member->now_ms;
        }
    }
}

/* ---- health ---- */

static void lead_health(struct member *member) {
    const struct map *map = member->state.map;
    struct buffer changes = BUFFER_EMPTY;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct member_node *node = member_node_at(member, i);
        bool has_failed = member_is_silent(member, node, member->timing.failed_ms);
        bool is_well = node->is_heard && !member_is_silent(member, node, member->timing.silent_ms);
        if ((map->nodes[i].has_failed ? !is_well : !has_failed) ||
            member->now_ms - node->proposed_ms < member->timing.election_ms) {
            continue;
        }
        node->proposed_ms = member->now_ms;
        struct map_change *change = memory_alloc_zeroed(sizeof(*change));
        change->kind = MAP_NODE_HEALTH;
        change->flag = has_failed;
        memcpy(change->node, node->id.bytes, MAP_ID_BYTES);
        map_change_write(change, &changes);
        memory_free(change);
        char text[MAP_ID_TEXT_BYTES];
        member_say(member, MEMBER_NOTICE, "Node %s %s.", map_id_format(text, node->id.bytes),
                   has_failed ? "has failed: nothing is heard of it" : "is heard again");
    }
    if (changes.length > 0) {
        member_lead_changes(member, &changes);
    }
    buffer_free(&changes);
}

/* ---- heartbeats ---- */

static void send_pulses(struct member *member) {
    struct raft_id leader = member_leader(member);
    bool leads = member->leads_since_ms != 0;
    const struct map *map = member->state.map;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct member_node *node = member_node_at(member, i);
        if (node != member_self(member) &&
            (leads || raft_id_equal(&node->id, &leader) || member_is_mate(member, i))) {
            member_pulse_send(member, node);
        }
    }
}

void member_detector_beat(struct member *member) {
    if (member->state.map == NULL) {
        return;
    }
    member_pulse_own(member);
    send_pulses(member);
    if (member->leads_since_ms == 0) {
        return;
    }
    lead_health(member);
    if (member->beats % CENSUS_BEATS == 0) {
        census_send(member);
    }
}
