/* Dispatch: what becomes of one request. authorise, locate, execute, record, reply.
 */
#ifndef TARN_WORKER_DISPATCH_H
#define TARN_WORKER_DISPATCH_H

#include "worker/session.h"

enum dispatch_outcome {
    DISPATCH_DONE,    /* it has run, or was answered an error */
    DISPATCH_TRAVEL,  /* it must run on another worker: *target */
    DISPATCH_STOP,    /* it must run while the workers *stopped stand still */
    DISPATCH_SUSPEND, /* CLIENT PAUSE holds it */
    DISPATCH_HOLD,    /* it waits for something that it began: it runs again */
};

struct dispatch {
    uint32_t target;
    uint64_t stopped;
};

/* Runs the connection's next request if it may run on this worker now. is_stopped: all workers that
 * it may need stand still. */
enum dispatch_outcome dispatch_request(struct worker *worker, struct connection *connection,
                                       struct request *request, bool is_stopped,
                                       struct dispatch *dispatch);

/* The workers (bits) that own the keys of these arguments; STOP_ALL_WORKERS when there is no memory
 * to look at so many. */
uint64_t dispatch_key_owners(const struct node *node, const struct command *command,
                             const struct span *args, uint32_t args_count);

/* The request's only key is the first one: first_key, first_slot. */
bool request_has_one_key(const struct request *request);

/* Runs one command as part of EXEC: no checks but those at run time; the reply goes to the
 * connection. */
void dispatch_queued(struct worker *worker, struct connection *connection,
                     const struct queued_command *queued);

/* Refuses a command with an error that also spoils an open transaction. */
void dispatch_reject(struct worker *worker, struct connection *connection,
                     const struct command_slot *command, const char *error);

#endif
