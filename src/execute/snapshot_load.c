#include "execute/snapshot_load.h"

#include "commands/effect_codec.h"
#include "snapshot/snapshot_section.h"
#include "store/image.h"

/* Effects whose tables and entries are fetched into the cache together. */
#define LOOK_AHEAD_EFFECTS 16
#define LOOK_AHEAD_LINE_BYTES 64

/* ---- reports ---- */

static void report_place(const struct snapshot_load *load, uint32_t index, struct buffer *report) {
    buffer_format(report, "snapshot file \"%s\", the chunk at byte %llu: ", load->reader->name,
                  (unsigned long long)load->reader->chunks[index].offset);
}

/* ---- images ---- */

static bool begins_key(const struct image_record *record) {
    return !record->is_more && record->offset == 0;
}

/* The key that the record begins goes, if it is there. */
static void make_way(struct store *store, const struct image_record *record) {
    if (record->database >= store->database_count) {
        return;
    }
    struct span key = record->key.key;
    uint64_t hash = store_hash(store, key);
    uint64_t *cell = store_find(store, record->database, record->slot, hash, key);
    if (cell != NULL) {
        store_remove(store, record->database, record->slot, hash, cell);
    }
}

static bool load_images(struct snapshot_load *load, uint32_t index, struct buffer *report) {
    struct image_reader images;
    struct image_record record;
    enum image_status status;
    image_reader_init(&images, buffer_span(&load->content));
    const char *at = images.rest.bytes;
    while ((status = image_read(&images, &record)) == IMAGE_DONE) {
        if (store_owns(load->store, record.slot)) {
            if (load->replaces && begins_key(&record)) {
                make_way(load->store, &record);
            }
            status = image_load(load->store, &record);
            if (status != IMAGE_DONE) {
                break;
            }
            load->keys += begins_key(&record);
        }
        at = images.rest.bytes;
    }
    if (status == IMAGE_END) {
        return true;
    }
    report_place(load, index, report);
    if (status == IMAGE_NO_MEMORY) {
        buffer_append_string(report, "no memory for a value");
    } else {
        buffer_format(report,
                      "expected a record that fits at byte %zu of its content, found another",
                      (size_t)(at - load->content.bytes));
    }
    return false;
}

/* ---- the tail ---- */

/* The frame is from before the snapshot's end: some images may hold it. */
static bool is_in_tail(const struct snapshot_load *load, uint64_t position) {
    return load->reader != NULL && position < load->reader->end.end;
}

/* The image of this slot is from after the frame: it holds what the frame does. */
static bool is_in_image(const struct snapshot_load *load, uint16_t slot, uint64_t position) {
    if (!is_in_tail(load, position)) {
        return false;
    }
    const struct snapshot_slot *row = snapshot_reader_slot(load->reader, slot);
    return row != NULL && position < row->position;
}

/* A flush or swap, slot by slot, for those whose image is older. */
static enum effect_replay_status
replay_to_slots(struct snapshot_load *load, const struct effect_record *record, uint64_t position) {
    struct store *store = load->store;
    uint64_t number = (uint64_t)record->effect.number;
    bool is_flush = record->effect.kind == EFFECT_DATABASE_FLUSH;
    uint64_t first = is_flush ? number : number >> 32;
    uint64_t second = is_flush ? 0 : number & UINT32_MAX;
    if (first >= store->database_count || second >= store->database_count) {
        return EFFECT_REPLAY_WRONG_DATABASE;
    }
    for (uint32_t i = 0; i < store->slot_count; i++) {
        uint16_t slot = (uint16_t)(store->slot_first + i);
        if (is_in_image(load, slot, position)) {
            continue;
        }
        if (is_flush) {
            store_flush_slot(store, (uint32_t)first, slot);
        } else {
            store_swap_slot(store, (uint32_t)first, (uint32_t)second, slot);
        }
    }
    return EFFECT_REPLAY_DONE;
}

static enum effect_replay_status replay(struct snapshot_load *load,
                                        const struct effect_record *record, uint64_t position) {
    if (record->slot == EFFECT_NODE_SLOT) {
        return is_in_tail(load, position) ? replay_to_slots(load, record, position)
                                          : effect_replay_to_store(load->store, record);
    }
    if (!store_owns(load->store, record->slot) || is_in_image(load, record->slot, position)) {
        return EFFECT_REPLAY_DONE;
    }
    return effect_replay_to_store(load->store, record);
}

