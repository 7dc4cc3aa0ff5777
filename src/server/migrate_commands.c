/* MIGRATE. */
#include "server/migrate.h"
#include "server/server_commands.h"
#include "worker/gate.h"

enum { HOST = 1, PORT = 2, KEY = 3, DATABASE = 4, TIMEOUT = 5, FIRST_OPTION = 6 };

#define TIMEOUT_DEFAULT_MS 1000

/* ---- which arguments are keys ---- */

/* As redis-server looks: options with their words are skipped; words that are none, too, and KEYS
 * at the end. */
static int find_keys(const struct span *args, uint32_t args_count, uint32_t *indexes, int max) {
    uint32_t first = KEY;
    uint32_t count = 1;
    for (uint32_t i = FIRST_OPTION; i + 1 < args_count; i++) {
        if (span_is(args[i], "keys")) {
            if (args[KEY].length != 0) {
                return -1;
            }
            first = i + 1;
            count = args_count - first;
            break;
        }
        i += span_is(args[i], "auth") ? 1 : span_is(args[i], "auth2") ? 2 : 0;
    }
    for (uint32_t i = 0; i < count && (int)i < max; i++) {
        indexes[i] = first + i;
    }
    return (int)count;
}

static unsigned find_key_flags(const struct span *args, uint32_t args_count) {
    (void)args;
    (void)args_count;
    return KEY_RW | KEY_ACCESS | KEY_DELETE;
}

/* ---- options ---- */

/* Option i and its words. False: it has been replied what is wrong. */
static bool parse_option(struct session *session, uint32_t *i, struct migrate_plan *plan) {
    const struct span *args = session->args;
    uint32_t more = session->args_count - 1 - *i;
    if (span_is(args[*i], "copy")) {
        plan->copies = true;
    } else if (span_is(args[*i], "replace")) {
        plan->replaces = true;
    } else if (span_is(args[*i], "auth") && more >= 1) {
        session_redact(session, ++*i);
        plan->password = args[*i];
    } else if (span_is(args[*i], "auth2") && more >= 2) {
        session_redact(session, ++*i);
        plan->user = args[*i];
        session_redact(session, ++*i);
        plan->password = args[*i];
    } else {
        session_reply_syntax_error(session);
        return false;
    }
    return true;
}

static bool parse_options(struct session *session, struct migrate_plan *plan) {
    const struct span *args = session->args;
    for (uint32_t i = FIRST_OPTION; i < session->args_count; i++) {
        if (span_is(args[i], "keys")) {
            if (args[KEY].length != 0) {
                reply_error(session->reply, "ERR When using MIGRATE KEYS option, the key argument "
                                            "must be set to the empty string");
                return false;
            }
            plan->keys = args + i + 1;
            plan->keys_count = session->args_count - i - 1;
            return true;
        }
        if (!parse_option(session, &i, plan)) {
            return false;
        }
    }
    return true;
}

static bool parse(struct session *session, struct migrate_plan *plan) {
    const struct span *args = session->args;
    *plan = (struct migrate_plan){
        .host = args[HOST],
        .port = args[PORT],
        .keys = args + KEY,
        .keys_count = 1,
        .database = session->connection->database,
    };
    if (!parse_options(session, plan) ||
        !session_integer(session, TIMEOUT, &plan->timeout_ms, NULL) ||
        !session_integer(session, DATABASE, &plan->database_there, NULL)) {
        return false;
    }
    if (plan->timeout_ms <= 0) {
        plan->timeout_ms = TIMEOUT_DEFAULT_MS;
    }
    return true;
}

/* ---- the command ---- */

/* The job is done. */
static void reply_answer(struct session *session, struct migrate_job *job) {
    buffer_append_byte(&job->answer, '\0');
    const char *answer = job->answer.bytes;
    if (answer[0] == '\0') {
        reply_ok(session->reply);
    } else if (answer[0] == '-') {
        reply_error(session->reply, answer + 1);
    } else {
        reply_status(session->reply, answer);
    }
    migrate_job_free(job);
}

/* Submitted before. */
static void fetch(struct session *session, struct migrate *migrate) {
    bool is_known;
    struct migrate_job *job = migrate_fetch(migrate, session->connection->ticket, &is_known);
    if (job == NULL && is_known) {
        session->waits = true;
    } else if (job == NULL) {
        reply_error(session->reply, "ERR The answer came, and was not fetched in time");
    } else {
        /* What another worker has deleted is this client's change. */
        gate_follow(session->worker);
        session->connection->flags |= CONNECTION_HAS_WRITTEN | CONNECTION_WROTE;
        reply_answer(session, job);
    }
}

static void migrate_command(struct session *session) {
    struct migrate *migrate = session_server(session)->migrate;
    struct connection *connection = session->connection;
    struct migrate_plan plan;
    if (!parse(session, &plan)) {
        return;
    }
    if ((connection->flags & CONNECTION_IN_EXEC) != 0) {
        struct migrate_job *job = migrate_job_new(migrate, &plan);
        migrate_run_here(job, session->worker);
        reply_answer(session, job);
    } else if (connection->ticket == 0) {
        connection->ticket = migrate_submit(migrate_job_new(migrate, &plan), session->worker);
        session->waits = true;
    } else {
        fetch(session, migrate);
    }
}

const struct command migrate_commands[] = {
    {
        .name = "migrate",
        .arity = -6,
        .flags = COMMAND_WRITE | COMMAND_MOVABLE_KEYS | COMMAND_WAITS,
        .rules = RULE_MOVES_KEYS,
        .categories = CATEGORY_KEYSPACE | CATEGORY_DANGEROUS,
        .keys = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE, .begin = KEY, .step = 1},
                 {.flags = KEY_RW | KEY_ACCESS | KEY_DELETE | KEY_INCOMPLETE,
                  .keyword = "KEYS",
                  .begin = -2,
                  .last = -1,
                  .step = 1}},
        .find_keys = find_keys,
        .find_key_flags = find_key_flags,
        .session = migrate_command,
        .group = "generic",
        .since = "2.6.0",
        .complexity = "O(N) with N the bytes of the values",
        .summary = "Moves keys to another server, at once for those who look.",
        .syntax = "host port <key | \"\"> destination-db timeout [COPY] [REPLACE] [AUTH password | "
                  "AUTH2 username password] [KEYS key [key ...]]",
        .tips = COMMAND_TIPS("nondeterministic_output"),
    },
    {0},
};
