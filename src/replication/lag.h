/* Lag: since when the reader of a log is behind its end.
 *
 *   end seen at   0 ms: 100   10 ms: 300   20 ms: 700
 *   reader at 150 -> behind since 10 ms: what it lacks first came then
 *
 * Marks say when the end was first seen to be further. What comes soon behind one is counted with
 * it; where there are too many, two become one that has the time of the first and the position of
 * the second. So the lag of who is far behind is told less exactly, and never too small. One owner,
 * one thread at a time.
 */
#ifndef TARN_REPLICATION_LAG_H
#define TARN_REPLICATION_LAG_H

#include <stdint.h>

#define LAG_MARKS_MAX 64
#define LAG_MARK_MS 10 /* between two of them, at first */

struct lag_mark {
    uint64_t position;
    int64_t at_ms;
};

/* All zero: a reader that is behind nothing. Marks stand oldest first. */
struct lag {
    struct lag_mark marks[LAG_MARKS_MAX];
    uint32_t count;
    int64_t apart_ms;
};

/* The log ends there now. Any steady clock. */
void lag_note(struct lag *lag, uint64_t end, int64_t now_ms);
/* The reader has come to that position. Answers since when it is behind, or 0: it is not. */
int64_t lag_since(struct lag *lag, uint64_t position);

#endif
