#include "oplog/engine.h"

#include "base/memory.h"

struct held_frame *held_frame_take(struct oplog *oplog) {
    struct list *link = list_pop_front(&oplog->spare);
    if (link == NULL) {
        struct held_frame *frame = memory_alloc_zeroed(sizeof(*frame));
        list_init(&frame->link);
        return frame;
    }
    struct held_frame *frame = LIST_ENTRY(link, struct held_frame, link);
    oplog->spare_bytes -= frame->held_bytes;
    return frame;
}

static void frame_free(struct held_frame *frame) {
    oplog_batch_free(&frame->content);
    memory_free(frame);
}

void held_frames_clear(struct list *frames) {
    LIST_FOR_EACH(link, frames) {
        struct held_frame *frame = LIST_ENTRY(link, struct held_frame, link);
        oplog_batch_clear(&frame->content);
        frame->held_bytes = sizeof(*frame) + oplog_batch_held_bytes(&frame->content);
    }
}

/* What one sync let go of is about what the next second needs: spare ones beyond that go. */
void held_frames_keep(struct oplog *oplog, struct list *frames, uint64_t bytes) {
    uint64_t bytes_max = bytes < OPLOG_SPARE_BYTES_MAX ? bytes : OPLOG_SPARE_BYTES_MAX;
    for (struct list *link; (link = list_pop_front(frames)) != NULL;) {
        list_push_front(&oplog->spare, link);
        oplog->spare_bytes += LIST_ENTRY(link, struct held_frame, link)->held_bytes;
    }
    while (oplog->spare_bytes > bytes_max) {
        struct list *last = oplog->spare.previous;
        list_remove(last);
        oplog->spare_bytes -= LIST_ENTRY(last, struct held_frame, link)->held_bytes;
        list_push_back(frames, last);
    }
}

void held_frames_free(struct list *frames) {
    for (struct list *link; (link = list_pop_front(frames)) != NULL;) {
        frame_free(LIST_ENTRY(link, struct held_frame, link));
    }
}
