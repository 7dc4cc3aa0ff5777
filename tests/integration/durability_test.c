/* What a start finds: after an end of each kind, after damage, after options have changed; and what
 * happens when the disk takes no more. Kills under load are crash_test.c's. */
/* prlimit() */
#define _GNU_SOURCE
#include "tests/integration/server.h"
#include "worker/loading.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>

#define KEYS 1000
#define BIG_STRING_BYTES ((size_t)50 * 1024 * 1024 / SEEDS_PART)
#define BIG_HASH_FIELDS (100000 / SEEDS_PART)
/* Enough to be seen while it is loaded. */
#define MUCH (500000 / SEEDS_PART)
#define PIPELINE 1000
/* To catch a server that is loading. */
#define ATTEMPTS 5

/* ---- servers that begin again ---- */

static void server_end(struct server *server) {
    kill(server->pid, SIGTERM);
    int status = -1;
    ck_assert_int_eq(waitpid(server->pid, &status, 0), server->pid);
    ck_assert_int_eq(status, 0);
}

/* The server does not start: it ends with this code. */
static void server_expect_refusal(struct server *server, int code, const char *option, ...) {
    char path[128];
    snprintf(path, sizeof(path), "%s/server.log", server->folder);
    unlink(path);
    va_list more;
    va_start(more, option);
    server_spawn(server, option, more);
    va_end(more);
    int status = 0;
    for (int i = 0; waitpid(server->pid, &status, WNOHANG) == 0; i++) {
        ck_assert_msg(i < 1000, "it starts in %s", server->folder);
        server_sleep_ms(10);
    }
    char *text = server_log(server);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code,
                  "ended with status %x, not with code %d:\n%s", (unsigned)status, code, text);
    free(text);
}

/* ---- keys ---- */

static void expect_replies(redisContext *client, int count, int type) {
    for (int i = 0; i < count; i++) {
        void *reply = NULL;
        ck_assert_msg(redisGetReply(client, &reply) == REDIS_OK, "%s", client->errstr);
        ck_assert_int_eq(((redisReply *)reply)->type, type);
        freeReplyObject(reply);
    }
}

static void fill(redisContext *client, int from, int to) {
    for (int i = from; i < to; i++) {
        redisAppendCommand(client, "SET key:%d value:%d", i, i);
        if ((i + 1 - from) % PIPELINE == 0) {
            expect_replies(client, PIPELINE, REDIS_REPLY_STATUS);
        }
    }
    expect_replies(client, (to - from) % PIPELINE, REDIS_REPLY_STATUS);
}

static void expect_keys(redisContext *client, int from, int to) {
    for (int i = from; i < to; i++) {
        redisAppendCommand(client, "GET key:%d", i);
    }
    for (int i = from; i < to; i++) {
        void *got = NULL;
        ck_assert_int_eq(redisGetReply(client, &got), REDIS_OK);
        const redisReply *reply = got;
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "value:%d", i);
        ck_assert_msg(reply->type == REDIS_REPLY_STRING && strcmp(reply->str, wanted) == 0,
                      "key:%d is not what was acknowledged", i);
        freeReplyObject(got);
    }
}

static void expect_keys_of(const struct server *server, int from, int to) {
    redisContext *client = server_connect(server);
    expect_keys(client, from, to);
    redisFree(client);
}

static void fill_server(const struct server *server, int from, int to) {
    redisContext *client = server_connect(server);
    fill(client, from, to);
    redisFree(client);
}

static void ask(const struct server *server, const char *wanted, const char *command) {
    redisContext *client = server_connect(server);
    EXPECT(client, wanted, command);
    redisFree(client);
}

static void expect_number(redisContext *client, int wanted, const char *command) {
    char text[32];
    snprintf(text, sizeof(text), ":%d", wanted);
    EXPECT(client, text, command);
}

static void populate(const struct server *server) {
    char command[64];
    snprintf(command, sizeof(command), "DEBUG POPULATE %d", MUCH);
    ask(server, "+OK", command);
}

static void expect_populated(const struct server *server) {
    redisContext *client = server_connect(server);
    expect_number(client, MUCH, "DBSIZE");
    redisFree(client);
}

/* ---- files ---- */

#define PATH_BYTES 256

