/* Diverged replay: brings what a diverged log held to the primary that runs now, as commands of a
 * client.
 *
 *   the primary's log since the fork names every key that it has written since
 *   per batch of keys: WATCH -> the log up to the moment behind it -> MULTI, commands, EXEC
 *
 * So between the last look and the write nobody writes: EXEC fails then, and the batch is looked at
 * again. Without `writes` it only says what would be done. What is chosen, and why, is printed key
 * by key. Blocks.
 */
#ifndef TARN_SERVER_DIVERGED_REPLAY_H
#define TARN_SERVER_DIVERGED_REPLAY_H

#include "server/primary_log.h"

/* A batch that others keep writing to is given up after so many times. */
#define DIVERGED_TRIES_MAX 20

struct diverged_replay_plan {
    struct resp_client_plan client;
    struct lineage_part fork;         /* where the files go on from */
    struct diverged_changes *changes; /* finished */
    bool by_time;
    bool writes;
};

/* False: a sentence is in the client's report. What was written before stays. */
bool diverged_replay(const struct diverged_replay_plan *plan);

#endif
