#include "oplog/reader.h"

#include "base/assertion.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "oplog/segments.h"

#include <errno.h>

/* A buffer that one large frame made larger than this is not kept for the small ones behind it. */
#define KEPT_BYTES_MAX (OPLOG_READ_BYTES * 8)

struct oplog_reader {
    struct oplog_reader_plan plan;
    struct segments segments;
    size_t index; /* of the segment that `file` is */
    struct disk_file *file;
    uint64_t position;
    uint64_t synced;
    uint64_t torn_bytes;

    /* Bytes of the file. */
    unsigned char *bytes;
    size_t at_once; /* as much is read, where a frame does not need more */
    size_t capacity;
    size_t length;
    uint64_t offset; /* of the first one */
};

/* Why a place does not hold what it should. */
struct problem {
    uint64_t offset;
    const char *expected;
    const char *found;
    uint64_t numbers[2]; /* where `found` has numbers: what should be, what is */
    bool has_numbers;
};

/* ---- bytes ---- */

static enum oplog_read fail(struct oplog_reader *reader, const char *what, int status) {
    char name[SEGMENT_NAME_BYTES] = "the folder";
    if (reader->index < reader->segments.count) {
        segment_name_write(name, reader->segments.found[reader->index].name);
    }
    buffer_format(reader->plan.report, "%s: cannot %s: %s. ", name, what, strerror(-status));
    return OPLOG_READ_FAILED;
}

static bool room_make(struct oplog_reader *reader, size_t length) {
    size_t wanted = length > reader->at_once ? length : reader->at_once;
    if (reader->capacity >= wanted &&
        (reader->capacity <= KEPT_BYTES_MAX || length > KEPT_BYTES_MAX)) {
        return true;
    }
    memory_free(reader->bytes);
    reader->length = 0;
    reader->bytes = memory_try_alloc(wanted);
    reader->capacity = reader->bytes == NULL ? 0 : wanted;
    return reader->bytes != NULL;
}

/* How much is read at once for so many bytes: what stands behind the reader's end is of no use
 * yet. */
static size_t read_length(const struct oplog_reader *reader, uint64_t offset, size_t length) {
    uint64_t first = reader->segments.found[reader->index].name.first;
    uint64_t end = reader->plan.to <= first ? 0 : segment_offset(first, reader->plan.to);
    size_t wanted = reader->at_once;
    if (reader->plan.to != OPLOG_READ_ALL && end < offset + wanted) {
        wanted = end > offset ? (size_t)(end - offset) : 0;
    }
    return length > wanted ? length : wanted;
}

/* Has `length` bytes of the file at hand, or those that there are: *bytes. Answers how many, or a
 * negative errno. */
static int64_t fill(struct oplog_reader *reader, uint64_t offset, size_t length,
                    const unsigned char **bytes) {
    bool is_here = offset >= reader->offset && offset - reader->offset <= reader->length &&
                   reader->length - (offset - reader->offset) >= length;
    if (!is_here) {
        if (!room_make(reader, length)) {
            return -ENOMEM;
        }
        size_t wanted = read_length(reader, offset, length);
        int64_t got = reader->plan.disk->read(reader->file, reader->bytes, wanted, offset);
        reader->length = got < 0 ? 0 : (size_t)got;
        reader->offset = offset;
        if (got < 0) {
            return got;
        }
        if (reader->length == reader->at_once && reader->at_once < OPLOG_READ_BYTES) {
            reader->at_once *= 2;
        }
    }
    size_t skip = (size_t)(offset - reader->offset);
    *bytes = reader->bytes + skip;
    size_t available = reader->length - skip;
    return (int64_t)(available < length ? available : length);
}

static void forget_bytes(struct oplog_reader *reader) {
    reader->length = 0;
    reader->offset = 0;
}

/* ---- segments ---- */

static const struct segment_found *segment_at(const struct oplog_reader *reader, size_t index) {
    ASSERT(index < reader->segments.count);
    return &reader->segments.found[index];
}

static bool has_next(const struct oplog_reader *reader) {
    return reader->index + 1 < reader->segments.count;
}

static void file_close(struct oplog_reader *reader) {
    if (reader->file != NULL) {
        reader->plan.disk->close(reader->file);
        reader->file = NULL;
    }
    forget_bytes(reader);
}

static enum oplog_read file_open(struct oplog_reader *reader, size_t index) {
    file_close(reader);
    reader->index = index;
    const struct disk *disk = reader->plan.disk;
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, segment_at(reader, index)->name);
    int error = 0;
    reader->file = disk->open(disk->context, name, false, &error);
    return reader->file == NULL ? fail(reader, "open", error) : OPLOG_READ_FRAME;
}

