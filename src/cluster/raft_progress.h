/* What a leader knows of one member, and what it may send to it now.
 *
 *   PROBE      where the logs part is not known: one append at a time   [raft_leader.c]
 *     -> REPLICATE  it accepted one
 *     -> SNAPSHOT   the leader's log does not reach back that far
 *   REPLICATE  appends go out ahead of answers, RAFT_INFLIGHT_MAX of them
 *     -> PROBE      it refused one, or has been silent for an election time
 *   SNAPSHOT   pieces of a snapshot, one at a time
 *     -> REPLICATE  it has installed it
 */
#ifndef TARN_CLUSTER_RAFT_PROGRESS_H
#define TARN_CLUSTER_RAFT_PROGRESS_H

#include "cluster/raft.h"

enum raft_progress_stage { RAFT_PROBE, RAFT_REPLICATE, RAFT_SEND_SNAPSHOT };

struct raft_progress {
    struct raft_id id;
    bool is_voter;
    enum raft_progress_stage stage;
    uint64_t match; /* up to here both logs are the same */
    uint64_t next;  /* to be sent next */
    bool is_paused; /* PROBE, SNAPSHOT: one is under way */
    bool is_heard;  /* in this term */
    bool is_active; /* since the last check of the quorum */
    uint64_t heard_ms;
    uint64_t round;                       /* the last one that it answered */
    uint64_t inflight[RAFT_INFLIGHT_MAX]; /* last index of each append, oldest first */
    size_t inflight_count;
    struct raft_snapshot *snapshot;
    uint64_t offset;       /* bytes of it that are there ... */
    uint64_t offset_round; /* ... as an answer to this round said */
};

void raft_progress_probe(struct raft_progress *progress);
void raft_progress_replicate(struct raft_progress *progress);
/* Takes a reference of its own. */
void raft_progress_snapshot(struct raft_progress *progress, struct raft_snapshot *snapshot);
void raft_progress_clear(struct raft_progress *progress);

static inline bool raft_progress_is_full(const struct raft_progress *progress) {
    return progress->inflight_count == RAFT_INFLIGHT_MAX;
}
/* An append up to this index has been sent. */
void raft_progress_sent(struct raft_progress *progress, uint64_t last);
/* It holds the log up to this index. */
void raft_progress_accepted(struct raft_progress *progress, uint64_t index);

#endif
