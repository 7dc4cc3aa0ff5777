#include "server/replica_link.h"

#include "base/logger.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/clock.h"
#include "io/network.h"
#include "protocol/reply.h"
#include "replication/handshake.h"
#include "server/anti_entropy.h"
#include "server/node_proof.h"
#include "server/redis_replica.h"
#include "server/replica.h"
#include "worker/applying.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A line of the primary's, while it speaks the protocol of clients. */
#define LINE_BYTES_MAX ((size_t)4096)

enum link_stage { LINK_WAITING, LINK_CONNECTING, LINK_SHAKING, LINK_STREAM, LINK_REDIS };

/* What is said in the handshake, each of which is answered by a line. */
enum word {
    WORD_NONCE,
    WORD_PROOF,
    WORD_AUTH,
    WORD_PING,
    WORD_PORT,
    WORD_ADDRESS,
    WORD_CAPA,
    WORD_LINK,
    WORDS
};

struct replica_link {
    struct replicator *replicator;
    struct replica *replica;
    enum link_stage stage;
    bool wants_time;     /* there is a primary to be connected to, or a base to be taken */
    uint64_t generation; /* of the replica, when the link was begun */
    int fd;
    struct loop_watch watch;
    unsigned events; /* that it looks for */
    bool is_readable;
    bool is_writable;
    int64_t retry_at_ms;
    int64_t retry_ms;
    int64_t heard_ms; /* until the stream begins */
    enum word words[WORDS];
    size_t words_count;
    size_t words_answered;
    char nonce[HANDSHAKE_NONCE_BYTES];
    char nonce_of_primary[HANDSHAKE_NONCE_BYTES];
    struct buffer input; /* of the handshake */
    struct buffer output;
    size_t output_sent;
    struct follower *follower;
    struct redis_replica *redis;
    bool is_of_redis; /* the primary is a redis-server */
    bool was_in_log;  /* the plan has been carried out, and told */
};

struct replica_link *replica_link_new(struct replicator *replicator) {
    struct replica_link *link = memory_alloc_zeroed(sizeof(*link));
    link->replicator = replicator;
    link->replica = &replicator->server->replica;
    link->fd = -1;
    link->redis = redis_replica_new(replicator);
    link->retry_ms = REPLICA_LINK_RETRY_MS;
    return link;
}

static void drop(struct replica_link *link) {
    if (link->fd >= 0) {
        loop_watch_stop(link->replicator->loop, &link->watch);
        network_close(link->fd);
        link->fd = -1;
    }
    follower_free(link->follower);
    link->follower = NULL;
    replica_heal_end(link->replica);
    redis_replica_end(link->redis);
    link->is_of_redis = false;
    link->replica->client.id = 0;
    buffer_free(&link->input);
    buffer_free(&link->output);
    link->output_sent = 0;
    link->stage = LINK_WAITING;
}

void replica_link_free(struct replica_link *link) {
    if (link != NULL) {
        drop(link);
        redis_replica_free(link->redis);
        memory_free(link);
    }
}

/* The link ends, and begins again some time later. */
__attribute__((format(printf, 2, 3))) static void fail(struct replica_link *link,
                                                       const char *format, ...) {
    struct replica *replica = link->replica;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(replica->reason, sizeof(replica->reason), format, arguments);
    va_end(arguments);
    log_warning("%s MASTER %s:%u: %s",
                link->stage >= LINK_STREAM ? "Connection lost with" : "Cannot sync with",
                replica->host, replica->port, replica->reason);
    if (replica->state == REPLICA_CONNECTED) {
        replica->down_since_ms = link->replicator->now_ms;
    }
    replica->state = REPLICA_WAITING;
    atomic_store(&link->replicator->server->node.is_cut_off, true);
    drop(link);
    link->retry_at_ms = link->replicator->now_ms + link->retry_ms;
    link->retry_ms *= 2;
    if (link->retry_ms > REPLICA_LINK_RETRY_MS_MAX) {
        link->retry_ms = REPLICA_LINK_RETRY_MS_MAX;
    }
}

