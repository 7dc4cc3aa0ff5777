#include "worker/transactions.h"

#include "base/memory.h"
#include "worker/dispatch.h"

static uint64_t owner_bit(const struct node *node, uint16_t slot) {
    return UINT64_C(1) << node->keyspace->owners[slot];
}

/* ---- which workers EXEC needs ---- */

static uint64_t queued_workers(const struct node *node, const struct queued_command *queued,
                               bool *needs_home) {
    const struct command *command = queued->command->command;
    if ((command->flags & (COMMAND_ALL_WORKERS | COMMAND_GATHERS | COMMAND_BY_CURSOR)) != 0) {
        return STOP_ALL_WORKERS;
    }
    if (command->session != NULL && (command->flags & COMMAND_BY_KEYS) == 0 &&
        (command->rules & RULE_MOVES_KEYS) == 0) {
        *needs_home = true;
        return 0;
    }
    return route_key_owners(node, command, queued->args, queued->args_count);
}

uint64_t transaction_workers(const struct node *node, const struct connection *connection,
                             bool *needs_home) {
    const struct transaction *transaction = connection->transaction;
    uint64_t workers = 0;
    *needs_home = false;
    if (transaction == NULL) {
        return 0;
    }
    for (uint32_t i = 0; i < transaction->watched_count; i++) {
        workers |= owner_bit(node, transaction->watched[i].slot);
    }
    for (uint32_t i = 0; i < transaction->commands_count; i++) {
        workers |= queued_workers(node, &transaction->commands[i], needs_home);
    }
    return workers;
}

bool transaction_has_flag(const struct connection *connection, unsigned flag) {
    const struct transaction *transaction = connection->transaction;
    for (uint32_t i = 0; transaction != NULL && i < transaction->commands_count; i++) {
        if ((transaction->commands[i].command->command->flags & flag) != 0) {
            return true;
        }
    }
    return false;
}

bool transaction_has_rule(const struct connection *connection, unsigned rule) {
    const struct transaction *transaction = connection->transaction;
    for (uint32_t i = 0; transaction != NULL && i < transaction->commands_count; i++) {
        if ((transaction->commands[i].command->command->rules & rule) != 0) {
            return true;
        }
    }
    return false;
}

/* ---- watched keys ---- */

struct unwatch {
    struct post post;
    uint32_t database;
    struct span key; /* owned */
};

static void key_free(struct span key) {
    memory_free((void *)(uintptr_t)key.bytes);
}

static void unwatch_run(struct worker *worker, struct post *post) {
    struct unwatch *unwatch = (struct unwatch *)post;
    watch_drop(&worker->store->watches, &worker->store->heap, unwatch->database, unwatch->key);
    key_free(unwatch->key);
    memory_free(unwatch);
}

static void unwatch_all(struct worker *worker, struct transaction *transaction) {
    struct node *node = worker->node;
    for (uint32_t i = 0; i < transaction->watched_count; i++) {
        struct watched_key *watched = &transaction->watched[i];
        uint8_t owner = node->keyspace->owners[watched->slot];
        if (owner == worker->index) {
            watch_drop(&worker->store->watches, &worker->store->heap, watched->database,
                       watched->key);
            continue;
        }
        struct unwatch *unwatch = memory_alloc_zeroed(sizeof(*unwatch));
        unwatch->post.run = unwatch_run;
        unwatch->database = watched->database;
        unwatch->key = watched->key;
        watched->key = span_of(NULL, 0);
        worker_post(node->workers[owner], &unwatch->post);
    }
    transaction_unwatch(transaction);
}

void transaction_drop(struct worker *worker, struct connection *connection) {
    unwatch_all(worker, connection->transaction);
    transaction_free(connection->transaction);
    memory_free(connection->transaction);
    connection->transaction = NULL;
}

