/* Saving: the thread that takes snapshots, and switches the log on and off. One job at a time, in
 * the order asked for.
 *
 *   begin (under a stop) -> workers cut, this thread writes the chunks -> the log's tail -> end,
 *   sync, rename -> the log's old segments go
 *
 * A snapshot needs a log while it is taken: when there is none, one of its own in
 * SAVING_LOG_TEMPORARY, which is removed behind it. Switching appendonly on is the same with the
 * log kept: it becomes SAVING_LOG once the snapshot that it goes on from is durable.
 *
 * Replicas need a log, too: without appendonly one in memory, for as long as they want it. The
 * replicator is told of each log before it is closed and once it is open.
 *
 * Thread: the functions may be called by any, but for saving_new() and saving_free(), the main
 * thread's.
 */
#ifndef TARN_SERVER_SAVING_H
#define TARN_SERVER_SAVING_H

#include "oplog/oplog.h"
#include "server/server.h"

#define SAVING_LOG "log"
#define SAVING_LOG_TEMPORARY "log.temporary"
#define SAVING_LOG_OLD "log.old"
#define SAVING_FILE_SUFFIX ".snapshot"
/* After a snapshot that failed, save rules wait so long before the next. */
#define SAVING_RETRY_MS 5000

#define SAVING_DISK_NO_MAX UINT64_MAX

enum saving_job {
    SAVING_SNAPSHOT,
    SAVING_REWRITE, /* the same, for the log's sake: BGREWRITEAOF, growth */
    SAVING_LOG_ON,  /* appendonly yes: a new history, on top of a snapshot */
    SAVING_LOG_OFF, /* appendonly no */
    SAVING_JOBS,
};

struct saving;

/* Where the node's history stands before the log is opened: what was recovered. */
struct saving_plan {
    struct server *server;
    struct oplog *log;       /* open, or NULL: appendonly is off */
    struct disk *log_folder; /* its folder, or NULL; owned from here on */
    bool log_is_memory;      /* it is on no disk: a replica's without appendonly */
    struct history history;  /* the log's, or the recovered one, which a log would go on from */
    uint64_t end;            /* position where it stands */
    uint64_t base_end;       /* the log up to here is in it */
    uint64_t raw_bytes;      /* of the data in it, not compressed */
    unsigned char node_id[OPLOG_NODE_ID_BYTES];
};

struct saving *saving_new(const struct saving_plan *plan);
/* Breaks off the snapshot under way, drops what waits, and ends the thread: while the workers still
 * run. Nothing may be asked for afterwards. */
void saving_end(struct saving *saving);
/* After saving_end(): closes the log. 0, or a negative errno: what was
 * appended is not all on disk. The workers have ended. */
int saving_free(struct saving *saving);

/* Asks for a job, behind those that were asked for before. Answers its number. */
uint64_t saving_request(struct saving *saving, enum saving_job job);
bool saving_is_done(struct saving *saving, uint64_t number, bool *has_failed);
/* A job runs, or waits. */
bool saving_is_running(struct saving *saving);
/* The job that runs, or is about to; SAVING_JOBS: there is none. */
enum saving_job saving_running_job(struct saving *saving);
/* Wall clock seconds: of the last good snapshot, or the start. */
int64_t saving_last_saved_s(struct saving *saving); /* NULL: 0 */
/* Where the next start finds what the log goes on from, and the log. */
struct saving_start {
    const struct disk *log; /* NULL: none is on */
    const char *dir;
    const char *name; /* the snapshot's, which may not be there */
};
/* Under a stop, while no job runs; good for as long. */
void saving_start_read(struct saving *saving, struct saving_start *start);
/* Waits for its end; true if it went well. Not on workers. */
bool saving_wait(struct saving *saving, uint64_t number);
/* Replicas want a log, or do not any more. Any thread, does not wait. */
void saving_want_log(struct saving *saving, bool is_wanted);
/* The log may be trimmed further. Any thread, does not wait. */
void saving_want_trim(struct saving *saving);
/* The snapshot under way is of no use any more: it fails. Any thread, does not wait. */
void saving_give_up(struct saving *saving);
/* A replica's log is changed, before any job that waits; then replica_log_changed(). Any thread,
 * does not wait. */
void saving_request_change(struct saving *saving, struct saving_change *change);
/* Begins what save rules, the log's growth and its maximum ask for. By worker 0, each
 * HOUSEKEEPING_PERIOD_MS. */
void saving_cron(struct saving *saving);

/* What a segment of the log holds, by log-segment-size and log-size-max. */
uint64_t saving_segment_bytes(const struct server_options *options);
/* appendfsync, as the log knows it. */
enum oplog_sync saving_sync(const struct server_options *options);

/* Of the snapshots that were asked for as such, or of those for the log's sake: for it to go on
 * from, or to let its old segments go. */
struct saving_tally {
    bool is_running;
    bool is_scheduled;
    bool has_failed;            /* the last one */
    int64_t last_duration_s;    /* -1: there was none */
    int64_t current_duration_s; /* -1: none is running */
    uint64_t count;             /* good ones so far */
    uint64_t failures_in_a_row;
};

struct saving_status {
    struct saving_tally snapshots;
    struct saving_tally rewrites;
    bool has_failed;      /* the last one of either kind */
    int64_t last_saved_s; /* wall clock: of the last good one, or the start */
    uint64_t changes;     /* since the last good one began */
    uint64_t keys_done;   /* of the running one */
    uint64_t keys_total;
    uint64_t early_buckets;     /* of the running or last one: serialised before their turn */
    uint64_t writes_held;       /* likewise: held back for room */
    uint64_t growth_base_bytes; /* what the log's growth is compared with: the data's, raw */
    uint64_t grown_bytes;       /* of the log, since the last good one */
    uint64_t disk_log_bytes;    /* with room set aside */
    uint64_t disk_old_bytes;
    uint64_t disk_divergence_bytes;
    uint64_t disk_max; /* or SAVING_DISK_NO_MAX */
    bool has_log;
    struct oplog_figures log; /* if has_log */
};
/* While all workers stand still. */
void saving_status_read(struct saving *saving, struct saving_status *status);

/* A log that is not gone on with is kept under another name, in place of an older such one. False:
 * a sentence is appended to the report. While nobody has it open. */
bool saving_log_put_away(struct buffer *report);
/* Removes the temporary files and logs of servers that are gone: which nobody has open. */
void saving_remove_unfinished(const struct disk *folder);
/* What a temporary file of this server is called, which no other server's is, not even that of the
 * same process id in another container. name[DISK_NAME_BYTES_MAX]. */
enum saving_temporary {
    SAVING_TEMPORARY_SNAPSHOT,
    SAVING_TEMPORARY_RELOAD, /* of DEBUG RELOAD */
    SAVING_TEMPORARY_RELOAD_PART,
    SAVING_TEMPORARY_REPLICAS, /* an RDB file for replicas */
    SAVING_TEMPORARY_PRIMARY,  /* of a primary */
    SAVING_TEMPORARIES,
};
void saving_temporary_name(const struct server *server, enum saving_temporary kind, char *name);
/* What a snapshot's file is called: dbfilename's ".rdb" is replaced. name[DISK_NAME_BYTES_MAX]. */
void saving_file_name(const char *dbfilename, char *name);

#endif
