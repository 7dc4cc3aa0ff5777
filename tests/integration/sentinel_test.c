/* Sentinel, as redis-server brings it, watches two nodes and fails over from the one to the
 * other. */
#include "tests/integration/redis.h"

static void sentinel_start(struct redis *sentinel, int primary_port) {
    char path[128];
    redis_make_folder(sentinel);
    snprintf(path, sizeof(path), "%s/sentinel.conf", sentinel->folder);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "port %d\nunixsocket %s/socket\ndir %s\nsentinel monitor pair 127.0.0.1 %d 1\n"
            "sentinel down-after-milliseconds pair 1000\nsentinel failover-timeout pair 10000\n",
            server_free_port(), sentinel->folder, sentinel->folder, primary_port);
    fclose(file);
    sentinel->pid = fork();
    ck_assert_int_ge(sentinel->pid, 0);
    if (sentinel->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", path, "--sentinel", "--logfile", "/dev/null",
               (char *)NULL);
        _exit(127);
    }
    redis_connect(sentinel);
}

/* Asks until the role is that, on a connection of its own each time: who changes its role at
 * Sentinel's word closes its clients' connections. */
static void expect_role_soon(const struct server *server, const char *role) {
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 20; i++) {
        redisContext *client = server_connect(server);
        redisReply *reply = redisCommand(client, "ROLE");
        bool is_there = reply != NULL && reply->type == REDIS_REPLY_ARRAY &&
                        strcmp(reply->element[0]->str, role) == 0;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        redisFree(client);
        if (is_there) {
            return;
        }
        server_sleep_ms(50);
    }
    ck_abort_msg("the role does not become %s", role);
}

/* On a connection of its own, again and again. */
static void expect_value_soon(const struct server *server, const char *value) {
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 20; i++) {
        redisContext *client = server_connect(server);
        redisReply *reply = redisCommand(client, "GET key");
        bool is_there = reply != NULL && reply->str != NULL && strcmp(reply->str, value) == 0;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        redisFree(client);
        if (is_there) {
            return;
        }
        server_sleep_ms(50);
    }
    ck_abort_msg("the key does not become %s", value);
}

START_TEST(sentinel_promotes_the_replica_and_takes_the_old_primary_back_as_one) {
    struct server first = server_start("--workers 2", NULL);
    char option[64];
    snprintf(option, sizeof(option), "--replicaof 127.0.0.1 %d", first.port);
    struct server second = server_start(option, NULL);
    redisContext *client = server_connect(&first);
    redisContext *other = server_connect(&second);
    EXPECT(client, "+OK", "SET key value");
    expect_soon(other, "value", "GET key");
    struct redis sentinel;
    sentinel_start(&sentinel, first.port);
    /* It asks the primary for its replicas every ten seconds, and at once when it begins. */
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%d", second.port);
    bool is_known = false;
    for (int i = 0; !is_known && i < SERVER_PATIENCE_SECONDS * 20; i++) {
        struct reply_text got = client_ask(sentinel.client, "SENTINEL REPLICAS pair");
        is_known =
            strstr(got.bytes, wanted) != NULL && strstr(got.bytes, "master-link-status ok") != NULL;
        server_sleep_ms(50);
    }
    ck_assert(is_known);
    redisFree(client);
    server_kill(&first);
    expect_role_soon(&second, "master");
    expect_value_soon(&second, "value");
    redisContext *writer = server_connect(&second);
    EXPECT(writer, "+OK", "SET key later");
    redisFree(writer);
    /* It comes back as what it was, and is told better. */
    server_restart(&first, NULL);
    expect_role_soon(&first, "slave");
    expect_value_soon(&first, "later");
    redis_stop(&sentinel);
    redis_remove_folder(&sentinel);
    redisFree(other);
    server_stop(&first);
    server_stop(&second);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        sentinel_promotes_the_replica_and_takes_the_old_primary_back_as_one,
    };
    return unit_run(unit_suite("sentinel", tests, UNIT_COUNT(tests)));
}
