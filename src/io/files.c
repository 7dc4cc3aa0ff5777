#define _GNU_SOURCE 1

#include "io/files.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)

static enum file_status read_to_end(int fd, size_t length_max, struct buffer *content) {
    size_t length_before = content->length;
    for (;;) {
        char *room = buffer_reserve(content, READ_BYTES);
        ssize_t count = read(fd, room, READ_BYTES);
        if (count == -1 && errno == EINTR) {
            continue;
        }
        if (count == -1) {
            content->length = length_before;
            return FILE_FAILED;
        }
        if (count == 0) {
            return FILE_DONE;
        }
        if (content->length - length_before + (size_t)count > length_max) {
            content->length = length_before;
            return FILE_TOO_LARGE;
        }
        buffer_commit(content, (size_t)count);
    }
}

enum file_status file_read_descriptor(int fd, size_t length_max, struct buffer *content) {
    return read_to_end(fd, length_max, content);
}

enum file_status file_read_whole(const char *path, size_t length_max, struct buffer *content) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) {
        return FILE_FAILED;
    }
    enum file_status status = read_to_end(fd, length_max, content);
    int error = errno;
    close(fd);
    errno = error;
    return status;
}

static int write_whole(int fd, struct span content) {
    while (content.length > 0) {
        ssize_t count = write(fd, content.bytes, content.length);
        if (count == -1 && errno == EINTR) {
            continue;
        }
        if (count == -1) {
            return errno;
        }
        content = span_of(content.bytes + count, content.length - (size_t)count);
    }
    return 0;
}

/* The new content, durable, in a file beside the target; the name is written into `temporary`. */
static int write_temporary(char *temporary, struct span content, mode_t mode) {
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd == -1) {
        return errno;
    }
    int error = write_whole(fd, content);
    if (error == 0 && fchmod(fd, mode) == -1) {
        error = errno;
    }
    if (error == 0 && fsync(fd) == -1) {
        error = errno;
    }
    if (close(fd) == -1 && error == 0) {
        error = errno;
    }
    if (error != 0) {
        unlink(temporary);
    }
    return error;
}

static int sync_directory_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return file_sync_directory(".");
    }
    if (slash == path) {
        return file_sync_directory("/");
    }
    struct buffer directory = BUFFER_EMPTY;
    buffer_append(&directory, path, (size_t)(slash - path));
    buffer_append_byte(&directory, '\0');
    int error = file_sync_directory(directory.bytes);
    buffer_free(&directory);
    return error;
}

int file_replace(const char *path, struct span content, mode_t mode) {
    char target[PATH_MAX];
    if (realpath(path, target) == NULL) {
        if (errno != ENOENT) {
            return errno;
        }
        if (strlen(path) >= sizeof(target)) {
            return ENAMETOOLONG;
        }
        memcpy(target, path, strlen(path) + 1);
    }
    struct buffer temporary = BUFFER_EMPTY;
    buffer_append_string(&temporary, target);
    buffer_append_string(&temporary, ".XXXXXX");
    buffer_append_byte(&temporary, '\0');
    int error = write_temporary(temporary.bytes, content, mode);
    if (error == 0) {
        if (rename(temporary.bytes, target) == -1) {
            error = errno;
            unlink(temporary.bytes);
        } else {
            error = sync_directory_of(target);
        }
    }
    buffer_free(&temporary);
    return error;
}

int file_sync_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1) {
        return errno;
    }
    int error = fsync(fd) == -1 ? errno : 0;
    close(fd);
    return error;
}

bool file_is_in_use(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_in_use = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0) {
        close(fd);
    }
    return is_in_use;
}

uint64_t folder_size(const char *path) {
    DIR *names = opendir(path);
    uint64_t bytes = 0;
    struct stat status;
    for (const struct dirent *entry; names != NULL && (entry = readdir(names)) != NULL;) {
        if (fstatat(dirfd(names), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode)) {
            bytes += (uint64_t)status.st_size;
        }
    }
    if (names != NULL) {
        closedir(names);
    }
    return bytes;
}

uint64_t file_system_size(const char *path) {
    struct statvfs status;
    return statvfs(path, &status) == 0 ? (uint64_t)status.f_blocks * status.f_frsize : 0;
}
