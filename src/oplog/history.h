/* A history: the name under which positions of the log compare.
 *
 * Each start and each promotion of a primary begins a new one, which forks from its parent at the
 * position where the log ended then: what the parent may have held beyond that (and a replica may
 * have seen) has never been part of the new one. The epoch grows with each, so later ones sort
 * behind. A replica's log is in its primary's histories: history and position name the same frame
 * on both.
 */
#ifndef TARN_OPLOG_HISTORY_H
#define TARN_OPLOG_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_ID_BYTES 20
#define HISTORY_TEXT_BYTES 64 /* of history_format(), with its zero */

/* All zero: none, the parent of a log that began empty. */
struct history {
    uint64_t epoch;
    unsigned char id[HISTORY_ID_BYTES];
};

/* How a history came to be: it forks from its parent at `begin`. */
struct history_origin {
    struct history history;
    struct history parent;
    uint64_t begin;
};

/* A child: the next epoch, a random id. */
struct history history_fork(const struct history *parent);
bool history_equal(const struct history *a, const struct history *b);
bool history_is_none(const struct history *history);
/* "7:0123...": the epoch, then the id in hexadecimal digits. Answers text. */
const char *history_format(char text[HISTORY_TEXT_BYTES], const struct history *history);

#endif
