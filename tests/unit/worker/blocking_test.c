#include "worker/blocking.h"

#include "tests/unit/worker/logged.h"

static void settle(const struct logged *logged) {
    workers_settle(logged->workers);
}

static void report(const struct logged *logged, uint32_t member, uint64_t written,
                   uint64_t synced) {
    struct quorum_member state = {.is_connected = true, .written = written, .synced = synced};
    quorum_report(&logged->workers->node.quorum, member, &state);
}

static void expect_counts(const struct logged *logged, uint32_t count, uint32_t with_timeout) {
    const struct node *node = &logged->workers->node;
    ck_assert_uint_eq(atomic_load(&node->blocked_clients), count);
    ck_assert_uint_eq(atomic_load(&node->blocked_with_timeout), with_timeout);
}

static void expect_blocked(const struct logged *logged, uint32_t count, uint32_t with_timeout) {
    const struct node *node = &logged->workers->node;
    expect_counts(logged, count, with_timeout);
    ck_assert(quorum_is_awaited(&node->quorum) == (count > 0));
}

START_TEST(wait_ends_when_so_many_replicas_hold_the_clients_own_changes) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    struct peer other = peer_new(logged.workers, 0);
    peer_say(&peer, "SET a 1\r\nWAIT 2 0\r\nPING\r\n");
    settle(&logged);
    uint64_t end = oplog_end_position(logged.oplog);
    peer_say(&other, "SET b 1\r\n"); /* Which it does not wait for. */
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    expect_blocked(&logged, 1, 0);
    report(&logged, 0, end, 0);
    settle(&logged);
    peer_expect(&peer, "");
    report(&logged, 1, end, 0);
    worker_tick(workers_at(logged.workers, 0));
    settle(&logged);
    peer_expect(&peer, ":2\r\n+PONG\r\n");
    expect_blocked(&logged, 0, 0);
    /* They hold it already. */
    peer_say(&peer, "WAIT 1 0\r\n");
    peer_say(&other, "WAIT 0 0\r\n");
    settle(&logged);
    peer_expect(&peer, ":2\r\n");
    peer_expect(&other, "+OK\r\n:0\r\n");
    logged_free(&logged);
    close(peer.fd);
    close(other.fd);
}
END_TEST

START_TEST(wait_answers_the_count_when_its_time_is_over) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    report(&logged, 0, UINT64_MAX, 0);
    peer_say(&peer, "WAIT 2 1\r\n");
    workers_tick(logged.workers, 0);
    expect_blocked(&logged, 1, 1);
    while (atomic_load(&logged.workers->node.blocked_clients) > 0) {
        worker_tick(workers_at(logged.workers, 0));
    }
    settle(&logged);
    peer_expect(&peer, ":1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(waitaof_waits_for_syncs_here_and_there) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "SET a 1\r\nWAITAOF 1 1 0\r\n");
    settle(&logged);
    uint64_t end = oplog_end_position(logged.oplog);
    report(&logged, 0, end, 0);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_sync(&logged);
    worker_tick(workers_at(logged.workers, 0));
    peer_expect(&peer, "");
    report(&logged, 0, end, end);
    worker_tick(workers_at(logged.workers, 0));
    settle(&logged);
    peer_expect(&peer, "*2\r\n:1\r\n:1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(waitaof_ends_when_there_is_no_log_any_more) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "SET a 1\r\nWAITAOF 1 1 0\r\n");
    settle(&logged);
    logged_attach(&logged, NULL, false);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n-ERR WAITAOF cannot be used when numlocal is set but appendonly is "
                       "disabled.\r\n");
    peer_say(&peer, "WAITAOF 1 0 0\r\nWAITAOF 0 0 0\r\n");
    settle(&logged);
    peer_expect(&peer, "-ERR WAITAOF cannot be used when numlocal is set but appendonly is "
                       "disabled.\r\n*2\r\n:0\r\n:0\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(a_node_that_becomes_a_replica_sends_those_who_wait_away) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "WAIT 1 0\r\nPING\r\n");
    settle(&logged);
    quorum_set_primary(&logged.workers->node.quorum, false);
    worker_tick(workers_at(logged.workers, 0));
    settle(&logged);
    peer_expect(&peer, "-UNBLOCKED force unblock from blocking operation, instance state changed "
                       "(master -> replica?)\r\n");
    ck_assert_uint_eq(workers_at(logged.workers, 0)->connections_count, 0);
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(nothing_blocks_inside_exec) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "MULTI\r\nSET a 1\r\nWAIT 3 0\r\nWAITAOF 1 1 0\r\nEXEC\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:0\r\n*2\r\n:1\r\n"
                       ":0\r\n");
    expect_blocked(&logged, 0, 0);
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

static void say_unblock(const struct peer *peer, const struct peer *target, const char *how) {
    char text[64];
    snprintf(text, sizeof(text), "CLIENT UNBLOCK %llu%s\r\n",
             (unsigned long long)target->connection->id, how);
    peer_say(peer, text);
}

START_TEST(client_unblock_ends_a_wait_either_way) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    struct peer other = peer_new(logged.workers, 0);
    peer_say(&peer, "WAIT 1 0\r\nWAIT 2 100000\r\nPING\r\n");
    say_unblock(&other, &other, "");
    settle(&logged);
    peer_expect(&other, ":0\r\n");
    ck_assert_uint_eq(peer.connection->commands, 0);
    say_unblock(&other, &peer, " TIMEOUT");
    settle(&logged);
    peer_expect(&peer, ":0\r\n");
    expect_blocked(&logged, 1, 1);
    say_unblock(&other, &peer, " ERROR");
    settle(&logged);
    peer_expect(&peer, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n+PONG\r\n");
    peer_expect(&other, ":1\r\n:1\r\n");
    ck_assert_uint_eq(peer.connection->commands, 3);
    expect_blocked(&logged, 0, 0);
    logged_free(&logged);
    close(peer.fd);
    close(other.fd);
}
END_TEST

START_TEST(a_blocked_connection_says_so_and_is_not_idle) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "WAIT 1 0\r\n");
    settle(&logged);
    struct buffer text = BUFFER_EMPTY;
    client_info_append_line(&text, peer.connection);
    buffer_append_byte(&text, '\0');
    ck_assert_ptr_nonnull(strstr(text.bytes, " flags=bU "));
    buffer_free(&text);
    ck_assert(connection_is_kept(peer.connection));
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(who_leaves_while_it_is_blocked_is_forgotten) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "WAIT 1 0\r\nPING\r\n");
    settle(&logged);
    expect_blocked(&logged, 1, 0);
    close(peer.fd);
    settle(&logged);
    expect_blocked(&logged, 0, 0);
    ck_assert_uint_eq(workers_at(logged.workers, 0)->connections_count, 0);
    logged_free(&logged);
}
END_TEST

