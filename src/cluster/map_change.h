/* Changes of the map: what an entry of the consensus log holds. An entry is a list of changes, of
 * which all take place or none: EXEC of several CLUSTER commands is one entry.
 *
 *   propose -> committed -> map_change_apply() on every node -> the same map, the same answer
 *
 * Bytes of a change: kind 1, length 4 of the rest, then the fields that the kind has, in this
 * order; numbers are little endian
 *   FIELD  SIZE  MEANING
 *   node   20    whom it is about
 *   peer   20    the other node, or the shard
 *   epoch  8
 *   slot   2
 *   flag   1     0 or 1
 *   facts  ...   map_facts_write()
 *   slots  2048  a bit each: slot_set.h
 *
 *   KIND  NAME          FIELDS
 *   1     node_add      node, peer (its new shard's id), facts
 *   2     node_facts    node, facts
 *   3     node_remove   node; in place of a primary without slots one of its replicas stands
 *   4     node_health   node, flag: it has failed
 *   5     slots_add     node, slots: its shard owns them, nobody did before
 *   6     slots_delete  node (zero: whoever owns them), slots
 *   7     migrating     node (a primary, the owner), peer (the target), slot
 *   8     importing     node (the importer), peer (the source), slot
 *   9     stable        node, slot: its marks of the slot go
 *   10    slot_owner    node (its shard owns it from here on), slot
 *   11    replicate     node, peer (its primary), flag: it is in sync
 *   12    promote       node, epoch (of its shard until now), flag: even if it is not in sync
 *   13    in_sync       node, epoch (as above), flag: it is in the set
 *   14    config_epoch  node, epoch, flag: even if it has one
 *   15    epoch_bump    node
 *   16    quorum        node (a primary), epoch (as above), slot: the number of members
 *   17    succeed       node, peer (the start of its process), epoch (as above), flag: who was the
 *                       primary stays in sync. The node is in the set already
 *   18    no_failover   node, flag: it takes over by hand only
 *
 * Every change answers NULL, or Redis' error for whoever asked. Kind numbers are permanent; 32 to
 * 47 are set aside for moves of slots that the cluster carries out by itself.
 */
#ifndef TARN_CLUSTER_MAP_CHANGE_H
#define TARN_CLUSTER_MAP_CHANGE_H

#include "cluster/map.h"

/* An entry holds no more. */
#define MAP_CHANGES_MAX 4096

enum map_change_kind {
    MAP_NODE_ADD = 1,
    MAP_NODE_FACTS = 2,
    MAP_NODE_REMOVE = 3,
    MAP_NODE_HEALTH = 4,
    MAP_SLOTS_ADD = 5,
    MAP_SLOTS_DELETE = 6,
    MAP_MIGRATING = 7,
    MAP_IMPORTING = 8,
    MAP_STABLE = 9,
    MAP_SLOT_OWNER = 10,
    MAP_REPLICATE = 11,
    MAP_PROMOTE = 12,
    MAP_IN_SYNC = 13,
    MAP_CONFIG_EPOCH = 14,
    MAP_EPOCH_BUMP = 15,
    MAP_QUORUM = 16,
    MAP_SUCCEED = 17,
    MAP_NO_FAILOVER = 18,
};

struct map_change {
    enum map_change_kind kind;
    unsigned char node[MAP_ID_BYTES];
    unsigned char peer[MAP_ID_BYTES];
    uint64_t epoch;
    uint16_t slot;
    bool flag;
    struct map_facts facts;
    struct slot_set slots;
};

void map_change_write(const struct map_change *change, struct buffer *out);
/* Takes one from the front. False: there is none that is whole and known. */
bool map_change_read(struct span *entry, struct map_change *change);

/* Applies the entry's changes to a copy of the map. NULL: nothing has changed, the report has the
 * error, with its code word. Otherwise the new map, of that index, the caller's. */
struct map *map_change_apply(const struct map *map, uint64_t index, struct span entry,
                             struct buffer *report);

#endif
