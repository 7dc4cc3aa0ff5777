#include "worker/worker.h"

#include "tests/unit/worker/workers.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#define PEERS 40
#define PIPELINE 32
#define KEYS (PIPELINE * 1000)

static struct peer peers[PEERS];

static void open_peers(struct workers *workers) {
    for (int i = 0; i < PEERS; i++) {
        peers[i] = peer_new(workers, 0);
    }
}

static void close_peers(struct workers *workers) {
    workers_free(workers);
    for (int i = 0; i < PEERS; i++) {
        close(peers[i].fd);
    }
}

/* Sends a part of the same text over and over, as much as the sockets take. */
static void flood(const char *text, size_t length, size_t bytes_each) {
    for (int i = 0; i < PEERS; i++) {
        for (size_t sent = 0; sent < bytes_each;) {
            size_t got = peer_send(&peers[i], text, length);
            if (got != length) {
                ck_assert_uint_eq(got, 0);
                break;
            }
            sent += got;
        }
    }
}

static void drain(void) {
    static char bytes[1024 * 1024];
    for (int i = 0; i < PEERS; i++) {
        while (recv(peers[i].fd, bytes, sizeof(bytes), 0) > 0) {
        }
    }
}

START_TEST(a_tick_runs_a_bounded_number_of_requests) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    open_peers(workers);
    flood("PING\r\n", 6, 4096);
    while (worker->executor.commands_processed < (uint64_t)PEERS * 600) {
        uint64_t before = worker->executor.commands_processed;
        workers_tick(workers, 0);
        /* A group that was begun is finished. */
        ck_assert_uint_le(worker->executor.commands_processed - before,
                          TICK_REQUESTS_MAX + GROUP_REQUESTS_MAX + REQUESTS_MAX);
        drain();
    }
    ck_assert_uint_ge(worker->work_max.requests, TICK_REQUESTS_MAX);
    close_peers(workers);
}
END_TEST

/* How many "+PONG" the peer gets, all that have come. */
static size_t pongs(const struct peer *peer) {
    char bytes[16 * 1024];
    ssize_t got = recv(peer->fd, bytes, sizeof(bytes), 0);
    return got > 0 ? (size_t)got / strlen("+PONG\r\n") : 0;
}

START_TEST(a_connection_goes_on_until_others_have_their_turn) {
    enum { THREE = 3 };
    struct workers *workers = workers_new(1);
    for (int i = 0; i < THREE; i++) {
        peers[i] = peer_new(workers, 0);
    }
    workers_tick(workers, 0);
    for (int i = 0; i < TURN_REQUESTS_MAX * 4 * THREE; i++) {
        ck_assert_uint_eq(peer_send(&peers[i % THREE], "PING\r\n", 6), 6);
    }
    /* Two at a time make a group: the third has its turn behind theirs. */
    for (int i = 0; i < THREE * TURN_REQUESTS_MAX; i += TICK_REQUESTS_MAX) {
        workers_tick(workers, 0);
    }
    for (int i = 0; i < THREE; i++) {
        ck_assert_uint_ge(pongs(&peers[i]), TURN_REQUESTS_MAX);
        close(peers[i].fd);
    }
    workers_free(workers);
}
END_TEST

/* Takes what a peer was answered; false: nothing. */
static bool is_answered(const struct peer *peer) {
    char bytes[64];
    return recv(peer->fd, bytes, sizeof(bytes), 0) > 0;
}

