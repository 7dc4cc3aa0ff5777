/* Output of connections: writing, pushes, and its limits. */
#include "base/logger.h"
#include "base/memory.h"
#include "worker/client_info.h"
#include "worker/pubsub.h"
#include "worker/quorum_gate.h"
#include "worker/worker.h"

#include <sys/uio.h>

/* ---- writing ---- */

void connection_mark_output(struct connection *connection) {
    if (!list_is_linked(&connection->write_link) && !connection->closes) {
        list_push_back(&connection->home->writable, &connection->write_link);
    }
}

/* What is to be sent next, at most CONNECTION_WRITE_BYTES_MAX bytes in all. Answers the parts. */
static size_t output_parts(const struct connection *connection, struct iovec *parts) {
    const struct reply *reply = &connection->reply;
    size_t count = 0;
    size_t budget = CONNECTION_WRITE_BYTES_MAX;
    size_t at = connection->sent_bytes;
    uint32_t block_index = connection->sent_blocks;
    size_t of_block = connection->sent_of_block;
    while (count < CONNECTION_WRITE_PARTS_MAX && budget > 0) {
        const struct reply_block *next =
            block_index < reply->blocks_count ? &reply->blocks[block_index] : NULL;
        size_t text_end = next == NULL ? reply->buffer.length : next->at;
        char *bytes = NULL;
        size_t length = 0;
        if (at < text_end) {
            bytes = reply->buffer.bytes + at;
            length = text_end - at < budget ? text_end - at : budget;
            at += length;
        } else if (next != NULL) {
            bytes = next->block->bytes + next->offset + of_block;
            length = next->length - of_block;
            if (length > budget) {
                length = budget;
            }
            of_block += length;
            if (of_block == next->length) {
                of_block = 0;
                block_index++;
            }
            if (length == 0) {
                continue;
            }
        } else {
            break;
        }
        parts[count++] = (struct iovec){.iov_base = bytes, .iov_len = length};
        budget -= length;
    }
    return count;
}

/* Notes that so many bytes went out. */
static void output_sent(struct connection *connection, size_t sent) {
    const struct reply *reply = &connection->reply;
    while (sent > 0) {
        const struct reply_block *next = connection->sent_blocks < reply->blocks_count
                                             ? &reply->blocks[connection->sent_blocks]
                                             : NULL;
        size_t text_end = next == NULL ? reply->buffer.length : next->at;
        size_t step = 0;
        if (connection->sent_bytes < text_end) {
            step =
                text_end - connection->sent_bytes < sent ? text_end - connection->sent_bytes : sent;
            connection->sent_bytes += step;
        } else {
            ASSERT(next != NULL);
            size_t left = next->length - connection->sent_of_block;
            step = left < sent ? left : sent;
            connection->sent_of_block += step;
            if (connection->sent_of_block == next->length) {
                connection->sent_of_block = 0;
                connection->sent_blocks++;
            }
        }
        sent -= step;
    }
}

static void give_away(struct connection *connection) {
    struct detachment *detachment = connection->detachment;
    int fd = connection->fd;
    loop_watch_forget(connection->home->loop, &connection->watch);
    connection->detachment = NULL;
    connection->fd = -1;
    detachment->take(detachment, fd);
}

static void output_finished(struct connection *connection) {
    reply_clear(&connection->reply);
    connection->sent_bytes = 0;
    connection->sent_blocks = 0;
    connection->sent_of_block = 0;
    if (UNLIKELY(connection->quorum != NULL)) {
        quorum_gate_written(connection);
        if (!quorum_gate_is_empty(connection)) {
            return;
        }
    }
    connection->soft_limit_since_ms = 0;
    if ((connection->flags & CONNECTION_CLOSE_AFTER_REPLY) != 0) {
        if (connection->detachment != NULL && !connection->closes) {
            give_away(connection);
        }
        connection_close(connection);
    }
}

void connection_write(struct connection *connection) {
    /* An answer that is still being gathered from worker to worker must stay whole. */
    if (!connection->is_writable || connection->is_away || connection->gather.store_count != 0) {
        return;
    }
    struct network_result result;
    size_t wanted = 0;
    if (LIKELY(connection->reply.blocks_count == 0)) {
        wanted = connection->reply.buffer.length - connection->sent_bytes;
        if (wanted == 0) {
            output_finished(connection);
            return;
        }
        if (wanted > CONNECTION_WRITE_BYTES_MAX) {
            wanted = CONNECTION_WRITE_BYTES_MAX;
        }
        result = network_write(connection->fd,
                               connection->reply.buffer.bytes + connection->sent_bytes, wanted);
    } else {
        struct iovec parts[CONNECTION_WRITE_PARTS_MAX];
        size_t count = output_parts(connection, parts);
        for (size_t i = 0; i < count; i++) {
            wanted += parts[i].iov_len;
        }
        result = network_write_parts(connection->fd, parts, count);
    }
    connection->home->writes++;
    connection->home->work.writes++;
    if (result.status == NETWORK_MOVED) {
        output_sent(connection, result.bytes);
        connection->written_bytes += result.bytes;
        connection->passed_bytes -=
            result.bytes < connection->passed_bytes ? result.bytes : connection->passed_bytes;
        connection->home->work.written_bytes += result.bytes;
    } else if (result.status != NETWORK_WOULD_BLOCK) {
        connection_close(connection);
        return;
    }
    if (connection_output_bytes(connection) == 0) {
        output_finished(connection);
    } else if (result.status == NETWORK_MOVED && result.bytes == wanted) {
        connection_mark_output(connection); /* The budget is used up: the next tick goes on. */
    } else {
        connection->is_writable = false;
        loop_watch_change(connection->home->loop, &connection->watch,
                          connection->is_reading ? LOOP_READ | LOOP_WRITE : LOOP_WRITE);
    }
}

