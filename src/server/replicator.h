/* Replicator: the thread on which all replication links of this node run, in an event loop of its
 * own. No worker waits for it, nor for a link.
 *
 * Lifecycle: replicator_new() starts it before the workers load, so that whoever opens a log finds
 * it; replicator_end() closes all links and ends the thread, after saving_end() and while the
 * workers still run; replicator_free().
 * Thread: posts come from any thread; all else is the replicator's own.
 *
 * It may wait for a short stop of the workers (stop_visit()), never for the saving thread, which
 * waits for it.
 */
#ifndef TARN_SERVER_REPLICATOR_H
#define TARN_SERVER_REPLICATOR_H

#include "io/loop.h"
#include "io/mailbox.h"
#include "server/server.h"

/* How often what depends on time is looked at, while there are links. */
#define REPLICATOR_PERIOD_MS 50
/* Behind what was sent the thread rests, so that what is appended meanwhile costs one wake-up and
 * goes in one piece. It does not while anybody waits for what replicas hold, nor on a replica,
 * whose primary may be waited for. */
#define REPLICATOR_REST_MS 1

struct anti_entropy;
struct primary_links;
struct replica_link;

/* The log that links read. */
struct replicator_log {
    struct oplog *log; /* NULL: none is on */
    const struct disk *folder;
    bool is_memory;
};

struct replicator {
    struct mailbox mailbox;
    struct server *server;
    struct loop *loop;
    pthread_t thread;
    struct loop_timer timer;
    bool watches_time;                   /* the timer runs */
    struct loop_timer rest;              /* its end, while it runs */
    int64_t now_ms;                      /* monotonic, of this iteration */
    struct primary_links *primary_links; /* NULL: the thread has ended */
    struct replica_link *replica_link;
    struct anti_entropy *anti_entropy; /* likewise */
    struct cluster_seat *seat;         /* that is told; or NULL */
    bool is_stopping;
};

/* A message to the thread; `run` frees it. */
struct replicator_post {
    struct mailbox_node mail;
    void (*run)(struct replicator *replicator, struct replicator_post *post);
};

/* NULL: errno says why not. */
struct replicator *replicator_new(struct server *server);
void replicator_end(struct replicator *replicator);
void replicator_free(struct replicator *replicator);

/* Runs post->run on the thread. Any thread, until replicator_end(). */
void replicator_post(struct replicator *replicator, struct replicator_post *post);

/* From now on the seat's role hears of what happens here (cluster_role_step()). */
void replicator_watch(struct replicator *replicator, struct cluster_seat *seat);

/* The log that is on from now on; what was on before is not used any more when this returns. As
 * replicator_call(). */
void replicator_set_log(struct replicator *replicator, const struct replicator_log *log);

/* Runs the function on the thread, and waits for its end. Not on workers, nor on that thread. */
void replicator_call(struct replicator *replicator, void (*run)(void *context), void *context);

#endif