START_TEST(a_tick_reads_from_a_bounded_number_of_connections_and_lets_the_others_be_first) {
    enum { MANY = TICK_READS_MAX + PEERS };
    static struct peer many[MANY];
    bool was_answered[MANY] = {false};
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    for (int i = 0; i < MANY; i++) {
        many[i] = peer_new(workers, 0);
        peer_say(&many[i], "PING\r\n");
    }
    workers_settle(workers);
    for (int i = 0; i < MANY; i++) {
        ck_assert(is_answered(&many[i]));
        peer_say(&many[i], "PING\r\n");
    }
    /* The loop may not tell of all of them at once. */
    for (int round = 0; round < 3; round++) {
        uint64_t before = worker->executor.commands_processed;
        workers_tick(workers, 0);
        ck_assert_uint_eq(worker->executor.commands_processed - before, TICK_READS_MAX);
        for (int i = 0; i < MANY; i++) {
            if (is_answered(&many[i])) {
                was_answered[i] = true;
                peer_say(&many[i], "PING\r\n"); /* Whoever was answered asks again at once. */
            }
        }
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_msg(was_answered[i], "%d", i);
        close(many[i].fd);
    }
    ck_assert_uint_eq(worker->work_max.reads, TICK_READS_MAX);
    ck_assert_uint_eq(worker->work_max.writes, TICK_WRITES_MAX);
    workers_free(workers);
}
END_TEST

START_TEST(a_tick_reads_a_bounded_number_of_bytes) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    open_peers(workers);
    static char value[1024 * 1024 + 64];
    memset(value, 'x', sizeof(value));
    for (int i = 0; i < PEERS; i++) {
        peer_say(&peers[i], "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n");
    }
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < PEERS; i++) {
            peer_send(&peers[i], value, sizeof(value));
        }
        uint64_t before = worker->read_bytes;
        workers_tick(workers, 0);
        ck_assert_uint_le(worker->read_bytes - before,
                          TICK_READ_BYTES_MAX + CONNECTION_READ_BYTES_MAX);
    }
    ck_assert_uint_ge(worker->work_max.read_bytes, TICK_READ_BYTES_MAX);
    close_peers(workers);
}
END_TEST

START_TEST(a_tick_writes_a_bounded_number_of_bytes) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    open_peers(workers);
    static char value[1024 * 1024];
    struct call call = {
        .environment = &worker->executor.environment,
        .now_ms = worker->now_ms,
        .reply = &(struct reply){.protocol = 2},
    };
    struct place place = call_place(&call, span_of_string("k"));
    call_emit(&call, &place,
              &(struct effect){
                  .kind = EFFECT_VALUE_PUT,
                  .value = span_of(value, sizeof(value)),
                  .expiry_ms = ENTRY_NO_EXPIRY,
              });
    flood("GET k\r\n", 7, 7);
    uint64_t written = 0;
    for (int round = 0; round < 10000 && written < PEERS * sizeof(value); round++) {
        uint64_t before = worker->written_bytes;
        workers_tick(workers, 0);
        written = worker->written_bytes;
        ck_assert_uint_le(written - before, TICK_WRITE_BYTES_MAX + CONNECTION_WRITE_BYTES_MAX);
        drain();
    }
    ck_assert_uint_ge(written, PEERS * sizeof(value));
    ck_assert_uint_ge(worker->work_max.written_bytes, TICK_WRITE_BYTES_MAX);
    close_peers(workers);
}
END_TEST

START_TEST(what_is_measured_and_noted_follows_the_options) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    ck_assert_int_eq(worker->note_from_us, 10000);
    ck_assert(!worker->executor.times_all);
    workers->options.slowlog_log_slower_than = EXECUTOR_EXACT_BELOW_US - 1;
    worker_configure(worker);
    ck_assert_int_eq(worker->note_from_us, EXECUTOR_EXACT_BELOW_US - 1);
    ck_assert(worker->executor.times_all);
    workers->options.slowlog_log_slower_than = -1;
    worker_configure(worker);
    ck_assert_int_eq(worker->note_from_us, INT64_MAX);
    ck_assert(!worker->executor.times_all);
    workers->options.latency_monitor_threshold = 5;
    worker_configure(worker);
    ck_assert_int_eq(worker->note_from_us, 5000);
    ck_assert(worker->executor.times_all);
    workers->options.latency_tracking = false;
    workers->options.latency_monitor_threshold = 0;
    worker_configure(worker);
    ck_assert(!worker->executor.tracks_latency);
    workers_free(workers);
}
END_TEST

