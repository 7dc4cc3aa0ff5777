/* One thread that does, in order, what must not take a worker's time: freeing large things above
 * all.
 *
 * Jobs run one after another in the order of submission (of one submitter: exactly; of several: as
 * they arrived). A job must not wait for a worker, and may submit further jobs. The queue has no
 * maximum, since what waits in it has already been counted as used memory by who submitted it:
 * background_pending() tells how much waits, and eviction reads it.
 */
#ifndef TARN_IO_BACKGROUND_H
#define TARN_IO_BACKGROUND_H

#include <stddef.h>

struct background;

typedef void (*background_function)(void *context);

/* Starts the thread, with all signals blocked. name: at most 15 bytes, what top and gdb show. NULL
 * with errno: the system gives no thread. */
struct background *background_new(const char *name);
/* Runs all that was submitted, ends the thread. Nobody may submit any more, but jobs themselves. */
void background_free(struct background *background);

/* Any thread. The context belongs to the job from here on. */
void background_submit(struct background *background, background_function function, void *context);

/* Jobs submitted and not yet finished. Any thread; a moment's truth. */
size_t background_pending(const struct background *background);

/* Waits until all that was submitted before has finished. Any thread but the background's own. */
void background_drain(struct background *background);

#endif
