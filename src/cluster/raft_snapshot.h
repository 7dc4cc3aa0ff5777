/* A snapshot: what the entries up to an index have made, the configuration among it. It never
 * changes, and is kept by reference count: the node's own one and those on their way to followers
 * are the same bytes.
 *
 * Content: the configuration at the index (raft_config.h), then the state machine's bytes, which
 * are opaque here. It travels in pieces, put together by a struct raft_incoming; what makes two
 * pieces parts of the same is index, term, size and checksum, since two nodes' snapshots at the
 * same place need not be the same bytes.
 *
 * One thread.
 */
#ifndef TARN_CLUSTER_RAFT_SNAPSHOT_H
#define TARN_CLUSTER_RAFT_SNAPSHOT_H

#include "cluster/raft_config.h"

#define RAFT_SNAPSHOT_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of the content */

struct raft_snapshot_name {
    uint64_t index;
    uint64_t term; /* of the entry at the index */
    uint64_t size; /* bytes of the content */
    uint64_t checksum;
};

struct raft_snapshot {
    unsigned references;
    struct raft_snapshot_name name;
    struct raft_config config;
    size_t state_offset; /* in the content */
    char *content;
};

/* Each has one reference. `state` is at most RAFT_SNAPSHOT_BYTES_MAX less the configuration. */
struct raft_snapshot *raft_snapshot_new(uint64_t index, uint64_t term,
                                        const struct raft_config *config, struct span state);
/* From the content, with these index and term. NULL: it is none. */
struct raft_snapshot *raft_snapshot_read(uint64_t index, uint64_t term, struct span content);
struct raft_snapshot *raft_snapshot_hold(struct raft_snapshot *snapshot); /* one more reference */
void raft_snapshot_release(struct raft_snapshot *snapshot);               /* NULL is allowed */

struct span raft_snapshot_content(const struct raft_snapshot *snapshot);
struct span raft_snapshot_state(const struct raft_snapshot *snapshot);
bool raft_snapshot_name_equal(const struct raft_snapshot_name *a,
                              const struct raft_snapshot_name *b);

/* What has come of a snapshot. Memory grows with what comes, not with what is announced. All zero:
 * nothing. */
struct raft_incoming {
    struct raft_snapshot_name name;
    struct buffer content;
};

/* Takes the piece in if it is the next one; the first piece of another snapshot begins anew.
 * Answers the bytes that are there of that snapshot. */
uint64_t raft_incoming_add(struct raft_incoming *incoming, const struct raft_snapshot_name *name,
                           uint64_t offset, struct span piece);
/* The whole one, with one reference; NULL: what came was none. Either way nothing is left. */
struct raft_snapshot *raft_incoming_take(struct raft_incoming *incoming);
void raft_incoming_clear(struct raft_incoming *incoming);

#endif
