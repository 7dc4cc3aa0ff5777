#include "worker/connection.h"

#include "base/logger.h"
#include "base/memory.h"
#include "worker/client_info.h"
#include "worker/monitor.h"
#include "worker/pubsub.h"
#include "worker/transactions.h"
#include "worker/worker.h"

#include <sys/uio.h>

#define WRITE_PARTS_MAX 32

/* ---- request lists ---- */

void request_list_clear(struct request_list *list) {
    if (list->count > 0 && list->items[list->count - 1].has_blocks) {
        for (uint32_t i = 0; i < list->items[list->count - 1].args_count; i++) {
            block_release(list->blocks[i]);
        }
        memory_free(list->blocks);
        list->blocks = NULL;
    }
    list->count = 0;
    list->next = 0;
    list->spans_count = 0;
}

void request_list_free(struct request_list *list) {
    request_list_clear(list);
    memory_free(list->spans);
    memory_free(list);
}

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
    return connection;
}

/* The large value is complete, or given up. */
static void large_end(struct connection *connection) {
    connection->home->announced_bytes -= connection->large_announced;
    connection->large_announced = 0;
    connection->large = NULL;
}

static void input_release(struct connection *connection) {
    if (connection->input != NULL && connection->input_capacity == INPUT_BYTES) {
        worker_return_input(connection->home, connection->input);
    } else {
        memory_free(connection->input);
    }
    connection->input = NULL;
    connection->input_capacity = 0;
    connection->input_length = 0;
    connection->parsed = 0;
}