static struct transaction *transaction_of(struct connection *connection) {
    if (connection->transaction == NULL) {
        connection->transaction = memory_alloc(sizeof(struct transaction));
        transaction_init(connection->transaction);
    }
    return connection->transaction;
}

/* An expired key is not there, whether it was deleted or not. */
static bool is_there(const struct store *store, const struct watched_key *watched, int64_t now_ms) {
    const uint64_t *cell = store_find(store, watched->database, watched->slot,
                                      store_hash(store, watched->key), watched->key);
    if (cell == NULL) {
        return false;
    }
    int64_t expiry_ms = entry_expiry(table_cell_element(*cell));
    return expiry_ms == ENTRY_NO_EXPIRY || expiry_ms > now_ms;
}

/* A key changed since WATCH, or its time has come since. */
static bool watch_is_broken(const struct node *node, const struct watched_key *watched,
                            int64_t now_ms) {
    const struct store *store = keyspace_store(node->keyspace, watched->slot);
    if (watch_version(&store->watches, watched->database, watched->key) != watched->version) {
        return true;
    }
    return watched->was_there && !is_there(store, watched, now_ms);
}

static bool watches_are_broken(const struct node *node, const struct transaction *transaction,
                               int64_t now_ms) {
    for (uint32_t i = 0; i < transaction->watched_count; i++) {
        if (watch_is_broken(node, &transaction->watched[i], now_ms)) {
            return true;
        }
    }
    return false;
}

/* ---- the commands ---- */

static void multi_command(struct session *session) {
    struct connection *connection = session->connection;
    if (connection_in_multi(connection)) {
        reply_error(session->reply, "ERR MULTI calls can not be nested");
        return;
    }
    transaction_of(connection)->is_open = true;
    reply_ok(session->reply);
}

static void discard_command(struct session *session) {
    struct connection *connection = session->connection;
    if (!connection_in_multi(connection)) {
        reply_error(session->reply, "ERR DISCARD without MULTI");
        return;
    }
    transaction_drop(session->worker, connection);
    reply_ok(session->reply);
}

/* As in Redis, CLIENT REPLY holds from the queued command that it is on: EXEC's header and the
 * replies before it have been given. */
static void run_queue(struct session *session, const struct transaction *transaction) {
    struct connection *connection = session->connection;
    struct reply_mark mark = reply_mark_here(session->reply);
    reply_array(session->reply, transaction->commands_count);
    for (uint32_t i = 0;; i++) {
        if (UNLIKELY(connection_is_silent(connection))) {
            reply_rewind(session->reply, mark);
        }
        if (i == transaction->commands_count) {
            break;
        }
        mark = reply_mark_here(session->reply);
        dispatch_queued(session->worker, connection, &transaction->commands[i]);
    }
    if (connection_is_silent(connection)) {
        connection->flags |= CONNECTION_REPLY_SETTLED;
    }
}

static void exec_command(struct session *session) {
    struct connection *connection = session->connection;
    struct transaction *transaction = connection->transaction;
    if (!connection_in_multi(connection)) {
        reply_error(session->reply, "ERR EXEC without MULTI");
        return;
    }
    if (transaction->is_aborted) {
        reply_error(session->reply, "EXECABORT Transaction discarded because of previous errors.");
    } else if (watches_are_broken(session_node(session), transaction, session->worker->now_ms)) {
        reply_null_array(session->reply);
    } else {
        unwatch_all(session->worker, transaction);
        connection->transaction = NULL; /* The commands run outside of MULTI. */
        connection->flags |= CONNECTION_IN_EXEC;
        run_queue(session, transaction);
        connection->flags &= ~(unsigned)CONNECTION_IN_EXEC;
        connection->ticket = 0;
        session->worker->redacted_args = 0; /* Theirs are not EXEC's. */
        transaction_free(transaction);
        memory_free(transaction);
        return;
    }
    connection->ticket = 0;
    transaction_drop(session->worker, connection);
}

