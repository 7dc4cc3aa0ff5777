#include "worker/client_info.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/pubsub.h"
#include "worker/quorum_gate.h"

#define FLAGS_MAX 24

/* The letters of CLIENT LIST, in Redis' order. */
static void flags_format(const struct connection *connection, char text[FLAGS_MAX]) {
    const struct {
        bool is_set;
        char letter;
    } letters[] = {
        {(connection->flags & CONNECTION_MONITOR) != 0, 'O'},
        {pubsub_subscriptions(connection) > 0, 'P'},
        {connection_in_multi(connection), 'x'},
        {connection->blocked != NULL, 'b'},
        {(connection->flags & CONNECTION_CLOSE_AFTER_REPLY) != 0, 'c'},
        {connection->closes, 'A'},
        {(connection->flags & CONNECTION_UNIX) != 0, 'U'},
        {(connection->flags & CONNECTION_READONLY) != 0, 'r'},
        {(connection->flags & CONNECTION_NO_EVICT) != 0, 'e'},
        {(connection->flags & CONNECTION_NO_TOUCH) != 0, 'T'},
    };
    size_t length = 0;
    for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
        if (letters[i].is_set) {
            text[length++] = letters[i].letter;
        }
    }
    if (length == 0) {
        text[length++] = 'N';
    }
    text[length] = '\0';
}

/* Bytes on the wire of the requests that have not run; the one that runs is among them. */
static size_t pending_bytes(const struct connection *connection) {
    const struct request_list *list = connection->requests;
    size_t bytes = 0;
    for (uint32_t i = list == NULL ? 0 : list->next; list != NULL && i < list->count; i++) {
        bytes += list->items[i].bytes;
    }
    return bytes;
}

static size_t argument_bytes(const struct connection *connection) {
    const struct request_list *list = connection->requests;
    size_t bytes = 0;
    if (list != NULL && list->next < list->count) {
        const struct request *request = &list->items[list->next];
        for (uint32_t i = 0; i < request->args_count; i++) {
            bytes += list->spans[request->args_at + i].length;
        }
    }
    return bytes;
}

static const char *or_empty(const char *text) {
    return text == NULL ? "" : text;
}

static void append_identity(struct buffer *text, const struct connection *connection) {
    int64_t now_ms = connection->home->now_ms;
    char flags[FLAGS_MAX];
    flags_format(connection, flags);
    buffer_format(
        text,
        "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=%u "
        "sub=%u psub=%u ssub=%u multi=%d",
        (unsigned long long)connection->id, connection->peer, connection->own, connection->fd,
        or_empty(connection->name), (long long)(now_ms - connection->created_ms) / 1000,
        (long long)(now_ms - connection->last_active_ms) / 1000, flags, connection->database,
        pubsub_count(connection, PUBSUB_CHANNEL), pubsub_count(connection, PUBSUB_PATTERN),
        pubsub_count(connection, PUBSUB_SHARD_CHANNEL),
        connection_in_multi(connection) ? (int)connection->transaction->commands_count : -1);
}

static void append_memory(struct buffer *text, const struct connection *connection) {
    const struct reply *reply = &connection->reply;
    size_t queued = connection->input_length - connection->parsed + pending_bytes(connection);
    size_t multi = connection->transaction == NULL ? 0 : connection->transaction->queued_bytes;
    size_t held = quorum_gate_bytes(connection);
    size_t output = connection_output_bytes(connection) + held;
    size_t output_text = reply->buffer.length - connection->sent_bytes;
    buffer_format(text,
                  " qbuf=%zu qbuf-free=%zu argv-mem=%zu multi-mem=%zu rbs=%zu rbp=%zu obl=%zu "
                  "oll=%u omem=%zu tot-mem=%zu",
                  queued, connection->input_capacity - connection->input_length,
                  argument_bytes(connection), multi, reply->buffer.capacity, reply->buffer.capacity,
                  output_text, reply->blocks_count - connection->sent_blocks, output - output_text,
                  connection_memory_bytes(connection));
}

void client_info_append(struct buffer *text, const struct connection *connection) {
    append_identity(text, connection);
    append_memory(text, connection);
    buffer_format(text, " events=%s%s cmd=%s user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s",
                  connection->is_reading ? "r" : "", connection->is_writable ? "" : "w",
                  connection->last_command == NULL ? "NULL" : connection->last_command->full_name,
                  connection->user, connection->reply.protocol, or_empty(connection->library_name),
                  or_empty(connection->library_version));
}

void client_info_append_link(struct buffer *text, const struct client_link *link) {
    buffer_format(text,
                  "id=%llu addr=%s laddr=%s fd=%d name= age=%lld idle=%lld flags=%c db=0 sub=0 "
                  "psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 "
                  "obl=%llu oll=0 omem=0 tot-mem=%llu events=r cmd=%s user=%s redir=-1 resp=2 "
                  "lib-name= lib-ver=\n",
                  (unsigned long long)link->id, link->peer, link->own, link->fd,
                  (long long)(clock_wall_us() / 1000 - link->created_ms) / 1000,
                  (long long)(clock_monotonic_us() / 1000 - link->heard_ms) / 1000,
                  link->is_primary ? 'M' : 'S', (unsigned long long)link->output_bytes,
                  (unsigned long long)link->output_bytes,
                  link->command == NULL ? "NULL" : link->command, link->user);
}

void client_info_append_line(struct buffer *text, const struct connection *connection) {
    client_info_append(text, connection);
    buffer_append_byte(text, '\n');
}

void client_info_log(enum log_level level, const char *before, const struct connection *connection,
                     const char *after) {
    if (level < logger_level()) {
        return;
    }
    struct buffer text = BUFFER_EMPTY;
    client_info_append(&text, connection);
    log_write(level, "%s%.*s%s", before, (int)text.length, text.bytes, after);
    buffer_free(&text);
}

bool client_type_parse(struct span word, enum client_type *type) {
    static const struct {
        const char *word;
        enum client_type type;
    } types[] = {
        {"normal", CLIENT_TYPE_NORMAL}, {"replica", CLIENT_TYPE_REPLICA},
        {"slave", CLIENT_TYPE_REPLICA}, {"pubsub", CLIENT_TYPE_PUBSUB},
        {"master", CLIENT_TYPE_MASTER},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (span_is(word, types[i].word)) {
            *type = types[i].type;
            return true;
        }
    }
    return false;
}

enum client_type client_type_of(const struct connection *connection) {
    return pubsub_subscriptions(connection) > 0 ? CLIENT_TYPE_PUBSUB : CLIENT_TYPE_NORMAL;
}

bool client_name_is_valid(struct span name) {
    for (size_t i = 0; i < name.length; i++) {
        if (name.bytes[i] < '!' || name.bytes[i] > '~') {
            return false;
        }
    }
    return true;
}