/* The last segment that begins at or before the position and has a header. */
static size_t segment_find(const struct segments *segments, uint64_t position) {
    size_t index = 0;
    for (size_t i = 0; i < segments->count && segments->found[i].name.first <= position; i++) {
        if (segments->found[i].problem == NULL) {
            index = i;
        }
    }
    return index;
}

/* The history of a segment, also if its header is torn. NULL: it cannot be told. */
static const struct history *segment_history(const struct oplog_reader *reader, size_t index) {
    uint64_t epoch = segment_at(reader, index)->name.epoch;
    for (size_t i = index + 1; i > 0 && segment_at(reader, i - 1)->name.epoch == epoch; i--) {
        if (segment_at(reader, i - 1)->problem == NULL) {
            return &segment_at(reader, i - 1)->header.history;
        }
    }
    return NULL;
}

/* ---- what does not fit ---- */

static void report_problem(struct oplog_reader *reader, const struct problem *problem,
                           const char *verdict) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, segment_at(reader, reader->index)->name);
    struct buffer *report = reader->plan.report;
    buffer_format(report, "%s, offset %llu: expected %s", name, (unsigned long long)problem->offset,
                  problem->expected);
    if (problem->has_numbers) {
        buffer_format(report, " %llu", (unsigned long long)problem->numbers[0]);
    }
    buffer_format(report, ", found %s", problem->found);
    if (problem->has_numbers) {
        buffer_format(report, " %llu", (unsigned long long)problem->numbers[1]);
    }
    buffer_format(report, " (%s). ", verdict);
}

/* Where the file's content ends, the zeros at its end left out; from `offset` on. Negative
 * errno. */
static int64_t content_end(struct oplog_reader *reader, uint64_t offset) {
    uint64_t end = offset;
    for (;;) {
        const unsigned char *bytes;
        int64_t count = fill(reader, offset, OPLOG_READ_BYTES_MIN, &bytes);
        if (count <= 0) {
            return count < 0 ? count : (int64_t)end;
        }
        for (int64_t i = count; i > 0; i--) {
            if (bytes[i - 1] != 0) {
                end = offset + (uint64_t)i;
                break;
            }
        }
        offset += (uint64_t)count;
    }
}

struct proof {
    const struct history *history;
    uint64_t first;
    uint64_t position; /* synced up to beyond this? */
};

/* 1: some frame in these bytes, which stand at the offset, says so. */
static bool bytes_prove(const unsigned char *bytes, size_t count, uint64_t offset,
                        const struct proof *proof) {
    for (size_t i = 0; i + OPLOG_FRAME_HEADER_BYTES <= count; i++) {
        /* A header holds its own position: few other bytes pass. */
        uint64_t position = proof->first + (offset + i - OPLOG_SEGMENT_HEADER_BYTES);
        struct frame_header header;
        if (bytes_load_u64(bytes + i + 8) == position &&
            frame_header_read(bytes + i, proof->history, &header) &&
            header.synced > proof->position) {
            return true;
        }
    }
    return false;
}

/* Looks for a proof from the offset to the end of the open file. 1, 0 or a negative errno. */
static int file_proves(struct oplog_reader *reader, uint64_t offset, const struct proof *proof) {
    for (;;) {
        const unsigned char *bytes;
        int64_t count = fill(reader, offset, OPLOG_READ_BYTES_MIN, &bytes);
        if (count < OPLOG_FRAME_HEADER_BYTES) {
            return count < 0 ? (int)count : 0;
        }
        if (bytes_prove(bytes, (size_t)count, offset, proof)) {
            return 1;
        }
        offset += (uint64_t)count - OPLOG_FRAME_HEADER_BYTES + 1;
    }
}

/* Whether the place at reader->position, the offset of its segment, had been synced. Counts torn
 * bytes on the way. 1, 0 or a negative errno. */
