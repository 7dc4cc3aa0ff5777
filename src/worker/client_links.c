#include "worker/client_links.h"

#include "worker/connection.h"

#include <stdio.h>

void client_link_take(struct client_link *link, const struct connection *connection,
                      const char *command) {
    *link = (struct client_link){
        .id = connection->id,
        .fd = connection->fd,
        .command = command,
        .created_ms = connection->created_ms,
    };
    snprintf(link->peer, sizeof(link->peer), "%s", connection->peer);
    snprintf(link->own, sizeof(link->own), "%s", connection->own);
    snprintf(link->user, sizeof(link->user), "%s", connection->user);
}
