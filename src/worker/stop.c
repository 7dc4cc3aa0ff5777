#include "worker/stop.h"

#include "base/assertion.h"
#include "worker/connection.h"
#include "worker/gate.h"
#include "worker/node.h"

static uint64_t bit_of(const struct worker *worker) {
    return UINT64_C(1) << worker->index;
}

void stop_init(struct stop *stop) {
    int failed = pthread_mutex_init(&stop->mutex, NULL);
    failed |= pthread_cond_init(&stop->changed, NULL);
    ASSERT(failed == 0);
    atomic_init(&stop->is_wanted, false);
    list_init(&stop->waiting);
    list_init(&stop->visits);
    stop->waiting_workers = 0;
    stop->executor = NULL;
    stop->stopped_workers = 0;
    stop->parked_workers = 0;
    stop->gone_workers = 0;
    stop->stops = 0;
}

void stop_destroy(struct stop *stop) {
    ASSERT(stop->executor == NULL);
    pthread_mutex_destroy(&stop->mutex);
    pthread_cond_destroy(&stop->changed);
}

void stop_wait(struct node *node, struct connection *connection, uint64_t workers) {
    struct stop *stop = &node->stop;
    pthread_mutex_lock(&stop->mutex);
    list_push_back(&stop->waiting, &connection->run_link);
    stop->waiting_workers |= workers;
    atomic_store_explicit(&stop->is_wanted, true, memory_order_release);
    pthread_mutex_unlock(&stop->mutex);
}

/* With the mutex. */
static void visit_push(struct node *node, struct visit *visit) {
    struct stop *stop = &node->stop;
    list_push_back(&stop->visits, &visit->link);
    stop->waiting_workers = STOP_ALL_WORKERS;
    atomic_store_explicit(&stop->is_wanted, true, memory_order_release);
    loop_wake(node->workers[0]->loop);
}

void stop_post(struct node *node, struct visit *visit) {
    pthread_mutex_lock(&node->stop.mutex);
    visit_push(node, visit);
    pthread_mutex_unlock(&node->stop.mutex);
}

void stop_visit(struct node *node, void (*run)(void *context), void *context) {
    struct stop *stop = &node->stop;
    /* It lives on the stack of the thread that waits for it. */
    struct visit visit = {.run = run, .context = context, .waits = true};
    pthread_mutex_lock(&stop->mutex);
    visit_push(node, &visit);
    while (!visit.is_done) {
        pthread_cond_wait(&stop->changed, &stop->mutex);
    }
    pthread_mutex_unlock(&stop->mutex);
}

void stop_leave(struct worker *worker) {
    struct stop *stop = &worker->node->stop;
    pthread_mutex_lock(&stop->mutex);
    stop->gone_workers |= bit_of(worker);
    pthread_cond_broadcast(&stop->changed);
    pthread_mutex_unlock(&stop->mutex);
}

/* Runs what waited when the stop began: later calls may need workers that go on. */
static void execute(struct stop *stop, struct worker *worker) {
    struct node *node = worker->node;
    struct list calls;
    struct list visits;
    struct list done;
    list_init(&calls);
    list_init(&visits);
    list_init(&done);
    for (struct list *link; (link = list_pop_front(&stop->waiting)) != NULL;) {
        list_push_back(&calls, link);
    }
    for (struct list *link; (link = list_pop_front(&stop->visits)) != NULL;) {
        list_push_back(&visits, link);
    }
    stop->executor = worker;
    stop->stopped_workers = stop->waiting_workers & ~bit_of(worker);
    if (node->worker_count < KEYSPACE_STORES_MAX) {
        stop->stopped_workers &= (UINT64_C(1) << node->worker_count) - 1;
    }
    stop->waiting_workers = 0;
    stop->parked_workers = 0;
    stop->stops++;
    for (uint32_t i = 0; i < node->worker_count; i++) {
        if ((stop->stopped_workers >> i & 1) != 0) {
            loop_wake(node->workers[i]->loop);
        }
    }
    while ((stop->stopped_workers & ~(stop->parked_workers | stop->gone_workers)) != 0) {
        pthread_cond_wait(&stop->changed, &stop->mutex);
    }
    pthread_mutex_unlock(&stop->mutex);

    for (struct list *link; (link = list_pop_front(&calls)) != NULL;) {
        worker_run_stopped(worker, LIST_ENTRY(link, struct connection, run_link));
    }
    gate_append(worker);
    for (struct list *link; (link = list_pop_front(&visits)) != NULL;) {
        struct visit *visit = LIST_ENTRY(link, struct visit, link);
        bool waits = visit->waits;
        visit->run(visit->context);
        if (waits) {
            list_push_back(&done, link);
        }
    }
    gate_append(worker);

    pthread_mutex_lock(&stop->mutex);
    for (struct list *link; (link = list_pop_front(&done)) != NULL;) {
        LIST_ENTRY(link, struct visit, link)->is_done = true;
    }
    stop->executor = NULL;
    stop->stopped_workers = 0;
    pthread_cond_broadcast(&stop->changed);
}

static void stand_still(struct stop *stop, const struct worker *worker) {
    uint64_t number = stop->stops;
    stop->parked_workers |= bit_of(worker);
    pthread_cond_broadcast(&stop->changed);
    while (stop->executor != NULL && stop->stops == number) {
        pthread_cond_wait(&stop->changed, &stop->mutex);
    }
}

void stop_serve(struct worker *worker) {
    struct stop *stop = &worker->node->stop;
    if (!atomic_load_explicit(&stop->is_wanted, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&stop->mutex);
    for (;;) {
        if (stop->executor != NULL) {
            if ((stop->stopped_workers & bit_of(worker)) == 0) {
                break; /* The executor goes on with what waits when it is done. */
            }
            stand_still(stop, worker);
        } else if (!list_is_empty(&stop->waiting) || !list_is_empty(&stop->visits)) {
            execute(stop, worker);
        } else {
            atomic_store_explicit(&stop->is_wanted, false, memory_order_release);
            break;
        }
    }
    pthread_mutex_unlock(&stop->mutex);
    gate_follow(worker);
}
