#include "server/persistence.h"

#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/clock.h"
#include "io/files.h"
#include "io/memory_disk.h"
#include "io/signals.h"
#include "oplog/recovery.h"
#include "oplog/segments.h"
#include "server/first_import.h"
#include "server/replicator.h"
#include "worker/gate.h"
#include "worker/loading.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define PROGRESS_US (2 * INT64_C(1000000)) /* between two lines about it */
#define MIB (UINT64_C(1024) * 1024)
#define BASE_LOOK_MS 10

struct persistence {
    struct disk folder; /* dir */
    bool has_folder;
    struct disk *log_folder; /* NULL: the log is not used, or saving owns it */
    struct snapshot_reader *snapshot;
    struct loading *loading; /* NULL: the log is being checked, or cannot be loaded */
    pthread_t checker;       /* reads the log once, before anything is loaded */
    bool has_checker;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_checked; /* with the mutex; then code and what follows are the main thread's again */
    int code;        /* why it cannot be loaded */
    atomic_bool is_given_up;
    atomic_uint_least64_t checked_bytes; /* of the log */
    uint64_t to_check_bytes;
    struct first_import *import; /* NULL: none is running. Set under a stop */
    bool has_looked_for_import;
    bool has_imported;
    struct import_result imported;
    uint64_t imported_bytes;
    int64_t began_us;
    int64_t told_us;        /* when progress was logged, or the start */
    struct history history; /* recovered */
    uint64_t end;
    struct lineage lineage;                     /* up to that history */
    unsigned char node_id[OPLOG_NODE_ID_BYTES]; /* zeros: none was recovered */
    bool is_partial; /* the log could not be read: others are to have what it held */
    uint64_t snapshot_bytes;
    bool is_found; /* a snapshot or a log */
};

/* The exit code: what cannot be read is another thing than what makes no sense. */
static int complain(const char *what, const struct buffer *report, bool is_unreadable) {
    log_warning("%s: %.*s", what, (int)report->length, report->bytes);
    return is_unreadable ? EX_IOERR : EX_SOFTWARE;
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
    int code = status == SNAPSHOT_READ_DONE
                   ? 0
                   : complain("Cannot load the snapshot", &report, status == SNAPSHOT_READ_FAILED);
    buffer_free(&report);
    if (code == 0) {
        const struct snapshot_reader *snapshot = persistence->snapshot;
        persistence->history = snapshot->header.history;
        memcpy(persistence->node_id, snapshot->header.node_id, sizeof(persistence->node_id));
        persistence->end = snapshot->end.end;
        persistence->is_found = true;
        persistence->snapshot_bytes = snapshot->end.size_bytes;
        if (snapshot->header.databases > server->node.keyspace->database_count) {
            log_warning("The snapshot %s was taken with %u databases, and only %u are configured.",
                        name, snapshot->header.databases, server->node.keyspace->database_count);
            return EX_CONFIG;
        }
    }
    return code;
}

static int find_log(const struct server *server, struct persistence *persistence) {
    struct disk *folder = memory_alloc_zeroed(sizeof(*folder));
    int error = disk_open(folder, SAVING_LOG);
    if (error != 0) {
        memory_free(folder);
        log_warning("Cannot open the folder " SAVING_LOG ": %s", strerror(-error));
        return EX_CANTCREAT;
    }
    persistence->log_folder = folder;
    file_sync_directory(".");
    error = folder->lock(folder->context);
    if (error != 0) {
        log_warning("The folder " SAVING_LOG " in %s belongs to another server: %s",
                    server->options->server.dir, strerror(-error));
        return EX_UNAVAILABLE;
    }
    return 0;
}

static bool take_frame(void *context, const struct oplog_frame *frame) {
    struct persistence *persistence = context;
    atomic_fetch_add_explicit(&persistence->checked_bytes, frame->content.length,
                              memory_order_relaxed);
    return !atomic_load_explicit(&persistence->is_given_up, memory_order_relaxed);
}

