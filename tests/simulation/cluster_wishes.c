#include "tests/simulation/cluster_wishes.h"

#include "base/memory.h"

#define TICKETS_FROM 40
#define WISHES 16
#define SLOTS_WATCHED 3
#define UNKNOWN_MAX 64
#define GATHER_EVERY_MS 1000

/* A slot, the shard that it was given to by a wish that was answered last, and those that it may
 * have been given to or may still be. */
struct watched {
    uint16_t slot;
    uint64_t settled;
    uint64_t unknown[UNKNOWN_MAX];
    size_t unknown_count;
    bool is_wished; /* one change of owner at a time */
};

struct wish {
    bool is_active;
    struct node *asked;
    uint64_t starts; /* of that node: one that has crashed does not answer */
    uint64_t group;
    uint64_t floor;          /* what was acknowledged before it began */
    struct watched *watched; /* NULL, or whose owner is to be */
    uint64_t owner;
};

struct wishes {
    struct world *world;
    struct wish wishes[WISHES];
    struct watched watched[SLOTS_WATCHED];
    uint64_t group;  /* of the cluster */
    uint64_t index;  /* of its newest map in which somebody was told that a change is done */
    bool *is_target; /* by node: a slot may come to it at any time */
};

static uint64_t name_of(const unsigned char id[MAP_ID_BYTES]) {
    uint64_t name;
    memcpy(&name, id, sizeof(name));
    return name;
}

static uint64_t shard_at(const struct map *map, uint16_t node) {
    return name_of(map->shards[map->nodes[node].shard].id);
}

static uint64_t owner_in(const struct map *map, uint16_t slot) {
    uint16_t shard = map->slots[slot].owner;
    return shard == MAP_NOBODY ? 0 : name_of(map->shards[shard].id);
}

static uint16_t place_of(const struct map *map, const struct node *node) {
    return map_find(map, node->id.bytes);
}

struct wishes *wishes_new(struct world *world, size_t primaries) {
    struct wishes *wishes = memory_alloc_zeroed(sizeof(*wishes));
    const struct map *map = world->nodes[0].map;
    wishes->world = world;
    wishes->group = name_of(map->group);
    wishes->is_target = memory_alloc_zeroed(world->count * sizeof(*wishes->is_target));
    for (size_t i = 0; i < SLOTS_WATCHED && world->broken == NULL; i++) {
        struct watched *watched = &wishes->watched[i];
        watched->slot = (uint16_t)(SLOTS / world->count * (i % primaries) + i);
        watched->settled = owner_in(map, watched->slot);
    }
    return wishes;
}

void wishes_free(struct wishes *wishes) {
    memory_free(wishes->is_target);
    memory_free(wishes);
}

/* ---- wishes that are answered ---- */

static void check_owner(struct wishes *wishes, const struct watched *watched,
                        const struct map *map) {
    uint64_t owner = owner_in(map, watched->slot);
    bool may_own = owner == watched->settled;
    for (size_t i = 0; i < watched->unknown_count; i++) {
        may_own |= watched->unknown[i] == owner;
    }
    world_that(wishes->world, may_own, "a slot belongs to the shard that it was given to");
}

static void wish_done(struct wishes *wishes, struct wish *wish) {
    const struct map *map = wish->asked->map;
    if (wish->watched != NULL) {
        wish->watched->settled = wish->owner;
    }
    if (map == NULL || name_of(map->group) != wish->group) {
        return;
    }
    world_that(wishes->world, map->index > wish->floor,
               "who is told that a change is done sees no older map");
    wishes->index = map->index > wishes->index ? map->index : wishes->index;
    if (wish->watched != NULL) {
        check_owner(wishes, wish->watched, map);
    }
}

static bool is_unknown(const struct answer *answer) {
    static const char text[] = "CLUSTERDOWN";
    return answer == NULL || strncmp(answer->error, text, strlen(text)) == 0;
}

static void wish_end(struct wish *wish, const struct answer *answer) {
    struct watched *watched = wish->watched;
    wish->is_active = false;
    if (watched != NULL) {
        watched->is_wished = false;
        if (is_unknown(answer) && watched->unknown_count < UNKNOWN_MAX) {
            watched->unknown[watched->unknown_count++] = wish->owner;
        }
    }
}

void wishes_turn(struct wishes *wishes) {
    for (size_t i = 0; i < WISHES; i++) {
        struct wish *wish = &wishes->wishes[i];
        const struct answer *answer = &wishes->world->answers[TICKETS_FROM + i];
        if (!wish->is_active) {
            continue;
        }
        if (answer->is_there) {
            if (answer->error[0] == '\0') {
                wish_done(wishes, wish);
            }
            wish_end(wish, answer);
        } else if (wish->asked->starts != wish->starts || wish->asked->member == NULL) {
            wish_end(wish, NULL);
        }
    }
}

/* ---- wishes of all kinds ---- */

/* A node of the cluster that is there; NULL: the one that was drawn is not. */
static struct node *draw_node(struct wishes *wishes) {
    struct world *world = wishes->world;
    struct node *node = &world->nodes[world_below(world, world->count)];
    bool is_in = node->member != NULL && node->map != NULL &&
                 name_of(node->map->group) == wishes->group &&
                 place_of(node->map, node) != MAP_NOBODY;
    return is_in ? node : NULL;
}

