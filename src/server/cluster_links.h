/* Cluster links: this node's links to other nodes: sockets, the proof of the secret
 * (cluster/bus_link.h), and who is to be connected.
 *
 *   accepted  ----\                           /---> up() ... receive() ... down()
 *   connected -----> [proving] --- proved ---/
 *                        \---- refused: a line in the log
 *
 * A pair of nodes has one link. Where both have connected, the one that the node with the smaller
 * id began stays; of two that one node began, the younger: both ends decide alike.
 *
 * Bounds
 *   proving    LINKS_PROVING_MAX that were accepted; the oldest makes way. Each ends after
 *              LINKS_PROOF_MS, and holds what is read in one go.
 *   proved     LINKS_PROVED_MAX. What waits to be sent: cluster-link-sendbuf-limit; a link with
 *              more is closed. What is read: one frame.
 *   silent     a link that brings nothing for so long as the settings say is closed; so each end
 *              sends a ping from time to time.
 *
 * Without a secret only peers at loopback addresses are let in, and connected, unless
 * cluster-allow-unauthenticated-nodes says otherwise.
 *
 * Thread: the cluster's, but for cluster_links_reply().
 */
#ifndef TARN_SERVER_CLUSTER_LINKS_H
#define TARN_SERVER_CLUSTER_LINKS_H

#include "cluster/bus_link.h"
#include "io/loop.h"
#include "protocol/reply.h"

#include <stdatomic.h>

#define LINKS_PROVING_MAX 64
#define LINKS_PROVED_MAX (MAP_NODES_MAX - 1)
#define LINKS_PROOF_MS 2000
/* The limit of what waits where cluster-link-sendbuf-limit is 0. */
#define LINKS_WAITING_BYTES_MAX ((size_t)64 * 1024 * 1024)
/* Refusals are told at most so often. */
#define LINKS_TELL_MS 1000
#define LINKS_SECRET_BYTES 256

struct cluster_links;

/* Of the bus: CLUSTER INFO. Read by workers. */
struct cluster_traffic {
    atomic_uint_least64_t sent;
    atomic_uint_least64_t received;
    atomic_uint_least64_t links_over_limit;
};

/* Called from within cluster_links_step(); send() and set_targets() may be called from them. */
struct cluster_links_outlet {
    void *context;
    /* The link to a node is there, or is another one; ip and port (0: it is not known) as it was
     * connected. */
    void (*up)(void *context, const struct raft_id *id, const char *ip, uint16_t bus_port);
    /* is_dead: the node's address refuses connections. May come where no link was. */
    void (*down)(void *context, const struct raft_id *id, bool is_dead);
    /* False: that is no message of this version; the link is closed. */
    bool (*receive)(void *context, const struct raft_id *id, unsigned kind, struct span body);
};

struct cluster_links_settings {
    char secret[LINKS_SECRET_BYTES]; /* "": there is none */
    bool allows_anybody;             /* without a secret, too */
    uint64_t silence_ms;
    size_t waiting_bytes_max;
    char source_ip[MAP_IP_BYTES]; /* "": the kernel's choice */
};

struct cluster_links_plan {
    struct loop *loop;
    struct cluster_traffic *traffic;
    struct raft_id self;
    struct cluster_links_outlet outlet;
    const struct cluster_links_settings *settings;
};

struct cluster_links *cluster_links_new(const struct cluster_links_plan *plan);
void cluster_links_free(struct cluster_links *links);
/* At each address of the list. False: errno and the log say why. */
bool cluster_links_listen(struct cluster_links *links, const char *bind, uint16_t port);
/* Closes all, listeners too. */
void cluster_links_end(struct cluster_links *links);

/* Links that are there stay. */
void cluster_links_configure(struct cluster_links *links,
                             const struct cluster_links_settings *settings);
/* This node has another id: all links begin anew. */
void cluster_links_rename(struct cluster_links *links, const struct raft_id *self);
/* Whom to be linked with. */
void cluster_links_set_targets(struct cluster_links *links, const struct member_target *targets,
                               size_t count);
/* NULL, or why there can be no link to that address: with its code word. */
const char *cluster_links_refusal(const struct cluster_links *links, const char *ip);

/* To a node that is linked; else it is dropped. */
void cluster_links_send(struct cluster_links *links, const struct raft_id *id, enum bus_kind kind,
                        struct span body);

/* What was read, and what is due; then, behind all that was to be said, sends. */
void cluster_links_step(struct cluster_links *links, uint64_t now_ms);
void cluster_links_flush(struct cluster_links *links, uint64_t now_ms);
/* When the next step is needed, if nothing happens before. */
uint64_t cluster_links_due_ms(const struct cluster_links *links);

/* Nodes that are linked, and what all links hold. */
size_t cluster_links_count(const struct cluster_links *links);
size_t cluster_links_bytes(const struct cluster_links *links);

/* Rows of CLUSTER LINKS; answers how many. Any thread. */
size_t cluster_links_reply(struct cluster_links *links, struct reply *reply);

#endif
