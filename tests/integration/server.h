/* A real server for integration tests: the program that TARN_SERVER names, in a folder of its own,
 * on a unix socket and a port that the kernel chose to be free.
 *
 *     struct server server = server_start("--workers 3", "--timeout 1", NULL);
 *     redisContext *client = server_connect(&server);
 *     EXPECT(client, "+PONG", "PING");
 *     redisFree(client);
 *     server_stop(&server);
 *
 * Replies are compared as text, see client_read_into(). Whatever fails, fails the test at once; the
 * server ends with the test's process (PR_SET_PDEATHSIG).
 */
#ifndef TARN_TESTS_INTEGRATION_SERVER_H
#define TARN_TESTS_INTEGRATION_SERVER_H

#include "tests/simulation/seeds.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long anything may take; a busy machine with sanitizers is slow, never that slow. */
#define SERVER_PATIENCE_SECONDS 60
#define SERVER_ARGUMENTS_MAX 64
#define SERVER_REPLY_TEXT_BYTES ((size_t)4096)

struct server {
    pid_t pid;
    int port;
    char folder[64];
};

static inline void server_sleep_ms(long ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* A node of a cluster has another port, 10000 above that of its clients. Both are below those that
 * the kernel gives to whoever connects. */
#define SERVER_PORT_MIN 10000
#define SERVER_PORT_MAX 22000
#define SERVER_BUS_DISTANCE 10000

static inline bool server_port_is_free(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    bool is_free = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is_free;
}

static inline int server_free_port(void) {
    for (;;) {
        unsigned random = 0;
        ck_assert_int_eq(getrandom(&random, sizeof(random), 0), sizeof(random));
        int port = SERVER_PORT_MIN + (int)(random % (SERVER_PORT_MAX - SERVER_PORT_MIN));
        if (server_port_is_free(port) && server_port_is_free(port + SERVER_BUS_DISTANCE)) {
            return port;
        }
    }
}

static inline redisContext *server_try_connect(const struct server *server) {
    redisContext *context = redisConnect("127.0.0.1", server->port);
    ck_assert_ptr_nonnull(context);
    redisSetTimeout(context, (struct timeval){.tv_sec = SERVER_PATIENCE_SECONDS});
    return context;
}

static inline redisContext *server_connect(const struct server *server) {
    redisContext *context = server_try_connect(server);
    ck_assert_msg(context->err == 0, "connect: %s", context->errstr);
    return context;
}

/* Adds the words of an option, "--name value value", to the arguments. Words have no blanks; ""
 * is an empty one. */
static inline void server_add_words(char **arguments, size_t *count, const char *option) {
    char *copy = strdup(option);
    char *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        ck_assert_uint_lt(*count, SERVER_ARGUMENTS_MAX - 1);
        arguments[(*count)++] = strdup(strcmp(word, "\"\"") == 0 ? "" : word);
    }
    free(copy);
}

/* Ready is who answers, and no longer loads: sanitizers make that long. */
static inline void server_wait_ready(const struct server *server) {
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        redisContext *context = server_try_connect(server);
        bool is_ready = context->err == 0;
        if (is_ready) {
            /* Any answer will do: a password may be wanted. */
            redisReply *reply = redisCommand(context, "PING");
            is_ready = reply != NULL &&
                       (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "LOADING", 7) != 0);
            freeReplyObject(reply);
        }
        redisFree(context);
        if (is_ready) {
            return;
        }
        ck_assert_msg(waitpid(server->pid, NULL, WNOHANG) == 0, "the server ended at its start");
        server_sleep_ms(10);
    }
    ck_abort_msg("the server does not answer");
}

/* Starts the program in the server's folder, and does not wait for it. */
static inline void server_spawn(struct server *server, const char *option, va_list more) {
    const char *program = getenv("TARN_SERVER");
    ck_assert_msg(program != NULL, "TARN_SERVER does not name a server");
    char *arguments[SERVER_ARGUMENTS_MAX] = {strdup(program)};
    size_t count = 1;
    char text[256];
    snprintf(text, sizeof(text),
             "--port %d --dir %s --logfile %s/server.log --unixsocket %s/socket", server->port,
             server->folder, server->folder, server->folder);
    server_add_words(arguments, &count, text);
    for (const char *next = option; next != NULL; next = va_arg(more, const char *)) {
        server_add_words(arguments, &count, next);
    }
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv(program, arguments);
        _exit(127);
    }
    for (size_t i = 0; i < count; i++) {
        free(arguments[i]);
    }
}