/* The segments, oldest first. */
static size_t segments_count(const struct server *server) {
    char pattern[PATH_BYTES];
    snprintf(pattern, sizeof(pattern), "%s/log/*.log", server->folder);
    glob_t found;
    size_t count = glob(pattern, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

/* The first segment with at least so many bytes in use. */
static void find_segment(const struct server *server, long bytes, char path[PATH_BYTES],
                         long *used) {
    char pattern[PATH_BYTES];
    snprintf(pattern, sizeof(pattern), "%s/log/*.log", server->folder);
    glob_t found;
    ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
    *used = 0;
    for (size_t i = 0; i < found.gl_pathc && *used < bytes; i++) {
        snprintf(path, PATH_BYTES, "%s", found.gl_pathv[i]);
        FILE *file = fopen(path, "r");
        ck_assert_ptr_nonnull(file);
        *used = 0;
        long at = 0;
        for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
            at++;
            *used = c != 0 ? at : *used;
        }
        fclose(file);
    }
    ck_assert_int_ge(*used, bytes);
    globfree(&found);
}

static void flip_byte(const char *path, long offset) {
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    fseek(file, offset, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, offset, SEEK_SET);
    fputc(byte ^ 0x10, file);
    fclose(file);
}

static void remove_file(const struct server *server, const char *name) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    ck_assert_int_eq(unlink(path), 0);
}

/* ---- ends ---- */

START_TEST(what_was_there_at_sigterm_is_there_at_the_next_start) {
    struct server server = server_start(server_worker_options[_i], NULL);
    fill_server(&server, 0, KEYS);
    server_end(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, KEYS);
    server_stop(&server);
}
END_TEST

START_TEST(a_kill_after_save_loses_nothing_before_it_or_behind_it) {
    struct server server = server_start(server_worker_options[_i], NULL);
    fill_server(&server, 0, KEYS);
    ask(&server, "+OK", "SAVE");
    fill_server(&server, KEYS, 2 * KEYS);
    server_kill(&server);
    ck_assert(server_has(&server, "dump.snapshot"));
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, 2 * KEYS);
    ask(&server, ":2000", "DBSIZE");
    server_stop(&server);
}
END_TEST

START_TEST(without_a_log_the_snapshot_is_what_is_there_again) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no", "--save 3600 1", NULL);
    fill_server(&server, 0, KEYS);
    ask(&server, "+OK", "SAVE");
    fill_server(&server, KEYS, 2 * KEYS);
    server_kill(&server);
    ck_assert(!server_has(&server, "log"));
    server_restart(&server, server_worker_options[_i], "--appendonly no", "--save 3600 1", NULL);
    expect_keys_of(&server, 0, KEYS);
    ask(&server, ":1000", "DBSIZE");
    fill_server(&server, KEYS, 2 * KEYS);
    server_end(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly no", NULL);
    expect_keys_of(&server, 0, 2 * KEYS);
    server_stop(&server);
}
END_TEST

START_TEST(a_save_rule_takes_a_snapshot_by_itself) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no", "--save 1 5", NULL);
    fill_server(&server, 0, KEYS);
    redisContext *client = server_connect(&server);
    while (!server_has(&server, "dump.snapshot")) {
        server_sleep_ms(20);
    }
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly no", NULL);
    expect_keys_of(&server, 0, KEYS);
    server_stop(&server);
}
END_TEST

