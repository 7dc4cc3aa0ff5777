#include "base/option.h"

#include "base/memory.h"
#include "base/numbers.h"

#include <inttypes.h>

/* What a field of any type but OPTION_CUSTOM holds. */
union value {
    bool boolean;
    int64_t integer;
    int word;
    char *string;
    struct option_list list;
};

_Static_assert(sizeof(enum option_type) == sizeof(int), "an enum's field is written as an int");

bool option_is_named(const struct option *row, struct span name) {
    return span_is(name, row->name) || (row->alias != NULL && span_is(name, row->alias));
}

size_t option_place_bytes(const struct option *row) {
    switch (row->type) {
    case OPTION_BOOL:
        return sizeof(bool);
    case OPTION_INTEGER:
    case OPTION_MEMORY:
    case OPTION_MEMORY_OR_PERCENT:
    case OPTION_OCTAL:
        return sizeof(int64_t);
    case OPTION_ENUM:
    case OPTION_FLAGS:
        return sizeof(int);
    case OPTION_STRING:
        return sizeof(char *);
    case OPTION_LIST:
        return sizeof(struct option_list);
    case OPTION_CUSTOM:
        return row->custom->size_bytes;
    }
    ASSERT(row->type <= OPTION_CUSTOM);
    return 0;
}

static void list_clear(struct option_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        memory_free(list->items[i]);
    }
    memory_free(list->items);
    *list = (struct option_list){.items = NULL, .count = 0};
}

void option_clear(const struct option *row, void *place) {
    if (row->type == OPTION_STRING) {
        char *string;
        memcpy(&string, place, sizeof(string));
        memory_free(string);
        memset(place, 0, sizeof(string));
    } else if (row->type == OPTION_LIST) {
        list_clear(place);
    }
}

void option_init(const struct option *row, void *place) {
    struct buffer error = BUFFER_EMPTY;
    bool parsed = option_parse_text(row, place, span_of_string(row->default_text), &error);
    ASSERT(parsed);
    buffer_free(&error);
}

/* Parsing. Each of these fills a value that nothing is owned by yet. */

static bool parse_bool(struct span text, bool *boolean, struct buffer *error) {
    *boolean = span_is(text, "yes");
    if (!*boolean && !span_is(text, "no")) {
        buffer_append_string(error, "argument must be 'yes' or 'no'");
        return false;
    }
    return true;
}

static bool in_range(const struct option *row, int64_t number, struct buffer *error) {
    if (number < row->min || number > row->max) {
        const char *format = row->type == OPTION_OCTAL
                                 ? "argument must be between %" PRIo64 " and %" PRIo64 " inclusive"
                                 : "argument must be between %" PRId64 " and %" PRId64 " inclusive";
        buffer_format(error, format, row->min, row->max);
        return false;
    }
    return true;
}

static bool parse_integer(const struct option *row, struct span text, int64_t *number,
                          struct buffer *error) {
    if (!number_parse(text, number)) {
        buffer_append_string(error, "argument couldn't be parsed into an integer");
        return false;
    }
    return in_range(row, *number, error);
}

static bool parse_memory(const struct option *row, struct span text, int64_t *size_bytes,
                         struct buffer *error) {
    bool may_be_percent = row->type == OPTION_MEMORY_OR_PERCENT;
    if (may_be_percent && text.length > 1 && text.bytes[text.length - 1] == '%') {
        int64_t percent;
        if (number_parse(span_of(text.bytes, text.length - 1), &percent) && percent >= 0) {
            if (percent > 100) {
                buffer_append_string(error, "percentage argument must be less or equal to 100");
                return false;
            }
            *size_bytes = -percent;
            return true;
        }
    } else if (number_parse_memory(text, size_bytes)) {
        return in_range(row, *size_bytes, error);
    }
    buffer_append_string(error, may_be_percent ? "argument must be a memory or percent value"
                                               : "argument must be a memory value");
    return false;
}

