#include "worker/blocking.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/deadlines.h"
#include "worker/dispatch.h"
#include "worker/gate.h"

bool blocking_is_possible(const struct session *session) {
    return (session->connection->flags & CONNECTION_IN_EXEC) == 0;
}

void blocking_begin(struct session *session, const struct blocked *wanted) {
    struct connection *connection = session->connection;
    struct node *node = session_node(session);
    ASSERT(connection->blocked == NULL && connection->home == session->worker);
    connection->blocked = memory_alloc(sizeof(*wanted));
    *connection->blocked = *wanted;
    session->waits = true;
    atomic_fetch_add(&node->blocked_clients, 1);
    if (wanted->due_us != DEADLINE_NEVER) {
        atomic_fetch_add(&node->blocked_with_timeout, 1);
    }
    if (wanted->kind->is_there != NULL) {
        session->worker->blocked_lookers++;
        gate_await_begin(node);
    }
    deadlines_add(session->worker, wanted->due_us);
}

void blocking_forget(struct connection *connection) {
    struct blocked *blocked = connection->blocked;
    struct node *node = connection->home->node;
    if (blocked == NULL) {
        return;
    }
    atomic_fetch_sub(&node->blocked_clients, 1);
    if (blocked->due_us != DEADLINE_NEVER) {
        atomic_fetch_sub(&node->blocked_with_timeout, 1);
    }
    if (blocked->kind->is_there != NULL) {
        connection->home->blocked_lookers--;
        gate_await_end(node);
    }
    memory_free(blocked);
    connection->blocked = NULL;
}

/* ---- the end of a wait ---- */

static void answer(struct connection *connection) {
    connection->blocked->kind->answer(connection, connection->blocked);
}

static void answer_unblocked(struct connection *connection) {
    reply_error(&connection->reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
}

void blocking_end(struct connection *connection, enum blocking_end end) {
    struct worker *home = connection->home;
    ASSERT(connection->blocked != NULL && !connection->is_away);
    dispatch_answer(home, connection, end == BLOCKING_UNBLOCKED ? answer_unblocked : answer);
    blocking_forget(connection);
    list_remove(&connection->run_link);
    list_push_back(&home->runnable, &connection->run_link);
}

/* ---- the worker ---- */

static bool is_there(const struct connection *connection) {
    const struct blocked *blocked = connection->blocked;
    return blocked->kind->is_there != NULL && blocked->kind->is_there(connection, blocked);
}

void blocking_step(struct worker *worker) {
    if (LIKELY(list_is_empty(&worker->blocked)) ||
        (worker->blocked_lookers == 0 && !worker->deadline_is_over)) {
        return;
    }
    /* Asks to be woken before it looks: what comes in between is not missed. */
    if (worker->blocked_lookers > 0) {
        atomic_store(&worker->awaits_quorum, true);
        atomic_store(&worker->awaits_log, true);
    }
    int64_t now_us = worker->deadline_is_over ? clock_monotonic_us() : 0;
    for (struct list *link = worker->blocked.next; link != &worker->blocked;) {
        struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
        link = link->next;
        if (!connection->closes &&
            (is_there(connection) || connection->blocked->due_us <= now_us)) {
            blocking_end(connection, BLOCKING_OVER);
        }
    }
}

int64_t blocking_next_due_us(const struct worker *worker) {
    int64_t next_us = DEADLINE_NEVER;
    LIST_FOR_EACH(link, &worker->blocked) {
        int64_t due_us = LIST_ENTRY(link, struct connection, run_link)->blocked->due_us;
        next_us = due_us < next_us ? due_us : next_us;
    }
    return next_us;
}
