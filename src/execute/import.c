#include "execute/import.h"

#include "snapshot/rdb_file.h"

#include <string.h>

#define MANIFEST_ENDING ".manifest"

struct import {
    struct importer importer;
    struct buffer *report;
};

static bool key_seen(void *context, const struct rdb_key *key) {
    struct import *import = context;
    return importer_key(&import->importer, key, import->report);
}

static void functions_seen(void *context, struct span code) {
    (void)code;
    importer_library(&((struct import *)context)->importer);
}

static bool command_seen(void *context, const struct aof_command *command) {
    struct import *import = context;
    return importer_command(&import->importer, command, import->report);
}

static struct rdb_observer observer_of(struct import *import) {
    return (struct rdb_observer){
        .context = import,
        .key = key_seen,
        .functions = functions_seen,
    };
}

enum import_status import_rdb(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report) {
    struct import import = {.report = report};
    importer_init(&import.importer, &(struct importer_plan){.environment = plan->environment,
                                                            .commands = plan->commands,
                                                            .now_ms = plan->now_ms});
    const struct rdb_file_source source = {
        .disk = plan->disk, .name = name, .observer = observer_of(&import)};
    enum rdb_read_status status = rdb_file_read(&source, NULL, report);
    *result = import.importer.result;
    importer_free(&import.importer);
    switch (status) {
    case RDB_READ_DONE:
        return IMPORT_DONE;
    case RDB_READ_STOPPED:
        return import.importer.reason;
    case RDB_READ_REFUSED:
        return IMPORT_REFUSED;
    case RDB_READ_FAILED:
        return IMPORT_FAILED;
    default:
        return IMPORT_DAMAGED;
    }
}

static bool is_manifest(const char *name) {
    size_t length = strlen(name);
    const size_t ending = sizeof(MANIFEST_ENDING) - 1;
    return length > ending && strcmp(name + length - ending, MANIFEST_ENDING) == 0;
}

enum import_status import_aof(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report) {
    struct import import = {.report = report};
    /* Times in an append only file are absolute. */
    importer_init(&import.importer, &(struct importer_plan){.environment = plan->environment,
                                                            .commands = plan->commands,
                                                            .keeps_expired = true});
    const struct aof_source source = {
        .disk = plan->disk,
        .takes_truncated = plan->takes_truncated,
        .observer = observer_of(&import),
        .command = command_seen,
    };
    enum aof_read_status status =
        is_manifest(name) ? aof_read(&source, name, report) : aof_read_file(&source, name, report);
    *result = import.importer.result;
    importer_free(&import.importer);
    switch (status) {
    case AOF_READ_DONE:
        return IMPORT_DONE;
    case AOF_READ_TRUNCATED:
        return IMPORT_TRUNCATED;
    case AOF_READ_STOPPED:
        return import.importer.reason;
    case AOF_READ_REFUSED:
        return IMPORT_REFUSED;
    case AOF_READ_FAILED:
        return IMPORT_FAILED;
    default:
        return IMPORT_DAMAGED;
    }
}
