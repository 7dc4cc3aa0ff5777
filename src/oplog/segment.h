/* The bytes of the log's files: segments, and the frames in them.
 *
 * A position is a count of bytes over all frames, headers included, from the log's beginning on. A
 * segment is a file "<first position, 20 digits>-<epoch, 10 digits>.log": a header, then frames
 * back to back. It ends where the next one begins; behind its last frame stand zeros (room set
 * aside) or nothing.
 *
 * Segment header, OPLOG_SEGMENT_HEADER_BYTES; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       8     magic "TARNLOG\0"
 *   8       4     format version, OPLOG_FORMAT
 *   12      4     zero
 *   16      8     epoch of the history
 *   24      20    id of the history
 *   44      20    id of the node
 *   64      8     first position
 *   72      8     position at which the history began
 *   80      8     epoch of the parent history, 0: none
 *   88      20    id of the parent history
 *   108     12    zero
 *   120     8     checksum of bytes 0 to 119
 *
 * Frame: what one tick of a worker changed; all of it counts, or nothing
 *   OFFSET  SIZE  MEANING
 *   0       8     length of the content in bytes, > 0
 *   8       8     position of the frame
 *   16      8     time of the tick, ms since 1970
 *   24      8     position up to which the log was synced when the frame was made
 *   32      8     checksum of the content
 *   40      8     checksum of bytes 0 to 39, seeded with the segment's history
 *   48      ...   content: entries, see commands/effect_codec.h
 *
 * Checksums are XXH3, 64 bits. Segments that follow one another are of one history, or the later
 * one is the first of a history whose parent is the earlier one's.
 */
#ifndef TARN_OPLOG_SEGMENT_H
#define TARN_OPLOG_SEGMENT_H

#include "oplog/history.h"

#include <stddef.h>

#define OPLOG_FORMAT 1
#define OPLOG_NODE_ID_BYTES 20
#define OPLOG_SEGMENT_HEADER_BYTES 128
#define OPLOG_FRAME_HEADER_BYTES 48
#define SEGMENT_NAME_BYTES 48 /* with its zero */

struct segment_header {
    struct history history;
    struct history parent;
    uint64_t begin; /* of the history */
    uint64_t first; /* position of the first frame */
    unsigned char node_id[OPLOG_NODE_ID_BYTES];
};

struct frame_header {
    uint64_t length;
    uint64_t position;
    int64_t time_ms;
    uint64_t synced;
    uint64_t checksum; /* of the content */
};

/* What a file's name tells of its header. */
struct segment_name {
    uint64_t first;
    uint64_t epoch;
};

void segment_header_write(unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES],
                          const struct segment_header *header);
/* NULL, or what is wrong with it. */
const char *segment_header_read(const unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES],
                                struct segment_header *header);

void frame_header_write(unsigned char bytes[OPLOG_FRAME_HEADER_BYTES],
                        const struct frame_header *header, const struct history *history);
/* False: these bytes are no header of this history. */
bool frame_header_read(const unsigned char bytes[OPLOG_FRAME_HEADER_BYTES],
                       const struct history *history, struct frame_header *header);

void segment_name_write(char text[SEGMENT_NAME_BYTES], struct segment_name name);
/* False: not the name of a segment. */
bool segment_name_read(const char *text, struct segment_name *name);

/* Where in its segment's file a position stands. */
static inline uint64_t segment_offset(uint64_t first, uint64_t position) {
    return OPLOG_SEGMENT_HEADER_BYTES + (position - first);
}

#endif
