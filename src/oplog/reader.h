/* Reads the log's frames in their order, from a position on, over segments: for recovery, for the
 * tail of a snapshot, and for tools. The log may be appended to meanwhile, by the same process.
 *
 * Lifecycle: oplog_reader_open(), oplog_reader_next() until it answers something else than a frame,
 * oplog_reader_close(). One owner, one thread at a time; blocks. Memory: as
 * much as is read at once, OPLOG_READ_BYTES_MIN at first and twice that after each full read up to
 * OPLOG_READ_BYTES, or what the largest frame takes.
 *
 * What does not read as a frame is one of three things:
 *
 *   the end     nothing but zeros behind it, in the last segment
 *   torn        a crash while it was written: no later frame says that this place had been synced,
 *               so the disk was free to keep any part of what was written since
 *   damaged     anything else; nothing behind it can be trusted to belong to what was before
 *
 * A segment's header may be torn too, if the segment is not the first of its history.
 */
#ifndef TARN_OPLOG_READER_H
#define TARN_OPLOG_READER_H

#include "base/buffer.h"
#include "io/disk.h"
#include "oplog/history.h"

#define OPLOG_READ_BYTES_MIN ((size_t)64 * 1024)
#define OPLOG_READ_BYTES ((size_t)1024 * 1024)
#define OPLOG_READ_ALL UINT64_MAX

struct oplog_reader;

struct oplog_frame {
    struct span content; /* valid until the next call */
    uint64_t position;
    uint64_t end;    /* position behind it */
    uint64_t synced; /* up to which the log was synced when the frame was made */
    int64_t time_ms;
};

enum oplog_read {
    OPLOG_READ_FRAME,
    OPLOG_READ_END,     /* `to`, or, without one, the end of the log */
    OPLOG_READ_TORN,    /* the report says where */
    OPLOG_READ_DAMAGED, /* the report says file, offset, expected and found */
    OPLOG_READ_FAILED,  /* the disk, or no memory for a frame; the report says what */
};

struct oplog_reader_plan {
    const struct disk *disk;
    uint64_t from;         /* where a frame begins */
    uint64_t to;           /* nothing from here on; OPLOG_READ_ALL, or what has been written: a log
                            * that ends before is damaged */
    struct buffer *report; /* sentences for the user are appended */
};

/* END with a reader; or DAMAGED (`from` stands before the first segment) or FAILED, and no reader.
 * A folder without segments: END at once. */
enum oplog_read oplog_reader_open(const struct oplog_reader_plan *plan,
                                  struct oplog_reader **reader);
void oplog_reader_close(struct oplog_reader *reader); /* NULL is allowed */

/* frame is set with FRAME only. After END with a `to`, oplog_reader_set_end() lets it go on. */
enum oplog_read oplog_reader_next(struct oplog_reader *reader, struct oplog_frame *frame);
void oplog_reader_set_end(struct oplog_reader *reader, uint64_t to);

/* Behind the last whole frame. */
uint64_t oplog_reader_position(const struct oplog_reader *reader);
/* Up to which the log was synced, as the frames up to there say; 0: none says so. */
uint64_t oplog_reader_synced(const struct oplog_reader *reader);
/* Bytes behind the position, when it is torn. */
uint64_t oplog_reader_torn_bytes(const struct oplog_reader *reader);
/* Of the last frame. */
const struct history *oplog_reader_history(const struct oplog_reader *reader);

#endif
