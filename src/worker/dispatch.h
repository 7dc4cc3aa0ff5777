/* Dispatch: what becomes of one request.
 *
 *   admit (admission.h) -> queue, inside MULTI
 *                       -> route (route.h) -> make room -> run -> bookkeeping -> reply
 */
#ifndef TARN_WORKER_DISPATCH_H
#define TARN_WORKER_DISPATCH_H

#include "worker/route.h"
#include "worker/session.h"

enum dispatch_outcome {
    DISPATCH_DONE,    /* it has run, or was answered an error */
    DISPATCH_TRAVEL,  /* it must run on another worker: route */
    DISPATCH_STOP,    /* it must run while workers stand still: route */
    DISPATCH_SUSPEND, /* CLIENT PAUSE holds it */
    DISPATCH_BLOCK,   /* it waits for others: blocking.h */
    DISPATCH_HOLD,    /* it waits for something that it began: it runs again */
};

/* Runs the connection's next request if it may run on this worker now. is_stopped: all workers that
 * it may need stand still. */
enum dispatch_outcome dispatch_request(struct worker *worker, struct connection *connection,
                                       const struct request *request, bool is_stopped,
                                       struct route *route);

/* Ends the connection's next request, which was blocked, with the reply that `answer` writes. At
 * home. */
void dispatch_answer(struct worker *worker, struct connection *connection,
                     void (*answer)(struct connection *connection));

/* Runs one command as part of EXEC: no checks but those at run time; the reply goes to the
 * connection. */
void dispatch_queued(struct worker *worker, struct connection *connection,
                     const struct queued_command *queued);

#endif
