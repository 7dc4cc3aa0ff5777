#include "oplog/divergence.h"

#include "base/assertion.h"
#include "base/hash.h"
#include "base/memory.h"
#include "oplog/segments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

/* Of the names; an epoch may have more. */
#define EPOCH_DIGITS 10
#define ID_DIGITS 16
#define POSITION_DIGITS 20
#define BEHIND_EPOCH_LENGTH (1 + ID_DIGITS + 1 + POSITION_DIGITS + 4)
#define NEXT_NAME "next" /* of a file before it counts */
#define JOINED_BYTES_MAX ((size_t)1024 * 1024)
#define JOINED_CONTENT_BYTES_MAX ((size_t)64 * 1024)

/* ---- names ---- */

static void name_write(char text[DIVERGENCE_NAME_BYTES], const struct segment_header *header) {
    char history[HISTORY_TEXT_BYTES];
    history_format(history, &header->history);
    snprintf(text, DIVERGENCE_NAME_BYTES, "%0*llu-%.*s-%0*llu.log", EPOCH_DIGITS,
             (unsigned long long)header->history.epoch, ID_DIGITS, strchr(history, ':') + 1,
             POSITION_DIGITS, (unsigned long long)header->first);
}

/* Skips so many of these characters, and the text behind them. NULL: they are not there. */
static const char *part_skip(const char *text, const char *characters, size_t count,
                             const char *behind) {
    if (text == NULL || strspn(text, characters) != count ||
        strncmp(text + count, behind, strlen(behind)) != 0) {
        return NULL;
    }
    return text + count + strlen(behind);
}

/* Whether it looks like one: what it says is checked against the header. */
static bool is_name(const char *text) {
    static const char digits[] = "0123456789";
    size_t epoch_length = strspn(text, digits);
    if (epoch_length < EPOCH_DIGITS || epoch_length > POSITION_DIGITS) {
        return false;
    }
    const char *rest = part_skip(text, digits, epoch_length, "-");
    rest = part_skip(rest, "0123456789abcdef", ID_DIGITS, "-");
    rest = part_skip(rest, digits, POSITION_DIGITS, ".log");
    return rest != NULL && *rest == '\0';
}

/* ---- a file as the only segment of a folder, for the log's reader ---- */

struct view {
    const struct disk *kept;
    const struct divergence_file *file;
};

static void view_name(const struct view *view, char text[SEGMENT_NAME_BYTES]) {
    const struct segment_header *header = &view->file->header;
    segment_name_write(
        text, (struct segment_name){.first = header->first, .epoch = header->history.epoch});
}

static struct disk_file *view_open(void *context, const char *name, bool create, int *error) {
    const struct view *view = context;
    char expected[SEGMENT_NAME_BYTES];
    view_name(view, expected);
    if (create || strcmp(name, expected) != 0) {
        *error = -ENOENT;
        return NULL;
    }
    return view->kept->open(view->kept->context, view->file->name, false, error);
}

static int view_list(void *context, disk_found found, void *found_context) {
    char name[SEGMENT_NAME_BYTES];
    view_name(context, name);
    found(found_context, name);
    return 0;
}

/* What a reader needs, and nothing else. */
static struct disk view_disk(struct view *view) {
    return (struct disk){
        .context = view,
        .open = view_open,
        .close = view->kept->close,
        .read = view->kept->read,
        .size = view->kept->size,
        .list = view_list,
    };
}

/* ---- the files ---- */

struct listing {
    struct divergence_files *files;
    size_t capacity;
};

static void name_found(void *context, const char *text) {
    struct listing *listing = context;
    struct divergence_files *files = listing->files;
    if (!is_name(text)) {
        return;
    }
    if (files->count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 8;
        files->found =
            memory_realloc(files->found, listing->capacity * sizeof(struct divergence_file));
    }
    struct divergence_file *file = &files->found[files->count++];
    *file = (struct divergence_file){.problem = NULL};
    snprintf(file->name, sizeof(file->name), "%s", text);
}

