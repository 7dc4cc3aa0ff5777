/* Options: one row per option, and everything that can be done with a row.
 *
 * A layer that has options keeps them as plain fields of one struct (struct store_options, struct
 * worker_options ...) and exports a constant table of rows that says, for each field, its name,
 * type, range, default and meaning. Parsing, formatting and the manual all come from the row;
 * nothing else in the program knows an option's name. server/config.h puts the tables together.
 *
 * A value is always (row, place), where place is the address of the row's field. Field types:
 *
 *   type                     field            text
 *   OPTION_BOOL              bool             yes, no
 *   OPTION_INTEGER           int64_t          decimal, between min and max
 *   OPTION_MEMORY            int64_t          bytes, or with a unit: 64mb; formatted as bytes
 *   OPTION_MEMORY_OR_PERCENT int64_t          as memory, or 5% which is kept as -5
 *   OPTION_OCTAL             int64_t          octal digits, 0 to 777
 *   OPTION_ENUM              an enum, or int    one of `words`
 *   OPTION_FLAGS             int              some of `words`, their values or-ed together
 *   OPTION_STRING            char *           any bytes but zero; owned, never NULL
 *   OPTION_LIST              struct option_list   words between spaces, at most `max` of them
 *   OPTION_CUSTOM            what `custom` says   what `custom` says; plain data without pointers
 *
 * Threads: fields are plain. They are written by one thread while no other thread reads them:
 * before the workers start, or under a stop of all workers.
 * Error texts are redis-server's, so that CONFIG SET and the config file complain as Redis does.
 */
#ifndef TARN_BASE_OPTION_H
#define TARN_BASE_OPTION_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPTION_BOOL,
    OPTION_INTEGER,
    OPTION_MEMORY,
    OPTION_MEMORY_OR_PERCENT,
    OPTION_OCTAL,
    OPTION_ENUM,
    OPTION_FLAGS,
    OPTION_STRING,
    OPTION_LIST,
    OPTION_CUSTOM,
};

enum option_flag {
    OPTION_IMMUTABLE = 1 << 0,      /* CONFIG SET refuses it */
    OPTION_HIDDEN = 1 << 1,         /* CONFIG GET shows it only when asked by its full name */
    OPTION_SENSITIVE = 1 << 2,      /* its value must not appear in logs */
    OPTION_MULTI = 1 << 3,          /* takes several arguments: `bind a b c` */
    OPTION_PROTECTED = 1 << 4,      /* CONFIG SET only as enable-protected-configs allows */
    OPTION_NO_MEANING = 1 << 5,     /* kept for tools that read it back; changes nothing here */
    OPTION_UNSUPPORTED = 1 << 6,    /* only its default is accepted: ignoring it would be unsafe */
    OPTION_ADDITIVE = 1 << 7,       /* each line of a config file adds to the earlier lines */
    OPTION_REWRITE_ALWAYS = 1 << 8, /* CONFIG REWRITE writes it even at its default */
    OPTION_PATH = 1 << 9, /* in a config file it is relative to where the server was started */
};

/* The offset of a row whose value nobody reads: server/config keeps it beside the structs. */
#define OPTION_NO_FIELD SIZE_MAX
#define OPTION_LIST_ITEMS_MAX 64
/* Arguments that one text of an OPTION_MULTI row may be split into. */
#define OPTION_ARGUMENTS_MAX 256
/* Bytes of the largest field of an OPTION_CUSTOM. */
#define OPTION_CUSTOM_BYTES_MAX ((size_t)2048)

/* One word of an OPTION_ENUM or OPTION_FLAGS; a table of them ends with a NULL name. */
struct option_word {
    const char *name;
    int value;
};

struct option_list {
    char **items; /* each owned */
    size_t count;
};

struct option;

struct option_custom {
    size_t size_bytes; /* of the field; at most OPTION_CUSTOM_BYTES_MAX */
    const char *shape; /* for the manual: "seconds changes ..." */
    /* Reads the arguments into the field at place. False: `error` says why, the field is
     * unchanged. */
    bool (*parse)(const struct option *row, void *place, const struct span *arguments, size_t count,
                  struct buffer *error);
    void (*format)(const struct option *row, const void *place, struct buffer *text);
};

struct option {
    const char *name;
    const char *alias; /* the other name of the same option in Redis, or NULL */
    enum option_type type;
    unsigned flags;
    size_t offset;    /* of the field in the layer's struct, or OPTION_NO_FIELD */
    int64_t min, max; /* of a number; of a list, max is its greatest length (0: the limit above) */
    const struct option_word *words;
    const struct option_custom *custom;
    size_t words_per_line; /* in a config file, when the value is split over lines; else 0 */
    /* Puts a value of the right type into its final form, or says no to it: false, and `error` says
     * why. Or NULL. */
    bool (*settle)(const struct option *row, void *place, struct buffer *error);
    const char *default_text;
    const char *help; /* one or more sentences for the manual */
};

/* The rows of one layer. A row with a NULL name in it starts a new section of the manual: its
 * `help` is the title. */
struct option_table {
    const struct option *rows;
    size_t count;
};

static inline bool option_is_title(const struct option *row) {
    return row->name == NULL;
}

static inline void *option_place(const struct option *row, void *options) {
    ASSERT(row->offset != OPTION_NO_FIELD);
    return (char *)options + row->offset;
}

/* True when `name` is the row's name or alias, in any case. */
bool option_is_named(const struct option *row, struct span name);

/* Bytes of a field of this row. */
size_t option_place_bytes(const struct option *row);

/* Makes a zeroed place hold the default. option_clear() frees what a place owns. */
void option_init(const struct option *row, void *place);
void option_clear(const struct option *row, void *place);

/* Sets the value from arguments, as in a line of a config file. False: `error` has a sentence
 * without a full stop, as redis-server says it, and the value is unchanged. */
bool option_parse(const struct option *row, void *place, const struct span *arguments, size_t count,
                  struct buffer *error);
/* The same from one text, as CONFIG SET gives it: rows with OPTION_MULTI split it at spaces. */
bool option_parse_text(const struct option *row, void *place, struct span text,
                       struct buffer *error);

/* Appends the value as CONFIG GET shows it. */
void option_format(const struct option *row, const void *place, struct buffer *text);
/* Appends the value as it must stand in a config file, with quotes where they are needed. The row's
 * words_per_line is the caller's business. */
void option_format_quoted(const struct option *row, const void *place, struct buffer *text);
bool option_is_default(const struct option *row, const void *place);

/* Appends what the value may be: "yes or no", "0 to 65535", "bytes", ... */
void option_describe_type(const struct option *row, struct buffer *text);

/* All rows of a table that have fields: for layers' own tests, and for config. */
void option_table_init(const struct option_table *table, void *options);
void option_table_clear(const struct option_table *table, void *options);

/* Splits a line of a config file into words by Redis' rules of quoting: words between spaces,
 * "..." with \n \r \t \b \a \xHH \\ \", '...' with \'. Words are appended to `bytes`, and their
 * spans to `words` (at most max). False: a quote is not closed or is followed by more, or too many
 * words. The spans are valid until `bytes` changes. */
bool option_split_line(struct span line, struct buffer *bytes, struct span *words, size_t max,
                       size_t *count);
/* Appends "text" with what needs it escaped, so that option_split_line() gives the same back. */
void option_quote(struct span text, struct buffer *line);

#endif
