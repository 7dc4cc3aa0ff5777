/* Cluster: a node's seat in its cluster. It joins what clients ask for (CLUSTER ADDSLOTS ...), what
 * the group decides, and what the workers see of it (worker/cluster.h).
 *
 *   worker                   the cluster's thread                      its part
 *   cluster_run() ---------> plans under a stop of the workers,
 *   (the command waits)      one question at a time -----------------> propose(), meet() ...
 *                            cluster_publish() <---------------------- committed
 *   cluster_run() again <--- cluster_answer() <----------------------- its outcome
 *
 *  1. The map that the workers see changes under a stop of all of them, before whoever asked for
 *     the change is answered. The thread waits for no stop: the heartbeats go on while a worker is
 *     busy.
 *  2. What one question asks for is one entry of the group's log: all of it takes place or none.
 *     EXEC with several CLUSTER commands is one question (cluster_queue_is_ready()).
 *  3. A question is planned against a published map, and not before the one before it is answered:
 *     a part answers each within a bounded time, and says so if the outcome is unknown.
 *
 * The part (struct cluster_part) is how the node takes part in its group: cluster_member.h.
 *
 * Lifecycle: cluster_open() before the workers run; cluster_start() when they do, cluster_loaded()
 * when they have their data; cluster_end() while they still run; cluster_close(). Without
 * cluster-enabled server->seat is NULL, and these do nothing.
 * Thread: publish, answer and the peers: the cluster's thread; commands: workers.
 */
#ifndef TARN_SERVER_CLUSTER_H
#define TARN_SERVER_CLUSTER_H

#include "cluster/map_change.h"
#include "io/disk.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "server/cluster_links.h"
#include "server/cluster_options.h"
#include "worker/cluster.h"
#include "worker/stop.h"

#include <pthread.h>
#include <stdatomic.h>

/* In dir: the folder of the group's log and of the node's own name (cluster/member_file.h). */
#define CLUSTER_FOLDER "cluster"
/* An answer that nobody fetched (its client has gone) is kept so long. */
#define CLUSTER_ANSWER_KEPT_MS 60000
/* Names of nodes that were forgotten: the first FORGET does it for all, the others are told so. */
#define CLUSTER_FORGOTTEN_KEPT 64
#define CLUSTER_WEAKNESS_BYTES 512
/* How often the workers are told what is known of the other nodes, if nothing happens. */
#define CLUSTER_PEERS_PERIOD_MS 500

struct server;
struct session;
struct cluster_seat;

/* ---- what is asked for ---- */

enum cluster_wish_kind {
    CLUSTER_WISH_NOTHING, /* a change of the map, if its entry is not empty */
    CLUSTER_WISH_MEET,
    CLUSTER_WISH_FAILOVER,
    CLUSTER_WISH_RESET,
    CLUSTER_WISH_OVERRIDE,
};

enum cluster_failover {
    CLUSTER_FAILOVER_ORDERLY,
    CLUSTER_FAILOVER_FORCE,
    CLUSTER_FAILOVER_TAKEOVER
};

struct cluster_wish {
    enum cluster_wish_kind kind;
    char ip[MAP_IP_BYTES]; /* MEET */
    uint16_t port;
    uint16_t bus_port;
    enum cluster_failover failover;
    bool is_hard; /* RESET: under a new name, and with no epoch */
};

/* What the options say: of the node itself, and of how it takes part. */
struct cluster_settings {
    struct map_facts facts;
    uint64_t node_timeout_ms;
    uint16_t voters;
    uint16_t quorum;
    bool no_failover;
    bool migrates_replicas;
    uint16_t migration_barrier;
    struct cluster_links_settings links;
};

/* A node's part in its group. All functions run on the cluster's thread; each ticket is answered by
 * cluster_answer(), within the call or later. */
