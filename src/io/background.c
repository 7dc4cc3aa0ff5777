#define _GNU_SOURCE 1

#include "io/background.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "io/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

struct background_job {
    struct mailbox_node node;
    background_function function;
    void *context;
    bool is_counted; /* what background_drain() waits by is nobody's work */
};

struct background {
    struct mailbox jobs;
    atomic_size_t pending;
    atomic_bool is_stopping;
    sem_t arrived; /* one post each time that the mailbox ceased to be empty */
    pthread_t thread;
};

static void wait_for(sem_t *semaphore) {
    while (sem_wait(semaphore) == -1) {
        ASSERT(errno == EINTR);
    }
}

static void run_jobs(struct background *background) {
    struct mailbox_node *node;
    while ((node = mailbox_take_all(&background->jobs)) != NULL) {
        while (node != NULL) {
            struct background_job *job = MAILBOX_ENTRY(node, struct background_job, node);
            node = node->next;
            job->function(job->context);
            if (job->is_counted) {
                atomic_fetch_sub(&background->pending, 1);
            }
            memory_free(job);
        }
    }
}

static void *background_main(void *argument) {
    struct background *background = argument;
    bool is_stopping;
    do {
        wait_for(&background->arrived);
        /* Read before the queue is: whoever stops has submitted everything before. */
        is_stopping = atomic_load(&background->is_stopping);
        run_jobs(background);
    } while (!is_stopping);
    return NULL;
}

static int start_thread(struct background *background, const char *name) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&background->thread, NULL, background_main, background);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_setname_np(background->thread, name);
    }
    return error;
}

struct background *background_new(const char *name) {
    struct background *background = memory_alloc_aligned(MAILBOX_ALIGNMENT, sizeof(*background));
    mailbox_init(&background->jobs);
    atomic_init(&background->pending, 0);
    atomic_init(&background->is_stopping, false);
    int result = sem_init(&background->arrived, 0, 0);
    ASSERT(result == 0);
    int error = start_thread(background, name);
    if (error != 0) {
        sem_destroy(&background->arrived);
        memory_free(background);
        errno = error;
        return NULL;
    }
    return background;
}

void background_free(struct background *background) {
    atomic_store(&background->is_stopping, true);
    sem_post(&background->arrived);
    pthread_join(background->thread, NULL);
    ASSERT(mailbox_is_empty(&background->jobs));
    sem_destroy(&background->arrived);
    memory_free(background);
}

static void submit(struct background *background, background_function function, void *context,
                   bool is_counted) {
    struct background_job *job = memory_alloc(sizeof(*job));
    job->function = function;
    job->context = context;
    job->is_counted = is_counted;
    if (is_counted) {
        atomic_fetch_add(&background->pending, 1);
    }
    if (mailbox_push(&background->jobs, &job->node)) {
        sem_post(&background->arrived);
    }
}

void background_submit(struct background *background, background_function function, void *context) {
    submit(background, function, context, true);
}

size_t background_pending(const struct background *background) {
    return atomic_load(&background->pending);
}

static void drain_reached(void *context) {
    sem_post(context);
}

void background_drain(struct background *background) {
    ASSERT(!pthread_equal(pthread_self(), background->thread));
    sem_t reached;
    sem_init(&reached, 0, 0);
    submit(background, drain_reached, &reached, false);
    wait_for(&reached);
    sem_destroy(&reached);
}
