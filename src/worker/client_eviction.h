/* Client eviction: closes the connections that take most memory when all together take more than
 * maxmemory-clients.
 *
 * Each worker measures its own connections once a period, and publishes their sum and the largest
 * of them; while the node's sum is too large, the worker that has the largest connection of all
 * closes it, up to CLIENT_EVICTIONS_MAX in a period. Those that said CLIENT NO-EVICT ON count, but
 * stay. Costs nothing without a limit.
 */
#ifndef TARN_WORKER_CLIENT_EVICTION_H
#define TARN_WORKER_CLIENT_EVICTION_H

#include "worker/worker.h"

/* Connections that one worker evicts in one period. */
#define CLIENT_EVICTIONS_MAX 128

/* Bytes that maxmemory-clients allows; 0: there is no limit. */
uint64_t client_memory_limit(const struct node *node);
/* Once a period: measures, and closes what is too much. */
void client_eviction_step(struct worker *worker);

#endif
