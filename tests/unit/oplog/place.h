/* A log in a folder of its own, for tests. */
#ifndef TARN_TESTS_UNIT_OPLOG_PLACE_H
#define TARN_TESTS_UNIT_OPLOG_PLACE_H

#include "io/disk.h"
#include "oplog/oplog.h"
#include "oplog/recovery.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLACE_SEGMENT_BYTES 4096

struct log_place {
    char path[64];
    struct disk disk;
    struct oplog_batch batch;
};

static inline void place_open(struct log_place *place) {
    *place = (struct log_place){.batch = OPLOG_BATCH_EMPTY};
    snprintf(place->path, sizeof(place->path), "/tmp/tarn-oplog-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place->path));
    ck_assert_int_eq(disk_open(&place->disk, place->path), 0);
}

static inline void place_remove_file(void *context, const char *name) {
    const struct disk *disk = context;
    disk->remove(disk->context, name);
}

static inline void place_close(struct log_place *place) {
    oplog_batch_free(&place->batch);
    place->disk.list(place->disk.context, place_remove_file, &place->disk);
    disk_close(&place->disk);
    ck_assert_int_eq(rmdir(place->path), 0);
}

static inline void place_no_progress(void *context) {
    (void)context;
}

struct place_log {
    enum oplog_sync sync;
    bool has_threads;
    struct history parent;
    uint64_t begin;
};

static inline struct oplog *place_log_open(struct log_place *place, struct place_log how) {
    struct oplog_plan plan = {
        .disk = &place->disk,
        .history = history_fork(&how.parent),
        .parent = how.parent,
        .begin = how.begin,
        .sync = how.sync,
        .segment_bytes = PLACE_SEGMENT_BYTES,
        .progress = place_no_progress,
        .is_stepwise = !how.has_threads,
    };
    int error = 0;
    struct oplog *oplog = oplog_open(&plan, &error);
    ck_assert_int_eq(error, 0);
    return oplog;
}

static inline uint64_t place_append(struct log_place *place, struct oplog *oplog,
                                    const char *text) {
    buffer_append_string(&place->batch.bytes, text);
    return oplog_append(oplog, &place->batch, 1234);
}

/* Appends the content and a newline to the buffer. */
static inline bool place_collect(void *context, const struct oplog_frame *frame) {
    buffer_append_span(context, frame->content);
    buffer_append_byte(context, '\n');
    return true;
}

#endif
