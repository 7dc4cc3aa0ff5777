/* What a start does with the log that it finds: reads it from a position on, cuts a torn tail, and
 * makes sure that what was read is durable, so that a new history can begin behind it.
 *
 *   struct oplog_recovery recovery;
 *   status = oplog_recover(&plan, &recovery);
 *   ... oplog_open() with parent = recovery.history, begin = recovery.end
 *   oplog_recovery_free(&recovery);
 *
 * Blocks. Takes the folder's lock. What changes is a torn tail, and a log that lies wholly before
 * `from`; what no frame says to be synced is written again in its place, for after a failed sync
 * the kernel may hold bytes that it takes for written although they are not.
 */
#ifndef TARN_OPLOG_RECOVERY_H
#define TARN_OPLOG_RECOVERY_H

#include "oplog/reader.h"
#include "oplog/segment.h"

enum oplog_status {
    OPLOG_DONE,
    OPLOG_TORN,    /* the tail is torn, and is_torn_refused */
    OPLOG_DAMAGED, /* or it does not belong to the snapshot */
    OPLOG_FAILED,  /* the disk, or no memory; perhaps better the next time */
    OPLOG_STOPPED, /* apply() answered false */
};

struct oplog_recovery_plan {
    const struct disk *disk;
    uint64_t from;                 /* the snapshot's end, or 0 */
    const struct history *history; /* the snapshot's; NULL or none: the log begins at 0 */
    bool is_torn_refused;
    /* False: the content cannot be read, and nothing further is. */
    bool (*apply)(void *context, const struct oplog_frame *frame);
    void *context;
};

struct oplog_recovery_history {
    struct history history;
    uint64_t begin; /* 0 also where it cannot be told */
};

struct oplog_recovery {
    bool is_found;          /* there is a log */
    bool is_torn;           /* and was cut */
    bool is_behind;         /* it ended before `from`, and was removed: all is in the snapshot */
    struct history history; /* what the next one's parent is: the log's last, or the plan's */
    unsigned char node_id[OPLOG_NODE_ID_BYTES]; /* whose log it is, if is_found and not is_behind */
    uint64_t first;
    uint64_t end;
    uint64_t frames;
    uint64_t bytes; /* of content */
    uint64_t bytes_cut;
    /* Oldest first, each one the next one's parent. */
    struct oplog_recovery_history *histories;
    size_t histories_count;
    struct buffer report; /* what is wrong, or was cut: sentences */
};

/* recovery is to be freed whatever the answer is. */
enum oplog_status oplog_recover(const struct oplog_recovery_plan *plan,
                                struct oplog_recovery *recovery);
void oplog_recovery_free(struct oplog_recovery *recovery);

/* Takes away all that stands from the position on, durably. The position is the end of a frame, and
 * nobody has the log open. 0 or a negative errno; after a failure again is allowed. */
int oplog_cut(const struct disk *disk, uint64_t position);

/* Removes all segments: when the log is switched off, or a snapshot replaces it. As oplog_cut(). */
int oplog_remove(const struct disk *disk);

#endif
