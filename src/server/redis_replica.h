/* Redis replica: what a node does whose primary is a redis-server: the steps of
 * replication/redis_follower.h on the link that replica_link.h has made, and what comes of them for
 * the data.
 *
 * The node changes its data by commands, as a primary does: the log is its own, and other nodes may
 * copy this one. For its clients it is a replica: node.follows_redis.
 *
 * The primary's RDB file goes to a file without a name; once it is whole, what the node held goes,
 * and it is loaded. Until then clients see what was there before, from then on LOADING. Commands
 * and pieces of the file are taken under a short stop of all workers, so many at a time.
 *
 * Thread: the replicator's, with the replica's mutex, which is let go while the workers come to
 * stand still: whom to follow may have changed afterwards.
 */
#ifndef TARN_SERVER_REDIS_REPLICA_H
#define TARN_SERVER_REDIS_REPLICA_H

#include "replication/redis_follower.h"
#include "server/replicator.h"

/* Of the stream or the file, taken under one stop. */
#define REDIS_REPLICA_READ_BYTES ((size_t)64 * 1024)
#define REDIS_REPLICA_LOAD_BYTES ((size_t)128 * 1024)

struct redis_replica;

struct redis_replica *redis_replica_new(struct replicator *replicator);
void redis_replica_free(struct redis_replica *redis);

/* A link to a redis-server has come so far that PSYNC is due. False: there is another one to
 * follow. */
bool redis_replica_begin(struct redis_replica *redis);
/* The link has gone, if there was one. */
void redis_replica_end(struct redis_replica *redis);
/* The primary is a node like this one after all: its log will be ours. False: as begin(). */
bool redis_replica_leave(struct redis_replica *redis);

/* Bytes may be taken now; else they wait in the socket. */
bool redis_replica_may_read(const struct redis_replica *redis);
/* False: the link is to be closed; redis_replica_reason() says why, unless there is another
 * primary to follow. */
bool redis_replica_receive(struct redis_replica *redis, struct span bytes);
/* What is to be done beside; likewise. *has_more: again, at once. */
bool redis_replica_step(struct redis_replica *redis, bool *has_more);
/* Appends what is to be sent. */
void redis_replica_fill(struct redis_replica *redis, struct buffer *out);

const char *redis_replica_reason(const struct redis_replica *redis);
/* The data follows the primary's stream. */
bool redis_replica_is_in_stream(const struct redis_replica *redis);

#endif
