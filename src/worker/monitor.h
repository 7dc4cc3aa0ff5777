/* MONITOR: connections that are told of every command that runs, on any worker.
 *
 * While there are none, commands pay nothing: the first one sets note_from_us of every worker under
 * a stop, so that dispatch comes here; a worker that finds that the last one has gone sets it back.
 * Commands of administrators and those that say COMMAND_SKIP_MONITOR are not told; passwords are
 * shown as "(redacted)".
 */
#ifndef TARN_WORKER_MONITOR_H
#define TARN_WORKER_MONITOR_H

#include "worker/session.h"

/* A command has run on `worker`: tells the monitors of all workers. `redacted` has the bits of
 * arguments that are not shown; its last bit stands for all behind, too. */
void monitor_feed(struct worker *worker, const struct connection *connection,
                  const struct queued_command *command, uint64_t redacted);
/* A line, without "+" and line end, for the monitors that are at home here. */
void monitor_deliver(struct worker *worker, struct span line);
/* They missed a line: closes them. */
void monitor_close_all(struct worker *worker);
/* The connection stops to be a monitor, if it is one. On its home, or while that stands still. */
void monitor_leave(struct connection *connection);

/* What is shown in place of an argument that nobody may see. */
#define REDACTED_TEXT "(redacted)"
static inline bool argument_is_redacted(uint64_t redacted, uint32_t i) {
    return (redacted >> (i < 63 ? i : 63) & 1) != 0;
}

extern const struct command monitor_commands[];

#endif
