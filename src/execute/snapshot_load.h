/* Snapshot load: takes the chunks of a snapshot file into stores: the images of slots, and of the
 * log's tail what is not in an image already: from the image's position on.
 *
 * Chunks go in the file's order. Everything is checked; a failure leaves what came before it.
 * Thread: the store's.
 */
#ifndef TARN_EXECUTE_SNAPSHOT_LOAD_H
#define TARN_EXECUTE_SNAPSHOT_LOAD_H

#include "snapshot/snapshot_reader.h"
#include "store/store.h"

/* Counts are added to. */
struct snapshot_load_figures {
    uint64_t keys;    /* from images */
    uint64_t effects; /* from the tail */
};

/* Loads what chunk `index` holds of this store's slots. content is room that is kept from chunk to
 * chunk. False: a sentence is appended to the report. */
struct snapshot_load {
    const struct snapshot_reader *reader;
    struct store *store;
    struct buffer content;
    struct snapshot_load_figures figures;
};
bool snapshot_load_chunk(struct snapshot_load *load, uint32_t index, struct buffer *report);

#endif