/* ---- the socket ---- */

static void is_ready(void *context, unsigned events) {
    struct replica_link *link = context;
    link->is_readable |= (events & (LOOP_READ | LOOP_FAILED)) != 0;
    link->is_writable |= (events & (LOOP_WRITE | LOOP_FAILED)) != 0;
}

/* Looks for what the link has use for now. */
static void watch(struct replica_link *link, bool wants_to_read) {
    unsigned events = 0;
    events |= wants_to_read && !link->is_readable ? (unsigned)LOOP_READ : 0U;
    events |=
        link->output.length > link->output_sent && !link->is_writable ? (unsigned)LOOP_WRITE : 0U;
    if (link->events != events) {
        link->events = events;
        loop_watch_change(link->replicator->loop, &link->watch, events);
    }
}

/* False: the link has failed. */
static bool write_out(struct replica_link *link) {
    while (link->output.length > link->output_sent && link->is_writable) {
        struct network_result result =
            network_write(link->fd, link->output.bytes + link->output_sent,
                          link->output.length - link->output_sent);
        if (result.status == NETWORK_ERROR) {
            fail(link, "%s", strerror(result.error));
            return false;
        }
        link->is_writable = result.status == NETWORK_MOVED;
        link->output_sent += result.bytes;
    }
    if (link->output.length == link->output_sent) {
        buffer_clear(&link->output);
        link->output_sent = 0;
    }
    return true;
}

/* -1: the link has failed; 0: nothing is there for now. */
static int64_t read_in(struct replica_link *link, char *bytes, size_t length) {
    struct network_result result = network_read(link->fd, bytes, length);
    switch (result.status) {
    case NETWORK_MOVED:
        atomic_fetch_add_explicit(&link->replicator->server->node.link_read_bytes, result.bytes,
                                  memory_order_relaxed);
        return (int64_t)result.bytes;
    case NETWORK_WOULD_BLOCK:
        link->is_readable = false;
        return 0;
    case NETWORK_CLOSED:
        fail(link, "the primary closed the connection");
        return -1;
    case NETWORK_ERROR:
        fail(link, "%s", strerror(result.error));
        return -1;
    }
    return -1;
}

/* ---- the handshake ---- */

static void say(struct replica_link *link, enum word word, const struct span *args, size_t count) {
    struct buffer *out = &link->output;
    buffer_format(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buffer_format(out, "$%zu\r\n", args[i].length);
        buffer_append_span(out, args[i]);
        buffer_append(out, "\r\n", 2);
    }
    link->words[link->words_count++] = word;
}

static void say_auth(struct replica_link *link, const struct replica_identity *words) {
    struct span args[3] = {span_of_string("AUTH")};
    size_t count = 1;
    if (words->user[0] != '\0') {
        args[count++] = span_of_string(words->user);
    }
    args[count++] = span_of_string(words->password);
    say(link, WORD_AUTH, args, count);
}

static void say_address(struct replica_link *link, const struct replica_identity *words) {
    char port[16];
    snprintf(port, sizeof(port), "%u", words->announced_port);
    say(link, WORD_PORT,
        (struct span[]){span_of_string("REPLCONF"), span_of_string("listening-port"),
                        span_of_string(port)},
        3);
    if (words->announced_address[0] != '\0') {
        say(link, WORD_ADDRESS,
            (struct span[]){span_of_string("REPLCONF"), span_of_string("ip-address"),
                            span_of_string(words->announced_address)},
            3);
    }
}

