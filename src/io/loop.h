/* An event loop: what a thread waits in. The only code that knows libev.
 *
 * Lifecycle: loop_new(); watches and timers are started; loop_run() again and again, each call one
 * iteration; everything is stopped; loop_free(). A watch or timer is embedded in what it serves and
 * must stay where it is from start to stop; starting allocates nothing once the loop knows the fd.
 *
 * Thread: a loop belongs to one thread. loop_wake() is the one function that others may call.
 *
 * Cost: an iteration is one epoll_wait. A watch costs one epoll_ctl at its start; stopping one is
 * free when its fd is closed next. Always stop a watch before closing its fd.
 *
 * Callbacks should only note that something is ready: the thread does its work, stage by stage,
 * after loop_run() has returned. A callback may start, change and stop any watch and timer of its
 * loop, its own too; it must not call loop_run() or loop_free().
 */
#ifndef TARN_IO_LOOP_H
#define TARN_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* What a watch looks for, and what its callback is told. An error or a hang-up of the fd counts as
 * readiness: the read or write then tells which. LOOP_FAILED is told only: the kernel had no room
 * to watch this fd, and the watch has stopped. */
enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_FAILED = 4 };

typedef void (*loop_watch_function)(void *context, unsigned events);
typedef void (*loop_timer_function)(void *context);

#define LOOP_LIBRARY_BYTES 48

/* Fields are the loop's own. A zeroed watch or timer is a stopped one. */
struct loop_watch {
    loop_watch_function function;
    void *context;
    _Alignas(8) unsigned char library[LOOP_LIBRARY_BYTES];
};

struct loop_timer {
    loop_timer_function function;
    void *context;
    _Alignas(8) unsigned char library[LOOP_LIBRARY_BYTES];
};

/* NULL: the kernel has no descriptors left; errno says so. */
struct loop *loop_new(void);
/* All watches and timers must have been stopped, and no thread may still call loop_wake(). */
void loop_free(struct loop *loop);

/* Starts a stopped watch. events: LOOP_READ, LOOP_WRITE or both. Readiness is a level: the callback
 * comes in each iteration for as long as the fd is ready. */
void loop_watch_start(struct loop *loop, struct loop_watch *watch, int fd, unsigned events,
                      loop_watch_function function, void *context);
/* Looks for other events from now on; 0 pauses the watch, which stays bound to its fd. Allowed only
 * between start and stop. No change costs nothing. */
void loop_watch_change(struct loop *loop, struct loop_watch *watch, unsigned events);
/* What is pending for it will not be called. Stopping a stopped watch does nothing. The kernel may
 * still tell of the fd: the loop then touches it once more, unless it has been closed. */
void loop_watch_stop(struct loop *loop, struct loop_watch *watch);
/* Stops it, and the loop never touches its fd again: another thread may have it from here on. Costs
 * some system calls. */
void loop_watch_forget(struct loop *loop, struct loop_watch *watch);

/* Calls the function after first_ms, then every repeat_ms; a repeat of 0 is a timer that stops by
 * itself before its only call. Measured by the monotonic clock; a loop that comes late does not
 * make up for calls that it missed. Starting a running timer sets it anew. */
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t first_ms,
                      uint64_t repeat_ms, loop_timer_function function, void *context);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);
bool loop_timer_is_running(const struct loop_timer *timer);

/* A wait that only an event, a timer or loop_wake() ends. */
#define LOOP_WAIT_FOREVER UINT64_MAX

/* One iteration: looks at the fds, waiting for at most wait_ms_max until something happens (0: does
 * not wait), calls what is ready and due, returns. It may return early with nothing called. */
void loop_run(struct loop *loop, uint64_t wait_ms_max);

/* Ends the wait that the loop is in, or else makes its next one return at once. Any thread, and
 * from signal handlers. Costs a system call only if the loop really waits and nobody has woken it.
 * What the loop's thread is to find when it returns goes by a mailbox or atomics, before this
 * call. */
void loop_wake(struct loop *loop);

#endif
