#include "worker/mail.h"

#include "worker/cluster.h"
#include "worker/gate.h"
#include "worker/look_ahead.h"
#include "worker/notices.h"
#include "worker/worker.h"

void worker_post(struct worker *worker, struct post *post) {
    if (mailbox_push(&worker->mailbox, &post->mail)) {
        loop_wake(worker->loop);
    }
}

void mail_send(struct worker *worker, struct connection *connection, uint32_t target) {
    list_remove(&connection->run_link);
    if (connection->home == worker) {
        if (target != worker->index) {
            connection->is_away = true;
        } else if (connection->is_away) {
            connection_arrived(connection);
        }
    }
    if (target == worker->index) {
        list_push_back(&worker->runnable, &connection->run_link);
    } else {
        list_push_back(&worker->leaving[target], &connection->run_link);
        worker->has_leaving = true;
    }
}

/* What travellers bring lies in another core's cache: it is asked for all at once. */
static void fetch_travellers(struct mailbox_node *first) {
    for (struct mailbox_node *node = first; node != NULL; node = node->next) {
        const char *connection = (const char *)MAILBOX_ENTRY(node, struct connection, mail);
        for (size_t at = LOOK_AHEAD_LINE_BYTES; at < offsetof(struct connection, link);
             at += LOOK_AHEAD_LINE_BYTES) {
            __builtin_prefetch(connection + at);
        }
        __builtin_prefetch(MAILBOX_ENTRY(node, struct connection, mail)->requests);
    }
    for (struct mailbox_node *node = first; node != NULL; node = node->next) {
        const struct connection *connection = MAILBOX_ENTRY(node, struct connection, mail);
        const struct request_list *list = connection->requests;
        __builtin_prefetch(connection->reply.buffer.bytes + connection->reply.buffer.length, 1);
        if (list != NULL && list->next < list->count) {
            __builtin_prefetch(&list->items[list->next]);
            __builtin_prefetch(&list->items[list->next + 1]);
            __builtin_prefetch(list->spans + list->items[list->next].args_at);
            __builtin_prefetch(list->spans[list->items[list->next].args_at].bytes);
        }
    }
}

void mail_run_posts(struct worker *worker) {
    for (struct mailbox_node *node = mailbox_take_all(&worker->mailbox); node != NULL;) {
        struct post *post = MAILBOX_ENTRY(node, struct post, mail);
        node = node->next;
        post->run(worker, post);
    }
    gate_follow(worker);
}

void mail_receive_stage(struct worker *worker) {
    /* Travellers first, since what they run here must not overtake the posts that left before
     * them. */
    if (!mailbox_is_empty(&worker->travellers)) {
        struct mailbox_node *first = mailbox_take_all(&worker->travellers);
        fetch_travellers(first);
        for (struct mailbox_node *node = first; node != NULL;) {
            struct connection *connection = MAILBOX_ENTRY(node, struct connection, mail);
            node = node->next;
            if (connection->home == worker) {
                connection_arrived(connection);
            }
            list_push_back(&worker->runnable, &connection->run_link);
        }
    }
    if (UNLIKELY(!mailbox_is_empty(&worker->mailbox))) {
        mail_run_posts(worker);
    }
}

void mail_send_stage(struct worker *worker) {
    if (!worker->has_leaving) {
        return;
    }
    worker->has_leaving = false;
    /* All notices first: a connection may go on from its next worker before this loop is
     * through. */
    for (uint32_t i = 0; i < worker->node->worker_count; i++) {
        struct post *notices = notices_take(worker->notices, i);
        if (notices != NULL) {
            worker_post(worker->node->workers[i], notices);
        }
    }
    for (uint32_t i = 0; i < worker->node->worker_count; i++) {
        struct worker *target = worker->node->workers[i];
        bool must_wake = false;
        for (struct list *link; (link = list_pop_front(&worker->leaving[i])) != NULL;) {
            struct connection *connection = LIST_ENTRY(link, struct connection, run_link);
            gate_carry(worker, connection);
            cluster_may_leave(worker, connection); /* Else its home sees to it. */
            must_wake |= mailbox_push(&target->travellers, &connection->mail);
        }
        if (must_wake) {
            loop_wake(target->loop);
        }
    }
}