void connection_free(struct connection *connection) {
    ASSERT(!connection->is_away);
    struct worker *home = connection->home;
    pubsub_forget(connection);
    monitor_leave(connection);
    if (connection->transaction != NULL) {
        transaction_drop(home, connection);
    }
    list_remove(&connection->run_link);
    list_remove(&connection->write_link);
    loop_watch_stop(home->loop, &connection->watch);
    network_close(connection->fd);
    if (connection->requests != NULL) {
        worker_return_list(home, connection->requests);
    }
    input_release(connection);
    parser_free(&connection->parser);
    block_release(connection->large);
    large_end(connection);
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

/* ---- input ---- */

static void close_without_memory(struct connection *connection, size_t bytes) {
    log_warning("Closing client id=%llu addr=%s: no memory for a request of %zu bytes",
                (unsigned long long)connection->id, connection->peer, bytes);
    connection_close(connection);
}

static void close_over_query_limit(struct connection *connection) {
    atomic_fetch_add(&connection->home->node->clients_over_query, 1);
    client_info_log(LOG_WARNING,
                    "Closing client that reached max query buffer length: ", connection, "");
    connection_close(connection);
}

/* Moves what is not parsed to the start, or makes more room: the input is full. False: there is
 * none, and the connection closes. */
static bool input_make_room(struct connection *connection) {
    char *old_start = connection->input + connection->parsed;
    size_t left = connection->input_length - connection->parsed;
    if (connection->parsed > 0) {
        memmove(connection->input, old_start, left);
    } else if (connection->input_length == connection->input_capacity) {
        size_t limit = (size_t)connection->home->node->options->client_query_buffer_limit;
        if (connection->input_capacity >= limit) {
            close_over_query_limit(connection);
            return false;
        }
        size_t doubled = connection->input_capacity * 2;
        size_t capacity = doubled < limit ? doubled : limit;
        char *grown = memory_try_alloc(capacity);
        if (grown == NULL) {
            close_without_memory(connection, capacity);
            return false;
        }
        memcpy(grown, connection->input, connection->input_length);
        input_release(connection);
        connection->input = grown;
        connection->input_capacity = capacity;
    }
    parser_rebase(&connection->parser, old_start, connection->input);
    connection->input_length = left;
    connection->parsed = 0;
    return true;
}

/* Reads into the input. Answers the bytes, or 0 when there is nothing more for now. */
static size_t read_input(struct connection *connection) {
    if (connection->input == NULL) {
        connection->input = worker_borrow_input(connection->home);
        connection->input_capacity = INPUT_BYTES;
    } else if (connection->input_length == connection->input_capacity &&
               !input_make_room(connection)) {
        return 0;
    }
    size_t room = connection->input_capacity - connection->input_length;
    struct network_result result =
        network_read(connection->fd, connection->input + connection->input_length, room);
    connection->home->reads++;
    if (result.status != NETWORK_MOVED) {
        if (result.status != NETWORK_WOULD_BLOCK) {
            connection_close(connection);
        }
        return 0;
    }
    connection->input_length += result.bytes;
    connection->flags |= CONNECTION_INPUT_LEFT;
    return result.bytes < room ? 0 : result.bytes;
}

/* Room in the large value's block for what comes next. */
static bool large_make_room(struct connection *connection) {
    struct block *block = connection->large;
    if (block->length < block->capacity) {
        return true;
    }
    size_t capacity = block->capacity * LARGE_GROWTH;
    if (capacity > connection->large_length) {
        capacity = connection->large_length;
    }
    return block_try_reserve(&connection->large, capacity);
}

static size_t read_large(struct connection *connection, size_t budget) {
    if (!large_make_room(connection)) {
        close_without_memory(connection, connection->large_length);
        return 0;
    }
    struct block *block = connection->large;
    size_t end =
        block->capacity < connection->large_length ? block->capacity : connection->large_length;
    size_t room = end - block->length < budget ? end - block->length : budget;
    struct network_result result = network_read(connection->fd, block->bytes + block->length, room);
    connection->home->reads++;
    if (result.status != NETWORK_MOVED) {
        if (result.status != NETWORK_WOULD_BLOCK) {
            connection_close(connection);
        }
        return 0;
    }
    block->length += result.bytes;
    if (block->length == connection->large_length) {
        if (!parser_large_done(&connection->parser, block)) {
            close_without_memory(connection, block->length);
            return 0;
        }
        connection->large_bytes += block->length;
        large_end(connection);
        connection->flags |= CONNECTION_INPUT_LEFT;
    }
    connection->read_bytes += result.bytes;
    connection->home->work.read_bytes += result.bytes;
    return result.bytes < room ? 0 : result.bytes;
}

static void read_all(struct connection *connection) {
    size_t budget = CONNECTION_READ_BYTES_MAX;
    for (;;) {
        size_t before = connection->input_length;
        size_t got = 0;
        if (connection->large != NULL) {
            got = read_large(connection, budget);
        } else {
            got = read_input(connection);
            if (connection->input_length > before) {
                connection->read_bytes += connection->input_length - before;
                connection->home->work.read_bytes += connection->input_length - before;
            }
        }
        /* A full input is parsed before more is read: what comes may be a large value. */
        if (got == 0 || got >= budget || connection->large == NULL) {
            return;
        }
        budget -= got;
    }
}

/* The size of the block that a large value starts with. */
static size_t large_first_bytes(struct connection *connection, size_t length, size_t taken) {
    struct worker *home = connection->home;
    if (home->announced_bytes + (length - taken) <= LARGE_ANNOUNCED_BYTES_MAX) {
        connection->large_announced = length - taken;
        home->announced_bytes += length - taken;
        return length;
    }
    size_t first = LARGE_FIRST_BYTES > taken ? LARGE_FIRST_BYTES : taken;
    return first < length ? first : length;
}

/* What waits to become one request, or is queued by MULTI: what client-query-buffer-limit
 * bounds. */
static bool is_over_query_limit(const struct connection *connection) {
    size_t bytes = connection->input_length - connection->parsed + connection->large_bytes;
    if (connection->large != NULL) {
        bytes += connection->large->length;
    }
    if (connection->transaction != NULL) {
        bytes += connection->transaction->queued_bytes;
    }
    return bytes > (size_t)connection->home->node->options->client_query_buffer_limit;
}

void connection_read(struct connection *connection) {
    if ((connection->flags & (CONNECTION_PARSE_FAILED | CONNECTION_CLOSE_AFTER_REPLY)) != 0) {
        return;
    }
    connection->last_active_ms = connection->home->now_ms;
    read_all(connection);
    if (UNLIKELY(connection->large != NULL || connection->large_bytes != 0 ||
                 connection->transaction != NULL) &&
        !connection->closes && is_over_query_limit(connection)) {
        close_over_query_limit(connection);
    }
}

/* The parser met a large value: what of it is in the input moves to a block. False: there is no
 * memory for it. */
static bool large_begin(struct connection *connection) {
    char *start = connection->input + connection->parsed + connection->parser.consumed;
    size_t there = connection->input_length - (size_t)(start - connection->input);
    size_t length = connection->parser.large_length;
    size_t taken = there < length ? there : length;
    struct block *block = block_try_new(large_first_bytes(connection, length, taken));
    if (block == NULL) {
        return false;
    }
    memcpy(block->bytes, start, taken);
    block->length = taken;
    memmove(start, start + taken, there - taken);
    connection->input_length -= taken;
    connection->large_length = length;
    if (taken == length) {
        if (!parser_large_done(&connection->parser, block)) {
            block_release(block);
            large_end(connection);
            return false;
        }
        connection->large_bytes += length;
        large_end(connection);
    } else {
        connection->large = block;
    }
    return true;
}

/* False: there is no memory for so many. */
static bool spans_grow(struct request_list *list, uint32_t count) {
    uint64_t capacity = ((uint64_t)list->spans_count + count) * 2;
    struct span *spans = capacity > UINT32_MAX
                             ? NULL
                             : memory_try_realloc(list->spans, capacity * sizeof(struct span));
    if (spans == NULL) {
        return false;
    }
    list->spans = spans;
    list->spans_capacity = (uint32_t)capacity;
    return true;
}

/* Copies the parsed command's arguments to the list. NULL: there is no memory for them. */
static struct request *request_add(struct connection *connection) {
    struct request_list *list = connection->requests;
    struct arguments *arguments = &connection->parser.arguments;
    if (list->spans_capacity - list->spans_count < arguments->count &&
        !spans_grow(list, arguments->count)) {
        return NULL;
    }
    struct request *request = &list->items[list->count++];
    *request = (struct request){
        .args_at = list->spans_count,
        .args_count = arguments->count,
        .bytes = connection->parser.consumed,
    };
    /* Few as they mostly are, a loop is faster than a call. */
    for (uint32_t i = 0; i < arguments->count; i++) {
        list->spans[list->spans_count + i] = arguments->items[i];
    }
    list->spans_count += arguments->count;
    if (UNLIKELY(arguments->blocks != NULL)) {
        list->blocks = arguments->blocks;
        arguments->blocks = NULL;
        request->has_blocks = true;
    }
    return request;
}

/* The parser's error is told when the requests before it have run. */
static void fail_parsing(struct connection *connection) {
    connection->flags &= ~(unsigned)CONNECTION_INPUT_LEFT;
    connection->flags |= CONNECTION_PARSE_FAILED;
}

bool connection_parse(struct connection *connection) {
    struct request_list *list = connection->requests;
    if (list != NULL && list->next < list->count) {
        return true;
    }
    if ((connection->flags & CONNECTION_INPUT_LEFT) == 0 || connection->large != NULL) {
        return false;
    }
    if (list == NULL) {
        list = worker_borrow_list(connection->home);
        connection->requests = list;
    } else {
        request_list_clear(list);
    }
    bool is_authenticated = (connection->flags & CONNECTION_AUTHENTICATED) != 0;
    struct parser_limits limits = {
        .bulk_bytes_max = (size_t)connection->home->node->store_options->proto_max_bulk_len,
        .authenticated = is_authenticated,
        .take_large = true,
    };
    /* Before authentication the next command's limits depend on this one. */
    uint32_t most = is_authenticated ? REQUESTS_MAX : 1;
    struct parser *parser = &connection->parser;
    while (list->count < most) {
        enum parser_status status =
            parser_next(parser, connection->input + connection->parsed,
                        connection->input_length - connection->parsed, &limits);
        if (status == PARSER_READY) {
            connection->parsed += parser->consumed;
            connection->large_bytes = 0;
            if (parser->arguments.count == 0) {
                continue;
            }
            const struct request *request = request_add(connection);
            if (UNLIKELY(request == NULL)) {
                parser->error = PARSER_OUT_OF_MEMORY;
                fail_parsing(connection);
                break;
            }
            if (request->has_blocks || parser->unquoted.length > 0) {
                break; /* Its arguments are the parser's or the list's last: no further for now. */
            }
        } else if (status == PARSER_LARGE) {
            if (!large_begin(connection)) {
                connection->flags &= ~(unsigned)CONNECTION_INPUT_LEFT;
                close_without_memory(connection, parser->large_length);
                return false;
            }
            if (connection->large != NULL) {
                connection->flags &= ~(unsigned)CONNECTION_INPUT_LEFT;
                break;
            }
        } else if (status == PARSER_ERROR) {
            fail_parsing(connection);
            break;
        } else {
            connection->flags &= ~(unsigned)CONNECTION_INPUT_LEFT;
            break;
        }
    }
    return list->count > 0;
}

void connection_requests_done(struct connection *connection) {
    if (connection->requests != NULL) {
        worker_return_list(connection->home, connection->requests);
        connection->requests = NULL;
    }
    if (connection->parsed == connection->input_length && connection->input != NULL) {
        input_release(connection);
    }
}

/* ---- output ---- */

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
    if (connection->is_suspended && network_peer_has_left(connection->fd)) {
        connection_close(connection); /* A pause may be long, and its place is of use to others. */
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
    while (count < WRITE_PARTS_MAX && budget > 0) {
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

static void output_finished(struct connection *connection) {
    reply_clear(&connection->reply);
    connection->sent_bytes = 0;
    connection->sent_blocks = 0;
    connection->sent_of_block = 0;
    connection->soft_limit_since_ms = 0;
    if ((connection->flags & CONNECTION_CLOSE_AFTER_REPLY) != 0) {
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
        struct iovec parts[WRITE_PARTS_MAX];
        size_t count = output_parts(connection, parts);
        for (size_t i = 0; i < count; i++) {
            wanted += parts[i].iov_len;
        }
        result = network_write_parts(connection->fd, parts, count);
    }
    connection->home->writes++;
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
    connection->flags |= CONNECTION_FOLLOWS;
    if (is_busy(connection)) {
        if (!connection->is_away) {
            connection->flags |= CONNECTION_PUSHED;
        } /* Else connection_arrived() sees to it. */
        if (reply_bytes(&connection->deferred) >= CONNECTION_OUTPUT_CHECK_BYTES) {
            check_deferred_limit(connection);
        }
        return;
    }
    connection_mark_output(connection);
    if (reply_bytes(&connection->reply) >= CONNECTION_OUTPUT_CHECK_BYTES) {
        connection_check_output_limit(connection, connection->home->now_ms);
    }
}

void connection_take_deferred(struct connection *connection) {
    connection->flags &= ~(unsigned)CONNECTION_PUSHED;
    if (reply_bytes(&connection->deferred) > 0) {
        reply_append(&connection->reply, &connection->deferred);
        reply_free(&connection->deferred);
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
    size_t bytes = connection_output_bytes(connection);
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

size_t connection_memory_bytes(const struct connection *connection) {
    size_t bytes = sizeof(*connection) + connection->input_capacity +
                   connection->deferred.buffer.capacity + connection->deferred.blocks_bytes +
                   connection->reply.buffer.capacity + connection->reply.blocks_bytes +
                   connection->parser.arguments.capacity * sizeof(struct span);
    if (connection->large != NULL) {
        bytes += block_occupied_bytes(connection->large);
    }
    if (connection->transaction != NULL) {
        bytes += sizeof(struct transaction) + connection->transaction->queued_bytes;
    }
    return bytes;
}
