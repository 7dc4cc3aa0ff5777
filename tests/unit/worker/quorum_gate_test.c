#include "worker/quorum_gate.h"

#include "tests/unit/worker/logged.h"

#define UNKNOWN "-NOQUORUM 2 members did not confirm this in time: the outcome is unknown\r\n"

static void settle(const struct logged *logged) {
    workers_settle(logged->workers);
}

/* A replica's report, as its link makes it. */
static void report(const struct logged *logged, uint32_t member, uint64_t written,
                   uint64_t synced) {
    struct quorum_member state = {.is_connected = true, .written = written, .synced = synced};
    quorum_report(&logged->workers->node.quorum, member, &state);
}

/* Member 0 holds all that there is. */
static void follow(const struct logged *logged) {
    uint64_t end = oplog_end_position(logged->oplog);
    report(logged, 0, end, end);
}

static void confirm(struct logged *logged) {
    logged_write(logged);
    follow(logged);
    settle(logged);
}

static struct peer peer_with(const struct logged *logged, const char *quorum) {
    struct peer peer = peer_new(logged->workers, 0);
    peer_say(&peer, quorum);
    settle(logged);
    peer_expect(&peer, "+OK\r\n");
    return peer;
}

static struct peer peer_of_two(const struct logged *logged) {
    return peer_with(logged, "CLIENT QUORUM WRITE 2 TIMEOUT 0\r\n");
}

/* What a peer of two that has little time asks for is due afterwards. */
static void pass_time(const struct logged *logged) {
    settle(logged);
    usleep(2000);
    settle(logged);
}

static struct peer peer_in_haste(const struct logged *logged) {
    return peer_with(logged, "CLIENT QUORUM WRITE 2 TIMEOUT 1\r\n");
}

START_TEST(a_reply_waits_until_so_many_members_hold_its_write) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_with(&logged, "CLIENT QUORUM WRITE 3 TIMEOUT 0\r\n");
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    uint64_t end = oplog_end_position(logged.oplog);
    report(&logged, 0, end, 0);
    report(&logged, 1, end - 1, 0);
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "");
    report(&logged, 1, end, 0);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(the_node_itself_must_hold_it_too) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    follow(&logged);
    settle(&logged);
    peer_expect(&peer, "");
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(where_each_write_is_synced_members_must_have_synced_it) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_ALWAYS);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    logged_sync(&logged);
    uint64_t end = oplog_end_position(logged.oplog);
    report(&logged, 0, end, end - 1);
    settle(&logged);
    peer_expect(&peer, "");
    report(&logged, 0, end, end);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

/* Nobody else wakes it: were it not asked for, this tick would wait without end. */
START_TEST(a_worker_whose_replies_wait_is_woken_by_a_report) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    follow(&logged);
    worker_tick(workers_at(logged.workers, 0));
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(reads_show_nothing_that_so_many_do_not_hold) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer writer = peer_new(logged.workers, 0);
    struct peer reader = peer_of_two(&logged);
    peer_say(&writer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&writer, "+OK\r\n"); /* Which asked for no quorum, and is not held. */
    peer_say(&reader, "GET a\r\n");
    settle(&logged);
    peer_expect(&reader, "");
    follow(&logged);
    settle(&logged);
    peer_expect(&reader, "$1\r\n1\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(reader.fd);
}
END_TEST

START_TEST(what_was_not_changed_and_what_shows_no_data_waits_for_nobody) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    follow(&logged);
    struct peer writer = peer_of_two(&logged);
    struct peer other = peer_of_two(&logged);
    peer_say(&writer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_say(&other, "GET b\r\nPING\r\nNOSUCH\r\nMULTI\r\nDISCARD\r\n");
    settle(&logged);
    peer_expect(&other, "$-1\r\n+PONG\r\n-ERR unknown command 'NOSUCH', with args beginning with: "
                        "\r\n+OK\r\n+OK\r\n");
    peer_expect(&writer, "");
    logged_free(&logged);
    close(writer.fd);
    close(other.fd);
}
END_TEST

