/* Redis links: the links to those of this node's replicas that are redis-servers, or tools that
 * behave like one: a feed (replication/redis_feed.h) and a non-blocking socket each, beside
 * primary_links.h, whose rules for logs and for who is silent hold here too. One that reads nothing
 * for repl-timeout seconds ends; so does one for which no log begins in that time.
 *
 *   worker: PSYNC, SYNC -> offer -> [a log is on] -> feed -> [either side ends it] -> closed
 *
 * All read one stream of commands, which outlives them: a replica that comes back goes on at its
 * byte. It ends with the history that it is made of, and when the log does. While anybody waits for
 * what replicas hold, GETACK stands in it behind what was written.
 *
 * Thread: the replicator's, but for redis_links_offer().
 */
#ifndef TARN_SERVER_REDIS_LINKS_H
#define TARN_SERVER_REDIS_LINKS_H

#include "replication/redis_feed.h"
#include "server/replicator.h"
#include "worker/connection.h"

struct redis_links;
struct replication_link;

struct redis_links *redis_links_new(struct replicator *replicator);
/* Closes them all. */
void redis_links_free(struct redis_links *links);

/* The log that is on from now on, or none: links that read another end. */
void redis_links_set_log(struct redis_links *links, const struct replicator_log *log);
/* What is ready and due. True: there is more to do at once. */
bool redis_links_step(struct redis_links *links);
/* Ends the one that was this client. */
void redis_links_kill(struct redis_links *links, uint64_t client_id);
/* Ends them all: this node is to be no primary for them any more. */
void redis_links_close_all(struct redis_links *links, const char *reason);

uint32_t redis_links_count(const struct redis_links *links);
/* Adds what they are now, and from where on they need the log, to what others publish. */
uint32_t redis_links_publish(const struct redis_links *links, struct replication_link *published,
                             uint64_t *needs);

/* What became of a connection that said PSYNC or SYNC. */
struct redis_offer {
    const struct connection *connection;
    bool is_old;     /* SYNC */
    struct span id;  /* of PSYNC */
    uint64_t offset; /* up to which it has that stream */
    bool has_offset;
};
/* For connection_detach(). On the connection's home. */
struct detachment *redis_links_offer(struct replicator *replicator,
                                     const struct redis_offer *offer);

#endif
