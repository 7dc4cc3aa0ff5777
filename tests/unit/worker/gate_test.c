#include "worker/gate.h"

#include "commands/effect_codec.h"
#include "oplog/reader.h"
#include "tests/unit/worker/logged.h"

static void settle(const struct logged *logged) {
    workers_settle(logged->workers);
}

static struct peer peer_at(const struct logged *logged, uint32_t home) {
    return peer_new(logged->workers, home);
}

START_TEST(a_reply_waits_until_its_write_is_written) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    peer_expect(&peer, "");
    ck_assert(peer.connection->is_gated);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    ck_assert_uint_lt(oplog_synced_position(logged.oplog), oplog_end_position(logged.oplog));
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(what_the_log_lets_go_at_once_is_written_in_bounded_ticks) {
    enum { MANY = TICK_WRITES_MAX + 40 };
    static struct peer peers[MANY];
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct worker *worker = workers_at(logged.workers, 0);
    for (int i = 0; i < MANY; i++) {
        peers[i] = peer_at(&logged, 0);
        peer_say(&peers[i], "SET a 1\r\n");
    }
    settle(&logged);
    uint64_t before = worker->writes;
    logged_write(&logged);
    workers_tick(logged.workers, 0);
    ck_assert_uint_eq(worker->writes - before, TICK_WRITES_MAX);
    worker_tick(worker); /* Which does not wait: there is work left. */
    ck_assert_uint_eq(worker->writes - before, MANY);
    for (int i = 0; i < MANY; i++) {
        peer_expect(&peers[i], "+OK\r\n");
        close(peers[i].fd);
    }
    ck_assert_uint_eq(worker->work_max.writes, TICK_WRITES_MAX);
    logged_free(&logged);
}
END_TEST

START_TEST(a_reply_waits_until_its_write_is_synced_where_each_is) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_ALWAYS);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "");
    logged_sync(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

/* Nobody else wakes it: were it not asked for, this tick would wait without end. */
START_TEST(a_worker_whose_replies_wait_is_woken_by_the_log) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_ALWAYS);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\n");
    workers_tick(logged.workers, 0);
    ck_assert(peer.connection->is_gated);
    ck_assert(atomic_load(&workers_at(logged.workers, 0)->awaits_log));
    logged_sync(&logged);
    ck_assert(!atomic_load(&workers_at(logged.workers, 0)->awaits_log));
    worker_tick(workers_at(logged.workers, 0));
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

/* What a read shows, and the errors beside it, may not be taken back by a crash either. */
START_TEST(a_read_of_another_client_waits_as_well) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer writer = peer_at(&logged, 0);
    struct peer reader = peer_at(&logged, 0);
    peer_say(&reader, "GET a\r\n");
    settle(&logged);
    peer_expect(&reader, "$-1\r\n");
    peer_say(&writer, "SET a 1\r\n");
    settle(&logged);
    peer_say(&reader, "GET a\r\nINCR\r\n");
    settle(&logged);
    peer_expect(&reader, "");
    logged_write(&logged);
    settle(&logged);
    peer_expect(&reader, "$1\r\n1\r\n-ERR wrong number of arguments for 'incr' command\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(reader.fd);
}
END_TEST

START_TEST(a_read_of_a_slot_that_did_not_change_waits_for_nobody) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_ALWAYS);
    struct peer writer = peer_at(&logged, 0);
    struct peer reader = peer_at(&logged, 0);
    peer_say(&writer, "SET a 1\r\n");
    settle(&logged);
    peer_say(&reader, "GET b\r\nLPUSHX\r\nSTRLEN b\r\n");
    settle(&logged);
    peer_expect(&writer, "");
    peer_expect(&reader, "$-1\r\n-ERR unknown command 'LPUSHX', with args beginning with: \r\n"
                         ":0\r\n");
    /* Its slot, or one that is not known from a single key. */
    peer_say(&reader, "GET b\r\nMGET b c\r\n");
    settle(&logged);
    peer_expect(&reader, "");
    logged_sync(&logged);
    settle(&logged);
    peer_expect(&reader, "$-1\r\n*2\r\n$-1\r\n$-1\r\n");
    /* Of the same tick, and changed by the read itself. */
    peer_say(&reader, "GET a\r\n");
    peer_say(&writer, "APPEND a 2\r\n");
    settle(&logged);
    logged_sync(&logged);
    settle(&logged);
    peer_expect(&writer, "+OK\r\n:2\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(reader.fd);
}
END_TEST

