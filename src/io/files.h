/* Small files, read and replaced whole. Blocks; for startup and rare commands, not for workers'
 * ticks. Any thread.
 */
#ifndef TARN_IO_FILES_H
#define TARN_IO_FILES_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum file_status {
    FILE_DONE,
    FILE_TOO_LARGE,
    FILE_FAILED, /* errno says why */
};

/* Appends the whole content, if it is at most length_max bytes; else the buffer is as it was. */
enum file_status file_read_whole(const char *path, size_t length_max, struct buffer *content);
/* The same from an open fd, to its end (a pipe too). */
enum file_status file_read_descriptor(int fd, size_t length_max, struct buffer *content);

/* Replaces the file, or creates it, such that after a crash it holds either all of the old or all
 * of the new content: temporary file beside it, sync, rename, sync of the directory. A link is
 * followed and what it leads to replaced. mode is exact, whatever the umask. 0, or an errno: then
 * the old file is whole, except that after EIO from the last step it may be the new one. */
int file_replace(const char *path, struct span content, mode_t mode);

/* Makes the names in a directory durable: after creating, renaming or removing. 0 or an errno. */
int file_sync_directory(const char *path);

/* True if anybody has the file open through struct disk, in whatever container. */
bool file_is_in_use(const char *path);

/* Bytes that the files of a folder take, without those of folders in it. 0: there is none. */
uint64_t folder_size(const char *path);
/* Bytes of the file system that the path is on, as a whole. 0: not known. */
uint64_t file_system_size(const char *path);

#endif
