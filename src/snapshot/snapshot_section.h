/* Sections: the content of a snapshot's TAIL and NODE chunks (snapshot_file.h), item by item.
 *
 * TAIL: frames of the log, in their order; a frame does not go over the end of a chunk
 *   OFFSET  SIZE  MEANING
 *   0       8     position of the frame
 *   8       8     time of the tick, ms since the epoch
 *   16      8     length of the content in bytes
 *   24      ...   content: entries of commands/effect_codec.h
 *
 * NODE: pairs
 *   OFFSET  SIZE  MEANING
 *   0       4     length of the name in bytes
 *   4       8     length of the value in bytes
 *   12      ...   name, value
 *
 * Numbers are little endian. No state, any thread; spans that are read point into the content.
 */
#ifndef TARN_SNAPSHOT_SNAPSHOT_SECTION_H
#define TARN_SNAPSHOT_SNAPSHOT_SECTION_H

#include "base/buffer.h"

#define SNAPSHOT_FRAME_HEAD_BYTES 24

struct snapshot_frame {
    uint64_t position;
    int64_t time_ms;
    struct span content;
};

struct snapshot_pair {
    struct span name; /* up to UINT32_MAX bytes */
    struct span value;
};

enum snapshot_section_status {
    SNAPSHOT_SECTION_DONE,
    SNAPSHOT_SECTION_END,     /* nothing is left */
    SNAPSHOT_SECTION_DAMAGED, /* the lengths do not fit the content; it is unchanged */
};

void snapshot_frame_write(struct buffer *out, const struct snapshot_frame *frame);
/* Takes the first frame off content. */
enum snapshot_section_status snapshot_frame_read(struct span *content,
                                                 struct snapshot_frame *frame);

void snapshot_pair_write(struct buffer *out, const struct snapshot_pair *pair);
enum snapshot_section_status snapshot_pair_read(struct span *content, struct snapshot_pair *pair);

#endif
