/* The file of a consensus group, as a broken disk may give it back: it is opened, or refused with a
 * reason; what was opened is what the file holds after another start, too.
 *
 * The first byte of the input: with bit 0 the rest is the file as it is. Otherwise it is bodies of
 * records: kind (1), length (2), body; they stand in a file with the right checksums. */
#include "cluster/raft_store.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "cluster/raft_record.h"

#include <errno.h>
#include <sys/uio.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define HEAD_BYTES 3

/* ---- a disk with two files ---- */

struct disk_file {
    struct buffer content;
    bool is_there;
};

struct files {
    struct disk_file named;
    struct disk_file temporary;
};

static struct disk_file *file_of(struct files *files, const char *name) {
    return strcmp(name, RAFT_STORE_NAME) == 0 ? &files->named : &files->temporary;
}

static struct disk_file *file_open(void *context, const char *name, bool create, int *error) {
    struct disk_file *file = file_of(context, name);
    *error = file->is_there ? (create ? -EEXIST : 0) : (create ? 0 : -ENOENT);
    file->is_there = file->is_there || create;
    return *error == 0 ? file : NULL;
}

static void file_close(struct disk_file *file) {
    (void)file;
}

static void file_grow(struct disk_file *file, uint64_t size) {
    if (size > file->content.length) {
        uint64_t more = size - file->content.length;
        memset(buffer_reserve(&file->content, more), 0, more);
        buffer_commit(&file->content, more);
    }
}

static int file_write(struct disk_file *file, const struct iovec *parts, size_t count,
                      uint64_t offset) {
    for (size_t i = 0; i < count && parts[i].iov_len > 0; i++) {
        file_grow(file, offset + parts[i].iov_len);
        memcpy(file->content.bytes + offset, parts[i].iov_base, parts[i].iov_len);
        offset += parts[i].iov_len;
    }
    return 0;
}

static int64_t file_read(struct disk_file *file, void *bytes, size_t length, uint64_t offset) {
    if (offset >= file->content.length) {
        return 0;
    }
    size_t rest = file->content.length - offset;
    length = length < rest ? length : rest;
    memcpy(bytes, file->content.bytes + offset, length);
    return (int64_t)length;
}

static int file_sync(struct disk_file *file) {
    (void)file;
    return 0;
}

static int file_allocate(struct disk_file *file, uint64_t size) {
    file_grow(file, size);
    return 0;
}

static int64_t file_size(struct disk_file *file) {
    return (int64_t)file->content.length;
}

/* The store may have the temporary file open still, as with a real disk: so contents change
 * places. */
static int file_rename(void *context, const char *from, const char *to) {
    (void)from;
    (void)to;
    struct files *files = context;
    struct buffer content = files->named.content;
    files->named.content = files->temporary.content;
    files->temporary.content = content;
    files->named.is_there = true;
    files->temporary.is_there = false;
    return 0;
}

static int file_remove(void *context, const char *name) {
    struct disk_file *file = file_of(context, name);
    int status = file->is_there ? 0 : -ENOENT;
    file->is_there = false;
    buffer_clear(&file->content);
    return status;
}

static int names_sync(void *context) {
    (void)context;
    return 0;
}

/* ---- input ---- */

static void header_append(uint64_t base, uint64_t *seed, struct buffer *file) {
    struct raft_file_header header = {
        .generation = 3, .self = {.bytes = "self"}, .group = {.bytes = "group"}, .base = base};
    char bytes[RAFT_FILE_HEADER_BYTES];
    raft_file_header_write(bytes, &header);
    *seed = raft_file_seed(&header);
    buffer_append(file, bytes, sizeof(bytes));
}

static void file_make(struct span input, struct buffer *file) {
    uint64_t seed;
    header_append(0, &seed, file);
    while (input.length >= HEAD_BYTES) {
        size_t length = bytes_load_u16(input.bytes + 1);
        size_t room = input.length - HEAD_BYTES;
        length = length < room ? length : room;
        struct raft_record record = {.offset = file->length,
                                     .durable = file->length,
                                     .kind = (enum raft_record_kind)(1 + (input.bytes[0] & 1))};
        raft_record_write(&record, seed, span_of(input.bytes + HEAD_BYTES, length), file);
        input = span_of(input.bytes + HEAD_BYTES + length, room - length);
    }
}

static void check_again(const struct raft_store_plan *plan, const struct raft_saved *saved) {
    struct raft_store_opened again;
    enum raft_store_status status = raft_store_open(plan, &again);
    ASSERT(status == RAFT_STORE_DONE);
    ASSERT(again.torn_bytes == 0);
    ASSERT(again.saved.term == saved->term && again.saved.commit == saved->commit);
    ASSERT(raft_log_last_index(&again.saved.log) == raft_log_last_index(&saved->log));
    ASSERT((again.saved.snapshot == NULL) == (saved->snapshot == NULL));
    raft_store_opened_free(&again);
}

static void open_and_check(const struct raft_store_plan *plan) {
    struct raft_store_opened opened;
    enum raft_store_status status = raft_store_open(plan, &opened);
    ASSERT(status == RAFT_STORE_DONE || status == RAFT_STORE_DAMAGED);
    ASSERT(status == RAFT_STORE_DONE || opened.report.length > 0);
    if (status == RAFT_STORE_DONE) {
        raft_store_close(opened.store);
        opened.store = NULL;
        check_again(plan, &opened.saved);
        struct raft *raft = raft_new(&(struct raft_plan){.self = plan->self,
                                                         .group = opened.group,
                                                         .election_ms = 100,
                                                         .heartbeat_ms = 10,
                                                         .snapshot_entries = 10},
                                     &opened.saved, 0);
        raft_free(raft);
    }
    raft_store_opened_free(&opened);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length == 0) {
        return 0;
    }
    struct files files = {.named = {.is_there = true}};
    struct disk disk = {
        .context = &files,
        .open = file_open,
        .close = file_close,
        .write = file_write,
        .read = file_read,
        .sync = file_sync,
        .allocate = file_allocate,
        .size = file_size,
        .rename = file_rename,
        .remove = file_remove,
        .sync_names = names_sync,
    };
    struct span input = span_of((const char *)bytes + 1, length - 1);
    if ((bytes[0] & 1) != 0) {
        buffer_append_span(&files.named.content, input);
    } else {
        file_make(input, &files.named.content);
    }
    open_and_check(&(struct raft_store_plan){
        .disk = &disk, .self = {.bytes = "self"}, .allocate_bytes = 1024});
    buffer_free(&files.named.content);
    buffer_free(&files.temporary.content);
    return 0;
}