static struct wish *wish_begin(struct wishes *wishes, struct node *asked, uint64_t *ticket) {
    for (size_t i = 0; i < WISHES; i++) {
        struct wish *wish = &wishes->wishes[i];
        if (!wish->is_active) {
            *wish = (struct wish){.is_active = true,
                                  .asked = asked,
                                  .starts = asked->starts,
                                  .group = wishes->group,
                                  .floor = wishes->index};
            *ticket = TICKETS_FROM + i;
            wishes->world->answers[*ticket] = (struct answer){.is_there = false};
            return wish;
        }
    }
    return NULL;
}

static void change_wish(struct wishes *wishes, struct node *asked, const struct map_change *change,
                        struct watched *watched) {
    uint64_t ticket;
    struct wish *wish = wish_begin(wishes, asked, &ticket);
    if (wish == NULL) {
        return;
    }
    if (change->kind == MAP_SLOT_OWNER) {
        wish->watched = watched;
        wish->owner = shard_at(asked->map, map_find(asked->map, change->node));
        watched->is_wished = true;
    }
    world_propose(asked, change, 1, ticket);
}

/* A step of the classic way, at any time: the order is not kept. */
static void slot_wish(struct wishes *wishes) {
    static const enum map_change_kind steps[] = {MAP_IMPORTING, MAP_MIGRATING, MAP_STABLE,
                                                 MAP_SLOT_OWNER, MAP_SLOT_OWNER};
    struct world *world = wishes->world;
    struct watched *watched = &wishes->watched[world_below(world, SLOTS_WATCHED)];
    struct node *asked = draw_node(wishes);
    struct node *node = draw_node(wishes);
    struct node *peer = draw_node(wishes);
    enum map_change_kind kind = steps[world_below(world, sizeof(steps) / sizeof(steps[0]))];
    if (asked == NULL || node == NULL || peer == NULL || watched->is_wished ||
        place_of(asked->map, node) == MAP_NOBODY) {
        return;
    }
    struct map_change *change = memory_alloc_zeroed(sizeof(*change));
    change->kind = kind;
    change->slot = watched->slot;
    memcpy(change->node, node->id.bytes, MAP_ID_BYTES);
    memcpy(change->peer, peer->id.bytes, MAP_ID_BYTES);
    wishes->is_target[node->number] |= kind == MAP_SLOT_OWNER;
    change_wish(wishes, asked, change, watched);
    memory_free(change);
}

/* Nobody's copy that was needed goes by a wish of ours: the quorum's promise is to those who leave
 * the members of a shard where they are. */
static bool may_leave(const struct wishes *wishes, const struct node *node) {
    const struct map *map = node->map;
    uint16_t place = place_of(map, node);
    const struct map_shard *shard = &map->shards[map->nodes[place].shard];
    bool is_empty = shard->slots == 0 && map_shard_nodes(map, map->nodes[place].shard) == 1;
    return !wishes->is_target[node->number] && (is_empty || !map_is_primary(map, place));
}

/* CLUSTER RESET at the node, or CLUSTER FORGET at another. */
static void leave_wish(struct wishes *wishes) {
    struct world *world = wishes->world;
    struct node *node = draw_node(wishes);
    struct node *asked = draw_node(wishes);
    uint64_t ticket;
    if (node == NULL || asked == NULL || !may_leave(wishes, node)) {
        return;
    }
    if (asked != node) {
        struct map_change change = {.kind = MAP_NODE_REMOVE};
        memcpy(change.node, node->id.bytes, MAP_ID_BYTES);
        change_wish(wishes, asked, &change, NULL);
    } else if (wish_begin(wishes, node, &ticket) != NULL) {
        member_reset(node->member, ticket, world_below(world, 2) == 0, world_clock(node));
    }
}

static void replicate_wish(struct wishes *wishes) {
    struct node *node = draw_node(wishes);
    struct node *peer = draw_node(wishes);
    struct node *asked = draw_node(wishes);
    if (node == NULL || peer == NULL || asked == NULL || !may_leave(wishes, node)) {
        return;
    }
    struct map_change change = {.kind = MAP_REPLICATE};
    memcpy(change.node, node->id.bytes, MAP_ID_BYTES);
    memcpy(change.peer, peer->id.bytes, MAP_ID_BYTES);
    change_wish(wishes, asked, &change, NULL);
}

static void meet_wish(struct wishes *wishes, struct node *node) {
    struct node *other = draw_node(wishes);
    if (node->member != NULL && node->map != NULL && name_of(node->map->group) != wishes->group &&
        other != NULL) {
        world_meet(node, other, WORLD_ANSWERS_MAX);
    }
}

void wishes_add(struct wishes *wishes) {
    struct world *world = wishes->world;
    switch (world_below(world, 8)) {
    case 0:
        leave_wish(wishes);
        break;
    case 1:
        replicate_wish(wishes);
        break;
    case 2:
        meet_wish(wishes, &world->nodes[world_below(world, world->count)]);
        break;
    default:
        slot_wish(wishes);
    }
}

/* ---- the end ---- */

void wishes_gather(struct wishes *wishes) {
    struct world *world = wishes->world;
    for (size_t i = 0; i < world->count && world->now_ms % GATHER_EVERY_MS == 0; i++) {
        meet_wish(wishes, &world->nodes[i]);
    }
}

bool wishes_are_over(const struct wishes *wishes) {
    bool are_over = true;
    for (size_t i = 0; i < WISHES; i++) {
        are_over &= !wishes->wishes[i].is_active;
    }
    return are_over;
}

void wishes_end(struct wishes *wishes) {
    for (size_t i = 0; i < SLOTS_WATCHED && wishes->world->broken == NULL; i++) {
        check_owner(wishes, &wishes->watched[i], wishes->world->nodes[0].map);
    }
}
