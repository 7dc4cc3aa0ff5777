#include "protocol/parser.h"

#include "base/assertion.h"
#include "base/memory.h"
#include "base/numbers.h"

#include <stdio.h>

#define ARGUMENTS_CAPACITY_MIN 8

/* Arguments shorter than this have no limit to obey: neither a block nor any configured maximum. */
#define SHORT_LENGTH_END BLOCK_BYTES_MIN
_Static_assert(SHORT_LENGTH_END <= PARSER_UNAUTHENTICATED_BULK_BYTES_MAX,
               "a short argument is allowed before authentication");

/* The smallest argument, "$0" CR LF CR LF, and the shortest count line, "*1" CR LF. */
#define ITEM_BYTES_MIN 6
#define SHORT_COUNT_LINE_BYTES 4

/* Bytes behind a value, and at the end of a header line. */
#define LINE_END_BYTES 2

void arguments_init(struct arguments *arguments) {
    *arguments = (struct arguments){.items = NULL};
}

void arguments_clear(struct arguments *arguments) {
    if (UNLIKELY(arguments->blocks != NULL)) {
        for (uint32_t i = 0; i < arguments->count; i++) {
            block_release(arguments->blocks[i]);
        }
        memory_free(arguments->blocks);
        arguments->blocks = NULL;
    }
    arguments->count = 0;
    if (UNLIKELY(arguments->capacity > ARGUMENTS_KEPT_MAX)) {
        memory_free(arguments->items);
        arguments->items = NULL;
        arguments->capacity = 0;
    }
}

void arguments_free(struct arguments *arguments) {
    arguments_clear(arguments);
    memory_free(arguments->items);
    arguments_init(arguments);
}

/* False: there is no memory for more. */
static bool arguments_grow(struct arguments *arguments) {
    size_t capacity =
        arguments->capacity == 0 ? ARGUMENTS_CAPACITY_MIN : (size_t)arguments->capacity * 2;
    ASSERT(capacity <= UINT32_MAX);
    struct span *items = memory_try_realloc(arguments->items, capacity * sizeof(*arguments->items));
    if (items == NULL) {
        return false;
    }
    arguments->items = items;
    if (arguments->blocks != NULL) {
        struct block **blocks =
            memory_try_realloc(arguments->blocks, capacity * sizeof(struct block *));
        if (blocks == NULL) {
            return false;
        }
        arguments->blocks = blocks;
    }
    arguments->capacity = (uint32_t)capacity;
    return true;
}

bool arguments_push(struct arguments *arguments, struct span item, struct block *block) {
    if (arguments->count == arguments->capacity && !arguments_grow(arguments)) {
        return false;
    }
    if (block != NULL && arguments->blocks == NULL) {
        arguments->blocks = memory_try_alloc(arguments->capacity * sizeof(struct block *));
        if (arguments->blocks == NULL) {
            return false;
        }
        memset(arguments->blocks, 0, arguments->count * sizeof(struct block *));
    }
    if (arguments->blocks != NULL) {
        arguments->blocks[arguments->count] = block;
    }
    arguments->items[arguments->count++] = item;
    return true;
}

void parser_init(struct parser *parser) {
    *parser = (struct parser){
        .items_left = -1, .bulk_length = PARSER_BULK_UNKNOWN, .unquoted = BUFFER_EMPTY};
    arguments_init(&parser->arguments);
}

void parser_free(struct parser *parser) {
    arguments_free(&parser->arguments);
    buffer_free(&parser->unquoted);
}

static enum parser_status fail(struct parser *parser, const char *error) {
    parser->error = error;
    return PARSER_ERROR;
}

/* The current command is complete and ends at `consumed`. */
static enum parser_status finish(struct parser *parser, size_t consumed) {
    parser->items_left = -1;
    parser->position = 0;
    parser->scanned = 0;
    parser->consumed = consumed;
    return PARSER_READY;
}

enum line_status {
    LINE_FOUND,
    LINE_INCOMPLETE,
    LINE_TOO_LONG,
};

