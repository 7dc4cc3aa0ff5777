/* Import: takes the data that a redis-server left behind into a keyspace: an RDB file, or an append
 * only file of Redis 7 in its folder.
 *
 * Everything goes in as importer.h says: with a log there, the import is in the log. What has
 * expired while an append only file was written goes once the server runs, as in redis-server.
 *
 * What an RDB file holds that has expired already is left out and counted, and so are collections
 * without elements, which some versions of Redis wrote by mistake. What is refused leaves what came
 * before it in the keyspace.
 *
 * Thread: one for whom all owners of the keyspace's stores stand still. Blocks.
 */
#ifndef TARN_EXECUTE_IMPORT_H
#define TARN_EXECUTE_IMPORT_H

#include "execute/importer.h"

struct import_plan {
    struct call_environment *environment;
    const struct command_table *commands;
    const struct disk *disk; /* the folder */
    int64_t now_ms;
    bool takes_truncated; /* aof-load-truncated */
};

/* Unless DONE, a sentence with file, place, expected and found is appended to the report. */
enum import_status import_rdb(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report);
/* name: of the manifest, or of the one file of Redis before 7.0. */
enum import_status import_aof(const struct import_plan *plan, const char *name,
                              struct import_result *result, struct buffer *report);

#endif
