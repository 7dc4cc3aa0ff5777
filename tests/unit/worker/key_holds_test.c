#include "worker/key_holds.h"

#include "tests/unit/worker/workers.h"

static struct workers *workers;
static const int owner;
static const int other;

static void begin(uint32_t count) {
    workers = workers_new(count);
    workers->node.key_holds = key_holds_new();
}

static void end(void) {
    key_holds_free(workers->node.key_holds);
    workers->node.key_holds = NULL;
    workers_free(workers);
}

static struct key_hold hold_of(const char *key, const void *holder) {
    return (struct key_hold){.key = span_of_string(key), .owner = holder};
}

static void let_go(struct key_hold *hold) {
    key_holds_remove(&workers->node, hold);
    key_holds_wake(&workers->node);
}

START_TEST(writes_to_a_held_key_wait_and_reads_go_on) {
    begin((uint32_t)_i);
    struct peer writer = peer_new(workers, 0);
    struct peer reader = peer_new(workers, 0);
    struct key_hold hold = hold_of("key", &owner);
    ck_assert(key_holds_add(&workers->node, &hold));
    peer_say(&writer, "SET key 1\r\nGET key\r\n");
    peer_say(&reader, "GET key\r\nSET another 1\r\nSTRLEN key\r\n");
    workers_settle(workers);
    peer_expect(&writer, "");
    peer_expect(&reader, "$-1\r\n+OK\r\n:0\r\n");
    let_go(&hold);
    workers_settle(workers);
    peer_expect(&writer, "+OK\r\n$1\r\n1\r\n");
    close(writer.fd);
    close(reader.fd);
    workers_settle(workers);
    end();
}
END_TEST

START_TEST(a_write_that_names_no_key_waits_for_all_of_them) {
    begin(1);
    struct peer peer = peer_new(workers, 0);
    struct key_hold hold = hold_of("key", &owner);
    ck_assert(key_holds_add(&workers->node, &hold));
    peer_say(&peer, "DBSIZE\r\nFLUSHALL\r\n");
    workers_settle(workers);
    peer_expect(&peer, ":0\r\n");
    let_go(&hold);
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n");
    close(peer.fd);
    workers_settle(workers);
    end();
}
END_TEST

START_TEST(exec_waits_for_what_its_queue_writes) {
    begin(1);
    struct peer peer = peer_new(workers, 0);
    struct key_hold hold = hold_of("key", &owner);
    ck_assert(key_holds_add(&workers->node, &hold));
    peer_say(&peer, "MULTI\r\nGET key\r\nEXEC\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n");
    peer_say(&peer, "MULTI\r\nSET key 1\r\nEXEC\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n+QUEUED\r\n");
    let_go(&hold);
    workers_settle(workers);
    peer_expect(&peer, "*1\r\n+OK\r\n");
    close(peer.fd);
    workers_settle(workers);
    end();
}
END_TEST

START_TEST(a_key_has_one_holder) {
    begin(1);
    struct key_hold first = hold_of("key", &owner);
    struct key_hold again = hold_of("key", &owner);
    struct key_hold others = hold_of("key", &other);
    ck_assert(key_holds_add(&workers->node, &first));
    ck_assert(key_holds_add(&workers->node, &again));
    ck_assert(!key_holds_add(&workers->node, &others));
    /* What was not linked lets nothing go. */
    key_holds_remove(&workers->node, &again);
    key_holds_remove(&workers->node, &others);
    ck_assert(key_holds_any(&workers->node));
    key_holds_remove(&workers->node, &first);
    ck_assert(!key_holds_any(&workers->node));
    ck_assert(key_holds_add(&workers->node, &others));
    key_holds_remove(&workers->node, &others);
    end();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("key_holds");
    TCase *tcase = tcase_create("key_holds");
    tcase_add_loop_test(tcase, writes_to_a_held_key_wait_and_reads_go_on, 1, 4);
    tcase_add_test(tcase, a_write_that_names_no_key_waits_for_all_of_them);
    tcase_add_test(tcase, exec_waits_for_what_its_queue_writes);
    tcase_add_test(tcase, a_key_has_one_holder);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
