#include "base/block.h"

#include "base/assertion.h"
#include "base/memory.h"

/* The size of the allocation for this capacity, rounded up to the allocator's class: what it would
 * leave unused is capacity too. 0 when no size_t can hold it. */
static size_t allocation_bytes(size_t capacity) {
    if (capacity > SIZE_MAX / 2) {
        return 0;
    }
    return memory_class_bytes(sizeof(struct block) + capacity);
}

struct block *block_try_new(size_t capacity) {
    size_t size = allocation_bytes(capacity);
    struct block *block = size == 0 ? NULL : memory_try_alloc(size);
    if (block == NULL) {
        return NULL;
    }
    atomic_init(&block->references, 1);
    block->length = 0;
    block->capacity = size - sizeof(struct block);
    ASSERT(block->capacity >= capacity);
    return block;
}

struct block *block_hold(struct block *block) {
    /* Whoever holds a reference may add one: nothing has to be ordered before or after. */
    unsigned before = atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    ASSERT(before != 0);
    ASSERT(before != UINT32_MAX);
    return block;
}

void block_release(struct block *block) {
    if (block == NULL) {
        return;
    }
    /* Release: our reads end before the free. Acquire: the free begins after all others' reads. */
    unsigned before = atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel);
    ASSERT(before != 0);
    if (before == 1) {
        memory_free(block);
    }
}

bool block_is_shared(const struct block *block) {
    /* Acquire: pairs with a release by another thread, whose reads end before our writes begin. */
    return atomic_load_explicit(&block->references, memory_order_acquire) != 1;
}

bool block_try_reserve(struct block **block, size_t capacity) {
    ASSERT(!block_is_shared(*block));
    if (capacity <= (*block)->capacity) {
        return true;
    }
    size_t size = allocation_bytes(capacity);
    struct block *moved = size == 0 ? NULL : memory_try_realloc(*block, size);
    if (moved == NULL) {
        return false;
    }
    moved->capacity = size - sizeof(struct block);
    ASSERT(moved->capacity >= capacity);
    *block = moved;
    return true;
}

struct block *block_try_copy(const struct block *block, size_t capacity) {
    ASSERT(capacity >= block->length);
    struct block *copy = block_try_new(capacity);
    if (copy != NULL) {
        memcpy(copy->bytes, block->bytes, block->length);
        copy->length = block->length;
    }
    return copy;
}

size_t block_occupied_bytes(const struct block *block) {
    /* The capacity fills a size class: the header says what the allocator would. */
    return sizeof(struct block) + block->capacity;
}