START_TEST(a_wait_behind_a_held_reply_is_answered_behind_it) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    peer_say(&peer, "CLIENT QUORUM WRITE 3 TIMEOUT 0\r\nSET a 1\r\nWAIT 1 0\r\n");
    settle(&logged);
    logged_write(&logged);
    uint64_t end = oplog_end_position(logged.oplog);
    report(&logged, 0, end, 0);
    settle(&logged);
    expect_counts(&logged, 0, 0);
    peer_expect(&peer, "+OK\r\n");
    report(&logged, 1, end, 0);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n:1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

static void links_woken(struct node *node) {
    node->log_grew = NULL;
}

START_TEST(links_listen_while_a_connection_may_wait_for_a_quorum) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    struct node *node = &logged.workers->node;
    node->log_grew = links_woken;
    peer_say(&peer, "PING\r\n");
    settle(&logged);
    ck_assert(!quorum_is_awaited(&node->quorum));
    ck_assert(node->log_grew != NULL);
    peer_say(&peer, "CLIENT QUORUM WRITE 2\r\n");
    settle(&logged);
    ck_assert(quorum_is_awaited(&node->quorum));
    ck_assert(node->log_grew == NULL);
    close(peer.fd);
    settle(&logged);
    ck_assert(!quorum_is_awaited(&node->quorum));
    logged_free(&logged);
}
END_TEST

START_TEST(what_another_worker_changed_for_it_is_waited_for) {
    struct logged logged;
    logged_new(&logged, 2, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    char key[2] = "a";
    while (logged.workers->node.keyspace->owners[slot_of_key(span_of_string(key))] != 1) {
        key[0]++;
    }
    char text[64];
    snprintf(text, sizeof(text), "SET %s 1\r\nWAIT 1 0\r\n", key);
    peer_say(&peer, text);
    settle(&logged);
    logged_write(&logged);
    uint64_t end = oplog_end_position(logged.oplog);
    report(&logged, 0, end - 1, 0);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    report(&logged, 0, end, 0);
    settle(&logged);
    peer_expect(&peer, ":1\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(writes_need_as_many_replicas_as_the_options_say) {
    static const char refusal[] = "-NOREPLICAS Not enough good replicas to write.\r\n";
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_new(logged.workers, 0);
    logged.workers->options.min_replicas_to_write = 1;
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    peer_expect(&peer, refusal);
    peer_say(&peer, "GET a\r\nPING\r\nMULTI\r\nGET a\r\nEXEC\r\n");
    settle(&logged);
    peer_expect(&peer, "$-1\r\n+PONG\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
    struct quorum_member member = {.is_connected = true, .heard_ms = INT64_MIN + 1};
    quorum_report(&logged.workers->node.quorum, 0, &member);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    peer_expect(&peer, refusal);
    member.heard_ms = INT64_MAX;
    quorum_report(&logged.workers->node.quorum, 0, &member);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged.workers->options.min_replicas_to_write = 1000;
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    peer_expect(&peer, refusal);
    logged.workers->options.min_replicas_max_lag = 0; /* Switches it off, as in Redis. */
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        wait_ends_when_so_many_replicas_hold_the_clients_own_changes,
        wait_answers_the_count_when_its_time_is_over,
        waitaof_waits_for_syncs_here_and_there,
        waitaof_ends_when_there_is_no_log_any_more,
        a_node_that_becomes_a_replica_sends_those_who_wait_away,
        nothing_blocks_inside_exec,
        client_unblock_ends_a_wait_either_way,
        a_blocked_connection_says_so_and_is_not_idle,
        who_leaves_while_it_is_blocked_is_forgotten,
        a_wait_behind_a_held_reply_is_answered_behind_it,
        links_listen_while_a_connection_may_wait_for_a_quorum,
        what_another_worker_changed_for_it_is_waited_for,
        writes_need_as_many_replicas_as_the_options_say,
    };
    return unit_run(unit_suite("blocking", tests, UNIT_COUNT(tests)));
}