/* False: there is no memory for it. */
static bool watch_one(struct session *session, struct transaction *transaction, struct span key) {
    struct watched_key watched = {
        .key = key,
        .database = session->connection->database,
        .slot = slot_of_key(key),
    };
    if (transaction_watched(transaction, watched.database, watched.key) != NULL) {
        return true;
    }
    struct store *store = keyspace_store(session_node(session)->keyspace, watched.slot);
    watched.version = watch_add(&store->watches, &store->heap, watched.database, watched.key);
    if (watched.version == WATCH_NO_MEMORY) {
        return false;
    }
    watched.was_there = is_there(store, &watched, session->worker->now_ms);
    if (!transaction_watch(transaction, &watched)) {
        watch_drop(&store->watches, &store->heap, watched.database, watched.key);
        return false;
    }
    return true;
}

static void watch_command(struct session *session) {
    struct connection *connection = session->connection;
    if (connection_in_multi(connection)) {
        reply_error(session->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    struct transaction *transaction = transaction_of(connection);
    for (uint32_t i = 1; i < session->args_count; i++) {
        if (!watch_one(session, transaction, session->args[i])) {
            reply_error(session->reply, "OOM there is not enough memory to watch this key");
            return;
        }
    }
    reply_ok(session->reply);
}

static void unwatch_command(struct session *session) {
    struct connection *connection = session->connection;
    if (connection->transaction != NULL && !connection->transaction->is_open) {
        transaction_drop(session->worker, connection);
    }
    reply_ok(session->reply);
}

const struct command transaction_commands[] = {
    {
        .name = "multi",
        .arity = 1,
        .flags =
            COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_ALLOW_BUSY,
        .rules = RULE_NEVER_QUEUED,
        .categories = CATEGORY_TRANSACTION,
        .session = multi_command,
        .group = "transactions",
        .since = "1.2.0",
        .complexity = "O(1)",
        .summary = "Starts a transaction: what follows is queued until EXEC.",
        .syntax = "",
    },
    {
        .name = "exec",
        .arity = 1,
        .flags = COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_SKIP_SLOWLOG,
        .rules = RULE_NEVER_QUEUED | RULE_RUNS_QUEUE,
        .categories = CATEGORY_TRANSACTION,
        .session = exec_command,
        .group = "transactions",
        .since = "1.2.0",
        .complexity = "Depends on commands in the transaction",
        .summary = "Runs the queued commands at once, unless a watched key has changed.",
        .syntax = "",
    },
    {
        .name = "discard",
        .arity = 1,
        .flags =
            COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_ALLOW_BUSY,
        .rules = RULE_NEVER_QUEUED,
        .categories = CATEGORY_TRANSACTION,
        .session = discard_command,
        .group = "transactions",
        .since = "2.0.0",
        .complexity = "O(N), when N is the number of queued commands",
        .summary = "Forgets the queued commands and ends the transaction.",
        .syntax = "",
    },
    {
        .name = "watch",
        .arity = -2,
        .flags = COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST |
                 COMMAND_ALLOW_BUSY | COMMAND_BY_KEYS,
        .rules = RULE_NEVER_QUEUED,
        .categories = CATEGORY_TRANSACTION,
        .keys = {{.flags = KEY_RO, .begin = 1, .last = -1, .step = 1}},
        .session = watch_command,
        .group = "transactions",
        .since = "2.2.0",
        .complexity = "O(1) for every key.",
        .summary = "Lets the next EXEC run only if these keys do not change until then.",
        .syntax = "key [key ...]",
    },
    {
        .name = "unwatch",
        .arity = 1,
        .flags =
            COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_ALLOW_BUSY,
        .categories = CATEGORY_TRANSACTION,
        .session = unwatch_command,
        .group = "transactions",
        .since = "2.2.0",
        .complexity = "O(1)",
        .summary = "Forgets all watched keys.",
        .syntax = "",
    },
    {0},
};