/* Looks for the byte that ends the line at bytes[parser->position]; *line_length is the number of
 * bytes before that byte. */
static enum line_status find_line_end(struct parser *parser, const char *bytes, size_t length,
                                      char line_end, size_t *line_length) {
    size_t start = parser->position;
    bool too_long = length - start > PARSER_LINE_BYTES_MAX;
    size_t window_end = too_long ? start + PARSER_LINE_BYTES_MAX + 1 : length;
    size_t scanned = parser->scanned > start ? parser->scanned : start;
    const char *end = memchr(bytes + scanned, line_end, window_end - scanned);
    size_t end_at = end == NULL ? window_end : (size_t)(end - bytes);
    bool holds_zero = memchr(bytes + scanned, '\0', end_at - scanned) != NULL;
    if (end != NULL && !holds_zero) {
        *line_length = end_at - start;
        return LINE_FOUND;
    }
    if (too_long) {
        return LINE_TOO_LONG;
    }
    if (!holds_zero) {
        parser->scanned = end_at;
    }
    return LINE_INCOMPLETE;
}

/* Finds the end of a header line, "*..." or "$...", of which the CR and one byte more are there. */
static enum line_status find_header_end(struct parser *parser, const char *bytes, size_t length,
                                        size_t *line_length) {
    enum line_status status = find_line_end(parser, bytes, length, '\r', line_length);
    if (status == LINE_FOUND && length - parser->position - *line_length < LINE_END_BYTES) {
        return LINE_INCOMPLETE;
    }
    return status;
}

/* The number in a header line, behind its first byte. */
static bool header_number(const char *line, size_t line_length, int64_t *number) {
    return number_parse(span_of(line + 1, line_length - 1), number);
}

/* Parses "*<count>" CR LF, in any form. */
static enum parser_status parse_count(struct parser *parser, const char *bytes, size_t length,
                                      const struct parser_limits *limits) {
    size_t line_length = 0;
    int64_t count = 0;
    switch (find_header_end(parser, bytes, length, &line_length)) {
    case LINE_INCOMPLETE:
        return PARSER_INCOMPLETE;
    case LINE_TOO_LONG:
        return fail(parser, "ERR Protocol error: too big mbulk count string");
    case LINE_FOUND:
        break;
    }
    if (!header_number(bytes, line_length, &count) || count > PARSER_ARGUMENTS_MAX) {
        return fail(parser, "ERR Protocol error: invalid multibulk length");
    }
    if (count > PARSER_UNAUTHENTICATED_ARGUMENTS_MAX && !limits->authenticated) {
        return fail(parser, "ERR Protocol error: unauthenticated multibulk length");
    }
    parser->items_left = count < 0 ? 0 : count;
    parser->position = line_length + LINE_END_BYTES;
    return PARSER_READY;
}

static enum parser_status fail_expected_bulk(struct parser *parser, char got) {
    if (got == '\r' || got == '\n') {
        got = ' ';
    }
    snprintf(parser->error_text, sizeof(parser->error_text),
             "ERR Protocol error: expected '$', got '%c'", got);
    return fail(parser, parser->error_text);
}

/* Parses "$<length>" CR LF, in any form. */
static enum parser_status parse_bulk_length(struct parser *parser, const char *bytes, size_t length,
                                            const struct parser_limits *limits) {
    const char *line = bytes + parser->position;
    size_t line_length = 0;
    int64_t bulk_length = 0;
    switch (find_header_end(parser, bytes, length, &line_length)) {
    case LINE_INCOMPLETE:
        return PARSER_INCOMPLETE;
    case LINE_TOO_LONG:
        return fail(parser, "ERR Protocol error: too big bulk count string");
    case LINE_FOUND:
        break;
    }
    if (line[0] != '$') {
        return fail_expected_bulk(parser, line[0]);
    }
    if (!header_number(line, line_length, &bulk_length) || bulk_length < 0 ||
        (size_t)bulk_length > limits->bulk_bytes_max) {
        return fail(parser, "ERR Protocol error: invalid bulk length");
    }
    if ((size_t)bulk_length > PARSER_UNAUTHENTICATED_BULK_BYTES_MAX && !limits->authenticated) {
        return fail(parser, "ERR Protocol error: unauthenticated bulk length");
    }
    parser->bulk_length = bulk_length;
    parser->position += line_length + LINE_END_BYTES;
    return PARSER_READY;
}

