#include "io/loop.h"

#include "io/clock.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* These two stand before the C library's: what the loop asks of the kernel is counted, and can be
 * refused. */
static struct {
    int epoll_ctl_calls;
    int epoll_ctl_error;
    atomic_int epoll_wait_calls;
} kernel;

int epoll_ctl(int poll_fd, int operation, int fd, struct epoll_event *event) {
    kernel.epoll_ctl_calls++;
    if (kernel.epoll_ctl_error != 0) {
        errno = kernel.epoll_ctl_error;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, poll_fd, operation, fd, event);
}

int epoll_wait(int poll_fd, struct epoll_event *events, int count_max, int timeout_ms) {
    atomic_fetch_add(&kernel.epoll_wait_calls, 1);
    return (int)syscall(SYS_epoll_pwait, poll_fd, events, count_max, timeout_ms, NULL, 0);
}

/* What a callback was told. */
struct seen {
    int calls;
    unsigned events;
};

struct pair {
    int own;
    int peer;
};

static struct pair pair_new(void) {
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    return (struct pair){.own = fds[0], .peer = fds[1]};
}

static void pair_free(struct pair *pair) {
    close(pair->own);
    close(pair->peer);
}

static void pair_make_readable(struct pair *pair) {
    ck_assert_int_eq(write(pair->peer, "x", 1), 1);
}

static void note(void *context, unsigned events) {
    struct seen *seen = context;
    seen->calls++;
    seen->events = events;
}

static void note_timer(void *context) {
    struct seen *seen = context;
    seen->calls++;
}

START_TEST(a_readable_fd_is_told_in_each_iteration_until_it_is_read) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 0);
    pair_make_readable(&pair);
    loop_run(loop, LOOP_WAIT_FOREVER);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 2);
    ck_assert_uint_eq(seen.events, LOOP_READ);
    char byte;
    ck_assert_int_eq(read(pair.own, &byte, 1), 1);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 2);
    loop_watch_stop(loop, &watch);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(a_watch_tells_only_what_it_looks_for) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    pair_make_readable(&pair);
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_run(loop, 0);
    ck_assert_uint_eq(seen.events, LOOP_READ);
    loop_watch_change(loop, &watch, LOOP_WRITE);
    loop_run(loop, 0);
    ck_assert_uint_eq(seen.events, LOOP_WRITE);
    loop_watch_change(loop, &watch, LOOP_READ | LOOP_WRITE);
    loop_run(loop, 0);
    ck_assert_uint_eq(seen.events, LOOP_READ | LOOP_WRITE);
    loop_watch_change(loop, &watch, 0);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 3);
    loop_watch_change(loop, &watch, LOOP_READ);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 4);
    ck_assert_uint_eq(seen.events, LOOP_READ);
    loop_watch_stop(loop, &watch);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(a_watch_started_for_nothing_waits_for_its_change) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    loop_watch_start(loop, &watch, pair.own, 0, note, &seen);
    pair_make_readable(&pair);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 0);
    loop_watch_change(loop, &watch, LOOP_READ);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 1);
    loop_watch_stop(loop, &watch);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(a_closed_peer_is_told_as_readable) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    close(pair.peer);
    loop_run(loop, LOOP_WAIT_FOREVER);
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_uint_eq(seen.events & LOOP_READ, LOOP_READ);
    loop_watch_stop(loop, &watch);
    close(pair.own);
    loop_free(loop);
}
END_TEST

START_TEST(stopping_a_stopped_or_zeroed_watch_and_timer_does_nothing) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct loop_timer timer;
    memset(&watch, 0, sizeof(watch));
    memset(&timer, 0, sizeof(timer));
    struct seen seen = {.calls = 0};
    loop_watch_stop(loop, &watch);
    loop_timer_stop(loop, &timer);
    ck_assert(!loop_timer_is_running(&timer));
    pair_make_readable(&pair);
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_watch_stop(loop, &watch);
    loop_watch_stop(loop, &watch);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 0);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(an_fd_number_used_again_is_watched_as_a_new_one) {
    struct loop *loop = loop_new();
    struct seen first_seen = {.calls = 0};
    struct seen second_seen = {.calls = 0};
    struct loop_watch watch;
    struct pair first = pair_new();
    loop_watch_start(loop, &watch, first.own, LOOP_READ, note, &first_seen);
    loop_run(loop, 0);
    loop_watch_stop(loop, &watch);
    pair_free(&first);
    struct pair second = pair_new();
    ck_assert_int_eq(second.own, first.own);
    loop_watch_start(loop, &watch, second.own, LOOP_READ, note, &second_seen);
    pair_make_readable(&second);
    loop_run(loop, 0);
    ck_assert_int_eq(first_seen.calls, 0);
    ck_assert_int_eq(second_seen.calls, 1);
    loop_watch_stop(loop, &watch);
    pair_free(&second);
    loop_free(loop);
}
END_TEST

