/* Persistence: what the node begins with and what it leaves behind.
 *
 *   prepare: finds snapshot and log -> a thread checks the log, has its torn tail cut -> workers
 *   load -> or, if there was nothing, what a redis-server left is imported -> start: the log is
 *   opened with a new history, saving begins -> ... -> stop: a last snapshot if rules ask for it,
 *   the log is closed
 *
 * In the folder `dir`
 *   dump.snapshot   the last snapshot (snapshot/snapshot_file.h); named after dbfilename
 *   log/            the log's segments (oplog/segment.h), when appendonly is on
 *   dump.rdb        of redis-server: read at the first start, when neither of the others is there
 *
 * The snapshot must be of a history that the log goes on from; whatever else is found is refused,
 * with exit code 70 (EX_SOFTWARE), and nothing is touched; 74 (EX_IOERR): it cannot be read.
 *
 * Thread: the main one.
 */
#ifndef TARN_SERVER_PERSISTENCE_H
#define TARN_SERVER_PERSISTENCE_H

#include "server/saving.h"

struct persistence;

/* Finds what there is; the workers do not run yet. 0, or an exit code: the log says why. */
int persistence_prepare(struct server *server);
/* The workers run: waits up to so long until all is loaded, or cannot be. */
bool persistence_is_loaded(struct server *server, int64_t timeout_ms);
struct persistence_progress {
    int64_t began_us;     /* clock_monotonic_us() */
    uint64_t total_bytes; /* of all that is read */
    uint64_t done_bytes;
};
/* Of the loading. Under a stop, while the node is_loading. */
void persistence_progress(const struct server *server, struct persistence_progress *progress);
/* All is loaded, or loading failed: then an exit code. Opens the log, begins to save. */
int persistence_start(struct server *server);
/* While the workers run: a last snapshot, if it is asked for. False: it failed. */
bool persistence_save_last(struct server *server);
/* Likewise: no snapshot is taken any more, and nothing imported. */
void persistence_end_saving(struct server *server);
/* The workers have ended. */
void persistence_stop(struct server *server);

#endif
