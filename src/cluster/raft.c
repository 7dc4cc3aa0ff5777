#include "cluster/raft.h"

#include "base/memory.h"
#include "cluster/raft_engine.h"

#define ARRAY_MIN 16

/* ---- lifecycle ---- */

void raft_found(struct raft_saved *saved, const struct raft_config *config, struct span state) {
    *saved = (struct raft_saved){
        .term = 1, .commit = 1, .snapshot = raft_snapshot_new(1, 1, config, state)};
    raft_log_reset(&saved->log, 1, 1);
}

void raft_saved_free(struct raft_saved *saved) {
    raft_snapshot_release(saved->snapshot);
    raft_log_free(&saved->log);
    *saved = (struct raft_saved){.term = 0};
}

struct raft *raft_new(const struct raft_plan *plan, struct raft_saved *saved, uint64_t now_ms) {
    ASSERT(plan->heartbeat_ms > 0);
    ASSERT(plan->heartbeat_ms < plan->election_ms);
    ASSERT(plan->snapshot_entries > 0);
    ASSERT(saved->term >= raft_log_last_term(&saved->log));
    struct raft *raft = memory_alloc_zeroed(sizeof(*raft));
    raft->plan = *plan;
    if (plan->piece_bytes == 0 || plan->piece_bytes > RAFT_PIECE_BYTES_MAX) {
        raft->plan.piece_bytes = RAFT_PIECE_BYTES_MAX;
    }
    random_seed(&raft->random, plan->seed);
    raft->nonce = random_next(&raft->random);
    raft->now_ms = now_ms;
    raft->term = saved->term;
    raft->vote = saved->vote;
    raft->log = saved->log;
    raft->snapshot = saved->snapshot;
    raft->applied = raft->snapshot != NULL ? raft->snapshot->name.index : 0;
    raft->commit = saved->commit > raft->applied ? saved->commit : raft->applied;
    raft->commit_told = raft->commit;
    raft->persisted = raft_log_last_index(&raft->log);
    ASSERT(raft->commit <= raft->persisted);
    *saved = (struct raft_saved){.term = 0};
    raft_config_load(raft);
    raft_deadline_set(raft);
    return raft;
}

void raft_free(struct raft *raft) {
    raft_lead_end(raft);
    raft_incoming_clear(&raft->incoming);
    raft_snapshot_release(raft->snapshot);
    raft_log_free(&raft->log);
    raft_config_free(&raft->config);
    memory_free(raft->reads);
    memory_free(raft->messages);
    memory_free(raft->results);
    memory_free(raft);
}

/* ---- gathering ---- */

/* Room for one more at the end. */
static void *array_grow(void *array, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? ARRAY_MIN : 2 * *capacity;
    return memory_realloc(array, *capacity * size);
}

struct raft_message *raft_message_add(struct raft *raft, enum raft_message_kind kind,
                                      const struct raft_id *target) {
    raft->messages = array_grow(raft->messages, raft->message_count, &raft->message_capacity,
                                sizeof(*raft->messages));
    struct raft_message *message = &raft->messages[raft->message_count++];
    *message = (struct raft_message){
        .kind = kind,
        .group = raft->plan.group,
        .source = raft->plan.self,
        .target = *target,
        .term = raft->term,
    };
    return message;
}

void raft_result_add(struct raft *raft, uint64_t id, bool is_confirmed) {
    raft->results = array_grow(raft->results, raft->result_count, &raft->result_capacity,
                               sizeof(*raft->results));
    raft->results[raft->result_count++] =
        (struct raft_read_result){.id = id, .is_confirmed = is_confirmed};
}

void raft_commit_set(struct raft *raft, uint64_t commit) {
    ASSERT(commit >= raft->commit);
    ASSERT(commit <= raft_log_last_index(&raft->log));
    raft->commit = commit;
}

