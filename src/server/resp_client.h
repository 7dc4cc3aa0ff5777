/* RESP client: a blocking connection to a server, for the command line tools: commands out, replies
 * in, one after the other.
 *
 * Lifecycle: resp_client_open(), resp_client_close() whatever it answered. What goes wrong is a
 * sentence in the report, and then the connection is of no use any more. One owner, one thread.
 */
#ifndef TARN_SERVER_RESP_CLIENT_H
#define TARN_SERVER_RESP_CLIENT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/* A reply, and what a server may hold it back for. */
#define RESP_CLIENT_TIMEOUT_MS 60000
/* Of one reply. */
#define RESP_CLIENT_REPLY_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct resp_client {
    int fd; /* -1: not connected */
    struct buffer input;
    struct buffer *report;
    size_t taken; /* of the input, by the last reply */
};

enum resp_reply_kind { RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_BULK, RESP_ARRAY, RESP_NULL };

struct resp_reply {
    enum resp_reply_kind kind;
    struct span text; /* of status, error and bulk; valid until the next call */
    int64_t number;   /* of integer; elements of array, each a reply of its own */
};

struct resp_client_plan {
    const char *host;
    uint16_t port;
    const char *user;     /* NULL: the default one */
    const char *password; /* NULL: none */
    struct buffer *report;
};

/* Connects and logs in. */
bool resp_client_open(struct resp_client *client, const struct resp_client_plan *plan);
void resp_client_close(struct resp_client *client);

bool resp_client_send(struct resp_client *client, struct span bytes);
/* A command of these words, ended by NULL; no word is written by the client's caller that has
 * other bytes than a C string. */
bool resp_client_say(struct resp_client *client, const char *const *words);
bool resp_client_read(struct resp_client *client, struct resp_reply *reply);
/* The next bytes, whatever they are: at least one more than there were. */
bool resp_client_more(struct resp_client *client, int timeout_ms);

#endif
