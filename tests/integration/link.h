/* A replica in the test's own process: the handshake and the follower (replication/follower.h) over
 * a store of its own, with a log of which only the lineage and the end are kept.
 *
 *     struct replica *replica = replica_new(1);
 *     replica_connect(replica, &server);
 *     replica_catch_up(replica, client);     until its data is the primary's
 *     replica_free(replica);
 */
#ifndef TARN_TESTS_INTEGRATION_LINK_H
#define TARN_TESTS_INTEGRATION_LINK_H

#include "base/memory.h"
#include "io/clock.h"
#include "oplog/segment.h"
#include "replication/applier.h"
#include "replication/follower.h"
#include "replication/handshake.h"
#include "store/debug_digest.h"
#include "tests/integration/server.h"

#define REPLICA_DATABASES 16

struct replica {
    struct store_options options;
    struct keyspace *keyspace;
    struct applier *applier;
    struct follower_log log;
    struct replica_slots slots;
    struct follower *follower; /* NULL: not connected */
    int fd;
    uint64_t turns;
    uint64_t cuts;
    uint64_t resets;
    uint64_t completes;
    unsigned char node_id[MESSAGE_NODE_ID_BYTES];
};

/* ---- what a follower asks ---- */

static inline void replica_target_log(void *context, struct follower_log *log) {
    *log = ((struct replica *)context)->log;
}

/* Which slots the lost frames touched is not known here. */
static inline enum follower_change replica_target_cut(void *context,
                                                      const struct message_plan *plan,
                                                      struct slot_set *touched,
                                                      struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    slot_set_fill(touched);
    lineage_cut(&replica->log.lineage, &plan->history);
    replica->log.end = plan->position;
    replica->cuts++;
    return FOLLOWER_CHANGE_DONE;
}

static inline enum follower_change
replica_target_reset(void *context, const struct message_plan *plan, struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    applier_forget_images(replica->applier);
    replica->log.lineage.count = 0;
    lineage_add(&replica->log.lineage, &plan->history, plan->position);
    replica->log.end = plan->position;
    replica->resets++;
    return FOLLOWER_CHANGE_DONE;
}

static inline void replica_target_clear(void *context, const struct slot_set *slots) {
    applier_clear(((struct replica *)context)->applier, slots);
}

static inline bool replica_target_image(void *context, struct span chunk, struct buffer *report) {
    return applier_image(((struct replica *)context)->applier, chunk, report);
}

static inline bool replica_target_slot(void *context, const struct message_slot *slot,
                                       struct buffer *report) {
    (void)report;
    applier_slot(((struct replica *)context)->applier, slot->slot, slot->position);
    return true;
}

static inline bool replica_target_complete(void *context, struct buffer *report) {
    (void)report;
    ((struct replica *)context)->completes++;
    return true;
}

static inline bool replica_target_turn(void *context, const struct message_turn *turn,
                                       struct buffer *report) {
    (void)report;
    struct replica *replica = context;
    struct history current = lineage_current(&replica->log.lineage);
    ck_assert(history_equal(&current, &turn->parent));
    lineage_add(&replica->log.lineage, &turn->history, turn->position);
    replica->turns++;
    return true;
}

static inline bool replica_target_frame(void *context, const struct message_frame *frame,
                                        struct buffer *report) {
    struct replica *replica = context;
    ck_assert_uint_eq(frame->position, replica->log.end);
    replica->log.end = frame->position + OPLOG_FRAME_HEADER_BYTES + frame->length;
    return applier_frame(replica->applier, frame->position, frame->part, report);
}

/* ---- lifecycle ---- */

static inline struct replica *replica_new(unsigned char name) {
    static const uint64_t seeds[2] = {1, 2};
    struct replica *replica = memory_alloc_zeroed(sizeof(*replica));
    store_options_init(&replica->options);
    replica->keyspace = keyspace_new(&replica->options, 1, REPLICA_DATABASES, seeds);
    replica->applier = applier_new(replica->keyspace->stores[0]);
    replica->fd = -1;
    replica->node_id[0] = name;
    return replica;
}

static inline void replica_disconnect(struct replica *replica) {
    if (replica->follower != NULL) {
        follower_free(replica->follower);
        replica->follower = NULL;
        close(replica->fd);
        replica->fd = -1;
    }
}

static inline void replica_free(struct replica *replica) {
    replica_disconnect(replica);
    applier_free(replica->applier);
    keyspace_free(replica->keyspace);
    store_options_clear(&replica->options);
    memory_free(replica);
}

static inline int64_t replica_now_ms(void) {
    return clock_monotonic_us() / 1000;
}

static inline void replica_follow(struct replica *replica, int fd, uint64_t seed) {
    replica->fd = fd;
    struct follower_plan plan = {
        .target = {.context = replica,
                   .log = replica_target_log,
                   .cut = replica_target_cut,
                   .reset = replica_target_reset,
                   .clear = replica_target_clear,
                   .image = replica_target_image,
                   .slot = replica_target_slot,
                   .complete = replica_target_complete,
                   .turn = replica_target_turn,
                   .frame = replica_target_frame},
        .slots = &replica->slots,
        .seed = seed,
        .now_ms = replica_now_ms(),
    };
    memcpy(plan.node_id, replica->node_id, sizeof(plan.node_id));
    replica->follower = follower_new(&plan);
}

