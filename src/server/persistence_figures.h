/* What INFO's section "persistence" shows, as figures: of loading, of snapshots, of the log.
 */
#ifndef TARN_SERVER_PERSISTENCE_FIGURES_H
#define TARN_SERVER_PERSISTENCE_FIGURES_H

#include "server/server.h"

#define PERSISTENCE_HISTORY_TEXT_BYTES 64

struct persistence_figures {
    bool is_loading;
    int64_t loading_start_s;
    uint64_t loading_total_bytes;
    uint64_t loading_loaded_bytes;
    double loading_percent;
    int64_t loading_eta_s; /* 1 while nothing can be told, as Redis has it */

    uint64_t loaded_keys;         /* at the start */
    uint64_t loaded_keys_expired; /* left out then */
    uint64_t changes;             /* since the last good snapshot began */
    int64_t last_saved_s;
    uint64_t is_saving; /* 0 or 1, as all that are shown so */
    const char *snapshot_status;
    int64_t snapshot_last_s;
    int64_t snapshot_current_s;
    uint64_t snapshots;
    double save_percent;
    uint64_t keys_done;
    uint64_t keys_total;
    uint64_t early_buckets;
    uint64_t writes_held;

    uint64_t is_rewriting;
    uint64_t rewrite_is_scheduled;
    const char *rewrite_status;
    int64_t rewrite_last_s;
    int64_t rewrite_current_s;
    uint64_t rewrites;
    uint64_t rewrite_failures;

    bool has_log; /* appendonly; the log may not be open yet */
    const char *write_status;
    uint64_t base_bytes; /* what the log's growth is compared with: of the data when it was saved */
    uint64_t current_bytes; /* that, and the log since */
    uint64_t buffer_bytes;
    uint64_t pending_sync; /* 1: what is written waits for a sync */
    uint64_t delayed_syncs;
    char history[PERSISTENCE_HISTORY_TEXT_BYTES];
    uint64_t position;
    uint64_t written;
    uint64_t synced;
    uint64_t start;
    uint64_t log_bytes;
    uint64_t segments;
    uint64_t unsynced_bytes;
    uint64_t appends;
    uint64_t appends_handed_over;
    uint64_t syncs;
    uint64_t failures;
    bool is_at_max; /* log-size-max: writes are refused */
    uint64_t disk_log_bytes;
    uint64_t disk_old_bytes;
    uint64_t disk_divergence_bytes;
    uint64_t disk_max; /* 0: none */
};

/* While all workers stand still. */
void persistence_figures_read(const struct server *server, struct persistence_figures *figures);

#endif
