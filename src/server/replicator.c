#include "server/replicator.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/signals.h"
#include "server/anti_entropy.h"
#include "server/cluster_role.h"
#include "server/primary_links.h"
#include "server/replica_link.h"

#include <errno.h>
#include <sys/prctl.h>

/* ---- posts ---- */

void replicator_post(struct replicator *replicator, struct replicator_post *post) {
    if (mailbox_push(&replicator->mailbox, &post->mail)) {
        loop_wake(replicator->loop);
    }
}

static void run_posts(struct replicator *replicator) {
    for (struct mailbox_node *node = mailbox_take_all(&replicator->mailbox); node != NULL;) {
        struct replicator_post *post = MAILBOX_ENTRY(node, struct replicator_post, mail);
        node = node->next;
        post->run(replicator, post);
    }
}

/* Lives on the stack of the thread that waits for it. */
struct call_post {
    struct replicator_post post;
    void (*run)(void *context);
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_done;
};

static void call_run(struct replicator *replicator, struct replicator_post *post) {
    struct call_post *call = (struct call_post *)post;
    (void)replicator;
    call->run(call->context);
    pthread_mutex_lock(&call->mutex);
    call->is_done = true;
    pthread_cond_signal(&call->changed);
    pthread_mutex_unlock(&call->mutex);
}

void replicator_call(struct replicator *replicator, void (*run)(void *context), void *context) {
    struct call_post call = {.post = {.run = call_run}, .run = run, .context = context};
    pthread_mutex_init(&call.mutex, NULL);
    pthread_cond_init(&call.changed, NULL);
    replicator_post(replicator, &call.post);
    pthread_mutex_lock(&call.mutex);
    while (!call.is_done) {
        pthread_cond_wait(&call.changed, &call.mutex);
    }
    pthread_mutex_unlock(&call.mutex);
    pthread_mutex_destroy(&call.mutex);
    pthread_cond_destroy(&call.changed);
}

struct watching {
    struct replicator_post post;
    struct cluster_seat *seat;
};

static void watch_run(struct replicator *replicator, struct replicator_post *post) {
    replicator->seat = ((struct watching *)post)->seat;
    memory_free(post);
}

void replicator_watch(struct replicator *replicator, struct cluster_seat *seat) {
    struct watching *watching = memory_alloc_zeroed(sizeof(*watching));
    watching->post.run = watch_run;
    watching->seat = seat;
    replicator_post(replicator, &watching->post);
}

struct log_change {
    struct replicator *replicator;
    const struct replicator_log *log;
};

static void change_log(void *context) {
    const struct log_change *change = context;
    primary_links_set_log(change->replicator->primary_links, change->log);
}

void replicator_set_log(struct replicator *replicator, const struct replicator_log *log) {
    struct log_change change = {.replicator = replicator, .log = log};
    replicator_call(replicator, change_log, &change);
}

/* ---- the thread ---- */

/* What is due is looked at behind each iteration. */
static void timer_is_due(void *context) {
    (void)context;
}

/* A node without links is not woken. */
static void watch_time(struct replicator *replicator) {
    bool wants = primary_links_want_time(replicator->primary_links) ||
                 replica_link_wants_time(replicator->replica_link) ||
                 failover_state(&replicator->server->failover) != FAILOVER_NONE;
    if (wants == replicator->watches_time) {
        return;
    }
    replicator->watches_time = wants;
    if (wants) {
        loop_timer_start(replicator->loop, &replicator->timer, REPLICATOR_PERIOD_MS,
                         REPLICATOR_PERIOD_MS, timer_is_due, replicator);
    } else {
        loop_timer_stop(replicator->loop, &replicator->timer);
    }
}

static bool may_rest(const struct replicator *replicator) {
    return !quorum_is_awaited(&replicator->server->node.quorum) &&
           !replica_link_is_on(replicator->replica_link);
}

