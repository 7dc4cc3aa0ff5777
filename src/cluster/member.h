/* Member: one node's part in a cluster. It keeps the map with the others (consensus), tells who is
 * silent, replaces primaries, holds and grants leases, and joins its group to another. A pure step
 * but for the disk behind its interface: time, links, the state of the local replication and wishes
 * go in; messages, a map, a role, a lease and answers come out by callbacks.
 *
 *   member_open(&plan, now_ms, ...)
 *   member_tick() / member_receive() / member_link() / member_propose() / ...
 *   member_close()
 *
 * What is where
 *   member_state       what the log's entries lead to: map, tickets, a merge that is under way
 *   member_file        the node's name, and which group's log it keeps
 *   member_bus         the messages, byte by byte
 *   member_proposals   changes on their way into the log
 *   member_join        MEET, merging of groups, leaving, the override
 *   member_detector    who is heard
 *   member_lease       promises, until when a primary may serve
 *   member_failover    reports of candidates; who succeeds; hand-over
 *   member_sync        the in-sync set of this node's shard
 *   member_voters      who votes
 *
 * Invariants
 *  1. Each acknowledged write is held by at least min(quorum, members) of its shard's in-sync set.
 *     So a member joins the set when it holds what its primary held when it or the set changed
 *     last, and leaves it when those that stay hold what it held. Only members of the set count for
 *     the quorum: role.in_sync.
 *  2. A primary serves while every other member of its set has promised to follow no successor.
 *     Who reports for an election refuses the primary's epoch from then on; it reports only once
 *     its promise is over. A member of which the primary does not know yet whether it is in the
 *     set counts as one.
 *  3. A successor is in the set, and of members - quorum + 1 of the set (of one at least) none
 *     holds more. Who holds less than it is no member any more.
 *  4. A node that has started is no primary before an entry of the log made it one again.
 *     A promise of the process before it holds: its length is on disk.
 *  5. Of two groups one is merged, and stands still from before the other takes its nodes in until
 *     they have gone over.
 *
 * From within a callback the member must not be called. Blocks on the disk. One owner, one thread.
 */
#ifndef TARN_CLUSTER_MEMBER_H
#define TARN_CLUSTER_MEMBER_H

#include "cluster/map.h"
#include "cluster/raft_store.h"
#include "oplog/history.h"

struct member;

/* Longest error of an answer, with its zero. */
#define MEMBER_ERROR_BYTES 256
/* Of proposals that wait here; one more is answered with an error. */
#define MEMBER_PROPOSALS_MAX 128
/* Of MEETs that wait here, likewise. */
#define MEMBER_MEETS_MAX 128
/* A message for another member is never larger. */
#define MEMBER_MESSAGE_BYTES_MAX (RAFT_MESSAGE_BODY_BYTES_MAX + 1024)
/* Default of cluster-node-timeout where nobody has set it. */
#define MEMBER_NODE_TIMEOUT_MS 1000

/* ---- what it tells ---- */

enum member_role_kind {
    MEMBER_WAITS,   /* serves nothing and follows nobody: it has started, or elects a primary */
    MEMBER_PRIMARY, /* and serves while its lease holds */
    MEMBER_REPLICA,
};

struct member_role {
    enum member_role_kind kind;
    uint64_t epoch;              /* of the shard, as the map has it */
    struct raft_id primary;      /* whom a replica follows ... */
    struct map_facts facts;      /* ... and where that is */
    bool is_paused;              /* writes (not reads) wait: a hand-over is under way */
    uint16_t quorum;             /* as the cluster knows it: replies wait for the larger of it and
                                    the local write-quorum */
    const struct raft_id *peers; /* others of the in-sync set: the quorum counts only these */
    size_t peer_count;
};

/* Whom this node is to be linked with. */
struct member_target {
    struct raft_id id;     /* none: whoever is there (a MEET) */
    char ip[MAP_IP_BYTES]; /* "" where it has not told one: it will come by itself */
    uint16_t bus_port;
};

enum member_weight { MEMBER_NOTICE, MEMBER_WARNING };

