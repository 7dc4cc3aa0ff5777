#define _GNU_SOURCE

/* A shard whose writes wait for a quorum, while its primaries are killed, stopped, cut off and
 * restarted: what clients were told of each key is what one copy of it could have told. */
#include "tests/history/history.h"

#include "tests/integration/networks.h"

#include "io/clock.h"

#include <pthread.h>
#include <stdatomic.h>

#define NODES 3
#define CLIENTS 6
#define READERS 2            /* of them, which write nothing: they stay with a node that answers */
#define KEYS 12              /* in as many slots */
#define OPERATIONS_MAX 40000 /* of one client */
#define ANSWER_MS 400        /* a client that waits longer asks another node */
#define PROGRESS 200         /* acknowledged writes between two faults */

static const char *const quorum[] = {
    "--write-quorum 2 --write-quorum-timeout 2000 --workers 1",
    "--write-quorum 2 --write-quorum-timeout 2000 --workers 3",
};

struct shard {
    struct server nodes[NODES];
    struct networks networks;
    bool has_networks; /* each node has one of its own */
};

struct recorder {
    const struct shard *shard;
    redisContext *links[NODES];
    pthread_t thread;
    int number;
    size_t node; /* that answered last */
    size_t count;
    struct history_operation operations[OPERATIONS_MAX];
    int keys[OPERATIONS_MAX];
};

static atomic_bool ends;
static atomic_ulong acknowledged;

enum outcome { DONE, REFUSED, UNKNOWN };

/* Where the node is to be reached. */
static const struct server *at(const struct shard *shard, size_t node) {
    if (shard->has_networks) {
        networks_enter(&shard->networks, node);
    }
    return &shard->nodes[node];
}

static redisContext *link_to(struct recorder *recorder, size_t node) {
    redisContext *link = recorder->links[node];
    if (link == NULL) {
        struct timeval patience = {.tv_usec = ANSWER_MS * 1000};
        link = redisConnectWithTimeout("127.0.0.1", at(recorder->shard, node)->port, patience);
        if (link->err == 0) {
            redisSetTimeout(link, patience);
        }
        recorder->links[node] = link;
    }
    return link;
}

static void drop(struct recorder *recorder, size_t node) {
    redisFree(recorder->links[node]);
    recorder->links[node] = NULL;
}

