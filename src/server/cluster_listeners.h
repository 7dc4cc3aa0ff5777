/* Cluster listeners: the sockets at which other nodes knock (cluster_links.h).
 *
 * Thread: the cluster's.
 */
#ifndef TARN_SERVER_CLUSTER_LISTENERS_H
#define TARN_SERVER_CLUSTER_LISTENERS_H

#include "io/loop.h"
#include "io/network.h"

struct cluster_listener {
    struct loop_watch watch;
    int fd;
    bool is_ready;
    bool is_paused; /* the system has no descriptors left */
};

/* Stays where it is from open to close. */
struct cluster_listeners {
    struct loop *loop;
    struct cluster_listener items[NETWORK_LISTENERS_MAX];
    size_t count;
};

/* At each address of the list. False: none is open, errno and the log say why. */
bool cluster_listeners_open(struct cluster_listeners *listeners, struct loop *loop,
                            const char *bind, uint16_t port);
void cluster_listeners_close(struct cluster_listeners *listeners);

/* The connection of somebody who knocks, or -1. */
int cluster_listeners_accept(struct cluster_listeners *listeners);
/* Accepts again after a pause: from time to time. */
void cluster_listeners_resume(struct cluster_listeners *listeners);

#endif
