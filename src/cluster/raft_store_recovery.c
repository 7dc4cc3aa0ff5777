#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "cluster/raft_store_file.h"

#include <errno.h>
#include <stdio.h>

#define SCAN_BYTES ((size_t)16 * 1024)

_Static_assert(SCAN_BYTES % 8 == 0, "records begin at multiples of 8");

struct recovery {
    const struct disk *disk;
    struct disk_file *file;
    struct raft_store_opened *opened;
    struct raft_file_header header;
    uint64_t seed;
    uint64_t size;
    uint64_t offset;
    struct buffer body;
};

/* ---- what is wrong ---- */

static enum raft_store_status failed(struct raft_store_opened *opened, int status) {
    buffer_format(&opened->report, "Cannot read " RAFT_STORE_NAME ": %s. ", strerror(-status));
    return RAFT_STORE_FAILED;
}

static enum raft_store_status damaged(struct recovery *recovery, const char *expected,
                                      const char *found) {
    buffer_format(&recovery->opened->report,
                  RAFT_STORE_NAME " is damaged at offset %llu: expected %s, found %s. ",
                  (unsigned long long)recovery->offset, expected, found);
    return RAFT_STORE_DAMAGED;
}

/* ---- reading ---- */

/* Fills bytes; what lies behind the file's end is zero. */
static int bytes_read(const struct recovery *recovery, char *bytes, size_t length,
                      uint64_t offset) {
    if (length == 0) {
        return 0;
    }
    int64_t count = recovery->disk->read(recovery->file, bytes, length, offset);
    if (count < 0) {
        return (int)count;
    }
    memset(bytes + count, 0, length - (size_t)count);
    return 0;
}

/* Whether a record behind this place says that the place had been durable; or a negative errno.
 * *end: behind the last byte that is not zero. */
static int later_record_find(struct recovery *recovery, uint64_t *later, uint64_t *end) {
    char *bytes = memory_alloc(SCAN_BYTES + RAFT_RECORD_HEADER_BYTES);
    int status = 0;
    *end = recovery->offset;
    for (uint64_t at = recovery->offset; status == 0 && at < recovery->size; at += SCAN_BYTES) {
        status = bytes_read(recovery, bytes, SCAN_BYTES + RAFT_RECORD_HEADER_BYTES, at);
        for (size_t i = 0; status == 0 && i < SCAN_BYTES; i += 8) {
            uint64_t word = bytes_load_u64(bytes + i);
            *end = word != 0 ? at + i + 8 : *end;
            struct raft_record record;
            if (word == at + i && raft_record_read(bytes + i, recovery->seed, &record) &&
                record.durable > recovery->offset) {
                *later = at + i;
                status = 1;
            }
        }
    }
    memory_free(bytes);
    return status;
}

/* At the offset stands no whole record. */
static enum raft_store_status end_judge(struct recovery *recovery, const char *expected,
                                        const char *found) {
    if (recovery->offset < recovery->header.base) {
        return damaged(recovery, expected, found);
    }
    uint64_t later = 0;
    uint64_t end = 0;
    int status = later_record_find(recovery, &later, &end);
    if (status < 0) {
        return failed(recovery->opened, status);
    }
    if (status > 0) {
        damaged(recovery, expected, found);
        buffer_format(&recovery->opened->report,
                      "The record at offset %llu says that all before was on disk. ",
                      (unsigned long long)later);
        return RAFT_STORE_DAMAGED;
    }
    end = end < recovery->size ? end : recovery->size;
    if (end > recovery->offset) {
        recovery->opened->torn_bytes = end - recovery->offset;
        buffer_format(&recovery->opened->report,
                      RAFT_STORE_NAME " ended in %llu bytes of an unfinished write at offset %llu, "
                                      "which were cut. ",
                      (unsigned long long)recovery->opened->torn_bytes,
                      (unsigned long long)recovery->offset);
    }
    return RAFT_STORE_NONE;
}

static enum raft_store_status body_apply(struct recovery *recovery,
                                         const struct raft_record *record) {
    struct span body = buffer_span(&recovery->body);
    bool is_snapshot = record->kind == RAFT_RECORD_SNAPSHOT;
    const char *problem = is_snapshot ? raft_record_read_snapshot(body, &recovery->opened->saved)
                                      : raft_record_read_step(body, &recovery->opened->saved);
    if (problem != NULL) {
        return damaged(recovery, "a record that follows from those before it", problem);
    }
    recovery->offset = raft_record_next(record);
    return RAFT_STORE_DONE;
}

