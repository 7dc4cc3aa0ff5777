/* A slot moves between real nodes by the classic way: SETSLOT, MIGRATE, ASK; clients find every key
 * at any time. */
#include "tests/integration/nodes.h"

#define COMMAND_BYTES 256
#define ID_DIGITS 40

/* The slot of all keys here. */
#define SLOT "15891"
#define MOVED "-MOVED " SLOT " 127.0.0.1:%d"
#define ASK "-ASK " SLOT " 127.0.0.1:%d"
#define TRY_AGAIN "-TRYAGAIN Multiple keys request during rehashing of slot"

/* Owner of all slots, the node that one of them goes to, and a replica of that. */
struct move {
    struct server nodes[3];
    redisContext *source;
    redisContext *target;
    struct reply_text source_id;
    struct reply_text target_id;
};

#define EXPECT_FORMAT(client, command, ...)                                                        \
    do {                                                                                           \
        char wanted_[COMMAND_BYTES];                                                               \
        snprintf(wanted_, sizeof(wanted_), __VA_ARGS__);                                           \
        EXPECT((client), wanted_, (command));                                                      \
    } while (0)

static void set_slot(redisContext *client, const char *what, const struct reply_text *id) {
    char command[COMMAND_BYTES];
    snprintf(command, sizeof(command), "CLUSTER SETSLOT " SLOT " %s %.*s", what, ID_DIGITS,
             id == NULL ? "" : id->bytes);
    EXPECT(client, "+OK", command);
}

static struct move move_begin(int i, size_t count) {
    struct move move;
    for (size_t j = 0; j < count; j++) {
        move.nodes[j] = node_start(server_worker_options[i]);
    }
    nodes_meet(move.nodes, count);
    move.source = server_connect(&move.nodes[0]);
    move.target = server_connect(&move.nodes[1]);
    EXPECT(move.source, "+OK", "CLUSTER ADDSLOTSRANGE 0 16383");
    for (size_t j = 0; j < count; j++) {
        node_expect_soon(&move.nodes[j], "cluster_state:ok", "CLUSTER INFO");
    }
    move.source_id = node_id(&move.nodes[0]);
    move.target_id = node_id(&move.nodes[1]);
    EXPECT(move.source, ":" SLOT, "CLUSTER KEYSLOT {t}");
    EXPECT(move.source, "+OK", "MSET {t}a 1 {t}b 2");
    return move;
}

static void open_slot(struct move *move) {
    set_slot(move->target, "IMPORTING", &move->source_id);
    set_slot(move->source, "MIGRATING", &move->target_id);
}

static void move_end(struct move *move, size_t count) {
    redisFree(move->source);
    redisFree(move->target);
    nodes_stop(move->nodes, count);
}

static void migrate(struct move *move, const char *key, const char *answer) {
    char command[COMMAND_BYTES];
    snprintf(command, sizeof(command), "MIGRATE 127.0.0.1 %d %s 0 60000", move->nodes[1].port, key);
    EXPECT(move->source, answer, command);
}

