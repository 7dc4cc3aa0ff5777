/* tarn-log: what the segments of a log hold, whether they are whole, and what can be made of them.
 * It needs no server; only `cut` changes something, and only when no server has the log open. */
#include "base/numbers.h"
#include "commands/log_export.h"
#include "oplog/reader.h"
#include "oplog/recovery.h"
#include "oplog/segments.h"
#include "server/diverged.h"
#include "server/log_base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] = "usage: tarn-log list FOLDER\n"
                            "       tarn-log verify FOLDER\n"
                            "       tarn-log dump FOLDER [FROM [TO]]\n"
                            "       tarn-log cut FOLDER POSITION\n"
                            "       tarn-log export-aof FOLDER FILE [SNAPSHOT]\n"
                            "       tarn-log --help | --version\n";

static const char help[] =
    "\n"
    "  list        the segments: first position, room in the file, history, and that it forks "
    "from\n"
    "  verify      reads all of the log, as a restart would: 0 if it is whole\n"
    "  dump        frames and effects as text, from position FROM on and before TO\n"
    "  cut         takes away what stands from the position on, where a frame ends\n"
    "  export-aof  an append only file that redis-server loads (appendonly.aof in its folder).\n"
    "              A log that does not begin at 0 goes on from a snapshot, which must be named\n";

static const char exit_codes[] =
    "\n"
    "Exit codes: 0 done, 64 wrong arguments, 65 the log or snapshot is damaged, torn or not all,\n"
    "66 there is no such folder or file, 69 a server has the log open or the primary cannot "
    "serve,\n"
    "73 the file cannot be made, 74 it could not be read or written.\n";

enum action { ACTION_LIST, ACTION_VERIFY, ACTION_DUMP, ACTION_CUT, ACTION_EXPORT, ACTIONS };

struct action_row {
    const char *word;
    int arguments_min; /* behind the folder */
    int arguments_max;
};

static const struct action_row action_rows[ACTIONS] = {
    [ACTION_LIST] = {"list", 0, 0},         [ACTION_VERIFY] = {"verify", 0, 0},
    [ACTION_DUMP] = {"dump", 0, 2},         [ACTION_CUT] = {"cut", 1, 1},
    [ACTION_EXPORT] = {"export-aof", 1, 2},
};

struct arguments {
    enum action action;
    const char *folder;
    const char *file;
    const char *snapshot; /* NULL: the log is all of the data */
    uint64_t from;        /* or the position of a cut */
    uint64_t to;
    bool has_from;
};

/* What a walk over the frames does with each, and what it has seen. */
struct walk {
    const struct disk *disk;
    const struct arguments *arguments;
    FILE *output;
    struct log_export export;
    struct buffer text;
    struct buffer report;
    uint64_t frames;
    uint64_t entries;
    uint64_t end;
};

/* ---- reading ---- */

static int report_code(struct walk *walk, enum oplog_read read) {
    if (read == OPLOG_READ_END || read == OPLOG_READ_FRAME) {
        return EX_OK;
    }
    fprintf(stderr, "tarn-log: %.*s\n", (int)walk->report.length, walk->report.bytes);
    return read == OPLOG_READ_FAILED ? EX_IOERR : EX_DATAERR;
}

/* True: the effects of the frame could all be read, and their text is written. */
static bool frame_take(struct walk *walk, const struct oplog_frame *frame) {
    struct span content = frame->content;
    struct effect_record record;
    enum effect_read_status status;
    if (walk->arguments->action == ACTION_DUMP) {
        buffer_format(&walk->text, "frame position=%llu bytes=%zu time_ms=%lld synced=%llu\n",
                      (unsigned long long)frame->position, frame->content.length,
                      (long long)frame->time_ms, (unsigned long long)frame->synced);
    }
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
        walk->entries++;
        if (walk->arguments->action == ACTION_DUMP) {
            buffer_append_string(&walk->text, "  ");
            log_export_line(&record, &walk->text);
        } else if (walk->arguments->action == ACTION_EXPORT) {
            log_export_commands(&walk->export, &record, &walk->text);
        }
    }
    if (walk->output != NULL && walk->text.length != 0) {
        fwrite(walk->text.bytes, 1, walk->text.length, walk->output);
    }
    buffer_clear(&walk->text);
    if (status == EFFECT_READ_DAMAGED) {
        fprintf(stderr,
                "tarn-log: the frame at position %llu holds no effect %zu bytes before its end\n",
                (unsigned long long)frame->position, content.length);
    }
    return status == EFFECT_READ_END;
}

