/* Link clients: this node's replication links as CLIENT LIST shows them and CLIENT KILL ends them.
 */
#ifndef TARN_SERVER_LINK_CLIENTS_H
#define TARN_SERVER_LINK_CLIENTS_H

#include "server/server.h"

/* For the node, before the workers run. */
struct client_links link_clients(struct server *server);

/* How many of them Redis counts among the clients: the one to the primary, while there is one. Any
 * thread. */
uint64_t link_clients_counted(struct server *server);

#endif
