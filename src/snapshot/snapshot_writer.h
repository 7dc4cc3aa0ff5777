/* Snapshot writer: makes a file of snapshot_file.h, chunk by chunk.
 *
 * Lifecycle: snapshot_writer_new(), then snapshot_writer_add() and snapshot_writer_slot() in any
 * order, then snapshot_writer_finish() or snapshot_writer_abandon(), each of which frees. One
 * thread at a time, which waits for the disk: not a worker.
 *
 * The file is written front to back in pieces of about SNAPSHOT_WRITE_BYTES under the temporary
 * name, and synced every SNAPSHOT_SYNC_BYTES so that no sync is long. It takes its final name once
 * it is whole and synced. After an error every call answers it again; only the first one is
 * reported.
 */
#ifndef TARN_SNAPSHOT_SNAPSHOT_WRITER_H
#define TARN_SNAPSHOT_SNAPSHOT_WRITER_H

#include "base/buffer.h"
#include "io/disk.h"
#include "snapshot/snapshot_file.h"

#define SNAPSHOT_WRITE_BYTES ((size_t)1024 * 1024)
#define SNAPSHOT_SYNC_BYTES ((uint64_t)32 * 1024 * 1024)
/* After chunks that lz4 could not make smaller, so many are stored without a try, at most. */
#define SNAPSHOT_UNTRIED_MAX 16

struct snapshot_writer;

struct snapshot_writer_plan {
    struct disk disk;
    const char *name; /* temporary; a file of this name is replaced */
    struct snapshot_header header;
    bool is_compressed;    /* lz4 where it helps */
    struct buffer *report; /* sentences about errors are appended; outlives the writer */
};

/* NULL: the file could not be made; *error is the negative errno. */
struct snapshot_writer *snapshot_writer_new(const struct snapshot_writer_plan *plan, int *error);

/* What snapshot_writer_add() writes. */
struct snapshot_content {
    enum snapshot_kind kind; /* not INDEX */
    uint16_t slot_first;     /* of an IMAGE; else 0 */
    uint16_t slot_last;
    struct span raw;
};

/* Writes a chunk. 0, or a negative errno. */
int snapshot_writer_add(struct snapshot_writer *writer, const struct snapshot_content *content);

/* Notes that the image of a slot is in the file, or will be when it is finished: the state at
 * `position` (header.begin or later), of so many keys. A slot of which nothing is noted is not in
 * the file. Once per slot. */
void snapshot_writer_slot(struct snapshot_writer *writer, uint16_t slot, uint64_t position,
                          uint64_t keys);

/* Bytes of the file so far. */
uint64_t snapshot_writer_bytes(const struct snapshot_writer *writer);

struct snapshot_finish {
    const char *name; /* final; a file of this name is replaced */
    uint64_t end;     /* no slot's position is later */
    int64_t end_ms;
};

/* Completes the file and gives it its name. 0: it is durable. Else a negative errno, and the
 * temporary name is gone; the final one is what it was, or, if only the folder could not be synced,
 * the new file. */
int snapshot_writer_finish(struct snapshot_writer *writer, const struct snapshot_finish *finish);

/* Removes the file. */
void snapshot_writer_abandon(struct snapshot_writer *writer);

#endif
