/* Primary links: the links to this node's replicas: a feed (replication/feed.h) and a non-blocking
 * socket each.
 *
 *   worker: REPLCONF tarn-link -> offer -> [a log is on] -> feed -> [either side ends it] -> closed
 *
 * A link is filled for as long as its socket takes the bytes, and no further: it holds what one
 * filling makes, and what image_cutter.h says of images. Where it is in the log is a position. All
 * links end when the log that they read does; replicas come back, and go on in the next one.
 *
 * A link ends, too, when nothing was heard of its replica, or no log has begun for it, for
 * repl-timeout seconds, when it takes no images for LINK_STALL_MS while workers wait for room, and
 * when the log in memory has no room for what it has not been sent.
 *
 * What replicas report is read at once only while somebody may wait for it (gate_await_begin()),
 * else with each period.
 *
 * Thread: the replicator's, but for primary_links_offer().
 */
#ifndef TARN_SERVER_PRIMARY_LINKS_H
#define TARN_SERVER_PRIMARY_LINKS_H

#include "server/replicator.h"
#include "worker/connection.h"

/* One filling, and what a link reads or sends in one iteration. */
#define LINK_FILL_BYTES ((size_t)256 * 1024)
#define LINK_READ_BYTES_MAX ((size_t)256 * 1024)
#define LINK_SENT_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define LINK_STALL_MS 10000
/* The log is trimmed when it has grown by so many bytes, or with each period. */
#define LINK_TRIM_BYTES ((uint64_t)4 * 1024 * 1024)

#define PRIMARY_LINKS_KILLED "a client killed it"

struct primary_links;

struct primary_links *primary_links_new(struct replicator *replicator);
/* Closes them all. */
void primary_links_free(struct primary_links *links);

/* The log that is on from now on, or none: all links end. */
void primary_links_set_log(struct primary_links *links, const struct replicator_log *log);
/* There are any, of either kind: somebody reads the log. */
bool primary_links_are_on(const struct primary_links *links);
/* primary_links_step() has something to do from time to time. */
bool primary_links_want_time(const struct primary_links *links);
/* What is ready and due. True: there is more to do at once. */
bool primary_links_step(struct primary_links *links);
/* Replicas of this node that follow the log. */
uint32_t primary_links_following(const struct primary_links *links);
/* Slots of replicas that were healed by an image, so far. */
uint64_t primary_links_healed(const struct primary_links *links);
/* These slots of the replica with this id differ from this node's; NULL: of all replicas. */
void primary_links_heal(struct primary_links *links, const unsigned char *node_id,
                        const struct slot_set *slots);
/* Ends the link that was this client, of either kind. */
void primary_links_kill(struct primary_links *links, uint64_t client_id);
/* Ends all links: this node is to be no primary for them any more. */
void primary_links_close_all(struct primary_links *links, const char *reason);

/* The links to replicas that are redis-servers. */
struct redis_links *primary_links_redis(struct primary_links *links);
/* A number among REPLICATION_LINKS_MAX, for the link that was this client; false: all are taken. */
bool primary_links_take_number(struct primary_links *links, const struct client_link *client,
                               uint32_t *number);
void primary_links_return_number(struct primary_links *links, uint32_t number);

/* What becomes of a connection whose replica has said its last word before the link. */
struct link_offer {
    uint64_t seed; /* of the link's checksums */
    const struct connection *connection;
    struct span takes_over; /* whose history is to be taken over (failover.h); empty: nobody's */
};
/* For connection_detach(). On the connection's home. */
struct detachment *primary_links_offer(struct replicator *replicator,
                                       const struct link_offer *offer);

#endif