/* The options, each "--name value ...", end with NULL. */
static inline struct server server_start(const char *option, ...) {
    struct server server = {.port = server_free_port(), .folder = "/tmp/tarn-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(server.folder));
    va_list more;
    va_start(more, option);
    server_spawn(&server, option, more);
    va_end(more);
    server_wait_ready(&server);
    return server;
}

/* In the folder of one that has ended; the log of its words begins anew. */
static inline void server_restart(struct server *server, const char *option, ...) {
    char path[128];
    snprintf(path, sizeof(path), "%s/server.log", server->folder);
    unlink(path);
    va_list more;
    va_start(more, option);
    server_spawn(server, option, more);
    va_end(more);
    server_wait_ready(server);
}

static inline void server_kill(struct server *server) {
    kill(server->pid, SIGKILL);
    ck_assert_int_eq(waitpid(server->pid, NULL, 0), server->pid);
}

static inline bool server_has(const struct server *server, const char *name) {
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    return access(path, F_OK) == 0;
}

/* Everything that the log says so far; the caller frees it. */
static inline char *server_log(const struct server *server) {
    char path[128];
    snprintf(path, sizeof(path), "%s/server.log", server->folder);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t capacity = 1024 * 1024;
    char *text = malloc(capacity);
    size_t length = fread(text, 1, capacity - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

/* What the log says of a client whose replies grew beyond client-output-buffer-limit. */
#define SERVER_LOG_OF_OUTPUT_LIMIT                                                                 \
    "scheduled to be closed ASAP for overcoming of output buffer limits."

/* It may say so a moment after it has answered: so often it is looked at. */
#define SERVER_LOG_PATIENCE 500

static inline void server_expect_log(const struct server *server, const char *part) {
    char *text = server_log(server);
    for (int i = 0; strstr(text, part) == NULL && i < SERVER_LOG_PATIENCE; i++) {
        free(text);
        server_sleep_ms(10);
        text = server_log(server);
    }
    ck_assert_msg(strstr(text, part) != NULL, "the log does not say '%s':\n%s", part, text);
    free(text);
}

/* What a server is known to leave behind. */
static inline void server_remove_folder(const char *folder) {
    static const char *const patterns[] = {
        "log/*",         "log",          "log.old/*",  "log.old",   "server.log", "socket",
        "dump.snapshot", "divergence/*", "divergence", "cluster/*", "cluster"};
    char path[128];
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, patterns[i]);
        glob_t found;
        bool has_any = glob(path, 0, NULL, &found) == 0;
        for (size_t j = 0; has_any && j < found.gl_pathc; j++) {
            remove(found.gl_pathv[j]);
        }
        if (has_any) {
            globfree(&found);
        }
    }
    ck_assert_msg(rmdir(folder) == 0, "the server left files in %s", folder);
}

static inline void server_stop(struct server *server) {
    kill(server->pid, SIGTERM);
    int status = 0;
    ck_assert_int_eq(waitpid(server->pid, &status, 0), server->pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the server ended with status %x",
                  (unsigned)status);
    server_remove_folder(server->folder);
}

/* ---- replies as text ---- */

struct reply_text {
    char bytes[SERVER_REPLY_TEXT_BYTES];
    size_t length;
};

static inline void reply_text_append(struct reply_text *text, const char *bytes, size_t length) {
    size_t room = sizeof(text->bytes) - 1 - text->length;
    size_t taken = length < room ? length : room;
    memcpy(text->bytes + text->length, bytes, taken);
    text->length += taken;
    text->bytes[text->length] = '\0';
}

static inline void client_receive(const redisContext *client, char *bytes, size_t length) {
    while (length > 0) {
        ssize_t got = recv(client->fd, bytes, length, 0);
        ck_assert_msg(got > 0, "no reply: %s", got == 0 ? "closed" : strerror(errno));
        bytes += got;
        length -= (size_t)got;
    }
}

/* A line without its end. */
static inline void client_receive_line(const redisContext *client, char *line, size_t size) {
    for (size_t i = 0; i + 1 < size; i++) {
        client_receive(client, &line[i], 1);
        if (i > 0 && line[i - 1] == '\r' && line[i] == '\n') {
            line[i - 1] = '\0';
            return;
        }
    }
    ck_abort_msg("a line is too long");
}

/* Status +OK, error -ERR ..., integer :1, null "nil", string as it is, array [a b], map {k v}, push
 * >[a b], in RESP2 and RESP3. Reads byte by byte: hiredis' reader knows RESP3 only in newer
 * versions. */
static inline void client_read_into(const redisContext *client, struct reply_text *text) {
    char line[SERVER_REPLY_TEXT_BYTES];
    client_receive_line(client, line, sizeof(line));
    long count = strtol(line + 1, NULL, 10);
    if (line[0] == '_' || (strchr("$*", line[0]) != NULL && count < 0)) {
        reply_text_append(text, "nil", 3);
    } else if (line[0] == '$' || line[0] == '=') {
        char *bytes = malloc((size_t)count + 2);
        client_receive(client, bytes, (size_t)count + 2);
        reply_text_append(text, bytes, (size_t)count);
        free(bytes);
    } else if (strchr("*%~>", line[0]) != NULL) {
        const char *brackets = line[0] == '%' ? "{}" : "[]";
        reply_text_append(text, ">", line[0] == '>' ? 1 : 0);
        reply_text_append(text, brackets, 1);
        for (long i = 0; i < (line[0] == '%' ? 2 * count : count); i++) {
            reply_text_append(text, " ", i == 0 ? 0 : 1);
            client_read_into(client, text);
        }
        reply_text_append(text, brackets + 1, 1);
    } else {
        reply_text_append(text, line, strlen(line));
    }
}

/* The next reply or push. */
static inline struct reply_text client_read(redisContext *client) {
    struct reply_text text = {.length = 0};
    client_read_into(client, &text);
    return text;
}

/* Sends a command whose words are separated by blanks. */
static inline void client_send(redisContext *client, const char *command) {
    char *copy = strdup(command);
    const char *words[SERVER_ARGUMENTS_MAX];
    int count = 0;
    char *save = NULL;
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        words[count++] = word;
    }
    ck_assert_int_eq(redisAppendCommandArgv(client, count, words, NULL), REDIS_OK);
    int done = 0;
    while (done == 0) {
        ck_assert_int_eq(redisBufferWrite(client, &done), REDIS_OK);
    }
    free(copy);
}

