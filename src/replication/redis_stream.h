/* Redis stream: the log as the commands that a redis-server reads from its primary, and where in
 * that run of bytes each place of the log stands.
 *
 *   log      | frame 300      | frame 450              |          | frame 520 ...   (positions)
 *   stream   | SET            | MULTI .. EXEC, DEL     | PING     | DEL ...         (offsets)
 *
 * 1. Between two frames the stream is in database 0 and in no transaction: the commands of a frame
 *    depend on that frame alone, so whoever knows an offset between two frames can go on there.
 * 2. What took effect together (a group of the frame) is one command, or a transaction.
 * 3. Nothing of the stream is kept: who needs a part of it makes it again from the log, which is
 *    its backlog. What does not come from the log (PING, GETACK) is remembered as marks, and so
 *    is an offset every REDIS_STREAM_MARK_BYTES, from which others are counted.
 *
 * The stream ends where the first of its readers has come to; they read it by cursors. It has an id
 * of its own, since offsets say nothing in another run.
 *
 * Lifecycle: redis_stream_new(), redis_stream_begin() at a position; then cursors over it, and
 * redis_stream_free() behind the last of them. One owner, one thread at a time.
 */
#ifndef TARN_REPLICATION_REDIS_STREAM_H
#define TARN_REPLICATION_REDIS_STREAM_H

#include "base/buffer.h"
#include "io/disk.h"

#include <stdint.h>

#define REDIS_ID_BYTES 40 /* hex digits */
#define REDIS_STREAM_MARK_BYTES ((uint64_t)64 * 1024)
/* Beyond it the oldest are forgotten, and what was before them. */
#define REDIS_STREAM_MARKS_MAX 4096

enum redis_extra {
    REDIS_EXTRA_NONE,
    REDIS_EXTRA_PING,   /* the primary lives */
    REDIS_EXTRA_GETACK, /* the replica is to say where it is */
};

/* The same place in both. */
struct redis_place {
    uint64_t position;
    uint64_t offset;
};

struct redis_stream;

/* begin: of the log; the offset there is the same number. */
struct redis_stream *redis_stream_new(uint64_t begin);
void redis_stream_free(struct redis_stream *stream);

const char *redis_stream_id(const struct redis_stream *stream); /* with a zero behind it */
struct redis_place redis_stream_end(const struct redis_stream *stream);
/* At the stream's end. */
void redis_stream_add(struct redis_stream *stream, enum redis_extra extra);

/* A frame's content as commands. False: it is damaged; a sentence is appended to the report. */
bool redis_stream_commands(struct span content, struct buffer *commands, struct buffer *report);

/* ---- reading ---- */

/* Where a reader is: between two frames. */
struct redis_cursor {
    struct redis_stream *stream;
    struct redis_place at;
    uint64_t mark; /* number of the first mark that is not behind it */
    struct oplog_reader *reader;
    struct buffer report; /* why it failed */
};

/* Of the last mark that is not behind this offset, or position. False: that is forgotten, or has
 * not been made yet. */
bool redis_cursor_at_offset(struct redis_cursor *cursor, struct redis_stream *stream,
                            uint64_t offset);
bool redis_cursor_at_position(struct redis_cursor *cursor, struct redis_stream *stream,
                              uint64_t position);
void redis_cursor_close(struct redis_cursor *cursor);

enum redis_read {
    REDIS_READ_DONE,   /* the next bytes were appended */
    REDIS_READ_END,    /* there is nothing yet */
    REDIS_READ_FAILED, /* the log's part is gone or damaged, or the mark forgotten: report */
};

/* Appends the commands of the next frame, or the next mark's; the log may be read up to `end`. */
enum redis_read redis_cursor_next(struct redis_cursor *cursor, const struct disk *log, uint64_t end,
                                  struct buffer *out);

#endif