/* Two watches that are ready at once, of which the first called stops both. */
struct rivals {
    struct loop *loop;
    struct loop_watch watches[2];
    int calls;
};

static void stop_both(void *context, unsigned events) {
    (void)events;
    struct rivals *rivals = context;
    rivals->calls++;
    loop_watch_stop(rivals->loop, &rivals->watches[0]);
    loop_watch_stop(rivals->loop, &rivals->watches[1]);
}

/* Events still come for a socket that is open; a loop that knew it would tell the kernel to leave
 * it out. */
START_TEST(an_fd_that_was_forgotten_is_never_touched_again) {
    struct loop *loop = loop_new();
    struct loop *other = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct loop_watch other_watch;
    struct seen seen = {.calls = 0};
    struct seen other_seen = {.calls = 0};
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_run(loop, 0);
    pair_make_readable(&pair);
    loop_watch_forget(loop, &watch);
    loop_watch_start(other, &other_watch, pair.own, LOOP_READ, note, &other_seen);
    loop_run(other, 0);
    ck_assert_int_eq(other_seen.calls, 1);
    kernel.epoll_ctl_calls = 0;
    for (int i = 0; i < 3; i++) {
        loop_run(loop, 0);
        loop_run(other, 0);
    }
    ck_assert_int_eq(kernel.epoll_ctl_calls, 0);
    ck_assert_int_eq(seen.calls, 0);
    ck_assert_int_eq(other_seen.calls, 4);
    loop_watch_stop(other, &other_watch);
    /* It may come back. */
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 1);
    loop_watch_stop(loop, &watch);
    pair_free(&pair);
    loop_free(other);
    loop_free(loop);
}
END_TEST

START_TEST(a_watch_may_be_forgotten_as_soon_as_it_was_started) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    pair_make_readable(&pair);
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_watch_forget(loop, &watch);
    loop_watch_forget(loop, &watch);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 0);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(a_callback_may_stop_itself_and_one_that_is_already_pending) {
    struct rivals rivals = {.loop = loop_new()};
    struct pair pairs[2] = {pair_new(), pair_new()};
    for (int i = 0; i < 2; i++) {
        pair_make_readable(&pairs[i]);
        loop_watch_start(rivals.loop, &rivals.watches[i], pairs[i].own, LOOP_READ, stop_both,
                         &rivals);
    }
    loop_run(rivals.loop, 0);
    loop_run(rivals.loop, 0);
    ck_assert_int_eq(rivals.calls, 1);
    pair_free(&pairs[0]);
    pair_free(&pairs[1]);
    loop_free(rivals.loop);
}
END_TEST

