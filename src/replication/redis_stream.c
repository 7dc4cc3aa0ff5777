#include "replication/redis_stream.h"

#include "base/memory.h"
#include "base/random.h"
#include "commands/log_export.h"
#include "oplog/reader.h"

#include <inttypes.h>

/* A place, and what stands in the stream there beside the log's commands. The offset is the one
 * before it. */
struct mark {
    struct redis_place at;
    enum redis_extra extra;
};

/* marks[first_mark .. next_mark) by number, in a ring. */
struct redis_stream {
    struct redis_place end;
    uint64_t first_mark;
    uint64_t next_mark;
    char id[REDIS_ID_BYTES + 1];
    struct mark marks[REDIS_STREAM_MARKS_MAX];
};

static const struct span extras[] = {
    [REDIS_EXTRA_NONE] = SPAN_LITERAL(""),
    [REDIS_EXTRA_PING] = SPAN_LITERAL("*1\r\n$4\r\nPING\r\n"),
    [REDIS_EXTRA_GETACK] = SPAN_LITERAL("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"),
};

/* ---- marks ---- */

static struct mark *mark_of(struct redis_stream *stream, uint64_t number) {
    return &stream->marks[number % REDIS_STREAM_MARKS_MAX];
}

void redis_stream_add(struct redis_stream *stream, enum redis_extra extra) {
    if (stream->next_mark - stream->first_mark == REDIS_STREAM_MARKS_MAX) {
        stream->first_mark++;
    }
    *mark_of(stream, stream->next_mark) = (struct mark){.at = stream->end, .extra = extra};
    stream->next_mark++;
    stream->end.offset += extras[extra].length;
}

