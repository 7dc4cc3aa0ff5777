#include "worker/dispatch.h"

#include "base/logger.h"
#include "base/memory.h"
#include "commands/keyspace_commands.h"
#include "worker/gate.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/removal.h"
#include "worker/transactions.h"

/* Longest part of a client's words that an error repeats. */
#define QUOTED_BYTES_MAX 128
#define KEYS_AT_ONCE 64

/* ---- authorise ---- */

static const struct span *args_of(const struct connection *connection,
                                  const struct request *request) {
    return connection->requests->spans + request->args_at;
}

static bool is_command(const struct command_slot *slot, const char *name) {
    return slot->parent == NULL && strcmp(slot->command->name, name) == 0;
}

/* Commands that run at once inside MULTI. */
static bool ends_queueing(const struct command_slot *slot) {
    return is_command(slot, "exec") || is_command(slot, "discard") || is_command(slot, "multi") ||
           is_command(slot, "watch") || is_command(slot, "quit") || is_command(slot, "reset");
}

/* A refused EXEC ends the transaction: the error says so, and why. */
static void reword_exec(struct worker *worker, struct connection *connection, size_t reply_at) {
    struct buffer *buffer = &connection->reply.buffer;
    struct span text = span_of(buffer->bytes + reply_at + 1, buffer->length - reply_at - 3);
    const size_t general = sizeof("ERR ") - 1;
    if (text.length > general && memcmp(text.bytes, "ERR ", general) == 0) {
        text = span_of(text.bytes + general, text.length - general);
    }
    struct buffer reason = BUFFER_EMPTY;
    buffer_append_span(&reason, text);
    buffer->length = reply_at;
    reply_error_format(&connection->reply, "EXECABORT Transaction discarded because of: %.*s",
                       (int)reason.length, reason.bytes);
    buffer_free(&reason);
    if (connection->transaction != NULL) {
        transaction_drop(worker, connection);
    }
}

/* Counts the refusal, and spoils the open transaction. The error is in the reply already. */
static void refused(struct worker *worker, struct connection *connection,
                    const struct command_slot *command, size_t reply_at) {
    if (command != NULL && is_command(command, "exec")) {
        reword_exec(worker, connection, reply_at);
    }
    if (connection_in_multi(connection)) {
        connection->transaction->is_aborted = true;
    }
    if (command != NULL) {
        worker->executor.statistics[command->number].rejected++;
    }
    const struct buffer *buffer = &connection->reply.buffer;
    executor_count_error(&worker->executor,
                         span_of(buffer->bytes + reply_at + 1, buffer->length - reply_at - 3));
}

void dispatch_reject(struct worker *worker, struct connection *connection,
                     const struct command_slot *command, const char *error) {
    size_t reply_at = connection->reply.buffer.length;
    reply_error(&connection->reply, error);
    refused(worker, connection, command, reply_at);
}

/* A web browser was made to talk to us: what follows may be commands that somebody wrote into a
 * page. */
static bool is_web_request(struct span word) {
    return span_is(word, "post") || span_is(word, "host:");
}

