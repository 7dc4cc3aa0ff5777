#define _GNU_SOURCE 1

#include "server/migrate.h"

#include "base/memory.h"
#include "io/clock.h"

#include <signal.h>
#include <string.h>

/* Idle threads look so often at the connections that are kept. */
#define SWEEP_MS 1000
/* A job that may not change anything asks again so often. */
#define PAUSE_LOOK_MS 10

#define GIVEN_UP "-IOERR error or timeout reading to target instance"
#define READ_ONLY "-READONLY You can't write against a read only replica."

static int64_t now_ms(void) {
    return clock_monotonic_us() / 1000;
}

/* ---- jobs ---- */

static struct span text_copy(char **place, struct span text, bool is_ended) {
    if (text.bytes == NULL) {
        return text;
    }
    char *copy = *place;
    memcpy(copy, text.bytes, text.length);
    *place += text.length;
    if (is_ended) {
        *(*place)++ = '\0';
    }
    return span_of(copy, text.length);
}

static size_t bytes_of(const struct span *keys, uint32_t count) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += keys[i].length;
    }
    return bytes;
}

void migrate_job_set_keys(struct migrate_job *job, const struct span *keys, uint32_t count) {
    const struct keyspace *keyspace = job->migrate->node->keyspace;
    memory_free(job->keys);
    memory_free(job->key_texts);
    job->keys = memory_alloc_zeroed((count + 1) * sizeof(*job->keys));
    job->key_texts = memory_alloc(bytes_of(keys, count) + 1);
    job->plan.keys_count = count;
    char *place = job->key_texts;
    for (uint32_t i = 0; i < count; i++) {
        struct migrate_key *key = &job->keys[i];
        key->hold = (struct key_hold){.key = text_copy(&place, keys[i], false), .owner = job};
        list_init(&key->hold.link);
        key->version = WATCH_NO_MEMORY;
        key->slot = slot_of_key(key->hold.key);
        job->owners |= UINT64_C(1) << keyspace->owners[key->slot];
    }
}

struct migrate_job *migrate_job_new(struct migrate *migrate, const struct migrate_plan *plan) {
    struct migrate_job *job = memory_alloc_zeroed(sizeof(*job));
    size_t bytes =
        plan->host.length + plan->port.length + plan->user.length + plan->password.length + 4;
    list_init(&job->link);
    list_init(&job->run_link);
    job->migrate = migrate;
    job->plan = *plan;
    job->texts = memory_alloc(bytes);
    char *place = job->texts;
    job->plan.host = text_copy(&place, plan->host, true);
    job->plan.port = text_copy(&place, plan->port, true);
    job->plan.user = text_copy(&place, plan->user, true);
    job->plan.password = text_copy(&place, plan->password, true);
    job->plan.keys = NULL;
    migrate_job_set_keys(job, plan->keys, plan->keys_count);
    job->asks = migrate->node->cluster != NULL;
    return job;
}

void migrate_job_free(struct migrate_job *job) {
    buffer_free(&job->piece.head);
    buffer_free(&job->piece.part);
    buffer_free(&job->piece.tail);
    block_release(job->piece.block);
    buffer_free(&job->answer);
    memory_free(job->keys);
    memory_free(job->key_texts);
    memory_free(job->texts);
    memory_free(job);
}

/* ---- steps ---- */

static void step_done(struct migrate_job *job, enum migrate_result result) {
    struct migrate *migrate = job->migrate;
    pthread_mutex_lock(&migrate->mutex);
    job->result = result;
    job->step_is_done = true;
    migrate->releases += job->step == MIGRATE_FINISH && result == MIGRATE_DONE;
    pthread_cond_broadcast(&migrate->changed);
    pthread_mutex_unlock(&migrate->mutex);
}

static void post_run(struct worker *worker, struct post *post) {
    struct migrate_job *job = LIST_ENTRY(post, struct migrate_job, post);
    enum migrate_result result = migrate_keys_step(job, worker);
    if (result == MIGRATE_UNFINISHED) {
        worker_post(worker, post);
    } else {
        step_done(job, result);
    }
}

static void visit_run(void *context) {
    struct migrate_job *job = context;
    struct node *node = job->migrate->node;
    enum migrate_result result = migrate_keys_step(job, node->stop.executor);
    if (result == MIGRATE_UNFINISHED) {
        stop_post(node, &job->visit);
    } else {
        step_done(job, result);
    }
}

/* Keys of one worker: it takes the step in a tick; else all stand still. */
static void step_begin(struct migrate_job *job) {
    struct node *node = job->migrate->node;
    if ((job->owners & (job->owners - 1)) == 0) {
        job->post.run = post_run;
        worker_post(node->workers[job->owners == 0 ? 0 : __builtin_ctzll(job->owners)], &job->post);
    } else {
        job->visit = (struct visit){.run = visit_run, .context = job};
        list_init(&job->visit.link);
        stop_post(node, &job->visit);
    }
}

