#include "server/cluster.h"

#include "base/logger.h"
#include "base/memory.h"
#include "server/server.h"
#include "worker/session.h"
#include "worker/transactions.h"

/* One command of a question. */
struct step {
    cluster_planner planner;
    struct span *args; /* one allocation with the bytes behind */
    uint32_t args_count;
    struct buffer error;  /* empty: it was done */
    struct buffer status; /* with its zero; empty: OK */
};

struct cluster_question {
    struct list link;
    uint64_t ticket;
    struct worker *worker; /* to be woken by the answer */
    struct visit visit;    /* under which it is planned */
    bool is_begun;
    bool is_answered;
    int64_t answered_ms;
    struct cluster_wish wish;
    struct buffer entry;
    uint32_t fetched; /* steps whose outcome EXEC has told */
    uint32_t count;
    struct step steps[];
};

/* ---- asking, on a worker ---- */

static struct span *args_copy(const struct span *args, uint32_t count) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += args[i].length;
    }
    struct span *copy = memory_alloc(count * sizeof(*copy) + bytes);
    char *place = (char *)(copy + count);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(place, args[i].bytes, args[i].length);
        copy[i] = span_of(place, args[i].length);
        place += args[i].length;
    }
    return copy;
}

static struct cluster_question *question_new(uint32_t steps_max) {
    size_t size = sizeof(struct cluster_question) + steps_max * sizeof(struct step);
    struct cluster_question *question = memory_alloc_zeroed(size);
    list_init(&question->link);
    return question;
}

static void question_add(struct cluster_question *question, cluster_planner planner,
                         const struct span *args, uint32_t args_count) {
    struct step *step = &question->steps[question->count++];
    step->planner = planner;
    step->args = args_copy(args, args_count);
    step->args_count = args_count;
}

static void question_free(struct cluster_question *question) {
    for (uint32_t i = 0; i < question->count; i++) {
        memory_free(question->steps[i].args);
        buffer_free(&question->steps[i].error);
        buffer_free(&question->steps[i].status);
    }
    buffer_free(&question->entry);
    memory_free(question);
}

static void question_ask(struct cluster_seat *seat, struct cluster_question *question,
                         struct worker *worker, struct connection *connection) {
    question->worker = worker;
    pthread_mutex_lock(&seat->mutex);
    question->ticket = ++seat->tickets;
    connection->ticket = question->ticket;
    list_push_back(&seat->questions, &question->link);
    pthread_mutex_unlock(&seat->mutex);
    loop_wake(seat->loop);
}

/* With the mutex. NULL: it was answered so long ago that the answer was dropped. */
static struct cluster_question *find(struct cluster_seat *seat, uint64_t ticket) {
    LIST_FOR_EACH(link, &seat->questions) {
        struct cluster_question *question = LIST_ENTRY(link, struct cluster_question, link);
        if (question->ticket == ticket) {
            return question;
        }
    }
    return NULL;
}

/* ---- being answered, on a worker ---- */

static void step_reply(const struct step *step, struct reply *reply) {
    if (step->error.length > 0) {
        reply_error_format(reply, "%.*s", (int)step->error.length, step->error.bytes);
    } else if (step->status.length > 0) {
        reply_status(reply, step->status.bytes);
    } else {
        reply_ok(reply);
    }
}

/* The next step's outcome. With the last one the question goes. */
static void reply_next(struct cluster_seat *seat, struct session *session) {
    struct connection *connection = session->connection;
    pthread_mutex_lock(&seat->mutex);
    struct cluster_question *question = find(seat, connection->ticket);
    if (question == NULL) {
        reply_error(session->reply, "ERR The answer came, and was not fetched in time");
    } else if (!question->is_answered) {
        ASSERT((connection->flags & CONNECTION_IN_EXEC) == 0);
        session->waits = true;
    } else {
        step_reply(&question->steps[question->fetched++], session->reply);
        if (question->fetched == question->count) {
            list_remove(&question->link);
            question_free(question);
        }
    }
    pthread_mutex_unlock(&seat->mutex);
}

void cluster_run(struct session *session, cluster_planner planner) {
    struct cluster_seat *seat = session_node(session)->server->seat;
    struct connection *connection = session->connection;
    if (connection->ticket == 0) {
        struct cluster_question *question = question_new(1);
        question_add(question, planner, session->args, session->args_count);
        question_ask(seat, question, session->worker, connection);
        session->waits = true;
        return;
    }
    reply_next(seat, session);
}

/* EXEC asks for all that its commands want at once, before it runs them. */
bool cluster_queue_is_ready(struct worker *worker, struct connection *connection) {
    struct cluster_seat *seat = worker->node->server->seat;
    const struct transaction *transaction = connection->transaction;
    if (connection->ticket == 0) {
        struct cluster_question *question = question_new(transaction->commands_count);
        for (uint32_t i = 0; i < transaction->commands_count; i++) {
            const struct queued_command *queued = &transaction->commands[i];
            cluster_planner planner =
                cluster_planner_of(queued->command->command, queued->args_count);
            if (planner != NULL) {
                question_add(question, planner, queued->args, queued->args_count);
            }
        }
        question_ask(seat, question, worker, connection);
        return false;
    }
    pthread_mutex_lock(&seat->mutex);
    const struct cluster_question *question = find(seat, connection->ticket);
    bool is_ready = question == NULL || question->is_answered;
    pthread_mutex_unlock(&seat->mutex);
    return is_ready;
}

