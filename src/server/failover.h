/* Failover: a primary hands its role over to one of its replicas, with no write lost.
 *
 *   NONE -> WAITING     FAILOVER: writes are held                            [failover_begin]
 *   WAITING -> RUNNING  a replica has all of the log, or with FORCE the time is over: the node
 *                       becomes its replica, and says so on its link         [failover_step]
 *   WAITING -> NONE     the time is over, or FAILOVER ABORT: writes go on
 *   RUNNING -> NONE     the target has become a primary: writes that were held are refused as a
 *                       replica refuses them
 *   RUNNING -> NONE     the target refuses, or FAILOVER ABORT: the node is a primary again
 *
 * The old primary's link begins with REPLCONF tarn-link VERSION NONCE FAILOVER HISTORY: the target
 * forks the history that it names, if that is its own, and serves the link, as soon as the old
 * primary goes on with it: what a link brings that has been given up changes nothing. Nor does it
 * when it is said again, by a link whose answer was lost.
 *
 * Under one stop the log is found to end where the target's does, and the node becomes a replica:
 * so what is in it is in the target's, and the old primary goes on by a partial sync.
 *
 * Thread: failover_step() is the replicator's; failover_state() any; others under a stop of all
 * workers. The mutex is never held over a stop.
 */
#ifndef TARN_SERVER_FAILOVER_H
#define TARN_SERVER_FAILOVER_H

#include "server/replica.h"

#define FAILOVER_WORD "FAILOVER"

enum failover_state { FAILOVER_NONE, FAILOVER_WAITING, FAILOVER_RUNNING };

struct failover_plan {
    char host[REPLICA_HOST_BYTES]; /* of the target; empty: whoever has all first */
    uint16_t port;
    bool is_forced;   /* when the time is over, to a target that does not have all */
    int64_t until_ms; /* monotonic; 0: no limit */
};

struct failover {
    pthread_mutex_t mutex;
    enum failover_state state;
    uint64_t number; /* of the failover, so that one that was aborted is told from the next */
    struct failover_plan plan;
};

void failover_init(struct failover *failover);
void failover_destroy(struct failover *failover);

enum failover_state failover_state(struct failover *failover);
/* As INFO names it. */
const char *failover_state_name(enum failover_state state);

/* The state is NONE, the node a primary. */
void failover_begin(struct server *server, const struct failover_plan *plan);
/* Whatever the state is. False: there was nothing to abort. */
bool failover_abort(struct server *server, const char *reason);
/* In each iteration of the replicator's loop. */
void failover_step(struct server *server);

/* ---- the target ---- */

/* NULL if this node takes over from a primary whose history that is (history_format()); else why
 * not, for its error reply. Any thread. */
const char *failover_refusal(struct server *server, struct span history);
/* If the node is still a replica, it becomes a primary. The replicator's thread. */
void failover_take_over(struct server *server);

#endif
