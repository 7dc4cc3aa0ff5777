#include "snapshot/snapshot_walk.h"

#include "base/memory.h"
#include "base/random.h"
#include "store/image.h"

#include <stdlib.h>

struct walk {
    const struct snapshot_reader *reader;
    const struct snapshot_visitor *visitor;
    struct buffer *report;
    struct store_options options;
    struct store *store;
    struct buffer content;               /* of the chunk */
    struct buffer entries;               /* struct entry *: of a table */
    const struct snapshot_slot **by_end; /* the file's slots by chunk_end */
    uint32_t ended;                      /* how many of them are done */
    uint32_t chunk;                      /* that is read */
};

/* Says what is wrong with the chunk, `rest` being what is left of it. */
static enum snapshot_read_status damaged(const struct walk *walk, const char *what, size_t rest) {
    const struct snapshot_chunk *chunk = &walk->reader->chunks[walk->chunk];
    buffer_format(walk->report,
                  "snapshot file \"%s\": offset %llu: byte %zu of the chunk's %zu: %s",
                  walk->reader->name, (unsigned long long)chunk->offset,
                  walk->content.length - rest, walk->content.length, what);
    return SNAPSHOT_READ_DAMAGED;
}

/* ---- images ---- */

/* The index knows that the slot has records in this chunk. */
static bool slot_is_expected(const struct walk *walk, uint16_t slot) {
    const struct snapshot_chunk *chunk = &walk->reader->chunks[walk->chunk];
    const struct snapshot_slot *row = snapshot_reader_slot(walk->reader, slot);
    return row != NULL && slot >= chunk->slot_first && slot <= chunk->slot_last &&
           walk->chunk >= row->chunk_first && walk->chunk < row->chunk_end;
}

static enum snapshot_read_status load_images(struct walk *walk) {
    struct image_reader images;
    struct image_record record;
    image_reader_init(&images, buffer_span(&walk->content));
    for (;;) {
        size_t rest = images.rest.length;
        enum image_status status = image_read(&images, &record);
        if (status == IMAGE_END) {
            return SNAPSHOT_READ_DONE;
        }
        if (status != IMAGE_DONE) {
            return damaged(walk, "expected a record, found none", rest);
        }
        if (!slot_is_expected(walk, record.slot)) {
            return damaged(walk, "expected a slot of the index, found another", rest);
        }
        status = image_load(walk->store, &record);
        if (status == IMAGE_NO_MEMORY) {
            buffer_format(walk->report, "snapshot file \"%s\": no memory for a value",
                          walk->reader->name);
            return SNAPSHOT_READ_FAILED;
        }
        if (status != IMAGE_DONE) {
            return damaged(walk, "expected a record of its slot, found one that does not fit",
                           rest);
        }
    }
}

static void collect(void *element, void *context) {
    buffer_append(context, &element, sizeof(element));
}

/* Shows the keys of a slot in one database, and drops them. Answers how many there were. */
static uint64_t show_table(struct walk *walk, uint32_t database, uint16_t slot) {
    struct table *table = store_table(walk->store, database, slot);
    if (table == NULL) {
        return 0;
    }
    buffer_clear(&walk->entries);
    for (uint32_t i = 0; i < table->bucket_count; i++) {
        table_visit_bucket(table, i, collect, &walk->entries);
    }
    size_t count = walk->entries.length / sizeof(struct entry *);
    for (size_t i = 0; i < count; i++) {
        struct snapshot_key key = {.database = database, .slot = slot, .store = walk->store};
        memcpy(&key.entry, walk->entries.bytes + i * sizeof(key.entry), sizeof(key.entry));
        if (walk->visitor->key != NULL) {
            walk->visitor->key(walk->visitor->context, &key);
        }
        struct span name = entry_key(key.entry);
        uint64_t hash = store_hash(walk->store, name);
        uint64_t *cell = store_find(walk->store, database, slot, hash, name);
        ASSERT(cell != NULL);
        store_remove(walk->store, database, slot, hash, cell);
    }
    return count;
}

