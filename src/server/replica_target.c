/* What a replica's follower tells: to the log, to the workers, to the saving thread. With the
 * replica's mutex, on the replicator's thread. */
#include "server/primary_links.h"
#include "server/saving.h"

#include "base/logger.h"
#include "worker/applying.h"
#include "worker/node.h"

static struct node *node_of(void *context) {
    return &((struct replica *)context)->server->node;
}

static void target_log(void *context, struct follower_log *log) {
    struct replica *replica = context;
    uint64_t changes = 0;
    const struct oplog *oplog = node_of(context)->log;
    if (oplog != NULL) {
        replication_lineage_read(&replica->server->replication, &log->lineage, &changes);
        log->end = oplog_end_position(oplog);
    }
}

static enum follower_change change_begin(struct replica *replica, const struct message_plan *plan,
                                         struct buffer *report) {
    struct saving *saving = atomic_load(&replica->server->saving);
    if (saving == NULL) {
        buffer_append_string(report, "the node is ending");
        return FOLLOWER_CHANGE_FAILED;
    }
    saving_change_set(&replica->change, plan);
    replica->is_changing = true;
    replica->is_complete = false;
    saving_request_change(saving, &replica->change);
    return FOLLOWER_CHANGE_LATER;
}

static enum follower_change target_cut(void *context, const struct message_plan *plan,
                                       struct slot_set *touched, struct buffer *report) {
    struct replica *replica = context;
    (void)touched;
    log_notice("The primary's log does not hold what is here from position %llu on: it is cut off.",
               (unsigned long long)plan->position);
    return change_begin(replica, plan, report);
}

static enum follower_change target_reset(void *context, const struct message_plan *plan,
                                         struct buffer *report) {
    struct replica *replica = context;
    bool is_full = plan->mode == PLAN_RESET;
    replica->full_syncs += is_full;
    replica->images_end = 0;
    log_notice("%s resync from MASTER, from position %llu on",
               is_full ? "Full" : "Partial (of the slots that have changed)",
               (unsigned long long)plan->position);
    return change_begin(replica, plan, report);
}

static void target_clear(void *context, const struct slot_set *slots) {
    struct replica *replica = context;
    struct saving *saving = atomic_load(&replica->server->saving);
    log_notice("MASTER <-> REPLICA sync: receiving %u slots", slot_set_count(slots));
    replica->is_complete = false;
    if (saving != NULL) {
        saving_give_up(saving);
    }
    atomic_store(&node_of(context)->is_incomplete, true);
    primary_links_close_all(replica->server->replicator->primary_links, "this node is copied anew");
    applying_clear(node_of(context)->applying, slots);
}

static bool target_heal(void *context, const struct slot_set *slots) {
    return replica_heal_begin(context, slots);
}

static bool target_image(void *context, struct span chunk, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    if (replica_heal_awaits(replica) && !replica_heal_keep(replica, chunk)) {
        /* Too much to be kept: the slot is missing until all of it is here. */
        struct slot_set slots = {{0}};
        struct buffer kept = BUFFER_EMPTY;
        slot_set_add(&slots, replica_heal_give_up(replica, &kept));
        slot_set_add_all(&replica->slots->missing, &slots);
        target_clear(replica, &slots);
        applying_image(node_of(context)->applying, buffer_span(&kept));
        buffer_free(&kept);
    }
    if (!replica_heal_awaits(replica)) {
        applying_image(node_of(context)->applying, chunk);
    }
    return true;
}

static bool target_slot(void *context, const struct message_slot *slot, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    if (replica_heal_awaits(replica)) {
        replica_heal_whole(replica, slot);
        return true;
    }
    if (replica->images_end < slot->position) {
        replica->images_end = slot->position;
    }
    applying_slot(node_of(context)->applying, slot->slot, slot->position);
    return true;
}

static bool target_complete(void *context, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    if (replica_heal_is_on(replica)) {
        const struct oplog *log = node_of(context)->log;
        replica_heal_step(replica, log == NULL ? 0 : oplog_end_position(log));
        return true;
    }
    replica->is_complete = true;
    replica->complete = applying_mark(node_of(context)->applying);
    return true;
}

static bool target_turn(void *context, const struct message_turn *turn, struct buffer *report) {
    struct replica *replica = context;
    struct history_origin origin = {
        .history = turn->history, .parent = turn->parent, .begin = turn->position};
    struct oplog *log = node_of(context)->log;
    if (log == NULL || oplog_turn(log, &origin) != OPLOG_RECEIVED) {
        buffer_append_string(report, "the primary sent a history that does not follow this log's");
        return false;
    }
    replication_lineage_turn(&replica->server->replication, &origin.history, origin.begin);
    return true;
}

static bool target_frame(void *context, const struct message_frame *frame, struct buffer *report) {
    struct node *node = node_of(context);
    if (node->log == NULL || oplog_end_position(node->log) != frame->position) {
        buffer_format(report, "the frame at position %llu does not go on where the log ends",
                      (unsigned long long)frame->position);
        return false;
    }
    if (!applying_frame(node->applying, frame, report)) {
        return false;
    }
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    buffer_append_span(&batch.bytes, frame->part);
    struct oplog_received_frame received = {.position = frame->position, .time_ms = frame->time_ms};
    enum oplog_received answer = oplog_append_frame(node->log, &received, &batch);
    ASSERT(answer == OPLOG_RECEIVED);
    oplog_batch_free(&batch);
    replica_heal_step(context, oplog_end_position(node->log));
    return true;
}

const struct follower_target replica_target = {
    .log = target_log,
    .cut = target_cut,
    .reset = target_reset,
    .clear = target_clear,
    .heal = target_heal,
    .image = target_image,
    .slot = target_slot,
    .complete = target_complete,
    .turn = target_turn,
    .frame = target_frame,
};