/* Spans, texts and structs are valid during the call. */
struct member_outlet {
    void *context;
    /* To a node that is linked. May be lost; those that arrive keep their order. */
    void (*send)(void *context, const struct raft_id *target, struct span bytes);
    /* The map is another one. Borrow it to keep it. */
    void (*map)(void *context, struct map *map);
    /* A ticket's wish is done; or error, with its code word, says what is wrong. */
    void (*answer)(void *context, uint64_t ticket, const char *error);
    /* What the node's replication is to be; told when anything of it changes. */
    void (*role)(void *context, const struct member_role *role);
    /* A primary may serve before this time, on the clock of now_ms: 0: not at all; UINT64_MAX:
     * while the role stays, as it is alone in its set. Never told between the time of a role and
     * that of its lease: a new role begins with none. */
    void (*lease)(void *context, uint64_t until_ms);
    /* member_targets() has changed. */
    void (*targets)(void *context);
    /* A sentence for the log. */
    void (*say)(void *context, enum member_weight weight, const char *text);
    /* Random bytes for names; those of random_seed_bytes() outside of simulations. */
    void (*draw)(void *context, void *bytes, size_t length);
};

/* ---- lifecycle ---- */

struct member_plan {
    const struct disk *disk;  /* of the folder; stays */
    uint64_t seed;            /* another one at each start */
    uint64_t allocate_bytes;  /* of the log's file at once; 0: raft_store.h */
    struct map_facts facts;   /* of this node, as it announces them */
    uint64_t node_timeout_ms; /* cluster-node-timeout, if somebody has set it, else 0. See below. */
    uint16_t voters;          /* cluster-voters: 3, 5 or 7; 0: 3 */
    uint16_t quorum;          /* write-quorum */
    bool no_failover;         /* cluster-replica-no-failover */
    bool migrates_replicas;   /* cluster-allow-replica-migration */
    uint16_t migration_barrier;
    struct member_outlet outlet;
};

/* All times come from one: cluster-node-timeout, which is MEMBER_NODE_TIMEOUT_MS where nobody has
 * set it, and at least 200 ms, at most a minute.
 *   heartbeat 1/20, silent 1/4 (no heartbeat for so long), raft election 3/10 to 6/10,
 *   lease 2/5, failed 1/1 (shown as such, where no replica takes over before) */
struct member_timing {
    uint64_t heartbeat_ms;
    uint64_t silent_ms;
    uint64_t lease_ms;
    uint64_t election_ms;
    uint64_t failed_ms;
};
struct member_timing member_timing_of(uint64_t node_timeout_ms);

/* Opens what the folder holds, or founds a group of one there. *member is NULL unless DONE;
 * sentences for the user are appended to report. The callbacks are called from within. */
enum raft_store_status member_open(const struct member_plan *plan, uint64_t now_ms,
                                   struct member **member, struct buffer *report);
void member_close(struct member *member);

/* ---- events; now_ms is the boot clock, the same one everywhere ---- */

void member_tick(struct member *member, uint64_t now_ms);
/* The next time at which member_tick() is needed. */
uint64_t member_tick_ms(const struct member *member);

/* The link to a node that has proved the secret came (its first message must not be received
 * before), or went; is_dead: so that its process is known to be gone (the connection was
 * refused). */
void member_link_up(struct member *member, const struct raft_id *id, const char *ip,
                    uint16_t bus_port, uint64_t now_ms);
void member_link_down(struct member *member, const struct raft_id *id, bool is_dead,
                      uint64_t now_ms);

/* A message of the node at the other end of a link. One of a kind that only a later version knows
 * is counted and skipped. False: it is no message; the link is to be closed. */
bool member_receive(struct member *member, const struct raft_id *source, struct span bytes,
                    uint64_t now_ms);

/* Of a replica, as its primary knows it. */
struct member_follower {
    struct raft_id id;
    uint64_t position; /* up to where it holds the log in the current history */
    uint64_t heard_ms;
};

/* The local replication. Told when its role is reached, when positions advance (at each heartbeat
 * is enough; at once while a hand-over is under way), and when a follower comes or goes. */
