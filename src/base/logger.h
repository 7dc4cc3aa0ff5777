/* The logger: lines in Redis' shape, "pid:role day month year time.ms mark message", to standard
 * error, a file or syslog. It is one of the two globals that the project has. Any thread may log;
 * one line is one write. After fork or in a signal handler only logger_write_raw() may be used.
 */
#ifndef TARN_BASE_LOGGER_H
#define TARN_BASE_LOGGER_H

#include <stdbool.h>
#include <stdint.h>

/* A line with its prefix and newline; what a message has more is cut. */
#define LOGGER_LINE_BYTES_MAX ((size_t)4096)

enum log_level { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING };

struct logger_options {
    enum log_level level;
    const char *file; /* path, or "" for standard error; kept by the caller */
    bool syslog_enabled;
    const char *syslog_ident; /* kept too */
    int syslog_facility;
};

/* May be called again to change level or file (SIGHUP reopens). False: the file cannot be opened,
 * errno says why, and nothing changed. */
bool logger_configure(const struct logger_options *options);
/* The letter behind the pid: 'M' primary, 'S' replica, 'X' Sentinel-like, 'C' helper. */
void logger_set_role(char role);
enum log_level logger_level(void);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_verbose(...) log_write(LOG_VERBOSE, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)

/* Async-signal-safe: the text as it is, to where the log goes. */
void logger_write_raw(const char *text);

#endif
