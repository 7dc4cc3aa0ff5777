#include "base/assertion.h"
#include "base/memory.h"
#include "cluster/raft_engine.h"

/* ---- beginning and end ---- */

void raft_lead(struct raft *raft) {
    ASSERT(raft_is_electable(raft));
    ASSERT(raft_id_equal(&raft->vote, &raft->plan.self));
    raft_lead_end(raft);
    raft->role = RAFT_LEADER;
    raft->leader = raft->plan.self;
    raft->round = 0;
    raft->transfer = RAFT_ID_NONE;
    raft->quorum_ms = raft->now_ms + raft->plan.election_ms;
    raft_progress_fit(raft);
    raft->term_start = raft_log_last_index(&raft->log) + 1;
    raft_leader_append(raft, &(struct raft_entry){.term = raft->term, .kind = RAFT_ENTRY_NO_OP});
    raft_beat(raft);
}

/* Messages that are not sent yet may point into what it frees: so it is called when they are. */
void raft_lead_end(struct raft *raft) {
    for (size_t i = 0; i < raft->progress_count; i++) {
        raft_progress_clear(&raft->progress[i]);
    }
    memory_free(raft->progress);
    raft->progress = NULL;
    raft->progress_count = 0;
}

/* ---- members ---- */

struct raft_progress *raft_progress_find(const struct raft *raft, const struct raft_id *id) {
    for (size_t i = 0; i < raft->progress_count; i++) {
        if (raft_id_equal(&raft->progress[i].id, id)) {
            return &raft->progress[i];
        }
    }
    return NULL;
}

static bool is_self(const struct raft *raft, const struct raft_progress *progress) {
    return raft_id_equal(&progress->id, &raft->plan.self);
}

bool raft_is_confirmed(const struct raft *raft, uint64_t round) {
    size_t count = 0;
    for (size_t i = 0; i < raft->progress_count; i++) {
        const struct raft_progress *progress = &raft->progress[i];
        count += progress->is_voter && (is_self(raft, progress) || progress->round >= round);
    }
    return count >= raft_config_majority(&raft->config);
}

/* A majority has answered since the last check. */
static bool quorum_check(struct raft *raft) {
    size_t count = 0;
    for (size_t i = 0; i < raft->progress_count; i++) {
        struct raft_progress *progress = &raft->progress[i];
        count += progress->is_voter && (is_self(raft, progress) || progress->is_active);
        progress->is_active = false;
    }
    return count >= raft_config_majority(&raft->config);
}

static bool is_silent(const struct raft *raft, const struct raft_progress *progress) {
    return !progress->is_heard || raft->now_ms - progress->heard_ms >= raft->plan.election_ms;
}

/* ---- time ---- */

void raft_beat(struct raft *raft) {
    raft->round++;
    raft->beat_ms = raft->now_ms + raft->plan.heartbeat_ms;
    raft_replicate_all(raft, RAFT_URGE_BEAT);
}

void raft_leader_tick(struct raft *raft) {
    if (raft->now_ms >= raft->quorum_ms) {
        raft->quorum_ms = raft->now_ms + raft->plan.election_ms;
        if (!quorum_check(raft)) {
            raft_follow(raft, raft->term, &RAFT_ID_NONE);
            return;
        }
    }
    if (!raft_id_is_none(&raft->transfer) && raft->now_ms >= raft->transfer_ms) {
        raft->transfer = RAFT_ID_NONE;
    }
    if (raft->now_ms >= raft->beat_ms) {
        raft_beat(raft);
    }
}

uint64_t raft_leader_tick_ms(const struct raft *raft) {
    uint64_t next = raft->beat_ms < raft->quorum_ms ? raft->beat_ms : raft->quorum_ms;
    bool is_transfer = !raft_id_is_none(&raft->transfer);
    return is_transfer && raft->transfer_ms < next ? raft->transfer_ms : next;
}

/* ---- sending ---- */

/* Entries are filled in by raft_output(). */
static void append_send(struct raft *raft, const struct raft_progress *progress, size_t count) {
    struct raft_append append = {
        .previous_index = progress->next - 1,
        .commit = raft->commit,
        .round = raft->round,
        .count = count,
    };
    bool is_known = raft_log_term(&raft->log, append.previous_index, &append.previous_term);
    ASSERT(is_known);
    raft_message_add(raft, RAFT_APPEND, &progress->id)->append = append;
}

