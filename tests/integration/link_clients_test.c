/* Replication links as clients see them: CLIENT LIST and KILL, and what INFO counts of them. */
#include "tests/integration/replicas.h"

struct pair {
    struct server primary;
    struct server second;
    redisContext *client;
    redisContext *replica;
};

static struct pair pair_start(const char *workers) {
    struct pair pair = {
        .primary =
            server_start(workers, "--appendonly no", "--save", "--enable-debug-command yes", NULL),
        .second = server_start("--save", "--enable-debug-command yes", NULL),
    };
    pair.client = server_connect(&pair.primary);
    pair.replica = server_connect(&pair.second);
    follow(pair.replica, pair.primary.port);
    wait_for_link(pair.replica, true);
    return pair;
}

static void pair_stop(struct pair *pair) {
    redisFree(pair->client);
    redisFree(pair->replica);
    server_stop(&pair->second);
    server_stop(&pair->primary);
}

/* The value behind name= in a line of CLIENT LIST. */
static void line_value(const char *line, const char *name, char *value, size_t size) {
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%s=", name);
    const char *found = strstr(line, wanted);
    ck_assert_msg(found != NULL, "%s has no %s", line, name);
    found += strlen(wanted);
    snprintf(value, size, "%.*s", (int)strcspn(found, " \n"), found);
}

/* It was killed, and came back where it was. */
static void expect_return(struct pair *pair, long long links) {
    for (int i = 0; info(pair->client, "sync_partial_ok") < links; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    wait_for_link(pair->replica, true);
    ck_assert_int_eq(info(pair->client, "sync_full"), 1);
    EXPECT(pair->client, "+OK", "SET behind 1");
    expect_same(pair->client, pair->replica);
}

START_TEST(links_are_listed_and_killed_as_clients) {
    struct pair pair = pair_start(server_worker_options[_i]);
    char command[128];
    char value[96];
    struct reply_text line = client_ask(pair.client, "CLIENT LIST TYPE replica");
    ck_assert_msg(strstr(line.bytes, " flags=S ") != NULL, "%s", line.bytes);
    ck_assert_msg(strstr(line.bytes, " cmd=replconf user=default ") != NULL, "%s", line.bytes);
    ck_assert_ptr_eq(strchr(line.bytes, '\n'), line.bytes + line.length - 1);
    line_value(line.bytes, "addr", value, sizeof(value));
    snprintf(command, sizeof(command), "CLIENT KILL ADDR %s", value);
    EXPECT(pair.client, ":1", command);
    expect_return(&pair, 1);
    EXPECT(pair.client, ":1", "CLIENT KILL TYPE slave");
    expect_return(&pair, 2);
    line = client_ask(pair.replica, "CLIENT LIST TYPE master");
    ck_assert_msg(strstr(line.bytes, " flags=M ") != NULL, "%s", line.bytes);
    ck_assert_msg(strstr(line.bytes, " user=(superuser) ") != NULL, "%s", line.bytes);
    line_value(line.bytes, "id", value, sizeof(value));
    snprintf(command, sizeof(command), "CLIENT LIST ID %s", value);
    EXPECT_PART(pair.replica, " flags=M ", command);
    snprintf(command, sizeof(command), "CLIENT KILL ID %s", value);
    EXPECT(pair.replica, ":1", command);
    expect_return(&pair, 3);
    EXPECT(pair.replica, ":0", command);
    EXPECT(pair.replica, ":1", "CLIENT KILL TYPE master");
    expect_return(&pair, 4);
    EXPECT(pair.client, ":0", "CLIENT KILL TYPE master");
    EXPECT(pair.replica, ":0", "CLIENT KILL TYPE replica");
    pair_stop(&pair);
}
END_TEST

START_TEST(links_are_counted_as_redis_counts_them) {
    struct pair pair = pair_start(server_worker_options[_i]);
    ck_assert_int_eq(info(pair.client, "connected_clients"), 1);
    ck_assert_int_eq(info(pair.replica, "connected_clients"), 2);
    EXPECT(pair.replica, "+OK", "CONFIG RESETSTAT");
    EXPECT(pair.client, "+OK", "CONFIG RESETSTAT");
    EXPECT(pair.client, "+OK", "DEBUG POPULATE 1000 key 1000");
    expect_same(pair.client, pair.replica);
    ck_assert_int_gt(info(pair.client, "total_net_repl_output_bytes"), 1000 * 1000);
    ck_assert_int_gt(info(pair.client, "total_net_output_bytes"), 1000 * 1000);
    ck_assert_int_eq(info(pair.client, "total_net_repl_input_bytes"), 0);
    ck_assert_int_gt(info(pair.replica, "total_net_repl_input_bytes"), 1000 * 1000);
    ck_assert_int_gt(info(pair.replica, "total_net_input_bytes"), 1000 * 1000);
    ck_assert_int_eq(info(pair.replica, "total_net_repl_output_bytes"), 0);
    for (int i = 0; info(pair.client, "instantaneous_output_repl_kbps") == 0 ||
                    info(pair.replica, "instantaneous_input_repl_kbps") == 0;
         i++) {
        EXPECT(pair.client, "+OK", "DEBUG POPULATE 100 more 1000");
        EXPECT(pair.client, "+OK", "FLUSHALL");
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    pair_stop(&pair);
}
END_TEST

START_TEST(memory_of_links_is_told) {
    struct pair pair = pair_start(server_worker_options[_i]);
    kill(pair.second.pid, SIGSTOP);
    for (int i = 0; info(pair.client, "mem_replication_backlog") < 1000 * 1000; i++) {
        EXPECT(pair.client, "+OK", "DEBUG POPULATE 100 {key} 10000");
        EXPECT(pair.client, "+OK", "FLUSHALL");
        ck_assert_int_lt(i, 1000);
    }
    ck_assert_int_gt(info(pair.client, "mem_clients_slaves"), 0);
    ck_assert_int_gt(info(pair.client, "mem_total_replication_buffers"),
                     info(pair.client, "mem_replication_backlog"));
    struct reply_text stats = client_ask(pair.client, "MEMORY STATS");
    ck_assert_ptr_null(strstr(stats.bytes, "replication.backlog :0"));
    ck_assert_ptr_null(strstr(stats.bytes, "clients.slaves :0"));
    ck_assert_ptr_nonnull(strstr(stats.bytes, "clients.slaves :"));
    kill(pair.second.pid, SIGCONT);
    pair_stop(&pair);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        links_are_listed_and_killed_as_clients,
        links_are_counted_as_redis_counts_them,
        memory_of_links_is_told,
    };
    return unit_run(server_suite("integration/link_clients", tests, UNIT_COUNT(tests)));
}