/* All of it at once: what comes of it is told line by line. */
static void introduce(struct replica_link *link) {
    const struct replica_identity *words = &link->replica->identity;
    char version[16];
    if (words->password[0] != '\0') {
        say_auth(link, words);
    }
    say(link, WORD_PING, (struct span[]){span_of_string("PING")}, 1);
    say_address(link, words);
    say(link, WORD_CAPA,
        (struct span[]){span_of_string("REPLCONF"), span_of_string("capa"), span_of_string("eof"),
                        span_of_string("capa"), span_of_string("psync2")},
        5);
    handshake_nonce_draw(link->nonce);
    snprintf(version, sizeof(version), "%d", MESSAGE_VERSION);
    struct history history = replication_history(&link->replicator->server->replication);
    char name[HISTORY_TEXT_BYTES];
    say(link, WORD_LINK,
        (struct span[]){span_of_string("REPLCONF"), span_of_string(HANDSHAKE_WORD),
                        span_of_string(version), span_of_string(link->nonce),
                        span_of_string(FAILOVER_WORD),
                        span_of_string(history_format(name, &history))},
        link->replica->hand_over == HAND_OVER_ASKED ? 6 : 4);
}

/* From here on it is a client in CLIENT LIST. */
static void client_begin(struct replica_link *link) {
    struct client_link *client = &link->replica->client;
    struct node *node = &link->replicator->server->node;
    *client = (struct client_link){
        .id = atomic_fetch_add(&node->next_client_id, 1) + 1,
        .is_primary = true,
        .fd = link->fd,
        .user = "(superuser)",
        .created_ms = clock_wall_ms(),
    };
    network_peer_address(link->fd, client->peer);
    network_own_address(link->fd, client->own);
}

static struct node_proof proof_of(const struct replica_link *link) {
    return (struct node_proof){
        .primary = link->replica->primary,
        .of_replica = span_of_string(link->nonce),
        .of_primary = span_of_string(link->nonce_of_primary),
    };
}

static void shake(struct replica_link *link) {
    const struct replica *replica = link->replica;
    link->stage = LINK_SHAKING;
    link->words_count = 0;
    link->words_answered = 0;
    if (raft_id_is_none(&replica->primary) || replica->identity.cluster_secret[0] == '\0') {
        introduce(link);
        return;
    }
    handshake_nonce_draw(link->nonce);
    say(link, WORD_NONCE,
        (struct span[]){span_of_string("REPLCONF"), span_of_string(NODE_NONCE_WORD),
                        span_of_string(link->nonce)},
        3);
}

/* The primary has drawn its nonce. */
static bool prove(struct replica_link *link, struct span nonce) {
    char digits[NODE_PROOF_DIGITS + 1];
    if (!handshake_nonce_is_valid(nonce)) {
        fail(link, "it knows no cluster-secret: %.*s", (int)nonce.length, nonce.bytes);
        return false;
    }
    memcpy(link->nonce_of_primary, nonce.bytes, nonce.length);
    struct node_proof proof = proof_of(link);
    struct span secret = span_of_string(link->replica->identity.cluster_secret);
    node_proof_make(&proof, NODE_PROOF_OF_REPLICA, secret, digits);
    say(link, WORD_PROOF,
        (struct span[]){span_of_string("REPLCONF"), span_of_string(NODE_PROOF_WORD),
                        span_of_string(digits)},
        3);
    return true;
}

/* The primary has proved what it is, if it has. */
static bool check_proof(struct replica_link *link, struct span digits) {
    struct node_proof proof = proof_of(link);
    struct span secret = span_of_string(link->replica->identity.cluster_secret);
    if (!node_proof_holds(&proof, NODE_PROOF_OF_PRIMARY, secret, digits)) {
        fail(link, "it is not the node that was looked for, or has another cluster-secret: %.*s",
             (int)digits.length, digits.bytes);
        return false;
    }
    introduce(link);
    return true;
}

static void stream_begin(struct replica_link *link, struct span nonce) {
    struct server *server = link->replicator->server;
    struct follower_plan plan = {
        .target = replica_target,
        .slots = link->replica->slots,
        .seed = handshake_seed(span_of_string(link->nonce), nonce),
        .now_ms = link->replicator->now_ms,
    };
    plan.target.context = link->replica;
    replication_name(&server->replication, plan.node_id);
    link->follower = follower_new(&plan);
    link->was_in_log = false;
    client_begin(link);
    link->stage = LINK_STREAM;
    link->replica->state = REPLICA_SYNCING;
}

