#define _GNU_SOURCE 1

#include "io/disk.h"

#include "base/assertion.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS_AT_ONCE 64

struct disk_file {
    int fd;
};

struct folder {
    int fd;
    pthread_mutex_t lock_mutex;
    int lock_fd; /* -1: not claimed */
};

static struct disk_file *file_open(void *context, const char *name, bool create, int *error) {
    const struct folder *folder = context;
    int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_EXCL : 0);
    int fd = openat(folder->fd, name, flags, 0644);
    /* Who only reads a file needs no right to write to it. */
    if (fd < 0 && !create && (errno == EACCES || errno == EROFS)) {
        fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        *error = -errno;
        return NULL;
    }
    flock(fd,
          LOCK_SH | LOCK_NB); /* For file_is_in_use(); where there are no locks, none is needed. */
    struct disk_file *file = memory_alloc(sizeof(*file));
    file->fd = fd;
    return file;
}

static void file_close(struct disk_file *file) {
    close(file->fd);
    memory_free(file);
}

/* Drops the first `written` bytes of the parts. */
static void parts_advance(struct iovec **parts, size_t *count, size_t written) {
    while (*count > 0 && written >= (*parts)->iov_len) {
        written -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (*count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + written;
        (*parts)->iov_len -= written;
    }
}

static int write_some(int fd, const struct iovec *parts, size_t count, uint64_t offset) {
    struct iovec left_parts[PARTS_AT_ONCE];
    ASSERT(count <= PARTS_AT_ONCE);
    memcpy(left_parts, parts, count * sizeof(*parts));
    struct iovec *left = left_parts;
    parts_advance(&left, &count, 0);
    while (count > 0) {
        ssize_t written = pwritev(fd, left, (int)count, (off_t)offset);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        if (written == 0) {
            return -EIO;
        }
        offset += (uint64_t)written;
        parts_advance(&left, &count, (size_t)written);
    }
    return 0;
}

static int file_write(struct disk_file *file, const struct iovec *parts, size_t count,
                      uint64_t offset) {
    for (size_t i = 0; i < count; i += PARTS_AT_ONCE) {
        size_t now = count - i < PARTS_AT_ONCE ? count - i : PARTS_AT_ONCE;
        int status = write_some(file->fd, parts + i, now, offset);
        if (status != 0) {
            return status;
        }
        for (size_t j = 0; j < now; j++) {
            offset += parts[i + j].iov_len;
        }
    }
    return 0;
}

static int64_t file_read(struct disk_file *file, void *bytes, size_t length, uint64_t offset) {
    size_t got = 0;
    while (got < length) {
        ssize_t now = pread(file->fd, (char *)bytes + got, length - got, (off_t)(offset + got));
        if (now < 0 && errno == EINTR) {
            continue;
        }
        if (now < 0) {
            return -errno;
        }
        if (now == 0) {
            break;
        }
        got += (size_t)now;
    }
    return (int64_t)got;
}

static int status_of(int result) {
    return result == 0 ? 0 : -errno;
}

static int file_sync(struct disk_file *file) {
    return status_of(fdatasync(file->fd));
}

static int file_allocate(struct disk_file *file, uint64_t size) {
    /* Not posix_fallocate(): where the file system cannot, that one writes zeros. */
    int result;
    do {
        result = fallocate(file->fd, 0, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result != 0 && errno != EOPNOTSUPP ? -errno : 0;
}

static int file_truncate(struct disk_file *file, uint64_t size) {
    return status_of(ftruncate(file->fd, (off_t)size));
}

static int64_t file_size(struct disk_file *file) {
    struct stat status;
    return fstat(file->fd, &status) == 0 ? (int64_t)status.st_size : -errno;
}

static int folder_rename(void *context, const char *from, const char *to) {
    const struct folder *folder = context;
    return status_of(renameat(folder->fd, from, folder->fd, to));
}

static int folder_remove(void *context, const char *name) {
    const struct folder *folder = context;
    return status_of(unlinkat(folder->fd, name, 0));
}

static int folder_sync(void *context) {
    const struct folder *folder = context;
    return status_of(fsync(folder->fd));
}

static int folder_list(void *context, disk_found found, void *found_context) {
    const struct folder *folder = context;
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = fd < 0 ? NULL : fdopendir(fd);
    if (names == NULL) {
        int error = -errno;
        if (fd >= 0) {
            close(fd);
        }
        return error;
    }
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        if (entry->d_name[0] != '.') {
            found(found_context, entry->d_name);
        }
    }
    closedir(names);
    return 0;
}

static int lock_take(const struct folder *folder) {
    int fd = openat(folder->fd, DISK_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno == EWOULDBLOCK ? -EBUSY : -errno;
        close(fd);
        return error;
    }
    return fd;
}

static int folder_lock(void *context) {
    struct folder *folder = context;
    int status = 0;
    pthread_mutex_lock(&folder->lock_mutex);
    if (folder->lock_fd < 0) {
        int fd = lock_take(folder);
        if (fd < 0) {
            status = fd;
        } else {
            folder->lock_fd = fd;
        }
    }
    pthread_mutex_unlock(&folder->lock_mutex);
    return status;
}

int disk_open(struct disk *disk, const char *path) {
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return -errno;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct folder *folder = memory_alloc(sizeof(*folder));
    folder->fd = fd;
    folder->lock_fd = -1;
    pthread_mutex_init(&folder->lock_mutex, NULL);
    *disk = (struct disk){
        .context = folder,
        .open = file_open,
        .close = file_close,
        .write = file_write,
        .read = file_read,
        .sync = file_sync,
        .allocate = file_allocate,
        .truncate = file_truncate,
        .size = file_size,
        .rename = folder_rename,
        .remove = folder_remove,
        .sync_names = folder_sync,
        .list = folder_list,
        .lock = folder_lock,
    };
    return 0;
}

void disk_close(struct disk *disk) {
    struct folder *folder = disk->context;
    if (folder->lock_fd >= 0) {
        close(folder->lock_fd);
    }
    close(folder->fd);
    pthread_mutex_destroy(&folder->lock_mutex);
    memory_free(folder);
    disk->context = NULL;
}
