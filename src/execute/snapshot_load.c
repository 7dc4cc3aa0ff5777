#include "execute/snapshot_load.h"

#include "commands/replay.h"
#include "snapshot/snapshot_section.h"
#include "store/image.h"

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

static uint64_t image_position(const void *context, uint16_t slot) {
    const struct snapshot_slot *row = snapshot_reader_slot(context, slot);
    return row == NULL ? 0 : row->position;
}

bool snapshot_load_frame(struct snapshot_load *load, uint64_t position, struct span content,
                         struct buffer *report) {
    struct replay replay = {
        .store = load->store,
        .image_position = image_position,
        .context = load->reader,
        .images_end = load->reader == NULL ? 0 : load->reader->end.end,
    };
    bool is_done = replay_frame(&replay, position, content, report);
    load->effects += replay.effects;
    return is_done;
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
    enum snapshot_read_status status =
        snapshot_reader_chunk(load->reader, index, &load->content, report);
    load->is_unreadable = status == SNAPSHOT_READ_FAILED;
    if (status != SNAPSHOT_READ_DONE) {
        return false;
    }
    return kind == SNAPSHOT_IMAGE ? load_images(load, index, report)
                                  : load_frames(load, index, report);
}
