/* Input of connections: reading, and parsing ahead. */
#include "base/logger.h"
#include "base/memory.h"
#include "worker/client_info.h"
#include "worker/worker.h"

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

/* ---- spare room of the worker ---- */

char *worker_borrow_input(struct worker *worker) {
    return worker->spare_inputs_count > 0 ? worker->spare_inputs[--worker->spare_inputs_count]
                                          : memory_alloc(INPUT_BYTES);
}

void worker_return_input(struct worker *worker, char *input) {
    if (worker->spare_inputs_count < SPARE_INPUTS_MAX) {
        worker->spare_inputs[worker->spare_inputs_count++] = input;
    } else {
        memory_free(input);
    }
}

struct request_list *worker_borrow_list(struct worker *worker) {
    struct list *link = list_pop_front(&worker->spare_lists);
    if (link != NULL) {
        worker->spare_lists_count--;
        return LIST_ENTRY(link, struct request_list, link);
    }
    struct request_list *list = memory_alloc(sizeof(*list));
    list_init(&list->link);
    list->count = 0;
    list->next = 0;
    list->spans_count = 0;
    list->spans_capacity = 0;
    list->spans = NULL;
    list->blocks = NULL;
    return list;
}

void worker_return_list(struct worker *worker, struct request_list *list) {
    request_list_clear(list);
    if (worker->spare_lists_count < SPARE_LISTS_MAX && list->spans_capacity <= ARGUMENTS_KEPT_MAX) {
        list_push_front(&worker->spare_lists, &list->link);
        worker->spare_lists_count++;
    } else {
        request_list_free(list);
    }
}

/* ---- room ---- */

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

void connection_input_free(struct connection *connection) {
    if (connection->requests != NULL) {
        worker_return_list(connection->home, connection->requests);
        connection->requests = NULL;
    }
    input_release(connection);
    parser_free(&connection->parser);
    block_release(connection->large);
    large_end(connection);
}

/* ---- reading ---- */

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

/* ---- parsing ---- */

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
    connection->turn += list->count;
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
