/* Client links: what CLIENT LIST and CLIENT KILL know of the sockets that are no clients' any more:
 * those of replicas, and the one to the primary. The server layer's, which has them.
 *
 * Thread: any, under a stop of all workers or not; what is read is as it was a moment ago.
 */
#ifndef TARN_WORKER_CLIENT_LINKS_H
#define TARN_WORKER_CLIENT_LINKS_H

#include "io/network.h"
#include "replication/quorum.h"

/* All replicas, and the primary. */
#define CLIENT_LINKS_MAX (QUORUM_MEMBERS_MAX + 1)
/* Of a longer name, the beginning. */
#define CLIENT_LINK_USER_BYTES 64

struct connection;

struct client_link {
    uint64_t id;
    int fd;
    bool is_primary;                  /* to it; else from a replica */
    char peer[NETWORK_ADDRESS_BYTES]; /* as CLIENT LIST writes them */
    char own[NETWORK_ADDRESS_BYTES];
    char user[CLIENT_LINK_USER_BYTES]; /* as who a replica came */
    const char *command;               /* its last one, or NULL */
    int64_t created_ms;                /* wall clock */
    int64_t heard_ms;                  /* clock_monotonic_us() / 1000 */
    uint64_t output_bytes;             /* memory of what is to be sent */
};

struct client_links {
    void *context;
    /* Answers how many there are. */
    uint32_t (*read)(void *context, struct client_link links[CLIENT_LINKS_MAX]);
    /* Ends that one, some time soon, if it is still there. */
    void (*kill)(void *context, uint64_t id);
};

/* What a connection that becomes a replica's link was. On its home. */
void client_link_take(struct client_link *link, const struct connection *connection,
                      const char *command);

#endif
