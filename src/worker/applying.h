/* Applying: what a replica's link brings, taken into the data by all workers, each its own slots.
 *
 *   link's thread: images, frames -> a lane per worker (bounded) -> worker's tick: applying_step()
 *
 * Parts are handed over in the order of the stream, and each worker takes its own in that order;
 * how far the others are is nothing to it. What takes place together in the log, and concerns
 * several workers, is never seen half: such a part is joint. A worker that comes to a joint part
 * goes no further, and all take it under a stop, each with what stands before it in its lane.
 *
 * Small frames that come together are one part: applying_flush() hands it over.
 *
 * A frame or image that does not fit the data is left half done, and its slots are suspect: who has
 * the link asks for their images anew.
 *
 * Memory: while APPLYING_BYTES_MAX or APPLYING_PARTS_MAX are under way, applying_has_room() is
 * false and the link is not read any further. Beyond that goes what it had read already: between
 * two looks at the room at most APPLYING_RESERVE_PARTS may be handed over.
 *
 * Lifecycle: made when the node becomes a replica for the first time, under a stop of all workers,
 * and freed when their threads have ended. Threads: the link's hands over and asks; workers take.
 */
#ifndef TARN_WORKER_APPLYING_H
#define TARN_WORKER_APPLYING_H

#include "replication/applier.h"
#include "worker/worker.h"

#define APPLYING_BYTES_MAX ((size_t)8 * 1024 * 1024)
#define APPLYING_PARTS_MAX 1024
#define APPLYING_RESERVE_PARTS 1024
/* Frames are joined into a part up to so many bytes. */
#define APPLYING_JOINED_BYTES ((size_t)32 * 1024)
/* A worker takes no further part in a tick in which it has taken so many bytes. */
#define TICK_APPLY_BYTES_MAX ((size_t)256 * 1024)

struct applying;

/* progress: more has been applied, or something failed; by any worker, must not wait. */
struct applying *applying_new(struct node *node, void (*progress)(void *context), void *context);
void applying_free(struct applying *applying);

/* ---- the link's thread ---- */

/* The data is what the log holds before the position; nothing is under way, and the workers stand
 * still, or had nothing to take since. */
void applying_begin(struct applying *applying, uint64_t position);
/* What images held of which slot is of no use any more: the log is another. */
void applying_forget_images(struct applying *applying);
bool applying_has_room(const struct applying *applying);
/* These slots are to be imaged: what they hold goes. */
void applying_clear(struct applying *applying, const struct slot_set *slots);
void applying_image(struct applying *applying, struct span chunk);
/* The slot's image is whole: it holds what the log does before the position. */
void applying_slot(struct applying *applying, uint16_t slot, uint64_t position);
/* What the slot holds is replaced by its whole image at once, in one tick. The image holds what the
 * log does before the position, which is the end of the frames so far. */
void applying_replace(struct applying *applying, const struct message_slot *slot,
                      struct span image);
/* False: the content is no effects; a sentence is appended to the report. */
bool applying_frame(struct applying *applying, const struct message_frame *frame,
                    struct buffer *report);
void applying_flush(struct applying *applying);
/* Lets go of what is done. Everything before the answer has been applied. */
uint64_t applying_reap(struct applying *applying);
/* Nothing is under way, as of the last applying_reap(). */
bool applying_is_idle(const struct applying *applying);
/* Hands over what there is, and names this place in the stream: it has been passed when all before
 * it is done, as of the last applying_reap(). */
uint64_t applying_mark(struct applying *applying);
bool applying_has_passed(const struct applying *applying, uint64_t mark);
/* True: something did not fit. Adds the slots that are suspect, and a sentence to the report; from
 * then on all is well again. */
bool applying_take_failure(struct applying *applying, struct slot_set *suspects,
                           struct buffer *report);

/* ---- workers ---- */

void applying_step(struct worker *worker);
bool applying_has_work(const struct worker *worker);
/* Under a stop of all: everything that has been handed over is applied; answers the position. */
uint64_t applying_drain(struct node *node);
/* On a replica: the data of this worker's slots is what the log holds before this position. */
uint64_t applying_position(const struct worker *worker);

#endif
