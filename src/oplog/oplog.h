/* The operation log: what all workers changed, in one total order, in segment files (segment.h). It
 * is the append-only file; replication reads it too. This is the side that appends; recovery.h and
 * reader.h are the side that reads.
 *
 * Lifecycle: oplog_recover(), then oplog_open() with a new history that forks from the recovered
 * one, appends from any thread, oplog_close().
 *
 * 1. oplog_append() gives the frame its position. The caller's thread writes it while the file is
 *    idle (nobody writes or syncs, nothing waits, the segment has room); otherwise the writer
 *    thread does. So no append waits for a sync, nor for another's write.
 * 2. A frame is kept in memory until it is synced. The syncer thread syncs what has been written:
 *    at once (always), each OPLOG_SYNC_PERIOD_MS or OPLOG_SYNC_BYTES (everysec), each
 *    OPLOG_SYNC_BYTES (no). Syncs are grouped: each covers all that was written before it began.
 * 3. A reply may leave when oplog_safe_position() has reached its append: `written` with everysec
 *    and no, `synced` with always.
 * 4. A write that fails is tried again every OPLOG_RETRY_MS; frames wait in memory, in order. A
 *    segment whose sync failed is never synced again: the kernel may have dropped what it could not
 *    write. All that was not synced is written to a new segment, which takes the place of the old
 *    ones from there on. Meanwhile oplog_error() is not 0 and writes are to be refused.
 * 5. Memory is bounded: while oplog_is_full() nobody is to append, but for what is under way.
 *
 * Segments follow one another without a gap. The next one's file is made ahead of time, so that the
 * change costs a header and a rename.
 */
#ifndef TARN_OPLOG_OPLOG_H
#define TARN_OPLOG_OPLOG_H

#include "io/disk.h"
#include "oplog/batch.h"
#include "oplog/history.h"
#include "oplog/segment.h"

#define OPLOG_SEGMENT_BYTES ((uint64_t)64 * 1024 * 1024)
#define OPLOG_RETRY_MS 200
#define OPLOG_SYNC_PERIOD_MS 1000
#define OPLOG_SYNC_BYTES ((uint64_t)4 * 1024 * 1024)
/* Frames in memory: written ones that no sync has covered; beyond it nothing more is written. */
#define OPLOG_UNSYNCED_BYTES_MAX ((uint64_t)64 * 1024 * 1024)
/* Frames in memory that are not written yet; from it on the log is full. */
#define OPLOG_PENDING_BYTES_MAX ((uint64_t)64 * 1024 * 1024)
/* Empty frames kept for the next appends. */
#define OPLOG_SPARE_BYTES_MAX OPLOG_SYNC_BYTES

enum oplog_sync { OPLOG_SYNC_NO, OPLOG_SYNC_EVERYSEC, OPLOG_SYNC_ALWAYS };

struct oplog;

struct oplog_plan {
    const struct disk *disk; /* outlives the log */
    struct history history;  /* new: history_fork() of the parent */
    struct history parent;   /* recovered, of a snapshot, or none */
    uint64_t begin;          /* where the parent ended */
    unsigned char node_id[OPLOG_NODE_ID_BYTES];
    enum oplog_sync sync;
    uint64_t segment_bytes; /* 0: OPLOG_SEGMENT_BYTES */
    /* The safe or the synced position advanced, or an error came or went. Called by the log's
     * threads, and from within oplog_append(); must not wait, nor call the log except to ask. */
    void (*progress)(void *context);
    void *context;
    bool is_stepwise; /* no threads: a test calls oplog_step_write() and oplog_step_sync() */
};

/* Begins the history: a first segment, durable before this returns. NULL: *error is a negative
 * errno (-EBUSY: the folder belongs to another process). Blocks. */
struct oplog *oplog_open(const struct oplog_plan *plan, int *error);
/* Writes and syncs all that was appended, trying each once, and frees the log. 0, or the negative
 * errno because of which something was lost. Nobody may use the log any more. Blocks. */
int oplog_close(struct oplog *oplog);

/* Appends the batch, which is not empty, as one frame; takes its content, and leaves it empty with
 * room. Answers the position behind it. Any thread. */
uint64_t oplog_append(struct oplog *oplog, struct oplog_batch *batch, int64_t time_ms);

/* Positions: any thread, cheap. */
uint64_t oplog_end_position(const struct oplog *oplog);  /* behind the last append */
uint64_t oplog_safe_position(const struct oplog *oplog); /* up to which replies may leave */
uint64_t oplog_written_position(const struct oplog *oplog);
uint64_t oplog_synced_position(const struct oplog *oplog);

/* 0, or the errno because of which writes are refused now. Any thread, cheap. */
int oplog_error(const struct oplog *oplog);
/* Whoever wants to append must wait; progress() tells when it is over. Any thread, cheap. */
bool oplog_is_full(const struct oplog *oplog);

/* The history is the plan's for as long as the log is open. */
const struct history *oplog_history(const struct oplog *oplog);

void oplog_set_sync(struct oplog *oplog, enum oplog_sync sync);

/* Waits until all that has been appended is synced. 0, or a negative errno, as soon as an error is
 * there. Not on workers. */
int oplog_sync_wait(struct oplog *oplog);

/* Removes the segments that end at or before the position, never the current one, nor one whose
 * successor is not durable yet. Answers how many went; what cannot be removed stays for the next
 * time. One thread at a time, no worker. */
int oplog_trim(struct oplog *oplog, uint64_t position);

struct oplog_figures {
    uint64_t start; /* the first position that is still there */
    uint64_t end;
    uint64_t written;
    uint64_t synced;
    uint64_t pending_bytes;  /* in memory, not written */
    uint64_t unsynced_bytes; /* in memory, written, not synced */
    uint64_t spare_bytes;    /* in memory, for the next appends */
    uint64_t size_bytes;     /* of all segments, without room set aside */
    uint64_t segments;
    uint64_t appends;
    uint64_t appends_handed_over; /* those that the writer thread wrote */
    uint64_t syncs;
    uint64_t syncs_delayed; /* those that took longer than OPLOG_SYNC_PERIOD_MS */
    uint64_t failures;      /* of writes and syncs */
    int64_t last_sync_ms;   /* wall clock, 0: none yet */
    int last_error;         /* errno of the last failure, 0: none yet */
};
void oplog_figures_read(struct oplog *oplog, struct oplog_figures *figures);

/* One step of a stepwise log's writer and syncer: what their threads would do next, whatever the
 * time. False: there was nothing to do. */
bool oplog_step_write(struct oplog *oplog);
bool oplog_step_sync(struct oplog *oplog);

#endif
