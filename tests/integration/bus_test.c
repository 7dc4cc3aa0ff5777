/* Nodes of a cluster find each other over their bus, agree, and let no stranger in. */
#include "cluster/bus_link.h"
#include "cluster/member_bus.h"

#include "tests/integration/nodes.h"

#define STRANGERS 80 /* more than may prove who they are at once: LINKS_PROVING_MAX */
#define HOSTILE_LINKS 300

/* Where each slot is and who replicates whom, as the node tells it, but what only it sees so. */
static struct reply_text view_of(const struct server *node) {
    struct reply_text nodes = node_ask(node, "CLUSTER NODES");
    struct reply_text view = {.length = 0};
    char *save = NULL;
    for (char *line = strtok_r(nodes.bytes, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char id[64];
        char address[64];
        char flags[64];
        char primary[64];
        char epoch[64];
        char state[64];
        int end = 0;
        ck_assert_int_eq(sscanf(line, "%63s %63s %63s %63s %*s %*s %63s %63s%n", id, address, flags,
                                primary, epoch, state, &end),
                         6);
        const char *role = strncmp(flags, "myself,", 7) == 0 ? flags + 7 : flags;
        char text[512];
        snprintf(text, sizeof(text), "%s %s %s %s %s %s%s\n", id, address, role, primary, epoch,
                 state, line + end);
        reply_text_append(&view, text, strlen(text));
    }
    return view;
}

static void expect_agreement(const struct server *nodes, size_t count) {
    struct reply_text first = {.length = 0};
    for (int i = 0; i < SERVER_PATIENCE_SECONDS * 100; i++) {
        bool is_one = true;
        first = view_of(&nodes[0]);
        for (size_t j = 1; j < count && is_one; j++) {
            struct reply_text other = view_of(&nodes[j]);
            is_one = strcmp(first.bytes, other.bytes) == 0;
        }
        if (is_one) {
            return;
        }
        server_sleep_ms(10);
    }
    ck_abort_msg("the nodes do not agree: the first says\n%s", first.bytes);
}

/* ---- meeting ---- */

/* Each node is told of the next one, all at once. */
START_TEST(nodes_that_meet_in_a_ring_agree) {
    struct server nodes[4];
    redisContext *clients[4];
    nodes_start(nodes, 4);
    for (size_t i = 0; i < 4; i++) {
        char command[64];
        clients[i] = server_connect(&nodes[i]);
        snprintf(command, sizeof(command), "CLUSTER MEET 127.0.0.1 %d", nodes[(i + 1) % 4].port);
        client_send(clients[i], command);
    }
    for (size_t i = 0; i < 4; i++) {
        EXPECT_NEXT(clients[i], "+OK");
        redisFree(clients[i]);
    }
    nodes_expect_count(nodes, 4, 4);
    expect_agreement(nodes, 4);
    node_expect_soon(&nodes[2], "direction", "CLUSTER LINKS");
    nodes_stop(nodes, 4);
}
END_TEST

START_TEST(redis_cli_creates_a_cluster) {
    struct server nodes[6];
    char command[512] = "redis-cli --cluster create";
    nodes_start(nodes, 6);
    for (size_t i = 0; i < 6; i++) {
        size_t length = strlen(command);
        snprintf(command + length, sizeof(command) - length, " 127.0.0.1:%d", nodes[i].port);
    }
    size_t length = strlen(command);
    snprintf(command + length, sizeof(command) - length,
             " --cluster-replicas 1 --cluster-yes >/dev/null 2>&1");
    ck_assert_int_eq(system(command), 0);
    expect_agreement(nodes, 6);
    for (size_t i = 0; i < 6; i++) {
        node_expect_soon(&nodes[i], "cluster_slots_ok:16384", "CLUSTER INFO");
    }
    nodes_stop(nodes, 6);
}
END_TEST

START_TEST(two_owners_of_a_slot_do_not_meet) {
    struct server nodes[2];
    nodes_start(nodes, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(node_ask(&nodes[i], "CLUSTER ADDSLOTS 1 2 3").bytes, "+OK");
    }
    char command[64];
    snprintf(command, sizeof(command), "CLUSTER MEET 127.0.0.1 %d", nodes[1].port);
    struct reply_text got = node_ask(&nodes[0], command);
    ck_assert_msg(strstr(got.bytes, "lot 1") != NULL, "%s", got.bytes);
    nodes_expect_count(nodes, 2, 1);
    nodes_stop(nodes, 2);
}
END_TEST

/* ---- a node's place ---- */

START_TEST(a_node_that_restarts_takes_its_place_back_with_a_new_port) {
    struct server nodes[3];
    char part[96];
    nodes_start(nodes, 3);
    nodes_meet(nodes, 3);
    ck_assert_str_eq(node_ask(&nodes[1], "CLUSTER ADDSLOTS 5").bytes, "+OK");
    struct reply_text id = node_id(&nodes[1]);
    server_kill(&nodes[1]);
    nodes[1].port = server_free_port();
    node_restart(&nodes[1], NULL);
    snprintf(part, sizeof(part), "%.40s 127.0.0.1:%d@%d master", id.bytes, nodes[1].port,
             nodes[1].port + SERVER_BUS_DISTANCE);
    node_expect_soon(&nodes[0], part, "CLUSTER NODES");
    nodes_expect_count(nodes, 3, 3);
    expect_agreement(nodes, 3);
    ck_assert_ptr_nonnull(strstr(node_ask(&nodes[2], "CLUSTER NODES").bytes, " connected 5\n"));
    nodes_stop(nodes, 3);
}
END_TEST

/* Its links are open, and say nothing. */
START_TEST(a_node_that_was_stopped_for_a_while_is_missed_and_heard_again) {
    struct server nodes[3];
    char part[96];
    nodes_start(nodes, 3);
    nodes_meet(nodes, 3);
    struct reply_text id = node_id(&nodes[2]);
    kill(nodes[2].pid, SIGSTOP);
    snprintf(part, sizeof(part), "%.40s 127.0.0.1:%d@%d master,fail", id.bytes, nodes[2].port,
             nodes[2].port + SERVER_BUS_DISTANCE);
    node_expect_soon(&nodes[0], part, "CLUSTER NODES");
    server_expect_log(&nodes[0], "nothing is heard of the node");
    ck_assert_str_eq(node_ask(&nodes[1], "CLUSTER ADDSLOTS 9").bytes, "+OK");
    kill(nodes[2].pid, SIGCONT);
    node_expect_soon(&nodes[2], " connected 9\n", "CLUSTER NODES");
    strcpy(strstr(part, ",fail"), " -");
    node_expect_soon(&nodes[0], part, "CLUSTER NODES");
    expect_agreement(nodes, 3);
    nodes_stop(nodes, 3);
}
END_TEST

START_TEST(nodes_replicate_are_forgotten_and_reset) {
    struct server nodes[4];
    char command[128];
    nodes_start(nodes, 4);
    nodes_meet(nodes, 4);
    struct reply_text first = node_id(&nodes[0]);
    snprintf(command, sizeof(command), "CLUSTER REPLICATE %.40s", first.bytes);
    ck_assert_str_eq(node_ask(&nodes[1], command).bytes, "+OK");
    snprintf(command, sizeof(command), "slave %.40s", first.bytes);
    node_expect_soon(&nodes[2], command, "CLUSTER NODES");

    struct reply_text third = node_id(&nodes[2]);
    snprintf(command, sizeof(command), "CLUSTER FORGET %.40s", third.bytes);
    ck_assert_str_eq(node_ask(&nodes[0], command).bytes, "+OK");
    nodes_expect_count(&nodes[2], 1, 1);
    nodes_expect_count(nodes, 2, 3);

    struct reply_text fourth = node_id(&nodes[3]);
    ck_assert_str_eq(node_ask(&nodes[3], "CLUSTER RESET HARD").bytes, "+OK");
    nodes_expect_count(&nodes[3], 1, 1);
    nodes_expect_count(nodes, 2, 2);
    ck_assert_str_ne(node_id(&nodes[3]).bytes, fourth.bytes);

    /* Both come back, one of them by another name. */
    node_meet(&nodes[3], &nodes[2]);
    node_meet(&nodes[2], &nodes[1]);
    nodes_expect_count(nodes, 4, 4);
    expect_agreement(nodes, 4);
    nodes_stop(nodes, 4);
}
END_TEST

/* ---- what the cluster cannot survive ---- */

START_TEST(a_cluster_that_has_lost_most_of_its_voters_is_founded_anew) {
    struct server nodes[3];
    char part[96];
    nodes_start(nodes, 3);
    node_expect_soon(&nodes[0], "tarn_cluster_weakness:Fewer than three voters", "INFO cluster");
    nodes_meet(nodes, 3);
    for (int i = 0; i < 3; i++) {
        node_expect_soon(&nodes[i], "tarn_cluster_voters:3\r\n", "INFO cluster");
    }
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER OVERRIDE").bytes,
                     "-ERR The cluster has a leader: nothing is to be overridden");
    server_kill(&nodes[1]);
    server_kill(&nodes[2]);
    node_expect_soon(&nodes[0], "tarn_cluster_weakness:No majority", "INFO cluster");
    server_expect_log(&nodes[0], "Cluster: No majority of the voters is there");
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER OVERRIDE").bytes, "+OK");
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER ADDSLOTS 77").bytes, "+OK");