START_TEST(an_fd_that_the_kernel_has_no_room_to_watch_is_told_as_failed_and_stops) {
    struct loop *loop = loop_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    struct pair pair = pair_new();
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    kernel.epoll_ctl_error = ENOSPC;
    loop_run(loop, 0);
    kernel.epoll_ctl_error = 0;
    ck_assert_int_eq(seen.calls, 1);
    ck_assert_uint_eq(seen.events & LOOP_FAILED, LOOP_FAILED);
    pair_make_readable(&pair);
    loop_run(loop, 0);
    ck_assert_int_eq(seen.calls, 1);
    loop_watch_stop(loop, &watch);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(an_iteration_costs_one_system_call_however_many_fds_are_ready) {
    struct loop *loop = loop_new();
    struct pair pairs[20];
    struct loop_watch watches[20];
    struct seen seen = {.calls = 0};
    loop_run(loop, 0); /* the descriptor by which it is woken */
    kernel.epoll_ctl_calls = 0;
    for (int i = 0; i < 20; i++) {
        pairs[i] = pair_new();
        pair_make_readable(&pairs[i]);
        loop_watch_start(loop, &watches[i], pairs[i].own, LOOP_READ, note, &seen);
    }
    loop_run(loop, 100);
    ck_assert_int_eq(kernel.epoll_ctl_calls, 20);
    kernel.epoll_ctl_calls = 0;
    kernel.epoll_wait_calls = 0;
    seen.calls = 0;
    for (int i = 0; i < 10; i++) {
        loop_run(loop, 100);
    }
    ck_assert_int_eq(seen.calls, 200);
    ck_assert_int_eq(kernel.epoll_wait_calls, 10);
    ck_assert_int_eq(kernel.epoll_ctl_calls, 0);
    for (int i = 0; i < 20; i++) {
        loop_watch_stop(loop, &watches[i]);
        pair_free(&pairs[i]);
    }
    loop_run(loop, 0);
    ck_assert_int_eq(kernel.epoll_ctl_calls, 0);
    loop_free(loop);
}
END_TEST

START_TEST(a_change_that_is_taken_back_before_the_next_iteration_costs_nothing) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_run(loop, 0);
    kernel.epoll_ctl_calls = 0;
    loop_watch_change(loop, &watch, LOOP_READ);
    loop_watch_change(loop, &watch, LOOP_READ | LOOP_WRITE);
    loop_watch_change(loop, &watch, 0);
    loop_watch_change(loop, &watch, LOOP_READ);
    loop_run(loop, 0);
    ck_assert_int_eq(kernel.epoll_ctl_calls, 0);
    loop_watch_change(loop, &watch, LOOP_READ | LOOP_WRITE);
    loop_run(loop, 0);
    ck_assert_int_eq(kernel.epoll_ctl_calls, 1);
    loop_watch_stop(loop, &watch);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(a_wait_ends_by_its_maximum_when_nothing_happens) {
    struct loop *loop = loop_new();
    int64_t start_us = clock_monotonic_us();
    /* Early returns are allowed, waiting for ever is not, nor is never waiting. */
    int iterations = 0;
    while (clock_monotonic_us() < start_us + 50000) {
        loop_run(loop, 10);
        iterations++;
    }
    ck_assert_int_ge(iterations, 1);
    ck_assert_int_le(iterations, 50);
    loop_free(loop);
}
END_TEST

START_TEST(a_shorter_wait_is_not_held_up_by_a_longer_one_before_it) {
    struct loop *loop = loop_new();
    struct pair pair = pair_new();
    struct loop_watch watch;
    struct seen seen = {.calls = 0};
    pair_make_readable(&pair);
    loop_watch_start(loop, &watch, pair.own, LOOP_READ, note, &seen);
    loop_run(loop, UINT64_C(3600) * 1000);
    /* Read first: a stopped fd that is still ready would end the second wait early. */
    char byte;
    ck_assert_int_eq(read(pair.own, &byte, 1), 1);
    loop_watch_stop(loop, &watch);
    loop_run(loop, 5);
    ck_assert_int_eq(seen.calls, 1);
    pair_free(&pair);
    loop_free(loop);
}
END_TEST

START_TEST(a_timer_without_repeat_fires_once_and_stops) {
    struct loop *loop = loop_new();
    struct loop_timer timer = {.function = NULL};
    struct seen seen = {.calls = 0};
    loop_timer_start(loop, &timer, 1, 0, note_timer, &seen);
    ck_assert(loop_timer_is_running(&timer));
    while (seen.calls == 0) {
        loop_run(loop, LOOP_WAIT_FOREVER);
    }
    ck_assert(!loop_timer_is_running(&timer));
    loop_run(loop, 5);
    ck_assert_int_eq(seen.calls, 1);
    loop_timer_stop(loop, &timer);
    loop_free(loop);
}
END_TEST

START_TEST(a_repeating_timer_fires_until_it_is_stopped) {
    struct loop *loop = loop_new();
    struct loop_timer timer = {.function = NULL};
    struct loop_timer much_later = {.function = NULL};
    struct seen seen = {.calls = 0};
    struct seen much_later_seen = {.calls = 0};
    int64_t start_us = clock_monotonic_us();
    loop_timer_start(loop, &timer, 0, 2, note_timer, &seen);
    loop_timer_start(loop, &much_later, 5000, 0, note_timer, &much_later_seen);
    while (seen.calls < 4 && much_later_seen.calls == 0) {
        loop_run(loop, LOOP_WAIT_FOREVER);
    }
    ck_assert_int_eq(seen.calls, 4);
    loop_timer_stop(loop, &much_later);
    /* Three periods have passed between four calls. */
    ck_assert_int_ge(clock_monotonic_us() - start_us, 5000);
    loop_timer_stop(loop, &timer);
    int calls = seen.calls;
    loop_run(loop, 5);
    ck_assert_int_eq(seen.calls, calls);
    loop_free(loop);
}
END_TEST

START_TEST(a_timer_started_again_counts_anew) {
    struct loop *loop = loop_new();
    struct loop_timer timer = {.function = NULL};
    struct seen old_seen = {.calls = 0};
    struct seen new_seen = {.calls = 0};
    loop_timer_start(loop, &timer, 0, 1, note_timer, &old_seen);
    loop_timer_start(loop, &timer, 1, 0, note_timer, &new_seen);
    while (new_seen.calls == 0) {
        loop_run(loop, LOOP_WAIT_FOREVER);
    }
    ck_assert_int_eq(old_seen.calls, 0);
    loop_free(loop);
}
END_TEST

START_TEST(a_timer_counts_from_its_start_however_long_the_loop_has_not_looked) {
    struct loop *loop = loop_new();
    struct loop_timer timer = {.function = NULL};
    struct seen seen = {.calls = 0};
    usleep(30000);
    int64_t start_us = clock_monotonic_us();
    loop_timer_start(loop, &timer, 20, 0, note_timer, &seen);
    while (seen.calls == 0) {
        loop_run(loop, LOOP_WAIT_FOREVER);
    }
    ck_assert_int_ge(clock_monotonic_us() - start_us, 19000);
    loop_free(loop);
}
END_TEST

START_TEST(a_wake_before_the_wait_makes_it_return_at_once) {
    struct loop *loop = loop_new();
    loop_wake(loop);
    loop_wake(loop);
    loop_run(loop, LOOP_WAIT_FOREVER);
    loop_free(loop);
}
END_TEST

struct shared {
    struct loop *loop;
    atomic_int sent;
};

#define WAKES 2000

static void *wake_often(void *argument) {
    struct shared *shared = argument;
    for (int i = 0; i < WAKES; i++) {
        atomic_fetch_add(&shared->sent, 1);
        loop_wake(shared->loop);
    }
    return NULL;
}

START_TEST(no_wake_is_lost_between_two_waits) {
    struct shared shared = {.loop = loop_new()};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, wake_often, &shared);
    }
    /* A lost wake would leave this waiting until the test's own time is over. */
    while (atomic_load(&shared.sent) < 2 * WAKES) {
        loop_run(shared.loop, LOOP_WAIT_FOREVER);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    loop_free(shared.loop);
}
END_TEST