/* Says the handshake; from here on it is a link. */
static inline void replica_connect(struct replica *replica, const struct server *server) {
    char nonce[HANDSHAKE_NONCE_BYTES];
    handshake_nonce_draw(nonce);
    redisContext *client = server_connect(server);
    char words[128];
    snprintf(words, sizeof(words), "REPLCONF listening-port %d", 7000 + replica->node_id[0]);
    ck_assert_str_eq(client_ask(client, words).bytes, "+OK");
    ck_assert_str_eq(client_ask(client, "REPLCONF capa eof capa psync2").bytes, "+OK");
    snprintf(words, sizeof(words), "REPLCONF " HANDSHAKE_WORD " %d %s", MESSAGE_VERSION, nonce);
    struct reply_text answer = client_ask(client, words);
    struct span of_primary;
    ck_assert_int_eq(answer.bytes[0], '+');
    ck_assert_msg(handshake_read_answer(span_of_string(answer.bytes + 1), &of_primary), "%s",
                  answer.bytes);
    uint64_t seed = handshake_seed(span_of_string(nonce), of_primary);
    int fd = dup(client->fd);
    redisFree(client);
    ck_assert_int_ge(fd, 0);
    replica_follow(replica, fd, seed);
}

/* ---- the link ---- */

static inline void replica_say(struct replica *replica) {
    struct buffer out = BUFFER_EMPTY;
    struct follower_progress progress = {
        .written = replica->log.end, .synced = replica->log.end, .applied = replica->log.end};
    follower_fill(replica->follower, &out, &progress, replica_now_ms());
    for (size_t sent = 0; sent < out.length;) {
        ssize_t now = send(replica->fd, out.bytes + sent, out.length - sent, MSG_NOSIGNAL);
        if (now < 0 && errno == EAGAIN) {
            server_sleep_ms(1);
            continue;
        }
        if (now < 0) {
            break; /* The next look at the socket tells. */
        }
        sent += (size_t)now;
    }
    buffer_free(&out);
}

/* Reads what comes within so long, once, at most so many bytes. False: the primary has ended the
 * link. */
static inline bool replica_listen(struct replica *replica, int wait_ms, size_t bytes_max) {
    static char bytes[256 * 1024];
    replica_say(replica);
    struct pollfd poll_fd = {.fd = replica->fd, .events = POLLIN};
    if (poll(&poll_fd, 1, wait_ms) <= 0) {
        return true;
    }
    ssize_t got =
        recv(replica->fd, bytes, bytes_max < sizeof(bytes) ? bytes_max : sizeof(bytes), 0);
    if (got < 0 && errno == EAGAIN) {
        return true;
    }
    if (got <= 0) {
        return false;
    }
    bool goes_on =
        follower_receive(replica->follower, span_of(bytes, (size_t)got), replica_now_ms());
    ck_assert_msg(goes_on, "%s", follower_reason(replica->follower));
    replica_say(replica);
    return true;
}

static inline struct follower_figures replica_figures(const struct replica *replica) {
    struct follower_figures figures;
    follower_figures_read(replica->follower, &figures);
    return figures;
}

static inline void replica_listen_until(struct replica *replica, enum follower_stage stage) {
    int64_t until_ms = replica_now_ms() + SERVER_PATIENCE_SECONDS * 1000;
    while (follower_stage(replica->follower) < stage) {
        ck_assert_msg(replica_listen(replica, 50, SIZE_MAX), "the primary ended the link");
        ck_assert_int_lt(replica_now_ms(), until_ms);
    }
}

static inline void replica_digest(const struct replica *replica, char text[2 * SHA1_BYTES + 1]) {
    unsigned char digest[SHA1_BYTES];
    debug_digest_keyspace(replica->keyspace, digest);
    for (size_t i = 0; i < SHA1_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
}

/* Until it is in the log, and its data is the primary's, which nobody changes any more; what a
 * writer that has ended had sent may be still to come. */
static inline void replica_catch_up(struct replica *replica, redisContext *client) {
    int64_t until_ms = replica_now_ms() + SERVER_PATIENCE_SECONDS * 1000;
    replica_listen_until(replica, FOLLOWER_LOG);
    for (;;) {
        struct reply_text wanted = client_ask(client, "DEBUG DIGEST");
        do {
            ck_assert_msg(replica_listen(replica, 50, SIZE_MAX), "the primary ended the link");
        } while (replica_figures(replica).primary_end != replica->log.end &&
                 replica_now_ms() < until_ms);
        char found[2 * SHA1_BYTES + 1];
        replica_digest(replica, found);
        if (strcmp(wanted.bytes + 1, found) == 0) {
            return;
        }
        ck_assert_msg(replica_now_ms() < until_ms, "the primary has %s, the replica %s",
                      wanted.bytes, found);
    }
}

/* Until the primary has ended the link. */
static inline void replica_expect_end(struct replica *replica) {
    int64_t until_ms = replica_now_ms() + SERVER_PATIENCE_SECONDS * 1000;
    while (replica_listen(replica, 50, SIZE_MAX)) {
        ck_assert_int_lt(replica_now_ms(), until_ms);
    }
    replica_disconnect(replica);
}

#endif