struct cluster_part {
    void *context;
    /* It may act from now on: the workers run, and what the log had is loaded. */
    void (*start)(void *context);
    /* Changes of the map, as map_change_write() writes them: answered when the map that this node's
     * workers see has them. */
    void (*propose)(void *context, struct span entry, uint64_t ticket);
    void (*meet)(void *context, const struct cluster_wish *wish, uint64_t ticket);
    void (*failover)(void *context, enum cluster_failover failover, uint64_t ticket);
    /* Before the node ends: its shard and its leadership go to others; at the latest after so
     * long. */
    void (*leave)(void *context, uint64_t timeout_ms, uint64_t ticket);
    /* Leaves the group, founds another one. */
    void (*reset)(void *context, bool is_hard, uint64_t ticket);
    /* A majority of those that decide is lost for good: founds a group of the others. */
    void (*override)(void *context, uint64_t ticket);
    void (*options_changed)(void *context, const struct cluster_settings *settings);
    /* Rows of CLUSTER LINKS: appends to the reply, answers how many. On a worker; may be NULL. */
    size_t (*links)(void *context, struct reply *reply);
    /* Behind each iteration of the loop; the part has its own timers and watches in seat->loop. */
    void (*step)(void *context, int64_t now_ms);
    void (*end)(void *context); /* the thread ends */
    void (*close)(void *context);
};

/* ---- the seat ---- */

/* What INFO tells of the part. */
struct cluster_figures {
    char leader[MAP_ID_TEXT_BYTES]; /* "": nobody is known to lead */
    bool is_leader;
    bool is_voter;
    uint64_t voters;
    uint64_t links;
    uint64_t links_bytes;
    uint64_t unknown_messages; /* skipped: a later version's */
    bool has_weakness;
    char weakness[CLUSTER_WEAKNESS_BYTES]; /* what the cluster cannot survive, or waits for */
};

struct cluster_answers;
struct cluster_question;
struct cluster_publications;
struct cluster_role;

/* A message to the thread; `run` frees it. */
struct cluster_post {
    struct mailbox_node mail;
    void (*run)(struct cluster_seat *seat, struct cluster_post *post);
};

/* A map on its way to the workers. One visit is under way at a time; it takes the newest. */
struct cluster_publication {
    struct visit visit;
    struct cluster_post done;
    bool is_under_way; /* the thread's */
    struct map *map;   /* with the mutex, as is its id; NULL: none waits */
    unsigned char id[MAP_ID_BYTES];
};

struct cluster_seat {
    struct mailbox mailbox;
    struct server *server;
    struct loop *loop;
    pthread_t thread;
    struct loop_timer timer;
    uint16_t bus_port;
    int64_t now_ms; /* the boot clock, of this iteration */
    bool is_stopping;
    bool is_running;                /* the thread */
    struct disk disk;               /* of CLUSTER_FOLDER */
    unsigned char id[MAP_ID_BYTES]; /* changes under a stop of all workers: RESET HARD */
    struct cluster face;            /* node->cluster: what the workers see */
    struct cluster_part part;
    struct cluster_role *role;
    struct cluster_publication publication;
    struct cluster_traffic traffic;
    struct cluster_publications *publications;
    struct slot_set owned; /* when it was looked at last: cluster_keep_leftovers() */
    bool has_copy; /* the data is what was copied as a replica, and no slot of it has come since */
    bool drops_copy; /* it goes once the node is alone: RESET */
    unsigned char forgotten[CLUSTER_FORGOTTEN_KEPT][MAP_ID_BYTES]; /* changed under a stop */
    uint64_t forgotten_count; /* so far: the last ones are kept */

    pthread_mutex_t mutex; /* of what follows */
    struct list questions; /* whose answers were not fetched yet, oldest first */
    uint64_t tickets;
    struct map_peer *peers; /* of the published map's nodes */
    const struct map *peers_map;
    struct cluster_figures figures;
    uint32_t peers_count;
    atomic_uint_least64_t shown_version; /* rises with what CLUSTER NODES and its like show */
    struct cluster_answers *answers[KEYSPACE_STORES_MAX]; /* each worker's own */
    /* The thread's: the question that is being carried out, and its answer, which waits for the
     * workers to see the map. */
    struct cluster_question *current;
    bool has_answer;
    bool has_error;
    struct buffer error;
    struct cluster_post planned;
    atomic_bool is_leaving; /* cluster_leave() has been called, and is not answered yet */
};