/* What the log knows of where its data comes from. */
static void lineage_recovered(struct persistence *persistence,
                              const struct oplog_recovery *recovery) {
    persistence->lineage.count = 0;
    for (size_t i = 0; i < recovery->histories_count && !recovery->is_behind; i++) {
        lineage_add(&persistence->lineage, &recovery->histories[i].history,
                    recovery->histories[i].begin);
    }
}

/* A replica gets from its primary what it cannot read: a log without the snapshot that it goes on
 * from is that of a sync that did not come to its end. The snapshot stands for itself. */
static int begin_without_log(struct persistence *persistence, const struct buffer *found) {
    struct buffer report = BUFFER_EMPTY;
    persistence->is_partial = true;
    log_warning("The log is put away as " SAVING_LOG_OLD ", and the primary asked: %.*s",
                (int)found->length, found->bytes);
    disk_close(persistence->log_folder);
    int error = saving_log_put_away(&report) ? 0 : -EIO;
    error = error != 0 ? error : disk_open(persistence->log_folder, SAVING_LOG);
    if (error != 0) {
        memory_free(persistence->log_folder);
        persistence->log_folder = NULL;
        log_warning("Cannot begin another log: %.*s%s", (int)report.length, report.bytes,
                    report.length == 0 ? strerror(-error) : "");
    }
    buffer_free(&report);
    return error == 0 ? 0 : EX_IOERR;
}

/* It may be able to get from others what it cannot read. */
static bool has_others(const struct server *server) {
    return server->options->server.replicaof.count > 0 || server->options->cluster.enabled;
}

/* Reads the whole log and cuts a torn tail, before anything is loaded. */
static int check_log(const struct server *server, struct persistence *persistence) {
    struct oplog_recovery_plan plan = {
        .disk = persistence->log_folder,
        .from = persistence->end,
        .history = persistence->snapshot == NULL ? NULL : &persistence->history,
        .is_torn_refused = !server->options->server.aof_load_truncated,
        .apply = take_frame,
        .context = persistence,
    };
    struct oplog_recovery recovery;
    enum oplog_status status = oplog_recover(&plan, &recovery);
    int code = 0;
    if (status == OPLOG_STOPPED) {
        code = EX_TEMPFAIL;
    } else if (status == OPLOG_DAMAGED && has_others(server)) {
        code = begin_without_log(persistence, &recovery.report);
    } else if (status != OPLOG_DONE) {
        code = complain("Cannot load the log", &recovery.report, status == OPLOG_FAILED);
    } else {
        if (recovery.report.length > 0) {
            log_warning("The log: %.*s", (int)recovery.report.length, recovery.report.bytes);
        }
        persistence->history = recovery.history;
        lineage_recovered(persistence, &recovery);
        if (recovery.is_found && !recovery.is_behind) {
            memcpy(persistence->node_id, recovery.node_id, sizeof(persistence->node_id));
        }
        persistence->end = recovery.end;
        persistence->is_found = persistence->is_found || recovery.is_found;
    }
    oplog_recovery_free(&recovery);
    return code;
}

static void *check(void *context) {
    const struct server *server = context;
    struct persistence *persistence = server->persistence;
    persistence->code = check_log(server, persistence);
    pthread_mutex_lock(&persistence->mutex);
    persistence->is_checked = true;
    pthread_cond_signal(&persistence->changed);
    pthread_mutex_unlock(&persistence->mutex);
    return NULL;
}

/* What is going to be checked: as good as exact, since what a crash left may have room set
 * aside. */
static uint64_t bytes_to_check(const struct persistence *persistence) {
    struct segments segments = SEGMENTS_EMPTY;
    uint64_t bytes = 0;
    if (segments_read(&segments, persistence->log_folder) == 0 && segments.count > 0) {
        const struct segment_found *last = &segments.found[segments.count - 1];
        uint64_t end = last->name.first + last->size;
        bytes = end > persistence->end ? end - persistence->end : 0;
    }
    segments_free(&segments);
    return bytes;
}

