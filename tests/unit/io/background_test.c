#define _GNU_SOURCE 1

#include "io/background.h"

#include "tests/unit/unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define JOBS 1000

struct record {
    int order[JOBS];
    int count;
};

struct numbered {
    struct record *record;
    int number;
};

static void note_number(void *context) {
    struct numbered *numbered = context;
    numbered->record->order[numbered->record->count++] = numbered->number;
}

static void wait_for_permission(void *context) {
    sem_wait(context);
}

START_TEST(jobs_run_in_the_order_of_submission) {
    struct background *background = background_new("test");
    ck_assert_ptr_nonnull(background);
    struct record record = {.count = 0};
    struct numbered numbered[JOBS];
    for (int i = 0; i < JOBS; i++) {
        numbered[i] = (struct numbered){.record = &record, .number = i};
        background_submit(background, note_number, &numbered[i]);
    }
    background_drain(background);
    ck_assert_int_eq(record.count, JOBS);
    for (int i = 0; i < JOBS; i++) {
        ck_assert_int_eq(record.order[i], i);
    }
    background_free(background);
}
END_TEST

START_TEST(pending_counts_what_has_not_finished) {
    struct background *background = background_new("test");
    sem_t permission;
    sem_init(&permission, 0, 0);
    ck_assert_uint_eq(background_pending(background), 0);
    background_submit(background, wait_for_permission, &permission);
    background_submit(background, wait_for_permission, &permission);
    ck_assert_uint_eq(background_pending(background), 2);
    sem_post(&permission);
    sem_post(&permission);
    background_drain(background);
    ck_assert_uint_eq(background_pending(background), 0);
    background_free(background);
    sem_destroy(&permission);
}
END_TEST

START_TEST(free_runs_all_that_was_submitted) {
    struct background *background = background_new("test");
    struct record record = {.count = 0};
    struct numbered numbered = {.record = &record};
    sem_t permission;
    sem_init(&permission, 0, 0);
    background_submit(background, wait_for_permission, &permission);
    for (int i = 0; i < JOBS; i++) {
        background_submit(background, note_number, &numbered);
    }
    sem_post(&permission);
    background_free(background);
    ck_assert_int_eq(record.count, JOBS);
    sem_destroy(&permission);
}
END_TEST

struct chain {
    struct background *background;
    int left;
};

static void submit_next(void *context) {
    struct chain *chain = context;
    chain->left--;
    if (chain->left > 0) {
        background_submit(chain->background, submit_next, chain);
    }
}

START_TEST(a_job_may_submit_further_jobs_even_while_the_thread_is_ending) {
    struct chain chain = {.background = background_new("test"), .left = 100};
    background_submit(chain.background, submit_next, &chain);
    background_free(chain.background);
    ck_assert_int_eq(chain.left, 0);
}
END_TEST

static void read_thread(void *context) {
    sigset_t *blocked = context;
    char name[16];
    pthread_getname_np(pthread_self(), name, sizeof(name));
    ck_assert_str_eq(name, "tarn-background");
    pthread_sigmask(SIG_BLOCK, NULL, blocked);
}

START_TEST(the_thread_has_its_name_and_gets_no_signal) {
    struct background *background = background_new("tarn-background");
    background_drain(background);
    sigset_t blocked;
    background_submit(background, read_thread, &blocked);
    background_drain(background);
    ck_assert_int_eq(sigismember(&blocked, SIGTERM), 1);
    ck_assert_int_eq(sigismember(&blocked, SIGALRM), 1);
    sigset_t own;
    pthread_sigmask(SIG_BLOCK, NULL, &own);
    ck_assert_int_eq(sigismember(&own, SIGTERM), 0);
    background_free(background);
}
END_TEST

struct submitter {
    struct background *background;
    atomic_int *count;
};

static void add_one(void *context) {
    atomic_fetch_add((atomic_int *)context, 1);
}

static void *submit_many(void *argument) {
    struct submitter *submitter = argument;
    for (int i = 0; i < JOBS; i++) {
        background_submit(submitter->background, add_one, submitter->count);
    }
    return NULL;
}

START_TEST(jobs_of_several_threads_all_run) {
    atomic_int count = 0;
    struct submitter submitter = {.background = background_new("test"), .count = &count};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, submit_many, &submitter);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    background_drain(submitter.background);
    ck_assert_int_eq(atomic_load(&count), 3 * JOBS);
    background_free(submitter.background);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        jobs_run_in_the_order_of_submission,
        pending_counts_what_has_not_finished,
        free_runs_all_that_was_submitted,
        a_job_may_submit_further_jobs_even_while_the_thread_is_ending,
        the_thread_has_its_name_and_gets_no_signal,
        jobs_of_several_threads_all_run,
    };
    return unit_run(unit_suite("background", tests, UNIT_COUNT(tests)));
}