START_TEST(a_snapshot_without_a_log_is_one_moment_of_all_slots) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no", "--save 3600 1", NULL);
    redisContext *client = server_connect(&server);
    redisContext *other = server_connect(&server);
    fill(client, 0, 50 * KEYS);
    EXPECT(other, "+Background saving started", "BGSAVE");
    /* Until it is done: pairs that only a moment between two of them could part. */
    int written = 0;
    for (bool is_done = false; !is_done; written++) {
        redisAppendCommand(client, "MSET key:%d %d key:%d %d last:1 %d last:2 %d", written % KEYS,
                           written, 49 * KEYS - written % KEYS, written, written, written);
        expect_replies(client, 1, REDIS_REPLY_STATUS);
        if (written % 16 == 0) {
            struct reply_text text = client_ask(other, "INFO persistence");
            is_done = strstr(text.bytes, "rdb_bgsave_in_progress:0") != NULL;
        }
    }
    redisFree(client);
    redisFree(other);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly no", NULL);
    client = server_connect(&server);
    struct reply_text one = client_ask(client, "GET last:1");
    struct reply_text two = client_ask(client, "GET last:2");
    ck_assert_str_eq(one.bytes, two.bytes);
    int last = strcmp(one.bytes, "nil") == 0 ? -1 : (int)strtol(one.bytes, NULL, 10);
    /* The moment is the snapshot's end, so it holds a write made while it was taken. */
    ck_assert_int_ge(last, 0);
    ck_assert_int_lt(last, written);
    for (int i = last < KEYS ? 0 : last - KEYS + 1; i <= last; i++) {
        char wanted[32];
        char command[64];
        snprintf(wanted, sizeof(wanted), "[%d %d]", i, i);
        snprintf(command, sizeof(command), "MGET key:%d key:%d", i % KEYS, 49 * KEYS - i % KEYS);
        EXPECT(client, wanted, command);
    }
    redisFree(client);
    server_stop(&server);
}
END_TEST

/* Switched on, and its first snapshot is on disk. */
static void wait_for_log(struct server *server) {
    redisContext *client = server_connect(server);
    for (bool is_on = false; !is_on;) {
        struct reply_text text = client_ask(client, "INFO persistence");
        is_on = strstr(text.bytes, "aof_enabled:1") != NULL &&
                strstr(text.bytes, "aof_rewrite_in_progress:0") != NULL &&
                strstr(text.bytes, "rdb_bgsave_in_progress:0") != NULL;
    }
    redisFree(client);
}

START_TEST(a_log_switched_on_keeps_what_is_written_from_then_on) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no", "--save 3600 1", NULL);
    fill_server(&server, 0, KEYS);
    ask(&server, "+OK", "CONFIG SET appendonly yes");
    fill_server(&server, KEYS, 2 * KEYS);
    wait_for_log(&server);
    ck_assert(server_has(&server, "log"));
    fill_server(&server, 2 * KEYS, 3 * KEYS);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly yes", NULL);
    expect_keys_of(&server, 0, 3 * KEYS);
    server_stop(&server);
}
END_TEST

START_TEST(a_log_switched_off_and_on_again_goes_on_from_what_is_there) {
    struct server server = server_start(server_worker_options[_i], NULL);
    fill_server(&server, 0, KEYS);
    ask(&server, "+OK", "CONFIG SET appendonly no");
    fill_server(&server, KEYS, 2 * KEYS);
    ask(&server, "+OK", "CONFIG SET appendonly yes");
    ask(&server, "+OK", "SAVE");
    fill_server(&server, 2 * KEYS, 3 * KEYS);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, 3 * KEYS);
    server_stop(&server);
}
END_TEST

START_TEST(a_log_switched_on_in_another_folder_stays_there_with_its_snapshots) {
    char command[128];
    struct server server = server_start(server_worker_options[_i], "--appendonly no --save",
                                        "--enable-protected-configs yes", NULL);
    struct server other = server_start("--appendonly no --save", NULL);
    fill_server(&server, 0, KEYS);
    server_end(&other);
    snprintf(command, sizeof(command), "CONFIG SET dir %s", other.folder);
    ask(&server, "+OK", command);
    ask(&server, "+OK", "CONFIG SET appendonly yes");
    wait_for_log(&server);
    ask(&server, "+Background append only file rewriting started", "BGREWRITEAOF");
    wait_for_log(&server);
    fill_server(&server, KEYS, 2 * KEYS);
    server_kill(&server);
    server_restart(&other, server_worker_options[_i], NULL);
    expect_keys_of(&other, 0, 2 * KEYS);
    server_stop(&other);
    ck_assert(!server_has(&server, "dump.snapshot"));
    server_remove_folder(server.folder);
}
END_TEST

START_TEST(a_log_that_was_switched_on_is_not_whole_without_its_snapshot) {
    struct server server = server_start(server_worker_options[_i], "--appendonly no --save", NULL);
    ask(&server, "+OK", "SET a 1");
    ask(&server, "+OK", "CONFIG SET appendonly yes");
    wait_for_log(&server);
    server_kill(&server);
    remove_file(&server, "dump.snapshot");
    server_expect_refusal(&server, EX_SOFTWARE, server_worker_options[_i], NULL);
    server_remove_folder(server.folder);
}
END_TEST

