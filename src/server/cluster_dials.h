/* Cluster dials: whom a node is to be linked with, and when it is next tried (cluster_links.h).
 *
 *   IDLE ---- due, nobody is linked -----> TRIED [dial_begin]
 *   TRIED --- its link was proved -------> the link's [dial_link_proved]
 *   either -- the link has ended --------> IDLE [dial_link_ended]
 */
#ifndef TARN_SERVER_CLUSTER_DIALS_H
#define TARN_SERVER_CLUSTER_DIALS_H

#include "cluster/member.h"

/* Between two tries to connect: at first, and at the most. */
#define DIAL_RETRY_MS 50
#define DIAL_RETRY_MS_MAX 1000

struct dial {
    struct member_target target;
    bool is_address; /* its ip is one, and no name */
    uint64_t link;   /* the number of its link; 0: it has none */
    uint64_t next_ms;
    uint64_t wait_ms; /* after the last failure; 0: there was none since a link */
};

struct cluster_dials {
    struct dial *dials;
    size_t count;
};

/* Those that stay the same keep their state. */
void dials_set(struct cluster_dials *dials, const struct member_target *targets, size_t count);
void dials_free(struct cluster_dials *dials);

/* The dial of that link, or NULL. */
struct dial *dials_find(struct cluster_dials *dials, uint64_t link);
/* Its link has ended; it had served for a while, or was never of use. */
void dial_link_ended(struct dial *dial, bool had_served, uint64_t now_ms);

/* 127.0.0.0/8 or ::1. */
bool dial_is_loopback(const char *ip);

#endif
