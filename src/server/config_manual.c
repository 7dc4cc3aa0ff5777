/* Texts made from the rows: what --help, --version, --print-config and --print-man print. */
#include "server/config_entries.h"

#include "base/memory.h"

#define TEXT_COLUMNS 78
#define HELP_NAME_COLUMNS 36

struct walk {
    struct buffer *text;
    bool (*wants)(const struct option *row);
    void (*title)(struct buffer *text, const char *title);
    void (*row)(struct buffer *text, const struct option *row, const void *place);
};

static void walk_row(const struct walk *walk, const struct option *row) {
    void *place = memory_alloc_zeroed(option_place_bytes(row));
    option_init(row, place);
    walk->row(walk->text, row, place);
    option_clear(row, place);
    memory_free(place);
}

/* Visits the wanted rows in the order of the manual, each with a place that holds its default, and
 * the titles that have some. */
static void walk_rows(const struct walk *walk) {
    for (size_t i = 0; i < CONFIG_TABLE_COUNT; i++) {
        const char *title = NULL;
        for (size_t j = 0; j < config_tables[i]->count; j++) {
            const struct option *row = &config_tables[i]->rows[j];
            if (option_is_title(row)) {
                title = row->help;
            } else if (walk->wants(row)) {
                if (title != NULL) {
                    walk->title(walk->text, title);
                    title = NULL;
                }
                walk_row(walk, row);
            }
        }
    }
}

static bool is_shown(const struct option *row) {
    return (row->flags & (OPTION_HIDDEN | OPTION_UNSUPPORTED)) == 0;
}

static bool has_meaning(const struct option *row) {
    return is_shown(row) && (row->flags & OPTION_NO_MEANING) == 0;
}

/* Appends text in lines of TEXT_COLUMNS, each begun by `margin`. */
static void append_wrapped(struct buffer *text, const char *margin, struct span words) {
    size_t column = 0;
    while (words.length != 0) {
        const char *space = memchr(words.bytes, ' ', words.length);
        size_t length = space == NULL ? words.length : (size_t)(space - words.bytes);
        if (column != 0 && column + 1 + length > TEXT_COLUMNS) {
            buffer_append_byte(text, '\n');
            column = 0;
        }
        buffer_append_string(text, column == 0 ? margin : " ");
        column += column == 0 ? strlen(margin) : 1;
        buffer_append(text, words.bytes, length);
        column += length;
        size_t used = space == NULL ? length : length + 1;
        words = span_of(words.bytes + used, words.length - used);
    }
    buffer_append_byte(text, '\n');
}

void config_print_version(const char *program, struct buffer *text) {
    buffer_format(text, "%s " CONFIG_VERSION " (%s, %zu bits)\n", program, memory_allocator_name(),
                  sizeof(void *) * 8);
}

/* A path is shown as it is written, not as it is from here. */
static void default_append(const struct option *row, const void *place, struct buffer *text) {
    if ((row->flags & OPTION_PATH) != 0) {
        buffer_append_string(text, row->default_text);
    } else {
        option_format_quoted(row, place, text);
    }
}

static void help_title(struct buffer *text, const char *title) {
    buffer_format(text, "\n%s\n", title);
}

static void help_row(struct buffer *text, const struct option *row, const void *place) {
    struct buffer value = BUFFER_EMPTY;
    default_append(row, place, &value);
    buffer_format(text, "  --%-*s ", HELP_NAME_COLUMNS, row->name);
    option_describe_type(row, text);
    buffer_append_string(text, " [");
    buffer_append_span(text, buffer_span(&value));
    buffer_append_string(text, "]\n");
    buffer_free(&value);
}

