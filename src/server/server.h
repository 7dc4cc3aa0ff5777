/* Server: one process: the node, its workers, its configuration, and its way from start to end.
 *
 * Lifecycle: server_new() -> server_start() -> server_wait() -> server_stop() -> server_free(); stop is
 * the mirror of start. Thread: the main one, which afterwards only waits for signals.
 */
#ifndef TARN_SERVER_SERVER_H
#define TARN_SERVER_SERVER_H

#include "server/config.h"
#include "worker/node.h"

#include <stdatomic.h>

#define SERVER_RUN_ID_LENGTH 40
#define SERVER_VERSION PACKAGE_VERSION
/* The version of Redis whose behaviour this server has. */
#define SERVER_REDIS_VERSION "7.2.4"

struct server {
    struct node node;
    struct options *options;
    struct config *config;
    char run_id[SERVER_RUN_ID_LENGTH + 1];
    char replication_id[SERVER_RUN_ID_LENGTH + 1];
    char executable[4096];
    int64_t started_ms;
    int64_t started_us; /* monotonic */
    uint16_t port;
    atomic_bool is_shutting_down; /* SHUTDOWN, SIGTERM */
    atomic_int exit_code;
};

/* config and options stay the caller's. */
struct server *server_new(struct config *config, struct options *options);
void server_free(struct server *server);

/* Opens sockets, starts the workers. 0, or an exit code of sysexits(3); the log says why. */
int server_start(struct server *server);
/* Until SIGTERM, SIGINT or SHUTDOWN. SIGHUP reopens the log and reloads the configuration. */
void server_wait(struct server *server);
/* Stops accepting, lets the workers end, closes everything. Answers the exit code. */
int server_stop(struct server *server);

/* Ends server_wait(). Any thread. */
void server_request_shutdown(struct server *server, int exit_code);

/* The command families of all layers. */
extern const struct command *const server_command_families[];
extern const size_t server_command_families_count;

#endif
