#include "worker/monitor.h"

#include "io/clock.h"
#include "worker/notices.h"

/* ---- telling ---- */

/* The bytes between quotes, with Redis' escapes. */
static void append_quoted(struct buffer *line, struct span text) {
    static const char digits[] = "0123456789abcdef";
    static const char named[] = {
        ['\\'] = '\\', ['"'] = '"',  ['\n'] = 'n', ['\r'] = 'r',
        ['\t'] = 't',  ['\a'] = 'a', ['\b'] = 'b',
    };
    buffer_append_byte(line, '"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        if (byte < sizeof(named) && named[byte] != '\0') {
            const char escaped[] = {'\\', named[byte]};
            buffer_append(line, escaped, sizeof(escaped));
        } else if (byte >= ' ' && byte <= '~') {
            buffer_append_byte(line, (char)byte);
        } else {
            const char escaped[] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
            buffer_append(line, escaped, sizeof(escaped));
        }
    }
    buffer_append_byte(line, '"');
}

static void append_origin(struct buffer *line, const struct connection *connection) {
    int64_t now_us = clock_wall_us();
    size_t length = strlen(connection->peer);
    bool is_unix = (connection->flags & CONNECTION_UNIX) != 0;
    if (is_unix && length > 2) {
        length -= 2; /* The path alone, without ":0". */
    }
    buffer_format(line, "%lld.%06lld [%u %s%.*s]", (long long)(now_us / 1000000),
                  (long long)(now_us % 1000000), connection->database, is_unix ? "unix:" : "",
                  (int)length, connection->peer);
}

void monitor_feed(struct worker *worker, const struct connection *connection,
                  const struct queued_command *command, uint64_t redacted) {
    struct buffer line = BUFFER_EMPTY;
    append_origin(&line, connection);
    for (uint32_t i = 0; i < command->args_count; i++) {
        buffer_append_byte(&line, ' ');
        append_quoted(&line, argument_is_redacted(redacted, i) ? span_of_string(REDACTED_TEXT)
                                                               : command->args[i]);
    }
    monitor_deliver(worker, buffer_span(&line));
    notices_add(worker, atomic_load(&worker->node->monitor_workers), NOTICE_MONITOR_LINE,
                span_of(NULL, 0), buffer_span(&line));
    buffer_free(&line);
}

void monitor_deliver(struct worker *worker, struct span line) {
    LIST_FOR_EACH(link, &worker->monitors) {
        struct connection *connection = LIST_ENTRY(link, struct connection, monitor_link);
        bool is_silent = !connection->is_away && (connection->flags & CONNECTION_REPLY_OFF) != 0;
        if (is_silent || !connection_takes_pushes(connection)) {
            continue;
        }
        struct buffer *buffer = &connection_push_reply(connection)->buffer;
        buffer_append_byte(buffer, '+');
        buffer_append_span(buffer, line);
        buffer_append(buffer, "\r\n", 2);
        connection_pushed(connection);
    }
}

void monitor_close_all(struct worker *worker) {
    LIST_FOR_EACH(link, &worker->monitors) {
        connection_close_over_output(LIST_ENTRY(link, struct connection, monitor_link));
    }
}

/* ---- coming and going ---- */

static void monitor_join(struct connection *connection) {
    struct worker *home = connection->home;
    struct node *node = home->node;
    connection->flags |= CONNECTION_MONITOR;
    list_push_back(&home->monitors, &connection->monitor_link);
    atomic_fetch_or(&node->monitor_workers, UINT64_C(1) << home->index);
    if (atomic_fetch_add(&node->monitors, 1) == 0) {
        for (uint32_t i = 0; i < node->worker_count; i++) {
            worker_configure_notes(node->workers[i]);
        }
    }
}

void monitor_leave(struct connection *connection) {
    if (!list_is_linked(&connection->monitor_link)) {
        return;
    }
    struct worker *home = connection->home;
    connection->flags &= ~(unsigned)CONNECTION_MONITOR;
    list_remove(&connection->monitor_link);
    atomic_fetch_sub(&home->node->monitors, 1);
    if (list_is_empty(&home->monitors)) {
        atomic_fetch_and(&home->node->monitor_workers, ~(UINT64_C(1) << home->index));
    }
}

static void monitor_command(struct session *session) {
    struct connection *connection = session->connection;
    if ((connection->flags & CONNECTION_IN_EXEC) != 0) {
        reply_error(session->reply, "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return;
    }
    if ((connection->flags & CONNECTION_MONITOR) == 0) {
        monitor_join(connection);
        reply_ok(session->reply);
    } /* Redis does not answer a second MONITOR. */
}

const struct command monitor_commands[] = {
    {
        .name = "monitor",
        .arity = 1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE |
                 COMMAND_ALL_WORKERS,
        .session = monitor_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1); every command costs O(number of monitors) more",
        .summary = "Tells this connection of every command that the server runs.",
        .syntax = "",
    },
    {0},
};
