#include "worker/dispatch.h"

#include "worker/admission.h"
#include "worker/cluster.h"
#include "worker/gate.h"
#include "worker/monitor.h"
#include "worker/removal.h"
#include "worker/transactions.h"

/* ---- the run ---- */

static struct call call_of(struct worker *worker, struct connection *connection,
                           const struct queued_command *command) {
    return (struct call){
        .environment = &worker->executor.environment,
        .command = command->command->command,
        .database = connection->database,
        .args = command->args,
        .args_count = command->args_count,
        .blocks = command->blocks,
        .reply = &connection->reply,
        .now_ms = worker->now_ms,
        .no_touch = (connection->flags & CONNECTION_NO_TOUCH) != 0,
        .keeps_expired = worker->is_paused || worker->log_has_failed || node_is_led(worker->node),
    };
}

/* Tells of a command that has run: monitors, the slow log, the latency monitor. */
static void note(struct worker *worker, const struct connection *connection,
                 const struct queued_command *command, int64_t duration_us) {
    struct node *node = worker->node;
    unsigned flags = command->command->command->flags;
    bool is_session = command->command->command->session != NULL;
    uint64_t redacted = is_session ? worker->redacted_args : 0;
    if (atomic_load(&node->monitors) == 0) {
        worker_configure_notes(worker); /* The last monitor may have gone. */
    } else if ((flags & (COMMAND_SKIP_MONITOR | COMMAND_ADMIN)) == 0) {
        monitor_feed(worker, connection, command, redacted);
    }
    if ((flags & COMMAND_SKIP_SLOWLOG) == 0) {
        slow_log_note(node, connection, command, redacted, duration_us);
    }
    int64_t threshold_ms = node->options->latency_monitor_threshold;
    if (threshold_ms > 0 && duration_us / 1000 >= threshold_ms && node->latency_event != NULL) {
        node->latency_event(node, (flags & COMMAND_FAST) != 0 ? "fast-command" : "command",
                            duration_us / 1000);
    }
}

/* The bookkeeping behind a run that began with executor_begin(). */
static void finish(struct worker *worker, struct connection *connection,
                   const struct queued_command *command, const struct execution_timer *timer) {
    int64_t duration_us =
        executor_end(&worker->executor, command->command, &connection->reply, timer);
    if (UNLIKELY(duration_us >= worker->note_from_us)) {
        note(worker, connection, command, duration_us);
    }
}

static struct session session_of(struct worker *worker, struct connection *connection,
                                 const struct queued_command *command) {
    worker->redacted_args = 0;
    return (struct session){
        .worker = worker,
        .connection = connection,
        .command = command->command,
        .args = command->args,
        .args_count = command->args_count,
        .reply = &connection->reply,
    };
}

/* False: it waits, and such a run counts for nothing. */
static bool run_session(struct worker *worker, struct connection *connection,
                        const struct queued_command *command) {
    struct execution_timer timer =
        executor_begin(&worker->executor, command->command, &connection->reply);
    struct session session = session_of(worker, connection, command);
    command->command->command->session(&session);
    if (session.waits) {
        return false;
    }
    timer.ignores_error = session.is_no_error;
    finish(worker, connection, command, &timer);
    return true;
}

/* The common case: a data command on this worker's slots. known: what is known of its first key. */
static void run_data(struct worker *worker, struct connection *connection,
                     const struct queued_command *command, const struct request *known) {
    struct call call = call_of(worker, connection, command);
    if (LIKELY(known != NULL)) {
        call.first_key = known->first_key;
        call.first_slot = known->first_slot;
        call.first_hash = known->first_hash;
    }
    struct execution_timer timer =
        executor_begin(&worker->executor, command->command, &connection->reply);
    executor_run(&worker->executor, &call);
    if (LIKELY(known != NULL && request_has_one_key(known))) {
        gate_look(worker, connection, known->first_slot);
    } else {
        connection->flags |= CONNECTION_FOLLOWS;
    }
    finish(worker, connection, command, &timer);
}

/* ---- gathers ---- */

/* A gather's runs but the last are not counted: it is one command. */
static void run_gather_part(struct worker *worker, struct connection *connection,
                            const struct queued_command *command, struct gather *gather) {
    if (command->command->command->session != NULL) {
        struct session session = session_of(worker, connection, command);
        session.gather = gather;
        command->command->command->session(&session);
        return;
    }
    struct call call = call_of(worker, connection, command);
    call.gather = gather;
    command->command->command->run(&call);
}

/* All parts at once: the other workers stand still, or there are none. */
static void run_gather(struct worker *worker, struct connection *connection,
                       const struct queued_command *command) {
    const struct node *node = worker->node;
    struct execution_timer timer =
        executor_begin(&worker->executor, command->command, &connection->reply);
    struct gather gather = {
        .store_count = node->worker_count,
        .mark = reply_mark_here(&connection->reply),
    };
    for (; gather.store_index < gather.store_count; gather.store_index++) {
        run_gather_part(node->workers[gather.store_index], connection, command, &gather);
    }
    finish(worker, connection, command, &timer);
}

