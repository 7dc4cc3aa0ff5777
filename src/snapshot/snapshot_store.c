#include "snapshot/snapshot_store.h"

#include "oplog/reader.h"
#include "snapshot/snapshot_section.h"

#include <errno.h>

int snapshot_write_chunk(struct snapshot_writer *writer, const struct image_chunk *chunk,
                         struct buffer *room) {
    struct span raw = buffer_span(&chunk->bytes);
    if (chunk->blocks_count > 0) {
        buffer_clear(room);
        image_chunk_join(chunk, room);
        raw = buffer_span(room);
    }
    return snapshot_writer_add(writer, &(struct snapshot_content){
                                           .kind = SNAPSHOT_IMAGE,
                                           .slot_first = chunk->slot_first,
                                           .slot_last = chunk->slot_last,
                                           .raw = raw,
                                       });
}

static int flush(struct snapshot_writer *writer, struct buffer *content) {
    if (content->length == 0) {
        return 0;
    }
    int error = snapshot_writer_add(
        writer, &(struct snapshot_content){.kind = SNAPSHOT_TAIL, .raw = buffer_span(content)});
    buffer_clear(content);
    return error;
}

static int write_frames(struct snapshot_writer *writer, struct oplog_reader *reader,
                        struct buffer *content) {
    struct oplog_frame frame;
    enum oplog_read status;
    while ((status = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        snapshot_frame_write(content, &(struct snapshot_frame){.position = frame.position,
                                                               .time_ms = frame.time_ms,
                                                               .content = frame.content});
        int error = content->length < SNAPSHOT_TAIL_CHUNK_BYTES ? 0 : flush(writer, content);
        if (error != 0) {
            return error;
        }
    }
    return status == OPLOG_READ_END ? flush(writer, content) : -EIO;
}

int snapshot_write_tail(struct snapshot_writer *writer, const struct snapshot_tail *tail) {
    if (tail->begin == tail->end) {
        return 0;
    }
    struct oplog_reader_plan plan = {
        .disk = tail->log, .from = tail->begin, .to = tail->end, .report = tail->report};
    struct oplog_reader *reader = NULL;
    oplog_reader_open(&plan, &reader);
    if (reader == NULL) {
        return -EIO;
    }
    struct buffer content = BUFFER_EMPTY;
    int error = write_frames(writer, reader, &content);
    oplog_reader_close(reader);
    buffer_free(&content);
    return error;
}