/* ---- damage ---- */

START_TEST(a_torn_tail_is_cut_and_reported_or_refused) {
    struct server server = server_start(server_worker_options[_i], NULL);
    fill_server(&server, 0, KEYS);
    ask(&server, "+OK", "SET last 1");
    server_kill(&server);
    char path[PATH_BYTES];
    long used;
    find_segment(&server, 1000, path, &used);
    ck_assert_int_eq(truncate(path, used - 1), 0);
    server_expect_refusal(&server, EX_SOFTWARE, server_worker_options[_i],
                          "--aof-load-truncated no", NULL);
    server_restart(&server, server_worker_options[_i], NULL);
    server_expect_log(&server, "torn");
    expect_keys_of(&server, 0, KEYS);
    ask(&server, "nil", "GET last");
    server_stop(&server);
}
END_TEST

START_TEST(damage_in_the_middle_of_the_log_is_refused_with_its_place) {
    /* What is behind the damage says that it had been synced: so it is no torn tail. */
    struct server server = server_start(server_worker_options[_i], "--appendfsync always", NULL);
    for (int i = 0; i < KEYS; i += 100) {
        fill_server(&server, i, i + 100);
    }
    server_kill(&server);
    char path[PATH_BYTES];
    long used;
    find_segment(&server, 1000, path, &used);
    flip_byte(path, used / 2);
    server_expect_refusal(&server, EX_SOFTWARE, server_worker_options[_i], NULL);
    static const char *const parts[] = {".log", "offset", "expected", "found"};
    for (size_t i = 0; i < UNIT_COUNT(parts); i++) {
        server_expect_log(&server, parts[i]);
    }
    /* It was the only thing that was wrong, and nothing has been touched. */
    flip_byte(path, used / 2);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, KEYS);
    server_stop(&server);
}
END_TEST

START_TEST(damage_of_the_snapshot_is_refused_with_its_place) {
    struct server server = server_start(server_worker_options[_i], NULL);
    fill_server(&server, 0, KEYS);
    ask(&server, "+OK", "SAVE");
    server_end(&server);
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/dump.snapshot", server.folder);
    flip_byte(path, 2000);
    server_expect_refusal(&server, EX_SOFTWARE, server_worker_options[_i], NULL);
    static const char *const parts[] = {"dump.snapshot", "offset", "expected", "found"};
    for (size_t i = 0; i < UNIT_COUNT(parts); i++) {
        server_expect_log(&server, parts[i]);
    }
    flip_byte(path, 2000);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, KEYS);
    server_stop(&server);
}
END_TEST

static void make_file_of(const struct server *server, const char *name) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fclose(file), 0);
}

static void make_folder_of(const struct server *server, const char *name) {
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

START_TEST(what_cannot_be_read_is_told_from_what_is_damaged) {
    struct server server = server_start(server_worker_options[_i], NULL);
    server_kill(&server);
    make_folder_of(&server, "dump.snapshot");
    server_expect_refusal(&server, EX_IOERR, server_worker_options[_i], NULL);
    server_remove_folder(server.folder); /* That one, which is empty, too. */
}
END_TEST

START_TEST(what_a_crash_left_half_made_is_removed_by_the_next_start) {
    static const char *const names[] = {
        "temp-1999999999.snapshot",        "temp-1999999999-reload.part",
        "temp-1999999999-reload.snapshot", "temp-1999999999-replicas.rdb",
        "temp-1999999999-primary.rdb",     "log.temporary/next",
        "temp-1-1700000000000.snapshot",   "temp-1-1700000000000-reload.part",
    };
    struct server server = server_start(server_worker_options[_i], NULL);
    server_kill(&server);
    make_folder_of(&server, "log.temporary");
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        make_file_of(&server, names[i]);
    }
    make_file_of(&server, "temp-1999999999-mine.rdb");
    server_restart(&server, server_worker_options[_i], NULL);
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        ck_assert_msg(!server_has(&server, names[i]), "%s is still there", names[i]);
    }
    ck_assert(!server_has(&server, "log.temporary"));
    remove_file(&server, "temp-1999999999-mine.rdb");
    server_stop(&server);
}
END_TEST

