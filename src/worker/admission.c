#include "worker/admission.h"

#include "base/logger.h"
#include "io/clock.h"
#include "worker/cluster.h"
#include "worker/key_holds.h"
#include "worker/pubsub.h"
#include "worker/removal.h"
#include "worker/transactions.h"

/* ---- refusals ---- */

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
static void count_refusal(struct worker *worker, struct connection *connection,
                          const struct command_slot *command, size_t reply_at) {
    connection->ticket = 0; /* What it may have waited for is nobody's. */
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

/* The same; EXEC says that it was refused, and why. */
static void refused(struct worker *worker, struct connection *connection,
                    const struct command_slot *command, size_t reply_at) {
    if (command != NULL && (command->command->rules & RULE_RUNS_QUEUE) != 0) {
        reword_exec(worker, connection, reply_at);
    }
    count_refusal(worker, connection, command, reply_at);
}

void admission_reject(struct worker *worker, struct connection *connection,
                      const struct command_slot *command, const char *error) {
    size_t reply_at = connection->reply.buffer.length;
    reply_error(&connection->reply, error);
    refused(worker, connection, command, reply_at);
}

/* ---- who asks, and what for ---- */

/* A web browser was made to talk to us: what follows may be commands that somebody wrote into a
 * page. */
static bool is_web_request(struct span word) {
    return span_is(word, "post") || span_is(word, "host:");
}

static void reply_unknown_command(struct reply *reply, const struct span *args,
                                  uint32_t args_count) {
    struct buffer quoted = BUFFER_EMPTY;
    for (uint32_t i = 1; i < args_count && quoted.length < QUOTED_BYTES_MAX; i++) {
        struct span word = quoted_part(args[i], QUOTED_BYTES_MAX - quoted.length);
        buffer_format(&quoted, "'%.*s' ", (int)word.length, word.bytes);
    }
    struct span name = quoted_part(args[0], QUOTED_BYTES_MAX);
    reply_error_format(reply, "ERR unknown command '%.*s', with args beginning with: %.*s",
                       (int)name.length, name.bytes, (int)quoted.length,
                       quoted.bytes == NULL ? "" : quoted.bytes);
    buffer_free(&quoted);
}

/* A command or subcommand that there is not. */
static void reply_unknown(struct worker *worker, struct connection *connection,
                          const struct request *request) {
    const struct span *args = request_args(connection, request);
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
    size_t reply_at = connection->reply.buffer.length;
    if (request->container != NULL) {
        struct span word = quoted_part(args[1], QUOTED_BYTES_MAX);
        char container[COMMAND_TITLE_BYTES];
        reply_error_format(&connection->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                           (int)word.length, word.bytes,
                           command_title(request->container, container));
    } else {
        reply_unknown_command(&connection->reply, args, request->args_count);
    }
    refused(worker, connection, NULL, reply_at);
}

/* DEBUG and its like. False: the reply says why not. */
static bool authorise_protected(struct worker *worker, struct connection *connection,
                                const struct command_slot *slot) {
    const struct node *node = worker->node;
    const char *refusal = node->protected_refusal == NULL
                              ? NULL
                              : node->protected_refusal(node, connection, slot->command);
    if (refusal != NULL) {
        admission_reject(worker, connection, slot, refusal);
    }
    return refusal == NULL;
}

/* For a connection that is not logged in, or a monitor. False: the reply says why not. */
static bool authorise_unusual(struct worker *worker, struct connection *connection,
                              const struct command_slot *slot) {
    unsigned flags = slot->command->flags;
    if ((connection->flags & CONNECTION_AUTHENTICATED) == 0 && (flags & COMMAND_NO_AUTH) == 0 &&
        (slot->command->rules & RULE_LOGS_IN) == 0 && worker->node->password[0] != '\0') {
        admission_reject(worker, connection, slot, "NOAUTH Authentication required.");
        return false;
    }
    if ((connection->flags & CONNECTION_MONITOR) != 0 &&
        (flags & (COMMAND_READONLY | COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0) {
        admission_reject(worker, connection, slot, "ERR Replica can't interact with the keyspace");
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
        pubsub_subscriptions(connection) > 0 &&
        (slot->command->rules & RULE_WHILE_SUBSCRIBED) == 0) {
        reply_error_format(&connection->reply,
                           "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING "
                           "/ QUIT / RESET are allowed in this context",
                           slot->full_name);
        refused(worker, connection, slot, reply_at);
        return false;
    }
    return true;
}

/* ---- the state of node and worker ---- */

/* The command is EXEC, and such a command is queued. */
static bool queue_has_flag(const struct connection *connection, const struct command_slot *slot,
                           unsigned flags) {
    return (slot->command->rules & RULE_RUNS_QUEUE) != 0 && transaction_has_flag(connection, flags);
}

/* The command was let through before, and waits for what it has begun. */
static bool is_under_way(const struct connection *connection, const struct command_slot *slot) {
    return connection->ticket != 0 && (slot->command->flags & COMMAND_WAITS) != 0;
}

static bool is_suspended(const struct worker *worker, const struct connection *connection,
                         const struct command_slot *slot) {
    if (LIKELY(!worker->is_paused) || (connection->flags & CONNECTION_MONITOR) != 0 ||
        connection->gather.store_count != 0 || is_under_way(connection, slot)) {
        return false;
    }
    int mode = atomic_load_explicit(&worker->node->pause_mode, memory_order_relaxed);
    const unsigned writes = COMMAND_WRITE | COMMAND_MAY_REPLICATE;
    return mode == PAUSE_ALL || (slot->command->flags & writes) != 0 ||
           queue_has_flag(connection, slot, writes);
}

#define LOADING "LOADING Redis is loading the dataset in memory"
#define SNAPSHOT_FAILED                                                                            \
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "  \
    "disk. Commands that may modify the data set are disabled, because this instance is "          \
    "configured to report errors during writes if RDB snapshotting fails "                         \
    "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB " \
    "error."

#define LOG_AT_MAX                                                                                 \
    "MISCONF The log and what is kept beside it have grown to log-size-max. Writes are refused "   \
    "until a snapshot has made room."

#define NO_REPLICAS "NOREPLICAS Not enough good replicas to write."
#define US_PER_MS 1000
#define MS_PER_SECOND 1000

bool admission_has_replicas(const struct node *node) {
    const struct worker_options *options = node->options;
    int64_t wanted = options->min_replicas_to_write;
    if (wanted == 0 || options->min_replicas_max_lag == 0 || !quorum_is_primary(&node->quorum)) {
        return true;
    }
    return wanted <= QUORUM_MEMBERS_MAX &&
           quorum_heard_ms(&node->quorum, (uint32_t)wanted) >= admission_heard_from_ms(node);
}

int64_t admission_heard_from_ms(const struct node *node) {
    return clock_monotonic_us() / US_PER_MS - node->options->min_replicas_max_lag * MS_PER_SECOND;
}

#define READ_ONLY "READONLY You can't write against a read only replica."
#define CUT_OFF "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."

static bool is_write(const struct connection *connection, const struct command_slot *slot) {
    return (slot->command->flags & COMMAND_WRITE) != 0 ||
           queue_has_flag(connection, slot, COMMAND_WRITE);
}

/* Most starts are short: who comes then waits for their end instead of being refused. */
static bool waits_for_loading(const struct worker *worker, const struct command_slot *slot) {
    const struct node *node = worker->node;
    return atomic_load(&node->is_loading) && (slot->command->flags & COMMAND_LOADING) == 0 &&
           worker->now_ms < node->loading_refuses_from_ms;
}

/* What a replica does not do, or not now. True: the reply says so. */
static bool refuse_as_replica(struct worker *worker, struct connection *connection,
                              const struct command_slot *slot) {
    const struct node *node = worker->node;
    const char *refusal = NULL;
    if (node->options->replica_read_only && is_write(connection, slot)) {
        refusal = READ_ONLY;
    } else if (!node->options->replica_serve_stale_data && atomic_load(&node->is_cut_off) &&
               (slot->command->flags & COMMAND_STALE) == 0) {
        refusal = CUT_OFF;
    } else if (atomic_load(&node->is_incomplete) && (slot->command->flags & COMMAND_LOADING) == 0 &&
               (slot->command->rules & RULE_WHILE_INCOMPLETE) == 0) {
        refusal = LOADING;
    }
    if (refusal != NULL) {
        admission_reject(worker, connection, slot, refusal);
    }
    return refusal != NULL;
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
        admission_reject(worker, connection, slot, LOADING);
        return true;
    }
    if (node_is_led(node) && refuse_as_replica(worker, connection, slot)) {
        return true;
    }
    if (!is_write(connection, slot) && (slot->command->rules & RULE_TELLS_HEALTH) == 0) {
        return false;
    }
    if (atomic_load(&node->refuses_writes)) {
        admission_reject(worker, connection, slot, SNAPSHOT_FAILED);
        return true;
    }
    if (node_log_is_at_max(node)) {
        admission_reject(worker, connection, slot, LOG_AT_MAX);
        return true;
    }
    int error = node->log == NULL || !node->log_gates ? 0 : oplog_error(node->log);
    if (error == 0) {
        bool is_refused = is_write(connection, slot) && !admission_has_replicas(node);
        if (is_refused) {
            admission_reject(worker, connection, slot, NO_REPLICAS);
        }
        return is_refused;
    }
    size_t reply_at = connection->reply.buffer.length;
    reply_error_format(&connection->reply, "MISCONF Errors writing to the AOF file: %s",
                       strerror(error));
    refused(worker, connection, slot, reply_at);
    return true;
}

/* ---- the cluster ---- */

#define DOWN "CLUSTERDOWN The cluster is down"

/* This node is a primary that may not serve now. */
static bool needs_lease(const struct worker *worker, const struct command_slot *slot) {
    return UNLIKELY(worker->lacks_lease) && cluster_needs_lease(slot->command) &&
           !atomic_load(&worker->node->is_loading);
}

/* It is about to begin, or to make way for another: who waits a little need not be refused. */
static enum admission without_lease(struct worker *worker, struct connection *connection,
                                    const struct command_slot *slot) {
    if (worker->boot_ms < atomic_load(&worker->node->cluster->refuses_from_ms)) {
        return ADMISSION_HELD;
    }
    admission_reject(worker, connection, slot, DOWN);
    return ADMISSION_REFUSED;
}

/* False: another node is to be asked, or none can; the reply says so. As in Redis the error is
 * EXEC's whole answer. */
static bool is_ours(struct worker *worker, struct connection *connection,
                    const struct request *request) {
    if (LIKELY(cluster_serves(worker->node->cluster, request))) {
        return true;
    }
    /* EXEC was let through before its own commands changed the map. */
    if (is_under_way(connection, request->command) ||
        (connection->ticket != 0 && (request->command->command->rules & RULE_RUNS_QUEUE) != 0)) {
        return true;
    }
    struct buffer error = BUFFER_EMPTY;
    if (LIKELY(cluster_admit(worker, connection, request, &error) == CLUSTER_SERVED)) {
        return true;
    }
    buffer_append_byte(&error, '\0');
    if ((request->command->command->rules & RULE_RUNS_QUEUE) != 0) {
        transaction_drop(worker, connection);
    }
    size_t reply_at = connection->reply.buffer.length;
    reply_error(&connection->reply, error.bytes);
    count_refusal(worker, connection, request->command, reply_at);
    buffer_free(&error);
    return false;
}

/* ---- the decision ---- */

enum admission admission_decide(struct worker *worker, struct connection *connection,
                                const struct request *request) {
    const struct command_slot *slot = request->command;
    if (UNLIKELY(!authorise(worker, connection, request))) {
        return ADMISSION_REFUSED;
    }
    if (UNLIKELY(worker->node->cluster != NULL) && !is_ours(worker, connection, request)) {
        return ADMISSION_REFUSED;
    }
    if (UNLIKELY(is_suspended(worker, connection, slot))) {
        return ADMISSION_SUSPENDED;
    }
    if (LIKELY(!worker->may_refuse) || is_under_way(connection, slot)) {
        return ADMISSION_GRANTED;
    }
    if (waits_for_loading(worker, slot)) {
        return ADMISSION_HELD;
    }
    if (needs_lease(worker, slot)) {
        return without_lease(worker, connection, slot);
    }
    if (refuse_for_state(worker, connection, slot)) {
        return ADMISSION_REFUSED;
    }
    return key_holds_wait(worker->node, connection, request) ? ADMISSION_HELD : ADMISSION_GRANTED;
}

bool admission_refuses_for_memory(struct worker *worker, struct connection *connection,
                                  const struct command_slot *slot) {
    if (LIKELY(worker_make_room(worker))) {
        return false;
    }
    bool needs_room = (slot->command->flags & COMMAND_DENY_OOM) != 0 ||
                      queue_has_flag(connection, slot, COMMAND_DENY_OOM);
    if (needs_room) {
        admission_reject(worker, connection, slot, ADMISSION_OUT_OF_MEMORY);
    }
    return needs_room;
}