START_TEST(clients_find_each_key_while_its_slot_moves) {
    struct move move = move_begin(_i, 2);
    int source = move.nodes[0].port;
    int target = move.nodes[1].port;
    EXPECT_FORMAT(move.target, "GET {t}a", MOVED, source);
    open_slot(&move);
    EXPECT_PART(move.source, "[" SLOT "->-", "CLUSTER NODES");
    EXPECT_PART(move.target, "[" SLOT "-<-", "CLUSTER NODES");
    /* What is here is served here, the rest is asked for there. */
    EXPECT(move.source, "1", "GET {t}a");
    EXPECT(move.source, "[1 2]", "MGET {t}a {t}b");
    EXPECT_FORMAT(move.source, "GET {t}new", ASK, target);
    EXPECT_FORMAT(move.source, "SET {t}new 1", ASK, target);
    EXPECT(move.source, TRY_AGAIN, "MGET {t}a {t}new");
    EXPECT(move.source, "nil", "GET {other}");
    /* There only who was sent, and once. */
    EXPECT_FORMAT(move.target, "GET {t}a", MOVED, source);
    EXPECT(move.target, "+OK", "ASKING");
    EXPECT(move.target, "+OK", "SET {t}new 3");
    EXPECT_FORMAT(move.target, "GET {t}new", MOVED, source);
    EXPECT(move.target, "+OK", "ASKING");
    EXPECT(move.target, TRY_AGAIN, "MGET {t}a {t}new");
    EXPECT(move.target, "+OK", "ASKING");
    EXPECT(move.target, "+OK", "MULTI");
    EXPECT(move.target, "+QUEUED", "INCR {t}new");
    EXPECT(move.target, "[:4]", "EXEC");
    migrate(&move, "{t}a", "+OK");
    EXPECT_FORMAT(move.source, "GET {t}a", ASK, target);
    EXPECT(move.source, TRY_AGAIN, "MGET {t}a {t}b");
    EXPECT(move.target, "+OK", "ASKING");
    EXPECT(move.target, "[1 4]", "MGET {t}a {t}new");
    migrate(&move, "{t}b", "+OK");
    migrate(&move, "{t}b", "+NOKEY");
    EXPECT(move.source, ":0", "CLUSTER COUNTKEYSINSLOT " SLOT);
    set_slot(move.target, "NODE", &move.target_id);
    set_slot(move.source, "NODE", &move.target_id);
    EXPECT_FORMAT(move.source, "GET {t}a", MOVED, target);
    EXPECT(move.target, "[1 2 4]", "MGET {t}a {t}b {t}new");
    move_end(&move, 2);
}
END_TEST

START_TEST(a_move_is_taken_back) {
    struct move move = move_begin(_i, 2);
    open_slot(&move);
    EXPECT_FORMAT(move.source, "GET {t}new", ASK, move.nodes[1].port);
    set_slot(move.source, "STABLE", NULL);
    set_slot(move.target, "STABLE", NULL);
    EXPECT(move.source, "nil", "GET {t}new");
    EXPECT(move.target, "+OK", "ASKING");
    EXPECT_FORMAT(move.target, "GET {t}new", MOVED, move.nodes[0].port);
    move_end(&move, 2);
}
END_TEST

START_TEST(keys_go_only_where_their_slot_goes) {
    struct move move = move_begin(_i, 2);
    char answer[COMMAND_BYTES];
    snprintf(answer, sizeof(answer),
             "-ERR Target instance replied with error: MOVED " SLOT " 127.0.0.1:%d",
             move.nodes[0].port);
    migrate(&move, "{t}a", answer);
    EXPECT(move.source, "1", "GET {t}a");
    char command[COMMAND_BYTES];
    snprintf(command, sizeof(command), "CLUSTER SETSLOT " SLOT " NODE %.*s", ID_DIGITS,
             move.target_id.bytes);
    EXPECT(move.source,
           "-ERR Can't assign hashslot " SLOT " to a different node while I still hold "
           "keys for this hash slot.",
           command);
    redisReply *reply = redisCommand(move.source, "MIGRATE 127.0.0.1 %d %s 0 60000 KEYS {t}a other",
                                     move.nodes[1].port, "");
    ck_assert_str_eq(reply->str, "CROSSSLOT Keys in request don't hash to the same slot");
    freeReplyObject(reply);
    move_end(&move, 2);
}
END_TEST

START_TEST(replicas_of_both_sides_follow) {
    struct move move = move_begin(_i, 3);
    char command[COMMAND_BYTES];
    snprintf(command, sizeof(command), "CLUSTER REPLICATE %.*s", ID_DIGITS, move.target_id.bytes);
    redisContext *replica = server_connect(&move.nodes[2]);
    EXPECT(replica, "+OK", command);
    expect_soon(replica, "+OK", "READONLY");
    open_slot(&move);
    migrate(&move, "{t}a", "+OK");
    migrate(&move, "{t}b", "+OK");
    set_slot(move.target, "NODE", &move.target_id);
    expect_soon(replica, "[1 2]", "MGET {t}a {t}b");
    redisFree(replica);
    move_end(&move, 3);
}
END_TEST

