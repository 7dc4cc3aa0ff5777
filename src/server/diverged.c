#include "server/diverged.h"

#include "base/memory.h"
#include "base/numbers.h"
#include "base/option.h"
#include "commands/log_export.h"
#include "oplog/divergence.h"
#include "server/diverged_replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>

const char diverged_usage[] =
    "       tarn-log diverged list FOLDER\n"
    "       tarn-log diverged keys FOLDER [FILE]\n"
    "       tarn-log diverged dump FOLDER [FILE]\n"
    "       tarn-log diverged export-aof FOLDER TARGET [FILE]\n"
    "       tarn-log diverged replay FOLDER HOST PORT [FILE] [--last-writer-wins] [--write]\n"
    "                                [--user NAME]\n";

const char diverged_help[] =
    "\n"
    "  diverged    what a node kept, in the folder \"divergence\", of a log that its new primary\n"
    "              does not have. Files that follow each other are one divergence; FILE is any of\n"
    "              its names, without it the newest divergence is meant.\n"
    "    list        the files: history, positions, times, effects, keys\n"
    "    keys        the keys that were written\n"
    "    dump        frames and effects as text\n"
    "    export-aof  the commands as an append only file, to be looked at: they go on from data\n"
    "                that is not in it\n"
    "    replay      what would go to the primary that runs there: keys that it has not written\n"
    "                since the fork and, with --last-writer-wins, those that it wrote earlier, by\n"
    "                the clocks of both nodes. With --write it is done. The password is taken "
    "from\n"
    "                the environment, TARN_PASSWORD\n";

struct folder {
    struct disk disk;
    struct divergence_files files;
    struct buffer report;
};

/* ---- the files ---- */

static int folder_open(struct folder *folder, const char *path) {
    struct stat status;
    *folder = (struct folder){.files = DIVERGENCE_FILES_EMPTY, .report = BUFFER_EMPTY};
    errno = 0;
    int error = stat(path, &status) != 0 ? -errno : 0;
    error = error != 0 ? error : disk_open(&folder->disk, path);
    if (error != 0) {
        fprintf(stderr, "tarn-log: cannot open \"%s\": %s\n", path, strerror(-error));
        return EX_NOINPUT;
    }
    error = divergence_files_read(&folder->files, &folder->disk);
    if (error != 0) {
        fprintf(stderr, "tarn-log: cannot list \"%s\": %s\n", path, strerror(-error));
        disk_close(&folder->disk);
        return EX_IOERR;
    }
    return EX_OK;
}

static void folder_close(struct folder *folder) {
    divergence_files_free(&folder->files);
    buffer_free(&folder->report);
    disk_close(&folder->disk);
}

/* The second goes on where the first ends. */
static bool follows(const struct divergence_file *first, const struct divergence_file *second) {
    return first->problem == NULL && second->problem == NULL &&
           history_equal(&first->header.history, &second->header.parent) &&
           first->end == second->header.first && second->header.begin == second->header.first;
}

/* A divergence: its files, oldest first, as indexes. */
struct chain {
    size_t *files;
    size_t count;
};

static size_t neighbour(const struct divergence_files *files, size_t at, bool is_next) {
    for (size_t i = 0; i < files->count; i++) {
        const struct divergence_file *first = &files->found[is_next ? at : i];
        const struct divergence_file *second = &files->found[is_next ? i : at];
        if (i != at && follows(first, second)) {
            return i;
        }
    }
    return SIZE_MAX;
}

static int chain_find(const struct folder *folder, const char *name, struct chain *chain) {
    const struct divergence_files *files = &folder->files;
    size_t at = files->count - 1;
    for (size_t i = 0; name != NULL && i <= files->count; i++) {
        if (i == files->count) {
            fprintf(stderr, "tarn-log: there is no file \"%s\" in the folder\n", name);
            return EX_NOINPUT;
        }
        if (strcmp(files->found[i].name, name) == 0) {
            at = i;
            break;
        }
    }
    if (files->count == 0) {
        fprintf(stderr, "tarn-log: nothing has diverged: the folder holds no such file\n");
        return EX_NOINPUT;
    }
    *chain = (struct chain){.files = memory_alloc(files->count * sizeof(size_t))};
    for (size_t before; (before = neighbour(files, at, false)) != SIZE_MAX;) {
        at = before;
    }
    for (; at != SIZE_MAX && chain->count < files->count; at = neighbour(files, at, true)) {
        chain->files[chain->count++] = at;
    }
    return EX_OK;
}

