#include "base/assertion.h"
#include "base/memory.h"
#include "cluster/raft_engine.h"

/* ---- which configuration ---- */

/* The index of the last entry up to there that holds one; 0: none in the log does. */
static uint64_t config_entry(const struct raft *raft, uint64_t index) {
    while (index > raft->log.base_index) {
        if (raft_log_entry(&raft->log, index)->kind == RAFT_ENTRY_CONFIG) {
            return index;
        }
        index--;
    }
    return 0;
}

/* Answers the index of its entry. Where the log reaches back behind the snapshot, an entry there is
 * what the snapshot holds, too. */
static uint64_t config_find(const struct raft *raft, uint64_t index, struct raft_config *config) {
    uint64_t found = config_entry(raft, index);
    if (found != 0) {
        struct span bytes = raft_log_entry(&raft->log, found)->bytes;
        bool is_whole = raft_config_read(config, &bytes);
        ASSERT(is_whole);
        return found;
    }
    if (raft->snapshot == NULL) {
        raft_config_free(config);
        return 0;
    }
    raft_config_copy(config, &raft->snapshot->config);
    return raft->snapshot->name.index;
}

void raft_config_at(const struct raft *raft, uint64_t index, struct raft_config *config) {
    ASSERT(raft->snapshot == NULL || index >= raft->snapshot->name.index);
    config_find(raft, index, config);
}

void raft_config_load(struct raft *raft) {
    raft->config_index = config_find(raft, raft_log_last_index(&raft->log), &raft->config);
}

bool raft_is_voter(const struct raft *raft) {
    return raft_config_has_voter(&raft->config, &raft->plan.self);
}

static bool was_voter_at(const struct raft *raft, uint64_t index) {
    struct raft_config config = RAFT_CONFIG_EMPTY;
    config_find(raft, index, &config);
    bool is_voter = raft_config_has_voter(&config, &raft->plan.self);
    raft_config_free(&config);
    return is_voter;
}

/* Who has come back without its log may, on its way through the leader's, read of a time when it
 * was the only voter: it elects nobody until it holds what it knows to be committed. */
bool raft_is_electable(const struct raft *raft) {
    if (raft_log_last_index(&raft->log) < raft->commit_heard) {
        return false;
    }
    if (raft_is_voter(raft)) {
        return true;
    }
    uint64_t index = raft->config_index;
    while (index > raft->commit) {
        if (was_voter_at(raft, index - 1)) {
            return true;
        }
        index = config_entry(raft, index - 1);
    }
    return false;
}

/* ---- whom the leader sends to ---- */

static void progress_begin(struct raft *raft, struct raft_progress *progress,
                           const struct raft_id *id) {
    *progress = (struct raft_progress){.id = *id, .stage = RAFT_PROBE};
    progress->next = raft_log_last_index(&raft->log) + 1;
    if (raft_id_equal(id, &raft->plan.self)) {
        progress->match = raft->persisted;
    }
}

void raft_progress_fit(struct raft *raft) {
    const struct raft_config *config = &raft->config;
    struct raft_progress *fitting = memory_alloc_zeroed(config->count * sizeof(*fitting));
    for (size_t i = 0; i < config->count; i++) {
        struct raft_progress *known = raft_progress_find(raft, &config->members[i].id);
        if (known != NULL) {
            fitting[i] = *known;
            known->snapshot = NULL;
        } else {
            progress_begin(raft, &fitting[i], &config->members[i].id);
        }
        fitting[i].is_voter = config->members[i].is_voter;
    }
    raft_lead_end(raft);
    raft->progress = fitting;
    raft->progress_count = config->count;
}

/* ---- changes ---- */

/* A learner that would vote at once, and not hold commits up. */
static bool is_caught_up(const struct raft *raft, const struct raft_id *id) {
    const struct raft_progress *progress = raft_progress_find(raft, id);
    return progress != NULL && progress->is_heard &&
           raft->now_ms - progress->heard_ms < raft->plan.election_ms &&
           progress->match + RAFT_CATCH_UP_ENTRIES >= raft_log_last_index(&raft->log);
}

