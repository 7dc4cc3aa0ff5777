/* A mailbox: many threads push, one takes. A node is embedded in the message; nothing is allocated,
 * nobody waits.
 *
 * A stack with one atomic head; the taker takes it whole and turns it round, so messages come out
 * in the order in which they were pushed, and those of one sender in the order in which it sent
 * them. Taking the stack whole, never one node, is what makes it safe against a head that was taken
 * and pushed again. What a sender wrote before mailbox_push() the taker sees after
 * mailbox_take_all().
 *
 * Ownership: from push to take the node belongs to the mailbox. The number of messages is bounded
 * by the senders (a worker has a bounded number of calls under way), not here.
 */
#ifndef TARN_IO_MAILBOX_H
#define TARN_IO_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mailbox_node {
    struct mailbox_node *next;
};

/* Stands on a cache line of its own, so that the senders' writes disturb nothing else: a structure
 * that holds one comes from memory_alloc_aligned(MAILBOX_ALIGNMENT, ...). */
#define MAILBOX_ALIGNMENT 64
struct mailbox {
    _Alignas(MAILBOX_ALIGNMENT) _Atomic(struct mailbox_node *) newest;
};

/* The message of type `type` whose member `member` is the node `node`. */
#define MAILBOX_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void mailbox_init(struct mailbox *mailbox) {
    atomic_init(&mailbox->newest, NULL);
}

/* True: the mailbox was empty, so the taker may not know yet and must be woken (loop_wake()). */
static inline bool mailbox_push(struct mailbox *mailbox, struct mailbox_node *node) {
    struct mailbox_node *newest = atomic_load_explicit(&mailbox->newest, memory_order_relaxed);
    do {
        node->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&mailbox->newest, &newest, node,
                                                    memory_order_release, memory_order_relaxed));
    return newest == NULL;
}

/* Cheap enough to be asked before every take: a read, which costs nothing while nobody pushes. */
static inline bool mailbox_is_empty(const struct mailbox *mailbox) {
    return atomic_load_explicit(&mailbox->newest, memory_order_relaxed) == NULL;
}

/* All that is there, oldest first, linked by `next`, or NULL. Read a node's `next` before letting
 * go of its message. */
struct mailbox_node *mailbox_take_all(struct mailbox *mailbox);

#endif
