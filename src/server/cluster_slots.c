/* Plans about slots. */
#include "server/cluster_plans.h"

#include "base/memory.h"
#include "server/server.h"

/* ---- ADDSLOTS, DELSLOTS and their RANGE forms ---- */

/* A set of slots, as one command names it. */
struct selection {
    struct cluster_plan *plan;
    struct slot_set slots;
    bool is_for_deletion;
};

/* False: that is refused. */
static bool select_range(struct selection *selection, uint16_t first, uint16_t last) {
    const struct map *map = selection->plan->map;
    for (uint32_t slot = first; slot <= last; slot++) {
        bool is_owned = map->slots[slot].owner != MAP_NOBODY;
        if (is_owned != selection->is_for_deletion) {
            plan_refuse(selection->plan, "Slot %u is already %s", slot,
                        is_owned ? "busy" : "unassigned");
            return false;
        }
        if (slot_set_has(&selection->slots, (uint16_t)slot)) {
            plan_refuse(selection->plan, "Slot %u specified multiple times", slot);
            return false;
        }
        slot_set_add(&selection->slots, (uint16_t)slot);
    }
    return true;
}

static void propose_selection(struct selection *selection) {
    struct cluster_plan *plan = selection->plan;
    if (selection->is_for_deletion && !map_is_primary(plan->map, plan->myself)) {
        return; /* It owns none. */
    }
    struct map_change *change =
        plan_change_new(plan, selection->is_for_deletion ? MAP_SLOTS_DELETE : MAP_SLOTS_ADD);
    change->slots = selection->slots;
    plan_change(plan, change);
}

static struct selection *selection_new(struct cluster_plan *plan, bool is_for_deletion) {
    struct selection *selection = memory_alloc_zeroed(sizeof(*selection));
    selection->plan = plan;
    selection->is_for_deletion = is_for_deletion;
    return selection;
}

/* As in redis-server, all numbers are read before any slot is looked at. */
static void plan_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count,
                       bool is_for_deletion) {
    uint16_t slot;
    for (uint32_t i = 2; i < args_count; i++) {
        if (!plan_slot(plan, args[i], &slot)) {
            return;
        }
    }
    struct selection *selection = selection_new(plan, is_for_deletion);
    bool is_good = true;
    for (uint32_t i = 2; is_good && i < args_count; i++) {
        is_good = plan_slot(plan, args[i], &slot) && select_range(selection, slot, slot);
    }
    if (is_good) {
        propose_selection(selection);
    }
    memory_free(selection);
}

static bool plan_range(struct cluster_plan *plan, const struct span *args, uint16_t *first,
                       uint16_t *last) {
    if (!plan_slot(plan, args[0], first) || !plan_slot(plan, args[1], last)) {
        return false;
    }
    if (*first > *last) {
        plan_refuse(plan, "start slot number %u is greater than end slot number %u", *first, *last);
        return false;
    }
    return true;
}

static void plan_ranges(struct cluster_plan *plan, const struct span *args, uint32_t args_count,
                        bool is_for_deletion) {
    if (args_count % 2 == 1) {
        plan_refuse(plan, "wrong number of arguments for 'cluster|%s' command",
                    is_for_deletion ? "delslotsrange" : "addslotsrange");
        return;
    }
    struct selection *selection = selection_new(plan, is_for_deletion);
    uint16_t first;
    uint16_t last;
    bool is_good = true;
    for (uint32_t i = 2; is_good && i < args_count; i += 2) {
        is_good = plan_range(plan, &args[i], &first, &last) && select_range(selection, first, last);
    }
    if (is_good) {
        propose_selection(selection);
    }
    memory_free(selection);
}

void plan_add_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    plan_slots(plan, args, args_count, false);
}

void plan_delete_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    plan_slots(plan, args, args_count, true);
}

void plan_add_ranges(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    plan_ranges(plan, args, args_count, false);
}

void plan_delete_ranges(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    plan_ranges(plan, args, args_count, true);
}

