#include "cluster/map_view.h"

#include <inttypes.h>

static uint16_t client_port(const struct map_view *view, const struct map_facts *facts) {
    return view->is_tls && facts->tls_port != 0 ? facts->tls_port : facts->port;
}

/* What clients are to connect to; NULL or "": the address that they asked at. */
static const char *preferred_endpoint(const struct map_view *view, const struct map_facts *facts) {
    switch (view->endpoint) {
    case MAP_ENDPOINT_IP:
        return facts->ip;
    case MAP_ENDPOINT_HOSTNAME:
        return facts->hostname[0] == '\0' ? "?" : facts->hostname;
    default:
        return NULL;
    }
}

void map_view_endpoint(const struct map_view *view, uint16_t node, struct buffer *out) {
    const struct map_facts *facts = &view->map->nodes[node].facts;
    const char *endpoint = preferred_endpoint(view, facts);
    buffer_format(out, "%s:%u", endpoint == NULL ? "" : endpoint, client_port(view, facts));
}

/* ---- CLUSTER NODES ---- */

static void append_flags(const struct map_view *view, uint16_t i, struct buffer *out) {
    const struct map_node *node = &view->map->nodes[i];
    if (i == view->myself) {
        buffer_append_string(out, "myself,");
    }
    buffer_append_string(out, map_is_primary(view->map, i) ? "master" : "slave");
    if (node->has_failed) {
        buffer_append_string(out, ",fail");
    } else if (i != view->myself && view->peers[i].is_suspected) {
        buffer_append_string(out, ",fail?");
    }
    if (node->facts.ip[0] == '\0' && i != view->myself) {
        buffer_append_string(out, ",noaddr");
    }
    if (node->no_failover) {
        buffer_append_string(out, ",nofailover");
    }
}

static void append_ranges(const struct map *map, uint16_t shard, struct buffer *out) {
    struct map_range range;
    for (uint32_t from = 0; map_next_range(map, shard, from, &range); from = range.last + 1U) {
        if (range.first == range.last) {
            buffer_format(out, " %u", range.first);
        } else {
            buffer_format(out, " %u-%u", range.first, range.last);
        }
    }
}

/* Marks of classic moves stand on the line of the one who is asked only. */
static void append_marks(const struct map_view *view, struct buffer *out) {
    const struct map *map = view->map;
    char text[MAP_ID_TEXT_BYTES];
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct map_slot *slot = &map->slots[i];
        if (slot->migrating_to != MAP_NOBODY && map_slot_owner(map, (uint16_t)i) == view->myself) {
            buffer_format(out, " [%u->-%s]", i,
                          map_id_format(text, map->nodes[slot->migrating_to].id));
        } else if (slot->importer == view->myself) {
            buffer_format(out, " [%u-<-%s]", i,
                          map_id_format(text, map->nodes[slot->importing_from].id));
        }
    }
}

static void append_node(const struct map_view *view, uint16_t i, struct buffer *out) {
    const struct map *map = view->map;
    const struct map_node *node = &map->nodes[i];
    const struct map_peer *peer = &view->peers[i];
    bool is_primary = map_is_primary(map, i);
    bool is_myself = i == view->myself;
    char text[MAP_ID_TEXT_BYTES];
    buffer_format(out, "%s %s:%u@%u", map_id_format(text, node->id), node->facts.ip,
                  client_port(view, &node->facts), node->facts.bus_port);
    if (node->facts.hostname[0] != '\0' || node->facts.human_name[0] != '\0') {
        buffer_format(out, ",%s", node->facts.hostname);
    }
    buffer_append_byte(out, ' ');
    append_flags(view, i, out);
    buffer_format(out, " %s %" PRId64 " %" PRId64 " %" PRIu64 " %s",
                  is_primary ? "-" : map_id_format(text, map->nodes[map_primary_of(map, i)].id),
                  is_myself ? 0 : peer->ping_sent_ms, is_myself ? 0 : peer->pong_received_ms,
                  map->shards[node->shard].config_epoch,
                  is_myself || peer->is_connected ? "connected" : "disconnected");
    if (is_primary) {
        append_ranges(map, node->shard, out);
    }
    if (is_myself) {
        append_marks(view, out);
    }
}

