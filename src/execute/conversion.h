/* Conversion: a snapshot file of what a redis-server left behind, and an RDB file for it of a
 * snapshot. For the first start of a server, and for tarn-snapshot.
 *
 * While that lasts, what is read of Redis' files is in memory, in a keyspace of its own; of a
 * snapshot a part at a time. The file made is written under a temporary name and gets its own once
 * it is safe; nothing else is changed. Blocks.
 */
#ifndef TARN_EXECUTE_CONVERSION_H
#define TARN_EXECUTE_CONVERSION_H

#include "execute/import.h"

#include <stdatomic.h>

struct conversion_plan {
    const struct disk *source;
    const char *source_name;
    const struct disk *target;
    const char *target_name;
    const struct store_options *options; /* what decides on encodings */
    uint32_t databases;
    int64_t now_ms;
    bool takes_truncated; /* aof-load-truncated */
    bool compresses;
    const char *redis_version;   /* that an RDB file names */
    const atomic_bool *gives_up; /* set by another thread: the RDB file fails; or NULL */
};

/* Of an RDB file, the manifest of an append only file, or one that stands alone: what its first
 * bytes and its name say. commands: those that an append only file may hold. The snapshot begins a
 * history of its own, at position 0. DONE, or TRUNCATED when the file was made without a cut off
 * end; else there is none. Unless DONE, a sentence is appended to the report. */
enum import_status conversion_to_snapshot(const struct conversion_plan *plan,
                                          const struct command_table *commands,
                                          struct import_result *result, struct buffer *report);

/* Of a snapshot file with its tail; the log behind it is not looked at. *position: where the log
 * stood at its moment; *keys: how many there are. plan->databases is not: the file says it. */
enum import_status conversion_to_rdb(const struct conversion_plan *plan, uint64_t *position,
                                     uint64_t *keys, struct buffer *report);
/* One that holds nothing; plan->source is not looked at. */
enum import_status conversion_to_empty_rdb(const struct conversion_plan *plan,
                                           struct buffer *report);

#endif