/* The part of a gather that is this worker's. */
static enum dispatch_outcome gather_step(struct worker *worker, struct connection *connection,
                                         const struct queued_command *command, struct route *route,
                                         struct reply_mark *mark) {
    const struct node *node = worker->node;
    struct gather *gather = &connection->gather;
    if (gather->store_count == 0) {
        *gather = (struct gather){
            .store_count = node->worker_count,
            .mark = reply_mark_here(&connection->reply),
        };
    }
    *mark = gather->mark;
    uint32_t next = route_next_part(node, command->command->command, worker->index + 1);
    gather->store_index = next == node->worker_count ? node->worker_count - 1 : worker->index;
    struct execution_timer timer =
        executor_begin(&worker->executor, command->command, &connection->reply);
    run_gather_part(worker, connection, command, gather);
    if (!gather_is_last(gather)) {
        gather->store_index = next;
        route->target = next;
        return DISPATCH_TRAVEL;
    }
    gather->store_count = 0;
    finish(worker, connection, command, &timer);
    return DISPATCH_DONE;
}

/* ---- one command ---- */

static void run(struct worker *worker, struct connection *connection,
                const struct queued_command *command, const struct request *known) {
    const struct command *row = command->command->command;
    if (UNLIKELY((row->flags & COMMAND_GATHERS) != 0)) {
        run_gather(worker, connection, command);
    } else if (row->session == NULL) {
        run_data(worker, connection, command, known);
    } else {
        bool is_done = run_session(worker, connection, command);
        ASSERT(is_done);
    }
}

void dispatch_queued(struct worker *worker, struct connection *connection,
                     const struct queued_command *queued) {
    run(worker, connection, queued, NULL);
}

/* A session command that may have to wait. */
static enum dispatch_outcome run_waiting(struct worker *worker, struct connection *connection,
                                         const struct queued_command *command) {
    if (!run_session(worker, connection, command)) {
        connection->commands--;
        return connection->blocked != NULL ? DISPATCH_BLOCK : DISPATCH_HOLD;
    }
    connection->ticket = 0;
    return DISPATCH_DONE;
}

static struct queued_command command_of(const struct connection *connection,
                                        const struct request *request) {
    return (struct queued_command){
        .command = request->command,
        .args = request_args(connection, request),
        .blocks = request->has_blocks ? connection->requests->blocks : NULL,
        .args_count = request->args_count,
    };
}

/* ASKING holds for the next command, which may be MULTI: then up to EXEC. */
static void end_asking(struct connection *connection) {
    if (!connection_in_multi(connection) &&
        (connection->last_command == NULL ||
         (connection->last_command->command->rules & RULE_ASKS) == 0)) {
        connection->flags &= ~(unsigned)CONNECTION_ASKING;
    }
}

/* CLIENT REPLY OFF and SKIP: what the command wrote is taken back. */
static void apply_reply_mode(const struct worker *worker, struct connection *connection,
                             struct reply_mark mark) {
    if (connection_is_silent(connection) && (connection->flags & CONNECTION_REPLY_SETTLED) == 0) {
        reply_rewind(&connection->reply, mark);
    }
    if ((connection->flags & CONNECTION_QUORUM) != 0) {
        quorum_gate_mark(worker, connection, false);
    }
    connection->flags &= ~(unsigned)(CONNECTION_REPLY_SKIP | CONNECTION_REPLY_SETTLED);
    end_asking(connection);
    if ((connection->flags & CONNECTION_REPLY_SKIP_NEXT) != 0) {
        connection->flags &= ~(unsigned)CONNECTION_REPLY_SKIP_NEXT;
        connection->flags |= CONNECTION_REPLY_SKIP;
    }
    /* Pushes come all the same, behind the reply. */
    if ((connection->flags & CONNECTION_PUSHED) != 0 && connection->home == worker) {
        connection_take_deferred(connection);
    }
}

/* What only tells of the node or the connection has no need of a quorum. */
static bool shows_data(const struct command *row) {
    return row->session == NULL || (row->rules & (RULE_RUNS_QUEUE | RULE_MOVES_KEYS)) != 0 ||
           ((row->flags & COMMAND_GATHERS) != 0 && (row->flags & COMMAND_PUBSUB) == 0);
}

static enum dispatch_outcome execute(struct worker *worker, struct connection *connection,
                                     const struct request *request, bool is_stopped,
                                     struct route *route, struct reply_mark *mark) {
    unsigned flags = request->command->command->flags;
    struct queued_command command = command_of(connection, request);
    const struct cluster *cluster = worker->node->cluster;
    gate_begin_group(worker);
    if (UNLIKELY(cluster != NULL) && cluster->is_primary &&
        cluster_needs_lease(request->command->command)) {
        connection->flags |= CONNECTION_SERVED;
    }
    if (UNLIKELY(request->command->command->session != NULL || (flags & COMMAND_GATHERS) != 0)) {
        connection->flags |= CONNECTION_FOLLOWS;
    }
    if (UNLIKELY((connection->flags & CONNECTION_QUORUM) != 0) &&
        shows_data(request->command->command)) {
        connection->flags |= CONNECTION_SHOWS_DATA;
    }
    if (UNLIKELY((flags & COMMAND_GATHERS) != 0) && !is_stopped && worker->node->worker_count > 1) {
        return gather_step(worker, connection, &command, route, mark);
    }
    if (UNLIKELY((flags & (COMMAND_WAITS | COMMAND_BLOCKING)) != 0)) {
        return run_waiting(worker, connection, &command);
    }
    run(worker, connection, &command, request);
    return DISPATCH_DONE;
}