/* What is appended from here on is told, even if the step does not see it. */
static void await_log(struct replicator *replicator) {
    bool rests = loop_timer_is_running(&replicator->rest) && may_rest(replicator);
    if (!rests && (primary_links_are_on(replicator->primary_links) ||
                   replica_link_is_on(replicator->replica_link))) {
        atomic_store(&replicator->server->node.log_is_awaited, true);
    }
}

/* What was appended since await_log() is seen when the rest is over. */
static void rest(struct replicator *replicator) {
    if (!loop_timer_is_running(&replicator->rest) && may_rest(replicator)) {
        atomic_store(&replicator->server->node.log_is_awaited, false);
        loop_timer_start(replicator->loop, &replicator->rest, REPLICATOR_REST_MS, 0, timer_is_due,
                         replicator);
    }
}

static uint64_t sent_bytes(const struct replicator *replicator) {
    return atomic_load_explicit(&replicator->server->node.link_written_bytes, memory_order_relaxed);
}

static void *thread_main(void *context) {
    struct replicator *replicator = context;
    prctl(PR_SET_NAME, "replicator");
    signals_block_all();
    bool has_more = true; /* Whom to follow may have been said before. */
    while (!replicator->is_stopping) {
        loop_run(replicator->loop, has_more ? 0 : LOOP_WAIT_FOREVER);
        replicator->now_ms = clock_monotonic_us() / 1000;
        run_posts(replicator);
        await_log(replicator);
        uint64_t sent = sent_bytes(replicator);
        replica_link_step(replicator->replica_link);
        has_more = primary_links_step(replicator->primary_links);
        failover_step(replicator->server);
        if (replicator->seat != NULL) {
            cluster_role_step(replicator->seat);
        }
        anti_entropy_step(replicator->anti_entropy,
                          primary_links_following(replicator->primary_links));
        watch_time(replicator);
        if (!has_more && sent_bytes(replicator) != sent) {
            rest(replicator);
        }
    }
    loop_timer_stop(replicator->loop, &replicator->rest);
    primary_links_free(replicator->primary_links);
    replicator->primary_links = NULL;
    replica_link_free(replicator->replica_link);
    replicator->replica_link = NULL;
    anti_entropy_free(replicator->anti_entropy);
    replicator->anti_entropy = NULL;
    if (replicator->watches_time) {
        loop_timer_stop(replicator->loop, &replicator->timer);
    }
    return NULL;
}

/* ---- lifecycle ---- */

struct replicator *replicator_new(struct server *server) {
    struct replicator *replicator = memory_alloc_aligned(MAILBOX_ALIGNMENT, sizeof(*replicator));
    memset(replicator, 0, sizeof(*replicator));
    replicator->server = server;
    mailbox_init(&replicator->mailbox);
    replicator->now_ms = clock_monotonic_us() / 1000;
    replicator->loop = loop_new();
    if (replicator->loop == NULL) {
        memory_free(replicator);
        return NULL;
    }
    replicator->primary_links = primary_links_new(replicator);
    replicator->replica_link = replica_link_new(replicator);
    replicator->anti_entropy = anti_entropy_new(replicator);
    int error = pthread_create(&replicator->thread, NULL, thread_main, replicator);
    if (error != 0) {
        primary_links_free(replicator->primary_links);
        replica_link_free(replicator->replica_link);
        anti_entropy_free(replicator->anti_entropy);
        loop_free(replicator->loop);
        memory_free(replicator);
        errno = error;
        return NULL;
    }
    return replicator;
}

static void stop_running(void *context) {
    struct replicator *replicator = context;
    replicator->is_stopping = true;
}

void replicator_end(struct replicator *replicator) {
    replicator_call(replicator, stop_running, replicator);
    pthread_join(replicator->thread, NULL);
}

void replicator_free(struct replicator *replicator) {
    run_posts(replicator);
    loop_free(replicator->loop);
    memory_free(replicator);
}
