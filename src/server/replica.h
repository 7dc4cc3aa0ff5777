/* Replica: what a node is while it copies another one.
 *
 *   REPLICAOF, option -> replica_follow() --- the link comes and goes (replica_link.h) ---
 *   REPLICAOF NO ONE  -> replica_promote(): a new history begins, where the log ends
 *   a cluster         -> replica_wait(): it follows nobody, until it is told whom, or promoted
 *
 * The data is whole once no slot is missing and the log has come to where the last image was taken;
 * until then clients are told LOADING, no snapshot is taken, and nobody copies this node.
 *
 * What is on disk is a base and the log behind it. Where a log had to begin anew, there is no base
 * before a snapshot has been taken of the whole data: until then the node reports to its primary
 * that it has written nothing, and a crash would have all slots copied again.
 *
 * Thread: any, unless a function says otherwise; all is behind the mutex. It is held by the
 * replicator during each step of the link, in which nothing waits; so who holds all workers still
 * may take it. While the node is a replica, node.log changes under a stop and with the mutex.
 */
#ifndef TARN_SERVER_REPLICA_H
#define TARN_SERVER_REPLICA_H

#include "cluster/raft_id.h"
#include "replication/follower.h"
#include "replication/redis_follower.h"
#include "server/replica_heal.h"
#include "server/saving_change.h"
#include "worker/client_links.h"

#include <pthread.h>

#define REPLICA_HOST_BYTES 256

struct server;

enum replica_state {
    REPLICA_OFF,        /* the node is a primary */
    REPLICA_WAITING,    /* to connect, again */
    REPLICA_CONNECTING, /* until the handshake is through */
    REPLICA_SYNCING,    /* images are missing or not applied yet, or the log is being changed */
    REPLICA_CONNECTED,
};

/* What became of what the node's log held and a primary's did not. */
struct replica_divergence {
    uint64_t count; /* logs that were cut */
    uint64_t bytes; /* of effects, over all; kept in files */
    uint64_t effects;
    uint64_t keys;
    uint64_t slots;    /* that were touched */
    uint64_t unlisted; /* logs of which it could not be told what of them was lost */
};

/* Of a primary that becomes the replica of one of its own (failover.h). */
enum replica_hand_over {
    HAND_OVER_NONE,
    HAND_OVER_ASKED, /* the link is to say so, until it is answered */
    HAND_OVER_DONE,
    HAND_OVER_REFUSED,
};

/* What the options say of the node as a replica, for a thread that does not stand still while they
 * change. */
struct replica_identity {
    char *user;
    char *password;
    char *announced_address;
    char *source_address;
    char *cluster_secret; /* "": there is none */
    uint16_t announced_port;
};

struct replica {
    struct server *server;
    pthread_mutex_t mutex;
    struct replica_link *link; /* the replicator's */

    enum replica_state state;
    uint64_t generation;           /* of whom to follow: a link of an older one ends */
    uint64_t link_generation;      /* of the link that there is, or was last */
    char host[REPLICA_HOST_BYTES]; /* empty: nobody is followed */
    uint16_t port;
    struct client_link client; /* the link, once it is one; id 0: it is not */
    struct raft_id primary;    /* its name in the cluster; none: it is in none */
    bool promotes;             /* as soon as the log has been changed */
    enum replica_hand_over hand_over;

    struct replica_identity identity;
    struct redis_stand redis_stand; /* where the stream of a redis-server stands */
    struct replica_slots *slots;    /* NULL until the node copies another one for the first time */
    uint64_t images_end;            /* no image is of a later position */
    bool is_complete;               /* of the last sync, all images came ... */
    uint64_t complete;              /* ... before this mark of applying.h */
    struct replica_heal heal;
    bool needs_base;
    uint64_t base_job; /* number of the snapshot that will be the base, 0: none */
    int64_t base_retry_ms;

    struct saving_change change;
    bool is_changing;

    struct replica_divergence divergence;
    struct follower_figures figures; /* of the link */
    uint64_t full_syncs;
    uint64_t partial_syncs;
    int64_t down_since_ms; /* monotonic; of the link */
    char reason[128];      /* why it went down */
};

void replica_init(struct replica *replica, struct server *server);
/* All threads have ended. */
void replica_destroy(struct replica *replica);

/* Takes over what the options say. Under a stop of all workers, or before they run. */
void replica_configure(struct replica *replica);
/* From here on the node copies that one. Under a stop of all workers, or before they serve. */
void replica_follow(struct replica *replica, const char *host, uint16_t port);
/* Likewise, a node of its cluster. */
void replica_follow_node(struct replica *replica, const char *host, uint16_t port,
                         const struct raft_id *id);
/* Likewise, and that one is to be the primary in this node's place. */
void replica_hand_over(struct replica *replica, const char *host, uint16_t port);
/* As replica_follow(), but it copies nobody: nothing is added any more to what it holds. */
void replica_wait(struct replica *replica);
/* It has been told to, and what it holds is not all that it should. */
void replica_lacks(struct replica *replica);
/* It waits so, the last link has been closed, and all that it brought is applied. Any thread. */
bool replica_stands_still(struct replica *replica);
/* What came of it. */
enum replica_hand_over replica_hand_over_answer(struct replica *replica);
/* The node is a primary from here on. As replica_follow(). */
void replica_promote(struct replica *replica);
/* The option replicaof, as CONFIG GET shows it and CONFIG REWRITE keeps it: host and port, or "no"
 * and "one". Under a stop of all workers. */
void replica_set_option(struct server *server, const struct span words[2]);

bool replica_is_on(struct replica *replica);
/* The data is whole: it may be copied and saved. True of a primary. */
bool replica_is_whole(struct replica *replica);

/* The saving thread has changed the log as replica.change says. */
void replica_log_changed(struct replica *replica);

/* ---- for the link, with the mutex ---- */

extern const struct follower_target replica_target; /* its context is the replica */

/* What is known to be missing has come: tells clients. */
void replica_settle(struct replica *replica, uint64_t applied, int64_t now_ms);
/* What the node reports. */
void replica_progress(struct replica *replica, uint64_t applied,
                      struct follower_progress *progress);

#endif