START_TEST(a_process_without_descriptors_gets_no_loop_and_lives) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int next_fd = dup(0);
    close(next_fd);
    /* Room for none, for the poll descriptor alone, for that and the one to be woken by. */
    for (int room = 0; room <= 2; room++) {
        struct rlimit scarce = {.rlim_cur = (rlim_t)(next_fd + room), .rlim_max = limit.rlim_max};
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &scarce), 0);
        struct loop *loop = loop_new();
        ck_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        ck_assert_int_eq(loop != NULL, room == 2);
        if (loop != NULL) {
            loop_free(loop);
        }
    }
}
END_TEST

int main(void) {
    const TTest *tests[] = {
        a_readable_fd_is_told_in_each_iteration_until_it_is_read,
        a_watch_tells_only_what_it_looks_for,
        a_watch_started_for_nothing_waits_for_its_change,
        a_closed_peer_is_told_as_readable,
        stopping_a_stopped_or_zeroed_watch_and_timer_does_nothing,
        an_fd_number_used_again_is_watched_as_a_new_one,
        an_fd_that_was_forgotten_is_never_touched_again,
        a_watch_may_be_forgotten_as_soon_as_it_was_started,
        a_callback_may_stop_itself_and_one_that_is_already_pending,
        an_fd_that_the_kernel_has_no_room_to_watch_is_told_as_failed_and_stops,
        an_iteration_costs_one_system_call_however_many_fds_are_ready,
        a_change_that_is_taken_back_before_the_next_iteration_costs_nothing,
        a_wait_ends_by_its_maximum_when_nothing_happens,
        a_shorter_wait_is_not_held_up_by_a_longer_one_before_it,
        a_timer_without_repeat_fires_once_and_stops,
        a_repeating_timer_fires_until_it_is_stopped,
        a_timer_started_again_counts_anew,
        a_timer_counts_from_its_start_however_long_the_loop_has_not_looked,
        a_wake_before_the_wait_makes_it_return_at_once,
        no_wake_is_lost_between_two_waits,
        a_process_without_descriptors_gets_no_loop_and_lives,
    };
    return unit_run(unit_suite("loop", tests, UNIT_COUNT(tests)));
}