static enum raft_store_status record_body_read(struct recovery *recovery,
                                               const struct raft_record *record) {
    if (record->length > RAFT_RECORD_BODY_BYTES_MAX || record->length > recovery->size) {
        return end_judge(recovery, "a record", "a length that cannot be");
    }
    buffer_clear(&recovery->body);
    char *place = buffer_reserve(&recovery->body, record->length);
    int status =
        bytes_read(recovery, place, record->length, recovery->offset + RAFT_RECORD_HEADER_BYTES);
    if (status != 0) {
        return failed(recovery->opened, status);
    }
    buffer_commit(&recovery->body, record->length);
    uint64_t checksum = checksum_bytes(buffer_span(&recovery->body));
    if (checksum != record->checksum) {
        char expected[64];
        char found[64];
        snprintf(expected, sizeof(expected), "a record with checksum %016llx",
                 (unsigned long long)record->checksum);
        snprintf(found, sizeof(found), "%016llx", (unsigned long long)checksum);
        return end_judge(recovery, expected, found);
    }
    return body_apply(recovery, record);
}

/* NONE: there are no more. */
static enum raft_store_status record_take(struct recovery *recovery) {
    char bytes[RAFT_RECORD_HEADER_BYTES];
    int status = bytes_read(recovery, bytes, sizeof(bytes), recovery->offset);
    if (status != 0) {
        return failed(recovery->opened, status);
    }
    struct raft_record record;
    if (!raft_record_read(bytes, recovery->seed, &record) || record.offset != recovery->offset) {
        char found[64];
        snprintf(found, sizeof(found), "%016llx %016llx", (unsigned long long)bytes_load_u64(bytes),
                 (unsigned long long)bytes_load_u64(bytes + 8));
        return end_judge(recovery, "the header of a record", found);
    }
    return record_body_read(recovery, &record);
}

static enum raft_store_status header_take(struct recovery *recovery, const struct raft_id *self) {
    char bytes[RAFT_FILE_HEADER_BYTES];
    int status = bytes_read(recovery, bytes, sizeof(bytes), 0);
    if (status != 0) {
        return failed(recovery->opened, status);
    }
    const char *problem = raft_file_header_read(bytes, &recovery->header);
    if (problem != NULL) {
        return damaged(recovery, "a file of a consensus group", problem);
    }
    if (!raft_id_equal(&recovery->header.self, self)) {
        return damaged(recovery, "this node's file", "another node's");
    }
    recovery->seed = raft_file_seed(&recovery->header);
    recovery->offset = RAFT_FILE_HEADER_BYTES;
    return RAFT_STORE_DONE;
}

/* NULL, or why the records together are not what a member saved. */
static const char *whole_problem(const struct raft_saved *saved) {
    if (saved->commit > raft_log_last_index(&saved->log)) {
        return "an end before the entries that are committed";
    }
    if (saved->term < raft_log_last_term(&saved->log)) {
        return "an end before the term of the entries";
    }
    if (saved->snapshot == NULL) {
        return NULL;
    }
    const struct raft_snapshot_name *name = &saved->snapshot->name;
    uint64_t term;
    if (saved->commit < name->index || !raft_log_term(&saved->log, name->index, &term) ||
        term != name->term) {
        return "an end before the entries that the snapshot holds";
    }
    return NULL;
}

static enum raft_store_status file_read(struct recovery *recovery, const struct raft_id *self) {
    int64_t size = recovery->disk->size(recovery->file);
    if (size < 0) {
        return failed(recovery->opened, (int)size);
    }
    recovery->size = (uint64_t)size;
    enum raft_store_status status = header_take(recovery, self);
    while (status == RAFT_STORE_DONE) {
        status = record_take(recovery);
    }
    if (status != RAFT_STORE_NONE) {
        return status;
    }
    const char *problem = whole_problem(&recovery->opened->saved);
    return problem == NULL ? RAFT_STORE_DONE : damaged(recovery, "more records", problem);
}

enum raft_store_status raft_store_recover(const struct raft_store_plan *plan,
                                          struct raft_store_opened *opened,
                                          struct raft_file_header *header) {
    struct recovery recovery = {.disk = plan->disk, .opened = opened, .body = BUFFER_EMPTY};
    int error = 0;
    recovery.file = plan->disk->open(plan->disk->context, RAFT_STORE_NAME, false, &error);
    if (recovery.file == NULL) {
        return error == -ENOENT ? RAFT_STORE_NONE : failed(opened, error);
    }
    enum raft_store_status status = file_read(&recovery, &plan->self);
    plan->disk->close(recovery.file);
    buffer_free(&recovery.body);
    *header = recovery.header;
    return status;
}
