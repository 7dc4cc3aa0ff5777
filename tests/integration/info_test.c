/* INFO, MEMORY and LATENCY: the figures are those of what happened, summed over all workers. */
#include "tests/integration/server.h"

/* The whole reply of INFO: it is longer than a reply text. */
static char *info(redisContext *client, const char *sections) {
    char command[128];
    snprintf(command, sizeof(command), "INFO %s", sections);
    redisReply *reply = redisCommand(client, command);
    ck_assert_ptr_nonnull(reply);
    ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
    char *text = strdup(reply->str);
    freeReplyObject(reply);
    return text;
}

/* A field as a number. */
static double field(redisContext *client, const char *section, const char *name) {
    char *text = info(client, section);
    char start[128];
    snprintf(start, sizeof(start), "\n%s:", name);
    const char *found = strstr(text, start);
    ck_assert_msg(found != NULL, "no %s in %s", name, text);
    double number = strtod(found + strlen(start), NULL);
    free(text);
    return number;
}

START_TEST(sections_are_those_that_were_asked_for) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    static const char *const defaults[] = {"Server",     "Clients", "Memory",      "Persistence",
                                           "Stats",      "CPU",     "Replication", "Modules",
                                           "Errorstats", "Cluster", "Keyspace"};
    static const char *const others[] = {"Commandstats", "Latencystats", "Workers"};
    char *text = info(client, "default");
    char *all = info(client, "everything");
    char *two = info(client, "cpu clients");
    for (size_t i = 0; i < UNIT_COUNT(defaults); i++) {
        char title[32];
        snprintf(title, sizeof(title), "# %s\r\n", defaults[i]);
        ck_assert_msg(strstr(text, title) != NULL, "%s is missing", title);
        ck_assert_msg(strstr(all, title) != NULL, "%s is missing", title);
    }
    for (size_t i = 0; i < UNIT_COUNT(others); i++) {
        ck_assert_msg(strstr(text, others[i]) == NULL, "%s is there", others[i]);
        ck_assert_msg(strstr(all, others[i]) != NULL, "%s is missing", others[i]);
    }
    ck_assert_int_eq(strncmp(two, "# Clients\r\n", strlen("# Clients\r\n")), 0);
    ck_assert_ptr_nonnull(strstr(two, "\r\n\r\n# CPU\r\n"));
    ck_assert_ptr_null(strstr(two, "# Server"));
    free(text);
    free(all);
    free(two);
    EXPECT(client, "", "INFO no-such-section");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(what_happened_on_all_workers_is_summed) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *clients[3];
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        clients[i] = server_connect(&server);
    }
    EXPECT(clients[0], "+OK", "CONFIG RESETSTAT");
    for (int i = 0; i < 30; i++) {
        char command[64];
        snprintf(command, sizeof(command), "SET key%d v", i);
        EXPECT(clients[i % 3], "+OK", command);
        snprintf(command, sizeof(command), "GET key%d", i);
        EXPECT(clients[(i + 1) % 3], "v", command);
        snprintf(command, sizeof(command), "GET missing%d", i);
        EXPECT(clients[(i + 2) % 3], "nil", command);
    }
    EXPECT(clients[0], "-ERR value is not an integer or out of range", "INCR key1");
    ck_assert_double_eq(field(clients[0], "stats", "keyspace_hits"), 30);
    ck_assert_double_eq(field(clients[0], "stats", "keyspace_misses"), 30);
    ck_assert_double_eq(field(clients[0], "stats", "total_error_replies"), 1);
    ck_assert_double_ge(field(clients[0], "stats", "total_commands_processed"), 91);
    ck_assert_double_gt(field(clients[0], "stats", "total_net_input_bytes"), 1000);
    ck_assert_double_gt(field(clients[0], "stats", "total_reads_processed"), 0);
    ck_assert_double_eq(field(clients[0], "clients", "connected_clients"), 3);
    char *text = info(clients[0], "commandstats");
    ck_assert_msg(strstr(text, "cmdstat_get:calls=60,") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "cmdstat_incr:calls=1,") != NULL, "%s", text);
    ck_assert_msg(strstr(text, "failed_calls=1\r\n") != NULL, "%s", text);
    free(text);
    EXPECT(clients[0], "# Keyspace\r\ndb0:keys=30,expires=0,avg_ttl=0\r\n", "INFO keyspace");
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        redisFree(clients[i]);
    }
    server_stop(&server);
}
END_TEST