/* ---- pushes and travel ---- */

/* A command of its own is under way: what is in the reply may be a part of its answer. */
static bool is_busy(const struct connection *connection) {
    return connection->is_away || connection->is_gated || connection->home->running == connection ||
           connection->gather.store_count != 0;
}

struct reply *connection_push_reply(struct connection *connection) {
    connection->deferred.protocol = connection->reply.protocol;
    return is_busy(connection) ? &connection->deferred : &connection->reply;
}

/* Nothing takes the pushes off while it is busy, and that may be long. */
static void check_deferred_limit(struct connection *connection) {
    const struct client_output_limit *limit =
        &connection->home->node->options->client_output_buffer_limit[connection_class(connection)];
    if (limit->hard_bytes != 0 && reply_bytes(&connection->deferred) >= (size_t)limit->hard_bytes) {
        connection_close_over_output(connection);
    }
}

void connection_pushed(struct connection *connection) {
    if (is_busy(connection)) {
        if (!connection->is_away) {
            connection->flags |= CONNECTION_PUSHED;
        } /* Else connection_arrived() sees to it. */
        if (reply_bytes(&connection->deferred) >= CONNECTION_OUTPUT_CHECK_BYTES) {
            check_deferred_limit(connection);
        }
        return;
    }
    connection->flags |= CONNECTION_FOLLOWS;
    if (UNLIKELY((connection->flags & CONNECTION_QUORUM) != 0)) {
        quorum_gate_mark(connection->home, connection, true);
    }
    connection_mark_output(connection);
    if (reply_bytes(&connection->reply) >= CONNECTION_OUTPUT_CHECK_BYTES) {
        connection_check_output_limit(connection, connection->home->now_ms);
    }
}

void connection_take_deferred(struct connection *connection) {
    connection->flags &= ~(unsigned)CONNECTION_PUSHED;
    if (reply_bytes(&connection->deferred) > 0) {
        bool is_marked = (connection->flags & CONNECTION_QUORUM) != 0;
        if (UNLIKELY(is_marked)) {
            quorum_gate_mark(connection->home, connection, false); /* What they come behind. */
        }
        connection->flags |= CONNECTION_FOLLOWS;
        reply_append(&connection->reply, &connection->deferred);
        reply_free(&connection->deferred);
        if (UNLIKELY(is_marked)) {
            quorum_gate_mark(connection->home, connection, true);
        }
        connection_mark_output(connection);
    }
}

void connection_arrived(struct connection *connection) {
    connection->is_away = false;
    if (connection->gather.store_count != 0) {
        connection->flags |= CONNECTION_PUSHED; /* On its way from worker to worker. */
    } else {
        connection_take_deferred(connection);
    }
    connection_mark_output(connection);
}

/* ---- limits ---- */

enum client_class connection_class(const struct connection *connection) {
    return pubsub_subscriptions(connection) > 0 ? CLIENT_CLASS_PUBSUB : CLIENT_CLASS_NORMAL;
}

void connection_check_output_limit(struct connection *connection, int64_t now_ms) {
    const struct client_output_limit *limit =
        &connection->home->node->options->client_output_buffer_limit[connection_class(connection)];
    size_t bytes = connection_output_bytes(connection) + quorum_gate_bytes(connection);
    bool is_over = limit->hard_bytes != 0 && bytes >= (size_t)limit->hard_bytes;
    if (limit->soft_bytes == 0 || bytes < (size_t)limit->soft_bytes) {
        connection->soft_limit_since_ms = 0;
    } else if (connection->soft_limit_since_ms == 0) {
        connection->soft_limit_since_ms = now_ms;
    } else if (now_ms - connection->soft_limit_since_ms > limit->soft_seconds * 1000) {
        is_over = true;
    }
    if (is_over) {
        connection_close_over_output(connection);
    }
}

void connection_close_over_output(struct connection *connection) {
    static const char reason[] =
        " scheduled to be closed ASAP for overcoming of output buffer limits.";
    if (connection->closes) {
        return;
    }
    if (connection->is_away) {
        /* The rest of it is another worker's for now. */
        log_warning("Client id=%llu addr=%s%s", (unsigned long long)connection->id,
                    connection->peer, reason);
    } else {
        client_info_log(LOG_WARNING, "Client ", connection, reason);
    }
    atomic_fetch_add(&connection->home->node->clients_over_output, 1);
    connection_close(connection);
}
