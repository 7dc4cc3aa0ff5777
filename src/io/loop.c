/* The one place that knows ev.h.
 *
 * Waiting is bounded by one timer, `limit`, that is moved only when it would fire too late: a
 * thread that passes the same bound at each iteration moves it once per bound, not once per
 * iteration, and returns early instead.
 */
#include "io/loop.h"

#include "base/assertion.h"
#include "base/list.h"
#include "base/memory.h"

/* The library's compatibility with its versions before 4 would add names of no use here. */
#define EV_COMPAT3 0
#include <ev.h>

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct loop {
    struct ev_loop *library;
    ev_async wake;
    ev_timer limit;
};

_Static_assert(sizeof(ev_io) <= LOOP_LIBRARY_BYTES, "a watch has room for the library's");
_Static_assert(sizeof(ev_timer) <= LOOP_LIBRARY_BYTES, "a timer has room for the library's");
_Static_assert(_Alignof(ev_io) <= 8 && _Alignof(ev_timer) <= 8, "the room is aligned");
_Static_assert((int)LOOP_READ == (int)EV_READ && (int)LOOP_WRITE == (int)EV_WRITE,
               "events need no translation");

static ev_io *watch_io(struct loop_watch *watch) {
    return (ev_io *)(void *)watch->library;
}

static ev_timer *timer_library(struct loop_timer *timer) {
    return (ev_timer *)(void *)timer->library;
}

static void wake_arrived(struct ev_loop *library, ev_async *wake, int events) {
    (void)library;
    (void)wake;
    (void)events;
}

static void limit_reached(struct ev_loop *library, ev_timer *limit, int events) {
    (void)library;
    (void)limit;
    (void)events;
}

static void watch_ready(struct ev_loop *library, ev_io *io, int library_events) {
    (void)library;
    struct loop_watch *watch = LIST_ENTRY(io, struct loop_watch, library);
    unsigned events = (unsigned)library_events & (LOOP_READ | LOOP_WRITE);
    if (UNLIKELY((library_events & (int)EV_ERROR) != 0)) {
        events |= LOOP_FAILED;
    }
    watch->function(watch->context, events);
}

static void timer_due(struct ev_loop *library, ev_timer *library_timer, int events) {
    (void)library;
    (void)events;
    struct loop_timer *timer = LIST_ENTRY(library_timer, struct loop_timer, library);
    timer->function(timer->context);
}

/* The library ends the process when it gets no descriptor to be woken by. That is the environment's
 * doing and must not: asks for one before the library does. */
static bool descriptor_is_available(void) {
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd == -1) {
        return false;
    }
    close(fd);
    return true;
}

/* Named features off: signals, timers and files are not watched by way of descriptors. */
static struct ev_loop *library_new(unsigned backend) {
    return ev_loop_new(backend | EVFLAG_NOENV | EVFLAG_NOINOTIFY | EVFLAG_NOSIGMASK |
                       EVFLAG_NOTIMERFD);
}

struct loop *loop_new(void) {
    struct ev_loop *library = library_new(EVBACKEND_EPOLL);
    if (library == NULL) {
        return NULL;
    }
    if (!descriptor_is_available()) {
        ev_loop_destroy(library);
        return NULL;
    }
    struct loop *loop = memory_alloc(sizeof(*loop));
    loop->library = library;
    ev_async_init(&loop->wake, wake_arrived);
    ev_async_start(library, &loop->wake);
    ev_timer_init(&loop->limit, limit_reached, 0., 0.);
    return loop;
}

void loop_free(struct loop *loop) {
    ev_async_stop(loop->library, &loop->wake);
    ev_timer_stop(loop->library, &loop->limit);
    ev_loop_destroy(loop->library);
    memory_free(loop);
}

