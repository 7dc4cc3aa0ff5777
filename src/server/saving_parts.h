/* The parts of saving: what saving.c (jobs, rules, figures), saving_log.c (the log, on and off),
 * saving_disk.c (what all of it takes on disk), saving_follow.c (a replica's log) and
 * saving_snapshot.c (one snapshot) have in common. For these only.
 *
 * Functions run on the saving thread, unless they say otherwise.
 */
#ifndef TARN_SERVER_SAVING_PARTS_H
#define TARN_SERVER_SAVING_PARTS_H

#include "server/saving.h"
#include "worker/cutting.h"

/* Jobs that wait. More are not asked for: each kind waits once. */
#define SAVING_QUEUE_MAX 8
/* Jobs whose outcome is remembered. */
#define SAVING_OUTCOMES 64

enum saving_log_kind {
    SAVING_LOG_NONE,
    SAVING_LOG_KEPT,        /* appendonly: in SAVING_LOG */
    SAVING_LOG_OF_SNAPSHOT, /* of a snapshot, in SAVING_LOG_TEMPORARY */
    SAVING_LOG_MEMORY,      /* for replicas */
};

/* saving_disk.c: bytes on disk. Numbers with the mutex, or read by the saving thread where it alone
 * writes them. */
struct saving_disk {
    uint64_t max;            /* log-size-max in bytes, or SAVING_DISK_NO_MAX */
    uint64_t divergence_max; /* 0: none */
    uint64_t log_bytes;      /* of the log that is on, with the last cron */
    uint64_t old_bytes;      /* the saving thread's, as the next ones */
    uint64_t divergence_bytes;
    uint64_t file_system_bytes; /* what `dir` is on, as a whole */
    uint64_t fitted_max;        /* for which segments have their size */
    int64_t looked_ms;          /* when the saving thread was asked to look */
};

struct saving {
    struct server *server;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;

    /* With the mutex. */
    enum saving_job queue[SAVING_QUEUE_MAX];
    uint32_t queued;
    uint64_t begun; /* number of the job that runs, or that ran last */
    uint64_t ended;
    bool is_stopping;
    uint64_t failures; /* a bit for each of the last SAVING_OUTCOMES jobs, by number */
    bool has_failed;   /* the last snapshot */
    bool is_missing;   /* one asked for as such failed, and none of either kind was good since */
    enum saving_job running; /* SAVING_JOBS: none */
    int64_t started_ms;
    int64_t tried_ms;
    int64_t last_saved_s;
    struct saving_tally snapshots;
    struct saving_tally rewrites;
    uint64_t changes_base; /* the node's changes when the last good one began */
    uint64_t raw_bytes;    /* of the data in it, not compressed */
    uint64_t last_end;     /* the log up to here is in the last good one */
    uint64_t early_buckets;
    uint64_t writes_held;
    uint64_t keys_total;
    bool is_log_wanted; /* replicas read it */
    bool trim_is_due;
    struct saving_disk disk;
    struct saving_change *change; /* of the log, to be carried out; or NULL */
    atomic_bool gives_up;         /* the snapshot under way is to end where it is */

    /* The thread's. */
    struct oplog *log;
    struct disk *log_folder; /* the log's, while it is open */
    enum saving_log_kind log_kind;
    uint64_t kept_from; /* where the snapshot that a start finds goes on */
    uint64_t changes_at_begin;
    struct history history; /* where the log stands, or would go on from */
    uint64_t end;
    unsigned char node_id[OPLOG_NODE_ID_BYTES];
    struct cutting *cutting;
    struct history begin_history;   /* of the log when the image was begun */
    uint64_t begin;                 /* where the log stood when the image was begun */
    char name[DISK_NAME_BYTES_MAX]; /* of the file, as the options said then */
    char *dir;                      /* likewise */
    uint64_t new_end;               /* the moment of the snapshot */
    /* Where the next start looks for a snapshot: only one that stands there lets the log go. */
    char start_name[DISK_NAME_BYTES_MAX];
    char *start_dir;
    bool is_compressed;
    bool is_for_log;       /* the running one is to let segments go, so a start must find it */
    bool new_is_for_start; /* under the name that a start looks for: else it is a copy */
    uint64_t new_raw_bytes;
};

static inline const struct server_options *saving_options(const struct saving *saving) {
    return &saving->server->options->server;
}

/* Effects so far, over all workers. Under a stop. */
uint64_t saving_changes(const struct node *node);

/* ---- saving_log.c: false, and the report says why ---- */

/* A new log, OF_SNAPSHOT or MEMORY, takes the place of the one that is on, if one is: in one stop,
 * so that none misses a change of the other. The old one is closed; *closing, if it is not NULL, is
 * what that answers. */
bool saving_log_begin(struct saving *saving, enum saving_log_kind kind, int *closing,
                      struct buffer *report);
/* The log goes off; for replicas it goes on in memory. 0, or a negative errno: what was appended is
 * not all on disk. */
int saving_log_end(struct saving *saving);
/* The temporary log becomes the log. */
bool saving_log_keep(struct saving *saving, struct buffer *report);
/* Removes a temporary log that nobody has open. */
void saving_log_remove_unfinished(void);
/* Closes it when nobody appends any more. */
int saving_log_close(struct saving *saving);
/* Lets go of what nobody needs. */
void saving_log_trim(struct saving *saving);
/* What replicas ask for: a log, or none, and that it is trimmed. */
void saving_log_serve(struct saving *saving, bool is_wanted);

/* Bytes of a segment. */
uint64_t saving_log_segment_bytes(struct saving *saving, enum saving_log_kind kind);

/* Removes a folder of log files, if it is there. */
void saving_folder_remove(const char *path);

/* ---- saving_disk.c ---- */

/* Before the thread starts. */
void saving_disk_begin(struct saving *saving);
/* By worker 0, with the mutex: from which position of the log on writes are refused. */
void saving_disk_cron(struct saving *saving, int64_t now_ms);
/* With the mutex: whether a snapshot is wanted, for a log that has grown by so much since the last
 * one. */
bool saving_disk_asks(const struct saving *saving, uint64_t grown, int64_t now_ms);
/* As saving_segment_bytes(), by what the options said with the last cron. Any thread. */
uint64_t saving_disk_segment_bytes(struct saving *saving);
/* What is kept for others gives way. */
bool saving_disk_is_short(struct saving *saving);
/* Looks at what takes room, and removes what may go. */
void saving_disk_fit(struct saving *saving);

/* ---- saving_follow.c ---- */

/* As a replica's primary wants it; tells the replica. */
void saving_change_log(struct saving *saving, struct saving_change *change);

/* ---- saving_snapshot.c ---- */

/* Takes a snapshot into the folder; a log is open. 0, or a negative errno. */
int saving_write_snapshot(struct saving *saving, const struct disk *folder, struct buffer *report);

#endif
