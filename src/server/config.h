/* The configuration: the rows of all layers put together, and where their values come from.
 *
 *   defaults -> config file (with its includes) -> command line -> CONFIG SET -> CONFIG REWRITE
 *
 * Lifecycle: config_new(), then config_load_arguments() once, then config_get(), config_set() and
 * config_rewrite() as long as the server runs, then config_free(). The struct options that it was
 * given belongs to the caller; config_free() clears it.
 * Thread: one at a time. config_set() and config_reload() write the options, so the caller stops
 * the workers around them.
 * Limits: CONFIG_* below; beyond them a file is refused.
 *
 * Errors of loading are appended to a buffer as the text that the server should print before it
 * ends with EX_CONFIG (78): several lines, in the shape that redis-server gives them. Errors of
 * CONFIG SET and CONFIG REWRITE are reply texts without the leading "-": "ERR ...".
 */
#ifndef TARN_SERVER_CONFIG_H
#define TARN_SERVER_CONFIG_H

#include "server/options.h"

#define CONFIG_FILE_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define CONFIG_LINE_WORDS_MAX 256
#define CONFIG_INCLUDE_DEPTH_MAX 16
#define CONFIG_INCLUDE_FILES_MAX 1024

struct config;
struct command_table;

struct config *config_new(struct options *options); /* sets all defaults */
void config_free(struct config *config);

/* What the command line asks for. */
enum config_request {
    CONFIG_REQUEST_RUN,
    CONFIG_REQUEST_HELP,         /* --help, -h */
    CONFIG_REQUEST_VERSION,      /* --version, -v */
    CONFIG_REQUEST_CHECK,        /* --check-config with the rest as for a run */
    CONFIG_REQUEST_PRINT_CONFIG, /* --print-config: the default config file */
    CONFIG_REQUEST_PRINT_MAN,    /* --print-man: the option section of the manual page */
    CONFIG_REQUEST_FAIL,         /* `error` says why: exit with EX_CONFIG */
};

/* Reads the command line: [file | -] [--name value ...]..., and the file it names; "-" is standard
 * input. argv[0] is skipped. For every option that has no meaning here, `notes` gets one line ended
 * by a newline, to be logged once the logger is configured. */
enum config_request config_load_arguments(struct config *config, int argc, char *const *argv,
                                          struct buffer *notes, struct buffer *error);

/* Reads the text of a config file; `name` stands for it in errors. False: `error` says why. */
bool config_load_text(struct config *config, const char *name, struct span text,
                      struct buffer *notes, struct buffer *error);

/* Absolute path of the config file, or "" when there is none. */
const char *config_file(const struct config *config);

/* All commands, by the names that rename-command lines leave them. The configuration's own. */
const struct command_table *config_command_table(const struct config *config);

/* Calls `found` for every option that matches one of the patterns, once, in the order of the table.
 * A pattern without glob characters finds hidden options too. */
typedef void (*config_found)(void *context, struct span name, struct span value);
void config_get(const struct config *config, const struct span *patterns, size_t count,
                config_found found, void *context);

/* Puts a change of an option into effect. Called by config_set() after all fields have their new
 * values, and again after a rollback. False: `error` says why, and the whole CONFIG SET is undone.
 * A (function, context) that is registered for several options is called once for a CONFIG SET. */
typedef bool (*config_change)(void *context, struct buffer *error);
void config_on_change(struct config *config, const char *name, config_change function,
                      void *context);

/* Sets all or nothing. `pairs` holds 2 * count spans: name, value, name, value ... `local`: the
 * client is on this machine, which enable-protected-configs may ask for. False: `error` has the
 * reply. */
bool config_set(struct config *config, const struct span *pairs, size_t count, bool local,
                struct buffer *error);

/* True when the option's value must not be logged (CONFIG SET requirepass in SLOWLOG, MONITOR). */
bool config_is_sensitive(const struct config *config, struct span name);

/* Writes the values back into the config file: lines, order and comments stay, options that differ
 * from their default and have no line are appended. The file changes in one step or not at all. */
bool config_rewrite(struct config *config, struct buffer *error);

/* Reads the config file and the command line again (SIGHUP), and sets what differs and may be set
 * at run time. What may not is named in `notes`. False: `error` says why, nothing changed. */
bool config_reload(struct config *config, struct buffer *notes, struct buffer *error);

/* Texts made from the rows. */
void config_print_help(const char *program, struct buffer *text);
void config_print_version(const char *program, struct buffer *text);
void config_print_file(struct buffer *text);
void config_print_man(struct buffer *text); /* roff, with the man macros */

#endif