void raft_entries_changed(struct raft *raft, uint64_t from) {
    ASSERT(from > raft->commit);
    if (raft->output.entries_from == 0 || from < raft->output.entries_from) {
        raft->output.entries_from = from;
    }
    if (raft->persisted >= from) {
        raft->persisted = from - 1;
    }
}

/* ---- output ---- */

/* The log's entries may have moved since the message was made, never changed. */
static void messages_settle(struct raft *raft) {
    for (size_t i = 0; i < raft->message_count; i++) {
        struct raft_message *message = &raft->messages[i];
        if (message->kind == RAFT_APPEND && message->append.count > 0) {
            message->append.entries =
                raft_log_entry(&raft->log, message->append.previous_index + 1);
        }
    }
}

static bool is_snapshot_wanted(const struct raft *raft, uint64_t applied) {
    uint64_t last = raft->snapshot != NULL ? raft->snapshot->name.index : 0;
    return applied > last && (applied - last >= raft->plan.snapshot_entries ||
                              raft->log.size_bytes >= raft->plan.snapshot_bytes);
}

const struct raft_output *raft_output(struct raft *raft) {
    struct raft_output *output = &raft->output;
    if (raft->is_output_taken) {
        return output;
    }
    raft_reads_confirm(raft);
    output->apply_from = output->restored != NULL ? raft->snapshot->name.index : raft->applied;
    output->is_sync_needed =
        raft->is_vote_changed || output->entries_from != 0 || output->snapshot != NULL;
    if (!output->is_sync_needed && raft->commit == raft->commit_told &&
        raft->commit == output->apply_from && raft->message_count == 0 && raft->result_count == 0) {
        return NULL;
    }
    messages_settle(raft);
    output->term = raft->term;
    output->vote = raft->vote;
    output->commit = raft->commit;
    output->messages = raft->messages;
    output->message_count = raft->message_count;
    output->apply_to = raft->commit;
    output->reads = raft->results;
    output->read_count = raft->result_count;
    output->is_snapshot_wanted = is_snapshot_wanted(raft, output->apply_to);
    raft->is_output_taken = true;
    return output;
}

void raft_output_done(struct raft *raft) {
    ASSERT(raft->is_output_taken);
    raft->commit_told = raft->output.commit;
    raft->applied = raft->output.apply_to;
    raft->persisted = raft_log_last_index(&raft->log);
    raft->output = (struct raft_output){.term = 0};
    raft->is_output_taken = false;
    raft->is_vote_changed = false;
    raft->message_count = 0;
    raft->result_count = 0;
    if (raft->role == RAFT_LEADER) {
        raft_leader_persisted(raft);
    } else {
        raft_lead_end(raft);
    }
}

/* ---- events ---- */

static bool has_no_output(struct raft *raft) {
    return raft_output(raft) == NULL;
}

/* What the output before this event holds has been done. */
static void event_begin(struct raft *raft, uint64_t now_ms) {
    ASSERT(has_no_output(raft));
    if (now_ms > raft->now_ms) {
        raft->now_ms = now_ms;
    }
}

void raft_tick(struct raft *raft, uint64_t now_ms) {
    event_begin(raft, now_ms);
    raft_reads_expire(raft);
    if (raft->role == RAFT_LEADER) {
        raft_leader_tick(raft);
    } else {
        raft_election_tick(raft);
    }
}

uint64_t raft_tick_ms(const struct raft *raft) {
    uint64_t next = raft->role == RAFT_LEADER ? raft_leader_tick_ms(raft) : raft->deadline_ms;
    for (size_t i = 0; i < raft->read_count; i++) {
        uint64_t expiry = raft->reads[i].asked_ms + raft->plan.election_ms;
        next = expiry < next ? expiry : next;
    }
    return next;
}

static bool is_from_leader(const struct raft_message *message) {
    return message->kind == RAFT_APPEND || message->kind == RAFT_PIECE ||
           message->kind == RAFT_TAKE_OVER;
}

