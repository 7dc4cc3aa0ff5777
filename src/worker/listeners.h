/* Listeners: worker 0 accepts, and spreads the connections over the workers in turn. The
 * listeners share TICK_ACCEPTS_MAX evenly.
 */
#ifndef TARN_WORKER_LISTENERS_H
#define TARN_WORKER_LISTENERS_H

#include "io/network.h"
#include "worker/worker.h"

_Static_assert(NETWORK_LISTENERS_MAX + 1 <= TICK_ACCEPTS_MAX, "each accepts one in a tick");

struct listener {
    struct listeners *owner;
    struct loop_watch watch;
    int fd;
    bool is_unix;
};

struct listeners {
    struct worker *worker;
    struct listener items[NETWORK_LISTENERS_MAX + 1];
    uint32_t count;
    uint32_t next_worker;
    bool is_paused; /* out of descriptors: goes on with the next period */
};

/* Accepts again after a pause. */
void listeners_resume(struct listeners *listeners);

#endif
