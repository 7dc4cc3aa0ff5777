#include "replies.h"

#include "program.h"

#include <string.h>

/* Judges a first line, without its line end. Returns the size of the body that follows. */
static size_t body_size(struct replies *replies, const char *line, size_t size) {
    size_t body = 0;
    if (size > 0 && (line[0] == '+' || line[0] == ':')) {
        return 0;
    }
    if (size > 0 && (line[0] == '_' || (line[0] == '$' && line[1] == '-'))) {
        replies->nulls++;
        return 0;
    }
    if (size < 2 || line[0] != '$') {
        program_fail("unexpected reply: %.*s", (int)size, line);
    }
    for (size_t i = 1; i < size; i++) {
        body = body * 10 + (size_t)(line[i] - '0');
    }
    return body + strlen("\r\n");
}

static void line_keep(struct replies *replies, const char *part, size_t size) {
    size_t room = sizeof replies->line - replies->line_size;
    size = size < room ? size : room;
    memcpy(replies->line + replies->line_size, part, size);
    replies->line_size += size;
}

size_t replies_count(struct replies *replies, const char *input, size_t size) {
    const char *at = input;
    const char *end = input + size;
    size_t count = 0;

    while (at < end) {
        if (replies->skip == 0) {
            const char *line = at;
            while (at < end && *at != '\n') {
                at++;
            }
            size_t line_size = (size_t)(at - line);
            if (at == end || replies->line_size > 0) {
                line_keep(replies, line, line_size);
                line = replies->line;
                line_size = replies->line_size;
            }
            if (at == end) {
                break;
            }
            at++;
            replies->line_size = 0;
            replies->skip = body_size(replies, line, line_size > 0 ? line_size - 1 : 0);
        }
        size_t left = (size_t)(end - at);
        size_t step = left < replies->skip ? left : replies->skip;
        at += step;
        replies->skip -= step;
        count += replies->skip == 0 ? 1 : 0;
    }
    return count;
}