static void make_id(char *id) {
    unsigned char bytes[REDIS_ID_BYTES / 2];
    random_seed_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        id[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        id[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
}

struct redis_stream *redis_stream_new(uint64_t begin) {
    struct redis_stream *stream = memory_alloc_zeroed(sizeof(*stream));
    stream->end = (struct redis_place){.position = begin, .offset = begin};
    make_id(stream->id);
    redis_stream_add(stream, REDIS_EXTRA_NONE);
    return stream;
}

void redis_stream_free(struct redis_stream *stream) {
    memory_free(stream);
}

const char *redis_stream_id(const struct redis_stream *stream) {
    return stream->id;
}

struct redis_place redis_stream_end(const struct redis_stream *stream) {
    return stream->end;
}

/* The first reader has come further. */
static void advance(struct redis_stream *stream, struct redis_place to) {
    stream->end = to;
    uint64_t marked = mark_of(stream, stream->next_mark - 1)->at.offset;
    if (to.offset - marked >= REDIS_STREAM_MARK_BYTES) {
        redis_stream_add(stream, REDIS_EXTRA_NONE);
    }
}

/* ---- a frame ---- */

/* To another key of the same database it is one command, else two. */
static bool takes_several(const struct effect_record *record) {
    return record->effect.kind == EFFECT_KEY_MOVE &&
           record->effect.number != (int64_t)record->database;
}

bool redis_stream_commands(struct span content, struct buffer *commands, struct buffer *report) {
    struct log_export export = {.database = 0};
    const char *begin = content.bytes;
    struct effect_record record;
    struct effect_record next;
    bool is_open = false;
    enum effect_read_status status = effect_read(&content, &record);
    while (status == EFFECT_READ_DONE) {
        status = effect_read(&content, &next);
        bool goes_on = status == EFFECT_READ_DONE && next.is_joined;
        if (!is_open && (goes_on || takes_several(&record))) {
            buffer_append_string(commands, "*1\r\n$5\r\nMULTI\r\n");
            is_open = true;
        }
        log_export_commands(&export, &record, commands);
        if (is_open && !goes_on) {
            buffer_append_string(commands, "*1\r\n$4\r\nEXEC\r\n");
            is_open = false;
        }
        record = next;
    }
    if (export.database != 0) {
        buffer_append_string(commands, "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
    }
    if (status != EFFECT_READ_END) {
        buffer_format(report, "expected an effect at byte %zu of a frame's content, found none",
                      (size_t)(content.bytes - begin));
    }
    return status == EFFECT_READ_END;
}

/* ---- cursors ---- */

/* The last of the marks that has at most this number in its place; offsets and positions never
 * fall. */
static bool find(struct redis_cursor *cursor, struct redis_stream *stream, uint64_t most,
                 bool by_offset) {
    *cursor = (struct redis_cursor){.stream = stream, .report = BUFFER_EMPTY};
    uint64_t low = stream->first_mark;
    uint64_t high = stream->next_mark;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        const struct redis_place *at = &mark_of(stream, middle)->at;
        /* Of several at one position the first is wanted: what they add is behind it. */
        bool is_behind = by_offset ? at->offset > most : at->position >= most;
        if (is_behind) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    bool is_exact =
        !by_offset && low < stream->next_mark && mark_of(stream, low)->at.position == most;
    if (!is_exact && low == stream->first_mark) {
        return false;
    }
    cursor->mark = is_exact ? low : low - 1;
    cursor->at = mark_of(stream, cursor->mark)->at;
    return true;
}

bool redis_cursor_at_offset(struct redis_cursor *cursor, struct redis_stream *stream,
                            uint64_t offset) {
    return find(cursor, stream, offset, true) && offset <= stream->end.offset;
}

bool redis_cursor_at_position(struct redis_cursor *cursor, struct redis_stream *stream,
                              uint64_t position) {
    return find(cursor, stream, position, false);
}

void redis_cursor_close(struct redis_cursor *cursor) {
    oplog_reader_close(cursor->reader);
    cursor->reader = NULL;
    buffer_free(&cursor->report);
}

/* True: a mark was taken, which may have added something. */
static bool take_mark(struct redis_cursor *cursor, struct buffer *out) {
    struct redis_stream *stream = cursor->stream;
    if (cursor->mark == stream->next_mark) {
        return false;
    }
    const struct mark *mark = mark_of(stream, cursor->mark);
    if (mark->at.position != cursor->at.position) {
        return false;
    }
    ASSERT(mark->at.offset == cursor->at.offset);
    buffer_append_span(out, extras[mark->extra]);
    cursor->at.offset += extras[mark->extra].length;
    cursor->mark++;
    return true;
}

static bool set_end(struct redis_cursor *cursor, const struct disk *log, uint64_t end) {
    if (cursor->reader != NULL) {
        oplog_reader_set_end(cursor->reader, end);
        return true;
    }
    struct oplog_reader_plan plan = {
        .disk = log, .from = cursor->at.position, .to = end, .report = &cursor->report};
    return oplog_reader_open(&plan, &cursor->reader) == OPLOG_READ_END;
}

static enum redis_read take_frame(struct redis_cursor *cursor, struct buffer *out) {
    struct oplog_frame frame;
    enum oplog_read status = oplog_reader_next(cursor->reader, &frame);
    if (status != OPLOG_READ_FRAME) {
        return status == OPLOG_READ_END ? REDIS_READ_END : REDIS_READ_FAILED;
    }
    size_t before = out->length;
    if (!redis_stream_commands(frame.content, out, &cursor->report)) {
        return REDIS_READ_FAILED;
    }
    struct redis_stream *stream = cursor->stream;
    bool is_first = cursor->at.position == stream->end.position;
    cursor->at.position = frame.end;
    cursor->at.offset += out->length - before;
    if (is_first) {
        advance(stream, cursor->at);
    }
    return REDIS_READ_DONE;
}

enum redis_read redis_cursor_next(struct redis_cursor *cursor, const struct disk *log, uint64_t end,
                                  struct buffer *out) {
    if (cursor->mark < cursor->stream->first_mark) {
        buffer_append_string(&cursor->report, "the replica is too far behind for this stream");
        return REDIS_READ_FAILED;
    }
    size_t before = out->length;
    while (take_mark(cursor, out)) {
        if (out->length > before) {
            return REDIS_READ_DONE;
        }
    }
    if (cursor->at.position >= end) {
        return REDIS_READ_END;
    }
    return set_end(cursor, log, end) ? take_frame(cursor, out) : REDIS_READ_FAILED;
}
