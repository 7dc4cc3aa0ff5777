/* The content of a frame in the making: what one tick of a worker changed, as bytes, with large
 * values hung in by reference, so that they are never copied.
 *
 * Lifecycle: OPLOG_BATCH_EMPTY, then buffer_append() to .bytes and oplog_batch_add_block() in the
 * order of the content; oplog_append() takes all of it and leaves a batch that is empty, with room.
 * oplog_batch_free() at the end. One owner, one thread at a time.
 */
#ifndef TARN_OPLOG_BATCH_H
#define TARN_OPLOG_BATCH_H

#include "base/block.h"
#include "base/buffer.h"

#include <stdint.h>

struct iovec;

struct oplog_batch_block {
    size_t at; /* bytes that stand before it */
    struct block *block;
};

struct oplog_batch {
    struct buffer bytes;
    struct oplog_batch_block *blocks;
    uint32_t blocks_count;
    uint32_t blocks_capacity;
    size_t blocks_bytes;
};

#define OPLOG_BATCH_EMPTY ((struct oplog_batch){.bytes = BUFFER_EMPTY})

/* The block's content follows the bytes so far. Holds the block until the content is durable: who
 * changes it meanwhile copies it first, as block_is_shared() says. */
void oplog_batch_add_block(struct oplog_batch *batch, struct block *block);
void oplog_batch_clear(struct oplog_batch *batch); /* keeps the room */
void oplog_batch_free(struct oplog_batch *batch);

/* Bytes of content. */
static inline size_t oplog_batch_bytes(const struct oplog_batch *batch) {
    return batch->bytes.length + batch->blocks_bytes;
}

/* Bytes of memory that it keeps occupied. */
size_t oplog_batch_held_bytes(const struct oplog_batch *batch);

/* The content's parts, at most oplog_batch_parts_max(); answers how many. */
size_t oplog_batch_parts(const struct oplog_batch *batch, struct iovec *parts);

static inline size_t oplog_batch_parts_max(const struct oplog_batch *batch) {
    return 2 * (size_t)batch->blocks_count + 1;
}

/* checksum_bytes() of the content. */
uint64_t oplog_batch_checksum(const struct oplog_batch *batch);

#endif
