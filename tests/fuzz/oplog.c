/* Segments of the log from outside: what the reader gives are frames of the files, in order,
 * without a gap, and nothing makes it read beyond a file or take much memory.
 *
 *   OFFSET  SIZE  MEANING
 *   0       1     bit 0: checksums of headers and frames are made right, without which hardly a
 *                 change would come past them
 *   1       2     bytes of the first segment, little endian
 *   3       ...   the first segment, then the second
 *
 * The files' names are what their headers say.
 */
#include "base/assertion.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "oplog/reader.h"
#include "oplog/segment.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define SEGMENTS 2
#define HEAD_BYTES 3

struct disk_file {
    char name[SEGMENT_NAME_BYTES];
    unsigned char *bytes;
    size_t length;
};

struct folder {
    struct disk_file files[SEGMENTS];
};

static struct disk_file *file_open(void *context, const char *name, bool create, int *error) {
    struct folder *folder = context;
    ASSERT(!create);
    for (size_t i = 0; i < SEGMENTS; i++) {
        if (strcmp(folder->files[i].name, name) == 0) {
            return &folder->files[i];
        }
    }
    *error = -ENOENT;
    return NULL;
}

static void file_close(struct disk_file *file) {
    ASSERT(file != NULL);
}

static int64_t file_read(struct disk_file *file, void *bytes, size_t length, uint64_t offset) {
    if (offset >= file->length) {
        return 0;
    }
    size_t left = file->length - (size_t)offset;
    length = length < left ? length : left;
    memcpy(bytes, file->bytes + offset, length);
    return (int64_t)length;
}

static int64_t file_size(struct disk_file *file) {
    return (int64_t)file->length;
}

static int folder_list(void *context, disk_found found, void *found_context) {
    struct folder *folder = context;
    for (size_t i = 0; i < SEGMENTS; i++) {
        found(found_context, folder->files[i].name);
    }
    return 0;
}

/* ---- checksums ---- */

static void sign(struct disk_file *file) {
    if (file->length < OPLOG_SEGMENT_HEADER_BYTES) {
        return;
    }
    size_t checksum_at = OPLOG_SEGMENT_HEADER_BYTES - 8;
    bytes_store_u64(file->bytes + checksum_at, checksum_bytes(span_of(file->bytes, checksum_at)));
    struct segment_header header;
    if (segment_header_read(file->bytes, &header) != NULL) {
        return;
    }
    size_t at = OPLOG_SEGMENT_HEADER_BYTES;
    while (file->length - at >= OPLOG_FRAME_HEADER_BYTES) {
        struct frame_header frame;
        unsigned char *place = file->bytes + at;
        frame_header_read(place, &header.history, &frame);
        at += OPLOG_FRAME_HEADER_BYTES;
        if (frame.length > file->length - at) {
            return;
        }
        frame.checksum = checksum_bytes(span_of(file->bytes + at, (size_t)frame.length));
        frame_header_write(place, &frame, &header.history);
        at += (size_t)frame.length;
    }
}

static void file_make(struct disk_file *file, const uint8_t *bytes, size_t length, bool is_signed) {
    /* A copy of the exact size, for a sanitizer to guard. */
    file->bytes = malloc(length + (length == 0));
    file->length = length;
    if (length != 0) {
        memcpy(file->bytes, bytes, length);
    }
    if (is_signed) {
        sign(file);
    }
    struct segment_name name = {0};
    if (length >= OPLOG_SEGMENT_HEADER_BYTES) {
        name.epoch = bytes_load_u64(file->bytes + 16);
        name.first = bytes_load_u64(file->bytes + 64);
    }
    segment_name_write(file->name, name);
}

/* ---- reading ---- */

static void read_all(const struct disk *disk, uint64_t from) {
    struct buffer report = BUFFER_EMPTY;
    struct oplog_reader_plan plan = {
        .disk = disk, .from = from, .to = OPLOG_READ_ALL, .report = &report};
    struct oplog_reader *reader = NULL;
    enum oplog_read read = oplog_reader_open(&plan, &reader);
    if (reader == NULL) {
        ASSERT(read != OPLOG_READ_END && report.length > 0);
        buffer_free(&report);
        return;
    }
    struct oplog_frame frame;
    uint64_t position = from;
    volatile uint64_t sum = 0;
    while ((read = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        ASSERT(frame.position == position);
        ASSERT(frame.end == position + OPLOG_FRAME_HEADER_BYTES + frame.content.length);
        ASSERT(frame.content.length > 0);
        for (size_t i = 0; i < frame.content.length; i++) {
            sum += (unsigned char)frame.content.bytes[i];
        }
        position = frame.end;
    }
    ASSERT((read == OPLOG_READ_END) == (report.length == 0));
    oplog_reader_close(reader);
    buffer_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < HEAD_BYTES) {
        return 0;
    }
    bool is_signed = (bytes[0] & 1) != 0;
    size_t first = bytes_load_u16(bytes + 1);
    length -= HEAD_BYTES;
    bytes += HEAD_BYTES;
    first = first < length ? first : length;
    struct folder folder;
    file_make(&folder.files[0], bytes, first, is_signed);
    file_make(&folder.files[1], bytes + first, length - first, is_signed);
    struct disk disk = {
        .context = &folder,
        .open = file_open,
        .close = file_close,
        .read = file_read,
        .size = file_size,
        .list = folder_list,
    };
    uint64_t froms[SEGMENTS] = {0};
    for (size_t i = 0; i < SEGMENTS; i++) {
        struct segment_name name;
        if (segment_name_read(folder.files[i].name, &name)) {
            froms[i] = name.first;
        }
    }
    read_all(&disk, 0);
    read_all(&disk, froms[0]);
    read_all(&disk, froms[1]);
    for (size_t i = 0; i < SEGMENTS; i++) {
        free(folder.files[i].bytes);
    }
    return 0;
}
