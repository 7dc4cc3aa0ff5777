#include "server/snapshot_conversion.h"

#include "execute/conversion.h"
#include "io/clock.h"
#include "server/file_place.h"
#include "server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

struct arguments {
    bool is_import;
    const char *source;
    const char *target;
    int64_t databases;
};

bool snapshot_conversion_is(const char *word) {
    return strcmp(word, "import") == 0 || strcmp(word, "export") == 0;
}

static bool parse(int argc, char **argv, struct arguments *arguments) {
    *arguments = (struct arguments){.is_import = strcmp(argv[1], "import") == 0,
                                    .databases = SNAPSHOT_IMPORT_DATABASES};
    if (argc == 6 && arguments->is_import && strcmp(argv[4], "--databases") == 0) {
        if (!number_parse(span_of_string(argv[5]), &arguments->databases) ||
            arguments->databases < 1 || arguments->databases > STORE_DATABASES_MAX) {
            return false;
        }
    } else if (argc != 4) {
        return false;
    }
    arguments->source = argv[2];
    arguments->target = argv[3];
    return true;
}

static int exit_code(enum import_status status) {
    switch (status) {
    case IMPORT_DONE:
    case IMPORT_TRUNCATED:
        return EX_OK;
    case IMPORT_REFUSED:
    case IMPORT_DAMAGED:
        return EX_DATAERR;
    case IMPORT_FAILED:
        return EX_IOERR;
    }
    return EX_SOFTWARE;
}

static void print_import(const struct import_result *result) {
    printf("%" PRIu64 " keys, %" PRIu64 " commands (%" PRIu64 " failed); left out: %" PRIu64
           " expired keys, %" PRIu64 " empty ones, %" PRIu64 " libraries of functions\n",
           result->keys, result->commands, result->failed_commands, result->expired_keys,
           result->empty_keys, result->libraries);
}

static enum import_status import_file(const struct conversion_plan *plan, struct buffer *report) {
    struct command_table *commands =
        command_table_new(server_command_families, server_command_families_count);
    struct import_result result;
    enum import_status status = conversion_to_snapshot(plan, commands, &result, report);
    command_table_free(commands);
    if (exit_code(status) == EX_OK) {
        print_import(&result);
    }
    return status;
}

static enum import_status export_file(const struct conversion_plan *plan, struct buffer *report) {
    uint64_t position;
    uint64_t keys;
    enum import_status status = conversion_to_rdb(plan, &position, &keys, report);
    if (status == IMPORT_DONE) {
        printf("%" PRIu64 " keys\n", keys);
    }
    return status;
}

static int convert(const struct arguments *arguments, const struct file_place *source,
                   const struct file_place *target) {
    struct store_options options;
    struct buffer report = BUFFER_EMPTY;
    store_options_init(&options);
    const struct conversion_plan plan = {
        .source = &source->disk,
        .source_name = source->name,
        .target = &target->disk,
        .target_name = target->name,
        .options = &options,
        .databases = (uint32_t)arguments->databases,
        .now_ms = clock_wall_ms(),
        .takes_truncated = true,
        .compresses = true,
        .redis_version = NODE_REDIS_VERSION,
    };
    enum import_status status =
        arguments->is_import ? import_file(&plan, &report) : export_file(&plan, &report);
    if (report.length != 0) {
        fprintf(stderr, "tarn-snapshot: %.*s\n", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    store_options_clear(&options);
    return exit_code(status);
}

int snapshot_conversion_run(int argc, char **argv) {
    struct arguments arguments;
    struct file_place source;
    struct file_place target;
    if (!parse(argc, argv, &arguments)) {
        return EX_USAGE;
    }
    if (access(arguments.source, R_OK) != 0) {
        fprintf(stderr, "tarn-snapshot: cannot read \"%s\": %s\n", arguments.source,
                strerror(errno));
        return EX_NOINPUT;
    }
    /* It may be the source, or the only copy of somebody's data. */
    if (access(arguments.target, F_OK) == 0) {
        fprintf(stderr, "tarn-snapshot: \"%s\" is there already\n", arguments.target);
        return EX_CANTCREAT;
    }
    int code = file_place_open(&source, "tarn-snapshot", arguments.source, EX_NOINPUT);
    if (code != 0) {
        return code;
    }
    code = file_place_open(&target, "tarn-snapshot", arguments.target, EX_CANTCREAT);
    if (code == 0) {
        code = convert(&arguments, &source, &target);
        file_place_close(&target);
    }
    file_place_close(&source);
    return code;
}