/* The file whose name is set. 0 or a negative errno. */
static int header_read(struct divergence_file *file, const struct disk *kept) {
    int error = 0;
    struct disk_file *opened = kept->open(kept->context, file->name, false, &error);
    if (opened == NULL) {
        return error;
    }
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES];
    int64_t size = kept->size(opened);
    int64_t length = size < 0 ? size : kept->read(opened, bytes, sizeof(bytes), 0);
    kept->close(opened);
    if (length < 0) {
        return (int)length;
    }
    file->size = (uint64_t)size;
    if (length < OPLOG_SEGMENT_HEADER_BYTES) {
        file->problem = "the file's header is not whole";
        return 0;
    }
    file->problem = segment_header_read(bytes, &file->header);
    if (file->problem == NULL) {
        char name[DIVERGENCE_NAME_BYTES];
        name_write(name, &file->header);
        file->end = file->header.first + (file->size - OPLOG_SEGMENT_HEADER_BYTES);
        file->problem =
            strcmp(name, file->name) == 0 ? NULL : "the file's header belongs to another name";
    }
    return 0;
}

static int files_compare(const void *a, const void *b) {
    const char *x = ((const struct divergence_file *)a)->name;
    const char *y = ((const struct divergence_file *)b)->name;
    size_t x_length = strlen(x);
    size_t y_length = strlen(y);
    if (x_length != y_length) {
        return x_length < y_length ? -1 : 1;
    }
    size_t epoch_length = x_length - BEHIND_EPOCH_LENGTH;
    int order = memcmp(x, y, epoch_length);
    size_t position_at = epoch_length + 1 + ID_DIGITS;
    order = order != 0 ? order : strcmp(x + position_at, y + position_at);
    return order != 0 ? order : strcmp(x, y);
}

int divergence_files_read(struct divergence_files *files, const struct disk *kept) {
    divergence_files_free(files);
    struct listing listing = {.files = files};
    int status = kept->list(kept->context, name_found, &listing);
    size_t count = 0;
    for (size_t i = 0; status == 0 && i < files->count; i++) {
        status = header_read(&files->found[i], kept);
        if (status == 0) {
            files->found[count++] = files->found[i];
        } else if (status == -ENOENT) {
            status = 0;
        }
    }
    if (status != 0) {
        divergence_files_free(files);
        return status;
    }
    files->count = count;
    if (count > 1) {
        qsort(files->found, count, sizeof(struct divergence_file), files_compare);
    }
    return 0;
}

void divergence_files_free(struct divergence_files *files) {
    memory_free(files->found);
    *files = DIVERGENCE_FILES_EMPTY;
}