static int was_synced(struct oplog_reader *reader, uint64_t offset) {
    size_t broken = reader->index;
    uint64_t epoch = segment_at(reader, broken)->name.epoch;
    int answer = 0;
    for (size_t i = broken; answer == 0 && i < reader->segments.count; i++) {
        const struct segment_found *found = segment_at(reader, i);
        const struct history *history = segment_history(reader, i);
        /* A new history begins only when all before it is durable. */
        if (found->name.epoch != epoch || history == NULL) {
            answer = 1;
            break;
        }
        if (i != broken && file_open(reader, i) != OPLOG_READ_FRAME) {
            answer = -EIO;
            break;
        }
        uint64_t start = i == broken ? offset : 0;
        int64_t end = content_end(reader, start);
        if (end < 0) {
            answer = (int)end;
            break;
        }
        reader->torn_bytes += (uint64_t)end - start;
        struct proof proof = {
            .history = history, .first = found->name.first, .position = reader->position};
        uint64_t scan_from =
            start < OPLOG_SEGMENT_HEADER_BYTES ? OPLOG_SEGMENT_HEADER_BYTES : start;
        answer = file_proves(reader, scan_from, &proof);
    }
    if (reader->index != broken) {
        file_close(reader);
        reader->index = broken;
    }
    return answer;
}

static enum oplog_read broken(struct oplog_reader *reader, const struct problem *problem) {
    reader->torn_bytes = 0;
    int answer = was_synced(reader, problem->offset);
    if (answer < 0) {
        return fail(reader, "read", answer);
    }
    if (answer > 0) {
        report_problem(reader, problem, "damaged: it had been synced");
        return OPLOG_READ_DAMAGED;
    }
    report_problem(reader, problem, "torn by a crash: nothing says that it had been synced");
    return OPLOG_READ_TORN;
}

static enum oplog_read damaged(struct oplog_reader *reader, const struct problem *problem) {
    report_problem(reader, problem, "damaged");
    return OPLOG_READ_DAMAGED;
}

/* ---- walking ---- */

static enum oplog_read next_enter(struct oplog_reader *reader) {
    size_t index = reader->index + 1;
    const struct segment_found *before = segment_at(reader, index - 1);
    const struct segment_found *found = segment_at(reader, index);
    struct problem problem = {.expected = "the header of a segment", .found = found->problem};
    const char *wrong = NULL;
    if (found->problem == NULL && before->problem == NULL) {
        wrong = segment_follows(before, found);
    }
    enum oplog_read status = file_open(reader, index);
    if (status != OPLOG_READ_FRAME) {
        return status;
    }
    if (wrong != NULL) {
        problem.expected = "a segment that follows";
        problem.found = wrong;
        return damaged(reader, &problem);
    }
    return found->problem != NULL ? broken(reader, &problem) : OPLOG_READ_FRAME;
}

static void problem_set(struct problem *problem, const char *expected, const char *found) {
    problem->expected = expected;
    problem->found = found;
}

/* "expected EXPECTED wanted, found FOUND actual". */
static void problem_count(struct problem *problem, uint64_t wanted, uint64_t actual) {
    problem->has_numbers = true;
    problem->numbers[0] = wanted;
    problem->numbers[1] = actual;
}

/* The header of the frame at the offset. FRAME, FAILED, or END: there is none, see problem. */
static enum oplog_read header_read(struct oplog_reader *reader, uint64_t offset,
                                   struct frame_header *header, struct problem *problem) {
    const unsigned char *bytes = NULL;
    int64_t count = fill(reader, offset, OPLOG_FRAME_HEADER_BYTES, &bytes);
    if (count < 0) {
        return fail(reader, "read", (int)count);
    }
    if (count < OPLOG_FRAME_HEADER_BYTES) {
        problem_set(problem, "the header of a frame", "the end of the file");
        return OPLOG_READ_END;
    }
    const struct history *history = &segment_at(reader, reader->index)->header.history;
    if (!frame_header_read(bytes, history, header)) {
        problem_set(problem, "the header of a frame", "other bytes");
        return OPLOG_READ_END;
    }
    if (header->position != reader->position) {
        problem_set(problem, "the frame of position", "that of");
        problem_count(problem, reader->position, header->position);
        return OPLOG_READ_END;
    }
    return OPLOG_READ_FRAME;
}

