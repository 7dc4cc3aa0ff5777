/* Reload: the whole data set goes out to a file and comes back from it, or comes from what is on
 * disk already. For DEBUG, whose users want to see that nothing changes by that.
 *
 * All in one stop of all workers, on the thread of the one that runs; what is under way for a
 * snapshot is brought to its end first. Blocks that thread.
 */
#ifndef TARN_SERVER_RELOAD_H
#define TARN_SERVER_RELOAD_H

#include "server/server.h"

struct reload_options {
    bool no_save;  /* load the last snapshot instead of a new file */
    bool no_flush; /* add to what is there: a key that is there already is an error ... */
    bool merges;   /* ... unless the file's takes its place */
};

enum reload_status {
    RELOAD_DONE,
    RELOAD_NOT_SAVED,  /* nothing has changed */
    RELOAD_NOT_LOADED, /* the data may be there in part */
};

/* Unless DONE, `report` says why. What came from another file goes into the log, if there is
 * one. */
enum reload_status reload_snapshot(struct server *server, const struct reload_options *options,
                                   struct buffer *report);
/* The last snapshot and the log, as at the start. A log is open, and no snapshot under way. */
enum reload_status reload_log(struct server *server, struct buffer *report);

#endif