/* Ends the slots that have no records behind this chunk. */
static enum snapshot_read_status end_slots(struct walk *walk) {
    while (walk->ended < walk->reader->slots_count &&
           walk->by_end[walk->ended]->chunk_end <= walk->chunk + 1) {
        const struct snapshot_slot *slot = walk->by_end[walk->ended++];
        uint64_t keys = 0;
        for (uint32_t i = 0; i < walk->store->database_count; i++) {
            keys += show_table(walk, i, slot->slot);
        }
        store_bury_step(walk->store, SIZE_MAX);
        if (keys != slot->keys) {
            buffer_format(walk->report,
                          "snapshot file \"%s\": slot %u: expected %llu keys, found %llu",
                          walk->reader->name, slot->slot, (unsigned long long)slot->keys,
                          (unsigned long long)keys);
            return SNAPSHOT_READ_DAMAGED;
        }
    }
    return SNAPSHOT_READ_DONE;
}

/* ---- sections ---- */

static enum snapshot_read_status see_frames(struct walk *walk) {
    struct span content = buffer_span(&walk->content);
    struct snapshot_frame frame;
    for (;;) {
        size_t rest = content.length;
        enum snapshot_section_status status = snapshot_frame_read(&content, &frame);
        if (status == SNAPSHOT_SECTION_END) {
            return SNAPSHOT_READ_DONE;
        }
        if (status == SNAPSHOT_SECTION_DAMAGED) {
            return damaged(walk, "expected a frame, found none", rest);
        }
        if (walk->visitor->frame != NULL && !walk->visitor->frame(walk->visitor->context, &frame)) {
            return damaged(walk, "expected entries of the log, found others", rest);
        }
    }
}

static enum snapshot_read_status see_pairs(struct walk *walk) {
    struct span content = buffer_span(&walk->content);
    struct snapshot_pair pair;
    for (;;) {
        size_t rest = content.length;
        enum snapshot_section_status status = snapshot_pair_read(&content, &pair);
        if (status == SNAPSHOT_SECTION_END) {
            return SNAPSHOT_READ_DONE;
        }
        if (status == SNAPSHOT_SECTION_DAMAGED) {
            return damaged(walk, "expected a name and a value, found none", rest);
        }
        if (walk->visitor->pair != NULL) {
            walk->visitor->pair(walk->visitor->context, &pair);
        }
    }
}

/* ---- the walk ---- */

static enum snapshot_read_status see_chunk(struct walk *walk) {
    enum snapshot_read_status status =
        snapshot_reader_chunk(walk->reader, walk->chunk, &walk->content, walk->report);
    if (status != SNAPSHOT_READ_DONE) {
        return status;
    }
    switch (walk->reader->chunks[walk->chunk].kind) {
    case SNAPSHOT_IMAGE:
        return load_images(walk);
    case SNAPSHOT_TAIL:
        return see_frames(walk);
    case SNAPSHOT_NODE:
        return see_pairs(walk);
    case SNAPSHOT_INDEX:
    case SNAPSHOT_KINDS:
        break;
    }
    ASSERT(false);
}

static int compare_ends(const void *a, const void *b) {
    uint32_t first = (*(const struct snapshot_slot *const *)a)->chunk_end;
    uint32_t second = (*(const struct snapshot_slot *const *)b)->chunk_end;
    return (first > second) - (first < second);
}

enum snapshot_read_status snapshot_walk(const struct snapshot_reader *reader,
                                        const struct snapshot_visitor *visitor,
                                        struct buffer *report) {
    struct walk walk = {.reader = reader, .visitor = visitor, .report = report};
    walk.store = store_new(&(struct store_plan){
        .options = &walk.options,
        .secret = random_seed_draw(),
        .seed = random_seed_draw(),
        .slot_count = SLOTS,
        .database_count = reader->header.databases,
    });
    walk.by_end = memory_alloc((reader->slots_count + 1) * sizeof(*walk.by_end));
    for (uint32_t i = 0; i < reader->slots_count; i++) {
        walk.by_end[i] = &reader->slots[i];
    }
    qsort(walk.by_end, reader->slots_count, sizeof(*walk.by_end), compare_ends);
    enum snapshot_read_status status = SNAPSHOT_READ_DONE;
    for (; status == SNAPSHOT_READ_DONE && walk.chunk < reader->chunks_count; walk.chunk++) {
        status = see_chunk(&walk);
        if (status == SNAPSHOT_READ_DONE) {
            status = end_slots(&walk);
        }
    }
    memory_free(walk.by_end);
    buffer_free(&walk.content);
    buffer_free(&walk.entries);
    store_free(walk.store);
    return status;
}
