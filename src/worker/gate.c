#include "worker/gate.h"

#include "commands/effect_codec.h"

/* A read may change something too: it lets go of what has expired. */
static bool is_write(const struct call *call) {
    return call->command != NULL &&
           (call->command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0;
}

static void note_slot(struct worker *worker, uint16_t slot) {
    uint64_t *changed = &worker->node->slot_changed[slot];
    if (*changed != GATE_SLOT_OPEN) {
        *changed = GATE_SLOT_OPEN;
        worker->changed_slots[worker->changed_count++] = slot;
    }
}

static void record(void *context, const struct call *call, const struct place *place,
                   const struct effect *effect) {
    struct worker *worker = context;
    if (worker->running != NULL && is_write(call)) {
        worker->running->flags |= CONNECTION_HAS_WRITTEN | CONNECTION_WROTE;
    }
    struct effect_record entry = {
        .effect = *effect, .slot = EFFECT_NODE_SLOT, .is_joined = worker->group_is_open};
    worker->group_is_open = true;
    if (LIKELY(place != NULL)) {
        entry.key = place->key;
        entry.database = place->database;
        entry.slot = place->slot;
        note_slot(worker, place->slot);
    } else {
        worker->has_changed_all = true;
    }
    if (effect_write(&worker->batch.bytes, &entry)) {
        oplog_batch_add_block(&worker->batch, effect->block);
    }
}

void gate_configure(struct worker *worker) {
    struct call_observer *observer = &worker->executor.environment.observer;
    observer->context = worker;
    /* A replica's log is its primary's: nothing of its own goes there. */
    observer->effect = worker->node->log == NULL || worker->node->is_replica ? NULL : record;
    ASSERT(worker->changed_count == 0 && !worker->has_changed_all);
    struct node *node = worker->node;
    const struct store *store = worker->store;
    memset(node->slot_changed + store->slot_first, 0,
           store->slot_count * sizeof(node->slot_changed[0]));
    node->all_changed = node->log == NULL ? 0 : oplog_end_position(node->log);
    LIST_FOR_EACH(link, &worker->connections) {
        struct connection *connection = LIST_ENTRY(link, struct connection, link);
        connection->last_change = connection->last_change == 0 ? 0 : node->all_changed;
    }
    quorum_gate_void(worker);
}

/* What was appended must be seen by a reader whose wish to be told is not seen here. */
static void tell_reader(struct node *node) {
    if (node->log_grew == NULL) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&node->log_is_awaited, memory_order_relaxed) &&
        atomic_exchange(&node->log_is_awaited, false)) {
        node->log_grew(node);
    }
}

void gate_append(struct worker *worker) {
    if (oplog_batch_bytes(&worker->batch) == 0) {
        return;
    }
    struct node *node = worker->node;
    worker->group_is_open = false;
    worker->appended = oplog_append(node->log, &worker->batch, worker->now_ms);
    for (uint32_t i = 0; i < worker->changed_count; i++) {
        node->slot_changed[worker->changed_slots[i]] = worker->appended;
    }
    worker->changed_count = 0;
    if (UNLIKELY(worker->has_changed_all)) {
        worker->has_changed_all = false;
        node->all_changed = worker->appended;
    }
    tell_reader(node);
}

void gate_await_begin(struct node *node) {
    quorum_await_begin(&node->quorum);
    if (node->log_grew != NULL) {
        node->log_grew(node);
    }
}

void gate_await_end(struct node *node) {
    quorum_await_end(&node->quorum);
}

static bool may_leave(const struct worker *worker, const struct connection *connection) {
    const struct oplog *log = worker->node->log;
    return LIKELY(oplog_safe_position(log) >= connection->gate) ||
           ((connection->flags & CONNECTION_HAS_WRITTEN) == 0 && oplog_error(log) != 0);
}

static void let_pass(struct connection *connection) {
    connection->gate = 0;
    connection->flags &= ~(unsigned)(CONNECTION_HAS_WRITTEN | CONNECTION_FOLLOWS);
}

bool gate_holds(struct worker *worker, struct connection *connection) {
    const struct node *node = worker->node;
    if (UNLIKELY((connection->flags & CONNECTION_QUORUM) != 0)) {
        return quorum_gate_holds(worker, connection);
    }
    if (node->log == NULL || !node->log_gates) {
        gate_note_change(worker, connection);
        let_pass(connection);
        return false;
    }
    /* What was let go before and did not fit into the socket goes on. */
    if (connection->passed_bytes > 0 &&
        connection_output_bytes(connection) <= connection->passed_bytes) {
        return false;
    }
    gate_carry(worker, connection);
    if (LIKELY(may_leave(worker, connection))) {
        let_pass(connection);
        return false;
    }
    /* Asks to be woken, then looks again: the log may have gone on in between. */
    atomic_store(&worker->awaits_log, true);
    if (may_leave(worker, connection)) {
        let_pass(connection);
        return false;
    }
    connection->is_gated = true;
    list_push_back(&worker->gated, &connection->write_link);
    return true;
}

static void let_go(struct connection *connection) {
    list_remove(&connection->write_link);
    connection->is_gated = false;
    let_pass(connection);
    connection->passed_bytes = connection_output_bytes(connection);
    if (connection->closes) {
        return;
    }
    connection_write(connection);
    if (!connection->closes && (connection->flags & CONNECTION_PUSHED) != 0) {
        connection_take_deferred(connection);
    }
}

void gate_open_step(struct worker *worker) {
    worker->gated_may_go = false;
    if (LIKELY(list_is_empty(&worker->gated))) {
        return;
    }
    const struct node *node = worker->node;
    atomic_store(&worker->awaits_log, true);
    for (struct list *link = worker->gated.next; link != &worker->gated;) {
        struct connection *connection = LIST_ENTRY(link, struct connection, write_link);
        link = link->next;
        if (!connection->closes && node->log != NULL && node->log_gates &&
            !may_leave(worker, connection)) {
            continue;
        }
        if (worker_has_no_writes_left(worker)) {
            worker->gated_may_go = true;
            break;
        }
        let_go(connection);
    }
    if (list_is_empty(&worker->gated)) {
        atomic_store(&worker->awaits_log, false);
    }
}

void gate_progress(void *context) {
    struct node *node = context;
    tell_reader(node);
    /* The progress must be seen by a worker whose wish to be woken is not seen here. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        struct worker *worker = node->workers[i];
        if (worker != NULL && atomic_load_explicit(&worker->awaits_log, memory_order_relaxed) &&
            atomic_exchange(&worker->awaits_log, false)) {
            loop_wake(worker->loop);
        }
    }
}
