/* Deadlines: one timer per worker for all that waits on it until some time: replies at the quorum
 * gate, blocked connections. Who waits keeps its own time; the timer only sees to it that there is
 * a tick when the first of them is due. Times are clock_monotonic_us()'s.
 */
#ifndef TARN_WORKER_DEADLINES_H
#define TARN_WORKER_DEADLINES_H

#include <stdint.h>

struct worker;

#define DEADLINE_NEVER INT64_MAX
/* Looks for what is due come no closer together than this: each goes over all that waits. */
#define DEADLINES_PERIOD_MS 5

/* The time in so many milliseconds; 0: DEADLINE_NEVER. */
int64_t deadline_us_in(int64_t timeout_ms);
/* Something waits until then, or not at all with DEADLINE_NEVER. */
void deadlines_add(struct worker *worker, int64_t due_us);
/* At the end of each tick: what was due has been dealt with. */
void deadlines_step(struct worker *worker);

#endif
