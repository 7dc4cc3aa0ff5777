/* What a client is told of the replicas that hold its writes, with replicas that are stopped and
 * killed: WAIT, WAITAOF, CLIENT QUORUM, write-quorum, min-replicas-to-write. */
#include "tests/integration/replicas.h"

#define REPLICAS 2
#define UNKNOWN(members)                                                                           \
    "-NOQUORUM " #members " members did not confirm this in time: the outcome is unknown"

struct shard {
    struct server primary;
    struct server seconds[REPLICAS];
    redisContext *client;
};

/* A replica that does not have to write its data before it counts. */
static struct server replica_start(const struct server *primary, const char *appendonly) {
    char replicaof[64];
    snprintf(replicaof, sizeof(replicaof), "--replicaof 127.0.0.1 %d", primary->port);
    return server_start(appendonly, "--save", replicaof, NULL);
}

static void wait_for_members(redisContext *client, const char *count) {
    char command[64];
    snprintf(command, sizeof(command), "WAIT %s 0", count + 1);
    EXPECT(client, "+OK", "SET before 1");
    EXPECT(client, count, command);
}

static struct shard shard_start(const char *workers) {
    struct shard shard = {.primary = server_start(workers, "--save", NULL)};
    shard.client = server_connect(&shard.primary);
    shard.seconds[0] = replica_start(&shard.primary, "--appendonly yes");
    shard.seconds[1] = replica_start(&shard.primary, "--appendonly no");
    wait_for_members(shard.client, ":2");
    return shard;
}

static void shard_stop(struct shard *shard) {
    redisFree(shard->client);
    for (size_t i = 0; i < REPLICAS; i++) {
        server_stop(&shard->seconds[i]);
    }
    server_stop(&shard->primary);
}

static void replica_pause(const struct server *replica) {
    int status = 0;
    kill(replica->pid, SIGSTOP);
    ck_assert_int_eq(waitpid(replica->pid, &status, WUNTRACED), replica->pid);
}

static void replica_resume(const struct server *replica) {
    kill(replica->pid, SIGCONT);
}

