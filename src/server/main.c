/* tarn-server: reads its configuration, starts, serves until told to stop, stops. */
#include "base/logger.h"
#include "io/signals.h"
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static void print(int fd, const struct buffer *text) {
    for (size_t at = 0; at < text->length;) {
        ssize_t written = write(fd, text->bytes + at, text->length - at);
        if (written <= 0) {
            break;
        }
        at += (size_t)written;
    }
}

/* Answers what was asked for instead of running. */
static int answer(enum config_request request, const char *program, const struct buffer *notes) {
    struct buffer text = BUFFER_EMPTY;
    switch (request) {
    case CONFIG_REQUEST_HELP:
        config_print_help(program, &text);
        break;
    case CONFIG_REQUEST_VERSION:
        config_print_version(program, &text);
        break;
    case CONFIG_REQUEST_CHECK:
        buffer_append_span(&text, buffer_span(notes));
        buffer_append_string(&text, "The configuration is valid.\n");
        break;
    case CONFIG_REQUEST_PRINT_CONFIG:
        config_print_file(&text);
        break;
    case CONFIG_REQUEST_PRINT_MAN:
        config_print_man(&text);
        break;
    case CONFIG_REQUEST_RUN:
    case CONFIG_REQUEST_FAIL:
        break;
    }
    print(STDOUT_FILENO, &text);
    buffer_free(&text);
    return EX_OK;
}

static int serve(struct config *config, struct options *options, const struct buffer *notes,
                 const struct process_title *title) {
    bool is_supervised = process_is_supervised(options->server.supervised);
    if (options->server.daemonize && !is_supervised && process_daemonize() != 0) {
        fprintf(stderr, "Can't go to the background: %s\n", strerror(errno));
        return EX_OSERR;
    }
    if (!server_configure_logger(&options->server)) {
        fprintf(stderr, "Can't open the log file %s: %s\n", options->server.logfile,
                strerror(errno));
        return EX_CANTCREAT;
    }
    signals_init();
    signals_report_crashes("tarn-server " SERVER_VERSION);
    log_notice("oO0OoO0OoO0Oo Tarn is starting oO0OoO0OoO0Oo");
    log_notice("Tarn version=%s, behaves as Redis version=%s, bits=64, pid=%d, just started",
               SERVER_VERSION, NODE_REDIS_VERSION, (int)getpid());
    if (config_file(config)[0] == '\0') {
        log_notice("No config file is named, the defaults and the command line hold.");
    }
    server_log_lines(LOG_NOTICE, notes);
    struct server *server = server_new(config, options, title);
    int code = server_start(server);
    if (code == EX_OK) {
        server_wait(server);
        code = server_stop(server);
    }
    server_free(server);
    return code == SERVER_ENDED ? EX_OK : code;
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
    } else if (request == CONFIG_REQUEST_RUN) {
        struct process_title title;
        process_title_init(&title, argc, argv);
        code = serve(config, &options, &notes, &title);
        process_title_free(&title);
    } else {
        code = answer(request, argv[0], &notes);
    }
    buffer_free(&notes);
    buffer_free(&error);
    config_free(config);
    return code;
}
