/* Housekeeping: what a worker does for itself, a bounded piece per tick: emptying the graveyard,
 * expiry, idle connections, figures for INFO.
 */
#ifndef TARN_WORKER_HOUSEKEEPING_H
#define TARN_WORKER_HOUSEKEEPING_H

struct worker;

#define HOUSEKEEPING_PERIOD_MS 100
/* Connections that one period's sweep looks at, at least; a sweep over all takes a second at
 * most. */
#define HOUSEKEEPING_SWEEP_MIN 5

/* On the worker's thread, before its first tick. */
void housekeeping_start(struct worker *worker);
/* At the end of each tick. */
void housekeeping_tick(struct worker *worker);

#endif