/* Inside MULTI. A queue may take memory without end: whatever would join it is refused when there
 * is none. */
static void queue(struct worker *worker, struct connection *connection,
                  const struct request *request) {
    if ((request->command->command->flags & COMMAND_NO_MULTI) != 0) {
        admission_reject(worker, connection, request->command,
                         "ERR Command not allowed inside a transaction");
        return;
    }
    if (UNLIKELY(!worker_make_room(worker))) {
        admission_reject(worker, connection, request->command, ADMISSION_OUT_OF_MEMORY);
        return;
    }
    struct queued_command queued = command_of(connection, request);
    if (UNLIKELY(!transaction_queue(connection->transaction, &queued))) {
        admission_reject(worker, connection, request->command, PARSER_OUT_OF_MEMORY);
        return;
    }
    reply_status(&connection->reply, "QUEUED");
}

/* EXEC: what its commands want of the cluster's map is settled before they run, so that a stop does
 * not wait for it. */
static bool queue_is_ready(struct worker *worker, struct connection *connection) {
    const struct node *node = worker->node;
    return node->queue_is_ready == NULL || !connection_in_multi(connection) ||
           connection->transaction->is_aborted ||
           !transaction_has_rule(connection, RULE_CHANGES_MAP) ||
           node->queue_is_ready(worker, connection);
}

/* What becomes of a request that was admitted. */
static enum dispatch_outcome proceed(struct worker *worker, struct connection *connection,
                                     const struct request *request, bool is_stopped,
                                     struct route *route, struct reply_mark *mark) {
    const struct command_slot *slot = request->command;
    if (UNLIKELY(connection_in_multi(connection)) &&
        (slot->command->rules & RULE_NEVER_QUEUED) == 0) {
        queue(worker, connection, request);
        return DISPATCH_DONE;
    }
    if (UNLIKELY((slot->command->rules & RULE_RUNS_QUEUE) != 0) &&
        !queue_is_ready(worker, connection)) {
        return DISPATCH_HOLD;
    }
    if (!is_stopped && worker->node->worker_count > 1) {
        switch (route_find(worker, connection, request, route)) {
        case ROUTE_HERE:
            break;
        case ROUTE_TRAVEL:
            return DISPATCH_TRAVEL;
        case ROUTE_STOP:
            return DISPATCH_STOP;
        }
    }
    if (UNLIKELY(admission_refuses_for_memory(worker, connection, slot))) {
        return DISPATCH_DONE;
    }
    connection->commands += connection->gather.store_count == 0; /* A gather's parts are one. */
    return execute(worker, connection, request, is_stopped, route, mark);
}

static void end_reply(const struct worker *worker, struct connection *connection,
                      struct reply_mark mark) {
    const unsigned unusual = CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP |
                             CONNECTION_REPLY_SKIP_NEXT | CONNECTION_PUSHED | CONNECTION_QUORUM |
                             CONNECTION_ASKING;
    if (UNLIKELY((connection->flags & unusual) != 0)) {
        apply_reply_mode(worker, connection, mark);
    }
}

enum dispatch_outcome dispatch_request(struct worker *worker, struct connection *connection,
                                       const struct request *request, bool is_stopped,
                                       struct route *route) {
    struct reply_mark mark = reply_mark_here(&connection->reply);
    connection->last_command = request->command;
    enum dispatch_outcome outcome = DISPATCH_DONE;
    switch (admission_decide(worker, connection, request)) {
    case ADMISSION_GRANTED:
        outcome = proceed(worker, connection, request, is_stopped, route, &mark);
        break;
    case ADMISSION_REFUSED:
        break;
    case ADMISSION_SUSPENDED:
        return DISPATCH_SUSPEND;
    case ADMISSION_HELD:
        return DISPATCH_HOLD;
    }
    if (LIKELY(outcome == DISPATCH_DONE)) {
        end_reply(worker, connection, mark);
    }
    return outcome;
}

void dispatch_answer(struct worker *worker, struct connection *connection,
                     void (*answer)(struct connection *connection)) {
    struct request_list *list = connection->requests;
    struct queued_command command = command_of(connection, &list->items[list->next]);
    struct reply_mark mark = reply_mark_here(&connection->reply);
    struct execution_timer timer =
        executor_begin(&worker->executor, command.command, &connection->reply);
    worker->redacted_args = 0;
    answer(connection);
    finish(worker, connection, &command, &timer);
    end_reply(worker, connection, mark);
    connection->commands++;
    list->next++;
    worker->work.requests++;
}
