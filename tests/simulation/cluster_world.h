/* A cluster in one process and from one seed: members (cluster/member.h) with disks and a network
 * that fail, and around each a model of what a server is: a log of numbered writes, a replica that
 * copies its primary's, a gate that acknowledges what enough members hold.
 *
 * What holds at all times is checked at each turn
 *   - of a shard, no two nodes may serve at the same time
 *   - who may serve holds every write of its shard that a quorum (of two or more) acknowledged
 *   - maps of the same group and index are the same, and no node's goes back: cluster_history.h
 * One thread.
 */
#ifndef TARN_TESTS_SIMULATION_CLUSTER_WORLD_H
#define TARN_TESTS_SIMULATION_CLUSTER_WORLD_H

#include "cluster/map_change.h"
#include "cluster/member.h"
#include "tests/simulation/cluster_history.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/raft_network.h"

#define WORLD_NODES_MAX NETWORK_NODES_MAX
#define WORLD_TURN_MS 5
#define WORLD_ANSWERS_MAX 64

/* A model of the log: which writes it holds, in order. */
struct copy {
    uint64_t *writes;
    size_t count;
    size_t capacity;
    uint64_t history; /* the epoch that the history began with */
};

struct answer {
    bool is_there;
    char error[MEMBER_ERROR_BYTES]; /* "": done */
};

struct world;

struct node {
    struct world *world;
    size_t number;
    struct simulated_disk *simulated;
    struct disk disk;
    struct member *member; /* NULL: it is down */
    struct raft_id id;
    struct raft_id group;
    uint64_t starts;
    uint16_t port;       /* changes where it comes back with a new address */
    uint64_t clock_rate; /* thousandths of true time */
    uint64_t clock_base;
    uint64_t paused_until;
    uint64_t down_until;
    bool is_linked[WORLD_NODES_MAX];
    struct map *map;
    /* The server. */
    enum member_role_kind role;
    uint64_t epoch;
    struct raft_id primary;
    bool is_paused;
    uint16_t quorum;
    struct raft_id peers[WORLD_NODES_MAX];
    size_t peer_count;
    uint64_t lease_until;
    bool is_stopped;
    struct copy copy;
    uint64_t follower_position[WORLD_NODES_MAX];
    uint64_t follower_heard[WORLD_NODES_MAX];
    uint64_t acknowledged; /* of its log, in this epoch */
};

struct world {
    uint64_t seed;
    struct random random;
    uint64_t now_ms;
    struct node *nodes;
    size_t count;
    size_t made; /* nodes: those behind `count` take no part */
    uint16_t quorum;
    uint16_t voters;
    bool migrates_replicas;
    bool hides_addresses; /* nodes are told no address of their own */
    struct network network;
    uint64_t writes; /* the number of the last */
    /* Acknowledged by a quorum of two or more: the shard (0: nobody's), by number of the write. */
    uint64_t *promised;
    size_t promised_count;
    size_t promised_capacity;
    struct map_history history;
    struct answer answers[WORLD_ANSWERS_MAX + 1]; /* the last: of tickets that nobody waits for */
    const char *broken;                           /* NULL, or what does not hold */
    uint64_t failovers;
    uint64_t acknowledged;
    uint64_t lost; /* acknowledged by one alone, and gone: allowed */
};

struct world *world_new(uint64_t seed, size_t count);
void world_free(struct world *world);
void world_print(struct world *world);
bool world_that(struct world *world, bool holds, const char *what);
uint64_t world_below(struct world *world, uint64_t bound);

void world_start(struct node *node);
/* What the world has of voters and quorum becomes the node's. */
void world_settings(struct node *node);
void world_stop(struct node *node, bool loses_power);
uint64_t world_clock(const struct node *node);
/* Time goes on by one turn: links, messages, servers, checks. */
void world_turn(struct world *world);
bool world_may_serve(const struct node *node);

/* Wishes; the answer is in world->answers[ticket]. */
void world_meet(struct node *node, const struct node *other, uint64_t ticket);
void world_propose(struct node *node, const struct map_change *changes, size_t count,
                   uint64_t ticket);

#endif
