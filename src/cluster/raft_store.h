/* What a member of a consensus group has promised, on a disk: term, vote, entries and snapshot, in
 * one file of records (raft_record.h), raft.log in its folder.
 *
 *   raft_store_create() once, by who founds a group or joins one
 *   raft_store_open() at each start
 *   raft_store_save() for each output of raft.h, before its messages are sent
 *   raft_store_close()
 *
 * A new snapshot, each start, and growth make a new file: raft.temporary is written with all that
 * counts, made durable, and renamed. So the file never holds what is torn behind which something
 * was written, and a failed sync is never tried again on the same pages. After any failure the
 * store saves nothing more; who wants to go on opens it again.
 *
 * At a start, a record that is not whole is a torn tail (a crash while it was written: it has
 * promised nothing, and is cut) unless it lies before the base, or a later record says that the
 * file had been durable beyond it. Then it is damage, and refused. To tell the two apart for the
 * last record, too, a short one follows each sync, which is not synced itself.
 *
 * A node whose file is lost has forgotten whom it voted for: it must come back under another id.
 *
 * Blocks. One owner, one thread.
 */
#ifndef TARN_CLUSTER_RAFT_STORE_H
#define TARN_CLUSTER_RAFT_STORE_H

#include "cluster/raft.h"
#include "io/disk.h"

#define RAFT_STORE_NAME "raft.log"
#define RAFT_STORE_TEMPORARY_NAME "raft.temporary"
/* Room is set aside in such steps; a file that has grown by RAFT_STORE_GROWTH_STEPS of them since
 * it was made is made anew. */
#define RAFT_STORE_ALLOCATE_BYTES ((uint64_t)1024 * 1024)
#define RAFT_STORE_GROWTH_STEPS 16

struct raft_store;

struct raft_store_plan {
    const struct disk *disk; /* of the folder; stays */
    struct raft_id self;
    uint64_t allocate_bytes; /* 0: RAFT_STORE_ALLOCATE_BYTES */
};

enum raft_store_status {
    RAFT_STORE_DONE,
    RAFT_STORE_NONE,    /* there is no file (open), or there is one (create) */
    RAFT_STORE_DAMAGED, /* or is another node's; nothing has changed */
    RAFT_STORE_FAILED,  /* the disk; perhaps better the next time */
};

struct raft_store_opened {
    struct raft_store *store; /* NULL unless DONE */
    struct raft_saved saved;
    struct raft_id group;
    uint64_t torn_bytes;  /* that were cut */
    struct buffer report; /* what is wrong, or was cut: sentences */
};

/* Makes the file of a group, with what the first start is to find. Does not take saved over. */
enum raft_store_status raft_store_create(const struct raft_store_plan *plan,
                                         const struct raft_id *group,
                                         const struct raft_saved *saved, struct buffer *report);

/* opened is to be freed whatever the answer is; store and saved may be taken out of it. */
enum raft_store_status raft_store_open(const struct raft_store_plan *plan,
                                       struct raft_store_opened *opened);
void raft_store_opened_free(struct raft_store_opened *opened);
void raft_store_close(struct raft_store *store);

/* What the output says is durable now. 0 or a negative errno: then nothing of it may be relied
 * on. */
int raft_store_save(struct raft_store *store, const struct raft_output *output,
                    const struct raft_log *log);

/* Bytes of the file that are used, and files that were made since the start. */
struct raft_store_figures {
    uint64_t size_bytes;
    uint64_t files;
    uint64_t syncs;
};
void raft_store_figures_read(const struct raft_store *store, struct raft_store_figures *figures);

/* Removes the file: the node leaves its group. 0 or a negative errno. */
int raft_store_remove(const struct disk *disk);

#endif
