#include "worker/listeners.h"

#include "tests/unit/worker/workers.h"

#include <stdlib.h>
#include <sys/resource.h>

#define BACKLOG 256
#define CLIENTS (TICK_ACCEPTS_MAX + 10)

struct entrance {
    struct workers *workers;
    char folder[32];
    char path[64];
    int clients[CLIENTS];
};

static void listen_unix(struct entrance *entrance, uint32_t workers_count) {
    *entrance = (struct entrance){.workers = workers_new(workers_count),
                                  .folder = "/tmp/tarn-listeners-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(entrance->folder));
    snprintf(entrance->path, sizeof(entrance->path), "%s/socket", entrance->folder);
    int fd = network_listen_unix(entrance->path, 0, BACKLOG);
    ck_assert_int_ge(fd, 0);
    worker_listen(workers_at(entrance->workers, 0), NULL, 0, fd);
}

static void end(struct entrance *entrance, int clients) {
    workers_free(entrance->workers);
    for (int i = 0; i < clients; i++) {
        network_close(entrance->clients[i]);
    }
    ck_assert_int_eq(unlink(entrance->path), 0);
    ck_assert_int_eq(rmdir(entrance->folder), 0);
}

static void connect_clients(struct entrance *entrance, int count) {
    for (int i = 0; i < count; i++) {
        entrance->clients[i] = network_connect_unix_start(entrance->path);
        ck_assert_int_ge(entrance->clients[i], 0);
    }
}

static uint32_t connected(const struct entrance *entrance) {
    return atomic_load(&entrance->workers->node.clients);
}

START_TEST(a_tick_accepts_a_bounded_number_of_connections) {
    struct entrance entrance;
    listen_unix(&entrance, 1);
    connect_clients(&entrance, CLIENTS);
    workers_tick(entrance.workers, 0);
    ck_assert_uint_eq(connected(&entrance), TICK_ACCEPTS_MAX);
    ck_assert_uint_eq(workers_at(entrance.workers, 0)->work_max.accepts, TICK_ACCEPTS_MAX);
    workers_tick(entrance.workers, 0);
    ck_assert_uint_eq(connected(&entrance), CLIENTS);
    ck_assert_uint_eq(atomic_load(&entrance.workers->node.connections_received), CLIENTS);
    end(&entrance, CLIENTS);
}
END_TEST

START_TEST(several_listeners_share_what_a_tick_accepts) {
    enum { EACH = TICK_ACCEPTS_MAX / 2 + 5 };
    struct entrance one;
    struct entrance other;
    listen_unix(&one, 1);
    listen_unix(&other, 1);
    /* Both belong to the first. */
    int fd = dup(workers_at(other.workers, 0)->listeners->items[0].fd);
    ck_assert_int_ge(fd, 0);
    worker_listen_stop(workers_at(other.workers, 0));
    worker_listen(workers_at(one.workers, 0), NULL, 0, fd);
    connect_clients(&one, EACH);
    connect_clients(&other, EACH);
    workers_tick(one.workers, 0);
    ck_assert_uint_eq(connected(&one), TICK_ACCEPTS_MAX);
    ck_assert_uint_eq(workers_at(one.workers, 0)->work_max.accepts, TICK_ACCEPTS_MAX);
    workers_tick(one.workers, 0);
    ck_assert_uint_eq(connected(&one), 2 * EACH);
    end(&other, EACH);
    end(&one, EACH);
}
END_TEST

START_TEST(workers_get_connections_in_turn) {
    struct entrance entrance;
    listen_unix(&entrance, 3);
    connect_clients(&entrance, 7);
    workers_settle(entrance.workers);
    static const uint32_t wanted[] = {3, 2, 2};
    for (uint32_t i = 0; i < UNIT_COUNT(wanted); i++) {
        ck_assert_uint_eq(workers_at(entrance.workers, i)->connections_count, wanted[i]);
    }
    end(&entrance, 7);
}
END_TEST

START_TEST(who_comes_beyond_maxclients_is_told_and_closed) {
    static const char wanted[] = "-ERR max number of clients reached\r\n";
    struct entrance entrance;
    listen_unix(&entrance, 1);
    entrance.workers->options.maxclients = 2;
    connect_clients(&entrance, 3);
    workers_settle(entrance.workers);
    ck_assert_uint_eq(connected(&entrance), 2);
    ck_assert_uint_eq(atomic_load(&entrance.workers->node.connections_rejected), 1);
    char got[64];
    ck_assert_int_eq(recv(entrance.clients[2], got, sizeof(got), 0), (ssize_t)sizeof(wanted) - 1);
    ck_assert_int_eq(memcmp(got, wanted, sizeof(wanted) - 1), 0);
    ck_assert_int_eq(recv(entrance.clients[2], got, sizeof(got), 0), 0);
    end(&entrance, 3);
}
END_TEST

static void set_descriptors_max(rlim_t count) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(without_descriptors_it_pauses_until_the_next_period) {
    struct entrance entrance;
    listen_unix(&entrance, 1);
    connect_clients(&entrance, 3);
    struct rlimit before;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(entrance.clients[0]);
    ck_assert_int_ge(next, 0);
    close(next);
    set_descriptors_max((rlim_t)next + 1);
    struct worker *worker = workers_at(entrance.workers, 0);
    workers_tick(entrance.workers, 0);
    ck_assert(worker->listeners->is_paused);
    ck_assert_uint_eq(connected(&entrance), 1);
    set_descriptors_max(before.rlim_cur);
    workers_settle(entrance.workers);
    ck_assert_uint_eq(connected(&entrance), 1);
    worker->cron_is_due = true;
    workers_settle(entrance.workers);
    ck_assert(!worker->listeners->is_paused);
    ck_assert_uint_eq(connected(&entrance), 3);
    end(&entrance, 3);
}
END_TEST

START_TEST(the_unix_socket_stays_when_tcp_listeners_are_exchanged) {
    struct entrance entrance;
    listen_unix(&entrance, 1);
    struct worker *worker = workers_at(entrance.workers, 0);
    int fds[NETWORK_LISTENERS_MAX];
    struct network_listen_options options = {.bind = "127.0.0.1", .backlog = BACKLOG};
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(network_listen_tcp(&options, fds), 1);
        worker_listen(worker, fds, 1, -1);
        ck_assert_uint_eq(worker->listeners->count, 2);
        worker_listen_stop_tcp(worker);
        ck_assert_uint_eq(worker->listeners->count, 1);
        ck_assert(worker->listeners->items[0].is_unix);
    }
    connect_clients(&entrance, 2);
    workers_settle(entrance.workers);
    ck_assert_uint_eq(connected(&entrance), 2);
    worker_listen_stop(worker);
    ck_assert_int_lt(network_connect_unix_start(entrance.path), 0);
    end(&entrance, 2);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_tick_accepts_a_bounded_number_of_connections,
        several_listeners_share_what_a_tick_accepts,
        workers_get_connections_in_turn,
        who_comes_beyond_maxclients_is_told_and_closed,
        without_descriptors_it_pauses_until_the_next_period,
        the_unix_socket_stays_when_tcp_listeners_are_exchanged,
    };
    return unit_run(unit_suite("listeners", tests, UNIT_COUNT(tests)));
}
