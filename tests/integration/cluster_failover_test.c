/* A cluster keeps what it acknowledged, and takes writes, whoever of it is killed, stopped, asked
 * to end or told to make way. */
#include "tests/integration/nodes.h"
#include "tests/integration/replicas.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEYS_MAX 100000
#define SHARD_NODES 3
#define QUORUM "--write-quorum 2"
/* For what has to be done before anybody misses a node. */
#define SLOW "--cluster-node-timeout 3000 --appendonly yes"

/* ---- a shard ---- */

static bool is_primary(const struct server *node) {
    redisContext *client = server_try_connect(node);
    redisReply *reply = client->err == 0 ? redisCommand(client, "ROLE") : NULL;
    bool answer = reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                  strcmp(reply->element[0]->str, "master") == 0;
    freeReplyObject(reply);
    redisFree(client);
    return answer;
}

static void expect_primary(const struct server *node) {
    for (int i = 0; !is_primary(node); i++) {
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 100, "port %d is no primary", node->port);
        server_sleep_ms(10);
    }
}

/* The first of them that is one. */
static struct server *await_primary(struct server **nodes, size_t count) {
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        for (size_t j = 0; j < count; j++) {
            if (is_primary(nodes[j])) {
                return nodes[j];
            }
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("there is no primary");
}

/* So many replicas are in the in-sync set. */
static void expect_in_sync(const struct server *primary, size_t replicas) {
    char line[64];
    snprintf(line, sizeof(line), "In sync with this primary: %zu replicas.", replicas);
    server_expect_log(primary, line);
}

/* It stands still when this returns. */
static void node_pause(const struct server *node) {
    int status = 0;
    kill(node->pid, SIGSTOP);
    ck_assert_int_eq(waitpid(node->pid, &status, WUNTRACED), node->pid);
    ck_assert(WIFSTOPPED(status));
}

static void replicate(const struct server *replica, const struct server *primary) {
    char command[96];
    snprintf(command, sizeof(command), "CLUSTER REPLICATE %.40s", node_id(primary).bytes);
    ck_assert_str_eq(node_ask(replica, command).bytes, "+OK");
}

/* The first owns all slots, `replicas` of the others follow it. */
static void shard_start(struct server nodes[SHARD_NODES], size_t replicas, const char *option) {
    for (size_t i = 0; i < SHARD_NODES; i++) {
        nodes[i] = node_start(option);
    }
    nodes_meet(nodes, SHARD_NODES);
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 16383").bytes, "+OK");
    for (size_t i = 1; i <= replicas; i++) {
        replicate(&nodes[i], &nodes[0]);
    }
    expect_in_sync(&nodes[0], replicas);
    for (size_t i = 0; i < SHARD_NODES; i++) {
        node_expect_soon(&nodes[i], "cluster_state:ok", "CLUSTER INFO");
    }
}

/* ---- a client that notes what it was told ---- */

struct recorder {
    const struct server *nodes;
    size_t count;
    pthread_t thread;
    atomic_bool ends;
    atomic_uint acknowledged;
    bool *keys;     /* SET key:i i was answered by OK */
    bool has_error; /* another one than that it is to ask somebody else */
    char error[256];
};

static bool sends_elsewhere(const char *error) {
    return strncmp(error, "MOVED ", 6) == 0;
}

static void note_error(struct recorder *recorder, const char *error) {
    if (!recorder->has_error && !sends_elsewhere(error)) {
        recorder->has_error = true;
        snprintf(recorder->error, sizeof(recorder->error), "%s", error);
    }
}

static void *recorder_main(void *context) {
    struct recorder *recorder = context;
    redisContext *clients[NODES_MAX] = {NULL};
    size_t at = 0;
    for (unsigned i = 0; !atomic_load(&recorder->ends) && i < KEYS_MAX; i++) {
        if (clients[at] == NULL) {
            clients[at] = server_try_connect(&recorder->nodes[at]);
        }
        redisReply *reply =
            clients[at]->err == 0 ? redisCommand(clients[at], "SET key:%u %u", i, i) : NULL;
        bool is_done = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        if (is_done) {
            recorder->keys[i] = true;
            atomic_fetch_add(&recorder->acknowledged, 1);
        } else {
            if (reply != NULL) {
                note_error(recorder, reply->str);
            } else {
                redisFree(clients[at]);
                clients[at] = NULL;
            }
            at = (at + 1) % recorder->count;
            server_sleep_ms(1);
        }
        freeReplyObject(reply);
    }
    for (size_t i = 0; i < recorder->count; i++) {
        if (clients[i] != NULL) {
            redisFree(clients[i]);
        }
    }
    return NULL;
}

static void recorder_begin(struct recorder *recorder, const struct server *nodes, size_t count) {
    memset(recorder, 0, sizeof(*recorder));
    recorder->nodes = nodes;
    recorder->count = count;
    recorder->keys = calloc(KEYS_MAX, sizeof(bool));
    ck_assert_int_eq(pthread_create(&recorder->thread, NULL, recorder_main, recorder), 0);
}

static void recorder_expect_more(struct recorder *recorder, unsigned more) {
    unsigned wanted = atomic_load(&recorder->acknowledged) + more;
    for (int i = 0; atomic_load(&recorder->acknowledged) < wanted; i++) {
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 100, "writes are not acknowledged any more");
        server_sleep_ms(10);
    }
}

