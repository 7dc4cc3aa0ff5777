/* AOF reader: takes the append only file of Redis 7, which is a folder of files, and gives what is
 * in them in the order in which it happened.
 *
 *   <name>.manifest             lines "file <name> seq <number> type <b|h|i>", names in quotes
 *                               where they need them; "#" begins a comment
 *   <name>.<seq>.base.rdb|aof   (type b) the data set at one moment: an RDB file, or commands
 *   <name>.<seq>.incr.aof       (type i) the commands since, by number; type h: no longer of use
 *
 * A file of commands holds them in RESP, as clients send them, and lines that begin with "#"; it
 * may begin with an RDB file, as the one file of earlier versions does: aof_read_file() reads that.
 *
 * SELECT is followed, not given. The commands of a transaction are given once its EXEC is seen, so
 * that one that is cut off leaves nothing; MULTI and EXEC are not given. What is cut off at the end
 * of the last file is a crash while appending, no damage: aof-load-truncated decides whether that
 * is taken. The files are not changed.
 *
 * Memory: a command, or a value of the RDB file; it grows as bytes arrive. Blocks; no thread of its
 * own. Who runs the commands is the caller's business.
 */
#ifndef TARN_SNAPSHOT_AOF_READER_H
#define TARN_SNAPSHOT_AOF_READER_H

#include "io/disk.h"
#include "snapshot/rdb_reader.h"

/* Files that one manifest may name. */
#define AOF_FILES_MAX 4096
#define AOF_MANIFEST_BYTES_MAX ((size_t)1024 * 1024)

enum aof_read_status {
    AOF_READ_DONE,
    AOF_READ_TRUNCATED, /* all but the cut off end was read; the report tells where */
    AOF_READ_DAMAGED,
    AOF_READ_REFUSED, /* as RDB_READ_REFUSED */
    AOF_READ_STOPPED, /* the observer said so */
    AOF_READ_FAILED,  /* the memory or the disk did not give what is needed */
};

/* A command; the spans are valid during the call. */
struct aof_command {
    const struct span *args;
    uint32_t args_count;
    uint32_t database;
    bool is_in_transaction;
};

struct aof_source {
    const struct disk *disk; /* the folder */
    bool takes_truncated;    /* aof-load-truncated; else a cut off end is DAMAGED */
    struct rdb_observer observer;
    /* False stops: whoever says so has appended the reason to the report, which then gets the place
     * too. Its context is the observer's. */
    bool (*command)(void *context, const struct aof_command *command);
};

/* Reads the files that the manifest names. Unless DONE, a sentence with file, place, expected and
 * found is appended to the report. */
enum aof_read_status aof_read(const struct aof_source *source, const char *manifest,
                              struct buffer *report);
/* Reads one file of commands. */
enum aof_read_status aof_read_file(const struct aof_source *source, const char *name,
                                   struct buffer *report);

#endif