enum migrate_result migrate_step(struct migrate_job *job, enum migrate_step step) {
    struct migrate *migrate = job->migrate;
    job->step = step;
    if (job->worker != NULL) {
        enum migrate_result result;
        do {
            result = migrate_keys_step(job, job->worker);
        } while (result == MIGRATE_UNFINISHED);
        return result;
    }
    job->step_is_done = false;
    step_begin(job);
    pthread_mutex_lock(&migrate->mutex);
    while (!job->step_is_done) {
        pthread_cond_wait(&migrate->changed, &migrate->mutex);
    }
    pthread_mutex_unlock(&migrate->mutex);
    return job->result;
}

/* ---- a job's life ---- */

/* Until another job lets go of a key that this one wants. False: the server ends. */
static bool wait_for_release(struct migrate *migrate, uint64_t releases) {
    pthread_mutex_lock(&migrate->mutex);
    while (migrate->releases == releases && !atomic_load(&migrate->is_stopping)) {
        pthread_cond_wait(&migrate->changed, &migrate->mutex);
    }
    pthread_mutex_unlock(&migrate->mutex);
    return !atomic_load(&migrate->is_stopping);
}

enum migrate_result migrate_begin(struct migrate_job *job, enum migrate_step step) {
    struct migrate *migrate = job->migrate;
    for (;;) {
        pthread_mutex_lock(&migrate->mutex);
        uint64_t releases = migrate->releases;
        pthread_mutex_unlock(&migrate->mutex);
        enum migrate_result result = migrate_step(job, step);
        if (result != MIGRATE_CLASH || job->worker != NULL ||
            !wait_for_release(migrate, releases)) {
            return result;
        }
    }
}

void migrate_finish(struct migrate_job *job) {
    struct migrate *migrate = job->migrate;
    while (migrate_step(job, MIGRATE_FINISH) == MIGRATE_PAUSED) {
        pthread_mutex_lock(&migrate->mutex);
        job->gives_up = atomic_load(&migrate->is_stopping);
        if (!job->gives_up) {
            struct timespec until = clock_wall_in(PAUSE_LOOK_MS);
            pthread_cond_timedwait(&migrate->changed, &migrate->mutex, &until);
        }
        pthread_mutex_unlock(&migrate->mutex);
    }
}

static void run(struct migrate_job *job) {
    if (job->is_leftover) {
        migrate_leftovers(job);
        return;
    }
    switch (migrate_begin(job, MIGRATE_START)) {
    case MIGRATE_DONE:
        migrate_transfer(job);
        migrate_finish(job);
        if (!job->plan.copies && job->answer.length == 0) {
            buffer_append_string(&job->answer, job->gives_up ? GIVEN_UP
                                               : job->is_led ? READ_ONLY
                                                             : "");
        }
        break;
    case MIGRATE_NO_KEYS:
        buffer_append_string(&job->answer, "NOKEY");
        break;
    case MIGRATE_NO_MEMORY:
        buffer_append_string(&job->answer, "-OOM there is not enough memory to move these keys");
        break;
    default:
        buffer_append_string(&job->answer, "-TRYAGAIN Another MIGRATE has one of the keys");
        break;
    }
}

void migrate_run_here(struct migrate_job *job, struct worker *worker) {
    job->worker = worker;
    run(job);
}

/* ---- threads ---- */

/* With the mutex. */
static struct migrate_job *next_job(struct migrate *migrate) {
    struct list *link = list_pop_front(&migrate->queue);
    migrate->queue_count -= link != NULL;
    return link == NULL ? NULL : LIST_ENTRY(link, struct migrate_job, run_link);
}

/* With the mutex: answers that nobody fetched. */
static void drop_old(struct migrate *migrate) {
    for (struct list *link = migrate->jobs.next; link != &migrate->jobs;) {
        struct migrate_job *job = LIST_ENTRY(link, struct migrate_job, link);
        link = link->next;
        if (job->is_done && job->done_ms + MIGRATE_ANSWER_KEPT_MS < now_ms()) {
            list_remove(&job->link);
            migrate_job_free(job);
        }
    }
}

static void wait_for_jobs(struct migrate *migrate) {
    migrate->idle_count++;
    pthread_mutex_unlock(&migrate->mutex);
    bool has_targets = migrate_targets_sweep(&migrate->targets, now_ms());
    pthread_mutex_lock(&migrate->mutex);
    if (list_is_empty(&migrate->queue) && !atomic_load(&migrate->is_stopping)) {
        if (has_targets) {
            struct timespec until = clock_wall_in(SWEEP_MS);
            pthread_cond_timedwait(&migrate->changed, &migrate->mutex, &until);
        } else {
            pthread_cond_wait(&migrate->changed, &migrate->mutex);
        }
    }
    migrate->idle_count--;
}

