#include "protocol/reply.h"

#include "base/assertion.h"
#include "base/memory.h"

#define REPLY_BLOCKS_CAPACITY_MIN 4
#define VERBATIM_EXTENSION_BYTES 3

void reply_init(struct reply *reply, int protocol) {
    ASSERT(protocol == 2 || protocol == 3);
    *reply = (struct reply){.buffer = BUFFER_EMPTY, .protocol = protocol};
}

static void release_blocks_from(struct reply *reply, uint32_t first) {
    for (uint32_t i = first; i < reply->blocks_count; i++) {
        reply->blocks_bytes -= reply->blocks[i].length;
        block_release(reply->blocks[i].block);
    }
    reply->blocks_count = first;
}

void reply_clear(struct reply *reply) {
    release_blocks_from(reply, 0);
    ASSERT(reply->blocks_bytes == 0);
    buffer_clear(&reply->buffer);
}

void reply_free(struct reply *reply) {
    reply_clear(reply);
    buffer_free(&reply->buffer);
    memory_free(reply->blocks);
    reply->blocks = NULL;
    reply->blocks_capacity = 0;
}

/* Writes a line of text behind a type byte. */
static void reply_line(struct reply *reply, char type, struct span text) {
    buffer_reserve(&reply->buffer, text.length + 3);
    buffer_append_byte(&reply->buffer, type);
    buffer_append_span(&reply->buffer, text);
    buffer_append(&reply->buffer, "\r\n", 2);
}

void reply_status(struct reply *reply, const char *text) {
    reply_line(reply, '+', span_of_string(text));
}

static bool ends_line(char byte) {
    return byte == '\r' || byte == '\n';
}

/* Ends the error whose text was appended from `start` on, behind its "-". */
static void finish_error(struct reply *reply, size_t start) {
    struct buffer *buffer = &reply->buffer;
    char *text = buffer->bytes + start;
    size_t length = buffer->length - start;
    while (length > 0 && ends_line(text[length - 1])) {
        length--;
    }
    size_t skipped = 0;
    while (skipped < length && ends_line(text[skipped])) {
        skipped++;
    }
    length -= skipped;
    memmove(text, text + skipped, length);
    for (size_t i = 0; i < length; i++) {
        if (ends_line(text[i])) {
            text[i] = ' ';
        }
    }
    buffer->length = start + length;
    buffer_append(buffer, "\r\n", 2);
}

void reply_error(struct reply *reply, const char *text) {
    buffer_append_byte(&reply->buffer, '-');
    size_t start = reply->buffer.length;
    buffer_append_string(&reply->buffer, text);
    finish_error(reply, start);
}

void reply_error_format(struct reply *reply, const char *format, ...) {
    buffer_append_byte(&reply->buffer, '-');
    size_t start = reply->buffer.length;
    va_list arguments;
    va_start(arguments, format);
    buffer_format_arguments(&reply->buffer, format, arguments);
    va_end(arguments);
    finish_error(reply, start);
}

char *reply_write_long_header(char *place, char type, int64_t number) {
    *place++ = type;
    place += number_format(place, number);
    memcpy(place, "\r\n", 2);
    return place + 2;
}

void reply_bulk_string(struct reply *reply, const char *string) {
    reply_bulk(reply, span_of_string(string));
}

void reply_bulk_integer(struct reply *reply, int64_t number) {
    char text[NUMBER_TEXT_BYTES_MAX];
    reply_bulk(reply, span_of(text, number_format(text, number)));
}

/* Hangs in the block behind what the buffer holds; takes over a reference. */
static void push_block(struct reply *reply, struct reply_block item) {
    if (reply->blocks_count == reply->blocks_capacity) {
        uint32_t capacity =
            reply->blocks_capacity == 0 ? REPLY_BLOCKS_CAPACITY_MIN : reply->blocks_capacity * 2;
        ASSERT(capacity > reply->blocks_count);
        reply->blocks = memory_realloc(reply->blocks, capacity * sizeof(*reply->blocks));
        reply->blocks_capacity = capacity;
    }
    reply->blocks[reply->blocks_count++] = item;
    reply->blocks_bytes += item.length;
}

void reply_bulk_block(struct reply *reply, struct block *block, size_t offset, size_t length) {
    ASSERT(offset <= block->length);
    ASSERT(length <= block->length - offset);
    reply_header(reply, '$', (int64_t)length);
    if (length != 0) {
        push_block(reply, (struct reply_block){.at = reply->buffer.length,
                                               .block = block_hold(block),
                                               .offset = offset,
                                               .length = length});
    }
    buffer_append(&reply->buffer, "\r\n", 2);
}

void reply_double_text(struct reply *reply, struct span text) {
    if (reply->protocol == 3) {
        reply_line(reply, ',', text);
    } else {
        reply_bulk(reply, text);
    }
}

void reply_double(struct reply *reply, double number) {
    char text[NUMBER_DOUBLE_TEXT_BYTES_MAX];
    reply_double_text(reply, span_of(text, number_format_double(text, number)));
}

