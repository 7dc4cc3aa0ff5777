/* FAILOVER. */
#include "base/logger.h"
#include "io/clock.h"
#include "server/failover.h"
#include "server/server_commands.h"

#include <string.h>

struct failover_words {
    struct span host; /* NULL bytes: none */
    int64_t port;
    int64_t timeout_ms; /* 0: none */
    bool is_forced;
};

/* False: it has been replied why. */
static bool parse(struct session *session, struct failover_words *words) {
    const struct span *args = session->args;
    uint32_t count = session->args_count;
    for (uint32_t i = 1; i < count; i++) {
        if (span_is(args[i], "timeout") && i + 1 < count && words->timeout_ms == 0) {
            if (!session_integer(session, i + 1, &words->timeout_ms, NULL)) {
                return false;
            }
            if (words->timeout_ms <= 0) {
                reply_error(session->reply, "ERR FAILOVER timeout must be greater than 0");
                return false;
            }
            i++;
        } else if (span_is(args[i], "to") && i + 2 < count && words->host.bytes == NULL) {
            if (!session_integer(session, i + 2, &words->port, NULL)) {
                return false;
            }
            words->host = args[i + 1];
            i += 2;
        } else if (span_is(args[i], "force") && !words->is_forced) {
            words->is_forced = true;
        } else {
            session_reply_syntax_error(session);
            return false;
        }
    }
    return true;
}

/* NULL: it can be the target, or it is to be found out who. */
static const char *find_target(const struct failover_words *words,
                               const struct replication_link *links, uint32_t count) {
    const char *refusal = words->host.bytes == NULL
                              ? "ERR FAILOVER requires a replica that is no redis-server."
                              : "ERR FAILOVER target HOST and PORT is not a replica.";
    for (uint32_t i = 0; i < count; i++) {
        if (words->host.bytes == NULL) {
            if (!links[i].is_redis) {
                return NULL;
            }
        } else if (links[i].port == words->port &&
                   span_equal(span_of_string(links[i].address), words->host)) {
            if (links[i].is_redis) {
                return "ERR FAILOVER target is a redis-server, which cannot take over from here.";
            }
            return links[i].stage == FEED_LOG ? NULL : "ERR FAILOVER target replica is not online.";
        }
    }
    return refusal;
}

static const char *refusal(struct server *server, const struct failover_words *words) {
    struct replication_link links[REPLICATION_LINKS_MAX];
    uint32_t count = replication_links_read(&server->replication, links);
    if (failover_state(&server->failover) != FAILOVER_NONE) {
        return "ERR FAILOVER already in progress.";
    }
    if (node_is_led(&server->node)) {
        return "ERR FAILOVER is not valid when server is a replica.";
    }
    if (count == 0) {
        return "ERR FAILOVER requires connected replicas.";
    }
    if (words->is_forced && (words->timeout_ms == 0 || words->host.bytes == NULL)) {
        return "ERR FAILOVER with force option requires both a timeout and target HOST and IP.";
    }
    return find_target(words, links, count);
}

static void begin(struct server *server, const struct failover_words *words) {
    struct failover_plan plan = {.port = (uint16_t)words->port, .is_forced = words->is_forced};
    if (words->host.bytes != NULL) {
        /* It equals a link's address, which is shorter. */
        memcpy(plan.host, words->host.bytes, words->host.length);
        log_notice("FAILOVER requested to %s:%u.", plan.host, plan.port);
    } else {
        log_notice("FAILOVER requested.");
    }
    if (words->timeout_ms > 0 &&
        __builtin_add_overflow(clock_monotonic_us() / 1000, words->timeout_ms, &plan.until_ms)) {
        plan.until_ms = INT64_MAX;
    }
    failover_begin(server, &plan);
}

static void failover_command(struct session *session) {
    struct server *server = session_server(session);
    struct failover_words words = {0};
    if (session_node(session)->cluster != NULL) {
        reply_error(session->reply, "ERR FAILOVER not allowed in cluster mode.");
        return;
    }
    if (session->args_count == 2 && span_is(session->args[1], "abort")) {
        if (failover_abort(server, "Failover manually aborted")) {
            reply_ok(session->reply);
        } else {
            reply_error(session->reply, "ERR No failover in progress.");
        }
        return;
    }
    if (!parse(session, &words)) {
        return;
    }
    const char *error = refusal(server, &words);
    if (error != NULL) {
        reply_error(session->reply, error);
        return;
    }
    begin(server, &words);
    reply_ok(session->reply);
}

const struct command failover_commands[] = {
    {
        .name = "failover",
        .arity = -1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_STALE | COMMAND_ALL_WORKERS,
        .session = failover_command,
        .group = "server",
        .since = "6.2.0",
        .complexity = "O(1)",
        .summary = "Hands the role of the primary over to one of its replicas.",
        .syntax = "[TO <target=host port [FORCE]>] [ABORT] [TIMEOUT milliseconds]",
    },
    {0},
};
