/* A heap: small allocations of one worker, packed into slabs.
 *
 * Entries are millions, and most are smaller than a hundred bytes. The allocator's size classes
 * there are sixteen and more bytes apart; these are eight apart up to HEAP_FINE_BYTES_MAX, so that
 * an entry wastes less than eight bytes. Sizes above HEAP_SMALL_BYTES_MAX go to memory.h.
 *
 *   slab: HEAP_SLAB_BYTES, aligned to its size
 *   +--------+----------+----------+----------+---
 *   | header | object 0 | object 1 | object 2 | ...
 *   +--------+----------+----------+----------+---
 *
 * Invariants
 *  1. All objects of a slab have one class; a free one holds the address of the next free one.
 *  2. A slab stands in its class' list of open slabs exactly while it has a free object.
 *  3. A slab that becomes empty goes back to the allocator, unless it is the only open one of its
 *     class: at most one empty slab of a class is kept.
 *  4. used_bytes is the sum of the class sizes of the live objects; held_bytes what slabs and large
 *     allocations take from the allocator.
 *
 * Freeing needs the size that was asked for: callers know it, and nothing is stored for it.
 * One thread at a time. In sanitizer builds every object is an allocation of its own.
 */
#ifndef TARN_BASE_HEAP_H
#define TARN_BASE_HEAP_H

#include "base/assertion.h"
#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

#define HEAP_SLAB_BYTES ((size_t)32 * 1024)
#define HEAP_FINE_BYTES_MAX ((size_t)512)
#define HEAP_SMALL_BYTES_MAX ((size_t)2048)
#define HEAP_FINE_STEP_BYTES ((size_t)8)
#define HEAP_COARSE_STEP_BYTES ((size_t)64)
#define HEAP_FINE_CLASSES (HEAP_FINE_BYTES_MAX / HEAP_FINE_STEP_BYTES + 1)
#define HEAP_CLASSES                                                                               \
    (HEAP_FINE_CLASSES + (HEAP_SMALL_BYTES_MAX - HEAP_FINE_BYTES_MAX) / HEAP_COARSE_STEP_BYTES)

struct heap_slab {
    struct list link; /* among the open slabs of its class */
    void *free;       /* first free object that was used before */
    char *fresh;      /* first object that was never used */
    char *end;        /* where no object fits any more */
    uint32_t used;    /* live objects */
    uint32_t class;
};

struct heap {
    struct list open[HEAP_CLASSES];
    size_t used_bytes;
    size_t held_bytes;
};

void heap_init(struct heap *heap);
/* Every object must have been freed. */
void heap_free_all(struct heap *heap);

/* The bytes that an allocation of size_bytes occupies. */
size_t heap_class_bytes(size_t size_bytes);

/* size_bytes > 0. Never NULL: callers bound the size or use heap_try_alloc(). */
void *heap_alloc(struct heap *heap, size_t size_bytes);
/* NULL when size_bytes is large and there is no memory. */
void *heap_try_alloc(struct heap *heap, size_t size_bytes);
/* size_bytes: what was asked for. */
void heap_free(struct heap *heap, void *object, size_t size_bytes);
/* Content is kept up to the smaller size; the object may move. */
void *heap_realloc(struct heap *heap, void *object, size_t old_bytes, size_t new_bytes);

/* Memory that an entry holds but that comes from elsewhere (blocks) is counted here. */
static inline void heap_account(struct heap *heap, size_t size_bytes) {
    heap->used_bytes += size_bytes;
    heap->held_bytes += size_bytes;
}

static inline void heap_unaccount(struct heap *heap, size_t size_bytes) {
    ASSERT(heap->used_bytes >= size_bytes);
    heap->used_bytes -= size_bytes;
    heap->held_bytes -= size_bytes;
}

#endif
