/* A node that is a cluster of one: its map outlives it, and whoever asks for a change is
 * answered. */
#include "tests/integration/server.h"

#define CLIENTS 20
#define ALL_SLOTS "CLUSTER ADDSLOTSRANGE 0 16383"

static struct server start_node(int i) {
    return server_start("--cluster-enabled yes", server_worker_options[i], NULL);
}

/* What CLUSTER NODES says of the node itself. */
static struct reply_text nodes(const struct server *server) {
    redisContext *client = server_connect(server);
    struct reply_text text = client_ask(client, "CLUSTER NODES");
    redisFree(client);
    return text;
}

static void restart_node(struct server *server, int i) {
    server_restart(server, "--cluster-enabled yes", server_worker_options[i], NULL);
}

/* A start is a failover, so the primary is one of a new epoch. */
START_TEST(what_was_acknowledged_of_the_map_outlives_a_crash) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CLUSTER ADDSLOTSRANGE 0 5000 6000 16383");
    EXPECT(client, "+BUMPED 1", "CLUSTER BUMPEPOCH");
    EXPECT(client, "+OK", "CLUSTER DELSLOTS 100");
    struct reply_text before = nodes(&server);
    ck_assert_ptr_nonnull(strstr(before.bytes, " 1 connected 0-99 101-5000 6000-16383"));
    redisFree(client);
    server_kill(&server);
    restart_node(&server, _i);
    char last[128];
    snprintf(last, sizeof(last), "%.40s", before.bytes);
    client = server_connect(&server);
    while (strstr(client_ask(client, "CLUSTER NODES").bytes, " 2 connected") == NULL) {
        server_sleep_ms(10);
    }
    EXPECT_PART(client, last, "CLUSTER NODES");
    EXPECT_PART(client, " 2 connected 0-99 101-5000 6000-16383", "CLUSTER NODES");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_hard_reset_gives_a_new_name_which_stays) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", ALL_SLOTS);
    struct reply_text first = client_ask(client, "CLUSTER MYID");
    EXPECT(client, "+OK", "CLUSTER RESET SOFT");
    struct reply_text soft = client_ask(client, "CLUSTER MYID");
    ck_assert_str_eq(soft.bytes, first.bytes);
    EXPECT_PART(client, "cluster_slots_assigned:0", "CLUSTER INFO");
    EXPECT(client, "+OK", "CLUSTER RESET HARD");
    struct reply_text hard = client_ask(client, "CLUSTER MYID");
    ck_assert_str_ne(hard.bytes, first.bytes);
    redisFree(client);
    server_kill(&server);
    restart_node(&server, _i);
    client = server_connect(&server);
    EXPECT(client, hard.bytes, "CLUSTER MYID");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* One of them gets each slot; the others are told, each its own answer. */
START_TEST(many_who_ask_at_once_are_each_answered) {
    struct server server = start_node(_i);
    redisContext *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = server_connect(&server);
        redisAppendCommand(clients[i], "CLUSTER ADDSLOTS 7");
        redisAppendCommand(clients[i], "CLUSTER ADDSLOTS %d", 100 + i);
        redisAppendCommand(clients[i], "PING");
        int is_done = 0;
        while (is_done == 0) {
            ck_assert_int_eq(redisBufferWrite(clients[i], &is_done), REDIS_OK);
        }
    }
    int owners = 0;
    for (int i = 0; i < CLIENTS; i++) {
        struct reply_text first = client_read(clients[i]);
        owners += strcmp(first.bytes, "+OK") == 0;
        ck_assert(strcmp(first.bytes, "+OK") == 0 ||
                  strcmp(first.bytes, "-ERR Slot 7 is already busy") == 0);
        EXPECT_NEXT(clients[i], "+OK");
        EXPECT_NEXT(clients[i], "+PONG");
        redisFree(clients[i]);
    }
    ck_assert_int_eq(owners, 1);
    server_stop(&server);
}
END_TEST