void plan_flush_slots(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    (void)args;
    (void)args_count;
    if (plan_keys(plan) > 0) {
        plan_refuse(plan, "DB must be empty to perform CLUSTER FLUSHSLOTS.");
        return;
    }
    uint16_t shard = plan->map->nodes[plan->myself].shard;
    struct selection *selection = selection_new(plan, true);
    for (uint16_t slot = 0; slot < SLOTS; slot++) {
        if (plan->map->slots[slot].owner == shard) {
            slot_set_add(&selection->slots, slot);
        }
    }
    if (!slot_set_is_empty(&selection->slots)) {
        propose_selection(selection);
    }
    memory_free(selection);
}

/* ---- SETSLOT ---- */

/* The other node of a mark, or MAP_NOBODY: that is refused. */
static uint16_t plan_target(struct cluster_plan *plan, struct span id, const char *unknown) {
    uint16_t node = map_find_text(plan->map, id);
    if (node == MAP_NOBODY) {
        plan_refuse(plan, "%s %.*s", unknown, (int)id.length, id.bytes);
        return MAP_NOBODY;
    }
    if (!map_is_primary(plan->map, node)) {
        plan_refuse(plan, "Target node is not a master");
        return MAP_NOBODY;
    }
    return node;
}

static void plan_mark(struct cluster_plan *plan, uint16_t slot, struct span id, bool is_import) {
    bool is_ours = map_slot_owner(plan->map, slot) == plan->myself;
    if (is_ours == is_import) {
        plan_refuse(plan,
                    is_import ? "I'm already the owner of hash slot %u"
                              : "I'm not the owner of hash slot %u",
                    slot);
        return;
    }
    uint16_t node = plan_target(plan, id, "I don't know about node");
    if (node == MAP_NOBODY) {
        return;
    }
    struct map_change *change = plan_change_new(plan, is_import ? MAP_IMPORTING : MAP_MIGRATING);
    change->slot = slot;
    plan_peer(plan, change, node);
    plan_change(plan, change);
}

/* The slot has that owner, and no marks that would go: redis-cli tells each node. */
static bool is_settled(const struct map *map, uint16_t slot, uint16_t node) {
    const struct map_slot *place = &map->slots[slot];
    return map_slot_owner(map, slot) == node && place->migrating_to == MAP_NOBODY &&
           place->importer != node;
}

static void plan_owner(struct cluster_plan *plan, uint16_t slot, struct span id) {
    uint16_t node = plan_target(plan, id, "Unknown node");
    if (node == MAP_NOBODY) {
        return;
    }
    bool is_given_away = map_slot_owner(plan->map, slot) == plan->myself && node != plan->myself;
    if (is_given_away && cluster_slot_keys(plan->server, slot) > 0) {
        plan_refuse(plan,
                    "Can't assign hashslot %u to a different node while I still hold keys for this "
                    "hash slot.",
                    slot);
        return;
    }
    if (is_settled(plan->map, slot, node)) {
        return;
    }
    struct map_change *change = plan_change_new(plan, MAP_SLOT_OWNER);
    memcpy(change->node, plan->map->nodes[node].id, MAP_ID_BYTES);
    change->slot = slot;
    plan_change(plan, change);
}

static void plan_stable(struct cluster_plan *plan, uint16_t slot) {
    const struct map_slot *place = &plan->map->slots[slot];
    bool is_ours = map_slot_owner(plan->map, slot) == plan->myself;
    if (is_ours ? place->migrating_to == MAP_NOBODY : place->importer != plan->myself) {
        return;
    }
    struct map_change *change = plan_change_new(plan, MAP_STABLE);
    change->slot = slot;
    plan_change(plan, change);
}

void plan_set_slot(struct cluster_plan *plan, const struct span *args, uint32_t args_count) {
    uint16_t slot;
    if (!map_is_primary(plan->map, plan->myself)) {
        plan_refuse(plan, "You can use SETSLOT only with masters.");
        return;
    }
    if (!plan_slot(plan, args[2], &slot)) {
        return;
    }
    bool names_node = args_count == 5;
    if (names_node && span_is(args[3], "migrating")) {
        plan_mark(plan, slot, args[4], false);
    } else if (names_node && span_is(args[3], "importing")) {
        plan_mark(plan, slot, args[4], true);
    } else if (names_node && span_is(args[3], "node")) {
        plan_owner(plan, slot, args[4]);
    } else if (args_count == 4 && span_is(args[3], "stable")) {
        plan_stable(plan, slot);
    } else {
        plan_refuse(plan,
                    "Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP");
    }
}
