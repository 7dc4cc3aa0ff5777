#include "snapshot/rdb_file.h"

#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#define READ_BYTES ((size_t)1024 * 1024)
/* So that the last sync has little to do. */
#define SYNC_EVERY_BYTES ((uint64_t)32 * 1024 * 1024)

/* ---- reading ---- */

static enum rdb_read_status read_failed(const char *name, int error, struct buffer *report) {
    buffer_format(report, "RDB file \"%s\": cannot read: %s", name, strerror(-error));
    return RDB_READ_FAILED;
}

/* Feeds the reader until it has enough; *left is what it did not take of the last piece. */
static enum rdb_read_status feed(struct rdb_reader *reader, const struct rdb_file_source *source,
                                 struct disk_file *file, struct buffer *report) {
    char *bytes = memory_alloc(READ_BYTES);
    enum rdb_read_status status = RDB_READ_MORE;
    for (uint64_t offset = 0; status == RDB_READ_MORE;) {
        int64_t count = source->disk->read(file, bytes, READ_BYTES, offset);
        if (count < 0) {
            status = read_failed(source->name, (int)count, report);
        } else if (count == 0) {
            status = rdb_reader_end(reader);
        } else {
            struct span piece = span_of(bytes, (size_t)count);
            status = rdb_reader_feed(reader, &piece);
            offset += (uint64_t)count;
        }
    }
    memory_free(bytes);
    return status;
}

static enum rdb_read_status check_length(const struct rdb_file_source *source,
                                         struct disk_file *file, uint64_t length,
                                         struct buffer *report) {
    int64_t size = source->disk->size(file);
    if (size < 0) {
        return read_failed(source->name, (int)size, report);
    }
    if ((uint64_t)size == length) {
        return RDB_READ_DONE;
    }
    buffer_format(report,
                  "RDB file \"%s\" at byte %llu: expected the end of the file, found %lld "
                  "bytes behind its end mark",
                  source->name, (unsigned long long)length, (long long)size - (long long)length);
    return RDB_READ_DAMAGED;
}

enum rdb_read_status rdb_file_read(const struct rdb_file_source *source, uint64_t *length,
                                   struct buffer *report) {
    int error;
    struct disk_file *file = source->disk->open(source->disk->context, source->name, false, &error);
    if (file == NULL) {
        buffer_format(report, "RDB file \"%s\": cannot open: %s", source->name, strerror(-error));
        return RDB_READ_FAILED;
    }
    struct rdb_reader *reader = rdb_reader_new(source->name, &source->observer, report);
    enum rdb_read_status status = feed(reader, source, file, report);
    if (length != NULL) {
        *length = rdb_reader_offset(reader);
    } else if (status == RDB_READ_DONE) {
        status = check_length(source, file, rdb_reader_offset(reader), report);
    }
    rdb_reader_free(reader);
    source->disk->close(file);
    return status;
}

/* ---- writing ---- */

int rdb_file_open(struct rdb_file *file, const struct disk *disk, const char *temporary) {
    ASSERT(strlen(temporary) < DISK_NAME_BYTES_MAX);
    *file = (struct rdb_file){.disk = *disk};
    snprintf(file->temporary, sizeof(file->temporary), "%s", temporary);
    int error = disk->remove(disk->context, temporary);
    if (error != 0 && error != -ENOENT) {
        return error;
    }
    file->file = disk->open(disk->context, temporary, true, &error);
    return file->file == NULL ? error : 0;
}

static int write_bytes(void *context, struct span bytes) {
    struct rdb_file *file = context;
    struct iovec part = {.iov_base = (void *)bytes.bytes, .iov_len = bytes.length};
    int error = file->disk.write(file->file, &part, 1, file->length);
    if (error != 0) {
        return error;
    }
    file->length += bytes.length;
    if (file->length - file->synced < SYNC_EVERY_BYTES) {
        return 0;
    }
    file->synced = file->length;
    return file->disk.sync(file->file);
}

struct rdb_target rdb_file_target(struct rdb_file *file) {
    return (struct rdb_target){.context = file, .write = write_bytes};
}

int rdb_file_finish(struct rdb_file *file, const char *name) {
    int error = file->disk.sync(file->file);
    if (error == 0) {
        error = file->disk.rename(file->disk.context, file->temporary, name);
    }
    if (error != 0) {
        rdb_file_abandon(file);
        return error;
    }
    file->disk.close(file->file);
    file->file = NULL;
    return file->disk.sync_names(file->disk.context);
}

void rdb_file_abandon(struct rdb_file *file) {
    file->disk.close(file->file);
    file->file = NULL;
    file->disk.remove(file->disk.context, file->temporary);
}