static void reply_unknown(struct worker *worker, struct connection *connection,
                          const struct request *request) {
    const struct span *args = args_of(connection, request);
    if (is_web_request(args[0])) {
        log_warning("Possible SECURITY ATTACK detected: POST or Host: commands came from %s, as a "
                    "web browser sends them. Connection aborted.",
                    connection->peer);
        connection->flags |= CONNECTION_CLOSE_AFTER_REPLY;
        if (connection->home == worker) {
            connection_close(connection); /* With the answers that it did not get yet. */
        }
        return;
    }
    struct reply *reply = &connection->reply;
    size_t reply_at = reply->buffer.length;
    if (request->container != NULL) {
        char container[32];
        size_t length = 0;
        for (const char *c = request->container->command->name; *c != '\0'; c++) {
            container[length++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        }
        reply_error_format(
            reply, "ERR unknown subcommand '%.*s'. Try %.*s HELP.",
            (int)(args[1].length < QUOTED_BYTES_MAX ? args[1].length : QUOTED_BYTES_MAX),
            args[1].bytes, (int)length, container);
    } else {
        struct buffer quoted = BUFFER_EMPTY;
        for (uint32_t i = 1; i < request->args_count && quoted.length < QUOTED_BYTES_MAX; i++) {
            size_t most = QUOTED_BYTES_MAX - quoted.length;
            buffer_format(&quoted, "'%.*s' ", (int)(args[i].length < most ? args[i].length : most),
                          args[i].bytes);
        }
        reply_error_format(
            reply, "ERR unknown command '%.*s', with args beginning with: %.*s",
            (int)(args[0].length < QUOTED_BYTES_MAX ? args[0].length : QUOTED_BYTES_MAX),
            args[0].bytes, (int)quoted.length, quoted.bytes == NULL ? "" : quoted.bytes);
        buffer_free(&quoted);
    }
    refused(worker, connection, NULL, reply_at);
}

/* A client that listens in RESP2 may only change what it listens to. */
static bool is_allowed_while_subscribed(const struct command_slot *slot) {
    static const char *const allowed[] = {
        "ping",         "subscribe",    "ssubscribe", "psubscribe", "unsubscribe",
        "sunsubscribe", "punsubscribe", "quit",       "reset",
    };
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        if (is_command(slot, allowed[i])) {
            return true;
        }
    }
    return false;
}

/* DEBUG and its like. False: the reply says why not. */
static bool authorise_protected(struct worker *worker, struct connection *connection,
                                const struct command_slot *slot) {
    const struct node *node = worker->node;
    const char *refusal = node->protected_refusal == NULL
                              ? NULL
                              : node->protected_refusal(node, connection, slot->command);
    if (refusal != NULL) {
        dispatch_reject(worker, connection, slot, refusal);
    }
    return refusal == NULL;
}

