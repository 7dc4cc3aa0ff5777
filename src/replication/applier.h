/* Applier: what a replica's link brings, taken into a store: images of slots, then the log's
 * frames, without what the images hold already.
 *
 * One per store; what it is given is in the order of the stream. Everything is checked; a failure
 * leaves what came before it, and the slot that it was in must be imaged again. Thread: the
 * store's.
 */
#ifndef TARN_REPLICATION_APPLIER_H
#define TARN_REPLICATION_APPLIER_H

#include "base/buffer.h"
#include "replication/message.h"
#include "store/store.h"

struct applier;
struct effect_record;

struct applier *applier_new(struct store *store);
void applier_free(struct applier *applier);
/* The function is told of each effect of a frame that was applied. */
void applier_observe(struct applier *applier,
                     void (*applied)(void *context, const struct effect_record *record),
                     void *context);

/* What the slots' images held is of no use any more: the log is another. */
void applier_forget_images(struct applier *applier);
/* These slots are to be imaged: what they hold goes. */
void applier_clear(struct applier *applier, const struct slot_set *slots);
/* Takes those records of a chunk that are of the store's slots. False: a sentence is appended to
 * the report. */
bool applier_image(struct applier *applier, struct span chunk, struct buffer *report);
/* The slot is whole: it holds what the log does before the position. */
void applier_slot(struct applier *applier, uint16_t slot, uint64_t position);
/* False: a sentence is appended to the report. */
bool applier_frame(struct applier *applier, uint64_t position, struct span content,
                   struct buffer *report);

#endif
