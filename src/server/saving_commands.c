/* SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE. All of them ask the saving thread; SAVE waits for it, while
 * other clients go on. */
#include "server/saving.h"
#include "server/server_commands.h"

#define IN_PROGRESS "ERR Background save already in progress"

static struct saving *saving_of(const struct session *session) {
    return atomic_load(&session_server(session)->saving);
}

static void save_command(struct session *session) {
    struct saving *saving = saving_of(session);
    struct connection *connection = session->connection;
    if (connection->ticket == 0) {
        if (saving_running_job(saving) == SAVING_SNAPSHOT) {
            reply_error(session->reply, IN_PROGRESS);
            return;
        }
        connection->ticket = saving_request(saving, SAVING_SNAPSHOT);
    }
    bool has_failed;
    if (!saving_is_done(saving, connection->ticket, &has_failed)) {
        session->waits = true;
        return;
    }
    if (has_failed) {
        reply_error(session->reply, "ERR");
    } else {
        reply_status(session->reply, "OK");
    }
}

/* BGSAVE [SCHEDULE]. What is scheduled inside a transaction begins behind it. */
static void bgsave_command(struct session *session) {
    bool is_scheduled = session->args_count == 2 && span_is(session->args[1], "schedule");
    if (session->args_count > 1 && !is_scheduled) {
        session_reply_syntax_error(session);
        return;
    }
    struct saving *saving = saving_of(session);
    bool in_exec = (session->connection->flags & CONNECTION_IN_EXEC) != 0;
    bool waits = saving_is_running(saving);
    if (waits && saving_running_job(saving) == SAVING_SNAPSHOT) {
        reply_error(session->reply, IN_PROGRESS);
        return;
    }
    if (waits && !is_scheduled && !in_exec) {
        reply_error(session->reply,
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use "
                    "BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.");
        return;
    }
    saving_request(saving, SAVING_SNAPSHOT);
    reply_status(session->reply,
                 waits || in_exec ? "Background saving scheduled" : "Background saving started");
}

/* A snapshot is what lets the log's old segments go. */
static void bgrewriteaof_command(struct session *session) {
    struct saving *saving = saving_of(session);
    enum saving_job job = saving_running_job(saving);
    if (job == SAVING_REWRITE || job == SAVING_LOG_ON) {
        reply_error(session->reply,
                    "ERR Background append only file rewriting already in progress");
        return;
    }
    bool waits =
        saving_is_running(saving) || (session->connection->flags & CONNECTION_IN_EXEC) != 0;
    saving_request(saving, SAVING_REWRITE);
    reply_status(session->reply, waits ? "Background append only file rewriting scheduled"
                                       : "Background append only file rewriting started");
}

static void lastsave_command(struct session *session) {
    reply_integer(session->reply, saving_last_saved_s(saving_of(session)));
}

static const char *const nondeterministic_tips[] = {"nondeterministic_output", NULL};

const struct command saving_commands[] = {
    {
        .name = "bgrewriteaof",
        .arity = 1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_NO_ASYNC_LOADING,
        .session = bgrewriteaof_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Begins a snapshot, behind which the log's old segments go.",
        .syntax = "",
    },
    {
        .name = "bgsave",
        .arity = -1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_NO_ASYNC_LOADING,
        .session = bgsave_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Begins a snapshot.",
        .syntax = "[SCHEDULE]@3.2.2",
    },
    {
        .name = "lastsave",
        .arity = 1,
        .flags = COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST,
        .categories = CATEGORY_ADMIN | CATEGORY_DANGEROUS,
        .session = lastsave_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(1)",
        .summary = "Answers when the last good snapshot was taken.",
        .syntax = "",
        .tips = nondeterministic_tips,
    },
    {
        .name = "save",
        .arity = 1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_NO_ASYNC_LOADING | COMMAND_NO_MULTI |
                 COMMAND_WAITS,
        .session = save_command,
        .group = "server",
        .since = "1.0.0",
        .complexity = "O(N) with N the keys",
        .summary = "Takes a snapshot and answers when it is on disk.",
        .syntax = "",
    },
    {0},
};