/* Parses one argument, or what is missing of it: the form for every case. READY: it is taken. */
static enum parser_status parse_item(struct parser *parser, const char *bytes, size_t length,
                                     const struct parser_limits *limits) {
    if (parser->bulk_length == PARSER_BULK_UNKNOWN) {
        enum parser_status status = parse_bulk_length(parser, bytes, length, limits);
        if (status != PARSER_READY) {
            return status;
        }
    }
    bool taken = parser->bulk_length == PARSER_BULK_TAKEN;
    size_t value_length = taken ? 0 : (size_t)parser->bulk_length;
    if (limits->take_large && value_length >= BLOCK_BYTES_MIN) {
        parser->consumed = parser->position;
        parser->large_length = value_length;
        return PARSER_LARGE;
    }
    /* Not value_length + LINE_END_BYTES, which could overflow. */
    size_t rest = length - parser->position;
    if (rest < LINE_END_BYTES || rest - LINE_END_BYTES < value_length) {
        return PARSER_INCOMPLETE;
    }
    if (!taken && !arguments_push(&parser->arguments,
                                  span_of(bytes + parser->position, value_length), NULL)) {
        return fail(parser, PARSER_OUT_OF_MEMORY);
    }
    parser->position += value_length + LINE_END_BYTES;
    parser->bulk_length = PARSER_BULK_UNKNOWN;
    parser->items_left--;
    return PARSER_READY;
}

/* The value of a decimal digit; above 9 for any other byte. */
static inline unsigned digit_value(char byte) {
    return (unsigned)(unsigned char)byte - '0';
}

/* Takes the short arguments that are there whole: nearly all there are. Stops, having changed
 * nothing, before anything that is not that, and leaves it to parse_item(). */
static inline const char *take_short_items(struct arguments *arguments, const char *cursor,
                                           const char *end, int64_t *items_left) {
    if (UNLIKELY(arguments->blocks != NULL)) {
        return cursor;
    }
    int64_t left = *items_left;
    uint32_t count = arguments->count;
    while (left > 0 && end - cursor >= ITEM_BYTES_MIN && cursor[0] == '$') {
        size_t length = digit_value(cursor[1]);
        const char *line_end = cursor + 2;
        if (*line_end != '\r' && length != 0) {
            const char *bound = end - LINE_END_BYTES;
            while (line_end < bound && length < SHORT_LENGTH_END && digit_value(*line_end) <= 9) {
                length = length * 10 + digit_value(*line_end);
                line_end++;
            }
        }
        const char *value = line_end + LINE_END_BYTES;
        if (UNLIKELY(digit_value(cursor[1]) > 9 || *line_end != '\r' ||
                     length >= SHORT_LENGTH_END ||
                     (size_t)(end - value) < length + LINE_END_BYTES)) {
            break;
        }
        if (UNLIKELY(count == arguments->capacity)) {
            arguments->count = count;
            if (!arguments_grow(arguments)) {
                break;
            }
        }
        arguments->items[count++] = span_of(value, length);
        cursor = value + length + LINE_END_BYTES;
        left--;
    }
    arguments->count = count;
    *items_left = left;
    return cursor;
}

