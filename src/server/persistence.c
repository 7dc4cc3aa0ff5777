#include "server/persistence.h"

#include "base/logger.h"
#include "base/memory.h"
#include "io/clock.h"
#include "oplog/recovery.h"
#include "worker/gate.h"
#include "worker/loading.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct persistence {
    struct disk folder; /* dir */
    bool has_folder;
    struct disk *log_folder; /* NULL: the log is not used, or saving owns it */
    struct snapshot_reader *snapshot;
    struct loading *loading;
    struct history history; /* recovered */
    uint64_t end;
    uint64_t snapshot_bytes;
};

static int complain(const char *what, const struct buffer *report) {
    log_warning("%s: %.*s", what, (int)report->length, report->bytes);
    return EX_SOFTWARE;
}

/* ---- what there is ---- */

static int find_snapshot(const struct server *server, struct persistence *persistence) {
    char name[DISK_NAME_BYTES_MAX];
    saving_file_name(server->options->server.dbfilename, name);
    if (access(name, F_OK) != 0) {
        return 0;
    }
    struct buffer report = BUFFER_EMPTY;
    enum snapshot_read_status status =
        snapshot_reader_open(&persistence->folder, name, &persistence->snapshot, &report);
    int code = status == SNAPSHOT_READ_DONE ? 0 : complain("Cannot load the snapshot", &report);
    buffer_free(&report);
    if (code == 0) {
        const struct snapshot_reader *snapshot = persistence->snapshot;
        persistence->history = snapshot->header.history;
        persistence->end = snapshot->end.end;
        persistence->snapshot_bytes = snapshot->end.size_bytes;
        if (snapshot->header.databases > server->node.keyspace->database_count) {
            log_warning("The snapshot %s was taken with %u databases, and only %u are configured.",
                        name, snapshot->header.databases, server->node.keyspace->database_count);
            return EX_CONFIG;
        }
    }
    return code;
}

static bool take_frame(void *context, const struct oplog_frame *frame) {
    (void)context;
    (void)frame;
    return true;
}

/* Checks the whole log and cuts a torn tail, before anything is loaded. */
static int find_log(const struct server *server, struct persistence *persistence) {
    struct disk *folder = memory_alloc_zeroed(sizeof(*folder));
    int error = disk_open(folder, SAVING_LOG);
    if (error != 0) {
        memory_free(folder);
        log_warning("Cannot open the folder " SAVING_LOG ": %s", strerror(-error));
        return EX_CANTCREAT;
    }
    persistence->log_folder = folder;
    error = folder->lock(folder->context);
    if (error != 0) {
        log_warning("The folder " SAVING_LOG " in %s belongs to another server: %s",
                    server->options->server.dir, strerror(-error));
        return EX_UNAVAILABLE;
    }
    struct oplog_recovery_plan plan = {
        .disk = folder,
        .from = persistence->end,
        .history = persistence->snapshot == NULL ? NULL : &persistence->history,
        .is_torn_refused = !server->options->server.aof_load_truncated,
        .apply = take_frame,
    };
    struct oplog_recovery recovery;
    enum oplog_status status = oplog_recover(&plan, &recovery);
    int code = 0;
    if (status != OPLOG_DONE) {
        code = complain("Cannot load the log", &recovery.report);
    } else {
        if (recovery.report.length > 0) {
            log_warning("The log: %.*s", (int)recovery.report.length, recovery.report.bytes);
        }
        persistence->history = recovery.history;
        persistence->end = recovery.end;
    }
    oplog_recovery_free(&recovery);
    return code;
}

static uint64_t snapshot_end(const struct persistence *persistence) {
    return persistence->snapshot == NULL ? 0 : persistence->snapshot->end.end;
}

int persistence_prepare(struct server *server) {
    struct persistence *persistence = memory_alloc_zeroed(sizeof(*persistence));
    server->persistence = persistence;
    int error = disk_open(&persistence->folder, ".");
    if (error != 0) {
        log_warning("Cannot open the folder %s: %s", server->options->server.dir, strerror(-error));
        return EX_CANTCREAT;
    }
    persistence->has_folder = true;
    int code = find_snapshot(server, persistence);
    if (code == 0 && server->options->server.appendonly) {
        code = find_log(server, persistence);
    }
    if (code != 0) {
        return code;
    }
    uint64_t log_bytes = persistence->end - snapshot_end(persistence);
    persistence->loading = loading_begin(&(struct loading_plan){
        .node = &server->node,
        .snapshot = persistence->snapshot,
        .log = persistence->log_folder,
        .log_from = snapshot_end(persistence),
        .log_to = persistence->end,
        .bytes = persistence->snapshot_bytes + log_bytes,
    });
    return 0;
}

