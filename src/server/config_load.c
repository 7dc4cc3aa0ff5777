#include "server/config_entries.h"

#include "base/memory.h"
#include "commands/command.h"
#include "io/files.h"

#include <errno.h>
#include <glob.h>
#include <unistd.h>

/* One run through the sources. */
struct loading {
    struct config *config;
    struct buffer *notes;
    struct buffer *error;
    unsigned depth; /* of includes */
    unsigned files;
};

/* Lines that redis-server obeys, that have no meaning here, and that must not be ignored. */
static const struct {
    const char *name;
    const char *reason;
} refused_lines[] = {
    {"user", "users are not supported by this server; requirepass sets a password"},
    {"loadmodule", "modules are not supported by this server"},
};
#define REFUSED_LINES (sizeof(refused_lines) / sizeof(refused_lines[0]))

/* Reporting: one text for all that can be wrong, in redis-server's shape. */

static void report_start(struct loading *loading) {
    buffer_append_string(loading->error,
                         "\n*** FATAL CONFIG FILE ERROR (Tarn " CONFIG_VERSION ") ***\n");
}

static size_t word_length(struct span line) {
    size_t length = 0;
    while (length < line.length && line.bytes[length] > ' ') {
        length++;
    }
    return length;
}

/* The line as it was written, but for passwords and what a terminal would obey. */
static void report_line(struct loading *loading, struct span line) {
    struct span name = span_of(line.bytes, word_length(line));
    buffer_append_string(loading->error, ">>> '");
    if (config_is_sensitive(loading->config, name)) {
        buffer_append_span(loading->error, name);
        buffer_append_string(loading->error, " (hidden)");
    } else {
        for (size_t i = 0; i < line.length; i++) {
            unsigned char byte = (unsigned char)line.bytes[i];
            buffer_append_byte(loading->error, byte < ' ' || byte == 127 ? '?' : (char)byte);
        }
    }
    buffer_append_string(loading->error, "'\n");
}

static void report_reason(struct loading *loading, struct span reason) {
    buffer_append_span(loading->error, reason);
    buffer_append_byte(loading->error, '\n');
}

static void report_file(struct loading *loading, const char *name, const char *reason) {
    report_start(loading);
    buffer_format(loading->error, "Can't read config file '%s': %s\n", name, reason);
}

/* Options */

static void note(struct loading *loading, struct config_entry *entry) {
    if ((entry->row->flags & OPTION_NO_MEANING) != 0 && !entry->noted) {
        entry->noted = true;
        buffer_format(loading->notes,
                      "The option '%s' has no meaning here: it is accepted, without effect\n",
                      entry->row->name);
    }
}

/* Adds the arguments to what earlier lines of the same source said. */
static bool entry_add(struct config_entry *entry, const struct span *arguments, size_t count,
                      struct buffer *reason) {
    struct buffer text = BUFFER_EMPTY;
    option_format(entry->row, entry->place, &text);
    for (size_t i = 0; i < count; i++) {
        if (text.length != 0) {
            buffer_append_byte(&text, ' ');
        }
        buffer_append_span(&text, arguments[i]);
    }
    bool done = option_parse_text(entry->row, entry->place, buffer_span(&text), reason);
    buffer_free(&text);
    return done;
}

static bool entry_load(struct loading *loading, struct config_entry *entry,
                       const struct span *arguments, size_t count, struct buffer *reason) {
    const struct option *row = entry->row;
    struct buffer path = BUFFER_EMPTY;
    struct span absolute;
    if ((row->flags & OPTION_PATH) != 0 && count == 1 && arguments[0].length != 0 &&
        arguments[0].bytes[0] != '/') {
        buffer_append_string(&path, loading->config->start_dir);
        buffer_append_byte(&path, '/');
        buffer_append_span(&path, arguments[0]);
        absolute = buffer_span(&path);
        arguments = &absolute;
    }
    bool clears = count == 0 || (count == 1 && arguments[0].length == 0);
    bool adds = (row->flags & OPTION_ADDITIVE) != 0 && entry->seen && !clears;
    bool done = adds ? entry_add(entry, arguments, count, reason)
                     : option_parse(row, entry->place, arguments, count, reason);
    buffer_free(&path);
    if (!done) {
        return false;
    }
    if ((row->flags & OPTION_UNSUPPORTED) != 0 && !option_is_default(row, entry->place)) {
        buffer_append_string(reason, "this server does not support it, and ignoring it would not "
                                     "be what it says");
        return false;
    }
    entry->seen = true;
    note(loading, entry);
    return true;
}

