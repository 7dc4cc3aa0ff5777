/* CLIENT LIST, KILL and UNBLOCK: all connections of the node, or those that fit. All workers stand
 * still. */
#include "access/users.h"
#include "base/memory.h"
#include "worker/blocking.h"
#include "worker/client_commands.h"
#include "worker/client_info.h"

#include <stdlib.h>

/* ---- finding them ---- */

/* A connection, or a link. */
struct client {
    uint64_t id;
    enum client_type type;
    const char *peer;
    const char *own;
    const char *user;
    struct connection *connection; /* or NULL */
    const struct client_link *link;
};

struct clients {
    struct client *items; /* by id: in the order in which they came */
    size_t count;
    struct client_link links[CLIENT_LINKS_MAX];
};

static int compare_ids(const void *a, const void *b) {
    const struct client *one = a;
    const struct client *other = b;
    return one->id < other->id ? -1 : one->id > other->id;
}

static void collect_connection(struct clients *clients, struct connection *connection) {
    clients->items[clients->count++] = (struct client){
        .id = connection->id,
        .type = client_type_of(connection),
        .peer = connection->peer,
        .own = connection->own,
        .user = connection->user,
        .connection = connection,
    };
}

static void collect_link(struct clients *clients, const struct client_link *link) {
    clients->items[clients->count++] = (struct client){
        .id = link->id,
        .type = link->is_primary ? CLIENT_TYPE_MASTER : CLIENT_TYPE_REPLICA,
        .peer = link->peer,
        .own = link->own,
        .user = link->user,
        .link = link,
    };
}

/* To be freed. */
static struct clients *clients_collect(const struct node *node) {
    struct clients *clients = memory_alloc(sizeof(*clients));
    uint32_t links =
        node->links.read == NULL ? 0 : node->links.read(node->links.context, clients->links);
    size_t most = links;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        most += node->workers[i]->connections_count;
    }
    clients->items = memory_alloc((most + 1) * sizeof(clients->items[0]));
    clients->count = 0;
    for (uint32_t i = 0; i < links; i++) {
        collect_link(clients, &clients->links[i]);
    }
    for (uint32_t i = 0; i < node->worker_count; i++) {
        LIST_FOR_EACH(link, &node->workers[i]->connections) {
            ASSERT(clients->count < most);
            collect_connection(clients, LIST_ENTRY(link, struct connection, link));
        }
    }
    qsort(clients->items, clients->count, sizeof(clients->items[0]), compare_ids);
    return clients;
}

static void clients_free(struct clients *clients) {
    memory_free(clients->items);
    memory_free(clients);
}