/* All that was acknowledged is there. */
static void recorder_end(struct recorder *recorder, const struct server *primary) {
    atomic_store(&recorder->ends, true);
    pthread_join(recorder->thread, NULL);
    redisContext *client = server_connect(primary);
    unsigned lost = 0;
    for (unsigned i = 0; i < KEYS_MAX; i++) {
        if (recorder->keys[i]) {
            redisReply *reply = redisCommand(client, "GET key:%u", i);
            ck_assert_ptr_nonnull(reply);
            lost += reply->type != REDIS_REPLY_STRING || strtoul(reply->str, NULL, 10) != i;
            freeReplyObject(reply);
        }
    }
    redisFree(client);
    free(recorder->keys);
    ck_assert_msg(lost == 0, "%u of %u acknowledged writes are lost", lost,
                  atomic_load(&recorder->acknowledged));
}

/* ---- tests ---- */

START_TEST(what_a_quorum_acknowledged_outlives_its_primary) {
    struct server nodes[SHARD_NODES];
    struct recorder recorder;
    shard_start(nodes, 2, QUORUM);
    recorder_begin(&recorder, nodes, SHARD_NODES);
    recorder_expect_more(&recorder, 200);
    server_kill(&nodes[0]);
    recorder_expect_more(&recorder, 200);
    struct server *primary = await_primary((struct server *[]){&nodes[1], &nodes[2]}, 2);
    node_restart(&nodes[0], QUORUM);
    redisContext *client = server_connect(&nodes[0]);
    wait_for_link(client, true);
    redisFree(client);
    recorder_expect_more(&recorder, 100);
    recorder_end(&recorder, primary);
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

/* The replica is stopped, and its link cut, so that it lacks what its primary acknowledges last. */
START_TEST(what_is_lost_without_a_quorum_is_kept_in_a_divergence_file) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 1, SLOW);
    redisContext *client = server_connect(&nodes[0]);
    EXPECT(client, "+OK", "SET kept 1");
    EXPECT(client, ":1", "WAIT 1 0");
    node_pause(&nodes[1]);
    EXPECT(client, ":1", "CLIENT KILL TYPE replica");
    EXPECT(client, "+OK", "SET lost 1");
    server_kill(&nodes[0]);
    kill(nodes[1].pid, SIGCONT);
    redisFree(client);
    expect_primary(&nodes[1]);
    node_restart(&nodes[0], SLOW);
    client = server_connect(&nodes[0]);
    wait_for_link(client, true);
    ck_assert_int_eq(info(client, "tarn_divergences"), 1);
    ck_assert_int_eq(info(client, "tarn_divergence_keys"), 1);
    ck_assert(server_has(&nodes[0], "divergence"));
    EXPECT(client, "+OK", "READONLY");
    EXPECT(client, "1", "GET kept");
    EXPECT(client, "nil", "GET lost");
    redisFree(client);
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

START_TEST(a_primary_that_is_to_end_makes_way_first) {
    struct server nodes[SHARD_NODES];
    struct recorder recorder;
    shard_start(nodes, 2, NULL);
    recorder_begin(&recorder, nodes, SHARD_NODES);
    recorder_expect_more(&recorder, 100);
    kill(nodes[0].pid, SIGTERM);
    ck_assert_int_eq(waitpid(nodes[0].pid, NULL, 0), nodes[0].pid);
    recorder_expect_more(&recorder, 100);
    server_expect_log(&nodes[0], "Left to others what this node does in the cluster: done");
    recorder_end(&recorder, await_primary((struct server *[]){&nodes[1], &nodes[2]}, 2));
    ck_assert_msg(!recorder.has_error, "%s", recorder.error);
    server_remove_folder(nodes[0].folder);
    nodes_stop(nodes + 1, SHARD_NODES - 1);
}
END_TEST

