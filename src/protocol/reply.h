/* The writer of replies, in RESP2 or RESP3.
 *
 * A reply is a buffer of bytes with large values hung in by reference: blocks[i] is to be sent after the
 * first `at` bytes of the buffer. Each function writes the RESP3 form when protocol is 3, and the
 * form that redis-server 7 gives in its place when it is 2 (map -> flat array, set -> array, double ->
 * bulk string, null -> "$-1", boolean -> 1 or 0, push -> array, verbatim -> bulk string, big number
 * -> bulk string).
 *
 * One owner at a time, no thread of its own. The buffer's memory is the reply's.
 */
#ifndef TARN_PROTOCOL_REPLY_H
#define TARN_PROTOCOL_REPLY_H

#include "base/block.h"
#include "base/buffer.h"

#include <stdint.h>

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

/* Where a deferred header goes; see reply_array_begin(). */
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

/* "-text": with its code word, e.g. "ERR syntax error". CR and LF in it become spaces. */
void reply_error(struct reply *reply, const char *text);
void reply_error_format(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void reply_integer(struct reply *reply, int64_t number);
void reply_bulk(struct reply *reply, struct span bytes);
void reply_bulk_string(struct reply *reply, const char *string);
void reply_bulk_integer(struct reply *reply, int64_t number); /* decimal, as a bulk string */
/* length bytes of the block from offset, by reference: takes a reference of its own. */
void reply_bulk_block(struct reply *reply, struct block *block, size_t offset, size_t length);
void reply_double(struct reply *reply, double number); /* shortest form, inf, -inf, nan */
void reply_boolean(struct reply *reply, bool fact);
void reply_big_number(struct reply *reply, struct span digits);
void reply_verbatim(struct reply *reply, const char *extension, struct span text);
void reply_null(struct reply *reply);       /* "_", or "$-1" */
void reply_null_array(struct reply *reply); /* "_", or "*-1" */

/* Headers: count elements, or pairs for maps and attributes, follow. */
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);

/* For counts known only afterwards: begin, write the elements, end with the count. */
struct reply_mark reply_mark_here(const struct reply *reply);
void reply_array_at(struct reply *reply, struct reply_mark mark, size_t count);
void reply_map_at(struct reply *reply, struct reply_mark mark, size_t pairs);
void reply_set_at(struct reply *reply, struct reply_mark mark, size_t count);

/* Undoes everything written since the mark. */
void reply_rewind(struct reply *reply, struct reply_mark mark);

/* Appends what `from` holds to `to`, blocks by reference. */
void reply_append(struct reply *to, const struct reply *from);

#endif
