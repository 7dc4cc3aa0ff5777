#define _GNU_SOURCE 1

#include "io/signals.h"

#include "base/assertion.h"
#include "base/logger.h"
#include "base/memory.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CRASH_FRAMES_MAX 64
#define CRASH_STACK_BYTES ((size_t)64 * 1024)

static const int served_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What a signal handler can know it must find in static memory: set once before the handlers
 * are. */
static struct {
    const char *version;
    atomic_flag
        is_reporting; /* the first thread that crashes reports, the others wait for the end */
} crash = {.version = "", .is_reporting = ATOMIC_FLAG_INIT};

static sigset_t served_set(void) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < COUNT_OF(served_signals); i++) {
        sigaddset(&set, served_signals[i]);
    }
    return set;
}

static void set_disposition(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    int result = sigaction(number, &action, NULL);
    ASSERT(result == 0);
}

void signals_init(void) {
    sigset_t set = served_set();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* Started in the background, a process may inherit "ignore", which would drop even what is
     * blocked. SIGHUP keeps it: that is how nohup works. */
    set_disposition(SIGTERM, SIG_DFL, 0);
    set_disposition(SIGINT, SIG_DFL, 0);
    set_disposition(SIGPIPE, SIG_IGN, 0);
    /* A file that may not grow is an error of its write. */
    set_disposition(SIGXFSZ, SIG_IGN, 0);
    if (getpid() == 1) {
        set_disposition(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
    }
}

void signals_block_all(void) {
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < COUNT_OF(crash_signals); i++) {
        sigdelset(&set, crash_signals[i]);
    }
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

int signals_wait(uint64_t timeout_ms) {
    sigset_t set = served_set();
    if (timeout_ms == UINT64_MAX) {
        int number;
        do {
            number = sigwaitinfo(&set, NULL);
        } while (number == -1);
        return number;
    }
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ms / 1000),
                               .tv_nsec = (long)(timeout_ms % 1000) * 1000000};
    int number = sigtimedwait(&set, NULL, &timeout);
    return number > 0 ? number : 0;
}

int signals_open(void) {
    sigset_t set = served_set();
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int signals_next(int fd) {
    struct signalfd_siginfo info;
    ssize_t count;
    do {
        count = read(fd, &info, sizeof(info));
    } while (count == -1 && errno == EINTR);
    return count == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}

/* The crash report. From here on everything is async-signal-safe: no allocation, no stdio. */

struct report {
    char text[1024];
    size_t length;
};

static void report_text(struct report *report, const char *text) {
    while (*text != '\0' && report->length < sizeof(report->text) - 1) {
        report->text[report->length++] = *text++;
    }
    report->text[report->length] = '\0';
}

static void report_number(struct report *report, uint64_t number, unsigned base) {
    char digits[24];
    size_t start = sizeof(digits) - 1;
    digits[start] = '\0';
    do {
        digits[--start] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    report_text(report, digits + start);
}

static const char *signal_name(int number) {
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGFPE:
        return "SIGFPE";
    case SIGILL:
        return "SIGILL";
    default:
        return "SIGABRT";
    }
}

/* Where the program stood, or 0 on machines that are not known here. */
static uint64_t crash_instruction(const ucontext_t *context) {
#if defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uint64_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static void report_cause(struct report *report, const siginfo_t *info, const ucontext_t *context) {
    report_text(report, "\n\n=== TARN BUG REPORT START ===\n# ");
    report_text(report, crash.version);
    report_text(report, "\n# Ended by signal ");
    report_number(report, (uint64_t)info->si_signo, 10);
    report_text(report, " (");
    report_text(report, signal_name(info->si_signo));
    if (info->si_code <= 0 && info->si_pid == getpid()) {
        report_text(report, "), raised by the process itself");
    } else if (info->si_code <= 0) {
        report_text(report, "), sent by process ");
        report_number(report, (uint64_t)info->si_pid, 10);
    } else {
        report_text(report, "), code ");
        report_number(report, (uint64_t)info->si_code, 10);
        report_text(report, ", at address 0x");
        report_number(report, (uint64_t)(uintptr_t)info->si_addr, 16);
    }
    report_text(report, "\n# Process ");
    report_number(report, (uint64_t)getpid(), 10);
    report_text(report, ", thread ");
    report_number(report, (uint64_t)gettid(), 10);
    report_text(report, ", instruction 0x");
    report_number(report, crash_instruction(context), 16);
    report_text(report, "\n\n--- BACKTRACE\n");
}

/* The C library writes a backtrace to descriptors only, the logger may write elsewhere: a pipe,
 * which holds all of it, leads from one to the other. */
static void report_backtrace(void) {
    void *frames[CRASH_FRAMES_MAX];
    int count = backtrace(frames, CRASH_FRAMES_MAX);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1) {
        backtrace_symbols_fd(frames, count, STDERR_FILENO);
        return;
    }
    backtrace_symbols_fd(frames, count, ends[1]);
    close(ends[1]);
    char text[512];
    ssize_t length;
    while ((length = read(ends[0], text, sizeof(text) - 1)) > 0) {
        text[length] = '\0';
        logger_write_raw(text);
    }
    close(ends[0]);
}

/* Ends as if there had been no handler. A fault happens again as soon as the handler returns, and
 * abort() goes on by itself; what another process sent must be sent again, and to a process with
 * the number 1 nobody can send it. */
static void end_as_signalled(const siginfo_t *info) {
    for (size_t i = 0; i < COUNT_OF(crash_signals); i++) {
        set_disposition(crash_signals[i], SIG_DFL, 0);
    }
    if (info->si_code > 0) {
        return;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, info->si_signo);
    raise(info->si_signo);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + info->si_signo);
}

static void crash_arrived(int number, siginfo_t *info, void *context) {
    (void)number;
    if (atomic_flag_test_and_set(&crash.is_reporting)) {
        for (;;) {
            pause();
        }
    }
    struct report report = {.length = 0};
    report_cause(&report, info, context);
    logger_write_raw(report.text);
    report_backtrace();
    logger_write_raw("\n=== TARN BUG REPORT END. Please report it, from START to here. ===\n\n");
    end_as_signalled(info);
}

void signals_report_crashes(const char *version) {
    crash.version = version;
    /* The first backtrace of a process loads a library, which a handler must not. */
    void *frame;
    backtrace(&frame, 1);
    struct sigaction action = {.sa_sigaction = crash_arrived, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT_OF(crash_signals); i++) {
        sigaddset(&action.sa_mask, crash_signals[i]);
    }
    for (size_t i = 0; i < COUNT_OF(crash_signals); i++) {
        int result = sigaction(crash_signals[i], &action, NULL);
        ASSERT(result == 0);
    }
}

void signals_stack_enter(struct signals_stack *stack) {
    stack->memory = memory_alloc(CRASH_STACK_BYTES);
    stack_t description = {.ss_sp = stack->memory, .ss_size = CRASH_STACK_BYTES};
    int result = sigaltstack(&description, NULL);
    ASSERT(result == 0);
}

void signals_stack_leave(struct signals_stack *stack) {
    stack_t description = {.ss_flags = SS_DISABLE};
    int result = sigaltstack(&description, NULL);
    ASSERT(result == 0);
    memory_free(stack->memory);
    stack->memory = NULL;
}
