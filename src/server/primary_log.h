/* Primary log: the log of a running primary from a place on, read over a link (replication/feed.h)
 * as a replica does. It says of itself that it has written nothing, so no write waits for it.
 *
 * Lifecycle: primary_log_open(), primary_log_read() as often as wanted, primary_log_close()
 * whatever was answered. What goes wrong is a sentence in the report of the client's plan. Blocks.
 * One owner, one thread.
 */
#ifndef TARN_SERVER_PRIMARY_LOG_H
#define TARN_SERVER_PRIMARY_LOG_H

#include "replication/lineage.h"
#include "server/diverged_changes.h"
#include "server/resp_client.h"

struct primary_log {
    struct resp_client client;
    uint64_t seed; /* of the link's checksums */
    uint64_t position;
    uint64_t length; /* of the frame that is being read; 0: none is */
    int64_t time_ms;
    struct buffer content;
};

/* False, too, when the primary does not hold its log back to this place of this history: the report
 * says so. */
bool primary_log_open(struct primary_log *log, const struct resp_client_plan *plan,
                      const struct lineage_part *place);
void primary_log_close(struct primary_log *log);

typedef bool primary_log_frame(void *context, const struct diverged_frame *frame);

/* The frames up to this position, which the primary's log has come to or will. False: it broke, or
 * the function said so. */
bool primary_log_read(struct primary_log *log, uint64_t position, primary_log_frame *frame,
                      void *context);

#endif