static int start_check(struct server *server) {
    struct persistence *persistence = server->persistence;
    persistence->to_check_bytes = bytes_to_check(persistence);
    int error = pthread_create(&persistence->checker, NULL, check, server);
    if (error != 0) {
        log_warning("Cannot start the thread that checks the log: %s", strerror(error));
        return EX_OSERR;
    }
    persistence->has_checker = true;
    return 0;
}

static bool wait_for_check(struct persistence *persistence, int64_t timeout_ms) {
    if (!persistence->has_checker) {
        return true;
    }
    struct timespec until = clock_wall_in(timeout_ms);
    int status = 0;
    pthread_mutex_lock(&persistence->mutex);
    while (!persistence->is_checked && status == 0) {
        status = pthread_cond_timedwait(&persistence->changed, &persistence->mutex, &until);
    }
    bool is_checked = persistence->is_checked;
    pthread_mutex_unlock(&persistence->mutex);
    return is_checked;
}

static void join_check(struct persistence *persistence) {
    if (persistence->has_checker) {
        pthread_join(persistence->checker, NULL);
        persistence->has_checker = false;
    }
}

static uint64_t snapshot_end(const struct persistence *persistence) {
    return persistence->snapshot == NULL ? 0 : persistence->snapshot->end.end;
}

int persistence_prepare(struct server *server) {
    struct persistence *persistence = memory_alloc_zeroed(sizeof(*persistence));
    server->persistence = persistence;
    pthread_mutex_init(&persistence->mutex, NULL);
    pthread_cond_init(&persistence->changed, NULL);
    persistence->began_us = clock_monotonic_us();
    persistence->told_us = persistence->began_us;
    loading_announce(&server->node);
    int error = disk_open(&persistence->folder, ".");
    if (error != 0) {
        log_warning("Cannot open the folder %s: %s", server->options->server.dir, strerror(-error));
        return EX_CANTCREAT;
    }
    persistence->has_folder = true;
    saving_remove_unfinished(&persistence->folder);
    random_seed_bytes(server->replication.node_id, sizeof(server->replication.node_id));
    int code = find_snapshot(server, persistence);
    if (code == 0 && server->options->server.appendonly) {
        code = find_log(server, persistence);
        code = code != 0 ? code : start_check(server);
    }
    return code;
}

/* Under a stop. */
static void begin_loading(void *context) {
    struct server *server = context;
    struct persistence *persistence = server->persistence;
    uint64_t log_bytes = persistence->end - snapshot_end(persistence);
    persistence->loading = loading_begin(&(struct loading_plan){
        .node = &server->node,
        .snapshot = persistence->snapshot,
        .log = persistence->log_folder,
        .log_from = snapshot_end(persistence),
        .log_to = persistence->end,
        .bytes = persistence->snapshot_bytes + log_bytes,
    });
}

/* Read twice, once to be checked and once to be loaded, the log counts twice. */
void persistence_progress(const struct server *server, struct persistence_progress *progress) {
    const struct persistence *persistence = server->persistence;
    const struct loading *loading = persistence->loading;
    *progress = (struct persistence_progress){
        .began_us = persistence->began_us,
        .total_bytes = persistence->snapshot_bytes + 2 * persistence->to_check_bytes,
        .done_bytes = atomic_load(&persistence->checked_bytes),
    };
    if (persistence->has_imported) {
        /* A snapshot of it is being written. */
        progress->total_bytes = persistence->imported_bytes;
        progress->done_bytes = persistence->imported_bytes;
    } else if (persistence->import != NULL) {
        progress->total_bytes = first_import_bytes(persistence->import);
        progress->done_bytes = first_import_bytes_done(persistence->import);
    } else if (loading != NULL) {
        progress->total_bytes = progress->done_bytes + loading->plan.bytes;
        progress->done_bytes += atomic_load(&loading->bytes_done);
    }
    if (progress->done_bytes > progress->total_bytes) {
        progress->done_bytes = progress->total_bytes;
    }
}

