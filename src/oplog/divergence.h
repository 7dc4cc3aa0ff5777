/* What a node holds of the log that the new primary's does not: kept in files before it is cut off,
 * so that nothing that was written is ever lost silently.
 *
 *   status = divergence_save(&plan, &saved);       everything from the position on is in files
 *   ... snapshots that hold any of it are removed
 *   status = divergence_cut(log, &history, position);
 *   ... oplog_open() with is_continued, in that history, at that position
 *
 * A crash anywhere loses nothing: files are durable under their names, and were read back, before
 * the log is cut; all of it may be done again, and a file that holds more than the log still does
 * stays as it is.
 *
 * A file holds the frames of one history, "<epoch, 10 digits>-<first 8 bytes of the history's id,
 * 16 digits>-<position, 20 digits>.log": it is a segment (segment.h), header and frames, byte for
 * byte what stood in the log. They stand in a folder of their own, that of no log.
 *
 * Blocks. One thread at a time. Nobody has the log open, and its torn tail, if it had one, is gone:
 * oplog_recover() or oplog_close() came before.
 */
#ifndef TARN_OPLOG_DIVERGENCE_H
#define TARN_OPLOG_DIVERGENCE_H

#include "oplog/recovery.h"
#include "oplog/segment.h"

#define DIVERGENCE_NAME_BYTES 64 /* of a file's name, with its zero */

/* ---- the files ---- */

struct divergence_file {
    char name[DIVERGENCE_NAME_BYTES];
    struct segment_header header; /* only if there is no problem */
    const char *problem;          /* NULL, or what is wrong with the header */
    uint64_t size;                /* bytes */
    uint64_t end;                 /* the position behind its last frame */
};

struct divergence_files {
    struct divergence_file *found; /* oldest first: by epoch, then by position */
    size_t count;
};

#define DIVERGENCE_FILES_EMPTY ((struct divergence_files){.found = NULL, .count = 0})

/* Reads names and headers; what the list held before is let go. 0 or a negative errno: then the
 * list is empty. */
int divergence_files_read(struct divergence_files *files, const struct disk *kept);
void divergence_files_free(struct divergence_files *files);

typedef bool (*divergence_frame)(void *context, const struct history *history,
                                 const struct oplog_frame *frame);

struct divergence_reading {
    const struct disk *kept;
    divergence_frame frame; /* of each, in order; false: stop. NULL: they are only checked */
    void *context;
    struct buffer *report; /* sentences for the user are appended */
};

/* DONE, DAMAGED (torn ones too: a file is never half written), FAILED, STOPPED. */
enum oplog_status divergence_file_read(const struct divergence_reading *reading,
                                       const struct divergence_file *file);

/* ---- saving ---- */

struct divergence_plan {
    const struct disk *log;
    const struct disk *kept; /* the folder of the files */
    uint64_t position;       /* the end of a frame: from here on all is kept */
    /* The files may take so many bytes: older ones are removed, never what this call keeps. 0: no
     * limit. */
    uint64_t bytes_max;
    divergence_frame frame; /* of each frame that is kept, in order, or NULL */
    void *context;
};

struct divergence_saved {
    uint64_t from;   /* the first position that is kept; later than the plan's: the log did not
                      * hold what was before any more */
    uint64_t end;    /* where the log ended */
    uint64_t frames; /* that are kept: in what is left of the log, or was, before a crash */
    uint64_t bytes;  /* of their content */
    size_t files;
    uint64_t files_removed; /* because of bytes_max */
    uint64_t bytes_removed;
    struct buffer report; /* what is wrong, or was removed: sentences */
};

/* saved is to be freed whatever the answer is. Anything but DONE: the log must not be cut. */
enum oplog_status divergence_save(const struct divergence_plan *plan,
                                  struct divergence_saved *saved);
void divergence_saved_free(struct divergence_saved *saved);

struct divergence_trimmed {
    size_t files_removed;
    uint64_t bytes_removed;
    struct buffer report; /* what was removed: sentences are appended */
};

/* Removes the oldest files until the rest takes at most so many bytes. 0 or a negative errno. */
int divergence_trim(const struct disk *kept, uint64_t bytes_max,
                    struct divergence_trimmed *trimmed);

/* Cuts the log such that it ends at the position, which is the end of a frame, in this history.
 * After a failure again is allowed. 0 or a negative errno; -ENOENT: the log does not hold this
 * place, and has not changed (oplog_remove() makes room for one that begins there). */
int divergence_cut(const struct disk *log, const struct history *history, uint64_t position);

#endif
