/* The slow log: the last commands of the node that took long, and SLOWLOG.
 *
 * An entry keeps SLOW_LOG_ARGUMENTS_MAX arguments at most, each SLOW_LOG_ARGUMENT_BYTES_MAX bytes
 * at most, and says how much was left out. There are slowlog-max-len entries at most; the oldest
 * goes first. Thread: any worker; a mutex guards the list. Nobody comes here but for a slow
 * command.
 */
#ifndef TARN_WORKER_SLOW_LOG_H
#define TARN_WORKER_SLOW_LOG_H

#include "base/list.h"
#include "commands/command.h"

#include <pthread.h>
#include <stdint.h>

#define SLOW_LOG_ARGUMENTS_MAX 32
#define SLOW_LOG_ARGUMENT_BYTES_MAX 128
#define SLOW_LOG_GET_DEFAULT 10

struct connection;
struct node;
struct queued_command;

struct slow_log {
    pthread_mutex_t mutex;
    struct list entries; /* newest first */
    int64_t count;
    int64_t next_id;
};

void slow_log_init(struct slow_log *log);
void slow_log_free(struct slow_log *log);
/* Adds the command, if slowlog-log-slower-than and slowlog-max-len ask for it. `redacted` as in
 * monitor.h. */
void slow_log_note(struct node *node, const struct connection *connection,
                   const struct queued_command *command, uint64_t redacted, int64_t duration_us);
int64_t slow_log_count(struct slow_log *log);

extern const struct command slow_log_commands[];

#endif
