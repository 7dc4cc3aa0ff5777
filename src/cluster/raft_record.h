/* The bytes of a consensus group's file, raft.log: a header, then records, each at a multiple of 8,
 * then zeros (room set aside) or nothing.
 *
 * Header, RAFT_FILE_HEADER_BYTES; numbers are little endian
 *   OFFSET  SIZE  MEANING
 *   0       8     magic "TARNRAFT"
 *   8       4     format version, RAFT_FILE_FORMAT
 *   12      4     zero
 *   16      8     generation: each new file has a higher one
 *   24      20    id of the node
 *   44      20    id of the group
 *   64      8     base: the records before this offset were durable before the file had its name
 *   72      48    zero
 *   120     8     checksum of bytes 0 to 119
 *
 * Record
 *   0       8     its own offset
 *   8       8     up to where the file was durable when the record was made
 *   16      4     length of the body in bytes
 *   20      1     kind: enum raft_record_kind, permanent
 *   21      3     zero
 *   24      8     checksum of the body
 *   32      8     checksum of bytes 0 to 31, seeded with that of the header, were base 0 in it
 *   40      ...   body, then zeros up to a multiple of 8
 *
 * Body of a snapshot: only in the first record
 *   0       8     index
 *   8       8     term
 *   16      8     index that the first entry behind it follows: at most the snapshot's
 *   24      8     term of that
 *   32      ...   content: raft_snapshot.h
 *
 * Body of a step: all of it counts, or nothing
 *   0       8     term
 *   8       20    vote; zero: none
 *   28      4     number of entries
 *   32      8     commit
 *   40      8     index of the first entry; those that were there from this index on give way
 *   48      ...   each entry: term 8, length 4, kind 1, zero 3, bytes
 *
 * Checksums are XXH3, 64 bits.
 */
#ifndef TARN_CLUSTER_RAFT_RECORD_H
#define TARN_CLUSTER_RAFT_RECORD_H

#include "cluster/raft.h"

#define RAFT_FILE_FORMAT 1
#define RAFT_FILE_HEADER_BYTES 128
#define RAFT_RECORD_HEADER_BYTES 40
#define RAFT_RECORD_BODY_BYTES_MAX (RAFT_SNAPSHOT_BYTES_MAX + 1024)

struct raft_file_header {
    uint64_t generation;
    struct raft_id self;
    struct raft_id group;
    uint64_t base;
};

/* Permanent. */
enum raft_record_kind {
    RAFT_RECORD_SNAPSHOT = 1,
    RAFT_RECORD_STEP = 2,
};

struct raft_record {
    uint64_t offset;
    uint64_t durable;
    uint32_t length;
    enum raft_record_kind kind;
    uint64_t checksum; /* of the body */
};

struct raft_record_step {
    uint64_t term;
    struct raft_id vote;
    uint64_t commit;
    uint64_t first;
    uint32_t count;
};

static inline uint64_t raft_record_next(const struct raft_record *record) {
    return (record->offset + RAFT_RECORD_HEADER_BYTES + record->length + 7) / 8 * 8;
}

void raft_file_header_write(char bytes[RAFT_FILE_HEADER_BYTES],
                            const struct raft_file_header *header);
/* NULL, or what is wrong with it. */
const char *raft_file_header_read(const char bytes[RAFT_FILE_HEADER_BYTES],
                                  struct raft_file_header *header);
/* What seeds the checksums of the file's records: known before its base is. */
uint64_t raft_file_seed(const struct raft_file_header *header);

/* Appends a whole record with this body; its length and checksum are filled in. */
void raft_record_write(struct raft_record *record, uint64_t seed, struct span body,
                       struct buffer *out);
/* False: these bytes are no header of a record. */
bool raft_record_read(const char bytes[RAFT_RECORD_HEADER_BYTES], uint64_t seed,
                      struct raft_record *record);

/* Bodies. A step's entries are those of the log from step->first on. */
void raft_record_write_step(const struct raft_record_step *step, const struct raft_log *log,
                            struct buffer *body);
void raft_record_write_snapshot(const struct raft_snapshot *snapshot, const struct raft_log *log,
                                struct buffer *body);
/* What a body holds becomes that of saved. NULL, or why it cannot be: then saved may have
 * changed. */
const char *raft_record_read_step(struct span body, struct raft_saved *saved);
const char *raft_record_read_snapshot(struct span body, struct raft_saved *saved);

#endif
