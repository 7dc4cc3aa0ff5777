/* A block: a large value's bytes, kept by reference count.
 *
 * A value of BLOCK_BYTES_MIN bytes or more is read from the socket into a block, stored as that
 * block, and written to sockets and log from it, without a copy. The count is atomic: a block may
 * be held by an entry of one worker, a reply of another and the log at once. Content changes only
 * while block_is_shared() is false; who wants to change a shared one takes block_copy() first.
 */
#ifndef TARN_BASE_BLOCK_H
#define TARN_BASE_BLOCK_H

#include "base/span.h"

#include <stdatomic.h>
#include <stdint.h>

#define BLOCK_BYTES_MIN ((size_t)16 * 1024)

struct block {
    atomic_uint references;
    size_t length;   /* bytes of content */
    size_t capacity; /* bytes that fit */
    char bytes[];
};

/* A block with one reference and no content; NULL when there is no memory for capacity bytes. */
struct block *block_try_new(size_t capacity);
struct block *block_hold(struct block *block); /* one more reference */
void block_release(struct block *block);       /* frees with the last one; NULL is allowed */
bool block_is_shared(const struct block *block);

/* Room for capacity bytes in an unshared block, which may move. False: no memory, unchanged. */
bool block_try_reserve(struct block **block, size_t capacity);
/* A new unshared block with the same content and room for capacity >= length bytes, or NULL. */
struct block *block_try_copy(const struct block *block, size_t capacity);

/* Bytes that the block occupies, its header included. */
size_t block_occupied_bytes(const struct block *block);

static inline struct span block_span(const struct block *block) {
    return span_of(block->bytes, block->length);
}

#endif
