/* What the files config*.c share: the rows with the places of their values. Nobody else includes
 * it. */
#ifndef TARN_SERVER_CONFIG_ENTRIES_H
#define TARN_SERVER_CONFIG_ENTRIES_H

#include "server/config.h"

#ifdef PACKAGE_VERSION
#define CONFIG_VERSION PACKAGE_VERSION
#else
#define CONFIG_VERSION "0"
#endif

struct config_entry {
    const struct option *row;
    void *place;
    bool owns_place; /* the row has no field */
    bool seen;       /* in the source that is being loaded: file or command line */
    bool noted;      /* that it has no meaning here */
    config_change change;
    void *change_context;
};

struct config {
    struct options *options;
    struct command_table *commands;
    struct config_entry *entries; /* in the order of the tables, without titles */
    size_t count;
    char *start_dir;  /* where relative paths of file and command line begin */
    char *file;       /* absolute, or "" */
    char **arguments; /* of the command line, without the program's name */
    size_t argument_count;
    struct buffer standard_input; /* what "-" has read, kept for config_reload() */
};

#define CONFIG_TABLE_COUNT 6
/* The tables of all layers, in the order of the manual; the unused rows last. */
extern const struct option_table *const config_tables[CONFIG_TABLE_COUNT];

/* NULL: no option has this name. */
struct config_entry *config_find(const struct config *config, struct span name);

/* Runs the command line that config->arguments holds. */
enum config_request config_load(struct config *config, struct buffer *notes, struct buffer *error);

#endif