struct member_replication {
    bool is_loaded;         /* recovery is over: what follows is true */
    bool is_whole;          /* no image is missing, so it could become a primary */
    bool is_paused;         /* writes wait, as its role says: position does not grow */
    bool is_stopped;        /* follows nobody: what it holds does not grow. True within a role
                               that waits once the link is closed and all of it applied */
    uint64_t role_epoch;    /* of the role that it has taken last */
    struct history history; /* its log's current one */
    uint64_t position;      /* and where it ends */
    uint64_t workers_ms;    /* when all workers were last seen to run */
    const struct member_follower *followers; /* linked, following the log, without missing images */
    size_t follower_count;
};
void member_replication_set(struct member *member, const struct member_replication *replication,
                            uint64_t now_ms);

/* Facts or settings have changed: those of the plan. */
void member_set_facts(struct member *member, const struct map_facts *facts, uint64_t now_ms);
void member_set_settings(struct member *member, const struct member_plan *plan, uint64_t now_ms);

/* ---- wishes: each is answered by its ticket, perhaps before the call returns ---- */

/* Changes of the map: bytes of map_change.h; all of them or none. Answered once they are applied
 * here. */
void member_propose(struct member *member, uint64_t ticket, struct span changes, uint64_t now_ms);

/* Answered when both nodes are in one group; or why they cannot be. */
void member_meet(struct member *member, uint64_t ticket, const char *ip, uint16_t bus_port,
                 uint64_t now_ms);

/* CLUSTER RESET: this node leaves its group, and is one alone, with no slots; hard: under another
 * id. */
void member_reset(struct member *member, uint64_t ticket, bool is_hard, uint64_t now_ms);

enum member_failover {
    MEMBER_HAND_OVER, /* the primary waits until this replica holds all, and makes way */
    MEMBER_FORCE,     /* the primary is not asked; this replica must be in sync */
    MEMBER_TAKEOVER,  /* nor need it be in sync: what it lacks is lost */
};
/* CLUSTER FAILOVER, on a replica. Answered once it is the primary; or why it is not. */
void member_fail_over(struct member *member, uint64_t ticket, enum member_failover how,
                      uint64_t now_ms);
/* Before this node stops: its shard goes to a replica, its leadership to another voter. Answered
 * when that is done, or cannot be, at the latest after so long. */
void member_leave(struct member *member, uint64_t ticket, uint64_t timeout_ms, uint64_t now_ms);

/* The override for when a majority of the voters is lost for good: this node founds a new group
 * that has the map as this node knows it; all nodes of the old one that hear of it go over. What
 * the old group agreed on and this node has not heard is lost. If the old voters do live on, there
 * are two clusters. Refused while the group has a leader. */
void member_override(struct member *member, uint64_t ticket, uint64_t now_ms);

/* ---- state ---- */

/* How many targets there are; up to room of them. */
size_t member_targets(const struct member *member, struct member_target *targets, size_t room);

struct member_status {
    struct raft_id id;
    struct raft_id group;
    struct raft_id leader; /* none: nobody is known to lead */
    bool is_leader;
    bool is_voter;
    uint16_t voters;
    uint64_t term;
    uint64_t applied;
    uint64_t lease_until_ms;
    uint64_t unknown_messages; /* of kinds that a later version has: skipped */
    const char *problem; /* NULL, or why the node's part in the group has failed: a sentence */
    /* NULL, or what this shard or cluster cannot survive, or waits for: a sentence for INFO. */
    const char *weakness;
};
void member_status_read(const struct member *member, struct member_status *status);

/* Of another node of the map, as far as this one knows. False: nothing is known. */
struct member_peer {
    bool is_linked;
    bool is_suspected; /* it is silent, and the group has not decided yet */
    bool is_loading;
    uint64_t heard_ms; /* a message of it came, or the leader told that it hears it */
    uint64_t position; /* of its log */
};
bool member_peer_read(const struct member *member, const struct raft_id *id,
                      struct member_peer *peer);
/* The map as of now; borrow it to keep it. */
struct map *member_map(const struct member *member);

#endif
