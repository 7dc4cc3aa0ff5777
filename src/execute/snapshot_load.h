/* Snapshot load: takes the chunks of a snapshot file into a store: the images of its slots, and of
 * the log's tail what is not in an image already: from the image's position on. Frames of the log
 * that follow the snapshot, too.
 *
 * Chunks and frames go in their order, each once. Everything is checked; a failure leaves what came
 * before it. Thread: the store's.
 */
#ifndef TARN_EXECUTE_SNAPSHOT_LOAD_H
#define TARN_EXECUTE_SNAPSHOT_LOAD_H

#include "snapshot/snapshot_reader.h"
#include "store/store.h"

struct snapshot_load {
    const struct snapshot_reader *reader; /* NULL: no snapshot, only the log */
    struct store *store;
    bool replaces;         /* a key of an image takes the place of one that is there */
    struct buffer content; /* room that is kept from chunk to chunk; the owner frees it */
    uint64_t keys;         /* taken from images so far */
    uint64_t effects;      /* of the tail and the log */
    bool is_unreadable;    /* the last failure was one of the disk or the memory */
};

/* Loads what chunk `index` holds of the store's slots. False: a sentence is appended to the
 * report. */
bool snapshot_load_chunk(struct snapshot_load *load, uint32_t index, struct buffer *report);
/* Applies those effects of a frame's content that concern the store and are not in an image. */
bool snapshot_load_frame(struct snapshot_load *load, uint64_t position, struct span content,
                         struct buffer *report);

#endif