/* Obeys one line of words, but for `include`. False: `reason` says why not. */
static bool words_load(struct loading *loading, const struct span *words, size_t count,
                       struct buffer *reason) {
    ASSERT(count != 0);
    for (size_t i = 0; i < REFUSED_LINES; i++) {
        if (span_is(words[0], refused_lines[i].name)) {
            buffer_append_string(reason, refused_lines[i].reason);
            return false;
        }
    }
    if (span_is(words[0], "rename-command") && count == 3) {
        const char *error = command_table_rename(loading->config->commands, words[1], words[2]);
        buffer_append_string(reason, error == NULL ? "" : error);
        return error == NULL;
    }
    struct config_entry *entry = config_find(loading->config, words[0]);
    if (entry == NULL) {
        buffer_append_string(reason, "Bad directive or wrong number of arguments");
        return false;
    }
    return entry_load(loading, entry, words + 1, count - 1, reason);
}

/* Files */

static bool file_load(struct loading *loading, const char *path);

/* The path as seen from where the server was started; the caller frees it. */
static char *start_path(const struct config *config, struct span path) {
    struct buffer absolute = BUFFER_EMPTY;
    if (path.length == 0 || path.bytes[0] != '/') {
        buffer_append_string(&absolute, config->start_dir);
        buffer_append_byte(&absolute, '/');
    }
    buffer_append_span(&absolute, path);
    buffer_append_byte(&absolute, '\0');
    return absolute.bytes;
}

/* Loads one file, or all that a pattern finds, in the order of their names. False: `reason` says
 * why when the line is at fault; what is wrong in a file has been reported, and `reason` is
 * empty. */
static bool include(struct loading *loading, struct span pattern, struct buffer *reason) {
    if (pattern.length == 0 || memchr(pattern.bytes, '\0', pattern.length) != NULL) {
        buffer_append_string(reason, "wrong number of arguments");
        return false;
    }
    if (loading->depth == CONFIG_INCLUDE_DEPTH_MAX) {
        buffer_format(reason, "files include each other more than %d deep",
                      CONFIG_INCLUDE_DEPTH_MAX);
        return false;
    }
    char *path = start_path(loading->config, pattern);
    glob_t found = {0};
    loading->depth++;
    bool done = true;
    int status = strpbrk(path, "*?[") == NULL ? GLOB_ABORTED : glob(path, 0, NULL, &found);
    if (status == GLOB_ABORTED) {
        done = file_load(loading, path);
    }
    for (size_t i = 0; status == 0 && done && i < found.gl_pathc; i++) {
        done = file_load(loading, found.gl_pathv[i]);
    }
    loading->depth--;
    globfree(&found);
    memory_free(path);
    return done;
}

struct line {
    const char *file;
    size_t number;
    struct span text; /* without the spaces around it */
};

static bool line_fail(struct loading *loading, const struct line *line, struct span reason) {
    report_start(loading);
    buffer_format(loading->error, "Reading the configuration file '%s', at line %zu\n", line->file,
                  line->number);
    report_line(loading, line->text);
    report_reason(loading, reason);
    return false;
}

static bool line_load(struct loading *loading, const struct line *line) {
    struct span words[CONFIG_LINE_WORDS_MAX];
    size_t count = 0;
    struct buffer bytes = BUFFER_EMPTY;
    struct buffer reason = BUFFER_EMPTY;
    bool done = false;
    if (!option_split_line(line->text, &bytes, words, CONFIG_LINE_WORDS_MAX, &count)) {
        buffer_append_string(&reason, count == CONFIG_LINE_WORDS_MAX
                                          ? "Too many words in configuration line"
                                          : "Unbalanced quotes in configuration line");
    } else if (span_is(words[0], "include") && count == 2) {
        done = include(loading, words[1], &reason);
    } else {
        done = words_load(loading, words, count, &reason);
    }
    if (!done && reason.length != 0) {
        line_fail(loading, line, buffer_span(&reason));
    }
    buffer_free(&reason);
    buffer_free(&bytes);
    return done;
}

static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct span trimmed(struct span text) {
    while (text.length != 0 && is_space(text.bytes[0])) {
        text = span_of(text.bytes + 1, text.length - 1);
    }
    while (text.length != 0 && is_space(text.bytes[text.length - 1])) {
        text.length--;
    }
    return text;
}

static bool text_load(struct loading *loading, const char *name, struct span text) {
    struct line line = {.file = name, .number = 0};
    size_t start = 0;
    while (start < text.length) {
        const char *end = memchr(text.bytes + start, '\n', text.length - start);
        size_t stop = end == NULL ? text.length : (size_t)(end - text.bytes);
        line.number++;
        line.text = trimmed(span_of(text.bytes + start, stop - start));
        bool empty = line.text.length == 0 || line.text.bytes[0] == '#';
        if (!empty && !line_load(loading, &line)) {
            return false;
        }
        start = stop + 1;
    }
    return true;
}