START_TEST(each_worker_tells_of_its_ticks) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; i < 100; i++) {
        EXPECT(client, "+PONG", "PING");
    }
    char *text = info(client, "workers");
    int workers = _i == 0 ? 1 : 3;
    for (int i = 0; i < workers + 1; i++) {
        char start[32];
        snprintf(start, sizeof(start), "\nworker%d:ticks=", i);
        ck_assert_int_eq(strstr(text, start) != NULL, i < workers);
    }
    static const char *const fields[] = {
        ",requests=",          ",tick_cpu_p50_us=",     ",tick_cpu_p99_us=",
        ",tick_cpu_p999_us=",  ",tick_cpu_p9999_us=",   ",tick_cpu_max_us=",
        ",tick_requests_max=", ",tick_read_bytes_max=", ",tick_written_bytes_max=",
        ",tick_buckets_max=",  ",tick_buried_max=",     ",tick_evictions_max=",
        ",tick_accepts_max=",  ",tick_cut_bytes_max=",
    };
    for (size_t i = 0; i < UNIT_COUNT(fields); i++) {
        ck_assert_msg(strstr(text, fields[i]) != NULL, "%s is missing", fields[i]);
    }
    free(text);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(rates_follow_the_load) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    double rate = 0;
    for (int i = 0; rate == 0 && i < SERVER_PATIENCE_SECONDS * 100; i++) {
        for (int j = 0; j < 20; j++) {
            EXPECT(client, "+PONG", "PING");
        }
        rate = field(client, "stats", "instantaneous_ops_per_sec");
        server_sleep_ms(10);
    }
    ck_assert_double_gt(rate, 0);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(memory_grows_with_data_and_the_peak_stays) {
    struct server server =
        server_start(server_worker_options[_i], "--enable-debug-command yes", NULL);
    redisContext *client = server_connect(&server);
    double before = field(client, "memory", "used_memory");
    EXPECT(client, "+OK", "DEBUG POPULATE 10000 key 1000");
    double full = field(client, "memory", "used_memory");
    ck_assert_double_gt(full, before + 10000.0 * 1000);
    ck_assert_double_gt(field(client, "memory", "used_memory_dataset"), 9000.0 * 1000);
    EXPECT(client, ":10000", "DBSIZE");
    EXPECT_PART(client, "keys.count :10000 ", "MEMORY STATS");
    EXPECT(client, "+OK", "FLUSHALL");
    for (int i = 0; field(client, "memory", "used_memory") > before + 5e6; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    ck_assert_double_ge(field(client, "memory", "used_memory_peak"), full);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(what_takes_long_is_a_latency_event) {
    struct server server = server_start(server_worker_options[_i], "--enable-debug-command yes",
                                        "--latency-monitor-threshold 10", NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "[]", "LATENCY LATEST");
    EXPECT(client, "+OK", "DEBUG SLEEP 0.02");
    EXPECT_PART(client, "[[command :", "LATENCY LATEST");
    EXPECT_PART(client, "[[:", "LATENCY HISTORY command");
    EXPECT_PART(client, "command - high ", "LATENCY GRAPH command");
    EXPECT_PART(client, "1. command:", "LATENCY DOCTOR");
    EXPECT(client, ":1", "LATENCY RESET command");
    EXPECT(client, "[]", "LATENCY HISTORY command");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(the_time_over_maxmemory_is_told_while_it_lasts_and_summed) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    /* With a sanitizer's allocator, the stores alone are counted. */
    EXPECT(client, "+OK", "SET key value");
    EXPECT(client, "+OK", "CONFIG SET maxmemory 1");
    for (int i = 0; field(client, "stats", "current_eviction_exceeded_time") == 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    EXPECT(client, "+OK", "CONFIG SET maxmemory 0");
    for (int i = 0; field(client, "stats", "current_eviction_exceeded_time") != 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        server_sleep_ms(10);
    }
    ck_assert_double_gt(field(client, "stats", "total_eviction_exceeded_time"), 0);
    EXPECT(client, "+OK", "CONFIG RESETSTAT");
    ck_assert_double_eq(field(client, "stats", "total_eviction_exceeded_time"), 0);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(the_time_that_active_expiry_takes_is_told) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; field(client, "stats", "expire_cycle_cpu_milliseconds") == 0; i++) {
        ck_assert_int_lt(i, SERVER_PATIENCE_SECONDS * 100);
        for (int k = 0; k < 1000; k++) {
            redisAppendCommand(client, "SET key%d value PX 1", k);
        }
        for (int k = 0; k < 1000; k++) {
            void *reply = NULL;
            ck_assert_int_eq(redisGetReply(client, &reply), REDIS_OK);
            freeReplyObject(reply);
        }
        server_sleep_ms(10);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        sections_are_those_that_were_asked_for,
        what_happened_on_all_workers_is_summed,
        each_worker_tells_of_its_ticks,
        rates_follow_the_load,
        memory_grows_with_data_and_the_peak_stays,
        what_takes_long_is_a_latency_event,
        the_time_over_maxmemory_is_told_while_it_lasts_and_summed,
        the_time_that_active_expiry_takes_is_told,
    };
    return unit_run(server_suite("info", tests, UNIT_COUNT(tests)));
}
