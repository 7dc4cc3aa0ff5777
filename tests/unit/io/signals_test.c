#define _GNU_SOURCE 1

#include "io/signals.h"

#include "base/logger.h"
#include "io/loop.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_BYTES 16384

/* What a process that crashed left behind. */
struct end {
    int status;
    char report[REPORT_BYTES];
};

static void no_core_file(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){.rlim_cur = 0, .rlim_max = 0});
}

/* Runs the function in a process of its own that reports crashes to its standard error. */
static void run_until_crash(void (*function)(void), struct end *end) {
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        no_core_file();
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        /* A debugger's or sanitizer's own handlers are out of the way: ours replace them. */
        signals_report_crashes("Tarn 1.2.3");
        function();
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t count;
    while ((count = read(ends[0], end->report + length, REPORT_BYTES - 1 - length)) > 0) {
        length += (size_t)count;
    }
    end->report[length] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &end->status, 0), child);
}

static void assert_reported(const struct end *end, int signal) {
    ck_assert_msg(WIFSIGNALED(end->status), "the process did not end by a signal");
    ck_assert_int_eq(WTERMSIG(end->status), signal);
    ck_assert_ptr_nonnull(strstr(end->report, "=== TARN BUG REPORT START"));
    ck_assert_ptr_nonnull(strstr(end->report, "Tarn 1.2.3"));
    ck_assert_ptr_nonnull(strstr(end->report, "--- BACKTRACE\n"));
    ck_assert_ptr_nonnull(strstr(end->report, "signals_test"));
    ck_assert_ptr_nonnull(strstr(end->report, "=== TARN BUG REPORT END"));
}

/* Hides from the compiler and its checks what is about to happen. */
static void touch_bad_address(void) {
    volatile uintptr_t address = 0x1230;
#if defined(__x86_64__)
    __asm__ volatile("movl $1, (%0)" : : "r"(address) : "memory");
#else
    *(volatile int *)address = 1;
#endif
}

START_TEST(served_signals_wait_until_they_are_taken) {
    signals_init();
    ck_assert_int_eq(signals_wait(0), 0);
    kill(getpid(), SIGHUP);
    ck_assert_int_eq(signals_wait(UINT64_MAX), SIGHUP);
    kill(getpid(), SIGTERM);
    ck_assert_int_eq(signals_wait(60000), SIGTERM);
    ck_assert_int_eq(signals_wait(1), 0);
}
END_TEST

START_TEST(an_ignored_termination_signal_is_served_all_the_same) {
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signals_init();
    kill(getpid(), SIGINT);
    ck_assert_int_eq(signals_wait(0), SIGINT);
    kill(getpid(), SIGTERM);
    ck_assert_int_eq(signals_wait(0), SIGTERM);
}
END_TEST

START_TEST(writing_to_a_closed_pipe_is_no_signal_after_init) {
    signals_init();
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    ck_assert_int_eq(write(ends[1], "x", 1), -1);
    close(ends[1]);
}
END_TEST

struct taken {
    int fd;
    int signal;
};

static void take_signal(void *context, unsigned events) {
    (void)events;
    struct taken *taken = context;
    taken->signal = signals_next(taken->fd);
}

START_TEST(a_loop_hears_of_signals_through_the_descriptor) {
    signals_init();
    struct loop *loop = loop_new();
    struct taken taken = {.fd = signals_open()};
    ck_assert_int_ge(taken.fd, 0);
    ck_assert_int_eq(signals_next(taken.fd), 0);
    struct loop_watch watch;
    loop_watch_start(loop, &watch, taken.fd, LOOP_READ, take_signal, &taken);
    kill(getpid(), SIGUSR1);
    while (taken.signal == 0) {
        loop_run(loop, LOOP_WAIT_FOREVER);
    }
    ck_assert_int_eq(taken.signal, SIGUSR1);
    ck_assert_int_eq(signals_next(taken.fd), 0);
    loop_watch_stop(loop, &watch);
    close(taken.fd);
    loop_free(loop);
}
END_TEST

static void *read_mask(void *argument) {
    signals_block_all();
    pthread_sigmask(SIG_BLOCK, NULL, argument);
    return NULL;
}

