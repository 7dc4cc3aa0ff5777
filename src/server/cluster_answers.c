#include "server/cluster_answers.h"

#include "base/memory.h"
#include "server/server.h"

#define PROTOCOLS 2 /* RESP2, RESP3 */

struct cluster_answers {
    struct {
        uint64_t version; /* of what it shows; 0: it is empty */
        struct reply reply;
    } kept[CLUSTER_ANSWER_KINDS][PROTOCOLS];
};

static struct cluster_answers *answers_of(struct cluster_seat *seat, uint32_t worker) {
    if (seat->answers[worker] == NULL) {
        struct cluster_answers *answers = memory_alloc_zeroed(sizeof(*answers));
        for (int kind = 0; kind < CLUSTER_ANSWER_KINDS; kind++) {
            for (int i = 0; i < PROTOCOLS; i++) {
                reply_init(&answers->kept[kind][i].reply, 2 + i);
            }
        }
        seat->answers[worker] = answers;
    }
    return seat->answers[worker];
}

void cluster_answers_free(struct cluster_seat *seat) {
    for (uint32_t worker = 0; worker < KEYSPACE_STORES_MAX; worker++) {
        struct cluster_answers *answers = seat->answers[worker];
        if (answers == NULL) {
            continue;
        }
        for (int kind = 0; kind < CLUSTER_ANSWER_KINDS; kind++) {
            for (int i = 0; i < PROTOCOLS; i++) {
                reply_free(&answers->kept[kind][i].reply);
            }
        }
        memory_free(answers);
        seat->answers[worker] = NULL;
    }
}

void cluster_answers_look(struct cluster_seat *seat, cluster_look look, void *context) {
    pthread_mutex_lock(&seat->mutex);
    struct map_view view = cluster_view(&seat->face, seat->peers);
    look(&view, context);
    pthread_mutex_unlock(&seat->mutex);
}

struct writing {
    enum cluster_answer_kind kind;
    struct reply *reply;
};

static void write_answer(const struct map_view *view, void *context) {
    const struct writing *writing = context;
    struct buffer text = BUFFER_EMPTY;
    switch (writing->kind) {
    case CLUSTER_ANSWER_NODES:
        map_view_nodes(view, &text);
        reply_verbatim(writing->reply, "txt", buffer_span(&text));
        buffer_free(&text);
        return;
    case CLUSTER_ANSWER_SLOTS:
        map_view_slots(view, writing->reply);
        return;
    default:
        map_view_shards(view, writing->reply);
        return;
    }
}

void cluster_answers_reply(struct session *session, enum cluster_answer_kind kind) {
    struct cluster_seat *seat = session_node(session)->server->seat;
    struct cluster_answers *answers = answers_of(seat, session->worker->index);
    int protocol = session->reply->protocol == 3 ? 1 : 0;
    struct reply *kept = &answers->kept[kind][protocol].reply;
    /* The version is read first: what changes meanwhile makes the answer old at once. */
    uint64_t version = atomic_load(&seat->shown_version);
    if (answers->kept[kind][protocol].version != version) {
        reply_clear(kept);
        struct writing writing = {.kind = kind, .reply = kept};
        cluster_answers_look(seat, write_answer, &writing);
        answers->kept[kind][protocol].version = version;
    }
    reply_append(session->reply, kept);
}