/* It has gone, and the primary knows. */
static void replica_kill(struct shard *shard, size_t i, long long left) {
    server_kill(&shard->seconds[i]);
    for (int tries = 0; info(shard->client, "connected_slaves") != left; tries++) {
        ck_assert_int_lt(tries, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
}

static void replica_return(struct shard *shard, size_t i, const char *appendonly) {
    char replicaof[64];
    snprintf(replicaof, sizeof(replicaof), "--replicaof 127.0.0.1 %d", shard->primary.port);
    server_restart(&shard->seconds[i], appendonly, "--save", replicaof, NULL);
}

/* ---- WAIT ---- */

START_TEST(wait_tells_how_many_replicas_hold_the_write) {
    struct shard shard = shard_start(server_worker_options[_i]);
    redisContext *other = server_connect(&shard.primary);
    EXPECT(shard.client, "+OK", "SET key 1");
    EXPECT(shard.client, ":2", "WAIT 2 0");
    replica_pause(&shard.seconds[0]);
    EXPECT(shard.client, "+OK", "SET key 2");
    EXPECT(shard.client, ":1", "WAIT 1 0");
    EXPECT(shard.client, ":1", "WAIT 2 50");
    /* Who has written nothing since waits for nobody. */
    EXPECT(other, ":2", "WAIT 2 0");
    /* What stands behind WAIT in the pipeline is answered behind it, others at once. */
    client_send(shard.client, "SET key 3");
    client_send(shard.client, "WAIT 2 0");
    client_send(shard.client, "GET key");
    EXPECT_NEXT(shard.client, "+OK");
    EXPECT(other, "3", "GET key");
    expect_quiet(shard.client);
    replica_resume(&shard.seconds[0]);
    EXPECT_NEXT(shard.client, ":2");
    EXPECT_NEXT(shard.client, "3");
    replica_kill(&shard, 1, 1);
    EXPECT(shard.client, "+OK", "SET key 4");
    EXPECT(shard.client, ":1", "WAIT 2 50");
    client_send(shard.client, "WAIT 2 0");
    replica_return(&shard, 1, "--appendonly no");
    EXPECT_NEXT(shard.client, ":2");
    redisFree(other);
    shard_stop(&shard);
}
END_TEST

START_TEST(waitaof_counts_those_that_have_a_disk) {
    struct shard shard = shard_start(server_worker_options[_i]);
    EXPECT(shard.client, "+OK", "SET key 1");
    EXPECT(shard.client, "[:1 :1]", "WAITAOF 1 1 0");
    EXPECT(shard.client, "[:1 :1]", "WAITAOF 1 2 50");
    replica_pause(&shard.seconds[0]);
    EXPECT(shard.client, "+OK", "SET key 2");
    EXPECT(shard.client, "[:1 :0]", "WAITAOF 1 0 0");
    EXPECT(shard.client, "[:1 :0]", "WAITAOF 0 1 50");
    client_send(shard.client, "WAITAOF 0 1 0");
    replica_resume(&shard.seconds[0]);
    EXPECT_NEXT(shard.client, "[:1 :1]");
    shard_stop(&shard);
}
END_TEST

/* ---- quorums ---- */

START_TEST(replies_of_a_quorum_keep_their_order_and_hold_nobody_else) {
    struct shard shard = shard_start(server_worker_options[_i]);
    redisContext *careful = server_connect(&shard.primary);
    EXPECT(careful, "+OK", "CLIENT QUORUM WRITE 3 READ 1 TIMEOUT 0");
    EXPECT(careful, "+OK", "SET key 1");
    replica_pause(&shard.seconds[1]);
    client_send(careful, "SET key 2");
    client_send(careful, "INCR other");
    client_send(careful, "GET key");
    client_send(careful, "PING");
    client_send(careful, "MSET one 1 two 2 three 3");
    EXPECT(shard.client, "+OK", "SET mine 3");
    EXPECT(shard.client, "3", "GET mine");
    /* They run meanwhile. */
    expect_soon(shard.client, "3", "GET three");
    EXPECT(shard.client, "1", "GET other");
    expect_quiet(careful);
    replica_resume(&shard.seconds[1]);
    EXPECT_NEXT(careful, "+OK");
    EXPECT_NEXT(careful, ":1");
    EXPECT_NEXT(careful, "2");
    EXPECT_NEXT(careful, "+PONG");
    EXPECT_NEXT(careful, "+OK");
    redisFree(careful);
    shard_stop(&shard);
}
END_TEST

START_TEST(reads_of_a_quorum_show_what_so_many_hold) {
    struct shard shard = shard_start(server_worker_options[_i]);
    redisContext *careful = server_connect(&shard.primary);
    EXPECT(careful, "+OK", "CLIENT QUORUM WRITE 3 TIMEOUT 50");
    replica_pause(&shard.seconds[1]);
    EXPECT(shard.client, "+OK", "SET key 1");
    EXPECT(careful, UNKNOWN(3), "GET key");
    EXPECT(careful, UNKNOWN(3), "INCR key");
    EXPECT(careful, "+PONG", "PING");
    EXPECT(shard.client, "2", "GET key");
    ck_assert_int_eq(info(shard.client, "quorum_timeouts"), 2);
    /* Two are enough for who asks for two. */
    EXPECT(careful, "+OK", "CLIENT QUORUM WRITE 2 TIMEOUT 0");
    EXPECT(careful, ":3", "INCR key");
    replica_resume(&shard.seconds[1]);
    EXPECT(careful, "+OK", "CLIENT QUORUM WRITE 3 TIMEOUT 0");
    EXPECT(careful, "3", "GET key");
    redisFree(careful);
    shard_stop(&shard);
}
END_TEST

START_TEST(the_nodes_quorum_holds_for_all_until_it_is_given_up) {
    struct shard shard = shard_start(server_worker_options[_i]);
    EXPECT(shard.client, "+OK", "CONFIG SET write-quorum 3 write-quorum-timeout 100");
    EXPECT(shard.client, "+OK", "SET key 1");
    replica_kill(&shard, 0, 1);
    EXPECT(shard.client, UNKNOWN(3), "SET key 2");
    EXPECT(shard.client, "+OK", "CONFIG SET write-quorum-timeout 0");
    client_send(shard.client, "SET key 3");
    replica_return(&shard, 0, "--appendonly yes");
    EXPECT_NEXT(shard.client, "+OK");
    replica_kill(&shard, 0, 1);
    EXPECT(shard.client, "+OK", "CONFIG SET write-quorum 2");
    EXPECT(shard.client, "+OK", "SET key 4");
    EXPECT(shard.client, "4", "GET key");
    replica_return(&shard, 0, "--appendonly yes");
    shard_stop(&shard);
}
END_TEST

/* ---- min-replicas-to-write ---- */

#define NO_REPLICAS "-NOREPLICAS Not enough good replicas to write."

START_TEST(writes_are_refused_while_too_few_replicas_are_heard) {
    struct shard shard = shard_start("--workers 3");
    EXPECT(shard.client, "+OK", "CONFIG SET min-replicas-to-write 2 min-replicas-max-lag 1");
    EXPECT(shard.client, "+OK", "SET key 1");
    ck_assert_int_eq(info(shard.client, "min_slaves_good_slaves"), 2);
    replica_pause(&shard.seconds[0]);
    expect_soon(shard.client, NO_REPLICAS, "SET key 2");
    EXPECT(shard.client, "+OK", "MULTI");
    EXPECT(shard.client, NO_REPLICAS, "INCR key");
    EXPECT_PART(shard.client, "-EXECABORT", "EXEC");
    EXPECT(shard.client, "2", "GET key");
    ck_assert_int_eq(info(shard.client, "min_slaves_good_slaves"), 1);
    replica_resume(&shard.seconds[0]);
    expect_soon(shard.client, "+OK", "SET key 3");
    replica_kill(&shard, 1, 1);
    EXPECT(shard.client, NO_REPLICAS, "SET key 4");
    EXPECT(shard.client, "3", "GET key");
    replica_return(&shard, 1, "--appendonly no");
    expect_soon(shard.client, "+OK", "SET key 5");
    EXPECT(shard.client, "+OK", "CONFIG SET min-replicas-to-write 0");
    shard_stop(&shard);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        wait_tells_how_many_replicas_hold_the_write,
        waitaof_counts_those_that_have_a_disk,
        replies_of_a_quorum_keep_their_order_and_hold_nobody_else,
        reads_of_a_quorum_show_what_so_many_hold,
        the_nodes_quorum_holds_for_all_until_it_is_given_up,
    };
    Suite *suite = server_suite("integration/quorum", tests, UNIT_COUNT(tests));
    TCase *seconds = tcase_create("seconds");
    tcase_set_timeout(seconds, UNIT_TIMEOUT_SECONDS);
    tcase_add_test(seconds, writes_are_refused_while_too_few_replicas_are_heard);
    suite_add_tcase(suite, seconds);
    return unit_run(suite);
}