/* The content, which stands at the offset. As header_read(). */
static enum oplog_read content_read(struct oplog_reader *reader, uint64_t offset,
                                    const struct frame_header *header, struct span *content,
                                    struct problem *problem) {
    const unsigned char *bytes = NULL;
    uint64_t ahead = reader->offset + reader->length - offset;
    if (header->length > ahead) {
        /* Before memory is taken for it. */
        int64_t size = reader->plan.disk->size(reader->file);
        if (size < 0) {
            return fail(reader, "get the size", (int)size);
        }
        uint64_t room = (uint64_t)size < offset ? 0 : (uint64_t)size - offset;
        if (header->length > room || header->length > SIZE_MAX / 2) {
            problem_set(problem, "content with bytes:", "as many up to the end of the file as");
            problem_count(problem, header->length, room);
            return OPLOG_READ_END;
        }
    }
    int64_t count = fill(reader, offset, (size_t)header->length, &bytes);
    if (count < 0) {
        return fail(reader, "read the content of a frame", (int)count);
    }
    *content = span_of(bytes, (size_t)count);
    uint64_t checksum = checksum_bytes(*content);
    if ((uint64_t)count != header->length || checksum != header->checksum) {
        problem_set(problem, "a frame whose content has the checksum", "content with");
        problem_count(problem, header->checksum, checksum);
        return OPLOG_READ_END;
    }
    return OPLOG_READ_FRAME;
}

static enum oplog_read frame_read(struct oplog_reader *reader, struct oplog_frame *frame,
                                  struct problem *problem) {
    uint64_t first = segment_at(reader, reader->index)->name.first;
    uint64_t offset = segment_offset(first, reader->position);
    *problem = (struct problem){.offset = offset};
    struct frame_header header;
    enum oplog_read status = header_read(reader, offset, &header, problem);
    if (status == OPLOG_READ_FRAME) {
        status = content_read(reader, offset + OPLOG_FRAME_HEADER_BYTES, &header, &frame->content,
                              problem);
    }
    if (status == OPLOG_READ_FRAME) {
        frame->position = header.position;
        frame->end = header.position + OPLOG_FRAME_HEADER_BYTES + header.length;
        frame->synced = header.synced;
        frame->time_ms = header.time_ms;
    }
    return status;
}

static enum oplog_read look_again(struct oplog_reader *reader) {
    struct segment_name name = segment_at(reader, reader->index)->name;
    int status = segments_read(&reader->segments, reader->plan.disk);
    size_t count = reader->segments.count;
    reader->index = 0;
    if (status != 0 || count == 0) {
        return fail(reader, "list segments again", status != 0 ? status : -ENOENT);
    }
    for (size_t i = 0; i < count; i++) {
        const struct segment_name *other = &reader->segments.found[i].name;
        if (other->first == name.first && other->epoch == name.epoch) {
            reader->index = i;
        }
    }
    return OPLOG_READ_FRAME;
}

/* Whether a segment has come since the segments were listed that has the position: behind the
 * current one, or in its place after a failed sync. Then it is entered. FRAME: yes, END: no. */
static enum oplog_read newer_segment(struct oplog_reader *reader) {
    struct segment_name name = segment_at(reader, reader->index)->name;
    enum oplog_read status = look_again(reader);
    if (status != OPLOG_READ_FRAME) {
        return status;
    }
    size_t index = segment_find(&reader->segments, reader->position);
    const struct segment_name *other = &reader->segments.found[index].name;
    if (other->first == name.first && other->epoch == name.epoch) {
        return OPLOG_READ_END;
    }
    return other->first == reader->position && index == reader->index + 1
               ? OPLOG_READ_FRAME
               : file_open(reader, index);
}

static enum oplog_read ends_early(struct oplog_reader *reader, uint64_t offset) {
    struct problem problem = {.offset = offset};
    problem_set(&problem, "frames up to position", "the end of the log at");
    problem_count(&problem, reader->plan.to, reader->position);
    return damaged(reader, &problem);
}

/* No frame at the position: the end, another segment that came meanwhile, or broken. FRAME: go
 * on. */
static enum oplog_read no_frame(struct oplog_reader *reader, const struct problem *problem) {
    enum oplog_read status = newer_segment(reader);
    if (status != OPLOG_READ_END || has_next(reader)) {
        return status != OPLOG_READ_END ? status : broken(reader, problem);
    }
    int64_t end = content_end(reader, problem->offset);
    if (end < 0) {
        return fail(reader, "read", (int)end);
    }
    if ((uint64_t)end != problem->offset) {
        return broken(reader, problem);
    }
    return reader->plan.to == OPLOG_READ_ALL ? OPLOG_READ_END : ends_early(reader, problem->offset);
}

