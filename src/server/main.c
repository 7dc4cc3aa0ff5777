/* tarn-server: reads its configuration, starts, serves until told to stop, stops. */
#include "base/logger.h"
#include "io/signals.h"
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static void print(int fd, struct buffer *text) {
    for (size_t at = 0; at < text->length;) {
        ssize_t written = write(fd, text->bytes + at, text->length - at);
        if (written <= 0) {
            break;
        }
        at += (size_t)written;
    }
    buffer_free(text);
}

/* Answers what was asked for instead of running. */
static int answer(enum config_request request, const char *program) {
    struct buffer text = BUFFER_EMPTY;
    switch (request) {
    case CONFIG_REQUEST_HELP:
        config_print_help(program, &text);
        break;
    case CONFIG_REQUEST_VERSION:
        config_print_version(program, &text);
        break;
    case CONFIG_REQUEST_PRINT_CONFIG:
        config_print_file(&text);
        break;
    case CONFIG_REQUEST_PRINT_MAN:
        config_print_man(&text);
        break;
    default:
        break;
    }
    print(STDOUT_FILENO, &text);
    return EX_OK;
}

static bool configure_logger(const struct server_options *options) {
    return logger_configure(&(struct logger_options){
        .level = (enum log_level)options->loglevel,
        .file = options->logfile,
        .syslog_enabled = options->syslog_enabled,
        .syslog_ident = options->syslog_ident,
        .syslog_facility = options->syslog_facility,
    });
}

/* One log line for each line of the notes. */
static void log_notes(struct buffer *notes) {
    const char *at = notes->bytes;
    const char *end = at == NULL ? NULL : at + notes->length;
    while (at != end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end == NULL ? end : line_end) - at);
        log_notice("%.*s", (int)length, at);
        at = line_end == NULL ? end : line_end + 1;
    }
    buffer_free(notes);
}

static int serve(struct config *config, struct options *options, struct buffer *notes) {
    if (!configure_logger(&options->server)) {
        fprintf(stderr, "Can't open the log file %s: %s\n", options->server.logfile,
                strerror(errno));
        return EX_CANTCREAT;
    }
    signals_init();
    signals_report_crashes("tarn-server " SERVER_VERSION);
    log_notice("oO0OoO0OoO0Oo Tarn is starting oO0OoO0OoO0Oo");
    log_notice("Tarn version=%s, bits=64, pid=%d, just started", SERVER_VERSION, (int)getpid());
    log_notes(notes);
    struct server *server = server_new(config, options);
    int code = server_start(server);
    if (code == EX_OK) {
        server_wait(server);
        code = server_stop(server);
        server_free(server);
    }
    return code;
}

int main(int argc, char **argv) {
    struct options options;
    struct buffer notes = BUFFER_EMPTY;
    struct buffer error = BUFFER_EMPTY;
    struct config *config = config_new(&options);
    enum config_request request = config_load_arguments(config, argc, argv, &notes, &error);
    int code = EX_OK;
    if (request == CONFIG_REQUEST_FAIL) {
        print(STDERR_FILENO, &error);
        code = EX_CONFIG;
    } else if (request == CONFIG_REQUEST_CHECK) {
        printf("Configuration is valid.\n");
    } else if (request == CONFIG_REQUEST_RUN) {
        code = serve(config, &options, &notes);
    } else {
        code = answer(request, argv[0]);
    }
    buffer_free(&notes);
    buffer_free(&error);
    config_free(config);
    return code;
}