START_TEST(a_command_costs_nothing_more_when_the_last_monitor_has_gone) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    struct peer monitor = peer_new(workers, 0);
    struct peer client = peer_new(workers, 0);
    peer_say(&monitor, "MONITOR\r\n");
    workers_settle(workers);
    ck_assert_int_eq(worker->note_from_us, 0);
    ck_assert_uint_eq(atomic_load(&workers->node.monitor_workers), 1);
    close(monitor.fd);
    peer_say(&client, "PING\r\n");
    workers_settle(workers);
    peer_say(&client, "PING\r\n");
    workers_settle(workers);
    ck_assert_int_gt(worker->note_from_us, 0);
    ck_assert_uint_eq(atomic_load(&workers->node.monitor_workers), 0);
    peer_expect(&client, "+PONG\r\n+PONG\r\n");
    workers_free(workers);
    close(client.fd);
}
END_TEST

/* The options are not as the connections were told: who is touched takes over the quorum. */
START_TEST(a_command_that_is_noted_touches_no_connection_that_is_away) {
    struct workers *workers = workers_new(2);
    struct worker *worker = workers_at(workers, 0);
    workers->options.slowlog_log_slower_than = 0;
    worker_configure(worker);
    struct peer away = peer_new(workers, 0);
    struct peer client = peer_new(workers, 0);
    /* Of these keys one at least is not worker 0's. */
    peer_say(&away, "SET a 1\r\nSET b 1\r\nSET c 1\r\nSET d 1\r\n");
    workers_tick(workers, 0);
    ck_assert(away.connection->is_away);
    unsigned flags = away.connection->flags;
    workers->options.write_quorum = 2;
    peer_say(&client, "PING\r\n");
    workers_tick(workers, 0);
    peer_expect(&client, "+PONG\r\n");
    ck_assert(away.connection->is_away);
    ck_assert_uint_eq(away.connection->flags, flags);
    ck_assert_ptr_null(away.connection->quorum);
    workers->options.write_quorum = 1;
    workers_settle(workers);
    peer_expect(&away, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    workers_free(workers);
    close(away.fd);
    close(client.fd);
}
END_TEST

START_TEST(a_connection_runs_where_its_keys_are_and_comes_home) {
    struct workers *workers = workers_new(3);
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer,
             "SET a 1\r\nSET b 2\r\nSET c 3\r\nGET a\r\nPING\r\nGET b\r\nGET c\r\nDBSIZE\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n+PONG\r\n$1\r\n2\r\n$1\r\n3\r\n:3\r\n");
    ck_assert(!peer.connection->is_away);
    uint64_t elsewhere = workers_at(workers, 1)->executor.commands_processed +
                         workers_at(workers, 2)->executor.commands_processed;
    ck_assert_uint_gt(elsewhere, 0);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

/* Home is asked second of three: then the answer so far is there, and must not leave. */
START_TEST(an_answer_gathered_from_all_workers_is_not_held_or_written_halfway) {
    struct workers *workers = workers_new(3);
    struct peer peer = peer_new(workers, 1);
    peer_say(&peer, "SET a 1\r\nSET b 2\r\nSET c 3\r\nSET d 4\r\nCLIENT REPLY OFF\r\n"
                    "KEYS *\r\nCLIENT REPLY ON\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
    peer_say(&peer, "KEYS *\r\n");
    workers_tick(workers, 1);
    workers_tick(workers, 0);
    atomic_store(&workers->node.pause_mode, PAUSE_ALL);
    atomic_store(&workers->node.pause_until_ms, INT64_MAX);
    workers_at(workers, 1)->is_paused = true;
    /* It comes home, but the tick has no time left for it. */
    ck_assert_ptr_eq(mailbox_take_all(&workers_at(workers, 1)->travellers), &peer.connection->mail);
    connection_arrived(peer.connection);
    ck_assert_uint_gt(reply_bytes(&peer.connection->reply), 0);
    connection_write(peer.connection);
    list_push_back(&workers_at(workers, 1)->runnable, &peer.connection->run_link);
    workers_tick(workers, 1);
    peer_expect(&peer, "");
    workers_tick(workers, 2);
    workers_tick(workers, 1);
    char got[256];
    ssize_t length = recv(peer.fd, got, sizeof(got), 0);
    ck_assert_int_eq(length, (ssize_t)strlen("*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n"));
    ck_assert_int_eq(memcmp(got, "*4\r\n", 4), 0);
    peer_say(&peer, "PING\r\n");
    workers_settle(workers);
    peer_expect(&peer, "");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(workers_end_while_connections_are_anywhere) {
    struct workers *workers = workers_new(3);
    struct peer travellers[6];
    for (uint32_t i = 0; i < UNIT_COUNT(travellers); i++) {
        travellers[i] = peer_new(workers, i % 3);
        peer_say(&travellers[i], "SUBSCRIBE x\r\n");
        workers_settle(workers);
        peer_say(&travellers[i], "RESET\r\nWATCH a\r\nWATCH b\r\nWATCH c\r\nSET a 1\r\nSET b "
                                 "1\r\nSET c 1\r\nKEYS *\r\n");
        /* Some wait in a mailbox, some elsewhere. */
        for (uint32_t tick = 0; tick < i; tick++) {
            workers_tick(workers, (i + tick) % 3);
        }
    }
    workers_free(workers);
    for (uint32_t i = 0; i < UNIT_COUNT(travellers); i++) {
        close(travellers[i].fd);
    }
}
END_TEST

START_TEST(who_leaves_during_a_pause_goes_at_once) {
    struct workers *workers = workers_new(1);
    struct peer admin = peer_new(workers, 0);
    struct peer plain = peer_new(workers, 0);
    struct peer eager = peer_new(workers, 0);
    struct peer patient = peer_new(workers, 0);
    peer_say(&admin, "CLIENT PAUSE 600000 WRITE\r\n");
    workers_settle(workers);
    peer_say(&plain, "SET a 1\r\n");
    peer_say(&eager, "SET b 1\r\n");
    peer_say(&patient, "SET c 1\r\n");
    workers_settle(workers);
    ck_assert(plain.connection->is_suspended && eager.connection->is_suspended);
    close(plain.fd);
    workers_settle(workers);
    ck_assert_uint_eq(atomic_load(&workers->node.clients), 3);
    /* More than a held request: bytes that nobody reads hide the end. */
    peer_say(&eager, "SET b 2\r\n");
    workers_settle(workers);
    ck_assert(!eager.connection->is_reading);
    close(eager.fd);
    workers_at(workers, 0)->cron_is_due = true;
    workers_settle(workers);
    ck_assert_uint_eq(atomic_load(&workers->node.clients), 2);
    peer_say(&admin, "CLIENT UNPAUSE\r\nGET a\r\nGET b\r\n");
    workers_settle(workers);
    peer_expect(&admin, "+OK\r\n+OK\r\n$-1\r\n$-1\r\n");
    peer_expect(&patient, "+OK\r\n");
    workers_free(workers);
    close(admin.fd);
    close(patient.fd);
}
END_TEST

START_TEST(the_keepalive_option_holds_for_new_connections) {
    struct workers *workers = workers_new(1);
    workers->options.tcp_keepalive = 77;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&address, length), 0);
    int fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);
    worker_adopt(workers_at(workers, 0), fd, false);
    int seconds = 0;
    length = sizeof(seconds);
    ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, &length), 0);
    ck_assert_int_eq(seconds, 77);
    workers_free(workers);
    close(client);
    close(listener);
}
END_TEST