static int read_code(const struct folder *folder, enum oplog_status status) {
    if (status == OPLOG_DONE) {
        return EX_OK;
    }
    if (folder->report.length > 0) {
        fprintf(stderr, "tarn-log: %.*s\n", (int)folder->report.length, folder->report.bytes);
    }
    return status == OPLOG_FAILED ? EX_IOERR : EX_DATAERR;
}

static int chain_read(struct folder *folder, const struct chain *chain, divergence_frame frame,
                      void *context) {
    struct divergence_reading reading = {
        .kept = &folder->disk,
        .frame = frame,
        .context = context,
        .report = &folder->report,
    };
    enum oplog_status status = OPLOG_DONE;
    for (size_t i = 0; i < chain->count && status == OPLOG_DONE; i++) {
        status = divergence_file_read(&reading, &folder->files.found[chain->files[i]]);
    }
    return read_code(folder, status);
}

/* ---- list ---- */

struct listing {
    struct diverged_changes *changes;
    struct buffer *report;
    uint64_t frames;
    uint64_t effects;
    int64_t first_ms;
    int64_t last_ms;
};

static bool frame_list(void *context, const struct history *history,
                       const struct oplog_frame *frame) {
    (void)history;
    struct listing *listing = context;
    struct span content = frame->content;
    struct effect_record record;
    while (effect_read(&content, &record) == EFFECT_READ_DONE) {
        listing->effects++;
    }
    listing->first_ms = listing->frames++ == 0 ? frame->time_ms : listing->first_ms;
    listing->last_ms = frame->time_ms;
    return diverged_changes_add(
        listing->changes,
        &(struct diverged_frame){.content = frame->content, .time_ms = frame->time_ms},
        listing->report);
}

static void print_time(const char *name, int64_t time_ms) {
    char text[64];
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    printf(" %s=%s.%03dZ", name, text, (int)(time_ms % 1000));
}

static int file_list(struct folder *folder, size_t index) {
    const struct divergence_file *file = &folder->files.found[index];
    if (file->problem != NULL) {
        printf("%s bytes=%" PRIu64 ": %s\n", file->name, file->size, file->problem);
        return EX_DATAERR;
    }
    struct listing listing = {.changes = diverged_changes_new(), .report = &folder->report};
    struct chain only = {.files = &index, .count = 1};
    int code = chain_read(folder, &only, frame_list, &listing);
    char history[HISTORY_TEXT_BYTES];
    history_format(history, &file->header.history);
    printf("%s history=%s first=%" PRIu64 " end=%" PRIu64 " bytes=%" PRIu64, file->name, history,
           file->header.first, file->end, file->size);
    if (code == EX_OK && listing.frames > 0) {
        diverged_changes_finish(listing.changes);
        print_time("from", listing.first_ms);
        print_time("to", listing.last_ms);
        printf(" frames=%" PRIu64 " effects=%" PRIu64 " keys=%zu flushes=%" PRIu64, listing.frames,
               listing.effects, diverged_changes_keys(listing.changes),
               diverged_changes_flushes(listing.changes));
        printf("%s", diverged_changes_has_swap(listing.changes) ? " swaps" : "");
    }
    printf("\n");
    diverged_changes_free(listing.changes);
    return code;
}

static int list(struct folder *folder) {
    int code = EX_OK;
    for (size_t i = 0; i < folder->files.count; i++) {
        buffer_clear(&folder->report);
        int listed = file_list(folder, i);
        code = code == EX_OK ? listed : code;
    }
    return code;
}

/* ---- keys ---- */

static int changes_read(struct folder *folder, const struct chain *chain,
                        struct diverged_changes **changes) {
    struct listing listing = {.changes = diverged_changes_new(), .report = &folder->report};
    int code = chain_read(folder, chain, frame_list, &listing);
    *changes = listing.changes;
    if (code == EX_OK) {
        diverged_changes_finish(listing.changes);
    }
    return code;
}