static void tell_progress(struct persistence *persistence) {
    int64_t now_us = clock_monotonic_us();
    if (now_us - persistence->told_us < PROGRESS_US) {
        return;
    }
    persistence->told_us = now_us;
    const struct loading *loading = persistence->loading;
    const struct first_import *import = persistence->import;
    if (import != NULL) {
        log_notice("Importing: %llu of %llu MiB",
                   (unsigned long long)(first_import_bytes_done(import) / MIB),
                   (unsigned long long)(first_import_bytes(import) / MIB));
        return;
    }
    if (loading == NULL) {
        log_notice("Checking the log: %llu of %llu MiB",
                   (unsigned long long)(atomic_load(&persistence->checked_bytes) / MIB),
                   (unsigned long long)(persistence->to_check_bytes / MIB));
        return;
    }
    uint64_t done = atomic_load(&loading->bytes_done);
    log_notice("Loading: %llu of %llu MiB, %llu keys of images, %llu effects of the log",
               (unsigned long long)(done / MIB), (unsigned long long)(loading->plan.bytes / MIB),
               (unsigned long long)atomic_load(&loading->keys),
               (unsigned long long)atomic_load(&loading->effects));
}

/* The history goes on: of a replica, and of a node that may be one. In a cluster nobody is a
 * primary before the others have made it one; what has no history yet is its own. */
static bool goes_on(const struct server *server) {
    return server->options->server.replicaof.count > 0 ||
           (server->options->cluster.enabled && !history_is_none(&server->persistence->history));
}

/* Under a stop. */
static void begin_import(void *context) {
    struct server *server = context;
    struct persistence *persistence = server->persistence;
    persistence->import = first_import_begin(server, &persistence->code);
}

/* Under a stop. */
static void end_import(void *context) {
    struct persistence *persistence = ((struct server *)context)->persistence;
    persistence->imported_bytes = first_import_bytes(persistence->import);
    persistence->has_imported = true;
    persistence->import = NULL;
}

/* Where nothing was found that could be loaded. True: there is nothing more to wait for. */
static bool is_imported(struct server *server, int64_t timeout_ms) {
    struct persistence *persistence = server->persistence;
    bool is_wanted = !persistence->is_found && !goes_on(server) && !persistence->is_partial &&
                     !atomic_load(&persistence->loading->has_failed);
    if (is_wanted && !persistence->has_looked_for_import) {
        persistence->has_looked_for_import = true;
        stop_visit(&server->node, begin_import, server);
    }
    struct first_import *import = persistence->import;
    if (import == NULL) {
        return true;
    }
    if (!first_import_wait(import, timeout_ms)) {
        return false;
    }
    stop_visit(&server->node, end_import, server);
    persistence->code = first_import_end(import, &persistence->imported);
    return true;
}

bool persistence_is_loaded(struct server *server, int64_t timeout_ms) {
    struct persistence *persistence = server->persistence;
    tell_progress(persistence);
    if (persistence->loading == NULL) {
        if (!wait_for_check(persistence, timeout_ms)) {
            return false;
        }
        join_check(persistence);
        if (persistence->code != 0) {
            return true;
        }
        stop_visit(&server->node, begin_loading, server);
    }
    return loading_wait(persistence->loading, timeout_ms) && is_imported(server, timeout_ms);
}

/* ---- from loaded to running ---- */

/* A replica's history goes on: its log is its primary's. */
static void follow_on(const struct persistence *persistence, struct oplog_plan *log) {
    const struct lineage *lineage = &persistence->lineage;
    log->is_continued = true;
    log->history = persistence->history;
    log->parent = (struct history){0};
    log->history_begin = lineage->parts[lineage->count - 1].position;
    if (lineage->count > 1) {
        log->parent = lineage->parts[lineage->count - 2].history;
    }
}

