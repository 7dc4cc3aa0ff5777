/* Notices: what one worker tells another in passing: messages for its subscribers, lines for its
 * monitors.
 *
 * Collected over a tick, one post per target, which leaves with the tick's mail: after its append,
 * and before any connection that travels. So a worker that is told of two commands of one
 * connection is told of the first one first, wherever they ran. Memory: one buffer per target with
 * anything to tell, freed by the target.
 *
 * A worker that is slow to take its mail is told of no more than NOTICES_BYTES_MAX bytes at a time.
 * What is beyond that is lost, and all of its connections that would have been told of that kind
 * are closed, as those that read too slowly are: no receiver ever misses a line without knowing.
 *
 * Thread: the worker's, or who makes it stand still.
 */
#ifndef TARN_WORKER_NOTICES_H
#define TARN_WORKER_NOTICES_H

#include "base/span.h"

#include <stdint.h>

/* Bytes on their way to one worker, beyond the first notice. */
#define NOTICES_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct notices;
struct post;
struct worker;

enum notice {
    NOTICE_MESSAGE,      /* of a channel: for pubsub_deliver() */
    NOTICE_MONITOR_LINE, /* for monitor_deliver(); it has no channel */
};

struct notices *notices_new(void);
void notices_free(struct notices *notices);

/* Tells the workers whose bits are set; never the worker itself. The spans are copied. */
void notices_add(struct worker *worker, uint64_t targets, enum notice kind, struct span channel,
                 struct span text);
/* Closes whoever was not told something. Once a period, and when notices arrive. */
void notices_settle_losses(struct worker *worker);
/* Takes what is there for this worker, to be put into its mailbox; NULL: nothing. */
struct post *notices_take(struct notices *notices, uint32_t target);

#endif