static bool file_load(struct loading *loading, const char *path) {
    if (loading->files == CONFIG_INCLUDE_FILES_MAX) {
        report_file(loading, path, "too many included files");
        return false;
    }
    loading->files++;
    struct buffer content = BUFFER_EMPTY;
    bool done = false;
    switch (file_read_whole(path, CONFIG_FILE_BYTES_MAX, &content)) {
    case FILE_DONE:
        done = text_load(loading, path, buffer_span(&content));
        break;
    case FILE_TOO_LARGE:
        report_file(loading, path, "it is too large");
        break;
    case FILE_FAILED:
        report_file(loading, path, strerror(errno));
        break;
    }
    buffer_free(&content);
    return done;
}

static void source_start(struct config *config) {
    for (size_t i = 0; i < config->count; i++) {
        config->entries[i].seen = false;
    }
}

bool config_load_text(struct config *config, const char *name, struct span text,
                      struct buffer *notes, struct buffer *error) {
    struct loading loading = {.config = config, .notes = notes, .error = error};
    source_start(config);
    return text_load(&loading, name, text);
}

/* The command line: [file] [-] [--name value ...]... [-] */

/* One "--name value ...". */
struct group {
    const char *text; /* the argument with the name, dashes included */
    struct span words[CONFIG_LINE_WORDS_MAX];
    size_t count;
    struct buffer bytes; /* behind the words of an argument like "--port 7777" */
};

struct cursor {
    const struct config *config;
    size_t next;
};

enum step { STEP_GROUP, STEP_END, STEP_FAIL };

static bool is_name(const char *argument) {
    return argument[0] == '-' && argument[1] == '-';
}

/* Reads the next group. As redis-server has it, the argument behind a name is its value even if it
 * begins with dashes, but `--save` may stand alone; later values end where dashes begin. */
static enum step cursor_next(struct cursor *cursor, struct group *group) {
    const struct config *config = cursor->config;
    if (cursor->next == config->argument_count) {
        return STEP_END;
    }
    group->text = config->arguments[cursor->next];
    group->count = 0;
    buffer_clear(&group->bytes);
    cursor->next++;
    if (strcmp(group->text, "-h") == 0 || strcmp(group->text, "-v") == 0) {
        group->words[0] = span_of_string(group->text[1] == 'h' ? "help" : "version");
        group->count = 1;
        return STEP_GROUP;
    }
    if (!is_name(group->text) ||
        !option_split_line(span_of_string(group->text + 2), &group->bytes, group->words,
                           CONFIG_LINE_WORDS_MAX, &group->count) ||
        group->count == 0) {
        return STEP_FAIL;
    }
    bool may_be_alone =
        span_is(group->words[0], "save") || span_is(group->words[0], "check-config");
    bool value_due = group->count == 1 && !may_be_alone;
    while (cursor->next < config->argument_count) {
        const char *argument = config->arguments[cursor->next];
        if (is_name(argument) && !value_due) {
            break;
        }
        if (group->count == CONFIG_LINE_WORDS_MAX) {
            return STEP_FAIL;
        }
        group->words[group->count] = span_of_string(argument);
        group->count++;
        cursor->next++;
        value_due = false;
    }
    return STEP_GROUP;
}

static const struct {
    const char *name;
    enum config_request request;
} requests[] = {
    {"help", CONFIG_REQUEST_HELP},           {"version", CONFIG_REQUEST_VERSION},
    {"check-config", CONFIG_REQUEST_CHECK},  {"print-config", CONFIG_REQUEST_PRINT_CONFIG},
    {"print-man", CONFIG_REQUEST_PRINT_MAN},
};

/* CONFIG_REQUEST_RUN for a group that is an option. */
static enum config_request group_request(const struct group *group) {
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (group->count == 1 && span_is(group->words[0], requests[i].name)) {
            return requests[i].request;
        }
    }
    return CONFIG_REQUEST_RUN;
}

static bool group_fail(struct loading *loading, const struct group *group, struct span reason) {
    struct buffer line = BUFFER_EMPTY;
    for (size_t i = 0; i < group->count; i++) {
        buffer_append_string(&line, i == 0 ? "" : " ");
        buffer_append_span(&line, group->words[i]);
    }
    report_start(loading);
    buffer_append_string(loading->error, "Reading the command line\n");
    report_line(loading, group->count == 0 ? span_of_string(group->text) : buffer_span(&line));
    report_reason(loading, reason);
    buffer_free(&line);
    return false;
}

static bool group_load(struct loading *loading, const struct group *group) {
    struct buffer reason = BUFFER_EMPTY;
    bool done;
    if (group->count == 1 && span_is(group->words[0], "save")) {
        struct span words[] = {group->words[0], span_of_string("")};
        done = words_load(loading, words, 2, &reason);
    } else if (group->count == 2 && span_is(group->words[0], "include")) {
        done = include(loading, group->words[1], &reason);
    } else {
        done = words_load(loading, group->words, group->count, &reason);
    }
    if (!done && reason.length != 0) {
        group_fail(loading, group, buffer_span(&reason));
    }
    buffer_free(&reason);
    return done;
}

