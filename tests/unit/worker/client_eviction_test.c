#include "worker/client_eviction.h"

#include "tests/unit/worker/workers.h"

/* A client whose last request is not complete takes at least its input's room. */
#define CLIENT_BYTES_MIN INPUT_BYTES

static struct peer peer_with_input(struct workers *workers, uint32_t home) {
    struct peer peer = peer_new(workers, home);
    peer_say(&peer, "*2\r\n$3\r\nGET\r\n");
    return peer;
}

static uint32_t connections_of(const struct workers *workers) {
    return atomic_load(&workers->node.clients);
}

static bool is_closed(const struct peer *peer) {
    char byte;
    return recv(peer->fd, &byte, 1, 0) == 0;
}

static void step(struct workers *workers, uint32_t i, size_t limit_bytes) {
    workers->options.maxmemory_clients = (int64_t)limit_bytes;
    client_eviction_step(workers_at(workers, i));
    workers_settle(workers);
}

START_TEST(one_period_evicts_a_bounded_number_of_connections) {
    enum { PEERS = CLIENT_EVICTIONS_MAX + 40 };
    struct workers *workers = workers_new(1);
    struct peer peers[PEERS];
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_with_input(workers, 0);
    }
    workers_settle(workers);
    step(workers, 0, 1);
    ck_assert_uint_eq(atomic_load(&workers->node.evicted_clients), CLIENT_EVICTIONS_MAX);
    step(workers, 0, 1);
    ck_assert_uint_eq(atomic_load(&workers->node.evicted_clients), PEERS);
    ck_assert_uint_eq(connections_of(workers), 0);
    workers_free(workers);
    for (int i = 0; i < PEERS; i++) {
        close(peers[i].fd);
    }
}
END_TEST

START_TEST(only_the_largest_go_and_no_more_than_must) {
    struct workers *workers = workers_new(1);
    struct peer small = peer_new(workers, 0);
    struct peer larges[] = {peer_with_input(workers, 0), peer_with_input(workers, 0)};
    struct peer other_small = peer_new(workers, 0);
    workers_settle(workers);
    step(workers, 0, 2 * CLIENT_BYTES_MIN);
    ck_assert_int_eq(is_closed(&larges[0]) + is_closed(&larges[1]), 1);
    ck_assert_uint_eq(connections_of(workers), 3);
    step(workers, 0, CLIENT_BYTES_MIN);
    ck_assert(is_closed(&larges[0]) && is_closed(&larges[1]));
    ck_assert(!is_closed(&small) && !is_closed(&other_small));
    workers_free(workers);
    close(small.fd);
    close(larges[0].fd);
    close(larges[1].fd);
    close(other_small.fd);
}
END_TEST

START_TEST(a_client_that_refuses_eviction_counts_but_stays) {
    struct workers *workers = workers_new(1);
    struct peer kept = peer_with_input(workers, 0);
    struct peer other = peer_new(workers, 0);
    kept.connection->flags |= CONNECTION_NO_EVICT;
    workers_settle(workers);
    step(workers, 0, CLIENT_BYTES_MIN);
    ck_assert(is_closed(&other));
    ck_assert(!is_closed(&kept));
    workers_free(workers);
    close(kept.fd);
    close(other.fd);
}
END_TEST

START_TEST(the_worker_with_the_largest_connection_closes_it) {
    struct workers *workers = workers_new(2);
    struct peer small = peer_new(workers, 0);
    struct peer large = peer_with_input(workers, 1);
    workers_settle(workers);
    /* Who has the largest is known when each has measured once. */
    step(workers, 0, 16 * CLIENT_BYTES_MIN);
    step(workers, 1, 16 * CLIENT_BYTES_MIN);
    step(workers, 0, CLIENT_BYTES_MIN);
    ck_assert_uint_eq(connections_of(workers), 2);
    step(workers, 1, CLIENT_BYTES_MIN);
    ck_assert(is_closed(&large));
    ck_assert(!is_closed(&small));
    workers_free(workers);
    close(small.fd);
    close(large.fd);
}
END_TEST

START_TEST(without_a_limit_nothing_is_measured) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_with_input(workers, 0);
    workers_settle(workers);
    workers->options.maxmemory_clients = 0;
    client_eviction_step(workers_at(workers, 0));
    ck_assert_uint_eq(atomic_load(&workers_at(workers, 0)->connections_bytes), 0);
    /* A part of maxmemory, of which there is none. */
    workers->options.maxmemory_clients = -50;
    ck_assert_uint_eq(client_memory_limit(&workers->node), 0);
    workers->store_options.maxmemory = 1000;
    ck_assert_uint_eq(client_memory_limit(&workers->node), 500);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        one_period_evicts_a_bounded_number_of_connections,
        only_the_largest_go_and_no_more_than_must,
        a_client_that_refuses_eviction_counts_but_stays,
        the_worker_with_the_largest_connection_closes_it,
        without_a_limit_nothing_is_measured,
    };
    return unit_run(unit_suite("client_eviction", tests, UNIT_COUNT(tests)));
}
