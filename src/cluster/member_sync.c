#include "base/hash.h"
#include "base/memory.h"
#include "cluster/member_core.h"

/* What a primary knows of its replicas in this epoch. */
void member_sync_forget(struct member *member) {
    for (size_t i = 0; i < member->node_count; i++) {
        struct member_node *node = &member->nodes[i];
        node->granted_until_ms = 0;
        node->is_leaving = false;
        node->is_follower = false;
        node->has_mark = false;
        node->position = 0;
    }
    member->sync_set_hash = 0;
    member->quorum_reading = 0;
}

static uint64_t set_hash(const struct member *member) {
    const struct map *map = member->state.map;
    uint64_t hash = member->epoch | 1;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (member_is_mate(member, i) && map->nodes[i].is_in_sync) {
            hash = XXH3_64bits_withSeed(map->nodes[i].id, MAP_ID_BYTES, hash);
        }
    }
    return hash;
}

/* ---- followers: their marks ---- */

/* The set has changed: what was acknowledged until now, a new member must hold. */
static void marks_renew(struct member *member) {
    uint64_t hash = set_hash(member);
    for (size_t i = 0; hash != member->sync_set_hash && i < member->node_count; i++) {
        member->nodes[i].has_mark = false;
    }
    member->quorum_reading = hash == member->sync_set_hash ? member->quorum_reading : 0;
    member->sync_set_hash = hash;
}

static void follow(struct member *member) {
    const struct member_replication *replication = &member->replication;
    for (size_t i = 0; i < member->node_count; i++) {
        member->nodes[i].is_follower = false;
    }
    for (size_t i = 0; i < replication->follower_count; i++) {
        struct member_node *node = member_node_find(member, &replication->followers[i].id);
        if (node == NULL) {
            continue;
        }
        node->is_follower = true;
        node->position = replication->followers[i].position;
        if (!node->has_mark) {
            node->has_mark = true;
            node->mark = replication->position;
        }
    }
    for (size_t i = 0; i < member->node_count; i++) {
        member->nodes[i].has_mark &= member->nodes[i].is_follower;
    }
}

/* ---- proposals, one at a time ---- */

static void propose_done(struct member *member, uint64_t ticket, const char *error) {
    (void)ticket;
    (void)error; /* another epoch: then all of this is somebody else's */
    member->is_sync_proposed = false;
    for (size_t i = 0; i < member->node_count; i++) {
        member->nodes[i].is_joining = false;
    }
}

static void put_change(const struct member *member, const struct map_change *change,
                       struct buffer *changes) {
    struct map_change *copy = memory_copy(change, sizeof(*change));
    copy->epoch = member->epoch;
    map_change_write(copy, changes);
    memory_free(copy);
}

static void put_in_sync(struct member *member, uint16_t node, bool flag, struct buffer *changes) {
    struct map_change change = {.kind = MAP_IN_SYNC, .flag = flag};
    memcpy(change.node, member->state.map->nodes[node].id, MAP_ID_BYTES);
    put_change(member, &change, changes);
    char text[MAP_ID_TEXT_BYTES];
    member_say(member, MEMBER_NOTICE, "Replica %s %s the in-sync set.",
               map_id_format(text, change.node), flag ? "joins" : "leaves");
}

/* Members that are silent cease to count for the quorum: it may be that their links to this log
 * live, so what they acknowledge would be held by nobody who stays. True: one more does, or is
 * heard again. */
static bool mark_silent(struct member *member) {
    const struct map *map = member->state.map;
    bool has_changed = false;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct member_node *node = member_node_at(member, i);
        bool is_leaving = member_is_mate(member, i) && map->nodes[i].is_in_sync &&
                          member_is_silent(member, node, member->timing.silent_ms);
        if (is_leaving != node->is_leaving) {
            node->is_leaving = is_leaving;
            node->leaving_reading = member->readings;
            node->leaving_mark = 0;
            has_changed = true;
        }
    }
    return has_changed;
}

/* They leave once those that stay hold all that they held when they counted last: that is known
 * from the next reading on, or if they do not follow the log any more it is no more than there was
 * of it. */
static void remove_silent(struct member *member, struct buffer *changes) {
    const struct map *map = member->state.map;
    uint64_t held = 0;
    uint64_t stays = UINT64_MAX;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (member_is_mate(member, i) && map->nodes[i].is_in_sync) {
            struct member_node *node = member_node_at(member, i);
            if (node->is_leaving && node->leaving_reading == member->readings) {
                return;
            }
            if (node->is_leaving && node->leaving_mark == 0) {
                node->leaving_mark = member->replication.position;
            }
            uint64_t most = node->is_follower ? node->position : node->leaving_mark;
            held = node->is_leaving && most > held ? most : held;
            stays = !node->is_leaving && node->position < stays ? node->position : stays;
        }
    }
    for (uint16_t i = 0; stays >= held && i < map->nodes_count; i++) {
        if (member_is_mate(member, i) && map->nodes[i].is_in_sync &&
            member_node_at(member, i)->is_leaving) {
            put_in_sync(member, i, false, changes);
        }
    }
}

static void add_followers(struct member *member, struct buffer *changes) {
    const struct map *map = member->state.map;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        struct member_node *node = member_node_at(member, i);
        if (member_is_mate(member, i) && !map->nodes[i].is_in_sync && node->is_follower &&
            node->has_mark && node->position >= node->mark && node->is_heard &&
            node->pulse.epoch == member->epoch &&
            (node->pulse.flags & (MEMBER_PULSE_REFUSES | MEMBER_PULSE_LOADING)) == 0 &&
            !member_is_silent(member, node, member->timing.silent_ms)) {
            node->is_joining = true;
            put_in_sync(member, i, true, changes);
        }
    }
}

