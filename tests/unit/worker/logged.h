/* Workers with a log on a simulated disk, which is written and synced when the test says so.
 *
 * Each segment holds one frame, and one frame is there from the start: so an append never finds a
 * segment with room, and waits until logged_write().
 */
#ifndef TARN_TESTS_UNIT_WORKER_LOGGED_H
#define TARN_TESTS_UNIT_WORKER_LOGGED_H

#include "tests/simulation/disk.h"
#include "tests/unit/worker/workers.h"
#include "worker/gate.h"

#define LOGGED_SEED 7

struct logged {
    struct workers *workers;
    struct simulated_disk *simulated;
    struct disk disk;
    struct oplog *oplog;
};

/* With the node's log, or without one any more. */
static inline void logged_attach(struct logged *logged, struct oplog *oplog, bool gates) {
    struct node *node = &logged->workers->node;
    node->log = oplog;
    node->log_gates = gates;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        gate_configure(node->workers[i]);
    }
}

static inline struct oplog *logged_open(struct logged *logged, enum oplog_sync sync,
                                        uint64_t segment_bytes) {
    struct history none = {0};
    struct oplog_plan plan = {
        .disk = &logged->disk,
        .history = history_fork(&none),
        .sync = sync,
        .segment_bytes = segment_bytes,
        .progress = gate_progress,
        .context = &logged->workers->node,
        .is_stepwise = true,
    };
    int error = 0;
    struct oplog *oplog = oplog_open(&plan, &error);
    ck_assert_ptr_nonnull(oplog);
    return oplog;
}

static inline void logged_write(struct logged *logged) {
    while (oplog_step_write(logged->oplog)) {
    }
}

static inline void logged_sync(struct logged *logged) {
    logged_write(logged);
    while (oplog_step_sync(logged->oplog)) {
    }
}

static inline void logged_new(struct logged *logged, uint32_t count, enum oplog_sync sync) {
    logged->workers = workers_new(count);
    logged->simulated = simulated_disk_new(LOGGED_SEED);
    logged->disk = simulated_disk_interface(logged->simulated);
    logged->oplog = logged_open(logged, sync, 1);
    struct oplog_batch first = OPLOG_BATCH_EMPTY;
    buffer_append_string(&first.bytes, "first");
    oplog_append(logged->oplog, &first, 0);
    oplog_batch_free(&first);
    logged_sync(logged);
    logged_attach(logged, logged->oplog, true);
}

static inline void logged_free(struct logged *logged) {
    logged_attach(logged, NULL, false);
    simulated_disk_heal(logged->simulated);
    ck_assert_int_eq(oplog_close(logged->oplog), 0);
    workers_free(logged->workers);
    simulated_disk_free(logged->simulated);
}

#endif
