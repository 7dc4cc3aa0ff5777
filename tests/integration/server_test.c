/* The process: how it starts, what signals do, and with which code it ends. */
#include "tests/integration/process.h"

#include <sys/un.h>
#include <sysexits.h>

static void make_folder(char folder[64]) {
    snprintf(folder, 64, "/tmp/tarn-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

START_TEST(a_start_says_what_tools_wait_for) {
    struct server server = server_start(server_worker_options[_i], NULL);
    char pid[32];
    snprintf(pid, sizeof(pid), "PID: %d", (int)server.pid);
    server_expect_log(&server, pid);
    server_expect_log(&server, "Server initialized");
    server_expect_log(&server, "Ready to accept connections tcp");
    server_expect_log(&server, "Ready to accept connections unix");
    server_stop(&server);
}
END_TEST

START_TEST(the_unix_socket_serves_and_goes_with_the_server) {
    struct server server = server_start(server_worker_options[_i], "--unixsocketperm 700", NULL);
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", server.folder);
    redisContext *client = redisConnectUnix(path);
    ck_assert_int_eq(client->err, 0);
    EXPECT(client, "+PONG", "PING");
    EXPECT_PART(client, "listener1:name=unix,bind=", "INFO server");
    redisFree(client);
    kill(server.pid, SIGTERM);
    int status = 0;
    ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
    ck_assert(!file_exists(server.folder, "socket"));
    server_remove_folder(server.folder);
}
END_TEST

START_TEST(sigint_ends_it_like_sigterm_with_clients_connected) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *clients[5];
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        clients[i] = server_connect(&server);
        EXPECT(clients[i], "+OK", "SET k v");
    }
    kill(server.pid, SIGINT);
    for (size_t i = 0; i < UNIT_COUNT(clients); i++) {
        expect_closed(clients[i]);
        redisFree(clients[i]);
    }
    server_stop(&server); /* Its code must be 0 all the same. */
}
END_TEST

START_TEST(the_pid_file_is_there_while_it_runs) {
    char folder[64];
    char option[128];
    make_folder(folder);
    snprintf(option, sizeof(option), "--pidfile %s/pid", folder);
    struct server server = server_start(server_worker_options[_i], option, NULL);
    char text[32];
    file_read(folder, "pid", text, sizeof(text));
    ck_assert_int_eq(atol(text), (int)server.pid);
    server_stop(&server);
    ck_assert(!file_exists(folder, "pid"));
    rmdir(folder);
}
END_TEST

START_TEST(a_wrong_line_of_the_config_file_is_named) {
    char folder[64];
    char path[128];
    make_folder(folder);
    file_write(folder, "conf", "port 7000\n\nmaxmemory-policy nothing\n");
    snprintf(path, sizeof(path), "%s/conf", folder);
    struct process_end end = process_run(path, NULL);
    process_expect(&end, EX_CONFIG, "maxmemory-policy nothing");
    process_expect(&end, EX_CONFIG, "line 3");
    process_expect(&end, EX_CONFIG, path);
    end = process_run(path, "--check-config", NULL);
    process_expect(&end, EX_CONFIG, "line 3");
    file_write(folder, "conf", "port 7000\nmaxmemory-policy allkeys-lru\n");
    end = process_run(path, "--check-config", NULL);
    process_expect(&end, EX_OK, "valid");
    file_remove(folder, "conf");
    rmdir(folder);
}
END_TEST

START_TEST(help_version_and_the_default_config_are_told) {
    struct process_end end = process_run("--help", NULL);
    process_expect(&end, EX_OK, "--check-config");
    end = process_run("--version", NULL);
    process_expect(&end, EX_OK, "64 bits");
    end = process_run("--print-config", NULL);
    process_expect(&end, EX_OK, "\nport 6379\n");
    end = process_run("--print-man", NULL);
    process_expect(&end, EX_OK, ".B port 6379");
}
END_TEST

START_TEST(a_port_in_use_ends_the_start_and_leaves_nothing) {
    struct server server = server_start(server_worker_options[_i], NULL);
    char folder[64];
    char port[16];
    char pidfile[128];
    make_folder(folder);
    snprintf(port, sizeof(port), "%d", server.port);
    snprintf(pidfile, sizeof(pidfile), "%s/pid", folder);
    struct process_end end =
        process_run("--port", port, "--pidfile", pidfile, "--dir", folder, NULL);
    process_expect(&end, EX_UNAVAILABLE, "Failed listening on port");
    ck_assert(strstr(end.output, "Ready to accept") == NULL);
    ck_assert_msg(rmdir(folder) == 0, "the start that failed left files");
    server_stop(&server);
}
END_TEST

START_TEST(what_cannot_work_has_its_exit_code) {
    struct process_end end = process_run("--port", "0", NULL);
    process_expect(&end, EX_CONFIG, "not listen anywhere");
    end = process_run("--port", "0", "--logfile", "/no/such/folder/log", NULL);
    process_expect(&end, EX_CANTCREAT, "/no/such/folder/log");
    end = process_run("--port", "0", "--unixsocket", "/no/such/folder/socket", NULL);
    process_expect(&end, EX_UNAVAILABLE, "Unix socket");
}
END_TEST

