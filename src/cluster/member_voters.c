#include "cluster/member_core.h"

/* Who belongs to the group is who is in the map; who votes is chosen so that
 *   - there are as many as cluster-voters says, or the largest odd number of nodes below it;
 *   - a voter that has failed is replaced by a node that has not;
 *   - they stand in as many zones as there are.
 * One change at a time, each once the one before it is committed.
 *
 * Who votes leaves the map only when it votes no more: the entry that takes it out would else be
 * the last that the group can agree on. So it retires first, and whoever asked asks again.
 *   a leader that retires:  hands over to a voter; if there is none, a learner is promoted first
 *   any other voter:        is demoted, if those that vote then are there
 */

/* Who is to leave does not vote again for so many election times, if nobody asks once more. */
#define RETIRE_ELECTIONS 4

/* Voters and what is wanted of them do not count those that retire. */
struct choice {
    const struct map *map;
    const struct raft_config *config;
    size_t voters;
    size_t wanted;
};

static bool is_retiring(const struct member *member, const struct raft_id *id) {
    const struct member_node *node = member_node_find(member, id);
    return node != NULL && node->retires_ms != 0 &&
           member->now_ms - node->retires_ms < RETIRE_ELECTIONS * member->timing.election_ms;
}

static uint16_t place_of(const struct choice *choice, const struct raft_id *id) {
    return map_find(choice->map, id->bytes);
}

/* Voters in the zone of that node, but itself. A node without a zone is alone in one. */
static size_t crowd_of(const struct choice *choice, uint16_t place) {
    const struct map_node *node = &choice->map->nodes[place];
    size_t count = 0;
    for (size_t i = 0; i < choice->config->count && node->facts.zone[0] != '\0'; i++) {
        const struct raft_config_member *member = &choice->config->members[i];
        uint16_t other = member->is_voter ? place_of(choice, &member->id) : (uint16_t)MAP_NOBODY;
        count += other != MAP_NOBODY && other != place &&
                 strcmp(choice->map->nodes[other].facts.zone, node->facts.zone) == 0;
    }
    return count;
}

static bool is_well(struct member *member, const struct choice *choice, const struct raft_id *id) {
    uint16_t place = place_of(choice, id);
    const struct member_node *node = member_node_find(member, id);
    return place != MAP_NOBODY && !choice->map->nodes[place].has_failed && node != NULL &&
           !member_is_silent(member, node, member->timing.silent_ms);
}

/* The voter that can be spared first: one that has failed, else of the fullest zone; never the
 * leader. NULL: there is none. */
static const struct raft_id *worst_voter(struct member *member, const struct choice *choice,
                                         bool is_failed_only, size_t *crowd) {
    const struct raft_id *worst = NULL;
    *crowd = 0;
    for (size_t i = 0; i < choice->config->count; i++) {
        const struct raft_config_member *voter = &choice->config->members[i];
        uint16_t place = place_of(choice, &voter->id);
        if (!voter->is_voter || place == MAP_NOBODY ||
            raft_id_equal(&voter->id, &member->file.id) || is_retiring(member, &voter->id)) {
            continue;
        }
        if (choice->map->nodes[place].has_failed) {
            return &voter->id;
        }
        size_t here = crowd_of(choice, place);
        if (!is_failed_only && (worst == NULL || here > *crowd)) {
            worst = &voter->id;
            *crowd = here;
        }
    }
    return worst;
}

/* The learner in the emptiest zone that is well. NULL: there is none. */
static const struct raft_id *best_learner(struct member *member, const struct choice *choice,
                                          size_t *crowd) {
    const struct raft_id *best = NULL;
    for (size_t i = 0; i < choice->config->count; i++) {
        const struct raft_config_member *learner = &choice->config->members[i];
        const struct member_node *node = member_node_find(member, &learner->id);
        if (learner->is_voter || !is_well(member, choice, &learner->id) || !node->is_heard ||
            is_retiring(member, &learner->id)) {
            continue;
        }
        size_t here = crowd_of(choice, place_of(choice, &learner->id));
        if (best == NULL || here < *crowd) {
            best = &learner->id;
            *crowd = here;
        }
    }
    return best;
}

/* Members that are not in the map, and nodes of the map that are no members. */
static bool change_members(const struct choice *choice, struct raft_change *change) {
    for (size_t i = 0; i < choice->config->count; i++) {
        if (place_of(choice, &choice->config->members[i].id) == MAP_NOBODY) {
            *change = (struct raft_change){.kind = RAFT_CHANGE_REMOVE,
                                           .id = choice->config->members[i].id};
            return true;
        }
    }
    for (uint16_t i = 0; i < choice->map->nodes_count; i++) {
        struct raft_id id;
        memcpy(id.bytes, choice->map->nodes[i].id, MAP_ID_BYTES);
        if (!raft_config_has(choice->config, &id)) {
            *change = (struct raft_change){.kind = RAFT_CHANGE_ADD, .id = id};
            return true;
        }
    }
    return false;
}

/* Without this voter a majority of the others is there. */
static bool can_spare(struct member *member, const struct choice *choice,
                      const struct raft_id *id) {
    size_t others = 0;
    size_t well = 0;
    for (size_t i = 0; i < choice->config->count; i++) {
        const struct raft_config_member *voter = &choice->config->members[i];
        if (voter->is_voter && !raft_id_equal(&voter->id, id)) {
            others++;
            well += is_well(member, choice, &voter->id);
        }
    }
    return 2 * well > others;
}

