/* A shard in one process and from one seed: nodes with logs on disks that lose power, links that
 * delay, break, flip, repeat and reorder bytes, one-way partitions, pauses, clocks that drift, and
 * an operator who sees some of the nodes and promotes one of them as a cluster would. Logs, feeds,
 * followers, divergence files and quorums are the product's.
 *
 * All nodes begin in one empty history, and keep all of their logs: images have a simulation of
 * their own (replication_simulation.c).
 *
 * The properties stand in a file each:
 *   shard_acknowledged.c  what a quorum acknowledged is never lost
 *   shard_histories.c     a place of a history holds the same on all nodes, for ever
 *   shard_positions.c     at the same place of the log all nodes hold the same data
 *   shard_losses.c        what one node acknowledged alone is there, or in a divergence file
 * and that nodes catch up when faults stop, in shard_simulation.c. One thread.
 */
#ifndef TARN_TESTS_SIMULATION_SHARD_H
#define TARN_TESTS_SIMULATION_SHARD_H

#include "base/random.h"
#include "oplog/oplog.h"
#include "replication/applier.h"
#include "replication/feed.h"
#include "replication/follower.h"
#include "replication/quorum.h"
#include "tests/simulation/disk.h"

#define SHARD_NODES_MAX 5
#define SHARD_TAGS 4 /* slots that are used */
#define SHARD_OPS_MAX 2048
#define SHARD_FRAMES 8192 /* room for what is known of frames, much more than there are */
#define SHARD_NOBODY SIZE_MAX

enum shard_kind {
    SHARD_APPEND, /* its number, to a string of them */
    SHARD_COUNT,  /* one more */
    SHARD_PAIR,   /* its number, to two keys of two slots in one transaction */
    SHARD_EXPIRE, /* a value that expires */
    SHARD_KINDS,
};

/* What a client asked for. */
struct shard_op {
    enum shard_kind kind;
    size_t tag;
    size_t node;            /* to which it was sent, */
    uint64_t start;         /* in this run of it */
    struct history history; /* and where it stands in the log */
    uint64_t position;
    uint64_t end;
    uint32_t members; /* that are to hold it */
    bool is_acknowledged;
    bool may_be_gone; /* its node lost power before it was synced */
};

struct shard_link {
    size_t primary; /* SHARD_NOBODY: it is down */
    struct feed *feed;
    struct follower *follower;
    struct buffer down; /* on its way to the replica */
    struct buffer up;
    bool is_tainted; /* bytes were changed on it */
};

struct shard;

struct shard_node {
    struct shard *shard;
    size_t number;
    struct simulated_disk *simulated;
    struct disk disk;
    struct simulated_disk *simulated_kept;
    struct disk kept; /* divergence files */
    bool is_up;
    bool is_primary;
    size_t follows;
    uint64_t starts;
    uint64_t crash_at; /* the step in which it goes down, or 0 */
    uint64_t paused_until;
    int64_t clock_base;
    int64_t clock_rate; /* thousandths of true time */
    struct oplog *oplog;
    struct store *store;
    struct applier *applier;
    struct lineage lineage;
    struct quorum quorum;
    struct replica_slots slots;
    struct shard_link link; /* to whom it follows */
};

/* What is known of a frame, whoever shows it. */
struct shard_frame {
    struct history history; /* none: the place is free */
    uint64_t position;
    uint64_t end;
    uint64_t sum;
    uint64_t data; /* digest of the data behind it, or 0 */
};

struct shard {
    struct random random;
    uint64_t steps;
    int64_t now_ms;
    struct shard_node nodes[SHARD_NODES_MAX];
    size_t count;
    uint32_t members;                              /* of a quorum */
    bool syncs_always;                             /* and power may be lost */
    bool is_cut[SHARD_NODES_MAX][SHARD_NODES_MAX]; /* from, to */
    bool is_seen[SHARD_NODES_MAX];                 /* by the operator */
    size_t primary;                                /* whom the operator chose */
    uint64_t epoch;
    struct shard_op ops[SHARD_OPS_MAX];
    size_t ops_count;
    struct shard_frame frames[SHARD_FRAMES];
    struct oplog_batch batch;
    const char *broken;

    uint64_t promotions; /* what happened, for the totals */
    uint64_t cuts;
    uint64_t crashes;
    uint64_t links;
    uint64_t acknowledged; /* by a quorum */
    uint64_t lost;         /* of what was acknowledged by one node alone */
};

struct shard *shard_new(uint64_t seed);
void shard_free(struct shard *shard);

/* False: the property does not hold, and the run is over. */
bool shard_check(struct shard *shard, bool fact, const char *sentence);
uint64_t shard_below(struct shard *shard, uint64_t bound);
/* The string of a key, or an empty one; scratch has room for a number. */
struct span shard_value(const struct shard_node *node, const char *key, char *scratch);

/* ---- what may happen ---- */

void shard_node_start(struct shard_node *node);
void shard_node_stop(struct shard_node *node, bool loses_power);
bool shard_node_runs(const struct shard_node *node);
/* A client's request, to a node that is a primary. */
void shard_request(struct shard_node *node);
/* What may be acknowledged is. */
void shard_acknowledge(struct shard *shard);
void shard_link_step(struct shard_node *replica, bool has_faults);
void shard_link_close(struct shard_node *replica);
/* The operator looks. */
void shard_operate(struct shard *shard);

/* ---- properties ---- */

/* The one that is a primary from here on holds what a quorum acknowledged. */
void shard_acknowledged_check(struct shard *shard, const struct shard_node *primary);
/* The data shows it. */
void shard_acknowledged_check_data(struct shard *shard, const struct shard_node *primary);

/* A frame stands there, as its primary made it, or as somebody received or recovered it. */
void shard_histories_made(struct shard *shard, const struct history *history,
                          const struct shard_frame *frame);
void shard_histories_check(struct shard *shard, const struct history *history,
                           const struct shard_frame *frame);
struct shard_frame *shard_histories_find(struct shard *shard, const struct history *history,
                                         uint64_t position);

/* The node has come to the end of this frame. */
void shard_positions_check(struct shard_node *node, const struct history *history,
                           uint64_t position);

/* When all nodes are one history again. */
void shard_losses_check(struct shard *shard, const struct shard_node *primary);

#endif