    /* Who comes back goes over to it. */
    struct reply_text first = node_id(&nodes[0]);
    snprintf(part, sizeof(part), "%.40s 127.0.0.1:%d@%d master - 0 ", first.bytes, nodes[0].port,
             nodes[0].port + SERVER_BUS_DISTANCE);
    node_restart(&nodes[1], NULL);
    node_expect_soon(&nodes[1], "connected 77\n", "CLUSTER NODES");
    node_expect_soon(&nodes[1], part, "CLUSTER NODES");
    server_stop(&nodes[1]);
    server_stop(&nodes[0]);
    server_remove_folder(nodes[2].folder);
}
END_TEST

/* ---- PUBLISH ---- */

START_TEST(what_is_published_reaches_all_nodes_and_shard_channels_the_shard) {
    struct server nodes[3];
    redisContext *clients[3];
    char command[128];
    nodes_start(nodes, 3);
    nodes_meet(nodes, 3);
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 16383").bytes, "+OK");
    snprintf(command, sizeof(command), "CLUSTER REPLICATE %.40s", node_id(&nodes[0]).bytes);
    ck_assert_str_eq(node_ask(&nodes[1], command).bytes, "+OK");
    expect_agreement(nodes, 3);
    for (int i = 0; i < 3; i++) {
        clients[i] = server_connect(&nodes[i]);
        EXPECT(clients[i], "[subscribe news :1]", "SUBSCRIBE news");
        EXPECT(clients[i], "[psubscribe n* :2]", "PSUBSCRIBE n*");
    }
    EXPECT(clients[1], "[ssubscribe shard :1]", "SSUBSCRIBE shard");
    redisContext *publisher = server_connect(&nodes[0]);
    EXPECT(publisher, ":0", "SPUBLISH shard s");
    EXPECT(publisher, ":2", "PUBLISH news first");
    EXPECT(publisher, "+OK", "MULTI");
    EXPECT(publisher, "+QUEUED", "PUBLISH news second");
    EXPECT(publisher, "[:2]", "EXEC");
    EXPECT_NEXT(clients[1], "[smessage shard s]");
    for (int i = 0; i < 3; i++) {
        EXPECT_NEXT(clients[i], "[message news first]");
        EXPECT_NEXT(clients[i], "[pmessage n* news first]");
        EXPECT_NEXT(clients[i], "[message news second]");
        EXPECT_NEXT(clients[i], "[pmessage n* news second]");
        redisFree(clients[i]);
    }
    redisFree(publisher);
    nodes_stop(nodes, 3);
}
END_TEST

