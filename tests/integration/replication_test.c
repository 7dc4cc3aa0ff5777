/* A primary and its replicas as processes: under load, killed, cut off, and with changed roles. */
#include "tests/integration/process.h"

#include "tests/integration/load.h"
#include "tests/integration/replicas.h"

#include <dirent.h>
#include <limits.h>

#define CUT_BYTES 400000

/* Workers and logs of primary and replica. */
static const struct pairing {
    const char *primary;
    const char *replica;
} pairings[] = {
    {"--workers 1", "--workers 1"},
    {"--workers 1 --appendonly no", "--workers 3"},
    {"--workers 3", "--workers 1 --appendonly no"},
    {"--workers 3 --appendonly no", "--workers 3 --appendonly no"},
};

static const char debug[] = "--enable-debug-command yes --save";

/* ---- servers ---- */

static struct server start(const char *options) {
    return server_start(options, debug, NULL);
}

static void restart(struct server *server, const char *options) {
    server_restart(server, options, debug, NULL);
}

/* ---- tests ---- */

START_TEST(a_replica_takes_all_slots_under_load_and_follows) {
    const struct pairing *pairing = &pairings[_i];
    struct server primary = start(pairing->primary);
    struct server second = start(pairing->replica);
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "DEBUG POPULATE 5000 key 200");
    EXPECT(replica, "+OK", "SET own 1");
    struct load load;
    load_begin(&load, &primary);
    follow(replica, primary.port);
    wait_for_link(replica, true);
    server_sleep_ms(200);
    EXPECT(replica, "-READONLY You can't write against a read only replica.", "SET key value");
    load_end(&load);
    expect_same(client, replica);
    EXPECT(replica, "nil", "GET own");
    ck_assert_int_eq(info(replica, "tarn_syncs_of_all_slots"), 1);
    redisFree(replica);
    redisFree(client);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

/* Its log is on disk: it goes on where it was. */
START_TEST(a_link_that_is_up_serves_all_that_was_copied) {
    struct server primary = start(server_worker_options[_i]);
    struct server replica = start(server_worker_options[_i]);
    redisContext *client = server_connect(&primary);
    redisContext *other = server_connect(&replica);
    EXPECT(client, "+OK", "DEBUG POPULATE 100000 key 100");
    follow(other, primary.port);
    for (int i = 0; !link_is_up(other); i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 1000);
        server_sleep_ms(1);
    }
    EXPECT(other, ":100000", "DBSIZE");
    redisFree(client);
    redisFree(other);
    server_stop(&primary);
    server_stop(&replica);
}
END_TEST

/* How often the server's thread of that name has slept so far. */
static long sleeps(const struct server *server, const char *name) {
    char path[128];
    char line[256];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)server->pid);
    DIR *tasks = opendir(path);
    ck_assert_ptr_nonnull(tasks);
    long count = -1;
    for (struct dirent *task; count < 0 && (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)server->pid, task->d_name);
        FILE *status = fopen(path, "r");
        bool is_it = false;
        while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
            is_it = is_it || (strncmp(line, "Name:\t", 6) == 0 &&
                              strncmp(line + 6, name, strlen(name)) == 0);
            if (is_it && sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1) {
                break;
            }
        }
        if (status != NULL) {
            fclose(status);
        }
    }
    closedir(tasks);
    return count;
}