void map_view_nodes(const struct map_view *view, struct buffer *out) {
    for (uint16_t i = 0; i < view->map->nodes_count; i++) {
        append_node(view, i, out);
        buffer_append_byte(out, '\n');
    }
}

void map_view_replicas(const struct map_view *view, uint16_t primary, struct reply *reply) {
    const struct map *map = view->map;
    uint16_t shard = map->nodes[primary].shard;
    struct buffer line = BUFFER_EMPTY;
    reply_array(reply, map_shard_nodes(map, shard) - 1);
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i].shard == shard && i != primary) {
            buffer_clear(&line);
            append_node(view, i, &line);
            reply_bulk(reply, buffer_span(&line));
        }
    }
    buffer_free(&line);
}

/* ---- CLUSTER SLOTS ---- */

static void reply_endpoint(const struct map_view *view, const struct map_facts *facts,
                           struct reply *reply) {
    const char *endpoint = preferred_endpoint(view, facts);
    if (endpoint == NULL) {
        reply_null(reply);
    } else {
        reply_bulk_string(reply, endpoint);
    }
}

/* What the preferred endpoint does not tell. */
static void reply_other_addresses(const struct map_view *view, const struct map_facts *facts,
                                  struct reply *reply) {
    bool has_ip = view->endpoint != MAP_ENDPOINT_IP && facts->ip[0] != '\0';
    bool has_hostname = view->endpoint != MAP_ENDPOINT_HOSTNAME && facts->hostname[0] != '\0';
    reply_map(reply, (size_t)has_ip + has_hostname);
    if (has_ip) {
        reply_bulk_string(reply, "ip");
        reply_bulk_string(reply, facts->ip);
    }
    if (has_hostname) {
        reply_bulk_string(reply, "hostname");
        reply_bulk_string(reply, facts->hostname);
    }
}

static void reply_slots_node(const struct map_view *view, uint16_t i, struct reply *reply) {
    const struct map_node *node = &view->map->nodes[i];
    char text[MAP_ID_TEXT_BYTES];
    reply_array(reply, 4);
    reply_endpoint(view, &node->facts, reply);
    reply_integer(reply, client_port(view, &node->facts));
    reply_bulk_string(reply, map_id_format(text, node->id));
    reply_other_addresses(view, &node->facts, reply);
}

/* Replicas that failed, or have nothing yet, are of no use to clients. */
static bool is_useful_replica(const struct map_view *view, uint16_t i) {
    return !view->map->nodes[i].has_failed && view->peers[i].replication_offset != 0;
}

static void reply_slots_range(const struct map_view *view, uint16_t shard,
                              const struct map_range *range, struct reply *reply) {
    const struct map *map = view->map;
    struct reply_mark mark = reply_mark_here(reply);
    size_t count = 3;
    reply_integer(reply, range->first);
    reply_integer(reply, range->last);
    reply_slots_node(view, map->shards[shard].primary, reply);
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i].shard == shard && !map_is_primary(map, i) && is_useful_replica(view, i)) {
            reply_slots_node(view, i, reply);
            count++;
        }
    }
    reply_array_at(reply, mark, count);
}

void map_view_slots(const struct map_view *view, struct reply *reply) {
    const struct map *map = view->map;
    struct reply_mark mark = reply_mark_here(reply);
    size_t count = 0;
    for (uint32_t slot = 0; slot < SLOTS;) {
        uint16_t owner = map->slots[slot].owner;
        struct map_range range;
        if (owner == MAP_NOBODY) {
            slot++;
            continue;
        }
        map_next_range(map, owner, slot, &range);
        reply_slots_range(view, owner, &range, reply);
        count++;
        slot = range.last + 1U;
    }
    reply_array_at(reply, mark, count);
}

/* ---- CLUSTER SHARDS ---- */

static const char *health(const struct map_view *view, uint16_t i) {
    if (view->map->nodes[i].has_failed || (i != view->myself && view->peers[i].is_suspected)) {
        return "fail";
    }
    bool is_loading = view->peers[i].is_loading ||
                      (!map_is_primary(view->map, i) && view->peers[i].replication_offset == 0);
    return is_loading ? "loading" : "online";
}