/* What a redis-server says to HANDSHAKE_WORD, whose arguments make no pairs. */
static bool is_unknown_word(struct span text) {
    return span_is(text, "ERR syntax error") ||
           span_is(text, "ERR Unrecognized REPLCONF option: " HANDSHAKE_WORD);
}

/* An answer of the primary's. False: the link has failed. */
static bool answered(struct replica_link *link, struct span line) {
    bool is_error = line.length > 0 && line.bytes[0] == '-';
    enum word word = link->words[link->words_answered++];
    struct span text = span_of(line.bytes + 1, line.length == 0 ? 0 : line.length - 1);
    struct span nonce;
    switch (word) {
    case WORD_NONCE:
        return prove(link, text);
    case WORD_PROOF:
        return check_proof(link, text);
    case WORD_AUTH:
    case WORD_PING:
        if (is_error) {
            fail(link, "%s is answered by: %.*s", word == WORD_AUTH ? "AUTH" : "PING",
                 (int)text.length, text.bytes);
        } else if (word == WORD_PING) {
            log_notice("Master replied to PING, replication can continue...");
        }
        return !is_error;
    case WORD_LINK:
        if (is_error && link->replica->hand_over == HAND_OVER_ASKED) {
            link->replica->hand_over = HAND_OVER_REFUSED;
            fail(link, "it does not take over: %.*s", (int)text.length, text.bytes);
            return false;
        }
        if (is_error && is_unknown_word(text)) {
            link->is_of_redis = true;
            return true;
        }
        if (is_error || !handshake_read_answer(text, &nonce)) {
            fail(link, "it speaks no protocol that is known here: %.*s", (int)text.length,
                 text.bytes);
            return false;
        }
        if (!redis_replica_leave(link->redis)) {
            return false;
        }
        stream_begin(link, nonce);
        return true;
    default:
        /* Of no consequence: who we are is for people to read. */
        return true;
    }
}

/* False: the link has failed. What stands behind the last answer stays in the input. */
static bool take_lines(struct replica_link *link) {
    while (link->stage == LINK_SHAKING && !link->is_of_redis && link->input.length > 0) {
        const char *end = memchr(link->input.bytes, '\n', link->input.length);
        if (end == NULL) {
            if (link->input.length > LINE_BYTES_MAX) {
                fail(link, "it answers with a line that does not end");
                return false;
            }
            return true;
        }
        size_t length = (size_t)(end - link->input.bytes);
        bool has_return = length > 0 && end[-1] == '\r';
        if (!answered(link, span_of(link->input.bytes, length - has_return))) {
            return false;
        }
        buffer_consume(&link->input, length + 1);
    }
    return true;
}

static void shake_step(struct replica_link *link) {
    char bytes[LINE_BYTES_MAX];
    if (!write_out(link)) {
        return;
    }
    while (link->stage == LINK_SHAKING && !link->is_of_redis && link->is_readable) {
        int64_t got = read_in(link, bytes, sizeof(bytes));
        if (got < 0) {
            return;
        }
        buffer_append(&link->input, bytes, (size_t)got);
        if (!take_lines(link) || !write_out(link)) {
            return;
        }
    }
    watch(link, true);
}

/* ---- the stream ---- */

/* The log may be full, or be changed: what comes then waits in the socket. */
static bool may_read(const struct replica_link *link) {
    const struct node *node = &link->replicator->server->node;
    return follower_stage(link->follower) != FOLLOWER_CHANGE && applying_has_room(node->applying) &&
           (node->log == NULL || !oplog_is_full(node->log)) && !node_log_is_at_max(node);
}

/* False: the link has failed. */
static bool receive(struct replica_link *link, struct span bytes) {
    if (follower_receive(link->follower, bytes, link->replicator->now_ms)) {
        return true;
    }
    fail(link, "%s", follower_reason(link->follower));
    return false;
}