START_TEST(who_leaves_while_it_waits_leaves_nothing_behind) {
    struct server server = start_node(_i);
    for (int i = 0; i < CLIENTS; i++) {
        redisContext *client = server_connect(&server);
        redisAppendCommand(client, "MULTI");
        redisAppendCommand(client, "CLUSTER ADDSLOTS %d", i);
        redisAppendCommand(client, "EXEC");
        redisAppendCommand(client, "CLUSTER ADDSLOTS %d", 1000 + i);
        int is_done = 0;
        while (is_done == 0) {
            ck_assert_int_eq(redisBufferWrite(client, &is_done), REDIS_OK);
        }
        redisFree(client);
    }
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CLUSTER ADDSLOTS 16000");
    EXPECT_PART(client, "16000", "CLUSTER NODES");
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* The queue needs a stop of all workers, and may not wait for the map while they stand still. */
START_TEST(a_transaction_changes_the_map_as_one_and_runs_with_data_too) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", ALL_SLOTS);
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "+QUEUED", "CLUSTER DELSLOTS 1 2 3");
    EXPECT(client, "+QUEUED", "SET key value");
    EXPECT(client, "+QUEUED", "CLUSTER ADDSLOTS 4");
    EXPECT(client, "+QUEUED", "CLUSTER ADDSLOTS 3 2 1");
    EXPECT(client, "+QUEUED", "CLUSTER COUNTKEYSINSLOT 12539");
    EXPECT(client, "[+OK +OK -ERR Slot 4 is already busy +OK :1]", "EXEC");
    EXPECT(client, "value", "GET key");
    EXPECT_PART(client, "connected 0-16383", "CLUSTER NODES");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(asking_holds_for_one_command_or_one_transaction) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", ALL_SLOTS);
    EXPECT(client, "+OK", "READONLY");
    EXPECT_PART(client, " flags=r ", "CLIENT INFO");
    EXPECT(client, "+OK", "READWRITE");
    EXPECT_PART(client, " flags=N ", "CLIENT INFO");
    EXPECT(client, "+OK", "ASKING");
    EXPECT(client, "+OK", "SET key value");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(what_the_node_announces_is_in_the_map) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CONFIG SET cluster-announce-ip 10.1.2.3 cluster-announce-port 7");
    for (int i = 0; strstr(nodes(&server).bytes, " 10.1.2.3:7@") == NULL; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    EXPECT(client, "+OK", ALL_SLOTS);
    EXPECT_PART(client, "10.1.2.3 :7", "CLUSTER SLOTS");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(slot_stats_count_the_keys_of_the_slots_that_the_node_owns) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CONFIG SET cluster-require-full-coverage no");
    EXPECT(client, "+OK", "CLUSTER ADDSLOTSRANGE 0 99 12539 12540");
    EXPECT(client, "+OK", "MSET {key}a 1 {key}b 2 {key}c 3");
    EXPECT(client, "[[:98 [key-count :0]] [:99 [key-count :0]]]",
           "CLUSTER SLOT-STATS SLOTSRANGE 98 200");
    EXPECT(client, "[[:12539 [key-count :3]] [:0 [key-count :0]]]",
           "CLUSTER SLOT-STATS ORDERBY KEY-COUNT LIMIT 2");
    EXPECT(client, "[[:0 [key-count :0]]]", "CLUSTER SLOT-STATS ORDERBY KEY-COUNT ASC LIMIT 1");
    EXPECT(client, "-ERR Start slot number 5 is greater than end slot number 4",
           "CLUSTER SLOT-STATS SLOTSRANGE 5 4");
    EXPECT(client, "-ERR Invalid or out of range slot", "CLUSTER SLOT-STATS SLOTSRANGE 0 16384");
    EXPECT(client, "-ERR Limit has to lie in between 1 and 16384 (maximum number of slots).",
           "CLUSTER SLOT-STATS ORDERBY KEY-COUNT LIMIT 0");
    EXPECT(client, "-ERR Unrecognized sort metric for ORDERBY.", "CLUSTER SLOT-STATS ORDERBY cpu");
    EXPECT(client, "-ERR syntax error", "CLUSTER SLOT-STATS ORDERBY KEY-COUNT ASC DESC");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_shard_has_an_id_that_its_nodes_tell) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    struct reply_text id = client_ask(client, "CLUSTER MYSHARDID");
    ck_assert_uint_eq(strspn(id.bytes, "0123456789abcdef"), 40);
    ck_assert_uint_eq(id.length, 40);
    ck_assert_str_ne(id.bytes, client_ask(client, "CLUSTER MYID").bytes);
    redisFree(client);
    server_kill(&server);
    restart_node(&server, _i);
    client = server_connect(&server);
    EXPECT(client, id.bytes, "CLUSTER MYSHARDID");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_replica_without_failover_is_shown_as_such) {
    struct server server = start_node(_i);
    redisContext *client = server_connect(&server);
    EXPECT_PART(client, " myself,master - ", "CLUSTER NODES");
    EXPECT(client, "+OK", "CONFIG SET cluster-replica-no-failover yes");
    for (int i = 0; strstr(nodes(&server).bytes, " myself,master,nofailover - ") == NULL; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    EXPECT_PART(client, "tarn_cluster_messages_unknown:0", "INFO cluster");
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_was_acknowledged_of_the_map_outlives_a_crash,
        a_hard_reset_gives_a_new_name_which_stays,
        many_who_ask_at_once_are_each_answered,
        who_leaves_while_it_waits_leaves_nothing_behind,
        a_transaction_changes_the_map_as_one_and_runs_with_data_too,
        asking_holds_for_one_command_or_one_transaction,
        what_the_node_announces_is_in_the_map,
        slot_stats_count_the_keys_of_the_slots_that_the_node_owns,
        a_shard_has_an_id_that_its_nodes_tell,
        a_replica_without_failover_is_shown_as_such,
    };
    return unit_run(server_suite("cluster", tests, UNIT_COUNT(tests)));
}