static bool parse_octal(const struct option *row, struct span text, int64_t *number,
                        struct buffer *error) {
    *number = 0;
    bool is_octal = text.length != 0 && text.length <= 20;
    for (size_t i = 0; is_octal && i < text.length; i++) {
        is_octal = text.bytes[i] >= '0' && text.bytes[i] <= '7';
        *number = *number * 8 + (text.bytes[i] - '0');
    }
    if (!is_octal) {
        buffer_append_string(error, "argument couldn't be parsed as an octal number");
        return false;
    }
    return in_range(row, *number, error);
}

static void words_append(const struct option *row, const char *between, struct buffer *text) {
    for (const struct option_word *word = row->words; word->name != NULL; word++) {
        if (word != row->words) {
            buffer_append_string(text, between);
        }
        buffer_append_string(text, word->name);
    }
}

static const struct option_word *word_find(const struct option *row, struct span name) {
    for (const struct option_word *word = row->words; word->name != NULL; word++) {
        if (span_is(name, word->name)) {
            return word;
        }
    }
    return NULL;
}

static bool parse_words(const struct option *row, const struct span *arguments, size_t count,
                        int *value, struct buffer *error) {
    *value = 0;
    bool known = count != 0;
    for (size_t i = 0; known && i < count; i++) {
        const struct option_word *word = word_find(row, arguments[i]);
        known = word != NULL;
        *value |= known ? word->value : 0;
    }
    if (!known) {
        buffer_append_string(error, "argument(s) must be one of the following: ");
        words_append(row, ", ", error);
    }
    return known;
}

static char *string_copy(struct span text) {
    char *string = memory_alloc(text.length + 1);
    if (text.length != 0) {
        memcpy(string, text.bytes, text.length);
    }
    string[text.length] = '\0';
    return string;
}

/* A string that the system is given must not end before its end. */
static bool parse_string(struct span text, char **string, struct buffer *error) {
    if (text.length != 0 && memchr(text.bytes, '\0', text.length) != NULL) {
        buffer_append_string(error, "argument must not contain a zero byte");
        return false;
    }
    *string = string_copy(text);
    return true;
}

static bool parse_list(const struct option *row, const struct span *arguments, size_t count,
                       struct option_list *list, struct buffer *error) {
    size_t max = row->max != 0 ? (size_t)row->max : OPTION_LIST_ITEMS_MAX;
    *list = (struct option_list){.items = memory_alloc(max * sizeof(char *)), .count = 0};
    for (size_t i = 0; i < count; i++) {
        if (arguments[i].length == 0) {
            continue;
        }
        if (list->count == max) {
            buffer_format(error, "at most %zu arguments are allowed", max);
            list_clear(list);
            return false;
        }
        if (memchr(arguments[i].bytes, ' ', arguments[i].length) != NULL) {
            /* It could not be told from two when it is shown. */
            buffer_append_string(error, "argument must not contain a space");
            list_clear(list);
            return false;
        }
        if (!parse_string(arguments[i], &list->items[list->count], error)) {
            list_clear(list);
            return false;
        }
        list->count++;
    }
    return true;
}

static bool parse_value(const struct option *row, const struct span *arguments, size_t count,
                        union value *value, struct buffer *error) {
    switch (row->type) {
    case OPTION_BOOL:
        return parse_bool(arguments[0], &value->boolean, error);
    case OPTION_INTEGER:
        return parse_integer(row, arguments[0], &value->integer, error);
    case OPTION_MEMORY:
    case OPTION_MEMORY_OR_PERCENT:
        return parse_memory(row, arguments[0], &value->integer, error);
    case OPTION_OCTAL:
        return parse_octal(row, arguments[0], &value->integer, error);
    case OPTION_ENUM:
    case OPTION_FLAGS:
        return parse_words(row, arguments, count, &value->word, error);
    case OPTION_STRING:
        return parse_string(arguments[0], &value->string, error);
    case OPTION_LIST:
        return parse_list(row, arguments, count, &value->list, error);
    case OPTION_CUSTOM:
        break;
    }
    ASSERT(row->type != OPTION_CUSTOM);
    return false;
}

