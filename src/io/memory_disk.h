/* Memory disk: the files of a folder that there is not: struct disk in memory, for a log that
 * nobody wants on a disk. What it holds ends with the process, so a sync has nothing to do.
 *
 * Lifecycle: memory_disk_open(), the functions of the struct, memory_disk_close() once every file
 * is closed. A file that is removed while it is open stays readable until it is closed. Any thread,
 * as struct disk says; a read sees what was written before it.
 *
 * Memory: what the files hold, in blocks of MEMORY_DISK_BLOCK_BYTES. Nothing here bounds it: who
 * writes removes in time. Room is not set aside: allocate() has no effect.
 */
#ifndef TARN_IO_MEMORY_DISK_H
#define TARN_IO_MEMORY_DISK_H

#include "io/disk.h"

#define MEMORY_DISK_BLOCK_BYTES ((size_t)64 * 1024)

void memory_disk_open(struct disk *disk);
void memory_disk_close(struct disk *disk);

/* Bytes that all files occupy. Any thread. */
size_t memory_disk_bytes(const struct disk *disk);

#endif