/* One that is larger than a frame goes in pieces, and those behind it wait. What is under way when
 * a link breaks is lost, so none may be taken for dead for being slow. */
START_TEST(what_is_published_keeps_its_order_whatever_its_size) {
    static const size_t sizes[] = {3000000, 10, 1048571, 1048572, 0, 2097140};
    struct server nodes[2];
    nodes_start(nodes, 2);
    nodes_meet(nodes, 2);
    redisContext *listener = server_connect(&nodes[1]);
    redisContext *publisher = server_connect(&nodes[0]);
    EXPECT(listener, "+OK", "CONFIG SET cluster-node-timeout 60000");
    EXPECT(publisher, "+OK", "CONFIG SET cluster-node-timeout 60000");
    EXPECT(listener, "[subscribe c :1]", "SUBSCRIBE c");
    for (size_t i = 0; i < UNIT_COUNT(sizes); i++) {
        char *text = malloc(sizes[i] + 1);
        memset(text, 'a' + (int)i, sizes[i]);
        redisReply *reply = redisCommand(publisher, "PUBLISH c %b", text, sizes[i]);
        ck_assert(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
        freeReplyObject(reply);
        free(text);
    }
    for (size_t i = 0; i < UNIT_COUNT(sizes); i++) {
        redisReply *reply = NULL;
        ck_assert_int_eq(redisGetReply(listener, (void **)&reply), REDIS_OK);
        ck_assert_uint_eq(reply->elements, 3);
        ck_assert_uint_eq(reply->element[2]->len, sizes[i]);
        ck_assert(sizes[i] == 0 || reply->element[2]->str[sizes[i] - 1] == 'a' + (int)i);
        freeReplyObject(reply);
    }
    redisFree(listener);
    redisFree(publisher);
    nodes_stop(nodes, 2);
}
END_TEST

/* ---- strangers ---- */

static int bus_connect(const struct server *node) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)(node->port + SERVER_BUS_DISTANCE)),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Reads until the node closes the connection; answers how many bytes came. */
static size_t drain(int fd) {
    char bytes[4096];
    size_t count = 0;
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0) {
            close(fd);
            return count;
        }
        count += (size_t)got;
    }
}

