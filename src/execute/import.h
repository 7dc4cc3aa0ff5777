/* Import: takes the data that a redis-server left behind into a keyspace: an RDB file, or an append
 * only file of Redis 7 in its folder.
 *
 * Everything goes in by effects, which the environment's observer is told of: with a log there, the
 * import is in the log. Commands of an append only file run as calls at time 0, so that nothing
 * expires on the way, as in redis-server: times in them are absolute, and what has expired
 * meanwhile goes once the server runs. Their replies are for nobody; errors are counted.
 *
 * What an RDB file holds that has expired already is left out and counted, and so are collections
 * without elements, which some versions of Redis wrote by mistake. What this version cannot take
 * (types of values, commands, databases) is refused with a report, not left out; then what came
 * before it is in the keyspace. Libraries of functions are counted only: there are none here.
 *
 * Thread: one for whom all owners of the keyspace's stores stand still. Blocks.
 */
#ifndef TARN_EXECUTE_IMPORT_H
#define TARN_EXECUTE_IMPORT_H

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

struct import_plan {
    struct call_environment *environment;
    const struct command_table *commands;
    const struct disk *disk; /* the folder */
    int64_t now_ms;
    bool takes_truncated; /* aof-load-truncated */
};

struct import_result {
    uint64_t keys;            /* taken from RDB files */
    uint64_t expired_keys;    /* left out */
    uint64_t empty_keys;      /* left out */
    uint64_t commands;        /* run */
    uint64_t failed_commands; /* that answered an error */
    uint64_t libraries;       /* of functions, left out */
};

/* Unless DONE, a sentence with file, place, expected and found is appended to the report. */
enum import_status import_rdb(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report);
/* name: of the manifest, or of the one file of Redis before 7.0. */
enum import_status import_aof(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report);

#endif