START_TEST(a_node_without_links_does_not_wake_the_replicator) {
    struct server server = start(server_worker_options[_i]);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET key value");
    server_sleep_ms(100);
    long before = sleeps(&server, "replicator");
    ck_assert_int_ge(before, 0);
    for (int i = 0; i < 10; i++) {
        EXPECT(client, "+OK", "SET key value");
        server_sleep_ms(10);
    }
    ck_assert_int_le(sleeps(&server, "replicator"), before + 1);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_replica_that_is_killed_again_and_again_never_begins_anew) {
    struct server primary = start(_i == 0 ? "--workers 1"
                                          : "--workers 3 --appendonly no "
                                            "--repl-backlog-size 64mb");
    struct server second = start(_i == 0 ? "--workers 3" : "--workers 1");
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "DEBUG POPULATE 2000 key 200");
    follow(replica, primary.port);
    wait_for_link(replica, true);
    char options[128];
    snprintf(options, sizeof(options), "--workers %d --replicaof 127.0.0.1 %d", _i == 0 ? 3 : 1,
             primary.port);
    /* What it begins with again is whole on disk. */
    for (int i = 0; info(replica, "rdb_saves") + info(replica, "aof_rewrites") == 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    struct load load;
    load_begin(&load, &primary);
    for (int round = 0; round < (_i == 0 ? 10 : 2); round++) {
        redisFree(replica);
        server_kill(&second);
        restart(&second, options);
        replica = server_connect(&second);
        wait_for_link(replica, true);
        ck_assert_int_eq(info(replica, "tarn_syncs_of_all_slots"), 0);
        ck_assert_int_ge(info(replica, "tarn_syncs_by_log"), 1);
    }
    load_end(&load);
    expect_same(client, replica);
    ck_assert_int_eq(info(client, "sync_full"), 1);
    redisFree(replica);
    redisFree(client);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

START_TEST(what_a_primary_wrote_alone_is_kept_aside_when_it_becomes_a_replica) {
    struct server one = start(server_worker_options[_i]);
    struct server two = start(server_worker_options[1 - _i]);
    redisContext *first = server_connect(&one);
    redisContext *second = server_connect(&two);
    EXPECT(first, "+OK", "DEBUG POPULATE 2000 key 100");
    follow(second, one.port);
    wait_for_link(second, true);
    expect_same(first, second);
    EXPECT(second, "+OK", "REPLICAOF NO ONE");
    EXPECT(second, "+OK", "SET new 2");
    EXPECT(first, "+OK", "SET key:7 alone");
    EXPECT(first, "+OK", "SET lost alone");
    EXPECT(first, "+OK", "SET lost again");
    follow(first, two.port);
    wait_for_link(first, true);
    expect_same(second, first);
    EXPECT(first, "nil", "GET lost");
    EXPECT(first, "2", "GET new");
    ck_assert_int_eq(info(first, "tarn_divergences"), 1);
    ck_assert_int_eq(info(first, "tarn_divergence_effects"), 3);
    ck_assert_int_eq(info(first, "tarn_divergence_keys"), 2);
    ck_assert_int_eq(info(first, "tarn_divergence_slots"), 2);
    ck_assert_int_gt(info(first, "tarn_divergence_bytes"), 0);
    ck_assert_int_eq(info(first, "tarn_syncs_of_all_slots"), 0);
    ck_assert(server_has(&one, "divergence"));
    server_expect_log(&one, "3 effects of 2 keys in 2 slots");
    /* And it goes on, over a restart, too. */
    char options[128];
    snprintf(options, sizeof(options), "%s --replicaof 127.0.0.1 %d", server_worker_options[_i],
             two.port);
    EXPECT(second, "+OK", "SET new 3");
    redisFree(first);
    server_kill(&one);
    restart(&one, options);
    first = server_connect(&one);
    expect_same(second, first);
    ck_assert_int_eq(info(first, "tarn_syncs_of_all_slots"), 0);
    redisFree(first);
    redisFree(second);
    server_stop(&one);
    server_stop(&two);
}
END_TEST

START_TEST(replicas_of_a_replica_hold_the_same) {
    struct server servers[3];
    redisContext *clients[3];
    for (int i = 0; i < 3; i++) {
        servers[i] = start(i == 1 ? server_worker_options[1 - _i] : server_worker_options[_i]);
        clients[i] = server_connect(&servers[i]);
    }
    EXPECT(clients[0], "+OK", "DEBUG POPULATE 1000 key 100");
    struct load load;
    load_begin(&load, &servers[0]);
    follow(clients[2], servers[1].port);
    follow(clients[1], servers[0].port);
    wait_for_link(clients[1], true);
    wait_for_link(clients[2], true);
    server_sleep_ms(200);
    load_end(&load);
    expect_same(clients[0], clients[1]);
    expect_same(clients[0], clients[2]);
    /* The middle one takes over: what hangs below it goes on without a copy. */
    long long syncs = info(clients[2], "tarn_syncs_of_all_slots");
    EXPECT(clients[1], "+OK", "REPLICAOF NO ONE");
    EXPECT(clients[1], "+OK", "SET promoted 1");
    expect_same(clients[1], clients[2]);
    EXPECT(clients[2], "1", "GET promoted");
    ck_assert_int_eq(info(clients[2], "tarn_syncs_of_all_slots"), syncs);
    for (int i = 0; i < 3; i++) {
        redisFree(clients[i]);
        server_stop(&servers[i]);
    }
}
END_TEST

START_TEST(a_primary_that_hangs_is_noticed_and_gone_on_with) {
    struct server primary = start(server_worker_options[_i]);
    struct server second = start("--repl-timeout 1 --replica-serve-stale-data no");
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "SET key 1");
    follow(replica, primary.port);
    wait_for_link(replica, true);
    expect_same(client, replica);
    ck_assert_int_eq(kill(primary.pid, SIGSTOP), 0);
    wait_for_link(replica, false);
    EXPECT(replica,
           "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
           "GET key");
    EXPECT(replica, "+OK", "CONFIG SET replica-serve-stale-data yes");
    EXPECT(replica, "1", "GET key");
    ck_assert_int_eq(kill(primary.pid, SIGCONT), 0);
    EXPECT(client, "+OK", "SET key 2");
    wait_for_link(replica, true);
    expect_same(client, replica);
    EXPECT(replica, "2", "GET key");
    ck_assert_int_eq(info(replica, "tarn_syncs_of_all_slots"), 1);
    redisFree(replica);
    redisFree(client);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

/* ---- a proxy whose links are cut ---- */

struct proxy {
    int listener;
    int port;
    int target;
    pthread_t thread;
    atomic_bool ends;
    atomic_llong left; /* bytes that it lets through before the next cut; LLONG_MAX: all */
};

static bool pass(struct proxy *proxy, int from, int to) {
    char bytes[16384];
    ssize_t got = recv(from, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN;
    }
    for (ssize_t sent = 0; sent < got;) {
        ssize_t more = send(to, bytes + sent, (size_t)(got - sent), MSG_NOSIGNAL);
        if (more <= 0) {
            return false;
        }
        sent += more;
    }
    return got > 0 && atomic_fetch_sub(&proxy->left, got) > got;
}

static void serve_one(struct proxy *proxy, int client) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)proxy->target),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    bool is_up = connect(server, (struct sockaddr *)&address, sizeof(address)) == 0;
    while (is_up && !atomic_load(&proxy->ends)) {
        struct pollfd ready[] = {{.fd = client, .events = POLLIN},
                                 {.fd = server, .events = POLLIN}};
        is_up =
            poll(ready, 2, 20) >= 0 && pass(proxy, client, server) && pass(proxy, server, client);
    }
    close(server);
    close(client);
}

