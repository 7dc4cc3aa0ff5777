/* Quorum: what a node's replicas hold of its log, so that anybody may ask at any time.
 *
 *   replica's link --report--> quorum --position--> gate, WAIT, WAITAOF, min-replicas-to-write
 *
 * For each count n it keeps the position that n replicas hold at least: of all members' positions,
 * sorted downwards, the n-th. So the question "do n replicas hold this?" is one load and one
 * compare. The node itself is no member: with write-quorum W, W - 1 replicas are asked for.
 *
 *   written 300 200 100 -> 1 replica holds 300, 2 hold 200, 3 hold 100, 4 hold nothing
 *
 *  1. A member counts while it is connected and its positions are of the node's own history: a link
 *     reports is_connected only once its replica follows the log, with all images that it needed.
 *  2. Positions may go back: a replica that leaves takes with it what only it held. What passed
 *     before has passed.
 *  3. On a node that is a replica itself nothing is held back: is_primary.
 *  4. Where the log begins anew, the links end, and with each of them its member.
 *  5. In a cluster, replies wait for the in-sync set alone: of the members only the peers count for
 *     quorum_position(). WAIT counts them all.
 *
 * Threads: any, at any time; reports of one member come one after the other. Each count is exact by
 * itself; two counts read one after the other may be of different reports.
 */
#ifndef TARN_REPLICATION_QUORUM_H
#define TARN_REPLICATION_QUORUM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Links to replicas at one time; more are to be refused. */
#define QUORUM_MEMBERS_MAX 32
/* quorum_heard_ms() of a count that is not there. */
#define QUORUM_NEVER_HEARD INT64_MIN
#define QUORUM_NODE_ID_BYTES 20

struct quorum_member {
    bool is_connected; /* and follows the log; else the rest means nothing */
    uint64_t written;  /* position up to which it holds the log */
    uint64_t synced;   /* and up to which it is on its disk; 0 where it has none */
    int64_t heard_ms;  /* when it was last heard, by clock_monotonic_us() / 1000 */
    unsigned char node_id[QUORUM_NODE_ID_BYTES];
};

/* What n of some members hold: [n - 1]. */
struct quorum_columns {
    atomic_uint_least64_t written[QUORUM_MEMBERS_MAX];
    atomic_uint_least64_t synced[QUORUM_MEMBERS_MAX];
};

struct quorum {
    pthread_mutex_t mutex; /* of what is told: members, peers */
    struct quorum_member members[QUORUM_MEMBERS_MAX];
    unsigned char peers[QUORUM_MEMBERS_MAX][QUORUM_NODE_ID_BYTES];
    uint32_t peers_count;
    bool has_peers; /* else all members are */
    struct quorum_columns all;
    struct quorum_columns of_peers;
    /* [n - 1]: from when on n replicas were heard. */
    atomic_int_least64_t heard_ms[QUORUM_MEMBERS_MAX];
    atomic_uint_least32_t connected;
    atomic_uint_least32_t waiters; /* who wait for reports: quorum_is_awaited() */
    atomic_bool is_replica;
    /* A position advanced, or a member came or went: wakes who may wait. By the thread that told
     * it; must not wait. Or NULL. */
    void (*progress)(void *context);
    void *context;
};

void quorum_init(struct quorum *quorum, void (*progress)(void *context), void *context);

/* What a link knows of its replica now; `member` is the link's number, below
 * QUORUM_MEMBERS_MAX. */
void quorum_report(struct quorum *quorum, uint32_t member, const struct quorum_member *state);
/* From now on only these nodes count for quorum_position(); of more than QUORUM_MEMBERS_MAX some do
 * not. */
void quorum_set_peers(struct quorum *quorum, const unsigned char (*peers)[QUORUM_NODE_ID_BYTES],
                      uint32_t count);
/* The node became a primary, as it is at first, or a replica. */
void quorum_set_primary(struct quorum *quorum, bool is_primary);
bool quorum_is_primary(const struct quorum *quorum);

/* What so many peers hold at least, written or synced; with 0 peers, everything. */
uint64_t quorum_position(const struct quorum *quorum, uint32_t peers, bool is_synced);
/* How many replicas hold that position. */
uint32_t quorum_count(const struct quorum *quorum, uint64_t position, bool is_synced);
/* How many follow the log. */
uint32_t quorum_connected(const struct quorum *quorum);
/* How many of them were heard at that time or later: what min_slaves_good_slaves shows. */
uint32_t quorum_heard_since(const struct quorum *quorum, int64_t since_ms);
/* The time at which or after which so many were heard last; or QUORUM_NEVER_HEARD. */
int64_t quorum_heard_ms(const struct quorum *quorum, uint32_t replicas);

/* Somebody waits for reports: links whose replicas report only when asked are to ask them. */
static inline bool quorum_is_awaited(const struct quorum *quorum) {
    return atomic_load_explicit(&quorum->waiters, memory_order_relaxed) != 0;
}
void quorum_await_begin(struct quorum *quorum);
void quorum_await_end(struct quorum *quorum);

#endif