START_TEST(requests_behind_a_held_reply_run_and_are_answered_in_order) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    uint64_t commands = peer.connection->commands;
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    uint64_t first = oplog_end_position(logged.oplog);
    peer_say(&peer, "PING\r\nINCR a\r\nMULTI\r\nINCR a\r\nEXEC\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    ck_assert_uint_eq(peer.connection->commands - commands, 5); /* But for the queued one. */
    peer_expect(&peer, "");
    report(&logged, 0, first, 0);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n+PONG\r\n");
    confirm(&logged);
    peer_expect(&peer, ":2\r\n+OK\r\n+QUEUED\r\n*1\r\n:3\r\n");
    ck_assert(quorum_gate_is_empty(peer.connection));
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(replies_that_are_due_are_replaced_one_by_one) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    follow(&logged);
    struct peer peer = peer_in_haste(&logged);
    peer_say(&peer, "SET a 1\r\nPING\r\nGET a\r\nMULTI\r\nGET a\r\nGET b\r\nEXEC\r\nGET b\r\n");
    settle(&logged);
    logged_write(&logged);
    pass_time(&logged);
    peer_expect(&peer,
                UNKNOWN "+PONG\r\n" UNKNOWN "+OK\r\n+QUEUED\r\n+QUEUED\r\n" UNKNOWN "$-1\r\n");
    ck_assert_uint_eq(atomic_load(&logged.workers->node.quorum_timeouts), 3);
    /* It was done here all the same, and is shown when it is held. */
    follow(&logged);
    peer_say(&peer, "GET a\r\n");
    settle(&logged);
    peer_expect(&peer, "$1\r\n1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

/* Nothing else makes a tick then. */
START_TEST(a_worker_wakes_when_something_is_due) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_in_haste(&logged);
    peer_say(&peer, "SET a 1\r\n");
    workers_tick(logged.workers, 0);
    while (atomic_load(&logged.workers->node.quorum_timeouts) == 0) {
        worker_tick(workers_at(logged.workers, 0));
    }
    peer_expect(&peer, UNKNOWN);
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(a_worker_wakes_for_the_next_that_is_due) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer later = peer_with(&logged, "CLIENT QUORUM WRITE 2 TIMEOUT 50\r\n");
    struct peer peer = peer_in_haste(&logged);
    peer_say(&later, "SET a 1\r\n");
    peer_say(&peer, "SET b 1\r\n");
    workers_tick(logged.workers, 0);
    while (atomic_load(&logged.workers->node.quorum_timeouts) < 2) {
        worker_tick(workers_at(logged.workers, 0));
    }
    peer_expect(&peer, UNKNOWN);
    peer_expect(&later, UNKNOWN);
    logged_free(&logged);
    close(peer.fd);
    close(later.fd);
}
END_TEST

START_TEST(replies_that_are_not_sent_leave_no_error_behind) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_in_haste(&logged);
    peer_say(&peer, "CLIENT REPLY SKIP\r\nSET a 1\r\nCLIENT REPLY OFF\r\nSET a 2\r\nGET a\r\n"
                    "CLIENT REPLY ON\r\n");
    settle(&logged);
    logged_write(&logged);
    pass_time(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(without_a_log_nothing_can_be_confirmed) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    logged_attach(&logged, NULL, false);
    struct peer peer = peer_in_haste(&logged);
    peer_say(&peer, "SET a 1\r\nGET a\r\nPING\r\n");
    pass_time(&logged);
    peer_expect(&peer, UNKNOWN UNKNOWN "+PONG\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(what_waits_when_the_log_is_changed_has_an_unknown_outcome) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\nPING\r\n");
    settle(&logged);
    logged_attach(&logged, logged.oplog, true);
    confirm(&logged);
    peer_expect(&peer, UNKNOWN "+PONG\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(what_waits_when_the_node_becomes_a_replica_has_an_unknown_outcome) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    quorum_set_primary(&logged.workers->node.quorum, false);
    worker_tick(workers_at(logged.workers, 0));
    peer_expect(&peer, UNKNOWN);
    /* Its own reads wait for nobody. */
    peer_say(&peer, "GET a\r\n");
    settle(&logged);
    peer_expect(&peer, "$1\r\n1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(messages_wait_as_well_and_are_left_out_when_they_are_due) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer listener = peer_in_haste(&logged);
    struct peer patient = peer_of_two(&logged);
    struct peer speaker = peer_new(logged.workers, 0);
    peer_say(&listener, "SUBSCRIBE x\r\n");
    peer_say(&patient, "SUBSCRIBE x\r\n");
    settle(&logged);
    peer_expect(&listener, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    peer_expect(&patient, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    peer_say(&speaker, "SET a 1\r\nPUBLISH x hello\r\n");
    settle(&logged);
    logged_write(&logged);
    pass_time(&logged);
    peer_expect(&speaker, "+OK\r\n:2\r\n");
    peer_expect(&listener, "");
    peer_expect(&patient, "");
    ck_assert_uint_eq(atomic_load(&logged.workers->node.quorum_messages_lost), 1);
    confirm(&logged);
    peer_expect(&listener, "");
    peer_expect(&patient, "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$5\r\nhello\r\n");
    logged_free(&logged);
    close(listener.fd);
    close(patient.fd);
    close(speaker.fd);
}
END_TEST

START_TEST(large_values_are_held_and_let_go_whole) {
    enum { LENGTH = 100 * 1024 };
    static char value[LENGTH + 64];
    static char got[LENGTH + 256];
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    int length = snprintf(value, sizeof(value), "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n", LENGTH);
    peer_send(&peer, value, (size_t)length);
    memset(value, 'v', LENGTH);
    memcpy(value + LENGTH, "\r\n", 2);
    ck_assert_uint_eq(peer_send(&peer, value, LENGTH + 2), LENGTH + 2);
    settle(&logged);
    peer_say(&peer, "GET a\r\nPING\r\n");
    settle(&logged);
    confirm(&logged);
    size_t count = 0;
    for (ssize_t n; (n = recv(peer.fd, got + count, sizeof(got) - count, 0)) > 0;) {
        count += (size_t)n;
        settle(&logged);
    }
    static const char head[] = "+OK\r\n$102400\r\n";
    static const char tail[] = "\r\n+PONG\r\n";
    ck_assert_uint_eq(count, strlen(head) + LENGTH + strlen(tail));
    ck_assert_mem_eq(got, head, strlen(head));
    ck_assert_mem_eq(got + strlen(head), value, LENGTH);
    ck_assert_mem_eq(got + strlen(head) + LENGTH, tail, strlen(tail));
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(who_takes_leave_gets_what_is_held_first) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\nQUIT\r\n");
    settle(&logged);
    peer_expect(&peer, "");
    ck_assert_uint_eq(workers_at(logged.workers, 0)->connections_count, 1);
    confirm(&logged);
    peer_expect(&peer, "+OK\r\n+OK\r\n");
    ck_assert_uint_eq(workers_at(logged.workers, 0)->connections_count, 0);
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(who_leaves_while_its_replies_are_held_goes_at_once) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    close(peer.fd);
    settle(&logged);
    ck_assert_uint_eq(workers_at(logged.workers, 0)->connections_count, 0);
    confirm(&logged);
    logged_free(&logged);
}
END_TEST

static void say_many(const struct logged *logged, const struct peer *peer, const char *text,
                     uint32_t times) {
    for (uint32_t i = 0; i < times; i++) {
        peer_say(peer, text);
        if (i % 512 == 511) {
            settle(logged);
        }
    }
    settle(logged);
}

START_TEST(requests_wait_when_too_many_replies_are_held) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    say_many(&logged, &peer, "INCR a\r\n", QUORUM_GATE_REPLIES_MAX);
    ck_assert(quorum_gate_is_full(peer.connection));
    uint64_t commands = peer.connection->commands;
    peer_say(&peer, "PING\r\n");
    settle(&logged);
    ck_assert_uint_eq(peer.connection->commands, commands);
    confirm(&logged);
    ck_assert_uint_eq(peer.connection->commands, commands + 1);
    char got[65536];
    size_t count = 0;
    char end = 0;
    for (ssize_t n; (n = recv(peer.fd, got, sizeof(got), 0)) > 0; settle(&logged)) {
        count += (size_t)n;
        end = got[n - 3];
    }
    ck_assert_uint_gt(count, QUORUM_GATE_REPLIES_MAX);
    ck_assert_int_eq(end, 'G');
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(what_is_held_counts_for_the_output_limit) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    logged.workers->options.client_output_buffer_limit[CLIENT_CLASS_NORMAL].hard_bytes = 256 * 1024;
    struct peer peer = peer_of_two(&logged);
    say_many(&logged, &peer, "INCR a\r\n", 512);
    ck_assert_uint_eq(workers_at(logged.workers, 0)->connections_count, 1);
    for (int i = 0; i < 40 && workers_at(logged.workers, 0)->connections_count > 0; i++) {
        say_many(&logged, &peer, "INCR a\r\n", 512);
    }
    ck_assert_uint_eq(atomic_load(&logged.workers->node.clients_over_output), 1);
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

/* A key that this worker owns. */
static void key_of(const struct logged *logged, uint32_t owner, char key[2]) {
    key[1] = '\0';
    for (key[0] = 'a'; key[0] <= 'z'; key[0]++) {
        if (logged->workers->node.keyspace->owners[slot_of_key(span_of_string(key))] == owner) {
            return;
        }
    }
    ck_abort();
}

START_TEST(replies_from_other_workers_wait_for_their_appends) {
    struct logged logged;
    logged_new(&logged, 2, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_of_two(&logged);
    char here[2];
    char there[2];
    key_of(&logged, 0, here);
    key_of(&logged, 1, there);
    char text[64];
    snprintf(text, sizeof(text), "SET %s 1\r\nSET %s 2\r\nGET %s\r\n", there, here, there);
    peer_say(&peer, text);
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "");
    report(&logged, 0, oplog_end_position(logged.oplog) - 1, 0);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    confirm(&logged);
    peer_expect(&peer, "+OK\r\n$1\r\n1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(the_options_say_it_for_connections_that_chose_nothing) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    struct peer own = peer_with(&logged, "CLIENT QUORUM WRITE 1\r\n");
    logged.workers->options.write_quorum = 2;
    worker_configure(workers_at(logged.workers, 0));
    struct peer late = peer_new(logged.workers, 0);
    peer_say(&peer, "SET a 1\r\n");
    peer_say(&own, "SET b 1\r\n");
    peer_say(&late, "SET c 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "");
    peer_expect(&own, "+OK\r\n");
    peer_expect(&late, "");
    logged.workers->options.write_quorum = 1;
    worker_configure(workers_at(logged.workers, 0));
    peer_say(&peer, "PING\r\n");
    settle(&logged);
    peer_expect(&peer, ""); /* What it waited for before, it waits for still. */
    confirm(&logged);
    peer_expect(&peer, "+OK\r\n+PONG\r\n");
    peer_expect(&late, "+OK\r\n");
    ck_assert_uint_eq(peer.connection->flags & CONNECTION_QUORUM, 0);
    peer_say(&peer, "SET a 2\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
    close(own.fd);
    close(late.fd);
}
END_TEST

START_TEST(a_quorum_begins_with_the_output_that_the_logs_gate_has_not_seen) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "SET a 1\r\nCLIENT QUORUM WRITE 2 TIMEOUT 0\r\nSET a 2\r\nRESET\r\nPING\r\n");
    settle(&logged);
    peer_expect(&peer, "");
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n+OK\r\n");
    confirm(&logged);
    peer_expect(&peer, "+OK\r\n+RESET\r\n+PONG\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(wishes_that_make_no_sense_are_refused) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    const char *const wishes[][2] = {
        {"WRITE 0", "-ERR write must be between 1 and 33\r\n"},
        {"WRITE 34", "-ERR write must be between 1 and 33\r\n"},
        {"WRITE x", "-ERR value is not an integer or out of range\r\n"},
        {"WRITE 2 TIMEOUT", "-ERR syntax error\r\n"},
        {"WRITE 2 TIMEOUT -1", "-ERR timeout must be between 0 and 2147483647\r\n"},
        {"READ 1", "-ERR CLIENT QUORUM needs WRITE and a number of members\r\n"},
        {"FOO 1", "-ERR syntax error\r\n"},
        {"WRITE 2 READ 2", "-ERR READ above 1 is not supported: a primary of a cluster answers "
                           "under a lease of its shard's members, any other server for itself\r\n"},
        {"WRITE 1 READ 1 TIMEOUT 10", "+OK\r\n"},
    };
    for (size_t i = 0; i < UNIT_COUNT(wishes); i++) {
        char text[128];
        snprintf(text, sizeof(text), "CLIENT QUORUM %s\r\n", wishes[i][0]);
        peer_say(&peer, text);
        workers_settle(workers);
        peer_expect(&peer, wishes[i][1]);
    }
    workers_free(workers);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_reply_waits_until_so_many_members_hold_its_write,
        the_node_itself_must_hold_it_too,
        where_each_write_is_synced_members_must_have_synced_it,
        a_worker_whose_replies_wait_is_woken_by_a_report,
        reads_show_nothing_that_so_many_do_not_hold,
        what_was_not_changed_and_what_shows_no_data_waits_for_nobody,
        requests_behind_a_held_reply_run_and_are_answered_in_order,
        replies_that_are_due_are_replaced_one_by_one,
        a_worker_wakes_when_something_is_due,
        a_worker_wakes_for_the_next_that_is_due,
        replies_that_are_not_sent_leave_no_error_behind,
        without_a_log_nothing_can_be_confirmed,
        what_waits_when_the_log_is_changed_has_an_unknown_outcome,
        what_waits_when_the_node_becomes_a_replica_has_an_unknown_outcome,
        messages_wait_as_well_and_are_left_out_when_they_are_due,
        large_values_are_held_and_let_go_whole,
        who_takes_leave_gets_what_is_held_first,
        who_leaves_while_its_replies_are_held_goes_at_once,
        requests_wait_when_too_many_replies_are_held,
        what_is_held_counts_for_the_output_limit,
        replies_from_other_workers_wait_for_their_appends,
        the_options_say_it_for_connections_that_chose_nothing,
        a_quorum_begins_with_the_output_that_the_logs_gate_has_not_seen,
        wishes_that_make_no_sense_are_refused,
    };
    return unit_run(unit_suite("quorum_gate", tests, UNIT_COUNT(tests)));
}