static enum oplog_status frames_read(const struct divergence_reading *reading,
                                     struct oplog_reader *reader) {
    struct oplog_frame frame;
    enum oplog_read read;
    while ((read = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        if (reading->frame != NULL &&
            !reading->frame(reading->context, oplog_reader_history(reader), &frame)) {
            return OPLOG_STOPPED;
        }
    }
    return read == OPLOG_READ_END      ? OPLOG_DONE
           : read == OPLOG_READ_FAILED ? OPLOG_FAILED
                                       : OPLOG_DAMAGED;
}

enum oplog_status divergence_file_read(const struct divergence_reading *reading,
                                       const struct divergence_file *file) {
    if (file->problem != NULL) {
        buffer_format(reading->report, "%s: %s. ", file->name, file->problem);
        return OPLOG_DAMAGED;
    }
    struct view view = {.kept = reading->kept, .file = file};
    struct disk disk = view_disk(&view);
    struct oplog_reader_plan plan = {
        .disk = &disk,
        .from = file->header.first,
        .to = file->end,
        .report = reading->report,
    };
    struct oplog_reader *reader = NULL;
    enum oplog_read opened = oplog_reader_open(&plan, &reader);
    if (reader == NULL) {
        return opened == OPLOG_READ_FAILED ? OPLOG_FAILED : OPLOG_DAMAGED;
    }
    enum oplog_status status = frames_read(reading, reader);
    oplog_reader_close(reader);
    return status;
}

/* ---- saving ---- */

struct saver {
    const struct divergence_plan *plan;
    struct divergence_saved *saved;
    struct segments segments; /* of the log */
    struct disk_file *file;   /* that is being written, or NULL */
    struct segment_header header;
    struct buffer joined; /* what the file gets next */
    uint64_t written;     /* bytes */
    struct divergence_file *files;
    size_t files_capacity;
};

static int parts_write(struct saver *saver, const struct iovec *parts, size_t count) {
    int status = saver->plan->kept->write(saver->file, parts, count, saver->written);
    for (size_t i = 0; i < count; i++) {
        saver->written += parts[i].iov_len;
    }
    return status;
}

static int joined_write(struct saver *saver) {
    if (saver->joined.length == 0) {
        return 0;
    }
    struct iovec part = {.iov_base = saver->joined.bytes, .iov_len = saver->joined.length};
    int status = parts_write(saver, &part, 1);
    buffer_clear(&saver->joined);
    return status;
}

static int frame_write(struct saver *saver, const struct oplog_frame *frame) {
    unsigned char bytes[OPLOG_FRAME_HEADER_BYTES];
    struct frame_header header = {
        .length = frame->content.length,
        .position = frame->position,
        .time_ms = frame->time_ms,
        .synced = frame->synced,
        .checksum = checksum_bytes(frame->content),
    };
    frame_header_write(bytes, &header, &saver->header.history);
    if (frame->content.length <= JOINED_CONTENT_BYTES_MAX) {
        buffer_append(&saver->joined, bytes, sizeof(bytes));
        buffer_append_span(&saver->joined, frame->content);
        return saver->joined.length < JOINED_BYTES_MAX ? 0 : joined_write(saver);
    }
    int status = joined_write(saver);
    struct iovec parts[] = {
        {.iov_base = bytes, .iov_len = sizeof(bytes)},
        {.iov_base = (void *)(uintptr_t)frame->content.bytes, .iov_len = frame->content.length},
    };
    return status != 0 ? status : parts_write(saver, parts, 2);
}

/* The file of the frames from this one on, which are of this history. */
static int file_begin(struct saver *saver, const struct history *history,
                      const struct oplog_frame *frame) {
    const struct disk *kept = saver->plan->kept;
    for (size_t i = 0; i < saver->segments.count; i++) {
        const struct segment_found *found = &saver->segments.found[i];
        if (found->problem == NULL && history_equal(&found->header.history, history)) {
            saver->header = found->header;
        }
    }
    ASSERT(history_equal(&saver->header.history, history));
    saver->header.first = frame->position;
    int error = 0;
    saver->file = kept->open(kept->context, NEXT_NAME, true, &error);
    if (saver->file == NULL && error == -EEXIST) {
        error = kept->remove(kept->context, NEXT_NAME);
        saver->file = error == 0 ? kept->open(kept->context, NEXT_NAME, true, &error) : NULL;
    }
    if (saver->file == NULL) {
        return error;
    }
    unsigned char bytes[OPLOG_SEGMENT_HEADER_BYTES];
    segment_header_write(bytes, &saver->header);
    saver->written = 0;
    buffer_clear(&saver->joined);
    buffer_append(&saver->joined, bytes, sizeof(bytes));
    return 0;
}

static void file_add(struct saver *saver, const struct divergence_file *file) {
    if (saver->saved->files == saver->files_capacity) {
        saver->files_capacity = saver->files_capacity * 2 + 4;
        saver->files =
            memory_realloc(saver->files, saver->files_capacity * sizeof(struct divergence_file));
    }
    saver->files[saver->saved->files++] = *file;
}

/* Gives the file its name. One that has it already holds at least as much, if the log has been cut
 * in part since: a crash came in between. */
static int file_name(struct saver *saver) {
    const struct disk *kept = saver->plan->kept;
    struct divergence_file file = {.problem = NULL};
    name_write(file.name, &saver->header);
    int status = header_read(&file, kept);
    if (status != 0 && status != -ENOENT) {
        return status;
    }
    if (status == 0 && file.problem == NULL && file.size >= saver->written) {
        if (!history_equal(&file.header.history, &saver->header.history)) {
            return -EEXIST;
        }
        file_add(saver, &file);
        return kept->remove(kept->context, NEXT_NAME);
    }
    status = kept->rename(kept->context, NEXT_NAME, file.name);
    status = status != 0 ? status : header_read(&file, kept);
    if (status == 0) {
        file_add(saver, &file);
    }
    return status;
}

static int file_finish(struct saver *saver) {
    if (saver->file == NULL) {
        return 0;
    }
    const struct disk *kept = saver->plan->kept;
    int status = joined_write(saver);
    status = status != 0 ? status : kept->sync(saver->file);
    kept->close(saver->file);
    saver->file = NULL;
    return status != 0 ? status : file_name(saver);
}

static enum oplog_status kept_failed(struct saver *saver, const char *what, int status) {
    buffer_format(&saver->saved->report, "Cannot %s: %s. ", what, strerror(-status));
    return OPLOG_FAILED;
}

/* All frames of the log from the reader's place on. */
static enum oplog_status frames_save(struct saver *saver, struct oplog_reader *reader) {
    struct oplog_frame frame;
    enum oplog_read read;
    int status = 0;
    while (status == 0 && (read = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        const struct history *history = oplog_reader_history(reader);
        if (saver->file == NULL || !history_equal(&saver->header.history, history)) {
            status = file_finish(saver);
            status = status != 0 ? status : file_begin(saver, history, &frame);
        }
        status = status != 0 ? status : frame_write(saver, &frame);
    }
    status = status != 0 ? status : file_finish(saver);
    if (status != 0) {
        return kept_failed(saver, "keep what is to be cut off the log", status);
    }
    saver->saved->end = oplog_reader_position(reader);
    /* What is torn has never been whole. */
    return read == OPLOG_READ_END || read == OPLOG_READ_TORN ? OPLOG_DONE
           : read == OPLOG_READ_DAMAGED                      ? OPLOG_DAMAGED
                                                             : OPLOG_FAILED;
}

static enum oplog_status log_save(struct saver *saver) {
    struct divergence_saved *saved = saver->saved;
    int status = segments_read(&saver->segments, saver->plan->log);
    if (status != 0) {
        return kept_failed(saver, "list the log's segments", status);
    }
    if (saver->segments.count == 0) {
        return OPLOG_DONE;
    }
    uint64_t start = saver->segments.found[0].name.first;
    saved->from = start > saver->plan->position ? start : saver->plan->position;
    struct oplog_reader_plan plan = {
        .disk = saver->plan->log,
        .from = saved->from,
        .to = OPLOG_READ_ALL,
        .report = &saved->report,
    };
    struct oplog_reader *reader = NULL;
    enum oplog_read opened = oplog_reader_open(&plan, &reader);
    if (reader == NULL) {
        return opened == OPLOG_READ_FAILED ? OPLOG_FAILED : OPLOG_DAMAGED;
    }
    enum oplog_status answer = frames_save(saver, reader);
    oplog_reader_close(reader);
    return answer;
}

static bool frame_kept(void *context, const struct history *history,
                       const struct oplog_frame *frame) {
    struct saver *saver = context;
    saver->saved->frames++;
    saver->saved->bytes += frame->content.length;
    return saver->plan->frame == NULL || saver->plan->frame(saver->plan->context, history, frame);
}

static enum oplog_status read_back(struct saver *saver) {
    struct divergence_reading reading = {
        .kept = saver->plan->kept,
        .frame = frame_kept,
        .context = saver,
        .report = &saver->saved->report,
    };
    enum oplog_status status = OPLOG_DONE;
    for (size_t i = 0; status == OPLOG_DONE && i < saver->saved->files; i++) {
        status = divergence_file_read(&reading, &saver->files[i]);
    }
    return status;
}

static bool is_of_this(const struct saver *saver, const struct divergence_file *file) {
    for (size_t i = 0; saver != NULL && i < saver->saved->files; i++) {
        if (strcmp(saver->files[i].name, file->name) == 0) {
            return true;
        }
    }
    return false;
}

/* What the saver, if there is one, has just made stays. */
static int oldest_remove(const struct disk *kept, uint64_t bytes_max, const struct saver *saver,
                         struct divergence_trimmed *trimmed) {
    struct divergence_files files = DIVERGENCE_FILES_EMPTY;
    int status = divergence_files_read(&files, kept);
    uint64_t bytes = 0;
    for (size_t i = 0; i < files.count; i++) {
        bytes += files.found[i].size;
    }
    for (size_t i = 0; status == 0 && i < files.count && bytes > bytes_max; i++) {
        const struct divergence_file *file = &files.found[i];
        if (is_of_this(saver, file)) {
            continue;
        }
        status = kept->remove(kept->context, file->name);
        if (status == 0) {
            bytes -= file->size;
            trimmed->files_removed++;
            trimmed->bytes_removed += file->size;
            buffer_format(&trimmed->report,
                          "Removed %s, which held %llu bytes, to keep to the limit. ", file->name,
                          (unsigned long long)file->size);
        }
    }
    divergence_files_free(&files);
    return status;
}

int divergence_trim(const struct disk *kept, uint64_t bytes_max,
                    struct divergence_trimmed *trimmed) {
    return oldest_remove(kept, bytes_max, NULL, trimmed);
}

static enum oplog_status limit_keep(struct saver *saver) {
    struct divergence_saved *saved = saver->saved;
    struct divergence_trimmed trimmed = {.report = BUFFER_EMPTY};
    int status = 0;
    if (saver->plan->bytes_max != 0) {
        status = oldest_remove(saver->plan->kept, saver->plan->bytes_max, saver, &trimmed);
        saved->files_removed = trimmed.files_removed;
        saved->bytes_removed = trimmed.bytes_removed;
        buffer_append_span(&saved->report, buffer_span(&trimmed.report));
        buffer_free(&trimmed.report);
    }
    /* The older ones do not stand in the way of what has been kept. */
    if (status != 0) {
        kept_failed(saver, "remove older divergence files", status);
    }
    return OPLOG_DONE;
}

enum oplog_status divergence_save(const struct divergence_plan *plan,
                                  struct divergence_saved *saved) {
    *saved = (struct divergence_saved){
        .from = plan->position, .end = plan->position, .report = BUFFER_EMPTY};
    struct saver saver = {
        .plan = plan, .saved = saved, .segments = SEGMENTS_EMPTY, .joined = BUFFER_EMPTY};
    enum oplog_status answer = log_save(&saver);
    if (saver.file != NULL) {
        plan->kept->close(saver.file);
    }
    if (answer == OPLOG_DONE && saved->files > 0) {
        int status = plan->kept->sync_names(plan->kept->context);
        answer = status == 0 ? read_back(&saver)
                             : kept_failed(&saver, "keep what is to be cut off the log", status);
    }
    answer = answer == OPLOG_DONE ? limit_keep(&saver) : answer;
    segments_free(&saver.segments);
    buffer_free(&saver.joined);
    memory_free(saver.files);
    return answer;
}

void divergence_saved_free(struct divergence_saved *saved) {
    buffer_free(&saved->report);
}

/* ---- cutting ---- */

/* Whether the segment may be what the place stands in. */
static bool is_before(const struct segment_found *found, const struct history *history,
                      uint64_t position) {
    return found->problem == NULL && found->name.first <= position &&
           history_equal(&found->header.history, history);
}

/* The newest go first, each for good before the next: if power fails meanwhile, the log has no
 * hole. */
int divergence_cut(const struct disk *log, const struct history *history, uint64_t position) {
    struct segments segments = SEGMENTS_EMPTY;
    int status = segments_read(&segments, log);
    size_t kept = segments.count;
    while (kept > 0 && !is_before(&segments.found[kept - 1], history, position)) {
        kept--;
    }
    status = status == 0 && kept == 0 ? -ENOENT : status;
    for (size_t i = segments.count; status == 0 && i > kept; i--) {
        char name[SEGMENT_NAME_BYTES];
        segment_name_write(name, segments.found[i - 1].name);
        status = log->remove(log->context, name);
        status = status != 0 ? status : log->sync_names(log->context);
    }
    segments_free(&segments);
    return status != 0 ? status : oplog_cut(log, position);
}
