/* The segments that a folder holds, as their names and headers tell, in the log's order. A moment's
 * truth: the log may go on meanwhile.
 */
#ifndef TARN_OPLOG_SEGMENTS_H
#define TARN_OPLOG_SEGMENTS_H

#include "io/disk.h"
#include "oplog/segment.h"

struct segment_found {
    struct segment_name name;
    struct segment_header header; /* only if there is no problem */
    const char *problem;          /* NULL, or what is wrong with the header */
    uint64_t size;                /* of the file, room set aside included */
    int64_t time_ms;              /* of the first frame, 0: none can be read */
};

struct segments {
    struct segment_found *found;
    size_t count;
};

#define SEGMENTS_EMPTY ((struct segments){.found = NULL, .count = 0})

/* Reads names and headers; what the list held before is let go. 0 or a negative errno: then the
 * list is empty. Files that vanish meanwhile are left out. */
int segments_read(struct segments *segments, const struct disk *disk);
void segments_free(struct segments *segments);

/* Whether the later one may follow the earlier one. NULL, or what is wrong. Both have no
 * problem. */
const char *segment_follows(const struct segment_found *earlier, const struct segment_found *later);

#endif
