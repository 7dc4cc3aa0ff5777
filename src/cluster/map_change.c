#include "cluster/map_change.h"

#include "base/bytes.h"
#include "base/memory.h"

#define HEAD_BYTES 5

/* ---- bytes ---- */

enum field {
    FIELD_NODE = 1,
    FIELD_PEER = 2,
    FIELD_EPOCH = 4,
    FIELD_SLOT = 8,
    FIELD_FLAG = 16,
    FIELD_FACTS = 32,
    FIELD_SLOTS = 64,
};

static const unsigned char fields_of[] = {
    [MAP_NODE_ADD] = FIELD_NODE | FIELD_PEER | FIELD_FACTS,
    [MAP_NODE_FACTS] = FIELD_NODE | FIELD_FACTS,
    [MAP_NODE_REMOVE] = FIELD_NODE,
    [MAP_NODE_HEALTH] = FIELD_NODE | FIELD_FLAG,
    [MAP_SLOTS_ADD] = FIELD_NODE | FIELD_SLOTS,
    [MAP_SLOTS_DELETE] = FIELD_NODE | FIELD_SLOTS,
    [MAP_MIGRATING] = FIELD_NODE | FIELD_PEER | FIELD_SLOT,
    [MAP_IMPORTING] = FIELD_NODE | FIELD_PEER | FIELD_SLOT,
    [MAP_STABLE] = FIELD_NODE | FIELD_SLOT,
    [MAP_SLOT_OWNER] = FIELD_NODE | FIELD_SLOT,
    [MAP_REPLICATE] = FIELD_NODE | FIELD_PEER | FIELD_FLAG,
    [MAP_PROMOTE] = FIELD_NODE | FIELD_EPOCH | FIELD_FLAG,
    [MAP_IN_SYNC] = FIELD_NODE | FIELD_EPOCH | FIELD_FLAG,
    [MAP_CONFIG_EPOCH] = FIELD_NODE | FIELD_EPOCH | FIELD_FLAG,
    [MAP_EPOCH_BUMP] = FIELD_NODE,
    [MAP_QUORUM] = FIELD_NODE | FIELD_EPOCH | FIELD_SLOT,
    [MAP_SUCCEED] = FIELD_NODE | FIELD_PEER | FIELD_EPOCH | FIELD_FLAG,
    [MAP_NO_FAILOVER] = FIELD_NODE | FIELD_FLAG,
};

#define KINDS (sizeof(fields_of) / sizeof(fields_of[0]))

void map_change_write(const struct map_change *change, struct buffer *out) {
    ASSERT(change->kind > 0 && change->kind < KINDS);
    unsigned fields = fields_of[change->kind];
    size_t start = out->length;
    memset(buffer_reserve(out, HEAD_BYTES), 0, HEAD_BYTES);
    buffer_commit(out, HEAD_BYTES);
    if ((fields & FIELD_NODE) != 0) {
        buffer_append(out, change->node, MAP_ID_BYTES);
    }
    if ((fields & FIELD_PEER) != 0) {
        buffer_append(out, change->peer, MAP_ID_BYTES);
    }
    if ((fields & FIELD_EPOCH) != 0) {
        bytes_store_u64(buffer_reserve(out, 8), change->epoch);
        buffer_commit(out, 8);
    }
    if ((fields & FIELD_SLOT) != 0) {
        bytes_store_u16(buffer_reserve(out, 2), change->slot);
        buffer_commit(out, 2);
    }
    if ((fields & FIELD_FLAG) != 0) {
        buffer_append_byte(out, change->flag ? 1 : 0);
    }
    if ((fields & FIELD_FACTS) != 0) {
        map_facts_write(&change->facts, out);
    }
    if ((fields & FIELD_SLOTS) != 0) {
        buffer_append(out, change->slots.bits, SLOT_SET_BYTES);
    }
    out->bytes[start] = (char)change->kind;
    bytes_store_u32(out->bytes + start + 1, (uint32_t)(out->length - start - HEAD_BYTES));
}

static bool take(struct span *body, void *bytes, size_t length) {
    if (body->length < length) {
        return false;
    }
    memcpy(bytes, body->bytes, length);
    *body = span_of(body->bytes + length, body->length - length);
    return true;
}

