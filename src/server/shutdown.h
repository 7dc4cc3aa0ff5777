/* Shutdown: from the wish to end the server to the certainty that it may.
 *
 *   SHUTDOWN [any worker] --\
 *   SIGTERM, SIGINT ---------> main thread: in a cluster a replica takes over; writes are held,
 *                              replicas come to have all, the last snapshot is taken
 *                                 |-> server_stop()
 *                                 \-> refused: it could not be saved, or was aborted; all goes on
 *
 * Writes are held so that none is acknowledged that would be in no snapshot. A refusal needs
 * something that was to be saved and could not be, and no FORCE. Replicas are waited for as Redis
 * does: up to shutdown-timeout, unless SHUTDOWN NOW, or another signal, says otherwise. A replica
 * that is not whole has nothing to save.
 */
#ifndef TARN_SERVER_SHUTDOWN_H
#define TARN_SERVER_SHUTDOWN_H

#include "server/server.h"

/* Asks for the end; flags: of enum shutdown_flag. Answers the wish's number. Any thread. */
uint64_t shutdown_request(struct server *server, int flags);
/* Any thread. */
bool shutdown_is_refused(const struct server *server, uint64_t number);

/* While replicas are waited for: all goes on. False: they are not. Any thread. */
bool shutdown_abort(struct server *server);

/* Either signal, or SHUTDOWN, which sends it. Saves what is to be saved. False: the server goes on.
 * The main thread, while the workers run. */
bool shutdown_prepare(struct server *server, int signal_number);

#endif