static bool is_answer(const struct raft_message *message) {
    return message->kind == RAFT_VOTE_ANSWER || message->kind == RAFT_APPEND_ANSWER ||
           message->kind == RAFT_PIECE_ANSWER;
}

/* A message of a higher term than ours. False: it is not to be heard. */
static bool term_rise(struct raft *raft, const struct raft_message *message) {
    bool is_vote = message->kind == RAFT_VOTE;
    bool is_promise = message->kind == RAFT_VOTE_ANSWER && message->vote_answer.is_pre &&
                      message->vote_answer.is_granted;
    if ((is_vote && message->vote.is_pre) || is_promise) {
        return true; /* nobody is in that term yet */
    }
    if (is_vote && !message->vote.is_transfer && raft_hears_leader(raft)) {
        return false;
    }
    /* Who is not a member any more does not depose the leader. */
    if (raft->role == RAFT_LEADER && is_answer(message) &&
        raft_progress_find(raft, &message->source) == NULL) {
        return false;
    }
    raft_follow(raft, message->term, is_from_leader(message) ? &message->source : &RAFT_ID_NONE);
    return true;
}

/* A message of a lower term than ours. Its sender may be cut off from who could tell it: a leader
 * hears of our term by that, and steps down, since else this node could never follow it. */
static void answer_older(struct raft *raft, const struct raft_message *message) {
    if (message->kind == RAFT_APPEND || message->kind == RAFT_PIECE) {
        raft_message_add(raft, RAFT_APPEND_ANSWER, &message->source);
    } else if (message->kind == RAFT_VOTE) {
        struct raft_message *answer = raft_message_add(raft, RAFT_VOTE_ANSWER, &message->source);
        answer->vote_answer.is_pre = message->vote.is_pre;
    }
}

static void receive(struct raft *raft, const struct raft_message *message) {
    switch (message->kind) {
    case RAFT_VOTE:
        raft_vote_receive(raft, message);
        break;
    case RAFT_VOTE_ANSWER:
        raft_vote_answer_receive(raft, message);
        break;
    case RAFT_APPEND:
        raft_append_receive(raft, message);
        break;
    case RAFT_APPEND_ANSWER:
        raft_append_answer_receive(raft, message);
        break;
    case RAFT_PIECE:
        raft_piece_receive(raft, message);
        break;
    case RAFT_PIECE_ANSWER:
        raft_piece_answer_receive(raft, message);
        break;
    case RAFT_TAKE_OVER:
        raft_take_over_receive(raft, message);
        break;
    case RAFT_READ:
        raft_read_receive(raft, message);
        break;
    case RAFT_READ_ANSWER:
        raft_read_answer_receive(raft, message);
        break;
    }
}

void raft_receive(struct raft *raft, const struct raft_message *message, uint64_t now_ms) {
    event_begin(raft, now_ms);
    bool is_ours = raft_id_equal(&message->group, &raft->plan.group) &&
                   raft_id_equal(&message->target, &raft->plan.self) &&
                   !raft_id_equal(&message->source, &raft->plan.self);
    /* Nobody leads in term 0. */
    if (!is_ours || (message->term == 0 && !is_answer(message))) {
        return;
    }
    if (message->term < raft->term) {
        answer_older(raft, message);
    } else if (message->term == raft->term || term_rise(raft, message)) {
        receive(raft, message);
    }
}

/* ---- proposals ---- */

static bool is_full(const struct raft *raft, const struct span *contents, size_t count) {
    uint64_t last = raft_log_last_index(&raft->log);
    if (last + count - raft->commit > RAFT_UNCOMMITTED_ENTRIES_MAX) {
        return true;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += contents[i].length;
    }
    for (uint64_t index = raft->commit + 1; index <= last; index++) {
        bytes += raft_log_entry(&raft->log, index)->bytes.length;
    }
    return bytes > RAFT_UNCOMMITTED_BYTES_MAX;
}

