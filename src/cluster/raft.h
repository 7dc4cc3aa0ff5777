/* Raft: how a group of nodes agrees on one log, and so on one state. A pure step: messages, time
 * and wishes go in; what is to be persisted, sent and applied comes out. No I/O, no clock, no
 * randomness but the plan's seed.
 *
 *   raft = raft_new(&plan, &saved, now_ms)
 *   raft_tick() / raft_receive() / raft_propose() / ...            one of them, then
 *   while ((output = raft_output(raft)) != NULL) {                 before the next one:
 *       1. output->snapshot, or entries, term and vote             are made durable
 *       2. output->messages                                        are sent
 *       3. output->restored, entries up to output->apply_to        are applied
 *       4. output->reads                                           are answered
 *       raft_output_done(raft)
 *   }
 *
 * The order is the caller's part of the proof: nothing leaves a node that its disk does not hold,
 * and a read is answered from what was applied. raft_member.h does it.
 *
 *   FOLLOWER ------- nobody leads for a while; it votes -----> PRE_CANDIDATE   [raft_election.c]
 *   PRE_CANDIDATE -- a majority would vote for it -----------> CANDIDATE       (term + 1)
 *   CANDIDATE ------ a majority voted for it ---------------> LEADER          (a no-op entry)
 *   LEADER --------- no majority answers; a higher term;
 *                    it was removed -------------------------> FOLLOWER
 *   FOLLOWER ------- the leader hands over -----------------> CANDIDATE
 *
 * Invariants
 *   1. One leader a term: a node votes once a term, and its vote is durable before it is told.
 *   2. A leader commits by counting only what it appended in its own term; what is older is
 *      committed by that.
 *   3. What is committed is never truncated: it is in the log of each later leader.
 *   4. A configuration holds from when it is in the log on. The next one may be appended when the
 *      one before it is committed, and an entry of the leader's term is: else two leaders could
 *      each change one server of the same configuration, and share no voter.
 *   5. A node that hears its leader helps nobody to depose it; so who was removed, or cut off for a
 *      while, disturbs nobody. A leader that no majority answers steps down.
 *   6. A read's index is the commit at a time after it was asked, at a leader that a majority
 *      confirmed later, in whose term an entry was committed.
 *
 * Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), chapters 3, 4, 6 and 9.6.
 * One owner, one thread. Memory: the log since the snapshot, two snapshots, one more per follower
 * that is being sent one.
 */
#ifndef TARN_CLUSTER_RAFT_H
#define TARN_CLUSTER_RAFT_H

#include "cluster/raft_message.h"

/* Appends without an answer, per follower. */
#define RAFT_INFLIGHT_MAX 16
/* Entries of one raft_propose(). */
#define RAFT_PROPOSALS_MAX RAFT_APPEND_ENTRIES_MAX
/* What is proposed and not committed: more is refused with RAFT_BUSY. */
#define RAFT_UNCOMMITTED_ENTRIES_MAX 1024
#define RAFT_UNCOMMITTED_BYTES_MAX ((uint64_t)4 * 1024 * 1024)
/* Reads that wait: more are refused with RAFT_BUSY. */
#define RAFT_READS_MAX 1024
/* A learner may vote when it lacks at most so many entries. */
#define RAFT_CATCH_UP_ENTRIES 64

struct raft;

struct raft_plan {
    struct raft_id group;
    struct raft_id self;
    uint64_t seed;         /* another one at each start: election times and names of reads */
    uint64_t election_ms;  /* a leader is missed after one to two times so long */
    uint64_t heartbeat_ms; /* a fraction of it */
    /* A snapshot is wished when so many entries were applied since the last one, or the log takes
     * so many bytes. Then entries_kept of them stay for followers that lag a little, unless they
     * take more than half of the bytes. */
    uint64_t snapshot_entries;
    uint64_t snapshot_bytes;
    uint64_t entries_kept;
    size_t piece_bytes; /* of a snapshot in one message; 0: RAFT_PIECE_BYTES_MAX */
};

/* What a disk holds. A founder's has a snapshot with the first configuration, at index 1 in term 1
 * (raft_found()); who joins a group has nothing: all zero. */
struct raft_saved {
    uint64_t term;
    struct raft_id vote;
    uint64_t commit; /* at most the last index; what was durable of it */
    struct raft_snapshot *snapshot;
    struct raft_log log;
};

/* What the founder of a group saves, and all of its first members may. */
void raft_found(struct raft_saved *saved, const struct raft_config *config, struct span state);
void raft_saved_free(struct raft_saved *saved);

/* Takes over snapshot and log of saved. raft_output() gives the entries up to commit to be applied;
 * the snapshot has been already. */
