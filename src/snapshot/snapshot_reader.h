/* Snapshot reader: opens a file of snapshot_file.h and gives its chunks.
 *
 * Opening reads and checks the header, the end and the index: afterwards it is certain which chunks
 * and slots there are and that the file has no byte beside them; a chunk's content is checked when
 * it is read. A file is hostile until then: no length is believed before it fits the file.
 *
 * An open reader does not change: any threads may read chunks of it at the same time, if the disk
 * lets them.
 */
#ifndef TARN_SNAPSHOT_SNAPSHOT_READER_H
#define TARN_SNAPSHOT_SNAPSHOT_READER_H

#include "base/buffer.h"
#include "io/disk.h"
#include "snapshot/snapshot_file.h"

enum snapshot_read_status {
    SNAPSHOT_READ_DONE,
    SNAPSHOT_READ_INCOMPLETE, /* the file has no end: writing it was broken off */
    SNAPSHOT_READ_DAMAGED,    /* it holds what no writer makes */
    SNAPSHOT_READ_FAILED,     /* the disk or the memory did not give what is needed */
};

struct snapshot_reader {
    struct disk disk;
    struct disk_file *file;
    struct snapshot_header header;
    struct snapshot_end end;
    struct snapshot_chunk *chunks; /* in the file's order; without the index */
    uint32_t chunks_count;
    struct snapshot_slot *slots; /* in their order */
    uint32_t slots_count;
    char name[DISK_NAME_BYTES_MAX];
};

/* Unless DONE, *reader is NULL and a sentence with file, offset, expected and found is appended to
 * the report. */
enum snapshot_read_status snapshot_reader_open(const struct disk *disk, const char *name,
                                               struct snapshot_reader **reader,
                                               struct buffer *report);
void snapshot_reader_close(struct snapshot_reader *reader);

/* The slot's row, or NULL when the file does not have it. */
const struct snapshot_slot *snapshot_reader_slot(const struct snapshot_reader *reader,
                                                 uint16_t slot);

/* Makes content the raw content of a chunk; its room is kept for the next one. Unless DONE, the
 * content is empty and a sentence is appended to the report. */
enum snapshot_read_status snapshot_reader_chunk(const struct snapshot_reader *reader,
                                                uint32_t index, struct buffer *content,
                                                struct buffer *report);

#endif