enum raft_answer raft_propose(struct raft *raft, const struct span *contents, size_t count,
                              struct raft_position *first) {
    ASSERT(has_no_output(raft));
    ASSERT(count > 0);
    if (raft->role != RAFT_LEADER) {
        return RAFT_NOT_LEADER;
    }
    bool is_too_large = count > RAFT_PROPOSALS_MAX;
    for (size_t i = 0; i < count && !is_too_large; i++) {
        is_too_large = contents[i].length > RAFT_ENTRY_BYTES_MAX;
    }
    if (is_too_large) {
        return RAFT_TOO_LARGE;
    }
    if (!raft_id_is_none(&raft->transfer) || is_full(raft, contents, count)) {
        return RAFT_BUSY;
    }
    *first =
        (struct raft_position){.index = raft_log_last_index(&raft->log) + 1, .term = raft->term};
    for (size_t i = 0; i < count; i++) {
        raft_leader_append(raft, &(struct raft_entry){.term = raft->term,
                                                      .kind = RAFT_ENTRY_NORMAL,
                                                      .bytes = contents[i]});
    }
    raft_replicate_all(raft, RAFT_URGE_NOTHING);
    return RAFT_ACCEPTED;
}

/* ---- snapshots ---- */

/* Up to here entries may go, now that the snapshot holds them. */
static uint64_t compaction_index(const struct raft *raft, uint64_t index) {
    uint64_t kept_bytes = 0;
    uint64_t base = index;
    while (base > raft->log.base_index && index - base < raft->plan.entries_kept) {
        kept_bytes += raft_log_entry(&raft->log, base)->bytes.length;
        if (kept_bytes > raft->plan.snapshot_bytes / 2) {
            break;
        }
        base--;
    }
    return base;
}

void raft_snapshot_taken(struct raft *raft, struct span state) {
    ASSERT(has_no_output(raft));
    uint64_t index = raft->applied;
    ASSERT(index > (raft->snapshot != NULL ? raft->snapshot->name.index : 0));
    uint64_t term;
    bool is_known = raft_log_term(&raft->log, index, &term);
    ASSERT(is_known);
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_at(raft, index, &config);
    struct raft_snapshot *snapshot = raft_snapshot_new(index, term, &config, state);
    raft_config_free(&config);
    raft_snapshot_release(raft->snapshot);
    raft->snapshot = snapshot;
    raft_log_compact(&raft->log, compaction_index(raft, index));
    raft->output.snapshot = snapshot;
    raft->output.entries_from = raft->log.base_index + 1;
}

/* ---- state ---- */

const struct raft_log *raft_log_of(const struct raft *raft) {
    return &raft->log;
}

const struct raft_entry *raft_entry(const struct raft *raft, uint64_t index) {
    return raft_log_entry(&raft->log, index);
}

void raft_status_read(const struct raft *raft, struct raft_status *status) {
    *status = (struct raft_status){
        .role = raft->role,
        .is_current = raft->role == RAFT_LEADER && raft->applied >= raft->term_start,
        .term = raft->term,
        .vote = raft->vote,
        .leader = raft->leader,
        .commit = raft->commit,
        .applied = raft->applied,
        .last_index = raft_log_last_index(&raft->log),
        .snapshot_index = raft->snapshot != NULL ? raft->snapshot->name.index : 0,
        .config = &raft->config,
        .config_index = raft->config_index,
    };
}

bool raft_member_status_read(const struct raft *raft, const struct raft_id *id,
                             struct raft_member_status *status) {
    const struct raft_progress *progress =
        raft->role == RAFT_LEADER ? raft_progress_find(raft, id) : NULL;
    if (progress == NULL) {
        return false;
    }
    *status = (struct raft_member_status){
        .match = progress->match,
        .heard_ms = progress->heard_ms,
        .is_heard = progress->is_heard,
        .is_sent_snapshot = progress->stage == RAFT_SEND_SNAPSHOT,
    };
    return true;
}
