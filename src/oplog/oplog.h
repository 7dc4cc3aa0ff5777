/* The operation log: what all workers changed, in one total order, in segment files (segment.h). It
 * is the append-only file; replication reads it too. This is the side that appends; recovery.h and
 * reader.h are the side that reads.
 *
 * Lifecycle: oplog_recover(), then oplog_open() with a new history that forks from the recovered
 * one, or, on a node that follows another's log, in the recovered one; appends from any thread,
 * oplog_close().
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
 * 6. A history ends where the next one begins, on disk too: before the first segment of a history
 *    is made, all of the one before is synced; before a frame is written to it, it is durable
 *    itself.
 *
 * A log follows another node's when its frames are that log's at the same positions, in the same
 * histories: opened with is_continued, fed by oplog_append_frame(), and led from one history to the
 * next by oplog_turn(). Contents are the same to the byte; of a frame's header only `synced` is
 * this node's own.
 *
 * Segments follow one another without a gap. The next one's file is made ahead of time, with room
 * set aside, so that the change costs a header and a rename.
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
/* Empty frames kept for the next appends: what one sync covers, and what comes while it lasts. */
#define OPLOG_SPARE_BYTES_MAX (2 * OPLOG_SYNC_BYTES)

enum oplog_sync { OPLOG_SYNC_NO, OPLOG_SYNC_EVERYSEC, OPLOG_SYNC_ALWAYS };

struct oplog;

struct oplog_plan {
    const struct disk *disk; /* outlives the log */
    struct history history;  /* new: history_fork() of the parent; or the one to go on in */
    struct history parent;   /* recovered, of a snapshot, or none */
    uint64_t begin;          /* where the log goes on: where the parent ended */
    /* The log goes on in a history that is there already, and that began at history_begin. The
     * folder's log ends at `begin` in it, or there is none: then it begins there. */
    bool is_continued;
    uint64_t history_begin;
    unsigned char node_id[OPLOG_NODE_ID_BYTES];
    enum oplog_sync sync;
    uint64_t segment_bytes; /* 0: OPLOG_SEGMENT_BYTES */
    /* The safe or the synced position advanced, or an error came or went. Called by the log's
     * threads, and from within oplog_append(); must not wait, nor call the log except to ask. */
    void (*progress)(void *context);
    void *context;
    bool is_stepwise; /* no threads: a test calls oplog_step_write() and oplog_step_sync() */
};

/* Begins a segment, durable before this returns. NULL: *error is a negative errno (-EBUSY: the
 * folder belongs to another process; -EEXIST: it holds a log that this one does not go on from).
 * Blocks. */
struct oplog *oplog_open(const struct oplog_plan *plan, int *error);
/* Writes and syncs all that was appended, trying each once, and frees the log. 0, or the negative
 * errno because of which something was lost. Nobody may use the log any more. Blocks. */
int oplog_close(struct oplog *oplog);

/* Appends the batch, which is not empty, as one frame; takes its content, and leaves it empty with
 * room. Answers the position behind it. Any thread. */
uint64_t oplog_append(struct oplog *oplog, struct oplog_batch *batch, int64_t time_ms);

/* What a peer may get wrong is told, and nothing has happened. */
enum oplog_received {
    OPLOG_RECEIVED,
    OPLOG_NOT_AT_END,  /* the position is not the log's end: something was left out, or repeated */
    OPLOG_NOT_CONTENT, /* empty, too long for positions, or not what the checksum is of */
    OPLOG_NOT_A_CHILD, /* of the log's history: another parent, no later epoch, or the last one */
};

/* A frame of another node's log. */
struct oplog_received_frame {
    uint64_t position;
    int64_t time_ms;
    uint64_t checksum; /* checksum_bytes() of the content; has_checksum: to be compared */
    bool has_checksum;
};

/* As oplog_append(), at that position, which must be the end: the batch is taken if it is RECEIVED,
 * and left as it is otherwise. */
enum oplog_received oplog_append_frame(struct oplog *oplog,
                                       const struct oplog_received_frame *received,
                                       struct oplog_batch *batch);

/* From here on the history holds: origin->begin is the log's end, and its parent the log's history.
 * Takes effect at once for what is appended, and on disk in order, as an append does: what comes
 * behind it is not written before all before it is synced. Any thread, waits for nothing. */
enum oplog_received oplog_turn(struct oplog *oplog, const struct history_origin *origin);
/* A turn to a random history, wherever the end is: the promotion of this node. Answers it. */
struct history_origin oplog_fork(struct oplog *oplog);
/* The history in which the next frame is appended. Any thread. */
struct history_origin oplog_origin(struct oplog *oplog);

/* Positions: any thread, cheap. */
uint64_t oplog_end_position(const struct oplog *oplog);  /* behind the last append */
uint64_t oplog_safe_position(const struct oplog *oplog); /* up to which replies may leave */
uint64_t oplog_written_position(const struct oplog *oplog);
uint64_t oplog_synced_position(const struct oplog *oplog);

/* 0, or the errno because of which writes are refused now. Any thread, cheap. */
int oplog_error(const struct oplog *oplog);
/* Whoever wants to append must wait; progress() tells when it is over. Any thread, cheap. */
bool oplog_is_full(const struct oplog *oplog);

/* Replies wait for syncs. Any thread, cheap. */
bool oplog_syncs_always(const struct oplog *oplog);
void oplog_set_sync(struct oplog *oplog, enum oplog_sync sync);

/* Waits until all that has been appended is synced, turns included. 0, or a negative errno, as soon
 * as an error is there. Not on workers. */
int oplog_sync_wait(struct oplog *oplog);

/* Bytes that the files take on disk, room set aside included. Any thread, cheap. */
uint64_t oplog_disk_bytes(struct oplog *oplog);
/* The size from which on the log goes on in a new segment; room set aside beyond it is let go soon.
 * False: it is as it was. Any thread, waits for nothing. */
bool oplog_set_segment_bytes(struct oplog *oplog, uint64_t bytes);
/* If the current segment is full, the next one begins without waiting for what it will hold: so
 * oplog_trim() may let the full one go soon. Any thread, waits for nothing. */
void oplog_renew(struct oplog *oplog);

/* Removes the segments that end at or before the position, never the current one, one whose
 * successor is not durable yet, nor one that begins at the position. Answers how many went; what
 * cannot be removed stays for the next time. One thread at a time, no worker. */
int oplog_trim(struct oplog *oplog, uint64_t position);

struct oplog_segment {
    uint64_t first;  /* position */
    int64_t time_ms; /* of its first frame; 0: it has none yet */
};

/* The segments, oldest first, for retention_position(); memory_free() lets them go. */
struct oplog_segment *oplog_segments(struct oplog *oplog, size_t *count);

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
    uint64_t turns_pending; /* not on disk yet */
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
