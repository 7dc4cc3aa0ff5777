/* Links with a real redis-server, both ways, and the tools that read what a primary sends. */
#include "tests/integration/redis.h"

#include <stdatomic.h>
#include <sys/mman.h>

#define DEBUG_ON "--enable-debug-command yes"

/* A redis-server that can be reached by its port, without files of its own. */
static int peer_start(struct redis *peer) {
    char port[32];
    int number = server_free_port();
    snprintf(port, sizeof(port), "--port %d", number);
    redis_make_folder(peer);
    redis_start(peer, port, DEBUG_ON, "--repl-diskless-sync-delay 0", "--repl-backlog-size 64mb",
                "--save ", NULL);
    return number;
}

static void peer_end(struct redis *peer) {
    redis_stop(peer);
    redis_remove_folder(peer);
}

static void say(redisContext *client, const char *format, int port) {
    char text[128];
    snprintf(text, sizeof(text), format, port);
    EXPECT(client, "+OK", text);
}

/* ---- write load: a process that counts what was acknowledged ---- */

struct load {
    pid_t pid;
    atomic_long *acknowledged; /* shared */
};

/* Each round adds one to three keys in a transaction, and changes others. False: it was refused, or
 * nobody is there. */
static bool write_round(redisContext *client, long round) {
    static const char *const commands[] = {
        "SELECT 0",     "MULTI", "INCR rounds", "HSET hash field:%ld %ld",     "SELECT 3",
        "INCR rounds3", "EXEC",  "SELECT 0",    "SET key:%ld value PX 100000", "APPEND log %ld,%ld",
    };
    for (size_t i = 0; i < UNIT_COUNT(commands); i++) {
        char command[128];
        snprintf(command, sizeof(command), commands[i], round % 1000, round);
        redisAppendCommand(client, command);
    }
    bool is_done = true;
    for (size_t i = 0; i < UNIT_COUNT(commands); i++) {
        redisReply *reply = NULL;
        if (redisGetReply(client, (void **)&reply) != REDIS_OK) {
            return false;
        }
        is_done = is_done && reply->type != REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    return is_done;
}

static struct load load_start(int port) {
    struct load load = {.acknowledged = mmap(NULL, sizeof(atomic_long), PROT_READ | PROT_WRITE,
                                             MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    ck_assert_ptr_ne((void *)load.acknowledged, MAP_FAILED);
    load.pid = fork();
    ck_assert_int_ge(load.pid, 0);
    if (load.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        redisContext *client = redisConnect("127.0.0.1", port);
        for (long round = 1; client->err == 0 && write_round(client, round); round++) {
            atomic_store(load.acknowledged, round);
        }
        _exit(0);
    }
    return load;
}

static void load_wait(const struct load *load, long more) {
    long from = atomic_load(load->acknowledged);
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        if (atomic_load(load->acknowledged) >= from + more) {
            return;
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("nothing is written any more");
}

/* Answers the rounds that were acknowledged. */
static long load_end(struct load *load) {
    kill(load->pid, SIGKILL);
    ck_assert_int_eq(waitpid(load->pid, NULL, 0), load->pid);
    long rounds = atomic_load(load->acknowledged);
    munmap((void *)load->acknowledged, sizeof(*load->acknowledged));
    return rounds;
}

/* ---- what both sides hold ---- */

static void expect_info_soon(redisContext *client, const char *section, const char *part) {
    char command[64];
    snprintf(command, sizeof(command), "INFO %s", section);
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        redisReply *reply = redisCommand(client, command);
        ck_assert_ptr_nonnull(reply);
        bool is_there = reply->str != NULL && strstr(reply->str, part) != NULL;
        freeReplyObject(reply);
        if (is_there) {
            return;
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("INFO %s does not come to say %s", section, part);
}

/* At rest: what the one holds the other comes to hold. */
static void expect_same_data(redisContext *one, redisContext *other) {
    struct reply_text first;
    struct reply_text second;
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 20; i++) {
        first = client_ask(one, "DEBUG DIGEST");
        second = client_ask(other, "DEBUG DIGEST");
        if (strcmp(first.bytes, second.bytes) == 0) {
            ck_assert_str_ne(first.bytes, "+0000000000000000000000000000000000000000");
            return;
        }
        server_sleep_ms(50);
    }
    ck_abort_msg("the data differs: %s and %s", first.bytes, second.bytes);
}

START_TEST(redis_server_is_followed_under_load_and_left_without_a_lost_write) {
    struct redis primary;
    int port = peer_start(&primary);
    struct server server = server_start(server_worker_options[_i], DEBUG_ON, NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET of-before value");
    struct load load = load_start(port);
    load_wait(&load, 100);
    say(client, "REPLICAOF 127.0.0.1 %d", port);
    expect_info_soon(primary.client, "replication", "state=online");
    expect_soon(client, "nil", "GET of-before");
    EXPECT_PART(client, "READONLY", "SET key value");
    load_wait(&load, 100);
    /* The link breaks, and goes on where it was. */
    redis_expect_number(&primary, 1, "CLIENT KILL TYPE replica");
    load_wait(&load, 100);
    expect_info_soon(primary.client, "stats", "sync_partial_ok:1");
    /* Over to the new one: whoever writes is held meanwhile. */
    redis_expect(&primary, "OK", "CLIENT PAUSE 100000 WRITE");
    expect_same_data(primary.client, client);
    EXPECT(client, "+OK", "REPLICAOF NO ONE");
    long rounds = load_end(&load);
    struct reply_text counted = client_ask(client, "GET rounds");
    ck_assert_int_ge(atol(counted.bytes), rounds);
    EXPECT(client, "+OK", "SET key value");
    EXPECT(client, "+OK", "SELECT 3");
    EXPECT(client, counted.bytes, "GET rounds3");
    redisFree(client);
    server_stop(&server);
    peer_end(&primary);
}
END_TEST

START_TEST(what_a_redis_server_sent_is_in_the_log) {
    struct redis primary;
    int port = peer_start(&primary);
    struct server server = server_start(server_worker_options[_i], DEBUG_ON, NULL);
    redisContext *client = server_connect(&server);
    redis_expect(&primary, "OK", "SET of-file 1");
    say(client, "REPLICAOF 127.0.0.1 %d", port);
    expect_soon(client, "1", "GET of-file");
    redis_expect(&primary, "OK", "SET of-stream 2");
    expect_soon(client, "2", "GET of-stream");
    redisFree(client);
    server_kill(&server);
    server_restart(&server, server_worker_options[_i], NULL);
    client = server_connect(&server);
    EXPECT(client, "1", "GET of-file");
    EXPECT(client, "2", "GET of-stream");
    redisFree(client);
    server_stop(&server);
    peer_end(&primary);
}
END_TEST

START_TEST(redis_server_with_what_is_not_known_here_is_refused_and_nothing_is_lost) {
    struct redis primary;
    int port = peer_start(&primary);
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redis_expect_number(&primary, 1, "LPUSH list element");
    EXPECT(client, "+OK", "SET of-before value");
    say(client, "REPLICAOF 127.0.0.1 %d", port);
    server_expect_log(&server, "this version has no such values");
    EXPECT(client, "value", "GET of-before");
    EXPECT(client, "+OK", "REPLICAOF NO ONE");
    redisFree(client);
    server_stop(&server);
    peer_end(&primary);
}
END_TEST

START_TEST(messages_reach_the_subscribers_of_the_replica) {
    struct redis primary;
    int port = peer_start(&primary);
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    redisContext *listener = server_connect(&server);
    EXPECT(listener, "[subscribe news :1]", "SUBSCRIBE news");
    say(client, "REPLICAOF 127.0.0.1 %d", port);
    redis_expect(&primary, "OK", "SET key value");
    expect_soon(client, "value", "GET key");
    redis_expect_number(&primary, 0, "PUBLISH news text");
    EXPECT_NEXT(listener, "[message news text]");
    redisFree(listener);
    redisFree(client);
    server_stop(&server);
    peer_end(&primary);
}
END_TEST

START_TEST(redis_server_follows_under_load_and_comes_back_where_it_was) {
    struct redis replica;
    peer_start(&replica);
    struct server server = server_start(server_worker_options[_i], DEBUG_ON, NULL);
    redisContext *client = server_connect(&server);
    struct load load = load_start(server.port);
    load_wait(&load, 100);
    say(replica.client, "REPLICAOF 127.0.0.1 %d", server.port);
    expect_info_soon(replica.client, "replication", "master_link_status:up");
    load_wait(&load, 100);
    redis_expect_number(&replica, 1, "CLIENT KILL TYPE master");
    load_wait(&load, 100);
    expect_info_soon(replica.client, "replication", "master_link_status:up");
    expect_soon(client, ":1", "CLIENT KILL TYPE replica");
    load_wait(&load, 100);
    expect_info_soon(replica.client, "replication", "master_link_status:up");
    load_end(&load);
    expect_same_data(client, replica.client);
    char *text = server_log(&server);
    ck_assert_ptr_nonnull(strstr(text, "goes on where it was"));
    free(text);
    redisFree(client);
    server_stop(&server);
    peer_end(&replica);
}
END_TEST

/* Runs the shell's command; answers its exit code. */
static int shell(const char *format, int port, const char *folder) {
    char command[512];
    snprintf(command, sizeof(command), format, port, folder);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(file_that_redis_cli_fetches_is_loaded_by_a_redis_server) {
    struct redis redis;
    redis_make_folder(&redis);
    struct server server = server_start(server_worker_options[_i], DEBUG_ON, NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; i < 2000; i++) {
        char command[64];
        snprintf(command, sizeof(command), "HSET hash:%d field %d", i, i);
        EXPECT(client, ":1", command);
    }
    EXPECT(client, "+OK", "SET volatile 12 PX 1000000");
    ck_assert_int_eq(
        shell("redis-cli -p %d --rdb %s/dump.rdb >/dev/null 2>&1", server.port, redis.folder), 0);
    ck_assert_int_eq(shell("redis-cli -p %d --functions-rdb %s/functions.rdb >/dev/null 2>&1",
                           server.port, redis.folder),
                     0);
    redis_start(&redis, DEBUG_ON, NULL);
    expect_same_data(client, redis.client);
    redis_stop(&redis);
    redis_remove_folder(&redis);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(stream_is_shown_by_redis_cli) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET before 1");
    char command[128];
    snprintf(command, sizeof(command), "redis-cli -p %d --replica 2>/dev/null & echo $!; wait",
             server.port);
    FILE *shown = popen(command, "r");
    ck_assert_ptr_nonnull(shown);
    char line[128];
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), shown));
    pid_t pid = (pid_t)atol(line);
    server_expect_log(&server, "Synchronization with replica");
    EXPECT(client, "+OK", "SET seen 2");
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), shown));
    ck_assert_str_eq(line, "\"SET\",\"seen\",\"2\"\n");
    kill(pid, SIGTERM);
    pclose(shown);
    redisFree(client);
    server_stop(&server);
}
END_TEST

