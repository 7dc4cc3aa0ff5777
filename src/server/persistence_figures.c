#include "server/persistence_figures.h"

#include "io/clock.h"
#include "server/persistence.h"
#include "worker/worker.h"

#include <stdio.h>

#define US_PER_SECOND 1000000

_Static_assert(PERSISTENCE_HISTORY_TEXT_BYTES >= HISTORY_TEXT_BYTES, "a history fits");

static const char *status_text(bool has_failed) {
    return has_failed ? "err" : "ok";
}

static void read_loading(const struct server *server, struct persistence_figures *figures) {
    const struct node *node = &server->node;
    figures->is_loading = atomic_load(&node->is_loading);
    if (!figures->is_loading) {
        return;
    }
    struct persistence_progress progress;
    persistence_progress(server, &progress);
    uint64_t total = progress.total_bytes;
    uint64_t done = progress.done_bytes;
    int64_t elapsed_us = clock_monotonic_us() - progress.began_us;
    figures->loading_start_s = (clock_wall_us() - elapsed_us) / US_PER_SECOND;
    figures->loading_total_bytes = total;
    figures->loading_loaded_bytes = done;
    figures->loading_percent = total == 0 ? 0 : 100 * (double)done / (double)total;
    figures->loading_eta_s = 1;
    if (done > 0 && elapsed_us >= US_PER_SECOND) {
        double seconds = (double)elapsed_us / US_PER_SECOND;
        figures->loading_eta_s = (int64_t)(seconds * (double)(total - done) / (double)done);
    }
}

static void read_snapshots(const struct saving_status *status,
                           struct persistence_figures *figures) {
    const struct saving_tally *snapshots = &status->snapshots;
    const struct saving_tally *rewrites = &status->rewrites;
    figures->changes = status->changes;
    figures->last_saved_s = status->last_saved_s;
    figures->is_saving = snapshots->is_running;
    figures->snapshot_status = status_text(snapshots->has_failed);
    figures->snapshot_last_s = snapshots->last_duration_s;
    figures->snapshot_current_s = snapshots->current_duration_s;
    figures->snapshots = snapshots->count;
    figures->keys_done = status->keys_done;
    figures->keys_total = status->keys_total;
    figures->save_percent =
        status->keys_total == 0 ? 0 : 100 * (double)status->keys_done / (double)status->keys_total;
    figures->early_buckets = status->early_buckets;
    figures->writes_held = status->writes_held;
    figures->is_rewriting = rewrites->is_running;
    figures->rewrite_is_scheduled = rewrites->is_scheduled;
    figures->rewrite_status = status_text(rewrites->has_failed);
    figures->rewrite_last_s = rewrites->last_duration_s;
    figures->rewrite_current_s = rewrites->current_duration_s;
    figures->rewrites = rewrites->count;
    figures->rewrite_failures = rewrites->failures_in_a_row;
    figures->base_bytes = status->growth_base_bytes;
}

static void read_disk(const struct server *server, const struct saving_status *status,
                      struct persistence_figures *figures) {
    figures->is_at_max = node_log_is_at_max(&server->node);
    figures->disk_log_bytes = status->disk_log_bytes;
    figures->disk_old_bytes = status->disk_old_bytes;
    figures->disk_divergence_bytes = status->disk_divergence_bytes;
    figures->disk_max = status->disk_max == SAVING_DISK_NO_MAX ? 0 : status->disk_max;
}

static void read_log(const struct server *server, const struct saving_status *status,
                     struct persistence_figures *figures) {
    struct oplog *oplog = server->node.log;
    const struct oplog_figures *log = &status->log;
    figures->current_bytes = status->growth_base_bytes + status->grown_bytes;
    if (!status->has_log) {
        return;
    }
    figures->write_status = status_text(oplog_error(oplog) != 0);
    figures->buffer_bytes = log->pending_bytes;
    figures->pending_sync = log->unsynced_bytes > 0;
    figures->delayed_syncs = log->syncs_delayed;
    struct history_origin origin = oplog_origin(oplog);
    history_format(figures->history, &origin.history);
    figures->position = log->end;
    figures->written = log->written;
    figures->synced = log->synced;
    figures->start = log->start;
    figures->log_bytes = log->size_bytes;
    figures->segments = log->segments;
    figures->unsynced_bytes = log->unsynced_bytes;
    figures->appends = log->appends;
    figures->appends_handed_over = log->appends_handed_over;
    figures->syncs = log->syncs;
    figures->failures = log->failures;
}

void persistence_figures_read(const struct server *server, struct persistence_figures *figures) {
    *figures = (struct persistence_figures){
        .last_saved_s = server->started_ms / 1000,
        .snapshot_status = status_text(false),
        .snapshot_last_s = -1,
        .snapshot_current_s = -1,
        .rewrite_status = status_text(false),
        .rewrite_last_s = -1,
        .rewrite_current_s = -1,
        .has_log = server->options->server.appendonly,
        .write_status = status_text(false),
    };
    read_loading(server, figures);
    /* The main thread's while data is loaded. */
    if (!atomic_load(&server->node.is_loading)) {
        figures->loaded_keys = server->loaded_keys;
        figures->loaded_keys_expired = server->loaded_keys_expired;
    }
    struct saving *saving = atomic_load(&server->saving);
    if (saving != NULL) {
        struct saving_status status;
        saving_status_read(saving, &status);
        read_snapshots(&status, figures);
        read_log(server, &status, figures);
        read_disk(server, &status, figures);
    }
}