static const struct client *clients_find(const struct clients *clients, int64_t id) {
    size_t low = 0;
    size_t high = clients->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (clients->items[middle].id < (uint64_t)id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return id > 0 && low < clients->count && clients->items[low].id == (uint64_t)id
               ? &clients->items[low]
               : NULL;
}

/* False: the reply says that there is no such class. */
static bool parse_type(struct session *session, struct span word, enum client_type *type) {
    if (client_type_parse(word, type)) {
        return true;
    }
    reply_error_format(session->reply, "ERR Unknown client type '%.*s'", (int)word.length,
                       word.bytes);
    return false;
}

/* ---- CLIENT LIST ---- */

static void append_line(struct buffer *text, const struct client *client) {
    if (client->link != NULL) {
        client_info_append_link(text, client->link);
    } else {
        client_info_append_line(text, client->connection);
    }
}

/* Lines in the order of the ids that were asked for. False: one is no id, and the reply says so. */
static bool list_ids(struct session *session, const struct clients *clients, struct buffer *text) {
    for (uint32_t i = 3; i < session->args_count; i++) {
        int64_t id = 0;
        if (!session_integer(session, i, &id, "ERR Invalid client ID")) {
            return false;
        }
        const struct client *client = clients_find(clients, id);
        if (client != NULL) {
            append_line(text, client);
        }
    }
    return true;
}

void client_list_command(struct session *session) {
    bool has_type = session->args_count == 4 && span_is(session->args[2], "type");
    bool has_ids = session->args_count > 3 && !has_type && span_is(session->args[2], "id");
    enum client_type type = CLIENT_TYPE_NORMAL;
    if (session->args_count != 2 && !has_type && !has_ids) {
        session_reply_syntax_error(session);
        return;
    }
    if (has_type && !parse_type(session, session->args[3], &type)) {
        return;
    }
    struct clients *clients = clients_collect(session_node(session));
    struct buffer text = BUFFER_EMPTY;
    bool is_valid = true;
    if (has_ids) {
        is_valid = list_ids(session, clients, &text);
    } else {
        for (size_t i = 0; i < clients->count; i++) {
            if (!has_type || clients->items[i].type == type) {
                append_line(&text, &clients->items[i]);
            }
        }
    }
    if (is_valid) {
        reply_verbatim(session->reply, "txt", buffer_span(&text));
    }
    buffer_free(&text);
    clients_free(clients);
}

/* ---- CLIENT KILL ---- */

struct kill_filter {
    struct span address; /* without bytes: any */
    struct span own_address;
    struct span user;
    enum client_type type;
    bool has_type;
    int64_t id; /* 0: any */
    bool skips_me;
};

static bool parse_kill_option(struct session *session, uint32_t i, struct kill_filter *filter) {
    struct span option = session->args[i];
    struct span value = session->args[i + 1];
    if (span_is(option, "id")) {
        if (!number_parse(value, &filter->id) || filter->id < 1) {
            reply_error(session->reply, "ERR client-id should be greater than 0");
            return false;
        }
    } else if (span_is(option, "type")) {
        filter->has_type = true;
        return parse_type(session, value, &filter->type);
    } else if (span_is(option, "addr")) {
        filter->address = value;
    } else if (span_is(option, "laddr")) {
        filter->own_address = value;
    } else if (span_is(option, "user")) {
        filter->user = value;
        if (users_find(
                &(struct users){.items = &(struct user){.name = USER_DEFAULT_NAME}, .count = 1},
                value) == NULL) {
            reply_error_format(session->reply, "ERR No such user '%.*s'", (int)value.length,
                               value.bytes);
            return false;
        }
    } else if (span_is(option, "skipme") && (span_is(value, "yes") || span_is(value, "no"))) {
        filter->skips_me = span_is(value, "yes");
    } else {
        session_reply_syntax_error(session);
        return false;
    }
    return true;
}

static bool parse_kill(struct session *session, struct kill_filter *filter) {
    if (session->args_count == 3) {
        filter->address = session->args[2];
        filter->skips_me = false;
        return true;
    }
    for (uint32_t i = 2; i < session->args_count; i += 2) {
        if (i + 1 == session->args_count) {
            session_reply_syntax_error(session);
            return false;
        }
        if (!parse_kill_option(session, i, filter)) {
            return false;
        }
    }
    return true;
}

static bool text_fits(struct span wanted, const char *text) {
    return wanted.bytes == NULL || span_equal(wanted, span_of_string(text));
}

static bool kill_fits(const struct kill_filter *filter, const struct client *client) {
    return text_fits(filter->address, client->peer) &&
           text_fits(filter->own_address, client->own) && text_fits(filter->user, client->user) &&
           (!filter->has_type || client->type == filter->type) &&
           (filter->id == 0 || client->id == (uint64_t)filter->id);
}

static void kill_client(const struct session *session, const struct client *client) {
    const struct client_links *links = &session->worker->node->links;
    if (client->link != NULL) {
        links->kill(links->context, client->id);
    } else if (client->connection == session->connection) {
        client->connection->flags |= CONNECTION_CLOSE_AFTER_REPLY;
    } else {
        connection_close(client->connection);
    }
}

void client_kill_command(struct session *session) {
    struct kill_filter filter = {.skips_me = true};
    if (!parse_kill(session, &filter)) {
        return;
    }
    struct clients *clients = clients_collect(session_node(session));
    int64_t killed = 0;
    for (size_t i = 0; i < clients->count; i++) {
        const struct client *client = &clients->items[i];
        if (kill_fits(&filter, client) &&
            (client->connection != session->connection || !filter.skips_me)) {
            killed++;
            kill_client(session, client);
        }
    }
    clients_free(clients);
    if (session->args_count > 3) {
        reply_integer(session->reply, killed);
    } else if (killed == 0) {
        reply_error(session->reply, "ERR No such client");
    } else {
        reply_ok(session->reply);
    }
}

/* ---- CLIENT UNBLOCK ---- */

/* True: it was blocked, and is not any more. */
static bool unblock(const struct node *node, int64_t id, enum blocking_end end) {
    for (uint32_t i = 0; i < node->worker_count; i++) {
        LIST_FOR_EACH(link, &node->workers[i]->connections) {
            struct connection *connection = LIST_ENTRY(link, struct connection, link);
            if (connection->id == (uint64_t)id) {
                bool is_blocked = connection->blocked != NULL;
                if (is_blocked) {
                    blocking_end(connection, end);
                }
                return is_blocked;
            }
        }
    }
    return false;
}

void client_unblock_command(struct session *session) {
    enum blocking_end end = BLOCKING_OVER;
    int64_t id = 0;
    if (session->args_count > 4) {
        session_reply_usage_error(session);
        return;
    }
    if (session->args_count == 4 && span_is(session->args[3], "error")) {
        end = BLOCKING_UNBLOCKED;
    } else if (session->args_count == 4 && !span_is(session->args[3], "timeout")) {
        reply_error(session->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (session_integer(session, 2, &id, NULL)) {
        reply_integer(session->reply, id > 0 && unblock(session_node(session), id, end));
    }
}