static void config_append(struct raft *raft, struct raft_config *config) {
    struct buffer bytes = BUFFER_EMPTY;
    raft_config_write(config, &bytes);
    raft_leader_append(raft, &(struct raft_entry){.term = raft->term,
                                                  .kind = RAFT_ENTRY_CONFIG,
                                                  .bytes = buffer_span(&bytes)});
    buffer_free(&bytes);
    raft_config_free(&raft->config);
    raft->config = *config;
    raft->config_index = raft_log_last_index(&raft->log);
    raft_progress_fit(raft);
}

enum raft_answer raft_change(struct raft *raft, const struct raft_change *change,
                             struct raft_position *position) {
    ASSERT(raft_output(raft) == NULL);
    if (raft->role != RAFT_LEADER) {
        return RAFT_NOT_LEADER;
    }
    if (!raft_id_is_none(&raft->transfer)) {
        return RAFT_BUSY;
    }
    /* Without an entry of this term being committed, the change of another leader may be on its
     * way to a majority, and this one on its way to another. */
    if (raft->config_index > raft->commit || raft->commit < raft->term_start) {
        return RAFT_NOT_YET;
    }
    struct raft_config config = RAFT_CONFIG_EMPTY;
    raft_config_copy(&config, &raft->config);
    if (!raft_config_change(&config, change)) {
        raft_config_free(&config);
        return RAFT_SENSELESS;
    }
    if (change->kind == RAFT_CHANGE_PROMOTE && !is_caught_up(raft, &change->id)) {
        raft_config_free(&config);
        return RAFT_NOT_CAUGHT_UP;
    }
    config_append(raft, &config);
    *position = (struct raft_position){.index = raft->config_index, .term = raft->term};
    raft_replicate_all(raft, RAFT_URGE_NOTHING);
    return RAFT_ACCEPTED;
}

/* ---- who was removed ---- */

static void successor_call(struct raft *raft) {
    const struct raft_progress *best = NULL;
    for (size_t i = 0; i < raft->progress_count; i++) {
        const struct raft_progress *progress = &raft->progress[i];
        if (progress->is_voter && (best == NULL || progress->match > best->match)) {
            best = progress;
        }
    }
    ASSERT(best != NULL);
    raft_message_add(raft, RAFT_TAKE_OVER, &best->id);
}

/* A leader that votes no more leads until that is committed, for nobody else could commit it; then
 * it calls the member that has most to lead. */
void raft_membership_committed(struct raft *raft) {
    if (raft->config_index <= raft->commit && !raft_is_voter(raft)) {
        successor_call(raft);
        raft_follow(raft, raft->term, &RAFT_ID_NONE);
    }
}

/* ---- transfer ---- */

void raft_transfer_progress(struct raft *raft) {
    if (raft_id_is_none(&raft->transfer)) {
        return;
    }
    const struct raft_progress *progress = raft_progress_find(raft, &raft->transfer);
    if (progress != NULL && progress->match == raft_log_last_index(&raft->log)) {
        raft_message_add(raft, RAFT_TAKE_OVER, &raft->transfer);
    }
}

enum raft_answer raft_transfer(struct raft *raft, const struct raft_id *target) {
    ASSERT(raft_output(raft) == NULL);
    if (raft->role != RAFT_LEADER) {
        return RAFT_NOT_LEADER;
    }
    if (!raft_id_is_none(&raft->transfer)) {
        return RAFT_BUSY;
    }
    if (!raft_config_has_voter(&raft->config, target) || raft_id_equal(target, &raft->plan.self)) {
        return RAFT_SENSELESS;
    }
    raft->transfer = *target;
    raft->transfer_ms = raft->now_ms + raft->plan.election_ms;
    raft_transfer_progress(raft);
    return RAFT_ACCEPTED;
}

void raft_take_over_receive(struct raft *raft, const struct raft_message *message) {
    bool is_led = raft_id_equal(&raft->leader, &message->source);
    if (raft->role == RAFT_FOLLOWER && is_led && raft_is_voter(raft) && raft_is_electable(raft)) {
        raft_campaign(raft, true);
    }
}
