/* Map: which nodes a cluster has, how they form shards, and which shard owns which slot. There is
 * one truth about it: the log of the cluster's consensus group. A map is what its entries lead to,
 * so it is the same on all nodes at the same index.
 *
 *   node    a process, known by its id; addresses and names are what may change
 *   shard   a primary and its replicas; owns slots, and lives as long as it has a node
 *   slot    owned by one shard or by none; may be marked as migrating and importing (the classic
 *           way of moving)
 *
 * Invariants, which map_check() asserts
 *  1. A node is in exactly one shard; a shard that is used has nodes, and its primary is one.
 *  2. A shard's primary is in its in-sync set.
 *  3. A slot's owner is a shard that is used. Migrating marks are their owner's; importing marks
 *     are not.
 *  4. No two nodes have one id.
 *  5. Shards that are used come first, in the order of their bytes: so numbers of shards are the
 *     same on all nodes, too.
 *
 * Lifecycle: map_new() or map_read(); map_change_apply() (map_change.h) makes the next one. A
 * published map does not change any more: whoever reads it borrows a reference. Thread: any, for a
 * map that is published; else its owner's.
 */
#ifndef TARN_CLUSTER_MAP_H
#define TARN_CLUSTER_MAP_H

#include "base/buffer.h"
#include "store/slot_set.h"

#include <stdatomic.h>

#define MAP_ID_BYTES 20
#define MAP_ID_TEXT_BYTES (2 * MAP_ID_BYTES + 1)
#define MAP_NODES_MAX 1024
#define MAP_IP_BYTES 46    /* the longest IPv6 address, with its zero */
#define MAP_NAME_BYTES 256 /* of a host, or a node's name for people; with its zero */
#define MAP_ZONE_BYTES 64  /* with its zero */
#define MAP_REMOVED_MAX 32
#define MAP_NOBODY UINT16_MAX /* no node, no shard */

/* What a node says of itself. */
struct map_facts {
    char ip[MAP_IP_BYTES];
    uint16_t port;     /* for clients; 0: there is none */
    uint16_t tls_port; /* likewise */
    uint16_t bus_port;
    char hostname[MAP_NAME_BYTES];   /* cluster-announce-hostname; "": none */
    char human_name[MAP_NAME_BYTES]; /* cluster-announce-human-nodename */
    char zone[MAP_ZONE_BYTES];       /* availability-zone */
};

struct map_node {
    unsigned char id[MAP_ID_BYTES];
    struct map_facts facts;
    uint16_t shard;
    bool is_in_sync;  /* may become primary without losing what was acknowledged */
    bool has_failed;  /* so the group has found */
    bool no_failover; /* as a replica it takes over by hand only: cluster-replica-no-failover */
};

struct map_shard {
    unsigned char id[MAP_ID_BYTES];
    uint16_t primary;      /* a node */
    uint64_t epoch;        /* index of the entry that made it primary; 0: the shard is not used */
    uint64_t config_epoch; /* what CLUSTER NODES shows: as Redis' tools set it, else as `epoch` */
    uint32_t slots;        /* that it owns */
    uint16_t quorum;       /* members that hold what it has acknowledged */
    bool lacks_member;     /* ... of whom one was taken out by hand, until the quorum is set anew */
    /* The start of the primary's process that the epoch was given to; zero: none was. */
    unsigned char granted[MAP_ID_BYTES];
};

struct map_slot {
    uint16_t owner;          /* a shard */
    uint16_t migrating_to;   /* a node, as the owner's mark says */
    uint16_t importing_from; /* a node, as the importer's mark says ... */
    uint16_t importer;       /* ... and who that is */
};