static bool read_fields(struct span body, unsigned fields, struct map_change *change) {
    unsigned char number[8];
    if (((fields & FIELD_NODE) != 0 && !take(&body, change->node, MAP_ID_BYTES)) ||
        ((fields & FIELD_PEER) != 0 && !take(&body, change->peer, MAP_ID_BYTES))) {
        return false;
    }
    if ((fields & FIELD_EPOCH) != 0) {
        if (!take(&body, number, 8)) {
            return false;
        }
        change->epoch = bytes_load_u64(number);
    }
    if ((fields & FIELD_SLOT) != 0) {
        if (!take(&body, number, 2)) {
            return false;
        }
        change->slot = bytes_load_u16(number);
    }
    if ((fields & FIELD_FLAG) != 0) {
        if (!take(&body, number, 1) || number[0] > 1) {
            return false;
        }
        change->flag = number[0] == 1;
    }
    return ((fields & FIELD_FACTS) == 0 || map_facts_read(&body, &change->facts)) &&
           ((fields & FIELD_SLOTS) == 0 || take(&body, change->slots.bits, SLOT_SET_BYTES)) &&
           body.length == 0 && change->slot < SLOTS;
}

bool map_change_read(struct span *entry, struct map_change *change) {
    if (entry->length < HEAD_BYTES) {
        return false;
    }
    unsigned kind = (unsigned char)entry->bytes[0];
    uint32_t length = bytes_load_u32(entry->bytes + 1);
    if (kind == 0 || kind >= KINDS || entry->length - HEAD_BYTES < length) {
        return false;
    }
    memset(change, 0, sizeof(*change));
    change->kind = (enum map_change_kind)kind;
    if (!read_fields(span_of(entry->bytes + HEAD_BYTES, length), fields_of[kind], change)) {
        return false;
    }
    size_t whole = HEAD_BYTES + (size_t)length;
    *entry = span_of(entry->bytes + whole, entry->length - whole);
    return true;
}

/* ---- applying ---- */

struct application {
    struct map *map; /* the new one */
    const struct map_change *change;
    struct buffer *report;
    uint16_t node; /* change->node, or MAP_NOBODY */
    uint16_t peer; /* likewise, where it is a node */
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct application *apply,
                                                         const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(apply->report, format, arguments);
    va_end(arguments);
    return false;
}

static bool refuse_unknown(struct application *apply, const unsigned char id[MAP_ID_BYTES]) {
    char text[MAP_ID_TEXT_BYTES];
    return refuse(apply, "ERR Unknown node %s", map_id_format(text, id));
}

static struct map_shard *shard_of(struct application *apply, uint16_t node) {
    return &apply->map->shards[apply->map->nodes[node].shard];
}

/* The shard's primary becomes another, in a new epoch. */
static void set_primary(struct application *apply, uint16_t shard, uint16_t node) {
    struct map *map = apply->map;
    map->shards[shard].primary = node;
    map->shards[shard].epoch = map->index;
    memset(map->shards[shard].granted, 0, MAP_ID_BYTES);
    map->nodes[node].is_in_sync = true;
}

static void set_epoch(struct map *map, struct map_shard *shard, uint64_t epoch) {
    shard->config_epoch = epoch;
    if (map->current_epoch < epoch) {
        map->current_epoch = epoch;
    }
}

static void clear_importing(struct map_slot *slot) {
    slot->importing_from = MAP_NOBODY;
    slot->importer = MAP_NOBODY;
}

static void set_owner(struct map *map, uint16_t slot, uint16_t shard) {
    struct map_slot *place = &map->slots[slot];
    if (place->owner != MAP_NOBODY) {
        map->shards[place->owner].slots--;
        map->slots_owned--;
    }
    if (shard != MAP_NOBODY) {
        map->shards[shard].slots++;
        map->slots_owned++;
    }
    if (place->owner != shard) {
        place->migrating_to = MAP_NOBODY;
    }
    place->owner = shard;
    if (place->importer != MAP_NOBODY && map->nodes[place->importer].shard == shard) {
        clear_importing(place);
    }
}

/* ---- nodes ---- */

static bool apply_node_facts(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    apply->map->nodes[apply->node].facts = apply->change->facts;
    return true;
}

/* The list of those that were removed; the oldest makes room. */
static void removed_add(struct map *map, const unsigned char id[MAP_ID_BYTES]) {
    if (map->removed_count == MAP_REMOVED_MAX) {
        map->removed_count--;
        memmove(map->removed, map->removed + 1, map->removed_count * (size_t)MAP_ID_BYTES);
    }
    memcpy(map->removed[map->removed_count++], id, MAP_ID_BYTES);
}