static size_t count_of(const struct server *node, const char *part) {
    char *text = server_log(node);
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    free(text);
    return count;
}

START_TEST(strangers_are_refused_with_few_words) {
    struct server nodes[2];
    nodes_start(nodes, 2);
    for (int i = 0; i < STRANGERS; i++) {
        int fd = bus_connect(&nodes[0]);
        ck_assert_int_eq(send(fd, "PING\r\n", 6, 0), 6);
        ck_assert_uint_eq(drain(fd), 0);
    }
    server_expect_log(&nodes[0], "it does not speak as a node of a cluster");
    ck_assert_uint_lt(count_of(&nodes[0], "refused the node"), STRANGERS / 4);
    nodes_stop(nodes, 2);
}
END_TEST

/* They say nothing, and hold places: who does speak gets one. */
START_TEST(silent_strangers_do_not_keep_a_node_out) {
    struct server nodes[2];
    int fds[STRANGERS];
    nodes_start(nodes, 2);
    for (int i = 0; i < STRANGERS; i++) {
        fds[i] = bus_connect(&nodes[1]);
    }
    node_meet(&nodes[0], &nodes[1]);
    for (int i = 0; i < STRANGERS; i++) {
        ck_assert_uint_eq(drain(fds[i]), 0);
    }
    nodes_expect_count(nodes, 2, 2);
    nodes_stop(nodes, 2);
}
END_TEST

START_TEST(only_who_knows_the_secret_is_met) {
    struct server nodes[3] = {
        node_start("--cluster-secret word"),
        node_start("--cluster-secret word"),
        node_start(_i == 0 ? "--cluster-secret another" : NULL),
    };
    char command[64];
    nodes_meet(nodes, 2);
    redisContext *client = server_connect(&nodes[2]);
    snprintf(command, sizeof(command), "CLUSTER MEET 127.0.0.1 %d", nodes[0].port);
    client_send(client, command);
    server_expect_log(&nodes[0], "it does not know this node's cluster-secret");
    server_expect_log(&nodes[2], "perhaps it has another cluster-secret");
    ck_assert_uint_eq(count_of(&nodes[0], "word"), 0);
    nodes_expect_count(nodes, 2, 2);
    nodes_expect_count(&nodes[2], 1, 1);
    redisFree(client);
    nodes_stop(nodes, 3);
}
END_TEST

START_TEST(without_a_secret_other_machines_are_not_met) {
    struct server node = node_start(NULL);
    struct reply_text got = node_ask(&node, "CLUSTER MEET 10.255.1.2 7000");
    ck_assert_msg(strstr(got.bytes, "-ERR Without a cluster-secret") == got.bytes, "%s", got.bytes);
    server_stop(&node);
}
END_TEST

/* ---- a node that knows the secret, and is mad ---- */

struct mad_link {
    int fd;
    struct bus_link *bus;
    struct buffer out;
};

static void mad_flush(struct mad_link *link) {
    ssize_t sent = send(link->fd, link->out.bytes, link->out.length, MSG_NOSIGNAL);
    (void)sent; /* It may have been thrown out already. */
    buffer_clear(&link->out);
}

static struct mad_link mad_connect(const struct server *node, unsigned char name) {
    struct mad_link link = {.fd = bus_connect(node)};
    struct bus_link_plan plan = {.is_connector = true, .self = {.bytes = {name}}, .nonce = {name}};
    struct bus_frame frame;
    char bytes[4096];
    plan.self.bytes[1] = 1;
    link.bus = bus_link_new(&plan, &link.out);
    mad_flush(&link);
    while (!bus_link_is_proved(link.bus)) {
        ssize_t got = recv(link.fd, bytes, sizeof(bytes), 0);
        ck_assert_int_gt(got, 0);
        bus_link_receive(link.bus, span_of(bytes, (size_t)got));
        ck_assert_int_ne(bus_link_next(link.bus, &frame, &link.out), BUS_REFUSED);
        mad_flush(&link);
    }
    return link;
}

