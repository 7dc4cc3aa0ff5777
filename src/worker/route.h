/* Route: on which worker a request runs, when there are several. Its keys say so, or what its row
 * says of a command without keys.
 */
#ifndef TARN_WORKER_ROUTE_H
#define TARN_WORKER_ROUTE_H

#include "worker/connection.h"
#include "worker/node.h"

enum route_kind {
    ROUTE_HERE,
    ROUTE_TRAVEL, /* on the worker `target` */
    ROUTE_STOP,   /* while the workers `stopped` stand still */
};

struct route {
    uint32_t target;
    uint64_t stopped; /* bits */
};

enum route_kind route_find(const struct worker *worker, const struct connection *connection,
                           const struct request *request, struct route *route);

/* The workers (bits) that own the keys of these arguments; STOP_ALL_WORKERS when there is no memory
 * to look at so many. */
uint64_t route_key_owners(const struct node *node, const struct command *command,
                          const struct span *args, uint32_t args_count);

/* The first worker from `from` on that a gather has to ask, or worker_count. */
uint32_t route_next_part(const struct node *node, const struct command *command, uint32_t from);

/* The request's only key is the first one: first_key, first_slot. */
static inline bool request_has_one_key(const struct request *request) {
    return request->first_key != 0 && request->command->has_one_key;
}

#endif