/* Parses the arguments from `cursor` on, where an argument begins or goes on. */
static inline enum parser_status parse_items(struct parser *parser, const char *bytes,
                                             const char *cursor, size_t length, int64_t items_left,
                                             const struct parser_limits *limits) {
    for (;;) {
        if (parser->bulk_length == PARSER_BULK_UNKNOWN) {
            cursor = take_short_items(&parser->arguments, cursor, bytes + length, &items_left);
        }
        if (LIKELY(items_left == 0)) {
            return finish(parser, (size_t)(cursor - bytes));
        }
        parser->items_left = items_left;
        parser->position = (size_t)(cursor - bytes);
        enum parser_status status = parse_item(parser, bytes, length, limits);
        if (status != PARSER_READY) {
            return status;
        }
        items_left = parser->items_left;
        cursor = bytes + parser->position;
    }
}

/* The bytes that isspace() knows in the C locale. */
static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* What ends an unquoted inline argument; vertical tab and form feed do not. */
static bool is_separator(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static int hexadecimal_value(char byte) {
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if (byte >= 'a' && byte <= 'f') {
        return byte - 'a' + 10;
    }
    if (byte >= 'A' && byte <= 'F') {
        return byte - 'A' + 10;
    }
    return -1;
}

/* Decodes the escape sequence at `cursor`, a backslash inside double quotes; answers its end. */
static const char *take_escape(const char *cursor, const char *end, struct buffer *text) {
    if (end - cursor >= 4 && cursor[1] == 'x' && hexadecimal_value(cursor[2]) >= 0 &&
        hexadecimal_value(cursor[3]) >= 0) {
        int value = hexadecimal_value(cursor[2]) * 16 + hexadecimal_value(cursor[3]);
        buffer_append_byte(text, (char)(unsigned char)value);
        return cursor + 4;
    }
    if (end - cursor < 2) {
        buffer_append_byte(text, '\\');
        return cursor + 1;
    }
    char byte = cursor[1];
    switch (byte) {
    case 'n':
        byte = '\n';
        break;
    case 'r':
        byte = '\r';
        break;
    case 't':
        byte = '\t';
        break;
    case 'b':
        byte = '\b';
        break;
    case 'a':
        byte = '\a';
        break;
    default:
        break;
    }
    buffer_append_byte(text, byte);
    return cursor + 2;
}

/* Decodes the quoted text at `cursor`, a single or double quote. Answers the place behind the
 * closing quote, or NULL when there is none or something else than a space follows it. */
static const char *take_quoted(const char *cursor, const char *end, struct buffer *text) {
    char quote = *cursor++;
    while (cursor < end && *cursor != quote) {
        if (*cursor == '\\' && quote == '"') {
            cursor = take_escape(cursor, end, text);
        } else if (*cursor == '\\' && end - cursor >= 2 && cursor[1] == '\'') {
            buffer_append_byte(text, '\'');
            cursor += 2;
        } else {
            buffer_append_byte(text, *cursor++);
        }
    }
    if (cursor >= end) {
        return NULL;
    }
    cursor++;
    return cursor == end || is_space(*cursor) ? cursor : NULL;
}

/* Takes one inline argument, whose first byte is at `cursor`; answers its end, or NULL when its
 * quotes do not balance. `room` has at least as much room as the line has bytes. */
static const char *take_inline_item(const char *cursor, const char *end, struct buffer *room,
                                    struct span *item) {
    const char *start = cursor;
    while (cursor < end && !is_separator(*cursor) && *cursor != '"' && *cursor != '\'') {
        cursor++;
    }
    size_t plain_length = (size_t)(cursor - start);
    if (cursor == end || is_separator(*cursor)) {
        *item = span_of(start, plain_length);
        return cursor;
    }
    /* A quoted text ends the argument, so there is no more than one. */
    size_t text_start = room->length;
    buffer_append(room, start, plain_length);
    cursor = take_quoted(cursor, end, room);
    *item = span_of(room->bytes + text_start, room->length - text_start);
    return cursor;
}

static enum parser_status parse_inline(struct parser *parser, const char *bytes, size_t length) {
    size_t line_length = 0;
    switch (find_line_end(parser, bytes, length, '\n', &line_length)) {
    case LINE_INCOMPLETE:
        return PARSER_INCOMPLETE;
    case LINE_TOO_LONG:
        return fail(parser, "ERR Protocol error: too big inline request");
    case LINE_FOUND:
        break;
    }
    /* What is unquoted is never longer than the line; the spans into it forbid that it moves. */
    if (memchr(bytes, '"', line_length) != NULL || memchr(bytes, '\'', line_length) != NULL) {
        buffer_reserve(&parser->unquoted, line_length);
    }
    const char *cursor = bytes;
    const char *end = bytes + line_length;
    for (;;) {
        while (cursor < end && is_space(*cursor)) {
            cursor++;
        }
        if (cursor == end) {
            return finish(parser, line_length + 1);
        }
        struct span item;
        cursor = take_inline_item(cursor, end, &parser->unquoted, &item);
        if (cursor == NULL) {
            return fail(parser, "ERR Protocol error: unbalanced quotes in request");
        }
        if (!arguments_push(&parser->arguments, item, NULL)) {
            return fail(parser, PARSER_OUT_OF_MEMORY);
        }
    }
}

/* Parses the start of a command in any form. */
static enum parser_status parse_start(struct parser *parser, const char *bytes, size_t length,
                                      const struct parser_limits *limits) {
    if (length == 0) {
        return PARSER_INCOMPLETE;
    }
    if (bytes[0] != '*') {
        return parse_inline(parser, bytes, length);
    }
    enum parser_status status = parse_count(parser, bytes, length, limits);
    if (status != PARSER_READY) {
        return status;
    }
    return parse_items(parser, bytes, bytes + parser->position, length, parser->items_left, limits);
}

/* Forgets the command that was READY. */
static inline void drop_arguments(struct parser *parser) {
    struct arguments *arguments = &parser->arguments;
    if (LIKELY(arguments->blocks == NULL && arguments->capacity <= ARGUMENTS_KEPT_MAX)) {
        arguments->count = 0;
    } else if (arguments->count != 0) {
        arguments_clear(arguments);
    }
    if (UNLIKELY(parser->unquoted.bytes != NULL)) {
        buffer_free(&parser->unquoted);
    }
}

enum parser_status parser_next(struct parser *parser, const char *bytes, size_t length,
                               const struct parser_limits *limits) {
    if (parser->items_left >= 0) {
        ASSERT(parser->position <= length);
        return parse_items(parser, bytes, bytes + parser->position, length, parser->items_left,
                           limits);
    }
    drop_arguments(parser);
    if (LIKELY(length > SHORT_COUNT_LINE_BYTES && bytes[0] == '*' && bytes[2] == '\r' &&
               digit_value(bytes[1]) <= 9)) {
        return parse_items(parser, bytes, bytes + SHORT_COUNT_LINE_BYTES, length,
                           digit_value(bytes[1]), limits);
    }
    return parse_start(parser, bytes, length, limits);
}

bool parser_large_done(struct parser *parser, struct block *block) {
    ASSERT(parser->bulk_length >= 0);
    ASSERT(block->length == (size_t)parser->bulk_length);
    if (!arguments_push(&parser->arguments, block_span(block), block)) {
        return false;
    }
    parser->bulk_length = PARSER_BULK_TAKEN;
    return true;
}

void parser_rebase(struct parser *parser, const char *old_bytes, const char *new_bytes) {
    struct arguments *arguments = &parser->arguments;
    /* As numbers, since the old bytes may be gone. */
    uintptr_t own_start = (uintptr_t)parser->unquoted.bytes;
    for (uint32_t i = 0; i < arguments->count; i++) {
        uintptr_t place = (uintptr_t)arguments->items[i].bytes;
        bool in_block = arguments->blocks != NULL && arguments->blocks[i] != NULL;
        bool in_unquoted = place - own_start < parser->unquoted.capacity;
        if (!in_block && !in_unquoted) {
            arguments->items[i].bytes = new_bytes + (place - (uintptr_t)old_bytes);
        }
    }
}
