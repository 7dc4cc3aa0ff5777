#include "worker/cluster.h"

#include "tests/unit/cluster/maps.h"
#include "tests/unit/worker/workers.h"

/* "{a}" is in slot 15495, "{b}" in 3300. */
#define SLOT_A 15495
#define SLOT_B 3300

static struct workers *workers;
static struct cluster cluster;

/* Node a owns the upper half of the slots, node b the lower one; c replicates a. */
static void begin(uint32_t count, char myself) {
    maps_begin();
    maps_fill();
    struct map_change changes[] = {
        maps_slots(MAP_SLOTS_DELETE, '\0', 0, SLOTS - 1),
        maps_slots(MAP_SLOTS_ADD, 'b', 0, SLOTS / 2 - 1),
        maps_slots(MAP_SLOTS_ADD, 'a', SLOTS / 2, SLOTS - 1),
    };
    ck_assert(maps_apply_all(changes, UNIT_COUNT(changes)));
    workers = workers_new(count);
    cluster = (struct cluster){.state = {.is_ok = true}, .lease_until_ms = UINT64_MAX};
    cluster_set_map(&cluster, maps.map, maps_find(myself));
    workers->node.cluster = &cluster;
}

static void change(struct map_change next, char myself) {
    ck_assert(maps_apply(next));
    cluster_set_map(&cluster, maps.map, maps_find(myself));
}

static void end(void) {
    map_return(cluster.map);
    workers_free(workers);
    maps_end();
}

static void expect(const char *requests, const char *replies) {
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer, requests);
    workers_settle(workers);
    peer_expect(&peer, replies);
    close(peer.fd);
    workers_settle(workers);
}

START_TEST(requests_for_slots_of_others_are_moved) {
    begin(1, 'a');
    expect("SET {a} 1\r\nGET {b}\r\nMGET {a}1 {a}2\r\nPING\r\n",
           "+OK\r\n-MOVED 3300 10.0.0.2:6379\r\n*2\r\n$-1\r\n$-1\r\n+PONG\r\n");
    end();
}
END_TEST

START_TEST(keys_of_several_slots_are_refused) {
    begin(3, 'a');
    expect("MSET {a}1 1 {b}1 1\r\nDBSIZE\r\n",
           "-CROSSSLOT Keys in request don't hash to the same slot\r\n:0\r\n");
    end();
}
END_TEST

START_TEST(a_transaction_asks_for_all_its_keys) {
    begin(1, 'a');
    expect("MULTI\r\nSET {a} 1\r\nSET {b} 1\r\nEXEC\r\n",
           "+OK\r\n+QUEUED\r\n-MOVED 3300 10.0.0.2:6379\r\n"
           "-EXECABORT Transaction discarded because of previous errors.\r\n");
    expect("MULTI\r\nSET {a} 1\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n");
    end();
}
END_TEST

/* The owner went away between QUEUED and EXEC. */
START_TEST(an_exec_that_is_redirected_answers_with_the_redirection) {
    begin(1, 'a');
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer, "MULTI\r\nSET {a} 1\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+OK\r\n+QUEUED\r\n");
    change(maps_pair(MAP_SLOT_OWNER, 'b', 'b', SLOT_A), 'a');
    peer_say(&peer, "EXEC\r\nEXEC\r\n");
    workers_settle(workers);
    peer_expect(&peer, "-MOVED 15495 10.0.0.2:6379\r\n-ERR EXEC without MULTI\r\n");
    close(peer.fd);
    end();
}
END_TEST

START_TEST(a_slot_on_its_way_is_asked_for_at_its_owner) {
    begin(3, 'a'); /* The worker that owns the slot tells which keys are here. */
    change(maps_pair(MAP_MIGRATING, 'a', 'b', SLOT_A), 'a');
    expect("SET {a}1 1\r\n", "-ASK 15495 10.0.0.2:6379\r\n");
    cluster.map->slots[SLOT_A].migrating_to = MAP_NOBODY;
    expect("SET {a}1 1\r\n", "+OK\r\n");
    change(maps_pair(MAP_MIGRATING, 'a', 'b', SLOT_A), 'a');
    expect("GET {a}1\r\nMGET {a}1 {a}2\r\nGET {a}2\r\n",
           "$1\r\n1\r\n-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
           "-ASK 15495 10.0.0.2:6379\r\n");
    end();
}
END_TEST

START_TEST(sharded_channels_have_slots) {
    begin(1, 'a');
    expect("SPUBLISH {a} x\r\nSSUBSCRIBE {b}\r\nSSUBSCRIBE {a} {b}\r\nPUBLISH {b} x\r\n",
           ":0\r\n-MOVED 3300 10.0.0.2:6379\r\n"
           "-CROSSSLOT Keys in request don't hash to the same slot\r\n:0\r\n");
    end();
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        requests_for_slots_of_others_are_moved,
        keys_of_several_slots_are_refused,
        a_transaction_asks_for_all_its_keys,
        an_exec_that_is_redirected_answers_with_the_redirection,
        a_slot_on_its_way_is_asked_for_at_its_owner,
        sharded_channels_have_slots,
    };
    return unit_run(unit_suite("cluster", tests, UNIT_COUNT(tests)));
}
