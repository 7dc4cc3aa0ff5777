/* Replica's link: the connection to the primary, from one to the next.
 *
 *   WAITING -> CONNECTING -> SHAKING -> STREAM
 *
 *   WAITING     until it is time; what the last link brought is applied     [retry_at_ms]
 *   CONNECTING  the socket is on its way                                    [writable]
 *   SHAKING     who we are is said, in the protocol of clients              [+TARN]
 *   STREAM      replication/follower.h
 *   any -> WAITING  the connection broke, the peer was silent for repl-timeout, broke the protocol,
 *                   or another primary is to be followed
 *
 * Flow control: nothing is read while the workers have enough to apply, or the log is full.
 * Thread: the replicator's.
 */
#ifndef TARN_SERVER_REPLICA_LINK_H
#define TARN_SERVER_REPLICA_LINK_H

#include "server/replicator.h"

/* A link that broke is made again after the first, then after twice as long, up to the second. */
#define REPLICA_LINK_RETRY_MS 100
#define REPLICA_LINK_RETRY_MS_MAX 2000
/* Bytes of one read, each of which makes at most APPLYING_RESERVE_PARTS parts; and of one step. */
#define REPLICA_LINK_READ_BYTES ((size_t)32 * 1024)
#define REPLICA_LINK_STEP_BYTES ((size_t)1024 * 1024)

struct replica_link *replica_link_new(struct replicator *replicator);
void replica_link_free(struct replica_link *link);
/* There is a connection, or one is on its way. */
bool replica_link_is_on(const struct replica_link *link);
/* There is a primary, so replica_link_step() has something to do from time to time. */
bool replica_link_wants_time(const struct replica_link *link);
/* In each iteration of the replicator's loop. */
void replica_link_step(struct replica_link *link);
/* This node's digest of a slot, for the primary. */
void replica_link_digest(struct replica_link *link, const struct message_digest *digest);
/* Ends the link if it is this client; it begins again. */
void replica_link_kill(struct replica_link *link, uint64_t client_id);

#endif