static void *proxy_main(void *context) {
    struct proxy *proxy = context;
    while (!atomic_load(&proxy->ends)) {
        struct pollfd ready = {.fd = proxy->listener, .events = POLLIN};
        if (poll(&ready, 1, 20) == 1) {
            serve_one(proxy, accept(proxy->listener, NULL, NULL));
        }
    }
    return NULL;
}

static void proxy_start(struct proxy *proxy, int target) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    *proxy = (struct proxy){.target = target, .listener = socket(AF_INET, SOCK_STREAM, 0)};
    ck_assert_int_eq(bind(proxy->listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(getsockname(proxy->listener, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(listen(proxy->listener, 5), 0);
    proxy->port = ntohs(address.sin_port);
    atomic_store(&proxy->left, LLONG_MAX);
    ck_assert_int_eq(pthread_create(&proxy->thread, NULL, proxy_main, proxy), 0);
}

static void proxy_stop(struct proxy *proxy) {
    atomic_store(&proxy->ends, true);
    pthread_join(proxy->thread, NULL);
    close(proxy->listener);
}

/* Each link lets a part of the images through: what has come does not come again. */
START_TEST(a_link_that_is_cut_again_and_again_goes_on_where_it_was) {
    struct server primary = start(server_worker_options[_i]);
    struct server second = start(server_worker_options[1 - _i]);
    struct proxy proxy;
    proxy_start(&proxy, primary.port);
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "DEBUG POPULATE 10000 key 300");
    struct load load;
    load_begin(&load, &primary);
    atomic_store(&proxy.left, CUT_BYTES);
    follow(replica, proxy.port);
    for (int cuts = 0; cuts < 4; cuts++) {
        for (int i = 0; atomic_load(&proxy.left) > 0 && i < 100; i++) {
            server_sleep_ms(10);
        }
        atomic_store(&proxy.left, CUT_BYTES);
    }
    atomic_store(&proxy.left, LLONG_MAX);
    wait_for_link(replica, true);
    load_end(&load);
    expect_same(client, replica);
    ck_assert_int_eq(info(replica, "tarn_syncs_of_all_slots"), 1);
    redisFree(replica);
    redisFree(client);
    proxy_stop(&proxy);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

/* What it lacks never comes from the first one: it must be possible to name another. */
START_TEST(a_replica_whose_first_sync_broke_off_can_be_given_another_primary) {
    struct server primaries[2] = {start(server_worker_options[_i]),
                                  start(server_worker_options[0])};
    struct server second = start(server_worker_options[1 - _i]);
    struct proxy proxy;
    proxy_start(&proxy, primaries[0].port);
    redisContext *client = server_connect(&primaries[0]);
    redisContext *other = server_connect(&primaries[1]);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "DEBUG POPULATE 10000 key 300");
    EXPECT(other, "+OK", "SET key of-the-other");
    atomic_store(&proxy.left, CUT_BYTES);
    follow(replica, proxy.port);
    for (int i = 0; atomic_load(&proxy.left) > 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    proxy_stop(&proxy);
    EXPECT(replica, "-LOADING Redis is loading the dataset in memory", "GET key");
    follow(replica, primaries[1].port);
    wait_for_link(replica, true);
    EXPECT(replica, "of-the-other", "GET key");
    expect_same(other, replica);
    redisFree(replica);
    redisFree(other);
    redisFree(client);
    server_stop(&second);
    server_stop(&primaries[1]);
    server_stop(&primaries[0]);
}
END_TEST

/* Its log began anew with the copy, and no snapshot holds what is before it: one is taken, whatever
 * the node has become. */
START_TEST(a_replica_that_is_promoted_before_its_copy_is_on_disk_brings_it_there) {
    struct server primary = start(server_worker_options[_i]);
    struct server second = start(server_worker_options[1 - _i]);
    struct proxy proxy;
    proxy_start(&proxy, primary.port);
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "DEBUG POPULATE 10000 key 300");
    atomic_store(&proxy.left, CUT_BYTES);
    follow(replica, proxy.port);
    for (int i = 0; atomic_load(&proxy.left) > 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    proxy_stop(&proxy);
    EXPECT(replica, "-LOADING Redis is loading the dataset in memory", "GET key");
    EXPECT(replica, "+OK", "REPLICAOF NO ONE");
    EXPECT(replica, "+OK", "SET promoted 1");
    struct reply_text held = client_ask(replica, "DEBUG DIGEST");
    for (int i = 0; info(replica, "aof_rewrites") == 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    redisFree(replica);
    server_kill(&second);
    restart(&second, server_worker_options[1 - _i]);
    replica = server_connect(&second);
    ck_assert_str_eq(client_ask(replica, "DEBUG DIGEST").bytes, held.bytes);
    redisFree(replica);
    redisFree(client);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

/* One write concerns one of the middle one's workers: the others are no further behind. */
START_TEST(a_replica_of_a_replica_begins_behind_a_single_write) {
    struct server servers[3];
    redisContext *clients[3];
    for (int i = 0; i < 3; i++) {
        servers[i] = start(i == 1 ? "--workers 3" : server_worker_options[_i]);
        clients[i] = server_connect(&servers[i]);
    }
    follow(clients[1], servers[0].port);
    wait_for_link(clients[1], true);
    EXPECT(clients[0], "+OK", "SET key 1");
    expect_same(clients[0], clients[1]);
    follow(clients[2], servers[1].port);
    wait_for_link(clients[2], true);
    expect_same(clients[0], clients[2]);
    EXPECT(clients[2], "1", "GET key");
    ck_assert_int_eq(info(clients[2], "tarn_syncs_of_all_slots"), 1);
    for (int i = 2; i >= 0; i--) {
        redisFree(clients[i]);
        server_stop(&servers[i]);
    }
}
END_TEST

START_TEST(expired_keys_are_hidden_by_a_replica_and_nothing_is_evicted) {
    struct server primary = start(server_worker_options[_i]);
    struct server second = start("--maxmemory 1mb --maxmemory-policy allkeys-lru");
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "DEBUG SET-ACTIVE-EXPIRE 0");
    EXPECT(client, "+OK", "DEBUG POPULATE 1000 key 3000");
    follow(replica, primary.port);
    wait_for_link(replica, true);
    EXPECT(client, "+OK", "SET short 1 PX 50");
    expect_soon(replica, ":1001", "DBSIZE");
    server_sleep_ms(60);
    EXPECT(replica, "nil", "GET short");
    EXPECT(replica, ":1001", "DBSIZE");
    EXPECT(client, "nil", "GET short");
    expect_soon(replica, ":1000", "DBSIZE");
    redisFree(replica);
    redisFree(client);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

START_TEST(a_replica_with_the_password_is_let_in_and_the_other_is_not) {
    struct server primary = start("--requirepass secret");
    struct server second = start(server_worker_options[_i]);
    redisContext *client = server_connect(&primary);
    redisContext *replica = server_connect(&second);
    EXPECT(client, "+OK", "AUTH secret");
    EXPECT(client, "+OK", "SET key 1");
    follow(replica, primary.port);
    server_expect_log(&second, "NOAUTH");
    EXPECT(replica, "+OK", "CONFIG SET masterauth secret");
    wait_for_link(replica, true);
    expect_same(client, replica);
    EXPECT_PART(replica, "[slave 127.0.0.1 :", "ROLE");
    EXPECT_PART(client, "[master :", "ROLE");
    EXPECT_PART(replica, "role replica", "HELLO 2");
    EXPECT_PART(client, "role master", "HELLO 2");
    redisFree(replica);
    redisFree(client);
    server_stop(&second);
    server_stop(&primary);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("replication");
    TCase *pairs = tcase_create("pairings");
    tcase_set_timeout(pairs, UNIT_TIMEOUT_SECONDS);
    tcase_add_loop_test(pairs, a_replica_takes_all_slots_under_load_and_follows, 0,
                        (int)UNIT_COUNT(pairings));
    suite_add_tcase(suite, pairs);
    const TTest *tests[] = {
        a_link_that_is_up_serves_all_that_was_copied,
        a_node_without_links_does_not_wake_the_replicator,
        a_replica_that_is_killed_again_and_again_never_begins_anew,
        what_a_primary_wrote_alone_is_kept_aside_when_it_becomes_a_replica,
        replicas_of_a_replica_hold_the_same,
        a_primary_that_hangs_is_noticed_and_gone_on_with,
        a_link_that_is_cut_again_and_again_goes_on_where_it_was,
        a_replica_whose_first_sync_broke_off_can_be_given_another_primary,
        a_replica_that_is_promoted_before_its_copy_is_on_disk_brings_it_there,
        a_replica_of_a_replica_begins_behind_a_single_write,
        expired_keys_are_hidden_by_a_replica_and_nothing_is_evicted,
        a_replica_with_the_password_is_let_in_and_the_other_is_not,
    };
    TCase *workers = tcase_create("workers");
    tcase_set_timeout(workers, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < UNIT_COUNT(tests); i++) {
        tcase_add_loop_test(workers, tests[i], SERVER_WORKER_OPTIONS_FROM,
                            (int)UNIT_COUNT(server_worker_options));
    }
    suite_add_tcase(suite, workers);
    return unit_run(suite);
}
