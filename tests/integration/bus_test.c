/* Nodes of a cluster find each other over their bus, agree, and let no stranger in. */
#include "tests/integration/nodes.h"

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

int main(void) {
    Suite *suite = suite_create("bus");
    TCase *tcase = tcase_create("bus");
    tcase_set_timeout(tcase, UNIT_TIMEOUT_SECONDS);
    tcase_add_test(tcase, nodes_that_meet_in_a_ring_agree);
    tcase_add_test(tcase, redis_cli_creates_a_cluster);
    tcase_add_test(tcase, two_owners_of_a_slot_do_not_meet);
    suite_add_tcase(suite, tcase);
    return unit_run(suite);
}
