#include "worker/slow_log.h"

#include "tests/unit/worker/workers.h"

/* SLOWLOG GET 1 without id, time and duration, which lead it. */
static void expect_newest(struct workers *workers, const struct peer *peer, const char *wanted) {
    char got[16384];
    peer_say(peer, "SLOWLOG GET 1\r\n");
    workers_settle(workers);
    ssize_t length = recv(peer->fd, got, sizeof(got) - 1, 0);
    ck_assert_int_gt(length, 0);
    got[length] = '\0';
    char *at = got;
    for (int line = 0; line < 5; line++) { /* *1 *6 :id :time :duration */
        at = strstr(at, "\r\n");
        ck_assert_ptr_nonnull(at);
        at += 2;
    }
    ck_assert_msg(strncmp(at, wanted, strlen(wanted)) == 0, "got %s", at);
}

static void note(struct workers *workers, const struct peer *peer, struct span *args,
                 uint32_t count, uint64_t redacted, int64_t duration_us) {
    struct queued_command command = {
        .command = command_table_find(workers->node.commands, span_of_string("mset")),
        .args = args,
        .args_count = count,
    };
    slow_log_note(&workers->node, peer->connection, &command, redacted, duration_us);
}

START_TEST(commands_below_the_threshold_are_not_kept) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    struct span args[1] = {span_of_string("x")};
    struct slow_log *log = &workers->node.slow_log;
    workers->options.slowlog_log_slower_than = 100;
    note(workers, &peer, args, 1, 0, 99);
    ck_assert_int_eq(slow_log_count(log), 0);
    note(workers, &peer, args, 1, 0, 100);
    ck_assert_int_eq(slow_log_count(log), 1);
    workers->options.slowlog_log_slower_than = -1;
    note(workers, &peer, args, 1, 0, 1000000);
    ck_assert_int_eq(slow_log_count(log), 1);
    workers->options.slowlog_log_slower_than = 0;
    workers->options.slowlog_max_len = 0;
    note(workers, &peer, args, 1, 0, 1000000);
    ck_assert_int_eq(slow_log_count(log), 1);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(the_newest_stay_and_ids_go_on) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    workers->options.slowlog_max_len = 2;
    char text[8];
    for (int i = 0; i < 5; i++) {
        struct span args[1] = {span_of(text, (size_t)snprintf(text, sizeof(text), "%d", i))};
        note(workers, &peer, args, 1, 0, 1000000);
    }
    ck_assert_int_eq(slow_log_count(&workers->node.slow_log), 2);
    ck_assert_int_eq(workers->node.slow_log.next_id, 5);
    expect_newest(workers, &peer, "*1\r\n$1\r\n4\r\n");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(long_and_many_arguments_are_cut) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    char text[SLOW_LOG_ARGUMENT_BYTES_MAX + 10];
    memset(text, 'x', sizeof(text));
    struct span args[SLOW_LOG_ARGUMENTS_MAX + 5];
    for (size_t i = 0; i < UNIT_COUNT(args); i++) {
        args[i] = span_of(text, 1);
    }
    args[0] = span_of(text, SLOW_LOG_ARGUMENT_BYTES_MAX + 1);
    char wanted[1024];
    snprintf(wanted, sizeof(wanted), "*1\r\n$%zu\r\n%.*s... (1 more bytes)\r\n",
             SLOW_LOG_ARGUMENT_BYTES_MAX + strlen("... (1 more bytes)"),
             SLOW_LOG_ARGUMENT_BYTES_MAX, text);
    note(workers, &peer, args, 1, 0, 1000000);
    expect_newest(workers, &peer, wanted);

    args[0] = span_of(text, 1);
    struct buffer many = BUFFER_EMPTY;
    buffer_format(&many, "*%d\r\n", SLOW_LOG_ARGUMENTS_MAX);
    for (int i = 0; i < SLOW_LOG_ARGUMENTS_MAX - 1; i++) {
        buffer_append_string(&many, "$1\r\nx\r\n");
    }
    buffer_append_string(&many, "$22\r\n... (6 more arguments)\r\n");
    buffer_append_byte(&many, '\0');
    note(workers, &peer, args, UNIT_COUNT(args), 0, 1000000);
    expect_newest(workers, &peer, many.bytes);
    buffer_free(&many);

    many = BUFFER_EMPTY;
    buffer_format(&many, "*%d\r\n", SLOW_LOG_ARGUMENTS_MAX);
    for (int i = 0; i < SLOW_LOG_ARGUMENTS_MAX; i++) {
        buffer_append_string(&many, "$1\r\nx\r\n");
    }
    buffer_append_byte(&many, '\0');
    note(workers, &peer, args, SLOW_LOG_ARGUMENTS_MAX, 0, 1000000);
    expect_newest(workers, &peer, many.bytes);
    buffer_free(&many);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(redacted_arguments_are_not_shown) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    struct span args[3] = {span_of_string("AUTH"), span_of_string("me"), span_of_string("secret")};
    note(workers, &peer, args, 3, 1 << 2, 1000000);
    expect_newest(workers, &peer, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$10\r\n(redacted)\r\n");
    ck_assert(argument_is_redacted(UINT64_C(1) << 63, 63));
    ck_assert(argument_is_redacted(UINT64_C(1) << 63, 1000));
    ck_assert(!argument_is_redacted(UINT64_C(1) << 63, 62));
    workers_free(workers);
    close(peer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        commands_below_the_threshold_are_not_kept,
        the_newest_stay_and_ids_go_on,
        long_and_many_arguments_are_cut,
        redacted_arguments_are_not_shown,
    };
    return unit_run(unit_suite("slow_log", tests, UNIT_COUNT(tests)));
}
