#include "io/mailbox.h"

#include "base/memory.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>

#define SENDERS 4
#define MESSAGES_PER_SENDER 20000

struct message {
    struct mailbox_node node;
    int sender;
    int number;
};

struct sender {
    struct mailbox *mailbox;
    struct message *messages;
    int id;
    int wakes;
};

static struct message *message_of(struct mailbox_node *node) {
    return MAILBOX_ENTRY(node, struct message, node);
}

START_TEST(mailbox_gives_messages_in_the_order_of_pushing) {
    struct mailbox mailbox;
    mailbox_init(&mailbox);
    struct message messages[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    for (int i = 0; i < 3; i++) {
        mailbox_push(&mailbox, &messages[i].node);
    }
    struct mailbox_node *node = mailbox_take_all(&mailbox);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(node);
        ck_assert_int_eq(message_of(node)->number, i);
        node = node->next;
    }
    ck_assert_ptr_null(node);
}
END_TEST

START_TEST(mailbox_is_empty_until_a_push_and_after_a_take) {
    struct mailbox mailbox;
    struct message message = {.number = 1};
    mailbox_init(&mailbox);
    ck_assert(mailbox_is_empty(&mailbox));
    ck_assert_ptr_null(mailbox_take_all(&mailbox));
    mailbox_push(&mailbox, &message.node);
    ck_assert(!mailbox_is_empty(&mailbox));
    ck_assert_ptr_eq(mailbox_take_all(&mailbox), &message.node);
    ck_assert(mailbox_is_empty(&mailbox));
    ck_assert_ptr_null(mailbox_take_all(&mailbox));
}
END_TEST

START_TEST(push_asks_for_a_wake_only_when_the_mailbox_was_empty) {
    struct mailbox mailbox;
    struct message messages[3];
    mailbox_init(&mailbox);
    ck_assert(mailbox_push(&mailbox, &messages[0].node));
    ck_assert(!mailbox_push(&mailbox, &messages[1].node));
    mailbox_take_all(&mailbox);
    ck_assert(mailbox_push(&mailbox, &messages[2].node));
}
END_TEST

static void *send_all(void *argument) {
    struct sender *sender = argument;
    for (int i = 0; i < MESSAGES_PER_SENDER; i++) {
        struct message *message = &sender->messages[i];
        message->sender = sender->id;
        message->number = i;
        sender->wakes += mailbox_push(sender->mailbox, &message->node);
    }
    return NULL;
}

/* Takes until all have come, and checks each sender's order; answers the takes that found
 * something. */
static int take_from_senders(struct mailbox *mailbox) {
    int expected[SENDERS] = {0};
    int takes = 0;
    for (int taken = 0; taken < SENDERS * MESSAGES_PER_SENDER;) {
        struct mailbox_node *node = mailbox_take_all(mailbox);
        if (node == NULL) {
            sched_yield();
            continue;
        }
        takes++;
        while (node != NULL) {
            struct message *message = message_of(node);
            node = node->next;
            ck_assert_int_eq(message->number, expected[message->sender]);
            expected[message->sender]++;
            taken++;
        }
    }
    return takes;
}

START_TEST(each_sender_s_messages_arrive_once_and_in_its_order_and_each_batch_has_one_wake) {
    struct mailbox mailbox;
    mailbox_init(&mailbox);
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.mailbox = &mailbox, .id = i};
        senders[i].messages = memory_alloc(MESSAGES_PER_SENDER * sizeof(struct message));
        ck_assert_int_eq(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    int takes = take_from_senders(&mailbox);
    int wakes = 0;
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        wakes += senders[i].wakes;
        memory_free(senders[i].messages);
    }
    ck_assert(mailbox_is_empty(&mailbox));
    ck_assert_int_eq(wakes, takes);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        mailbox_gives_messages_in_the_order_of_pushing,
        mailbox_is_empty_until_a_push_and_after_a_take,
        push_asks_for_a_wake_only_when_the_mailbox_was_empty,
        each_sender_s_messages_arrive_once_and_in_its_order_and_each_batch_has_one_wake,
    };
    return unit_run(unit_suite("mailbox", tests, UNIT_COUNT(tests)));
}
