#include "oplog/batch.h"

#include "base/hash.h"
#include "base/memory.h"

#include <sys/uio.h>

void oplog_batch_add_block(struct oplog_batch *batch, struct block *block) {
    if (batch->blocks_count == batch->blocks_capacity) {
        batch->blocks_capacity = batch->blocks_capacity * 2 + 4;
        batch->blocks = memory_realloc(batch->blocks,
                                       batch->blocks_capacity * sizeof(struct oplog_batch_block));
    }
    batch->blocks[batch->blocks_count++] =
        (struct oplog_batch_block){.at = batch->bytes.length, .block = block_hold(block)};
    batch->blocks_bytes += block->length;
}

void oplog_batch_clear(struct oplog_batch *batch) {
    for (uint32_t i = 0; i < batch->blocks_count; i++) {
        block_release(batch->blocks[i].block);
    }
    batch->blocks_count = 0;
    batch->blocks_bytes = 0;
    buffer_clear(&batch->bytes);
}

void oplog_batch_free(struct oplog_batch *batch) {
    oplog_batch_clear(batch);
    buffer_free(&batch->bytes);
    memory_free(batch->blocks);
    *batch = OPLOG_BATCH_EMPTY;
}

size_t oplog_batch_held_bytes(const struct oplog_batch *batch) {
    return batch->bytes.capacity + batch->blocks_bytes +
           batch->blocks_capacity * sizeof(struct oplog_batch_block);
}

size_t oplog_batch_parts(const struct oplog_batch *batch, struct iovec *parts) {
    size_t count = 0;
    size_t at = 0;
    for (uint32_t i = 0; i <= batch->blocks_count; i++) {
        size_t text_end = i < batch->blocks_count ? batch->blocks[i].at : batch->bytes.length;
        if (text_end > at) {
            parts[count++] =
                (struct iovec){.iov_base = batch->bytes.bytes + at, .iov_len = text_end - at};
            at = text_end;
        }
        if (i < batch->blocks_count && batch->blocks[i].block->length > 0) {
            parts[count++] = (struct iovec){.iov_base = batch->blocks[i].block->bytes,
                                            .iov_len = batch->blocks[i].block->length};
        }
    }
    return count;
}

uint64_t oplog_batch_checksum(const struct oplog_batch *batch) {
    if (batch->blocks_count == 0) {
        return checksum_bytes(buffer_span(&batch->bytes));
    }
    struct iovec *parts = memory_alloc(oplog_batch_parts_max(batch) * sizeof(struct iovec));
    size_t count = oplog_batch_parts(batch, parts);
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (size_t i = 0; i < count; i++) {
        XXH3_64bits_update(&state, parts[i].iov_base, parts[i].iov_len);
    }
    memory_free(parts);
    return XXH3_64bits_digest(&state);
}