START_TEST(sighup_opens_the_log_anew_and_reads_the_config_again) {
    char folder[64];
    char path[128];
    make_folder(folder);
    file_write(folder, "conf", "maxmemory 16mb\nloglevel notice\n");
    snprintf(path, sizeof(path), "--include %s/conf", folder);
    struct server server = server_start(path, server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "[maxmemory 16777216]", "CONFIG GET maxmemory");
    EXPECT(client, "+OK", "SET k v");

    char log[128];
    char moved[128];
    snprintf(log, sizeof(log), "%s/server.log", server.folder);
    snprintf(moved, sizeof(moved), "%s/moved", server.folder);
    ck_assert_int_eq(rename(log, moved), 0);
    file_write(folder, "conf", "maxmemory 32mb\nloglevel notice\ndatabases 3\n");
    kill(server.pid, SIGHUP);
    expect_soon(client, "[maxmemory 33554432]", "CONFIG GET maxmemory");
    EXPECT(client, "v", "GET k");
    server_expect_log(&server, "SIGHUP");
    server_expect_log(&server, "databases"); /* which needs a restart */

    file_write(folder, "conf", "maxmemory 3mb\nno-such-option 1\n");
    kill(server.pid, SIGHUP);
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        char *text = server_log(&server);
        bool is_said = strstr(text, "stays as it was") != NULL;
        free(text);
        if (is_said) {
            break;
        }
        server_sleep_ms(10);
    }
    server_expect_log(&server, "stays as it was");
    EXPECT(client, "[maxmemory 33554432]", "CONFIG GET maxmemory");
    redisFree(client);
    file_remove(server.folder, "moved");
    server_stop(&server);
    file_remove(folder, "conf");
    rmdir(folder);
}
END_TEST

START_TEST(a_service_manager_is_told_of_start_reload_and_end) {
    char folder[64];
    make_folder(folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    struct server server = server_start(server_worker_options[_i], "--supervised systemd", NULL);
    unsetenv("NOTIFY_SOCKET");
    static const char *const parts[] = {"READY=1", "RELOADING=1", "READY=1", "STOPPING=1"};
    for (size_t i = 0; i < UNIT_COUNT(parts); i++) {
        char text[512];
        if (i == 1) {
            kill(server.pid, SIGHUP);
        } else if (i == 3) {
            kill(server.pid, SIGTERM);
        }
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ck_assert_int_eq(poll(&ready, 1, SERVER_PATIENCE_SECONDS * 1000), 1);
        ssize_t length = recv(fd, text, sizeof(text) - 1, 0);
        ck_assert_int_gt(length, 0);
        text[length] = '\0';
        ck_assert_msg(strstr(text, parts[i]) != NULL, "'%s' without %s", text, parts[i]);
    }
    server_stop(&server);
    close(fd);
    unlink(address.sun_path);
    rmdir(folder);
}
END_TEST

START_TEST(a_daemon_goes_on_without_its_parent) {
    char folder[64];
    char option[6][128];
    make_folder(folder);
    int port = server_free_port();
    snprintf(option[0], sizeof(option[0]), "%d", port);
    snprintf(option[1], sizeof(option[1]), "%s/pid", folder);
    snprintf(option[2], sizeof(option[2]), "%s/server.log", folder);
    struct process_end end = process_run("--port", option[0], "--pidfile", option[1], "--logfile",
                                         option[2], "--dir", folder, "--daemonize", "yes", NULL);
    ck_assert_int_eq(end.code, EX_OK);
    struct server server = {.port = port};
    redisContext *client = NULL;
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        client = server_try_connect(&server);
        if (client->err == 0) {
            break;
        }
        redisFree(client);
        client = NULL;
        server_sleep_ms(10);
    }
    ck_assert_ptr_nonnull(client);
    EXPECT(client, "+PONG", "PING");
    client_send(client, "SHUTDOWN NOSAVE");
    expect_closed(client);
    redisFree(client);
    for (int i = 0; file_exists(folder, "pid") && i < SERVER_PATIENCE_SECONDS * 100; i++) {
        server_sleep_ms(10);
    }
    ck_assert(!file_exists(folder, "pid"));
    server_remove_folder(folder);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_start_says_what_tools_wait_for,
        the_unix_socket_serves_and_goes_with_the_server,
        sigint_ends_it_like_sigterm_with_clients_connected,
        the_pid_file_is_there_while_it_runs,
        a_port_in_use_ends_the_start_and_leaves_nothing,
        sighup_opens_the_log_anew_and_reads_the_config_again,
        a_service_manager_is_told_of_start_reload_and_end,
    };
    const TTest *processes[] = {
        a_wrong_line_of_the_config_file_is_named,
        help_version_and_the_default_config_are_told,
        what_cannot_work_has_its_exit_code,
        a_daemon_goes_on_without_its_parent,
    };
    Suite *suite = server_suite("server", tests, UNIT_COUNT(tests));
    TCase *tcase = tcase_create("processes");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < UNIT_COUNT(processes); i++) {
        tcase_add_test(tcase, processes[i]);
    }
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
