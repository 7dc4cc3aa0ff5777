#include "worker/gate.h"

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

int main(void) {
    const TTest *tests[] = {
        a_reply_waits_until_its_write_is_written,
        a_reply_waits_until_its_write_is_synced_where_each_is,
        a_worker_whose_replies_wait_is_woken_by_the_log,
    };
    return unit_run(unit_suite("gate", tests, UNIT_COUNT(tests)));
}
