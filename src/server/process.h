/* What the server does to itself as a process: going to the background, its title in ps, its pid
 * file. Main thread, before other threads start.
 */
#ifndef TARN_SERVER_PROCESS_H
#define TARN_SERVER_PROCESS_H

#include "server/options.h"

/* Goes on as a child in a session of its own, without terminal; the parent ends. 0 or an errno. Log
 * and signals are set up afterwards. */
int process_daemonize(void);

/* Whether a service manager started the process and watches it, as `supervised` says or the
 * environment. */
bool process_is_supervised(enum supervised supervised);

/* The title in ps: memory of the command line that may be written over. The environment moves out
 * of the way, so it is made before anything keeps pointers to it. */
struct process_title {
    char *bytes;
    size_t length;
    char *program; /* a copy of argv[0] */
};
void process_title_init(struct process_title *title, int argc, char **argv);
void process_title_free(struct process_title *title);
/* Fills {title}, {listen-addr}, {server-mode}, {port}, {unixsocket} and {config-file} of the
 * template in. */
void process_title_set(const struct process_title *title, const struct server_options *options,
                       const char *config_file);

/* Creates the file that holds the pid, if the options name one, and removes it. */
void process_write_pid_file(const struct server_options *options);
void process_remove_pid_file(const struct server_options *options);

#endif
