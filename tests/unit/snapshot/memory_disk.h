/* A disk of a few files in memory, of which a test may change every byte, and let calls fail.
 * Needs no Check. One thread. */
#ifndef TARN_TESTS_UNIT_SNAPSHOT_MEMORY_DISK_H
#define TARN_TESTS_UNIT_SNAPSHOT_MEMORY_DISK_H

#include "base/buffer.h"
#include "base/memory.h"
#include "io/disk.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>

#define MEMORY_DISK_FILES_MAX 4

struct memory_file {
    char name[DISK_NAME_BYTES_MAX]; /* empty: there is none */
    struct buffer content;
    size_t synced;
};

struct memory_disk {
    struct disk disk;
    struct memory_file files[MEMORY_DISK_FILES_MAX];
    int calls;      /* that change something, so far */
    int fail_at;    /* the number of the one that fails, from 1 on; 0: none */
    int fail_error; /* positive errno */
    int syncs;
};

struct disk_file {
    struct memory_disk *disk;
    struct memory_file *file;
};

/* The error of a call that changes something, or 0. */
static inline int memory_disk_call(struct memory_disk *disk) {
    disk->calls++;
    return disk->calls == disk->fail_at ? -disk->fail_error : 0;
}

static inline struct memory_file *memory_disk_find(struct memory_disk *disk, const char *name) {
    for (size_t i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        if (strcmp(disk->files[i].name, name) == 0) {
            return &disk->files[i];
        }
    }
    return NULL;
}

static inline void memory_disk_name(struct memory_file *file, const char *name) {
    snprintf(file->name, sizeof(file->name), "%s", name);
}

static inline struct disk_file *memory_disk_open_file(void *context, const char *name, bool create,
                                                      int *error) {
    struct memory_disk *disk = context;
    struct memory_file *found = memory_disk_find(disk, name);
    *error = create ? memory_disk_call(disk) : 0;
    if (*error == 0 && create && found != NULL) {
        *error = -EEXIST;
    } else if (*error == 0 && !create && found == NULL) {
        *error = -ENOENT;
    }
    if (*error != 0) {
        return NULL;
    }
    if (found == NULL) {
        found = memory_disk_find(disk, "");
        ASSERT(found != NULL);
        memory_disk_name(found, name);
        found->synced = 0;
    }
    struct disk_file *file = memory_alloc(sizeof(*file));
    *file = (struct disk_file){.disk = disk, .file = found};
    return file;
}

static inline void memory_disk_close_file(struct disk_file *file) {
    memory_free(file);
}

static inline int memory_disk_write(struct disk_file *file, const struct iovec *parts, size_t count,
                                    uint64_t offset) {
    int error = memory_disk_call(file->disk);
    if (error != 0) {
        return error;
    }
    ASSERT(offset == file->file->content.length);
    for (size_t i = 0; i < count; i++) {
        buffer_append(&file->file->content, parts[i].iov_base, parts[i].iov_len);
    }
    return 0;
}

static inline int64_t memory_disk_read(struct disk_file *file, void *bytes, size_t length,
                                       uint64_t offset) {
    struct span content = buffer_span(&file->file->content);
    if (offset >= content.length) {
        return 0;
    }
    size_t left = content.length - (size_t)offset;
    length = length < left ? length : left;
    if (length != 0) {
        memcpy(bytes, content.bytes + offset, length);
    }
    return (int64_t)length;
}

static inline int memory_disk_sync(struct disk_file *file) {
    int error = memory_disk_call(file->disk);
    if (error == 0) {
        file->disk->syncs++;
        file->file->synced = file->file->content.length;
    }
    return error;
}

static inline int64_t memory_disk_size(struct disk_file *file) {
    return (int64_t)file->file->content.length;
}

static inline int memory_disk_remove(void *context, const char *name) {
    struct memory_file *file = memory_disk_find(context, name);
    if (file == NULL) {
        return -ENOENT;
    }
    buffer_free(&file->content);
    file->name[0] = '\0';
    return 0;
}

static inline int memory_disk_rename(void *context, const char *from, const char *to) {
    struct memory_file *file = memory_disk_find(context, from);
    int error = memory_disk_call(context);
    if (error != 0 || file == NULL) {
        return error != 0 ? error : -ENOENT;
    }
    memory_disk_remove(context, to);
    memory_disk_name(file, to);
    return 0;
}

static inline int memory_disk_sync_names(void *context) {
    return memory_disk_call(context);
}

static inline void memory_disk_init(struct memory_disk *disk) {
    *disk = (struct memory_disk){.disk = {.context = disk,
                                          .open = memory_disk_open_file,
                                          .close = memory_disk_close_file,
                                          .write = memory_disk_write,
                                          .read = memory_disk_read,
                                          .sync = memory_disk_sync,
                                          .size = memory_disk_size,
                                          .rename = memory_disk_rename,
                                          .remove = memory_disk_remove,
                                          .sync_names = memory_disk_sync_names}};
}

static inline void memory_disk_free(struct memory_disk *disk) {
    for (size_t i = 0; i < MEMORY_DISK_FILES_MAX; i++) {
        buffer_free(&disk->files[i].content);
    }
}

/* The content of a file that is there. */
static inline struct buffer *memory_disk_content(struct memory_disk *disk, const char *name) {
    struct memory_file *file = memory_disk_find(disk, name);
    ASSERT(file != NULL);
    return &file->content;
}

#endif