static int lock_file_of(const struct server *server, const char *name, int how) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", server->folder, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, how | LOCK_NB), 0);
    return fd;
}

/* As in another container, where its process id says nothing. */
START_TEST(what_another_server_has_open_is_not_removed) {
    static const char *const names[] = {"temp-1999999999.snapshot", "log.temporary/lock",
                                        "log.temporary/segment"};
    struct server server = server_start(server_worker_options[_i], "--appendonly no", NULL);
    server_kill(&server);
    make_folder_of(&server, "log.temporary");
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        make_file_of(&server, names[i]);
    }
    int file = lock_file_of(&server, names[0], LOCK_SH);
    int folder = lock_file_of(&server, names[1], LOCK_EX);
    server_restart(&server, server_worker_options[_i], "--appendonly no", NULL);
    redisContext *client = server_connect(&server);
    redisReply *reply = redisCommand(client, "SAVE");
    ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    for (size_t i = 0; i < UNIT_COUNT(names); i++) {
        ck_assert_msg(server_has(&server, names[i]), "%s is gone", names[i]);
    }
    close(file);
    close(folder);
    reply = redisCommand(client, "SAVE");
    ck_assert_int_eq(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    ck_assert(!server_has(&server, "log.temporary"));
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly no", NULL);
    ck_assert(!server_has(&server, names[0]));
    server_stop(&server);
}
END_TEST

START_TEST(a_snapshot_takes_old_segments_with_it_and_is_missed_when_it_is_gone) {
    struct server server = server_start(server_worker_options[_i], "--log-segment-size 4096", NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; i < KEYS; i += 10) {
        fill(client, i, i + 10);
    }
    redisFree(client);
    size_t before = segments_count(&server);
    ck_assert_uint_gt(before, 5);
    ask(&server, "+OK", "SAVE");
    ck_assert_uint_lt(segments_count(&server), before);
    ask(&server, "+OK", "SET last 1");
    server_end(&server);
    remove_file(&server, "dump.snapshot");
    server_expect_refusal(&server, EX_SOFTWARE, server_worker_options[_i], NULL);
    server_remove_folder(server.folder);
}
END_TEST

START_TEST(growth_of_the_log_takes_a_snapshot_without_a_save_rule) {
    struct server server =
        server_start(server_worker_options[_i], "--auto-aof-rewrite-min-size 64kb",
                     "--log-segment-size 16kb", NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; !server_has(&server, "dump.snapshot"); i++) {
        fill(client, i % KEYS, i % KEYS + 1);
    }
    /* It may have been there before all of them were. */
    fill(client, 0, KEYS);
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, KEYS);
    server_stop(&server);
}
END_TEST

/* ---- sharing, loading ---- */

START_TEST(two_servers_do_not_share_a_folder) {
    struct server server = server_start(server_worker_options[_i], NULL);
    struct server other = server;
    other.port = server_free_port();
    char socket[PATH_BYTES];
    snprintf(socket, sizeof(socket), "--unixsocket %s/other", server.folder);
    server_expect_refusal(&other, EX_UNAVAILABLE, server_worker_options[_i], socket, NULL);
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/other", server.folder);
    unlink(path);
    fill_server(&server, 0, KEYS);
    expect_keys_of(&server, 0, KEYS);
    server_stop(&server);
}
END_TEST

/* Starts it, and once it is loading has it stand still for longer than requests wait for the end.
 * Answers the client, which has asked for a key. */
static redisContext *ask_while_loading(struct server *server, const char *option, ...) {
    va_list more;
    va_start(more, option);
    server_spawn(server, option, more);
    va_end(more);
    redisContext *client = server_try_connect(server);
    while (client->err != 0) {
        redisFree(client);
        client = server_try_connect(server);
    }
    struct reply_text text = client_ask(client, "INFO persistence");
    kill(server->pid, SIGSTOP);
    server_sleep_ms(LOADING_PATIENCE_MS + 100);
    client_send(client, "GET key:1");
    kill(server->pid, SIGCONT);
    ck_assert_msg(strstr(text.bytes, "loading:") != NULL, "%s", text.bytes);
    return client;
}

