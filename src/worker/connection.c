#include "worker/connection.h"

#include "base/memory.h"
#include "worker/blocking.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/quorum_gate.h"
#include "worker/transactions.h"
#include "worker/worker.h"

/* ---- lifecycle ---- */

struct connection *connection_new(struct worker *home, int fd, bool is_unix) {
    struct connection *connection = memory_alloc_aligned(CONNECTION_ALIGNMENT, sizeof(*connection));
    memset(connection, 0, sizeof(*connection));
    connection->home = home;
    connection->fd = fd;
    connection->flags = is_unix ? CONNECTION_UNIX | CONNECTION_LOCAL : 0;
    if (!is_unix && network_peer_is_local(fd)) {
        connection->flags |= CONNECTION_LOCAL;
    }
    connection->id = atomic_fetch_add(&home->node->next_client_id, 1) + 1;
    char address[NETWORK_ADDRESS_BYTES];
    network_peer_address(fd, address);
    connection->peer = memory_copy_string(address);
    network_own_address(fd, address);
    connection->own = memory_copy_string(address);
    connection->is_writable = true;
    list_init(&connection->run_link);
    list_init(&connection->write_link);
    list_init(&connection->monitor_link);
    parser_init(&connection->parser);
    reply_init(&connection->reply, 2);
    reply_init(&connection->deferred, 2);
    connection->created_ms = home->now_ms;
    connection->last_active_ms = home->now_ms;
    connection->user = memory_copy_string("default");
    if (home->node->password[0] == '\0') {
        connection->flags |= CONNECTION_AUTHENTICATED;
    }
    quorum_gate_configure(connection);
    return connection;
}

void connection_free(struct connection *connection) {
    ASSERT(!connection->is_away);
    struct worker *home = connection->home;
    pubsub_forget(connection);
    monitor_leave(connection);
    if (connection->transaction != NULL) {
        transaction_drop(home, connection);
    }
    blocking_forget(connection);
    quorum_gate_free(connection);
    list_remove(&connection->run_link);
    list_remove(&connection->write_link);
    loop_watch_stop(home->loop, &connection->watch);
    if (connection->fd >= 0) {
        network_close(connection->fd);
    }
    if (connection->detachment != NULL) {
        connection->detachment->take(connection->detachment, -1);
    }
    memory_free(connection->replica_words);
    connection_input_free(connection);
    reply_free(&connection->reply);
    reply_free(&connection->deferred);
    memory_free(connection->peer);
    memory_free(connection->own);
    memory_free(connection->name);
    memory_free(connection->library_name);
    memory_free(connection->library_version);
    memory_free(connection->user);
    memory_free(connection);
}

void connection_close(struct connection *connection) {
    if (connection->closes) {
        return;
    }
    struct worker *home = connection->home;
    connection->closes = true;
    list_remove(&connection->link);
    list_push_back(&home->closing, &connection->link);
    home->connections_count--;
    atomic_fetch_sub(&home->node->clients, 1);
}

void connection_detach(struct connection *connection, struct detachment *detachment) {
    ASSERT(connection->detachment == NULL);
    connection->detachment = detachment;
    connection->flags |= CONNECTION_CLOSE_AFTER_REPLY;
}

/* ---- the watch ---- */

static void readable(void *context, unsigned events) {
    struct connection *connection = context;
    struct worker *home = connection->home;
    if ((events & LOOP_FAILED) != 0) {
        connection_close(connection);
        return;
    }
    if ((events & LOOP_WRITE) != 0) {
        connection->is_writable = true;
        connection_mark_output(connection);
        if (!connection->is_away) {
            connection->is_reading = true;
        }
        loop_watch_change(home->loop, &connection->watch, connection->is_reading ? LOOP_READ : 0);
    }
    if ((events & LOOP_READ) == 0) {
        return;
    }
    if (connection_is_kept(connection) && network_peer_has_left(connection->fd)) {
        connection_close(connection); /* The wait may be long, and its place is of use to others. */
        return;
    }
    if (connection->is_away || list_is_linked(&connection->run_link)) {
        /* Its turn has not come yet: the loop shall not tell of it again and again. */
        loop_watch_change(home->loop, &connection->watch, connection->is_writable ? 0 : LOOP_WRITE);
        connection->is_reading = false;
        return;
    }
    list_push_back(&home->readable, &connection->run_link);
}

void connection_watch(struct connection *connection) {
    connection->is_reading = true;
    loop_watch_start(connection->home->loop, &connection->watch, connection->fd, LOOP_READ,
                     readable, connection);
}

void connection_resume_reading(struct connection *connection) {
    if (UNLIKELY(!connection->is_reading) && !connection->closes) {
        connection->is_reading = true;
        loop_watch_change(connection->home->loop, &connection->watch,
                          connection->is_writable ? LOOP_READ : LOOP_READ | LOOP_WRITE);
    }
}

size_t connection_memory_bytes(const struct connection *connection) {
    size_t bytes = sizeof(*connection) + connection->input_capacity +
                   connection->deferred.buffer.capacity + connection->deferred.blocks_bytes +
                   connection->reply.buffer.capacity + connection->reply.blocks_bytes +
                   connection->parser.arguments.capacity * sizeof(struct span) +
                   quorum_gate_bytes(connection);
    if (connection->large != NULL) {
        bytes += block_occupied_bytes(connection->large);
    }
    if (connection->transaction != NULL) {
        bytes += sizeof(struct transaction) + connection->transaction->queued_bytes;
    }
    return bytes;
}
