/* A log on a simulated disk, of effects that a test names; for what makes commands of it. */
#ifndef TARN_TESTS_UNIT_REPLICATION_REDIS_LOG_H
#define TARN_TESTS_UNIT_REPLICATION_REDIS_LOG_H

#include "commands/effect_codec.h"
#include "oplog/oplog.h"
#include "store/slot.h"
#include "tests/simulation/disk.h"
#include "tests/unit/unit.h"

struct redis_log {
    struct simulated_disk *simulated;
    struct disk disk;
    struct oplog *oplog;
    struct oplog_batch batch; /* the frame in the making */
    bool is_joined;           /* the next effect is of the group of the one before */
};

static inline void redis_log_no_progress(void *context) {
    (void)context;
}

static inline void redis_log_open(struct redis_log *log, uint64_t begin) {
    log->simulated = simulated_disk_new(1);
    log->disk = simulated_disk_interface(log->simulated);
    log->batch = OPLOG_BATCH_EMPTY;
    log->is_joined = false;
    const struct history parent = {.epoch = 4, .id = "four"};
    int error = 0;
    log->oplog = oplog_open(&(struct oplog_plan){.disk = &log->disk,
                                                 .history = history_fork(&parent),
                                                 .parent = parent,
                                                 .begin = begin,
                                                 .sync = OPLOG_SYNC_NO,
                                                 .segment_bytes = 4096,
                                                 .progress = redis_log_no_progress,
                                                 .is_stepwise = true},
                            &error);
    ck_assert_int_eq(error, 0);
}

static inline void redis_log_close(struct redis_log *log) {
    ck_assert_int_eq(oplog_close(log->oplog), 0);
    oplog_batch_free(&log->batch);
    simulated_disk_free(log->simulated);
}

static inline void redis_log_effect(struct redis_log *log, uint32_t database, const char *key,
                                    struct effect effect) {
    struct effect_record record = {.effect = effect,
                                   .key = span_of_string(key),
                                   .database = database,
                                   .slot = slot_of_key(span_of_string(key)),
                                   .is_joined = log->is_joined};
    if (key[0] == '\0') {
        record.slot = EFFECT_NODE_SLOT;
    }
    ck_assert(!effect_write(&log->batch.bytes, &record));
}

static inline void redis_log_set(struct redis_log *log, uint32_t database, const char *key,
                                 const char *value) {
    redis_log_effect(log, database, key,
                     (struct effect){.kind = EFFECT_VALUE_PUT,
                                     .value = span_of_string(value),
                                     .expiry_ms = ENTRY_NO_EXPIRY});
}

/* What was named since the last one becomes a frame. Answers the position behind it. */
static inline uint64_t redis_log_frame(struct redis_log *log) {
    uint64_t end = oplog_append(log->oplog, &log->batch, 1234);
    while (oplog_step_write(log->oplog) || oplog_step_sync(log->oplog)) {
    }
    return end;
}

static inline uint64_t redis_log_end(const struct redis_log *log) {
    return oplog_written_position(log->oplog);
}

#endif