static void removed_take(struct map *map, const unsigned char id[MAP_ID_BYTES]) {
    for (uint16_t i = 0; i < map->removed_count; i++) {
        if (memcmp(map->removed[i], id, MAP_ID_BYTES) == 0) {
            map->removed_count--;
            memmove(map->removed + i, map->removed + i + 1,
                    (size_t)(map->removed_count - i) * MAP_ID_BYTES);
        }
    }
}

static bool apply_node_add(struct application *apply) {
    struct map *map = apply->map;
    if (apply->node != MAP_NOBODY) {
        return apply_node_facts(apply); /* It asked twice. */
    }
    if (map->nodes_count == MAP_NODES_MAX) {
        return refuse(apply, "ERR The cluster has %d nodes already, which is the most",
                      MAP_NODES_MAX);
    }
    removed_take(map, apply->change->node);
    uint16_t node = map->nodes_count++;
    map->nodes = memory_realloc(map->nodes, map->nodes_count * sizeof(map->nodes[0]));
    map->shards = memory_realloc(map->shards, map->nodes_count * sizeof(map->shards[0]));
    memset(&map->shards[node], 0, sizeof(map->shards[node]));
    uint16_t shard = 0;
    while (map->shards[shard].epoch != 0) {
        shard++;
    }
    map->nodes[node] = (struct map_node){.facts = apply->change->facts, .shard = shard};
    memcpy(map->nodes[node].id, apply->change->node, MAP_ID_BYTES);
    map->shards[shard] = (struct map_shard){.quorum = 1};
    memcpy(map->shards[shard].id, apply->change->peer, MAP_ID_BYTES);
    map->shards_count++;
    set_primary(apply, shard, node);
    return true;
}

static void move_place(uint16_t *place, uint16_t from, uint16_t to) {
    if (*place == from) {
        *place = to;
    }
}

/* Marks that name a node are given to another, or go. */
static void marks_move(struct map *map, uint16_t from, uint16_t to) {
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct map_slot *slot = &map->slots[i];
        move_place(&slot->migrating_to, from, to);
        if (to == MAP_NOBODY && (slot->importer == from || slot->importing_from == from)) {
            clear_importing(slot);
        }
        move_place(&slot->importer, from, to);
        move_place(&slot->importing_from, from, to);
    }
}

static void shard_free(struct map *map, uint16_t shard) {
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        if (map->slots[slot].owner == shard) {
            set_owner(map, slot, MAP_NOBODY);
        }
    }
    map->shards[shard].epoch = 0;
    map->shards_count--;
}

/* The last place of the lists goes: a shard that stands there moves to a free one. */
static void shards_shrink(struct map *map) {
    uint16_t last = map->nodes_count;
    if (map->shards[last].epoch == 0) {
        return;
    }
    uint16_t to = 0;
    while (map->shards[to].epoch != 0) {
        to++;
    }
    map->shards[to] = map->shards[last];
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        move_place(&map->nodes[i].shard, last, to);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        move_place(&map->slots[i].owner, last, to);
    }
}

/* Of a shard whose primary goes: a replica, rather one in sync. */
static uint16_t heir(const struct map *map, uint16_t shard) {
    uint16_t found = MAP_NOBODY;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i].shard == shard && map->shards[shard].primary != i &&
            (found == MAP_NOBODY || (map->nodes[i].is_in_sync && !map->nodes[found].is_in_sync))) {
            found = i;
        }
    }
    return found;
}

/* A replica that is taken out by hand may be one of those that hold what a quorum acknowledged.
 * Until the others hold everything, and the primary sets the quorum anew (member_sync.c), nobody
 * succeeds it unless all of them have reported. */
static void set_leave(struct map *map, uint16_t node) {
    struct map_shard *shard = &map->shards[map->nodes[node].shard];
    if (map->nodes[node].is_in_sync && shard->primary != node && shard->quorum > 1) {
        shard->lacks_member = true;
    }
}

/* redis-cli --cluster del-node has a primary without slots forgotten before it gives its replicas
 * another one: until then one of them stands in its place. */