/* The frames from `from` on that begin before `to`. */
static int walk_frames(struct walk *walk, uint64_t from, uint64_t to) {
    struct oplog_reader_plan plan = {
        .disk = walk->disk, .from = from, .to = OPLOG_READ_ALL, .report = &walk->report};
    struct oplog_reader *reader = NULL;
    enum oplog_read read = oplog_reader_open(&plan, &reader);
    if (reader == NULL) {
        return report_code(walk, read);
    }
    struct oplog_frame frame;
    bool is_readable = true;
    while (is_readable && oplog_reader_position(reader) < to &&
           (read = oplog_reader_next(reader, &frame)) == OPLOG_READ_FRAME) {
        walk->frames++;
        is_readable = frame_take(walk, &frame);
    }
    walk->end = oplog_reader_position(reader);
    oplog_reader_close(reader);
    return is_readable ? report_code(walk, read) : EX_DATAERR;
}

/* ---- the actions ---- */

static void print_segment(const struct segment_found *found) {
    char name[SEGMENT_NAME_BYTES];
    segment_name_write(name, found->name);
    if (found->problem != NULL) {
        printf("%s bytes=%llu: %s\n", name, (unsigned long long)found->size, found->problem);
        return;
    }
    char history[HISTORY_TEXT_BYTES];
    char parent[HISTORY_TEXT_BYTES];
    history_format(history, &found->header.history);
    history_format(parent, &found->header.parent);
    printf("%s first=%llu bytes=%llu history=%s begin=%llu parent=%s\n", name,
           (unsigned long long)found->header.first, (unsigned long long)found->size, history,
           (unsigned long long)found->header.begin,
           history_is_none(&found->header.parent) ? "none" : parent);
}

static int list(const struct segments *segments) {
    for (size_t i = 0; i < segments->count; i++) {
        print_segment(&segments->found[i]);
    }
    return EX_OK;
}

static int verify(struct walk *walk, const struct segments *segments) {
    uint64_t first = segments->count == 0 ? 0 : segments->found[0].name.first;
    int code = walk_frames(walk, first, OPLOG_READ_ALL);
    printf("%s: %zu segments, positions %llu to %llu, %llu frames, %llu effects\n",
           code == EX_OK ? "whole" : "whole up to the last of these", segments->count,
           (unsigned long long)first, (unsigned long long)walk->end,
           (unsigned long long)walk->frames, (unsigned long long)walk->entries);
    if (code == EX_DATAERR && walk->disk->lock(walk->disk->context) == -EBUSY) {
        fprintf(stderr, "tarn-log: a server has the log open, and may have changed it meanwhile: "
                        "verify it again\n");
    }
    return code;
}

static int dump(struct walk *walk, const struct segments *segments) {
    uint64_t first = segments->count == 0 ? 0 : segments->found[0].name.first;
    walk->output = stdout;
    return walk_frames(walk, walk->arguments->has_from ? walk->arguments->from : first,
                       walk->arguments->to);
}

static int cut(struct walk *walk, const struct segments *segments) {
    uint64_t position = walk->arguments->from;
    int status = walk->disk->lock(walk->disk->context);
    if (status != 0) {
        fprintf(stderr, "tarn-log: %s\n",
                status == -EBUSY ? "a server has the log open" : strerror(-status));
        return status == -EBUSY ? EX_UNAVAILABLE : EX_IOERR;
    }
    uint64_t first = segments->count == 0 ? 0 : segments->found[0].name.first;
    int code = walk_frames(walk, first, position);
    if (code != EX_OK) {
        return code;
    }
    if (position < first || walk->end != position) {
        fprintf(stderr, "tarn-log: no frame ends at position %llu\n", (unsigned long long)position);
        return EX_DATAERR;
    }
    status = oplog_cut(walk->disk, position);
    if (status != 0) {
        fprintf(stderr, "tarn-log: cannot cut: %s\n", strerror(-status));
        return EX_IOERR;
    }
    printf("cut: the log ends at position %llu\n", (unsigned long long)position);
    return EX_OK;
}

/* What the log goes on from, if a snapshot says it. *from: where the log is to be read from. */
static int export_base(const struct walk *walk, const struct segments *segments, uint64_t *from) {
    const struct arguments *arguments = walk->arguments;
    *from = 0;
    if (arguments->snapshot == NULL && segments->count != 0 && segments->found[0].name.first != 0) {
        fprintf(stderr,
                "tarn-log: the log begins at position %llu, on top of a snapshot: without that it "
                "is not all of the data\n",
                (unsigned long long)segments->found[0].name.first);
        return EX_DATAERR;
    }
    if (access(arguments->file, F_OK) == 0) {
        fprintf(stderr, "tarn-log: \"%s\" is there already\n", arguments->file);
        return EX_CANTCREAT;
    }
    return arguments->snapshot == NULL
               ? EX_OK
               : log_base_write(segments, arguments->snapshot, arguments->file, from);
}

