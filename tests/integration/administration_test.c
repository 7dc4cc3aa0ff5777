/* What an administrator does to a primary or its replica, under load: the replica comes to hold the
 * same, and is not copied anew. */
#include "tests/integration/load.h"
#include "tests/integration/replicas.h"

static const char options[] = "--enable-debug-command yes --enable-protected-configs yes --save";

struct pair {
    struct server primary;
    struct server second;
    redisContext *client;
    redisContext *replica;
};

static struct pair pair_start(const char *primary, const char *replica) {
    struct pair pair = {.primary = server_start(primary, options, NULL),
                        .second = server_start(replica, options, NULL)};
    pair.client = server_connect(&pair.primary);
    pair.replica = server_connect(&pair.second);
    EXPECT(pair.client, "+OK", "DEBUG POPULATE 1000 key 100");
    follow(pair.replica, pair.primary.port);
    expect_same(pair.client, pair.replica);
    return pair;
}

static void pair_stop(struct pair *pair) {
    redisFree(pair->client);
    redisFree(pair->replica);
    server_stop(&pair->second);
    server_stop(&pair->primary);
}

/* What has begun is over: only one snapshot is taken at a time. */
static void wait_for_saving(redisContext *client) {
    for (int i = 0;
         info(client, "rdb_bgsave_in_progress") + info(client, "aof_rewrite_in_progress") +
             info(client, "aof_rewrite_scheduled") >
         0;
         i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
}

static void administer(struct pair *pair, redisContext *client, const char *const *commands) {
    for (; *commands != NULL; commands++) {
        struct load load;
        load_begin(&load, &pair->primary);
        server_sleep_ms(20);
        struct reply_text reply = client_ask(client, *commands);
        ck_assert_msg(reply.bytes[0] == '+', "%s: %s", *commands, reply.bytes);
        server_sleep_ms(20);
        load_end(&load);
        wait_for_saving(client);
        expect_same(pair->client, pair->replica);
        ck_assert_msg(info(pair->client, "sync_full") == 1, "%s: another copy", *commands);
    }
}

static const char *const of_both[] = {
    "SAVE",
    "BGSAVE",
    "DEBUG RELOAD",
    "CONFIG SET appendonly yes",
    "BGREWRITEAOF",
    "DEBUG RELOAD",
    "DEBUG LOADAOF",
    "CONFIG SET appendonly no",
    "CONFIG SET appendonly yes",
    NULL,
};
static const char *const of_primaries[] = {
    "FLUSHDB",        "SWAPDB 0 1", "SWAPDB 1 0", "FLUSHALL", "DEBUG RELOAD NOSAVE",
    "FLUSHALL ASYNC", NULL,
};

START_TEST(replicas_hold_the_same_whatever_is_done_to_their_primary) {
    struct pair pair = pair_start("--workers 3 --appendonly no", "--workers 1");
    administer(&pair, pair.client, of_both);
    administer(&pair, pair.client, of_primaries);
    pair_stop(&pair);
}
END_TEST

START_TEST(replicas_hold_the_same_whatever_is_done_to_them) {
    struct pair pair = pair_start("--workers 1", "--workers 3 --appendonly no");
    administer(&pair, pair.replica, of_both);
    /* Of what that left on disk it can go on, too. */
    redisFree(pair.replica);
    server_kill(&pair.second);
    char replicaof[64];
    snprintf(replicaof, sizeof(replicaof), "--replicaof 127.0.0.1 %d", pair.primary.port);
    server_restart(&pair.second, replicaof, "--appendonly yes", options, NULL);
    pair.replica = server_connect(&pair.second);
    expect_same(pair.client, pair.replica);
    ck_assert_int_eq(info(pair.client, "sync_full"), 1);
    pair_stop(&pair);
}
END_TEST

START_TEST(a_replicas_folder_is_changed_while_it_follows) {
    struct pair pair = pair_start("--workers 1", "--workers 3 --appendonly no");
    char folder[] = "/tmp/tarn-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    char command[128];
    snprintf(command, sizeof(command), "CONFIG SET dir %s", folder);
    administer(&pair, pair.replica, (const char *[]){command, "SAVE", NULL});
    snprintf(command, sizeof(command), "CONFIG SET dir %s", pair.second.folder);
    administer(&pair, pair.replica, (const char *[]){command, "SAVE", NULL});
    server_remove_folder(folder);
    pair_stop(&pair);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("integration/administration");
    TCase *tcase = tcase_create("administration");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_test(tcase, replicas_hold_the_same_whatever_is_done_to_their_primary);
    tcase_add_test(tcase, replicas_hold_the_same_whatever_is_done_to_them);
    tcase_add_test(tcase, a_replicas_folder_is_changed_while_it_follows);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