static bool apply_node_remove(struct application *apply) {
    struct map *map = apply->map;
    uint16_t node = apply->node;
    if (node == MAP_NOBODY) {
        return map_was_removed(map, apply->change->node) ||
               refuse_unknown(apply, apply->change->node);
    }
    uint16_t shard = map->nodes[node].shard;
    set_leave(map, node);
    if (map->shards[shard].primary == node) {
        bool has_replicas = map_shard_nodes(map, shard) > 1;
        if (has_replicas && map->shards[shard].slots > 0) {
            return refuse(apply, "ERR The node is the primary of others: CLUSTER FAILOVER or "
                                 "CLUSTER REPLICATE gives them another one");
        }
        if (has_replicas) {
            set_primary(apply, shard, heir(map, shard));
        } else {
            shard_free(map, shard);
        }
    }
    removed_add(map, map->nodes[node].id);
    marks_move(map, node, MAP_NOBODY);
    map->nodes_count--;
    memmove(&map->nodes[node], &map->nodes[node + 1],
            (size_t)(map->nodes_count - node) * sizeof(map->nodes[0]));
    for (uint16_t from = (uint16_t)(node + 1); from <= map->nodes_count; from++) {
        marks_move(map, from, (uint16_t)(from - 1));
    }
    for (uint16_t i = 0; i <= map->nodes_count; i++) {
        if (map->shards[i].epoch != 0 && map->shards[i].primary > node) {
            map->shards[i].primary--;
        }
    }
    shards_shrink(map);
    return true;
}

static bool apply_node_health(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    apply->map->nodes[apply->node].has_failed = apply->change->flag;
    return true;
}

static bool apply_no_failover(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    apply->map->nodes[apply->node].no_failover = apply->change->flag;
    return true;
}

/* ---- slots ---- */

static bool apply_slots_add(struct application *apply) {
    struct map *map = apply->map;
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    if (!map_is_primary(map, apply->node)) {
        return refuse(apply, "ERR A replica owns no slots");
    }
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        if (!slot_set_has(&apply->change->slots, slot)) {
            continue;
        }
        if (map->slots[slot].owner != MAP_NOBODY) {
            return refuse(apply, "ERR Slot %u is already busy", slot);
        }
        set_owner(map, slot, map->nodes[apply->node].shard);
    }
    return true;
}

static bool primary_has_failed(const struct map *map, uint16_t shard) {
    return map->nodes[map->shards[shard].primary].has_failed;
}

/* Of the slots, those that are the node's, and those of shards that are down: redis-cli --cluster
 * fix takes these over by deleting and adding them. */
static bool apply_slots_delete(struct application *apply) {
    static const unsigned char anybody[MAP_ID_BYTES];
    struct map *map = apply->map;
    bool is_anybodys = memcmp(apply->change->node, anybody, MAP_ID_BYTES) == 0;
    if (apply->node == MAP_NOBODY && !is_anybodys) {
        return refuse_unknown(apply, apply->change->node);
    }
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        if (!slot_set_has(&apply->change->slots, slot)) {
            continue;
        }
        uint16_t owner = map->slots[slot].owner;
        if (owner == MAP_NOBODY) {
            return refuse(apply, "ERR Slot %u is already unassigned", slot);
        }
        if (is_anybodys || owner == map->nodes[apply->node].shard ||
            primary_has_failed(map, owner)) {
            set_owner(map, slot, MAP_NOBODY);
        }
    }
    return true;
}

/* The other node of a mark, which must be a primary. */
static bool peer_is_primary(struct application *apply) {
    char text[MAP_ID_TEXT_BYTES];
    if (apply->peer == MAP_NOBODY) {
        return refuse(apply, "ERR I don't know about node %s",
                      map_id_format(text, apply->change->peer));
    }
    return map_is_primary(apply->map, apply->peer) ||
           refuse(apply, "ERR Target node is not a master");
}

static bool node_owns_slot(const struct application *apply) {
    return apply->map->slots[apply->change->slot].owner == apply->map->nodes[apply->node].shard;
}

static bool apply_migrating(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    if (!node_owns_slot(apply)) {
        return refuse(apply, "ERR I'm not the owner of hash slot %u", apply->change->slot);
    }
    if (!peer_is_primary(apply)) {
        return false;
    }
    apply->map->slots[apply->change->slot].migrating_to = apply->peer;
    return true;
}

static bool apply_importing(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    if (node_owns_slot(apply)) {
        return refuse(apply, "ERR I'm already the owner of hash slot %u", apply->change->slot);
    }
    if (!peer_is_primary(apply)) {
        return false;
    }
    struct map_slot *slot = &apply->map->slots[apply->change->slot];
    slot->importing_from = apply->peer;
    slot->importer = apply->node;
    return true;
}

static bool apply_stable(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    struct map_slot *slot = &apply->map->slots[apply->change->slot];
    if (node_owns_slot(apply)) {
        slot->migrating_to = MAP_NOBODY;
    } else if (slot->importer == apply->node) {
        clear_importing(slot);
    }
    return true;
}

