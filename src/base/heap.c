#include "base/heap.h"

#include "base/memory.h"

#include <string.h>

_Static_assert(sizeof(struct heap_slab) <= 64, "the slab header fits one cache line");

#define SLAB_HEADER_BYTES ((size_t)64)

static uint32_t class_of(size_t size_bytes) {
    if (size_bytes <= HEAP_FINE_BYTES_MAX) {
        return (uint32_t)((size_bytes + HEAP_FINE_STEP_BYTES - 1) / HEAP_FINE_STEP_BYTES);
    }
    size_t beyond = size_bytes - HEAP_FINE_BYTES_MAX;
    return (uint32_t)(HEAP_FINE_CLASSES - 1 +
                      (beyond + HEAP_COARSE_STEP_BYTES - 1) / HEAP_COARSE_STEP_BYTES);
}

static size_t class_bytes(uint32_t class) {
    if (class < HEAP_FINE_CLASSES) {
        return class * HEAP_FINE_STEP_BYTES;
    }
    return HEAP_FINE_BYTES_MAX + (class - HEAP_FINE_CLASSES + 1) * HEAP_COARSE_STEP_BYTES;
}

static bool is_small(size_t size_bytes) {
#ifdef TARN_SANITIZED
    (void)size_bytes;
    return false;
#else
    return size_bytes <= HEAP_SMALL_BYTES_MAX;
#endif
}

void heap_init(struct heap *heap) {
    for (size_t i = 0; i < HEAP_CLASSES; i++) {
        list_init(&heap->open[i]);
    }
    heap->used_bytes = 0;
    heap->held_bytes = 0;
}

void heap_free_all(struct heap *heap) {
    ASSERT(heap->used_bytes == 0);
    for (size_t i = 0; i < HEAP_CLASSES; i++) {
        for (struct list *link; (link = list_pop_front(&heap->open[i])) != NULL;) {
            memory_free(LIST_ENTRY(link, struct heap_slab, link));
            heap->held_bytes -= HEAP_SLAB_BYTES;
        }
    }
    ASSERT(heap->held_bytes == 0);
}

size_t heap_class_bytes(size_t size_bytes) {
#ifdef TARN_SANITIZED
    /* The sanitizer lends no byte more than was asked for. */
    return size_bytes;
#else
    return is_small(size_bytes) ? class_bytes(class_of(size_bytes))
                                : memory_class_bytes(size_bytes);
#endif
}

static struct heap_slab *slab_new(struct heap *heap, uint32_t class) {
    struct heap_slab *slab = memory_alloc_aligned(HEAP_SLAB_BYTES, HEAP_SLAB_BYTES);
    size_t size = class_bytes(class);
    size_t count = (HEAP_SLAB_BYTES - SLAB_HEADER_BYTES) / size;
    *slab = (struct heap_slab){
        .fresh = (char *)slab + SLAB_HEADER_BYTES,
        .end = (char *)slab + SLAB_HEADER_BYTES + count * size,
        .class = class,
    };
    list_push_front(&heap->open[class], &slab->link);
    heap->held_bytes += HEAP_SLAB_BYTES;
    return slab;
}

static void *small_alloc(struct heap *heap, size_t size_bytes) {
    uint32_t class = class_of(size_bytes);
    size_t size = class_bytes(class);
    struct list *open = &heap->open[class];
    struct heap_slab *slab = list_is_empty(open) ? slab_new(heap, class)
                                                 : LIST_ENTRY(open->next, struct heap_slab, link);
    void *object = slab->free;
    if (object != NULL) {
        memcpy(&slab->free, object, sizeof(slab->free));
    } else {
        object = slab->fresh;
        slab->fresh += size;
    }
    slab->used++;
    if (slab->free == NULL && slab->fresh == slab->end) {
        list_remove(&slab->link);
    }
    heap->used_bytes += size;
    return object;
}

static void small_free(struct heap *heap, void *object, size_t size_bytes) {
    struct heap_slab *slab = (void *)((uintptr_t)object & ~(uintptr_t)(HEAP_SLAB_BYTES - 1));
    ASSERT(slab->class == class_of(size_bytes));
    ASSERT(slab->used > 0);
    struct list *open = &heap->open[slab->class];
    heap->used_bytes -= class_bytes(slab->class);
    memcpy(object, &slab->free, sizeof(slab->free));
    slab->free = object;
    slab->used--;
    if (!list_is_linked(&slab->link)) {
        list_push_front(open, &slab->link);
    } else if (slab->used == 0 && open->next != open->previous) {
        list_remove(&slab->link);
        heap->held_bytes -= HEAP_SLAB_BYTES;
        memory_free(slab);
    }
}

void *heap_try_alloc(struct heap *heap, size_t size_bytes) {
    if (is_small(size_bytes)) {
        return small_alloc(heap, size_bytes);
    }
    void *object = memory_try_alloc(size_bytes);
    if (object != NULL) {
        heap_account(heap, memory_class_bytes(size_bytes));
    }
    return object;
}

void *heap_alloc(struct heap *heap, size_t size_bytes) {
    if (is_small(size_bytes)) {
        return small_alloc(heap, size_bytes);
    }
    heap_account(heap, memory_class_bytes(size_bytes));
    return memory_alloc(size_bytes);
}

void heap_free(struct heap *heap, void *object, size_t size_bytes) {
    if (is_small(size_bytes)) {
        small_free(heap, object, size_bytes);
        return;
    }
    heap_unaccount(heap, memory_class_bytes(size_bytes));
    memory_free(object);
}

void *heap_realloc(struct heap *heap, void *object, size_t old_bytes, size_t new_bytes) {
    if (object == NULL) {
        return heap_alloc(heap, new_bytes);
    }
    if (heap_class_bytes(old_bytes) == heap_class_bytes(new_bytes)) {
        return object;
    }
    if (!is_small(old_bytes) && !is_small(new_bytes)) {
        heap_unaccount(heap, memory_class_bytes(old_bytes));
        heap_account(heap, memory_class_bytes(new_bytes));
        return memory_realloc(object, new_bytes);
    }
    void *moved = heap_alloc(heap, new_bytes);
    memcpy(moved, object, old_bytes < new_bytes ? old_bytes : new_bytes);
    heap_free(heap, object, old_bytes);
    return moved;
}
