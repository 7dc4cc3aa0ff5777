#include "server/process.h"

#include "base/buffer.h"
#include "base/logger.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

#define DEFAULT_PID_FILE "/var/run/tarn.pid"

int process_daemonize(void) {
    pid_t child = fork();
    if (child < 0) {
        return errno;
    }
    if (child > 0) {
        _exit(EXIT_SUCCESS);
    }
    setsid();
    int null = open("/dev/null", O_RDWR);
    if (null < 0) {
        return errno;
    }
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        dup2(null, fd);
    }
    if (null > STDERR_FILENO) {
        close(null);
    }
    return 0;
}

bool process_is_supervised(enum supervised supervised) {
    switch (supervised) {
    case SUPERVISED_NO:
        return false;
    case SUPERVISED_SYSTEMD:
        return getenv("NOTIFY_SOCKET") != NULL;
    case SUPERVISED_UPSTART:
        return getenv("UPSTART_JOB") != NULL;
    case SUPERVISED_AUTO:
        break;
    }
    return getenv("NOTIFY_SOCKET") != NULL || getenv("UPSTART_JOB") != NULL;
}

/* Arguments and environment stand behind one another: as far as that holds, they are the room. */
static char *room_end(char *end, char *const *strings) {
    for (; *strings != NULL; strings++) {
        if (*strings == end + 1) {
            end += strlen(*strings) + 1;
        }
    }
    return end;
}

void process_title_init(struct process_title *title, int argc, char **argv) {
    *title = (struct process_title){.program = memory_copy_string(argc == 0 ? "" : argv[0])};
    if (argc == 0) {
        return;
    }
    title->bytes = argv[0];
    char *end = room_end(argv[0] + strlen(argv[0]), argv + 1);
    end = room_end(end, environ);
    title->length = (size_t)(end - argv[0]);

    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **copies = memory_alloc((count + 1) * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        copies[i] = memory_copy_string(environ[i]);
    }
    copies[count] = NULL;
    environ = copies; /* Kept for ever: it is the environment. */
}

void process_title_free(struct process_title *title) {
    memory_free(title->program);
}

/* "*:6379", "127.0.0.1:6379", or the path of the unix socket. */
static void append_listen_address(const struct server_options *options, struct buffer *text) {
    if (options->port == 0) {
        buffer_append_string(text, options->unixsocket);
        return;
    }
    const char *address = options->bind.count == 0 ? "*" : options->bind.items[0];
    address += *address == '-' ? 1 : 0;
    buffer_format(text, "%s:%lld", address, (long long)options->port);
}

static void append_variable(const struct process_title *title, const struct server_options *options,
                            const char *config_file, struct span name, struct buffer *text) {
    if (span_is(name, "title")) {
        buffer_append_string(text, title->program);
    } else if (span_is(name, "listen-addr")) {
        append_listen_address(options, text);
    } else if (span_is(name, "port")) {
        buffer_format(text, "%lld", (long long)options->port);
    } else if (span_is(name, "unixsocket")) {
        buffer_append_string(text, options->unixsocket);
    } else if (span_is(name, "config-file")) {
        buffer_append_string(text, config_file);
    }
}

void process_title_set(const struct process_title *title, const struct server_options *options,
                       const char *config_file) {
    if (!options->set_proc_title || title->length == 0) {
        return;
    }
    struct buffer text = BUFFER_EMPTY;
    const char *at = options->proc_title_template;
    while (*at != '\0') {
        const char *end = *at == '{' ? strchr(at, '}') : NULL;
        if (end == NULL) {
            buffer_append_byte(&text, *at++);
            continue;
        }
        append_variable(title, options, config_file, span_of(at + 1, (size_t)(end - at) - 1),
                        &text);
        at = end + 1;
    }
    while (text.length > 0 && text.bytes[text.length - 1] == ' ') {
        text.length--; /* A variable at the end was empty. */
    }
    size_t length = text.length < title->length ? text.length : title->length;
    memset(title->bytes, 0, title->length);
    memcpy(title->bytes, text.bytes, length);
    buffer_free(&text);
}

/* A daemon has a pid file even when the options name none. */
static const char *pid_file(const struct server_options *options) {
    return options->pidfile[0] == '\0' && options->daemonize ? DEFAULT_PID_FILE : options->pidfile;
}

void process_write_pid_file(const struct server_options *options) {
    const char *path = pid_file(options);
    if (path[0] == '\0') {
        return;
    }
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        log_warning("Failed to write PID file: %s", strerror(errno));
        return;
    }
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
}

void process_remove_pid_file(const struct server_options *options) {
    const char *path = pid_file(options);
    if (path[0] != '\0' && unlink(path) == 0) {
        log_notice("Removing the pid file.");
    }
}
