/* At the same place of the log all nodes hold the same data: digests of slots. And nobody sees half
 * of a transaction. */
#include "store/digest.h"
#include "tests/simulation/shard.h"

#include <stdio.h>

#define DIGEST_SEED 7

static uint64_t data_of(const struct shard_node *node) {
    uint64_t data = 1;
    for (size_t tag = 0; tag < SHARD_TAGS; tag++) {
        char key[16];
        int length = snprintf(key, sizeof(key), "{%zu}", tag);
        uint16_t slot = slot_of_key(span_of(key, (size_t)length));
        data = data * UINT64_C(0x9e3779b97f4a7c15) + digest_slot(node->store, slot, DIGEST_SEED);
    }
    return data | 1;
}

void shard_positions_check(struct shard_node *node, const struct history *history,
                           uint64_t position) {
    char scratch[32];
    char other[32];
    struct shard_frame *frame = shard_histories_find(node->shard, history, position);
    uint64_t data = data_of(node);
    frame->data = frame->data == 0 ? data : frame->data;
    shard_check(node->shard, frame->data == data,
                "at the same place of the log nodes hold the same data");
    shard_check(
        node->shard,
        span_equal(shard_value(node, "{0}:pair", scratch), shard_value(node, "{1}:pair", other)),
        "nobody sees half of a transaction");
}
