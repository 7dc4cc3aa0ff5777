/* The inside of struct raft, for the files that make it up; nobody else includes it.
 *
 *   raft.c             events in, output out, what happens to terms
 *   raft_election.c    time, votes, becoming a leader and ceasing to be one
 *   raft_leader.c      sending entries and snapshots, counting, committing
 *   raft_follower.c    taking entries and snapshots
 *   raft_membership.c  configurations, changes, transfer of leadership
 *   raft_reads.c       reads
 */
#ifndef TARN_CLUSTER_RAFT_ENGINE_H
#define TARN_CLUSTER_RAFT_ENGINE_H

#include "base/random.h"
#include "cluster/raft_progress.h"

/* A read that waits: asked here (source: none) or by a follower, or sent to the leader. */
struct raft_waiting_read {
    struct raft_id source;
    uint64_t nonce;
    uint64_t number;
    uint64_t id;    /* of the caller, if asked here */
    uint64_t round; /* a leader: confirmed by a majority's answers to this round */
    uint64_t index; /* 0: not known */
    uint64_t asked_ms;
};

struct raft {
    struct raft_plan plan;
    struct random random;
    uint64_t nonce; /* of this start's reads */
    uint64_t now_ms;

    /* Durable when the output is done. */
    uint64_t term;
    struct raft_id vote;
    struct raft_log log;
    struct raft_snapshot *snapshot; /* NULL: none */

    struct raft_config config; /* the last one in the log */
    uint64_t config_index;

    enum raft_role role;
    struct raft_id leader;
    uint64_t commit;
    uint64_t applied;
    uint64_t persisted; /* the log is durable up to here */
    uint64_t deadline_ms;
    uint64_t heard_ms;     /* of the leader */
    uint64_t commit_heard; /* ... and the most that one was said to have committed */
    struct raft_id granted[RAFT_VOTERS_MAX];
    size_t granted_count;
    struct raft_incoming incoming;

    /* A leader's. */
    struct raft_progress *progress;
    size_t progress_count;
    uint64_t term_start; /* its no-op */
    uint64_t round;
    uint64_t beat_ms;
    uint64_t quorum_ms;
    struct raft_id transfer; /* none: there is none */
    uint64_t transfer_ms;

    struct raft_waiting_read *reads;
    size_t read_count;
    size_t read_capacity;
    uint64_t read_number;

    /* Gathered for the output. */
    struct raft_output output;
    bool is_output_taken; /* and not done */
    bool is_vote_changed;
    uint64_t commit_told;
    struct raft_message *messages;
    size_t message_count;
    size_t message_capacity;
    struct raft_read_result *results;
    size_t result_count;
    size_t result_capacity;
};

/* ---- raft.c ---- */

/* A message to be sent, in this term; its content is the caller's. Valid until the next one. */
struct raft_message *raft_message_add(struct raft *raft, enum raft_message_kind kind,
                                      const struct raft_id *target);
void raft_result_add(struct raft *raft, uint64_t id, bool is_confirmed);
void raft_commit_set(struct raft *raft, uint64_t commit);
/* Entries from this index on are to be made durable. */
void raft_entries_changed(struct raft *raft, uint64_t from);

/* ---- raft_election.c ---- */

void raft_deadline_set(struct raft *raft);
/* A term that is higher than ours forgets the vote. The leader may be none. */
void raft_follow(struct raft *raft, uint64_t term, const struct raft_id *leader);
void raft_election_tick(struct raft *raft);
bool raft_hears_leader(const struct raft *raft);
void raft_campaign(struct raft *raft, bool is_transfer);
void raft_vote_receive(struct raft *raft, const struct raft_message *message);
void raft_vote_answer_receive(struct raft *raft, const struct raft_message *message);

/* ---- raft_leader.c ---- */

void raft_lead(struct raft *raft); /* begins */
void raft_lead_end(struct raft *raft);
void raft_leader_tick(struct raft *raft);
uint64_t raft_leader_tick_ms(const struct raft *raft);
struct raft_progress *raft_progress_find(const struct raft *raft, const struct raft_id *id);
/* A majority of the voters, this node perhaps among them, has answered that round. */
bool raft_is_confirmed(const struct raft *raft, uint64_t round);
void raft_leader_append(struct raft *raft, const struct raft_entry *entry);
/* What must be told to a member even if there is no entry for it. */
enum raft_urge {
    RAFT_URGE_NOTHING,
    RAFT_URGE_COMMIT, /* to members that keep up */
    RAFT_URGE_BEAT,   /* to all, and what may be lost is sent again */
};
void raft_replicate(struct raft *raft, struct raft_progress *progress, enum raft_urge urge);
void raft_replicate_all(struct raft *raft, enum raft_urge urge);
/* A new round of beats, whose answers confirm that this node leads. */
void raft_beat(struct raft *raft);
void raft_leader_persisted(struct raft *raft);
void raft_leader_commit(struct raft *raft);
void raft_append_answer_receive(struct raft *raft, const struct raft_message *message);
void raft_piece_answer_receive(struct raft *raft, const struct raft_message *message);

/* ---- raft_follower.c ---- */

void raft_append_receive(struct raft *raft, const struct raft_message *message);
void raft_piece_receive(struct raft *raft, const struct raft_message *message);

/* ---- raft_membership.c ---- */

/* The configuration is the last one in the log. */
void raft_config_load(struct raft *raft);
/* The one that held at the index, which is not before the snapshot. */
void raft_config_at(const struct raft *raft, uint64_t index, struct raft_config *config);
/* A leader: all members have a progress, and nobody else. */
void raft_progress_fit(struct raft *raft);
bool raft_is_voter(const struct raft *raft);
/* It votes, or did before an entry that is not committed: it may be the only one that has the entry
 * that removes it, and its vote be needed by who has not (Ongaro, 4.2.2). So it leads without
 * counting itself until that is committed. */
bool raft_is_electable(const struct raft *raft);
void raft_membership_committed(struct raft *raft);
void raft_transfer_progress(struct raft *raft);
void raft_take_over_receive(struct raft *raft, const struct raft_message *message);

/* ---- raft_reads.c ---- */

void raft_read_receive(struct raft *raft, const struct raft_message *message);
void raft_read_answer_receive(struct raft *raft, const struct raft_message *message);
void raft_reads_confirm(struct raft *raft); /* answers those that may be */
void raft_reads_fail(struct raft *raft);    /* all of them: the term or the leader changes */
void raft_reads_expire(struct raft *raft);

#endif
