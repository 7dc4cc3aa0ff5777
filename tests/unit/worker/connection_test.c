#include "worker/connection.h"

#include "tests/unit/shortage.h"
#include "tests/unit/worker/workers.h"

#define ITEM "$1\r\nx\r\n"
#define ITEM_BYTES (sizeof(ITEM) - 1)

/* Sends bytes while the worker reads them. */
static void pump(struct workers *workers, const struct peer *peer, const char *bytes,
                 size_t length) {
    for (size_t sent = 0; sent < length;) {
        sent += peer_send(peer, bytes + sent, length - sent);
        workers_tick(workers, 0);
    }
    workers_settle(workers);
}

/* Arguments, one after the other; the caller frees them. */
static char *items_new(size_t count) {
    char *text = memory_alloc(count * ITEM_BYTES);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * ITEM_BYTES, ITEM, ITEM_BYTES);
    }
    return text;
}

static void pump_items(struct workers *workers, const struct peer *peer, size_t count) {
    char *text = items_new(count);
    pump(workers, peer, text, count * ITEM_BYTES);
    memory_free(text);
}

/* Also when it left bytes unread. */
static bool is_closed(const struct peer *peer) {
    char byte;
    ssize_t length = recv(peer->fd, &byte, 1, MSG_PEEK);
    return length == 0 || (length < 0 && errno == ECONNRESET);
}

#define HELD_MAX 100
#define OUT_OF_MEMORY "-" PARSER_OUT_OF_MEMORY "\r\n"

START_TEST(arguments_that_memory_has_no_room_for_are_answered_an_error_and_the_end) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer, "PING\r\n*2000000\r\n$4\r\nMGET\r\n");
    pump_items(workers, &peer, 700000);
    peer_expect(&peer, "+PONG\r\n");
    /* The input has room for what follows; the list of arguments has not. */
    ck_assert_uint_ge(connection_memory_bytes(peer.connection), 8 * 1024 * 1024);
    char *text = items_new(400000);
    if (shortage_begin(SHORTAGE_ROOM_BYTES)) {
        pump(workers, &peer, text, 400000 * ITEM_BYTES);
        shortage_end();
        peer_expect(&peer, OUT_OF_MEMORY);
        ck_assert(is_closed(&peer));
    }
    memory_free(text);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(a_request_that_cannot_be_listed_is_answered_an_error_and_the_end) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer, "PING\r\n*1000001\r\n$4\r\nMGET\r\n");
    pump_items(workers, &peer, 999999);
    peer_expect(&peer, "+PONG\r\n");
    if (shortage_begin(SHORTAGE_ROOM_BYTES)) {
        pump(workers, &peer, ITEM, ITEM_BYTES);
        shortage_end();
        peer_expect(&peer, OUT_OF_MEMORY);
        ck_assert(is_closed(&peer));
    }
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(an_input_that_cannot_grow_closes_the_connection_alone) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    struct peer other = peer_new(workers, 0);
    peer_say(&peer, "*2000000\r\n$4\r\nMGET\r\n");
    pump_items(workers, &peer, 590000);
    char *text = items_new(60000);
    if (shortage_begin(SHORTAGE_ROOM_BYTES)) {
        /* What the allocator holds of lists and inputs that have grown. */
        char *held[HELD_MAX];
        size_t held_count = 0;
        while ((held[held_count] = memory_try_alloc(8 * SHORTAGE_ROOM_BYTES)) != NULL) {
            ck_assert_uint_lt(++held_count, HELD_MAX);
        }
        pump(workers, &peer, text, 60000 * ITEM_BYTES);
        shortage_end();
        ck_assert(is_closed(&peer));
        while (held_count > 0) {
            memory_free(held[--held_count]);
        }
    }
    memory_free(text);
    pump(workers, &other, "PING\r\n", 6);
    peer_expect(&other, "+PONG\r\n");
    workers_free(workers);
    close(peer.fd);
    close(other.fd);
}
END_TEST

