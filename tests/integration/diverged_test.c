/* tarn-log diverged, on what a primary kept that another one took the place of: listed, and written
 * onto the new primary where that has not written since. */
#include "tests/integration/replicas.h"

#include <sysexits.h>

#define OUTPUT_BYTES ((size_t)64 * 1024)

static const char debug[] = "--enable-debug-command yes --save";

static struct server start(const char *options) {
    return server_start(options, debug, NULL);
}

/* Runs `tarn-log diverged` with these words, beside the program that TARN_SERVER names. Answers its
 * exit code; output holds what it said. */
static int run(char output[OUTPUT_BYTES], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int run(char output[OUTPUT_BYTES], const char *format, ...) {
    const char *program = getenv("TARN_SERVER");
    ck_assert_msg(program != NULL, "TARN_SERVER names no program");
    const char *slash = strrchr(program, '/');
    ck_assert_ptr_nonnull(slash);
    char words[256];
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    snprintf(command, sizeof(command), "exec 2>&1; %.*s/tarn-log diverged %s",
             (int)(slash - program), program, words);
    FILE *pipe = popen(command, "r"); // NOLINT
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, OUTPUT_BYTES - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_says(const char *output, const char *text) {
    ck_assert_msg(strstr(output, text) != NULL, "no '%s' in: %s", text, output);
}

/* Two nodes, of which the second takes over and the first writes on alone. */
struct parting {
    struct server servers[2];
    redisContext *first;
    redisContext *second;
};

static void part(struct parting *parting, int i) {
    parting->servers[0] = start(server_worker_options[i]);
    parting->servers[1] = start(server_worker_options[1 - i]);
    redisContext *first = server_connect(&parting->servers[0]);
    redisContext *second = server_connect(&parting->servers[1]);
    EXPECT(first, "+OK", "DEBUG POPULATE 1000 key 100");
    EXPECT(first, "+OK", "SET text some");
    EXPECT(first, ":2", "HSET hash one 1 two 2");
    EXPECT(first, "+OK", "SET gone 1");
    follow(second, parting->servers[0].port);
    wait_for_link(second, true);
    expect_same(first, second);
    EXPECT(second, "+OK", "REPLICAOF NO ONE");
    EXPECT(second, "+OK", "SET both new");
    EXPECT(second, "+OK", "SET later new");
    EXPECT(first, "+OK", "SET lost alone");
    EXPECT(first, ":9", "APPEND text +more");
    EXPECT(first, ":0", "HSET hash two 22");
    EXPECT(first, ":1", "DEL gone");
    EXPECT(first, "+OK", "MSET both alone {a}pair 1 {b}pair 2");
    server_sleep_ms(20); /* What comes now is later by the clocks. */
    EXPECT(first, "+OK", "SET later alone");
    parting->first = first;
    parting->second = second;
    follow(first, parting->servers[1].port);
    wait_for_link(first, true);
    expect_same(second, first);
    EXPECT(first, "nil", "GET lost");
    EXPECT(first, "new", "GET both");
}

static void end(struct parting *parting) {
    redisFree(parting->first);
    redisFree(parting->second);
    server_stop(&parting->servers[0]);
    server_stop(&parting->servers[1]);
}

START_TEST(what_a_demoted_primary_wrote_alone_is_written_onto_the_new_one) {
    struct parting parting;
    part(&parting, _i);
    const char *folder = parting.servers[0].folder;
    int port = parting.servers[1].port;
    char *output = malloc(OUTPUT_BYTES);
    ck_assert_int_eq(run(output, "list %s/divergence", folder), EX_OK);
    expect_says(output, "keys=8");
    /* Nothing is written before one says so. */
    ck_assert_int_eq(run(output, "replay %s/divergence 127.0.0.1 %d", folder, port), EX_OK);
    expect_says(output, "6 keys would go (--write does it), 2 stay");
    expect_says(output, "key=\"both\" effects=1 stays: the primary has written it since the fork");
    EXPECT(parting.second, "nil", "GET lost");
    ck_assert_int_eq(run(output, "replay %s/divergence 127.0.0.1 %d --write", folder, port), EX_OK);
    expect_says(output, "6 keys went, 2 stay");
    EXPECT(parting.second, "alone", "GET lost");
    EXPECT(parting.second, "some+more", "GET text");
    EXPECT(parting.second, "[1 22]", "HMGET hash one two");
    EXPECT(parting.second, "nil", "GET gone");
    EXPECT(parting.second, "[1 2]", "MGET {a}pair {b}pair");
    EXPECT(parting.second, "[new new]", "MGET both later");
    expect_same(parting.second, parting.first);
    /* A second time, all of it has been written since. */
    ck_assert_int_eq(run(output, "replay %s/divergence 127.0.0.1 %d --write", folder, port), EX_OK);
    expect_says(output, "0 keys went, 8 stay");
    free(output);
    end(&parting);
}
END_TEST

START_TEST(the_last_writer_wins_where_that_is_asked_for) {
    struct parting parting;
    part(&parting, _i);
    const char *folder = parting.servers[0].folder;
    char *output = malloc(OUTPUT_BYTES);
    ck_assert_int_eq(run(output, "replay %s/divergence 127.0.0.1 %d --last-writer-wins --write",
                         folder, parting.servers[1].port),
                     EX_OK);
    EXPECT(parting.second, "alone", "GET later");
    EXPECT(parting.second, "alone", "GET lost");
    expect_same(parting.second, parting.first);
    free(output);
    end(&parting);
}
END_TEST

START_TEST(a_replica_is_written_nothing) {
    struct parting parting;
    part(&parting, _i);
    char *output = malloc(OUTPUT_BYTES);
    ck_assert_int_ne(run(output, "replay %s/divergence 127.0.0.1 %d --write",
                         parting.servers[0].folder, parting.servers[0].port),
                     EX_OK);
    expect_says(output, "the server is no primary");
    free(output);
    end(&parting);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_a_demoted_primary_wrote_alone_is_written_onto_the_new_one,
        the_last_writer_wins_where_that_is_asked_for,
        a_replica_is_written_nothing,
    };
    Suite *suite = suite_create("diverged");
    TCase *cases = tcase_create("workers");
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < UNIT_COUNT(tests); i++) {
        tcase_add_loop_test(cases, tests[i], SERVER_WORKER_OPTIONS_FROM,
                            (int)UNIT_COUNT(server_worker_options));
    }
    suite_add_tcase(suite, cases);
    return unit_run(suite);
}
