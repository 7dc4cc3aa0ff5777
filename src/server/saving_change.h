/* A change of the log that a primary's plan asks of its replica, and what came of it: for the
 * saving thread, see saving_follow.c. One owner at a time.
 */
#ifndef TARN_SERVER_SAVING_CHANGE_H
#define TARN_SERVER_SAVING_CHANGE_H

#include "replication/message.h"

/* The folder of what logs held that the primary's does not: see oplog/divergence.h. */
#define SAVING_DIVERGENCE "divergence"

struct saving_change {
    struct message_plan *plan;

    bool is_done;
    struct buffer report;    /* why it is not */
    struct slot_set touched; /* by what was cut off */
    uint64_t bytes;          /* that were cut off, and are kept */
    uint64_t effects;
    uint64_t keys;
    bool is_unlisted; /* more was cut off than could be told */
    bool needs_base;  /* the log goes on from no snapshot that is on disk */
};

void saving_change_set(struct saving_change *change, const struct message_plan *plan);
void saving_change_clear(struct saving_change *change);

#endif
