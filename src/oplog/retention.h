/* Retention: up to where the log may be trimmed. A pure function of who needs what.
 *
 *   always kept   what a snapshot goes on from, what replicas that are connected have not got yet,
 *                 and the last backlog_bytes, for whoever comes
 *   kept for a    what replicas that were here and are away have not got yet, up to
 *   while         absent_bytes_max behind the end, and absent_ms_max back in time
 *
 * Where room is short, what is kept for replicas that are away, or may come, gives way.
 *
 * A replica that is away for longer gets images again, not the log.
 */
#ifndef TARN_OPLOG_RETENTION_H
#define TARN_OPLOG_RETENTION_H

#include "oplog/oplog.h"

#define RETENTION_NOBODY UINT64_MAX /* a position: nobody needs any */
#define RETENTION_NO_LIMIT INT64_MAX

struct retention {
    uint64_t end;       /* of the log */
    uint64_t snapshot;  /* where the oldest one goes on, 0: there is none; RETENTION_NOBODY: the log
                         * is not what a start reads */
    uint64_t connected; /* the least that one of them has, or RETENTION_NOBODY */
    uint64_t absent;    /* the same of those that are away */
    bool is_short;      /* of room: only what is always kept, without the backlog */
    uint64_t backlog_bytes;
    uint64_t absent_bytes_max;            /* UINT64_MAX: no limit */
    int64_t absent_ms_max;                /* RETENTION_NO_LIMIT: none */
    int64_t now_ms;                       /* wall clock, as the frames' times */
    const struct oplog_segment *segments; /* oplog_segments(): oldest first */
    size_t segments_count;
};

/* What stands before that position is needed by nobody: oplog_trim() may take it. */
uint64_t retention_position(const struct retention *retention);

#endif