static bool apply_slot_owner(struct application *apply) {
    struct map *map = apply->map;
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    if (!map_is_primary(map, apply->node)) {
        return refuse(apply, "ERR Target node is not a master");
    }
    if (!node_owns_slot(apply)) {
        bool was_imported = map->slots[apply->change->slot].importer == apply->node;
        set_owner(map, apply->change->slot, map->nodes[apply->node].shard);
        if (was_imported) {
            set_epoch(map, shard_of(apply, apply->node), map->current_epoch + 1);
        }
    } else {
        map->slots[apply->change->slot].migrating_to = MAP_NOBODY;
    }
    return true;
}

/* ---- shards ---- */

/* The node and, if it is a primary, its replicas move to the other shard. */
static void shard_join(struct application *apply, uint16_t from, uint16_t to) {
    struct map *map = apply->map;
    bool is_whole = map->shards[from].primary == apply->node;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (i == apply->node || (is_whole && map->nodes[i].shard == from)) {
            map->nodes[i].shard = to;
            map->nodes[i].is_in_sync = false;
        }
    }
    if (is_whole) {
        shard_free(map, from);
    }
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        uint16_t importer = map->slots[slot].importer;
        if (importer != MAP_NOBODY && map->nodes[importer].shard == map->slots[slot].owner) {
            clear_importing(&map->slots[slot]);
        }
    }
}

static bool apply_replicate(struct application *apply) {
    struct map *map = apply->map;
    if (apply->node == MAP_NOBODY || apply->peer == MAP_NOBODY) {
        return refuse_unknown(apply, apply->node == MAP_NOBODY ? apply->change->node
                                                               : apply->change->peer);
    }
    if (apply->node == apply->peer) {
        return refuse(apply, "ERR Can't replicate myself");
    }
    if (!map_is_primary(map, apply->peer)) {
        return refuse(apply, "ERR I can only replicate a master, not a replica.");
    }
    uint16_t from = map->nodes[apply->node].shard;
    uint16_t to = map->nodes[apply->peer].shard;
    if (from != to) {
        if (map_is_primary(map, apply->node) && map->shards[from].slots > 0) {
            return refuse(apply, "ERR To set a master the node must be empty and without assigned "
                                 "slots.");
        }
        set_leave(map, apply->node);
        shard_join(apply, from, to);
    }
    map->nodes[apply->node].is_in_sync |= apply->change->flag;
    return true;
}

/* Whoever proposed this knew another primary of the shard than it has. */
static bool refuse_epoch(struct application *apply) {
    return refuse(apply, "ERR The shard's epoch is %llu, not %llu",
                  (unsigned long long)shard_of(apply, apply->node)->epoch,
                  (unsigned long long)apply->change->epoch);
}

static bool apply_promote(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    struct map_node *node = &apply->map->nodes[apply->node];
    if (shard_of(apply, apply->node)->epoch != apply->change->epoch) {
        return refuse_epoch(apply);
    }
    if (!node->is_in_sync && !apply->change->flag) {
        return refuse(apply, "ERR The node may lack what its primary has acknowledged");
    }
    set_primary(apply, node->shard, apply->node);
    node->has_failed = false;
    set_epoch(apply->map, shard_of(apply, apply->node), apply->map->current_epoch + 1);
    return true;
}

static bool apply_succeed(struct application *apply) {
    struct map *map = apply->map;
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    struct map_shard *shard = shard_of(apply, apply->node);
    if (shard->epoch != apply->change->epoch) {
        return refuse_epoch(apply);
    }
    if (!map->nodes[apply->node].is_in_sync) {
        return refuse(apply, "ERR The node may lack what its primary has acknowledged");
    }
    map->nodes[shard->primary].is_in_sync = apply->change->flag;
    set_primary(apply, map->nodes[apply->node].shard, apply->node);
    memcpy(shard->granted, apply->change->peer, MAP_ID_BYTES);
    map->nodes[apply->node].has_failed = false;
    set_epoch(map, shard, map->current_epoch + 1);
    return true;
}

static bool apply_quorum(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    if (shard_of(apply, apply->node)->epoch != apply->change->epoch) {
        return refuse_epoch(apply);
    }
    uint16_t quorum = apply->change->slot;
    shard_of(apply, apply->node)->quorum = quorum == 0 ? 1 : quorum;
    shard_of(apply, apply->node)->lacks_member = false;
    return true;
}