static void reply_field(struct reply *reply, const char *name, const char *value) {
    reply_bulk_string(reply, name);
    reply_bulk_string(reply, value);
}

static void reply_shards_node(const struct map_view *view, uint16_t i, struct reply *reply) {
    const struct map_node *node = &view->map->nodes[i];
    const struct map_facts *facts = &node->facts;
    char text[MAP_ID_TEXT_BYTES];
    bool has_port = facts->port != 0;
    bool has_tls_port = facts->tls_port != 0;
    bool has_hostname = facts->hostname[0] != '\0';
    bool has_zone = facts->zone[0] != '\0';
    reply_map(reply, 6 + (size_t)has_port + has_tls_port + has_hostname + has_zone);
    reply_field(reply, "id", map_id_format(text, node->id));
    if (has_port) {
        reply_bulk_string(reply, "port");
        reply_integer(reply, facts->port);
    }
    if (has_tls_port) {
        reply_bulk_string(reply, "tls-port");
        reply_integer(reply, facts->tls_port);
    }
    reply_field(reply, "ip", facts->ip);
    reply_bulk_string(reply, "endpoint");
    reply_endpoint(view, facts, reply);
    if (has_hostname) {
        reply_field(reply, "hostname", facts->hostname);
    }
    reply_field(reply, "role", map_is_primary(view->map, i) ? "master" : "replica");
    reply_bulk_string(reply, "replication-offset");
    reply_integer(reply, (int64_t)view->peers[i].replication_offset);
    reply_field(reply, "health", health(view, i));
    if (has_zone) {
        reply_field(reply, "availability-zone", facts->zone);
    }
}

static void reply_shard(const struct map_view *view, uint16_t shard, struct reply *reply) {
    const struct map *map = view->map;
    reply_map(reply, 2);
    reply_bulk_string(reply, "slots");
    struct reply_mark mark = reply_mark_here(reply);
    size_t count = 0;
    struct map_range range;
    for (uint32_t from = 0; map_next_range(map, shard, from, &range); from = range.last + 1U) {
        reply_integer(reply, range.first);
        reply_integer(reply, range.last);
        count += 2;
    }
    reply_array_at(reply, mark, count);
    reply_bulk_string(reply, "nodes");
    reply_array(reply, map_shard_nodes(map, shard));
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        if (map->nodes[i].shard == shard) {
            reply_shards_node(view, i, reply);
        }
    }
}

void map_view_shards(const struct map_view *view, struct reply *reply) {
    const struct map *map = view->map;
    reply_array(reply, map->shards_count);
    for (uint16_t shard = 0; shard < map->nodes_count; shard++) {
        if (map->shards[shard].epoch != 0) {
            reply_shard(view, shard, reply);
        }
    }
}

/* ---- CLUSTER INFO ---- */

void map_view_info(const struct map_view *view, bool is_ok, struct buffer *out) {
    const struct map *map = view->map;
    uint32_t failed = 0;
    uint32_t suspected = 0;
    uint32_t size = 0;
    for (uint16_t i = 0; i < map->nodes_count; i++) {
        const struct map_shard *shard = &map->shards[map->nodes[i].shard];
        if (shard->primary != i) {
            continue;
        }
        size += shard->slots > 0;
        if (map->nodes[i].has_failed) {
            failed += shard->slots;
        } else if (i != view->myself && view->peers[i].is_suspected) {
            suspected += shard->slots;
        }
    }
    buffer_format(out,
                  "cluster_state:%s\r\ncluster_slots_assigned:%u\r\ncluster_slots_ok:%u\r\n"
                  "cluster_slots_pfail:%u\r\ncluster_slots_fail:%u\r\ncluster_known_nodes:%u\r\n"
                  "cluster_size:%u\r\ncluster_current_epoch:%" PRIu64
                  "\r\ncluster_my_epoch:%" PRIu64 "\r\n",
                  is_ok ? "ok" : "fail", map->slots_owned, map->slots_owned - failed - suspected,
                  suspected, failed, map->nodes_count, size, map->current_epoch,
                  map->shards[map->nodes[view->myself].shard].config_epoch);
}