START_TEST(a_read_of_any_slot_waits_for_what_changed_all) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_ALWAYS);
    struct peer writer = peer_at(&logged, 0);
    struct peer reader = peer_at(&logged, 0);
    peer_say(&writer, "SET b 1\r\n");
    settle(&logged);
    logged_sync(&logged);
    settle(&logged);
    peer_say(&writer, "FLUSHALL\r\n");
    settle(&logged);
    peer_say(&reader, "GET a\r\n");
    settle(&logged);
    peer_expect(&reader, "");
    logged_sync(&logged);
    settle(&logged);
    peer_expect(&writer, "+OK\r\n+OK\r\n");
    peer_expect(&reader, "$-1\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(reader.fd);
}
END_TEST

START_TEST(a_message_waits_for_what_was_changed_before_it) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer listener = peer_at(&logged, 0);
    struct peer speaker = peer_at(&logged, 0);
    peer_say(&listener, "SUBSCRIBE x\r\n");
    settle(&logged);
    peer_expect(&listener, "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n");
    peer_say(&speaker, "SET a 1\r\nPUBLISH x hello\r\n");
    settle(&logged);
    peer_expect(&listener, "");
    logged_write(&logged);
    settle(&logged);
    peer_expect(&listener, "*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$5\r\nhello\r\n");
    peer_expect(&speaker, "+OK\r\n:1\r\n");
    logged_free(&logged);
    close(listener.fd);
    close(speaker.fd);
}
END_TEST

START_TEST(messages_for_a_connection_whose_reply_waits_come_behind_it) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer listener = peer_at(&logged, 0);
    struct peer speaker = peer_at(&logged, 0);
    peer_say(&listener, "HELLO 3\r\nSUBSCRIBE x\r\n");
    settle(&logged);
    char greeting[4096];
    ck_assert_int_gt(recv(listener.fd, greeting, sizeof(greeting), 0), 0);
    peer_say(&listener, "SET a 1\r\n");
    settle(&logged);
    peer_say(&speaker, "PUBLISH x one\r\nPUBLISH x two\r\n");
    settle(&logged);
    peer_expect(&listener, "");
    logged_write(&logged);
    settle(&logged);
    peer_expect(&listener, "+OK\r\n>3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$3\r\none\r\n"
                           ">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$3\r\ntwo\r\n");
    logged_free(&logged);
    close(listener.fd);
    close(speaker.fd);
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