#define STREAM_BYTES ((size_t)64 * 1024)

/* A replica that is no more than a connection: what it was sent, as a string. */
struct listener {
    redisContext *client;
    char bytes[STREAM_BYTES];
    size_t length;
    size_t searched;
};

static struct listener *listener_new(const struct server *server) {
    struct listener *listener = calloc(1, sizeof(*listener));
    ck_assert_ptr_nonnull(listener);
    listener->client = server_connect(server);
    client_send(listener->client, "PSYNC ? -1");
    return listener;
}

static void listener_free(struct listener *listener) {
    redisFree(listener->client);
    free(listener);
}

/* Searches on, behind what was found before. */
static bool listener_finds(struct listener *listener, const char *part) {
    size_t length = strlen(part);
    for (; listener->searched + length <= listener->length; listener->searched++) {
        if (memcmp(listener->bytes + listener->searched, part, length) == 0) {
            listener->searched += length;
            return true;
        }
    }
    return false;
}

/* Reads until this has come. */
static void listener_expect(struct listener *listener, const char *part) {
    while (!listener_finds(listener, part)) {
        ck_assert_uint_lt(listener->length, STREAM_BYTES - 1);
        ssize_t got = recv(listener->client->fd, listener->bytes + listener->length,
                           STREAM_BYTES - 1 - listener->length, 0);
        ck_assert_msg(got > 0, "%s does not come", part);
        listener->length += (size_t)got;
    }
}

