#include "server/resp_client.h"

#include "base/assertion.h"
#include "base/numbers.h"
#include "io/network.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define READ_BYTES ((size_t)64 * 1024)
#define WORDS_MAX 16

__attribute__((format(printf, 2, 3))) static bool fail(const struct resp_client *client,
                                                       const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(client->report, format, arguments);
    va_end(arguments);
    return false;
}

static bool wait_for(const struct resp_client *client, short events, int timeout_ms) {
    struct pollfd poll_fd = {.fd = client->fd, .events = events};
    int ready;
    do {
        ready = poll(&poll_fd, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 || fail(client, "the server does not answer");
}

/* ---- bytes ---- */

bool resp_client_send(struct resp_client *client, struct span bytes) {
    while (bytes.length > 0) {
        struct network_result result = network_write(client->fd, bytes.bytes, bytes.length);
        if (result.status == NETWORK_MOVED) {
            bytes = span_of(bytes.bytes + result.bytes, bytes.length - result.bytes);
        } else if (result.status != NETWORK_WOULD_BLOCK) {
            return fail(client, "the connection to the server broke: %s", strerror(result.error));
        } else if (!wait_for(client, POLLOUT, RESP_CLIENT_TIMEOUT_MS)) {
            return false;
        }
    }
    return true;
}

bool resp_client_more(struct resp_client *client, int timeout_ms) {
    for (;;) {
        char *place = buffer_reserve(&client->input, READ_BYTES);
        struct network_result result = network_read(client->fd, place, READ_BYTES);
        if (result.status == NETWORK_MOVED) {
            buffer_commit(&client->input, result.bytes);
            return true;
        }
        if (result.status != NETWORK_WOULD_BLOCK) {
            return fail(client, "the server ended the connection");
        }
        if (!wait_for(client, POLLIN, timeout_ms)) {
            return false;
        }
    }
}

/* ---- commands and replies ---- */

bool resp_client_say(struct resp_client *client, const char *const *words) {
    struct buffer command = BUFFER_EMPTY;
    size_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    ASSERT(count > 0 && count <= WORDS_MAX);
    buffer_format(&command, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buffer_format(&command, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
    }
    bool is_sent = resp_client_send(client, buffer_span(&command));
    buffer_free(&command);
    return is_sent;
}

/* The first line of the input, without its end. False: it is not whole. */
static bool line_read(const struct resp_client *client, struct span *line) {
    const char *end =
        client->input.length == 0 ? NULL : memchr(client->input.bytes, '\n', client->input.length);
    if (end == NULL || end == client->input.bytes || end[-1] != '\r') {
        return false;
    }
    *line = span_of(client->input.bytes, (size_t)(end - 1 - client->input.bytes));
    return true;
}

enum parsing { PARSED, PARTIAL, BROKEN };

static enum parsing parse_bulk(struct resp_client *client, size_t head, struct resp_reply *reply) {
    if (reply->number < 0) {
        reply->kind = RESP_NULL;
        client->taken = head;
        return PARSED;
    }
    size_t length = (size_t)reply->number;
    if (length > RESP_CLIENT_REPLY_BYTES_MAX) {
        return BROKEN;
    }
    if (client->input.length - head < length + 2) {
        return PARTIAL;
    }
    reply->text = span_of(client->input.bytes + head, length);
    client->taken = head + length + 2;
    return PARSED;
}

static enum parsing parse(struct resp_client *client, struct resp_reply *reply) {
    struct span line;
    if (!line_read(client, &line)) {
        return client->input.length > RESP_CLIENT_REPLY_BYTES_MAX ? BROKEN : PARTIAL;
    }
    if (line.length == 0) {
        return BROKEN;
    }
    size_t head = line.length + 2;
    struct span rest = span_of(line.bytes + 1, line.length - 1);
    *reply = (struct resp_reply){.text = rest};
    client->taken = head;
    switch (line.bytes[0]) {
    case '+':
        reply->kind = RESP_STATUS;
        return PARSED;
    case '-':
        reply->kind = RESP_ERROR;
        return PARSED;
    case ':':
        reply->kind = RESP_INTEGER;
        return number_parse(rest, &reply->number) ? PARSED : BROKEN;
    case '$':
        reply->kind = RESP_BULK;
        return number_parse(rest, &reply->number) ? parse_bulk(client, head, reply) : BROKEN;
    case '*':
        if (!number_parse(rest, &reply->number)) {
            return BROKEN;
        }
        reply->kind = reply->number < 0 ? RESP_NULL : RESP_ARRAY;
        return PARSED;
    default:
        return BROKEN;
    }
}

bool resp_client_read(struct resp_client *client, struct resp_reply *reply) {
    buffer_consume(&client->input, client->taken);
    client->taken = 0;
    enum parsing parsing;
    while ((parsing = parse(client, reply)) == PARTIAL) {
        if (!resp_client_more(client, RESP_CLIENT_TIMEOUT_MS)) {
            return false;
        }
    }
    return parsing == PARSED || fail(client, "the server sent what is no reply");
}

/* ---- begin and end ---- */

static bool log_in(struct resp_client *client, const struct resp_client_plan *plan) {
    if (plan->password == NULL) {
        return true;
    }
    const char *const with_user[] = {"AUTH", plan->user, plan->password, NULL};
    const char *const without[] = {"AUTH", plan->password, NULL};
    struct resp_reply reply;
    if (!resp_client_say(client, plan->user == NULL ? without : with_user) ||
        !resp_client_read(client, &reply)) {
        return false;
    }
    return reply.kind == RESP_STATUS || fail(client, "the server refuses the password: %.*s",
                                             (int)reply.text.length, reply.text.bytes);
}

bool resp_client_open(struct resp_client *client, const struct resp_client_plan *plan) {
    *client = (struct resp_client){.input = BUFFER_EMPTY, .report = plan->report};
    struct network_connect_options options = {.host = plan->host, .port = plan->port};
    client->fd = network_connect_start(&options);
    int error = client->fd < 0 ? errno : EINPROGRESS;
    while (error == EINPROGRESS && wait_for(client, POLLOUT, RESP_CLIENT_TIMEOUT_MS)) {
        error = network_connect_result(client->fd);
    }
    if (error != 0) {
        return fail(client, "cannot connect to %s:%u: %s", plan->host, plan->port, strerror(error));
    }
    return log_in(client, plan);
}

void resp_client_close(struct resp_client *client) {
    if (client->fd >= 0) {
        network_close(client->fd);
    }
    buffer_free(&client->input);
    client->fd = -1;
}