/* For a connection that is not logged in, or a monitor. False: the reply says why not. */
static bool authorise_unusual(struct worker *worker, struct connection *connection,
                              const struct command_slot *slot) {
    unsigned flags = slot->command->flags;
    if ((connection->flags & CONNECTION_AUTHENTICATED) == 0 && (flags & COMMAND_NO_AUTH) == 0 &&
        worker->node->password[0] != '\0') {
        dispatch_reject(worker, connection, slot, "NOAUTH Authentication required.");
        return false;
    }
    if ((connection->flags & CONNECTION_MONITOR) != 0 &&
        (flags & (COMMAND_READONLY | COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0) {
        dispatch_reject(worker, connection, slot, "ERR Replica can't interact with the keyspace");
        return false;
    }
    return true;
}

/* Everything that is known without looking at data. False: the reply says why not. */
static bool authorise(struct worker *worker, struct connection *connection,
                      const struct request *request) {
    const struct command_slot *slot = request->command;
    if (UNLIKELY(slot == NULL)) {
        reply_unknown(worker, connection, request);
        return false;
    }
    size_t reply_at = connection->reply.buffer.length;
    if (UNLIKELY(!command_arity_fits(slot->command, request->args_count))) {
        reply_error_format(&connection->reply, "ERR wrong number of arguments for '%s' command",
                           slot->full_name);
        refused(worker, connection, slot, reply_at);
        return false;
    }
    if (UNLIKELY((slot->command->flags & COMMAND_PROTECTED) != 0) &&
        !authorise_protected(worker, connection, slot)) {
        return false;
    }
    const unsigned unusual = CONNECTION_AUTHENTICATED | CONNECTION_MONITOR;
    if (UNLIKELY((connection->flags & unusual) != CONNECTION_AUTHENTICATED) &&
        !authorise_unusual(worker, connection, slot)) {
        return false;
    }
    if (UNLIKELY(connection->subscriptions != NULL) && connection->reply.protocol == 2 &&
        pubsub_subscriptions(connection) > 0 && !is_allowed_while_subscribed(slot)) {
        reply_error_format(&connection->reply,
                           "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING "
                           "/ QUIT / RESET are allowed in this context",
                           slot->full_name);
        refused(worker, connection, slot, reply_at);
        return false;
    }
    return true;
}

static bool is_suspended(const struct worker *worker, const struct connection *connection,
                         const struct command_slot *slot) {
    if (LIKELY(!worker->is_paused) || (connection->flags & CONNECTION_MONITOR) != 0 ||
        connection->gather.store_count != 0) {
        return false;
    }
    int mode = atomic_load_explicit(&worker->node->pause_mode, memory_order_relaxed);
    const unsigned writes = COMMAND_WRITE | COMMAND_MAY_REPLICATE;
    return mode == PAUSE_ALL || (slot->command->flags & writes) != 0 ||
           (is_command(slot, "exec") && transaction_has_flag(connection, writes));
}

/* ---- locate ---- */

static uint64_t owners_of(const struct node *node, const struct span *args, const uint32_t *indexes,
                          int count) {
    uint64_t owners = 0;
    for (int i = 0; i < count; i++) {
        owners |= UINT64_C(1) << node->keyspace->owners[slot_of_key(args[indexes[i]])];
    }
    return owners;
}

uint64_t dispatch_key_owners(const struct node *node, const struct command *command,
                             const struct span *args, uint32_t args_count) {
    uint32_t indexes[KEYS_AT_ONCE];
    int count = command_keys(command, args, args_count, indexes, KEYS_AT_ONCE);
    if (LIKELY(count <= KEYS_AT_ONCE)) {
        return owners_of(node, args, indexes, count);
    }
    uint32_t *all = memory_try_alloc((size_t)count * sizeof(*all));
    if (all == NULL) {
        return STOP_ALL_WORKERS; /* Which is always enough. */
    }
    command_keys(command, args, args_count, all, count);
    uint64_t owners = owners_of(node, args, all, count);
    memory_free(all);
    return owners;
}

bool request_has_one_key(const struct request *request) {
    const struct command *command = request->command->command;
    return request->first_key != 0 && command->keys[0].last == 0 && command->keys[1].flags == 0 &&
           command->find_keys == NULL;
}

static bool is_one_bit(uint64_t bits) {
    return (bits & (bits - 1)) == 0;
}

/* Where the bits say that a command must run: DONE means here. */
static enum dispatch_outcome locate_owners(const struct worker *worker, uint64_t owners,
                                           struct dispatch *dispatch) {
    if (owners == 0 || owners == UINT64_C(1) << worker->index) {
        return DISPATCH_DONE;
    }
    if (is_one_bit(owners)) {
        dispatch->target = (uint32_t)__builtin_ctzll(owners);
        return DISPATCH_TRAVEL;
    }
    dispatch->stopped = owners;
    return DISPATCH_STOP;
}

static enum dispatch_outcome locate_home(const struct worker *worker,
                                         const struct connection *connection,
                                         struct dispatch *dispatch) {
    if (connection->home == worker) {
        return DISPATCH_DONE;
    }
    dispatch->target = connection->home->index;
    return DISPATCH_TRAVEL;
}

static enum dispatch_outcome locate_exec(const struct worker *worker,
                                         const struct connection *connection,
                                         struct dispatch *dispatch) {
    bool needs_home = false;
    uint64_t owners = transaction_workers(worker->node, connection, &needs_home);
    if (needs_home && owners != 0) {
        owners |= UINT64_C(1) << connection->home->index;
        if (!is_one_bit(owners)) {
            dispatch->stopped = owners;
            return DISPATCH_STOP;
        }
    }
    return owners == 0 ? locate_home(worker, connection, dispatch)
                       : locate_owners(worker, owners, dispatch);
}

/* The first worker from `from` on that a gather has to ask, or worker_count. */
static uint32_t next_part(const struct node *node, const struct command *command, uint32_t from) {
    return (command->flags & COMMAND_PUBSUB) != 0 ? pubsub_next_worker(node, from) : from;
}

/* On which worker the request runs. DONE: here. */
static enum dispatch_outcome locate(const struct worker *worker,
                                    const struct connection *connection,
                                    const struct request *request, struct dispatch *dispatch) {
    const struct node *node = worker->node;
    const struct command *command = request->command->command;
    if ((command->flags & COMMAND_ALL_WORKERS) != 0) {
        dispatch->stopped = STOP_ALL_WORKERS;
        return DISPATCH_STOP;
    }
    if ((command->flags & COMMAND_GATHERS) != 0) {
        uint32_t next = connection->gather.store_count == 0 ? next_part(node, command, 0)
                                                            : connection->gather.store_index;
        /* Nobody is to be asked: the only part is here. */
        return next == node->worker_count ? DISPATCH_DONE
                                          : locate_owners(worker, UINT64_C(1) << next, dispatch);
    }
    if (command->session != NULL && (command->flags & COMMAND_BY_KEYS) == 0) {
        return is_command(request->command, "exec") ? locate_exec(worker, connection, dispatch)
                                                    : locate_home(worker, connection, dispatch);
    }
    const struct span *args = args_of(connection, request);
    if ((command->flags & COMMAND_BY_CURSOR) != 0) {
        uint64_t cursor = 0;
        bool is_cursor = scan_cursor_parse(args[1], &cursor);
        uint16_t slot = is_cursor ? scan_cursor_slot(cursor) : 0;
        return locate_owners(worker, UINT64_C(1) << node->keyspace->owners[slot], dispatch);
    }
    uint64_t owners = request_has_one_key(request)
                          ? UINT64_C(1) << node->keyspace->owners[request->first_slot]
                          : dispatch_key_owners(node, command, args, request->args_count);
    return locate_owners(worker, owners, dispatch);
}

/* ---- execute ---- */

static struct call call_of(struct worker *worker, struct connection *connection,
                           const struct command *command) {
    return (struct call){
        .environment = &worker->executor.environment,
        .command = command,
        .database = connection->database,
        .reply = &connection->reply,
        .now_ms = worker->now_ms,
        .no_touch = (connection->flags & CONNECTION_NO_TOUCH) != 0,
        .keeps_expired = worker->is_paused || worker->log_has_failed,
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
        worker_configure(worker); /* The last monitor may have gone. */
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

static struct session session_of(struct worker *worker, struct connection *connection,
                                 const struct queued_command *command, struct gather *gather) {
    return (struct session){
        .worker = worker,
        .connection = connection,
        .command = command->command,
        .args = command->args,
        .args_count = command->args_count,
        .reply = &connection->reply,
        .gather = gather,
    };
}

static void run_session(struct worker *worker, struct connection *connection,
                        const struct queued_command *command, struct gather *gather) {
    struct session session = session_of(worker, connection, command, gather);
    worker->redacted_args = 0;
    command->command->command->session(&session);
}

/* A gather's runs but the last are not counted: it is one command. */
static void run_gather_part(struct worker *worker, struct connection *connection,
                            const struct queued_command *command, struct gather *gather) {
    if (command->command->command->session != NULL) {
        run_session(worker, connection, command, gather);
        return;
    }
    struct call call = call_of(worker, connection, command->command->command);
    call.args = command->args;
    call.args_count = command->args_count;
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
    int64_t duration_us =
        executor_end(&worker->executor, command->command, &connection->reply, &timer);
    if (UNLIKELY(duration_us >= worker->note_from_us)) {
        note(worker, connection, command, duration_us);
    }
}

/* The part of a gather that is this worker's. */
static enum dispatch_outcome gather_step(struct worker *worker, struct connection *connection,
                                         const struct queued_command *command,
                                         struct dispatch *dispatch, struct reply_mark *mark) {
    const struct node *node = worker->node;
    struct gather *gather = &connection->gather;
    if (gather->store_count == 0) {
        *gather = (struct gather){
            .store_count = node->worker_count,
            .mark = reply_mark_here(&connection->reply),
        };
    }
    *mark = gather->mark;
    uint32_t next = next_part(node, command->command->command, worker->index + 1);
    gather->store_index = next == node->worker_count ? node->worker_count - 1 : worker->index;
    struct execution_timer timer =
        executor_begin(&worker->executor, command->command, &connection->reply);
    run_gather_part(worker, connection, command, gather);
    if (!gather_is_last(gather)) {
        gather->store_index = next;
        dispatch->target = next;
        return DISPATCH_TRAVEL;
    }
    gather->store_count = 0;
    int64_t duration_us =
        executor_end(&worker->executor, command->command, &connection->reply, &timer);
    if (UNLIKELY(duration_us >= worker->note_from_us)) {
        note(worker, connection, command, duration_us);
    }
    return DISPATCH_DONE;
}

void dispatch_queued(struct worker *worker, struct connection *connection,
                     const struct queued_command *queued) {
    const struct command *command = queued->command->command;
    if ((command->flags & COMMAND_GATHERS) != 0) {
        run_gather(worker, connection, queued);
        return;
    }
    if (command->session != NULL) {
        struct execution_timer timer =
            executor_begin(&worker->executor, queued->command, &connection->reply);
        run_session(worker, connection, queued, NULL);
        int64_t duration_us =
            executor_end(&worker->executor, queued->command, &connection->reply, &timer);
        if (UNLIKELY(duration_us >= worker->note_from_us)) {
            note(worker, connection, queued, duration_us);
        }
        return;
    }
    struct call call = call_of(worker, connection, command);
    call.args = queued->args;
    call.args_count = queued->args_count;
    call.blocks = queued->blocks;
    int64_t duration_us = executor_run(&worker->executor, queued->command, &call);
    if (UNLIKELY(duration_us >= worker->note_from_us)) {
        note(worker, connection, queued, duration_us);
    }
}

/* A session command that may have to wait: a run that waits counts for nothing. */
static enum dispatch_outcome run_waiting(struct worker *worker, struct connection *connection,
                                         const struct queued_command *command) {
    struct execution_timer timer =
        executor_begin(&worker->executor, command->command, &connection->reply);
    struct session session = session_of(worker, connection, command, NULL);
    command->command->command->session(&session);
    if (session.waits) {
        connection->commands--;
        return DISPATCH_HOLD;
    }
    connection->ticket = 0;
    int64_t duration_us =
        executor_end(&worker->executor, command->command, &connection->reply, &timer);
    if (UNLIKELY(duration_us >= worker->note_from_us)) {
        note(worker, connection, command, duration_us);
    }
    return DISPATCH_DONE;
}

static struct queued_command command_of(const struct connection *connection,
                                        const struct request *request) {
    return (struct queued_command){
        .command = request->command,
        .args = connection->requests->spans + request->args_at,
        .blocks = request->has_blocks ? connection->requests->blocks : NULL,
        .args_count = request->args_count,
    };
}

/* The common case: a data command on this worker's slots. */
static void run_data(struct worker *worker, struct connection *connection,
                     const struct request *request) {
    struct call call = call_of(worker, connection, request->command->command);
    call.args = args_of(connection, request);
    call.args_count = request->args_count;
    call.blocks = request->has_blocks ? connection->requests->blocks : NULL;
    call.first_key = request->first_key;
    call.first_slot = request->first_slot;
    call.first_hash = request->first_hash;
    int64_t duration_us = executor_run(&worker->executor, request->command, &call);
    if (LIKELY(request_has_one_key(request))) {
        gate_look(worker, connection, request->first_slot);
    } else {
        connection->flags |= CONNECTION_FOLLOWS;
    }
    if (UNLIKELY(duration_us >= worker->note_from_us)) {
        struct queued_command command = command_of(connection, request);
        note(worker, connection, &command, duration_us);
    }
}

/* CLIENT REPLY OFF and SKIP: what the command wrote is taken back. */
static void apply_reply_mode(const struct worker *worker, struct connection *connection,
                             struct reply_mark mark) {
    if ((connection->flags & (CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP)) != 0) {
        reply_rewind(&connection->reply, mark);
    }
    connection->flags &= ~(unsigned)CONNECTION_REPLY_SKIP;
    if ((connection->flags & CONNECTION_REPLY_SKIP_NEXT) != 0) {
        connection->flags &= ~(unsigned)CONNECTION_REPLY_SKIP_NEXT;
        connection->flags |= CONNECTION_REPLY_SKIP;
    }
    /* Pushes come all the same, behind the reply. */
    if ((connection->flags & CONNECTION_PUSHED) != 0 && connection->home == worker) {
        connection_take_deferred(connection);
    }
}

static enum dispatch_outcome execute(struct worker *worker, struct connection *connection,
                                     const struct request *request, bool is_stopped,
                                     struct dispatch *dispatch, struct reply_mark *mark) {
    const struct command *command = request->command->command;
    if (LIKELY(command->run != NULL && (command->flags & COMMAND_GATHERS) == 0)) {
        run_data(worker, connection, request);
        return DISPATCH_DONE;
    }
    connection->flags |= CONNECTION_FOLLOWS;
    struct queued_command queued = command_of(connection, request);
    if ((command->flags & COMMAND_GATHERS) != 0 && !is_stopped && worker->node->worker_count > 1) {
        return gather_step(worker, connection, &queued, dispatch, mark);
    }
    if ((command->flags & COMMAND_WAITS) != 0) {
        return run_waiting(worker, connection, &queued);
    }
    dispatch_queued(worker, connection, &queued);
    return DISPATCH_DONE;
}

#define OUT_OF_MEMORY "OOM command not allowed when used memory > 'maxmemory'."

/* Makes room for the command, whatever it is. True: there is none, and it needs some; the reply
 * says so. */
static bool refuse_for_memory(struct worker *worker, struct connection *connection,
                              const struct command_slot *slot) {
    if (LIKELY(worker_make_room(worker))) {
        return false;
    }
    bool needs_room =
        (slot->command->flags & COMMAND_DENY_OOM) != 0 ||
        (is_command(slot, "exec") && transaction_has_flag(connection, COMMAND_DENY_OOM));
    if (needs_room) {
        dispatch_reject(worker, connection, slot, OUT_OF_MEMORY);
    }
    return needs_room;
}

#define LOADING "LOADING Redis is loading the dataset in memory"
#define SNAPSHOT_FAILED                                                                            \
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "  \
    "disk. Commands that may modify the data set are disabled, because this instance is "          \
    "configured to report errors during writes if RDB snapshotting fails "                         \
    "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB " \
    "error."

#define LOG_AT_MAX                                                                                 \
    "MISCONF The log has grown to log-size-max. Writes are refused until a snapshot has made "     \
    "room."

static bool is_write(const struct connection *connection, const struct command_slot *slot) {
    return (slot->command->flags & COMMAND_WRITE) != 0 ||
           (is_command(slot, "exec") && transaction_has_flag(connection, COMMAND_WRITE));
}

/* Most starts are short: who comes then waits for their end instead of being refused. */
static bool waits_for_loading(const struct worker *worker, const struct command_slot *slot) {
    const struct node *node = worker->node;
    return atomic_load(&node->is_loading) && (slot->command->flags & COMMAND_LOADING) == 0 &&
           worker->now_ms < node->loading_refuses_from_ms;
}

/* What the node cannot do now: anything that needs the data while it is loaded, writes while they
 * cannot be kept. True: the reply says so. */
static bool refuse_for_state(struct worker *worker, struct connection *connection,
                             const struct command_slot *slot) {
    const struct node *node = worker->node;
    if (atomic_load(&node->is_loading)) {
        if ((slot->command->flags & COMMAND_LOADING) != 0) {
            return false;
        }
        dispatch_reject(worker, connection, slot, LOADING);
        return true;
    }
    /* PING as well, so that those who watch the node see it. */
    if (!is_write(connection, slot) && !is_command(slot, "ping")) {
        return false;
    }
    if (atomic_load(&node->refuses_writes)) {
        dispatch_reject(worker, connection, slot, SNAPSHOT_FAILED);
        return true;
    }
    if (atomic_load(&node->log_is_at_max)) {
        dispatch_reject(worker, connection, slot, LOG_AT_MAX);
        return true;
    }
    int error = node->log == NULL || !node->log_gates ? 0 : oplog_error(node->log);
    if (error == 0) {
        return false;
    }
    size_t reply_at = connection->reply.buffer.length;
    reply_error_format(&connection->reply, "MISCONF Errors writing to the AOF file: %s",
                       strerror(error));
    refused(worker, connection, slot, reply_at);
    return true;
}

/* Inside MULTI. A queue may take memory without end: whatever would join it is refused when there
 * is none. */
static void queue(struct worker *worker, struct connection *connection,
                  const struct request *request) {
    if ((request->command->command->flags & COMMAND_NO_MULTI) != 0) {
        dispatch_reject(worker, connection, request->command,
                        "ERR Command not allowed inside a transaction");
        return;
    }
    if (UNLIKELY(!worker_make_room(worker))) {
        dispatch_reject(worker, connection, request->command, OUT_OF_MEMORY);
        return;
    }
    struct queued_command queued = command_of(connection, request);
    if (UNLIKELY(!transaction_queue(connection->transaction, &queued))) {
        dispatch_reject(worker, connection, request->command, PARSER_OUT_OF_MEMORY);
        return;
    }
    reply_status(&connection->reply, "QUEUED");
}

enum dispatch_outcome dispatch_request(struct worker *worker, struct connection *connection,
                                       struct request *request, bool is_stopped,
                                       struct dispatch *dispatch) {
    struct reply_mark mark = reply_mark_here(&connection->reply);
    connection->last_command = request->command;
    if (UNLIKELY(!authorise(worker, connection, request))) {
        apply_reply_mode(worker, connection, mark);
        return DISPATCH_DONE;
    }
    const struct command_slot *slot = request->command;
    if (UNLIKELY(is_suspended(worker, connection, slot))) {
        return DISPATCH_SUSPEND;
    }
    if (UNLIKELY(worker->may_refuse) && waits_for_loading(worker, slot)) {
        return DISPATCH_HOLD;
    }
    if (UNLIKELY(worker->may_refuse) && refuse_for_state(worker, connection, slot)) {
        apply_reply_mode(worker, connection, mark);
        return DISPATCH_DONE;
    }
    if (UNLIKELY(connection_in_multi(connection)) && !ends_queueing(slot)) {
        queue(worker, connection, request);
        apply_reply_mode(worker, connection, mark);
        return DISPATCH_DONE;
    }
    if (!is_stopped && worker->node->worker_count > 1) {
        enum dispatch_outcome outcome = locate(worker, connection, request, dispatch);
        if (outcome != DISPATCH_DONE) {
            return outcome;
        }
    }
    if (UNLIKELY(refuse_for_memory(worker, connection, slot))) {
        apply_reply_mode(worker, connection, mark);
        return DISPATCH_DONE;
    }
    connection->commands += connection->gather.store_count == 0; /* A gather's parts are one. */
    enum dispatch_outcome outcome =
        execute(worker, connection, request, is_stopped, dispatch, &mark);
    if (LIKELY(outcome == DISPATCH_DONE)) {
        const unsigned unusual = CONNECTION_REPLY_OFF | CONNECTION_REPLY_SKIP |
                                 CONNECTION_REPLY_SKIP_NEXT | CONNECTION_PUSHED;
        if (UNLIKELY((connection->flags & unusual) != 0)) {
            apply_reply_mode(worker, connection, mark);
        }
    }
    return outcome;
}