/* Says that it holds all that came. */
static void listener_acknowledge(const struct listener *listener) {
    unsigned long long offset;
    const char *line = strstr(listener->bytes, "+FULLRESYNC ");
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(sscanf(line, "+FULLRESYNC %*40[0-9a-f] %llu", &offset), 1);
    const char *file = strchr(line, '$');
    ck_assert_ptr_nonnull(file);
    char *begin;
    size_t length = strtoull(file + 1, &begin, 10);
    begin += 2 + length;
    char command[64];
    snprintf(command, sizeof(command), "REPLCONF ACK %llu",
             offset + (unsigned long long)(listener->bytes + listener->searched - begin));
    client_send(listener->client, command);
}

START_TEST(replica_is_asked_what_it_holds_when_somebody_waits_for_it) {
    struct server server = server_start(server_worker_options[_i], NULL);
    redisContext *client = server_connect(&server);
    struct listener *replica = listener_new(&server);
    server_expect_log(&server, "Synchronization with replica");
    for (int i = 0; i < 3; i++) {
        EXPECT(client, "+OK", "SET key value");
        client_send(client, "WAIT 1 0");
        listener_expect(replica, "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n");
        expect_quiet(client);
        listener_acknowledge(replica);
        EXPECT_NEXT(client, ":1");
    }
    listener_free(replica);
    redisFree(client);
    server_stop(&server);
}
END_TEST

