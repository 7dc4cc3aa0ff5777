#include "io/mailbox.h"

struct mailbox_node *mailbox_take_all(struct mailbox *mailbox) {
    if (mailbox_is_empty(mailbox)) {
        return NULL;
    }
    struct mailbox_node *node =
        atomic_exchange_explicit(&mailbox->newest, NULL, memory_order_acquire);
    struct mailbox_node *oldest = NULL;
    while (node != NULL) {
        struct mailbox_node *older = node->next;
        node->next = oldest;
        oldest = node;
        node = older;
    }
    return oldest;
}