void config_print_help(const char *program, struct buffer *text) {
    buffer_format(text,
                  "Usage: %s [CONFIG-FILE] [-] [--OPTION VALUE...]...\n"
                  "\n"
                  "A cache and store that speaks the Redis protocol. Options are those of the\n"
                  "config file, whose syntax is that of redis.conf; - reads more of it from\n"
                  "standard input, and what the command line says comes last.\n"
                  "\n"
                  "  -h, --help       this text\n"
                  "  -v, --version    the version\n"
                  "  --check-config   checks file and options, says what is wrong, and ends\n"
                  "  --print-config   a config file with all options at their defaults\n"
                  "  --print-man      the options for the manual page\n"
                  "\n"
                  "Examples: %s --port 7777 --maxmemory 1gb\n"
                  "          %s /etc/tarn/tarn.conf --loglevel verbose\n",
                  program, program, program);
    walk_rows(
        &(struct walk){.text = text, .wants = has_meaning, .title = help_title, .row = help_row});
}

static void file_title(struct buffer *text, const char *title) {
    buffer_format(text, "\n################ %s\n", title);
}

static void file_row(struct buffer *text, const struct option *row, const void *place) {
    buffer_append_byte(text, '\n');
    append_wrapped(text, "# ", span_of_string(row->help));
    struct buffer line = BUFFER_EMPTY;
    buffer_append_string(&line, "Value: ");
    option_describe_type(row, &line);
    buffer_append_byte(&line, '.');
    if (row->alias != NULL) {
        buffer_format(&line, " Also called %s.", row->alias);
    }
    append_wrapped(text, "# ", buffer_span(&line));
    buffer_clear(&line);
    default_append(row, place, &line);
    buffer_format(text, "%s ", row->name);
    buffer_append_span(text, buffer_span(&line));
    buffer_append_byte(text, '\n');
    buffer_free(&line);
}

void config_print_file(struct buffer *text) {
    buffer_append_string(text,
                         "# Configuration of tarn-server, with all options at their "
                         "defaults.\n"
                         "#\n"
                         "# A line is a name and a value. Values with spaces stand in \"quotes\"; "
                         "sizes may have\n"
                         "# units (1k is 1000, 1kb is 1024, and so on with m and g). "
                         "`include path` reads\n"
                         "# another file, or all that match path/*.conf.\n");
    walk_rows(
        &(struct walk){.text = text, .wants = has_meaning, .title = file_title, .row = file_row});
}

/* Text that roff must not take for its own. */
static void man_append(struct buffer *text, struct span words) {
    if (words.length != 0 && (words.bytes[0] == '.' || words.bytes[0] == '\'')) {
        buffer_append_string(text, "\\&");
    }
    for (size_t i = 0; i < words.length; i++) {
        char byte = words.bytes[i];
        if (byte == '\\') {
            buffer_append_string(text, "\\e");
        } else if (byte == '-') {
            buffer_append_string(text, "\\-");
        } else {
            buffer_append_byte(text, byte);
        }
    }
}

static void man_title(struct buffer *text, const char *title) {
    buffer_append_string(text, ".SS ");
    man_append(text, span_of_string(title));
    buffer_append_byte(text, '\n');
}

static void man_row(struct buffer *text, const struct option *row, const void *place) {
    struct buffer part = BUFFER_EMPTY;
    default_append(row, place, &part);
    buffer_append_string(text, ".TP\n.B ");
    man_append(text, span_of_string(row->name));
    buffer_append_byte(text, ' ');
    man_append(text, buffer_span(&part));
    buffer_append_byte(text, '\n');
    buffer_clear(&part);
    option_describe_type(row, &part);
    man_append(text, span_of_string(row->help));
    buffer_append_string(text, "\nValue: ");
    man_append(text, buffer_span(&part));
    buffer_append_string(text, ".\n");
    if (row->alias != NULL) {
        buffer_append_string(text, "Also called ");
        man_append(text, span_of_string(row->alias));
        buffer_append_string(text, ".\n");
    }
    if ((row->flags & OPTION_IMMUTABLE) != 0) {
        buffer_append_string(text, "Cannot be changed while the server runs.\n");
    }
    buffer_free(&part);
}

void config_print_man(struct buffer *text) {
    buffer_append_string(text,
                         ".SH OPTIONS\n"
                         "Each option is shown with its default. In the config file it is a line,\n"
                         "on the command line it is \\-\\-name value.\n");
    walk_rows(&(struct walk){.text = text, .wants = is_shown, .title = man_title, .row = man_row});
}
