/* Admission: may a request run at all, and now? Everything that is known without looking at data:
 * its command and arguments, who asks, and the state of worker and node.
 *
 * A refusal writes the error, counts it, and spoils an open transaction; of EXEC it ends the
 * transaction. Thread: the worker on which the connection is.
 */
#ifndef TARN_WORKER_ADMISSION_H
#define TARN_WORKER_ADMISSION_H

#include "worker/session.h"

enum admission {
    ADMISSION_GRANTED,
    ADMISSION_REFUSED,   /* the reply says why */
    ADMISSION_SUSPENDED, /* CLIENT PAUSE holds it */
    ADMISSION_HELD,      /* it waits for the end of loading, or for a key that is held */
};

#define ADMISSION_OUT_OF_MEMORY "OOM command not allowed when used memory > 'maxmemory'."

enum admission admission_decide(struct worker *worker, struct connection *connection,
                                const struct request *request);

/* As many replicas as min-replicas-to-write asks for were heard within min-replicas-max-lag. */
bool admission_has_replicas(const struct node *node);
/* Who was heard since then, by clock_monotonic_us() / 1000, counts for that:
 * quorum_heard_since(). */
int64_t admission_heard_from_ms(const struct node *node);

/* Makes room for the command, whatever it is. True: there is none, and it needs some; the reply
 * says so. On the worker where it is to run. */
bool admission_refuses_for_memory(struct worker *worker, struct connection *connection,
                                  const struct command_slot *slot);

/* Refuses a command with an error. */
void admission_reject(struct worker *worker, struct connection *connection,
                      const struct command_slot *command, const char *error);

#endif