START_TEST(a_reply_from_another_worker_waits_for_that_workers_append) {
    struct logged logged;
    logged_new(&logged, 2, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_at(&logged, 0);
    char key[2];
    char text[32];
    key_of(&logged, 1, key);
    snprintf(text, sizeof(text), "SET %s 1\r\n", key);
    peer_say(&peer, text);
    settle(&logged);
    ck_assert(!peer.connection->is_away);
    ck_assert_uint_eq(workers_at(logged.workers, 0)->appended, 0);
    peer_expect(&peer, "");
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(what_one_worker_appends_holds_no_reply_of_another) {
    struct logged logged;
    logged_new(&logged, 2, OPLOG_SYNC_EVERYSEC);
    struct peer writer = peer_at(&logged, 0);
    struct peer other = peer_at(&logged, 1);
    char key[2];
    char text[32];
    key_of(&logged, 0, key);
    snprintf(text, sizeof(text), "SET %s 1\r\n", key);
    peer_say(&writer, text);
    settle(&logged);
    key_of(&logged, 1, key);
    snprintf(text, sizeof(text), "GET %s\r\n", key);
    peer_say(&other, text);
    settle(&logged);
    peer_expect(&writer, "");
    peer_expect(&other, "$-1\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(other.fd);
}
END_TEST

START_TEST(requests_behind_a_reply_that_waits_do_not_run) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    peer_say(&peer, "SET a 2\r\nGET a\r\n");
    settle(&logged);
    ck_assert_uint_eq(peer.connection->commands, 1);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    ck_assert_uint_eq(peer.connection->commands, 3);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&peer, "+OK\r\n$1\r\n2\r\n");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

START_TEST(who_leaves_while_its_reply_waits_goes_at_once) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    close(peer.fd);
    settle(&logged);
    ck_assert_uint_eq(atomic_load(&logged.workers->node.clients), 0);
    logged_free(&logged);
}
END_TEST

/* A log that is on for a snapshot's sake alone. */
START_TEST(nothing_waits_for_a_log_that_does_not_gate) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    logged_attach(&logged, logged.oplog, false);
    uint64_t before = oplog_end_position(logged.oplog);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\n");
    settle(&logged);
    peer_expect(&peer, "+OK\r\n");
    ck_assert_uint_gt(oplog_end_position(logged.oplog), before);
    ck_assert_uint_eq(oplog_written_position(logged.oplog), before);
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

static void fill(const struct logged *logged) {
    struct block *block = block_try_new(OPLOG_PENDING_BYTES_MAX);
    ck_assert_ptr_nonnull(block);
    memset(block->bytes, 'x', OPLOG_PENDING_BYTES_MAX);
    block->length = OPLOG_PENDING_BYTES_MAX;
    struct oplog_batch batch = OPLOG_BATCH_EMPTY;
    oplog_batch_add_block(&batch, block);
    oplog_append(logged->oplog, &batch, 0);
    oplog_batch_free(&batch);
    block_release(block);
    ck_assert(oplog_is_full(logged->oplog));
}

START_TEST(a_full_log_holds_writes_and_lets_reads_go) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer writer = peer_at(&logged, 0);
    struct peer committer = peer_at(&logged, 0);
    struct peer reader = peer_at(&logged, 0);
    fill(&logged);
    uint64_t before = oplog_end_position(logged.oplog);
    peer_say(&writer, "SET a 1\r\n");
    peer_say(&committer, "MULTI\r\nSET b 1\r\nEXEC\r\n");
    peer_say(&reader, "GET a\r\nMULTI\r\nGET b\r\nEXEC\r\n");
    settle(&logged);
    ck_assert_uint_eq(oplog_end_position(logged.oplog), before);
    ck_assert_uint_eq(writer.connection->commands, 0);
    peer_expect(&reader, "$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
    logged_sync(&logged);
    settle(&logged);
    logged_sync(&logged);
    settle(&logged);
    peer_expect(&writer, "+OK\r\n");
    peer_expect(&committer, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(committer.fd);
    close(reader.fd);
}
END_TEST

START_TEST(a_log_that_fails_refuses_writes_and_lets_reads_go) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer writer = peer_at(&logged, 0);
    struct peer late = peer_at(&logged, 0);
    struct peer reader = peer_at(&logged, 0);
    simulated_disk_fail(logged.simulated, 0, UINT64_MAX, ENOSPC);
    peer_say(&writer, "SET a 1\r\n");
    workers_tick(logged.workers, 0);
    peer_say(&reader, "GET a\r\n");
    workers_tick(logged.workers, 0);
    ck_assert(reader.connection->is_gated);
    oplog_step_write(logged.oplog);
    peer_say(&late, "SET b 2\r\nGET b\r\n");
    settle(&logged);
    peer_expect(&writer, "");
    peer_expect(&reader, "$1\r\n1\r\n");
    peer_expect(&late, "-MISCONF Errors writing to the AOF file: No space left on device\r\n"
                       "$-1\r\n");
    simulated_disk_heal(logged.simulated);
    logged_write(&logged);
    settle(&logged);
    peer_expect(&writer, "+OK\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(late.fd);
    close(reader.fd);
}
END_TEST

/* Who waited for room learns of it, too. */
START_TEST(a_full_log_that_fails_refuses_writes_instead_of_holding_them) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer writer = peer_at(&logged, 0);
    struct peer late = peer_at(&logged, 0);
    simulated_disk_fail(logged.simulated, 0, UINT64_MAX, ENOSPC);
    fill(&logged);
    peer_say(&writer, "SET a 1\r\n");
    settle(&logged);
    peer_expect(&writer, "");
    oplog_step_write(logged.oplog);
    peer_say(&late, "SET b 2\r\n");
    settle(&logged);
    peer_expect(&writer, "-MISCONF Errors writing to the AOF file: No space left on device\r\n");
    peer_expect(&late, "-MISCONF Errors writing to the AOF file: No space left on device\r\n");
    logged_free(&logged);
    close(writer.fd);
    close(late.fd);
}
END_TEST

/* Which of the effects in the log are joined to the one before: a digit each. */
static void read_joined(const struct logged *logged, char *digits, size_t size) {
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader *reader = NULL;
    struct oplog_reader_plan plan = {
        .disk = &logged->disk, .from = 0, .to = OPLOG_READ_ALL, .report = &report};
    ck_assert_int_eq(oplog_reader_open(&plan, &reader), OPLOG_READ_END);
    struct oplog_frame frame;
    size_t count = 0;
    while (oplog_reader_next(reader, &frame) == OPLOG_READ_FRAME) {
        struct effect_record record;
        while (effect_read(&frame.content, &record) == EFFECT_READ_DONE) {
            ck_assert_uint_lt(count + 1, size);
            digits[count++] = record.is_joined ? '1' : '0';
        }
    }
    digits[count] = '\0';
    oplog_reader_close(reader);
    buffer_free(&report);
}

START_TEST(effects_of_one_command_or_transaction_are_joined_in_the_log) {
    struct logged logged;
    logged_new(&logged, 1, OPLOG_SYNC_EVERYSEC);
    struct peer peer = peer_at(&logged, 0);
    peer_say(&peer, "SET a 1\r\nSET b 1\r\nMSET c 1 d 1 e 1\r\n"
                    "MULTI\r\nSET a 2\r\nSET b 2\r\nEXEC\r\nSET c 2\r\n");
    workers_tick(logged.workers, 0);
    logged_sync(&logged);
    settle(&logged);
    char digits[16];
    read_joined(&logged, digits, sizeof(digits));
    ck_assert_str_eq(digits, "00011010");
    logged_free(&logged);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        effects_of_one_command_or_transaction_are_joined_in_the_log,
        a_reply_waits_until_its_write_is_written,
        what_the_log_lets_go_at_once_is_written_in_bounded_ticks,
        a_reply_waits_until_its_write_is_synced_where_each_is,
        a_worker_whose_replies_wait_is_woken_by_the_log,
        a_read_of_another_client_waits_as_well,
        a_read_of_a_slot_that_did_not_change_waits_for_nobody,
        a_read_of_any_slot_waits_for_what_changed_all,
        a_message_waits_for_what_was_changed_before_it,
        messages_for_a_connection_whose_reply_waits_come_behind_it,
        a_reply_from_another_worker_waits_for_that_workers_append,
        what_one_worker_appends_holds_no_reply_of_another,
        requests_behind_a_reply_that_waits_do_not_run,
        who_leaves_while_its_reply_waits_goes_at_once,
        nothing_waits_for_a_log_that_does_not_gate,
        a_full_log_holds_writes_and_lets_reads_go,
        a_log_that_fails_refuses_writes_and_lets_reads_go,
        a_full_log_that_fails_refuses_writes_instead_of_holding_them,
    };
    return unit_run(unit_suite("gate", tests, UNIT_COUNT(tests)));
}