START_TEST(who_asks_while_much_is_loaded_is_told_so) {
    struct server server =
        server_start(server_worker_options[_i], "--enable-debug-command yes", NULL);
    populate(&server);
    bool is_told = false;
    for (int i = 0; !is_told && i < ATTEMPTS; i++) {
        server_kill(&server);
        redisContext *client = ask_while_loading(&server, server_worker_options[_i], NULL);
        struct reply_text text = client_read(client);
        /* It may have been done before it was to stand still. */
        is_told = strcmp(text.bytes, "-LOADING Redis is loading the dataset in memory") == 0;
        expect_soon(client, "value:1", "GET key:1");
        redisFree(client);
    }
    ck_assert(is_told);
    expect_populated(&server);
    server_stop(&server);
}
END_TEST

/* The log is checked and loaded while the workers run, so whoever asks is answered, and signals are
 * heard. */
START_TEST(server_that_loads_can_be_told_to_end) {
    struct server server =
        server_start(server_worker_options[_i], "--enable-debug-command yes", NULL);
    populate(&server);
    server_kill(&server);
    bool is_told = false;
    for (int i = 0; !is_told && i < ATTEMPTS; i++) {
        redisFree(ask_while_loading(&server, server_worker_options[_i], NULL));
        kill(server.pid, SIGTERM);
        int status = 0;
        ck_assert_int_eq(waitpid(server.pid, &status, 0), server.pid);
        ck_assert_int_eq(status, 0);
        /* It may have been loaded before the signal came. */
        char *text = server_log(&server);
        is_told = strstr(text, "Asked to end while the data is loaded.") != NULL;
        free(text);
    }
    ck_assert(is_told);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_populated(&server);
    server_stop(&server);
}
END_TEST

/* ---- large values ---- */

static void fill_hash(redisContext *client) {
    for (int i = 0; i < BIG_HASH_FIELDS; i++) {
        redisAppendCommand(client, "HSET hash field:%d value:%d", i, i);
        if ((i + 1) % PIPELINE == 0) {
            expect_replies(client, PIPELINE, REDIS_REPLY_INTEGER);
        }
    }
}

static void expect_large(const struct server *server, const char *string) {
    redisContext *client = server_connect(server);
    redisReply *reply = redisCommand(client, "GET string");
    ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
    ck_assert_uint_eq(reply->len, BIG_STRING_BYTES);
    ck_assert(memcmp(reply->str, string, BIG_STRING_BYTES) == 0);
    freeReplyObject(reply);
    expect_number(client, BIG_HASH_FIELDS, "HLEN hash");
    for (int i = 0; i < BIG_HASH_FIELDS; i += 997) {
        char command[64];
        char wanted[64];
        snprintf(command, sizeof(command), "HGET hash field:%d", i);
        snprintf(wanted, sizeof(wanted), "value:%d", i);
        EXPECT(client, wanted, command);
    }
    redisFree(client);
}

START_TEST(large_values_come_back_from_the_log_and_from_a_snapshot) {
    struct server server = server_start(server_worker_options[_i], NULL);
    char *string = malloc(BIG_STRING_BYTES);
    for (size_t i = 0; i < BIG_STRING_BYTES; i++) {
        string[i] = (char)(i * 2654435761U >> 13);
    }
    redisContext *client = server_connect(&server);
    redisReply *reply = redisCommand(client, "SET string %b", string, BIG_STRING_BYTES);
    ck_assert_int_eq(reply->type, REDIS_REPLY_STATUS);
    freeReplyObject(reply);
    fill_hash(client);
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_large(&server, string);
    ask(&server, "+OK", "SAVE");
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_large(&server, string);
    free(string);
    server_stop(&server);
}
END_TEST

/* ---- a disk that takes no more ---- */

