/* The inside of struct raft_store, for the two files that make it up: raft_store.c writes,
 * raft_store_recovery.c reads.
 */
#ifndef TARN_CLUSTER_RAFT_STORE_FILE_H
#define TARN_CLUSTER_RAFT_STORE_FILE_H

#include "cluster/raft_record.h"
#include "cluster/raft_store.h"

struct raft_store {
    const struct disk *disk;
    struct disk_file *file; /* NULL: none yet */
    struct raft_file_header header;
    uint64_t seed;
    uint64_t end;       /* where the next record goes */
    uint64_t durable;   /* up to here */
    uint64_t allocated; /* room up to here */
    uint64_t allocate_bytes;
    struct raft_snapshot *snapshot; /* the one in the file */
    bool is_failed;
    uint64_t files;
    uint64_t syncs;
    struct buffer scratch; /* records to be written */
    struct buffer body;    /* of one of them */
};

/* Reads the file into opened->saved; *header is its own. */
enum raft_store_status raft_store_recover(const struct raft_store_plan *plan,
                                          struct raft_store_opened *opened,
                                          struct raft_file_header *header);

#endif
