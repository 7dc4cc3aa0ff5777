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

#include "replication/message.h"

#include <pthread.h>

enum replication_role { REPLICATION_PRIMARY, REPLICATION_REPLICA };

struct replication {
    pthread_mutex_t mutex;
    enum replication_role role;
    struct lineage lineage;
    uint64_t lineage_changes; /* so far */
    /* Drawn, or recovered from the log; constant once the node serves. */
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
};

void replication_init(struct replication *replication);
void replication_destroy(struct replication *replication);

enum replication_role replication_role(struct replication *replication);
void replication_set_role(struct replication *replication, enum replication_role role);

/* Copies the lineage if it has changed since *changes, which is updated. True: it has. */
bool replication_lineage_read(struct replication *replication, struct lineage *lineage,
                              uint64_t *changes);
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

#endif