void reply_boolean(struct reply *reply, bool fact) {
    if (reply->protocol == 3) {
        buffer_append(&reply->buffer, fact ? "#t\r\n" : "#f\r\n", 4);
    } else {
        reply_integer(reply, fact ? 1 : 0);
    }
}

void reply_big_number(struct reply *reply, struct span digits) {
    if (reply->protocol == 3) {
        reply_line(reply, '(', digits);
    } else {
        reply_bulk(reply, digits);
    }
}

void reply_verbatim(struct reply *reply, const char *extension, struct span text) {
    if (reply->protocol != 3) {
        reply_bulk(reply, text);
        return;
    }
    ASSERT(strlen(extension) == VERBATIM_EXTENSION_BYTES);
    reply_header(reply, '=', (int64_t)(VERBATIM_EXTENSION_BYTES + 1 + text.length));
    buffer_append(&reply->buffer, extension, VERBATIM_EXTENSION_BYTES);
    buffer_append_byte(&reply->buffer, ':');
    buffer_append_span(&reply->buffer, text);
    buffer_append(&reply->buffer, "\r\n", 2);
}

void reply_null_array(struct reply *reply) {
    if (reply->protocol == 3) {
        buffer_append(&reply->buffer, "_\r\n", 3);
    } else {
        buffer_append(&reply->buffer, "*-1\r\n", 5);
    }
}

/* What the header of a collection says in either protocol. */
struct header {
    char type;
    size_t count;
};

static struct header map_header(const struct reply *reply, size_t pairs) {
    return reply->protocol == 3 ? (struct header){'%', pairs} : (struct header){'*', pairs * 2};
}

static struct header set_header(const struct reply *reply, size_t count) {
    return (struct header){reply->protocol == 3 ? '~' : '*', count};
}

void reply_map(struct reply *reply, size_t pairs) {
    struct header header = map_header(reply, pairs);
    reply_header(reply, header.type, (int64_t)header.count);
}

void reply_set(struct reply *reply, size_t count) {
    struct header header = set_header(reply, count);
    reply_header(reply, header.type, (int64_t)header.count);
}

void reply_push(struct reply *reply, size_t count) {
    reply_header(reply, reply->protocol == 3 ? '>' : '*', (int64_t)count);
}

void reply_attribute(struct reply *reply, size_t pairs) {
    ASSERT(reply->protocol == 3);
    reply_header(reply, '|', (int64_t)pairs);
}

struct reply_mark reply_mark_here(const struct reply *reply) {
    return (struct reply_mark){.at = reply->buffer.length, .blocks_count = reply->blocks_count};
}

/* Puts a header at the mark, moving what was written since. */
static void insert_header(struct reply *reply, struct reply_mark mark, struct header header) {
    ASSERT(mark.at <= reply->buffer.length);
    ASSERT(mark.blocks_count <= reply->blocks_count);
    char text[REPLY_HEADER_BYTES_MAX];
    size_t length = (size_t)(reply_write_header(text, header.type, (int64_t)header.count) - text);
    buffer_reserve(&reply->buffer, length);
    char *place = reply->buffer.bytes + mark.at;
    memmove(place + length, place, reply->buffer.length - mark.at);
    memcpy(place, text, length);
    buffer_commit(&reply->buffer, length);
    for (uint32_t i = mark.blocks_count; i < reply->blocks_count; i++) {
        reply->blocks[i].at += length;
    }
}

void reply_array_at(struct reply *reply, struct reply_mark mark, size_t count) {
    insert_header(reply, mark, (struct header){'*', count});
}

void reply_map_at(struct reply *reply, struct reply_mark mark, size_t pairs) {
    insert_header(reply, mark, map_header(reply, pairs));
}

void reply_set_at(struct reply *reply, struct reply_mark mark, size_t count) {
    insert_header(reply, mark, set_header(reply, count));
}

void reply_rewind(struct reply *reply, struct reply_mark mark) {
    ASSERT(mark.at <= reply->buffer.length);
    ASSERT(mark.blocks_count <= reply->blocks_count);
    release_blocks_from(reply, mark.blocks_count);
    reply->buffer.length = mark.at;
}

void reply_append_part(struct reply *to, const struct reply *from, struct reply_mark begin,
                       struct reply_mark end) {
    ASSERT(to != from);
    ASSERT(begin.at <= end.at && end.at <= from->buffer.length);
    ASSERT(begin.blocks_count <= end.blocks_count && end.blocks_count <= from->blocks_count);
    size_t start = to->buffer.length;
    if (end.at > begin.at) {
        buffer_append(&to->buffer, from->buffer.bytes + begin.at, end.at - begin.at);
    }
    for (uint32_t i = begin.blocks_count; i < end.blocks_count; i++) {
        struct reply_block item = from->blocks[i];
        item.at = item.at - begin.at + start;
        block_hold(item.block);
        push_block(to, item);
    }
}

void reply_append(struct reply *to, const struct reply *from) {
    reply_append_part(to, from, (struct reply_mark){0}, reply_mark_here(from));
}
