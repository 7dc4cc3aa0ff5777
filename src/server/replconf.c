/* REPLCONF: what a replica says before and, to a redis-server, on its link. */
#include "base/memory.h"
#include "base/numbers.h"
#include "replication/handshake.h"
#include "server/node_proof.h"
#include "server/primary_links.h"
#include "server/server_commands.h"

/* Where to find the replica, if not where it comes from. */
static struct replica_words *words_of(struct session *session) {
    struct connection *connection = session->connection;
    if (connection->replica_words == NULL) {
        connection->replica_words = memory_alloc_zeroed(sizeof(*connection->replica_words));
    }
    return connection->replica_words;
}

static bool listening_port(struct session *session, uint32_t i) {
    int64_t port = 0;
    if (!session_integer(session, i, &port, NULL)) {
        return false;
    }
    words_of(session)->port = port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
    return true;
}

static bool ip_address(struct session *session, uint32_t i) {
    struct span address = session->args[i];
    if (address.length >= NETWORK_ADDRESS_BYTES) {
        reply_error_format(session->reply,
                           "ERR REPLCONF ip-address provided by replica instance is too long: %zu "
                           "bytes",
                           address.length);
        return false;
    }
    struct replica_words *words = words_of(session);
    memcpy(words->address, address.bytes, address.length);
    words->address[address.length] = '\0';
    return true;
}

/* ---- a node of the cluster proves what it is ---- */

static struct span secret_of(struct session *session) {
    const struct server *server = session_server(session);
    return span_of_string(server->seat == NULL ? "" : server->options->cluster.secret);
}

static void take_nonce(struct session *session) {
    struct span nonce = session->args[2];
    if (secret_of(session).length == 0 || !handshake_nonce_is_valid(nonce)) {
        reply_error(session->reply, "ERR this node has no cluster-secret, or that is no nonce");
        return;
    }
    struct replica_words *words = words_of(session);
    _Static_assert(sizeof(words->nonce) == HANDSHAKE_NONCE_BYTES, "a nonce with its zero");
    memcpy(words->nonce, nonce.bytes, nonce.length);
    handshake_nonce_draw(words->own_nonce);
    reply_status(session->reply, words->own_nonce);
}

/* Each nonce is good for one try. */
static void take_proof(struct session *session) {
    struct replica_words *words = words_of(session);
    struct span secret = secret_of(session);
    struct node_proof proof = {.of_replica = span_of_string(words->nonce),
                               .of_primary = span_of_string(words->own_nonce)};
    replication_name(&session_server(session)->replication, proof.primary.bytes);
    bool holds = secret.length > 0 && words->nonce[0] != '\0' &&
                 node_proof_holds(&proof, NODE_PROOF_OF_REPLICA, secret, session->args[2]);
    char digits[NODE_PROOF_DIGITS + 1];
    if (holds) {
        node_proof_make(&proof, NODE_PROOF_OF_PRIMARY, secret, digits);
        session->connection->flags |= CONNECTION_AUTHENTICATED;
        reply_status(session->reply, digits);
    } else {
        atomic_fetch_add(&session_node(session)->logins_refused, 1);
        reply_error(session->reply, "WRONGPASS this node is another one, or has another "
                                    "cluster-secret");
    }
    words->nonce[0] = '\0';
}

static bool is_proof(const struct session *session) {
    const struct span *args = session->args;
    return session->args_count == 3 &&
           (span_is(args[1], NODE_NONCE_WORD) || span_is(args[1], NODE_PROOF_WORD));
}

static void prove(struct session *session) {
    session_redact(session, 2);
    if (span_is(session->args[1], NODE_NONCE_WORD)) {
        take_nonce(session);
    } else {
        take_proof(session);
    }
}

/* ---- the link ---- */

