/* AOF manifest: which files an append only file of Redis 7 consists of; see aof_reader.h.
 */
#ifndef TARN_SNAPSHOT_AOF_MANIFEST_H
#define TARN_SNAPSHOT_AOF_MANIFEST_H

#include "base/buffer.h"
#include "io/disk.h"

#include <stdint.h>

/* In the order in which they are to be read: the base first, if there is one. */
struct aof_manifest {
    char (*names)[DISK_NAME_BYTES_MAX];
    size_t count;
};

/* Parses the text of a manifest. False: a sentence is appended to the report, and the manifest is
 * empty. */
bool aof_manifest_parse(struct aof_manifest *manifest, const char *name, struct span text,
                        struct buffer *report);
void aof_manifest_free(struct aof_manifest *manifest);

#endif
