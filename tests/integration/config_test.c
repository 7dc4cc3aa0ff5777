/* CONFIG: what changes at run time takes effect at once, in all workers, or not at all. */
#include "tests/integration/process.h"

START_TEST(a_set_that_fails_changes_nothing) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client,
           "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must "
           "be between 0 and 2147483647 inclusive",
           "CONFIG SET maxmemory 5mb timeout -1");
    EXPECT(client, "[maxmemory 0]", "CONFIG GET maxmemory");
    EXPECT(client, "+OK", "CONFIG SET maxmemory 5mb timeout 7");
    EXPECT(client, "[timeout 7 maxmemory 5242880]", "CONFIG GET maxmemory timeout");
    EXPECT(client, "-ERR syntax error", "CONFIG SET maxmemory 5mb timeout");
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(another_port_is_listened_on_at_once) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    struct server moved = server;
    char command[64];
    moved.port = server_free_port();
    snprintf(command, sizeof(command), "CONFIG SET port %d", moved.port);
    EXPECT(client, "+OK", command);
    redisContext *other = server_connect(&moved);
    EXPECT(other, "+PONG", "PING");
    EXPECT(client, "+PONG", "PING"); /* who is connected stays so */
    redisContext *late = server_try_connect(&server);
    ck_assert_int_ne(late->err, 0);
    redisFree(late);

    char path[128];
    snprintf(path, sizeof(path), "%s/socket", server.folder);
    redisContext *local = redisConnectUnix(path);
    EXPECT(local, "+PONG", "PING");
    redisFree(local);
    redisFree(other);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_port_in_use_is_refused_and_the_old_one_stays) {
    struct server server = server_start(server_worker_options[_i], NULL);
    struct server other = server_start(NULL, NULL);
    redisContext *client = server_connect(&server);
    char command[64];
    snprintf(command, sizeof(command), "CONFIG SET port %d", other.port);
    EXPECT(client,
           "-ERR CONFIG SET failed (possibly related to argument 'port') - Failed to bind to "
           "specified addresses.",
           command);
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "[port %d]", server.port);
    EXPECT(client, wanted, "CONFIG GET port");
    redisContext *late = server_connect(&server);
    EXPECT(late, "+PONG", "PING");
    redisFree(late);
    redisFree(client);
    server_stop(&other);
    server_stop(&server);
}
END_TEST

START_TEST(a_new_password_holds_for_who_comes_next) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CONFIG SET requirepass secret");
    EXPECT(client, "+PONG", "PING");
    redisContext *late = server_connect(&server);
    EXPECT(late, "-NOAUTH Authentication required.", "PING");
    EXPECT(late, "+OK", "AUTH secret");
    EXPECT(late, "[requirepass secret]", "CONFIG GET requirepass");
    EXPECT(late, "+OK", "CONFIG SET slowlog-log-slower-than 0");
    EXPECT(late, "+OK", "CONFIG SET requirepass hidden");
    struct reply_text log = client_ask(late, "SLOWLOG GET 10");
    ck_assert_msg(strstr(log.bytes, "hidden") == NULL, "the slow log shows it: %s", log.bytes);
    ck_assert_ptr_nonnull(strstr(log.bytes, "requirepass (redacted)"));
    redisFree(late);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(maxclients_holds_for_who_comes_next) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CONFIG SET maxclients 1");
    redisContext *late = server_connect(&server);
    EXPECT_NEXT(late, "-ERR max number of clients reached");
    redisFree(late);
    EXPECT(client, "+OK", "CONFIG SET maxclients 2");
    late = server_connect(&server);
    EXPECT(late, "+PONG", "PING");
    redisFree(late);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(each_worker_measures_as_the_options_say) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *clients[3]; /* one for each worker */
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        clients[i] = server_connect(&server);
    }
    EXPECT(clients[0], "+OK", "CONFIG SET latency-tracking no");
    EXPECT(clients[0], "+OK", "CONFIG RESETSTAT");
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        EXPECT(clients[i], "nil", "GET missing");
    }
    EXPECT(clients[0], "[]", "LATENCY HISTOGRAM get");
    EXPECT(clients[0], "+OK", "CONFIG SET latency-tracking yes slowlog-log-slower-than 0");
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        EXPECT(clients[i], "nil", "GET missing");
    }
    EXPECT_PART(clients[0], "[get [calls :6 histogram_usec [:", "LATENCY HISTOGRAM get");
    EXPECT(clients[0], ":5", "SLOWLOG LEN");
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        redisFree(clients[i]);
    }
    server_stop(&server);
}
END_TEST