static bool receive_some(struct replica_link *link) {
    char bytes[REPLICA_LINK_READ_BYTES];
    if (link->input.length > 0) {
        /* It came behind the handshake. */
        bool is_up = receive(link, buffer_span(&link->input));
        buffer_free(&link->input);
        if (!is_up) {
            return false;
        }
    }
    for (size_t read = 0; link->is_readable && read < REPLICA_LINK_STEP_BYTES && may_read(link);) {
        int64_t got = read_in(link, bytes, sizeof(bytes));
        if (got < 0 || (got > 0 && !receive(link, span_of(bytes, (size_t)got)))) {
            return false;
        }
        read += (size_t)got;
    }
    applying_flush(link->replicator->server->node.applying);
    return true;
}

/* The log has been changed, or could not be. False: the link has failed. */
static bool tell_change(struct replica_link *link) {
    struct replica *replica = link->replica;
    if (follower_stage(link->follower) != FOLLOWER_CHANGE || replica->is_changing) {
        return true;
    }
    const struct saving_change *change = &replica->change;
    if (follower_changed(link->follower, change->is_done, &change->touched,
                         buffer_span(&change->report))) {
        return true;
    }
    fail(link, "%s", follower_reason(link->follower));
    return false;
}

/* What did not fit the data is asked for anew, on another link. */
static bool check_applied(struct replica_link *link) {
    struct buffer report = BUFFER_EMPTY;
    bool has_failed = applying_take_failure(link->replicator->server->node.applying,
                                            &link->replica->slots->missing, &report);
    if (has_failed) {
        fail(link, "%.*s", (int)report.length, report.bytes);
    }
    buffer_free(&report);
    return !has_failed;
}

static void note_stage(struct replica_link *link) {
    struct replica *replica = link->replica;
    enum follower_stage stage = follower_stage(link->follower);
    if (!link->was_in_log && stage == FOLLOWER_IMAGES) {
        link->was_in_log = true;
        if (replica->hand_over == HAND_OVER_ASKED) {
            replica->hand_over = HAND_OVER_DONE;
        }
        link->retry_ms = REPLICA_LINK_RETRY_MS;
        if (replica->figures.mode == PLAN_GO_ON || replica->figures.mode == PLAN_CUT) {
            replica->partial_syncs++;
            log_notice("MASTER <-> REPLICA sync: the log goes on where it ended");
        }
    }
    /* Who reads of a link that is up may ask for data at once. */
    struct node *node = &link->replicator->server->node;
    if (stage == FOLLOWER_LOG && replica->state == REPLICA_SYNCING &&
        !atomic_load(&node->is_incomplete)) {
        replica->state = REPLICA_CONNECTED;
        atomic_store(&node->is_cut_off, false);
    }
}

static void stream_step(struct replica_link *link, uint64_t applied) {
    struct replica *replica = link->replica;
    struct follower_progress progress;
    if (!check_applied(link) || !tell_change(link) || !receive_some(link)) {
        return;
    }
    follower_figures_read(link->follower, &replica->figures);
    note_stage(link);
    replica_progress(replica, applied, &progress);
    follower_fill(link->follower, &link->output, &progress, link->replicator->now_ms);
    if (!write_out(link)) {
        return;
    }
    link->heard_ms = replica->figures.heard_ms;
    if (follower_stage(link->follower) == FOLLOWER_CHANGE) {
        link->heard_ms = link->replicator->now_ms; /* It is not listened to. */
    }
    watch(link, may_read(link));
    /* What is there already brings no event. */
    if (link->is_readable && may_read(link)) {
        loop_wake(link->replicator->loop);
    }
}

/* ---- the stream of a redis-server ---- */

/* Whom to follow may have changed while the workers came to stand still: then the link is dropped
 * with the next step. */
static bool is_outdated(const struct replica_link *link) {
    return link->generation != link->replica->generation;
}

static void redis_fail(struct replica_link *link) {
    if (!is_outdated(link)) {
        fail(link, "%s", redis_replica_reason(link->redis));
    }
}