static bool parse_arguments(const struct option *row, void *place, const struct span *arguments,
                            size_t count, struct buffer *error) {
    if (count != 1 && (row->flags & OPTION_MULTI) == 0) {
        buffer_append_string(error, "wrong number of arguments");
        return false;
    }
    if (row->type == OPTION_CUSTOM) {
        return row->custom->parse(row, place, arguments, count, error);
    }
    union value value;
    if (!parse_value(row, arguments, count, &value, error)) {
        return false;
    }
    if (row->settle != NULL && !row->settle(row, &value, error)) {
        option_clear(row, &value);
        return false;
    }
    option_clear(row, place);
    memcpy(place, &value, option_place_bytes(row));
    return true;
}

/* Single spaces separate, as redis-server has it: two in a row make an empty argument. */
static bool parse_split(const struct option *row, void *place, struct span text,
                        struct buffer *error) {
    struct span arguments[OPTION_ARGUMENTS_MAX];
    size_t count = 0;
    size_t start = 0;
    for (size_t i = 0; text.length != 0 && i <= text.length; i++) {
        if (i < text.length && text.bytes[i] != ' ') {
            continue;
        }
        if (count == OPTION_ARGUMENTS_MAX) {
            buffer_append_string(error, "wrong number of arguments");
            return false;
        }
        arguments[count] = span_of(text.bytes + start, i - start);
        count++;
        start = i + 1;
    }
    return parse_arguments(row, place, arguments, count, error);
}

bool option_parse_text(const struct option *row, void *place, struct span text,
                       struct buffer *error) {
    if ((row->flags & OPTION_MULTI) != 0) {
        return parse_split(row, place, text, error);
    }
    return parse_arguments(row, place, &text, 1, error);
}

bool option_parse(const struct option *row, void *place, const struct span *arguments, size_t count,
                  struct buffer *error) {
    if (count == 1) {
        return option_parse_text(row, place, arguments[0], error);
    }
    return parse_arguments(row, place, arguments, count, error);
}

/* Formatting. */

static void format_word(const struct option *row, int value, struct buffer *text) {
    for (const struct option_word *word = row->words; word->name != NULL; word++) {
        if (word->value == value) {
            buffer_append_string(text, word->name);
            return;
        }
    }
    ASSERT(row->type == OPTION_FLAGS && value != 0);
    const char *between = "";
    for (const struct option_word *word = row->words; word->name != NULL; word++) {
        if (word->value != 0 && (value & word->value) == word->value) {
            buffer_append_string(text, between);
            buffer_append_string(text, word->name);
            between = " ";
        }
    }
}

static void format_list(const struct option_list *list, struct buffer *text) {
    for (size_t i = 0; i < list->count; i++) {
        if (i != 0) {
            buffer_append_byte(text, ' ');
        }
        buffer_append_string(text, list->items[i]);
    }
}

/* The fields' types differ from union value only in size. */
static union value value_read(const struct option *row, const void *place) {
    union value value;
    memcpy(&value, place, option_place_bytes(row));
    return value;
}

void option_format(const struct option *row, const void *place, struct buffer *text) {
    if (row->type == OPTION_CUSTOM) {
        row->custom->format(row, place, text);
        return;
    }
    union value value = value_read(row, place);
    switch (row->type) {
    case OPTION_BOOL:
        buffer_append_string(text, value.boolean ? "yes" : "no");
        break;
    case OPTION_INTEGER:
    case OPTION_MEMORY:
        buffer_format(text, "%" PRId64, value.integer);
        break;
    case OPTION_MEMORY_OR_PERCENT:
        if (value.integer < 0) {
            buffer_format(text, "%" PRId64 "%%", -value.integer);
        } else {
            buffer_format(text, "%" PRId64, value.integer);
        }
        break;
    case OPTION_OCTAL:
        buffer_format(text, "%" PRIo64, value.integer);
        break;
    case OPTION_ENUM:
    case OPTION_FLAGS:
        format_word(row, value.word, text);
        break;
    case OPTION_STRING:
        buffer_append_string(text, value.string);
        break;
    case OPTION_LIST:
        format_list(&value.list, text);
        break;
    case OPTION_CUSTOM:
        break;
    }
}

