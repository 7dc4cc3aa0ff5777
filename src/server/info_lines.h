/* INFO's sections whose lines depend on what there is: one line per command, error, database,
 * worker. While all workers stand still.
 */
#ifndef TARN_SERVER_INFO_LINES_H
#define TARN_SERVER_INFO_LINES_H

#include "server/server_commands.h"

void info_append_listeners(struct buffer *text, const struct server *server);
void info_append_command_stats(struct buffer *text, const struct server *server);
void info_append_latency_stats(struct buffer *text, const struct server *server);
void info_append_error_stats(struct buffer *text, const struct server *server);
void info_append_keyspace(struct buffer *text, const struct server *server);
void info_append_workers(struct buffer *text, const struct server *server);

#endif