/* False: the link has failed. */
static bool redis_receive_some(struct replica_link *link) {
    char bytes[REDIS_REPLICA_READ_BYTES];
    if (link->input.length > 0) {
        /* It came behind the handshake. */
        bool is_up = redis_replica_receive(link->redis, buffer_span(&link->input));
        buffer_free(&link->input);
        if (!is_up) {
            redis_fail(link);
            return false;
        }
    }
    for (size_t read = 0; link->is_readable && read < REPLICA_LINK_STEP_BYTES &&
                          redis_replica_may_read(link->redis);) {
        int64_t got = read_in(link, bytes, sizeof(bytes));
        if (got < 0) {
            return false;
        }
        if (got > 0 && !redis_replica_receive(link->redis, span_of(bytes, (size_t)got))) {
            redis_fail(link);
            return false;
        }
        read += (size_t)got;
    }
    return true;
}

static void redis_note_stage(struct replica_link *link) {
    struct replica *replica = link->replica;
    if (replica->state == REPLICA_SYNCING && redis_replica_is_in_stream(link->redis)) {
        link->retry_ms = REPLICA_LINK_RETRY_MS;
        replica->state = REPLICA_CONNECTED;
        atomic_store(&link->replicator->server->node.is_cut_off, false);
    }
}

static void redis_step(struct replica_link *link) {
    bool has_more = false;
    if (!redis_receive_some(link)) {
        return;
    }
    if (!redis_replica_step(link->redis, &has_more)) {
        redis_fail(link);
        return;
    }
    if (is_outdated(link)) {
        return;
    }
    redis_note_stage(link);
    redis_replica_fill(link->redis, &link->output);
    if (!write_out(link)) {
        return;
    }
    link->heard_ms = link->replica->figures.heard_ms;
    bool may_read = redis_replica_may_read(link->redis);
    if (!may_read) {
        link->heard_ms = link->replicator->now_ms; /* It is not listened to. */
    }
    watch(link, may_read);
    if (has_more || (link->is_readable && may_read)) {
        loop_wake(link->replicator->loop);
    }
}

static void redis_begin(struct replica_link *link) {
    link->is_of_redis = false;
    log_notice("The primary is a redis-server");
    if (redis_replica_begin(link->redis)) {
        client_begin(link);
        link->stage = LINK_REDIS;
        redis_step(link);
    }
}

/* ---- from one link to the next ---- */

/* A name may take long to be resolved: whoever asks for the replica's state does not wait for it.
 * -1: errno says why. */
static int connect_to_host(struct replica *replica) {
    char *host = memory_copy_string(replica->host);
    char *source = memory_copy_string(replica->identity.source_address);
    uint16_t port = replica->port;
    pthread_mutex_unlock(&replica->mutex);
    int fd = network_connect_start(&(struct network_connect_options){
        .host = host,
        .port = port,
        .source_host = source,
    });
    int error = errno;
    memory_free(host);
    memory_free(source);
    pthread_mutex_lock(&replica->mutex);
    errno = error;
    return fd;
}

static void connect_now(struct replica_link *link) {
    struct replica *replica = link->replica;
    log_notice("Connecting to MASTER %s:%u", replica->host, replica->port);
    link->fd = connect_to_host(replica);
    if (link->generation != replica->generation) {
        /* Its next step begins with whom to follow now. */
        if (link->fd >= 0) {
            network_close(link->fd);
            link->fd = -1;
        }
        return;
    }
    if (link->fd < 0) {
        fail(link, "%s", strerror(errno));
        return;
    }
    network_set_no_delay(link->fd);
    link->stage = LINK_CONNECTING;
    link->heard_ms = link->replicator->now_ms;
    link->is_readable = false;
    link->is_writable = false;
    link->events = LOOP_WRITE;
    loop_watch_start(link->replicator->loop, &link->watch, link->fd, LOOP_WRITE, is_ready, link);
    replica->state = REPLICA_CONNECTING;
    log_notice("MASTER <-> REPLICA sync started");
}