/* Errors of a node that has not run the command. */
static bool is_refusal(const char *error) {
    static const char *const words[] = {"MOVED",      "CLUSTERDOWN", "READONLY", "LOADING",
                                        "MASTERDOWN", "UNBLOCKED",   "MISCONF ", "TRYAGAIN"};
    for (size_t i = 0; i < UNIT_COUNT(words); i++) {
        if (strncmp(error, words[i], strlen(words[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* One try, with the node that answered last. The value of a read is put into *value. */
static enum outcome try_one(struct recorder *recorder, int key, bool is_write, uint64_t *value) {
    redisContext *link = link_to(recorder, recorder->node);
    if (link->err != 0) {
        drop(recorder, recorder->node);
        return REFUSED;
    }
    redisReply *reply =
        is_write ? redisCommand(link, "SET history:%d %llu", key, (unsigned long long)*value)
                 : redisCommand(link, "GET history:%d", key);
    if (reply == NULL) {
        drop(recorder, recorder->node);
        return UNKNOWN;
    }
    enum outcome outcome = DONE;
    if (reply->type == REDIS_REPLY_ERROR) {
        outcome = is_refusal(reply->str) ? REFUSED : UNKNOWN;
    } else if (!is_write) {
        *value = reply->type == REDIS_REPLY_NIL ? HISTORY_NOTHING : strtoull(reply->str, NULL, 10);
    }
    freeReplyObject(reply);
    return outcome;
}

static void *recorder_main(void *context) {
    struct recorder *recorder = context;
    unsigned seed = (unsigned)recorder->number;
    uint64_t written = 0;
    while (!atomic_load(&ends) && recorder->count < OPERATIONS_MAX) {
        int key = rand_r(&seed) % KEYS;
        struct history_operation operation = {.is_write = recorder->number > READERS &&
                                                          rand_r(&seed) % 2 == 0};
        if (operation.is_write) {
            operation.value = ((uint64_t)recorder->number << 32) + written++;
        }
        operation.began = clock_monotonic_us();
        enum outcome outcome = try_one(recorder, key, operation.is_write, &operation.value);
        operation.ended = clock_monotonic_us();
        operation.is_unknown = outcome == UNKNOWN;
        if (outcome == DONE || (outcome == UNKNOWN && operation.is_write)) {
            recorder->keys[recorder->count] = key;
            recorder->operations[recorder->count++] = operation;
        }
        if (outcome == DONE && operation.is_write) {
            atomic_fetch_add(&acknowledged, 1);
        }
        if (outcome != DONE) {
            recorder->node = (recorder->node + 1) % NODES;
            server_sleep_ms(5);
        }
    }
    for (size_t i = 0; i < NODES; i++) {
        drop(recorder, i);
    }
    return NULL;
}

/* Writes are acknowledged again. */
static void expect_progress(void) {
    unsigned long before = atomic_load(&acknowledged);
    for (int i = 0; atomic_load(&acknowledged) < before + PROGRESS; i++) {
        ck_assert_msg(i < SERVER_PATIENCE_SECONDS * 100, "no writes are acknowledged");
        server_sleep_ms(10);
    }
}

static void expect_linearizable(struct recorder *recorders) {
    size_t most = (size_t)CLIENTS * OPERATIONS_MAX;
    struct history_operation *operations = malloc(most * sizeof(*operations));
    size_t all = 0;
    for (int key = 0; key < KEYS; key++) {
        size_t count = 0;
        for (int i = 0; i < CLIENTS; i++) {
            for (size_t j = 0; j < recorders[i].count; j++) {
                if (recorders[i].keys[j] == key) {
                    operations[count++] = recorders[i].operations[j];
                }
            }
        }
        struct history_verdict verdict = history_check(operations, count);
        ck_assert_msg(verdict.problem == NULL, "key %d: %llx %s (%llx)", key,
                      (unsigned long long)verdict.value, verdict.problem,
                      (unsigned long long)verdict.other);
        all += count;
    }
    ck_assert_uint_gt(all, 1000);
    free(operations);
}

/* The node that says that it is the primary, and is not the one that is out. */
static size_t primary_of(const struct shard *shard, size_t out) {
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        for (size_t j = 0; j < NODES; j++) {
            if (j != out &&
                strstr(node_ask(at(shard, j), "CLUSTER NODES").bytes, "myself,master")) {
                return j;
            }
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("no node is a primary");
}

static void expect_synced(const struct shard *shard, size_t node) {
    node_expect_soon(at(shard, node), "master_link_status:up", "INFO replication");
}

/* All slots are the first node's, the others replicate it. */
static void shard_form(const struct shard *shard) {
    char command[96];
    for (size_t i = 1; i < NODES; i++) {
        snprintf(command, sizeof(command), "CLUSTER MEET %s%zu %d",
                 shard->has_networks ? "10.123.0." : "127.0.0.", shard->has_networks ? i + 1 : 1,
                 shard->nodes[i].port);
        ck_assert_str_eq(node_ask(at(shard, 0), command).bytes, "+OK");
    }
    for (size_t i = 0; i < NODES; i++) {
        node_expect_soon(at(shard, i), "cluster_known_nodes:3\r\n", "CLUSTER INFO");
    }
    ck_assert_str_eq(node_ask(at(shard, 0), "CLUSTER ADDSLOTSRANGE 0 16383").bytes, "+OK");
    snprintf(command, sizeof(command), "CLUSTER REPLICATE %.40s", node_id(at(shard, 0)).bytes);
    for (size_t i = 1; i < NODES; i++) {
        node_expect_soon(at(shard, i), "+OK", command);
        expect_synced(shard, i);
    }
}

static struct recorder *recorders_begin(const struct shard *shard) {
    struct recorder *recorders = calloc(CLIENTS, sizeof(*recorders));
    atomic_store(&ends, false);
    atomic_store(&acknowledged, 0);
    for (int i = 0; i < CLIENTS; i++) {
        recorders[i].shard = shard;
        recorders[i].number = i + 1;
        ck_assert_int_eq(pthread_create(&recorders[i].thread, NULL, recorder_main, &recorders[i]),
                         0);
    }
    expect_progress();
    return recorders;
}

/* Ends it all, and judges what was seen. */
static void finish(struct shard *shard, struct recorder *recorders) {
    expect_progress();
    atomic_store(&ends, true);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(recorders[i].thread, NULL);
    }
    expect_linearizable(recorders);
    free(recorders);
    nodes_stop(shard->nodes, NODES);
}

START_TEST(clients_see_one_copy_while_primaries_are_killed_and_stopped) {
    struct shard shard = {.has_networks = false};
    for (size_t i = 0; i < NODES; i++) {
        shard.nodes[i] = node_start(quorum[_i]);
    }
    shard_form(&shard);
    struct recorder *recorders = recorders_begin(&shard);
    size_t primary = primary_of(&shard, NODES);
    server_kill(&shard.nodes[primary]);
    expect_progress();
    node_restart(&shard.nodes[primary], quorum[_i]);
    expect_synced(&shard, primary);
    expect_progress();
    primary = primary_of(&shard, NODES);
    ck_assert_int_eq(kill(shard.nodes[primary].pid, SIGSTOP), 0);
    primary_of(&shard, primary);
    expect_progress();
    ck_assert_int_eq(kill(shard.nodes[primary].pid, SIGCONT), 0);
    finish(&shard, recorders);
}
END_TEST

/* Its clients reach it all the while. */
START_TEST(clients_see_one_copy_while_primaries_are_cut_off) {
    struct shard shard = {.has_networks = true};
    char options[256];
    if (!networks_make(&shard.networks, NODES)) {
        printf("  skipped: no network of its own is allowed here\n");
        return;
    }
    for (size_t i = 0; i < NODES; i++) {
        networks_enter(&shard.networks, i);
        snprintf(options, sizeof(options),
                 "%s --cluster-secret hush --protected-mode no --bind * --cluster-announce-ip "
                 "10.123.0.%zu",
                 quorum[_i], i + 1);
        shard.nodes[i] = node_start(options);
    }
    shard_form(&shard);
    struct recorder *recorders = recorders_begin(&shard);
    for (int i = 0; i < 2; i++) {
        size_t primary = primary_of(&shard, NODES);
        networks_cut(&shard.networks, primary, true);
        primary_of(&shard, primary);
        expect_progress();
        networks_cut(&shard.networks, primary, false);
        expect_synced(&shard, primary);
    }
    finish(&shard, recorders);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        clients_see_one_copy_while_primaries_are_killed_and_stopped,
        clients_see_one_copy_while_primaries_are_cut_off,
    };
    return unit_run(server_suite("history", tests, UNIT_COUNT(tests)));
}
