/* Look ahead: what a group of requests will touch is known, and asked for, before the first of them
 * runs, so that the waits for memory overlap. On the worker where they are to run.
 */
#ifndef TARN_WORKER_LOOK_AHEAD_H
#define TARN_WORKER_LOOK_AHEAD_H

#include "worker/connection.h"

#define LOOK_AHEAD_LINE_BYTES 64 /* of the cache */

/* Finds the request's command, and the slot and hash of its first key. */
void look_ahead_know(const struct worker *worker, const struct connection *connection,
                     struct request *request);

/* Has what the connections' requests will touch fetched into the cache: the slot's header, then its
 * bucket, then the entry. */
void look_ahead(const struct worker *worker, struct connection *const *group, uint32_t count);

#endif