START_TEST(client_names_are_visible_ascii) {
    ck_assert(client_name_is_valid(span_of_string("")));
    ck_assert(client_name_is_valid(span_of_string("!a-z~")));
    ck_assert(!client_name_is_valid(span_of_string("a b")));
    ck_assert(!client_name_is_valid(span_of_string("a\n")));
    ck_assert(!client_name_is_valid(span_of_string("\x7f")));
    ck_assert(!client_name_is_valid(span_of_string("\xc3\xa4")));
}
END_TEST

/* They all wait at once, and each holds an input and a list meanwhile. */
START_TEST(more_connections_than_a_group_run_and_a_bounded_number_of_spares_is_kept) {
    enum { MANY = 2 * GROUP_CONNECTIONS_MAX + SPARE_INPUTS_MAX + SPARE_LISTS_MAX };
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    struct peer many[MANY];
    atomic_store(&workers->node.pause_mode, PAUSE_ALL);
    atomic_store(&workers->node.pause_until_ms, INT64_MAX);
    worker->is_paused = true;
    for (int i = 0; i < MANY; i++) {
        many[i] = peer_new(workers, 0);
        peer_say(&many[i], "PING\r\n");
    }
    workers_settle(workers);
    ck_assert_ptr_nonnull(many[0].connection->requests);
    ck_assert_ptr_nonnull(many[MANY - 1].connection->requests);
    worker_end_pause(worker);
    workers_tick(workers, 0);
    for (int i = 0; i < MANY; i++) {
        peer_expect(&many[i], "+PONG\r\n");
    }
    ck_assert_uint_eq(worker->spare_inputs_count, SPARE_INPUTS_MAX);
    ck_assert_uint_eq(worker->spare_lists_count, SPARE_LISTS_MAX);
    workers_free(workers);
    for (int i = 0; i < MANY; i++) {
        close(many[i].fd);
    }
}
END_TEST