static size_t batch(const struct raft *raft, const struct raft_progress *progress) {
    return raft_log_batch(&raft->log, progress->next, RAFT_APPEND_ENTRIES_MAX,
                          RAFT_APPEND_BYTES_MAX);
}

/* To who has not answered for long goes nothing large. */
static void probe_send(struct raft *raft, struct raft_progress *progress, enum raft_urge urge) {
    if (progress->is_paused && urge != RAFT_URGE_BEAT) {
        return;
    }
    bool is_small = progress->is_paused && is_silent(raft, progress);
    append_send(raft, progress, is_small ? 0 : batch(raft, progress));
    progress->is_paused = true;
}

static void window_send(struct raft *raft, struct raft_progress *progress, enum raft_urge urge) {
    bool is_sent = false;
    while (progress->next <= raft_log_last_index(&raft->log) && !raft_progress_is_full(progress)) {
        size_t count = batch(raft, progress);
        append_send(raft, progress, count);
        raft_progress_sent(progress, progress->next + count - 1);
        is_sent = true;
    }
    if (!is_sent && urge != RAFT_URGE_NOTHING) {
        append_send(raft, progress, 0);
    }
}

static void piece_send(struct raft *raft, struct raft_progress *progress, enum raft_urge urge) {
    const struct raft_snapshot *snapshot = progress->snapshot;
    bool is_whole = progress->offset == snapshot->name.size;
    if ((progress->is_paused || is_whole) && urge != RAFT_URGE_BEAT) {
        return;
    }
    bool is_small = progress->is_paused && is_silent(raft, progress);
    size_t left = is_small ? 0 : snapshot->name.size - progress->offset;
    size_t length = left < raft->plan.piece_bytes ? left : raft->plan.piece_bytes;
    raft_message_add(raft, RAFT_PIECE, &progress->id)->piece = (struct raft_piece){
        .snapshot = snapshot->name,
        .offset = progress->offset,
        .round = raft->round,
        .bytes = span_of(snapshot->content + progress->offset, length),
    };
    progress->is_paused = true;
}

void raft_replicate(struct raft *raft, struct raft_progress *progress, enum raft_urge urge) {
    if (is_self(raft, progress)) {
        return;
    }
    /* What it was sent is lost, as far as one knows. */
    if (progress->stage == RAFT_REPLICATE && urge == RAFT_URGE_BEAT && is_silent(raft, progress)) {
        raft_progress_probe(progress);
    }
    if (progress->stage != RAFT_SEND_SNAPSHOT && progress->next <= raft->log.base_index) {
        ASSERT(raft->snapshot != NULL);
        raft_progress_snapshot(progress, raft->snapshot);
    }
    switch (progress->stage) {
    case RAFT_PROBE:
        probe_send(raft, progress, urge);
        break;
    case RAFT_REPLICATE:
        window_send(raft, progress, urge);
        break;
    case RAFT_SEND_SNAPSHOT:
        piece_send(raft, progress, urge);
        break;
    }
}

void raft_replicate_all(struct raft *raft, enum raft_urge urge) {
    for (size_t i = 0; i < raft->progress_count; i++) {
        raft_replicate(raft, &raft->progress[i], urge);
    }
}

/* ---- committing ---- */

void raft_leader_append(struct raft *raft, const struct raft_entry *entry) {
    raft_log_append(&raft->log, entry);
    raft_entries_changed(raft, raft_log_last_index(&raft->log));
}

/* The largest index that a majority of the voters holds. */
static uint64_t majority_match(const struct raft *raft) {
    uint64_t matches[RAFT_VOTERS_MAX]; /* falling */
    size_t count = 0;
    for (size_t i = 0; i < raft->progress_count; i++) {
        if (!raft->progress[i].is_voter) {
            continue;
        }
        uint64_t match = raft->progress[i].match;
        size_t at = count++;
        for (; at > 0 && matches[at - 1] < match; at--) {
            matches[at] = matches[at - 1];
        }
        matches[at] = match;
    }
    size_t majority = raft_config_majority(&raft->config);
    ASSERT(count >= majority);
    return matches[majority - 1];
}

/* Of older terms nothing is committed by counting: a later leader might not have it (Ongaro,
 * 3.6.2).
 */
