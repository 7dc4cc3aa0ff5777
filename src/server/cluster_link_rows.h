/* Cluster link rows: what CLUSTER LINKS shows: written by the cluster's thread, replied by workers.
 */
#ifndef TARN_SERVER_CLUSTER_LINK_ROWS_H
#define TARN_SERVER_CLUSTER_LINK_ROWS_H

#include "cluster/raft_id.h"
#include "protocol/reply.h"

#include <pthread.h>

struct link_row {
    bool is_connector;
    bool is_full; /* the socket takes nothing for now */
    struct raft_id peer;
    int64_t began_wall_ms;
    size_t allocated_bytes; /* of what is to be sent */
    size_t used_bytes;
};

struct link_rows {
    pthread_mutex_t mutex;
    struct link_row *rows;
    size_t count;
};

void link_rows_init(struct link_rows *rows);
void link_rows_free(struct link_rows *rows);
/* Takes the array, which memory_alloc() made, over. */
void link_rows_set(struct link_rows *rows, struct link_row *array, size_t count);
/* Appends them; answers how many. Any thread. */
size_t link_rows_reply(struct link_rows *rows, struct reply *reply);

#endif
