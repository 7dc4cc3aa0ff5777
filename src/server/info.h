/* INFO's text, and the sums over workers that other commands tell too. While all workers stand
 * still.
 */
#ifndef TARN_SERVER_INFO_H
#define TARN_SERVER_INFO_H

#include "server/server_commands.h"

/* Appends the sections of these names; none: the default ones. */
void info_append(struct buffer *text, struct server *server, const struct span *names,
                 uint32_t count);

/* A command's statistics over all workers. durations: nanoseconds of the runs that were timed. */
void info_command_statistics(const struct node *node, size_t number, struct command_statistics *sum,
                             struct histogram *durations);

/* What a command took in all: that of the timed runs, for all runs. */
uint64_t info_command_duration_us(const struct command_statistics *statistics);

/* "1.50M" */
void info_append_size(struct buffer *text, uint64_t bytes);

#endif