static int keys(struct folder *folder, const struct chain *chain) {
    struct diverged_changes *changes = NULL;
    int code = changes_read(folder, chain, &changes);
    struct buffer line = BUFFER_EMPTY;
    for (size_t i = 0; code == EX_OK && i < diverged_changes_keys(changes); i++) {
        struct diverged_key key;
        diverged_changes_key(changes, i, &key);
        buffer_clear(&line);
        option_quote(key.key, &line);
        printf("database=%u key=%.*s effects=%" PRIu64, key.database, (int)line.length, line.bytes,
               key.effects);
        print_time("last", key.time_ms);
        printf("\n");
    }
    buffer_free(&line);
    diverged_changes_free(changes);
    return code;
}

/* ---- text and commands ---- */

struct writing {
    FILE *output;
    bool is_text;
    struct log_export export;
    struct buffer out;
};

static bool frame_write(void *context, const struct history *history,
                        const struct oplog_frame *frame) {
    struct writing *writing = context;
    struct span content = frame->content;
    struct effect_record record;
    enum effect_read_status status;
    buffer_clear(&writing->out);
    if (writing->is_text) {
        char text[HISTORY_TEXT_BYTES];
        buffer_format(&writing->out, "frame history=%s position=%" PRIu64 " time_ms=%" PRId64 "\n",
                      history_format(text, history), frame->position, frame->time_ms);
    }
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
        if (writing->is_text) {
            buffer_append_string(&writing->out, "  ");
            log_export_line(&record, &writing->out);
        } else {
            log_export_commands(&writing->export, &record, &writing->out);
        }
    }
    if (writing->out.length > 0) {
        fwrite(writing->out.bytes, 1, writing->out.length, writing->output);
    }
    if (status == EFFECT_READ_DAMAGED) {
        fprintf(stderr, "tarn-log: the frame at position %" PRIu64 " holds no effects\n",
                frame->position);
    }
    return status == EFFECT_READ_END;
}

static int write_frames(struct folder *folder, const struct chain *chain, FILE *output,
                        bool is_text) {
    struct writing writing = {
        .output = output,
        .is_text = is_text,
        .export = {.database = LOG_EXPORT_NO_DATABASE},
    };
    int code = chain_read(folder, chain, frame_write, &writing);
    buffer_free(&writing.out);
    return code;
}

static int export_commands(struct folder *folder, const struct chain *chain, const char *target) {
    FILE *output = fopen(target, "wxe");
    if (output == NULL) {
        fprintf(stderr, "tarn-log: cannot make \"%s\": %s\n", target, strerror(errno));
        return EX_CANTCREAT;
    }
    int code = write_frames(folder, chain, output, false);
    bool is_written = ferror(output) == 0;
    is_written = fclose(output) == 0 && is_written;
    if (code == EX_OK && !is_written) {
        fprintf(stderr, "tarn-log: cannot write: %s\n", strerror(errno));
        code = EX_IOERR;
    }
    return code;
}

/* ---- replay ---- */

struct options {
    const char *words[4]; /* that are no options, in their order; NULL: not given */
    const char *user;
    bool by_time;
    bool writes;
};

/* Where the files go on from: a history that begins with them goes on from its parent. */
static struct lineage_part fork_of(const struct segment_header *first) {
    bool begins = first->first == first->begin && !history_is_none(&first->parent);
    return (struct lineage_part){
        .history = begins ? first->parent : first->history,
        .position = first->first,
    };
}

