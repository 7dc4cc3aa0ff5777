/* Importer: takes what a redis-server has into a keyspace, a key of an RDB file or a command at a
 * time: for files (import.h), and for the link to a primary.
 *
 * Everything goes in by effects, which the environment's observer is told of. Replies are for
 * nobody; errors are counted. What this version cannot take (types of values, commands, databases)
 * is refused with a report, not left out. Libraries of functions are counted only: there are none
 * here.
 *
 * A command runs as it does on a redis-server that is a replica: nothing has expired for it, since
 * what its primary let go comes as a DEL.
 *
 * Lifecycle: importer_init(), then keys and commands, importer_free(). Thread: one for whom all
 * owners of the keyspace's stores stand still.
 */
#ifndef TARN_EXECUTE_IMPORTER_H
#define TARN_EXECUTE_IMPORTER_H

#include "commands/command.h"
#include "snapshot/aof_reader.h"

#include <stdint.h>

enum import_status {
    IMPORT_DONE,
    IMPORT_TRUNCATED, /* all but a cut off end was imported; the report tells where */
    IMPORT_REFUSED,   /* it holds what this version does not have */
    IMPORT_DAMAGED,
    IMPORT_FAILED, /* memory or disk */
};

struct import_result {
    uint64_t keys;            /* taken from RDB files */
    uint64_t expired_keys;    /* left out */
    uint64_t empty_keys;      /* left out */
    uint64_t commands;        /* run */
    uint64_t failed_commands; /* that answered an error */
    uint64_t libraries;       /* of functions, left out */
};

struct importer {
    struct call_environment *environment;
    const struct command_table *commands;
    int64_t now_ms;     /* times of commands count from there */
    bool keeps_expired; /* keys that have expired are taken: commands that follow may need them */
    struct import_result result;
    enum import_status reason; /* why the last key or command was not taken */
    const struct command *restore;
    struct reply reply;
};

struct importer_plan {
    struct call_environment *environment;
    const struct command_table *commands;
    int64_t now_ms;
    bool keeps_expired;
};

void importer_init(struct importer *importer, const struct importer_plan *plan);
void importer_free(struct importer *importer);

/* False: it cannot be taken; importer->reason, and a sentence is appended to the report. */
bool importer_key(struct importer *importer, const struct rdb_key *key, struct buffer *report);
bool importer_command(struct importer *importer, const struct aof_command *command,
                      struct buffer *report);
/* A library of functions. */
static inline void importer_library(struct importer *importer) {
    importer->result.libraries++;
}

#endif
