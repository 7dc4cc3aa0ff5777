#include "cluster/raft_progress.h"

static void snapshot_release(struct raft_progress *progress) {
    raft_snapshot_release(progress->snapshot);
    progress->snapshot = NULL;
    progress->offset = 0;
    progress->offset_round = 0;
}

static void stage_set(struct raft_progress *progress, enum raft_progress_stage stage) {
    snapshot_release(progress);
    progress->stage = stage;
    progress->is_paused = false;
    progress->inflight_count = 0;
    progress->next = progress->match + 1;
}

void raft_progress_probe(struct raft_progress *progress) {
    stage_set(progress, RAFT_PROBE);
}

void raft_progress_replicate(struct raft_progress *progress) {
    stage_set(progress, RAFT_REPLICATE);
}

void raft_progress_snapshot(struct raft_progress *progress, struct raft_snapshot *snapshot) {
    stage_set(progress, RAFT_SEND_SNAPSHOT);
    progress->snapshot = raft_snapshot_hold(snapshot);
}

void raft_progress_clear(struct raft_progress *progress) {
    snapshot_release(progress);
}

void raft_progress_sent(struct raft_progress *progress, uint64_t last) {
    ASSERT(!raft_progress_is_full(progress));
    progress->inflight[progress->inflight_count++] = last;
    progress->next = last + 1;
}

void raft_progress_accepted(struct raft_progress *progress, uint64_t index) {
    if (index > progress->match) {
        progress->match = index;
    }
    if (progress->next <= progress->match) {
        progress->next = progress->match + 1;
    }
    size_t done = 0;
    while (done < progress->inflight_count && progress->inflight[done] <= index) {
        done++;
    }
    progress->inflight_count -= done;
    memmove(progress->inflight, progress->inflight + done,
            progress->inflight_count * sizeof(progress->inflight[0]));
}