void raft_leader_commit(struct raft *raft) {
    uint64_t index = majority_match(raft);
    uint64_t term;
    if (index <= raft->commit || !raft_log_term(&raft->log, index, &term) || term != raft->term) {
        return;
    }
    raft_commit_set(raft, index);
    raft_replicate_all(raft, RAFT_URGE_COMMIT);
    raft_membership_committed(raft);
}

void raft_leader_persisted(struct raft *raft) {
    struct raft_progress *self = raft_progress_find(raft, &raft->plan.self);
    if (self != NULL) {
        raft_progress_accepted(self, raft->persisted);
    }
    raft_leader_commit(raft);
}

/* ---- answers ---- */

/* Who answered; NULL: nobody whom this node leads. */
static struct raft_progress *answer_begin(struct raft *raft, const struct raft_message *message,
                                          uint64_t round) {
    struct raft_progress *progress =
        raft->role == RAFT_LEADER ? raft_progress_find(raft, &message->source) : NULL;
    if (progress != NULL && round <= raft->round) {
        progress->is_heard = true;
        progress->is_active = true;
        progress->heard_ms = raft->now_ms;
        progress->round = round > progress->round ? round : progress->round;
    }
    return progress;
}

/* An old answer says nothing: it is not about what was sent last. */
static bool is_refusal(const struct raft_progress *progress,
                       const struct raft_append_answer *answer) {
    switch (progress->stage) {
    case RAFT_PROBE:
        return answer->index == progress->next - 1 && answer->index > progress->match;
    case RAFT_REPLICATE:
        return answer->index > progress->match;
    case RAFT_SEND_SNAPSHOT:
        return false;
    }
    return false;
}

/* Goes back to where both logs may agree, and always some way. */
static void refused(struct raft *raft, struct raft_progress *progress,
                    const struct raft_append_answer *answer) {
    uint64_t agreeable = raft_log_agreeable(&raft->log, answer->hint_index, answer->hint_term);
    uint64_t next = (agreeable < answer->index ? agreeable : answer->index - 1) + 1;
    raft_progress_probe(progress);
    if (next > progress->next) {
        progress->next = next;
    }
}

static void accepted(struct raft_progress *progress, uint64_t index) {
    raft_progress_accepted(progress, index);
    bool is_installed =
        progress->stage == RAFT_SEND_SNAPSHOT && progress->match >= progress->snapshot->name.index;
    if (progress->stage == RAFT_PROBE || is_installed) {
        raft_progress_replicate(progress);
    }
}

void raft_append_answer_receive(struct raft *raft, const struct raft_message *message) {
    const struct raft_append_answer *answer = &message->append_answer;
    struct raft_progress *progress = answer_begin(raft, message, answer->round);
    if (progress == NULL || answer->index > raft_log_last_index(&raft->log)) {
        return;
    }
    if (answer->is_accepted) {
        accepted(progress, answer->index);
    } else if (is_refusal(progress, answer)) {
        refused(raft, progress, answer);
    } else {
        return;
    }
    raft_replicate(raft, progress, RAFT_URGE_NOTHING);
    raft_transfer_progress(raft);
    raft_leader_commit(raft);
}

/* It is the first that says so. Of those that are repeated each would else bring one more piece,
 * and each of these another answer: more and more of them, where a network repeats them. Once a
 * beat it may say that less is there. */
static bool is_news(const struct raft_progress *progress, const struct raft_piece_answer *answer) {
    return answer->offset > progress->offset || answer->round > progress->offset_round;
}

void raft_piece_answer_receive(struct raft *raft, const struct raft_message *message) {
    const struct raft_piece_answer *answer = &message->piece_answer;
    struct raft_progress *progress = answer_begin(raft, message, answer->round);
    if (progress == NULL || progress->stage != RAFT_SEND_SNAPSHOT ||
        !raft_snapshot_name_equal(&progress->snapshot->name, &answer->snapshot) ||
        answer->round > raft->round || !is_news(progress, answer)) {
        return;
    }
    progress->offset = answer->offset;
    if (answer->round > progress->offset_round) {
        progress->offset_round = answer->round;
    }
    progress->is_paused = false;
    raft_replicate(raft, progress, RAFT_URGE_NOTHING);
}
