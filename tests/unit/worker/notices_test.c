#include "worker/notices.h"

#include "tests/unit/worker/workers.h"

#define MESSAGE_BYTES ((size_t)1024 * 1024)
#define EVENTS "__keyevent@0__:set"

static bool is_closed(const struct peer *peer) {
    char byte;
    return recv(peer->fd, &byte, 1, MSG_PEEK) == 0;
}

static struct peer listener_new(struct workers *workers, uint32_t home, enum pubsub_kind kind,
                                const char *name) {
    struct peer peer = peer_new(workers, home);
    ck_assert_int_eq(pubsub_subscribe(peer.connection, kind, span_of_string(name)), PUBSUB_CHANGED);
    return peer;
}

/* Worker 0 tells of more than may be on its way to worker 1, which takes no mail meanwhile. Answers
 * how many notices fitted. */
static uint32_t overflow(struct workers *workers, enum notice kind, const char *channel) {
    char *text = memory_alloc_zeroed(MESSAGE_BYTES);
    uint32_t count = (uint32_t)(NOTICES_BYTES_MAX / MESSAGE_BYTES) + 1;
    memset(text, 'x', MESSAGE_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        notices_add(workers_at(workers, 0), 2, kind, span_of_string(channel),
                    span_of(text, MESSAGE_BYTES));
        workers_tick(workers, 0);
    }
    memory_free(text);
    return count;
}

START_TEST(who_misses_an_event_is_closed_and_counted) {
    struct workers *workers = workers_new(2);
    struct peer channel = listener_new(workers, 1, PUBSUB_CHANNEL, EVENTS);
    struct peer pattern = listener_new(workers, 1, PUBSUB_PATTERN, "__key*");
    struct peer any = listener_new(workers, 1, PUBSUB_PATTERN, "[a-z_]*");
    struct peer chat = listener_new(workers, 1, PUBSUB_CHANNEL, "chat");
    struct peer chats = listener_new(workers, 1, PUBSUB_PATTERN, "chat*");
    struct peer other = listener_new(workers, 0, PUBSUB_CHANNEL, EVENTS);
    overflow(workers, NOTICE_MESSAGE, "__keyevent@0__:del");
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 0);
    workers_tick(workers, 1);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 3);
    ck_assert_uint_eq(atomic_load(&workers->node.clients), 3);
    ck_assert(!is_closed(&chat) && !is_closed(&chats) && !is_closed(&other));
    /* The way is free again. */
    pubsub_publish(workers_at(workers, 0), span_of_string("chat"), span_of_string("x"));
    workers_settle(workers);
    peer_expect(&chat, "*3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n$1\r\nx\r\n");
    ck_assert_uint_eq(atomic_load(&workers->node.clients), 3);
    workers_free(workers);
    const struct peer *peers[] = {&channel, &pattern, &any, &chat, &chats, &other};
    for (size_t i = 0; i < UNIT_COUNT(peers); i++) {
        close(peers[i]->fd);
    }
}
END_TEST

START_TEST(a_monitor_that_misses_a_line_is_closed_others_are_not) {
    struct workers *workers = workers_new(2);
    struct peer monitor = peer_new(workers, 1);
    struct peer events = listener_new(workers, 1, PUBSUB_CHANNEL, EVENTS);
    list_push_back(&workers_at(workers, 1)->monitors, &monitor.connection->monitor_link);
    atomic_fetch_add(&workers->node.monitors, 1);
    overflow(workers, NOTICE_MONITOR_LINE, "");
    workers_tick(workers, 1);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 1);
    ck_assert_uint_eq(atomic_load(&workers->node.clients), 1);
    ck_assert(!is_closed(&events));
    workers_free(workers);
    close(monitor.fd);
    close(events.fd);
}
END_TEST

START_TEST(one_notice_may_be_on_its_way_whatever_its_size) {
    struct workers *workers = workers_new(2);
    struct peer chat = listener_new(workers, 1, PUBSUB_CHANNEL, "__keyevent@0__:set");
    size_t length = NOTICES_BYTES_MAX + 1;
    char *text = memory_alloc_zeroed(length);
    workers->options.client_output_buffer_limit[CLIENT_CLASS_PUBSUB] =
        (struct client_output_limit){0};
    pubsub_publish(workers_at(workers, 0), span_of_string(EVENTS), span_of(text, length));
    workers_settle(workers);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 0);
    ck_assert_uint_gt(chat.connection->written_bytes, 0);
    memory_free(text);
    workers_free(workers);
    close(chat.fd);
}
END_TEST

START_TEST(a_loss_that_no_notice_follows_is_settled_with_the_period) {
    struct workers *workers = workers_new(2);
    struct peer events = listener_new(workers, 1, PUBSUB_CHANNEL, EVENTS);
    overflow(workers, NOTICE_MESSAGE, "nobody listens");
    workers_tick(workers, 1);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 1);
    struct peer late = listener_new(workers, 1, PUBSUB_CHANNEL, EVENTS);
    overflow(workers, NOTICE_MESSAGE, "nobody listens");
    /* As when the mail was taken between the overflow and its note. */
    struct post *post = (struct post *)mailbox_take_all(&workers_at(workers, 1)->mailbox);
    ck_assert_ptr_nonnull(post);
    workers_at(workers, 1)->cron_is_due = true;
    workers_tick(workers, 1);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 2);
    for (struct mailbox_node *node = &post->mail; node != NULL;) {
        struct post *next = MAILBOX_ENTRY(node, struct post, mail);
        node = node->next;
        next->run(workers_at(workers, 1), next);
    }
    workers_free(workers);
    close(events.fd);
    close(late.fd);
}
END_TEST

START_TEST(pushes_for_a_connection_that_is_away_are_held_against_its_limit) {
    struct workers *workers = workers_new(2);
    struct peer events = listener_new(workers, 1, PUBSUB_CHANNEL, "chat");
    size_t length = 64 * 1024;
    char *text = memory_alloc_zeroed(length);
    workers->options.client_output_buffer_limit[CLIENT_CLASS_PUBSUB] =
        (struct client_output_limit){.hard_bytes = 4 * (int64_t)length};
    events.connection->is_away = true;
    for (int i = 0; i < 10; i++) {
        pubsub_deliver(workers_at(workers, 1), PUBSUB_CHANNEL, span_of_string("chat"),
                       span_of(text, length));
    }
    ck_assert(events.connection->closes);
    ck_assert_uint_lt(reply_bytes(&events.connection->deferred), 5 * length);
    ck_assert_uint_eq(atomic_load(&workers->node.clients_over_output), 1);
    memory_free(text);
    workers_free(workers);
    close(events.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        who_misses_an_event_is_closed_and_counted,
        a_monitor_that_misses_a_line_is_closed_others_are_not,
        one_notice_may_be_on_its_way_whatever_its_size,
        a_loss_that_no_notice_follows_is_settled_with_the_period,
        pushes_for_a_connection_that_is_away_are_held_against_its_limit,
    };
    return unit_run(unit_suite("notices", tests, UNIT_COUNT(tests)));
}