static inline struct reply_text client_ask(redisContext *client, const char *command) {
    client_send(client, command);
    return client_read(client);
}

#define EXPECT(client, wanted, command)                                                            \
    do {                                                                                           \
        struct reply_text got_ = client_ask((client), (command));                                  \
        ck_assert_msg(strcmp(got_.bytes, (wanted)) == 0, "%s: got '%s', not '%s'", (command),      \
                      got_.bytes, (wanted));                                                       \
    } while (0)

#define EXPECT_NEXT(client, wanted)                                                                \
    do {                                                                                           \
        struct reply_text got_ = client_read(client);                                              \
        ck_assert_msg(strcmp(got_.bytes, (wanted)) == 0, "got '%s', not '%s'", got_.bytes,         \
                      (wanted));                                                                   \
    } while (0)

#define EXPECT_PART(client, part, command)                                                         \
    do {                                                                                           \
        struct reply_text got_ = client_ask((client), (command));                                  \
        ck_assert_msg(strstr(got_.bytes, (part)) != NULL, "%s: got '%s', without '%s'", (command), \
                      got_.bytes, (part));                                                         \
    } while (0)

/* Asks with one more argument behind the words: so many times 'x'. */
static inline struct reply_text client_ask_with(redisContext *client, const char *command,
                                                size_t length) {
    size_t start = strlen(command) + 1;
    char *whole = malloc(start + length + 1);
    ck_assert_ptr_nonnull(whole);
    memcpy(whole, command, start);
    whole[start - 1] = ' ';
    memset(whole + start, 'x', length);
    whole[start + length] = '\0';
    struct reply_text text = client_ask(client, whole);
    free(whole);
    return text;
}

/* The server closes the connection; what it still sends before that is skipped. */
static inline void expect_closed(redisContext *client) {
    char bytes[64 * 1024];
    for (;;) {
        struct pollfd ready = {.fd = client->fd, .events = POLLIN};
        ck_assert_msg(poll(&ready, 1, SERVER_PATIENCE_SECONDS * 1000) == 1,
                      "the server does not close the connection");
        ssize_t got = recv(client->fd, bytes, sizeof(bytes), 0);
        if (got == 0 || (got < 0 && errno == ECONNRESET)) {
            return;
        }
        ck_assert(got > 0 || errno == EAGAIN || errno == EINTR);
    }
}

/* Nothing is there to be read, after another connection's answers have come. */
static inline void expect_quiet(redisContext *client) {
    struct pollfd ready = {.fd = client->fd, .events = POLLIN};
    ck_assert_msg(poll(&ready, 1, 50) == 0, "something came unexpected");
}

/* Asks until the reply is as wanted. */
static inline void expect_soon(redisContext *client, const char *wanted, const char *command) {
    struct reply_text got;
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        got = client_ask(client, command);
        if (strcmp(got.bytes, wanted) == 0) {
            return;
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("%s: got '%s', not '%s'", command, got.bytes, wanted);
}

/* Each test of a suite runs with each of these, by its loop variable _i; with a sanitizer, where
 * each takes several times as long, with the last one, which does all that one worker does. */
static const char *const server_worker_options[] = {"--workers 1", "--workers 3"};
#define SERVER_WORKER_OPTIONS_FROM (SEEDS_PART == 1 ? 0 : 1)

static inline Suite *server_suite(const char *name, const TTest *const *tests, size_t count) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < count; i++) {
        tcase_add_loop_test(tcase, tests[i], SERVER_WORKER_OPTIONS_FROM,
                            (int)UNIT_COUNT(server_worker_options));
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

#endif
