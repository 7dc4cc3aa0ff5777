/* MIGRATE sends keys to other servers, and deletes here what they have: to a real redis-server and
 * back, and to a target that does what this test says. */
#include "tests/integration/redis.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#define FIELDS 20000
#define BLOCK_BYTES 300000
#define PATIENCE_MS (SERVER_PATIENCE_SECONDS * 1000)

static struct server start(int i) {
    return server_start(server_worker_options[i], NULL);
}

/* Says the words with numbers in them. */
static struct reply_text ask(redisContext *client, const char *format, ...) {
    char words[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(words, sizeof(words), format, values);
    va_end(values);
    return client_ask(client, words);
}

#define EXPECT_ASKED(client, wanted, ...) ck_assert_str_eq(ask((client), __VA_ARGS__).bytes, wanted)

static void say(redisContext *client, const char *format, ...) {
    char words[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(words, sizeof(words), format, values);
    va_end(values);
    client_send(client, words);
}

/* ---- a target of ours ---- */

struct target {
    int listener;
    int port;
    int fd; /* of the connection that was taken last, or -1 */
};

static struct target target_open(void) {
    struct target target = {.listener = socket(AF_INET, SOCK_STREAM, 0), .fd = -1};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    ck_assert_int_eq(bind(target.listener, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(listen(target.listener, 16), 0);
    ck_assert_int_eq(getsockname(target.listener, (struct sockaddr *)&address, &length), 0);
    target.port = ntohs(address.sin_port);
    return target;
}

static void target_accept(struct target *target) {
    struct pollfd ready = {.fd = target->listener, .events = POLLIN};
    ck_assert_msg(poll(&ready, 1, PATIENCE_MS) == 1, "nobody connects");
    target->fd = accept(target->listener, NULL, NULL);
    ck_assert_int_ge(target->fd, 0);
    int on = 1; /* what is said without being asked comes at once, too */
    setsockopt(target->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void target_drop(struct target *target) {
    close(target->fd);
    target->fd = -1;
}

static void target_close(struct target *target) {
    close(target->listener);
    if (target->fd >= 0) {
        close(target->fd);
    }
}

/* Takes in what is sent until the word has come. */
static void target_read(const struct target *target, const char *word) {
    static char bytes[64 * 1024];
    size_t length = 0;
    bytes[0] = '\0';
    while (strstr(bytes, word) == NULL) {
        struct pollfd ready = {.fd = target->fd, .events = POLLIN};
        ck_assert_msg(poll(&ready, 1, PATIENCE_MS) == 1, "%s does not come", word);
        ssize_t got = recv(target->fd, bytes + length, sizeof(bytes) - 1 - length, 0);
        ck_assert_msg(got > 0, "%s does not come: the connection is closed", word);
        length += (size_t)got;
        bytes[length] = '\0';
        for (size_t i = 0; i < length; i++) {
            bytes[i] = bytes[i] == '\0' ? ' ' : bytes[i];
        }
    }
}

static void target_say(const struct target *target, const char *text) {
    ck_assert_int_eq(send(target->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* A client asks for the key to go to the target, which has taken the value and not answered. */
static void begin(struct target *target, redisContext *client, const char *keys, const char *last) {
    say(client, "MIGRATE 127.0.0.1 %d %s", target->port, keys);
    target_accept(target);
    target_read(target, "SELECT\r\n$1\r\n0\r\n");
    target_say(target, "+OK\r\n");
    target_read(target, last);
}

/* ---- a real target ---- */

static int redis_start_on_port(struct redis *redis) {
    char option[32];
    int port = server_free_port();
    snprintf(option, sizeof(option), "--port %d", port);
    redis_make_folder(redis);
    redis_start(redis, option, NULL);
    return port;
}

/* A hash that is sent in pieces, a string that is sent from where it is, and small ones. */
static void fill(redisContext *client) {
    for (int i = 0; i < FIELDS; i++) {
        redisAppendCommand(client, "HSET table field:%d value:%d", i, i);
    }
    for (int i = 0; i < FIELDS; i++) {
        void *reply = NULL;
        ck_assert_int_eq(redisGetReply(client, &reply), REDIS_OK);
        freeReplyObject(reply);
    }
    EXPECT(client, "+OK", "MSET text hello number 12345");
    EXPECT(client, ":2", "HSET pack f v n 12");
    ck_assert_str_eq(client_ask_with(client, "SET block", BLOCK_BYTES).bytes, "+OK");
    EXPECT(client, "+OK", "SET expires v EX 100000");
}

#define FILLED "text number pack table block expires"

START_TEST(keys_go_to_a_redis_server_and_come_back) {
    struct server server =
        server_start(server_worker_options[_i], "--enable-debug-command yes", NULL);
    redisContext *client = server_connect(&server);
    struct redis redis;
    int port = redis_start_on_port(&redis);
    fill(client);
    struct reply_text digest = client_ask(client, "DEBUG DIGEST");
    redisReply *there =
        redisCommand(client, "MIGRATE 127.0.0.1 %d %s 0 60000 KEYS missing " FILLED, port, "");
    ck_assert_str_eq(there->str, "OK");
    freeReplyObject(there);
    EXPECT(client, ":0", "DBSIZE");
    redis_expect_number(&redis, 6, "DBSIZE");
    redis_expect_number(&redis, FIELDS, "HLEN table");
    redis_expect(&redis, "value:777", "HGET table field:777");
    redis_expect_number(&redis, BLOCK_BYTES, "STRLEN block");
    redis_expect(&redis, "int", "OBJECT ENCODING number");
    redisReply *ttl = redisCommand(redis.client, "TTL expires");
    ck_assert(ttl->integer > 90000 && ttl->integer <= 100000);
    freeReplyObject(ttl);
    redisReply *back =
        redisCommand(redis.client, "MIGRATE 127.0.0.1 %d %s 0 60000 KEYS " FILLED, server.port, "");
    ck_assert_str_eq(back->str, "OK");
    freeReplyObject(back);
    EXPECT(client, digest.bytes, "DEBUG DIGEST");
    redis_expect_number(&redis, 0, "DBSIZE");
    redisFree(client);
    redis_stop(&redis);
    redis_remove_folder(&redis);
    server_stop(&server);
}
END_TEST

START_TEST(copy_replace_databases_and_errors_of_the_target) {
    struct server server = start(_i);
    redisContext *client = server_connect(&server);
    struct redis redis;
    int port = redis_start_on_port(&redis);
    EXPECT(client, "+OK", "MSET a 1 b 2 c 3");
    EXPECT_ASKED(client, "+OK", "MIGRATE 127.0.0.1 %d a 3 60000 COPY", port);
    EXPECT(client, "1", "GET a");
    EXPECT_ASKED(client,
                 "-ERR Target instance replied with error: BUSYKEY Target key name already "
                 "exists.",
                 "MIGRATE 127.0.0.1 %d a 3 60000", port);
    EXPECT(client, "1", "GET a");
    EXPECT_ASKED(client, "+OK", "MIGRATE 127.0.0.1 %d a 3 60000 REPLACE", port);
    EXPECT(client, "nil", "GET a");
    /* Nothing is sent to a database that was not asked for. */
    EXPECT_ASKED(client, "-ERR Target instance replied with error: ERR DB index is out of range",
                 "MIGRATE 127.0.0.1 %d b 99 60000", port);
    redis_expect_number(&redis, 0, "DBSIZE");
    redis_expect(&redis, "OK", "CONFIG SET requirepass secret");
    EXPECT_ASKED(client, "+OK", "MIGRATE 127.0.0.1 %d b 0 60000 AUTH secret", port);
    EXPECT_ASKED(client,
                 "-ERR Target instance replied with error: WRONGPASS invalid username-password "
                 "pair or user is disabled.",
                 "MIGRATE 127.0.0.1 %d c 0 60000 AUTH2 default wrong", port);
    EXPECT_ASKED(client, "+OK", "MIGRATE 127.0.0.1 %d c 0 60000 AUTH2 default secret", port);
    EXPECT(client, ":0", "DBSIZE");
    redisFree(client);
    redis_stop(&redis);
    redis_remove_folder(&redis);
    server_stop(&server);
}
END_TEST

/* ---- while keys are on their way ---- */

START_TEST(writes_to_a_key_wait_and_reads_go_on) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    redisContext *client = server_connect(&server);
    redisContext *writers[4];
    static const char *const writes[4] = {"SET a new", "MSET z 1 a new", "FLUSHALL",
                                          "MIGRATE 127.0.0.1 1 a 0 1000"};
    EXPECT(client, "+OK", "MSET a 1 b 2");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    EXPECT(client, "1", "GET a");
    EXPECT(client, "+OK", "SET b 3");
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "+QUEUED", "APPEND a x");
    for (int i = 0; i < 4; i++) {
        writers[i] = server_connect(&server);
        client_send(writers[i], writes[i]);
    }
    for (int i = 0; i < 4; i++) {
        expect_quiet(writers[i]);
    }
    client_send(client, "EXEC");
    expect_quiet(client);
    target_say(&target, "-BUSYKEY it is there\r\n");
    EXPECT_NEXT(mover, "-ERR Target instance replied with error: BUSYKEY it is there");
    ck_assert_int_eq(client_read(client).bytes[0], '[');
    for (int i = 0; i < 4; i++) {
        client_read(writers[i]);
        redisFree(writers[i]);
    }
    redisFree(mover);
    redisFree(client);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(what_was_taken_is_deleted_before_the_answer_and_for_good) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    redisContext *client = server_connect(&server);
    EXPECT(mover, "+OK", "MSET {t}a 1 {t}b 2 {t}c 3");
    redisAppendCommand(mover, "MIGRATE 127.0.0.1 %d %s 0 60000 KEYS {t}a {t}b {t}c", target.port,
                       "");
    int is_done = 0;
    ck_assert_int_eq(redisBufferWrite(mover, &is_done), REDIS_OK);
    target_accept(&target);
    target_read(&target, "SELECT\r\n$1\r\n0\r\n");
    target_say(&target, "+OK\r\n");
    target_read(&target, "{t}c\r\n");
    client_send(client, "SET {t}a again");
    target_say(&target, "+OK\r\n-ERR not now\r\n+OK\r\n");
    EXPECT_NEXT(mover, "-ERR Target instance replied with error: ERR not now");
    EXPECT_NEXT(client, "+OK");
    server_kill(&server);
    redisFree(mover);
    redisFree(client);
    server_restart(&server, server_worker_options[_i], NULL);
    client = server_connect(&server);
    EXPECT(client, "[again 2 nil]", "MGET {t}a {t}b {t}c");
    redisFree(client);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(who_asks_may_leave) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "MSET a 1 b 2");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    redisFree(mover);
    EXPECT(client, "1", "GET a");
    target_say(&target, "+OK\r\n");
    expect_soon(client, ":1", "DBSIZE");
    redisFree(client);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(a_transaction_has_the_key_gone) {
    struct server server = start(_i);
    redisContext *client = server_connect(&server);
    struct redis redis;
    int port = redis_start_on_port(&redis);
    EXPECT(client, "+OK", "MULTI");
    EXPECT(client, "+QUEUED", "MSET a 1 b 2");
    EXPECT(client, "+QUEUED", "INCR a");
    EXPECT_ASKED(client, "+QUEUED", "MIGRATE 127.0.0.1 %d a 0 60000", port);
    EXPECT_ASKED(client, "+QUEUED", "MIGRATE 127.0.0.1 %d missing 0 60000", port);
    EXPECT(client, "+QUEUED", "EXISTS a b");
    EXPECT(client, "[+OK :2 +OK +NOKEY :1]", "EXEC");
    redis_expect(&redis, "2", "GET a");
    redisFree(client);
    redis_stop(&redis);
    redis_remove_folder(&redis);
    server_stop(&server);
}
END_TEST

/* ---- targets that are none ---- */

START_TEST(connections_are_kept_and_a_broken_one_is_made_again) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    EXPECT(mover, "+OK", "MSET a 1 b 2 c 3");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    target_say(&target, "+OK\r\n");
    EXPECT_NEXT(mover, "+OK");
    EXPECT_PART(mover, "migrate_cached_sockets:1", "INFO stats");
    /* No SELECT, nor a connection: it is the same. */
    say(mover, "MIGRATE 127.0.0.1 %d b 0 60000", target.port);
    target_read(&target, "RESTORE\r\n$1\r\nb\r\n");
    target_say(&target, "+OK\r\n");
    EXPECT_NEXT(mover, "+OK");
    target_drop(&target);
    begin(&target, mover, "c 0 60000", "RESTORE\r\n$1\r\nc\r\n");
    target_say(&target, "+OK\r\n");
    EXPECT_NEXT(mover, "+OK");
    EXPECT(mover, ":0", "DBSIZE");
    redisFree(mover);
    target_close(&target);
    server_stop(&server);
}
END_TEST

/* What is left over would be the answer to the next key, which nobody has. */
START_TEST(a_connection_that_says_more_than_it_was_asked_is_not_kept) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    EXPECT(mover, "+OK", "MSET a 1 b 2 c 3");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    target_say(&target, "+OK\r\n+OK\r\n");
    EXPECT_NEXT(mover, "+OK");
    int first = target.fd;
    begin(&target, mover, "b 0 60000", "RESTORE\r\n$1\r\nb\r\n");
    target_say(&target, "+OK\r\n");
    EXPECT_NEXT(mover, "+OK");
    int second = target.fd;
    target_say(&target, "+OK\r\n"); /* while it is kept */
    begin(&target, mover, "c 0 60000", "RESTORE\r\n$1\r\nc\r\n");
    target_say(&target, "-ERR not here\r\n");
    EXPECT_NEXT(mover, "-ERR Target instance replied with error: ERR not here");
    EXPECT(mover, "3", "GET c");
    close(first);
    close(second);
    redisFree(mover);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(a_target_that_dies_gets_a_second_try_and_then_the_key_stays) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    EXPECT(mover, "+OK", "MSET a 1 b 2");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    target_drop(&target);
    target_accept(&target);
    target_read(&target, "SELECT\r\n$1\r\n0\r\n");
    target_drop(&target);
    EXPECT_NEXT(mover, "-IOERR error or timeout reading to target instance");
    EXPECT(mover, ":2", "DBSIZE");
    EXPECT(mover, "+OK", "SET a 2");
    target_close(&target);
    EXPECT_ASKED(mover, "-IOERR error or timeout writing to target instance",
                 "MIGRATE 127.0.0.1 %d a 0 60000", target.port);
    EXPECT(mover, "2", "GET a");
    redisFree(mover);
    server_stop(&server);
}
END_TEST

START_TEST(a_target_that_talks_nonsense_is_none) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    char nonsense[32 * 1024];
    memset(nonsense, 'x', sizeof(nonsense));
    nonsense[sizeof(nonsense) - 1] = '\0';
    EXPECT(mover, "+OK", "SET a 1");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    target_say(&target, nonsense);
    target_accept(&target);
    target_drop(&target);
    EXPECT_NEXT(mover, "-IOERR error or timeout reading to target instance");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    target_say(&target, ":1\r\n");
    target_accept(&target);
    target_drop(&target);
    EXPECT_NEXT(mover, "-IOERR error or timeout reading to target instance");
    EXPECT(mover, "1", "GET a");
    redisFree(mover);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(nothing_is_deleted_while_writes_are_paused) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    redisContext *client = server_connect(&server);
    EXPECT(client, "+OK", "SET a 1");
    begin(&target, mover, "a 0 60000", "RESTORE\r\n$1\r\na\r\n");
    EXPECT(client, "+OK", "CLIENT PAUSE 1000000 WRITE");
    target_say(&target, "+OK\r\n");
    expect_quiet(mover);
    EXPECT(client, "1", "GET a");
    EXPECT(client, "+OK", "CLIENT UNPAUSE");
    EXPECT_NEXT(mover, "+OK");
    EXPECT(client, "nil", "GET a");
    redisFree(mover);
    redisFree(client);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(a_silent_target_has_its_time) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    EXPECT(mover, "+OK", "SET a 1");
    EXPECT_ASKED(mover, "-IOERR error or timeout reading to target instance",
                 "MIGRATE 127.0.0.1 %d a 0 50", target.port);
    EXPECT(mover, "+OK", "SET a 2");
    redisFree(mover);
    target_close(&target);
    server_stop(&server);
}
END_TEST

START_TEST(the_server_ends_while_a_target_is_silent) {
    struct server server = start(_i);
    struct target target = target_open();
    redisContext *mover = server_connect(&server);
    EXPECT(mover, "+OK", "SET a 1");
    begin(&target, mover, "a 0 100000000", "RESTORE\r\n$1\r\na\r\n");
    server_stop(&server);
    redisFree(mover);
    target_close(&target);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        keys_go_to_a_redis_server_and_come_back,
        copy_replace_databases_and_errors_of_the_target,
        writes_to_a_key_wait_and_reads_go_on,
        what_was_taken_is_deleted_before_the_answer_and_for_good,
        who_asks_may_leave,
        a_transaction_has_the_key_gone,
        connections_are_kept_and_a_broken_one_is_made_again,
        a_connection_that_says_more_than_it_was_asked_is_not_kept,
        a_target_that_dies_gets_a_second_try_and_then_the_key_stays,
        a_target_that_talks_nonsense_is_none,
        nothing_is_deleted_while_writes_are_paused,
        a_silent_target_has_its_time,
        the_server_ends_while_a_target_is_silent,
    };
    return unit_run(server_suite("migrate", tests, UNIT_COUNT(tests)));
}