struct raft *raft_new(const struct raft_plan *plan, struct raft_saved *saved, uint64_t now_ms);
void raft_free(struct raft *raft);

/* ---- events ---- */

/* Time that goes back stands still. */
void raft_tick(struct raft *raft, uint64_t now_ms);
/* The next time at which raft_tick() is needed. */
uint64_t raft_tick_ms(const struct raft *raft);

/* One that raft_message_read() took; of another group, or for another node, it is ignored. */
void raft_receive(struct raft *raft, const struct raft_message *message, uint64_t now_ms);

enum raft_answer {
    RAFT_ACCEPTED,
    RAFT_NOT_LEADER,
    RAFT_BUSY,          /* a limit is reached, or leadership is being handed over: later perhaps */
    RAFT_TOO_LARGE,     /* RAFT_ENTRY_BYTES_MAX, RAFT_PROPOSALS_MAX */
    RAFT_NOT_YET,       /* a change is not committed, or nothing of this term */
    RAFT_NOT_CAUGHT_UP, /* a learner lacks entries */
    RAFT_SENSELESS,     /* a change that raft_config_change() refuses, a transfer to no voter */
};

/* An entry that is committed at this index in this term is the one that was proposed; if another
 * term's is, it never will be. */
struct raft_position {
    uint64_t index;
    uint64_t term;
};

/* Appends them one behind the other; *first is the place of the first. */
enum raft_answer raft_propose(struct raft *raft, const struct span *contents, size_t count,
                              struct raft_position *first);
enum raft_answer raft_change(struct raft *raft, const struct raft_change *change,
                             struct raft_position *position);
/* Hands leadership over to a voter. Until it is there, or did not come within an election time,
 * proposals are refused. */
enum raft_answer raft_transfer(struct raft *raft, const struct raft_id *target);
/* On any node: output->reads tells when what is applied may be read. */
enum raft_answer raft_read(struct raft *raft, uint64_t id);
/* What the state machine is with all that was applied: after a wish. At most
 * RAFT_SNAPSHOT_BYTES_MAX less the configuration's bytes. */
void raft_snapshot_taken(struct raft *raft, struct span state);

/* ---- output ---- */

struct raft_read_result {
    uint64_t id;
    bool is_confirmed; /* else nobody could tell: ask again */
};

struct raft_output {
    /* To be durable first. */
    bool is_sync_needed; /* else commit alone has changed, and may be written without a sync */
    uint64_t term;
    struct raft_id vote;
    uint64_t commit;
    /* Not NULL: all that the disk holds gives way to this snapshot and the whole log; entries_from
     * is the first of the log. */
    struct raft_snapshot *snapshot;
    /* The log from here on has changed: it gives way to the entries up to the last. 0: it has
     * not. */
    uint64_t entries_from;
    /* To be sent then; lost ones are no harm. */
    const struct raft_message *messages;
    size_t message_count;
    /* To be applied then: restored replaces all state, or is NULL; the entries behind apply_from up
     * to apply_to, by raft_entry(). */
    const struct raft_snapshot *restored;
    uint64_t apply_from;
    uint64_t apply_to;
    const struct raft_read_result *reads;
    size_t read_count;
    bool is_snapshot_wanted; /* raft_snapshot_taken(), once this output is done */
};

/* Valid until raft_output_done(). NULL: there is nothing to do. */
const struct raft_output *raft_output(struct raft *raft);
/* All of it has been done. There may be more: what is durable now may be committed. */
void raft_output_done(struct raft *raft);

const struct raft_log *raft_log_of(const struct raft *raft);
const struct raft_entry *raft_entry(const struct raft *raft, uint64_t index);

/* ---- state ---- */

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

struct raft_status {
    enum raft_role role;
    bool is_current; /* it leads, and has applied all that was committed before it did */
    uint64_t term;
    struct raft_id vote;
    struct raft_id leader; /* none: not known */
    uint64_t commit;
    uint64_t applied;
    uint64_t last_index;
    uint64_t snapshot_index;
    const struct raft_config *config; /* valid until the next event */
    uint64_t config_index;            /* of its entry, or of the snapshot */
};

void raft_status_read(const struct raft *raft, struct raft_status *status);

/* A leader's view of a member. False: this node does not lead, or there is no such member. */
struct raft_member_status {
    uint64_t match; /* up to here its log is known to be the leader's */
    uint64_t heard_ms;
    bool is_heard; /* it answered in this term */
    bool is_sent_snapshot;
};
bool raft_member_status_read(const struct raft *raft, const struct raft_id *id,
                             struct raft_member_status *status);

#endif