static void *thread_main(void *context) {
    struct migrate *migrate = context;
    pthread_mutex_lock(&migrate->mutex);
    for (;;) {
        struct migrate_job *job = next_job(migrate);
        if (job == NULL) {
            if (atomic_load(&migrate->is_stopping)) {
                break;
            }
            wait_for_jobs(migrate);
            continue;
        }
        pthread_mutex_unlock(&migrate->mutex);
        run(job);
        pthread_mutex_lock(&migrate->mutex);
        drop_old(migrate);
        if (job->home == NULL) {
            migrate_job_free(job);
            continue;
        }
        job->is_done = true;
        job->done_ms = now_ms();
        /* Whoever fetches the job frees it. */
        loop_wake(job->home->loop);
    }
    pthread_mutex_unlock(&migrate->mutex);
    return NULL;
}

/* With the mutex: one more, if there is none for this job. Signals are the main thread's. */
static void start_thread(struct migrate *migrate) {
    if (migrate->threads_count == MIGRATE_THREADS_MAX) {
        return;
    }
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t *thread = &migrate->threads[migrate->threads_count];
    if (pthread_create(thread, NULL, thread_main, migrate) == 0) {
        pthread_setname_np(*thread, "migrate");
        migrate->threads_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- asking ---- */

/* With the mutex. False: there is nobody to run it. */
static bool queue_job(struct migrate *migrate, struct migrate_job *job) {
    if (atomic_load(&migrate->is_stopping)) {
        return false;
    }
    list_push_back(&migrate->queue, &job->run_link);
    migrate->queue_count++;
    if (migrate->queue_count > migrate->idle_count) {
        start_thread(migrate);
    }
    if (migrate->threads_count == 0) {
        next_job(migrate);
        return false;
    }
    pthread_cond_broadcast(&migrate->changed);
    return true;
}

uint64_t migrate_submit(struct migrate_job *job, struct worker *home) {
    struct migrate *migrate = job->migrate;
    pthread_mutex_lock(&migrate->mutex);
    job->home = home;
    uint64_t ticket = job->ticket = ++migrate->tickets;
    list_push_back(&migrate->jobs, &job->link);
    if (!queue_job(migrate, job)) {
        buffer_append_string(&job->answer, "-IOERR error or timeout connecting to the client");
        job->is_done = true;
        loop_wake(home->loop);
    }
    pthread_mutex_unlock(&migrate->mutex);
    return ticket;
}

void migrate_keep_leftovers(struct migrate *migrate, uint16_t slot) {
    struct migrate_job *job = migrate_job_new(migrate, &(struct migrate_plan){.keys = NULL});
    job->is_leftover = true;
    job->slot = slot;
    job->owners = UINT64_C(1) << migrate->node->keyspace->owners[slot];
    pthread_mutex_lock(&migrate->mutex);
    bool is_queued = queue_job(migrate, job);
    pthread_mutex_unlock(&migrate->mutex);
    if (!is_queued) {
        migrate_job_free(job);
    }
}

struct migrate_job *migrate_fetch(struct migrate *migrate, uint64_t ticket, bool *is_known) {
    struct migrate_job *fetched = NULL;
    *is_known = false;
    pthread_mutex_lock(&migrate->mutex);
    LIST_FOR_EACH(link, &migrate->jobs) {
        struct migrate_job *job = LIST_ENTRY(link, struct migrate_job, link);
        if (job->ticket == ticket) {
            *is_known = true;
            fetched = job->is_done ? job : NULL;
            break;
        }
    }
    if (fetched != NULL) {
        list_remove(&fetched->link);
    }
    pthread_mutex_unlock(&migrate->mutex);
    return fetched;
}

/* ---- lifecycle ---- */

struct migrate *migrate_new(struct node *node) {
    struct migrate *migrate = memory_alloc_zeroed(sizeof(*migrate));
    int failed = pthread_mutex_init(&migrate->mutex, NULL);
    failed |= pthread_cond_init(&migrate->changed, NULL);
    ASSERT(failed == 0);
    migrate->node = node;
    list_init(&migrate->jobs);
    list_init(&migrate->queue);
    atomic_init(&migrate->is_stopping, false);
    migrate_targets_init(&migrate->targets, &migrate->is_stopping);
    node->key_holds = key_holds_new();
    return migrate;
}

void migrate_end(struct migrate *migrate) {
    pthread_mutex_lock(&migrate->mutex);
    atomic_store(&migrate->is_stopping, true);
    pthread_cond_broadcast(&migrate->changed);
    pthread_mutex_unlock(&migrate->mutex);
    for (uint32_t i = 0; i < migrate->threads_count; i++) {
        pthread_join(migrate->threads[i], NULL);
    }
}

void migrate_free(struct migrate *migrate) {
    for (struct list *link; (link = list_pop_front(&migrate->jobs)) != NULL;) {
        migrate_job_free(LIST_ENTRY(link, struct migrate_job, link));
    }
    migrate_targets_free(&migrate->targets);
    key_holds_free(migrate->node->key_holds);
    pthread_cond_destroy(&migrate->changed);
    pthread_mutex_destroy(&migrate->mutex);
    memory_free(migrate);
}