struct prospect {
    const struct table *table;
    const struct table_bucket *bucket;
    uint64_t hash;
};

/* What the next effects will touch, if it is there: their slots' tables. */
static uint32_t look_at_effects(const struct snapshot_load *load, struct span content,
                                struct prospect *prospects) {
    struct effect_record record;
    uint32_t count = 0;
    for (int i = 0; i < LOOK_AHEAD_EFFECTS; i++) {
        if (effect_read(&content, &record) != EFFECT_READ_DONE) {
            break;
        }
        if (record.slot == EFFECT_NODE_SLOT || !store_owns(load->store, record.slot) ||
            record.database >= load->store->database_count) {
            continue;
        }
        const struct table *table = store_table(load->store, record.database, record.slot);
        if (table != NULL) {
            __builtin_prefetch(table);
            prospects[count++] = (struct prospect){
                .table = table,
                .hash = store_hash(load->store, record.key),
            };
        }
    }
    return count;
}

/* Then their buckets, then their entries: each step's misses are under way at the same time. */
static void look_ahead(const struct snapshot_load *load, struct span content) {
    struct prospect prospects[LOOK_AHEAD_EFFECTS];
    uint32_t count = look_at_effects(load, content, prospects);
    for (uint32_t i = 0; i < count; i++) {
        prospects[i].bucket = table_home(prospects[i].table, prospects[i].hash);
        __builtin_prefetch(prospects[i].bucket);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (prospects[i].bucket != NULL) {
            const char *entry = table_guess(prospects[i].bucket, prospects[i].hash);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + LOOK_AHEAD_LINE_BYTES);
        }
    }
}

bool snapshot_load_frame(struct snapshot_load *load, uint64_t position, struct span content,
                         struct buffer *report) {
    const char *start = content.bytes;
    const char *at = start;
    const char *found = "bytes that are none";
    struct effect_record record;
    enum effect_read_status status;
    look_ahead(load, content);
    for (uint32_t i = 1; (status = effect_read(&content, &record)) == EFFECT_READ_DONE; i++) {
        enum effect_replay_status replayed = replay(load, &record, position);
        if (replayed != EFFECT_REPLAY_DONE) {
            found = effect_replay_reason(replayed);
            break;
        }
        load->effects++;
        at = content.bytes;
        if (i % LOOK_AHEAD_EFFECTS == 0) {
            look_ahead(load, content);
        }
    }
    if (status == EFFECT_READ_END) {
        return true;
    }
    buffer_format(report,
                  "the log's frame at position %llu: expected an effect that fits the data at byte "
                  "%zu of its content, found: %s",
                  (unsigned long long)position, (size_t)(at - start), found);
    return false;
}

static bool load_frames(struct snapshot_load *load, uint32_t index, struct buffer *report) {
    struct span rest = buffer_span(&load->content);
    struct snapshot_frame frame;
    enum snapshot_section_status status;
    while ((status = snapshot_frame_read(&rest, &frame)) == SNAPSHOT_SECTION_DONE) {
        if (!snapshot_load_frame(load, frame.position, frame.content, report)) {
            return false;
        }
    }
    if (status != SNAPSHOT_SECTION_END) {
        report_place(load, index, report);
        buffer_append_string(report, "expected frames of the log, found lengths that do not fit");
    }
    return status == SNAPSHOT_SECTION_END;
}

bool snapshot_load_chunk(struct snapshot_load *load, uint32_t index, struct buffer *report) {
    ASSERT(index < load->reader->chunks_count);
    enum snapshot_kind kind = load->reader->chunks[index].kind;
    if (kind != SNAPSHOT_IMAGE && kind != SNAPSHOT_TAIL) {
        return true;
    }
    if (snapshot_reader_chunk(load->reader, index, &load->content, report) != SNAPSHOT_READ_DONE) {
        return false;
    }
    return kind == SNAPSHOT_IMAGE ? load_images(load, index, report)
                                  : load_frames(load, index, report);
}
