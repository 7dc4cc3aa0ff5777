#include "worker/slow_log.h"

#include "base/memory.h"
#include "io/clock.h"
#include "worker/monitor.h"

struct slow_entry {
    struct list link;
    int64_t id;
    int64_t time_s;
    int64_t duration_us;
    size_t length;
    char rest[]; /* of the reply: arguments, address, name: the same bytes in RESP2 and RESP3 */
};

void slow_log_init(struct slow_log *log) {
    int failed = pthread_mutex_init(&log->mutex, NULL);
    ASSERT(failed == 0);
    list_init(&log->entries);
    log->count = 0;
    log->next_id = 0;
}

static void drop_oldest(struct slow_log *log) {
    struct list *link = log->entries.previous;
    list_remove(link);
    log->count--;
    memory_free(LIST_ENTRY(link, struct slow_entry, link));
}

static void drop_all(struct slow_log *log) {
    while (log->count > 0) {
        drop_oldest(log);
    }
}

void slow_log_free(struct slow_log *log) {
    drop_all(log);
    pthread_mutex_destroy(&log->mutex);
}

static void write_argument(struct reply *reply, struct span argument) {
    if (argument.length <= SLOW_LOG_ARGUMENT_BYTES_MAX) {
        reply_bulk(reply, argument);
        return;
    }
    struct buffer text = BUFFER_EMPTY;
    buffer_append(&text, argument.bytes, SLOW_LOG_ARGUMENT_BYTES_MAX);
    buffer_format(&text, "... (%zu more bytes)", argument.length - SLOW_LOG_ARGUMENT_BYTES_MAX);
    reply_bulk(reply, buffer_span(&text));
    buffer_free(&text);
}

static void write_arguments(struct reply *reply, const struct queued_command *command,
                            uint64_t redacted) {
    uint32_t count = command->args_count;
    uint32_t shown = count > SLOW_LOG_ARGUMENTS_MAX ? SLOW_LOG_ARGUMENTS_MAX - 1 : count;
    reply_array(reply, shown == count ? count : shown + 1);
    for (uint32_t i = 0; i < shown; i++) {
        write_argument(reply, argument_is_redacted(redacted, i) ? span_of_string(REDACTED_TEXT)
                                                                : command->args[i]);
    }
    if (shown < count) {
        struct buffer text = BUFFER_EMPTY;
        buffer_format(&text, "... (%u more arguments)", count - shown);
        reply_bulk(reply, buffer_span(&text));
        buffer_free(&text);
    }
}

static struct slow_entry *slow_entry_new(const struct connection *connection,
                                         const struct queued_command *command, uint64_t redacted,
                                         int64_t duration_us) {
    struct reply rest;
    reply_init(&rest, 2);
    write_arguments(&rest, command, redacted);
    reply_bulk_string(&rest, connection->peer);
    reply_bulk_string(&rest, connection->name == NULL ? "" : connection->name);
    struct slow_entry *entry = memory_alloc(sizeof(*entry) + rest.buffer.length);
    list_init(&entry->link);
    entry->time_s = clock_wall_ms() / 1000;
    entry->duration_us = duration_us;
    entry->length = rest.buffer.length;
    memcpy(entry->rest, rest.buffer.bytes, rest.buffer.length);
    reply_free(&rest);
    return entry;
}

void slow_log_note(struct node *node, const struct connection *connection,
                   const struct queued_command *command, uint64_t redacted, int64_t duration_us) {
    const struct worker_options *options = node->options;
    struct slow_log *log = &node->slow_log;
    if (options->slowlog_log_slower_than < 0 || options->slowlog_max_len == 0 ||
        duration_us < options->slowlog_log_slower_than) {
        return;
    }
    struct slow_entry *entry = slow_entry_new(connection, command, redacted, duration_us);
    pthread_mutex_lock(&log->mutex);
    entry->id = log->next_id++;
    list_push_front(&log->entries, &entry->link);
    log->count++;
    while (log->count > options->slowlog_max_len) {
        drop_oldest(log);
    }
    pthread_mutex_unlock(&log->mutex);
}

