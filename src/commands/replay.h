/* Replay: the effects of the log's frames, applied to a store whose slots may be of different
 * moments: what a slot's image holds already is left out.
 *
 *   image of slot 7 at position 500:   frame 300  frame 450 | frame 500  frame 620
 *                                      \---- left out ----/ \---- applied ----/
 *
 * Frames go in their order, each once. All that is read is checked; a failure leaves what came
 * before it. Thread: the store's.
 */
#ifndef TARN_COMMANDS_REPLAY_H
#define TARN_COMMANDS_REPLAY_H

#include "base/buffer.h"
#include "store/store.h"

struct effect_record;

struct replay {
    struct store *store;
    /* The position of the slot's image: it holds what stands before. Asked for frames before
     * images_end only. */
    uint64_t (*image_position)(const void *context, uint16_t slot);
    const void *context;
    uint64_t images_end; /* no image is of a later position; 0: there is none */
    /* Told of each effect that was applied; NULL: nobody is. */
    void (*applied)(void *context, const struct effect_record *record);
    void *applied_context;
    uint64_t effects; /* applied so far */
};

/* Applies those effects of a frame's content that concern the store and are not in an image. False:
 * a sentence is appended to the report. */
bool replay_frame(struct replay *replay, uint64_t position, struct span content,
                  struct buffer *report);

#endif
