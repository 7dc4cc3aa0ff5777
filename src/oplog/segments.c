#include "oplog/segments.h"

#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>

struct listing {
    struct segments *segments;
    size_t capacity;
};

static void name_found(void *context, const char *text) {
    struct listing *listing = context;
    struct segments *segments = listing->segments;
    struct segment_name name;
    if (!segment_name_read(text, &name)) {
        return;
    }
    if (segments->count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 16;
        segments->found =
            memory_realloc(segments->found, listing->capacity * sizeof(struct segment_found));
    }
    segments->found[segments->count++] = (struct segment_found){.name = name};
}

static int names_compare(const void *a, const void *b) {
    const struct segment_name *x = &((const struct segment_found *)a)->name;
    const struct segment_name *y = &((const struct segment_found *)b)->name;
    if (x->first != y->first) {
        return x->first < y->first ? -1 : 1;
    }
    return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

static int header_read(struct segment_found *found, const struct disk *disk) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, found->name);
    int error = 0;
    struct disk_file *file = disk->open(disk->context, name, false, &error);
    if (file == NULL) {
        return error;
    }
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES + OPLOG_FRAME_HEADER_BYTES];
    int64_t size = disk->size(file);
    int64_t length = size < 0 ? size : disk->read(file, bytes, sizeof(bytes), 0);
    disk->close(file);
    if (length < 0) {
        return (int)length;
    }
    found->size = (uint64_t)size;
    if (length < OPLOG_SEGMENT_HEADER_BYTES) {
        found->problem = "the segment's header is not whole";
        return 0;
    }
    found->problem = segment_header_read(bytes, &found->header);
    if (found->problem == NULL && (found->header.first != found->name.first ||
                                   found->header.history.epoch != found->name.epoch)) {
        found->problem = "the segment's header belongs to another name";
    }
    struct frame_header frame;
    if (found->problem == NULL && length == sizeof(bytes) &&
        frame_header_read(bytes + OPLOG_SEGMENT_HEADER_BYTES, &found->header.history, &frame) &&
        frame.position == found->header.first) {
        found->time_ms = frame.time_ms;
    }
    return 0;
}

int segments_read(struct segments *segments, const struct disk *disk) {
    segments_free(segments);
    struct listing listing = {.segments = segments};
    int status = disk->list(disk->context, name_found, &listing);
    size_t count = 0;
    for (size_t i = 0; status == 0 && i < segments->count; i++) {
        status = header_read(&segments->found[i], disk);
        if (status == 0) {
            segments->found[count++] = segments->found[i];
        } else if (status == -ENOENT) {
            status = 0;
        }
    }
    if (status != 0) {
        segments_free(segments);
        return status;
    }
    segments->count = count;
    if (count > 1) {
        qsort(segments->found, count, sizeof(struct segment_found), names_compare);
    }
    return 0;
}

void segments_free(struct segments *segments) {
    memory_free(segments->found);
    *segments = SEGMENTS_EMPTY;
}

const char *segment_follows(const struct segment_found *earlier,
                            const struct segment_found *later) {
    const struct segment_header *before = &earlier->header;
    const struct segment_header *after = &later->header;
    if (history_equal(&before->history, &after->history)) {
        return NULL;
    }
    if (!history_equal(&before->history, &after->parent)) {
        return "the segment's parent is not the history of the segment before";
    }
    if (after->begin != after->first) {
        return "the first segment of its history is missing";
    }
    return NULL;
}
