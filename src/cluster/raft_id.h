/* The name of a node, or of a consensus group: random bytes that mean it for ever, whatever its
 * address is. All zero: none.
 */
#ifndef TARN_CLUSTER_RAFT_ID_H
#define TARN_CLUSTER_RAFT_ID_H

#include <stdbool.h>
#include <string.h>

#define RAFT_ID_BYTES 20

struct raft_id {
    unsigned char bytes[RAFT_ID_BYTES];
};

#define RAFT_ID_NONE ((struct raft_id){.bytes = {0}})

/* As memcmp() orders. */
static inline int raft_id_compare(const struct raft_id *a, const struct raft_id *b) {
    return memcmp(a->bytes, b->bytes, RAFT_ID_BYTES);
}

static inline bool raft_id_equal(const struct raft_id *a, const struct raft_id *b) {
    return raft_id_compare(a, b) == 0;
}

static inline bool raft_id_is_none(const struct raft_id *id) {
    return raft_id_equal(id, &RAFT_ID_NONE);
}

#endif
