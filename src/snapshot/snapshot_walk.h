/* Snapshot walk: sees all that a file holds, and proves that it can be loaded. Every chunk is read
 * once, in the file's order; every slot is loaded into a store of the walk's own and dropped once
 * it is whole. So the memory taken is that of the slots that the file has begun and not ended:
 * one for each worker that wrote it, and a chunk.
 *
 * Beyond what the reader checks: records are whole, stand in the chunks and slots where the index
 * says, and are as many as it says; frames and pairs are whole. One thread.
 */
#ifndef TARN_SNAPSHOT_SNAPSHOT_WALK_H
#define TARN_SNAPSHOT_SNAPSHOT_WALK_H

#include "snapshot/snapshot_reader.h"
#include "snapshot/snapshot_section.h"

struct snapshot_key {
    uint32_t database;
    uint16_t slot;
    const struct store *store;
    const struct entry *entry; /* good during the call */
};

/* Who wants to see; a function may be NULL. */
struct snapshot_visitor {
    void *context;
    void (*key)(void *context, const struct snapshot_key *key);
    /* False: the content is nothing that the log holds. */
    bool (*frame)(void *context, const struct snapshot_frame *frame);
    void (*pair)(void *context, const struct snapshot_pair *pair);
};

/* Unless DONE, a sentence is appended to the report. */
enum snapshot_read_status snapshot_walk(const struct snapshot_reader *reader,
                                        const struct snapshot_visitor *visitor,
                                        struct buffer *report);

#endif