void loop_watch_start(struct loop *loop, struct loop_watch *watch, int fd, unsigned events,
                      loop_watch_function function, void *context) {
    ASSERT(fd >= 0);
    ASSERT((events & ~(unsigned)(LOOP_READ | LOOP_WRITE)) == 0);
    watch->function = function;
    watch->context = context;
    ev_io *io = watch_io(watch);
    ev_io_init(io, watch_ready, fd, (int)events);
    if (events != 0) {
        ev_io_start(loop->library, io);
    }
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, unsigned events) {
    ASSERT((events & ~(unsigned)(LOOP_READ | LOOP_WRITE)) == 0);
    ASSERT(watch->function != NULL);
    ev_io *io = watch_io(watch);
    unsigned current = ev_is_active(io) ? (unsigned)io->events & (LOOP_READ | LOOP_WRITE) : 0;
    if (current == events) {
        return;
    }
    ev_io_stop(loop->library, io);
    /* Not ev_io_set(), which says that the fd may be a new one and so costs a system call. */
    ev_io_modify(io, (int)events);
    if (events != 0) {
        ev_io_start(loop->library, io);
    }
}

void loop_watch_stop(struct loop *loop, struct loop_watch *watch) {
    if (watch->function == NULL) {
        return;
    }
    ev_io_stop(loop->library, watch_io(watch));
    watch->function = NULL;
}

static void embedded(struct ev_loop *library, ev_embed *embed, int events) {
    (void)library;
    (void)embed;
    (void)events;
}

/* The library tells its own descriptor to nobody but a loop that waits for another one. It changes
 * when the library makes itself a new one. */
static int library_descriptor(struct ev_loop *library) {
    struct ev_loop *outer = library_new(EVBACKEND_POLL);
    ASSERT(outer != NULL);
    ev_embed embed;
    ev_embed_init(&embed, embedded, library);
    ev_embed_start(outer, &embed);
    int fd = embed.io.fd;
    ev_embed_stop(outer, &embed);
    ev_loop_destroy(outer);
    return fd;
}

void loop_watch_forget(struct loop *loop, struct loop_watch *watch) {
    if (watch->function == NULL) {
        return;
    }
    int fd = watch_io(watch)->fd;
    loop_watch_stop(loop, watch);
    struct epoll_event unused = {.events = 0};
    /* A watch that was just started is not known to the kernel yet. */
    int failed = epoll_ctl(library_descriptor(loop->library), EPOLL_CTL_DEL, fd, &unused);
    ASSERT(failed == 0 || errno == ENOENT);
}

void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t first_ms,
                      uint64_t repeat_ms, loop_timer_function function, void *context) {
    loop_timer_stop(loop, timer);
    timer->function = function;
    timer->context = context;
    /* The library counts from when it last looked at the clock, which a long tick leaves behind. */
    ev_now_update(loop->library);
    ev_timer *library_timer = timer_library(timer);
    ev_timer_init(library_timer, timer_due, (double)first_ms / 1000., (double)repeat_ms / 1000.);
    ev_timer_start(loop->library, library_timer);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer) {
    if (timer->function == NULL) {
        return;
    }
    ev_timer_stop(loop->library, timer_library(timer));
    timer->function = NULL;
}

bool loop_timer_is_running(const struct loop_timer *timer) {
    const ev_timer *library_timer = (const ev_timer *)(const void *)timer->library;
    return timer->function != NULL && ev_is_active(library_timer);
}

/* Sees to it that some timer fires at the latest wait_ms from now. */
static void limit_wait(struct loop *loop, uint64_t wait_ms) {
    double wait_seconds = (double)wait_ms / 1000.;
    if (ev_is_active(&loop->limit)) {
        if (ev_timer_remaining(loop->library, &loop->limit) <= wait_seconds) {
            return;
        }
        ev_timer_stop(loop->library, &loop->limit);
    }
    ev_now_update(loop->library);
    ev_timer_set(&loop->limit, wait_seconds, 0.);
    ev_timer_start(loop->library, &loop->limit);
}

void loop_run(struct loop *loop, uint64_t wait_ms_max) {
    if (wait_ms_max == 0) {
        ev_run(loop->library, EVRUN_NOWAIT);
        return;
    }
    if (wait_ms_max != LOOP_WAIT_FOREVER) {
        limit_wait(loop, wait_ms_max);
    }
    ev_run(loop->library, EVRUN_ONCE);
}

void loop_wake(struct loop *loop) {
    ev_async_send(loop->library, &loop->wake);
}
