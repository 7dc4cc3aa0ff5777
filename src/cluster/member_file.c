#include "cluster/member_file.h"

#include "base/hash.h"

#include <errno.h>
#include <sys/uio.h>

static const char magic[8] = {'T', 'A', 'R', 'N', 'N', 'O', 'D', 'E'};

void member_file_free(struct member_file *file) {
    buffer_free(&file->state);
    *file = MEMBER_FILE_EMPTY;
}

/* ---- bytes ---- */

void member_file_write(const struct member_file *file, struct buffer *out) {
    size_t start = out->length;
    buffer_append(out, magic, sizeof(magic));
    fields_put_u32(out, MEMBER_FILE_FORMAT);
    fields_put_u32(out, file->phase);
    fields_put_id(out, &file->id);
    fields_put_id(out, &file->group);
    fields_put_u64(out, file->starts);
    fields_put_u64(out, file->promise_ms);
    fields_put_span(out, buffer_span(&file->state));
    fields_put_u64(out, XXH3_64bits(out->bytes + start, out->length - start));
}

bool member_file_read(struct member_file *file, struct span bytes) {
    struct fields fields = {.rest = bytes};
    const char *head = fields_take(&fields, sizeof(magic));
    if (head == NULL || memcmp(head, magic, sizeof(magic)) != 0 ||
        fields_take_u32(&fields) != MEMBER_FILE_FORMAT) {
        return false;
    }
    uint32_t phase = fields_take_u32(&fields);
    struct raft_id id = fields_take_id(&fields);
    struct raft_id group = fields_take_id(&fields);
    uint64_t starts = fields_take_u64(&fields);
    uint64_t promise_ms = fields_take_u64(&fields);
    struct span state = fields_take_span(&fields);
    size_t length = bytes.length - fields.rest.length;
    uint64_t checksum = fields_take_u64(&fields);
    if (!fields_end(&fields) || checksum != XXH3_64bits(bytes.bytes, length) ||
        phase < MEMBER_KEEPS || phase > MEMBER_JOINS || promise_ms > MEMBER_PROMISE_MS_MAX ||
        raft_id_is_none(&id) || raft_id_is_none(&group)) {
        return false;
    }
    file->phase = (enum member_phase)phase;
    file->id = id;
    file->group = group;
    file->starts = starts;
    file->promise_ms = promise_ms;
    buffer_clear(&file->state);
    buffer_append_span(&file->state, state);
    return true;
}

/* ---- disk ---- */

static int write_whole(const struct disk *disk, struct span bytes) {
    int error = 0;
    struct disk_file *file = disk->open(disk->context, MEMBER_FILE_TEMPORARY_NAME, true, &error);
    if (file == NULL) {
        return error;
    }
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.bytes, .iov_len = bytes.length};
    int status = disk->write(file, &part, 1, 0);
    if (status == 0) {
        status = disk->sync(file);
    }
    disk->close(file);
    return status;
}

int member_file_save(const struct disk *disk, const struct member_file *file) {
    struct buffer bytes = BUFFER_EMPTY;
    member_file_write(file, &bytes);
    int status = disk->remove(disk->context, MEMBER_FILE_TEMPORARY_NAME);
    if (status == 0 || status == -ENOENT) {
        status = write_whole(disk, buffer_span(&bytes));
    }
    buffer_free(&bytes);
    if (status == 0) {
        status = disk->rename(disk->context, MEMBER_FILE_TEMPORARY_NAME, MEMBER_FILE_NAME);
    }
    return status == 0 ? disk->sync_names(disk->context) : status;
}

static int read_whole(const struct disk *disk, struct disk_file *file, struct buffer *bytes) {
    int64_t size = disk->size(file);
    if (size < 0) {
        return (int)size;
    }
    if ((uint64_t)size > MEMBER_FILE_BYTES_MAX) {
        return -EBADMSG;
    }
    int64_t count = disk->read(file, buffer_reserve(bytes, (size_t)size + 1), (size_t)size, 0);
    if (count < 0) {
        return (int)count;
    }
    buffer_commit(bytes, (size_t)count);
    return 0;
}

int member_file_load(const struct disk *disk, struct member_file *file) {
    int status = 0;
    struct disk_file *opened = disk->open(disk->context, MEMBER_FILE_NAME, false, &status);
    if (opened == NULL) {
        return status;
    }
    struct buffer bytes = BUFFER_EMPTY;
    status = read_whole(disk, opened, &bytes);
    disk->close(opened);
    if (status == 0 && !member_file_read(file, buffer_span(&bytes))) {
        status = -EBADMSG;
    }
    buffer_free(&bytes);
    return status;
}
