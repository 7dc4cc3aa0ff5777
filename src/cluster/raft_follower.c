#include "base/assertion.h"
#include "cluster/raft_engine.h"

/* False: another node leads in this term, so the message cannot be. */
static bool leader_heard(struct raft *raft, const struct raft_id *source) {
    bool is_led = !raft_id_is_none(&raft->leader);
    if (raft->role == RAFT_LEADER || (is_led && !raft_id_equal(&raft->leader, source))) {
        return false;
    }
    raft_follow(raft, raft->term, source);
    return true;
}

static void accept(struct raft *raft, const struct raft_id *leader, uint64_t index,
                   uint64_t round) {
    raft_message_add(raft, RAFT_APPEND_ANSWER, leader)->append_answer =
        (struct raft_append_answer){.is_accepted = true, .index = index, .round = round};
}

/* ---- entries ---- */

static void refuse(struct raft *raft, const struct raft_message *message) {
    const struct raft_append *append = &message->append;
    struct raft_append_answer answer = {.index = append->previous_index, .round = append->round};
    answer.hint_index =
        raft_log_agreeable(&raft->log, append->previous_index, append->previous_term);
    raft_log_term(&raft->log, answer.hint_index, &answer.hint_term);
    raft_message_add(raft, RAFT_APPEND_ANSWER, &message->source)->append_answer = answer;
}

/* What we have already stays: an append may be older than others that came before it. Only an entry
 * of another term shows that what is here is of no use. */
static bool entry_is_here(struct raft *raft, uint64_t index, uint64_t term) {
    uint64_t there;
    if (!raft_log_term(&raft->log, index, &there)) {
        return false;
    }
    if (there == term) {
        return true;
    }
    ASSERT(index > raft->commit);
    raft_log_truncate(&raft->log, index);
    raft_entries_changed(raft, index);
    if (raft->config_index >= index) {
        raft_config_load(raft);
    }
    return false;
}

/* Takes the entries but the first `skipped`. */
static void entries_take(struct raft *raft, const struct raft_append *append, size_t skipped) {
    bool has_config = false;
    for (size_t i = skipped; i < append->count; i++) {
        const struct raft_entry *entry = &append->entries[i];
        uint64_t index = append->previous_index + 1 + i;
        if (entry_is_here(raft, index, entry->term)) {
            continue;
        }
        raft_log_append(&raft->log, entry);
        raft_entries_changed(raft, index);
        has_config = has_config || entry->kind == RAFT_ENTRY_CONFIG;
    }
    if (has_config) {
        raft_config_load(raft);
    }
}

/* The entry that is committed last here. False: whoever sends this is no leader of this group. */
static bool is_committed_same(const struct raft *raft, const struct raft_entry *entry) {
    uint64_t term = 0;
    raft_log_term(&raft->log, raft->commit, &term);
    return term == entry->term;
}

void raft_append_receive(struct raft *raft, const struct raft_message *message) {
    const struct raft_append *append = &message->append;
    if (!leader_heard(raft, &message->source)) {
        return;
    }
    raft->commit_heard = append->commit > raft->commit_heard ? append->commit : raft->commit_heard;
    /* What is committed here is the same there, even if it is in no log any more. */
    uint64_t known =
        append->previous_index < raft->commit ? raft->commit - append->previous_index : 0;
    if (known > append->count) {
        accept(raft, &message->source, raft->commit, append->round);
        return;
    }
    if (known > 0 && !is_committed_same(raft, &append->entries[known - 1])) {
        return;
    }
    uint64_t term;
    if (known == 0 && (!raft_log_term(&raft->log, append->previous_index, &term) ||
                       term != append->previous_term)) {
        refuse(raft, message);
        return;
    }
    entries_take(raft, append, known);
    uint64_t last = append->previous_index + append->count;
    uint64_t commit = append->commit < last ? append->commit : last;
    if (commit > raft->commit) {
        raft_commit_set(raft, commit);
    }
    accept(raft, &message->source, last, append->round);
}

/* ---- snapshots ---- */

static void install(struct raft *raft, struct raft_snapshot *snapshot) {
    ASSERT(snapshot->name.index > raft->commit);
    raft_snapshot_release(raft->snapshot);
    raft->snapshot = snapshot;
    raft_log_reset(&raft->log, snapshot->name.index, snapshot->name.term);
    raft_commit_set(raft, snapshot->name.index);
    raft_config_load(raft);
    raft->persisted = snapshot->name.index;
    raft->output.snapshot = snapshot;
    raft->output.restored = snapshot;
    raft->output.entries_from = snapshot->name.index + 1;
}

/* The log is the leader's up to there, and so is the state: nothing needs to be replaced. */
static bool is_known(struct raft *raft, const struct raft_snapshot_name *name) {
    uint64_t term;
    if (name->index > raft->commit && raft_log_term(&raft->log, name->index, &term) &&
        term == name->term) {
        raft_commit_set(raft, name->index);
    }
    return name->index <= raft->commit;
}

static void piece_answer(struct raft *raft, const struct raft_message *message, uint64_t offset) {
    raft_message_add(raft, RAFT_PIECE_ANSWER, &message->source)->piece_answer =
        (struct raft_piece_answer){
            .snapshot = message->piece.snapshot, .offset = offset, .round = message->piece.round};
}

void raft_piece_receive(struct raft *raft, const struct raft_message *message) {
    const struct raft_piece *piece = &message->piece;
    if (!leader_heard(raft, &message->source)) {
        return;
    }
    if (is_known(raft, &piece->snapshot)) {
        raft_incoming_clear(&raft->incoming);
        accept(raft, &message->source, raft->commit, piece->round);
        return;
    }
    uint64_t offset =
        raft_incoming_add(&raft->incoming, &piece->snapshot, piece->offset, piece->bytes);
    if (offset < piece->snapshot.size) {
        piece_answer(raft, message, offset);
        return;
    }
    struct raft_snapshot *snapshot = raft_incoming_take(&raft->incoming);
    if (snapshot == NULL) {
        piece_answer(raft, message, 0);
        return;
    }
    install(raft, snapshot);
    accept(raft, &message->source, raft->commit, piece->round);
}