static void format_memory_units(int64_t size_bytes, struct buffer *line) {
    static const struct {
        int64_t bytes;
        const char *name;
    } units[] = {
        {(int64_t)1024 * 1024 * 1024, "gb"},
        {(int64_t)1024 * 1024, "mb"},
        {1024, "kb"},
    };
    for (size_t i = 0; size_bytes > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (size_bytes % units[i].bytes == 0) {
            buffer_format(line, "%" PRId64 "%s", size_bytes / units[i].bytes, units[i].name);
            return;
        }
    }
    buffer_format(line, "%" PRId64, size_bytes);
}

static void quote_if_needed(struct span text, struct buffer *line) {
    bool plain = text.length != 0 && text.bytes[0] != '#';
    for (size_t i = 0; plain && i < text.length; i++) {
        char byte = text.bytes[i];
        plain = byte > ' ' && byte < 127 && byte != '"' && byte != '\'' && byte != '\\';
    }
    if (plain) {
        buffer_append_span(line, text);
    } else {
        option_quote(text, line);
    }
}

void option_format_quoted(const struct option *row, const void *place, struct buffer *text) {
    if (row->type == OPTION_LIST) {
        const struct option_list *list = place;
        for (size_t i = 0; i < list->count; i++) {
            buffer_append_string(text, i == 0 ? "" : " ");
            quote_if_needed(span_of_string(list->items[i]), text);
        }
        buffer_append_string(text, list->count == 0 ? "\"\"" : "");
        return;
    }
    if (row->type != OPTION_CUSTOM) {
        union value value = value_read(row, place);
        if (row->type == OPTION_STRING) {
            option_quote(span_of_string(value.string), text);
            return;
        }
        bool is_size = row->type == OPTION_MEMORY || row->type == OPTION_MEMORY_OR_PERCENT;
        if (is_size && value.integer >= 0) {
            format_memory_units(value.integer, text);
            return;
        }
    }
    size_t start = text->length;
    option_format(row, place, text);
    buffer_append_string(text, text->length == start ? "\"\"" : "");
}

bool option_is_default(const struct option *row, const void *place) {
    /* Compared as texts, since two of them mean the same exactly when they are formatted the same.
     * The default is parsed first: "1mb" and "1048576" are one value. */
    union {
        union value value;
        max_align_t custom[OPTION_CUSTOM_BYTES_MAX / sizeof(max_align_t)];
    } normal;
    ASSERT(option_place_bytes(row) <= sizeof(normal));
    memset(&normal, 0, sizeof(normal));
    option_init(row, &normal);
    struct buffer texts = BUFFER_EMPTY;
    option_format(row, &normal, &texts);
    size_t length = texts.length;
    option_format(row, place, &texts);
    bool same = span_equal(span_of(texts.bytes, length),
                           span_of(texts.bytes + length, texts.length - length));
    option_clear(row, &normal);
    buffer_free(&texts);
    return same;
}

static void describe_range(const struct option *row, struct buffer *text) {
    if (row->max == INT64_MAX) {
        buffer_format(text, " from %" PRId64, row->min);
    } else {
        buffer_format(text, " from %" PRId64 " to %" PRId64, row->min, row->max);
    }
}

void option_describe_type(const struct option *row, struct buffer *text) {
    switch (row->type) {
    case OPTION_BOOL:
        buffer_append_string(text, "yes or no");
        break;
    case OPTION_INTEGER:
        buffer_append_string(text, "a number");
        describe_range(row, text);
        break;
    case OPTION_MEMORY:
        buffer_append_string(text, "a size");
        describe_range(row, text);
        break;
    case OPTION_MEMORY_OR_PERCENT:
        buffer_append_string(text, "a size or a percentage");
        break;
    case OPTION_OCTAL:
        buffer_format(text, "an octal number up to %" PRIo64, row->max);
        break;
    case OPTION_ENUM:
        buffer_append_string(text, "one of ");
        words_append(row, ", ", text);
        break;
    case OPTION_FLAGS:
        buffer_append_string(text, "some of ");
        words_append(row, ", ", text);
        break;
    case OPTION_STRING:
        buffer_append_string(text, "a text");
        break;
    case OPTION_LIST:
        buffer_append_string(text, "words");
        break;
    case OPTION_CUSTOM:
        buffer_append_string(text, row->custom->shape);
        break;
    }
}

