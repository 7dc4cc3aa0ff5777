/* What a node knows of itself, on its disk beside the log of its group (raft_store.h): its name,
 * and which group's log it keeps. So that a node which goes over to another group does so whole,
 * whenever it may crash.
 *
 *   FOUNDS ---- a log was made that begins with the state ----> KEEPS
 *   JOINS ----- an empty log was made -----------------------> KEEPS
 *   KEEPS ----- it is to go over, or to leave ----------------> JOINS, FOUNDS
 *
 * Until it KEEPS, a log that is there may be another group's, and is removed.
 *
 * member.node; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       8     magic "TARNNODE"
 *   8       4     format version, MEMBER_FILE_FORMAT
 *   12      4     phase: enum member_phase, permanent
 *   16      20    id of the node
 *   36      20    id of the group
 *   56      8     starts so far
 *   64      8     the longest promise of its that may stand, in milliseconds (member_lease.c)
 *   72      4     length of the state
 *   76      ...   the state that a group is founded with (member_state.h), or nothing
 *   ...     8     checksum of all before it: XXH3, 64 bits
 * The file is written as member.temporary and renamed. Blocks.
 */
#ifndef TARN_CLUSTER_MEMBER_FILE_H
#define TARN_CLUSTER_MEMBER_FILE_H

#include "cluster/fields.h"
#include "io/disk.h"

#define MEMBER_FILE_NAME "member.node"
#define MEMBER_FILE_TEMPORARY_NAME "member.temporary"
#define MEMBER_FILE_FORMAT 2
#define MEMBER_PROMISE_MS_MAX 60000
#define MEMBER_FILE_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* Permanent. */
enum member_phase { MEMBER_KEEPS = 1, MEMBER_FOUNDS = 2, MEMBER_JOINS = 3 };

struct member_file {
    enum member_phase phase;
    struct raft_id id;
    struct raft_id group;
    uint64_t starts;
    uint64_t promise_ms;
    struct buffer state;
};

#define MEMBER_FILE_EMPTY ((struct member_file){.state = BUFFER_EMPTY})

void member_file_free(struct member_file *file);
/* 0 or a negative errno. */
int member_file_save(const struct disk *disk, const struct member_file *file);
/* 0, or a negative errno: -ENOENT, there is none; -EBADMSG, it is damaged or of another version. */
int member_file_load(const struct disk *disk, struct member_file *file);

/* Its bytes, and back. False: these are none. */
void member_file_write(const struct member_file *file, struct buffer *out);
bool member_file_read(struct member_file *file, struct span bytes);

#endif
