#include "cluster/redirect.h"

static enum redirect_kind down(const struct redirect_state *state,
                               const struct redirect_request *request) {
    if (state->is_ok || (request->is_sharded_pubsub && state->allows_pubsub_when_down)) {
        return REDIRECT_NONE;
    }
    if (!state->allows_reads_when_down || request->is_sharded_pubsub) {
        return REDIRECT_DOWN;
    }
    return request->writes ? REDIRECT_DOWN_FOR_WRITES : REDIRECT_NONE;
}

/* The slot is ours, and on its way to another node. */
static enum redirect_kind while_migrating(const struct redirect_plan *plan,
                                          const struct map_slot *slot, uint16_t *target) {
    struct redirect_keys keys = {.here = 0};
    plan->count(plan->context, &keys);
    if (keys.missing == 0) {
        return REDIRECT_NONE;
    }
    *target = slot->migrating_to;
    return keys.here > 0 ? REDIRECT_TRY_AGAIN : REDIRECT_ASK;
}

/* The slot is on its way to us, and the client was sent here. */
static enum redirect_kind while_importing(const struct redirect_plan *plan,
                                          const struct redirect_request *request) {
    struct redirect_keys keys = {.here = 0};
    if (request->has_many_keys) {
        plan->count(plan->context, &keys);
    }
    return keys.missing > 0 ? REDIRECT_TRY_AGAIN : REDIRECT_NONE;
}

enum redirect_kind redirect_decide(const struct redirect_plan *plan,
                                   const struct redirect_request *request, uint16_t *target) {
    const struct map *map = plan->map;
    const struct map_slot *slot = &map->slots[request->slot];
    uint16_t owner = map_slot_owner(map, request->slot);
    if (owner == MAP_NOBODY) {
        return REDIRECT_NOT_SERVED;
    }
    enum redirect_kind refusal = down(&plan->state, request);
    if (refusal != REDIRECT_NONE) {
        return refusal;
    }
    bool is_migrating = owner == plan->myself && slot->migrating_to != MAP_NOBODY;
    bool is_importing = slot->importer == plan->myself;
    if ((is_migrating || is_importing) && request->is_migrate) {
        return REDIRECT_NONE;
    }
    if (is_migrating) {
        return while_migrating(plan, slot, target);
    }
    if (is_importing && request->is_asking) {
        return while_importing(plan, request);
    }
    bool is_replica = map_primary_of(map, plan->myself) == owner;
    bool suits_replica = request->client_is_readonly || request->is_sharded_pubsub;
    if (owner == plan->myself || (is_replica && suits_replica && !request->writes)) {
        return REDIRECT_NONE;
    }
    *target = owner;
    return REDIRECT_MOVED;
}

void redirect_format(const struct map_view *view, enum redirect_kind kind, uint16_t slot,
                     uint16_t target, struct buffer *out) {
    switch (kind) {
    case REDIRECT_MOVED:
    case REDIRECT_ASK:
        buffer_format(out, "%s %u ", kind == REDIRECT_ASK ? "ASK" : "MOVED", slot);
        map_view_endpoint(view, target, out);
        return;
    case REDIRECT_TRY_AGAIN:
        buffer_append_string(out, "TRYAGAIN Multiple keys request during rehashing of slot");
        return;
    case REDIRECT_NOT_SERVED:
        buffer_append_string(out, "CLUSTERDOWN Hash slot not served");
        return;
    case REDIRECT_DOWN:
        buffer_append_string(out, "CLUSTERDOWN The cluster is down");
        return;
    case REDIRECT_DOWN_FOR_WRITES:
        buffer_append_string(out, "CLUSTERDOWN The cluster is down and only accepts read commands");
        return;
    case REDIRECT_NONE:
        break;
    }
    ASSERT(kind != REDIRECT_NONE);
}
