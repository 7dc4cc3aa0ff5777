/* What CLIENT LIST and the log tell of a connection: one line in Redis' form.
 *
 * The fields describe Tarn's own buffers under Redis' names: qbuf is input that is not yet
 * executed, argv-mem the arguments of the command that runs, rbs and rbp the room of the reply
 * buffer, obl its bytes to send, oll and omem the large values hung in by reference, tot-mem all
 * that the connection takes.
 *
 * Thread: who holds the connection, or while all workers stand still.
 */
#ifndef TARN_WORKER_CLIENT_INFO_H
#define TARN_WORKER_CLIENT_INFO_H

#include "base/buffer.h"
#include "base/logger.h"
#include "worker/client_links.h"
#include "worker/connection.h"

/* Appends "id=1 addr=... lib-ver=", without a newline. */
void client_info_append(struct buffer *text, const struct connection *connection);
/* The same with a newline: a line of CLIENT LIST. */
void client_info_append_line(struct buffer *text, const struct connection *connection);
/* A line of CLIENT LIST, of a link. */
void client_info_append_link(struct buffer *text, const struct client_link *link);
/* Writes a line to the log with the connection between two texts. */
void client_info_log(enum log_level level, const char *before, const struct connection *connection,
                     const char *after);

/* "normal", "replica" (or "slave"), "pubsub", "master": false: there is no such class. */
enum client_type {
    CLIENT_TYPE_NORMAL,
    CLIENT_TYPE_REPLICA,
    CLIENT_TYPE_PUBSUB,
    CLIENT_TYPE_MASTER
};
bool client_type_parse(struct span word, enum client_type *type);
enum client_type client_type_of(const struct connection *connection);

/* Bytes that may stand in a client's name: visible ASCII. */
bool client_name_is_valid(struct span name);

#endif
