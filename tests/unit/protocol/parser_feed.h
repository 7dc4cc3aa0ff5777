/* Plays the connection for a parser, and writes down what the parser answered.
 *
 * A stream of bytes arrives in pieces. All that is held between two calls of the parser lives in an
 * allocation of exactly its size, made anew whenever bytes come or go: a parser that reads past the
 * end, or keeps a place in memory that is gone, is caught by the address sanitizer.
 *
 * The transcript has a line for each command, its arguments in brackets, and ends with a line
 * "!<error>" when the parser refused the stream. An argument that came as a block is marked:
 * "[&...]". The encoded form has each command as a client would send it instead.
 */
#ifndef TARN_TESTS_UNIT_PROTOCOL_PARSER_FEED_H
#define TARN_TESTS_UNIT_PROTOCOL_PARSER_FEED_H

#include "base/assertion.h"
#include "base/block.h"
#include "base/buffer.h"
#include "base/memory.h"
#include "protocol/parser.h"

/* How the stream is cut: a first piece, then pieces of one length; 0 is all that is left. With a
 * seed, pieces have random lengths instead. */
struct feed_pieces {
    size_t first;
    size_t later;
    uint64_t seed;
};

struct feed_transcript {
    struct buffer text;
    size_t commands_length; /* without the error's line */
};

struct feed {
    struct parser parser;
    struct parser_limits limits;
    struct feed_pieces pieces;
    struct span stream; /* what has not arrived yet */
    char *held;
    size_t held_length;
    struct block *large; /* the value being collected after LARGE */
    bool encoded;        /* the form of the transcript */
    struct feed_transcript transcript;
};

static inline size_t feed_piece_length(struct feed *feed) {
    size_t length = feed->pieces.first;
    feed->pieces.first = feed->pieces.later;
    if (feed->pieces.seed != 0) {
        feed->pieces.seed ^= feed->pieces.seed << 13;
        feed->pieces.seed ^= feed->pieces.seed >> 7;
        feed->pieces.seed ^= feed->pieces.seed << 17;
        bool wide = feed->pieces.seed % 8 == 0;
        length = 1 + (size_t)(feed->pieces.seed >> 32) % (wide ? 20000 : 12);
    }
    return length == 0 || length > feed->stream.length ? feed->stream.length : length;
}

/* Replaces what is held by a copy elsewhere, without bytes [at, at + dropped), with the piece. */
static inline void feed_move(struct feed *feed, size_t at, size_t dropped, struct span piece) {
    size_t kept = feed->held_length - dropped;
    char *moved = memory_alloc(kept + piece.length);
    if (feed->held_length != 0) {
        memcpy(moved, feed->held, at);
        memcpy(moved + at, feed->held + at + dropped, kept - at);
    }
    if (piece.length != 0) {
        memcpy(moved + kept, piece.bytes, piece.length);
    }
    parser_rebase(&feed->parser, feed->held, moved);
    memory_free(feed->held);
    feed->held = moved;
    feed->held_length = kept + piece.length;
}

/* Moves bytes of the large value from what is held into its block; ends when it is whole. */
static inline void feed_large(struct feed *feed) {
    size_t at = feed->parser.consumed;
    size_t missing = feed->parser.large_length - feed->large->length;
    size_t there = feed->held_length - at;
    size_t length = there < missing ? there : missing;
    if (length != 0) {
        memcpy(feed->large->bytes + feed->large->length, feed->held + at, length);
    }
    feed->large->length += length;
    bool whole = feed->large->length == feed->parser.large_length;
    if (whole) {
        parser_large_done(&feed->parser, feed->large);
        feed->large = NULL;
    }
    feed_move(feed, at, length, span_of(NULL, 0));
}

static inline void feed_write_readable(struct buffer *text, const struct arguments *arguments) {
    for (uint32_t i = 0; i < arguments->count; i++) {
        bool in_block = arguments->blocks != NULL && arguments->blocks[i] != NULL;
        buffer_append_string(text, in_block ? "[&" : "[");
        buffer_append_span(text, arguments->items[i]);
        buffer_append_byte(text, ']');
    }
    buffer_append_byte(text, '\n');
}

static inline void feed_write_encoded(struct buffer *text, const struct arguments *arguments) {
    buffer_format(text, "*%u\r\n", (unsigned)arguments->count);
    for (uint32_t i = 0; i < arguments->count; i++) {
        buffer_format(text, "$%zu\r\n", arguments->items[i].length);
        buffer_append_span(text, arguments->items[i]);
        buffer_append_string(text, "\r\n");
    }
}

static inline void feed_write_command(struct feed *feed) {
    struct buffer *text = &feed->transcript.text;
    if (feed->encoded) {
        feed_write_encoded(text, &feed->parser.arguments);
    } else {
        feed_write_readable(text, &feed->parser.arguments);
    }
    feed->transcript.commands_length = text->length;
}

/* Parses all that is held; false after an error. */
static inline bool feed_parse(struct feed *feed) {
    for (;;) {
        if (feed->large != NULL) {
            feed_large(feed);
            if (feed->large != NULL) {
                return true;
            }
        }
        switch (parser_next(&feed->parser, feed->held, feed->held_length, &feed->limits)) {
        case PARSER_INCOMPLETE:
            return true;
        case PARSER_ERROR:
            buffer_format(&feed->transcript.text, "!%s\n", feed->parser.error);
            return false;
        case PARSER_LARGE:
            ASSERT(feed->limits.take_large);
            feed->large = block_try_new(feed->parser.large_length);
            if (feed->large == NULL) {
                return false;
            }
            break;
        case PARSER_READY:
            ASSERT(feed->parser.consumed != 0);
            feed_write_command(feed);
            feed_move(feed, 0, feed->parser.consumed, span_of(NULL, 0));
            break;
        }
    }
}

/* Feeds the stream to a parser of its own; answers the transcript, whose text the caller frees. */
static inline struct feed_transcript feed_transcript_of(struct span stream,
                                                        struct parser_limits limits,
                                                        struct feed_pieces pieces, bool encoded) {
    struct feed feed = {.limits = limits, .pieces = pieces, .stream = stream, .encoded = encoded};
    parser_init(&feed.parser);
    bool more = true;
    while (more && feed.stream.length != 0) {
        size_t length = feed_piece_length(&feed);
        feed_move(&feed, feed.held_length, 0, span_of(feed.stream.bytes, length));
        feed.stream = span_of(feed.stream.bytes + length, feed.stream.length - length);
        more = feed_parse(&feed);
    }
    block_release(feed.large);
    parser_free(&feed.parser);
    memory_free(feed.held);
    return feed.transcript;
}

/* The readable transcript. */
static inline struct buffer feed_run(struct span stream, struct parser_limits limits,
                                     struct feed_pieces pieces) {
    return feed_transcript_of(stream, limits, pieces, false).text;
}

#endif
