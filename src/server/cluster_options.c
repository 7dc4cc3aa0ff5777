#include "server/cluster_options.h"

#include "cluster/map_view.h"
#include "server/cluster_links.h"

static const struct option_word endpoint_words[] = {
    {"ip", MAP_ENDPOINT_IP},
    {"hostname", MAP_ENDPOINT_HOSTNAME},
    {"unknown-endpoint", MAP_ENDPOINT_UNKNOWN},
    {NULL, 0},
};

static bool fits(const char *text, size_t room, struct buffer *error) {
    if (strlen(text) < room) {
        return true;
    }
    buffer_format(error, "It may have %zu bytes at most", room - 1);
    return false;
}

static bool settle_host_name(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    char *const *name = place;
    for (const char *byte = *name; *byte != '\0'; byte++) {
        bool is_letter = (*byte >= 'a' && *byte <= 'z') || (*byte >= 'A' && *byte <= 'Z');
        if (!is_letter && !(*byte >= '0' && *byte <= '9') && *byte != '-' && *byte != '.') {
            buffer_append_string(
                error, "Hostnames may only contain alphanumeric characters, hyphens or dots");
            return false;
        }
    }
    if (strlen(*name) >= MAP_NAME_BYTES) {
        buffer_format(error, "Hostnames must be less than %d characters", MAP_NAME_BYTES);
        return false;
    }
    return true;
}

/* What has no place in a line of CLUSTER NODES, between its commas. */
static bool settle_word(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    char *const *name = place;
    for (const char *byte = *name; *byte != '\0'; byte++) {
        if (*byte <= ' ' || *byte > '~' ||
            strchr("!#$%&()*+:;<=>?@[]^{|},~/'\"\\", *byte) != NULL) {
            buffer_append_string(error, "Announced human node name contained invalid character");
            return false;
        }
    }
    return fits(*name, MAP_ZONE_BYTES, error);
}

static bool settle_ip(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    char *const *ip = place;
    return fits(*ip, MAP_IP_BYTES, error);
}

static bool settle_secret(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    char *const *secret = place;
    return fits(*secret, LINKS_SECRET_BYTES, error);
}

static bool settle_voters(const struct option *row, void *place, struct buffer *error) {
    (void)row;
    const int64_t *voters = place;
    if (*voters % 2 == 0) {
        buffer_append_string(error, "It must be 3, 5 or 7");
    }
    return *voters % 2 != 0;
}

#define ROW(row_name, field, row_flags, row_default, row_help)                                     \
    .name = (row_name), .flags = (row_flags), .offset = offsetof(struct cluster_options, field),   \
    .default_text = (row_default), .help = (row_help)
#define BOOL(name, field, flags, normal, help)                                                     \
    { ROW(name, field, flags, normal, help), .type = OPTION_BOOL }
#define PORT(name, field, flags, help)                                                             \
    { ROW(name, field, flags, "0", help), .type = OPTION_INTEGER, .min = 0, .max = UINT16_MAX }
#define INTEGER(name, field, flags, normal, least, most, help)                                     \
    { ROW(name, field, flags, normal, help), .type = OPTION_INTEGER, .min = (least), .max = (most) }
#define STRING(name, field, settler, help)                                                         \
    { ROW(name, field, 0, "", help), .type = OPTION_STRING, .settle = (settler) }

static const struct option rows[] = {
    {.name = NULL, .help = "Cluster"},
    BOOL("cluster-enabled", enabled, OPTION_IMMUTABLE, "no",
         "Takes part in a cluster, at first one of its own."),
    INTEGER("cluster-node-timeout", node_timeout_ms, 0, "1000", 0, INT64_MAX,
            "Milliseconds of silence after which a node is down; what is below 200 or above 60000 "
            "counts as that. A primary whose node is silent for a quarter of it is replaced."),
    {ROW("cluster-voters", voters, 0, "3",
         "Nodes that decide on the map: 3, 5 or 7. They are chosen by themselves, over zones."),
     .type = OPTION_INTEGER, .min = 3, .max = 7, .settle = settle_voters},
    PORT("cluster-port", port, OPTION_IMMUTABLE,
         "Port for the other nodes; 0 is 10000 above the clients' port."),
    {ROW("cluster-secret", secret, OPTION_SENSITIVE, "",
         "What the nodes of a cluster prove to each other that they know. Links that are there "
         "stay "
         "when it changes. Without one only nodes on this machine are spoken to."),
     .type = OPTION_STRING, .settle = settle_secret},
    BOOL("cluster-allow-unauthenticated-nodes", allow_unauthenticated_nodes, 0, "no",
         "Without a cluster-secret, whoever can reach the bus may join the cluster, read all and "
         "change all."),
    {ROW("cluster-link-sendbuf-limit", link_sendbuf_limit, 0, "0",
         "What may wait to be sent to a node before its link is closed; 0 is 64 MiB."),
     .type = OPTION_MEMORY, .min = 0, .max = INT64_MAX},
    STRING("cluster-announce-ip", announce_ip, settle_ip,
           "Address that a node gives of itself; empty is the one that the others see."),
    PORT("cluster-announce-port", announce_port, 0,
         "Port that a node gives of itself; 0 is the port it has, as for the next two."),
    PORT("cluster-announce-tls-port", announce_tls_port, 0,
         "TLS port that a node gives of itself."),
    PORT("cluster-announce-bus-port", announce_bus_port, 0,
         "Bus port that a node gives of itself."),
    STRING("cluster-announce-hostname", announce_hostname, settle_host_name,
           "Host name that a node gives of itself."),
    STRING("cluster-announce-human-nodename", announce_human_nodename, settle_word,
           "Name for people that a node gives of itself."),
    STRING("availability-zone", availability_zone, settle_word,
           "Where the node stands: what fails together has one name."),
    {ROW("cluster-preferred-endpoint-type", preferred_endpoint_type, 0, "ip",
         "What clients are sent to."),
     .type = OPTION_ENUM, .words = endpoint_words},
    INTEGER("cluster-migration-barrier", migration_barrier, 0, "1", 0, INT32_MAX,
            "Replicas that a primary keeps when one moves."),
    BOOL("cluster-allow-replica-migration", allow_replica_migration, 0, "yes",
         "Replicas move to primaries that have none."),
    BOOL("cluster-require-full-coverage", require_full_coverage, 0, "yes",
         "Serves nothing while a slot is not covered."),
    {ROW("cluster-replica-no-failover", replica_no_failover, 0, "no",
         "As a replica it takes over by CLUSTER FAILOVER only."),
     .alias = "cluster-slave-no-failover", .type = OPTION_BOOL},
    BOOL("cluster-allow-reads-when-down", allow_reads_when_down, 0, "no",
         "Answers reads while the cluster is down."),
    BOOL("cluster-allow-pubsubshard-when-down", allow_pubsubshard_when_down, 0, "yes",
         "Serves sharded channels while the cluster is down."),
};

const struct option_table cluster_option_table = {
    .rows = rows,
    .count = sizeof(rows) / sizeof(rows[0]),
};
