#include "base/hash.h"
#include "base/memory.h"
#include "cluster/member_core.h"

/* ---- another epoch, another primary: what was promised and granted in the last one is over
 * ---- */

static void epoch_set(struct member *member, uint64_t epoch) {
    member->epoch = epoch;
    member->refused_epoch = 0;
    if (member->hand.is_active) {
        member->hand.is_active = false; /* it was done, or somebody else was faster */
    }
    member_sync_forget(member);
}

/* Who is in no set need not refuse: nobody asks for its promise. */
static void forgive(struct member *member) {
    const struct map *map = member->state.map;
    uint16_t me = member_me(member);
    if (member->refused_epoch == member->epoch && member->epoch != 0 &&
        map->index >= member->refused_index && !map->nodes[me].is_in_sync &&
        !member->fail_over.is_active) {
        member->refused_epoch = 0;
    }
}

static enum member_role_kind role_of(const struct member *member) {
    const struct map_shard *shard = member_shard(member);
    bool refuses = member->refused_epoch == shard->epoch;
    if (shard->primary == member_me(member)) {
        bool is_granted = memcmp(shard->granted, member->start.bytes, MAP_ID_BYTES) == 0;
        return is_granted && !refuses ? MEMBER_PRIMARY : MEMBER_WAITS;
    }
    return refuses ? MEMBER_WAITS : MEMBER_REPLICA;
}

/* ---- telling ---- */

static size_t list_peers(const struct member *member, struct raft_id *peers) {
    const struct map *map = member->state.map;
    size_t count = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (member_is_mate(member, i) && map->nodes[i].is_in_sync &&
            !member_node_at((struct member *)member, i)->is_leaving) {
            memcpy(peers[count++].bytes, map->nodes[i].id, MAP_ID_BYTES);
        }
    }
    return count;
}

static void role_fill(const struct member *member, struct member_role *role) {
    const struct map *map = member->state.map;
    const struct map_shard *shard = member_shard(member);
    memset(role, 0, sizeof(*role)); /* so that equal ones have equal bytes */
    role->kind = member->role;
    role->epoch = shard->epoch;
    role->is_paused = member->hand.is_active;
    role->quorum = shard->quorum;
    if (member->role == MEMBER_REPLICA) {
        memcpy(role->primary.bytes, map->nodes[shard->primary].id, MAP_ID_BYTES);
        role->facts = map->nodes[shard->primary].facts;
    }
}

static bool role_tell(struct member *member) {
    struct raft_id *peers = memory_alloc(MAP_NODES_MAX * sizeof(*peers));
    struct member_role *role = memory_alloc(sizeof(*role));
    role_fill(member, role);
    size_t count = list_peers(member, peers);
    uint64_t hash = XXH3_64bits(role, sizeof(*role));
    hash = XXH3_64bits_withSeed(peers, count * sizeof(*peers), hash) | 1;
    bool is_new = hash != member->role_hash;
    if (is_new) {
        member->role_hash = hash;
        role->peers = peers;
        role->peer_count = count;
        member->plan.outlet.role(member->plan.outlet.context, role);
    }
    memory_free(role);
    memory_free(peers);
    return is_new;
}

static void say_role(const struct member *member) {
    static const char *const words[] = {
        [MEMBER_WAITS] = "waits for the cluster to choose a primary of its shard",
        [MEMBER_PRIMARY] = "is a primary",
        [MEMBER_REPLICA] = "is a replica",
    };
    member_say((struct member *)member, MEMBER_NOTICE, "This node %s, epoch %llu.",
               words[member->role], (unsigned long long)member->epoch);
}

bool member_role_settle(struct member *member) {
    const struct map_shard *shard = member_shard(member);
    if (shard == NULL) {
        return false;
    }
    bool is_new_epoch = shard->epoch != member->epoch;
    if (is_new_epoch) {
        epoch_set(member, shard->epoch);
    }
    forgive(member);
    enum member_role_kind role = role_of(member);
    bool is_new = role != member->role || is_new_epoch;
    if (is_new && member->lease_until_ms != 0) {
        member->lease_until_ms = 0;
        member->plan.outlet.lease(member->plan.outlet.context, 0);
    }
    if (role != member->role) {
        member->replication.is_stopped = false; /* until the replication says so in this role */
    }
    member->role = role;
    if (is_new) {
        say_role(member);
    }
    bool is_told = role_tell(member);
    if (is_new) {
        member->is_beating = true; /* who is concerned hears of it at once */
    }
    return is_told;
}