START_TEST(tool_that_stops_reading_its_file_is_left) {
    struct server server = server_start(server_worker_options[_i], "--repl-timeout 1", NULL);
    redisContext *client = server_connect(&server);
    for (int i = 0; i < 16; i++) {
        char command[64];
        snprintf(command, sizeof(command), "SETRANGE key:%d 1000000 x", i);
        EXPECT(client, ":1000001", command);
    }
    EXPECT(client, "+OK", "CONFIG SET rdbcompression no");
    redisContext *tool = server_connect(&server);
    client_send(tool, "SYNC");
    server_expect_log(&server, "it has read nothing for repl-timeout seconds");
    expect_info_soon(client, "replication", "connected_slaves:0");
    redisFree(tool);
    redisFree(client);
    server_stop(&server);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        redis_server_is_followed_under_load_and_left_without_a_lost_write,
        what_a_redis_server_sent_is_in_the_log,
        redis_server_with_what_is_not_known_here_is_refused_and_nothing_is_lost,
        messages_reach_the_subscribers_of_the_replica,
        redis_server_follows_under_load_and_comes_back_where_it_was,
        file_that_redis_cli_fetches_is_loaded_by_a_redis_server,
        stream_is_shown_by_redis_cli,
        replica_is_asked_what_it_holds_when_somebody_waits_for_it,
        tool_that_stops_reading_its_file_is_left,
    };
    return unit_run(server_suite("redis_link", tests, UNIT_COUNT(tests)));
}