bool persistence_is_loaded(struct server *server, int64_t timeout_ms) {
    return loading_wait(server->persistence->loading, timeout_ms);
}

/* ---- from loaded to running ---- */

static enum oplog_sync sync_of(const struct server *server) {
    switch (server->options->server.appendfsync) {
    case APPEND_FSYNC_ALWAYS:
        return OPLOG_SYNC_ALWAYS;
    case APPEND_FSYNC_NO:
        return OPLOG_SYNC_NO;
    case APPEND_FSYNC_EVERYSEC:
        break;
    }
    return OPLOG_SYNC_EVERYSEC;
}

static int open_log(struct server *server, struct saving_plan *plan) {
    struct persistence *persistence = server->persistence;
    struct oplog_plan log = {
        .disk = persistence->log_folder,
        .history = history_fork(&persistence->history),
        .parent = persistence->history,
        .begin = persistence->end,
        .sync = sync_of(server),
        .progress = gate_progress,
        .context = &server->node,
    };
    memcpy(log.node_id, plan->node_id, sizeof(log.node_id));
    int error = 0;
    plan->log = oplog_open(&log, &error);
    if (plan->log == NULL) {
        log_warning("Cannot begin the log in " SAVING_LOG ": %s", strerror(-error));
        return EX_IOERR;
    }
    plan->log_folder = persistence->log_folder;
    persistence->log_folder = NULL;
    plan->history = log.history;
    return 0;
}

struct beginning {
    struct server *server;
    struct oplog *log;
};

static void begin(void *context) {
    const struct beginning *beginning = context;
    struct node *node = &beginning->server->node;
    node->log = beginning->log;
    node->log_gates = beginning->log != NULL;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_configure(node->workers[i]);
        gate_follow(node->workers[i]);
        loop_wake(node->workers[i]->loop);
    }
    atomic_store(&node->is_loading, false);
}

/* What was loaded, and how long it took. */
static int end_loading(struct server *server) {
    struct persistence *persistence = server->persistence;
    struct loading *loading = persistence->loading;
    int code = 0;
    if (atomic_load(&loading->has_failed)) {
        code = complain("Cannot load the data", &loading->report);
    } else if (loading->plan.bytes > 0) {
        log_notice("DB loaded from %s: %.3f seconds",
                   persistence->snapshot == NULL ? "append only file" : "disk",
                   (double)(clock_monotonic_us() - loading->started_us) / 1e6);
    }
    server->loaded_keys = atomic_load(&loading->keys);
    return code;
}

int persistence_start(struct server *server) {
    struct persistence *persistence = server->persistence;
    int code = end_loading(server);
    if (code != 0) {
        return code;
    }
    struct saving_plan plan = {
        .server = server,
        .history = persistence->history,
        .end = persistence->end,
        .base_bytes = persistence->snapshot_bytes,
        .raw_bytes = persistence->snapshot == NULL ? 0 : persistence->snapshot->end.raw_bytes,
    };
    random_seed_bytes(plan.node_id, sizeof(plan.node_id));
    if (persistence->log_folder != NULL) {
        code = open_log(server, &plan);
        if (code != 0) {
            return code;
        }
    }
    struct beginning beginning = {.server = server, .log = plan.log};
    stop_visit(&server->node, begin, &beginning);
    loading_end(persistence->loading);
    persistence->loading = NULL;
    if (persistence->snapshot != NULL) {
        snapshot_reader_close(persistence->snapshot);
        persistence->snapshot = NULL;
    }
    struct saving *saving = saving_new(&plan);
    atomic_store(&server->saving, saving);
    return 0;
}

/* ---- the end ---- */

bool persistence_save_last(struct server *server) {
    struct saving *saving = atomic_load(&server->saving);
    return saving == NULL || saving_wait(saving, saving_request(saving, SAVING_SNAPSHOT));
}

void persistence_end_saving(struct server *server) {
    struct saving *saving = atomic_load(&server->saving);
    if (saving != NULL) {
        saving_end(saving);
    }
}

void persistence_stop(struct server *server) {
    struct persistence *persistence = server->persistence;
    if (persistence == NULL) {
        return;
    }
    struct saving *saving = atomic_exchange(&server->saving, NULL);
    if (saving != NULL) {
        int error = saving_free(saving);
        if (error != 0) {
            log_warning("The log is not whole on disk: %s", strerror(-error));
        }
    }
    if (persistence->loading != NULL) {
        loading_end(persistence->loading);
    }
    if (persistence->snapshot != NULL) {
        snapshot_reader_close(persistence->snapshot);
    }
    if (persistence->log_folder != NULL) {
        disk_close(persistence->log_folder);
        memory_free(persistence->log_folder);
    }
    if (persistence->has_folder) {
        disk_close(&persistence->folder);
    }
    memory_free(persistence);
    server->persistence = NULL;
}
