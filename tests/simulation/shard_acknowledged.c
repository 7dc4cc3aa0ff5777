/* What a quorum acknowledged is never lost, while the operator promotes as a cluster does: of N
 * members, N - W + 1 have answered that they follow nobody else, and the one that has most is
 * chosen. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem() */
#endif

#include "base/numbers.h"
#include "tests/simulation/shard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_kept(const struct shard_op *op) {
    return op->is_acknowledged && op->members > 1;
}

void shard_acknowledged_check(struct shard *shard, const struct shard_node *primary) {
    uint64_t end = oplog_end_position(primary->oplog);
    for (size_t i = 0; i < shard->ops_count; i++) {
        const struct shard_op *op = &shard->ops[i];
        struct lineage_part place = {.history = op->history, .position = op->end};
        shard_check(shard,
                    !is_kept(op) || (op->end <= end && lineage_holds(&primary->lineage, &place)),
                    "who is promoted holds all that a quorum acknowledged");
    }
}

static bool string_has(struct span text, uint64_t number) {
    char wanted[32];
    int length = snprintf(wanted, sizeof(wanted), ";%llu;", (unsigned long long)number);
    return memmem(text.bytes, text.length, wanted, (size_t)length) != NULL;
}

void shard_acknowledged_check_data(struct shard *shard, const struct shard_node *primary) {
    int64_t least[SHARD_TAGS] = {0};
    char scratch[32];
    for (size_t i = 0; i < shard->ops_count; i++) {
        const struct shard_op *op = &shard->ops[i];
        char key[32];
        snprintf(key, sizeof(key), "{%zu}:tags", op->tag);
        if (is_kept(op) && op->kind == SHARD_APPEND) {
            shard_check(shard, string_has(shard_value(primary, key, scratch), i),
                        "what a quorum acknowledged can be read");
        }
        least[op->tag] += is_kept(op) && op->kind == SHARD_COUNT;
    }
    for (size_t tag = 0; tag < SHARD_TAGS; tag++) {
        char key[32];
        int64_t count = 0;
        snprintf(key, sizeof(key), "{%zu}:count", tag);
        number_parse(shard_value(primary, key, scratch), &count);
        shard_check(shard, count >= least[tag], "what a quorum counted is counted");
    }
}
