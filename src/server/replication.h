/* Replication: what a node is in replication, and what its log went through. The links themselves
 * are the replicator's (replicator.h).
 *
 * The lineage is that of the node's data, whether a log is on or not: it is taken over from what
 * was recovered, and grows with each history that begins. Changes that no log recorded end it: then
 * it begins anew, and nobody's log can be compared with what was before.
 *
 * Thread: any, but for init and destroy; all is behind the mutex.
 */
#ifndef TARN_SERVER_REPLICATION_H
#define TARN_SERVER_REPLICATION_H

#include "io/network.h"
#include "oplog/retention.h"
#include "replication/digest_rounds.h"
#include "replication/feed.h"
#include "replication/quorum.h"
#include "worker/client_links.h"

#include <pthread.h>

/* Links to replicas at one time. */
#define REPLICATION_LINKS_MAX QUORUM_MEMBERS_MAX
/* Replicas that are away and known: the one that left first is forgotten for another. */
#define REPLICATION_ABSENT_MAX 64

enum replication_role { REPLICATION_PRIMARY, REPLICATION_REPLICA };

/* A link to a replica, as it was when the replicator last looked. */
struct replication_link {
    uint32_t number; /* among REPLICATION_LINKS_MAX: no two have the same at one time */
    char address[NETWORK_ADDRESS_BYTES]; /* where clients find the replica, as it says itself */
    uint16_t port;
    bool waits;    /* for a log to begin */
    bool is_redis; /* the replica is a redis-server */
    enum feed_stage stage;
    struct feed_figures figures;
    int64_t began_ms;    /* by clock_monotonic_us() / 1000, as figures.heard_ms */
    uint64_t sent_bytes; /* to the socket */
    uint64_t held_bytes; /* of memory, for what is on its way */
};

/* What the options say, for threads that do not stand still while those change. */
struct replication_settings {
    uint64_t backlog_bytes;
    int64_t backlog_ms; /* without a replica; 0: for ever */
    uint64_t absent_bytes;
    int64_t absent_ms;
    uint64_t memory_bytes_max; /* of a log in memory, while it is more than the backlog */
    int64_t timeout_ms;
    int64_t ping_ms;          /* of replicas that are redis-servers */
    int64_t digest_period_ms; /* 0: off */
    bool is_delayed;          /* the sockets: Nagle's algorithm */
};

/* A replica that was here: the log is kept for it for a while. */
struct replication_absent {
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    uint64_t position;
    int64_t since_ms; /* wall clock */
};

struct replication {
    pthread_mutex_t mutex;
    enum replication_role role;
    struct lineage lineage;
    uint64_t lineage_changes; /* so far */
    struct replication_settings settings;
    struct digest_figures digests;
    uint64_t healed; /* slots of replicas, by an image */
    /* Replicas. */
    struct replication_link links[REPLICATION_LINKS_MAX];
    uint32_t links_count;
    struct client_link clients[REPLICATION_LINKS_MAX];        /* by their links' number */
    struct replication_absent absent[REPLICATION_ABSENT_MAX]; /* who left first comes first */
    uint32_t absent_count;
    bool has_backlog;  /* there was a replica, not too long ago */
    uint64_t needs;    /* from where on they need the log, or RETENTION_NOBODY */
    uint64_t reserved; /* the same of one that is being told whether it may go on */
    uint64_t trimmed;  /* what was before may be gone */
    uint64_t full_syncs;
    uint64_t partial_syncs;
    uint64_t partial_syncs_refused;
    /* Drawn, or recovered from the log or else the snapshot; constant once the node serves. */
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
    /* In a cluster, the node's name there, by which its links know it. */
    unsigned char cluster_id[MESSAGE_NODE_ID_BYTES];
    bool is_in_cluster;
    const struct oplog *log; /* node.log, for threads that do not stand still; or NULL */
};

void replication_init(struct replication *replication);
void replication_destroy(struct replication *replication);

enum replication_role replication_role(struct replication *replication);
void replication_set_role(struct replication *replication, enum replication_role role);

/* What the node says of itself on its links. */
void replication_name(struct replication *replication, unsigned char id[MESSAGE_NODE_ID_BYTES]);
void replication_set_cluster_id(struct replication *replication,
                                const unsigned char id[MESSAGE_NODE_ID_BYTES]);

/* Copies the lineage if it has changed since *changes, which is updated. True: it has. */
bool replication_lineage_read(struct replication *replication, struct lineage *lineage,
                              uint64_t *changes);
/* Updates *changes alike. True: it has changed. */
bool replication_lineage_changes(struct replication *replication, uint64_t *changes);
void replication_lineage_set(struct replication *replication, const struct lineage *lineage);
/* This history goes on from there. */
void replication_lineage_turn(struct replication *replication, const struct history *history,
                              uint64_t begin);
/* It begins there, and what was before cannot be compared with anything. */
void replication_lineage_begin(struct replication *replication, const struct history *history,
                               uint64_t begin);
/* What came after this history, which is one of them, is taken back. */
void replication_lineage_cut(struct replication *replication, const struct history *history);
/* The history that holds now; none before the first. */
struct history replication_history(struct replication *replication);

/* What was found by comparing the copies of slots. */
void replication_digests_publish(struct replication *replication,
                                 const struct digest_figures *figures, uint64_t healed);
struct digest_figures replication_digests(struct replication *replication);

void replication_settings_set(struct replication *replication,
                              const struct replication_settings *settings);
struct replication_settings replication_settings(struct replication *replication);

/* ---- the replicas of this node ---- */

/* What the links are now, and from where on they need the log. By the replicator. */
void replication_links_publish(struct replication *replication,
                               const struct replication_link *links, uint32_t count,
                               uint64_t needs);
/* Copies them; answers how many. */
uint32_t replication_links_read(struct replication *replication,
                                struct replication_link links[REPLICATION_LINKS_MAX]);

/* The client that this link was. */
void replication_client_set(struct replication *replication, uint32_t number,
                            const struct client_link *client);
/* Those of all links. Answers how many. */
uint32_t replication_clients_read(struct replication *replication,
                                  struct client_link clients[REPLICATION_LINKS_MAX]);

/* Whether one more replica may come, as of the last time that they were published. */
bool replication_has_room(struct replication *replication);

/* A replica has left, and needs the log from there on. */
void replication_absent_add(struct replication *replication,
                            const struct replication_absent *absent);
/* It is back: its link says from now on what it needs. */
void replication_absent_remove(struct replication *replication,
                               const unsigned char node_id[MESSAGE_NODE_ID_BYTES]);

/* Whether the backlog is kept for whoever comes. */
void replication_set_backlog(struct replication *replication, bool has_backlog);

/* node.log is another one, or none. With each change of it, before the one that was is closed. */
void replication_set_log(struct replication *replication, const struct oplog *log);
/* Where the log ends; 0: there is none. */
uint64_t replication_log_end(struct replication *replication);
/* The first position that the log holds; all from there on stays until the links are published
 * again. */
uint64_t replication_log_start(struct replication *replication, struct oplog *log);
/* Up to where the log may be trimmed; what is before counts as gone from now on. Of the retention
 * end, snapshot and segments are set. */
uint64_t replication_trim(struct replication *replication, struct retention *retention,
                          bool is_memory);
/* What is before may be gone. */
uint64_t replication_trimmed(struct replication *replication);

/* A replica was told to go on so. */
void replication_count_sync(struct replication *replication, enum plan_mode mode);
/* "goes on where it was", ...; for messages. */
const char *replication_plan_name(enum plan_mode mode);

#endif
