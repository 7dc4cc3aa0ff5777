/* Signals: they reach the main thread only, and there as values, not as handlers.
 *
 * signals_init() comes first in main, before any thread: it blocks the signals that the server
 * answers to, so that all threads inherit that, and the main thread picks them up, either by
 * waiting (signals_wait) or from a descriptor in its loop (signals_open, signals_next). A blocked
 * signal is kept for a process with the number 1 too, for whom the kernel drops unhandled ones: in
 * a container SIGTERM works.
 *
 * The crash report is the exception: SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write a short
 * report through the logger and then end the process the way it would have ended without.
 */
#ifndef TARN_IO_SIGNALS_H
#define TARN_IO_SIGNALS_H

#include <stdint.h>

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2; ignores SIGPIPE and SIGXFSZ; lets the kernel
 * reap children when the process has the number 1, since orphans end up there. */
void signals_init(void);

/* Blocks every signal, crashes excepted, in the calling thread: for threads that libraries might
 * signal. Threads started after signals_init() need it only to be sure. */
void signals_block_all(void);

/* Waits for one of the signals blocked by signals_init(). Its number, or 0 after timeout_ms
 * (UINT64_MAX: never). */
int signals_wait(uint64_t timeout_ms);

/* A descriptor that becomes readable when a signal is there; signals_next() takes one, 0: none
 * left. The caller closes it. -1 with errno. */
int signals_open(void);
int signals_next(int fd);

/* Installs the crash report. version: a line of text that the report repeats, kept by the caller
 * for ever. Main thread, once. */
void signals_report_crashes(const char *version);

/* A crash on an overflowed stack can be reported only from another stack: each thread that should
 * be able to calls enter at its start, and leave at its end. */
struct signals_stack {
    void *memory;
};
void signals_stack_enter(struct signals_stack *stack);
void signals_stack_leave(struct signals_stack *stack);

#endif