/* REPLCONF tarn-link VERSION NONCE [FAILOVER HISTORY]: from the answer on this is a link. */
static void begin_link(struct session *session) {
    struct server *server = session_server(session);
    int64_t version = 0;
    if (!number_parse(session->args[2], &version) || version != MESSAGE_VERSION ||
        !handshake_nonce_is_valid(session->args[3])) {
        reply_error_format(session->reply, "ERR REPLCONF " HANDSHAKE_WORD " is not of version %d",
                           MESSAGE_VERSION);
        return;
    }
    /* What a replica sends on the link depends on the answer. */
    if (!connection_is_at_last_request(session->connection)) {
        reply_error(session->reply, "ERR REPLCONF " HANDSHAKE_WORD " must be the last request");
        return;
    }
    if (atomic_load(&session_node(session)->is_loading)) {
        reply_error(session->reply, "LOADING Redis is loading the dataset in memory");
        return;
    }
    if (!replication_has_room(&server->replication)) {
        reply_error_format(session->reply, "ERR all %d links to replicas are taken",
                           REPLICATION_LINKS_MAX);
        return;
    }
    bool takes_over = session->args_count == 6;
    const char *refusal = takes_over ? failover_refusal(server, session->args[5]) : NULL;
    if (refusal != NULL) {
        reply_error(session->reply, refusal);
        return;
    }
    char nonce[HANDSHAKE_NONCE_BYTES];
    handshake_nonce_draw(nonce);
    struct buffer answer = BUFFER_EMPTY;
    handshake_write_answer(&answer, nonce);
    buffer_append_byte(&answer, '\0');
    reply_status(session->reply, answer.bytes);
    buffer_free(&answer);
    struct link_offer offer = {
        .seed = handshake_seed(session->args[3], span_of_string(nonce)),
        .connection = session->connection,
        .takes_over = takes_over ? session->args[5] : span_of_string(""),
    };
    connection_detach(session->connection, primary_links_offer(server->replicator, &offer));
}

static bool rdb_only(struct session *session, uint32_t i) {
    int64_t is_wanted = 0;
    if (!session_integer(session, i, &is_wanted, NULL)) {
        return false;
    }
    words_of(session)->wants_file = is_wanted == 1;
    return true;
}

/* Names what is to be in the file: functions, of which there are none here; or, with "",
 * nothing. */
static bool rdb_filter(struct session *session, uint32_t i) {
    struct span filter = session->args[i];
    if (filter.length != 0 && !span_is(filter, "functions")) {
        reply_error_format(session->reply, "ERR Unsupported rdb-filter-only option: %.*s",
                           (int)quoted_part(filter, QUOTED_BYTES_MAX).length, filter.bytes);
        return false;
    }
    words_of(session)->without_keys = true;
    return true;
}

/* False: the reply says why. */
static bool take_word(struct session *session, uint32_t i) {
    struct span word = session->args[i];
    if (span_is(word, "listening-port")) {
        return listening_port(session, i + 1);
    }
    if (span_is(word, "ip-address")) {
        return ip_address(session, i + 1);
    }
    if (span_is(word, "rdb-only")) {
        return rdb_only(session, i + 1);
    }
    if (span_is(word, "rdb-filter-only")) {
        return rdb_filter(session, i + 1);
    }
    if (span_is(word, "capa")) {
        return true; /* What a replica can do that is no Tarn. */
    }
    reply_error_format(session->reply, "ERR Unrecognized REPLCONF option: %.*s", (int)word.length,
                       word.bytes);
    return false;
}

static bool is_link(const struct session *session) {
    const struct span *args = session->args;
    uint32_t count = session->args_count;
    return (count == 4 || (count == 6 && span_is(args[4], FAILOVER_WORD))) &&
           span_is(args[1], HANDSHAKE_WORD);
}

static void replconf_command(struct session *session) {
    if (is_proof(session)) {
        prove(session);
        return;
    }
    if ((session->connection->flags & CONNECTION_AUTHENTICATED) == 0 &&
        session_node(session)->password[0] != '\0') {
        reply_error(session->reply, "NOAUTH Authentication required.");
        return;
    }
    if (is_link(session)) {
        begin_link(session);
        return;
    }
    if (session->args_count % 2 == 0) {
        session_reply_syntax_error(session);
        return;
    }
    for (uint32_t i = 1; i < session->args_count; i += 2) {
        if (!take_word(session, i)) {
            return;
        }
    }
    reply_ok(session->reply);
}

const struct command replconf_commands[] = {
    {
        .name = "replconf",
        .arity = -1,
        .flags = COMMAND_ADMIN | COMMAND_NO_SCRIPT | COMMAND_LOADING | COMMAND_STALE |
                 COMMAND_ALLOW_BUSY | COMMAND_SYSTEM,
        .rules = RULE_LOGS_IN,
        .session = replconf_command,
        .group = "server",
        .since = "3.0.0",
        .complexity = "O(1)",
        .summary = "What a replica tells its primary of itself and of the link.",
        .syntax = "",
    },
    {0},
};
