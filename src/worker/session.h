/* Session: the run of one session command: it works on a connection, its worker or the node.
 *
 * Runs on the connection's home worker; with COMMAND_ALL_WORKERS while all workers stand still
 * (then it may touch any worker, any store and any connection), with COMMAND_GATHERS on each worker
 * in turn (session.worker is the one, session.gather tells which).
 */
#ifndef TARN_WORKER_SESSION_H
#define TARN_WORKER_SESSION_H

#include "worker/connection.h"
#include "worker/node.h"
#include "worker/worker.h"

/* Longest part of a client's words that an error repeats, as in Redis. */
#define QUOTED_BYTES_MAX 128

struct session {
    struct worker *worker; /* the connection's home, or the gather's worker */
    struct connection *connection;
    const struct command_slot *command;
    const struct span *args;
    uint32_t args_count;
    struct reply *reply;
    struct gather *gather; /* of a COMMAND_GATHERS command, else NULL */
    /* A COMMAND_WAITS command sets it instead of writing a reply: it is run again with the worker's
     * next tick. Whoever ends what it waits for wakes the worker; connection.ticket tells the runs
     * apart. */
    bool waits;
    bool is_no_error; /* the reply looks like an error, and is not counted as one */
};

static inline struct node *session_node(const struct session *session) {
    return session->worker->node;
}

static inline struct span quoted_part(struct span word, size_t most) {
    return span_of(word.bytes, word.length < most ? word.length : most);
}

#define COMMAND_TITLE_BYTES sizeof(((struct command_slot *)0)->full_name)
/* Writes the name of a container in upper case; answers title. */
const char *command_title(const struct command_slot *container, char title[COMMAND_TITLE_BYTES]);

/* "ERR syntax error" and the like. */
void session_reply_syntax_error(struct session *session);
/* "ERR unknown subcommand or wrong number of arguments for 'x'. Try CONTAINER HELP." */
void session_reply_usage_error(struct session *session);
/* Neither MONITOR nor the slow log shows argument i of this run. */
static inline void session_redact(struct session *session, uint32_t i) {
    session->worker->redacted_args |= UINT64_C(1) << (i < 63 ? i : 63);
}
/* Parses argument i; false: the reply says error, or "ERR value is not an integer or out of
 * range". */
bool session_integer(struct session *session, uint32_t i, int64_t *number, const char *error);
/* The reply of a container's HELP: lines end with NULL. */
void session_reply_help(struct session *session, const char *const *lines);

extern const struct command transaction_commands[]; /* MULTI, EXEC, DISCARD, WATCH, UNWATCH */

#endif