START_TEST(keyspace_events_begin_with_the_option) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *listener = server_connect(&server);
    EXPECT(listener, "[subscribe __keyevent@0__:set :1]", "SUBSCRIBE __keyevent@0__:set");
    EXPECT(client, "+OK", "SET before v");
    EXPECT(client, "+OK", "CONFIG SET notify-keyspace-events KEA");
    EXPECT(client, "+OK", "SET after v");
    EXPECT_NEXT(listener, "[message __keyevent@0__:set after]");
    redisFree(listener);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(a_rewrite_keeps_what_was_set_for_the_next_start) {
    char folder[64];
    char text[4096];
    snprintf(folder, sizeof(folder), "/tmp/tarn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    file_write(folder, "conf", "# mine\nmaxmemory 1mb\n");
    char path[128];
    char command[256];
    snprintf(path, sizeof(path), "%s/conf", folder);
    int port = server_free_port();
    snprintf(command, sizeof(command), "%d", port);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(getenv("TARN_SERVER"), "tarn-server", path, "--port", command, "--dir", folder,
              "--logfile", "/dev/null", server_worker_options[_i], (char *)NULL);
        _exit(127);
    }
    struct server server = {.pid = pid, .port = port};
    server_wait_ready(&server);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "CONFIG SET maxmemory 3mb hz 20");
    EXPECT(client, "+OK", "CONFIG REWRITE");
    client_send(client, "SHUTDOWN NOSAVE");
    expect_closed(client);
    redisFree(client);
    int status = 0;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    file_read(folder, "conf", text, sizeof(text));
    ck_assert_ptr_nonnull(strstr(text, "# mine\nmaxmemory 3mb\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nhz 20\n"));
    struct process_end end = process_run(path, "--check-config", NULL);
    process_expect(&end, 0, "valid");
    file_remove(folder, "conf");
    server_remove_folder(folder);
}
END_TEST

START_TEST(resetstat_starts_the_counters_anew) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "nil", "GET missing");
    EXPECT(client, "-ERR syntax error", "SET a b FOO");
    EXPECT_PART(client, "errorstat_ERR:count=1", "INFO errorstats");
    EXPECT(client, "+OK", "CONFIG RESETSTAT");
    EXPECT_PART(client, "keyspace_misses:0", "INFO stats");
    EXPECT(client, "# Errorstats\r\n", "INFO errorstats");
    EXPECT_PART(client, "\ncmdstat_config|resetstat:calls=1,", "INFO commandstats");
    struct reply_text text = client_ask(client, "INFO commandstats");
    ck_assert(strstr(text.bytes, "cmdstat_get") == NULL);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(protected_options_need_leave) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(
        client,
        "-ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config",
        "CONFIG SET dir /tmp");
    EXPECT(
        client,
        "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable "
        "config",
        "CONFIG SET databases 3");
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_set_that_fails_changes_nothing,
        another_port_is_listened_on_at_once,
        a_port_in_use_is_refused_and_the_old_one_stays,
        a_new_password_holds_for_who_comes_next,
        maxclients_holds_for_who_comes_next,
        each_worker_measures_as_the_options_say,
        keyspace_events_begin_with_the_option,
        a_rewrite_keeps_what_was_set_for_the_next_start,
        resetstat_starts_the_counters_anew,
        protected_options_need_leave,
    };
    return unit_run(server_suite("config", tests, UNIT_COUNT(tests)));
}
