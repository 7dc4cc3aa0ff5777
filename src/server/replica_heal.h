/* Replica's heal: a slot of a replica that differs from the primary's is replaced by an image of
 * it, while the node serves.
 *
 *   OFF -> KEEPING -> WHOLE -> OFF
 *
 *   KEEPING  the image comes, and is kept aside                [its slot is told: whole]
 *            -> OFF, when it is more than REPLICA_HEAL_BYTES_MAX: then the slot is missing, and the
 *            node tells its clients LOADING, until all of it is here
 *   WHOLE    the log goes on to the position that the image was taken at
 *            [there] the slot is replaced in one tick: nobody sees half of it, nor a slot that is
 *            ahead of others
 *   any -> OFF  the link ended: the slot is as it was, and the next round finds it again
 *
 * Replicas of this node, which may have been healed by what was wrong here, get the slot's image as
 * well.
 *
 * Owner: struct replica. Thread: the replicator's, with the replica's mutex.
 */
#ifndef TARN_SERVER_REPLICA_HEAL_H
#define TARN_SERVER_REPLICA_HEAL_H

#include "base/buffer.h"
#include "replication/message.h"

/* Of an image that is kept: a tick takes all of it. */
#define REPLICA_HEAL_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct replica;

struct replica_heal {
    bool is_on;
    bool is_whole;
    struct message_slot slot;
    struct buffer image;
    uint64_t count;       /* slots that were healed, so far */
    struct slot_set news; /* of those, what this node's replicas are not told yet, ... */
    bool has_news;
    uint64_t mark; /* ... as it is not before this mark of applying.h */
};

/* These slots are to be healed. False: not without that they are missing meanwhile. */
bool replica_heal_begin(struct replica *replica, const struct slot_set *slots);
bool replica_heal_is_on(const struct replica *replica);
/* What comes next of images belongs to it. */
bool replica_heal_awaits(const struct replica *replica);
/* False: it would be too much, replica_heal_give_up() is due. */
bool replica_heal_keep(struct replica *replica, struct span chunk);
/* It is off. Answers its slot, and appends what was kept of the image. */
uint16_t replica_heal_give_up(struct replica *replica, struct buffer *kept);
void replica_heal_whole(struct replica *replica, const struct message_slot *slot);
/* The log has come to that position. */
void replica_heal_step(struct replica *replica, uint64_t position);
/* Tells this node's replicas, once that is due. */
void replica_heal_settle(struct replica *replica);
/* The link has ended. */
void replica_heal_end(struct replica *replica);

#endif
