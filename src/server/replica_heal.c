#include "server/replica_heal.h"

#include "base/logger.h"
#include "server/primary_links.h"
#include "worker/applying.h"

bool replica_heal_begin(struct replica *replica, const struct slot_set *slots) {
    struct replica_heal *heal = &replica->heal;
    uint32_t count = slot_set_count(slots);
    if (heal->is_on || count != 1) {
        heal->count += count;
        return false;
    }
    heal->is_on = true;
    heal->is_whole = false;
    heal->slot = (struct message_slot){.slot = 0};
    while (!slot_set_has(slots, heal->slot.slot)) {
        heal->slot.slot++;
    }
    return true;
}

bool replica_heal_is_on(const struct replica *replica) {
    return replica->heal.is_on;
}

bool replica_heal_awaits(const struct replica *replica) {
    return replica->heal.is_on && !replica->heal.is_whole;
}

bool replica_heal_keep(struct replica *replica, struct span chunk) {
    struct replica_heal *heal = &replica->heal;
    if (chunk.length > REPLICA_HEAL_BYTES_MAX - heal->image.length) {
        return false;
    }
    buffer_append_span(&heal->image, chunk);
    return true;
}

uint16_t replica_heal_give_up(struct replica *replica, struct buffer *kept) {
    struct replica_heal *heal = &replica->heal;
    buffer_append_span(kept, buffer_span(&heal->image));
    heal->count++;
    replica_heal_end(replica);
    return heal->slot.slot;
}

void replica_heal_whole(struct replica *replica, const struct message_slot *slot) {
    ASSERT(slot->slot == replica->heal.slot.slot);
    replica->heal.slot = *slot;
    replica->heal.is_whole = true;
}

void replica_heal_step(struct replica *replica, uint64_t position) {
    struct replica_heal *heal = &replica->heal;
    struct applying *applying = replica->server->node.applying;
    if (!heal->is_on || !heal->is_whole || position < heal->slot.position) {
        return;
    }
    log_warning("Slot %u differed from the primary's: it is replaced by an image of %zu bytes",
                heal->slot.slot, heal->image.length);
    applying_replace(applying, &heal->slot, buffer_span(&heal->image));
    heal->count++;
    slot_set_add(&heal->news, heal->slot.slot);
    heal->has_news = true;
    heal->mark = applying_mark(applying);
    replica_heal_end(replica);
}

void replica_heal_settle(struct replica *replica) {
    struct replica_heal *heal = &replica->heal;
    if (heal->has_news && applying_has_passed(replica->server->node.applying, heal->mark)) {
        primary_links_heal(replica->server->replicator->primary_links, NULL, &heal->news);
        slot_set_clear(&heal->news);
        heal->has_news = false;
    }
}

void replica_heal_end(struct replica *replica) {
    replica->heal.is_on = false;
    replica->heal.is_whole = false;
    buffer_free(&replica->heal.image);
}