/* What the file holds is said to the node. */
static void say_file(const struct server *from, const struct server *to) {
    char pattern[128];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "%s/divergence/slot-" SLOT "-*.aof", from->folder);
    ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
    ck_assert_uint_eq(found.gl_pathc, 1);
    FILE *file = fopen(found.gl_pathv[0], "r");
    ck_assert_ptr_nonnull(file);
    static char bytes[256 * 1024];
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    ck_assert(length > 0 && length < sizeof(bytes));
    fclose(file);
    globfree(&found);
    redisContext *client = server_connect(to);
    ck_assert_int_eq(send(client->fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
    for (int i = 0; i < 3; i++) {
        EXPECT_NEXT(client, "+OK");
    }
    redisFree(client);
}

START_TEST(keys_of_a_slot_that_is_lost_are_kept_in_a_file) {
    struct move move = move_begin(_i, 2);
    ck_assert_str_eq(client_ask_with(move.source, "SET {t}large", 100000).bytes, "+OK");
    EXPECT(move.source, ":1", "PEXPIREAT {t}b 4000000000000");
    EXPECT(move.source, "+OK", "SET elsewhere 1");
    open_slot(&move);
    /* Nothing has moved, and the target says that all has. */
    set_slot(move.target, "NODE", &move.target_id);
    expect_soon(move.source, ":1", "DBSIZE");
    server_expect_log(&move.nodes[0], "3 of them are kept in divergence/slot-" SLOT);
    EXPECT(move.target, "nil", "GET {t}a");
    say_file(&move.nodes[0], &move.nodes[1]);
    EXPECT(move.target, "[1 2]", "MGET {t}a {t}b");
    EXPECT(move.target, ":4000000000000", "PEXPIRETIME {t}b");
    EXPECT(move.target, ":100000", "STRLEN {t}large");
    move_end(&move, 2);
}
END_TEST

START_TEST(keys_of_a_slot_that_was_nobodys_in_between_are_kept_in_a_file) {
    struct move move = move_begin(_i, 2);
    EXPECT(move.source, "+OK", "CLUSTER DELSLOTS " SLOT);
    EXPECT(move.source, ":2", "DBSIZE");
    EXPECT_PART(move.source, "cluster_slots_assigned:16383", "CLUSTER INFO");
    EXPECT(move.target, "+OK", "CLUSTER ADDSLOTS " SLOT);
    expect_soon(move.source, ":0", "DBSIZE");
    server_expect_log(&move.nodes[0], "2 of them are kept in divergence/slot-" SLOT);
    move_end(&move, 2);
}
END_TEST

START_TEST(keys_of_a_slot_that_was_taken_over_are_kept_in_a_file) {
    struct move move = move_begin(_i, 3);
    char command[COMMAND_BYTES];
    char part[COMMAND_BYTES];
    snprintf(part, sizeof(part), "%.*s 127.0.0.1:%d@%d master,fail", ID_DIGITS,
             move.source_id.bytes, move.nodes[0].port, move.nodes[0].port + 10000);
    server_kill(&move.nodes[0]);
    node_expect_soon(&move.nodes[1], part, "CLUSTER NODES");
    /* What CLUSTER NODES tells may be ahead of the map. */
    do {
        EXPECT(move.target, "+OK", "CLUSTER DELSLOTS " SLOT);
    } while (strcmp(client_ask(move.target, "CLUSTER ADDSLOTS " SLOT).bytes, "+OK") != 0);
    node_restart(&move.nodes[0], server_worker_options[_i]);
    redisFree(move.source);
    move.source = server_connect(&move.nodes[0]);
    expect_soon(move.source, ":0", "DBSIZE");
    server_expect_log(&move.nodes[0], "2 of them are kept in divergence/slot-" SLOT);
    snprintf(command, sizeof(command), MOVED, move.nodes[1].port);
    EXPECT(move.source, command, "GET {t}a");
    move_end(&move, 3);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        clients_find_each_key_while_its_slot_moves,
        a_move_is_taken_back,
        keys_go_only_where_their_slot_goes,
        replicas_of_both_sides_follow,
        keys_of_a_slot_that_is_lost_are_kept_in_a_file,
        keys_of_a_slot_that_was_nobodys_in_between_are_kept_in_a_file,
        keys_of_a_slot_that_was_taken_over_are_kept_in_a_file,
    };
    return unit_run(server_suite("moving", tests, UNIT_COUNT(tests)));
}
