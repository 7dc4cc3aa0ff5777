/* CONFIG: the configuration at run time. */
#include "base/logger.h"
#include "base/memory.h"
#include "server/server_commands.h"

#include <string.h>

static bool is_local(const struct session *session) {
    return (session->connection->flags & (CONNECTION_LOCAL | CONNECTION_UNIX)) != 0;
}

struct listing {
    struct reply *reply;
    size_t count;
};

static void option_found(void *context, struct span name, struct span value) {
    struct listing *listing = context;
    reply_bulk(listing->reply, name);
    reply_bulk(listing->reply, value);
    listing->count++;
}

static void get_command(struct session *session) {
    struct listing listing = {.reply = session->reply};
    struct reply_mark mark = reply_mark_here(session->reply);
    config_get(session_server(session)->config, session->args + 2, session->args_count - 2,
               option_found, &listing);
    reply_map_at(session->reply, mark, listing.count);
}

static void redact_secrets(struct session *session) {
    const struct config *config = session_server(session)->config;
    for (uint32_t i = 2; i + 1 < session->args_count; i += 2) {
        if (config_is_sensitive(config, session->args[i])) {
            session_redact(session, i + 1);
        }
    }
}

static void set_command(struct session *session) {
    if (session->args_count % 2 != 0) {
        session_reply_syntax_error(session);
        return;
    }
    redact_secrets(session);
    struct buffer error = BUFFER_EMPTY;
    if (config_set(session_server(session)->config, session->args + 2,
                   (session->args_count - 2) / 2, is_local(session), &error)) {
        reply_ok(session->reply);
    } else {
        buffer_append_byte(&error, '\0');
        reply_error(session->reply, error.bytes);
    }
    buffer_free(&error);
}

static void rewrite_command(struct session *session) {
    struct buffer error = BUFFER_EMPTY;
    if (config_rewrite(session_server(session)->config, &error)) {
        log_notice("CONFIG REWRITE executed with success.");
        reply_ok(session->reply);
    } else {
        buffer_append_byte(&error, '\0');
        log_warning("CONFIG REWRITE failed: %s", error.bytes);
        reply_error(session->reply, error.bytes);
    }
    buffer_free(&error);
}

static void reset_worker(struct worker *worker) {
    executor_reset_statistics(&worker->executor);
    worker->store->statistics = (struct store_statistics){0};
    worker->work_max = (struct tick_work){0};
    worker->tick_cpu_ns = (struct histogram){0};
    worker->ticks = 0;
    worker->busy_ns = 0;
    worker->expire_us = 0;
    worker->reads = 0;
    worker->writes = 0;
    worker->read_bytes = 0;
    worker->written_bytes = 0;
}

static void resetstat_command(struct session *session) {
    struct node *node = session_node(session);
    for (uint32_t i = 0; i < node->worker_count; i++) {
        reset_worker(node->workers[i]);
    }
    atomic_store(&node->connections_received, 0);
    atomic_store(&node->connections_rejected, 0);
    atomic_store(&node->evicted_clients, 0);
    atomic_store(&node->logins_refused, 0);
    atomic_store(&node->clients_over_output, 0);
    atomic_store(&node->clients_over_query, 0);
    atomic_store(&node->quorum_timeouts, 0);
    atomic_store(&node->quorum_messages_lost, 0);
    atomic_store(&node->link_read_bytes, 0);
    atomic_store(&node->link_written_bytes, 0);
    figures_reset(&session_server(session)->samples);
    reply_ok(session->reply);
}

static void help_command(struct session *session) {
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Prints this help.",
        NULL,
    };
    session_reply_help(session, lines);
}

#define CONFIG_FLAGS                                                                               \
    (COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_ALL_WORKERS)

static const char *const set_tips[] = {
    "request_policy:all_nodes",
    "response_policy:all_succeeded",
    NULL,
};

static const struct command config_subcommands[] = {
    {
        .name = "get",
        .arity = -3,
        .flags = CONFIG_FLAGS & ~COMMAND_ALL_WORKERS,
        .session = get_command,
        .group = "server",
        .since = "2.0.0",
        .complexity = "O(N) with N the options and the patterns",
        .summary = "Answers the options that match one of the patterns, with their values.",
        .syntax = "parameter [parameter ...]",
    },
    {
        COMMAND_HELP,
        .session = help_command,
        .group = "server",
        .since = "5.0.0",
    },
    {
        .name = "resetstat",
        .arity = 2,
        .flags = CONFIG_FLAGS,
        .session = resetstat_command,
        .group = "server",
        .since = "2.0.0",
        .complexity = "O(1)",
        .summary = "Starts the counters of INFO anew.",
        .syntax = "",
        .tips = set_tips,
    },
    {
        .name = "rewrite",
        .arity = 2,
        .flags = CONFIG_FLAGS,
        .session = rewrite_command,
        .group = "server",
        .since = "2.8.0",
        .complexity = "O(1)",
        .summary = "Writes the values that hold now into the config file.",
        .syntax = "",
        .tips = set_tips,
    },
    {
        .name = "set",
        .arity = -4,
        .flags = CONFIG_FLAGS,
        .session = set_command,
        .group = "server",
        .since = "2.0.0",
        .complexity = "O(N) with N the options that are set",
        .summary = "Sets options, all or none.",
        .syntax = "parameter value [parameter value ...]",
        .tips = set_tips,
    },
    {0},
};

const struct command config_commands[] = {
    {
        .name = "config",
        .arity = -2,
        .subcommands = config_subcommands,
        .group = "server",
        .since = "2.0.0",
        .complexity = "That of the subcommand.",
        .summary = "Reads and changes the server's options.",
        .syntax = "",
    },
    {0},
};