static void connect_step(struct replica_link *link) {
    if (!link->is_writable) {
        return;
    }
    int error = network_connect_result(link->fd);
    if (error == EINPROGRESS) {
        link->is_writable = false;
    } else if (error != 0) {
        fail(link, "%s", strerror(error));
    } else {
        log_notice("Non blocking connect for SYNC fired the event.");
        shake(link);
        shake_step(link);
    }
}

static void check_silence(struct replica_link *link) {
    int64_t timeout_ms = replication_settings(&link->replicator->server->replication).timeout_ms;
    if (link->stage != LINK_WAITING && link->replicator->now_ms - link->heard_ms > timeout_ms) {
        fail(link, "it has been silent for longer than repl-timeout");
    }
}

/* Another primary is to be followed, or none. */
static void check_generation(struct replica_link *link) {
    struct replica *replica = link->replica;
    if (link->generation == replica->generation) {
        return;
    }
    drop(link);
    link->generation = replica->generation;
    link->retry_ms = REPLICA_LINK_RETRY_MS;
    link->retry_at_ms = link->replicator->now_ms;
}

/* With the mutex. */
static void step(struct replica_link *link) {
    struct replica *replica = link->replica;
    struct applying *applying = link->replicator->server->node.applying;
    check_generation(link);
    replica->link_generation = link->generation;
    link->wants_time = replica->state != REPLICA_OFF || replica->needs_base;
    if (replica->state == REPLICA_OFF) {
        /* What was copied has a base to come, whatever the node is now. */
        replica_settle(replica, 0, link->replicator->now_ms);
        return;
    }
    /* What a link that broke had brought counts, too. */
    applying_flush(applying);
    uint64_t applied = applying_reap(applying);
    switch (link->stage) {
    case LINK_WAITING:
        /* What a change of the log brings to an end is no business of a new link. */
        if (replica->host[0] != '\0' && link->replicator->now_ms >= link->retry_at_ms &&
            applying_is_idle(applying) && !replica->is_changing &&
            atomic_load(&link->replicator->server->saving) != NULL) {
            applying_take_failure(applying, &replica->slots->missing, &link->input);
            buffer_free(&link->input);
            connect_now(link);
        }
        break;
    case LINK_CONNECTING:
        connect_step(link);
        break;
    case LINK_SHAKING:
        shake_step(link);
        if (link->stage == LINK_SHAKING && link->is_of_redis) {
            redis_begin(link);
        }
        break;
    case LINK_REDIS:
        redis_step(link);
        break;
    case LINK_STREAM:
        stream_step(link, applied);
        break;
    }
    check_silence(link);
    replica_settle(replica, applying_reap(applying), link->replicator->now_ms);
}

bool replica_link_is_on(const struct replica_link *link) {
    return link->stage != LINK_WAITING;
}

bool replica_link_wants_time(const struct replica_link *link) {
    return link->wants_time;
}

void replica_link_step(struct replica_link *link) {
    struct replica *replica = link->replica;
    pthread_mutex_lock(&replica->mutex);
    step(link);
    bool is_in_stream = link->stage == LINK_STREAM;
    pthread_mutex_unlock(&replica->mutex);
    if (is_in_stream) {
        /* Before anything of the stream is read; whoever holds the workers still for it may want
         * the mutex. */
        anti_entropy_attach(link->replicator->anti_entropy);
    }
}

void replica_link_digest(struct replica_link *link, const struct message_digest *digest) {
    struct replica *replica = link->replica;
    pthread_mutex_lock(&replica->mutex);
    if (link->stage == LINK_STREAM && link->generation == replica->generation) {
        follower_digest(link->follower, digest);
    }
    pthread_mutex_unlock(&replica->mutex);
}

void replica_link_kill(struct replica_link *link, uint64_t client_id) {
    struct replica *replica = link->replica;
    pthread_mutex_lock(&replica->mutex);
    if (replica->client.id == client_id && link->generation == replica->generation) {
        fail(link, "%s", "a client killed it");
    }
    pthread_mutex_unlock(&replica->mutex);
}
