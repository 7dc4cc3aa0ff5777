#include "worker/pubsub.h"

#include "tests/unit/worker/workers.h"

#define NAMES 1000

static struct span name_of(int i, char text[32]) {
    return span_of(text, (size_t)snprintf(text, 32, "channel:%d", i));
}

static struct span span(const char *text) {
    return span_of_string(text);
}

START_TEST(a_connection_listens_to_a_name_once) {
    struct workers *workers = workers_new(1);
    struct peer peer = peer_new(workers, 0);
    struct connection *connection = peer.connection;
    ck_assert_int_eq(pubsub_subscribe(connection, PUBSUB_CHANNEL, span("a")), PUBSUB_CHANGED);
    ck_assert_int_eq(pubsub_subscribe(connection, PUBSUB_CHANNEL, span("a")), PUBSUB_UNCHANGED);
    ck_assert_int_eq(pubsub_subscribe(connection, PUBSUB_PATTERN, span("a")), PUBSUB_CHANGED);
    ck_assert_uint_eq(pubsub_count(connection, PUBSUB_CHANNEL), 1);
    ck_assert_uint_eq(pubsub_subscriptions(connection), 2);
    ck_assert(pubsub_unsubscribe(connection, PUBSUB_CHANNEL, span("a")));
    ck_assert(!pubsub_unsubscribe(connection, PUBSUB_CHANNEL, span("a")));
    ck_assert(!pubsub_unsubscribe(connection, PUBSUB_SHARD_CHANNEL, span("a")));
    ck_assert_uint_eq(pubsub_subscriptions(connection), 1);
    workers_free(workers); /* Asserts that nothing is left. */
    close(peer.fd);
}
END_TEST

START_TEST(many_names_of_many_connections_are_found_again) {
    struct workers *workers = workers_new(1);
    struct peer peers[4];
    char text[32];
    for (size_t p = 0; p < UNIT_COUNT(peers); p++) {
        peers[p] = peer_new(workers, 0);
        for (int i = 0; i < NAMES; i++) {
            struct span name = name_of(i, text);
            ck_assert_int_eq(pubsub_subscribe(peers[p].connection, PUBSUB_CHANNEL, name),
                             PUBSUB_CHANGED);
        }
    }
    ck_assert_uint_eq(pubsub_topics(&workers->node, PUBSUB_CHANNEL), NAMES);
    ck_assert_uint_eq(
        pubsub_topic_subscribers(&workers->node, PUBSUB_CHANNEL, name_of(NAMES - 1, text)), 4);
    for (int i = 0; i < NAMES; i += 2) {
        ck_assert(pubsub_unsubscribe(peers[0].connection, PUBSUB_CHANNEL, name_of(i, text)));
    }
    ck_assert_uint_eq(pubsub_topic_subscribers(&workers->node, PUBSUB_CHANNEL, name_of(0, text)),
                      3);
    ck_assert_uint_eq(pubsub_topic_subscribers(&workers->node, PUBSUB_CHANNEL, name_of(1, text)),
                      4);
    struct span first = span_of(NULL, 0);
    ck_assert(pubsub_first(peers[0].connection, PUBSUB_CHANNEL, &first));
    ck_assert(span_equal(first, span("channel:1")));
    for (size_t p = 0; p < UNIT_COUNT(peers); p++) {
        pubsub_forget(peers[p].connection);
        ck_assert_uint_eq(pubsub_subscriptions(peers[p].connection), 0);
    }
    ck_assert_uint_eq(pubsub_topics(&workers->node, PUBSUB_CHANNEL), 0);
    workers_free(workers);
    for (size_t p = 0; p < UNIT_COUNT(peers); p++) {
        close(peers[p].fd);
    }
}
END_TEST