static int open_log(struct server *server, struct saving_plan *plan) {
    struct persistence *persistence = server->persistence;
    struct oplog_plan log = {
        .disk = persistence->log_folder,
        .history = history_fork(&persistence->history),
        .parent = persistence->history,
        .begin = persistence->end,
        .sync = saving_sync(&server->options->server),
        .segment_bytes = saving_segment_bytes(&server->options->server),
        .progress = gate_progress,
        .context = &server->node,
    };
    memcpy(log.node_id, plan->node_id, sizeof(log.node_id));
    if (goes_on(server)) {
        follow_on(persistence, &log);
    }
    int error = 0;
    plan->log = oplog_open(&log, &error);
    if (plan->log == NULL) {
        log_warning("Cannot begin the log in " SAVING_LOG ": %s", strerror(-error));
        return EX_IOERR;
    }
    plan->log_folder = persistence->log_folder;
    persistence->log_folder = NULL;
    plan->history = log.history;
    if (!goes_on(server)) {
        replication_lineage_turn(&server->replication, &log.history, log.begin);
    }
    return 0;
}

/* A replica has a log where it keeps none, too: in memory, from the snapshot on. */
static int open_memory_log(struct server *server, struct saving_plan *plan) {
    struct persistence *persistence = server->persistence;
    persistence->log_folder = memory_alloc_zeroed(sizeof(struct disk));
    memory_disk_open(persistence->log_folder);
    plan->log_is_memory = true;
    return open_log(server, plan);
}

struct beginning {
    struct server *server;
    struct oplog *log;
    const struct disk *memory; /* of the log, or NULL */
};

static void attach_log(void *context) {
    const struct beginning *beginning = context;
    struct node *node = &beginning->server->node;
    node->log = beginning->log;
    replication_set_log(&beginning->server->replication, beginning->log);
    node->log_memory = beginning->memory;
    node->log_gates = beginning->log != NULL && beginning->memory == NULL;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_configure(node->workers[i]);
        gate_follow(node->workers[i]);
    }
}

/* Under a stop. */
static void begin_role(void *context) {
    struct server *server = context;
    const struct option_list *replicaof = &server->options->server.replicaof;
    int64_t port = 0;
    if (server->options->cluster.enabled) {
        replica_wait(&server->replica);
        if (server->persistence->is_partial) {
            replica_lacks(&server->replica);
        }
        return;
    }
    number_parse(span_of_string(replicaof->items[1]), &port);
    replica_follow(&server->replica, replicaof->items[0], (uint16_t)port);
}

/* Under a stop: whoever is asked may have looked at the loading until now. */
static void serve(void *context) {
    struct server *server = context;
    struct node *node = &server->node;
    loading_end(server->persistence->loading);
    server->persistence->loading = NULL;
    atomic_store(&node->is_loading, false);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        loop_wake(node->workers[i]->loop);
    }
}

static void log_folder_close(struct persistence *persistence) {
    if (persistence->log_folder != NULL) {
        disk_close(persistence->log_folder);
        memory_free(persistence->log_folder);
        persistence->log_folder = NULL;
    }
}

/* What was loaded, and how long it took. */
static int end_loading(struct server *server) {
    struct persistence *persistence = server->persistence;
    struct loading *loading = persistence->loading;
    int code = 0;
    if (atomic_load(&loading->has_failed)) {
        code = complain("Cannot load the data", &loading->report, loading->is_unreadable);
    } else if (loading->plan.bytes > 0) {
        log_notice("DB loaded from %s: %.3f seconds",
                   persistence->snapshot == NULL ? "append only file" : "disk",
                   (double)(clock_monotonic_us() - loading->started_us) / 1e6);
    }
    server->loaded_keys = atomic_load(&loading->keys) + persistence->imported.keys;
    server->loaded_keys_expired = persistence->imported.expired_keys;
    return code;
}

/* Other nodes know this one by its id, so it outlives it as its data does. */
static void begin_id(struct server *server) {
    static const unsigned char none[OPLOG_NODE_ID_BYTES];
    const struct persistence *persistence = server->persistence;
    if (memcmp(persistence->node_id, none, sizeof(none)) != 0) {
        memcpy(server->replication.node_id, persistence->node_id, sizeof(none));
    }
}

/* The data is that of the recovered history at its end; where a history began that only a snapshot
 * names is of no use to know. */
static void begin_lineage(struct server *server) {
    struct persistence *persistence = server->persistence;
    struct lineage *lineage = &persistence->lineage;
    if (lineage->count == 0 && !history_is_none(&persistence->history)) {
        lineage_add(lineage, &persistence->history, 0);
    }
    replication_lineage_set(&server->replication, lineage);
}

