/* Key holds: keys whose writes wait, while they are on their way to another server (MIGRATE). Reads
 * go on, expiry and eviction too.
 *
 * A write that names a held key, in whatever database, waits until it is let go; so does one that
 * names none, since it may mean any (FLUSHALL, SWAPDB). What waits is looked at again with each
 * tick of its worker.
 *
 * Thread: any. A key is held on its owner's thread, or while the owner stands still: what ran
 * before has been done, what comes behind sees the hold.
 */
#ifndef TARN_WORKER_KEY_HOLDS_H
#define TARN_WORKER_KEY_HOLDS_H

#include "base/list.h"
#include "worker/node.h"

#define KEY_HOLDS_BUCKETS 256

struct request;

struct key_hold {
    struct list link;
    uint64_t hash;
    struct span key;   /* stays the holder's */
    const void *owner; /* who holds it */
};

struct key_holds {
    pthread_mutex_t mutex;
    atomic_size_t count;
    struct list buckets[KEY_HOLDS_BUCKETS];
};

struct key_holds *key_holds_new(void);
void key_holds_free(struct key_holds *holds);

/* False: another owner holds the key. What this one holds already is not held again; then the hold
 * is not linked. */
bool key_holds_add(struct node *node, struct key_hold *hold);
/* If it is linked. What waited for it goes on with key_holds_wake(). */
void key_holds_remove(struct node *node, struct key_hold *hold);
void key_holds_wake(struct node *node);

static inline bool key_holds_any(const struct node *node) {
    return node->key_holds != NULL &&
           atomic_load_explicit(&node->key_holds->count, memory_order_relaxed) != 0;
}

/* The request writes what is held, or its queue does. */
bool key_holds_wait(const struct node *node, const struct connection *connection,
                    const struct request *request);

#endif
