/* tarn-snapshot: what a snapshot file holds, and whether it is whole; and snapshots of the files of
 * a redis-server, and back. It changes no file that it reads and needs no server. */
#include "commands/effect_codec.h"
#include "server/snapshot_conversion.h"
#include "server/snapshot_summary.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static const char usage[] = "usage: tarn-snapshot verify FILE\n"
                            "       tarn-snapshot slots FILE\n"
                            "       tarn-snapshot statistics FILE [--biggest COUNT]\n"
                            "       tarn-snapshot import FILE SNAPSHOT [--databases COUNT]\n"
                            "       tarn-snapshot export SNAPSHOT FILE\n"
                            "       tarn-snapshot --help | --version\n";

static const char help[] =
    "\n"
    "  verify      reads all of the file, as a restart would: 0 if it is whole\n"
    "  slots       the slots: keys, position in the log, chunks of the file\n"
    "  statistics  keys and bytes by database and type, and the biggest values (10)\n"
    "  import      makes a snapshot of a dump.rdb of Redis, of the manifest of its append\n"
    "              only file, or of the one file that it was before 7.0\n"
    "  export      makes an RDB file, which redis-server 7 loads, of a snapshot\n"
    "\n"
    "Exit codes: 0 done, 64 wrong arguments, 65 the file is damaged or incomplete,\n"
    "66 there is no such file, 73 no file can be made there, or one is there already,\n"
    "74 it could not be read or written.\n";

enum action { ACTION_VERIFY, ACTION_SLOTS, ACTION_STATISTICS };

struct arguments {
    enum action action;
    const char *file;
    size_t biggest;
};

static bool parse_action(const char *word, enum action *action) {
    static const char *const words[] = {
        [ACTION_VERIFY] = "verify", [ACTION_SLOTS] = "slots", [ACTION_STATISTICS] = "statistics"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            *action = (enum action)i;
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, struct arguments *arguments) {
    *arguments = (struct arguments){.biggest = SNAPSHOT_BIGGEST_DEFAULT};
    if (argc < 3 || !parse_action(argv[1], &arguments->action) || argv[2][0] == '\0') {
        return false;
    }
    arguments->file = argv[2];
    if (argc == 3) {
        return true;
    }
    int64_t biggest;
    if (argc != 5 || arguments->action != ACTION_STATISTICS || strcmp(argv[3], "--biggest") != 0 ||
        !number_parse(span_of_string(argv[4]), &biggest) || biggest < 0 ||
        biggest > SNAPSHOT_BIGGEST_MAX) {
        return false;
    }
    arguments->biggest = (size_t)biggest;
    return true;
}

/* Entries of the log, counted. */
static bool count_entries(void *context, const struct snapshot_frame *frame) {
    struct snapshot_summary *summary = context;
    struct span content = frame->content;
    struct effect_record record;
    enum effect_read_status status;
    while ((status = effect_read(&content, &record)) == EFFECT_READ_DONE) {
        summary->entries++;
    }
    summary->frames++;
    return status == EFFECT_READ_END;
}

static int exit_code(enum snapshot_read_status status) {
    switch (status) {
    case SNAPSHOT_READ_DONE:
        return EX_OK;
    case SNAPSHOT_READ_INCOMPLETE:
    case SNAPSHOT_READ_DAMAGED:
        return EX_DATAERR;
    case SNAPSHOT_READ_FAILED:
        return EX_IOERR;
    }
    return EX_SOFTWARE;
}

static enum snapshot_read_status act(const struct snapshot_reader *reader,
                                     const struct arguments *arguments, struct buffer *output,
                                     struct buffer *report) {
    if (arguments->action == ACTION_SLOTS) {
        snapshot_print_slots(reader, output);
        return SNAPSHOT_READ_DONE;
    }
    struct snapshot_summary *summary = snapshot_summary_new(reader, arguments->biggest);
    struct snapshot_visitor visitor = {
        .context = summary, .key = snapshot_summary_add, .frame = count_entries};
    enum snapshot_read_status status = snapshot_walk(reader, &visitor, report);
    if (status == SNAPSHOT_READ_DONE) {
        if (arguments->action == ACTION_VERIFY) {
            snapshot_print_whole(reader, summary, output);
        } else {
            snapshot_print_statistics(reader, summary, output);
        }
    }
    snapshot_summary_free(summary);
    return status;
}

static int run(const struct disk *disk, const char *name, const struct arguments *arguments) {
    struct buffer output = BUFFER_EMPTY;
    struct buffer report = BUFFER_EMPTY;
    struct snapshot_reader *reader;
    enum snapshot_read_status status = snapshot_reader_open(disk, name, &reader, &report);
    if (status == SNAPSHOT_READ_DONE) {
        status = act(reader, arguments, &output, &report);
        snapshot_reader_close(reader);
    }
    if (output.length > 0) {
        fwrite(output.bytes, 1, output.length, stdout);
    }
    if (status != SNAPSHOT_READ_DONE) {
        fprintf(stderr, "tarn-snapshot: %.*s\n", (int)report.length, report.bytes);
    }
    buffer_free(&output);
    buffer_free(&report);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "tarn-snapshot: cannot write: %s\n", strerror(errno));
        return EX_IOERR;
    }
    return exit_code(status);
}

/* The file's folder as a disk, and its name there. */
static int run_on_file(const struct arguments *arguments) {
    const char *slash = strrchr(arguments->file, '/');
    const char *name = slash == NULL ? arguments->file : slash + 1;
    errno = 0;
    if (access(arguments->file, R_OK) != 0 || *name == '\0' ||
        strlen(name) >= DISK_NAME_BYTES_MAX) {
        fprintf(stderr, "tarn-snapshot: cannot read \"%s\": %s\n", arguments->file,
                errno != 0 ? strerror(errno) : "that is no file's name");
        return EX_NOINPUT;
    }
    struct buffer folder = BUFFER_EMPTY;
    if (slash == NULL) {
        buffer_append_string(&folder, ".");
    } else {
        buffer_append(&folder, arguments->file, (size_t)(slash - arguments->file) + 1);
    }
    buffer_append_byte(&folder, '\0');
    struct disk disk;
    int status = disk_open(&disk, folder.bytes);
    if (status != 0) {
        fprintf(stderr, "tarn-snapshot: cannot open \"%s\": %s\n", folder.bytes, strerror(-status));
        buffer_free(&folder);
        return EX_NOINPUT;
    }
    buffer_free(&folder);
    int code = run(&disk, name, arguments);
    disk_close(&disk);
    return code;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("%s%s", usage, help);
        return EX_OK;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("tarn-snapshot %s\n", PACKAGE_VERSION);
        return EX_OK;
    }
    if (argc > 1 && snapshot_conversion_is(argv[1])) {
        int code = snapshot_conversion_run(argc, argv);
        if (code == EX_USAGE) {
            fprintf(stderr, "%s", usage);
        }
        return code;
    }
    struct arguments arguments;
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "%s", usage);
        return EX_USAGE;
    }
    return run_on_file(&arguments);
}
