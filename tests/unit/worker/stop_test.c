/* With threads, since who stands still needs somebody who does not. */
#include "worker/stop.h"

#include "tests/unit/worker/workers.h"

#include <poll.h>

#define WORKERS 3
#define ROUNDS 200

static void start(struct workers *workers) {
    for (uint32_t i = 0; i < workers->node.worker_count; i++) {
        ck_assert_int_eq(worker_start(workers_at(workers, i)), 0);
    }
}

static void join(struct workers *workers) {
    for (uint32_t i = 0; i < workers->node.worker_count; i++) {
        worker_join(workers_at(workers, i));
    }
}

static uint32_t bits_of(uint64_t bits) {
    return (uint32_t)__builtin_popcountll(bits);
}

struct sight {
    const struct stop *stop;
    uint32_t runs;
    uint32_t still;
};

static void look(void *context) {
    struct sight *sight = context;
    sight->runs++;
    ck_assert_ptr_nonnull(sight->stop->executor);
    sight->still = bits_of(sight->stop->parked_workers | sight->stop->gone_workers);
}

START_TEST(a_visit_runs_while_all_other_workers_stand_still) {
    struct workers *workers = workers_new(WORKERS);
    start(workers);
    struct sight sight = {.stop = &workers->node.stop};
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        stop_visit(&workers->node, look, &sight);
        ck_assert_uint_eq(sight.runs, i);
        ck_assert_uint_eq(sight.still, WORKERS - 1);
    }
    join(workers);
    ck_assert_uint_eq(workers->node.stop.stops, ROUNDS);
    workers_free(workers);
}
END_TEST

START_TEST(a_worker_whose_thread_has_ended_stands_still) {
    struct workers *workers = workers_new(WORKERS);
    start(workers);
    worker_join(workers_at(workers, 2));
    struct sight sight = {.stop = &workers->node.stop};
    stop_visit(&workers->node, look, &sight);
    ck_assert_uint_eq(sight.runs, 1);
    ck_assert_uint_eq(sight.still, WORKERS - 1);
    worker_join(workers_at(workers, 0));
    worker_join(workers_at(workers, 1));
    workers_free(workers);
}
END_TEST

/* Reads so many bytes. */
static void receive(const struct peer *peer, char *bytes, size_t length) {
    for (size_t got = 0; got < length;) {
        struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
        ck_assert_int_ge(poll(&wait, 1, -1), 0);
        ssize_t more = recv(peer->fd, bytes + got, length - got, 0);
        ck_assert(more > 0 || errno == EAGAIN);
        got += more > 0 ? (size_t)more : 0;
    }
}

/* A key of each worker. */
static void choose_keys(const struct workers *workers, char keys[WORKERS]) {
    for (uint32_t i = 0; i < WORKERS; i++) {
        for (keys[i] = 'a'; workers->node.keyspace->owners[slot_of_key(span_of(&keys[i], 1))] != i;
             keys[i]++) {
            ck_assert_int_lt(keys[i], 'z');
        }
    }
}

#define SET_REPLY "+OK\r\n"
#define VALUE_REPLY "$3\r\n000\r\n"
#define GET_REPLY "*3\r\n" VALUE_REPLY VALUE_REPLY VALUE_REPLY

/* Writers set the keys of all workers to one value each time, and never see two. */
START_TEST(calls_over_several_workers_take_place_at_once) {
    struct workers *workers = workers_new(WORKERS);
    char keys[WORKERS];
    choose_keys(workers, keys);
    struct peer peers[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        peers[i] = peer_new(workers, i);
    }
    start(workers);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WORKERS; i++) {
            char text[128];
            int value = (round * WORKERS + i) % 1000;
            snprintf(text, sizeof(text), "MSET %c %03d %c %03d %c %03d\r\nMGET %c %c %c\r\n",
                     keys[0], value, keys[1], value, keys[2], value, keys[0], keys[1], keys[2]);
            peer_say(&peers[i], text);
        }
        for (int i = 0; i < WORKERS; i++) {
            char got[sizeof(SET_REPLY GET_REPLY)] = {0};
            receive(&peers[i], got, sizeof(got) - 1);
            ck_assert_int_eq(memcmp(got, SET_REPLY "*3\r\n$3\r\n", 13), 0);
            const char *first = got + sizeof(SET_REPLY "*3\r\n$3\r\n") - 1;
            const size_t next = sizeof(VALUE_REPLY) - 1;
            ck_assert_int_eq(memcmp(first, first + next, 3), 0);
            ck_assert_int_eq(memcmp(first, first + 2 * next, 3), 0);
        }
    }
    join(workers);
    ck_assert_uint_ge(workers->node.stop.stops, ROUNDS);
    ck_assert_uint_le(workers->node.stop.stops, 2 * WORKERS * ROUNDS);
    workers_free(workers);
    for (int i = 0; i < WORKERS; i++) {
        close(peers[i].fd);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_visit_runs_while_all_other_workers_stand_still,
        a_worker_whose_thread_has_ended_stands_still,
        calls_over_several_workers_take_place_at_once,
    };
    return unit_run(unit_suite("stop", tests, UNIT_COUNT(tests)));
}