/* A voter that retires, but the leader: it hands over first. */
static bool change_retiring(struct member *member, const struct choice *choice,
                            struct raft_change *change) {
    for (size_t i = 0; choice->voters > 0 && i < choice->config->count; i++) {
        const struct raft_id *id = &choice->config->members[i].id;
        if (choice->config->members[i].is_voter && is_retiring(member, id) &&
            !raft_id_equal(id, &member->file.id) && can_spare(member, choice, id)) {
            *change = (struct raft_change){.kind = RAFT_CHANGE_DEMOTE, .id = *id};
            return true;
        }
    }
    return false;
}

static bool change_voters(struct member *member, const struct choice *choice,
                          struct raft_change *change) {
    size_t worst_crowd = 0;
    size_t best_crowd = 0;
    const struct raft_id *best = best_learner(member, choice, &best_crowd);
    bool is_failed_only = choice->voters <= choice->wanted;
    const struct raft_id *worst = worst_voter(member, choice, is_failed_only, &worst_crowd);
    if (choice->voters > choice->wanted || (is_failed_only && worst != NULL && best != NULL)) {
        if (worst != NULL) {
            *change = (struct raft_change){.kind = RAFT_CHANGE_DEMOTE, .id = *worst};
        }
        return worst != NULL;
    }
    /* One more for a while, where a zone has two too many: the fullest loses one then. */
    worst_voter(member, choice, false, &worst_crowd);
    bool is_crowded = choice->voters == choice->wanted && worst_crowd > best_crowd &&
                      choice->voters < RAFT_VOTERS_MAX;
    if (best == NULL || (choice->voters == choice->wanted && !is_crowded)) {
        return false;
    }
    *change = (struct raft_change){.kind = RAFT_CHANGE_PROMOTE, .id = *best};
    return true;
}

static size_t voters_wanted(const struct member *member, const struct map *map) {
    size_t nodes = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct raft_id id;
        memcpy(id.bytes, map->nodes[i].id, MAP_ID_BYTES);
        nodes += !is_retiring(member, &id);
    }
    size_t wanted = member->plan.voters == 0 ? 3 : member->plan.voters;
    wanted = wanted < RAFT_VOTERS_MAX ? wanted : RAFT_VOTERS_MAX;
    wanted = wanted < nodes ? wanted : nodes;
    return wanted == 0 ? 1 : wanted % 2 == 0 ? wanted - 1 : wanted;
}

static size_t voters_staying(const struct member *member, const struct raft_config *config) {
    size_t count = 0;
    for (size_t i = 0; i < config->count; i++) {
        count += config->members[i].is_voter && !is_retiring(member, &config->members[i].id);
    }
    return count;
}

static struct choice choice_of(const struct member *member, const struct raft_status *status) {
    return (struct choice){.map = member->state.map,
                           .config = status->config,
                           .voters = voters_staying(member, status->config),
                           .wanted = voters_wanted(member, member->state.map)};
}

bool member_transfer(struct member *member) {
    struct raft_status status;
    raft_status_read(raft_member_raft(member->log), &status);
    for (size_t i = 0; i < status.config->count; i++) {
        const struct raft_config_member *voter = &status.config->members[i];
        const struct member_node *node = member_node_find(member, &voter->id);
        if (voter->is_voter && node != NULL && node != member_self(member) && node->is_linked &&
            !is_retiring(member, &voter->id) &&
            !member_is_silent(member, node, member->timing.silent_ms) &&
            raft_member_transfer(member->log, &voter->id) == RAFT_ACCEPTED) {
            return true;
        }
    }
    return false;
}

void member_voters_lead(struct member *member) {
    struct raft_status status;
    if (member->leads_since_ms == 0 || member->log == NULL) {
        return;
    }
    raft_status_read(raft_member_raft(member->log), &status);
    if (status.role != RAFT_LEADER || status.config_index > status.commit ||
        member_me(member) == MAP_NOBODY) {
        return;
    }
    if (is_retiring(member, &member->file.id) && member_transfer(member)) {
        return;
    }
    struct choice choice = choice_of(member, &status);
    struct raft_change change;
    if (change_members(&choice, &change) || change_retiring(member, &choice, &change) ||
        change_voters(member, &choice, &change)) {
        struct raft_position place;
        raft_member_change(member->log, &change, &place);
    }
}

/* ---- who is to leave ---- */

bool member_can_retire(struct member *member, const struct raft_id *id) {
    struct raft_status status;
    raft_status_read(raft_member_raft(member->log), &status);
    struct choice choice = choice_of(member, &status);
    for (size_t i = 0; i < status.config->count; i++) {
        const struct raft_id *other = &status.config->members[i].id;
        if (!raft_id_equal(other, id) && !is_retiring(member, other) &&
            is_well(member, &choice, other)) {
            return true;
        }
    }
    return false;
}

bool member_retire(struct member *member, const struct raft_id *id) {
    struct raft_status status;
    raft_status_read(raft_member_raft(member->log), &status);
    if (!raft_config_has_voter(status.config, id) || member->state.map->nodes_count == 1) {
        return true;
    }
    if (is_retiring(member, id) || member_can_retire(member, id)) {
        member_node_get(member, id)->retires_ms = member->now_ms;
    }
    return false;
}

size_t member_votes_with(const struct member *member) {
    struct raft_status status;
    if (member->log == NULL) {
        return 0;
    }
    raft_status_read(raft_member_raft(member->log), &status);
    return raft_config_has_voter(status.config, &member->file.id)
               ? raft_config_voters(status.config)
               : 0;
}
