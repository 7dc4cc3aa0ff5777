#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dup3 */
#endif

#include <syslog.h>

/* syslog.h has macros named like our levels: their numbers are kept, the names given back. */
enum {
    PRIORITY_DEBUG = LOG_DEBUG,
    PRIORITY_VERBOSE = LOG_INFO,
    PRIORITY_NOTICE = LOG_NOTICE,
    PRIORITY_WARNING = LOG_WARNING,
};
#undef LOG_DEBUG
#undef LOG_NOTICE
#undef LOG_WARNING

#include "base/logger.h"

#include "base/assertion.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The one global. Atomics, so that a reconfiguration needs no lock against the threads that log. */
static struct {
    atomic_int level;
    atomic_int descriptor;      /* where lines go */
    atomic_int file_descriptor; /* the log file's number once there was one, else -1 */
    atomic_bool syslog_enabled;
    atomic_char role;
} logger = {
    .level = LOG_NOTICE,
    .descriptor = STDERR_FILENO,
    .file_descriptor = -1,
    .syslog_enabled = false,
    .role = 'C',
};

/* Opens the file under the number that the log file always has: dup3 swaps the file behind it in
 * one step, so a thread that is just writing writes to the old or the new one, never to a
 * stranger. */
static bool file_open(const char *path) {
    int opened = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (opened < 0) {
        return false;
    }
    int reserved = atomic_load(&logger.file_descriptor);
    if (reserved < 0) {
        atomic_store(&logger.file_descriptor, opened);
        return true;
    }
    int status = dup3(opened, reserved, O_CLOEXEC);
    int reason = errno;
    close(opened);
    errno = reason;
    return status >= 0;
}

bool logger_configure(const struct logger_options *options) {
    bool to_file = options->file != NULL && options->file[0] != '\0';
    if (to_file && !file_open(options->file)) {
        return false;
    }
    atomic_store(&logger.descriptor,
                 to_file ? atomic_load(&logger.file_descriptor) : STDERR_FILENO);
    if (options->syslog_enabled) {
        openlog(options->syslog_ident, LOG_PID | LOG_NDELAY | LOG_NOWAIT, options->syslog_facility);
    }
    atomic_store(&logger.syslog_enabled, options->syslog_enabled);
    atomic_store(&logger.level, (int)options->level);
    return true;
}

void logger_set_role(char role) {
    atomic_store_explicit(&logger.role, role, memory_order_relaxed);
}

enum log_level logger_level(void) {
    return (enum log_level)atomic_load_explicit(&logger.level, memory_order_relaxed);
}

/* A disk that is full must not stop the node, so what cannot be written is lost. */
static void bytes_write(const char *bytes, size_t length) {
    int descriptor = atomic_load_explicit(&logger.descriptor, memory_order_relaxed);
    ssize_t written;
    do {
        written = write(descriptor, bytes, length);
    } while (written < 0 && errno == EINTR);
}

/* "pid:role day month year hour:minute:second.ms mark ", as redis-server's lines begin. */
static size_t prefix_format(char *line, size_t line_bytes, enum log_level level) {
    static const char marks[] = ".-*#";
    struct timespec now;
    struct tm parts;
    char moment[64];
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &parts);
    strftime(moment, sizeof(moment), "%d %b %Y %H:%M:%S", &parts);
    char role = atomic_load_explicit(&logger.role, memory_order_relaxed);
    int length = snprintf(line, line_bytes, "%d:%c %s.%03d %c ", (int)getpid(), role, moment,
                          (int)(now.tv_nsec / 1000000), marks[level]);
    ASSERT(length > 0);
    ASSERT((size_t)length < line_bytes);
    return (size_t)length;
}

void log_write(enum log_level level, const char *format, ...) {
    static const int priorities[] = {PRIORITY_DEBUG, PRIORITY_VERBOSE, PRIORITY_NOTICE,
                                     PRIORITY_WARNING};
    ASSERT(level < LOG_NOTHING);
    if (level < logger_level()) {
        return;
    }
    int reason = errno;
    char line[LOGGER_LINE_BYTES_MAX];
    size_t prefix = prefix_format(line, sizeof(line), level);
    /* One byte stays for the end of the line, where vsnprintf has put its zero. */
    size_t room = sizeof(line) - prefix;
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line + prefix, room, format, arguments);
    va_end(arguments);
    size_t message = wanted < 0 ? 0 : (size_t)wanted;
    message = message < room ? message : room - 1;
    if (atomic_load_explicit(&logger.syslog_enabled, memory_order_relaxed)) {
        syslog(priorities[level], "%.*s", (int)message, line + prefix);
    }
    line[prefix + message] = '\n';
    bytes_write(line, prefix + message + 1);
    errno = reason;
}

void logger_write_raw(const char *text) {
    int reason = errno;
    bytes_write(text, strlen(text));
    errno = reason;
}