START_TEST(the_node_knows_which_workers_have_subscribers) {
    struct workers *workers = workers_new(3);
    struct peer peer = peer_new(workers, 1);
    ck_assert_uint_eq(pubsub_next_worker(&workers->node, 0), 3);
    pubsub_subscribe(peer.connection, PUBSUB_CHANNEL, span("a"));
    pubsub_subscribe(peer.connection, PUBSUB_CHANNEL, span("b"));
    ck_assert_uint_eq(pubsub_next_worker(&workers->node, 0), 1);
    ck_assert_uint_eq(pubsub_next_worker(&workers->node, 1), 1);
    ck_assert_uint_eq(pubsub_next_worker(&workers->node, 2), 3);
    pubsub_unsubscribe(peer.connection, PUBSUB_CHANNEL, span("a"));
    ck_assert_uint_eq(pubsub_next_worker(&workers->node, 0), 1);
    pubsub_forget(peer.connection);
    ck_assert_uint_eq(pubsub_next_worker(&workers->node, 0), 3);
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(names_of_several_workers_are_counted_once) {
    struct workers *workers = workers_new(3);
    struct peer peers[3];
    for (uint32_t i = 0; i < 3; i++) {
        peers[i] = peer_new(workers, i);
        pubsub_subscribe(peers[i].connection, PUBSUB_PATTERN, span("a*"));
    }
    pubsub_subscribe(peers[2].connection, PUBSUB_PATTERN, span("b*"));
    ck_assert_uint_eq(pubsub_topics(&workers->node, PUBSUB_PATTERN), 2);
    workers_free(workers);
    for (uint32_t i = 0; i < 3; i++) {
        close(peers[i].fd);
    }
}
END_TEST

START_TEST(a_message_nobody_listens_for_goes_nowhere) {
    struct workers *workers = workers_new(3);
    struct worker *worker = workers_at(workers, 0);
    pubsub_publish(worker, span("a"), span("x"));
    ck_assert(!worker->has_leaving);
    struct peer peer = peer_new(workers, 0);
    pubsub_subscribe(peer.connection, PUBSUB_CHANNEL, span("a"));
    pubsub_publish(worker, span("a"), span("x"));
    ck_assert(!worker->has_leaving);
    workers_settle(workers);
    peer_expect(&peer, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(messages_for_other_workers_leave_in_order_with_the_ticks_mail) {
    struct workers *workers = workers_new(3);
    struct peer peer = peer_new(workers, 2);
    peer.connection->reply.protocol = 3;
    pubsub_subscribe(peer.connection, PUBSUB_PATTERN, span("a?"));
    pubsub_publish(workers_at(workers, 0), span("a1"), span("x"));
    pubsub_publish(workers_at(workers, 0), span("b1"), span("x"));
    pubsub_publish(workers_at(workers, 0), span("a2"), span(""));
    workers_tick(workers, 2);
    peer_expect(&peer, "");
    workers_tick(workers, 0);
    workers_tick(workers, 2);
    peer_expect(&peer, ">4\r\n$8\r\npmessage\r\n$2\r\na?\r\n$2\r\na1\r\n$1\r\nx\r\n"
                       ">4\r\n$8\r\npmessage\r\n$2\r\na?\r\n$2\r\na2\r\n$0\r\n\r\n");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(messages_for_a_connection_that_is_away_wait_for_it) {
    struct workers *workers = workers_new(2);
    struct peer peer = peer_new(workers, 0);
    pubsub_subscribe(peer.connection, PUBSUB_CHANNEL, span("a"));
    peer.connection->is_away = true;
    pubsub_deliver(workers_at(workers, 0), PUBSUB_CHANNEL, span("a"), span("x"));
    ck_assert_uint_eq(reply_bytes(&peer.connection->reply), 0);
    workers_tick(workers, 0);
    peer_expect(&peer, "");
    connection_arrived(peer.connection);
    workers_tick(workers, 0);
    peer_expect(&peer, "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n");
    workers_free(workers);
    close(peer.fd);
}
END_TEST

START_TEST(large_messages_are_shared_by_their_receivers) {
    struct workers *workers = workers_new(1);
    struct peer peers[3];
    for (size_t i = 0; i < UNIT_COUNT(peers); i++) {
        peers[i] = peer_new(workers, 0);
        pubsub_subscribe(peers[i].connection, PUBSUB_CHANNEL, span("a"));
    }
    char *text = memory_alloc_zeroed(PUBSUB_SHARED_BYTES_MIN);
    pubsub_deliver(workers_at(workers, 0), PUBSUB_CHANNEL, span("a"),
                   span_of(text, PUBSUB_SHARED_BYTES_MIN));
    const struct reply *first = &peers[0].connection->reply;
    ck_assert_uint_eq(first->blocks_count, 1);
    for (size_t i = 1; i < UNIT_COUNT(peers); i++) {
        ck_assert_ptr_eq(peers[i].connection->reply.blocks[0].block, first->blocks[0].block);
    }
    pubsub_deliver(workers_at(workers, 0), PUBSUB_CHANNEL, span("a"),
                   span_of(text, PUBSUB_SHARED_BYTES_MIN - 1));
    ck_assert_uint_eq(first->blocks_count, 1);
    memory_free(text);
    workers_free(workers);
    for (size_t i = 0; i < UNIT_COUNT(peers); i++) {
        close(peers[i].fd);
    }
}
END_TEST

START_TEST(events_are_told_only_with_a_kind_of_channel) {
    struct workers *workers = workers_new(1);
    struct worker *worker = workers_at(workers, 0);
    struct call_observer *observer = &worker->executor.environment.observer;
    workers->options.notify_keyspace_events = EVENT_ALL;
    worker_configure(worker);
    ck_assert_uint_eq(observer->event_classes, 0);
    workers->options.notify_keyspace_events = EVENT_KEYEVENT | EVENT_STRING;
    worker_configure(worker);
    ck_assert_uint_eq(observer->event_classes, EVENT_KEYEVENT | EVENT_STRING);
    struct peer peer = peer_new(workers, 0);
    peer_say(&peer, "PSUBSCRIBE *\r\n");
    workers_settle(workers);
    peer_expect(&peer, "*3\r\n$10\r\npsubscribe\r\n$1\r\n*\r\n:1\r\n");
    struct peer writer = peer_new(workers, 0);
    peer_say(&writer, "SET k v\r\nDEL k\r\n");
    workers_settle(workers);
    peer_expect(&peer,
                "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$18\r\n__keyevent@0__:set\r\n$1\r\nk\r\n");
    workers_free(workers);
    close(peer.fd);
    close(writer.fd);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_connection_listens_to_a_name_once,
        many_names_of_many_connections_are_found_again,
        the_node_knows_which_workers_have_subscribers,
        names_of_several_workers_are_counted_once,
        a_message_nobody_listens_for_goes_nowhere,
        messages_for_other_workers_leave_in_order_with_the_ticks_mail,
        messages_for_a_connection_that_is_away_wait_for_it,
        large_messages_are_shared_by_their_receivers,
        events_are_told_only_with_a_kind_of_channel,
    };
    return unit_run(unit_suite("pubsub", tests, UNIT_COUNT(tests)));
}