/* With each kind of gate that its answers may wait at. */
START_TEST(cluster_failover_loses_nothing_and_tells_clients_where_to_go) {
    static const char *const options[] = {QUORUM, "--appendonly yes --appendfsync always"};
    struct server nodes[SHARD_NODES];
    struct recorder recorder;
    shard_start(nodes, 2, options[_i]);
    recorder_begin(&recorder, nodes, SHARD_NODES);
    recorder_expect_more(&recorder, 100);
    ck_assert_str_eq(node_ask(&nodes[1], "CLUSTER FAILOVER").bytes, "+OK");
    ck_assert(is_primary(&nodes[1]));
    recorder_expect_more(&recorder, 100);
    recorder_end(&recorder, &nodes[1]);
    ck_assert_msg(!recorder.has_error, "%s", recorder.error);
    redisContext *client = server_connect(&nodes[0]);
    wait_for_link(client, true);
    ck_assert_int_eq(info(client, "tarn_divergences"), 0);
    redisFree(client);
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

/* What stands in its socket when it wakes, it runs after it has lost its lease. */
START_TEST(a_primary_that_was_stopped_takes_no_writes_when_it_wakes) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 2, NULL);
    redisContext *writer = server_connect(&nodes[0]);
    redisContext *reader = server_connect(&nodes[0]);
    EXPECT(writer, "+OK", "SET key before");
    node_pause(&nodes[0]);
    client_send(writer, "SET key after");
    client_send(reader, "GET key");
    struct server *primary = await_primary((struct server *[]){&nodes[1], &nodes[2]}, 2);
    ck_assert_str_eq(node_ask(primary, "SET key since").bytes, "+OK");
    kill(nodes[0].pid, SIGCONT);
    redisReply *written = NULL;
    redisReply *read = NULL;
    redisGetReply(writer, (void **)&written);
    redisGetReply(reader, (void **)&read);
    ck_assert(written == NULL || written->type == REDIS_REPLY_ERROR);
    ck_assert(read == NULL || read->type == REDIS_REPLY_ERROR);
    freeReplyObject(written);
    freeReplyObject(read);
    redisFree(writer);
    redisFree(reader);
    ck_assert_str_eq(node_ask(primary, "GET key").bytes, "since");
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

START_TEST(a_cluster_that_was_killed_goes_on_with_its_data) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 2, QUORUM);
    ck_assert_str_eq(node_ask(&nodes[0], "SET key 1").bytes, "+OK");
    for (size_t i = 0; i < SHARD_NODES; i++) {
        server_kill(&nodes[i]);
    }
    for (size_t i = 0; i < SHARD_NODES; i++) {
        node_restart(&nodes[i], QUORUM);
    }
    struct server *primary =
        await_primary((struct server *[]){&nodes[0], &nodes[1], &nodes[2]}, SHARD_NODES);
    node_expect_soon(primary, "1", "GET key");
    node_expect_soon(primary, "+OK", "SET key 2");
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

START_TEST(force_and_takeover_do_not_ask_a_primary_that_is_silent) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 2, SLOW);
    ck_assert_str_eq(node_ask(&nodes[0], "SET key 1").bytes, "+OK");
    node_pause(&nodes[0]);
    ck_assert_str_eq(node_ask(&nodes[1], "CLUSTER FAILOVER FORCE").bytes, "+OK");
    node_expect_soon(&nodes[1], "+OK", "SET key 2");
    kill(nodes[0].pid, SIGCONT);
    node_expect_soon(&nodes[0], "MOVED", "GET key");
    node_pause(&nodes[1]);
    ck_assert_str_eq(node_ask(&nodes[2], "CLUSTER FAILOVER TAKEOVER").bytes, "+OK");
    node_expect_soon(&nodes[2], "+OK", "SET key 3");
    kill(nodes[1].pid, SIGCONT);
    node_expect_soon(&nodes[1], "MOVED", "GET key");
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