/* Each key that comes grows its table by a step or two, whatever the table's size. */
START_TEST(growth_touches_a_bounded_number_of_buckets_in_a_tick) {
    static const char *const forms[] = {"SET key:%d value\r\n", "SET {tag}:%d value\r\n"};
    for (size_t i = 0; i < UNIT_COUNT(forms); i++) {
        struct workers *workers = workers_new(1);
        struct worker *worker = workers_at(workers, 0);
        struct peer peer = peer_new(workers, 0);
        static char replies[64 * 1024];
        for (int key = 0; key < KEYS;) {
            char text[PIPELINE * 64];
            int length = 0;
            for (int end = key + PIPELINE; key < end; key++) {
                length += snprintf(text + length, sizeof(text) - (size_t)length, forms[i], key);
            }
            ck_assert_uint_eq(peer_send(&peer, text, (size_t)length), (size_t)length);
            workers_tick(workers, 0);
            while (recv(peer.fd, replies, sizeof(replies), 0) > 0) {
            }
        }
        workers_settle(workers);
        ck_assert_uint_eq(keyspace_keys(workers->node.keyspace, 0), KEYS);
        ck_assert_uint_gt(worker->work_max.buckets, 0);
        ck_assert_uint_le(worker->work_max.buckets, PIPELINE * TABLE_STEPS_MAX);
        workers_free(workers);
        close(peer.fd);
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_tick_runs_a_bounded_number_of_requests,
        a_connection_goes_on_until_others_have_their_turn,
        a_tick_reads_from_a_bounded_number_of_connections_and_lets_the_others_be_first,
        a_tick_reads_a_bounded_number_of_bytes,
        a_tick_writes_a_bounded_number_of_bytes,
        what_is_measured_and_noted_follows_the_options,
        a_command_costs_nothing_more_when_the_last_monitor_has_gone,
        a_command_that_is_noted_touches_no_connection_that_is_away,
        a_connection_runs_where_its_keys_are_and_comes_home,
        an_answer_gathered_from_all_workers_is_not_held_or_written_halfway,
        workers_end_while_connections_are_anywhere,
        who_leaves_during_a_pause_goes_at_once,
        more_connections_than_a_group_run_and_a_bounded_number_of_spares_is_kept,
        the_keepalive_option_holds_for_new_connections,
        client_names_are_visible_ascii,
        growth_touches_a_bounded_number_of_buckets_in_a_tick,
    };
    return unit_run(unit_suite("worker", tests, UNIT_COUNT(tests)));
}