static int replay(struct folder *folder, const struct chain *chain, const struct options *options) {
    const struct segment_header *first = &folder->files.found[chain->files[0]].header;
    struct diverged_changes *changes = NULL;
    uint64_t port = 0;
    int code = changes_read(folder, chain, &changes);
    if (code == EX_OK && diverged_changes_has_swap(changes)) {
        fprintf(stderr, "tarn-log: the files hold a swap of two databases, behind which keys are "
                        "not where the primary has them: export them instead\n");
        code = EX_DATAERR;
    }
    if (code == EX_OK && (!number_parse_unsigned(span_of_string(options->words[2]), &port) ||
                          port == 0 || port > UINT16_MAX)) {
        fprintf(stderr, "tarn-log: \"%s\" is no port\n", options->words[2]);
        code = EX_USAGE;
    }
    if (code == EX_OK) {
        struct diverged_replay_plan plan = {
            .client = {.host = options->words[1],
                       .port = (uint16_t)port,
                       .user = options->user,
                       .password = getenv("TARN_PASSWORD"),
                       .report = &folder->report},
            .fork = fork_of(first),
            .changes = changes,
            .by_time = options->by_time,
            .writes = options->writes,
        };
        code = diverged_replay(&plan) ? EX_OK : EX_UNAVAILABLE;
        if (code != EX_OK) {
            fprintf(stderr, "tarn-log: %.*s\n", (int)folder->report.length, folder->report.bytes);
        }
    }
    diverged_changes_free(changes);
    return code;
}

/* ---- the words ---- */

enum action { ACTION_LIST, ACTION_KEYS, ACTION_DUMP, ACTION_EXPORT, ACTION_REPLAY, ACTIONS };

static const struct action_row {
    const char *word;
    size_t words_min; /* the folder counted */
    size_t words_max; /* the last one of as many is FILE */
} action_rows[ACTIONS] = {
    [ACTION_LIST] = {"list", 1, 1},     [ACTION_KEYS] = {"keys", 1, 2},
    [ACTION_DUMP] = {"dump", 1, 2},     [ACTION_EXPORT] = {"export-aof", 2, 3},
    [ACTION_REPLAY] = {"replay", 3, 4},
};

static int act(struct folder *folder, enum action action, const struct options *options) {
    if (action == ACTION_LIST) {
        return list(folder);
    }
    size_t file_at = action_rows[action].words_max - 1;
    struct chain chain = {.files = NULL};
    int code = chain_find(folder, options->words[file_at], &chain);
    if (code != EX_OK) {
        return code;
    }
    switch (action) {
    case ACTION_KEYS:
        code = keys(folder, &chain);
        break;
    case ACTION_DUMP:
        code = write_frames(folder, &chain, stdout, true);
        break;
    case ACTION_EXPORT:
        code = export_commands(folder, &chain, options->words[1]);
        break;
    default:
        code = replay(folder, &chain, options);
        break;
    }
    memory_free(chain.files);
    return code;
}

static bool parse(int count, char *const *words, enum action *action, struct options *options) {
    *action = ACTIONS;
    for (int i = 0; count > 0 && i < ACTIONS; i++) {
        if (strcmp(words[0], action_rows[i].word) == 0) {
            *action = (enum action)i;
        }
    }
    size_t given = 0;
    for (int i = 1; i < count; i++) {
        bool is_option = strncmp(words[i], "--", 2) == 0;
        if (is_option && *action != ACTION_REPLAY) {
            return false;
        }
        if (strcmp(words[i], "--last-writer-wins") == 0) {
            options->by_time = true;
        } else if (strcmp(words[i], "--write") == 0) {
            options->writes = true;
        } else if (strcmp(words[i], "--user") == 0 && i + 1 < count) {
            options->user = words[++i];
        } else if (is_option || given == sizeof(options->words) / sizeof(options->words[0])) {
            return false;
        } else {
            options->words[given++] = words[i];
        }
    }
    return *action != ACTIONS && given >= action_rows[*action].words_min &&
           given <= action_rows[*action].words_max;
}

int diverged_run(int count, char *const *words) {
    enum action action;
    struct options options = {.user = NULL};
    if (!parse(count, words, &action, &options)) {
        fprintf(stderr, "usage: tarn-log diverged ...\n%s", diverged_usage);
        return EX_USAGE;
    }
    struct folder folder;
    int code = folder_open(&folder, options.words[0]);
    if (code != EX_OK) {
        return code;
    }
    code = act(&folder, action, &options);
    folder_close(&folder);
    if (fflush(stdout) != 0 && code == EX_OK) {
        fprintf(stderr, "tarn-log: cannot write: %s\n", strerror(errno));
        code = EX_IOERR;
    }
    return code;
}
