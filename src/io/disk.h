/* Disk: the files of one folder, behind an interface that a test replaces by a disk that fails,
 * tears and forgets. What writes durable data (the log, snapshots) sees files only through it.
 *
 * Lifecycle: disk_open(), then the functions of the struct, then disk_close() once every file is
 * closed. The folder may be renamed meanwhile. Functions answer 0 or a negative errno, sizes where
 * they say so. Any thread; one file is written by one thread at a time, and read() and sync() may
 * run beside that.
 */
#ifndef TARN_IO_DISK_H
#define TARN_IO_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct iovec;

#define DISK_NAME_BYTES_MAX 128 /* of a file's name, with its zero */
#define DISK_LOCK_NAME "lock"   /* the file that lock() claims */

struct disk_file;

typedef void (*disk_found)(void *context, const char *name);

struct disk {
    void *context;
    /* Opens a file of the folder for reading and writing, or makes a new one, whose name must not
     * be there. NULL: *error is a negative errno. */
    struct disk_file *(*open)(void *context, const char *name, bool create, int *error);
    void (*close)(struct disk_file *file);
    /* Writes all parts at the offset. A failure may have written a part of them. */
    int (*write)(struct disk_file *file, const struct iovec *parts, size_t count, uint64_t offset);
    /* Bytes read, fewer only at the end of the file, or a negative errno. */
    int64_t (*read)(struct disk_file *file, void *bytes, size_t length, uint64_t offset);
    /* Content and size survive the loss of power. */
    int (*sync)(struct disk_file *file);
    /* Sets aside room, which reads as zeros; the file's size becomes at least `size`. 0 without any
     * effect where the file system cannot do that. */
    int (*allocate)(struct disk_file *file, uint64_t size);
    int (*truncate)(struct disk_file *file, uint64_t size);
    int64_t (*size)(struct disk_file *file);
    int (*rename)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *name);
    /* Names created, renamed and removed survive the loss of power. */
    int (*sync_names)(void *context);
    /* Calls found for every file of the folder, in no order, except those that begin with a dot. */
    int (*list)(void *context, disk_found found, void *found_context);
    /* Claims the folder for this disk until it is closed or the process ends; again: 0. -EBUSY:
     * another process, or another disk of this one, has it. */
    int (*lock)(void *context);
};

/* The real one: the folder `path`, which is made if it is not there. 0 or a negative errno. */
int disk_open(struct disk *disk, const char *path);
void disk_close(struct disk *disk);

#endif
