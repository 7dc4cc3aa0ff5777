/* MULTI, EXEC, DISCARD, WATCH and UNWATCH: how a connection's transaction runs.
 */
#ifndef TARN_WORKER_TRANSACTIONS_H
#define TARN_WORKER_TRANSACTIONS_H

#include "worker/session.h"

/* Forgets the connection's transaction and watched keys; run on `worker`, which tells the workers
 * that own the watched keys. */
void transaction_drop(struct worker *worker, struct connection *connection);
/* The workers (bits) whose slots EXEC needs: keys of queued commands and watched keys.
 * STOP_ALL_WORKERS when a queued command needs them all. *needs_home: a session command is among
 * them. */
uint64_t transaction_workers(const struct node *node, const struct connection *connection,
                             bool *needs_home);
/* True if a queued command has that rule. */
bool transaction_has_rule(const struct connection *connection, unsigned rule);
/* True if a queued command writes. */
bool transaction_has_flag(const struct connection *connection, unsigned flag);

#endif