/* ---- the thread ---- */

/* The step's changes, on the map that the steps before it left. */
static void step_apply(struct step *step, struct map **map, struct buffer *entry, size_t from) {
    struct span changes = span_of(entry->bytes + from, entry->length - from);
    struct map *next = map_change_apply(*map, (*map)->index, changes, &step->error);
    if (next == NULL) {
        entry->length = from;
        return;
    }
    map_return(*map);
    *map = next;
}

static void planning_run(void *context) {
    struct cluster_seat *seat = context;
    struct cluster_question *question = seat->current;
    const struct cluster *face = &seat->face;
    struct map *map = map_borrow(face->map);
    for (uint32_t i = 0; i < question->count; i++) {
        struct step *step = &question->steps[i];
        struct cluster_plan plan = {
            .server = seat->server,
            .map = map,
            .myself = face->myself,
            .wish = &question->wish,
            .entry = &question->entry,
            .error = &step->error,
            .status = &step->status,
        };
        size_t from = question->entry.length;
        step->planner(&plan, step->args, step->args_count);
        if (question->count > 1 && question->wish.kind != CLUSTER_WISH_NOTHING) {
            question->wish.kind = CLUSTER_WISH_NOTHING;
            buffer_append_string(&step->error, "ERR Not in a transaction with other changes of the "
                                               "cluster");
        }
        if (step->error.length > 0) {
            question->entry.length = from;
        } else if (question->entry.length > from) {
            step_apply(step, &map, &question->entry, from);
        }
    }
    map_return(map);
    cluster_post(seat, &seat->planned);
}

static void answer(struct cluster_seat *seat) {
    struct cluster_question *question = seat->current;
    pthread_mutex_lock(&seat->mutex);
    for (uint32_t i = 0; seat->has_error && i < question->count; i++) {
        struct step *step = &question->steps[i];
        if (step->error.length == 0) {
            buffer_append_span(&step->error, buffer_span(&seat->error));
        }
    }
    question->is_answered = true;
    question->answered_ms = seat->now_ms;
    struct worker *worker = question->worker;
    pthread_mutex_unlock(&seat->mutex);
    seat->current = NULL;
    seat->has_answer = false;
    loop_wake(worker->loop);
    loop_wake(seat->loop); /* For the next one. */
}

void cluster_published(struct cluster_seat *seat) {
    if (seat->has_answer && !seat->publication.is_under_way) {
        answer(seat);
    }
}

void cluster_answer(struct cluster_seat *seat, uint64_t ticket, const char *error) {
    if (ticket == CLUSTER_LEAVE_TICKET) {
        log_notice("Left to others what this node does in the cluster: %s",
                   error == NULL ? "done" : error);
        atomic_store(&seat->is_leaving, false);
    }
    if (seat->current == NULL || seat->current->ticket != ticket) {
        return;
    }
    seat->has_answer = true;
    seat->has_error = error != NULL;
    buffer_clear(&seat->error);
    buffer_append_string(&seat->error, error == NULL ? "" : error);
    cluster_published(seat);
}

/* It is planned: on to the part. */
static void planned(struct cluster_seat *seat, struct cluster_post *post) {
    const struct cluster_part *part = &seat->part;
    const struct cluster_question *question = seat->current;
    uint64_t ticket = question->ticket;
    (void)post;
    switch (question->wish.kind) {
    case CLUSTER_WISH_MEET:
        part->meet(part->context, &question->wish, ticket);
        return;
    case CLUSTER_WISH_FAILOVER:
        part->failover(part->context, question->wish.failover, ticket);
        return;
    case CLUSTER_WISH_RESET:
        part->reset(part->context, question->wish.is_hard, ticket);
        return;
    case CLUSTER_WISH_OVERRIDE:
        part->override(part->context, ticket);
        return;
    case CLUSTER_WISH_NOTHING:
        break;
    }
    if (question->entry.length == 0) {
        cluster_answer(seat, ticket, NULL);
    } else {
        part->propose(part->context, buffer_span(&question->entry), ticket);
    }
}

static void begin(struct cluster_seat *seat) {
    struct visit *visit = &seat->current->visit;
    *visit = (struct visit){.run = planning_run, .context = seat};
    seat->planned.run = planned;
    stop_post(&seat->server->node, visit);
}

/* With the mutex: drops what nobody has fetched, answers the first question that waits, or NULL. */
static struct cluster_question *next_question(struct cluster_seat *seat) {
    for (struct list *link = seat->questions.next; link != &seat->questions;) {
        struct cluster_question *question = LIST_ENTRY(link, struct cluster_question, link);
        link = link->next;
        if (!question->is_begun) {
            question->is_begun = true;
            return question;
        }
        if (question->is_answered &&
            question->answered_ms + CLUSTER_ANSWER_KEPT_MS < seat->now_ms) {
            list_remove(&question->link);
            question_free(question);
        }
    }
    return NULL;
}

void cluster_questions_step(struct cluster_seat *seat) {
    if (seat->current != NULL) {
        return;
    }
    pthread_mutex_lock(&seat->mutex);
    seat->current = next_question(seat);
    pthread_mutex_unlock(&seat->mutex);
    if (seat->current != NULL) {
        begin(seat);
    }
}

void cluster_questions_free(struct cluster_seat *seat) {
    for (struct list *link; (link = list_pop_front(&seat->questions)) != NULL;) {
        question_free(LIST_ENTRY(link, struct cluster_question, link));
    }
    buffer_free(&seat->error);
}
