/* Views: the map as Redis Cluster shows it: CLUSTER NODES, SLOTS, SHARDS, INFO, REPLICAS.
 *
 * A view is of one node, "myself". What the map does not know (who is connected, how far a replica
 * has come) is passed in. Source: the Redis Cluster specification, and the replies of redis-server.
 */
#ifndef TARN_CLUSTER_MAP_VIEW_H
#define TARN_CLUSTER_MAP_VIEW_H

#include "cluster/map.h"
#include "protocol/reply.h"

/* Of another node, as the viewer knows it. */
struct map_peer {
    int64_t ping_sent_ms; /* wall clock: the ping that waits for an answer, 0: none does */
    int64_t pong_received_ms;
    uint64_t replication_offset;
    bool is_connected;
    bool is_suspected; /* silent, and the group has not decided yet: "fail?" */
    bool is_loading;
};

enum map_endpoint { MAP_ENDPOINT_IP, MAP_ENDPOINT_HOSTNAME, MAP_ENDPOINT_UNKNOWN };

struct map_view {
    const struct map *map;
    uint16_t myself;
    const struct map_peer *peers; /* by node, map->nodes_count; myself is looked at too */
    enum map_endpoint endpoint;   /* cluster-preferred-endpoint-type */
    bool is_tls;                  /* the asking client's connection */
};

/* Lines of CLUSTER NODES: of all nodes, or of a shard's replicas (an array of lines). */
void map_view_nodes(const struct map_view *view, struct buffer *out);
void map_view_replicas(const struct map_view *view, uint16_t primary, struct reply *reply);

void map_view_slots(const struct map_view *view, struct reply *reply);
void map_view_shards(const struct map_view *view, struct reply *reply);

/* The map's part of CLUSTER INFO: the fields up to cluster_my_epoch. */
void map_view_info(const struct map_view *view, bool is_ok, struct buffer *out);

/* Where clients find the node, as MOVED and ASK name it: "host:port". */
void map_view_endpoint(const struct map_view *view, uint16_t node, struct buffer *out);

#endif