/* What is asked for besides running, by the groups from `first` on. */
static enum config_request groups_request(struct loading *loading, size_t first) {
    enum config_request asked = CONFIG_REQUEST_RUN;
    struct cursor cursor = {.config = loading->config, .next = first};
    struct group group = {.bytes = BUFFER_EMPTY};
    enum step step = cursor_next(&cursor, &group);
    while (step == STEP_GROUP) {
        enum config_request request = group_request(&group);
        if (request != CONFIG_REQUEST_RUN && asked == CONFIG_REQUEST_RUN) {
            asked = request;
        }
        step = cursor_next(&cursor, &group);
    }
    if (step == STEP_FAIL) {
        group_fail(loading, &group, span_of_string("Options begin with --, as in --port 7777"));
        asked = CONFIG_REQUEST_FAIL;
    }
    buffer_free(&group.bytes);
    return asked;
}

static bool groups_load(struct loading *loading, size_t first) {
    source_start(loading->config);
    struct cursor cursor = {.config = loading->config, .next = first};
    struct group group = {.bytes = BUFFER_EMPTY};
    bool done = true;
    while (done && cursor_next(&cursor, &group) == STEP_GROUP) {
        done = group_request(&group) != CONFIG_REQUEST_RUN || group_load(loading, &group);
    }
    buffer_free(&group.bytes);
    return done;
}

/* Standard input can be read only once: a reload takes what it said the first time. */
static bool standard_input_load(struct loading *loading) {
    struct buffer *text = &loading->config->standard_input;
    if (text->bytes == NULL) {
        buffer_reserve(text, 1);
        enum file_status status = file_read_descriptor(STDIN_FILENO, CONFIG_FILE_BYTES_MAX, text);
        if (status != FILE_DONE) {
            report_file(loading, "standard input",
                        status == FILE_TOO_LARGE ? "it is too large" : strerror(errno));
            return false;
        }
    }
    return text_load(loading, "standard input", buffer_span(text));
}

/* Takes the last argument away when it is "-". */
static bool ends_with_dash(struct config *config) {
    size_t count = config->argument_count;
    return count != 0 && strcmp(config->arguments[count - 1], "-") == 0;
}

static bool sources_load(struct loading *loading, size_t first, bool reads_standard_input) {
    struct config *config = loading->config;
    source_start(config);
    return (config->file[0] == '\0' || file_load(loading, config->file)) &&
           (!reads_standard_input || standard_input_load(loading)) && groups_load(loading, first);
}

enum config_request config_load(struct config *config, struct buffer *notes, struct buffer *error) {
    struct loading loading = {.config = config, .notes = notes, .error = error};
    size_t first = 0;
    if (config->argument_count != 0 && config->arguments[0][0] != '-') {
        memory_free(config->file);
        config->file = start_path(config, span_of_string(config->arguments[0]));
        first = 1;
    }
    bool reads_standard_input = false;
    if (first < config->argument_count && strcmp(config->arguments[first], "-") == 0) {
        reads_standard_input = true;
        first++;
    }
    size_t argument_count = config->argument_count;
    if (first < argument_count && ends_with_dash(config)) {
        reads_standard_input = true;
        config->argument_count--; /* hidden from the groups, until the end of this function */
    }
    enum config_request request = groups_request(&loading, first);
    bool loads = request == CONFIG_REQUEST_RUN || request == CONFIG_REQUEST_CHECK;
    if (loads && !sources_load(&loading, first, reads_standard_input)) {
        request = CONFIG_REQUEST_FAIL;
    }
    config->argument_count = argument_count;
    return request;
}

enum config_request config_load_arguments(struct config *config, int argc, char *const *argv,
                                          struct buffer *notes, struct buffer *error) {
    ASSERT(config->arguments == NULL);
    config->argument_count = argc > 1 ? (size_t)argc - 1 : 0;
    config->arguments = memory_alloc_zeroed((config->argument_count + 1) * sizeof(char *));
    for (size_t i = 0; i < config->argument_count; i++) {
        config->arguments[i] = memory_copy_string(argv[i + 1]);
    }
    /* The file stands first, but "--check-config FILE" is what people write. */
    if (config->argument_count >= 2 && strcmp(config->arguments[0], "--check-config") == 0 &&
        !is_name(config->arguments[1])) {
        char *file = config->arguments[1];
        config->arguments[1] = config->arguments[0];
        config->arguments[0] = file;
    }
    return config_load(config, notes, error);
}
