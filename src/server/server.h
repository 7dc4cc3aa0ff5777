/* Server: one process: the node, its workers, its configuration, and its way from start to end.
 *
 * Lifecycle: server_new() -> server_start() -> server_wait() -> server_stop() -> server_free();
 * stop is the mirror of start. A start that fails has released all that it took.
 * Thread: the main one, which afterwards only waits for signals.
 */
#ifndef TARN_SERVER_SERVER_H
#define TARN_SERVER_SERVER_H

#include "server/config.h"
#include "server/failover.h"
#include "server/figures.h"
#include "server/latency.h"
#include "server/process.h"
#include "server/replica.h"
#include "server/replication.h"
#include "server/write_pause.h"
#include "worker/node.h"

#include <stdatomic.h>

#define SERVER_ID_LENGTH 40
#ifdef PACKAGE_VERSION
#define SERVER_VERSION PACKAGE_VERSION
#else
#define SERVER_VERSION "0"
#endif

struct cluster_seat;
struct migrate;
struct persistence;
struct replicator;
struct saving;

/* For replicas, of a server that is to end. */
enum shutdown_wait { SHUTDOWN_WAITS_NOT, SHUTDOWN_WAITS, SHUTDOWN_ABORTED };

struct server {
    struct node node;
    struct options *options;
    struct config *config;
    const struct process_title *title;
    char run_id[SERVER_ID_LENGTH + 1];
    char replication_id[SERVER_ID_LENGTH + 1];
    char executable[4096];
    int64_t started_ms; /* wall clock */
    int64_t started_us; /* monotonic */
    struct figures_samples samples;
    struct latency latency;
    size_t memory_at_start_bytes;
    struct persistence *persistence; /* the main thread's */
    _Atomic(struct saving *) saving; /* NULL until all is loaded */
    struct replication replication;
    struct replica replica;
    struct failover failover;
    struct write_pause write_pause;
    struct replicator *replicator;
    struct migrate *migrate;
    struct cluster_seat *seat;    /* NULL: the node is in no cluster */
    uint64_t loaded_keys;         /* from the snapshot's images, or a file of Redis */
    uint64_t loaded_keys_expired; /* that such a file held, left out */
    /* SHUTDOWN: see shutdown.h. */
    atomic_bool is_shutting_down;
    atomic_int shutdown_flags; /* enum shutdown_flag */
    atomic_int shutdown_wait;  /* enum shutdown_wait */
    atomic_uint_least64_t shutdowns_asked;
    atomic_uint_least64_t shutdowns_refused; /* all up to this one */
};

/* config, options and title stay the caller's. */
struct server *server_new(struct config *config, struct options *options,
                          const struct process_title *title);
void server_free(struct server *server);

/* server_start(): it was asked to end before it was ready. */
#define SERVER_ENDED (-1)

/* Opens sockets, starts the workers, loads. 0, an exit code of sysexits(3), or SERVER_ENDED; the
 * log says why. */
int server_start(struct server *server);
/* Until SIGTERM, SIGINT or SHUTDOWN is not refused. SIGHUP reopens the log and reloads the
 * configuration. */
void server_wait(struct server *server);
/* Stops accepting, lets the workers end, closes everything. Answers the exit code. */
int server_stop(struct server *server);

/* Appends the addresses to listen at, as network_listen_tcp() takes them, and a zero. */
void server_bind_addresses(const struct server_options *options, struct buffer *text);

/* Opens the sockets that the options ask for and gives them to worker 0, before it starts or while
 * it stands still. False: the log says why, and none is open. */
bool server_listen_tcp(struct server *server);
/* Raises the limit of open files so that maxclients fit. Answers how many clients do. */
int64_t server_reserve_descriptors(const struct server *server);
/* Opens the log as the options say. False: errno says why not. */
bool server_configure_logger(const struct server_options *options);

/* Logs each line of the text. level: enum log_level. */
void server_log_lines(int level, const struct buffer *text);

/* The 40 hex digits of a new id. */
void server_draw_id(char text[SERVER_ID_LENGTH + 1]);

/* The command families of all layers. */
extern const struct command *const server_command_families[];
extern const size_t server_command_families_count;

#endif
