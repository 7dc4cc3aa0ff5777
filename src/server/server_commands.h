/* The session commands of this layer: the server's configuration, figures and administration. Each
 * array ends with a row without name; who must have all workers stand still says so by
 * COMMAND_ALL_WORKERS.
 */
#ifndef TARN_SERVER_SERVER_COMMANDS_H
#define TARN_SERVER_SERVER_COMMANDS_H

#include "server/server.h"
#include "worker/session.h"

extern const struct command config_commands[];   /* CONFIG */
extern const struct command command_commands[];  /* COMMAND */
extern const struct command info_commands[];     /* INFO */
extern const struct command memory_commands[];   /* MEMORY */
extern const struct command latency_commands[];  /* LATENCY */
extern const struct command admin_commands[];    /* TIME, LOLWUT, SHUTDOWN, MODULE ... */
extern const struct command saving_commands[];   /* SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE */
extern const struct command replconf_commands[]; /* REPLCONF */
extern const struct command psync_commands[];    /* PSYNC, SYNC */
extern const struct command debug_commands[];    /* DEBUG */
extern const struct command replica_commands[];  /* REPLICAOF, SLAVEOF, ROLE */
extern const struct command failover_commands[]; /* FAILOVER */
extern const struct command cluster_commands[];  /* CLUSTER, READONLY, READWRITE, ASKING */
extern const struct command function_commands[]; /* FUNCTION */
extern const struct command migrate_commands[];  /* MIGRATE */

/* For node.protected_refusal: whether enable-debug-command lets this connection use DEBUG. */
const char *debug_refusal(const struct node *node, const struct connection *connection,
                          const struct command *command);

static inline struct server *session_server(const struct session *session) {
    return session_node(session)->server;
}

#endif
