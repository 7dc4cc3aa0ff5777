/* What INFO shows of replication. */
#ifndef TARN_SERVER_REPLICATION_FIGURES_H
#define TARN_SERVER_REPLICATION_FIGURES_H

#include "server/server.h"

#define REPLICATION_ID_TEXT_BYTES (2 * HISTORY_ID_BYTES + 1)

struct replication_figures {
    const char *role;
    bool is_replica;
    char host[REPLICA_HOST_BYTES];
    uint64_t port;
    const char *link_status;
    int64_t heard_seconds; /* ago; -1: there is no link */
    int64_t heard_ms;
    bool is_syncing;
    bool is_down;
    int64_t down_seconds;
    uint64_t slots_missing;
    uint64_t image_bytes;
    uint64_t lag_bytes;
    int64_t priority;
    bool is_read_only;
    bool is_announced;
    uint64_t full_syncs; /* that this node took, since it started */
    uint64_t partial_syncs;
    struct replica_divergence divergence;
    uint64_t slots_healed; /* of this node, and ... */
    uint64_t healed;       /* of its replicas */

    const char *failover_state;
    uint64_t replicas;
    bool asks_for_replicas;      /* min-replicas-to-write is on */
    uint64_t good_replicas;      /* that count for it */
    struct buffer replica_lines; /* "slave0:...\r\n" */
    uint64_t syncs_full;         /* that this node's replicas took */
    uint64_t syncs_partial;
    uint64_t syncs_refused;

    char node_id[REPLICATION_ID_TEXT_BYTES];
    char id[REPLICATION_ID_TEXT_BYTES];
    char second_id[REPLICATION_ID_TEXT_BYTES];
    int64_t second_offset;
    int64_t offset;
    bool has_backlog;
    uint64_t backlog_size;
    uint64_t backlog_first;
    uint64_t backlog_length;
};

/* While all workers stand still. */
void replication_figures_read(struct server *server, struct replication_figures *figures);
void replication_figures_free(struct replication_figures *figures);

#endif