/* Every member holds what there was when the quorum was to change: what was acknowledged under the
 * old one is safe under any. Meanwhile replies wait for the larger one. */
static bool quorum_may_change(struct member *member) {
    const struct map *map = member->state.map;
    if (member->quorum_reading == 0) {
        member->quorum_reading = member->readings;
        member->quorum_mark = 0;
    }
    if (member->quorum_reading == member->readings) {
        return false;
    }
    if (member->quorum_mark == 0) {
        member->quorum_mark = member->replication.position;
    }
    bool is_held = true;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        is_held &= !member_is_mate(member, i) || !map->nodes[i].is_in_sync ||
                   (node->is_follower && node->position >= member->quorum_mark);
    }
    return is_held;
}

static void set_quorum(struct member *member, struct buffer *changes) {
    uint16_t quorum = member->plan.quorum == 0 ? 1 : member->plan.quorum;
    const struct map_shard *shard = member_shard(member);
    if (shard->quorum == quorum && !shard->lacks_member) {
        member->quorum_reading = 0;
    } else if (quorum_may_change(member)) {
        struct map_change change = {.kind = MAP_QUORUM, .slot = quorum};
        memcpy(change.node, member->file.id.bytes, MAP_ID_BYTES);
        put_change(member, &change, changes);
    }
}

/* ---- a spare replica for a primary that has none (cluster-migration-barrier) ---- */

static uint32_t replicas_well(struct member *member, uint16_t shard) {
    const struct map *map = member->state.map;
    uint32_t count = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        count += map->nodes[i].shard == shard && !map->nodes[i].has_failed &&
                 map->shards[shard].primary != i;
    }
    return count;
}

/* The shard with slots that has lost its replicas; MAP_NOBODY: there is none. One that never had
 * any is left as it is, as Redis does. */
static uint16_t orphan(struct member *member) {
    const struct map *map = member->state.map;
    for (uint16_t shard = 0; shard < map->nodes_count; shard++) {
        const struct map_shard *place = &map->shards[shard];
        if (place->epoch != 0 && place->slots > 0 && map_shard_nodes(map, shard) > 1 &&
            !map->nodes[place->primary].has_failed && replicas_well(member, shard) == 0) {
            return shard;
        }
    }
    return MAP_NOBODY;
}

/* Of all shards this one has the most replicas; of those that have as many it is the first. */
static bool is_giver(struct member *member) {
    const struct map *map = member->state.map;
    uint16_t mine = map->nodes[member_me(member)].shard;
    uint32_t most = replicas_well(member, mine);
    for (uint16_t shard = 0; shard < map->nodes_count; shard++) {
        if (map->shards[shard].epoch != 0 && shard != mine) {
            uint32_t count = replicas_well(member, shard);
            if (count > most || (count == most && shard < mine)) {
                return false;
            }
        }
    }
    return most > member->plan.migration_barrier && most > 1;
}

/* Whose leaving takes nothing from the set that the others do not hold: who is not in it, or holds
 * no more than any other. */
static uint16_t spare(struct member *member) {
    const struct map *map = member->state.map;
    uint16_t best = MAP_NOBODY;
    uint64_t lowest = UINT64_MAX;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct member_node *node = member_node_at(member, i);
        if (!member_is_mate(member, i) || map->nodes[i].has_failed) {
            continue;
        }
        uint64_t position = map->nodes[i].is_in_sync ? node->position : 0;
        if (position < lowest || best == MAP_NOBODY) {
            lowest = position;
            best = i;
        }
    }
    return best;
}

static void give_replica(struct member *member, struct buffer *changes) {
    uint16_t to = member->plan.migrates_replicas ? orphan(member) : MAP_NOBODY;
    if (to == MAP_NOBODY || member->state.map->nodes[member_me(member)].shard == to ||
        !is_giver(member)) {
        return;
    }
    const struct map *map = member->state.map;
    uint16_t who = spare(member);
    if (who == MAP_NOBODY) {
        return;
    }
    struct map_change change = {.kind = MAP_REPLICATE};
    memcpy(change.node, map->nodes[who].id, MAP_ID_BYTES);
    memcpy(change.peer, map->nodes[map->shards[to].primary].id, MAP_ID_BYTES);
    put_change(member, &change, changes);
    char text[MAP_ID_TEXT_BYTES];
    member_say(member, MEMBER_NOTICE, "Replica %s is given to a primary that has none.",
               map_id_format(text, change.node));
}

bool member_sync_settle(struct member *member) {
    if (member->role != MEMBER_PRIMARY || member_me(member) == MAP_NOBODY ||
        member->state.merge.number != 0) {
        return false;
    }
    marks_renew(member);
    follow(member);
    if (member->is_sync_proposed || member->hand.is_active || !member->replication.is_loaded) {
        return false; /* Who is being removed counts for nothing until that is settled. */
    }
    if (mark_silent(member)) {
        return true;
    }
    struct buffer changes = BUFFER_EMPTY;
    remove_silent(member, &changes);
    if (changes.length == 0) {
        add_followers(member, &changes);
    }
    if (changes.length == 0) {
        set_quorum(member, &changes);
    }
    if (changes.length == 0) {
        give_replica(member, &changes);
    }
    member->is_sync_proposed = changes.length > 0;
    if (member->is_sync_proposed) {
        member_propose_changes(member, &changes, propose_done, 0);
    }
    buffer_free(&changes);
    return false;
}