static int export_aof(struct walk *walk, const struct segments *segments) {
    uint64_t from;
    int base_code = export_base(walk, segments, &from);
    if (base_code != EX_OK) {
        return base_code;
    }
    walk->output = fopen(walk->arguments->file, walk->arguments->snapshot == NULL ? "wxe" : "ae");
    if (walk->output == NULL) {
        fprintf(stderr, "tarn-log: cannot make \"%s\": %s\n", walk->arguments->file,
                strerror(errno));
        return EX_CANTCREAT;
    }
    int code = walk_frames(walk, from, OPLOG_READ_ALL);
    bool is_written = ferror(walk->output) == 0;
    is_written = fclose(walk->output) == 0 && is_written;
    if (code == EX_OK && !is_written) {
        fprintf(stderr, "tarn-log: cannot write: %s\n", strerror(errno));
        code = EX_IOERR;
    }
    return code;
}

static int act(struct walk *walk, const struct segments *segments) {
    switch (walk->arguments->action) {
    case ACTION_LIST:
        return list(segments);
    case ACTION_VERIFY:
        return verify(walk, segments);
    case ACTION_DUMP:
        return dump(walk, segments);
    case ACTION_CUT:
        return cut(walk, segments);
    case ACTION_EXPORT:
        return export_aof(walk, segments);
    case ACTIONS:
        break;
    }
    return EX_SOFTWARE;
}

/* ---- the program ---- */

static int run(const struct arguments *arguments) {
    struct disk disk;
    struct stat found;
    int status = stat(arguments->folder, &found) != 0 ? -errno
                 : !S_ISDIR(found.st_mode)            ? -ENOTDIR
                                                      : 0;
    status = status != 0 ? status : disk_open(&disk, arguments->folder);
    if (status != 0) {
        fprintf(stderr, "tarn-log: cannot open \"%s\": %s\n", arguments->folder, strerror(-status));
        return EX_NOINPUT;
    }
    struct segments segments = SEGMENTS_EMPTY;
    struct walk walk = {
        .disk = &disk,
        .arguments = arguments,
        .export = {.database = LOG_EXPORT_NO_DATABASE},
        .text = BUFFER_EMPTY,
        .report = BUFFER_EMPTY,
    };
    int code = EX_IOERR;
    status = segments_read(&segments, &disk);
    if (status != 0) {
        fprintf(stderr, "tarn-log: cannot list segments: %s\n", strerror(-status));
    } else {
        code = act(&walk, &segments);
    }
    segments_free(&segments);
    buffer_free(&walk.text);
    buffer_free(&walk.report);
    disk_close(&disk);
    if (fflush(stdout) != 0 && code == EX_OK) {
        fprintf(stderr, "tarn-log: cannot write: %s\n", strerror(errno));
        code = EX_IOERR;
    }
    return code;
}

static bool parse_position(const char *text, uint64_t *position) {
    return number_parse_unsigned(span_of_string(text), position);
}

static bool parse(int argc, char **argv, struct arguments *arguments) {
    *arguments = (struct arguments){.action = ACTIONS, .to = OPLOG_READ_ALL};
    for (int i = 0; argc >= 3 && i < ACTIONS; i++) {
        if (strcmp(argv[1], action_rows[i].word) == 0) {
            arguments->action = (enum action)i;
        }
    }
    if (arguments->action == ACTIONS) {
        return false;
    }
    const struct action_row *row = &action_rows[arguments->action];
    int more = argc - 3;
    arguments->folder = argv[2];
    if (more < row->arguments_min || more > row->arguments_max) {
        return false;
    }
    if (arguments->action == ACTION_EXPORT) {
        arguments->file = argv[3];
        arguments->snapshot = more > 1 ? argv[4] : NULL;
        return true;
    }
    arguments->has_from = more > 0;
    return (more < 1 || parse_position(argv[3], &arguments->from)) &&
           (more < 2 || parse_position(argv[4], &arguments->to));
}

int main(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "diverged") == 0) {
        return diverged_run(argc - 2, argv + 2);
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s%s%s%s%s", usage, diverged_usage, help, diverged_help, exit_codes);
        return EX_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tarn-log %s\n", PACKAGE_VERSION);
        return EX_OK;
    }
    struct arguments arguments;
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "%s%s", usage, diverged_usage);
        return EX_USAGE;
    }
    return run(&arguments);
}
