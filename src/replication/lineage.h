/* Lineage: the histories that a log went through, and where each began. It tells up to where the
 * log of another node is the same as this one.
 *
 *   position  0 ------- 700 -------------- 1900 ------ end
 *   history   1:a       2:b                3:c          each forked from the one before it
 *
 * A node whose log ends in 1:a at 900 holds 200 bytes that 2:b has never had: the two agree up to
 * 700.
 *
 * Lifecycle: LINEAGE_EMPTY, lineage_add() in order, lineage_free(). At most LINEAGE_PARTS_MAX
 * histories are remembered: the oldest is forgotten first. One owner, one thread at a time.
 */
#ifndef TARN_REPLICATION_LINEAGE_H
#define TARN_REPLICATION_LINEAGE_H

#include "oplog/history.h"

#include <stddef.h>

#define LINEAGE_PARTS_MAX 1024

struct lineage_part {
    struct history history;
    uint64_t position; /* where it begins */
};

struct lineage {
    struct lineage_part parts[LINEAGE_PARTS_MAX]; /* oldest first */
    size_t count;
};

/* The history begins there: not before the one that was added last. */
void lineage_add(struct lineage *lineage, const struct history *history, uint64_t begin);
/* Takes back what came after this history, which is one of them. */
void lineage_cut(struct lineage *lineage, const struct history *history);

/* The last one; none if the lineage is empty. */
struct history lineage_current(const struct lineage *lineage);
/* The history after that one, if it begins at or before the position; NULL: there is none, or not
 * yet. */
const struct lineage_part *lineage_next(const struct lineage *lineage, const struct history *after,
                                        uint64_t position);

/* A log: its histories, and where it ends. */
struct lineage_log {
    const struct lineage *lineage;
    uint64_t end;
};

/* Up to where both logs hold the same: the position at which the last history that both have ends
 * in one of them. False: they have none in common that is remembered. */
bool lineage_common(const struct lineage_log *one, const struct lineage_log *other,
                    struct lineage_part *common);

/* This log holds, or will hold, what stood before the position in that history. */
bool lineage_holds(const struct lineage *lineage, const struct lineage_part *place);

#endif