/* A whole frame, but perhaps not where one may be. */
static enum oplog_read frame_check(struct oplog_reader *reader, const struct oplog_frame *frame) {
    struct problem problem = {
        .offset = segment_offset(segment_at(reader, reader->index)->name.first, frame->position),
        .found = "a frame that goes on to position",
        .has_numbers = true,
    };
    if (has_next(reader) && frame->end > segment_at(reader, reader->index + 1)->name.first) {
        problem.expected = "the end at the next segment's first position";
        problem.numbers[0] = segment_at(reader, reader->index + 1)->name.first;
        problem.numbers[1] = frame->end;
        return damaged(reader, &problem);
    }
    if (frame->position < reader->plan.from && frame->end > reader->plan.from) {
        problem.expected = "a frame that begins at position";
        problem.numbers[0] = reader->plan.from;
        problem.numbers[1] = frame->end;
        return damaged(reader, &problem);
    }
    return OPLOG_READ_FRAME;
}

enum oplog_read oplog_reader_next(struct oplog_reader *reader, struct oplog_frame *frame) {
    while (reader->file != NULL && reader->position < reader->plan.to) {
        enum oplog_read status;
        if (has_next(reader) &&
            segment_at(reader, reader->index + 1)->name.first == reader->position) {
            status = next_enter(reader);
            if (status != OPLOG_READ_FRAME) {
                return status;
            }
            continue;
        }
        struct problem problem;
        status = frame_read(reader, frame, &problem);
        if (status == OPLOG_READ_FRAME) {
            status = frame_check(reader, frame);
            if (status != OPLOG_READ_FRAME) {
                return status;
            }
            reader->position = frame->end;
            reader->synced = frame->synced;
            if (frame->position >= reader->plan.from) {
                return OPLOG_READ_FRAME;
            }
            continue;
        }
        status = status == OPLOG_READ_END ? no_frame(reader, &problem) : status;
        if (status != OPLOG_READ_FRAME) {
            return status;
        }
    }
    return OPLOG_READ_END;
}

/* ---- lifecycle ---- */

static enum oplog_read begin(struct oplog_reader *reader) {
    int status = segments_read(&reader->segments, reader->plan.disk);
    if (status != 0) {
        return fail(reader, "list segments", status);
    }
    if (reader->segments.count == 0) {
        return OPLOG_READ_END;
    }
    size_t index = segment_find(&reader->segments, reader->plan.from);
    const struct segment_found *found = segment_at(reader, index);
    enum oplog_read result = file_open(reader, index);
    if (result != OPLOG_READ_FRAME) {
        return result;
    }
    reader->position = found->name.first;
    if (found->name.first > reader->plan.from) {
        struct problem problem = {.expected = "a log that has position",
                                  .found = "its first segment, which begins at",
                                  .numbers = {reader->plan.from, found->name.first},
                                  .has_numbers = true};
        return damaged(reader, &problem);
    }
    if (found->problem != NULL) {
        struct problem problem = {.expected = "the header of a segment", .found = found->problem};
        return damaged(reader, &problem);
    }
    return OPLOG_READ_END;
}

enum oplog_read oplog_reader_open(const struct oplog_reader_plan *plan,
                                  struct oplog_reader **made) {
    struct oplog_reader *reader = memory_alloc_zeroed(sizeof(*reader));
    reader->plan = *plan;
    reader->at_once = OPLOG_READ_BYTES_MIN;
    enum oplog_read status = begin(reader);
    if (status != OPLOG_READ_END) {
        oplog_reader_close(reader);
        reader = NULL;
    }
    *made = reader;
    return status;
}

void oplog_reader_close(struct oplog_reader *reader) {
    if (reader != NULL) {
        file_close(reader);
        segments_free(&reader->segments);
        memory_free(reader->bytes);
        memory_free(reader);
    }
}

/* What was read from behind the former end may have been half written then. */
void oplog_reader_set_end(struct oplog_reader *reader, uint64_t to) {
    uint64_t former = reader->plan.to;
    reader->plan.to = to;
    if (reader->file == NULL || former == OPLOG_READ_ALL) {
        forget_bytes(reader);
        return;
    }
    uint64_t first = segment_at(reader, reader->index)->name.first;
    uint64_t end = former <= first ? 0 : segment_offset(first, former);
    if (end < reader->offset) {
        forget_bytes(reader);
    } else if (end - reader->offset < reader->length) {
        reader->length = (size_t)(end - reader->offset);
    }
}

uint64_t oplog_reader_position(const struct oplog_reader *reader) {
    return reader->position;
}

uint64_t oplog_reader_synced(const struct oplog_reader *reader) {
    return reader->synced;
}

uint64_t oplog_reader_torn_bytes(const struct oplog_reader *reader) {
    return reader->torn_bytes;
}

const struct history *oplog_reader_history(const struct oplog_reader *reader) {
    static const struct history none;
    return reader->segments.count == 0 ? &none : &segment_at(reader, reader->index)->header.history;
}
