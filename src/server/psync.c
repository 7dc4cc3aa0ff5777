/* PSYNC and SYNC: what a redis-server that is a replica, or a tool that behaves like one, says
 * last: from here on its socket is a link (redis_links.h). */
#include "base/numbers.h"
#include "server/redis_links.h"
#include "server/replica.h"
#include "server/server_commands.h"

/* False: the reply says why there is no link. */
static bool may_begin(struct session *session) {
    if (atomic_load(&session_node(session)->is_loading)) {
        reply_error(session->reply, "LOADING Redis is loading the dataset in memory");
        return false;
    }
    if (!replica_is_whole(&session_server(session)->replica)) {
        reply_error(session->reply, "NOMASTERLINK Can't SYNC while not connected with my master");
        return false;
    }
    if (!connection_is_at_last_request(session->connection)) {
        reply_error(session->reply, "ERR SYNC and PSYNC are invalid with pending output");
        return false;
    }
    return true;
}

static void begin(struct session *session, const struct redis_offer *offer) {
    struct server *server = session_server(session);
    /* That the link lives: what it begins with takes a while. */
    buffer_append_byte(&session->reply->buffer, '\n');
    connection_detach(session->connection, redis_links_offer(server->replicator, offer));
}

static void psync_command(struct session *session) {
    int64_t offset;
    if (session->args_count != 3) {
        reply_error(session->reply, "ERR PSYNC FAILOVER is not known here");
        return;
    }
    if (!session_integer(session, 2, &offset, NULL) || !may_begin(session)) {
        return;
    }
    begin(session, &(struct redis_offer){
                       .connection = session->connection,
                       .id = session->args[1],
                       .has_offset = offset > 0,
                       .offset = offset > 0 ? (uint64_t)offset - 1 : 0,
                   });
}

static void sync_command(struct session *session) {
    if (may_begin(session)) {
        begin(session, &(struct redis_offer){.connection = session->connection, .is_old = true});
    }
}

#define SYNC_FLAGS (COMMAND_ADMIN | COMMAND_NO_ASYNC_LOADING | COMMAND_NO_MULTI | COMMAND_NO_SCRIPT)

const struct command psync_commands[] = {
    {
        .name = "psync",
        .arity = -3,
        .flags = SYNC_FLAGS,
        .session = psync_command,
        .group = "server",
        .since = "2.8.0",
        .summary = "Makes the connection a replica's link, which goes on where it was.",
        .syntax = "replicationid offset",
    },
    {
        .name = "sync",
        .arity = 1,
        .flags = SYNC_FLAGS,
        .session = sync_command,
        .group = "server",
        .since = "1.0.0",
        .summary = "Makes the connection a replica's link.",
        .syntax = "",
    },
    {0},
};