START_TEST(a_thread_that_blocks_all_leaves_crashes_open) {
    sigset_t mask;
    pthread_t thread;
    pthread_create(&thread, NULL, read_mask, &mask);
    pthread_join(thread, NULL);
    ck_assert_int_eq(sigismember(&mask, SIGTERM), 1);
    ck_assert_int_eq(sigismember(&mask, SIGALRM), 1);
    ck_assert_int_eq(sigismember(&mask, SIGSEGV), 0);
    ck_assert_int_eq(sigismember(&mask, SIGABRT), 0);
}
END_TEST

START_TEST(a_bad_address_is_reported_and_ends_the_process_by_its_signal) {
    struct end end;
    run_until_crash(touch_bad_address, &end);
    assert_reported(&end, SIGSEGV);
    ck_assert_ptr_nonnull(strstr(end.report, "signal 11 (SIGSEGV), code 1, at address 0x1230\n"));
}
END_TEST

START_TEST(an_abort_is_reported_and_ends_the_process_by_its_signal) {
    struct end end;
    run_until_crash(abort, &end);
    assert_reported(&end, SIGABRT);
    ck_assert_ptr_nonnull(strstr(end.report, "(SIGABRT), raised by the process itself\n"));
}
END_TEST

static void send_itself_a_crash(void) {
    kill(getpid(), SIGFPE);
    pause();
}

START_TEST(a_crash_signal_that_was_sent_is_reported_and_ends_the_process) {
    struct end end;
    run_until_crash(send_itself_a_crash, &end);
    assert_reported(&end, SIGFPE);
}
END_TEST

static void *crash_thread(void *argument) {
    (void)argument;
    signals_block_all();
    touch_bad_address();
    return NULL;
}

static void crash_in_two_threads(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, crash_thread, NULL);
    }
    pthread_join(threads[0], NULL);
}

START_TEST(two_threads_that_crash_at_once_give_one_report) {
    struct end end;
    run_until_crash(crash_in_two_threads, &end);
    assert_reported(&end, SIGSEGV);
    char *first = strstr(end.report, "REPORT START");
    ck_assert_ptr_null(strstr(first + 1, "REPORT START"));
}
END_TEST

/* Not optimised into a loop, and without end as long as it begins with anything but 2. */
static int fill_stack(volatile char *below) {
    volatile char here[4096];
    here[0] = *below;
    return here[0] == 2 ? 0 : fill_stack(here) + here[0];
}

static void *overflow_thread(void *argument) {
    (void)argument;
    struct signals_stack stack;
    signals_stack_enter(&stack);
    volatile char start = 1;
    fill_stack(&start);
    signals_stack_leave(&stack);
    return NULL;
}

static void overflow_stack(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, overflow_thread, NULL);
    pthread_join(thread, NULL);
}

START_TEST(an_overflowed_stack_is_reported_from_the_thread_s_other_stack) {
    struct end end;
    run_until_crash(overflow_stack, &end);
    assert_reported(&end, SIGSEGV);
}
END_TEST

static void enter_and_leave(void) {
    struct signals_stack stack;
    signals_stack_enter(&stack);
    signals_stack_leave(&stack);
    touch_bad_address();
}

START_TEST(a_thread_that_left_its_other_stack_reports_from_its_own) {
    struct end end;
    run_until_crash(enter_and_leave, &end);
    assert_reported(&end, SIGSEGV);
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        served_signals_wait_until_they_are_taken,
        an_ignored_termination_signal_is_served_all_the_same,
        writing_to_a_closed_pipe_is_no_signal_after_init,
        a_loop_hears_of_signals_through_the_descriptor,
        a_thread_that_blocks_all_leaves_crashes_open,
        a_bad_address_is_reported_and_ends_the_process_by_its_signal,
        an_abort_is_reported_and_ends_the_process_by_its_signal,
        a_crash_signal_that_was_sent_is_reported_and_ends_the_process,
        two_threads_that_crash_at_once_give_one_report,
        an_overflowed_stack_is_reported_from_the_thread_s_other_stack,
        a_thread_that_left_its_other_stack_reports_from_its_own,
    };
    return unit_run(unit_suite("signals", tests, UNIT_COUNT(tests)));
}