int64_t slow_log_count(struct slow_log *log) {
    pthread_mutex_lock(&log->mutex);
    int64_t count = log->count;
    pthread_mutex_unlock(&log->mutex);
    return count;
}

/* ---- SLOWLOG ---- */

static void get_command(struct session *session) {
    struct slow_log *log = &session_node(session)->slow_log;
    int64_t count = SLOW_LOG_GET_DEFAULT;
    if (session->args_count > 3) {
        session_reply_usage_error(session);
        return;
    }
    if (session->args_count == 3 && (!number_parse(session->args[2], &count) || count < -1)) {
        reply_error(session->reply, "ERR count should be greater than or equal to -1");
        return;
    }
    pthread_mutex_lock(&log->mutex);
    if (count == -1 || count > log->count) {
        count = log->count;
    }
    reply_array(session->reply, (size_t)count);
    LIST_FOR_EACH(link, &log->entries) {
        if (count-- == 0) {
            break;
        }
        const struct slow_entry *entry = LIST_ENTRY(link, struct slow_entry, link);
        reply_array(session->reply, 6);
        reply_integer(session->reply, entry->id);
        reply_integer(session->reply, entry->time_s);
        reply_integer(session->reply, entry->duration_us);
        buffer_append(&session->reply->buffer, entry->rest, entry->length);
    }
    pthread_mutex_unlock(&log->mutex);
}

static void len_command(struct session *session) {
    reply_integer(session->reply, slow_log_count(&session_node(session)->slow_log));
}

static void reset_command(struct session *session) {
    struct slow_log *log = &session_node(session)->slow_log;
    pthread_mutex_lock(&log->mutex);
    drop_all(log);
    pthread_mutex_unlock(&log->mutex);
    reply_ok(session->reply);
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET [<count>]",
        "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
        "    Entries are made of:",
        "    id, timestamp, time in microseconds, arguments array, client IP and port,",
        "    client name",
        "LEN",
        "    Return the length of the slowlog.",
        "RESET",
        "    Reset the slowlog.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

static const struct command slow_log_subcommands[] = {
    {
        .name = "get",
        .arity = -2,
        .flags = COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE,
        .session = get_command,
        .group = "server",
        .since = "2.2.12",
        .complexity = "O(N) where N is the number of entries returned",
        .summary = "Answers the newest entries of the slow log.",
        .syntax = "[count]",
        .tips = COMMAND_TIPS("request_policy:all_nodes", "nondeterministic_output"),
    },
    {
        COMMAND_HELP,
        .session = help_command,
        .group = "server",
        .since = "6.2.0",
    },
    {
        .name = "len",
        .arity = 2,
        .flags = COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE,
        .session = len_command,
        .group = "server",
        .since = "2.2.12",
        .complexity = "O(1)",
        .summary = "Answers how many entries the slow log has.",
        .syntax = "",
        .tips = COMMAND_TIPS("request_policy:all_nodes", "response_policy:agg_sum",
                             "nondeterministic_output"),
    },
    {
        .name = "reset",
        .arity = 2,
        .flags = COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE,
        .session = reset_command,
        .group = "server",
        .since = "2.2.12",
        .complexity = "O(N) where N is the number of entries in the slowlog",
        .summary = "Forgets all entries of the slow log.",
        .syntax = "",
        .tips = COMMAND_TIPS("request_policy:all_nodes", "response_policy:all_succeeded"),
    },
    {0},
};

const struct command slow_log_commands[] = {
    {
        .name = "slowlog",
        .arity = -2,
        .subcommands = slow_log_subcommands,
        .group = "server",
        .since = "2.2.12",
        .complexity = "Depends on subcommand.",
        .summary = "A container for slow log commands.",
        .syntax = "",
    },
    {0},
};
