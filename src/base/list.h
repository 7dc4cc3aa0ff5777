/* Intrusive doubly linked list: the link lives inside the member, so insertion and removal allocate
 * nothing and cannot fail. A list head is a link that points at itself when empty. Not thread safe.
 */
#ifndef TARN_BASE_LIST_H
#define TARN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *previous;
};

/* The structure of `type` whose member `member` is the link `link`. */
#define LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Walks from first to last; the current member must not be removed inside. */
#define LIST_FOR_EACH(link, head)                                                                  \
    for (struct list *link = (head)->next; link != (head); link = link->next)

static inline void list_init(struct list *list) {
    list->next = list;
    list->previous = list;
}

static inline bool list_is_empty(const struct list *list) {
    return list->next == list;
}

/* True for a link that stands in some list; false after list_init() or list_remove(). */
static inline bool list_is_linked(const struct list *link) {
    return link->next != link;
}

static inline void list_insert_before(struct list *place, struct list *link) {
    link->next = place;
    link->previous = place->previous;
    place->previous->next = link;
    place->previous = link;
}

static inline void list_push_back(struct list *list, struct list *link) {
    list_insert_before(list, link);
}

static inline void list_push_front(struct list *list, struct list *link) {
    list_insert_before(list->next, link);
}

/* Takes the link out; removing one that stands in no list does nothing. */
static inline void list_remove(struct list *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/* The first link, taken out, or NULL. */
static inline struct list *list_pop_front(struct list *list) {
    if (list_is_empty(list)) {
        return NULL;
    }
    struct list *first = list->next;
    list_remove(first);
    return first;
}

#endif