/* What the log goes on from, after an import: clients wait until it is durable. SIGTERM ends it. */
static int save_base(struct saving *saving) {
    uint64_t number = saving_request(saving, SAVING_LOG_ON);
    const struct timespec pause = {.tv_nsec = BASE_LOOK_MS * 1000000};
    bool has_failed = false;
    while (!saving_is_done(saving, number, &has_failed)) {
        int signal_number = signals_wait(0);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            log_warning("Asked to end while what was imported is saved.");
            return SERVER_ENDED;
        }
        nanosleep(&pause, NULL);
    }
    return has_failed ? EX_IOERR : 0;
}

/* The log begins: on what was loaded, or on a snapshot of what was imported. */
static int begin_saving(struct server *server) {
    struct persistence *persistence = server->persistence;
    bool has_imported = persistence->has_imported;
    struct saving_plan plan = {
        .server = server,
        .history = persistence->history,
        .end = persistence->end,
        .base_end = snapshot_end(persistence),
        .raw_bytes = persistence->snapshot == NULL ? 0 : persistence->snapshot->end.raw_bytes,
    };
    begin_id(server);
    memcpy(plan.node_id, server->replication.node_id, sizeof(plan.node_id));
    begin_lineage(server);
    bool has_log = persistence->log_folder != NULL;
    int code = 0;
    if (goes_on(server) && history_is_none(&persistence->history)) {
        has_log = false; /* It begins where the primary says. */
    } else if (has_log && !has_imported) {
        code = open_log(server, &plan);
    } else if (goes_on(server)) {
        code = open_memory_log(server, &plan);
    }
    if (code != 0) {
        return code;
    }
    log_folder_close(persistence);
    struct beginning beginning = {
        .server = server,
        .log = plan.log,
        .memory = plan.log_is_memory ? plan.log_folder : NULL,
    };
    stop_visit(&server->node, attach_log, &beginning);
    replicator_set_log(server->replicator, &(struct replicator_log){
                                               .log = plan.log,
                                               .folder = plan.log_folder,
                                               .is_memory = plan.log_is_memory,
                                           });
    struct saving *saving = saving_new(&plan);
    atomic_store(&server->saving, saving);
    return has_log && has_imported ? save_base(saving) : 0;
}

int persistence_start(struct server *server) {
    struct persistence *persistence = server->persistence;
    int code = persistence->code != 0 ? persistence->code : end_loading(server);
    if (code == 0) {
        code = begin_saving(server);
    }
    if (code != 0) {
        return code;
    }
    if (goes_on(server) || server->options->cluster.enabled) {
        stop_visit(&server->node, begin_role, server);
    }
    stop_visit(&server->node, serve, server);
    if (persistence->snapshot != NULL) {
        snapshot_reader_close(persistence->snapshot);
        persistence->snapshot = NULL;
    }
    return 0;
}

/* ---- the end ---- */

bool persistence_save_last(struct server *server) {
    struct saving *saving = atomic_load(&server->saving);
    return saving == NULL || saving_wait(saving, saving_request(saving, SAVING_SNAPSHOT));
}

void persistence_end_saving(struct server *server) {
    struct persistence *persistence = server->persistence;
    if (persistence->import != NULL) {
        struct first_import *import = persistence->import;
        first_import_give_up(import);
        stop_visit(&server->node, end_import, server);
        first_import_end(import, &persistence->imported);
    }
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
    atomic_store(&persistence->is_given_up, true);
    join_check(persistence);
    struct saving *saving = atomic_exchange(&server->saving, NULL);
    server->node.log = NULL;
    replication_set_log(&server->replication, NULL);
    server->node.log_memory = NULL;
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
    log_folder_close(persistence);
    if (persistence->has_folder) {
        disk_close(&persistence->folder);
    }
    pthread_mutex_destroy(&persistence->mutex);
    pthread_cond_destroy(&persistence->changed);
    memory_free(persistence);
    server->persistence = NULL;
}
