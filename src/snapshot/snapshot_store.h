/* Storing: what a snapshot is made of, into its file: the chunks that a cut gives (store/cut.h),
 * and the log's tail behind them.
 *
 * Lifecycle and thread are the writer's. 0, or a negative errno: then the snapshot is to be
 * abandoned.
 */
#ifndef TARN_SNAPSHOT_SNAPSHOT_STORE_H
#define TARN_SNAPSHOT_SNAPSHOT_STORE_H

#include "snapshot/snapshot_writer.h"
#include "store/image.h"

/* Frames are put together into chunks of so many raw bytes, and the frame that passes them. */
#define SNAPSHOT_TAIL_CHUNK_BYTES ((size_t)512 * 1024)

/* room: kept from chunk to chunk, for those that have blocks; the owner frees it. */
int snapshot_write_chunk(struct snapshot_writer *writer, const struct image_chunk *chunk,
                         struct buffer *room);

struct snapshot_tail {
    const struct disk *log; /* the folder of its segments */
    uint64_t begin;         /* where the image was begun */
    uint64_t end;           /* of the snapshot: written by now */
    struct buffer *report;
};

/* The log's frames from begin to end. */
int snapshot_write_tail(struct snapshot_writer *writer, const struct snapshot_tail *tail);

#endif
