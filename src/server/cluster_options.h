/* The options of a node in a cluster: cluster-* and what Redis calls them. Rules as in
 * options.h. */
#ifndef TARN_SERVER_CLUSTER_OPTIONS_H
#define TARN_SERVER_CLUSTER_OPTIONS_H

#include "base/option.h"

struct cluster_options {
    bool enabled;
    int64_t node_timeout_ms;
    int64_t voters;
    int64_t port; /* for the other nodes; 0: CLUSTER_BUS_PORT_DISTANCE above the clients' */
    char *secret; /* "": there is none */
    bool allow_unauthenticated_nodes;
    int64_t link_sendbuf_limit; /* 0: LINKS_WAITING_BYTES_MAX */
    char *announce_ip;          /* "": what others see */
    int64_t announce_port;      /* 0: the port itself, likewise the next two */
    int64_t announce_tls_port;
    int64_t announce_bus_port;
    char *announce_hostname;
    char *announce_human_nodename;
    char *availability_zone;
    int preferred_endpoint_type; /* enum map_endpoint */
    int64_t migration_barrier;
    bool allow_replica_migration;
    bool require_full_coverage;
    bool allow_reads_when_down;
    bool allow_pubsubshard_when_down;
    bool replica_no_failover;
};

/* As Redis has it. */
#define CLUSTER_BUS_PORT_DISTANCE 10000

extern const struct option_table cluster_option_table;

#endif
