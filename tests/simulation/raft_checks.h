/* What must hold in a consensus group whatever happens, as checks of what its members do. They know
 * nothing of how: terms and logs are looked at from outside, votes and terms as they are sent.
 *
 *   election safety        one leader a term
 *   promises               no term is taken back and no vote given twice, over restarts too
 *   log matching           an entry's index and term tell all that stands up to it
 *   leader completeness    a leader has what was committed in the terms before its own
 *   state machine safety   what is applied at an index is the same on all, from snapshots too
 *   configuration safety   each differs from the one before it by one member
 *   linearizable reads     a read sees what had been applied anywhere when it was asked for
 */
#ifndef TARN_TESTS_SIMULATION_RAFT_CHECKS_H
#define TARN_TESTS_SIMULATION_RAFT_CHECKS_H

#include "cluster/raft_member.h"

#define CHECKS_NODES_MAX 9
#define CHECKS_INDEX_MAX 4096
#define CHECKS_TERM_MAX 1024
#define CHECKS_READS_MAX 2048

struct checked_entry {
    uint64_t term;
    uint64_t hash;            /* of it and all before it, as they are applied */
    uint64_t committing_term; /* at least */
};

/* An entry that some log has held. */
struct seen_entry {
    uint64_t index;
    uint64_t term;
    uint64_t term_before;
    uint64_t hash;
};

#define CHECKS_SEEN_MAX 16384

struct checked_node {
    uint64_t terms[CHECKS_INDEX_MAX]; /* of the log, as it was looked at last */
    uint64_t last;
    uint64_t sent_term;
    struct raft_id votes[CHECKS_TERM_MAX];
    uint64_t led; /* the last term in which it was seen to lead */
};

struct checks {
    struct checked_entry committed[CHECKS_INDEX_MAX];
    uint64_t committed_last;
    unsigned char leaders[CHECKS_TERM_MAX]; /* node + 1 */
    struct checked_node nodes[CHECKS_NODES_MAX];
    struct seen_entry seen[CHECKS_SEEN_MAX]; /* a table */
    size_t seen_count;
    uint64_t reads[CHECKS_READS_MAX]; /* what had been applied when each was asked for */
    const char *broken;               /* the first sentence that did not hold */
};

/* A group has been founded: index 1 is what an empty machine is, with hash 0. */
struct checks *checks_new(void);
void checks_free(struct checks *checks);
bool checks_that(struct checks *checks, bool fact, const char *sentence);

/* A node sends this. */
void checks_message(struct checks *checks, size_t node, const struct raft_message *message);
/* A node's state after an event. */
void checks_node(struct checks *checks, size_t node, const struct raft *raft);
/* It applies this; *hash is that of what it has applied before, and becomes that of all. */
void checks_apply(struct checks *checks, const struct raft_committed *entry, uint64_t node_term,
                  uint64_t *hash);
/* It takes over a state. */
void checks_restore(struct checks *checks, uint64_t index, uint64_t hash);
void checks_read_asked(struct checks *checks, uint64_t id);
void checks_read_answered(struct checks *checks, uint64_t id, uint64_t applied);

#endif