START_TEST(the_input_never_takes_more_than_the_query_buffer_limit) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    const size_t limit = 1536 * 1024;
    workers->options.client_query_buffer_limit = (int64_t)limit;
    peer_say(&peer, "*2000000\r\n$4\r\nMGET\r\n");
    pump_items(workers, &peer, 200000);
    ck_assert_uint_eq(peer.connection->input_capacity, limit);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_query), 0);
    pump_items(workers, &peer, 100000);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_query), 1);
    ck_assert(is_closed(&peer));
    workers_free(workers);
    close(peer.fd);
}
END_TEST

static struct peer announce(struct workers *workers, size_t bytes) {
    struct peer peer = peer_new(workers, 0);
    char text[64];
    snprintf(text, sizeof(text), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\nx", bytes);
    peer_say(&peer, text);
    workers_settle(workers);
    ck_assert_ptr_nonnull(peer.connection->large);
    return peer;
}

START_TEST(announcing_large_values_takes_a_bounded_amount_of_memory) {
    const size_t most = LARGE_ANNOUNCED_BYTES_MAX / 2 + 2; /* One byte comes at once. */
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    struct peer first = announce(workers, most);
    ck_assert_uint_ge(first.connection->large->capacity, most);
    struct peer second = announce(workers, most);
    ck_assert_uint_ge(second.connection->large->capacity, LARGE_FIRST_BYTES);
    ck_assert_uint_lt(second.connection->large->capacity, 2 * LARGE_FIRST_BYTES);
    ck_assert_uint_lt(worker->announced_bytes, most);
    close(first.fd);
    workers_settle(workers);
    ck_assert_uint_eq(worker->announced_bytes, 0);
    struct peer third = announce(workers, most);
    ck_assert_uint_ge(third.connection->large->capacity, most);
    workers_free(workers);
    close(second.fd);
    close(third.fd);
}
END_TEST

#define BLOCKS 40
#define BLOCK_REPLY_BYTES (sizeof("$16384\r\n\r\n") - 1 + BLOCK_BYTES_MIN)

/* Takes in what is there; answers how much. */
static size_t drain(const struct peer *peer) {
    static char bytes[CONNECTION_WRITE_BYTES_MAX];
    size_t sum = 0;
    for (ssize_t got; (got = recv(peer->fd, bytes, sizeof(bytes), 0)) > 0;) {
        sum += (size_t)got;
    }
    return sum;
}

START_TEST(a_write_gathers_a_bounded_number_of_parts) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    struct worker *worker = workers_at(workers, 0);
    ck_assert_uint_eq(BLOCK_BYTES_MIN, 16384);
    int size = WORKERS_SOCKET_BYTES;
    setsockopt(peer.connection->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    peer_say(&peer, "SETRANGE k 16383 x\r\n");
    workers_settle(workers);
    peer_expect(&peer, ":16384\r\n");
    for (int i = 0; i < BLOCKS; i++) {
        peer_say(&peer, "GET k\r\n");
    }
    workers_tick(workers, 0);
    /* Text and block in turn: half the parts are blocks, and the bytes would allow for one more. */
    size_t sent = drain(&peer);
    ck_assert_uint_eq(sent, CONNECTION_WRITE_BYTES_MAX);
    workers_tick(workers, 0);
    size_t next = drain(&peer);
    ck_assert_uint_lt(next, CONNECTION_WRITE_BYTES_MAX);
    ck_assert_uint_le(next, CONNECTION_WRITE_PARTS_MAX / 2 * BLOCK_REPLY_BYTES);
    uint64_t writes = worker->writes;
    for (sent += next; sent < BLOCKS * BLOCK_REPLY_BYTES; sent += drain(&peer)) {
        workers_tick(workers, 0);
        ck_assert_uint_eq(worker->writes, ++writes);
    }
    ck_assert_uint_eq(sent, BLOCKS * BLOCK_REPLY_BYTES);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        arguments_that_memory_has_no_room_for_are_answered_an_error_and_the_end,
        a_request_that_cannot_be_listed_is_answered_an_error_and_the_end,
        an_input_that_cannot_grow_closes_the_connection_alone,
        the_input_never_takes_more_than_the_query_buffer_limit,
        announcing_large_values_takes_a_bounded_amount_of_memory,
        a_write_gathers_a_bounded_number_of_parts,
    };
    return unit_run(unit_suite("connection", tests, UNIT_COUNT(tests)));
}
