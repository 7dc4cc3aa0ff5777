#include "replication/applier.h"

#include "base/memory.h"
#include "commands/replay.h"
#include "store/image.h"

#include <string.h>

struct applier {
    struct replay replay;
    uint64_t *positions; /* of images, by slot - store.slot_first */
};

static uint64_t image_position(const void *context, uint16_t slot) {
    const struct applier *applier = context;
    return applier->positions[slot - applier->replay.store->slot_first];
}

struct applier *applier_new(struct store *store) {
    struct applier *applier = memory_alloc_zeroed(sizeof(*applier));
    applier->positions = memory_alloc_zeroed(store->slot_count * sizeof(applier->positions[0]));
    applier->replay = (struct replay){
        .store = store,
        .image_position = image_position,
        .context = applier,
    };
    return applier;
}

void applier_free(struct applier *applier) {
    if (applier != NULL) {
        memory_free(applier->positions);
        memory_free(applier);
    }
}

void applier_observe(struct applier *applier,
                     void (*applied)(void *context, const struct effect_record *record),
                     void *context) {
    applier->replay.applied = applied;
    applier->replay.applied_context = context;
}

void applier_forget_images(struct applier *applier) {
    applier->replay.images_end = 0;
    memset(applier->positions, 0,
           applier->replay.store->slot_count * sizeof(applier->positions[0]));
}

void applier_clear(struct applier *applier, const struct slot_set *slots) {
    struct store *store = applier->replay.store;
    for (uint32_t i = 0; i < store->slot_count; i++) {
        uint16_t slot = (uint16_t)(store->slot_first + i);
        if (!slot_set_has(slots, slot)) {
            continue;
        }
        applier->positions[i] = 0;
        for (uint32_t database = 0; database < store->database_count; database++) {
            store_flush_slot(store, database, slot);
        }
    }
}

bool applier_image(struct applier *applier, struct span chunk, struct buffer *report) {
    struct store *store = applier->replay.store;
    struct image_reader images;
    struct image_record record;
    enum image_status status;
    image_reader_init(&images, chunk);
    const char *at = chunk.bytes;
    while ((status = image_read(&images, &record)) == IMAGE_DONE) {
        if (store_owns(store, record.slot)) {
            status = image_load(store, &record);
            if (status != IMAGE_DONE) {
                break;
            }
        }
        at = images.rest.bytes;
    }
    if (status == IMAGE_NO_MEMORY) {
        buffer_append_string(report, "an image from the primary: no memory for a value");
    } else if (status != IMAGE_END) {
        buffer_format(report,
                      "an image from the primary: expected a record that fits at byte %zu, found "
                      "another",
                      (size_t)(at - chunk.bytes));
    }
    return status == IMAGE_END;
}

void applier_slot(struct applier *applier, uint16_t slot, uint64_t position) {
    const struct store *store = applier->replay.store;
    if (!store_owns(store, slot)) {
        return;
    }
    applier->positions[slot - store->slot_first] = position;
    if (applier->replay.images_end < position) {
        applier->replay.images_end = position;
    }
}

bool applier_frame(struct applier *applier, uint64_t position, struct span content,
                   struct buffer *report) {
    return replay_frame(&applier->replay, position, content, report);
}
