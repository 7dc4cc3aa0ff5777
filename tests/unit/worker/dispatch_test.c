#include "worker/route.h"

#include "tests/unit/worker/workers.h"
#include "worker/session.h"

#define KEYS 200

static const struct command *command_of(const struct workers *workers, const char *name) {
    struct span word = span_of_string(name);
    const struct command_slot *container = NULL;
    const struct command_slot *slot =
        command_table_resolve(workers->node.commands, &word, 1, &container);
    ck_assert_ptr_nonnull(slot);
    return slot->command;
}

START_TEST(many_keys_of_one_worker_need_that_worker_alone) {
    struct workers *workers = workers_new(3);
    const struct command *command = command_of(workers, "mget");
    static char texts[KEYS][32];
    struct span args[KEYS + 1] = {span_of_string("MGET")};
    for (int i = 0; i < KEYS; i++) {
        int length = snprintf(texts[i], sizeof(texts[i]), "{tag}%d", i);
        args[i + 1] = span_of(texts[i], (size_t)length);
    }
    uint64_t owner = route_key_owners(&workers->node, command, args, 2);
    ck_assert_uint_ne(owner, 0);
    ck_assert_uint_eq(owner & (owner - 1), 0);
    ck_assert_uint_eq(route_key_owners(&workers->node, command, args, KEYS + 1), owner);
    /* The last of many counts as the first does. */
    uint64_t both = owner;
    for (char c = 'a'; both == owner; c++) {
        texts[KEYS - 1][1] = c;
        both = route_key_owners(&workers->node, command, args, KEYS + 1);
        ck_assert_int_le(c, 'z');
    }
    ck_assert_uint_eq(both & owner, owner);
    ck_assert_int_eq(__builtin_popcountll(both), 2);
    workers_free(workers);
}
END_TEST

START_TEST(a_gather_is_one_command_of_its_connection) {
    struct workers *workers = workers_new(3);
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer, "PING\r\nDBSIZE\r\nSET a 1\r\nDBSIZE\r\n");
    workers_settle(workers);
    peer_expect(&peer, "+PONG\r\n:0\r\n+OK\r\n:1\r\n");
    ck_assert_uint_eq(peer.connection->commands, 4);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

/* As in Redis: what is off is off for the last words too, and the connection ends. */
START_TEST(a_protocol_error_is_not_told_while_replies_are_off) {
    static const char *const modes[] = {"CLIENT REPLY OFF\r\n", "CLIENT REPLY SKIP\r\n"};
    struct workers *workers = workers_new(1);
    for (size_t i = 0; i < UNIT_COUNT(modes); i++) {
        struct peer peer = peer_new(workers, 0);
        peer_say(&peer, modes[i]);
        peer_say(&peer, "*1\r\n!\r\n");
        workers_settle(workers);
        char byte;
        ck_assert_int_eq(recv(peer.fd, &byte, 1, 0), 0);
        ck_assert_uint_eq(workers_at(workers, 0)->executor.error_replies, i + 1);
        close(peer.fd);
    }
    workers_free(workers);
}
END_TEST

static void fill(char *place, size_t length, char with) {
    memset(place, with, length);
    place[length] = '\0';
}

START_TEST(an_error_repeats_no_more_than_a_part_of_the_clients_words) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    char said[4 * QUOTED_BYTES_MAX];
    char wanted[4 * QUOTED_BYTES_MAX];
    char longer[2 * QUOTED_BYTES_MAX];
    char most[QUOTED_BYTES_MAX + 1];
    fill(longer, sizeof(longer) - 1, 'x');
    fill(most, QUOTED_BYTES_MAX, 'x');
    snprintf(said, sizeof(said), "%s a\r\n", longer);
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command '%s', with args beginning with: 'a' \r\n", most);
    peer_say(&peer, said);
    workers_settle(workers);
    peer_expect(&peer, wanted);
    snprintf(said, sizeof(said), "CLIENT %s\r\n", longer);
    snprintf(wanted, sizeof(wanted), "-ERR unknown subcommand '%s'. Try CLIENT HELP.\r\n", most);
    peer_say(&peer, said);
    workers_settle(workers);
    peer_expect(&peer, wanted);
    /* All arguments together: quotes and blanks count. */
    fill(longer, QUOTED_BYTES_MAX - 8, 'y');
    snprintf(said, sizeof(said), "NO a %s b\r\n", longer);
    fill(most, QUOTED_BYTES_MAX - 8, 'y');
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command 'NO', with args beginning with: 'a' '%s' 'b' \r\n", most);
    peer_say(&peer, said);
    workers_settle(workers);
    peer_expect(&peer, wanted);
    fill(longer, QUOTED_BYTES_MAX - 7, 'y');
    snprintf(said, sizeof(said), "NO a %s b\r\n", longer);
    snprintf(wanted, sizeof(wanted),
             "-ERR unknown command 'NO', with args beginning with: 'a' '%s' \r\n", longer);
    peer_say(&peer, said);
    workers_settle(workers);
    peer_expect(&peer, wanted);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        many_keys_of_one_worker_need_that_worker_alone,
        a_gather_is_one_command_of_its_connection,
        a_protocol_error_is_not_told_while_replies_are_off,
        an_error_repeats_no_more_than_a_part_of_the_clients_words,
    };
    return unit_run(unit_suite("dispatch", tests, UNIT_COUNT(tests)));
}
