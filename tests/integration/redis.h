/* The real redis-server, which the compatibility checks need too, in a folder of its own and on a
 * unix socket there.
 *
 *     struct redis redis;
 *     redis_make_folder(&redis);
 *     redis_start(&redis, "--appendonly yes", ...);
 *     redis_expect(&redis, "OK", "SET key value");
 *     redis_stop(&redis);          the files stay
 *     redis_remove_folder(&redis);
 */
#ifndef TARN_TESTS_INTEGRATION_REDIS_H
#define TARN_TESTS_INTEGRATION_REDIS_H

#include "tests/integration/server.h"

#include <dirent.h>
#include <sys/stat.h>

struct redis {
    pid_t pid;
    char folder[64];
    redisContext *client;
};

static inline void redis_make_folder(struct redis *redis) {
    *redis = (struct redis){.folder = "/tmp/tarn-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(redis->folder));
}

static inline void redis_connect(struct redis *redis) {
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", redis->folder);
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        redis->client = redisConnectUnix(path);
        redisReply *reply = redis->client->err == 0 ? redisCommand(redis->client, "PING") : NULL;
        bool is_ready = reply != NULL && reply->type == REDIS_REPLY_STATUS;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        if (is_ready) {
            return;
        }
        redisFree(redis->client);
        ck_assert_msg(waitpid(redis->pid, NULL, WNOHANG) == 0,
                      "redis-server ended at its start: does it refuse a file?");
        server_sleep_ms(10);
    }
    ck_abort_msg("redis-server does not answer");
}

/* Starts it on what is in the folder. The options, each "--name value ...", end with NULL. */
static inline void redis_start(struct redis *redis, const char *option, ...) {
    char *arguments[SERVER_ARGUMENTS_MAX] = {strdup("redis-server")};
    size_t count = 1;
    char text[256];
    snprintf(text, sizeof(text), "--port 0 --unixsocket %s/socket --dir %s --logfile redis.log",
             redis->folder, redis->folder);
    server_add_words(arguments, &count, text);
    va_list more;
    va_start(more, option);
    for (const char *next = option; next != NULL; next = va_arg(more, const char *)) {
        server_add_words(arguments, &count, next);
    }
    va_end(more);
    redis->pid = fork();
    ck_assert_int_ge(redis->pid, 0);
    if (redis->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp("redis-server", arguments);
        _exit(127);
    }
    for (size_t i = 0; i < count; i++) {
        free(arguments[i]);
    }
    redis_connect(redis);
}

/* Kills it. */
static inline void redis_stop(struct redis *redis) {
    redisFree(redis->client);
    kill(redis->pid, SIGKILL);
    ck_assert_int_eq(waitpid(redis->pid, NULL, 0), redis->pid);
}

static inline void redis_remove_files(const char *path) {
    DIR *folder = opendir(path);
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder)) {
        char name[512];
        struct stat status;
        snprintf(name, sizeof(name), "%s/%s", path, found->d_name);
        if (found->d_name[0] != '.' && lstat(name, &status) == 0 && !S_ISDIR(status.st_mode)) {
            unlink(name);
        }
    }
    closedir(folder);
    ck_assert_int_eq(rmdir(path), 0);
}

/* Once it has been stopped. */
static inline void redis_remove_folder(struct redis *redis) {
    /* Of redis-server, and of one of ours that took over. */
    static const char *const folders[] = {"appendonlydir", "log", "log.old"};
    for (size_t i = 0; i < UNIT_COUNT(folders); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", redis->folder, folders[i]);
        if (access(path, F_OK) == 0) {
            redis_remove_files(path);
        }
    }
    redis_remove_files(redis->folder);
}

/* A text, or a number, is what the command answers. */
static inline void redis_expect(const struct redis *redis, const char *text, const char *command) {
    redisReply *reply = redisCommand(redis->client, command);
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->str != NULL && strcmp(reply->str, text) == 0, "%s answers %s", command,
                  reply->str == NULL ? "no text" : reply->str);
    freeReplyObject(reply);
}

static inline void redis_expect_number(const struct redis *redis, long long number,
                                       const char *command) {
    redisReply *reply = redisCommand(redis->client, command);
    ck_assert_ptr_nonnull(reply);
    ck_assert_msg(reply->type == REDIS_REPLY_INTEGER && reply->integer == number, "%s answers %lld",
                  command, reply->integer);
    freeReplyObject(reply);
}

#endif