/* The ticket of cluster_leave(). */
#define CLUSTER_LEAVE_TICKET UINT64_MAX

/* Reads or draws the node's name and opens the part. 0 or an exit code of sysexits(3), the log says
 * why. */
int cluster_open(struct server *server);
/* The thread begins. 0 or an exit code. */
int cluster_start(struct server *server);
/* All data is loaded: the part may act. */
void cluster_loaded(struct server *server);
/* The node is to end: what it does in the cluster is handed over. It is over when
 * cluster_is_leaving() is false, at the latest after so long. The main thread. */
void cluster_leave(struct server *server, uint64_t timeout_ms);
bool cluster_is_leaving(const struct server *server);
void cluster_end(struct server *server); /* the thread ends; allowed where none began */
void cluster_close(struct server *server);
/* Options have changed: the state that workers see follows; the part is told. Under a stop. */
void cluster_options_changed(struct server *server);

/* Runs the post on the thread. Any thread, until cluster_end(). */
void cluster_post(struct cluster_seat *seat, struct cluster_post *post);

/* For INFO. Any thread; all zero without a cluster. */
void cluster_figures_read(struct cluster_seat *seat, struct cluster_figures *figures);

/* Keys that this node holds in the slot: on the slot's worker, or under a stop. */
uint64_t cluster_slot_keys(const struct server *server, uint16_t slot);
/* Keys of slots that were this node's and are another shard's now go to a file: migrate.h. While
 * the data is loaded or the role is open, that is left for later. Under a stop. */
void cluster_keep_leftovers(struct cluster_seat *seat);
/* What a replica holds is its primary's, so RESET drops it, as in redis-server: once the node, or
 * its map, has changed so that it is a primary alone. Under a stop. */
void cluster_drop_copy(struct cluster_seat *seat);
/* The id is one of the last that went out of the map while this node runs. Under a stop. */
bool cluster_was_forgotten(const struct cluster_seat *seat, struct span id);

/* What the options say. Under a stop, or before the workers run. */
void cluster_settings_read(const struct cluster_seat *seat, struct cluster_settings *settings);

/* ---- for the part, on the cluster's thread ---- */

/* The workers see this map from their next stop on, and this node under that id in it; at once, if
 * they do not run yet. */
void cluster_publish(struct cluster_seat *seat, struct map *map,
                     const unsigned char id[MAP_ID_BYTES]);
/* Copies what is known of the map's nodes, in its order; unless the workers see another map. */
void cluster_set_peers(struct cluster_seat *seat, const struct map *map,
                       const struct map_peer *peers);
void cluster_set_figures(struct cluster_seat *seat, const struct cluster_figures *figures);
/* NULL, or an error with its code word. It is given once the workers see what was published. */
void cluster_answer(struct cluster_seat *seat, uint64_t ticket, const char *error);

/* ---- questions: what commands ask for (cluster_questions.c) ---- */

struct cluster_plan {
    struct server *server;
    const struct map *map; /* with what the commands before this one change */
    uint16_t myself;
    struct cluster_wish *wish;
    struct buffer *entry;  /* changes are appended */
    struct buffer *error;  /* why it cannot be, with its code word; else it stays empty */
    struct buffer *status; /* what the client gets in place of OK, with its zero */
};
/* What a command wants. Under a stop of all workers. */
typedef void (*cluster_planner)(struct cluster_plan *plan, const struct span *args,
                                uint32_t args_count);

/* The session function of a COMMAND_WAITS command with RULE_CHANGES_MAP: it waits, or is
 * answered. */
void cluster_run(struct session *session, cluster_planner planner);

/* Carries out the questions that wait, as far as it can. On the thread. */
void cluster_questions_step(struct cluster_seat *seat);
void cluster_questions_free(struct cluster_seat *seat);
/* The workers see what was published: who waits for it is answered. */
void cluster_published(struct cluster_seat *seat);
/* For node->queue_is_ready. */
bool cluster_queue_is_ready(struct worker *worker, struct connection *connection);
/* Of a row of the command table, with so many arguments; NULL: it asks for nothing
 * (cluster_commands.c). */
cluster_planner cluster_planner_of(const struct command *command, uint32_t args_count);

#endif