static bool apply_in_sync(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    if (shard_of(apply, apply->node)->epoch != apply->change->epoch) {
        return refuse_epoch(apply);
    }
    if (!apply->change->flag && map_is_primary(apply->map, apply->node)) {
        return refuse(apply, "ERR A primary is always in sync");
    }
    apply->map->nodes[apply->node].is_in_sync = apply->change->flag;
    return true;
}

static bool apply_config_epoch(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    struct map_shard *shard = shard_of(apply, apply->node);
    if (!apply->change->flag && apply->map->nodes_count > 1) {
        return refuse(apply, "ERR The user can assign a config epoch only when the node does not "
                             "know any other node.");
    }
    if (!apply->change->flag && shard->config_epoch != 0) {
        return refuse(apply, "ERR Node config epoch is already non-zero");
    }
    set_epoch(apply->map, shard, apply->change->epoch);
    return true;
}

static bool apply_epoch_bump(struct application *apply) {
    if (apply->node == MAP_NOBODY) {
        return refuse_unknown(apply, apply->change->node);
    }
    struct map *map = apply->map;
    struct map_shard *shard = shard_of(apply, apply->node);
    bool is_alone = shard->config_epoch == map->current_epoch && shard->config_epoch != 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        is_alone &= &map->shards[i] == shard || map->shards[i].epoch == 0 ||
                    map->shards[i].config_epoch != shard->config_epoch;
    }
    if (!is_alone) {
        set_epoch(map, shard, map->current_epoch + 1);
    }
    return true;
}

static bool (*const appliers[KINDS])(struct application *apply) = {
    [MAP_NODE_ADD] = apply_node_add,       [MAP_NODE_FACTS] = apply_node_facts,
    [MAP_NODE_REMOVE] = apply_node_remove, [MAP_NODE_HEALTH] = apply_node_health,
    [MAP_SLOTS_ADD] = apply_slots_add,     [MAP_SLOTS_DELETE] = apply_slots_delete,
    [MAP_MIGRATING] = apply_migrating,     [MAP_IMPORTING] = apply_importing,
    [MAP_STABLE] = apply_stable,           [MAP_SLOT_OWNER] = apply_slot_owner,
    [MAP_REPLICATE] = apply_replicate,     [MAP_PROMOTE] = apply_promote,
    [MAP_IN_SYNC] = apply_in_sync,         [MAP_CONFIG_EPOCH] = apply_config_epoch,
    [MAP_EPOCH_BUMP] = apply_epoch_bump,   [MAP_QUORUM] = apply_quorum,
    [MAP_SUCCEED] = apply_succeed,         [MAP_NO_FAILOVER] = apply_no_failover,
};

static bool has_gaps(const struct map *map) {
    uint16_t i = 0;
    while (i < map->shards_count && map->shards[i].epoch != 0) {
        i++;
    }
    return i < map->shards_count;
}

/* Shards that are used come first, in the order that they had: who has read the map's bytes has no
 * gaps either, and shards that come take the same places everywhere. */
static void close_gaps(struct map *map) {
    uint16_t places[MAP_NODES_MAX];
    uint16_t count = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        places[i] = count;
        if (map->shards[i].epoch != 0) {
            map->shards[count++] = map->shards[i];
        }
    }
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        map->shards[i].epoch = i < count ? map->shards[i].epoch : 0;
        map->nodes[i].shard = places[map->nodes[i].shard];
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        uint16_t *owner = &map->slots[slot].owner;
        *owner = *owner == MAP_NOBODY ? (uint16_t)MAP_NOBODY : places[*owner];
    }
}

struct map *map_change_apply(const struct map *map, uint64_t index, struct span entry,
                             struct buffer *report) {
    struct map_change *change = memory_alloc(sizeof(*change));
    struct application apply = {.map = map_copy(map), .change = change, .report = report};
    apply.map->index = index;
    bool is_done = true;
    uint32_t count = 0;
    while (is_done && entry.length > 0) {
        if (count++ == MAP_CHANGES_MAX || !map_change_read(&entry, change)) {
            is_done = refuse(&apply, "ERR The entry holds what is no change of the map");
            break;
        }
        apply.node = map_find(apply.map, change->node);
        apply.peer = map_find(apply.map, change->peer);
        is_done = appliers[change->kind](&apply);
    }
    memory_free(change);
    if (!is_done) {
        map_return(apply.map);
        return NULL;
    }
    if (has_gaps(apply.map)) {
        close_gaps(apply.map);
    }
    map_check(apply.map);
    return apply.map;
}