struct map {
    atomic_uint references;            /* stays first: map_copy() */
    unsigned char group[MAP_ID_BYTES]; /* the consensus group that owns it */
    uint64_t index;                    /* of the entry that was applied last */
    uint64_t current_epoch;            /* the largest of all: CLUSTER INFO */
    uint16_t nodes_count;
    uint16_t shards_count; /* that are used */
    uint32_t slots_owned;
    struct map_node *nodes;   /* nodes_count, in the order in which they joined */
    struct map_shard *shards; /* nodes_count places, of which shards_count are used */
    /* Nodes that were removed last, so that removing them again is no error. */
    unsigned char removed[MAP_REMOVED_MAX][MAP_ID_BYTES];
    uint16_t removed_count;
    struct map_slot slots[SLOTS];
};

/* A map of nobody, of that group. */
struct map *map_new(const unsigned char group[MAP_ID_BYTES]);
struct map *map_copy(const struct map *map);
struct map *map_borrow(struct map *map);
void map_return(struct map *map); /* NULL is allowed */

/* ---- questions ---- */

/* Index of the node with that id; MAP_NOBODY: there is none. */
uint16_t map_find(const struct map *map, const unsigned char id[MAP_ID_BYTES]);
/* The same by the 40 hex digits that clients know, in either case. */
uint16_t map_find_text(const struct map *map, struct span text);
/* It was removed, and has not come back. */
bool map_was_removed(const struct map *map, const unsigned char id[MAP_ID_BYTES]);

static inline bool map_is_primary(const struct map *map, uint16_t node) {
    return map->shards[map->nodes[node].shard].primary == node;
}
static inline uint16_t map_primary_of(const struct map *map, uint16_t node) {
    return map->shards[map->nodes[node].shard].primary;
}
/* The primary of the slot's owner, or MAP_NOBODY. */
static inline uint16_t map_slot_owner(const struct map *map, uint16_t slot) {
    uint16_t owner = map->slots[slot].owner;
    return owner == MAP_NOBODY ? MAP_NOBODY : map->shards[owner].primary;
}
/* Nodes of the shard, the primary counted. */
uint32_t map_shard_nodes(const struct map *map, uint16_t shard);

/* The next run of slots from `from` on that this shard owns. False: there is none. */
struct map_range {
    uint16_t first;
    uint16_t last;
};
bool map_next_range(const struct map *map, uint16_t shard, uint32_t from, struct map_range *range);

/* "cluster_state:ok": every slot that must be served has an owner whose primary has not failed. */
bool map_is_ok(const struct map *map, bool requires_full_coverage);

/* Writes the id's hex digits and a zero. Answers text. */
const char *map_id_format(char text[MAP_ID_TEXT_BYTES], const unsigned char id[MAP_ID_BYTES]);
/* False: the text is no id. */
bool map_id_parse(struct span text, unsigned char id[MAP_ID_BYTES]);

/* ---- bytes: a snapshot of the consensus log ----
 *
 *   OFFSET  SIZE  MEANING
 *   0       4     MAP_FORMAT
 *   4       20    group
 *   24      8     index
 *   32      8     current epoch
 *   40      2     count of nodes
 *   42      2     count of shards
 *   44      ...   nodes, in order: facts (map_facts_write()), shard 2 (its place in the list that
 *                 follows), flags 1 (1: in sync, 2: failed, 4: no failover), id 20
 *   ...     ...   shards: id 20, primary 2 (a node), epoch 8, config epoch 8, quorum 2
 *                 (32768: lacks a member), granted 20
 *   ...     ...   count of removed nodes 2, their ids
 *   ...     ...   runs of slots, until all 16384 are told: count 2, owner 2, migrating to 2,
 *                 importing from 2, importer 2
 * Numbers are little endian; 0xffff is nobody.
 */
#define MAP_FORMAT 1
void map_write(const struct map *map, struct buffer *out);
/* NULL: these bytes are no map. */
struct map *map_read(struct span bytes);

/* Facts: ip, hostname, human name, zone, each with its length (1) before it; ports 2, 2, 2. */
void map_facts_write(const struct map_facts *facts, struct buffer *out);
/* Takes them from the front. False: they are none. */
bool map_facts_read(struct span *bytes, struct map_facts *facts);

/* Asserts the invariants. */
void map_check(const struct map *map);

#endif
