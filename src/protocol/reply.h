/* The writer of replies, in RESP2 or RESP3.
 *
 * A reply is a buffer of bytes with large values hung in by reference: blocks[i] is to be sent
 * after the first `at` bytes of the buffer. Each function writes the RESP3 form when protocol is 3,
 * and the form that redis-server 7 gives in its place when it is 2 (map -> flat array, set ->
 * array, double -> bulk string, null -> "$-1", boolean -> 1 or 0, push -> array, verbatim -> bulk
 * string, big number -> bulk string).
 *
 * One owner at a time, no thread of its own. The buffer's memory is the reply's. The functions that
 * nearly every command ends with are inline: header, content and CR LF go into one reservation.
 */
#ifndef TARN_PROTOCOL_REPLY_H
#define TARN_PROTOCOL_REPLY_H

#include "base/block.h"
#include "base/buffer.h"
#include "base/numbers.h"

#include <stdint.h>

/* The most bytes that a header takes: its type, a number, CR LF. */
#define REPLY_HEADER_BYTES_MAX (1 + NUMBER_TEXT_BYTES_MAX + 2)

struct reply_block {
    size_t at;           /* bytes of the buffer that go out before it */
    struct block *block; /* one reference */
    size_t offset;       /* the part of it to send */
    size_t length;
};

struct reply {
    struct buffer buffer;
    struct reply_block *blocks;
    uint32_t blocks_count;
    uint32_t blocks_capacity;
    size_t blocks_bytes; /* sum of the lengths */
    int protocol;        /* 2 or 3 */
};

/* Where a deferred header goes; see reply_mark_here(). */
struct reply_mark {
    size_t at;
    uint32_t blocks_count;
};

void reply_init(struct reply *reply, int protocol);
void reply_free(struct reply *reply);
void reply_clear(struct reply *reply); /* drops content, releases blocks, keeps room */

/* Bytes to send, blocks included. */
static inline size_t reply_bytes(const struct reply *reply) {
    return reply->buffer.length + reply->blocks_bytes;
}

/* "+text": text holds no CR or LF. */
void reply_status(struct reply *reply, const char *text);
static inline void reply_ok(struct reply *reply) {
    buffer_append(&reply->buffer, "+OK\r\n", 5);
}

/* "-text": with its code word, e.g. "ERR syntax error". As in Redis, CR and LF at both ends are
 * dropped, and become spaces inside. */
void reply_error(struct reply *reply, const char *text);
void reply_error_format(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes "<type><number>" CR LF at `place`, which has REPLY_HEADER_BYTES_MAX; answers its end. */
char *reply_write_long_header(char *place, char type, int64_t number);
static inline char *reply_write_header(char *place, char type, int64_t number) {
    place[0] = type;
    if (number >= 0 && number < 10) {
        place[1] = (char)('0' + number);
        memcpy(place + 2, "\r\n", 2);
        return place + 4;
    }
    if (number >= 10 && number < 100) {
        place[1] = (char)('0' + number / 10);
        place[2] = (char)('0' + number % 10);
        memcpy(place + 3, "\r\n", 2);
        return place + 5;
    }
    return reply_write_long_header(place, type, number);
}

/* A line that is nothing but a header: an integer, or the count of an array. */
static inline void reply_header(struct reply *reply, char type, int64_t number) {
    char *place = buffer_reserve(&reply->buffer, REPLY_HEADER_BYTES_MAX);
    buffer_commit(&reply->buffer, (size_t)(reply_write_header(place, type, number) - place));
}

static inline void reply_integer(struct reply *reply, int64_t number) {
    reply_header(reply, ':', number);
}

static inline void reply_bulk(struct reply *reply, struct span bytes) {
    char *place = buffer_reserve(&reply->buffer, REPLY_HEADER_BYTES_MAX + bytes.length + 2);
    char *end = reply_write_header(place, '$', (int64_t)bytes.length);
    if (bytes.length != 0) {
        memcpy(end, bytes.bytes, bytes.length);
        end += bytes.length;
    }
    memcpy(end, "\r\n", 2);
    buffer_commit(&reply->buffer, (size_t)(end + 2 - place));
}

void reply_bulk_string(struct reply *reply, const char *string);
void reply_bulk_integer(struct reply *reply, int64_t number); /* decimal, as a bulk string */
/* length bytes of the block from offset, by reference: takes a reference of its own. */
void reply_bulk_block(struct reply *reply, struct block *block, size_t offset, size_t length);
void reply_double(struct reply *reply, double number);         /* shortest form, inf, -inf, nan */
void reply_double_text(struct reply *reply, struct span text); /* a double in a form of its own */
void reply_boolean(struct reply *reply, bool fact);
void reply_big_number(struct reply *reply, struct span digits);
void reply_verbatim(struct reply *reply, const char *extension, struct span text);

/* "_", or "$-1" */
static inline void reply_null(struct reply *reply) {
    if (reply->protocol == 3) {
        buffer_append(&reply->buffer, "_\r\n", 3);
    } else {
        buffer_append(&reply->buffer, "$-1\r\n", 5);
    }
}
void reply_null_array(struct reply *reply); /* "_", or "*-1" */

/* Headers: count elements, or pairs for maps and attributes, follow. */
static inline void reply_array(struct reply *reply, size_t count) {
    reply_header(reply, '*', (int64_t)count);
}
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);
/* RESP2 has nothing in its place: the caller leaves attributes out there. */
void reply_attribute(struct reply *reply, size_t pairs);

/* For counts known only afterwards: take a mark, write the elements, then put the header at the
 * mark. Costs a move of what is behind it. Nested ones are put innermost first: a header put at
 * a mark invalidates the marks behind it. */
struct reply_mark reply_mark_here(const struct reply *reply);
void reply_array_at(struct reply *reply, struct reply_mark mark, size_t count);
void reply_map_at(struct reply *reply, struct reply_mark mark, size_t pairs);
void reply_set_at(struct reply *reply, struct reply_mark mark, size_t count);

/* Undoes everything written since the mark. */
void reply_rewind(struct reply *reply, struct reply_mark mark);

/* Appends what `from` holds between two marks to `to`, blocks by reference. */
void reply_append_part(struct reply *to, const struct reply *from, struct reply_mark begin,
                       struct reply_mark end);
/* Appends all that `from` holds. */
void reply_append(struct reply *to, const struct reply *from);

#endif