static void limit_files(const struct server *server, rlim_t bytes) {
    struct rlimit limit;
    ck_assert_int_eq(prlimit(server->pid, RLIMIT_FSIZE, NULL, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(prlimit(server->pid, RLIMIT_FSIZE, &limit, NULL), 0);
}

START_TEST(writes_are_refused_while_the_log_cannot_grow_and_go_on_by_themselves) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *writer = server_connect(&server);
    redisContext *other = server_connect(&server);
    fill(writer, 0, KEYS);
    limit_files(&server, 4096);
    /* It is applied and cannot be written: its answer waits. */
    client_send(writer, "SET waits 1");
    struct reply_text text = {.length = 0};
    for (text = client_ask(other, "PING"); strstr(text.bytes, "-MISCONF Errors writing") == NULL;
         text = client_ask(other, "PING")) {
        server_sleep_ms(5);
    }
    EXPECT_PART(other, "-MISCONF Errors writing to the AOF file", "SET refused 1");
    EXPECT(other, "value:1", "GET key:1");
    expect_quiet(writer);
    limit_files(&server, RLIM_INFINITY);
    EXPECT_NEXT(writer, "+OK");
    expect_soon(other, "+OK", "SET accepted 1");
    fill(writer, KEYS, 2 * KEYS);
    redisFree(writer);
    redisFree(other);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    expect_keys_of(&server, 0, 2 * KEYS);
    ask(&server, "[1 nil 1]", "MGET waits refused accepted");
    server_stop(&server);
}
END_TEST

START_TEST(a_snapshot_that_cannot_be_written_refuses_writes_until_one_can) {
    struct server server =
        server_start(server_worker_options[_i], "--appendonly no", "--save 3600 1000000", NULL);
    redisContext *client = server_connect(&server);
    fill(client, 0, 20 * KEYS);
    limit_files(&server, 16384);
    EXPECT(client, "-ERR", "SAVE");
    struct reply_text text = client_ask(client, "SET refused 1");
    while (strstr(text.bytes, "-MISCONF Redis is configured to save RDB snapshots") == NULL) {
        server_sleep_ms(5);
        text = client_ask(client, "SET refused 1");
    }
    EXPECT(client, "value:1", "GET key:1");
    limit_files(&server, RLIM_INFINITY);
    /* No rule asks for the next one: changes are refused. It is tried again nevertheless. */
    expect_soon(client, "+OK", "SET accepted 1");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], "--appendonly no", NULL);
    expect_keys_of(&server, 0, 20 * KEYS);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        what_was_there_at_sigterm_is_there_at_the_next_start,
        a_kill_after_save_loses_nothing_before_it_or_behind_it,
        without_a_log_the_snapshot_is_what_is_there_again,
        a_save_rule_takes_a_snapshot_by_itself,
        a_snapshot_without_a_log_is_one_moment_of_all_slots,
        a_log_switched_on_keeps_what_is_written_from_then_on,
        a_log_switched_off_and_on_again_goes_on_from_what_is_there,
        a_log_switched_on_in_another_folder_stays_there_with_its_snapshots,
        a_log_that_was_switched_on_is_not_whole_without_its_snapshot,
        a_torn_tail_is_cut_and_reported_or_refused,
        damage_in_the_middle_of_the_log_is_refused_with_its_place,
        damage_of_the_snapshot_is_refused_with_its_place,
        what_cannot_be_read_is_told_from_what_is_damaged,
        what_a_crash_left_half_made_is_removed_by_the_next_start,
        what_another_server_has_open_is_not_removed,
        a_snapshot_takes_old_segments_with_it_and_is_missed_when_it_is_gone,
        growth_of_the_log_takes_a_snapshot_without_a_save_rule,
        two_servers_do_not_share_a_folder,
        writes_are_refused_while_the_log_cannot_grow_and_go_on_by_themselves,
        a_snapshot_that_cannot_be_written_refuses_writes_until_one_can,
    };
    const TTest *long_tests[] = {
        who_asks_while_much_is_loaded_is_told_so,
        server_that_loads_can_be_told_to_end,
        large_values_come_back_from_the_log_and_from_a_snapshot,
    };
    Suite *suite = server_suite("durability", tests, UNIT_COUNT(tests));
    TCase *cases = tcase_create("long, with three workers");
    tcase_set_timeout(cases, UNIT_TIMEOUT_SECONDS);
    for (size_t i = 0; i < UNIT_COUNT(long_tests); i++) {
        tcase_add_loop_test(cases, long_tests[i], 1, 2);
    }
    suite_add_tcase(suite, cases);
    return unit_run(suite);
}