void option_table_init(const struct option_table *table, void *options) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        if (!option_is_title(row) && row->offset != OPTION_NO_FIELD) {
            void *place = option_place(row, options);
            memset(place, 0, option_place_bytes(row));
            option_init(row, place);
        }
    }
}

void option_table_clear(const struct option_table *table, void *options) {
    for (size_t i = 0; i < table->count; i++) {
        const struct option *row = &table->rows[i];
        if (!option_is_title(row) && row->offset != OPTION_NO_FIELD) {
            option_clear(row, option_place(row, options));
        }
    }
}

/* Lines of a config file. */

static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte that stands for what follows a backslash at line[*place], and moves behind it. */
static char unescape(struct span line, size_t *place) {
    char byte = line.bytes[*place];
    if (byte == 'x' && line.length - *place > 2) {
        int high = hex_digit(line.bytes[*place + 1]);
        int low = hex_digit(line.bytes[*place + 2]);
        if (high >= 0 && low >= 0) {
            *place += 3;
            return (char)(high * 16 + low);
        }
    }
    *place += 1;
    switch (byte) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return byte;
    }
}

/* Copies a quoted run that starts behind the quote; false when it does not end well. */
static bool split_quoted(struct span line, char quote, size_t *place, struct buffer *bytes) {
    while (*place < line.length && line.bytes[*place] != quote) {
        char byte = line.bytes[*place];
        *place += 1;
        if (byte == '\\' && *place < line.length) {
            if (quote == '"') {
                byte = unescape(line, place);
            } else if (line.bytes[*place] == '\'') {
                byte = '\'';
                *place += 1;
            }
        }
        buffer_append_byte(bytes, byte);
    }
    if (*place == line.length) {
        return false;
    }
    *place += 1;
    return *place == line.length || is_space(line.bytes[*place]);
}

static bool split_word(struct span line, size_t *place, struct buffer *bytes) {
    while (*place < line.length && !is_space(line.bytes[*place])) {
        char byte = line.bytes[*place];
        *place += 1;
        if (byte == '"' || byte == '\'') {
            return split_quoted(line, byte, place, bytes);
        }
        buffer_append_byte(bytes, byte);
    }
    return true;
}

bool option_split_line(struct span line, struct buffer *bytes, struct span *words, size_t max,
                       size_t *count) {
    size_t place = 0;
    size_t start = bytes->length;
    *count = 0;
    buffer_reserve(bytes, 1); /* so that an empty word has an address too */
    for (;;) {
        while (place < line.length && is_space(line.bytes[place])) {
            place++;
        }
        if (place == line.length) {
            break;
        }
        size_t word_start = bytes->length;
        if (*count == max || !split_word(line, &place, bytes)) {
            return false;
        }
        words[*count] = span_of(NULL, bytes->length - word_start);
        *count += 1;
    }
    /* Only now: the bytes move while they grow. */
    for (size_t i = 0; i < *count; i++) {
        words[i].bytes = bytes->bytes + start;
        start += words[i].length;
    }
    return true;
}

void option_quote(struct span text, struct buffer *line) {
    buffer_append_byte(line, '"');
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.bytes[i];
        switch (byte) {
        case '"':
        case '\\':
            buffer_format(line, "\\%c", byte);
            break;
        case '\n':
            buffer_append_string(line, "\\n");
            break;
        case '\r':
            buffer_append_string(line, "\\r");
            break;
        case '\t':
            buffer_append_string(line, "\\t");
            break;
        case '\b':
            buffer_append_string(line, "\\b");
            break;
        case '\a':
            buffer_append_string(line, "\\a");
            break;
        default:
            if (byte < ' ' || byte >= 127) {
                buffer_format(line, "\\x%02x", byte);
            } else {
                buffer_append_byte(line, (char)byte);
            }
        }
    }
    buffer_append_byte(line, '"');
}
