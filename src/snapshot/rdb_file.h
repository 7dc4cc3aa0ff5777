/* RDB file: what reader and writer of RDB files need of a disk.
 *
 * A file is written under a temporary name, and gets its own once all of it is safe: after a crash
 * there is the old file or the new one. Blocks; no thread of its own.
 */
#ifndef TARN_SNAPSHOT_RDB_FILE_H
#define TARN_SNAPSHOT_RDB_FILE_H

#include "io/disk.h"
#include "snapshot/rdb_reader.h"
#include "snapshot/rdb_writer.h"

/* Reads the file from its start to the end mark. Bytes behind that are damage, unless `length` is
 * given: then it is told the file's part that was read. Unless DONE, a sentence is appended to the
 * report. */
struct rdb_file_source {
    const struct disk *disk;
    const char *name;
    struct rdb_observer observer;
};
enum rdb_read_status rdb_file_read(const struct rdb_file_source *source, uint64_t *length,
                                   struct buffer *report);

/* A file in the making, and the target for the writer. */
struct rdb_file {
    struct disk disk;
    struct disk_file *file;
    uint64_t length;
    uint64_t synced; /* of length */
    char temporary[DISK_NAME_BYTES_MAX];
};

/* temporary: a name that replaces whatever has it. 0 or a negative errno. */
int rdb_file_open(struct rdb_file *file, const struct disk *disk, const char *temporary);
struct rdb_target rdb_file_target(struct rdb_file *file);
/* Makes the content safe and gives the file its name, in the place of what had it. 0, or a negative
 * errno: then the temporary file is gone. Closes it in any case. */
int rdb_file_finish(struct rdb_file *file, const char *name);
void rdb_file_abandon(struct rdb_file *file);

#endif