static void mad_free(struct mad_link *link) {
    close(link->fd);
    bus_link_free(link->bus);
    buffer_free(&link->out);
}

/* A message that is none, or that says what is not so. */
static void mad_message(unsigned seed, struct buffer *bytes) {
    static struct member_message message;
    memset(&message, 0, sizeof(message));
    message.kind = (enum member_message_kind)(1 + seed % MEMBER_CENSUS);
    memset(message.group.bytes, (int)seed, sizeof(message.group.bytes));
    message.bytes = span_of_string("\1\2\3\4\5\6\7\10\11");
    message.hello.nodes = message.kind == MEMBER_HELLO ? (uint16_t)seed : message.hello.nodes;
    if (message.kind == MEMBER_ADOPT || message.kind == MEMBER_ADOPT_ANSWER) {
        memset(&message.adopt, 0, sizeof(message.adopt));
        message.adopt.map = span_of_string("no map");
    } else if (message.kind != MEMBER_FORWARD && message.kind != MEMBER_RAFT &&
               message.kind != MEMBER_CENSUS && message.kind != MEMBER_HELLO) {
        memset(&message.hello, 0, sizeof(message.hello));
    }
    member_message_write(&message, bytes);
    if (seed / MEMBER_CENSUS % 3 == 1) {
        bytes->length = bytes->length * (seed % 7) / 7;
    } else if (seed / MEMBER_CENSUS % 3 == 2) {
        bytes->bytes[seed * 31 % bytes->length] ^= (char)(1 + seed % 255);
    }
}

START_TEST(a_mad_node_harms_nobody) {
    struct server nodes[2];
    nodes_start(nodes, 2);
    nodes_meet(nodes, 2);
    ck_assert_str_eq(node_ask(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 16383").bytes, "+OK");
    for (unsigned seed = 0; seed < HOSTILE_LINKS; seed++) {
        struct mad_link link = mad_connect(&nodes[seed % 2], (unsigned char)(seed % 3));
        struct buffer bytes = BUFFER_EMPTY;
        for (unsigned i = 0; i < 4; i++) {
            buffer_clear(&bytes);
            mad_message(seed * 4 + i, &bytes);
            bus_link_send(link.bus, BUS_MEMBER, buffer_span(&bytes), &link.out);
        }
        /* A kind of a later version is let pass; a changed frame is not. */
        bus_link_send(link.bus, (enum bus_kind)200, span_of_string("later"), &link.out);
        bus_link_send(link.bus, BUS_PING, span_of(NULL, 0), &link.out);
        link.out.bytes[link.out.length - 1] ^= 1;
        mad_flush(&link);
        buffer_free(&bytes);
        mad_free(&link);
    }
    server_expect_log(&nodes[0], "the link to the node at 127.0.0.1");
    nodes_expect_count(nodes, 2, 2);
    expect_agreement(nodes, 2);
    ck_assert_str_eq(node_ask(&nodes[0], "SET key value").bytes, "+OK");
    nodes_stop(nodes, 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bus");
    TCase *tcase = tcase_create("bus");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_test(tcase, nodes_that_meet_in_a_ring_agree);
    tcase_add_test(tcase, redis_cli_creates_a_cluster);
    tcase_add_test(tcase, two_owners_of_a_slot_do_not_meet);
    tcase_add_test(tcase, a_node_that_restarts_takes_its_place_back_with_a_new_port);
    tcase_add_test(tcase, a_node_that_was_stopped_for_a_while_is_missed_and_heard_again);
    tcase_add_test(tcase, nodes_replicate_are_forgotten_and_reset);
    tcase_add_test(tcase, a_cluster_that_has_lost_most_of_its_voters_is_founded_anew);
    tcase_add_test(tcase, what_is_published_reaches_all_nodes_and_shard_channels_the_shard);
    tcase_add_test(tcase, what_is_published_keeps_its_order_whatever_its_size);
    tcase_add_test(tcase, strangers_are_refused_with_few_words);
    tcase_add_test(tcase, silent_strangers_do_not_keep_a_node_out);
    tcase_add_loop_test(tcase, only_who_knows_the_secret_is_met, 0, 2);
    tcase_add_test(tcase, without_a_secret_other_machines_are_not_met);
    tcase_add_test(tcase, a_mad_node_harms_nobody);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