START_TEST(a_replica_serves_reads_to_those_who_want_them) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 1, NULL);
    redisContext *client = server_connect(&nodes[0]);
    EXPECT(client, "+OK", "SET key 1");
    EXPECT(client, ":1", "WAIT 1 0");
    redisFree(client);
    client = server_connect(&nodes[1]);
    EXPECT_PART(client, "MOVED", "GET key");
    EXPECT(client, "+OK", "READONLY");
    EXPECT(client, "1", "GET key");
    EXPECT_PART(client, "MOVED", "SET key 2");
    EXPECT(client, "-ERR REPLICAOF not allowed in cluster mode.", "REPLICAOF NO ONE");
    redisFree(client);
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

/* The secret stands in for the password. */
START_TEST(a_node_that_knows_the_secret_needs_no_password_to_replicate) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 1, "--cluster-secret open");
    redisContext *client = server_connect(&nodes[0]);
    redisContext *replica = server_connect(&nodes[1]);
    EXPECT(replica, "+OK", "READONLY");
    EXPECT(client, "+OK", "CONFIG SET requirepass closed");
    EXPECT(client, ":1", "CLIENT KILL TYPE replica");
    EXPECT(client, "+OK", "SET key 1");
    expect_soon(replica, "1", "GET key");
    redisContext *stranger = server_connect(&nodes[0]);
    EXPECT_PART(stranger, "NOAUTH", "REPLCONF listening-port 1");
    EXPECT_PART(stranger, "WRONGPASS", "REPLCONF tarn-proof 00");
    EXPECT_PART(stranger, "NOAUTH", "GET key");
    redisFree(stranger);
    redisFree(replica);
    redisFree(client);
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

/* As redis-cli --cluster del-node does; and without CLUSTER FORGET before. */
START_TEST(a_replica_that_is_reset_drops_what_it_copied) {
    struct server nodes[SHARD_NODES];
    shard_start(nodes, 2, NULL);
    ck_assert_str_eq(node_ask(&nodes[0], "SET key value").bytes, "+OK");
    for (int i = 1; i < SHARD_NODES; i++) {
        node_expect_soon(&nodes[i], ":1", "DBSIZE");
    }
    char command[96];
    snprintf(command, sizeof(command), "CLUSTER FORGET %.40s", node_id(&nodes[1]).bytes);
    ck_assert_str_eq(node_ask(&nodes[0], command).bytes, "+OK");
    node_expect_soon(&nodes[1], "cluster_known_nodes:1\r\n", "CLUSTER INFO");
    for (int i = 1; i < SHARD_NODES; i++) {
        ck_assert_str_eq(node_ask(&nodes[i], "CLUSTER RESET").bytes, "+OK");
        node_expect_soon(&nodes[i], ":0", "DBSIZE");
        node_expect_soon(&nodes[i], "cluster_known_nodes:1\r\n", "CLUSTER INFO");
    }
    ck_assert_str_eq(node_ask(&nodes[0], "GET key").bytes, "value");
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER RESET").bytes,
                     "-ERR CLUSTER RESET can't be called with master nodes containing keys");
    node_meet(&nodes[0], &nodes[1]);
    nodes_expect_count(nodes, 2, 2);
    replicate(&nodes[1], &nodes[0]);
    node_expect_soon(&nodes[1], ":1", "DBSIZE");
    nodes_stop(nodes, SHARD_NODES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cluster_failover");
    TCase *tcase = tcase_create("cluster_failover");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_test(tcase, what_a_quorum_acknowledged_outlives_its_primary);
    tcase_add_test(tcase, what_is_lost_without_a_quorum_is_kept_in_a_divergence_file);
    tcase_add_test(tcase, a_primary_that_is_to_end_makes_way_first);
    tcase_add_loop_test(tcase, cluster_failover_loses_nothing_and_tells_clients_where_to_go, 0, 2);
    tcase_add_test(tcase, a_primary_that_was_stopped_takes_no_writes_when_it_wakes);
    tcase_add_test(tcase, a_cluster_that_was_killed_goes_on_with_its_data);
    tcase_add_test(tcase, force_and_takeover_do_not_ask_a_primary_that_is_silent);
    tcase_add_test(tcase, a_replica_serves_reads_to_those_who_want_them);
    tcase_add_test(tcase, a_node_that_knows_the_secret_needs_no_password_to_replicate);
    tcase_add_test(tcase, a_replica_that_is_reset_drops_what_it_copied);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
