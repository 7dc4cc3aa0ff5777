#include "base/assertion.h"
#include "cluster/raft_engine.h"

/* ---- time ---- */

/* Who votes alone waits for nobody. */
void raft_deadline_set(struct raft *raft) {
    bool is_alone =
        raft_is_electable(raft) && raft_is_voter(raft) && raft_config_voters(&raft->config) == 1;
    uint64_t wait = raft->plan.election_ms + random_below(&raft->random, raft->plan.election_ms);
    raft->deadline_ms = raft->now_ms + (is_alone ? 0 : wait);
}

bool raft_hears_leader(const struct raft *raft) {
    return raft->role == RAFT_LEADER || (!raft_id_is_none(&raft->leader) &&
                                         raft->now_ms - raft->heard_ms < raft->plan.election_ms);
}

void raft_election_tick(struct raft *raft) {
    if (raft->now_ms < raft->deadline_ms) {
        return;
    }
    if (raft_is_electable(raft)) {
        raft_campaign(raft, false);
    } else {
        raft_follow(raft, raft->term, &RAFT_ID_NONE); /* who led is not heard any more */
    }
}

/* ---- following ---- */

void raft_follow(struct raft *raft, uint64_t term, const struct raft_id *leader) {
    ASSERT(term >= raft->term);
    bool is_other = !raft_id_equal(leader, &raft->leader);
    if (term > raft->term) {
        raft->term = term;
        raft->vote = RAFT_ID_NONE;
        raft->is_vote_changed = true;
    }
    raft->role = RAFT_FOLLOWER;
    raft->leader = *leader;
    raft->heard_ms = raft->now_ms;
    if (is_other) {
        raft_reads_fail(raft);
    }
    raft_deadline_set(raft);
}

/* ---- campaigns ---- */

static bool is_elected(const struct raft *raft) {
    return raft->granted_count >= raft_config_majority(&raft->config);
}

/* Of voters alone, and once of each. */
static void granted_add(struct raft *raft, const struct raft_id *id) {
    if (!raft_config_has_voter(&raft->config, id)) {
        return;
    }
    for (size_t i = 0; i < raft->granted_count; i++) {
        if (raft_id_equal(&raft->granted[i], id)) {
            return;
        }
    }
    ASSERT(raft->granted_count < RAFT_VOTERS_MAX);
    raft->granted[raft->granted_count++] = *id;
}

static void votes_ask(struct raft *raft, bool is_pre, bool is_transfer) {
    for (size_t i = 0; i < raft->config.count; i++) {
        const struct raft_config_member *member = &raft->config.members[i];
        if (!member->is_voter || raft_id_equal(&member->id, &raft->plan.self)) {
            continue;
        }
        struct raft_message *message = raft_message_add(raft, RAFT_VOTE, &member->id);
        message->term = raft->term + (is_pre ? 1 : 0);
        message->vote = (struct raft_vote){
            .is_pre = is_pre,
            .is_transfer = is_transfer,
            .last_index = raft_log_last_index(&raft->log),
            .last_term = raft_log_last_term(&raft->log),
        };
    }
}

static void campaign_begin(struct raft *raft, enum raft_role role) {
    raft_follow(raft, raft->term + (role == RAFT_CANDIDATE ? 1 : 0), &RAFT_ID_NONE);
    raft->role = role;
    raft->granted_count = 0;
    granted_add(raft, &raft->plan.self);
}

static void candidate_begin(struct raft *raft, bool is_transfer) {
    campaign_begin(raft, RAFT_CANDIDATE);
    raft->vote = raft->plan.self;
    if (is_elected(raft)) {
        raft_lead(raft);
    } else {
        votes_ask(raft, false, is_transfer);
    }
}

void raft_campaign(struct raft *raft, bool is_transfer) {
    ASSERT(raft->role != RAFT_LEADER);
    ASSERT(raft_is_electable(raft));
    if (is_transfer) {
        candidate_begin(raft, true);
        return;
    }
    campaign_begin(raft, RAFT_PRE_CANDIDATE);
    if (is_elected(raft)) {
        candidate_begin(raft, false);
    } else {
        votes_ask(raft, true, false);
    }
}

/* ---- votes ---- */

/* Who holds less than we do could lack what is committed. */
static bool is_up_to_date(const struct raft *raft, const struct raft_vote *vote) {
    uint64_t last_term = raft_log_last_term(&raft->log);
    return vote->last_term > last_term ||
           (vote->last_term == last_term && vote->last_index >= raft_log_last_index(&raft->log));
}

static bool is_vote_granted(const struct raft *raft, const struct raft_message *message) {
    if (!is_up_to_date(raft, &message->vote)) {
        return false;
    }
    if (message->vote.is_pre) {
        return message->term > raft->term && !raft_hears_leader(raft);
    }
    return raft_id_equal(&raft->vote, &message->source) ||
           (raft_id_is_none(&raft->vote) && raft_id_is_none(&raft->leader));
}

/* Asked for its vote, a node gives it even if it does not know that it has one: the configuration
 * that says so may not have come yet, and the candidate counts by its own. */
void raft_vote_receive(struct raft *raft, const struct raft_message *message) {
    bool is_pre = message->vote.is_pre;
    bool is_granted = is_vote_granted(raft, message);
    if (is_granted && !is_pre && raft_id_is_none(&raft->vote)) {
        raft->vote = message->source;
        raft->is_vote_changed = true;
        raft_deadline_set(raft);
    }
    struct raft_message *answer = raft_message_add(raft, RAFT_VOTE_ANSWER, &message->source);
    answer->term = is_granted ? message->term : raft->term;
    answer->vote_answer = (struct raft_vote_answer){.is_pre = is_pre, .is_granted = is_granted};
}

void raft_vote_answer_receive(struct raft *raft, const struct raft_message *message) {
    bool is_pre = message->vote_answer.is_pre;
    enum raft_role role = is_pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;
    bool is_for_now = message->term == raft->term + (is_pre ? 1 : 0);
    if (raft->role != role || !is_for_now || !message->vote_answer.is_granted) {
        return;
    }
    granted_add(raft, &message->source);
    if (!is_elected(raft)) {
        return;
    }
    if (is_pre) {
        candidate_begin(raft, false);
    } else {
        raft_lead(raft);
    }
}
