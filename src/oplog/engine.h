/* The inside of struct oplog, for the files that are it: oplog.c (appends, lifecycle), writer.c and
 * syncer.c (what their threads do, a step at a time), held.c (frames in memory). See oplog.h.
 *
 * A frame's way: pending -> unsynced -> spare.
 *
 *   pending -> unsynced   written [written_done(), by a worker or the writer]
 *   unsynced -> spare     covered by a sync [syncer_step()]
 *
 * A sync that fails sets must_rebuild: from then on nothing is written or synced until the writer
 * has put all unsynced frames into a new segment [rebuild()].
 *
 * A turn waits until all before it is synced [writer_step(): turn_is_due()]; so the unsynced frames
 * are of one history, `writing`, and so is what a rebuild writes.
 *
 * Everything is guarded by the mutex, but for what a comment says. Steps let go of it while they
 * touch the disk; is_writing and is_syncing say meanwhile whose the files are.
 */
#ifndef TARN_OPLOG_ENGINE_H
#define TARN_OPLOG_ENGINE_H

#include "base/list.h"
#include "oplog/oplog.h"

#include <pthread.h>
#include <stdatomic.h>

/* Parts of one write: frames are joined up to this. */
#define WRITE_PARTS_MAX 512

/* The next segment before it has its name. */
#define NEXT_SEGMENT_NAME "next"

struct held_frame {
    struct list link;
    uint64_t position;
    int64_t time_ms;
    uint64_t bytes;      /* header and content */
    uint64_t held_bytes; /* of memory */
    unsigned char header[OPLOG_FRAME_HEADER_BYTES];
    struct oplog_batch content;
};

/* A segment that is full: the syncer cuts it to its size, syncs and closes it. */
struct full_segment {
    struct list link;
    struct disk_file *file;
    uint64_t size;
};

/* A file of the folder. */
struct segment_record {
    struct list link;
    struct segment_name name;
    int64_t time_ms; /* of the first frame; 0: none yet, or not known */
};

/* A history that begins behind what is written. */
struct pending_turn {
    struct list link;
    struct history_origin origin;
};

struct oplog {
    struct oplog_plan plan;
    pthread_mutex_t mutex;
    pthread_cond_t writer_wake;
    pthread_cond_t syncer_wake;
    pthread_cond_t settled; /* synced further, or an error came */
    pthread_t writer;
    pthread_t syncer;
    bool is_stopping;

    struct history_origin origin;  /* of what is appended */
    struct history_origin writing; /* of what is written. Changed by who is_writing */
    struct list turns;             /* from `writing` to `origin` */

    struct list pending;
    struct list unsynced; /* read without the mutex by who has set is_writing during a rebuild */
    struct list spare;
    atomic_uint_least64_t pending_bytes;
    uint64_t unsynced_bytes;
    uint64_t spare_bytes;

    bool is_writing;
    bool is_syncing;
    bool must_rebuild;
    struct disk_file *file; /* NULL: the next write begins a segment. Written by who is_writing */
    uint64_t file_first;
    uint64_t file_room;          /* bytes set aside for it, with its header; 0: none */
    struct disk_file *next_file; /* the writer's alone: made ahead */
    atomic_uint_least64_t next_room;
    bool next_was_tried;
    bool names_changed;     /* since the last sync of names */
    uint64_t durable_first; /* where the segment begins up to which files and names are durable */
    struct list full;
    struct list segments; /* oldest first */
    uint64_t segments_count;
    atomic_uint_least64_t segment_bytes;
    bool must_fit;   /* segment_bytes has changed: room beyond it is let go */
    bool must_renew; /* a segment that is full is left, though nothing is to be written */

    atomic_uint_least64_t end;
    atomic_uint_least64_t written;
    atomic_uint_least64_t synced;
    atomic_int sync; /* enum oplog_sync */
    atomic_int error;
    int write_error;
    int sync_error;
    uint64_t sync_wanted;
    int64_t sync_began_us;
    int64_t retry_at_us;

    uint64_t appends;
    uint64_t appends_handed_over;
    uint64_t syncs;
    uint64_t syncs_delayed;
    uint64_t failures;
    int64_t last_sync_ms;
    int last_error;
};

static inline uint64_t held_frame_end(const struct held_frame *frame) {
    return frame->position + frame->bytes;
}

static inline bool segment_is_full(const struct oplog *oplog, uint64_t position) {
    return oplog->file == NULL ||
           position - oplog->file_first >=
               atomic_load_explicit(&oplog->segment_bytes, memory_order_relaxed);
}

/* held.c: with the mutex, or when nobody else is there. */

/* A frame without content, whose batch has room if there was a spare one. */
struct held_frame *held_frame_take(struct oplog *oplog);
/* Lets go of the content of all frames in the list. Without the mutex. */
void held_frames_clear(struct list *frames);
/* Keeps cleared frames as spare ones, as much memory as they are worth and what
 * OPLOG_SPARE_BYTES_MAX allows; frames beyond that stay in the list. */
void held_frames_keep(struct oplog *oplog, struct list *frames, uint64_t bytes);
void held_frames_free(struct list *frames);

/* writer.c */

/* Writes `count` frames, which follow one another in their list, to the file. 0 or a negative
 * errno. Without the mutex. */
int writer_write_frames(const struct oplog *oplog, struct disk_file *file, uint64_t file_first,
                        struct list *first_link, size_t count);
/* The first `count` pending frames have been written, or failed to be. */
void writer_written(struct oplog *oplog, size_t count, int status);
/* The first segment of the history, durable. */
int writer_begin(struct oplog *oplog);
/* With the mutex, which is let go meanwhile. False: nothing to do. */
bool writer_step(struct oplog *oplog);
void *writer_main(void *oplog);

/* syncer.c */

bool syncer_step(struct oplog *oplog); /* as writer_step() */
void *syncer_main(void *oplog);

/* oplog.c */

/* Makes error what write_error and sync_error are. Answers whether it came or went. */
bool oplog_error_update(struct oplog *oplog);
void oplog_wait_until(struct oplog *oplog, pthread_cond_t *condition, int64_t until_us);
void oplog_tell_progress(struct oplog *oplog); /* with the mutex, which is let go meanwhile */

#endif
